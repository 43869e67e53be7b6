//! Two sets of rules over the same recording: what one says and the other does not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Known, alerts};
use crate::domain::{At, Component, DeviceId, Mode, RuleId};
use crate::lab::Episode;
use crate::lab::score::score;
use crate::rules::Program;

/// What differs from another set of rules.
#[derive(Debug, Serialize)]
pub struct Diff {
    /// Rules with a difference, by id.
    pub rules: Vec<RuleDiff>,
    /// Rules that say the same.
    pub same: usize,
}

/// What differs for a rule.
#[derive(Debug, Serialize)]
pub struct RuleDiff {
    /// Which.
    pub rule: RuleId,
    /// Whether both sets have it.
    pub only_in: Option<Side>,
    /// Episodes that the others do not have, by device.
    pub more: BTreeMap<DeviceId, usize>,
    /// Episodes that only the others have, by device.
    pub fewer: BTreeMap<DeviceId, usize>,
    /// Failures that only these rules tell of.
    pub gained: Vec<String>,
    /// Failures that only the others tell of.
    pub lost: Vec<String>,
}

/// One of two sets of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The rules of the settings.
    These,
    /// Those they are compared with.
    Others,
}

impl Diff {
    pub(super) fn new(
        these: &[Episode],
        others: &[Episode],
        (program, other): (&Program, &Program),
        known: Option<&Known>,
    ) -> Self {
        let ids = |p: &Program| -> BTreeSet<RuleId> {
            p.rules().iter().filter(|r| r.mode != Mode::Off).map(|r| r.id.clone()).collect()
        };
        let (ours, theirs) = (ids(program), ids(other));
        let mut rules = Vec::new();
        let mut same = 0;
        for rule in ours.union(&theirs) {
            let only_in = match (ours.contains(rule), theirs.contains(rule)) {
                (true, false) => Some(Side::These),
                (false, true) => Some(Side::Others),
                _ => None,
            };
            let (told, told_by_others) = (told(these, rule, known), told(others, rule, known));
            let diff = RuleDiff {
                rule: rule.clone(),
                only_in,
                more: without(these, others, rule),
                fewer: without(others, these, rule),
                gained: told.difference(&told_by_others).cloned().collect(),
                lost: told_by_others.difference(&told).cloned().collect(),
            };
            if only_in.is_none() && diff.more.is_empty() && diff.fewer.is_empty() {
                same += 1;
            } else {
                rules.push(diff);
            }
        }
        Self { rules, same }
    }
}

/// How many episodes of `rule` in `list` overlap none of `others`, by device.
fn without(list: &[Episode], others: &[Episode], rule: &RuleId) -> BTreeMap<DeviceId, usize> {
    type Spans = Vec<(At, At)>;
    let mut spans: BTreeMap<(&DeviceId, Option<&Component>), Spans> = BTreeMap::new();
    for e in others.iter().filter(|e| e.rule == *rule) {
        let span = (e.started_at, e.ended_at.unwrap_or(At::MAX));
        spans.entry((&e.device, e.component.as_ref())).or_default().push(span);
    }
    spans.values_mut().for_each(|spans| spans.sort_unstable());
    let mut found = BTreeMap::new();
    for e in list.iter().filter(|e| e.rule == *rule) {
        // Episodes of one rule and device follow each other, so the last one that has begun is the one to look at.
        let overlaps = spans.get(&(&e.device, e.component.as_ref())).is_some_and(|spans| {
            let begun = spans.partition_point(|(from, _)| *from <= e.ended_at.unwrap_or(At::MAX));
            begun > 0 && spans[begun - 1].1 >= e.started_at
        });
        if !overlaps {
            *found.entry(e.device.clone()).or_default() += 1;
        }
    }
    found
}

/// The failures that a rule tells of.
fn told(list: &[Episode], rule: &RuleId, known: Option<&Known>) -> BTreeSet<String> {
    let Some(known) = known else { return BTreeSet::new() };
    let Some(fault) = list.iter().find(|e| e.rule == *rule).map(|e| &e.fault) else { return BTreeSet::new() };
    let labels = known.labels_of(&known.kinds_of(fault));
    let scored = score(&labels, &alerts(list, |e| e.rule == *rule), &known.terms);
    let told = scored.outcomes.iter().filter(|o| o.lead.is_some());
    told.map(|o| if o.fault.is_empty() { o.device.to_string() } else { o.fault.clone() }).collect()
}
