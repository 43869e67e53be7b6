//! What happened at instants: how often, whether, and how long ago.

use super::super::check::{Checker, Typed, join};
use super::super::expr::{Expr, Kind, Operator};
use super::super::program::{Const, Family, Ins, Read, Uses};
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

    /// `device.last_workshop > case.opened_at`: an instant of the registry, before or after the episode began.
    pub(in super::super) fn against_opening(
        &mut self,
        o: Operator,
        left: Typed,
        right: Typed,
        a: &Expr,
        b: &Expr,
    ) -> Option<Typed> {
        let mut instant = |side: Typed, e: &Expr| match &side.ty {
            Ty::Attr(name) => Some(self.constant(Const::Instant { name: name.clone() }, Ty::seconds(), None)),
            _ if is_opening(e) && o.is_comparison() => Some(side),
            ty => {
                let finding = Diagnostic::error("R070", "case.opened_at is compared with an instant in the registry")
                    .hint("write device.last_workshop > case.opened_at");
                let found = ty.what();
                self.report(finding, e, found);
                None
            }
        };
        let (left, right) = (instant(left, a), instant(right, b));
        self.compare(o, left?, right?, a, b)
    }
}

/// When the open episode began.
pub(in super::super) fn opening() -> Typed {
    Typed {
        ty: Ty::seconds(),
        text: "case.opened_at".to_owned(),
        code: vec![Ins::Opened],
        konst: None,
        literal: None,
        slot: None,
        uses: Uses::default(),
    }
}

/// `case.opened_at`.
pub(in super::super) fn is_opening(e: &Expr) -> bool {
    matches!(&e.kind, Kind::Field(base, field) if &*base.text == "case" && &*field.text == "opened_at")
}
