//! `[[rule.step]]` and `[rule.sequence]`: A, then B in time, unless C. From TOML to one operator over all steps.
//!
//! A step may come at the instants after the one before it, at the latest `within` after it (device time of both); what
//! makes its `unless` true before it has come ends the match. A match begins when the first step becomes true
//! (`start = "rising"`), or with each true sample of it (`"every"`, and always if the step is an event). `overlap` matches
//! may be under way; one more takes the place of the oldest. `timeout_event = true` also raises the rule when a step
//! does not come in time, `"only"` then alone. Unknown is not true: it takes no step and ends nothing.

use std::sync::Arc;

use super::check::{MAX_STACK, Typed, join, stack_of};
use super::load::RuleCompiler;
use super::program::{Const, Family, Ins, LevelProgram, Read, SequenceProgram, Shown, Steps, Uses};
use super::push_once;
use super::raw::{RawLevel, Source, is_name, one_of, source};
use super::tree::{LevelTrees, Node, Part, line_of};
use super::types::Ty;
use crate::source::{Diagnostic, Diagnostics, Place, Table, Text};

/// Most steps of a sequence, and most matches under way.
const MOST: u8 = 8;

/// The steps of a rule as written.
#[derive(Debug)]
pub(super) struct RawSequence {
    steps: Vec<RawStep>,
    every: bool,
    overlap: u8,
    timeout: Timeout,
}

#[derive(Debug)]
struct RawStep {
    name: Text,
    when: Option<Source>,
    within: Option<Source>,
    unless: Option<Source>,
}

/// What becomes of a step that does not come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Timeout {
    /// Nothing.
    Forget,
    /// It raises the rule, as a complete match does.
    Also,
    /// It alone raises the rule.
    Only,
}

/// Reads the steps of a rule and how they are matched; the second value is `clear` of `[rule.sequence]`.
pub(super) fn read(diags: &mut Diagnostics, rule: &Table<'_>) -> Option<(RawSequence, Option<Source>)> {
    let tables = rule.tables(diags, "step");
    let how = rule.table(diags, "sequence");
    if tables.is_empty() {
        if let Some(how) = how {
            let finding = Diagnostic::error("R074", "[rule.sequence] and no steps");
            diags.push(finding.at(how.place(), "").hint("steps are written as [[rule.step]]"));
        }
        return None;
    }
    for key in rule.keys().filter(|k| ["when", "hold", "confirm", "level"].contains(&&*k.value)) {
        let finding = Diagnostic::error("R074", format!("`{}` stands on a rule that has steps", key.value));
        diags.push(finding.at(key.place, "").hint("a sequence is raised by its last step, at once"));
    }
    let _ = rule.tables(diags, "level");
    if tables.len() < 2 || tables.len() > usize::from(MOST) {
        let finding =
            Diagnostic::error("R074", format!("a sequence has 2 to {MOST} steps, this one has {}", tables.len()));
        let hint = (tables.len() == 1).then(|| "one step is a condition: write it as `when`".to_owned());
        diags.push(finding.at(rule.place(), "").maybe_hint(hint));
    }
    let mut steps: Vec<RawStep> = Vec::new();
    for (ix, table) in tables.into_iter().enumerate() {
        let step = step(diags, &table, ix == 0);
        if let Some(step) = step {
            if let Some(first) = steps.iter().find(|s| s.name.value == step.name.value) {
                let finding = Diagnostic::error("R074", format!("two steps are called '{}'", step.name.value));
                let finding = finding.at(step.name.place.clone(), "again here");
                diags.push(finding.related(first.name.place.clone(), "first here"));
            }
            steps.push(step);
        }
        table.finish(diags);
    }
    let mut raw = RawSequence { steps, every: false, overlap: 1, timeout: Timeout::Forget };
    let clear = read_how(diags, rule, how, &mut raw);
    Some((raw, clear))
}

fn step(diags: &mut Diagnostics, table: &Table<'_>, first: bool) -> Option<RawStep> {
    let name = table.need_text(diags, "name").filter(|name| is_name(diags, name));
    table.need(diags, "when");
    let when = source(diags, table, "when");
    let (within, unless) = (source(diags, table, "within"), source(diags, table, "unless"));
    let place = |key: &str| table.keys().find(|k| &*k.value == key).map(|k| k.place);
    if !first && within.is_none() && !table.has("within") {
        let finding = Diagnostic::error("R074", "this step has no `within`");
        diags.push(finding.at(table.place(), "how long after the step before it?").hint("write within = \"10m\""));
    }
    for (key, why) in
        [("within", "there is no step before the first"), ("unless", "there is no match yet that it could end")]
    {
        if let Some(place) = place(key).filter(|_| first) {
            diags.push(Diagnostic::error("R074", format!("`{key}` on the first step")).at(place, why));
        }
    }
    Some(RawStep { name: name?, when, within, unless })
}

fn read_how(
    diags: &mut Diagnostics,
    rule: &Table<'_>,
    how: Option<Table<'_>>,
    raw: &mut RawSequence,
) -> Option<Source> {
    let Some(how) = how else {
        needs_clear(diags, rule);
        return None;
    };
    raw.every = one_of(diags, &how, "start", &[("rising", false), ("every", true)]).unwrap_or(false);
    if let Some(overlap) = how.count(diags, "overlap") {
        match u8::try_from(overlap.value) {
            Ok(n @ 1..=MOST) => raw.overlap = n,
            _ => {
                let finding = Diagnostic::error("R074", format!("`overlap` is {}", overlap.value));
                diags.push(finding.at(overlap.place, format!("1 to {MOST} matches at a time")));
            }
        }
    }
    raw.timeout = if how.what("timeout_event") == Some("true or false") {
        let on = how.flag(diags, "timeout_event").is_some_and(|f| f.value);
        if on { Timeout::Also } else { Timeout::Forget }
    } else {
        one_of(diags, &how, "timeout_event", &[("only", Timeout::Only)]).unwrap_or(Timeout::Forget)
    };
    let clear = source(diags, &how, "clear");
    if !how.has("clear") && !rule.has("clear") {
        needs_clear(diags, &how);
    }
    how.finish(diags);
    clear
}

fn needs_clear(diags: &mut Diagnostics, at: &Table<'_>) {
    let finding = Diagnostic::error("R074", "the sequence has no `clear`");
    let hint = "its steps are over in an instant: say in [rule.sequence] what ends the episode";
    diags.push(finding.at(at.place(), "it would never end").hint(hint));
}

impl RuleCompiler<'_> {
    /// The one level of a rule with steps, and the operator that follows them.
    pub(super) fn sequence(
        &mut self,
        raw: &RawSequence,
        level: &RawLevel,
    ) -> Option<(LevelProgram, Uses, SequenceProgram)> {
        let names = self.names();
        let clear = level.clear.as_ref().and_then(|s| self.checker(&s.text, &names).condition(&s.expr));
        let clear_tree = level.clear.as_ref().and_then(|s| self.tree(s));
        let mut nodes = Vec::new();
        let mut steps = Vec::new();
        for (ix, step) in (0..).zip(&raw.steps) {
            let mut trees = Vec::new();
            steps.push(self.step(step, &names, &mut trees));
            nodes.push(Arc::new(self.node(step.name.value.clone(), &step.name.place, Part::Step(ix), trees)));
        }
        let steps: Vec<[Option<Typed>; 3]> = steps.into_iter().collect::<Option<_>>()?;
        let clear = clear?;
        let (Some([Some(first), ..]), Ok(count)) = (steps.first(), u8::try_from(steps.len())) else { return None };
        let every = raw.every || first.uses.changed || !first.uses.events.is_empty();
        let mut bits = vec![(usize::from(2 * count), self.bit(first.clone(), usize::from(2 * count), Ins::Known))];
        for (ix, [when, _, unless]) in steps.iter().enumerate() {
            bits.extend(when.clone().map(|when| (ix, self.bit(when, ix, Ins::OrElse))));
            let at = ix + usize::from(count);
            bits.extend(unless.clone().map(|unless| (at, self.bit(unless, at, Ins::OrElse))));
        }
        let mask = bits.into_iter().map(|(_, bit)| bit).reduce(|a, b| {
            let text = format!("{} + {}", a.text, b.text);
            join(Ty::plain(), text, [a, b], &[Ins::Add])
        })?;
        // Each rule has its own: it forgets what has run out when that has been told.
        let mask = Typed { text: format!("{}: {}", self.rule.id.value, mask.text), ..mask };
        let mut mask = mask;
        mask.uses.events.clear();
        // Each part that the rule watches has matches of its own.
        mask.uses.lane = self.lane;
        if stack_of(&mask.code) > MAX_STACK {
            let finding = Diagnostic::error("R035", "the steps are too large once their lets are filled in");
            push_once(self.diags, finding.at(self.rule.place.clone(), ""));
            return None;
        }
        let within: Vec<Typed> = steps.iter().filter_map(|[_, within, _]| within.clone()).collect();
        let within: Vec<&Typed> = within.iter().collect();
        let op =
            self.tables.operator(Family::Sequence(Steps { count, overlap: raw.overlap, every }), &mask, None, &within);
        let mut uses = mask.uses.clone();
        uses.ops.insert(op);
        uses.add(&clear.uses);
        uses.known = clear.uses.known;
        let when = match raw.timeout {
            Timeout::Forget => vec![Ins::Read(Read::Complete, op)],
            Timeout::Also => vec![Ins::Read(Read::Complete, op), Ins::Read(Read::Missed, op), Ins::Or],
            Timeout::Only => vec![Ins::Read(Read::Missed, op)],
        };
        let evidence = (0..count).zip(&raw.steps).map(|(ix, step)| {
            let code = vec![Ins::Read(Read::Step(ix), op)];
            (step.name.value.to_string(), code, Ty::seconds().shown(), None)
        });
        let program = SequenceProgram { op, timeouts: raw.timeout != Timeout::Forget, evidence: evidence.collect() };
        let all = Node { code: when.clone(), ..self.node("steps".into(), &self.rule.place, Part::Steps(op), nodes) };
        self.trees.levels.push(LevelTrees { when: Some(Arc::new(all)), clear: clear_tree });
        let level = LevelProgram {
            name: level.name.clone(),
            severity: level.severity,
            when,
            clear: Some(clear.code),
            hold: 0,
            confirm: 1,
            spacing: 0,
            clear_hold: level.clear_hold.as_micros(),
        };
        Some((level, uses, program))
    }

    /// A part of the sequence for people who ask why.
    fn node(&self, text: Arc<str>, place: &Place, part: Part, children: Vec<Arc<Node>>) -> Node {
        let place = line_of(self.diags, place);
        Node { text, place, part, code: Vec::new(), shown: Shown::Bool, slot: None, children }
    }

    /// `when`, `within` and `unless` of a step; the trees of its conditions go to `trees`.
    fn step(&mut self, step: &RawStep, names: &[Arc<str>], trees: &mut Vec<Arc<Node>>) -> Option<[Option<Typed>; 3]> {
        let mut condition = |c: &mut Self, source: &Option<Source>| {
            source.as_ref().map(|s| {
                let mut checker = c.checker(&s.text, names);
                let typed = checker.condition(&s.expr)?;
                let typed = checker.streamable(typed, &s.expr);
                trees.extend(c.tree(s));
                typed
            })
        };
        let (when, unless) = (condition(self, &step.when), condition(self, &step.unless));
        let within = step.within.as_ref().map(|s| self.checker(&s.text, names).window(&s.expr));
        let whole = |part: Option<Option<Typed>>| part.map_or(Some(None), |typed| typed.map(Some));
        Some([Some(when??), whole(within)?, whole(unless)?])
    }

    /// `2^bit` if the condition is true (or known, with [`Ins::Known`]), else 0.
    fn bit(&mut self, condition: Typed, bit: usize, how: Ins) -> Typed {
        let mut number = |n: f64| Ins::Const(self.tables.constant(Const::Num(n)));
        let (zero, one) = (number(0.0), number((1_u64 << bit) as f64));
        let text = format!("{bit} {how:?} {}", condition.text);
        let test = if how == Ins::Known { vec![Ins::Known] } else { vec![zero, Ins::OrElse] };
        let code: Vec<Ins> = test.into_iter().chain([one, zero, Ins::Choose]).collect();
        join(Ty::plain(), text, [condition], &code)
    }
}
