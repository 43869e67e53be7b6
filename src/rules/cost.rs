//! What rules cost: the state that they keep of a device, and the time that a message of it takes.
//!
//! Bytes are exact, from the layout of the rows. Operators and signals that several rules read are kept once: each of
//! the rules is told the whole of them and how much of it is shared, and the model has the sum, counted once. Times are
//! estimates: what `cargo bench --bench operators` measured of each operator on one core, with the state in its cache.

use std::collections::BTreeSet;

use super::program::{Family, Ins, ModelProgram, Piece, Program, Read, RuleProgram};
use crate::domain::{ModelId, RuleId};
use crate::source::Place;

/// What a rule costs on the devices of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleCost {
    /// The rule.
    pub rule: RuleId,
    /// The model.
    pub model: ModelId,
    /// Where the rule stands.
    pub place: Place,
    /// State of a device, in bytes, …
    pub device_bytes: usize,
    /// … of each of its parts (a cell, a code) that the rule reads, …
    pub part_bytes: usize,
    /// … and how much of both other rules read as well.
    pub shared_bytes: usize,
    /// Estimated time that a message with its signals takes, in nanoseconds; of parts, for one.
    pub ns: f64,
}

/// What all rules of a model and its facts cost, with what they share counted once.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCost {
    /// The model.
    pub model: ModelId,
    /// State of a device, in bytes.
    pub device_bytes: usize,
    /// The kinds of its parts, and the state of one, in bytes.
    pub part_bytes: Vec<(String, usize)>,
    /// Estimated time that a message with all signals takes, in nanoseconds; of parts, for one of each.
    pub ns: f64,
}

impl Program {
    /// What each rule that is on costs, by model.
    #[must_use]
    pub fn rule_costs(&self) -> Vec<RuleCost> {
        let mut costs = Vec::new();
        for model in &self.models {
            let reaches: Vec<Reach> = model.rules.iter().map(|rule| Reach::of(model, rule)).collect();
            for (ix, rule) in model.rules.iter().enumerate() {
                let Some(info) = self.rules.iter().find(|info| info.id == rule.id) else { continue };
                let others: Vec<&Reach> =
                    reaches.iter().enumerate().filter(|(n, _)| *n != ix).map(|(_, r)| r).collect();
                let shared = reaches[ix].shared(&others);
                let (device, part) = reaches[ix].words(model);
                let own = own_words(rule);
                costs.push(RuleCost {
                    rule: rule.id.clone(),
                    model: model.model.id.clone(),
                    place: info.place.clone(),
                    device_bytes: 8 * (device + if rule.lane == 0 { own } else { 0 }),
                    part_bytes: 8 * (part + if rule.lane == 0 { 0 } else { own }),
                    shared_bytes: 8 * (shared.words(model).0 + shared.words(model).1),
                    ns: conditions_ns(model, rule) + reaches[ix].ns(model),
                });
            }
        }
        costs
    }

    /// What all rules of each model cost; models without rules are left out.
    #[must_use]
    pub fn model_costs(&self) -> Vec<ModelCost> {
        let cost = |model: &ModelProgram| {
            let all = Reach { ops: (0..).zip(&model.ops).map(|(ix, _)| ix).collect(), ..Reach::default() };
            let conditions: f64 = model.rules.iter().map(|rule| conditions_ns(model, rule)).sum();
            ModelCost {
                model: model.model.id.clone(),
                device_bytes: 8 * model.lanes[0].words,
                part_bytes: model.lanes[1..].iter().map(|l| (l.name.to_string(), 8 * l.words)).collect(),
                ns: conditions + all.ns(model),
            }
        };
        self.models.iter().filter(|m| !m.rules.is_empty()).map(cost).collect()
    }
}

/// Words of the head, the levels and the bars of a rule.
fn own_words(rule: &RuleProgram) -> usize {
    let bars = rule.bars.as_ref().map_or(0, super::limits::Bars::words);
    super::program::RULE_WORDS + rule.levels.len() * super::program::LEVEL_WORDS + bars
}

/// What a rule reads: directly, through operators, and for what it tells.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) slots: BTreeSet<u16>,
    pub(super) ops: BTreeSet<u16>,
    folds: BTreeSet<u16>,
}

impl Reach {
    pub(super) fn of(model: &ModelProgram, rule: &RuleProgram) -> Self {
        let mut reach = Self { slots: rule.uses.slots.clone(), ..Self::default() };
        rule.uses.ops.iter().for_each(|op| reach.operator(model, *op));
        rule.chart.iter().for_each(|chart| reach.operator(model, chart.op));
        rule.levels.iter().for_each(|level| {
            reach.follow(model, &level.when);
            reach.follow(model, level.clear.as_deref().unwrap_or_default());
        });
        rule.evidence.iter().for_each(|(_, code, ..)| reach.follow(model, code));
        for piece in &rule.title {
            if let Piece::Value(code, ..) = piece {
                reach.follow(model, code);
            }
        }
        reach
    }

    fn follow(&mut self, model: &ModelProgram, code: &[Ins]) {
        for ins in code {
            match ins {
                Ins::Slot(slot) | Ins::Age(slot) => {
                    self.slots.insert(*slot);
                }
                Ins::Read(_, op) | Ins::Fresh(op) => self.operator(model, *op),
                Ins::Fold(fold) if self.folds.insert(*fold) => {
                    self.follow(model, &model.folds[usize::from(*fold)].code);
                }
                _ => {}
            }
        }
    }

    fn operator(&mut self, model: &ModelProgram, op: u16) {
        if self.ops.insert(op) {
            self.follow(model, &model.ops[usize::from(op)].input);
        }
    }

    /// What others reach as well.
    fn shared(&self, others: &[&Self]) -> Self {
        let slots = self.slots.iter().filter(|s| others.iter().any(|o| o.slots.contains(s)));
        let ops = self.ops.iter().filter(|op| others.iter().any(|o| o.ops.contains(op)));
        Self { slots: slots.copied().collect(), ops: ops.copied().collect(), folds: BTreeSet::new() }
    }

    /// Words in the row of the device, and in those of parts.
    fn words(&self, model: &ModelProgram) -> (usize, usize) {
        let slots = self.slots.iter().map(|ix| (model.slots[usize::from(*ix)].lane, 2));
        let ops = self.ops.iter().map(|ix| &model.ops[usize::from(*ix)]).map(|op| (op.lane, op.words()));
        slots.chain(ops).fold((0, 0), |(device, part), (lane, words)| match lane {
            0 => (device + words, part),
            _ => (device, part + words),
        })
    }

    /// What keeping its operators up to date takes.
    fn ns(&self, model: &ModelProgram) -> f64 {
        let ops = self.ops.iter().map(|ix| &model.ops[usize::from(*ix)]);
        ops.map(|op| update_ns(op.family) + code_ns(model, &op.input)).sum()
    }
}

/// Looking at a rule, before its conditions.
const LOOK_NS: f64 = 8.0;

/// What the conditions of a rule take while it is quiet.
fn conditions_ns(model: &ModelProgram, rule: &RuleProgram) -> f64 {
    LOOK_NS + rule.levels.iter().map(|level| code_ns(model, &level.when)).sum::<f64>()
}

fn code_ns(model: &ModelProgram, code: &[Ins]) -> f64 {
    code.iter().map(|ins| ins_ns(model, *ins)).sum()
}

fn ins_ns(model: &ModelProgram, ins: Ins) -> f64 {
    match ins {
        Ins::Read(read, _) => read_ns(read),
        Ins::Fold(ix) => 10.0 + code_ns(model, &model.folds[usize::from(ix)].code),
        Ins::Hour(_) | Ins::Weekday(_) => 10.0,
        _ => 2.0,
    }
}

/// Working a sample into an operator, in nanoseconds. A new family has no figure until it is measured.
fn update_ns(family: Family) -> f64 {
    match family {
        Family::Held | Family::Seen | Family::Rose | Family::Last => 20.0,
        Family::Sample(_) => 25.0,
        Family::Ewma | Family::Rate => 30.0,
        Family::Sum | Family::Min | Family::Max | Family::Moments | Family::Rises | Family::Resid => 35.0,
        Family::Trend | Family::Runs => 45.0,
        Family::Cusum | Family::Total | Family::Tail => 50.0,
        Family::Baseline | Family::Sketch => 65.0,
        Family::Counter => 90.0,
        Family::Sequence(_) => 95.0,
    }
}

/// Asking an operator, in nanoseconds.
fn read_ns(read: Read) -> f64 {
    match read {
        Read::Ewma | Read::Cusum | Read::Point | Read::Total | Read::TotalCarried => 2.0,
        Read::Held | Read::Began | Read::Since | Read::Prev | Read::Changed => 5.0,
        Read::Complete | Read::Missed | Read::Step(_) => 5.0,
        Read::Grown | Read::Resets => 10.0,
        Read::Z | Read::Centre | Read::Scale => 20.0,
        Read::Rate | Read::First | Read::Newest | Read::Delta | Read::Tail => 35.0,
        Read::Count | Read::T2(_) => 45.0,
        Read::Rises => 60.0,
        Read::Avg | Read::Sum => 70.0,
        Read::TimeTrue | Read::Duty | Read::MeanOn => 80.0,
        Read::Min | Read::Max => 105.0,
        Read::Slope | Read::R2 | Read::TimeTo => 175.0,
        Read::Stddev | Read::Resid => 225.0,
        Read::Quantile => 1_150.0,
    }
}

#[cfg(test)]
mod tests {
    /// One row for each function, so that none is without a figure.
    #[test]
    fn every_function_is_measured() {
        let bench = include_str!("../../benches/operators.rs");
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let called =
            |name: &str| bench.match_indices(&format!("{name}(")).any(|(at, _)| !bench[..at].ends_with(in_word));
        let missing: Vec<_> = super::super::functions().filter(|name| !called(name)).collect();
        assert!(missing.is_empty(), "benches/operators.rs has no row for {missing:?}");
    }
}
