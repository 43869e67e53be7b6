//! For how much of the time something was true, and the ends of windows.

use super::world::{HEAD, World, model, rule};

/// `{e}` after samples of x, one every 10 s from 0; `None` is a sample without x.
fn after(e: &str, xs: &[Option<f64>]) -> String {
    let body = format!("when = \"on\"\n[rule.case]\ntitle = \"{{{e}}}\"");
    let mut w = World::new(&model(HEAD), &rule(&body));
    for (i, x) in (0..).zip(xs) {
        w.now = i * 10;
        let on = i + 1 == i64::try_from(xs.len()).unwrap();
        let x = x.map_or_else(|| "null".to_owned(), |x| x.to_string());
        w.send(&format!("\"x\":{x},\"on\":{on}"));
        if i == i64::try_from(xs.len()).unwrap() / 2 {
            w.restart();
        }
    }
    w.out[0].title.clone()
}

fn samples(text: &str) -> Vec<Option<f64>> {
    text.chars().map(|c| c.to_digit(10).map(f64::from)).collect()
}

#[test]
fn true_time_is_the_time_after_true_samples() {
    for (xs, e, value) in [
        ("0011100110000", "time_true(x > 0, 2m)", "50s"),
        ("0011100110000", "duty(x > 0, 2m)", "0.439"),
        ("0011100110000", "mean_on(x > 0, 2m)", "25s"),
        ("0011100110011", "mean_on(x > 0, 2m)", "20s"),
        ("1111111111111", "mean_on(x > 0, 2m)", "1m54s"),
        ("0000000000000", "mean_on(x > 0, 2m)", "unknown"),
        ("0000000000000", "time_true(x > 0, 2m)", "0 s"),
        // A run that began before the window counts with the part that reaches into it.
        ("1111111111111111100", "mean_on(x > 0, 1m)", "47s"),
        ("1111111111111111100", "time_true(x > 0, 1m)", "47s"),
        // Half of the window must be covered (V5).
        ("00110", "duty(x > 0, 2m)", "unknown"),
        ("0011001", "duty(x > 0, 2m)", "0.333"),
        // What is unknown covers nothing but what the sample before it covers: 30 s.
        ("01____________________________", "time_true(x > 0, 10m)", "unknown"),
        ("01______0000", "time_true(x > 0, 2m)", "30s"),
    ] {
        assert_eq!(after(e, &samples(xs)), value, "{e} of {xs}");
    }
}

#[test]
fn windows_have_two_ends() {
    for (xs, e, value) in [
        ("1234567", "first(x, 1m)", "2"),
        ("1234567", "last(x, 1m)", "7"),
        ("1234567", "delta(x, 1m)", "5"),
        ("7654321", "delta(x, 1m)", "-5"),
        ("12__", "last(x, 1m)", "2"),
        ("12________", "last(x, 1m)", "unknown"),
        // The two ends must be half of the window apart.
        ("12", "delta(x, 1m)", "unknown"),
        ("12", "first(x, 1m)", "unknown"),
        ("1234", "delta(x, 1m)", "3"),
        ("1234567", "first(x > 4, 1m)", "no"),
        ("1234567", "last(x > 4, 1m)", "yes"),
    ] {
        assert_eq!(after(e, &samples(xs)), value, "{e} of {xs}");
    }
}

#[test]
fn a_difference_of_temperatures_is_a_difference() {
    let mut w = World::new(&model(HEAD), &rule("when = \"delta(temp, 60s) > 10[K]\""));
    for (at, temp) in [(0, 20), (30, 25), (50, 31)] {
        w.now = at;
        w.send(&format!("\"temp\":{temp}"));
    }
    assert_eq!(w.told(), ["Raised major 50 from 50"]);
}

#[test]
fn late_samples_do_not_move_what_depends_on_order() {
    let mut w = World::new(&model(HEAD), &rule("when = \"on\"\n[rule.case]\ntitle = \"{time_true(x > 5, 60s)}\""));
    for at in [0, 10, 20, 40, 50] {
        w.now = at;
        w.send("\"x\":1");
    }
    w.send_at(30, "\"x\":9");
    w.now = 60;
    w.send("\"x\":1,\"on\":true");
    assert_eq!(w.out[0].title, "0 s");
}
