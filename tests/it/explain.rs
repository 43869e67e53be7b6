//! Why a rule fired and why it did not, in words that a service engineer reads.

use std::sync::Arc;

use forewarn::cli::explain::render;
use forewarn::domain::{At, Device, DeviceId, Registry, Span};
use forewarn::engine::{Engine, Explanation};
use forewarn::http::Explained;
use forewarn::lab::recording::{Fleet, Recording};
use forewarn::lab::{AskError, Question, ask};
use forewarn::source::Diagnostics;
use forewarn::{model, rules};

const MODEL: &str = r#"[model]
id = "ice-g1"
topics = ["ice/+/t"]
timestamp = { path = "ts", unit = "s" }
report_every = "10s"
[signal]
engine_rpm = { path = "rpm", unit = "rpm" }
coolant_temp = { path = "ct", unit = "degC", valid = "-40 <= _ <= 150" }
ambient_temp = { path = "at", unit = "degC" }
ignition = { path = "ign", type = "bool", ttl = "never" }
vibration = { path = "vib", unit = "mm/s" }
oil_pressure = { path = "op", unit = "bar" }
charging = { path = "chg", values = ["no", "ac", "dc"], ttl = "never" }
cell_v = { path = "cells", unit = "V", each = "cell" }
[params]
coolant_max = "108[degC]"
"#;

const RULES: &str = r#"[[rule]]
id = "coolant-overheat"
models = ["ice-*"]
where = "device.region != 'ZZ'"
fault = "engine.overheat"
[rule.let]
hot = "coolant_temp > param.coolant_max"
trend = "avg(coolant_temp, 10m) - ambient_temp"
[[rule.level]]
name = "critical"
when = "hot && trend > 60[K] && charging != 'no'"
confirm = 3
[[rule.level]]
name = "major"
when = "hot && engine_rpm > 0[rpm]"
hold = "60s"
clear = "coolant_temp < param.coolant_max - 8[K]"
clear_hold = "5m"

[[rule]]
id = "weak-cell"
models = ["ice-g1"]
each = "cell"
severity = "minor"
when = "cell_v < mean(cell_v) - 0.2[V]"
hold = "1m"

[[rule]]
id = "asleep"
models = ["ice-g1"]
severity = "minor"
mode = "off"
when = "ignition"

[[rule]]
id = "vibrates"
models = ["ice-g1"]
severity = "minor"
when = "z(vibration, vib) > 6"
[rule.baseline.vib]
of = "vibration"
by = "engine_rpm/500"
tau = "14d"
min = "10m"

[[rule]]
id = "unlike-others"
models = ["ice-g1"]
severity = "minor"
when = "z(oil_pressure, oil) < -6"
[rule.baseline.oil]
of = "oil_pressure"
from = "fleet"

[[rule]]
id = "no-start"
models = ["ice-g1"]
severity = "minor"
[[rule.step]]
name = "key"
when = "ignition"
[[rule.step]]
name = "turns"
when = "engine_rpm > 100[rpm]"
within = "5m"
unless = "!ignition"
[rule.sequence]
timeout_event = "only"
clear = "engine_rpm > 100[rpm]"

[[rule]]
id = "leaks"
models = ["ice-g1"]
severity = "minor"
when = "slope(idle, 20d) < -0.1[bar/d]"
[rule.sample.idle]
from = "oil_pressure"
when = "engine_rpm < 1000[rpm]"
keep = "min per 1d"

[[rule]]
id = "by-day"
models = ["ice-g1"]
severity = "minor"
when = "oil_pressure < 1[bar]"
[rule.active]
days = "mon-fri"
hours = "06:00-22:00"
[rule.gate]
ingest_healthy = "1m"
expected_off = "!ignition"
[rule.limits]
cooldown = "1h"
flap = { max = 2, per = "1d", then = "latch" }

[[rule]]
id = "elsewhere"
models = ["pump"]
severity = "minor"
mode = "shadow"
when = "flow < 1[m/s]"
"#;

const FLEET: &str = r#"[[baseline]]
model = "ice-g1"
name = "oil"
of = ["oil_pressure[bar]"]
bins = [{ at = [], centre = [4.0], scale = [0.2], n = 5120, devices = 12 }]
"#;

const PUMP: &str =
    "[model]\nid = \"pump\"\ntopics = [\"pump/+/t\"]\n[signal]\nflow = { path = \"f\", unit = \"m/s\" }\n";

struct World {
    engine: Engine,
    program: Arc<rules::Program>,
    registry: Arc<Registry>,
    now: At,
}

fn device(id: &str, model: &str, region: Option<&str>, params: &[(&str, &str)]) -> Device {
    Device {
        id: id.into(),
        model: model.into(),
        kind: "car".into(),
        tz: "UTC".into(),
        parties: Default::default(),
        attrs: region.iter().map(|r| ("region".into(), (*r).into())).collect(),
        params: params.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
    }
}

impl World {
    fn new() -> Self {
        let mut diags = Diagnostics::default();
        let files = [("models/ice-g1.toml", MODEL), ("models/pump.toml", PUMP)];
        let files = files.map(|(path, text)| diags.add_file(path, text));
        let models = Arc::new(model::load(&mut diags, &files));
        let file = diags.add_file("rules/ice.toml", RULES);
        let learned = diags.add_file("config/baselines/ice.toml", FLEET);
        let fleet = rules::Fleet::load(&mut diags, &[learned]);
        let program = Arc::new(rules::load_with(&mut diags, &[file], models, &fleet));
        assert!(!diags.has_errors(), "{}", diags.render(false));
        let devices = [
            device("eu-1", "ice-g1", Some("EU"), &[]),
            device("eu-2", "ice-g1", Some("EU"), &[("coolant_max", "115[degC]")]),
            device("zz-1", "ice-g1", Some("ZZ"), &[]),
            device("bare", "ice-g1", None, &[]),
        ];
        let devices = devices.into_iter().map(|d| (d.id.clone(), d)).collect();
        let registry = Arc::new(Registry { devices, ..Registry::default() });
        let engine = Engine::new(program.clone(), registry.clone());
        let mut world = Self { engine, program, registry, now: At::from_secs(1_767_225_600) };
        world.wait(1);
        world
    }

    /// A message of each device, every ten seconds.
    fn send(&mut self, device: &str, times: usize, fields: &str) {
        for _ in 0..times {
            self.send_at(device, self.now, fields);
            self.wait(10);
        }
    }

    /// A message now, of another time.
    fn send_at(&mut self, device: &str, at: At, fields: &str) {
        let binding = self.program.models().bind(&format!("ice/{device}/t")).expect("a topic");
        let payload = format!("{{\"ts\":{},{fields}}}", at.as_secs());
        let sent = self.engine.message(&binding, payload.as_bytes(), self.now, false, &mut Vec::new());
        assert!(sent.is_ok(), "{payload}");
    }

    /// Time passes, and is marked.
    fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now = self.now + Span::from_secs(1);
            self.engine.clock(self.now, &mut Vec::new());
        }
    }

    fn explain(&mut self, rule: &str, device: &str) -> Explanation {
        self.engine.explain(rule, &DeviceId::from(device), None).expect("a rule")
    }
}

fn golden(name: &str, told: &Explanation) {
    golden_with(name, told, &[]);
}

/// With what the desk has to say of it.
fn golden_with(name: &str, told: &Explanation, desk: &[&str]) {
    let explained = Explained { rule: told.clone(), desk: desk.iter().map(|s| (*s).to_owned()).collect() };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/explain");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, render(&explained, false)));
    let json = serde_json::to_string(&explained).expect("plain data");
    assert_eq!(serde_json::from_str::<Explained>(&json).expect("as written"), explained, "{json}");
}

#[test]
fn what_the_desk_holds_back_is_told_with_it() {
    let mut world = World::new();
    for second in [1, 61] {
        world.send("eu-1", second, HOT);
    }
    let told = world.explain("coolant-overheat", "eu-1");
    assert!(told.state == "major" && told.episode.is_some());
    golden_with("held", &told, &["Case 5f2c is held; it waits for news of its parent gw, until 2026-01-01T00:03:01Z."]);
}

const COLD: &str = "\"ct\":88,\"rpm\":900,\"at\":20,\"ign\":true,\"chg\":\"no\"";
const HOT: &str = "\"ct\":113,\"rpm\":900,\"at\":20,\"ign\":true,\"chg\":\"no\"";

#[test]
fn every_state_is_explained() {
    type Happens = fn(&mut World);
    let cases: [(&str, &str, Happens); 13] = [
        ("fired", "eu-1", |w| w.send("eu-1", 8, HOT)),
        ("fired_critical", "eu-1", |w| w.send("eu-1", 40, "\"ct\":113,\"rpm\":900,\"at\":20,\"chg\":\"dc\"")),
        ("pending", "eu-1", |w| w.send("eu-1", 4, HOT)),
        ("pending_paused_by_a_gap", "eu-1", |w| {
            w.send("eu-1", 3, HOT);
            w.wait(300);
        }),
        ("clearing", "eu-1", |w| {
            w.send("eu-1", 8, HOT);
            w.send("eu-1", 5, COLD);
        }),
        ("false", "eu-1", |w| w.send("eu-1", 3, COLD)),
        ("a_clock_that_is_ahead", "eu-1", |w| {
            w.send("eu-1", 3, COLD);
            w.send_at("eu-1", w.now + Span::from_hours(4), COLD);
        }),
        ("unknown_never_sent", "eu-1", |w| w.send("eu-1", 3, "\"ct\":113")),
        ("unknown_old", "eu-1", |w| {
            w.send("eu-1", 3, COLD);
            w.wait(3 * 3_600);
        }),
        ("unknown_unusable", "eu-1", |w| w.send("eu-1", 3, "\"ct\":900,\"rpm\":900")),
        ("param_of_the_registry", "eu-2", |w| w.send("eu-2", 3, HOT)),
        ("not_watching", "zz-1", |w| w.send("zz-1", 3, HOT)),
        ("where_unknown", "bare", |w| w.send("bare", 3, HOT)),
    ];
    for (name, device, happens) in cases {
        let mut world = World::new();
        happens(&mut world);
        golden(name, &world.explain("coolant-overheat", device));
    }
}

/// What is learned, taken in order, sampled and barred is explained with how far it is.
#[test]
fn what_a_rule_has_learned_and_waits_for_is_explained() {
    type Happens = fn(&mut World);
    let cases: [(&str, &str, Happens); 14] = [
        ("baseline_too_young", "vibrates", |w| w.send("eu-1", 30, "\"rpm\":900,\"vib\":2.1")),
        ("baseline_few_samples", "vibrates", |w| w.send("eu-1", 3, "\"rpm\":900,\"vib\":2.1")),
        ("baseline_known", "vibrates", |w| {
            w.send("eu-1", 40, "\"rpm\":900,\"vib\":2.1");
            w.send("eu-1", 40, "\"rpm\":1100,\"vib\":2.5");
            w.send("eu-1", 2, "\"rpm\":3000,\"vib\":4");
            w.send("eu-1", 2, "\"rpm\":900,\"vib\":2.2");
        }),
        ("baseline_frozen", "vibrates", |w| {
            w.send("eu-1", 40, "\"rpm\":900,\"vib\":2.1");
            w.send("eu-1", 40, "\"rpm\":900,\"vib\":2.5");
            w.send("eu-1", 2, "\"rpm\":900,\"vib\":20");
        }),
        ("baseline_without_regime", "vibrates", |w| w.send("eu-1", 3, "\"vib\":2.1")),
        ("baseline_of_the_fleet", "unlike-others", |w| w.send("eu-1", 3, "\"op\":3.9")),
        ("steps_none", "no-start", |w| w.send("eu-1", 3, "\"ign\":false,\"rpm\":0")),
        ("steps_awaited", "no-start", |w| w.send("eu-1", 7, "\"ign\":true,\"rpm\":0")),
        ("steps_missed", "no-start", |w| w.send("eu-1", 40, "\"ign\":true,\"rpm\":0")),
        ("sample_none", "leaks", |w| w.send("eu-1", 3, "\"op\":3.9,\"rpm\":2000")),
        ("sample_runs", "leaks", |w| w.send("eu-1", 3, "\"op\":3.9,\"rpm\":900")),
        ("barred_by_hours", "by-day", |w| w.send("eu-1", 3, "\"op\":0.4,\"ign\":true")),
        ("barred_by_cooldown", "by-day", |w| {
            w.wait(7 * 3_600);
            w.send("eu-1", 3, "\"op\":0.4,\"ign\":true");
            w.send("eu-1", 3, "\"op\":2,\"ign\":true");
            w.send("eu-1", 3, "\"op\":0.4,\"ign\":false");
        }),
        ("latched", "by-day", |w| {
            w.wait(7 * 3_600);
            for _ in 0..3 {
                w.send("eu-1", 3, "\"op\":0.4,\"ign\":true");
                w.send("eu-1", 370, "\"op\":2,\"ign\":true");
            }
        }),
    ];
    for (name, rule, happens) in cases {
        let mut world = World::new();
        happens(&mut world);
        golden(name, &world.explain(rule, "eu-1"));
    }
}

/// A recording of two devices; the answer is that of the instant asked for, whatever came later.
#[test]
fn a_recording_explains_a_past_instant() {
    let world = World::new();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("fleet.csv");
    let row = |second: i64, device: &str, temp: i64| {
        let at = At::from_secs(1_767_225_600 + second);
        format!("{at},{device},{temp},900\n")
    };
    let rows = (0..30).flat_map(|i| [row(i * 10, "eu-1", if i < 20 { 113 } else { 88 }), row(i * 10, "eu-2", 90)]);
    std::fs::write(&path, format!("ts,device,coolant_temp,engine_rpm\n{}", rows.collect::<String>())).expect("a file");
    let asked = |rule: &str, seconds: Option<i64>| {
        let models = world.program.models().clone();
        let fleet = Fleet { models, registry: world.registry.clone(), model: Some(0) };
        let at = seconds.map(|s| At::from_secs(1_767_225_600 + s));
        let question = Question { rule: rule.into(), device: "eu-1".into(), component: None, at };
        ask(Recording::open(&path, fleet).expect("a recording"), &world.program, &world.registry, &question)
    };
    for (seconds, state) in
        [(Some(30), "pending (major)"), (Some(61), "major"), (Some(199), "major"), (None, "major, clearing")]
    {
        let told = asked("coolant-overheat", seconds).expect("an answer");
        assert_eq!(told.state, state, "at {seconds:?}: {:?}", told.why);
        assert!(seconds.is_none() || told.at.map(|at| at.as_secs() - 1_767_225_600) == seconds, "{:?}", told.at);
    }
    assert!(matches!(asked("coolant-overhaet", None), Err(AskError::Rule(_))));
}

#[test]
fn of_several_parts_the_one_that_is_furthest_on_is_explained() {
    let mut world = World::new();
    world.send("eu-1", 4, "\"cells\":[3.9,3.8,2.9]");
    let told = world.explain("weak-cell", "eu-1");
    assert_eq!(told.component.as_ref().map(|c| c.as_str()), Some("cell[2]"));
    golden("component", &told);
    let other = world.engine.explain("weak-cell", &DeviceId::from("eu-1"), Some("cell[0]")).expect("a rule");
    assert!(other.state == "ok" && other.why[0].contains("cell_v is 3.9 V, needs <"), "{:?}", other.why);
    let missing = world.engine.explain("weak-cell", &DeviceId::from("eu-1"), Some("cell[7]")).expect("a rule");
    assert_eq!(missing.why, ["Nothing was heard of cell[7] of eu-1."]);
}

#[test]
fn what_is_not_evaluated_is_explained_too() {
    let mut world = World::new();
    world.send("eu-1", 1, HOT);
    for (rule, device, state, says) in [
        ("asleep", "eu-1", "off", "The rule is off"),
        ("elsewhere", "eu-1", "not watched", "watches devices of pump, and eu-1 is a 'ice-g1'"),
        ("coolant-overheat", "eu-2", "never heard", "Nothing was heard of eu-2 yet."),
        ("coolant-overheat", "zz-1", "not watched", "device.region is 'ZZ', needs != 'ZZ'"),
        ("coolant-overheat", "nobody", "never heard", "it is not in the registry"),
    ] {
        let told = world.explain(rule, device);
        assert_eq!(told.state, state, "{rule} {device}: {told:?}");
        assert!(told.why.join(" ").contains(says), "{rule} {device}: {:?}", told.why);
    }
    let error = world.engine.explain("coolant-overhaet", &DeviceId::from("eu-1"), None).expect_err("no such rule");
    assert_eq!(error.near.map(|r| r.to_string()), Some("coolant-overheat".to_owned()));
}
