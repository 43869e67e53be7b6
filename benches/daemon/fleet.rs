//! The fleet: messages of 201 bytes, and a `rumqttc` publisher that sends them at QoS 1.

use std::time::Duration;

use forewarn::mqtt::BrokerUrl;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use tokio::time::Instant;

use crate::bare::options;

/// Bytes of a payload.
pub(crate) const PAYLOAD: usize = 201;
/// What the daemon subscribes to.
pub(crate) const FILTER: &str = "fleet/+/telemetry";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One message.
pub(crate) struct Message {
    pub(crate) device: u64,
    /// The device's own time.
    pub(crate) ts_ms: u64,
    /// Its brake circuit has failed.
    pub(crate) faulty: bool,
}

impl Message {
    pub(crate) fn topic(&self) -> String {
        format!("fleet/{}/telemetry", name(self.device))
    }

    /// JSON of [`PAYLOAD`] bytes. Numbers move a little from one message to the next, so that nothing can be taken from the message before.
    pub(crate) fn payload(&self) -> String {
        let Self { device, ts_ms, faulty } = *self;
        let wave = (device * 7 + ts_ms / 1000 * 13) % 23;
        let (tenth, pedal, fl) = (wave % 10, if faulty { 45 } else { 0 }, if faulty { "0.1" } else { "8.4" });
        let mut text = format!(
            r#"{{"ts":{ts_ms},"speed":{}.5,"pedal":{pedal},"brake":{{"fl":{fl}{wave},"fr":8.6{wave}}},"v12":14.{tenth},"tmot":84.{tenth}5,"tamb":11.{tenth},"ign":true,"odo":{}.8,"seq":{},"fw":"1.4.2","site":"#,
            60 + wave,
            40_000 + device,
            ts_ms / 100 % 1_000_000,
        );
        text.push('"');
        while text.len() < PAYLOAD - 2 {
            text.push('x');
        }
        text.push_str("\"}");
        text
    }
}

pub(crate) fn name(device: u64) -> String {
    format!("m-{device:06}")
}

/// Publishes `count` messages made by `message`, at most `per_second`, and waits for all PUBACKs. `sent` is called with
/// the number of a message right before it goes to the client. Returns messages a second.
pub(crate) fn publish(
    url: &BrokerUrl,
    count: u64,
    per_second: Option<u64>,
    message: impl Fn(u64) -> Message,
    mut sent: impl FnMut(u64),
) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (client, events) = AsyncClient::new(options(url, "bench-fleet"), 256);
    let started = Instant::now();
    let sending = async {
        for n in 0..count {
            if let Some(rate) = per_second {
                pace(started, n, rate).await;
            }
            let message = message(n);
            let (topic, payload) = (message.topic(), message.payload());
            sent(n);
            client.publish(topic, QoS::AtLeastOnce, false, payload).await?;
        }
        Ok(())
    };
    runtime.block_on(async { tokio::try_join!(sending, acknowledged(events, count)) })?;
    Ok(rate(count, started))
}

async fn pace(started: Instant, n: u64, rate: u64) {
    // Looked at once a millisecond: tokio's timer has no finer one.
    let step = (rate / 1000).max(1);
    if n.is_multiple_of(step) {
        tokio::time::sleep_until(started + Duration::from_micros(n * 1_000_000 / rate)).await;
    }
}

async fn acknowledged(mut events: EventLoop, count: u64) -> Result<()> {
    let mut acked = 0;
    while acked < count {
        if let Event::Incoming(Packet::PubAck(_)) = events.poll().await? {
            acked += 1;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn rate(messages: u64, since: Instant) -> f64 {
    messages as f64 / since.elapsed().as_secs_f64().max(1e-9)
}
