//! The shard threads: each owns an engine with the devices of some of the 256 shards. No locks on the way of a message.
//!
//! A shard's checkpoint is its device states at a journal position, and is written only when the desk has committed
//! every detection up to there: what is dropped from the journal is never needed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::births::Births;
use super::ingest::put_aside;
use super::ports::{Clock, EngineQuestion};
use super::quarantine::{Quarantine, Quarantined};
use super::reload::{NewRules, refill};
use super::shared::Shared;
use crate::domain::{At, Detection, DeviceId, Receipt, RuleId, Span, Stop, Value};
use crate::engine::{Engine, ShardClock};
use crate::model::Binding;
use crate::wire;

/// Every shard gets a new checkpoint this often, one after the other, so that no moment carries all the work.
const ROUND: Span = Span::from_secs(30);

/// The desk is waited for so often, with such a pause, before all shards are saved: 10 s.
const DESK_TRIES: u32 = 2_000;
const DESK_PAUSE: Duration = Duration::from_millis(5);

/// Questions of people that are answered between two batches of messages.
const ANSWERS: usize = 4;

/// Something durable for a shard thread.
#[derive(Debug)]
pub(super) struct Item {
    /// Its position in the journal.
    pub(super) pos: u64,
    /// When it was received, or the mark itself.
    pub(super) at: At,
    /// Topic name; empty for a mark.
    pub(super) topic: Bytes,
    pub(super) shard: u8,
    pub(super) kind: ItemKind,
}

#[derive(Debug)]
pub(super) enum ItemKind {
    /// A device says how it is.
    Telemetry { binding: Arc<Binding>, retained: bool, payload: Bytes },
    /// A device answers a command.
    Reply { payload: Bytes },
    /// Somebody turns a stop switch.
    Switch { retained: bool, payload: Bytes },
    /// A person has ended what a rule has latched on a device.
    Release { device: DeviceId, rule: RuleId },
    /// Time has passed.
    Clock,
    /// Every shard is to be handed to the writer of checkpoints; tells whether it was.
    Save(Sender<bool>),
    /// Everything behind it was bound by these rules.
    Rules(NewRules),
    /// Everything queued before it has been worked on.
    Barrier(Sender<()>),
}

/// What the threads before it tell the desk.
#[derive(Debug)]
pub(super) enum FromShard {
    /// Made of the entry at `pos`.
    Detections { thread: usize, pos: u64, list: Vec<Detection> },
    /// A watched device says something new.
    Facts { device: DeviceId, event_at: At, values: BTreeMap<String, Value> },
    /// A device answered a command.
    Reply(Receipt),
    /// By model: messages of QoS 0 that were lost because more came than could be stored. From the thread of ingest.
    Shed(BTreeMap<String, u64>),
    /// Somebody turns a stop switch.
    Switch { topic: String, stop: Stop, received_at: At, retained: bool },
}

/// One shard's states for the writer of checkpoints.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) shard: u8,
    pub(super) pos: u64,
    /// Where its clock stands there.
    pub(super) clock: ShardClock,
    /// `None`: nothing else of this shard has changed since its last checkpoint, which is therefore good up to `pos`.
    pub(super) bytes: Option<Vec<u8>>,
}

pub(super) struct ShardThread {
    pub(super) index: usize,
    pub(super) engine: Engine,
    pub(super) shared: Arc<Shared>,
    /// Per shard: entries up to here are already in the restored state.
    pub(super) restored: Vec<u64>,
    pub(super) items: Receiver<Vec<Item>>,
    pub(super) questions: Receiver<EngineQuestion>,
    pub(super) desk: mpsc::Sender<FromShard>,
    pub(super) snapshots: SyncSender<Snapshot>,
    pub(super) quarantine: Arc<Mutex<Quarantine>>,
    pub(super) births: Births,
    pub(super) clock: Clock,
}

/// What the loop remembers between rounds.
struct Memory {
    /// The shards of this thread.
    mine: Vec<u8>,
    seen_watch: u64,
    watched: BTreeSet<DeviceId>,
    pos: u64,
    last_detection: u64,
    next_shard: usize,
    next_at: At,
    /// Looked up once: a look-up for every message would cost as much as decoding it.
    messages: metrics::Counter,
}

impl ShardThread {
    /// Runs until ingest has gone, then writes a last round of checkpoints.
    pub(super) fn run(mut self) {
        let threads = self.shared.committed.len();
        let owner = |shard: &u8| usize::from(*shard) % threads == self.index;
        let mut memory = Memory {
            mine: (0..=u8::MAX).filter(owner).collect(),
            seen_watch: 0,
            watched: BTreeSet::new(),
            pos: 0,
            last_detection: 0,
            next_shard: 0,
            next_at: (self.clock)() + ROUND,
            messages: metrics::counter!("forewarn_messages_total"),
        };
        let pause = Span::from_micros(ROUND.as_micros() / i64::try_from(memory.mine.len().max(1)).unwrap_or(1));
        loop {
            match self.items.recv_timeout(Duration::from_millis(200)) {
                Ok(items) => {
                    if !items.into_iter().all(|item| self.item(item, &mut memory)) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.answer();
            let now = (self.clock)();
            self.shared.beat("shards", now);
            if !self.forward_facts(&mut memory) {
                return;
            }
            for ((name, labels), n) in self.engine.take_counts() {
                metrics::counter!(name, &labels).increment(n);
            }
            if now >= memory.next_at {
                memory.next_at = now + pause;
                let shard = memory.mine[memory.next_shard % memory.mine.len()];
                if self.snapshot(shard, &memory) {
                    memory.next_shard += 1;
                }
            }
        }
        self.save_all(&memory);
    }

    /// Answers what waits, a few at a time: messages come first.
    fn answer(&mut self) {
        for question in self.questions.try_iter().take(ANSWERS) {
            let EngineQuestion { rule, device, component, answer } = question;
            // Whoever asked may have gone.
            let _gone = answer.send(self.engine.explain(&rule, &device, component.as_deref()));
        }
    }

    /// `false` once the desk has gone.
    fn item(&mut self, item: Item, memory: &mut Memory) -> bool {
        memory.pos = memory.pos.max(item.pos);
        let shard = usize::from(item.shard);
        let mut detections = Vec::new();
        match item.kind {
            ItemKind::Clock => self.engine.clock(item.at, &mut detections),
            ItemKind::Barrier(reached) => return reached.send(()).is_ok(),
            ItemKind::Save(saved) => return saved.send(self.save_all(memory)).is_ok(),
            ItemKind::Rules(new) => return self.reload(&new, item.at, memory),
            _ if item.pos <= self.restored[shard] => return true,
            ItemKind::Telemetry { binding, retained, payload } => {
                let result = self.engine.message(&binding, &payload, item.at, retained, &mut detections);
                memory.messages.increment(1);
                for node in self.engine.births_wanted() {
                    self.births.want(node, item.at);
                }
                if let Err(error) = result {
                    self.refuse(&item.topic, item.pos, item.at, &payload, error.reason(), error.to_string());
                }
            }
            ItemKind::Release { device, rule } => {
                self.engine.release(&device, &rule, item.at, &mut detections);
            }
            ItemKind::Switch { retained, payload } => match wire::stop::setting(&payload) {
                Ok(stop) => {
                    let topic = String::from_utf8_lossy(&item.topic).into_owned();
                    let news = FromShard::Switch { topic, stop, received_at: item.at, retained };
                    return self.desk.blocking_send(news).is_ok();
                }
                Err(error) => {
                    self.refuse(&item.topic, item.pos, item.at, &payload, "bad_stop_switch", error.to_string());
                }
            },
            ItemKind::Reply { payload } => match wire::command::receipt(&payload) {
                Ok(receipt) => return self.desk.blocking_send(FromShard::Reply(receipt)).is_ok(),
                Err(error) => {
                    self.refuse(&item.topic, item.pos, item.at, &payload, "bad_command_reply", error.to_string());
                }
            },
        }
        if detections.is_empty() {
            return true;
        }
        for detection in &detections {
            metrics::counter!("forewarn_detections_total", "rule" => detection.rule.to_string()).increment(1);
        }
        memory.last_detection = item.pos;
        let news = FromShard::Detections { thread: self.index, pos: item.pos, list: detections };
        self.desk.blocking_send(news).is_ok()
    }

    fn refuse(&self, topic: &Bytes, pos: u64, at: At, payload: &Bytes, reason: &str, detail: String) {
        let topic = String::from_utf8_lossy(topic);
        put_aside(&self.quarantine, &Quarantined::new(pos, at, &topic, payload, reason, detail));
    }

    /// Takes over new rules, and refills what is new.
    fn reload(&mut self, new: &NewRules, at: At, memory: &mut Memory) -> bool {
        let rules = &new.rules;
        let mut detections = Vec::new();
        self.engine.reload(rules.program.clone(), rules.registry.clone(), at, &mut detections);
        let alive = || self.shared.beat("shards", (self.clock)());
        let from = refill(&mut self.engine, rules, &new.history, |_| memory.pos, alive);
        let from = from.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is new begins cold");
            None
        });
        if !detections.is_empty() {
            memory.last_detection = memory.pos;
            let news = FromShard::Detections { thread: self.index, pos: memory.pos, list: detections };
            if self.desk.blocking_send(news).is_err() {
                return false;
            }
        }
        new.done.send(from).is_ok()
    }

    /// Tells the desk what watched devices say now.
    fn forward_facts(&mut self, memory: &mut Memory) -> bool {
        if let Some(watched) = self.shared.watched.newer(&mut memory.seen_watch) {
            for gone in memory.watched.difference(&watched) {
                self.engine.watch(gone, false);
            }
            for new in watched.difference(&memory.watched) {
                self.engine.watch(new, true);
            }
            memory.watched = watched;
        }
        if memory.watched.is_empty() {
            return true;
        }
        let mut changed = Vec::new();
        self.engine.changed_facts(&mut changed);
        changed.into_iter().all(|(device, event_at, values)| {
            self.desk.blocking_send(FromShard::Facts { device, event_at, values }).is_ok()
        })
    }

    /// Hands one shard to the writer, if the desk is far enough and the writer is free. `false`: try again later.
    fn snapshot(&mut self, shard: u8, memory: &Memory) -> bool {
        let committed = self.shared.committed[self.index].load(Ordering::Acquire);
        if committed < memory.last_detection || memory.pos == 0 {
            return false;
        }
        match self.snapshots.try_send(self.snapshot_of(shard, memory.pos)) {
            Ok(()) => {
                self.engine.saved(shard);
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    fn snapshot_of(&self, shard: u8, pos: u64) -> Snapshot {
        let bytes = self.engine.changed(shard).then(|| self.engine.snapshot(shard));
        Snapshot { shard, pos, clock: self.engine.shard_clock(shard), bytes }
    }

    /// Hands all shards to the writer, as soon as the desk is far enough: it is waited for, but not for ever. Whether they
    /// were.
    fn save_all(&mut self, memory: &Memory) -> bool {
        for _ in 0..DESK_TRIES {
            if self.shared.failed() {
                return false;
            }
            if self.shared.committed[self.index].load(Ordering::Acquire) >= memory.last_detection {
                return memory.pos == 0
                    || memory.mine.iter().all(|shard| {
                        let handed = self.snapshots.send(self.snapshot_of(*shard, memory.pos)).is_ok();
                        self.engine.saved(*shard);
                        handed
                    });
            }
            self.shared.beat("shards", (self.clock)());
            std::thread::sleep(DESK_PAUSE);
        }
        false
    }
}
