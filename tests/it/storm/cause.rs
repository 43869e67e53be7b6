//! What the devices of a storm have in common: each attribute that the cause may be looked for in.

use super::*;

const EXPLAIN: &str = "explain_by     = [\"firmware\", \"year\", \"part.supplier_lot\", \"region\"]";

/// A storm of 30 of 90 cars that differ from the others by what `change` does to them.
fn storm_of(explain_by: &str, mark: &[(&str, &str)]) -> CaseView {
    let storm = STORM.replace(EXPLAIN, &format!("explain_by     = [{explain_by}]"));
    let config = fleet_with(&storm, 30, 1, |c| {
        let registry = Arc::make_mut(&mut c.registry);
        for (n, device) in (1..).zip(registry.devices.values_mut()) {
            // What says nothing: as many of these as of those.
            for (column, kinds) in
                [("firmware", 3), ("model_year", 5), ("region", 4), ("gateway", 6), ("supplier_lot", 7)]
            {
                device.attrs.insert(column.into(), format!("{column}-{}", n % kinds).into());
            }
            device.attrs.insert("node".into(), format!("node-{}", n % 2).into());
            if n <= 30 {
                device.attrs.extend(mark.iter().map(|(column, value)| ((*column).into(), (*value).into())));
            }
        }
    });
    let mut world = surge(30, 30, config, Odds::friendly());
    world.run_long(after(60), 100_000);
    the_storm(&world)
}

#[test]
fn cause_is_found_in_each_attribute() {
    let all = "\"firmware\", \"model_year\", \"part.supplier_lot\", \"region\", \"gateway\", \"rule.version\", \"broker.node\"";
    for (mark, cause) in [
        (("firmware", "9.9"), "firmware = 9.9"),
        (("model_year", "2019"), "model_year = 2019"),
        (("supplier_lot", "L-44"), "part.supplier_lot = L-44"),
        (("region", "alps"), "region = alps"),
        (("gateway", "gw-9"), "gateway = gw-9"),
        (("node", "mq-3"), "broker.node = mq-3"),
    ] {
        let storm = storm_of(all, &[mark]);
        assert!(said(&storm, &format!("what they have in common: {cause} (")), "{cause}: {storm:#?}");
        assert!(said(&storm, "goal cause_named is met"), "{cause}");
    }
    let storm = storm_of(all, &[]);
    assert!(!said(&storm, "what they have in common"), "nothing stands out: {storm:#?}");
    // What nobody has asked for is not looked for.
    let storm = storm_of("\"region\"", &[("firmware", "9.9")]);
    assert!(!said(&storm, "what they have in common"), "{storm:#?}");
}

/// All devices are watched by the same version of a rule, so counting says nothing; that it is brand new does.
#[test]
fn cause_is_the_version_of_the_rule_if_nothing_else_is_and_it_is_brand_new() {
    for (explain_by, minutes, named) in [
        ("\"rule.version\"", 5, true),
        ("\"rule.version\"", 30, false),
        ("\"region\"", 5, false),
        ("\"rule.version\", \"firmware\"", 5, false),
    ] {
        let storm = STORM.replace(EXPLAIN, &format!("explain_by     = [{explain_by}]"));
        let mut world = world(30, fleet_with(&storm, 30, 1, |_| {}), Odds::friendly());
        for (n, rev) in [(60, 0), (61, 1)] {
            let of = brake(1, Change::Raised, start());
            let episode = EpisodeId::of(&[name(n).as_bytes()]);
            let of = Detection { rule_rev: rev, episode, device: name(n).as_str().into(), ..of };
            world.tell(Input::Detection(Box::new(of)));
        }
        world.run_long(after(60 * minutes), 100_000);
        for n in 1..=30 {
            let at = world.now;
            world.tell(fails(n, 50.0, at));
        }
        world.run_long(after(60 * minutes + 60), 100_000);
        let storm = the_storm(&world);
        let text = format!("what they have in common: rule.version of rule (changed {minutes}m before the first)");
        assert_eq!(said(&storm, &text), named, "{explain_by}, {minutes} min: {storm:#?}");
        assert_eq!(said(&storm, "firmware = "), explain_by.contains("firmware"), "{explain_by}: {storm:#?}");
    }
}
