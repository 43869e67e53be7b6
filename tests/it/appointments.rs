//! Appointments at the desk: words and keys that choose, what workshops say, workshops that are asked by mail, two customers
//! for one time, and a desk that dies at every input.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use forewarn::desk::{Caller, CaseView, Config, Hours, Input, Reply};
use forewarn::domain::{
    At, BookWork, BookingNews, BookingProgress, CalendarAnswer, CalendarReply, Change, Channel, EffectId, InviteMethod,
    Link, MailWork, Order, OrderKind, Outcome, PageKind, Receipt, ReceiptKind, Said, Sender, Severity, Slot, Span,
    Work,
};

use super::desk_world::{Answer, Odds, World, config, config_with, detection, link_key, start};

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn shipped() -> String {
    std::fs::read_to_string("config/playbooks/predicted-fault-appointment.toml").unwrap()
}

fn hours(hours: &str, slot: i64) -> Hours {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(str::to_owned);
    Hours::parse(hours, &days, Span::from_hours(slot), "Europe/Vienna").unwrap()
}

/// The shipped plan at a workshop that reads mails, and then at the one with a booking server.
pub(crate) fn by_mail(then: &str) -> Arc<Config> {
    mailed(&shipped(), then)
}

fn mailed(plan: &str, then: &str) -> Arc<Config> {
    let plan = plan.replace("[\"workshop\", \"garage\"]", &format!("[\"garage\"{then}]"));
    config_with(&plan, |c| c.contact.reply_domain = Some("reply.example.com".into()))
}

fn worn(n: u8) -> Input {
    Input::Detection(Box::new(detection("brake.pad_wear", Severity::Warning, n, 1, Change::Raised, start())))
}

pub(crate) fn world(config: Arc<Config>) -> World {
    let mut world = World::new(config, Odds::friendly(), 1);
    world.later(Span::from_millis(1), worn(1));
    world
}

/// The owner has chosen a time, and the workshop, which reads mails, has been asked for it; [`by_mail`] says who is `then`.
pub(crate) fn asked_by_mail(then: &str) -> World {
    let mut world = world(by_mail(then));
    world.run(after(60));
    choose(&mut world, "1");
    world.run(after(120));
    world
}

/// Its `word` too has come, by the link.
pub(crate) fn answered_by_mail(word: &str) -> World {
    let mut world = asked_by_mail("");
    answer(&mut world, word);
    world.run(after(300));
    world
}

pub(crate) fn after(secs: i64) -> At {
    start() + Span::from_secs(secs)
}

pub(crate) fn view(world: &World) -> CaseView {
    world.desk.show(&world.desk.list(true, 1)[0].id).unwrap()
}

pub(crate) fn goal(world: &World, name: &str) -> String {
    view(world).goals.iter().find(|g| g.name == name).unwrap().state.clone()
}

pub(crate) fn mails(world: &World, to: &str) -> Vec<(EffectId, MailWork)> {
    let mail = |o: &Order| match &o.work {
        Work::Mail(m) if m.to == to => Some((o.effect, m.clone())),
        _ => None,
    };
    world.orders.iter().filter_map(|(_, o)| mail(o)).collect()
}

pub(crate) fn texts(world: &World) -> Vec<String> {
    let text = |o: &Order| match &o.work {
        Work::Sms(w) => Some(w.body.clone()),
        _ => None,
    };
    world.orders.iter().filter_map(|(_, o)| text(o)).collect()
}

pub(crate) fn creates(world: &World) -> Vec<(EffectId, Slot)> {
    let create = |o: &Order| match &o.work {
        Work::Book(BookWork::Create { slot, .. }) => Some((o.effect, *slot)),
        _ => None,
    };
    world.orders.iter().filter_map(|(_, o)| create(o)).collect()
}

fn said(channel: Channel, from: Sender, text: &str, id: &str) -> Said {
    Said { channel, external_id: id.into(), from, case: None, text: text.into(), calendar: None, answered: false }
}

fn sms(world: &mut World, text: &str, id: &str) -> String {
    let input = Input::Said(said(Channel::Sms, Sender::Phone("+43111".into()), text, id));
    match world.tell(input).unwrap() {
        Reply::Text(text) => text,
        other => format!("{other:?}"),
    }
}

fn press(world: &mut World, link: Link, fields: &[(&str, &str)]) -> Reply {
    let form = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    world.tell(Input::Link { link, form }).unwrap()
}

pub(crate) fn choose(world: &mut World, n: &str) {
    let effect = mails(world, "jane@example.com").last().unwrap().0;
    press(world, Link { effect, kind: PageKind::Choose }, &[("choice", n)]);
}

/// The link in the last mail to the garage.
pub(crate) fn request(world: &World) -> Link {
    let (_, mail) = mails(world, "garage@example.com").pop().unwrap_or_else(|| panic!("{}", world.timeline()));
    let token = mail.text.split("https://fw.example/l/").nth(1).unwrap_or_else(|| panic!("{}", mail.text));
    link_key().verify(token.split_whitespace().next().unwrap()).unwrap()
}

pub(crate) fn answer(world: &mut World, word: &str) -> Reply {
    let link = request(world);
    press(world, link, &[("answer", word)])
}

fn page(world: &World) -> String {
    let page = world.desk.page(world.now, &request(world)).unwrap();
    assert_eq!(page.locale, "de");
    page.html
}

/// One English text, read on both sides of an ocean.
#[test]
fn days_and_hours_are_written_as_in_the_country_of_the_reader() {
    for (locale, day, hour) in [("en-US", "day, November 2", " AM"), ("en-GB", "day, 2", "08:00")] {
        let config = config_with(&shipped(), |c| {
            let registry = Arc::make_mut(&mut c.registry);
            registry.customers.get_mut("c-1").unwrap().locale = locale.into();
        });
        let mut w = world(config);
        w.run(after(60));
        let (_, offer) = mails(&w, "jane@example.com").pop().unwrap();
        for (text, what) in [(&offer.text, day), (&offer.html, day), (&offer.text, hour), (&offer.html, hour)] {
            assert!(text.contains(what), "{locale}: no {what:?} in {text}");
        }
        assert!(offer.html.contains(&format!("<html lang=\"{locale}\"")), "{}", offer.html);
    }
}

// --- a workshop that is asked by mail

#[test]
fn a_workshop_is_asked_by_mail_and_its_yes_books() {
    let mut w = world(by_mail(""));
    w.run(after(60));
    assert_eq!(creates(&w), [], "no booking server is asked");
    assert!(mails(&w, "garage@example.com").is_empty(), "nor the garage, before a time is chosen");
    choose(&mut w, "2");
    w.run(after(120));
    let (_, mail) = mails(&w, "garage@example.com").pop().unwrap();
    let invitation = mail.invitation.clone().unwrap();
    assert_eq!((invitation.method, invitation.sequence, invitation.rsvp), (InviteMethod::Request, 0, true));
    for part in ["W-123 AB", "Jane <Doe>", "+43111", "pad_wear"] {
        assert!(mail.text.contains(part), "{part} in {}", mail.text);
    }
    assert!(mail.reply_to.unwrap().ends_with("@reply.example.com"));
    assert_eq!(goal(&w, "appointment_confirmed"), "open", "nothing is promised yet");
    assert_eq!(mails(&w, "jane@example.com").len(), 1, "no invitation yet");
    // Looking is not answering, however often a mail filter does it.
    let shown = page(&w);
    assert!(shown.contains("value=\"yes\"") && !shown.contains("Jane") && !shown.contains("+43111"), "{shown}");
    assert_eq!(answer(&mut w, "yes"), Reply::Done);
    assert_eq!(goal(&w, "appointment_confirmed"), "met");
    let known = w.desk.lookup(&Caller::Device("car-1".into())).devices.remove(0).open.remove(0).appointment.unwrap();
    assert_eq!((known.state.as_str(), known.start_at), ("confirmed", Some(invitation.start_at)), "for who is called");
    let records = w.log.len();
    answer(&mut w, "yes");
    assert_eq!(w.log.len(), records, "said twice it is nothing new");
    w.run(after(300));
    let invited = mails(&w, "jane@example.com").pop().unwrap().1.invitation.unwrap();
    assert_eq!((invited.start_at, invited.rsvp), (invitation.start_at, false));
    assert!(page(&w).contains("value=\"move\""));
}

#[test]
fn a_no_or_silence_goes_to_the_next_workshop_and_then_to_a_person() {
    for (word, wait, mails_to_garage) in [("no", 60, 1), ("", 9 * HOUR, 2)] {
        let mut w = asked_by_mail(", \"workshop\"");
        if !word.is_empty() {
            answer(&mut w, word);
        }
        w.run(after(120 + wait));
        let asked = mails(&w, "garage@example.com");
        assert_eq!(asked.len(), mails_to_garage, "{word}: {}", w.timeline());
        if let [request, cancel] = &asked[..] {
            // What may stand in its calendar is taken out of it.
            let (r, c) = (request.1.invitation.clone().unwrap(), cancel.1.invitation.clone().unwrap());
            assert_eq!((r.uid, r.sequence + 1), (c.uid, c.sequence));
            assert_eq!(c.method, InviteMethod::Cancel);
            // Too late: a second workshop may have been asked by now.
            let link =
                link_key().verify(asked[0].1.text.split("/l/").nth(1).unwrap().split_whitespace().next().unwrap());
            let records = w.log.len();
            press(&mut w, link.unwrap(), &[("answer", "yes")]);
            assert_eq!(w.log.len(), records, "{}", w.timeline());
        }
        // The customer is offered times of the next one, and gets one.
        let offer = mails(&w, "jane@example.com").pop().unwrap().1;
        assert!(offer.text.contains("Werkstatt"), "{word}: {}", offer.text);
        choose(&mut w, "1");
        w.run(w.now + Span::from_mins(5));
        assert_eq!(creates(&w).len(), 1);
        assert_eq!(goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
    }
    let w = answered_by_mail("no");
    assert!(w.timeline().contains("service-desk is paged"), "there is no other workshop\n{}", w.timeline());
}

#[test]
fn the_customers_no_and_a_cleared_fault_are_told_to_the_workshop() {
    let mut w = answered_by_mail("yes");
    let mut cleared = detection("brake.pad_wear", Severity::Warning, 1, 2, Change::Cleared, w.now);
    cleared.level = None;
    w.tell(Input::Detection(Box::new(cleared)));
    w.run(after(25 * HOUR));
    let (garage, jane) = (mails(&w, "garage@example.com"), mails(&w, "jane@example.com"));
    assert_eq!(garage.len(), 2, "{}", w.timeline());
    let cancel = |m: &MailWork| (m.invitation.as_ref().unwrap().method, m.invitation.as_ref().unwrap().sequence);
    assert_eq!(cancel(&garage[1].1), (InviteMethod::Cancel, 1));
    assert_eq!(cancel(&jane.last().unwrap().1), (InviteMethod::Cancel, 1));
    assert!(jane.last().unwrap().1.subject.contains("abgesagt"), "{}", jane.last().unwrap().1.subject);
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("false_alarm"), "{}", w.timeline());
    let link = Link { effect: garage[0].0, kind: PageKind::Request };
    assert!(w.desk.page(w.now, &link).unwrap().html.contains("nicht mehr gebraucht"));
}

#[test]
fn a_workshop_answers_by_mail_or_by_the_buttons_of_its_calendar() {
    let reply = |w: &World, from: &str, text: &str, calendar: Option<bool>, id: &str| {
        let (effect, mail) = mails(w, "garage@example.com").pop().unwrap();
        let case = forewarn::wire::reply::case_of(&link_key(), &mail.reply_to.unwrap());
        let calendar = calendar.map(|yes| CalendarReply {
            uid: effect.to_string(),
            answer: if yes { CalendarAnswer::Yes } else { CalendarAnswer::No },
        });
        let said = said(Channel::Email, Sender::Email(from.into()), text, id);
        Input::Said(Said { case, calendar, ..said })
    };
    for (text, calendar, state) in [
        ("Ja", None, "met"),
        ("OK!", None, "met"),
        ("", Some(true), "met"),
        ("nein", None, "open"),
        ("", Some(false), "open"),
        ("Geht auch Dienstag?", None, "open"),
    ] {
        let mut w = asked_by_mail("");
        let stranger = reply(&w, "somebody@example.com", text, calendar, "m-0");
        w.tell(stranger);
        assert_eq!(goal(&w, "appointment_confirmed"), "open", "whoever that is");
        let input = reply(&w, "Garage@example.com", text, calendar, "m-1");
        w.tell(input.clone());
        w.tell(input);
        assert_eq!(goal(&w, "appointment_confirmed"), state, "{text} {calendar:?}\n{}", w.timeline());
        w.run(after(200));
        let declined = w.timeline().contains("garage declines");
        assert_eq!(declined, text == "nein" || calendar == Some(false), "{}", w.timeline());
        let asked = w.timeline().contains("garage has written and waits");
        assert_eq!(asked, text.starts_with("Geht"), "{}", w.timeline());
        let read = view(&w).conversation.iter().filter(|m| m.who == "garage").count();
        assert_eq!(read, 1, "it is kept once, and nothing of the stranger's");
    }
}

#[test]
fn a_mail_of_unknown_outcome_is_not_sent_again_and_a_yes_settles_it() {
    let mut w = world(by_mail(""));
    w.run(after(60));
    w.script = Some(Box::new(|o| match &o.work {
        Work::Mail(m) if m.to == "garage@example.com" => Some(vec![(1, Answer::unknown())]),
        _ => None,
    }));
    choose(&mut w, "1");
    w.run(after(600));
    let sent = w.orders.iter().filter(|(_, o)| o.kind == OrderKind::Send);
    let sent = sent.filter(|(_, o)| matches!(&o.work, Work::Mail(m) if m.to == "garage@example.com")).count();
    assert_eq!(sent, 1, "{}", w.timeline());
    assert!(w.timeline().contains("service-desk is paged"), "a person knows: {}", w.timeline());
    answer(&mut w, "yes");
    assert_eq!(goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
}

#[test]
fn a_workshop_says_on_its_page_how_the_appointment_goes() {
    let mut w = asked_by_mail("");
    for early in ["there", "done", "absent", "move"] {
        let records = w.log.len();
        answer(&mut w, early);
        assert_eq!(w.log.len(), records, "{early} before it has said yes");
    }
    answer(&mut w, "yes");
    w.run(after(300));
    let first = mails(&w, "jane@example.com").pop().unwrap().1.invitation.unwrap();
    // It moves: the customer is told by a change of the same invitation.
    let link = request(&w);
    for bad in [&[("answer", "move")][..], &[("answer", "move"), ("day", "2020-01-01"), ("time", "10:00")]] {
        assert!(matches!(press(&mut w, link, bad), Reply::Refused(_)), "{bad:?}");
    }
    press(&mut w, link, &[("answer", "move"), ("day", "2026-11-25"), ("time", "14:30")]);
    w.run(after(600));
    let (_, mail) = mails(&w, "jane@example.com").pop().unwrap();
    let moved = mail.invitation.clone().unwrap();
    assert_eq!((moved.uid, moved.sequence, moved.method), (first.uid, 1, InviteMethod::Request));
    assert_eq!(moved.start_at, "2026-11-25T13:30:00Z".parse().unwrap());
    assert!(mail.text.contains("verschieben"), "{}", mail.text);
    answer(&mut w, "absent");
    assert!(!w.timeline().contains("did not come"), "nobody is missing before the time has come");
    w.run("2026-11-25T13:40:00Z".parse().unwrap());
    assert!(texts(&w).last().unwrap().starts_with("Erinnerung"), "{:?}", texts(&w));
    answer(&mut w, "there");
    let shown = page(&w);
    assert!(shown.contains("Der Kunde ist da") && !shown.contains("value=\"absent\""), "{shown}");
    answer(&mut w, "done");
    answer(&mut w, "no");
    assert!(page(&w).contains("Die Arbeit ist erledigt"), "{}", w.timeline());
    assert!(w.timeline().contains("the appointment has taken place"));
}

// --- answers in words

/// A case whose owner was sent a text message.
fn texted() -> World {
    let mut w = world(config(|_| {}));
    w.run(after(60));
    w.run(after(2 * DAY + 6 * HOUR));
    assert_eq!(texts(&w).len(), 1, "{}", w.timeline());
    assert!(texts(&w)[0].contains("1) ") && texts(&w)[0].contains("3) "), "{}", texts(&w)[0]);
    w
}

#[test]
fn a_number_a_call_or_no_is_understood_in_answer_to_a_text_message() {
    for (words, reply, outcome) in [
        ("2", "gewählt", ""),
        (" 3. ", "gewählt", ""),
        ("nein danke", "keinen Termin", "declined"),
        ("none", "keinen Termin", "declined"),
        ("0", "ruft Sie an", "paged"),
        ("bitte anrufen", "ruft Sie an", "paged"),
        ("6", "nicht frei", "paged"),
    ] {
        let mut w = texted();
        let answer = sms(&mut w, words, "SM1");
        assert!(answer.contains(reply), "{words}: {answer}\n{}", w.timeline());
        assert_eq!(sms(&mut w, words, "SM1"), "Done", "told twice by the network");
        w.run(w.now + Span::from_mins(10));
        let booked = goal(&w, "appointment_confirmed") == "met";
        assert_eq!(booked, outcome.is_empty(), "{words}: {}", w.timeline());
        assert_eq!(view(&w).summary.outcome.as_deref() == Some("declined"), outcome == "declined", "{words}");
        assert_eq!(w.timeline().contains("service-desk is paged"), outcome == "paged", "{words}: {}", w.timeline());
    }
}

#[test]
fn after_a_choice_another_answer_is_heard_and_the_same_one_is_nothing_new() {
    let mut w = texted();
    sms(&mut w, "1", "SM1");
    // The workshop is asked at once.
    w.run(w.now + Span::from_mins(10));
    assert_eq!(goal(&w, "appointment_confirmed"), "met");
    let first = creates(&w);
    let again = sms(&mut w, "1", "SM2");
    assert!(again.contains("Ihr Termin steht"), "{again}: {:?}\n{}", view(&w).conversation, w.timeline());
    assert!(!w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    let other = sms(&mut w, "2", "SM3");
    assert!(other.contains("Ihr Termin steht"), "{other}");
    w.run(w.now + Span::from_mins(10));
    assert_eq!(creates(&w), first, "nothing is booked a second time");
    assert!(w.timeline().contains("service-desk is paged"), "a person hears of the wish: {}", w.timeline());
}

/// Two of a household, each with a phone, or one who thinks better of it.
#[test]
fn of_two_taps_within_a_second_the_first_books_and_a_person_hears_of_the_other() {
    for other in ["2", "none"] {
        let mut w = world(config(|_| {}));
        w.run(after(60));
        choose(&mut w, "1");
        choose(&mut w, other);
        let link = Link { effect: mails(&w, "jane@example.com").pop().unwrap().0, kind: PageKind::Choose };
        let shown = w.desk.page(w.now, &link).unwrap().html;
        assert!(shown.contains("gewählt"), "{shown}");
        w.run(after(600));
        assert_eq!((creates(&w).len(), goal(&w, "appointment_confirmed").as_str()), (1, "met"), "{}", w.timeline());
        let heard = format!("has answered: {}", if other == "2" { "time 2" } else { other });
        assert!(w.timeline().contains(&heard), "{other}: {}", w.timeline());
        let records = w.log.len();
        press(&mut w, link, &[("choice", "1")]);
        assert_eq!(w.log.len(), records, "what is booked, said again, is nothing new");
    }
}

#[test]
fn a_number_in_answer_to_old_times_chooses_none_of_the_new_ones() {
    let mut w = texted();
    // The times of that message run out, and others are kept.
    w.run(after(4 * DAY + 12 * HOUR));
    let answer = sms(&mut w, "1", "SM1");
    assert!(answer.contains("nicht frei") && answer.contains("1) "), "{answer}\n{}", w.timeline());
    w.run(w.now + Span::from_mins(10));
    assert_eq!(creates(&w), [], "{}", w.timeline());
    // A page that was opened before shows the same.
    let effect = mails(&w, "jane@example.com").pop().unwrap().0;
    let link = Link { effect, kind: PageKind::Choose };
    press(&mut w, link, &[("choice", "1"), ("round", "1")]);
    w.run(w.now + Span::from_mins(10));
    assert_eq!(creates(&w), []);
    let html = w.desk.page(w.now, &link).unwrap().html;
    let round = html.split("name=\"round\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    press(&mut w, link, &[("choice", "1"), ("round", &round)]);
    w.run(w.now + Span::from_mins(10));
    assert_eq!(creates(&w).len(), 1, "{}", w.timeline());
}

#[test]
fn a_call_is_made_in_the_hours_of_its_rung_where_the_recipient_is() {
    let mut w = world(config(|_| {}));
    w.run(after(7 * DAY));
    let calls = w.orders.iter().filter(|(_, o)| matches!(&o.work, Work::Call(c) if c.to == "+43111"));
    let at: Vec<At> = calls.map(|(at, _)| *at).collect();
    assert!(!at.is_empty(), "{}", w.timeline());
    for at in at {
        let hour = at.to_jiff().to_zoned(jiff::tz::TimeZone::get("Europe/Vienna").unwrap()).hour();
        assert!((10..18).contains(&hour), "{at}: {}", w.timeline());
    }
    let late = shipped().replace("hours = \"10:00-18:00\"", "hours = \"02:00-03:00\"");
    let mut w = world(config_with(&late, |_| {}));
    w.run(after(6 * DAY));
    let waits = view(&w).waits;
    assert!(waits.iter().any(|wait| format!("{wait:?}").contains("02:00-03:00")), "{waits:?}\n{}", w.timeline());
}

// --- what a workshop with a booking server says

/// A confirmed appointment at the booking server; who booked it.
pub(crate) fn confirmed(config: Arc<Config>) -> (World, EffectId, Slot) {
    let mut w = world(config);
    w.run(after(60));
    choose(&mut w, "1");
    w.run(after(300));
    let (effect, slot) = creates(&w)[0];
    assert_eq!(goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
    (w, effect, slot)
}

pub(crate) fn callback(
    w: &mut World,
    effect: EffectId,
    seq: u64,
    progress: BookingProgress,
    slot: Option<Slot>,
) -> bool {
    let news = BookingNews::Stands { booking: format!("B-{effect}"), progress, slot };
    let before = view(w).timeline.len();
    w.tell(Input::Receipt(Receipt { effect, provider_ref: None, seq: Some(seq), what: ReceiptKind::Booking { news } }));
    view(w).timeline.len() > before
}

#[test]
fn news_of_a_workshop_counts_once_and_in_its_order() {
    let (mut w, effect, slot) = confirmed(config(|_| {}));
    let later = |hours: i64| {
        let by = Span::from_hours(hours);
        Some(Slot { start_at: slot.start_at + by, end_at: slot.end_at + by })
    };
    use BookingProgress::{CheckedIn, Confirmed, Done, NoShow};
    assert!(callback(&mut w, effect, 5, Confirmed, later(4)));
    assert!(!callback(&mut w, effect, 5, Confirmed, later(4)), "doubled");
    assert!(!callback(&mut w, effect, 4, Confirmed, later(2)), "out of order");
    w.run(after(600));
    let changes: Vec<(u32, At)> = mails(&w, "jane@example.com")
        .iter()
        .filter_map(|(_, m)| m.invitation.as_ref().map(|i| (i.sequence, i.start_at)))
        .collect();
    assert_eq!(changes, [(0, slot.start_at), (1, later(4).unwrap().start_at)], "{}", w.timeline());
    assert!(callback(&mut w, effect, 6, CheckedIn, None));
    assert!(!callback(&mut w, effect, 7, Confirmed, later(6)), "who is there needs no other time");
    assert!(callback(&mut w, effect, 9, Done, None));
    for (seq, late) in [(8, CheckedIn), (10, CheckedIn), (11, NoShow), (12, BookingProgress::Cancelled)] {
        assert!(!callback(&mut w, effect, seq, late, None), "{late:?} after the end");
    }
    assert!(w.timeline().contains("the appointment has taken place"));
}

/// The mail server was down when the appointment was confirmed; by the time it is back, the workshop has moved it.
#[test]
fn an_invitation_that_could_not_go_out_is_not_sent_once_the_time_is_another() {
    let mut w = world(config(|_| {}));
    w.run(after(60));
    w.script = Some(Box::new(|o| match &o.work {
        Work::Mail(m) if m.invitation.as_ref().is_some_and(|i| i.sequence == 0) => {
            let refused = Outcome::Retry { after: Some(Span::from_mins(20)), reason: "451".into() };
            Some(vec![(1, Answer::Outcome(refused))])
        }
        _ => None,
    }));
    choose(&mut w, "1");
    w.run(after(300));
    let (effect, slot) = creates(&w)[0];
    let by = Span::from_hours(3);
    let moved = Slot { start_at: slot.start_at + by, end_at: slot.end_at + by };
    assert!(callback(&mut w, effect, 5, BookingProgress::Confirmed, Some(moved)));
    w.run(after(3_000));
    let invited = mails(&w, "jane@example.com").into_iter().filter_map(|(_, m)| m.invitation);
    let invited: Vec<(u32, At)> = invited.map(|i| (i.sequence, i.start_at)).collect();
    assert_eq!(invited, [(0, slot.start_at), (1, moved.start_at)], "{}", w.timeline());
}

#[test]
fn a_workshop_that_cancels_is_taken_out_of_the_calendar_and_other_times_are_offered() {
    let (mut w, effect, _) = confirmed(config(|_| {}));
    let offers = |w: &World| mails(w, "jane@example.com").iter().filter(|(_, m)| m.invitation.is_none()).count();
    assert_eq!(offers(&w), 1);
    assert!(callback(&mut w, effect, 3, BookingProgress::Cancelled, None));
    assert!(!callback(&mut w, effect, 3, BookingProgress::Cancelled, None));
    w.run(after(900));
    let letters: Vec<MailWork> =
        mails(&w, "jane@example.com").into_iter().map(|(_, m)| m).filter(|m| m.invitation.is_some()).collect();
    let (first, last) = (letters[0].invitation.clone().unwrap(), letters[1].invitation.clone().unwrap());
    assert_eq!((last.method, last.uid, last.sequence), (InviteMethod::Cancel, first.uid, 1), "{}", w.timeline());
    assert!(letters[1].text.contains("findet nicht statt"), "{}", letters[1].text);
    assert_eq!((offers(&w), goal(&w, "appointment_confirmed").as_str()), (2, "open"), "{}", w.timeline());
    choose(&mut w, "1");
    w.run(after(1_200));
    assert_eq!(goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
    assert!(!callback(&mut w, effect, 9, BookingProgress::Cancelled, None), "news of the old one");
}

#[test]
fn a_customer_who_does_not_come_is_offered_another_time_or_a_person_is_asked() {
    let again = shipped().replace("no_show = \"human:service-desk\"", "no_show = \"again:slots\"");
    for (plan, offered) in [(shipped(), 1), (again, 2)] {
        let (mut w, effect, slot) = confirmed(config_with(&plan, |_| {}));
        w.run(slot.end_at);
        for _ in 0..2 {
            callback(&mut w, effect, 2, BookingProgress::NoShow, None);
        }
        w.run(slot.end_at + Span::from_hours(20));
        let offers = mails(&w, "jane@example.com").iter().filter(|(_, m)| m.invitation.is_none()).count();
        assert_eq!(offers, offered, "{}", w.timeline());
        assert_eq!(w.timeline().contains("service-desk is paged"), offered == 1, "{}", w.timeline());
    }
}

/// Somebody there has deleted it without a word; the customer would stand before a closed door.
#[test]
fn an_appointment_that_the_workshop_does_not_have_any_more_is_told_to_a_person_once() {
    let (mut w, _, _) = confirmed(config(|_| {}));
    w.script = Some(Box::new(|o| {
        let gone = Outcome::Rejected { reason: "they do not have the booking any more".into() };
        matches!(o.work, Work::Book(BookWork::Status { .. })).then(|| vec![(1, Answer::Outcome(gone))])
    }));
    w.run(after(5 * HOUR));
    let told = w.timeline().matches("is paged: booking of step slots: they do not have the booking any more").count();
    assert_eq!(told, 1, "{}", w.timeline());
}

/// It takes the booking without a word on whether it has the time; what it says later is lost.
#[test]
fn a_workshop_that_takes_its_time_to_confirm_is_asked_and_a_person_calls_one_that_never_does() {
    for (says, state) in [(BookingProgress::Confirmed, "met"), (BookingProgress::Pending, "open")] {
        let mut w = world(config(|_| {}));
        w.run(after(60));
        w.script = Some(Box::new(move |o| {
            let stands = |progress| {
                let news = BookingNews::Stands { booking: "B-1".into(), progress, slot: None };
                vec![(1, Answer::Report(ReceiptKind::Booking { news })), (1, Answer::accepted("B-1"))]
            };
            match &o.work {
                Work::Book(BookWork::Create { .. }) => Some(stands(BookingProgress::Pending)),
                Work::Book(BookWork::Status { .. }) => Some(stands(says)),
                _ => None,
            }
        }));
        choose(&mut w, "1");
        w.run(after(HOUR / 2));
        assert_eq!(goal(&w, "appointment_confirmed"), "open");
        assert!(mails(&w, "jane@example.com").iter().all(|(_, m)| m.invitation.is_none()), "nothing is promised yet");
        w.run(after(25 * HOUR));
        assert_eq!(goal(&w, "appointment_confirmed"), state, "{}", w.timeline());
        let called = w.timeline().contains("is paged: workshop has not confirmed");
        assert_eq!(called, state == "open", "{}", w.timeline());
        assert_eq!(creates(&w).len(), 1, "{}", w.timeline());
    }
}

#[test]
fn an_answer_to_a_question_that_is_older_than_the_news_changes_nothing() {
    let (mut w, effect, slot) = confirmed(config(|_| {}));
    let by = Span::from_hours(3);
    let moved = Slot { start_at: slot.start_at + by, end_at: slot.end_at + by };
    // The question is on its way while the workshop says that it moves.
    w.script = Some(Box::new(|o| matches!(o.work, Work::Book(BookWork::Status { .. })).then(Vec::new)));
    w.run(after(4_000));
    let status =
        w.orders.iter().rfind(|(_, o)| matches!(o.work, Work::Book(BookWork::Status { .. }))).unwrap().1.effect;
    callback(&mut w, effect, 2, BookingProgress::Confirmed, Some(moved));
    let news =
        BookingNews::Stands { booking: format!("B-{effect}"), progress: BookingProgress::Confirmed, slot: Some(slot) };
    let what = ReceiptKind::Booking { news };
    w.tell(Input::Receipt(Receipt { effect: status, provider_ref: None, seq: None, what }));
    w.run(after(4_600));
    let last = mails(&w, "jane@example.com").pop().unwrap().1.invitation.unwrap();
    assert_eq!((last.sequence, last.start_at), (1, moved.start_at), "{}", w.timeline());
}

// --- two customers, one time

/// Two cars of one owner, and a workshop that has one time a day and keeps none.
fn two_cars(days: &str) -> (World, [forewarn::domain::DeviceId; 2]) {
    let plan =
        shipped().replace("now + max(4d, min(fault.horizon.p10 / 2, 21d))", days).replace("offer    = 3", "offer = 1");
    let plan = plan.replace("[\"workshop\", \"garage\"]", "[\"workshop\"]");
    let config = config_with(&plan, |c| {
        let other = forewarn::domain::Device { id: "car-2".into(), ..c.registry.devices["car-1"].clone() };
        let mut registry = (*c.registry).clone();
        registry.devices.insert(other.id.clone(), other);
        c.registry = Arc::new(registry);
        c.leads.insert("ev.cooling_pump_wear".into(), c.leads["brake.pad_wear"]);
        let provider = c.providers.get_mut("workshop").unwrap();
        provider.workshop.as_mut().unwrap().hours = hours("09:00-10:00", 1);
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    let cars = ["car-1".into(), "car-2".into()];
    for (n, car) in (1..).zip(&cars) {
        let mut fault = detection("brake.pad_wear", Severity::Warning, n, 1, Change::Raised, start());
        fault.device = forewarn::domain::DeviceId::clone(car);
        w.later(Span::from_millis(1), Input::Detection(Box::new(fault)));
    }
    (w, cars)
}

fn offered(w: &World) -> BTreeMap<String, Vec<At>> {
    let mut all: BTreeMap<String, Vec<At>> = BTreeMap::new();
    for (_, order) in &w.orders {
        if let Work::Book(BookWork::Hold { slot, .. }) = &order.work {
            let device = w.desk.show(&order.case).unwrap().summary.device;
            all.entry(device).or_default().push(slot.start_at);
        }
    }
    all
}

#[test]
fn of_two_customers_one_gets_the_time_and_the_other_is_offered_another() {
    let (mut w, _) = two_cars("now + 4d");
    w.run(after(60));
    let first = offered(&w);
    assert_eq!(first.len(), 2);
    assert_ne!(first["car-1"], first["car-2"], "one time is not offered twice");
    let (mut w, _) = two_cars("now + 47h");
    w.run(after(60));
    assert_eq!(offered(&w).len(), 1, "there is one time within the window");
    assert!(w.desk.list(true, 2).iter().any(|c| {
        let timeline = w.desk.show(&c.id).unwrap().timeline;
        timeline.iter().any(|line| line.text.contains("no workshop has a time"))
    }));
}

#[test]
fn a_time_that_is_gone_when_it_is_booked_is_replaced_and_never_offered_again() {
    let mut w = world(config(|_| {}));
    let gone = Arc::new(Mutex::new(Vec::new()));
    let noted = gone.clone();
    // Somebody at the counter is faster, once.
    w.script = Some(Box::new(move |o| match &o.work {
        Work::Book(BookWork::Create { slot, .. }) if noted.lock().unwrap().is_empty() => {
            noted.lock().unwrap().push(slot.start_at);
            let rejected = Answer::Outcome(Outcome::Rejected { reason: "SLOT_UNAVAILABLE".into() });
            Some(vec![(1, Answer::Report(ReceiptKind::Booking { news: BookingNews::Gone })), (1, rejected)])
        }
        _ => None,
    }));
    w.run(after(60));
    choose(&mut w, "1");
    w.run(after(300));
    let offer = mails(&w, "jane@example.com").pop().unwrap().1;
    assert!(offer.text.contains("inzwischen vergeben"), "{}", offer.text);
    let taken = gone.lock().unwrap()[0];
    assert_eq!(offered(&w)["car-1"].iter().filter(|at| **at == taken).count(), 1);
    choose(&mut w, "1");
    w.run(after(600));
    assert_eq!((creates(&w).len(), goal(&w, "appointment_confirmed").as_str()), (2, "met"), "{}", w.timeline());
}

#[test]
fn times_of_a_closed_case_are_free_for_others_and_a_standing_appointment_survives_a_reopening() {
    let (mut w, _) = two_cars("now + 47h");
    w.run(after(60));
    let holder = offered(&w).keys().next().unwrap().clone();
    let case = w.desk.list(true, 2).into_iter().find(|c| c.device == holder).unwrap().id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "sold".into() });
    let mut fault = detection("brake.pad_wear", Severity::Warning, 9, 1, Change::Raised, w.now);
    // Another fault of the car that got no time.
    fault.device = if holder == "car-1" { "car-2".into() } else { "car-1".into() };
    fault.fault = "ev.cooling_pump_wear".into();
    w.tell(Input::Detection(Box::new(fault)));
    w.run(after(120));
    assert_eq!(offered(&w).values().map(Vec::len).sum::<usize>(), 2, "{}", w.timeline());

    let (mut w, _, _) = confirmed(config(|_| {}));
    let case = w.desk.list(true, 1)[0].id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "they will come".into() });
    w.run(after(DAY / 2));
    let again = detection("brake.pad_wear", Severity::Warning, 2, 1, Change::Raised, w.now);
    w.tell(Input::Detection(Box::new(again)));
    w.run(after(DAY / 2 + 600));
    assert_eq!(goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
    let offers = mails(&w, "jane@example.com").iter().filter(|(_, m)| m.invitation.is_none()).count();
    assert_eq!((offers, creates(&w).len()), (1, 1), "no second appointment\n{}", w.timeline());
}

// --- the desk dies

/// The book of a workshop that takes each booking once by its token, as the protocol demands, and loses nothing.
#[derive(Default)]
pub(crate) struct Ledger {
    booked: BTreeMap<EffectId, Slot>,
    cancelled: Vec<String>,
}

impl Ledger {
    pub(crate) fn live(&self) -> usize {
        self.booked.keys().filter(|id| !self.cancelled.contains(&format!("B-{id}"))).count()
    }

    pub(crate) fn take(&mut self, order: &Order) -> Option<Vec<(i64, Answer)>> {
        let Work::Book(work) = &order.work else { return None };
        let report = |news| Answer::Report(ReceiptKind::Booking { news });
        let stands =
            |id: &EffectId, progress, slot| report(BookingNews::Stands { booking: format!("B-{id}"), progress, slot });
        Some(match work {
            BookWork::Create { .. } if order.kind == OrderKind::Reconcile => match self.booked.get(&order.effect) {
                Some(slot) => {
                    let news = stands(&order.effect, BookingProgress::Confirmed, Some(*slot));
                    vec![(1, news), (1, Answer::accepted(&format!("B-{}", order.effect)))]
                }
                None => vec![(1, Answer::Outcome(Outcome::NotFound))],
            },
            BookWork::Create { slot, .. } => {
                let slot = *self.booked.entry(order.effect).or_insert(*slot);
                let news = stands(&order.effect, BookingProgress::Confirmed, Some(slot));
                vec![(1, news), (2, Answer::accepted(&format!("B-{}", order.effect)))]
            }
            BookWork::Cancel { booking } => {
                self.cancelled.push(booking.clone());
                let news =
                    BookingNews::Stands { booking: booking.clone(), progress: BookingProgress::Cancelled, slot: None };
                vec![(1, report(news)), (2, Answer::accepted(booking))]
            }
            _ => return None,
        })
    }
}

/// The owner taps the second time; half an hour later (if `clears`) the fault is gone for good.
fn played(garage: bool, clears: bool, crash_at: Option<(u64, bool)>) -> (World, Arc<Mutex<Ledger>>) {
    let plan = shipped().replace("fault.cleared for 24h", "fault.cleared for 10m");
    let mut w = world(if garage { mailed(&plan, "") } else { config_with(&plan, |_| {}) });
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let book = ledger.clone();
    w.script = Some(Box::new(move |o| match (&o.work, o.kind) {
        // A mail server cannot be asked what became of a mail.
        (Work::Mail(_), OrderKind::Reconcile) => Some(vec![(1, Answer::unknown())]),
        _ => book.lock().unwrap().take(o),
    }));
    w.crash_at = crash_at;
    let tell = |w: &mut World, link, word: (&str, &str)| {
        // A person whose page does not come sends the form again.
        let form = BTreeMap::from([(word.0.to_owned(), word.1.to_owned())]);
        for _ in 0..2 {
            w.tell(Input::Link { link, form: form.clone() });
        }
    };
    w.run(after(600));
    let offer = mails(&w, "jane@example.com").into_iter().find(|(_, m)| m.invitation.is_none());
    if let Some((effect, _)) = offer {
        tell(&mut w, Link { effect, kind: PageKind::Choose }, ("choice", "2"));
    }
    w.run(after(1_200));
    if garage && mails(&w, "garage@example.com").len() == 1 {
        let link = request(&w);
        tell(&mut w, link, ("answer", "yes"));
    }
    w.run(after(1_800));
    if clears {
        let mut cleared = detection("brake.pad_wear", Severity::Warning, 1, 2, Change::Cleared, w.now);
        cleared.level = None;
        w.later(Span::ZERO, Input::Detection(Box::new(cleared)));
    }
    w.run(after(if clears { HOUR } else { HOUR / 2 }));
    (w, ledger)
}

#[test]
fn killed_at_every_input_no_booking_is_doubled_or_lost() {
    let (mut deaths, mut asked) = (0, 0);
    for clears in [false, true] {
        let (calm, ledger) = played(false, clears, None);
        assert_eq!(ledger.lock().unwrap().live(), usize::from(!clears), "{}", calm.timeline());
        for at in 0..calm.steps {
            for durable in [false, true] {
                let (w, ledger) = played(false, clears, Some((at, durable)));
                let which = format!("clears: {clears}, input {at}, durable: {durable}");
                assert_eq!(w.crashes, 1, "{which}");
                let live = ledger.lock().unwrap().live();
                let person = w.timeline().contains(" is paged: ");
                asked += u32::from(person);
                // Nothing is lost that nobody has chosen: the ladder has its next days before it.
                let nothing = live == 0 && (person || !w.timeline().contains(" chose time "));
                assert!(live == usize::from(!clears) || nothing, "{which}: {live}\n{}", w.timeline());
                deaths += 1;
            }
        }
    }
    println!("{deaths} deaths, bookings doubled 0, lost 0; in {asked} a person was asked");
    assert!(deaths > 60, "{deaths}");
}

#[test]
fn killed_at_every_input_a_workshop_is_asked_by_mail_at_most_once_for_a_time() {
    let (mut deaths, mut asked) = (0, 0);
    for clears in [false, true] {
        let (calm, _) = played(true, clears, None);
        let requests = |w: &World| {
            let sent = w.orders.iter().filter(|(_, o)| o.kind == OrderKind::Send);
            sent.filter(|(_, o)| {
                matches!(&o.work, Work::Mail(m) if m.to == "garage@example.com"
                && m.invitation.as_ref().is_some_and(|i| i.method == InviteMethod::Request))
            })
            .count()
        };
        assert_eq!(requests(&calm), 1, "{}", calm.timeline());
        for at in 0..calm.steps {
            for durable in [false, true] {
                let (w, _) = played(true, clears, Some((at, durable)));
                let which = format!("clears: {clears}, input {at}, durable: {durable}\n{}", w.timeline());
                assert!(requests(&w) <= 1, "{which}");
                let cancels = mails(&w, "garage@example.com").len() > requests(&w);
                let person = w.timeline().contains(" is paged: ");
                // Whatever it may have in its calendar stands, is taken back, or a person knows of it.
                let nothing = requests(&w) == 0 && !w.timeline().contains(" chose time ");
                assert!(person || cancels == clears || nothing, "{which}");
                asked += u32::from(person);
                deaths += 1;
            }
        }
    }
    println!("{deaths} deaths, no request doubled; in {asked} a person was asked");
    assert!(deaths > 40, "{deaths}");
}
