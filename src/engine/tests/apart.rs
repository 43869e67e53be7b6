//! When a rule is looked at is its own affair: what time does to one rule does not show in another.

use super::world::{HEAD, World, model, rule};

/// What rule `r` says in a world, alone and beside another rule.
fn alone_and_beside(body: &str, beside: &str, play: impl Fn(&mut World)) -> (Vec<String>, Vec<String>) {
    let says = |rules: String| {
        let mut w = World::new(&model(HEAD), &rules);
        play(&mut w);
        w.out.retain(|d| d.rule.as_str() == "r");
        w.told()
    };
    let other = rule(beside).replace("id = \"r\"", "id = \"a\"");
    (says(rule(body)), says(format!("{other}{}", rule(body))))
}

#[test]
fn v3_a_value_expires_although_the_clock_had_run_beyond() {
    let (alone, beside) = alone_and_beside(
        "when = \"x > 5\"\n[rule.data]\nstale_after = \"1m\"",
        "when = \"y > 5\"\nhold = \"85s\"\n[rule.data]\non_gap = \"count\"",
        |w| {
            w.send("\"x\":6,\"y\":6");
            w.run_to(1);
            w.send("\"x\":6,\"y\":6");
            w.run_to(100);
            // The other rule has had its timer at 85 s; what is said of 50 s expires at 80 s.
            w.send_at(50, "\"x\":6");
            w.run_to(250);
        },
    );
    assert_eq!(alone, ["Raised major 0 from 0", "Stale major 91", "Stale major 140"]);
    assert_eq!(beside, alone);
}

#[test]
fn t5_the_silence_that_one_rule_asks_about_is_no_sample_of_another() {
    let (alone, beside) = alone_and_beside(
        "when = \"silent(30s) || x > 5\"\nconfirm = 3",
        "when = \"silent(40s) || silent(2 * usual_interval)\"",
        |w| {
            w.send("\"x\":1");
            w.run_to(12);
            w.send("\"x\":1");
            w.run_to(200);
            w.send("\"x\":6");
            w.run_to(210);
            w.send("\"x\":6");
        },
    );
    assert_eq!(alone, ["Raised major 210 from 42"], "one look at its own threshold, and two samples");
    assert_eq!(beside, alone);
}

#[test]
fn t4_a_rule_that_ignores_history_has_no_timers_in_it() {
    let mut w =
        World::new(&model(HEAD), &rule("when = \"x > 5\"\nhold = \"20s\"\n[rule.data]\non_backfill = \"ignore\""));
    for te in [1, 10] {
        w.now = te;
        w.send("\"x\":6");
    }
    // Our own outage; then what the device has kept.
    w.now = 2000;
    [15, 25, 45].into_iter().for_each(|te| w.send_at(te, "\"x\":1"));
    w.run_to(2030);
    assert_eq!(w.told(), [""; 0], "what comes late is not for it");
    w.send("\"x\":6");
    w.run_to(2060);
    assert_eq!(w.told(), ["Raised major 2030 from 1"], "and what it had begun goes on");
}
