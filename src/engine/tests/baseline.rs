//! Baselines: what is usual in each regime, what is learned and what is not.

use super::world::{HEAD, World, model, program, rule};
use crate::domain::At;
use crate::engine::Engine;

/// A rule with one baseline `b` that tells `{e}` whenever `on` is sent as true, and never fires otherwise.
fn telling(e: &str, baseline: &str) -> String {
    rule(&format!("when = \"on\"\nclear = \"true\"\n[rule.baseline.b]\n{baseline}\n[rule.case]\ntitle = \"{{{e}}}\""))
}

fn world(e: &str, baseline: &str) -> World {
    World::new(&model(HEAD), &telling(e, baseline))
}

const PLAIN: &str = "of = \"x\"\ntau = \"1h\"\nmin = \"3m\"";

impl World {
    /// Values of x, one every 10 s.
    fn learn(&mut self, xs: impl IntoIterator<Item = f64>, rest: &str) {
        for x in xs {
            self.send(&format!("\"x\":{x},\"on\":false{rest}"));
            self.now += 10;
        }
    }

    /// What the rule says of x at this time. The sample is not learned: the rule is up when the next one comes.
    fn ask(&mut self, x: f64, rest: &str) -> String {
        self.out.clear();
        self.send(&format!("\"x\":{x},\"on\":true{rest}"));
        self.now += 10;
        self.out.iter().find(|d| d.change == crate::domain::Change::Raised).expect("tells").title.clone()
    }
}

/// `n` values around `centre`, evenly spread over one unit up and down, in an order without a trend.
fn around(centre: f64, n: u32) -> Vec<f64> {
    (0..n).map(|i| centre + f64::from((i * 7) % 11) / 5.0 - 1.0).collect()
}

#[test]
fn z_is_unknown_before_min_of_data_and_eight_samples() {
    let mut w = world("z(x, b)", PLAIN);
    w.learn(around(5.0, 17), "");
    assert_eq!(w.ask(5.0, ""), "unknown");
    let mut w = world("z(x, b)", PLAIN);
    w.learn(around(5.0, 19), "");
    assert_ne!(w.ask(5.0, ""), "unknown");
    let mut w = world("z(x, b)", "of = \"x\"\ntau = \"1h\"\nmin = \"1s\"");
    w.learn(around(5.0, 7), "");
    assert_eq!(w.ask(5.0, ""), "unknown");
}

#[test]
fn centre_and_scale_are_those_of_the_samples() {
    let numbers = |w: &mut World, x| -> (f64, f64) {
        let text = w.ask(x, "");
        let (centre, scale) = text.split_once(' ').expect("two numbers");
        (centre.parse().unwrap(), scale.parse().unwrap())
    };
    let body = format!(
        "when = \"on\"\nclear = \"true\"\n[rule.baseline.b]\n{PLAIN}\n[rule.case]\ntitle = \"{{centre(b)}} {{scale(b)}}\""
    );
    let mut w = World::new(&model(HEAD), &rule(&body));
    w.learn(around(5.0, 440), "");
    let (centre, scale) = numbers(&mut w, 5.0);
    assert!((centre - 5.0).abs() < 0.1, "{centre}");
    // Evenly spread over 2 units: a standard deviation of 0.63.
    assert!((scale - 0.63).abs() < 0.1, "{scale}");
    // A tenth of wild samples.
    let wild = around(5.0, 440).into_iter().enumerate().map(|(i, x)| if i % 10 == 3 { 500.0 } else { x });
    w.learn(wild, "");
    let (centre, scale) = numbers(&mut w, 5.0);
    assert!((centre - 5.0).abs() < 0.3 && scale < 0.95, "{centre} {scale}");
}

#[test]
fn each_regime_has_its_own() {
    let mut w = world("z(x, b)", &format!("{PLAIN}\nby = [\"y/10\", \"mode\"]"));
    w.learn(around(5.0, 30), ",\"y\":3,\"mode\":\"ac\"");
    w.learn(around(50.0, 30), ",\"y\":13,\"mode\":\"ac\"");
    w.learn(around(500.0, 30), ",\"y\":13,\"mode\":\"dc\"");
    let small = |text: String| text.parse::<f64>().expect("known").abs() < 1.0;
    assert!(small(w.ask(5.0, ",\"y\":4.9,\"mode\":\"ac\"")));
    assert!(small(w.ask(50.0, ",\"y\":5,\"mode\":\"ac\"")));
    assert!(small(w.ask(500.0, ",\"y\":14.9,\"mode\":\"dc\"")));
    assert!(!small(w.ask(5.0, ",\"y\":13,\"mode\":\"dc\"")));
    assert_eq!(w.ask(5.0, ",\"y\":23,\"mode\":\"dc\""), "unknown", "a regime that was never seen");
    assert_eq!(w.ask(5.0, ",\"y\":null,\"mode\":\"dc\""), "unknown", "a regime that is not known");
}

#[test]
fn the_regime_unused_for_longest_gives_way_when_the_table_is_full() {
    let mut w = world("z(x, b)", &format!("{PLAIN}\nby = [\"y\"]\nbins = 2"));
    for y in [1, 2, 1, 3] {
        w.learn(around(5.0, 30), &format!(",\"y\":{y}"));
    }
    assert_ne!(w.ask(5.0, ",\"y\":1"), "unknown");
    assert_ne!(w.ask(5.0, ",\"y\":3"), "unknown");
    assert_eq!(w.ask(5.0, ",\"y\":2"), "unknown");
}

#[test]
fn it_forgets_with_its_time_constant_and_never_if_told_so() {
    let moved = |tau: &str| {
        let mut w = world("centre(b)", &format!("of = \"x\"\ntau = \"{tau}\"\nmin = \"3m\""));
        w.learn(around(5.0, 100), "");
        w.learn(around(6.0, 300), "");
        w.ask(6.0, "").parse::<f64>().unwrap()
    };
    assert!((moved("10m") - 6.0).abs() < 0.1, "{}", moved("10m"));
    assert!((moved("never") - 5.75).abs() < 0.15, "{}", moved("never"));
}

#[test]
fn what_is_known_of_a_regime_counts_as_eight_samples_however_old_it_is() {
    let mut w = world("centre(b)", "of = \"x\"\nby = [\"y\"]\ntau = \"10m\"\nmin = \"1m\"");
    w.learn(around(5.0, 60), ",\"y\":1");
    w.learn(around(90.0, 600), ",\"y\":2");
    w.learn([50.0, 5.0], ",\"y\":1");
    let centre: f64 = w.ask(5.0, ",\"y\":1").parse().unwrap();
    assert!((centre - 5.0).abs() < 0.3, "{centre}");
}

#[test]
fn a_commissioning_baseline_stops_learning() {
    let mut w = world("centre(b)", "of = \"x\"\nlearn = \"10m\"");
    w.learn(around(5.0, 50), "");
    assert_eq!(w.ask(5.0, ""), "unknown", "min is learn unless said otherwise");
    w.learn(around(5.0, 12), "");
    let before = w.ask(5.0, "");
    w.learn(around(9.0, 500), "");
    assert_eq!(w.ask(5.0, ""), before);
}

#[test]
fn nothing_is_learned_while_the_rule_is_pending_or_in_force() {
    let learned = |freeze: &str| {
        let body = format!(
            "when = \"z(x, b) > 4\"\nhold = \"2m\"\nclear = \"on\"\n[rule.baseline.b]\n{PLAIN}\n{freeze}\n[rule.case]\ntitle = \"{{centre(b)}}\""
        );
        let mut w = World::new(&model(HEAD), &rule(&body));
        w.learn(around(5.0, 60), "");
        w.learn([20.0; 200], "");
        w.send("\"x\":20,\"on\":true");
        w.out.iter().map(|d| d.title.parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let frozen = learned("");
    assert_eq!(frozen.len(), 2, "raised and cleared");
    assert!(frozen.iter().all(|c| (c - 5.0).abs() < 0.2), "{frozen:?}");
    assert!(learned("freeze_when_firing = false").last().is_none_or(|c| *c > 6.0));
}

#[test]
fn a_sample_is_judged_by_what_was_before_it() {
    let mut w = world("centre(b)", PLAIN);
    w.learn([5.0; 30], "");
    assert_eq!(w.ask(900.0, ""), "5");
    w.learn([5.0], "");
    assert_eq!(w.ask(5.0, ""), "5", "what made the rule fire is not learned");
}

#[test]
fn unknown_samples_teach_nothing_and_gaps_do_not_count() {
    let mut w = world("z(x, b)", PLAIN);
    w.learn(around(5.0, 10), "");
    w.now += 86_400;
    for bad in ["null", "\"NaN\"", "true"] {
        w.send(&format!("\"x\":{bad},\"on\":false"));
        w.now += 10;
    }
    w.learn(around(5.0, 2), "");
    assert_eq!(w.ask(5.0, ""), "unknown", "a day of silence is not data");
}

#[test]
fn a_constant_signal_has_no_scale_unless_a_floor_is_given() {
    let mut w = world("z(x, b)", PLAIN);
    w.learn([5.0; 30], "");
    assert_eq!(w.ask(6.0, ""), "unknown");
    let mut w = world("z(x, b)", &format!("{PLAIN}\nfloor = 0.25"));
    w.learn([5.0; 30], "");
    assert_eq!(w.ask(6.0, ""), "4");
}

#[test]
fn late_samples_are_learned_and_move_nothing() {
    let mut w = world("centre(b)", PLAIN);
    w.learn([5.0; 30], "");
    let now = w.now;
    for i in 0..30 {
        w.send_at(now - 300 + 3 * i, "\"x\":7");
    }
    assert!(w.out.is_empty());
    let centre: f64 = w.ask(5.0, "").parse().unwrap();
    assert!(centre > 5.5, "{centre}");
}

#[test]
fn a_repeated_message_is_learned_once() {
    let mut once = world("scale(b)", PLAIN);
    let mut twice = world("scale(b)", PLAIN);
    for x in around(5.0, 60) {
        for (w, times) in [(&mut once, 1), (&mut twice, 2)] {
            (0..times).for_each(|_| w.send(&format!("\"x\":{x},\"on\":false")));
            w.now += 10;
        }
    }
    assert_eq!(once.ask(5.0, ""), twice.ask(5.0, ""));
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let baseline = format!("{PLAIN}\nby = [\"y/10\", \"mode\"]");
    let (mut through, mut again) = (world("z(x, b)", &baseline), world("z(x, b)", &baseline));
    for (i, x) in around(5.0, 90).into_iter().enumerate() {
        let rest = format!(",\"y\":{},\"mode\":\"{}\"", i % 20, if i % 3 == 0 { "ac" } else { "dc" });
        through.learn([x], &rest);
        again.learn([x], &rest);
        let mut fresh = Engine::new(again.program.clone(), std::sync::Arc::default());
        for shard in 0..=u8::MAX {
            fresh.restore(shard, &again.engine.snapshot(shard)).expect("restores");
        }
        again.engine = fresh;
    }
    let rest = ",\"y\":12,\"mode\":\"dc\"";
    let (a, b) = (through.ask(5.5, rest), again.ask(5.5, rest));
    assert_eq!(a, b);
    assert_ne!(a, "unknown");
}

#[test]
fn a_reload_keeps_what_was_learned_unless_it_is_of_something_else() {
    let after = |to: &str| {
        let mut w = world("centre(b)", PLAIN);
        w.learn(around(5.0, 60), "");
        let text = telling("centre(b)", to);
        w.program = program(&model(HEAD), &text);
        w.engine.reload(w.program.clone(), std::sync::Arc::default(), At::from_secs(0), &mut w.out);
        w.ask(5.0, "")
    };
    let kept = after(PLAIN);
    assert_ne!(kept, "unknown");
    assert_eq!(after(&PLAIN.replace("3m", "4m")), kept, "min says when it is believed, not what it is");
    assert_eq!(after(&format!("{PLAIN}\nfloor = 2")), kept);
    assert_eq!(after(&PLAIN.replace("\"x\"", "\"2 * x\"")), "unknown");
    assert_eq!(after(&format!("{PLAIN}\nby = [\"mode\"]")), "unknown");
}

#[test]
fn a_let_can_be_what_a_baseline_is_of_and_can_read_it() {
    let body = format!(
        "when = \"off > 3\"\n[rule.let]\ntwice = \"2 * x\"\noff = \"z(twice, b)\"\n[rule.baseline.b]\n{}\n",
        PLAIN.replace("\"x\"", "\"twice\"")
    );
    let mut w = World::new(&model(HEAD), &rule(&body));
    w.learn(around(5.0, 60), "");
    assert_eq!(w.told(), [] as [&str; 0]);
    w.send("\"x\":20");
    assert_eq!(w.told(), ["Raised major 600 from 600"]);
}

#[test]
fn temperatures_are_compared_in_one_unit() {
    let body = "when = \"on\"\nclear = \"true\"\n[rule.baseline.b]\nof = \"temp\"\nby = [\"temp/50[K]\"]\ntau = \"1h\"\nmin = \"3m\"\n\
                [rule.case]\ntitle = \"{centre(b)}, {scale(b)}, {z(temp, b)}\"";
    let mut w = World::new(&model(HEAD), &rule(body));
    for i in 0..60 {
        w.send(&format!("\"temp\":{},\"on\":{}", 20 + i % 2, i == 59));
        w.now += 10;
    }
    assert!(w.out[0].title.contains("°C, ") && w.out[0].title.contains(" K, "), "{}", w.out[0].title);
}

#[test]
fn cusum_finds_a_small_shift_that_lasts_and_comes_down_as_fast() {
    let body = |call: &str| {
        rule(&format!(
            "when = \"{call}\"\nclear_hold = \"1m\"\n[rule.baseline.b]\nof = \"x\"\nlearn = \"10m\"\nfreeze_when_firing = false"
        ))
    };
    let told = |call: &str, shift: f64| {
        let mut w = World::new(&model(HEAD), &body(call));
        w.learn(around(5.0, 120), "");
        w.learn(around(5.0 + shift, 60), "");
        w.learn(around(5.0, 60), "");
        w.told().iter().map(|l| l.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(told("cusum(x, 0.5, 8, b)", 1.0), ["Raised", "Cleared"]);
    assert_eq!(told("cusum(x, 0.5, b) > 8", 0.0), none);
    assert_eq!(told("cusum(x, 0.5, 8, b)", -1.0), none, "upward only");
    assert_eq!(told("cusum_low(x, 0.5, 8, b)", -1.0), ["Raised", "Cleared"]);
}

#[test]
fn t2_sees_what_no_signal_shows_alone() {
    let baseline = "of = [\"x\", \"y\"]\ntau = \"never\"\nmin = \"3m\"";
    let mut w = world("t2(b)", baseline);
    for (i, x) in around(0.0, 110).into_iter().enumerate() {
        let y = 3.0 * x + f64::from(u32::try_from(i % 5).unwrap()) / 50.0;
        w.learn([x], &format!(",\"y\":{y}"));
    }
    let ask = |w: &mut World, x: f64, y: f64| w.ask(x, &format!(",\"y\":{y}")).parse::<f64>().unwrap();
    assert!(ask(&mut w, 0.5, 1.5) < 3.0);
    assert!(ask(&mut w, 0.5, -1.5) > 40.0);
    assert_eq!(w.ask(0.5, ",\"y\":null"), "unknown");
}

/// Example 8 of the rules: vibration against what is usual at that speed and load.
#[test]
fn a_bearing_that_wears_is_told_by_level_and_does_not_become_the_new_normal() {
    let model = "[model]\nid = \"pump-22kw\"\ntopics = [\"f/+/t\"]\ndevice_id = \"topic[1]\"\ndecoder = { format = \"json\" }\n\
        timestamp = { path = \"ts\", unit = \"s\" }\nreport_every = \"10m\"\n[signal]\nvib_rms = { path = \"v\", unit = \"mm/s\" }\n\
        rpm = { path = \"rpm\", unit = \"rpm\" }\nload = { path = \"load\", unit = \"%\" }\n";
    let rules = r#"
[[rule]]
id = "bearing-vibration"
models = ["pump-22kw"]
fault = "pump.bearing"
lead = "2d..30d"
mode = "shadow"
[rule.baseline.vib]
of = "vib_rms"
by = ["rpm/250", "load/20"]
tau = "14d"
min = "3d"
freeze_when_firing = true
[[rule.level]]
name = "major"
when = "avg(z(vib_rms, vib), 6h) > 4 && vib_rms > 2.8[mm/s]"
hold = "2h"
clear = "avg(z(vib_rms, vib), 24h) < 2"
[[rule.level]]
name = "minor"
when = "cusum(vib_rms, 0.5, 8, vib)"
clear = "avg(z(vib_rms, vib), 24h) < 1"
"#;
    let mut w = World::new(model, rules);
    for step in 0..20 * 144_i64 {
        let noise = f64::from(i32::try_from((step * 7) % 11).unwrap()) / 20.0;
        let day = step / 144;
        let (rpm, usual) = if step % 288 < 144 { (1_000, 1.0) } else { (1_500, 2.0) };
        // Half a scale a day from the tenth day on.
        let wear = 0.1 * f64::from(i32::try_from((day - 10).max(0)).unwrap());
        w.now = step * 600;
        w.send(&format!("\"v\":{},\"rpm\":{rpm},\"load\":50", usual + noise + wear));
    }
    let told: Vec<String> = w.told().iter().map(|l| l.split(" from").next().unwrap().to_owned()).collect();
    let day = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap() / 86_400;
    let (first, last) = (told.first().expect("told"), told.last().expect("told"));
    // The sum finds the shift before the mean of a day does: until then the two conditions of `minor` hold together.
    assert!(first.starts_with("Raised minor") && (10..14).contains(&day(first)), "{first}");
    assert!(last.starts_with("Moved major") && (14..20).contains(&day(last)), "{last}");
}

#[test]
fn min_may_be_a_number_of_samples() {
    for (samples, known) in [(19, false), (21, true)] {
        let mut w = world("z(x, b)", "of = \"x\"\ntau = \"1h\"\nmin = 20");
        w.learn(around(5.0, samples), "");
        assert_eq!(w.ask(5.0, "") != "unknown", known, "{samples}");
    }
}

#[test]
fn t2_of_other_values_than_were_learned() {
    let baseline = "of = [\"x\", \"y\"]\ntau = \"1h\"\nmin = 20";
    let ask = |e: &str| {
        let mut w = world(e, baseline);
        for (i, x) in (0..40).zip(around(5.0, 40)) {
            w.learn([x], &format!(",\"y\":{}", i % 3));
        }
        w.ask(5.4, ",\"y\":1")
    };
    assert_eq!(ask("t2([x, y], b)"), ask("t2(b)"));
    assert_ne!(ask("t2([x + 1, y], b)"), ask("t2(b)"));
}
