//! JSON by the plan of a model.
//!
//! The payload is walked once. At every object the members that the model wants are looked up, all others are skipped
//! without being decoded; a wanted value is taken as the text it is written in and read by [`super::value`]. No
//! `serde_json::Value` is ever made: for a payload of 200 bytes that alone would cost more than all of this.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Error, MAX_DEPTH, MAX_PAYLOAD_BYTES, value};
use crate::model::{
    BadValue, MAX_ELEMENTS, Message, Model, Plan, PlanNode, Reading, ReadingValue, SignalIx, TimestampUnit,
};

/// Decodes `payload` into `out`, whose former content is dropped and whose memory is used again.
///
/// Of members that stand twice in an object the last one counts. An empty object is a message. A byte order mark is
/// skipped.
///
/// # Errors
/// The payload as a whole cannot be read; `out` is then empty.
pub fn json(model: &Model, payload: &[u8], out: &mut Message) -> Result<(), Error> {
    let body = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let decoded = object_text(body).and_then(|text| walk(model, text, out));
    if decoded.is_err() {
        out.clear();
    }
    decoded.map_err(|error| error.shifted(payload.len() - body.len()))
}

fn walk(model: &Model, text: &str, out: &mut Message) -> Result<(), Error> {
    out.clear();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let inner = Inner { node: model.plan.root(), sink: &mut Sink { model, out } };
    let walked = deserializer.deserialize_map(inner).and_then(|()| deserializer.end());
    walked.map_err(|error| Error::not_json(text, &error))?;
    // Devices mostly send in the order of the model, so that there is mostly nothing to do.
    if !out.readings.is_sorted_by_key(order) {
        out.readings.sort_unstable_by_key(order);
    }
    Ok(())
}

fn order(reading: &Reading) -> (SignalIx, u16) {
    (reading.signal, reading.component)
}

/// The payload as text that begins like an object.
fn object_text(payload: &[u8]) -> Result<&str, Error> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Error::TooLarge { bytes: payload.len() });
    }
    // Only for the words of the error: a payload is never decoded by what it looks like.
    match payload {
        [0x1f, 0x8b, ..] => return Err(Error::Compressed { with: "gzip" }),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(Error::Compressed { with: "zstd" }),
        _ => {}
    }
    let text = std::str::from_utf8(payload).map_err(|e| Error::NotUtf8 { offset: e.valid_up_to() })?;
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

/// Refuses what is nested too deep, also where nobody wants to look. Nearly always the number of brackets is proof
/// enough.
fn shallow(text: &str) -> Result<&str, Error> {
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

/// Where readings go.
struct Sink<'a> {
    model: &'a Model,
    out: &'a mut Message,
}

impl<'a> Sink<'a> {
    fn plan(&self) -> &'a Plan {
        &self.model.plan
    }

    /// What stands exactly at `node`.
    fn leaf(&mut self, node: &PlanNode, raw: &str) {
        if node.time {
            let unit = self.model.timestamp.as_ref().map_or(TimestampUnit::Millis, |field| field.unit);
            self.out.event_at = value::instant(unit, raw);
            self.out.bad_timestamp = self.out.event_at.is_none();
        }
        for &ix in &node.signals {
            let signal = &self.model.signals[usize::from(ix.0)];
            if signal.each.is_some() {
                self.list(ix, raw);
            } else {
                self.push(ix, 0, value::reading(signal, raw));
            }
        }
    }

    /// A list of components.
    fn list(&mut self, ix: SignalIx, raw: &str) {
        let before = self.out.readings.len();
        let reason = match raw.as_bytes().first() {
            Some(b'[') => {
                let elements = Elements { ix, sink: self };
                match serde_json::Deserializer::from_str(raw).deserialize_seq(elements) {
                    Ok(()) => return,
                    Err(_) => BadValue::TooLong,
                }
            }
            Some(b'n') => BadValue::Null,
            _ => BadValue::WrongType,
        };
        self.out.readings.truncate(before);
        self.push(ix, 0, ReadingValue::Bad(reason));
    }

    /// Everything at and below `node` is unusable.
    fn bad(&mut self, node: &PlanNode, reason: BadValue) {
        for &ix in &node.below {
            self.push(ix, 0, ReadingValue::Bad(reason));
        }
        self.out.bad_timestamp |= node.time_below;
    }

    /// The member stands a second time: what was said before does not count.
    fn forget(&mut self, node: &PlanNode) {
        self.out.readings.retain(|reading| node.below.binary_search(&reading.signal).is_err());
        if node.time_below {
            self.out.event_at = None;
            self.out.bad_timestamp = false;
        }
    }

    fn push(&mut self, signal: SignalIx, component: u16, value: ReadingValue) {
        self.out.readings.push(Reading { signal, component, value });
    }
}

/// A wanted place in the payload.
struct At<'s, 'a> {
    node: &'a PlanNode,
    sink: &'s mut Sink<'a>,
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { node, sink } = self;
        if !node.is_leaf() {
            return deserializer.deserialize_any(Inner { node, sink });
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        sink.leaf(node, raw);
        if node.is_inner() {
            // One signal is the object itself (a wrong type, whatever it is), another one is in it. Rare enough.
            let inner = serde_json::Deserializer::from_str(raw).deserialize_any(Inner { node, sink });
            return inner.map_err(serde::de::Error::custom);
        }
        Ok(())
    }
}

/// What is in an object or array.
struct Inner<'s, 'a> {
    node: &'a PlanNode,
    sink: &'s mut Sink<'a>,
}

impl Inner<'_, '_> {
    /// It is neither an object nor an array.
    fn scalar<E>(self, reason: BadValue) -> Result<(), E> {
        let plan = self.sink.plan();
        for child in plan.members(self.node).chain(plan.elements(self.node)) {
            self.sink.bad(child, reason);
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Inner<'_, '_> {
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

/// Which members of one object have been there: a word for the first 64, memory only for objects with more.
#[derive(Default)]
struct Seen {
    first: u64,
    more: Vec<u64>,
}

impl Seen {
    /// Whether `number` was there before; it is from now on.
    fn already(&mut self, number: usize) -> bool {
        let word = match (number / 64).checked_sub(1) {
            None => &mut self.first,
            Some(word) => {
                if self.more.len() <= word {
                    self.more.resize(word + 1, 0);
                }
                &mut self.more[word]
            }
        };
        let bit = 1 << (number % 64);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

/// The elements of a list of components. Fails if there are too many.
struct Elements<'s, 'a> {
    ix: SignalIx,
    sink: &'s mut Sink<'a>,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
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
            self.sink.push(self.ix, component, value::reading(signal, raw.get()));
            component += 1;
        }
        Ok(())
    }
}
