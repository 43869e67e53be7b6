//! `[rule.chart]`: what people are shown of how a fault came, in the mail about it.
//!
//! `of` is a signal, a `let` or any other number; `over` is how far back; `limit` is the level that matters. The course is
//! kept by the same bounded operator that `slope` and `time_to` use (twenty stretches of time), and shared with them if
//! they look at the same value over the same time. It costs nothing where it is not asked for.

use super::check::Typed;
use super::load::RuleCompiler;
use super::program::{Family, Ins, Shown};
use super::raw::{Source, source};
use super::types::Ty;
use crate::domain::Unit;
use crate::source::{Diagnostic, Diagnostics, Place, Table};

/// As written.
#[derive(Debug)]
pub(super) struct RawChart {
    pub(super) place: Place,
    of: Option<Source>,
    over: Option<Source>,
    limit: Option<Source>,
}

/// Compiled.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// The operator that keeps the course.
    pub(crate) op: u16,
    pub(crate) unit: Unit,
    /// The level that matters; empty for none.
    pub(crate) limit: Vec<Ins>,
}

pub(super) fn read(diags: &mut Diagnostics, rule: &Table<'_>) -> Option<RawChart> {
    let table = rule.table(diags, "chart")?;
    table.need(diags, "of");
    table.need(diags, "over");
    let raw = RawChart {
        place: table.place(),
        of: source(diags, &table, "of"),
        over: source(diags, &table, "over"),
        limit: source(diags, &table, "limit"),
    };
    table.finish(diags);
    Some(raw)
}

impl RuleCompiler<'_> {
    /// `Some(None)` for a rule without a chart, `None` after an error.
    #[expect(clippy::option_option, reason = "absent and refused differ")]
    pub(super) fn chart(&mut self) -> Option<Option<Chart>> {
        let Some(raw) = &self.rule.chart else { return Some(None) };
        let (of, over) = (raw.of.as_ref()?, raw.over.as_ref()?);
        let names = self.names();
        let input = {
            let mut checker = self.checker(&of.text, &names);
            let typed = checker.check(&of.expr)?;
            let typed = checker.need_number(typed, &of.expr, "what a chart shows")?;
            checker.streamable(typed, &of.expr)?
        };
        let window = self.checker(&over.text, &names).window(&over.expr)?;
        let limit = match &raw.limit {
            Some(limit) => self.chart_limit(limit, &input)?.code,
            None => Vec::new(),
        };
        let Shown::Num(unit) = input.shown() else { return None };
        let op = self.tables.operator(Family::Trend, &input, Some(&window), &[]);
        Some(Some(Chart { op, unit, limit }))
    }

    /// In the unit of what is shown.
    fn chart_limit(&mut self, limit: &Source, input: &Typed) -> Option<Typed> {
        let names = self.names();
        let mut checker = self.checker(&limit.text, &names);
        let typed = checker.check(&limit.expr)?;
        let Ty::Num(unit, _) = &input.ty else { return None };
        if let Ty::Num(own, _) = &typed.ty
            && own.dimension != unit.dimension
        {
            let message = format!("the chart shows {}, and its limit is {}", input.ty.what(), typed.ty.what());
            checker.report(Diagnostic::error("R031", message), &limit.expr, "of another kind");
            return None;
        }
        let what = "what a chart shows and its limit";
        let (_, typed) = checker.same(input.clone(), typed, &limit.expr, &limit.expr, what)?;
        Some(checker.convert_to(typed, unit))
    }
}
