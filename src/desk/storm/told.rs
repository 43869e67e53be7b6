//! What comes of telling the people of a child: somebody has confirmed, says that all is well, or could not be reached.

use super::super::change::Change;
use super::super::rows::{CaseRow, EffectRow, RungState, StepRow, StepState, Target};
use super::super::{TimelineKind, ticket};
use super::family::ways;
use super::rows::{ChildRow, NO_TIER, Progress, brings, edit_tier};
use crate::domain::{CaseId, Role, StepId};
use crate::outbox::State;
use crate::playbook::{Playbook, Verb};

/// The step of a child that tells a customer about all of that customer's devices.
pub(super) const DIGEST: &str = "storm digest";

/// Who is told of a device by a digest.
pub(super) fn readers() -> [Role; 3] {
    ["owner".into(), "driver".into(), "facility_manager".into()]
}

/// Called after the steps of a child were driven.
pub(in crate::desk) fn look(change: &mut Change<'_>, id: CaseId) {
    let Some(child) = change.get::<ChildRow>(&id).filter(|c| c.digest.is_none()) else { return };
    let told = match child.progress {
        Progress::Telling => result(change, id),
        // A mail counts as soon as it has left; what its reader makes of it comes later.
        Progress::Told => is_well(change, id).then_some(Progress::AllWell),
        _ => return,
    };
    doubt(change, id);
    if let Some(told) = told {
        finish(change, id, told);
        for other in companions(change, id, &child) {
            finish(change, other, told);
            change.say(other, TimelineKind::Said, format!("told together with case {}", id.short()), None);
        }
    }
    link(change, id);
}

/// Notes once that nobody knew whether a message arrived.
fn doubt(change: &mut Change<'_>, id: CaseId) {
    let Some(child) = change.get::<ChildRow>(&id).filter(|c| !c.in_doubt) else { return };
    let unknown = |e: &EffectRow| is_contact(e) && matches!(e.delivery.state, State::Unknown | State::Reconciling);
    if change.effects(id).iter().any(|(_, e)| unknown(e)) {
        edit_tier(change, child.storm, child.tier, |t| t.in_doubt += 1);
        change.put(id, ChildRow { in_doubt: true, ..child });
    }
}

fn finish(change: &mut Change<'_>, id: CaseId, told: Progress) {
    if let Some(child) = change.get::<ChildRow>(&id) {
        change.touched.insert(child.storm);
        brings(change, id, child, told);
    }
}

/// The children that the digest of this one is about, too.
fn companions(change: &Change<'_>, id: CaseId, child: &ChildRow) -> Vec<CaseId> {
    let key = child.customer.clone().map(|customer| (child.storm, customer));
    let all = key.and_then(|key| change.base.storm_customers.get(&key)).into_iter().flatten().copied();
    all.filter(|other| change.get::<ChildRow>(other).is_some_and(|c| c.digest == Some(id))).collect()
}

/// The ticket of the storm links a child when its customer has answered, whenever that is.
fn link(change: &mut Change<'_>, id: CaseId) {
    let Some(child) = change.get::<ChildRow>(&id).filter(|c| !c.linked) else { return };
    let what = match child.progress {
        Progress::AllWell => "the customer says all is well",
        Progress::Told if change.steps(id).iter().any(|(_, row)| row.confirmed.is_some()) => {
            "the customer has answered"
        }
        _ => return,
    };
    let device = change.get::<CaseRow>(&id).map(|c| c.device.to_string()).unwrap_or_default();
    let more = match companions(change, id, &child).len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let storm = child.storm;
    change.put(id, ChildRow { linked: true, ..child });
    ticket::child(change, storm, &format!("Case {} ({device}{more}): {what}.", id.short()));
}

fn is_well(change: &Change<'_>, id: CaseId) -> bool {
    change.get::<CaseRow>(&id).is_some_and(|c| c.backing_out.is_some() || c.outcome.as_deref() == Some("false_alarm"))
}

/// A child needs no turn if its people have answered before it came: its plan was at work before the storm was noticed.
pub(super) fn before_its_turn(change: &mut Change<'_>, id: CaseId) {
    let Some(child) = change.get::<ChildRow>(&id) else { return };
    let waits = child.progress == Progress::Waiting && child.tier != NO_TIER;
    let plan = change.get::<CaseRow>(&id).filter(|_| waits).and_then(|case| change.plan(&case));
    if plan.is_some_and(|plan| has_answered(&telling(change, id, &plan))) {
        let told = if is_well(change, id) { Progress::AllWell } else { Progress::Told };
        finish(change, id, told);
        link(change, id);
    }
}

/// The steps that tell the people of a child.
fn telling(change: &Change<'_>, id: CaseId, plan: &Playbook) -> Vec<(StepId, StepRow)> {
    let mut steps = change.steps(id);
    let digests = steps.iter().any(|(step, _)| step.as_str() == DIGEST);
    steps.retain(|(step, _)| match digests {
        true => step.as_str() == DIGEST,
        false => matches!(plan.step(step).map(|s| &s.verb), Some(Verb::Reach(_))),
    });
    steps
}

fn has_answered(steps: &[(StepId, StepRow)]) -> bool {
    steps.iter().any(|(_, row)| row.state == StepState::Done || row.confirmed.is_some())
}

fn result(change: &Change<'_>, id: CaseId) -> Option<Progress> {
    if is_well(change, id) {
        return Some(Progress::AllWell);
    }
    let plan = change.plan(&change.get::<CaseRow>(&id)?)?;
    let steps = telling(change, id, &plan);
    if has_answered(&steps) {
        return Some(Progress::Told);
    }
    let ways = ways(change, id)?;
    let busy = |(step, row): &(StepId, StepRow)| {
        let Some(Verb::Reach(reach)) = plan.step(step).map(|s| &s.verb) else { return row.state.is_live() };
        let mut allowed = reach.ladder.iter().zip(&row.rungs).filter(|(rung, _)| ways.via.contains(&rung.via));
        let is_busy = |state| matches!(state, RungState::Waiting | RungState::Working);
        row.state.is_live() && (row.rungs.is_empty() || allowed.any(|(_, r)| is_busy(r.state)))
    };
    (!steps.iter().any(busy)).then_some(Progress::Unreached)
}

/// A child ends; if nothing is known of it yet, that is what came of it.
pub(super) fn settle(change: &mut Change<'_>, id: CaseId, child: ChildRow) -> ChildRow {
    let well = is_well(change, id);
    match child.progress {
        Progress::Telling if well => brings(change, id, child, Progress::AllWell),
        Progress::Telling => brings(change, id, child, Progress::Unreached),
        _ => child,
    }
}

pub(super) fn is_contact(row: &EffectRow) -> bool {
    row.delivery.kind.is_contact() && matches!(row.target, Target::Customer { .. })
}
