//! Restart, redelivery, threads and reload change nothing that they should not.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::{HEAD, START, World, line, model, program, rule};
use crate::domain::{At, Change, Detection, DeviceId, Registry, shard_of};
use crate::engine::{Engine, Error};
use crate::rules::Program;

const RULES: &str = r#"
[[rule]]
id = "hot"
models = ["m"]
[[rule.level]]
name = "critical"
when = "x > 8 && rate(x, 60s) > 0.01[Hz]"
confirm = 2
clear = "x < 5"
[[rule.level]]
name = "warning"
when = "avg(x, 60s) > 5 || rises(on, 2m) >= 2"
hold = "25s"
clear_hold = "15s"
[[rule]]
id = "gone"
models = ["m"]
severity = "minor"
when = "silent(40s)"
[[rule]]
id = "trend"
models = ["m"]
severity = "major"
when = "time_to(y, 10, 2m) < 1m && prev(x) > 1 || held(on) > 30s"
[rule.data]
stale_after = "1m"
on_gap = "reset"
"#;

/// One entry of a journal.
#[derive(Debug, Clone)]
enum Entry {
    Message { at: i64, device: u8, te: i64, x: u8, y: u8, on: Option<bool> },
    Clock(i64),
}

/// Device, skew of its clock, x, y and on.
type Said = (u8, i64, u8, u8, Option<bool>);

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let message = (0_u8..4, -15_i64..3, 0_u8..12, 0_u8..12, proptest::option::of(any::<bool>()));
    let step = (0_i64..9, proptest::option::weighted(0.6, message));
    proptest::collection::vec(step, 1..200).prop_map(|steps| {
        let mut at = 0;
        let entry = |(wait, message): (i64, Option<Said>)| {
            at += wait;
            message.map_or(Entry::Clock(at), |(device, skew, x, y, on)| Entry::Message {
                at,
                device,
                te: at + skew,
                x,
                y,
                on,
            })
        };
        steps.into_iter().map(entry).collect()
    })
}

fn feed(engine: &mut Engine, program: &Program, entry: &Entry, out: &mut Vec<Detection>) {
    match entry {
        Entry::Clock(at) => engine.clock(At::from_secs(START + at), out),
        Entry::Message { at, device, te, x, y, on } => {
            let on = on.map_or(String::new(), |on| format!(",\"on\":{on}"));
            let payload = format!("{{\"ts\":{},\"x\":{x},\"y\":{y}{on}}}", START + te);
            let binding = program.models().bind(&format!("f/dev-{device}/t")).unwrap();
            engine.message(&binding, payload.as_bytes(), At::from_secs(START + at), false, out).unwrap();
        }
    }
}

fn fresh(p: &Arc<Program>) -> Engine {
    Engine::new(p.clone(), Arc::new(Registry::default()))
}

/// The order between devices is not promised, the order and the content for each device is.
fn by_device(mut out: Vec<Detection>) -> Vec<Detection> {
    out.sort_by(|a, b| a.device.cmp(&b.device));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn d4_a_restart_anywhere_changes_nothing(entries in entries(), cut in any::<prop::sample::Index>(), lateness in prop::bool::ANY) {
        let head = if lateness { format!("{HEAD}lateness = \"10s\"\n") } else { HEAD.to_owned() };
        let p = program(&model(&head), RULES);
        let (mut whole, mut broken) = (fresh(&p), fresh(&p));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let cut = cut.index(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            feed(&mut whole, &p, entry, &mut expected);
            if i == cut {
                let mut next = fresh(&p);
                for shard in 0..=255 {
                    let bytes = broken.snapshot(shard);
                    next.restore(shard, &bytes).unwrap();
                    prop_assert_eq!(next.snapshot(shard), bytes);
                }
                broken = next;
            }
            feed(&mut broken, &p, entry, &mut found);
        }
        prop_assert_eq!(by_device(expected), by_device(found));
    }

    #[test]
    fn d1_redelivery_of_a_suffix_changes_nothing(entries in entries(), cut in any::<prop::sample::Index>(), back in 1_usize..4) {
        let p = program(&model(HEAD), RULES);
        let (mut once, mut twice) = (fresh(&p), fresh(&p));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let cut = cut.index(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            feed(&mut once, &p, entry, &mut expected);
            feed(&mut twice, &p, entry, &mut found);
            if i == cut {
                // What was in flight comes again, at the time of the newest entry.
                let now = match entry { Entry::Clock(at) | Entry::Message { at, .. } => *at };
                for again in &entries[(cut + 1).saturating_sub(back)..=cut] {
                    if let Entry::Message { device, te, x, y, on, .. } = again {
                        let again = Entry::Message { at: now, device: *device, te: *te, x: *x, y: *y, on: *on };
                        feed(&mut twice, &p, &again, &mut found);
                    }
                }
            }
        }
        // Only `silent` hears a redelivery as a sign of life, if the message is not news: it is not.
        prop_assert_eq!(by_device(expected), by_device(found));
    }

    #[test]
    fn threads_change_nothing(entries in entries(), owners in prop::collection::vec(0_usize..3, 256)) {
        let p = program(&model(HEAD), RULES);
        let mut one = fresh(&p);
        let mut many = [fresh(&p), fresh(&p), fresh(&p)];
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for entry in &entries {
            feed(&mut one, &p, entry, &mut expected);
            match entry {
                Entry::Clock(_) => many.iter_mut().for_each(|e| feed(e, &p, entry, &mut found)),
                Entry::Message { device, .. } => {
                    let owner = owners[usize::from(shard_of(&format!("dev-{device}")))];
                    feed(&mut many[owner], &p, entry, &mut found);
                }
            }
        }
        prop_assert_eq!(by_device(expected), by_device(found));
    }
}

#[test]
fn reload_keeps_what_is_the_same_and_ends_what_is_gone() {
    let kept = rule("when = \"x > 5\"\nhold = \"30s\"").replace("\"r\"", "\"kept\"");
    let gone = rule("when = \"x > 5\"").replace("\"r\"", "\"gone\"");
    let mut w = World::new(&model(HEAD), &format!("{gone}{kept}"));
    w.every(10, 20, "\"x\":6");
    assert_eq!(w.told(), ["Raised major 0 from 0"]);
    let added = rule("when = \"y > avg(x, 60s)\"").replace("\"r\"", "\"added\"");
    let next = program(&model(HEAD), &format!("{added}{kept}"));
    w.engine.reload(next.clone(), Arc::new(Registry::default()), At::from_secs(START + 25), &mut w.out);
    w.program = next;
    assert_eq!((w.out[0].rule.as_str(), w.out[0].change, w.out[0].seq), ("gone", Change::RuleRemoved, 2));
    assert_eq!(w.told(), ["RuleRemoved - 20"]);
    w.run_to(30);
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Raised major 30 from 0"], "the hold went on over the reload");
}

#[test]
fn reload_finds_levels_by_name() {
    let level =
        |name: &str, at: u8| format!("[[rule.level]]\nname = \"{name}\"\nwhen = \"x > {at}\"\nclear = \"x < 1\"\n");
    let text = |levels: &[String]| format!("[[rule]]\nid = \"r\"\nmodels = [\"m\"]\n{}", levels.concat());
    let mut w = World::new(&model(HEAD), &text(&[level("major", 10), level("minor", 5)]));
    w.send("\"x\":6");
    let next = program(&model(HEAD), &text(&[level("critical", 20), level("major", 10), level("minor", 5)]));
    w.engine.reload(next.clone(), Arc::new(Registry::default()), At::from_secs(START + 1), &mut w.out);
    w.program = next;
    w.run_to(10);
    w.send("\"x\":6");
    assert_eq!(w.told(), ["Raised minor 0 from 0"], "still the same level, two places further down");
    w.run_to(20);
    w.send("\"x\":0");
    assert_eq!(w.told(), ["Cleared - 20"]);
}

#[test]
fn restore_under_other_rules_ends_what_is_gone() {
    let mut w = World::new(&model(HEAD), &rule("when = \"x > 5\""));
    w.send("\"x\":6");
    assert_eq!(w.told().len(), 1);
    let shard = shard_of("d");
    let bytes = w.engine.snapshot(shard);
    let mut next = Engine::new(program(&model(HEAD), ""), Arc::new(Registry::default()));
    next.restore(shard, &bytes).unwrap();
    let mut out = Vec::new();
    next.clock(At::from_secs(START + 60), &mut out);
    assert_eq!(out.iter().map(line).collect::<Vec<_>>(), ["RuleRemoved - 0"]);
    next.clock(At::from_secs(START + 61), &mut out);
    assert_eq!(out.len(), 1, "told once");
}

#[test]
fn damaged_snapshots_are_refused() {
    let mut w = World::new(&model(HEAD), RULES);
    w.send("\"x\":6,\"word\":\"a\"");
    let shard = shard_of("d");
    let bytes = w.engine.snapshot(shard);
    for len in 0..bytes.len() {
        assert!(w.engine.restore(shard, &bytes[..len]).is_err(), "{len}");
    }
    assert_eq!(w.engine.restore(shard, &[9, 1]), Err(Error::Version { found: 9 }));
    assert_eq!(w.engine.snapshot(shard), bytes, "a refused snapshot changes nothing");
}

#[test]
fn facts_of_watched_devices_are_told_once() {
    let mut w = World::new(&model(HEAD), &rule("when = \"x > 5\""));
    w.send("\"x\":3,\"word\":\"hi\"");
    let d = DeviceId::from("d");
    w.engine.watch(&d, true);
    let told = |w: &mut World| {
        let mut out = Vec::new();
        w.engine.changed_facts(&mut out);
        out.iter().map(|(id, at, f)| format!("{id} {} {f:?}", at.as_secs() - START)).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut w), ["d 0 {\"word\": Text(\"hi\"), \"x\": Num(3.0)}"]);
    assert_eq!(told(&mut w), [""; 0]);
    w.now = 5;
    w.send("\"x\":3,\"word\":\"ho\"");
    assert_eq!(told(&mut w), ["d 5 {\"word\": Text(\"ho\")}"]);
    w.engine.watch(&d, false);
    w.now = 6;
    w.send("\"x\":4");
    assert_eq!(told(&mut w), [""; 0]);
}

#[test]
fn engines_can_be_given_to_threads() {
    fn sendable<T: Send>() {}
    sendable::<Engine>();
}

#[test]
fn a_device_with_ten_simple_rules_takes_a_kilobyte() {
    let rules: String = (0..10)
        .map(|n| {
            rule(&format!("when = \"x > {n} && temp > 90[degC] || volt < 11[V]\"\nhold = \"30s\"\nclear = \"x < 0\""))
                .replace("\"r\"", &format!("\"r{n}\""))
        })
        .collect();
    let p = program(&model(HEAD), &rules);
    let row = p.models[0].lanes[0].words * 8;
    // Beside the row: the device itself, its last hashes, its name, and its places in the index and the queue.
    let whole = row + size_of::<super::super::device::Device>() + 4 * 16 + 32 + 48 + 16;
    assert!(whole <= 1024, "{whole} bytes, {row} of them the row");
}
