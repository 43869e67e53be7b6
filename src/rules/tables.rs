//! The tables of a model that grow while its rules are checked: slots, constants, operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::baseline::{By, Declared};
use super::check::Typed;
use super::program::{Answer, Const, Family, FoldSpec, Gap, Lane, ModelProgram, OpSpec, Shown, Slot};
use super::select::Sel;
use super::tree::Node;
use super::types::Ty;
use crate::domain::Span;
use crate::model::{Model, Send, SignalIx, SignalType};
use crate::source::Place;

/// What a baseline is of, and by.
pub(super) type Meaning = (Vec<String>, Vec<By>);

/// The tables of a model that grow while its rules are checked.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) program: ModelProgram,
    by_key: BTreeMap<String, u16>,
    /// Those of the rule at hand that have been checked.
    pub(super) baselines: BTreeMap<Arc<str>, Option<Declared>>,
    /// Those that are being checked.
    pub(super) open: Vec<Arc<str>>,
    /// Those of the fleet that are being learned, and where they were first asked for.
    pub(super) asked: BTreeMap<Arc<str>, (Place, Meaning)>,
    folds_by_text: BTreeMap<String, u16>,
    /// The parts of the expression at hand, by their bytes in it.
    pub(super) nodes: BTreeMap<(usize, usize), Arc<Node>>,
    /// The trees of the `let`s of the rule at hand.
    pub(super) let_nodes: BTreeMap<Arc<str>, Arc<Node>>,
}

/// Where a signal of codes is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodeSlots {
    /// Of the device: whether the list is known.
    pub(super) list: u16,
    /// Of each code: whether it is active.
    pub(super) code: u16,
    pub(super) lane: u16,
}

impl Tables {
    pub(super) fn new(program: ModelProgram) -> Self {
        Self {
            program,
            by_key: BTreeMap::new(),
            baselines: BTreeMap::new(),
            open: Vec::new(),
            asked: BTreeMap::new(),
            folds_by_text: BTreeMap::new(),
            nodes: BTreeMap::new(),
            let_nodes: BTreeMap::new(),
        }
    }

    pub(super) fn slot(&mut self, ix: SignalIx) -> u16 {
        let at = usize::from(ix.0);
        if let Some(slot) = self.program.slot_of[at] {
            return slot;
        }
        let model = self.program.model.clone();
        let signal = &model.signals[at];
        let shown = type_of(signal).shown();
        let lane = signal.each.as_ref().map_or(0, |each| self.lane(each, false));
        let slot = u16::try_from(self.program.slots.len()).unwrap_or(u16::MAX);
        self.program.slots.push(Slot {
            signal: Some(ix),
            lane,
            offset: 0,
            expired: f64::NAN,
            list: None,
            name: signal.name.clone(),
            ttl: signal.ttl.map_or(i64::MAX, |t| t.as_micros()),
            keeps_text: shown == Shown::Text,
            shown,
        });
        self.program.slot_of[at] = Some(slot);
        slot
    }

    /// The lane of a kind of part.
    pub(super) fn lane(&mut self, name: &str, codes: bool) -> u16 {
        let same = |l: &Lane| *l.name == *name && l.codes == codes;
        let ix = self.program.lanes.iter().position(same).unwrap_or_else(|| {
            self.program.lanes.push(Lane::new(name.into(), codes));
            self.program.lanes.len() - 1
        });
        u16::try_from(ix).unwrap_or(u16::MAX)
    }

    /// The slots of a signal of codes.
    pub(super) fn codes(&mut self, ix: SignalIx) -> CodeSlots {
        let model = self.program.model.clone();
        let signal = &model.signals[usize::from(ix.0)];
        let lane = self.lane(signal.name.as_str(), true);
        let code = self.slot(ix);
        let known = self.program.slots[usize::from(code)].list;
        let list = known.unwrap_or_else(|| {
            let list = u16::try_from(self.program.slots.len()).unwrap_or(u16::MAX);
            let full = signal.ty == SignalType::Codes(Send::Full);
            let spec = &mut self.program.slots[usize::from(code)];
            (spec.lane, spec.list, spec.shown) = (lane, Some(list), Shown::Bool);
            spec.expired = if full { f64::NAN } else { 0.0 };
            let ttl = if full { spec.ttl } else { i64::MAX };
            let list_of =
                Slot { lane: 0, list: None, ttl, expired: f64::NAN, shown: Shown::Codes(lane), ..spec.clone() };
            self.program.slots.push(list_of);
            list
        });
        CodeSlots { list, code, lane }
    }

    /// The choice of codes, shared if it is there already.
    pub(super) fn selection(&mut self, sel: Sel) -> u16 {
        let ix = self.program.sels.iter().position(|s| *s == sel).unwrap_or_else(|| {
            self.program.sels.push(sel);
            self.program.sels.len() - 1
        });
        u16::try_from(ix).unwrap_or(u16::MAX)
    }

    /// The fold with this text, shared if it is there already.
    pub(super) fn fold(&mut self, spec: FoldSpec) -> u16 {
        if let Some(ix) = self.folds_by_text.get(&spec.text) {
            return *ix;
        }
        let ix = u16::try_from(self.program.folds.len()).unwrap_or(u16::MAX);
        self.folds_by_text.insert(spec.text.clone(), ix);
        self.program.folds.push(spec);
        ix
    }

    /// A time zone; that of the device is told by its entry in the registry.
    pub(super) fn zone(&mut self, zone: Option<Arc<str>>) -> u16 {
        if zone.is_none() {
            self.constant(Const::Attr { name: "tz".into(), number: false });
        }
        let zones = &mut self.program.zones;
        let ix = zones.iter().position(|z| *z == zone).unwrap_or_else(|| {
            zones.push(zone);
            zones.len() - 1
        });
        u16::try_from(ix).unwrap_or(u16::MAX)
    }

    /// The slot that says whether the text of a signal matches a pattern.
    pub(super) fn matching(&mut self, of: SignalIx, text: u16, pattern: regex::Regex) -> u16 {
        let question = format!("matches {}", pattern.as_str());
        self.answer(of, text, &question, Shown::Bool, Answer::Matches(pattern))
    }

    /// The slot with what of a counter an `f64` has no room for.
    pub(super) fn rest(&mut self, of: SignalIx, counter: u16) -> u16 {
        let shown = self.program.slots[usize::from(counter)].shown.clone();
        self.answer(of, counter, "beyond 2^53", shown, Answer::Rest)
    }

    /// The slot of the answer to a question about a value, shared if it is there already.
    fn answer(&mut self, of: SignalIx, value: u16, question: &str, shown: Shown, answer: Answer) -> u16 {
        let mut spec = self.program.slots[usize::from(value)].clone();
        spec.name = crate::domain::SignalName::from(format!("{} {question}", spec.name).as_str());
        let slots = &self.program.slots;
        let same = |(_, slot, _): &&(SignalIx, u16, Answer)| slots[usize::from(*slot)].name == spec.name;
        if let Some((_, slot, _)) = self.program.answers.iter().find(same) {
            return *slot;
        }
        let slot = u16::try_from(slots.len()).unwrap_or(u16::MAX);
        self.program.slots.push(Slot { signal: None, shown, keeps_text: false, ..spec });
        self.program.answers.push((of, slot, answer));
        slot
    }

    /// The slot that says whether the device is there.
    pub(super) fn online(&mut self) -> u16 {
        if let Some(slot) = self.program.online {
            return slot;
        }
        let slot = u16::try_from(self.program.slots.len()).unwrap_or(u16::MAX);
        let name = crate::domain::SignalName::from("online");
        let (ttl, shown) = (i64::MAX, Shown::Bool);
        let (expired, list, keeps_text) = (f64::NAN, None, false);
        self.program.slots.push(Slot { signal: None, lane: 0, offset: 0, expired, list, name, ttl, shown, keeps_text });
        self.program.online = Some(slot);
        slot
    }

    pub(super) fn constant(&mut self, value: Const) -> u16 {
        let same = |a: &Const| match (a, &value) {
            (Const::Num(a), Const::Num(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        let ix = self.program.consts.iter().position(same).unwrap_or_else(|| {
            self.program.consts.push(value);
            self.program.consts.len() - 1
        });
        u16::try_from(ix).unwrap_or(u16::MAX)
    }

    /// The derived sample that an expression reads, directly or through an operator; the first if there are two.
    pub(super) fn fed_by(&self, input: &Typed) -> Option<u16> {
        input.uses.ops.iter().find_map(|ix| {
            let op = &self.program.ops[usize::from(*ix)];
            if matches!(op.family, Family::Sample(_)) { Some(*ix) } else { op.fed_by }
        })
    }

    pub(super) fn cut(&mut self, edges: Arc<[f64]>) -> u16 {
        let cuts = &mut self.program.cuts;
        let ix = cuts.iter().position(|c| *c == edges).unwrap_or_else(|| {
            cuts.push(edges);
            cuts.len() - 1
        });
        u16::try_from(ix).unwrap_or(u16::MAX)
    }

    /// The operator `family(input, window, args)`, shared if it is there already.
    pub(super) fn operator(&mut self, family: Family, input: &Typed, window: Option<&Typed>, args: &[&Typed]) -> u16 {
        let constants = window.into_iter().chain(args.iter().copied());
        let key = family.key(&input.text, constants.map(|c| c.text.as_str()));
        if let Some(ix) = self.by_key.get(&key) {
            return *ix;
        }
        let ix = u16::try_from(self.program.ops.len()).unwrap_or(u16::MAX);
        let fed_by = self.fed_by(input);
        let uses = &input.uses;
        let events = !uses.events.is_empty();
        let mut slots = if events { uses.events.clone() } else { uses.slots.clone() };
        for op in uses.ops.iter().filter(|_| !events) {
            slots.extend(&self.program.ops[usize::from(*op)].slots);
        }
        if fed_by.is_some() {
            slots.clear();
        }
        let plain = uses.ops.is_empty() && !uses.age && !uses.known && (!events || uses.events == uses.slots);
        let period = fed_by.and_then(|ix| self.program.ops[usize::from(ix)].window);
        let period = period.map(|c| &self.program.consts[usize::from(c)]);
        let covers = match period {
            Some(Const::Num(seconds)) => Span::from_secs_f64(*seconds).times(3).as_micros(),
            _ => default_gap(&self.program.model).max,
        };
        let window = window.and_then(|w| w.konst.clone()).map(|w| self.constant(w));
        let args = args.iter().filter_map(|a| a.konst.clone()).map(|a| self.constant(a)).collect();
        self.program.ops.push(OpSpec {
            family,
            lane: input.uses.lane,
            key: key.clone(),
            input: input.code.clone(),
            slots,
            plain,
            events,
            fed_by,
            feeds: Vec::new(),
            window,
            args,
            covers,
            baseline: None,
            frozen_by: None,
            offset: 0,
        });
        self.by_key.insert(key, ix);
        ix
    }
}

/// Three times the report interval, paused beyond (T6).
pub(super) fn default_gap(model: &Model) -> Gap {
    let max = model.report_every.map_or(i64::MAX, |r| r.times(3).as_micros());
    Gap { max, policy: super::program::OnGap::Pause }
}

pub(super) fn type_of(signal: &crate::model::Signal) -> Ty {
    match &signal.ty {
        SignalType::Number => Ty::num(signal.unit.clone()),
        SignalType::Bool => Ty::Bool,
        SignalType::Enum(values) => Ty::Enum(values.as_slice().into()),
        // Of codes: whether one is active.
        SignalType::Codes(_) => Ty::Bool,
        SignalType::Text => Ty::Text,
    }
}
