//! Two sets of rules over the same recording: what one says and the other does not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Known, alerts};
use crate::domain::{At, Component, DeviceId, Mode, RuleId, Span};
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
    /// Episodes of both that these raise sooner.
    pub earlier: Option<Shift>,
    /// Episodes of both that these raise later.
    pub later: Option<Shift>,
    /// Failures that only these rules tell of.
    pub gained: Vec<String>,
    /// Failures that only the others tell of.
    pub lost: Vec<String>,
}

/// Episodes that are raised at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shift {
    /// How many.
    pub episodes: usize,
    /// By how much, in the median.
    pub by: Span,
}

impl Shift {
    fn of(mut by: Vec<Span>) -> Option<Self> {
        by.sort_unstable();
        by.get(by.len() / 2).map(|median| Self { episodes: by.len(), by: *median })
    }
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
            let (more, shifts) = compare(these, others, rule);
            let (earlier, later): (Vec<Span>, Vec<Span>) = shifts.into_iter().partition(|by| *by < Span::ZERO);
            let diff = RuleDiff {
                rule: rule.clone(),
                only_in,
                more,
                fewer: compare(others, these, rule).0,
                earlier: Shift::of(earlier.into_iter().map(|by| Span::ZERO - by).collect()),
                later: Shift::of(later),
                gained: told.difference(&told_by_others).cloned().collect(),
                lost: told_by_others.difference(&told).cloned().collect(),
            };
            if diff.is_none() {
                same += 1;
            } else {
                rules.push(diff);
            }
        }
        Self { rules, same }
    }
}

impl RuleDiff {
    /// Both say the same.
    fn is_none(&self) -> bool {
        let same_episodes = self.more.is_empty() && self.fewer.is_empty();
        let same_times = self.earlier.is_none() && self.later.is_none();
        self.only_in.is_none() && same_episodes && same_times && self.gained.is_empty() && self.lost.is_empty()
    }
}

/// How many episodes of `rule` in `list` overlap none of `others`, by device; and by how much the rest are raised later, where
/// that is not at the same time.
fn compare(list: &[Episode], others: &[Episode], rule: &RuleId) -> (BTreeMap<DeviceId, usize>, Vec<Span>) {
    let mut theirs: BTreeMap<(&DeviceId, Option<&Component>), Vec<&Episode>> = BTreeMap::new();
    for e in others.iter().filter(|e| e.rule == *rule) {
        theirs.entry((&e.device, e.component.as_ref())).or_default().push(e);
    }
    theirs.values_mut().for_each(|list| list.sort_unstable_by_key(|e| (e.started_at, e.ended_at.unwrap_or(At::MAX))));
    let (mut alone, mut shifts) = (BTreeMap::new(), Vec::new());
    for e in list.iter().filter(|e| e.rule == *rule) {
        // Episodes of one rule and device follow each other, so the last one that has begun is the one to look at.
        let same = theirs.get(&(&e.device, e.component.as_ref())).and_then(|list| {
            let begun = list.partition_point(|other| other.started_at <= e.ended_at.unwrap_or(At::MAX));
            list[..begun].last().filter(|other| other.ended_at.unwrap_or(At::MAX) >= e.started_at)
        });
        match same {
            None => *alone.entry(e.device.clone()).or_default() += 1,
            Some(same) if same.raised_at != e.raised_at => shifts.push(e.raised_at - same.raised_at),
            Some(_) => {}
        }
    }
    (alone, shifts)
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
