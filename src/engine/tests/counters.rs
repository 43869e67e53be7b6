//! Counters: what they grow by, whatever resets, rollovers and glitches lie in between (V6).

use super::world::{HEAD, World, device, model, registry, rule};
use crate::domain::Registry;

/// `{e}` after readings of `signal`, one every 10 s, the last with a look.
fn after(e: &str, signal: &str, readings: &[&str]) -> (String, (u64, u64)) {
    let mut w = World::new(&model(HEAD), &rule(&format!("when = \"on\"\n[rule.case]\ntitle = \"{{{e}}}\"")));
    for (ix, (at, reading)) in (0..).step_by(10).zip(readings).enumerate() {
        w.now = at;
        let on = ix + 1 == readings.len();
        w.send(&format!("\"{signal}\":{reading},\"on\":{on}"));
        if ix == 2 {
            w.restart();
        }
    }
    (w.out[0].title.clone(), w.engine.resets_and_glitches())
}

#[test]
fn v6_resets_rollovers_and_glitches() {
    for (signal, readings, grown, faults) in [
        ("km", vec!["100", "101", "103", "106"], "6 km", (0, 0)),
        // To less than half: a reset, and it began at zero.
        ("km", vec!["100", "103", "2", "5"], "8 km", (1, 0)),
        // A small decrease is ignored and counted; the counter goes on from where it was.
        ("km", vec!["100", "103", "101", "105"], "5 km", (0, 1)),
        ("km", vec!["100", "103", "null", "105"], "5 km", (0, 0)),
        ("km", vec!["100", "100", "49.9", "49.9"], "49.9 km", (1, 0)),
        ("km", vec!["100", "100", "50", "101"], "1 km", (0, 1)),
        // 65,536 is declared: what looks like a reset is one turn.
        ("ticks", vec!["65530", "65535", "3", "10"], "16", (0, 0)),
        ("ticks", vec!["65530", "65535", "65534", "65535"], "5", (0, 1)),
        ("ticks", vec!["30000", "30010", "5", "10"], "20", (1, 0)),
    ] {
        let said = after(&format!("increase({signal}, 40s)"), signal, &readings);
        assert_eq!(said, (grown.to_owned(), faults), "{signal} {readings:?}");
    }
}

#[test]
fn an_increase_needs_half_of_its_window() {
    assert_eq!(after("increase(km, 10m)", "km", &["1", "2", "3"]).0, "unknown");
    assert_eq!(after("resets(km, 60s)", "km", &["100", "3", "4", "1", "2"]).0, "2");
}

#[test]
fn late_and_repeated_readings_are_no_glitches() {
    let mut w = World::new(&model(HEAD), &rule("when = \"increase(km, 40s) > 100[km]\""));
    for (te, km) in [(0, 100), (10, 110), (5, 105), (10, 110), (20, 120), (30, 130)] {
        w.now = te.max(w.now);
        w.send_at(te, &format!("\"km\":{km}"));
    }
    assert_eq!(w.engine.resets_and_glitches(), (0, 0));
}

fn with(marker: &str) -> Registry {
    registry(vec![device("d", &[("marker.oil", marker)], &[])])
}

/// A rule that shows what was driven since the oil was changed.
fn total(policy: &str) -> String {
    rule(&format!(
        "when = \"on\"\nclear = \"true\"\n[rule.let]\nused = \"total_since(km, device.marker.oil)\"\n\
         [rule.data]\non_counter_reset = \"{policy}\"\n[rule.case]\ntitle = \"{{used}}\""
    ))
}

#[test]
fn a_total_goes_on_over_a_reset_if_that_is_asked_for() {
    for (policy, shown) in
        [("continue", ["4000 km", "4012 km", "12 km", "20 km"]), ("unknown", ["4000 km", "unknown", "12 km", "20 km"])]
    {
        let mut w = World::with_registry(&model(HEAD), &total(policy), with("80000"));
        w.send("\"km\":84000,\"on\":true");
        w.now = 10;
        w.restart();
        // Another instrument cluster.
        w.send("\"km\":12,\"on\":true");
        w.now = 20;
        // The oil is changed and noted as the new cluster shows it.
        w.enrol(with("0"));
        w.send("\"km\":12,\"on\":true");
        w.now = 30;
        w.send("\"km\":20,\"on\":true");
        let raised = w.out.iter().filter(|d| d.change == crate::domain::Change::Raised);
        let titles: Vec<&str> = raised.map(|d| d.title.as_str()).collect();
        assert_eq!(titles, shown, "{policy}");
        let note = |ix: usize| w.out[ix].evidence.iter().find(|e| e.name == "km_resets").map(|e| e.value.to_string());
        assert_eq!(note(2), (policy == "continue").then(|| "1".to_owned()), "a note on the data");
    }
}

#[test]
fn a_total_without_a_marker_is_unknown() {
    let mut w = World::new(&model(HEAD), &total("continue"));
    w.send("\"km\":84000,\"on\":true");
    assert_eq!(w.out[0].title, "unknown");
}

#[test]
fn a_new_marker_leaves_other_operators_and_rules_alone() {
    let since = rule("when = \"total_since(km, device.marker.oil) > 1000[km]\"").replace("\"r\"", "\"due\"");
    let other = rule("when = \"x > 5 && prev(x) > 5\"");
    let marked = |km: &str| registry(vec![device("d", &[("marker.oil", km)], &[])]);
    let mut w = World::with_registry(&model(HEAD), &format!("{since}{other}"), marked("100"));
    for _ in 0..2 {
        w.send("\"km\":200,\"x\":6");
        w.run_to(w.now + 10);
    }
    assert_eq!(w.told(), ["Raised major 10 from 10"]);
    w.enrol(marked("150"));
    w.send("\"km\":210,\"x\":6");
    assert_eq!(w.told(), [""; 0], "the episode is still the same");
}
