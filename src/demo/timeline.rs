//! What is shown: events from the desk's timelines and from the sandbox, in the order in which they happened. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::sandbox::Sighting;
use crate::desk::TimelineKind;
use crate::domain::{At, Span};

/// What an event is about: picks its symbol and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The demo itself does something to the world.
    World,
    /// The desk measured something.
    Measured,
    /// The desk decided something.
    Decided,
    /// The desk sent something.
    Sent,
    /// Somebody was told something.
    Said,
    /// Somebody or something answered.
    Answered,
    /// Trouble.
    Trouble,
    /// Seen at a provider.
    Seen,
    /// A case was opened, changed its phase, or is served.
    Case,
}

impl Mark {
    /// Word for the machine, sign for the eye, SGR colour.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::World => ("world", "!", "33"),
            Self::Measured => ("measured", "~", "36"),
            Self::Decided => ("decided", "=", "34"),
            Self::Sent => ("sent", ">", "35"),
            Self::Said => ("said", "\"", "32"),
            Self::Answered => ("answered", "<", "32"),
            Self::Trouble => ("trouble", "x", "31"),
            Self::Seen => ("seen", "*", "90"),
            Self::Case => ("case", "#", "1"),
        }
    }
}

impl From<TimelineKind> for Mark {
    fn from(kind: TimelineKind) -> Self {
        match kind {
            TimelineKind::Measured => Self::Measured,
            TimelineKind::Decided => Self::Decided,
            TimelineKind::Sent => Self::Sent,
            TimelineKind::Said => Self::Said,
            TimelineKind::Answered => Self::Answered,
            TimelineKind::Trouble => Self::Trouble,
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: At,
    /// The device it is about; empty if none.
    pub device: String,
    /// What it is about.
    pub mark: Mark,
    /// One sentence.
    pub text: String,
}

/// A sighting as a sentence.
#[must_use]
pub fn sentence(sighting: &Sighting) -> String {
    match sighting {
        Sighting::Mail { to, subject } => format!("mail to {to}: {subject}"),
        Sighting::Ticket { number, title } => format!("ticket desk: #{number} {title}"),
        Sighting::Article { number, body } => format!("ticket desk: #{number} + {body}"),
        Sighting::TicketClosed { number } => format!("ticket desk: #{number} closed"),
        Sighting::Job { job, state, eta_min } => {
            let state = state.replace('_', " ");
            // Announced to the minute, and some of it has passed already.
            let eta = eta_min.map(|m| format!(", {} min", m + 1)).unwrap_or_default();
            format!("tow company: {job} {state}{eta}")
        }
        Sighting::Ringing { to } => format!("phone rings at {to}"),
        Sighting::Heard { to, text, .. } => format!("phone {to} hears: '{text}'"),
        Sighting::Pressed { to, digit } => format!("phone {to}: presses {digit}"),
        Sighting::CallEnded { to, status } => format!("phone {to}: call ended ({status})"),
        Sighting::Appointment { booking, start_at } => format!("workshop books {booking} for {start_at}"),
        Sighting::Push { to, title } => format!("app of {to} shows: '{title}'"),
        Sighting::Tapped { to, choice } => format!("app of {to}: taps {choice}"),
        Sighting::Sms { to, body } => format!("text to {to}: '{body}'"),
    }
}

/// Puts events in order: they come from two sources, one of which is asked only every quarter of a second.
#[derive(Debug, Default)]
pub struct Merge {
    waiting: BTreeMap<(At, u64), Event>,
    count: u64,
}

impl Merge {
    /// Takes an event in.
    pub fn add(&mut self, event: Event) {
        self.count += 1;
        self.waiting.insert((event.at, self.count), event);
    }

    /// Everything that happened before `until`, oldest first.
    pub fn take(&mut self, until: At) -> Vec<Event> {
        let later = self.waiting.split_off(&(until, 0));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }
}

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When the demo began: times are shown from then.
    pub began_at: At,
    /// With colours.
    pub colour: bool,
    /// Columns of the terminal; longer texts are continued below. `None`: one line each.
    pub width: Option<usize>,
}

/// Columns before the text.
const MARGIN: usize = 22;

impl Look {
    /// An event for people.
    #[must_use]
    pub fn line(&self, event: &Event) -> String {
        let (_, sign, colour) = event.mark.parts();
        let time = seconds(event.at - self.began_at);
        let device = format!("{:<10}", event.device);
        let text = self.wrap(&event.text);
        if self.colour {
            format!("\x1b[90m{time:>8}\x1b[0m \x1b[1m{device}\x1b[0m \x1b[{colour}m{sign}\x1b[0m {text}")
        } else {
            format!("{time:>8} {device} {sign} {text}")
        }
    }

    /// An event for machines: one JSON object.
    #[must_use]
    pub fn json(&self, event: &Event) -> String {
        json!({
            "event": event.mark.parts().0,
            "at": event.at.to_string(),
            "after_ms": (event.at - self.began_at).as_millis(),
            "device": if event.device.is_empty() { Value::Null } else { event.device.clone().into() },
            "text": event.text,
        })
        .to_string()
    }

    fn wrap(&self, text: &str) -> String {
        let Some(room) = self.width.map(|w| w.saturating_sub(MARGIN).max(30)) else { return text.to_owned() };
        let mut out = String::new();
        let mut column = 0;
        for word in text.split(' ') {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > room {
                out.push('\n');
                out.push_str(&" ".repeat(MARGIN));
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
        out
    }
}

/// `+12.3s`
fn seconds(span: Span) -> String {
    let tenths = span.as_millis() / 100;
    let sign = if tenths < 0 { '-' } else { '+' };
    format!("{sign}{}.{}s", tenths.abs() / 10, tenths.abs() % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ms: i64, device: &str, mark: Mark, text: &str) -> Event {
        Event { at: At::from_millis(1_000_000 + ms), device: device.into(), mark, text: text.into() }
    }

    fn look(colour: bool, width: Option<usize>) -> Look {
        Look { began_at: At::from_millis(1_000_000), colour, width }
    }

    #[test]
    fn lines() {
        let said = event(12_345, "car-0007", Mark::Said, "driver was told to stop; a truck comes in 24 minutes");
        let seen = event(-40, "", Mark::Seen, "phone rings at +493023125006");
        assert_eq!(
            look(false, None).line(&said),
            "  +12.3s car-0007   \" driver was told to stop; a truck comes in 24 minutes"
        );
        assert_eq!(look(false, None).line(&seen), "   +0.0s            * phone rings at +493023125006");
        assert_eq!(
            look(false, Some(56)).line(&said),
            "  +12.3s car-0007   \" driver was told to stop; a truck\n                      comes in 24 minutes"
        );
        assert_eq!(
            look(true, None).line(&seen),
            "\x1b[90m   +0.0s\x1b[0m \x1b[1m          \x1b[0m \x1b[90m*\x1b[0m phone rings at +493023125006"
        );
        let json: Value = serde_json::from_str(&look(true, None).json(&said)).unwrap();
        assert_eq!((&json["event"], &json["after_ms"]), (&json!("said"), &json!(12_345)));
        assert_eq!(json["device"], "car-0007");
    }

    #[test]
    fn events_come_out_in_order_once_they_are_old_enough() {
        let mut merge = Merge::default();
        for (ms, text) in [(300, "c"), (100, "a"), (900, "d"), (100, "b")] {
            merge.add(event(ms, "", Mark::Seen, text));
        }
        let texts = |events: Vec<Event>| events.into_iter().map(|e| e.text).collect::<Vec<_>>();
        assert_eq!(texts(merge.take(At::from_millis(1_000_300))), ["a", "b"]);
        assert_eq!(texts(merge.take(At::from_millis(1_000_300))), [""; 0]);
        assert_eq!(texts(merge.take(At::MAX)), ["c", "d"]);
    }

    #[test]
    fn sightings_read_well() {
        for (sighting, text) in [
            (
                Sighting::Job { job: "J-1".into(), state: "en_route".into(), eta_min: Some(23) },
                "tow company: J-1 en route, 24 min",
            ),
            (Sighting::Pressed { to: "+4930".into(), digit: '1' }, "phone +4930: presses 1"),
        ] {
            assert_eq!(sentence(&sighting), text);
        }
    }
}
