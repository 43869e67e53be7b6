//! Events in an order that nobody expects: a case that is opened again, a fault that comes back or grows worse, a provider
//! that thinks better of it. Nothing is lost by that, nothing is doubled, and nobody is told what is not so.

use std::sync::Arc;

use forewarn::desk::{Act, CaseView, Config, Input};
use forewarn::domain::{
    Agreed, AppProgress, At, BookingProgress, CallProgress, CaseId, Change, Consent, Detection, DispatchWork, EffectId,
    JobState, JobUpdate, Order, Outcome, Purpose, Receipt, ReceiptKind, Severity, Span, TicketWork, Work,
};

use super::appointments;
use super::desk_world::{Answer, Odds, World, brake, config, config_with, detection, facts, playbooks, start};
use super::life::{goal, says, texts, truck};
use super::policy::{SMS, after, book, on, raise, second_car, sent, tell, view};
use super::service::{TICKET, TOW, asked, job, of, tow_world};

fn find(w: &mut World, fault: &str, severity: Severity, n: u8, seq: u32, change: Change) {
    let found = detection(fault, severity, n, seq, change, w.now);
    w.tell(Input::Detection(Box::new(found)));
}

fn show(w: &World, id: &CaseId) -> CaseView {
    w.desk.show(id).unwrap()
}

fn close(w: &mut World) -> CaseId {
    let case = view(w).summary.id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "done".into() });
    case
}

fn requests(w: &World) -> Vec<EffectId> {
    let request = |o: &Order| matches!(o.work, Work::Dispatch(DispatchWork::Request(_)));
    w.orders.iter().filter(|(_, o)| request(o)).map(|(_, o)| o.effect).collect()
}

fn cancels(w: &World) -> usize {
    w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Dispatch(DispatchWork::Cancel { .. }))).count()
}

/// A truck's news that its provider counts.
fn news(w: &mut World, effect: EffectId, seq: u64, state: JobState, eta_at: Option<At>) {
    let update = JobUpdate { job: format!("J-{effect}"), state, eta_at, truck: None };
    let what = ReceiptKind::Dispatch { update };
    w.tell(Input::Receipt(Receipt { effect, provider_ref: None, seq: Some(seq), what }));
}

fn stands_for(w: &mut World, minutes: std::ops::Range<i64>) {
    let now = w.now;
    for minute in minutes {
        w.later(Span::from_mins(minute), facts(0.0, now + Span::from_mins(minute)));
    }
}

/// The car breaks down, is towed, and breaks down again on the same day: a person decides about a second truck, and until
/// then nobody speaks of the first.
#[test]
fn a_truck_that_came_the_last_time_is_not_spoken_of_and_proves_nothing() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    stands_for(&mut w, 1..40);
    w.run(after(7_200));
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
    let before = (w.speeches.len(), texts(&w).len());
    find(&mut w, "brake.circuit_loss", Severity::Critical, 2, 1, Change::Raised);
    w.run(after(7_800));
    assert_eq!((requests(&w).len(), w.desk.list(true, 9).len()), (1, 1), "{}", w.timeline());
    let said: Vec<&String> =
        w.speeches[before.0..].iter().map(|(_, text)| text).filter(|text| text.contains("Pannendienst")).collect();
    assert!(!said.is_empty() && said.iter().all(|text| text.contains("Wir organisieren Hilfe")), "{said:?}");
    assert!(texts(&w)[before.1..].iter().all(|text| !text.contains("Abschlepp")), "{:?}", texts(&w));
    assert_eq!(goal(&view(&w), "vehicle_safe"), "open", "the car drives at 80 km/h\n{}", w.timeline());
}

#[test]
fn a_truck_that_is_still_to_come_is_not_asked_for_a_second_time() {
    let config = config(|c| c.settings.costly_per_device_day = 9);
    let mut w = World::new(config, Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    w.run(after(60));
    assert_eq!(goal(&view(&w), "tow_accepted"), "met");
    close(&mut w);
    find(&mut w, "brake.circuit_loss", Severity::Critical, 2, 1, Change::Raised);
    w.run(after(120));
    assert_eq!(goal(&view(&w), "tow_accepted"), "met", "by the truck that is coming\n{}", w.timeline());
    stands_for(&mut w, 1..60);
    w.run(after(7_200));
    assert_eq!((requests(&w).len(), cancels(&w)), (1, 0), "{}", w.timeline());
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
}

#[test]
fn a_truck_that_cannot_help_after_all_opens_its_served_case_again() {
    use JobState::{Accepted, EnRoute, OnSite, Unsuccessful};
    let told = [(2, Accepted, Some(600)), (60, EnRoute, Some(600)), (600, OnSite, None), (900, Unsuccessful, None)];
    let mut w = truck(&told);
    w.run(after(800));
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
    w.run(after(1_000));
    let now = view(&w);
    assert!(now.summary.closed_at.is_none(), "{}", w.timeline());
    assert_ne!(goal(&now, "tow_accepted"), "met", "{}", w.timeline());
    assert!(w.timeline().contains("safety-desk is paged: no provider can help"), "{}", w.timeline());
    // One that a person has closed stays so, and people hear of it.
    let mut w = truck(&[(2, Accepted, Some(600)), (60, EnRoute, Some(600)), (300, JobState::Cancelled, None)]);
    w.run(after(200));
    close(&mut w);
    w.run(after(400));
    assert!(view(&w).summary.closed_at.is_some());
    assert!(w.timeline().contains("is paged: tow does not help: it cancelled"), "{}", w.timeline());
}

#[test]
fn a_truck_that_is_late_for_days_is_asked_for_less_and_less_often() {
    let mut w = truck(&[(2, JobState::Accepted, Some(1_800))]);
    let day = 86_400;
    w.run_long(after(3 * day), 1_000_000);
    let asked = |from: i64, to: i64| {
        let question = |o: &Order| matches!(o.work, Work::Dispatch(DispatchWork::Status { .. }));
        w.orders.iter().filter(|(at, o)| question(o) && *at >= after(from) && *at < after(to)).count()
    };
    assert!((25..=30).contains(&asked(0, 1_800)), "every minute while it is to come: {}", asked(0, 1_800));
    assert!((20..=24).contains(&asked(2 * day, 3 * day)), "every hour: {}", asked(2 * day, 3 * day));
}

#[test]
fn a_provider_that_says_yes_after_its_no_is_taken_if_nobody_else_comes() {
    for (other, kept) in [(JobState::NoProvider, true), (JobState::Accepted, false)] {
        let mut w = tow_world(|o| match o.work {
            Work::Dispatch(DispatchWork::Request(_)) => Some(vec![(1, Answer::accepted(&format!("J-{}", o.effect)))]),
            _ => None,
        });
        w.run(after(3));
        let first = requests(&w)[0];
        news(&mut w, first, 2, JobState::Declined, None);
        w.run(after(6));
        let second = requests(&w)[1];
        news(&mut w, second, 1, other, Some(after(1_500)));
        w.run(after(10));
        assert_eq!(goal(&view(&w), "tow_accepted"), if kept { "missed" } else { "met" }, "{}", w.timeline());
        news(&mut w, first, 1, JobState::Accepted, Some(after(900)));
        assert_eq!(cancels(&w), 0, "older than its no\n{}", w.timeline());
        news(&mut w, first, 3, JobState::Accepted, Some(after(900)));
        w.run(after(60));
        assert_eq!(goal(&view(&w), "tow_accepted"), "met", "{}", w.timeline());
        assert_eq!(w.timeline().contains("tow comes after all"), kept, "{}", w.timeline());
        assert_eq!(cancels(&w), usize::from(!kept), "one truck comes\n{}", w.timeline());
    }
}

#[test]
fn the_next_provider_is_the_same_costly_action_whatever_another_case_of_the_device_has_asked_for() {
    let plan =
        book("safety", "quiet_hours = \"ignore\"", "\"tow_accepted\"", TOW).replace("[\"a.b\"]", "[\"a.b\", \"c.d\"]");
    let second = config(|_| {}).providers["tow"].clone();
    let config = config_with(&plan, |c| {
        c.providers.insert("tow-b".into(), second);
        c.settings.costly_per_device_day = 2;
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    w.script = Some(Box::new(|o| match o.work {
        Work::Dispatch(DispatchWork::Request(_)) if o.adapter.as_str() == "tow" => {
            Some(vec![(1, Answer::accepted("J-1")), (20, job(JobState::Declined))])
        }
        _ => None,
    }));
    find(&mut w, "a.b", Severity::Critical, 1, 1, Change::Raised);
    w.run(after(10));
    find(&mut w, "c.d", Severity::Critical, 2, 1, Change::Raised);
    w.run(after(60));
    let both = [of("tow", 0), of("tow", 10), of("tow-b", 20), of("tow-b", 30)];
    assert_eq!(asked(&w), both, "{}", w.timeline());
}

#[test]
fn a_truck_that_names_no_time_and_does_not_come_is_asked_for_by_a_person() {
    let mut w = truck(&[(2, JobState::Accepted, None), (60, JobState::EnRoute, None)]);
    w.run(after(4_400));
    assert!(!w.timeline().contains("named no time"), "{}", w.timeline());
    w.run(after(4_600));
    assert!(w.timeline().contains("tow has accepted, named no time and has not arrived"), "{}", w.timeline());
}

/// What counts is what the driver was told, not what was promised first.
#[test]
fn an_arrival_that_slips_is_measured_by_what_was_said_last() {
    use JobState::{Accepted, EnRoute};
    let times = [(2, Accepted, Some(2_400)), (7, EnRoute, Some(600)), (60, EnRoute, Some(2_300))];
    let mut w = truck(&times);
    w.run(after(59));
    assert!(w.speeches[0].1.contains("in 10 Minuten"), "{:?}", w.speeches);
    let before = texts(&w).len();
    w.run(after(90));
    assert_eq!(texts(&w).len(), before + 1, "{}", w.timeline());
    assert!(texts(&w)[before].contains("38 min"), "{:?}", texts(&w));
}

/// The driver waits for a truck that has dropped out: the next one comes much later.
#[test]
fn the_driver_hears_that_another_truck_comes_later_than_the_first_one_would_have() {
    for (eta, told) in [(4_000, 1), (1_550, 0)] {
        let steps = TOW.replace("on = {", "on = { eta_slips = \"tell:driver\",");
        let plan = book("safety", "quiet_hours = \"ignore\"", "\"tow_accepted\"", &steps);
        let second = config(|_| {}).providers["tow"].clone();
        let config = config_with(&plan, |c| {
            c.providers.insert("tow-b".into(), second);
        });
        let mut w = World::new(config, Odds::friendly(), 1);
        w.script = Some(Box::new(move |o| match o.work {
            Work::Dispatch(DispatchWork::Request(_)) if o.adapter.as_str() == "tow" => {
                Some(vec![(1, Answer::accepted("J-1")), (2, job(JobState::Accepted)), (300, job(JobState::Cancelled))])
            }
            Work::Dispatch(DispatchWork::Request(_)) => {
                let update =
                    JobUpdate { job: "J-2".into(), state: JobState::Accepted, eta_at: Some(after(eta)), truck: None };
                Some(vec![(1, Answer::accepted("J-2")), (2, Answer::Report(ReceiptKind::Dispatch { update }))])
            }
            Work::Dispatch(DispatchWork::Status { .. }) => Some(vec![(1, Answer::accepted(""))]),
            _ => None,
        }));
        raise(&mut w, 1);
        w.run(after(400));
        let later: Vec<String> = texts(&w).into_iter().filter(|text| text.contains("verspätet")).collect();
        assert_eq!(later.len(), told, "{later:?}\n{}", w.timeline());
        assert!(later.iter().all(|text| text.contains("62 min")), "{later:?}");
    }
}

/// Nothing could be sent before the fault was gone: there is nothing to apologise for.
#[test]
fn nobody_hears_that_a_warning_is_over_of_which_nobody_has_heard() {
    for (able, hears) in [(false, false), (true, true)] {
        let mut w = World::new(config(|_| {}), Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
        w.script = Some(Box::new(move |o| match &o.work {
            Work::Sms(sms) if able || sms.body.contains("aufgehoben") => None,
            Work::Sms(_) | Work::Call(_) | Work::App(_) => {
                Some(vec![(1, Answer::Outcome(Outcome::Retry { after: None, reason: "503".into() }))])
            }
            _ => None,
        }));
        w.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
        w.run(after(10));
        w.tell(Input::Detection(Box::new(brake(2, Change::Cleared, after(10)))));
        w.run(after(600));
        assert_eq!(texts(&w).iter().any(|text| text.contains("aufgehoben")), hears, "{}", w.timeline());
        assert_eq!(view(&w).summary.outcome.as_deref(), Some("false_alarm"), "{}", w.timeline());
    }
}

#[test]
fn a_case_that_is_opened_again_is_not_silent_because_of_what_was_said_the_last_time() {
    let mut w = World::new(config_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {}), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(after(60));
    assert_eq!(texts(&w).len(), 1);
    close(&mut w);
    w.script = Some(Box::new(|o| {
        let retry = Outcome::Retry { after: None, reason: "503".into() };
        matches!(o.work, Work::Sms(_)).then(|| vec![(1, Answer::Outcome(retry))])
    }));
    raise(&mut w, 2);
    w.run(after(60 + 29 * 60));
    assert!(!w.timeline().contains("nobody has been told anything yet"), "{}", w.timeline());
    w.run(after(60 + 31 * 60));
    assert!(w.timeline().contains("is paged: nobody has been told anything yet"), "{}", w.timeline());
}

/// At 21:30 in Vienna.
fn evening() -> i64 {
    10 * 3_600 + 1_800
}

/// Nine in the morning after.
fn morning() -> i64 {
    22 * 3_600
}

#[test]
fn what_a_merged_case_had_to_say_waits_for_the_end_of_the_other_one() {
    let plan = book("service", "quiet_hours = \"respect\"", "\"told\"", &tell(SMS));
    let mut w = World::new(config_with(&plan, |c| second_car(c, "car-2")), Odds::friendly(), 1);
    w.run(after(evening()));
    raise(&mut w, 1);
    let part = view(&w).summary.id;
    w.run(after(evening() + 60));
    on(&mut w, "car-2", 2);
    let whole = view(&w).summary.id;
    w.tell(Input::Act { case: Some(part), actor: "kim".into(), act: Act::Merge { into: whole } });
    w.run(after(morning()));
    let told =
        |w: &World, id: CaseId| w.orders.iter().filter(|(_, o)| o.case == id && matches!(o.work, Work::Sms(_))).count();
    assert_eq!((told(&w, part), told(&w, whole)), (0, 1), "{}", w.timeline());
    let waits = show(&w, &part).waits;
    assert!(waits.iter().any(|wait| wait.why.contains("which it is part of")), "{waits:?}");
    w.tell(Input::Close { case: whole, actor: "kim".into(), reason: "done".into() });
    w.run(after(morning() + 600));
    assert_eq!(told(&w, part), 1, "it goes on by itself");
}

/// A technician is announced for the morning, and declines in the night.
#[test]
fn what_has_ceased_to_be_true_is_not_said_until_it_is_true_again() {
    let steps = tell(SMS).replace("do = \"reach\"", "do = \"reach\"\nwhen = \"device.load > 5\"");
    let plan = book("service", "quiet_hours = \"respect\"", "\"told\"", &steps);
    let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
    w.run(after(evening()));
    raise(&mut w, 1);
    says(&mut w, "load", 9.0);
    w.run(after(evening() + 60));
    says(&mut w, "load", 1.0);
    w.run(after(morning()));
    assert_eq!(texts(&w).len(), 0, "{}", w.timeline());
    assert!(view(&w).waits.iter().any(|wait| wait.why == "device.load > 5 to be true again"), "{:?}", view(&w).waits);
    says(&mut w, "load", 9.0);
    w.run(after(morning() + 120));
    assert_eq!(texts(&w).len(), 1, "{}", w.timeline());
}

const CORRECT: &str = r#"
[[step]]
id = "fix"
do = "command"
topic = "fleet/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"soft_reset","valid_until":"{{ action.expires }}"}'
expires = "2m"
allow = ["soft_reset"]
guard = ["same_command_on_device_last_24h < 2"]
reply = { topic = "fleet/{{ device.id }}/cmd/ack", match = "id", within = "30s" }
verify = { expect = "fault.score < 0.2 for 10m", within = "30m" }
goal = "corrected"
on = { not_verified = "human:service-desk" }
[[step]]
id = "tell"
do = "reach"
after = ["fix"]
who = ["driver"]
goal = "told"
until = "accepted"
script = "fixed-remotely"
ladder = [{ via = "email", at = "0s" }, { via = "human", at = "2d", queue = "service-desk" }]
"#;

/// Corrected in the evening; in the night the fault is back, while the good news waits for the morning.
#[test]
fn a_fault_that_comes_back_is_corrected_again_and_nobody_hears_that_it_is_gone() {
    for mended in [true, false] {
        let plan = book("service", "quiet_hours = \"respect\"", "\"corrected\", \"told\"", CORRECT);
        let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
        let done = ReceiptKind::Command { ok: true, detail: String::new() };
        w.script = Some(Box::new(move |o| {
            let reply = || vec![(1, Answer::accepted("")), (2, Answer::Report(done.clone()))];
            matches!(o.work, Work::Command(_)).then(reply)
        }));
        let commands = |w: &World| w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Command(_))).count();
        let mails = |w: &World| sent(w).iter().filter(|(_, to)| to == "mail jane@example.com").count();
        w.run(after(evening()));
        find(&mut w, "a.b", Severity::Major, 1, 1, Change::Raised);
        w.run(after(evening() + 60));
        find(&mut w, "a.b", Severity::Major, 1, 2, Change::Cleared);
        w.run(after(evening() + 900));
        assert_eq!((goal(&view(&w), "corrected").as_str(), mails(&w)), ("met", 0), "{}", w.timeline());
        find(&mut w, "a.b", Severity::Major, 2, 1, Change::Raised);
        assert_eq!(goal(&view(&w), "corrected"), "open", "{}", w.timeline());
        w.run(after(evening() + 1_000));
        assert_eq!(commands(&w), 2, "{}", w.timeline());
        if mended {
            find(&mut w, "a.b", Severity::Major, 2, 2, Change::Cleared);
        }
        w.run(after(morning()));
        assert_eq!(mails(&w), usize::from(mended), "{}", w.timeline());
        assert_eq!(w.timeline().contains("the command did not help"), !mended, "{}", w.timeline());
        assert_eq!(view(&w).summary.outcome.as_deref(), mended.then_some("served"), "{}", w.timeline());
    }
}

fn two_plans(keys: [&str; 2]) -> Arc<Config> {
    let plan = |id: &str, severity: &str, key: &str, purpose: &str, more: &str, ladder: &str| {
        let text = book(purpose, more, "\"told\"", &tell(ladder)).replace("id = \"test\"", &format!("id = \"{id}\""));
        let text = text.replace("fault = [\"a.b\"]", &format!("fault = [\"a.b\"]\nseverity = \"{severity}\""));
        text.replace("reopen = \"1h\"", &format!("reopen = \"1h\"\nkey = \"{key}\""))
    };
    config(|c| {
        let wear = plan("wear", "warning", keys[0], "service", "", SMS);
        let danger = plan("danger", "critical", keys[1], "safety", "quiet_hours = \"ignore\"", SMS);
        c.playbooks = [playbooks(c, &wear), playbooks(c, &danger)].concat();
    })
}

#[test]
fn what_was_wearing_out_and_breaks_gets_the_plan_for_danger() {
    let keys = ["{{ device.id }}/{{ fault.part.id }}", "{{ device.id }}/{{ fault.family }}"];
    for keys in [keys, [keys[1], keys[1]]] {
        let mut w = World::new(two_plans(keys), Odds::friendly(), 1);
        find(&mut w, "a.b", Severity::Warning, 1, 1, Change::Raised);
        w.run(after(60));
        let first = view(&w).summary.id;
        assert_eq!((view(&w).playbook.as_str(), texts(&w).len()), ("wear version 1", 1));
        find(&mut w, "a.b", Severity::Critical, 1, 2, Change::Moved);
        w.run(after(120));
        let now = view(&w);
        assert_eq!(
            (now.playbook.as_str(), texts(&w).len(), w.desk.list(true, 9).len()),
            ("danger version 1", 2, 2),
            "{}",
            w.timeline()
        );
        assert_eq!(show(&w, &first).summary.outcome.as_deref(), Some("worse"));
        // It gets better: that is news for the case there is, and opens nothing.
        find(&mut w, "a.b", Severity::Warning, 1, 3, Change::Moved);
        w.run(after(180));
        assert_eq!((w.desk.list(true, 9).len(), view(&w).summary.severity), (2, Severity::Warning));
        find(&mut w, "a.b", Severity::Warning, 1, 4, Change::Cleared);
        assert!(w.timeline().contains("a.b has cleared"), "{}", w.timeline());
    }
}

/// Another episode of the same key, found to be dangerous.
#[test]
fn danger_does_not_join_a_case_that_is_about_wear() {
    let key = "{{ device.id }}/{{ fault.family }}";
    let mut w = World::new(two_plans([key, key]), Odds::friendly(), 1);
    find(&mut w, "a.b", Severity::Warning, 1, 1, Change::Raised);
    w.run(after(60));
    let first = view(&w).summary.id;
    find(&mut w, "a.b", Severity::Critical, 2, 1, Change::Raised);
    w.run(after(120));
    assert_eq!((view(&w).playbook.as_str(), texts(&w).len()), ("danger version 1", 2), "{}", w.timeline());
    assert!(show(&w, &first).summary.closed_at.is_none(), "its own episode goes on");
}

#[test]
fn a_served_case_is_not_taken_up_again_because_it_gets_better() {
    let mut w = World::new(config_with(&book("service", "", "\"ticket_open\"", TICKET), |_| {}), Odds::friendly(), 1);
    find(&mut w, "a.b", Severity::Major, 1, 1, Change::Raised);
    w.run(after(60));
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"));
    find(&mut w, "a.b", Severity::Warning, 1, 2, Change::Moved);
    w.run(after(120));
    assert!(!w.timeline().contains("reopened"), "{}", w.timeline());
    find(&mut w, "a.b", Severity::Critical, 1, 3, Change::Moved);
    w.run(after(180));
    assert!(w.timeline().contains("case reopened"), "{}", w.timeline());
}

/// One of two findings was looked after; then the other becomes as bad, or nearly.
#[test]
fn a_closed_case_is_taken_up_again_when_another_of_its_findings_gets_worse() {
    for severity in [Severity::Critical, Severity::Major] {
        let plan = book("service", "", "\"ticket_open\"", TICKET);
        let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
        find(&mut w, "a.b", Severity::Critical, 1, 1, Change::Raised);
        find(&mut w, "a.b", Severity::Minor, 2, 1, Change::Raised);
        w.run(after(60));
        assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"));
        find(&mut w, "a.b", severity, 2, 2, Change::Moved);
        w.run(after(120));
        assert!(w.timeline().contains("case reopened"), "{}", w.timeline());
    }
}

#[test]
fn of_two_findings_the_worse_one_says_how_bad_it_is() {
    let mut w = World::new(config_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {}), Odds::friendly(), 1);
    let severity = |w: &World| view(w).summary.severity;
    find(&mut w, "a.b", Severity::Critical, 1, 1, Change::Raised);
    find(&mut w, "a.b", Severity::Major, 2, 1, Change::Raised);
    find(&mut w, "a.b", Severity::Minor, 2, 2, Change::Moved);
    assert_eq!(severity(&w), Severity::Critical, "the first is as it was");
    find(&mut w, "a.b", Severity::Critical, 1, 2, Change::Cleared);
    find(&mut w, "a.b", Severity::Warning, 2, 3, Change::Moved);
    assert_eq!(severity(&w), Severity::Warning);
}

fn ticket_orders(w: &World) -> Vec<&'static str> {
    let name = |o: &Order| match &o.work {
        Work::Ticket(TicketWork::Create { .. }) => Some("create"),
        Work::Ticket(TicketWork::Close { .. }) => Some("close"),
        Work::Ticket(TicketWork::Note { reopens, .. }) => Some(if *reopens { "reopen" } else { "note" }),
        _ => None,
    };
    w.orders.iter().filter_map(|(_, o)| name(o)).collect()
}

#[test]
fn a_case_that_is_opened_again_has_an_open_ticket() {
    let mut w = World::new(config_with(&book("service", "", "\"ticket_open\"", TICKET), |_| {}), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(after(60));
    assert_eq!(ticket_orders(&w), ["create", "close"]);
    raise(&mut w, 2);
    w.run(after(120));
    assert_eq!(ticket_orders(&w), ["create", "close", "reopen", "close"], "{}", w.timeline());
    // A closing that has not gone out is not sent any more.
    let plan = book("service", "", "\"told\", \"ticket_open\"", &format!("{TICKET}{}", tell(SMS)));
    let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
    w.script = Some(Box::new(|o| match o.work {
        Work::Ticket(TicketWork::Close { .. }) => {
            let after = Some(Span::from_mins(5));
            Some(vec![(1, Answer::Outcome(Outcome::Retry { after, reason: "503".into() }))])
        }
        _ => None,
    }));
    raise(&mut w, 1);
    w.run(after(60));
    close(&mut w);
    w.run(after(120));
    raise(&mut w, 2);
    w.run(after(1_200));
    assert_eq!(ticket_orders(&w), ["create", "close", "note"], "{}", w.timeline());
}

#[test]
fn a_part_is_not_ordered_again_because_the_workshop_has_no_time_after_all() {
    let (mut w, effect, _) = appointments::confirmed(config(|_| {}));
    let parts = |w: &World| w.orders.iter().filter(|(_, o)| o.adapter.as_str() == "parts").count();
    assert_eq!(parts(&w), 1);
    assert!(appointments::callback(&mut w, effect, 3, BookingProgress::Cancelled, None));
    w.run(after(900));
    appointments::choose(&mut w, "1");
    w.run(after(1_200));
    assert_eq!(appointments::goal(&w, "appointment_confirmed"), "met", "{}", w.timeline());
    assert_eq!((parts(&w), appointments::goal(&w, "part_ordered").as_str()), (1, "met"), "{}", w.timeline());
}

/// The line is ringing when somebody opts out, the app says later that it was read, and the phone network reports in the
/// wrong order: one answer is one answer.
#[test]
fn answers_that_come_twice_and_late_count_once() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    w.script =
        Some(Box::new(|o| matches!(o.work, Work::Call(_) | Work::App(_)).then(|| vec![(1, Answer::accepted("X"))])));
    w.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    w.run(after(10));
    let find = |w: &World, which: fn(&Work) -> bool| w.orders.iter().find(|(_, o)| which(&o.work)).unwrap().1.effect;
    let (call, push) = (find(&w, |o| matches!(o, Work::Call(_))), find(&w, |o| matches!(o, Work::App(_))));
    let receipt = |w: &mut World, effect, seq, what| {
        w.tell(Input::Receipt(Receipt { effect, provider_ref: None, seq, what }));
    };
    let ended = ReceiptKind::Call { progress: CallProgress::Completed };
    receipt(&mut w, call, Some(9), ended.clone());
    receipt(&mut w, call, Some(3), ReceiptKind::Call { progress: CallProgress::InProgress });
    receipt(&mut w, push, None, ReceiptKind::Key { digit: '1' });
    receipt(&mut w, push, None, ReceiptKind::Key { digit: '1' });
    receipt(&mut w, push, Some(1), ReceiptKind::App { progress: AppProgress::Opened });
    receipt(&mut w, call, Some(9), ended);
    w.run(after(120));
    assert_eq!(goal(&view(&w), "driver_told_to_stop"), "met", "{}", w.timeline());
    assert_eq!(w.timeline().matches("was answered with tap 1").count(), 1, "{}", w.timeline());
    let calls = sent(&w).iter().filter(|(_, to)| to.starts_with("call +43")).count();
    assert_eq!(calls, 1, "nobody is called who has answered\n{}", w.timeline());
}

/// A clock that is set back, and nothing is sent twice or forgotten.
#[test]
fn a_clock_that_goes_back_loses_and_doubles_nothing() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    w.run(after(20));
    w.now = after(-3_600);
    w.tell(Input::Wake);
    stands_for(&mut w, 1..160);
    w.run(after(3 * 3_600));
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
    assert_eq!((requests(&w).len(), ticket_orders(&w).iter().filter(|t| **t == "create").count()), (1, 1));
}

/// A message of unknown fate: what is only good to know is not said twice, anything else goes on by the next way.
#[test]
fn what_is_only_good_to_know_and_may_have_arrived_is_not_said_again() {
    for (purpose, mails) in [("info", 0), ("service", 1)] {
        let ladder = "{ via = \"sms\", at = \"0s\" }, { via = \"email\", at = \"30m\" }, \
             { via = \"human\", at = \"2h\", queue = \"service-desk\" }";
        let steps = tell(ladder).replace("brake-stop-now", "survey");
        let plan = book(purpose, "", "\"told\"", &steps);
        let mut w = World::new(
            config_with(&plan, |c| {
                let mut registry = (*c.registry).clone();
                let jane = registry.customers.get_mut("c-1").unwrap();
                jane.consents.push(Consent { to: Agreed::Contact(Purpose::Info), ..jane.consents[0].clone() });
                c.registry = Arc::new(registry);
            }),
            Odds::friendly(),
            1,
        );
        w.script = Some(Box::new(|o| matches!(o.work, Work::Sms(_)).then(|| vec![(1, Answer::unknown())])));
        raise(&mut w, 1);
        w.run(after(3_600));
        assert_eq!(sent(&w).iter().filter(|(_, to)| to == "mail jane@example.com").count(), mails, "{}", w.timeline());
        assert_eq!(view(&w).summary.outcome.is_some(), purpose == "info", "{}", w.timeline());
    }
}

/// The customer has no address at all: people of ours hear of it.
#[test]
fn who_cannot_be_reached_by_any_way_is_a_persons_business_at_once() {
    let mut w = World::new(
        config(|c| {
            let mut registry = (*c.registry).clone();
            registry.customers.values_mut().for_each(|customer| customer.endpoints.clear());
            c.registry = Arc::new(registry);
        }),
        Odds::friendly(),
        1,
    );
    w.tell(Input::Detection(Box::new(Detection { ..brake(1, Change::Raised, start()) })));
    w.run(after(5));
    assert!(w.timeline().contains("safety-desk is paged"), "{}", w.timeline());
    assert_eq!(requests(&w).len(), 1, "and the truck comes\n{}", w.timeline());
}

/// A night that ends while the clocks change, in the zone of the recipient.
#[test]
fn quiet_hours_end_at_their_hour_on_the_days_when_clocks_change() {
    let window: forewarn::desk::QuietWindow = "21:00-08:00".parse().unwrap();
    let early: forewarn::desk::QuietWindow = "22:00-02:30".parse().unwrap();
    for (window, now, free) in [
        // Vienna: clocks go forward on the 29th of March, back on the 25th of October.
        (&window, "2026-03-28T20:30:00Z", "2026-03-29T06:00:00Z"),
        (&window, "2026-10-24T20:30:00Z", "2026-10-25T07:00:00Z"),
        // There is no 02:30 on that night; and there are two on the other: the second ends it.
        (&early, "2026-03-28T23:30:00Z", "2026-03-29T01:30:00Z"),
        (&early, "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"),
    ] {
        let free: At = free.parse().unwrap();
        let found = window.free_at(now.parse().unwrap(), "Europe/Vienna");
        assert_eq!(found, Some(free), "{now}");
        assert_eq!(window.free_at(free, "Europe/Vienna"), None, "and then it is over");
    }
}
