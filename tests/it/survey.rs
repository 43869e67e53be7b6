//! A mark from the customer once the work is done: who is asked, by which way, how often, and what becomes of the answer.

use std::sync::Arc;

use forewarn::desk::{Config, Input, Reply};
use forewarn::domain::{
    At, Change, Channel, Consent, EndpointKind, Link, Outcome, PageKind, Purpose, Receipt, ReceiptKind, Said, Sender,
    Severity, Span, Work,
};
use forewarn::playbook::{FleetFacts, Surroundings, load};
use forewarn::source::Diagnostics;

use super::desk_world::{Answer, DEVICE, Odds, World, config_with, detection, link_key, start};
use super::policy::{on, raise, second_car};

/// A ticket, and then the question.
pub(crate) const BOOK: &str = r#"
schema = "playbook/1"
id = "test"
version = 1
[match]
fault = ["a.b"]
[case]
reopen = "24h"
goals = ["ticket_open"]
[policy]
purpose = "service"
[[step]]
id = "ticket"
do = "ticket"
desk = "helpdesk"
goal = "ticket_open"
[[step]]
id = "ask"
do = "survey"
after = ["ticket"]
scale = "1-5"
via = ["app_push", "email"]
"#;

/// Somebody is in danger until a person says otherwise.
const DANGER: &str = r#"
schema = "playbook/1"
id = "danger"
version = 1
[match]
fault = ["c.d"]
[case]
goals = ["safe"]
[policy]
purpose = "safety"
[[step]]
id = "safe"
do = "wait_for"
goal = "safe"
expect = "device.door == 'open'"
within = "20d"
else = "human:safety-desk"
"#;

/// Jane has agreed to be asked.
pub(super) fn agreed(config: &mut Config) {
    let mut registry = (*config.registry).clone();
    let jane = registry.customers.get_mut("c-1").unwrap();
    let consent = Consent { to: forewarn::domain::Agreed::Contact(Purpose::Info), ..jane.consents[0].clone() };
    jane.consents.push(consent);
    config.registry = Arc::new(registry);
}

fn world(book: &str, change: impl FnOnce(&mut Config)) -> World {
    let config = config_with(book, |c| {
        agreed(c);
        change(c);
    });
    let mut world = World::new(config, Odds::friendly(), 1);
    raise(&mut world, 1);
    world
}

/// What went out to the customer, and over what.
fn asked(w: &World) -> Vec<(At, &'static str, Link)> {
    let message = |work: &Work| match work {
        Work::App(push) => Some(("app", push.case.1.clone())),
        Work::Mail(mail) if mail.to == "jane@example.com" => Some(("mail", mail.text.clone())),
        Work::Sms(sms) => Some(("sms", sms.body.clone())),
        _ => None,
    };
    let link = |text: &str| {
        let tokens = text.split("https://fw.example/l/").skip(1).filter_map(|t| t.split_whitespace().next());
        tokens.filter_map(|t| link_key().verify(t)).find(|l| l.kind == PageKind::Survey)
    };
    let messages = w.orders.iter().filter_map(|(at, o)| Some((*at, message(&o.work)?)));
    messages.filter_map(|(at, (way, text))| Some((at, way, link(&text)?))).collect()
}

fn ways(w: &World) -> Vec<&'static str> {
    asked(w).into_iter().map(|(_, way, _)| way).collect()
}

fn post(w: &mut World, link: Link, mark: &str) -> Reply {
    w.tell(Input::Link { link, form: [("mark".to_owned(), mark.to_owned())].into() }).unwrap()
}

fn page(w: &World, link: &Link) -> String {
    w.desk.page(w.now, link).unwrap().html
}

/// The mark of the newest case.
fn csat(w: &World) -> Option<u8> {
    let case = w.desk.list(true, 1)[0].id;
    w.desk.outcomes(At::MIN, None, 99).into_iter().find(|o| o.case == case)?.verdict.csat
}

fn minutes(n: i64) -> At {
    start() + Span::from_mins(n)
}

fn by_mail() -> String {
    BOOK.replace("\"app_push\", ", "")
}

#[test]
fn the_customer_is_asked_after_the_case_is_closed_and_the_mark_is_its_outcome() {
    let mut w = world(&by_mail(), |_| {});
    w.run(minutes(10));
    assert_eq!(w.desk.list(true, 1)[0].outcome.as_deref(), Some("served"), "{}", w.timeline());
    let [(_, "mail", link)] = asked(&w)[..] else { panic!("{}", w.timeline()) };
    let html = page(&w, &link);
    assert!(html.contains("Wie zufrieden sind Sie?") && html.contains("value=\"1\"") && html.contains("value=\"5\""));
    let looked = w.log.len();
    assert!(matches!(post(&mut w, link, "6"), Reply::Refused(_)));
    assert_eq!(w.log.len(), looked, "looking and nonsense change nothing");

    assert_eq!(post(&mut w, link, "4"), Reply::Done);
    assert_eq!(csat(&w), Some(4));
    let records = w.log.len();
    assert_eq!(post(&mut w, link, "4"), Reply::Done);
    assert_eq!(w.log.len(), records, "the same again is nothing new");
    assert!(page(&w, &link).contains("Ihre Note: 4 von 5"), "{}", page(&w, &link));
    assert!(w.timeline().contains("the owner gives the mark 4 of 5 (tap)"), "{}", w.timeline());
    post(&mut w, link, "2");
    assert_eq!(csat(&w), Some(2), "one may think again");
    assert_eq!(w.desk.rules()[0].csat, Some(2.0));
    assert!(w.loaded().same_state(&w.desk));

    w.run(start() + Span::from_hours(15 * 24));
    let shown = page(&w, &link);
    assert!(shown.contains("Ihre Note: 2 von 5") && !shown.contains("<form"), "{shown}");
    assert_eq!((post(&mut w, link, "5"), csat(&w)), (Reply::Done, Some(2)), "too late");
    assert_eq!(ways(&w), ["mail"], "once");
}

#[test]
fn a_page_whose_time_is_over_says_so() {
    let mut w = world(&by_mail().replace("via =", "expires = \"2h\"\nvia ="), |_| {});
    w.run(minutes(10));
    let (_, _, link) = asked(&w)[0];
    w.run(minutes(130));
    let shown = page(&w, &link);
    assert!(shown.contains("wird nicht mehr gebraucht") && !shown.contains("<form"), "{shown}");
    assert_eq!((post(&mut w, link, "5"), csat(&w)), (Reply::Done, None));
}

#[test]
fn the_next_way_is_tried_only_when_one_is_closed() {
    let mut w = world(BOOK, |_| {});
    w.run(minutes(10));
    assert_eq!(ways(&w), ["app"]);
    let refused = |o: &forewarn::domain::Order| {
        let no = Outcome::Rejected { reason: "unknown user".into() };
        matches!(o.work, Work::App(_)).then(|| vec![(1, Answer::Outcome(no))])
    };
    let config = config_with(BOOK, agreed);
    let mut w = World::new(config, Odds::friendly(), 1);
    w.script = Some(Box::new(refused));
    raise(&mut w, 1);
    w.run(minutes(10));
    assert_eq!(ways(&w), ["app", "mail"], "{}", w.timeline());

    let mut w = World::new(config_with(BOOK, agreed), Odds::friendly(), 1);
    w.script = Some(Box::new(move |o| {
        let no = || Outcome::Rejected { reason: "no".into() };
        let jane = matches!(&o.work, Work::App(_)) || matches!(&o.work, Work::Mail(m) if m.to == "jane@example.com");
        jane.then(|| vec![(1, Answer::Outcome(no()))])
    }));
    raise(&mut w, 1);
    w.run(start() + Span::from_hours(48));
    assert_eq!(ways(&w), ["app", "mail"]);
    assert!(!w.timeline().contains("is paged"), "nobody hears that a mark could not be asked for: {}", w.timeline());
}

#[test]
fn a_tap_in_the_app_is_a_mark() {
    let mut w = world(BOOK, |_| {});
    w.run(minutes(10));
    let push = w.orders.iter().find_map(|(_, o)| match &o.work {
        Work::App(push) => Some((o.effect, push.clone())),
        _ => None,
    });
    let (effect, push) = push.unwrap();
    let labels: Vec<(char, &str)> = push.choices.iter().map(|(c, l)| (*c, l.as_str())).collect();
    assert_eq!(labels, [('1', "1"), ('2', "2"), ('3', "3"), ('4', "4"), ('5', "5")]);
    let tap = |digit| {
        let what = ReceiptKind::Key { digit };
        Input::Receipt(Receipt { effect, provider_ref: None, seq: None, what })
    };
    assert!(matches!(w.tell(tap('9')), Some(Reply::Refused(_))));
    assert_eq!(w.tell(tap('2')), Some(Reply::Done));
    assert_eq!(csat(&w), Some(2));
    assert!(!w.timeline().contains("is paged"), "2 is a mark here and no call for help: {}", w.timeline());
}

fn said(channel: Channel, from: Sender, n: u8, text: &str) -> Input {
    let external_id = format!("m-{n}");
    Input::Said(Said { channel, external_id, from, case: None, text: text.into(), calendar: None, answered: true })
}

#[test]
fn a_digit_in_reply_to_the_question_is_a_mark_and_elsewhere_it_is_not() {
    let phone = || Sender::Phone("+43111".into());
    let sms = BOOK.replace("\"app_push\", \"email\"", "\"sms\"");
    let mut w = world(&sms, |_| {});
    w.run(minutes(10));
    assert_eq!(ways(&w), ["sms"]);
    w.tell(said(Channel::Sms, phone(), 1, " 5. "));
    assert_eq!(csat(&w), Some(5), "{}", w.timeline());
    w.tell(said(Channel::Sms, phone(), 2, "2"));
    assert_eq!(csat(&w), Some(2), "{}", w.timeline());
    assert!(!w.timeline().contains("is paged"), "{}", w.timeline());
    w.tell(said(Channel::Sms, phone(), 3, "The mechanic was very kind"));
    assert!(w.timeline().contains("is paged: the owner has written"), "words are for people: {}", w.timeline());

    let mail = || Sender::Email("jane@example.com".into());
    let mut w = world(&by_mail(), |_| {});
    w.run(minutes(10));
    w.tell(said(Channel::Email, mail(), 1, "3"));
    assert_eq!(csat(&w), Some(3), "{}", w.timeline());

    // A breakdown after that: 1 is an answer to the warning.
    let warn = "[[step]]\nid = \"warn\"\ndo = \"reach\"\nwho = [\"driver\"]\nuntil = \"human_confirmed\"\ngoal = \"told\"\n\
        script = \"brake-stop-now\"\nladder = [{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"5m\", queue = \"service-desk\" }]\n";
    let both = sms.replace("\"ticket_open\"]", "\"ticket_open\", \"told\"]") + warn;
    let mut w = world(&both, |_| {});
    w.run(minutes(2));
    w.tell(said(Channel::Sms, phone(), 1, "1"));
    w.run(minutes(4));
    let view = w.desk.show(&w.desk.list(true, 1)[0].id).unwrap();
    assert_eq!((view.goals[1].state.as_str(), csat(&w)), ("met", None), "{}", w.timeline());
}

/// Nobody is asked in these worlds.
#[test]
fn nobody_is_asked_who_has_not_agreed_or_has_opted_out_or_is_in_danger() {
    let mut w = World::new(config_with(BOOK, |_| {}), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(minutes(60));
    assert_eq!(ways(&w), [""; 0], "without consent");
    assert!(w.timeline().contains("no consent for this purpose"), "{}", w.timeline());

    let mut w = World::new(config_with(BOOK, agreed), Odds::friendly(), 1);
    for (endpoint, channel) in [("e-2", Channel::Email), ("e-4", Channel::App)] {
        let (endpoint, purpose) = (endpoint.into(), Some(Purpose::Info));
        w.tell(Input::OptOut { endpoint, channel, purpose, actor: "kim".into() });
    }
    raise(&mut w, 1);
    w.run(minutes(60));
    assert_eq!(ways(&w), [""; 0], "opted out of info");

    let config = config_with(BOOK, |c| {
        agreed(c);
        second_car(c, "car-2");
    });
    let mut both = (*config).clone();
    both.playbooks.extend(config_with(DANGER, |_| {}).playbooks.clone());
    let mut w = World::new(Arc::new(both), Odds::friendly(), 1);
    let mut d = detection("c.d", Severity::Critical, 1, 1, Change::Raised, w.now);
    d.device = "car-2".into();
    w.tell(Input::Detection(Box::new(d)));
    raise(&mut w, 1);
    w.run(minutes(10));
    assert_eq!(ways(&w), [""; 0], "{}", w.timeline());
    let [other] = &w.desk.list(false, 9)[..] else { panic!("the other car is still in danger") };
    let case = other.id;
    assert_eq!(w.desk.list(true, 9).len(), 2, "the first one is served");
    w.tell(Input::Close { case, actor: "kim".into(), reason: "towed".into() });
    w.run(minutes(40));
    assert_eq!(ways(&w), ["app"], "now there is time for it");

    let mut w = world(BOOK, |_| {});
    w.tell(Input::Erase { customer: "c-1".into(), force: false, actor: "kim".into() });
    w.run(minutes(60));
    assert_eq!(ways(&w), [""; 0], "erased");
}

#[test]
fn one_customer_is_asked_seldom_and_never_in_the_night() {
    let mut w = world(BOOK, |c| {
        second_car(c, "car-2");
        c.contact.survey_every = Span::from_hours(30 * 24);
    });
    on(&mut w, "car-2", 2);
    w.run(minutes(30));
    assert_eq!(ways(&w), ["app"], "two cases at once, one question: {}", w.timeline());
    w.run(start() + Span::from_hours(29 * 24));
    raise(&mut w, 3);
    w.run(w.now + Span::from_hours(1));
    assert_eq!(ways(&w), ["app"]);
    assert!(
        w.timeline().contains("nobody is asked for a mark: the customer was asked at 2026-11-20"),
        "{}",
        w.timeline()
    );
    w.run(start() + Span::from_hours(31 * 24));
    raise(&mut w, 4);
    w.run(w.now + Span::from_hours(1));
    assert_eq!(ways(&w), ["app", "app"], "{}", w.timeline());

    // A playbook of danger may call at night; its survey waits until morning.
    let safety = BOOK.replace("purpose = \"service\"", "purpose = \"safety\"\nquiet_hours = \"ignore\"")
        + "[[step]]\nid = \"help\"\ndo = \"human\"\nqueue = \"safety-desk\"\n";
    let mut w = World::new(config_with(&safety, agreed), Odds::friendly(), 1);
    w.now = "2026-11-20T22:00:00Z".parse().unwrap();
    raise(&mut w, 1);
    w.run(w.now + Span::from_hours(20));
    let [(at, "app", _)] = asked(&w)[..] else { panic!("{:?} {}", ways(&w), w.timeline()) };
    assert_eq!(at.to_string(), "2026-11-21T07:00:00Z", "eight in Vienna");
}

#[test]
fn a_fault_that_is_back_is_no_time_for_questions() {
    let mut w = World::new(config_with(&by_mail(), agreed), Odds::friendly(), 1);
    w.now = "2026-11-20T22:00:00Z".parse().unwrap();
    raise(&mut w, 1);
    w.run(w.now + Span::from_mins(10));
    assert_eq!(w.desk.list(true, 1)[0].phase, "closed");
    // Before morning it is there again, and is put right once more.
    raise(&mut w, 2);
    w.run("2026-11-21T09:00:00Z".parse().unwrap());
    assert_eq!(ways(&w), ["mail"], "asked once, after the second time: {}", w.timeline());
    assert_eq!(w.desk.list(true, 1)[0].outcome.as_deref(), Some("served"));
}

#[test]
fn a_false_alarm_is_not_rated() {
    let book = BOOK.replace("after = [\"ticket\"]", "after = [\"stands\"]");
    let book = book.replace("[\"ticket_open\"]", "[\"ticket_open\", \"stands\"]")
        + "[[step]]\nid = \"stands\"\ndo = \"wait_for\"\ngoal = \"stands\"\nexpect = \"device.speed == 0\"\nwithin = \"2h\"\n\
           else = \"human:service-desk\"\n[[cancel]]\nwhen = \"fault.cleared\"\ndo = [\"ticket.note('over')\"]\n";
    let mut w = World::new(config_with(&book, agreed), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(minutes(5));
    let over = detection("a.b", Severity::Critical, 1, 2, Change::Cleared, w.now);
    w.tell(Input::Detection(Box::new(over)));
    w.run(minutes(60));
    assert_eq!(w.desk.list(true, 1)[0].outcome.as_deref(), Some("false_alarm"), "{}", w.timeline());
    assert_eq!(ways(&w), [""; 0]);
}

#[test]
fn whatever_goes_wrong_nobody_is_asked_twice() {
    for seed in 0..40 {
        let config = config_with(BOOK, |c| {
            agreed(c);
            second_car(c, "car-2");
        });
        let mut w = World::new(config, Odds { crash: 20, ..Odds::hostile() }, seed);
        raise(&mut w, 1);
        on(&mut w, "car-2", 2);
        w.run(start() + Span::from_hours(48));
        let taken: std::collections::BTreeSet<_> =
            asked(&w).into_iter().map(|(_, way, link)| (way, link.effect)).collect();
        assert!(taken.len() <= 2, "seed {seed}: {taken:?}");
        let cases = w.desk.list(true, 9);
        let rated = taken.iter().map(|(_, effect)| w.desk.case_of(effect)).collect::<std::collections::BTreeSet<_>>();
        assert!(rated.len() <= 1, "seed {seed}: {taken:?}\n{cases:?}");
        assert!(w.loaded().same_state(&w.desk), "seed {seed}");
    }
}

#[test]
fn only_endpoints_of_the_ways_named_count() {
    let mut w = world(BOOK, |c| {
        let mut registry = (*c.registry).clone();
        let jane = registry.customers.get_mut("c-1").unwrap();
        jane.endpoints.retain(|e| e.kind == EndpointKind::Phone);
        c.registry = Arc::new(registry);
    });
    w.run(minutes(10));
    assert_eq!(ways(&w), [""; 0]);
    assert!(w.timeline().contains("there is nobody who could be asked"), "{}", w.timeline());
    assert_eq!(w.desk.list(true, 1)[0].device, DEVICE);
}

/// What `check` says of a playbook in the shipped surroundings, and of a fleet whose people agreed to `consents`.
fn findings(book: &str, consents: &[Purpose]) -> String {
    let config = config_with(BOOK, |_| {});
    let around = Surroundings {
        queues: config.queues.keys().cloned().collect(),
        providers: config.providers.iter().map(|(n, p)| (n.clone(), p.kind)).collect(),
        messages: config.messages.clone(),
        fleet: Some(FleetFacts {
            roles: ["driver".into(), "owner".into()].into(),
            kinds: [("car".into(), [Arc::from("plate")].into())].into(),
            consents: consents.iter().copied().map(forewarn::domain::Agreed::Contact).collect(),
        }),
        ..Surroundings::default()
    };
    let mut diags = Diagnostics::default();
    let file = diags.add_file("p.toml", book);
    load(&mut diags, &[file], &around);
    diags.render(false)
}

#[test]
fn what_a_survey_cannot_be_is_told_when_it_is_loaded_all_at_once() {
    let all = [Purpose::Service, Purpose::Info];
    assert_eq!(findings(BOOK, &all), "");
    for (from, to, code, part) in [
        ("scale = \"1-5\"", "scale = \"0-10\"", "P038", "expected 1-5"),
        ("scale = \"1-5\"\n", "", "P001", "scale"),
        ("\"app_push\", \"email\"", "\"call\"", "P038", "nobody is asked for a mark by 'call'"),
        ("\"app_push\"", "\"app_pusch\"", "P038", "did you mean 'app_push'?"),
        ("via = [\"app_push\", \"email\"]\n", "", "P001", "via"),
        ("scale =", "script = \"surveyy\"\nscale =", "P008", "did you mean `survey`?"),
        ("\"email\"]", "\"email\"]\nscript = \"brake-stop-now\"", "P008", "lacks `en/brake-stop-now.email"),
        ("after = [\"ticket\"]\n", "", "P038", "comes after nothing"),
        ("scale =", "goal = \"ticket_open\"\nscale =", "P038", "a survey proves nothing"),
        ("scale =", "policy = { purpose = \"safety\" }\nscale =", "P038", "a survey warns nobody"),
        ("scale =", "who = [\"drivr\"]\nscale =", "P036", "did you mean `driver`?"),
        ("scale =", "mood = 1\nscale =", "P001", "mood"),
    ] {
        assert!(BOOK.contains(from), "{from}");
        let shown = findings(&BOOK.replacen(from, to, 1), &all);
        assert!(shown.contains(code) && shown.contains(part), "{from} -> {to}: {code} {part}\n{shown}");
    }
    let both = BOOK.replace("1-5", "1-9").replace("\"email\"]", "\"letter\"]");
    let shown = findings(&both, &all);
    assert!(shown.contains("expected 1-5") && shown.contains("'letter'"), "{shown}");
    let shown = findings(BOOK, &[Purpose::Service]);
    assert!(shown.contains("P035") && shown.contains("so nobody is asked"), "{shown}");
    let named = BOOK.replace("[case]", "[case]\nkey = \"{{ device.plate }}\"");
    assert!(findings(&named, &all).contains("P039"), "a key stands in the log for ever");
}
