//! What can be said of a value at one instant.

use super::super::check::{Checker, Typed, join};
use super::super::expr::Expr;
use super::super::program::{Const, Ins, Uses};
use super::super::types::{Ty, seconds};
use super::Call;
use crate::domain::Dimension;
use crate::source::Diagnostic;

pub(super) const CALLS: &[Call] = &[
    Call { name: "known", usage: "known(value)", takes: 1..=1, check: |c, _, a| c.known(&a[0]) },
    Call { name: "age", usage: "age(signal)", takes: 1..=1, check: |c, _, a| c.age(&a[0]) },
    Call { name: "silent", usage: "silent(15m)", takes: 1..=1, check: |c, _, a| c.silent(&a[0]) },
    Call { name: "only", usage: "only(value, condition)", takes: 2..=2, check: |c, _, a| c.only(&a[0], &a[1]) },
    Call { name: "abs", usage: "abs(value)", takes: 1..=1, check: |c, _, a| c.abs(&a[0]) },
];

impl Checker<'_> {
    fn known(&mut self, x: &Expr) -> Option<Typed> {
        let input = self.check(x)?;
        let text = format!("known({})", input.text);
        let mut typed = join(Ty::Bool, text, [input], &[Ins::Known]);
        typed.uses.known = true;
        Some(typed)
    }

    fn age(&mut self, x: &Expr) -> Option<Typed> {
        let input = self.check(x)?;
        let Some(slot) = input.slot else {
            let finding = Diagnostic::error("R030", "age is of a signal").hint("write age(signal)");
            self.report(finding, x, input.ty.what());
            return None;
        };
        let mut uses = input.uses;
        uses.age = true;
        let text = format!("age({})", input.text);
        Some(Typed {
            ty: Ty::seconds(),
            text,
            code: vec![Ins::Age(slot)],
            konst: None,
            literal: None,
            slot: None,
            uses,
        })
    }

    fn silent(&mut self, w: &Expr) -> Option<Typed> {
        let typed = self.check(w)?;
        let computed = typed.konst.is_none() && typed.uses.slots.is_empty() && typed.uses.ops.is_empty();
        if computed && matches!(&typed.ty, Ty::Num(u, _) if u.dimension == Dimension::TIME) {
            return Some(self.silent_for(typed));
        }
        let window = self.window_of(typed, w)?;
        let konst = window.konst.clone()?;
        let ix = self.const_ix(konst);
        let mut uses = Uses::default();
        uses.silents.insert(ix);
        let text = format!("silent({})", window.text);
        Some(Typed { ty: Ty::Bool, text, code: vec![Ins::Silent(ix)], konst: None, literal: None, slot: None, uses })
    }

    /// Silence of a computed length, such as `6 * usual_interval`.
    fn silent_for(&mut self, length: Typed) -> Typed {
        let length = self.convert_to(length, &seconds());
        let lengths = &mut self.tables.program.silences;
        let known = lengths.iter().position(|code| *code == length.code);
        let ix = known.unwrap_or_else(|| {
            lengths.push(length.code.clone());
            lengths.len() - 1
        });
        let text = format!("silent({})", length.text);
        let mut typed = join(Ty::Bool, text, [length], &[Ins::SilentFor]);
        typed.uses.lengths.insert(u16::try_from(ix).unwrap_or(u16::MAX));
        typed
    }

    fn only(&mut self, m: &Expr, c: &Expr) -> Option<Typed> {
        let (value, condition) = (self.check(m), self.condition(c));
        let (value, condition) = (value?, condition?);
        let (ty, text) = (value.ty.clone(), format!("only({}, {})", value.text, condition.text));
        let unknown = Ins::Const(self.const_ix(Const::Num(f64::NAN)));
        Some(join(ty, text, [condition, value], &[unknown, Ins::Choose]))
    }

    fn abs(&mut self, x: &Expr) -> Option<Typed> {
        let input = self.check(x)?;
        let input = self.need_number(input, x, "the argument of abs")?;
        let input = self.need_linear(input, x, "made positive")?;
        let (ty, text) = (input.ty.clone(), format!("abs({})", input.text));
        Some(join(ty, text, [input], &[Ins::Abs]))
    }
}
