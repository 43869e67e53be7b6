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
        match text.parse::<jiff::Timestamp>() {
            Ok(t) => Ok(Self(t.as_microsecond())),
            Err(e) => match text.parse::<jiff::civil::DateTime>() {
                Ok(civil) => Ok(Self(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp().as_microsecond())),
                Err(_) => Err(e),
            },
        }
    }
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
}
