//! What other people's encoders write is read as what they meant. `tests/oracles/make.py` says which encoders, and makes
//! the fixtures anew.

use std::fs;
use std::path::Path;

use forewarn::decode::sparkplug::Node;
use forewarn::domain::At;
use forewarn::model::{self, Edge, Message, Models, ReadingValue, Subject};
use forewarn::source::Diagnostics;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::formats::said;
use crate::payloads::shown;

#[derive(Deserialize)]
struct Fixture {
    by: String,
    decoder: String,
    payload: String,
    /// The document as JSON.
    same: Option<Json>,
    /// Name, milliseconds, value.
    said: Option<Vec<(String, i64, f64)>>,
    topic: Option<String>,
    device: Option<String>,
    at: Option<i64>,
    values: Option<serde_json::Map<String, Json>>,
    #[serde(default)]
    historical: bool,
}

impl Fixture {
    fn bytes(&self) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&self.payload[at..at + 2], 16).unwrap();
        (0..self.payload.len()).step_by(2).map(byte).collect()
    }
}

fn fixtures(decoders: &[&str]) -> Vec<Fixture> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let text = fs::read_to_string(dir.join("fixtures.jsonl")).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Fixture>(line).unwrap());
    let found: Vec<Fixture> = all.filter(|fixture| decoders.contains(&&*fixture.decoder)).collect();
    assert!(found.len() >= 5, "{decoders:?}");
    found
}

/// A model that is read by `decoder`; its descriptor set is at hand.
fn models(decoder: &str, rest: &str) -> Models {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let mut diags = Diagnostics::default();
    diags.attach("plant.pb", fs::read(dir.join("plant.pb")).unwrap());
    let file = diags.add_file("m.toml", format!("[model]\nid = \"m\"\ndecoder = {decoder}\n{rest}"));
    let models = model::load(&mut diags, &[file]);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    models
}

const DOCUMENT: &str = r#"
topics = ["m/+"]
timestamp = { path = "ts", unit = "ms" }
[signal]
speed = { path = "speed", unit = "km/h", valid = "0 <= _ <= 300" }
deep  = { path = "o.1.x", unit = "V" }
third = { path = "list[2]" }
cell  = { path = "cells", each = "cell" }
on    = { path = "on", type = "bool", true = ["ON"] }
mode  = { path = "mode", values = ["idle", "run"] }
note  = { path = "note", type = "text" }
"#;

#[test]
fn a_document_is_the_same_in_every_format() {
    let plain = models("{ format = \"json\" }", DOCUMENT);
    for (word, decoder) in [
        ("cbor", "{ format = \"cbor\" }"),
        ("msgpack", "{ format = \"msgpack\" }"),
        ("json gzip", "{ format = \"json\", compress = \"gzip\" }"),
        ("json zlib", "{ format = \"json\", compress = \"zlib\" }"),
        ("protobuf", "{ format = \"protobuf\", descriptor = \"plant.pb\", message = \"plant.Press\" }"),
    ] {
        let models = models(decoder, DOCUMENT);
        for fixture in fixtures(&[word]) {
            let same = fixture.same.as_ref().unwrap().to_string();
            let expected = said(&plain, "m/a", same.as_bytes());
            assert_eq!(said(&models, "m/a", &fixture.bytes()), expected, "{word} by {}: {same}", fixture.by);
        }
    }
}

#[test]
fn packs_are_resolved_as_the_library_resolves_them() {
    const NAMES: [&str; 4] = ["urn:dev:1:temp", "urn:dev:1:hum", "urn:dev:2:temp", "urn:dev:2:hum"];
    let signals: String = (0..4).map(|i| format!("s{i} = {{ path = \"{}\" }}\n", NAMES[i])).collect();
    for fixture in fixtures(&["senml-json", "senml-cbor"]) {
        let models = models(
            &format!("{{ format = \"{}\" }}", fixture.decoder),
            &format!("topics = [\"m/+\"]\n[signal]\n{signals}"),
        );
        // By time; of two records of one name and time the last one counts.
        let mut by_time = std::collections::BTreeMap::<i64, [Option<f64>; 4]>::new();
        for (name, at, value) in fixture.said.as_ref().unwrap() {
            by_time.entry(*at).or_default()[NAMES.iter().position(|n| n == name).unwrap()] = Some(*value);
        }
        let line = |(at, values): (&i64, &[Option<f64>; 4])| {
            let values = values.iter().enumerate().filter_map(|(i, v)| Some(format!(" s{i}={:?}", (*v)?)));
            format!("ts={at}{}", values.collect::<String>())
        };
        let expected = by_time.iter().map(line).collect::<Vec<_>>().join(" | ");
        assert_eq!(said(&models, "m/a", &fixture.bytes()), expected, "{}", fixture.by);
    }
}

/// A model with a signal for every metric of the fixtures.
fn node_model() -> Models {
    let number = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FLOAT", "DOUBLE"];
    let mut signals = "load = { path = \"Load\" }\nt_BOOLEAN = { path = \"T/BOOLEAN\", type = \"bool\" }\n\
                       a_BOOLEAN = { path = \"A/BOOLEAN\", type = \"bool\", each = \"a_BOOLEAN\" }\n\
                       a_STRING = { path = \"A/STRING\", type = \"text\", each = \"a_STRING\" }\n"
        .to_owned();
    for ty in number {
        signals += &format!("t_{ty} = {{ path = \"T/{ty}\" }}\na_{ty} = {{ path = \"A/{ty}\", each = \"a_{ty}\" }}\n");
    }
    for ty in ["STRING", "TEXT", "UUID"] {
        signals += &format!("t_{ty} = {{ path = \"T/{ty}\", type = \"text\" }}\n");
    }
    models("{ format = \"sparkplug\" }", &format!("topics = [\"spBv1.0/g/#\"]\n[signal]\n{signals}"))
}

/// What a message says of `metric`, as JSON.
fn value_of(models: &Models, message: &Message, metric: &str) -> Json {
    let model = &models.list[0];
    let one = |value: &ReadingValue| match value {
        ReadingValue::Number(n) | ReadingValue::Whole { nearest: n, .. } => Json::from(*n),
        ReadingValue::Bool(b) => Json::from(*b),
        ReadingValue::Text(text) => Json::from(&**text),
        _ => Json::Null,
    };
    let ix = model.named[metric][0];
    let mut found = message.readings.iter().filter(|r| r.signal == ix).map(|r| one(&r.value));
    if model.signals[usize::from(ix.0)].each.is_some() { found.collect() } else { found.next().unwrap_or_default() }
}

/// Numbers as numbers: 1 and 1.0 are the same, and a FLOAT of JSON is what 32 bits hold of it.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

#[test]
fn a_node_and_its_device_are_understood_from_birth_to_death() {
    let models = node_model();
    let mut node = Node::default();
    for fixture in fixtures(&["sparkplug"]) {
        let topic = fixture.topic.as_deref().unwrap();
        let binding = models.bind(topic).unwrap();
        let Subject::Edge(edge) = binding.subject else { panic!("{topic}") };
        let taken = node.take(&models.list[0], &binding.device, edge, &fixture.bytes(), At::from_secs(0)).unwrap();
        assert!(!taken.ask, "{topic}");
        let Some(device) = &fixture.device else {
            assert_eq!(taken.said, [], "the will of another session says nothing");
            continue;
        };
        let (_, message) = taken.said.iter().find(|(id, _)| id.as_str() == device).unwrap();
        let shown = shown(&models.list[0], message);
        assert_eq!(message.event_at.map(At::as_millis), fixture.at, "{topic} {shown}");
        assert_eq!(message.historical, fixture.historical, "{topic}");
        let born = matches!(edge, Edge::NodeBirth | Edge::DeviceBirth);
        let died = matches!(edge, Edge::NodeDeath | Edge::DeviceDeath);
        assert_eq!(message.presence, (born || died).then_some(born), "{topic}");
        let Some(values) = &fixture.values else {
            assert!(message.is_aside() && !message.readings.is_empty(), "everything is stale");
            continue;
        };
        for (metric, value) in values {
            let got = value_of(&models, message, metric);
            assert!(equal(&got, value), "{topic} {metric}: {got} for {value}");
        }
    }
}
