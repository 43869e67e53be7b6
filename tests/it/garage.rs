//! A workshop that is asked by mail, for real: broker, daemon, mail server, and phones that open the links.

use std::time::Duration;

use forewarn::demo::sandbox::{Garage, Mail};
use tokio::time::Instant;

use crate::world::{Fleet, World};

const CAR: &str = "car-0042";

/// No shipped rule finds this fault yet; any reading of the shipped model will do.
const RULE: &str = r#"
[[rule]]
id         = "pads-worn"
models     = ["car"]
fault      = "brake.pad_wear"
severity   = "warning"
confidence = 0.9
lead       = "10d..45d"
when       = "batt12_v > 15[V]"
"#;

/// The mails to an address that holds `to`, once there are so many.
async fn mails(world: &World, to: &str, at_least: usize) -> Vec<Mail> {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let all = world.mail.accepted().into_iter();
        let mails: Vec<Mail> = all.filter(|m| m.to.iter().any(|t| t.contains(to))).collect();
        if mails.len() >= at_least {
            return mails;
        }
        assert!(Instant::now() < until, "{} mails to {to}:\n{}", mails.len(), world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workshop_that_reads_mails_is_asked_says_yes_and_later_that_it_cannot() {
    let mut world = World::build(60).await;
    let dir = world.space.dir().join("config");
    std::fs::write(dir.join("rules/pads.toml"), RULE).unwrap();
    let playbook = dir.join("playbooks/predicted-fault-appointment.toml");
    let shipped = std::fs::read_to_string(&playbook).unwrap();
    let by_mail = shipped.replace("[\"workshop\", \"garage\"]", "[\"garage\"]");
    assert_ne!(by_mail, shipped);
    std::fs::write(&playbook, by_mail).unwrap();
    // Whatever time of day the test runs at.
    let settings = std::fs::read_to_string(world.space.settings()).unwrap();
    assert!(settings.contains("21:00-08:00"), "{settings}");
    std::fs::write(world.space.settings(), settings.replace("21:00-08:00", "00:00-00:00")).unwrap();
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let payload = serde_json::json!({ "ts": forewarn::app::clock()().as_millis(), "speed": 0, "pedal": 0,
        "brake": { "fl": 0.2, "fr": 0.2 }, "v12": 15.4, "ign": true, "tamb": 12.0,
        "pos": { "lat": 48.137, "lon": 11.575 }, "odo": 41200 });
    fleet.publish(&format!("fleet/{CAR}/telemetry"), &payload).await;

    // The owner, on a phone: the first of the times.
    let owner = "@example.com";
    let offer = mails(&world, owner, 1).await.remove(0).text();
    let link = offer.split_whitespace().find(|word| word.contains("/l/")).unwrap_or_else(|| panic!("{offer}"));
    let http = reqwest::Client::new();
    let page = http.get(link).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Village Garage"), "{page}");
    http.post(link).form(&[("choice", "1")]).send().await.unwrap();

    let garage = Garage::new("office@garage.example.com").unwrap();
    let request = mails(&world, "garage.example.com", 1).await.remove(0);
    assert!(request.data.contains("method=REQUEST"), "{}", request.data);
    // Looking is not answering.
    for _ in 0..2 {
        assert!(garage.look(&request).await.unwrap().contains("value=\"yes\""));
    }
    assert_eq!(mails(&world, owner, 1).await.len(), 1, "nothing is promised yet");
    assert!(garage.tap(&request, "yes").await.unwrap().contains("value=\"move\""));
    let confirmed = mails(&world, owner, 2).await;
    assert!(confirmed[1].data.contains("method=REQUEST"), "{}", confirmed[1].data);

    // It cannot keep it after all: the owner's calendar is told, and other times are offered.
    garage.tap(&request, "no").await.unwrap();
    // In either order: they go out over connections of their own.
    let told = mails(&world, owner, 4).await;
    let cancelled = told[2..].iter().filter(|m| m.data.contains("method=CANCEL")).count();
    assert_eq!(cancelled, 1, "{told:#?}");
    assert!(garage.look(&request).await.unwrap().contains("nicht mehr gebraucht"));
    assert_eq!(garage.mails(&world.mail).len(), 1, "who has cancelled need not be told");
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
