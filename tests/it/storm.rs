//! Storms: one cause and many devices. A fleet of cars whose brakes fail together, and what is done about it, in virtual
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{Act, CaseView, Config, Input, Reply};
use forewarn::domain::{
    At, CaseId, Change, Customer, Detection, DeviceId, DispatchWork, Endpoint, EndpointKind, EpisodeId, OrderKind,
    Span, Stop, Value, Work,
};
use forewarn::playbook::{Surroundings, load};
use forewarn::source::Diagnostics;

use super::desk_world::{DEVICE, Odds, World, brake, config, detection, start};

const STORM: &str = r#"
schema  = "playbook/1"
id      = "fleet-storm"
version = 1
[match]
storm = { same = ["fault.family"], min = 25, window = "10m", baseline_factor = 8 }
[case]
key   = "storm/{{ storm.family }}/{{ storm.started_day }}"
goals = ["cause_named", "tier1_informed", "all_informed", "engineering_acknowledged"]
parent = true
[policy]
purpose = "safety"
quiet_hours = "ignore"
[storm]
pause_children = ["reach", "dispatch", "ticket", "command"]
keep_children  = ["safety"]
explain_by     = ["firmware", "year", "part.supplier_lot", "region"]
our_fault_if   = ["rule.version changed < 24h", "broker.reconnect_wave"]
[[tier]]
id     = "1-moving-and-dangerous"
when   = "fault.safety && device.speed > 0"
order  = "risk desc"
via    = ["call", "sms"]
gate   = "none"
budget = { call = "8/s", sms = "20/s" }
[[tier]]
id     = "2-standing-and-dangerous"
when   = "fault.safety"
via    = ["sms"]
gate   = { canary = 20, stop_if = "false_alarm_rate > 0.2 || unknown_outcome_rate > 0.05", approve = "human:safety-desk", within = "10m", else = "proceed" }
budget = { sms = "20/s" }
[[tier]]
id     = "3-the-rest"
when   = "true"
via    = ["email"]
gate   = { approve = "human:safety-desk" }
digest = "one message per customer, listing that customer's devices"
script = "we-saw-it-coming"
spread = "6h"
[[step]]
id    = "one_problem"
do    = "ticket"
desk  = "helpdesk"
fields = { title = "{{ storm.count }} x {{ storm.family }} since {{ storm.started }}" }
[[step]]
id    = "engineers"
do    = "human"
queue = "service-desk"
goal  = "engineering_acknowledged"
[[step]]
id     = "stop_button"
do     = "hold"
switch = "storm/{{ case.id }}/halt"
"#;

/// The shipped playbooks and this one, cars `car-0001`… of owners `c-0001`…, `cars_each` cars each.
fn fleet(cars: u32, cars_each: u32, change: impl FnOnce(&mut Config)) -> Arc<Config> {
    config(|c| {
        let registry = Arc::make_mut(&mut c.registry);
        let (device, customer) = (registry.devices[DEVICE].clone(), registry.customers["c-1"].clone());
        registry.devices.clear();
        // The fleet is larger than what fails: every second car that does not has the old firmware.
        for n in 1..=3 * cars {
            let owner = (n - 1) / cars_each + 1;
            let owner_id = format!("c-{owner:04}");
            let mut device = device.clone();
            device.id = name(n).as_str().into();
            let firmware = if n <= cars || n.is_multiple_of(8) { "4.2.1" } else { "4.1.0" };
            device.attrs.insert("plate".into(), format!("B-{n:04}").into());
            device.attrs.insert("firmware".into(), firmware.into());
            device.attrs.insert("year".into(), format!("{}", 2018 + n % 7).into());
            device.parties =
                [("driver".into(), owner_id.as_str().into()), ("owner".into(), owner_id.as_str().into())].into();
            registry.devices.insert(device.id.clone(), device);
            let endpoints = vec![
                endpoint(&format!("{owner_id}-p"), EndpointKind::Phone, &format!("+49{owner:09}")),
                endpoint(&format!("{owner_id}-m"), EndpointKind::Email, &format!("o{owner}@example.com")),
            ];
            let customer = Customer { id: owner_id.as_str().into(), endpoints, ..customer.clone() };
            registry.customers.insert(customer.id.clone(), customer);
        }
        let mut diags = Diagnostics::default();
        let file = diags.add_file("storm.toml", STORM);
        let surroundings = Surroundings {
            queues: c.queues.keys().cloned().collect(),
            providers: c.providers.iter().map(|(n, p)| (n.clone(), p.kind)).collect(),
            messages: c.messages.clone(),
            fleet: None,
        };
        let storm = load(&mut diags, &[file], &surroundings);
        assert!(diags.list().is_empty(), "{}", diags.render(false));
        c.playbooks.retain(|p| p.matches.storm.is_none());
        c.playbooks.extend(storm);
        change(c);
    })
}

fn endpoint(id: &str, kind: EndpointKind, address: &str) -> Endpoint {
    Endpoint { id: id.into(), kind, address: address.into(), opted_out: false }
}

fn name(n: u32) -> String {
    format!("car-{n:04}")
}

/// A brake fails; `speed` says in which tier that is.
fn fails(n: u32, speed: f64, at: At) -> Input {
    let episode = EpisodeId::of(&[name(n).as_bytes()]);
    let mut detection = Detection { episode, device: name(n).as_str().into(), ..brake(1, Change::Raised, at) };
    detection.facts.insert("speed".to_owned(), Value::from(speed));
    Input::Detection(Box::new(detection))
}

fn world(cars: u32, config: Arc<Config>, odds: Odds) -> World {
    let mut world = World::new(config, odds, 7);
    world.check_every = u64::from(cars).max(20);
    world
}

fn after(seconds: i64) -> At {
    start() + Span::from_secs(seconds)
}

fn cases(world: &World) -> Vec<CaseView> {
    world.desk.list(true, 10_000).iter().map(|c| world.desk.show(&c.id).unwrap()).collect()
}

fn case_of(world: &World, n: u32) -> CaseView {
    let device = name(n);
    let found = world.desk.list(true, 10_000).into_iter().find(|c| c.device == device).unwrap();
    world.desk.show(&found.id).unwrap()
}

fn storms(world: &World) -> Vec<CaseView> {
    let of_fleet = world.desk.list(true, 10_000).into_iter().filter(|c| c.device == "fleet");
    of_fleet.map(|c| world.desk.show(&c.id).unwrap()).collect()
}

fn the_storm(world: &World) -> CaseView {
    let mut storms = storms(world);
    assert_eq!(storms.len(), 1, "{storms:#?}");
    storms.remove(0)
}

fn said(view: &CaseView, text: &str) -> bool {
    view.timeline.iter().any(|line| line.text.contains(text))
}

fn restart(world: &mut World) {
    let loaded = world.loaded();
    assert!(loaded.same_state(&world.desk), "rows and state tell different stories");
    world.desk = loaded;
    world.tell(Input::Started);
}

fn act(world: &mut World, case: CaseId, act: Act) -> Reply {
    world.tell(Input::Act { case: Some(case), actor: "kim".into(), act }).unwrap()
}

/// When what was sent to customers' devices, by kind of work.
fn sent<'a>(world: &'a World, fits: fn(&Work) -> bool) -> impl Iterator<Item = (At, CaseId)> + 'a {
    let of_fleet: BTreeSet<CaseId> = storms(world).iter().map(|s| s.summary.id).collect();
    let orders = world.orders.iter().filter(move |(_, o)| o.kind == OrderKind::Send && fits(&o.work));
    orders.filter(move |(_, o)| !of_fleet.contains(&o.case)).map(|(at, o)| (*at, o.case))
}

fn is_call(work: &Work) -> bool {
    matches!(work, Work::Call(_))
}

fn is_sms(work: &Work) -> bool {
    matches!(work, Work::Sms(_))
}

/// The most within any stretch of a second.
fn most_a_second(times: impl Iterator<Item = At>) -> usize {
    let times: Vec<At> = times.collect();
    let (mut most, mut from) = (0, 0);
    for (ix, at) in times.iter().enumerate() {
        while at.since(times[from]) >= Span::from_secs(1) {
            from += 1;
        }
        most = most.max(ix + 1 - from);
    }
    most
}

/// Of the first cars, `moving` move, the faster ones later; all fail within ten seconds.
fn surge(cars: u32, moving: u32, config: Arc<Config>, odds: Odds) -> World {
    let mut world = world(cars, config, odds);
    for n in 1..=cars {
        let at = start() + Span::from_micros(10_000_000 * i64::from(n) / i64::from(cars));
        let speed = if n <= moving { f64::from(20 + n % 120) } else { 0.0 };
        world.later(at.since(start()), fails(n, speed, at));
    }
    world.run_long(after(10), 100_000);
    world
}

#[test]
fn storm_is_one_case_and_its_children_wait_in_their_tiers() {
    let mut world = surge(60, 30, fleet(60, 1, |_| {}), Odds::friendly());
    let storm = the_storm(&world);
    assert_eq!(storm.key, "storm/brake/2026-11-20");
    assert!(said(&storm, "25 new cases of brake within 10m"), "{storm:#?}");
    assert!(case_of(&world, 60).waits_for.unwrap().contains("tier 2-standing-and-dangerous"));
    restart(&mut world);
    world.run_long(after(120), 100_000);
    let storm = the_storm(&world);
    let goal = |name: &str| storm.goals.iter().find(|g| g.name == name).unwrap().state.clone();
    assert_eq!(goal("tier1_informed"), "met", "{storm:#?}");
    assert_eq!(goal("cause_named"), "met");
    assert!(said(&storm, "firmware = 4.2.1"), "{storm:#?}");
    let tickets = world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Ticket(_)) && o.case == storm.summary.id);
    assert!(tickets.count() >= 1, "one problem");
    for n in 31..=60 {
        assert!(sent(&world, |_| true).all(|(_, case)| case != case_of(&world, n).summary.id) || n <= 50);
    }
    world.desk.check_invariants().unwrap();
}

#[test]
fn storm_needs_more_than_usual_and_more_than_a_few() {
    let mut world = world(60, fleet(60, 1, |_| {}), Odds::friendly());
    for n in 1..=24 {
        let at = world.now;
        world.tell(fails(n, 0.0, at));
    }
    assert_eq!(storms(&world).len(), 0);
    world.run_long(after(601), 100_000);
    let at = world.now;
    world.tell(fails(25, 0.0, at));
    assert_eq!(storms(&world).len(), 0, "ten minutes later");
    let weak = detection("battery_12v.weak", forewarn::domain::Severity::Major, 1, 1, Change::Raised, at);
    for n in 26..=49 {
        let episode = EpisodeId::of(&[name(n).as_bytes()]);
        let device: DeviceId = name(n).as_str().into();
        world.tell(Input::Detection(Box::new(Detection { episode, device, ..weak.clone() })));
    }
    assert_eq!(storms(&world).len(), 0, "another family");
}

#[test]
fn storm_tells_those_in_most_danger_first_within_its_budgets() {
    let mut world = surge(200, 100, fleet(200, 1, |_| {}), Odds { call_unanswered: 40, ..Odds::friendly() });
    world.run_long(after(300), 400_000);
    let calls: Vec<(At, CaseId)> = sent(&world, is_call).collect();
    // Those that acted before it was noticed had no budget of a storm.
    let noticed = the_storm(&world).summary.opened_at;
    assert!(most_a_second(calls.iter().map(|c| c.0).filter(|at| *at > noticed)) <= 8);
    let moving: BTreeSet<CaseId> = (1..=100).map(|n| case_of(&world, n).summary.id).collect();
    for tier in [true, false] {
        let of_tier = sent(&world, is_sms).filter(|(at, case)| *at > noticed && moving.contains(case) == tier);
        assert!(most_a_second(of_tier.map(|s| s.0)) <= 20);
    }
    // First calls of those that had joined before the first was made: by speed, downwards.
    let speed = |case: CaseId| {
        let device = world.desk.show(&case).unwrap().summary.device;
        20 + device.strip_prefix("car-").unwrap().parse::<u32>().unwrap() % 120
    };
    let mut seen = BTreeSet::new();
    let firsts: Vec<u32> =
        calls.iter().filter(|(at, case)| *at > after(11) && seen.insert(*case)).map(|(_, case)| speed(*case)).collect();
    assert!(firsts.len() > 20, "{firsts:?}");
    let again: BTreeSet<CaseId> = calls.iter().filter(|(at, _)| *at <= after(11)).map(|c| c.1).collect();
    let firsts: Vec<u32> = calls
        .iter()
        .filter(|(at, case)| *at > after(11) && !again.contains(case))
        .scan(BTreeSet::new(), |seen, (_, case)| Some(seen.insert(*case).then(|| speed(*case))))
        .flatten()
        .collect();
    assert!(firsts.is_sorted_by(|a, b| a >= b), "{firsts:?}");
}

#[test]
fn storm_canary_then_a_person_or_ten_minutes() {
    let mut world = surge(100, 0, fleet(100, 1, |_| {}), Odds::friendly());
    world.run_long(after(60), 100_000);
    let storm = the_storm(&world).summary.id;
    let told = |w: &World| sent(w, |w| is_sms(w) || is_call(w)).map(|s| s.1).collect::<BTreeSet<_>>().len();
    let early = 24;
    assert!(told(&world) <= early + 20, "{}", told(&world));
    assert!(told(&world) >= 20);
    assert!(said(&the_storm(&world), "is paged"));
    restart(&mut world);
    assert!(matches!(act(&mut world, storm, Act::Approve { tier: Some("4".into()) }), Reply::Refused(_)));
    assert_eq!(act(&mut world, storm, Act::Approve { tier: Some("2-standing-and-dangerous".into()) }), Reply::Done);
    world.run_long(after(120), 100_000);
    assert_eq!(told(&world), 100);

    let mut world = surge(100, 0, fleet(100, 1, |_| {}), Odds::friendly());
    world.run_long(after(590), 100_000);
    assert!(told(&world) <= early + 20);
    world.run_long(after(640), 100_000);
    assert_eq!(told(&world), 100, "nobody answered: it goes on");
}

#[test]
fn storm_is_stopped_by_its_canary() {
    // Of most messages nobody knows whether they arrived.
    let odds = Odds { unknown: 100, ..Odds::friendly() };
    let mut world = surge(100, 0, fleet(100, 1, |_| {}), odds);
    world.run_long(after(1_300), 200_000);
    let storm = the_storm(&world);
    assert!(said(&storm, "tier 2-standing-and-dangerous is stopped"), "{storm:#?}");
    let told: BTreeSet<CaseId> = sent(&world, is_sms).map(|s| s.1).collect();
    assert!(told.len() <= 24 + 20, "{}", told.len());
}

#[test]
fn storm_halt_stops_every_tier_but_the_first() {
    let mut world = surge(120, 60, fleet(120, 1, |_| {}), Odds::friendly());
    let storm = the_storm(&world).summary;
    let topic = format!("storm/{}/halt", storm.short);
    let message =
        |world: &World, stop, retained| Input::Switch { topic: topic.clone(), stop, received_at: world.now, retained };
    let halt = message(&world, Stop::On, true);
    assert_eq!(world.tell(halt), Some(Reply::Done));
    act(&mut world, storm.id, Act::Approve { tier: None });
    restart(&mut world);
    world.run_long(after(60), 100_000);
    let late: BTreeSet<CaseId> = sent(&world, |_| true).filter(|(at, _)| *at > after(12)).map(|s| s.1).collect();
    let moving: BTreeSet<CaseId> = (1..=60).map(|n| case_of(&world, n).summary.id).collect();
    assert!(!late.is_empty() && late.is_subset(&moving), "only those who move are told");
    act(&mut world, storm.id, Act::Stop { stop: Stop::Off, reason: String::new() });
    let again = message(&world, Stop::On, true);
    world.tell(again);
    world.run_long(after(120), 100_000);
    let told: BTreeSet<CaseId> = sent(&world, |w| is_sms(w) || is_call(w)).map(|s| s.1).collect();
    assert_eq!(told.len(), 120, "the retained message says nothing new");
}

#[test]
fn storm_is_released_by_a_person_and_every_plan_goes_on() {
    let mut world = surge(60, 30, fleet(60, 1, |_| {}), Odds::friendly());
    world.run_long(after(120), 100_000);
    let trucks = |world: &World| {
        let mut trucks: BTreeMap<CaseId, u32> = BTreeMap::new();
        for (_, case) in sent(world, |w| matches!(w, Work::Dispatch(DispatchWork::Request(_)))) {
            *trucks.entry(case).or_default() += 1;
        }
        trucks
    };
    assert_eq!(trucks(&world).len(), 24, "those that acted before it was noticed");
    let storm = the_storm(&world).summary.id;
    let ordinary = case_of(&world, 1).summary.id;
    assert!(matches!(act(&mut world, ordinary, Act::Release), Reply::Refused(_)));
    assert_eq!(act(&mut world, storm, Act::Release), Reply::Done);
    restart(&mut world);
    world.run_long(after(8 * 3600), 400_000);
    let all = trucks(&world);
    assert_eq!(all.len(), 60);
    assert!(all.values().all(|n| *n == 1), "nothing twice: {all:?}");
    for case in cases(&world) {
        let expected = if case.summary.device == "fleet" { "released" } else { "served" };
        assert_eq!(case.summary.outcome.as_deref(), Some(expected), "{case:#?}");
    }
    world.desk.check_invariants().unwrap();
}

#[test]
fn storm_of_a_new_version_of_a_rule_may_be_our_own_doing() {
    let mut world = world(100, fleet(100, 1, |_| {}), Odds::friendly());
    let before = Detection { rule_rev: 0, device: name(300).as_str().into(), ..brake(1, Change::Raised, start()) };
    world.tell(Input::Detection(Box::new(before)));
    world.run_long(after(3_600), 100_000);
    for n in 1..=100 {
        let at = world.now;
        world.tell(fails(n, if n <= 50 { 50.0 } else { 0.0 }, at));
    }
    world.run_long(after(3_600 + 1_200), 200_000);
    let storm = storms(&world).remove(0);
    assert!(said(&storm, "it may be our own doing (rule rule was changed"), "{storm:#?}");
    let told: BTreeSet<CaseId> = sent(&world, is_sms).map(|s| s.1).collect();
    assert!(told.len() < 50 + 24 + 25, "ten minutes do not do: {}", told.len());
    assert!((26..=50).all(|n| told.contains(&case_of(&world, n).summary.id)), "who is in danger is told");
}

#[test]
fn storm_clears_and_is_over_by_itself() {
    let mut world = surge(40, 0, fleet(40, 1, |_| {}), Odds { call_unanswered: 100, ..Odds::friendly() });
    for n in 1..=40 {
        let episode = EpisodeId::of(&[name(n).as_bytes()]);
        let cleared = Detection { episode, device: name(n).as_str().into(), ..brake(2, Change::Cleared, world.now) };
        world.tell(Input::Detection(Box::new(cleared)));
    }
    world.run_long(after(3 * 3600), 400_000);
    let storm = the_storm(&world);
    assert_eq!(storm.summary.outcome.as_deref(), Some("over"), "{storm:#?}");
    assert!(cases(&world).iter().all(|c| c.summary.outcome.is_some()));
    world.desk.check_invariants().unwrap();
}

/// The whole of it: 5,000 cars fail within ten seconds, 600 of them move and are dangerous.
#[test]
fn storm_of_five_thousand() {
    const CARS: u32 = 5_000;
    const MOVING: u32 = 600;
    // 1.8 calls for each that is reached.
    let odds = Odds { call_unanswered: 44, slips: 0, ..Odds::friendly() };
    let mut world = world(50 * CARS, fleet(CARS, 4, |_| {}), odds);
    for n in 1..=CARS {
        // Those who move are anywhere among the others.
        let place = (i64::from(n) * 2_897) % i64::from(CARS);
        let after = Span::from_micros(10_000_000 * place / i64::from(CARS));
        let speed = if n <= MOVING { f64::from(20 + n % 120) } else { 0.0 };
        world.later(after, fails(n, speed, start() + after));
    }
    world.run_long(after(11), 100_000);
    let storm = the_storm(&world).summary.id;
    let at_first = world.stored_bytes();
    let noticed = world.desk.show(&storm).unwrap().summary.opened_at;
    world.run_long(after(400), 1_000_000);
    let moving: BTreeSet<CaseId> =
        world.desk.list(true, 10_000).iter().filter(|c| number(&c.device) <= MOVING).map(|c| c.id).collect();
    assert_eq!(moving.len(), usize::try_from(MOVING).unwrap());

    let calls: Vec<At> =
        sent(&world, is_call).filter(|(at, c)| *at > noticed && moving.contains(c)).map(|c| c.0).collect();
    assert!(most_a_second(calls.iter().copied()) <= 8, "the budget holds");
    let by_id = |c: &CaseId| world.desk.show(c).unwrap();
    let theory = Span::from_micros(1_000_000 * i64::try_from(calls.len()).unwrap() / 8);
    let view = by_id(&storm);
    let goal = view.timeline.iter().find(|l| l.text.starts_with("goal tier1_informed is met")).unwrap();
    let took = goal.at.since(noticed);
    println!("tier 1: {} calls for {MOVING} cars, {took} of a theoretical {theory}", calls.len());
    assert!(took <= Span::from_micros(theory.as_micros() * 3 / 2), "{took} of {theory}");
    // As many again as the odds say, and everybody was tried.
    assert!((900..=1_300).contains(&calls.len()), "{}", calls.len());

    let each = world.stored_bytes() / usize::try_from(CARS).unwrap();
    println!(
        "stored: {} bytes a case when all had joined, {each} in the end",
        at_first / usize::try_from(CARS).unwrap()
    );
    assert!(each < 12_000, "memory stays flat: {each} bytes a case");
    world.desk.check_invariants().unwrap();
}

fn number(device: &str) -> u32 {
    device.strip_prefix("car-").and_then(|n| n.parse().ok()).unwrap_or(u32::MAX)
}

#[test]
fn storm_as_shipped_asks_first_and_promises_no_truck_that_there_is_not() {
    // The shipped playbook, and a dispatcher without a truck.
    let shipped = |trucks| {
        fleet(60, 2, |c| {
            c.playbooks.retain(|p| p.matches.storm.is_none());
            let mut diags = Diagnostics::default();
            let text = std::fs::read_to_string("config/playbooks/fleet-defect-storm.toml").unwrap();
            let file = diags.add_file("fleet-defect-storm.toml", text);
            let surroundings = Surroundings {
                queues: c.queues.keys().cloned().collect(),
                providers: c.providers.iter().map(|(n, p)| (n.clone(), p.kind)).collect(),
                messages: c.messages.clone(),
                fleet: None,
            };
            let storm = load(&mut diags, &[file], &surroundings);
            assert!(diags.list().is_empty(), "{}", diags.render(false));
            c.playbooks.extend(storm);
            c.providers.get_mut("tow").unwrap().capacity = Some(trucks);
        })
    };
    let mut world = surge(60, 50, shipped(0), Odds::friendly());
    world.run_long(after(300), 200_000);
    let storm = the_storm(&world);
    assert!(said(&storm, "0 trucks can be sent"), "{storm:#?}");
    let spoken: Vec<&String> = world.speeches.iter().filter(|(at, _)| *at > after(12)).map(|(_, text)| text).collect();
    assert!(spoken.iter().any(|text| text.contains("dauert länger als sonst")), "{spoken:#?}");
    assert!(sent(&world, |w| matches!(w, Work::Dispatch(DispatchWork::Request(_)))).count() <= 24);
    let note = |text: &str| {
        let notes = world.orders.iter().filter(|(_, o)| o.case == storm.summary.id);
        notes.filter(|(_, o)| matches!(&o.work, Work::Ticket(t) if format!("{t:?}").contains(text))).count()
    };
    assert!(note("the customer has answered") > 0, "the problem links them");

    let mut world = surge(60, 50, shipped(34), Odds::friendly());
    world.run_long(after(300), 200_000);
    let trucks = sent(&world, |w| matches!(w, Work::Dispatch(DispatchWork::Request(_)))).count();
    assert!(trucks > 24 && trucks <= 34, "so many are under way, so many more can be sent: {trucks}");
}

/// Lifts `car-0001`… behind the gateway `gw-1`, three of which fall silent.
#[test]
fn silent_lifts_behind_one_gateway_are_one_case() {
    let config = fleet(8, 1, |c| {
        let registry = Arc::make_mut(&mut c.registry);
        for (n, device) in (1..).zip(registry.devices.values_mut()) {
            device.kind = "elevator".into();
            device.attrs.insert("gateway".into(), if n <= 5 { "gw-1" } else { "gw-2" }.into());
            let owner = device.parties["owner"].clone();
            device.parties.insert("building_security".into(), owner);
        }
    });
    let mut world = world(8, config, Odds::friendly());
    world.script = Some(Box::new(|order| {
        // Nobody answers the ping.
        matches!(order.work, Work::Command(_)).then(|| vec![(1, super::desk_world::Answer::accepted(""))])
    }));
    let silent = |n: u32, at: At, between: bool| {
        let of = detection("device.silent", forewarn::domain::Severity::Major, 1, 1, Change::Raised, at);
        let episode = EpisodeId::of(&[name(n).as_bytes(), b"silent"]);
        let facts = [("load", Value::from(70.0)), ("between_floors", Value::Bool(between))];
        let facts = facts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Input::Detection(Box::new(Detection { episode, device: name(n).as_str().into(), facts, ..of }))
    };
    for (n, second) in [(6, 0), (1, 0), (2, 20), (3, 40), (4, 200)] {
        world.later(Span::from_secs(second), silent(n, after(second), n == 3));
    }
    world.run_long(after(600), 100_000);
    let gateway = world.desk.list(true, 100).into_iter().find(|c| c.device == "gw-1").unwrap();
    for n in 1..=4 {
        let case = case_of(&world, n);
        assert!(said(&case, &format!("is part of case {} now", gateway.short)), "{n}: {case:#?}");
        let called = case.effects.iter().filter(|e| e.kind == "call").count();
        assert_eq!(called > 0, n == 3, "{n}: only where people may be trapped: {case:#?}");
    }
    let tickets: BTreeSet<CaseId> =
        world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Ticket(_))).map(|(_, o)| o.case).collect();
    let alone = case_of(&world, 6).summary.id;
    let others: Vec<CaseView> = tickets.iter().filter_map(|id| world.desk.show(id)).collect();
    assert!(
        tickets.is_subset(&[gateway.id, alone].into()),
        "one ticket for the gateway, one for the lift of another: {others:#?}"
    );
    restart(&mut world);

    assert!(world.desk.list(false, 100).iter().any(|c| c.id == gateway.id), "open until its lifts speak again");
    // Out again, by a person; in again, by a person.
    let first = case_of(&world, 1).summary.id;
    assert_eq!(act(&mut world, first, Act::Split), Reply::Done);
    assert!(matches!(act(&mut world, first, Act::Split), Reply::Refused(_)));
    assert_eq!(case_of(&world, 1).waits_for, None);
    assert_eq!(act(&mut world, first, Act::Merge { into: alone }), Reply::Done);
    assert!(matches!(act(&mut world, alone, Act::Merge { into: first }), Reply::Refused(_)), "no circles");
    assert_eq!(act(&mut world, first, Act::Merge { into: CaseId::of(&[b"none"]) }), Reply::NotFound);

    // The lift speaks again.
    let episode = EpisodeId::of(&[name(6).as_bytes(), b"silent"]);
    let back = detection("device.silent", forewarn::domain::Severity::Major, 1, 2, Change::Cleared, world.now);
    world.tell(Input::Detection(Box::new(Detection { episode, device: name(6).as_str().into(), ..back })));
    world.run_long(after(700), 100_000);
    assert_eq!(case_of(&world, 6).summary.outcome.as_deref(), Some("device_back"));
    for n in 2..=4 {
        let episode = EpisodeId::of(&[name(n).as_bytes(), b"silent"]);
        let back = detection("device.silent", forewarn::domain::Severity::Major, 1, 2, Change::Cleared, world.now);
        world.tell(Input::Detection(Box::new(Detection { episode, device: name(n).as_str().into(), ..back })));
    }
    world.run_long(after(800), 100_000);
    let over = world.desk.show(&gateway.id).unwrap().summary;
    assert_eq!(over.outcome.as_deref(), Some("device_back"), "with the last of its lifts");
    world.desk.check_invariants().unwrap();
}
