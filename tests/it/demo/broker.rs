//! The parts that `forewarn demo` puts around the daemon, each by itself and over its real protocol.

use std::time::Duration;

use forewarn::demo::Broker;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

fn client(broker: &Broker, id: &str, clean: bool) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", broker.addr().port());
    options.set_clean_start(clean).set_manual_acks(true).set_keep_alive(Duration::from_secs(5));
    options.set_connect_properties(ConnectProperties {
        session_expiry_interval: Some(3600),
        receive_maximum: Some(1000),
        ..ConnectProperties::new()
    });
    AsyncClient::new(options, 1000)
}

async fn next_publishes(link: &mut EventLoop, n: usize, wait: Duration) -> Vec<rumqttc::v5::mqttbytes::v5::Publish> {
    let mut got = Vec::new();
    let _ = tokio::time::timeout(wait, async {
        while got.len() < n {
            if let Ok(Event::Incoming(Packet::Publish(p))) = link.poll().await {
                got.push(p);
            }
        }
    })
    .await;
    got
}

async fn until(link: &mut EventLoop, wanted: impl Fn(&Packet) -> bool) -> Packet {
    tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            match link.poll().await.unwrap() {
                Event::Incoming(packet) if wanted(&packet) => return packet,
                _ => {}
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_keeps_the_session_of_a_daemon_that_died() {
    let broker = Broker::start().await.unwrap();
    let (daemon, mut link) = client(&broker, "forewarn", false);
    daemon.subscribe("fleet/+/telemetry", QoS::AtLeastOnce).await.unwrap();
    until(&mut link, |p| matches!(p, Packet::SubAck(_))).await;

    let (car, mut car_link) = client(&broker, "car", true);
    tokio::spawn(async move { while car_link.poll().await.is_ok() {} });
    for n in 0..3 {
        car.publish("fleet/c1/telemetry", QoS::AtLeastOnce, false, format!("before {n}")).await.unwrap();
    }
    let got = next_publishes(&mut link, 3, Duration::from_secs(5)).await;
    assert_eq!(got.len(), 3);
    daemon.ack(&got[0]).await.unwrap();
    // Lets the ack go out, then dies without a DISCONNECT, holding two unacknowledged messages.
    let _ = tokio::time::timeout(Duration::from_millis(200), async { while link.poll().await.is_ok() {} }).await;
    drop((daemon, link));
    for n in 0..3 {
        car.publish("fleet/c1/telemetry", QoS::AtLeastOnce, false, format!("while away {n}")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;

    let (_daemon, mut link) = client(&broker, "forewarn", false);
    let back = until(&mut link, |p| matches!(p, Packet::ConnAck(_))).await;
    assert!(matches!(back, Packet::ConnAck(c) if c.session_present));
    let texts: Vec<String> = next_publishes(&mut link, 5, Duration::from_secs(5))
        .await
        .iter()
        .map(|p| String::from_utf8_lossy(&p.payload).into_owned())
        .collect();
    assert_eq!(texts, ["before 1", "before 2", "while away 0", "while away 1", "while away 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_drops_what_has_expired() {
    let broker = Broker::start().await.unwrap();
    let (device, mut link) = client(&broker, "device", false);
    device.subscribe("fleet/c1/cmd", QoS::AtLeastOnce).await.unwrap();
    until(&mut link, |p| matches!(p, Packet::SubAck(_))).await;
    drop((device, link));

    let (desk, mut desk_link) = client(&broker, "desk", true);
    tokio::spawn(async move { while desk_link.poll().await.is_ok() {} });
    for (text, seconds) in [("stale", 1), ("fresh", 60)] {
        let expiry = PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
        desk.publish_with_properties("fleet/c1/cmd", QoS::AtLeastOnce, false, text, expiry).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let (_device, mut link) = client(&broker, "device", false);
    let got = next_publishes(&mut link, 2, Duration::from_secs(2)).await;
    let texts: Vec<&[u8]> = got.iter().map(|p| &p.payload[..]).collect();
    assert_eq!(texts, [b"fresh"]);
}
