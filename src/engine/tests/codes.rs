//! Trouble codes: questions to the set of them, and rules that watch each of them.

use std::sync::Arc;

use super::world::{HEAD, World, line, model, rule};
use crate::domain::Registry;
use crate::engine::Engine;

fn world(body: &str) -> World {
    World::new(&model(HEAD), &rule(body))
}

/// A rule for each code.
fn codes(body: &str) -> World {
    world(&format!("each = \"dtc\"\n{body}"))
}

/// `(component, change, device time)` of what was detected since the last call.
fn told(w: &mut World) -> Vec<String> {
    let name = |c: Option<&crate::domain::Component>| c.map_or("-".to_owned(), ToString::to_string);
    w.out.drain(..).map(|d| format!("{} {}", name(d.component.as_ref()), line(&d))).collect()
}

/// How many codes found no room since the last call.
fn refused(w: &mut World) -> u64 {
    let counts = w.engine.take_counts();
    counts.iter().filter(|((name, _), _)| *name == "forewarn_codes_refused_total").map(|(_, n)| n).sum()
}

/// Sends each of these lists 10 s after the one before, the first at 0.
fn send(w: &mut World, lists: &[&str]) {
    for (ix, list) in lists.iter().enumerate() {
        w.run_to(i64::try_from(ix).unwrap() * 10);
        w.send(&format!("\"dtc\":{list}"));
    }
}

/// What a condition is after each of these messages: `y`, `n`, or `?` for unknown.
fn answers(condition: &str, messages: &[&str]) -> String {
    let body = format!(
        "[[rule.level]]\nname = \"critical\"\nwhen = \"(true || x > 0) && ({condition})\"\nclear = \"true\"\n\
         [[rule.level]]\nname = \"minor\"\nwhen = \"(true || x > 0) && !({condition})\"\nclear = \"true\"\n"
    );
    let mut w = World::new(&model(HEAD), &format!("[[rule]]\nid = \"r\"\nmodels = [\"m\"]\n{body}"));
    let mut said = String::new();
    for fields in messages {
        w.now += 10;
        w.send(&format!("\"x\":1,{fields}"));
        let level = w.out.iter().rev().find_map(|d| d.level.as_ref().map(|l| l.name.clone()));
        said.push(match level.as_deref() {
            Some("critical") => 'y',
            Some(_) => 'n',
            None => '?',
        });
        w.out.clear();
    }
    said
}

#[test]
fn questions_to_the_set() {
    let lists = [
        "\"y\":1",
        "\"dtc\":[]",
        "\"dtc\":[\"P0301\"]",
        "\"y\":1",
        "\"dtc\":[\"P0301\",\"P0420\"]",
        "\"dtc\":[\"P0420\"]",
        "\"dtc\":null",
        "\"dtc\":[]",
    ];
    for (condition, expected) in [
        ("active(dtc)", "?nyyyy?n"),
        ("active(dtc, 'P0301')", "?nyyyn?n"),
        ("active(dtc, 'P04*')", "?nnnyy?n"),
        ("active(dtc, codes.obd2.class == 'misfire')", "?nyyyn?n"),
        ("active(dtc, class in ['misfire', 'emission'])", "?nyyyy?n"),
        ("active(dtc, !(class == 'misfire') && 'P*')", "?nnnyy?n"),
        ("active(dtc, codes.obd2.severity == 'critical')", "?nnnnn?n"),
        ("active_for(dtc) > 10s", "?nnnyn?n"),
        ("active_for(dtc, 'P0301') >= 20s", "?nnnyn?n"),
        ("known(active(dtc))", "nyyyyyny"),
    ] {
        assert_eq!(answers(condition, &lists), expected, "{condition}");
    }
}

#[test]
fn appeared_and_cleared_are_true_at_their_message_only() {
    let lists = [
        "\"dtc\":[]",
        "\"dtc\":[\"P0301\"]",
        "\"y\":1",
        "\"dtc\":[\"P0301\",\"P0420\"]",
        "\"dtc\":[]",
        "\"dtc\":[\"P0301\"]",
    ];
    assert_eq!(answers("appeared(dtc)", &lists), "nynyny");
    assert_eq!(answers("appeared(dtc, 'P0301')", &lists), "nynnny");
    assert_eq!(answers("cleared(dtc)", &lists), "nnnnyn");
    assert_eq!(answers("cleared(dtc, 'P0420')", &lists), "nnnnyn");
    assert_eq!(answers("appeared(dtc)", &["\"dtc\":[\"P0301\"]"]), "y", "there from the first list on");
}

#[test]
fn lists_that_cannot_be_read_clear_nothing() {
    let lists = ["\"dtc\":[\"P0301\"]", "\"dtc\":[null]", "\"dtc\":\"P0301\"", "\"dtc\":[\"P0420\",{}]"];
    assert_eq!(answers("active(dtc, 'P0301')", &lists), "y???");
    assert_eq!(answers("active(dtc, 'P0420')", &lists), "n??y");
}

#[test]
fn codes_may_be_numbers() {
    assert_eq!(answers("active(dtc, '110')", &["\"dtc\":[110, 111]"]), "y");
}

#[test]
fn new_codes_are_cleared_by_their_time_to_live() {
    let mut w = world("when = \"active(alarm)\"");
    w.run_to(1);
    w.send("\"alarm\":[\"A1\"]");
    w.run_to(30);
    w.send("\"alarm\":[]");
    w.run_to(50);
    w.send("\"alarm\":[\"A2\"]");
    w.run_to(200);
    assert_eq!(told(&mut w), ["- Raised major 1 from 1", "- Cleared - 110"], "A2 has not been sent for a minute");
    assert_eq!(answers("active_for(alarm) > 0s", &["\"alarm\":[\"A1\"]", "\"alarm\":[]"]), "ny");
}

#[test]
fn each_code_has_an_episode_of_its_own() {
    let mut w = codes(
        "when = \"appeared(dtc, class in ['misfire', 'emission'])\"\nclear = \"cleared(dtc)\"\n\
         [rule.case]\ntitle = \"{code}: {codes.obd2.text}, {component}\"",
    );
    send(
        &mut w,
        &[
            "[]",
            "[\"P0301\",\"U0100\"]",
            "[\"P0301\"]",
            "[\"P0301\",\"P0420\"]",
            "[\"P0420\"]",
            "[\"P0420\",\"P0301\"]",
        ],
    );
    assert_eq!(w.out[0].title, "P0301: Cylinder 1 misfires, P0301");
    assert_ne!(w.out[0].episode, w.out[1].episode);
    assert_eq!(
        told(&mut w),
        [
            "P0301 Raised major 10 from 10",
            "P0420 Raised major 30 from 30",
            "P0301 Cleared - 40",
            "P0301 Raised major 50 from 50"
        ],
        "one episode a code, not one a message"
    );
}

#[test]
fn a_code_appears_once_even_if_its_episode_ends_before_it_is_gone() {
    let mut w = codes("when = \"appeared(dtc)\"\nclear = \"cleared(dtc) || x > 5\"");
    send(&mut w, &["[\"P0301\"]", "[\"P0301\"],\"x\":6", "[\"P0301\"],\"x\":1", "[]", "[\"P0301\"]"]);
    assert_eq!(
        told(&mut w),
        ["P0301 Raised major 0 from 0", "P0301 Cleared - 10", "P0301 Raised major 40 from 40"],
        "until it has been gone"
    );
}

#[test]
fn a_code_is_confirmed_by_messages_ten_seconds_apart() {
    let mut w = codes("when = \"appeared(dtc)\"\nconfirm = 2\nclear = \"cleared(dtc)\"");
    for (second, list) in [(0, "[\"P0301\"]"), (1, "[\"P0301\"]"), (9, "[\"P0301\"]"), (10, "[\"P0301\"]")] {
        w.run_to(second);
        w.send(&format!("\"dtc\":{list}"));
        assert_eq!(w.out.len(), usize::from(second == 10), "at {second}");
    }
    let mut w = codes("when = \"appeared(dtc)\"\nconfirm = 2\nclear = \"cleared(dtc)\"");
    send(&mut w, &["[\"P0301\"]", "[]", "[\"P0301\"]", "[]"]);
    assert_eq!(told(&mut w), [""; 0], "it flaps");
}

#[test]
fn dtc_service() {
    let mut w = World::new(
        // With one kind of codes `each = "code"` is enough.
        &model(&HEAD.replace("report_every = \"10s\"\n", ""))
            .replace("type = \"codes\", send = \"new\"", "type = \"text\""),
        r#"
[[rule]]
id = "dtc-service"
models = ["m"]
each = "code"
[[rule.level]]
name = "critical"
when = "appeared(dtc, codes.obd2.class in ['misfire','oil'])"
confirm = 2
clear = "cleared(dtc)"
[[rule.level]]
name = "minor"
when = "active_for(dtc, codes.obd2.class == 'emission') > 3d"
clear = "cleared(dtc)"
clear_hold = "1d"
[rule.case]
title = "{code}: {codes.obd2.text}"
"#,
    );
    let day = 86_400;
    for hour in 0..24 * 7 {
        w.now = hour * 3_600;
        let list = match hour {
            0..96 => "[\"P0420\",\"P0301\"]",
            _ => "[]",
        };
        w.send(&format!("\"dtc\":{list}"));
    }
    let titles: Vec<String> = w.out.iter().map(|d| d.title.clone()).collect();
    assert_eq!(titles[0], "P0301: Cylinder 1 misfires");
    assert_eq!(
        told(&mut w),
        [
            "P0301 Raised critical 3600 from 0".to_owned(),
            format!("P0420 Raised minor {} from {}", 3 * day + 3_600, 3 * day + 3_600),
            format!("P0301 Cleared - {}", 4 * day),
            format!("P0420 Cleared - {}", 5 * day),
        ]
    );
}

#[test]
fn a_device_names_its_active_codes() {
    let mut w = world("when = \"active(dtc, 'P*')\"");
    w.send("\"dtc\":[\"U0100\",\"P0301\"]");
    let evidence: Vec<String> = w.out[0].evidence.iter().map(|e| format!("{}={}", e.name, e.value)).collect();
    assert_eq!(evidence, ["dtc=P0301, U0100", "active(dtc, 'P*')=true"]);
}

#[test]
fn the_set_is_bounded_and_cleared_codes_make_room() {
    let mut w = codes("when = \"appeared(dtc, 'P*')\"\nclear = \"cleared(dtc)\"");
    let many = |range: std::ops::Range<usize>| format!("{:?}", range.map(|n| format!("P{n:04}")).collect::<Vec<_>>());
    w.send(&format!("\"dtc\":{}", many(0..300)));
    assert_eq!(w.out.len(), 256, "the others are not followed");
    assert_eq!(refused(&mut w), 44);
    w.out.clear();
    w.run_to(10);
    w.send(&format!("\"dtc\":{}", many(10..20)));
    assert_eq!(w.out.len(), 246);
    w.out.clear();
    w.run_to(20);
    w.send(&format!("\"dtc\":{}", many(290..300)));
    let raised = w.out.iter().filter(|d| d.change == crate::domain::Change::Raised).count();
    assert_eq!((raised, refused(&mut w)), (10, 0), "the cleared ones have made room");
}

#[test]
fn a_code_with_an_open_episode_does_not_make_room() {
    let mut w = codes("when = \"appeared(dtc, 'P*')\"\nclear = \"cleared(dtc)\"\nclear_hold = \"1h\"");
    let many = |range: std::ops::Range<usize>| format!("{:?}", range.map(|n| format!("P{n:04}")).collect::<Vec<_>>());
    w.send(&format!("\"dtc\":{}", many(0..256)));
    w.run_to(10);
    w.send("\"dtc\":[]");
    w.run_to(20);
    w.send("\"dtc\":[\"P9999\"]");
    assert_eq!(refused(&mut w), 1);
}

#[test]
fn late_lists_move_no_code() {
    let mut w = codes("when = \"appeared(dtc)\"\nclear = \"cleared(dtc)\"");
    send(&mut w, &["[]", "[\"P0301\"]"]);
    w.send_at(5, "\"dtc\":[\"P0420\"]");
    assert_eq!(told(&mut w), ["P0301 Raised major 10 from 10"]);
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let lists = [
        "[]",
        "[\"P0301\"]",
        "[\"P0301\",\"P0420\"]",
        "[\"P0420\"]",
        "[\"P0301\"]",
        "[\"P0301\"]",
        "[]",
        "[\"P0301\"]",
    ];
    let run = |cut: usize| {
        let mut w = codes(
            "when = \"appeared(dtc, 'P03*') && active_for(dtc) >= 0s\"\nconfirm = 2\nclear = \"cleared(dtc)\"\nclear_hold = \"5s\"",
        );
        for (ix, list) in lists.iter().enumerate() {
            w.run_to(i64::try_from(ix).unwrap() * 10);
            w.send(&format!("\"dtc\":{list}"));
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
        w.run_to(120);
        told(&mut w)
    };
    let whole = run(usize::MAX);
    assert!(!whole.is_empty());
    for cut in 0..lists.len() {
        assert_eq!(run(cut), whole, "cut after {cut}");
    }
}

#[test]
fn a_reload_goes_by_the_code_table_of_now() {
    let body = "each = \"dtc\"\nwhen = \"active(dtc, class == 'oil')\"";
    let mut w = world(body);
    w.send("\"dtc\":[\"P0301\"]");
    assert_eq!(told(&mut w), [""; 0]);
    let tables = "code,class,severity,text\nP0301,oil,,\n";
    let next = super::world::program_with(&model(HEAD), &rule(body), tables);
    let at = crate::domain::At::from_secs(super::world::START + 5);
    w.engine.reload(next.clone(), Arc::new(Registry::default()), at, &mut w.out);
    w.program = next;
    w.run_to(10);
    w.send("\"dtc\":[\"P0301\"]");
    assert_eq!(told(&mut w), ["P0301 Raised major 10 from 10"]);
}
