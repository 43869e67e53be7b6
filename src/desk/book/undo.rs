//! Taking an appointment back: the time is given free, the workshop told, the invitation withdrawn.

use super::super::TimelineKind;
use super::super::change::Change;
use super::super::goals::Wake;
use super::super::plan::Effect;
use super::super::rows::{CaseRow, EffectRow};
use super::{BookingRow, BookingState, Key, invite, mail, source, upkeep};
use crate::domain::{CaseId, EffectId, StepId};
use crate::outbox::{Kind, State};
use crate::playbook::{Mirror, Playbook};

/// Takes the appointments of a step back: `book.cancel(step)`.
pub(in super::super) fn cancel_step(change: &mut Change<'_>, id: CaseId, step: &StepId, reason: &str) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)) else { return };
    let Some((of, _)) = plan.step(step).and_then(|s| source(&plan, s)) else { return };
    let key = (id, of.id.clone());
    let Some(mut row) = change.get::<BookingRow>(&key).filter(|r| r.unwanted.is_none()) else { return };
    if matches!(row.state, BookingState::Done | BookingState::NoShow | BookingState::Cancelled) {
        return;
    }
    row.unwanted = Some(reason.to_owned());
    change.put(key, row);
    change.touched.insert(id);
}

/// All of them.
pub(in super::super) fn cancel_all(change: &mut Change<'_>, id: CaseId, reason: &str) {
    for (step, _) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        cancel_step(change, id, &step, reason);
    }
}

/// Lets go of times that are kept; what is booked stays booked, and what the customer chose and the workshop was asked for
/// is theirs to agree on.
pub(in super::super) fn drop_offers(change: &mut Change<'_>, id: CaseId, reason: &str) {
    for (step, row) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        let asked = row.state == BookingState::Confirming
            && row.create.and_then(|e| state(change, e)).is_some_and(|s| !s.is_waiting() && !s.is_lost());
        if !row.state.stands() && !asked {
            cancel_step(change, id, &step, reason);
        }
    }
}

/// Goes on taking an appointment back.
pub(super) fn take_back(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    mut row: BookingRow,
    wake: &mut Wake,
) -> BookingRow {
    invite::call_off(change, &mut row);
    // Otherwise it is by the word of the workshop.
    if !row.is_over() {
        if let Some(create) = row.create {
            change.call_off(create);
        }
        let never = has_come_to_nothing(change, row.create);
        match (row.booking.clone(), row.cancel) {
            // Nothing was booked; a booking of unknown outcome is cancelled when it turns up.
            (None, _) if never => row.state = BookingState::Cancelled,
            (None, _) => {}
            (Some(_), None) if never && row.slot.is_none() => row.state = BookingState::Cancelled,
            (Some(name), None) => row.cancel = ask(change, key, &row, name),
            (Some(_), Some(cancel)) if state(change, cancel).is_none_or(State::is_taken) => {
                row.state = BookingState::Cancelled;
            }
            (Some(_), Some(_)) => {}
        }
    }
    // A person is asked to call them; what comes of that, they say when they are asked.
    let refused = is_refused(change, &row);
    if refused && mail::office(change, &row).is_none() {
        upkeep::poll(change, key, &mut row, wake);
    } else {
        upkeep::stop_polling(change, &row);
    }
    if row.is_over() || refused {
        invite::withdraw(change, plan, key, &mut row);
    }
    row
}

/// The workshop will not cancel it, or was never reached: it may well stand there.
pub(super) fn is_refused(change: &Change<'_>, row: &BookingRow) -> bool {
    !row.is_over() && row.cancel.and_then(|cancel| state(change, cancel)).is_some_and(State::is_lost)
}

/// Nothing was booked, for certain. What was given up because nobody can tell may well stand.
pub(super) fn has_come_to_nothing(change: &Change<'_>, create: Option<EffectId>) -> bool {
    let delivery = create.and_then(|create| change.get::<EffectRow>(&create)).map(|e| e.delivery);
    delivery.is_none_or(|d| d.state.is_lost() && !d.given_up)
}

fn state(change: &Change<'_>, effect: EffectId) -> Option<State> {
    change.get::<EffectRow>(&effect).map(|e| e.delivery.state)
}

fn ask(change: &mut Change<'_>, key: &Key, row: &BookingRow, name: String) -> Option<EffectId> {
    let adapter = row.adapter.clone()?;
    let cancel = if mail::office(change, row).is_some() {
        mail::cancel(change, key, row)?
    } else {
        let mut effect = Effect::new(change, Kind::BookCancel, &adapter, &key.1, name.clone());
        effect.about = Some(name);
        effect.parent = row.create;
        effect.compensation = true;
        effect.plan(change, key.0)
    };
    change.say(key.0, TimelineKind::Decided, format!("{adapter} is asked to cancel the appointment"), Some(cancel));
    change.note(key.0, Mirror::Note, "The appointment is being cancelled.");
    Some(cancel)
}
