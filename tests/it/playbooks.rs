//! The shipped playbooks in virtual time.

use forewarn::desk::Input;
use forewarn::domain::{Change, DispatchWork, Severity, Span, TicketWork, Work};

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
        "tow: on_site",
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
