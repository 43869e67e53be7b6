//! One value out of those of all parts: `max(cell_v)`, `count(cell_v < 2.8[V])`.

use super::super::check::{Checker, Scope, Typed};
use super::super::expr::{Expr, Word};
use super::super::program::{Fold, FoldSpec, Ins, Uses};
use super::super::types::{Nature, Ty, step_of};
use super::Call;
use crate::source::Diagnostic;

pub(super) const CALLS: &[Call] = &[
    fold("mean", "mean(cell_v)"),
    fold("spread", "spread(cell_v)"),
    fold("median", "median(cell_v)"),
    fold("count", "count(cell_v < 2.8[V])"),
    fold("argmin", "argmin(cell_v)"),
    fold("argmax", "argmax(cell_v)"),
];

const KINDS: [(&str, Fold); 8] = [
    ("max", Fold::Max),
    ("min", Fold::Min),
    ("mean", Fold::Mean),
    ("spread", Fold::Spread),
    ("median", Fold::Median),
    ("count", Fold::Count),
    ("argmin", Fold::Argmin),
    ("argmax", Fold::Argmax),
];

const fn fold(name: &'static str, usage: &'static str) -> Call {
    Call { name, usage, takes: 1..=1, check: |c, name, a| c.fold(name, &a[0]) }
}

impl Checker<'_> {
    pub(super) fn fold(&mut self, name: &Word, over: &Expr) -> Option<Typed> {
        let kind = KINDS.iter().find(|(word, _)| *word == &*name.text)?.1;
        let input = self.for_each_part(over, &name.text)?;
        let what = format!("the argument of {}", name.text);
        let input = if kind == Fold::Count {
            self.need_bool(input, over, &what)?
        } else {
            self.need_number(input, over, &what)?
        };
        let ty = match (kind, &input.ty) {
            (Fold::Count | Fold::Argmin | Fold::Argmax, _) => Ty::plain(),
            (Fold::Spread, Ty::Num(unit, Nature::Point)) => Ty::Num(step_of(unit), Nature::Delta),
            (_, ty) => ty.clone(),
        };
        let text = format!("{}({})", name.text, input.text);
        Some(self.folded(kind, ty, text, input))
    }

    /// Checks an expression that every part of one kind works out for itself.
    fn for_each_part(&mut self, over: &Expr, name: &str) -> Option<Typed> {
        let outside = std::mem::replace(&mut self.scope, Scope::Fold(None));
        let input = self.check(over);
        self.scope = outside;
        let input = input?;
        if input.uses.lane != 0 {
            return Some(input);
        }
        let hint = match name {
            "max" | "min" => format!("over time it is {name}(value, 10m)"),
            _ => "read a signal that has `each`".to_owned(),
        };
        let finding = Diagnostic::error("R052", format!("{name} goes over components, and this has one value"));
        self.report(finding.hint(hint), over, "one value");
        None
    }

    /// A value of the device, made of what `input` is for each part.
    pub(super) fn folded(&mut self, kind: Fold, ty: Ty, text: String, input: Typed) -> Typed {
        let spec = FoldSpec {
            kind,
            lane: input.uses.lane,
            sel: None,
            code: input.code,
            text: text.clone(),
            shown: ty.shown(),
        };
        let ix = self.tables.fold(spec);
        let mut uses = Uses { lane: 0, ..input.uses };
        uses.folds.insert(ix);
        Typed { ty, text, code: vec![Ins::Fold(ix)], konst: None, literal: None, slot: None, uses }
    }
}
