//! `forewarn schema`: a JSON Schema of each kind of file, so that editors complete and check what is typed.
//!
//! The shapes are tables beside this file. That they say the same as the loaders is held by a test
//! (`tests/it/schema.rs`): each key of a shape is known to its loader and each key of the loader is in the shape.

mod model;
mod playbook;
mod rules;
mod settings;
mod tests;

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// What `forewarn schema` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kind of file
    #[arg(value_enum)]
    kind: Kind,
}

/// The kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// forewarn.toml
    Settings,
    /// models/*.toml
    Model,
    /// rules/*.toml
    Rules,
    /// baselines/*.toml
    Baselines,
    /// playbooks/*.toml
    Playbook,
    /// tests/*.toml
    Tests,
}

/// Writes the schema.
pub fn run(args: &Args, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &schema(args.kind))?;
    writeln!(out)
}

/// The JSON Schema of a kind of file.
#[must_use]
pub fn schema(kind: Kind) -> Value {
    let (title, keys) = shape(kind);
    let mut schema = object(keys);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}

fn shape(kind: Kind) -> (&'static str, &'static [Key]) {
    match kind {
        Kind::Settings => ("forewarn settings", settings::KEYS),
        Kind::Model => ("forewarn device model", model::KEYS),
        Kind::Rules => ("forewarn rules", rules::KEYS),
        Kind::Baselines => ("forewarn fleet baselines", rules::BASELINES),
        Kind::Playbook => ("forewarn playbook", playbook::KEYS),
        Kind::Tests => ("forewarn tests", tests::KEYS),
    }
}

/// A key of a table.
pub struct Key {
    name: &'static str,
    shape: Shape,
    needed: bool,
    /// Shown by editors.
    about: &'static str,
}

/// What may stand behind a key.
pub enum Shape {
    /// Any text.
    Text,
    /// A condition or value in the language of rules.
    Expression,
    /// `250ms`, `30s`, `10m`, `2h`, `7d`.
    Duration,
    /// Any number.
    Number,
    /// A whole number from 0.
    Count,
    /// True or false.
    Flag,
    /// One of these.
    Word(&'static [&'static str]),
    /// One of these, or a text of another shape.
    Either(&'static [Self]),
    /// A list.
    List(&'static Self),
    /// One, or a list.
    Several(&'static Self),
    /// A table with these keys.
    Table(&'static [Key]),
    /// `[[…]]`.
    Tables(&'static [Key]),
    /// `[[…]]` with these keys, and texts under keys of the user's choice.
    Open(&'static [Key]),
    /// A table with keys of the user's choice.
    Map(&'static Self),
    /// A table whose keys depend on the word behind one of them.
    Variant(&'static str, &'static [Key], &'static [(&'static str, &'static [Key])]),
    /// Anything.
    Any,
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, needed: false, about }
}

const fn need(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, needed: true, about }
}

fn object(keys: &[Key]) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut property = value(&key.shape);
        property["description"] = json!(key.about);
        properties.insert(key.name.to_owned(), property);
    }
    let needed: Vec<&str> = keys.iter().filter(|k| k.needed).map(|k| k.name).collect();
    let mut object = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !needed.is_empty() {
        object["required"] = json!(needed);
    }
    object
}

fn value(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Expression => json!({ "type": "string" }),
        Shape::Duration => json!({ "type": "string", "pattern": "^([0-9]+(us|ms|s|m|h|d))+$" }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(value).collect::<Vec<_>>() }),
        Shape::List(of) => json!({ "type": "array", "items": value(of) }),
        Shape::Several(of) => json!({ "anyOf": [value(of), { "type": "array", "items": value(of) }] }),
        Shape::Table(keys) => object(keys),
        Shape::Tables(keys) => json!({ "type": "array", "items": object(keys) }),
        Shape::Open(keys) => {
            let mut open = object(keys);
            open["additionalProperties"] = value(&Shape::Text);
            json!({ "type": "array", "items": open })
        }
        Shape::Map(of) => json!({ "type": "object", "additionalProperties": value(of) }),
        Shape::Variant(by, common, variants) => variant(by, common, variants),
        Shape::Any => json!({}),
    }
}

/// The keys of all variants are offered; which of them fit is told by the word.
fn variant(by: &str, common: &[Key], variants: &[(&str, &[Key])]) -> Value {
    let words: Vec<&str> = variants.iter().map(|(word, _)| *word).collect();
    let one = |(word, keys): &(&str, &[Key])| {
        let mut object = object(common);
        let mut own = self::object(keys);
        if let (Some(all), Some(more)) = (object["properties"].as_object_mut(), own["properties"].as_object_mut()) {
            all.append(more);
            all.insert(by.to_owned(), json!({ "const": word }));
        }
        let needed = own["required"].as_array().cloned().unwrap_or_default();
        let common = object["required"].as_array().cloned().unwrap_or_default();
        object["required"] = json!(common.into_iter().chain(needed).chain([json!(by)]).collect::<Vec<_>>());
        json!({ "if": { "properties": { by: { "const": word } } }, "then": object })
    };
    json!({
        "type": "object",
        "required": [by],
        "properties": { by: { "enum": words } },
        "allOf": variants.iter().map(one).collect::<Vec<_>>(),
    })
}
