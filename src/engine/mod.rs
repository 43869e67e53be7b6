//! The detection core: messages and time in, detections out. No clock, no I/O.
//!
//! An [`Engine`] owns the states of the devices of some shards. A message is reduced to the slots its model's rules
//! read, put in order (T1-T4), worked into the operators it touches, and only the rules that read one of its signals
//! are looked at. Between messages [`Engine::clock`] lets the time of each device run on, and a queue of deadlines
//! finds the few devices for which that matters.
//!
//! The same entries give the same detections, byte for byte: a device's state depends on its own messages and the
//! clock marks of its shard alone, so neither threads nor restarts change anything.
//!
//! **Healthy time.** Marks are written only while ingest is healthy. A shard counts the time between marks that are at
//! most [`Settings::mark_gap`] apart; a longer gap is our own outage and does not count, and after it no timer fires
//! for [`Settings::grace`]. Silence and the running-on of device clocks are measured in this time (T5).

mod bars;
mod carry;
mod census;
mod counts;
mod device;
mod emit;
mod explain;
mod fold;
mod gauge;
mod learning;
mod level;
mod look;
mod ops;
mod part;
mod past;
mod profile;
mod reduce;
mod skew;
mod state;
mod steps;
#[cfg(test)]
mod tests;
mod timers;
mod trace;
mod vm;
mod warm;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::decode::{self, Messages, sparkplug};
use crate::domain::{At, Detection, DeviceId, ModelId, Registry, SHARDS, Span, Value, shard_of};
use crate::model::{Binding, Message, Subject};
use crate::rules::{ModelProgram, Program};
use device::{Device, Sample, Scratch, Work};
use profile::Profiles;
use reduce::reduce;
use warm::Cold;

pub use census::watched;
pub use counts::Count;
pub use explain::{Explanation, LevelNow, NoSuchRule, Part, Wait, WrongClock};
pub use gauge::Gauge;
pub(crate) use learning::Newest;
pub use level::Phase;
pub use state::Error;
pub use trace::Turn;

/// Device times before 2015 are a clock that was never set (T1).
const OLDEST: i64 = 1_420_070_400_000_000;

/// What an operator of the program may want to be otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Clock marks further apart than this are an outage of our own.
    pub mark_gap: Span,
    /// After an outage no timer fires for so long.
    pub grace: Span,
}

impl Default for Settings {
    /// 5 s and 60 s.
    fn default() -> Self {
        Self { mark_gap: Span::from_secs(5), grace: Span::from_secs(60) }
    }
}

/// Facts of a watched device that have changed: the device, its time, and the values by name.
pub type FactsOf = (DeviceId, At, BTreeMap<String, Value>);

/// The device states of the shards that one thread owns. Make one for each thread.
#[derive(Debug)]
pub struct Engine {
    program: Arc<Program>,
    registry: Arc<Registry>,
    settings: Settings,
    shards: Vec<Shard>,
    /// By model.
    profiles: Vec<Profiles>,
    /// Ends of episodes that were found on loading and not told yet.
    pending: Vec<Detection>,
    /// By shard and model: what was new when its state was loaded.
    cold: Vec<BTreeMap<u16, Cold>>,
    /// What the desk was told last of the devices it watches; `Unknown` for what it was not told.
    watched: BTreeMap<DeviceId, BTreeMap<String, Value>>,
    /// Watched devices that may have something new.
    changed: BTreeSet<DeviceId>,
    scratch: Scratch,
    sample: Sample,
    messages: Messages,
    births_wanted: Vec<Arc<str>>,
}

/// The devices of one of the 256 shards.
#[derive(Debug)]
struct Shard {
    clock: ShardClock,
    /// By model: device to index in `devices`.
    index: Vec<HashMap<DeviceId, u32, BuildHasherDefault<IdHasher>>>,
    devices: Vec<Device>,
    /// Sparkplug edge nodes, by model and `group/edge`.
    nodes: BTreeMap<(ModelId, String), sparkplug::Node>,
    /// Healthy time and device. An entry that a device does not know as its own is out of date.
    queue: BinaryHeap<Reverse<(i64, u32)>>,
    /// Whether more than the clock has changed since [`Engine::saved`].
    changed: bool,
}

/// The clock of a shard, moved by marks alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardClock {
    /// The newest mark; 0 for none.
    mark: i64,
    /// Healthy time so far.
    healthy: i64,
    /// No timer fires before.
    grace_until: i64,
    /// Healthy time when our last outage ended.
    steady: i64,
}

impl Engine {
    /// An engine without devices.
    #[must_use]
    pub fn new(program: Arc<Program>, registry: Arc<Registry>) -> Self {
        let models = program.models.len();
        Self {
            shards: (0..SHARDS).map(|_| Shard::new(models)).collect(),
            profiles: (0..models).map(|_| Profiles::default()).collect(),
            program,
            registry,
            settings: Settings::default(),
            pending: Vec::new(),
            cold: vec![BTreeMap::new(); SHARDS],
            watched: BTreeMap::new(),
            changed: BTreeSet::new(),
            scratch: Scratch::default(),
            sample: Sample::default(),
            messages: Messages::default(),
            births_wanted: Vec::new(),
        }
    }

    /// The same engine with other settings.
    #[must_use]
    pub fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Takes in a message. A message that cannot be decoded as a whole changes nothing.
    pub fn message(
        &mut self,
        binding: &Binding,
        payload: &[u8],
        received_at: At,
        retained: bool,
        out: &mut Vec<Detection>,
    ) -> Result<(), decode::Error> {
        let Some(model) = self.program.models.get(binding.model).map(|p| &p.model) else { return Ok(()) };
        let fingerprint = xxh3_64(payload);
        if let Subject::Edge(edge) = binding.subject {
            let shard = &mut self.shards[usize::from(shard_of(binding.device.as_str()))];
            shard.changed = true;
            let name = sparkplug::node_of(binding.device.as_str());
            let node = shard.nodes.entry((model.id.clone(), name.into())).or_default();
            let taken = node.take(model, &binding.device, edge, payload, received_at)?;
            if taken.ask {
                self.births_wanted.push(name.into());
            }
            for (i, (device, message)) in (0..).zip(taken.said) {
                let binding = Binding { device, ..binding.clone() };
                self.apply(&binding, &message, fingerprint ^ i, received_at, retained, out);
            }
            return Ok(());
        }
        let mut messages = std::mem::take(&mut self.messages);
        let decoded = decode::decode(model, binding, payload, received_at, &mut messages);
        for (i, message) in (0..).zip(messages.as_slice()) {
            self.apply(binding, message, fingerprint ^ i, received_at, retained, out);
        }
        self.messages = messages;
        decoded
    }

    /// The Sparkplug nodes (`group/edge`) that must be asked for a birth, since the last call.
    pub fn births_wanted(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.births_wanted)
    }

    /// Takes in a decoded message. `fingerprint` tells messages of one device and device time apart (D1).
    pub fn apply(
        &mut self,
        binding: &Binding,
        message: &Message,
        fingerprint: u64,
        received_at: At,
        retained: bool,
        out: &mut Vec<Detection>,
    ) {
        out.append(&mut self.pending);
        let Some(model) = self.program.models.get(binding.model) else { return };
        let shard = &mut self.shards[usize::from(shard_of(binding.device.as_str()))];
        shard.changed = true;
        let healthy = shard.clock.at(received_at.as_micros(), self.settings);
        let ix = match shard.index[binding.model].get(&binding.device) {
            Some(ix) => *ix as usize,
            None => {
                let profile = self.profiles[binding.model].of(model, self.registry.devices.get(&binding.device));
                let model_ix = u16::try_from(binding.model).unwrap_or(u16::MAX);
                shard.insert(Device::new(binding.device.clone(), model_ix, profile, model, healthy), model)
            }
        };
        let device = &mut shard.devices[ix];
        if let Some(aside) = &mut device.aside {
            aside.steady = shard.clock.steady;
        }
        if message.is_aside() {
            let sample = &mut self.sample;
            *sample = Sample { received_at: received_at.as_micros(), healthy, ..Sample::default() };
            reduce(model, message, sample, &mut self.scratch.counts);
            if message.presence == Some(true) && !retained {
                device.life.heard = healthy;
            }
            device.presence(&mut Work { program: model, scratch: &mut self.scratch, out }, sample);
            shard.schedule(ix, model);
            return;
        }
        let sent = message.event_at.map(At::as_micros).filter(|te| *te >= OLDEST);
        // Without a time of its own a message cannot be told from the next one that says the same.
        if let Some(te) = sent
            && device.is_repeated(received_at.as_micros(), xxh3_64_with_seed(&te.to_le_bytes(), fingerprint))
        {
            return;
        }
        let skew = device.aside.as_mut().and_then(|a| a.skew.as_mut()).map_or(0, |skew| {
            // What is retained was sent at any time before.
            if let Some(te) = sent.filter(|_| !retained) {
                skew.learn(te, received_at.as_micros());
            }
            skew.offset
        });
        let sent = sent.map(|te| te - skew);
        let stamp = Stamp::of(model, sent, received_at.as_micros());
        if let Some(te) = sent.filter(|_| stamp.ahead) {
            self.scratch.counts.one("forewarn_clock_skew_total", [("model", model.model.id.as_str())]);
            device.aside.get_or_insert_default().ahead.note(te, received_at.as_micros());
        }
        // A will is the broker's word, not the device's.
        if !retained && message.presence != Some(false) {
            device.life.heard = healthy;
        }
        let sample = &mut self.sample;
        sample.at = stamp.at;
        sample.received_at = received_at.as_micros();
        // Last known is not fresh: it does not say what time the device has now.
        let clock = device.life.clock;
        sample.healthy =
            if retained && clock != i64::MIN { device.life.anchor.saturating_add(stamp.at - clock) } else { healthy };
        sample.historical = stamp.historical || message.historical;
        reduce(model, message, sample, &mut self.scratch.counts);
        if retained {
            // What happened once does not happen again because the broker remembers it.
            sample.values.retain(|(slot, _)| !model.is_event(*slot));
            sample.parts.retain(|said| !model.is_event(said.slot));
        }
        if retained && sent.is_none() {
            device.fill(model, sample);
        } else {
            device.accept(&mut Work { program: model, scratch: &mut self.scratch, out }, sample);
        }
        if !self.watched.is_empty() && self.watched.contains_key(&binding.device) {
            self.changed.insert(binding.device.clone());
        }
        shard.schedule(ix, model);
    }

    /// A mark of the wall clock, written while ingest is healthy (T5): lets the time of all devices run on to it.
    pub fn clock(&mut self, at: At, out: &mut Vec<Detection>) {
        out.append(&mut self.pending);
        for shard in &mut self.shards {
            if !shard.clock.mark(at.as_micros(), self.settings) {
                continue;
            }
            for ix in shard.due() {
                shard.changed = true;
                let device = &mut shard.devices[ix];
                if let Some(aside) = &mut device.aside {
                    aside.steady = shard.clock.steady;
                }
                let model = &self.program.models[usize::from(device.model)];
                let mut work = Work { program: model, scratch: &mut self.scratch, out };
                device.advance(&mut work, shard.clock.healthy, at.as_micros());
                shard.schedule(ix, model);
            }
        }
    }

    /// Goes over to other rules or another registry. Signals, operators and levels that are the same keep their state;
    /// episodes of rules that are gone, off, or no longer watch a device end with [`crate::domain::Change::RuleRemoved`].
    pub fn reload(&mut self, program: Arc<Program>, registry: Arc<Registry>, at: At, out: &mut Vec<Detection>) {
        let states: Vec<_> = (0..=u8::MAX).map(|shard| self.save(shard)).collect();
        self.profiles = program.models.iter().map(|_| Profiles::default()).collect();
        self.program = program;
        self.registry = registry;
        for (shard, state) in (0..=u8::MAX).zip(states) {
            // What was saved a moment ago from memory fits together.
            let loaded = self.load(shard, state);
            debug_assert!(loaded.is_ok(), "{loaded:?}");
        }
        for ended in &mut self.pending {
            ended.received_at = at;
        }
        out.append(&mut self.pending);
        self.changed.extend(self.watched.keys().cloned());
    }

    /// Whether to tell the facts of a device from now on.
    pub fn watch(&mut self, device: &DeviceId, on: bool) {
        if on {
            self.watched.insert(device.clone(), BTreeMap::new());
            self.changed.insert(device.clone());
        } else {
            self.watched.remove(device);
            self.changed.remove(device);
        }
    }

    /// The facts of watched devices that have changed since the last call; all known ones after [`Self::watch`].
    pub fn changed_facts(&mut self, out: &mut Vec<FactsOf>) {
        for id in std::mem::take(&mut self.changed) {
            let shard = &self.shards[usize::from(shard_of(id.as_str()))];
            let Some(told) = self.watched.get_mut(&id) else { continue };
            for ix in shard.index.iter().filter_map(|models| models.get(&id)) {
                let device = &shard.devices[*ix as usize];
                let now = emit::facts(device, &self.program.models[usize::from(device.model)]);
                let fresh: BTreeMap<String, Value> = now.into_iter().filter(|(k, v)| told.get(k) != Some(v)).collect();
                if !fresh.is_empty() {
                    told.extend(fresh.clone());
                    out.push((id.clone(), At::from_micros(device.life.clock), fresh));
                }
            }
        }
    }

    /// How many devices have been heard of.
    #[must_use]
    pub fn device_count(&self) -> usize {
        self.shards.iter().map(|s| s.devices.len()).sum()
    }

    /// Resets and glitches of the counters that rules read, over all devices (V6).
    #[must_use]
    pub fn resets_and_glitches(&self) -> (u64, u64) {
        let devices = self.shards.iter().flat_map(|s| &s.devices);
        let faults = devices.flat_map(|d| d.counter_faults(&self.program.models[usize::from(d.model)]));
        faults.fold((0, 0), |(r, g), (resets, glitches)| (r + resets, g + glitches))
    }
}

impl Shard {
    fn new(models: usize) -> Self {
        Self {
            clock: ShardClock::default(),
            index: (0..models).map(|_| HashMap::default()).collect(),
            devices: Vec::new(),
            nodes: BTreeMap::new(),
            queue: BinaryHeap::new(),
            changed: true,
        }
    }

    fn insert(&mut self, device: Device, program: &ModelProgram) -> usize {
        let ix = self.devices.len();
        self.index[usize::from(device.model)].insert(device.id.clone(), u32::try_from(ix).unwrap_or(u32::MAX));
        self.devices.push(device);
        self.schedule(ix, program);
        ix
    }

    /// Puts the device into the queue, unless it is there for this time or an earlier one.
    fn schedule(&mut self, ix: usize, program: &ModelProgram) {
        let device = &mut self.devices[ix];
        #[cfg(test)]
        device.check_next(program);
        let due = device.due(program);
        if due < device.queued {
            device.queued = due;
            self.queue.push(Reverse((due, u32::try_from(ix).unwrap_or(u32::MAX))));
        }
    }

    /// The devices that must be looked at now, in the order of their time and name.
    fn due(&mut self) -> Vec<usize> {
        let mut due = Vec::new();
        if self.clock.mark < self.clock.grace_until {
            return Vec::new();
        }
        while let Some(Reverse((at, ix))) = self.queue.peek().copied().filter(|r| r.0.0 <= self.clock.healthy) {
            self.queue.pop();
            let device = &mut self.devices[ix as usize];
            if device.queued == at {
                device.queued = i64::MAX;
                due.push((at, ix as usize));
            }
        }
        due.sort_by(|a, b| (a.0, &self.devices[a.1].id).cmp(&(b.0, &self.devices[b.1].id)));
        due.into_iter().map(|(_, ix)| ix).collect()
    }
}

impl ShardClock {
    /// The newest mark.
    #[must_use]
    pub fn newest(&self) -> At {
        At::from_micros(self.mark)
    }

    /// Healthy time at a message that arrived at `at`.
    fn at(&self, at: i64, settings: Settings) -> i64 {
        if self.mark == 0 {
            return 0;
        }
        self.healthy + (at - self.mark).clamp(0, settings.mark_gap.as_micros())
    }

    /// Takes in a mark; whether it was news.
    fn mark(&mut self, at: i64, settings: Settings) -> bool {
        if at <= self.mark {
            return false;
        }
        if self.mark != 0 {
            let elapsed = at - self.mark;
            if elapsed <= settings.mark_gap.as_micros() {
                self.healthy += elapsed;
            } else {
                self.grace_until = at.saturating_add(settings.grace.as_micros());
                self.steady = self.healthy;
            }
        }
        self.mark = at;
        true
    }
}

/// The times of a message (T1).
struct Stamp {
    /// Device time to use.
    at: i64,
    /// The device time ran ahead of us by too much to be used.
    ahead: bool,
    historical: bool,
}

impl Stamp {
    fn of(program: &ModelProgram, sent: Option<i64>, received_at: i64) -> Self {
        let latest = received_at.saturating_add(program.model.max_future.as_micros());
        let ahead = sent.is_some_and(|te| te > latest);
        let at = sent.filter(|_| !ahead).unwrap_or(received_at);
        let backfill = program.model.backfill_after.map_or(i64::MAX, Span::as_micros);
        Self { at, ahead, historical: received_at.saturating_sub(at) > backfill }
    }
}

/// Looks ids up; the same in every run.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, _: u8) {}
}
