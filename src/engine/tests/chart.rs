//! `[rule.chart]`: the course of a value goes with what is told about it.

use super::world::{HEAD, START, World, model, rule};
use crate::domain::Series;
use crate::source::Diagnostics;

const CHART: &str = "when = \"temp > 90[degC]\"\n[rule.chart]\nof = \"temp\"\nover = \"20m\"\nlimit = \"90[degC]\"";

/// Half an hour of a temperature that rises by two degrees a minute from 40 on, a message every ten seconds.
fn rising(rules: &str) -> World {
    let mut world = World::new(&model(HEAD), rules);
    for n in 0..180 {
        world.run_to(n * 10);
        world.send(&format!("\"temp\":{}", 40.0 + f64::from(i32::try_from(n).unwrap()) / 3.0));
    }
    world
}

fn course(world: &World) -> Series {
    *world.out[0].series.clone().expect("a course")
}

#[test]
fn what_is_told_has_the_means_of_twenty_stretches_with_it() {
    let world = rising(&rule(CHART));
    let series = course(&world);
    assert_eq!((series.unit.as_str(), series.limit), ("degC", Some(90.0)));
    let told = world.out[0].event_at;
    assert!((19..=20).contains(&series.points.len()), "{series:?}");
    for (at, value) in &series.points {
        let minutes = f64::from(i32::try_from(at.as_secs() - START).unwrap()) / 60.0;
        assert!((value - 40.0 - 2.0 * minutes).abs() < 0.2, "{value} after {minutes} min");
        assert!(*at <= told && told.since(*at).as_secs_f64() <= 1_200.0);
    }
    assert!(series.points.is_sorted_by_key(|p| p.0));
}

#[test]
fn a_restart_in_between_changes_nothing() {
    let whole = course(&rising(&rule(CHART)));
    let mut world = World::new(&model(HEAD), &rule(CHART));
    for n in 0..180 {
        world.run_to(n * 10);
        world.send(&format!("\"temp\":{}", 40.0 + f64::from(i32::try_from(n).unwrap()) / 3.0));
        if n % 50 == 49 {
            world.restart();
        }
    }
    assert_eq!(course(&world), whole);
}

#[test]
fn without_a_chart_or_with_too_little_nothing_goes_along() {
    let plain = rising(&rule("when = \"temp > 90[degC]\""));
    assert_eq!(plain.out[0].series, None);
    let mut young = World::new(&model(HEAD), &rule(CHART));
    young.send("\"temp\":95");
    assert_eq!(young.out[0].series, None, "one point is no course");
}

#[test]
fn it_shares_what_is_kept_for_a_trend_over_the_same_time() {
    let words = |rules: &str| World::new(&model(HEAD), rules).program.models[0].lanes[0].words;
    let trend = "when = \"time_to(temp, 90[degC], 20m) < 5m\"";
    let chart = "\n[rule.chart]\nof = \"temp\"\nover = \"20m\"\nlimit = \"90[degC]\"";
    assert_eq!(words(&rule(trend)), words(&rule(&format!("{trend}{chart}"))));
    assert!(words(&rule("when = \"temp > 90[degC]\"")) < words(&rule(CHART)));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (from, to, part) in [
        ("limit = \"90[degC]\"", "limit = \"3[bar]\"", "the chart shows"),
        ("of = \"temp\"", "of = \"on\"", "must be a number"),
        ("over = \"20m\"", "over = \"20[bar]\"", "a window must be a duration"),
        ("over = \"20m\"", "ovr = \"20m\"", "over"),
        ("of = \"temp\"", "of = \"tmp\"", "did you mean `temp`?"),
    ] {
        let mut diags = Diagnostics::default();
        let models = diags.add_file("m.toml", model(HEAD));
        let models = std::sync::Arc::new(crate::model::load(&mut diags, &[models]));
        assert!(CHART.contains(from), "{from}");
        let file = diags.add_file("r.toml", rule(&CHART.replace(from, to)));
        let _ = crate::rules::load(&mut diags, &[file], models);
        let shown = diags.render(false);
        assert!(diags.has_errors() && shown.contains(part) && shown.contains("r.toml:"), "{to}\n{shown}");
    }
}
