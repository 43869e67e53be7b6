//! A calendar that answers with another time (`METHOD:COUNTER` of RFC 5546): the workshop's own word counts for what it has
//! booked, everything else is a person's business, and until that is settled what is booked stands.

use forewarn::desk::{Input, Reply};
use forewarn::domain::{At, CalendarAnswer, CalendarReply, Channel, InviteMethod, Said, Sender, Span};

use super::appointments::{after, answer, answered_by_mail, asked_by_mail, confirmed, creates, goal, mails, view};
use super::desk_world::{World, config, link_key};

const GARAGE: &str = "garage@example.com";

/// A mail of a calendar to the address of the case.
fn counter(w: &mut World, from: &str, uid: &str, sequence: u32, start_at: Option<At>, text: &str) -> Option<Reply> {
    let reply_to = mails(w, from).last().unwrap().1.reply_to.clone().unwrap();
    let said = Said {
        channel: Channel::Email,
        external_id: format!("m-{uid}-{sequence}-{start_at:?}"),
        from: Sender::Email(from.into()),
        case: forewarn::wire::reply::case_of(&link_key(), &reply_to),
        text: text.into(),
        calendar: Some(CalendarReply { uid: uid.into(), answer: CalendarAnswer::Counter { start_at, sequence } }),
        answered: true,
    };
    // Told twice by whoever takes the mails in.
    w.tell(Input::Said(said.clone()));
    let reply = w.tell(Input::Said(said));
    w.run(w.now + Span::from_mins(5));
    reply
}

fn invitations(w: &World, of: &str) -> Vec<(InviteMethod, u32, At)> {
    let of = mails(w, of).into_iter().filter_map(|(_, m)| m.invitation);
    of.map(|i| (i.method, i.sequence, i.start_at)).collect()
}

fn at(text: &str) -> Option<At> {
    Some(text.parse().unwrap())
}

/// The workshop has said yes; its event has this id.
fn agreed() -> (World, String) {
    let w = answered_by_mail("yes");
    let uid = mails(&w, GARAGE)[0].1.invitation.clone().unwrap().uid;
    (w, uid)
}

#[test]
fn a_workshop_moves_what_it_has_booked_by_its_calendar_as_by_its_page() {
    let (mut w, uid) = agreed();
    let wanted = at("2026-11-25T13:30:00Z");
    counter(&mut w, GARAGE, &uid, 0, wanted, "");
    assert!(w.timeline().contains("garage has moved the appointment"), "{}", w.timeline());
    for of in [GARAGE, "jane@example.com"] {
        let all = invitations(&w, of);
        assert_eq!(all.len(), 2, "{of}: {}", w.timeline());
        assert_eq!(all[1], (InviteMethod::Request, 1, wanted.unwrap()), "{of}");
    }
    assert!(!w.timeline().contains(" is paged: "), "{}", w.timeline());
    assert_eq!(view(&w).conversation.iter().filter(|m| m.who == "garage").count(), 1);
}

#[test]
fn what_a_workshop_cannot_move_by_itself_is_for_a_person_and_the_appointment_stands() {
    let wanted = at("2026-11-25T13:30:00Z");
    for (what, sequence, start_at) in [
        ("the past", 0, at("2020-01-01T08:00:00Z")),
        ("in ten years", 0, at("2036-01-01T08:00:00Z")),
        ("no zone", 0, None),
    ] {
        let (mut w, uid) = agreed();
        counter(&mut w, GARAGE, &uid, sequence, start_at, "");
        assert!(w.timeline().contains("garage asks for another time"), "{what}: {}", w.timeline());
        assert!(w.timeline().contains("service-desk is paged"), "{what}: {}", w.timeline());
        assert_eq!((invitations(&w, GARAGE).len(), goal(&w, "appointment_confirmed").as_str()), (1, "met"), "{what}");
    }
    // It has moved meanwhile: whoever sent this has not seen that.
    let (mut w, uid) = agreed();
    counter(&mut w, GARAGE, &uid, 0, wanted, "");
    counter(&mut w, GARAGE, &uid, 0, at("2026-11-26T13:30:00Z"), "");
    assert_eq!(invitations(&w, GARAGE).last().unwrap().2, wanted.unwrap(), "{}", w.timeline());
    assert!(w.timeline().contains("asks for another time (2026-11-26 14:30 CET)"), "{}", w.timeline());
    // Some other event of theirs.
    let (mut w, _) = agreed();
    let lines = w.timeline().len();
    counter(&mut w, GARAGE, "somebody-elses", 0, wanted, "");
    assert_eq!(invitations(&w, GARAGE).len(), 1);
    assert!(!w.timeline()[lines..].contains("another time"), "{}", w.timeline());
}

/// The customer has chosen one of the times that were offered, and this is none of them.
#[test]
fn another_time_instead_of_a_yes_is_decided_by_a_person_and_the_request_stays_open() {
    let mut w = asked_by_mail("");
    let uid = mails(&w, GARAGE)[0].1.invitation.clone().unwrap().uid;
    counter(&mut w, GARAGE, &uid, 0, at("2026-11-25T13:30:00Z"), "Dienstag ginge besser");
    assert_eq!((goal(&w, "appointment_confirmed").as_str(), invitations(&w, "jane@example.com").len()), ("open", 0));
    assert!(w.timeline().contains("garage asks for another time (2026-11-25 14:30 CET)"), "{}", w.timeline());
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    answer(&mut w, "yes");
    w.run(after(900));
    assert_eq!((goal(&w, "appointment_confirmed").as_str(), invitations(&w, "jane@example.com").len()), ("met", 1));
}

#[test]
fn a_customer_who_wants_another_time_than_the_booked_one_is_heard_by_a_person() {
    let (mut w, _, slot) = confirmed(config(|c| c.contact.reply_domain = Some("reply.example.com".into())));
    let uid = mails(&w, "jane@example.com").last().unwrap().1.invitation.clone().unwrap().uid;
    counter(&mut w, "jane@example.com", &uid, 0, at("2026-11-25T13:30:00Z"), "");
    let line = "the driver and owner asks for another time in the calendar (2026-11-25 14:30 CET)";
    assert_eq!(w.timeline().matches(line).count(), 1, "{}", w.timeline());
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    assert_eq!(creates(&w).len(), 1, "what is booked stands\n{}", w.timeline());
    assert_eq!(invitations(&w, "jane@example.com")[0].2, slot.start_at);
    assert!(view(&w).conversation.iter().any(|m| m.meaning.as_deref() == Some("another time, in the calendar")));
}
