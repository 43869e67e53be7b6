//! `config/models/*.toml`: one model a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits::MAX_SIGNALS;
use super::subject::NAMESPACE;
use super::topic::{self, Level};
use super::{
    Decoder, Format, Literal, Model, Models, Param, Plan, Signal, SignalIx, TopicPattern, decoder, literal, presence,
    signal, words,
};
use crate::domain::{ModelId, Span, Unit, Value};
use crate::source::{Diagnostic, Diagnostics, Doc, FileId, Place, Table, Text, did_you_mean};

/// Reads all model files. Every mistake is reported; with mistakes, what could be understood is still returned, so that
/// rules can be checked against it. Use it only if there are no errors.
#[must_use]
pub fn load(diags: &mut Diagnostics, files: &[FileId]) -> Models {
    let mut models: Vec<Source> = Vec::new();
    for &file in files {
        let Some(source) = read(diags, file) else { continue };
        match models.iter().find(|other| other.model.id == source.model.id) {
            Some(first) => {
                let finding = Diagnostic::error("M011", format!("there are two models '{}'", source.model.id));
                let finding = finding.at(source.model.place.clone(), "the second");
                diags.push(finding.related(first.model.place.clone(), "the first"));
            }
            None => models.push(source),
        }
    }
    topics_are_clear(diags, &models);
    Models::new(models.into_iter().map(|source| Arc::new(source.model)).collect())
}

/// A model and where its topics stand.
struct Source {
    model: Model,
    /// In the order of its patterns, that of its presence last.
    topics: Vec<(Vec<Level>, Place)>,
}

fn read(diags: &mut Diagnostics, file: FileId) -> Option<Source> {
    let doc = Doc::parse(diags, "M001", file);
    let root = doc.root();
    root.need(diags, "model");
    let head = root.table(diags, "model");
    let signals = root.table(diags, "signal");
    let params = root.table(diags, "params");
    let facts = root.table(diags, "facts");
    root.finish(diags);

    let table = head?;
    let id = table.need_text(diags, "id");
    if let Some(id) = &id
        && let Some(why) = words::not_an_id(&id.value)
    {
        let finding = Diagnostic::error("M014", format!("the model id '{}' {why}", id.value));
        diags.push(finding.at(id.place.clone(), ""));
    }
    let mut bindings = read_bindings(diags, &table);
    let timestamp = table.table(diags, "timestamp").and_then(|t| signal::timestamp(diags, t));
    let report_every = duration(diags, &table, "report_every", Least::Above0);
    let lateness = duration(diags, &table, "lateness", Least::From0).unwrap_or(Span::ZERO);
    let backfill_after = duration(diags, &table, "backfill_after", Least::Above0);
    let max_future = duration(diags, &table, "max_future", Least::From0).unwrap_or(Span::from_mins(2));
    let learn_skew = table.text(diags, "skew").is_some_and(|text| {
        if &*text.value != "auto" {
            let finding = Diagnostic::error("M020", format!("`skew` is '{}'", text.value));
            diags.push(finding.at(text.place.clone(), "").hint("write skew = \"auto\", or leave it away"));
        }
        &*text.value == "auto"
    });
    let presence = table.table(diags, "presence").and_then(|t| presence::presence(diags, t));
    let presence = presence.map(|(presence, levels, place)| {
        bindings.places.push((levels, place));
        presence
    });
    let place = id.as_ref().map_or_else(|| table.place(), |id| id.place.clone());
    table.finish(diags);

    let default_ttl = report_every.map(|every| every.times(3));
    let signals = signals.map(|t| read_signals(diags, t, default_ttl, &bindings.decoders)).unwrap_or_default();
    let params = params.map(|t| read_params(diags, t)).unwrap_or_default();
    let facts = facts.map(|t| read_facts(diags, t, &signals)).unwrap_or_default();
    let model = Model {
        id: ModelId::from(&*id?.value),
        topics: bindings.patterns,
        decoders: bindings.decoders,
        plan: Plan::new(&signals, timestamp.as_ref()),
        named: named(&signals),
        signals,
        timestamp,
        report_every,
        lateness,
        backfill_after,
        max_future,
        learn_skew,
        presence,
        params,
        facts,
        place,
    };
    Some(Source { model, topics: bindings.places })
}

#[derive(PartialEq)]
enum Least {
    From0,
    Above0,
}

fn duration(diags: &mut Diagnostics, table: &Table<'_>, key: &str, least: Least) -> Option<Span> {
    let item = table.parsed::<Span>(diags, key, "a duration such as 10s, 5m or 1h30m")?;
    if item.value < Span::ZERO || (least == Least::Above0 && item.value == Span::ZERO) {
        let finding = Diagnostic::error("M015", format!("`{key}` is {}", item.value));
        let label = if least == Least::Above0 { "must be longer than 0s" } else { "must not be negative" };
        diags.push(finding.at(item.place, label));
        return None;
    }
    Some(item.value)
}

/// Topics and how their payloads are read.
#[derive(Default)]
struct Bindings {
    patterns: Vec<TopicPattern>,
    places: Vec<(Vec<Level>, Place)>,
    decoders: Vec<Decoder>,
}

/// `topics` with the one `decoder`, and each `[[model.topic]]` with its own.
fn read_bindings(diags: &mut Diagnostics, table: &Table<'_>) -> Bindings {
    let mut bindings = Bindings::default();
    let others = table.tables(diags, "topic");
    if others.is_empty() {
        table.need(diags, "topics");
    }
    let filters = table.texts(diags, "topics");
    if filters.is_empty() && table.what("topics") == Some("a list") {
        diags.push(Diagnostic::error("M004", "`topics` is empty").at(table.place(), "where do its devices publish?"));
    }
    bindings.read(diags, table, filters);
    for other in others {
        let filter = other.need_text(diags, "filter");
        bindings.read(diags, &other, filter.into_iter().collect());
        other.finish(diags);
    }
    bindings
}

impl Bindings {
    /// Binds `filters` to the decoder and the device level that `table` names.
    fn read(&mut self, diags: &mut Diagnostics, table: &Table<'_>, filters: Vec<Text>) {
        let decoder = table.table(diags, "decoder").map(|t| decoder::decoder(diags, t)).unwrap_or_default();
        let sparkplug = decoder.format == Format::Sparkplug;
        let device_id = table.text(diags, "device_id").map(|text| (device_level(diags, &text), text));
        if let Some((_, text)) = device_id.as_ref().filter(|_| sparkplug) {
            let finding = Diagnostic::error("M005", "`device_id` has no meaning for Sparkplug");
            diags.push(finding.at(text.place.clone(), "an id is group/edge or group/edge/device"));
        }
        for filter in filters {
            let Some(levels) = filter_levels(diags, &filter) else { continue };
            let device_level = if sparkplug {
                namespace(diags, &filter, &levels)
            } else {
                level_of(diags, &filter, &levels, device_id.as_ref())
            };
            let Some(device_level) = device_level else { continue };
            self.patterns.push(TopicPattern {
                filter: filter.value.clone(),
                device_level,
                decoder: Some(self.decoders.len()),
            });
            self.places.push((levels, filter.place));
        }
        self.decoders.push(decoder);
    }
}

fn filter_levels(diags: &mut Diagnostics, filter: &Text) -> Option<Vec<Level>> {
    let parsed = topic::parse(&filter.value).map_err(|error| {
        let place = filter.inner(diags, error.span);
        let finding = Diagnostic::error("M004", format!("'{}' is not a topic filter", filter.value));
        diags.push(finding.at(place, error.message).maybe_hint(error.hint.map(str::to_owned)));
    });
    parsed.ok()
}

/// Sparkplug names the device by itself.
fn namespace(diags: &mut Diagnostics, filter: &Text, levels: &[Level]) -> Option<usize> {
    let first = matches!(levels.first(), Some(Level::Is(word)) if **word == *NAMESPACE);
    if !first {
        let finding = Diagnostic::error("M005", format!("'{}' is outside of the Sparkplug namespace", filter.value));
        diags.push(finding.at(filter.place.clone(), "must begin with spBv1.0/").hint("write spBv1.0/group/#"));
    }
    first.then_some(0)
}

/// The level that names the device. `None`: there is none, or it was reported already.
fn level_of(
    diags: &mut Diagnostics,
    filter: &Text,
    levels: &[Level],
    device_id: Option<&(Option<usize>, Text)>,
) -> Option<usize> {
    match device_id {
        Some((Some(level), text)) if levels.get(*level) != Some(&Level::Any) => {
            let finding = Diagnostic::error("M005", format!("level {level} of '{}' is not `+`", filter.value));
            let finding = finding.at(text.place.clone(), "counted from 0");
            diags.push(finding.related(filter.place.clone(), "the level that names the device must be `+`"));
            None
        }
        Some((level, _)) => *level,
        None => {
            let level = levels.iter().position(|level| *level == Level::Any);
            if level.is_none() {
                let finding = Diagnostic::error("M005", format!("no level of '{}' names the device", filter.value));
                diags.push(finding.at(filter.place.clone(), "no `+` in it").hint("write fleet/+/telemetry"));
            }
            level
        }
    }
}

/// Signals by the names that they are sent under.
fn named(signals: &[Signal]) -> BTreeMap<Arc<str>, Vec<SignalIx>> {
    let mut named: BTreeMap<Arc<str>, Vec<SignalIx>> = BTreeMap::new();
    for (ix, signal) in (0..=u16::MAX).map(SignalIx).zip(signals) {
        named.entry(signal.field.clone()).or_default().push(ix);
    }
    named
}

/// `topic[1]`.
fn device_level(diags: &mut Diagnostics, text: &Text) -> Option<usize> {
    let inner = text.value.strip_prefix("topic[").and_then(|rest| rest.strip_suffix(']'));
    let level = inner.and_then(|digits| digits.parse::<u16>().ok()).map(usize::from);
    if level.is_none() {
        let finding = Diagnostic::error("M005", format!("`device_id` is '{}'", text.value));
        diags.push(
            finding
                .at(text.place.clone(), "expected a level of the topic, such as topic[1]")
                .hint("levels are counted from 0; the device is never named by the payload, which anybody could forge"),
        );
    }
    level
}

fn read_signals(
    diags: &mut Diagnostics,
    table: Table<'_>,
    default_ttl: Option<Span>,
    decoders: &[Decoder],
) -> Vec<Signal> {
    let mut signals: Vec<Signal> = Vec::new();
    let mut paths: BTreeMap<Vec<super::PathStep>, usize> = BTreeMap::new();
    let names: Vec<Text> = table.keys().collect();
    if names.len() > MAX_SIGNALS {
        let finding = Diagnostic::error("M013", format!("{} signals; a model has at most {MAX_SIGNALS}", names.len()));
        diags.push(finding.at(names[MAX_SIGNALS].place.clone(), "one too many"));
    }
    for name in names.iter().take(MAX_SIGNALS) {
        let Some(entry) = table.table(diags, &name.value) else { continue };
        let Some(signal) = signal::signal(diags, name, entry, default_ttl, decoders) else { continue };
        if let Some(&first) = paths.get(&signal.path) {
            let first: &Signal = &signals[first];
            let finding =
                Diagnostic::warning("M101", format!("'{}' and '{}' read the same field", first.name, signal.name));
            let finding = finding.at(signal.place.clone(), "copied and not changed?");
            diags.push(finding.related(first.place.clone(), "the first"));
        } else {
            paths.insert(signal.path.clone(), signals.len());
        }
        signals.push(signal);
    }
    signals
}

fn read_params(diags: &mut Diagnostics, table: Table<'_>) -> BTreeMap<Arc<str>, Param> {
    let mut params = BTreeMap::new();
    let names: Vec<Text> = table.keys().collect();
    for name in names {
        if let Some(why) = words::not_a_name(&name.value) {
            let finding = Diagnostic::error("M014", format!("the parameter '{}' {why}", name.value));
            diags.push(finding.at(name.place.clone(), "rules could not name it"));
        }
        let read = match table.what(&name.value) {
            Some("an integer" | "a number") => plain(table.number(diags, &name.value).map(|n| Value::from(n.value))),
            Some("true or false") => plain(table.flag(diags, &name.value).map(|b| Value::Bool(b.value))),
            _ => table.text(diags, &name.value).and_then(|text| match literal(&text.value) {
                Ok(literal) => Some(literal),
                Err(error) => {
                    let place = text.inner(diags, error.span);
                    let finding = Diagnostic::error("M010", format!("`{}`: {}", name.value, error.message));
                    diags.push(finding.at(place, "").maybe_hint(error.hint));
                    None
                }
            }),
        };
        match read {
            Some(Literal { value: Value::Unknown, .. }) => {
                let finding = Diagnostic::error("M010", format!("`{}` is not a finite number", name.value));
                diags.push(finding.at(name.place, ""));
            }
            Some(Literal { value, unit }) => drop(params.insert(name.value, Param { value, unit, place: name.place })),
            None => {}
        }
    }
    params
}

fn plain(value: Option<Value>) -> Option<Literal> {
    value.map(|value| Literal { value, unit: Unit::none() })
}

fn read_facts(diags: &mut Diagnostics, table: Table<'_>, signals: &[Signal]) -> BTreeMap<Arc<str>, SignalIx> {
    let mut facts = BTreeMap::new();
    let names: Vec<Text> = table.keys().collect();
    for name in names {
        if let Some(why) = words::not_a_name(&name.value) {
            let finding = Diagnostic::error("M014", format!("the fact '{}' {why}", name.value));
            diags.push(finding.at(name.place.clone(), "playbooks could not name it"));
        }
        let Some(wanted) = table.text(diags, &name.value) else { continue };
        let found = (0..=u16::MAX).map(SignalIx).zip(signals).find(|(_, s)| s.name.as_str() == &*wanted.value);
        match found {
            Some((_, signal)) if signal.is_list() => {
                let finding =
                    Diagnostic::error("M009", format!("'{}' has components, a fact is one value", wanted.value));
                diags.push(finding.at(wanted.place, "").related(signal.place.clone(), "a list"));
            }
            Some((ix, _)) => drop(facts.insert(name.value, ix)),
            None => {
                let near = did_you_mean(&wanted.value, signals.iter().map(|s| s.name.as_str()));
                let finding = Diagnostic::error("M009", format!("there is no signal '{}'", wanted.value));
                diags.push(finding.at(wanted.place, "").maybe_hint(near.map(|near| format!("did you mean `{near}`?"))));
            }
        }
    }
    facts
}

/// A topic name must belong to one model. Between two models it would be the order of the files that decides how a
/// payload is read: an error. Within one model it is only that a broker may deliver a message twice: a warning.
fn topics_are_clear(diags: &mut Diagnostics, models: &[Source]) {
    let mut all = Vec::new();
    for (number, source) in models.iter().enumerate() {
        let presence = source.model.presence.iter().map(|p| &p.topic);
        for (pattern, (levels, place)) in source.model.topics.iter().chain(presence).zip(&source.topics) {
            all.push((number, &pattern.filter, levels, place));
        }
    }
    for (i, (model, filter, levels, place)) in all.iter().enumerate() {
        for (other_model, other, other_levels, other_place) in &all[..i] {
            if !topic::overlap(levels, other_levels) {
                continue;
            }
            let finding = if model == other_model {
                Diagnostic::warning("M102", format!("'{filter}' and '{other}' share topics"))
                    .hint("the broker may deliver a message once for each filter")
            } else {
                let (a, b) = (&models[*other_model].model.id, &models[*model].model.id);
                Diagnostic::error("M012", format!("a topic could belong to model '{a}' and to model '{b}'"))
                    .hint("the topic alone decides how a payload is read: give each model topics of its own")
            };
            diags.push(finding.at((*place).clone(), "").related((*other_place).clone(), "shares topics with this one"));
        }
    }
}
