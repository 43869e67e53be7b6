//! `rules/*.toml` and `baselines/*.toml`.

use super::Shape::{
    Any, Count, Duration, Either, Expression, Flag, List, Map, Number, Several, Table, Tables, Text, Word,
};
use super::{Key, Shape, key, need};

const SEVERITY: Shape = Word(&["minor", "warning", "major", "critical"]);

const LEVEL: &[Key] = &[
    need("name", Text, "Its name in the rule"),
    key("severity", SEVERITY, "How bad it is, unless the name says so"),
    need("when", Expression, "What must be true"),
    key("hold", Duration, "… for so long"),
    key("confirm", Count, "… in so many messages in a row"),
    key("clear", Expression, "What must be true for it to be over; not `when` unless stated"),
    key("clear_hold", Duration, "… for so long"),
];

const RULE: &[Key] = &[
    need("id", Text, "Names its state and episodes: do not change it"),
    need("models", Several(&Text), "Models that it watches; * stands for any text"),
    key("where", Expression, "Which devices, by device.x and param.x"),
    key("each", Text, "One episode for each component: cell, door, code"),
    key("mode", Word(&["live", "shadow", "off"]), "shadow: recorded and scored, nobody is contacted"),
    key("fault", Text, "What is broken: family.part; playbooks match on it"),
    key("lead", Text, "Promised warning time, scored: 10m..2h"),
    key("severity", SEVERITY, "How bad it is"),
    key("confidence", Number, "How sure it is, 0..1"),
    key("when", Expression, "What must be true"),
    key("hold", Duration, "… for so long"),
    key("confirm", Count, "… in so many messages in a row"),
    key("clear", Expression, "What must be true for it to be over; not `when` unless stated"),
    key("clear_hold", Duration, "… for so long"),
    key("let", Map(&Expression), "Named parts of conditions; shown by explain and kept as evidence"),
    key("level", Tables(LEVEL), "Several levels, highest first"),
    key(
        "step",
        Tables(&[
            need("name", Text, "Its name"),
            need("when", Expression, "What must be true"),
            key("within", Either(&[Duration, Expression]), "So soon after the step before it"),
            key("unless", Expression, "What ends the match"),
        ]),
        "One after the other: the last step raises the rule",
    ),
    key(
        "sequence",
        Table(&[
            key("start", Word(&["rising", "every"]), "When a match begins"),
            key("overlap", Count, "How many matches may be open"),
            key("timeout_event", Either(&[Flag, Word(&["only"])]), "A step that does not come raises the rule, too"),
            key("clear", Expression, "What must be true for it to be over"),
        ]),
        "How the steps are matched",
    ),
    key("sample", Map(&Table(SAMPLE)), "Signals derived from others, sampled only when that means something"),
    key("baseline", Map(&Table(BASELINE)), "What is usual for a device"),
    key(
        "data",
        Table(&[
            key("max_gap", Text, "A longer gap pauses hold: 3x (of report_every) or a duration"),
            key("on_gap", Word(&["pause", "reset", "count"]), "What a longer gap does to hold"),
            key("on_backfill", Word(&["record", "act", "ignore"]), "What is made of history"),
            key("on_counter_reset", Word(&["continue", "restart"]), "What is made of a counter that was replaced"),
            key("stale_after", Duration, "An open episode with unknown inputs is marked after this"),
        ]),
        "Policy for imperfect data",
    ),
    key(
        "limits",
        Table(&[
            key(
                "flap",
                Table(&[
                    need("max", Count, "More episodes than this …"),
                    need("per", Duration, "… in this time"),
                    need("then", Word(&["latch"]), "latch: the last one stays open until a person clears it"),
                ]),
                "An episode that comes and goes",
            ),
            key("cooldown", Duration, "So long after an episode no new one is told"),
            key(
                "fleet_breaker",
                Table(&[
                    need("max", Count, "More cases than this …"),
                    need("per", Duration, "… in this time wait for a person"),
                    key("by", Text, "Counted apart by this attribute of the registry: model, firmware, site"),
                ]),
                "Too many devices at once",
            ),
        ]),
        "What keeps a rule from crying wolf",
    ),
    key(
        "active",
        Table(&[
            key("days", Several(&Text), "mon-fri, or a list"),
            key("hours", Text, "06:00-22:00"),
            key("tz", Text, "device, or a zone such as Europe/Berlin"),
        ]),
        "When the rule may raise, in local time",
    ),
    key(
        "gate",
        Table(&[
            key("ingest_healthy", Duration, "Our own link must have been up for so long"),
            key("expected_off", Expression, "Then silence means nothing"),
            key("parent", Text, "device.x: the attribute of the registry that names the device which may be the cause"),
        ]),
        "What must be given before silence means anything",
    ),
    key(
        "chart",
        Table(&[
            need("of", Expression, "A signal, a `let` or another number"),
            need("over", Duration, "How far back"),
            key("limit", Expression, "The level that matters"),
        ]),
        "What mails show of how it came",
    ),
    key("case", Table(&[need("title", Text, "With values: {coolant_temp} rising {heat}")]), "What people read"),
];

const SAMPLE: &[Key] = &[
    need("from", Expression, "Its value"),
    key("when", Expression, "Only then"),
    key("keep", Text, "One point a period: min per 1d"),
];

const BASELINE: &[Key] = &[
    key("of", Several(&Expression), "What is followed"),
    key("by", List(&Expression), "Regimes that are compared only with themselves: rpm/250"),
    key("tau", Text, "How fast it forgets: 14d"),
    key("min", Either(&[Duration, Count]), "Unknown until so much data, or so many samples, were seen in the regime"),
    key("learn", Duration, "Learns so long and is fixed then"),
    key("freeze_when_firing", Flag, "A failing part must not become the new normal; true unless stated"),
    key("robust", Flag, "One sample has bounded influence; true unless stated"),
    key("correlated", Flag, "t2 knows how the values go together; true unless stated"),
    key("bins", Count, "Regimes kept at once; 1, with `by` 32 unless stated"),
    key("floor", Number, "Smallest scale, in the unit of `of`"),
    key("prior", Word(&["fleet"]), "Starts with what is usual in the fleet"),
    key("from", Word(&["fleet"]), "What is usual in the fleet, and nothing else"),
];

pub(super) const KEYS: &[Key] = &[need("rule", Tables(RULE), "Rules")];

pub(super) const BASELINES: &[Key] = &[key("baseline", Any, "Written by forewarn fit")];
