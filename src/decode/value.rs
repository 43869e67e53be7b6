//! One JSON value, as it stands in the payload, to one reading.
//!
//! The text of the value has already been found to be well-formed JSON. Numbers are read by the standard library, which
//! rounds correctly: `0.1` here and in a rule are the same number, and 1e999 is a value that is not finite instead of a
//! message that is not JSON.

use std::borrow::Cow;

use crate::domain::At;
use crate::model::{BadValue, MAX_TEXT_BYTES, ReadingValue, Signal, SignalType, TimestampUnit};

/// What a signal says, given the text of its value.
pub(super) fn reading(signal: &Signal, raw: &str) -> ReadingValue {
    scalar(signal, raw).unwrap_or_else(ReadingValue::Bad)
}

/// What a signal says, given a field of a table, which knows no quotes: a number as JSON writes it, `true` and `false`
/// stand for themselves, anything else is a text.
#[must_use]
pub fn field(signal: &Signal, field: &str) -> ReadingValue {
    let bare = is_number(field) || matches!(field, "true" | "false");
    let read = if bare { scalar(signal, field) } else { text(signal, field) };
    read.unwrap_or_else(ReadingValue::Bad)
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

fn scalar(signal: &Signal, raw: &str) -> Result<ReadingValue, BadValue> {
    match (raw.as_bytes().first(), &signal.ty) {
        (Some(b'n'), _) => Err(BadValue::Null),
        (Some(b't'), SignalType::Bool) => Ok(ReadingValue::Bool(true)),
        (Some(b'f'), SignalType::Bool) => Ok(ReadingValue::Bool(false)),
        (Some(b'-' | b'0'..=b'9'), SignalType::Number) => number(signal, raw).map(ReadingValue::Number),
        (Some(b'-' | b'0'..=b'9'), SignalType::Bool) => switch(signal, raw),
        (Some(b'"'), _) => text(signal, &unquoted(raw).ok_or(BadValue::WrongType)?),
        _ => Err(BadValue::WrongType),
    }
}

/// A number of the signal, from the text of a JSON number or from a string that holds one.
fn number(signal: &Signal, text: &str) -> Result<f64, BadValue> {
    let n: f64 = text.parse().map_err(|_| BadValue::WrongType)?;
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

fn switch(signal: &Signal, text: &str) -> Result<ReadingValue, BadValue> {
    match number(signal, text)? {
        0.0 => Ok(ReadingValue::Bool(false)),
        1.0 => Ok(ReadingValue::Bool(true)),
        _ => Err(BadValue::OutOfRange),
    }
}

/// A JSON string, by the type of the signal.
fn text(signal: &Signal, text: &str) -> Result<ReadingValue, BadValue> {
    match &signal.ty {
        SignalType::Number if signal.number_as_text => number(signal, text.trim()).map(ReadingValue::Number),
        SignalType::Bool if signal.number_as_text => switch(signal, text.trim()),
        // How JSON writers that cannot say NaN say it.
        SignalType::Number if matches!(text, "NaN" | "nan" | "Infinity" | "-Infinity") => Err(BadValue::NotFinite),
        SignalType::Number | SignalType::Bool => Err(BadValue::WrongType),
        SignalType::Enum(values) => {
            let found = (0..=u16::MAX).zip(values).find(|(_, value)| ***value == *text);
            found.map(|(i, _)| ReadingValue::Enum(i)).ok_or(BadValue::NotInEnum)
        }
        SignalType::Text if text.len() > MAX_TEXT_BYTES => Err(BadValue::TooLong),
        SignalType::Text => Ok(ReadingValue::Text(text.into())),
    }
}

/// The content of a JSON string; `None` if its escapes make no text (half of a surrogate pair).
fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The device time, given the text of its value. `None`: unreadable. Only what people can name is an instant: years
/// -9999 to 9999.
pub(super) fn instant(unit: TimestampUnit, raw: &str) -> Option<At> {
    let micros = match unit {
        TimestampUnit::Seconds => scaled(raw, 1_000_000),
        TimestampUnit::Millis => scaled(raw, 1_000),
        TimestampUnit::Micros => scaled(raw, 1),
        TimestampUnit::Rfc3339 => return unquoted(raw)?.parse().ok(),
    }?;
    let civil = jiff::Timestamp::MIN.as_microsecond()..=jiff::Timestamp::MAX.as_microsecond();
    civil.contains(&micros).then(|| At::from_micros(micros))
}

/// `raw * scale` in whole microseconds: exact for whole numbers, rounded for fractions.
fn scaled(raw: &str, scale: i64) -> Option<i64> {
    if let Ok(whole) = raw.parse::<i64>() {
        return whole.checked_mul(scale);
    }
    #[expect(clippy::cast_precision_loss, reason = "1, 1e3 and 1e6 are exact")]
    let micros = raw.parse::<f64>().ok()? * scale as f64;
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
