//! The cases of a storm: who becomes its child, what a child may do, and how it leaves.

use std::sync::Arc;

use super::super::TimelineKind;
use super::super::change::Change;
use super::super::facts::CaseFacts;
use super::super::hold::{self, Leave};
use super::super::rows::{CaseRow, FactsRow, HoldRow, Why};
use super::rows::{ChildRow, NO_TIER, Progress, StormRow, brings, edit, edit_tier};
use super::{cause, told};
use crate::domain::{CaseId, RuleId, ScriptId, Value};
use crate::playbook::{Held, Order, Playbook, Storm, Tier, Verb, Via};

/// A case that was open before: taken over from a guard, left with the parent device that explains it.
pub(super) fn adopt(change: &mut Change<'_>, storm: CaseId, id: CaseId) {
    if change.get::<StormRow>(&id).is_some() {
        return;
    }
    match change.get::<HoldRow>(&id) {
        Some(HoldRow { why: Why::Parent(_), .. }) => {}
        Some(HoldRow { rule, why: Why::Storm(old) }) => {
            leave_storm(change, old, id);
            join(change, storm, id, &rule);
        }
        None => {
            // The rule that opened it is not kept with a case; what other rules find is held back with it.
            join(change, storm, id, &RuleId::from(""));
        }
    }
}

/// The case becomes a child of the storm.
pub(super) fn join(change: &mut Change<'_>, storm: CaseId, id: CaseId, rule: &RuleId) {
    let (Some(case), Some(row)) = (change.get::<CaseRow>(&id), change.get::<StormRow>(&storm)) else { return };
    let late = u32::from(cause::is_late(change, &case));
    let spec = plan_of(change, storm);
    let spec = spec.as_ref().and_then(|p| p.storm.as_deref());
    let (tier, risk) = place(change, id, &case, spec);
    let child = ChildRow {
        storm,
        tier,
        risk,
        joined_at: change.now,
        customer: change.config.registry.people(&case.device, &told::readers()).next().map(|c| c.id.clone()),
        progress: Progress::Waiting,
        in_doubt: false,
        linked: false,
        truck: false,
        digest: None,
    };
    change.put(id, child);
    change.put(id, HoldRow { rule: rule.clone(), why: Why::Storm(storm) });
    let now = change.now;
    edit(change, storm, |row| {
        row.count += 1;
        row.children += 1;
        row.late += late;
        row.joined_at = now;
    });
    enter(change, storm, tier);
    told::before_its_turn(change, id);
    let text = match row.rule {
        Some(_) => format!("held until a person releases it: {}", row.why),
        None => format!("one of many, held by the storm of case {}", storm.short()),
    };
    change.say(id, TimelineKind::Decided, text, None);
    change.touched.insert(storm);
}

fn enter(change: &mut Change<'_>, storm: CaseId, tier: u8) {
    let now = change.now;
    edit_tier(change, storm, tier, |t| {
        t.waiting += 1;
        t.joined_at = now;
    });
}

/// Whether a guard of a rule has found it.
pub(in crate::desk) fn is_of_rule(change: &Change<'_>, storm: CaseId) -> bool {
    change.get::<StormRow>(&storm).is_some_and(|row| row.is_guard())
}

pub(super) fn plan_of(change: &Change<'_>, storm: CaseId) -> Option<Arc<Playbook>> {
    change.get::<CaseRow>(&storm).and_then(|case| change.plan(&case))
}

/// The tier that takes a child now, and how urgent it is there.
fn place(change: &Change<'_>, id: CaseId, case: &CaseRow, spec: Option<&Storm>) -> (u8, u32) {
    let facts = CaseFacts::new(change, id, case);
    let takes = |t: &Tier| t.when.evaluate(change.now, &facts, &mut Held::default()).truth == Some(true);
    let found = spec.and_then(|s| s.tiers.iter().enumerate().find(|(_, t)| takes(t)));
    match found {
        Some((ix, tier)) => {
            let risk = if tier.order == Order::Risk { risk(change, case) } else { 0 };
            (u8::try_from(ix).unwrap_or(NO_TIER), risk)
        }
        None => (NO_TIER, 0),
    }
}

/// Severity first, then speed, then confidence.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept in range first")]
fn risk(change: &Change<'_>, case: &CaseRow) -> u32 {
    let speed = change.get::<FactsRow>(&case.device).and_then(|f| f.values.get("speed").and_then(Value::as_num));
    let part = |value: f64| value.clamp(0.0, 999.0) as u32;
    case.severity as u32 * 1_000_000 + part(speed.unwrap_or(0.0)) * 1_000 + part(case.confidence * 999.0)
}

/// Whether a held child still is one. Brings it to the tier where it belongs by now.
pub(in crate::desk) fn holds(change: &mut Change<'_>, id: CaseId, storm: CaseId) -> bool {
    let (Some(row), Some(child)) = (change.get::<StormRow>(&storm), change.get::<ChildRow>(&id)) else {
        hold::go_on(change, id, "the storm is over: the case goes on");
        return false;
    };
    if hold::close_if_cleared(change, id, hold::CLEARED) {
        return true;
    }
    if child.progress == Progress::Released {
        let who = row.released_by.unwrap_or_else(|| "somebody".to_owned());
        let what =
            row.rule.map_or_else(|| format!("the storm of case {}", storm.short()), |rule| format!("rule {rule}"));
        hold::go_on(change, id, &format!("{who} has released {what}: the case goes on"));
        return false;
    }
    told::before_its_turn(change, id);
    let Some(child) = change.get::<ChildRow>(&id) else { return true };
    if let (Progress::Waiting, Some(case)) = (child.progress, change.get::<CaseRow>(&id)) {
        let plan = plan_of(change, storm);
        let (tier, risk) = place(change, id, &case, plan.as_ref().and_then(|p| p.storm.as_deref()));
        if tier != child.tier {
            edit_tier(change, storm, child.tier, |t| t.waiting -= 1);
            enter(change, storm, tier);
            change.touched.insert(storm);
        }
        if (tier, risk) != (child.tier, child.risk) {
            change.put(id, ChildRow { tier, risk, ..child });
        }
    }
    true
}

/// How much of its plan a child may carry out, besides the `least`.
pub(in crate::desk) fn leave(change: &Change<'_>, id: CaseId, storm: CaseId, warns: bool, least: Leave) -> Leave {
    let plan = plan_of(change, storm);
    let spec = plan.as_ref().and_then(|p| p.storm.as_deref());
    let Some(spec) = spec.filter(|s| !s.tiers.is_empty()) else {
        let warns = warns && (is_of_rule(change, storm) || spec.is_some_and(|s| s.keep_safety));
        return if warns { least.and_warn() } else { least };
    };
    let Some(child) = change.get::<ChildRow>(&id).filter(|c| c.progress != Progress::Waiting) else { return least };
    // What would page our own people for each child waits, named or not.
    let quiet = ["human", "wait_for", "hold", "correlate", "dispatch", "reach"];
    let paused = |verb: &str| spec.pause.is_empty() || spec.pause.iter().any(|p| **p == *verb);
    let others = Verb::NAMES.iter().copied().filter(|verb| !quiet.contains(verb) && !paused(verb));
    // A digest is no step of the plan.
    let digest = spec.tiers.get(usize::from(child.tier)).is_some_and(|t| t.digest);
    let own = [("reach", !digest), ("dispatch", child.truck)].into_iter().filter(|(_, may)| *may).map(|(verb, _)| verb);
    least.and(Leave::of(others.chain(own))).and_announce()
}

/// How the messages of a child are restricted.
pub(in crate::desk) struct Ways {
    pub(in crate::desk) via: Vec<Via>,
    pub(in crate::desk) script: Option<ScriptId>,
}

/// By which ways, and with which text, the plan of a case may tell people; `None`: as it says.
pub(in crate::desk) fn ways(change: &Change<'_>, id: CaseId) -> Option<Ways> {
    let child = change.get::<ChildRow>(&id)?;
    let plan = plan_of(change, child.storm)?;
    let tier = plan.storm.as_ref()?.tiers.get(usize::from(child.tier))?;
    let stormy = change.get::<StormRow>(&child.storm)?.script.filter(|_| !child.truck);
    Some(Ways { via: tier.via.clone(), script: stormy.or_else(|| tier.script.clone()) })
}

/// A child is held no longer.
pub(in crate::desk) fn left(change: &mut Change<'_>, id: CaseId, storm: CaseId) {
    leave_storm(change, storm, id);
    change.touched.insert(storm);
}

fn leave_storm(change: &mut Change<'_>, storm: CaseId, id: CaseId) {
    let Some(child) = change.get::<ChildRow>(&id) else { return };
    let child = told::settle(change, id, child);
    brings(change, id, child, Progress::Released);
    change.delete::<ChildRow>(id);
    edit(change, storm, |row| row.children = row.children.saturating_sub(1));
}
