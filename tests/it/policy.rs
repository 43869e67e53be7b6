//! What people may expect of us: no message that they do not want, none to the wrong person, and an answer to what they
//! write, in virtual time.

use std::sync::Arc;

use forewarn::desk::{AfterClose, Cap, CaseView, Config, Input, MessageView, Person, Reply, Skills, SpeechThen, Whose};
use forewarn::domain::{
    CallProgress, CaseId, Change, Channel, Detection, Device, DispatchWork, Link, Order, PageKind, Purpose, Receipt,
    ReceiptKind, Said, Sender, Severity, SmsProgress, Span, Work,
};

use super::desk_world::{Answer, DEVICE, Odds, World, config, config_with, detection, start};

/// A playbook whose fault is `a.b`; quiet hours are of no concern at ten in the morning.
pub(super) fn book(purpose: &str, more: &str, goals: &str, steps: &str) -> String {
    format!(
        "schema = \"playbook/1\"\nid = \"test\"\nversion = 1\n[match]\nfault = [\"a.b\"]\n[case]\nreopen = \"1h\"\n\
         goals = [{goals}]\n[policy]\npurpose = \"{purpose}\"\n{more}\n{steps}"
    )
}

/// Tell the driver and the owner, and then the fleet's Joe, by these rungs.
pub(super) fn tell(ladder: &str) -> String {
    format!(
        "[[step]]\nid = \"tell\"\ndo = \"reach\"\nwho = [\"driver\", \"fleet\"]\ngoal = \"told\"\n\
         until = \"human_confirmed\"\nscript = \"brake-stop-now\"\nladder = [{ladder}]\n"
    )
}

pub(super) const SMS: &str =
    "{ via = \"sms\", at = \"0s\" }, { via = \"human\", at = \"2h\", queue = \"service-desk\" }";
pub(super) const CALL: &str =
    "{ via = \"call\", at = \"0s\", attempts = 2 }, { via = \"human\", at = \"2h\", queue = \"service-desk\" }";

pub(super) fn world_with(book: &str, change: impl FnOnce(&mut Config)) -> World {
    let mut world = World::new(config_with(book, change), Odds::friendly(), 1);
    raise(&mut world, 1);
    world
}

pub(super) fn raise(world: &mut World, episode: u8) {
    let detection = detection("a.b", Severity::Critical, episode, 1, Change::Raised, world.now);
    world.tell(Input::Detection(Box::new(detection)));
}

pub(super) fn on(world: &mut World, device: &str, episode: u8) {
    let detection = detection("a.b", Severity::Critical, episode, 1, Change::Raised, world.now);
    world.tell(Input::Detection(Box::new(Detection { device: device.into(), ..detection })));
}

/// Another car of the same people.
pub(super) fn second_car(config: &mut Config, id: &str) {
    let mut registry = (*config.registry).clone();
    let car = Device { id: id.into(), ..registry.devices[DEVICE].clone() };
    registry.devices.insert(car.id.clone(), car);
    config.registry = Arc::new(registry);
}

pub(super) fn view(world: &World) -> CaseView {
    world.desk.show(&world.desk.list(true, 1)[0].id).unwrap()
}

fn goal<'a>(view: &'a CaseView, name: &str) -> &'a str {
    &view.goals.iter().find(|g| g.name == name).unwrap().state
}

pub(super) fn after(secs: i64) -> forewarn::domain::At {
    start() + Span::from_secs(secs)
}

/// Whom orders went to, with the second of each.
pub(super) fn sent(world: &World) -> Vec<(i64, String)> {
    let to = |o: &Order| match &o.work {
        Work::Sms(w) => Some(format!("sms {}", w.to)),
        Work::Call(w) => Some(format!("call {}", w.to)),
        Work::Mail(w) => Some(format!("mail {}", w.to)),
        _ => None,
    };
    let at = |at: forewarn::domain::At| at.since(start()).as_micros() / 1_000_000;
    world.orders.iter().filter_map(|(when, o)| Some((at(*when), to(o)?))).collect()
}

fn write(world: &mut World, from: &str, text: &str, id: &str) -> Reply {
    let said = Said {
        channel: Channel::Sms,
        external_id: id.into(),
        from: Sender::Phone(from.into()),
        case: None,
        text: text.into(),
        calendar: None,
        answered: false,
    };
    world.tell(Input::Said(said)).unwrap()
}

fn text(reply: Reply) -> String {
    let Reply::Text(text) = reply else { panic!("{reply:?}") };
    text
}

fn incoming(view: &CaseView) -> Vec<&MessageView> {
    view.conversation.iter().filter(|m| m.direction == "in").collect()
}

/// Calls are answered and this key is pressed, once.
fn pressing(digit: char) -> impl FnMut(&Order) -> Option<Vec<(i64, Answer)>> {
    move |o| {
        matches!(o.work, Work::Call(_)).then(|| {
            let progress = |progress| Answer::Report(ReceiptKind::Call { progress });
            vec![
                (1, Answer::accepted("CA")),
                (2, progress(CallProgress::InProgress)),
                (9, Answer::Report(ReceiptKind::Key { digit })),
                (12, progress(CallProgress::Completed)),
            ]
        })
    }
}

#[test]
fn stop_ends_what_is_planned_is_answered_once_and_start_lifts_it() {
    let both = "{ via = \"sms\", at = \"0s\" }, { via = \"sms\", at = \"10m\" }, \
                { via = \"human\", at = \"2h\", queue = \"service-desk\" }";
    let mut w = world_with(&book("service", "", "\"told\"", &tell(both)), |_| {});
    w.run(after(60));
    assert_eq!(sent(&w), [(0, "sms +43111".to_owned())]);
    let confirmation = text(write(&mut w, "0043 111", " Stop! ", "SM1"));
    assert!(confirmation.contains("START"), "in their language: {confirmation}");
    assert!(matches!(write(&mut w, "+43111", "STOP", "SM1"), Reply::Done), "told twice by the provider");
    assert!(matches!(write(&mut w, "+43111", "STOP", "SM2"), Reply::Done), "said twice: confirmed once");
    let outs = w.desk.opt_outs();
    assert_eq!(outs.len(), 1);
    assert_eq!((outs[0].endpoint.as_str(), outs[0].channel, outs[0].by.as_str()), ("e-1", Channel::Sms, "word"));
    w.run(after(1_200));
    assert_eq!(sent(&w)[1..], [(600, "sms +44222".to_owned())], "Joe did not opt out\n{}", w.timeline());
    assert!(w.timeline().contains("is not sent: opted out of sms (word"), "{}", w.timeline());
    // It outlives the process.
    assert_eq!(w.loaded().opt_outs(), outs);
    assert!(text(write(&mut w, "+43111", "Yes", "SM3")).contains("STOP"), "yes is the carriers' word for START");
    assert!(w.desk.opt_outs()[0].lifted_at.is_some());
}

#[test]
fn an_opt_out_is_by_channel_and_purpose_and_does_not_silence_danger() {
    for (purpose, channel, out_of, expected) in [
        ("service", "sms", Purpose::Service, 0),
        ("service", "call", Purpose::Service, 1),
        ("service", "sms", Purpose::Info, 1),
        ("safety", "sms", Purpose::Service, 1),
        // Nobody can be asked not to be warned: it is taken as an opt-out of service.
        ("safety", "sms", Purpose::Safety, 1),
    ] {
        let book = book(purpose, "", "\"told\"", &tell(SMS));
        let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
        let channel = if channel == "sms" { Channel::Sms } else { Channel::Call };
        for endpoint in ["e-1", "e-3"] {
            let actor = "kim".to_owned();
            let input = Input::OptOut { endpoint: endpoint.into(), channel, purpose: Some(out_of), actor };
            assert!(matches!(w.tell(input), Some(Reply::Done)));
        }
        raise(&mut w, 1);
        w.run(after(10));
        let texts = sent(&w).iter().filter(|(_, to)| to.starts_with("sms")).count();
        assert_eq!(texts, expected, "{purpose} after an opt-out of {out_of:?} on {channel}: {}", w.timeline());
    }
}

#[test]
fn key_7_ends_service_calls_and_proves_nothing() {
    let book = book("service", "", "\"told\"", &tell(CALL));
    let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
    w.script = Some(Box::new(pressing('7')));
    raise(&mut w, 1);
    w.run(after(60));
    let outs: Vec<_> = w.desk.opt_outs().iter().map(|o| format!("{} {} {}", o.endpoint, o.channel, o.by)).collect();
    assert_eq!(outs, ["e-1 call key 7", "e-3 call key 7"], "the next was tried, who said the same");
    assert_eq!(goal(&view(&w), "told"), "open", "{}", w.timeline());
    assert_eq!(sent(&w).iter().filter(|(_, to)| to.starts_with("call")).count(), 2, "nobody is called twice");
    assert!(w.timeline().contains("service-desk is paged"), "{}", w.timeline());
    assert_eq!(view(&w).conversation[0].meaning.as_deref(), Some("opted_out"));
}

#[test]
fn key_7_in_a_call_about_danger_is_kept_and_the_warning_said_again() {
    let mut w = world_with(&book("safety", "quiet_hours = \"ignore\"", "\"told\"", &tell(CALL)), |_| {});
    let effect = w.orders[0].1.effect;
    let answered = w.tell(Input::Answered { effect, turn: 1, provider_ref: "CA".into() });
    let Some(Reply::Speech(warning)) = answered else { panic!("{answered:?}") };
    let key = Receipt { effect, provider_ref: None, seq: None, what: ReceiptKind::Key { digit: '7' } };
    let Some(Reply::Speech(again)) = w.tell(Input::Receipt(key)) else { panic!("a call is answered with speech") };
    assert_eq!((again.text, again.then), (warning.text, SpeechThen::Listen));
    assert_eq!(w.desk.opt_outs()[0].purpose, Purpose::Service);
}

#[test]
fn service_messages_say_how_to_end_them_and_warnings_do_not() {
    for (purpose, hint) in [("service", true), ("safety", false)] {
        let w = world_with(&book(purpose, "", "\"told\"", &tell(SMS)), |_| {});
        let Work::Sms(sms) = &w.orders[0].1.work else { panic!("a text message") };
        assert_eq!(sms.body.contains("STOP beendet"), hint, "{}", sms.body);
        let mut w = world_with(&book(purpose, "", "\"told\"", &tell(CALL)), |_| {});
        let effect = w.orders[0].1.effect;
        let answered = w.tell(Input::Answered { effect, turn: 1, provider_ref: "CA".into() });
        let Some(Reply::Speech(speech)) = answered else { panic!("{answered:?}") };
        assert_eq!(speech.text.contains("drücken Sie die 7"), hint, "{}", speech.text);
    }
}

#[test]
fn the_wrong_person_is_told_nothing_more_and_the_next_is_tried() {
    // By key.
    let mut w = World::new(config_with(&book("safety", "", "\"told\"", &tell(CALL)), |_| {}), Odds::friendly(), 1);
    let mut wrong = pressing('8');
    w.script = Some(Box::new(move |o| match &o.work {
        Work::Call(c) if c.to == "+43111" => wrong(o),
        _ => None,
    }));
    raise(&mut w, 1);
    w.run(after(60));
    assert_eq!(sent(&w), [(0, "call +43111".to_owned()), (9, "call +44222".to_owned())], "{}", w.timeline());
    assert_eq!(goal(&view(&w), "told"), "met", "by Joe\n{}", w.timeline());
    assert!(view(&w).conversation.iter().any(|m| m.meaning.as_deref() == Some("wrong_person")));
    // By a reply to a text message, which is not sent to them again for this car.
    let mut w = world_with(&book("safety", "", "\"told\"", &tell(SMS)), |_| {});
    w.run(after(60));
    write(&mut w, "+43111", "falsche Nummer", "SM1");
    w.run(after(70));
    assert_eq!(sent(&w).last().unwrap(), &(60, "sms +44222".to_owned()), "{}", w.timeline());
    assert_eq!(incoming(&view(&w))[0].meaning.as_deref(), Some("wrong person"));
}

/// Somebody says that all is well and then that they are not meant: what they stopped is for a person, as long as nobody
/// who is meant has said the same and the fault is there.
#[test]
fn a_person_looks_after_what_somebody_who_is_not_meant_has_called_well() {
    for (digits, ended, asked) in [
        (vec!['9', '8'], false, true),
        (vec!['9'], false, false),
        (vec!['9', '8'], true, false),
        (vec!['8'], false, false),
    ] {
        let mut w = World::new(config_with(&book("safety", "", "\"told\"", &tell(CALL)), |_| {}), Odds::friendly(), 1);
        let keys = digits.clone();
        w.script = Some(Box::new(move |o| {
            let wrong = matches!(&o.work, Work::Call(c) if c.to == "+43111");
            let key = |(at, digit): (i64, char)| (at, Answer::Report(ReceiptKind::Key { digit }));
            let keys = (9..).zip(keys.iter().copied()).map(key);
            wrong.then(|| std::iter::once((1, Answer::accepted("CA"))).chain(keys).collect())
        }));
        raise(&mut w, 1);
        if ended {
            let over = detection("a.b", Severity::Critical, 1, 2, Change::Cleared, after(5));
            w.later(Span::from_secs(5), Input::Detection(Box::new(over)));
        }
        w.run(after(60));
        let paged = w.timeline().contains("is paged: whoever said that all is well has nothing to do with the device");
        assert_eq!(paged, asked, "{digits:?}, ended {ended}: {}", w.timeline());
    }
}

#[test]
fn a_key_can_be_written_and_confirms_what_was_asked() {
    for (words, state, outcome) in [("1", "met", "served"), ("ja", "met", "served"), ("9", "waived", "false_alarm")] {
        let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {});
        w.run(after(60));
        write(&mut w, "+43111", words, "SM1");
        w.run(after(120));
        assert_eq!(goal(&view(&w), "told"), state, "{words}: {}", w.timeline());
        assert_eq!(view(&w).summary.outcome.as_deref(), Some(outcome), "{words}: {}", w.timeline());
        let shown = view(&w);
        let message = incoming(&shown)[0];
        assert_eq!((message.who.as_str(), message.external_id.as_deref()), ("driver", Some("SM1")));
        assert_eq!(message.effect, Some(w.orders[0].1.effect), "it answers that contact");
    }
}

#[test]
fn free_words_go_to_a_person_once_and_keep_the_case_open_until_that_person_is_done() {
    let steps = format!(
        "{}[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\nmirror = [\"contact\"]\n",
        tell(SMS)
    );
    let mut w = world_with(&book("service", "", "\"told\"", &steps), |_| {});
    w.run(after(60));
    write(&mut w, "+43111", "It smells of rubber, can I drive home?", "SM1");
    write(&mut w, "+43111", "It smells of rubber, can I drive home?", "SM1");
    write(&mut w, "+43111", "1", "SM2");
    w.run(after(300));
    let shown = view(&w);
    assert_eq!(incoming(&shown).len(), 2, "{:?}", shown.conversation);
    assert_eq!(goal(&shown, "told"), "met");
    assert_eq!(shown.summary.closed_at, None, "somebody waits for an answer\n{}", w.timeline());
    assert_eq!(w.timeline().matches("service-desk is paged").count(), 1, "{}", w.timeline());
    let articles: Vec<String> = w
        .orders
        .iter()
        .filter_map(|(_, o)| match &o.work {
            Work::Ticket(forewarn::domain::TicketWork::Note { body, .. }) => Some(body.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(articles.concat().matches("smells of rubber").count(), 1, "{articles:?}");
    assert!(!w.timeline().contains("rubber"), "no words of people in the timeline\n{}", w.timeline());
    let rows = w.log.iter().flat_map(|r| &r.changes).filter_map(|(_, row)| row.as_deref());
    assert!(!rows.into_iter().any(|row| row.windows(6).any(|part| part == b"rubber")), "nor in any row in the clear");
    assert!(incoming(&view(&w))[0].text.as_deref().is_some_and(|t| t.contains("rubber")), "but in the conversation");
    let case = view(&w).summary.id;
    w.tell(Input::Ack { case, actor: "kim".into() });
    w.run(after(600));
    assert_eq!(view(&w).summary.closed_at, None, "kim has it and has not answered yet");
    // The answer is given in the ticket.
    let (desk, ticket) = ("helpdesk".into(), ticket_of(&w));
    let author = forewarn::domain::Author::Agent;
    let from = Sender::Desk { desk, ticket, author };
    let text = "Please stay where you are.".to_owned();
    w.tell(Input::Said(Said {
        channel: Channel::Ticket,
        external_id: "A7".into(),
        from,
        case: None,
        text,
        calendar: None,
        answered: true,
    }));
    w.run(after(900));
    assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"), "{}", w.timeline());
    let told: Vec<_> = view(&w).conversation.iter().map(|m| (m.direction.clone(), m.channel, m.who.clone())).collect();
    let line = |d: &str, c, w: &str| (d.to_owned(), c, w.to_owned());
    let driver = |d| line(d, Channel::Sms, "driver");
    assert_eq!(told, [driver("out"), driver("in"), driver("in"), line("out", Channel::Ticket, "agent")]);
}

fn ticket_of(w: &World) -> String {
    let effect = view(w).effects.iter().find(|e| e.kind == "ticket").unwrap().provider_ref.clone();
    effect.unwrap()
}

#[test]
fn a_message_after_the_end_opens_the_case_again_or_asks_a_person_by_the_settings() {
    for (rule, minutes, open) in
        [(AfterClose::Reopen, 10, true), (AfterClose::Person, 10, false), (AfterClose::Reopen, 100, false)]
    {
        let book = book("service", "", "\"told\"", &tell(SMS));
        let mut w = world_with(&book, |c| c.contact.reply_after_close = rule);
        w.run(after(60));
        write(&mut w, "+43111", "1", "SM1");
        w.run(after(60 + minutes * 60));
        assert_eq!(view(&w).summary.outcome.as_deref(), Some("served"));
        write(&mut w, "+43111", "The light is on again", "SM2");
        w.run(w.now + Span::from_secs(30));
        let shown = view(&w);
        assert_eq!(shown.summary.closed_at.is_none(), open, "{rule:?} after {minutes} min\n{}", w.timeline());
        assert!(w.timeline().contains("service-desk is paged: the driver has written"), "{}", w.timeline());
        assert_eq!(sent(&w).iter().filter(|(_, to)| to.starts_with("sms")).count(), 1, "the plan is not run again");
        assert!(sent(&w).iter().any(|(_, to)| to == "mail service@example.com"), "{:?}", sent(&w));
        let case = shown.summary.id;
        if open {
            w.tell(Input::Close { case, actor: "kim".into(), reason: "answered".into() });
            assert_eq!(view(&w).summary.outcome.as_deref(), Some("closed_by_person"));
        }
    }
}

#[test]
fn a_word_answers_the_newest_question_and_free_words_reach_every_open_case() {
    let book = book("service", "", "\"told\"", &tell(SMS));
    let mut w = world_with(&book, |c| second_car(c, "car-2"));
    w.run(after(60));
    on(&mut w, "car-2", 2);
    w.run(after(120));
    let cases: Vec<CaseId> = w.desk.list(true, 9).iter().map(|c| c.id).collect();
    let state = |w: &World, device: &str| {
        let case = w.desk.list(true, 9).into_iter().find(|c| c.device == device).unwrap();
        goal(&w.desk.show(&case.id).unwrap(), "told").to_owned()
    };
    write(&mut w, "+43111", "1", "SM1");
    assert_eq!((state(&w, "car-1"), state(&w, "car-2")), ("open".into(), "met".into()));
    write(&mut w, "+43111", "ok", "SM2");
    assert_eq!(state(&w, "car-1"), "met", "the other one still waited for an answer");
    on(&mut w, "car-2", 3);
    raise(&mut w, 4);
    w.run(after(180));
    write(&mut w, "+43111", "which of my cars is it?", "SM3");
    for case in &cases {
        let words = w.desk.show(case).unwrap();
        assert!(incoming(&words).iter().any(|m| m.external_id.as_deref() == Some("SM3")), "{:?}", words.conversation);
    }
}

#[test]
fn an_unknown_sender_causes_nothing() {
    let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {});
    w.run(after(60));
    let (records, orders) = (w.log.len(), w.orders.len());
    for words in ["STOP", "1", "9", "help", "You have won"] {
        assert!(matches!(write(&mut w, "+15550100", words, words), Reply::NotFound), "{words}");
    }
    assert_eq!((w.log.len(), w.orders.len()), (records, orders));
}

/// People answer from another mailbox than the one that was written to. Anybody else may have the address, too.
#[test]
fn a_reply_from_another_mailbox_does_nothing_by_itself_and_is_read_by_a_person() {
    for words in ["9", "STOP", "It is at the workshop already"] {
        let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {});
        w.run(after(60));
        let case = Some(view(&w).summary.id);
        for _ in 0..2 {
            by_mail(&mut w, "jane.at.work@example.net", case, words, "m1");
        }
        w.run(after(120));
        assert_eq!((goal(&view(&w), "told"), w.desk.opt_outs().len()), ("open", 0), "{words}");
        let shown = view(&w);
        let heard = incoming(&shown);
        let [message] = &heard[..] else { panic!("{heard:?}") };
        let text = format!("jane.at.work@example.net: {words}");
        assert_eq!((message.who.as_str(), message.text.as_deref()), ("unknown", Some(text.as_str())));
        assert!(w.timeline().contains("is paged: an unknown sender has written"), "{}", w.timeline());
    }
    // After the end, it is none of theirs to open the case again.
    let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {});
    w.run(after(60));
    let case = view(&w).summary.id;
    w.tell(Input::Close { case, actor: "kim".into(), reason: "settled".into() });
    by_mail(&mut w, "jane.at.work@example.net", Some(case), "And now?", "m1");
    assert!(view(&w).summary.closed_at.is_some() && w.timeline().contains("is paged"), "{}", w.timeline());
}

#[test]
fn two_machines_do_not_talk_to_each_other_for_ever() {
    let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {});
    w.run(after(60));
    let answers = (0..20).filter(|n| matches!(write(&mut w, "+43111", "HELP", &n.to_string()), Reply::Text(_))).count();
    assert_eq!(answers, 5);
    for n in 0..1_000 {
        write(&mut w, "+43111", "I am out of office", &format!("x{n}"));
    }
    assert_eq!(incoming(&view(&w)).len(), 500, "a conversation has a limit");
}

#[test]
fn a_provider_that_answers_stop_itself_is_not_doubled() {
    let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {});
    let from = Sender::Phone("+43111".into());
    let said = Said {
        channel: Channel::Sms,
        external_id: "SM1".into(),
        from,
        case: None,
        text: "STOP".into(),
        calendar: None,
        answered: true,
    };
    assert!(matches!(w.tell(Input::Said(said)), Some(Reply::Done)));
    assert_eq!(w.desk.opt_outs().len(), 1);
}

#[test]
fn a_delivered_message_is_no_answer_and_an_undelivered_one_goes_to_the_next() {
    for (progress, next) in [(SmsProgress::Delivered, false), (SmsProgress::Undelivered, true)] {
        let mut w = World::new(config_with(&book("service", "", "\"told\"", &tell(SMS)), |_| {}), Odds::friendly(), 1);
        w.script = Some(Box::new(move |o| {
            matches!(o.work, Work::Sms(_))
                .then(|| vec![(1, Answer::accepted("SM")), (2, Answer::Report(ReceiptKind::Sms { progress }))])
        }));
        raise(&mut w, 1);
        w.run(after(60));
        assert_eq!(goal(&view(&w), "told"), "open", "{}", w.timeline());
        assert_eq!(sent(&w).iter().any(|(_, to)| to == "sms +44222"), next, "{}", w.timeline());
    }
}

/// The shipped breakdown: a driver who writes while the truck is on its way.
#[test]
fn the_shipped_breakdown_takes_a_written_confirmation() {
    let mut w = World::new(config(|_| {}), Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
    let now = w.now;
    w.tell(Input::Detection(Box::new(super::desk_world::brake(1, Change::Raised, now))));
    w.run(after(30));
    write(&mut w, "+43111", "1", "SM1");
    w.run(after(90));
    assert_eq!(goal(&view(&w), "driver_told_to_stop"), "met", "{}", w.timeline());
    assert_eq!(view(&w).goals[0].met_by.as_deref(), Some("key 1"));
}

/// A breakdown of a car that has not said where it is for a long time.
fn lost() -> World {
    let mut w = World::new(config(|_| {}), Odds { call_unanswered: 100, ..Odds::friendly() }, 1);
    let mut fault = super::desk_world::brake(1, Change::Raised, w.now);
    fault.facts.retain(|name, _| name == "speed");
    w.tell(Input::Detection(Box::new(fault)));
    w.run(after(10));
    w
}

fn link_in(w: &World, kind: PageKind) -> Link {
    let texts = w.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Sms(sms) => Some(sms.body.clone()),
        Work::Mail(mail) => Some(mail.text.clone()),
        _ => None,
    });
    let tokens = texts.flat_map(|t| t.split("https://fw.example/l/").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let links = tokens.filter_map(|t| super::desk_world::link_key().verify(t.split_whitespace().next()?));
    links.filter(|l| l.kind == kind).fold(None, |_, link| Some(link)).unwrap()
}

fn post(w: &mut World, link: Link, fields: &[(&str, &str)]) -> Reply {
    let form = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    w.tell(Input::Link { link, form }).unwrap()
}

fn requests(w: &World) -> Vec<forewarn::domain::Place> {
    let jobs = w.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Dispatch(DispatchWork::Request(job)) => Some(job.place.clone()),
        _ => None,
    });
    jobs.collect()
}

#[test]
fn a_car_that_does_not_say_where_it_is_has_its_driver_asked_and_the_truck_waits_for_the_answer() {
    let mut w = lost();
    assert!(requests(&w).is_empty(), "{}", w.timeline());
    let waits = view(&w).waits;
    assert!(waits.iter().any(|x| x.what == "step tow" && x.why.contains("needs")), "{waits:?}");
    let link = link_in(&w, PageKind::Where);
    let html = w.desk.page(w.now, &link).unwrap().html;
    assert!(html.contains("Meine Position senden") && html.contains("where.js"), "{html}");
    assert!(matches!(post(&mut w, link, &[("place", "")]), Reply::Refused(_)));
    post(&mut w, link, &[("lat", "48.2082"), ("lon", "16.3738"), ("accuracy", "25.4"), ("place", "")]);
    w.run(after(60));
    let [ref place] = requests(&w)[..] else { panic!("{}", w.timeline()) };
    assert!((place.lat - 48.2082).abs() < 1e-9 && place.accuracy_m == Some(25.4) && place.age_s < 1.0, "{place:?}");
    assert_eq!(goal(&view(&w), "tow_accepted"), "met", "{}", w.timeline());
    assert!(w.desk.page(w.now, &link).unwrap().html.contains("Vielen Dank"));
    let rows = w.log.iter().flat_map(|r| &r.changes).filter_map(|(_, row)| row.as_deref());
    let place = 48.2082_f64.to_le_bytes();
    assert!(
        !rows.into_iter().any(|r| r.windows(8).any(|p| p == place)),
        "nobody's position stands in a row in the clear"
    );
    assert!(!w.timeline().contains("48.2"), "{}", w.timeline());
}

#[test]
fn a_typed_position_counts_a_vague_one_does_not_and_words_go_to_a_person() {
    let mut w = lost();
    let link = link_in(&w, PageKind::Where);
    post(&mut w, link, &[("lat", "48.2"), ("lon", "16.4"), ("accuracy", "40000")]);
    w.run(after(20));
    assert!(requests(&w).is_empty(), "40 km is no place\n{}", w.timeline());
    assert!(w.desk.page(w.now, &link).unwrap().html.contains("zu ungenau"));
    post(&mut w, link, &[("place", "behind the petrol station, A9 northbound")]);
    w.run(after(30));
    assert!(w.timeline().contains("is paged: the driver has written"), "{}", w.timeline());
    let shown = view(&w);
    assert!(
        incoming(&shown).iter().any(|m| m.channel == Channel::Web && m.text.as_deref().unwrap().contains("petrol"))
    );
    assert!(requests(&w).is_empty());
    post(&mut w, link, &[("place", "48.2082, 16.3738")]);
    w.run(after(60));
    assert_eq!(requests(&w).len(), 1, "{}", w.timeline());
}

#[test]
fn a_position_that_comes_late_still_sends_the_truck() {
    let mut w = lost();
    let link = link_in(&w, PageKind::Where);
    w.run(after(400));
    assert_eq!(goal(&view(&w), "tow_accepted"), "missed", "a person was asked\n{}", w.timeline());
    post(&mut w, link, &[("place", "48.2082 16.3738")]);
    w.run(after(500));
    assert_eq!(goal(&view(&w), "tow_accepted"), "met", "{}", w.timeline());
}

const MAIL: &str = "{ via = \"email\", at = \"0s\" }, { via = \"human\", at = \"2h\", queue = \"service-desk\" }";

fn mail_book(purpose: &str) -> String {
    book(purpose, "", "\"told\"", &tell(MAIL).replace("brake-stop-now", "we-saw-it-coming"))
}

#[test]
fn one_click_in_a_mail_ends_mails_of_that_kind_and_can_be_taken_back() {
    let mut w = world_with(&mail_book("service"), |_| {});
    let Work::Mail(mail) = w.orders[0].1.work.clone() else { panic!("a mail") };
    let url = mail.unsubscribe.unwrap();
    let html = mail.html.replace("&#x2f;", "/");
    assert!(mail.text.contains(&url) && html.contains(&url), "{html}");
    assert!(html.contains("Keine solchen Nachrichten mehr"), "{html}");
    let link = link_in(&w, PageKind::Unsubscribe);
    let looked = w.log.len();
    assert!(w.desk.page(w.now, &link).unwrap().html.contains("value=\"stop\""));
    assert_eq!((w.log.len(), w.desk.opt_outs().len()), (looked, 0), "scanners look at links");
    // What a mail program posts.
    assert!(matches!(post(&mut w, link, &[("List-Unsubscribe", "One-Click")]), Reply::Done));
    let outs = w.desk.opt_outs();
    assert_eq!(
        (outs[0].channel, outs[0].purpose, outs[0].by.as_str()),
        (Channel::Email, Purpose::Service, "one click")
    );
    assert!(w.desk.page(w.now, &link).unwrap().html.contains("value=\"start\""));
    on(&mut w, DEVICE, 2);
    w.run(after(7_200));
    let mails = sent(&w).iter().filter(|(_, to)| to == "mail jane@example.com").count();
    assert_eq!(mails, 1, "{}", w.timeline());
    post(&mut w, link, &[("answer", "start")]);
    assert!(w.desk.opt_outs()[0].lifted_at.is_some());
}

#[test]
fn a_warning_of_danger_has_no_unsubscribe() {
    let w = world_with(&mail_book("safety"), |_| {});
    let Work::Mail(mail) = &w.orders[0].1.work else { panic!("a mail") };
    assert!(mail.unsubscribe.is_none() && !mail.html.contains("Keine solchen"), "{}", mail.html);
}

#[test]
fn caps_hold_over_all_cases_of_a_person_and_never_for_danger() {
    let cap =
        |of, channel, max| Cap { of, channel, purpose: Purpose::Service, prefix: None, max, per: Span::from_hours(1) };
    for (purpose, caps, now, why) in [
        (
            "service",
            vec![cap(Whose::Endpoint, Some(Channel::Sms), 2)],
            2,
            "the cap of 2 contacts by sms in 1h of an address",
        ),
        ("service", vec![cap(Whose::Customer, None, 1)], 1, "the cap of 1 contacts in 1h of a customer"),
        ("service", vec![cap(Whose::Endpoint, Some(Channel::Call), 1)], 3, ""),
        ("service", vec![Cap { prefix: Some("+1".into()), ..cap(Whose::Endpoint, None, 1) }], 3, ""),
        ("safety", vec![cap(Whose::Customer, None, 1)], 3, ""),
    ] {
        let book = book(purpose, "", "\"told\"", &tell(SMS));
        let mut w = world_with(&book, |c| {
            second_car(c, "car-2");
            second_car(c, "car-3");
            c.contact.cap = caps;
        });
        for (n, car) in [(2, "car-2"), (3, "car-3")] {
            w.run(after(i64::from(n) * 60));
            on(&mut w, car, n);
        }
        w.run(after(240));
        let texts = |w: &World| sent(w).iter().filter(|(_, to)| to == "sms +43111").count();
        assert_eq!(texts(&w), now, "{purpose} {why}: {}", w.timeline());
        if !why.is_empty() {
            let waits: Vec<_> = w.desk.list(false, 9).iter().flat_map(|c| w.desk.show(&c.id).unwrap().waits).collect();
            let wait = waits.iter().find(|x| x.why == why).unwrap_or_else(|| panic!("{waits:?}"));
            assert!(wait.until_at.is_some_and(|at| at >= after(3_600) && at <= after(7_800)), "{wait:?}");
            w.run(after(3_800));
            assert!(texts(&w) > now, "its time has come\n{}", w.timeline());
        }
    }
}

#[test]
fn everything_that_waits_says_why_and_until_when() {
    // Ladder, quiet hours.
    let ladder = "{ via = \"sms\", at = \"0s\" }, { via = \"call\", at = \"2h\" }, \
                  { via = \"human\", at = \"20h\", queue = \"service-desk\" }";
    let steps = format!(
        "{}[[step]]\nid = \"later\"\ndo = \"human\"\nqueue = \"service-desk\"\nafter = [\"tell\"]\n\
         [[step]]\nid = \"proof\"\ndo = \"wait_for\"\nexpect = \"device.temp < 3\"\nwithin = \"3h\"\n\
         else = \"human:service-desk\"\n",
        tell(ladder)
    );
    let mut w = World::new(config_with(&book("service", "", "\"told\"", &steps), |_| {}), Odds::friendly(), 1);
    w.run("2026-11-20T21:30:00Z".parse().unwrap());
    raise(&mut w, 1);
    let now = w.now;
    w.run(now + Span::from_secs(1));
    let waits: Vec<_> = view(&w).waits.into_iter().map(|x| (x.what, x.why, x.until_at)).collect();
    let line = |what: &str, why: &str, until| (what.to_owned(), why.to_owned(), until);
    let morning = "2026-11-21T07:00:00Z".parse().unwrap();
    assert_eq!(
        waits,
        [
            line("call (step tell)", "its place in the ladder, 2h after the start", Some(now + Span::from_hours(2))),
            line("step proof", "device.temp < 3 to be true", Some(now + Span::from_hours(3))),
            line("sms (step tell)", "quiet hours of the recipient", Some(morning)),
            line(
                "the service-desk (step tell)",
                "its place in the ladder, 20h after the start",
                Some(now + Span::from_hours(20))
            ),
            line("step later", "the end of tell", None),
        ]
    );
}

#[test]
fn what_the_people_went_through_before_stands_beside_the_case() {
    let mut w = world_with(&book("service", "", "\"told\"", &tell(SMS)), |c| second_car(c, "car-2"));
    w.run(after(60));
    write(&mut w, "+43111", "1", "SM1");
    w.run(after(120));
    on(&mut w, "car-2", 2);
    for (id, from) in [("K1", "+43 111"), ("K1", "+43111"), ("K2", "+43111"), ("K3", "+15550100")] {
        w.tell(Input::Called { from: Sender::Phone(from.into()), id: id.into(), actor: "callcentre".into() });
    }
    w.run(after(180));
    let case = w.desk.list(false, 9).into_iter().find(|c| c.device == "car-2").unwrap();
    let shown = w.desk.show(&case.id).unwrap();
    assert_eq!(shown.history.calls, 2, "two calls, one told twice, and a stranger's");
    let earlier: Vec<_> = shown.history.earlier.iter().map(|c| (c.device.as_str(), c.outcome.as_deref())).collect();
    assert_eq!(earlier, [("car-1", Some("served"))]);
}

#[test]
fn the_page_goes_to_whoever_speaks_the_customers_language_and_knows_the_fault() {
    let person = |name: &str, languages: &[&str]| Person {
        name: Some(name.into()),
        mail: Some(format!("{name}@example.com")),
        languages: languages.iter().map(|l| (*l).to_owned()).collect(),
        ..Person::default()
    };
    let skills = |skills: &[&str], languages: &[&str]| Skills {
        skills: skills.iter().map(|s| (*s).to_owned()).collect(),
        languages: languages.iter().map(|s| (*s).to_owned()).collect(),
    };
    // Who lacks a goal's proof is told by a call that nobody answers: then nobody can be told, and a person is asked.
    let ladder = "{ via = \"call\", at = \"0s\" }";
    for (desks, queue, first) in [
        (vec![], "service-desk", "mail service@example.com"),
        (vec![("a-en", skills(&["car"], &["en"])), ("b-de", skills(&["a"], &["de"]))], "b-de", "mail hans@example.com"),
        (
            vec![("a-en", skills(&["a.b"], &["en"])), ("b-de", skills(&["lift"], &["de"]))],
            "a-en",
            "mail hans@example.com",
        ),
        (vec![("a-en", skills(&["lift"], &[]))], "service-desk", "mail service@example.com"),
    ] {
        let odds = Odds { call_unanswered: 100, ..Odds::friendly() };
        let book = book("service", "", "\"told\"", &tell(ladder));
        let config = config_with(&book, |c| {
            c.settings.default_queue = Some("service-desk".into());
            for (name, skills) in desks {
                c.queues.insert(name.into(), vec![person("bob", &["en"]), person("hans", &["fr", "de"])]);
                c.skills.insert(name.into(), skills);
            }
        });
        let mut w = World::new(config, odds, 1);
        raise(&mut w, 1);
        w.run(after(120));
        assert!(w.timeline().contains(&format!("{queue} is paged")), "{queue}: {}", w.timeline());
        let pages: Vec<_> = sent(&w).into_iter().map(|(_, to)| to).filter(|to| to.starts_with("mail")).collect();
        assert_eq!(pages.first().map(String::as_str), Some(first), "{}", w.timeline());
    }
}

/// Calls that nobody reports on, one a second.
fn slow_phone(c: &mut Config) {
    c.providers.get_mut("phone").unwrap().per_second = Some(1);
    c.contact.cap.clear();
}

/// The devices whose cases were called about, in the order of the calls.
fn called(w: &World) -> Vec<String> {
    let calls = w.orders.iter().filter(|(_, o)| matches!(o.work, Work::Call(_)));
    calls.map(|(_, o)| w.desk.show(&o.case).unwrap().summary.device).collect()
}

fn silent(o: &Order) -> Option<Vec<(i64, Answer)>> {
    matches!(o.work, Work::Call(_)).then(Vec::new)
}

#[test]
fn danger_goes_first_then_priority_then_age() {
    let fault = |name: &str, purpose: &str, priority: u32| {
        book(purpose, "", "\"told\"", &tell(CALL))
            .replace("a.b", name)
            .replace("id = \"test\"", &format!("id = \"{}\"", name.replace('.', "-")))
            .replace("reopen", &format!("priority = {priority}\nreopen"))
    };
    let books = [fault("a.low", "service", 1), fault("a.high", "service", 9), fault("a.danger", "safety", 1)];
    let config = config(|c| {
        slow_phone(c);
        let surroundings = forewarn::playbook::Surroundings {
            queues: c.queues.keys().cloned().collect(),
            providers: c.providers.iter().map(|(n, p)| (n.clone(), p.kind)).collect(),
            messages: c.messages.clone(),
            ..Default::default()
        };
        let mut diags = forewarn::source::Diagnostics::default();
        let files: Vec<_> = books.iter().map(|b| diags.add_file("book.toml", b.as_str())).collect();
        c.playbooks = forewarn::playbook::load(&mut diags, &files, &surroundings);
        assert!(diags.list().is_empty(), "{}", diags.render(false));
        (2..=5).for_each(|n| second_car(c, &format!("car-{n}")));
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    w.script = Some(Box::new(silent));
    for (n, fault) in [(1, "a.low"), (2, "a.low"), (3, "a.low"), (4, "a.high"), (5, "a.danger")] {
        let detection = detection(fault, Severity::Critical, n, 1, Change::Raised, w.now);
        w.tell(Input::Detection(Box::new(Detection { device: format!("car-{n}").as_str().into(), ..detection })));
    }
    w.run(after(4));
    assert_eq!(called(&w), ["car-1", "car-5", "car-4", "car-2", "car-3"]);
    let calls: Vec<i64> = sent(&w).iter().map(|(at, _)| *at).collect();
    assert_eq!(calls, [0, 1, 2, 3, 4], "one a second");
}

#[test]
fn one_customer_with_many_cars_does_not_keep_the_others_waiting() {
    let book = book("service", "", "\"told\"", &tell(CALL));
    let config = config_with(&book, |c| {
        slow_phone(c);
        (2..=6).for_each(|n| second_car(c, &format!("car-{n}")));
        let mut registry = (*c.registry).clone();
        let joes = registry.devices.get_mut("car-6").unwrap();
        joes.parties.insert("driver".into(), "c-2".into());
        c.registry = Arc::new(registry);
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    w.script = Some(Box::new(silent));
    for n in 1..=6 {
        on(&mut w, &format!("car-{n}"), n);
    }
    let joe = w.desk.list(false, 9).into_iter().find(|c| c.device == "car-6").unwrap();
    let waits = w.desk.show(&joe.id).unwrap().waits;
    assert!(waits.iter().any(|x| x.why == "rate of phone" && x.until_at.is_some()), "{waits:?}");
    w.run(after(5));
    let mut order = called(&w);
    assert_eq!(order[..2], ["car-1", "car-6"], "who has heard nothing yet goes before the second car of the first");
    order.sort();
    assert_eq!(order, ["car-1", "car-2", "car-3", "car-4", "car-5", "car-6"], "and no slot is lost");
}

fn by_mail(world: &mut World, from: &str, case: Option<CaseId>, text: &str, id: &str) -> Reply {
    let said = Said {
        channel: Channel::Email,
        external_id: id.into(),
        from: Sender::Email(from.into()),
        case,
        text: text.into(),
        calendar: None,
        answered: true,
    };
    world.tell(Input::Said(said)).unwrap()
}

#[test]
fn a_mail_that_asks_for_no_more_in_words_of_its_own_is_heeded_and_read_by_a_person() {
    let mut w = world_with(&mail_book("service"), |c| second_car(c, "car-2"));
    w.run(after(60));
    by_mail(&mut w, "Jane@Example.com", None, "Hello,\nplease stop sending me these mails. Regards, Jane", "m1");
    let outs = w.desk.opt_outs();
    assert_eq!((outs[0].channel, outs[0].by.as_str(), outs[0].purpose), (Channel::Email, "words", Purpose::Service));
    assert!(w.timeline().contains("is paged: the driver has written"), "{}", w.timeline());
    on(&mut w, "car-2", 2);
    w.run(after(600));
    let mails = sent(&w).iter().filter(|(_, to)| to == "mail jane@example.com").count();
    assert_eq!(mails, 1, "none after it\n{}", w.timeline());
    // A sentence that merely has the word in it is no opt-out.
    let mut w = world_with(&mail_book("service"), |_| {});
    by_mail(&mut w, "jane@example.com", None, "The car does not stop when I brake", "m1");
    assert!(w.desk.opt_outs().is_empty() && w.timeline().contains("is paged"), "{}", w.timeline());
}

#[test]
fn a_mail_to_the_reply_address_belongs_to_its_case() {
    let mut w = world_with(&mail_book("service"), |c| {
        second_car(c, "car-2");
        c.contact.reply_domain = Some("reply.example.com".into());
    });
    w.run(after(60));
    on(&mut w, "car-2", 2);
    w.run(after(120));
    let of = |w: &World, device: &str| w.desk.list(true, 9).into_iter().find(|c| c.device == device).unwrap().id;
    let address = w.orders.iter().find_map(|(_, o)| match &o.work {
        Work::Mail(m) if o.case == of(&w, "car-1") => m.reply_to.clone(),
        _ => None,
    });
    let case = forewarn::wire::reply::case_of(&super::desk_world::link_key(), &address.unwrap());
    assert_eq!(case, Some(of(&w, "car-1")), "not the newest, but the one that was answered");
    by_mail(&mut w, "jane@example.com", case, "1", "m1");
    let told = |w: &World, device: &str| goal(&w.desk.show(&of(w, device)).unwrap(), "told").to_owned();
    assert_eq!((told(&w, "car-1"), told(&w, "car-2")), ("met".into(), "open".into()), "{}", w.timeline());
}

/// A sender is written by whoever sends: "all is well" in somebody else's name must not call a truck back.
#[test]
fn a_word_by_mail_counts_only_at_an_address_that_we_gave_away() {
    for (words, opted_out) in [("9", false), ("1", false), ("8", false), ("STOP", true)] {
        let mut w = world_with(&mail_book("service"), |c| c.contact.reply_domain = Some("reply.example.com".into()));
        w.run(after(60));
        by_mail(&mut w, "jane@example.com", None, words, "m1");
        assert_eq!(goal(&view(&w), "told"), "open", "{words}");
        assert_eq!(w.desk.opt_outs().len() == 1, opted_out, "{words}: {}", w.timeline());
        assert_eq!(w.timeline().contains("is paged"), !opted_out, "{words}: {}", w.timeline());
        assert!(w.desk.list(true, 1)[0].phase != "backing_out", "{words}");
    }
}

/// Section 5: recorded calls to American landlines, three in thirty days, with a way out in each; 08:00 to 21:00 there.
#[test]
fn american_numbers_get_three_recorded_calls_in_thirty_days_by_day_as_shipped() {
    let mut w = World::new(
        config_with(&book("service", "", "\"told\"", &tell(CALL).replace("attempts = 2", "attempts = 1")), |c| {
            (2..=6).for_each(|n| second_car(c, &format!("car-{n}")));
            let mut registry = (*c.registry).clone();
            let jane = registry.customers.get_mut("c-1").unwrap();
            jane.tz = "America/New_York".into();
            jane.locale = "en-US".into();
            jane.endpoints[0].address = "+12025550142".into();
            registry.devices.values_mut().for_each(|d| drop(d.parties.remove("fleet")));
            c.registry = Arc::new(registry);
        }),
        Odds::friendly(),
        1,
    );
    let mut spoken = Vec::new();
    for day in 0..6_u8 {
        // Ten in the morning, UTC, is five at night there.
        w.run(start() + Span::from_hours(24 * i64::from(day)));
        on(&mut w, &format!("car-{}", day + 1), day);
        let calls = |w: &World| sent(w).iter().filter(|(_, to)| to == "call +12025550142").count();
        let (before, now) = (calls(&w), w.now);
        w.run(now + Span::from_hours(2));
        assert_eq!(calls(&w), before, "nobody is called at night");
        w.run(now + Span::from_hours(8));
        spoken = w.speeches.iter().map(|(_, text)| text.clone()).collect();
    }
    let calls = sent(&w).iter().filter(|(_, to)| to == "call +12025550142").count();
    assert_eq!(calls, 3, "{}", w.timeline());
    assert!(spoken.len() >= 3 && spoken.iter().all(|s| !s.contains("brake") || s.contains("press 7")), "{spoken:?}");
    let waits: Vec<_> = w.desk.list(false, 9).iter().flat_map(|c| w.desk.show(&c.id).unwrap().waits).collect();
    assert!(waits.iter().any(|x| x.why.contains("the cap of 3 contacts by call in 30d")), "{waits:?}");
}

/// A call that rang in vain has asked nobody anything.
#[test]
fn a_word_does_not_confirm_a_call_that_was_not_heard() {
    let odds = Odds { call_unanswered: 100, ..Odds::friendly() };
    let ladder = "{ via = \"call\", at = \"0s\" }, { via = \"human\", at = \"2h\", queue = \"service-desk\" }";
    let book = book("service", "", "\"told\"", &tell(ladder)).replace("[\"driver\", \"fleet\"]", "[\"driver\"]");
    let mut w = World::new(config_with(&book, |_| {}), odds, 1);
    raise(&mut w, 1);
    w.run(after(20));
    write(&mut w, "+43111", "ok", "SM1");
    let case = view(&w);
    assert_eq!(goal(&case, "told"), "open", "{}", w.timeline());
}
