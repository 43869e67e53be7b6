//! Derived samples: one point a period, of the values that mean something.

use super::world::{HEAD, World, model, rule};

/// A point of 100 s of x while `on`; `mode` `ac` shows `{e}`.
fn sampled(keep: &str, e: &str) -> String {
    rule(&format!(
        "when = \"mode == 'ac'\"\nclear = \"true\"\n[rule.sample.p]\nfrom = \"x\"\nwhen = \"on\"\nkeep = \"{keep} per 100s\"\n\
         [rule.case]\ntitle = \"{{{e}}}\""
    ))
}

/// Two values in each of five periods, and one that does not count.
fn fill(w: &mut World) {
    for period in 0..5 {
        for (at, x, on) in [(10, 20 - period, true), (50, 10 - period, true), (60, 0, false)] {
            w.now = period * 100 + at;
            w.send(&format!("\"x\":{x},\"on\":{on},\"mode\":\"no\""));
        }
        if period == 2 {
            w.restart();
        }
    }
}

fn shown(w: &mut World) -> String {
    w.send("\"mode\":\"ac\"");
    let title = w.out.last().expect("a detection").title.clone();
    w.send("\"mode\":\"no\"");
    w.out.clear();
    title
}

#[test]
fn one_point_a_period() {
    for (keep, e, value) in [
        ("min", "p", "6"),
        ("max", "p", "16"),
        ("mean", "p", "11"),
        ("last", "p", "6"),
        // The point of the period under way counts with what it is so far.
        ("min", "n(p, 10m)", "5"),
        ("min", "avg(p, 500s)", "8"),
        ("max", "avg(p, 500s)", "18"),
        ("mean", "sum(p, 500s)", "65"),
        ("min", "first(p, 500s)", "10"),
        ("min", "delta(p, 500s)", "-4"),
        ("min", "min(p, 500s)", "6"),
        ("min", "r2(p, 500s)", "1"),
        ("min", "slope(p, 500s)", "-0.6 1/min"),
        ("min", "time_to(p, 3, 500s)", "4m50s"),
        ("min", "avg(p + 1, 500s)", "9"),
        ("min", "prev(p)", "7"),
        ("min", "rises(p < 9, 500s)", "1"),
        // Nested: at the points of p, the mean of the points up to then.
        ("min", "last(avg(p, 500s), 500s)", "8"),
        ("min", "p - avg(p, 500s)", "-2"),
    ] {
        let mut w = World::new(&model(HEAD), &sampled(keep, e));
        fill(&mut w);
        assert_eq!(shown(&mut w), value, "{keep} {e}");
    }
}

#[test]
fn a_point_counts_at_once_and_is_final_with_the_next_period() {
    let mut w = World::new(&model(HEAD), &sampled("min", "avg(p, 200s)"));
    let mut other = World::new(&model(HEAD), &sampled("min", "p"));
    for w in [&mut w, &mut other] {
        w.now = 10;
        w.send("\"x\":8,\"on\":true");
        w.now = 110;
        w.send("\"x\":9");
    }
    assert_eq!((shown(&mut w), shown(&mut other)), ("8.5".to_owned(), "9".to_owned()));
    for w in [&mut w, &mut other] {
        w.now = 120;
        w.send("\"x\":2");
        w.now = 130;
        w.send("\"x\":5");
    }
    assert_eq!((shown(&mut w), shown(&mut other)), ("5".to_owned(), "2".to_owned()), "lower so far");
}

#[test]
fn a_point_is_known_for_three_periods() {
    let mut w = World::new(&model(HEAD), &sampled("min", "p"));
    w.now = 10;
    w.send("\"x\":8,\"on\":true");
    w.now = 20;
    w.send("\"on\":false");
    w.now = 310;
    assert_eq!(shown(&mut w), "8");
    w.now = 311;
    assert_eq!(shown(&mut w), "unknown");
}

#[test]
fn late_and_broken_values_do_not_reach_a_point() {
    let mut w = World::new(&model(HEAD), &sampled("min", "p"));
    for (at, te, x) in [(10, 10, "8"), (20, 20, "9"), (30, 15, "1"), (40, 40, "null"), (50, 50, "\"NaN\"")] {
        w.now = at;
        w.send_at(te, &format!("\"x\":{x},\"on\":true"));
    }
    assert_eq!(shown(&mut w), "8");
}

#[test]
fn points_survive_a_reload() {
    let mut w = World::new(&model(HEAD), &sampled("min", "avg(p, 500s)"));
    fill(&mut w);
    w.reload(&format!("{}{}", rule("when = \"y > 5\"").replace("\"r\"", "\"s\""), sampled("min", "avg(p, 500s)")));
    assert_eq!(shown(&mut w), "8");
}

#[test]
fn the_same_samples_give_the_same_points_with_and_without_marks() {
    let mut titles = Vec::new();
    for marks in [true, false] {
        let mut w = World::new(&model(HEAD), &sampled("mean", "avg(p, 500s)"));
        for (at, x) in [(10, 8), (110, 9), (150, 3), (260, 7), (370, 1)] {
            if marks {
                w.run_to(at);
            }
            w.now = at;
            w.send(&format!("\"x\":{x},\"on\":true"));
        }
        titles.push(shown(&mut w));
    }
    assert_eq!(titles[0], "5.5");
    assert_eq!(titles[0], titles[1]);
}
