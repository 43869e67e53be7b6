//! The historical lane (T4): what comes late is worked in at its own time, and never calls anybody out of bed.

use super::world::{HEAD, START, World, model, rule};
use crate::domain::{At, Span};
use crate::model::{Message, Reading, ReadingValue, SignalIx};

fn world(body: &str) -> World {
    World::new(&model(HEAD), &rule(body))
}

/// Live at 0 and again at 2000, with nothing in between.
fn gap(body: &str) -> World {
    let mut w = world(body);
    w.run_to(1);
    w.send("\"x\":1,\"y\":1");
    w.run_to(2000);
    w.send("\"x\":1,\"y\":1");
    w.out.clear();
    w
}

fn late(w: &mut World, from: i64, to: i64, fields: &str) {
    (from..=to).step_by(10).for_each(|te| w.send_at(te, fields));
}

#[test]
fn t4_history_is_evaluated_on_a_copy_and_never_urgent() {
    let mut w = gap("when = \"x > 5\"\nhold = \"30s\"");
    w.run_to(2005);
    late(&mut w, 300, 350, "\"x\":6");
    let d = &w.out[0];
    assert!(d.historical);
    assert_eq!(d.late_by, Some(Span::from_secs(2005 - 330)));
    assert_eq!(w.told(), ["Raised major 330 from 300 historical"], "its hold is of its own time");
    w.run_to(2010);
    w.send("\"x\":6");
    assert_eq!(w.told(), [""; 0], "the live state knows nothing of it");
    late(&mut w, 360, 370, "\"x\":1");
    assert_eq!(w.told(), ["Cleared - 360 historical"]);
    w.run_to(2020);
    w.every(10, 2040, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 2040 from 2010"]);
}

#[test]
fn t4_the_copy_survives_a_restart() {
    let mut w = gap("when = \"x > 5\"\nhold = \"30s\"");
    late(&mut w, 300, 320, "\"x\":6");
    let shard = crate::domain::shard_of("d");
    let bytes = w.engine.snapshot(shard);
    w.engine.restore(shard, &bytes).unwrap();
    assert_eq!(w.engine.snapshot(shard), bytes);
    late(&mut w, 330, 330, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 330 from 300 historical"]);
}

#[test]
fn t4_history_that_has_caught_up_ends_what_it_began() {
    let mut w = gap("when = \"x > 5\"");
    late(&mut w, 1900, 1990, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 1900 from 1900 historical", "Cleared - 1990 historical"]);
    late(&mut w, 1800, 1800, "\"x\":6");
    assert_eq!(w.told(), [""; 0], "the copy is gone: late");
    assert_eq!(w.counted("forewarn_late_total"), 1);
}

#[test]
fn t4_a_copy_is_not_kept_for_ever() {
    let mut w = gap("when = \"x > 5\"");
    late(&mut w, 300, 300, "\"x\":6");
    w.out.clear();
    w.now = 2001;
    w.every(10, 5700, "\"x\":1");
    assert_eq!(w.told(), ["Cleared - 300 historical"], "an hour after the last of it");
    late(&mut w, 310, 320, "\"x\":6");
    assert_eq!(w.told(), [""; 0]);
}

#[test]
fn t4_an_episode_that_was_open_before_the_gap_is_told_of_once() {
    let mut w = world("when = \"x > 5\"\nclear = \"x < 2\"");
    w.run_to(1);
    w.send("\"x\":6");
    w.run_to(2000);
    w.send("\"x\":6");
    w.out.clear();
    late(&mut w, 300, 300, "\"x\":1");
    assert_eq!(w.told(), [""; 0], "the live episode goes on");
    late(&mut w, 400, 400, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 400 from 400 historical"], "one of its own");
}

#[test]
fn t4_what_the_present_confirms_is_told_again() {
    let mut w = world("when = \"x > 5\"\nclear = \"x < 2\"");
    w.now = 2000;
    late(&mut w, 0, 20, "\"x\":6");
    assert_eq!(
        w.told(),
        ["Raised major 0 from 0 historical"],
        "history before anything newer is worked in as it comes"
    );
    w.send("\"x\":6");
    assert_eq!((w.out[0].seq, w.out[0].late_by), (2, None));
    assert_eq!(w.told(), ["Moved major 2000"], "now it may act");
    w.now = 2010;
    w.send("\"x\":6");
    assert_eq!(w.told(), [""; 0], "once");
}

#[test]
fn t4_policies_record_act_ignore() {
    for (policy, told) in
        [("record", "Raised major 300 from 300 historical"), ("act", "Raised major 300 from 300"), ("ignore", "")]
    {
        let mut w = gap(&format!("when = \"x > 5\"\n[rule.data]\non_backfill = \"{policy}\""));
        late(&mut w, 300, 300, "\"x\":6");
        assert!(w.out.iter().all(|d| d.late_by == Some(Span::from_secs(1700))), "{policy}: late in any case");
        assert_eq!(w.told().join(" "), told);
    }
}

#[test]
fn t4_history_fills_the_windows_of_the_live_state() {
    let mut w = gap("when = \"x > 5\"\n[rule.let]\nmean = \"avg(y, 1h)\"\n[rule.case]\ntitle = \"{mean}\"");
    late(&mut w, 10, 1980, "\"y\":3");
    w.run_to(2010);
    w.send("\"x\":6,\"y\":1");
    assert_eq!(w.out[0].title, "2.97", "198 samples of 3 and three of 1");
}

#[test]
fn t4_silence_is_not_a_matter_of_history() {
    let mut w = gap("when = \"silent(30s) || x > 5\"");
    late(&mut w, 300, 500, "\"x\":6");
    assert_eq!(w.told(), [""; 0]);
}

#[test]
fn t4_a_message_that_says_so_is_history_whatever_its_age() {
    let mut w = world("when = \"x > 5\"");
    let binding = w.program.models().bind("f/d/t").unwrap();
    let reading = Reading { signal: SignalIx(0), component: 0, value: ReadingValue::Number(6.0) };
    let at = At::from_secs(START);
    let message = Message { event_at: Some(at), historical: true, readings: vec![reading], ..Message::default() };
    w.engine.apply(&binding, &message, 1, at, false, &mut w.out);
    assert_eq!(w.told(), ["Raised major 0 from 0 historical"]);
}
