//! For how much of the time something was true.

use super::super::check::{Checker, Typed};
use super::super::expr::{Expr, Word};
use super::super::program::{Family, Read};
use super::super::types::Ty;
use super::Call;
use crate::source::Diagnostic;

pub(super) const CALLS: &[Call] = &[
    share("time_true", "time_true(condition, 1h)"),
    share("duty", "duty(condition, 1h)"),
    share("mean_on", "mean_on(condition, 2h)"),
];

const fn share(name: &'static str, usage: &'static str) -> Call {
    Call { name, usage, takes: 2..=2, check: |c, name, a| c.share(name, &a[0], &a[1]) }
}

impl Checker<'_> {
    fn share(&mut self, name: &Word, e: &Expr, w: &Expr) -> Option<Typed> {
        let (input, window) = (self.condition(e), self.window(w));
        let (input, window) = (self.streamable(input?, e)?, window?);
        if input.uses.changed || !input.uses.events.is_empty() {
            let finding = Diagnostic::error("R071", format!("{}() is of something that lasts", name.text))
                .hint("an event has no length: count it with count_of(event, 1h)");
            self.report(finding, e, "true at instants only");
            return None;
        }
        let op = self.operator(Family::Runs, &input, Some(&window), &[]);
        let (read, ty) = match &*name.text {
            "time_true" => (Read::TimeTrue, Ty::seconds()),
            "duty" => (Read::Duty, Ty::plain()),
            _ => (Read::MeanOn, Ty::seconds()),
        };
        Some(self.read(read, op, ty, &input, Some(&window)))
    }
}
