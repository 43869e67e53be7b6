//! `consent` of a playbook: without it the case is for the ticket desk only, in virtual time.

use std::sync::Arc;

use forewarn::desk::{CaseView, Config, Input};
use forewarn::domain::{Agreed, At, Change, Consent, Severity, Span, Work};

use super::desk_world::{Odds, World, config_with, detection, start};
use super::policy::{after, book, raise, sent, tell, view};

const SMS: &str = "{ via = \"sms\", at = \"10m\" }, { via = \"human\", at = \"2h\", queue = \"service-desk\" }";

/// Tell the driver in ten minutes; a ticket when that is done.
fn plan() -> String {
    let ticket = "[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\nafter = [\"tell\"]\n\
                  goal = \"ticket_open\"\nmirror = [\"note\", \"contact\"]\n";
    let steps = format!("{}{ticket}", tell(SMS));
    book("service", "consent = [\"usage_data\"]", "\"told\", \"ticket_open\"", &steps)
}

/// Jane, who owns the car, has agreed from `given` to `withdrawn`.
fn agreed(config: &mut Config, given: At, withdrawn: Option<At>) {
    let mut registry = (*config.registry).clone();
    let jane = registry.customers.get_mut("c-1").unwrap();
    jane.consents.push(Consent {
        to: Agreed::Named("usage_data".into()),
        channel: None,
        source: "app".into(),
        given_at: given,
        withdrawn_at: withdrawn,
    });
    config.registry = Arc::new(registry);
}

fn world(change: impl FnOnce(&mut Config)) -> World {
    let mut w = World::new(config_with(&plan(), change), Odds::friendly(), 1);
    raise(&mut w, 1);
    w
}

fn goals(view: &CaseView) -> Vec<(&str, &str)> {
    view.goals.iter().map(|g| (g.name.as_str(), g.state.as_str())).collect()
}

fn tickets(w: &World) -> usize {
    let opened = |o: &Work| matches!(o, Work::Ticket(forewarn::domain::TicketWork::Create { .. }));
    w.orders.iter().filter(|(_, o)| opened(&o.work)).count()
}

fn cleared(w: &mut World) {
    let detection = detection("a.b", Severity::Critical, 1, 2, Change::Cleared, w.now);
    w.tell(Input::Detection(Box::new(detection)));
}

#[test]
fn with_the_consent_the_plan_runs() {
    let mut w = world(|c| agreed(c, At::MIN, None));
    w.run(after(700));
    assert_eq!((sent(&w), tickets(&w)), (vec![(600, "sms +43111".to_owned())], 0), "{}", w.timeline());
}

#[test]
fn without_the_consent_only_the_ticket_desk_hears_of_it() {
    // Nobody was ever asked; it was withdrawn; it begins tomorrow.
    type Edit = fn(&mut Config);
    let edits: [Edit; 3] =
        [|_| {}, |c| agreed(c, At::MIN, Some(start())), |c| agreed(c, start() + Span::from_hours(24), None)];
    for edit in edits {
        let mut w = world(edit);
        w.run(after(3 * 3_600));
        assert_eq!((sent(&w), tickets(&w)), (Vec::new(), 1), "{}", w.timeline());
        let shown = view(&w);
        assert_eq!(goals(&shown), [("told", "waived"), ("ticket_open", "met")]);
        assert!(w.timeline().contains("the owner has not agreed to usage_data: the case goes to the ticket desk only"));
        let wait = shown.waits.iter().find(|x| x.what == "the case").unwrap();
        assert_eq!(wait.why, "the ticket desk: the owner has not agreed to usage_data");
        assert_eq!(shown.summary.closed_at, None, "it is there until the fault has gone");
        assert!(!w.timeline().contains("is paged"), "a ticket is a reaction\n{}", w.timeline());
        cleared(&mut w);
        w.run(after(4 * 3_600));
        assert_eq!(view(&w).summary.outcome.as_deref(), Some("no_consent"), "{}", w.timeline());
        assert!(w.loaded().same_state(&w.desk));
    }
}

#[test]
fn a_device_of_nobody_has_no_consent_either() {
    let mut w = world(|c| {
        let mut registry = (*c.registry).clone();
        registry.devices.get_mut("car-1").unwrap().parties.clear();
        c.registry = Arc::new(registry);
    });
    w.run(after(3_600));
    assert_eq!((sent(&w), tickets(&w)), (Vec::new(), 1), "{}", w.timeline());
    assert!(w.timeline().contains("nobody is known who could have agreed"), "{}", w.timeline());
}

#[test]
fn who_takes_it_back_in_the_middle_is_left_in_peace_from_then_on() {
    // By its date.
    let mut w = world(|c| agreed(c, At::MIN, Some(after(300))));
    w.run(after(3_600));
    assert_eq!(
        (sent(&w), tickets(&w)),
        (Vec::new(), 1),
        "the message of the tenth minute is not sent\n{}",
        w.timeline()
    );
    // By a new registry, which the desk takes over between the planning of a message and its sending.
    let mut w = World::new(config_with(&plan(), |c| agreed(c, At::MIN, None)), Odds::friendly(), 1);
    w.run("2026-11-20T22:00:00Z".parse().unwrap());
    raise(&mut w, 1);
    w.run(w.now + Span::from_mins(30));
    assert!(view(&w).waits.iter().any(|x| x.why == "quiet hours of the recipient"), "{:?}", view(&w).waits);
    w.desk.reload(config_with(&plan(), |_| {}));
    w.run(w.now + Span::from_hours(12));
    let to_people = sent(&w).iter().filter(|(_, to)| !to.starts_with("mail service")).count();
    assert_eq!((to_people, tickets(&w)), (0, 1), "{}", w.timeline());
    // Nobody had heard of it for half an hour; once there was a ticket, nobody need be asked.
    assert_eq!(sent(&w).len(), 1, "{}", w.timeline());
}

#[test]
fn consent_that_comes_back_counts_for_the_next_case() {
    let mut w = world(|c| agreed(c, start() + Span::from_hours(1), None));
    w.run(after(2 * 3_600));
    assert_eq!(sent(&w), [], "the case was refused once and stays so");
    cleared(&mut w);
    w.run(after(3 * 3_600));
    raise(&mut w, 2);
    w.run(after(3 * 3_600 + 700));
    assert_eq!(sent(&w).len(), 1, "{}", w.timeline());
}

#[test]
fn killed_at_every_input_a_case_without_consent_has_one_ticket_and_no_message() {
    let calm = {
        let mut w = world(|_| {});
        w.run(after(3_600));
        w.steps
    };
    for at in 0..calm {
        for durable in [false, true] {
            let mut w = World::new(config_with(&plan(), |_| {}), Odds::friendly(), 1);
            w.crash_at = Some((at, durable));
            let detection = detection("a.b", Severity::Critical, 1, 1, Change::Raised, w.now);
            w.later(Span::from_millis(1), Input::Detection(Box::new(detection)));
            w.run(after(3_600));
            assert_eq!(
                (sent(&w), w.done().get("ticket")),
                (Vec::new(), Some(&1)),
                "input {at}, {durable}: {}",
                w.timeline()
            );
        }
    }
}
