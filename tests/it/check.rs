//! `forewarn check`: all findings of all files in one run, in the three forms, and the exit code.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The shipped settings, with these rules besides.
fn workspace(rules: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), dir.path());
    fs::write(dir.path().join("rules/more.toml"), rules).unwrap();
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What the command prints, and its exit code.
fn check(dir: &Path, more: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .current_dir(dir)
        .args(["check", "--config", "forewarn.toml"])
        .args(more)
        .output()
        .unwrap();
    assert!(run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    format!("{}exit code {}\n", String::from_utf8(run.stdout).unwrap(), run.status.code().unwrap())
}

fn golden(name: &str, shown: String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/check");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

/// Loads, and does not do what was meant.
const ODD: &str = r#"
[[rule]]
id = "fast"
models = ["car"]
fault = "brake.circuit_los"
severity = "major"
when = "speed > 30[km/h]"
clear = "speed < 50[km/h]"

[[rule]]
id = "elsewhere"
models = ["car"]
where = "device.site == 'Nowhere'"
fault = "brake.circuit_loss"
severity = "minor"
when = "speed > 50[km/h] && speed < 10[km/h]"
[rule.gate]
parent = "device.uplink"
[rule.limits]
fleet_breaker = { max = 10, per = "1h", by = "pltae" }
"#;

/// Does not load; the mistakes are in two files.
const BROKEN: &str = r#"
[[rule]]
id = "fast"
models = ["cra"]
severity = "major"
when = "speed > 30[km/h]"

[[rule]]
id = "slow"
models = ["car"]
severity = "major"
when = "sped > 3[bar] && speed > 3[bar]"
"#;

#[test]
fn odd_rules_load_with_warnings() {
    let dir = workspace(ODD);
    golden("odd", check(dir.path(), &[]));
    golden("odd_json", check(dir.path(), &["--format", "json"]));
    golden("odd_github", check(dir.path(), &["--format", "github"]));
    assert!(check(dir.path(), &["--strict"]).ends_with("exit code 78\n"));
}

#[test]
fn all_mistakes_of_all_files_are_shown_at_once() {
    let dir = workspace(BROKEN);
    let playbook = dir.path().join("playbooks/battery-weak.toml");
    let text = fs::read_to_string(&playbook).unwrap();
    fs::write(&playbook, text.replace("until", "untill")).unwrap();
    golden("broken", check(dir.path(), &[]));
    golden("broken_json", check(dir.path(), &["--format", "json"]));
    golden("broken_github", check(dir.path(), &["--format", "github"]));
}

/// A playbook with everything that the loader looks for: each of its mistakes would show only when somebody needs help.
const HOPELESS: &str = r#"
schema  = "playbook/1"
id      = "hopeless"
version = 1
[match]
fault       = ["brake.circuit_loss"]
device_kind = "car"
[case]
goals = ["told", "mended"]                 # nobody meets `mended`
[policy]
purpose     = "service"
quiet_hours = "ignore"                     # wakes people for no danger
[[step]]
id     = "warn"
do     = "reach"
policy = { purpose = "safety", quiet_hours = "ignore" }
who    = ["driver"]
goal   = "told"
until  = "human_confirmed"
script = "wrong-words"                     # speaks of a truck that nobody has sent, and of what nobody knows
ladder = [{ via = "call", at = "0s" }]     # nobody is asked when nobody answers
[[step]]
id      = "reset"
do      = "command"
topic   = "fleet/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"reboot"}'
allow   = ["reset"]                        # a reboot is not
[[step]]
id     = "visit"
do     = "ticket"
when   = "goto"                            # nobody does
desk   = "helpdesk"
fields = { group = "Roadside", title = "{{ case.id }: {{ device.plate }}" }
"#;

/// The same for one about storms.
const HOPELESS_STORM: &str = r#"
schema  = "playbook/1"
id      = "hopeless-storm"
version = 1
[match]
storm = { same = ["device.firmware"], min = 25, window = "10m", baseline_factor = 8 }
[case]
key    = "hopeless/{{ storm.started_day }}"
goals  = ["all_informed"]
parent = true
[policy]
purpose     = "safety"
quiet_hours = "ignore"
[[tier]]
id     = "everybody"
when   = "true"
via    = ["call", "sms"]
budget = { call = "8/s", sms = "60/m" }    # the phone provider takes one a second
[[step]]
id    = "engineers"
do    = "human"
queue = "service-desk"
"#;

#[test]
fn everything_that_is_wrong_with_a_playbook_is_told_at_once() {
    let dir = workspace("");
    fs::write(dir.path().join("playbooks/hopeless.toml"), HOPELESS).unwrap();
    fs::write(dir.path().join("playbooks/hopeless-storm.toml"), HOPELESS_STORM).unwrap();
    let text = "Stop. A truck will be there in {{ dispatch.eta_minutes }} minutes, {{ customer.nickname }}.\n";
    fs::write(dir.path().join("messages/en/wrong-words.voice.txt"), text).unwrap();
    let shown = check(dir.path(), &[]);
    for code in ["P005", "P009", "P010", "P011", "P012", "P022", "P030", "P032", "P052"] {
        assert!(shown.contains(&format!("[{code}]")), "{code} is not told:\n{shown}");
    }
    golden("hopeless", shown);
}

#[test]
fn what_is_shipped_is_clean() {
    for dir in ["config", "examples/engine", "examples/mill"] {
        let shown = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &["--strict"]);
        assert!(shown.ends_with("0 errors, 0 warnings\nexit code 0\n"), "{dir}:\n{shown}");
    }
}
