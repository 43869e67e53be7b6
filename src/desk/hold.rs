//! Held cases: open and recorded, and nothing is done yet, because another device may be the cause or because they are
//! too many at once. Whatever ends a hold, the plan then runs as if the case had just been opened.
//!
//! One thing does not wait: people in danger are told. The `reach` steps of a safety playbook run while the case is held,
//! unless its device is known to stand still; once they have begun, the plan also undoes what it said by its `[[cancel]]`.

use super::change::Change;
use super::facts::family;
use super::goals::Wake;
use super::rows::{CaseRow, FactsRow, HoldRow, Settling, Why};
use super::{Desk, TimelineKind, case, dispatch, merge, storm};
use crate::domain::{At, CaseId, Change as What, Detection, DeviceId, Span, Value};
use crate::playbook::{Playbook, Step, Verb};

/// How long a case waits for its parent device to fail too: a gateway that dies is noticed by its own silence, at about
/// the time at which its devices are, not before.
pub(super) const SETTLING: Span = Span::from_mins(2);
/// Parents of parents that are followed.
const MAX_DEPTH: usize = 8;

/// The outcome of a case whose fault went away before anything was done.
pub(super) const CLEARED: &str = "cleared_while_held";
const EXPLAINED: &str = "explained_by_parent";

/// How much of its plan a case may carry out: a set of verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave(u32);

/// Bits that are no verbs.
const WARN: u32 = 1 << 31;
const ANNOUNCE: u32 = 1 << 30;

impl Leave {
    pub(super) const ALL: Self = Self(u32::MAX);
    pub(super) const NOTHING: Self = Self(0);

    /// These verbs, as written in playbooks.
    pub(super) fn of<'a>(verbs: impl IntoIterator<Item = &'a str>) -> Self {
        let bit = |verb: &str| Verb::NAMES.iter().position(|name| *name == verb).map_or(0, |ix| 1 << ix);
        Self(verbs.into_iter().map(bit).fold(0, |all, one| all | one))
    }

    pub(super) fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Of these verbs, those only.
    pub(super) fn only(self, those: Self) -> Self {
        Self(self.0 & those.0)
    }

    /// Tell people that they are in danger, besides what else is allowed.
    pub(super) fn and_warn(self) -> Self {
        Self(self.0 | WARN)
    }

    /// Tell people what is no step of the plan, besides what else is allowed.
    pub(super) fn and_announce(self) -> Self {
        Self(self.0 | ANNOUNCE)
    }

    pub(super) fn allows(self, plan: &Playbook, step: &Step) -> bool {
        self.0 & Self::of([step.verb.name()]).0 != 0 || self.0 & WARN != 0 && step.warns(plan.policy.purpose)
    }
}

/// How much of its plan the case may carry out now. Looks whether a hold is over.
pub(super) fn leave(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) -> Leave {
    if !holds(change, id, wake) {
        return Leave::ALL;
    }
    let Some(case) = change.get::<CaseRow>(&id).filter(CaseRow::is_open) else { return Leave::NOTHING };
    let warns = warns(change, id, &case, plan);
    // A truck that was asked for is looked after, whatever becomes of the rest; so is the next one if it does not come.
    let coming = change.jobs(id).iter().any(|(_, job)| !job.unwanted && !dispatch::is_over(change, job));
    let coming = coming || dispatch::is_looking(change, id, plan);
    let least = if coming { Leave::of(["dispatch"]) } else { Leave::NOTHING };
    match change.get::<HoldRow>(&id).map(|row| row.why) {
        Some(Why::Storm(storm)) => storm::leave(change, id, storm, warns, least),
        Some(Why::Parent(_)) if warns => least.and_warn(),
        Some(Why::Parent(_)) => least,
        None => Leave::ALL,
    }
}

/// Whether people are to be told although the case is held.
fn warns(change: &Change<'_>, id: CaseId, case: &CaseRow, plan: &Playbook) -> bool {
    let begun = || !change.steps(id).is_empty();
    plan.steps.iter().any(|step| step.warns(plan.policy.purpose))
        && (begun() || case.cleared_at.is_none() && !stands(change, &case.device))
}

/// Whether the device has said that it does not move.
pub(super) fn stands(change: &Change<'_>, device: &DeviceId) -> bool {
    let facts = change.get::<FactsRow>(device);
    facts.is_some_and(|facts| facts.values.get("speed").and_then(Value::as_num) == Some(0.0))
}

/// A case was opened: may it act?
pub(super) fn begin(change: &mut Change<'_>, id: CaseId, d: &Detection) {
    let Some(parent) = parent_of(change, d) else {
        if !merge::joins(change, id) {
            storm::admit(change, id, &d.rule);
        }
        return;
    };
    let text = format!("held for {SETTLING}: its parent {parent} may be the cause");
    let settling = Settling { parent, until_at: change.now + SETTLING, case: None, explained: false, merged: false };
    change.put(id, HoldRow { rule: d.rule.clone(), why: Why::Parent(settling) });
    change.say(id, TimelineKind::Decided, text, None);
}

/// The device that the registry names as the parent of the detection's.
fn parent_of(change: &Change<'_>, d: &Detection) -> Option<DeviceId> {
    let attribute = change.config.guards.get(&d.rule)?.parent.as_deref()?;
    let parent = change.config.registry.devices.get(&d.device)?.attribute(attribute)?;
    (!parent.is_empty() && parent != d.device.as_str()).then(|| parent.into())
}

/// A further detection for an open case: what holds back one rule does not hold back another.
pub(super) fn joined(change: &mut Change<'_>, id: CaseId, d: &Detection) {
    // A storm that a playbook is about counts cases of a fault, whichever rule has found them.
    let other = change.get::<HoldRow>(&id).is_some_and(|row| match row.why {
        Why::Storm(storm) => row.rule != d.rule && storm::is_of_rule(change, storm),
        Why::Parent(_) => row.rule != d.rule,
    });
    if other && d.change == What::Raised {
        go_on(change, id, &format!("rule {} has found the fault too", d.rule));
        begin(change, id, d);
    }
}

/// The open case that a held one is part of: its storm, or the case of its parent.
pub(super) fn part_of(change: &Change<'_>, id: CaseId) -> Option<CaseId> {
    match change.get::<HoldRow>(&id)?.why {
        Why::Storm(storm) => Some(storm),
        Why::Parent(settling) => settling.case,
    }
}

/// The open case that it was made part of after its own steps had begun.
pub(super) fn merged_into(change: &Change<'_>, id: CaseId) -> Option<CaseId> {
    match change.get::<HoldRow>(&id)?.why {
        Why::Parent(settling) if settling.merged => settling.case,
        _ => None,
    }
}

pub(super) fn is_held(change: &Change<'_>, id: CaseId) -> bool {
    change.get::<HoldRow>(&id).is_some()
}

/// Whether the case has to wait, or is over without having done anything.
fn holds(change: &mut Change<'_>, id: CaseId, wake: &mut Wake) -> bool {
    let Some(HoldRow { rule, why }) = change.get::<HoldRow>(&id) else { return false };
    match why {
        Why::Storm(storm) => storm::holds(change, id, storm),
        Why::Parent(settling) => {
            let settling = look_at_parent(change, id, settling);
            let outcome = if settling.explained { EXPLAINED } else { CLEARED };
            if close_if_cleared(change, id, outcome) || settling.case.is_some() {
                return true;
            }
            if change.now < settling.until_at {
                wake.at(settling.until_at);
                return true;
            }
            go_on(change, id, &format!("its parent {} has no such fault: the case goes on", settling.parent));
            // Whoever was merged into another case was counted before that.
            if settling.merged { storm::admit_again(change, id, &rule) } else { storm::admit(change, id, &rule) }
        }
    }
}

/// Follows the case of the parent: attached while it is open. When it ends, the child has the same time again in which
/// its own fault may end.
fn look_at_parent(change: &mut Change<'_>, id: CaseId, old: Settling) -> Settling {
    let found = explaining(change, id, &old);
    if found == old.case {
        return old;
    }
    let parent = &old.parent;
    let text = match found {
        Some(case) => format!("explained by case {} of its parent {parent}; its own steps are held", case.short()),
        None => format!("the case of its parent {parent} is closed; it goes on if the fault is there in {SETTLING}"),
    };
    change.say(id, TimelineKind::Decided, text, None);
    let new = Settling { until_at: change.now + SETTLING, case: found, explained: true, ..old };
    if let Some(row) = change.get::<HoldRow>(&id) {
        change.put(id, HoldRow { why: Why::Parent(new.clone()), ..row });
    }
    new
}

/// The open case of the parent with a fault of the same family that does not itself wait for this one.
fn explaining(change: &Change<'_>, id: CaseId, settling: &Settling) -> Option<CaseId> {
    let fault = change.get::<CaseRow>(&id)?.fault;
    let fits = |other: &CaseId| {
        let same = |c: CaseRow| c.is_open() && family(c.fault.as_str()) == family(fault.as_str());
        change.get::<CaseRow>(other).is_some_and(same) && !waits_for(change, *other, id)
    };
    let open = change.base.open_by_device.get(&settling.parent);
    let merged = |id: &CaseId| settling.merged && change.get::<CaseRow>(id).is_some_and(|c| c.is_open());
    settling.case.filter(|id| merged(id) || fits(id)).or_else(|| open.into_iter().flatten().copied().find(fits))
}

pub(super) fn waits_for(change: &Change<'_>, from: CaseId, to: CaseId) -> bool {
    let mut at = from;
    for _ in 0..MAX_DEPTH {
        match change.get::<HoldRow>(&at).map(|row| row.why) {
            _ if at == to => return true,
            Some(Why::Parent(Settling { case: Some(next), .. })) => at = next,
            _ => return false,
        }
    }
    true
}

/// Ends a hold: the promises count from now.
pub(super) fn go_on(change: &mut Change<'_>, id: CaseId, why: &str) {
    end(change, id);
    if let Some(mut row) = change.get::<CaseRow>(&id) {
        row.react_by_at = Some(change.now + change.config.settings.reaction).filter(|_| row.human_owner.is_none());
        change.put(id, row);
    }
    change.say(id, TimelineKind::Decided, why, None);
}

/// Without a word, if nobody was told anything. Otherwise its plan knows how to undo that.
pub(super) fn close_if_cleared(change: &mut Change<'_>, id: CaseId, outcome: &str) -> bool {
    let cleared = change.get::<CaseRow>(&id).is_some_and(|c| c.cleared_at.is_some()) && change.steps(id).is_empty();
    if cleared {
        case::close(change, id, outcome);
    }
    cleared
}

/// A case was closed: it is held no longer, and what it explained looks again.
pub(super) fn closed(change: &mut Change<'_>, id: CaseId) {
    end(change, id);
    let explains = |change: &Change<'_>, child: &CaseId| {
        let why = change.get::<HoldRow>(child).map(|row| row.why);
        matches!(why, Some(Why::Parent(s)) if s.case == Some(id))
    };
    for child in change.base.explained.get(&id).cloned().unwrap_or_default() {
        if explains(change, &child) {
            look_again(change, child);
        }
    }
}

fn end(change: &mut Change<'_>, id: CaseId) {
    let Some(HoldRow { why, .. }) = change.get::<HoldRow>(&id) else { return };
    change.delete::<HoldRow>(id);
    match why {
        Why::Storm(storm) => storm::left(change, id, storm),
        Why::Parent(Settling { merged: true, case: Some(parent), .. }) => merge::left(change, id, parent),
        Why::Parent(_) => {}
    }
}

/// Has the case looked at soon, in a step of its own: there may be thousands.
pub(super) fn look_again(change: &mut Change<'_>, id: CaseId) {
    if let Some(mut row) = change.get::<CaseRow>(&id) {
        row.wake_at = Some(change.now);
        change.put(id, row);
    }
}

impl Desk {
    /// Until when a case is held, if time alone ends that.
    pub(super) fn held_until(&self, id: &CaseId) -> Option<At> {
        match &self.state.rows.holds.get(id)?.why {
            Why::Parent(settling) if settling.case.is_none() => Some(settling.until_at),
            _ => None,
        }
    }

    /// Why a case is held, for people.
    pub(super) fn waits_for(&self, id: &CaseId) -> Option<String> {
        let row = self.state.rows.holds.get(id)?;
        Some(match &row.why {
            Why::Parent(Settling { parent, case: Some(case), .. }) => {
                format!("the end of case {} of its parent {parent}, which explains it", case.short())
            }
            Why::Parent(Settling { parent, until_at, .. }) => {
                format!("news of its parent {parent}, until {until_at}")
            }
            Why::Storm(storm) => self.child_waits_for(id, storm),
        })
    }
}
