//! Time: skew, order, late samples, silence, outages of our own.

use super::world::{HEAD, World, model, rule};
use crate::domain::{At, Span};
use crate::engine::WrongClock;

fn world(body: &str) -> World {
    World::new(&model(HEAD), &rule(body))
}

#[test]
fn t1_times_that_say_nothing_are_the_time_of_arrival() {
    let mut w = world("when = \"x > 5\"");
    w.now = 100;
    w.send_as("none", None, "\"x\":6", false);
    w.send_as("zero", Some(-super::world::START), "\"x\":6", false);
    w.send_as("old", Some(-500_000_000), "\"x\":6", false);
    w.send_as("future", Some(100 + 121), "\"x\":6", false);
    w.send_as("ahead", Some(100 + 120), "\"x\":6", false);
    assert_eq!(
        w.told(),
        [
            "Raised major 100 from 100",
            "Raised major 100 from 100",
            "Raised major 100 from 100",
            "Raised major 100 from 100",
            "Raised major 220 from 220"
        ]
    );
    assert_eq!(w.counted("forewarn_clock_skew_total"), 1);
}

#[test]
fn t1_a_stable_offset_is_learned_and_taken_off() {
    let mut w = World::new(&model(&format!("{HEAD}skew = \"auto\"\n")), &rule("when = \"x > 5\""));
    for n in 0..32 {
        w.now = n * 10;
        w.send_at(w.now - 1800, "\"x\":1");
    }
    let clock = w.engine.explain("r", &"d".into(), None).unwrap().clock.unwrap();
    assert_eq!((clock.offset, clock.too_far), (Span::ZERO - Span::from_mins(30), 0), "explain says so");
    // From now on its clock is known to be half an hour slow, over restarts, and its present is not history.
    let shard = crate::domain::shard_of("d");
    let bytes = w.engine.snapshot(shard);
    w.engine.restore(shard, &bytes).unwrap();
    w.now = 320;
    w.send_at(320 - 1800, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 320 from 320"]);
    let mut w = world("when = \"x > 5\"");
    for n in 0..40 {
        w.now = n * 10;
        w.send_at(w.now - 1800, "\"x\":6");
    }
    assert_eq!(w.told(), ["Raised major -1800 from -1800 historical"], "only if the model asks for it");
}

#[test]
fn t1_clock_skew_is_counted_per_device() {
    let mut w = world("when = \"x > 5\"");
    for now in [100, 200, 300] {
        w.now = now;
        w.send_as("wrong", Some(now + 121), "\"x\":1", false);
        w.send_as("wrong", Some(now + 3_600), "\"x\":1", false);
        w.send_as("right", Some(now + 120), "\"x\":1", false);
    }
    let clock = |w: &mut World, id: &str| w.engine.explain("r", &id.into(), None).unwrap().clock;
    let expected = WrongClock {
        offset: Span::ZERO,
        too_far: 6,
        newest: Some((At::from_secs(super::world::START + 300), Span::from_hours(1))),
    };
    // Over a restart and other rules too.
    for _ in 0..2 {
        assert_eq!((clock(&mut w, "wrong"), clock(&mut w, "right")), (Some(expected), None));
        assert_eq!(clock(&mut w, "never"), None);
        w.restart();
        w.reload(&rule("when = \"x > 6\""));
    }
    assert_eq!(w.counted("forewarn_clock_skew_total"), 0, "what is counted for metrics is of this run alone");
}

#[test]
fn t1_t3_v4_what_was_put_right_is_counted() {
    let mut w = world("when = \"x > 5\"");
    w.now = 100;
    w.send_at(400, "\"x\":1,\"temp\":151");
    w.send_at(401, "\"x\":null,\"temp\":-40");
    w.send_at(50, "\"x\":1");
    let taken = w.engine.take_counts().into_iter();
    let counts: Vec<String> = taken
        .map(|((name, labels), n)| format!("{name}{:?} {n}", labels.into_iter().map(|l| l.1).collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        counts,
        [
            "forewarn_bad_value_total[\"m\", \"temp\", \"not_available\"] 1",
            "forewarn_bad_value_total[\"m\", \"temp\", \"out_of_range\"] 1",
            "forewarn_bad_value_total[\"m\", \"x\", \"null\"] 1",
            "forewarn_clock_skew_total[\"m\"] 2",
            "forewarn_late_total[\"m\"] 1",
        ]
    );
    assert!(w.engine.take_counts().is_empty(), "taken");
}

#[test]
fn t2_samples_wait_until_the_device_clock_passes_them() {
    let head = format!("{HEAD}lateness = \"30s\"\n");
    let mut w = World::new(&model(&head), &rule("when = \"x > 5\"\nconfirm = 2"));
    w.now = 100;
    // 80 arrives after 90 and lies between two true samples: in order there are never two of them in a row.
    for (te, x) in [(70, 6), (90, 6), (80, 1), (100, 1)] {
        w.send_at(te, &format!("\"x\":{x}"));
    }
    w.send_at(135, "\"x\":1");
    assert_eq!(w.told(), [""; 0]);
    // In the order of arrival this would be 6, 1, 6.
    for (te, x) in [(150, 6), (170, 1), (160, 6)] {
        w.now = te;
        w.send_at(te, &format!("\"x\":{x}"));
    }
    w.now = 210;
    w.send_at(210, "\"x\":1");
    assert_eq!(w.told(), ["Raised major 160 from 150", "Cleared - 170"]);
}

#[test]
fn t2_a_lone_device_is_looked_at_after_lateness_of_wall_time() {
    let head = format!("{HEAD}lateness = \"30s\"\n");
    let mut w = World::new(&model(&head), &rule("when = \"x > 5\""));
    w.run_to(10);
    w.send("\"x\":6");
    w.run_to(39);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(41);
    assert_eq!(w.told(), ["Raised major 10 from 10"]);
}

#[test]
fn t2_no_device_moves_the_clock_of_another() {
    let mut w = world("when = \"x > 5\"");
    w.now = 1000;
    w.send_as("a", Some(1100), "\"x\":1", false);
    w.send_as("b", Some(900), "\"x\":6", false);
    assert_eq!(w.told(), ["Raised major 900 from 900"]);
}

#[test]
fn t2_the_buffer_is_bounded() {
    let head = format!("{HEAD}lateness = \"10m\"\n");
    let mut w = World::new(&model(&head), &rule("when = \"x == 0\""));
    w.now = 100;
    for te in 0..65 {
        w.send_at(te, &format!("\"x\":{te}"));
    }
    assert_eq!(w.told(), ["Raised major 0 from 0"], "the oldest of 65 had to go");
}

#[test]
fn t3_late_samples_reach_open_windows_and_no_level() {
    let mut w = world("when = \"x > 5\"\n[rule.let]\nmean = \"avg(y, 100s)\"\n[rule.case]\ntitle = \"{mean}\"");
    for second in [0, 10, 20, 30, 50] {
        w.run_to(second);
        w.send("\"x\":1,\"y\":10");
    }
    w.send_at(40, "\"x\":6,\"y\":40");
    assert_eq!(w.told(), [""; 0], "late: no level moves");
    w.run_to(60);
    w.send("\"x\":6,\"y\":10");
    assert_eq!(w.out[0].title, "14.3", "(6 * 10 + 40) / 7");
    assert_eq!(w.counted("forewarn_late_total"), 1);
}

#[test]
fn t4_backfilled_samples_are_flagged() {
    for (policy, told) in
        [("record", "Raised major 0 from 0 historical"), ("act", "Raised major 0 from 0"), ("ignore", "")]
    {
        let mut w = world(&format!("when = \"x > 5\"\n[rule.data]\non_backfill = \"{policy}\""));
        w.now = 601;
        w.send_at(0, "\"x\":6");
        assert_eq!(w.told().join(" "), told);
    }
    let mut w = world("when = \"x > 5\"");
    w.now = 600;
    w.send_at(0, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 0 from 0"], "not older than backfill_after");
}

#[test]
fn t5_a_hold_ends_between_samples() {
    let mut w = world("when = \"x > 5\"\nhold = \"25s\"\nclear_hold = \"15s\"");
    w.every(10, 20, "\"x\":6");
    w.run_to(24);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(30);
    assert_eq!(w.told(), ["Raised major 25 from 0"]);
    w.every(10, 40, "\"x\":1");
    w.run_to(50);
    assert_eq!(w.told(), ["Cleared - 45"]);
}

#[test]
fn t5_marks_make_no_difference_to_what_the_next_sample_shows() {
    let mut told = Vec::new();
    for marks in [true, false] {
        let mut w = world("when = \"x > 5\"\nhold = \"25s\"");
        for (second, x) in [(0, 6), (10, 6), (20, 6), (30, 1)] {
            if marks {
                w.run_to(second);
            }
            w.now = second;
            w.send(&format!("\"x\":{x}"));
        }
        told.push(w.told());
    }
    assert_eq!(told[0], ["Raised major 25 from 0", "Cleared - 30"]);
    assert_eq!(told[0], told[1]);
}

#[test]
fn t5_our_own_outage_is_not_silence() {
    let mut w = world("when = \"silent(2m)\"");
    w.run_to(1);
    w.send("\"x\":1");
    w.run_to(61);
    // Ten minutes without marks: the daemon or the broker was away.
    w.outage_to(661);
    w.run_to(719);
    assert_eq!(w.told(), [""; 0], "60 s of silence before the outage, 58 s after it");
    w.run_to(722);
    assert_eq!(w.out.len(), 1, "120 s of silence that we could have heard, and the grace of 60 s is over");
    assert_eq!(w.told(), ["Raised major 121 from 121"]);
    w.send("\"x\":1");
    assert_eq!(w.told(), ["Cleared - 722"]);
}

#[test]
fn t5_a_backlog_is_not_silence() {
    let mut w = world("when = \"silent(30s)\"");
    w.run_to(1);
    w.send("\"x\":1");
    // The broker kept what came while we were away; all of it is taken in before the next mark.
    w.now = 600;
    for te in (11..600).step_by(10) {
        w.send_at(te, "\"x\":1");
    }
    w.outage_to(600);
    w.run_to(659);
    assert_eq!(w.told(), [""; 0], "neither the outage nor what came late is silence");
    w.run_to(660);
    assert_eq!(w.out.len(), 1, "the grace is over, and nothing has come since");
}

#[test]
fn t5_no_timer_fires_during_the_grace() {
    let mut w = world("when = \"silent(30s)\"");
    w.run_to(1);
    w.send("\"x\":1");
    w.run_to(30);
    w.outage_to(100);
    w.run_to(159);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(160);
    assert_eq!(w.told(), ["Raised major 31 from 31"]);
}

#[test]
fn t5_our_own_outage_expires_nothing() {
    let mut w = world(
        "when = \"!known(x) || age(x) > 5m || volt > 5[V]\"\nclear = \"x < 5\"\n[rule.data]\nstale_after = \"5m\"",
    );
    w.run_to(1);
    w.send("\"x\":6");
    w.run_to(10);
    w.now = 4000;
    w.send("\"x\":6");
    w.outage_to(4001);
    w.run_to(4030);
    assert_eq!(w.told(), [""; 0], "it may have spoken all the time");
    w.run_to(4062);
    assert_eq!(w.told(), ["Raised major 4030 from 4030"], "the grace is over, and x has really expired");
}

#[test]
fn t5_retained_messages_do_not_end_silence() {
    let mut w = world("when = \"silent(30s)\"");
    w.run_to(1);
    w.send("\"x\":1");
    w.run_to(20);
    w.send_as("d", Some(2), "\"x\":2", true);
    w.send_as("d", None, "\"x\":3", true);
    w.run_to(31);
    assert_eq!(w.told(), ["Raised major 31 from 31"]);
}

#[test]
fn t6_one_sample_never_satisfies_a_hold() {
    let mut w = world("when = \"x > 5\"\nhold = \"5s\"");
    w.run_to(1);
    w.send("\"x\":6");
    w.run_to(600);
    assert_eq!(w.told(), [""; 0]);
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Raised major 600 from 1"]);
}

#[test]
fn t6_uncovered_time_pauses_resets_or_counts() {
    for (policy, told) in [
        ("pause", "Raised major 120 from 0"),
        ("reset", "Raised major 160 from 100"),
        ("count", "Raised major 100 from 0"),
    ] {
        let mut w =
            world(&format!("when = \"x > 5\"\nhold = \"60s\"\n[rule.data]\nmax_gap = \"3x\"\non_gap = \"{policy}\""));
        w.every(10, 10, "\"x\":6");
        // 90 s without a sample, of which the last one covers 30.
        w.run_to(100);
        w.every(10, 200, "\"x\":6");
        // At 60 the value has expired, so `count` waits for the next sample as well.
        assert_eq!(w.told(), [told], "{policy}");
    }
}

#[test]
fn d1_redelivered_messages_are_dropped() {
    let mut w = world("when = \"x > 5\"\nconfirm = 2");
    w.send("\"x\":6");
    w.send("\"x\":6");
    assert_eq!(w.told(), [""; 0], "the same message again");
    w.send("\"x\":7");
    assert_eq!(w.told(), ["Raised major 0 from 0"], "another message of the same time");
}
