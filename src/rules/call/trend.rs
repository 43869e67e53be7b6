//! Where a value is heading.

use super::super::check::{Checker, Typed};
use super::super::expr::Expr;
use super::super::program::{Family, Read};
use super::super::types::Ty;
use super::Call;

pub(super) const CALLS: &[Call] = &[Call {
    name: "time_to",
    usage: "time_to(value, limit, 21d)",
    takes: 3..=3,
    check: |c, _, a| c.time_to(&a[0], &a[1], &a[2]),
}];

impl Checker<'_> {
    fn time_to(&mut self, m: &Expr, limit: &Expr, w: &Expr) -> Option<Typed> {
        let (input, bound, window) = (self.check(m), self.check(limit), self.window(w));
        let input = self.need_number(input?, m, "the first argument of time_to")?;
        let input = self.streamable(input, m)?;
        let Ty::Num(unit, _) = input.ty.clone() else { return None };
        let (_, bound) = self.same(input.clone(), bound?, m, limit, "the value and the limit of time_to")?;
        // The trend is of the input as it is; only the limit may have been converted.
        let bound = self.convert_to(bound, &unit);
        let window = window?;
        let op = self.operator(Family::Trend, &input, Some(&window), &[]);
        let mut typed = self.read(Read::TimeTo, op, Ty::seconds(), &input, Some(&window));
        typed.text = format!("time_to({}, {}, {})", input.text, bound.text, window.text);
        let mut code = bound.code;
        code.extend(typed.code);
        typed.uses.add(&bound.uses);
        Some(Typed { code, ..typed })
    }
}
