//! Schedules, gates and limits: when a rule may not raise, and when an episode may not end.

use super::world::{HEAD, START, World, device, model, registry, rule};
use crate::domain::{At, DeviceId, RuleId};

fn world(body: &str) -> World {
    World::new(&model(HEAD), &rule(body))
}

/// In Berlin it is one hour later than in START's zone.
fn berlin(body: &str) -> World {
    let mut here = device("d", &[("parked", "no")], &[]);
    here.tz = "Europe/Berlin".into();
    World::with_registry(&model(HEAD), &rule(body), registry(vec![here]))
}

fn send(w: &mut World, list: &[(i64, &str)]) {
    for (second, fields) in list {
        w.run_to(*second);
        w.send(fields);
    }
}

const DAY: i64 = 86_400;

#[test]
fn active_hours_are_those_of_the_device() {
    // 2026-01-01 is a Thursday. 08:00 in Berlin is 07:00 UTC.
    let hours = "[rule.active]\nhours = \"08:00-09:00\"";
    for (tz, told) in [("tz = \"device\"", "Raised major 25200 from 25200"), ("tz = \"UTC\"", "")] {
        let mut w = berlin(&format!("when = \"x > 5\"\n{hours}\n{tz}"));
        w.now = 7 * 3600 - 10;
        w.send("\"x\":6");
        w.now = 7 * 3600;
        w.send("\"x\":6");
        assert_eq!(w.told().join(", "), told, "{tz}");
    }
}

#[test]
fn active_outside_nothing_is_raised_and_what_is_open_still_clears() {
    let mut w = world("when = \"x > 5\"\nclear = \"x < 2\"\n[rule.active]\ndays = \"thu\"\nhours = \"00:00-01:00\"");
    w.now = 3590;
    w.send("\"x\":6");
    w.now = 3600;
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Raised major 3590 from 3590"]);
    w.now = 3700;
    w.send("\"x\":1");
    w.now = 3710;
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Cleared - 3700"], "and not raised again");
    w.now = DAY + 10;
    w.send("\"x\":6");
    assert_eq!(w.told(), [""; 0], "Friday");
    w.now = 7 * DAY;
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Raised major 604800 from 604800"]);
}

#[test]
fn active_a_wait_begins_anew_with_the_next_window() {
    let mut w = world("when = \"x > 5\"\nhold = \"30s\"\n[rule.active]\nhours = \"00:00-00:01\"");
    w.now = 40;
    w.every(10, 50, "\"x\":6");
    // No sample outside of the window, and still nothing of yesterday counts.
    w.now = DAY;
    w.every(10, DAY + 40, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 86430 from 86400"]);
}

#[test]
fn active_silence_is_looked_at_when_the_window_opens() {
    let mut w = world("when = \"silent(10s)\"\n[rule.active]\nhours = \"00:01-00:02\"");
    w.run_to(1);
    w.send("\"x\":1");
    w.run_to(59);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(60);
    assert_eq!(w.told(), ["Raised major 60 from 60"]);
}

#[test]
fn gate_ingest_healthy_wants_our_own_link_up_for_so_long() {
    let mut w = world("when = \"silent(30s)\"\n[rule.gate]\ningest_healthy = \"5m\"");
    w.run_to(200);
    w.send("\"x\":1");
    w.run_to(300);
    assert_eq!(w.told(), [""; 0], "silent since 200, but we have listened for less than 5 min");
    w.run_to(301);
    assert_eq!(w.told(), ["Raised major 301 from 301"], "the first mark was at 1");
    w.send("\"x\":1");
    w.out.clear();
    w.outage_to(400);
    w.run_to(699);
    assert_eq!(w.told(), [""; 0], "after an outage it begins anew; the grace of 60 s has long been over");
    w.run_to(700);
    assert_eq!(w.told().len(), 1);
}

#[test]
fn gate_expected_off_keeps_a_rule_from_raising() {
    let mut w = berlin("when = \"silent(30s)\"\n[rule.gate]\nexpected_off = \"device.parked == 'no' && mode == 'no'\"");
    w.run_to(1);
    w.send("\"mode\":\"no\"");
    w.run_to(100);
    assert_eq!(w.told(), [""; 0]);
    w.send("\"mode\":\"ac\"");
    w.run_to(131);
    assert_eq!(w.told(), ["Raised major 130 from 130"]);
}

#[test]
fn limits_cooldown_after_an_episode() {
    let mut w = world("when = \"x > 5\"\n[rule.limits]\ncooldown = \"1m\"");
    send(&mut w, &[(0, "\"x\":6"), (10, "\"x\":1"), (20, "\"x\":6"), (30, "\"x\":6"), (40, "\"x\":1")]);
    send(&mut w, &[(50, "\"x\":6"), (60, "\"x\":6"), (70, "\"x\":6")]);
    assert_eq!(w.told(), ["Raised major 0 from 0", "Cleared - 10", "Raised major 70 from 70"]);
    let counts: Vec<u64> = w.engine.take_counts().into_values().collect();
    assert_eq!(counts, [2], "kept back at 20 and at 50");
}

#[test]
fn limits_flap_latches_until_a_person_releases_it() {
    let mut w = world("when = \"x > 5\"\n[rule.limits]\nflap = { max = 2, per = \"10m\", then = \"latch\" }");
    let swings = [(0, "\"x\":6"), (10, "\"x\":1"), (20, "\"x\":6"), (30, "\"x\":1"), (40, "\"x\":6"), (50, "\"x\":1")];
    send(&mut w, &swings);
    let latched: Vec<bool> = w.out.iter().map(|d| d.latched).collect();
    assert_eq!(latched, [false, false, false, false, true]);
    assert_eq!(w.told()[4], "Raised major 40 from 40", "the third within 10 min, and it does not clear at 50");
    // Neither a restart nor silence ends it.
    let shard = crate::domain::shard_of("d");
    let bytes = w.engine.snapshot(shard);
    w.engine.restore(shard, &bytes).unwrap();
    send(&mut w, &[(60, "\"x\":1"), (700, "\"x\":1")]);
    assert_eq!(w.told(), [""; 0]);
    let release = |w: &mut World, rule: &str| {
        let at = At::from_secs(START + w.now);
        w.engine.release(&DeviceId::from("d"), &RuleId::from(rule), at, &mut w.out);
    };
    release(&mut w, "other");
    assert_eq!(w.told(), [""; 0]);
    release(&mut w, "r");
    release(&mut w, "r");
    assert_eq!(w.told(), ["Cleared - 700"]);
    send(&mut w, &[(710, "\"x\":6"), (720, "\"x\":1")]);
    assert_eq!(w.told(), ["Raised major 710 from 710", "Cleared - 720"], "counted from nothing");
}

#[test]
fn limits_slow_swings_do_not_latch() {
    let mut w = world("when = \"x > 5\"\n[rule.limits]\nflap = { max = 2, per = \"1m\", then = \"latch\" }");
    for second in 0..8 {
        w.run_to(second * 20);
        w.send(if second % 2 == 0 { "\"x\":6" } else { "\"x\":1" });
    }
    assert_eq!(w.out.len(), 8);
    assert!(w.out.iter().all(|d| !d.latched));
}
