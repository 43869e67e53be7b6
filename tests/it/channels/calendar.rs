//! Invitations as calendars of others read them: mail after mail of two appointments, through the desk, the mail adapter and
//! a mail server, then opened by a mail parser and a calendar parser that are not ours. `tests/oracles/calendar` holds the
//! same mails; `tests/oracles/open_calendar.py` has opened them with two more calendar libraries.

use std::path::Path;

use forewarn::desk::{Config, Input};
use forewarn::domain::{
    BookingNews, BookingProgress, Link, MailWork, PageKind, Receipt, ReceiptKind, Slot, Span, Work,
};
use icalendar::{Calendar, CalendarComponent, CalendarDateTime, Component, DatePerhapsTime, EventLike};
use mail_parser::{MessageParser, MimeHeaders};

use super::smtpd::{Fault, Protection, Smtpd};
use super::support::{World as Adapter, send};
use crate::desk_world::{Odds, World, config, config_with, detection, link_key, start};

/// Commas, semicolons, a backslash, letters of two bytes, and more than fits in a line.
const PLACE: &str = "Straße des 17. Juni 135; Hof 2, Tor \\ B, 1030 Wien, gegenüber dem Bahnhof, 2. Einfahrt";

fn placed(c: &mut Config) {
    for name in ["workshop", "garage"] {
        c.providers.get_mut(name).unwrap().workshop.as_mut().unwrap().place = PLACE.into();
    }
    c.contact.reply_domain = Some("reply.example.com".into());
}

fn to(world: &World, mailbox: &str) -> Vec<MailWork> {
    let mails = world.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Mail(m) if m.to == mailbox => Some(m.clone()),
        _ => None,
    });
    mails.collect()
}

fn begun(config: std::sync::Arc<Config>) -> World {
    let mut w = World::new(config, Odds::friendly(), 1);
    let severity = forewarn::domain::Severity::Warning;
    let fault = detection("brake.pad_wear", severity, 1, 1, forewarn::domain::Change::Raised, start());
    w.later(Span::from_millis(1), Input::Detection(Box::new(fault)));
    w.run(start() + Span::from_mins(1));
    let offer = w.orders.iter().find(|(_, o)| matches!(&o.work, Work::Mail(m) if m.to == "jane@example.com"));
    let link = Link { effect: offer.unwrap().1.effect, kind: PageKind::Choose };
    w.tell(Input::Link { link, form: [("choice".to_owned(), "1".to_owned())].into() });
    w.run(start() + Span::from_mins(5));
    w
}

/// Booked, moved by two hours, cancelled: what the customer gets. Asked, moved by itself, and taken back: what a workshop by
/// mail gets.
fn story() -> Vec<(&'static str, MailWork)> {
    let mut w = begun(config(placed));
    let create = w.orders.iter().find_map(|(_, o)| match &o.work {
        Work::Book(forewarn::domain::BookWork::Create { slot, .. }) => Some((o.effect, *slot)),
        _ => None,
    });
    let (effect, slot) = create.unwrap();
    let by = Span::from_hours(2);
    let later = Slot { start_at: slot.start_at + by, end_at: slot.end_at + by };
    for (seq, progress, slot) in [(1, BookingProgress::Confirmed, later), (2, BookingProgress::Cancelled, later)] {
        let news = BookingNews::Stands { booking: format!("B-{effect}"), progress, slot: Some(slot) };
        let what = ReceiptKind::Booking { news };
        w.tell(Input::Receipt(Receipt { effect, provider_ref: None, seq: Some(seq), what }));
        w.run(w.now + Span::from_mins(5));
    }
    let customer: Vec<MailWork> = to(&w, "jane@example.com").into_iter().filter(|m| m.invitation.is_some()).collect();
    let plan = std::fs::read_to_string("config/playbooks/predicted-fault-appointment.toml").unwrap();
    let mut w = begun(config_with(&plan.replace("[\"workshop\", \"garage\"]", "[\"garage\"]"), placed));
    let asked = to(&w, "garage@example.com")[0].text.split("/l/").nth(1).unwrap().to_owned();
    let link = link_key().verify(asked.split_whitespace().next().unwrap()).unwrap();
    w.tell(Input::Link { link, form: [("answer".to_owned(), "yes".to_owned())].into() });
    w.run(w.now + Span::from_mins(5));
    let form = [("answer", "move"), ("day", "2026-11-26"), ("time", "14:30")];
    w.tell(Input::Link { link, form: form.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect() });
    w.run(w.now + Span::from_mins(5));
    let mut cleared = detection(
        "brake.pad_wear",
        forewarn::domain::Severity::Warning,
        1,
        2,
        forewarn::domain::Change::Cleared,
        w.now,
    );
    cleared.level = None;
    w.tell(Input::Detection(Box::new(cleared)));
    w.run(w.now + Span::from_hours(25));
    let workshop = to(&w, "garage@example.com");
    let names = ["request", "update", "cancel", "workshop-request", "workshop-update", "workshop-cancel"];
    let all: Vec<MailWork> = customer.into_iter().chain(workshop).collect();
    assert_eq!(all.len(), names.len(), "{}", w.timeline());
    names.into_iter().zip(all).collect()
}

/// The mails as a server gets them.
async fn raw() -> Vec<(&'static str, MailWork, String)> {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let settings = format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"Example Roadside <service@example.com>\"\nusername = \"u\"\npassword = \"p\"\n",
        server.address.port()
    );
    let channel = Adapter::new().build(&settings);
    let mut all = Vec::new();
    for (name, work) in story() {
        channel.attempt(send(Work::Mail(work.clone()))).await;
        all.push((name, work, server.got().last().unwrap().text.clone()));
    }
    all
}

struct Expected {
    method: &'static str,
    sequence: u32,
    status: &'static str,
    /// Of whoever gets it.
    partstat: &'static str,
    rsvp: &'static str,
    alarms: usize,
}

#[tokio::test]
async fn calendars_of_others_open_our_invitations() {
    let customer = |method, sequence, status, alarms| Expected {
        method,
        sequence,
        status,
        partstat: "ACCEPTED",
        rsvp: "FALSE",
        alarms,
    };
    let workshop = |method, sequence, status| Expected {
        partstat: "NEEDS-ACTION",
        rsvp: "TRUE",
        ..customer(method, sequence, status, 0)
    };
    let expected = [
        customer("REQUEST", 0, "CONFIRMED", 1),
        customer("REQUEST", 1, "CONFIRMED", 1),
        customer("CANCEL", 2, "CANCELLED", 0),
        workshop("REQUEST", 0, "CONFIRMED"),
        customer("REQUEST", 1, "CONFIRMED", 0),
        workshop("CANCEL", 2, "CANCELLED"),
    ];
    let mut events = Vec::new();
    for ((name, work, raw), expected) in raw().await.into_iter().zip(expected) {
        let message = MessageParser::default().parse(raw.as_bytes()).unwrap();
        // The same object twice: in the text, for programs that show it, and as a file for those that do not.
        let parts: Vec<_> = message
            .parts
            .iter()
            .filter(|p| p.content_type().is_some_and(|t| matches!(t.subtype(), Some("calendar" | "ics"))))
            .collect();
        assert_eq!(parts.len(), 2, "{name}: {raw}");
        let kind = parts[0].content_type().unwrap();
        assert_eq!((kind.ctype(), kind.subtype()), ("text", Some("calendar")), "{name}");
        assert_eq!(
            (kind.attribute("method"), kind.attribute("charset")),
            (Some(expected.method), Some("utf-8")),
            "{name}"
        );
        assert_eq!(parts[1].attachment_name(), Some("appointment.ics"), "{name}");
        let text = parts[0].text_contents().unwrap();
        assert_eq!(text, String::from_utf8_lossy(parts[1].contents()), "{name}");

        assert!(text.lines().all(|line| line.len() <= 75), "{name}: {text}");
        let calendar: Calendar = text.parse().unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        assert_eq!(calendar.property_value("METHOD"), Some(expected.method), "{name}");
        let [CalendarComponent::Event(event)] = &calendar.components[..] else { panic!("{name}: {calendar:?}") };
        let invitation = work.invitation.unwrap();
        let at = |at: forewarn::domain::At| at.as_secs();
        let utc = |time: Option<DatePerhapsTime>| match time {
            Some(DatePerhapsTime::DateTime(CalendarDateTime::Utc(time))) => time.timestamp(),
            other => panic!("{name}: {other:?} is no instant"),
        };
        assert_eq!((utc(event.get_start()), utc(event.get_end())), (at(invitation.start_at), at(invitation.end_at)));
        assert_eq!(event.get_uid(), Some(&*invitation.uid), "{name}");
        assert_eq!(event.get_sequence(), Some(expected.sequence), "{name}");
        assert_eq!(event.property_value("STATUS"), Some(expected.status), "{name}");
        assert_eq!(event.get_summary(), Some(&*invitation.summary), "{name}");
        assert!(event.get_location().unwrap().ends_with(PLACE), "{name}: {:?}", event.get_location());
        let properties = event.multi_properties().get("ATTENDEE").map(|all| &all[0]);
        let attendee = properties.unwrap_or_else(|| event.properties().get("ATTENDEE").unwrap());
        let param = |key: &str| attendee.params().get(key).map(icalendar::Parameter::value);
        assert_eq!(attendee.value(), format!("mailto:{}", work.to), "{name}");
        assert_eq!((param("PARTSTAT"), param("RSVP")), (Some(expected.partstat), Some(expected.rsvp)), "{name}");
        // Calendars answer to the case.
        let organizer = event.property_value("ORGANIZER").unwrap();
        assert!(organizer.ends_with("@reply.example.com"), "{name}: {organizer}");
        assert_eq!(text.matches("BEGIN:VALARM").count(), expected.alarms, "{name}");
        events.push((invitation.uid, organizer.to_owned()));
    }
    events.dedup();
    assert_eq!(events.len(), 2, "one event each, and its organizer stays: {events:?}");
}

#[tokio::test]
async fn the_mails_that_other_libraries_have_opened_are_these() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/calendar");
    for (name, _, raw) in raw().await {
        let path = dir.join(format!("{name}.eml"));
        if std::env::var_os("FOREWARN_ORACLES").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &raw).unwrap();
        }
        let opened = std::fs::read_to_string(&path).unwrap();
        // Links that are signed anew change nothing for a calendar.
        let calendar = |mail: &str| mail[mail.find("text/calendar").expect("a calendar")..].to_owned();
        assert_eq!(
            calendar(&raw),
            calendar(&opened),
            "{name}: run tests/oracles/open_calendar.py over the new ones (FOREWARN_ORACLES=1 writes them)"
        );
    }
}
