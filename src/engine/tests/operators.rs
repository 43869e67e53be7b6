//! Operators over windows: what they give after given samples, and what they must not remember.

use super::world::{HEAD, World, model, rule};

/// `{e}` after samples of x, one every 10 s from 0.
fn after(e: &str, xs: &[f64]) -> String {
    let body = format!("when = \"on\"\n[rule.case]\ntitle = \"{{{e}}}\"");
    let mut w = World::new(&model(HEAD), &rule(&body));
    for (i, x) in (0..).zip(xs) {
        w.now = i * 10;
        let on = i + 1 == i64::try_from(xs.len()).unwrap();
        w.send(&format!("\"x\":{x},\"on\":{on}"));
    }
    w.out[0].title.clone()
}

#[test]
fn windows() {
    let ramp: Vec<f64> = (0..=12).map(f64::from).collect();
    for (e, value) in [
        ("avg(x, 60s)", "9.5"),
        ("sum(x, 60s)", "57"),
        ("n(x, 60s)", "6"),
        ("min(x, 60s)", "7"),
        ("max(x, 60s)", "12"),
        ("stddev(x, 60s)", "1.87"),
        ("rate(x, 60s)", "6 1/min"),
        ("slope(x, 60s)", "6 1/min"),
        ("r2(x, 60s)", "1"),
        ("time_to(x, 24, 60s)", "2m"),
        ("time_to(x, 2, 60s)", "unknown"),
        ("time_to(x, 10.5, 60s)", "0 s"),
        ("prev(x)", "11"),
        ("changed(x)", "yes"),
        ("changed(mode)", "unknown"),
        ("age(x)", "0 s"),
        ("age(y)", "unknown"),
        ("rises(x > 5, 2m)", "1"),
        ("held(x > 5)", "1m"),
        ("held(x > 50)", "0 s"),
        ("abs(0 - x)", "12"),
        ("avg(x, 1h)", "unknown"),
        ("only(x, on)", "12"),
        ("only(x, !on)", "unknown"),
        ("max(only(x, !on), 60s)", "11"),
        ("avg(x + x, 60s)", "19"),
        ("max(avg(x, 60s), 100)", "100"),
        ("avg(rate(x, 60s), 60s)", "6 1/min"),
        ("avg(x, param.wait)", "11"),
    ] {
        assert_eq!(after(e, &ramp), value, "{e}");
    }
}

#[test]
fn windows_forget() {
    let mut xs = vec![100.0; 10];
    xs.extend([1.0; 13]);
    for e in ["avg(x, 2m)", "max(x, 2m)", "min(x, 2m)"] {
        assert_eq!(after(e, &xs), "1", "{e}");
    }
    assert_eq!(after("stddev(x, 2m)", &xs), "0");
    assert_eq!(after("max(x, 3m)", &xs), "100");
}

#[test]
fn rises_counts_edges() {
    let xs = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
    assert_eq!(after("rises(x > 0.5, 2m)", &xs), "3");
    assert_eq!(after("held(x > 0.5)", &[1.0, 0.0, 1.0, 1.0, 1.0]), "20s");
}

#[test]
fn ewma_follows_with_its_time_constant() {
    let mut xs = vec![0.0];
    xs.extend([1.0; 7]);
    // After 60 s with tau = 60 s: 1 - 1/e after the first step of 10 s each.
    assert_eq!(after("ewma(x, 60s)", &xs), "0.689");
    assert_eq!(after("ewma(x, 60s)", &[1.0]), "unknown");
}

#[test]
fn noise_has_no_trend() {
    let xs: Vec<f64> = (0..12).map(|i| if i % 2 == 0 { 1.0 } else { 2.0 }).collect();
    assert_eq!(after("time_to(x, 10, 2m)", &xs), "unknown");
}

#[test]
fn the_same_operator_is_kept_once() {
    let text = format!(
        "{}{}",
        rule("when = \"avg(x, 10m) > 1 && n(x, 600s) > 3\""),
        rule("when = \"avg(x, 10m) > 2\"").replace("\"r\"", "\"s\"")
    );
    let p = super::world::program(&model(HEAD), &text);
    assert_eq!(p.models[0].ops.len(), 1);
    assert!(p.summary().starts_with("2 rules (2 live, 0 shadow, 0 off), 1 operators"), "{}", p.summary());
}
