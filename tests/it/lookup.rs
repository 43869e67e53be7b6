//! What a contact centre is told when the driver of a broken car calls while the truck is on its way.

use forewarn::desk::{Caller, Input};
use forewarn::domain::{Change, EndpointKind, JobState, Span};

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
