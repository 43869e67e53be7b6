//! What a plan says about an appointment that did not come about as it was meant to: other times, the end of the case, a
//! person.

use super::super::change::Change;
use super::super::goals;
use super::super::rows::{CaseRow, GoalState};
use super::super::{TimelineKind, case};
use super::{BookingRow, BookingState, Key, MAX_ROUNDS, confirming, invite, upkeep};
use crate::domain::{CaseId, StepId};
use crate::playbook::{Mirror, Playbook, Reaction, Step};

/// The workshop does not have the time that was chosen, or has it no more.
pub(super) fn slot_gone(change: &mut Change<'_>, plan: &Playbook, key: &Key, mut row: BookingRow, reason: &str) {
    let Some((step, book)) = confirming(plan, key) else { return };
    invite::withdraw(change, plan, key, &mut row);
    upkeep::stop_polling(change, &row);
    row.gone.extend(row.slot.take().or_else(|| row.chosen_slot()).map(|s| s.start_at));
    row.state = BookingState::Cancelled;
    change.put(key.clone(), row);
    change.note(key.0, Mirror::Note, &format!("{}.", sentence(reason)));
    react(change, plan, key, book.on.get("slot_gone"), step, reason);
}

/// `reason` with a capital at its beginning.
pub(super) fn sentence(reason: &str) -> String {
    let mut chars = reason.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Carries out a reaction of a step that books; without one, or once the plan is over, a person is asked.
pub(super) fn react(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    reaction: Option<&Reaction>,
    step: &Step,
    reason: &str,
) {
    let text = format!("{reason} (step {})", step.id);
    change.say(key.0, TimelineKind::Decided, text.clone(), None);
    let open = change.get::<CaseRow>(&key.0).is_some_and(|case| case.is_open());
    match reaction.filter(|r| open || matches!(r, Reaction::Human(_))) {
        Some(Reaction::AgainStep(from)) => again(change, plan, key, from, &text),
        Some(Reaction::Close(outcome)) => case::close(change, key.0, outcome),
        Some(reaction @ (Reaction::Goto(_) | Reaction::Human(_))) => goals::react(change, key.0, reaction, &text),
        _ => goals::page_default(change, key.0, &text),
    }
    change.touched.insert(key.0);
}

/// Looks for other times: the step that does, and all that build on it, begin anew.
fn again(change: &mut Change<'_>, plan: &Playbook, key: &Key, from: &StepId, reason: &str) {
    let Some(old) = change.get::<BookingRow>(key) else { return };
    if old.round >= MAX_ROUNDS {
        return goals::page_default(change, key.0, &format!("{reason}, again and again"));
    }
    let fresh = BookingRow {
        round: old.round,
        provider: old.provider,
        gone: old.gone,
        answered: old.answered,
        ..BookingRow::default()
    };
    change.put(key.clone(), fresh);
    let confirm: Vec<&Step> = confirming(plan, key).map(|(step, _)| step).into_iter().collect();
    begin_anew(change, plan, key.0, from, &confirm);
}

/// The step `from` and all that build on it begin anew; what those of them that are `undone` had proven is open again.
pub(super) fn begin_anew(change: &mut Change<'_>, plan: &Playbook, id: CaseId, from: &StepId, undone: &[&Step]) {
    let begun = goals::begin_anew(change, id, plan, from);
    for goal in undone.iter().filter(|s| begun.contains(&s.id)).filter_map(|s| s.goal.as_ref()) {
        goals::unmeet(change, id, goal, GoalState::Open);
    }
    // One that waits to be called is.
    if plan.step(from).is_some_and(|step| step.only_called) {
        goals::call_step(change, id, from);
    }
}
