//! `forewarn fit` as a user runs it: what is usual is learned from a recording, and the rules read it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SETTINGS: &str = "[files]\n";
const MODEL: &str = r#"
[model]
id = "pump"
topics = ["pump/+"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "ts", unit = "s" }
report_every = "1m"
[signal]
vib = { path = "vib", unit = "mm/s" }
flow = { path = "flow" }
speed = { path = "speed", unit = "rpm" }
mode = { path = "mode", type = "enum", values = ["a", "b"] }
"#;
const RULE: &str = r#"
[[rule]]
id = "off"
models = ["pump"]
severity = "major"
when = "z(vib, usual) > 6 || t2(both) > 200"
[rule.baseline.usual]
of = "vib"
by = ["speed", "mode"]
from = "fleet"
[rule.baseline.both]
of = ["vib", "flow"]
by = ["speed/500"]
tau = "1d"
min = "1d"
prior = "fleet"
"#;

/// A folder with settings, a model, a rule, and a recording of three pumps at two speeds; one of them fails.
fn folder(rule: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("forewarn.toml", SETTINGS);
    put("models/pump.toml", MODEL);
    put("rules/pump.toml", rule);
    put("registry/devices.csv", "id,model,kind,tz\np1,pump,pump,UTC\np2,pump,pump,UTC\np3,pump,pump,UTC\n");
    let mut rows = String::from("ts,device,vib,flow,speed,mode\n");
    for minute in 0..600_u32 {
        for pump in 1..=3_u32 {
            let speed = if minute % 100 < 50 { 1000 } else { 1500 };
            let noise = f64::from((minute * 7 + pump * 5) % 11) / 10.0;
            let vib = f64::from(speed) / 100.0 + noise + if pump == 3 && minute > 550 { 30.0 } else { 0.0 };
            let flow = 2.0 * noise + f64::from((minute * 3) % 7) / 50.0;
            let (hour, minute) = (minute / 60, minute % 60);
            writeln!(rows, "2026-01-01T{hour:02}:{minute:02}:00Z,p{pump},{vib},{flow},{speed},a").unwrap();
        }
    }
    put("recording.csv", &rows);
    put("truth.csv", "device,kind,failure,end\np3,x,2026-01-01T09:40:00Z,2026-01-01T10:30:00Z\n");
    dir
}

fn run(dir: &Path, command: &str, args: &[&str]) -> Output {
    let base = ["--config", "forewarn.toml", "--data", "recording.csv"];
    Command::new(env!("CARGO_BIN_EXE_forewarn")).current_dir(dir).arg(command).args(base).args(args).output().unwrap()
}

/// Holds `text` as the golden file `name`.
fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/fit");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

const OUT: [&str; 2] = ["--out", "baselines/pump.toml"];

#[test]
fn what_is_learned_is_read_by_the_rules() {
    let dir = folder(RULE);
    let before = run(dir.path(), "backtest", &[]);
    assert!(!before.status.success());
    assert!(String::from_utf8_lossy(&before.stderr).contains("`forewarn fit` learns it"), "{before:?}");
    let labels = ["--truth", "truth.csv", "--horizon", "1h"];
    let learned = run(dir.path(), "fit", &[&OUT[..], &labels].concat());
    assert!(learned.status.success(), "{}", String::from_utf8_lossy(&learned.stderr));
    let text = fs::read_to_string(dir.path().join("baselines/pump.toml")).unwrap();
    golden("fitted", &text);
    let after = run(dir.path(), "backtest", &["--episodes"]);
    let said = String::from_utf8_lossy(&after.stdout).into_owned();
    assert!(after.status.success() && said.contains("  p3  off"), "{said}");
    assert!(!said.contains("  p1  ") && !said.contains("  p2  "), "{said}");
}

#[test]
fn learning_again_gives_the_same_byte_for_byte_and_needs_nothing_learned_before() {
    let dir = folder(RULE);
    let path = dir.path().join("baselines/pump.toml");
    assert!(run(dir.path(), "fit", &OUT).status.success());
    let first = fs::read(&path).unwrap();
    fs::write(&path, "[[baseline]]\nmodel = 5\n").unwrap();
    assert!(run(dir.path(), "fit", &OUT).status.success());
    assert!(fs::read(&path).unwrap() == first);
}

#[test]
fn a_baseline_that_was_learned_for_something_else_is_refused() {
    let dir = folder(RULE);
    assert!(run(dir.path(), "fit", &OUT).status.success());
    fs::write(dir.path().join("rules/pump.toml"), RULE.replace("speed/500", "speed/250")).unwrap();
    let said = run(dir.path(), "backtest", &[]);
    golden("of_something_else", &String::from_utf8_lossy(&said.stderr));
}

#[test]
fn nothing_to_learn_is_said() {
    let own = RULE.replace("from = \"fleet\"", "learn = \"1h\"").replace("prior = \"fleet\"\n", "");
    let dir = folder(&own);
    let said = run(dir.path(), "fit", &OUT);
    assert!(String::from_utf8_lossy(&said.stderr).contains("no rule has a baseline"), "{said:?}");
    let dir = folder(RULE);
    fs::write(dir.path().join("recording.csv"), "ts,device,flow\n2026-01-01T00:00:00Z,p1,1\n").unwrap();
    let said = run(dir.path(), "fit", &OUT);
    assert!(String::from_utf8_lossy(&said.stderr).contains("teaches none of the baselines"), "{said:?}");
    assert!(!dir.path().join("baselines").exists());
}
