//! The simulated fleet, seen from a broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forewarn::demo::Broker;
use forewarn::demo::fleet::{Fleet, FleetSettings, Happening};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::Value;

async fn listener(broker: &Broker, filter: &str) -> (AsyncClient, EventLoop) {
    let (client, mut link) = AsyncClient::new(MqttOptions::new("ear", "127.0.0.1", broker.addr().port()), 100);
    client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    while !matches!(link.poll().await.unwrap(), Event::Incoming(Packet::SubAck(_))) {}
    (client, link)
}

async fn next(link: &mut EventLoop) -> (String, Value) {
    let wait = async {
        loop {
            if let Event::Incoming(Packet::Publish(p)) = link.poll().await.unwrap() {
                return (String::from_utf8(p.topic.to_vec()).unwrap(), serde_json::from_slice(&p.payload).unwrap());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap()
}

async fn fleet(broker: &Broker, cars: usize) -> Fleet {
    let settings = FleetSettings { broker: broker.addr(), cars, seed: 1, clock: Arc::new(super::clock) };
    Fleet::start(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_reports_once_a_second_each() {
    let broker = Broker::start().await.unwrap();
    let (_client, mut link) = listener(&broker, "fleet/+/telemetry").await;
    let fleet = fleet(&broker, 30).await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let end = tokio::time::Instant::now() + Duration::from_millis(3_000);
    while let Ok((topic, body)) = tokio::time::timeout_at(end, next(&mut link)).await {
        assert!(body["ts"].is_i64() && body["brake"]["fl"].is_f64() && body["ign"].is_boolean(), "{body}");
        *counts.entry(topic).or_default() += 1;
    }
    assert_eq!(counts.len(), 30);
    assert!(counts.values().all(|n| (2..=4).contains(n)), "{counts:?}");
    assert!(fleet.messages() >= 60, "{}", fleet.messages());
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_breaks_down_as_told() {
    let broker = Broker::start().await.unwrap();
    let (_client, mut link) = listener(&broker, "fleet/+/telemetry").await;
    let fleet = fleet(&broker, 2).await;
    fleet.happen(Happening::BrakesFail("car-0001".into())).await;
    fleet.happen(Happening::BatteryLog("car-0002".into())).await;
    let (mut broken, mut log) = (0, Vec::new());
    while broken < 3 || log.len() < 252 {
        let (topic, body) = next(&mut link).await;
        match topic.as_str() {
            "fleet/car-0001/telemetry" => {
                let [fl, fr] = ["fl", "fr"].map(|side| body["brake"][side].as_f64().unwrap());
                broken += usize::from(fl < 5.0 && fr > 40.0 && body["speed"].as_f64().unwrap() > 60.0);
            }
            _ if body["v12"].as_f64().unwrap() < 12.64 => log.push(body["ts"].as_i64().unwrap()),
            _ => {}
        }
    }
    assert!(log[..252].is_sorted());
    fleet.happen(Happening::DriverStops("car-0001".into())).await;
    fleet.happen(Happening::NewBattery("car-0002".into())).await;
    let (mut stopped, mut charged) = (false, false);
    for _ in 0..60 {
        let (topic, body) = next(&mut link).await;
        stopped |= topic == "fleet/car-0001/telemetry" && body["speed"] == 0.0;
        charged |= topic == "fleet/car-0002/telemetry" && body["v12"].as_f64().unwrap() > 12.7;
        if stopped && charged {
            return;
        }
    }
    panic!("stopped {stopped}, charged {charged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_answers_commands() {
    let broker = Broker::start().await.unwrap();
    let (client, mut link) = listener(&broker, "fleet/+/cmd/ack").await;
    let _fleet = fleet(&broker, 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.publish("fleet/car-0002/cmd", QoS::AtLeastOnce, false, r#"{"id":"e-1","op":"ping"}"#).await.unwrap();
    let (topic, body) = next(&mut link).await;
    assert_eq!((topic.as_str(), &body["id"], &body["ok"]), ("fleet/car-0002/cmd/ack", &"e-1".into(), &true.into()));
}
