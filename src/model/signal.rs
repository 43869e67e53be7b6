//! One entry of `[signal]`, and `timestamp`: both are a path and what stands there.

use std::sync::Arc;

use super::limits::MAX_TEXT_BYTES;
use super::{
    Decoder, Format, PathStep, Send, Signal, SignalKind, SignalType, TimestampField, TimestampUnit, descriptor, path,
    range, words,
};
use crate::domain::{SignalName, Span, Unit};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

const TYPES: [&str; 5] = ["number", "bool", "enum", "text", "codes"];
const SENDS: [(&str, Send); 2] = [("full", Send::Full), ("new", Send::New)];
const KINDS: [&str; 3] = ["level", "event", "counter"];
const TIMESTAMP_UNITS: [(&str, TimestampUnit); 4] = [
    ("s", TimestampUnit::Seconds),
    ("ms", TimestampUnit::Millis),
    ("us", TimestampUnit::Micros),
    ("rfc3339", TimestampUnit::Rfc3339),
];

/// Reads a signal. With mistakes in it, it is still returned as far as it is known, so that rules which use it are not
/// called wrong as well; `None` only if it has no path.
pub(super) fn signal(
    diags: &mut Diagnostics,
    name: &Text,
    table: Table<'_>,
    default_ttl: Option<Span>,
    decoders: &[Decoder],
) -> Option<Signal> {
    if let Some(why) = words::not_a_name(&name.value) {
        let finding = Diagnostic::error("M014", format!("the signal '{}' {why}", name.value));
        diags.push(finding.at(name.place.clone(), "rules could not name it"));
    }
    let (path, field) = read_field(diags, &table, decoders)?;
    let ty = read_type(diags, &table);
    let ty = read_send(diags, &table, ty);
    let unit = read_unit(diags, &table);
    let each = table.text(diags, "each");
    if let Some(each) = &each
        && let Some(why) = words::not_a_name(&each.value)
    {
        let finding = Diagnostic::error("M014", format!("the component '{}' {why}", each.value));
        diags.push(finding.at(each.place.clone(), "rules could not name it"));
    }
    let valid = table.text(diags, "valid").and_then(|text| match range::parse(&text.value) {
        Ok(range) => Some(range),
        Err(error) => {
            let place = text.inner(diags, error.span);
            let finding = Diagnostic::error("M007", format!("`valid` is '{}': {}", text.value, error.message));
            diags.push(finding.at(place, "").hint("write -40 < _ <= 150, 0 < _, or _ <= 100"));
            None
        }
    });
    let na = table.numbers(diags, "na").into_iter().map(|item| item.value).collect();
    // Codes are a state: they hold until something else is said.
    let default_ttl = default_ttl.filter(|_| !matches!(ty, SignalType::Codes(_)));
    let kind = read_kind(diags, &table, &ty);
    let ttl = read_ttl(diags, &table).unwrap_or(default_ttl);
    let ttl = if kind == SignalKind::Event { Some(Span::ZERO) } else { ttl };
    let number_as_text = table.flag(diags, "number_as_text").is_some_and(|flag| flag.value);
    let mut words = |key| table.texts(diags, key).into_iter().map(|text| text.value).collect();
    let switch = [words("false"), words("true")];
    fits_type(diags, &table, &ty);
    table.finish(diags);
    Some(Signal {
        name: SignalName::from(&*name.value),
        path,
        field,
        ty,
        kind,
        unit,
        each: each.map(|each| each.value),
        valid,
        na,
        ttl,
        number_as_text,
        switch,
        place: name.place.clone(),
    })
}

/// Reads `timestamp = { path, unit }`.
pub(super) fn timestamp(diags: &mut Diagnostics, table: Table<'_>) -> Option<TimestampField> {
    let path = read_path(diags, &table);
    let unit = table.need_text(diags, "unit").and_then(|text| {
        let known = TIMESTAMP_UNITS.iter().find(|(word, _)| *word == &*text.value).map(|(_, unit)| *unit);
        if known.is_none() {
            let message = format!("unknown form of device time '{}'", text.value);
            let near = did_you_mean(&text.value, TIMESTAMP_UNITS.map(|(word, _)| word));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "s, ms or us since 1970, or rfc3339 for a text".to_owned(),
            };
            diags.push(Diagnostic::error("M003", message).at(text.place, "s, ms, us or rfc3339").hint(hint));
        }
        known
    });
    table.finish(diags);
    Some(TimestampField { path: path?, unit: unit? })
}

/// The path of a signal, and the name that it is as a whole. `None` only if it is missing.
fn read_field(diags: &mut Diagnostics, table: &Table<'_>, decoders: &[Decoder]) -> Option<(Vec<PathStep>, Arc<str>)> {
    let structured = decoders.iter().any(|decoder| decoder.format.has_paths());
    let text = table.need_text(diags, "path")?;
    let path = if structured { read_path(diags, table)? } else { vec![PathStep::Key(text.value.clone())] };
    // Of several decoders another one may send it.
    if let [Decoder { format: Format::Protobuf(message), .. }] = decoders
        && let Some((why, near)) = descriptor::misfit(message, &path)
    {
        let finding = Diagnostic::error("M018", format!("no value can stand at '{}'", text.value));
        diags.push(finding.at(text.place, why).maybe_hint(near.map(|near| format!("did you mean `{near}`?"))));
    }
    Some((path, text.value))
}

fn read_path(diags: &mut Diagnostics, table: &Table<'_>) -> Option<Vec<PathStep>> {
    let text = table.need_text(diags, "path")?;
    match path::parse(&text.value) {
        Ok(steps) => Some(steps),
        Err(error) => {
            let place = text.inner(diags, error.span);
            let finding = Diagnostic::error("M006", format!("the path '{}' cannot be read", text.value));
            diags.push(finding.at(place, error.message).hint("write bms.cells[2].t, or a.'b.c' for a key with a dot"));
            None
        }
    }
}

fn read_type(diags: &mut Diagnostics, table: &Table<'_>) -> SignalType {
    let values = read_values(diags, table);
    let Some(word) = table.text(diags, "type") else {
        return values.map_or(SignalType::Number, SignalType::Enum);
    };
    match (&*word.value, values) {
        ("enum", Some(values)) => return SignalType::Enum(values),
        ("enum", None) => {
            let finding = Diagnostic::error("M008", "an enum needs `values`");
            diags.push(finding.at(word.place, "of which texts?").hint("write values = [\"no\", \"ac\", \"dc\"]"));
        }
        (_, Some(values)) => {
            let finding =
                Diagnostic::error("M008", format!("`values` make it an enum, and the type is {}", word.value));
            diags.push(finding.at(word.place, "leave this out, or the values"));
            return SignalType::Enum(values);
        }
        ("number", None) => {}
        ("bool", None) => return SignalType::Bool,
        ("text", None) => return SignalType::Text,
        ("codes", None) => return SignalType::Codes(Send::Full),
        (other, None) => {
            let near = did_you_mean(other, TYPES).map(|near| format!("did you mean `{near}`?"));
            let finding = Diagnostic::error("M003", format!("unknown type '{other}'"));
            diags.push(finding.at(word.place, "number, bool, enum, text or codes").maybe_hint(near));
        }
    }
    SignalType::Number
}

/// `send` of codes.
fn read_send(diags: &mut Diagnostics, table: &Table<'_>, ty: SignalType) -> SignalType {
    let Some(word) = table.text(diags, "send") else { return ty };
    if !matches!(ty, SignalType::Codes(_)) {
        let finding = Diagnostic::error("M008", format!("`send` has no meaning for type {}", ty.as_str()));
        diags.push(finding.at(word.place, "for codes only"));
        return ty;
    }
    let known = SENDS.iter().find(|(name, _)| *name == &*word.value);
    if known.is_none() {
        let near = did_you_mean(&word.value, SENDS.map(|(name, _)| name)).map(|near| format!("did you mean `{near}`?"));
        let hint = near.unwrap_or_else(|| "full: all that are active; new: those that have come up".to_owned());
        diags.push(Diagnostic::error("M003", format!("`send` is '{}'", word.value)).at(word.place, "").hint(hint));
    }
    known.map_or(ty, |(_, send)| SignalType::Codes(*send))
}

/// The texts of an enumeration, if there are any.
fn read_values(diags: &mut Diagnostics, table: &Table<'_>) -> Option<Vec<Arc<str>>> {
    if !table.has("values") {
        return None;
    }
    let texts = table.texts(diags, "values");
    let mut values: Vec<Arc<str>> = Vec::new();
    for text in &texts {
        let problem = if values.contains(&text.value) {
            "stands twice"
        } else if text.value.len() > MAX_TEXT_BYTES {
            "is longer than 256 bytes"
        } else {
            values.push(text.value.clone());
            continue;
        };
        diags.push(Diagnostic::error("M008", format!("a value {problem}")).at(text.place.clone(), ""));
    }
    if texts.is_empty() && table.what("values") == Some("a list") {
        let place = table.keys().find(|key| &*key.value == "values").map_or_else(|| table.place(), |key| key.place);
        diags.push(Diagnostic::error("M008", "`values` is empty").at(place, "name at least one"));
    }
    if values.len() > usize::from(u16::MAX) {
        diags.push(Diagnostic::error("M008", "more than 65,535 values").at(table.place(), ""));
    }
    Some(values)
}

fn read_unit(diags: &mut Diagnostics, table: &Table<'_>) -> Unit {
    let Some(text) = table.text(diags, "unit") else { return Unit::none() };
    words::unit(&text.value).unwrap_or_else(|(message, hint)| {
        diags.push(Diagnostic::error("M002", message).at(text.place, "").maybe_hint(hint));
        Unit::none()
    })
}

/// `kind = "event"`, or `kind = "counter"` with its `rollover`.
fn read_kind(diags: &mut Diagnostics, table: &Table<'_>, ty: &SignalType) -> SignalKind {
    let rollover = table.number(diags, "rollover");
    let word = table.text(diags, "kind");
    let place = word.as_ref().map_or_else(|| table.place(), |w| w.place.clone());
    let kind = match word.as_ref().map(|w| &*w.value) {
        None | Some("level") => SignalKind::Level,
        Some("event") => SignalKind::Event,
        Some("counter") => SignalKind::Counter { rollover: rollover.as_ref().map(|r| r.value) },
        Some(other) => {
            let hint = did_you_mean(other, KINDS).map(|near| format!("did you mean `{near}`?"));
            let finding = Diagnostic::error("M003", format!("unknown kind '{other}'")).maybe_hint(hint);
            diags.push(finding.at(place, "level, event or counter"));
            SignalKind::Level
        }
    };
    let refuse = |diags: &mut Diagnostics, key: &str, of: &str, label: &str| {
        if let Some(key) = table.keys().find(|k| &*k.value == key) {
            let finding = Diagnostic::error("M008", format!("`{}` does not go with this {of}", key.value));
            diags.push(finding.at(key.place, label));
        }
    };
    match kind {
        SignalKind::Event => refuse(diags, "ttl", "kind", "an event is known only at its instant"),
        SignalKind::Counter { .. } if *ty != SignalType::Number => {
            refuse(diags, "kind", "type", "a counter is a number")
        }
        _ => {}
    }
    match (kind, rollover) {
        (SignalKind::Counter { .. }, Some(r)) if r.value <= 0.0 || !r.value.is_finite() => {
            let finding = Diagnostic::error("M008", format!("`rollover` is {}", r.value));
            diags.push(finding.at(r.place, "").hint("after how many it starts from zero, such as 65536"));
        }
        (SignalKind::Counter { .. }, _) => {}
        _ => refuse(diags, "rollover", "kind", "only counters roll over"),
    }
    kind
}

/// `None`: not stated.
fn read_ttl(diags: &mut Diagnostics, table: &Table<'_>) -> Option<Option<Span>> {
    let text = table.text(diags, "ttl")?;
    match text.value.parse::<Span>() {
        _ if &*text.value == "never" => Some(None),
        Ok(span) if span > Span::ZERO => Some(Some(span)),
        _ => {
            let finding = Diagnostic::error("M015", format!("`ttl` is '{}'", text.value));
            diags.push(finding.at(text.place, "a duration such as 30s, or never"));
            None
        }
    }
}

/// Reports keys that have no meaning for the type.
fn fits_type(diags: &mut Diagnostics, table: &Table<'_>, ty: &SignalType) {
    let out_of_place: &[&str] = match ty {
        SignalType::Number => &["true", "false"],
        SignalType::Bool => &["valid", "unit"],
        SignalType::Enum(_) | SignalType::Text => &["valid", "unit", "na", "number_as_text", "true", "false"],
        SignalType::Codes(_) => &["valid", "unit", "na", "number_as_text", "true", "false", "each"],
    };
    for key in table.keys().filter(|key| out_of_place.contains(&&*key.value)) {
        let finding = Diagnostic::error("M008", format!("`{}` has no meaning for type {}", key.value, ty.as_str()));
        let label = if matches!(&*key.value, "true" | "false") { "for switches only" } else { "for numbers only" };
        diags.push(finding.at(key.place, label));
    }
}
