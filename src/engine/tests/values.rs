//! Values of signals: units, quality, staleness, parameters and attributes of the registry.

use super::world::{HEAD, World, device, model, registry, rule};

/// What `{e}` is after one message with `fields`.
fn show(e: &str, fields: &str) -> String {
    let mut w = World::new(&model(HEAD), &rule(&format!("when = \"on\"\n[rule.case]\ntitle = \"{{{e}}}\"")));
    w.send(&format!("{fields},\"on\":true"));
    w.out[0].title.clone()
}

#[test]
fn v1_values_expire() {
    let mut w = World::new(&model(HEAD), &rule("when = \"x > 5 && y > 5\""));
    w.send("\"x\":6");
    w.run_to(31);
    w.send("\"y\":6");
    assert_eq!(w.told(), [""; 0], "x is 31 s old, its time to live 30 s");
    w.send("\"x\":6,\"y\":6");
    assert_eq!(w.told(), ["Raised major 31 from 31"]);
}

#[test]
fn v1_expiry_is_seen_without_a_sample() {
    let mut w = World::new(&model(HEAD), &rule("when = \"!known(x)\""));
    w.run_to(1);
    w.send("\"x\":6");
    w.run_to(30);
    assert_eq!(w.told(), [""; 0]);
    w.run_to(33);
    assert_eq!(w.told(), ["Raised major 31 from 31"]);
}

#[test]
fn v2_kleene_logic() {
    let f = "\"x\":1";
    for (e, value) in [
        ("y > 1 && x == 2", "no"),
        ("x == 2 && y > 1", "no"),
        ("y > 1 || x == 1", "yes"),
        ("x == 1 || y > 1", "yes"),
        ("y > 1 && x == 1", "unknown"),
        ("x == 1 && y > 1", "unknown"),
        ("y > 1 || x == 2", "unknown"),
        ("!(y > 1)", "unknown"),
        ("y + x", "unknown"),
        ("y == y", "unknown"),
        ("known(y)", "no"),
        ("known(x)", "yes"),
        ("y ?? 7", "7"),
        ("x ?? 7", "1"),
        ("y in [1, 2]", "unknown"),
        ("x in [1, 2]", "yes"),
        ("y > 1 ? 3 : 3", "3"),
        ("y > 1 ? 3 : 4", "unknown"),
        ("x > 1 ? 3 : 4", "4"),
        ("min(x, 2)", "1"),
        ("max(x, y)", "unknown"),
        ("mode == 'ac'", "unknown"),
    ] {
        assert_eq!(show(e, f), value, "{e}");
    }
}

#[test]
fn v3_unknown_keeps_the_state_and_pauses() {
    let mut w = World::new(&model(HEAD), &rule("when = \"x > 5\"\nhold = \"40s\"\nclear = \"x < 2\""));
    for (second, x) in [(0, "6"), (10, "6"), (20, "null"), (30, "null"), (40, "6"), (50, "6"), (60, "6")] {
        w.run_to(second);
        w.send(&format!("\"x\":{x}"));
    }
    assert_eq!(w.told(), ["Raised major 60 from 0"], "the 20 s from 20 to 40 do not count");
    w.run_to(70);
    w.every(10, 200, "\"x\":null");
    assert_eq!(w.told(), [""; 0]);
}

#[test]
fn v3_an_episode_without_inputs_goes_stale_once() {
    let mut w =
        World::new(&model(HEAD), &rule("when = \"x > 5\"\nclear = \"x < 2\"\n[rule.data]\nstale_after = \"5m\""));
    w.run_to(1);
    w.send("\"x\":6");
    w.run_to(2000);
    assert_eq!(w.told(), ["Raised major 1 from 1", "Stale major 331"], "unknown from 31 on");
    w.send("\"x\":1");
    assert_eq!(w.told(), ["Cleared - 2000"]);
}

#[test]
fn v4_what_cannot_be_is_unknown() {
    for (e, fields, value) in [
        ("x / y", "\"x\":1,\"y\":0", "unknown"),
        ("x / y", "\"x\":1,\"y\":4", "0.25"),
        ("x * y", "\"x\":1e200,\"y\":1e200", "unknown"),
        ("temp", "\"temp\":151", "unknown"),
        ("temp", "\"temp\":-40", "unknown"),
        ("temp", "\"temp\":\"hot\",\"x\":1", "unknown"),
        ("x", "\"temp\":\"hot\",\"x\":1", "1"),
        ("mode", "\"mode\":\"xx\"", "unknown"),
    ] {
        assert_eq!(show(e, fields), value, "{e} with {fields}");
    }
}

#[test]
fn v5_windows_need_two_samples_and_half_their_time() {
    let mut w = World::new(&model(HEAD), &rule("when = \"known(avg(x, 100s))\""));
    w.every(10, 40, "\"x\":1");
    assert_eq!(w.told(), [""; 0]);
    w.run_to(50);
    w.send("\"x\":null");
    assert_eq!(w.told(), ["Raised major 50 from 50"], "50 of 100 s are covered; unknown samples are not counted");
}

#[test]
fn units_are_converted_on_the_constant() {
    for (e, fields, value) in [
        ("temp > 100[degF]", "\"temp\":38", "yes"),
        ("temp > 101[degF]", "\"temp\":38", "no"),
        ("temp > 311[K]", "\"temp\":38", "yes"),
        ("temp - 30[degC]", "\"temp\":38", "8 K"),
        ("temp - 50[degF]", "\"temp\":38", "28 K"),
        ("temp + 9[degR]", "\"temp\":38", "43 °C"),
        ("temp - 5[K] < 33.5[degC]", "\"temp\":38", "yes"),
        ("volt > 12100[mV]", "\"volt\":12.2", "yes"),
        ("volt * 2[A]", "\"volt\":12", "24 V*A"),
        ("volt * 2[A] > 0.02[kW]", "\"volt\":12", "yes"),
        ("90s", "\"x\":1", "1m30s"),
        ("2h > 100[min]", "\"x\":1", "yes"),
        ("param.limit + 1", "\"x\":1", "6"),
    ] {
        assert_eq!(show(e, fields), value, "{e}");
    }
}

#[test]
fn equal_units_are_never_rescaled() {
    // 0.1 + 0.2 and 0.30000000000000004 are the same f64; one multiplication by anything but 1 would part them.
    assert_eq!(show("volt + 0.2[V] == 0.30000000000000004[V]", "\"volt\":0.1"), "yes");
}

#[test]
fn params_and_attributes_come_from_the_registry() {
    let devices = vec![
        device("own", &[("region", "EU"), ("year", "2021")], &[("limit", "50")]),
        device("plain", &[("region", "EU"), ("year", "2019")], &[]),
        device("away", &[("region", "US")], &[]),
    ];
    let body =
        "where = \"device.region == 'EU'\"\nwhen = \"x > param.limit\"\n[rule.case]\ntitle = \"{device.year > 2020}\"";
    let mut w = World::with_registry(&model(HEAD), &rule(body), registry(devices));
    for id in ["own", "plain", "away", "stranger"] {
        w.send_as(id, Some(0), "\"x\":6", false);
    }
    let who: Vec<String> = w.out.iter().map(|d| format!("{} {}", d.device, d.title)).collect();
    assert_eq!(who, ["plain no"]);
    w.out.clear();
    w.send_as("own", Some(1), "\"x\":51", false);
    assert_eq!(w.out[0].title, "yes");
}
