//! Makes the attempts that the desk has committed, each in its own task, and reports what came of them.
//!
//! An order exists only after its attempt is in the desk log. Whatever happens here - a panic, a time-out, the end of
//! the process - the attempt's outcome is then *unknown*, never forgotten and never repeated blindly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::ports::{Channel, DeskHandle};
use crate::desk::Input;
use crate::domain::{AdapterName, Order, OrderKind, Outcome, Work};

/// The configured providers by name.
pub type Channels = BTreeMap<AdapterName, Line>;

/// One provider: its adapter, and how many attempts it may have at a time.
#[derive(Clone)]
pub struct Line {
    channel: Arc<dyn Channel>,
    places: Arc<Semaphore>,
}

impl Line {
    /// At most `concurrency` attempts at a time.
    #[must_use]
    pub fn new(channel: Arc<dyn Channel>, concurrency: u32) -> Self {
        let places = usize::try_from(concurrency).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { channel, places: Arc::new(Semaphore::new(places)) }
    }
}

/// No attempt takes longer than this, whatever its channel's own limits are.
const LIMIT: Duration = Duration::from_secs(90);

/// Runs until the desk has dropped its end of `orders`, then until every attempt in flight has its outcome.
pub(super) async fn run(
    mut orders: mpsc::Receiver<Order>,
    channels: Arc<arc_swap::ArcSwap<Channels>>,
    desk: DeskHandle,
) {
    let mut flying = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => {
                    let line = channels.load().get(&order.adapter).cloned();
                    flying.spawn(make(order, line, desk.clone()));
                }
                None => break,
            },
            Some(_) = flying.join_next(), if !flying.is_empty() => {}
        }
    }
    while flying.join_next().await.is_some() {}
}

/// One attempt.
async fn make(order: Order, line: Option<Line>, desk: DeskHandle) {
    let (effect, attempt, kind) = (order.effect, order.attempt, work_name(&order));
    let private = order.work.private();
    let span = tracing::info_span!("attempt", %effect, attempt, kind, adapter = %order.adapter);
    let outcome = match line {
        // Its own task, so that a panic in a channel is an unknown outcome and not a lost one.
        Some(Line { channel, places }) => {
            let _place = places.acquire_owned().await;
            crash_point(kind, "before-send");
            let made = tokio::spawn(async move { tokio::time::timeout(LIMIT, channel.attempt(order)).await });
            match made.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Outcome::Unknown { reason: format!("no answer within {} s", LIMIT.as_secs()) },
                Err(_) => Outcome::Unknown { reason: "the channel failed in the middle of the attempt".to_owned() },
            }
        }
        None => Outcome::Rejected { reason: format!("no provider '{}' is configured", order.adapter) },
    };
    crash_point(kind, "after-send");
    // Before anybody writes it down.
    let outcome = outcome.without(&private);
    span.in_scope(|| match &outcome {
        Outcome::Accepted { provider_ref } => tracing::info!(provider_ref, "accepted"),
        Outcome::NotFound => tracing::info!("not found at the provider"),
        Outcome::Rejected { reason } => tracing::warn!(reason, "rejected"),
        Outcome::Retry { reason, .. } => tracing::warn!(reason, "not processed, will be tried again"),
        Outcome::Unknown { reason } => tracing::warn!(reason, "outcome unknown"),
    });
    metrics::counter!("forewarn_attempts_total", "kind" => kind, "outcome" => outcome_name(&outcome)).increment(1);
    if desk.report(Input::Outcome { effect, attempt, outcome }).await.is_err() {
        tracing::warn!(%effect, "the desk has stopped; the outcome is settled at the next start");
    }
    crash_point(kind, "after-record");
}

/// A named place where the crash tests end the process: `call-before-send`, `ticket-after-send`…
#[cfg_attr(not(feature = "failpoints"), expect(unused_variables, reason = "no crash points in this build"))]
fn crash_point(kind: &str, place: &str) {
    fail::fail_point!(&format!("{kind}-{place}"), |_| std::process::abort());
}

fn work_name(order: &Order) -> &'static str {
    if order.kind == OrderKind::Reconcile {
        return "reconcile";
    }
    match order.work {
        Work::Mail(_) => "mail",
        Work::Sms(_) => "sms",
        Work::App(_) => "app_push",
        Work::Call(_) => "call",
        Work::Ticket(_) => "ticket",
        Work::Dispatch(_) => "dispatch",
        Work::Command(_) => "command",
        Work::Webhook(_) => "webhook",
        Work::Book(_) => "booking",
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Retry { .. } => "retry",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotFound => "not_found",
    }
}
