//! Counters, their resets and rollovers seen to.

use super::super::check::{Checker, Typed};
use super::super::expr::Expr;
use super::super::program::{Const, Family, Ins, Read};
use super::super::types::Ty;
use super::Call;
use crate::model::SignalKind;
use crate::source::Diagnostic;

pub(super) const CALLS: &[Call] = &[
    Call {
        name: "increase",
        usage: "increase(counter, 24h)",
        takes: 2..=2,
        check: |c, _, a| c.increase(a, Read::Grown),
    },
    Call { name: "resets", usage: "resets(counter, 30d)", takes: 2..=2, check: |c, _, a| c.increase(a, Read::Resets) },
    Call {
        name: "total_since",
        usage: "total_since(counter, device.marker.name)",
        takes: 2..=2,
        check: |c, _, a| c.total_since(&a[0], &a[1]),
    },
];

/// A counter as an argument.
struct Counter {
    counter: Typed,
    /// With what an `f64` has no room for: what operators work in.
    exact: Typed,
    /// Unknown for none.
    rollover: Typed,
}

impl Checker<'_> {
    /// How much of something there has been in a window: the newest minus the first of what only grows.
    fn increase(&mut self, args: &[Expr], what: Read) -> Option<Typed> {
        let (counter, window) = (self.counter(&args[0]), self.window(&args[1]));
        let (Counter { counter, exact, rollover }, window) = (counter?, window?);
        let ty = if what == Read::Grown { counter.ty.clone() } else { Ty::plain() };
        let op = self.operator(Family::Counter, &exact, None, &[&rollover]);
        let grown = self.read(what, op, ty.clone(), &counter, None);
        let ends = self.operator(Family::Rate, &grown, Some(&window), &[]);
        Some(self.read(Read::Delta, ends, ty, &grown, Some(&window)))
    }

    fn total_since(&mut self, m: &Expr, marker: &Expr) -> Option<Typed> {
        let (counter, since) = (self.counter(m), self.check(marker));
        let (Counter { counter, exact, rollover }, since) = (counter?, since?);
        let Ty::Attr(name) = &since.ty else {
            let found = since.ty.what();
            let finding = Diagnostic::error("R073", "a marker is a number that the registry keeps of a device")
                .hint("write device.marker.oil_service, and add the column marker.oil_service to the registry");
            self.report(finding, marker, found);
            return None;
        };
        let marker = self.constant(Const::Attr { name: name.clone(), number: true }, counter.ty.clone(), None);
        let op = self.operator(Family::Total, &exact, None, &[&rollover, &marker]);
        let read = if self.rule.carry_resets { Read::TotalCarried } else { Read::Total };
        let mut typed = self.read(read, op, counter.ty.clone(), &counter, None);
        typed.text = format!("{read:?}({}, {})", counter.text, marker.text).to_lowercase();
        Some(typed)
    }

    /// A bare counter.
    fn counter(&mut self, m: &Expr) -> Option<Counter> {
        let typed = self.check(m)?;
        let model = self.tables.program.model.clone();
        let place = typed.slot.and_then(|s| Some((s, self.tables.program.slots[usize::from(s)].signal?)));
        let signal = place.map(|(_, ix)| &model.signals[usize::from(ix.0)]);
        match signal.map(|s| s.kind) {
            Some(SignalKind::Counter { rollover }) => {
                let rollover = rollover.unwrap_or(f64::NAN);
                let rollover = self.constant(Const::Num(rollover), typed.ty.clone(), None);
                let (slot, ix) = place?;
                let rest = self.tables.rest(ix, slot);
                let mut exact = typed.clone();
                exact.code.push(Ins::Slot(rest));
                exact.uses.slots.insert(rest);
                Some(Counter { counter: typed, exact, rollover })
            }
            _ => {
                let finding = Diagnostic::error("R072", "only a counter can be asked this").hint(
                    "give the signal kind = \"counter\" in its model; of other values there is delta(value, 24h)",
                );
                let finding = match signal {
                    Some(signal) => finding.related(signal.place.clone(), "the signal"),
                    None => finding,
                };
                let found = if signal.is_some() { "not a counter".to_owned() } else { typed.ty.what() };
                self.report(finding, m, found);
                None
            }
        }
    }
}
