//! The shipped playbooks in virtual time.

use forewarn::desk::{Input, Reply, SpeechThen};
use forewarn::domain::{
    At, Change, Detection, DispatchWork, Mode, Receipt, ReceiptKind, Severity, Span, TicketWork, Work,
};

use super::desk_world::{Odds, World, brake, config, detection, facts, start};

#[test]
fn a_breakdown_ends_with_a_truck_beside_the_car() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    for minute in 1..40 {
        let at = start() + Span::from_mins(minute);
        world.later(Span::from_mins(minute), facts(0.0, at));
    }
    world.run(start() + Span::from_hours(2));
    let timeline = world.timeline();
    println!("{timeline}");
    for part in [
        "goal driver_told_to_stop is met by key 1",
        "goal tow_accepted is met by tow",
        "goal ticket_open is met by helpdesk",
        "tow: accepted, there in 24 min",
        "the truck comes 9 min later than last told",
        "tow: on site",
        "goal vehicle_safe is met by telemetry",
        "case closed: served",
    ] {
        assert!(timeline.contains(part), "no '{part}' in\n{timeline}");
    }
    let spoken = &world.speeches[0].1;
    assert!(spoken.contains("in 24 Minuten"), "the driver hears the time of the accepted truck: {spoken}");
    let sms: Vec<_> = world
        .orders
        .iter()
        .filter_map(|(_, o)| match &o.work {
            Work::Sms(sms) => Some(sms.body.clone()),
            _ => None,
        })
        .collect();
    assert!(sms.iter().any(|s| s.contains("verspätet") && s.contains("23 min")), "{sms:?}");
    let closed = world.orders.iter().any(|(_, o)| matches!(&o.work, Work::Ticket(TicketWork::Close { .. })));
    assert!(closed, "the ticket is closed");
}

/// The lines of all articles of the case's tickets, without their clock.
fn articles(world: &World) -> Vec<String> {
    let bodies = world.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Ticket(TicketWork::Note { body, .. } | TicketWork::Close { body, .. }) => Some(body),
        _ => None,
    });
    bodies.flat_map(|b| b.lines()).map(|l| l.split_once(" UTC  ").map_or(l, |(_, text)| text).to_owned()).collect()
}

#[test]
fn a_service_agent_reads_in_the_ticket_what_happened_once_and_in_sentences() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    for minute in 1..40 {
        let at = start() + Span::from_mins(minute);
        world.later(Span::from_mins(minute), facts(0.0, at));
    }
    world.run(start() + Span::from_hours(2));
    let expected = [
        "Asked tow for this service: tow.",
        "Sent a message in the app to the driver (\"brake-stop-now\").",
        "tow has accepted the job. It will be there in 24 min.",
        "Sent a text message to the driver (\"brake-stop-now\").",
        "Said on the phone to the driver (\"brake-stop-now\"), a truck promised in 24 min.",
        "Answered: the driver has understood (key 1).",
        "Measured: vehicle safe, as promised.",
        "tow is on its way.",
        "tow now expects to arrive in 23 min.",
        "Sent a text message to the driver (\"eta-slipped\").",
        "tow has arrived.",
        "Everything that was promised has been done. The case is closed.",
    ];
    assert_eq!(articles(&world), expected, "{}", world.timeline());
    let mut world = World::new(config(|_| {}), Odds { keys: vec!['9'], ..Odds::friendly() }, 1);
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    world.run(start() + Span::from_hours(1));
    let expected = [
        "Asked tow for this service: tow.",
        "Sent a message in the app to the driver (\"brake-stop-now\").",
        "tow has accepted the job. It will be there in 24 min.",
        "Sent a text message to the driver (\"brake-stop-now\").",
        "Said on the phone to the driver (\"brake-stop-now\"), a truck promised in 24 min.",
        "Answered: the driver says that all is well (key 9).",
        "What was arranged is being taken back.",
        "tow is asked to cancel.",
        "Sent a text message to the driver (\"false-alarm\").",
        "tow has cancelled the job.",
        "The warning is over, and what was arranged has been taken back. The case is closed.",
    ];
    assert_eq!(articles(&world), expected, "{}", world.timeline());
}

#[test]
fn a_weak_battery_ends_with_a_ticket_and_a_mail() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    let weak = detection("battery_12v.weak", Severity::Major, 1, 1, Change::Raised, start());
    world.tell(Input::Detection(Box::new(weak)));
    world.run(start() + Span::from_hours(1));
    let timeline = world.timeline();
    println!("{timeline}");
    assert!(timeline.contains("case closed: served"), "{timeline}");
    let mail = world.orders.iter().find_map(|(_, o)| match &o.work {
        Work::Mail(mail) => Some(mail),
        _ => None,
    });
    let mail = mail.unwrap();
    assert!(mail.html.contains("Jane &lt;Doe&gt;"), "names are escaped in HTML");
    assert!(mail.text.contains("Jane <Doe>") && mail.subject.contains("W-123 AB") && mail.locale == "de");
    assert!(
        !world.orders.iter().any(|(_, o)| matches!(o.work, Work::Call(_) | Work::Dispatch(DispatchWork::Request(_))))
    );
}

#[test]
fn all_is_well_takes_everything_back() {
    let mut world = World::new(config(|_| {}), Odds { keys: vec!['9'], ..Odds::friendly() }, 1);
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    world.run(start() + Span::from_hours(1));
    let timeline = world.timeline();
    assert!(timeline.contains("case closed: false_alarm"), "{timeline}");
    let cancels =
        world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Dispatch(DispatchWork::Cancel { .. }))).count();
    assert_eq!(cancels, 1, "the truck is taken back once\n{timeline}");
    assert!(
        world.orders.iter().any(|(_, o)| matches!(&o.work, Work::Sms(s) if s.body.contains("aufgehoben"))),
        "{timeline}"
    );
    assert!(world.orders.iter().any(|(_, o)| matches!(o.work, Work::Ticket(TicketWork::Close { .. }))), "{timeline}");
}

#[test]
fn key_2_connects_to_the_queue_of_the_ladder() {
    let mut world = World::new(config(|_| {}), Odds { keys: vec!['2'], ..Odds::friendly() }, 1);
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    world.run(start() + Span::from_secs(9));
    let call = world.orders.iter().find(|(_, o)| matches!(o.work, Work::Call(_))).unwrap().1.effect;
    let key = ReceiptKind::Key { digit: '2' };
    let reply = world.tell(Input::Receipt(Receipt { effect: call, provider_ref: None, seq: None, what: key })).unwrap();
    let Reply::Speech(speech) = reply else { panic!("{reply:?}") };
    assert_eq!(speech.then, SpeechThen::Connect("+4930111".into()));
    // The case is closed meanwhile: a late call says so and promises nothing.
    let case = world.desk.list(false, 1)[0].id;
    world.tell(Input::Close { case, actor: "kim".into(), reason: "done".into() });
    let late = world.tell(Input::Answered { effect: call, turn: 1, provider_ref: "CA".into() }).unwrap();
    assert!(
        matches!(&late, Reply::Speech(s) if s.then == SpeechThen::HangUp && s.text.contains("erledigt")),
        "{late:?}"
    );
}

#[test]
fn what_may_not_act_is_recorded_and_does_nothing() {
    for (why, change) in [
        ("shadow", (|d| d.mode = Mode::Shadow) as fn(&mut Detection)),
        ("backfilled", |d| d.historical = true),
        ("unknown device", |d| d.device = "car-999".into()),
        ("no playbook", |d| d.fault = "seat.heating".into()),
        ("not sure enough", |d| d.confidence = 0.5),
    ] {
        let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
        let mut d = brake(1, Change::Raised, start());
        change(&mut d);
        world.tell(Input::Detection(Box::new(d.clone())));
        assert_eq!((world.log.len(), world.orders.len()), (1, 0), "{why}: recorded, nothing done");
        world.tell(Input::Detection(Box::new(d)));
        assert_eq!(world.log.len(), 1, "{why}: the same detection again is old news");
    }
}

#[test]
fn nobody_is_mailed_at_night_or_without_consent() {
    let night = At::from_secs(start().as_secs() + 11 * 3_600);
    let weak =
        |at| Input::Detection(Box::new(detection("battery_12v.weak", Severity::Major, 1, 1, Change::Raised, at)));
    let mails = |world: &World| {
        world
            .orders
            .iter()
            .filter(|(_, o)| matches!(&o.work, Work::Mail(m) if m.to == "jane@example.com"))
            .map(|(at, _)| *at)
            .collect::<Vec<_>>()
    };
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    world.now = night;
    world.tell(weak(night));
    world.run(night + Span::from_mins(10));
    let case = world.desk.show(&world.desk.list(false, 1)[0].id).unwrap();
    assert!(
        case.effects.iter().any(|e| e.waits_for.as_deref() == Some("quiet hours of the recipient")),
        "a limiter is visible"
    );
    world.run(night + Span::from_hours(24));
    assert_eq!(mails(&world), ["2026-11-21T07:00:00Z".parse::<At>().unwrap()], "in the recipient's morning");
    let without = config(|c| {
        let mut registry = (*c.registry).clone();
        registry.customers.values_mut().for_each(|c| c.consents.clear());
        c.registry = std::sync::Arc::new(registry);
    });
    let mut world = World::new(without, Odds::friendly(), 1);
    world.tell(weak(start()));
    world.run(start() + Span::from_hours(1));
    assert_eq!(mails(&world), []);
    assert!(
        world.timeline().contains("no consent") && world.timeline().contains("service-desk is paged"),
        "{}",
        world.timeline()
    );
}

#[test]
fn an_open_case_keeps_the_playbook_it_was_opened_with() {
    let mut world = World::new(config(|_| {}), Odds::friendly(), 1);
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    // The files are emptied and the daemon restarts: the state comes from the records alone.
    let emptied = config(|c| c.playbooks.clear());
    let mut desk = forewarn::desk::Desk::new(emptied);
    world.log.iter().for_each(|r| desk.apply(r).unwrap());
    world.desk = desk;
    world.run(start() + Span::from_hours(2));
    assert!(world.timeline().contains("case closed: served"), "{}", world.timeline());
}
