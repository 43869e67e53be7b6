//! An appointment as iCalendar (RFC 5545) and its scheduling methods (RFC 5546): the part of a mail that calendars read.
//!
//! Written here and not with a crate: one event with ten properties is all we ever send, and what matters is what a
//! builder does not know: the same bytes on every attempt (the stamp is handed in), and nothing unescaped from a template.
//! Times are UTC, so no zone has to be described.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::{At, CalendarAnswer, CalendarReply, Invitation, InviteMethod};

/// Octets of a line, without its end.
const LINE: usize = 75;

/// The object, with `organizer` and `attendee` as mailboxes.
#[must_use]
pub fn calendar(invitation: &Invitation, organizer: &str, attendee: &str, at: At) -> String {
    let cancelled = invitation.method == InviteMethod::Cancel;
    let sequence = invitation.sequence.to_string();
    let mut out = String::new();
    let mut line = |name: &str, value: &str| fold(&mut out, &format!("{name}:{value}"));
    line("BEGIN", "VCALENDAR");
    line("VERSION", "2.0");
    line("PRODID", "-//forewarn//EN");
    line("CALSCALE", "GREGORIAN");
    line("METHOD", method(invitation.method));
    line("BEGIN", "VEVENT");
    line("UID", &text(&invitation.uid));
    line("SEQUENCE", &sequence);
    line("DTSTAMP", &instant(at));
    line("DTSTART", &instant(invitation.start_at));
    line("DTEND", &instant(invitation.end_at));
    line("SUMMARY", &text(&invitation.summary));
    line("LOCATION", &text(&invitation.location));
    line("STATUS", if cancelled { "CANCELLED" } else { "CONFIRMED" });
    line("TRANSP", "OPAQUE");
    line("ORGANIZER", &address(organizer));
    let answer = if invitation.rsvp { "PARTSTAT=NEEDS-ACTION;RSVP=TRUE" } else { "PARTSTAT=ACCEPTED;RSVP=FALSE" };
    line(&format!("ATTENDEE;ROLE=REQ-PARTICIPANT;{answer}"), &address(attendee));
    if let Some(before) = invitation.alarm.filter(|_| !cancelled) {
        line("BEGIN", "VALARM");
        line("ACTION", "DISPLAY");
        line("DESCRIPTION", &text(&invitation.summary));
        line("TRIGGER", &format!("-PT{}M", before.as_micros() / 60_000_000));
        line("END", "VALARM");
    }
    line("END", "VEVENT");
    line("END", "VCALENDAR");
    out
}

/// The answer of a calendar (`METHOD:REPLY` or `COUNTER`), if `text` is one; with several people in it, that of the first.
#[must_use]
pub fn reply(text: &str) -> Option<CalendarReply> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    // A zone that is described in front of the event has times, too.
    let (head, event) = unfolded.split_once("BEGIN:VEVENT")?;
    let answer = match property(head, "METHOD")?.1.to_ascii_uppercase().as_str() {
        "REPLY" => said(event)?,
        "COUNTER" => CalendarAnswer::Counter {
            start_at: property(event, "DTSTART").and_then(|(name, value)| start(name, value)),
            sequence: property(event, "SEQUENCE").and_then(|(_, n)| n.parse().ok()).unwrap_or(0),
        },
        _ => return None,
    };
    Some(CalendarReply { uid: property(event, "UID")?.1.to_owned(), answer })
}

/// The first such line: its name with parameters, and its value.
fn property<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.split(';').next().is_some_and(|key| key.eq_ignore_ascii_case(name)).then_some((key, value.trim()))
    })
}

fn said(event: &str) -> Option<CalendarAnswer> {
    let attendee = event.lines().find(|line| line.to_ascii_uppercase().starts_with("ATTENDEE"))?;
    let said = attendee.to_ascii_uppercase().split([';', ':']).find_map(|part| match part {
        "PARTSTAT=ACCEPTED" => Some(CalendarAnswer::Yes),
        "PARTSTAT=DECLINED" => Some(CalendarAnswer::No),
        _ => None,
    });
    Some(said.unwrap_or(CalendarAnswer::Perhaps))
}

fn parameter<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    let all = key.split(';').filter_map(|part| part.split_once('='));
    { all }.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A time in UTC or in a zone by the name that the IANA gives it. A day alone, and a time in nobody's zone, are none.
fn start(name: &str, value: &str) -> Option<At> {
    let zone = match value.strip_suffix('Z') {
        Some(_) => TimeZone::UTC,
        None => TimeZone::get(parameter(name, "TZID")?.trim_matches('"')).ok()?,
    };
    let local = DateTime::strptime("%Y%m%dT%H%M%S", value.trim_end_matches('Z')).ok()?;
    Some(At::from_micros(local.to_zoned(zone).ok()?.timestamp().as_microsecond()))
}

/// As it stands in the object and in the type of the part that carries it.
#[must_use]
pub fn method(method: InviteMethod) -> &'static str {
    match method {
        InviteMethod::Request => "REQUEST",
        InviteMethod::Cancel => "CANCEL",
    }
}

fn instant(at: At) -> String {
    at.to_jiff().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A mailbox; what could end the line or the value is left out.
fn address(mailbox: &str) -> String {
    let plain = |c: &char| !c.is_control() && !c.is_whitespace();
    format!("mailto:{}", mailbox.chars().filter(plain).collect::<String>())
}

fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Adds a line, continued after [`LINE`] octets and never inside of a character.
fn fold(out: &mut String, line: &str) {
    let mut used = 0;
    for c in line.chars() {
        if used + c.len_utf8() > LINE {
            out.push_str("\r\n ");
            used = 1;
        }
        out.push(c);
        used += c.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    fn invitation() -> Invitation {
        let start_at: At = "2026-11-24T09:00:00Z".parse().unwrap();
        Invitation {
            method: InviteMethod::Request,
            uid: "0193-x@example.com".into(),
            sequence: 2,
            start_at,
            end_at: start_at + Span::from_hours(1),
            summary: "Termin: Batterie, Prüfung; \\ heute\nBEGIN:VALARM\r".into(),
            location: "Werkstatt Müller, Straße des 17. Juni 135, 10623 Berlin, gegenüber dem S-Bahnhof Tiergarten"
                .into(),
            alarm: Some(Span::from_hours(24)),
            rsvp: false,
        }
    }

    #[test]
    fn answers_of_calendars_are_read() {
        let answer = |method: &str, attendee: &str| {
            reply(&format!(
                "BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\nUID:0193-x@exam\r\n ple.com\r\n{attendee}\r\nEND:VEVENT\r\n"
            ))
        };
        let uid = || "0193-x@example.com".to_owned();
        for (attendee, said) in [
            ("ATTENDEE;PARTSTAT=ACCEPTED;CN=Jo:mailto:j@example.com", CalendarAnswer::Yes),
            ("ATTENDEE;CN=\"A; B\";PARTSTAT=DECLINED:mailto:j@example.com", CalendarAnswer::No),
            ("ATTENDEE;PARTSTAT=TENTATIVE:mailto:j@example.com", CalendarAnswer::Perhaps),
            ("ATTENDEE:mailto:j@example.com", CalendarAnswer::Perhaps),
        ] {
            assert_eq!(answer("REPLY", attendee), Some(CalendarReply { uid: uid(), answer: said }), "{attendee}");
            assert_eq!(answer("REQUEST", attendee), None, "an invitation of somebody else");
        }
        assert_eq!(answer("REPLY", "X:1"), None);
        let ours =
            calendar(&Invitation { rsvp: true, ..invitation() }, "s@example.com", "j@example.com", At::from_secs(0));
        assert!(ours.contains("PARTSTAT=NEEDS-ACTION;RSVP=TRUE"), "{ours}");
    }

    /// As calendars write them: with the zone described in front, with names of zones of their own, for a whole day.
    #[test]
    fn another_time_that_a_calendar_asks_for_is_read_if_it_is_certain() {
        let zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Vienna\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
        for (start, at) in [
            ("DTSTART:20261125T133000Z", Some("2026-11-25T13:30:00Z")),
            ("DTSTART;TZID=Europe/Vienna:20261125T143000", Some("2026-11-25T13:30:00Z")),
            ("dtstart;TZID=\"Europe/Vienna\";X-A=1:20260725T143000", Some("2026-07-25T12:30:00Z")),
            ("DTSTART;TZID=W. Europe Standard Time:20261125T143000", None),
            ("DTSTART:20261125T143000", None),
            ("DTSTART;VALUE=DATE:20261125", None),
            ("DTSTART;TZID=Europe/Vienna:20261345T993000", None),
            ("SUMMARY:no time", None),
        ] {
            let text = format!(
                "BEGIN:VCALENDAR\r\nMETHOD:COUNTER\r\n{zone}BEGIN:VEVENT\r\nUID:u-1\r\nSEQUENCE:2\r\n{start}\r\n\
                 ATTENDEE;PARTSTAT=TENTATIVE:mailto:j@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let answer = CalendarAnswer::Counter { start_at: at.map(|at| at.parse().unwrap()), sequence: 2 };
            assert_eq!(reply(&text), Some(CalendarReply { uid: "u-1".into(), answer }), "{start}");
        }
    }

    #[test]
    fn an_event_has_what_calendars_need_and_nothing_gets_in() {
        let at: At = "2026-11-20T10:00:00Z".parse().unwrap();
        let text = calendar(&invitation(), "s@example.com\r\nX-EVIL:1", "j@example.com", at);
        for line in [
            "METHOD:REQUEST\r\n",
            "UID:0193-x@example.com\r\n",
            "SEQUENCE:2\r\n",
            "DTSTART:20261124T090000Z\r\n",
            "SUMMARY:Termin: Batterie\\, Prüfung\\; \\\\ heute\\nBEGIN:VALARM\r\n",
            "TRIGGER:-PT1440M\r\n",
            "STATUS:CONFIRMED\r\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("\r\nX-EVIL"), "{text}");
        assert!(text.lines().all(|l| l.len() <= LINE), "{text}");
        assert_eq!(text.matches("\r\nBEGIN:VALARM").count(), 1, "the one in the summary is text: {text}");
        let cancel = calendar(&Invitation { method: InviteMethod::Cancel, ..invitation() }, "a@b", "c@d", at);
        assert!(cancel.contains("METHOD:CANCEL\r\n") && cancel.contains("STATUS:CANCELLED\r\n"), "{cancel}");
        assert!(!cancel.contains("VALARM\r\nACTION"), "{cancel}");
    }
}
