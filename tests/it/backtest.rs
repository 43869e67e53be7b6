//! `forewarn backtest` as a user runs it: the examples on recordings of real machines, mistakes, other rules.
//!
//! Excerpts are in `tests/data`. `FOREWARN_DATA=<directory>` adds the whole recordings and the scorer that stands beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn backtest(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forewarn")).current_dir(root()).arg("backtest").args(args).output().unwrap()
}

fn report(args: &[&str]) -> Value {
    let output = backtest(&[args, &["--format", "json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const MILL: [&str; 4] = ["--config", "examples/mill/forewarn.toml", "--data", "tests/data/ai4i.csv.gz"];
const ENGINE: [&str; 4] = ["--config", "examples/engine/forewarn.toml", "--data", "tests/data/cmapss-fd001.csv.gz"];
const MILL_TERMS: [&str; 14] = [
    "--horizon",
    "0s",
    "--min-lead",
    "0s",
    "--dedup",
    "0s",
    "--refractory",
    "0s",
    "--kind",
    "PWF=mill.power",
    "--kind",
    "OSF=mill.overstrain",
    "--kind",
    "HDF=mill.heat",
];
const ENGINE_TERMS: [&str; 8] = ["--horizon", "60d", "--min-lead", "10d", "--dedup", "400d", "--refractory", "1d"];

/// The whole recordings and their scorer.
fn data() -> Option<PathBuf> {
    std::env::var_os("FOREWARN_DATA").map(PathBuf::from)
}

#[test]
fn the_mills_rules_find_each_failed_cut_and_no_other() {
    let truth = ["--truth", "tests/data/ai4i-truth.csv"];
    let report = report(&[&MILL[..], &truth, &MILL_TERMS].concat());
    for rule in report["rules"].as_array().unwrap() {
        let score = &rule["score"];
        assert!(score["faults"].as_u64().unwrap() > 10, "{rule}");
        assert_eq!((&score["f1"], &score["fp"], &score["missed"]), (&1.0.into(), &0.into(), &0.into()), "{rule}");
    }
    assert_eq!(report["episodes"].as_array().unwrap().len(), 151);
}

#[test]
fn the_engines_are_told_of_in_time() {
    let report = report(&[&ENGINE[..], &["--truth", "tests/data/cmapss-fd001-truth.csv"], &ENGINE_TERMS].concat());
    let rule = &report["rules"][0];
    assert_eq!((&rule["score"]["predicted"], &rule["score"]["savings_ratio"]), (&12.into(), &1.0.into()), "{rule}");
    assert_eq!((&rule["promise"]["kept"], &rule["promise"]["of"]), (&12.into(), &12.into()));
    assert_eq!(report["total"]["savings_ratio"], 1.0);
}

#[test]
fn any_number_of_threads_gives_the_same_byte_for_byte() {
    for set in [&MILL, &ENGINE] {
        let with = |threads: &str| backtest(&[&set[..], &["--format", "json", "--threads", threads]].concat()).stdout;
        let one = with("1");
        assert!(one.len() > 1_000);
        for threads in ["2", "3", "8"] {
            assert!(with(threads) == one, "{threads} threads");
        }
    }
}

#[test]
fn the_text_fits_a_terminal_and_says_the_figures() {
    let args = [&ENGINE[..], &["--truth", "tests/data/cmapss-fd001-truth.csv"], &ENGINE_TERMS].concat();
    let output = backtest(&args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(
        text.starts_with("2,546 messages (12,730 values) of 12 devices, 2020-01-02 to 2020-10-14, 2,534 device-days"),
        "{text}"
    );
    let score = text.lines().rfind(|line| line.starts_with("wear")).unwrap();
    let cells: Vec<&str> = score.split_whitespace().collect();
    assert_eq!(cells[1..9], ["12", "12", "0", "0", "0", "0", "1.000", "1.000"], "{text}");
    assert_eq!(cells[11..], ["1.000", "12/12"], "{text}");
}

#[test]
fn other_rules_are_compared_by_device_and_by_failure() {
    let dir = tempfile::tempdir().unwrap();
    let rules = fs::read_to_string(root().join("examples/engine/rules/engine.toml")).unwrap();
    // Speaks much later, and never before 25 days.
    fs::write(dir.path().join("late.toml"), rules.replace("worn > 2.2", "worn > 4")).unwrap();
    let against = ["--against", dir.path().to_str().unwrap(), "--truth", "tests/data/cmapss-fd001-truth.csv"];
    let report = report(&[&ENGINE[..], &against, &ENGINE_TERMS].concat());
    let rule = &report["against"]["rules"][0];
    let more = rule["more"].as_object().unwrap().len();
    assert!(more > 0 && rule["fewer"].as_object().unwrap().is_empty(), "{rule}");
    assert_eq!(rule["gained"].as_array().unwrap().len(), more, "{rule}");
    // A little later: the same episodes, at another time.
    let later = dir.path().join("later.toml");
    fs::write(&later, rules.replace("worn > 2.2", "worn > 2.5")).unwrap();
    let against = ["--against", later.to_str().unwrap()];
    let text = String::from_utf8(backtest(&[&ENGINE[..], &against].concat()).stdout).unwrap();
    let (_, told) = text.split_once("against the other rules\n").unwrap();
    assert!(told.starts_with("wear: 0 more, 0 fewer\n    "), "{text}");
    assert!(told.contains(" of both raised sooner, in the median by ") && !told.contains("later"), "{text}");
    let same = ["--against", "examples/engine/rules"];
    let text = String::from_utf8(backtest(&[&ENGINE[..], &same].concat()).stdout).unwrap();
    assert!(text.ends_with("against the other rules\n1 rule the same\n"), "{text}");
}

#[test]
fn the_page_needs_nothing_else_and_draws_what_the_rule_compared() {
    let page = tempfile::NamedTempFile::new().unwrap();
    let html = ["--html", page.path().to_str().unwrap(), "--truth", "tests/data/ai4i-truth.csv"];
    assert!(backtest(&[&MILL[..], &html, &MILL_TERMS].concat()).status.success());
    let page = fs::read_to_string(page.path()).unwrap();
    for foreign in ["http:", "https:", "src=", "@import", "url(", "<script", "{{", "NaN"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg viewBox=\"0 0 700").count(), 9, "three early episodes of each rule are drawn");
    assert_eq!(page.matches(">process_temp - air_temp</text>").count(), 3);
    assert_eq!(page.matches("<title>speed &lt; 1380</title>").count(), 3);
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn mistakes_have_their_exit_codes_and_places() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).to_str().unwrap().to_owned()
    };
    let config = ["--config", "examples/engine/forewarn.toml"];
    let no_ts = file("a.csv", "time,device,s2\n");
    let bad_truth = file("truth.csv", "device,kind,failure,end\nx,wear,soon,\n");
    let bad_rules =
        file("rules.toml", "[[rule]]\nid = \"x\"\nmodels = [\"engine\"]\nseverity = \"major\"\nwhen = \"s99 > 1\"\n");
    let horizon = ["--horizon", "1d", "--min-lead", "1h"];
    let absent = ["--config", "absent.toml", "--data", "x"];
    let cases: [(Vec<&str>, i32, &str); 7] = [
        ([&config[..], &["--data", &no_ts]].concat(), 1, "a.csv:1: no column 'ts'"),
        ([&config[..], &["--data", "absent.csv"]].concat(), 1, "cannot read absent.csv"),
        ([&ENGINE[..], &["--truth", &bad_truth], &horizon].concat(), 1, "truth.csv:2: failure 'soon'"),
        ([&ENGINE[..], &["--truth", &bad_truth]].concat(), 64, "--horizon"),
        ([&ENGINE[..], &["--model", "car"]].concat(), 64, "--model car: there are engine"),
        ([&ENGINE[..], &["--against", &bad_rules]].concat(), 78, "has no signal 's99'"),
        (absent.to_vec(), 78, "cannot read absent.toml"),
    ];
    for (args, code, said) in cases {
        let output = backtest(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

#[test]
fn the_whole_recordings_score_as_their_scorer_says() {
    let Some(data) = data() else { return println!("FOREWARN_DATA is not set: no whole recordings") };
    let alerts = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    let set = data.join("cmapss-fd001");
    let at = |name: &str| set.join(name).to_str().unwrap().to_owned();
    let (telemetry, truth, exposure) = (at("telemetry.csv.gz"), at("truth.csv"), at("exposure.csv"));
    let labels = ["--truth", &truth, "--exposure", &exposure];
    let config = ["--config", "examples/engine/forewarn.toml", "--data", &telemetry];
    let alerts = ["--alerts", alerts.path().to_str().unwrap()];
    let report = report(&[&config[..], &labels, &alerts, &ENGINE_TERMS].concat());
    let mut scorer = Command::new("python3");
    scorer.arg(data.join("score.py")).arg("service").args(labels).args(alerts).args(ENGINE_TERMS);
    let scorer = scorer.output().unwrap();
    let expected: Value = serde_json::from_slice(&scorer.stdout).unwrap();
    for (figure, expected) in expected.as_object().unwrap().iter().filter(|(name, _)| *name != "ci95") {
        assert_eq!(report["total"][figure].as_f64(), expected.as_f64(), "{figure}");
    }
    assert_eq!(expected["predicted"], 99);
}
