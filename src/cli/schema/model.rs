//! `models/*.toml`.

use super::Shape::{Any, Count, Duration, Either, Flag, List, Map, Number, Several, Table, Tables, Text, Word};
use super::{Key, key, need};

const DECODER: &[Key] = &[
    need(
        "format",
        Word(&["json", "cbor", "msgpack", "protobuf", "senml-json", "senml-cbor", "scalar", "homie", "sparkplug"]),
        "How payloads are written; never guessed",
    ),
    key("compress", Word(&["gzip", "zlib", "zstd"]), "What is wrapped around them"),
    key("max_bytes", Count, "Largest payload once unpacked; 1 MiB unless stated"),
    key(
        "batch",
        Text,
        "The list in the payload that holds several messages: its path, or \".\" for the payload itself",
    ),
    key("signal", Text, "scalar: the topic levels that name the signal, such as topic[3] or topic[2..]"),
    key("descriptor", Text, "protobuf: the compiled descriptor set (protoc --descriptor_set_out), beside this file"),
    key("message", Text, "protobuf: the full name of the message"),
];

const PRESENCE: &[Key] = &[
    need("topic", Text, "Where devices, or their last wills, say that they came or went: fleet/+/status"),
    key("online", Text, "The payload that says it came"),
    key("offline", Text, "The payload that says it went"),
];

const MODEL: &[Key] = &[
    need("id", Text, "The name by which rules and the registry know this kind of device"),
    key("topics", Several(&Text), "Topic filters on which it publishes: fleet/+/telemetry"),
    key("device_id", Text, "The level of the topic that names the device, from 0: topic[1]"),
    key("decoder", Table(DECODER), "How its payloads are read; JSON unless stated"),
    key(
        "topic",
        Tables(&[
            need("filter", Text, "Topic filter"),
            key("device_id", Text, "The level that names the device"),
            key("decoder", Table(DECODER), "How payloads of these topics are read"),
        ]),
        "Topics with decoders of their own",
    ),
    key(
        "timestamp",
        Table(&[
            need("path", Text, "Where the device time is"),
            need("unit", Word(&["s", "ms", "us", "rfc3339"]), "In what form"),
        ]),
        "The device's time; without it the time of arrival counts",
    ),
    key("report_every", Duration, "How often it reports: gives the default ttl and max_gap (three times this)"),
    key("lateness", Duration, "Messages are put in order within so much device time"),
    key("backfill_after", Duration, "Older than this on arrival is history: recorded, never urgent"),
    key("max_future", Duration, "Further ahead than this is a wrong clock; 2m unless stated"),
    key("skew", Word(&["ignore", "auto"]), "auto: a stable offset of the device's clock is estimated and taken off"),
    key("presence", Table(PRESENCE), "How it is told that a device is online"),
];

const SIGNAL: &[Key] = &[
    need("path", Text, "Where it is in the payload: bms.cells[2].t, or the name it is sent under"),
    key("type", Word(&["number", "bool", "enum", "text", "codes"]), "What it holds; number unless stated"),
    key("values", List(&Text), "The texts of an enum"),
    key("unit", Text, "In which unit it is sent: degC, bar, V, km/h, K/min"),
    key("each", Text, "It is a list with an element for each component of this name: cell"),
    key("valid", Text, "Outside of it a value is unknown: -40 < _ <= 150"),
    key("na", List(&Number), "Numbers that mean not available"),
    key("ttl", Either(&[Word(&["never"]), Duration]), "For how long a value is known; 3 x report_every unless stated"),
    key("kind", Word(&["level", "event", "counter"]), "A level holds, an event is over at once, a counter only grows"),
    key("rollover", Number, "counter: after so many it starts from zero"),
    key("number_as_text", Flag, "A text that holds a number is read as that number"),
    key("true", Several(&Any), "bool: payloads that mean true"),
    key("false", Several(&Any), "bool: payloads that mean false"),
    key("send", Word(&["full", "new"]), "codes: the whole list each time, or only new ones"),
];

pub(super) const KEYS: &[Key] = &[
    need("model", Table(MODEL), "The kind of device"),
    key("signal", Map(&Table(SIGNAL)), "What it sends, by the names used in rules"),
    key(
        "params",
        Map(&Either(&[Text, Number, Flag])),
        "Values that rules read as param.x; the registry may override them",
    ),
    key("facts", Map(&Text), "Signals that the desk may use and speak of, by the name it knows them: speed, lat, lon"),
];
