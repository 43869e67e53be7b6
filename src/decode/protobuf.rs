//! Protocol Buffers by a compiled descriptor set. The plan of the model asks the message for its fields by name.
//!
//! A field without presence (proto3 without `optional`) that is not on the wire is its zero, which is a value; a field
//! with presence that is not on the wire was not sent. An enumeration is the name of its value.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::sink::Sink;
use super::value::{self, Scalar};
use super::{Error, Messages};
use crate::model::{Model, PathStep, PlanNode};

/// The well-known type of an instant.
const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// One message, or the list of them at `batch`.
pub(super) fn read(
    model: &Model,
    descriptor: &MessageDescriptor,
    batch: Option<&[PathStep]>,
    payload: &[u8],
    out: &mut Messages,
) -> Result<(), Error> {
    let message = DynamicMessage::decode(descriptor.clone(), payload)
        .map_err(|error| Error::malformed("Protobuf", 0, error.to_string()))?;
    let Some(path) = batch else { return one(model, &message, out) };
    let whole = Value::Message(message);
    match descend(&whole, path).as_deref() {
        Some(Value::List(records)) => records.iter().try_for_each(|record| match record {
            Value::Message(record) => one(model, record, out),
            _ => Err(Error::NoBatch),
        }),
        Some(Value::Message(record)) => one(model, record, out),
        _ => Err(Error::NoBatch),
    }
}

fn descend<'v>(value: &'v Value, path: &[PathStep]) -> Option<Cow<'v, Value>> {
    let mut at = Cow::Borrowed(value);
    for step in path {
        let next = match (step, &*at) {
            (PathStep::Key(key), Value::Message(message)) => message.get_field_by_name(key)?.into_owned(),
            (PathStep::Index(i), Value::List(list)) => list.get(*i)?.clone(),
            _ => return None,
        };
        at = Cow::Owned(next);
    }
    Some(at)
}

fn one(model: &Model, message: &DynamicMessage, out: &mut Messages) -> Result<(), Error> {
    let mut sink = Sink { model, out: out.fresh()? };
    members(message, model.plan.root(), &mut sink);
    sink.finish();
    Ok(())
}

/// The fields of `message` that stand below `node`.
fn members<'a>(message: &DynamicMessage, node: &'a PlanNode, sink: &mut Sink<'_, 'a>) {
    for (key, child) in sink.plan().named_members(node) {
        let Some(field) = message.descriptor().get_field_by_name(key) else { continue };
        if field.supports_presence() && !message.has_field(&field) {
            continue;
        }
        walk(&message.get_field(&field), &field.kind(), child, sink);
    }
}

/// What stands at `node`.
fn walk<'a>(value: &Value, kind: &Kind, node: &'a PlanNode, sink: &mut Sink<'_, 'a>) {
    let plan = sink.plan();
    match value {
        Value::Message(message) => match well_known(message) {
            Some(value) => sink.scalar(node, &value),
            None => {
                sink.map(node);
                members(message, node, sink);
            }
        },
        Value::List(list) => {
            sink.list(node);
            for (i, element) in list.iter().enumerate() {
                sink.element(node, i, &scalar(element, kind));
                if let Some(child) = plan.element(node, i) {
                    walk(element, kind, child, sink);
                }
            }
            sink.list_end(node, list.len());
        }
        Value::Map(map) => {
            sink.map(node);
            let kind = kind.as_message().map_or(Kind::Double, |entry| entry.map_entry_value_field().kind());
            for (key, child) in plan.named_members(node) {
                if let Some((_, value)) = map.iter().find(|(known, _)| is_key(known, key)) {
                    walk(value, &kind, child, sink);
                }
            }
        }
        _ => sink.scalar(node, &scalar(value, kind)),
    }
}

fn is_key(known: &MapKey, key: &str) -> bool {
    match known {
        MapKey::String(text) => text == key,
        MapKey::I32(n) => n.to_string() == key,
        MapKey::I64(n) => n.to_string() == key,
        MapKey::U32(n) => n.to_string() == key,
        MapKey::U64(n) => n.to_string() == key,
        MapKey::Bool(b) => b.to_string() == key,
    }
}

fn scalar<'v>(value: &'v Value, kind: &Kind) -> Scalar<'v> {
    match value {
        Value::Bool(b) => Scalar::Bool(*b),
        Value::I32(n) => Scalar::Int((*n).into()),
        Value::I64(n) => Scalar::Int(*n),
        Value::U32(n) => Scalar::Int((*n).into()),
        Value::U64(n) => i64::try_from(*n).map_or(Scalar::Uint(*n), Scalar::Int),
        Value::F32(x) => Scalar::Float((*x).into()),
        Value::F64(x) => Scalar::Float(*x),
        Value::String(text) => Scalar::Text(Cow::Borrowed(text)),
        Value::EnumNumber(n) => kind
            .as_enum()
            .and_then(|list| list.get_value(*n))
            .map_or(Scalar::Int((*n).into()), |value| Scalar::Text(Cow::Owned(value.name().to_owned()))),
        Value::Message(message) => well_known(message).unwrap_or(Scalar::Other),
        Value::Bytes(_) | Value::List(_) | Value::Map(_) => Scalar::Other,
    }
}

/// A message that stands for one value: an instant.
fn well_known(message: &DynamicMessage) -> Option<Scalar<'static>> {
    if message.descriptor().full_name() != TIMESTAMP {
        return None;
    }
    let part = |name| match message.get_field_by_name(name).as_deref() {
        Some(Value::I64(n)) => *n,
        Some(Value::I32(n)) => i64::from(*n),
        _ => 0,
    };
    let micros = part("seconds").checked_mul(1_000_000).and_then(|s| s.checked_add(part("nanos") / 1_000));
    Some(micros.and_then(value::civil).map_or(Scalar::Other, Scalar::Time))
}
