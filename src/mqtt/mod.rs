//! The broker connections: receiving, acknowledging, publishing (MQTT 5, `rumqttc`).
//!
//! *Receiving* ([`connect`]) keeps a persistent session at QoS 1 with manual acknowledgements. A message goes into a
//! bounded [`Incoming`](crate::runtime::Incoming) queue together with its [`Ack`]; whoever made it durable hands the
//! `Ack` back to the [`AckSender`], and only then does the broker hear of it. Acks leave in the order of receipt and
//! only on the connection they were received on: after a reconnect the same packet id may name another message.
//!
//! *Publishing* ([`Publisher`]) uses a second connection: receiving and publishing on one costs 20-30 ms a message,
//! and a publish that is stashed when a session is lost would stall the receiver (rumqttc #1056, #1014).
//!
//! Every connection gets a fresh `rumqttc` event loop. Nothing of an old connection can leak into a new one: neither
//! its buffered packets, nor its unsent acks, nor a packet id collision. What was not acknowledged is delivered again
//! by the broker; that is what the persistent session is for.
//!
//! *Back-pressure*: when the queue is full, polling stops for at most a third of the keep-alive, so that pings go out in
//! time. If there is still no room the connection is let go and made again once half of the queue is free: the
//! broker keeps what is not acknowledged. QoS 0 messages that find the queue full are dropped and counted.
//!
//! Answers of devices to commands (`fleet/+/cmd/ack`) come through the same receiver: the runtime adds their filter.
//!
//! Metrics: `forewarn_mqtt_received_total`, `_redelivered_total`, `_dropped_total` (QoS 0, queue full), `_acked_total`,
//! `_stale_acks_total`, `_connects_total`, `_connect_failures_total`, `_refused_filters_total`, `_published_total`;
//! gauge `forewarn_mqtt_connected` (0 or 1). All with the prefix `forewarn_mqtt`.

mod acks;
mod address;
mod error;
mod link;
mod publisher;
mod queue;
mod receiver;
mod retry;
mod settings;
mod shed;
mod source;
mod tls;

pub use acks::{Ack, AckSender};
pub use address::{BrokerUrl, ParseUrlError};
pub use error::Error;
pub use link::Link;
pub use publisher::{Message, Publisher, Role};
pub use queue::{Closed, Limits as QueueLimits, Receiver as Queue};
pub use receiver::{Connection, Control, connect};
pub use settings::Settings;
pub use source::Intake;
