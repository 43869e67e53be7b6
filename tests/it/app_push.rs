//! Messages in the customer's own app: by a desk in virtual time, and for real through a daemon and the sandbox.

use std::time::Duration;

use forewarn::demo::sandbox::{AppFault, AppUser, Callbacks, Driver};
use forewarn::desk::{Input, Reply};
use forewarn::domain::{
    AppProgress, AppWork, Change, EffectId, Order, OrderKind, Outcome, Receipt, ReceiptKind, Severity, Span, Work,
};

use super::desk_world::{Answer, Odds, World, config_with, detection, start};
use crate::world::{Fleet, World as RealWorld};

pub(crate) fn book(purpose: &str, until: &str) -> String {
    let quiet = if purpose == "safety" { "ignore" } else { "respect" };
    format!(
        r#"
schema = "playbook/1"
id = "test"
version = 1
[match]
fault = ["a.b"]
[case]
goals = ["told"]
[policy]
purpose = "{purpose}"
quiet_hours = "{quiet}"
contact_max = {{ app_pushes = 1, per = "1h" }}
[[step]]
id = "warn"
do = "reach"
who = ["driver"]
goal = "told"
until = "{until}"
script = "brake-stop-now"
ladder = [
  {{ via = "app_push", at = "0s" }},
  {{ via = "sms", at = "1m" }},
  {{ via = "human", at = "3m", queue = "safety-desk" }},
]
"#
    )
}

fn world(purpose: &str, until: &str, mut script: impl FnMut(&Order) -> Vec<(i64, Answer)> + 'static) -> World {
    let mut world = World::new(config_with(&book(purpose, until), |_| {}), Odds::friendly(), 1);
    world.script = Some(Box::new(move |o| matches!(o.work, Work::App(_)).then(|| script(o))));
    let fault = detection("a.b", Severity::Critical, 1, 1, Change::Raised, start());
    world.tell(Input::Detection(Box::new(fault)));
    world
}

fn progress(progress: AppProgress) -> Answer {
    Answer::Report(ReceiptKind::App { progress })
}

fn tap(digit: char) -> Answer {
    Answer::Report(ReceiptKind::Key { digit })
}

fn pushes(world: &World) -> Vec<(OrderKind, AppWork, EffectId)> {
    let push = |o: &Order| match &o.work {
        Work::App(push) => Some((o.kind, push.clone(), o.effect)),
        _ => None,
    };
    world.orders.iter().filter_map(|(_, o)| push(o)).collect()
}

fn texts(world: &World) -> Vec<i64> {
    let texts = world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Sms(_)));
    texts.map(|(at, _)| at.since(start()).as_micros() / 1_000_000).collect()
}

fn goal(world: &World) -> (String, Option<String>) {
    let view = world.desk.show(&world.desk.list(true, 1)[0].id).unwrap();
    (view.goals[0].state.clone(), view.goals[0].met_by.clone())
}

#[test]
fn the_message_is_in_the_language_of_its_reader_and_offers_the_keys_of_a_call() {
    let w = world("safety", "human_confirmed", |_| vec![(1, Answer::accepted(""))]);
    let (_, push, _) = &pushes(&w)[0];
    assert_eq!((&*push.user, &*push.locale, &*push.title), ("u-1", "de", "Bitte anhalten: W-123 AB"));
    assert!(push.text.contains("fahren Sie nicht weiter. Wir organisieren Hilfe"), "{}", push.text);
    let labels: Vec<(char, &str)> = push.choices.iter().map(|(c, l)| (*c, l.as_str())).collect();
    assert_eq!(labels, [('1', "Verstanden"), ('2', "Bitte rufen Sie mich an"), ('9', "Alles in Ordnung")]);
    assert_eq!(push.valid_until, start() + Span::from_mins(10), "a stale warning misleads");
    // Nothing is asked where no answer is waited for.
    let w = world("service", "delivered", |_| vec![(1, Answer::accepted(""))]);
    assert_eq!(pushes(&w)[0].1.choices, []);
}

#[test]
fn only_a_tap_is_an_answer_and_it_ends_the_ladder() {
    let mut w = world("safety", "human_confirmed", |_| {
        vec![
            (1, Answer::accepted("")),
            (2, progress(AppProgress::Delivered)),
            (5, progress(AppProgress::Opened)),
            (30, tap('1')),
        ]
    });
    w.run(start() + Span::from_secs(29));
    assert_eq!(goal(&w).0, "open", "shown and opened is not understood");
    w.run(start() + Span::from_mins(10));
    assert_eq!(goal(&w), ("met".into(), Some("key 1".into())), "{}", w.timeline());
    assert_eq!(texts(&w), [0; 0], "the text message of the second minute is not needed any more");
    assert!(w.timeline().contains("the app_push was answered with tap 1"), "{}", w.timeline());
}

#[test]
fn delivered_is_enough_where_the_playbook_says_so() {
    let mut w =
        world("service", "delivered", |_| vec![(1, Answer::accepted("")), (9, progress(AppProgress::Delivered))]);
    w.run(start() + Span::from_secs(8));
    assert_eq!(goal(&w).0, "open", "taken by the back end is not on the phone");
    w.run(start() + Span::from_secs(10));
    assert_eq!(goal(&w), ("met".into(), Some("app_push (delivered)".into())));
}

#[test]
fn who_asks_for_a_person_gets_one_and_who_says_that_all_is_well_is_believed() {
    let mut w = world("safety", "human_confirmed", |_| vec![(1, Answer::accepted("")), (3, tap('2'))]);
    w.run(start() + Span::from_secs(4));
    assert!(w.timeline().contains("safety-desk is paged: the customer asks to be called"), "{}", w.timeline());
    let mut w = world("safety", "human_confirmed", |_| vec![(1, Answer::accepted("")), (3, tap('9'))]);
    w.run(start() + Span::from_mins(1));
    assert_eq!(w.desk.list(true, 1)[0].outcome.as_deref(), Some("false_alarm"), "{}", w.timeline());
}

#[test]
fn a_choice_that_was_not_offered_is_refused() {
    for (until, digit) in [("human_confirmed", '7'), ("delivered", '1')] {
        let mut w = world("service", until, |_| vec![(1, Answer::accepted(""))]);
        w.run(start() + Span::from_secs(2));
        let effect = pushes(&w)[0].2;
        let receipt = Receipt { effect, provider_ref: None, seq: Some(1), what: ReceiptKind::Key { digit } };
        assert!(matches!(w.tell(Input::Receipt(receipt)), Some(Reply::Refused(_))), "{until}");
        assert_eq!(goal(&w).0, "open");
    }
}

#[test]
fn the_ladder_goes_on_at_once_when_the_app_is_gone_or_the_back_end_refuses() {
    for answers in [
        vec![(1, Answer::accepted("")), (4, progress(AppProgress::Failed))],
        vec![(4, Answer::Outcome(Outcome::Rejected { reason: "404".into() }))],
    ] {
        let mut w = world("safety", "human_confirmed", move |_| answers.clone());
        w.run(start() + Span::from_secs(30));
        assert_eq!(texts(&w), [4], "{}", w.timeline());
    }
}

#[test]
fn an_unknown_outcome_is_asked_with_the_same_id_while_safety_goes_on() {
    for (purpose, text_at) in [("safety", 2), ("service", 60)] {
        let mut w = world(purpose, "human_confirmed", |o| match o.kind {
            OrderKind::Send => vec![(2, Answer::unknown())],
            OrderKind::Reconcile => vec![(1, Answer::accepted(""))],
        });
        w.run(start() + Span::from_secs(90));
        assert_eq!(texts(&w), [text_at], "{purpose}\n{}", w.timeline());
        let sent = pushes(&w);
        let kinds: Vec<OrderKind> = sent.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(kinds, [OrderKind::Send, OrderKind::Reconcile], "{purpose}");
        assert_eq!(sent[0].2, sent[1].2, "one effect, one id");
    }
}

/// Brakes fail; the driver has the app and no call is answered. Every way in which the message can travel badly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_reaches_the_desk_through_broker_daemon_and_callbacks() {
    let mut world = RealWorld::build(24).await;
    world.phone.drivers(vec![Driver::Absent; 9]);
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    // The drivers of these have the app.
    for (n, fault, callbacks) in [
        (2, None, Callbacks::Once),
        (6, Some(AppFault::CutAfterAccept), Callbacks::Doubled),
        (10, Some(AppFault::Unavailable(1)), Callbacks::Disordered),
    ] {
        world.app.script(fault);
        world.app.users([AppUser::Taps('1')]);
        world.app.callbacks(callbacks);
        let device = forewarn::demo::fleet::car_id(n);
        fleet.say(&device, true, 60.0).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        fleet.say(&device, true, 55.0).await;
        let cases =
            world.all_served(std::slice::from_ref(&device), "brake.circuit_loss", Duration::from_secs(60)).await;
        let id = &cases.iter().find(|c| c.device == device).unwrap().id;
        let case = world.case(id).await.unwrap();
        let tapped = case.timeline.iter().any(|e| e.text == "the app_push was answered with tap 1");
        assert!(tapped, "{fault:?} {callbacks:?} {case:#?}");
        let key = world.app.accepted().last().unwrap().key.clone();
        assert_eq!(world.app.count(&key), 1);
    }
    assert_eq!(world.app.accepted().len(), 3);
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
