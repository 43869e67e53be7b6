//! `webhook`: tell a system of ours, once; it knows repetitions by the id of the effect.

use super::change::Change;
use super::goals;
use super::plan::Effect;
use super::rows::{EffectRow, StepRow, StepState};
use crate::domain::CaseId;
use crate::outbox::{Kind, State};
use crate::playbook::{Step, Verb, Webhook};

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

/// Whether `step` tells a system of ours something that it knows, or may know: it is not told a second time.
pub(super) fn may_be_told(change: &Change<'_>, id: CaseId, step: &Step) -> bool {
    let row = change.get::<StepRow>(&(id, step.id.clone())).filter(|_| matches!(step.verb, Verb::Webhook(_)));
    let effect = |row: &StepRow| row.effect.and_then(|e| change.get::<EffectRow>(&e)).map(|e| e.delivery);
    row.is_some_and(|row| {
        let sent = effect(&row)
            .is_some_and(|d| d.first_sent_at.is_some() && !matches!(d.state, State::Rejected | State::Failed));
        row.state == StepState::Done || sent
    })
}
