//! Mails that come back, after a server had taken them: whoever they were for has heard nothing, whatever was taken for a
//! proof. The ladder goes on; where there is none that could, a person is asked.

use super::change::Change;
use super::rows::{CaseRow, EffectRow, GoalState, StepRow, StepState, Target};
use super::{bundle, goals, news, notes, reach, survey};
use crate::domain::Receipt;
use crate::outbox::{Event, State};

pub(super) fn came_back(change: &mut Change<'_>, receipt: &Receipt, mut row: EffectRow) {
    // It is known already, or somebody has answered it.
    if row.delivery.state.proof() >= State::Failed.proof() {
        return;
    }
    row.delivery.reason = Some("it came back undelivered".to_owned());
    change.put(receipt.effect, row.clone());
    news::happened(change, receipt.effect, &Event::Receipt(receipt));
    for (_, row) in bundle::all(change, receipt.effect, &row) {
        told_nobody(change, &row);
    }
}

fn told_nobody(change: &mut Change<'_>, row: &EffectRow) {
    // People of ours and workshops are followed by the next ones, a survey goes another way.
    if !matches!(row.target, Target::Customer { .. }) || survey::asks(change, row) {
        return;
    }
    let (case, step) = (row.case, &row.step);
    let open = change.get::<CaseRow>(&case).is_some_and(|c| c.is_open() && c.backing_out.is_none());
    let reach = reach::of(change, case, step).filter(|_| open);
    match (reach, change.get::<StepRow>(&(case, step.clone()))) {
        // It looks by itself.
        (Some(_), Some(s)) if s.state == StepState::Running => {}
        (Some(reach), Some(s)) if s.state == StepState::Done => {
            if reach::proof(change, case, step, &reach, &s).is_none() {
                change.put((case, step.clone()), StepRow { state: StepState::Running, ..s });
                change.touched.insert(case);
                let plan = change.get::<CaseRow>(&case).and_then(|c| change.plan(&c));
                if let Some(goal) = plan.as_ref().and_then(|p| p.step(step)).and_then(|s| s.goal.as_ref()) {
                    goals::unmeet(change, case, goal, GoalState::Open);
                }
            }
        }
        _ => {
            let text = format!("an e-mail to {} has come back undelivered (step {step})", notes::whom(change, row));
            goals::page_default(change, case, &text);
        }
    }
}
