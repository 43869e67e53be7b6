//! Hundreds of seeded worlds: everything that can go wrong at providers, with people and with the process itself, and
//! what must hold all the same.

#![expect(clippy::unwrap_used, reason = "helpers of tests: an unexpected error is a failed test")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use forewarn::desk::{CaseView, Config, Input};
use forewarn::domain::{Change, Detection, Device, Severity, Span};

use super::desk_world::{DEVICE, Odds, World, brake, config, detection, facts, start};
use super::fleet_world::Fate;
use super::reference::Reference;

/// Fewer worlds than this say nothing about how often something happens.
pub(crate) const TELLING: usize = 60;

/// The seeds of the worlds to be looked at, from 0: `FOREWARN_SEEDS=10000` for more of them, `FOREWARN_SEEDS=126..127` for
/// these.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let Ok(asked) = std::env::var("FOREWARN_SEEDS") else { return 0..usual };
    let number = |n: &str| n.parse().unwrap_or_else(|_| panic!("FOREWARN_SEEDS={asked}"));
    asked.split_once("..").map_or_else(|| 0..number(&asked), |(first, end)| number(first)..number(end))
}

/// Looks at the world of every seed, on two threads; the results in the order of the seeds. One that fails does not keep
/// the others from being looked at: all that failed are named at the end.
pub(crate) fn each<T: Send>(worlds: Range<u64>, look: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(worlds.start);
    let some = || {
        let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed)).take_while(|n| worlds.contains(n));
        taken.map(|seed| (seed, catch_unwind(AssertUnwindSafe(|| look(seed))))).collect::<Vec<_>>()
    };
    let mut all = std::thread::scope(|s| {
        let others = s.spawn(some);
        let own = some();
        own.into_iter().chain(others.join().unwrap()).collect::<Vec<_>>()
    });
    all.sort_by_key(|(seed, _)| *seed);
    let failed: Vec<u64> = all.iter().filter(|(_, seen)| seen.is_err()).map(|(seed, _)| *seed).collect();
    assert!(failed.is_empty(), "of the worlds {worlds:?} these failed: {failed:?}");
    all.into_iter().filter_map(|(_, seen)| seen.ok()).collect()
}

/// What befalls the car, without an engine.
fn befall(world: &mut World) {
    let at = |after: Span| start() + after;
    let raise = brake(1, Change::Raised, start());
    // The engine may say things twice, and the second level may come first.
    let copies = if world.rng.percent(30) { 2 } else { 1 };
    for _ in 0..copies {
        world.later(Span::from_millis(1), Input::Detection(Box::new(raise.clone())));
    }
    if world.rng.percent(15) {
        let after = Span::from_secs(world.rng.between(5, 300));
        world.later(after, Input::Detection(Box::new(brake(2, Change::Cleared, at(after)))));
    }
    if world.rng.percent(40) {
        let after = Span::from_secs(world.rng.between(0, 3_000));
        let weak = detection("battery_12v.weak", Severity::Major, 2, 1, Change::Raised, at(after));
        world.later(after, Input::Detection(Box::new(weak)));
    }
    if world.rng.percent(30) {
        let after = Span::from_secs(world.rng.between(10, 10_000));
        let again = detection("brake.circuit_loss", Severity::Critical, 3, 1, Change::Raised, at(after));
        world.later(after, Input::Detection(Box::new(again)));
    }
    let stops = world.rng.between(30, 900);
    for i in 0..60 {
        let after = Span::from_secs(i * 30);
        let speed = if i * 30 > stops { 0.0 } else { 60.0 + f64::from(u32::try_from(i).unwrap()) };
        world.later(after, facts(speed, at(after)));
    }
}

fn live(seed: u64, odds: Odds) -> World {
    static FREE: OnceLock<Arc<Config>> = OnceLock::new();
    static LIMITED: OnceLock<Arc<Config>> = OnceLock::new();
    let limit = |c: &mut Config| {
        for provider in c.providers.values_mut() {
            provider.per_second = Some(1);
            provider.per_hour = Some(60);
        }
    };
    let config = if seed.is_multiple_of(3) {
        LIMITED.get_or_init(|| config(limit))
    } else {
        FREE.get_or_init(|| config(|_| {}))
    };
    let config = config.clone();
    let mut world = World::new(config.clone(), odds, seed);
    world.reference = Some(Reference::new(config));
    befall(&mut world);
    world.run(start() + Span::from_hours(4));
    world
}

/// A case is over, or a person has it, or people are still being asked.
pub(crate) fn is_cared_for(case: &CaseView) -> bool {
    case.summary.closed_at.is_some()
        || case.human_owner.is_some()
        || case.timeline.iter().any(|l| l.text.contains(" is paged: "))
}

fn check(seed: u64, odds: Odds) -> World {
    let world = live(seed, odds);
    assert!(world.reference.as_ref().unwrap().looks > 10, "seed {seed}: nobody compared");
    world.desk.check_invariants().unwrap();
    assert!(world.desk.same_state(&world.loaded()), "seed {seed}: the stored rows are not the state");
    let cases = world.desk.list(true, 100);
    assert!(!cases.is_empty(), "seed {seed}: the detection opened a case");
    for case in &cases {
        let view = world.desk.show(&case.id).unwrap();
        assert!(is_cared_for(&view), "seed {seed}: nobody cares for\n{}", world.timeline());
        let open = view.goals.iter().filter(|g| g.state == "open").count();
        assert!(view.summary.closed_at.is_none() || open == 0, "seed {seed}: a goal was lost");
    }
    world
}

#[test]
fn hostile_worlds_end_with_every_case_cared_for() {
    let figures = each(seeds(300), |seed| {
        let world = check(seed, Odds::hostile());
        let cases = world.desk.list(true, 100);
        let served = cases.iter().filter(|c| c.outcome.as_deref() == Some("served")).count();
        (usize::try_from(world.crashes).unwrap(), served, world.orders.len())
    });
    let (crashes, served, orders) = figures.iter().fold((0, 0, 0), |a, f| (a.0 + f.0, a.1 + f.1, a.2 + f.2));
    let worlds = figures.len();
    println!(
        "{worlds} worlds: {orders} orders, {crashes} crashes, {served} cases served without a person closing them"
    );
    // The worlds must be hostile and still not hopeless, or they show nothing.
    let fair = crashes > worlds && served > worlds / 12;
    assert!(fair || worlds < TELLING, "{crashes} crashes, {served} served");
}

#[test]
fn friendly_worlds_end_served() {
    for seed in 0..20 {
        let world = check(seed, Odds { slips: 50, crash: 3, ..Odds::friendly() });
        let unserved: Vec<_> = world
            .desk
            .list(true, 100)
            .into_iter()
            .filter(|c| !matches!(c.outcome.as_deref(), Some("served" | "false_alarm")))
            .collect();
        let paged = world.timeline().contains(" is paged: ");
        assert!(unserved.is_empty() || paged, "seed {seed}: {unserved:?}\n{}", world.timeline());
    }
}

#[test]
fn the_same_seed_gives_the_same_records() {
    for seed in [3, 17, 42] {
        let (a, b) = (live(seed, Odds::hostile()), live(seed, Odds::hostile()));
        assert!(!a.log.is_empty());
        assert!(a.log == b.log, "seed {seed}");
    }
}

const CARS: [(&str, Fate); 4] =
    [(DEVICE, Fate::Brake), ("car-2", Fate::Battery), ("car-3", Fate::Healthy), ("car-4", Fate::Brake)];

/// The whole way: telemetry over a bad network, the journal, the engine with the shipped models and rules, the desk, the
/// outbox, the providers, the people; and a process that dies.
fn driven(seed: u64, odds: Odds) -> World {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    let add_cars = |c: &mut Config| {
        let mut registry = (*c.registry).clone();
        let first = registry.devices[DEVICE].clone();
        for (id, _) in &CARS[1..] {
            registry.devices.insert((*id).into(), Device { id: (*id).into(), ..first.clone() });
        }
        c.registry = Arc::new(registry);
    };
    let config = CONFIG.get_or_init(|| config(add_cars)).clone();
    let mut world = World::new(config.clone(), odds, seed);
    world.reference = Some(Reference::new(config));
    world.drive(&CARS, Span::from_mins(20));
    world.run(start() + Span::from_hours(4));
    world
}

fn said(detections: &[Detection]) -> BTreeSet<Vec<u8>> {
    detections.iter().map(|d| serde_json::to_vec(d).unwrap()).collect()
}

#[test]
fn cars_break_down_and_every_death_of_the_process_goes_unnoticed() {
    let figures = each(seeds(300), |seed| {
        let world = driven(seed, Odds { crash: 3, ..Odds::hostile() });
        let cars = world.cars.as_ref().unwrap();
        assert_eq!(
            said(&cars.detections),
            said(&cars.undisturbed()),
            "seed {seed}: deaths changed what the engine says"
        );
        world.desk.check_invariants().unwrap();
        assert!(world.desk.same_state(&world.loaded()), "seed {seed}: the stored rows are not the state");
        let cases = world.desk.list(true, 100);
        let mut opened: Vec<(&str, &str)> = cases.iter().map(|c| (&*c.device, &*c.fault)).collect();
        opened.sort_unstable();
        let expected = [(DEVICE, "brake.circuit_loss"), ("car-2", "battery_12v.weak"), ("car-4", "brake.circuit_loss")];
        assert_eq!(opened, expected, "seed {seed}: one case for each car that has a fault");
        for case in &cases {
            let view = world.desk.show(&case.id).unwrap();
            assert!(is_cared_for(&view), "seed {seed}: nobody cares for\n{view:?}");
        }
        let (entries, replayed) = cars.entries();
        [usize::try_from(world.crashes).unwrap(), entries, replayed, world.orders.len()]
    });
    let sum = |i: usize| figures.iter().map(|f| f[i]).sum::<usize>();
    let (crashes, entries, replayed, orders) = (sum(0), sum(1), sum(2), sum(3));
    let worlds = figures.len();
    println!("{worlds} worlds: {entries} journal entries, {crashes} crashes, {replayed} replayed, {orders} orders");
    assert!(crashes > worlds || worlds < TELLING, "{crashes} crashes");
}

#[test]
fn the_same_seed_gives_the_same_detections_and_records() {
    for seed in [5, 23] {
        let odds = Odds { crash: 3, ..Odds::hostile() };
        let (a, b) = (driven(seed, odds.clone()), driven(seed, odds));
        let told = |w: &World| serde_json::to_vec(&w.cars.as_ref().unwrap().detections).unwrap();
        assert!(a.crashes > 0 && told(&a).len() > 100);
        assert_eq!(told(&a), told(&b), "seed {seed}: detections");
        assert!(a.log == b.log, "seed {seed}: records");
    }
}
