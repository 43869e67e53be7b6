//! Who is there: last wills, births, and how often a device usually speaks.

use super::world::{HEAD, START, World, model, rule};
use crate::domain::At;

const PRESENCE: &str = "[model.presence]\ntopic = \"f/+/status\"\n";

fn world(body: &str) -> World {
    World::new(&model(&format!("{HEAD}{PRESENCE}")), &rule(body))
}

/// A payload on the topic of device `d`'s last will.
fn status(w: &mut World, payload: &str, retained: bool) {
    let binding = w.program.models().bind("f/d/status").expect("topic");
    let at = At::from_secs(START + w.now);
    w.engine.message(&binding, payload.as_bytes(), at, retained, &mut w.out).expect("payload");
}

#[test]
fn online_is_what_the_last_will_says() {
    let mut w = world("when = \"!online\"\nclear = \"online\"");
    w.run_to(10);
    w.send("\"x\":1");
    w.run_to(15);
    status(&mut w, "offline\n", false);
    w.run_to(20);
    status(&mut w, "what is this", false);
    status(&mut w, "online", true);
    assert_eq!(w.told(), ["Raised major 15 from 15", "Cleared - 20"]);
}

#[test]
fn online_is_unknown_until_somebody_says() {
    let mut w = world("when = \"(online ?? false) || !(online ?? true)\"");
    w.run_to(1);
    w.send("\"x\":1");
    assert_eq!(w.told(), [""; 0]);
    let mut w = World::new(&model(HEAD), &rule("when = \"!online || x > 5\""));
    w.send("\"x\":6");
    assert_eq!(
        w.told(),
        ["Raised major 0 from 0"],
        "a model that tells nobody's presence can have the rule all the same"
    );
}

#[test]
fn a_status_before_the_first_sample_is_kept() {
    let mut w = world("when = \"!online\"");
    w.run_to(5);
    status(&mut w, "online", true);
    status(&mut w, "offline", true);
    assert_eq!(w.told(), [""; 0], "no sample, no time of the device");
    w.send_at(3, "\"x\":1");
    assert_eq!(w.told(), ["Raised major 3 from 3"], "and the sample that was on its way is not late");
}

#[test]
fn a_status_makes_no_sample_late() {
    let mut w = world("when = \"x > 5\"");
    w.run_to(10);
    w.send("\"x\":1");
    w.run_to(20);
    status(&mut w, "offline", false);
    w.send_at(18, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 18 from 18"]);
    assert_eq!(w.counted("forewarn_late_total"), 0);
}

#[test]
fn a_will_does_not_end_silence_and_a_birth_does() {
    let mut w = world("when = \"silent(30s)\"");
    w.run_to(1);
    w.send("\"x\":1");
    w.run_to(20);
    status(&mut w, "offline", false);
    w.run_to(31);
    assert_eq!(w.told(), ["Raised major 31 from 31"]);
    status(&mut w, "online", true);
    w.run_to(40);
    assert_eq!(w.told(), [""; 0], "retained: the broker's memory, not the device");
    status(&mut w, "online", false);
    assert_eq!(w.told(), ["Cleared - 40"]);
}

#[test]
fn presence_survives_a_restart_and_a_reload() {
    let rules = rule("when = \"!online && x > 5\"");
    let mut w = World::new(&model(&format!("{HEAD}{PRESENCE}")), &rules);
    w.run_to(1);
    w.send("\"x\":1");
    status(&mut w, "offline", false);
    w.restart();
    w.reload(&format!("{rules}{}", rule("when = \"y > 5\"").replace("\"r\"", "\"s\"")));
    w.run_to(2);
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Raised major 2 from 2"]);
}
