//! What a message costs before any rule sees it: binding the topic and decoding the payload. The target is 1.2 us for
//! 200 bytes with 8 signals; a `serde_json::Value` of the same payload is measured beside it.
//!
//! `cargo bench --bench decode`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forewarn::decode::{self, Messages};
use forewarn::domain::At;
use forewarn::model::{self, Message, Models};
use forewarn::source::Diagnostics;

/// The shipped car: 10 signals, some of them one object deeper.
const CAR: &[u8] = br#"{"ts":1795300000000,"speed":87.5,"pedal":0,"brake":{"fl":0.4123,"fr":0.5171},"v12":14.1,"ign":true,"tamb":11.5,"pos":{"lat":52.520008,"lon":13.404954},"odo":40211.8,"fw":"1.4.2","seq":123456}"#;

/// 8 signals of 17 members.
const FLAT: &[u8] = br#"{"ts":1795300000000,"s1":87.5,"s2":0.25,"s3":0.4123,"s4":0.5171,"s5":14.1,"s6":true,"s7":11.5,"s8":52.520008,"x1":13.404954,"x2":40211.8,"x3":"1.4.2","x4":123456,"x5":true,"x6":null,"x7":1.5,"x8":"abcdef"}"#;

fn models(text: &str) -> Models {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("model.toml", text);
    let models = model::load(&mut diags, &[file]);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    models
}

fn flat() -> Models {
    models(&flat_text(""))
}

fn flat_text(decoder: &str) -> String {
    let mut text = format!(
        "[model]\nid = \"flat\"\ntopics = [\"flat/+\"]\n{decoder}timestamp = {{ path = \"ts\", unit = \"ms\" }}\n[signal]\n"
    );
    for n in 1..=8 {
        let ty = if n == 6 { "bool" } else { "number" };
        text.push_str(&format!("s{n} = {{ path = \"s{n}\", type = \"{ty}\" }}\n"));
    }
    text
}

fn decode(c: &mut Criterion) {
    let (car, flat) = (models(include_str!("../config/models/car.toml")), flat());
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let mut message = Message::default();
    for (name, models, payload, signals) in
        [("car, 10 signals", &car, CAR, 10), ("flat, 8 signals of 17", &flat, FLAT, 8)]
    {
        group.bench_function(name, |b| {
            b.iter(|| decode::json(&models.list[0], black_box(payload), &mut message).is_ok());
        });
        assert_eq!(message.readings.len(), signals);
    }
    group.bench_function("flat, as a serde_json::Value", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(FLAT)).is_ok());
    });
    group.bench_function("bind a topic", |b| b.iter(|| car.bind(black_box("fleet/car-0042/telemetry"))));
    group.finish();
}

/// The same content in every format, beside what everybody would take for it: a tree of values.
fn formats(c: &mut Criterion) {
    let document: serde_json::Value = serde_json::from_slice(FLAT).expect("JSON");
    let json = FLAT.to_vec();
    let mut cbor = Vec::new();
    ciborium::into_writer(&document, &mut cbor).expect("memory does not fail");
    let msgpack = rmp_serde::to_vec_named(&document).expect("memory does not fail");
    let zstd = zstd::bulk::compress(FLAT, 3).expect("memory does not fail");
    let mut group = c.benchmark_group("formats");
    group.throughput(Throughput::Elements(1));
    for (format, payload) in [
        ("format = \"json\"", &json),
        ("format = \"cbor\"", &cbor),
        ("format = \"msgpack\"", &msgpack),
        ("format = \"json\", compress = \"zstd\"", &zstd),
    ] {
        let models = models(&flat_text(&format!("decoder = {{ {format} }}\n")));
        let binding = models.bind("flat/a").expect("a topic of the model");
        let mut out = Messages::default();
        group.bench_function(format, |b| {
            b.iter(|| decode::decode(&models.list[0], &binding, black_box(payload), At::MIN, &mut out).is_ok());
        });
        assert_eq!(out.as_slice()[0].readings.len(), 8, "{format}");
    }
    group.bench_function("json, as a serde_json::Value", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&json)).is_ok());
    });
    group.bench_function("cbor, as a ciborium::Value", |b| {
        b.iter(|| ciborium::from_reader::<ciborium::Value, _>(black_box(&cbor[..])).is_ok());
    });
    group.bench_function("msgpack, as a serde_json::Value", |b| {
        b.iter(|| rmp_serde::from_slice::<serde_json::Value>(black_box(&msgpack)).is_ok());
    });
    group.finish();
}

criterion_group!(benches, decode, formats);
criterion_main!(benches);
