//! How a storm ends: a person says so, and its children go on by their own plans, some at a time, those in most danger
//! first.

use super::super::change::Change;
use super::super::rows::CaseRow;
use super::super::{Reply, TimelineKind, pages, rules};
use super::find::{forget_rate, rate_of};
use super::rows::{ChildRow, NO_TIER, Progress, StormRow, brings};
use super::told;
use crate::domain::{CaseId, RuleId};

/// Lets some of the children go, those in most danger first.
pub(super) fn let_go(change: &mut Change<'_>, storm: CaseId, most: usize) {
    let of_storm = (storm, 0)..=(storm, NO_TIER);
    let waiting = change.base.storm_queue.range(of_storm).flat_map(|(_, queue)| queue.iter().map(|(_, _, id)| *id));
    let told = change.base.children.get(&storm).into_iter().flatten().copied();
    // Those that wait stand among all of them, too.
    let next: Vec<CaseId> =
        waiting.chain(told).filter(|id| held(change, *id, storm).is_some()).take(2 * most).collect();
    let mut left = most;
    for id in next {
        if let Some(child) = held(change, id, storm).filter(|_| left > 0) {
            left -= 1;
            let child = told::settle(change, id, child);
            brings(change, id, child, Progress::Released);
            change.touched.insert(id);
        }
    }
}

fn held(change: &Change<'_>, id: CaseId, storm: CaseId) -> Option<ChildRow> {
    change.get::<ChildRow>(&id).filter(|c| c.storm == storm && c.progress != Progress::Released)
}

/// A person ends a storm: its children go on, some at a time.
pub(in crate::desk) fn release(change: &mut Change<'_>, storm: CaseId, actor: &str) -> Reply {
    let Some(row) = change.get::<StormRow>(&storm) else {
        return match change.get::<CaseRow>(&storm) {
            None => Reply::NotFound,
            Some(_) => Reply::Refused("it is not the case of a storm".to_owned()),
        };
    };
    if row.released_by.is_some() {
        return Reply::Refused("it is released already".to_owned());
    }
    change.because(format!("api:{actor}"), format!("released the storm of case {}", storm.short()));
    forget_rate(change, &row);
    let children = row.children;
    change.put(storm, StormRow { released_by: Some(actor.to_owned()), ..row });
    pages::acknowledge(change, storm, actor);
    change.say(storm, TimelineKind::Decided, format!("{actor} releases {children} cases"), None);
    Reply::Done
}

/// A person releases what the guards of a rule hold, or a new rule.
pub(in crate::desk) fn release_rule(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> Reply {
    let of = rate_of(rule);
    let from = (of.clone(), String::new());
    let rates = change.base.rows.rates.range(from..).take_while(|(key, _)| key.0 == of);
    let storms: Vec<CaseId> = rates.filter_map(|(_, rate)| rate.storm).collect();
    if storms.is_empty() {
        return rules::release(change, rule, actor);
    }
    for storm in storms {
        release(change, storm, actor);
    }
    change.because(format!("api:{actor}"), format!("released the held cases of rule {rule}"));
    Reply::Done
}
