//! Steps in order: A, then B in time, unless C.

use super::world::{HEAD, World, model, rule};

/// A is x > 5, B is y > 5, C is `on`; `how` goes to [rule.sequence], `clear` is the mode `ac`.
fn steps(how: &str) -> String {
    rule(&format!(
        "[[rule.step]]\nname = \"A\"\nwhen = \"x > 5\"\n[[rule.step]]\nname = \"B\"\nwhen = \"y > 5\"\nwithin = \"60s\"\n\
         unless = \"on\"\n[rule.sequence]\nclear = \"mode == 'ac'\"\n{how}"
    ))
}

fn world(how: &str) -> World {
    World::new(&model(HEAD), &steps(how))
}

/// What a message of these letters says: A, B and C are true in capitals and false otherwise, `?` leaves A unknown, `!`
/// clears.
fn fields(letters: &str) -> String {
    let field = |c: char| match c {
        'A' => "\"x\":6".to_owned(),
        'a' => "\"x\":1".to_owned(),
        '?' => "\"x\":null".to_owned(),
        'B' => "\"y\":6".to_owned(),
        'b' => "\"y\":1".to_owned(),
        'C' => "\"on\":true".to_owned(),
        'c' => "\"on\":false".to_owned(),
        '!' => "\"mode\":\"ac\"".to_owned(),
        _ => "\"mode\":\"no\"".to_owned(),
    };
    letters.chars().map(field).collect::<Vec<_>>().join(",")
}

/// Tells the story `10 A, 20 B`: seconds and letters.
fn tell(w: &mut World, story: &str) -> Vec<String> {
    for line in story.split(", ") {
        let (at, letters) = line.split_once(' ').unwrap();
        w.now = at.parse().unwrap();
        w.send(&fields(letters));
    }
    w.told()
}

#[test]
fn b_after_a_in_time_and_without_c() {
    for (story, told) in [
        ("10 a, 20 A, 30 B", "Raised major 30 from 20"),
        ("10 A, 30 B", "Raised major 30 from 10"),
        ("10 A, 70 B", "Raised major 70 from 10"),
        ("10 A, 71 B", ""),
        ("10 B, 20 A", ""),
        ("10 AB", ""),
        // B lasts: it is true after A as well.
        ("10 AB, 20 B", "Raised major 20 from 10"),
        ("10 A, 20 C, 30 cB", ""),
        ("10 A, 20 CB", ""),
        ("10 C, 20 Ac, 30 B", "Raised major 30 from 20"),
        // A starts a match when it becomes true, not with every sample.
        ("10 A, 50 A, 80 B", ""),
        ("10 A, 50 a, 60 A, 80 B", "Raised major 80 from 60"),
        // Unknown is neither: A has not become true anew, and it does not end the match.
        ("10 A, 50 ?, 60 A, 80 B", ""),
        ("10 A, 20 ?, 30 B", "Raised major 30 from 10"),
        // An episode is over when `clear` is true, and the next one takes a new match.
        (
            "10 A, 20 B, 30 !, 40 .B, 50 ab, 60 A, 70 B",
            "Raised major 20 from 10; Cleared - 30; Raised major 70 from 60",
        ),
    ] {
        assert_eq!(tell(&mut world(""), story).join("; "), told, "{story}");
    }
}

#[test]
fn start_every_begins_with_each_sample_of_a() {
    assert_eq!(tell(&mut world("start = \"every\""), "10 A, 50 A, 80 B"), ["Raised major 80 from 50"]);
    let story = "10 A, 20 A, 30 a, 75 B";
    assert_eq!(tell(&mut world("start = \"every\"\noverlap = 2"), story), ["Raised major 75 from 20"]);
}

#[test]
fn overlap_says_how_many_matches_are_under_way() {
    let story = "10 A, 20 a, 30 A, 40 a, 50 A, 60 B";
    assert_eq!(
        tell(&mut world("overlap = 1"), story),
        ["Raised major 60 from 50"],
        "the newest replaces the older one"
    );
    // The two newest; the first of them that is complete is told.
    assert_eq!(tell(&mut world("overlap = 2"), story).len(), 1);
    let body = "[[rule.step]]\nname = \"A\"\nwhen = \"x > 5\"\n[[rule.step]]\nname = \"B\"\nwhen = \"y > 5\"\n\
                within = \"60s\"\n[[rule.step]]\nname = \"C\"\nwhen = \"on\"\nwithin = \"60s\"\n[rule.sequence]\n\
                clear = \"mode == 'ac'\"\n";
    // With one match, the second A takes the place of the one that has come to B.
    for (overlap, told) in [(1, ""), (2, "Raised major 50 from 10")] {
        let mut w = World::new(&model(HEAD), &rule(&format!("{body}overlap = {overlap}")));
        assert_eq!(tell(&mut w, "10 A, 20 B, 30 ab, 40 A, 50 C").join("; "), told, "{overlap}");
    }
}

#[test]
fn three_steps_each_in_time_after_the_one_before() {
    let body = "[[rule.step]]\nname = \"A\"\nwhen = \"x > 5\"\n[[rule.step]]\nname = \"B\"\nwhen = \"y > 5\"\n\
                within = \"60s\"\n[[rule.step]]\nname = \"C\"\nwhen = \"on\"\nwithin = \"param.wait\"\n\
                unless = \"mode == 'dc'\"\n[rule.sequence]\nclear = \"mode == 'ac'\"\n";
    for (story, told) in [
        ("10 A, 60 B, 90 C", "Raised major 90 from 10"),
        ("10 A, 60 B, 91 C", ""),
        ("10 A, 20 C, 30 B, 40 c", ""),
        ("10 A, 60 B, 60 C, 70 C", "Raised major 70 from 10"),
    ] {
        let mut w = World::new(&model(HEAD), &rule(body));
        assert_eq!(tell(&mut w, story).join("; "), told, "{story}");
    }
}

#[test]
fn the_evidence_says_when_each_step_was_taken() {
    let mut w = world("");
    tell(&mut w, "10 A, 20 a");
    w.now = 45;
    w.send(&fields("B"));
    let evidence: Vec<_> = w.out[0].evidence.iter().take(2).map(|e| format!("{} {}", e.name, e.value)).collect();
    assert_eq!(evidence, ["A 35", "B 0"]);
    assert_eq!(w.out[0].evidence[0].unit, "s");
}

#[test]
fn a_step_that_does_not_come_raises_if_that_is_asked_for() {
    for (how, came, missed) in [
        ("false", "Raised major 30 from 10", ""),
        ("true", "Raised major 30 from 10", "Raised major 70 from 10"),
        ("\"only\"", "", "Raised major 70 from 10"),
    ] {
        let how = format!("timeout_event = {how}");
        assert_eq!(tell(&mut world(&how), "10 A, 30 B, 60 b, 90 b, 120 b").join("; "), came, "{how}");
        // A sample shows that the time is over as well as the clock does.
        assert_eq!(tell(&mut world(&how), "10 A, 40 a, 65 b, 90 b, 91 b").join("; "), missed, "{how}");
        let mut w = world(&how);
        w.run_to(10);
        w.send(&fields("A"));
        w.run_to(100);
        assert_eq!(w.told().join("; "), missed, "{how} by the clock");
        w.send(&fields("!"));
        w.run_to(300);
        w.send(&fields(".a"));
        w.run_to(400);
        assert_eq!(w.told().len(), usize::from(!missed.is_empty()), "told once, and cleared");
    }
}

#[test]
fn t5_a_missing_step_is_not_told_of_our_own_outage() {
    let mut w = world("timeout_event = true");
    w.run_to(10);
    w.send(&fields("A"));
    w.run_to(20);
    w.outage_to(500);
    w.run_to(559);
    assert_eq!(w.told(), [""; 0], "10 s of the 60 have passed that we could have heard it in, and then the grace");
    w.run_to(620);
    assert_eq!(w.told(), ["Raised major 70 from 10"]);
    // B's own time decides: it was in time, and reaches us after the outage.
    let mut w = world("timeout_event = true");
    w.run_to(10);
    w.send(&fields("A"));
    w.run_to(20);
    w.outage_to(500);
    w.send_at(60, &fields("B"));
    assert_eq!(w.told(), ["Raised major 60 from 10"]);
    // After a hole that no sample covers nobody can say that it did not come.
    assert_eq!(tell(&mut world("timeout_event = true"), "10 A, 500 a, 510 B"), [""; 0]);
}

#[test]
fn late_and_repeated_steps_are_no_steps() {
    let mut w = world("");
    assert_eq!(tell(&mut w, "10 A, 20 a"), [""; 0]);
    w.now = 30;
    w.send_at(15, &fields("B"));
    w.send_at(20, &fields("a"));
    assert_eq!(w.told(), [""; 0], "late: it moves no level");
}

#[test]
fn matches_survive_a_restart_and_a_reload() {
    let mut w = world("");
    tell(&mut w, "10 A, 20 a");
    w.restart();
    w.reload(&format!("{}{}", rule("when = \"temp > 90[degC]\"").replace("\"r\"", "\"s\""), steps("")));
    assert_eq!(tell(&mut w, "30 B"), ["Raised major 30 from 10"]);
    // Other steps are another sequence: what was under way is forgotten.
    let mut w = world("");
    tell(&mut w, "10 A, 20 a");
    w.reload(&steps("overlap = 2").replace("x > 5", "x > 4"));
    assert_eq!(tell(&mut w, "30 B"), [""; 0]);
}

#[test]
fn steps_of_events() {
    let body = "[[rule.step]]\nname = \"cmd\"\nwhen = \"code == 'start'\"\n[[rule.step]]\nname = \"ack\"\n\
                when = \"code == 'ack'\"\nwithin = \"30s\"\n[rule.sequence]\ntimeout_event = \"only\"\n\
                clear = \"happened(code == 'ack', 10s)\"\n";
    let mut w = World::new(&model(HEAD), &rule(body));
    for (at, code) in [(0, "start"), (20, "ack"), (40, "start"), (50, "start"), (90, "other"), (100, "ack")] {
        w.run_to(at);
        w.send(&format!("\"code\":\"{code}\""));
        w.send("\"x\":1");
    }
    assert_eq!(w.told(), ["Raised major 80 from 50", "Cleared - 100"], "each start is a start of its own");
}

#[test]
fn each_part_has_matches_of_its_own() {
    let body = "each = \"door\"\n[[rule.step]]\nname = \"A\"\nwhen = \"door == 'open'\"\n[[rule.step]]\nname = \"B\"\n\
                when = \"on && door != 'open'\"\nwithin = \"60s\"\n[rule.sequence]\nclear = \"x > 5\"\n";
    let mut w = World::new(&model(HEAD), &rule(body));
    w.send("\"doors\":[\"closing\",\"open\"],\"on\":false");
    w.now = 10;
    w.send("\"doors\":[\"closing\",\"closing\"]");
    w.now = 20;
    w.send("\"on\":true");
    let component = w.out[0].component.as_ref().map(ToString::to_string);
    assert_eq!((w.told().join("; "), component.as_deref()), ("Raised major 20 from 0".to_owned(), Some("door[1]")));
}
