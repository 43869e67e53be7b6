//! One value of a payload, of whatever format, to one reading.
//!
//! JSON numbers are read by the standard library from the digits that stand there, which rounds correctly: `0.1` here and
//! in a rule are the same number, and 1e999 is a value that is not finite instead of a message that is not JSON.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::At;
use crate::model::{BadValue, MAX_TEXT_BYTES, ReadingValue, Signal, SignalKind, SignalType, TimestampUnit};

/// A value as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'p> {
    /// Said to be nothing.
    Null,
    Bool(bool),
    /// A number as its digits.
    Digits(&'p str),
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Text(Cow<'p, str>),
    /// An instant, said to be one.
    Time(At),
    /// What no signal can be: bytes, an object, a list, a text that is none.
    Other,
}

impl<'p> Scalar<'p> {
    /// A JSON value, well-formed.
    pub(super) fn json(raw: &'p str) -> Self {
        match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'-' | b'0'..=b'9') => Self::Digits(raw),
            Some(b'"') => unquoted(raw).map_or(Self::Other, Self::Text),
            _ => Self::Other,
        }
    }

    /// The number that it is.
    pub(super) fn number(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "to the nearest, exact up to 2^53")]
        match self {
            Self::Digits(digits) => digits.parse().ok(),
            Self::Int(i) => Some(*i as f64),
            Self::Uint(u) => Some(*u as f64),
            Self::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// The whole number that it is, if a counter of 64 bits can be that.
    fn whole(&self) -> Option<i128> {
        let whole = match self {
            Self::Digits(digits) => digits.parse().ok()?,
            Self::Int(i) => i128::from(*i),
            Self::Uint(u) => i128::from(*u),
            _ => return None,
        };
        (whole.unsigned_abs() <= u128::from(u64::MAX)).then_some(whole)
    }
}

/// What a signal says, given its value.
pub(super) fn reading(signal: &Signal, value: &Scalar<'_>) -> ReadingValue {
    scalar(signal, value).unwrap_or_else(ReadingValue::Bad)
}

/// What a signal says, given a field of a table, which knows no quotes: a number as JSON writes it, `true` and `false`
/// stand for themselves, anything else is a text.
#[must_use]
pub fn field(signal: &Signal, field: &str) -> ReadingValue {
    let bare = is_number(field) || matches!(field, "true" | "false");
    reading(signal, &if bare { Scalar::json(field) } else { Scalar::Text(Cow::Borrowed(field)) })
}

/// Whether a text is a number by the grammar of JSON: `-0.5`, `1e-3`; not `.5`, `+1`, `007`, `NaN`.
#[must_use]
pub fn is_number(text: &str) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = text.as_bytes();
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest[0] == b'0' {
        return false;
    }
    let mut rest = &rest[whole..];
    if let [b'.', fraction @ ..] = rest {
        let places = digits(fraction);
        if places == 0 {
            return false;
        }
        rest = &fraction[places..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = if let [b'+' | b'-', unsigned @ ..] = exponent { unsigned } else { exponent };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

fn scalar(signal: &Signal, value: &Scalar<'_>) -> Result<ReadingValue, BadValue> {
    match (value, &signal.ty) {
        (Scalar::Null, _) => Err(BadValue::Null),
        (Scalar::Bool(b), SignalType::Bool) => Ok(ReadingValue::Bool(*b)),
        (Scalar::Text(t), _) => text(signal, t),
        (Scalar::Digits(number), SignalType::Codes(_)) => text(signal, number),
        (Scalar::Int(number), SignalType::Codes(_)) => text(signal, &number.to_string()),
        (Scalar::Uint(number), SignalType::Codes(_)) => text(signal, &number.to_string()),
        (_, SignalType::Number) => number(signal, value),
        (_, SignalType::Bool) => switch(signal, value.number().ok_or(BadValue::WrongType)?),
        _ => Err(BadValue::WrongType),
    }
}

/// A bare text: what is written without quotes may be a number or a switch as well.
pub(super) fn bare(signal: &Signal, value: &str) -> ReadingValue {
    let number = || value.parse::<f64>().map_err(|_| BadValue::WrongType);
    let read = match &signal.ty {
        SignalType::Number if value.is_empty() => Err(BadValue::Null),
        SignalType::Number => self::number(signal, &Scalar::Digits(value)),
        SignalType::Bool => text(signal, value).or_else(|bad| match value {
            "true" => Ok(ReadingValue::Bool(true)),
            "false" => Ok(ReadingValue::Bool(false)),
            "" => Err(BadValue::Null),
            _ => number().and_then(|n| switch(signal, n)).map_err(|_| bad),
        }),
        _ => text(signal, value),
    };
    read.unwrap_or_else(ReadingValue::Bad)
}

/// A number of a signal. Of a counter every digit counts: what it has grown by is a difference.
fn number(signal: &Signal, value: &Scalar<'_>) -> Result<ReadingValue, BadValue> {
    let nearest = checked(signal, value.number().ok_or(BadValue::WrongType)?)?;
    let large = nearest.abs() > EXACT && matches!(signal.kind, SignalKind::Counter { .. });
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^65")]
    #[expect(clippy::cast_precision_loss, reason = "at most half of the distance between two neighbours")]
    let rest = value.whole().filter(|_| large).map_or(0.0, |whole| (whole - nearest as i128) as f64);
    Ok(if rest == 0.0 { ReadingValue::Number(nearest) } else { ReadingValue::Whole { nearest, rest } })
}

/// Up to here every whole number is an `f64`: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number within the limits of its signal.
fn checked(signal: &Signal, n: f64) -> Result<f64, BadValue> {
    if !n.is_finite() {
        return Err(BadValue::NotFinite);
    }
    if signal.na.contains(&n) {
        return Err(BadValue::NotAvailable);
    }
    if signal.valid.is_some_and(|valid| !valid.contains(n)) {
        return Err(BadValue::OutOfRange);
    }
    Ok(n)
}

fn switch(signal: &Signal, n: f64) -> Result<ReadingValue, BadValue> {
    match checked(signal, n)? {
        0.0 => Ok(ReadingValue::Bool(false)),
        1.0 => Ok(ReadingValue::Bool(true)),
        _ => Err(BadValue::OutOfRange),
    }
}

/// A text, by the type of the signal.
fn text(signal: &Signal, text: &str) -> Result<ReadingValue, BadValue> {
    let number = || text.trim().parse::<f64>().map_err(|_| BadValue::WrongType);
    let is = |words: &[Arc<str>]| words.iter().any(|word| **word == *text);
    let [off, on] = &signal.switch;
    match &signal.ty {
        SignalType::Number if signal.number_as_text => self::number(signal, &Scalar::Digits(text.trim())),
        SignalType::Bool if is(on) => Ok(ReadingValue::Bool(true)),
        SignalType::Bool if is(off) => Ok(ReadingValue::Bool(false)),
        SignalType::Bool if signal.number_as_text => switch(signal, number()?),
        // How JSON writers that cannot say NaN say it.
        SignalType::Number if matches!(text, "NaN" | "nan" | "Infinity" | "-Infinity") => Err(BadValue::NotFinite),
        SignalType::Number | SignalType::Bool => Err(BadValue::WrongType),
        SignalType::Enum(values) => {
            let found = (0..=u16::MAX).zip(values).find(|(_, value)| ***value == *text);
            found.map(|(i, _)| ReadingValue::Enum(i)).ok_or(BadValue::NotInEnum)
        }
        SignalType::Codes(_) if text.is_empty() => Err(BadValue::WrongType),
        SignalType::Text | SignalType::Codes(_) if text.len() > MAX_TEXT_BYTES => Err(BadValue::TooLong),
        SignalType::Text | SignalType::Codes(_) => Ok(ReadingValue::Text(text.into())),
    }
}

/// The content of a JSON string; `None` if its escapes make no text (half of a surrogate pair).
fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The device time, given its value. `None`: unreadable. Only what people can name is an instant: years -9999 to 9999.
pub(super) fn instant(unit: TimestampUnit, value: &Scalar<'_>) -> Option<At> {
    let scale = match unit {
        TimestampUnit::Seconds => 1_000_000,
        TimestampUnit::Millis => 1_000,
        TimestampUnit::Micros => 1,
        TimestampUnit::Rfc3339 => 0,
    };
    let micros = match value {
        Scalar::Time(at) => at.as_micros(),
        Scalar::Text(text) if scale == 0 => return text.parse().ok(),
        _ if scale == 0 => return None,
        Scalar::Digits(digits) => match digits.parse::<i64>() {
            Ok(whole) => whole.checked_mul(scale)?,
            Err(_) => scaled(digits.parse().ok()?, scale)?,
        },
        Scalar::Int(whole) => whole.checked_mul(scale)?,
        Scalar::Float(x) => scaled(*x, scale)?,
        _ => return None,
    };
    civil(micros)
}

/// An instant that people can name.
pub(super) fn civil(micros: i64) -> Option<At> {
    let civil = jiff::Timestamp::MIN.as_microsecond()..=jiff::Timestamp::MAX.as_microsecond();
    civil.contains(&micros).then(|| At::from_micros(micros))
}

/// Whole microseconds of a number that counts `scale` of them, rounded.
pub(super) fn scaled(number: f64, scale: i64) -> Option<i64> {
    #[expect(clippy::cast_precision_loss, reason = "1, 1e3 and 1e6 are exact")]
    let micros = number * scale as f64;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and the end of the range is refused")]
    micros.is_finite().then(|| micros.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_json() {
        for yes in ["0", "-0.5", "12", "1.0", "1e5", "1E-5", "1.5e+10", "-1"] {
            assert!(is_number(yes) && serde_json::from_str::<f64>(yes).is_ok(), "{yes}");
        }
        for no in ["", "-", ".5", "5.", "+1", "007", "1e", "NaN", "inf", "0x1", "1 ", "1_000", "--1", "1.2.3"] {
            assert!(!is_number(no), "{no}");
        }
    }
}
