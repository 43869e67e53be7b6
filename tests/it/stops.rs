//! What keeps a desk from doing too much: the stop switches, money, and rules that nobody has seen before.

use std::collections::BTreeSet;

use forewarn::desk::{Act, Caller, CaseView, Input, NewRules, Reply};
use forewarn::domain::{At, CaseId, Change, Detection, DispatchWork, EpisodeId, OrderKind, Severity, Span, Stop, Work};

use super::desk_world::{DEVICE, Odds, World, brake, config, detection, facts, start};

const TOPIC: &str = "forewarn/test/halt";
const BRAKE: &str = "brake.circuit_loss";
const BATTERY: &str = "battery_12v.weak";

fn after(minutes: i64) -> At {
    start() + Span::from_mins(minutes)
}

fn break_down(world: &mut World) {
    let at = world.now;
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, at))));
}

fn turn(world: &mut World, case: Option<CaseId>, stop: Stop) -> Reply {
    world.act(case, Act::Stop { stop, reason: "a drill".into() })
}

fn message(world: &mut World, stop: Stop, retained: bool) -> Reply {
    let received_at = world.now;
    world.tell(Input::Switch { topic: TOPIC.into(), stop, received_at, retained }).unwrap()
}

/// What has been sent so far, each way once.
fn sent(world: &World) -> BTreeSet<&'static str> {
    let name = |work: &Work| match work {
        Work::Book(_) => "booking",
        Work::Call(_) => "call",
        Work::Sms(_) => "sms",
        Work::Mail(_) => "mail",
        Work::Ticket(_) => "ticket",
        Work::Dispatch(_) => "dispatch",
        Work::Command(_) => "command",
        Work::Webhook(_) => "webhook",
        Work::App(_) => "app_push",
    };
    world.orders.iter().filter(|(_, o)| o.kind == OrderKind::Send).map(|(_, o)| name(&o.work)).collect()
}

fn the_case(world: &World) -> CaseView {
    world.desk.show(&world.desk.list(true, 1)[0].id).unwrap()
}

#[test]
fn stop_on_lets_people_in_danger_be_told_and_nothing_else() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    assert_eq!(turn(&mut world, None, Stop::On), Reply::Done);
    break_down(&mut world);
    world.restart();
    world.run(after(1));
    let told: BTreeSet<&str> = ["app_push", "call", "sms"].into();
    assert!(sent(&world).is_subset(&told) && sent(&world).contains("call"), "{:?}", sent(&world));
    let why: Vec<_> = the_case(&world).effects.into_iter().filter_map(|e| e.waits_for).collect();
    assert!(why.contains(&"the stop switch, turned on by kim".to_owned()), "{why:?}");
    let truck = &world.desk.lookup(&Caller::Device(DEVICE.into())).devices[0].open[0].arranged[0];
    assert_eq!(truck.waits_for.as_deref(), Some("the stop switch, turned on by kim"), "whoever calls is told so");
    assert_eq!(world.desk.stopped(), Stop::On);

    turn(&mut world, None, Stop::Off);
    world.run(after(120));
    assert!(sent(&world).contains("dispatch") && sent(&world).contains("ticket"));
    assert_eq!(the_case(&world).summary.outcome.as_deref(), Some("served"), "nothing was lost");
    world.sound();
}

#[test]
fn stop_all_lets_nothing_out() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    turn(&mut world, None, Stop::All);
    break_down(&mut world);
    world.run(after(10));
    assert_eq!(sent(&world), BTreeSet::new());
    turn(&mut world, None, Stop::Off);
    world.run(after(10) + Span::from_secs(1));
    assert!(sent(&world).contains("call") && sent(&world).contains("ticket"), "at once: {:?}", sent(&world));
}

#[test]
fn stop_of_a_case_holds_that_case_alone_and_ends_with_it() {
    let mut world = World::new(config(|_| {}), Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
    break_down(&mut world);
    let id = the_case(&world).summary.id;
    assert_eq!(turn(&mut world, Some(id), Stop::All), Reply::Done);
    let before = world.orders.len();
    world.run(after(5));
    // What was under way ends, and the device is asked about; nothing is added.
    assert!(world.orders[before..].iter().all(|(_, o)| o.case != id || o.kind == OrderKind::Reconcile));
    assert_eq!(world.desk.switches().len(), 1);
    world.tell(Input::Close { case: id, actor: "kim".into(), reason: "over".into() });
    assert!(world.desk.switches().is_empty());
    assert!(matches!(turn(&mut world, Some(id), Stop::On), Reply::Refused(_)));
    assert_eq!(turn(&mut world, Some(CaseId::of(&[b"none"])), Stop::On), Reply::NotFound);
}

/// What `forewarn explain` says of the car's episode, or of one that would be opened.
fn standing(world: &World, episode: bool) -> Vec<String> {
    let at = start();
    let d = brake(1, Change::Raised, at);
    world.desk.standing(&d.rule, &d.device, episode.then_some(&d.episode))
}

#[test]
fn stop_switches_are_told_to_whoever_asks_why_nothing_happens() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    assert_eq!(standing(&world, false), [""; 0], "nothing stands in the way");
    turn(&mut world, None, Stop::On);
    let all_but = "The stop switch of everything is on, turned by kim at 2026-11-20T10:00:00Z (\"a drill\"): all but what \
                   warns people in danger waits.";
    assert_eq!(standing(&world, false), [all_but], "of a case that would be opened");
    break_down(&mut world);
    let id = the_case(&world).summary.id;
    assert_eq!(standing(&world, true)[1..], [all_but], "of the case that is");
    turn(&mut world, Some(id), Stop::All);
    world.now = start() + Span::from_secs(1);
    let again = Act::Stop { stop: Stop::All, reason: String::new() };
    assert_eq!(world.act(Some(id), again), Reply::Done);
    world.restart();
    let own = format!(
        "The stop switch of case {} is all, turned by kim at 2026-11-20T10:00:01Z (\"a drill\"): everything waits.",
        id.short()
    );
    assert_eq!(standing(&world, true)[1..], [all_but.to_owned(), own], "both, over a restart");
    assert_eq!(standing(&world, false), [all_but], "that of one case is no other's affair");

    world.now = after(1);
    message(&mut world, Stop::Off, false);
    turn(&mut world, Some(id), Stop::Off);
    assert_eq!(standing(&world, true).len(), 1, "{:?}", standing(&world, true));
    message(&mut world, Stop::All, false);
    world.now = after(2);
    message(&mut world, Stop::All, false);
    let by_topic = format!(
        "The stop switch of everything is all, turned by a message on {TOPIC} at 2026-11-20T10:02:00Z: everything waits."
    );
    assert_eq!(standing(&world, true)[1..], [by_topic]);
    world.tell(Input::Close { case: id, actor: "kim".into(), reason: "over".into() });
    assert_eq!(standing(&world, true).len(), 1, "what is closed waits for nothing");
}

#[test]
fn stop_by_a_retained_message_counts_once_and_a_person_has_the_last_word() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    world.run(after(1));
    let old = world.now;
    message(&mut world, Stop::On, false);
    assert_eq!(world.desk.stopped(), Stop::On);
    world.restart();
    assert_eq!(world.desk.stopped(), Stop::On, "survives");

    world.run(after(2));
    turn(&mut world, None, Stop::Off);
    world.run(after(3));
    message(&mut world, Stop::On, true);
    assert_eq!(world.desk.stopped(), Stop::Off, "the broker hands the old message out again");
    world.tell(Input::Switch { topic: TOPIC.into(), stop: Stop::On, received_at: old, retained: false });
    assert_eq!(world.desk.stopped(), Stop::Off, "the journal is replayed");

    message(&mut world, Stop::All, true);
    assert_eq!(world.desk.stopped(), Stop::All, "a new retained message");
    world.run(after(4));
    message(&mut world, Stop::Off, false);
    assert_eq!(world.desk.stopped(), Stop::Off);
    let unknown = Input::Switch { topic: "x".into(), stop: Stop::On, received_at: world.now, retained: false };
    assert_eq!(world.tell(unknown), Some(Reply::NotFound));
}

#[test]
fn money_for_a_day_is_a_hard_stop() {
    let dear = config(|c| c.providers.get_mut("tow").unwrap().per_day = Some(0));
    let mut world = World::new(dear, Odds::friendly(), 1);
    break_down(&mut world);
    world.run(after(1));
    assert!(!sent(&world).contains("dispatch"), "{:?}", sent(&world));
    let paid = config(|c| c.providers.get_mut("text").unwrap().per_day = Some(1));
    let mut world = World::new(paid, Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
    break_down(&mut world);
    world.run(after(300));
    let texts = world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Sms(_))).count();
    assert_eq!(texts, 1);
}

/// What a rule finds on the car, as its `n`th episode.
fn find(world: &mut World, rule: &str, fault: &str, n: u8, seq: u32, change: Change) {
    let severity = if fault == BRAKE { Severity::Critical } else { Severity::Major };
    let found = detection(fault, severity, n, seq, change, world.now);
    let found = Detection { rule: rule.into(), ..found };
    world.tell(Input::Detection(Box::new(found)));
}

fn release(world: &mut World, rule: &str) -> Reply {
    world.tell(Input::Release { rule: rule.into(), actor: "kim".into() }).unwrap()
}

fn cases(world: &World) -> BTreeSet<String> {
    world.desk.list(true, 9).into_iter().map(|c| format!("{} {}", c.fault, c.device)).collect()
}

fn asks_where(world: &World) -> bool {
    world.timeline().contains("no position")
}

fn is_open(world: &World, fault: &str) -> bool {
    world.desk.list(false, 9).iter().any(|c| c.fault == *fault)
}

/// A desk whose first start was with `rule`, and that was started again with `added`, too.
fn started_with_another() -> World {
    let cautious = |rules: &'static [&str]| {
        config(|c| {
            c.settings.new_rules = NewRules::Shadow;
            c.revs = rules.iter().map(|rule| ((*rule).into(), 1)).collect();
        })
    };
    let mut world = World::new(cautious(&["rule"]), Odds::friendly(), 1);
    world.tell(Input::Started);
    world.desk.reload(cautious(&["rule", "added"]));
    world.tell(Input::Started);
    world
}

#[test]
fn the_rules_of_the_first_start_act_and_one_that_is_added_waits_for_a_person() {
    let mut world = started_with_another();
    assert_eq!(world.desk.rules_that_wait(), ["added".into()]);
    find(&mut world, "rule", BRAKE, 1, 1, Change::Raised);
    assert!(cases(&world).contains("brake.circuit_loss car-1"), "{:?}", cases(&world));
    let why = world.desk.standing(&"added".into(), &DEVICE.into(), None).join(" ");
    assert!(why.contains("forewarn case release-rule added"), "{why}");
    assert_eq!(release(&mut world, "added"), Reply::Done, "before it has found anything");
    assert!(world.desk.rules_that_wait().is_empty());
    assert!(matches!(release(&mut world, "added"), Reply::Refused(_)), "it acts already");
    assert!(matches!(release(&mut world, "unheard"), Reply::Refused(_)));
}

#[test]
fn what_a_new_rule_has_found_and_is_still_there_has_its_case_when_the_rule_is_released() {
    let mut world = started_with_another();
    find(&mut world, "added", BRAKE, 1, 1, Change::Raised);
    find(&mut world, "added", BATTERY, 2, 1, Change::Raised);
    find(&mut world, "added", BATTERY, 2, 2, Change::Cleared);
    world.run(after(60));
    let told = "desk.rule_in_shadow rule added".to_owned();
    assert_eq!(cases(&world), [told.clone()].into(), "one question to people, however often it finds something");
    let question = world.desk.list(true, 9).remove(0);
    assert_eq!(
        question.title,
        "rule added is new and waits for a person: forewarn case release-rule added; it has found: Front left brake \
         circuit has failed"
    );
    // Where it was at an earlier case is long ago.
    find(&mut world, "rule", BATTERY, 9, 1, Change::Raised);
    let earlier = world.case_of(DEVICE).summary.id;
    world.tell(Input::Close { case: earlier, actor: "kim".into(), reason: "seen to".into() });
    world.desk = world.loaded();
    assert_eq!(release(&mut world, "added"), Reply::Done);
    assert!(is_open(&world, BRAKE) && !is_open(&world, BATTERY), "what has ended is over: {:?}", cases(&world));
    // Where it is, its engine tells as soon as there is a case; before that nobody is asked for it, and no truck sent.
    let now = world.now;
    world.run(now + Span::from_secs(3));
    assert!(!sent(&world).contains("dispatch") && !asks_where(&world), "{}", world.timeline());
    let mut elsewhere = facts(0.0, world.now);
    if let Input::Facts { values, .. } = &mut elsewhere {
        values.insert("lat".into(), 50.1.into());
    }
    world.tell(elsewhere);
    world.run(after(62));
    assert!(!asks_where(&world), "{}", world.timeline());
    let trucks = world.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Dispatch(DispatchWork::Request(job)) => Some(job.place.lat),
        _ => None,
    });
    assert_eq!(trucks.collect::<Vec<_>>(), [50.1], "where it is now");
    // From now on it is a rule like others; what comes to its case is no second one.
    find(&mut world, "added", BRAKE, 1, 2, Change::Moved);
    find(&mut world, "added", BATTERY, 3, 1, Change::Raised);
    assert!(is_open(&world, BATTERY) && cases(&world).len() == 3, "{:?}", cases(&world));
    let question = world.desk.show(&question.id).unwrap();
    assert_eq!(question.summary.outcome.as_deref(), Some("served"), "answered by the release: {question:#?}");
}

/// More than are remembered: none too few, and no limit is passed.
#[test]
fn findings_of_new_rules_are_remembered_up_to_a_limit() {
    let mut world = started_with_another();
    for n in 0..2_100_u32 {
        let found = detection("brake.circuit_loss", Severity::Critical, 1, 1, Change::Raised, world.now);
        let episode = EpisodeId::of(&[&n.to_le_bytes()]);
        world.tell(Input::Detection(Box::new(Detection { rule: "added".into(), episode, ..found })));
    }
    let question = world.desk.list(true, 9).remove(0);
    let lines = world.desk.show(&question.id).unwrap().timeline.len();
    assert!(lines < 20, "people are asked once: {lines} lines");
    assert_eq!(release(&mut world, "added"), Reply::Done);
    let forgotten = |(key, row): &&(Vec<u8>, Option<Vec<u8>>)| key.first() == Some(&b'D') && row.is_none();
    assert_eq!(world.log.last().unwrap().changes.iter().filter(forgotten).count(), 2_000);
}

#[test]
fn d3_lost_messages_are_a_case_of_our_own() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    let lost = |car| Input::Shed { models: [("car".to_owned(), car), ("lift".to_owned(), 2)].into() };
    world.tell(lost(40));
    world.tell(lost(3));
    let cases = world.desk.list(true, 10);
    assert_eq!(cases.len(), 1, "what goes on is the same case: {cases:#?}");
    assert_eq!((cases[0].fault.as_str(), cases[0].device.as_str()), ("desk.messages_shed", "forewarn"));
    world.run(after(5));
    assert!(sent(&world).contains("ticket"), "{:?}", sent(&world));
}
