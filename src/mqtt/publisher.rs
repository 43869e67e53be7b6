//! Publishing on a connection of its own, with a clear answer for every message.
//!
//! `rumqttc` answers a publish with nothing but a packet id that it picks later. Requests leave in the order they were
//! put in, so the oldest message that has no packet id yet gets the next one that the event loop names; the PUBACK then
//! names the message. A lost connection makes everything under way *unknown*: the broker may have it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet, PubAck, PubAckReason, PublishProperties};
use rumqttc::v5::{AsyncClient, Event};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::link::{self, Opened, Profile};
use super::receiver::{is_stopped, random};
use super::retry::Retry;
use super::{Error, Link, Settings};
use crate::domain::{Outcome, Span};
use crate::runtime::Clock;

/// How long a publish waits for a place under way, and then for its PUBACK.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);
const PUBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead connection must be noticed sooner than on the receiving side: commands wait for it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// As in the receiver.
const HELD: Duration = Duration::from_secs(2);
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// Room in a packet for what is not topic or payload.
const HEADERS: usize = 32;

/// A message of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// The broker drops it when it could not deliver it within this time (rounded up to whole seconds). `None`: never.
    pub expiry: Option<Span>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// QoS 1; without it the answer only says that the message was written to the socket.
    pub at_least_once: bool,
}

/// Who publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Must differ from that of every other connection.
    pub client_id: String,
    /// Kept at `online` while connected and `offline` otherwise, also after a crash (retained, last will).
    pub status_topic: Option<String>,
    /// Messages that may wait for their PUBACK at once.
    pub in_flight: u16,
}

impl Role {
    /// The daemon's second connection: `<client_id>-out`, status on `forewarn/<client_id>/status`.
    #[must_use]
    pub fn of_daemon(settings: &Settings) -> Self {
        let id = &settings.client_id;
        Self { client_id: format!("{id}-out"), status_topic: Some(format!("forewarn/{id}/status")), in_flight: 100 }
    }
}

/// The publishing side. Cheap to clone; the connection lives until [`stop`](Self::stop) or the end of the runtime.
#[derive(Debug, Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
    link: watch::Receiver<Link>,
}

#[derive(Debug)]
struct Shared {
    open: Mutex<Option<Open>>,
    places: Arc<Semaphore>,
    status_topic: Option<String>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The present connection and what is under way on it.
#[derive(Debug)]
struct Open {
    client: AsyncClient,
    max_packet: Option<u32>,
    /// Handed to the client, packet id not yet known; oldest first.
    unnamed: VecDeque<Waiter>,
    /// By packet id. For look-ups only.
    named: HashMap<u16, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Outcome>,
    _place: OwnedSemaphorePermit,
}

impl Publisher {
    /// Starts to connect in the background. Must be called within a tokio runtime, after the metrics recorder was
    /// installed. Fails only on settings that cannot work.
    pub fn connect(settings: &Settings, role: Role, clock: Clock) -> Result<Self, Error> {
        let retry = Retry::new(settings.brokers()?);
        let (link, watch_link) =
            watch::channel(Link::Disconnected { since: clock(), reason: "not connected yet".into() });
        let (stop, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(usize::from(role.in_flight)));
        let shared = Arc::new(Shared {
            open: Mutex::new(None),
            places,
            status_topic: role.status_topic.clone(),
            stop,
            task: Mutex::new(None),
        });
        let task = Task { settings: settings.clone(), role, clock, shared: Arc::clone(&shared), link, stopped };
        let task = tokio::spawn(task.run(retry));
        *shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(Self { shared, link: watch_link })
    }

    /// How the connection stands.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Publishes and waits for the broker's answer: at most 5 s for a place and 10 s for the PUBACK.
    ///
    /// Not connected or no place: `Retry`. The broker refuses it for good, or it has expired already: `Rejected`. The
    /// connection broke or no answer came: `Unknown`. `Accepted` also when nobody subscribes to the topic.
    pub async fn send(&self, message: Message) -> Outcome {
        match self.begin(message).await {
            Ok(answer) => match timeout(PUBACK_TIMEOUT, answer).await {
                Ok(outcome) => outcome.unwrap_or_else(|_| unknown("the connection ended before the PUBACK")),
                Err(_) => unknown("no PUBACK within 10 s"),
            },
            Err(outcome) => outcome,
        }
    }

    /// Hands the message to the connection, in the order of the calls, and returns where its outcome will come. For
    /// senders that keep many under way. A dropped answer of the channel means that the outcome is unknown.
    pub async fn begin(&self, message: Message) -> Result<oneshot::Receiver<Outcome>, Outcome> {
        valid(&message)?;
        let place = timeout(PLACE_TIMEOUT, Arc::clone(&self.shared.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(retry("too many messages wait for the broker")) };
        self.shared.put(message, place)
    }

    /// Says `offline`, disconnects and waits for the end; at most a few seconds.
    pub async fn stop(&self) {
        if let Some(topic) = self.shared.status_topic.clone() {
            let _ = timeout(STOP_TIMEOUT, self.send(status(topic, "offline"))).await;
        }
        let _ = self.shared.stop.send(true);
        let client = self.shared.lock().as_ref().map(|open| open.client.clone());
        if let Some(client) = client {
            let _ = timeout(STOP_TIMEOUT, client.disconnect()).await;
        }
        let task = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout(STOP_TIMEOUT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl crate::runtime::Publisher for Publisher {
    fn publish(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Span>,
        retain: bool,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(self.send(Message { topic, payload, expiry, retain, at_least_once: true }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, message: Message, place: OwnedSemaphorePermit) -> Result<oneshot::Receiver<Outcome>, Outcome> {
        let mut guard = self.lock();
        let Some(open) = guard.as_mut() else { return Err(retry("not connected to the broker")) };
        let size = message.topic.len() + message.payload.len() + HEADERS;
        if open.max_packet.is_some_and(|max| size > max as usize) {
            return Err(rejected("larger than the broker accepts"));
        }
        let properties = PublishProperties {
            message_expiry_interval: message.expiry.map(whole_seconds),
            ..PublishProperties::default()
        };
        let qos = if message.at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        // Under the lock, so that the order of `unnamed` is that of the requests. There is room: places < requests.
        open.client
            .try_publish_with_properties(message.topic, qos, message.retain, message.payload, properties)
            .map_err(|_| retry("the connection to the broker has just ended"))?;
        let (answer, outcome) = oneshot::channel();
        open.unnamed.push_back(Waiter { answer, _place: place });
        Ok(outcome)
    }

    /// The client has written the oldest unnamed message.
    fn written(&self, packet_id: u16) {
        let mut guard = self.lock();
        let Some(open) = guard.as_mut() else { return };
        let Some(waiter) = open.unnamed.pop_front() else { return };
        if packet_id == 0 {
            let _ = waiter.answer.send(accepted());
        } else {
            open.named.insert(packet_id, waiter);
        }
    }

    fn answered(&self, puback: &PubAck) {
        let waiter = self.lock().as_mut().and_then(|open| open.named.remove(&puback.pkid));
        if let Some(waiter) = waiter {
            let _ = waiter.answer.send(outcome(puback.reason));
        }
    }

    /// Everything under way becomes unknown.
    fn close(&self) {
        let Some(open) = self.lock().take() else { return };
        for waiter in open.unnamed.into_iter().chain(open.named.into_values()) {
            let _ = waiter.answer.send(unknown("the connection broke before the PUBACK"));
        }
    }
}

struct Task {
    settings: Settings,
    role: Role,
    clock: Clock,
    shared: Arc<Shared>,
    link: watch::Sender<Link>,
    stopped: watch::Receiver<bool>,
}

impl Task {
    async fn run(self, mut retry: Retry) {
        let profile = self.profile();
        let mut generation = 0;
        while !*self.stopped.borrow() {
            let opened = tokio::select! {
                opened = link::open(retry.broker(), &self.settings, &profile) => opened,
                () = is_stopped(self.stopped.clone()) => break,
            };
            let (error, wait) = match opened {
                Err(error) => (error, retry.failed(random())),
                Ok(opened) => {
                    generation += 1;
                    let started = Instant::now();
                    let end = self.serve(opened, generation).await;
                    self.shared.close();
                    let Err(error) = end else { break };
                    let wait = match &error {
                        Error::TakenOver { .. } => retry.taken_over(random()),
                        _ if started.elapsed() >= HELD => retry.lost_after_holding(random()),
                        _ => retry.failed(random()),
                    };
                    (error, wait)
                }
            };
            let reason = error.to_string();
            tracing::warn!(reason, wait_ms = wait.as_millis(), "cannot publish to the broker");
            self.link.send_replace(Link::Disconnected { since: (self.clock)(), reason });
            tokio::select! {
                () = sleep(wait) => {}
                () = is_stopped(self.stopped.clone()) => break,
            }
        }
        self.link.send_replace(Link::Disconnected { since: (self.clock)(), reason: "stopped".into() });
    }

    fn profile(&self) -> Profile {
        let will = |topic: &String| LastWill::new(topic, "offline", QoS::AtLeastOnce, true, None);
        Profile {
            client_id: self.role.client_id.clone(),
            persistent: false,
            will: self.role.status_topic.as_ref().map(will),
            in_flight: self.role.in_flight,
            // One place for each message, some for the status and the DISCONNECT.
            requests: usize::from(self.role.in_flight) + 8,
            keep_alive: KEEP_ALIVE,
        }
    }

    async fn serve(&self, mut opened: Opened, generation: u64) -> Result<(), Error> {
        let published = metrics::counter!("forewarn_mqtt_published_total");
        *self.shared.lock() = Some(Open {
            client: opened.client.clone(),
            max_packet: opened.max_packet(),
            unnamed: VecDeque::new(),
            named: HashMap::new(),
        });
        if let Some(topic) = self.role.status_topic.clone() {
            let publisher = Publisher { shared: Arc::clone(&self.shared), link: self.link.subscribe() };
            tokio::spawn(async move { publisher.send(status(topic, "online")).await });
        }
        let session_present = opened.connack.session_present;
        self.link.send_replace(Link::Connected { generation, session_present, refused: Vec::new() });
        loop {
            match opened.events.poll().await {
                Ok(Event::Outgoing(Outgoing::Publish(packet_id))) => self.shared.written(packet_id),
                Ok(Event::Incoming(Packet::PubAck(puback))) => {
                    published.increment(1);
                    self.shared.answered(&puback);
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) if *self.stopped.borrow() => return Ok(()),
                Ok(_) => {}
                Err(_) if *self.stopped.borrow() => return Ok(()),
                Err(error) => return Err(opened.reason(error).await),
            }
        }
    }
}

fn status(topic: String, text: &'static str) -> Message {
    Message { topic, payload: Bytes::from_static(text.as_bytes()), expiry: None, retain: true, at_least_once: true }
}

/// What is certain before anything is sent.
fn valid(message: &Message) -> Result<(), Outcome> {
    let topic = &message.topic;
    if topic.is_empty() || topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
        return Err(rejected("not a topic name: empty, too long, or with '+', '#' or NUL"));
    }
    if message.expiry.is_some_and(|e| e <= Span::ZERO) {
        return Err(rejected("expired before it could be sent"));
    }
    Ok(())
}

fn whole_seconds(span: Span) -> u32 {
    u32::try_from(span.as_micros().saturating_add(999_999) / 1_000_000).unwrap_or(u32::MAX)
}

fn outcome(reason: PubAckReason) -> Outcome {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => accepted(),
        PubAckReason::QuotaExceeded => retry("the broker's quota is exceeded"),
        PubAckReason::NotAuthorized => rejected("the broker does not let us publish to this topic"),
        other => rejected(&format!("the broker refuses it: {other:?}")),
    }
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_ref: String::new() }
}

fn rejected(reason: &str) -> Outcome {
    Outcome::Rejected { reason: reason.to_owned() }
}

fn retry(reason: &str) -> Outcome {
    Outcome::Retry { after: None, reason: reason.to_owned() }
}

fn unknown(reason: &str) -> Outcome {
    Outcome::Unknown { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, expiry: Option<Span>) -> Message {
        Message { topic: topic.into(), payload: Bytes::new(), expiry, retain: false, at_least_once: true }
    }

    #[test]
    fn what_can_never_be_sent_is_rejected_before_sending() {
        assert_eq!(valid(&message("fleet/car-1/cmd", Some(Span::from_secs(1)))), Ok(()));
        for bad in ["", "a/+/b", "a/#", "a\0b"] {
            assert!(matches!(valid(&message(bad, None)), Err(Outcome::Rejected { .. })), "{bad:?}");
        }
        assert!(matches!(valid(&message("a", Some(Span::ZERO))), Err(Outcome::Rejected { .. })));
    }

    #[test]
    fn expiry_is_rounded_up() {
        assert_eq!(whole_seconds(Span::from_millis(1)), 1);
        assert_eq!(whole_seconds(Span::from_millis(2000)), 2);
        assert_eq!(whole_seconds(Span::MAX), u32::MAX);
    }
}
