//! The receiving connection: connect, subscribe, hand on, start again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use metrics::Counter;
use rumqttc::Outgoing;
use rumqttc::v5::Event;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, SubAck, SubscribeReasonCode};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use xxhash_rust::xxh3::xxh3_64;

use super::acks::{self, Out, Subscribing};
use super::link::{self, Opened, Profile};
use super::queue::{self, Limits, Receiver, Sender};
use super::retry::Retry;
use super::shed::Shed;
use super::{Ack, AckSender, Error, Link, Settings};
use crate::runtime::{Clock, Incoming};

/// A connection that lasted this long was a good one: the next failure starts with short pauses again.
const HELD: Duration = Duration::from_secs(2);
/// Polling stops for at most a third of the keep-alive, and never longer than this: a ping is then at most that late,
/// and the broker waits for one and a half keep-alives.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Acks and subscriptions that may wait for the socket.
const REQUESTS: usize = 1024;
/// Counted for each message besides topic and payload: what the queue itself needs.
const OVERHEAD: usize = 128;
/// The unencrypted connection is complained about this often.
const INSECURE_EVERY: Duration = Duration::from_secs(60);

/// For the last acks and the DISCONNECT.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The receiving side.
#[derive(Debug)]
pub struct Connection {
    /// What arrived, for the journal thread.
    pub incoming: Receiver<Incoming<Ack>>,
    /// What had no room there.
    pub(super) shed: Shed,
    /// Where the acks go once their messages are durable.
    pub acks: AckSender,
    /// How the connection stands.
    pub link: watch::Receiver<Link>,
    /// Reload and stop.
    pub control: Control,
}

/// Changes and ends the receiving side.
#[derive(Debug)]
pub struct Control {
    out: mpsc::UnboundedSender<Out>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Control {
    /// Subscribes to these filters from now on, and no longer to others of this process. Filters that an earlier
    /// process with the same client id subscribed to stay in the broker's session: their messages come as unknown topics.
    pub fn set_filters(&self, filters: Vec<Arc<str>>) {
        let _ = self.out.send(Out::Filters(filters));
    }

    /// Sends the acks that were released before, disconnects in good order and waits for the end. The broker keeps
    /// the session. What is still in the queue can be read afterwards and is not acknowledged any more.
    ///
    /// Takes at most 5 s: a broker that does not read any more is not waited for.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = self.out.send(Out::Stop);
        if timeout(STOP_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Starts to receive `filters` (QoS 1). Returns at once; connecting goes on in the background for ever.
/// Must be called within a tokio runtime, after the metrics recorder was installed.
pub fn connect(settings: &Settings, filters: Vec<Arc<str>>, clock: Clock, limits: Limits) -> Result<Connection, Error> {
    let retry = Retry::new(settings.brokers()?);
    let (queue, incoming) = queue::queue(limits);
    let shed = Shed::default();
    let (out, orders) = mpsc::unbounded_channel();
    let (link, watch_link) = watch::channel(Link::Disconnected { since: clock(), reason: "not connected yet".into() });
    let (stop, stopped) = watch::channel(false);
    let nothing_to_subscribe = filters.is_empty();
    tokio::spawn(acks::run(orders, filters));
    if settings.insecure {
        tokio::spawn(complain(settings.clone(), stopped.clone()));
    }
    let task = Task {
        settings: settings.clone(),
        nothing_to_subscribe,
        clock,
        queue,
        out: out.clone(),
        link,
        stopped,
        received: metrics::counter!("forewarn_mqtt_received_total"),
        redelivered: metrics::counter!("forewarn_mqtt_redelivered_total"),
        dropped: metrics::counter!("forewarn_mqtt_dropped_total"),
        shed: shed.clone(),
    };
    let task = tokio::spawn(task.run(retry));
    Ok(Connection {
        incoming,
        shed,
        acks: AckSender(out.clone()),
        link: watch_link,
        control: Control { out, stop, task },
    })
}

struct Task {
    settings: Settings,
    nothing_to_subscribe: bool,
    clock: Clock,
    queue: Sender<Incoming<Ack>>,
    out: mpsc::UnboundedSender<Out>,
    link: watch::Sender<Link>,
    stopped: watch::Receiver<bool>,
    received: Counter,
    redelivered: Counter,
    dropped: Counter,
    shed: Shed,
}

impl Task {
    async fn run(mut self, mut retry: Retry) {
        let connects = metrics::counter!("forewarn_mqtt_connects_total");
        let failures = metrics::counter!("forewarn_mqtt_connect_failures_total");
        let connected = metrics::gauge!("forewarn_mqtt_connected");
        let profile = self.profile();
        let mut generation = 0;
        while !*self.stopped.borrow() {
            let opening = link::open(retry.broker(), &self.settings, &profile);
            let opened = tokio::select! {
                opened = opening => opened,
                () = is_stopped(self.stopped.clone()) => break,
            };
            let (error, wait) = match opened {
                Err(error) => {
                    failures.increment(1);
                    (error, retry.failed(random()))
                }
                Ok(opened) => {
                    generation += 1;
                    connects.increment(1);
                    let started = Instant::now();
                    connected.set(1.0);
                    let end = self.serve(opened, generation).await;
                    connected.set(0.0);
                    let Err(error) = end else { break };
                    let wait = match &error {
                        Error::TakenOver { .. } => retry.taken_over(random()),
                        Error::Stalled => Duration::ZERO,
                        _ if started.elapsed() >= HELD => retry.lost_after_holding(random()),
                        _ => retry.failed(random()),
                    };
                    (error, wait)
                }
            };
            self.report(&error, wait);
            let pause = async {
                if matches!(error, Error::Stalled) {
                    self.queue.half_free().await;
                }
                sleep(wait).await;
            };
            tokio::select! {
                () = pause => {}
                () = is_stopped(self.stopped.clone()) => break,
            }
        }
        self.link.send_replace(Link::Disconnected { since: (self.clock)(), reason: "stopped".into() });
    }

    fn profile(&self) -> Profile {
        Profile {
            client_id: self.settings.client_id.clone(),
            persistent: true,
            will: None,
            // Nothing is published here; the client sizes a table by it.
            in_flight: 100,
            requests: REQUESTS,
            keep_alive: self.settings.keep_alive.to_std(),
        }
    }

    /// Handles one connection to its end: `Ok` when asked to stop.
    async fn serve(&mut self, mut opened: Opened, generation: u64) -> Result<(), Error> {
        let session_present = opened.connack.session_present;
        tracing::info!(broker = opened.broker, generation, session_present, "connected");
        if generation > 1 && !session_present {
            tracing::warn!(
                broker = opened.broker,
                "the broker has lost our session, and what arrived for it meanwhile"
            );
        }
        let subscribing = Subscribing::default();
        let client = opened.client.clone();
        let _ = self.out.send(Out::Open { generation, client, subscribing: Arc::clone(&subscribing) });
        let mut subscriptions = Subscriptions { subscribing, sent: BTreeMap::new(), refused: Vec::new() };
        // A kept session delivers at once, without waiting for the answer to our subscription.
        if session_present || self.nothing_to_subscribe {
            self.announce(generation, session_present, Vec::new());
        }
        let pause = (opened.events.options.keep_alive() / 3).min(LONGEST_PAUSE);
        let mut seq = 0;
        let mut read_at = Instant::now();
        loop {
            // Only when nothing is buffered does `poll` touch the socket, and only then do pings go out.
            if opened.events.state.events.is_empty() {
                read_at = Instant::now();
            }
            let event = match opened.events.poll().await {
                Ok(event) => event,
                Err(_) if *self.stopped.borrow() => return Ok(()),
                Err(error) => return Err(opened.reason(error).await),
            };
            match event {
                Event::Incoming(Packet::Publish(publish)) => {
                    let message = self.stamp(publish, generation, &mut seq);
                    self.hand_on(message, read_at + pause).await?;
                }
                Event::Outgoing(Outgoing::Subscribe(packet_id)) => subscriptions.sent(packet_id),
                Event::Incoming(Packet::SubAck(suback)) => {
                    subscriptions.answered(&suback);
                    self.announce(generation, session_present, subscriptions.refused.clone());
                }
                // After our DISCONNECT the broker closes. Closing first, with messages of it still unread, would
                // reset the connection and could take our last acks with it.
                _ => {}
            }
        }
    }

    fn stamp(&self, publish: Publish, generation: u64, seq: &mut u64) -> Incoming<Ack> {
        self.received.increment(1);
        if publish.dup {
            self.redelivered.increment(1);
        }
        let ack = (publish.qos == QoS::AtLeastOnce).then(|| {
            let ack = Ack { generation, seq: *seq, packet_id: publish.pkid, redelivered: publish.dup };
            *seq += 1;
            ack
        });
        Incoming {
            topic: publish.topic,
            payload: publish.payload,
            received_at: (self.clock)(),
            retained: publish.retain,
            ack,
        }
    }

    async fn hand_on(&mut self, message: Incoming<Ack>, deadline: Instant) -> Result<(), Error> {
        let bytes = message.topic.len() + message.payload.len() + OVERHEAD;
        if message.ack.is_none() {
            let device = xxh3_64(&message.topic);
            for lost in self.queue.push_or_shed(message, bytes, device) {
                self.dropped.increment(1);
                self.shed.count(&lost.topic);
            }
            return Ok(());
        }
        let Err(message) = self.queue.try_push(message, bytes) else { return Ok(()) };
        let room = self.queue.push(message, bytes, deadline);
        tokio::select! {
            pushed = room => pushed.map_err(|_| Error::Stalled),
            // Not acknowledged, so it comes again after the next start.
            () = is_stopped(self.stopped.clone()) => Ok(()),
        }
    }

    fn announce(&self, generation: u64, session_present: bool, refused: Vec<Arc<str>>) {
        self.link.send_replace(Link::Connected { generation, session_present, refused });
    }

    fn report(&self, error: &Error, wait: Duration) {
        let reason = error.to_string();
        let wait_ms = wait.as_millis();
        match error {
            Error::TakenOver { .. } | Error::Settings(_) | Error::Pem { .. } | Error::Read { .. } => {
                tracing::error!(reason, wait_ms, "not connected to the broker");
            }
            _ => tracing::warn!(reason, wait_ms, "not connected to the broker"),
        }
        self.link.send_modify(|link| match link {
            Link::Disconnected { reason: old, .. } => *old = reason,
            Link::Connected { .. } => *link = Link::Disconnected { since: (self.clock)(), reason },
        });
    }
}

/// Which answer belongs to which filters.
struct Subscriptions {
    subscribing: Subscribing,
    sent: BTreeMap<u16, Vec<Arc<str>>>,
    refused: Vec<Arc<str>>,
}

impl Subscriptions {
    fn sent(&mut self, packet_id: u16) {
        let filters = self.subscribing.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        self.sent.insert(packet_id, filters.unwrap_or_default());
    }

    fn answered(&mut self, suback: &SubAck) {
        let filters = self.sent.remove(&suback.pkid).unwrap_or_default();
        for (filter, code) in filters.into_iter().zip(&suback.return_codes) {
            self.refused.retain(|f| *f != filter);
            match code {
                SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce) => {}
                SubscribeReasonCode::Success(QoS::AtMostOnce) => {
                    tracing::warn!(%filter, "the broker grants only QoS 0: messages can be lost");
                }
                code => {
                    metrics::counter!("forewarn_mqtt_refused_filters_total").increment(1);
                    tracing::error!(%filter, ?code, "the broker refuses this subscription: its devices are not watched");
                    self.refused.push(filter);
                }
            }
        }
    }
}

/// Resolves once a stop was asked for.
pub(super) async fn is_stopped(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|s| *s).await.is_err() {
        // Nobody can ask any more: go on until the program ends.
        std::future::pending::<()>().await;
    }
}

async fn complain(settings: Settings, stopped: watch::Receiver<bool>) {
    let open: Vec<String> = settings
        .brokers()
        .unwrap_or_default()
        .iter()
        .filter(|u| !u.tls && !u.is_loopback())
        .map(|u| u.to_string())
        .collect();
    while !open.is_empty() && !*stopped.borrow() {
        tracing::warn!(brokers = ?open, "insecure = true: the connection to the broker is neither encrypted nor verified");
        tokio::select! {
            () = sleep(INSECURE_EVERY) => {}
            () = is_stopped(stopped.clone()) => {}
        }
    }
}

/// For jitter only; without randomness the pauses are shortest.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}
