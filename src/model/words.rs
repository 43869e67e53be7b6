//! Words that people write in model files and the registry, and what they may have meant.

use crate::domain::Unit;
use crate::source::did_you_mean;

/// A unit, or what to say about it.
pub(super) fn unit(text: &str) -> Result<Unit, (String, Option<String>)> {
    if let Some(unit) = Unit::parse(text) {
        return Ok(unit);
    }
    // Show the part that is not known, not the whole of `km/hh`.
    let part = text.split(['*', '/']).find(|part| part.is_empty() || Unit::parse(part).is_none()).unwrap_or(text);
    if let Some((name, _)) = part.split_once('^')
        && Unit::parse(name).is_some()
    {
        return Err((format!("unknown unit '{part}'"), Some("powers go from 1 to 4".to_owned())));
    }
    if part.is_empty() {
        return Err(("a unit is missing beside `/` or `*`".to_owned(), None));
    }
    let part = part.split('^').next().unwrap_or(part);
    let alias = ALIASES.iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(part)).map(|(_, right)| *right);
    let cased = || Unit::known().find(|known| known.eq_ignore_ascii_case(part));
    let near = alias.or_else(cased).or_else(|| did_you_mean(part, Unit::known()));
    Err((format!("unknown unit '{part}'"), near.map(|near| format!("did you mean `{near}`?"))))
}

/// What people write for units that are spelt otherwise here.
const ALIASES: [(&str, &str); 28] = [
    ("°C", "degC"),
    ("C", "degC"),
    ("celsius", "degC"),
    ("°F", "degF"),
    ("fahrenheit", "degF"),
    ("kelvin", "K"),
    ("°", "deg"),
    ("Ω", "ohm"),
    ("kΩ", "kohm"),
    ("MΩ", "Mohm"),
    ("µm", "um"),
    ("µs", "us"),
    ("volt", "V"),
    ("volts", "V"),
    ("ampere", "A"),
    ("amps", "A"),
    ("watt", "W"),
    ("watts", "W"),
    ("kph", "km/h"),
    ("sec", "s"),
    ("hour", "h"),
    ("hr", "h"),
    ("day", "d"),
    ("lpm", "l/min"),
    ("percent", "%"),
    ("m2", "m^2"),
    ("m3", "m^3"),
    ("rev", "rpm"),
];

/// Words of the rule language that cannot name a signal or a parameter.
const RESERVED: [&str; 7] = ["true", "false", "unknown", "in", "matches", "param", "device"];

/// Why `name` cannot be written in a rule, if it cannot.
pub(super) fn not_a_name(name: &str) -> Option<&'static str> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if RESERVED.contains(&name) {
        Some("is a word of the rule language")
    } else if name.len() > 64 {
        Some("is longer than 64 characters")
    } else if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Some("is not a name: a letter, then letters, digits and `_`")
    } else {
        None
    }
}

/// Why `id` cannot be the id of a model, if it cannot. `*` is left out because rules select models by pattern.
pub(super) fn not_an_id(id: &str) -> Option<&'static str> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() {
        Some("is empty")
    } else if id.len() > 64 {
        Some("is longer than 64 characters")
    } else if !id.chars().all(good) {
        Some("may hold letters, digits, `-`, `_` and `.` only")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_people_write() {
        let hint = |text: &str| unit(text).unwrap_err();
        assert!(unit("km/h").is_ok() && unit("").is_ok());
        assert_eq!(hint("°C"), ("unknown unit '°C'".into(), Some("did you mean `degC`?".into())));
        assert_eq!(hint("C"), ("unknown unit 'C'".into(), Some("did you mean `degC`?".into())));
        assert_eq!(hint("degc"), ("unknown unit 'degc'".into(), Some("did you mean `degC`?".into())));
        assert_eq!(hint("km/hr"), ("unknown unit 'hr'".into(), Some("did you mean `h`?".into())));
        assert_eq!(hint("furlong"), ("unknown unit 'furlong'".into(), None));
        assert_eq!(hint("m/"), ("a unit is missing beside `/` or `*`".into(), None));
        assert_eq!(hint("kw"), ("unknown unit 'kw'".into(), Some("did you mean `kW`?".into())));
        assert_eq!(hint("m^9"), ("unknown unit 'm^9'".into(), Some("powers go from 1 to 4".into())));
    }

    #[test]
    fn names() {
        assert!(not_a_name("brake_fl").is_none() && not_a_name("x1").is_none());
        for bad in ["", "1x", "a-b", "in", "ä", &"x".repeat(65)] {
            assert!(not_a_name(bad).is_some(), "{bad}");
        }
        assert!(not_an_id("ev-gen2.1").is_none() && not_an_id("ev-*").is_some() && not_an_id("").is_some());
    }
}
