//! One message per customer, evenly over hours.

use super::*;

/// All devices of a customer in one mail, and nobody is asked before.
fn with_digest() -> String {
    STORM
        .replace("min = 25", "min = 2")
        .replace("gate   = { approve = \"human:safety-desk\" }\ndigest", "digest")
        .replace("script = \"we-saw-it-coming\"", "script = \"storm-digest\"")
        .replace("desk  = \"helpdesk\"", "desk  = \"helpdesk\"\nchildren = \"link\"")
        .replace("\"all_informed\",", "\"all_informed\", \"tier3_informed\",")
}

/// `cars` batteries of `cars_each` cars of a customer fail within a minute; customers speak all five languages in turn.
fn batteries(cars: u32, cars_each: u32) -> World {
    let config = fleet_with(&with_digest(), cars, cars_each, |c| {
        let registry = Arc::make_mut(&mut c.registry);
        for (n, customer) in (0..).zip(registry.customers.values_mut()) {
            customer.locale = LOCALES[n % 5].0.into();
        }
    });
    let mut world = world(cars, config, Odds::friendly());
    for n in 1..=cars {
        let at = start() + Span::from_millis(i64::from(60_000 * (n - 1) / cars));
        let weak = detection("battery_12v.weak", forewarn::domain::Severity::Major, 1, 1, Change::Raised, at);
        let episode = EpisodeId::of(&[name(n).as_bytes()]);
        let weak = Detection { episode, device: name(n).as_str().into(), ..weak };
        world.later(at.since(start()), Input::Detection(Box::new(weak)));
    }
    world
}

/// A locale, and a part of what is said in it.
const LOCALES: [(&str, &str); 5] = [
    ("de-AT", "denselben Fehler an diesen Ihrer Fahrzeuge"),
    ("en-GB", "the same fault on vehicles of yours"),
    ("pl-PL", "tę samą usterkę w następujących Państwa pojazdach"),
    ("ru-RU", "на следующих ваших машинах"),
    ("uk-UA", "на таких ваших авто"),
];

/// The digests that were sent: when, the case and the mail.
fn digests(world: &World) -> Vec<(At, CaseId, forewarn::domain::MailWork)> {
    let of = |(at, o): &(At, forewarn::domain::Order)| match &o.work {
        Work::Mail(mail) if mail.text.contains("\n- B-") => Some((*at, o.case, mail.clone())),
        _ => None,
    };
    world.orders.iter().filter_map(of).collect()
}

#[test]
fn digest_is_one_mail_per_customer_in_their_language_with_all_their_devices() {
    let mut world = batteries(60, 4);
    world.run_long(after(7 * 3_600), 400_000);
    let mails = digests(&world);
    assert_eq!(mails.len(), 15, "one for each customer");
    for (n, (locale, part)) in (0..15).zip(LOCALES.into_iter().cycle()) {
        let to = format!("o{}@example.com", n + 1);
        let (_, _, mail) = mails.iter().find(|(_, _, mail)| mail.to == to).unwrap_or_else(|| panic!("{to}"));
        assert!(mail.text.contains(part), "{locale}: {}", mail.text);
        for car in 4 * n + 1..=4 * n + 4 {
            let plate = format!("B-{car:04}");
            let listed =
                mail.text.contains(&format!("- {plate}\n")) && mail.html.contains(&format!("<li>{plate}</li>"));
            assert!(listed, "{plate}: {}", mail.text);
        }
        assert_eq!(mail.text.matches("\n- ").count(), 4, "{}", mail.text);
    }
    // Nobody gets the text of each case besides.
    let owners = world.orders.iter().filter(|(_, o)| matches!(&o.work, Work::Mail(m) if m.to.starts_with('o')));
    assert_eq!(owners.count(), 15);
    let storm = the_storm(&world);
    assert!(said(&storm, "goal tier3_informed is met by 60 told"), "{storm:#?}");
    world.sound();
}

#[test]
fn digest_that_is_answered_counts_for_all_devices_of_the_customer() {
    for (digit, line) in [('1', "the customer has answered"), ('9', "the customer says all is well")] {
        let mut world = batteries(60, 4);
        world.run_long(after(7 * 3_600), 400_000);
        let (_, lead, _) = digests(&world).into_iter().find(|(_, _, mail)| mail.to == "o7@example.com").unwrap();
        let effect = world.desk.show(&lead).unwrap().effects.into_iter().find(|e| e.kind == "mail").unwrap().id;
        let what = forewarn::domain::ReceiptKind::Key { digit };
        for _ in 0..2 {
            let receipt = forewarn::domain::Receipt { effect, provider_ref: None, seq: None, what: what.clone() };
            world.tell(Input::Receipt(receipt));
        }
        world.restart();
        world.run_long(after(7 * 3_600 + 60), 400_000);
        let device = world.desk.show(&lead).unwrap().summary.device;
        let line = format!("({device} and 3 more): {line}.");
        let storm = the_storm(&world).summary.id;
        let noted = world.orders.iter().filter(|(_, o)| o.case == storm && format!("{:?}", o.work).contains(&line));
        let noted: BTreeSet<_> = noted.map(|(_, o)| o.effect).collect();
        assert_eq!(noted.len(), 1, "{line}: {noted:?}");
        for n in 25..=28 {
            let case = case_of(&world, n);
            let told = if device == name(n) { "its turn in the storm" } else { "told together with case" };
            assert!(said(&case, told), "{case:#?}");
        }
        world.sound();
    }
}

#[test]
fn spread_is_even_the_same_each_time_and_through_restarts() {
    let leave = |restarts: bool| -> Vec<At> {
        let mut world = batteries(60, 1);
        for minutes in (0..=7 * 60).step_by(7) {
            world.run_long(after(minutes * 60), 400_000);
            if restarts && minutes > 0 {
                world.restart();
            }
        }
        digests(&world).into_iter().map(|(at, _, _)| at).collect()
    };
    let times = leave(false);
    assert_eq!(times.len(), 60);
    let gaps: Vec<f64> = times.windows(2).map(|w| w[1].since(w[0]).as_secs_f64()).collect();
    // One for each of 60 people in six hours. Who joins while it begins makes the first gaps a little longer.
    let even = |gap: &f64| (340.0..=380.0).contains(gap);
    assert!(gaps[3..].iter().all(even), "{gaps:?}");
    assert!(times[59].since(times[0]) <= Span::from_hours(6), "{times:?}");
    assert!(times[59].since(times[0]) >= Span::from_mins(340), "{times:?}");
    assert_eq!(leave(false), times, "the same each time");
    assert_eq!(leave(true), times, "and through restarts");
}

/// Six hours are six hours, whatever happened before: a halt makes up for nothing in a burst.
#[test]
fn spread_goes_on_evenly_after_a_halt() {
    let mut world = batteries(60, 1);
    world.run_long(after(3_600), 400_000);
    let storm = the_storm(&world).summary.id;
    assert_eq!(world.act(Some(storm), Act::Stop { stop: Stop::On, reason: String::new() }), Reply::Done);
    world.run_long(after(3 * 3_600), 400_000);
    let halted = digests(&world).len();
    assert!((9..=12).contains(&halted), "{halted}");
    assert_eq!(world.act(Some(storm), Act::Stop { stop: Stop::Off, reason: String::new() }), Reply::Done);
    world.run_long(after(8 * 3_600), 400_000);
    let times: Vec<At> = digests(&world).into_iter().map(|(at, _, _)| at).collect();
    assert_eq!(times.len(), 60);
    let gaps = times[halted..].windows(2).map(|w| w[1].since(w[0]).as_secs_f64());
    assert!(gaps.clone().all(|gap| gap > 200.0), "{:?}", gaps.collect::<Vec<_>>());
    assert!(times[59] <= after(6 * 3_600 + 120), "{:?}", times[59]);
}
