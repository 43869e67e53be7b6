//! What was noticed on the way and changes nothing: for metrics. Not part of the state.

use std::collections::BTreeMap;

use super::Engine;
use super::device::{Device, Work};
use super::ops::word;
use crate::rules::{Bars, RuleProgram};

/// The name of a counter and its labels, without a model or rule that would make it endless: all are of the files.
pub type Count = (&'static str, Vec<(&'static str, String)>);

/// Counters since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Count, u64>);

impl Counts {
    pub(super) fn one<const N: usize>(&mut self, name: &'static str, labels: [(&'static str, &str); N]) {
        let labels = labels.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        *self.0.entry((name, labels)).or_default() += 1;
    }
}

impl Device {
    /// Counts that a bar has kept a rule from raising: once from when its condition becomes true.
    pub(super) fn count_kept(
        &mut self,
        work: &mut Work<'_>,
        rule: &RuleProgram,
        bars: &Bars,
        part: Option<usize>,
        kept: bool,
    ) {
        let told = &mut self.row_mut(part)[bars.offset + 1];
        if kept && *told == 0 {
            work.scratch.counts.one("forewarn_raises_barred_total", [("rule", rule.id.as_str())]);
        }
        *told = word(i64::from(kept));
    }
}

impl Engine {
    /// What has been counted since the last call, by name and labels: `forewarn_late_total{model}` (T3),
    /// `forewarn_clock_skew_total{model}` (T1; [`super::WrongClock`] has it by device),
    /// `forewarn_bad_value_total{model,signal,reason}` (V4), `forewarn_raises_barred_total{rule}`,
    /// `forewarn_codes_refused_total{model}` (no room beside those that are followed).
    pub fn take_counts(&mut self) -> BTreeMap<Count, u64> {
        std::mem::take(&mut self.scratch.counts.0)
    }
}
