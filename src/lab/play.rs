//! The engine of the daemon over a recording, on all cores.
//!
//! One thread reads and hands the messages of each device to the thread that owns its shard; marks of the clock go to
//! all. What a device makes of its messages does not depend on the threads, and the results are put in a fixed order:
//! the same recording gives the same detections, byte for byte, with any number of them.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use xxhash_rust::xxh3::Xxh3Default;

use super::recording::{Entry, Error, Findings, Kind, Recording};
use crate::domain::{At, Detection, DeviceId, Registry, shard_of};
use crate::engine::{self, Engine};
use crate::rules::Program;
use crate::source::Weight;

/// Entries that are handed over at once.
const BATCH: usize = 256;
/// Batches that may wait for a thread.
const AHEAD: usize = 8;
/// More detections of one set of rules are not kept: some rule flaps.
const MAX_DETECTIONS: usize = 1_000_000;

/// What came of playing a recording.
#[derive(Debug)]
pub struct Played {
    /// For each set of rules: all detections, by device time and device.
    pub detections: Vec<Vec<Detection>>,
    /// From the first to the last message of each device.
    pub devices: BTreeMap<DeviceId, Seen>,
    /// What was noticed, by the reader and by the decoders.
    pub findings: Findings,
    /// Messages of devices.
    pub messages: u64,
    /// Values in them.
    pub values: u64,
}

/// A device in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When its first message was received.
    pub first_at: At,
    /// When its last one was.
    pub last_at: At,
}

/// Why a recording could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// It cannot be read.
    #[error(transparent)]
    Recording(#[from] Error),
    /// More than can be kept.
    #[error("more than {MAX_DETECTIONS} detections, most of them of the rule '{rule}': give it a hold or a clear")]
    TooMany {
        /// The rule that made most of them.
        rule: String,
    },
    /// A thread has ended before its time.
    #[error("a thread has ended: this is a defect of forewarn")]
    Thread,
}

/// Plays a recording to each of the sets of rules, which are for the same models. `progress` is told now and then how many
/// entries have been read.
///
/// # Errors
/// The recording cannot be read to its end, or makes too many detections.
pub fn play(
    mut recording: Recording,
    programs: &[Arc<Program>],
    registry: &Arc<Registry>,
    threads: usize,
    mut progress: impl FnMut(u64),
) -> Result<Played, PlayError> {
    let settings = recording.engine_settings();
    thread::scope(|scope| {
        let (give_back, empty) = channel();
        let mut hands = Vec::new();
        let mut workers = Vec::new();
        for _ in 0..threads.max(1) {
            let (hand, batches) = sync_channel(AHEAD);
            hands.push(Hand { full: Batch::default(), hand });
            let worker = Worker::new(programs, registry, settings, give_back.clone());
            workers.push(scope.spawn(move || worker.run(&batches)));
        }
        let mut reader = Reader { hands, empty, entry: Entry::default(), messages: 0, values: 0 };
        let read = reader.all(&mut recording, &mut progress);
        let Reader { messages, values, hands, .. } = reader;
        drop(hands);
        let mut findings = recording.findings().clone();
        let mut detections: Vec<Vec<Detection>> = programs.iter().map(|_| Vec::new()).collect();
        let mut devices = BTreeMap::new();
        for worker in workers {
            let found = worker.join().map_err(|_| PlayError::Thread)??;
            findings.merge(&found.findings);
            detections.iter_mut().zip(found.detections).for_each(|(all, some)| all.extend(some));
            devices.extend(found.devices);
        }
        read?;
        for list in &mut detections {
            limit(list)?;
            // Stable, and a device belongs to one thread: its detections stay in the order in which they were made.
            list.sort_by(|a, b| (a.event_at, &a.device).cmp(&(b.event_at, &b.device)));
        }
        Ok(Played { detections, devices, findings, messages, values })
    })
}

fn limit(list: &[Detection]) -> Result<(), PlayError> {
    if list.len() <= MAX_DETECTIONS {
        return Ok(());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for detection in list {
        *counts.entry(detection.rule.as_str()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(rule, _)| rule);
    Err(PlayError::TooMany { rule: most.to_owned() })
}

/// Entries on their way to a thread, or back to be filled again.
#[derive(Debug, Default)]
struct Batch {
    entries: Vec<Entry>,
    used: usize,
}

struct Hand {
    full: Batch,
    hand: SyncSender<Batch>,
}

struct Reader {
    hands: Vec<Hand>,
    empty: Receiver<Batch>,
    entry: Entry,
    messages: u64,
    values: u64,
}

impl Reader {
    fn all(&mut self, recording: &mut Recording, progress: &mut impl FnMut(u64)) -> Result<(), PlayError> {
        while recording.read(&mut self.entry)? {
            if self.entry.kind == Kind::Mark {
                for thread in 0..self.hands.len() {
                    let slot = self.hands[thread].full.slot();
                    (slot.kind, slot.at) = (Kind::Mark, self.entry.at);
                    self.send_full(thread)?;
                }
                continue;
            }
            self.messages += 1;
            self.values += self.entry.message.readings.len() as u64;
            let thread = usize::from(shard_of(self.entry.binding.device.as_str())) % self.hands.len();
            std::mem::swap(self.hands[thread].full.slot(), &mut self.entry);
            self.send_full(thread)?;
            if self.messages.is_multiple_of(4_096) {
                progress(self.messages);
            }
        }
        (0..self.hands.len()).try_for_each(|thread| self.send(thread))
    }

    fn send_full(&mut self, thread: usize) -> Result<(), PlayError> {
        if self.hands[thread].full.used < BATCH { Ok(()) } else { self.send(thread) }
    }

    fn send(&mut self, thread: usize) -> Result<(), PlayError> {
        let hand = &mut self.hands[thread];
        let next = self.empty.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut hand.full, next);
        hand.hand.send(full).map_err(|_| PlayError::Thread)
    }
}

impl Batch {
    /// The next entry to be filled, with the memory of an earlier one.
    fn slot(&mut self) -> &mut Entry {
        if self.entries.len() == self.used {
            self.entries.push(Entry::default());
        }
        self.used += 1;
        &mut self.entries[self.used - 1]
    }
}

struct Worker {
    engines: Vec<Engine>,
    give_back: Sender<Batch>,
    found: Found,
}

#[derive(Default)]
struct Found {
    detections: Vec<Vec<Detection>>,
    devices: HashMap<DeviceId, Seen, BuildHasherDefault<Xxh3Default>>,
    findings: Findings,
}

impl Worker {
    fn new(
        programs: &[Arc<Program>],
        registry: &Arc<Registry>,
        settings: engine::Settings,
        give_back: Sender<Batch>,
    ) -> Self {
        let engine = |program: &Arc<Program>| Engine::new(program.clone(), registry.clone()).with(settings);
        let detections = programs.iter().map(|_| Vec::new()).collect();
        let found = Found { detections, ..Found::default() };
        Self { engines: programs.iter().map(engine).collect(), give_back, found }
    }

    fn run(mut self, batches: &Receiver<Batch>) -> Result<Found, PlayError> {
        while let Ok(mut batch) = batches.recv() {
            for entry in &batch.entries[..batch.used] {
                self.entry(entry);
            }
            for list in &self.found.detections {
                limit(list)?;
            }
            batch.used = 0;
            // The reader may have finished.
            let _gone = self.give_back.send(batch);
        }
        Ok(self.found)
    }

    fn entry(&mut self, entry: &Entry) {
        let found = &mut self.found;
        let mut played = Ok(());
        for (engine, out) in self.engines.iter_mut().zip(&mut found.detections) {
            played = entry.play(engine, out);
        }
        if let Err(error) = played {
            let say = || format!("{} of {}: {error}", entry.place, entry.binding.device);
            found.findings.add(Weight::Warning, "payloads cannot be decoded", entry.place, say);
        }
        if entry.kind != Kind::Mark {
            match found.devices.get_mut(&entry.binding.device) {
                Some(seen) => seen.last_at = entry.at,
                None => {
                    let seen = Seen { first_at: entry.at, last_at: entry.at };
                    found.devices.insert(entry.binding.device.clone(), seen);
                }
            }
        }
    }
}
