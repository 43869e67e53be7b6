//! JSON by the plan of a model.
//!
//! The payload is walked once. At every object the members that the model wants are looked up, all others are skipped
//! without being decoded; a wanted value is taken as the text it is written in and read by [`super::value`]. No
//! `serde_json::Value` is ever made: for a payload of 200 bytes that alone would cost more than all of this.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::sink::{Seen, Sink};
use super::value::{self, Scalar};
use super::{Error, MAX_DEPTH, MAX_PAYLOAD_BYTES, Messages};
use crate::model::{BadValue, MAX_ELEMENTS, Message, Model, PathStep, Plan, PlanNode, ReadingValue, SignalIx};

/// Decodes a payload that is one object into `out`, whose former content is dropped and whose memory is used again.
///
/// Of members that stand twice in an object the last one counts. An empty object is a message. A byte order mark is
/// skipped.
///
/// # Errors
/// The payload as a whole cannot be read; `out` is then empty.
pub fn json(model: &Model, payload: &[u8], out: &mut Message) -> Result<(), Error> {
    out.clear();
    let decoded = without_mark(payload, |body| object_text(body).and_then(|text| walk(model, text, out)));
    if decoded.is_err() {
        out.clear();
    }
    decoded
}

/// One object, or the list of them at `batch`.
pub(super) fn read(model: &Model, batch: Option<&[PathStep]>, payload: &[u8], out: &mut Messages) -> Result<(), Error> {
    let Some(path) = batch else { return json(model, payload, out.fresh()?) };
    without_mark(payload, |body| {
        let text = shallow(text(body)?)?;
        for record in records(text, path)? {
            let within = |error: Error| error.shifted(record.as_ptr() as usize - text.as_ptr() as usize);
            walk(model, record, out.fresh()?).map_err(within)?;
        }
        Ok(())
    })
}

/// The elements of the list at `path`. A payload without a list is a batch of one.
fn records<'p>(text: &'p str, path: &[PathStep]) -> Result<Vec<&'p str>, Error> {
    let as_error = |error| Error::not_json(text, &error);
    let mut at: &RawValue = serde_json::from_str(text).map_err(as_error)?;
    for step in path {
        let found = match step {
            PathStep::Key(key) => serde_json::Deserializer::from_str(at.get()).deserialize_map(Member(key)),
            PathStep::Index(i) => serde_json::from_str::<Vec<&RawValue>>(at.get()).map(|list| list.get(*i).copied()),
        };
        at = found.ok().flatten().ok_or(Error::NoBatch)?;
    }
    if at.get().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(at.get()).map_err(as_error)?;
        return Ok(list.into_iter().map(RawValue::get).collect());
    }
    if at.get().starts_with('{') { Ok(vec![at.get()]) } else { Err(Error::NoBatch) }
}

/// Finds the member of an object; the last one if it stands twice.
struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let value = map.next_value::<&RawValue>()?;
            if *key == *self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

/// Reads what stands behind a byte order mark; places in errors count from the mark.
pub(super) fn without_mark<T>(payload: &[u8], read: impl FnOnce(&[u8]) -> Result<T, Error>) -> Result<T, Error> {
    let body = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    read(body).map_err(|error| error.shifted(payload.len() - body.len()))
}

fn walk(model: &Model, text: &str, out: &mut Message) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut sink = Sink { model, out };
    let inner = Inner { node: model.plan.root(), sink: &mut sink };
    let walked = deserializer.deserialize_any(inner).and_then(|()| deserializer.end());
    walked.map_err(|error| Error::not_json(text, &error))?;
    sink.finish();
    Ok(())
}

/// The payload as text that begins like an object.
fn object_text(payload: &[u8]) -> Result<&str, Error> {
    let text = text(payload)?;
    let begins = text.trim_ascii_start();
    let what = match begins.as_bytes().first() {
        None => return Err(Error::Empty),
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') if begins.starts_with("true") || begins.starts_with("false") => "true or false",
        Some(b'n') if begins.starts_with("null") => "null",
        _ => return shallow(text),
    };
    Err(Error::NotAnObject { what })
}

/// The payload as text.
pub(super) fn text(payload: &[u8]) -> Result<&str, Error> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Error::TooLarge { bytes: payload.len(), limit: MAX_PAYLOAD_BYTES });
    }
    // Only for the words of the error: a payload is never decoded by what it looks like.
    match payload {
        [0x1f, 0x8b, ..] => return Err(Error::Compressed { with: "gzip" }),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(Error::Compressed { with: "zstd" }),
        _ => {}
    }
    let text = std::str::from_utf8(payload).map_err(|e| Error::NotUtf8 { offset: e.valid_up_to() })?;
    if text.trim_ascii_start().is_empty() { Err(Error::Empty) } else { Ok(text) }
}

/// Refuses what is nested too deep, also where nobody wants to look. Nearly always the number of brackets is proof
/// enough.
pub(super) fn shallow(text: &str) -> Result<&str, Error> {
    let brackets = memchr::memchr2_iter(b'{', b'[', text.as_bytes()).count();
    if brackets <= MAX_DEPTH {
        return Ok(text);
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { offset });
        }
    }
    Ok(text)
}

/// What stands exactly at `node`, as it is written.
fn leaf(sink: &mut Sink<'_, '_>, node: &PlanNode, raw: &str) {
    let value = Scalar::json(raw);
    if node.time {
        sink.time(&value);
    }
    for &ix in &node.signals {
        if sink.model.signals[usize::from(ix.0)].is_list() {
            list(sink, ix, raw);
        } else {
            sink.value(ix, 0, &value);
        }
    }
}

/// A list of components.
fn list(sink: &mut Sink<'_, '_>, ix: SignalIx, raw: &str) {
    let before = sink.out.readings.len();
    let reason = match raw.as_bytes().first() {
        Some(b'[') => {
            let elements = Elements { ix, sink };
            match serde_json::Deserializer::from_str(raw).deserialize_seq(elements) {
                Ok(()) if sink.out.readings.len() == before => return sink.push(ix, 0, ReadingValue::Empty),
                Ok(()) => return,
                Err(_) => BadValue::TooLong,
            }
        }
        Some(b'n') => BadValue::Null,
        _ => BadValue::WrongType,
    };
    sink.out.readings.truncate(before);
    sink.push(ix, 0, ReadingValue::Bad(reason));
}

/// A wanted place in the payload.
struct At<'s, 'o, 'a> {
    node: &'a PlanNode,
    sink: &'s mut Sink<'o, 'a>,
}

impl<'de> DeserializeSeed<'de> for At<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { node, sink } = self;
        if !node.is_leaf() {
            return deserializer.deserialize_any(Inner { node, sink });
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        leaf(sink, node, raw);
        if node.is_inner() {
            // One signal is the object itself (a wrong type, whatever it is), another one is in it. Rare enough.
            let inner = serde_json::Deserializer::from_str(raw).deserialize_any(Inner { node, sink });
            return inner.map_err(serde::de::Error::custom);
        }
        Ok(())
    }
}

/// What is in an object or array.
struct Inner<'s, 'o, 'a> {
    node: &'a PlanNode,
    sink: &'s mut Sink<'o, 'a>,
}

impl Inner<'_, '_, '_> {
    /// It is neither an object nor an array.
    fn scalar<E>(self, reason: BadValue) -> Result<(), E> {
        self.sink.nothing_below(self.node, reason);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Inner<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { node, sink } = self;
        let plan = sink.plan();
        let mut seen = Seen::default();
        let mut expected = 0;
        while let Some(member) = map.next_key_seed(Key { plan, node, expected })? {
            let Some((number, child)) = member else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen.already(number) {
                sink.forget(child);
            }
            expected = number + 1;
            map.next_value_seed(At { node: child, sink })?;
        }
        for child in plan.elements(node) {
            sink.bad(child, BadValue::WrongType);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { node, sink } = self;
        let plan = sink.plan();
        let mut i = 0;
        loop {
            let more = match plan.element(node, i) {
                Some(child) => seq.next_element_seed(At { node: child, sink })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
            i += 1;
        }
        for child in plan.members(node) {
            sink.bad(child, BadValue::WrongType);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(BadValue::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.scalar(BadValue::WrongType)
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.scalar(BadValue::WrongType)
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.scalar(BadValue::WrongType)
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.scalar(BadValue::WrongType)
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.scalar(BadValue::WrongType)
    }
}

/// Finds the wanted member that a key names.
struct Key<'a> {
    plan: &'a Plan,
    node: &'a PlanNode,
    expected: usize,
}

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<(usize, &'a PlanNode)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<(usize, &'a PlanNode)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.plan.member(self.node, key, self.expected))
    }
}

/// The elements of a list of components. Fails if there are too many.
struct Elements<'s, 'o, 'a> {
    ix: SignalIx,
    sink: &'s mut Sink<'o, 'a>,
}

impl<'de> Visitor<'de> for Elements<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX_ELEMENTS} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let signal = &self.sink.model.signals[usize::from(self.ix.0)];
        let mut component: u16 = 0;
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            if usize::from(component) == MAX_ELEMENTS {
                return Err(serde::de::Error::invalid_length(MAX_ELEMENTS + 1, &self));
            }
            self.sink.push(self.ix, component, value::reading(signal, &Scalar::json(raw.get())));
            component += 1;
        }
        Ok(())
    }
}
