//! The desk dies at every single input of a case, before its record is durable and after that, for every verb and every
//! kind of effect that there is: nothing is lost, and nothing that must not be is done twice. (`crash.rs` kills the real
//! daemon at the same points.)
//!
//! `--nocapture` prints how often it died when a step of a verb had moved, and at which point of which kind of effect:
//! before its claim was committed, after that and before anything was sent, after it was sent and before its outcome was
//! recorded, after that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{Act, Config, Input};
use forewarn::domain::{At, Change, Link, Order, PageKind, Severity, Span, StepId, Stop, Work};
use forewarn::outbox::Kind;
use forewarn::playbook::Verb;

use super::desk_world::{Next, Odds, Told, World, brake, config, config_with, detection, facts, playbooks, start};
use super::simulation_fleet::{LOT, fault, fleet};
use super::{app_push, command, survey};

/// What a case must end with, however often the desk dies on the way.
struct Row {
    name: &'static str,
    config: fn() -> Arc<Config>,
    odds: fn(&mut Odds),
    /// What befalls the world.
    play: fn(&mut World),
    until: Span,
    /// Outcomes of all cases and the marks that customers gave, in order of the alphabet.
    ends: &'static [&'static str],
    /// What may be done more often: the next way to somebody of whom nobody knows whether they were told.
    more: &'static [&'static str],
    /// Dies at every so many inputs where something is claimed, sent, recorded or heard of, and of the others (polls, time).
    every: (usize, usize),
    /// What comes before is only how it came to this.
    from: Span,
}

const USUAL: Row = Row {
    name: "",
    config: || config(|_| {}),
    odds: |_| {},
    play: |_| {},
    until: Span::from_hours(3),
    ends: &["served"],
    more: &[],
    every: (1, 1),
    from: Span::ZERO,
};

const ROWS: &[Row] = &[
    Row { name: "reach, dispatch, ticket, wait_for", play: |world| breaks_down(world, 120), ..USUAL },
    Row {
        name: "what undoes: a cancelled truck, an apology",
        odds: |odds| odds.keys = vec!['9'],
        play: |world| breaks_down(world, 120),
        ends: &["false_alarm"],
        ..USUAL
    },
    Row {
        name: "reach by mail",
        play: |world| {
            let weak = detection("battery_12v.weak", Severity::Major, 1, 1, Change::Raised, start());
            world.later(Span::from_millis(1), Input::Detection(Box::new(weak)));
        },
        ..USUAL
    },
    Row {
        name: "reach by app push",
        config: || config_with(&app_push::book("safety", "human_confirmed"), |_| {}),
        odds: |odds| odds.replies = 100,
        play: |world| {
            let fault = detection("a.b", Severity::Critical, 1, 1, Change::Raised, start());
            world.later(Span::from_millis(1), Input::Detection(Box::new(fault)));
        },
        more: &["sms", "page"],
        ..USUAL
    },
    Row {
        name: "command",
        config: || config_with(command::PLAYBOOK, |_| {}),
        play: |world| {
            let hung = detection("controller.hung", Severity::Minor, 1, 1, Change::Raised, start());
            world.later(Span::from_millis(1), Input::Detection(Box::new(hung)));
            stands(world, 30);
        },
        ..USUAL
    },
    Row {
        name: "book (hold, confirm), webhook, invitation",
        odds: |odds| odds.cured = 100,
        play: wears,
        until: Span::from_hours(24 * 8),
        more: &["sms", "mail", "booking hold", "booking search", "webhook"],
        every: (1, 7),
        ..USUAL
    },
    Row {
        name: "book (cancel)",
        play: |world| {
            wears(world);
            let gone = detection("brake.pad_wear", Severity::Warning, 1, 2, Change::Cleared, start());
            world.later(Span::from_hours(4), Input::Detection(Box::new(gone)));
        },
        until: Span::from_hours(24 * 3),
        ends: &["false_alarm"],
        more: &["sms", "mail", "booking hold", "booking search", "webhook"],
        every: (1, 7),
        ..USUAL
    },
    Row {
        name: "correlate",
        config: || fleet(None),
        odds: |odds| odds.mute = 100,
        play: |world| {
            for n in 1..=3 {
                let at = i64::from(n) * 20;
                let silent = |seq, change, after: i64| {
                    let at = start() + Span::from_secs(after);
                    let told = fault(&format!("lift-{n}"), "device.silent", Severity::Major, 1, change, at);
                    Input::Detection(Box::new(forewarn::domain::Detection { seq, ..told }))
                };
                world.later(Span::from_secs(at), silent(1, Change::Raised, at));
                world.later(Span::from_secs(3_600 + at), silent(2, Change::Cleared, 3_600 + at));
            }
        },
        ends: &["device_back", "device_back", "device_back", "device_back"],
        ..USUAL
    },
    Row {
        name: "human",
        config: || config_with(HUMAN, |_| {}),
        play: |world| {
            let odd = detection("a.b", Severity::Minor, 1, 1, Change::Raised, start());
            world.later(Span::from_millis(1), Input::Detection(Box::new(odd)));
        },
        more: &["page"],
        ..USUAL
    },
    Row {
        name: "survey, after its case is closed",
        config: || config_with(survey::BOOK, survey::agreed),
        odds: |odds| (odds.keys, odds.replies) = (vec!['4'], 100),
        play: |world| {
            let odd = detection("a.b", Severity::Minor, 1, 1, Change::Raised, start());
            world.later(Span::from_millis(1), Input::Detection(Box::new(odd)));
        },
        ends: &["served, mark 4"],
        ..USUAL
    },
    Row {
        name: "a fault that recurs: one problem for engineers",
        config: batteries,
        play: |world| {
            for (n, car) in (0..).zip(LOT.map(|n| format!("car-{n}"))) {
                let after = Span::from_mins(n);
                let weak = fault(&car, "a.b", Severity::Minor, 1, Change::Raised, start() + after);
                world.later(after, Input::Detection(Box::new(weak)));
                world.push(after + Span::from_secs(30), Next::Confirms(car));
            }
        },
        ends: &["served"; 22],
        more: &["page"],
        every: (1, 4),
        from: Span::from_mins(19),
        ..USUAL
    },
    Row {
        name: "storm: tiers, approval, hold, release",
        config: || fleet(None),
        play: storms,
        ends: &["released", "served", "served", "served", "served", "served", "served"],
        more: &["page", "sms", "app_push"],
        every: (12, 12),
        ..USUAL
    },
];

const HUMAN: &str = r#"
schema = "playbook/1"
id = "ask"
version = 1
[match]
fault = ["a.b"]
[case]
goals = ["known"]
[policy]
purpose = "service"
[[step]]
id = "ask"
do = "human"
goal = "known"
queue = "safety-desk"
"#;

const TICKET: &str = r#"
schema = "playbook/1"
id = "note"
version = 1
[match]
fault = ["a.b"]
[case]
goals = ["ticket_open"]
[policy]
purpose = "service"
[[step]]
id = "ticket"
do = "ticket"
goal = "ticket_open"
desk = "helpdesk"
"#;

/// The fleet with nothing but tickets for its faults, and engineers who are called.
fn batteries() -> Arc<Config> {
    let mut config = (*fleet(None)).clone();
    config.playbooks.retain(|p| p.id.as_str() == "engineering");
    config.playbooks.extend(playbooks(&config, TICKET));
    config.queues.insert("service-desk".into(), config.queues["safety-desk"].clone());
    Arc::new(config)
}

fn breaks_down(world: &mut World, stands_after: i64) {
    world.later(Span::from_millis(1), Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    stands(world, stands_after);
}

fn stands(world: &mut World, after: i64) {
    for i in 0..60 {
        let at = Span::from_secs(i * 30);
        world.later(at, facts(if i * 30 >= after { 0.0 } else { 60.0 }, start() + at));
    }
}

/// A brake pad wears, and its owner takes the first time that is offered.
fn wears(world: &mut World) {
    let worn = detection("brake.pad_wear", Severity::Warning, 1, 1, Change::Raised, start());
    world.later(Span::from_millis(1), Input::Detection(Box::new(worn)));
    world.answers = Some(|order: &Order| {
        let offers = match &order.work {
            Work::Mail(w) => w.invitation.is_none() && w.text.contains("/l/"),
            Work::Sms(w) => w.body.contains("/l/"),
            _ => false,
        };
        let link = Link { effect: order.effect, kind: PageKind::Choose };
        // The first of them that is still kept.
        let choose = |n: &str| Input::Link { link, form: [("choice".to_owned(), n.to_owned())].into() };
        if offers { ["1", "2", "3"].map(choose).into() } else { Vec::new() }
    });
}

/// Six cars at once; a person approves, another one halts it and lets it go on, and at last all are let go.
fn storms(world: &mut World) {
    for n in 1..=6 {
        let car = format!("car-{n}");
        let broken = fault(&car, "brake.circuit_loss", Severity::Critical, n, Change::Raised, start());
        world.later(Span::from_secs(i64::from(n) * 4), Input::Detection(Box::new(broken)));
        for i in 0..30 {
            let at = Span::from_secs(i * 60);
            let speed = if n % 3 == 0 || i > 25 { 0.0 } else { 50.0 };
            let Input::Facts { event_at, values, .. } = facts(speed, start() + at) else { return };
            world.later(at, Input::Facts { device: car.as_str().into(), event_at, values });
        }
    }
    let people: [(i64, Act); 4] = [
        (120, Act::Approve { tier: None }),
        (150, Act::Stop { stop: Stop::On, reason: "a drill".into() }),
        (300, Act::Stop { stop: Stop::Off, reason: "a drill".into() }),
        (900, Act::Release),
    ];
    for (after, act) in people {
        world.acts_on("fleet", Span::from_secs(after), act);
    }
}

/// What a death may change in how often something is done.
#[derive(Clone, Copy, PartialEq)]
enum Promise {
    /// Nothing.
    Same,
    /// Never more often, unless the row says so. (A text message that had not gone out is not needed any more once the
    /// call was answered.)
    NotMore,
    /// Taking back twice is taking back; not at all would be a truck for nothing.
    NotLess,
    /// A second call is better than none, for safety; never a third, and only where nobody knows of a first one (then it
    /// is marked), or of another way to the same person.
    OneMore,
    /// Asking changes nothing.
    Any,
}

/// Every kind of effect, as the world calls it, and what is asked of our own people. A kind that is not here does not
/// compile.
fn kinds() -> BTreeMap<&'static str, Promise> {
    use Promise::{Any, NotLess, NotMore, OneMore, Same};
    let row = |kind: &Kind| match kind {
        Kind::Call => ("call", OneMore, Some(Kind::Sms)),
        Kind::Sms => ("sms", NotMore, Some(Kind::Mail)),
        Kind::Mail => ("mail", NotMore, Some(Kind::AppPush)),
        Kind::AppPush => ("app_push", NotMore, Some(Kind::TicketCreate)),
        Kind::TicketCreate => ("ticket", Same, Some(Kind::TicketNote)),
        Kind::TicketNote => ("ticket note", Any, Some(Kind::TicketClose)),
        Kind::TicketClose => ("ticket close", NotMore, Some(Kind::DispatchRequest)),
        Kind::DispatchRequest => ("dispatch", Same, Some(Kind::DispatchCancel)),
        Kind::DispatchCancel => ("dispatch cancel", NotLess, Some(Kind::DispatchStatus)),
        Kind::DispatchStatus => ("dispatch status", Any, Some(Kind::Command)),
        Kind::Command => ("command", NotMore, Some(Kind::Webhook)),
        Kind::Webhook => ("webhook", NotMore, Some(Kind::BookSearch)),
        Kind::BookSearch => ("booking search", NotMore, Some(Kind::BookHold)),
        Kind::BookHold => ("booking hold", NotMore, Some(Kind::BookCreate)),
        Kind::BookCreate => ("booking", Same, Some(Kind::BookCancel)),
        Kind::BookCancel => ("booking cancel", NotLess, Some(Kind::BookStatus)),
        Kind::BookStatus => ("booking status", Any, None),
    };
    let all = std::iter::successors(Some(Kind::Call), |kind| row(kind).2).map(|kind| (row(&kind).0, row(&kind).1));
    all.chain([("page", NotMore)]).collect()
}

fn played(row: &Row, config: &Arc<Config>, crash_at: Option<(u64, bool)>) -> World {
    let mut odds = Odds { slips: 0, ..Odds::friendly() };
    (row.odds)(&mut odds);
    let mut world = World::new(config.clone(), odds, 1);
    world.crash_at = crash_at;
    (row.play)(&mut world);
    world.run(start() + row.until);
    world
}

/// What a death came to.
#[derive(Default, Clone, Copy)]
struct Sum {
    deaths: u32,
    asked: u32,
    calls: u32,
}

fn ends(world: &World) -> Vec<String> {
    let told = world.desk.outcomes(At::MIN, None, 100);
    let mark = |case| told.iter().find(|o| o.case == case)?.verdict.csat;
    let end = |c: forewarn::desk::CaseSummary| {
        let mark = mark(c.id).map(|mark| format!(", mark {mark}"));
        format!("{}{}", c.outcome.as_deref().unwrap_or("open"), mark.unwrap_or_default())
    };
    let mut ends: Vec<String> = world.desk.list(true, 100).into_iter().map(end).collect();
    ends.sort();
    ends
}

fn pages(world: &World) -> usize {
    world.orders.iter().filter(|(_, o)| world.is_page(o)).count()
}

/// How a row goes without a death.
struct Usual {
    config: Arc<Config>,
    done: BTreeMap<&'static str, u32>,
    pages: usize,
}

fn dies(row: &Row, usual: &Usual, at: u64, durable: bool) -> Sum {
    let world = played(row, &usual.config, Some((at, durable)));
    let which = format!("{}, input {at}, durable: {durable}", row.name);
    let views = || world.desk.list(true, 100).into_iter().filter_map(|c| world.desk.show(&c.id));
    assert_eq!(world.crashes, 1, "{which}");
    // Or a person has been asked: of a mail that may have gone out nobody can ever tell.
    let asked = pages(&world) > usual.pages;
    assert!(asked || ends(&world) == row.ends, "{which}: {:?}\n{}", ends(&world), world.timeline());
    let done = world.done();
    let count = |of: &BTreeMap<&str, u32>, kind: &str| of.get(kind).copied().unwrap_or(0);
    for (kind, promise) in kinds() {
        let (now, before) = (count(&done, kind), count(&usual.done, kind));
        let kept = match promise {
            Promise::Same => now == before,
            Promise::NotMore => now <= before || row.more.contains(&kind) || (asked && kind == "page"),
            Promise::NotLess => now >= before,
            Promise::OneMore => now <= before + 1,
            Promise::Any => true,
        };
        assert!(kept, "{which}: {kind} {now} times, not {before}\n{}", world.timeline());
    }
    let more = count(&done, "call").saturating_sub(count(&usual.done, "call"));
    let marked = views().flat_map(|v| v.effects).any(|e| e.kind == "call" && e.possible_duplicate);
    let ways = ["sms of step", "mail of step", "app_push of step"];
    let doubt = |text: &str| text.contains("nobody knows") && ways.iter().any(|way| text.starts_with(way));
    let other = || views().flat_map(|v| v.timeline).any(|line| doubt(&line.text));
    assert!(more == 0 || marked || other(), "{which}: one more call\n{}", world.timeline());
    assert!(views().all(|v| v.summary.closed_at.is_none() || v.goals.iter().all(|g| g.state != "open")), "{which}");
    Sum { deaths: 1, asked: asked.into(), calls: more }
}

/// The verb of the step whose row has this key: its tag, its case, the length of its name and the name.
fn verb(world: &World, key: &[u8]) -> Option<&'static str> {
    let (case, step) = key.strip_prefix(b"s")?.split_at_checked(16)?;
    let case: String = case.iter().map(|byte| format!("{byte:02x}")).collect();
    let view = world.desk.show(&case.parse().ok()?)?;
    let (playbook, _) = view.playbook.rsplit_once(" version ")?;
    let plan = world.config.playbooks.iter().find(|p| p.id.as_str() == playbook)?;
    Some(plan.step(&StepId::from(std::str::from_utf8(step.get(1..)?).ok()?))?.verb.name())
}

/// The verbs of the steps that an input has moved.
fn moved(world: &World, told: &Told) -> BTreeSet<&'static str> {
    let keys = told.record.into_iter().flat_map(|place| &world.log[place].changes).map(|(key, _)| key);
    keys.filter_map(|key| verb(world, key)).collect()
}

/// The first input at which a step of each verb moves.
fn firsts(world: &World) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let mut new = |told| moved(world, told).into_iter().filter(|verb| seen.insert(*verb)).count() > 0;
    (0..).zip(&world.told).filter(|(_, told)| new(told)).map(|(at, _)| at).collect()
}

#[test]
fn killed_at_every_input_before_and_after_the_commit() {
    let mut points: BTreeMap<&str, [u32; 5]> = BTreeMap::new();
    let mut verbs: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let mut all = Sum::default();
    println!("{:46} {:>6} {:>14} {:>12}", "what", "deaths", "persons asked", "more calls");
    for row in ROWS {
        let config = (row.config)();
        let calm = played(row, &config, None);
        assert_eq!(ends(&calm), row.ends, "{}: {}", row.name, calm.timeline());
        let inputs = (0..calm.steps).zip(&calm.told).filter(|(_, told)| told.at >= start() + row.from);
        let (deeds, rest): (Vec<_>, Vec<_>) = inputs.partition(|(_, told)| told.is_a_point());
        let some = deeds.iter().step_by(row.every.0).chain(rest.iter().step_by(row.every.1));
        let some: BTreeSet<u64> = some.map(|(at, _)| *at).chain(firsts(&calm)).collect();
        let jobs: Vec<(u64, bool)> = some.into_iter().flat_map(|at| [(at, false), (at, true)]).collect();
        let (left, right) = jobs.split_at(jobs.len() / 2);
        let usual = Usual { config, done: calm.done(), pages: pages(&calm) };
        let die = |jobs: &[(u64, bool)]| {
            jobs.iter().map(|(at, durable)| dies(row, &usual, *at, *durable)).collect::<Vec<_>>()
        };
        let sums = std::thread::scope(|s| {
            let right = s.spawn(|| die(right));
            [die(left), right.join().unwrap()].concat()
        });
        let add =
            |a: Sum, b: &Sum| Sum { deaths: a.deaths + b.deaths, asked: a.asked + b.asked, calls: a.calls + b.calls };
        let sum = sums.iter().fold(Sum::default(), add);
        println!("{:46} {:>6} {:>14} {:>12}", row.name, sum.deaths, sum.asked, sum.calls);
        all = add(all, &sum);
        for (at, durable) in jobs {
            let Some(told) = usize::try_from(at).ok().and_then(|at| calm.told.get(at)) else { continue };
            for kind in &told.sends {
                points.entry(kind).or_default()[usize::from(durable)] += 1;
            }
            if let Some((kind, outcome)) = &told.about {
                points.entry(kind).or_default()[if *outcome { 2 + usize::from(durable) } else { 4 }] += 1;
            }
            for verb in moved(&calm, told) {
                verbs.entry(verb).or_default()[usize::from(durable)] += 1;
            }
        }
    }
    let heads = ["before claim", "claimed", "sent", "recorded", "at its news"];
    println!("\n{:16}{}", "deaths of", heads.map(|h| format!("{h:>14}")).concat());
    for (kind, counts) in &points {
        println!("{kind:16}{}", counts.map(|n| format!("{n:>14}")).concat());
    }
    println!("\n{:16}{:>14}{:>14}", "steps of", "before", "after");
    for (verb, [before, after]) in &verbs {
        println!("{verb:16}{before:>14}{after:>14}");
    }
    println!("{} deaths, in {} a person was asked, {} more calls", all.deaths, all.asked, all.calls);
    assert!(all.deaths > 600 && all.asked < all.deaths / 20, "{} deaths, {} persons asked", all.deaths, all.asked);
    for kind in kinds().keys() {
        let counts = points.get(kind).copied().unwrap_or_default();
        assert!(counts[..4].iter().all(|n| *n > 0), "{kind} did not die everywhere: {counts:?}");
    }
    for verb in Verb::NAMES {
        let counts = verbs.get(verb).copied().unwrap_or_default();
        assert!(counts.iter().all(|n| *n > 0), "no step of {verb} died: {counts:?}");
    }
}
