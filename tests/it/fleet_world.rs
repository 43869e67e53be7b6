//! A few cars and the real engine for the simulated world: telemetry as cars send it over a bad network, the journal,
//! states saved now and then, and what a restart makes of both.

#![expect(clippy::unwrap_used, reason = "a helper of tests: an unexpected error is a failed test")]
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use forewarn::domain::{At, Detection, DeviceId, Registry, Span, shard_of};
use forewarn::engine::{Engine, FactsOf};
use forewarn::source::Diagnostics;
use forewarn::{model, rules};

use super::desk_world::{Rng, add_files, start};

/// What stands in the journal.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Message { topic: String, payload: String },
    Clock,
}

/// The engine, its journal, and the states that were saved.
pub(crate) struct Cars {
    program: Arc<rules::Program>,
    registry: Arc<Registry>,
    engine: Engine,
    journal: Vec<(At, Entry)>,
    /// By shard: how much of the journal the state knows, and the state.
    saved: BTreeMap<u8, (usize, Vec<u8>)>,
    /// What came out, in the order it first came.
    pub(crate) detections: Vec<Detection>,
    replayed: usize,
}

/// The shipped models and rules.
fn program() -> Arc<rules::Program> {
    static PROGRAM: OnceLock<Arc<rules::Program>> = OnceLock::new();
    let load = || {
        let mut diags = Diagnostics::default();
        let files = add_files(&mut diags, "config/models");
        let models = Arc::new(model::load(&mut diags, &files));
        let files = add_files(&mut diags, "config/rules");
        let program = rules::load(&mut diags, &files, models);
        assert!(diags.list().is_empty(), "{}", diags.render(false));
        Arc::new(program)
    };
    PROGRAM.get_or_init(load).clone()
}

impl Cars {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        let shards = registry.devices.keys().map(|d| (shard_of(d.as_str()), (0, Vec::new()))).collect();
        Self {
            program: program(),
            engine: Engine::new(program(), registry.clone()),
            registry,
            journal: Vec::new(),
            saved: shards,
            detections: Vec::new(),
            replayed: 0,
        }
    }

    /// Writes an entry to the journal and takes it in.
    pub(crate) fn take_in(&mut self, at: At, entry: Entry) -> Vec<Detection> {
        let out = apply(&mut self.engine, &self.program, at, &entry);
        self.journal.push((at, entry));
        self.detections.extend(out.iter().cloned());
        out
    }

    pub(crate) fn watch(&mut self, device: &DeviceId, on: bool) {
        self.engine.watch(device, on);
    }

    pub(crate) fn facts(&mut self) -> Vec<FactsOf> {
        let mut out = Vec::new();
        self.engine.changed_facts(&mut out);
        out
    }

    /// Saves the state of one shard: everything it has told is committed.
    pub(crate) fn save(&mut self, rng: &mut Rng) {
        let shards: Vec<u8> = self.saved.keys().copied().collect();
        let shard = shards[usize::try_from(rng.below(u64::try_from(shards.len()).unwrap())).unwrap()];
        self.saved.insert(shard, (self.journal.len(), self.engine.snapshot(shard)));
    }

    /// The engine has died: a new one of the saved states and the journal since, and what it says on the way.
    pub(crate) fn restart(&mut self, watched: &[DeviceId]) -> Vec<Detection> {
        self.engine = Engine::new(self.program.clone(), self.registry.clone());
        for (shard, (known, state)) in &self.saved {
            if *known > 0 {
                self.engine.restore(*shard, state).unwrap();
            }
        }
        let from = self.saved.values().map(|(known, _)| *known).min().unwrap_or(0);
        let mut out = Vec::new();
        for (pos, (at, entry)) in self.journal.iter().enumerate().skip(from) {
            if let Entry::Message { topic, .. } = entry {
                let shard = shard_of(self.program.models().bind(topic).unwrap().device.as_str());
                if pos < self.saved[&shard].0 {
                    continue;
                }
            }
            out.extend(apply(&mut self.engine, &self.program, *at, entry));
            self.replayed += 1;
        }
        for device in watched {
            self.engine.watch(device, true);
        }
        out
    }

    /// What an engine that never died says of the same journal.
    pub(crate) fn undisturbed(&self) -> Vec<Detection> {
        let mut engine = Engine::new(self.program.clone(), self.registry.clone());
        self.journal.iter().flat_map(|(at, entry)| apply(&mut engine, &self.program, *at, entry)).collect()
    }

    pub(crate) fn entries(&self) -> (usize, usize) {
        (self.journal.len(), self.replayed)
    }
}

fn apply(engine: &mut Engine, program: &rules::Program, at: At, entry: &Entry) -> Vec<Detection> {
    let mut out = Vec::new();
    match entry {
        Entry::Clock => engine.clock(at, &mut out),
        Entry::Message { topic, payload } => {
            let binding = program.models().bind(topic).unwrap();
            // What cannot be decoded goes to the quarantine, and nothing else comes of it.
            let decoded = engine.message(&binding, payload.as_bytes(), at, false, &mut out);
            assert_eq!(decoded.is_err(), payload == BROKEN);
        }
    }
    out
}

const BROKEN: &str = "{\"ts\":";

/// What happens to each car.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A front brake circuit bursts while it drives; it stops some minutes later.
    Brake,
    /// It is parked, and uploads the voltages of three weeks.
    Battery,
    /// It drives.
    Healthy,
}

/// What a car sends: when it arrives, and what.
pub(crate) fn telemetry(rng: &mut Rng, device: &str, fate: Fate) -> Vec<(Span, Entry)> {
    let mut sent = Vec::new();
    match fate {
        Fate::Battery => {
            let begins = rng.between(10, 300);
            for i in 0..130_i64 {
                // Every four hours since three weeks ago.
                let at = start() + Span::from_secs(begins) - Span::from_hours(4 * (129 - i));
                let volts = 12.55 - 0.0042 * f64::from(i32::try_from(i).unwrap()) + rng.noise(0.004);
                let body = format!(
                    "{{\"ts\":{},\"v12\":{volts:.3},\"ign\":false,\"pos\":{{\"lat\":48.2,\"lon\":16.37}}}}",
                    at.as_micros() / 1_000
                );
                sent.push((Span::from_secs(begins) + Span::from_millis(i * 40), body));
            }
        }
        Fate::Brake | Fate::Healthy => {
            let bursts = rng.between(60, 400);
            let stops = bursts + rng.between(150, 450);
            for i in 0..90 {
                let t = i * 10 + rng.between(0, 2);
                let standing = fate == Fate::Brake && t > stops;
                let burst = fate == Fate::Brake && t > bursts;
                let speed = if standing { 0.0 } else { 60.0 + rng.noise(20.0) };
                let pedal = if (burst || i % 3 != 0) && !standing { 40.0 } else { 0.0 };
                let bar = if pedal > 0.0 { 30.0 + rng.noise(5.0) } else { 0.2 };
                let left = if burst { 0.4 } else { bar };
                let lat = 48.2 + f64::from(i32::try_from(t.min(stops)).unwrap()) * 0.0001;
                let body = format!(
                    "{{\"ts\":{},\"speed\":{speed:.1},\"pedal\":{pedal},\"brake\":{{\"fl\":{left:.2},\"fr\":{bar:.2}}},\
                     \"v12\":14.1,\"ign\":true,\"pos\":{{\"lat\":{lat:.5},\"lon\":16.37}}}}",
                    (start() + Span::from_secs(t)).as_micros() / 1_000
                );
                sent.push((Span::from_secs(t) + Span::from_millis(rng.between(50, 900)), body));
            }
        }
    }
    let mut arrives = Vec::new();
    for (at, payload) in sent {
        let late = Span::from_secs(if rng.percent(8) { rng.between(1, 25) } else { 0 });
        let broken = rng.percent(1);
        let payload = if broken { BROKEN.to_owned() } else { payload };
        let entry = Entry::Message { topic: format!("fleet/{device}/telemetry"), payload };
        if rng.percent(5) {
            // QoS 1: once more, after a reconnect.
            arrives.push((at + late + Span::from_secs(rng.between(1, 40)), entry.clone()));
        }
        if !rng.percent(4) {
            arrives.push((at + late, entry));
        }
    }
    arrives
}
