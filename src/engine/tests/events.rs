//! Events have no level between their messages.

use super::world::{HEAD, World, device, model, registry, rule};
use crate::domain::Registry;

/// A rule that shows `{e}` whenever `on` is sent as true.
fn show(e: &str) -> String {
    rule(&format!("when = \"on\"\nclear = \"true\"\n[rule.case]\ntitle = \"{{{e}}}\""))
}

/// `{e}` at `now`.
fn shown(w: &mut World) -> String {
    w.send("\"on\":true");
    let text = w.out.last().expect("a detection").title.clone();
    w.out.clear();
    text
}

fn world(e: &str) -> World {
    World::new(&model(HEAD), &show(e))
}

#[test]
fn an_event_is_known_only_at_the_instant_of_its_message() {
    let body = "when = \"code == 'e2'\"\nclear = \"!happened(code == 'e2', 60s)\"";
    let mut w = World::new(&model(HEAD), &rule(body));
    for (at, fields) in
        [(0, "\"x\":1"), (10, "\"code\":\"e1\""), (20, "\"code\":\"e2\""), (30, "\"x\":1"), (80, "\"x\":1")]
    {
        w.now = at;
        w.send(fields);
    }
    assert_eq!(w.told(), ["Raised major 20 from 20"], "60 s later it is still within 60 s");
    w.now = 81;
    w.send("\"y\":1");
    assert_eq!(w.told(), ["Cleared - 81"], "any sample of the device shows that time has passed");
}

#[test]
fn an_event_is_unknown_in_between() {
    let mut w = world("known(code)");
    w.send("\"code\":\"e2\",\"on\":true");
    assert_eq!(w.out[0].title, "yes");
    w.now = 1;
    assert_eq!(shown(&mut w), "no");
}

#[test]
fn events_are_counted_once_each() {
    for (e, value) in [
        ("count_of(code == 'e2', 10m)", "2"),
        ("count_of(code == 'e9', 10m)", "0"),
        ("happened(code == 'e2', 10m)", "yes"),
        ("happened(code == 'e9', 10m)", "no"),
        ("since(code == 'e2')", "20s"),
        ("since(code == 'e9')", "unknown"),
        ("sum(litres, 10m)", "7"),
        ("max(litres, 10m)", "4"),
        ("n(litres, 10m)", "2"),
        ("sum(litres, 5s)", "0"),
        ("avg(litres, 30s)", "4"),
        ("avg(litres, 5s)", "unknown"),
        // x comes at the same instant as an event, in a message of its own.
        ("count_of(code == 'e2' && x > 0, 10m)", "2"),
        ("count_of(code in ['e1', 'e2'], 10m)", "3"),
        ("rises(code == 'e2', 10m)", "1"),
    ] {
        let mut w = world(e);
        w.send("\"x\":1");
        for (at, fields) in [
            (10, "\"code\":\"e2\",\"litres\":3"),
            (20, "\"code\":\"e1\""),
            (30, "\"code\":\"e2\",\"litres\":4"),
            (40, "\"code\":null,\"litres\":\"NaN\""),
        ] {
            w.now = at;
            w.send(fields);
            // The same message again, and another one of the same instant.
            w.send(fields);
            w.send("\"x\":2");
        }
        w.now = 50;
        assert_eq!(shown(&mut w), value, "{e}");
    }
}

#[test]
fn late_events_count_and_retained_ones_do_not() {
    let mut w = world("count_of(code == 'e2', 10m)");
    let mut since = world("since(code == 'e2')");
    for w in [&mut w, &mut since] {
        w.now = 100;
        w.send("\"x\":1");
        w.send_at(40, "\"code\":\"e2\"");
        w.send_at(60, "\"code\":\"e2\"");
        w.send_at(50, "\"code\":\"e2\"");
        w.send_as("d", Some(100), "\"code\":\"e2\"", true);
        w.now = 110;
    }
    assert_eq!(shown(&mut w), "3");
    assert_eq!(shown(&mut since), "50s", "the newest, in whatever order they came");
}

#[test]
fn events_leave_their_window() {
    let mut w = world("count_of(code == 'e2', 100s)");
    w.send("\"code\":\"e2\"");
    w.now = 60;
    w.send("\"code\":\"e2\"");
    w.now = 94;
    assert_eq!(shown(&mut w), "2");
    w.now = 100;
    assert_eq!(shown(&mut w), "1");
    w.now = 160;
    assert_eq!(shown(&mut w), "0", "and none is a number, not unknown");
}

#[test]
fn events_survive_a_restart_and_a_reload() {
    let e = "count_of(code == 'e2', 10m)";
    let mut w = world(e);
    w.send("\"code\":\"e2\"");
    w.restart();
    w.now = 10;
    w.send("\"code\":\"e2\"");
    w.reload(&format!("{}{}", rule("when = \"y > 5\"").replace("\"r\"", "\"s\""), show(e)));
    w.now = 20;
    w.send("\"code\":\"e2\"");
    w.now = 30;
    assert_eq!(shown(&mut w), "3");
}

#[test]
fn since_counts_from_the_rise_of_what_lasts() {
    for (e, value) in [
        ("since(x > 5)", "40s"),
        ("since(changed(mode))", "30s"),
        ("since(y > 5)", "unknown"),
        ("since(x > 50)", "unknown"),
        ("held(x > 5)", "0 s"),
    ] {
        let mut w = world(e);
        for (at, x, mode) in [(0, 1, "no"), (10, 6, "no"), (20, 6, "ac"), (30, 1, "dc"), (40, 1, "dc")] {
            w.now = at;
            w.send(&format!("\"x\":{x},\"y\":6,\"mode\":\"{mode}\""));
        }
        w.now = if e.contains("mode") { 60 } else { 50 };
        assert_eq!(shown(&mut w), value, "{e}");
    }
}

fn with(marker: &str) -> Registry {
    let mut d = device("d", &[("marker.oil_at", marker)], &[]);
    d.tz = "Europe/Berlin".into();
    registry(vec![d])
}

#[test]
fn since_an_instant_of_the_registry() {
    for (marker, value) in [
        ("2025-12-31T23:00:00Z", "1h"),
        // Midnight in Berlin is an hour earlier than START, which is midnight in UTC.
        ("2026-01-01", "1h"),
        ("2025-12-01", "31d1h"),
        ("2026-02-01", "0 s"),
        ("soon", "unknown"),
    ] {
        let mut w = World::with_registry(&model(HEAD), &show("since(device.marker.oil_at)"), with(marker));
        assert_eq!(shown(&mut w), value, "{marker}");
    }
    let mut w = world("since(device.marker.oil_at)");
    assert_eq!(shown(&mut w), "unknown", "not in the registry");
}

#[test]
fn a_rule_of_time_alone_is_looked_at_with_every_sample() {
    let rules = rule("when = \"since(device.marker.oil_at) > 30d\"");
    let mut w = World::with_registry(&model(HEAD), &rules, with("2025-12-03T00:00:00Z"));
    w.send("\"x\":1");
    w.now = 86_401;
    w.send("\"x\":1");
    w.enrol(with("2026-01-02"));
    w.now = 86_410;
    w.send("\"x\":1");
    assert_eq!(w.told(), ["Raised major 86401 from 86401", "Cleared - 86410"], "a new marker ends it");
}
