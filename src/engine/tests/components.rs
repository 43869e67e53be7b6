//! Components: folds over them, and rules that watch each of them.

use std::sync::Arc;

use super::world::{HEAD, START, World, line, model, program, rule};
use crate::domain::{At, Change, Registry};
use crate::engine::Engine;

fn world(body: &str) -> World {
    World::new(&model(HEAD), &rule(body))
}

/// A rule for each cell.
fn cells(body: &str) -> String {
    rule(&format!("each = \"cell\"\n{body}"))
}

/// `(component, change, device time)` of what was detected since the last call.
fn told(w: &mut World) -> Vec<String> {
    let name = |c: Option<&crate::domain::Component>| c.map_or("-".to_owned(), ToString::to_string);
    w.out.drain(..).map(|d| format!("{} {}", name(d.component.as_ref()), line(&d))).collect()
}

/// What an expression is after each of these messages, as the title of an episode that ends at once says it.
fn values(expression: &str, messages: &[&str]) -> Vec<String> {
    let body = format!("when = \"true || x > 0\"\nclear = \"true\"\n[rule.case]\ntitle = \"{{{expression}}}\"");
    let mut w = world(&body);
    let mut found = Vec::new();
    for fields in messages {
        w.now += 10;
        w.send(&format!("\"x\":1,{fields}"));
        found.push(w.out.last().map_or(String::new(), |d| d.title.clone()));
        w.out.clear();
    }
    found
}

#[test]
fn folds_over_all_components() {
    let lists = ["\"cells\":[3.5, 3.0, 4.0, 3.0, 4.0]"];
    for (expression, value) in [
        ("max(cell_v)", "4 V"),
        ("min(cell_v)", "3 V"),
        ("mean(cell_v)", "3.5 V"),
        ("median(cell_v)", "3.5 V"),
        ("spread(cell_v)", "1 V"),
        ("count(cell_v < 3.2[V])", "2"),
        ("count(cell_v < 1[V])", "0"),
        ("argmin(cell_v)", "1"),
        ("argmax(cell_v)", "2"),
        ("max(abs(cell_v - 3.7[V]))", "0.7 V"),
        ("count(cell_v < mean(cell_v) - 0.15[V])", "2"),
        ("max(cell_v) - min(cell_v)", "1 V"),
        ("max(max(cell_v), 4.5[V])", "4.5 V"),
        ("max(max(cell_v, 3.2[V]) - min(cell_v))", "1 V"),
    ] {
        assert_eq!(values(expression, &lists), [value], "{expression}");
    }
    assert_eq!(values("spread(cell_t)", &["\"temps\":[20, 28.5, 21]"]), ["8.5 K"]);
    assert_eq!(values("median(cell_t)", &["\"temps\":[20, 28, 22, 21]"]), ["21.5 °C"]);
}

#[test]
fn folds_leave_unknown_components_out() {
    for (expression, list, value) in [
        ("max(cell_v)", "[3, null, \"x\", 9, 3.5]", "3.5 V"),
        ("mean(cell_v)", "[3, null, 4]", "3.5 V"),
        ("argmin(cell_v)", "[null, 4, 3]", "2"),
        ("count(cell_v < 4[V])", "[null, 4, 3]", "1"),
        ("count(cell_v < 4[V])", "[null, 9]", "unknown"),
        ("max(cell_v)", "[]", "unknown"),
        ("max(cell_v)", "null", "unknown"),
        ("median(cell_v)", "[null]", "unknown"),
        ("argmax(cell_v)", "{}", "unknown"),
    ] {
        assert_eq!(values(expression, &[&format!("\"cells\":{list}")]), [value], "{expression} of {list}");
    }
    assert_eq!(values("max(cell_v)", &["\"y\":1"]), ["unknown"], "never sent");
}

#[test]
fn a_list_replaces_the_list_before() {
    let lists =
        ["\"cells\":[3, 4, 3.5]", "\"cells\":[3.1, 3.2]", "\"y\":1", "\"cells\":[]", "\"cells\":[3, 3, 3, 4.5]"];
    assert_eq!(values("max(cell_v)", &lists), ["4 V", "3.2 V", "3.2 V", "unknown", "4.5 V"]);
    assert_eq!(values("count(cell_v > 0[V])", &lists), ["3", "2", "2", "unknown", "4"]);
}

#[test]
fn values_of_components_expire() {
    let mut w =
        world("when = \"max(cell_v) > 3[V]\"\nclear = \"max(cell_v) < 2[V]\"\n[rule.data]\nstale_after = \"1m\"");
    w.run_to(1);
    w.send("\"cells\":[3, 4]");
    w.run_to(200);
    // Known for 3 x 10 s, then unknown for a minute.
    assert_eq!(told(&mut w), ["- Raised major 1 from 1", "- Stale major 91"]);
    assert_eq!(w.told(), [""; 0]);
}

#[test]
fn a_fold_feeds_a_window() {
    let feed = |last| ["\"cells\":[3, 4]", "\"cells\":[3, 3.2]", last];
    assert_eq!(values("max(max(cell_v), 10m)", &feed("\"cells\":[]"))[2], "unknown", "less than half is covered");
    assert_eq!(values("max(max(cell_v), 20s)", &feed("\"cells\":[3.1]"))[2], "3.2 V");
}

#[test]
fn a_window_of_each_component_is_folded() {
    let lists = ["\"cells\":[3, 4]", "\"cells\":[3.5, 4]", "\"cells\":[4, null]", "\"cells\":[4, 4]"];
    assert_eq!(
        values("max(rate(cell_v, 25s))", &lists),
        ["unknown", "unknown", "3 V/min", "1.5 V/min"],
        "cell 1 does not change, and its sample that is missing leaves the rest"
    );
}

#[test]
fn each_component_has_an_episode_of_its_own() {
    let mut w = World::new(
        &model(HEAD),
        &cells(
            "when = \"cell_v < 3[V]\"\nhold = \"15s\"\n[rule.case]\ntitle = \"{cell} {component}: {cell_v} of {max(cell_v)}, {x}\"",
        ),
    );
    for (second, list) in [(0, "[2, 4, 2]"), (10, "[2, 4, 4]"), (20, "[2, 2, 2]"), (30, "[2, 2, 2]"), (40, "[4, 2, 2]")]
    {
        w.run_to(second);
        w.send(&format!("\"cells\":{list},\"x\":{second}"));
    }
    assert_eq!(w.out[0].title, "0 cell[0]: 2 V of 4 V, 10");
    assert_eq!(w.out[0].evidence[0].name, "cell_v");
    let ids: std::collections::BTreeSet<_> = w.out.iter().map(|d| d.episode).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(
        told(&mut w),
        [
            "cell[0] Raised major 15 from 0",
            "cell[1] Raised major 35 from 20",
            "cell[2] Raised major 35 from 20",
            "cell[0] Cleared - 40"
        ]
    );
}

#[test]
fn each_is_looked_at_when_a_signal_of_the_device_changes() {
    let mut w = World::new(&model(HEAD), &cells("when = \"cell_v < x * 1[V]\""));
    w.send("\"cells\":[2, 4],\"x\":1");
    w.run_to(10);
    w.send("\"x\":3");
    w.run_to(20);
    w.send("\"x\":5");
    assert_eq!(told(&mut w), ["cell[0] Raised major 10 from 10", "cell[1] Raised major 20 from 20"]);
}

#[test]
fn a_component_that_is_missing_keeps_its_level() {
    let mut w = World::new(&model(HEAD), &cells("when = \"cell_v < 3[V]\"\n[rule.data]\nstale_after = \"20s\""));
    for (second, list) in [(0, "[4, 2]"), (10, "[4]"), (20, "[2]"), (30, "[4, null]"), (40, "[4, 4]")] {
        w.run_to(second);
        w.send(&format!("\"cells\":{list}"));
    }
    assert_eq!(
        told(&mut w),
        [
            "cell[1] Raised major 0 from 0",
            "cell[0] Raised major 20 from 20",
            "cell[1] Stale major 30",
            "cell[0] Cleared - 30",
            "cell[1] Cleared - 40"
        ]
    );
}

#[test]
fn texts_and_words_of_components() {
    let body = "each = \"door\"\nwhen = \"door == 'closing' && part_no != 'spare'\"\n[rule.case]\ntitle = \"{door} {part_no}\"";
    let mut w = World::new(&model(HEAD), &rule(body));
    w.send("\"doors\":[\"closing\",\"open\",\"closing\"],\"part_no\":[\"A-1\",\"A-2\",\"spare\"]");
    assert_eq!(w.out[0].title, "0 A-1", "{{door}} is the number of the door");
    assert_eq!(told(&mut w), ["door[0] Raised major 0 from 0"]);
}

#[test]
fn late_lists_reach_windows_and_no_level() {
    let body = "when = \"cell_v < 3[V]\"\n[rule.let]\nmean = \"avg(cell_v, 100s)\"\nhigh = \"avg(max(cell_v), 100s)\"\n[rule.case]\ntitle = \"{mean} {high}\"";
    let mut w = World::new(&model(HEAD), &cells(body));
    for second in [0, 10, 20, 30, 50] {
        w.run_to(second);
        w.send("\"cells\":[4, 3]");
    }
    w.send_at(40, "\"cells\":[5, 2, 1]");
    assert_eq!(told(&mut w), [""; 0], "late: no level moves, and cell 2 does not come to be");
    w.run_to(60);
    w.send("\"cells\":[4, 2.9]");
    // Cell 1: (3 * 5 + 2 + 2.9) / 7; highest: (4 * 6 + 5) / 7.
    assert_eq!(w.out[0].title, "2.84 V 4.14 V");
}

#[test]
fn samples_of_components_are_put_in_order() {
    let head = format!("{HEAD}lateness = \"30s\"\n");
    let mut w = World::new(&model(&head), &cells("when = \"cell_v < 3[V]\"\nconfirm = 2"));
    w.now = 100;
    for (te, v) in [(70, 2), (90, 2), (80, 4), (100, 4), (135, 4)] {
        w.send_at(te, &format!("\"cells\":[4, {v}]"));
    }
    assert_eq!(told(&mut w), [""; 0], "in order there are never two in a row");
}

#[test]
fn a_repeated_message_counts_once() {
    let mut w = World::new(&model(HEAD), &cells("when = \"cell_v < 3[V]\"\nconfirm = 2"));
    w.send("\"cells\":[2]");
    w.send_at(0, "\"cells\":[2]");
    assert_eq!(told(&mut w), [""; 0]);
}

#[test]
fn retained_lists_fill_what_is_not_known() {
    let mut w = World::new(&model(HEAD), &cells("when = \"cell_v < 3[V] && x > 0\""));
    w.send("\"cells\":[4, null]");
    w.send_as("d", None, "\"cells\":[2, 2]", true);
    assert_eq!(told(&mut w), [""; 0], "moves nothing");
    w.run_to(10);
    w.send("\"x\":1");
    assert_eq!(told(&mut w), ["cell[1] Raised major 10 from 10"]);
}

#[test]
fn all_components_that_expire_at_once_are_seen_to() {
    let mut w = World::new(&model(HEAD), &cells("when = \"!known(cell_v)\""));
    w.run_to(1);
    w.send("\"cells\":[2, 2, 2]");
    w.run_to(60);
    let expected: Vec<String> = (0..3).map(|ix| format!("cell[{ix}] Raised major 31 from 31")).collect();
    assert_eq!(told(&mut w), expected);
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let rules = format!(
        "{}{}",
        cells("when = \"cell_v < mean(cell_v) - 0.5[V] && rate(cell_v, 40s) < 0[V/s]\"\nhold = \"15s\""),
        rule("when = \"avg(spread(cell_v), 40s) > 0.8[V]\"").replace("\"r\"", "\"s\"")
    );
    let lists = ["[4,4]", "[4,3.5]", "[4,3,4]", "[4,2.5,4]", "[4,2,4]", "[4]", "[4,4,4]", "[4,4,2]", "[4,4,1]"];
    let run = |cut: usize| {
        let mut w = World::new(&model(&format!("{HEAD}lateness = \"15s\"\n")), &rules);
        for (ix, list) in lists.iter().enumerate() {
            w.run_to(i64::try_from(ix).unwrap() * 10);
            w.send(&format!("\"cells\":{list}"));
            if ix == cut {
                let mut next = Engine::new(w.program.clone(), Arc::new(Registry::default()));
                for shard in 0..=u8::MAX {
                    let bytes = w.engine.snapshot(shard);
                    next.restore(shard, &bytes).unwrap();
                    assert_eq!(next.snapshot(shard), bytes);
                }
                w.engine = next;
            }
        }
        w.run_to(200);
        w.out
    };
    let whole = run(usize::MAX);
    assert!(whole.len() >= 4, "{whole:?}");
    for cut in 0..lists.len() {
        assert_eq!(run(cut), whole, "cut after {cut}");
    }
}

#[test]
fn a_reload_keeps_parts_of_rules_that_are_the_same() {
    let kept = cells("when = \"cell_v < 3[V]\"\nhold = \"30s\"").replace("\"r\"", "\"kept\"");
    let gone = cells("when = \"cell_v < 3[V]\"").replace("\"r\"", "\"gone\"");
    let mut w = World::new(&model(HEAD), &format!("{gone}{kept}"));
    w.every(10, 20, "\"cells\":[2, 4, 2]");
    assert_eq!(told(&mut w), ["cell[0] Raised major 0 from 0", "cell[2] Raised major 0 from 0"]);
    let added = rule("each = \"door\"\nwhen = \"door == 'closing' && x > 0\"").replace("\"r\"", "\"added\"");
    let next = program(&model(HEAD), &format!("{added}{kept}"));
    w.engine.reload(next.clone(), Arc::new(Registry::default()), At::from_secs(START + 25), &mut w.out);
    w.program = next;
    assert!(w.out.iter().all(|d| d.change == Change::RuleRemoved && d.rule.as_str() == "gone"));
    assert_eq!(told(&mut w), ["cell[0] RuleRemoved - 20", "cell[2] RuleRemoved - 20"]);
    w.run_to(30);
    w.send("\"cells\":[2, 4, 2]");
    assert_eq!(told(&mut w), ["cell[0] Raised major 30 from 0", "cell[2] Raised major 30 from 0"]);
    // Without any rule for cells nothing of them is left.
    let next = program(&model(HEAD), &added);
    w.engine.reload(next.clone(), Arc::new(Registry::default()), At::from_secs(START + 35), &mut w.out);
    w.program = next;
    assert_eq!(told(&mut w), ["cell[0] RuleRemoved - 30", "cell[2] RuleRemoved - 30"]);
    assert_eq!(w.program.models[0].lanes.len(), 2);
}

#[test]
fn a_rule_that_turns_to_the_parts_is_another_rule() {
    let mut w = world("when = \"min(cell_v) < 3[V]\"");
    w.send("\"cells\":[2, 4]");
    assert_eq!(told(&mut w), ["- Raised major 0 from 0"]);
    let next = program(&model(HEAD), &cells("when = \"cell_v < 3[V]\""));
    w.engine.reload(next.clone(), Arc::new(Registry::default()), At::from_secs(START + 5), &mut w.out);
    w.program = next;
    assert_eq!(told(&mut w), ["- RuleRemoved - 0"]);
    w.run_to(10);
    w.send("\"cells\":[2, 4]");
    assert_eq!(told(&mut w), ["cell[0] Raised major 10 from 10"]);
}
