//! The JSON Schemas say the same as the loaders, and every shipped file fits them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forewarn::cli::schema::{Kind, schema};
use forewarn::domain::Span;
use forewarn::playbook::{self, Surroundings};
use forewarn::source::Diagnostics;
use forewarn::{model, rules};
use serde_json::{Value, json};

/// What no file knows.
const STRANGER: &str = "zzzzzzzz";

/// Every table that a schema describes: a document with a strange key in that table, and the keys that it may have.
fn tables(schema: &Value) -> Vec<(Value, BTreeSet<String>)> {
    let mut found = Vec::new();
    if let Some(variants) = schema["allOf"].as_array() {
        return variants.iter().flat_map(|v| tables(&v["then"])).collect();
    }
    for option in schema["anyOf"].as_array().into_iter().flatten() {
        found.extend(tables(option));
    }
    if schema["items"].is_object() {
        found.extend(tables(&schema["items"]).into_iter().map(|(inner, keys)| (json!([inner]), keys)));
    }
    if schema["additionalProperties"].is_object() {
        found.extend(
            tables(&schema["additionalProperties"]).into_iter().map(|(inner, keys)| (json!({ "x": inner }), keys)),
        );
    }
    let Some(properties) = schema["properties"].as_object() else { return found };
    // What decides the variant must stand in the document, and what is needed, so that the loader reads on.
    let needed = |key: &str| schema["required"].as_array().is_some_and(|r| r.iter().any(|k| k == key));
    let value = |key: &str, property: &Value| match property {
        p if !p["const"].is_null() => Some(p["const"].clone()),
        _ if !needed(key) => None,
        p if p["enum"].is_array() => Some(p["enum"][0].clone()),
        p if p["type"] == "string" => Some(json!(if p["pattern"].is_null() { "x" } else { "1m" })),
        p if p["type"] == "integer" => Some(json!(1)),
        _ => None,
    };
    let fixed: serde_json::Map<String, Value> =
        properties.iter().filter_map(|(k, p)| Some((k.clone(), value(k, p)?))).collect();
    let with = |key: &str, value: Value| {
        let mut document = fixed.clone();
        document.insert(key.to_owned(), value);
        Value::Object(document)
    };
    found.push((with(STRANGER, json!(1)), properties.keys().cloned().collect()));
    for (name, property) in properties {
        found.extend(tables(property).into_iter().map(|(inner, keys)| (with(name, inner), keys)));
    }
    found
}

/// The keys that the loader of a kind of file would know where the strange one stands.
fn known(kind: Kind, document: &Value) -> Option<BTreeSet<String>> {
    let mut document = document.clone();
    let skeleton = match kind {
        Kind::Model => json!({ "model": { "id": "m" } }),
        Kind::Playbook => json!({
            "schema": "playbook/1", "id": "p", "version": 1, "step": [],
            "match": { "fault": ["a.b"] }, "case": { "goals": [] }, "policy": { "purpose": "info" },
        }),
        _ => json!({}),
    };
    for (key, value) in skeleton.as_object().unwrap() {
        document.as_object_mut().unwrap().entry(key).or_insert(value.clone());
    }
    // How steps are matched is read only where there are steps.
    if document["rule"][0]["sequence"].is_object() {
        document["rule"][0]["step"] =
            json!([{ "name": "A", "when": "a" }, { "name": "B", "when": "b", "within": "1m" }]);
    }
    let text = toml::to_string(&document).unwrap();
    let mut diags = Diagnostics::default();
    let file = diags.add_file("x.toml", text);
    match kind {
        Kind::Model => drop(model::load(&mut diags, &[file])),
        Kind::Rules => drop(rules::load(&mut diags, &[file], Arc::default())),
        Kind::Playbook => {
            let around = Surroundings::default();
            drop(playbook::load(&mut diags, &[file], &around));
        }
        _ => return None,
    }
    let stranger = diags.list().iter().find(|d| d.message == format!("unknown key `{STRANGER}`"));
    let hint = stranger.and_then(|d| d.hint.clone()).unwrap_or_default();
    Some(hint.strip_prefix("known here: ").unwrap_or("").split(", ").map(str::to_owned).collect())
}

/// Keys that a loader asks for only if another key says so, by a key that stands beside them.
const CONDITIONAL: [(&str, &[&str]); 2] =
    [("compress", &["descriptor", "message", "signal"]), ("number_as_text", &["values"])];

#[test]
fn schemas_and_loaders_know_the_same_keys() {
    let mut wrong = Vec::new();
    for kind in [Kind::Model, Kind::Rules, Kind::Playbook] {
        for (document, mut keys) in tables(&schema(kind)) {
            for (beside, conditional) in CONDITIONAL {
                if keys.contains(beside) {
                    keys.retain(|k| !conditional.contains(&k.as_str()));
                }
            }
            let Some(known) = known(kind, &document) else { continue };
            let (more, less): (Vec<_>, Vec<_>) = (known.difference(&keys).collect(), keys.difference(&known).collect());
            if !more.is_empty() || !less.is_empty() {
                wrong.push(format!("{document}\n  only the loader knows {more:?}, only the schema {less:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What does not fit: the keywords that our schemas use, as JSON Schema 2020-12 defines them.
fn misfits(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let fits = |schema: &Value, value: &Value| {
        let mut wrong = Vec::new();
        misfits(schema, value, at, &mut wrong);
        wrong.is_empty()
    };
    let mut say = |what: String| wrong.push(format!("{at}: {what}"));
    let right_type = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.as_i64().is_some_and(|n| n >= schema["minimum"].as_i64().unwrap_or(i64::MIN)),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("type {other}"),
    };
    if !right_type {
        return say(format!("{value} is no {}", schema["type"]));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && text.parse::<Span>().is_err()
    {
        assert!(pattern.contains("us|ms|s|m|h|d"), "only durations have a pattern");
        say(format!("{text} is no duration"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        say(format!("{value} is none of {}", schema["enum"]));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        say(format!("{value} is not {}", schema["const"]));
    }
    if schema["anyOf"].as_array().is_some_and(|options| !options.iter().any(|o| fits(o, value))) {
        say(format!("{value} fits none"));
    }
    for rule in schema["allOf"].as_array().into_iter().flatten() {
        if fits(&rule["if"], value) {
            misfits(&rule["then"], value, at, wrong);
        }
    }
    for (ix, item) in value.as_array().into_iter().flatten().enumerate().filter(|_| !schema["items"].is_null()) {
        misfits(&schema["items"], item, &format!("{at}[{ix}]"), wrong);
    }
    for needed in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value[needed].is_null() {
            wrong.push(format!("{at}: needs {needed}"));
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => wrong.push(format!("{at} is not known")),
            (Value::Null, Value::Null) => {}
            (Value::Null, other) => misfits(other, inner, &at, wrong),
            (property, _) => misfits(property, inner, &at, wrong),
        }
    }
}

/// TOML files of the shipped and the example configurations, with their kinds.
fn shipped() -> Vec<(PathBuf, Kind)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = fs::read_dir(root.join("examples")).unwrap().map(|e| e.unwrap().path());
    let mut found = Vec::new();
    for dir in examples.filter(|p| p.is_dir()).chain([root.join("config")]) {
        found.push((dir.join("forewarn.toml"), Kind::Settings));
        for (name, kind) in [
            ("models", Kind::Model),
            ("rules", Kind::Rules),
            ("baselines", Kind::Baselines),
            ("playbooks", Kind::Playbook),
            ("tests", Kind::Tests),
        ] {
            let files = fs::read_dir(dir.join(name)).into_iter().flatten().map(|e| e.unwrap().path());
            found.extend(files.filter(|p| p.extension().is_some_and(|e| e == "toml")).map(|p| (p, kind)));
        }
    }
    found
}

#[test]
fn every_shipped_file_fits_its_schema() {
    let files = shipped();
    assert!(files.len() > 10, "{files:?}");
    for (path, kind) in files {
        let document: Value = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut wrong = Vec::new();
        misfits(&schema(kind), &document, "", &mut wrong);
        assert!(wrong.is_empty(), "{}:\n{}", path.display(), wrong.join("\n"));
    }
}

#[test]
fn a_slip_does_not_fit() {
    for (kind, document) in [
        (Kind::Rules, json!({ "rule": [{ "id": "r", "models": ["m"], "when": "a", "hodl": "5m" }] })),
        (Kind::Rules, json!({ "rule": [{ "id": "r", "models": ["m"], "mode": "on" }] })),
        (Kind::Rules, json!({ "rule": [{ "id": "r", "models": ["m"], "hold": "soon" }] })),
        (Kind::Model, json!({ "model": {} })),
        (Kind::Playbook, json!({ "step": [{ "id": "s", "do": "reach" }] })),
        (Kind::Settings, json!({ "provider": { "mail": { "kind": "smtp", "host": "h" } } })),
        (Kind::Settings, json!({ "brocker": {} })),
    ] {
        let mut wrong = Vec::new();
        misfits(&schema(kind), &document, "", &mut wrong);
        assert!(!wrong.is_empty(), "{document}");
    }
}
