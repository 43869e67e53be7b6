//! What a reload changes: which rules are other ones, and what of the state behind them is kept.
//!
//! State is found again by its canonical name (an operator with its input and its constants, a signal with its unit), so
//! this needs no device: what one program and the next both name is kept, the rest begins anew.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cost::Reach;
use super::program::{Ins, Lane, ModelProgram, Program, RuleProgram};
use super::tree::{Node, Part};
use crate::domain::{ModelId, RuleId};

/// From one program to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// How many rules are as they were, with all of their state.
    pub same: usize,
    /// The others, by model.
    pub rules: Vec<RuleChange>,
    /// Rules that are gone or off: their open episodes end.
    pub removed: Vec<RuleId>,
}

/// A rule that is new or not what it was, on the devices of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    /// The rule.
    pub rule: RuleId,
    /// The model.
    pub model: ModelId,
    /// There was none of this name that watched the same.
    pub is_new: bool,
    /// Operators that keep their state, as the rule writes them.
    pub kept: Vec<String>,
    /// Operators and signals that nobody followed before: they begin cold, or are refilled from the journal.
    pub fresh: Vec<String>,
}

impl Program {
    /// What is other in `next`.
    #[must_use]
    pub fn changes(&self, next: &Self) -> Changes {
        let mut changes = Changes::default();
        let mut touched = BTreeSet::new();
        for model in &next.models {
            let before = self.models.iter().find(|m| m.model.id == model.model.id);
            for rule in &model.rules {
                let old = before.and_then(|m| m.rules.iter().find(|r| r.id == rule.id && same_lane(m, r, model, rule)));
                let change = RuleChange::of(model, rule, before, old.is_none());
                if old.is_none_or(|old| old.rev != rule.rev) || !change.fresh.is_empty() {
                    touched.insert(&rule.id);
                    changes.rules.push(change);
                }
            }
        }
        let on = |program: &Self| -> BTreeSet<RuleId> {
            program.models.iter().flat_map(|m| &m.rules).map(|r| r.id.clone()).collect()
        };
        let (was, is) = (on(self), on(next));
        changes.removed = was.difference(&is).cloned().collect();
        changes.same = is.len() - touched.len();
        changes
    }
}

impl RuleChange {
    fn of(model: &ModelProgram, rule: &RuleProgram, before: Option<&ModelProgram>, is_new: bool) -> Self {
        let reach = Reach::of(model, rule);
        let known = |lane: u16, offset: usize| {
            let lane = &model.lanes[usize::from(lane)];
            let old = before.and_then(|m| m.lanes.iter().find(|l| same(l, lane)));
            let item = lane.items.iter().find(|item| item.offset == offset);
            old.zip(item)
                .is_some_and(|(old, item)| old.items.iter().any(|i| (&i.key, i.words) == (&item.key, item.words)))
        };
        let (mut kept, mut fresh) = (Vec::new(), Vec::new());
        for op in &reach.ops {
            let spec = &model.ops[usize::from(*op)];
            let list = if known(spec.lane, spec.offset) { &mut kept } else { &mut fresh };
            list.push(written(rule, *op).unwrap_or_else(|| spec.key.clone()));
        }
        for slot in reach.slots.iter().map(|ix| &model.slots[usize::from(*ix)]) {
            if !known(slot.lane, slot.offset) {
                fresh.push(slot.name.to_string());
            }
        }
        Self { rule: rule.id.clone(), model: model.model.id.clone(), is_new, kept, fresh }
    }
}

fn same(a: &Lane, b: &Lane) -> bool {
    (&a.name, a.codes) == (&b.name, b.codes)
}

/// Whether two rules watch the same: the device, or the same kind of part.
fn same_lane(m: &ModelProgram, r: &RuleProgram, next: &ModelProgram, rule: &RuleProgram) -> bool {
    same(&m.lanes[usize::from(r.lane)], &next.lanes[usize::from(rule.lane)])
}

/// An operator as the rule writes it.
fn written(rule: &RuleProgram, op: u16) -> Option<String> {
    let trees = &rule.trees;
    let levels = trees.levels.iter().flat_map(|level| [level.when.as_deref(), level.clear.as_deref()]);
    let roots = trees.filter.as_deref().into_iter().chain(levels.flatten()).chain(&trees.bars);
    roots.into_iter().find_map(|root| find(root, op)).map(|node| node.text.to_string())
}

fn find(node: &Node, op: u16) -> Option<&Node> {
    let is_it = match node.part {
        Part::Baseline(ix) | Part::Sample(ix) | Part::Steps(ix) => ix == op,
        Part::Call => matches!(node.code.first(), Some(Ins::Read(_, ix)) if *ix == op),
        _ => false,
    };
    if is_it { Some(node) } else { node.children.iter().find_map(|child| find(child, op)) }
}
