//! How values are distributed and how they run: quantiles, tails, short trends; and functions of plain numbers.

use super::super::check::{Checker, Typed, join};
use super::super::expr::{Expr, Word};
use super::super::program::{Const, Family, Ins, Read};
use super::super::types::Ty;
use super::Call;
use crate::domain::Dimension;
use crate::source::Diagnostic;

/// Tails beyond this share of the samples are no tails.
const MAX_RISK: f64 = 0.05;

pub(super) const CALLS: &[Call] = &[
    Call {
        name: "quantile",
        usage: "quantile(value, 0.95, 1h)",
        takes: 3..=3,
        check: |c, _, a| c.quantile(&a[0], &a[1], &a[2]),
    },
    Call { name: "resid", usage: "resid(value, 1h)", takes: 2..=2, check: |c, _, a| c.resid(&a[0], &a[1]) },
    Call { name: "evt", usage: "evt(value, 0.001)", takes: 2..=3, check: |c, _, a| c.evt(a) },
    plain("sqrt", "sqrt(number)"),
    plain("ln", "ln(number)"),
    plain("exp", "exp(number)"),
];

const fn plain(name: &'static str, usage: &'static str) -> Call {
    Call { name, usage, takes: 1..=1, check: |c, name, a| c.of_number(name, &a[0]) }
}

impl Checker<'_> {
    fn quantile(&mut self, m: &Expr, q: &Expr, w: &Expr) -> Option<Typed> {
        let (input, share, window) = (self.stream(m, "quantile"), self.sample_share(q, 1.0), self.window(w));
        let (input, share, window) = (input?, share?, window?);
        let op = self.operator(Family::Sketch, &input, Some(&window), &[]);
        let read = self.read(Read::Quantile, op, input.ty.clone(), &input, Some(&window));
        let text = format!("quantile({}, {}, {})", input.text, share.text, window.text);
        Some(join(read.ty.clone(), text, [share, read], &[]))
    }

    fn resid(&mut self, m: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.stream(m, "resid"), self.window(w));
        let (input, window) = (input?, window?);
        let op = self.operator(Family::Resid, &input, Some(&window), &[]);
        Some(self.read(Read::Resid, op, input.ty.difference(), &input, Some(&window)))
    }

    fn evt(&mut self, args: &[Expr]) -> Option<Typed> {
        let (input, risk) = (self.stream(&args[0], "evt"), self.sample_share(&args[1], MAX_RISK));
        let window = args.get(2).map(|w| self.window(w));
        let (input, risk, window) = (input?, risk?, window.map_or(Some(None), |w| w.map(Some))?);
        let op = self.operator(Family::Tail, &input, window.as_ref(), &[&risk]);
        let mut typed = self.read(Read::Tail, op, input.ty.clone(), &input, window.as_ref());
        typed.text = format!("evt({}, {})", typed.text, risk.text);
        Some(typed)
    }

    fn of_number(&mut self, name: &Word, x: &Expr) -> Option<Typed> {
        let input = self.check(x)?;
        let input = self.need_number(input, x, &format!("the argument of {}", name.text))?;
        if !matches!(&input.ty, Ty::Num(u, _) if u.dimension == Dimension::NONE) {
            let finding = Diagnostic::error("R062", format!("{} is of a plain number", name.text))
                .hint("divide by something of the same kind: x / 1[bar]");
            self.report(finding, x, input.ty.what());
            return None;
        }
        let ins = match &*name.text {
            "sqrt" => Ins::Sqrt,
            "ln" => Ins::Ln,
            _ => Ins::Exp,
        };
        let text = format!("{}({})", name.text, input.text);
        Some(join(Ty::plain(), text, [input], &[ins]))
    }

    /// A number that an operator can follow.
    fn stream(&mut self, m: &Expr, of: &str) -> Option<Typed> {
        let input = self.check(m)?;
        let input = self.need_number(input, m, &format!("the first argument of {of}"))?;
        self.streamable(input, m)
    }

    /// A share of the samples, known when the rules are loaded: more than 0 and less than `most`.
    fn sample_share(&mut self, q: &Expr, most: f64) -> Option<Typed> {
        let typed = self.check(q)?;
        let typed = self.need_number(typed, q, "a share of the samples")?;
        let plain = matches!(&typed.ty, Ty::Num(u, _) if u.dimension == Dimension::NONE);
        let fine = match &typed.konst {
            Some(Const::Num(n)) => *n > 0.0 && *n < most,
            konst => konst.is_some(),
        };
        if plain && fine {
            return Some(typed);
        }
        let finding = Diagnostic::error("R062", format!("a share of the samples is a number above 0 and below {most}"));
        self.report(finding, q, if plain { "not such a number".to_owned() } else { typed.ty.what() });
        None
    }
}
