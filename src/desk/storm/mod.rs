//! Storms: many new cases at once, which may have one cause, or be a mistake of ours.
//!
//! Whatever is about to act is counted ([`rate`]): for the playbooks that are about storms, and for each rule, whose own
//! `fleet_breaker` or the guard of the settings says how many are too many ([`find`]). When they are, one case is opened
//! for the storm and the others become its children ([`family`]): open, recorded, and held. From then on the storm decides
//! who is told and in which order ([`tiers`]), how fast ([`pace`]), and what came of it ([`told`]); it looks for what the
//! children have in common ([`cause`]), and lets them go when a person says so ([`release`]). The storm of a guard has no
//! tiers: it asks a person and waits.
//!
//! Nothing here looks at all children when one of them moves: the counts are kept in the row of the storm, who comes
//! next is the first of an index, the cause is looked for each time the storm has doubled.

mod cause;
mod facts;
mod family;
mod find;
mod pace;
mod rate;
mod release;
mod rows;
mod tiers;
mod told;
mod trucks;

pub(super) use facts::{context, count, fact, gated};
pub(super) use family::{Ways, holds, is_of_rule, leave, left, ways};
pub(super) use find::{admit, admit_again};
pub(super) use pace::{PaceRow, full_until, gate, rate, spend};
pub(super) use rate::RateRow;
pub(super) use release::{release, release_rule};
pub(super) use rows::{ChildRow, Progress, StormRow};
pub(super) use tiers::approve;
pub(super) use told::look;
pub(super) use trucks::reserve;

use super::change::Change;
use super::goals::{self, Wake};
use super::rows::CaseRow;
use super::{Desk, case};
use crate::domain::{CaseId, RuleId, ScriptId, Span};
use crate::playbook::Playbook;

/// Children let go in one look.
const MOST_RELEASED: usize = 50;
/// Between two such looks.
const RELEASE_PAUSE: Span = Span::from_millis(500);

/// A look at the case of a storm.
pub(super) fn drive(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) {
    let Some(row) = change.get::<StormRow>(&id) else { return };
    let over = row.children == 0;
    if row.released_by.is_some() {
        if over {
            return case::close(change, id, "released");
        }
        release::let_go(change, id, MOST_RELEASED);
        return wake.at(change.now + RELEASE_PAUSE);
    }
    let quiet_at = row.joined_at + plan.matches.storm.as_ref().map_or(Span::ZERO, |s| s.window);
    if over && (change.now >= quiet_at || row.is_guard()) {
        find::forget_rate(change, &row);
        return case::close(change, id, "over");
    }
    wake.at(Some(quiet_at).filter(|_| over));
    cause::look(change, id, plan);
    tiers::drive(change, id, plan, wake);
    meet_goals(change, id, plan);
    // So long nobody counts as the last one.
    let row = change.get::<StormRow>(&id);
    let idle = row.iter().flat_map(|r| &r.tiers).filter(|t| t.waiting == 0 && t.telling == 0).map(|t| t.quiet_at());
    wake.at(idle.filter(|at| *at > change.now).min());
}

/// The goals that the storm itself meets.
fn meet_goals(change: &mut Change<'_>, id: CaseId, plan: &Playbook) {
    let (Some(row), Some(case)) = (change.get::<StormRow>(&id), change.get::<CaseRow>(&id)) else { return };
    for goal in case.goals.iter().filter(|g| !g.state.is_settled()) {
        let by = match goal.name.as_str() {
            "cause_named" => row.cause.as_ref().map(|c| c.text.clone()),
            "all_informed" => row.tiers.iter().all(|t| t.is_done(change.now)).then(|| "all tiers".to_owned()),
            name => {
                let nth = name.strip_prefix("tier").and_then(|n| n.strip_suffix("_informed"));
                let tier = nth.and_then(|n| n.parse::<usize>().ok()).and_then(|n| row.tiers.get(n.wrapping_sub(1)));
                tier.filter(|t| t.is_done(change.now)).map(|t| format!("{} told", t.told))
            }
        };
        let own = plan.storm.as_ref().is_some_and(|s| s.meets(goal.name.as_str()));
        if let Some(by) = by.filter(|_| own) {
            goals::meet(change, id, &goal.name, &by);
        }
    }
}

/// From now on, the people of its children are told this.
pub(super) fn say(change: &mut Change<'_>, id: CaseId, script: &ScriptId) {
    rows::edit(change, id, |row| row.script = Some(script.clone()));
}

/// A case is closed: if it was that of a storm, nothing is left of it but what the case tells.
pub(super) fn closed(change: &mut Change<'_>, id: CaseId) {
    let Some(row) = change.get::<StormRow>(&id) else { return };
    for tier in 0..u8::try_from(row.tiers.len()).unwrap_or(u8::MAX) {
        for (key, _) in change.base.rows.paces.range((id, tier, 0)..=(id, tier, u8::MAX)) {
            change.delete::<PaceRow>(*key);
        }
    }
    change.delete::<StormRow>(id);
}

/// Whether the case is one of a storm that is not over.
pub(super) fn keeps_open(change: &Change<'_>, id: CaseId) -> bool {
    change.get::<StormRow>(&id).is_some()
}

impl Desk {
    /// Why a further case of a rule would be held by the guard of the rule, for people.
    pub(super) fn held_by_guard(&self, rule: &RuleId, group: &str) -> Option<&str> {
        let rate = self.state.rows.rates.get(&(find::rate_of(rule), group.to_owned()))?;
        Some(self.state.rows.storms.get(&rate.storm?)?.why.as_str())
    }

    /// What a child of a storm waits for, for people.
    pub(super) fn child_waits_for(&self, id: &CaseId, storm: &CaseId) -> String {
        let Some(row) = self.state.rows.storms.get(storm) else { return "the end of its storm".to_owned() };
        if let Some(rule) = &row.rule {
            return format!("a person ({}): forewarn case release-rule {rule}", row.why);
        }
        let tier = self.state.rows.children.get(id).and_then(|child| {
            let plan = self.state.rows.cases.get(storm).and_then(|case| self.plan_of(case))?;
            Some(plan.storm.as_ref()?.tiers.get(usize::from(child.tier))?.id.clone())
        });
        let tier = tier.map_or_else(String::new, |tier| format!(" (tier {tier})"));
        format!("the storm of case {}{tier}; a person ends it: forewarn case release {}", storm.short(), storm.short())
    }
}
