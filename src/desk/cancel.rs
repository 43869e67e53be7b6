//! Backing out: the fault has gone by itself, or somebody says that all is well.

use super::change::Change;
use super::goals::{self, Wake};
use super::rows::{CaseRow, GoalState, StepRow, StepState, TicketRow};
use super::{Reply, TimelineKind, book, case, dispatch, outcome, pages, reach, storm, talk};
use crate::domain::{CaseId, StepId, Truth};
use crate::playbook::{Compensation, Held, Mirror, Playbook};

/// Looks whether one of the `[[cancel]]` conditions has become true.
pub(super) fn watch(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) {
    let Some(mut case) = change.get::<CaseRow>(&id).filter(|c| c.backing_out.is_none()) else { return };
    if talk::is_after_end(change, id) {
        return;
    }
    let mut held = case.cancel_held.clone();
    held.resize(plan.cancels.len(), Held::default());
    let mut fired = None;
    for (index, (cancel, held)) in plan.cancels.iter().zip(&mut held).enumerate() {
        let (truth, at) = goals::truth(change, id, &case, &cancel.when, held);
        wake.at(at);
        if truth == Some(true) && fired.is_none() {
            fired = Some(index);
        }
    }
    if held != case.cancel_held {
        case.cancel_held = held;
        change.put(id, case);
    }
    if let Some(index) = fired {
        let cancel = &plan.cancels[index];
        back_out(change, id, &cancel.actions, &cancel.when.text);
    }
}

/// The person called says that all is well.
pub(super) fn all_is_well(change: &mut Change<'_>, id: CaseId, reason: &str) {
    outcome::presumed(change, id, Truth::CustomerDenied, "customer");
    undo(change, id, reason);
}

/// A person of ours says that there was nothing: what is arranged is taken back, and who was told hears of it. An
/// appointment that has outlived its case is taken back, too.
pub(super) fn false_alarm(change: &mut Change<'_>, id: CaseId, actor: &str, reason: &str) -> Reply {
    let Some(case) = change.get::<CaseRow>(&id) else { return Reply::NotFound };
    if !case.is_open() && !book::is_live(change, id) {
        return Reply::Refused("the case is closed already, and nothing is arranged any more".to_owned());
    }
    if storm::keeps_open(change, id) {
        return storm::release(change, id, actor);
    }
    let by = format!("api:{actor}");
    change.because(&by, "a false alarm, says a person");
    let reason: String = reason.chars().take(500).collect();
    let words = change.quote(id, TimelineKind::Decided, format!("{actor} says that it is a false alarm"), &reason);
    change.note(id, Mirror::Note, &format!("{actor} says that it is a false alarm: {words}"));
    outcome::presumed(change, id, Truth::NoFaultFound, &by);
    let why = "a person says that it is a false alarm";
    if case.is_open() {
        undo(change, id, why)
    } else {
        book::cancel_all(change, id, why)
    }
    Reply::Done
}

/// Undoes everything that the playbook knows how to undo.
fn undo(change: &mut Change<'_>, id: CaseId, reason: &str) {
    let plan = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c));
    let mut actions: Vec<Compensation> = Vec::new();
    for action in plan.iter().flat_map(|p| &p.cancels).flat_map(|c| &c.actions) {
        // A note about the condition is not true of this occasion.
        if !actions.contains(action) && !matches!(action, Compensation::TicketNote(_)) {
            actions.push(action.clone());
        }
    }
    back_out(change, id, &actions, reason);
}

fn back_out(change: &mut Change<'_>, id: CaseId, actions: &[Compensation], reason: &str) {
    let Some(mut case) = change.get::<CaseRow>(&id).filter(|c| c.is_open() && c.backing_out.is_none()) else { return };
    case.backing_out = Some(reason.to_owned());
    case.react_by_at = None;
    for goal in case.goals.iter_mut().filter(|g| !g.state.is_settled()) {
        goal.state = GoalState::Waived;
    }
    change.put(id, case);
    change.say(id, TimelineKind::Decided, format!("backing out: {reason}"), None);
    change.note(id, Mirror::Note, "What was arranged is being taken back.");
    for (step, mut row) in change.steps(id) {
        if row.state.is_live() {
            row.state = StepState::Cancelled;
            change.put((id, step), row);
        }
    }
    pages::acknowledge(change, id, "backing out");
    case::drop_waiting(change, id);
    for (index, action) in actions.iter().enumerate() {
        match action {
            Compensation::DispatchCancel(step) => dispatch::cancel_step(change, id, step),
            // Whoever has heard of nothing need not hear that it is over.
            Compensation::Reach { role, script } if reach::has_begun(change, id) => {
                let name = format!("undo {index}");
                reach::announce(change, id, &name, role, script.as_str(), true);
            }
            Compensation::Reach { .. } => {}
            Compensation::BookCancel(step) => book::cancel_step(change, id, step, reason),
            Compensation::TicketNote(text) => super::ticket::note(change, id, text),
        }
    }
    // Whatever was asked for is taken back, whether the playbook thought of it or not.
    for (_, job) in change.jobs(id) {
        dispatch::cancel_step(change, id, &job.step);
    }
    book::cancel_all(change, id, reason);
}

/// Whether everything that was to be undone is undone, or a person knows that it is not.
pub(super) fn is_finished(change: &Change<'_>, id: CaseId) -> bool {
    let jobs_done = change.jobs(id).iter().all(|(_, j)| dispatch::is_over(change, j));
    let told = change.steps(id).iter().all(|(_, s): &(StepId, StepRow)| !s.state.is_live());
    let noted = change.of_case::<TicketRow, _>(id, StepId::from("")).iter().all(|(_, t)| t.note.is_none());
    jobs_done && book::is_settled(change, id) && told && noted
}
