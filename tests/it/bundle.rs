//! Several cases of one person are one contact, in virtual time.

use std::sync::Arc;

use forewarn::desk::{Cap, CaseView, Config, Input, Reply, Whose};
use forewarn::domain::{
    At, CallProgress, Change, Channel, Detection, Order, Outcome, PageKind, Purpose, Receipt, ReceiptKind, Said,
    Sender, Severity, Span, Work,
};
use forewarn::source::Diagnostics;

use super::desk_world::{Answer, Odds, World, config_with, detection, link_key, messages};
use super::policy::{after, book, second_car, sent};

/// Texts of a script that may be one of several.
const NOTE: &[(&str, &str)] = &[
    ("en/note.voice.txt", "Alone: {{ device.plate }}. Press 1."),
    ("en/note.sms.txt", "Alone: {{ device.plate }}"),
    ("en/note.item.txt", "About {{ device.plate }}{% if ticket.open %} (ticket {{ ticket.id }}){% endif %}."),
];

const WINDOW: Span = Span::from_mins(10);

/// Tells the driver, and then the fleet's Joe, of `a.b` and `a.c`.
fn tell(purpose: &str, via: &str) -> String {
    let steps = format!(
        "[[step]]\nid = \"tell\"\ndo = \"reach\"\nwho = [\"driver\", \"fleet\"]\ngoal = \"told\"\n\
         until = \"human_confirmed\"\nscript = \"note\"\nladder = [{{ via = \"{via}\", at = \"0s\" }}, \
         {{ via = \"human\", at = \"5h\", queue = \"service-desk\" }}]\n"
    );
    let key = "key = \"{{ device.id }}/{{ fault.name }}\"\nreopen";
    book(purpose, "", "\"told\"", &steps).replace("\"a.b\"", "\"a.b\", \"a.c\"").replace("reopen", key)
}

/// Three cars of one person.
fn cars(config: &mut Config) {
    let mut diags = Diagnostics::default();
    config.messages = messages(&mut diags, NOTE);
    config.contact.bundle = WINDOW;
    for (id, plate) in [("car-2", "W-2"), ("car-3", "W-3"), ("car-4", "W-4")] {
        second_car(config, id);
        let mut registry = (*config.registry).clone();
        registry.devices.get_mut(id).unwrap().attrs.insert("plate".into(), plate.into());
        config.registry = Arc::new(registry);
    }
}

fn world(book: &str, change: impl FnOnce(&mut Config)) -> World {
    let config = config_with(book, |c| {
        cars(c);
        change(c);
    });
    World::new(config, Odds::friendly(), 1)
}

fn fails(w: &mut World, device: &str, fault: &str) {
    let n = device.as_bytes()[4];
    let detection = detection(fault, Severity::Major, n, 1, Change::Raised, w.now);
    w.tell(Input::Detection(Box::new(Detection { device: device.into(), ..detection })));
}

fn case(w: &World, device: &str) -> CaseView {
    let found = w.desk.list(true, 20).into_iter().find(|c| c.device == device).unwrap();
    w.desk.show(&found.id).unwrap()
}

fn told(w: &World, device: &str) -> String {
    case(w, device).goals[0].state.clone()
}

/// The texts that went to the driver.
fn texts(w: &World) -> Vec<String> {
    let text = |o: &Order| match &o.work {
        Work::Sms(s) if s.to == "+43111" => Some(s.body.clone()),
        Work::Mail(m) if m.to == "jane@example.com" => Some(m.text.clone()),
        _ => None,
    };
    w.orders.iter().filter_map(|(_, o)| text(o)).collect()
}

fn both(text: &str) -> bool {
    text.contains("W-123 AB") && text.contains("W-2")
}

fn write(w: &mut World, text: &str) {
    let said = Said {
        channel: Channel::Sms,
        external_id: text.into(),
        from: Sender::Phone("+43111".into()),
        case: None,
        text: text.into(),
        calendar: None,
        answered: false,
    };
    w.tell(Input::Said(said));
}

fn answered(w: &mut World) -> String {
    let effect = w.orders.iter().find(|(_, o)| matches!(o.work, Work::Call(_))).unwrap().1.effect;
    let said = w.tell(Input::Answered { effect, turn: 1, provider_ref: "CA".into() });
    let Some(Reply::Speech(speech)) = said else { panic!("{said:?}") };
    speech.text
}

/// A call that rings and rings.
fn ringing(w: &mut World) {
    w.script = Some(Box::new(|o| matches!(o.work, Work::Call(_)).then(|| vec![(1, Answer::accepted("CA"))])));
}

#[test]
fn two_devices_of_one_customer_are_one_message_that_lists_both() {
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    w.run(after(300));
    fails(&mut w, "car-2", "a.b");
    assert_eq!(texts(&w), [""; 0], "it waits for others");
    let waits = case(&w, "car-1").waits;
    let line = waits.iter().find(|x| x.what == "sms (step tell)").unwrap();
    assert!(line.why.contains("to go in one message") && line.until_at == Some(after(600)), "{line:?}");
    w.run(after(700));
    let sent = texts(&w);
    assert!(sent.len() == 1 && both(&sent[0]), "{sent:?}");
    for (device, other) in [("car-1", "car-2"), ("car-2", "car-1")] {
        let (own, other) = (case(&w, device), case(&w, other).summary.short);
        assert!(own.timeline.iter().any(|l| l.text.contains(&format!("case {other}"))), "{:?}", own.timeline);
        assert_eq!(own.conversation.iter().filter(|m| m.direction == "out").count(), 1);
        assert_eq!(own.effects.iter().find(|e| e.kind == "sms").unwrap().attempts, 1);
    }
    assert_eq!(w.done().get("sms"), Some(&1));
    // It outlives the process.
    assert!(w.loaded().same_state(&w.desk));
}

#[test]
fn two_faults_of_one_device_are_one_message() {
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-1", "a.c");
    assert_eq!(w.desk.list(true, 9).len(), 2);
    w.run(after(700));
    assert_eq!(w.done().get("sms"), Some(&1), "{:?}", texts(&w));
    assert_eq!(texts(&w)[0].matches("About W-123 AB").count(), 2, "{:?}", texts(&w));
}

#[test]
fn what_waits_for_the_morning_goes_as_one_without_any_window() {
    let mut w = world(&tell("service", "sms"), |c| c.contact.bundle = Span::ZERO);
    w.run("2026-11-20T22:00:00Z".parse::<At>().unwrap());
    for device in ["car-1", "car-2", "car-3", "car-4"] {
        fails(&mut w, device, "a.b");
        w.run(w.now + Span::from_hours(1));
    }
    w.run("2026-11-21T07:00:10Z".parse::<At>().unwrap());
    let sent = texts(&w);
    let counts: Vec<usize> = sent.iter().map(|t| t.matches("About ").count()).collect();
    assert_eq!(counts, [3, 0], "three in one text message, the fourth has its own words: {sent:?}");
}

#[test]
fn danger_neither_waits_nor_joins() {
    let mut w = world(&tell("safety", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    let sent = texts(&w);
    assert!(sent.len() == 2 && sent.iter().all(|t| t.starts_with("Alone")), "{sent:?}");
}

#[test]
fn what_is_over_before_the_message_goes_drops_out() {
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(60));
    let first = case(&w, "car-1").summary.id;
    w.tell(Input::Close { case: first, actor: "kim".into(), reason: "mistaken".into() });
    w.run(after(700));
    let sent = texts(&w);
    assert!(sent.len() == 1 && sent[0].starts_with("Alone: W-2"), "its own words again: {sent:?}");
}

#[test]
fn what_is_over_when_the_call_is_answered_is_not_spoken_of() {
    for (over, left) in [("car-1", "W-2"), ("car-2", "W-123")] {
        let mut w = world(&tell("service", "call"), |_| {});
        ringing(&mut w);
        fails(&mut w, "car-1", "a.b");
        fails(&mut w, "car-2", "a.b");
        fails(&mut w, "car-3", "a.b");
        w.run(after(605));
        assert_eq!(sent(&w).len(), 1, "{:?}", sent(&w));
        let case = case(&w, over).summary.id;
        w.tell(Input::Close { case, actor: "kim".into(), reason: "mistaken".into() });
        let said = answered(&mut w);
        let words = ["W-123", "W-2", "W-3"].map(|plate| said.contains(plate));
        assert_eq!(words, ["W-123", "W-2", "W-3"].map(|p| p == left || p == "W-3"), "{said}");
    }
}

#[test]
fn an_answer_counts_for_every_case_in_the_message() {
    let key = |digit| Answer::Report(ReceiptKind::Key { digit });
    for (digit, goal, outcome) in [('1', "met", "served"), ('9', "waived", "false_alarm")] {
        // By key.
        let mut w = world(&tell("service", "call"), |_| {});
        let progress = |progress| Answer::Report(ReceiptKind::Call { progress });
        w.script = Some(Box::new(move |o| {
            let (answered, done) = (progress(CallProgress::InProgress), progress(CallProgress::Completed));
            matches!(o.work, Work::Call(_))
                .then(|| vec![(1, Answer::accepted("CA")), (2, answered), (9, key(digit)), (12, done)])
        }));
        fails(&mut w, "car-1", "a.b");
        fails(&mut w, "car-2", "a.b");
        w.run(after(900));
        for device in ["car-1", "car-2"] {
            let shown = case(&w, device);
            assert_eq!(told(&w, device), goal, "key {digit}, {device}: {:?}", shown.timeline);
            assert_eq!(shown.summary.outcome.as_deref(), Some(outcome), "{:?}", shown.timeline);
        }
        assert_eq!(sent(&w).len(), 1, "{:?}", sent(&w));
        // By a reply.
        let mut w = world(&tell("service", "sms"), |_| {});
        fails(&mut w, "car-1", "a.b");
        fails(&mut w, "car-2", "a.b");
        w.run(after(620));
        write(&mut w, &digit.to_string());
        w.run(after(900));
        assert_eq!([told(&w, "car-1"), told(&w, "car-2")], [goal, goal], "{}", w.timeline());
        assert!(
            case(&w, "car-2").conversation.iter().any(|m| m.meaning.as_deref() == Some("human_confirmed(1)"))
                == (digit == '1')
        );
    }
    // By a tap on its page, which lists both.
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(620));
    let text = texts(&w).remove(0);
    let token = text.split("https://fw.example/l/").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let link = link_key().verify(&token).unwrap();
    assert_eq!(link.kind, PageKind::Answer);
    let first = case(&w, "car-1").summary.id;
    w.tell(Input::Close { case: first, actor: "kim".into(), reason: "mistaken".into() });
    assert!(both(&w.desk.page(w.now, &link).unwrap().html));
    w.tell(Input::Link { link, form: [("answer".to_owned(), "1".to_owned())].into() });
    assert_eq!(told(&w, "car-2"), "met", "the other one still counts");
}

#[test]
fn the_wrong_person_is_wrong_for_all_of_them_and_the_next_is_told_of_all() {
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(620));
    write(&mut w, "wrong number");
    w.run(after(1_300));
    assert_eq!(sent(&w).iter().map(|(_, to)| to.as_str()).collect::<Vec<_>>(), ["sms +43111", "sms +44222"]);
    let Some(Work::Sms(joe)) = w.orders.last().map(|(_, o)| o.work.clone()) else { panic!("{:?}", sent(&w)) };
    assert!(both(&joe.body), "{joe:?}");
}

#[test]
fn caps_and_opt_outs_count_it_once() {
    let cap = Cap {
        of: Whose::Customer,
        channel: None,
        purpose: Purpose::Service,
        prefix: None,
        max: 2,
        per: Span::from_hours(24),
    };
    let mut w = world(&tell("service", "sms"), |c| c.contact.cap = vec![cap]);
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(700));
    fails(&mut w, "car-3", "a.b");
    w.run(after(1_400));
    assert_eq!(texts(&w).len(), 2, "two cars were one contact\n{}", w.timeline());
    fails(&mut w, "car-4", "a.b");
    w.run(after(2_100));
    assert_eq!(texts(&w).len(), 2);
    assert!(
        case(&w, "car-4").waits.iter().any(|x| x.why.contains("the cap of 2 contacts")),
        "{:?}",
        case(&w, "car-4").waits
    );
    write(&mut w, "STOP");
    assert_eq!(w.desk.opt_outs().len(), 1);
}

#[test]
fn an_attempt_that_has_to_be_repeated_is_put_together_again() {
    let mut w = world(&tell("service", "sms"), |_| {});
    let mut refused = 0;
    w.script = Some(Box::new(move |o| {
        refused += 1;
        let reason = "connection refused".to_owned();
        let retry = Answer::Outcome(Outcome::Retry { after: Some(Span::from_secs(60)), reason });
        (matches!(o.work, Work::Sms(_)) && refused == 1).then(|| vec![(1, retry)])
    }));
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(610));
    fails(&mut w, "car-3", "a.b");
    let second = case(&w, "car-2").summary.id;
    w.tell(Input::Close { case: second, actor: "kim".into(), reason: "mistaken".into() });
    w.run(after(700));
    let sent = texts(&w);
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(
        both(&sent[0]) && sent[1].contains("W-123") && sent[1].contains("W-3") && !sent[1].contains("W-2"),
        "{sent:?}"
    );
}

#[test]
fn in_line_for_a_slow_provider_they_go_with_the_first() {
    let mut w = world(&tell("service", "sms"), |c| {
        c.contact.bundle = Span::ZERO;
        c.providers.get_mut("text").unwrap().per_second = Some(1);
    });
    for device in ["car-1", "car-2", "car-3"] {
        fails(&mut w, device, "a.b");
    }
    w.run(after(10));
    let sent = texts(&w);
    assert!(
        sent.len() == 2 && sent[0].contains("W-123") && sent[1].contains("W-2") && sent[1].contains("W-3"),
        "{sent:?}"
    );
}

/// One record says who goes with whom: whenever the process dies, nobody is told twice and nobody is forgotten.
#[test]
fn killed_at_every_input_doubled_0_lost_0() {
    let play = |crash_at| {
        let mut w = world(&tell("service", "sms"), |_| {});
        w.crash_at = crash_at;
        for (n, device) in [(0, "car-1"), (1, "car-2")] {
            let detection = detection("a.b", Severity::Major, n, 1, Change::Raised, w.now);
            let input = Input::Detection(Box::new(Detection { device: device.into(), ..detection }));
            w.later(Span::from_secs(i64::from(n)), input);
        }
        w.run(after(1_200));
        write(&mut w, "1");
        w.run(after(1_300));
        w
    };
    let calm = play(None);
    assert_eq!(calm.done().get("sms"), Some(&1));
    for at in 0..calm.steps {
        for durable in [false, true] {
            let w = play(Some((at, durable)));
            assert_eq!((w.crashes, w.done().get("sms")), (1, Some(&1)), "input {at}, {durable}: {:?}", texts(&w));
            if at + 2 < calm.steps {
                let states = [told(&w, "car-1"), told(&w, "car-2")];
                assert_eq!(states, ["met", "met"], "input {at}, {durable}: {}", w.timeline());
            }
        }
    }
}

#[test]
fn a_receipt_for_one_that_was_carried_says_nothing() {
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(700));
    let carried = case(&w, "car-2").effects.iter().find(|e| e.kind == "sms").unwrap().id;
    let before = w.log.len();
    let what = ReceiptKind::Sms { progress: forewarn::domain::SmsProgress::Undelivered };
    w.tell(Input::Receipt(Receipt { effect: carried, provider_ref: None, seq: None, what }));
    assert_eq!(w.log.len(), before);
}

#[test]
fn who_asks_for_a_person_is_one_question_to_one_person() {
    let mut w = world(&tell("service", "sms"), |_| {});
    fails(&mut w, "car-1", "a.b");
    fails(&mut w, "car-2", "a.b");
    w.run(after(620));
    write(&mut w, "call me");
    let paged = |device: &str| {
        case(&w, device).timeline.iter().filter(|l| l.text.contains("is paged: the customer asks to be called")).count()
    };
    assert_eq!(paged("car-1") + paged("car-2"), 1);
    assert_eq!([told(&w, "car-1"), told(&w, "car-2")], ["met", "met"], "they have understood both");
}

/// Providers that fail in every way, people who answer or not, deaths at any commit: what is carried stands where its carrier
/// stands after every single step, and nobody is forgotten.
#[test]
fn in_hostile_worlds_carried_and_carrier_stay_together() {
    let mut carried = 0;
    for seed in 0..30 {
        let via = ["sms", "call"][usize::try_from(seed % 2).unwrap()];
        let config = config_with(&tell("service", via), cars);
        let mut w = World::new(config, Odds::hostile(), seed);
        w.check_every = 1;
        for (n, device) in (0_u8..).zip(["car-1", "car-2", "car-1", "car-3", "car-4", "car-2"]) {
            let fault = if n % 3 == 2 { "a.c" } else { "a.b" };
            let at = Span::from_secs(w.rng.between(1, 1_500));
            let raised = detection(fault, Severity::Major, n, 1, Change::Raised, after(0) + at);
            let raised = Detection { device: device.into(), ..raised };
            w.later(at, Input::Detection(Box::new(raised.clone())));
            if w.rng.percent(30) {
                let over = Detection { seq: 2, change: Change::Cleared, level: None, ..raised };
                let over_at = at + Span::from_secs(w.rng.between(1, 1_500));
                w.later(over_at, Input::Detection(Box::new(over)));
            }
        }
        w.run(after(12 * 3_600));
        w.desk.check_invariants().unwrap();
        for case in w.desk.list(true, 20) {
            let shown = w.desk.show(&case.id).unwrap();
            let cared = case.closed_at.is_some() || shown.timeline.iter().any(|l| l.text.contains("is paged"));
            assert!(cared, "seed {seed}: {:?}", shown.timeline);
            carried += shown.timeline.iter().filter(|l| l.text.contains(", in one message with case")).count();
        }
    }
    assert!(carried > 30, "{carried}");
}
