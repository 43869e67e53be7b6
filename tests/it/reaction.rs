//! Nobody waits silently: within thirty minutes of a detection there is a reaction that a human can read, or a person is
//! paged, whatever holds the case back.

use std::sync::Arc;

use forewarn::desk::{Config, Input};
use forewarn::domain::{Change, Detection, Guards, Order, Outcome, Severity, Span, Work};

use super::desk_world::{Answer, Odds, World, config_with, detection};
use super::policy::{after, book, raise, second_car, sent, tell};

/// A ladder that has a person only after five hours.
const LATE: &str = "{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"5h\", queue = \"service-desk\" }";

/// When the first person of ours is paged, in minutes, and how often in all.
fn paged(w: &World) -> (Option<i64>, usize) {
    let pages: Vec<i64> =
        sent(w).into_iter().filter(|(_, to)| to == "mail service@example.com").map(|(at, _)| at / 60).collect();
    (pages.first().copied(), pages.len())
}

/// A playbook that tells late of a person, without a goal: nothing else has a person asked before five hours have passed.
fn plan() -> String {
    let proof = "[[step]]\nid = \"proof\"\ndo = \"wait_for\"\ngoal = \"gone\"\nexpect = \"fault.cleared\"\n\
                 within = \"5h\"\nelse = \"human:service-desk\"\n";
    let steps = format!("{}{proof}", tell(LATE).replace("goal = \"told\"\n", ""));
    book("service", "", "\"gone\"", &steps)
}

fn calm(change: impl FnOnce(&mut Config)) -> World {
    let config = config_with(&plan(), |c| {
        c.settings.default_queue = Some("service-desk".into());
        change(c);
    });
    World::new(config, Odds::friendly(), 1)
}

fn world(change: impl FnOnce(&mut Config)) -> World {
    let mut w = calm(change);
    raise(&mut w, 1);
    w
}

#[test]
fn who_was_told_needs_nobody_to_be_paged() {
    let mut w = world(|_| {});
    w.run(after(3_600));
    assert_eq!(paged(&w), (None, 0), "{}", w.timeline());
}

#[test]
fn a_case_that_is_held_back_by_anything_has_a_person_paged_within_30_minutes() {
    type Edit = fn(&mut Config);
    let held: [(&str, Edit); 5] = [
        ("money for a day is spent", |c| c.providers.get_mut("text").unwrap().per_day = Some(0)),
        ("the hourly budget is spent", |c| c.providers.get_mut("text").unwrap().per_hour = Some(0)),
        ("a cap", |c| {
            c.contact.cap.iter_mut().for_each(|cap| cap.max = 0);
        }),
        ("no consent to be contacted", |c| {
            let mut registry = (*c.registry).clone();
            registry.customers.values_mut().for_each(|c| c.consents.clear());
            c.registry = Arc::new(registry);
        }),
        ("an unknown customer", |c| {
            let mut registry = (*c.registry).clone();
            registry.devices.values_mut().for_each(|d| d.parties.clear());
            c.registry = Arc::new(registry);
        }),
    ];
    for (what, edit) in held {
        let mut w = world(edit);
        w.run(after(31 * 60));
        let first = paged(&w).0.unwrap_or_else(|| panic!("{what}: {}", w.timeline()));
        assert!(first <= 30, "{what}: after {first} min\n{}", w.timeline());
    }
}

#[test]
fn quiet_hours_and_a_stopped_desk_are_no_excuse() {
    let mut w = calm(|_| {});
    w.run("2026-11-20T22:00:00Z".parse().unwrap());
    let before = w.now;
    raise(&mut w, 1);
    w.run(before + Span::from_mins(31));
    assert_eq!(paged(&w).1, 1, "{}", w.timeline());
    let stopped = forewarn::desk::Act::Stop { stop: forewarn::domain::Stop::On, reason: "test".into() };
    let mut w = calm(|_| {});
    w.tell(Input::Act { case: None, actor: "kim".into(), act: stopped });
    raise(&mut w, 1);
    w.run(after(31 * 60));
    assert_eq!(paged(&w).0, Some(30), "{}", w.timeline());
}

/// What a storm guard holds is one question to one person, not one for each of its cases.
#[test]
fn held_by_a_storm_guard_a_person_is_asked_about_the_storm_at_once_and_once() {
    let mut w = calm(|c| {
        c.settings.storm_guard.min = 2;
        (2..=9).for_each(|n| second_car(c, &format!("car-{n}")));
    });
    for n in 1..=9 {
        let detection = detection("a.b", Severity::Critical, n, 1, Change::Raised, w.now);
        let device = format!("car-{n}").as_str().into();
        w.tell(Input::Detection(Box::new(Detection { device, ..detection })));
    }
    w.run(after(60));
    assert_eq!(paged(&w), (Some(0), 1), "{}", w.timeline());
    w.run(after(45 * 60));
    let told = w.desk.list(false, 20).into_iter().filter(|c| {
        w.desk.show(&c.id).unwrap().timeline.iter().any(|l| l.text.contains("nobody has been told anything"))
    });
    assert_eq!(told.count(), 0, "nobody is asked for each child\n{}", w.timeline());
}

/// The parent of a device explains its silence: people hear of the parent.
#[test]
fn held_by_its_parent_people_hear_of_the_parent() {
    let mut w = calm(|c| {
        c.providers.get_mut("text").unwrap().per_day = Some(0);
        second_car(c, "gw-1");
        let mut registry = (*c.registry).clone();
        registry.devices.get_mut("car-1").unwrap().attrs.insert("gateway".into(), "gw-1".into());
        c.registry = Arc::new(registry);
        let guards = Guards { parent: Some("gateway".into()), ..Guards::default() };
        c.guards = [("rule".into(), guards)].into();
    });
    for (n, device) in [(1, "gw-1"), (2, "car-1")] {
        let detection = detection("a.b", Severity::Critical, n, 1, Change::Raised, w.now);
        w.tell(Input::Detection(Box::new(Detection { device: device.into(), ..detection })));
    }
    w.run(after(31 * 60));
    let asked = |device: &str| {
        let case = w.desk.list(false, 9).into_iter().find(|c| c.device == device).unwrap();
        w.desk.show(&case.id).unwrap().timeline.iter().filter(|l| l.text.contains("is paged")).count()
    };
    assert_eq!((asked("gw-1"), asked("car-1")), (1, 0), "{}", w.timeline());
}

#[test]
fn a_provider_that_takes_nothing_is_no_reaction() {
    let mut w = calm(|_| {});
    w.script = Some(Box::new(|o: &Order| {
        let reason = "connection refused".to_owned();
        let retry = Answer::Outcome(Outcome::Retry { after: Some(Span::from_mins(10)), reason });
        matches!(o.work, Work::Sms(_)).then(|| vec![(1, retry)])
    }));
    raise(&mut w, 1);
    w.run(after(31 * 60));
    assert_eq!(paged(&w).0, Some(30), "{}", w.timeline());
}
