//! What the devices of a test send: read from its tables, and made into messages.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use xxhash_rust::xxh3::xxh3_64;

use super::read::{About, CODE, Reader, span_of};
use super::series::{Cell, UNUSABLE, series};
use crate::decode;
use crate::domain::{At, Device, DeviceId, Span};
use crate::model::{Binding, Message, Model, Models, PathStep, Signal, SignalType};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// Devices that one line may stand for.
const MAX_COPIES: u32 = 200;

/// What is sent in a test, by whom, from when on.
#[derive(Debug)]
pub(super) struct Telemetry {
    /// Index of the model.
    pub(super) model: usize,
    pub(super) start: At,
    pub(super) every: Span,
    pub(super) devices: Vec<Sender>,
    late: Vec<Late>,
}

/// A device of a test and what it sends.
#[derive(Debug)]
pub(super) struct Sender {
    /// Index of its model.
    pub(super) model: usize,
    pub(super) device: Device,
    pub(super) series: Vec<(Text, Vec<Cell>)>,
}

/// What was measured from `from` to `to` arrives later by `by`.
#[derive(Debug)]
struct Late {
    from: At,
    to: At,
    by: Span,
}

/// A message on its way.
pub(super) struct Sent {
    pub(super) arrives_at: At,
    pub(super) binding: Binding,
    pub(super) message: Message,
    pub(super) fingerprint: u64,
}

impl Telemetry {
    /// When the last value is measured.
    pub(super) fn end(&self) -> At {
        let rows = self.devices.iter().flat_map(|d| d.series.iter().map(|(_, c)| c.len())).max().unwrap_or(0);
        self.start + self.every.times(i64::try_from(rows.max(1) - 1).unwrap_or(i64::MAX))
    }

    /// All messages, in the order of their arrival; at one instant the devices speak in the order of the file.
    pub(super) fn messages(&self, models: &Models) -> Vec<Sent> {
        let sends = |sender: &'_ Sender| sends(self, &models.list[sender.model], sender).collect::<Vec<_>>();
        let mut sent: Vec<Sent> = self.devices.iter().flat_map(sends).collect();
        sent.sort_by_key(|s| s.arrives_at);
        sent
    }
}

impl<'a> Reader<'a> {
    /// `every`, `device`, `series`, `also` and `late` of a test.
    pub(super) fn telemetry(&mut self, table: &Table<'_>, about: Option<&About<'a>>, start: At) -> Telemetry {
        let every = span_of(self.diags, table, "every");
        let devices = self.senders(table, about);
        let every = every.or_else(|| about?.model.report_every);
        if every.is_none() && about.is_some() {
            let finding = Diagnostic::error(CODE, "`every` is missing, and the model has no `report_every`");
            self.diags.push(finding.at(table.place(), "how much time lies between two values?"));
        }
        let every = every.unwrap_or(Span::from_secs(1));
        let model = about.map_or(0, |about| about.model_ix);
        let mut telemetry = Telemetry { model, start, every, devices, late: Vec::new() };
        let late = table.tables(self.diags, "late");
        telemetry.late = late.into_iter().filter_map(|t| self.late(t, start, telemetry.end())).collect();
        telemetry
    }

    /// The devices of a test and what they send.
    fn senders(&mut self, table: &Table<'_>, about: Option<&About<'a>>) -> Vec<Sender> {
        let first = match table.what("device") {
            Some("a string") => self.registered(table, "device"),
            Some(_) => table.table(self.diags, "device").map(|t| {
                let device = self.described(&t, about);
                t.finish(self.diags);
                device
            }),
            None => Some(device("device", about)),
        };
        let series = self.series(table, about);
        let model = about.map_or(0, |about| about.model_ix);
        let mut senders: Vec<Sender> =
            first.into_iter().map(|device| Sender { model, device, series: series.clone() }).collect();
        for also in table.tables(self.diags, "also") {
            also.need(self.diags, "id");
            let other = self.other(&also, about);
            let about = if also.has("model") { other.as_ref() } else { about };
            let model = about.map_or(0, |about| about.model_ix);
            let device = self.described(&also, about);
            let series = self.series(&also, about);
            let copies = copies(self.diags, &also, device);
            also.finish(self.diags);
            senders.extend(copies.map(|device| Sender { model, device, series: series.clone() }));
        }
        senders
    }

    /// A device of another model than the one that the test is about.
    fn other(&mut self, table: &Table<'_>, about: Option<&About<'a>>) -> Option<About<'a>> {
        let named = table.text(self.diags, "model")?;
        let program = &self.subject.program;
        let Some(model_ix) = program.models().index(&(&*named.value).into()) else {
            let known = program.models().list.iter().map(|model| model.id.as_str());
            let near = did_you_mean(&named.value, known).map(|n| format!("did you mean `{n}`?"));
            let finding = Diagnostic::error("T003", format!("there is no model '{}'", named.value));
            self.diags.push(finding.at(named.place, "").maybe_hint(near));
            return None;
        };
        Some(About { rule: about?.rule, model_ix, model: program.models[model_ix].model.clone() })
    }

    /// The device of the registry that `key` names.
    pub(super) fn registered(&mut self, table: &Table<'_>, key: &str) -> Option<Device> {
        let id = table.text(self.diags, key)?;
        let devices = &self.subject.registry.devices;
        let found = devices.get(&*id.value).cloned();
        if found.is_none() {
            let near =
                did_you_mean(&id.value, devices.keys().map(|d| d.as_str())).map(|n| format!("did you mean `{n}`?"));
            let finding = Diagnostic::error("T004", format!("there is no device '{}' in the registry", id.value));
            let hint = "or describe one with [test.device] and its attributes".to_owned();
            self.diags.push(finding.at(id.place, "").hint(near.unwrap_or(hint)));
        }
        found
    }

    /// A device as its table says: every key that has no meaning of its own is an attribute. `like` is what it is
    /// otherwise.
    pub(super) fn described(&mut self, table: &Table<'_>, about: Option<&About<'_>>) -> Device {
        let mut described = self.registered(table, "like").unwrap_or_else(|| device("device", about));
        for key in table
            .keys()
            .filter(|k| !["series", "params", "like", "copies", "model", "facts", "cleared"].contains(&&*k.value))
            .collect::<Vec<_>>()
        {
            let Some(text) = table.text(self.diags, &key.value) else { continue };
            match &*key.value {
                "id" => described.id = DeviceId::from(&*text.value),
                "kind" => described.kind = text.value,
                "tz" => {
                    if jiff::tz::TimeZone::get(&text.value).is_err() {
                        let finding = Diagnostic::error("T004", format!("there is no time zone '{}'", text.value));
                        self.diags.push(finding.at(text.place, "such as Europe/Berlin"));
                    }
                    described.tz = text.value;
                }
                _ => drop(described.attrs.insert(key.value, text.value)),
            }
        }
        if let Some(params) = table.table(self.diags, "params") {
            for key in params.keys().collect::<Vec<_>>() {
                let Some(text) = params.text(self.diags, &key.value) else { continue };
                let Some(about) = about else { continue };
                let known = &about.model.params;
                let wrong = match known.get(&key.value) {
                    Some(param) => param.overridden(&text.value).err().map(|e| (e.message, e.hint)),
                    None => {
                        let near = did_you_mean(&key.value, known.keys().map(|k| &**k));
                        let hint = near.map(|n| format!("did you mean `{n}`?"));
                        Some((format!("model '{}' has no param '{}'", about.model.id, key.value), hint))
                    }
                };
                match wrong {
                    None => drop(described.params.insert(key.value, text.value)),
                    Some((message, hint)) => {
                        self.diags.push(Diagnostic::error("T004", message).at(text.place, "").maybe_hint(hint));
                    }
                }
            }
            params.finish(self.diags);
        }
        described
    }

    fn series(&mut self, table: &Table<'_>, about: Option<&About<'_>>) -> Vec<(Text, Vec<Cell>)> {
        table.need(self.diags, "series");
        let Some(lines) = table.table(self.diags, "series") else { return Vec::new() };
        let mut list = Vec::new();
        for key in lines.keys().collect::<Vec<_>>() {
            let Some(text) = lines.text(self.diags, &key.value) else { continue };
            let cells = match series(&text.value) {
                Ok(cells) => cells,
                Err(error) => {
                    let place = text.inner(self.diags, error.span);
                    let hint = "such as \"90+2x11, 113x8, _x4, nan, 100\"";
                    self.diags.push(Diagnostic::error("T005", error.message).at(place, "").hint(hint));
                    continue;
                }
            };
            let Some(about) = about else { continue };
            if &*key.value == ONLINE && about.model.presence.is_some() {
                let said = |cell: &Cell| matches!(cell, None | Some(Json::Bool(_)));
                if !cells.iter().all(said) {
                    let finding = Diagnostic::error("T006", "`online` says true or false");
                    self.diags.push(finding.at(text.place, "such as truex20, false"));
                }
                list.push((key, cells));
                continue;
            }
            let Some(signal) = about.model.signals.iter().find(|s| s.name.as_str() == &*key.value) else {
                let near = did_you_mean(&key.value, about.model.signals.iter().map(|s| s.name.as_str()));
                let finding =
                    Diagnostic::error("T006", format!("model '{}' has no signal '{}'", about.model.id, key.value));
                self.diags.push(finding.at(key.place, "").maybe_hint(near.map(|n| format!("did you mean `{n}`?"))));
                continue;
            };
            let cells: Vec<Cell> = cells.into_iter().map(|cell| switched(signal, cell)).collect();
            if let Some(unfit) = cells.iter().flatten().find_map(|value| unfit(signal, value)) {
                let finding = Diagnostic::error("T006", format!("'{}' cannot say {unfit}", key.value));
                let what = format!("is a signal of type {}", signal.ty.as_str());
                self.diags.push(finding.at(text.place, "").related(signal.place.clone(), what));
                continue;
            }
            list.push((key, cells));
        }
        lines.finish(self.diags);
        list
    }

    fn late(&mut self, table: Table<'_>, start: At, end: At) -> Option<Late> {
        let from = self.at(&table, "from", start).map_or(start, |at| at.value);
        let to = self.at(&table, "to", start).map_or(end, |at| at.value);
        table.need(self.diags, "by");
        let by = span_of(self.diags, &table, "by");
        table.finish(self.diags);
        Some(Late { from, to, by: by? })
    }
}

/// The devices that a table stands for: one, or `copies` of it.
pub(super) fn copies(
    diags: &mut Diagnostics,
    table: &Table<'_>,
    device: Device,
) -> impl Iterator<Item = Device> + use<> {
    let copies = table.count(diags, "copies").map(|n| n.value.min(MAX_COPIES));
    let ids: Vec<DeviceId> = match copies {
        None => vec![device.id.clone()],
        Some(copies) => (1..=copies).map(|n| format!("{}-{n}", device.id).as_str().into()).collect(),
    };
    ids.into_iter().map(move |id| Device { id, ..device.clone() })
}

/// The series of what the broker says of the device: whether it is there.
const ONLINE: &str = "online";

fn device(id: &str, about: Option<&About<'_>>) -> Device {
    Device {
        id: id.into(),
        model: about.map_or_else(|| "".into(), |a| a.model.id.clone()),
        kind: "device".into(),
        tz: "UTC".into(),
        parties: BTreeMap::new(),
        attrs: BTreeMap::new(),
        params: BTreeMap::new(),
    }
}

/// What one device sends, in the order of its times.
fn sends<'a>(test: &'a Telemetry, model: &'a Model, sender: &'a Sender) -> impl Iterator<Item = Sent> + 'a {
    let rows = sender.series.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    (0..rows).flat_map(move |row| {
        let values = sender.series.iter().filter_map(|(name, cells)| Some((&*name.value, cells.get(row)?.as_ref()?)));
        let event_at = test.start + test.every.times(i64::try_from(row).unwrap_or(i64::MAX));
        let late = test.late.iter().filter(|l| l.from <= event_at && event_at <= l.to).map(|l| l.by).max();
        let sent = move |message, fingerprint| Sent {
            arrives_at: event_at + late.unwrap_or(Span::ZERO),
            binding: Binding::plain(sender.model, sender.device.id.clone()),
            fingerprint,
            message,
        };
        let online = values.clone().find(|(name, _)| *name == ONLINE).map(|(_, value)| {
            let message = Message { presence: value.as_bool(), ..Message::default() };
            sent(message, 0)
        });
        let values = values.filter(|(name, _)| *name != ONLINE);
        let telemetry = values.clone().next().is_some().then(|| {
            let fingerprint = xxh3_64(format!("{row} {:?}", values.clone().collect::<Vec<_>>()).as_bytes());
            let message = Message { event_at: Some(event_at), ..message(model, values) };
            sent(message, fingerprint)
        });
        telemetry.into_iter().chain(online)
    })
}

/// A row of values as the message that says them, by way of the paths of the signals and the decoder. Never fails: it is
/// JSON that we have written.
fn message<'a>(model: &Model, values: impl Iterator<Item = (&'a str, &'a Json)>) -> Message {
    let mut body = Json::Object(serde_json::Map::new());
    for (name, value) in values {
        if let Some(signal) = model.signals.iter().find(|s| s.name.as_str() == name) {
            put(&mut body, &signal.path, value);
        }
    }
    let mut message = Message::default();
    let decoded = decode::json(model, body.to_string().as_bytes(), &mut message);
    debug_assert!(decoded.is_ok(), "{decoded:?} {body}");
    message
}

/// Puts a value where a path leads to, making what is missing on the way.
fn put(body: &mut Json, path: &[PathStep], value: &Json) {
    let Some((step, rest)) = path.split_first() else {
        *body = value.clone();
        return;
    };
    match step {
        PathStep::Key(key) => {
            if !body.is_object() {
                *body = Json::Object(serde_json::Map::new());
            }
            put(&mut body[&**key], rest, value);
        }
        PathStep::Index(i) => {
            if !body.is_array() {
                *body = Json::Array(Vec::new());
            }
            if let Some(list) = body.as_array_mut() {
                list.resize(list.len().max(i + 1), Json::Null);
                put(&mut list[*i], rest, value);
            }
        }
    }
}

/// What is wrong about sending this as `signal`: a slip of the test, not a fault that a device has.
fn unfit(signal: &Signal, value: &Json) -> Option<String> {
    let said = match (&signal.ty, value) {
        (_, Json::Null) => false,
        (_, Json::Array(elements)) if signal.is_list() => return elements.iter().find_map(|e| unfit(signal, e)),
        (SignalType::Number, Json::String(text)) => !signal.number_as_text && !UNUSABLE.contains(&text.as_str()),
        (SignalType::Bool, Json::String(_)) | (SignalType::Number, Json::Bool(_)) => true,
        (SignalType::Enum(values), Json::String(text)) => !values.iter().any(|v| **v == **text),
        (SignalType::Enum(_) | SignalType::Text, Json::Number(_) | Json::Bool(_)) => true,
        _ => false,
    };
    said.then(|| value.to_string())
}

/// `on` and `off` for a switch.
fn switched(signal: &Signal, cell: Cell) -> Cell {
    match (&signal.ty, &cell) {
        (SignalType::Bool, Some(Json::String(word))) if word == "on" => Some(Json::Bool(true)),
        (SignalType::Bool, Some(Json::String(word))) if word == "off" => Some(Json::Bool(false)),
        _ => cell,
    }
}
