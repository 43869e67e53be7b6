//! The functions and operators that expressions can call.
//!
//! | call | value |
//! |---|---|
//! | `avg(m, w)` `min(m, w)` `max(m, w)` `sum(m, w)` `n(m, w)` `stddev(m, w)` | over the last `w` (V5) |
//! | `rate(m, w)` | (newest - oldest in `w`) / time between, per second |
//! | `slope(m, w)` `r2(m, w)` | least squares over `w`: change per second, and how well a line fits (0..1) |
//! | `time_to(m, limit, w)` | time until that line reaches `limit`; unknown with fewer than 5 samples, r2 below 0.5, or moving away |
//! | `ewma(m, tau)` | running mean with time constant `tau` |
//! | `rises(e, w)` | how often `e` went from false to true in `w` |
//! | `held(e)` | how long `e` has been true without a break; 0 while false |
//! | `prev(m)` `changed(m)` | the sample before the newest; whether the newest differs from it |
//! | `known(x)` `age(signal)` | whether `x` is known; time since the signal was last sent |
//! | `silent(w)` | nothing at all was heard for `w`, our own outages not counted |
//! | `only(m, e)` | `m` while `e` holds, otherwise unknown: feeds a window with the samples that mean something |
//! | `min(a, b)` `max(a, b)` `abs(a)` | of plain values |
//!
//! `min(m, 1h)` is a window unless `m` is itself a computed duration, as in `min(time_to(…), 7d)`.

use super::check::{Checker, Typed, join};
use super::expr::{Expr, Word};
use super::program::{Const, Family, Ins, Read, Uses};
use super::types::{Nature, Ty, per_second, seconds, step_of};
use crate::domain::Dimension;
use crate::source::{Diagnostic, did_you_mean};

const NAMES: [&str; 21] = [
    "avg", "min", "max", "sum", "n", "stddev", "rate", "slope", "r2", "time_to", "ewma", "rises", "held", "prev",
    "changed", "known", "age", "silent", "abs", "only", "in",
];

/// Longest window: what a bucket's 32 bits of covered milliseconds hold with room to spare.
const MAX_WINDOW_S: f64 = 400.0 * 86_400.0;

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &Word, args: &[Expr], e: &Expr) -> Option<Typed> {
        match (&*name.text, args) {
            ("min" | "max", [a, b]) => self.min_max(name, a, b),
            ("avg" | "sum" | "n" | "stddev" | "rate" | "slope" | "r2" | "ewma", [m, w]) => self.windowed(name, m, w, e),
            ("time_to", [m, limit, w]) => self.time_to(m, limit, w, e),
            ("rises", [c, w]) => {
                let (input, window) = (self.condition(c), self.window(w));
                let (input, window) = (self.streamable(input?, c)?, window?);
                let op = self.operator(Family::Rises, &input, Some(&window));
                Some(self.read(Read::Rises, op, Ty::plain(), &input, Some(&window)))
            }
            ("held", [c]) => {
                let input = self.condition(c)?;
                let input = self.streamable(input, c)?;
                let op = self.operator(Family::Held, &input, None);
                Some(self.read(Read::Held, op, Ty::seconds(), &input, None))
            }
            ("prev" | "changed", [m]) => {
                let input = self.check(m)?;
                let input = self.streamable(input, m)?;
                let op = self.operator(Family::Last, &input, None);
                let (read, ty) =
                    if &*name.text == "prev" { (Read::Prev, input.ty.clone()) } else { (Read::Changed, Ty::Bool) };
                Some(self.read(read, op, ty, &input, None))
            }
            ("known", [x]) => {
                let input = self.check(x)?;
                let text = format!("known({})", input.text);
                let mut typed = join(Ty::Bool, text, [input], &[Ins::Known]);
                typed.uses.known = true;
                Some(typed)
            }
            ("age", [x]) => self.age(x),
            ("silent", [w]) => {
                let window = self.window(w)?;
                let konst = window.konst.clone()?;
                let ix = self.const_ix(konst);
                let mut uses = Uses::default();
                uses.silents.insert(ix);
                let text = format!("silent({})", window.text);
                Some(Typed {
                    ty: Ty::Bool,
                    text,
                    code: vec![Ins::Silent(ix)],
                    konst: None,
                    literal: None,
                    slot: None,
                    uses,
                })
            }
            ("only", [m, c]) => {
                let (value, condition) = (self.check(m), self.condition(c));
                let (value, condition) = (value?, condition?);
                let (ty, text) = (value.ty.clone(), format!("only({}, {})", value.text, condition.text));
                let unknown = Ins::Const(self.const_ix(Const::Num(f64::NAN)));
                Some(join(ty, text, [condition, value], &[unknown, Ins::Choose]))
            }
            ("abs", [x]) => {
                let input = self.check(x)?;
                let input = self.need_number(input, x, "the argument of abs")?;
                let input = self.need_linear(input, x, "made positive")?;
                let (ty, text) = (input.ty.clone(), format!("abs({})", input.text));
                Some(join(ty, text, [input], &[Ins::Abs]))
            }
            (known, _) => {
                self.no_such_call(known, name, args.len(), e);
                None
            }
        }
    }

    fn no_such_call(&mut self, called: &str, name: &Word, count: usize, e: &Expr) {
        let usage = match called {
            "avg" | "min" | "max" | "sum" | "n" | "stddev" | "rate" | "slope" | "r2" => format!("{called}(value, 10m)"),
            "ewma" => "ewma(value, 1h)".to_owned(),
            "time_to" => "time_to(value, limit, 21d)".to_owned(),
            "rises" => "rises(condition, 1h)".to_owned(),
            "held" => "held(condition)".to_owned(),
            "silent" => "silent(15m)".to_owned(),
            "prev" | "changed" | "known" | "abs" => format!("{called}(value)"),
            "only" => "only(value, condition)".to_owned(),
            "age" => "age(signal)".to_owned(),
            _ => {
                let hint = did_you_mean(called, NAMES).map(|n| format!("did you mean `{n}`?"));
                let finding = Diagnostic::error("R013", format!("there is no function '{called}'")).maybe_hint(hint);
                self.report_at(finding, &name.span, "unknown function");
                return;
            }
        };
        let message = format!("'{called}' does not take {count} argument{}", if count == 1 { "" } else { "s" });
        self.report(Diagnostic::error("R016", message).hint(format!("it is called as {usage}")), e, "");
    }

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
            let op = self.operator(family, &input, Some(&window));
            let ty = input.ty.clone();
            return Some(self.read(read, op, ty, &input, Some(&window)));
        }
        let left = self.need_number(left, a, &format!("an argument of {}", name.text))?;
        let (left, right) = self.same(left, right, a, b, &format!("the arguments of {}", name.text))?;
        let (ty, text) = (left.ty.clone(), format!("{}({}, {})", name.text, left.text, right.text));
        Some(join(ty, text, [left, right], &[if lowest { Ins::Min } else { Ins::Max }]))
    }

    fn windowed(&mut self, name: &Word, m: &Expr, w: &Expr, _e: &Expr) -> Option<Typed> {
        let (input, window) = (self.check(m), self.window(w));
        let input = self.need_number(input?, m, &format!("the first argument of {}", name.text))?;
        let (input, window) = (self.streamable(input, m)?, window?);
        let Ty::Num(unit, nature) = input.ty.clone() else { return None };
        let delta = if nature == Nature::Point { Nature::Delta } else { nature };
        let step = if nature == Nature::Point { step_of(&unit) } else { unit.clone() };
        let (family, read, ty) = match &*name.text {
            "avg" => (Family::Sum, Read::Avg, input.ty.clone()),
            "sum" => {
                self.need_linear(input.clone(), m, "added up")?;
                (Family::Sum, Read::Sum, input.ty.clone())
            }
            "n" => (Family::Sum, Read::Count, Ty::plain()),
            "stddev" => (Family::Moments, Read::Stddev, Ty::Num(step, delta)),
            "rate" => (Family::Rate, Read::Rate, Ty::Num(per_second(&unit), Nature::Linear)),
            "slope" => (Family::Trend, Read::Slope, Ty::Num(per_second(&unit), Nature::Linear)),
            "r2" => (Family::Trend, Read::R2, Ty::plain()),
            _ => (Family::Ewma, Read::Ewma, input.ty.clone()),
        };
        let op = self.operator(family, &input, Some(&window));
        Some(self.read(read, op, ty, &input, Some(&window)))
    }

    fn time_to(&mut self, m: &Expr, limit: &Expr, w: &Expr, _e: &Expr) -> Option<Typed> {
        let (input, bound, window) = (self.check(m), self.check(limit), self.window(w));
        let input = self.need_number(input?, m, "the first argument of time_to")?;
        let input = self.streamable(input, m)?;
        let Ty::Num(unit, _) = input.ty.clone() else { return None };
        let (_, bound) = self.same(input.clone(), bound?, m, limit, "the value and the limit of time_to")?;
        // The trend is of the input as it is; only the limit may have been converted.
        let bound = self.convert_to(bound, &unit);
        let window = window?;
        let op = self.operator(Family::Trend, &input, Some(&window));
        let mut typed = self.read(Read::TimeTo, op, Ty::seconds(), &input, Some(&window));
        typed.text = format!("time_to({}, {}, {})", input.text, bound.text, window.text);
        let mut code = bound.code;
        code.extend(typed.code);
        typed.uses.add(&bound.uses);
        Some(Typed { code, ..typed })
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

    fn read(&mut self, read: Read, op: u16, ty: Ty, input: &Typed, window: Option<&Typed>) -> Typed {
        let mut uses = input.uses.clone();
        uses.ops.insert(op);
        // What an operator does with an unknown input is its own affair.
        uses.known = false;
        let window = window.map(|w| format!(", {}", w.text)).unwrap_or_default();
        let text = format!("{read:?}({}{window})", input.text).to_lowercase();
        Typed { ty, text, code: vec![Ins::Read(read, op)], konst: None, literal: None, slot: None, uses }
    }

    /// Refuses inputs that change without a sample: an operator sees samples only.
    fn streamable(&mut self, input: Typed, at: &Expr) -> Option<Typed> {
        if input.uses.silents.is_empty() {
            return Some(input);
        }
        let finding = Diagnostic::error("R034", "silent() has no samples that could be followed over time");
        self.report(finding, at, "reads silent()");
        None
    }

    /// A window or time constant: a positive duration known when the rules are loaded.
    fn window(&mut self, w: &Expr) -> Option<Typed> {
        let typed = self.check(w)?;
        self.window_of(typed, w)
    }

    fn window_of(&mut self, typed: Typed, w: &Expr) -> Option<Typed> {
        let wrong = |message: &str| {
            Diagnostic::error("R034", message.to_owned()).hint("write a duration such as 10m, or a param")
        };
        match &typed.ty {
            Ty::Num(u, _) if u.dimension == Dimension::TIME => {}
            ty => {
                let found = ty.what();
                self.report(wrong("a window must be a duration"), w, found);
                return None;
            }
        }
        if typed.konst.is_none() {
            self.report(wrong("a window must be known when the rules are loaded"), w, "changes while running");
            return None;
        }
        let typed = self.convert_to(typed, &seconds());
        if let Some(Const::Num(n)) = typed.konst
            && !(n > 0.0 && n <= MAX_WINDOW_S)
        {
            self.report(wrong("a window must be longer than nothing and at most 400d"), w, "");
            return None;
        }
        Some(typed)
    }
}
