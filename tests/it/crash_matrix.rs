//! The desk dies at every single input of a case, before its record is durable and after that, for every verb: nothing is
//! lost, and nothing that must not be is done twice. (`crash.rs` kills the real daemon at the same points.)

use forewarn::desk::Config;
use forewarn::domain::{Change, Detection, Severity, Span};
use std::sync::Arc;

use super::desk_world::{Odds, World, brake, config, config_with, detection, facts, start};

/// What a case must end with, however often the desk dies on the way.
struct Row {
    name: &'static str,
    config: fn() -> Arc<Config>,
    fault: fn() -> Detection,
    /// Standing still from this second on.
    stands_after: i64,
    outcome: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        name: "reach, dispatch, ticket, wait_for",
        config: || config(|_| {}),
        fault: || brake(1, Change::Raised, start()),
        stands_after: 120,
        outcome: "served",
    },
    Row {
        name: "what undoes: a cancelled truck, an apology",
        config: || config(|_| {}),
        fault: || brake(1, Change::Raised, start()),
        stands_after: 120,
        outcome: "false_alarm",
    },
    Row {
        name: "mail",
        config: || config(|_| {}),
        fault: || detection("battery_12v.weak", Severity::Major, 1, 1, Change::Raised, start()),
        stands_after: 0,
        outcome: "served",
    },
    Row {
        name: "command",
        config: || config_with(RESET, |_| {}),
        fault: || detection("controller.hung", Severity::Minor, 1, 1, Change::Raised, start()),
        stands_after: 40,
        outcome: "served",
    },
];

const RESET: &str = r#"
schema = "playbook/1"
id = "controller-reset"
version = 1
[match]
fault = ["controller.hung"]
[case]
goals = ["corrected"]
[policy]
purpose = "service"
[[step]]
id = "fix"
do = "command"
goal = "corrected"
topic = "fleet/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"soft_reset"}'
expires = "2m"
allow = ["soft_reset"]
reply = { topic = "fleet/{{ device.id }}/cmd/ack", match = "id", within = "60s" }
verify = { expect = "device.speed < 10", within = "10m" }
on = { refused = "human:service-desk", no_reply = "human:service-desk", not_verified = "human:service-desk" }
"#;

/// Done exactly as often as without a death.
const EXACT: &[&str] = &["ticket", "dispatch"];
/// Never done more often. (A text message that had not gone out is not needed any more once the call was answered.)
const AT_MOST: &[&str] = &["command", "sms", "mail", "ticket close"];

fn played(row: &Row, crash_at: Option<(u64, bool)>) -> World {
    let keys = if row.outcome == "false_alarm" { vec!['9'] } else { vec!['1'] };
    let mut world = World::new((row.config)(), Odds { slips: 0, keys, ..Odds::friendly() }, 1);
    world.crash_at = crash_at;
    world.later(Span::from_millis(1), forewarn::desk::Input::Detection(Box::new((row.fault)())));
    for i in 0..60 {
        let after = Span::from_secs(i * 30);
        let speed = if i * 30 >= row.stands_after { 0.0 } else { 60.0 };
        world.later(after, facts(speed, start() + after));
    }
    world.run(start() + Span::from_hours(3));
    world
}

#[test]
fn killed_at_every_input_before_and_after_the_commit() {
    let (mut deaths, mut persons) = (0, 0);
    for row in ROWS {
        let calm = played(row, None);
        let outcome = |w: &World| w.desk.list(true, 10).iter().map(|c| c.outcome.clone()).collect::<Vec<_>>();
        assert_eq!(outcome(&calm), [Some(row.outcome.to_owned())], "{}: {}", row.name, calm.timeline());
        for at in 0..calm.steps {
            for durable in [false, true] {
                let world = played(row, Some((at, durable)));
                let which = format!("{}, input {at}, durable: {durable}", row.name);
                assert_eq!(world.crashes, 1, "{which}");
                // Or a person has been asked: of a mail that may have gone out nobody can ever tell.
                let asked = world.timeline().contains(" is paged: ");
                assert!(asked || outcome(&world) == outcome(&calm), "{which}: {}", world.timeline());
                persons += u32::from(asked);
                let (done, usual) = (world.done(), calm.done());
                let count = |of: &std::collections::BTreeMap<&str, u32>, kind: &str| of.get(kind).copied().unwrap_or(0);
                for kind in EXACT.iter().copied() {
                    assert_eq!(count(&done, kind), count(&usual, kind), "{which}: {kind}\n{}", world.timeline());
                }
                for kind in AT_MOST.iter().copied() {
                    assert!(count(&done, kind) <= count(&usual, kind), "{which}: {kind}\n{}", world.timeline());
                }
                // Taking back twice is taking back; not at all would be a truck for nothing.
                assert!(count(&done, "dispatch cancel") >= count(&usual, "dispatch cancel"), "{which}: no cancel");
                // A second call is better than none, for safety; never a third, and it is marked.
                let more = count(&done, "call").saturating_sub(count(&usual, "call"));
                assert!(more <= 1, "{which}: {more} more calls\n{}", world.timeline());
                deaths += 1;
            }
        }
    }
    println!("{deaths} deaths, in {persons} cases a person was asked");
    assert!(deaths > 200 && persons < deaths / 20, "{deaths} deaths, {persons} persons asked");
}
