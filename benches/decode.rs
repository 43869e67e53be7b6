//! What a message costs before any rule sees it: binding the topic and decoding the payload, in time a message. The
//! target is 1.2 us for 200 bytes of JSON with 8 signals. Beside every format stands what everybody would take for it:
//! a tree of values, or the structure that `prost` derives.
//!
//! `cargo bench --bench decode`; `cargo bench --bench decode -- protobuf` for one format.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use forewarn::decode::sparkplug::Node;
use forewarn::decode::{self, Messages};
use forewarn::domain::At;
use forewarn::model::{self, Binding, Message, Models, Subject};
use forewarn::source::Diagnostics;
use prost::Message as _;
use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value as Json, json};

/// The shipped car: 10 signals, some of them one object deeper.
const CAR: &[u8] = br#"{"ts":1795300000000,"speed":87.5,"pedal":0,"brake":{"fl":0.4123,"fr":0.5171},"v12":14.1,"ign":true,"tamb":11.5,"pos":{"lat":52.520008,"lon":13.404954},"odo":40211.8,"fw":"1.4.2","seq":123456}"#;

/// 8 signals of 17 members.
const FLAT: &[u8] = br#"{"ts":1795300000000,"s1":87.5,"s2":0.25,"s3":0.4123,"s4":0.5171,"s5":14.1,"s6":true,"s7":11.5,"s8":52.520008,"x1":13.404954,"x2":40211.8,"x3":"1.4.2","x4":123456,"x5":true,"x6":null,"x7":1.5,"x8":"abcdef"}"#;

/// Each member of [`FLAT`] but `x6`, with the number of its type in a descriptor (`double` 1, `int64` 3, `bool` 8,
/// `string` 9).
const FIELDS: [(&str, i32); 16] = [
    ("ts", 3),
    ("s1", 1),
    ("s2", 1),
    ("s3", 1),
    ("s4", 1),
    ("s5", 1),
    ("s6", 8),
    ("s7", 1),
    ("s8", 1),
    ("x1", 1),
    ("x2", 1),
    ("x3", 9),
    ("x4", 3),
    ("x5", 8),
    ("x7", 1),
    ("x8", 9),
];

/// The same as a structure.
#[derive(Clone, PartialEq, prost::Message)]
struct Flat {
    #[prost(int64, tag = "1")]
    ts: i64,
    #[prost(double, tag = "2")]
    s1: f64,
    #[prost(double, tag = "3")]
    s2: f64,
    #[prost(double, tag = "4")]
    s3: f64,
    #[prost(double, tag = "5")]
    s4: f64,
    #[prost(double, tag = "6")]
    s5: f64,
    #[prost(bool, tag = "7")]
    s6: bool,
    #[prost(double, tag = "8")]
    s7: f64,
    #[prost(double, tag = "9")]
    s8: f64,
    #[prost(double, tag = "10")]
    x1: f64,
    #[prost(double, tag = "11")]
    x2: f64,
    #[prost(string, tag = "12")]
    x3: String,
    #[prost(int64, tag = "13")]
    x4: i64,
    #[prost(bool, tag = "14")]
    x5: bool,
    #[prost(double, tag = "15")]
    x7: f64,
    #[prost(string, tag = "16")]
    x8: String,
}

/// What of Sparkplug B the payloads here have.
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
    #[prost(oneof = "Said", tags = "13, 14, 15")]
    value: Option<Said>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Said {
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Bool(bool),
    #[prost(string, tag = "15")]
    Text(String),
}

/// A descriptor set with the message `Flat`, as protoc would write it.
fn descriptors() -> Vec<u8> {
    let field = |(number, (name, ty)): (i32, &(&str, i32))| FieldDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(number),
        r#type: Some(*ty),
        label: Some(1),
        ..FieldDescriptorProto::default()
    };
    let fields = (1..).zip(&FIELDS).map(field).collect();
    let message = DescriptorProto { name: Some("Flat".to_owned()), field: fields, ..DescriptorProto::default() };
    let file = FileDescriptorProto {
        name: Some("flat.proto".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: vec![message],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

fn models(text: &str) -> Models {
    let mut diags = Diagnostics::default();
    diags.attach("flat.pb", descriptors());
    let file = diags.add_file("model.toml", text);
    let models = model::load(&mut diags, &[file]);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    models
}

/// A model of the first eight members; `head` says how they come.
fn flat(head: &str) -> Models {
    let mut text = format!("[model]\nid = \"flat\"\n{head}\n[signal]\n");
    for n in 1..=8 {
        let ty = if n == 6 { "bool" } else { "number" };
        text.push_str(&format!("s{n} = {{ path = \"s{n}\", type = \"{ty}\" }}\n"));
    }
    models(&text)
}

fn bind(models: &Models, topic: &str) -> Binding {
    models.bind(topic).expect("a topic of the model")
}

/// Topics, and JSON that the shortest way reads.
fn topics(c: &mut Criterion) {
    let car = models(include_str!("../config/models/car.toml"));
    let mut group = c.benchmark_group("car");
    let mut message = Message::default();
    group.bench_function("bind a topic", |b| b.iter(|| car.bind(black_box("fleet/car-0042/telemetry"))));
    group.bench_function("json, 10 signals", |b| {
        b.iter(|| decode::json(&car.list[0], black_box(CAR), &mut message).is_ok());
    });
    assert_eq!(message.readings.len(), 10);
    group.finish();
}

/// The same content in every format, and beside it what others make of it.
fn formats(c: &mut Criterion) {
    let document: Json = serde_json::from_slice(FLAT).expect("JSON");
    let wire = payloads(&document);
    let pool = DescriptorPool::decode(&*descriptors()).expect("a descriptor set");
    let descriptor = pool.get_message_by_name("Flat").expect("it is in there");
    let mut group = c.benchmark_group("decode");
    for (name, decoder, payload) in &wire {
        let models = flat(decoder);
        let binding = bind(&models, "flat/a");
        let mut out = Messages::default();
        group.bench_function(BenchmarkId::new(*name, "forewarn"), |b| {
            b.iter(|| decode::decode(&models.list[0], &binding, black_box(payload), At::MIN, &mut out).is_ok());
        });
        assert_eq!(out.as_slice()[0].readings.len(), 8, "{name}");
        let mut beside = |other: &str, read: &dyn Fn(&[u8]) -> bool| {
            assert!(read(payload), "{name} by {other}");
            group.bench_function(BenchmarkId::new(*name, other), |b| b.iter(|| read(black_box(payload))));
        };
        match *name {
            "json" | "senml-json" => {
                beside("serde_json::Value", &|bytes| serde_json::from_slice::<Json>(bytes).is_ok());
            }
            "cbor" | "senml-cbor" => {
                beside("ciborium::Value", &|bytes| ciborium::from_reader::<ciborium::Value, _>(bytes).is_ok());
            }
            "msgpack" => beside("rmp_serde to Value", &|bytes| rmp_serde::from_slice::<Json>(bytes).is_ok()),
            "protobuf" => {
                beside("prost", &|bytes| Flat::decode(bytes).is_ok());
                beside("DynamicMessage", &|bytes| DynamicMessage::decode(descriptor.clone(), bytes).is_ok());
            }
            _ => {}
        }
    }
    let (birth, data) = node(&document);
    let models = flat("topics = [\"spBv1.0/g/#\"]\ndecoder = { format = \"sparkplug\" }");
    let mut told = Node::default();
    let mut take = |word: &str, payload: &[u8]| {
        let binding = bind(&models, &format!("spBv1.0/g/{word}/n"));
        let Subject::Edge(edge) = binding.subject else { panic!("a topic of Sparkplug") };
        told.take(&models.list[0], &binding.device, edge, black_box(payload), At::MIN).expect("it can be read")
    };
    take("NBIRTH", &birth);
    let mut turn = (0..data.len()).cycle();
    let mut readings = 0;
    group.bench_function(BenchmarkId::new("sparkplug", "forewarn"), |b| {
        b.iter(|| readings = take("NDATA", &data[turn.next().unwrap_or(0)]).said[0].1.readings.len());
    });
    assert_eq!(readings, 8, "sparkplug");
    group.bench_function(BenchmarkId::new("sparkplug", "prost"), |b| {
        b.iter(|| Payload::decode(black_box(&*data[0])).is_ok());
    });
    group.finish();
}

/// Name, decoder and payload of every format that stands for itself.
fn payloads(document: &Json) -> Vec<(&'static str, String, Vec<u8>)> {
    let mut cbor = Vec::new();
    ciborium::into_writer(document, &mut cbor).expect("memory does not fail");
    let msgpack = rmp_serde::to_vec_named(document).expect("memory does not fail");
    let zstd = zstd::bulk::compress(FLAT, 3).expect("memory does not fail");
    let flat = Flat {
        ts: 1_795_300_000_000,
        s1: 87.5,
        s2: 0.25,
        s3: 0.4123,
        s4: 0.5171,
        s5: 14.1,
        s6: true,
        s7: 11.5,
        s8: 52.520_008,
        x1: 13.404_954,
        x2: 40_211.8,
        x3: "1.4.2".to_owned(),
        x4: 123_456,
        x5: true,
        x7: 1.5,
        x8: "abcdef".to_owned(),
    };
    let (senml_json, senml_cbor) = packs(document);
    let timed = |format: &str| {
        format!("topics = [\"flat/+\"]\ndecoder = {{ {format} }}\ntimestamp = {{ path = \"ts\", unit = \"ms\" }}")
    };
    let plain = |format: &str| format!("topics = [\"flat/+\"]\ndecoder = {{ format = \"{format}\" }}");
    let protobuf = "format = \"protobuf\", descriptor = \"flat.pb\", message = \"Flat\"";
    vec![
        ("json", timed("format = \"json\""), FLAT.to_vec()),
        ("json in zstd", timed("format = \"json\", compress = \"zstd\""), zstd),
        ("cbor", timed("format = \"cbor\""), cbor),
        ("msgpack", timed("format = \"msgpack\""), msgpack),
        ("protobuf", timed(protobuf), flat.encode_to_vec()),
        ("senml-json", plain("senml-json"), senml_json),
        ("senml-cbor", plain("senml-cbor"), senml_cbor),
    ]
}

/// The document as records of SenML, in both of its encodings.
fn packs(document: &Json) -> (Vec<u8>, Vec<u8>) {
    let said = FIELDS.iter().filter(|(name, _)| *name != "ts").map(|(name, _)| (*name, &document[*name]));
    // The value's label as a word and as a number.
    let label = |value: &Json| match value {
        Json::Bool(_) => ("vb", 4),
        Json::String(_) => ("vs", 3),
        _ => ("v", 2),
    };
    let (mut words, mut numbers) = (Vec::new(), Vec::new());
    for (name, value) in said {
        let (word, number) = label(value);
        let mut record = json!({ "n": name, word: value });
        let mut labelled =
            vec![(0.into(), name.into()), (number.into(), ciborium::Value::serialized(value).expect("plain"))];
        if words.is_empty() {
            record["bt"] = json!(1_795_300_000);
            labelled.insert(0, ((-3).into(), 1_795_300_000.into()));
        }
        words.push(record);
        numbers.push(ciborium::Value::Map(labelled));
    }
    let mut cbor = Vec::new();
    ciborium::into_writer(&numbers, &mut cbor).expect("memory does not fail");
    (serde_json::to_vec(&words).expect("memory does not fail"), cbor)
}

/// The birth of a node that says the document, and its next 256 messages.
fn node(document: &Json) -> (Vec<u8>, Vec<Vec<u8>>) {
    let metrics = |born: bool| -> Vec<Metric> {
        let metric = |(alias, (name, _)): (u64, &(&str, i32))| {
            let (datatype, value) = match &document[*name] {
                Json::Bool(b) => (11, Said::Bool(*b)),
                Json::String(text) => (12, Said::Text(text.clone())),
                number => (10, Said::Double(number.as_f64().unwrap_or(0.0))),
            };
            let name = born.then(|| (*name).to_owned());
            Metric { name, alias: Some(alias), datatype: born.then_some(datatype), value: Some(value) }
        };
        (1..).zip(&FIELDS).map(metric).collect()
    };
    let payload = |born, seq| {
        Payload { timestamp: Some(1_795_300_000_000), metrics: metrics(born), seq: Some(seq) }.encode_to_vec()
    };
    (payload(true, 0), (1..=256).map(|n| payload(false, n % 256)).collect())
}

criterion_group!(benches, topics, formats);
criterion_main!(benches);
