//! What a node's messages mean when some are missing, late or of another session, and over a restart in the middle.

use std::fmt::Write as _;
use std::sync::Arc;

use forewarn::decode::sparkplug::{Node, rebirth};
use forewarn::domain::{At, Registry, Span, shard_of};
use forewarn::engine::Engine;
use forewarn::model::{Models, Subject};
use forewarn::rules;
use forewarn::source::Diagnostics;
use prost::Message as _;

use crate::formats::models;
use crate::payloads::shown;

/// The part of a payload that these tests write; the numbers are those of the specification.
#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(oneof = "Value", tags = "11, 13, 17, 18")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bytes, tag = "17")]
    DataSet(Vec<u8>),
    #[prost(message, tag = "18")]
    Template(Template),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Template {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

fn metric(name: Option<&str>, alias: Option<u64>, value: Value) -> Metric {
    Metric { name: name.map(str::to_owned), alias, datatype: Some(10), value: Some(value) }
}

fn payload(seq: Option<u64>, metrics: Vec<Metric>) -> Vec<u8> {
    Payload { timestamp: Some(1_700_000_000_000), metrics, seq }.encode_to_vec()
}

fn session(number: u64) -> Metric {
    metric(Some("bdSeq"), None, Value::Long(number))
}

/// What is sent, in short: topic word and sender, number, session or value of `x`.
fn sent(word: &str, seq: u64, x: f64) -> (String, Vec<u8>) {
    let birth = vec![metric(Some("x"), Some(1), Value::Double(x))];
    let data = vec![metric(None, Some(1), Value::Double(x))];
    match word {
        "NBIRTH" => ("spBv1.0/g/NBIRTH/n".into(), payload(Some(seq), [birth, vec![session(1)]].concat())),
        "NDEATH" => ("spBv1.0/g/NDEATH/n".into(), payload(None, vec![session(1)])),
        "NDATA" => ("spBv1.0/g/NDATA/n".into(), payload(Some(seq), data)),
        "DBIRTH" => ("spBv1.0/g/DBIRTH/n/d".into(), payload(Some(seq), birth)),
        "DDATA" => ("spBv1.0/g/DDATA/n/d".into(), payload(Some(seq), data)),
        _ => ("spBv1.0/g/DDEATH/n/d".into(), payload(Some(seq), Vec::new())),
    }
}

const HEAD: &str = "topics = [\"spBv1.0/g/#\"]\ndecoder = { format = \"sparkplug\" }";
const SIGNALS: &str = "[signal]\nx = { path = \"x\" }\ny = { path = \"Motor/y\" }\n";

/// A node that is told things, one a second, and what comes of each in a line.
struct Told {
    models: Models,
    node: Node,
    second: i64,
}

impl Told {
    fn new() -> Self {
        Self { models: models(HEAD, SIGNALS), node: Node::default(), second: 0 }
    }

    fn take(&mut self, topic: &str, bytes: &[u8]) -> String {
        let binding = self.models.bind(topic).unwrap();
        let Subject::Edge(edge) = binding.subject else { return "ignored".to_owned() };
        self.second += 1;
        let model = &self.models.list[0];
        match self.node.take(model, &binding.device, edge, bytes, At::from_secs(self.second)) {
            Err(error) => format!("quarantine [{}] {error}", error.reason()),
            Ok(taken) => {
                let mut line = if taken.ask { "ask; " } else { "" }.to_owned();
                for (device, message) in taken.said {
                    let _ = write!(line, "{device}: {}; ", shown(model, &message).replace("ts=1700000000000 ", ""));
                }
                line.trim_end_matches("; ").to_owned()
            }
        }
    }
}

fn check(steps: &[(&str, u64, f64, &str)]) {
    let mut told = Told::new();
    for (number, (word, seq, x, expected)) in steps.iter().enumerate() {
        let (topic, bytes) = sent(word, *seq, *x);
        assert_eq!(told.take(&topic, &bytes), *expected, "step {number}: {word} {seq}");
    }
}

#[test]
fn from_birth_to_death() {
    check(&[
        ("NBIRTH", 0, 1.0, "g/n: came x=1.0"),
        ("DBIRTH", 1, 2.0, "g/n/d: came x=2.0"),
        ("DDATA", 2, 3.0, "g/n/d: x=3.0"),
        ("NDATA", 3, 4.0, "g/n: x=4.0"),
        ("DDEATH", 4, 0.0, "g/n/d: went x!stale y!stale"),
        ("DBIRTH", 5, 5.0, "g/n/d: came x=5.0"),
        ("NDEATH", 0, 0.0, "g/n: went x!stale y!stale; g/n/d: went x!stale y!stale"),
    ]);
}

#[test]
fn the_number_goes_round_and_the_same_number_is_the_same_message() {
    check(&[
        ("NBIRTH", 254, 1.0, "g/n: came x=1.0"),
        ("NDATA", 255, 2.0, "g/n: x=2.0"),
        ("NDATA", 0, 3.0, "g/n: x=3.0"),
        ("NDATA", 0, 3.0, ""),
        ("NDATA", 1, 4.0, "g/n: x=4.0"),
    ]);
}

#[test]
fn what_is_delivered_again_after_a_break_is_no_gap() {
    check(&[
        ("NBIRTH", 0, 1.0, "g/n: came x=1.0"),
        ("DBIRTH", 1, 2.0, "g/n/d: came x=2.0"),
        ("DDATA", 2, 3.0, "g/n/d: x=3.0"),
        ("DBIRTH", 1, 2.0, ""),
        ("DDATA", 2, 3.0, ""),
        ("NDATA", 3, 4.0, "g/n: x=4.0"),
        ("NDEATH", 0, 0.0, "g/n: went x!stale y!stale; g/n/d: went x!stale y!stale"),
        ("NDEATH", 0, 0.0, "g/n: went x!stale y!stale; g/n/d: went x!stale y!stale"),
    ]);
}

#[test]
fn a_missing_number_makes_everything_stale_until_the_births() {
    check(&[
        ("NBIRTH", 0, 1.0, "g/n: came x=1.0"),
        ("DBIRTH", 1, 2.0, "g/n/d: came x=2.0"),
        ("DDATA", 3, 3.0, "ask; g/n: x!stale y!stale; g/n/d: x!stale y!stale; g/n/d: x!stale y!stale"),
        ("NDATA", 4, 3.0, "g/n: x!stale y!stale"),
        ("NBIRTH", 0, 4.0, "g/n: came x=4.0"),
        ("DDATA", 1, 5.0, "g/n/d: x!stale y!stale"),
        ("DBIRTH", 2, 6.0, "g/n/d: came x=6.0"),
        ("DDATA", 3, 7.0, "g/n/d: x=7.0"),
    ]);
}

#[test]
fn who_joins_late_asks_once_a_minute() {
    let mut told = Told::new();
    let said = |x: u8| sent("NDATA", 7, f64::from(x));
    let asked = (0..180).map(said).filter(|(topic, bytes)| told.take(topic, bytes).starts_with("ask")).count();
    assert_eq!(asked, 3);
}

#[test]
fn an_alias_that_no_birth_named_makes_its_sender_stale() {
    let mut told = Told::new();
    let (topic, bytes) = sent("NBIRTH", 0, 1.0);
    assert_eq!(told.take(&topic, &bytes), "g/n: came x=1.0");
    let unknown = payload(Some(1), vec![metric(None, Some(9), Value::Double(1.0))]);
    assert_eq!(told.take("spBv1.0/g/NDATA/n", &unknown), "ask; g/n: x!stale y!stale");
}

#[test]
fn the_will_of_an_earlier_session_says_nothing() {
    let mut told = Told::new();
    let birth = payload(Some(0), vec![session(5), metric(Some("x"), None, Value::Double(1.0))]);
    assert_eq!(told.take("spBv1.0/g/NBIRTH/n", &birth), "g/n: came x=1.0");
    assert_eq!(told.take("spBv1.0/g/NDEATH/n", &payload(None, vec![session(4)])), "");
    let went = "g/n: went x!stale y!stale";
    assert_eq!(told.take("spBv1.0/g/NDEATH/n", &payload(None, vec![session(5)])), went);
}

#[test]
fn templates_are_flat_and_tables_are_no_value() {
    let mut told = Told::new();
    let inner = Template { metrics: vec![metric(Some("y"), None, Value::Double(2.5))] };
    let birth = payload(
        Some(0),
        vec![
            metric(Some("Motor"), Some(3), Value::Template(inner.clone())),
            metric(Some("x"), Some(1), Value::DataSet(vec![8, 1])),
        ],
    );
    assert_eq!(told.take("spBv1.0/g/NBIRTH/n", &birth), "g/n: came x!wrong_type y=2.5");
    let data = payload(Some(1), vec![metric(None, Some(3), Value::Template(inner))]);
    assert_eq!(told.take("spBv1.0/g/NDATA/n", &data), "g/n: y=2.5");
}

#[test]
fn what_is_no_payload_changes_nothing() {
    let mut told = Told::new();
    let (topic, bytes) = sent("NBIRTH", 0, 1.0);
    told.take(&topic, &bytes);
    let before = told.node.clone();
    assert!(told.take("spBv1.0/g/NDATA/n", b"\xff\xff").starts_with("quarantine [not_sparkplug]"));
    let twice = vec![metric(Some("a"), Some(1), Value::Double(1.0)), metric(Some("b"), Some(1), Value::Double(1.0))];
    assert_eq!(
        told.take("spBv1.0/g/NBIRTH/n", &payload(Some(0), twice)),
        "quarantine [not_sparkplug] the payload is not Sparkplug at byte 0: one alias for two metrics"
    );
    assert_eq!(told.node, before);
    assert_eq!(told.take("spBv1.0/g/NCMD/n", b""), "ignored");
}

#[test]
fn the_request_for_a_birth_is_the_one_that_nodes_know() {
    let (topic, bytes) = rebirth("g/n", At::from_secs(5));
    assert_eq!(topic, "spBv1.0/g/NCMD/n");
    let read = Payload::decode(&bytes[..]).unwrap();
    assert_eq!((read.timestamp, read.seq), (Some(5_000), None));
    assert_eq!(read.metrics[0].name.as_deref(), Some("Node Control/Rebirth"));
    assert_eq!(read.metrics[0].datatype, Some(11));
}

/// An engine with a rule on `x` of this fleet.
fn engine() -> (Models, Engine) {
    let models = models(HEAD, SIGNALS);
    let mut diags = Diagnostics::default();
    let rule = "[[rule]]\nid = \"high\"\nmodels = [\"m\"]\nfault = \"a.b\"\nseverity = \"minor\"\nwhen = \"x > 10\"\n\
                [[rule]]\nid = \"gone\"\nmodels = [\"m\"]\nfault = \"a.c\"\nseverity = \"minor\"\nwhen = \"!online\"\n";
    let file = diags.add_file("r.toml", rule);
    let program = rules::load(&mut diags, &[file], Arc::new(models.clone()));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    (models, Engine::new(Arc::new(program), Arc::new(Registry::default())))
}

#[test]
fn births_survive_a_restart_in_the_middle_and_a_death_takes_all_devices_along() {
    let steps = [
        sent("NBIRTH", 0, 1.0),
        sent("DBIRTH", 1, 1.0),
        sent("DDATA", 2, 20.0),
        sent("NDATA", 3, 30.0),
        sent("NDEATH", 0, 0.0),
    ];
    let run = |restart_before: Option<usize>| {
        let (models, mut engine) = engine();
        let (mut out, mut asked) = (Vec::new(), Vec::new());
        for (i, (topic, bytes)) in steps.iter().enumerate() {
            if restart_before == Some(i) {
                let state = engine.snapshot(shard_of("g/n"));
                engine = self::engine().1;
                engine.restore(shard_of("g/n"), &state).unwrap();
            }
            let at = At::from_secs(1_700_000_000) + Span::from_secs(i64::try_from(i).unwrap());
            engine.message(&models.bind(topic).unwrap(), bytes, at, false, &mut out).unwrap();
            asked.extend(engine.births_wanted());
        }
        assert!(asked.is_empty(), "{asked:?}");
        out
    };
    let whole = run(None);
    let told: Vec<_> = whole.iter().map(|d| format!("{} {}", d.rule, d.device)).collect();
    assert_eq!(told, ["high g/n/d", "high g/n", "gone g/n", "gone g/n/d"]);
    for restart in 0..steps.len() {
        assert_eq!(run(Some(restart)), whole, "restarted before step {restart}");
    }
}
