//! The yardstick for ingest: a bare `rumqttc` subscriber that only acknowledges.
//!
//! `cargo bench --bench ingest_baseline -- mqtt://127.0.0.1:1883 'fleet/+/telemetry' 100000` subscribes (QoS 1, manual
//! acks from a second task, receive-maximum 1000), prints messages a second once a second, and ends after so many messages.
//! Without arguments it does nothing, so that `cargo bench` can run all benches.

use std::time::Duration;

use forewarn::mqtt::BrokerUrl;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [url, filter, count] = args.as_slice() else {
        println!("usage: ingest_baseline mqtt://HOST:PORT FILTER MESSAGES");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(receive(&url.parse()?, filter, count.parse()?))
}

async fn receive(url: &BrokerUrl, filter: &str, count: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let mut options = MqttOptions::new("ingest-baseline", &url.host, url.port);
    options
        .set_network_options(network)
        .set_manual_acks(true)
        .set_receive_maximum(Some(1000))
        .set_max_packet_size(Some(1 << 20));
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
            println!("{:.0}/s", rate(received - shown, shown_at));
            (shown, shown_at) = (received, Instant::now());
        }
    }
    println!("{received} messages in {:.3} s, {:.0}/s", started.elapsed().as_secs_f64(), rate(received, started));
    drop(acks);
    // The last acks leave only while somebody polls.
    tokio::select! {
        _ = async { while events.poll().await.is_ok() {} } => {}
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    acking.abort();
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(messages: u64, since: Instant) -> f64 {
    messages as f64 / since.elapsed().as_secs_f64().max(1e-9)
}
