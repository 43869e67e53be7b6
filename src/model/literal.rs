//! Values as text: the default of a parameter in a model file and its override in the registry.

use std::ops::Range;

use super::{Param, words};
use crate::domain::{Span, Unit, Value};

/// A value written as text, with its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The value; never `Unknown`.
    pub value: Value,
    /// Its unit; a duration is a number in `s`.
    pub unit: Unit,
}

/// Why a text is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LiteralError {
    /// One sentence without a full stop.
    pub message: String,
    /// Which bytes of the text are wrong.
    pub span: Range<usize>,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Reads `58`, `58[degC]`, `10m`, `true` or `'text'`.
///
/// # Errors
/// Anything else, an unknown unit, and numbers that are not finite.
pub fn literal(text: &str) -> Result<Literal, LiteralError> {
    let plain = |value| Ok(Literal { value, unit: Unit::none() });
    let fail = |message: String, span, hint| Err(LiteralError { message, span, hint });
    let whole = 0..text.len();
    match text {
        "true" => return plain(Value::Bool(true)),
        "false" => return plain(Value::Bool(false)),
        "" => return fail("an empty value".to_owned(), whole, None),
        _ => {}
    }
    if let Some(rest) = text.strip_prefix('\'') {
        return match rest.find('\'') {
            Some(end) if end + 1 == rest.len() => plain(Value::from(&rest[..end])),
            Some(end) => fail("something stands after the closing `'`".to_owned(), end + 2..text.len(), None),
            None => fail("the closing `'` is missing".to_owned(), whole, None),
        };
    }
    if let Some(open) = text.find('[') {
        let Some(unit) = text[open + 1..].strip_suffix(']') else {
            return fail("`]` is missing at the end".to_owned(), open..text.len(), None);
        };
        let Some(number) = number(text[..open].trim()) else {
            return fail(format!("'{}' is not a number", text[..open].trim()), 0..open, None);
        };
        let inner = open + 1..text.len() - 1;
        return match words::unit(unit) {
            Ok(unit) => Ok(Literal { value: Value::Num(number), unit }),
            Err((message, hint)) => fail(message, inner, hint),
        };
    }
    if let Some(number) = number(text) {
        return plain(Value::Num(number));
    }
    if let Ok(span) = text.parse::<Span>() {
        let seconds = Unit::parse("s").unwrap_or_else(Unit::none);
        return Ok(Literal { value: Value::Num(span.as_secs_f64()), unit: seconds });
    }
    fail(format!("'{text}' is not a value"), whole, Some(hint_for(text)))
}

/// A finite number, and nothing that only Rust takes for one (`inf`, `nan`).
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

/// What the writer of something that is no value may have meant.
fn hint_for(text: &str) -> String {
    let end = text.find(|c: char| c.is_alphabetic() || c == '%' || c == '°').unwrap_or(text.len());
    let (number_part, unit_part) = text.split_at(end);
    let number_part = number_part.trim();
    match (number(number_part), words::unit(unit_part)) {
        (Some(_), Ok(_)) => format!("write a number with a unit as {number_part}[{unit_part}]"),
        (Some(_), Err((_, Some(near)))) => format!("write a number with a unit as 5[bar]; {near}"),
        _ => "a value is 5, 5[bar], 10m, true, or 'text' in single quotes".to_owned(),
    }
}

impl Param {
    /// A device's own value of this parameter, as written in the registry, in the unit of the parameter.
    ///
    /// # Errors
    /// Not a value, another type, or a unit that measures something else.
    pub fn overridden(&self, text: &str) -> Result<Value, LiteralError> {
        let given = literal(text)?;
        let fail = |message: String, hint| Err(LiteralError { message, span: 0..text.len(), hint });
        match (&self.value, given.value) {
            (Value::Num(_), Value::Num(number)) => match given.unit.to(&self.unit) {
                Some((factor, offset)) => Ok(Value::Num(number * factor + offset)),
                None => {
                    let (ours, theirs) = (self.unit.dimension.name(), given.unit.dimension.name());
                    let hint = given.unit.text.is_empty().then(|| format!("write {text}[{}]", self.unit));
                    fail(format!("a {theirs}, and the parameter is a {ours}"), hint)
                }
            },
            (Value::Bool(_), value @ Value::Bool(_)) | (Value::Text(_), value @ Value::Text(_)) => Ok(value),
            (ours, theirs) => fail(format!("{}, and the parameter is {}", kind(&theirs), kind(ours)), None),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Unknown => "unknown",
        Value::Bool(_) => "true or false",
        Value::Num(_) => "a number",
        Value::Text(_) => "a text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Diagnostics, Place};

    #[test]
    fn literals() {
        for (text, value, unit) in [
            ("58", Value::Num(58.0), ""),
            ("-1.5e3", Value::Num(-1500.0), ""),
            ("55[degC]", Value::Num(55.0), "degC"),
            ("3 [K/min]", Value::Num(3.0), "K/min"),
            ("10m", Value::Num(600.0), "s"),
            ("1h30m", Value::Num(5400.0), "s"),
            ("true", Value::Bool(true), ""),
            ("'a b'", Value::from("a b"), ""),
        ] {
            let got = literal(text).unwrap();
            assert_eq!((got.value, &*got.unit.text), (value, unit), "{text}");
        }
        for (text, message, hint) in [
            ("", "an empty value", None),
            ("inf", "'inf' is not a value", Some("a value is 5")),
            ("5000km", "'5000km' is not a value", Some("5000[km]")),
            ("5 bar", "'5 bar' is not a value", Some("5[bar]")),
            ("5[bra]", "unknown unit 'bra'", Some("`bar`")),
            ("5[bar", "`]` is missing", None),
            ("x[bar]", "'x' is not a number", None),
            ("'abc", "closing", None),
            ("'a'b", "after the closing", None),
            ("red", "'red' is not a value", Some("single quotes")),
        ] {
            let error = literal(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert_eq!(hint.is_some(), error.hint.is_some(), "{text}: {error:?}");
            assert!(error.hint.unwrap_or_default().contains(hint.unwrap_or("")), "{text}");
        }
    }

    #[test]
    fn an_override_fits_its_parameter_or_is_refused() {
        let file = Diagnostics::default().add_file("x", "");
        let param = |text: &str| {
            let Literal { value, unit } = literal(text).unwrap();
            Param { value, unit, place: Place { file, span: 0..0 } }
        };
        let celsius = param("55[degC]");
        assert_eq!(celsius.overridden("60[degC]"), Ok(Value::Num(60.0)));
        let fahrenheit = celsius.overridden("140[degF]").unwrap().as_num().unwrap();
        assert!((fahrenheit - 60.0).abs() < 1e-9);
        let plain = celsius.overridden("60").unwrap_err();
        assert_eq!(plain.message, "a plain number, and the parameter is a temperature");
        assert_eq!(plain.hint.as_deref(), Some("write 60[degC]"));
        assert_eq!(celsius.overridden("5[bar]").unwrap_err().message, "a pressure, and the parameter is a temperature");
        assert_eq!(celsius.overridden("true").unwrap_err().message, "true or false, and the parameter is a number");
        assert_eq!(param("10m").overridden("2h"), Ok(Value::Num(7200.0)));
        assert_eq!(param("'a'").overridden("'b'"), Ok(Value::from("b")));
    }
}
