//! What devices, models and registries must not be able to do to us: each bad payload has its reading or its clear
//! error, each broken file its findings with a caret.

use std::fmt::Write as _;
use std::path::Path;

use forewarn::decode;
use forewarn::model::{self, Message, Model, Models, ReadingValue, RegistryFiles, SignalType};
use forewarn::source::Diagnostics;

const MODEL: &str = r#"
[model]
id = "press"
topics = ["press/+/state"]
timestamp = { path = "ts", unit = "ms" }
[signal]
speed = { path = "speed", unit = "km/h", valid = "0 <= _ <= 300", na = [255] }
fl    = { path = "brake.fl", unit = "bar", valid = "0 <= _ <= 250" }
t2    = { path = "bms.cells[2].t", unit = "degC" }
cell  = { path = "bms.volts", unit = "V", each = "cell", valid = "0 < _ < 5" }
on    = { path = "on", type = "bool" }
mode  = { path = "mode", values = ["idle", "run"] }
note  = { path = "note", type = "text" }
meter = { path = "meter", unit = "kWh", number_as_text = true }
"#;

/// One line: the device time if there is one, then what is said, then what is wrong; or why it goes to quarantine.
fn read(model: &Model, payload: &[u8]) -> String {
    let mut message = Message::default();
    if let Err(error) = decode::json(model, payload, &mut message) {
        assert_eq!(message, Message::default(), "nothing of an undecodable payload is kept");
        return format!("quarantine [{}] {error}", error.reason());
    }
    shown(model, &message)
}

/// A message in one line.
pub(crate) fn shown(model: &Model, message: &Message) -> String {
    let mut words = Vec::new();
    if message.historical {
        words.push("historical".to_owned());
    }
    if let Some(online) = message.presence {
        words.push(if online { "came" } else { "went" }.to_owned());
    }
    if let Some(at) = message.event_at {
        words.push(format!("ts={}", at.as_millis()));
    }
    if message.bad_timestamp {
        words.push("ts!".to_owned());
    }
    for reading in &message.readings {
        let signal = &model.signals[usize::from(reading.signal.0)];
        let component = if signal.each.is_some() { format!("[{}]", reading.component) } else { String::new() };
        let value = match (&reading.value, &signal.ty) {
            (ReadingValue::Number(n), _) => format!("={n:?}"),
            (ReadingValue::Whole { nearest, rest }, _) => format!("={nearest:?}{rest:+?}"),
            (ReadingValue::Bool(b), _) => format!("={b}"),
            (ReadingValue::Enum(i), SignalType::Enum(values)) => format!("={}", values[usize::from(*i)]),
            (ReadingValue::Enum(i), _) => format!("={i} of nothing"),
            (ReadingValue::Text(t), _) => format!("='{t}'"),
            (ReadingValue::Empty, _) => "=[]".to_owned(),
            (ReadingValue::Bad(why), _) => format!("!{}", why.as_str()),
        };
        words.push(format!("{}{component}{value}", signal.name));
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

fn load_model(text: &str) -> Models {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("press.toml", text);
    let models = model::load(&mut diags, &[file]);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    models
}

fn check(cases: &[(&str, &[u8], &str)]) {
    let models = load_model(MODEL);
    let model = &models.list[0];
    let mut wrong = String::new();
    for (name, payload, expected) in cases {
        let got = read(model, payload);
        if got != *expected {
            let _ = writeln!(wrong, "{name}\n  expected: {expected}\n  got:      {got}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn payloads_that_are_no_message_go_to_quarantine_with_a_reason() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let deep_open = format!("{{\"bms\":{}", "{\"bms\":".repeat(100_000));
    let too_large = format!("{{\"note\":\"{}\"}}", "x".repeat(1 << 20));
    check(&[
        ("empty", b"", "quarantine [empty] the payload is empty"),
        ("white space", b" \r\n\t", "quarantine [empty] the payload is empty"),
        (
            "bad UTF-8 in a value",
            b"{\"note\":\"\xff\xfe\"}",
            "quarantine [not_utf8] the payload is not UTF-8 at byte 9",
        ),
        (
            "bad UTF-8 in an unused value",
            b"{\"x\":\"\xc3\x28\"}",
            "quarantine [not_utf8] the payload is not UTF-8 at byte 6",
        ),
        ("UTF-16", b"\xff\xfe{\0}\0", "quarantine [not_utf8] the payload is not UTF-8 at byte 0"),
        (
            "truncated in a string",
            b"{\"speed\":5,\"no",
            "quarantine [not_json] the payload is not JSON near byte 13: EOF while parsing a string",
        ),
        (
            "truncated after a value",
            b"{\"speed\":5",
            "quarantine [not_json] the payload is not JSON near byte 9: EOF while parsing an object",
        ),
        (
            "truncated number",
            b"{\"speed\":-",
            "quarantine [not_json] the payload is not JSON near byte 9: invalid number",
        ),
        (
            "trailing comma",
            b"{\"speed\":5,}",
            "quarantine [not_json] the payload is not JSON near byte 11: trailing comma",
        ),
        (
            "something after the object",
            b"{\"speed\":5} {\"speed\":6}",
            "quarantine [not_json] the payload is not JSON near byte 12: trailing characters",
        ),
        (
            "NaN literal",
            b"{\"speed\":NaN}",
            "quarantine [not_json] the payload is not JSON near byte 9: NaN is not a JSON number; send null",
        ),
        (
            "-Infinity literal",
            b"{\"x\":-Infinity}",
            "quarantine [not_json] the payload is not JSON near byte 6: Infinity is not a JSON number; send null",
        ),
        (
            "leading zero",
            b"{\"speed\":007}",
            "quarantine [not_json] the payload is not JSON near byte 10: invalid number",
        ),
        (
            "hexadecimal",
            b"{\"speed\":0x10}",
            "quarantine [not_json] the payload is not JSON near byte 10: expected `,` or `}`",
        ),
        (
            "single quotes",
            b"{'speed':5}",
            "quarantine [not_json] the payload is not JSON near byte 1: key must be a string",
        ),
        (
            "a comment",
            b"{\"speed\":5 /* fast */}",
            "quarantine [not_json] the payload is not JSON near byte 11: expected `,` or `}`",
        ),
        (
            "raw newline in a string",
            b"{\"note\":\"a\nb\"}",
            "quarantine [not_json] the payload is not JSON near byte 9: control character (\\u0000-\\u001F) found while parsing a string",
        ),
        (
            "second line",
            b"{\n\"speed\": x}",
            "quarantine [not_json] the payload is not JSON near byte 11: expected value",
        ),
        ("prose", b"hello", "quarantine [not_json] the payload is not JSON near byte 0: expected value"),
        ("array", b"[{\"speed\":5}]", "quarantine [not_an_object] the payload is an array, not an object"),
        ("number", b"21.5", "quarantine [not_an_object] the payload is a number, not an object"),
        ("string", b"\"on\"", "quarantine [not_an_object] the payload is a string, not an object"),
        ("null", b"null", "quarantine [not_an_object] the payload is null, not an object"),
        ("true", b" true", "quarantine [not_an_object] the payload is true or false, not an object"),
        (
            "gzip",
            b"\x1f\x8b\x08\x00\x00",
            "quarantine [compressed] the payload is compressed with gzip, and its model says plain JSON",
        ),
        (
            "deep nesting nobody wants",
            deep.as_bytes(),
            "quarantine [too_deep] the payload is nested deeper than 128 at byte 132",
        ),
        (
            "deep nesting never closed",
            deep_open.as_bytes(),
            "quarantine [too_deep] the payload is nested deeper than 128 at byte 896",
        ),
        (
            "too large",
            too_large.as_bytes(),
            "quarantine [too_large] the payload has 1048587 bytes, more than 1048576 are not read",
        ),
        ("Sparkplug-like bytes", b"\x08\xc0\xe2\x01\x12", "quarantine [not_utf8] the payload is not UTF-8 at byte 1"),
        (
            "overflow where an object belongs",
            b"{\"brake\":1e999}",
            "quarantine [not_json] the payload is not JSON near byte 13: number out of range",
        ),
        ("NUL", b"\0", "quarantine [not_json] the payload is not JSON near byte 0: expected value"),
    ]);
}

#[test]
fn a_bad_value_spoils_itself_and_nothing_else() {
    let long_list = format!("{{\"speed\":1,\"bms\":{{\"volts\":[{}3]}}}}", "3,".repeat(1024));
    let long_text = format!("{{\"speed\":1,\"note\":\"{}\"}}", "x".repeat(257));
    check(&[
        ("null", b"{\"speed\":null,\"on\":true}", "speed!null on=true"),
        ("string for a number", b"{\"speed\":\"5\",\"on\":true}", "speed!wrong_type on=true"),
        ("object for a number", b"{\"speed\":{\"v\":[1,{}]},\"on\":true}", "speed!wrong_type on=true"),
        ("bool for a number", b"{\"speed\":true,\"on\":true}", "speed!wrong_type on=true"),
        ("number for a text", b"{\"note\":5,\"on\":true}", "on=true note!wrong_type"),
        ("below the range", b"{\"speed\":-0.1,\"on\":true}", "speed!out_of_range on=true"),
        ("end of the range", b"{\"speed\":300}", "speed=300.0"),
        ("not available", b"{\"speed\":255,\"on\":true}", "speed!not_available on=true"),
        ("number overflow", b"{\"speed\":1e999,\"on\":true}", "speed!not_finite on=true"),
        ("negative overflow", b"{\"meter\":-1e999,\"on\":true}", "on=true meter!not_finite"),
        ("overflow nobody wants", b"{\"x\":1e999,\"on\":true}", "on=true"),
        ("quoted NaN", b"{\"speed\":\"NaN\",\"on\":true}", "speed!not_finite on=true"),
        ("quoted NaN where texts hold numbers", b"{\"meter\":\"nan\"}", "meter!not_finite"),
        ("number as text", b"{\"meter\":\" 12.5 \"}", "meter=12.5"),
        ("decimal comma", b"{\"meter\":\"12,5\"}", "meter!wrong_type"),
        ("not in the enumeration", b"{\"mode\":\"RUN\",\"on\":true}", "on=true mode!not_in_enum"),
        ("number for an enumeration", b"{\"mode\":1,\"on\":true}", "on=true mode!wrong_type"),
        ("0 and 1 as a switch", b"{\"on\":1}", "on=true"),
        ("2 as a switch", b"{\"on\":2,\"speed\":5}", "speed=5.0 on!out_of_range"),
        ("a text of 257 bytes", long_text.as_bytes(), "speed=1.0 note!too_long"),
        ("half a surrogate pair", b"{\"note\":\"\\ud800\",\"on\":true}", "on=true note!wrong_type"),
        ("escapes", b"{\"note\":\"a\\u00e9\\n\",\"mode\":\"r\\u0075n\"}", "mode=run note='a\u{e9}\n'"),
        ("an escaped key", b"{\"sp\\u0065ed\":7}", "speed=7.0"),
        ("list of 1,025", long_list.as_bytes(), "speed=1.0 cell[0]!too_long"),
        ("null for a list", b"{\"bms\":{\"volts\":null}}", "cell[0]!null"),
        ("number for a list", b"{\"bms\":{\"volts\":3}}", "cell[0]!wrong_type"),
        (
            "holes in a list",
            b"{\"bms\":{\"volts\":[3,null,9,\"x\",3.5]}}",
            "cell[0]=3.0 cell[1]!null cell[2]!out_of_range cell[3]!wrong_type cell[4]=3.5",
        ),
        ("empty list", b"{\"bms\":{\"volts\":[]}}", "cell[0]=[]"),
        ("list too short for its path", b"{\"bms\":{\"cells\":[{\"t\":1}]}}", "nothing"),
        ("element of a list", b"{\"bms\":{\"cells\":[{},1,{\"t\":-4.5},{\"t\":9}]}}", "t2=-4.5"),
        ("null above", b"{\"bms\":null,\"on\":true}", "t2!null cell[0]!null on=true"),
        ("number above", b"{\"brake\":5,\"on\":true}", "fl!wrong_type on=true"),
        ("list above", b"{\"brake\":[1,2],\"on\":true}", "fl!wrong_type on=true"),
        ("object for a list above", b"{\"bms\":{\"cells\":{\"2\":{\"t\":1}}},\"on\":true}", "t2!wrong_type on=true"),
        ("nothing known", b"{\"a\":{\"b\":[1,2,{}]},\"c\":\"d\"}", "nothing"),
        ("empty object", b"{}", "nothing"),
    ]);
}

#[test]
fn what_is_odd_and_still_good() {
    let big = format!("{{\"junk\":\"{}\",\"speed\":5}}", "x".repeat(20_000));
    check(&[
        ("20 kB", big.as_bytes(), "speed=5.0"),
        ("byte order mark", b"\xef\xbb\xbf{\"speed\":5}", "speed=5.0"),
        (
            "byte order mark and an error",
            b"\xef\xbb\xbf{\"speed\":x}",
            "quarantine [not_json] the payload is not JSON near byte 12: expected value",
        ),
        (
            "another order than the model's",
            b"{\"on\":false,\"brake\":{\"fl\":2},\"speed\":1}",
            "speed=1.0 fl=2.0 on=false",
        ),
        ("twice: the last counts", b"{\"speed\":1,\"on\":true,\"speed\":2}", "speed=2.0 on=true"),
        ("twice: also when the last is bad", b"{\"speed\":1,\"speed\":null}", "speed!null"),
        ("an object twice", b"{\"bms\":{\"volts\":[1,2]},\"bms\":{\"cells\":[0,0,{\"t\":3}]}}", "t2=3.0"),
        ("a list twice", b"{\"bms\":{\"volts\":[1,2,3],\"volts\":[4]}}", "cell[0]=4.0"),
        ("above 2^53", b"{\"meter\":9007199254740993}", "meter=9007199254740992.0"),
        ("above 2^64", b"{\"meter\":18446744073709551617}", "meter=1.8446744073709552e19"),
        ("17 digits", b"{\"meter\":0.30000000000000004}", "meter=0.30000000000000004"),
        (
            "a number that needs correct rounding",
            b"{\"meter\":2.2250738585072011e-308}",
            "meter=2.225073858507201e-308",
        ),
        ("smallest", b"{\"meter\":5e-324}", "meter=5e-324"),
        ("minus zero", b"{\"meter\":-0}", "meter=-0.0"),
        ("device time", b"{\"ts\":1700000000123,\"on\":true}", "ts=1700000000123 on=true"),
        ("device time with a fraction", b"{\"ts\":1700000000123.9}", "ts=1700000000123"),
        ("device time 0", b"{\"ts\":0}", "ts=0"),
        ("device time null", b"{\"ts\":null,\"on\":true}", "ts! on=true"),
        ("device time as text", b"{\"ts\":\"1700000000123\"}", "ts!"),
        ("device time beyond the calendar", b"{\"ts\":9e300}", "ts!"),
        ("device time twice", b"{\"ts\":null,\"ts\":5}", "ts=5"),
    ]);
}

/// Loads `files` as models and gives the findings as they are shown.
fn model_findings(files: &[(&str, &str)]) -> String {
    let mut diags = Diagnostics::default();
    let ids: Vec<_> = files.iter().map(|(path, text)| diags.add_file(*path, *text)).collect();
    let _ = model::load(&mut diags, &ids);
    diags.render(false)
}

/// Compares with `tests/it/golden/models/<name>.snap`; `INSTA_UPDATE=always cargo test` writes them anew.
fn golden(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/models"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn broken_models_show_every_mistake_at_once() {
    for (name, text) in [
        ("syntax", "[model\nid = \"a\"\n"),
        ("nothing_there", "# nothing\n"),
        ("keys", "[model]\nid = \"a\"\ntopics = [\"a/+\"]\nreport_evry = \"10s\"\nlateness = 5\n[signals]\n"),
        (
            "ids",
            "[model]\nid = \"ev gen*\"\ntopics = [\"a/+\"]\n[signal]\n1x = { path = \"x\" }\nin = { path = \"y\" }\n[params]\na-b = 1\n",
        ),
        (
            "topics",
            "[model]\nid = \"a\"\ntopics = [\"fleet/#/x\", \"fleet/car+\", \"\", \"$share/g/fleet/+\", \"fleet/one\"]\n",
        ),
        ("device_level", "[model]\nid = \"a\"\ntopics = [\"a/+/b\", \"a/b/+\"]\ndevice_id = \"topic[1]\"\n"),
        ("device_id", "[model]\nid = \"a\"\ntopics = [\"a/+\"]\ndevice_id = \"payload.id\"\n"),
        (
            "durations",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\nreport_every = \"0s\"\nlateness = \"-5s\"\nmax_future = \"soon\"\n[signal]\nx = { path = \"x\", ttl = \"forever\" }\n",
        ),
        (
            "decoder",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\ndecoder = { format = \"bson\", compress = \"gzib\", batch = \"a..b\", max_bytes = 0 }\ntimestamp = { path = \"ts\", unit = \"msec\" }\n",
        ),
        (
            "presence",
            r#"
[model]
id = "a"
topics = ["a/+/t"]
skew = "manual"
[model.presence]
topic = "a/+/#/state"
online = "up"
offline = "up"
lwt = true
"#,
        ),
        ("presence_of_nobody", "[model]\nid = \"a\"\ntopics = [\"a/+/t\"]\n[model.presence]\ntopic = \"a/state\"\n"),
        (
            "kinds",
            r#"
[model]
id = "a"
topics = ["a/+/t"]
[signal]
a = { path = "a", kind = "evnt" }
b = { path = "b", kind = "event", ttl = "5m" }
c = { path = "c", kind = "counter", type = "bool" }
d = { path = "d", kind = "counter", rollover = -1 }
e = { path = "e", rollover = 65536 }
"#,
        ),
        (
            "decoders",
            r#"
[model]
id = "a"
[[model.topic]]
filter = "stat/+/+"
decoder = { format = "scalar", signal = "payload" }
[[model.topic]]
filter = "tele/+/x"
decoder = { format = "scalar" }
[[model.topic]]
filter = "homie/+/#"
decoder = { format = "homie", batch = "." }
[[model.topic]]
filter = "fleet/+/+/+"
device_id = "topic[1]"
decoder = { format = "sparkplug" }
[[model.topic]]
filter = "proto/+"
decoder = { format = "protobuf", descriptor = "press.pb", message = "plant.Press" }
[signal]
on = { path = "POWER", type = "bool", true = ["ON"], false = "OFF" }
x = { path = "x", true = ["ON"] }
"#,
        ),
        (
            "units",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\n[signal]\na = { path = \"a\", unit = \"°C\" }\nb = { path = \"b\", unit = \"km/hr\" }\nc = { path = \"c\", unit = \"volt\" }\n",
        ),
        (
            "paths",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\n[signal]\na = { path = \"\" }\nb = { path = \"a..b\" }\nc = { path = \"a[x]\" }\nd = { unit = \"V\" }\ne = \"bms.tmax\"\n",
        ),
        (
            "types",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\n[signal]\na = { path = \"a\", type = \"boolean\" }\nb = { path = \"b\", type = \"enum\" }\nc = { path = \"c\", values = [] }\nd = { path = \"d\", type = \"bool\", values = [\"on\", \"off\"] }\ne = { path = \"e\", values = [\"x\", \"x\"] }\nf = { path = \"f\", type = \"text\", unit = \"V\", valid = \"0 < _\", na = [1] }\n",
        ),
        (
            "ranges",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\n[signal]\na = { path = \"a\", valid = \"5 < _ < 5\" }\nb = { path = \"b\", valid = \"0..100\" }\nc = { path = \"c\", valid = \"0 < _ <= 100[%]\" }\nd = { path = \"d\", na = [\"none\"] }\n",
        ),
        (
            "params",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\n[params]\na = \"5000km\"\nb = \"55[degc]\"\nc = \"red\"\nd = [1]\ne = inf\n",
        ),
        (
            "facts",
            "[model]\nid = \"a\"\ntopics = [\"a/+\"]\n[signal]\nspeed = { path = \"v\" }\ncell = { path = \"c\", each = \"cell\" }\n[facts]\nv = \"sped\"\nc = \"cell\"\n",
        ),
        (
            "same_field",
            "[model]\nid = \"a\"\ntopics = [\"a/+\", \"a/#\"]\ndevice_id = \"topic[1]\"\n[signal]\nfl = { path = \"brake.fl\" }\nfr = { path = \"brake.fl\" }\n",
        ),
    ] {
        golden(&format!("model_{name}"), &model_findings(&[("models/a.toml", text)]));
    }
    let a = "[model]\nid = \"car\"\ntopics = [\"fleet/+/telemetry\"]\n";
    let b = "[model]\nid = \"truck\"\ntopics = [\"trucks/+\", \"fleet/+/#\"]\n";
    golden("models_share_topics", &model_findings(&[("models/car.toml", a), ("models/truck.toml", b)]));
    golden("models_with_one_id", &model_findings(&[("models/car.toml", a), ("models/copy.toml", a)]));
}

/// Loads a registry and gives the findings as they are shown.
fn registry_findings(devices: &str, customers: &str, endpoints: &str, consents: &str) -> String {
    let mut diags = Diagnostics::default();
    let model = "[model]\nid = \"car\"\ntopics = [\"fleet/+\"]\n[params]\nt_warn = \"55[degC]\"\nwait = \"10m\"\n";
    let model = diags.add_file("models/car.toml", model);
    let models = model::load(&mut diags, &[model]);
    let mut add = |path: &str, text: &str| (!text.is_empty()).then(|| diags.add_file(path, text));
    let files = RegistryFiles {
        devices: add("registry/devices.csv", devices),
        customers: add("registry/customers.csv", customers),
        endpoints: add("registry/endpoints.csv", endpoints),
        consents: add("registry/consents.csv", consents),
    };
    let _ = model::load_registry(&mut diags, &files, &models);
    diags.render(false)
}

#[test]
fn broken_registries_show_every_mistake_at_once() {
    let customers = "id,name,locale,tz\nc-1,Jane Doe,de-DE,Europe/Berlin\n";
    for (name, shown) in [
        (
            "devices",
            registry_findings(
                "id,model,kind,ownr,owner,tz,param.t_warn,param.t_wrn,plate\n\
                 car-1,cra,car,,c-1,,,,\n\
                 car-2,car,,,c-2,Europe/Berln,60,,\n\
                 car-2,car,car,,,Europe/Berlin,5[bar],60[degC],\"B, X 1\"\n\
                 car/3,car,car,,,,,,\n\
                 car-4,car,car,,,,60[degC],,x\n\
                 car-4,car,car,,,,140[degF],,y\n",
                customers,
                "",
                "",
            ),
        ),
        ("columns", registry_findings("id,modell,model,kind,kind,the plate\n", "id,nam,locale\n", "", "")),
        (
            "lengths",
            registry_findings(
                "id,model,kind,plate\ncar-1,car,car\ncar-2,car,car,B X 1,blue\n\ncar-3,car,car,\n",
                "",
                "",
                "",
            ),
        ),
        ("semicolons", registry_findings("id;model;kind\ncar-1;car;car\n", "", "", "")),
        ("empty", registry_findings("\n", "", "", "")),
        (
            "customers",
            registry_findings(
                "",
                "id,name,locale,tz\nc-1,Jane Doe,de_DE,Europe/Berlin\nc-2,,en,Mars/Base\nc-2,Max,en,\n,Nobody,en,\n",
                "",
                "",
            ),
        ),
        (
            "endpoints",
            registry_findings(
                "",
                customers,
                "id,customer,kind,address,opted_out\n\
                 e-1,c-1,phone,030 123456,\n\
                 e-2,c-1,phone,0049 30 123456,\n\
                 e-3,c-1,email,jane.example.com,\n\
                 e-4,c-11,email,jane@example.com,yes\n\
                 e-5,c-1,fax,+4930123456,false\n\
                 e-6,c-1,email,jane@example.com,\n\
                 e-6,c-1,phone,+4930123456,true\n",
                "",
            ),
        ),
        (
            "consents",
            registry_findings(
                "",
                customers,
                "",
                "customer,purpose,channel,source,given_at,withdrawn_at\n\
                 c-1,servce,phone,contract,2026-01-01T00:00:00Z,\n\
                 c-1,info,post,,01.02.2026,\n\
                 c-9,info,,app,2026-01-01T00:00:00Z,2025-01-01T00:00:00Z\n",
            ),
        ),
    ] {
        golden(&format!("registry_{name}"), &shown);
    }
}

#[test]
fn a_file_that_is_wrong_in_every_line_does_not_flood_the_terminal() {
    let shown = registry_findings(&format!("id,model,kind\n{}", ",car,car\n".repeat(1_000)), "", "", "");
    assert_eq!(shown.matches("the id is empty").count(), 50);
    assert!(shown.contains("registry/devices.csv: not read further after 50 mistakes"), "{shown}");
}
