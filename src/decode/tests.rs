//! Decoding under hostile input, and against a decoder that is slow and plain. Tables of single payloads:
//! `tests/it/payloads.rs`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::domain::At;
use crate::model::{
    self, BadValue, MAX_ELEMENTS, MAX_TEXT_BYTES, Message, Model, PathStep, Reading, ReadingValue, Signal, SignalIx,
    SignalType,
};
use crate::source::Diagnostics;

fn model() -> Model {
    let text = r#"
        [model]
        id = "m"
        topics = ["m/+"]
        timestamp = { path = "meta.ts", unit = "s" }
        [signal]
        a = { path = "a", valid = "-1000 <= _ <= 1000", na = [255] }
        b = { path = "o.b", type = "bool" }
        c = { path = "o.c", values = ["x", "y", "é"] }
        d = { path = "o.l[1]", type = "text" }
        e = { path = "l", each = "cell" }
        f = { path = "a", type = "text" }
        g = { path = "o" }
        h = { path = "meta.n", number_as_text = true }
    "#;
    let mut diags = Diagnostics::default();
    let file = diags.add_file("m.toml", text);
    let models = model::load(&mut diags, &[file]);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Model::clone(&models.list[0])
}

/// The same answer the plain way: parse everything, then follow each path. Knows nothing of numbers that overflow and
/// of escapes that are no text; the strategies below make none.
fn plain(model: &Model, json: &Json) -> Vec<Reading> {
    let mut readings = Vec::new();
    for (ix, signal) in (0..).map(SignalIx).zip(&model.signals) {
        let mut push = |component, value| readings.push(Reading { signal: ix, component, value });
        match find(json, &signal.path) {
            Ok(None) => {}
            Err(bad) => push(0, ReadingValue::Bad(bad)),
            Ok(Some(value)) if signal.each.is_none() => push(0, plain_value(signal, value)),
            Ok(Some(Json::Array(items))) if items.len() > MAX_ELEMENTS => push(0, ReadingValue::Bad(BadValue::TooLong)),
            Ok(Some(Json::Array(items))) if items.is_empty() => push(0, ReadingValue::Empty),
            Ok(Some(Json::Array(items))) => {
                (0..).zip(items).for_each(|(i, item)| push(i, plain_value(signal, item)));
            }
            Ok(Some(Json::Null)) => push(0, ReadingValue::Bad(BadValue::Null)),
            Ok(Some(_)) => push(0, ReadingValue::Bad(BadValue::WrongType)),
        }
    }
    readings
}

fn find<'j>(mut json: &'j Json, path: &[PathStep]) -> Result<Option<&'j Json>, BadValue> {
    for step in path {
        let next = match (step, json) {
            (PathStep::Key(key), Json::Object(members)) => members.get(&**key),
            (PathStep::Index(i), Json::Array(items)) => items.get(*i),
            (_, Json::Null) => return Err(BadValue::Null),
            _ => return Err(BadValue::WrongType),
        };
        let Some(next) = next else { return Ok(None) };
        json = next;
    }
    Ok(Some(json))
}

fn plain_value(signal: &Signal, json: &Json) -> ReadingValue {
    let number = |n: f64| {
        if !n.is_finite() {
            ReadingValue::Bad(BadValue::NotFinite)
        } else if signal.na.contains(&n) {
            ReadingValue::Bad(BadValue::NotAvailable)
        } else if signal.valid.is_some_and(|valid| !valid.contains(n)) {
            ReadingValue::Bad(BadValue::OutOfRange)
        } else {
            ReadingValue::Number(n)
        }
    };
    match (&signal.ty, json) {
        (_, Json::Null) => ReadingValue::Bad(BadValue::Null),
        (SignalType::Number, Json::Number(n)) => number(n.as_f64().unwrap()),
        (SignalType::Number, Json::String(s)) if signal.number_as_text => {
            s.trim().parse().map_or(ReadingValue::Bad(BadValue::WrongType), number)
        }
        (SignalType::Bool, Json::Bool(b)) => ReadingValue::Bool(*b),
        (SignalType::Bool, Json::Number(n)) => match n.as_f64().unwrap() {
            0.0 => ReadingValue::Bool(false),
            1.0 => ReadingValue::Bool(true),
            _ => ReadingValue::Bad(BadValue::OutOfRange),
        },
        (SignalType::Enum(values), Json::String(s)) => match (0..).zip(values).find(|(_, v)| ***v == **s) {
            Some((i, _)) => ReadingValue::Enum(i),
            None => ReadingValue::Bad(BadValue::NotInEnum),
        },
        (SignalType::Text, Json::String(s)) if s.len() > MAX_TEXT_BYTES => ReadingValue::Bad(BadValue::TooLong),
        (SignalType::Text, Json::String(s)) => ReadingValue::Text(s.as_str().into()),
        _ => ReadingValue::Bad(BadValue::WrongType),
    }
}

/// JSON that often has something at the paths of the model.
fn any_json() -> impl Strategy<Value = Json> {
    let key = prop::sample::select(vec!["a", "o", "b", "c", "l", "meta", "n", "ts", "é\"\\", ""]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-2000_i32..2000).prop_map(Json::from),
        prop::sample::select(vec![0_i64, 1, 255, i64::MAX, 1 << 53]).prop_map(Json::from),
        (-1e4_f64..1e4).prop_map(Json::from),
        prop::sample::select(vec!["x", "y", "é", "12.5", " 3 ", "\u{1}\n\"\\/"]).prop_map(Json::from),
        (250_usize..260).prop_map(|n| Json::from("z".repeat(n))),
    ];
    leaf.prop_recursive(4, 64, 12, move |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..12).prop_map(Json::from), object(key.clone(), inner)]
    })
}

fn object(key: impl Strategy<Value = &'static str>, value: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    prop::collection::btree_map(key.prop_map(str::to_owned), value, 0..8)
        .prop_map(|members: BTreeMap<String, Json>| Json::Object(members.into_iter().collect()))
}

fn any_message() -> impl Strategy<Value = Json> {
    object(prop::sample::select(vec!["a", "o", "l", "meta", "zz"]), any_json())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = json(&model(), &payload, &mut Message::default());
    }

    #[test]
    fn it_reads_what_a_plain_decoder_reads(message in any_message(), pretty in any::<bool>()) {
        let model = model();
        let text = if pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) }.unwrap();
        let mut out = Message::default();
        prop_assert_eq!(json(&model, text.as_bytes(), &mut out), Ok(()), "{}", text);
        prop_assert_eq!(&out.readings, &plain(&model, &message), "{}", text);
    }

    #[test]
    fn damaged_messages_are_read_or_refused(
        message in any_message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let model = model();
        let mut bytes = serde_json::to_vec(&message).unwrap();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        let mut out = Message { event_at: Some(At::MAX), ..Message::default() };
        match json(&model, &bytes, &mut out) {
            Err(error) => {
                prop_assert_eq!(out, Message::default());
                prop_assert!(!error.to_string().is_empty() && !error.reason().is_empty());
            }
            Ok(()) => {
                let keys: Vec<_> = out.readings.iter().map(|r| (r.signal, r.component)).collect();
                prop_assert!(keys.is_sorted_by(|a, b| a < b), "in order and each once: {:?}", keys);
                // Whatever is accepted is JSON to others as well, but for numbers and escapes that no f64 or text can hold.
                let lenient = serde_json::from_slice::<Json>(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
                if let Err(error) = lenient {
                    let said = error.to_string();
                    prop_assert!(["out of range", "surrogate", "hex escape"].iter().any(|ok| said.contains(ok)), "{}", said);
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_correctly(bits in any::<u64>()) {
        let x = f64::from_bits(bits);
        prop_assume!(x.is_finite());
        let model = model();
        let mut out = Message::default();
        for text in [format!("{x:?}"), format!("{x:e}"), format!("{x:.30e}")] {
            json(&model, format!("{{\"meta\":{{\"n\":{text}}}}}").as_bytes(), &mut out).unwrap();
            let expected: f64 = text.parse().unwrap();
            let ReadingValue::Number(got) = out.readings[0].value else { panic!("{out:?}") };
            prop_assert_eq!(got.to_bits(), expected.to_bits(), "{}", text);
        }
    }
}

#[test]
fn device_times() {
    let read = |unit: &str, raw: &str| {
        let text =
            format!("[model]\nid = \"m\"\ntopics = [\"m/+\"]\ntimestamp = {{ path = \"t\", unit = \"{unit}\" }}\n");
        let mut diags = Diagnostics::default();
        let file = diags.add_file("m.toml", text);
        let models = model::load(&mut diags, &[file]);
        let mut out = Message::default();
        json(&models.list[0], format!("{{\"t\":{raw}}}").as_bytes(), &mut out).unwrap();
        assert_eq!(out.event_at.is_none(), out.bad_timestamp);
        out.event_at.map(At::as_micros)
    };
    for (unit, raw, micros) in [
        ("s", "1700000000", Some(1_700_000_000_000_000)),
        ("s", "1700000000.25", Some(1_700_000_000_250_000)),
        ("s", "1.7e9", Some(1_700_000_000_000_000)),
        ("s", "-1", Some(-1_000_000)),
        ("ms", "1700000000123", Some(1_700_000_000_123_000)),
        ("us", "1700000000123456", Some(1_700_000_000_123_456)),
        ("rfc3339", "\"2020-01-01T00:01:00Z\"", Some(1_577_836_860_000_000)),
        ("rfc3339", "\"2020-01-01T01:01:00\\u002b01:00\"", Some(1_577_836_860_000_000)),
        ("rfc3339", "\"2020-01-01T00:01:00\"", Some(1_577_836_860_000_000)),
        ("rfc3339", "\"yesterday\"", None),
        ("rfc3339", "1700000000", None),
        ("ms", "\"1700000000123\"", None),
        ("ms", "true", None),
        ("ms", "{}", None),
        ("s", "9223372036854775807", None),
        ("s", "1e30", None),
        ("s", "1e999", None),
    ] {
        assert_eq!(read(unit, raw), micros, "{unit} {raw}");
    }
}

#[test]
fn the_memory_of_a_message_is_used_again() {
    let model = model();
    let mut out = Message::default();
    json(&model, br#"{"a":1,"l":[1,2,3],"meta":{"ts":5}}"#, &mut out).unwrap();
    assert!(out.event_at.is_some());
    let before = out.readings.capacity();
    json(&model, b"{}", &mut out).unwrap();
    assert_eq!((out.event_at, out.readings.len(), out.readings.capacity()), (None, 0, before));
}
