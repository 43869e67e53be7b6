//! `[rule.active]`: the days and hours, in the device's time zone or a named one, in which a rule may raise.
//!
//! A window belongs to the day on which it begins: `days = "fri", hours = "22:00-06:00"` ends on Saturday morning. Hours
//! that a change to summer time skips or repeats are read as everywhere: a skipped time is the one an hour later, of a
//! repeated one the first. Windows that touch are one.

use std::fmt;

use jiff::Zoned;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::domain::At;
use crate::source::{Diagnostic, Diagnostics, Table, Text};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u16 = 24 * 60;

/// When a rule may raise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schedule {
    /// By day, Monday first.
    days: [bool; 7],
    /// Minutes of the day; `to` may be 24:00.
    from: u16,
    to: u16,
    /// `None`: that of the device.
    zone: Option<TimeZone>,
}

/// Whether an instant is in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// It is, and its window began then.
    Open(At),
    /// It is not; the next window begins then.
    Closed(At),
}

impl fmt::Display for Schedule {
    /// `mon-fri 06:00-22:00 Europe/Berlin`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let runs = self.days.chunk_by(|a, b| a == b);
        let mut day = 0;
        let mut names = Vec::new();
        for run in runs {
            match run {
                [true] => names.push(DAYS[day].to_owned()),
                [true, ..] => names.push(format!("{}-{}", DAYS[day], DAYS[day + run.len() - 1])),
                _ => {}
            }
            day += run.len();
        }
        write!(f, "{} {}-{}", names.join(","), time(self.from), time(self.to))?;
        self.zone.as_ref().and_then(TimeZone::iana_name).map_or(Ok(()), |zone| write!(f, " {zone}"))
    }
}

impl Schedule {
    /// Whether the clock of the device decides.
    pub(crate) fn is_local(&self) -> bool {
        self.zone.is_none()
    }

    /// The window that `now` is in, or the next one. `device` is the zone of the device.
    pub(crate) fn at(&self, now: At, device: &TimeZone) -> Window {
        let zone = self.zone.as_ref().unwrap_or(device);
        let date = Zoned::new(now.to_jiff(), zone.clone()).date();
        let day = |n: i64| date.checked_add(jiff::Span::new().days(n)).ok();
        let windows: Vec<(At, At)> = (-8..=8).filter_map(|n| self.window(day(n)?, zone)).collect();
        match windows.iter().rposition(|(from, to)| *from <= now && now < *to) {
            Some(last) => {
                let touching = windows[..=last].windows(2).rev().take_while(|pair| pair[0].1 >= pair[1].0).count();
                Window::Open(windows[last - touching].0)
            }
            None => Window::Closed(windows.iter().map(|w| w.0).find(|from| *from > now).unwrap_or(At::MAX)),
        }
    }

    /// The window that begins on `date`.
    fn window(&self, date: Date, zone: &TimeZone) -> Option<(At, At)> {
        if !self.days[usize::try_from(date.weekday().to_monday_zero_offset()).ok()?] {
            return None;
        }
        let to = if self.to <= self.from { self.to + DAY } else { self.to };
        Some((instant(date, self.from, zone)?, instant(date, to, zone)?))
    }
}

fn instant(date: Date, minutes: u16, zone: &TimeZone) -> Option<At> {
    let date = if minutes < DAY { date } else { date.tomorrow().ok()? };
    let (hour, minute) = (minutes % DAY / 60, minutes % 60);
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()?;
    let zoned = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
    Some(At::from_micros(zoned.timestamp().as_microsecond()))
}

/// A zone by its name, from the database in the program: the same on every machine.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// Reads `[rule.active]`; `days` every day, `hours` the whole day and `tz` that of the device, unless stated.
pub(super) fn read(diags: &mut Diagnostics, table: &Table<'_>) -> Schedule {
    let mut schedule = Schedule { days: [false; 7], from: 0, to: DAY, zone: None };
    for text in table.texts(diags, "days") {
        for item in text.value.split(',') {
            match days(item) {
                Some(range) => range.for_each(|day| schedule.days[day % 7] = true),
                None => refuse(diags, &text, "days", "write mon, mon-fri or mon,wed,sat-sun"),
            }
        }
    }
    if !table.has("days") {
        schedule.days = [true; 7];
    }
    if let Some(text) = table.text(diags, "hours") {
        match hours(&text.value) {
            Some((from, to)) => (schedule.from, schedule.to) = (from, to),
            None => refuse(diags, &text, "hours", "write 06:00-22:00, or 22:00-06:00 over midnight"),
        }
    }
    if let Some(text) = table.text(diags, "tz").filter(|t| &*t.value != "device") {
        schedule.zone = zone(&text.value);
        if schedule.zone.is_none() {
            refuse(diags, &text, "tz", "write \"device\", or a zone such as \"Europe/Berlin\"");
        }
    }
    schedule
}

fn refuse(diags: &mut Diagnostics, text: &Text, key: &str, hint: &str) {
    let finding = Diagnostic::error("R080", format!("`{key}` is '{}'", text.value));
    diags.push(finding.at(text.place.clone(), "not understood").hint(hint));
}

/// `mon` or `sat-tue`, as indices that may run past 6.
fn days(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let index = |name: &str| DAYS.iter().position(|d| *d == name.trim());
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (index(from)?, index(to)?);
    Some(from..=if to < from { to + 7 } else { to })
}

fn hours(text: &str) -> Option<(u16, u16)> {
    let minutes = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minutes(from)?, minutes(to)?);
    (from != to && from < DAY).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_clock_on_the_wall() {
        let on = |days: &str, hours: &str| {
            let mut schedule = Schedule { days: [false; 7], from: 0, to: DAY, zone: None };
            days.split(',').for_each(|d| super::days(d).unwrap().for_each(|day| schedule.days[day % 7] = true));
            (schedule.from, schedule.to) = super::hours(hours).unwrap();
            schedule
        };
        for (days, hours, name, now, open, at) in [
            // A Friday evening, a Saturday, a Monday morning in Berlin.
            ("mon-fri", "06:00-22:00", "Europe/Berlin", "2026-01-09T20:59:59Z", true, "2026-01-09T05:00:00Z"),
            ("mon-fri", "06:00-22:00", "Europe/Berlin", "2026-01-09T21:00:00Z", false, "2026-01-12T05:00:00Z"),
            ("mon-fri", "06:00-22:00", "Europe/Berlin", "2026-07-10T20:30:00Z", false, "2026-07-13T04:00:00Z"),
            // Over midnight, into a day that is not named.
            ("fri", "22:00-06:00", "UTC", "2026-01-10T03:00:00Z", true, "2026-01-09T22:00:00Z"),
            ("fri", "22:00-06:00", "UTC", "2026-01-10T06:00:00Z", false, "2026-01-16T22:00:00Z"),
            // Whole days that touch are one window; the week begins on Monday.
            ("mon-fri", "00:00-24:00", "UTC", "2026-01-08T12:00:00Z", true, "2026-01-05T00:00:00Z"),
            ("sat-mon", "00:00-24:00", "UTC", "2026-01-05T12:00:00Z", true, "2026-01-03T00:00:00Z"),
            // 02:30 does not exist on this night, and 02:30 comes twice on that.
            ("mon-sun", "02:30-05:00", "Europe/Berlin", "2026-03-29T00:10:00Z", false, "2026-03-29T01:30:00Z"),
            ("mon-sun", "02:30-05:00", "Europe/Berlin", "2026-10-25T01:10:00Z", true, "2026-10-25T00:30:00Z"),
        ] {
            let at: At = at.parse().unwrap();
            let expected = if open { Window::Open(at) } else { Window::Closed(at) };
            assert_eq!(
                on(days, hours).at(now.parse().unwrap(), &zone(name).unwrap()),
                expected,
                "{days} {hours} {now}"
            );
        }
        assert!(super::hours("6-22").is_none() && super::hours("08:00-08:00").is_none() && super::days("mo").is_none());
    }
}
