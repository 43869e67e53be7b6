//! An expression to typed code for one model: names resolved, units checked, constants converted, operators found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::call::{is_opening, opening};
use super::expr::{Expr, Kind, Operator, Word};
use super::fleet::Fleet;
use super::program::{Const, Family, Ins, Shown, Uses, text_value};
use super::raw::RawRule;
use super::tables::{Tables, type_of};
use super::tree::{Node, Part, below, line_of};
use super::types::{Nature, Ty, product, quotient, step_of};
use crate::domain::{Dimension, Unit, Value};
use crate::model::{SignalIx, SignalKind, SignalType};
use crate::source::{Diagnostic, Diagnostics, Text, did_you_mean, what_there_is};

/// Longest code of one expression, its `let`s included.
const MAX_CODE: usize = 2_000;
/// Deepest stack of the machine that runs the code.
pub(crate) const MAX_STACK: usize = 64;

/// A checked expression.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) ty: Ty,
    /// Canonical text, for sharing operators and for naming their state.
    pub(super) text: String,
    pub(super) code: Vec<Ins>,
    /// Set if the whole is one constant.
    pub(super) konst: Option<Const>,
    /// Set if it is a text as written.
    pub(super) literal: Option<Arc<str>>,
    /// Set if it is a bare signal.
    pub(super) slot: Option<u16>,
    pub(super) uses: Uses,
}

impl Typed {
    pub(super) fn shown(&self) -> Shown {
        self.ty.shown()
    }

    /// Whether it can change while a device's registry entry does not.
    pub(super) fn is_static(&self) -> bool {
        let u = &self.uses;
        u.slots.is_empty() && u.ops.is_empty() && !u.silence() && !u.age
    }
}

/// Checks expressions of one rule for one model. Every method gives `None` after it has recorded what is wrong.
pub(super) struct Checker<'a> {
    pub(super) diags: &'a mut Diagnostics,
    pub(super) tables: &'a mut Tables,
    /// The string the expression stands in.
    pub(super) source: &'a Text,
    /// Where in that string it starts (an expression in a title does not start at 0).
    pub(super) base: usize,
    pub(super) lets: &'a BTreeMap<Arc<str>, Option<Typed>>,
    /// All `let`s of the rule, for those that come later.
    pub(super) let_names: &'a [Arc<str>],
    pub(super) rule: &'a RawRule,
    pub(super) fleet: &'a Fleet,
    pub(super) scope: Scope,
}

/// Whose values an expression may read beside those of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of the part that the rule watches; 0 if it watches the device.
    Rule(u16),
    /// Those of the part that a fold has come to: of the kind that is read first.
    Fold(Option<u16>),
}

impl Checker<'_> {
    /// An expression that must be true or false.
    pub(super) fn condition(&mut self, e: &Expr) -> Option<Typed> {
        let typed = self.check(e)?;
        self.need_bool(typed, e, "a condition")
    }

    pub(super) fn check(&mut self, e: &Expr) -> Option<Typed> {
        let typed = self.inner(e)?;
        self.fits(&typed, e)?;
        self.keep(e, &typed);
        Some(typed)
    }

    /// `None`, and a finding, for code that the machine has no room for.
    pub(super) fn fits(&mut self, typed: &Typed, e: &Expr) -> Option<()> {
        if typed.code.len() > MAX_CODE || stack_of(&typed.code) > MAX_STACK {
            self.report(Diagnostic::error("R035", "this expression is too large once its lets are filled in"), e, "");
            return None;
        }
        Some(())
    }

    /// Keeps what this part was made of, for people who ask why (see `tree`).
    fn keep(&mut self, e: &Expr, typed: &Typed) {
        let let_node = match &e.kind {
            Kind::Name(name) => self.tables.let_nodes.get(name).cloned(),
            _ => None,
        };
        let mut part = Part::of(e, let_node.is_some());
        if let Part::Param(name, place) = &mut part
            && let Some(param) = self.tables.program.model.params.get(name)
        {
            *place = line_of(self.diags, &param.place);
        }
        let below = below(e).into_iter().filter_map(|c| self.tables.nodes.get(&(c.span.start, c.span.end)).cloned());
        let node = Node {
            text: self.source.value.get(self.base + e.span.start..self.base + e.span.end).unwrap_or("").into(),
            place: line_of(self.diags, &self.place(&e.span)),
            part,
            code: typed.code.clone(),
            shown: typed.shown(),
            slot: typed.slot,
            children: below.chain(let_node).collect(),
        };
        self.tables.nodes.insert((e.span.start, e.span.end), Arc::new(node));
    }

    fn inner(&mut self, e: &Expr) -> Option<Typed> {
        match &e.kind {
            Kind::Number(n, unit) => self.number(*n, unit.as_ref()),
            Kind::Duration(d) => Some(self.constant(Const::Num(d.as_secs_f64()), Ty::seconds(), None)),
            Kind::Bool(b) => Some(self.constant(Const::Num(f64::from(u8::from(*b))), Ty::Bool, None)),
            Kind::Text(t) => {
                let mut typed = self.constant(Const::Num(text_value(t)), Ty::Text, Some(format!("'{t}'")));
                typed.literal = Some(t.clone());
                Some(typed)
            }
            Kind::Name(name) => self.name(name, e),
            Kind::Field(base, field) => self.field(base, field),
            Kind::Not(inner) => {
                let t = self.check(inner)?;
                let t = self.need_bool(t, inner, "the value after '!'")?;
                Some(self.unary(t, "!", Ins::Not))
            }
            Kind::Negate(inner) => {
                let t = self.check(inner)?;
                let t = self.need_number(t, inner, "the value after '-'")?;
                let t = self.need_linear(t, inner, "negated")?;
                Some(self.unary(t, "-", Ins::Neg))
            }
            Kind::Binary(o, a, b) => self.binary(*o, a, b, e),
            Kind::Choose(c, a, b) => {
                let condition = self.condition(c);
                let (a_typed, b_typed) = (self.check(a), self.check(b));
                let (condition, (yes, no)) =
                    (condition?, self.same(a_typed?, b_typed?, a, b, "the two results of ?:")?);
                let ty = yes.ty.clone();
                let text = format!("({} ? {} : {})", condition.text, yes.text, no.text);
                Some(join(ty, text, [condition, yes, no], &[Ins::Choose]))
            }
            Kind::In(a, items) => self.one_of(a, items, e),
            Kind::Range(..) => {
                self.report(Diagnostic::error("R016", "a range stands in a list: x in [1..5]"), e, "");
                None
            }
            Kind::List(_) => {
                self.report(Diagnostic::error("R016", "a list stands in t2([a, b], baseline) only"), e, "");
                None
            }
            Kind::Matches(m, pattern) => self.matches(m, pattern),
            Kind::Call(name, args) => self.call(name, args, e),
        }
    }

    fn number(&mut self, n: f64, unit: Option<&Word>) -> Option<Typed> {
        let Some(word) = unit else {
            return Some(self.constant(Const::Num(n), Ty::plain(), None));
        };
        let Some(unit) = Unit::parse(&word.text) else {
            let hint = did_you_mean(&word.text, Unit::known()).map(|u| format!("did you mean `{u}`?"));
            let finding = Diagnostic::error("R014", format!("unknown unit '{}'", word.text)).maybe_hint(hint);
            self.report_at(finding, &word.span, "not a unit");
            return None;
        };
        let text = format!("{n}[{unit}]");
        Some(self.constant(Const::Num(n), Ty::num(unit), Some(text)))
    }

    /// A constant; without `text` it is named by its value.
    pub(super) fn constant(&mut self, value: Const, ty: Ty, text: Option<String>) -> Typed {
        let text = text.unwrap_or_else(|| match (&value, &ty) {
            (Const::Num(n), Ty::Num(u, _)) if !u.text.is_empty() => format!("{n}[{u}]"),
            (Const::Num(n), Ty::Bool) => (*n == 1.0).to_string(),
            (Const::Num(n), _) => n.to_string(),
            (Const::Param { name, .. }, _) => format!("param.{name}"),
            (Const::Attr { name, .. } | Const::Instant { name } | Const::Matches { name, .. }, _) => {
                format!("device.{name}")
            }
        });
        let code = vec![Ins::Const(self.tables.constant(value.clone()))];
        Typed { ty, text, code, konst: Some(value), literal: None, slot: None, uses: Uses::default() }
    }

    fn name(&mut self, name: &Arc<str>, e: &Expr) -> Option<Typed> {
        if let Some(known) = self.lets.get(name) {
            // A let that could not be checked has been reported where it stands.
            let known = known.clone()?;
            return self.may_read(known.uses.lane, name, e).then_some(known);
        }
        let model = self.tables.program.model.clone();
        if let Some(at) = model.signals.iter().position(|s| s.name.as_str() == &**name) {
            let signal = &model.signals[at];
            if matches!(signal.ty, SignalType::Codes(_)) {
                let finding = Diagnostic::error("R056", format!("'{name}' is a set of codes"));
                let hint = format!("ask active({name}, 'P03*'), appeared, cleared or active_for");
                self.report(finding.hint(hint), e, "not a single value");
                return None;
            }
            let slot = self.tables.slot(SignalIx(u16::try_from(at).unwrap_or(u16::MAX)));
            let lane = self.tables.program.slots[usize::from(slot)].lane;
            if !self.may_read(lane, name, e) {
                return None;
            }
            let mut uses = Uses { lane, ..Uses::default() };
            uses.slots.insert(slot);
            if signal.kind == SignalKind::Event {
                uses.events.insert(slot);
            }
            let text = format!("{name}[{}]", signal.unit);
            let code = vec![Ins::Slot(slot)];
            return Some(Typed { ty: type_of(signal), text, code, konst: None, literal: None, slot: Some(slot), uses });
        }
        if &**name == "usual_interval" {
            let uses = Uses { age: true, ..Uses::default() };
            let (text, code) = (name.to_string(), vec![Ins::Interval]);
            return Some(Typed { ty: Ty::seconds(), text, code, konst: None, literal: None, slot: None, uses });
        }
        if &**name == "online" {
            let slot = self.tables.online();
            // It may have been told before the first sample, when there was nothing to look at.
            let mut uses = Uses { age: true, ..Uses::default() };
            uses.slots.insert(slot);
            let code = vec![Ins::Slot(slot)];
            return Some(Typed {
                ty: Ty::Bool,
                text: "online".to_owned(),
                code,
                konst: None,
                literal: None,
                slot: Some(slot),
                uses,
            });
        }
        if self.let_names.contains(name) {
            let finding = Diagnostic::error("R020", format!("'{name}' is used before it is defined"))
                .hint("a let can use those above it");
            self.report(finding, e, "defined further down");
            return None;
        }
        let names = || model.signals.iter().map(|s| s.name.as_str()).chain(self.let_names.iter().map(|n| &**n));
        let near = did_you_mean(name, names()).map(|n| format!("did you mean `{n}`?"));
        let param = || model.params.contains_key(name).then(|| format!("parameters are read as `param.{name}`"));
        let hint = near.or_else(param).or_else(|| what_there_is(names()));
        let finding =
            Diagnostic::error("R012", format!("model '{}' has no signal '{name}'", model.id)).maybe_hint(hint);
        self.report(finding, e, "neither a signal nor a let");
        None
    }

    /// Whether a value of a part may be read here.
    fn may_read(&mut self, lane: u16, name: &str, e: &Expr) -> bool {
        let kind = |c: &Self, lane: u16| c.tables.program.lanes[usize::from(lane)].name.clone();
        match self.scope {
            _ if lane == 0 => true,
            Scope::Rule(own) | Scope::Fold(Some(own)) if own == lane => true,
            Scope::Fold(None) => {
                self.scope = Scope::Fold(Some(lane));
                true
            }
            Scope::Fold(Some(other)) => {
                let (this, other) = (kind(self, lane), kind(self, other));
                let message = format!("'{name}' has a value for each {this}, and the rest here for each {other}");
                let hint = "one function goes over one kind of component; take two: max(a) - max(b)";
                self.report(Diagnostic::error("R051", message).hint(hint), e, format!("for each {this}"));
                false
            }
            Scope::Rule(_) => {
                let each = kind(self, lane);
                let message = format!("'{name}' has a value for each {each}");
                let hint = format!(
                    "use max({name}), min({name}), mean({name}) or count(…), or `each = \"{each}\"` on the rule"
                );
                let model = self.tables.program.model.clone();
                let finding = Diagnostic::error("R012", message).hint(hint);
                let signal = model.signals.iter().find(|s| s.name.as_str() == name);
                let finding = match signal {
                    Some(signal) => finding.related(signal.place.clone(), "defined here"),
                    None => finding,
                };
                self.report(finding, e, "not a single value");
                false
            }
        }
    }

    fn field(&mut self, base: &Word, field: &Word) -> Option<Typed> {
        let model = self.tables.program.model.clone();
        match &*base.text {
            "device" => {
                let value = Const::Attr { name: field.text.clone(), number: false };
                Some(self.constant(value, Ty::Attr(field.text.clone()), None))
            }
            "param" => {
                let Some(param) = model.params.get(&field.text) else {
                    let hint = did_you_mean(&field.text, model.params.keys().map(|k| &**k));
                    let finding =
                        Diagnostic::error("R011", format!("model '{}' has no param '{}'", model.id, field.text))
                            .maybe_hint(hint.map(|n| format!("did you mean `param.{n}`?")));
                    self.report_at(finding, &field.span, "not a param");
                    return None;
                };
                let ty = match param.value {
                    Value::Bool(_) => Ty::Bool,
                    Value::Text(_) => Ty::Text,
                    Value::Num(_) | Value::Unknown => Ty::num(param.unit.clone()),
                };
                Some(self.constant(Const::Param { name: field.text.clone(), factor: 1.0, offset: 0.0 }, ty, None))
            }
            "codes" => {
                let finding = Diagnostic::error("R053", "a code table is asked about codes");
                let hint = format!("write active(dtc, codes.{} == '…')", field.text);
                self.report_at(finding.hint(hint), &base.span, "of which signal?");
                None
            }
            "case" if &*field.text == "opened_at" => Some(opening()),
            other => {
                let hint =
                    did_you_mean(other, ["param", "device"]).map(|n| format!("did you mean `{n}.{}`?", field.text));
                let finding = Diagnostic::error("R011", format!("'{other}' has no parts"))
                    .maybe_hint(hint.or_else(|| Some("only `param.x` and `device.x` do".to_owned())));
                self.report_at(finding, &base.span, "");
                None
            }
        }
    }

    fn binary(&mut self, o: Operator, a: &Expr, b: &Expr, e: &Expr) -> Option<Typed> {
        // Both sides are checked before either is given up, so that both are reported.
        let (left, right) = (self.check(a), self.check(b));
        let (left, right) = (left?, right?);
        if is_opening(a) || is_opening(b) {
            return self.against_opening(o, left, right, a, b);
        }
        match o {
            Operator::And | Operator::Or => {
                let what = format!("a side of '{}'", o.as_str());
                let (left, right) = (self.need_bool(left, a, &what), self.need_bool(right, b, &what));
                Some(logic(o, left?, right?))
            }
            Operator::Eq | Operator::Ne | Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => {
                self.compare(o, left, right, a, b)
            }
            Operator::OrElse => {
                let (left, right) = self.same(left, right, a, b, "the two sides of ??")?;
                let ty = left.ty.clone();
                let mut typed = pair(ty, o.as_str(), left, right, Ins::OrElse);
                typed.uses.known = true;
                Some(typed)
            }
            Operator::Add | Operator::Sub => self.sum(o, left, right, a, b),
            Operator::Mul | Operator::Div => {
                let left = self.need_number(left, a, &format!("the left side of '{}'", o.as_str()));
                let right = self.need_number(right, b, &format!("the right side of '{}'", o.as_str()));
                let left = self.need_linear(left?, a, "multiplied or divided")?;
                let right = self.need_linear(right?, b, "multiplied or divided")?;
                let (Ty::Num(u, _), Ty::Num(v, _)) = (&left.ty, &right.ty) else { return None };
                let (unit, ins) =
                    if o == Operator::Mul { (product(u, v), Ins::Mul) } else { (quotient(u, v), Ins::Div) };
                let _ = e;
                Some(pair(Ty::Num(unit, Nature::Linear), o.as_str(), left, right, ins))
            }
        }
    }

    fn sum(&mut self, o: Operator, left: Typed, right: Typed, a: &Expr, b: &Expr) -> Option<Typed> {
        let (left, right) = (self.settle(left, &right.ty), right);
        let right = self.settle(right, &left.ty);
        let left = self.need_number(left, a, &format!("the left side of '{}'", o.as_str()))?;
        let right = self.need_number(right, b, &format!("the right side of '{}'", o.as_str()))?;
        let (Ty::Num(u, un), Ty::Num(v, vn)) = (left.ty.clone(), right.ty.clone()) else { return None };
        if u.dimension != v.dimension {
            return self.mismatch(&left, &right, a, b);
        }
        let ins = if o == Operator::Add { Ins::Add } else { Ins::Sub };
        let (left, right, ty) = match (un, vn, o) {
            (Nature::Point, Nature::Point, Operator::Sub) => {
                let right = self.convert(right, &u);
                (left, right, Ty::Num(step_of(&u), Nature::Delta))
            }
            (Nature::Point, Nature::Point, _) => {
                let finding = Diagnostic::error("R032", "two temperatures cannot be added")
                    .hint("their average is avg(); a step is written 5[K]");
                self.report(finding, b, "a temperature, not a difference");
                return None;
            }
            (Nature::Point, _, _) => {
                let right = self.convert(right, &step_of(&u));
                (left, right, Ty::Num(u, Nature::Point))
            }
            (_, Nature::Point, Operator::Add) => {
                let left = self.convert(left, &step_of(&v));
                (left, right, Ty::Num(v, Nature::Point))
            }
            (_, Nature::Point, _) => {
                let finding =
                    Diagnostic::error("R032", format!("a temperature in {v} cannot be taken from one in {u}"))
                        .hint("write the constant in K, or the other way round");
                self.report(finding, b, "a temperature, not a difference");
                return None;
            }
            _ => {
                let nature = if un == Nature::Delta || vn == Nature::Delta { Nature::Delta } else { Nature::Linear };
                let (left, right) = self.meet(left, right, &u, &v);
                let unit = if let Ty::Num(unit, _) = &left.ty { unit.clone() } else { u };
                (left, right, Ty::Num(unit, nature))
            }
        };
        Some(pair(ty, o.as_str(), left, right, ins))
    }

    pub(super) fn compare(&mut self, o: Operator, left: Typed, right: Typed, a: &Expr, b: &Expr) -> Option<Typed> {
        let equality = matches!(o, Operator::Eq | Operator::Ne);
        let (left, right) = self.same(left, right, a, b, &format!("the two sides of '{}'", o.as_str()))?;
        if !equality && !matches!(left.ty, Ty::Num(..)) {
            let finding =
                Diagnostic::error("R030", format!("'{}' compares numbers, not {}", o.as_str(), left.ty.what()))
                    .hint("use == or !=");
            self.report(finding, a, left.ty.what());
            return None;
        }
        let ins = match o {
            Operator::Eq => Ins::Eq,
            Operator::Ne => Ins::Ne,
            Operator::Lt => Ins::Lt,
            Operator::Le => Ins::Le,
            Operator::Gt => Ins::Gt,
            _ => Ins::Ge,
        };
        Some(pair(Ty::Bool, o.as_str(), left, right, ins))
    }

    fn one_of(&mut self, a: &Expr, items: &[Expr], e: &Expr) -> Option<Typed> {
        if items.is_empty() {
            self.report(Diagnostic::error("R016", "the list after 'in' is empty"), e, "never true");
            return None;
        }
        let left = self.check(a)?;
        let tests: Vec<Option<Typed>> = items
            .iter()
            .map(|item| {
                if let Kind::Range(from, to) = &item.kind {
                    let (low, high) = (self.check(from), self.check(to));
                    let low = self.compare(Operator::Ge, left.clone(), low?, a, from);
                    let high = self.compare(Operator::Le, left.clone(), high?, a, to);
                    return Some(logic(Operator::And, low?, high?));
                }
                let right = self.check(item)?;
                self.compare(Operator::Eq, left.clone(), right, a, item)
            })
            .collect();
        tests.into_iter().collect::<Option<Vec<_>>>()?.into_iter().reduce(|x, y| logic(Operator::Or, x, y))
    }

    /// Brings two values to one type: what can be compared, chosen between or stand in for each other.
    pub(super) fn same(&mut self, left: Typed, right: Typed, a: &Expr, b: &Expr, what: &str) -> Option<(Typed, Typed)> {
        let (left, right) = (self.settle(left, &right.ty), right);
        let right = self.settle(right, &left.ty);
        match (left.ty.clone(), right.ty.clone()) {
            (Ty::Bool, Ty::Bool) | (Ty::Text, Ty::Text) => Some((left, right)),
            (Ty::Enum(x), Ty::Enum(y)) if x == y => Some((left, right)),
            (Ty::Enum(values), Ty::Text) if right.literal.is_some() => {
                let right = self.enum_value(&values, right, b)?;
                Some((left, right))
            }
            (Ty::Text, Ty::Enum(values)) if left.literal.is_some() => {
                let left = self.enum_value(&values, left, a)?;
                Some((left, right))
            }
            (Ty::Num(u, un), Ty::Num(v, vn)) => {
                if u.dimension != v.dimension {
                    return self.mismatch(&left, &right, a, b);
                }
                if (un == Nature::Delta && vn == Nature::Point) || (un == Nature::Point && vn == Nature::Delta) {
                    let at = if un == Nature::Point { a } else { b };
                    let finding = Diagnostic::error("R032", "a difference of temperatures is not a temperature")
                        .hint("a difference is written in K, such as 5[K]");
                    self.report(finding, at, "a temperature");
                    return None;
                }
                Some(self.meet(left, right, &u, &v))
            }
            (x, y) => {
                let finding = Diagnostic::error("R030", format!("{what} must be of one kind"));
                let finding = finding.related(self.place(&a.span), x.what());
                self.report(finding, b, y.what());
                None
            }
        }
    }

    /// `device.x` becomes a number beside a number, and a text beside everything else.
    fn settle(&mut self, typed: Typed, beside: &Ty) -> Typed {
        let Ty::Attr(name) = &typed.ty else { return typed };
        match beside {
            Ty::Num(..) => {
                let text = typed.text.clone();
                let value = Const::Attr { name: name.clone(), number: true };
                let ty = match beside {
                    Ty::Num(u, n) => Ty::Num(u.clone(), *n),
                    _ => Ty::plain(),
                };
                self.constant(value, ty, Some(text))
            }
            _ => Typed { ty: Ty::Text, ..typed },
        }
    }

    fn enum_value(&mut self, values: &Arc<[Arc<str>]>, literal: Typed, at: &Expr) -> Option<Typed> {
        let text = literal.literal?;
        match values.iter().position(|v| *v == text) {
            Some(ix) => {
                let index = f64::from(u16::try_from(ix).unwrap_or(u16::MAX));
                Some(self.constant(Const::Num(index), Ty::Enum(values.clone()), Some(literal.text)))
            }
            None => {
                let hint = did_you_mean(&text, values.iter().map(|v| &**v)).map(|v| format!("did you mean '{v}'?"));
                let hint = hint.or_else(|| Some(format!("it is one of '{}'", values.join("', '"))));
                let finding = Diagnostic::error("R033", format!("'{text}' is never sent")).maybe_hint(hint);
                self.report(finding, at, "not one of the values");
                None
            }
        }
    }

    /// Brings two numbers of one dimension to one unit: the constant side is converted if one side is constant, so
    /// that a signal is used as it was sent.
    fn meet(&mut self, left: Typed, right: Typed, u: &Unit, v: &Unit) -> (Typed, Typed) {
        if left.konst.is_some() && right.konst.is_none() {
            (self.convert(left, v), right)
        } else {
            let right = self.convert(right, u);
            (left, right)
        }
    }

    /// The same value in `unit`. Nothing is done to it if it is in that unit already.
    fn convert(&mut self, typed: Typed, unit: &Unit) -> Typed {
        let Ty::Num(from, nature) = &typed.ty else { return typed };
        let nature = if unit.offset != 0.0 { Nature::Point } else { *nature };
        let ty = Ty::Num(unit.clone(), nature);
        // A step is converted by its size alone.
        let Some((factor, offset)) = from.to(unit) else { return typed };
        if (factor, offset) == (1.0, 0.0) {
            return Typed { ty, ..typed };
        }
        let text = format!("{} as {unit}", typed.text);
        match typed.konst {
            Some(Const::Num(n)) => self.constant(Const::Num(n * factor + offset), ty, Some(text)),
            Some(Const::Param { name, factor: f, offset: o }) => {
                let value = Const::Param { name, factor: f * factor, offset: o * factor + offset };
                self.constant(value, ty, Some(text))
            }
            _ => {
                let ins =
                    Ins::Affine(self.tables.constant(Const::Num(factor)), self.tables.constant(Const::Num(offset)));
                let mut typed = Typed { ty, text, slot: None, ..typed };
                typed.code.push(ins);
                typed
            }
        }
    }

    /// As [`Self::convert`], for a window or limit argument.
    pub(super) fn convert_to(&mut self, typed: Typed, unit: &Unit) -> Typed {
        self.convert(typed, unit)
    }

    pub(super) fn mismatch<T>(&mut self, left: &Typed, right: &Typed, a: &Expr, b: &Expr) -> Option<T> {
        let plain = |t: &Ty| matches!(t, Ty::Num(u, _) if u.dimension == Dimension::NONE);
        let unit = |t: &Ty| if let Ty::Num(u, _) = t { u.text.to_string() } else { String::new() };
        let hint = match (&a.kind, &b.kind) {
            (_, Kind::Number(n, None)) if !plain(&left.ty) => Some(format!("did you mean {n}[{}]?", unit(&left.ty))),
            (Kind::Number(n, None), _) if !plain(&right.ty) => Some(format!("did you mean {n}[{}]?", unit(&right.ty))),
            _ => None,
        };
        // An amount of time is written as one.
        let mut finding = Diagnostic::error("R031", "unit mismatch").maybe_hint(hint.map(|h| h.replace("[s]", "s")));
        let model = self.tables.program.model.clone();
        let signal = left.slot.and_then(|s| self.tables.program.slots[usize::from(s)].signal);
        let signal = signal.map(|ix| &model.signals[usize::from(ix.0)]);
        finding = finding.related(self.place(&a.span), left.ty.what());
        if let Some(signal) = signal
            && signal.place.file != self.source.place.file
        {
            finding = finding.related(signal.place.clone(), format!("'{}' is {}", signal.name, left.ty.what()));
        }
        self.report(finding, b, right.ty.what());
        None
    }

    fn unary(&mut self, typed: Typed, sign: &str, ins: Ins) -> Typed {
        let ty = typed.ty.clone();
        let text = format!("{sign}{}", typed.text);
        join(ty, text, [typed], &[ins])
    }

    pub(super) fn need_bool(&mut self, typed: Typed, at: &Expr, what: &str) -> Option<Typed> {
        if typed.ty == Ty::Bool {
            return Some(typed);
        }
        let found = typed.ty.what();
        self.report(Diagnostic::error("R030", format!("{what} must be true or false")), at, found);
        None
    }

    pub(super) fn need_number(&mut self, typed: Typed, at: &Expr, what: &str) -> Option<Typed> {
        let typed = self.settle(typed, &Ty::plain());
        if matches!(typed.ty, Ty::Num(..)) {
            return Some(typed);
        }
        let found = typed.ty.what();
        self.report(Diagnostic::error("R030", format!("{what} must be a number")), at, found);
        None
    }

    pub(super) fn need_linear(&mut self, typed: Typed, at: &Expr, done: &str) -> Option<Typed> {
        let Ty::Num(unit, Nature::Point) = &typed.ty else { return Some(typed) };
        let finding = Diagnostic::error("R032", format!("a temperature in {unit} cannot be {done}"))
            .hint(format!("its scale does not start at zero; (t - 0[{unit}]) is a number that can be"));
        self.report(finding, at, "a temperature");
        None
    }

    /// The operator over `input`, read by `read`; its type and the limit it needs are the caller's.
    pub(super) fn operator(&mut self, family: Family, input: &Typed, window: Option<&Typed>, args: &[&Typed]) -> u16 {
        self.tables.operator(family, input, window, args)
    }

    pub(super) fn const_ix(&mut self, value: Const) -> u16 {
        self.tables.constant(value)
    }

    pub(super) fn place(&self, span: &Range<usize>) -> crate::source::Place {
        self.source.inner(self.diags, self.base + span.start..self.base + span.end)
    }

    pub(super) fn report(&mut self, finding: Diagnostic, at: &Expr, label: impl Into<String>) {
        self.report_at(finding, &at.span.clone(), label);
    }

    pub(super) fn report_at(&mut self, finding: Diagnostic, span: &Range<usize>, label: impl Into<String>) {
        let place = self.place(span);
        super::push_once(self.diags, finding.at(place, label));
    }
}

/// Concatenates the code of `parts` and `end`.
pub(super) fn join(ty: Ty, text: String, parts: impl IntoIterator<Item = Typed>, end: &[Ins]) -> Typed {
    let mut code = Vec::new();
    let mut uses = Uses::default();
    for part in parts {
        code.extend(part.code);
        uses.add(&part.uses);
    }
    code.extend_from_slice(end);
    Typed { ty, text, code, konst: None, literal: None, slot: None, uses }
}

fn pair(ty: Ty, sign: &str, left: Typed, right: Typed, ins: Ins) -> Typed {
    let text = format!("({} {sign} {})", left.text, right.text);
    join(ty, text, [left, right], &[ins])
}

/// `&&` and `||` do not run their right side when the left decides.
fn logic(o: Operator, left: Typed, right: Typed) -> Typed {
    let over = u16::try_from(right.code.len() + 1).unwrap_or(u16::MAX);
    let (skip, ins) =
        if o == Operator::And { (Ins::SkipIfFalse(over), Ins::And) } else { (Ins::SkipIfTrue(over), Ins::Or) };
    let mut left = left;
    left.code.push(skip);
    pair(Ty::Bool, o.as_str(), left, right, ins)
}

/// The most values that stand on the stack while `code` runs. Skips only leave less.
pub(super) fn stack_of(code: &[Ins]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for count in code.iter().filter_map(|ins| ins.pops()) {
        now = now.saturating_sub(count) + 1;
        most = most.max(now);
    }
    most
}
