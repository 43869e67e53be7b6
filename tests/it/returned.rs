//! Mails that come back undelivered: nobody was told, whatever a mail server had said before.

use std::sync::Arc;

use forewarn::desk::{Config, Input};
use forewarn::domain::{Change, EffectId, MailWork, Receipt, ReceiptKind, Severity, Span, Work};
use forewarn::wire::reply;

use super::appointments;
use super::desk_world::{Odds, World, config, config_with, detection, link_key, start};

/// The owner is told by mail, and if that fails by a person.
const BOOK: &str = r#"
schema = "playbook/1"
id = "mailed"
version = 1
[match]
fault = ["a.b"]
[case]
goals = ["told"]
[policy]
purpose = "service"
[[step]]
id = "tell"
do = "reach"
who = ["owner"]
goal = "told"
until = "delivered"
script = "we-saw-it-coming"
ladder = [{ via = "email", at = "0s" }, { via = "human", at = "2d", queue = "service-desk" }]
"#;
/// Keeps the case open.
const WATCH: &str = r#"
[[step]]
id = "watch"
do = "wait_for"
goal = "still"
expect = "device.speed == 0"
within = "9d"
else = "human:service-desk"
"#;

fn with_bounces(book: &str) -> Arc<Config> {
    config_with(book, |c| c.contact.bounce_domain = Some("mail.example.com".into()))
}

fn mailed(book: &str) -> (World, EffectId) {
    let mut w = World::new(with_bounces(book), Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(detection("a.b", Severity::Major, 1, 1, Change::Raised, start()))));
    w.run(start() + Span::from_mins(5));
    let (effect, mail) = mails(&w).remove(0);
    let back = reply::effect_of(&link_key(), &mail.comes_back_to.unwrap());
    assert_eq!(back, Some(effect), "the address says which mail it was");
    (w, effect)
}

fn mails(w: &World) -> Vec<(EffectId, MailWork)> {
    let mail = |work: &Work| if let Work::Mail(mail) = work { Some(mail.clone()) } else { None };
    w.orders.iter().filter_map(|(_, o)| Some((o.effect, mail(&o.work)?))).collect()
}

fn asked(w: &World) -> bool {
    mails(w).iter().any(|(_, m)| m.to == "service@example.com")
}

fn comes_back(w: &mut World, effect: EffectId) {
    w.tell(Input::Receipt(Receipt { effect, provider_ref: None, seq: None, what: ReceiptKind::Returned }));
}

fn goal(w: &World) -> String {
    let case = w.desk.list(true, 1)[0].id;
    w.desk.show(&case).unwrap().goals[0].state.clone()
}

#[test]
fn a_promise_met_by_a_mail_that_comes_back_is_open_again_and_the_ladder_goes_on() {
    let (mut w, effect) = mailed(&format!("{}{WATCH}", BOOK.replace("[\"told\"]", "[\"told\", \"still\"]")));
    assert_eq!((goal(&w).as_str(), asked(&w)), ("met", false), "as far as anybody knows");
    comes_back(&mut w, effect);
    assert_eq!(goal(&w), "open", "{}", w.timeline());
    w.desk = w.loaded();
    w.run(start() + Span::from_mins(20));
    assert_eq!((goal(&w).as_str(), asked(&w)), ("open", true), "{}", w.timeline());
    let records = w.log.len();
    comes_back(&mut w, effect);
    assert_eq!((w.log.len(), goal(&w).as_str()), (records, "open"), "reported twice it is nothing new");
}

#[test]
fn a_mail_that_comes_back_after_the_end_is_a_persons_business() {
    let (mut w, effect) = mailed(BOOK);
    assert_eq!(w.desk.list(true, 1)[0].outcome.as_deref(), Some("served"));
    comes_back(&mut w, effect);
    w.run(start() + Span::from_mins(20));
    assert!(w.timeline().contains("is paged: an e-mail to the owner has come back"), "{}", w.timeline());
    assert!(asked(&w), "{}", w.timeline());
}

#[test]
fn an_invitation_that_comes_back_is_told_to_a_person() {
    let config = config(|c| c.contact.bounce_domain = Some("mail.example.com".into()));
    let (mut w, _, _) = appointments::confirmed(config);
    let invitation = mails(&w).into_iter().rfind(|(_, m)| m.invitation.is_some()).unwrap().0;
    comes_back(&mut w, invitation);
    assert!(w.timeline().contains("has come back undelivered"), "{}", w.timeline());
    assert!(w.timeline().contains("is paged"), "{}", w.timeline());
}

#[test]
fn without_an_address_for_it_a_mail_comes_back_to_its_sender() {
    let mut w = World::new(config_with(BOOK, |_| {}), Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(detection("a.b", Severity::Major, 1, 1, Change::Raised, start()))));
    w.run(start() + Span::from_mins(5));
    assert_eq!(mails(&w)[0].1.comes_back_to, None);
}
