//! `forewarn reload`: edited rules over the journal of a daemon, while it runs; and put in force, warm and cold, with a crash
//! right after.

use std::fs;
use std::process::Command;
use std::time::Duration;

use forewarn::engine::Explanation;

use crate::world::{Fleet, World};

fn rule(limit: u32) -> String {
    format!(
        "[[rule]]\nid = \"fast\"\nmodels = [\"car\"]\nfault = \"car.fast\"\nseverity = \"minor\"\nmode = \"shadow\"\n\
         when = \"speed > {limit}[km/h]\"\nconfirm = 2\nclear = \"speed < 50[km/h]\"\n"
    )
}

/// What is printed, and the exit code.
fn dry_run(world: &World) -> (String, Option<i32>) {
    let run = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .args(["reload", "--dry-run", "--config"])
        .arg(world.space.settings())
        .env("FOREWARN__STORE__DIR", world.space.dir().join("store"))
        .output()
        .unwrap();
    (format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)), run.status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edited_rules_are_compared_with_those_that_run() {
    let mut world = World::build(60).await;
    let rules = world.space.dir().join("config/rules/fast.toml");
    fs::write(&rules, rule(200)).unwrap();
    let (text, code) = dry_run(&world);
    assert!(text.contains("no daemon with these settings has run yet") && code == Some(64), "{text}");

    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    for (device, speed) in [("car-0003", 210.0), ("car-0004", 240.0)] {
        for more in [0.0, 1.0] {
            fleet.say(device, false, speed + more).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    fs::write(&rules, rule(230)).unwrap();
    let (text, code) = dry_run(&world);
    println!("{text}");
    assert!(text.contains("1 fewer") && text.contains("car-0003") && code == Some(0), "{text}");
    fs::write(&rules, rule(230).replace("speed", "sped")).unwrap();
    let (text, code) = dry_run(&world);
    assert!(text.contains("did you mean `speed`?") && code == Some(78), "{text}");
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

/// How the rule `was-fast` stands with a car, once anything is known of the car: its state, and how fast it was before.
async fn was_fast(world: &World, device: &str) -> (String, String) {
    let path = format!("/api/v1/explain?rule=was-fast&device={device}");
    for _ in 0..600 {
        let told: Option<Explanation> = world.get(&path).await;
        if let Some(told) = told.filter(|told| told.at.is_some()) {
            let when = told.levels[0].when.as_ref().unwrap();
            return (told.state, when.parts[0].value.clone());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing is known of {device}:\n{}", world.log());
}

/// Says something until the rule stands as it must.
async fn until_it_stands(world: &World, fleet: &Fleet, device: &str, state: &str) {
    for _ in 0..200 {
        fleet.say(device, false, 105.0).await;
        if was_fast(world, device).await.0 == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never {state}: {:?}\n{}", was_fast(world, device).await, world.log());
}

fn reload(world: &World, how: &[&str]) -> (String, Option<i32>) {
    let mut command = world.command();
    command.args(["reload", "--url", &world.url(), "--token-file"]).arg(world.space.token_file()).args(how);
    let run = command.output().unwrap();
    (format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)), run.status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_reload_knows_what_was_and_so_does_a_daemon_that_is_killed_right_after_it() {
    let mut world = World::build(60).await;
    let settings = fs::read_to_string(world.space.settings()).unwrap();
    fs::write(world.space.settings(), settings.replace("warm = \"0s\"", "warm = \"1d\"")).unwrap();
    let rules = world.space.dir().join("config/rules/fast.toml");
    fs::write(&rules, rule(230)).unwrap();
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    for speed in [90.0, 110.0].repeat(6) {
        fleet.say("car-0003", false, speed).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fleet.say("car-0003", false, 111.0).await;
    let heard = "/api/v1/explain?rule=fast&device=car-0003";
    for _ in 0..600 {
        let told: Option<serde_json::Value> = world.get(heard).await;
        if told.is_some_and(|told| told.to_string().contains("111 km/h")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let body = "when = \"prev(speed) > 100[km/h]\"\nclear = \"speed < 1[km/h]\"\n";
    let added = format!(
        "{}[[rule]]\nid = \"was-fast\"\nmodels = [\"car\"]\nfault = \"car.was-fast\"\nseverity = \"minor\"\nmode = \"shadow\"\n{body}",
        rule(230)
    );
    fs::write(&rules, added.replace("prev", "prv")).unwrap();
    let (text, code) = reload(&world, &[]);
    assert!(text.contains("did you mean `prev`?") && text.contains("everything stays as it was"), "{text}");
    assert_eq!(code, Some(78), "{text}");

    fs::write(&rules, &added).unwrap();
    let (text, code) = reload(&world, &[]);
    assert_eq!(code, Some(0), "{text}\n{}", world.log());
    assert!(text.contains("new     was-fast (car): refilled from the messages since 20"), "{text}");
    assert!(text.contains("prev(speed)"), "{text}");
    // Nothing is raised of the past; the operator knows it.
    let stands = ("ok".to_owned(), "110 km/h".to_owned());
    assert_eq!(was_fast(&world, "car-0003").await, stands, "{text}");

    world.kill();
    world.start("");
    world.ready().await;
    assert_eq!(was_fast(&world, "car-0003").await, stands, "after a crash it knows the same\n{}", world.log());
    until_it_stands(&world, &fleet, "car-0003", "minor").await;

    // Back to the old rules and cold to the new ones: what was in between is not known.
    fs::write(&rules, rule(230)).unwrap();
    let (text, _) = reload(&world, &[]);
    assert!(text.contains("removed was-fast: its open episodes have ended"), "{text}");
    let settings = fs::read_to_string(world.space.settings()).unwrap();
    fs::write(world.space.settings(), settings.replace("warm = \"1d\"", "warm = \"0s\"")).unwrap();
    fs::write(&rules, &added).unwrap();
    let (text, code) = reload(&world, &["--format", "json"]);
    assert!(
        text.contains("\"warm_from\": null") && text.contains("\"rule\": \"was-fast\"") && code == Some(0),
        "{text}"
    );
    let (state, before) = was_fast(&world, "car-0003").await;
    assert_eq!((state.as_str(), before.as_str()), ("ok", "unknown"));

    // Edited, and killed before anybody reloads: the first thing after it is the reload.
    until_it_stands(&world, &fleet, "car-0003", "minor").await;
    fs::write(&rules, rule(230)).unwrap();
    world.kill();
    world.start("");
    world.ready().await;
    let reloaded = || {
        let log = world.log();
        let since = log.split_once("what came before is taken by those of then").map(|(_, since)| since.to_owned());
        since.is_some_and(|since| since.contains("removed=1"))
    };
    for _ in 0..600 {
        if reloaded() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(reloaded(), "{}", world.log());
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
