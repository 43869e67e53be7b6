//! What a contact centre is told when the driver of a broken car calls while the truck is on its way.

use forewarn::desk::{Caller, Input, Reply};
use forewarn::domain::{Change, Channel, Customer, Device, EndpointKind, JobState, Sender, Span};

use super::desk_world::{DEVICE, Odds, World, brake, config, start};

#[test]
fn whoever_calls_does_not_have_to_explain() {
    let config = config(|_| {});
    let driver = config.registry.devices[DEVICE].parties["driver"].clone();
    let person = config.registry.customers[&driver].clone();
    let address = |kind| person.endpoint(kind).unwrap().address.to_string();
    let (phone, email) = (address(EndpointKind::Phone), address(EndpointKind::Email));
    let mut world = World::new(config, Odds::friendly(), 1);
    let now = world.now;
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, now))));
    world.run(start() + Span::from_mins(3));

    let (country, rest) = phone.trim_start_matches('+').split_at(2);
    let spaced = format!("00{country} / {rest} ");
    for caller in [
        Caller::Phone(phone),
        Caller::Phone(spaced),
        Caller::Email(email.to_uppercase()),
        Caller::Device(DEVICE.into()),
    ] {
        let found = world.desk.lookup(&caller);
        let known =
            found.people.iter().find(|p| p.customer == driver).unwrap_or_else(|| panic!("{caller:?}: {found:?}"));
        assert_eq!((known.name.as_str(), known.locale.as_str()), (&*person.name, &*person.locale));
        assert!(known.roles.contains(&"driver".to_owned()), "{known:?}");
        let device = &found.devices[0];
        let case = &device.open[0];
        assert_eq!((device.device.as_str(), case.summary.fault.as_str()), (DEVICE, "brake.circuit_loss"));
        assert!(!case.summary.title.is_empty());
        let truck = &case.arranged[0];
        let coming = matches!(truck.state, Some(JobState::Accepted | JobState::EnRoute));
        assert!(coming && truck.service == "tow" && truck.eta_at.is_some(), "{truck:?}");
        assert!(case.told.iter().any(|t| t.whom == "driver" && t.result == "human_confirmed(1)"), "{:?}", case.told);
    }
    for stranger in [Caller::Phone("+1 555 0100".into()), Caller::Email(String::new()), Caller::Device("car-99".into())]
    {
        let found = world.desk.lookup(&stranger);
        assert!(found.people.is_empty() && found.devices.is_empty(), "{stranger:?}: {found:?}");
    }
}

/// A contact centre waits 50 ms at most, and a text message is not read against every number there is.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn among_a_hundred_thousand_customers_whoever_calls_is_found_at_once() {
    const MANY: usize = 100_000;
    let config = config(|c| {
        let mut registry = (*c.registry).clone();
        let (jane, car) = (registry.customers["c-1"].clone(), registry.devices[DEVICE].clone());
        for n in 0..MANY {
            let mut person = Customer { id: format!("p-{n}").as_str().into(), ..jane.clone() };
            for e in &mut person.endpoints {
                e.id = format!("p-{n}-{:?}", e.kind).as_str().into();
                e.address = match e.kind {
                    EndpointKind::Phone => format!("+49{:09}", 100_000_000 + n),
                    EndpointKind::Email => format!("p{n}@example.com"),
                    EndpointKind::App => format!("app-{n}"),
                }
                .into();
            }
            let device = Device {
                id: format!("d-{n}").as_str().into(),
                parties: [("driver".into(), person.id.clone())].into(),
                ..car.clone()
            };
            registry.devices.insert(device.id.clone(), device);
            registry.customers.insert(person.id.clone(), person);
        }
        c.registry = std::sync::Arc::new(registry);
    });
    let mut world = World::new(config, Odds::friendly(), 1);
    let mut slowest = std::time::Duration::ZERO;
    let mut timed = |what: &mut dyn FnMut() -> bool| {
        let start = std::time::Instant::now();
        assert!(what());
        slowest = slowest.max(start.elapsed());
    };
    for n in [0, 1, MANY / 2, MANY - 1] {
        for caller in [
            Caller::Phone(format!("0049 {}", 100_000_000 + n)),
            Caller::Email(format!("P{n}@example.com")),
            Caller::Device(format!("d-{n}").as_str().into()),
        ] {
            timed(&mut || {
                let found = world.desk.lookup(&caller);
                found.people.len() == 1
                    && found.devices.len() == 1
                    && found.devices[0].device == format!("d-{n}").as_str().into()
            });
        }
    }
    let said = |n: usize| forewarn::domain::Said {
        channel: Channel::Sms,
        external_id: n.to_string(),
        from: Sender::Phone(format!("+49{}", 100_000_000 + n)),
        case: None,
        text: "STOP".into(),
        calendar: None,
        answered: true,
    };
    for n in [3, MANY - 2] {
        timed(&mut || matches!(world.tell(Input::Said(said(n))), Some(Reply::Done)));
    }
    assert_eq!(world.desk.opt_outs().len(), 2);
    println!("the slowest of 14 look-ups took {slowest:?}");
    assert!(slowest < std::time::Duration::from_millis(50), "{slowest:?}");
}
