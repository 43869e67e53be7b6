//! Questions to the trouble codes of a device.
//!
//! Of a device they are about any code that is meant: `appeared` and `cleared` are true at the message that brought the
//! change. In a rule for each code they are about that code: `appeared` from when it came until it is gone, but for one
//! episode only, and `cleared` for as long as it is gone.

use super::super::check::{Checker, Scope, Typed};
use super::super::expr::{Expr, Kind, Word};
use super::super::program::{Const, Family, Fold, FoldSpec, Ins, Read, Uses};
use super::super::select::Sel;
use super::super::tables::CodeSlots;
use super::super::types::Ty;
use super::Call;
use crate::model::SignalType;
use crate::source::{Diagnostic, did_you_mean};

pub(super) const CALLS: &[Call] = &[
    about("active", "active(dtc, 'P03*')"),
    about("appeared", "appeared(dtc, 'P03*')"),
    about("cleared", "cleared(dtc, 'P03*')"),
    about("active_for", "active_for(dtc, 'P03*')"),
];

const fn about(name: &'static str, usage: &'static str) -> Call {
    Call { name, usage, takes: 1..=2, check: |c, name, a| c.about_codes(name, &a[0], a.get(1)) }
}

impl Checker<'_> {
    fn about_codes(&mut self, name: &Word, signal: &Expr, sel: Option<&Expr>) -> Option<Typed> {
        let (slots, sel) = (self.codes(signal), sel.map_or(Some(Sel::All), |e| self.selection(e)));
        let (slots, sel) = (slots?, sel?);
        let of = &self.tables.program.slots[usize::from(slots.code)].name;
        let text = format!("{}({of}, {sel})", name.text);
        let sel = self.tables.selection(sel);
        let own = self.scope == Scope::Rule(slots.lane);
        let held = self.code_run(&slots, true);
        let mut uses = Uses { slots: [slots.list, slots.code].into(), ops: [held].into(), ..Uses::default() };
        let spec = &self.tables.program.slots[usize::from(slots.code)];
        // A code that has not been sent for long enough is cleared without a sample.
        uses.known = spec.expired == 0.0 && spec.ttl != i64::MAX;
        let active = [Ins::Slot(slots.code)];
        let began = |op| Ins::Read(Read::Began, op);
        let zero = Ins::Const(self.const_ix(Const::Num(0.0)));
        let long = [Ins::Slot(slots.code), Ins::Read(Read::Held, held), zero, Ins::Choose];
        let code: Vec<Ins> = match (&*name.text, own) {
            ("active", _) => active.into(),
            ("appeared", true) => [Ins::Slot(slots.code), Ins::Fresh(held), Ins::And].into(),
            ("appeared", false) => [Ins::Slot(slots.code), began(held), Ins::And].into(),
            ("cleared", true) => [Ins::Slot(slots.code), Ins::Not].into(),
            ("cleared", false) => {
                let gone = self.code_run(&slots, false);
                uses.ops.insert(gone);
                [Ins::Slot(slots.code), Ins::Not, began(gone), Ins::And].into()
            }
            _ => long.into(),
        };
        let duration = &*name.text == "active_for";
        let ty = if duration { Ty::seconds() } else { Ty::Bool };
        let code = if own {
            uses.lane = slots.lane;
            let chosen = Ins::Chosen(sel);
            if duration {
                [&[chosen][..], &code, &[zero, Ins::Choose]].concat()
            } else {
                [&code[..], &[chosen, Ins::And]].concat()
            }
        } else {
            let kind = if duration { Fold::Max } else { Fold::Any };
            let fold = FoldSpec { kind, lane: slots.lane, sel: Some(sel), code, text: text.clone(), shown: ty.shown() };
            let ix = self.tables.fold(fold);
            uses.folds.insert(ix);
            // What holds of no code is only known once the list is.
            let known = [Ins::Slot(slots.list), zero, Ins::Mul];
            let end = if duration {
                [zero, Ins::OrElse, known[0], known[1], known[2], Ins::Add].to_vec()
            } else {
                [&known[..], &[Ins::Or]].concat()
            };
            [&[Ins::Fold(ix)][..], &end].concat()
        };
        Some(Typed { ty, text, code, konst: None, literal: None, slot: None, uses })
    }

    /// For how long a code has been active, or not.
    fn code_run(&mut self, slots: &CodeSlots, active: bool) -> u16 {
        let name = &self.tables.program.slots[usize::from(slots.code)].name;
        let uses = Uses { slots: [slots.code].into(), lane: slots.lane, ..Uses::default() };
        let (text, code) = if active {
            (name.to_string(), vec![Ins::Slot(slots.code)])
        } else {
            (format!("!{name}"), vec![Ins::Slot(slots.code), Ins::Not])
        };
        let input = Typed { ty: Ty::Bool, text, code, konst: None, literal: None, slot: None, uses };
        self.operator(Family::Held, &input, None, &[])
    }

    /// The signal that is asked.
    fn codes(&mut self, e: &Expr) -> Option<CodeSlots> {
        let model = self.tables.program.model.clone();
        let all = || (0..=u16::MAX).zip(&model.signals).filter(|(_, s)| matches!(s.ty, SignalType::Codes(_)));
        let name = if let Kind::Name(name) = &e.kind { &**name } else { "" };
        if let Some((ix, _)) = all().find(|(_, s)| s.name.as_str() == name) {
            return Some(self.tables.codes(crate::model::SignalIx(ix)));
        }
        let hint = did_you_mean(name, all().map(|(_, s)| s.name.as_str())).map(|n| format!("did you mean `{n}`?"));
        let finding = Diagnostic::error("R056", "this is asked of a signal of type codes").maybe_hint(hint);
        self.report(finding, e, format!("not codes of model '{}'", model.id));
        None
    }
}
