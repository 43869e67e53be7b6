//! Windows over numbers, and the larger or smaller of two values.

use super::super::check::{Checker, Typed, join};
use super::super::expr::{Expr, Word};
use super::super::program::{Family, Ins, Read};
use super::super::types::{Nature, Ty, per_second};
use super::Call;
use crate::domain::Dimension;

pub(super) const CALLS: &[Call] = &[
    windowed("avg", "avg(value, 10m)"),
    extreme("min", "min(value, 10m)"),
    extreme("max", "max(value, 10m)"),
    windowed("sum", "sum(value, 10m)"),
    windowed("n", "n(value, 10m)"),
    windowed("stddev", "stddev(value, 10m)"),
    windowed("rate", "rate(value, 10m)"),
    windowed("slope", "slope(value, 10m)"),
    windowed("r2", "r2(value, 10m)"),
    windowed("delta", "delta(value, 24h)"),
    windowed("ewma", "ewma(value, 1h)"),
    Call { name: "first", usage: "first(value, 24h)", takes: 2..=2, check: |c, name, a| c.end(name, &a[0], &a[1]) },
    Call { name: "last", usage: "last(value, 24h)", takes: 2..=2, check: |c, name, a| c.end(name, &a[0], &a[1]) },
];

const fn windowed(name: &'static str, usage: &'static str) -> Call {
    Call { name, usage, takes: 2..=2, check: |c, name, a| c.windowed(name, &a[0], &a[1]) }
}

/// Of components, over time, or of two values.
const fn extreme(name: &'static str, usage: &'static str) -> Call {
    let check = |c: &mut Checker<'_>, name: &Word, a: &[Expr]| match a {
        [over] => c.fold(name, over),
        _ => c.min_max(name, &a[0], &a[1]),
    };
    Call { name, usage, takes: 1..=2, check }
}

impl Checker<'_> {
    fn min_max(&mut self, name: &Word, a: &Expr, b: &Expr) -> Option<Typed> {
        let (left, right) = (self.check(a), self.check(b));
        let (left, right) = (left?, right?);
        let time = |t: &Typed| matches!(&t.ty, Ty::Num(u, _) if u.dimension == Dimension::TIME);
        let window = time(&right) && right.konst.is_some() && (!time(&left) || left.slot.is_some());
        let lowest = &*name.text == "min";
        if window {
            let (family, read) = if lowest { (Family::Min, Read::Min) } else { (Family::Max, Read::Max) };
            let window = self.window_of(right, b)?;
            let input = self.need_number(left, a, &format!("the first argument of {}", name.text))?;
            let input = self.streamable(input, a)?;
            let op = self.operator(family, &input, Some(&window), &[]);
            let ty = input.ty.clone();
            return Some(self.read(read, op, ty, &input, Some(&window)));
        }
        let left = self.need_number(left, a, &format!("an argument of {}", name.text))?;
        let (left, right) = self.same(left, right, a, b, &format!("the arguments of {}", name.text))?;
        let (ty, text) = (left.ty.clone(), format!("{}({}, {})", name.text, left.text, right.text));
        Some(join(ty, text, [left, right], &[if lowest { Ins::Min } else { Ins::Max }]))
    }

    /// The first or the last sample of a window, of any type.
    fn end(&mut self, name: &Word, m: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.check(m), self.window(w));
        let (input, window) = (self.streamable(input?, m)?, window?);
        let op = self.operator(Family::Rate, &input, Some(&window), &[]);
        let read = if &*name.text == "first" { Read::First } else { Read::Newest };
        let ty = input.ty.clone();
        Some(self.read(read, op, ty, &input, Some(&window)))
    }

    fn windowed(&mut self, name: &Word, m: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.check(m), self.window(w));
        let input = self.need_number(input?, m, &format!("the first argument of {}", name.text))?;
        let (input, window) = (self.streamable(input, m)?, window?);
        let Ty::Num(unit, _) = input.ty.clone() else { return None };
        let (family, read, ty) = match &*name.text {
            "avg" => (Family::Sum, Read::Avg, input.ty.clone()),
            "sum" => {
                self.need_linear(input.clone(), m, "added up")?;
                (Family::Sum, Read::Sum, input.ty.clone())
            }
            "n" => (Family::Sum, Read::Count, Ty::plain()),
            "stddev" => (Family::Moments, Read::Stddev, input.ty.difference()),
            "rate" => (Family::Rate, Read::Rate, Ty::Num(per_second(&unit), Nature::Linear)),
            "delta" => (Family::Rate, Read::Delta, input.ty.difference()),
            "slope" => (Family::Trend, Read::Slope, Ty::Num(per_second(&unit), Nature::Linear)),
            "r2" => (Family::Trend, Read::R2, Ty::plain()),
            _ => (Family::Ewma, Read::Ewma, input.ty.clone()),
        };
        let op = self.operator(family, &input, Some(&window), &[]);
        Some(self.read(read, op, ty, &input, Some(&window)))
    }
}
