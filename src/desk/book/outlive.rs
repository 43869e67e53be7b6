//! An appointment and a case that was closed before it: what is kept, and what the case finds when it is opened again.

use super::super::change::Change;
use super::super::pages::About;
use super::super::rows::{CaseRow, EffectRow, StepRow, StepState};
use super::super::{goals, webhook};
use super::upkeep::NO_NEWS;
use super::{BookingRow, Key, confirming, undo};
use crate::domain::{CaseId, EffectId, StepId};
use crate::playbook::{Playbook, Step, Verb};

/// Whether an appointment of the case is to come, or is just being booked or taken back.
pub(in super::super) fn is_live(change: &Change<'_>, id: CaseId) -> bool {
    change.of_case::<BookingRow, _>(id, StepId::from("")).iter().any(|(_, row)| is_to_come(change, row))
}

/// Whatever nobody has said is over when its time is.
fn is_to_come(change: &Change<'_>, row: &BookingRow) -> bool {
    let slot = row.slot.or_else(|| row.chosen_slot());
    !row.is_over() && slot.is_none_or(|slot| change.now < slot.end_at + NO_NEWS)
}

/// A case begins anew, and what is over is forgotten. What is not stays as it is: nobody gets a second appointment. Gives
/// the steps that were begun because of it and are not to be begun again: the part was ordered.
pub(in super::super) fn reopened(change: &mut Change<'_>, id: CaseId, plan: &Playbook) -> Vec<StepId> {
    let mut kept = Vec::new();
    for (step, row) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        let key = (id, step);
        if !is_to_come(change, &row) {
            change.delete::<BookingRow>(key);
        } else if row.unwanted.is_none() {
            kept.extend(behind(change, plan, &key));
        }
    }
    kept
}

/// The steps behind the one that booked that are done, or that have told a system of ours something of which nobody knows
/// yet whether it has arrived. Those that watch, and what comes after them, look again.
fn behind(change: &mut Change<'_>, plan: &Playbook, key: &Key) -> Vec<StepId> {
    let Some((booked, _)) = confirming(plan, key) else { return Vec::new() };
    let done = |s: &Step| change.get::<StepRow>(&(key.0, s.id.clone())).is_some_and(|row| row.state == StepState::Done);
    let is_kept = |s: &Step| match &s.verb {
        Verb::WaitFor(_) => false,
        _ => done(s) || webhook::may_be_told(change, key.0, s),
    };
    let kept: Vec<StepId> = plan.with_those_behind(&booked.id, is_kept).into_iter().skip(1).collect();
    for step in &kept {
        go_on(change, key.0, step);
    }
    kept
}

/// A step that was begun goes on, or a person is asked if nothing more will come of it.
fn go_on(change: &mut Change<'_>, id: CaseId, step: &StepId) {
    let key = (id, step.clone());
    let Some(row) = change.get::<StepRow>(&key).filter(|row| row.state != StepState::Done) else { return };
    let effect = row.effect.and_then(|e| change.get::<EffectRow>(&e));
    if effect.is_some_and(|e| !e.delivery.state.is_lost()) {
        return change.put(key, StepRow { state: StepState::Running, ..row });
    }
    change.put(key, StepRow { state: StepState::Failed, ..row });
    goals::page_default(change, id, &format!("it may have been done before, and is not done again (step {step})"));
}

/// The case of an appointment that is being taken back was opened again, and times are wanted: they are looked for as soon
/// as it is certain that the old one is gone. `false`: now.
pub(super) fn look_anew(change: &mut Change<'_>, key: &Key, row: &BookingRow) -> bool {
    let open = change.get::<CaseRow>(&key.0).is_some_and(|c| c.is_open() && c.backing_out.is_none());
    let wanted = change.get::<StepRow>(key).is_some_and(|s| s.state == StepState::Running);
    if !open || !wanted {
        return true;
    }
    if !is_to_come(change, row) {
        // Pages that still show the old times know them by the number of their search.
        change.put(key.clone(), BookingRow { round: row.round, ..BookingRow::default() });
        change.touched.insert(key.0);
        return false;
    }
    let in_doubt = |e: &EffectId| change.get::<EffectRow>(e).is_some_and(|e| e.delivery.given_up);
    if let Some(effect) = row.cancel.or(row.create).filter(|e| in_doubt(e) || undo::is_refused(change, row)) {
        let text = "an earlier appointment may still stand, and no other one is made before that is certain";
        goals::page_default_about(change, key.0, text, Some(About::Effect(effect)));
    }
    true
}
