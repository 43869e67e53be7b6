//! Pages behind one-time links: looking changes nothing, answering counts once, and what is shown is true now.

use std::collections::BTreeMap;

use forewarn::desk::{Input, Reply};
use forewarn::domain::{Change, EffectId, Link, PageKind, Span, Work};

use super::desk_world::{Odds, World, brake, config, link_key, start};

/// A breakdown whose driver answers no call; the link of the text message that he got.
fn texted() -> (World, Link) {
    let odds = Odds { call_unanswered: 100, ..Odds::friendly() };
    let mut world = World::new(config(|_| {}), odds, 1);
    let now = world.now;
    world.tell(Input::Detection(Box::new(brake(1, Change::Raised, now))));
    world.run(start() + Span::from_secs(30));
    let sms = world.orders.iter().find_map(|(_, o)| match &o.work {
        Work::Sms(sms) if sms.to == "+43111" => Some(sms.body.clone()),
        _ => None,
    });
    let sms = sms.unwrap();
    let token = sms.split("https://fw.example/l/").nth(1).unwrap_or_else(|| panic!("no link in: {sms}"));
    let link = link_key().verify(token.split_whitespace().next().unwrap()).unwrap();
    (world, link)
}

fn page(world: &World, link: &Link) -> String {
    let page = world.desk.page(world.now, link).unwrap();
    assert_eq!(page.locale, "de", "{}", page.html);
    page.html
}

fn tap(world: &mut World, link: Link, answer: &str) -> (Reply, bool) {
    let form = BTreeMap::from([("answer".to_owned(), answer.to_owned())]);
    let before = world.log.len();
    let reply = world.tell(Input::Link { link, form }).unwrap();
    (reply, world.log.len() > before)
}

fn told(world: &World) -> String {
    let case = world.desk.list(true, 1)[0].id;
    let goals = world.desk.show(&case).unwrap().goals;
    goals.into_iter().find(|g| g.name == "driver_told_to_stop").unwrap().state
}

#[test]
fn looking_at_a_page_changes_nothing_and_a_tap_is_a_proof() {
    let (mut world, link) = texted();
    let before = world.desk.wake_at();
    for _ in 0..50 {
        assert!(page(&world, &link).contains("Ich habe verstanden"));
    }
    assert_eq!((told(&world).as_str(), world.desk.wake_at()), ("open", before));
    assert_eq!(tap(&mut world, link, "1"), (Reply::Done, true));
    assert_eq!(told(&world), "met");
    let shown = page(&world, &link);
    assert!(shown.contains("Vielen Dank") && !shown.contains("Ich habe verstanden"), "{shown}");
    assert!(shown.contains("Bitte rufen Sie mich an"), "one may change one's mind: {shown}");
}

#[test]
fn a_form_sent_again_does_nothing_new_and_another_answer_counts() {
    let (mut world, link) = texted();
    assert!(tap(&mut world, link, "1").1);
    for _ in 0..3 {
        assert_eq!(tap(&mut world, link, "1"), (Reply::Done, false));
    }
    assert!(tap(&mut world, link, "2").1);
    let paged =
        |world: &World| world.orders.iter().any(|(_, o)| matches!(&o.work, Work::Call(c) if c.to == "+4930111"));
    world.run(start() + Span::from_mins(1));
    assert!(paged(&world), "a person calls: {}", world.timeline());
    assert!(page(&world, &link).contains("ruft Sie an"));
}

#[test]
fn all_is_well_on_a_page_takes_everything_back() {
    let (mut world, link) = texted();
    tap(&mut world, link, "9");
    world.run(start() + Span::from_hours(1));
    let case = &world.desk.list(true, 1)[0];
    assert_eq!((case.phase.as_str(), case.outcome.as_deref()), ("closed", Some("false_alarm")), "{}", world.timeline());
    let shown = page(&world, &link);
    assert!(shown.contains("Alles ist in Ordnung") && !shown.contains("<form"), "{shown}");
    assert_eq!(tap(&mut world, link, "2"), (Reply::Done, false), "too late to change it");
}

#[test]
fn a_page_of_a_case_that_is_over_says_so_and_its_form_does_nothing() {
    let (mut world, link) = texted();
    let case = world.desk.list(true, 1)[0].id;
    world.tell(Input::Close { case, actor: "kim".into(), reason: "settled".into() });
    let shown = page(&world, &link);
    assert!(shown.contains("wird nicht mehr gebraucht") && !shown.contains("<form"), "{shown}");
    assert_eq!(tap(&mut world, link, "1"), (Reply::Done, false));
}

#[test]
fn what_no_page_says_is_refused_and_what_nobody_sent_is_not_found() {
    let (mut world, link) = texted();
    for bad in ["", "3", "11", "<b>"] {
        assert!(matches!(tap(&mut world, link, bad), (Reply::Refused(_), false)), "{bad}");
    }
    let stranger = Link { effect: EffectId::of(start(), &[b"nothing"]), kind: PageKind::Answer };
    assert_eq!(tap(&mut world, stranger, "1"), (Reply::NotFound, false));
    assert!(world.desk.page(world.now, &stranger).is_err());
    let call = world.orders.iter().find(|(_, o)| matches!(&o.work, Work::Ticket(_))).unwrap().1.effect;
    let ticket = Link { effect: call, kind: PageKind::Answer };
    assert!(world.desk.page(world.now, &ticket).is_err(), "a ticket is nobody's message");
}

#[test]
fn pages_say_nothing_of_who_reads_them_or_where_the_car_is() {
    let (mut world, link) = texted();
    let mut pages = vec![page(&world, &link)];
    for answer in ["1", "2", "9"] {
        tap(&mut world, link, answer);
        pages.push(page(&world, &link));
    }
    for html in pages {
        for secret in ["Jane", "Doe", "+43111", "jane@example.com", "48.2", "16.37", "WVW123"] {
            assert!(!html.contains(secret), "{secret} in {html}");
        }
        assert!(html.contains("noindex") && !html.contains("<script") && !html.contains("style="), "{html}");
    }
}
