//! What happened at instants: how often, whether, and how long ago.

use super::super::check::{Checker, Typed, join};
use super::super::expr::Expr;
use super::super::program::{Const, Family, Ins, Read};
use super::super::types::{Ty, seconds};
use super::Call;
use crate::source::Diagnostic;

pub(super) const CALLS: &[Call] = &[
    Call { name: "happened", usage: "happened(event, 24h)", takes: 2..=2, check: |c, _, a| c.happened(&a[0], &a[1]) },
    Call { name: "count_of", usage: "count_of(event, 24h)", takes: 2..=2, check: |c, _, a| c.count_of(&a[0], &a[1]) },
    Call { name: "since", usage: "since(condition)", takes: 1..=1, check: |c, _, a| c.since(&a[0]) },
];

impl Checker<'_> {
    /// Exact, whatever the window: the newest true sample is kept.
    fn happened(&mut self, e: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.condition(e), self.window(w));
        let (input, window) = (self.streamable(input?, e)?, window?);
        let op = self.operator(Family::Seen, &input, None, &[]);
        let since = self.read(Read::Since, op, Ty::seconds(), &input, None);
        let text = format!("happened({}, {})", input.text, window.text);
        let never = Ins::Const(self.const_ix(Const::Num(0.0)));
        let mut typed = join(Ty::Bool, text, [since, window], &[Ins::Le, never, Ins::OrElse]);
        typed.uses.age = true;
        Some(typed)
    }

    /// A window over the true samples; without any it counts none.
    fn count_of(&mut self, e: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.condition(e), self.window(w));
        let (input, window) = (self.streamable(input?, e)?, window?);
        let (one, none) = (self.const_ix(Const::Num(1.0)), self.const_ix(Const::Num(f64::NAN)));
        let text = format!("only(1, {})", input.text);
        let ones = join(Ty::plain(), text, [input], &[Ins::Const(one), Ins::Const(none), Ins::Choose]);
        let op = self.operator(Family::Sum, &ones, Some(&window), &[]);
        let mut typed = self.read(Read::Count, op, Ty::plain(), &ones, Some(&window));
        typed.uses.age = true;
        Some(typed)
    }

    fn since(&mut self, e: &Expr) -> Option<Typed> {
        let input = self.check(e)?;
        if let Ty::Attr(name) = &input.ty {
            return Some(self.since_instant(Const::Instant { name: name.clone() }));
        }
        if input.ty != Ty::Bool {
            let found = input.ty.what();
            let finding = Diagnostic::error("R070", "since() is of a condition, or of an instant in the registry")
                .hint("write since(changed(ignition)) or since(device.marker.oil_service_at)");
            self.report(finding, e, found);
            return None;
        }
        let input = self.streamable(input, e)?;
        let instants = input.uses.changed || !input.uses.events.is_empty();
        let op = self.operator(if instants { Family::Seen } else { Family::Rose }, &input, None, &[]);
        let mut typed = self.read(Read::Since, op, Ty::seconds(), &input, None);
        typed.text = format!("since({}{})", if instants { "" } else { "rise of " }, input.text);
        typed.uses.age = true;
        Some(typed)
    }

    fn since_instant(&mut self, instant: Const) -> Typed {
        let at = self.constant(instant, Ty::num(seconds()), None);
        let text = format!("since({})", at.text);
        let zero = self.const_ix(Const::Num(0.0));
        let mut typed = join(Ty::seconds(), text, [at], &[Ins::Sub, Ins::Const(zero), Ins::Max]);
        typed.code.insert(0, Ins::Now);
        typed.uses.age = true;
        typed
    }
}
