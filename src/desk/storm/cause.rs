//! What the devices of a storm have in common, and whether the storm is our own doing.
//!
//! For every attribute that the playbook names, the most frequent values among the affected are held against the whole
//! fleet. Say `k` of `n` affected devices have the value, and a share `q` of the fleet. If it had nothing to do with it,
//! so many or more would have it with a probability of at most `exp(-n D)`, where `D = s ln(s/q) + (1-s) ln((1-s)/(1-q))`
//! and `s = k/n` (Chernoff's bound of the binomial tail, for `s > q`). The bound times the number of values looked at must
//! be below one in a thousand, at least half of the affected must have the value, and their odds of having it must be three
//! times those of the fleet: a value that most of the fleet has is the cause as well, if nearly all of the affected have it.
//! Of several the one with the smallest bound is the cause. The bound errs on the side of silence.
//!
//! `rule.version` is no attribute of a device: all are watched by the same one. It is named when nothing else stands out
//! and the version of the rule is so new that no more than a thousandth of the time in which we learn what is usual has
//! passed with it.
//!
//! The cause is looked for at the start and each time the storm has doubled, so that the work in all is in proportion to
//! its size.

use std::collections::{BTreeMap, BTreeSet};

use super::super::TimelineKind;
use super::super::change::Change;
use super::super::rows::{CaseRow, HoldRow};
use super::super::rules::RuleRow;
use super::rate::MEMORY;
use super::rows::{Cause, StormRow, edit};
use crate::domain::{At, CaseId, Device, RuleId};
use crate::playbook::{OurFault, Playbook};

/// Fewer say nothing.
const LEAST: u32 = 10;
/// Values of one attribute that are looked at.
const MOST_VALUES: usize = 3;
const LEAST_SHARE: f64 = 0.5;
const LEAST_ODDS: f64 = 3.0;
const CHANCE: f64 = 1e-3;
/// Not a column: the version of the rule that has found them.
const RULE_VERSION: &str = "rule.version";

pub(super) fn look(change: &mut Change<'_>, id: CaseId, plan: &Playbook) {
    let Some(row) = change.get::<StormRow>(&id) else { return };
    let known = change.base.children.get(&id).map_or(0, BTreeSet::len);
    let known = u32::try_from(known).unwrap_or(u32::MAX);
    let Some(storm) = plan.storm.as_ref().filter(|_| known >= LEAST && known >= 2 * row.judged) else { return };
    let by_version = storm.explain_by.iter().any(|name| **name == *RULE_VERSION);
    let cause = search(change, id, &storm.explain_by).or_else(|| new_version(change, id, &row).filter(|_| by_version));
    let fault = storm.our_fault_if.iter().find_map(|sign| ours(change, id, &row, *sign));
    if let Some(cause) = cause.as_ref().filter(|c| row.cause.as_ref().is_none_or(|old| old.text != c.text)) {
        change.say(
            id,
            TimelineKind::Decided,
            format!("what they have in common: {} ({})", cause.text, cause.share),
            None,
        );
    }
    if let Some(fault) = fault.as_ref().filter(|_| row.our_fault.is_none()) {
        let text =
            format!("it may be our own doing ({fault}): nobody but those in danger is told before a person agrees");
        change.say(id, TimelineKind::Trouble, text, None);
    }
    edit(change, id, |row| {
        row.judged = known;
        row.cause = cause.or(row.cause.take());
        row.our_fault = row.our_fault.take().or(fault);
    });
}

/// The children of a storm that are stored.
fn children<'a>(change: &Change<'a>, id: CaseId) -> impl Iterator<Item = CaseId> + use<'a> {
    change.base.children.get(&id).into_iter().flatten().copied()
}

fn search(change: &Change<'_>, id: CaseId, explain_by: &[std::sync::Arc<str>]) -> Option<Cause> {
    let registry = &change.config.registry;
    let affected: Vec<&Device> = children(change, id)
        .filter_map(|child| change.base.rows.cases.get(&child))
        .filter_map(|case| registry.devices.get(&case.device))
        .collect();
    let fleet = registry.devices.len();
    if affected.is_empty() || fleet <= affected.len() {
        return None;
    }
    let candidates: Vec<(&str, &str, usize)> = explain_by
        .iter()
        .filter(|name| ***name != *RULE_VERSION)
        .flat_map(|name| most_frequent(&affected, name))
        .collect();
    let tests = candidates.len();
    let best = candidates.into_iter().filter_map(|(name, value, k)| {
        let with = registry.devices.values().filter(|d| attribute(d, name) == Some(value)).count();
        let bound = chance(k, affected.len(), with, fleet)? * tests as f64;
        (bound < CHANCE).then_some((bound, name, value, k, with))
    });
    let (_, name, value, k, with) = best.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let share = format!("{k} of {} affected, {with} of {fleet} in the fleet", affected.len());
    Some(Cause { text: format!("{name} = {value}"), share })
}

/// The version of the rule, if it is as new as that.
fn new_version(change: &Change<'_>, id: CaseId, row: &StormRow) -> Option<Cause> {
    let (rule, changed_at) = rule(change, id)?;
    let since = row.started_at.since(changed_at);
    let known = since.as_secs_f64() < CHANCE * MEMORY.as_secs_f64();
    known.then(|| Cause {
        text: format!("{RULE_VERSION} of {rule}"),
        share: format!("changed {since} before the first"),
    })
}

/// A column of the registry. `part.supplier_lot` and `broker.node` are the columns `supplier_lot` and `node`, unless
/// there is one of the whole name.
fn attribute<'d>(device: &'d Device, name: &str) -> Option<&'d str> {
    let of = |name: &str| device.attribute(name).filter(|value| !value.is_empty());
    of(name).or_else(|| of(name.split_once('.')?.1))
}

fn most_frequent<'a>(affected: &[&'a Device], name: &'a str) -> Vec<(&'a str, &'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in affected.iter().filter_map(|device| attribute(device, name)) {
        *counts.entry(value).or_default() += 1;
    }
    let mut values: Vec<_> = counts.into_iter().map(|(value, n)| (name, value, n)).collect();
    values.sort_by(|a, b| b.2.cmp(&a.2).then(a.1.cmp(b.1)));
    values.truncate(MOST_VALUES);
    values
}

/// At most so probable is it that so many have the value by chance. `None`: not remarkable at all.
#[expect(clippy::cast_precision_loss, reason = "counts of devices")]
fn chance(k: usize, n: usize, with: usize, fleet: usize) -> Option<f64> {
    let (share, usual) = (k as f64 / n as f64, with as f64 / fleet as f64);
    // Infinite where all have it.
    let odds = |share: f64| share / (1.0 - share);
    if share < LEAST_SHARE || odds(share) < LEAST_ODDS * odds(usual) {
        return None;
    }
    let part = |s: f64, q: f64| if s <= 0.0 { 0.0 } else { s * (s / q).ln() };
    let distance = part(share, usual) + part(1.0 - share, 1.0 - usual);
    Some((-(n as f64) * distance).exp())
}

/// Whether a sign of our own doing is there, in words.
fn ours(change: &Change<'_>, id: CaseId, row: &StormRow, sign: OurFault) -> Option<String> {
    match sign {
        OurFault::RuleChanged(limit) => {
            let (rule, changed_at) = rule(change, id)?;
            let since = row.started_at.since(changed_at);
            (since < limit).then(|| format!("rule {rule} was changed {since} before"))
        }
        OurFault::ReconnectWave => (row.late * 2 > row.count)
            .then(|| format!("{} of {} news were old when they came: a connection came back", row.late, row.count)),
        OurFault::Deployed(limit) => {
            let started_at = change.base.started_at?;
            (row.started_at.since(started_at) < limit)
                .then(|| format!("this program was started {} before", row.started_at.since(started_at)))
        }
    }
}

/// The rule that has found the children, and when its version was changed.
fn rule(change: &Change<'_>, id: CaseId) -> Option<(RuleId, At)> {
    children(change, id).find_map(|child| {
        let rule = change.get::<HoldRow>(&child)?.rule;
        let changed_at = change.get::<RuleRow>(&rule)?.changed_at?;
        Some((rule, changed_at))
    })
}

/// How late news may be before they count as old.
pub(super) fn is_late(change: &Change<'_>, case: &CaseRow) -> bool {
    change.now.since(case.event_at) > crate::domain::Span::from_mins(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_small_only_for_what_stands_out() {
        for (k, n, with, fleet, remarkable) in [
            // All affected, a twelfth of the fleet.
            (25, 25, 800, 10_000, true),
            // Nearly all, and rare.
            (480, 500, 500, 10_000, true),
            // As in the fleet.
            (250, 500, 5_000, 10_000, false),
            // Few: could be chance.
            (6, 10, 2_000, 10_000, false),
            // Less than half of them.
            (200, 500, 200, 10_000, false),
            // Half of them exactly, and one less.
            (250, 500, 250, 10_000, true),
            (249, 500, 249, 10_000, false),
            // Most of the fleet has it, and all or nearly all of the affected; or not so many of them.
            (500, 500, 6_000, 10_000, true),
            (475, 500, 6_000, 10_000, true),
            (350, 500, 6_000, 10_000, false),
            // Everybody has it.
            (500, 500, 10_000, 10_000, false),
        ] {
            let found = chance(k, n, with, fleet).is_some_and(|p| p * 20.0 < CHANCE);
            assert_eq!(found, remarkable, "{k} of {n}, {with} of {fleet}: {:?}", chance(k, n, with, fleet));
        }
    }
}
