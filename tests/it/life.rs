//! The life of a case when things go another way: levels that rise and fall, faults that clear at each point, trucks that
//! refuse to turn back, slip or find nobody, repairs that did not help.

use std::collections::BTreeMap;

use forewarn::desk::{CaseView, Input, Reply, SpeechThen};
use forewarn::domain::{
    At, CallProgress, Change, Channel, Detection, DispatchWork, JobState, JobUpdate, Order, OrderKind, Outcome,
    Receipt, ReceiptKind, Said, Sender, Severity, Span, Value, Work,
};

use super::desk_world::{Answer, DEVICE, Odds, World, config, config_with, detection};
use super::policy::{after, book, sent, tell, view};

fn breakdown(odds: Odds) -> World {
    let mut w = World::new(config(|_| {}), odds, 1);
    brake(&mut w, 1, Change::Raised);
    w
}

pub(super) fn brake(w: &mut World, seq: u32, change: Change) {
    let detection = super::desk_world::brake(seq, change, w.now);
    w.tell(Input::Detection(Box::new(detection)));
}

fn nobody_answers() -> Odds {
    Odds { call_unanswered: 100, ..Odds::friendly() }
}

pub(super) fn says(w: &mut World, name: &str, value: f64) {
    let values = BTreeMap::from([(name.to_owned(), Value::from(value))]);
    w.tell(Input::Facts { device: DEVICE.into(), event_at: w.now, values });
}

pub(super) fn goal(view: &CaseView, name: &str) -> String {
    view.goals.iter().find(|g| g.name == name).unwrap().state.clone()
}

fn cancels(w: &World) -> usize {
    w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Dispatch(DispatchWork::Cancel { .. }))).count()
}

pub(super) fn texts(w: &World) -> Vec<String> {
    let bodies = w.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Sms(sms) => Some(sms.body.clone()),
        _ => None,
    });
    bodies.collect()
}

pub(super) fn outcome(w: &World) -> Option<String> {
    view(w).summary.outcome
}

#[test]
fn levels_that_rise_and_fall_stay_one_case() {
    let book = book("service", "", "\"told\"", &tell(super::policy::SMS));
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    let at = |severity, seq, now| {
        let change = if seq == 1 { Change::Raised } else { Change::Moved };
        Input::Detection(Box::new(Detection { seq, ..detection("a.b", severity, 1, seq, change, now) }))
    };
    for (seq, severity) in
        [(1, Severity::Warning), (2, Severity::Major), (3, Severity::Critical), (4, Severity::Warning)]
    {
        let input = at(severity, seq, w.now);
        w.tell(input);
        w.run(after(i64::from(seq) * 2));
        assert_eq!((w.desk.list(true, 9).len(), view(&w).summary.severity), (1, severity), "{}", w.timeline());
    }
    w.run(after(600));
    let told = sent(&w).into_iter().filter(|(_, to)| to.starts_with("sms")).count();
    assert_eq!(told, 1, "told once\n{}", w.timeline());
}

#[test]
fn a_fault_that_clears_before_anybody_was_reached_takes_everything_back() {
    let mut w = breakdown(nobody_answers());
    w.run(after(10));
    brake(&mut w, 2, Change::Cleared);
    w.run(after(69));
    assert_eq!(cancels(&w), 0, "not before it has stayed away for a minute");
    w.run(after(200));
    assert_eq!(cancels(&w), 1, "{}", w.timeline());
    assert!(
        texts(&w).last().unwrap().contains("aufgehoben") || texts(&w).len() == 2,
        "told that it is over: {:?}",
        texts(&w)
    );
    assert_eq!(outcome(&w).as_deref(), Some("false_alarm"), "{}", w.timeline());
    let later = sent(&w).into_iter().filter(|(at, to)| *at > 75 && to.starts_with("call +43111")).count();
    assert_eq!(later, 0, "nobody is called any more\n{}", w.timeline());
}

#[test]
fn a_fault_that_clears_during_the_call_is_not_spoken_of_as_present() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    w.script = Some(Box::new(|o| matches!(o.work, Work::Call(_)).then(|| vec![(1, Answer::accepted("CA"))])));
    brake(&mut w, 1, Change::Raised);
    w.run(after(5));
    let call = w.orders.iter().find(|(_, o)| matches!(o.work, Work::Call(_))).unwrap().1.effect;
    brake(&mut w, 2, Change::Cleared);
    w.run(after(70));
    let said = w.tell(Input::Answered { effect: call, turn: 1, provider_ref: "CA".into() });
    let Some(forewarn::desk::Reply::Speech(speech)) = said else { panic!("{said:?}") };
    assert!(!speech.text.contains("anhalten") && !speech.text.contains("Abschleppwagen"), "{}", speech.text);
}

#[test]
fn a_fault_that_clears_after_the_driver_has_confirmed_keeps_the_truck() {
    let mut w = breakdown(Odds::friendly());
    w.run(after(60));
    assert_eq!(goal(&view(&w), "driver_told_to_stop"), "met");
    brake(&mut w, 2, Change::Cleared);
    w.run(after(600));
    assert_eq!((cancels(&w), goal(&view(&w), "tow_accepted").as_str()), (0, "met"), "{}", w.timeline());
}

#[test]
fn key_9_takes_the_truck_back_and_a_truck_that_refuses_is_somebodys_business() {
    for (refuses, paged) in [(0, false), (100, true)] {
        let mut w = breakdown(Odds { keys: vec!['9'], cancel_refused: refuses, ..Odds::friendly() });
        w.run(after(300));
        assert_eq!(cancels(&w), 1, "{}", w.timeline());
        assert_eq!(w.timeline().contains("refuses to cancel"), paged, "{}", w.timeline());
        assert_eq!(w.timeline().contains("safety-desk is paged"), paged, "{}", w.timeline());
        w.run(after(7_200));
        assert_eq!(outcome(&w).as_deref(), Some("false_alarm"), "{}", w.timeline());
    }
}

/// A truck of which these news come, in seconds after the request.
pub(super) fn truck(news: &[(i64, JobState, Option<i64>)]) -> World {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    let news = news.to_vec();
    let mut asked = false;
    w.script = Some(Box::new(move |o: &Order| match &o.work {
        Work::Dispatch(DispatchWork::Request(_)) if !asked => {
            asked = true;
            let report = |(at, state, eta): (i64, JobState, Option<i64>)| {
                let eta_at = eta.map(after);
                let update = JobUpdate { job: "J-1".into(), state, eta_at, truck: None };
                (at, Answer::Report(ReceiptKind::Dispatch { update }))
            };
            Some([vec![(1, Answer::accepted("J-1"))], news.iter().copied().map(report).collect()].concat())
        }
        Work::Dispatch(DispatchWork::Request(_)) => {
            Some(vec![(1, Answer::Outcome(Outcome::Rejected { reason: "422 no_provider".into() }))])
        }
        Work::Dispatch(DispatchWork::Status { .. }) => Some(vec![(1, Answer::accepted(""))]),
        _ => None,
    }));
    brake(&mut w, 1, Change::Raised);
    w
}

#[test]
fn an_arrival_that_slips_is_told_to_the_driver_with_the_new_time() {
    use JobState::{Accepted, EnRoute};
    let mut w = truck(&[(2, Accepted, Some(1_200)), (60, EnRoute, Some(1_260)), (90, EnRoute, Some(2_400))]);
    w.run(after(89));
    let before = texts(&w).len();
    w.run(after(120));
    let told = texts(&w);
    assert_eq!(told.len(), before + 1, "one minute is no news, twenty are\n{}", w.timeline());
    assert!(told.last().unwrap().contains("39"), "in 38.5 minutes: {:?}", told.last());
}

#[test]
fn a_truck_that_finds_nobody_reopens_the_promise_and_a_person_hears_of_it() {
    use JobState::{Accepted, EnRoute, GoneOnArrival};
    let mut w = truck(&[(2, Accepted, Some(900)), (60, EnRoute, Some(900)), (900, GoneOnArrival, None)]);
    w.run(after(600));
    assert_eq!(goal(&view(&w), "tow_accepted"), "met");
    w.run(after(905));
    assert_ne!(goal(&view(&w), "tow_accepted"), "met", "{}", w.timeline());
    assert!(w.timeline().contains("the vehicle was gone when it arrived"), "{}", w.timeline());
    assert!(w.timeline().contains("safety-desk is paged: no provider can help"), "{}", w.timeline());
}

#[test]
fn a_truck_that_is_not_there_long_after_its_time_is_asked_for_by_a_person() {
    let mut w = truck(&[(2, JobState::Accepted, Some(300))]);
    w.run(after(590));
    assert!(!w.timeline().contains("has not set off"), "{}", w.timeline());
    w.run(after(1_300));
    assert!(w.timeline().contains("has not set off within 10m"), "{}", w.timeline());
    assert!(w.timeline().contains("has not arrived 15m after"), "{}", w.timeline());
}

#[test]
fn a_repair_that_did_not_help_is_told_to_a_person() {
    let steps = "[[step]]\nid = \"check\"\ndo = \"wait_for\"\ngoal = \"fault_gone\"\nexpect = \"device.score < 0.2 for 1h\"\n\
                 within = \"3h\"\nelse = \"human:service-desk\"\n";
    for (score, state) in [(0.1, "met"), (0.9, "missed")] {
        let mut w = World::new(config_with(&book("service", "", "\"fault_gone\"", steps), |_| {}), Odds::friendly(), 1);
        super::policy::raise(&mut w, 1);
        w.run(after(60));
        says(&mut w, "score", score);
        w.run(after(4 * 3_600));
        assert_eq!(goal(&view(&w), "fault_gone"), state, "{}", w.timeline());
        let told = w.timeline().contains("not shown by the telemetry within 3h");
        assert_eq!(told, state == "missed", "{}", w.timeline());
    }
}

#[test]
fn a_case_taken_over_by_a_person_pages_nobody_else_and_is_brought_up_again() {
    let ladder = "{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"1m\", queue = \"service-desk\" }";
    let book = book("service", "", "\"told\"", &tell(ladder));
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    super::policy::raise(&mut w, 1);
    w.run(after(90));
    let pages = |w: &World| sent(w).iter().filter(|(_, to)| to == "mail service@example.com").count();
    let case = view(&w).summary.id;
    let before = pages(&w);
    w.tell(Input::Ack { case, actor: "kim".into() });
    w.run(after(11 * 3_600));
    assert_eq!(pages(&w), before, "{}", w.timeline());
    assert_eq!(view(&w).human_owner.as_deref(), Some("kim"));
    w.run(after(13 * 3_600));
    assert!(pages(&w) > before, "it is still open after half a day\n{}", w.timeline());
}

#[test]
fn a_call_that_nobody_answers_is_followed_by_the_next_person_then_by_ours() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    let progress = CallProgress::NoAnswer;
    w.script = Some(Box::new(move |o| match &o.work {
        Work::Call(c) if c.to == "+43111" => {
            Some(vec![(1, Answer::accepted("CA")), (25, Answer::Report(ReceiptKind::Call { progress }))])
        }
        _ => None,
    }));
    brake(&mut w, 1, Change::Raised);
    w.run(after(400));
    let calls: Vec<String> = sent(&w).into_iter().map(|(_, to)| to).filter(|to| to.starts_with("call")).collect();
    assert_eq!(calls[..3], ["call +43111", "call +43111", "call +43111"], "{}", w.timeline());
    assert_eq!(calls[3], "call +4930111", "then a person of ours\n{}", w.timeline());
}

/// The newest instant that anything of the case waits for is never in the past.
#[test]
fn nothing_waits_for_an_instant_that_has_passed() {
    for odds in [nobody_answers(), Odds::friendly(), Odds { silent: 100, ..nobody_answers() }] {
        let mut w = breakdown(odds);
        for minute in 1..120 {
            let now: At = after(minute * 60);
            w.run(now);
            for wait in view(&w).waits {
                assert!(wait.until_at.is_none_or(|at| at + Span::from_secs(1) >= now), "{wait:?} at {now}");
            }
        }
    }
}

/// The line rings while the customer answers by another way: what is said is true when it is heard.
#[test]
fn a_call_that_is_answered_after_the_answer_came_otherwise_says_so_in_every_language() {
    for (locale, words) in [
        ("de-AT", "schon beantwortet"),
        ("en-US", "already been answered"),
        ("pl", "już do nas dotarła"),
        ("ru", "уже ответили"),
        ("uk", "вже відповіли"),
    ] {
        let mut w = World::new(
            config(|c| {
                let mut registry = (*c.registry).clone();
                registry.customers.get_mut("c-1").unwrap().locale = locale.into();
                c.registry = std::sync::Arc::new(registry);
            }),
            Odds::friendly(),
            1,
        );
        w.script = Some(Box::new(|o| {
            matches!(o.work, Work::Call(_) | Work::App(_)).then(|| vec![(1, Answer::accepted("CA"))])
        }));
        brake(&mut w, 1, Change::Raised);
        w.run(after(4));
        let find =
            |w: &World, which: fn(&Work) -> bool| w.orders.iter().find(|(_, o)| which(&o.work)).unwrap().1.effect;
        let (call, push) = (find(&w, |o| matches!(o, Work::Call(_))), find(&w, |o| matches!(o, Work::App(_))));
        let answer = |w: &mut World, turn| {
            let said = w.tell(Input::Answered { effect: call, turn, provider_ref: "CA".into() });
            let Some(Reply::Speech(speech)) = said else { panic!("{said:?}") };
            speech
        };
        let first = answer(&mut w, 1);
        assert_eq!(first.then, SpeechThen::Listen, "the warning itself");
        let what = ReceiptKind::Key { digit: '1' };
        w.tell(Input::Receipt(Receipt { effect: push, provider_ref: None, seq: None, what }));
        let second = answer(&mut w, 2);
        assert_eq!(second.then, SpeechThen::HangUp);
        assert!(second.text.contains(words) && second.text != first.text, "{locale}: {}", second.text);
    }
}

#[test]
fn a_person_who_is_paged_because_nobody_confirmed_is_left_alone_once_somebody_has() {
    let ladder = "{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"1m\", queue = \"service-desk\" }";
    let steps = format!(
        "{}[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\nmirror = [\"note\"]\n",
        tell(ladder)
    );
    let book = book("service", "", "\"told\"", &steps);
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    super::policy::raise(&mut w, 1);
    w.run(after(90));
    let pages = |w: &World| sent(w).iter().filter(|(_, to)| to == "mail service@example.com").count();
    assert_eq!(pages(&w), 1);
    let case = view(&w).summary.id;
    w.tell(Input::Said(said("please hurry", "SM1")));
    w.tell(Input::Said(said("1", "SM2")));
    w.run(after(95));
    assert!(!w.timeline().contains("is not asked any more"), "the customer waits for an answer\n{}", w.timeline());
    let answer = answer_in_ticket(&w);
    w.tell(Input::Said(answer));
    w.run(after(7_200));
    assert_eq!(pages(&w), 1, "no second round\n{}", w.timeline());
    assert_eq!(w.desk.show(&case).unwrap().summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
}

/// A customer writes, is answered and writes again in one instant: the second page is another one than the first.
#[test]
fn a_page_that_stops_and_begins_again_in_one_instant_is_not_the_first() {
    let ladder = tell("{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"5h\", queue = \"service-desk\" }");
    let steps = format!("{ladder}[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\n");
    let mut w = World::new(config_with(&book("service", "", "\"told\"", &steps), |_| {}), Odds::friendly(), 1);
    super::policy::raise(&mut w, 1);
    w.run(after(10));
    w.tell(Input::Said(said("please hurry", "SM1")));
    let answer = answer_in_ticket(&w);
    w.tell(Input::Said(answer));
    w.tell(Input::Said(said("when?", "SM2")));
    let pages = view(&w).effects.into_iter().filter(|e| e.step.starts_with("page ")).count();
    assert_eq!(pages, 2, "{}", w.timeline());
}

/// Somebody of ours writes to the customer in the ticket of the newest case.
fn answer_in_ticket(w: &World) -> Said {
    let ticket = view(w).effects.iter().find(|e| e.kind == "ticket").unwrap().provider_ref.clone().unwrap();
    Said {
        channel: Channel::Ticket,
        external_id: "A1".into(),
        from: Sender::Desk { desk: "helpdesk".into(), ticket, author: forewarn::domain::Author::Agent },
        case: None,
        text: "We are on our way.".into(),
        calendar: None,
        answered: true,
    }
}

pub(super) fn said(text: &str, id: &str) -> Said {
    Said {
        channel: Channel::Sms,
        external_id: id.into(),
        from: Sender::Phone("+43111".into()),
        case: None,
        text: text.into(),
        calendar: None,
        answered: false,
    }
}

/// A ticket of which nobody knows: people are asked about it, although its case is closed, until it turns up.
#[test]
fn a_page_about_a_trouble_that_resolves_itself_in_a_closed_case_stops_and_says_so() {
    let steps = format!(
        "{}[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\n",
        tell("{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"5h\", queue = \"service-desk\" }")
    );
    let mut w = World::new(config_with(&book("service", "", "\"told\"", &steps), |_| {}), Odds::friendly(), 1);
    let mut asked = 0;
    w.script = Some(Box::new(move |o: &Order| match (&o.work, o.kind) {
        (Work::Ticket(_), OrderKind::Send) => Some(vec![(1, Answer::unknown())]),
        // The desk can be searched again after half an hour.
        (Work::Ticket(_), OrderKind::Reconcile) => {
            asked += 1;
            Some(vec![(1, if asked < 4 { Answer::unknown() } else { Answer::accepted("T-9") })])
        }
        _ => None,
    }));
    super::policy::raise(&mut w, 1);
    w.run(after(10));
    w.tell(Input::Said(said("1", "SM1")));
    let pages = |w: &World| {
        sent(w).iter().filter(|(_, to)| to.starts_with("mail service") || to.starts_with("call +49")).count()
    };
    w.run(after(300));
    assert!(view(&w).summary.closed_at.is_some() && pages(&w) > 0, "{}", w.timeline());
    w.run(after(6 * 3_600));
    assert!(
        w.timeline().contains("is not asked any more: what it was paged for has resolved itself"),
        "{}",
        w.timeline()
    );
    let before = pages(&w);
    w.run(after(12 * 3_600));
    assert_eq!(pages(&w), before, "{}", w.timeline());
}

/// Somebody of ours picks up while the driver has just confirmed: they hear that they are not needed.
#[test]
fn a_person_who_picks_up_after_it_has_resolved_itself_hears_so() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    w.script = Some(Box::new(|o| matches!(o.work, Work::Call(_)).then(|| vec![(1, Answer::accepted("CA"))])));
    brake(&mut w, 1, Change::Raised);
    w.run(after(185));
    let page = |o: &Order| matches!(&o.work, Work::Call(c) if c.to == "+4930111");
    let page = w.orders.iter().find(|(_, o)| page(o)).unwrap_or_else(|| panic!("{}", w.timeline())).1.effect;
    w.tell(Input::Said(said("1", "SM1")));
    assert_eq!(goal(&view(&w), "driver_told_to_stop"), "met", "{}", w.timeline());
    let said = w.tell(Input::Answered { effect: page, turn: 1, provider_ref: "CA".into() });
    let Some(Reply::Speech(speech)) = said else { panic!("{said:?}") };
    assert_eq!(speech.then, SpeechThen::HangUp);
    assert!(speech.text.contains("no longer needed"), "{}", speech.text);
    assert!(w.timeline().contains("safety-desk is not asked any more"), "{}", w.timeline());
}
