//! What a call says at the moment it is answered: rendered with the present truth. What was spoken is committed (which
//! text, which facts) before it is said.

use std::collections::BTreeMap;

use super::change::Change;
use super::rows::{CaseRow, ContactRow, EffectRow, StepRow, Target};
use super::{
    PAGE_SCRIPT, Reply, Speech, SpeechThen, TimelineKind, book, bundle, dispatch, news, notes, order, pages, reach,
    survey,
};
use crate::domain::{CallProgress, EffectId, Purpose, QueueName, Receipt, ReceiptKind};
use crate::outbox::{Event, Kind, State};
use crate::playbook::{Mirror, Part, Until, Verb, Via};

/// A person who says nothing three times is not there.
const LAST_TURN: u32 = 3;

/// The texts without facts: what a call needs besides its own, and the answers to words like STOP.
pub(super) const SCRIPTS: [(&str, &str); 12] = [
    ("call-thanks", "Thank you. Goodbye."),
    ("call-connect", "We are connecting you. Please hold the line."),
    ("call-all-well", "Thank you. We are taking everything back. Goodbye."),
    ("call-confirmed", "This has been answered already. There is nothing left for you to do. Goodbye."),
    ("call-over", "This call is no longer needed. Goodbye."),
    ("call-goodbye", "We could not hear a key. Goodbye."),
    ("call-wrong-person", "Thank you. We will not call you about this again. Goodbye."),
    ("call-opt-out", "Thank you. You will get no more such calls. Goodbye."),
    ("opt-out-hint", "STOP ends these messages."),
    ("opt-out-done", "You will get no more messages from us here. Reply START to get them again."),
    ("opt-in-done", "You will get our messages here again. Reply STOP to end them."),
    ("opt-out-help", "We write about your own device only. Reply STOP to end these messages, START to get them again."),
];

/// What a person who is told something may answer, by key or by tap: the script of its label in the app, and the label
/// if there is no such file.
pub(super) const CHOICES: [(char, &str, &str); 3] =
    [('1', "choice-1", "I understand"), ('2', "choice-2", "Please call me"), ('9', "choice-9", "All is well")];

pub(super) fn answered(change: &mut Change<'_>, effect: EffectId, turn: u32, provider_ref: &str) -> Reply {
    let Some(row) = change.get::<EffectRow>(&effect).filter(|r| r.delivery.kind == Kind::Call) else {
        return Reply::NotFound;
    };
    change.because(format!("provider:{}", row.adapter), format!("call {effect} answered"));
    let receipt = Receipt {
        effect,
        provider_ref: Some(provider_ref.to_owned()),
        seq: None,
        what: ReceiptKind::Call { progress: CallProgress::InProgress },
    };
    news::happened(change, effect, &Event::Receipt(&receipt));
    let row = change.get::<EffectRow>(&effect).unwrap_or(row);
    Reply::Speech(present(change, effect, &row, turn))
}

/// What to say now.
pub(super) fn present(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, turn: u32) -> Speech {
    // Who was erased while the line rang is told nothing, and not called again.
    if matches!(row.target, Target::Customer { .. }) && order::customer(change, row).is_none() {
        return opted_out(change, row);
    }
    let mut rows = bundle::all(change, effect, row);
    rows.retain(|(_, row)| is_wanted(change, row));
    if rows.is_empty() {
        return over(change, row);
    }
    if row.delivery.state == State::Confirmed {
        let key = change.get::<ContactRow>(&effect).map(|c| c.result);
        return match key.as_deref() {
            Some("human_confirmed(2)") => connect(change, row),
            Some("human_confirmed(9)") => all_well(change, row),
            _ => thanks(change, row),
        };
    }
    // The line rang while the answer came by another way.
    rows.retain(|(_, row)| !is_confirmed(change, row));
    let Some((first, own)) = rows.first().cloned() else {
        return said(change, row, "call-confirmed", SpeechThen::HangUp);
    };
    if turn >= LAST_TURN {
        return said(change, row, "call-goodbye", SpeechThen::HangUp);
    }
    let Some(case) = change.get::<CaseRow>(&own.case) else { return over(change, row) };
    let page = matches!(row.target, Target::Person { .. });
    let script = match &own.script {
        _ if rows.len() > 1 => bundle::SCRIPT,
        Some(script) => script.as_str(),
        None => PAGE_SCRIPT,
    };
    let mut facts = order::facts_for(change, &own, &case, false);
    if rows.len() > 1 {
        facts["items"] = bundle::items(change, rows.iter().map(|(_, row)| row));
    }
    let locale = order::locale(change, row);
    let then = if page || wants_a_key(change, &own, &case) { SpeechThen::Listen } else { SpeechThen::HangUp };
    match change.config.messages.render(script, Part::Voice, &locale, &facts) {
        Ok((locale, mut text)) => {
            // Whoever may do without such calls is told how, in each of them.
            if !page && then == SpeechThen::Listen && row.delivery.purpose != Purpose::Safety {
                text = format!("{text} {}", short(change, "opt-out-hint", Part::Voice, &locale).1);
            }
            for (effect, row) in &rows {
                commit(change, *effect, row, turn, script, &locale);
            }
            Speech { locale, text, then }
        }
        Err(e) => {
            let text = format!("the text {script}.voice.txt cannot be spoken: {e}");
            news::trouble(change, own.case, first, &text);
            super::goals::page_default(change, own.case, &text);
            over(change, row)
        }
    }
}

/// Whether anybody still has to hear it. A person of ours may be asked about a closed case, too: somebody has written; and
/// need not be asked about an open one any more.
fn is_wanted(change: &Change<'_>, row: &EffectRow) -> bool {
    let Some(case) = change.get::<CaseRow>(&row.case) else { return false };
    let page = matches!(row.target, Target::Person { .. });
    let open = case.is_open() && case.backing_out.is_none();
    if page {
        return pages::is_asked(change, row) || (open && row.delivery.state == State::Confirmed);
    }
    open || row.compensation
}

/// Whether somebody has already answered what the step says, over whatever way.
fn is_confirmed(change: &Change<'_>, row: &EffectRow) -> bool {
    change.get::<StepRow>(&(row.case, row.step.clone())).is_some_and(|s| s.confirmed.is_some())
        || (book::asks(change, row) && book::said(change, row.case).is_some())
}

/// What may be answered to a message in the app: nothing, unless the step waits for an answer.
pub(super) fn choices(change: &Change<'_>, row: &EffectRow) -> &'static [(char, &'static str, &'static str)] {
    let until = reach::of(change, row.case, &row.step).map(|reach| reach.until);
    match until {
        Some(Until::HumanConfirmed) => &CHOICES,
        None if survey::asks(change, row) => &survey::MARKS,
        _ => &[],
    }
}

/// Announcements end; everything else asks for a key.
fn wants_a_key(change: &Change<'_>, row: &EffectRow, case: &CaseRow) -> bool {
    let step = change.get::<StepRow>(&(row.case, row.step.clone()));
    if let Some(adhoc) = step.and_then(|s| s.adhoc) {
        return reach::adhoc(&adhoc).until == Until::HumanConfirmed;
    }
    let plan = change.plan(case);
    matches!(plan.as_ref().and_then(|p| p.step(&row.step)).map(|s| &s.verb), Some(Verb::Reach(_)))
}

/// Writes down what is about to be spoken: script and facts, not the text.
fn commit(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, turn: u32, script: &str, locale: &str) {
    let Some(case) = change.get::<CaseRow>(&row.case) else { return };
    let facts = order::facts_for(change, row, &case, false);
    let mut spoken = BTreeMap::new();
    for (name, value) in [
        ("dispatch.state", &facts["dispatch"]["state"]),
        ("dispatch.eta_minutes", &facts["dispatch"]["eta_minutes"]),
        ("fault.name", &facts["fault"]["name"]),
    ] {
        if !value.is_null() {
            spoken.insert(name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    let told = if facts["dispatch"]["accepted"] == true {
        let minutes = &facts["dispatch"]["eta_minutes"];
        if minutes.is_null() { ", a truck promised".to_owned() } else { format!(", a truck promised in {minutes} min") }
    } else {
        String::new()
    };
    news::contact(change, effect, row, |c| {
        c.spoken = spoken;
        c.turns = turn;
        "answered_unconfirmed".clone_into(&mut c.result);
    });
    dispatch::told(change, row);
    let whom = match &row.target {
        Target::Customer { endpoint, .. } => endpoint.to_string(),
        Target::Person { queue, index } => format!("{queue}, person {}", index + 1),
        Target::Nobody => "nobody".to_owned(),
    };
    let text = format!("said to {whom} ({locale}): {script}{told}");
    change.say(row.case, TimelineKind::Said, text, Some(effect));
    // A text that is said again because no key was heard is the same event.
    if turn == 1 && !matches!(row.target, Target::Person { .. }) {
        let whom = notes::whom(change, row);
        change.note(row.case, Mirror::Contact, &format!("Said on the phone to {whom} (\"{script}\"){told}."));
    }
}

pub(super) fn thanks(change: &Change<'_>, row: &EffectRow) -> Speech {
    said(change, row, "call-thanks", SpeechThen::HangUp)
}

pub(super) fn all_well(change: &Change<'_>, row: &EffectRow) -> Speech {
    said(change, row, "call-all-well", SpeechThen::HangUp)
}

pub(super) fn wrong_person(change: &Change<'_>, row: &EffectRow) -> Speech {
    said(change, row, "call-wrong-person", SpeechThen::HangUp)
}

pub(super) fn opted_out(change: &Change<'_>, row: &EffectRow) -> Speech {
    said(change, row, "call-opt-out", SpeechThen::HangUp)
}

fn over(change: &Change<'_>, row: &EffectRow) -> Speech {
    said(change, row, "call-over", SpeechThen::HangUp)
}

/// Connects to the first person of that queue.
pub(super) fn connect(change: &Change<'_>, row: &EffectRow) -> Speech {
    let people = queue_of(change, row).and_then(|q| change.config.queues.get(&q));
    match people.and_then(|p| p.iter().find_map(|p| p.call.clone())) {
        Some(number) => said(change, row, "call-connect", SpeechThen::Connect(number)),
        None => thanks(change, row),
    }
}

/// Who helps somebody that a step reaches and who wants to talk: the queue that the ladder ends with, else the default
/// one.
pub(super) fn queue_of(change: &Change<'_>, row: &EffectRow) -> Option<QueueName> {
    let plan = change.get::<CaseRow>(&row.case).and_then(|c| change.plan(&c));
    let of_step = plan.as_ref().and_then(|p| p.step(&row.step)).and_then(|s| match &s.verb {
        Verb::Reach(r) => r.ladder.iter().find_map(|r| match &r.via {
            Via::Human(q) => Some(q.clone()),
            _ => None,
        }),
        _ => None,
    });
    of_step.or_else(|| change.config.default_queue().cloned())
}

/// A short sentence without facts; the built-in one if its file is missing.
fn said(change: &Change<'_>, row: &EffectRow, script: &str, then: SpeechThen) -> Speech {
    let (locale, text) = short(change, script, Part::Voice, &order::locale(change, row));
    Speech { locale, text, then }
}

/// The locale and text of one of [`SCRIPTS`].
pub(super) fn short(change: &Change<'_>, script: &str, part: Part, wanted: &str) -> (String, String) {
    let rendered = change.config.messages.render(script, part, wanted, &serde_json::json!({}));
    rendered.unwrap_or_else(|_| {
        let text = SCRIPTS.iter().find(|(s, _)| *s == script).map_or("Goodbye.", |(_, t)| t);
        ("en".to_owned(), text.to_owned())
    })
}
