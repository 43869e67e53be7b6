//! One case for what several have in common: a case becomes part of another one, and can be taken out again.
//!
//! A merged case is held as one whose parent device has failed, and goes on when the other one ends and its own fault is
//! still there. What is under way at it is carried through: a truck that was asked for is not lost.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::goals::{self, Wake};
use super::hold::{self, SETTLING};
use super::rows::{CaseRow, HoldRow, Settling, StepRow, StepState, Why};
use super::{Reply, TimelineKind, case};
use crate::domain::{At, CaseId, DeviceId, RuleId};
use crate::playbook::{Correlate, Mirror, Playbook, Step, Verb};

/// Devices that may have one cause; the key names the step and the value that they share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct GroupRow {
    /// The newest cases: as many as make a common cause at most.
    recent: Vec<(At, CaseId)>,
    /// The case of what they share.
    parent: Option<CaseId>,
}

/// `correlate`: looks at those that share something with the device, until the window is over.
pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, c: &Correlate, row: StepRow, wake: &mut Wake) {
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    for (by, value) in shared(change, &case, c) {
        if group(change, id, &case, step, c, by, &value) {
            return;
        }
    }
    let until = row.started_at + c.window;
    if change.now >= until {
        return goals::done(change, id, &step.id, row, step.goal.as_ref(), "nobody else is affected");
    }
    wake.at(until);
    change.put((id, step.id.clone()), row);
}

/// What the device shares with others, attribute and value.
fn shared<'c>(change: &Change<'_>, case: &CaseRow, c: &'c Correlate) -> Vec<(&'c str, String)> {
    let device = change.config.registry.devices.get(&case.device);
    let of = |by: &'c str| Some((by, device?.attribute(by)?.to_owned()));
    let with_others = |value: &str| !value.is_empty() && value != case.device.as_str();
    c.by.iter().filter_map(|by| of(by)).filter(|(_, value)| with_others(value)).collect()
}

fn key_of(case: &CaseRow, step: &Step, by: &str, value: &str) -> (String, String) {
    (format!("{}/{}/{by}", case.playbook, step.id), value.to_owned())
}

/// A case is opened whose common cause has a case already: it is part of that one from the start, and no storm counts it.
pub(super) fn joins(change: &mut Change<'_>, id: CaseId) -> bool {
    let Some(case) = change.get::<CaseRow>(&id) else { return false };
    let (Some(plan), case) = (change.plan(&case), &case) else { return false };
    let groups = plan.steps.iter().filter_map(|step| match &step.verb {
        Verb::Correlate(c) => Some(shared(change, case, c).into_iter().map(move |(by, v)| key_of(case, step, by, &v))),
        _ => None,
    });
    let parents: Vec<CaseId> = groups
        .flatten()
        .filter_map(|key| change.get::<GroupRow>(&key)?.parent)
        .filter(|parent| *parent != id)
        .collect();
    parents.into_iter().any(|parent| into(change, id, parent).is_ok())
}

/// Whether the case is now part of another one.
fn group(
    change: &mut Change<'_>,
    id: CaseId,
    case: &CaseRow,
    step: &Step,
    c: &Correlate,
    by: &str,
    value: &str,
) -> bool {
    let key = key_of(case, step, by, value);
    let mut group = change.get::<GroupRow>(&key).unwrap_or_default();
    let open = |change: &Change<'_>, id: CaseId| change.get::<CaseRow>(&id).is_some_and(|c| c.is_open());
    if let Some(parent) = group.parent.filter(|parent| open(change, *parent)) {
        return parent != id && into(change, id, parent).is_ok();
    }
    group.parent = None;
    group.recent.retain(|(at, other)| change.now.since(*at) < c.window && *other != id && open(change, *other));
    group.recent.push((case.opened_at, id));
    let enough = usize::try_from(c.min).unwrap_or(usize::MAX);
    if group.recent.len() < enough {
        change.put(key, group);
        return false;
    }
    let members = std::mem::take(&mut group.recent);
    let Some(plan) = change.plan(case) else { return false };
    let parent = parent(change, case, &plan, by, value, members.len());
    change.put(key, GroupRow { parent: Some(parent), ..group });
    for (_, member) in &members {
        // One that is held for another reason stays where it is.
        let _held = into(change, *member, parent);
    }
    true
}

/// The case of what they share: that of the device itself, if it has one, or a new one by the same plan.
fn parent(change: &mut Change<'_>, of: &CaseRow, plan: &Playbook, by: &str, value: &str, count: usize) -> CaseId {
    let same =
        |c: &CaseRow| c.is_open() && super::facts::family(c.fault.as_str()) == super::facts::family(of.fault.as_str());
    let own = change.base.open_by_device.get(value).into_iter().flatten();
    if let Some(id) = own.copied().find(|id| change.get::<CaseRow>(id).as_ref().is_some_and(same)) {
        return id;
    }
    let id = CaseId::of(&[
        by.as_bytes(),
        value.as_bytes(),
        of.fault.as_str().as_bytes(),
        &change.now.as_micros().to_le_bytes(),
    ]);
    let title = format!("{count} devices with {by} = {value}: {}", of.title);
    let row = CaseRow {
        device: DeviceId::from(value),
        fault: of.fault.clone(),
        severity: of.severity,
        level: of.level.clone(),
        confidence: of.confidence,
        event_at: of.event_at,
        title: title.clone(),
        ..case::bare(change, plan)
    };
    case::open_parent(change, id, row, plan);
    change.say(id, TimelineKind::Measured, title, None);
    id
}

/// Makes a case part of another one.
fn into(change: &mut Change<'_>, id: CaseId, parent: CaseId) -> Result<(), String> {
    let (Some(case), Some(of)) = (change.get::<CaseRow>(&id), change.get::<CaseRow>(&parent)) else {
        return Err("there is no such case".to_owned());
    };
    let why = if id == parent {
        Some("a case is not part of itself")
    } else if !case.is_open() || !of.is_open() {
        Some("both must be open")
    } else if case.backing_out.is_some() {
        Some("its plan is being undone")
    } else if super::storm::keeps_open(change, id) {
        Some("it is the case of a storm")
    } else if matches!(change.get::<HoldRow>(&id), Some(HoldRow { why: Why::Storm(_), .. })) {
        Some("a storm holds it")
    } else if hold::waits_for(change, parent, id) {
        Some("the other one is part of it")
    } else {
        None
    };
    if let Some(why) = why {
        return Err(why.to_owned());
    }
    let rule = change.get::<HoldRow>(&id).map_or_else(|| RuleId::from(""), |row| row.rule);
    let until_at = change.now + SETTLING;
    let settling = Settling { parent: of.device.clone(), until_at, case: Some(parent), explained: true, merged: true };
    change.put(id, HoldRow { rule, why: Why::Parent(settling) });
    let (child, whole) = (id.short(), parent.short());
    change.say(id, TimelineKind::Decided, format!("is part of case {whole} now; its own steps are held"), None);
    change.note(id, Mirror::Note, &format!("This is part of case {whole} now."));
    change.say(parent, TimelineKind::Decided, format!("case {child} ({}) is part of it", case.device), None);
    change.note(parent, Mirror::Note, &format!("Case {child} ({}) is part of this one.", case.device));
    Ok(())
}

/// A case is not part of another one any more. What was opened for its parts alone has cleared with the last of them; if that
/// one goes on elsewhere, nobody knows what became of the common cause.
pub(super) fn left(change: &mut Change<'_>, id: CaseId, parent: CaseId) {
    let rest = change.base.explained.get(&parent).into_iter().flatten();
    let more = rest.filter(|other| **other != id).any(|other| hold::is_held(change, *other));
    let Some(row) = change.get::<CaseRow>(&parent).filter(|c| c.is_open() && c.cleared_at.is_none()) else { return };
    if more || change.open_episodes(parent).next().is_some() {
        return;
    }
    if change.get::<CaseRow>(&id).is_some_and(|part| part.is_open() && part.cleared_at.is_none()) {
        let text = format!("case {} goes on by itself and was the last part of this one", id.short());
        change.say(parent, TimelineKind::Trouble, text.clone(), None);
        goals::page_default(change, parent, &text);
        return;
    }
    change.put(parent, CaseRow { cleared_at: Some(change.now), ..row });
    change.say(parent, TimelineKind::Measured, "the last of its parts is over", None);
}

/// A person merges.
pub(super) fn by_person(change: &mut Change<'_>, id: CaseId, parent: CaseId, actor: &str) -> Reply {
    if change.get::<CaseRow>(&id).is_none() || change.get::<CaseRow>(&parent).is_none() {
        return Reply::NotFound;
    }
    change.because(format!("api:{actor}"), format!("merged into case {}", parent.short()));
    match into(change, id, parent) {
        Ok(()) => {
            change.say(id, TimelineKind::Decided, format!("{actor} has merged it"), None);
            Reply::Done
        }
        Err(why) => Reply::Refused(why),
    }
}

/// A person takes a case out of the one that it is part of.
pub(super) fn split(change: &mut Change<'_>, id: CaseId, actor: &str) -> Reply {
    match change.get::<HoldRow>(&id).map(|row| row.why) {
        Some(Why::Parent(Settling { case: Some(parent), .. })) => {
            change.because(format!("api:{actor}"), format!("taken out of case {}", parent.short()));
            stop_looking(change, id);
            hold::go_on(change, id, &format!("{actor} takes it out of case {}: it goes on", parent.short()));
            change.note(id, Mirror::Note, "This is a case of its own again.");
            change.note(parent, Mirror::Note, &format!("Case {} is not part of this one any more.", id.short()));
            Reply::Done
        }
        _ if change.get::<CaseRow>(&id).is_none() => Reply::NotFound,
        _ => Reply::Refused("it is not part of another case".to_owned()),
    }
}

/// A person knows better: nobody merges the case again.
fn stop_looking(change: &mut Change<'_>, id: CaseId) {
    let plan = change.get::<CaseRow>(&id).and_then(|case| change.plan(&case));
    for (step, row) in change.steps(id) {
        if matches!(plan.as_ref().and_then(|p| p.step(&step)).map(|s| &s.verb), Some(Verb::Correlate(_))) {
            change.put((id, step), StepRow { state: StepState::Done, ..row });
        }
    }
}
