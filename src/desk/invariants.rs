//! What must never be, looked for after every step in tests and debug builds.

use super::Desk;
#[cfg(debug_assertions)]
use super::Record;
#[cfg(debug_assertions)]
use super::rows::AnyRow;
use super::rows::{CaseRow, GoalRow, GoalState, HoldRow, StepState, Why};
use crate::domain::{CaseId, StepId};
use crate::playbook::Step;

impl Desk {
    /// Looks at every case.
    ///
    /// # Errors
    /// The first invariant that does not hold, for people.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (id, case) in &self.state.rows.cases {
            self.check_case(id, case)?;
            self.check_timeline(id)?;
        }
        let in_flight = self.state.rows.effects.iter().filter(|(_, e)| e.delivery.state.is_in_flight()).count();
        if in_flight != self.state.in_flight.len() {
            return Err("the index of attempts in flight is wrong".to_owned());
        }
        for (id, ride) in &self.state.rows.rides {
            let delivery = |id| self.state.rows.effects.get(id).map(|e| &e.delivery);
            if delivery(id) != delivery(&ride.with) {
                return Err(format!("I3: message {id} does not stand where {} stands, which carries it", ride.with));
            }
        }
        for (device, cases) in &self.state.open_by_device {
            if cases.iter().any(|id| !self.state.rows.cases.get(id).is_some_and(|c| c.is_open() && c.device == *device))
            {
                return Err(format!("the index of open cases is wrong for {device}"));
            }
        }
        Ok(())
    }

    fn check_case(&self, id: &CaseId, case: &CaseRow) -> Result<(), String> {
        if case.is_open() && case.wake_at.is_none() {
            return Err(format!("I1: case {id} is open and nothing will ever wake it"));
        }
        if case.is_open() && case.backing_out.is_none() {
            self.check_goals(id, case)?;
        }
        if !case.is_open() {
            for effect in self.state.effects_by_case.get(id).into_iter().flatten() {
                let Some(row) = self.state.rows.effects.get(effect) else { continue };
                if row.delivery.state.is_waiting() && !row.compensation {
                    return Err(format!("I2: case {id} is closed and effect {effect} still waits to be sent"));
                }
            }
        }
        Ok(())
    }

    /// Each open goal has a step at work, a step that others at work may start, or a person who was asked.
    fn check_goals(&self, id: &CaseId, case: &CaseRow) -> Result<(), String> {
        if let Some(hold) = self.state.rows.holds.get(id) {
            return self.check_hold(id, hold);
        }
        let asked = self.is_asked(id);
        let Some(plan) = self.plan_of(case).filter(|_| !asked && case.human_owner.is_none()) else { return Ok(()) };
        let state = |step: &StepId| self.state.rows.steps.get(&(*id, step.clone())).map(|s| s.state);
        let at_work = |step: &Step| state(&step.id).is_some_and(StepState::is_live);
        let any_at_work = plan.steps.iter().any(at_work);
        let own = |goal: &GoalRow| plan.storm.as_ref().is_some_and(|s| s.meets(goal.name.as_str()));
        for goal in case.goals.iter().filter(|g| g.state == GoalState::Open && !own(g)) {
            let mut proofs = plan.steps.iter().filter(|s| s.goal.as_ref() == Some(&goal.name));
            if !proofs.any(|s| at_work(s) || (state(&s.id).is_none() && any_at_work)) {
                return Err(format!("I1: goal {} of case {id} is open and nothing and nobody works at it", goal.name));
            }
        }
        Ok(())
    }

    /// A held case has its wake-up, or a person was asked about the lot of them.
    fn check_hold(&self, id: &CaseId, hold: &HoldRow) -> Result<(), String> {
        let Why::Storm(storm) = &hold.why else { return Ok(()) };
        match self.state.rows.cases.get(storm) {
            Some(case) if case.is_open() && self.state.rows.storms.contains_key(storm) => Ok(()),
            // Its children look again, one after the other.
            _ if self.state.rows.cases.get(id).is_some_and(|c| c.wake_at.is_some()) => Ok(()),
            _ => Err(format!("I1: case {id} is held by a storm that there is not")),
        }
    }

    fn is_asked(&self, id: &CaseId) -> bool {
        self.state.rows.pages.range((*id, "".into())..).next().is_some_and(|((case, _), _)| case == id)
    }

    fn check_timeline(&self, id: &CaseId) -> Result<(), String> {
        let mut seen = std::collections::BTreeSet::new();
        for (_, line) in self.state.rows.timeline.range((*id, 0)..=(*id, u32::MAX)) {
            seen.extend(line.effect);
        }
        let unknown = seen.iter().find(|e| !self.state.rows.effects.contains_key(e));
        unknown.map_or(Ok(()), |e| Err(format!("the timeline of case {id} names effect {e}, which is not there")))
    }

    #[cfg(debug_assertions)]
    pub(super) fn check_invariants_of(&self, record: &Record) {
        // Decoding every row again would make debug builds slow.
        for (key, row) in record.changes.iter().filter(|(key, _)| key.first() == Some(&super::rows::CASE_TAG)) {
            if let Ok(AnyRow::cases(id, Some(_))) = AnyRow::decode(key, row.as_deref())
                && let Some(case) = self.state.rows.cases.get(&id)
            {
                let held = self.check_case(&id, case);
                debug_assert!(held.is_ok(), "{held:?}");
            }
        }
    }
}
