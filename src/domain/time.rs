//! Instants and spans. One representation everywhere: whole microseconds, so that arithmetic is exact and a replay is
//! the same byte for byte.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Fields that hold one end in `_at`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct At(i64);

/// A span of time in microseconds; may be negative (the difference of two instants).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl At {
    /// The earliest instant that can be represented.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant that can be represented.
    pub const MAX: Self = Self(i64::MAX);

    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(us: i64) -> Self {
        Self(us)
    }

    /// From milliseconds since the Unix epoch; saturates.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// From seconds since the Unix epoch; saturates.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The time from `earlier` to `self`, never below zero.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        (self - earlier).max(Span::ZERO)
    }

    /// The same instant for people: clamped into the range that civil time can name.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        let clamped = self.0.clamp(jiff::Timestamp::MIN.as_microsecond(), jiff::Timestamp::MAX.as_microsecond());
        jiff::Timestamp::from_microsecond(clamped).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span.
    pub const MAX: Self = Self(i64::MAX);

    /// From microseconds.
    #[must_use]
    pub const fn from_micros(us: i64) -> Self {
        Self(us)
    }

    /// From milliseconds; saturates.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// From seconds; saturates.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// From minutes; saturates.
    #[must_use]
    pub const fn from_mins(m: i64) -> Self {
        Self::from_secs(m.saturating_mul(60))
    }

    /// From hours; saturates.
    #[must_use]
    pub const fn from_hours(h: i64) -> Self {
        Self::from_secs(h.saturating_mul(3_600))
    }

    /// Microseconds.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds with their fraction.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "spans up to 285 years keep microsecond precision well enough for people and arithmetic"
    )]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// From seconds with a fraction; saturates, NaN gives zero.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is what is documented")]
    pub fn from_secs_f64(s: f64) -> Self {
        Self((s * 1e6).round() as i64)
    }

    /// As a standard duration; a negative span gives zero.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }

    /// `self * n`, saturating.
    #[must_use]
    pub const fn times(self, n: i64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl Add<Span> for At {
    type Output = Self;
    fn add(self, rhs: Span) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Sub<Span> for At {
    type Output = Self;
    fn sub(self, rhs: Span) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

impl Sub for At {
    type Output = Span;
    fn sub(self, rhs: Self) -> Span {
        Span(self.0.saturating_sub(rhs.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

impl fmt::Display for At {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was wrong with the text of an instant or a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a duration: write a number and a unit, such as 250ms, 90s, 10m, 2h, 7d or 1h30m")]
pub struct ParseSpanError(String);

/// The units of a span, longest first: name, microseconds.
const UNITS: [(&str, i64); 7] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl FromStr for Span {
    type Err = ParseSpanError;

    /// A sequence of number and unit: `10m`, `1h30m`, `1.5d`, `250ms`. A leading `-` negates the whole.
    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let bad = || ParseSpanError(text.to_owned());
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = 0_i64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
            let part = match number.parse::<i64>() {
                Ok(whole) => whole.saturating_mul(scale),
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    reason = "a fraction of a unit, rounded to microseconds"
                )]
                Err(_) => (number.parse::<f64>().map_err(|_| bad())? * scale as f64).round() as i64,
            };
            total = total.saturating_add(part);
            rest = tail;
        }
        Ok(Self(if negative { -total } else { total }))
    }
}

impl fmt::Display for Span {
    /// The shortest exact text that parses back: `1h30m`, `250ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        // Weeks read badly in a case history; days are the largest unit written.
        for (name, scale) in &UNITS[1..] {
            let scale = scale.unsigned_abs();
            if rest >= scale {
                write!(f, "{}{name}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for At {
    type Err = jiff::Error;

    /// RFC 3339 / ISO 8601; a text without an offset is read as UTC.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        if let Some(at) = plain(text) {
            return Ok(at);
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(t) => Ok(Self(t.as_microsecond())),
            Err(e) => match text.parse::<jiff::civil::DateTime>() {
                Ok(civil) => Ok(Self(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp().as_microsecond())),
                Err(_) => Err(e),
            },
        }
    }
}

/// The one form that nearly all recordings and devices write, `2020-01-01T00:01:00` with an optional fraction of up to six
/// digits and an optional `Z`: five times as fast as a parser of all forms. `None`: let that one decide.
fn plain(text: &str) -> Option<At> {
    let bytes = text.as_bytes();
    let (date_time, rest) = bytes.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(i, separator)| date_time[*i] != *separator) {
        return None;
    }
    let number =
        |digits: &[u8]| digits.iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(*d - b'0')));
    let part = |from: usize, to: usize| number(&date_time[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // The last days of a month are left to the calendar of the other parser.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = rest.strip_suffix(b"Z").unwrap_or(rest);
    let micros = match rest {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10_i64.pow(6 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    // Days since 1970 in the proleptic Gregorian calendar, years counted from March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(At(((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + micros))
}

/// Text for people's formats (JSON, TOML), the bare number for stored rows.
macro_rules! serde_as_text_or_micros {
    ($t:ident) => {
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    i64::deserialize(d).map(Self)
                }
            }
        }
    };
}
serde_as_text_or_micros!(At);
serde_as_text_or_micros!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_write_the_same_text() {
        for text in ["0s", "250ms", "90us", "1m30s", "10m", "1h30m", "7d", "-5s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1.5h".parse::<Span>().unwrap(), Span::from_mins(90));
        assert_eq!("2w".parse::<Span>().unwrap().to_string(), "14d");
        for bad in ["", "-", "10", "m", "10 m", "10x", "1..5s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn instants_read_with_and_without_an_offset() {
        let z: At = "2020-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(z, "2020-01-01T00:01:00".parse().unwrap());
        assert_eq!(z, "2020-01-01T01:01:00+01:00".parse().unwrap());
        assert_eq!(z.to_string(), "2020-01-01T00:01:00Z");
        assert_eq!(At::MAX.to_string().len(), At::MAX.to_string().len());
    }

    #[test]
    fn the_plain_form_is_read_as_any_other() {
        let slow =
            |text: &str| text.parse::<jiff::civil::DateTime>().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        for year in [0, 1, 1899, 1900, 1970, 2000, 2023, 2024, 2100, 9998] {
            for month in 1..=12 {
                for day in [1, 28, if month == 2 { 28 } else { 30 }] {
                    for time in ["00:00:00", "23:59:59", "12:34:56.7", "12:34:56.000001"] {
                        let text = format!("{year:04}-{month:02}-{day:02}T{time}");
                        let expected = At(slow(&text).timestamp().as_microsecond());
                        assert_eq!(text.parse::<At>().unwrap(), expected, "{text}");
                        assert!(day > 28 || plain(&text) == Some(expected), "{text}");
                    }
                }
            }
        }
        for odd in ["2020-02-30T00:00:00", "2020-13-01T00:00:00", "2020-01-01T24:00:00", "2020-01-01T00:00:0x", "2020"]
        {
            assert!(odd.parse::<At>().is_err(), "{odd}");
        }
        for other in ["2020-01-01T00:00:00.1234567Z", "2020-01-01 00:00:00", "2020-01-01T00:00:00+01:00"] {
            assert!(plain(other).is_none() && other.parse::<At>().is_ok(), "{other}");
        }
    }
}
