//! Tests of rules: what passes, what fails and how that is told, and what is said of mistakes in test files.

use std::path::Path;
use std::sync::Arc;

use forewarn::app;
use forewarn::domain::Registry;
use forewarn::lab::proof::{Outcome, Subject, Tests, human, json, junit};
use forewarn::source::Diagnostics;
use forewarn::{model, rules};

const MODEL: &str = r#"[model]
id = "ice-g1"
topics = ["ice/+/t"]
timestamp = { path = "ts", unit = "ms" }
report_every = "10s"
lateness = "30s"
backfill_after = "10m"
[signal]
engine_rpm = { path = "e.rpm", unit = "rpm" }
coolant_temp = { path = "e.ct", unit = "degC", valid = "-40 <= _ <= 150" }
ambient_temp = { path = "at[1]", unit = "degC" }
ignition = { path = "ign", type = "bool", ttl = "never" }
charging = { path = "chg", values = ["no", "ac", "dc"], ttl = "never" }
[params]
coolant_max = "108[degC]"
"#;

/// The third example of the design, and one that counts messages.
const RULES: &str = r#"[[rule]]
id = "coolant-overheat"
models = ["ice-*"]
where = "device.region != 'ZZ'"
fault = "engine.overheat"
severity = "major"
when = "coolant_temp > param.coolant_max && engine_rpm > 0[rpm]"
hold = "60s"
clear = "coolant_temp < param.coolant_max - 8[K]"
clear_hold = "5m"
[rule.let]
over = "coolant_temp - param.coolant_max"
[rule.case]
title = "Coolant at {coolant_temp}"

[[rule]]
id = "two-hot"
models = ["ice-g1"]
severity = "minor"
when = "coolant_temp > 100[degC] && engine_rpm > 0[rpm]"
confirm = 2

[[rule]]
id = "asleep"
models = ["ice-g1"]
severity = "minor"
mode = "off"
when = "ignition"
"#;

fn load(text: &str) -> (Diagnostics, Subject, Tests) {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("models/ice-g1.toml", MODEL);
    let models = Arc::new(model::load(&mut diags, &[file]));
    let file = diags.add_file("rules/ice.toml", RULES);
    let program = Arc::new(rules::load(&mut diags, &[file], models));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    let subject = Subject { program, registry: Arc::new(Registry::default()), desk: super::desk_world::config(|_| {}) };
    let file = diags.add_file("tests/x.toml", text);
    let tests = Tests::load(&mut diags, &[file], &subject);
    (diags, subject, tests)
}

fn run(text: &str) -> (Diagnostics, Vec<Outcome>) {
    let (diags, subject, tests) = load(text);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    let outcomes = tests.run(&subject).collect();
    (diags, outcomes)
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/proof");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The example of the design, with `more` behind it.
fn overheat(more: &str) -> String {
    format!(
        r#"[[test]]
name = "overheat"
rule = "coolant-overheat"
model = "ice-g1"
start = "2026-01-10T08:00:00Z"
every = "10s"
[test.series]
engine_rpm   = "900x60"
coolant_temp = "90+2x11, 113x8, _x4, nan, 112x2, 100x40"
[test.device]
id = "a"
region = "EU"
{more}"#
    )
}

fn expect(body: &str) -> String {
    overheat(&format!("[[test.expect]]\n{body}\n"))
}

#[test]
fn expectations_that_hold() {
    for body in [
        "at = \"+90s\"\nlevel = \"ok\"",
        "at = \"+100s\"\nlevel = \"pending\"",
        "at = \"+170s\"\nlevel = \"major\"",
        "at = \"2026-01-10T08:02:50Z\"\nlevel = \"major\"",
        "from = \"+160s\"\nto = \"+650s\"\nlevel = \"major\"",
        "from = \"+0s\"\nto = \"+159s\"\nlevel = [\"ok\", \"pending\"]",
        "at = \"+170s\"\ntitle = \"113 °C\"",
        "at = \"+170s\"\nevidence = { coolant_temp = 113, over = \"5[K]\", engine_rpm = \"15[1/s] ± 0.1\" }",
        "at = \"+170s\"\nevidence = { coolant_temp = \"235.4[degF] +- 0.1\" }",
        "episodes = 1\nraised_at = \"+160s\"",
        "raised_at = \"+150s ± 10s\"",
        "at = \"+159s\"\nepisodes = 0",
    ] {
        let (diags, outcomes) = run(&expect(body));
        assert_eq!(outcomes[0].failures.len(), 0, "{body}\n{}", human(&diags, &outcomes, false));
    }
}

#[test]
fn expectations_that_do_not_hold_are_told_with_place_and_story() {
    for (name, body) in [
        ("level", "at = \"+150s\"\nlevel = \"major\""),
        ("level_in_between", "from = \"+120s\"\nto = \"+400s\"\nlevel = [\"pending\", \"ok\"]"),
        (
            "title_and_evidence",
            "at = \"+170s\"\ntitle = \"115\"\nevidence = { coolant_temp = 115, over = \"6[K] ± 0.5\" }",
        ),
        ("nothing_yet", "at = \"+150s\"\nevidence = { coolant_temp = 113 }"),
        ("episodes", "episodes = 2\ncleared_at = \"+400s\""),
        ("nobody_looked", "at = \"+170s\"\nlevel = \"major\"\n# elsewhere"),
    ] {
        let text = expect(body);
        let text = if body.ends_with("elsewhere") { text.replace("\"EU\"", "\"ZZ\"") } else { text };
        let (diags, outcomes) = run(&text);
        assert!(!outcomes[0].failures.is_empty(), "{name}");
        golden(name, &human(&diags, &outcomes, false));
    }
}

/// Values that a restart, a repetition or the order of arrival must not change.
#[test]
fn expectations_hold_for_every_variant() {
    let holds = "[[test.expect]]\nfrom = \"+160s\"\nlevel = \"major\"\n[[test.expect]]\nfrom = \"+0s\"\nto = \"+159s\"\n\
                 level = [\"ok\", \"pending\"]\n[[test.expect]]\nepisodes = 1\nraised_at = \"+160s\"\n";
    for (vary, runs) in [
        ("kill_at = \"random\"\nruns = 40", 41),
        ("kill_at = \"+155s\"\nruns = 10", 11),
        ("redeliver = 0.5", 6),
        ("shuffle = \"30s\"\nruns = 20", 21),
        ("batch = \"1m\"", 6),
        ("kill_at = \"random\"\nredeliver = 0.3\nshuffle = \"20s\"\nsplit = 0.3\nruns = 20", 21),
    ] {
        let (diags, outcomes) = run(&overheat(&format!("{holds}[[test.vary]]\n{vary}\n")));
        assert_eq!(outcomes[0].failures.len(), 0, "{vary}\n{}", human(&diags, &outcomes, false));
        assert_eq!(outcomes[0].runs, runs, "{vary}");
    }
}

/// `confirm` counts messages: in two parts, one message is two.
const SPLIT: &str = r#"[[test]]
name = "two <hot> & \"split\""
rule = "two-hot"
[test.series]
engine_rpm   = "900x6"
coolant_temp = "90, 101, 90, 101x3"
[[test.expect]]
episodes  = 1
raised_at = "+40s"
[[test.vary]]
split = 1
seed = 7
"#;

#[test]
fn a_variant_that_fails_names_its_seed_and_the_seed_repeats_it() {
    let (diags, outcomes) = run(SPLIT);
    assert_eq!((outcomes[0].runs, outcomes[0].failures.len()), (2, 1));
    golden("variant", &human(&diags, &outcomes, false));
    let (_, outcomes) = run(&SPLIT.replace("\"+40s\"", "\"+50s\""));
    assert_eq!((outcomes[0].runs, outcomes[0].failures.len()), (1, 1), "fails as written: variants say nothing new");
    let late = overheat(
        "[[test.expect]]\nat = \"+170s\"\nlevel = \"major\"\nraised_at = \"+160s\"\n\
         [[test.late]]\nfrom = \"+130s\"\nto = \"+180s\"\nby = \"5m\"\n",
    );
    let (diags, outcomes) = run(&late);
    assert!(!outcomes[0].failures.is_empty(), "late data cannot have raised it then");
    golden("late", &human(&diags, &outcomes, false));
}

#[test]
fn several_devices_attributes_and_params() {
    let text = overheat(
        "params = { coolant_max = \"111[degC]\" }\n\
         [[test.also]]\nid = \"b\"\nregion = \"ZZ\"\nseries = { engine_rpm = \"900x60\", coolant_temp = \"120x60\" }\n\
         [[test.also]]\nid = \"c\"\nregion = \"EU\"\nseries = { engine_rpm = \"900x60\", coolant_temp = \"120x20, 90x40\" }\n\
         [[test.expect]]\ndevice = \"a\"\nraised_at = \"+170s\"\n\
         [[test.expect]]\ndevice = \"b\"\nepisodes = 0\n\
         [[test.expect]]\ndevice = \"c\"\nat = \"+499s\"\nlevel = \"clearing\"\n\
         [[test.expect]]\ndevice = \"c\"\ncleared_at = \"+500s\"\n",
    );
    let (diags, outcomes) = run(&text);
    assert_eq!(outcomes[0].failures.len(), 0, "{}", human(&diags, &outcomes, false));
}

#[test]
fn mistakes_in_test_files() {
    let text = r#"[[test]]
rule = "coolant-overhaet"
[test.series]
x = "1"
[[test.expect]]
level = "major"

[[test]]
rule = "asleep"
[test.series]
ignition = "on"
[[test.expect]]
level = "ok"

[[test]]
rule = "coolant-overheat"
model = "ice-g2"
[test.series]
[[test.expect]]
level = "ok"

[[test]]
rule = "coolant-overheat"
device = "car-1"
evry = "10s"
[test.series]
coolant_tmep = "1x5"
coolant_temp = "90+2"
charging = "no, acc"
ignition = "on, 'maybe'"
engine_rpm = "900, fast"
[[test.expect]]
at = "170s"
levl = "major"
[[test.expect]]
level = "majro"
evidence = { overr = 5, over = "5[K] ± 1[bar]" }
[[test.expect]]
device = "d9"
level = "ok"
[[test.vary]]
shuffle = "5m"
redeliver = 3
[[test.vary]]
kill = "random"

[[test]]
rule = "coolant-overheat"
[test.device]
tz = "Europe/Berln"
params = { coolant_mx = "1[degC]", coolant_max = "5[bar]" }
[test.series]
engine_rpm = "900x60"
"#;
    let (diags, _, _) = load(text);
    golden("mistakes", &diags.render(false));
}

#[test]
fn junit_is_xml_that_says_what_failed() {
    let failing = SPLIT.replace("\"+40s\"", "\"+30s\"");
    let (diags, outcomes) = run(&format!("{SPLIT}{failing}"));
    let text = junit(&diags, &outcomes);
    let doc = roxmltree::Document::parse(&text).unwrap();
    let suite = doc.descendants().find(|n| n.has_tag_name("testsuite")).unwrap();
    assert_eq!((suite.attribute("tests"), suite.attribute("name")), (Some("2"), Some("tests/x.toml")));
    let cases: Vec<_> = doc.descendants().filter(|n| n.has_tag_name("testcase")).collect();
    assert_eq!(cases[0].attribute("name"), Some("two <hot> & \"split\""));
    let failures: Vec<_> = doc.descendants().filter(|n| n.has_tag_name("failure")).collect();
    let told = outcomes.iter().flat_map(|o| &o.failures).map(|f| f.message.as_str());
    assert_eq!(failures.iter().filter_map(|f| f.attribute("message")).collect::<Vec<_>>(), told.collect::<Vec<_>>());
    assert!(failures.iter().all(|f| f.text().unwrap().contains("> +")), "{text}");
    let object = json(&diags, &outcomes);
    assert_eq!((object["count"].as_u64(), object["tests"][1]["passed"].as_bool()), (Some(2), Some(false)));
}

#[test]
fn the_shipped_tests_pass() {
    for config in ["config/forewarn.toml", "examples/mill/forewarn.toml", "examples/engine/forewarn.toml"] {
        let (loaded, mut diags) = app::check(Path::new(config)).unwrap();
        let subject = Subject {
            program: loaded.rules.program.clone(),
            registry: loaded.rules.registry.clone(),
            desk: loaded.desk.clone(),
        };
        let files = app::test_files(&mut diags, Path::new(config), &loaded.settings);
        let tests = Tests::load(&mut diags, &files, &subject);
        assert!(!diags.has_errors(), "{}", diags.render(false));
        let outcomes: Vec<Outcome> = tests.run(&subject).collect();
        assert!(!outcomes.is_empty(), "{config} has no tests");
        assert!(outcomes.iter().all(|o| o.failures.is_empty()), "{}", human(&diags, &outcomes, false));
    }
}

/// The rules and playbooks of an example, and a test of ours.
fn of_example(config: &str, text: &str) -> (Diagnostics, Subject, Tests) {
    let (loaded, mut diags) = app::check(Path::new(config)).unwrap();
    let subject = Subject {
        program: loaded.rules.program.clone(),
        registry: loaded.rules.registry.clone(),
        desk: loaded.desk.clone(),
    };
    let file = diags.add_file("tests/x.toml", text);
    let tests = Tests::load(&mut diags, &[file], &subject);
    (diags, subject, tests)
}

const SILENT: &str = r#"
[[playbook_test]]
name   = "a lift falls silent, and so does its gateway"
rule   = "lift-silent"
model  = "lift-a1"
device = "lift-a"
every  = "1m"
series = { moving = "offx60" }
[[playbook_test.also]]
like   = "gw-harbour"
id     = "gw-harbour"
model  = "gateway"
series = { uptime = "0+60x60" }
"#;

#[test]
fn a_playbook_test_from_telemetry_tells_what_the_desk_holds() {
    let expect = r#"
[[playbook_test.act]]
at    = "+90m"
close = "gw-harbour"
[[playbook_test.expect]]
at    = "+80m"
held  = ""
cases = 3
[[playbook_test.expect]]
device  = "gw-harbour"
effects = ["+10m email"]
outcome = "served"
"#;
    let (diags, subject, tests) = of_example("examples/lift/forewarn.toml", &format!("{SILENT}{expect}"));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    let outcomes: Vec<Outcome> = tests.run(&subject).collect();
    golden("from_telemetry", &human(&diags, &outcomes, false));
}

#[test]
fn mistakes_of_a_playbook_test_from_telemetry_are_told_at_once() {
    let text = SILENT.replace("lift-silent", "lift-silnt") + &SILENT.replace("\"gateway\"", "\"gatway\"");
    let text = text
        + SILENT
        + r#"
[[playbook_test.act]]
at      = "+1h"
release = "lift-silnt"
[[playbook_test.act]]
at      = "later"
[[playbook_test.expect]]
device = "lift-c"
held   = "its parent"
"#;
    let (diags, _, _) = of_example("examples/lift/forewarn.toml", &text);
    golden("from_telemetry_mistakes", &diags.render(false));
}
