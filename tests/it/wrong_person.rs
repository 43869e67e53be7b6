//! Somebody chooses a time for an appointment and then says that they are not meant: it is called off by the one way there
//! is, and offered to whoever is meant. Nothing is booked twice, and nothing that others have said is undone.

use std::sync::{Arc, Mutex};

use forewarn::desk::{Input, Reply};
use forewarn::domain::{
    BookWork, CallProgress, Channel, EffectId, InviteMethod, Link, MailWork, Order, OrderKind, PageKind, Receipt,
    ReceiptKind, Said, Sender, Span, Work,
};

use super::appointments::{
    DAY, HOUR, Ledger, after, answered_by_mail, asked_by_mail, choose, confirmed, creates, goal, mails, shipped, texts,
    view, world,
};
use super::desk_world::{Answer, World, config, config_with, link_key};

const JANE: &str = "jane@example.com";

/// From Jane's mailbox or phone, which is somebody else's.
fn write(w: &mut World, from: &str, text: &str) -> Option<Reply> {
    let (channel, from) = match from {
        JANE => (Channel::Email, Sender::Email(JANE.into())),
        number => (Channel::Sms, Sender::Phone(number.into())),
    };
    let external_id = format!("{text} {}", w.now);
    // To the address of the case, where mails name one.
    let reply_to = mails(w, JANE).pop().filter(|_| channel == Channel::Email).and_then(|(_, mail)| mail.reply_to);
    let case = reply_to.and_then(|to| forewarn::wire::reply::case_of(&link_key(), &to));
    let said = Said { channel, external_id, from, case, text: text.into(), calendar: None, answered: false };
    let reply = w.tell(Input::Said(said));
    w.run(w.now + Span::from_mins(5));
    reply
}

fn cancels(w: &World) -> usize {
    w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Book(BookWork::Cancel { .. }))).count()
}

/// Mails to Jane that offer times, and those for her calendar.
fn offers(w: &World) -> Vec<EffectId> {
    mails(w, JANE).into_iter().filter(|(_, m)| m.invitation.is_none()).map(|(id, _)| id).collect()
}

fn invitations(w: &World) -> Vec<(InviteMethod, u32)> {
    let of = |m: MailWork| m.invitation.map(|i| (i.method, i.sequence));
    mails(w, JANE).into_iter().filter_map(|(_, m)| of(m)).collect()
}

fn tap(w: &mut World, effect: EffectId, choice: &str, round: &str) {
    let form = [("choice", choice), ("round", round)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    w.tell(Input::Link { link: Link { effect, kind: PageKind::Choose }, form });
}

fn page(w: &World, effect: EffectId) -> String {
    w.desk.page(w.now, &Link { effect, kind: PageKind::Choose }).unwrap().html
}

/// Asked by text message after two days, by a call after five.
fn told(days: i64) -> World {
    let mut w = world(config(|_| {}));
    w.run(after(60));
    w.run(after(days * DAY + 6 * HOUR));
    w
}

#[test]
fn a_time_that_was_chosen_by_a_word_is_called_off_and_new_ones_are_offered_elsewhere() {
    let mut w = told(2);
    assert_eq!((texts(&w).len(), offers(&w).len()), (1, 1));
    write(&mut w, "+43111", "2");
    assert_eq!(goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
    write(&mut w, "+43111", "wrong number");
    assert_eq!(cancels(&w), 1, "{}", w.timeline());
    for name in ["owner_knows", "appointment_confirmed"] {
        assert_eq!(goal(&w, name), "open", "{name}: {}", w.timeline());
    }
    assert_eq!(invitations(&w), [(InviteMethod::Request, 0), (InviteMethod::Cancel, 1)], "{}", w.timeline());
    // The mailbox is not known to be anybody else's.
    let offered = offers(&w);
    assert_eq!(offered.len(), 2, "{}", w.timeline());
    // A page that was opened before shows other times, and so does the message to the wrong number.
    tap(&mut w, offered[0], "1", "1");
    let answer = format!("{:?}", write(&mut w, "+43111", "1"));
    assert!(answer.contains("erledigt") && !answer.contains("1) "), "{answer}");
    assert_eq!((goal(&w, "owner_knows").as_str(), creates(&w).len()), ("open", 1), "{}", w.timeline());
    choose(&mut w, "1");
    w.run(w.now + Span::from_mins(10));
    assert_eq!((goal(&w, "appointment_confirmed").as_str(), creates(&w).len()), ("met", 2), "{}", w.timeline());
    assert_eq!((cancels(&w), texts(&w).len()), (1, 1), "the wrong number is told nothing more");
}

#[test]
fn a_time_that_was_chosen_by_a_link_is_called_off_and_taken_out_of_that_calendar() {
    let mut w = world(config(|_| {}));
    w.run(after(60));
    choose(&mut w, "1");
    w.run(after(300));
    let wrong = offers(&w)[0];
    assert!(page(&w, wrong).contains("Ihr Termin ist bestätigt"), "{}", page(&w, wrong));
    write(&mut w, JANE, "Falsche Person");
    assert_eq!((cancels(&w), goal(&w, "appointment_confirmed").as_str()), (1, "open"), "{}", w.timeline());
    // They are told nothing more, but what is in their calendar because of us.
    assert_eq!(invitations(&w), [(InviteMethod::Request, 0), (InviteMethod::Cancel, 1)], "{}", w.timeline());
    assert_eq!(offers(&w).len(), 1, "{}", w.timeline());
    for round in ["1", "2", "3"] {
        tap(&mut w, wrong, "1", round);
    }
    assert_eq!(creates(&w).len(), 1, "and choose nothing more\n{}", w.timeline());
    w.run(after(900));
    assert_eq!(texts(&w).len(), 1, "the phone is tried next\n{}", w.timeline());
    write(&mut w, "+43111", "1");
    assert_eq!((creates(&w).len(), goal(&w, "appointment_confirmed").as_str()), (2, "met"), "{}", w.timeline());
    let shown = page(&w, wrong);
    assert!(shown.contains("nicht mehr gebraucht") && !shown.contains("Werkstatt"), "it is not their affair: {shown}");
}

#[test]
fn a_time_that_was_chosen_by_a_key_is_called_off_by_another_one_in_the_same_call() {
    let mut w = world(config(|_| {}));
    let key = |digit| Answer::Report(ReceiptKind::Key { digit });
    let ends = || Answer::Report(ReceiptKind::Call { progress: CallProgress::Completed });
    w.script = Some(Box::new(move |o: &Order| {
        let heard = vec![(1, Answer::accepted("CA")), (8, key('2')), (40, key('8')), (50, ends())];
        matches!(&o.work, Work::Call(c) if c.to == "+43111").then_some(heard)
    }));
    w.run(after(5 * DAY + 6 * HOUR));
    assert!(w.timeline().contains("chose time 2 (key)"), "{}", w.timeline());
    w.run(w.now + Span::from_mins(10));
    assert_eq!((creates(&w).len(), cancels(&w)), (1, 1), "{}", w.timeline());
    assert_eq!((goal(&w, "owner_knows").as_str(), offers(&w).len()), ("open", 2), "{}", w.timeline());
}

/// The workshop has not answered when they say so: what it was asked for is taken back before another one is asked for.
#[test]
fn what_is_just_being_booked_is_called_off_once_it_is_known() {
    let mut w = world(config(|_| {}));
    w.run(after(60));
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    w.script = Some(Box::new(move |o| match o.work {
        Work::Book(BookWork::Create { .. }) if o.kind == OrderKind::Send => {
            *count.lock().unwrap() += 1;
            (*count.lock().unwrap() == 1).then(|| vec![(1, Answer::unknown())])
        }
        Work::Book(BookWork::Create { .. }) => Some(vec![(1, Answer::unknown())]),
        _ => None,
    }));
    choose(&mut w, "1");
    w.run(after(80));
    write(&mut w, JANE, "falsche Person");
    w.run(after(2 * DAY + 6 * HOUR));
    assert_eq!((offers(&w).len(), texts(&w).len(), *asked.lock().unwrap()), (1, 0, 1), "{}", w.timeline());
    assert!(w.timeline().contains("no other one is made before that is certain"), "{}", w.timeline());
    // Whether or not it stood, its time is over.
    w.run(after(4 * DAY));
    assert_eq!((texts(&w).len(), *asked.lock().unwrap()), (1, 1), "{}", w.timeline());
}

#[test]
fn a_workshop_that_is_asked_by_mail_is_told_and_others_may_have_the_time() {
    for yes in [false, true] {
        let mut w = if yes { answered_by_mail("yes") } else { asked_by_mail("") };
        write(&mut w, JANE, "wrong person");
        let letters: Vec<_> = mails(&w, "garage@example.com").into_iter().filter_map(|(_, m)| m.invitation).collect();
        let said: Vec<_> = letters.iter().map(|i| (i.method, i.sequence)).collect();
        assert_eq!(said, [(InviteMethod::Request, 0), (InviteMethod::Cancel, 1)], "{yes}: {}", w.timeline());
        assert_eq!(letters[0].uid, letters[1].uid);
        assert_eq!(invitations(&w).len(), if yes { 2 } else { 0 }, "{}", w.timeline());
    }
}

/// The app, the mailbox and the phone of Jane: what was chosen by two of them stands when one is somebody else's.
#[test]
fn what_somebody_else_has_chosen_too_stands() {
    let push = |w: &World| w.orders.iter().find(|(_, o)| matches!(o.work, Work::App(_))).unwrap().1.effect;
    for ways in [&["mail", "app"][..], &["app", "mail"], &["app"]] {
        let mut w = world(config(|_| {}));
        w.run(after(60));
        let by = |w: &mut World, way: &str| match way {
            "mail" => tap(w, offers(w)[0], "2", "1"),
            _ => {
                let what = ReceiptKind::Key { digit: '2' };
                w.tell(Input::Receipt(Receipt { effect: push(w), provider_ref: None, seq: None, what }));
            }
        };
        for (n, way) in (1..).zip(ways) {
            by(&mut w, way);
            w.run(after(60 + 60 * n));
        }
        assert_eq!((creates(&w).len(), invitations(&w).len()), (1, 1), "{}", w.timeline());
        write(&mut w, JANE, "wrong person");
        assert_eq!((cancels(&w), goal(&w, "appointment_confirmed").as_str()), (0, "met"), "{ways:?}: {}", w.timeline());
        assert_eq!(goal(&w, "owner_knows"), "met", "{}", w.timeline());
        assert!(!w.timeline().contains("goal owner_knows is open"), "nor for a moment\n{}", w.timeline());
        let last = invitations(&w).pop().unwrap();
        assert_eq!(last, (InviteMethod::Cancel, 1), "{ways:?}: that mailbox is not theirs\n{}", w.timeline());
    }
}

#[test]
fn no_thanks_of_the_wrong_person_is_no_answer() {
    let plan =
        shipped().replace("customer_declined = \"close:declined\"", "customer_declined = \"human:service-desk\"");
    assert_ne!(plan, shipped());
    for closes in [false, true] {
        let mut w = world(if closes { config(|_| {}) } else { config_with(&plan, |_| {}) });
        w.run(after(2 * DAY + 6 * HOUR));
        write(&mut w, "+43111", "nein danke");
        assert_eq!(view(&w).summary.outcome.as_deref(), closes.then_some("declined"), "{}", w.timeline());
        write(&mut w, "+43111", "wrong number");
        assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
        assert_eq!(offers(&w).len(), if closes { 1 } else { 2 }, "{}", w.timeline());
        assert_eq!(goal(&w, "owner_knows") == "open", !closes, "{}", w.timeline());
    }
}

#[test]
fn the_appointment_of_a_closed_case_is_called_off_and_a_person_is_asked() {
    let (mut w, ..) = confirmed(config(|_| {}));
    let case = w.desk.list(true, 1)[0].id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "they will come".into() });
    w.run(after(HOUR));
    write(&mut w, JANE, "wrong person");
    assert_eq!((cancels(&w), offers(&w).len()), (1, 1), "{}", w.timeline());
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    assert!(view(&w).summary.closed_at.is_some());
}

/// The wrong person chooses by the link; the right one answers a text message. The most bookings at once, and
/// those in the end.
fn played(crash_at: Option<(u64, bool)>) -> (World, usize, usize) {
    let mut w = world(config(|_| {}));
    let ledger = Arc::new(Mutex::new((Ledger::default(), 0_usize)));
    let book = ledger.clone();
    w.script = Some(Box::new(move |o: &Order| {
        if matches!(o.work, Work::Mail(_)) && o.kind == OrderKind::Reconcile {
            return Some(vec![(1, Answer::unknown())]);
        }
        let (ledger, most) = &mut *book.lock().unwrap();
        let taken = ledger.take(o);
        *most = (*most).max(ledger.live());
        taken
    }));
    w.crash_at = crash_at;
    w.run(after(600));
    for effect in offers(&w) {
        tap(&mut w, effect, "2", "1");
    }
    w.run(after(620));
    // They write again if nothing comes of it.
    (0..2).for_each(|_| drop(write(&mut w, JANE, "wrong person")));
    w.run(after(1_500));
    (0..2).for_each(|_| drop(write(&mut w, "+43111", "1")));
    let (ledger, most) = &*ledger.lock().unwrap();
    let (most, live) = (*most, ledger.live());
    (w, most, live)
}

#[test]
fn killed_at_every_input_the_wrong_person_has_no_appointment_and_nobody_has_two() {
    let (calm, most, live) = played(None);
    assert_eq!((most, live, creates(&calm).len()), (1, 1, 2), "{}", calm.timeline());
    let (mut deaths, mut asked) = (0, 0);
    for at in 0..calm.steps {
        for durable in [false, true] {
            let (w, most, live) = played(Some((at, durable)));
            let which = format!("input {at}, durable: {durable}");
            assert_eq!(w.crashes, 1, "{which}");
            assert!(most <= 1, "{which}: {most} at once\n{}", w.timeline());
            let person = w.timeline().contains(" is paged: ");
            let unheard = !w.timeline().contains("chose time 1 (reply)");
            assert!(live == 1 || person || unheard, "{which}: {live}\n{}", w.timeline());
            let marked = w.timeline().contains("is not a person of this device");
            assert!(marked, "{which}\n{}", w.timeline());
            asked += u32::from(person);
            deaths += 1;
        }
    }
    println!("{deaths} deaths, never two appointments; in {asked} a person was asked");
    assert!(deaths > 60, "{deaths}");
}
