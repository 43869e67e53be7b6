//! Time of day, usual intervals, computed silence, patterns and ranges.

use super::world::{HEAD, World, device, model, registry, rule};

fn shown(e: &str, at: i64, tz: &str, fields: &str) -> String {
    let mut d = device("d", &[("firmware", "2.10.3")], &[]);
    d.tz = tz.into();
    let rules = rule(&format!("when = \"on\"\n[rule.case]\ntitle = \"{{{e}}}\""));
    let mut w = World::with_registry(&model(HEAD), &rules, registry(vec![d]));
    w.now = at;
    w.send(&format!("{fields}\"on\":true"));
    w.out[0].title.clone()
}

#[test]
fn the_hour_is_that_of_the_place() {
    let hour = 3600;
    // START is Thursday, 2026-01-01 at midnight in UTC; 2026-03-29 at 01:00 UTC Berlin goes from 2 to 3 o'clock.
    let change = 87 * 24 * hour + hour;
    for (e, at, tz, value) in [
        ("hour()", 0, "UTC", "0"),
        ("hour()", 0, "Europe/Berlin", "1"),
        ("hour('America/New_York')", 0, "Europe/Berlin", "19"),
        ("weekday()", 0, "UTC", "thu"),
        ("weekday()", 0, "America/New_York", "wed"),
        ("weekday() in ['sat', 'sun']", 2 * 24 * hour, "UTC", "yes"),
        ("hour()", change - 1, "Europe/Berlin", "1"),
        ("hour()", change, "Europe/Berlin", "3"),
    ] {
        assert_eq!(shown(e, at, tz, ""), value, "{e} at {at} in {tz}");
    }
}

#[test]
fn patterns_match_all_of_a_text() {
    for (e, value) in [
        ("word matches 'P03.*'", "yes"),
        ("word matches 'P03'", "no"),
        ("word matches '.*02|x'", "yes"),
        ("code matches 'e[0-9]+'", "yes"),
        ("mode matches '[ad]c'", "yes"),
        ("mode matches 'n.*'", "no"),
        ("device.firmware matches '2\\\\..*'", "yes"),
        ("device.nothing matches '.*'", "unknown"),
        ("count_of(code matches 'e.', 1h)", "1"),
    ] {
        assert_eq!(shown(e, 0, "UTC", "\"word\":\"P0302\",\"code\":\"e2\",\"mode\":\"dc\","), value, "{e}");
    }
    assert_eq!(shown("word matches '.*'", 0, "UTC", "\"word\":null,"), "unknown");
}

#[test]
fn ranges_have_both_ends() {
    for (x, value) in [("4.9", "no"), ("5", "yes"), ("10", "yes"), ("10.1", "no"), ("1", "yes"), ("null", "unknown")] {
        assert_eq!(shown("x in [1, 5..10]", 0, "UTC", &format!("\"x\":{x},")), value, "{x}");
    }
    assert_eq!(shown("temp in [-5[degC]..300[K]]", 0, "UTC", "\"temp\":26,"), "yes");
}

#[test]
fn silence_of_a_computed_length() {
    let mut w =
        World::new(&model(HEAD), &rule("when = \"silent(max(30s, 6 * usual_interval))\"\nclear = \"!silent(20s)\""));
    // Once every 10 s: six times that is a minute.
    w.run_to(10);
    w.every(10, 200, "\"x\":1");
    w.restart();
    w.run_to(259);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(261);
    assert_eq!(w.told(), ["Raised major 260 from 260"]);
    w.send("\"x\":1");
    assert_eq!(w.told(), ["Cleared - 261"]);
    // Now once a second: the least of 30 s counts.
    w.run_to(262);
    w.every(1, 400, "\"x\":1");
    w.run_to(429);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(431);
    assert_eq!(w.told().len(), 1);
}

#[test]
fn t5_our_own_outage_is_no_computed_silence() {
    let mut w = World::new(&model(HEAD), &rule("when = \"silent(6 * usual_interval)\""));
    w.run_to(10);
    w.every(10, 100, "\"x\":1");
    w.run_to(110);
    w.outage_to(1000);
    w.run_to(1049);
    assert_eq!(w.told(), [""; 0]);
    // The backlog: a second apart on arrival, ten seconds in device time.
    for te in (110..1000).step_by(10) {
        w.send_at(te, "\"x\":1");
    }
    w.run_to(1100);
    assert_eq!(w.told(), [""; 0], "the interval is that of the device");
}

#[test]
fn the_usual_interval_is_unknown_before_the_second_message() {
    assert_eq!(shown("usual_interval", 0, "UTC", ""), "unknown");
}
