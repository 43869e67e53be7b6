//! Appointments and cases that end before them: kept or taken back when a person closes the case, found again when the same
//! fault opens it, and never two of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use forewarn::desk::{Act, Config, Input, Reply};
use forewarn::domain::{
    At, BookWork, BookingNews, BookingProgress, CaseId, Change, EffectId, InviteMethod, Link, Order, Outcome, PageKind,
    Receipt, ReceiptKind, Severity, Span, Truth, Work,
};

use super::appointments::{
    DAY, HOUR, Ledger, after, answer, answered_by_mail, asked_by_mail, callback, choose, confirmed, creates, goal,
    mails, request, shipped, texts, view, world,
};
use super::desk_world::{Answer, World, config, config_with, detection};

fn only_case(w: &World) -> CaseId {
    let cases = w.desk.list(true, 10);
    assert_eq!(cases.len(), 1, "{cases:?}");
    cases[0].id
}

fn close(w: &mut World) -> Option<Reply> {
    let case = only_case(w);
    w.tell(Input::Close { case, actor: "kim".into(), reason: "they will come".into() })
}

fn false_alarm(w: &mut World) -> Option<Reply> {
    let case = Some(only_case(w));
    w.tell(Input::Act { case, actor: "kim".into(), act: Act::FalseAlarm { reason: "a broken sensor".into() } })
}

/// The same fault once more.
fn again(w: &mut World, n: u8) {
    let fault = detection("brake.pad_wear", Severity::Warning, n, 1, Change::Raised, w.now);
    w.tell(Input::Detection(Box::new(fault)));
}

fn invitations(w: &World) -> Vec<(InviteMethod, u32, At)> {
    let of = mails(w, "jane@example.com").into_iter().filter_map(|(_, m)| m.invitation);
    of.map(|i| (i.method, i.sequence, i.start_at)).collect()
}

fn offers(w: &World) -> usize {
    mails(w, "jane@example.com").iter().filter(|(_, m)| m.invitation.is_none()).count()
}

fn count(w: &World, is: impl Fn(&Work) -> bool) -> usize {
    w.orders.iter().filter(|(_, o)| is(&o.work)).count()
}

fn parts(w: &World) -> usize {
    count(w, |work| matches!(work, Work::Webhook(_)))
}

fn cancels(w: &World) -> usize {
    count(w, |work| matches!(work, Work::Book(BookWork::Cancel { .. })))
}

fn reopens_for(time: &str) -> Arc<Config> {
    let plan = shipped().replace("reopen   = \"14d\"", &format!("reopen = \"{time}\""));
    assert_ne!(plan, shipped());
    config_with(&plan, |_| {})
}

#[test]
fn a_closed_case_keeps_its_appointment_and_both_sides_hear_what_changes_it() {
    let (mut w, effect, slot) = confirmed(config(|_| {}));
    assert_eq!(close(&mut w), Some(Reply::Done));
    w.run(after(DAY));
    assert_eq!((cancels(&w), invitations(&w).len()), (0, 1), "{}", w.timeline());
    let by = Span::from_hours(3);
    let moved = forewarn::domain::Slot { start_at: slot.start_at + by, end_at: slot.end_at + by };
    assert!(callback(&mut w, effect, 1, BookingProgress::Confirmed, Some(moved)));
    w.run(after(DAY + HOUR));
    assert_eq!(invitations(&w)[1], (InviteMethod::Request, 1, moved.start_at), "{}", w.timeline());
    // It is asked how it stands, too: its news can be lost.
    assert!(count(&w, |work| matches!(work, Work::Book(BookWork::Status { .. }))) > 20);
    w.run(moved.start_at);
    assert!(texts(&w).is_empty(), "the plan is over, and with it its reminder: {:?}", texts(&w));
    w.run(moved.end_at + Span::from_hours(48));
    let asked = count(&w, |work| matches!(work, Work::Book(BookWork::Status { .. })));
    w.run(moved.end_at + Span::from_hours(96));
    assert_eq!(count(&w, |work| matches!(work, Work::Book(BookWork::Status { .. }))), asked, "it is over");
    assert_eq!((view(&w).summary.outcome.as_deref(), offers(&w)), (Some("closed_by_person"), 1));
}

#[test]
fn what_a_workshop_takes_back_after_the_case_is_a_persons_business() {
    for progress in [BookingProgress::Cancelled, BookingProgress::NoShow] {
        let again = shipped().replace("no_show = \"human:service-desk\"", "no_show = \"again:slots\"");
        let (mut w, effect, _) = confirmed(config_with(&again, |_| {}));
        close(&mut w);
        w.run(after(HOUR));
        assert!(callback(&mut w, effect, 1, progress, None));
        w.run(after(2 * HOUR));
        assert!(w.timeline().contains("service-desk is paged"), "{progress:?}: {}", w.timeline());
        let withdrawn = invitations(&w).iter().any(|i| i.0 == InviteMethod::Cancel);
        assert_eq!(withdrawn, progress == BookingProgress::Cancelled);
        assert_eq!((offers(&w), creates(&w).len()), (1, 1), "no plan runs any more");
        assert!(view(&w).summary.closed_at.is_some());
    }
}

#[test]
fn the_same_fault_finds_the_appointment_of_its_closed_case() {
    // Long after the time in which a case is opened again, too: another one would book a second time.
    for (reopen, later) in [("14d", DAY / 2), ("1h", DAY / 2), ("1h", 2 * DAY)] {
        let (mut w, effect, slot) = confirmed(reopens_for(reopen));
        assert_eq!(parts(&w), 1, "{}", w.timeline());
        close(&mut w);
        w.run(after(later));
        again(&mut w, 2);
        w.run(after(later + HOUR));
        only_case(&w);
        assert_eq!((offers(&w), creates(&w).len(), parts(&w)), (1, 1, 1), "{reopen}: {}", w.timeline());
        for met in ["owner_knows", "appointment_confirmed", "part_ordered"] {
            assert_eq!(goal(&w, met), "met", "{reopen}: {}", w.timeline());
        }
        assert_eq!(goal(&w, "fault_gone"), "open", "what watches looks again");
        w.run(slot.start_at);
        assert_eq!(texts(&w).len(), 1, "the plan runs again, and reminds: {}", w.timeline());
        callback(&mut w, effect, 3, BookingProgress::Done, None);
        w.run(slot.end_at);
        close(&mut w);
        w.run(slot.end_at + Span::from_hours(2));
        again(&mut w, 3);
        w.run(slot.end_at + Span::from_hours(4));
        let cases = w.desk.list(true, 10).len();
        assert_eq!((cases, offers(&w)), (if reopen == "1h" { 2 } else { 1 }, 2), "the work was done, and in vain");
    }
}

#[test]
fn a_part_that_may_have_been_ordered_is_not_ordered_again() {
    let mut w = world(config(|_| {}));
    w.run(after(60));
    // The parts system does not answer; while its case is open it would be told again under the same id.
    w.script = Some(Box::new(|o| matches!(o.work, Work::Webhook(_)).then(|| vec![(1, Answer::unknown())])));
    choose(&mut w, "1");
    w.run(after(300));
    assert_eq!(goal(&w, "part_ordered"), "open", "{}", w.timeline());
    close(&mut w);
    again(&mut w, 2);
    w.run(after(DAY / 2));
    assert!(w.timeline().contains("it may have been done before"), "{}", w.timeline());
    let ordered: std::collections::BTreeSet<EffectId> =
        w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Webhook(_))).map(|(_, o)| o.effect).collect();
    assert_eq!(ordered.len(), 1, "{}", w.timeline());
}

#[test]
fn a_false_alarm_takes_the_appointment_back_and_the_same_fault_gets_another_one() {
    for closed in [false, true] {
        let (mut w, _, slot) = confirmed(config(|_| {}));
        if closed {
            close(&mut w);
            w.run(after(HOUR));
        }
        assert_eq!(false_alarm(&mut w), Some(Reply::Done));
        w.run(w.now + Span::from_mins(10));
        assert_eq!(cancels(&w), 1, "{}", w.timeline());
        assert_eq!(invitations(&w)[1], (InviteMethod::Cancel, 1, slot.start_at), "{}", w.timeline());
        let ended = if closed { "closed_by_person" } else { "false_alarm" };
        assert_eq!(view(&w).summary.outcome.as_deref(), Some(ended), "{}", w.timeline());
        let outcome = w.desk.outcomes(At::MIN, None, 9).remove(0);
        assert_eq!((outcome.verdict.truth, outcome.judged_by.as_deref()), (Some(Truth::NoFaultFound), Some("api:kim")));
        assert!(matches!(false_alarm(&mut w), Some(Reply::Refused(_))), "it is closed, and nothing is arranged");
        again(&mut w, 2);
        w.run(w.now + Span::from_mins(10));
        assert_eq!(offers(&w), 2, "{}", w.timeline());
        choose(&mut w, "1");
        w.run(w.now + Span::from_mins(10));
        assert_eq!((creates(&w).len(), goal(&w, "appointment_confirmed").as_str()), (2, "met"), "{}", w.timeline());
    }
}

#[test]
fn a_workshop_that_is_asked_by_mail_hears_of_the_false_alarm() {
    let mut w = answered_by_mail("yes");
    false_alarm(&mut w);
    w.run(after(600));
    let last = mails(&w, "garage@example.com").pop().unwrap().1.invitation.unwrap();
    assert_eq!((last.method, last.sequence), (InviteMethod::Cancel, 1), "{}", w.timeline());
    assert_eq!(invitations(&w).last().unwrap().0, InviteMethod::Cancel);
}

#[test]
fn no_other_appointment_is_made_before_it_is_certain_that_the_old_one_is_gone() {
    let refused = || Answer::Outcome(Outcome::Rejected { reason: "too late to cancel".into() });
    for (what, answers) in [("silence", Vec::new()), ("a refusal", vec![(1, refused())])] {
        let (mut w, effect, _) = confirmed(config(|_| {}));
        w.script = Some(Box::new(move |o| match o.work {
            Work::Book(BookWork::Cancel { .. }) => Some(answers.clone()),
            // What it says of its own accord is what counts here.
            Work::Book(BookWork::Status { .. }) => Some(Vec::new()),
            _ => None,
        }));
        false_alarm(&mut w);
        // The workshop and its answer take their time; the fault does not.
        w.run(w.now + Span::from_secs(5));
        again(&mut w, 2);
        if view(&w).summary.phase == "backing_out" {
            close(&mut w);
            again(&mut w, 3);
        }
        // A cancellation is tried for a day.
        w.run(w.now + Span::from_hours(25));
        assert!(view(&w).summary.closed_at.is_none(), "{what}: {}", w.timeline());
        assert_eq!((offers(&w), creates(&w).len()), (1, 1), "{what}: {}", w.timeline());
        assert!(w.timeline().contains("no other one is made before that is certain"), "{what}: {}", w.timeline());
        assert!(callback(&mut w, effect, 9, BookingProgress::Cancelled, None) || what == "silence");
        w.run(w.now + Span::from_mins(10));
        assert_eq!(offers(&w), 2, "{what}: {}", w.timeline());
    }
}

#[test]
fn what_the_customer_chose_and_the_workshop_was_asked_for_is_theirs_to_agree_on() {
    for yes in [true, false] {
        let mut w = asked_by_mail("");
        close(&mut w);
        w.run(after(600));
        assert_eq!(mails(&w, "garage@example.com").len(), 1, "{}", w.timeline());
        answer(&mut w, if yes { "yes" } else { "no" });
        w.run(after(1_200));
        assert_eq!(invitations(&w).len(), usize::from(yes), "{}", w.timeline());
        assert_eq!(w.timeline().contains("service-desk is paged"), !yes, "{}", w.timeline());
        again(&mut w, 2);
        w.run(after(1_800));
        assert_eq!(offers(&w), if yes { 1 } else { 2 }, "{}", w.timeline());
    }
}

/// A case with an appointment is closed in one of the two ways; the fault is there again, and the owner chooses what is
/// offered. The most bookings that the workshop has ever had at once, and those that it has in the end.
fn played(alarm: bool, crash_at: Option<(u64, bool)>) -> (World, usize, usize) {
    let mut w = world(config(|_| {}));
    let ledger = Arc::new(Mutex::new((Ledger::default(), 0_usize)));
    let book = ledger.clone();
    w.script = Some(Box::new(move |o: &Order| {
        if matches!(o.work, Work::Mail(_)) && o.kind == forewarn::domain::OrderKind::Reconcile {
            return Some(vec![(1, Answer::unknown())]);
        }
        let (ledger, most) = &mut *book.lock().unwrap();
        let taken = ledger.take(o);
        *most = (*most).max(ledger.live());
        taken
    }));
    w.crash_at = crash_at;
    fn choose(w: &mut World) {
        let offer = mails(w, "jane@example.com").into_iter().rfind(|(_, m)| m.invitation.is_none());
        if let Some((effect, _)) = offer {
            let link = Link { effect, kind: PageKind::Choose };
            let form = BTreeMap::from([("choice".to_owned(), "2".to_owned())]);
            // A person whose page does not come sends the form again.
            (0..2).for_each(|_| drop(w.tell(Input::Link { link, form: form.clone() })));
        }
    }
    w.run(after(600));
    choose(&mut w);
    w.run(after(1_200));
    for _ in 0..2 {
        if alarm {
            false_alarm(&mut w)
        } else {
            close(&mut w)
        };
    }
    // The workshop is being asked to cancel while the fault comes back.
    for (n, at) in [(2, 1_202), (3, 1_800)] {
        w.run(after(at));
        again(&mut w, n);
    }
    w.run(after(2_400));
    choose(&mut w);
    w.run(after(3_600));
    let (ledger, most) = &*ledger.lock().unwrap();
    let (most, live) = (*most, ledger.live());
    (w, most, live)
}

#[test]
fn killed_at_every_input_a_case_that_is_opened_again_has_one_appointment_at_most() {
    let (mut deaths, mut asked) = (0, 0);
    for alarm in [false, true] {
        let (calm, most, live) = played(alarm, None);
        assert_eq!((most, live), (1, 1), "alarm: {alarm}\n{}", calm.timeline());
        assert_eq!(creates(&calm).len(), if alarm { 2 } else { 1 }, "{}", calm.timeline());
        for at in 0..calm.steps {
            for durable in [false, true] {
                let (w, most, live) = played(alarm, Some((at, durable)));
                let which = format!("alarm: {alarm}, input {at}, durable: {durable}");
                assert_eq!(w.crashes, 1, "{which}");
                assert!(most <= 1, "{which}: {most} at once\n{}", w.timeline());
                let person = w.timeline().contains(" is paged: ");
                let unheard = !w.timeline().contains(" chose time ");
                assert!(live == 1 || person || unheard, "{which}: {live}\n{}", w.timeline());
                asked += u32::from(person);
                deaths += 1;
            }
        }
    }
    println!("{deaths} deaths, never two appointments; in {asked} a person was asked");
    assert!(deaths > 80, "{deaths}");
}

// --- who changes what stands in whose calendar

#[test]
fn a_workshop_that_moves_a_time_gets_the_change_of_its_own_event_too() {
    let mut w = answered_by_mail("yes");
    let asked = mails(&w, "garage@example.com").pop().unwrap();
    let first = asked.1.invitation.clone().unwrap();
    for (n, sequence, day) in [(1, 1, "2026-11-25"), (2, 2, "2026-11-26")] {
        // By the link of the newest mail, which is that of the change from the second time on.
        let link = request(&w);
        let form = [("answer", "move"), ("day", day), ("time", "14:30")];
        let form = form.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(w.tell(Input::Link { link, form }), Some(Reply::Done));
        w.run(w.now + Span::from_mins(10));
        let all = mails(&w, "garage@example.com");
        assert_eq!(all.len(), 1 + n, "{}", w.timeline());
        let (_, mail) = &all[n];
        let update = mail.invitation.clone().unwrap();
        assert_eq!((update.method, &update.uid, update.sequence), (InviteMethod::Request, &first.uid, sequence));
        assert_eq!(update.start_at, format!("{day}T13:30:00Z").parse().unwrap());
        assert!(!update.rsvp, "it has asked for that itself");
        assert_eq!(mail.reply_to, asked.1.reply_to, "the organizer of an event stays the same");
        assert!(mail.subject.starts_with("Termin verschoben") && mail.text.contains("/l/"), "{}", mail.text);
        assert_eq!(invitations(&w)[n].1, sequence, "the customer hears of it as well");
    }
    // Its calendar says no: that is about the appointment, and not only words.
    let (effect, mail) = asked_of(&w);
    let case = forewarn::wire::reply::case_of(&super::desk_world::link_key(), &mail);
    let calendar = forewarn::domain::CalendarReply { uid: effect, answer: forewarn::domain::CalendarAnswer::No };
    w.tell(Input::Said(forewarn::domain::Said {
        channel: forewarn::domain::Channel::Email,
        external_id: "m-1".into(),
        from: forewarn::domain::Sender::Email("garage@example.com".into()),
        case,
        text: String::new(),
        calendar: Some(calendar),
        answered: true,
    }));
    w.run(w.now + Span::from_mins(10));
    assert_eq!(invitations(&w).last().unwrap().0, InviteMethod::Cancel, "{}", w.timeline());
}

/// The id of the event in the garage's calendar, and where its answers go.
fn asked_of(w: &World) -> (String, String) {
    let (_, mail) = mails(w, "garage@example.com").remove(0);
    (mail.invitation.unwrap().uid, mail.reply_to.unwrap())
}

#[test]
fn a_change_of_nobodys_doing_is_told_to_nobody_twice() {
    let (mut w, effect, slot) = confirmed(config(|_| {}));
    let before = invitations(&w).len();
    for seq in 1..4 {
        callback(&mut w, effect, seq, BookingProgress::Confirmed, Some(slot));
        w.run(w.now + Span::from_mins(5));
    }
    assert_eq!(invitations(&w).len(), before, "{}", w.timeline());
}

// --- what the workshop found

#[test]
fn a_workshop_says_what_it_found_with_the_end_of_its_work() {
    use forewarn::domain::Verdict;
    let outcome = |w: &World| w.desk.outcomes(At::MIN, None, 9).remove(0);
    for (word, part, truth) in [
        ("mended", "Bremsbeläge vorn", Some(Truth::Confirmed)),
        ("mended", "", Some(Truth::Confirmed)),
        ("nothing", "Bremsbeläge vorn", Some(Truth::NoFaultFound)),
        ("mended", "ask jane@example.com", None),
    ] {
        let mut w = answered_by_mail("yes");
        let slot = mails(&w, "garage@example.com")[0].1.invitation.clone().unwrap();
        w.run(slot.start_at + Span::from_mins(5));
        let shown = w.desk.page(w.now, &request(&w)).unwrap().html;
        assert!(shown.contains("value=\"mended\"") && shown.contains("name=\"part\""), "{shown}");
        let form = [("answer", word), ("part", part)];
        let form: BTreeMap<String, String> = form.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let link = request(&w);
        let reply = w.tell(Input::Link { link, form: form.clone() });
        let verdict = outcome(&w).verdict;
        assert_eq!(verdict.truth, truth, "{word} {part}");
        let Some(truth) = truth else {
            assert!(matches!(reply, Some(Reply::Refused(_))), "nobody's name is the name of a part: {reply:?}");
            continue;
        };
        let named = Some(part.to_owned()).filter(|p| !p.is_empty() && truth == Truth::Confirmed);
        assert_eq!(verdict, Verdict { truth: Some(truth), part_replaced: named, ..Verdict::default() });
        assert_eq!(outcome(&w).judged_by.as_deref(), Some("provider:garage"));
        assert!(w.timeline().contains("the appointment has taken place"));
        let records = w.log.len();
        w.tell(Input::Link { link, form });
        assert_eq!(w.log.len(), records, "sent twice it is nothing new");
    }
}

/// With a secret of its own, a provider could otherwise take back what another one has booked.
#[test]
fn a_provider_reports_on_what_it_was_asked_for_and_nothing_else() {
    let (mut w, effect, _) = confirmed(config(|_| {}));
    let news = BookingNews::Stands { booking: format!("B-{effect}"), progress: BookingProgress::Cancelled, slot: None };
    let receipt = Receipt { effect, provider_ref: None, seq: Some(9), what: ReceiptKind::Booking { news } };
    let said = |by: &[&str]| Input::Signed { by: by.iter().map(|n| (*n).into()).collect(), receipt: receipt.clone() };
    let records = w.log.len();
    for other in ["tow", "garage", "app"] {
        assert_eq!(w.tell(said(&[other])), Some(Reply::NotFound), "{other}");
    }
    assert_eq!((w.log.len(), goal(&w, "appointment_confirmed").as_str()), (records, "met"));
    assert_eq!(w.tell(said(&["garage", "workshop"])), Some(Reply::Done), "they share a secret");
    assert_eq!(goal(&w, "appointment_confirmed"), "open", "{}", w.timeline());
}

#[test]
fn a_provider_judges_what_it_was_asked_for_and_nothing_else() {
    use forewarn::domain::Verdict;
    let (mut w, effect, _) = confirmed(config(|_| {}));
    let verdict = Verdict {
        truth: Some(Truth::Confirmed),
        part_replaced: Some("front pads".into()),
        cost: Some(180.0),
        ..Verdict::default()
    };
    let found = |effect: EffectId, by: &str| Input::Found { effect, verdict: verdict.clone(), by: vec![by.into()] };
    assert_eq!(w.tell(found(effect, "tow")), Some(Reply::NotFound), "it was asked of somebody else");
    let stranger: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    assert_eq!(w.tell(found(stranger, "workshop")), Some(Reply::NotFound));
    let records = w.log.len();
    for _ in 0..2 {
        assert_eq!(w.tell(found(effect, "workshop")), Some(Reply::Done));
    }
    assert_eq!(w.log.len(), records + 1, "told twice it is nothing new");
    let outcome = w.desk.outcomes(At::MIN, None, 9).remove(0);
    assert_eq!((&outcome.verdict, outcome.judged_by.as_deref()), (&verdict, Some("provider:workshop")));
}
