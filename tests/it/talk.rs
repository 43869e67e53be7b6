//! The one conversation for real: broker, daemon, phone network and mail server of the sandbox.

use std::collections::BTreeSet;
use std::time::Duration;

use forewarn::demo::fleet::car_id;
use forewarn::demo::sandbox::Driver;
use serde_json::Value;

use crate::world::{Fleet, World};

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    while !done().await {
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn breaks_down(fleet: &Fleet, device: &str) {
    fleet.say(device, true, 60.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(device, true, 55.0).await;
}

/// Nobody takes the call; the driver answers the text message, later wants no more of them, and a stranger learns nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_message_is_answered_by_text() {
    let mut world = World::build(24).await;
    world.phone.drivers(vec![Driver::Absent; 30]);
    world.phone.inbound(&format!("{}/twilio/sms", world.url()));
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let device = car_id(3);
    breaks_down(&fleet, &device).await;
    // Of the text messages, the one that asks; another one may say when the truck comes.
    let mut asked = None;
    until("a text message that asks for an answer", async || {
        asked = world.phone.texts().into_iter().find(|t| t.status == "delivered" && t.body.contains("/l/"));
        asked.is_some()
    })
    .await;
    let text = asked.unwrap();
    world.phone.write(&text.to, &text.from, "1").await;
    let cases = world.all_served(std::slice::from_ref(&device), "brake.circuit_loss", Duration::from_secs(60)).await;
    let case: Value = world.get(&format!("/api/v1/cases/{}", cases[0].id)).await.unwrap();
    let goal = &case["goals"][0];
    assert_eq!((goal["state"].as_str(), goal["met_by"].as_str()), (Some("met"), Some("key 1")), "{case:#}");
    let told: BTreeSet<(&str, &str)> = case["conversation"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["channel"] == "sms")
        .map(|m| (m["direction"].as_str().unwrap(), m["meaning"].as_str().unwrap_or_default()))
        .collect();
    assert!(told.is_superset(&[("out", "human_confirmed(1)"), ("in", "key 1")].into()), "{case:#}");
    // Written on their own, and answered in the same breath.
    world.phone.write(&text.to, &text.from, " Stop! ").await;
    world.phone.write("+12025550199", &text.from, "STOP").await;
    let written = world.phone.written();
    assert!(written.iter().all(|w| w.status == Some(200)), "{written:?}");
    let answers: Vec<bool> = written.iter().map(|w| w.answer.is_some()).collect();
    assert_eq!(answers, [false, true, false], "a confirmation of STOP, and nothing for a stranger: {written:?}");
    let outs: Value = world.get("/api/v1/opt-outs").await.unwrap();
    assert_eq!(outs["opt_outs"].as_array().unwrap().len(), 1, "{outs}");
    assert_eq!((&outs["opt_outs"][0]["channel"], &outs["opt_outs"][0]["by"]), (&"sms".into(), &"word".into()));
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

/// Not danger here, but a note by mail.
const NOTE: &str = r#"
schema = "playbook/1"
id = "brake-note"
version = 1
[match]
fault = ["brake.circuit_loss"]
[case]
priority = 200
goals = ["owner_told"]
[policy]
purpose = "service"
[[step]]
id = "tell"
do = "reach"
who = ["owner"]
goal = "owner_told"
until = "accepted"
script = "we-saw-it-coming"
ladder = [{ via = "email", at = "0s" }]
"#;

/// Two cars of one owner within the window: one mail on the wire, with both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cars_of_one_owner_are_one_mail_on_the_wire() {
    let mut world = World::build(24).await;
    let config = world.space.dir().join("config");
    std::fs::write(config.join("playbooks/brake-note.toml"), NOTE).unwrap();
    let settings = std::fs::read_to_string(world.space.settings()).unwrap();
    assert!(settings.contains("bundle = \"0s\""), "{settings}");
    std::fs::write(world.space.settings(), settings.replace("bundle = \"0s\"", "bundle = \"4s\"")).unwrap();
    // The second car is the first one's owner's, too.
    let (first, second) = (car_id(3), car_id(5));
    let devices = std::fs::read_to_string(config.join("registry/devices.csv")).unwrap();
    let row =
        |id: &str| devices.lines().find(|l| l.starts_with(&format!("{id},"))).unwrap().split(',').collect::<Vec<_>>();
    let (a, b) = (row(&first), row(&second));
    let mut joined = b.clone();
    joined[9] = a[9];
    std::fs::write(config.join("registry/devices.csv"), devices.replace(&b.join(","), &joined.join(","))).unwrap();
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    breaks_down(&fleet, &first).await;
    until("the first waits for others", async || {
        let cases = world.cases().await;
        let Some(case) = cases.first() else { return false };
        let case: Value = world.get(&format!("/api/v1/cases/{}", case.id)).await.unwrap();
        case["waits"].as_array().unwrap().iter().any(|w| w["why"].as_str().unwrap().contains("to go in one message"))
    })
    .await;
    breaks_down(&fleet, &second).await;
    let both = [first.clone(), second.clone()];
    let cases = world.all_served(&both, "brake.circuit_loss", Duration::from_secs(30)).await;
    assert_eq!(cases.len(), 2);
    let mails = world.mail.accepted();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let raw = mails[0].data.replace("=\r\n", "").replace("=\n", "");
    for plate in [a[3], b[3]] {
        assert!(raw.contains(plate), "no {plate} in {raw}");
    }
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
