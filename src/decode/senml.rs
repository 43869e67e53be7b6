//! SenML (RFC 8428): a pack of records, as JSON and as CBOR. What a record says of the base holds for all records behind
//! it; each instant of a pack is a message of its own, oldest first.
//!
//! A signal is found by the whole name (base name and name) or by the name alone; `path = "energy#sum"` is the sum of
//! `energy`. Values are converted to the unit of the signal.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::cbor::Cbor;
use super::sink::Sink;
use super::tree::{Counted, Item, Reader, Walk, kind};
use super::value::{self, Scalar};
use super::{Error, MAX_RECORDS, Messages, json as text};
use crate::domain::{At, Unit};
use crate::model::{BadValue, Model, ReadingValue, SignalIx};

/// The version that is read; later ones say so.
const VERSION: f64 = 10.0;
/// Times below count from now (4.5.3).
const RELATIVE_BELOW: f64 = 268_435_456.0;

/// Reads a pack of JSON.
pub(super) fn json(model: &Model, payload: &[u8], received_at: At, out: &mut Messages) -> Result<(), Error> {
    text::without_mark(payload, |body| {
        let text = text::shallow(text::text(body)?)?;
        if !text.trim_ascii_start().starts_with('[') {
            return Err(Error::malformed("SenML", 0, "a pack is a list of records"));
        }
        let mut pack = Pack::new(model, received_at);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = deserializer.deserialize_seq(JsonPack(&mut pack)).and_then(|()| deserializer.end());
        read.map_err(|error| pack.problem.take().unwrap_or_else(|| Error::not_json(text, &error)))?;
        pack.finish(out)
    })
}

/// Reads a pack of CBOR.
pub(super) fn cbor(model: &Model, payload: &[u8], received_at: At, out: &mut Messages) -> Result<(), Error> {
    if payload.is_empty() {
        return Err(Error::Empty);
    }
    let mut walk = Walk { reader: Cbor::new(payload) };
    let mut pack = Pack::new(model, received_at);
    let mut records = match walk.item()? {
        Item::List(len) => Counted::new(len),
        other => return Err(walk.error(format!("a pack is a list of records, and this is {}", kind(&other)))),
    };
    while let Some(item) = records.next(&mut walk)? {
        let Item::Map(len) = item else { return Err(walk.error("a record is a map")) };
        let (mut record, mut members) = (Record::default(), Counted::new(len));
        while let Some(key) = members.next(&mut walk)? {
            let field = walk.key(key, 1, |label| Some(Field::of(label)))?;
            match (field, walk.item()?) {
                (Some(Field::Refused), _) => return Err(walk.error("a field that must be understood and is not")),
                (Some(field), Item::Scalar(value)) => record.set(field, value),
                (_, other) => walk.skip(other, 2)?,
            }
        }
        pack.add(record).map_err(|problem| walk.error(problem))?;
    }
    match walk.reader.left() {
        0 => pack.finish(out),
        more => Err(walk.error(format!("{more} bytes follow its end"))),
    }
}

/// The fields of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    BaseVersion,
    Name,
    Unit,
    Value,
    Sum,
    Time,
    /// How soon the next record will come.
    UpdateTime,
    Unknown,
    /// A label that ends in `_` must be understood.
    Refused,
}

/// Label in JSON, label in CBOR. The four kinds of a value are one field.
const FIELDS: [(&str, &str, Field); 15] = [
    ("bn", "-2", Field::BaseName),
    ("bt", "-3", Field::BaseTime),
    ("bu", "-4", Field::BaseUnit),
    ("bv", "-5", Field::BaseValue),
    ("bs", "-6", Field::BaseSum),
    ("bver", "-1", Field::BaseVersion),
    ("n", "0", Field::Name),
    ("u", "1", Field::Unit),
    ("v", "2", Field::Value),
    ("vs", "3", Field::Value),
    ("vb", "4", Field::Value),
    ("vd", "8", Field::Value),
    ("s", "5", Field::Sum),
    ("t", "6", Field::Time),
    ("ut", "7", Field::UpdateTime),
];

impl Field {
    fn of(label: &str) -> Self {
        let known = FIELDS.iter().find(|(text, number, _)| *text == label || *number == label);
        match known {
            Some((.., field)) => *field,
            None if label.ends_with('_') => Self::Refused,
            None => Self::Unknown,
        }
    }
}

/// One record as it is sent.
#[derive(Debug, Default)]
struct Record<'p>(Vec<(Field, Scalar<'p>)>);

impl<'p> Record<'p> {
    fn set(&mut self, field: Field, value: Scalar<'p>) {
        if field != Field::Unknown && self.0.len() < FIELDS.len() * 2 {
            self.0.push((field, value));
        }
    }

    /// The last one counts, as in every object.
    fn get(&self, field: Field) -> Option<&Scalar<'p>> {
        self.0.iter().rev().find(|(f, _)| *f == field).map(|(_, value)| value)
    }

    fn number(&self, field: Field) -> Result<Option<f64>, &'static str> {
        let number = |value: &Scalar<'_>| value.number().filter(|n| n.is_finite()).ok_or("a field that is no number");
        self.get(field).map(number).transpose()
    }

    fn text(&self, field: Field) -> Result<Option<&str>, &'static str> {
        self.get(field).map_or(Ok(None), |value| match value {
            Scalar::Text(text) => Ok(Some(text)),
            _ => Err("a field that is no text"),
        })
    }
}

/// A pack being read: the base and what was said so far, by time.
struct Pack<'m> {
    model: &'m Model,
    received_at: At,
    name: String,
    time: f64,
    unit: String,
    value: f64,
    sum: f64,
    /// `None`: now.
    said: BTreeMap<Option<At>, Vec<(SignalIx, ReadingValue)>>,
    problem: Option<Error>,
}

impl<'m> Pack<'m> {
    fn new(model: &'m Model, received_at: At) -> Self {
        let (name, unit) = (String::new(), String::new());
        Self { model, received_at, name, time: 0.0, unit, value: 0.0, sum: 0.0, said: BTreeMap::new(), problem: None }
    }

    /// Takes in a record, or says what is wrong with it.
    fn add(&mut self, record: Record<'_>) -> Result<(), &'static str> {
        if record.number(Field::BaseVersion)?.is_some_and(|version| version > VERSION) {
            return Err("a version above 10");
        }
        for (field, base) in
            [(Field::BaseTime, &mut self.time), (Field::BaseValue, &mut self.value), (Field::BaseSum, &mut self.sum)]
        {
            *base = record.number(field)?.unwrap_or(*base);
        }
        for (field, base) in [(Field::BaseName, &mut self.name), (Field::BaseUnit, &mut self.unit)] {
            if let Some(text) = record.text(field)? {
                text.clone_into(base);
            }
        }
        let name = record.text(Field::Name)?.unwrap_or("");
        let unit = record.text(Field::Unit)?.unwrap_or(&self.unit).to_owned();
        let at = self.instant(self.time + record.number(Field::Time)?.unwrap_or(0.0))?;
        let value = record.get(Field::Value).map(|value| based(value, self.value));
        let sum = record.number(Field::Sum)?.map(|sum| Scalar::Float(sum + self.sum));
        if self.said.len() > MAX_RECORDS {
            return Err("more than 4096 instants");
        }
        for (suffix, value) in [("", value), ("#sum", sum)] {
            let Some(value) = value else { continue };
            for ix in self.find(name, suffix) {
                let reading = self.reading(ix, &unit, &value);
                self.said.entry(at).or_default().push((ix, reading));
            }
        }
        Ok(())
    }

    /// The instant of a record: absolute, or counted from now.
    fn instant(&self, seconds: f64) -> Result<Option<At>, &'static str> {
        if seconds == 0.0 {
            return Ok(None);
        }
        let micros = value::scaled(seconds, 1_000_000);
        let base = if seconds < RELATIVE_BELOW { self.received_at.as_micros() } else { 0 };
        let at = micros.and_then(|micros| base.checked_add(micros)).and_then(value::civil);
        at.map(Some).ok_or("a time beyond the calendar")
    }

    /// The signals of a name.
    fn find(&self, name: &str, suffix: &str) -> Vec<SignalIx> {
        let named = &self.model.named;
        let whole = format!("{}{name}{suffix}", self.name);
        let found = named.get(&*whole).or_else(|| named.get(&*format!("{name}{suffix}")));
        found.cloned().unwrap_or_default()
    }

    fn reading(&self, ix: SignalIx, unit: &str, value: &Scalar<'_>) -> ReadingValue {
        let signal = &self.model.signals[usize::from(ix.0)];
        let (Some(number), Some((sent, scale))) = (value.number(), unit_of(unit)) else {
            return value::reading(signal, value);
        };
        if signal.unit.text.is_empty() {
            return value::reading(signal, value);
        }
        match sent.to(&signal.unit) {
            Some((factor, offset)) => value::reading(signal, &Scalar::Float(number * scale * factor + offset)),
            None => ReadingValue::Bad(BadValue::WrongUnit),
        }
    }

    /// The messages, by time.
    fn finish(self, out: &mut Messages) -> Result<(), Error> {
        let now = self.received_at;
        let mut said: Vec<_> = self.said.into_iter().collect();
        said.sort_by_key(|(at, _)| at.unwrap_or(now));
        for (at, readings) in said {
            let mut sink = Sink { model: self.model, out: out.fresh()? };
            sink.out.event_at = at;
            for (ix, reading) in readings {
                // What is said twice of one instant is said by the last.
                sink.out.readings.retain(|said| said.signal != ix);
                sink.push(ix, 0, reading);
            }
            sink.finish();
        }
        Ok(())
    }
}

/// A value on its base. Only numbers have one.
fn based<'p>(value: &Scalar<'p>, base: f64) -> Scalar<'p> {
    match value.number() {
        Some(number) if base != 0.0 => Scalar::Float(number + base),
        _ => value.clone(),
    }
}

/// A unit of the SenML registry: ours, and what its numbers are multiplied with to be in it. `None`: not known.
fn unit_of(senml: &str) -> Option<(Unit, f64)> {
    let same = |text: &str| Unit::parse(text).map(|unit| (unit, 1.0));
    match senml {
        "" => None,
        "Cel" => same("degC"),
        "%RH" | "%EL" => same("%"),
        "/" => Unit::parse("%").map(|unit| (unit, 100.0)),
        "m3" => same("m^3"),
        "m2" => same("m^2"),
        "m3/s" => same("m^3/s"),
        "kg/m3" => same("kg/m^3"),
        "Ohm" => same("ohm"),
        "1/min" | "beat/min" => same("rpm"),
        "1/s" => same("Hz"),
        "EL" | "lat" | "lon" => same("deg"),
        "As" => same("A*s"),
        "VAs" => same("VA*s"),
        "C" => same("A*s"),
        other => same(other),
    }
}

/// The records of a JSON pack.
struct JsonPack<'s, 'm>(&'s mut Pack<'m>);

impl<'de> Visitor<'de> for JsonPack<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pack")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(JsonRecord(self.0))?.is_some() {}
        Ok(())
    }
}

/// One of them.
struct JsonRecord<'s, 'm>(&'s mut Pack<'m>);

impl<'de> DeserializeSeed<'de> for JsonRecord<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JsonRecord<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut record = Record::default();
        let mut problem = None;
        while let Some(label) = map.next_key::<Cow<'de, str>>()? {
            // The numbers are labels in CBOR only.
            let is_text = label.starts_with(|c: char| c.is_ascii_alphabetic());
            let field = if is_text { Field::of(&label) } else { Field::Unknown };
            if field == Field::Refused {
                problem = Some("a field that must be understood and is not");
            }
            record.set(field, Scalar::json(map.next_value::<&RawValue>()?.get()));
        }
        match problem.map_or_else(|| self.0.add(record), Err) {
            Ok(()) => Ok(()),
            Err(problem) => {
                self.0.problem = Some(Error::malformed("SenML", 0, problem));
                Err(serde::de::Error::custom(problem))
            }
        }
    }
}
