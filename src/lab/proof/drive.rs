//! One test through the engine: as it was written, and in every variant.
//!
//! What a device sends becomes a journal, in the order of arrival, with a mark of the clock a moment before each
//! message and at the end. A process that dies is the engine of an older snapshot and the journal since.

use std::sync::Arc;

use fastrand::Rng;

use super::read::{Kill, RuleTest, Vary};
use super::telemetry::Sent;
use super::{Outcome, Subject, Told, judge};
use crate::domain::{At, Detection, Registry, Span, shard_of};
use crate::engine::{Engine, Settings, Turn};
use crate::model::{Message, Model};

/// Runs a test as written and in all its variants.
pub(super) fn run(test: &RuleTest, subject: &Subject) -> Outcome {
    let world = World::new(test, subject);
    let mut failures = judge::judge(test, &world.model, &world.told(None, &mut Rng::with_seed(0)), None);
    let mut runs = 1;
    // What fails as written fails in every variant: once is enough.
    if failures.is_empty() {
        for (number, vary) in test.varies.iter().enumerate() {
            for seed in &vary.seeds {
                runs += 1;
                let told = world.told(Some(vary), &mut Rng::with_seed(*seed));
                let variant = format!("variant {} with seed {seed}", number + 1);
                let failed = judge::judge(test, &world.model, &told, Some(&variant));
                if !failed.is_empty() {
                    failures.extend(failed);
                    break;
                }
            }
        }
    }
    // The usual reason why nothing was found is that nobody looked.
    let unwatched = if failures.is_empty() { String::new() } else { world.unwatched() };
    failures.iter_mut().for_each(|f| f.timeline.push_str(&unwatched));
    Outcome { name: test.name.clone(), place: test.place.clone(), runs, failures, story: None }
}

/// What is the same for all variants.
struct World<'a> {
    test: &'a RuleTest,
    subject: &'a Subject,
    model: Arc<Model>,
    registry: Arc<Registry>,
    sent: Vec<Sent>,
}

impl<'a> World<'a> {
    fn new(test: &'a RuleTest, subject: &'a Subject) -> Self {
        let model = subject.program.models().list[test.telemetry.model].clone();
        let devices = test.telemetry.devices.iter().map(|s| (s.device.id.clone(), s.device.clone())).collect();
        let registry = Registry { devices, ..Registry::default() };
        let sent = test.telemetry.messages(subject.program.models());
        Self { test, subject, model, registry: Arc::new(registry), sent }
    }

    /// The devices that the rule does not watch, and why.
    fn unwatched(&self) -> String {
        let mut engine = self.engine();
        let devices = self.test.telemetry.devices.iter().map(|sender| &sender.device.id);
        let told = devices.filter_map(|id| engine.explain(self.test.rule.as_str(), id, None).ok());
        let told = told.filter(|told| told.state == "not watched");
        told.filter_map(|told| Some(format!("{}\n", told.why.first()?))).collect()
    }

    /// What is detected in this variant.
    fn told(&self, vary: Option<&Vary>, rng: &mut Rng) -> Told {
        let journal = self.journal(vary, rng);
        let deaths = vary.and_then(|v| v.kill).map(|kill| self.deaths(kill, &journal, rng)).unwrap_or_default();
        self.live(&journal, &deaths)
    }

    fn journal(&self, vary: Option<&Vary>, rng: &mut Rng) -> Vec<Entry> {
        let mut messages: Vec<(At, usize, Message, u64)> = Vec::new();
        for (from, sent) in self.sent.iter().enumerate() {
            let mut arrives_at = sent.arrives_at;
            let mut parts = vec![sent.message.clone()];
            if let Some(vary) = vary {
                arrives_at = arrives_at + Span::from_micros(rng.i64(0..=vary.shuffle.as_micros()));
                if vary.batch > Span::ZERO {
                    let since = arrives_at.since(self.test.telemetry.start).as_micros();
                    let whole =
                        since.div_euclid(vary.batch.as_micros()) + i64::from(since % vary.batch.as_micros() != 0);
                    arrives_at = self.test.telemetry.start + vary.batch.times(whole);
                }
                if rng.f64() < vary.split && parts[0].readings.len() > 1 {
                    parts = split(&sent.message, rng);
                }
            }
            for (part, message) in (0_u64..).zip(parts) {
                messages.push((arrives_at, from, message, sent.fingerprint.wrapping_add(part)));
            }
        }
        messages.sort_by_key(|(at, ..)| *at);
        if let Some(vary) = vary.filter(|v| v.redeliver > 0.0) {
            messages = redelivered(messages, vary.redeliver, rng);
        }
        let mut journal = Vec::new();
        let mark = |at: At, journal: &mut Vec<Entry>| journal.push(Entry { at, message: None });
        mark(self.test.telemetry.start - Span::from_micros(1), &mut journal);
        let mut last_at = self.test.telemetry.start;
        for (at, from, message, fingerprint) in messages {
            mark(at - Span::from_micros(1), &mut journal);
            last_at = at;
            journal.push(Entry { at, message: Some((from, message, fingerprint)) });
        }
        // Long enough for everything that waits to be put in order, and for the timers up to the end.
        let end = self.test.expects.iter().map(|e| e.to).fold(last_at, At::max);
        mark(end, &mut journal);
        mark(end + self.model.lateness + Span::from_micros(1), &mut journal);
        mark(end + self.model.lateness.times(2) + Span::from_micros(2), &mut journal);
        journal
    }

    /// Where the process dies, and where the snapshot was taken that it starts again from.
    fn deaths(&self, kill: Kill, journal: &[Entry], rng: &mut Rng) -> Vec<(usize, usize)> {
        let dies = match kill {
            Kill::Random => rng.usize(1..journal.len()),
            Kill::At(at) => journal.partition_point(|e| e.at <= at).max(1),
        };
        vec![(dies, rng.usize(0..=dies))]
    }

    fn engine(&self) -> Engine {
        // Marks stand as far apart as messages do; there is no outage in a test.
        let settings = Settings { mark_gap: Span::MAX, ..Settings::default() };
        let mut engine = Engine::new(self.subject.program.clone(), self.registry.clone()).with(settings);
        engine.trace(true);
        engine
    }

    fn live(&self, journal: &[Entry], deaths: &[(usize, usize)]) -> Told {
        let mut engine = self.engine();
        let mut told = Told::default();
        let mut saved: Option<Saved> = None;
        for (pos, entry) in journal.iter().enumerate() {
            for (dies, snapshot) in deaths {
                if pos == *snapshot {
                    saved = Some(Saved::of(self.test, &engine, &told));
                }
                if pos == *dies
                    && let Some(saved) = &saved
                {
                    engine = self.engine();
                    saved.restore(&mut engine);
                    // What it had told stays told; what its machines did is found again.
                    told.turns.truncate(saved.turns);
                    for entry in &journal[*snapshot..pos] {
                        self.take_in(&mut engine, entry, &mut told);
                    }
                }
            }
            self.take_in(&mut engine, entry, &mut told);
        }
        told
    }

    fn take_in(&self, engine: &mut Engine, entry: &Entry, told: &mut Told) {
        let mut out = Vec::new();
        match &entry.message {
            None => engine.clock(entry.at, &mut out),
            Some((from, message, fingerprint)) => {
                let binding = &self.sent[*from].binding;
                engine.apply(binding, message, *fingerprint, entry.at, false, &mut out);
            }
        }
        let mine = |rule: &crate::domain::RuleId| *rule == self.test.rule;
        told.detections.extend(
            out.into_iter().filter(|d| mine(&d.rule)).filter(|d| is_news(d, &told.detections)).collect::<Vec<_>>(),
        );
        told.turns.extend(engine.take_turns().into_iter().filter(|t: &Turn| mine(&t.rule)));
    }
}

/// The desk takes each transition once, by episode and number.
fn is_news(new: &Detection, known: &[Detection]) -> bool {
    !known.iter().any(|d| (d.episode, d.seq) == (new.episode, new.seq))
}

/// A message of a sender, or a mark of the clock.
struct Entry {
    at: At,
    /// Index into [`World::sent`], what it says, and its fingerprint.
    message: Option<(usize, Message, u64)>,
}

/// The states of the devices at some time, and how much had been told.
struct Saved {
    shards: Vec<(u8, Vec<u8>)>,
    turns: usize,
}

impl Saved {
    fn of(test: &RuleTest, engine: &Engine, told: &Told) -> Self {
        let mut shards: Vec<u8> = test.telemetry.devices.iter().map(|s| shard_of(s.device.id.as_str())).collect();
        shards.sort_unstable();
        shards.dedup();
        Self { shards: shards.into_iter().map(|s| (s, engine.snapshot(s))).collect(), turns: told.turns.len() }
    }

    fn restore(&self, engine: &mut Engine) {
        for (shard, bytes) in &self.shards {
            let restored = engine.restore(*shard, bytes);
            debug_assert!(restored.is_ok(), "{restored:?}");
        }
    }
}

/// One message as two, with the same time.
fn split(message: &Message, rng: &mut Rng) -> Vec<Message> {
    let last = message.readings.last().map(|r| r.signal);
    let at = rng.usize(1..message.readings.len());
    // The values of one list stay together.
    let signal = message.readings[at].signal;
    let first = message.readings.iter().take_while(|r| r.signal < signal).count();
    if first == 0 || last == Some(message.readings[0].signal) {
        return vec![message.clone()];
    }
    let part = |readings: &[crate::model::Reading]| Message { readings: readings.to_vec(), ..message.clone() };
    vec![part(&message.readings[..first]), part(&message.readings[first..])]
}

type Arriving = (At, usize, Message, u64);

/// Some messages come again, after up to three others.
fn redelivered(messages: Vec<Arriving>, share: f64, rng: &mut Rng) -> Vec<Arriving> {
    let mut out: Vec<Arriving> = Vec::new();
    let mut again: Vec<(usize, Arriving)> = Vec::new();
    for (n, message) in messages.into_iter().enumerate() {
        if rng.f64() < share {
            again.push((n + rng.usize(0..3), message.clone()));
        }
        let at = message.0;
        out.push(message);
        again.retain(|(due, (_, from, message, fingerprint))| {
            if *due <= n {
                out.push((at, *from, message.clone(), *fingerprint));
            }
            *due > n
        });
    }
    out
}
