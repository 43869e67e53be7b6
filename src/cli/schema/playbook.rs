//! `playbooks/*.toml`.

use super::Shape::{
    Any, Count, Duration, Either, Expression, Flag, List, Map, Number, Several, Table, Tables, Text, Variant, Word,
};
use super::{Key, Shape, key, need};

const SEVERITY: Shape = Word(&["minor", "warning", "major", "critical"]);

const MATCH: &[Key] = &[
    key("fault", Several(&Text), "Which faults of rules open it; for a storm: whose cases count"),
    key(
        "storm",
        Table(&[
            need("same", Several(&Text), "What the cases have in common: fault.family, fault.name, device.<column>"),
            need("min", Count, "So many new cases …"),
            need("window", Duration, "… within this time …"),
            key("baseline_factor", Number, "… and so many times as many as usual"),
        ]),
        "Not one detection opens it, but many new cases at once",
    ),
    key("severity", Several(&SEVERITY), "At which severities; all unless stated"),
    key("min_confidence", Number, "0..1"),
    key("device_kind", Several(&Text), "On which kinds of device; all unless stated"),
    key(
        "horizon",
        Table(&[key("from", Duration, "At least so long …"), key("to", Duration, "… and at most so long")]),
        "How long it takes to become a breakdown at the earliest, as the rule's `lead` promises",
    ),
];

const CASE: &[Key] = &[
    key("key", Text, "One open case for each: {{ device.id }}/{{ fault.family }}"),
    key("reopen", Duration, "The same key within this time opens the case again"),
    key("priority", Count, "Of several playbooks that fit, the highest"),
    key("parent", Flag, "For the reader: the case of a storm always is the parent of the others"),
    need("goals", Several(&Text), "What is promised"),
    key(
        "sla",
        Table(&[
            key("first_contact", Duration, "Until the first message has left"),
            key("appointment_offered", Duration, "Until times for an appointment were offered"),
        ]),
        "A person is paged when it is not kept",
    ),
];

const POLICY: &[Key] = &[
    need("purpose", Word(&["safety", "service", "info"]), "Why people are contacted: picks consent and quiet hours"),
    key("quiet_hours", Word(&["respect", "ignore"]), "ignore: for safety only"),
    key(
        "contact_max",
        Table(&[
            key("calls", Count, "At most so many calls …"),
            key("sms", Count, "… text messages …"),
            key("emails", Count, "… e-mails …"),
            key("app_pushes", Count, "… and messages in the app …"),
            need("per", Duration, "… in this time"),
        ]),
        "How often one case may contact people",
    ),
    key("redact", Several(&Text), "Facts that must not be in mails, text messages and tickets"),
    key(
        "consent",
        Several(&Text),
        "What the owner must have agreed to in consents.csv; without it only the ticket desk works at the case",
    ),
];

const COMMON: &[Key] = &[
    need("id", Text, "Its name in this playbook"),
    key("after", Several(&Text), "Starts when these are done; at once unless stated"),
    key("when", Expression, "Starts when this is true, or \"goto\": only when another step asks for it"),
    key("goal", Text, "What its success proves"),
    key(
        "policy",
        Table(&[need("purpose", Word(&["safety"]), "…"), key("quiet_hours", Word(&["ignore"]), "…")]),
        "For a step that warns people in an everyday playbook",
    ),
];

const REACH: &[Key] = &[
    need("who", Several(&Text), "Roles of the device, in this order: driver, owner"),
    key("until", Word(&["human_confirmed", "answered_choice", "delivered", "accepted"]), "What counts as reached"),
    need("script", Text, "Which text"),
    need(
        "ladder",
        Tables(&[
            need("via", Word(&["call", "sms", "email", "app_push", "human"]), "How"),
            key("at", Duration, "How long after the start of the step"),
            key("attempts", Count, "call: how often"),
            key("ring", Duration, "call: how long it rings"),
            key("gap", Duration, "call: how long between two"),
            key("hours", Text, "Only then, where the recipient is: 10:00-18:00"),
            key("queue", Text, "human: who"),
        ]),
        "One way after the other, until somebody is reached",
    ),
    key("attach", Several(&Text), "What mails have attached: instructions/{{ fault.family }}.{{ customer.locale }}.md"),
    key(
        "headers",
        Table(&[
            key("Auto-Submitted", Word(&["auto-generated"]), "Every mail says so"),
            key("Importance", Word(&["high", "normal", "low"]), "How mails are marked"),
        ]),
        "Headers of mails",
    ),
];

const DISPATCH: &[Key] = &[
    key("mode", Word(&["reserve"]), "Sends nothing: so many trucks are set aside for the storm that it is part of"),
    key("service", Text, "tow, jump, tire, technician"),
    key("pickup", Text, "Where: {{ device.position }}"),
    key("needs", Several(&Expression), "What must be known: position_age < 10m"),
    key("else", Text, "What is done otherwise"),
    need("provider", Several(&Text), "In the order in which they are asked"),
    key(
        "deadline",
        Table(&[
            need("accept", Duration, "An offer not accepted by then is void"),
            key("en_route", Duration, "On the way by then"),
            key("arrive", Text, "eta + 15m"),
        ]),
        "Never wait for ever",
    ),
    key("on", Map(&Text), "declined, no_provider, eta_slips: what is done then"),
];

const TICKET: &[Key] = &[
    need("desk", Text, "Which provider"),
    key("fields", Map(&Any), "title, and what the desk knows besides"),
    key("mirror", Several(&Word(&["contact", "dispatch", "note"])), "Which later events become articles"),
    key("script", Text, "Text of the first article"),
    key("children", Word(&["link"]), "Of a storm: what becomes of its children is noted here"),
    key("on", Map(&Text), "device_back = \"ticket.resolve('…')\": when the fault has gone by itself"),
];

const COMMAND: &[Key] = &[
    key("provider", Text, "device unless stated"),
    need("topic", Text, "Where it is published"),
    need("payload", Text, "With {{ action.id }}, so that the answer can be matched"),
    need("allow", Several(&Text), "Operations that may be sent; anything else is refused when the file is loaded"),
    key("expires", Duration, "The device must not act on it later"),
    key("guard", Several(&Expression), "What must be true when it is sent"),
    key(
        "reply",
        Table(&[
            need("topic", Text, "Where the device answers"),
            key("match", Text, "id"),
            key("within", Duration, "How long to wait"),
        ]),
        "The answer",
    ),
    key(
        "verify",
        Table(&[need("expect", Expression, "What telemetry must show"), need("within", Duration, "By when")]),
        "The proof",
    ),
    key("on", Map(&Text), "ok, refused, no_reply, not_verified: what is done then"),
];

const WAIT_FOR: &[Key] = &[
    need("expect", Expression, "What must become true"),
    need("within", Text, "By when: 20m, or booking.start + 10d"),
    need("else", Text, "What is done otherwise: human:safety-desk"),
];

const CORRELATE: &[Key] = &[
    need("by", Several(&Text), "Columns of the registry: gateway, site"),
    need("min", Count, "So many devices with the same value have one cause …"),
    need("window", Duration, "… if their cases were opened within this time"),
    key("on", Map(&Text), "common_cause = \"merge_into_parent\": one case for what they share"),
];

const HOLD: &[Key] = &[need("switch", Text, "The topic: storm/{{ case.id }}/halt")];

const STORM: &[Key] = &[
    key("pause_children", Several(&Text), "Verbs of the children's own plans that wait; all unless stated"),
    key("keep_children", Several(&Word(&["safety"])), "Children in danger keep their call"),
    key("explain_by", Several(&Text), "Columns of the registry, and rule.version, in which the cause is looked for"),
    key("our_fault_if", Several(&Text), "rule.version changed < 24h, broker.reconnect_wave, backend.deploy < 2h"),
];

const WAYS: Shape = Word(&["call", "sms", "email", "app_push"]);

const TIER: &[Key] = &[
    need("id", Text, "Its name"),
    need("when", Expression, "Which children; the first tier whose condition is true takes one"),
    key("order", Word(&["risk desc", "opened asc"]), "Who comes first"),
    need("via", Several(&WAYS), "Only rungs of these ways are used"),
    key(
        "gate",
        Either(&[
            Word(&["none"]),
            Table(&[
                key("canary", Count, "So many are told first"),
                key("stop_if", Expression, "false_alarm_rate > 0.2 || unknown_outcome_rate > 0.05"),
                key("approve", Text, "Who must agree: human:incident-lead"),
                key("within", Duration, "How long they have"),
                key("else", Word(&["proceed"]), "What is done without an answer; nothing unless stated"),
            ]),
        ]),
        "What it waits for",
    ),
    key("budget", Map(&Text), "The most attempts by way: 8/s"),
    key("digest", Text, "one message per customer"),
    key("script", Text, "What is said instead of each child's own text"),
    key("spread", Duration, "Told evenly over this time"),
];

const BOOK: &[Key] = &[
    need("mode", Word(&["hold", "confirm"]), "hold: find times and keep them; confirm: book the one that was chosen"),
    key("service", Text, "What is to be done there"),
    key(
        "window",
        Table(&[need("from", Text, "now + 24h"), need("to", Text, "now + min(fault.horizon.p10 / 2, 21d)")]),
        "When; a confirm without it books what the step that holds has found",
    ),
    key("near", Text, "Workshops that serve this place, or have this name, are asked first"),
    key("offer", Count, "So many times are offered; 1 unless stated"),
    key("hold_for", Duration, "So long they are kept; 48h unless stated"),
    key("provider", Several(&Text), "In the order in which they are asked"),
    key(
        "invite",
        Table(&[
            key("method", Text, "REQUEST"),
            key("uid", Text, "The same for all changes: {{ booking.id }}@example.com"),
            key("alarm", Text, "-PT24H"),
        ]),
        "What goes into the customer's calendar",
    ),
    key("remind", Duration, "So long before it the customer is reminded by a text message"),
    key("on", Map(&Text), "slot_gone, customer_declined, provider_changed, no_show, no_slots: what is done then"),
];

const WEBHOOK: &[Key] = &[
    need("provider", Text, "Of kind webhook: where to post stands in the settings"),
    need("body", Text, "JSON, once it is filled in"),
];

const SURVEY: &[Key] = &[
    need("scale", Word(&["1-5"]), "The marks"),
    need(
        "via",
        Several(&Word(&["app_push", "email", "sms"])),
        "Ways, in the order in which they are tried: one message is enough",
    ),
    key("who", Several(&Text), "Roles of the device, in this order; owner, then driver unless stated"),
    key("script", Text, "Which text; survey unless stated"),
    key("expires", Duration, "An answer counts for this long; 14d unless stated"),
];

const HUMAN: &[Key] = &[need("queue", Text, "Who takes over")];

pub(super) const KEYS: &[Key] = &[
    need("schema", Word(&["playbook/1"]), "The form of this file"),
    need("id", Text, "Its name"),
    need("version", Count, "Counted up by its author; an open case keeps its version"),
    key("owner", Text, "Whom to ask about it"),
    need("match", Table(MATCH), "Which faults open it"),
    need("case", Table(CASE), "The case that it opens"),
    need("policy", Table(POLICY), "How people may be contacted"),
    need(
        "step",
        List(&Variant(
            "do",
            COMMON,
            &[
                ("reach", REACH),
                ("dispatch", DISPATCH),
                ("ticket", TICKET),
                ("command", COMMAND),
                ("wait_for", WAIT_FOR),
                ("human", HUMAN),
                ("hold", HOLD),
                ("correlate", CORRELATE),
                ("book", BOOK),
                ("webhook", WEBHOOK),
                ("survey", SURVEY),
            ],
        )),
        "What is done; steps without `after` start at once",
    ),
    key("storm", Table(STORM), "What becomes of the cases that a storm makes its children"),
    key("tier", Tables(TIER), "Who is told, in which order and how fast"),
    key(
        "cancel",
        Tables(&[
            need("when", Expression, "When the plan is to be undone"),
            need(
                "do",
                Several(&Text),
                "How: dispatch.cancel(tow), reach(driver, script='false-alarm'), ticket.note('…')",
            ),
        ]),
        "What undoes the plan",
    ),
];
