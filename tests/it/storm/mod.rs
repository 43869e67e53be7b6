//! Storms: one cause and many devices. A fleet of cars whose brakes fail together, and what is done about it, in virtual
//! time.

mod cause;
mod digest;
mod lifts;
mod tiers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{Act, CaseView, Config, Input, Reply};
use forewarn::domain::{
    At, CaseId, Change, Customer, Detection, DeviceId, DispatchWork, Endpoint, EndpointKind, EpisodeId, OrderKind,
    Span, Stop, Value, Work,
};
use forewarn::playbook::load;
use forewarn::source::Diagnostics;

use super::desk_look::said;
use super::desk_world::{Answer, DEVICE, Odds, World, brake, config, detection, start, surroundings};

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
    fleet_with(STORM, cars, cars_each, change)
}

/// The same with another playbook about storms.
fn fleet_with(storm: &str, cars: u32, cars_each: u32, change: impl FnOnce(&mut Config)) -> Arc<Config> {
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
        let file = diags.add_file("storm.toml", storm);
        let storm = load(&mut diags, &[file], &surroundings(c));
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

fn case_of(world: &World, n: u32) -> CaseView {
    world.case_of(&name(n))
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
