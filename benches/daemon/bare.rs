//! The yardstick for ingest: a `rumqttc` subscriber that only acknowledges (QoS 1, manual acks from a second task,
//! receive-maximum 1000), as little as a client can do. Shared with `ingest_baseline`.

use std::time::Duration;

use forewarn::mqtt::BrokerUrl;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The settings that all clients of the benches have.
pub(crate) fn options(url: &BrokerUrl, client_id: &str) -> MqttOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let mut options = MqttOptions::new(client_id, &url.host, url.port);
    options.set_network_options(network).set_max_packet_size(Some(1 << 20));
    options
}

/// Makes the session of `options` (with an expiry) and subscribes, so that the broker keeps what comes from now on.
pub(crate) async fn open_session(options: MqttOptions, filter: &str) -> Result<()> {
    let (client, mut events) = AsyncClient::new(options, 16);
    client.subscribe(filter, QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    client.disconnect().await?;
    // The broker closes after the DISCONNECT.
    while events.poll().await.is_ok() {}
    Ok(())
}

/// Receives and acknowledges `count` messages. `each_second` is told the rate of the last second; returns the seconds
/// from the first message to the last.
pub(crate) async fn receive(
    mut options: MqttOptions,
    filter: &str,
    count: u64,
    mut each_second: impl FnMut(f64),
) -> Result<f64> {
    options.set_manual_acks(true).set_receive_maximum(Some(1000));
    let (client, mut events) = AsyncClient::new(options, 1024);
    client.subscribe(filter, QoS::AtLeastOnce).await?;
    let (acks, mut to_ack) = tokio::sync::mpsc::unbounded_channel();
    let acking = tokio::spawn(async move {
        while let Some(publish) = to_ack.recv().await {
            if client.ack(&publish).await.is_err() {
                break;
            }
        }
    });

    let (mut received, mut shown) = (0_u64, 0);
    let mut started = Instant::now();
    let mut shown_at = started;
    while received < count {
        let Event::Incoming(Packet::Publish(publish)) = events.poll().await? else { continue };
        if received == 0 {
            started = Instant::now();
            shown_at = started;
        }
        received += 1;
        acks.send(publish)?;
        // A look at the clock for every message would be part of what is measured.
        if received.is_multiple_of(256) && shown_at.elapsed() >= Duration::from_secs(1) {
            each_second(rate(received - shown, shown_at));
            (shown, shown_at) = (received, Instant::now());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(acks);
    // The last acks leave only while somebody polls.
    tokio::select! {
        _ = async { while events.poll().await.is_ok() {} } => {}
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    acking.abort();
    Ok(seconds)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(messages: u64, since: Instant) -> f64 {
    messages as f64 / since.elapsed().as_secs_f64().max(1e-9)
}
