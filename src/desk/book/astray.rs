//! A time that somebody chose who then says that they are not meant. It is undone, unless somebody else has said the same:
//! what was not asked for yet is offered on, what was is called off, and other times are offered once that is certain.

use super::super::change::Change;
use super::super::rows::{CaseRow, EffectRow};
use super::super::{TimelineKind, goals, wrong};
use super::{BookingRow, BookingState, Key, confirming, invite, proposing, react, undo};
use crate::domain::{CaseId, EffectId, StepId};
use crate::playbook::Playbook;

/// Somebody who was told of this case is not meant.
pub(in super::super) fn not_meant(change: &mut Change<'_>, id: CaseId) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)) else { return };
    for (step, mut row) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        let others: Vec<EffectId> = row.answered.iter().filter(|e| !is_astray(change, **e)).copied().collect();
        let invited = row.state.stands() && row.invited.is_some();
        let misled = invited && row.invite.is_some_and(|invite| is_astray(change, invite));
        if row.unwanted.is_some() || (others.len() == row.answered.len() && !misled) {
            continue;
        }
        let key = (id, step);
        if others.is_empty() && !row.answered.is_empty() {
            take_back(change, &plan, &key, row);
        } else {
            // Whoever has it in their calendar by mistake has it no longer.
            if misled {
                invite::withdraw(change, &plan, &key, &mut row);
                // What takes it back goes out, whatever becomes of the next one.
                row.invite = None;
                row.sequence += 1;
            }
            row.answered = others;
            change.put(key, row);
        }
        change.touched.insert(id);
    }
}

fn is_astray(change: &Change<'_>, effect: EffectId) -> bool {
    change.get::<EffectRow>(&effect).is_some_and(|e| wrong::went_astray(change, &e))
}

fn take_back(change: &mut Change<'_>, plan: &Playbook, key: &Key, mut row: BookingRow) {
    use BookingState::{Cancelled, CheckedIn, Chosen, Confirming, Done, Held, NoShow, Proposed, Slots};
    let case = change.get::<CaseRow>(&key.0);
    let closed = case.as_ref().is_some_and(|c| !c.is_open());
    let runs = case.is_some_and(|c| c.is_open() && c.backing_out.is_none());
    match row.state {
        // Whoever came with the device is meant by it.
        CheckedIn | Done | NoShow => return,
        Cancelled if !row.declined => return,
        Slots | Held | Proposed | Chosen => {
            if row.state == Chosen {
                row.state = Proposed;
            }
            (row.chosen, row.declined, row.wants_call) = (None, false, false);
            row.answered.clear();
            change.put(key.clone(), row);
            return change.say(key.0, TimelineKind::Decided, "what they have answered does not count", None);
        }
        Cancelled if runs => change.put(key.clone(), BookingRow { round: row.round, ..BookingRow::default() }),
        Cancelled => {}
        Confirming | BookingState::Confirmed | BookingState::Reminded | BookingState::ChangedByProvider => {
            undo::cancel_step(change, key.0, &key.1, "it was chosen by somebody who is not meant");
            change.say(key.0, TimelineKind::Decided, "the appointment that they have chosen is called off", None);
        }
    }
    if runs {
        let steps = [confirming(plan, key).map(|(step, _)| step), proposing(plan).map(|(step, _)| step)];
        let undone: Vec<_> = steps.into_iter().flatten().collect();
        react::begin_anew(change, plan, key.0, &key.1, &undone);
    } else if closed {
        goals::page_default(change, key.0, "who has decided about the appointment is not a person of this device");
    }
}
