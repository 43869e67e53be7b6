//! Puts the threads together: recovery, start, stop.
//!
//! Recovery: load the checkpoints, load the desk, replay the journal behind the checkpoints through the same shard
//! threads that live messages take, and only then take messages in. A detection made again has the same episode and
//! number, and the desk ignores it. If the rules were edited meanwhile, all of that happens under those that were in force,
//! and the first thing that ingest does is a reload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::births::Births;
use super::covered::Covered;
use super::desk_thread::{DeskThread, destroy_erased, warn_of_erased, warn_of_new_rules, with_keys};
use super::dispatcher::{self, Channels};
use super::entry::Entry;
use super::feedback::{Feedback, Heads, Topic};
use super::in_force;
use super::ingest::{Ingest, Router};
use super::nightly::Nightly;
use super::ports::{Clock, DeskHandle, DeskQuestion, EngineHandle, Publisher, Source};
use super::quarantine::Quarantine;
use super::reload::{Reload, Reloaded, refill};
use super::shard::{FromShard, ShardThread, Snapshot};
use super::shared::{Rules, SHARDS, Shared};
use crate::checkpoint::{self, Checkpoint};
use crate::desk::{self, Desk};
use crate::domain::{At, DeviceId, RuleId, Span};
use crate::engine::Engine;
use crate::journal::{self, History, Journal, Keep, Pos};
use crate::rules::Program;
use crate::store::{self, KeyFile, Signer, Store};

/// How long attempts in flight may take to get their outcome at a stop.
const DRAIN: Duration = Duration::from_secs(25);
/// A loop that has not gone round for this long is stuck.
const STUCK: Span = Span::from_secs(10);

/// Questions about rules that may wait for one thread of the engine.
const ENGINE_QUESTIONS: usize = 16;

/// What a daemon is made of.
pub struct Parts {
    /// Where everything durable is.
    pub dir: PathBuf,
    /// Models, rules and registry.
    pub rules: Arc<Rules>,
    /// The program that was in force when the last run ended ([`super::in_force()`]), if it is another one: what came then is
    /// replayed under it.
    pub before: Option<Arc<Program>>,
    /// Playbooks, messages, providers, queues; the keys are taken from `keys`.
    pub desk: Arc<desk::Config>,
    /// What personal data is sealed with.
    pub keys: KeyFile,
    /// The ways out.
    pub channels: Channels,
    /// The queue behind the [`DeskHandle`] that the channels were given.
    pub questions: mpsc::Receiver<DeskQuestion>,
    /// That handle.
    pub handle: DeskHandle,
    /// Shard threads.
    pub threads: usize,
    /// How much telemetry is kept for backtests, beyond what recovery needs.
    pub keep: Keep,
    /// How much of the desk log is kept behind an export.
    pub keep_log: Keep,
    /// Over which Sparkplug nodes are asked for a birth; `None`: they are not asked.
    pub births: Option<Arc<dyn Publisher>>,
    /// Where outcomes are published.
    pub outcomes: Option<Topic>,
    /// Where all outcomes are written to every day.
    pub nightly: Option<PathBuf>,
    /// Where the head of the desk log is published, and who signs it.
    pub heads: Option<(Topic, Signer)>,
    /// The clock.
    pub clock: Clock,
}

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The telemetry journal cannot be used.
    #[error("telemetry journal: {0}")]
    Journal(#[from] journal::Error),
    /// The desk's store cannot be used.
    #[error("desk: {0}")]
    Store(#[from] store::Error),
    /// Rows of the desk's state cannot be read.
    #[error("desk state: {0}")]
    Desk(#[from] desk::Error),
    /// A directory or file cannot be used.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A thread ended during recovery.
    #[error("recovery: {0}")]
    Recovery(String),
}

/// What recovery found, for the log and the terminal.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// Devices known from checkpoints.
    pub devices: usize,
    /// Journal entries read behind them.
    pub replayed: u64,
    /// From the first of which messages on state was refilled that the checkpoints do not have, because the rules are others
    /// than theirs; `None`: there is none, or it begins cold.
    pub warm_from: Option<At>,
    /// What was damaged and how it was mended; each a sentence.
    pub notes: Vec<String>,
}

/// What ingest is started with: the journal, the ways to the shards and the desk, other rules, and the latches that people
/// released.
type Intake = (Journal, Router, mpsc::Sender<FromShard>, Receiver<Reload>, Receiver<(DeviceId, RuleId)>);

/// A running daemon without its source of messages.
pub struct Daemon {
    shared: Arc<Shared>,
    channels: Arc<ArcSwap<Channels>>,
    configs: mpsc::Sender<Arc<desk::Config>>,
    hold: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    quit: oneshot::Sender<()>,
    clock: Clock,
    keep: Keep,
    engine: EngineHandle,
    reloads: SyncSender<Reload>,
    /// Taken by [`Self::ingest`].
    intake: Option<Intake>,
    dir: PathBuf,
    ingest: Option<JoinHandle<()>>,
    shards: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    desk: JoinHandle<()>,
    dispatcher: tokio::task::JoinHandle<()>,
}

impl Daemon {
    /// Opens everything under `parts.dir` and brings it to where the last run ended. Blocks; must be called within a
    /// tokio runtime.
    pub fn recover(parts: Parts) -> Result<(Self, Recovered), Error> {
        let Parts {
            dir,
            rules,
            before,
            desk: config,
            mut keys,
            channels,
            questions,
            handle,
            threads,
            keep,
            keep_log,
            births,
            outcomes,
            nightly,
            heads,
            clock,
        } = parts;
        let threads = threads.clamp(1, SHARDS);
        let mut found = Recovered::default();

        let (mut journal, report) = Journal::open(&dir.join("journal"), journal::Options::default())?;
        if let Some(torn) = report.torn {
            let (bytes, file) = (torn.bytes, torn.file.display());
            found.notes.push(format!(
                "{bytes} bytes of an unfinished write were cut off {file}; they were never acknowledged"
            ));
        }
        let (store, report) = Store::open(&dir.join("desk"))?;
        note_store(&report, &mut found);
        let mut desk = load_desk(config, &mut keys, &store)?;
        if let Some(why) = &report.held {
            desk.hold(why);
        }

        // The rules that are edited wait until what came before is through.
        let (rules, edited) = match before {
            Some(program) => (Arc::new(Rules { program, ..(*rules).clone() }), Some(rules)),
            None => {
                in_force::keep(&dir, &rules.sources);
                (rules, None)
            }
        };
        let shared = Arc::new(Shared::new(threads));
        let checkpoints = dir.join("checkpoints");
        let (engines, restored) = engines(&checkpoints, &rules, threads, &journal.history(), &mut found)?;
        for (covered, pos) in shared.covered.iter().zip(&restored) {
            covered.store(*pos, Ordering::Release);
        }
        reconnect(&mut journal, &restored, (clock)(), &mut found)?;
        found.devices = engines.iter().map(Engine::device_count).sum();

        let quarantine_dir = dir.join("quarantine");
        let quarantine =
            Quarantine::open(&quarantine_dir).map_err(|error| Error::File { path: quarantine_dir, error })?;
        let quarantine = Arc::new(Mutex::new(quarantine));

        let (news, shards_rx) = mpsc::channel(1_024);
        let (snapshots, snapshots_rx) = sync_channel::<Snapshot>(8);
        let hold = Arc::new(AtomicBool::new(true));
        let births = Births::start(births, clock.clone(), hold.clone());
        let mut queues = Vec::new();
        let mut shard_threads = Vec::new();
        let (asked, questions_of_engine) = EngineHandle::new(threads, ENGINE_QUESTIONS);
        for ((index, engine), questions) in engines.into_iter().enumerate().zip(questions_of_engine) {
            let (queue, items) = sync_channel(16);
            queues.push(queue);
            let thread = ShardThread {
                index,
                engine,
                shared: shared.clone(),
                restored: restored.clone(),
                items,
                questions,
                desk: news.clone(),
                snapshots: snapshots.clone(),
                quarantine: quarantine.clone(),
                births: births.clone(),
                clock: clock.clone(),
            };
            shard_threads.push(spawn(format!("shard-{index}"), move || thread.run())?);
        }
        drop(snapshots);
        let covered = shared.clone();
        let writer = spawn("checkpoints".to_owned(), move || write_checkpoints(&checkpoints, &snapshots_rx, &covered))?;

        let channels = Arc::new(ArcSwap::from_pointee(channels));
        let (orders, orders_rx) = mpsc::channel(1_024);
        let dispatcher = tokio::spawn(dispatcher::run(orders_rx, channels.clone(), handle));
        let (configs, configs_rx) = mpsc::channel(1);
        let (quit, quit_rx) = oneshot::channel();
        let (released, releases) = sync_channel(1_024);
        let desk = DeskThread {
            releases: released,
            desk,
            keys,
            outcomes: Feedback::start(outcomes),
            nightly: nightly.map(Nightly::new),
            heads: Heads::start(heads),
            store,
            keep_log,
            shared: shared.clone(),
            questions,
            shards: shards_rx,
            configs: configs_rx,
            orders: Some(orders),
            clock: clock.clone(),
            hold: hold.clone(),
            held: report.held.is_some(),
            quit: quit_rx,
        };
        let desk = spawn("desk".to_owned(), move || desk.run())?;

        let mut router = Router::new(rules, queues, quarantine);
        found.replayed = replay(&journal, &restored, &mut router)?;
        hold.store(false, Ordering::Release);
        // Room for the one below and for one that somebody asks for.
        let (reloads, reloads_rx) = sync_channel(2);
        if let Some(rules) = edited {
            // Nobody waits for the answer: the log tells what it has changed.
            let _queued = reloads.try_send(Reload { rules, done: oneshot::channel().0 });
        }

        let daemon = Self {
            shared,
            channels,
            configs,
            hold,
            stop: Arc::new(AtomicBool::new(false)),
            quit,
            clock,
            keep,
            engine: asked,
            reloads,
            intake: Some((journal, router, news, reloads_rx, releases)),
            dir,
            ingest: None,
            shards: shard_threads,
            writer,
            desk,
            dispatcher,
        };
        Ok((daemon, found))
    }

    /// Starts taking messages in. Once only.
    pub fn ingest<S: Source>(&mut self, source: S) -> Result<(), Error> {
        let Some((journal, router, news, reloads, releases)) = self.intake.take() else { return Ok(()) };
        let ingest = Ingest {
            source,
            dir: self.dir.clone(),
            journal,
            router,
            shared: self.shared.clone(),
            clock: self.clock.clone(),
            keep: self.keep,
            stop: self.stop.clone(),
            reloads,
            releases,
            news,
            shed: BTreeMap::new(),
            told_at: At::MIN,
            frame: Vec::new(),
        };
        self.ingest = Some(spawn("ingest".to_owned(), move || ingest.run())?);
        Ok(())
    }

    /// Puts new rules, registry, desk configuration and channels in force, and says what that has changed. Cases keep the
    /// playbook they run. `None`: ingest has ended or never begun.
    pub async fn reload(&self, rules: Arc<Rules>, config: Arc<desk::Config>, channels: Channels) -> Option<Reloaded> {
        self.channels.store(Arc::new(channels));
        if self.configs.send(config).await.is_err() {
            tracing::warn!("the desk has stopped; it will read the new configuration at the next start");
        }
        let (done, reloaded) = oneshot::channel();
        self.reloads.try_send(Reload { rules, done }).ok()?;
        reloaded.await.ok()
    }

    /// What is wrong now: storage trouble and stuck loops. Empty when all is well.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.probe().troubles()
    }

    /// For questions about rules, from any task.
    #[must_use]
    pub fn engine(&self) -> EngineHandle {
        self.engine.clone()
    }

    /// For health checks and the watchdog, from any task.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe { shared: self.shared.clone(), clock: self.clock.clone() }
    }

    /// Drains and stops: nothing new is taken in or claimed, everything taken in is worked on, attempts in flight get
    /// their outcome, states are checkpointed, the desk is exported.
    pub async fn stop(mut self) {
        self.hold.store(true, Ordering::Release);
        self.stop.store(true, Ordering::Release);
        self.intake = None;
        let threads: Vec<_> = self.ingest.take().into_iter().chain(self.shards).chain([self.writer]).collect();
        join(threads).await;
        if tokio::time::timeout(DRAIN, &mut self.dispatcher).await.is_err() {
            tracing::warn!("attempts are still in flight; their outcome is settled at the next start");
            self.dispatcher.abort();
        }
        let _desk_gone = self.quit.send(());
        join(vec![self.desk]).await;
    }
}

/// Looks at a daemon from outside.
#[derive(Clone)]
pub struct Probe {
    shared: Arc<Shared>,
    clock: Clock,
}

impl Probe {
    /// What is wrong now: storage trouble and stuck loops. Empty when all is well.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let stuck = self.stuck().into_iter().map(|name| format!("the {name} loop has not gone round for {STUCK}"));
        self.shared.trouble().into_iter().chain(stuck).collect()
    }

    /// The loops that do not go round any more. A full disk is trouble, but no loop is stuck by it.
    #[must_use]
    pub fn stuck(&self) -> Vec<&'static str> {
        self.shared.stuck((self.clock)(), STUCK)
    }

    /// A person has stopped all effects.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// Devices have spoken at QoS 0, and what they say can be lost on the way (D2).
    #[must_use]
    pub fn may_lose(&self) -> bool {
        self.shared.may_lose.load(Ordering::Relaxed)
    }

    /// A thread has failed for good: the process must end with exit code 74 and be restarted.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.shared.failed()
    }
}

/// One thread's engine, where its shards stand, and what could not be restored.
struct Restored {
    engine: Engine,
    positions: Vec<(u8, u64)>,
    notes: Vec<String>,
}

/// An engine with the shards that are wanted.
fn restore(dir: &Path, rules: &Rules, wanted: impl Fn(u8) -> bool) -> Result<Restored, checkpoint::Error> {
    let mut engine = Engine::new(rules.program.clone(), rules.registry.clone());
    let loaded = checkpoint::load(dir, wanted)?;
    let damaged = |d: checkpoint::Damaged| {
        let (shard, why, aside) = (d.shard, d.why, d.set_aside.display());
        format!("the checkpoint of shard {shard} was damaged ({why}) and is now {aside}; replayed from the journal")
    };
    let mut notes: Vec<String> = loaded.damaged.into_iter().map(damaged).collect();
    let mut positions = Vec::new();
    for part in loaded.checkpoints {
        match engine.restore(part.shard, &part.bytes) {
            Ok(()) => positions.push((part.shard, part.pos.0)),
            Err(error) => {
                notes.push(format!("checkpoint of shard {}: {error}; replayed from the journal", part.shard));
            }
        }
    }
    Ok(Restored { engine, positions, notes })
}

/// Builds one engine a thread and restores its shards. Returns for each shard the position its state stands at.
fn engines(
    dir: &Path,
    rules: &Rules,
    threads: usize,
    history: &History,
    found: &mut Recovered,
) -> Result<(Vec<Engine>, Vec<u64>), Error> {
    let as_file = |error| Error::File { path: dir.to_owned(), error };
    std::fs::create_dir_all(dir).map_err(as_file)?;
    let covered = Covered::read(dir);
    let built: Vec<Result<Restored, checkpoint::Error>> = std::thread::scope(|scope| {
        let one = |index| scope.spawn(move || restore(dir, rules, |shard| usize::from(shard) % threads == index));
        let workers: Vec<_> = (0..threads).map(one).collect();
        workers.into_iter().filter_map(|w| w.join().ok()).collect()
    });
    if built.len() != threads {
        return Err(Error::Recovery("a checkpoint made the engine fail".to_owned()));
    }
    let mut restored = vec![None; SHARDS];
    let mut engines = Vec::new();
    for built in built {
        let Restored { engine, positions, notes } = built.map_err(|e| Error::Recovery(e.to_string()))?;
        for (shard, pos) in positions {
            restored[usize::from(shard)] = Some(pos);
        }
        found.notes.extend(notes);
        engines.push(engine);
    }
    let stand = |(shard, own): (u8, Option<u64>)| {
        let (pos, clock) = covered.good_up_to(shard, own);
        if let Some(clock) = clock {
            engines[usize::from(shard) % threads].set_shard_clock(shard, clock);
        }
        pos
    };
    let restored: Vec<u64> = (0..=u8::MAX).zip(restored).map(stand).collect();
    let stands = |shard: u8| restored[usize::from(shard)];
    let refilled: Vec<_> = std::thread::scope(|scope| {
        let one = |engine| scope.spawn(move || refill(engine, rules, history, stands, || {}));
        let workers: Vec<_> = engines.iter_mut().map(one).collect();
        workers.into_iter().filter_map(|w| w.join().ok()).collect()
    });
    for from in refilled {
        match from {
            Ok(from) => found.warm_from = found.warm_from.into_iter().chain(from).min(),
            Err(error) => found.notes.push(format!("what the rules have new begins cold: {error}")),
        }
    }
    Ok((engines, restored))
}

/// The desk of a store. The erased are left out before any key is made for those whom the registry names.
pub(super) fn load_desk(config: Arc<desk::Config>, keys: &mut KeyFile, store: &Store) -> Result<Desk, Error> {
    let mut desk = Desk::new(config.clone());
    desk.load(store.rows()?.iter())?;
    destroy_erased(&desk, keys)?;
    desk.reload(with_keys(config, keys)?);
    warn_of_erased(&desk);
    warn_of_new_rules(&desk);
    Ok(desk)
}

fn note_store(report: &store::OpenReport, found: &mut Recovered) {
    if let Some(torn) = &report.log.torn {
        let (bytes, file) = (torn.bytes, torn.file.display());
        found.notes.push(format!(
            "{bytes} bytes of an unfinished write were cut off {file}; nothing had been released on them"
        ));
    }
    if let Some(rebuilt) = &report.rebuilt {
        let aside =
            rebuilt.set_aside.as_ref().map(|p| format!(", the old one is now {}", p.display())).unwrap_or_default();
        found
            .notes
            .push(format!("the desk's state was built anew from its log ({}){aside}; nothing is lost", rebuilt.why));
    }
    for export in &report.damaged_exports {
        found.notes.push(format!("the export {} is damaged; it was not used", export.display()));
    }
    if let Some(why) = &report.held {
        found.notes.push(format!("effects are held: {why}"));
    }
}

/// Makes checkpoints and journal meet again if one of them was lost or put back from a backup.
fn reconnect(journal: &mut Journal, restored: &[u64], now: At, found: &mut Recovered) -> Result<(), Error> {
    let newest = restored.iter().max().copied().unwrap_or(0);
    if journal.next().0 <= newest {
        let note = format!(
            "the journal ends before the checkpoints (at {}): it was lost or replaced; it goes on behind them",
            journal.next()
        );
        found.notes.push(note);
        journal.skip_to(Pos(newest + 1), now)?;
    }
    let reaches_back_to = journal.reaches_back_to();
    let cold = restored.iter().filter(|pos| Pos(**pos).next() < reaches_back_to).count();
    if cold > 0 {
        found.notes.push(format!(
            "the journal begins at {reaches_back_to}, behind the checkpoints of {cold} shards: their devices miss the entries between"
        ));
    }
    Ok(())
}

/// Feeds everything behind the checkpoints to the shard threads and waits until they are through.
fn replay(journal: &Journal, restored: &[u64], router: &mut Router) -> Result<u64, Error> {
    let oldest = restored.iter().min().copied().unwrap_or(0);
    let from = Pos(oldest).next().max(journal.reaches_back_to());
    let mut count = 0_u64;
    let gone = || Error::Recovery("a shard thread has ended".to_owned());
    let mut reader = journal.reader(from)?;
    while let Some((pos, bytes)) = reader.next_record()? {
        match Entry::decode(bytes) {
            Ok(Entry::Message { received_at, retained, topic, payload }) => {
                let (topic, payload) = (Bytes::copy_from_slice(topic.as_bytes()), Bytes::copy_from_slice(payload));
                router.message(pos.0, received_at, retained, &topic, payload);
            }
            Ok(Entry::Release { at, device, rule }) => router.release(pos.0, at, device.into(), rule.into()),
            Ok(Entry::Clock { at }) => router.mark(pos.0, at),
            Err(error) => tracing::error!(%error, %pos, "journal entry passed over"),
        }
        count += 1;
        if count.is_multiple_of(1_024) && !router.flush() {
            return Err(gone());
        }
    }
    if router.barrier() { Ok(count) } else { Err(gone()) }
}

/// Writes checkpoints as they come. Shards without a change only move on in the small file that says so, which is
/// written for many of them at once; the journal may be trimmed when it is.
fn write_checkpoints(dir: &Path, snapshots: &Receiver<Snapshot>, shared: &Shared) {
    const SAVE_EVERY: Duration = Duration::from_millis(500);
    let mut covered = Covered::read(dir);
    let mut unsaved: Vec<(u8, u64)> = Vec::new();
    loop {
        let news = snapshots.recv_timeout(SAVE_EVERY);
        let (idle, ended) = (news.is_err(), matches!(news, Err(RecvTimeoutError::Disconnected)));
        if let Ok(Snapshot { shard, pos, clock, bytes }) = news {
            let changed = bytes.is_some();
            match bytes.map(|bytes| checkpoint::write(dir, &Checkpoint { shard, pos: Pos(pos), tag: 0, bytes })) {
                Some(Ok(())) => shared.covered[usize::from(shard)].store(pos, Ordering::Release),
                None => unsaved.push((shard, pos)),
                Some(Err(error)) => {
                    tracing::warn!(%error, shard, "checkpoint not written; the journal is kept for longer");
                    continue;
                }
            }
            covered.advance(shard, pos, clock, changed);
        }
        if !unsaved.is_empty() && (idle || unsaved.len() >= SHARDS / 4) {
            match covered.save(dir) {
                Ok(()) => unsaved.drain(..).for_each(|(shard, pos)| {
                    shared.covered[usize::from(shard)].store(pos, Ordering::Release);
                }),
                Err(error) => tracing::warn!(%error, "checkpoints not noted; the journal is kept for longer"),
            }
        }
        if ended {
            return;
        }
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(body)
        .map_err(|e| Error::Recovery(format!("thread '{name}' cannot be started: {e}")))
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let joined =
        tokio::task::spawn_blocking(move || threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count());
    if !matches!(joined.await, Ok(0)) {
        tracing::error!("a thread had failed before the stop");
    }
}
