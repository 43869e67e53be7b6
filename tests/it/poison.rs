//! Payloads that cannot be used, over a real broker: each in quarantine once, also when the daemon is killed and reads its
//! journal again, and no hindrance to the others.

use std::collections::BTreeMap;
use std::time::Duration;

use forewarn::runtime::quarantine::{self, Quarantined};
use tokio::time::Instant;

use crate::world::{Fleet, World};

const FAULT: &str = "brake.circuit_loss";

/// Name, which becomes the device, and payload.
fn poison() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |n: usize| [b"{\"a\":".repeat(n), b"1".to_vec(), b"}".repeat(n)].concat();
    vec![
        ("empty", b"".to_vec()),
        ("blank", b"   ".to_vec()),
        ("cut", b"{\"speed\": 12".to_vec()),
        ("scalar", b"12.5".to_vec()),
        ("list", b"[1,2,3]".to_vec()),
        ("text", b"hello".to_vec()),
        ("nan", b"{\"speed\": NaN}".to_vec()),
        ("infinity", b"{\"speed\": -Infinity}".to_vec()),
        ("single-quotes", b"{'speed': 1}".to_vec()),
        ("trailing-comma", b"{\"speed\": 1,}".to_vec()),
        ("two-objects", b"{\"speed\": 1}{\"speed\": 2}".to_vec()),
        ("bad-utf8", b"{\"speed\": \"\xff\xfe\"}".to_vec()),
        ("utf16", "{\"speed\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 4, 0, 0, 0]),
        ("nulls", vec![0; 64]),
        ("deep", deep(4_000)),
        ("xml", b"<speed>12</speed>".to_vec()),
        ("csv", b"speed,pedal\n1,2\n".to_vec()),
        ("large", vec![b'x'; 20_000]),
    ]
}

fn quarantined(world: &World) -> BTreeMap<String, Vec<Quarantined>> {
    let mut found: BTreeMap<String, Vec<Quarantined>> = BTreeMap::new();
    for entry in quarantine::read(&world.space.dir().join("store/quarantine")).unwrap() {
        found.entry(entry.topic.clone()).or_default().push(entry);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_kept_once_and_hinders_nobody() {
    let mut world = World::build(60).await;
    let fleet = Fleet::connect(&world);
    world.start("");
    world.ready().await;
    for (name, payload) in poison() {
        fleet.publish_bytes(&format!("fleet/{name}/telemetry"), payload).await;
    }
    // A topic that no model knows, and answers to commands are not part of this configuration.
    fleet.publish_bytes("somewhere/else", b"{}".to_vec()).await;
    let car = "car-0003".to_owned();
    fleet.say(&car, true, 60.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(&car, true, 55.0).await;
    world.all_served(&[car], FAULT, Duration::from_secs(60)).await;

    let until = Instant::now() + Duration::from_secs(20);
    while quarantined(&world).len() < poison().len() {
        assert!(Instant::now() < until, "only {:?}", quarantined(&world).keys());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.kill();
    world.start("");
    world.ready().await;

    let found = quarantined(&world);
    for (name, payload) in poison() {
        let entries = &found[&format!("fleet/{name}/telemetry")];
        assert_eq!(entries.len(), 1, "{name}: {entries:?}");
        assert_eq!(entries[0].bytes, payload.len(), "{name}");
        assert!(!entries[0].reason.is_empty() && !entries[0].detail.is_empty(), "{name}: {entries:?}");
        println!("{name:15} {:15} {}", entries[0].reason, entries[0].detail);
    }
    assert_eq!(found.len(), poison().len(), "nothing else is in quarantine");
    assert_eq!(world.stop(), Some(0));
}
