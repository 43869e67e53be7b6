//! What a service does when things go another way, in virtual time: each test one promise of the desk.

use std::collections::BTreeMap;
use std::sync::Arc;

use forewarn::desk::{CaseView, EffectView, Input, Provider, ProviderKind};
use forewarn::domain::{
    At, CallProgress, Change, Detection, Device, DispatchWork, JobState, JobUpdate, Order, OrderKind, Outcome,
    ReceiptKind, Severity, Span, TicketWork, Value, Work,
};

use super::desk_world::{Answer, DEVICE, Odds, World, config, config_with, detection, facts, start};

fn book(purpose: &str, more: &str, goals: &str, steps: &str) -> String {
    format!(
        "schema = \"playbook/1\"\nid = \"test\"\nversion = 1\n[match]\nfault = [\"a.b\"]\n[case]\nreopen = \"1h\"\n\
         goals = [{goals}]\n[policy]\npurpose = \"{purpose}\"\n{more}\n{steps}"
    )
}

/// A world with this playbook in which the fault has just been detected.
fn world(book: &str) -> World {
    let mut world = World::new(config_with(book, |_| {}), Odds::friendly(), 1);
    raise(&mut world, 1);
    world
}

fn raise(world: &mut World, episode: u8) {
    let detection = detection("a.b", Severity::Critical, episode, 1, Change::Raised, world.now);
    world.tell(Input::Detection(Box::new(detection)));
}

fn view(world: &World) -> CaseView {
    world.desk.show(&world.desk.list(true, 1)[0].id).unwrap()
}

fn goal<'a>(view: &'a CaseView, name: &str) -> &'a str {
    &view.goals.iter().find(|g| g.name == name).unwrap().state
}

fn seconds(at: At) -> i64 {
    at.since(start()).as_micros() / 1_000_000
}

/// When orders that `which` picks were released, in seconds.
fn when(world: &World, which: impl Fn(&Order) -> bool) -> Vec<i64> {
    world.orders.iter().filter(|(_, o)| which(o)).map(|(at, _)| seconds(*at)).collect()
}

fn is_command(order: &Order) -> bool {
    matches!(order.work, Work::Command(_))
}

fn is_request(order: &Order) -> bool {
    matches!(order.work, Work::Dispatch(DispatchWork::Request(_)))
}

fn is_call(order: &Order) -> bool {
    matches!(order.work, Work::Call(_))
}

/// The device says something.
fn says(world: &mut World, name: &str, value: f64) {
    let values = BTreeMap::from([(name.to_owned(), Value::from(value))]);
    world.tell(Input::Facts { device: DEVICE.into(), event_at: world.now, values });
}

fn after(secs: i64) -> At {
    start() + Span::from_secs(secs)
}

const FIX: &str = r#"
[[step]]
id = "fix"
do = "command"
topic = "fleet/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"soft_reset","valid_until":"{{ action.expires }}"}'
expires = "2m"
allow = ["soft_reset"]
guard = ["device.speed == 0"]
reply = { topic = "fleet/{{ device.id }}/cmd/ack", match = "id", within = "30s" }
verify = { expect = "device.score < 0.2 for 10m", within = "30m" }
goal = "corrected"
on = { refused = "goto:visit", no_reply = "again:1", not_verified = "goto:visit" }
[[step]]
id = "visit"
do = "human"
when = "goto"
queue = "service-desk"
"#;

fn fix() -> String {
    book("service", "", "\"corrected\"", FIX)
}

fn reply(ok: bool) -> Vec<(i64, Answer)> {
    let detail = if ok { "" } else { "busy" };
    vec![(1, Answer::accepted("")), (2, Answer::Report(ReceiptKind::Command { ok, detail: detail.into() }))]
}

#[test]
fn a_command_waits_for_its_guard_and_is_proven_by_telemetry() {
    let mut w = world(&fix());
    w.script = Some(Box::new(|o| is_command(o).then(|| reply(true))));
    w.run(after(60));
    assert_eq!(when(&w, is_command), [0; 0], "the car drives: nothing is sent");
    says(&mut w, "speed", 0.0);
    w.run(after(61));
    assert_eq!(when(&w, is_command), [60]);
    let Work::Command(command) = &w.orders[0].1.work else { panic!("a command") };
    assert_eq!(
        (command.topic.as_str(), command.expires_at),
        ("fleet/car-1/cmd", after(90)),
        "no longer than the answer"
    );
    assert!(command.payload.contains(&w.orders[0].1.effect.to_string()), "{}", command.payload);
    w.run(after(120));
    assert_eq!(goal(&view(&w), "corrected"), "open", "the device has done it; the telemetry has not said so");
    says(&mut w, "score", 0.1);
    w.run(after(719));
    assert_eq!(goal(&view(&w), "corrected"), "open");
    w.run(after(721));
    assert_eq!(goal(&view(&w), "corrected"), "met", "{}", w.timeline());
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"));
}

#[test]
fn a_command_that_does_not_help_or_is_refused_or_guarded_for_ever_ends_with_a_person() {
    // It helps nothing.
    let mut w = world(&fix());
    w.script = Some(Box::new(|o| is_command(o).then(|| reply(true))));
    says(&mut w, "speed", 0.0);
    w.run(after(2 + 29 * 60));
    assert!(!w.timeline().contains("service-desk is paged"));
    w.run(after(5 + 30 * 60));
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    // The device refuses.
    let mut w = world(&fix());
    w.script = Some(Box::new(|o| is_command(o).then(|| reply(false))));
    says(&mut w, "speed", 0.0);
    w.run(after(4));
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    assert_eq!(when(&w, is_command), [0], "a refusal is not argued with");
    // It never stops.
    let mut w = world(&fix());
    w.run(after(11 * 60));
    assert_eq!(when(&w, is_command), [0; 0]);
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
}

#[test]
fn a_silent_device_is_asked_once_more_and_then_a_person() {
    let mut w = world(&fix());
    w.script = Some(Box::new(|o| is_command(o).then(|| vec![(1, Answer::accepted(""))])));
    says(&mut w, "speed", 0.0);
    w.run(after(300));
    let sent = when(&w, is_command);
    assert_eq!(sent.len(), 2, "{sent:?}\n{}", w.timeline());
    assert!(sent[1] >= 30, "not before the first has expired: {sent:?}");
    assert_ne!(w.orders[0].1.effect, w.orders[1].1.effect, "the second is told from the first");
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
}

const LOOK: &str = "[[step]]\nid = \"look\"\ndo = \"human\"\nqueue = \"service-desk\"\ngoal = \"looked\"\n";

#[test]
fn a_human_step_ends_when_somebody_takes_the_case_and_when_waits_for_its_condition() {
    let steps = format!("{LOOK}when = \"device.temp > 80 for 1m\"\n");
    let mut w = world(&book("service", "", "\"looked\"", &steps));
    w.run(after(10));
    says(&mut w, "temp", 90.0);
    w.run(after(69));
    assert!(!w.timeline().contains("is paged"), "{}", w.timeline());
    w.run(after(71));
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    let case = view(&w).summary.id;
    assert_eq!(goal(&view(&w), "looked"), "open");
    w.tell(Input::Ack { case, actor: "kim".into() });
    assert_eq!(goal(&view(&w), "looked"), "met");
    assert_eq!(view(&w).goals[0].met_by.as_deref(), Some("person: kim"));
}

pub(super) const TICKET: &str =
    "[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\ngoal = \"ticket_open\"\n";

#[test]
fn the_same_fault_inside_the_window_reopens_its_case_and_later_opens_another() {
    let mut w = world(&book("service", "", "\"ticket_open\"", TICKET));
    w.run(after(600));
    let first = view(&w).summary;
    assert_eq!(first.outcome.as_deref(), Some("served"));
    raise(&mut w, 2);
    w.run(after(1_200));
    assert_eq!(w.desk.list(true, 9).len(), 1, "the same case");
    assert!(view(&w).summary.id == first.id && w.timeline().contains("case reopened"), "{}", w.timeline());
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
    let creates = when(&w, |o| matches!(o.work, Work::Ticket(TicketWork::Create { .. })));
    assert_eq!(creates.len(), 1, "its ticket goes on");
    // An hour after its end it is another case; and the newest case of the key is found by a start, too.
    for n in 3..9 {
        let now = w.now + Span::from_hours(2);
        w.run(now);
        raise(&mut w, n);
        w.run(now + Span::from_mins(5));
        let newest = view(&w).summary.id;
        assert_eq!(w.desk.list(true, 9).len(), usize::from(n) - 1);
        w.desk = w.loaded();
        raise(&mut w, n + 100);
        w.run(now + Span::from_mins(10));
        assert_eq!(w.desk.list(true, 1)[0].id, newest, "reopened, not another one");
    }
}

#[test]
fn a_closed_case_is_forgotten_after_its_retention_with_all_its_rows() {
    let book = book("service", "", "\"ticket_open\"", TICKET);
    let config = config_with(&book, |c| c.settings.retention = Span::from_hours(24));
    let mut w = World::new(config, Odds::friendly(), 1);
    raise(&mut w, 1);
    let over = detection("a.b", Severity::Critical, 1, 2, Change::Cleared, start());
    w.later(Span::from_secs(60), Input::Detection(Box::new(over)));
    w.run(after(23 * 3_600));
    assert_eq!(w.desk.list(true, 9).len(), 1);
    w.run(after(27 * 3_600));
    assert_eq!(w.desk.list(true, 9).len(), 0);
    let left: Vec<char> = w.stored().map(|key| char::from(key[0])).filter(|tag| "cseajthdlfb".contains(*tag)).collect();
    assert!(left.is_empty(), "rows of a forgotten case: {left:?}");
    assert_eq!(w.desk.wake_at(), None, "and nothing wakes up for it");
}

const LADDER: &str = "[[step]]\nid = \"warn\"\ndo = \"reach\"\nwho = [\"driver\", \"owner\", \"fleet\"]\ngoal = \"told\"\n\
    until = \"human_confirmed\"\nscript = \"brake-stop-now\"\n\
    ladder = [{ via = \"call\", at = \"0s\", attempts = 5, gap = \"15s\" }, { via = \"sms\", at = \"10m\" }, \
    { via = \"human\", at = \"20m\", queue = \"safety-desk\" }]\n";

fn busy() -> Vec<(i64, Answer)> {
    let progress = CallProgress::Busy;
    vec![(1, Answer::accepted("CA")), (2, Answer::Report(ReceiptKind::Call { progress }))]
}

fn waiting(view: &CaseView) -> Option<&EffectView> {
    view.effects.iter().find(|e| e.waits_for.is_some())
}

fn to_driver(order: &Order) -> bool {
    matches!(&order.work, Work::Call(c) if c.to == "+43111")
}

#[test]
fn a_case_calls_no_more_often_than_its_playbook_allows() {
    let more = "quiet_hours = \"ignore\"\ncontact_max = { calls = 2, per = \"5m\" }";
    let book = book("safety", more, "\"told\"", LADDER);
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    w.script = Some(Box::new(|o| is_call(o).then(busy)));
    raise(&mut w, 1);
    w.run(after(100));
    let (shown, calls) = (view(&w), when(&w, to_driver));
    assert_eq!(calls.len(), 2, "{calls:?}");
    let effect = waiting(&shown).unwrap();
    assert_eq!(effect.waits_for.as_deref(), Some("contact limit of the playbook"));
    assert_eq!(effect.not_before_at, Some(after(300)));
    w.run(after(302));
    assert_eq!(when(&w, to_driver), [0, calls[1], 300], "{}", w.timeline());
}

#[test]
fn our_own_limits_of_a_provider_hold_and_are_visible() {
    let book = book("safety", "quiet_hours = \"ignore\"", "\"told\"", LADDER);
    for (limit, name, free) in [
        ((|p| p.per_second = Some(1)) as fn(&mut Provider), "rate of phone", Span::from_secs(1)),
        (|p| p.per_hour = Some(1), "hourly budget of phone", Span::from_hours(1)),
    ] {
        let config = config_with(&book, |c| {
            limit(c.providers.get_mut("phone").unwrap());
            let mut registry = (*c.registry).clone();
            let second = Device { id: "car-2".into(), ..registry.devices[DEVICE].clone() };
            registry.devices.insert(second.id.clone(), second);
            c.registry = Arc::new(registry);
        });
        let mut w = World::new(config, Odds::friendly(), 1);
        w.script = Some(Box::new(|o| is_call(o).then(Vec::new)));
        raise(&mut w, 1);
        // The second car needs the same provider in the same moment.
        let other = detection("a.b", Severity::Critical, 2, 1, Change::Raised, w.now);
        let other = Detection { device: "car-2".into(), ..other };
        w.tell(Input::Detection(Box::new(other)));
        assert_eq!(when(&w, is_call), [0], "{name}");
        let held = w.desk.list(true, 9).into_iter().filter_map(|c| {
            let view = w.desk.show(&c.id).unwrap();
            waiting(&view).map(|e| (e.waits_for.clone().unwrap(), e.not_before_at.unwrap()))
        });
        assert_eq!(held.collect::<Vec<_>>(), [(name.to_owned(), start() + free)]);
    }
}

pub(super) const TOW: &str = "[[step]]\nid = \"tow\"\ndo = \"dispatch\"\nservice = \"tow\"\ngoal = \"tow_accepted\"\n\
    provider = [\"tow\", \"tow-b\"]\ndeadline = { accept = \"90s\" }\n\
    on = { declined = \"next_provider\", no_provider = \"human:safety-desk\" }\n";

pub(super) fn tow_world(script: impl FnMut(&Order) -> Option<Vec<(i64, Answer)>> + 'static) -> World {
    let book = book("safety", "quiet_hours = \"ignore\"", "\"tow_accepted\"", TOW);
    let second = Provider {
        kind: ProviderKind::Dispatch,
        per_second: None,
        per_hour: None,
        per_day: None,
        capacity: None,
        concurrency: None,
        workshop: None,
    };
    let config = config_with(&book, |c| {
        c.providers.insert("tow-b".into(), second);
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    w.script = Some(Box::new(script));
    raise(&mut w, 1);
    w
}

pub(super) fn job(state: JobState) -> Answer {
    let eta_at = matches!(state, JobState::Accepted).then(|| after(1_500));
    Answer::Report(ReceiptKind::Dispatch { update: JobUpdate { job: "J-1".into(), state, eta_at, truck: None } })
}

pub(super) fn asked(w: &World) -> Vec<(String, i64)> {
    let requests = w.orders.iter().filter(|(_, o)| is_request(o) && o.kind == OrderKind::Send);
    requests.map(|(at, o)| (o.adapter.to_string(), seconds(*at))).collect()
}

pub(super) fn of(name: &str, at: i64) -> (String, i64) {
    (name.to_owned(), at)
}

#[test]
fn the_second_provider_is_asked_after_a_no() {
    let mut w = tow_world(|o| match (is_request(o), o.adapter.as_str()) {
        (true, "tow") => Some(vec![(3, Answer::Outcome(Outcome::Rejected { reason: "422 no_provider".into() }))]),
        _ => None,
    });
    w.run(after(30));
    assert_eq!(asked(&w), [of("tow", 0), of("tow-b", 3)], "{}", w.timeline());
    assert_eq!(goal(&view(&w), "tow_accepted"), "met");
    assert!(!w.timeline().contains("is paged"), "{}", w.timeline());
}

#[test]
fn the_second_provider_is_asked_after_silence_and_a_late_yes_of_the_first_is_taken_back() {
    let mut w = tow_world(|o| match (&o.work, o.adapter.as_str()) {
        (Work::Dispatch(DispatchWork::Request(_)), "tow") => {
            Some(vec![(1, Answer::accepted("J-1")), (200, job(JobState::Accepted))])
        }
        _ => None,
    });
    w.run(after(89));
    assert_eq!(asked(&w), [of("tow", 0)]);
    w.run(after(150));
    assert_eq!(asked(&w), [of("tow", 0), of("tow-b", 90)], "{}", w.timeline());
    assert_eq!(goal(&view(&w), "tow_accepted"), "met");
    w.run(after(300));
    let cancels = w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Dispatch(DispatchWork::Cancel { .. })));
    let cancels: Vec<_> = cancels.map(|(_, o)| o.adapter.to_string()).collect();
    assert_eq!(cancels, ["tow"], "one truck comes\n{}", w.timeline());
}

#[test]
fn a_truck_that_came_and_could_not_help_is_followed_by_another() {
    let book = book("safety", "quiet_hours = \"ignore\"", "\"tow_accepted\", \"looked\"", &format!("{TOW}{LOOK}"));
    let second = Provider {
        kind: ProviderKind::Dispatch,
        per_second: None,
        per_hour: None,
        per_day: None,
        capacity: None,
        concurrency: None,
        workshop: None,
    };
    let config = config_with(&book, |c| {
        c.providers.insert("tow-b".into(), second);
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    w.script = Some(Box::new(|o| match (&o.work, o.adapter.as_str()) {
        (Work::Dispatch(DispatchWork::Request(_)), "tow") => Some(vec![
            (1, Answer::accepted("J-1")),
            (2, job(JobState::Accepted)),
            (600, job(JobState::OnSite)),
            (700, job(JobState::Unsuccessful)),
        ]),
        // Whoever asks how it stands hears nothing new.
        (Work::Dispatch(DispatchWork::Status { .. }), "tow") => Some(vec![(1, Answer::accepted(""))]),
        _ => None,
    }));
    raise(&mut w, 1);
    w.run(after(650));
    assert_eq!(asked(&w), [of("tow", 0)]);
    w.run(after(720));
    assert_eq!(asked(&w), [of("tow", 0), of("tow-b", 700)], "{}", w.timeline());
    assert_eq!(goal(&view(&w), "tow_accepted"), "met", "by the second one\n{}", w.timeline());
}

#[test]
fn a_device_has_one_truck_a_day_and_a_person_decides_about_a_second() {
    let mut w = tow_world(|_| None);
    w.run(after(600));
    let case = view(&w).summary.id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "done".into() });
    // Long after the window for reopening, the same day: another case.
    w.run(after(3 * 3_600));
    raise(&mut w, 2);
    w.run(after(3 * 3_600 + 60));
    assert_eq!(asked(&w).len(), 1, "{}", w.timeline());
    assert!(w.timeline().contains("costly action for today"), "{}", w.timeline());
    assert!(w.timeline().contains("safety-desk is paged"), "{}", w.timeline());
    // The next day has its own budget.
    w.run(after(30 * 3_600));
    let case = view(&w).summary.id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "done".into() });
    w.run(after(33 * 3_600));
    raise(&mut w, 3);
    w.run(after(33 * 3_600 + 60));
    assert_eq!(asked(&w).len(), 2, "{}", w.timeline());
}

#[test]
fn a_ticket_of_unknown_fate_is_searched_twice_and_then_opened_once_more() {
    let book = book("service", "", "\"ticket_open\"", TICKET);
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    let mut sent = 0;
    w.script = Some(Box::new(move |o| match (&o.work, o.kind) {
        (Work::Ticket(TicketWork::Create { .. }), OrderKind::Reconcile) => {
            Some(vec![(1, Answer::Outcome(Outcome::NotFound))])
        }
        (Work::Ticket(TicketWork::Create { .. }), OrderKind::Send) => {
            sent += 1;
            Some(vec![(1, if sent == 1 { Answer::unknown() } else { Answer::accepted("T-2") })])
        }
        _ => None,
    }));
    raise(&mut w, 1);
    w.run(after(120));
    let create = |o: &Order| matches!(o.work, Work::Ticket(TicketWork::Create { .. }));
    let kinds: Vec<_> = w.orders.iter().filter(|(_, o)| create(o)).map(|(_, o)| o.kind).collect();
    assert_eq!(
        kinds,
        [OrderKind::Send, OrderKind::Reconcile, OrderKind::Reconcile, OrderKind::Send],
        "{}",
        w.timeline()
    );
    let effects: std::collections::BTreeSet<_> =
        w.orders.iter().filter(|(_, o)| create(o)).map(|(_, o)| o.effect).collect();
    assert_eq!(effects.len(), 1, "the same marker all the time");
    assert_eq!(goal(&view(&w), "ticket_open"), "met", "{}", w.timeline());
}

#[test]
fn a_ticket_that_is_found_is_not_opened_again_and_one_that_nobody_can_find_pages_a_person() {
    for found in [true, false] {
        let book = book("service", "", "\"ticket_open\"", TICKET);
        let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
        w.script = Some(Box::new(move |o| match (&o.work, o.kind) {
            (Work::Ticket(TicketWork::Create { .. }), OrderKind::Reconcile) => {
                Some(vec![(1, if found { Answer::accepted("T-1") } else { Answer::unknown() })])
            }
            (Work::Ticket(TicketWork::Create { .. }), OrderKind::Send) => Some(vec![(1, Answer::unknown())]),
            _ => None,
        }));
        raise(&mut w, 1);
        w.run(after(600));
        let create = |o: &Order| matches!(o.work, Work::Ticket(TicketWork::Create { .. })) && o.kind == OrderKind::Send;
        assert_eq!(when(&w, create), [0], "never repeated blindly\n{}", w.timeline());
        assert_eq!(w.timeline().contains("is paged"), !found, "{}", w.timeline());
    }
}

#[test]
fn a_safety_call_of_unknown_fate_starts_the_next_rung_at_once() {
    let book = book("safety", "quiet_hours = \"ignore\"", "\"told\"", LADDER);
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    w.script = Some(Box::new(|o| is_call(o).then(|| vec![(10, Answer::unknown())])));
    raise(&mut w, 1);
    w.run(after(20));
    assert_eq!(when(&w, |o| matches!(o.work, Work::Sms(_))), [10], "planned for 10 min\n{}", w.timeline());
    assert_eq!(when(&w, to_driver), [0]);
}

#[test]
fn the_shipped_breakdown_says_how_long_each_goal_has() {
    let mut w = World::new(config(|_| {}), Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(super::desk_world::brake(1, Change::Raised, start()))));
    w.tell(facts(80.0, start()));
    let deadlines: Vec<_> = view(&w).goals.iter().map(|g| (g.name.clone(), g.deadline_at.map(seconds))).collect();
    let expected =
        [("driver_told_to_stop", 180), ("tow_accepted", 90), ("ticket_open", 86_400), ("vehicle_safe", 1_200)];
    assert_eq!(deadlines, expected.map(|(n, s)| (n.to_owned(), Some(s))));
}

/// The list that texts are checked against at load is what the desk provides.
#[test]
fn every_name_that_a_text_may_use_is_provided() {
    for name in forewarn::playbook::TEXT_NAMES {
        let fields = match name.split('.').next().unwrap() {
            // Of one reader only; their texts are rendered in the other tests.
            "customer" | "items" | "opt_out" | "chart" | "page" | "action" | "locale" | "link" | "view" | "booking"
            | "request" => {
                continue;
            }
            _ => format!("fields = {{ x = \"{{{{ {name} }}}}\" }}\n"),
        };
        let w = world(&book("service", "", "\"ticket_open\"", &format!("{TICKET}{fields}")));
        let filled = w.orders.iter().any(|(_, o)| match &o.work {
            Work::Ticket(TicketWork::Create { fields, .. }) => fields.contains_key("x"),
            _ => false,
        });
        assert!(filled, "{name}: {}", w.timeline());
    }
}
