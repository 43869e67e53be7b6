//! Whole model files and registries that are as they should be. What is wrong with bad ones: `tests/it/payloads.rs`.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::domain::{CustomerId, DeviceId, EndpointKind, Purpose, Registry, Role};
use crate::source::Diagnostics;

fn models(texts: &[&str]) -> Models {
    let mut diags = Diagnostics::default();
    let files: Vec<_> = texts.iter().map(|text| diags.add_file("m.toml", *text)).collect();
    let models = load(&mut diags, &files);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    models
}

fn registry(models: &Models, devices: &str, customers: &str, endpoints: &str, consents: &str) -> Registry {
    let mut diags = Diagnostics::default();
    let files = RegistryFiles {
        devices: Some(diags.add_file("devices.csv", devices)),
        customers: Some(diags.add_file("customers.csv", customers)),
        endpoints: Some(diags.add_file("endpoints.csv", endpoints)),
        consents: Some(diags.add_file("consents.csv", consents)),
    };
    let registry = load_registry(&mut diags, &files, models);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    registry
}

const EV: &str = r#"
[model]
id = "ev-gen2"
topics = ["fleet/+/telemetry", "fleet/+/logs/#"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "meta.ts", unit = "ms" }
report_every = "10s"
lateness = "30s"
backfill_after = "10m"
[signal]
pack_temp_max = { path = "bms.tmax", unit = "degC", valid = "-40 < _ <= 150", na = [-40, 255] }
cell_v        = { path = "bms.cells", unit = "V", each = "cell" }
ignition      = { path = "ign", type = "bool", ttl = "never" }
charging      = { path = "chg", type = "enum", values = ["no", "ac", "dc"], ttl = "1h" }
[signal.serial]
path = "'b.c'[2].x"
type = "text"
[params]
t_warn = "55[degC]"
wait = "10m"
limit = 5
region = "'EU'"
active = true
[facts]
temp = "pack_temp_max"
"#;

#[test]
fn a_model_says_what_its_file_says() {
    let models = models(&[EV]);
    let model = models.get(&ModelId::from("ev-gen2")).unwrap();
    let names: Vec<&str> = model.signals.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["pack_temp_max", "cell_v", "ignition", "charging", "serial"]);
    let [temp, cell, ignition, charging, serial] = model.signals.as_slice() else { panic!() };
    assert_eq!(temp.ttl, Some(Span::from_secs(30)), "three times report_every");
    assert_eq!(&*temp.unit.text, "degC");
    assert_eq!(temp.na, [-40.0, 255.0]);
    assert!(temp.valid.unwrap().contains(150.0) && !temp.valid.unwrap().contains(-40.0));
    assert_eq!(cell.each.as_deref(), Some("cell"));
    assert_eq!((ignition.ttl, &ignition.ty), (None, &SignalType::Bool));
    assert_eq!(charging.ttl, Some(Span::from_hours(1)));
    assert_eq!(charging.ty, SignalType::Enum(vec!["no".into(), "ac".into(), "dc".into()]));
    assert_eq!(serial.path, [PathStep::Key("b.c".into()), PathStep::Index(2), PathStep::Key("x".into())]);
    assert_eq!(model.timestamp.as_ref().unwrap().unit, TimestampUnit::Millis);
    assert_eq!((model.report_every, model.lateness), (Some(Span::from_secs(10)), Span::from_secs(30)));
    assert_eq!((model.backfill_after, model.max_future), (Some(Span::from_mins(10)), Span::from_mins(2)));
    let params: Vec<(&str, Value, &str)> =
        model.params.iter().map(|(name, p)| (&**name, p.value.clone(), &*p.unit.text)).collect();
    assert_eq!(
        params,
        [
            ("active", Value::Bool(true), ""),
            ("limit", Value::Num(5.0), ""),
            ("region", Value::from("EU"), ""),
            ("t_warn", Value::Num(55.0), "degC"),
            ("wait", Value::Num(600.0), "s"),
        ]
    );
    assert_eq!(model.facts.get("temp"), Some(&SignalIx(0)));
}

#[test]
fn topics_name_the_model_and_the_device() {
    let lift = "[model]\nid = \"lift\"\ntopics = [\"site/+/lift/+/state\"]\ndevice_id = \"topic[3]\"\n";
    let models = models(&[EV, lift]);
    let bound = |topic: &str| models.bind(topic).map(|b| (b.model, b.device.as_str().to_owned()));
    let long = "x".repeat(128);
    for (topic, model, device) in [
        ("fleet/car-1/telemetry", 0, "car-1"),
        ("fleet/car-1/logs", 0, "car-1"),
        ("fleet/car-1/logs/2026/a", 0, "car-1"),
        ("site/north/lift/l-7/state", 1, "l-7"),
        ("fleet/Zürich 1/telemetry", 0, "Zürich 1"),
        (&format!("fleet/{long}/telemetry"), 0, &long),
    ] {
        assert_eq!(bound(topic), Some((model, device.to_owned())), "{topic}");
    }
    for topic in [
        "",
        "/",
        "fleet/car-1",
        "fleet//telemetry",
        "fleet/a\u{7}b/telemetry",
        "fleet/car-1/telemetry/x",
        &format!("fleet/{long}x/telemetry"),
    ] {
        assert_eq!(bound(topic), None, "{topic}");
    }
    let filters: Vec<_> = models.filters().iter().map(ToString::to_string).collect();
    assert_eq!(filters, ["fleet/+/telemetry", "fleet/+/logs/#", "site/+/lift/+/state"]);
}

#[test]
fn the_plan_leads_to_every_signal() {
    let models = models(&[EV]);
    let plan = &models.list[0].plan;
    let bms = plan.member(plan.root(), "bms", 7).unwrap().1;
    assert_eq!(bms.below, [SignalIx(0), SignalIx(1)]);
    assert!(!bms.is_leaf() && !bms.time_below);
    let (number, cells) = plan.member(bms, "cells", 1).unwrap();
    assert_eq!((number, cells.signals.as_slice(), cells.is_inner()), (1, [SignalIx(1)].as_slice(), false));
    let meta = plan.member(plan.root(), "meta", 0).unwrap().1;
    assert!(meta.time_below && plan.member(meta, "ts", 0).unwrap().1.time);
    let list = plan.member(plan.root(), "b.c", 0).unwrap().1;
    let x = plan.member(plan.element(list, 2).unwrap(), "x", 0).unwrap().1;
    assert_eq!((x.signals.as_slice(), plan.element(list, 1)), ([SignalIx(4)].as_slice(), None));
    assert!(plan.member(plan.root(), "bm", 0).is_none());
}

#[test]
fn the_shipped_models_are_sound() {
    let car = models(&[include_str!("../../config/models/car.toml")]);
    let model = &car.list[0];
    assert_eq!(model.id.as_str(), "car");
    assert_eq!(model.facts.keys().map(|k| &**k).collect::<Vec<_>>(), ["batt12_v", "lat", "lon", "odometer", "speed"]);
    assert_eq!(car.bind("fleet/car-0042/telemetry").unwrap().device.as_str(), "car-0042");
    let mut message = Message::default();
    let payload = r#"{"ts":1795300000000,"speed":87.5,"pedal":0,"brake":{"fl":0.4,"fr":0.5},"v12":14.1,"ign":true,
        "tamb":11.5,"pos":{"lat":52.52,"lon":13.4},"odo":40211.8,"pad":{"front":7.5}}"#;
    crate::decode::json(model, payload.as_bytes(), &mut message).unwrap();
    assert_eq!(message.readings.len(), model.signals.len());
    assert!(message.readings.iter().all(|r| !matches!(r.value, ReadingValue::Bad(_))), "{message:?}");
}

#[test]
fn a_registry_says_what_its_files_say() {
    let models = models(&[EV]);
    let registry = registry(
        &models,
        "\u{feff}id,model,kind,plate,owner,driver,tz,param.t_warn,firmware\r\n\
         car-1,ev-gen2,car,\"B \"\"X\"\", 1\",c-1,c-2,Europe/Berlin,60[degC],1.4\r\n\
         \r\n\
         car-2, ev-gen2 ,car,,,,,,1.4\r\n",
        "id,name,locale,tz\nc-1,\"Doe, Jane\",DE-de,Europe/Berlin\nc-2,Max,en,\n",
        "id,customer,kind,address,opted_out\n\
         e-1,c-1,phone,+4930123456,true\ne-2,c-1,phone,+4930123457,\ne-3,c-1,email,jane@example.com,false\n",
        "customer,purpose,channel,source,given_at,withdrawn_at\n\
         c-1,service,,contract,2026-01-01T00:00:00Z,\n\
         c-2,info,email,app,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z\n",
    );
    let car = &registry.devices["car-1"];
    assert_eq!(&*car.tz, "Europe/Berlin");
    assert_eq!(car.attrs.get("plate").map(|t| &**t), Some("B \"X\", 1"));
    assert_eq!(car.params.get("t_warn").map(|t| &**t), Some("60[degC]"));
    assert_eq!(car.parties.get("driver").map(CustomerId::as_str), Some("c-2"));
    let bare = &registry.devices["car-2"];
    assert_eq!((bare.model.as_str(), &*bare.tz, bare.attrs.len()), ("ev-gen2", "UTC", 1));
    assert!(Arc::ptr_eq(&bare.attrs["firmware"], &car.attrs["firmware"]), "texts that many have are kept once");
    let jane = &registry.customers["c-1"];
    assert_eq!((&*jane.name, &*jane.locale), ("Doe, Jane", "de-DE"));
    assert_eq!(jane.endpoint(EndpointKind::Phone).map(|e| e.id.as_str()), Some("e-2"), "e-1 has opted out");
    let now: At = "2026-03-01T00:00:00Z".parse().unwrap();
    assert!(jane.consents_to(Purpose::Service, EndpointKind::Email, now));
    assert!(!registry.customers["c-2"].consents_to(Purpose::Info, EndpointKind::Email, now), "withdrawn");
    let roles: [Role; 2] = ["driver".into(), "owner".into()];
    let people: Vec<&str> = registry.people(&DeviceId::from("car-1"), &roles).map(|c| c.id.as_str()).collect();
    assert_eq!(people, ["c-2", "c-1"]);
}

#[test]
fn a_large_registry_loads() {
    let mut devices = "id,model,kind,tz,owner,plate,firmware\n".to_owned();
    let mut customers = "id,name,locale,tz\n".to_owned();
    for n in 0..5_000 {
        let _ = writeln!(devices, "car-{n},ev-gen2,car,Europe/Berlin,c-{n},B X {n},1.{}", n % 7);
        let _ = writeln!(customers, "c-{n},Name {n},de-DE,Europe/Berlin");
    }
    let registry = registry(
        &models(&[EV]),
        &devices,
        &customers,
        "id,customer,kind,address,opted_out\n",
        "customer,purpose,channel,source,given_at,withdrawn_at\n",
    );
    assert_eq!((registry.devices.len(), registry.customers.len()), (5_000, 5_000));
}

/// `text` with some characters replaced, inserted or taken out, also by ones that need more than one byte.
fn damaged(text: &str, damage: &[(Index, char, u8)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, with, how) in damage {
        let at = at.index(chars.len());
        match how {
            0 => chars[at] = *with,
            1 => chars.insert(at, *with),
            _ => drop(chars.remove(at)),
        }
    }
    chars.into_iter().collect()
}

fn any_damage() -> impl Strategy<Value = Vec<(Index, char, u8)>> {
    let odd = prop::sample::select(vec![
        '\'',
        '"',
        '[',
        ']',
        ',',
        '\n',
        '\r',
        '_',
        '<',
        '.',
        '#',
        '+',
        '/',
        'é',
        '\u{1f697}',
    ]);
    prop::collection::vec((any::<Index>(), prop_oneof![odd, any::<char>()], 0..3_u8), 1..6)
}

proptest! {
    #[test]
    fn damaged_models_are_reported_and_never_panic(damage in any_damage()) {
        let mut diags = Diagnostics::default();
        let file = diags.add_file("m.toml", damaged(EV, &damage));
        let models = load(&mut diags, &[file]);
        prop_assert!(diags.has_errors() || models.list.len() == 1);
        let shown = diags.render(false);
        prop_assert_eq!(shown.is_empty(), diags.list().is_empty());
    }

    #[test]
    fn damaged_registries_are_reported_and_never_panic(damage in any_damage(), which in 0..4_usize) {
        let mut texts = [
            "id,model,kind,plate,owner,tz,param.t_warn\ncar-1,ev-gen2,car,\"B \"\"X\"\", 1\",c-1,Europe/Berlin,60[degC]\n",
            "id,name,locale,tz\nc-1,\"Doe, Jané\",de-DE,Europe/Berlin\n",
            "id,customer,kind,address,opted_out\ne-1,c-1,phone,+4930123456,true\ne-3,c-1,email,jane@example.com,\n",
            "customer,purpose,channel,source,given_at,withdrawn_at\nc-1,service,,contract,2026-01-01T00:00:00Z,\n",
        ]
        .map(str::to_owned);
        texts[which] = damaged(&texts[which], &damage);
        let models = models(&[EV]);
        let mut diags = Diagnostics::default();
        let [devices, customers, endpoints, consents] =
            texts.map(|text| Some(diags.add_file("x.csv", text)));
        let files = RegistryFiles { devices, customers, endpoints, consents };
        let registry = load_registry(&mut diags, &files, &models);
        let _ = diags.render(false);
        prop_assert!(registry.customers.len() <= 3);
        let owners = registry.devices.values().flat_map(|d| d.parties.values());
        prop_assert!(owners.into_iter().all(|owner| registry.customers.contains_key(owner.as_str())));
    }
}
