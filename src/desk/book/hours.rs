//! When a workshop works: where times to ask for come from.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::super::quiet::zone_of;
use crate::domain::{At, Slot, Span};

/// A workshop that takes appointments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workshop {
    /// As customers are told.
    pub name: String,
    /// Its address, as customers are told.
    pub place: String,
    /// Places that it serves, in small letters; it is asked first for customers from there.
    pub near: Vec<String>,
    /// When it works.
    pub hours: Hours,
    /// It is asked by mail; `None`: over its provider.
    pub by_mail: Option<ByMail>,
}

/// A workshop that reads mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByMail {
    /// Where it reads them, and writes from.
    pub mailbox: String,
    /// BCP 47, of what it reads.
    pub locale: String,
    /// So long it has to answer; then another workshop is asked.
    pub answer_within: Span,
}

impl Workshop {
    /// `place` in small letters.
    pub(super) fn serves(&self, place: &str) -> bool {
        self.near.iter().any(|near| near == place)
    }
}

/// Working hours, cut into times of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    days: Vec<Weekday>,
    from: Time,
    to: Time,
    slot: Span,
    zone: String,
}

/// The days of a week, as they are written in settings.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Hours {
    /// `08:00-17:00`, the days as `mon`, the length of one appointment, an IANA time zone.
    ///
    /// # Errors
    /// The name of the setting, and what is wrong with it.
    pub fn parse(hours: &str, days: &[String], slot: Span, zone: &str) -> Result<Self, (&'static str, String)> {
        let time = |t: &str| Time::strptime("%H:%M", t.trim()).ok();
        let ends = hours.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        let (from, to) = ends
            .filter(|(from, to)| from < to)
            .ok_or_else(|| ("hours", format!("'{hours}' are not hours of a day such as 08:00-17:00")))?;
        let day = |d: &String| DAYS.iter().find(|(name, _)| name == d).map(|(_, day)| *day);
        let days: Option<Vec<Weekday>> = days.iter().map(day).collect();
        let days = days.filter(|d| !d.is_empty()).ok_or_else(|| ("days", "expected mon, tue … sun".to_owned()))?;
        if slot < Span::from_mins(5) || slot > Span::from_hours(12) {
            return Err(("slot", format!("{slot} is no length of an appointment: 5m to 12h")));
        }
        if zone != "UTC" && zone_of(zone) == TimeZone::UTC {
            return Err(("tz", format!("'{zone}' is no time zone such as Europe/Berlin")));
        }
        Ok(Self { days, from, to, slot, zone: zone.to_owned() })
    }

    pub(super) fn zone(&self) -> &str {
        &self.zone
    }

    /// Every appointment that lies within `from` and `to`, in order.
    pub(super) fn slots(&self, from: At, to: At) -> impl Iterator<Item = Slot> + '_ {
        let zone = zone_of(&self.zone);
        let first = from.to_jiff().to_zoned(zone.clone()).date();
        // A year at most, whatever the window says.
        let days = (0..366).filter_map(move |n| first.checked_add(jiff::Span::new().days(n)).ok());
        let days = days.filter(|d| self.days.contains(&d.weekday()));
        let starts = days.map(move |day| {
            let at = |time: Time| day.to_datetime(time).to_zoned(zone.clone()).ok();
            (at(self.from), at(self.to))
        });
        let days = starts.filter_map(|(from, to)| {
            let at = |z: jiff::Zoned| At::from_micros(z.timestamp().as_microsecond());
            Some((at(from?), at(to?)))
        });
        let slots = days.flat_map(move |(opens, closes)| {
            (0..i64::MAX)
                .map(move |n| opens + self.slot.times(n))
                .map(move |start_at| Slot { start_at, end_at: start_at + self.slot })
                .take_while(move |s| s.end_at <= closes)
        });
        slots.skip_while(move |s| s.start_at < from).take_while(move |s| s.end_at <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: &[&str]) -> Hours {
        let days: Vec<String> = days.iter().map(|d| (*d).to_owned()).collect();
        Hours::parse("08:00-10:00", &days, Span::from_hours(1), "Europe/Berlin").unwrap()
    }

    #[test]
    fn appointments_lie_within_working_hours_also_when_clocks_are_changed() {
        // Summer time ends on 25 October 2026: 08:00 is 06:00 UTC before and 07:00 UTC after.
        let from: At = "2026-10-23T00:00:00Z".parse().unwrap();
        let to: At = "2026-10-26T23:00:00Z".parse().unwrap();
        let starts = |h: &Hours| h.slots(from, to).map(|s| s.start_at.to_string()).collect::<Vec<_>>();
        assert_eq!(
            starts(&hours(&["fri", "mon"])),
            ["2026-10-23T06:00:00Z", "2026-10-23T07:00:00Z", "2026-10-26T07:00:00Z", "2026-10-26T08:00:00Z"]
        );
        let late: At = "2026-10-23T06:30:00Z".parse().unwrap();
        assert_eq!(hours(&["fri"]).slots(late, to).count(), 1);
        assert_eq!(hours(&["fri"]).slots(to, from).count(), 0);
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let mon = ["mon".to_owned()];
        let hour = Span::from_hours(1);
        let key = |r: Result<Hours, (&'static str, String)>| r.unwrap_err().0;
        assert_eq!(key(Hours::parse("17:00-08:00", &mon, hour, "UTC")), "hours");
        assert_eq!(key(Hours::parse("08:00-17:00", &["someday".to_owned()], hour, "UTC")), "days");
        assert_eq!(key(Hours::parse("08:00-17:00", &mon, Span::from_secs(1), "UTC")), "slot");
        assert_eq!(key(Hours::parse("08:00-17:00", &mon, hour, "Mars/Base")), "tz");
    }
}
