//! Quantiles, tails and short trends: what they give, and at which samples they look.

use proptest::prelude::*;

use super::world::{HEAD, World, model, rule};
use crate::engine::Engine;

fn world(e: &str) -> World {
    let body = format!("when = \"on\"\nclear = \"true\"\n[rule.case]\ntitle = \"{{{e}}}\"");
    World::new(&model(HEAD), &rule(&body))
}

/// `{e}` after samples of x, one every 10 s from 0.
fn after(e: &str, xs: &[f64]) -> String {
    let mut w = world(e);
    feed(&mut w, xs, true);
    w.out.last().expect("tells").title.clone()
}

fn feed(w: &mut World, xs: &[f64], ask: bool) {
    for (i, x) in xs.iter().enumerate() {
        let on = ask && i + 1 == xs.len();
        w.send(&format!("\"x\":{x},\"on\":{on}"));
        w.now += 10;
    }
}

/// Numbers from 0 to 1 without a pattern, the same in every run.
fn noise(n: u32) -> Vec<f64> {
    let mut state = 1_u64;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        })
        .collect()
}

#[test]
fn functions_of_plain_numbers() {
    for (e, x, value) in [
        ("sqrt(x)", 2.25, "1.5"),
        ("sqrt(x)", -1.0, "unknown"),
        ("ln(x)", 1.0, "0"),
        ("ln(x)", 0.0, "unknown"),
        ("exp(x)", 0.0, "1"),
        ("exp(x)", 1e4, "unknown"),
    ] {
        assert_eq!(after(e, &[x]), value, "{e} of {x}");
    }
}

#[test]
fn a_quantile_is_exact_for_few_samples_a_bucket_and_near_for_many() {
    let ramp: Vec<f64> = (1..=100).map(f64::from).collect();
    // The newest bucket of 45 s is partial: 86 samples are in the window, 15 to 100.
    assert_eq!(after("quantile(x, 0.5, 15m)", &ramp), "57.5");
    let many = noise(5_000);
    let found: f64 = after("quantile(x, 0.9, 12h)", &many).parse().unwrap();
    assert!((found - 0.9).abs() < 0.02, "{found}");
    assert_eq!(after("quantile(x, 0.5, 10h)", &ramp), "unknown", "less than half of it is covered");
}

#[test]
fn a_late_sample_enters_the_quantile_and_unknown_ones_do_not() {
    let told = |late: &str| {
        let mut w = world("quantile(x, 0.5, 2m)");
        feed(&mut w, &[1.0; 8], false);
        let now = w.now;
        for i in 0..12 {
            w.send_at(now - 40 + i, late);
        }
        feed(&mut w, &[1.0], true);
        w.out.last().expect("tells").title.clone()
    };
    assert_eq!(told("\"x\":9"), "9");
    assert_eq!(told("\"x\":\"NaN\""), "1");
}

#[test]
fn the_threshold_of_a_tail_is_exceeded_as_often_as_was_asked() {
    // Exponential: a share of 0.001 lies above -ln(0.001) = 6.9.
    let xs: Vec<f64> = noise(6_000).iter().map(|u| -(1.0 - u).ln()).collect();
    let found: f64 = after("evt(x, 0.001)", &xs).parse().unwrap();
    assert!((found - 6.9).abs() < 1.2, "{found}");
    // Evenly spread from 0 to 1: nothing lies above 1.
    let found: f64 = after("evt(x, 0.0001)", &noise(6_000)).parse().unwrap();
    assert!((0.97..1.05).contains(&found), "{found}");
}

#[test]
fn a_tail_is_calibrated_before_it_says_anything() {
    assert_eq!(after("evt(x, 0.01)", &noise(255)), "unknown");
    assert_ne!(after("evt(x, 0.01)", &noise(256)), "unknown");
    assert_eq!(after("evt(x, 0.01, 2h)", &noise(700)), "unknown");
    assert_ne!(after("evt(x, 0.01, 2h)", &noise(721)), "unknown");
    assert_eq!(after("evt(x, 0.01)", &[5.0; 600]), "unknown", "a constant has no tail");
}

#[test]
fn what_breaks_down_does_not_widen_the_tail() {
    let (mut calm, mut wild) = (noise(400), noise(400));
    calm.push(0.5);
    wild.extend([50.0; 40]);
    wild.push(0.5);
    assert_eq!(after("evt(x, 0.001)", &calm), after("evt(x, 0.001)", &wild));
}

#[test]
fn a_residual_is_off_the_parabola_of_what_was_before() {
    let parabola: Vec<f64> = (0..40).map(|i| 3.0 + 0.2 * f64::from(i) - 0.01 * f64::from(i * i)).collect();
    let mut off = parabola.clone();
    off[39] += 4.0;
    let number = |xs: &[f64]| after("resid(x, 5m)", xs).parse::<f64>().unwrap();
    assert!(number(&parabola).abs() < 1e-6);
    assert!((number(&off) - 4.0).abs() < 1e-6);
    assert_eq!(after("resid(x, 5m)", &parabola[..6]), "unknown");
    assert_eq!(after("resid(temp, 5m)", &parabola), "unknown");
}

#[test]
fn a_restart_in_the_middle_changes_no_shape() {
    for e in ["quantile(x, 0.8, 1h)", "evt(x, 0.001)", "resid(x, 10m)"] {
        let (mut through, mut again) = (world(e), world(e));
        for xs in noise(420).chunks(30) {
            feed(&mut through, xs, false);
            feed(&mut again, xs, false);
            let mut fresh = Engine::new(again.program.clone(), std::sync::Arc::default());
            for shard in 0..=u8::MAX {
                fresh.restore(shard, &again.engine.snapshot(shard)).expect("restores");
            }
            again.engine = fresh;
        }
        feed(&mut through, &[0.7], true);
        feed(&mut again, &[0.7], true);
        assert_eq!(through.out[0].title, again.out[0].title, "{e}");
        assert_ne!(through.out[0].title, "unknown", "{e}");
    }
}

/// The residual of the newest of `xs` by plain least squares over those before it, ten seconds apart.
fn naive(xs: &[f64]) -> f64 {
    let (newest, before) = xs.split_last().unwrap();
    let t = |i: usize| (f64::from(u32::try_from(i).unwrap()) - 15.0) / 15.0;
    let (mut s, mut x) = ([0.0; 5], [0.0; 3]);
    for (i, value) in before.iter().enumerate() {
        (0..5).for_each(|k| s[k] += t(i).powi(i32::try_from(k).unwrap()));
        (0..3).for_each(|k| x[k] += value * t(i).powi(i32::try_from(k).unwrap()));
    }
    let det = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let m = [[s[0], s[1], s[2]], [s[1], s[2], s[3]], [s[2], s[3], s[4]]];
    let with = |k: usize| {
        let mut own = m;
        (0..3).for_each(|row| own[row][k] = x[row]);
        det(own) / det(m)
    };
    let at = t(before.len());
    newest - (with(0) + with(1) * at + with(2) * at * at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_residual_is_that_of_plain_least_squares(xs in prop::collection::vec(-100.0..100.0_f64, 17..30)) {
        // All samples are in the window, and cover half of it.
        let found: f64 = after("1000 * resid(x, 5m)", &xs).parse().unwrap();
        let exact = 1000.0 * naive(&xs);
        let tolerance = 0.01 * exact.abs() + 1.0;
        prop_assert!((found - exact).abs() < tolerance, "{found} {exact}");
    }
}
