//! A fleet in virtual time: TOML in, one line for each detection out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{At, Change, Detection, Device, DeviceId, Registry};
use crate::engine::Engine;
use crate::model::{self, CodeTables, Models};
use crate::rules::{self, Program};
use crate::source::Diagnostics;

/// 2026-01-01T00:00:00Z in seconds: where virtual time starts.
pub(super) const START: i64 = 1_767_225_600;

/// What some codes mean.
pub(super) const CODES: &str = "code,class,severity,text\nP0301,misfire,major,Cylinder 1 misfires\nP03*,misfire,minor,A cylinder misfires\nP0420,emission,,Catalyst below threshold\nP0524,oil,critical,Oil pressure too low\n";

/// A model with one of everything. `{extra}` goes to the head of the model.
pub(super) fn model(extra: &str) -> String {
    format!(
        r#"
[model]
id = "m"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = {{ format = "json" }}
timestamp = {{ path = "ts", unit = "s" }}
{extra}
[signal]
x = {{ path = "x" }}
y = {{ path = "y" }}
temp = {{ path = "temp", unit = "degC", valid = "-40 <= _ <= 150", na = [-40] }}
volt = {{ path = "volt", unit = "V", ttl = "never" }}
on = {{ path = "on", type = "bool", ttl = "never" }}
mode = {{ path = "mode", type = "enum", values = ["no", "ac", "dc"], ttl = "never" }}
word = {{ path = "word", type = "text", ttl = "never" }}
code = {{ path = "code", type = "text", kind = "event" }}
litres = {{ path = "litres", kind = "event" }}
km = {{ path = "km", unit = "km", kind = "counter" }}
ticks = {{ path = "ticks", kind = "counter", rollover = 65536 }}
cell_v = {{ path = "cells", unit = "V", each = "cell", valid = "0 <= _ <= 5" }}
cell_t = {{ path = "temps", unit = "degC", each = "probe" }}
dtc = {{ path = "dtc", type = "codes" }}
alarm = {{ path = "alarm", type = "codes", send = "new", ttl = "1m" }}
door = {{ path = "doors", values = ["open", "closing", "reopening"], each = "door", ttl = "never" }}
part_no = {{ path = "part_no", type = "text", each = "door", ttl = "never" }}
[params]
limit = "5"
wait = "30s"
[facts]
x = "x"
word = "word"
"#
    )
}

/// The usual head: a report every 10 s, no reordering.
pub(super) const HEAD: &str = "report_every = \"10s\"\nbackfill_after = \"10m\"\nmax_future = \"2m\"\n";

/// A rule of one level called `major`; `body` says the rest.
pub(super) fn rule(body: &str) -> String {
    format!("[[rule]]\nid = \"r\"\nmodels = [\"m\"]\nseverity = \"major\"\n{body}\n")
}

pub(super) fn program(model_text: &str, rules_text: &str) -> Arc<Program> {
    program_with(model_text, rules_text, CODES)
}

/// The same with another code table `obd2`.
pub(super) fn program_with(model_text: &str, rules_text: &str, codes: &str) -> Arc<Program> {
    let mut diags = Diagnostics::default();
    let models = diags.add_file("models/m.toml", model_text);
    let codes = diags.add_file("codes/obd2.csv", codes);
    let models = model::load(&mut diags, &[models]).with_codes(CodeTables::load(&mut diags, &[codes]));
    let models: Arc<Models> = Arc::new(models);
    let file = diags.add_file("rules/r.toml", rules_text);
    let program = rules::load(&mut diags, &[file], models);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Arc::new(program)
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) program: Arc<Program>,
    pub(super) out: Vec<Detection>,
    /// Seconds since START, as on the wall.
    pub(super) now: i64,
    model_text: String,
    registry: Arc<Registry>,
    /// Everything that was heard: the journal.
    heard: Vec<Heard>,
}

enum Heard {
    Said { at: At, topic: String, payload: String, retained: bool },
    Mark(At),
}

impl World {
    pub(super) fn new(model_text: &str, rules_text: &str) -> Self {
        Self::with_registry(model_text, rules_text, Registry::default())
    }

    pub(super) fn with_registry(model_text: &str, rules_text: &str, registry: Registry) -> Self {
        let program = program(model_text, rules_text);
        let (registry, model_text) = (Arc::new(registry), model_text.to_owned());
        let engine = Engine::new(program.clone(), registry.clone());
        Self { engine, program, out: Vec::new(), now: 0, model_text, registry, heard: Vec::new() }
    }

    /// Everything in memory is lost but the snapshots.
    pub(super) fn restart(&mut self) {
        let snapshots: Vec<Vec<u8>> = (0..=u8::MAX).map(|shard| self.engine.snapshot(shard)).collect();
        self.engine = Engine::new(self.program.clone(), self.registry.clone());
        for (shard, bytes) in (0..=u8::MAX).zip(snapshots) {
            self.engine.restore(shard, &bytes).expect("snapshot");
        }
    }

    /// Goes over to other rules.
    pub(super) fn reload(&mut self, rules_text: &str) {
        self.program = program(&self.model_text, rules_text);
        let at = At::from_secs(START + self.now);
        self.engine.reload(self.program.clone(), self.registry.clone(), at, &mut self.out);
    }

    /// With the next reload the model is this one.
    pub(super) fn edit_model(&mut self, model_text: &str) {
        model_text.clone_into(&mut self.model_text);
    }

    /// Goes over to other rules, and refills what is new from all that was heard.
    pub(super) fn reload_warm(&mut self, rules_text: &str) {
        self.reload(rules_text);
        let (mut past, mut unsaid) = (self.engine.anew(), Vec::new());
        for heard in &self.heard {
            match heard {
                Heard::Mark(at) => past.clock(*at, &mut unsaid),
                Heard::Said { at, topic, payload, retained } => {
                    let binding = self.program.models().bind(topic).expect("topic");
                    past.message(&binding, payload.as_bytes(), *at, *retained, &mut unsaid).expect("payload");
                }
            }
        }
        self.engine.cold().into_iter().for_each(|shard| self.engine.refill(shard, &past));
    }

    /// Goes over to another registry.
    pub(super) fn enrol(&mut self, registry: Registry) {
        self.registry = Arc::new(registry);
        let at = At::from_secs(START + self.now);
        self.engine.reload(self.program.clone(), self.registry.clone(), at, &mut self.out);
    }

    /// A message of device `d` at `now`, without a mark.
    pub(super) fn send(&mut self, fields: &str) {
        self.send_at(self.now, fields);
    }

    /// A message of device `d` with device time `te`, arriving at `now`.
    pub(super) fn send_at(&mut self, te: i64, fields: &str) {
        self.send_as("d", Some(te), fields, false);
    }

    pub(super) fn send_as(&mut self, device: &str, te: Option<i64>, fields: &str, retained: bool) {
        let topic = format!("f/{device}/t");
        let binding = self.program.models().bind(&topic).expect("topic");
        let payload = match te {
            Some(te) => format!("{{\"ts\":{},{fields}}}", START + te),
            None => format!("{{{fields}}}"),
        };
        let at = At::from_secs(START + self.now);
        self.engine.message(&binding, payload.as_bytes(), at, retained, &mut self.out).expect("payload");
        self.heard.push(Heard::Said { at, topic, payload, retained });
    }

    /// Marks every second up to `to`.
    pub(super) fn run_to(&mut self, to: i64) {
        while self.now < to {
            self.now += 1;
            self.mark();
        }
    }

    /// Time passes without marks: our own outage.
    pub(super) fn outage_to(&mut self, to: i64) {
        self.now = to;
        self.mark();
    }

    fn mark(&mut self) {
        let at = At::from_secs(START + self.now);
        self.engine.clock(at, &mut self.out);
        self.heard.push(Heard::Mark(at));
    }

    /// A message every `step` seconds from `now` up to and including `to`, with marks in between.
    pub(super) fn every(&mut self, step: i64, to: i64, fields: &str) {
        while self.now <= to {
            self.send(fields);
            let next = self.now + step;
            if next > to {
                return;
            }
            self.run_to(next);
        }
    }

    /// How often `name` has been counted since this was last asked.
    pub(super) fn counted(&mut self, name: &str) -> u64 {
        self.engine.take_counts().into_iter().filter(|((n, _), _)| *n == name).map(|(_, n)| n).sum()
    }

    /// `(change, level, device time)` of what was detected since the last call.
    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out).iter().map(line).collect()
    }
}

/// `Raised major 30 from 0`: times in seconds since START.
pub(super) fn line(d: &Detection) -> String {
    let level = d.level.as_ref().map_or("-", |l| l.name.as_str());
    let at = |at: At| at.as_secs() - START;
    let historical = if d.historical { " historical" } else { "" };
    match d.change {
        Change::Raised => format!("Raised {level} {} from {}{historical}", at(d.event_at), at(d.started_at)),
        change => format!("{change:?} {level} {}{historical}", at(d.event_at)),
    }
}

pub(super) fn device(id: &str, attrs: &[(&str, &str)], params: &[(&str, &str)]) -> Device {
    let map = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>();
    Device {
        id: DeviceId::from(id),
        model: "m".into(),
        kind: "pump".into(),
        tz: "UTC".into(),
        parties: BTreeMap::new(),
        attrs: map(attrs),
        params: map(params),
    }
}

pub(super) fn registry(devices: Vec<Device>) -> Registry {
    Registry { devices: devices.into_iter().map(|d| (d.id.clone(), d)).collect(), customers: BTreeMap::new() }
}
