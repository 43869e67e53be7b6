//! Whether those who watch the simulated worlds see anything: for each promise, worlds in which the desk breaks it. Nothing
//! in the desk is changed for that. It hears something else than what was said, or its record, the store or an order is
//! another one on the way; the reference, the world around it or an invariant has to notice that, and say what it is.

#![expect(clippy::unwrap_used, reason = "helpers of tests: an unexpected error is a failed test")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use forewarn::desk::{Act, Input, NewRules};
use forewarn::domain::{
    BookingNews, BookingProgress, CallProgress, Change, Detection, EndpointKind, JobState, Link, Order, Outcome,
    PageKind, Receipt, ReceiptKind, Severity, Span, Stop, Work,
};

use super::desk_world::{Odds, Spoil, World, config_with, detection, start};
use super::reference::Reference;
use super::simulation::each;
use super::simulation_fleet::{check, fault};
use super::survey;

/// A mutation is to be noticed in one of so many worlds.
const WORLDS: u64 = 120;

/// What goes wrong, how, and what somebody must say about it.
type Mutation = (&'static str, Spoil, &'static str);

const MUTATIONS: &[Mutation] = &[
    // What is written.
    ("effects are not in their record", Spoil::Writes(|key| key[0] != b'e'), "not committed"),
    ("cases are not in their record", Spoil::Writes(|key| key[0] != b'c'), "there is no case"),
    ("steps are not in their record", Spoil::Writes(|key| key[0] != b's'), "I1: goal"),
    ("the store loses effects", Spoil::Keeps(|key| key[0] != b'e'), "tell different stories"),
    ("the store loses lines of the timeline", Spoil::Keeps(|key| key[0] != b'l'), "tell different stories"),
    // What goes out.
    ("orders go out twice", Spoil::Releases(|_, orders| orders.extend(orders.clone())), "two attempts at once"),
    (
        "messages go to somebody else",
        Spoil::Releases(|_, orders| orders.iter_mut().for_each(misdirect)),
        "nothing to do with it",
    ),
    // What came of it.
    (
        "a ticket that was taken is taken for lost",
        Spoil::Hears(|w, i| outcome(w, i, "ticket", taken, again)),
        "sent again although it was taken",
    ),
    (
        "a request in doubt is taken for lost",
        Spoil::Hears(|w, i| outcome(w, i, "dispatch", doubt, again)),
        "sent again while nobody knows",
    ),
    (
        "a command in doubt is taken for lost",
        Spoil::Hears(|w, i| outcome(w, i, "command", doubt, again)),
        "sent again while nobody knows",
    ),
    (
        "a booking in doubt is taken for lost",
        Spoil::Hears(|w, i| outcome(w, i, "booking", doubt, again)),
        "sent again while nobody knows",
    ),
    (
        "nobody hears that a part is ordered",
        Spoil::Hears(|w, i| outcome(w, i, "webhook", taken, no)),
        "the part is ordered and does not count",
    ),
    (
        "nobody hears that there is a ticket",
        Spoil::Hears(|w, i| outcome(w, i, "ticket", taken, no)),
        "a ticket was taken and does not count",
    ),
    (
        "a ticket that was refused counts",
        Spoil::Hears(|w, i| outcome(w, i, "ticket", refused, yes)),
        "is met without a proof",
    ),
    // What people do.
    (
        "keys that nobody pressed",
        Spoil::Hears(|_, i| {
            receipt(i, |what| match what {
                ReceiptKind::Call { progress: CallProgress::Ringing } => ReceiptKind::Key { digit: '1' },
                other => other,
            })
        }),
        "is met without a proof",
    ),
    (
        "keys that nobody hears",
        Spoil::Hears(|_, i| {
            receipt(i, |what| match what {
                ReceiptKind::Key { .. } => ReceiptKind::Call { progress: CallProgress::Ringing },
                other => other,
            })
        }),
        "a key was pressed and does not count",
    ),
    (
        "a 9 that nobody pressed",
        Spoil::Hears(|_, i| {
            receipt(i, |what| match what {
                ReceiptKind::Key { digit: '1' } => ReceiptKind::Key { digit: '9' },
                other => other,
            })
        }),
        "a false alarm that nobody has told of",
    ),
    (
        "words that nobody understands",
        Spoil::Hears(|_, i| match i {
            Input::Said(mut said) if said.text == "STOP" => {
                said.text = "HELP".into();
                Input::Said(said)
            }
            Input::OptOut { .. } => Input::Wake,
            Input::Link { link, .. } if link.kind == PageKind::Unsubscribe => Input::Wake,
            other => other,
        }),
        "they want no such messages",
    ),
    (
        "stops that nobody hears",
        Spoil::Hears(|_, i| match i {
            Input::Act { case: None, act: Act::Stop { .. }, .. } | Input::Switch { .. } => Input::Wake,
            other => other,
        }),
        "is stopped, but",
    ),
    (
        "stops that are over at once",
        Spoil::Hears(|_, i| match i {
            Input::Act { case: None, actor, act: Act::Stop { reason, .. } } => {
                Input::Act { case: None, actor, act: Act::Stop { stop: Stop::Off, reason } }
            }
            other => other,
        }),
        "is stopped, but",
    ),
    (
        "nobody hears what was found",
        Spoil::Hears(|_, i| match i {
            Input::Judge { .. } => Input::Wake,
            other => other,
        }),
        "a fault recurs and nobody is told",
    ),
    (
        "nights that nobody keeps",
        Spoil::Knows(|c| c.settings.quiet_hours = "00:00-00:00".parse().unwrap()),
        "o'clock there",
    ),
    ("new rules that act", Spoil::Knows(|c| c.settings.new_rules = NewRules::Live), "opens and no fault has begun"),
    // What trucks and workshops do.
    (
        "a truck of which another time was told",
        Spoil::Hears(|_, i| {
            job(i, |update| {
                update.eta_at = update.eta_at.map(|at| at + Span::from_mins(7));
            })
        }),
        "nobody has said that it takes",
    ),
    (
        "a truck that is taken for lost",
        Spoil::Hears(|_, i| {
            job(i, |update| {
                if update.state == JobState::EnRoute {
                    update.state = JobState::NoProvider;
                }
            })
        }),
        "served while a truck is on its way",
    ),
    (
        "a truck that nobody sends counts",
        Spoil::Hears(|_, i| {
            job(i, |update| {
                if matches!(update.state, JobState::NoProvider | JobState::Declined | JobState::GoneOnArrival) {
                    update.state = JobState::Done;
                }
            })
        }),
        "is met without a proof",
    ),
    (
        "a workshop that has not said yes",
        Spoil::Hears(|_, i| booking(i, BookingProgress::Pending, BookingProgress::Confirmed)),
        "appointment_confirmed is met without a proof",
    ),
    (
        "an appointment that is taken for lost",
        Spoil::Hears(|_, i| booking(i, BookingProgress::Confirmed, BookingProgress::Cancelled)),
        "a second appointment beside",
    ),
    // What devices do.
    (
        "faults that nobody hears of",
        Spoil::Hears(|_, i| match i {
            Input::Detection(d) if d.change == Change::Raised => Input::Wake,
            other => other,
        }),
        "began and there is no case",
    ),
    (
        "faults that there are not",
        Spoil::Hears(|w, i| match i {
            Input::Facts { .. } => invented(w, "car-9"),
            other => other,
        }),
        "opens and no fault has begun",
    ),
    (
        "faults that are taken for over",
        Spoil::Hears(|w, i| match i {
            Input::Facts { device, .. } => over(w, device.as_str()),
            other => other,
        }),
        "a false alarm that nobody has told of",
    ),
    (
        "cars that are taken for standing",
        Spoil::Hears(|_, i| match i {
            Input::Facts { device, event_at, mut values } => {
                values.insert("speed".into(), 0.0.into());
                Input::Facts { device, event_at, values }
            }
            other => other,
        }),
        "vehicle_safe is met without a proof",
    ),
];

/// The same with worlds in which Jane, who has agreed to that by mail, is asked how it was, and answers.
const QUESTIONS: &[Mutation] = &[
    ("a mark that nobody gave", Spoil::Hears(|_, i| posted(i, "2")), "nobody has given the mark"),
    ("a mark that nobody takes", Spoil::Hears(|_, i| posted(i, "")), "is lost"),
    ("somebody who has agreed to less", Spoil::Knows(survey::agreed), "they have not agreed to be asked"),
    ("a question that comes too often", Spoil::Knows(|c| c.contact.survey_every = Span::ZERO), "asked a second time"),
];

/// The form of a page, filled in otherwise.
fn posted(mut input: Input, mark: &str) -> Input {
    if let Input::Link { form, .. } = &mut input {
        form.insert("mark".into(), mark.into());
    }
    input
}

/// A fault, and the same again when its case is long closed; after the first the question.
fn asked(seed: u64, spoil: Option<Spoil>) {
    let config = config_with(survey::BOOK, |c| {
        survey::agreed(c);
        let jane = Arc::make_mut(&mut c.registry).customers.get_mut("c-1").unwrap();
        jane.consents.last_mut().unwrap().channel = Some(EndpointKind::Email);
    });
    let mut known = config.clone();
    if let Some(Spoil::Knows(otherwise)) = spoil {
        otherwise(Arc::make_mut(&mut known));
    }
    let mut world = World::new(known, Odds::friendly(), seed);
    world.reference = Some(Reference::new(config));
    world.spoil = spoil;
    world.answers = Some(|order| {
        let link = Link { effect: order.effect, kind: PageKind::Survey };
        vec![Input::Link { link, form: [("mark".to_owned(), "4".to_owned())].into() }]
    });
    for (n, hours) in [(1, 0), (2, 48)] {
        let after = Span::from_hours(hours);
        let odd = detection("a.b", Severity::Minor, n, 1, Change::Raised, start() + after);
        world.later(after, Input::Detection(Box::new(odd)));
    }
    world.run(start() + Span::from_hours(60));
    world.reference.as_mut().unwrap().look(&world.desk, None).unwrap();
    assert!(spoil.is_some() || world.desk.rules()[0].csat == Some(4.0), "{}", world.timeline());
}

fn taken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

fn doubt(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown { .. })
}

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected { .. })
}

fn again() -> Outcome {
    Outcome::Retry { after: None, reason: "connection refused".into() }
}

fn no() -> Outcome {
    Outcome::Rejected { reason: "no".into() }
}

fn yes() -> Outcome {
    Outcome::Accepted { provider_ref: "T-1".into() }
}

/// Another outcome of an attempt of this kind.
fn outcome(w: &World, input: Input, kind: &str, of: fn(&Outcome) -> bool, other: fn() -> Outcome) -> Input {
    match input {
        Input::Outcome { effect, attempt, outcome } if of(&outcome) && w.kind_of(&effect) == Some(kind) => {
            Input::Outcome { effect, attempt, outcome: other() }
        }
        other => other,
    }
}

fn receipt(input: Input, other: fn(ReceiptKind) -> ReceiptKind) -> Input {
    match input {
        Input::Receipt(receipt) => Input::Receipt(Receipt { what: other(receipt.what), ..receipt }),
        other => other,
    }
}

fn job(mut input: Input, change: fn(&mut forewarn::domain::JobUpdate)) -> Input {
    if let Input::Receipt(Receipt { what: ReceiptKind::Dispatch { update }, .. }) = &mut input {
        change(update);
    }
    input
}

fn booking(mut input: Input, from: BookingProgress, to: BookingProgress) -> Input {
    let Input::Receipt(Receipt { what: ReceiptKind::Booking { news }, .. }) = &mut input else { return input };
    if let BookingNews::Stands { progress, .. } = news
        && *progress == from
    {
        *progress = to;
    }
    input
}

fn misdirect(order: &mut Order) {
    match &mut order.work {
        Work::Sms(w) if w.to.starts_with("+4366") => w.to = "+43111".into(),
        Work::Mail(w) if w.to.starts_with("p3@") => w.to = "jane@example.com".into(),
        _ => {}
    }
}

/// A fault of a device that has none.
fn invented(w: &World, device: &str) -> Input {
    Input::Detection(Box::new(fault(device, "brake.circuit_loss", Severity::Critical, 77, Change::Raised, w.now)))
}

/// The end of what a device suffers from.
fn over(w: &World, device: &str) -> Input {
    let known = w.faults.values().find(|d| d.device.as_str() == device);
    known.cloned().map_or(Input::Wake, |d| {
        let (seq, change) = (d.seq + 1_000, Change::Cleared);
        Input::Detection(Box::new(Detection { seq, change, level: None, event_at: w.now, received_at: w.now, ..d }))
    })
}

/// What is said of a world that breaks a promise; nothing if all is well in it.
fn said(look: impl FnOnce()) -> String {
    let Err(why) = catch_unwind(AssertUnwindSafe(look)) else { return String::new() };
    let text = why.downcast_ref::<String>().cloned();
    text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Each of these is noticed in one of the worlds.
fn noticed(mutations: &[Mutation], look: fn(u64, Option<Spoil>)) {
    let found = each(0..u64::try_from(mutations.len()).unwrap(), |n| {
        let (name, spoil, says) = mutations[usize::try_from(n).unwrap()];
        let mut other = BTreeSet::new();
        let seed = (0..WORLDS).find(|seed| {
            let why = said(|| look(*seed, Some(spoil)));
            other.extend(why.lines().next().map(|line| line.chars().take(160).collect::<String>()));
            why.contains(says)
        });
        assert!(seed.is_some(), "{name}: nobody says '{says}', but: {other:#?}");
        format!("{name:46} world {:>2}: {says}", seed.unwrap())
    });
    println!("{}", found.join("\n"));
}

#[test]
fn whatever_breaks_a_promise_in_a_fleet_is_noticed() {
    noticed(MUTATIONS, |seed, spoil| drop(check(seed, spoil)));
}

#[test]
fn whatever_breaks_the_promise_of_a_question_is_noticed() {
    asked(0, None);
    noticed(QUESTIONS, asked);
}
