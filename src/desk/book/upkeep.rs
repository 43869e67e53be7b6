//! While an appointment stands: the invitation, the reminder, the question to the workshop how it stands, and its end.

use super::super::TimelineKind;
use super::super::change::Change;
use super::super::goals::{self, Wake};
use super::super::plan::Effect;
use super::super::rows::{AdhocReach, CaseRow, EffectRow, StepRow};
use super::{BookingRow, BookingState, Key, confirming, invite, mail, news, proposing};
use crate::domain::{At, ScriptId, Span, StepId};
use crate::outbox::Kind;
use crate::playbook::{Playbook, REMINDER_SCRIPT, Until, Via};

/// A workshop is asked how a booking stands so often, because its news can be lost.
const POLL_EVERY: Span = Span::from_hours(1);
/// An appointment of which nobody says anything for so long after its end has taken place: whether the fault is gone, the
/// device says.
pub(super) const NO_NEWS: Span = Span::from_hours(12);

/// A workshop that has said neither yes nor no for so long, or until the time has come, is called by a person.
const PENDING: Span = Span::from_hours(24);

/// The workshop has it and has not said yes yet; that it has since may have been lost.
pub(super) fn pends(change: &mut Change<'_>, key: &Key, mut row: BookingRow, wake: &mut Wake) -> BookingRow {
    poll(change, key, &mut row, wake);
    let taken = row.create.and_then(|e| change.get::<EffectRow>(&e)).filter(|e| e.delivery.state.is_taken());
    let asked_at = taken.and_then(|e| e.delivery.first_sent_at);
    let late = asked_at.zip(row.chosen_slot()).map(|(asked_at, slot)| (asked_at + PENDING).min(slot.start_at));
    match late {
        Some(at) if change.now < at => wake.at(at),
        Some(_) => {
            let workshop = row.adapter.as_ref().map_or("the workshop", |a| a.as_str());
            goals::page_default(
                change,
                key.0,
                &format!("{workshop} has not confirmed the appointment that the customer chose"),
            );
        }
        None => {}
    }
    row
}

pub(super) fn stands(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    row: BookingRow,
    wake: &mut Wake,
) -> BookingRow {
    let mut row = invite::send(change, plan, key, row);
    mail::update(change, key, &mut row);
    remind(change, plan, key, &mut row, wake);
    if let Some(over_at) = row.slot.map(|s| s.end_at + NO_NEWS) {
        if change.now >= over_at {
            news::ended(change, key, &mut row, BookingState::Done);
            return row;
        }
        wake.at(over_at);
    }
    // Nobody reads a mail only to say that nothing has changed.
    if mail::office(change, &row).is_none() {
        poll(change, key, &mut row, wake);
    }
    row
}

/// The day before.
fn remind(change: &mut Change<'_>, plan: &Playbook, key: &Key, row: &mut BookingRow, wake: &mut Wake) {
    let Some((before, slot)) = confirming(plan, key).and_then(|(_, b)| b.remind).zip(row.slot) else { return };
    let at = slot.start_at - before;
    // Whoever has heard of it just now needs no reminder.
    let fresh = row.told_at.is_some_and(|told| told >= at);
    let open = change.get::<CaseRow>(&key.0).is_some_and(|case| case.is_open());
    if !open || row.state != BookingState::Confirmed || fresh || change.now >= slot.start_at {
        return;
    }
    if change.now < at {
        return wake.at(at);
    }
    row.state = BookingState::Reminded;
    let mut step = StepRow::new(change.now);
    step.adhoc = Some(AdhocReach {
        who: proposing(plan).map_or_else(|| vec!["owner".into()], |(_, reach)| reach.who.clone()),
        script: ScriptId::from(REMINDER_SCRIPT),
        until: Until::Accepted,
        vias: vec![Via::Sms],
        compensation: false,
    });
    let name = format!("{} reminder {}", key.1, row.sequence);
    change.put((key.0, StepId::from(name)), step);
    change.say(key.0, TimelineKind::Decided, "the customer is reminded of the appointment", None);
    change.touched.insert(key.0);
}

/// Asks how the booking stands, every hour.
pub(super) fn poll(change: &mut Change<'_>, key: &Key, row: &mut BookingRow, wake: &mut Wake) {
    let (Some(name), Some(create), Some(adapter)) = (row.booking.clone(), row.create, row.adapter.clone()) else {
        return;
    };
    let at = change.now + POLL_EVERY;
    match row.poll.and_then(|p| change.get::<EffectRow>(&p).map(|e| (p, e))) {
        None => {
            let mut effect = Effect::new(change, Kind::BookStatus, &adapter, &key.1, create.to_string());
            effect.about = Some(name);
            effect.parent = Some(create);
            effect.compensation = true;
            effect.at = at;
            effect.limit_at = Some(At::MAX);
            row.poll = Some(effect.plan(change, key.0));
            wake.at(at);
        }
        Some((poll, mut e)) if !e.delivery.state.is_waiting() && !e.delivery.state.is_in_flight() => {
            e.delivery.rearm(at);
            change.put(poll, e);
            wake.at(at);
        }
        Some(_) => {}
    }
}

pub(super) fn stop_polling(change: &mut Change<'_>, row: &BookingRow) {
    if let Some(poll) = row.poll {
        change.call_off(poll);
    }
}
