//! Lifts that fall silent behind one gateway: one case for all of them, and people where somebody may be inside.

use super::*;

/// So many lifts `car-0001`…, the first `behind` of them behind the gateway `gw-1`. None of them answers a ping.
fn building(lifts: u32, behind: u32) -> World {
    let config = fleet(lifts, 1, |c| {
        let registry = Arc::make_mut(&mut c.registry);
        for (n, device) in (1..).zip(registry.devices.values_mut()) {
            device.kind = "elevator".into();
            device.attrs.insert("gateway".into(), if n <= behind { "gw-1" } else { "gw-2" }.into());
            let owner = device.parties["owner"].clone();
            device.parties.insert("building_security".into(), owner);
        }
    });
    let mut world = world(lifts, config, Odds::friendly());
    world.script =
        Some(Box::new(|order| matches!(order.work, Work::Command(_)).then(|| vec![(1, Answer::accepted(""))])));
    world
}

fn silent(n: u32, at: At, between: bool) -> Input {
    let of = detection("device.silent", forewarn::domain::Severity::Major, 1, 1, Change::Raised, at);
    let episode = EpisodeId::of(&[name(n).as_bytes(), b"silent"]);
    let facts = [("load", Value::from(70.0)), ("between_floors", Value::Bool(between))];
    let facts = facts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Input::Detection(Box::new(Detection { episode, device: name(n).as_str().into(), facts, ..of }))
}

/// Forty at once are neither a storm of defects nor too many for the guard of their rule: the third one shows what it is.
#[test]
fn lifts_with_one_cause_are_no_storm() {
    let mut world = building(40, 40);
    for n in 1..=40 {
        let at = world.now;
        world.tell(silent(n, at, n == 17));
    }
    world.run_long(after(300), 100_000);
    let gateway = world.case_of("gw-1").summary;
    assert_eq!(storms(&world).len(), 0);
    for n in 1..=40 {
        let case = case_of(&world, n);
        assert!(case.waits_for.as_ref().unwrap().contains(&gateway.short), "{n}: {case:#?}");
        assert_eq!(case.effects.iter().any(|e| e.kind == "call"), n == 17, "{n}: {case:#?}");
        assert!(!case.effects.iter().any(|e| e.kind.starts_with("ticket")), "{n}: {case:#?}");
    }
    let pinged = world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Command(_)));
    assert_eq!(pinged.count(), 4, "those that came before it was known, and the gateway");
    world.sound();
}

/// Three of them fall silent one after the other.
#[test]
fn silent_lifts_behind_one_gateway_are_one_case() {
    let mut world = building(8, 5);
    for (n, second) in [(6, 0), (1, 0), (2, 20), (3, 40), (4, 200)] {
        world.later(Span::from_secs(second), silent(n, after(second), n == 3));
    }
    world.run_long(after(600), 100_000);
    let gateway = world.desk.list(true, 100).into_iter().find(|c| c.device == "gw-1").unwrap();
    for n in 1..=4 {
        let case = case_of(&world, n);
        assert!(said(&case, &format!("is part of case {} now", gateway.short)), "{n}: {case:#?}");
        let called = case.effects.iter().filter(|e| e.kind == "call").count();
        assert_eq!(called > 0, n == 3, "{n}: only where people may be trapped: {case:#?}");
    }
    let tickets: BTreeSet<CaseId> =
        world.orders.iter().filter(|(_, o)| matches!(o.work, Work::Ticket(_))).map(|(_, o)| o.case).collect();
    let alone = case_of(&world, 6).summary.id;
    let others: Vec<CaseView> = tickets.iter().filter_map(|id| world.desk.show(id)).collect();
    assert!(
        tickets.is_subset(&[gateway.id, alone].into()),
        "one ticket for the gateway, one for the lift of another: {others:#?}"
    );
    world.restart();

    assert!(world.desk.list(false, 100).iter().any(|c| c.id == gateway.id), "open until its lifts speak again");
    // Out again, by a person; in again, by a person.
    let first = case_of(&world, 1).summary.id;
    assert_eq!(world.act(Some(first), Act::Split), Reply::Done);
    assert!(matches!(world.act(Some(first), Act::Split), Reply::Refused(_)));
    assert_eq!(case_of(&world, 1).waits_for, None);
    assert_eq!(world.act(Some(first), Act::Merge { into: alone }), Reply::Done);
    assert!(matches!(world.act(Some(alone), Act::Merge { into: first }), Reply::Refused(_)), "no circles");
    assert_eq!(world.act(Some(first), Act::Merge { into: CaseId::of(&[b"none"]) }), Reply::NotFound);

    // The lift speaks again.
    let episode = EpisodeId::of(&[name(6).as_bytes(), b"silent"]);
    let back = detection("device.silent", forewarn::domain::Severity::Major, 1, 2, Change::Cleared, world.now);
    world.tell(Input::Detection(Box::new(Detection { episode, device: name(6).as_str().into(), ..back })));
    world.run_long(after(700), 100_000);
    assert_eq!(case_of(&world, 6).summary.outcome.as_deref(), Some("device_back"));
    for n in 2..=4 {
        let episode = EpisodeId::of(&[name(n).as_bytes(), b"silent"]);
        let back = detection("device.silent", forewarn::domain::Severity::Major, 1, 2, Change::Cleared, world.now);
        world.tell(Input::Detection(Box::new(Detection { episode, device: name(n).as_str().into(), ..back })));
    }
    world.run_long(after(800), 100_000);
    let over = world.desk.show(&gateway.id).unwrap().summary;
    assert_eq!(over.outcome.as_deref(), Some("device_back"), "with the last of its lifts");
    world.sound();
}

/// Nothing was measured of the gateway itself, and nothing has cleared: what becomes of its case is for a person to say.
#[test]
fn a_common_cause_is_not_over_because_its_parts_are_taken_out_of_it() {
    let mut world = building(3, 3);
    for n in 1..=3 {
        let at = world.now;
        world.tell(silent(n, at, false));
    }
    world.run_long(after(60), 100_000);
    for n in 1..=3 {
        assert_eq!(world.act(Some(case_of(&world, n).summary.id), Act::Split), Reply::Done);
    }
    world.run_long(after(120), 100_000);
    let gateway = world.case_of("gw-1");
    assert_eq!(gateway.summary.outcome, None, "{gateway:#?}");
    assert!(said(&gateway, "was the last part of this one"), "{gateway:#?}");
    assert!(!said(&gateway, "the last of its parts is over"), "{gateway:#?}");
    assert!(gateway.effects.iter().any(|e| e.step.starts_with("page")), "{gateway:#?}");
    world.sound();
}
