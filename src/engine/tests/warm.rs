//! Reload: what is new begins cold, or is refilled from what was heard (rules.md, Reload).

use super::world::{HEAD, World, model, rule};
use crate::rules::RuleChange;

/// A rule beside the one that is edited.
fn kept() -> String {
    rule("when = \"avg(x, 10m) > 50\"\nhold = \"30s\"").replace("\"r\"", "\"kept\"")
}

/// A day of one message a minute under `kept`, and then `edited` beside it.
fn a_day_and(edited: &str, warm: bool) -> World {
    let head = HEAD.replace("\"10s\"", "\"1m\"");
    let mut w = World::new(&model(&head), &kept());
    w.every(60, 86_400, "\"x\":6,\"on\":true,\"word\":\"a\",\"cells\":[3.1,3.2]");
    let rules = format!("{}{}", rule(edited), kept());
    if warm {
        w.reload_warm(&rules);
    } else {
        w.reload(&rules);
    }
    assert_eq!(w.told(), [""; 0], "nothing is told of the past");
    w.run_to(86_460);
    w
}

#[test]
fn reload_a_window_of_a_day_knows_at_once_when_it_is_warm_and_not_when_it_is_cold() {
    for (warm, expected) in [(true, vec!["Raised major 86460 from 86460"]), (false, vec![])] {
        let mut w = a_day_and("when = \"avg(x, 1d) > 5\"", warm);
        w.send("\"x\":6");
        assert_eq!(w.told(), expected, "warm: {warm}");
    }
}

#[test]
fn reload_a_hold_is_not_satisfied_by_the_past() {
    let mut w = a_day_and("when = \"held(on) > 1h\"\nhold = \"10m\"\nconfirm = 3", true);
    w.every(60, 86_400 + 20 * 60, "\"x\":6,\"on\":true");
    assert_eq!(w.told(), ["Raised major 87060 from 86460"], "true for a day, and held since the reload");
}

#[test]
fn reload_leaves_what_is_untouched_byte_for_byte() {
    let edited = "each = \"cell\"\nwhen = \"cell_v < mean(cell_v) - 1[V] || avg(x, 1d) > 7 || word == 'b'\"";
    let snapshot = |w: &mut World, rules: &str| {
        w.reload(rules);
        (0..=u8::MAX).map(|shard| w.engine.snapshot(shard)).collect::<Vec<_>>()
    };
    let mut cold = a_day_and(edited, false);
    let mut warm = a_day_and(edited, true);
    assert_ne!(cold.engine.snapshot(crate::domain::shard_of("d")), warm.engine.snapshot(crate::domain::shard_of("d")));
    assert!(snapshot(&mut cold, &kept()) == snapshot(&mut warm, &kept()), "back to the old rules");
}

#[test]
fn reload_refills_parts_and_texts() {
    let edited = "each = \"cell\"\nwhen = \"prev(cell_v) < 3.15[V] && word == 'a'\"\n[rule.case]\ntitle = \"{word}\"";
    for (warm, expected) in [(true, 1), (false, 0)] {
        let mut w = a_day_and(edited, warm);
        w.send("\"cells\":[3.1,3.2]");
        assert_eq!(w.out.len(), expected, "warm: {warm}");
        assert!(w.out.iter().all(|d| d.title == "a" && d.component.as_ref().unwrap().as_str() == "cell[0]"));
    }
}

/// Forty messages of a clock that is half an hour slow, ten seconds apart.
fn slow_clock(head: &str) -> World {
    let mut w = World::new(&model(head), &kept());
    for n in 0..40 {
        w.run_to(n * 10);
        w.send_at(w.now - 1_800, "\"x\":1");
    }
    w
}

#[test]
fn reload_reads_the_past_by_the_clock_that_the_device_is_known_to_have() {
    let mut w = slow_clock(&format!("{HEAD}skew = \"auto\"\n"));
    w.reload_warm(&format!("{}{}", rule("when = \"n(x, 9m) >= 40\""), kept()));
    w.run_to(400);
    w.send_at(w.now - 1_800, "\"x\":1");
    assert_eq!(w.told(), ["Raised major 400 from 400"], "not only those since the offset was learned");
}

#[test]
fn reload_learns_the_offset_of_a_clock_from_the_past() {
    for (warm, expected) in [(true, "Raised major 400 from 400"), (false, "Raised major -1400 from -1400 historical")] {
        let mut w = slow_clock(HEAD);
        w.edit_model(&model(&format!("{HEAD}skew = \"auto\"\n")));
        let rules = rule("when = \"x > 5\"");
        if warm {
            w.reload_warm(&rules);
        } else {
            w.reload(&rules);
        }
        w.run_to(400);
        w.send_at(w.now - 1_800, "\"x\":6");
        assert_eq!(w.told(), [expected], "warm: {warm}");
    }
}

#[test]
fn reload_says_what_is_kept_and_what_is_new() {
    let mut w =
        World::new(&model(HEAD), &format!("{}{}", kept(), rule("when = \"x > 5\"").replace("\"r\"", "\"gone\"")));
    let before = w.program.clone();
    let edited = kept().replace("&&", "").replace("> 50", "> 50 && rises(on, 1h) < 3");
    let added = rule(
        "when = \"avg(x, 10m) > 5 && z(y, usual) > 3\"\n[rule.baseline.usual]\nof = \"y\"\ntau = \"1d\"\nmin = \"1h\"",
    );
    w.reload(&format!("{edited}{added}"));
    let changes = before.changes(&w.program);
    let change = |rule: &str, is_new, kept: &[&str], fresh: &[&str]| RuleChange {
        rule: rule.into(),
        model: "m".into(),
        is_new,
        kept: kept.iter().map(|s| (*s).to_owned()).collect(),
        fresh: fresh.iter().map(|s| (*s).to_owned()).collect(),
    };
    assert_eq!(
        changes.rules,
        [
            change("kept", false, &["avg(x, 10m)"], &["rises(on, 1h)", "on"]),
            change("r", true, &["avg(x, 10m)"], &["usual", "y"]),
        ]
    );
    assert_eq!((changes.same, changes.removed), (0, vec!["gone".into()]));
    assert_eq!(w.program.changes(&w.program.clone()).same, 2);
}
