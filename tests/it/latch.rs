//! What a rule has latched ends when a person closes its case, whatever happens in between.

use forewarn::desk::{Input, Step};
use forewarn::domain::{Change, DeviceId, RuleId, Span};

use super::desk_world::{DEVICE, Odds, World, brake, config, start};

fn released(step: &Step) -> &[(DeviceId, RuleId)] {
    &step.releases
}

#[test]
fn limits_flap_a_person_ends_what_is_latched_by_closing_the_case() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    let mut raised = brake(1, Change::Raised, start());
    raised.latched = true;
    world.tell(Input::Detection(Box::new(raised)));
    world.run(start() + Span::from_hours(3));
    let case = &world.desk.list(true, 1)[0];
    assert_eq!(case.closed_at, None, "all promises are kept, and still it stays open:\n{}", world.timeline());
    assert!(world.timeline().contains("the fault comes and goes"), "and somebody was told:\n{}", world.timeline());

    let told = world.desk.standing(&"rule".into(), &DEVICE.into(), Some(&brake(1, Change::Raised, start()).episode));
    let close = format!("forewarn case close {}", case.short);
    assert!(told.len() == 3 && told[1] == "Kim has taken it over." && told[2].contains(&close), "{told:?}");

    let close = Input::Close { case: case.id, actor: "kim".into(), reason: "sensor replaced".into() };
    let step = world.desk.handle(world.now, close);
    let expected = [(DeviceId::from(DEVICE), RuleId::from("rule"))];
    assert_eq!(released(&step), expected);
    world.desk.apply(&step.record.unwrap()).unwrap();
    // Nobody knows whether the journal has it: it is said again, until the engine says that the episode has ended.
    assert_eq!(released(&world.desk.handle(world.now, Input::Started)), expected);
    world.tell(Input::Detection(Box::new(brake(2, Change::Cleared, world.now))));
    assert!(released(&world.desk.handle(world.now, Input::Started)).is_empty());
}

#[test]
fn limits_flap_what_has_no_case_is_not_kept_latched() {
    let world = World::new(config(|_| {}), Odds::friendly(), 1);
    let mut raised = brake(1, Change::Raised, start());
    raised.latched = true;
    raised.device = "stranger".into();
    let step = world.desk.handle(world.now, Input::Detection(Box::new(raised)));
    assert_eq!(released(&step), [(DeviceId::from("stranger"), RuleId::from("rule"))], "nobody could ever end it");
}
