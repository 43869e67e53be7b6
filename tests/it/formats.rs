//! What payloads of every format mean, and how those that mean nothing are refused. JSON has its own tables in
//! `payloads`; what other people's encoders write is in `oracles`.

use std::fmt::Write as _;
use std::io::Write as _;

use forewarn::decode::{self, Messages};
use forewarn::domain::At;
use forewarn::model::{self, Models};
use forewarn::source::Diagnostics;

use crate::payloads::shown;

/// 2023-11-14T22:13:20Z.
const NOW: At = At::from_secs(1_700_000_000);

const SIGNALS: &str = r#"
[signal]
speed = { path = "speed", unit = "km/h", valid = "0 <= _ <= 300" }
deep  = { path = "o.1.x", unit = "V" }
third = { path = "list[2]" }
cell  = { path = "cells", each = "cell" }
on    = { path = "on", type = "bool", true = ["ON", "open"], false = ["OFF", "closed"] }
mode  = { path = "mode", values = ["idle", "run"] }
note  = { path = "note", type = "text" }
"#;

/// A model with these first lines.
pub(crate) fn models(head: &str, signals: &str) -> Models {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("m.toml", format!("[model]\nid = \"m\"\n{head}\n{signals}"));
    let models = model::load(&mut diags, &[file]);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    models
}

/// The messages of a payload in one line, or why it goes to quarantine.
pub(crate) fn said(models: &Models, topic: &str, payload: &[u8]) -> String {
    let binding = models.bind(topic).unwrap_or_else(|| panic!("{topic} belongs to no model"));
    let model = &models.list[binding.model];
    let mut out = Messages::default();
    match decode::decode(model, &binding, payload, NOW, &mut out) {
        Ok(()) => out.as_slice().iter().map(|message| shown(model, message)).collect::<Vec<_>>().join(" | "),
        Err(error) => {
            assert!(out.as_slice().is_empty(), "nothing of an undecodable payload is kept");
            format!("quarantine [{}] {error}", error.reason())
        }
    }
}

fn check(models: &Models, cases: &[(&str, &str, &[u8], &str)]) {
    let mut wrong = String::new();
    for (name, topic, payload, expected) in cases {
        let got = said(models, topic, payload);
        if got != *expected {
            let _ = writeln!(wrong, "{name}\n  expected: {expected}\n  got:      {got}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Bytes written as hexadecimal digits, with spaces between what belongs together.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn check_hex(models: &Models, cases: &[(&str, &str, &str)]) {
    let bytes: Vec<Vec<u8>> = cases.iter().map(|(_, digits, _)| hex(digits)).collect();
    let cases: Vec<_> = cases.iter().zip(&bytes).map(|((name, _, want), b)| (*name, "m/a", &b[..], *want)).collect();
    check(models, &cases);
}

const ON: &str = "62 6f6e f5";

#[test]
fn cbor() {
    let head = "topics = [\"m/+\"]\ndecoder = { format = \"cbor\" }\ntimestamp = { path = \"ts\", unit = \"ms\" }";
    let deep = format!("a1 65 7370656564 {} 00", "81".repeat(200));
    let tags = format!("a1 65 7370656564 {} 00", "c6".repeat(200));
    check_hex(
        &models(head, SIGNALS),
        &[
            ("empty", "", "quarantine [empty] the payload is empty"),
            ("nothing", "a0", "nothing"),
            ("numbers", "a1 65 7370656564 18 64", "speed=100.0"),
            ("half float", "a1 65 7370656564 f9 5640", "speed=100.0"),
            ("half float that is not a number", "a2 65 7370656564 f9 7e00 62 6f6e f5", "speed!not_finite on=true"),
            ("float", "a1 65 7370656564 fa 42c80000", "speed=100.0"),
            ("negative", "a1 65 7370656564 20", "speed!out_of_range"),
            ("above 2^63", "a1 64 6e6f7465 1b ffffffffffffffff", "note!wrong_type"),
            ("undefined", "a1 65 7370656564 f7", "speed!null"),
            ("bytes are refused", &format!("a2 65 7370656564 41 05 {ON}"), "speed!wrong_type on=true"),
            ("a big number in bytes", &format!("a2 65 7370656564 c2 41 05 {ON}"), "speed!wrong_type on=true"),
            ("integer keys", "a1 61 6f a1 01 a1 61 78 02", "deep=2.0"),
            ("map without a length", "bf 62 6f6e f4 65 7370656564 01 ff", "speed=1.0 on=false"),
            ("text in pieces", "a1 64 6e6f7465 7f 61 61 62 6263 ff", "note='abc'"),
            ("a key in pieces", "a1 7f 62 7370 63 656564 ff 07", "speed=7.0"),
            ("list", "a1 64 6c697374 83 01 02 03", "third=3.0"),
            ("list without a length", "a1 64 6c697374 9f 01 02 03 ff", "third=3.0"),
            ("components", "a1 65 63656c6c73 83 01 f6 a0", "cell[0]=1.0 cell[1]!null cell[2]!wrong_type"),
            ("a number for components", "a1 65 63656c6c73 05", "cell[0]!wrong_type"),
            ("twice: the last counts", "a2 65 7370656564 01 65 7370656564 02", "speed=2.0"),
            ("time in milliseconds", "a1 62 7473 1b 0000018bcfe56800", "ts=1700000000000"),
            ("tag 1", "a1 62 7473 c1 1a 6553f100", "ts=1700000000000"),
            ("tag 1 with a fraction", "a1 62 7473 c1 fb 41d954fc40200000", "ts=1700000000500"),
            ("tag 0", "a1 62 7473 c0 74 323031332d30332d32315432303a30343a30305a", "ts=1363896240000"),
            ("tag 0 of nonsense", "a1 62 7473 c0 61 78", "ts!"),
            ("other tags say nothing", "d9d9f7 a1 65 7370656564 d8 20 05", "speed=5.0"),
            ("an enumeration", "a1 64 6d6f6465 63 72756e", "mode=run"),
            ("a list", "81 01", "quarantine [not_an_object] the payload is an array, not an object"),
            ("bytes", "41 00", "quarantine [not_an_object] the payload is bytes, not an object"),
            ("cut", "a1 65 7370", "quarantine [not_cbor] the payload is not CBOR at byte 2: it ends too early"),
            (
                "a length of 2^64",
                "bb ffffffffffffffff 61 61 01",
                "quarantine [not_cbor] the payload is not CBOR at byte 12: it ends too early",
            ),
            (
                "a text of 2^62 bytes",
                "a1 64 6e6f7465 7b 4000000000000000",
                "quarantine [not_cbor] the payload is not CBOR at byte 15: it ends too early",
            ),
            (
                "a text that is not UTF-8",
                "a1 64 6e6f7465 62 fffe",
                "quarantine [not_cbor] the payload is not CBOR at byte 9: a text that is not UTF-8",
            ),
            (
                "an end of nothing",
                "a1 61 61 ff",
                "quarantine [not_cbor] the payload is not CBOR at byte 4: an end of nothing",
            ),
            (
                "reserved",
                "a1 61 61 1c",
                "quarantine [not_cbor] the payload is not CBOR at byte 3: not the beginning of a value",
            ),
            (
                "something behind",
                "a0 00",
                "quarantine [not_cbor] the payload is not CBOR at byte 1: 1 bytes follow its end",
            ),
            ("too deep", &deep, "quarantine [too_deep] the payload is nested deeper than 128 at byte 136"),
            ("too many tags", &tags, "quarantine [too_deep] the payload is nested deeper than 128 at byte 136"),
        ],
    );
}

#[test]
fn message_pack() {
    let head = "topics = [\"m/+\"]\ndecoder = { format = \"msgpack\" }\ntimestamp = { path = \"ts\", unit = \"ms\" }";
    let deep = format!("81 a5 7370656564 {} 00", "91".repeat(200));
    check_hex(
        &models(head, SIGNALS),
        &[
            ("empty", "", "quarantine [empty] the payload is empty"),
            ("nothing", "80", "nothing"),
            ("numbers", "81 a5 7370656564 64", "speed=100.0"),
            ("float", "81 a5 7370656564 ca 42c80000", "speed=100.0"),
            ("negative", "81 a5 7370656564 d1 ffff", "speed!out_of_range"),
            ("nil", "81 a5 7370656564 c0", "speed!null"),
            ("bytes are refused", "82 a5 7370656564 c4 01 05 a2 6f6e c3", "speed!wrong_type on=true"),
            ("another extension", "82 a5 7370656564 d4 05 00 a2 6f6e c3", "speed!wrong_type on=true"),
            ("integer keys", "81 a1 6f 81 01 81 a1 78 02", "deep=2.0"),
            ("components", "81 a5 63656c6c73 dc 0002 01 cb 7ff8000000000000", "cell[0]=1.0 cell[1]!not_finite"),
            ("time", "81 a2 7473 cf 0000018bcfe56800", "ts=1700000000000"),
            ("timestamp 32", "81 a2 7473 d6 ff 6553f100", "ts=1700000000000"),
            ("timestamp 64", "81 a2 7473 d7 ff 77359400 6553f100", "ts=1700000000500"),
            ("timestamp 96", "81 a2 7473 c7 0c ff 1dcd6500 000000006553f100", "ts=1700000000500"),
            ("an array", "91 01", "quarantine [not_an_object] the payload is an array, not an object"),
            (
                "never used",
                "81 a1 61 c1",
                "quarantine [not_msgpack] the payload is not MessagePack at byte 4: the marker that is never used",
            ),
            (
                "a map of 2^32",
                "df ffffffff a1 61 01",
                "quarantine [not_msgpack] the payload is not MessagePack at byte 8: it ends too early",
            ),
            (
                "a text of 2^32",
                "81 a1 61 db ffffffff",
                "quarantine [not_msgpack] the payload is not MessagePack at byte 8: it ends too early",
            ),
            (
                "something behind",
                "80 c0",
                "quarantine [not_msgpack] the payload is not MessagePack at byte 1: 1 bytes follow its end",
            ),
            ("too deep", &deep, "quarantine [too_deep] the payload is nested deeper than 128 at byte 136"),
        ],
    );
}

#[test]
fn batches_are_messages_in_order() {
    let head = |batch: &str, format: &str| {
        format!(
            "topics = [\"m/+\"]\ndecoder = {{ format = \"{format}\", batch = \"{batch}\" }}\n\
             timestamp = {{ path = \"ts\", unit = \"s\" }}"
        )
    };
    let values = "[signal]\nx = { path = \"values.x\" }\n";
    let own = models(&head(".", "json"), values);
    let inner = models(&head("a.readings", "json"), values);
    let no_list = "quarantine [no_batch] the payload has no list of records where its model says that it is";
    check(
        &own,
        &[
            (
                "two",
                "m/a",
                br#"[{"ts":1,"values":{"x":1}},{"ts":2,"values":{"x":2}}]"#,
                "ts=1000 x=1.0 | ts=2000 x=2.0",
            ),
            ("none", "m/a", b"[]", ""),
            ("one without a list", "m/a", br#"{"ts":1,"values":{"x":1}}"#, "ts=1000 x=1.0"),
            ("one that is none", "m/a", br#"[{"ts":1},5,{"ts":3}]"#, "ts=1000 | ts! x!wrong_type | ts=3000"),
            ("a number", "m/a", b"5", no_list),
            (
                "cut",
                "m/a",
                b"[{\"ts\":1}",
                "quarantine [not_json] the payload is not JSON near byte 8: EOF while parsing a list",
            ),
            (
                "a bad number where an object belongs",
                "m/a",
                b"[{},{\"values\":1e999}]",
                "quarantine [not_json] the payload is not JSON near byte 18: number out of range",
            ),
        ],
    );
    check(
        &inner,
        &[
            ("two", "m/a", br#"{"fw":"1","a":{"readings":[{"ts":1},{"ts":2}]}}"#, "ts=1000 | ts=2000"),
            ("not there", "m/a", br#"{"a":{}}"#, no_list),
            ("twice: the last counts", "m/a", br#"{"a":{"readings":[{"ts":1}],"readings":[{"ts":2}]}}"#, "ts=2000"),
        ],
    );
    let many = format!("[{}{{}}]", "{},".repeat(4096));
    assert_eq!(
        said(&own, "m/a", many.as_bytes()),
        "quarantine [too_many_records] the payload holds more than 4096 messages"
    );
    check_hex(
        &models(&head(".", "cbor"), values),
        &[
            ("two", "82 a1 62 7473 01 a1 62 7473 02", "ts=1000 | ts=2000"),
            ("one without a list", "a1 62 7473 01", "ts=1000"),
            ("a number", "05", no_list),
        ],
    );
    check_hex(
        &models(&head("a.readings", "msgpack"), values),
        &[
            ("two", "82 a2 6677 01 a1 61 81 a8 72656164696e6773 92 81 a2 7473 01 81 a2 7473 02", "ts=1000 | ts=2000"),
            ("not there", "81 a1 61 80", no_list),
        ],
    );
}

#[test]
fn one_bare_value_a_topic() {
    let head = "topics = [\"esp/+/sensor/+/state\"]\ndecoder = { format = \"scalar\", signal = \"topic[3]\" }\n\
                [[model.topic]]\nfilter = \"shellies/+/#\"\ndecoder = { format = \"scalar\", signal = \"topic[2..]\" }\n\
                [[model.topic]]\nfilter = \"tele/+/SENSOR\"\n";
    let head = format!("{head}[model.presence]\ntopic = \"tele/+/LWT\"\nonline = \"Online\"\noffline = \"Offline\"\n");
    let signals = SIGNALS.replace("path = \"o.1.x\"", "path = 'relay/0/power'");
    let models = models(&head, &signals);
    check(
        &models,
        &[
            ("number", "esp/a/sensor/speed/state", b"21.5", "speed=21.5"),
            ("white space", "esp/a/sensor/speed/state", b" 7\n", "speed=7.0"),
            ("out of range", "esp/a/sensor/speed/state", b"-1", "speed!out_of_range"),
            ("nan", "esp/a/sensor/speed/state", b"nan", "speed!not_finite"),
            ("nothing", "esp/a/sensor/speed/state", b"", "speed!null"),
            ("no number", "esp/a/sensor/speed/state", b"unavailable", "speed!wrong_type"),
            ("its words for on", "esp/a/sensor/on/state", b"ON", "on=true"),
            ("its words for off", "esp/a/sensor/on/state", b"closed", "on=false"),
            ("true", "esp/a/sensor/on/state", b"true", "on=true"),
            ("1", "esp/a/sensor/on/state", b"1", "on=true"),
            ("no switch", "esp/a/sensor/on/state", b"on", "on!wrong_type"),
            ("enumeration", "esp/a/sensor/mode/state", b"run", "mode=run"),
            ("text", "esp/a/sensor/note/state", "gr\u{fc}n".as_bytes(), "note='gr\u{fc}n'"),
            ("unknown name", "esp/a/sensor/light/state", b"5", "nothing"),
            ("several levels", "shellies/a/relay/0/power", b"12.5", "deep=12.5"),
            ("one level", "shellies/a/speed", b"12.5", "speed=12.5"),
            ("JSON beside it", "tele/a/SENSOR", br#"{"speed":5,"on":"open"}"#, "speed=5.0 on=true"),
            ("last will", "tele/a/LWT", b"Offline", "went"),
            ("its opposite", "tele/a/LWT", b"Online", "came"),
            ("not text", "shellies/a/speed", b"\xff", "quarantine [not_utf8] the payload is not UTF-8 at byte 0"),
        ],
    );
}

#[test]
fn homie() {
    let head = "topics = [\"homie/+/#\"]\ndecoder = { format = \"homie\" }";
    let signals =
        "[signal]\nt = { path = \"thermo/temp\", unit = \"degC\" }\non = { path = \"fan/power\", type = \"bool\" }\n";
    check(
        &models(head, signals),
        &[
            ("value", "homie/a/thermo/temp", b"21.5", "t=21.5"),
            ("switch", "homie/a/fan/power", b"true", "on=true"),
            ("ready", "homie/a/$state", b"ready", "came"),
            ("lost", "homie/a/$state", b"lost", "went"),
            ("disconnected", "homie/a/$state", b"disconnected", "went"),
            ("init says nothing yet", "homie/a/$state", b"init", "nothing"),
            ("attributes are no values", "homie/a/thermo/$properties", b"temp", ""),
            ("of properties too", "homie/a/thermo/temp/$settable", b"true", ""),
            ("a command to it", "homie/a/thermo/temp/set", b"25", ""),
            ("its unit", "homie/a/thermo/temp/$unit", "\u{b0}C".as_bytes(), "nothing"),
            ("another unit", "homie/a/thermo/temp/$unit", "\u{b0}F".as_bytes(), "t!wrong_unit"),
            ("an unknown unit", "homie/a/thermo/temp/$unit", b"furlong", "nothing"),
            ("its type", "homie/a/thermo/temp/$datatype", b"float", "nothing"),
            ("another type", "homie/a/thermo/temp/$datatype", b"boolean", "t!wrong_type"),
        ],
    );
}

#[test]
fn senml() {
    let signals = "[signal]\nt = { path = \"temp\", unit = \"K\" }\nv = { path = \"urn:dev:1:volt\", unit = \"mV\" }\n\
                   h = { path = \"hum\", unit = \"%\" }\non = { path = \"on\", type = \"bool\" }\n\
                   e = { path = \"energy#sum\", unit = \"Wh\" }\nraw = { path = \"raw\" }\n";
    let head = |format: &str| format!("topics = [\"m/+\"]\ndecoder = {{ format = \"senml-{format}\" }}");
    let list = "a pack is a list of records";
    check(
        &models(&head("json"), signals),
        &[
            (
                "the base holds for all behind it",
                "m/a",
                br#"[{"bn":"urn:dev:1:","bt":1.7e9,"bu":"Cel","n":"temp","v":20},{"n":"temp","v":25,"t":-5},{"n":"volt","u":"V","v":1.5}]"#,
                "ts=1699999995000 t=298.15 | ts=1700000000000 t=293.15 v=1500.0",
            ),
            ("base value and sum", "m/a", br#"[{"bv":100,"n":"raw","v":1},{"n":"raw","v":2,"t":-1},{"bs":3600,"n":"energy","u":"J","s":3600}]"#, "ts=1699999999000 raw=102.0 | e=2.0 raw=101.0"),
            ("now", "m/a", br#"[{"n":"raw","v":1}]"#, "raw=1.0"),
            ("soon", "m/a", br#"[{"n":"raw","v":1,"t":10}]"#, "ts=1700000010000 raw=1.0"),
            ("a ratio", "m/a", br#"[{"n":"hum","u":"/","v":0.5}]"#, "h=50.0"),
            ("another unit", "m/a", br#"[{"n":"hum","u":"Cel","v":0.5}]"#, "h!wrong_unit"),
            ("an unknown unit is taken as the model's", "m/a", br#"[{"n":"hum","u":"furlong","v":0.5}]"#, "h=0.5"),
            ("a switch", "m/a", br#"[{"n":"on","vb":true}]"#, "on=true"),
            ("a text for a number", "m/a", br#"[{"n":"raw","vs":"x"},{"n":"on","vb":false}]"#, "on=false raw!wrong_type"),
            ("nobody's", "m/a", br#"[{"n":"other","v":1}]"#, ""),
            ("an object", "m/a", b"{}", &format!("quarantine [not_senml] the payload is not SenML at byte 0: {list}")),
            ("a version to come", "m/a", br#"[{"bver":11,"n":"raw","v":1}]"#, "quarantine [not_senml] the payload is not SenML at byte 0: a version above 10"),
            ("a field to be understood", "m/a", br#"[{"n":"raw","v":1,"x_":1}]"#, "quarantine [not_senml] the payload is not SenML at byte 0: a field that must be understood and is not"),
            ("a number as a name", "m/a", br#"[{"n":5,"v":1}]"#, "quarantine [not_senml] the payload is not SenML at byte 0: a field that is no text"),
            ("a record that is none", "m/a", br#"[5]"#, "quarantine [not_json] the payload is not JSON near byte 1: invalid type: integer `5`, expected a record"),
        ],
    );
    check_hex(
        &models(&head("cbor"), signals),
        &[
            (
                "RFC 8428, 6",
                "81 a4 21 68 75726e3a6465763a 00 62 6f6e 04 f5 22 fb 41d954fc40000000",
                "ts=1700000000000 on=true",
            ),
            ("relative", "82 a3 00 63 726177 02 01 06 24 a2 00 63 726177 02 02", "ts=1699999995000 raw=1.0 | raw=2.0"),
            ("text labels", "81 a2 61 6e 63 726177 61 76 03", "raw=3.0"),
            (
                "a map",
                "a0",
                "quarantine [not_cbor] the payload is not CBOR at byte 1: a pack is a list of records, and this is an object",
            ),
            ("cut", "82 a0", "quarantine [not_cbor] the payload is not CBOR at byte 2: it ends too early"),
        ],
    );
}

#[test]
fn wrappers_have_limits() {
    let model = |with: &str| {
        let head =
            format!("topics = [\"m/+\"]\ndecoder = {{ format = \"json\", compress = \"{with}\", max_bytes = 1000 }}");
        models(&head, SIGNALS)
    };
    let gzip = |bytes: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    let zlib = |bytes: &[u8]| {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).unwrap();
    let wrap = |with: &str, bytes: &[u8]| match with {
        "gzip" => gzip(bytes),
        "zlib" => zlib(bytes),
        _ => zstd(bytes),
    };
    for with in ["gzip", "zlib", "zstd"] {
        let wrap = |bytes: &[u8]| wrap(with, bytes);
        let models = model(with);
        let whole = wrap(b"{\"speed\":5}");
        let cut = &whole[..whole.len() - 3];
        let two = [whole.clone(), wrap(b"{}")].concat();
        let damaged = [&whole[..whole.len() / 2], &[0xff; 8], &whole[whole.len() / 2..]].concat();
        let early = format!("quarantine [not_packed] the payload is not {with}: it ends too early");
        assert_eq!(said(&models, "m/a", &whole), "speed=5.0", "{with}");
        let got = said(&models, "m/a", cut);
        assert!(got == early || got.contains("incomplete frame"), "{with}: {got}");
        assert!(said(&models, "m/a", &two).contains("bytes follow its end"), "{with}");
        assert!(said(&models, "m/a", &damaged).starts_with("quarantine [not_packed]"), "{with}");
        assert!(said(&models, "m/a", b"{}").starts_with("quarantine [not_packed]"), "{with}: never sniffed");
        assert!(said(&models, "m/a", b"").starts_with("quarantine [not_packed]"), "{with}");
        let bomb = wrap(&vec![b' '; 100 << 10]);
        assert!(bomb.len() < 1000);
        assert_eq!(
            said(&models, "m/a", &bomb),
            "quarantine [unpacks_too_large] the payload unpacks to more than 1000 bytes",
            "{with}"
        );
        assert_eq!(
            said(&models, "m/a", &[0; 1001]),
            "quarantine [too_large] the payload has 1001 bytes, more than 1000 are not read",
            "{with}"
        );
    }
}
