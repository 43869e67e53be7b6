//! `do = "book"`: an appointment. `mode = "hold"` finds times and keeps them, `mode = "confirm"` books the one that was
//! chosen (or, with a window of its own, the first that is free).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reaction::{Reaction, reactions};
use super::{DURATION, providers, template};
use crate::domain::{AdapterName, At, Span};
use crate::playbook::load::{MentionOf, Notes, ProviderKind};
use crate::playbook::names::Audience;
use crate::playbook::{Part, Template};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// The invitation, its changes and its end.
pub const INVITE_SCRIPT: &str = "appointment";
/// The day before.
pub const REMINDER_SCRIPT: &str = "appointment-reminder";
/// What is answered to somebody who has chosen, or tried to, in words.
pub const CHOICE_SCRIPT: &str = "appointment-choice";
/// What a workshop without an API is asked with.
pub const REQUEST_SCRIPT: &str = "workshop-request";
/// So often times are looked for in one case.
pub const BOOK_ROUNDS: u32 = 8;

/// `do = "book"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    /// `mode = "confirm"`: books; `hold`: only finds and keeps.
    pub confirm: bool,
    /// What is looked for; a `confirm` without it books what the step that holds has found.
    pub find: Option<Find>,
    /// What goes into the customer's calendar.
    pub invite: Option<Invite>,
    /// So long before it begins the customer is reminded.
    pub remind: Option<Span>,
    /// `slot_gone`, `customer_declined`, `provider_changed`, `no_show`, `no_slots`.
    pub on: BTreeMap<Arc<str>, Reaction>,
}

/// What times are looked for, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// What is to be done there.
    pub service: Template,
    /// When at the earliest, and at the latest.
    pub window: (Term, Term),
    /// Workshops that serve this place are asked first.
    pub near: Option<Template>,
    /// So many times are offered.
    pub offer: u32,
    /// So long they are kept.
    pub hold_for: Span,
    /// In the order in which they are asked.
    pub providers: Vec<AdapterName>,
}

/// `invite = { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct Invite {
    /// The same for all changes of one appointment.
    pub uid: Template,
    /// So long before it the calendar rings.
    pub alarm: Option<Span>,
}

/// How far from now: `now + min(fault.horizon.p10 / 2, 21d)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// `21d`
    Of(Span),
    /// `fault.horizon.p10`, `p50` or `p90` in place of the number: how long the fault will take to become a breakdown.
    Horizon(u8),
    /// `… / 2`
    Part(Box<Self>, i64),
    /// `min(…, …)`; what is unknown does not count.
    Least(Box<Self>, Box<Self>),
    /// `max(…, …)`; the same.
    Most(Box<Self>, Box<Self>),
}

impl Term {
    /// How far; `None` if it rests on a horizon that is not known.
    pub fn span(&self, horizon: &dyn Fn(u8) -> Option<Span>) -> Option<Span> {
        let both = |a: &Self, b: &Self| [a.span(horizon), b.span(horizon)].into_iter().flatten();
        match self {
            Self::Of(span) => Some(*span),
            Self::Horizon(p) => horizon(*p),
            Self::Part(of, n) => of.span(horizon).map(|s| Span::from_micros(s.as_micros() / n)),
            Self::Least(a, b) => both(a, b).min(),
            Self::Most(a, b) => both(a, b).max(),
        }
    }

    /// Reads `now + …`.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("now")?.trim_start();
        if rest.is_empty() {
            return Some(Self::Of(Span::ZERO));
        }
        let (term, rest) = Self::read(rest.strip_prefix('+')?, 0)?;
        rest.trim().is_empty().then_some(term)
    }

    fn read(text: &str, depth: u8) -> Option<(Self, &str)> {
        let text = text.trim_start();
        let two = |inside| {
            let (a, rest) = Self::read(inside, depth + 1)?;
            let (b, rest) = Self::read(rest.trim_start().strip_prefix(',')?, depth + 1)?;
            Some((Box::new(a), Box::new(b), rest.trim_start().strip_prefix(')')?))
        };
        if depth > 8 {
            return None;
        }
        let (term, rest) = if let Some(inside) = text.strip_prefix("min(") {
            two(inside).map(|(a, b, rest)| (Self::Least(a, b), rest))?
        } else if let Some(inside) = text.strip_prefix("max(") {
            two(inside).map(|(a, b, rest)| (Self::Most(a, b), rest))?
        } else {
            let end = text.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(text.len());
            let term = match &text[..end] {
                "fault.horizon.p10" => Self::Horizon(10),
                "fault.horizon.p50" => Self::Horizon(50),
                "fault.horizon.p90" => Self::Horizon(90),
                span => Self::Of(span.parse().ok()?),
            };
            (term, &text[end..])
        };
        let Some(divisor) = rest.trim_start().strip_prefix('/') else { return Some((term, rest)) };
        let divisor = divisor.trim_start();
        let end = divisor.find(|c: char| !c.is_ascii_digit()).unwrap_or(divisor.len());
        let n = divisor[..end].parse().ok().filter(|n| *n > 0)?;
        Some((Self::Part(Box::new(term), n), &divisor[end..]))
    }
}

/// What a promise of a playbook is counted from: the start of its step, or the appointment (`booking.start + 10d`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// How long.
    pub span: Span,
    /// From the appointment on.
    pub after_booking: bool,
}

impl Within {
    /// The instant; until an appointment is known, counted from the start of the step.
    #[must_use]
    pub fn ends_at(self, started_at: At, booking_at: Option<At>) -> At {
        booking_at.filter(|_| self.after_booking).unwrap_or(started_at) + self.span
    }
}

impl std::str::FromStr for Within {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let after = text.trim().strip_prefix("booking.start").map(|rest| rest.trim_start().strip_prefix('+'));
        let (text, after_booking) = match after {
            Some(Some(rest)) => (rest, true),
            Some(None) => return Err("expected `booking.start + 10d`".to_owned()),
            None => (text, false),
        };
        let span = text.trim().parse::<Span>().map_err(|e| e.to_string())?;
        Ok(Self { span, after_booking })
    }
}

impl std::fmt::Display for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.span, if self.after_booking { " of the appointment" } else { "" })
    }
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Book> {
    let mode = t.need_text(diags, "mode");
    let confirm = mode.and_then(|m| match &*m.value {
        "hold" => Some(false),
        "confirm" => Some(true),
        other => {
            let near = did_you_mean(other, ["hold", "confirm"]);
            diags.push(
                Diagnostic::error("P015", format!("`mode` is '{other}'"))
                    .at(m.place, "expected hold or confirm")
                    .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
            );
            None
        }
    });
    let find = if confirm == Some(false) || t.has("window") { Some(find(diags, t, notes)) } else { None };
    let invite = t.table(diags, "invite").and_then(|i| {
        // Requests become updates and cancellations by themselves; the key is accepted for the reader.
        let _method = i.text(diags, "method");
        let uid = match i.text(diags, "uid") {
            Some(uid) => template(diags, &uid, Audience::Field),
            None => Template::parse("{{ booking.id }}").ok(),
        };
        let alarm = i.text(diags, "alarm").map(|a| alarm(diags, &a));
        i.finish(diags);
        Some(Invite { uid: uid?, alarm: alarm.flatten() })
    });
    let script = |name: &str| Text { value: name.into(), place: t.place() };
    if invite.is_some() {
        notes.mention(MentionOf::Script(vec![Part::Subject, Part::Text, Part::Html]), &script(INVITE_SCRIPT));
    }
    let remind = t.parsed::<Span>(diags, "remind", DURATION);
    if remind.is_some() {
        notes.mention(MentionOf::Script(vec![Part::Sms]), &script(REMINDER_SCRIPT));
    }
    let events = ["slot_gone", "customer_declined", "provider_changed", "no_show", "no_slots"];
    let on = reactions(diags, t, &events, notes);
    let find = match find {
        Some(found) => Some(found?),
        None => None,
    };
    Some(Book { confirm: confirm?, find, invite, remind: remind.map(|r| r.value), on })
}

fn find(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Find> {
    let service = t.need_text(diags, "service").and_then(|s| template(diags, &s, Audience::Field));
    t.need(diags, "window");
    let window = t.table(diags, "window").and_then(|w| {
        let mut end = |key| w.need_text(diags, key).and_then(|text| term(diags, &text));
        let (from, to) = (end("from"), end("to"));
        w.finish(diags);
        Some((from?, to?))
    });
    let near = t.text(diags, "near").map(|n| template(diags, &n, Audience::Place));
    let offer = t.count(diags, "offer").map_or(1, |n| n.value.clamp(1, 6));
    let hold_for = t.parsed::<Span>(diags, "hold_for", DURATION).map_or(Span::from_hours(48), |h| h.value);
    t.need(diags, "provider");
    let providers = providers(diags, t, ProviderKind::Booking, notes);
    let near = match near {
        Some(near) => Some(near?),
        None => None,
    };
    Some(Find { service: service?, window: window?, near, offer, hold_for, providers })
}

fn term(diags: &mut Diagnostics, text: &Text) -> Option<Term> {
    let parsed = Term::parse(&text.value);
    if parsed.is_none() {
        diags.push(
            Diagnostic::error("P015", format!("'{}' is not a time from now", text.value))
                .at(text.place.clone(), "not understood")
                .hint("such as `now + 24h` or `now + min(fault.horizon.p10 / 2, 21d)`"),
        );
    }
    parsed
}

/// `-PT24H`, as calendars write it, or `24h`.
fn alarm(diags: &mut Diagnostics, text: &Text) -> Option<Span> {
    let value = text.value.trim();
    let plain = value.strip_prefix("-PT").map_or_else(|| value.to_owned(), str::to_lowercase);
    let span = plain.parse::<Span>().ok();
    if span.is_none() {
        let finding = Diagnostic::error("P015", format!("`alarm` is '{value}'"));
        diags.push(finding.at(text.place.clone(), "expected -PT24H"));
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_counted_from_now() {
        let known = |p: u8| Some(Span::from_hours(24 * i64::from(p)));
        let unknown = |_: u8| None;
        let days = |n: i64| Some(Span::from_hours(24 * n));
        for (text, of_known, of_unknown) in [
            ("now", days(0), days(0)),
            ("now + 24h", days(1), days(1)),
            ("now + min(fault.horizon.p10 / 2, 21d)", days(5), days(21)),
            ("now + max(3d, min(fault.horizon.p50/2, 21d))", days(21), days(21)),
            ("now+fault.horizon.p90", days(90), None),
        ] {
            let term = Term::parse(text).unwrap();
            assert_eq!((term.span(&known), term.span(&unknown)), (of_known, of_unknown), "{text}");
        }
        for bad in ["", "24h", "now 24h", "now + min(1d)", "now + 1d / 0", "now + fault.horizon", "now + 1d 2d"] {
            assert_eq!(Term::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_promise_is_counted_from_its_step_or_from_the_appointment() {
        let at = At::from_secs;
        let day = Span::from_hours(24);
        let plain: Within = "1d".parse().unwrap();
        let booked: Within = "booking.start + 1d".parse().unwrap();
        assert_eq!(plain.ends_at(at(0), Some(at(50))), at(0) + day);
        assert_eq!(booked.ends_at(at(0), Some(at(50))), at(50) + day);
        assert_eq!(booked.ends_at(at(0), None), at(0) + day);
        assert!("booking.start 1d".parse::<Within>().is_err() && "soon".parse::<Within>().is_err());
    }
}
