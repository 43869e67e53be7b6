//! `wait_for`: the telemetry, not the paperwork, says that it is over.

use super::book;
use super::change::Change;
use super::goals::{self, Wake};
use super::rows::{CaseRow, GoalState, StepRow};
use crate::domain::CaseId;
use crate::playbook::{Step, WaitFor};

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, w: &WaitFor, mut row: StepRow, wake: &mut Wake) {
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let (truth, at) = goals::truth(change, id, &case, &w.expect, &mut row.held);
    if truth == Some(true) {
        return goals::done(change, id, &step.id, row, step.goal.as_ref(), "telemetry");
    }
    wake.at(at);
    let deadline = w.within.ends_at(row.started_at, book::start_at(change, id));
    row.deadline_at = Some(deadline);
    let late = change.now >= deadline && !row.late;
    row.late |= late;
    if !row.late {
        wake.at(deadline);
    }
    change.put((id, step.id.clone()), row);
    if late {
        if let Some(goal) = &step.goal {
            goals::unmeet(change, id, goal, GoalState::Missed);
        }
        goals::react(
            change,
            id,
            &w.otherwise,
            &format!("not shown by the telemetry within {} (step {})", w.within, step.id),
        );
    }
}
