//! The guards of rules, as people meet them: too many cases of one rule wait for a person, and a case that the parent
//! device explains waits for that one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{CaseView, Config, Input, Reply};
use forewarn::domain::{
    At, Breaker, Change, Detection, DeviceId, DispatchWork, EpisodeId, Guards, Mode, Order, OrderKind, Span, Value,
    Work,
};

use super::desk_look::said;
use super::desk_world::{DEVICE, Odds, World, brake, config, start};

/// The shipped playbooks, cars `car-1`, `car-2`… behind the gateway `gw`, and what the rule asks of the desk.
fn fleet(cars: u32, guards: Guards) -> Arc<Config> {
    config(|c| {
        let registry = Arc::make_mut(&mut c.registry);
        let mut device = registry.devices[DEVICE].clone();
        device.attrs.insert("gateway".into(), "gw".into());
        for name in (1..=cars).map(|n| format!("car-{n}")).chain(["gw".to_owned()]) {
            device.id = name.as_str().into();
            device.model = if name == "gw" { "gateway".into() } else { "car".into() };
            registry.devices.insert(device.id.clone(), device.clone());
        }
        c.guards = [("rule".into(), guards)].into();
        // What they do on their own, without a playbook about storms.
        c.playbooks.retain(|p| p.storm.is_none());
    })
}

fn breaker() -> Guards {
    let breaker = Breaker { max: 25, per: Span::from_mins(10), by: Some("model".into()) };
    Guards { breaker: Some(breaker), parent: None }
}

fn parent() -> Guards {
    Guards { breaker: None, parent: Some("gateway".into()) }
}

/// What a rule says of a car that stands.
fn tell(world: &mut World, device: &str, seq: u32, change: Change) {
    tell_at(world, device, seq, change, Some(0.0));
}

/// The same, with its speed if that is known.
fn tell_at(world: &mut World, device: &str, seq: u32, change: Change, speed: Option<f64>) {
    let at = world.now;
    let detection = at_speed(Detection { device: device.into(), ..brake(seq, change, at) }, speed);
    let episode = EpisodeId::of(&[device.as_bytes()]);
    world.tell(Input::Detection(Box::new(Detection { episode, ..detection })));
}

fn at_speed(mut detection: Detection, speed: Option<f64>) -> Detection {
    detection.facts.remove("speed");
    detection.facts.extend(speed.map(|v| ("speed".to_owned(), Value::from(v))));
    detection
}

fn after(minutes: i64) -> At {
    start() + Span::from_mins(minutes)
}

/// How often anybody was asked for a truck, by device.
fn trucks(world: &World) -> BTreeMap<DeviceId, usize> {
    let mut trucks = BTreeMap::new();
    let asked =
        |o: &&(At, Order)| o.1.kind == OrderKind::Send && matches!(o.1.work, Work::Dispatch(DispatchWork::Request(_)));
    for (_, order) in world.orders.iter().filter(asked) {
        let case = world.cases().into_iter().find(|c| c.effects.iter().any(|e| e.id == order.effect)).unwrap();
        *trucks.entry(case.summary.device.as_str().into()).or_default() += 1;
    }
    trucks
}

/// 60 cars at once, with a restart after some of them.
fn storm(cars: u32, seed: u64) -> World {
    let mut world = World::new(fleet(cars, breaker()), Odds::friendly(), seed);
    for n in 1..=cars {
        tell(&mut world, &format!("car-{n}"), 1, Change::Raised);
        if n % 17 == 0 {
            world.restart();
        }
    }
    world.run(after(5));
    world.sound();
    world
}

/// Every case of a car is served, and the storm is over.
fn all_served(world: &World) {
    for case in world.cases() {
        let expected = if case.summary.device == "fleet" { "released" } else { "served" };
        assert_eq!(case.summary.outcome.as_deref(), Some(expected), "{case:#?}");
    }
}

fn release(world: &mut World) -> Reply {
    world.tell(Input::Release { rule: "rule".into(), actor: "kim".into() }).unwrap()
}

#[test]
fn breaker_lets_so_many_act_and_holds_the_rest_for_a_person() {
    let mut world = storm(60, 1);
    assert_eq!(trucks(&world).len(), 25, "exactly so many act");
    let held: Vec<CaseView> = world.cases().into_iter().filter(|c| c.waits_for.is_some()).collect();
    assert_eq!(held.len(), 35);
    for case in &held {
        assert!(said(
            case,
            "held until a person releases it: more than 25 cases of rule rule within 10m (model = car)"
        ));
        assert!(case.waits_for.as_ref().unwrap().ends_with("forewarn case release-rule rule"), "{case:?}");
        assert!(case.effects.is_empty(), "nothing is sent: {case:?}");
    }
    assert!(held.iter().all(|c| !said(c, "is paged")), "nobody is asked about each of them");
    let storm = world.case_of("fleet");
    assert_eq!(storm.timeline.iter().filter(|l| l.text.contains("is paged")).count(), 1, "one person is asked, once");
    assert!(storm.human_owner.is_some(), "and has taken it:\n{:?}", storm.timeline);

    world.restart();
    world.run(after(8));
    assert_eq!(trucks(&world).len(), 25, "time alone changes nothing");
    assert_eq!(release(&mut world), Reply::Done);
    world.restart();
    world.run(after(180));
    world.sound();
    let trucks = trucks(&world);
    assert_eq!(trucks.len(), 60, "the others go on");
    assert!(trucks.values().all(|n| *n == 1), "no truck is sent twice: {trucks:?}");
    all_served(&world);
    assert!(matches!(release(&mut world), Reply::Refused(_)), "there is nothing to release any more");
}

#[test]
fn breaker_counts_groups_apart_and_only_what_is_recent() {
    let mut world = World::new(fleet(40, breaker()), Odds::friendly(), 1);
    for n in 1..=25 {
        tell(&mut world, &format!("car-{n}"), 1, Change::Raised);
    }
    tell(&mut world, "gw", 1, Change::Raised);
    assert_eq!(world.case_of("gw").waits_for, None, "another model");
    world.run(after(10));
    for n in 26..=40 {
        tell(&mut world, &format!("car-{n}"), 1, Change::Raised);
        assert_eq!(world.case_of(&format!("car-{n}")).waits_for, None, "ten minutes later");
    }
    world.sound();
}

#[test]
fn breaker_what_clears_while_held_is_over_and_what_comes_back_is_held_again() {
    let mut world = storm(30, 1);
    let waiting = |w: &World| w.cases().iter().filter(|c| c.waits_for.is_some()).count();
    for n in 27..=30 {
        tell(&mut world, &format!("car-{n}"), 2, Change::Cleared);
    }
    world.run(after(6));
    assert_eq!(waiting(&world), 1);
    let over = world.case_of("car-30");
    assert_eq!(over.summary.outcome.as_deref(), Some("cleared_while_held"));
    assert!(over.effects.is_empty(), "nobody is told that nothing happened: {over:?}");

    let at = world.now;
    let again =
        Detection { episode: EpisodeId::of(&[b"again"]), device: "car-30".into(), ..brake(1, Change::Raised, at) };
    world.tell(Input::Detection(Box::new(at_speed(again, Some(0.0)))));
    assert_eq!(waiting(&world), 2);
    assert_eq!(release(&mut world), Reply::Done);
    world.run(after(9));
    let trucks = trucks(&world);
    assert!(trucks.len() == 27 && trucks.contains_key("car-30"), "{trucks:?}");
    world.sound();
}

#[test]
fn breaker_that_holds_nothing_any_more_is_over() {
    let mut world = storm(28, 1);
    for left in [2, 1, 0] {
        let held: Vec<CaseView> = world.cases().into_iter().filter(|c| c.waits_for.is_some()).collect();
        assert_eq!(held.len(), left + 1);
        world.tell(Input::Close { case: held[0].summary.id, actor: "kim".into(), reason: "seen".into() });
        world.sound();
    }
    assert_eq!(world.case_of("fleet").summary.outcome.as_deref(), Some("over"));
    assert!(matches!(release(&mut world), Reply::Refused(_)));
    assert_eq!(trucks(&world).len(), 25);
}

#[test]
fn guard_holds_the_cases_of_every_rule_and_closing_the_storm_lets_them_go() {
    let mut world = World::new(fleet(30, Guards::default()), Odds::friendly(), 1);
    for n in 1..=30 {
        tell(&mut world, &format!("car-{n}"), 1, Change::Raised);
    }
    world.run(after(5));
    assert_eq!(trucks(&world).len(), 20, "as the settings say");
    let storm = world.case_of("fleet").summary;
    assert_eq!(storm.title, "more than 20 cases of rule rule within 10m");
    world.tell(Input::Close { case: storm.id, actor: "kim".into(), reason: "all true".into() });
    world.run(after(180));
    assert_eq!(trucks(&world).len(), 30);
    all_served(&world);
    world.sound();
}

#[test]
fn breaker_does_not_hold_what_another_rule_has_found() {
    let mut world = storm(27, 1);
    let at = world.now;
    let other = Detection {
        rule: "other".into(),
        episode: EpisodeId::of(&[b"other"]),
        device: "car-27".into(),
        ..brake(1, Change::Raised, at)
    };
    world.tell(Input::Detection(Box::new(other)));
    world.run(after(8));
    assert!(trucks(&world).contains_key("car-27") && !trucks(&world).contains_key("car-26"));
    world.sound();
}

#[test]
fn parent_first_explains_the_child_until_it_is_served() {
    let mut world = World::new(fleet(1, parent()), Odds::friendly(), 1);
    tell(&mut world, "gw", 1, Change::Raised);
    world.run(after(1));
    tell(&mut world, "car-1", 1, Change::Raised);
    let child = world.case_of("car-1");
    let gateway = world.case_of("gw").summary;
    assert!(child.waits_for.as_ref().unwrap().contains(&gateway.short), "{child:?}");
    assert!(said(&child, &format!("explained by case {} of its parent gw", gateway.short)));
    world.run(after(30));
    world.restart();
    assert_eq!(trucks(&world).keys().map(DeviceId::as_str).collect::<Vec<_>>(), ["gw"]);
    tell(&mut world, "car-1", 2, Change::Cleared);
    world.run(after(31));
    let child = world.case_of("car-1");
    assert_eq!(child.summary.outcome.as_deref(), Some("explained_by_parent"));
    assert!(child.effects.is_empty(), "{child:?}");
    world.sound();
}

#[test]
fn parent_child_first_waits_for_news_of_its_parent() {
    let mut world = World::new(fleet(2, parent()), Odds::friendly(), 1);
    tell(&mut world, "car-1", 1, Change::Raised);
    assert!(world.case_of("car-1").waits_for.unwrap().starts_with("news of its parent gw, until 2026-11-20T10:02:00"));
    world.run(after(1));
    world.restart();
    tell(&mut world, "gw", 1, Change::Raised);
    world.run(after(10));
    assert!(said(&world.case_of("car-1"), "explained by case"));
    assert_eq!(trucks(&world).len(), 1);
    world.sound();
}

#[test]
fn parent_without_a_fault_holds_the_child_for_two_minutes_only() {
    let mut world = World::new(fleet(2, parent()), Odds::friendly(), 1);
    tell(&mut world, "car-1", 1, Change::Raised);
    tell(&mut world, "car-2", 1, Change::Raised);
    world.run(start() + Span::from_secs(119));
    assert!(world.orders.is_empty());
    tell(&mut world, "car-2", 2, Change::Cleared);
    world.run(after(3));
    assert!(trucks(&world).contains_key("car-1"));
    let over = world.case_of("car-2");
    assert_eq!((over.summary.outcome.as_deref(), over.effects.len()), (Some("cleared_while_held"), 0));
    world.sound();
}

#[test]
fn parent_clears_first_and_the_child_goes_on() {
    let mut world = World::new(fleet(2, parent()), Odds::friendly(), 1);
    for device in ["gw", "car-1", "car-2"] {
        tell(&mut world, device, 1, Change::Raised);
    }
    world.run(after(3));
    let gateway = world.case_of("gw").summary.id;
    world.tell(Input::Close { case: gateway, actor: "kim".into(), reason: "restarted".into() });
    world.run(after(4));
    tell(&mut world, "car-2", 2, Change::Cleared);
    world.run(start() + Span::from_secs(299));
    assert_eq!(trucks(&world).len(), 1, "the child has the same time again");
    world.run(after(8));
    assert!(said(&world.case_of("car-1"), "its parent gw has no such fault: the case goes on"));
    assert!(trucks(&world).contains_key("car-1"), "{:#?}", world.case_of("car-1"));
    assert_eq!(world.case_of("car-2").summary.outcome.as_deref(), Some("explained_by_parent"));
    world.sound();
}

#[test]
fn parent_of_each_other_do_not_wait_for_each_other() {
    let config = config(|c| {
        let registry = Arc::make_mut(&mut c.registry);
        for (name, gateway) in [("car-1", "car-2"), ("car-2", "car-1")] {
            let mut device = registry.devices[DEVICE].clone();
            device.id = name.into();
            device.attrs.insert("gateway".into(), gateway.into());
            registry.devices.insert(device.id.clone(), device);
        }
        c.guards = [("rule".into(), parent())].into();
    });
    let mut world = World::new(config, Odds::friendly(), 1);
    tell(&mut world, "car-1", 1, Change::Raised);
    tell(&mut world, "car-2", 1, Change::Raised);
    world.run(after(5));
    assert_eq!(trucks(&world).len(), 1, "one of the two acts");
    world.sound();
}

/// What the drivers of the cars were told or asked for, by device.
fn steps_of(world: &World, device: &str) -> BTreeSet<String> {
    world.case_of(device).effects.iter().map(|e| e.step.to_string()).collect()
}

/// A case that waits for its parent gateway, which has failed before.
fn behind_gateway(speed: Option<f64>) -> World {
    let mut world = World::new(fleet(1, parent()), Odds::friendly(), 1);
    tell(&mut world, "gw", 1, Change::Raised);
    world.run(after(1));
    tell_at(&mut world, "car-1", 1, Change::Raised, speed);
    world.run(after(1) + Span::from_secs(30));
    world
}

#[test]
fn held_people_in_danger_are_told_unless_the_device_stands() {
    for (speed, told) in [(Some(80.0), &["warn"][..]), (None, &["warn"]), (Some(0.0), &[])] {
        let mut world = behind_gateway(speed);
        let steps = steps_of(&world, "car-1");
        assert_eq!(steps.iter().map(String::as_str).collect::<Vec<_>>(), told, "{speed:?}");
        assert!(world.case_of("car-1").waits_for.is_some(), "{speed:?}: it is held all the same");
        world.restart();
        world.run(after(30));
        assert_eq!(trucks(&world).len(), 1, "{speed:?}: the truck waits");
        world.sound();
    }
}

#[test]
fn held_a_device_that_starts_to_move_is_warned_of() {
    let mut world = behind_gateway(Some(0.0));
    let moves = |world: &World, speed: f64| Input::Facts {
        device: "car-1".into(),
        event_at: world.now,
        values: [("speed".to_owned(), Value::from(speed))].into(),
    };
    // Right after other facts were stored: that it moves now is not to be missed.
    for speed in [0.0, 30.0] {
        let facts = moves(&world, speed);
        world.tell(facts);
    }
    world.run(after(2));
    assert!(steps_of(&world, "car-1").contains("warn"));
    let facts = moves(&world, 0.0);
    world.tell(facts);
    world.run(after(5));
    let case = world.case_of("car-1");
    let told = case.goals.iter().find(|g| g.name.as_str() == "driver_told_to_stop").unwrap();
    assert_eq!(told.state, "met", "what was begun is ended: {case:#?}");
    world.sound();
}

#[test]
fn held_what_was_said_in_vain_is_taken_back() {
    let mut world = World::new(fleet(1, parent()), Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
    tell(&mut world, "gw", 1, Change::Raised);
    tell_at(&mut world, "car-1", 1, Change::Raised, Some(80.0));
    world.run(after(1));
    tell_at(&mut world, "car-1", 2, Change::Cleared, Some(80.0));
    world.run(after(20));
    let case = world.case_of("car-1");
    assert_eq!(case.summary.outcome.as_deref(), Some("false_alarm"), "{case:#?}");
    assert!(steps_of(&world, "car-1").iter().any(|s| s.starts_with("undo")), "{case:#?}");
    assert_eq!(trucks(&world).len(), 1, "only the gateway has asked for one");
    world.sound();
}

#[test]
fn held_a_breaker_holds_trucks_and_tickets_of_cars_that_move_and_no_warning() {
    let mut world = World::new(fleet(30, breaker()), Odds::friendly(), 1);
    for n in 1..=30 {
        tell_at(&mut world, &format!("car-{n}"), 1, Change::Raised, Some(60.0));
    }
    world.run(after(5));
    assert_eq!(trucks(&world).len(), 25);
    for n in 26..=30 {
        let steps = steps_of(&world, &format!("car-{n}"));
        assert!(steps.iter().all(|s| s == "warn" || s.starts_with("page ")), "{steps:?}");
        assert!(steps.contains("warn"));
    }
    assert_eq!(release(&mut world), Reply::Done);
    world.run(after(180));
    assert_eq!(trucks(&world).len(), 30);
    all_served(&world);
    world.sound();
}

#[test]
fn guards_hold_in_a_hostile_world() {
    for seed in 0..6 {
        let guards =
            Guards { parent: Some("gateway".into()), breaker: Some(Breaker { max: 3, ..breaker().breaker.unwrap() }) };
        let mut world = World::new(fleet(8, guards), Odds::hostile(), seed);
        for n in 1..=8_i64 {
            let at = start() + Span::from_secs(n);
            let device = format!("car-{n}");
            for (seq, change, when) in [(1, Change::Raised, n), (2, Change::Cleared, 400 * n)] {
                let episode = EpisodeId::of(&[device.as_bytes()]);
                let detection = Detection { episode, device: device.as_str().into(), ..brake(seq, change, at) };
                // Some stand, some move, of some nobody knows.
                let detection = at_speed(detection, [Some(0.0), Some(50.0), None][usize::try_from(n % 3).unwrap()]);
                world.later(Span::from_secs(when), Input::Detection(Box::new(detection)));
            }
        }
        // Told again by whoever got no answer.
        for minutes in [6, 40, 90] {
            world.later(Span::from_mins(minutes), Input::Release { rule: "rule".into(), actor: "kim".into() });
        }
        world.run(after(600));
        world.sound();
        assert!(world.cases().iter().any(|c| said(c, "held until a person releases it")), "seed {seed}");
        assert!(world.cases().iter().all(|c| c.waits_for.is_none()), "seed {seed}");
    }
}

/// What `forewarn explain` says of the case of a device, or of one that would be opened.
fn standing(world: &World, device: &str, episode: Option<&str>) -> String {
    let episode = episode.map(|name| EpisodeId::of(&[name.as_bytes()]));
    world.desk.standing(&"rule".into(), &device.into(), episode.as_ref()).join(" ")
}

#[test]
fn standing_says_what_is_held_why_and_until_when() {
    let mut world = storm(27, 1);
    let short = |world: &World, device: &str| world.case_of(device).summary.short;
    let why = "more than 25 cases of rule rule within 10m (model = car)";
    let release = "forewarn case release-rule rule";
    assert_eq!(
        standing(&world, "car-27", Some("car-27")),
        format!("Case {} is held; it waits for a person ({why}): {release}.", short(&world, "car-27"))
    );
    assert!(!standing(&world, "car-1", Some("car-1")).contains("held"));
    assert_eq!(
        standing(&world, "car-1", None),
        format!("A case would be held until a person releases the rule ({release}): {why}.")
    );
    assert_eq!(standing(&world, "gw", None), "", "another model");
    assert_eq!(standing(&world, "car-1", Some("never told")), "The desk has not heard of it yet.");
    release_and_serve(&mut world);
    assert!(standing(&world, "car-27", Some("car-27")).contains(" was closed as served at "));
    assert_eq!(standing(&world, "car-1", None), "");

    let mut world = World::new(fleet(1, parent()), Odds::friendly(), 1);
    let waits = "A case would wait 2m for its parent gw, which may be the cause.";
    assert_eq!(standing(&world, "car-1", None), waits);
    tell(&mut world, "car-1", 1, Change::Raised);
    let car = short(&world, "car-1");
    let until = "it waits for news of its parent gw, until 2026-11-20T10:02:00Z";
    assert_eq!(standing(&world, "car-1", Some("car-1")), format!("Case {car} is held; {until}."));
    tell(&mut world, "gw", 1, Change::Raised);
    world.run(after(3));
    let gateway = short(&world, "gw");
    let explained = format!("Case {car} is held; it waits for the end of case {gateway} of its parent gw");
    assert!(standing(&world, "car-1", Some("car-1")).starts_with(&explained));

    let at = world.now;
    let episode = EpisodeId::of(&[b"shadow"]);
    let shadow = Detection { episode, mode: Mode::Shadow, device: "car-1".into(), ..brake(1, Change::Raised, at) };
    world.tell(Input::Detection(Box::new(shadow)));
    let ignored = "Nothing is done about it: the rule is in shadow mode.";
    assert_eq!(standing(&world, "car-1", Some("shadow")), ignored);
}

fn release_and_serve(world: &mut World) {
    assert_eq!(release(world), Reply::Done);
    world.run(after(180));
}
