//! A desk that is held, as after the restore of a backup: it takes everything in and sends nothing.

use forewarn::desk::Input;
use forewarn::domain::{Change, OrderKind, Severity, Span};

use super::desk_world::{Odds, World, brake, config, detection, start};

/// A backup is older than what was done after it: a second truck, ticket or call must not come of it.
#[test]
fn whatever_happens_to_a_held_desk_nothing_is_sent_and_afterwards_everything_is_once() {
    // Attempts are under way, and the state that is restored knows no more of them.
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    world.script = Some(Box::new(|_| Some(Vec::new())));
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    let before = world.orders.len();
    assert!(before >= 3, "a call, a ticket, a truck: {}", world.timeline());
    world.script = None;
    world.desk = world.loaded();
    world.desk.hold("restored from an export");

    // The start, a new fault, a person, time.
    world.tell(Input::Started);
    let weak = detection("battery_12v.weak", Severity::Major, 2, 1, Change::Raised, world.now);
    world.tell(Input::Detection(Box::new(weak)));
    let case = world.desk.list(false, 9).into_iter().find(|c| c.fault == "brake.circuit_loss").unwrap().id;
    world.tell(Input::Ack { case, actor: "kim".into() });
    world.run(start() + Span::from_mins(1));
    let questions = |w: &World| w.orders.iter().skip(before).filter(|(_, o)| o.kind == OrderKind::Send).count();
    assert_eq!(questions(&world), 0, "{:?}\n{}", &world.orders[before..], world.timeline());
    let waits: Vec<String> =
        world.desk.list(false, 9).iter().flat_map(|c| world.desk.show(&c.id).unwrap().waits).map(|w| w.why).collect();
    let says = "effects are held (restored from an export)";
    assert!(waits.iter().any(|why| why.contains(says)), "{waits:?}");

    // A person has agreed.
    world.desk = world.loaded();
    world.run(start() + Span::from_hours(3));
    assert!(world.orders.len() > before, "{}", world.timeline());
    for (what, times) in world.done().into_iter().filter(|(what, _)| matches!(*what, "ticket" | "dispatch")) {
        let cases = if what == "ticket" { 2 } else { 1 };
        assert!(times <= cases, "{what} {times} times: {}", world.timeline());
    }
}
