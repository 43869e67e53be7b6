//! Where the values of a payload become readings. All formats come through here, so that they mean the same.

use super::value::{self, Scalar};
use crate::model::{
    BadValue, MAX_ELEMENTS, Message, Model, Plan, PlanNode, Reading, ReadingValue, SignalIx, TimestampUnit,
};

/// One message being made.
pub(super) struct Sink<'s, 'a> {
    pub(super) model: &'a Model,
    pub(super) out: &'s mut Message,
}

impl<'a> Sink<'_, 'a> {
    pub(super) fn plan(&self) -> &'a Plan {
        &self.model.plan
    }

    /// One value stands at `node`, so that nothing can stand deeper.
    pub(super) fn scalar(&mut self, node: &'a PlanNode, value: &Scalar<'_>) {
        let reason = match value {
            Scalar::Null => BadValue::Null,
            _ => BadValue::WrongType,
        };
        if node.time {
            self.time(value);
        }
        for &ix in &node.signals {
            if self.model.signals[usize::from(ix.0)].is_list() {
                self.push(ix, 0, ReadingValue::Bad(reason));
            } else {
                self.value(ix, 0, value);
            }
        }
        self.nothing_below(node, reason);
    }

    /// A value of a signal.
    pub(super) fn value(&mut self, ix: SignalIx, component: u16, value: &Scalar<'_>) {
        let signal = &self.model.signals[usize::from(ix.0)];
        self.push(ix, component, value::reading(signal, value));
    }

    /// The device time.
    pub(super) fn time(&mut self, value: &Scalar<'_>) {
        let unit = self.model.timestamp.as_ref().map_or(TimestampUnit::Millis, |field| field.unit);
        self.out.event_at = value::instant(unit, value);
        self.out.bad_timestamp = self.out.event_at.is_none();
    }

    /// An object stands at `node`, which no value can be. Its members are still to come.
    pub(super) fn map(&mut self, node: &'a PlanNode) {
        self.no_value(node, |_| true);
        for child in self.plan().elements(node) {
            self.bad(child, BadValue::WrongType);
        }
    }

    /// A list stands at `node`, which only components can be. Its elements are still to come.
    pub(super) fn list(&mut self, node: &'a PlanNode) {
        let model = self.model;
        self.no_value(node, |ix| !model.signals[usize::from(ix.0)].is_list());
        for child in self.plan().members(node) {
            self.bad(child, BadValue::WrongType);
        }
    }

    /// Element `i` of the list at `node`, for the signals that have components.
    pub(super) fn element(&mut self, node: &'a PlanNode, i: usize, value: &Scalar<'_>) {
        let Some(component) = u16::try_from(i).ok().filter(|i| usize::from(*i) < MAX_ELEMENTS) else { return };
        for &ix in &node.signals {
            if self.model.signals[usize::from(ix.0)].is_list() {
                self.value(ix, component, value);
            }
        }
    }

    /// The list at `node` has ended and had so many elements.
    pub(super) fn list_end(&mut self, node: &'a PlanNode, len: usize) {
        let instead = match len {
            0 => ReadingValue::Empty,
            1..=MAX_ELEMENTS => return,
            _ => ReadingValue::Bad(BadValue::TooLong),
        };
        for &ix in &node.signals {
            if self.model.signals[usize::from(ix.0)].is_list() {
                self.out.readings.retain(|reading| reading.signal != ix);
                self.push(ix, 0, instead.clone());
            }
        }
    }

    /// Everything at and below `node` is unusable.
    pub(super) fn bad(&mut self, node: &PlanNode, reason: BadValue) {
        for &ix in &node.below {
            self.push(ix, 0, ReadingValue::Bad(reason));
        }
        self.out.bad_timestamp |= node.time_below;
    }

    /// The member stands a second time: what was said before does not count.
    pub(super) fn forget(&mut self, node: &PlanNode) {
        self.out.readings.retain(|reading| node.below.binary_search(&reading.signal).is_err());
        if node.time_below {
            self.out.event_at = None;
            self.out.bad_timestamp = false;
        }
    }

    /// Neither an object nor a list stands at `node`.
    pub(super) fn nothing_below(&mut self, node: &'a PlanNode, reason: BadValue) {
        let plan = self.plan();
        for child in plan.members(node).chain(plan.elements(node)) {
            self.bad(child, reason);
        }
    }

    pub(super) fn push(&mut self, signal: SignalIx, component: u16, value: ReadingValue) {
        self.out.readings.push(Reading { signal, component, value });
    }

    /// Puts the readings in their order.
    pub(super) fn finish(&mut self) {
        let order = |reading: &Reading| (reading.signal, reading.component);
        // Devices mostly send in the order of the model, so that there is mostly nothing to do.
        if !self.out.readings.is_sorted_by_key(order) {
            self.out.readings.sort_by_key(order);
        }
    }

    fn no_value(&mut self, node: &PlanNode, which: impl Fn(SignalIx) -> bool) {
        self.out.bad_timestamp |= node.time;
        for &ix in node.signals.iter().filter(|ix| which(**ix)) {
            self.push(ix, 0, ReadingValue::Bad(BadValue::WrongType));
        }
    }
}

/// Which members of one object have been there: a word for the first 64, memory only for objects with more.
#[derive(Default)]
pub(super) struct Seen {
    first: u64,
    more: Vec<u64>,
}

impl Seen {
    /// Whether `number` was there before; it is from now on.
    pub(super) fn already(&mut self, number: usize) -> bool {
        let word = match (number / 64).checked_sub(1) {
            None => &mut self.first,
            Some(word) => {
                if self.more.len() <= word {
                    self.more.resize(word + 1, 0);
                }
                &mut self.more[word]
            }
        };
        let bit = 1 << (number % 64);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}
