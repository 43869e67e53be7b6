//! Quiet hours: the recipient's night, in the recipient's time zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{At, Span};

/// A daily window of local time, over midnight if it begins later than it ends; empty if both are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietWindow {
    from: Time,
    to: Time,
}

impl Default for QuietWindow {
    /// 21:00-08:00.
    fn default() -> Self {
        Self { from: Time::constant(21, 0, 0, 0), to: Time::constant(8, 0, 0, 0) }
    }
}

impl QuietWindow {
    /// All but the hours from `from` to `to`.
    pub(super) fn outside(from: Time, to: Time) -> Self {
        Self { from: to, to: from }
    }

    /// The hours that are not in it.
    pub(super) fn inside(&self) -> Self {
        Self { from: self.to, to: self.from }
    }

    /// When a message may be sent to somebody who lives in `zone`: `None` now, otherwise the end of their night.
    #[must_use]
    pub fn free_at(&self, now: At, zone: &str) -> Option<At> {
        let zoned = now.to_jiff().to_zoned(zone_of(zone));
        let time = zoned.time();
        let quiet = if self.from <= self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        };
        if !quiet {
            return None;
        }
        let day = if time < self.to { zoned.date() } else { zoned.date().tomorrow().unwrap_or(zoned.date()) };
        // Where clocks go back there are two of them: the one that is still to come.
        let end = zoned.time_zone().to_ambiguous_zoned(day.to_datetime(self.to));
        let ends = [end.clone().compatible(), end.later()].into_iter().flatten();
        let mut ends = ends.map(|end| At::from_micros(end.timestamp().as_microsecond()));
        Some(ends.find(|end| *end > now).unwrap_or(now + Span::from_secs(1)))
    }
}

/// The zone, from the database in the program: the same on every machine. An unknown name is UTC.
pub(super) fn zone_of(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC)
}

impl FromStr for QuietWindow {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a daily window such as 21:00-08:00");
        let (from, to) = text.split_once('-').ok_or_else(bad)?;
        let time = |t: &str| Time::strptime("%H:%M", t.trim()).map_err(|_| bad());
        Ok(Self { from: time(from)?, to: time(to)? })
    }
}

impl fmt::Display for QuietWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from.hour(), self.from.minute(), self.to.hour(), self.to.minute())
    }
}

impl Serialize for QuietWindow {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuietWindow {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_end_in_the_recipients_morning() {
        let window: QuietWindow = "21:00-08:00".parse().unwrap();
        for (now, zone, free) in [
            ("2026-11-20T12:00:00Z", "Europe/Berlin", None),
            ("2026-11-20T20:30:00Z", "Europe/Berlin", Some("2026-11-21T07:00:00Z")),
            ("2026-11-21T05:00:00Z", "Europe/Berlin", Some("2026-11-21T07:00:00Z")),
            ("2026-11-20T20:30:00Z", "America/New_York", None),
            ("2026-07-20T20:30:00Z", "Europe/Berlin", Some("2026-07-21T06:00:00Z")),
            ("2026-11-20T22:30:00Z", "No/Where", Some("2026-11-21T08:00:00Z")),
        ] {
            let free = free.map(|f| f.parse::<At>().unwrap());
            assert_eq!(window.free_at(now.parse().unwrap(), zone), free, "{now} {zone}");
        }
        assert_eq!("00:00-00:00".parse::<QuietWindow>().unwrap().free_at(At::from_secs(0), "UTC"), None);
        assert!("9-5".parse::<QuietWindow>().is_err());
        assert_eq!(window.to_string(), "21:00-08:00");
    }
}
