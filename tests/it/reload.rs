//! `forewarn reload --dry-run`: edited rules over the journal of a daemon, while it runs.

use std::fs;
use std::process::Command;
use std::time::Duration;

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
