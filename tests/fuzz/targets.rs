//! What is fuzzed, from what it begins, and what must hold of it besides not panicking.

use std::sync::Arc;

use crate::decode::sparkplug::Node;
use crate::decode::{self, Messages};
use crate::domain::{At, DeviceId};
use crate::model::{self, Edge, Message, Models};
use crate::rules;
use crate::source::Diagnostics;

pub(crate) struct Target {
    pub(crate) run: Box<dyn Fn(&[u8]) + Send + Sync>,
    pub(crate) seeds: Vec<Vec<u8>>,
}

const RULES: [&str; 2] =
    [include_str!("../../config/rules/car.toml"), include_str!("../../examples/engine/rules/engine.toml")];
const CAR: &str = include_str!("../../config/models/car.toml");
const FIXTURES: &str = include_str!("../oracles/fixtures.jsonl");

const SIGNALS: &str = r#"
timestamp = { path = "ts", unit = "ms" }
[signal]
speed = { path = "speed", unit = "km/h", valid = "0 <= _ <= 300", na = [255] }
deep  = { path = "o.1.x", unit = "V" }
third = { path = "list[2]" }
whole = { path = "list", type = "text" }
cell  = { path = "cells", each = "cell" }
on    = { path = "on", type = "bool", true = ["ON"], false = ["OFF"] }
mode  = { path = "mode", values = ["idle", "run"] }
note  = { path = "note", type = "text" }
temp  = { path = "urn:dev:1:temp", unit = "degC" }
load  = { path = "Load" }
t     = { path = "T/INT16" }
a     = { path = "A/BOOLEAN", each = "a", type = "bool" }
"#;

impl Target {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "model" => text(vec![CAR], |text| {
                let mut diags = Diagnostics::default();
                let file = diags.add_file("m.toml", text);
                let models = model::load(&mut diags, &[file]);
                assert!(diags.has_errors() || models.list.len() == 1);
                let _shown = diags.render(false);
            }),
            "rules" => {
                let models = car();
                text(RULES.to_vec(), move |text| rules_of(&models, text))
            }
            "expression" => {
                let models = car();
                text(expressions(), move |text| {
                    let when = serde_json::Value::from(text).to_string();
                    let rule = format!(
                        "[[rule]]\nid = \"x\"\nmodels = [\"car\"]\nfault = \"a.b\"\nseverity = \"minor\"\nwhen = {when}\n"
                    );
                    rules_of(&models, &rule);
                })
            }
            "sparkplug" => sparkplug(),
            "scalar" => decoder("homie", "{ format = \"homie\" }", "homie/+/#", "homie/a/speed"),
            "gzip" | "zlib" | "zstd" => {
                decoder("json gzip", &format!("{{ format = \"json\", compress = \"{name}\" }}"), "m/+", "m/a")
            }
            "batch" => decoder("cbor", "{ format = \"json\", batch = \"o.list\" }", "m/+", "m/a"),
            "protobuf" => decoder(
                "protobuf",
                "{ format = \"protobuf\", descriptor = \"plant.pb\", message = \"plant.Press\" }",
                "m/+",
                "m/a",
            ),
            "json" | "cbor" | "msgpack" | "senml-json" | "senml-cbor" => {
                decoder(name, &format!("{{ format = \"{name}\" }}"), "m/+", "m/a")
            }
            other => panic!("there is no target '{other}'"),
        }
    }
}

/// A target that takes text.
fn text(seeds: Vec<&str>, run: impl Fn(&str) + Send + Sync + 'static) -> Target {
    let seeds = seeds.into_iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let run = Box::new(move |data: &[u8]| {
        if let Ok(text) = std::str::from_utf8(data) {
            run(text);
        }
    });
    Target { run, seeds }
}

fn rules_of(models: &Arc<Models>, text: &str) {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("r.toml", text);
    let _program = rules::load(&mut diags, &[file], models.clone());
    let _shown = diags.render(false);
}

/// Every condition of the shipped rules.
fn expressions() -> Vec<&'static str> {
    let quoted = |line: &'static str| {
        let value = line.split_once('=')?.1.trim();
        value.strip_prefix('"')?.split('"').next()
    };
    RULES.iter().flat_map(|rules| rules.lines()).filter_map(quoted).collect()
}

fn car() -> Arc<Models> {
    Arc::new(models(&[("m.toml", CAR.to_owned())]))
}

fn models(files: &[(&str, String)]) -> Models {
    let mut diags = Diagnostics::default();
    diags.attach("plant.pb", include_bytes!("../oracles/plant.pb").to_vec());
    let files: Vec<_> = files.iter().map(|(name, text)| diags.add_file(*name, text.clone())).collect();
    let models = model::load(&mut diags, &files);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    models
}

fn one_model(decoder: &str, filter: &str, signals: &str) -> Models {
    models(&[("m.toml", format!("[model]\nid = \"m\"\ntopics = [\"{filter}\"]\ndecoder = {decoder}\n{signals}"))])
}

/// A payload of one topic. Seeds are the fixtures of a format, and documents as JSON.
fn decoder(fixtures: &str, decoder: &str, filter: &str, topic: &'static str) -> Target {
    let signals = if decoder.contains("protobuf") { only_its_fields() } else { SIGNALS.to_owned() };
    let models = one_model(decoder, filter, &signals);
    let run = Box::new(move |data: &[u8]| {
        let binding = models.bind(topic).expect("a topic of the model");
        let mut out = Messages::default();
        match decode::decode(&models.list[0], &binding, data, At::from_secs(1_700_000_000), &mut out) {
            Ok(()) => out.as_slice().iter().for_each(sound),
            Err(error) => {
                assert!(out.as_slice().is_empty());
                assert!(!error.to_string().is_empty() && !error.reason().is_empty());
            }
        }
    });
    let wanted = fixtures.to_owned();
    let lines = FIXTURES.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut seeds: Vec<Vec<u8>> =
        lines.clone().filter(|line| line["decoder"] == *wanted).map(|line| bytes(&line)).collect();
    if seeds.is_empty() || wanted == "cbor" {
        seeds
            .extend(lines.filter(|line| line["same"].is_object()).take(20).map(|line| line["same"].to_string().into()));
    }
    Target { run, seeds }
}

fn only_its_fields() -> String {
    let lines = SIGNALS.lines();
    lines.take_while(|line| !line.starts_with("temp")).collect::<Vec<_>>().join("\n")
}

/// Readings are in order and stand once.
fn sound(message: &Message) {
    let keys: Vec<_> = message.readings.iter().map(|r| (r.signal, r.component)).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
}

/// Several payloads of a node, each with its kind and its length in front.
fn sparkplug() -> Target {
    const EDGES: [Edge; 6] =
        [Edge::NodeBirth, Edge::NodeData, Edge::NodeDeath, Edge::DeviceBirth, Edge::DeviceData, Edge::DeviceDeath];
    let models = one_model("{ format = \"sparkplug\" }", "spBv1.0/g/#", SIGNALS);
    let run = Box::new(move |data: &[u8]| {
        let (mut node, mut rest, mut now) = (Node::default(), data, 0);
        while let [kind, low, high, tail @ ..] = rest {
            let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
            let (payload, next) = tail.split_at(len);
            let edge = EDGES[usize::from(*kind) % EDGES.len()];
            let device = DeviceId::from(if usize::from(*kind) % EDGES.len() < 3 { "g/n" } else { "g/n/d" });
            let before = node.clone();
            now += 1;
            match node.take(&models.list[0], &device, edge, payload, At::from_secs(now)) {
                Ok(taken) => taken.said.iter().for_each(|(_, message)| sound(message)),
                Err(_) => assert_eq!(node, before, "a payload that cannot be read changes nothing"),
            }
            rest = next;
        }
    });
    let lines = FIXTURES.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut session = Vec::new();
    for line in lines.filter(|line| line["decoder"] == "sparkplug") {
        let topic = line["topic"].as_str().unwrap_or_default();
        let words = ["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"];
        let kind = words.iter().position(|word| topic.contains(word)).unwrap_or(0);
        let payload = bytes(&line);
        session.push(u8::try_from(kind).unwrap_or(0));
        session.extend(u16::try_from(payload.len()).unwrap_or(0).to_le_bytes());
        session.extend(payload);
    }
    Target { run, seeds: vec![session] }
}

fn bytes(line: &serde_json::Value) -> Vec<u8> {
    let digits = line["payload"].as_str().unwrap_or_default();
    (0..digits.len() / 2).filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
}
