//! The parts of an expression with their values.

use super::Part;
use crate::domain::{self, At, Span, Value};
use crate::engine::device::Device;
use crate::engine::emit;
use crate::engine::ops::{self, Op, time};
use crate::engine::vm::{View, run};
use crate::rules::{self, Ins, MAX_STACK, ModelProgram, Node, RuleProgram, Shown};

/// A rule and a device at one instant.
pub(super) struct Scene<'a> {
    pub(super) program: &'a ModelProgram,
    pub(super) spec: &'a RuleProgram,
    /// `None`: never heard of.
    pub(super) device: Option<&'a Device>,
    /// Which part of it looks; `None` for the device.
    pub(super) seat: Option<usize>,
    pub(super) registered: Option<&'a domain::Device>,
    pub(super) view: View<'a>,
}

impl Scene<'_> {
    /// A part and all parts below it.
    pub(super) fn part(&self, node: &Node) -> Part {
        // What is written as a number needs no line of its own below a comparison that shows it anyway.
        let parts = sides(node).into_iter().filter(|child| child.part != rules::Part::Literal);
        if let rules::Part::Steps(op) = node.part {
            return self.steps(node, op);
        }
        Part {
            text: node.text.to_string(),
            place: node.place.to_string(),
            value: self.shown(node),
            note: self.note(node),
            parts: Self::named(node, parts.map(|child| self.part(child)).collect()),
        }
    }

    /// What stands beside the first condition of a step or a sample says what it is for.
    fn named(node: &Node, mut parts: Vec<Part>) -> Vec<Part> {
        let name = match node.part {
            rules::Part::Step(_) => "unless",
            rules::Part::Sample(_) => "when",
            _ => return parts,
        };
        parts.iter_mut().skip(1).for_each(|part| part.text = format!("{name} {}", part.text));
        parts
    }

    /// The value of a part; NaN for unknown, and for what each component has one of while the device as a whole looks.
    pub(super) fn raw(&self, node: &Node) -> f64 {
        if self.is_of_parts(node) {
            return f64::NAN;
        }
        if node.code.is_empty() {
            // A step, or what may keep the rule from raising: the tree says how it stands, and no value.
            return f64::NAN;
        }
        run(&self.view, &node.code, &mut [0.0; MAX_STACK])
    }

    /// Whether each component has its own value of it, and none of them looks.
    pub(super) fn is_of_parts(&self, node: &Node) -> bool {
        let here = self.view.parts.get(self.view.part).map_or(0, |p| p.lane);
        let lane = |ins: &Ins| match ins {
            Ins::Slot(slot) | Ins::Age(slot) => self.program.slots[usize::from(*slot)].lane,
            Ins::Read(_, op) => self.program.ops[usize::from(*op)].lane,
            _ => 0,
        };
        node.code.iter().map(lane).any(|lane| lane != 0 && lane != here)
    }

    /// For people: `88 °C`.
    pub(super) fn shown(&self, node: &Node) -> String {
        if node.part == rules::Part::Literal && node.shown == Shown::Text {
            return node.text.to_string();
        }
        if let rules::Part::Attr(name) = &node.part {
            let text = self.registered.and_then(|d| d.attribute(name));
            return text.map_or_else(|| "unknown".to_owned(), |t| format!("'{t}'"));
        }
        if self.is_of_parts(node) {
            return "for each component".to_owned();
        }
        match node.part {
            rules::Part::Baseline(op) => return self.usual(node, op),
            rules::Part::Step(_) => return String::new(),
            rules::Part::Opened if self.view.opened != i64::MIN => {
                return At::from_micros(self.view.opened).to_string();
            }
            _ => {}
        }
        let value = emit::value_of(self.device, self.seat, self.raw(node), &node.shown, node.slot);
        match value {
            Value::Bool(b) => b.to_string(),
            Value::Text(text) => format!("'{text}'"),
            value => emit::for_people(&value, &node.shown),
        }
    }

    /// `true`, `false` or `unknown`.
    pub(super) fn truth(&self, node: &Node) -> &'static str {
        match self.raw(node) {
            n if n.is_nan() => "unknown",
            1.0 => "true",
            _ => "false",
        }
    }

    /// Age, origin, how full.
    fn note(&self, node: &Node) -> String {
        match &node.part {
            rules::Part::Signal => node.slot.map_or_else(String::new, |slot| self.age(slot)),
            rules::Part::Param(name, place) => match self.registered.and_then(|d| d.params.get(name)) {
                Some(own) => format!("registry: param.{name} = {own}"),
                None => format!("default of the model, {place}"),
            },
            rules::Part::Attr(_) if self.registered.is_none() => "the device is not in the registry".to_owned(),
            rules::Part::Attr(name) => match self.registered.and_then(|d| d.attribute(name)) {
                Some(_) => "registry".to_owned(),
                None => "the registry does not say it".to_owned(),
            },
            rules::Part::Call => self.fill_of(node).unwrap_or_default(),
            rules::Part::Baseline(op) => self.how_learned(node, *op),
            rules::Part::Sample(op) => self.point(*op),
            _ => String::new(),
        }
    }

    /// `12s old, known for 30s`.
    pub(super) fn age(&self, slot: u16) -> String {
        let Some((_, at)) = self.kept(slot) else { return String::new() };
        if at == 0 {
            return "never sent".to_owned();
        }
        let age = rounded(self.view.now.saturating_sub(at));
        match self.program.slots[usize::from(slot)].ttl {
            i64::MAX => format!("sent {age} ago"),
            ttl => format!("sent {age} ago, ttl {}", Span::from_micros(ttl)),
        }
    }

    /// What is kept of a signal, however old: value and device time, 0 for never. `None` if each component has its own.
    pub(super) fn kept(&self, slot: u16) -> Option<(f64, i64)> {
        let spec = &self.program.slots[usize::from(slot)];
        let here = self.view.parts.get(self.view.part).map_or(0, |p| p.lane);
        (spec.lane == 0 || spec.lane == here).then(|| {
            let words = &self.view.words(spec.lane)[spec.offset..];
            (f64::from_bits(words[0]), time(words[1]))
        })
    }

    /// An operator as it is for this device.
    pub(super) fn op(&self, ix: u16) -> Op<'_> {
        let ix = usize::from(ix);
        let spec = &self.program.ops[ix];
        self.view.profile.op(ix, spec)
    }

    /// The words of an operator.
    pub(super) fn words(&self, ix: u16) -> &[u64] {
        let spec = &self.program.ops[usize::from(ix)];
        &self.view.words(spec.lane)[spec.offset..]
    }

    /// How many samples a window holds, and how much of it they cover.
    pub(super) fn fill_of(&self, node: &Node) -> Option<String> {
        let Some(Ins::Read(_, ix)) = node.code.last() else { return None };
        let spec = &self.program.ops[usize::from(*ix)];
        if self.is_of_parts(node) {
            return None;
        }
        let op = self.op(*ix);
        let (samples, share) = ops::fill(op, &self.view.words(spec.lane)[spec.offset..], self.view.now)?;
        let window = Span::from_micros(op.window);
        Some(format!("{samples} samples, {:.0} % of {window} covered", (share * 100.0).min(100.0)))
    }
}

/// What a part is made of; a chain of the same sign is one list.
pub(super) fn sides(node: &Node) -> Vec<&Node> {
    use rules::Part;
    let chain = |child: &Node| child.part == node.part && matches!(node.part, Part::And | Part::Or | Part::Sum);
    node.children.iter().flat_map(|child| if chain(child) { sides(child) } else { vec![&**child] }).collect()
}

/// To the second, as far as people care.
pub(super) fn rounded(micros: i64) -> Span {
    let span = Span::from_micros(micros.max(0));
    if span < Span::from_secs(1) { span } else { Span::from_secs(span.as_micros() / 1_000_000) }
}

/// An instant and how long ago it was.
pub(super) fn ago(at: i64, now: i64) -> String {
    format!("{} ({} ago)", At::from_micros(at), rounded(now - at))
}
