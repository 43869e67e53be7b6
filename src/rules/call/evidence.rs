//! What is unusual, against a baseline of the rule.
//!
//! `z(m, NAME)` is `(m - centre) / scale` of the present regime; `centre` and `scale` are in the unit of the baseline. A
//! scale of 0 makes `z` unknown. `cusum(m, k, h, NAME)` adds up what `z` exceeds `k`, sample by sample and never below
//! 0, and is true while the sum is above `h`: upward shifts only. `cusum_low` does the same with `-z`. Without `h` they
//! are the sum itself. `t2(NAME)` is Hotelling's T² of all values of the baseline: the squared distance from their means
//! in units of their covariance; about the number of values is usual.

use super::super::baseline::Declared;
use super::super::check::{Checker, Typed, join};
use super::super::expr::{Expr, Kind};
use super::super::program::{Const, Family, Ins, Read};
use super::super::types::{Nature, Ty};
use super::Call;
use crate::domain::Dimension;
use crate::source::Diagnostic;

pub(super) const CALLS: &[Call] = &[
    Call { name: "z", usage: "z(value, baseline)", takes: 2..=2, check: |c, _, a| c.z(&a[0], &a[1]) },
    Call { name: "centre", usage: "centre(baseline)", takes: 1..=1, check: |c, _, a| c.usual(Read::Centre, &a[0]) },
    Call { name: "scale", usage: "scale(baseline)", takes: 1..=1, check: |c, _, a| c.usual(Read::Scale, &a[0]) },
    Call { name: "t2", usage: "t2(baseline), t2([a, b], baseline)", takes: 1..=2, check: |c, _, a| c.t2(a) },
    Call { name: "cusum", usage: CUSUM, takes: 3..=4, check: |c, _, a| c.cusum(a, false) },
    Call { name: "cusum_low", usage: CUSUM, takes: 3..=4, check: |c, _, a| c.cusum(a, true) },
];

const CUSUM: &str = "cusum(value, 0.5, 8, baseline)";

impl Checker<'_> {
    fn z(&mut self, m: &Expr, name: &Expr) -> Option<Typed> {
        let (value, declared) = (self.check(m), self.baseline(name));
        let (value, declared) = (value?, declared?);
        self.z_of(value, m, &declared, name)
    }

    fn z_of(&mut self, value: Typed, m: &Expr, declared: &Declared, name: &Expr) -> Option<Typed> {
        let usual = self.single(declared, name)?;
        let value = self.like(value, m, &usual, declared)?;
        let text = format!("z({}, {})", value.text, declared.text);
        Some(self.of_baseline(Read::Z, Ty::plain(), text, vec![value], declared))
    }

    /// A value to be compared with what is `usual`, in its unit.
    fn like(&mut self, value: Typed, m: &Expr, usual: &Typed, declared: &Declared) -> Option<Typed> {
        let value = self.need_number(value, m, "what is compared with a baseline")?;
        let (Ty::Num(unit, nature), Ty::Num(own, own_nature)) = (&usual.ty, &value.ty) else { return None };
        let (points, point) = (*nature == Nature::Point, *own_nature == Nature::Point);
        if unit.dimension != own.dimension || points != point {
            let finding = Diagnostic::error("R031", "unit mismatch").related(declared.place.clone(), usual.ty.what());
            self.report(finding, m, value.ty.what());
            return None;
        }
        Some(self.convert_to(value, unit))
    }

    fn usual(&mut self, read: Read, name: &Expr) -> Option<Typed> {
        let declared = self.baseline(name)?;
        let ty = self.single(&declared, name)?.ty;
        let ty = if read == Read::Scale { ty.difference() } else { ty };
        let text = format!("{read:?}({})", declared.text).to_lowercase();
        Some(self.of_baseline(read, ty, text, Vec::new(), &declared))
    }

    /// `t2(NAME)` of what the baseline is of, `t2([a, b], NAME)` of other values.
    fn t2(&mut self, args: &[Expr]) -> Option<Typed> {
        let name = &args[args.len() - 1];
        let declared = self.baseline(name)?;
        let count = u8::try_from(declared.values.len()).unwrap_or(u8::MAX);
        if count < 2 {
            let finding = Diagnostic::error("R062", "t2 is of several signals together")
                .hint("give the baseline a list: of = [\"a\", \"b\"]; how far one value is off is z(value, baseline)");
            self.report(finding.related(declared.place.clone(), "one value"), name, "");
            return None;
        }
        let (values, text) = match args {
            [list, _] => {
                let values = self.values_like(list, &declared)?;
                let texts: Vec<&str> = values.iter().map(|v| v.text.as_str()).collect();
                let text = format!("t2([{}], {})", texts.join(", "), declared.text);
                (values, text)
            }
            _ => (declared.values.clone(), format!("t2({})", declared.text)),
        };
        Some(self.of_baseline(Read::T2(count), Ty::plain(), text, values, &declared))
    }

    /// The values of a list, each to be compared with what the baseline is of at its place.
    fn values_like(&mut self, list: &Expr, declared: &Declared) -> Option<Vec<Typed>> {
        let wanted = declared.values.len();
        let Kind::List(items) = &list.kind else {
            let finding = Diagnostic::error("R062", "t2 takes a list of values").hint("write t2([a, b], baseline)");
            self.report(finding, list, "not a list");
            return None;
        };
        if items.len() != wanted {
            let finding = Diagnostic::error("R062", format!("the baseline is of {wanted} values"));
            self.report(
                finding.related(declared.place.clone(), "declared here"),
                list,
                format!("{} values", items.len()),
            );
            return None;
        }
        let one = |(item, usual): (&Expr, &Typed)| {
            let value = self.check(item)?;
            self.like(value, item, usual, declared)
        };
        items.iter().zip(&declared.values).map(one).collect()
    }

    /// `cusum(m, k, h, NAME)`: whether the sum exceeds `h`; `cusum(m, k, NAME)`: the sum.
    fn cusum(&mut self, args: &[Expr], low: bool) -> Option<Typed> {
        let (m, k, name) = (&args[0], &args[1], &args[args.len() - 1]);
        let allowance = self.constant_number(k, "the allowance k");
        let limit = (args.len() == 4).then(|| self.constant_number(&args[2], "the limit h"));
        let z = self.z(m, name);
        let (allowance, limit, z) = (allowance?, limit.map_or(Some(None), |l| l.map(Some))?, z?);
        let z = if low { join(Ty::plain(), format!("-{}", z.text), [z], &[Ins::Neg]) } else { z };
        let input = self.streamable(z, m)?;
        let constants: Vec<&Typed> = [&allowance].into_iter().chain(&limit).collect();
        let op = self.operator(Family::Cusum, &input, None, &constants);
        let sum = self.read(Read::Cusum, op, Ty::plain(), &input, Some(&allowance));
        let Some(limit) = limit else { return Some(sum) };
        let text = format!("({} > {})", sum.text, limit.text);
        Some(join(Ty::Bool, text, [sum, limit], &[Ins::Gt]))
    }

    /// A plain number that is known when the rules are loaded.
    fn constant_number(&mut self, e: &Expr, what: &str) -> Option<Typed> {
        let typed = self.check(e)?;
        let typed = self.need_number(typed, e, what)?;
        let plain = matches!(&typed.ty, Ty::Num(u, _) if u.dimension == Dimension::NONE);
        let fine = match &typed.konst {
            Some(Const::Num(n)) => *n >= 0.0,
            konst => konst.is_some(),
        };
        if plain && fine {
            return Some(typed);
        }
        let finding = Diagnostic::error("R062", format!("{what} is a number of scales, such as 0.5 or param.x"));
        self.report(finding, e, if plain { "not a number of at least 0".to_owned() } else { typed.ty.what() });
        None
    }

    /// The one value that a baseline is of.
    fn single(&mut self, declared: &Declared, name: &Expr) -> Option<Typed> {
        if let [value] = declared.values.as_slice() {
            return Some(value.clone());
        }
        let message = format!("this baseline is of {} values together", declared.values.len());
        let finding = Diagnostic::error("R062", message).hint("how far they are off is t2(baseline)");
        self.report(finding.related(declared.place.clone(), "declared here"), name, "");
        None
    }

    /// Reads a baseline in its present regime. Its own signals are read along: they are the evidence.
    fn of_baseline(&mut self, read: Read, ty: Ty, text: String, values: Vec<Typed>, declared: &Declared) -> Typed {
        let parts = values.into_iter().chain([declared.regime.clone()]);
        let mut typed = join(ty, text, parts, &[Ins::Read(read, declared.op)]);
        declared.values.iter().for_each(|v| typed.uses.add(&v.uses));
        typed.uses.ops.insert(declared.op);
        typed
    }
}
