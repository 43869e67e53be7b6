//! From the broker to the journal to the shards: the thread that owns the telemetry journal.
//!
//! One round: take what waits (at least one message, or the tick), append it, one fdatasync, then acknowledge and hand
//! over. When idle a message is committed at once; when rounds follow each other, a small one waits a millisecond for
//! company, because a round costs much more than a message.
//! Nothing is acknowledged or derived from before it is durable. When the disk is full the round is tried again and
//! nothing new is taken: the queue fills and the broker holds the rest.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::Xxh3Default;

use super::entry::Entry;
use super::in_force;
use super::ports::{Clock, Incoming, Source};
use super::quarantine::{Quarantine, Quarantined};
use super::reload::{NewRules, Reload, Reloaded};
use super::shard::{FromShard, Item, ItemKind};
use super::shared::{Rules, Shared};
use crate::domain::{At, DeviceId, RuleId, Span, shard_of};
use crate::journal::{self, Journal, Keep, Pos};
use crate::model::Binding;
use crate::rules::Changes;
use crate::wire::topic::matches;

/// Messages in one round at most.
const BATCH: usize = 4_096;
/// Bytes in one round at most (they are in memory until the round is durable).
const BATCH_BYTES: usize = 8 << 20;
/// A round of fewer messages is small …
const SMALL: usize = 256;
/// … and waits for company if the last one ended less than this ago …
const BUSY: Span = Span::from_millis(2);
/// … for so long.
const COMPANY: Duration = Duration::from_millis(1);
/// How often the clock is marked in the journal while ingest is healthy.
const MARK_EVERY: Span = Span::from_secs(1);
/// How often old segments are dropped.
const TRIM_EVERY: Span = Span::from_secs(10);
/// Topics whose binding is remembered; the cache is emptied when it is full.
const KNOWN_TOPICS: usize = 1 << 20;
/// How long to wait before a round is tried again when the disk is full.
const RETRY: Duration = Duration::from_millis(500);

/// How often the desk is told of messages that were lost.
const TELL_EVERY: Span = Span::from_mins(10);
/// How often a thread that waits for others says that it is alive.
const LOOK: Duration = Duration::from_millis(200);
/// The writer of checkpoints is waited for so often, with such a pause: 10 s.
const COVER_TRIES: u32 = 2_000;
const COVER_PAUSE: Duration = Duration::from_millis(5);

/// What a topic name stands for.
#[derive(Debug, Clone)]
enum Meaning {
    Telemetry(Arc<Binding>),
    Reply,
    Switch,
    Nothing,
}

/// Turns topic names into devices and items for the shard threads.
pub(super) struct Router {
    rules: Arc<Rules>,
    known: HashMap<Bytes, Meaning, BuildHasherDefault<Xxh3Default>>,
    threads: Vec<SyncSender<Vec<Item>>>,
    waiting: Vec<Vec<Item>>,
    quarantine: Arc<Mutex<Quarantine>>,
}

impl Router {
    pub(super) fn new(
        rules: Arc<Rules>,
        threads: Vec<SyncSender<Vec<Item>>>,
        quarantine: Arc<Mutex<Quarantine>>,
    ) -> Self {
        let waiting = threads.iter().map(|_| Vec::new()).collect();
        Self { rules, known: HashMap::default(), threads, waiting, quarantine }
    }

    /// Has every shard thread hand its shards to the writer of checkpoints, behind the entry at `pos`. `false` if a thread
    /// is gone.
    fn save(&mut self, pos: u64, saved: &Sender<bool>) -> bool {
        self.tell(pos, At::MIN, || ItemKind::Save(saved.clone()))
    }

    /// Goes over to other rules behind the entry at `pos`. `false` if a thread is gone.
    fn reload(&mut self, pos: u64, at: At, new: &NewRules) -> bool {
        self.rules = new.rules.clone();
        self.known.clear();
        self.tell(pos, at, || ItemKind::Rules(new.clone()))
    }

    /// Queues the same for every thread, and hands over what is queued.
    fn tell(&mut self, pos: u64, at: At, what: impl Fn() -> ItemKind) -> bool {
        for queue in &mut self.waiting {
            queue.push(Item { pos, at, topic: Bytes::new(), shard: 0, kind: what() });
        }
        self.flush()
    }

    /// Queues one durable message for its shard thread.
    pub(super) fn message(&mut self, pos: u64, received_at: At, retained: bool, topic: &Bytes, payload: Bytes) {
        let meaning = match self.known.get(topic) {
            Some(meaning) => meaning.clone(),
            None => {
                let meaning = self.meaning(topic);
                if self.known.len() >= KNOWN_TOPICS {
                    self.known.clear();
                }
                self.known.insert(topic.clone(), meaning.clone());
                meaning
            }
        };
        let (shard, kind) = match meaning {
            Meaning::Telemetry(binding) => {
                (shard_of(binding.device.as_str()), ItemKind::Telemetry { binding, retained, payload })
            }
            Meaning::Reply => (0, ItemKind::Reply { payload }),
            Meaning::Switch => (0, ItemKind::Switch { retained, payload }),
            Meaning::Nothing => {
                let topic = String::from_utf8_lossy(topic);
                let detail = "no model has a topic filter that matches".to_owned();
                let entry = Quarantined::new(pos, received_at, &topic, &payload, "unknown_topic", detail);
                put_aside(&self.quarantine, &entry);
                return;
            }
        };
        let thread = usize::from(shard) % self.threads.len();
        self.waiting[thread].push(Item { pos, at: received_at, topic: topic.clone(), shard, kind });
    }

    /// Counts by model, for people.
    fn by_model(&self, topics: BTreeMap<Bytes, u64>) -> BTreeMap<String, u64> {
        let models = self.rules.program.models();
        let mut counts = BTreeMap::new();
        for (topic, n) in topics {
            let binding = std::str::from_utf8(&topic).ok().and_then(|name| models.bind(name));
            let model = binding.map_or_else(|| "other topics".to_owned(), |b| models.list[b.model].id.to_string());
            *counts.entry(model).or_insert(0) += n;
        }
        counts
    }

    /// Queues the end of what a rule has latched on a device.
    pub(super) fn release(&mut self, pos: u64, at: At, device: DeviceId, rule: RuleId) {
        let shard = shard_of(device.as_str());
        let thread = usize::from(shard) % self.threads.len();
        let kind = ItemKind::Release { device, rule };
        self.waiting[thread].push(Item { pos, at, topic: Bytes::new(), shard, kind });
    }

    /// Queues a mark of the clock for every thread.
    pub(super) fn mark(&mut self, pos: u64, at: At) {
        for queue in &mut self.waiting {
            queue.push(Item { pos, at, topic: Bytes::new(), shard: 0, kind: ItemKind::Clock });
        }
    }

    /// Waits until the shard threads have worked on everything that was handed over.
    pub(super) fn barrier(&mut self) -> bool {
        let (reached, wait) = channel();
        self.tell(0, At::MIN, || ItemKind::Barrier(reached.clone())) && self.threads.iter().all(|_| wait.recv().is_ok())
    }

    /// Hands over what is queued; waits while a shard thread's queue is full. `false` if a thread is gone.
    pub(super) fn flush(&mut self) -> bool {
        self.threads
            .iter()
            .zip(&mut self.waiting)
            .filter(|(_, queue)| !queue.is_empty())
            .all(|(thread, queue)| thread.send(std::mem::take(queue)).is_ok())
    }

    fn meaning(&self, topic: &Bytes) -> Meaning {
        let Ok(name) = std::str::from_utf8(topic) else { return Meaning::Nothing };
        if self.rules.replies.iter().any(|filter| matches(filter, name)) {
            return Meaning::Reply;
        }
        if self.rules.switches.iter().any(|filter| matches(filter, name)) {
            return Meaning::Switch;
        }
        self.rules.program.models().bind(name).map_or(Meaning::Nothing, |b| Meaning::Telemetry(Arc::new(b)))
    }
}

/// Enters a message into quarantine; a quarantine that cannot be written is reported and never stops ingest.
pub(super) fn put_aside(quarantine: &Mutex<Quarantine>, entry: &Quarantined) {
    if let Err(error) = quarantine.lock().unwrap_or_else(PoisonError::into_inner).put(entry) {
        tracing::warn!(%error, topic = entry.topic, reason = entry.reason, "quarantine cannot be written");
    }
}

/// The ingest loop and what it owns.
pub(super) struct Ingest<S: Source> {
    pub(super) source: S,
    /// Where the rules in force are kept.
    pub(super) dir: PathBuf,
    pub(super) journal: Journal,
    pub(super) router: Router,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) keep: Keep,
    pub(super) stop: Arc<AtomicBool>,
    /// Other rules.
    pub(super) reloads: Receiver<Reload>,
    /// What the desk says may end.
    pub(super) releases: Receiver<(DeviceId, RuleId)>,
    /// The way to the desk.
    pub(super) news: mpsc::Sender<FromShard>,
    /// By model: what was lost and not told yet, and when it was told last.
    pub(super) shed: BTreeMap<String, u64>,
    pub(super) told_at: At,
    /// Reused for every entry.
    pub(super) frame: Vec<u8>,
}

impl<S: Source> Ingest<S> {
    /// Runs until the source ends, `stop` is set, or storage fails for good.
    pub(super) fn run(mut self) {
        let mut last_mark = At::MIN;
        let mut last_round = At::MIN;
        let mut last_trim = (self.clock)();
        let mut batch: Vec<Incoming<S::Ack>> = Vec::with_capacity(BATCH);
        loop {
            let mut open = self.source.recv(BATCH, LOOK, &mut batch);
            if open && (1..SMALL).contains(&batch.len()) && (self.clock)() - last_round < BUSY {
                std::thread::sleep(COMPANY);
                open = self.source.recv(BATCH, Duration::ZERO, &mut batch);
            }
            let now = (self.clock)();
            self.shared.beat("ingest", now);
            if let Ok(reload) = self.reloads.try_recv()
                && !self.reload(reload, now)
            {
                return;
            }
            // Marks only while everything received is behind us: a backlog is not the present.
            let mark = (now - last_mark >= MARK_EVERY && self.source.drained()).then_some(now);
            if !batch.is_empty() || mark.is_some() {
                if !self.round(&mut batch, mark) {
                    return;
                }
                last_round = (self.clock)();
                if mark.is_some() {
                    last_mark = now;
                }
            }
            if !self.release(now) {
                return;
            }
            self.note_shed(now);
            if now - last_trim >= TRIM_EVERY {
                last_trim = now;
                self.trim(now);
            }
            if !open || self.stop.load(Ordering::Acquire) || self.shared.failed() {
                return;
            }
        }
    }

    /// What was lost for want of room is counted and told (D3): to the log at once, to the desk now and then.
    fn note_shed(&mut self, now: At) {
        for (model, n) in self.router.by_model(self.source.shed()) {
            metrics::counter!("forewarn_shed_total", "model" => model.clone()).increment(n);
            *self.shed.entry(model).or_insert(0) += n;
        }
        if self.shed.is_empty() || now - self.told_at < TELL_EVERY {
            return;
        }
        tracing::error!(lost = ?self.shed, "more came than could be stored: messages of QoS 0 were lost");
        // A desk that is behind is told with the next.
        if self.news.try_send(FromShard::Shed(self.shed.clone())).is_ok() {
            self.shed.clear();
            self.told_at = now;
        }
    }

    /// Goes over to other rules between two rounds. `false`: cannot go on.
    fn reload(&mut self, Reload { rules, done }: Reload, now: At) -> bool {
        // Nothing is appended between two rounds that is not committed.
        let pos = self.journal.next().0 - 1;
        let (tell, told) = channel();
        if !self.router.save(pos, &tell) {
            return false;
        }
        drop(tell);
        let Some(saved) = self.answers(&told) else { return false };
        if saved.contains(&false) || !self.is_covered(pos) {
            tracing::warn!(
                "not every shard could be saved before the reload; a crash in the next minute may find less"
            );
        }
        let changes = self.router.rules.program.changes(&rules.program);
        in_force::keep(&self.dir, &rules.sources);
        // From here on every shard needs what the journal has, until it is saved under the new rules.
        self.shared.covered.iter().for_each(|covered| covered.store(0, Ordering::Release));
        let (tell, told) = channel();
        let new = NewRules { rules, history: self.journal.history(), done: tell };
        if !self.router.reload(pos, now, &new) {
            return false;
        }
        drop(new);
        let Some(warm) = self.answers(&told) else { return false };
        let reloaded = Reloaded { at: now, warm_from: warm.into_iter().flatten().min(), changes };
        let Changes { same, rules, removed } = &reloaded.changes;
        tracing::info!(
            rules = self.router.rules.program.count(),
            registry = self.router.rules.registry.devices.len(),
            same,
            changed = rules.len(),
            removed = removed.len(),
            warm_from = reloaded.warm_from.map(tracing::field::display),
            "reloaded"
        );
        // Whoever asked may have gone.
        let _gone = done.send(reloaded);
        true
    }

    /// Waits for the answers of all shard threads. `None`: one of them is gone.
    fn answers<T>(&self, answers: &Receiver<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        loop {
            self.shared.beat("ingest", (self.clock)());
            match answers.recv_timeout(LOOK) {
                Ok(answer) => list.push(answer),
                Err(RecvTimeoutError::Timeout) if self.shared.failed() => return None,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return (list.len() == self.router.threads.len()).then_some(list);
                }
            }
        }
    }

    /// Waits until all shards are saved up to `pos`, but not for ever.
    fn is_covered(&self, pos: u64) -> bool {
        for _ in 0..COVER_TRIES {
            if self.shared.covered.iter().all(|covered| covered.load(Ordering::Acquire) >= pos) {
                return true;
            }
            self.shared.beat("ingest", (self.clock)());
            std::thread::sleep(COVER_PAUSE);
        }
        false
    }

    /// Makes durable what the desk says may end, and hands it over. `false`: cannot go on.
    fn release(&mut self, now: At) -> bool {
        let list: Vec<(DeviceId, RuleId)> = self.releases.try_iter().take(SMALL).collect();
        let mut positions = Vec::with_capacity(list.len());
        for (device, rule) in &list {
            match self.put(now, Entry::Release { at: now, device: device.as_str(), rule: rule.as_str() }) {
                Ok(pos) => positions.push(pos),
                Err(error) => {
                    self.shared.fail(error.to_string());
                    return false;
                }
            }
        }
        if list.is_empty() {
            return true;
        }
        if self.durable(&[], None).is_none() {
            return false;
        }
        for (pos, (device, rule)) in positions.into_iter().zip(list) {
            self.router.release(pos.0, now, device, rule);
        }
        self.router.flush()
    }

    /// Makes one batch durable, acknowledges it and hands it over. `false`: cannot go on.
    fn round(&mut self, batch: &mut Vec<Incoming<S::Ack>>, mark: Option<At>) -> bool {
        while !batch.is_empty() || mark.is_some() {
            let bytes = batch.iter().scan(0, |sum, m| {
                *sum += m.payload.len() + m.topic.len();
                Some(*sum)
            });
            let take = bytes.take_while(|sum| *sum <= BATCH_BYTES).count().max(1).min(batch.len());
            let last = take == batch.len();
            let part: Vec<Incoming<S::Ack>> = batch.drain(..take).collect();
            let mark = mark.filter(|_| last);
            let Some(first) = self.durable(&part, mark) else { return false };
            let mut acks = Vec::with_capacity(part.len());
            let mut pos = first.0;
            for message in part {
                if message.ack.is_none() && !message.retained {
                    self.shared.may_lose.store(true, Ordering::Relaxed);
                }
                self.router.message(pos, message.received_at, message.retained, &message.topic, message.payload);
                acks.extend(message.ack);
                pos += 1;
            }
            self.source.ack(acks);
            if let Some(at) = mark {
                self.router.mark(pos, at);
            }
            if !self.router.flush() {
                self.shared.fail("a shard thread has ended".to_owned());
                return false;
            }
            if last {
                break;
            }
        }
        true
    }

    /// Appends and commits; returns the position of the first entry. Tries again while the disk is full.
    fn durable(&mut self, part: &[Incoming<S::Ack>], mark: Option<At>) -> Option<Pos> {
        let first = match self.append(part, mark) {
            Ok(first) => first,
            Err(error) => {
                self.shared.fail(error.to_string());
                return None;
            }
        };
        fail::fail_point!("journal-before-sync", |_| std::process::abort());
        loop {
            match self.journal.commit() {
                Ok(_) => break,
                Err(error) if error.retryable() => {
                    tracing::error!(%error, "nothing is acknowledged until the journal can be written");
                    self.shared.set_trouble(Some(error.to_string()));
                    self.shared.beat("ingest", (self.clock)());
                    if self.stop.load(Ordering::Acquire) {
                        return None;
                    }
                    std::thread::sleep(RETRY);
                }
                Err(error) => {
                    self.shared.fail(error.to_string());
                    return None;
                }
            }
        }
        fail::fail_point!("journal-after-sync", |_| std::process::abort());
        self.shared.set_trouble(None);
        Some(first)
    }

    fn append(&mut self, part: &[Incoming<S::Ack>], mark: Option<At>) -> Result<Pos, journal::Error> {
        let now = (self.clock)();
        let first = self.journal.next();
        for message in part {
            // A topic that is not UTF-8 is refused by the client library; an empty one stands for it here.
            let topic = std::str::from_utf8(&message.topic).unwrap_or("");
            let Incoming { received_at, retained, payload, .. } = message;
            let entry = Entry::Message { received_at: *received_at, retained: *retained, topic, payload };
            self.put(now, entry)?;
        }
        if let Some(at) = mark {
            self.put(now, Entry::Clock { at })?;
        }
        Ok(first)
    }

    fn put(&mut self, now: At, entry: Entry<'_>) -> Result<Pos, journal::Error> {
        self.frame.clear();
        entry.encode(&mut self.frame);
        self.journal.append(now, &self.frame)
    }

    fn trim(&mut self, now: At) {
        let covered = self.shared.covered.iter().map(|c| c.load(Ordering::Acquire)).min().unwrap_or(0);
        if let Err(error) = self.journal.trim(Pos(covered + 1), self.keep, now) {
            tracing::warn!(%error, "old journal segments could not be dropped");
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("forewarn_journal_bytes").set(self.journal.bytes() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_match_as_mqtt_says() {
        for (filter, topic, expected) in [
            ("fleet/+/cmd/ack", "fleet/a/cmd/ack", true),
            ("fleet/+/cmd/ack", "fleet/a/b/cmd/ack", false),
            ("fleet/#", "fleet/a/b", true),
            ("fleet/#", "fleet", true),
            ("fleet/+", "fleet/a/b", false),
            ("fleet/+", "fleet", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }
}
