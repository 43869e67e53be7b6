//! A baseline compiled for one model: its expressions checked, its operator made.

use std::sync::Arc;

use super::super::check::{Checker, Typed, join};
use super::super::expr::{Expr, Kind, Operator};
use super::super::fleet::{Found, Learned};
use super::super::program::{Const, Family, Ins, Read, Shown};
use super::super::push_once;
use super::super::raw::Source;
use super::super::tree::{Node, Part, line_of};
use super::super::types::{Ty, step_of};
use super::{Baseline, By, Origin, RawBaseline};
use crate::source::{Diagnostic, Place, did_you_mean};

/// A baseline as calls use it.
#[derive(Debug, Clone)]
pub(in super::super) struct Declared {
    pub(in super::super) op: u16,
    /// Where it says what it is of.
    pub(in super::super) place: Place,
    /// What it is of.
    pub(in super::super) values: Vec<Typed>,
    /// Leaves the present regime on the stack.
    pub(in super::super) regime: Typed,
    /// Canonical text, for operators over it.
    pub(in super::super) text: String,
    node: Arc<Node>,
}

impl Checker<'_> {
    /// The baseline called `name`, checked when it is first asked for; `None` after an error.
    pub(in super::super) fn baseline(&mut self, name: &Expr) -> Option<Declared> {
        let Kind::Name(wanted) = &name.kind else {
            let finding = Diagnostic::error("R060", "a baseline is called by its name");
            self.report(finding.hint("declare it as [rule.baseline.NAME]"), name, "not a name");
            return None;
        };
        let rule = self.rule;
        let Some(raw) = rule.baselines.iter().find(|b| b.name.value == *wanted) else {
            let near = did_you_mean(wanted, rule.baselines.iter().map(|b| &*b.name.value));
            let hint = near.map_or_else(
                || format!("declare it as [rule.baseline.{wanted}]"),
                |near| format!("did you mean `{near}`?"),
            );
            let finding = Diagnostic::error("R060", format!("the rule has no baseline '{wanted}'")).hint(hint);
            self.report(finding, name, "not a baseline");
            return None;
        };
        if self.tables.open.contains(wanted) {
            let finding = Diagnostic::error("R060", format!("the baseline '{wanted}' is of what it says itself"));
            self.report(finding, name, "reads itself");
            return None;
        }
        let declared = self.declare(raw)?;
        self.tables.nodes.insert((name.span.start, name.span.end), declared.node.clone());
        Some(declared)
    }

    /// Checks a baseline and makes its operator, once.
    pub(in super::super) fn declare(&mut self, raw: &RawBaseline) -> Option<Declared> {
        if let Some(known) = self.tables.baselines.get(&raw.name.value) {
            return known.clone();
        }
        self.tables.open.push(raw.name.value.clone());
        // The parts of its own expressions are no parts of the one at hand.
        let nodes = std::mem::take(&mut self.tables.nodes);
        let declared = self.compile(raw);
        self.tables.nodes = nodes;
        self.tables.open.pop();
        self.tables.baselines.insert(raw.name.value.clone(), declared.clone());
        declared
    }

    fn compile(&mut self, raw: &RawBaseline) -> Option<Declared> {
        let values: Vec<Option<Typed>> = raw.of.iter().map(|source| self.at(source).baseline_value(source)).collect();
        let mut children = Vec::new();
        let mut by: Vec<Option<(Typed, By)>> = Vec::new();
        for source in &raw.by {
            self.tables.nodes.clear();
            by.push(self.at(source).baseline_regime(source));
            children.extend(self.of_regime(&source.expr));
        }
        let values: Vec<Typed> = values.into_iter().collect::<Option<_>>()?;
        let (by_values, by): (Vec<Typed>, Vec<By>) = by.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        if raw.broken || values.is_empty() {
            return None;
        }
        let mut baseline = Baseline {
            rule: self.rule.id.value.clone(),
            name: raw.name.value.clone(),
            of: values.iter().map(|v| v.text.clone()).collect(),
            by,
            learn: raw.learn,
            robust: raw.robust,
            correlated: raw.correlated,
            source: Origin::Learning,
        };
        let learned = if raw.fleet { self.learned(raw, &baseline)? } else { None };
        let learning = raw.fleet && learned.is_none();
        let bins = learned.as_ref().map(|l| l.bins.clone());
        baseline.source = match (raw.own, bins) {
            _ if learning => Origin::Learning,
            (None, bins) => Origin::Fleet(bins.unwrap_or_default()),
            (Some(own), bins) => Origin::Own(own, bins),
        };
        let text = baseline.key(learned.as_deref());
        let (inputs, regime) = if learning {
            let zero = self.const_ix(Const::Num(0.0));
            let regime = join(Ty::plain(), String::new(), [], &[Ins::Const(zero)]);
            (values.iter().chain(&by_values).cloned().collect::<Vec<_>>(), regime)
        } else {
            (values.clone(), self.regime(by_values, learned.as_deref()))
        };
        let input = join(Ty::plain(), text.clone(), inputs.into_iter().chain([regime.clone()]), &[]);
        self.fits(&input, &raw.of[0].expr)?;
        let floor = raw.floor.as_ref().map(|f| self.const_ix(Const::Num(f.value)));
        let op = self.tables.operator(Family::Baseline, &input, None, &[]);
        let spec = &mut self.tables.program.ops[usize::from(op)];
        spec.args.extend(floor);
        spec.baseline = Some(Arc::new(baseline));
        let place = raw.of[0].text.place.clone();
        let code = regime.code.iter().copied().chain([Ins::Read(Read::Centre, op)]).collect();
        let node = Node {
            text: raw.name.value.clone(),
            place: line_of(self.diags, &raw.name.place),
            part: Part::Baseline(op),
            code,
            shown: values[0].shown(),
            slot: None,
            children,
        };
        Some(Declared { op, place, values, regime, text, node: Arc::new(node) })
    }

    /// Code that leaves the regime on the stack.
    fn regime(&mut self, by: Vec<Typed>, learned: Option<&Learned>) -> Typed {
        if by.is_empty() {
            let zero = self.const_ix(Const::Num(0.0));
            return join(Ty::plain(), String::new(), [], &[Ins::Const(zero)]);
        }
        let count = u8::try_from(by.len()).unwrap_or(u8::MAX);
        let mut parts = Vec::new();
        for (place, mut value) in by.into_iter().enumerate() {
            if let Some(edges) = learned.and_then(|l| l.edges.get(place)?.clone()) {
                value.code.push(Ins::Cut(self.tables.cut(edges)));
            }
            parts.push(value);
        }
        join(Ty::plain(), String::new(), parts, &[Ins::Regime(count)])
    }

    /// The fleet's baseline; `Some(None)` while it is being learned, `None` after an error.
    #[expect(clippy::option_option, reason = "being learned and missing differ")]
    fn learned(&mut self, raw: &RawBaseline, baseline: &Baseline) -> Option<Option<Arc<Learned>>> {
        let model = self.tables.program.model.id.clone();
        let learned = match self.fleet.find(model.as_str(), &baseline.name) {
            Found::Learning => return self.asked_alike(raw, baseline).then_some(None),
            Found::Baseline(learned) => learned,
            Found::Nothing => {
                let message = format!("the fleet of model '{model}' has no baseline '{}'", baseline.name);
                let finding = Diagnostic::error("R063", message).at(raw.name.place.clone(), "not in config/baselines");
                push_once(self.diags, finding.hint("`forewarn fit` learns it from a recording"));
                return None;
            }
        };
        let same = learned.of == baseline.of && learned.by.iter().eq(baseline.by.iter().map(|b| &b.text));
        if !same {
            let list = |of: &[String], by: Vec<&str>| format!("{} by [{}]", of.join(", "), by.join(", "));
            let by = |list: &'_ [By]| list.iter().map(|b| b.text.clone()).collect::<Vec<_>>();
            let (own_by, their_by) = (by(&baseline.by), &learned.by);
            let own = list(&baseline.of, own_by.iter().map(String::as_str).collect());
            let theirs = list(&learned.of, their_by.iter().map(String::as_str).collect());
            let message = format!("the fleet's baseline '{}' was learned for something else", baseline.name);
            let finding = Diagnostic::error("R063", message).at(raw.name.place.clone(), own);
            let finding = finding.related(learned.place.clone(), theirs);
            push_once(
                self.diags,
                finding.hint("learn it anew with `forewarn fit`, or give one of the two another name"),
            );
            return None;
        }
        Some(Some(learned))
    }

    /// Whether no other rule of the model means something else by the name of a baseline that is being learned.
    fn asked_alike(&mut self, raw: &RawBaseline, baseline: &Baseline) -> bool {
        let meant = (baseline.of.clone(), baseline.by.clone());
        let first = self.tables.asked.entry(baseline.name.clone()).or_insert((raw.name.place.clone(), meant.clone()));
        if first.1 == meant {
            return true;
        }
        let message = format!("two rules call different baselines of the fleet '{}'", baseline.name);
        let finding = Diagnostic::error("R063", message).at(raw.name.place.clone(), "of or by differ");
        let finding = finding.related(first.0.clone(), "from these");
        push_once(self.diags, finding.hint("give one of the two another name"));
        false
    }

    /// The same checker over another string.
    fn at<'b>(&'b mut self, source: &'b Source) -> Checker<'b> {
        let Checker { diags, tables, lets, let_names, rule, fleet, scope, .. } = self;
        Checker { diags, tables, source: &source.text, base: 0, lets, let_names, rule, fleet, scope: *scope }
    }

    fn baseline_value(&mut self, source: &Source) -> Option<Typed> {
        let typed = self.check(&source.expr)?;
        let typed = self.need_number(typed, &source.expr, "what a baseline is of")?;
        self.streamable(typed, &source.expr)
    }

    /// A value that makes a regime; a number is divided by the width of its bins.
    fn baseline_regime(&mut self, source: &Source) -> Option<(Typed, By)> {
        let e = &source.expr;
        let width = match &e.kind {
            Kind::Binary(Operator::Div, a, b) if matches!(b.kind, Kind::Number(..) | Kind::Field(..)) => Some((a, b)),
            _ => None,
        };
        let typed = match width {
            Some((value, width)) => self.binned(value, width)?,
            None => self.check(e)?,
        };
        let typed = self.streamable(typed, e)?;
        let mut text = typed.text.clone();
        match typed.shown() {
            Shown::Num(_) | Shown::Bool => {}
            // Another list of values is another regime.
            Shown::Enum(values) => text = format!("{text}{{{}}}", values.join(",")),
            Shown::Text | Shown::Codes(_) => {
                let finding = Diagnostic::error("R061", "a text cannot make a regime")
                    .hint("a number, a bool or an enum can; give the signal the type \"enum\" and its values");
                self.report(finding, e, typed.ty.what());
                return None;
            }
        }
        let bare = width.is_none() && matches!(typed.ty, Ty::Num(..));
        Some((typed, By { text, bare }))
    }

    /// The tree of the value that makes a regime, just checked; of a number without the width of its bins.
    fn of_regime(&self, e: &Expr) -> Option<Arc<Node>> {
        let at = |e: &Expr| self.tables.nodes.get(&(e.span.start, e.span.end)).cloned();
        at(e).or_else(|| if let Kind::Binary(_, value, _) = &e.kind { at(value) } else { None })
    }

    /// `value / width`: the width is in the unit of the value unless it says its own.
    fn binned(&mut self, a: &Expr, b: &Expr) -> Option<Typed> {
        let (value, width) = (self.check(a), self.check(b));
        let (value, width) = (self.need_number(value?, a, "what makes a regime")?, width?);
        let width = self.need_number(width, b, "the width of a bin")?;
        let (Ty::Num(unit, _), Ty::Num(of_width, _)) = (&value.ty, &width.ty) else { return None };
        let plain = of_width.dimension == crate::domain::Dimension::NONE;
        if !plain && of_width.dimension != unit.dimension {
            return self.mismatch(&value, &width, a, b);
        }
        let width = if plain { width } else { self.convert_to(width, &step_of(unit)) };
        if let Some(Const::Num(n)) = width.konst
            && !(n > 0.0 && n.is_finite())
        {
            self.report(Diagnostic::error("R061", "a bin must have a width of more than 0"), b, "");
            return None;
        }
        let text = format!("{}/{}", value.text, width.text);
        Some(join(Ty::plain(), text, vec![value, width], &[Ins::Div]))
    }
}

impl Baseline {
    /// What its state is called: everything that says what the words mean.
    fn key(&self, learned: Option<&Learned>) -> String {
        let by: Vec<&str> = self.by.iter().map(|b| b.text.as_str()).collect();
        let learn = match &self.source {
            Origin::Own(own, _) => format!("tau {} learn {} bins {}", own.tau, self.learn, own.bins),
            Origin::Fleet(_) | Origin::Learning => "fleet".to_owned(),
        };
        let cuts = learned.map_or_else(String::new, |l| format!(" cut {:?}", l.edges));
        let robust = if self.robust { "" } else { " plain" };
        let of = self.of.join(", ");
        format!("{}.{} of {of} by {} {learn}{robust}{cuts}", self.rule, self.name, by.join(", "))
    }
}
