//! Acknowledgements: in the order of receipt, on the connection they belong to, from their own task.
//!
//! The task that polls the connection must never wait for room to send (acking inside it deadlocks as soon as the
//! request channel is full). So everything that is sent on the receiving connection (acks, subscriptions, the last
//! DISCONNECT) goes through the task in this module, which may wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish, RetainForwardRule};
use tokio::sync::mpsc;

/// The right to acknowledge one message. Worthless once its connection is gone: the message then comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    pub(super) generation: u64,
    /// Counts the messages of the connection from 0.
    pub(super) seq: u64,
    pub(super) packet_id: u16,
    pub(super) redelivered: bool,
}

impl Ack {
    /// The connection it belongs to.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the broker marked the message as sent before (DUP): it may be in the journal already.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }
}

/// Where acks go once their messages are durable. Never blocks; usable from any thread; cheap to clone.
///
/// The channel behind it has no limit of its own because it needs none: an ack exists only for a message that was
/// received, and no more are received than the broker's window and the receive queue hold.
#[derive(Debug, Clone)]
pub struct AckSender(pub(super) mpsc::UnboundedSender<Out>);

impl AckSender {
    /// Lets these acks go. They may come in any order: each leaves after all that were received before it.
    pub fn release(&self, acks: Vec<Ack>) {
        // The other end is gone only after the connection was stopped; unacked messages come again.
        let _ = self.0.send(Out::Release(acks));
    }
}

/// Filters of SUBSCRIBE packets under way, oldest first: `rumqttc` picks their packet ids later, in this order.
pub(super) type Subscribing = Arc<Mutex<VecDeque<Vec<Arc<str>>>>>;

/// What the sending task is told.
#[derive(Debug)]
pub(super) enum Out {
    /// A new connection: subscribe, and forget all acks of older ones.
    Open { generation: u64, client: AsyncClient, subscribing: Subscribing },
    /// Messages that are durable.
    Release(Vec<Ack>),
    /// From now on subscribe to these.
    Filters(Vec<Arc<str>>),
    /// Disconnect, after everything before.
    Stop,
}

/// Sends what it is told until all senders are gone. Ends with the connection task.
pub(super) async fn run(mut orders: mpsc::UnboundedReceiver<Out>, mut filters: Vec<Arc<str>>) {
    let acked = metrics::counter!("forewarn_mqtt_acked_total");
    let stale = metrics::counter!("forewarn_mqtt_stale_acks_total");
    let mut order = Order::default();
    let mut open: Option<(AsyncClient, Subscribing)> = None;
    let mut ready = Vec::new();
    let mut stopping = false;
    // A failed send means that the connection is gone; the next `Open` makes up for everything.
    while let Some(out) = orders.recv().await {
        match out {
            Out::Open { generation, client, subscribing } => {
                order.open(generation);
                if stopping {
                    // The stop was asked for while the connection came about.
                    let _ = client.disconnect().await;
                    continue;
                }
                subscribe(&client, &subscribing, filters.clone()).await;
                open = Some((client, subscribing));
            }
            Out::Release(acks) => {
                for ack in acks {
                    if !order.release(ack, &mut ready) {
                        stale.increment(1);
                    }
                }
                let Some((client, _)) = &open else { continue };
                for packet_id in ready.drain(..) {
                    let publish = Publish { qos: QoS::AtLeastOnce, pkid: packet_id, ..Publish::default() };
                    match client.ack(&publish).await {
                        Ok(()) => acked.increment(1),
                        Err(_) => stale.increment(1),
                    }
                }
            }
            Out::Filters(new) => {
                let old = std::mem::replace(&mut filters, new);
                let Some((client, subscribing)) = &open else { continue };
                for gone in old.iter().filter(|f| !filters.contains(f)) {
                    let _ = client.unsubscribe(gone.as_ref()).await;
                }
                let added = filters.iter().filter(|f| !old.contains(f)).cloned().collect();
                subscribe(client, subscribing, added).await;
            }
            Out::Stop => {
                stopping = true;
                if let Some((client, _)) = &open {
                    let _ = client.disconnect().await;
                }
            }
        }
    }
}

/// One SUBSCRIBE for all of `filters`. Retained messages only for subscriptions that are new to the session:
/// otherwise every reconnect would replay the last known message of the whole fleet.
async fn subscribe(client: &AsyncClient, subscribing: &Subscribing, filters: Vec<Arc<str>>) {
    if filters.is_empty() {
        return;
    }
    let packet: Vec<Filter> = filters
        .iter()
        .map(|f| Filter {
            retain_forward_rule: RetainForwardRule::OnNewSubscribe,
            ..Filter::new(f.as_ref(), QoS::AtLeastOnce)
        })
        .collect();
    subscribing.lock().unwrap_or_else(PoisonError::into_inner).push_back(filters);
    let _ = client.subscribe_many(packet).await;
}

/// Puts acks back into the order of receipt (MQTT-4.6.0-2); the client library does not (rumqttc #846).
#[derive(Debug, Default)]
struct Order {
    generation: u64,
    next: u64,
    early: BTreeMap<u64, u16>,
}

impl Order {
    fn open(&mut self, generation: u64) {
        *self = Self { generation, ..Self::default() };
    }

    /// Appends to `ready` what may leave now; `false` if the ack is of another connection.
    fn release(&mut self, ack: Ack, ready: &mut Vec<u16>) -> bool {
        if ack.generation != self.generation {
            return false;
        }
        if ack.seq != self.next {
            self.early.insert(ack.seq, ack.packet_id);
            return true;
        }
        ready.push(ack.packet_id);
        self.next += 1;
        while let Some(packet_id) = self.early.remove(&self.next) {
            ready.push(packet_id);
            self.next += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(generation: u64, seq: u64) -> Ack {
        Ack { generation, seq, packet_id: u16::try_from(seq + 100).unwrap(), redelivered: false }
    }

    #[test]
    fn acks_leave_in_the_order_of_receipt() {
        let mut order = Order::default();
        order.open(7);
        let mut ready = Vec::new();
        for seq in [2, 1, 0, 4, 3] {
            assert!(order.release(ack(7, seq), &mut ready));
        }
        assert_eq!(ready, [100, 101, 102, 103, 104]);
    }

    #[test]
    fn acks_of_another_connection_are_dropped() {
        let mut order = Order::default();
        order.open(7);
        let mut ready = Vec::new();
        assert!(order.release(ack(7, 1), &mut ready));
        order.open(8);
        assert!(!order.release(ack(7, 0), &mut ready));
        assert!(ready.is_empty());
        assert!(order.release(ack(8, 0), &mut ready));
        assert_eq!(ready, [100], "nothing early is left over from the old connection");
    }
}
