//! `forewarn run` as a person and systemd see it: exit codes, what is said about mistakes, signals, and a state that
//! was lost or damaged between two runs.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use forewarn::demo::Case;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::world::{Fleet, Listed, World};

const FAULT: &str = "brake.circuit_loss";

/// The shipped `config/` with its secrets beside it.
fn shipped() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    assert!(Command::new("cp").arg("-r").arg(from).arg(dir.path()).status().unwrap().success());
    for name in ["helpdesk", "mail", "phone", "tow", "app", "workshop", "parts", "pager"] {
        let path = dir.path().join("config").join(name);
        fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

/// Runs the daemon in `dir/config` until it ends by itself.
fn run(dir: &TempDir, store: &Path) -> Output {
    daemon(dir, store).output().unwrap()
}

fn daemon(dir: &TempDir, store: &Path) -> Command {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    daemon
        .args(["run", "--config", "forewarn.toml"])
        .current_dir(dir.path().join("config"))
        .env("FOREWARN__STORE__DIR", store)
        .env("FOREWARN__HTTP__LISTEN", format!("127.0.0.1:{}", crate::broker::free_port()))
        .env("FOREWARN__BROKER__URLS", "mqtt://127.0.0.1:1")
        .env("RUST_LOG", "off")
        .env_remove("CREDENTIALS_DIRECTORY");
    daemon
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn replace(dir: &TempDir, file: &str, from: &str, to: &str) {
    let path = dir.path().join("config").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn wrong_usage_is_64() {
    for args in [&[][..], &["rnu"], &["run"], &["run", "--config"], &["run", "--confg", "x"], &["case", "show"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_forewarn")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", said(&output));
        assert!(said(&output).contains("--help"), "{args:?}: {}", said(&output));
    }
    let help = Command::new(env!("CARGO_BIN_EXE_forewarn")).arg("--help").output().unwrap();
    assert!(help.status.success() && !help.stdout.is_empty());
}

#[test]
fn settings_that_are_not_there_are_78() {
    let dir = shipped();
    fs::remove_file(dir.path().join("config/forewarn.toml")).unwrap();
    let output = run(&dir, &dir.path().join("store"));
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("cannot read forewarn.toml"), "{}", said(&output));
}

#[test]
fn every_mistake_of_every_file_is_told_in_one_run() {
    let dir = shipped();
    replace(&dir, "forewarn.toml", "costly_per_device_day", "costly_per_devce_day");
    replace(&dir, "models/car.toml", "path = \"odo\", unit = \"km\"", "path = \"odo\", unit = \"kmm\"");
    replace(&dir, "rules/car.toml", "moving     = \"speed > 5[km/h]\"", "moving     = \"sped > 5[km/h]\"");
    replace(&dir, "playbooks/battery-weak.toml", "desk   = \"helpdesk\"", "desk   = \"helpdsk\"");
    replace(&dir, "registry/devices.csv", "Europe/Berlin", "Europe/Berln");
    replace(&dir, "messages/en/brake-stop-now.voice.txt", "{{ device.plate|spell }}", "{{ device.plate|spell }");
    let output = run(&dir, &dir.path().join("store"));
    assert_eq!(output.status.code(), Some(78));
    assert!(!dir.path().join("store").exists(), "nothing is touched before everything is checked");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/run");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("mistakes", said(&output)));
}

#[test]
fn all_missing_secrets_are_told_in_one_run_before_anything_is_touched_or_asked() {
    let dir = shipped();
    fs::remove_file(dir.path().join("config/phone")).unwrap();
    fs::set_permissions(dir.path().join("config/mail"), fs::Permissions::from_mode(0o644)).unwrap();
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    broker.set_nonblocking(true).unwrap();
    let output = daemon(&dir, &dir.path().join("store"))
        .env("FOREWARN__BROKER__URLS", format!("mqtt://{}", broker.local_addr().unwrap()))
        .env("FOREWARN__BROKER__PASSWORD_FILE", "no-password")
        .env("FOREWARN__LINKS__SECRET_FILE", "no-links")
        .env("FOREWARN__AUDIT__SECRET_FILE", "no-audit")
        .env("FOREWARN__PRIVACY__WRAP_FILE", "no-wrap")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = said(&output);
    for missing in [
        "`provider.phone.token_file`: there is no file phone; write the secret into it",
        "`provider.text.token_file`: there is no file phone",
        "`links.secret_file`: there is no file no-links",
        "`audit.secret_file`: there is no file no-audit",
        "`privacy.wrap_file`: there is no file no-wrap",
        "cannot read no-password",
    ] {
        assert!(said.contains(missing), "{missing}: {said}");
    }
    assert!(said.contains("`provider.mail.password_file`") && said.contains("chmod 600 mail"), "{said}");
    assert!(said.contains("forewarn.toml:"), "where it is named: {said}");
    assert!(!dir.path().join("store").exists(), "{said}");
    assert_eq!(broker.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody has called the broker");
}

#[test]
fn a_store_that_cannot_be_used_is_74() {
    let dir = shipped();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for store in [file.as_path(), &file.join("below"), Path::new("/proc/forewarn")] {
        let output = run(&dir, store);
        assert_eq!(output.status.code(), Some(74), "{}: {}", store.display(), said(&output));
        let said = said(&output);
        assert!(said.contains(&store.display().to_string()), "{said}");
        assert_eq!(said.matches("os error").count(), 1, "each cause is told once: {said}");
    }
}

/// What stands in the daemon's log, once it does.
async fn logged(world: &World, words: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while !world.log().contains(words) {
        assert!(Instant::now() < until, "{words:?} is not in the log:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn break_down(fleet: &Fleet, device: &str) {
    fleet.say(device, true, 60.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(device, true, 55.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_store_is_74_and_sigterm_ends_the_first_with_0() {
    let mut world = World::build(2).await;
    world.start("");
    world.ready().await;
    let output = run(&shipped(), &world.space.dir().join("store"));
    assert_eq!(output.status.code(), Some(74), "{}", said(&output));
    let fleet = Fleet::connect(&world);
    let device = forewarn::demo::fleet::car_id(1);
    break_down(&fleet, &device).await;
    world.all_served(&[device], FAULT, Duration::from_secs(60)).await;
    assert_eq!(world.stop(), Some(0), "{}", world.log());
    assert!(world.log().contains("stopping"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_keeps_the_old_rules_when_the_new_ones_are_broken_and_takes_good_ones_over() {
    let mut world = World::build(3).await;
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let cars: Vec<String> = (1..=3).map(forewarn::demo::fleet::car_id).collect();
    let rules = world.space.dir().join("config/rules/car.toml");
    let good = fs::read_to_string(&rules).unwrap();

    fs::write(&rules, good.replace("speed > 5[km/h]", "sped > 5[km/h]")).unwrap();
    world.hang_up();
    logged(&world, "not reloaded, everything stays as it was").await;
    assert!(world.log().contains("did you mean `speed`"), "{}", world.log());
    break_down(&fleet, &cars[0]).await;
    world.all_served(&cars[..1], FAULT, Duration::from_secs(60)).await;

    // The same fault only above 100 km/h from now on: 55 and 60 are none any more.
    fs::write(&rules, good.replace("speed > 5[km/h]", "speed > 100[km/h]")).unwrap();
    world.hang_up();
    logged(&world, "reloaded rules=").await;
    break_down(&fleet, &cars[1]).await;
    fleet.say(&cars[2], true, 130.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(&cars[2], true, 128.0).await;
    let cases = world.all_served(&cars[2..], FAULT, Duration::from_secs(60)).await;
    assert!(!cases.iter().any(|c| c.device == cars[1]), "{cases:#?}");
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_deleted_or_overwritten_is_built_anew_from_the_log() {
    let mut world = World::build(4).await;
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let cars: Vec<String> = (1..=3).map(forewarn::demo::fleet::car_id).collect();
    for car in &cars {
        break_down(&fleet, car).await;
    }
    let before: Vec<Listed> = world.all_served(&cars, FAULT, Duration::from_secs(60)).await;
    let shown = at_rest(&world, &before).await;
    let state = world.space.dir().join("store/desk/state");

    for damage in [true, false] {
        assert_eq!(world.stop(), Some(0), "{}", world.log());
        assert!(state.is_dir(), "{} is not where the state is", state.display());
        if damage {
            overwrite(&state);
        } else {
            fs::remove_dir_all(&state).unwrap();
        }
        world.start("");
        world.ready().await;
        assert_eq!(world.cases().await, before, "damage: {damage}");
        assert_eq!(at_rest(&world, &before).await, shown, "damage: {damage}");
    }
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

/// The cases, whole, after the last news that the tow company has of them.
async fn at_rest(world: &World, cases: &[Listed]) -> Vec<Case> {
    let until = Instant::now() + Duration::from_secs(30);
    let mut all = Vec::new();
    for listed in cases {
        let done = |case: &Case| case.timeline.iter().any(|e| e.text == "tow: done");
        all.push(world.case_once(&listed.id, "the end of the job", until, done).await);
    }
    all
}

/// Every file below `dir` keeps its length and holds garbage.
fn overwrite(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            overwrite(&path);
        } else {
            let length = fs::metadata(&path).unwrap().len();
            let garbage: Vec<u8> = (0..length).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 7).to_le_bytes()[0]).collect();
            fs::write(path, garbage).unwrap();
        }
    }
}
