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
        judge(change, id, after);
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

/// A pattern that is not told yet.
struct Pattern {
    signature: Signature,
    mark: MarkRow,
    /// So many times as often as elsewhere.
    times: f64,
    /// With and without the value: confirmed, and devices.
    counts: [u32; 4],
}

impl Pattern {
    fn what(&self) -> String {
        format!("{} {}", self.signature.1, self.signature.2)
    }
}

/// A batch is of one lot, one year and one firmware: whatever has the same cases is the same problem, told once, by what
/// sets it off most.
fn judge(change: &mut Change<'_>, id: CaseId, row: &OutcomeRow) {
    let of_attributes = signatures(row).into_iter().filter(|s| !s.1.is_empty());
    let mut found: Vec<Pattern> = of_attributes.filter_map(|s| pattern(change, row, s)).collect();
    found.sort_by(|a, b| b.times.total_cmp(&a.times).then_with(|| a.signature.cmp(&b.signature)));
    let new: Vec<bool> = found.iter().map(|p| !is_told(change, p)).collect();
    for p in &found {
        change.put(p.signature.clone(), MarkRow { told_at: Some(change.now), ..p.mark.clone() });
    }
    let mut told: Vec<&Pattern> = Vec::new();
    for (p, _) in found.iter().zip(new).filter(|(_, new)| *new) {
        if !told.iter().any(|other| same_cases(&p.mark, &other.mark)) {
            tell(change, id, p, &found);
            told.push(p);
        }
    }
}

fn pattern(change: &Change<'_>, row: &OutcomeRow, signature: Signature) -> Option<Pattern> {
    let mark = change.get::<MarkRow>(&signature).filter(|m| m.confirmed >= ENOUGH && m.told_at.is_none())?;
    let (fault, name, value) = &signature;
    let all = change.get::<MarkRow>(&(fault.clone(), String::new(), row.kind.clone())).map_or(0, |m| m.confirmed);
    let kin = change.config.registry.devices.values().filter(|d| *d.kind == *row.kind);
    let (with, without) = kin.fold((0_u32, 0_u32), |(with, without), device| {
        let has = device.attrs.get(name.as_str()).is_some_and(|v| **v == *value.as_str());
        if has { (with + 1, without) } else { (with, without + 1) }
    });
    if with == 0 || without == 0 {
        return None;
    }
    let elsewhere = all.saturating_sub(mark.confirmed);
    let baseline = f64::from(elsewhere.max(1)) / f64::from(without);
    let times = f64::from(mark.confirmed) / f64::from(with) / baseline;
    let counts = [mark.confirmed, with, elsewhere, without];
    (times > TIMES).then_some(Pattern { signature, mark, times, counts })
}

fn same_cases(a: &MarkRow, b: &MarkRow) -> bool {
    2 * a.cases.iter().filter(|case| b.cases.contains(case)).count() >= a.cases.len()
}

/// Whether people were told of these cases before, under another attribute.
fn is_told(change: &Change<'_>, p: &Pattern) -> bool {
    let lowest = (p.signature.0.clone(), String::new(), String::new());
    let of_fault = change.base.rows.marks.range(lowest..).take_while(|(key, _)| key.0 == p.signature.0);
    let told = of_fault.filter(|(key, mark)| **key != p.signature && mark.told_at.is_some());
    told.into_iter().any(|(_, mark)| same_cases(&p.mark, mark))
}

fn tell(change: &mut Change<'_>, id: CaseId, p: &Pattern, found: &[Pattern]) {
    let cases: Vec<String> = p.mark.cases.iter().map(|case| case.short()).collect();
    let [confirmed, with, elsewhere, without] = p.counts;
    let (fault, what) = (&p.signature.0, p.what());
    let why = format!(
        "recurring fault: {fault} was confirmed in {confirmed} of {with} devices with {what}, {:.1} times as often as elsewhere \
         ({elsewhere} of {without})",
        p.times
    );
    change.say(id, TimelineKind::Decided, why.clone(), None);
    let others = found.iter().filter(|o| o.signature != p.signature && same_cases(&p.mark, &o.mark)).map(Pattern::what);
    let others: Vec<String> = others.collect();
    let mut evidence = vec![("cases", cases.join(" "))];
    if !others.is_empty() {
        evidence.push(("as well", others.join(", ")));
    }
    report::tell(
        change,
        id,
        Finding { fault: "desk.recurring_fault", about: format!("{fault} with {what}"), title: why, evidence },
    );
}
