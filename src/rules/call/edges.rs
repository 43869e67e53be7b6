//! What became true, for how long it has been, and what came before.

use super::super::check::{Checker, Typed};
use super::super::expr::{Expr, Word};
use super::super::program::{Family, Read};
use super::super::types::Ty;
use super::Call;

pub(super) const CALLS: &[Call] = &[
    Call { name: "rises", usage: "rises(condition, 1h)", takes: 2..=2, check: |c, _, a| c.rises(&a[0], &a[1]) },
    Call { name: "held", usage: "held(condition)", takes: 1..=1, check: |c, _, a| c.held(&a[0]) },
    Call { name: "prev", usage: "prev(value)", takes: 1..=1, check: |c, name, a| c.last(name, &a[0]) },
    Call { name: "changed", usage: "changed(value)", takes: 1..=1, check: |c, name, a| c.last(name, &a[0]) },
];

impl Checker<'_> {
    fn rises(&mut self, c: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.condition(c), self.window(w));
        let (input, window) = (self.streamable(input?, c)?, window?);
        let op = self.operator(Family::Rises, &input, Some(&window), &[]);
        Some(self.read(Read::Rises, op, Ty::plain(), &input, Some(&window)))
    }

    fn held(&mut self, c: &Expr) -> Option<Typed> {
        let input = self.condition(c)?;
        let input = self.streamable(input, c)?;
        let op = self.operator(Family::Held, &input, None, &[]);
        Some(self.read(Read::Held, op, Ty::seconds(), &input, None))
    }

    fn last(&mut self, name: &Word, m: &Expr) -> Option<Typed> {
        let input = self.check(m)?;
        let input = self.streamable(input, m)?;
        let op = self.operator(Family::Last, &input, None, &[]);
        let (read, ty) = if &*name.text == "prev" { (Read::Prev, input.ty.clone()) } else { (Read::Changed, Ty::Bool) };
        Some(self.read(read, op, ty, &input, None))
    }
}
