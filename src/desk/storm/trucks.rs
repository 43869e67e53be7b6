//! `dispatch` with `mode = "reserve"`: how many trucks there are for a storm. So many children of the first tier may have
//! one, in the order in which they are told; to everybody else none is promised.

use super::super::change::Change;
use super::super::rows::StepRow;
use super::super::{TimelineKind, dispatch, goals};
use super::rows::edit;
use crate::domain::CaseId;
use crate::playbook::{Dispatch, Step};

pub(in crate::desk) fn reserve(change: &mut Change<'_>, id: CaseId, step: &Step, d: &Dispatch, row: StepRow) {
    let capacity = |name| change.config.providers.get(name).and_then(|p| p.capacity).unwrap_or(0);
    let all: u32 = d.providers.iter().map(capacity).sum();
    let jobs = change.base.rows.jobs.values().filter(|job| d.providers.contains(&job.provider));
    let busy = jobs.filter(|job| !dispatch::is_over(change, job)).count();
    let free = all.saturating_sub(u32::try_from(busy).unwrap_or(u32::MAX));
    change.say(id, TimelineKind::Decided, format!("{free} trucks can be sent ({all} in all, {busy} under way)"), None);
    edit(change, id, |row| row.trucks = free);
    if let Some(reaction) = d.on.get("no_provider").filter(|_| free == 0) {
        goals::react(change, id, reaction, "no truck can be sent");
    }
    goals::done(change, id, &step.id, row, step.goal.as_ref(), "the capacity of the providers");
}
