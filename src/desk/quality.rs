//! How good each version of a rule is: how many of its cases were confirmed, how long before the failure it spoke. Kept as
//! counts that follow every outcome and every correction.
//!
//! Precision is confirmed / (confirmed + no fault found + denied); what nobody knows counts neither way. A version
//! whose precision is under its floor is put into shadow, and a person is told. Judged is the *upper* bound of the 95 %
//! Wilson interval: with few outcomes a good rule can have a bad run, and silence is dearer than a question, so a rule
//! goes only once chance no longer explains it. A person releases it; then it is judged by new outcomes. Another
//! version of the rule begins anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::outcome::OutcomeRow;
use super::report::{self, Finding};
use super::rows::Table;
use super::{Desk, Record, pages};
use crate::domain::{At, CaseId, RuleId, Span, Truth};

/// Of the normal distribution, for 95 %.
const Z: f64 = 1.96;

/// What is known of one version of a rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct TallyRow {
    opened: u32,
    /// In the order of [`Truth::ALL`].
    truths: [u32; 4],
    /// Confirmed and not, since the last release.
    hits: u32,
    misses: u32,
    /// Lead times by [`bin`].
    leads: BTreeMap<u8, u32>,
    /// Failures that came before the detection.
    late: u32,
    csat_sum: u32,
    csat_count: u32,
    shadow: Option<Shadow>,
    seen_at: At,
}

/// Why and since when a version is in shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shadow {
    at: At,
    why: String,
    /// The case for which a person was told.
    case: CaseId,
}

/// A version of a rule for reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleQuality {
    /// The rule.
    pub rule: RuleId,
    /// Which version, in hexadecimal.
    pub rev: String,
    /// Cases that it opened.
    pub opened: u32,
    /// By truth.
    pub outcomes: BTreeMap<String, u32>,
    /// Confirmed among those of which it is known; `None` without any.
    pub precision: Option<f64>,
    /// The 95 % Wilson interval of it.
    pub precision_between: Option<(f64, f64)>,
    /// Seconds from detection to failure that 10, 50 and 90 % of the confirmed cases with a known failure exceed
    /// at least, in steps of a quarter of an octave.
    pub lead_s: Option<[f64; 3]>,
    /// Confirmed failures that came before the detection.
    pub late: u32,
    /// Mean of the customers' marks, 1 to 5.
    pub csat: Option<f64>,
    /// Why the desk has put it into shadow, if it has.
    pub shadow: Option<String>,
    /// When it last opened a case or had one judged.
    pub seen_at: At,
}

/// The bounds of the share of hits, with 95 % confidence.
fn wilson(hits: u32, all: u32) -> (f64, f64) {
    let n = f64::from(all);
    let share = f64::from(hits) / n;
    let middle = share + Z * Z / (2.0 * n);
    let width = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - width) / scale).max(0.0), ((middle + width) / scale).min(1.0))
}

/// Four bins an octave of seconds, exact on every machine.
fn bin(lead: Span) -> u8 {
    let secs = u64::try_from(lead.as_micros() / 1_000_000).unwrap_or(0).max(1);
    let octave = secs.ilog2();
    let quarter = ((secs << 2) >> octave) & 3;
    u8::try_from(octave * 4 + u32::try_from(quarter).unwrap_or(0)).unwrap_or(u8::MAX)
}

/// Where a bin begins, in seconds.
fn begins(bin: u8) -> f64 {
    (1.0 + f64::from(bin % 4) / 4.0) * f64::from(bin / 4).exp2()
}

impl TallyRow {
    /// Counts an outcome in (`by` = 1) or out again (-1).
    fn count(&mut self, row: &OutcomeRow, by: i32) {
        let add = |count: &mut u32| *count = count.saturating_add_signed(by);
        if let Some(truth) = row.verdict.truth {
            let index = Truth::ALL.iter().position(|t| *t == truth).unwrap_or(0);
            add(&mut self.truths[index]);
            match truth {
                Truth::Confirmed => add(&mut self.hits),
                Truth::NoFaultFound | Truth::CustomerDenied => add(&mut self.misses),
                Truth::Unknown => {}
            }
        }
        match row.lead() {
            Some(lead) if lead < Span::ZERO => add(&mut self.late),
            Some(lead) => {
                let bin = bin(lead);
                add(self.leads.entry(bin).or_default());
                self.leads.retain(|_, count| *count > 0);
            }
            None => {}
        }
        if let Some(csat) = row.verdict.csat {
            self.csat_sum = self.csat_sum.saturating_add_signed(by * i32::from(csat));
            add(&mut self.csat_count);
        }
    }

    fn known(&self) -> (u32, u32) {
        let [confirmed, no_fault, denied, _] = self.truths;
        (confirmed, confirmed + no_fault + denied)
    }

    /// The lead time that `share` of the confirmed exceed at least.
    fn lead(&self, share: f64) -> Option<f64> {
        let all: u32 = self.leads.values().sum();
        let mut above = f64::from(all) * share;
        self.leads.iter().rev().find_map(|(bin, count)| {
            above -= f64::from(*count);
            (above <= 0.0).then(|| begins(*bin))
        })
    }
}

/// A case of a rule was opened.
pub(super) fn opened(change: &mut Change<'_>, row: &OutcomeRow) {
    let key = (row.rule.clone(), row.rule_rev);
    let mut tally = change.get::<TallyRow>(&key).unwrap_or_default();
    if tally.opened == 0 {
        forget_old(change, &row.rule);
    }
    tally.opened += 1;
    tally.seen_at = change.now;
    change.put(key, tally);
}

/// Versions of one rule that are remembered.
const VERSIONS: usize = 8;

fn forget_old(change: &mut Change<'_>, rule: &RuleId) {
    let of_rule = change.base.rows.tallies.range((rule.clone(), 0)..).take_while(|(key, _)| key.0 == *rule);
    let mut known: Vec<_> = of_rule.map(|(key, row)| (row.seen_at, key.clone())).collect();
    known.sort();
    let over = (known.len() + 1).saturating_sub(VERSIONS);
    for (_, key) in known.into_iter().take(over) {
        change.delete::<TallyRow>(key);
    }
}

/// What became of a case is said, or said differently.
pub(super) fn judged(change: &mut Change<'_>, id: CaseId, before: &OutcomeRow, after: &OutcomeRow) {
    let key = (after.rule.clone(), after.rule_rev);
    let mut tally = change.get::<TallyRow>(&key).unwrap_or_default();
    tally.count(before, -1);
    tally.count(after, 1);
    tally.seen_at = change.now;
    let settings = &change.config.outcomes;
    let floor = settings.rule.get(&after.rule).map_or(settings.min_precision, |f| f.min_precision);
    let all = tally.hits + tally.misses;
    if tally.shadow.is_none() && all >= settings.min_outcomes.max(1) {
        let at_most = wilson(tally.hits, all).1;
        if at_most < floor {
            let why = format!(
                "rule {} is put into shadow: {} of {all} cases were confirmed, at most {:.0} % with 95 % confidence; its \
                 floor is {:.0} %",
                after.rule,
                tally.hits,
                at_most * 100.0,
                floor * 100.0
            );
            tally.shadow = Some(Shadow { at: change.now, why: why.clone(), case: id });
            let counts = format!("{} of {all}", tally.hits);
            let finding = Finding {
                fault: "desk.rule_in_shadow",
                about: format!("rule {}", after.rule),
                title: why,
                evidence: vec![("confirmed", counts), ("version", format!("{:016x}", after.rule_rev))],
            };
            change.put(key, tally);
            return report::tell(change, id, finding);
        }
    }
    change.put(key, tally);
}

/// Why a version of a rule may not act, if the desk has put it into shadow.
pub(super) fn why_not(change: &Change<'_>, rule: &RuleId, rev: u64) -> Option<String> {
    change.get::<TallyRow>(&(rule.clone(), rev))?.shadow.map(|shadow| shadow.why)
}

/// A person lets the versions of a rule act again; they are judged by new outcomes. `false`: none is in shadow.
pub(super) fn release(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> bool {
    let of_rule = change.base.rows.tallies.range((rule.clone(), 0)..).take_while(|(key, _)| key.0 == *rule);
    let dark = of_rule.filter(|(_, row)| row.shadow.is_some());
    let dark: Vec<_> = dark.map(|(key, row)| (key.clone(), row.clone())).collect();
    if dark.is_empty() {
        return false;
    }
    change.because(format!("api:{actor}"), format!("rule {rule} may act again"));
    for (key, mut row) in dark {
        if let Some(shadow) = row.shadow.take() {
            pages::acknowledge(change, shadow.case, actor);
        }
        (row.hits, row.misses) = (0, 0);
        change.put(key, row);
    }
    true
}

/// Whether a record says anything new about the quality of rules.
pub(super) fn concerns(record: &Record) -> bool {
    record.changes.iter().any(|(key, _)| key.first() == Some(&TallyRow::TAG))
}

impl Desk {
    /// Every version of a rule that has opened a case, by rule; the newest version first.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleQuality> {
        let mut all: Vec<RuleQuality> =
            self.state.rows.tallies.iter().map(|((rule, rev), row)| view(rule, *rev, row)).collect();
        all.sort_by(|a, b| a.rule.cmp(&b.rule).then(b.seen_at.cmp(&a.seen_at)));
        all
    }

    /// Whether a record changes what [`Self::rules`] says.
    #[must_use]
    pub fn changes_rules(record: &Record) -> bool {
        concerns(record)
    }
}

fn view(rule: &RuleId, rev: u64, row: &TallyRow) -> RuleQuality {
    let (hits, all) = row.known();
    let leads = [0.9, 0.5, 0.1].map(|share| row.lead(share));
    RuleQuality {
        rule: rule.clone(),
        rev: format!("{rev:016x}"),
        opened: row.opened,
        outcomes: Truth::ALL.iter().zip(row.truths).map(|(truth, n)| (truth.as_str().to_owned(), n)).collect(),
        precision: (all > 0).then(|| f64::from(hits) / f64::from(all)),
        precision_between: (all > 0).then(|| wilson(hits, all)),
        lead_s: match leads {
            [Some(p10), Some(p50), Some(p90)] => Some([p10, p50, p90]),
            _ => None,
        },
        late: row.late,
        csat: (row.csat_count > 0).then(|| f64::from(row.csat_sum) / f64::from(row.csat_count)),
        shadow: row.shadow.as_ref().map(|s| s.why.clone()),
        seen_at: row.seen_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_bounds_are_those_of_the_books() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (hits, all, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (l, h) = wilson(hits, all);
            assert!((l - low).abs() < 0.0002 && (h - high).abs() < 0.0002, "{hits}/{all}: {l} {h}");
        }
    }

    #[test]
    fn lead_times_fall_into_quarters_of_an_octave() {
        for (secs, begin) in
            [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (9, 8.0), (10, 10.0), (86_400, 81_920.0)]
        {
            let found = begins(bin(Span::from_secs(secs)));
            assert!((found - begin).abs() < 1e-9, "{secs}: {found}");
        }
        let leads = (1..=100).map(|n| bin(Span::from_hours(n))).fold(BTreeMap::new(), |mut all, bin| {
            *all.entry(bin).or_insert(0) += 1;
            all
        });
        let row = TallyRow { leads, ..TallyRow::default() };
        let hours = |share| row.lead(share).unwrap() / 3_600.0;
        assert!(hours(0.9) <= 11.0 && hours(0.9) > 8.0, "{}", hours(0.9));
        assert!(hours(0.5) <= 51.0 && hours(0.5) > 40.0, "{}", hours(0.5));
    }
}
