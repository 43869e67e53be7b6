//! What a word answers that somebody writes, and as whom they are spoken of: a number and a mailbox are lines of their own,
//! and what was asked on one is not answered on the other.

use forewarn::desk::{CaseView, Input};
use forewarn::domain::{
    CallProgress, Change, Channel, Detection, Order, ReceiptKind, Said, Sender, Severity, TicketWork, Work,
};
use forewarn::playbook::load;
use forewarn::source::Diagnostics;

use super::desk_world::{Answer, Odds, World, config, config_with, detection, surroundings};
use super::policy::{SMS, after, book, raise, second_car, sent, tell, view};
use super::survey::agreed;

/// Goes on until the fault has gone.
const MENDED: &str = "[[step]]\nid = \"mend\"\ndo = \"wait_for\"\ngoal = \"mended\"\nexpect = \"fault.cleared\"\n\
                      within = \"3d\"\nelse = \"human:service-desk\"\n";
/// A text for the phone, and one for mails.
const WARNING: &str = "brake-stop-now";
const NOTE: &str = "we-saw-it-coming";
const TICKET: &str = "[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\nmirror = [\"contact\"]\n";

/// The driver of car-1 was told of `a.b` by this `way`, and a minute later the same person of car-2 by mail.
fn two_lines(way: &str, more: &str) -> World {
    let ladder = |via: &str| {
        format!("{{ via = \"{via}\", at = \"0s\" }}, {{ via = \"human\", at = \"9h\", queue = \"service-desk\" }}")
    };
    let plan = |via: &str, more: &str| {
        book("service", "", "\"told\", \"mended\"", &format!("{}{MENDED}{more}", tell(&ladder(via))))
    };
    let by_mail = plan("email", "")
        .replace("\"a.b\"", "\"a.c\"")
        .replace("id = \"test\"", "id = \"mails\"")
        .replace(WARNING, NOTE);
    let first = if way == "email" { plan(way, more).replace(WARNING, NOTE) } else { plan(way, more) };
    let config = config(|c| {
        second_car(c, "car-2");
        agreed(c);
        let mut diags = Diagnostics::default();
        let files = [diags.add_file("first.toml", first), diags.add_file("mail.toml", by_mail)];
        c.playbooks = load(&mut diags, &files, &surroundings(c));
        assert!(diags.list().is_empty(), "{}", diags.render(false));
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    if way == "call" {
        // It is answered, and no key is pressed.
        w.script = Some(Box::new(|o: &Order| {
            let progress = |progress| Answer::Report(ReceiptKind::Call { progress });
            let heard = vec![
                (1, Answer::accepted("CA")),
                (2, progress(CallProgress::InProgress)),
                (20, progress(CallProgress::Completed)),
            ];
            matches!(o.work, Work::Call(_)).then_some(heard)
        }));
    }
    raise(&mut w, 1);
    w.run(after(60));
    let second = detection("a.c", Severity::Major, 2, 1, Change::Raised, w.now);
    w.tell(Input::Detection(Box::new(Detection { device: "car-2".into(), ..second })));
    w.run(after(120));
    w
}

fn case(w: &World, device: &str) -> CaseView {
    let found = w.desk.list(true, 9).into_iter().find(|c| c.device == device).unwrap();
    w.desk.show(&found.id).unwrap()
}

/// How the first promise and the case stand.
fn stands(w: &World, device: &str) -> (String, Option<String>) {
    let view = case(w, device);
    (view.goals[0].state.clone(), view.summary.outcome)
}

fn open(told: &str) -> (String, Option<String>) {
    (told.to_owned(), None)
}

fn write(w: &mut World, from: Sender, text: &str) {
    let channel = if matches!(from, Sender::Email(_)) { Channel::Email } else { Channel::Sms };
    let said = Said {
        channel,
        external_id: format!("{text}-{}", w.now),
        from,
        case: None,
        text: text.into(),
        calendar: None,
        answered: true,
    };
    w.tell(Input::Said(said));
    w.run(w.now + forewarn::domain::Span::from_secs(60));
}

fn phone() -> Sender {
    Sender::Phone("+43111".into())
}

fn mailbox() -> Sender {
    Sender::Email("jane@example.com".into())
}

/// Worlds 126 and 148 of the fleets: a case was called off because of what was written about another one.
#[test]
fn a_text_message_answers_what_was_asked_on_that_number_and_no_mail_about_another_case() {
    for way in ["sms", "call"] {
        let mut w = two_lines(way, "");
        write(&mut w, phone(), "1");
        assert_eq!((stands(&w, "car-1"), stands(&w, "car-2")), (open("met"), open("open")), "{way}");
        write(&mut w, phone(), "1");
        assert_eq!(stands(&w, "car-2"), open("open"), "{way}: said twice, and about the first");
        write(&mut w, phone(), "9");
        assert_eq!(stands(&w, "car-1").1.as_deref(), Some("false_alarm"), "{way}: the last word about the first");
        assert_eq!(stands(&w, "car-2"), open("open"), "{way}");
        // The case that they spoke of is over: nothing else is meant by it.
        write(&mut w, phone(), "9");
        assert_eq!(stands(&w, "car-2"), open("open"), "{way}");
    }
}

#[test]
fn a_mail_answers_the_mail_and_a_word_without_a_question_on_its_line_answers_the_only_one_there_is() {
    let mut w = two_lines("sms", "");
    write(&mut w, mailbox(), "1");
    assert_eq!((stands(&w, "car-1"), stands(&w, "car-2")), (open("open"), open("met")));
    write(&mut w, mailbox(), "9");
    assert_eq!((stands(&w, "car-1"), stands(&w, "car-2").1.as_deref()), (open("open"), Some("false_alarm")));
    // Nothing was said on the phone: there is one open thing that can be meant.
    let mut w = two_lines("email", "");
    let case = case(&w, "car-1").summary.id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "seen to".into() });
    write(&mut w, phone(), "1");
    assert_eq!(stands(&w, "car-2"), open("met"));
}

#[test]
fn the_mark_of_a_closed_case_is_not_an_answer_to_a_mail_about_an_open_one() {
    let survey = "[[step]]\nid = \"ask\"\ndo = \"survey\"\nscale = \"1-5\"\nwho = [\"owner\"]\nafter = [\"mend\"]\nvia = [\"sms\"]\n";
    let mut w = two_lines("sms", survey);
    write(&mut w, phone(), "1");
    let cleared = detection("a.b", Severity::Critical, 1, 2, Change::Cleared, w.now);
    w.tell(Input::Detection(Box::new(cleared)));
    w.run(w.now + forewarn::domain::Span::from_mins(30));
    assert_eq!(stands(&w, "car-1").1.as_deref(), Some("served"), "{}", w.timeline());
    write(&mut w, phone(), "1");
    let marked = case(&w, "car-1").timeline.iter().any(|l| l.text == "the owner gives the mark 1 of 5 (reply)");
    assert!(marked, "{:#?}", case(&w, "car-1").timeline);
    assert_eq!(stands(&w, "car-2"), open("open"));
}

/// The driver was written to and did not answer; the fleet's Joe was called next, and did.
#[test]
fn who_is_not_meant_does_not_undo_what_somebody_else_has_confirmed() {
    let ladder = "{ via = \"sms\", at = \"0s\" }, { via = \"call\", at = \"1m\" }, \
                  { via = \"human\", at = \"9h\", queue = \"service-desk\" }";
    let plan = book("safety", "", "\"told\", \"mended\"", &format!("{}{MENDED}", tell(ladder)));
    for jane_too in [false, true] {
        let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
        let missed = ReceiptKind::Call { progress: CallProgress::NoAnswer };
        w.script = Some(Box::new(move |o: &Order| match &o.work {
            Work::Call(c) if c.to == "+43111" => {
                Some(vec![(1, Answer::accepted("CA")), (9, Answer::Report(missed.clone()))])
            }
            _ => None,
        }));
        raise(&mut w, 1);
        w.run(after(200));
        if jane_too {
            write(&mut w, phone(), "1");
        }
        assert!(sent(&w).iter().any(|(_, to)| to == "call +44222"), "{}", w.timeline());
        assert_eq!(stands(&w, "car-1"), open("met"), "{}", w.timeline());
        write(&mut w, phone(), "8");
        assert!(w.timeline().contains("is not a person of this device"), "{}", w.timeline());
        assert_eq!(stands(&w, "car-1"), open("met"), "{}", w.timeline());
        assert!(!w.timeline().contains("goal told is open"), "nor for a moment\n{}", w.timeline());
    }
}

#[test]
fn who_is_not_meant_undoes_what_they_alone_have_confirmed() {
    let plan = book("safety", "", "\"told\", \"mended\"", &format!("{}{MENDED}", tell(SMS)));
    let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(after(60));
    write(&mut w, phone(), "1");
    assert_eq!(stands(&w, "car-1"), open("met"));
    write(&mut w, phone(), "8");
    assert_eq!(stands(&w, "car-1"), open("open"), "{}", w.timeline());
    assert_eq!(sent(&w).last().unwrap().1, "sms +44222", "the next person is told\n{}", w.timeline());
}

/// World 900 of the fleets: the wrong person had confirmed the warning, and said so in a later call.
#[test]
fn who_is_not_meant_undoes_what_they_have_confirmed_in_every_step() {
    let later = tell(SMS).replace("\"tell\"", "\"later\"").replace("\"told\"", "\"asked\"\nafter = [\"tell\"]");
    let plan = book("safety", "", "\"told\", \"asked\", \"mended\"", &format!("{}{later}{MENDED}", tell(SMS)));
    let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(after(60));
    write(&mut w, phone(), "1");
    let goals = |w: &World| view(w).goals.iter().map(|g| g.state.clone()).collect::<Vec<_>>();
    assert_eq!(goals(&w), ["met", "open", "open"], "{}", w.timeline());
    write(&mut w, phone(), "8");
    assert_eq!(goals(&w), ["open", "open", "open"], "{}", w.timeline());
    let joe = sent(&w).into_iter().filter(|(_, to)| to == "sms +44222").count();
    assert_eq!(joe, 2, "the next person is told in both\n{}", w.timeline());
}

/// Jane drives the car and owns it: she is spoken of as whom the step means.
#[test]
fn a_ticket_says_driver_or_owner_by_what_the_step_asks_for() {
    for (who, role) in [("owner", "owner"), ("driver", "driver"), ("driver\", \"owner", "driver")] {
        let steps = format!("{}{TICKET}{MENDED}", tell(SMS).replace("\"driver\", \"fleet\"", &format!("\"{who}\"")));
        let mut w =
            World::new(config_with(&book("service", "", "\"told\", \"mended\"", &steps), |_| {}), Odds::friendly(), 1);
        raise(&mut w, 1);
        w.run(after(60));
        write(&mut w, phone(), "1");
        write(&mut w, phone(), "Is it safe to drive?");
        w.run(after(600));
        let article = |o: &Order| match &o.work {
            Work::Ticket(TicketWork::Note { body, .. }) => Some(body.clone()),
            _ => None,
        };
        let ticket: String = w.orders.iter().filter_map(|(_, o)| article(o)).collect();
        for line in [
            format!("Sent a text message to the {role} ("),
            format!("Answered: the {role} has understood"),
            format!("the {role} writes (sms)"),
        ] {
            assert!(ticket.contains(&line), "{line}: {ticket}");
        }
        let other = if role == "owner" { "driver" } else { "owner" };
        assert!(!ticket.contains(&format!("the {other}")), "{ticket}");
        assert!(view(&w).conversation.iter().all(|m| m.who == role), "{:?}", view(&w).conversation);
        let known = w.desk.lookup(&forewarn::desk::Caller::Device("car-1".into()));
        assert!(known.devices[0].open[0].told.iter().all(|t| t.whom == role), "{known:?}");
    }
}

#[test]
fn what_was_called_off_waits_for_nothing() {
    let ladder = "{ via = \"sms\", at = \"0s\" }, { via = \"call\", at = \"0s\", hours = \"20:00-21:00\" }";
    let plan = book("service", "", "\"told\", \"mended\"", &format!("{}{MENDED}", tell(ladder)));
    let mut w = World::new(config_with(&plan, |_| {}), Odds::friendly(), 1);
    raise(&mut w, 1);
    w.run(after(60));
    let call = |w: &World| view(w).effects.into_iter().find(|e| e.kind == "call").unwrap();
    assert!(call(&w).waits_for.is_some(), "{:?}", call(&w));
    write(&mut w, phone(), "1");
    assert_eq!((call(&w).state.as_str(), call(&w).waits_for), ("cancelled", None));
}
