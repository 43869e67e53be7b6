//! One value out of those of all parts of a lane.

use std::cell::Cell;

use super::part::Part;
use super::vm::{View, or, run};
use crate::rules::{Fold, FoldSpec, MAX_STACK};

/// What folds have come to at the instant at hand, so that each is worked out once: for 96 cells that are compared with
/// the mean of 96 cells, that is 96 steps and not 9,216.
#[derive(Debug, Default)]
pub(super) struct Memo {
    instant: u64,
    /// By fold: the instant for which it was worked out, and its value.
    values: Vec<Cell<(u64, f64)>>,
}

impl Memo {
    /// Another device, another time, or other values: what was worked out no longer counts.
    pub(super) fn renew(&mut self, folds: usize) {
        self.instant += 1;
        if self.values.len() < folds {
            self.values.resize(folds, Cell::new((0, f64::NAN)));
        }
    }
}

#[inline(never)]
pub(super) fn value(view: &View<'_>, ix: u16) -> f64 {
    let memo = view.memo.values.get(usize::from(ix));
    if let Some((_, known)) = memo.map(Cell::get).filter(|(instant, _)| *instant == view.memo.instant) {
        return known;
    }
    let value = fold(view, &view.program.folds[usize::from(ix)]);
    if let Some(memo) = memo {
        memo.set((view.memo.instant, value));
    }
    value
}

fn fold(view: &View<'_>, spec: &FoldSpec) -> f64 {
    let mut stack = [0.0; MAX_STACK];
    let mut of_part = |ix: usize| run(&view.of(ix), &spec.code, &mut stack);
    let meant = |p: &Part| p.lane == spec.lane && spec.sel.is_none_or(|sel| p.chosen[usize::from(sel)]);
    let parts = view.parts.iter().enumerate().filter(|(_, p)| meant(p));
    if spec.kind == Fold::Any {
        return parts.map(|(ix, _)| of_part(ix)).fold(0.0, or);
    }
    // Unknown ones are left out.
    let known = parts.map(|(ix, part)| (of_part(ix), part)).filter(|(value, _)| !value.is_nan());
    if spec.kind == Fold::Median {
        return median(known.map(|(value, _)| value).collect());
    }
    let (mut n, mut sum, mut holds) = (0.0, 0.0, 0.0);
    let (mut low, mut high) = ((f64::NAN, 0), (f64::NAN, 0));
    for (value, part) in known {
        // The first of several that are equal.
        if n == 0.0 || value < low.0 {
            low = (value, part.key.index());
        }
        if n == 0.0 || value > high.0 {
            high = (value, part.key.index());
        }
        n += 1.0;
        sum += value;
        holds += f64::from(u8::from(value == 1.0));
    }
    match spec.kind {
        _ if n == 0.0 => f64::NAN,
        Fold::Max => high.0,
        Fold::Min => low.0,
        Fold::Spread => high.0 - low.0,
        Fold::Argmax => f64::from(high.1),
        Fold::Argmin => f64::from(low.1),
        Fold::Count => holds,
        Fold::Mean | Fold::Median | Fold::Any => sum / n,
    }
}

/// Half-way between the two in the middle if there is no middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n => f64::midpoint(values[(n - 1) / 2], values[n / 2]),
    }
}
