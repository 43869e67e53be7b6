//! Until when a goal is promised: the deadline of the step that proves it.

use super::command::GUARD_PATIENCE;
use super::rows::{StepRow, StepState};
use super::state::State;
use crate::domain::{At, CaseId, GoalName};
use crate::playbook::{Playbook, Verb, Via};

/// `None` before the step has started, and for steps of people, who are asked again and again instead.
pub(super) fn of_goal(state: &State, id: CaseId, plan: &Playbook, goal: &GoalName) -> Option<At> {
    let running = |step: &crate::playbook::Step| {
        let row = state.rows.steps.get(&(id, step.id.clone()))?;
        (row.state != StepState::Waiting).then(|| of_step(state, &step.verb, row)).flatten()
    };
    plan.steps.iter().filter(|s| s.goal.as_ref() == Some(goal)).find_map(running)
}

fn of_step(state: &State, verb: &Verb, row: &StepRow) -> Option<At> {
    let effect = row.effect.and_then(|e| state.rows.effects.get(&e)).map(|e| e.delivery.limit_at);
    match verb {
        // From then on a person is asked.
        Verb::Reach(r) => {
            let human = r.ladder.iter().find(|rung| matches!(rung.via, Via::Human(_)));
            human.map(|rung| row.started_at + rung.at).or(row.deadline_at)
        }
        Verb::Dispatch(_) | Verb::Ticket(_) | Verb::Webhook(_) => effect,
        Verb::Command(_) => row.deadline_at.or(effect).or(Some(row.started_at + GUARD_PATIENCE)),
        Verb::WaitFor(w) => row.deadline_at.or(Some(row.started_at + w.within.span)),
        Verb::Correlate(c) => Some(row.started_at + c.window),
        // Until then times are kept; what comes after that is another appointment.
        Verb::Human(_) | Verb::Hold(_) | Verb::Book(_) | Verb::Survey(_) => None,
    }
}
