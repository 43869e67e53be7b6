//! The thread that owns the desk and its store.
//!
//! One round: take what waits, let the desk decide each, write all their records with one fdatasync, and only then
//! release what they led to: orders, replies, watches. People come before machines: key presses, callbacks and API
//! calls are taken before detections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::feedback::{Feedback, Heads, tell_quality};
use super::nightly::Nightly;
use super::ports::{Clock, DeskQuestion};
use super::shard::FromShard;
use super::shared::Shared;
use crate::desk::{Config, Desk, Input, KeyChange, OutcomeView, Record, Reply, Step, Watch};
use crate::domain::{At, DeviceId, Order, RuleId, Span, Stop};
use crate::journal::Keep;
use crate::store::{self, KeyFile, Store};

/// Inputs in one round at most.
const BATCH: usize = 128;
/// sled is flushed and synced this often; the desk log is the truth in between.
const SYNC_EVERY: Span = Span::from_secs(30);
/// So many exports are kept.
const EXPORTS: usize = 3;
/// A checksummed export of the state is written, and the head of the log sent out, this often.
const EXPORT_EVERY: Span = Span::from_hours(1);
/// Rows of a table in what a customer is told of theirs, at most: it is one answer.
const DOSSIER_ROWS: usize = 20_000;

pub(super) struct DeskThread {
    pub(super) desk: Desk,
    pub(super) keys: KeyFile,
    pub(super) outcomes: Feedback,
    pub(super) heads: Heads,
    pub(super) nightly: Option<Nightly>,
    pub(super) store: Store,
    /// How much of its log is kept behind an export.
    pub(super) keep_log: Keep,
    pub(super) shared: Arc<Shared>,
    pub(super) questions: mpsc::Receiver<DeskQuestion>,
    pub(super) shards: mpsc::Receiver<FromShard>,
    pub(super) configs: mpsc::Receiver<Arc<Config>>,
    pub(super) orders: Option<mpsc::Sender<Order>>,
    /// To the journal of the engine.
    pub(super) releases: SyncSender<(DeviceId, RuleId)>,
    pub(super) clock: Clock,
    /// Nothing new is claimed: the journal is being replayed, or the daemon is stopping.
    pub(super) hold: Arc<AtomicBool>,
    /// The store is a restored backup, and the desk sends nothing: time stands still for what waits.
    pub(super) held: bool,
    /// Resolves when everything else has ended.
    pub(super) quit: oneshot::Receiver<()>,
}

/// What a round has decided and not yet released.
#[derive(Default)]
struct Round {
    records: Vec<Record>,
    orders: Vec<Order>,
    watch: Vec<(DeviceId, Watch)>,
    replies: Vec<(oneshot::Sender<Reply>, Reply)>,
    committed: Vec<(usize, u64)>,
    waited: Vec<Span>,
    releases: Vec<(DeviceId, RuleId)>,
    outcomes: Vec<OutcomeView>,
    /// What is known of rules has changed.
    rules: bool,
    /// With the place of the reply that waits for it.
    keys: Vec<(usize, KeyChange)>,
}

/// Gives a configuration the keys of its customers; those who are new get one.
pub(super) fn with_keys(config: Arc<Config>, keys: &mut KeyFile) -> Result<Arc<Config>, store::Error> {
    keys.admit(config.registry.customers.keys())?;
    let mut config = Arc::unwrap_or_clone(config);
    config.keys = keys.ring();
    Ok(Arc::new(config))
}

/// Destroys the keys of everybody whose erasure is on record: a crash may have come in between.
pub(super) fn destroy_erased(desk: &Desk, keys: &mut KeyFile) -> Result<(), store::Error> {
    desk.erased().try_for_each(|(customer, at)| keys.destroy(customer, at))
}

/// The registry is not ours to change.
pub(super) fn warn_of_erased(desk: &Desk) {
    for customer in desk.erased_in_registry().iter().take(10) {
        tracing::warn!(%customer, "was erased and still stands in the registry: nobody is told anything; delete the lines, or readmit the customer");
    }
}

pub(super) fn warn_of_new_rules(desk: &Desk) {
    for rule in desk.rules_that_wait().iter().take(10) {
        tracing::warn!(%rule, "a rule is new: what it finds is recorded, and nothing is done before `forewarn case release-rule {rule}`");
    }
}

impl DeskThread {
    /// Runs until `quit`, then writes an export.
    pub(super) fn run(mut self) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.shared.fail(format!("the desk thread cannot start: {error}")),
        };
        runtime.block_on(self.rounds());
        if self.shared.failed() {
            return;
        }
        let now = (self.clock)();
        if let Err(error) = self.store.checkpoint().and_then(|_| self.store.export(EXPORTS, self.keep_log, now)) {
            tracing::warn!(%error, "the state could not be exported at the stop; the desk log has everything");
        }
    }

    async fn rounds(&mut self) {
        let mut synced_at = (self.clock)();
        let mut exported_at = synced_at;
        let watched: BTreeSet<DeviceId> = self.desk.watched().into_iter().collect();
        self.shared.watched.update(|w| *w = watched);
        tell_quality(&self.desk);
        let mut open = self.tell_all([Input::Started]).await;
        self.heads.tell(self.store.head(), synced_at);
        while open && !self.shared.failed() {
            let mut round = Round::default();
            open = self.gather(&mut round).await;
            if !self.finish(round).await {
                return;
            }
            let now = (self.clock)();
            self.shared.beat("desk", now);
            self.show_stop();
            if let Some(nightly) = &mut self.nightly {
                nightly.go_on(&self.desk, now);
            }
            if now - synced_at >= SYNC_EVERY {
                synced_at = now;
                match self.store.checkpoint() {
                    Ok(Some(report)) => tracing::warn!(?report, "the desk's state was built anew; nothing is lost"),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "sled could not be synced; the desk log has everything"),
                }
            }
            if now - exported_at >= EXPORT_EVERY {
                exported_at = now;
                self.heads.tell(self.store.head(), now);
                self.sweep_keys();
                if let Err(error) = self.store.export(EXPORTS, self.keep_log, now) {
                    tracing::warn!(%error, "the hourly export failed");
                }
            }
        }
    }

    /// For probes and metrics: whether a person has stopped everything.
    fn show_stop(&self) {
        let stopped = self.desk.stopped() != Stop::Off;
        self.shared.stopped.store(stopped, Ordering::Release);
        metrics::gauge!("forewarn_stopped").set(if stopped { 1.0 } else { 0.0 });
    }

    /// Waits for something to happen and takes what else is there. `false` once nothing can happen any more.
    async fn gather(&mut self, round: &mut Round) -> bool {
        let hold = self.held || self.hold.load(Ordering::Acquire);
        let now = (self.clock)();
        let wake = self.desk.wake_at().filter(|_| !hold).map_or(Span::from_secs(1), |at| (at - now).max(Span::ZERO));
        // At least once a second, so that the beat is seen.
        let pause = wake.min(Span::from_secs(1)).to_std().max(Duration::from_millis(1));
        tokio::select! {
            biased;
            Some(question) = self.questions.recv() => self.question(question, round),
            Some(config) = self.configs.recv() => match with_keys(config, &mut self.keys) {
                Ok(config) => {
                    self.desk.reload(config);
                    warn_of_erased(&self.desk);
                    warn_of_new_rules(&self.desk);
                }
                Err(error) => tracing::error!(%error, "the desk keeps its playbooks and registry"),
            },
            news = self.shards.recv(), if self.orders.is_some() => match news {
                Some(news) => self.news(news, round),
                // The shards have ended, so nothing will be claimed any more: lets the dispatcher finish and end.
                None => self.orders = None,
            },
            _ = &mut self.quit => return false,
            () = tokio::time::sleep(pause) => {}
        }
        for _ in 0..BATCH {
            if let Ok(question) = self.questions.try_recv() {
                self.question(question, round);
            } else if let Ok(news) = self.shards.try_recv() {
                self.news(news, round);
            } else {
                break;
            }
        }
        let now = (self.clock)();
        if !hold && self.desk.wake_at().is_some_and(|at| at <= now) {
            self.decide(Input::Wake, now, round);
        }
        true
    }

    fn question(&mut self, question: DeskQuestion, round: &mut Round) {
        match question {
            DeskQuestion::Input(input, answer) => {
                let reply = self.decide(input, (self.clock)(), round);
                round.replies.push((answer, reply));
            }
            // Reading sees what this round has decided and not yet made durable; it is durable before the caller can
            // act on it over the network in all but the smallest window, and nothing is released on its account.
            DeskQuestion::List { closed, limit, answer } => drop(answer.send(self.desk.list(closed, limit))),
            DeskQuestion::Show(case, answer) => drop(answer.send(self.desk.show(&case).map(Box::new))),
            DeskQuestion::Find(prefix, answer) => drop(answer.send(self.desk.find(&prefix))),
            DeskQuestion::OptOuts(answer) => drop(answer.send(self.desk.opt_outs())),
            DeskQuestion::Page(link, answer) => drop(answer.send(self.desk.page((self.clock)(), &link))),
            DeskQuestion::Switches(answer) => drop(answer.send(self.desk.switches())),
            DeskQuestion::Lookup(caller, answer) => drop(answer.send(self.desk.lookup(&caller))),
            DeskQuestion::Rules(answer) => drop(answer.send(self.desk.rules())),
            DeskQuestion::Outcomes { since, after, limit, answer } => {
                drop(answer.send(self.desk.outcomes(since, after, limit)));
            }
            DeskQuestion::Dossier(customer, answer) => drop(answer.send(self.desk.dossier(&customer, DOSSIER_ROWS))),
            DeskQuestion::Standing { rule, device, episode, answer } => {
                drop(answer.send(self.desk.standing(&rule, &device, episode.as_ref())));
            }
        }
    }

    fn news(&mut self, news: FromShard, round: &mut Round) {
        let now = (self.clock)();
        match news {
            FromShard::Detections { thread, pos, list } => {
                for detection in list {
                    round.waited.push(now.since(detection.received_at));
                    self.decide(Input::Detection(Box::new(detection)), now, round);
                }
                round.committed.push((thread, pos));
            }
            FromShard::Facts { device, event_at, values } => {
                self.decide(Input::Facts { device, event_at, values }, now, round);
            }
            FromShard::Reply(receipt) => {
                self.decide(Input::Receipt(receipt), now, round);
            }
            FromShard::Shed(models) => {
                self.decide(Input::Shed { models }, now, round);
            }
            FromShard::Switch { topic, stop, received_at, retained } => {
                let input = Input::Switch { topic, stop, received_at, retained };
                if self.decide(input, now, round) == Reply::NotFound {
                    tracing::warn!("a message for a stop switch that there is not (the case may be closed)");
                }
            }
        }
    }

    fn decide(&mut self, input: Input, now: At, round: &mut Round) -> Reply {
        let Step { record, orders, watch, releases, keys, outcomes, reply } = self.desk.handle(now, input);
        if let Some(record) = record {
            if let Err(error) = self.desk.apply(&record) {
                // The desk cannot read what it has just written: nothing of this may be released.
                self.shared.fail(format!("desk: {error}"));
                return Reply::Refused("the desk has failed".to_owned());
            }
            round.rules |= Desk::changes_rules(&record);
            round.records.push(record);
        }
        round.orders.extend(orders);
        round.watch.extend(watch);
        round.releases.extend(releases);
        round.outcomes.extend(outcomes);
        round.keys.extend(keys.into_iter().map(|key| (round.replies.len(), key)));
        reply
    }

    fn change_key(&mut self, change: &KeyChange) -> Result<(), store::Error> {
        match change {
            KeyChange::Destroy(customer) => self.keys.destroy(customer, (self.clock)())?,
            KeyChange::Readmit(customer) => self.keys.readmit(customer)?,
        }
        self.desk.reload(with_keys(self.desk.given().clone(), &mut self.keys)?);
        Ok(())
    }

    /// Once an hour: keys that nobody needs any more are dropped, and what could not be destroyed is destroyed.
    fn sweep_keys(&mut self) {
        let swept =
            destroy_erased(&self.desk, &mut self.keys).and_then(|()| self.keys.retain(&self.desk.keys_needed()));
        match swept {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(dropped, "keys of former customers of whom nothing is stored any more"),
            Err(error) => tracing::error!(%error, "the keys cannot be changed; it is tried again"),
        }
    }

    async fn tell_all<const N: usize>(&mut self, inputs: [Input; N]) -> bool {
        let mut round = Round::default();
        for input in inputs {
            self.decide(input, (self.clock)(), &mut round);
        }
        self.finish(round).await
    }

    /// Writes the records; tries again while the disk is full. `false`: the log can never be written again.
    async fn durable(&mut self, records: &[Record]) -> bool {
        loop {
            match self.store.commit_batch(records) {
                Ok(_) => return true,
                Err(error) if error.retryable() => {
                    tracing::error!(%error, "nothing is released until the desk log can be written");
                    self.shared.set_trouble(Some(error.to_string()));
                    self.shared.beat("desk", (self.clock)());
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    self.shared.fail(format!("desk log: {error}"));
                    return false;
                }
            }
        }
    }

    /// Makes a round durable and releases it. `false`: the log cannot be written; nothing of it is released.
    async fn finish(&mut self, mut round: Round) -> bool {
        if self.shared.failed() {
            return false;
        }
        if !round.records.is_empty() {
            fail::fail_point!("desk-before-commit", |_| std::process::abort());
            if !self.durable(&round.records).await {
                return false;
            }
            fail::fail_point!("desk-after-commit", |_| std::process::abort());
        }
        if round.rules {
            tell_quality(&self.desk);
        }
        for outcome in std::mem::take(&mut round.outcomes) {
            self.outcomes.tell(&outcome);
        }
        for (reply, key) in std::mem::take(&mut round.keys) {
            if let Err(error) = self.change_key(&key) {
                tracing::error!(%error, ?key, "the keys cannot be changed; it is tried again");
                if let Some((_, reply)) = round.replies.get_mut(reply) {
                    *reply = Reply::Refused(format!("it is on record, but not done yet: {error}; it is tried again"));
                }
            }
        }
        for waited in round.waited {
            metrics::histogram!("forewarn_publish_to_effect_seconds").record(waited.as_secs_f64());
        }
        for (thread, pos) in round.committed {
            self.shared.committed[thread].fetch_max(pos, Ordering::AcqRel);
        }
        if !round.watch.is_empty() {
            self.shared.watched.update(|watched| {
                for (device, watch) in round.watch {
                    match watch {
                        Watch::Start => watched.insert(device),
                        Watch::Stop => watched.remove(&device),
                    };
                }
            });
        }
        for release in round.releases {
            if let Err(error) = self.releases.try_send(release) {
                tracing::warn!(%error, "a latched episode ends only after the next start");
            }
        }
        for order in round.orders {
            // Bounded by what the desk has in flight; the dispatcher never waits for the desk to take an order.
            if let Some(orders) = &self.orders
                && orders.send(order).await.is_err()
            {
                self.shared.fail("the dispatcher has ended".to_owned());
                return false;
            }
        }
        for (answer, reply) in round.replies {
            // Whoever asked may have gone; what was decided stands.
            let _gone = answer.send(reply);
        }
        true
    }
}
