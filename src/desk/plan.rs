//! Planning an effect: the row that a claim will find.

use super::change::Change;
use super::rows::{CaseRow, EffectRow, Target};
use crate::domain::{AdapterName, At, CaseId, EffectId, Purpose, ScriptId, Span, StepId};
use crate::outbox::{Delivery, Kind};

/// What an effect is to do.
pub(super) struct Effect {
    pub(super) kind: Kind,
    pub(super) adapter: AdapterName,
    pub(super) step: StepId,
    pub(super) target: Target,
    pub(super) script: Option<ScriptId>,
    pub(super) text: Option<String>,
    pub(super) about: Option<String>,
    pub(super) parent: Option<EffectId>,
    pub(super) compensation: bool,
    /// Not sent before.
    pub(super) at: At,
    /// Not tried after; `None`: as in the settings.
    pub(super) limit_at: Option<At>,
    pub(super) ring: Option<Span>,
    /// An earlier one may have arrived.
    pub(super) doubt: bool,
    /// Makes the effect different from others planned in the same millisecond.
    pub(super) salt: String,
}

impl Effect {
    pub(super) fn new(change: &Change<'_>, kind: Kind, adapter: &AdapterName, step: &StepId, salt: String) -> Self {
        Self {
            kind,
            adapter: adapter.clone(),
            step: step.clone(),
            target: Target::Nobody,
            script: None,
            text: None,
            about: None,
            parent: None,
            compensation: false,
            at: change.now,
            limit_at: None,
            ring: None,
            doubt: false,
            salt,
        }
    }

    /// Writes the row.
    pub(super) fn plan(self, change: &mut Change<'_>, id: CaseId) -> EffectId {
        let now = change.now;
        let case = change.get::<CaseRow>(&id);
        let page = matches!(self.target, Target::Person { .. });
        let plan = case.as_ref().and_then(|c| change.plan(c));
        let own = plan.as_ref().and_then(|p| p.step(&self.step)?.purpose);
        let purpose = own.unwrap_or(plan.map_or(Purpose::Service, |p| p.policy.purpose));
        // Paging our own people is never a question of consent.
        let purpose = if page { Purpose::Safety } else { purpose };
        let run = case.map_or(1, |c| c.run);
        let parts: [&[u8]; 5] = [
            id.as_bytes(),
            &run.to_le_bytes(),
            self.step.as_str().as_bytes(),
            self.kind.as_str().as_bytes(),
            self.salt.as_bytes(),
        ];
        let effect = EffectId::of(now, &parts);
        debug_assert!(
            change.get::<EffectRow>(&effect).is_none(),
            "two effects of one name: {:?} {}",
            self.kind,
            self.salt
        );
        let limit_at = self.limit_at.unwrap_or(now + change.config.settings.effect_limit);
        let mut delivery = Delivery::new(self.kind, purpose, self.at, limit_at);
        delivery.possible_duplicate = self.doubt;
        if let Some(ring) = self.ring {
            delivery.ring = ring;
        }
        let row = EffectRow {
            case: id,
            step: self.step,
            adapter: self.adapter,
            delivery,
            target: self.target,
            script: self.script,
            compensation: self.compensation,
            planned_at: now,
            waits_for: None,
            text: self.text,
            about: self.about,
            parent: self.parent,
        };
        change.put(effect, row);
        effect
    }
}
