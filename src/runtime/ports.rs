//! What the adapters plug into.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::reload::Reloaded;
use crate::desk::{
    Caller, CaseSummary, CaseView, Input, LinkPage, Lookup, OptOutView, OutcomeView, Reply, RuleQuality, SwitchView,
};
use crate::domain::{At, CaseId, CustomerId, DeviceId, EpisodeId, Link, Order, Outcome, RuleId, Span, shard_of};
use crate::engine::{Explanation, NoSuchRule};

/// A way out: makes one attempt. Implemented by each adapter in `channels`.
pub trait Channel: Send + Sync + 'static {
    /// Makes the attempt once, within its own time limits, and says what came of it. Never retries. `Unknown` is the
    /// answer whenever bytes may have reached the provider and no clear answer came back. Dropping the future is an
    /// unknown outcome too.
    fn attempt(&self, order: Order) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
}

/// A way to the broker for messages of our own (commands, status); on another connection than receiving.
pub trait Publisher: Send + Sync + 'static {
    /// Publishes at QoS 1 with a message expiry and waits for the PUBACK.
    fn publish(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Span>,
        retain: bool,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
}

/// A publish as it came from the broker.
#[derive(Debug)]
pub struct Incoming<A> {
    /// Topic name.
    pub topic: Bytes,
    /// Payload.
    pub payload: Bytes,
    /// When it reached us.
    pub received_at: At,
    /// Sent because we subscribed, not because the device just spoke: last known, not fresh.
    pub retained: bool,
    /// To be handed back once the message is durable; `None` for QoS 0.
    pub ack: Option<A>,
}

/// Where publishes come from. Implemented by `mqtt`.
pub trait Source: Send + 'static {
    /// What proves that a publish may be acknowledged.
    type Ack: Send + 'static;

    /// Waits up to `wait` for the first publish, then takes what is there, at most `max`, into `out`. `false` once
    /// the source has ended and nothing more will come.
    fn recv(&mut self, max: usize, wait: std::time::Duration, out: &mut Vec<Incoming<Self::Ack>>) -> bool;

    /// Connected, subscribed, and nothing waits: the marks of our clock may be written.
    fn drained(&self) -> bool;

    /// Acknowledges publishes that are durable now, in the order of their receipt. Never blocks.
    fn ack(&mut self, acks: Vec<Self::Ack>);

    /// How many publishes of QoS 0 were lost for want of room since the last call, by topic.
    fn shed(&mut self) -> BTreeMap<Bytes, u64> {
        BTreeMap::new()
    }
}

/// Tells the time. `app` reads the machine's clock; everybody else is handed this, so that a test owns the time.
pub type Clock = std::sync::Arc<dyn Fn() -> At + Send + Sync>;

/// A question to the desk thread.
#[derive(Debug)]
pub enum DeskQuestion {
    /// Something happened; the reply comes after the record is durable.
    Input(Input, oneshot::Sender<Reply>),
    /// Open cases, or all of the last days; newest first, at most `limit`.
    List {
        /// Closed ones too.
        closed: bool,
        /// At most so many.
        limit: usize,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<CaseSummary>>,
    },
    /// One case, by id.
    Show(CaseId, oneshot::Sender<Option<Box<CaseView>>>),
    /// The case whose id starts with these characters, if it is exactly one.
    Find(String, oneshot::Sender<Option<CaseId>>),
    /// Who does not want to be contacted.
    OptOuts(oneshot::Sender<Vec<OptOutView>>),
    /// The stop switches.
    Switches(oneshot::Sender<Vec<SwitchView>>),
    /// Who calls, and how things stand with their devices.
    Lookup(Caller, oneshot::Sender<Lookup>),
    /// How good each version of each rule is.
    Rules(oneshot::Sender<Vec<RuleQuality>>),
    /// Outcomes, oldest first.
    Outcomes {
        /// Opened or judged since then.
        since: At,
        /// Behind this one.
        after: Option<CaseId>,
        /// At most so many.
        limit: usize,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<OutcomeView>>,
    },
    /// Everything that is stored of a customer.
    Dossier(CustomerId, oneshot::Sender<Option<serde_json::Value>>),
    /// How what a rule has found on a device stands, or what a case of it would meet.
    Standing {
        /// The rule.
        rule: RuleId,
        /// The device.
        device: DeviceId,
        /// What the rule has found, if it is open.
        episode: Option<EpisodeId>,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<String>>,
    },
    /// The page behind a one-time link, as it is now.
    Page(Link, oneshot::Sender<Result<LinkPage, String>>),
}

/// The desk's queue is full or the desk has stopped; nothing was taken in. Try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the desk is busy or stopping; nothing was taken in")]
pub struct Busy;

/// The desk, for adapters. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeskHandle(mpsc::Sender<DeskQuestion>);

impl DeskHandle {
    /// A handle and the queue that the desk thread reads; `depth` questions wait at most.
    #[must_use]
    pub fn new(depth: usize) -> (Self, mpsc::Receiver<DeskQuestion>) {
        let (tx, rx) = mpsc::channel(depth);
        (Self(tx), rx)
    }

    /// Tells the desk and waits until what it decided is durable.
    pub async fn tell(&self, input: Input) -> Result<Reply, Busy> {
        self.ask(|answer| DeskQuestion::Input(input, answer)).await
    }

    /// Like [`Self::tell`], for news that must not be lost: waits for room in the queue.
    pub async fn report(&self, input: Input) -> Result<Reply, Busy> {
        let (answer, wait) = oneshot::channel();
        self.0.send(DeskQuestion::Input(input, answer)).await.map_err(|_| Busy)?;
        wait.await.map_err(|_| Busy)
    }

    /// The newest cases.
    pub async fn list(&self, closed: bool, limit: usize) -> Result<Vec<CaseSummary>, Busy> {
        self.ask(|answer| DeskQuestion::List { closed, limit, answer }).await
    }

    /// One case.
    pub async fn show(&self, case: CaseId) -> Result<Option<Box<CaseView>>, Busy> {
        self.ask(|answer| DeskQuestion::Show(case, answer)).await
    }

    /// The case whose id starts with `prefix`, if it is exactly one.
    pub async fn find(&self, prefix: String) -> Result<Option<CaseId>, Busy> {
        self.ask(|answer| DeskQuestion::Find(prefix, answer)).await
    }

    /// The stop switches.
    pub async fn switches(&self) -> Result<Vec<SwitchView>, Busy> {
        self.ask(DeskQuestion::Switches).await
    }

    /// Who calls, and how things stand with their devices.
    pub async fn lookup(&self, caller: Caller) -> Result<Lookup, Busy> {
        self.ask(|answer| DeskQuestion::Lookup(caller, answer)).await
    }

    /// How good each version of each rule is.
    pub async fn rules(&self) -> Result<Vec<RuleQuality>, Busy> {
        self.ask(DeskQuestion::Rules).await
    }

    /// Outcomes opened or judged since `since`, oldest first, behind the case `after`.
    pub async fn outcomes(&self, since: At, after: Option<CaseId>, limit: usize) -> Result<Vec<OutcomeView>, Busy> {
        self.ask(|answer| DeskQuestion::Outcomes { since, after, limit, answer }).await
    }

    /// Everything that is stored of a customer; `None` if nothing is.
    pub async fn dossier(&self, customer: CustomerId) -> Result<Option<serde_json::Value>, Busy> {
        self.ask(|answer| DeskQuestion::Dossier(customer, answer)).await
    }
    /// Who does not want to be contacted.
    pub async fn opt_outs(&self) -> Result<Vec<OptOutView>, Busy> {
        self.ask(DeskQuestion::OptOuts).await
    }

    /// How what a rule has found on a device stands; sentences for people.
    pub async fn standing(
        &self,
        rule: RuleId,
        device: DeviceId,
        episode: Option<EpisodeId>,
    ) -> Result<Vec<String>, Busy> {
        self.ask(|answer| DeskQuestion::Standing { rule, device, episode, answer }).await
    }

    /// The page behind a one-time link, or for the log why there is none.
    pub async fn page(&self, link: Link) -> Result<Result<LinkPage, String>, Busy> {
        self.ask(|answer| DeskQuestion::Page(link, answer)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> DeskQuestion) -> Result<T, Busy> {
        let (answer, wait) = oneshot::channel();
        self.0.try_send(question(answer)).map_err(|_| Busy)?;
        wait.await.map_err(|_| Busy)
    }
}

/// How a reload stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReloadState {
    /// Nobody has asked for one since the start.
    #[default]
    None,
    /// Somebody has.
    UnderWay,
    /// The new files are in force.
    Done(Reloaded),
    /// Everything is as it was.
    Refused {
        /// The findings in the files, as `forewarn check` shows them, or what else was in the way.
        findings: String,
    },
}

/// Whoever reads the files again, for adapters. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReloadHandle {
    ask: mpsc::Sender<oneshot::Sender<ReloadState>>,
    last: watch::Receiver<ReloadState>,
}

impl ReloadHandle {
    /// A handle, the queue of those who ask, and where to say how it stands.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<oneshot::Sender<ReloadState>>, watch::Sender<ReloadState>) {
        let (ask, asked) = mpsc::channel(1);
        let (told, last) = watch::channel(ReloadState::None);
        (Self { ask, last }, asked, told)
    }

    /// Asks for a reload and waits for its end.
    pub async fn reload(&self) -> Result<ReloadState, Busy> {
        let (answer, wait) = oneshot::channel();
        self.ask.try_send(answer).map_err(|_| Busy)?;
        wait.await.map_err(|_| Busy)
    }

    /// How the last one stands.
    #[must_use]
    pub fn last(&self) -> ReloadState {
        self.last.borrow().clone()
    }
}

/// A question to the thread that owns a device: how does this rule stand with it?
#[derive(Debug)]
pub struct EngineQuestion {
    /// The rule.
    pub rule: String,
    /// The device.
    pub device: DeviceId,
    /// Which part of it.
    pub component: Option<String>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Explanation, NoSuchRule>>,
}

/// The engine's threads, for adapters that ask about rules. Cheap to clone; without threads it is always busy.
#[derive(Debug, Clone, Default)]
pub struct EngineHandle(std::sync::Arc<[std::sync::mpsc::SyncSender<EngineQuestion>]>);

impl EngineHandle {
    /// A handle and the queue of each thread; `depth` questions wait at most. A thread answers between its messages.
    #[must_use]
    pub fn new(threads: usize, depth: usize) -> (Self, Vec<std::sync::mpsc::Receiver<EngineQuestion>>) {
        let (hands, queues): (Vec<_>, Vec<_>) = (0..threads).map(|_| std::sync::mpsc::sync_channel(depth)).unzip();
        (Self(hands.into()), queues)
    }

    /// Why a rule fired for a device, or why it did not.
    pub async fn explain(
        &self,
        rule: String,
        device: DeviceId,
        component: Option<String>,
    ) -> Result<Result<Explanation, NoSuchRule>, Busy> {
        let owner = usize::from(shard_of(device.as_str())).checked_rem(self.0.len()).and_then(|ix| self.0.get(ix));
        let (answer, wait) = oneshot::channel();
        let question = EngineQuestion { rule, device, component, answer };
        owner.ok_or(Busy)?.try_send(question).map_err(|_| Busy)?;
        wait.await.map_err(|_| Busy)
    }
}
