//! `[rule.sample.NAME]`: a signal of the rule's own, sampled only when it means something, one point a period.
//!
//! `from` is what is sampled, `when` says when, `keep = "min per 1d"` what of a period is kept (min, max, mean, last);
//! periods are counted in UTC. The point of the period under way counts at once, with what it is so far, so that nobody
//! waits for a day to end; when a later period begins it is final. Both follow from the samples alone, so that a replay
//! gives the same. Operators over the name see one point a period. It is known for three periods. Late samples do not
//! reach it.

use std::sync::Arc;

use super::check::{Typed, join};
use super::load::RuleCompiler;
use super::program::{Const, Family, Ins, Keep, Read};
use super::push_once;
use super::raw::{Source, source};
use super::tree::{Node, Part, line_of};
use super::types::Ty;
use crate::domain::Span;
use crate::source::{Diagnostic, Diagnostics, Item, Table, Text, did_you_mean};

/// A derived sample as written.
#[derive(Debug)]
pub(super) struct RawSample {
    pub(super) name: Text,
    from: Option<Source>,
    when: Option<Source>,
    keep: Option<(Keep, Item<Span>)>,
    /// `keep` as written.
    text: Arc<str>,
}

const KEEPS: [(&str, Keep); 4] = [("min", Keep::Min), ("max", Keep::Max), ("mean", Keep::Mean), ("last", Keep::Last)];

/// All derived samples of a rule.
pub(super) fn read(diags: &mut Diagnostics, rule: &Table<'_>) -> Vec<RawSample> {
    let Some(all) = rule.table(diags, "sample") else { return Vec::new() };
    let names: Vec<Text> = all.keys().collect();
    let mut list = Vec::new();
    for name in names {
        let Some(table) = all.table(diags, &name.value) else { continue };
        table.need(diags, "from");
        let from = source(diags, &table, "from");
        let when = source(diags, &table, "when");
        let how = table.need_text(diags, "keep");
        let keep = how.as_ref().and_then(|text| keep(diags, text));
        let text = how.map_or_else(|| "".into(), |how| how.value);
        table.finish(diags);
        list.push(RawSample { name, from, when, keep, text });
    }
    all.finish(diags);
    list
}

/// `min per 1d`.
fn keep(diags: &mut Diagnostics, text: &Text) -> Option<(Keep, Item<Span>)> {
    let words: Vec<&str> = text.value.split_whitespace().collect();
    let span = |word: &str| word.parse::<Span>().ok().filter(|s| *s > Span::ZERO && *s <= Span::from_hours(24 * 31));
    let read = match words.as_slice() {
        [how, "per", period] => {
            let how = KEEPS.iter().find(|(word, _)| word == how).map(|(_, keep)| *keep);
            how.zip(span(period))
        }
        _ => None,
    };
    if read.is_none() {
        let known = |word: &str| KEEPS.iter().any(|(keep, _)| *keep == word);
        let near = words.first().filter(|w| !known(w)).and_then(|w| did_you_mean(w, KEEPS.map(|(word, _)| word)));
        let hint = near
            .map_or_else(|| "write min per 1d, or max, mean or last".to_owned(), |w| format!("did you mean `{w}`?"));
        let finding = Diagnostic::error("R076", format!("`keep` is '{}'", text.value));
        diags.push(finding.at(text.place.clone(), "what is kept of how long").hint(hint));
    }
    read.map(|(keep, period)| (keep, Item { value: period, place: text.place.clone() }))
}

impl RuleCompiler<'_> {
    /// What the name of a derived sample stands for.
    pub(super) fn sample(&mut self, raw: &RawSample) -> Option<Typed> {
        let names = self.names();
        let model = self.tables.program.model.clone();
        if let Some(signal) = model.signals.iter().find(|s| s.name.as_str() == &*raw.name.value) {
            let finding =
                Diagnostic::error("R020", format!("sample '{}' hides a signal of '{}'", raw.name.value, model.id));
            let finding = finding.at(raw.name.place.clone(), "call it something else");
            push_once(self.diags, finding.related(signal.place.clone(), "the signal"));
        }
        let from = raw.from.as_ref().and_then(|s| {
            let mut checker = self.checker(&s.text, &names);
            let typed = checker.check(&s.expr)?;
            let typed = checker.need_number(typed, &s.expr, "what is sampled")?;
            checker.streamable(typed, &s.expr)
        });
        let mut trees: Vec<Arc<Node>> = raw.from.iter().filter_map(|s| self.tree(s)).collect();
        let when = raw.when.as_ref().map(|s| {
            let mut checker = self.checker(&s.text, &names);
            let typed = checker.condition(&s.expr)?;
            checker.streamable(typed, &s.expr)
        });
        trees.extend(raw.when.iter().filter_map(|s| self.tree(s)));
        let (mut input, (keep, period)) = (from?, raw.keep.clone()?);
        let ty = input.ty.clone();
        if let Some(when) = when {
            let when = when?;
            let text = format!("only({}, {})", input.text, when.text);
            let unknown = Ins::Const(self.tables.constant(Const::Num(f64::NAN)));
            input = join(ty.clone(), text, [when, input], &[unknown, Ins::Choose]);
        }
        if self.tables.fed_by(&input).is_some() {
            let finding = Diagnostic::error("R076", "a derived sample is made of signals, not of another one");
            push_once(self.diags, finding.at(raw.name.place.clone(), "reads another sample"));
            return None;
        }
        let seconds = period.value.as_secs_f64();
        let konst = Some(Const::Num(seconds));
        let window = Typed { ty: Ty::seconds(), text: period.value.to_string(), konst, ..input.clone() };
        let op = self.tables.operator(Family::Sample(keep), &input, Some(&window), &[]);
        let node = Node {
            text: format!("{} of {}", raw.text, raw.from.as_ref().map_or("", |s| &*s.text.value)).into(),
            place: line_of(self.diags, &raw.name.place),
            part: Part::Sample(op),
            code: vec![Ins::Read(Read::Point, op)],
            shown: ty.shown(),
            slot: None,
            children: trees,
        };
        self.tables.let_nodes.insert(raw.name.value.clone(), Arc::new(node));
        let mut uses = input.uses.clone();
        uses.ops.insert(op);
        uses.known = false;
        uses.events.clear();
        uses.changed = false;
        let text = format!("{} {} per {}", input.text, keep.as_str(), period.value);
        Some(Typed { ty, text, code: vec![Ins::Read(Read::Point, op)], konst: None, literal: None, slot: None, uses })
    }
}
