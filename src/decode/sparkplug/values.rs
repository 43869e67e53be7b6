//! The data types of Sparkplug B (6.4.16): what the value of a metric means.

use std::borrow::Cow;

use super::wire::{Metric, Value};
use crate::decode::value::{Scalar, civil};
use crate::domain::At;
use crate::model::MAX_ELEMENTS;

const INT8: u8 = 1;
const INT16: u8 = 2;
const INT32: u8 = 3;
const INT64: u8 = 4;
const DATE_TIME: u8 = 13;
const INT8_ARRAY: u8 = 22;
const INT16_ARRAY: u8 = 23;
const INT32_ARRAY: u8 = 24;
const INT64_ARRAY: u8 = 25;
const UINT8_ARRAY: u8 = 26;
const UINT16_ARRAY: u8 = 27;
const UINT32_ARRAY: u8 = 28;
const UINT64_ARRAY: u8 = 29;
const FLOAT_ARRAY: u8 = 30;
const DOUBLE_ARRAY: u8 = 31;
const BOOLEAN_ARRAY: u8 = 32;
const STRING_ARRAY: u8 = 33;
const DATE_TIME_ARRAY: u8 = 34;

/// What a metric says.
#[derive(Debug, PartialEq)]
pub(super) enum Said<'m> {
    One(Scalar<'m>),
    List(Vec<Scalar<'m>>),
}

/// Reads the value of a metric by its type.
pub(super) fn said(metric: &Metric, datatype: u8) -> Said<'_> {
    if metric.is_null == Some(true) {
        return Said::One(Scalar::Null);
    }
    Said::One(match &metric.value {
        None => Scalar::Null,
        Some(Value::Int(n)) => whole(u64::from(*n), datatype),
        Some(Value::Long(n)) => whole(*n, datatype),
        Some(Value::Float(x)) => Scalar::Float(f64::from(*x)),
        Some(Value::Double(x)) => Scalar::Float(*x),
        Some(Value::Boolean(b)) => Scalar::Bool(*b),
        Some(Value::Text(text)) => Scalar::Text(Cow::Borrowed(text)),
        Some(Value::Bytes(bytes)) => return array(bytes, datatype),
        Some(Value::DataSet(_) | Value::Template(_) | Value::Extension(_)) => Scalar::Other,
    })
}

/// Signed numbers are sent as unsigned ones with the same bits.
fn whole(bits: u64, datatype: u8) -> Scalar<'static> {
    let low = bits.to_le_bytes();
    match datatype {
        INT8 => Scalar::Int(i64::from(i8::from_le_bytes([low[0]]))),
        INT16 => Scalar::Int(i64::from(i16::from_le_bytes([low[0], low[1]]))),
        INT32 => Scalar::Int(i64::from(i32::from_le_bytes([low[0], low[1], low[2], low[3]]))),
        INT64 => Scalar::Int(i64::from_le_bytes(low)),
        DATE_TIME => instant(bits).map_or(Scalar::Other, Scalar::Time),
        _ => i64::try_from(bits).map_or(Scalar::Uint(bits), Scalar::Int),
    }
}

/// Milliseconds since 1970.
pub(super) fn instant(millis: u64) -> Option<At> {
    i64::try_from(millis).ok().and_then(|millis| millis.checked_mul(1_000)).and_then(civil)
}

/// Packed elements, little endian. One element more than a signal can have is enough to see that there are too many.
fn array(bytes: &[u8], datatype: u8) -> Said<'_> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> Scalar<'static>) -> Option<Vec<Scalar<'static>>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| chunks.iter().take(MAX_ELEMENTS + 1).map(|chunk| read(*chunk)).collect())
    }
    let int = |n: i64| Scalar::Int(n);
    let list = match datatype {
        INT8_ARRAY => each(bytes, |b| int(i8::from_le_bytes(b).into())),
        INT16_ARRAY => each(bytes, |b| int(i16::from_le_bytes(b).into())),
        INT32_ARRAY => each(bytes, |b| int(i32::from_le_bytes(b).into())),
        INT64_ARRAY => each(bytes, |b| int(i64::from_le_bytes(b))),
        UINT8_ARRAY => each(bytes, |b| int(u8::from_le_bytes(b).into())),
        UINT16_ARRAY => each(bytes, |b| int(u16::from_le_bytes(b).into())),
        UINT32_ARRAY => each(bytes, |b| int(u32::from_le_bytes(b).into())),
        UINT64_ARRAY => each(bytes, |b| whole(u64::from_le_bytes(b), 0)),
        FLOAT_ARRAY => each(bytes, |b| Scalar::Float(f32::from_le_bytes(b).into())),
        DOUBLE_ARRAY => each(bytes, |b| Scalar::Float(f64::from_le_bytes(b))),
        DATE_TIME_ARRAY => each(bytes, |b| whole(u64::from_le_bytes(b), DATE_TIME)),
        BOOLEAN_ARRAY => switches(bytes),
        STRING_ARRAY => texts(bytes),
        _ => None,
    };
    list.map_or(Said::One(Scalar::Other), Said::List)
}

/// Their number in four bytes, then a bit each, the highest of a byte first.
fn switches(bytes: &[u8]) -> Option<Vec<Scalar<'_>>> {
    let (count, bits) = bytes.split_first_chunk()?;
    let count = u32::from_le_bytes(*count) as usize;
    let bit = |i: usize| Scalar::Bool(bits[i / 8] & (0x80 >> (i % 8)) != 0);
    (count.div_ceil(8) == bits.len()).then(|| (0..count.min(MAX_ELEMENTS + 1)).map(bit).collect())
}

/// Each ends in a NUL.
fn texts(bytes: &[u8]) -> Option<Vec<Scalar<'_>>> {
    let Some((0, texts)) = bytes.split_last() else { return bytes.is_empty().then(Vec::new) };
    let text = |bytes| std::str::from_utf8(bytes).map_or(Scalar::Other, |text| Scalar::Text(Cow::Borrowed(text)));
    Some(texts.split(|byte| *byte == 0).take(MAX_ELEMENTS + 1).map(text).collect())
}
