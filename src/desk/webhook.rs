//! `webhook`: tell a system of ours, once; it knows repetitions by the id of the effect.

use super::change::Change;
use super::goals;
use super::plan::Effect;
use super::rows::{EffectRow, StepRow, StepState};
use crate::domain::CaseId;
use crate::outbox::Kind;
use crate::playbook::{Step, Webhook};

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, w: &Webhook, mut row: StepRow) {
    let Some(effect) = row.effect else {
        row.effect =
            Some(Effect::new(change, Kind::Webhook, &w.provider, &step.id, row.again.to_string()).plan(change, id));
        return change.put((id, step.id.clone()), row);
    };
    let Some(e) = change.get::<EffectRow>(&effect) else { return };
    if e.delivery.state.is_taken() {
        return goals::done(change, id, &step.id, row, step.goal.as_ref(), w.provider.as_str());
    }
    if e.delivery.state.is_lost() {
        row.state = StepState::Failed;
        change.put((id, step.id.clone()), row);
        let why = e.delivery.reason.unwrap_or_else(|| "no answer".to_owned());
        goals::page_default(change, id, &format!("{} was not told: {why} (step {})", w.provider, step.id));
    }
}
