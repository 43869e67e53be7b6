//! Makes the attempts that the desk has committed and reports what came of them. The orders of one provider go out in the
//! order in which the desk gave them, no faster than their rates allow; each attempt is a task of its own.
//!
//! The desk keeps to those rates when it claims. But between the claim and the provider there is a disk and a thread with
//! other work: what was claimed in two different seconds may be released in the same one. So the rates are kept here once
//! more ([`super::pace`]), where nothing but the network comes after.
//!
//! An order exists only after its attempt is in the desk log. Whatever happens here - a panic, a time-out, the end of
//! the process - the attempt's outcome is then *unknown*, never forgotten and never repeated blindly. Only what never left
//! the line is handed back for another time: what it says may be stale by then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::pace::Pace;
use super::ports::{Channel, DeskHandle};
use crate::desk::Input;
use crate::domain::{AdapterName, At, Order, OrderKind, Outcome, Work};

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
/// An order that could not go out for so long is stale: the desk thinks it over. With [`LIMIT`] it is less than the lease
/// after which the desk gives an attempt up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs until the desk has dropped its end of `orders`, then until every attempt in flight has its outcome.
pub(super) async fn run(mut orders: mpsc::Receiver<Order>, channels: Arc<ArcSwap<Channels>>, desk: DeskHandle) {
    let mut queues: BTreeMap<AdapterName, mpsc::UnboundedSender<(Instant, Order)>> = BTreeMap::new();
    let mut providers = JoinSet::new();
    while let Some(order) = orders.recv().await {
        let queue = queues.entry(order.adapter.clone()).or_insert_with(|| {
            // Bounded by what the desk has in flight, and nothing stays for longer than its patience. It is never full, so
            // that a provider that hangs keeps neither the others waiting nor the desk.
            let (queue, waiting) = mpsc::unbounded_channel();
            providers.spawn(serve(waiting, channels.clone(), desk.clone()));
            queue
        });
        // Its task ends when the queue is dropped.
        let _alive = queue.send((Instant::now(), order));
    }
    drop(queues);
    while providers.join_next().await.is_some() {}
}

/// The orders of one provider, one after the other.
async fn serve(
    mut waiting: mpsc::UnboundedReceiver<(Instant, Order)>,
    channels: Arc<ArcSwap<Channels>>,
    desk: DeskHandle,
) {
    let (begun, mut pace, mut flying) = (Instant::now(), Pace::default(), JoinSet::new());
    loop {
        tokio::select! {
            next = waiting.recv() => match next {
                Some((since, order)) => {
                    let line = channels.load().get(&order.adapter).cloned();
                    let turn = turn(line, &order, since + PATIENCE, begun, &mut pace).await;
                    flying.spawn(make(order, turn, desk.clone()));
                }
                None => break,
            },
            Some(_) = flying.join_next(), if !flying.is_empty() => {}
        }
    }
    while flying.join_next().await.is_some() {}
}

/// A channel, and a place at it.
type Turn = (Arc<dyn Channel>, OwnedSemaphorePermit);

/// Waits for a free place and for the rates of the order, but not beyond `until`. Otherwise what is said of the attempt.
async fn turn(
    line: Option<Line>,
    order: &Order,
    until: Instant,
    begun: Instant,
    pace: &mut Pace,
) -> Result<Turn, Outcome> {
    let Some(Line { channel, places }) = line else {
        return Err(Outcome::Rejected { reason: format!("no provider '{}' is configured", order.adapter) });
    };
    // By a clock that nobody sets: it is about differences.
    let elapsed =
        |at: Instant| At::from_micros(i64::try_from(at.duration_since(begun).as_micros()).unwrap_or(i64::MAX));
    let place = timeout_at(until, places.acquire_owned()).await;
    let free_at = begun + pace.free_at(elapsed(Instant::now()), &order.rates).since(At::from_micros(0)).to_std();
    match place {
        Ok(Ok(place)) if free_at <= until => {
            sleep_until(free_at).await;
            pace.take(elapsed(Instant::now()), &order.rates);
            Ok((channel, place))
        }
        _ => {
            let reason = format!("not sent: '{}' was busy for {} s", order.adapter, PATIENCE.as_secs());
            Err(Outcome::Retry { after: None, reason })
        }
    }
}

/// One attempt.
async fn make(order: Order, turn: Result<Turn, Outcome>, desk: DeskHandle) {
    let (effect, attempt, kind) = (order.effect, order.attempt, work_name(&order));
    let private = order.work.private();
    let span = tracing::info_span!("attempt", %effect, attempt, kind, adapter = %order.adapter);
    let outcome = match turn {
        // Its own task, so that a panic in a channel is an unknown outcome and not a lost one.
        Ok((channel, _place)) => {
            crash_point(kind, "before-send");
            let made = tokio::spawn(async move { timeout(LIMIT, channel.attempt(order)).await });
            match made.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Outcome::Unknown { reason: format!("no answer within {} s", LIMIT.as_secs()) },
                Err(_) => Outcome::Unknown { reason: "the channel failed in the middle of the attempt".to_owned() },
            }
        }
        Err(outcome) => outcome,
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Mutex;

    use super::super::ports::DeskQuestion;
    use super::*;
    use crate::desk::Reply;
    use crate::domain::{CaseId, DispatchWork, EffectId, Rate};

    /// A provider that notes what reaches it, and when.
    #[derive(Default)]
    struct Noted(Mutex<Vec<(Instant, u32)>>);

    impl Channel for Noted {
        fn attempt(&self, order: Order) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
            self.0.lock().unwrap().push((Instant::now(), order.attempt));
            Box::pin(async { Outcome::NotFound })
        }
    }

    fn order(n: u32, rates: Vec<(String, Rate)>) -> Order {
        let at = At::from_secs(0);
        Order {
            effect: EffectId::of(at, &[&n.to_le_bytes()]),
            attempt: n,
            case: CaseId::of(&[]),
            adapter: "tow".into(),
            kind: OrderKind::Send,
            first_sent_at: at,
            rates,
            work: Work::Dispatch(DispatchWork::Status { job: String::new() }),
        }
    }

    /// Releases them all at once; what the provider saw, and what the desk was told.
    async fn released(orders: Vec<Order>) -> (Vec<(Instant, u32)>, usize) {
        let provider = Arc::new(Noted::default());
        let channels: Channels = [("tow".into(), Line::new(provider.clone(), 1))].into();
        let (handle, mut questions) = DeskHandle::new(16);
        let (sender, queue) = mpsc::channel(1_024);
        let running = tokio::spawn(run(queue, Arc::new(ArcSwap::from_pointee(channels)), handle));
        for order in orders {
            sender.send(order).await.unwrap();
        }
        drop(sender);
        let mut told = 0;
        while let Some(question) = questions.recv().await {
            let DeskQuestion::Input(Input::Outcome { .. }, answer) = question else { panic!("{question:?}") };
            answer.send(Reply::Done).unwrap();
            told += 1;
        }
        running.await.unwrap();
        let seen = provider.0.lock().unwrap().clone();
        (seen, told)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn orders_of_one_provider_go_out_in_the_order_of_the_desk() {
        let (seen, told) = released((0..500).map(|n| order(n, Vec::new())).collect()).await;
        let numbers: Vec<u32> = seen.into_iter().map(|(_, n)| n).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        assert_eq!(told, 500);
    }

    /// In how small a stretch exactly is shown in `pace`; here, that it is asked.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_released_at_once_goes_out_at_its_rate() {
        let rates = vec![("tow".to_owned(), Rate::per_second(40)), ("storm".to_owned(), Rate::per_second(20))];
        let (seen, _) = released((0..41).map(|n| order(n, rates.clone())).collect()).await;
        let took = seen[40].0 - seen[0].0;
        assert!(took >= Duration::from_millis(1_500), "41 at 20 a second within {took:?}");
    }

    #[tokio::test]
    async fn what_waits_for_too_long_is_handed_back() {
        let line = Line::new(Arc::new(Noted::default()), 1);
        let slow = [("tow".to_owned(), Rate::per_second(1))].to_vec();
        let begun = Instant::now();
        let mut pace = Pace::default();
        let mut wait = async |seconds, rates| {
            let until = begun + Duration::from_secs(seconds);
            turn(Some(line.clone()), &order(1, rates), until, begun, &mut pace).await
        };
        let first = wait(60, slow.clone()).await.ok().unwrap();
        let busy = wait(0, Vec::new()).await.err().unwrap();
        assert!(matches!(busy, Outcome::Retry { .. }), "the only place is taken: {busy:?}");
        drop(first);
        let fast = wait(0, slow.clone()).await.err().unwrap();
        assert!(matches!(fast, Outcome::Retry { .. }), "its turn is a second away: {fast:?}");
        assert!(wait(60, slow).await.is_ok(), "what was handed back has used up nothing");
        let gone = turn(None, &order(1, Vec::new()), begun, begun, &mut Pace::default()).await.err().unwrap();
        assert!(matches!(gone, Outcome::Rejected { .. }), "{gone:?}");
    }
}
