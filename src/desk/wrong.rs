//! Wrong person: somebody who has nothing to do with the device was reached. Their endpoint is marked for that device,
//! they are told nothing more, what they alone have confirmed or chosen is undone, and the ladder goes on with the next
//! person.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::rows::{CaseRow, ContactRow, EffectRow, GoalState, RungState, StepRow, StepState, Target};
use super::{TimelineKind, book, goals, news, pages, reach};
use crate::domain::{At, CaseId, DeviceId, EffectId, EndpointId};
use crate::playbook::Mirror;

/// An endpoint that does not belong to anybody who is concerned with the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WrongRow {
    pub(super) at: At,
    /// The call or message by which it was noticed.
    pub(super) effect: EffectId,
}

pub(super) fn is_marked(change: &Change<'_>, device: &DeviceId, endpoint: &EndpointId) -> bool {
    change.get::<WrongRow>(&(device.clone(), endpoint.clone())).is_some()
}

/// Whether an effect went to somebody who turned out to be the wrong person.
pub(super) fn went_astray(change: &Change<'_>, row: &EffectRow) -> bool {
    let Target::Customer { endpoint, .. } = &row.target else { return false };
    change.get::<CaseRow>(&row.case).is_some_and(|c| is_marked(change, &c.device, endpoint))
}

/// Whoever got `effect` says that it is not meant for them.
pub(super) fn mark(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, how: &str) {
    let (Target::Customer { endpoint, .. }, Some(case)) = (&row.target, change.get::<CaseRow>(&row.case)) else {
        return;
    };
    if is_marked(change, &case.device, endpoint) {
        return;
    }
    let device = case.device;
    let open = change.base.open_by_device.get(&device).cloned().unwrap_or_default();
    let cases = open.iter().copied().chain([row.case].into_iter().filter(|case| !open.contains(case)));
    // Their 9 is not to be seen any more once it is known that they are not meant.
    let cases: Vec<(CaseId, bool)> = cases.map(|case| (case, is_well(change, case, |e| is_at(e, endpoint)))).collect();
    change.put((device.clone(), endpoint.clone()), WrongRow { at: change.now, effect });
    news::contact(change, effect, row, |c| "wrong_person".clone_into(&mut c.result));
    let text = format!("{endpoint} is not a person of this device ({how}); the next one is tried");
    change.say(row.case, TimelineKind::Answered, text, Some(effect));
    change.note(
        row.case,
        Mirror::Contact,
        &format!("Answered: the wrong person was reached ({how}); trying the next."),
    );
    for (case, was_well) in cases {
        book::not_meant(change, case);
        take_up_again(change, case);
        if was_well {
            doubt(change, case);
        }
    }
}

fn is_at(row: &EffectRow, at: &EndpointId) -> bool {
    matches!(&row.target, Target::Customer { endpoint, .. } if endpoint == at)
}

/// Whether one of those to whom these effects went has said that all is well.
fn is_well(change: &Change<'_>, case: CaseId, went: impl Fn(&EffectRow) -> bool) -> bool {
    let said = |id: &EffectId| change.get::<ContactRow>(id).is_some_and(|c| c.result == "human_confirmed(9)");
    change.effects(case).iter().any(|(id, row)| went(row) && said(id))
}

/// Everything was taken back because of somebody who has nothing to do with it. What is on its way back stays so; as long
/// as the fault is there, a person must look.
fn doubt(change: &mut Change<'_>, case: CaseId) {
    let over = change.get::<CaseRow>(&case).is_some_and(|c| c.backing_out.is_some() || !c.is_open());
    let others = is_well(change, case, |row| !went_astray(change, row));
    if over && !others && change.open_episodes(case).next().is_some() {
        pages::page_anew(change, case);
        let why = "whoever said that all is well has nothing to do with the device, and its fault is still there";
        goals::page_default(change, case, why);
    }
}

/// A step that contacts gone astray had ended has told nobody, unless somebody else has been told as well.
fn take_up_again(change: &mut Change<'_>, case: CaseId) {
    if change.get::<CaseRow>(&case).is_none_or(|c| !c.is_open() || c.backing_out.is_some()) {
        return;
    }
    let astray = change.effects(case).into_iter().filter(|(_, e)| went_astray(change, e));
    for id in astray.map(|(_, e)| e.step).collect::<BTreeSet<_>>() {
        let done = change.get::<StepRow>(&(case, id.clone())).filter(|s| s.state == StepState::Done);
        let Some(mut step) = done else { continue };
        step.confirmed = None;
        let reach = reach::of(change, case, &id);
        if reach.is_some_and(|reach| reach::proof(change, case, &id, &reach, &step).is_some()) {
            continue;
        }
        step.state = StepState::Running;
        // People of ours, who were told that it has resolved itself, are asked again.
        for rung in step.rungs.iter_mut().filter(|r| r.state == RungState::Holding && r.effect.is_none()) {
            rung.state = RungState::Waiting;
        }
        change.put((case, id.clone()), step);
        change.touched.insert(case);
        let plan = change.get::<CaseRow>(&case).and_then(|c| change.plan(&c));
        if let Some(goal) = plan.as_ref().and_then(|p| p.step(&id)).and_then(|s| s.goal.as_ref()) {
            goals::unmeet(change, case, goal, GoalState::Open);
        }
    }
}
