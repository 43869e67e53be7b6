//! Recurring faults: many devices with the same firmware, lot or year had the same fault confirmed, far more of them than
//! of all others. That is a problem of the product and not of a device, so people are told once, with the cases by their
//! pseudonymous ids.
//!
//! Judged when a fault is confirmed: at least 20 confirmed cases with one value of one attribute, and their share of the
//! devices that have this value more than 3 times the share among all other devices of the kind (with none there, as if
//! there were one).

use serde::{Deserialize, Serialize};

use super::TimelineKind;
use super::change::Change;
use super::outcome::OutcomeRow;
use super::report::{self, Finding};
use crate::domain::{At, CaseId, FaultName, Truth};

/// Confirmed cases that are enough to speak of a pattern.
const ENOUGH: u32 = 20;
/// So many times as often as elsewhere.
const TIMES: f64 = 3.0;
/// Cases named in a problem.
const NAMED: usize = 100;
/// Signatures counted at most; a fleet in which every device has its own value of an attribute has no patterns.
const MOST: usize = 50_000;

/// What is counted: a fault with one value of one attribute; the empty attribute is the fault as a whole.
pub(super) type Signature = (FaultName, String, String);

/// Confirmed cases of a signature.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct MarkRow {
    confirmed: u32,
    /// The newest.
    cases: Vec<CaseId>,
    told_at: Option<At>,
}

/// What became of a case is said, or said differently.
pub(super) fn judged(change: &mut Change<'_>, id: CaseId, before: &OutcomeRow, after: &OutcomeRow) {
    let confirmed = |row: &OutcomeRow| row.verdict.truth == Some(Truth::Confirmed);
    let by = match (confirmed(before), confirmed(after)) {
        (false, true) => 1,
        (true, false) => -1,
        _ => return,
    };
    for signature in signatures(after) {
        count(change, id, signature, by);
    }
    if by > 0 {
        for (fault, name, value) in signatures(after).into_iter().filter(|s| !s.1.is_empty()) {
            judge(change, id, after, &fault, &name, &value);
        }
    }
}

fn signatures(row: &OutcomeRow) -> Vec<Signature> {
    let whole = (row.fault.clone(), String::new(), row.kind.clone());
    let each = row.attributes.iter().map(|(name, value)| (row.fault.clone(), name.clone(), value.clone()));
    std::iter::once(whole).chain(each).collect()
}

fn count(change: &mut Change<'_>, id: CaseId, signature: Signature, by: i32) {
    let known = change.get::<MarkRow>(&signature);
    if known.is_none() && (by < 0 || change.base.rows.marks.len() >= MOST) {
        return;
    }
    let mut row = known.unwrap_or_default();
    row.confirmed = row.confirmed.saturating_add_signed(by);
    row.cases.retain(|case| *case != id);
    if by > 0 {
        if row.cases.len() >= NAMED {
            row.cases.remove(0);
        }
        row.cases.push(id);
    }
    change.put(signature, row);
}

fn judge(change: &mut Change<'_>, id: CaseId, row: &OutcomeRow, fault: &FaultName, name: &str, value: &str) {
    let key = (fault.clone(), name.to_owned(), value.to_owned());
    let Some(mut mark) = change.get::<MarkRow>(&key).filter(|m| m.confirmed >= ENOUGH && m.told_at.is_none()) else {
        return;
    };
    let all = change.get::<MarkRow>(&(fault.clone(), String::new(), row.kind.clone())).map_or(0, |m| m.confirmed);
    let kin = change.config.registry.devices.values().filter(|d| *d.kind == *row.kind);
    let (with, without) = kin.fold((0_u32, 0_u32), |(with, without), device| {
        if device.attrs.get(name).is_some_and(|v| **v == *value) { (with + 1, without) } else { (with, without + 1) }
    });
    if with == 0 || without == 0 {
        return;
    }
    let rate = f64::from(mark.confirmed) / f64::from(with);
    let elsewhere = all.saturating_sub(mark.confirmed);
    let baseline = f64::from(elsewhere.max(1)) / f64::from(without);
    if rate <= TIMES * baseline {
        return;
    }
    mark.told_at = Some(change.now);
    let cases: Vec<String> = mark.cases.iter().map(|case| case.short()).collect();
    let why = format!(
        "recurring fault: {fault} was confirmed in {} of {with} devices with {name} {value}, {:.1} times as often as elsewhere \
         ({elsewhere} of {without})",
        mark.confirmed,
        rate / baseline
    );
    change.put(key, mark);
    change.say(id, TimelineKind::Decided, why.clone(), None);
    let finding = Finding {
        fault: "desk.recurring_fault",
        about: format!("{fault} with {name} {value}"),
        title: why,
        evidence: vec![("cases", cases.join(" "))],
    };
    report::tell(change, id, finding);
}
