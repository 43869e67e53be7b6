//! Levels: hold, confirm, clear, and which one wins.

use super::world::{HEAD, START, World, model, rule};
use crate::engine::Phase;

fn world(body: &str) -> World {
    World::new(&model(HEAD), &rule(body))
}

#[test]
fn levels_ok_pending_level_clearing_ok() {
    let mut w = world("when = \"x > 5\"\nhold = \"30s\"\nclear = \"x < 4\"\nclear_hold = \"25s\"");
    w.every(10, 30, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 30 from 0"]);
    w.run_to(40);
    w.every(10, 50, "\"x\":4.5");
    assert_eq!(w.told(), [""; 0]);
    w.run_to(60);
    w.every(10, 70, "\"x\":3");
    assert_eq!(w.told(), [""; 0], "clearing since 60");
    w.run_to(80);
    w.send("\"x\":4.5");
    w.run_to(90);
    w.every(10, 110, "\"x\":3");
    w.run_to(120);
    assert_eq!(w.told(), ["Cleared - 115"], "clearing began anew at 90");
}

#[test]
fn levels_highest_wins_and_may_go_down() {
    let levels = "[[rule.level]]\nname = \"critical\"\nwhen = \"x > 10\"\nclear = \"x < 9\"\n\
                  [[rule.level]]\nname = \"warning\"\nwhen = \"x > 5\"\nclear = \"x < 4\"\n";
    let mut w = World::new(&model(HEAD), &format!("[[rule]]\nid = \"r\"\nmodels = [\"m\"]\n{levels}"));
    for (second, x) in [(0, 6), (10, 11), (20, 8), (30, 3), (40, 12), (50, 1)] {
        w.run_to(second);
        w.send(&format!("\"x\":{x}"));
    }
    let seqs: Vec<u32> = w.out.iter().map(|d| d.seq).collect();
    let ids: Vec<_> = w.out.iter().map(|d| d.episode).collect();
    assert_eq!(
        w.told(),
        [
            "Raised warning 0 from 0",
            "Moved critical 10",
            "Moved warning 20",
            "Cleared - 30",
            "Raised critical 40 from 40",
            "Cleared - 50"
        ]
    );
    assert_eq!(seqs, [1, 2, 3, 4, 1, 2]);
    assert!(ids[0] == ids[3] && ids[3] != ids[4] && ids[4] == ids[5]);
}

#[test]
fn levels_clear_defaults_to_not_when() {
    let mut w = world("when = \"x > 5\"");
    for (second, x) in [(0, "6"), (10, "5"), (20, "7"), (30, "null"), (40, "1")] {
        w.run_to(second);
        w.send(&format!("\"x\":{x}"));
    }
    assert_eq!(w.told(), ["Raised major 0 from 0", "Cleared - 10", "Raised major 20 from 20", "Cleared - 40"]);
}

#[test]
fn levels_confirm_wants_consecutive_samples() {
    let mut w = world("when = \"x > 5\"\nconfirm = 3");
    for (second, x) in [(0, 6), (10, 6), (20, 1), (30, 6), (40, 6), (50, 6)] {
        w.run_to(second);
        w.send(&format!("\"x\":{x}"));
    }
    assert_eq!(w.told(), ["Raised major 50 from 30"]);
}

#[test]
fn levels_evidence_facts_and_title() {
    let mut w = world(
        "when = \"double > 10[V]\"\n[rule.let]\ndouble = \"volt * 2\"\n[rule.case]\ntitle = \"{volt}, twice {double} {{{mode}}} {word}\"",
    );
    w.send("\"volt\":6.25,\"x\":3,\"mode\":\"ac\",\"word\":\"hi\"");
    let d = &w.out[0];
    assert_eq!(d.title, "6.25 V, twice 12.5 V {ac} hi");
    let evidence: Vec<String> = d.evidence.iter().map(|e| format!("{}={}{}", e.name, e.value, e.unit)).collect();
    assert_eq!(evidence, ["double=12.5V", "volt=6.25V"]);
    let facts: Vec<String> = d.facts.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(facts, ["word=hi", "x=3"]);
}

#[test]
fn levels_the_sample_that_ends_an_episode_may_begin_the_next() {
    let mut w = world("when = \"x > 5\"\nclear = \"true\"");
    for (second, x) in [(0, 6), (10, 6), (20, 1), (30, 6)] {
        w.run_to(second);
        w.send(&format!("\"x\":{x}"));
    }
    assert_eq!(
        w.told(),
        ["Raised major 0 from 0", "Cleared - 10", "Raised major 10 from 10", "Cleared - 20", "Raised major 30 from 30"]
    );
}

#[test]
fn a_trace_tells_every_phase_and_costs_nothing_unless_asked_for() {
    let text = rule("when = \"x > 5\"\nhold = \"20s\"\nclear_hold = \"20s\"");
    let run = |trace: bool| {
        let mut w = World::new(&model(HEAD), &text);
        w.engine.trace(trace);
        w.every(10, 30, "\"x\":6");
        w.run_to(40);
        w.every(10, 70, "\"x\":1");
        w.engine.take_turns().iter().map(|t| (t.phase, t.at.as_secs() - START)).collect::<Vec<_>>()
    };
    assert_eq!(run(true), [(Phase::Pending, 0), (Phase::On, 20), (Phase::Clearing, 40), (Phase::Off, 60)]);
    assert_eq!(run(false), []);
}
