//! Mail has no way to ask what became of it: killed around the send, it is on its way once or not at all, and never twice.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::world::{Fleet, World};

/// The shipped playbook for weak batteries, by a fault that takes two messages instead of three weeks.
const RULE: &str = r#"
[[rule]]
id = "weak-at-once"
models = ["car"]
fault = "battery_12v.weak"
severity = "major"
when = "speed > 200[km/h]"
confirm = 2
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_a_mail_it_is_sent_once_or_a_person_knows() {
    let points = [("mail-before-send", 0), ("mail-after-send", 1), ("mail-after-record", 1)];
    for (point, sent) in points {
        let device = "car-0003".to_owned();
        let mut world = World::build(60).await;
        std::fs::write(world.space.dir().join("config/rules/weak.toml"), RULE).unwrap();
        world.start("");
        world.ready().await;
        assert_eq!(world.stop(), Some(0), "{}", world.log());
        let fleet = Fleet::connect(&world);
        world.start(&format!("{point}=return"));
        fleet.say(&device, false, 240.0).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        fleet.say(&device, false, 241.0).await;
        world.died().await;
        world.start("");
        world.ready().await;

        // The attempt is settled as far as it can be: taken by the mail server, or known to be unknown.
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let cases = world.cases().await;
            let case = match cases.iter().find(|c| c.device == device) {
                Some(case) => world.case(&case.id).await,
                None => None,
            };
            let told = case.as_ref().is_some_and(|c| {
                let words = ["nobody knows whether it happened", "mail taken by", "is met by mail"];
                c.timeline.iter().any(|line| words.iter().any(|w| line.text.contains(w)))
            });
            if told {
                break;
            }
            assert!(Instant::now() < until, "{point}: {case:#?}\n{}", world.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A blind repetition would come with the first back-off steps.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let mut mails = BTreeMap::new();
        for mail in world.mail.accepted() {
            *mails.entry(mail.message_id()).or_insert(0) += 1;
        }
        assert_eq!(mails.values().sum::<i32>(), sent, "{point}: {mails:?}\n{}", world.log());
        let tickets = world.desk.accepted();
        assert_eq!(tickets.len(), 1, "{point}: {tickets:?}");
        assert_eq!(world.stop(), Some(0), "{}", world.log());
    }
}
