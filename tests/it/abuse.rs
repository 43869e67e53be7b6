//! What whoever can write to the broker cannot do: ten thousand devices that fail at once, ten thousand that do not exist,
//! one that fails ten thousand times. Each guard of the desk has its test here, in `guards`, `stops`, `service` or `policy`.

use std::collections::BTreeSet;
use std::sync::Arc;

use forewarn::desk::{Config, Input};
use forewarn::domain::{
    At, Change, Detection, DispatchWork, EpisodeId, Order, OrderKind, RuleId, Severity, Span, Work,
};

use super::desk_look::said;
use super::desk_world::{DEVICE, Odds, World, brake, config, detection, start};

/// A fleet of so many cars with the shipped playbooks but for that about storms.
fn fleet(cars: u32, change: impl FnOnce(&mut Config)) -> World {
    let config = config(|c| {
        let registry = Arc::make_mut(&mut c.registry);
        let mut device = registry.devices[DEVICE].clone();
        for n in 1..=cars {
            device.id = name(n).as_str().into();
            registry.devices.insert(device.id.clone(), device.clone());
        }
        c.playbooks.retain(|p| p.storm.is_none());
        change(c);
    });
    let mut world = World::new(config, Odds::friendly(), 3);
    world.check_every = 100_000;
    world
}

fn name(n: u32) -> String {
    format!("fake-{n}")
}

fn after(seconds: i64) -> At {
    start() + Span::from_secs(seconds)
}

/// What goes out, but for questions about it.
fn sent(world: &World, fits: impl Fn(&Order) -> bool) -> usize {
    world.orders.iter().filter(|(_, o)| o.kind == OrderKind::Send && fits(o)).count()
}

fn is_truck(order: &Order) -> bool {
    matches!(order.work, Work::Dispatch(DispatchWork::Request(_)))
}

fn is_call(order: &Order) -> bool {
    matches!(order.work, Work::Call(_))
}

fn spoof(world: &mut World, device: &str, rule: &str, salt: u32) {
    let at = world.now;
    let episode = EpisodeId::of(&[device.as_bytes(), &salt.to_le_bytes()]);
    let rule = RuleId::from(rule);
    let spoofed = Detection { episode, rule, device: device.into(), ..brake(1, Change::Raised, at) };
    world.tell(Input::Detection(Box::new(spoofed)));
}

#[test]
fn flood_of_ten_thousand_devices_is_one_storm_and_others_are_served() {
    let mut world = fleet(10_000, |c| c.providers.get_mut("phone").unwrap().per_hour = Some(30));
    for n in 1..=10_000 {
        // Within ten seconds.
        world.now = after(i64::from(n) / 1_000);
        spoof(&mut world, &name(n), "rule", 0);
    }
    world.run_long(after(60), 1_000_000);
    // A twentieth of a percent of the fleet is more than twenty.
    assert_eq!(sent(&world, is_truck), 50, "the guard of a rule: max(20, 0.5 % of the fleet)");
    let storms: Vec<_> = world.desk.list(true, 20_000).into_iter().filter(|c| c.device == "fleet").collect();
    assert_eq!(storms.len(), 1);
    let storm = world.desk.show(&storms[0].id).unwrap();
    assert!(said(&storm, "more than 50 cases of rule rule within 10m"), "{storm:#?}");
    assert!(storm.human_owner.is_some() || said(&storm, "is paged"), "{storm:#?}");

    // Somebody whose battery is really weak, in the midst of it.
    let at = world.now;
    let weak = detection("battery_12v.weak", Severity::Major, 1, 1, Change::Raised, at);
    world.tell(Input::Detection(Box::new(Detection { rule: "other".into(), ..weak })));
    world.run_long(after(180), 1_000_000);
    let served = world.case_of(DEVICE).summary;
    assert_eq!(served.outcome.as_deref(), Some("served"), "{served:#?}");

    world.run_long(after(1_200), 1_000_000);
    assert_eq!(sent(&world, is_truck), 50, "time alone changes nothing");
    assert!(sent(&world, is_call) <= 30, "the budget of the provider for an hour: {}", sent(&world, is_call));
    world.sound();
}

#[test]
fn flood_of_devices_that_do_not_exist_does_nothing() {
    let mut world = fleet(1, |_| {});
    for n in 1..=10_000 {
        world.now = after(i64::from(n) / 1_000);
        spoof(&mut world, &format!("stranger-{n}"), "rule", 0);
    }
    spoof(&mut world, &name(1), "rule", 0);
    world.run_long(after(120), 100_000);
    assert_eq!(world.desk.list(true, 20_000).len(), 1, "that of the one that does");
    assert_eq!(sent(&world, is_truck), 1, "which is not held back by them");
    world.sound();
}

#[test]
fn flood_of_one_device_is_one_case_one_truck_and_a_few_calls() {
    let mut world = fleet(3, |_| {});
    world.odds = Odds { call_unanswered: 100, ..Odds::friendly() };
    for n in 1..=10_000 {
        world.now = after(i64::from(n) / 100);
        // By two rules, and each time it is another episode.
        spoof(&mut world, &name(1), ["rule", "another"][n as usize % 2], n);
    }
    spoof(&mut world, &name(2), "rule", 0);
    world.run_long(after(1_700), 1_000_000);
    let devices: BTreeSet<String> = world.desk.list(true, 20_000).into_iter().map(|c| c.device).collect();
    assert_eq!(devices, [name(1), name(2)].into());
    assert_eq!(world.desk.list(true, 20_000).len(), 2, "one open case for a device and fault");
    assert_eq!(sent(&world, is_truck), 2, "one truck each");
    // contact_max of the shipped breakdown: 6 calls in 30 minutes for a case.
    let called = sent(&world, |o| matches!(&o.work, Work::Call(call) if call.to == "+43111"));
    assert!(called <= 12, "{called}");
    world.sound();
}

/// Again and again after each end: a device has one truck a day, whoever closes its cases.
#[test]
fn flood_after_each_end_sends_no_second_truck() {
    let mut world = fleet(1, |_| {});
    for n in 1..=20 {
        spoof(&mut world, &name(1), "rule", n);
        world.run_long(after(i64::from(n) * 1_800), 100_000);
        let open = world.desk.list(false, 10);
        for case in open {
            world.tell(Input::Close { case: case.id, actor: "kim".into(), reason: "nothing".into() });
        }
    }
    assert_eq!(sent(&world, is_truck), 1);
    world.sound();
}
