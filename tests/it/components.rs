//! One case of many parts: rules that watch each cell or code of a device, and one case by device and fault.

use forewarn::desk::{CaseView, Input};
use forewarn::domain::{Change, Detection, EpisodeId, Span};

use super::desk_world::{Odds, World, brake, config, start};

/// As many parts as a device can have cells, and more than one rule of.
const PARTS: u32 = 300;

fn tell(world: &mut World, part: u32, seq: u32, change: Change) {
    let at = world.now;
    let episode = EpisodeId::of(&[b"part", &part.to_le_bytes()]);
    let component = Some(format!("cell[{part}]").as_str().into());
    let detection = Detection { episode, component, ..brake(seq, change, at) };
    world.tell(Input::Detection(Box::new(detection)));
}

/// The state is built anew from what was written, as after a crash.
fn restart(world: &mut World) {
    let loaded = world.loaded();
    assert!(loaded.same_state(&world.desk), "rows and state tell different stories");
    world.desk = loaded;
    world.tell(Input::Started);
}

/// A case whose every part is broken.
fn all_broken() -> World {
    let mut world = World::new(config(|_| {}), Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
    for part in 0..PARTS {
        tell(&mut world, part, 1, Change::Raised);
    }
    assert_eq!(world.desk.list(true, 10).len(), 1, "one case");
    world
}

fn case(world: &World) -> CaseView {
    world.desk.show(&world.desk.list(true, 1)[0].id).unwrap()
}

fn backs_out(world: &mut World) -> bool {
    let until = world.now + Span::from_mins(2);
    world.run(until);
    world.desk.check_invariants().unwrap();
    case(world).timeline.iter().any(|line| line.text.starts_with("backing out: fault.cleared"))
}

#[test]
fn each_a_case_is_cleared_when_the_last_of_its_parts_is() {
    let mut world = all_broken();
    for part in (0..PARTS).filter(|p| *p != 170) {
        tell(&mut world, part, 2, Change::Cleared);
        // Told again by whoever replays its journal.
        tell(&mut world, part, 1, Change::Raised);
    }
    restart(&mut world);
    assert!(!backs_out(&mut world), "one part is still broken:\n{}", world.timeline());
    tell(&mut world, 170, 2, Change::Cleared);
    assert!(backs_out(&mut world), "{}", world.timeline());
}

#[test]
fn each_what_nobody_watches_any_more_is_not_taken_for_cleared() {
    let mut world = all_broken();
    tell(&mut world, 0, 2, Change::RuleRemoved);
    for part in 1..PARTS {
        tell(&mut world, part, 2, Change::Cleared);
    }
    restart(&mut world);
    assert!(!backs_out(&mut world), "{}", world.timeline());
}

#[test]
fn each_a_reopened_case_knows_the_parts_that_were_broken_all_the_time() {
    let mut world = all_broken();
    let id = case(&world).summary.id;
    world.tell(Input::Close { case: id, actor: "kim".into(), reason: "seen".into() });
    for part in 2..PARTS {
        tell(&mut world, part, 2, Change::Cleared);
    }
    let until = start() + Span::from_mins(5);
    world.run(until);
    tell(&mut world, 0, 2, Change::Moved);
    assert_eq!(case(&world).summary.id, id, "the same case, open again");
    tell(&mut world, 0, 3, Change::Cleared);
    restart(&mut world);
    assert!(!backs_out(&mut world), "part 1 is still broken:\n{}", world.timeline());
    tell(&mut world, 1, 2, Change::Cleared);
    assert!(backs_out(&mut world), "{}", world.timeline());
}
