//! The remote correction of `config/playbooks` for real: broker, daemon, a device that answers, a mail with instructions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Ears, Fleet, World};

const UNIT: &str = "hvac-0001";

/// What the unit says `minutes` ago, its counter at `beat`.
async fn says(fleet: &Fleet, minutes: i64, beat: i64) {
    let ts = forewarn::app::clock()().as_millis() - minutes * 60_000;
    let payload = json!({ "ts": ts, "mode": "idle", "set": 21, "room": 22, "beat": beat, "lat": 48.1, "lon": 11.5 });
    fleet.publish(&format!("site/{UNIT}/hvac"), &payload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_controller_is_restarted_and_the_facility_manager_gets_instructions() {
    let mut world = World::build(60).await;
    // Ten minutes of proof are too long for a test; everything else is as shipped.
    let playbook = world.space.dir().join("config/playbooks/hvac-remote-correction.toml");
    let shipped = std::fs::read_to_string(&playbook).unwrap();
    assert!(shipped.contains("fault.score < 0.2 for 10m"));
    std::fs::write(&playbook, shipped.replace("fault.score < 0.2 for 10m", "fault.score < 0.2 for 1s")).unwrap();
    world.start("");
    world.ready().await;
    let mut ears = Ears::open(&world, UNIT, &format!("site/{UNIT}/cmd"));
    let fleet = Fleet::connect(&world);
    // The last quarter of an hour, as the unit's own clock has it: its counter stands still.
    for minute in (8..=18).rev() {
        says(&fleet, minute, 4_711).await;
    }
    let heard = ears.hear(Duration::from_secs(10));
    let commands: Vec<Value> = heard.iter().map(|(_, payload)| serde_json::from_slice(payload).unwrap()).collect();
    assert_eq!(commands.len(), 1, "{commands:?}\n{}", world.log());
    assert_eq!(commands[0]["op"], "soft_reset");
    let answer = json!({ "id": commands[0]["id"], "ok": true, "detail": "restarted" });
    fleet.publish(&format!("site/{UNIT}/cmd/ack"), &answer).await;
    for minute in (0..=6).rev() {
        says(&fleet, minute, 4_720 - minute).await;
    }
    world.all_served(&[UNIT.to_owned()], "hvac.controller_hung", Duration::from_secs(60)).await;
    let mails = world.mail.accepted();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let raw = &mails[0].data;
    for part in ["Auto-Submitted: auto-generated", "multipart/mixed", "filename=\"hvac.de.txt\"", "To: "] {
        assert!(raw.contains(part), "no {part} in {raw}");
    }
    assert_eq!(world.tow.accepted().len(), 0);
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
