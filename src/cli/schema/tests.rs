//! `tests/*.toml`.

use super::Shape::{Any, Count, Duration, Either, Map, Number, Open, Several, Tables, Text, Word};
use super::{Key, key, need};

const EXPECT: &[Key] = &[
    key("at", Text, "Device time: +170s after the start; the end unless stated"),
    key("from", Text, "All the time from here …"),
    key("to", Text, "… to here"),
    key("level", Several(&Text), "A level, ok, pending, clearing or stale; a list: one of them"),
    key("title", Text, "A part of the title of the last detection"),
    key("evidence", Map(&Any), "Values of the last detection: \"3[K/min] ± 0.1\""),
    key("component", Text, "Whose level: cell[3]"),
    key("device", Text, "Whose level"),
    key("episodes", Count, "How many have begun so far"),
    key("raised_at", Text, "When the newest one was raised: +160s ± 10s"),
    key("cleared_at", Text, "When it was cleared"),
];

const VARY: &[Key] = &[
    key("kill_at", Text, "random, or a time: the process dies there and starts again from an older checkpoint"),
    key("redeliver", Number, "So many of the messages come twice, 0..1"),
    key("shuffle", Duration, "Messages arrive up to so much later, in any order"),
    key("split", Number, "So many of the messages come in two parts, 0..1"),
    key("batch", Duration, "Messages arrive together, at the end of each such interval"),
    key("runs", Count, "With so many seeds"),
    key("seed", Count, "With this one alone"),
];

const ALSO: &[Key] = &[
    need("id", Text, "Its id"),
    need("series", Map(&Text), "What it sends"),
    key("copies", Count, "So many of them: id-1, id-2, …"),
    key("model", Text, "Its model, if it is another one"),
    key("like", Text, "The device of the registry that it is otherwise like"),
    key("params", Map(&Any), "Its own parameters"),
];

/// In a test whose fault is given they say facts, in one with a rule they send.
const OTHERS: &[Key] = &[
    need("id", Text, "Its id"),
    key("copies", Count, "So many of them: id-1, id-2, …"),
    key("like", Text, "The device of the registry that it is otherwise like"),
    key("facts", Map(&Text), "What it says: speed = \"80x3, 0x60\""),
    key("cleared", Text, "Its fault ends: +30m"),
    key("series", Map(&Text), "What it sends, in a test with `rule`"),
    key("model", Text, "Its model, if it is another one"),
    key("params", Map(&Any), "Its own parameters"),
];

const LATE: &[Key] = &[
    key("from", Text, "What was measured from here …"),
    key("to", Text, "… to here …"),
    need("by", Duration, "… arrives so much later"),
];

const TEST: &[Key] = &[
    key("name", Text, "Shown in reports"),
    need("rule", Text, "The rule that is tested"),
    key("model", Text, "If the rule watches several"),
    key("start", Text, "2026-01-10T08:00:00Z"),
    key("every", Duration, "Between two values of a series; report_every of the model unless stated"),
    key("device", Either(&[Text, Map(&Any)]), "A device of the registry, or its line of it"),
    need("series", Map(&Text), "900x60 · 90+2x11 · _x4 · nan"),
    key("also", Open(ALSO), "Further devices; what else is said is what the registry would say"),
    key("late", Tables(LATE), "What arrives late"),
    need("expect", Tables(EXPECT), "What must be so"),
    key("vary", Tables(VARY), "Each expectation must hold for these, too"),
];

const PLAYBOOK: &[Key] = &[
    key("name", Text, "Shown in reports"),
    need("device", Either(&[Text, Map(&Any)]), "A device of the registry; in a test with `rule` also its line of it"),
    key("fault", Text, "What breaks"),
    key("severity", Text, "How bad it is"),
    key("lead", Text, "5d..30d: until the breakdown, as a rule of the fault would promise"),
    key("cleared", Text, "The fault ends: +30m; never unless stated"),
    key("start", Text, "When it begins"),
    key("until", Text, "The end of the test: +2h"),
    key("every", Duration, "Between two values of a fact, or of a series"),
    key("rule", Text, "Instead of `fault`: the rule that finds it in what is sent"),
    key("model", Text, "If the rule watches several"),
    key("series", Map(&Text), "What is sent: 900x60 · 90+2x11 · _x4 · nan"),
    key("also", Open(OTHERS), "Further devices with the fault; what else is said is what the registry would say"),
    key("late", Tables(LATE), "What arrives late"),
    key(
        "act",
        Tables(&[
            need("at", Text, "When: +30m"),
            key("release", Text, "The rule whose held cases may go on; \"fleet\": those of the storm"),
            key("approve", Text, "The tier of the storm that may be told"),
            key("stop", Word(&["on", "all", "off"]), "The stop switch of everything, or of the case of `device`"),
            key("device", Text, "Whose stop switch; \"fleet\": that of the storm"),
            key("close", Text, "The device whose case is closed"),
        ]),
        "What people do",
    ),
    key("facts", Map(&Text), "What the device says: speed = \"80x3, 0x60\""),
    key("world", Map(&Several(&Text)), "What comes of each channel, in turn: call = [\"no answer\", \"key 1\"]"),
    need(
        "expect",
        Tables(&[
            key("at", Text, "When the phase is looked at; the end unless stated"),
            key("effects", Several(&Text), "In this order, others may stand between: \"+0s call\""),
            key("never", Several(&Text), "Channels that must not be used"),
            key("goals", Map(&Text), "met by +1m, open, missed"),
            key("said", Text, "In some call, text message or mail"),
            key("phase", Text, "The phase of the case"),
            key("outcome", Text, "How it ended"),
            key("csat", Count, "The mark that the customer gave, 1 to 5"),
            key("held", Text, "A part of what the case waits for at that time; empty for nothing"),
            key("cases", Count, "How many were opened by the end"),
            key("in_all", Map(&Count), "In how many cases one went out by then: sms = 44"),
            key("device", Text, "Whose case; \"fleet\": that of the storm"),
        ]),
        "What must be so",
    ),
];

pub(super) const KEYS: &[Key] =
    &[key("test", Tables(TEST), "Tests of rules"), key("playbook_test", Tables(PLAYBOOK), "Tests of playbooks")];
