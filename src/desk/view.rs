//! Cases for reading.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::rows::{AnyRow, CaseRow, GoalState, JobRow, LineRow};
use super::{CaseSummary, CaseView, Desk, EffectView, GoalView, Record, TimelineEntry, deadline, goals, talk};
use crate::domain::{CaseId, EffectId};
use crate::playbook::Playbook;

impl Desk {
    /// The newest cases first, at most `limit`; with `closed`, those of the last days too.
    #[must_use]
    pub fn list(&self, closed: bool, limit: usize) -> Vec<CaseSummary> {
        let mut cases: Vec<(&CaseId, &CaseRow)> =
            self.state.rows.cases.iter().filter(|(_, c)| closed || c.is_open()).collect();
        cases.sort_by(|a, b| b.1.opened_at.cmp(&a.1.opened_at).then(a.0.cmp(b.0)));
        cases.into_iter().take(limit).map(|(id, row)| self.summary(id, row)).collect()
    }

    /// One case with everything that was measured, decided, said and answered.
    #[must_use]
    pub fn show(&self, id: &CaseId) -> Option<CaseView> {
        let row = self.state.rows.cases.get(id)?;
        let timeline = self.state.rows.timeline.range((*id, 0)..=(*id, u32::MAX)).map(|(_, line)| self.entry(line));
        let plan = self.plan_of(row);
        let goals = row.goals.iter().map(|g| GoalView {
            name: g.name.to_string(),
            state: g.state.as_str().to_owned(),
            met_by: g.met_by.clone(),
            deadline_at: plan.and_then(|p| deadline::of_goal(&self.state, *id, p, &g.name)),
        });
        Some(CaseView {
            summary: self.summary(id, row),
            key: row.key.clone(),
            playbook: format!("{} version {}", row.playbook, row.version),
            human_owner: row.human_owner.clone(),
            waits_for: self.waits_for(id),
            goals: goals.collect(),
            effects: self.effects_of(id).filter_map(|e| self.effect_view(&e)).collect(),
            waits: self.waits(id, row),
            history: self.history(id, row),
            conversation: self.conversation(id),
            timeline: timeline.collect(),
        })
    }

    /// The cases of which an applied record changes what a view shows.
    #[must_use]
    pub fn changed(&self, record: &Record) -> BTreeSet<CaseId> {
        let of = |key: &[u8]| match AnyRow::decode(key, None).ok()? {
            AnyRow::cases(id, _) | AnyRow::holds(id, _) => Some(id),
            AnyRow::steps((id, _), _) => Some(id),
            AnyRow::timeline((id, _), _) => Some(id),
            AnyRow::effects(effect, _) | AnyRow::jobs(effect, _) => self.case_of(&effect),
            _ => None,
        };
        record.changes.iter().filter_map(|(key, _)| of(key)).collect()
    }

    fn entry(&self, line: &LineRow) -> TimelineEntry {
        let words =
            line.words.as_ref().map(|sealed| self.config.keys.open(sealed).unwrap_or_else(|| talk::ERASED.to_owned()));
        let text = words.map_or_else(|| line.text.clone(), |words: String| format!("{}: {words}", line.text));
        TimelineEntry { at: line.at, kind: line.kind, text, effect: line.effect }
    }

    /// The case that an effect belongs to.
    #[must_use]
    pub fn case_of(&self, effect: &EffectId) -> Option<CaseId> {
        self.state.rows.effects.get(effect).map(|row| row.case)
    }

    /// The case whose id begins with `prefix` (hexadecimal), if it is exactly one.
    #[must_use]
    pub fn find(&self, prefix: &str) -> Option<CaseId> {
        let prefix = prefix.to_ascii_lowercase();
        if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let lowest: CaseId = format!("{prefix:0<32}").parse().ok()?;
        let mut found = self.state.rows.cases.range((Bound::Included(lowest), Bound::Unbounded)).map(|(id, _)| *id);
        let first = found.next().filter(|id| id.to_string().starts_with(&prefix))?;
        found.next().is_none_or(|id| !id.to_string().starts_with(&prefix)).then_some(first)
    }

    pub(super) fn effects_of(&self, id: &CaseId) -> impl Iterator<Item = EffectId> + '_ {
        self.state.effects_by_case.get(id).into_iter().flatten().copied()
    }

    pub(super) fn plan_of(&self, row: &CaseRow) -> Option<&Playbook> {
        let current = self.config.playbooks.iter().find(|p| p.hash == row.plan);
        current.or_else(|| self.state.plans.get(&row.plan)).map(|p| &**p)
    }

    pub(super) fn summary(&self, id: &CaseId, row: &CaseRow) -> CaseSummary {
        let jobs: Vec<&JobRow> =
            self.state.jobs_by_case.get(id).into_iter().flatten().filter_map(|j| self.state.rows.jobs.get(j)).collect();
        let started = self.state.effects_by_case.contains_key(id);
        CaseSummary {
            id: *id,
            short: id.short(),
            device: row.device.to_string(),
            fault: row.fault.to_string(),
            severity: row.severity,
            phase: goals::phase(row, self.plan_of(row), &jobs, started).to_owned(),
            title: row.title.clone(),
            event_at: row.event_at,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            outcome: row.outcome.clone(),
            goals_met: (row.goals.iter().filter(|g| g.state == GoalState::Met).count(), row.goals.len()),
        }
    }

    fn effect_view(&self, id: &EffectId) -> Option<EffectView> {
        let row = self.state.rows.effects.get(id)?;
        let d = &row.delivery;
        let waiting = d.state.is_waiting();
        Some(EffectView {
            id: *id,
            step: row.step.to_string(),
            kind: d.kind.as_str().to_owned(),
            adapter: row.adapter.to_string(),
            state: d.state.as_str().to_owned(),
            attempts: d.attempt,
            provider_ref: d.provider_ref.clone(),
            waits_for: row.waits_for.clone().or_else(|| d.reason.clone().filter(|_| waiting)),
            not_before_at: waiting.then_some(d.not_before_at),
            possible_duplicate: d.possible_duplicate,
        })
    }
}
