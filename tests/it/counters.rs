//! Counters of 64 bits (V4): every digit counts, whatever format they come in, although values are `f64` otherwise.

use std::sync::Arc;

use forewarn::domain::{At, Change, Registry};
use forewarn::engine::Engine;
use forewarn::source::Diagnostics;
use forewarn::{model, rules};

/// Writes a number as a format does.
type Encoder = fn(u64) -> Vec<u8>;

const FORMATS: [(&str, Encoder); 4] = [
    ("{ format = \"json\" }", |n| format!("{{\"n\":{n}}}").into_bytes()),
    ("{ format = \"json\", number_as_text = true }", |n| format!("{{\"n\":\"{n}\"}}").into_bytes()),
    ("{ format = \"cbor\" }", |n| [&[0xa1, 0x61, b'n', 0x1b][..], &n.to_be_bytes()].concat()),
    ("{ format = \"protobuf\", descriptor = \"n.pb\", message = \"t.N\" }", |n| [vec![0x08], varint(n)].concat()),
];

fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    bytes.push(n.to_le_bytes()[0]);
    bytes
}

/// `syntax = "proto3"; package t; message N { uint64 n = 1; }`, compiled.
fn descriptor() -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| [&[tag << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    let n = [field(1, b"n"), vec![3 << 3, 1, 4 << 3, 1, 5 << 3, 4], field(10, b"n")].concat();
    let message = [field(1, b"N"), field(2, &n)].concat();
    field(1, &[field(1, b"n.proto"), field(2, b"t"), field(4, &message), field(12, b"proto3")].concat())
}

/// What `increase(n, 60s)` says after each reading, ten seconds apart.
fn grown((decoder, payload): (&str, fn(u64) -> Vec<u8>), readings: &[u64]) -> Vec<String> {
    let mut diags = Diagnostics::default();
    diags.attach("n.pb", descriptor());
    let as_text = decoder.contains("as_text");
    let decoder = decoder.replace(", number_as_text = true", "");
    let file = diags.add_file(
        "m.toml",
        format!(
            "[model]\nid = \"m\"\ntopics = [\"m/+\"]\ndecoder = {decoder}\nreport_every = \"10s\"\n[signal]\n\
             n = {{ path = \"n\", kind = \"counter\", rollover = 1.8446744073709551616e19, number_as_text = {as_text} }}\n"
        ),
    );
    let models = Arc::new(model::load(&mut diags, &[file]));
    let rule = "[[rule]]\nid = \"r\"\nmodels = [\"m\"]\nseverity = \"minor\"\nwhen = \"known(n)\"\nclear = \"true\"\n\
                [rule.case]\ntitle = \"{increase(n, 60s)}\"\n";
    let file = diags.add_file("r.toml", rule);
    let program = Arc::new(rules::load(&mut diags, &[file], models));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    let mut engine = Engine::new(program.clone(), Arc::new(Registry::default()));
    let binding = program.models().bind("m/d").unwrap();
    let mut out = Vec::new();
    for (at, n) in (1_767_225_600..).step_by(10).zip(readings) {
        engine.message(&binding, &payload(*n), At::from_secs(at), false, &mut out).unwrap();
        // What is not exact in a state would be lost here.
        let shard = forewarn::domain::shard_of("d");
        let state = engine.snapshot(shard);
        engine.restore(shard, &state).unwrap();
    }
    out.into_iter().filter(|d| d.change == Change::Raised).map(|d| d.title).collect()
}

#[test]
fn v4_counters_of_64_bits_are_exact_in_every_format() {
    let high = 1 << 63;
    for format in FORMATS {
        for (readings, expected) in [
            ([high - 9, high - 8, high - 5, high + 1, high + 2], "11"),
            ([u64::MAX - 9, u64::MAX - 3, u64::MAX, 4, 5], "15"),
            ([(1 << 53) - 1, 1 << 53, (1 << 53) + 1, (1 << 53) + 3, (1 << 53) + 3], "4"),
            ([1, 2, 3, 4, 7], "6"),
        ] {
            let told = grown(format, &readings);
            assert_eq!(told.last().map(String::as_str), Some(expected), "{} {readings:?}: {told:?}", format.0);
        }
    }
}
