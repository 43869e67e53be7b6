//! Rules of all files, compiled for every model they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{Checker, Scope, Typed};
use super::expr::{Kind, parse};
use super::fleet::Fleet;
use super::info::RuleInfo;
use super::limits::Bars;
use super::logic::{Oddity, oddities};
use super::program::{
    Const, Family, Gap, Item, LEVEL_WORDS, Lane, LevelProgram, Marks, ModelProgram, OnGap, Piece, Program, RULE_WORDS,
    Read, RuleProgram, Shown, Uses,
};
use super::push_once;
use super::raw::{MaxGap, RawLevel, RawRule, Source, read};
use super::schedule::Schedule;
use super::tables::{Tables, default_gap};
use super::tree::{LevelTrees, Node, Trees};
use crate::domain::{FaultName, Mode, RuleId, Unit};
use crate::model::{CodeTables, Model, Models, SignalIx, SignalType, matches_glob};
use crate::source::{Diagnostic, Diagnostics, FileId, Text, did_you_mean};

/// Most entries of a table of a model: what an index of 16 bits reaches, with room for the facts.
const MAX_TABLE: usize = 60_000;

/// A code is confirmed by messages at least so far apart, in microseconds: one that is sent twice in a row says no more
/// than once.
const CODE_SPACING: i64 = 10_000_000;

/// Reads and compiles rule files for `models`. Every mistake of every file goes to `diags` (codes `R0xx`); the program
/// then holds what is sound and must not be used if there are errors.
#[must_use]
pub fn load(diags: &mut Diagnostics, files: &[FileId], models: Arc<Models>) -> Program {
    load_with(diags, files, models, &Fleet::default())
}

/// As [`load`], for rules that read what has been learned of the fleet.
#[must_use]
pub fn load_with(diags: &mut Diagnostics, files: &[FileId], models: Arc<Models>, fleet: &Fleet) -> Program {
    let rules: Vec<(RawRule, u64)> = files.iter().flat_map(|file| read_with_rev(diags, *file)).collect();
    report_doubles(diags, &rules);
    let list = models.list.clone();
    for (rule, _) in &rules {
        report_globs(diags, rule, &list);
    }
    let codes = &models.codes;
    let compiled = list.iter().map(|model| compile(diags, model, codes, &rules, fleet)).collect();
    let infos = rules
        .iter()
        .map(|(rule, rev)| RuleInfo {
            id: RuleId::from(&*rule.id.value),
            mode: rule.mode,
            fault: fault_of(rule),
            models: list.iter().filter(|m| watches(rule, m)).map(|m| m.id.clone()).collect(),
            rev: *rev,
            lead: rule.lead,
            severities: rule.levels.iter().map(|l| l.severity).collect(),
            confidence: rule.confidence,
            guards: rule.limits.guards.clone(),
            columns: rule.limits.columns.clone(),
            chart: rule.chart.as_ref().map(|chart| chart.place.clone()),
            place: rule.fault.as_ref().unwrap_or(&rule.id).place.clone(),
        })
        .collect();
    Program { models: compiled, rules: infos, loaded: models }
}

/// The rules of a file, each with the first eight bytes of the hash over its text (from its header to the next).
fn read_with_rev(diags: &mut Diagnostics, file: FileId) -> Vec<(RawRule, u64)> {
    let rules = read(diags, file);
    let text = diags.text(file).clone();
    let starts: Vec<usize> = rules.iter().map(|r| r.place.span.start).collect();
    rules
        .into_iter()
        .enumerate()
        .map(|(i, rule)| {
            let end = starts.get(i + 1).copied().unwrap_or(text.len());
            let body = text.get(starts[i]..end).unwrap_or("").trim_end();
            let hash = blake3::hash(body.as_bytes());
            let mut first = [0; 8];
            first.copy_from_slice(&hash.as_bytes()[..8]);
            (rule, u64::from_be_bytes(first))
        })
        .collect()
}

fn report_doubles(diags: &mut Diagnostics, rules: &[(RawRule, u64)]) {
    let mut seen: BTreeMap<&str, &Text> = BTreeMap::new();
    for (rule, _) in rules {
        if let Some(first) = seen.insert(&rule.id.value, &rule.id) {
            let finding = Diagnostic::error("R002", format!("two rules are called '{}'", rule.id.value));
            diags.push(finding.at(rule.id.place.clone(), "again here").related(first.place.clone(), "first here"));
        }
    }
}

fn report_globs(diags: &mut Diagnostics, rule: &RawRule, models: &[Arc<Model>]) {
    for glob in &rule.models {
        if !models.iter().any(|m| matches_glob(&glob.value, m.id.as_str())) {
            let near = did_you_mean(&glob.value, models.iter().map(|m| m.id.as_str()));
            let finding = Diagnostic::error("R003", format!("no model is called '{}'", glob.value));
            diags.push(finding.at(glob.place.clone(), "").maybe_hint(near.map(|n| format!("did you mean `{n}`?"))));
        }
    }
}

fn watches(rule: &RawRule, model: &Model) -> bool {
    rule.models.iter().any(|glob| matches_glob(&glob.value, model.id.as_str()))
}

fn fault_of(rule: &RawRule) -> FaultName {
    FaultName::from(rule.fault.as_ref().map_or(&*rule.id.value, |f| &*f.value))
}

fn compile(
    diags: &mut Diagnostics,
    model: &Arc<Model>,
    codes: &Arc<CodeTables>,
    rules: &[(RawRule, u64)],
    fleet: &Fleet,
) -> ModelProgram {
    let mut tables = Tables::new(ModelProgram {
        model: model.clone(),
        slots: Vec::new(),
        lanes: vec![Lane::new("".into(), false)],
        slot_of: vec![None; model.signals.len()],
        online: None,
        zones: Vec::new(),
        silences: Vec::new(),
        answers: Vec::new(),
        consts: Vec::new(),
        cuts: Vec::new(),
        ops: Vec::new(),
        folds: Vec::new(),
        sels: Vec::new(),
        codes: codes.clone(),
        rules: Vec::new(),
        ops_by_slot: Vec::new(),
        rules_by_slot: Vec::new(),
        rules_always: Marks::default(),
        facts: Vec::new(),
        texts: false,
    });
    for (rule, rev) in rules.iter().filter(|(r, _)| watches(r, model)) {
        tables.baselines.clear();
        let trees = Trees::default();
        let compiler = RuleCompiler { diags, tables: &mut tables, rule, fleet, lets: BTreeMap::new(), lane: 0, trees };
        let compiled = compiler.compile(*rev);
        if let Some(compiled) = compiled.filter(|c| c.mode != Mode::Off) {
            tables.program.rules.push(compiled);
        }
    }
    let p = &tables.program;
    if [p.slots.len(), p.consts.len(), p.ops.len(), p.rules.len()].iter().any(|n| *n >= MAX_TABLE) {
        let message =
            format!("the rules for model '{}' have more than {MAX_TABLE} signals, constants or operators", model.id);
        diags.push(Diagnostic::error("R035", message).at(model.place.clone(), "too much for one model"));
    }
    for (name, ix) in &model.facts {
        if !model.signals[usize::from(ix.0)].is_list() {
            let slot = tables.slot(*ix);
            tables.program.facts.push((name.clone(), slot));
        }
    }
    lay_out(tables.program)
}

/// Gives every slot, operator and rule its words, and says what a sample of a slot touches.
fn lay_out(mut p: ModelProgram) -> ModelProgram {
    let mut lanes = std::mem::take(&mut p.lanes);
    let mut take = |lane: u16, key: String, words: usize| {
        let lane = &mut lanes[usize::from(lane)];
        lane.items.push(Item { key, offset: lane.words, words });
        lane.words += words;
        lane.words - words
    };
    for slot in &mut p.slots {
        slot.offset = take(slot.lane, format!("signal {}", slot_key(&p.model, slot)), 2);
    }
    for op in &mut p.ops {
        op.offset = take(op.lane, format!("op {}", op.key), op.words());
    }
    for rule in &mut p.rules {
        rule.offset = take(rule.lane, format!("rule {}", rule.id), RULE_WORDS);
        for level in &rule.levels {
            take(rule.lane, format!("rule {} level {}", rule.id, level.name), LEVEL_WORDS);
        }
        if let Some(bars) = &mut rule.bars {
            bars.offset = take(rule.lane, format!("rule {} bars {}", rule.id, bars.words()), bars.words());
        }
    }
    for op in &mut p.ops {
        let owner = op.baseline.as_ref().filter(|b| b.own().is_some_and(|own| own.freeze)).map(|b| &b.rule);
        let place = owner.and_then(|id| p.rules.iter().position(|r| r.id.as_str() == &**id));
        op.frozen_by = place.and_then(|ix| u16::try_from(ix).ok());
    }
    p.lanes = lanes;
    p.texts = p.slots.iter().any(|s| s.keeps_text);
    p.ops_by_slot = vec![Marks::default(); p.slots.len()];
    for (ix, op) in (0_u16..).zip(&p.ops) {
        op.slots.iter().for_each(|s| p.ops_by_slot[usize::from(*s)].push(ix));
    }
    for ix in 0..p.ops.len() {
        if let (Some(sample), Ok(fed)) = (p.ops[ix].fed_by, u16::try_from(ix)) {
            p.ops[usize::from(sample)].feeds.push(fed);
        }
    }
    p.rules_by_slot = vec![Marks::default(); p.slots.len()];
    for (ix, rule) in (0_u16..).zip(&p.rules) {
        rule.uses.slots.iter().for_each(|s| p.rules_by_slot[usize::from(*s)].push(ix));
        if rule.uses.age || rule.uses.silence() {
            p.rules_always.push(ix);
        }
    }
    p
}

/// A signal and what its kept value means, so that a change of unit or values is another signal.
pub(super) fn slot_key(model: &Model, slot: &super::program::Slot) -> String {
    // Presence, and answers about texts.
    let Some(ix) = slot.signal else { return format!("{}?", slot.name) };
    let signal = &model.signals[usize::from(ix.0)];
    match &signal.ty {
        crate::model::SignalType::Enum(values) => format!("{}{{{}}}", signal.name, values.join(",")),
        crate::model::SignalType::Number => format!("{}[{}]", signal.name, signal.unit),
        crate::model::SignalType::Bool => format!("{}[bool]", signal.name),
        crate::model::SignalType::Text => format!("{}[text]", signal.name),
        crate::model::SignalType::Codes(_) => format!("{}[codes]", signal.name),
    }
}

pub(super) struct RuleCompiler<'a> {
    pub(super) diags: &'a mut Diagnostics,
    pub(super) tables: &'a mut Tables,
    pub(super) rule: &'a RawRule,
    fleet: &'a Fleet,
    lets: BTreeMap<Arc<str>, Option<Typed>>,
    /// What the rule watches: the device or one kind of part.
    pub(super) lane: u16,
    pub(super) trees: Trees,
}

impl RuleCompiler<'_> {
    fn compile(mut self, rev: u64) -> Option<RuleProgram> {
        self.lane = self.watched()?;
        self.tables.nodes.clear();
        self.tables.let_nodes.clear();
        self.check_lets();
        self.check_baselines();
        let rule = self.rule;
        let filter = rule.filter.as_ref().map(|source| self.filter(source));
        let (levels, sequence) = match (&rule.sequence, rule.levels.as_slice()) {
            (Some(steps), [level]) => match self.sequence(steps, level) {
                Some((level, uses, sequence)) => (vec![Some((level, uses))], Some(sequence)),
                None => (vec![None], None),
            },
            (_, levels) => (levels.iter().map(|l| self.level(l)).collect(), None),
        };
        let title = self.title();
        let chart = self.chart();
        let levels: Vec<(LevelProgram, Uses)> = levels.into_iter().collect::<Option<_>>()?;
        let mut uses = Uses::default();
        levels.iter().for_each(|(_, u)| uses.add(u));
        self.warn_deaf(&uses);
        let bars = self.bars(&mut uses)?;
        let mut evidence = self.evidence(&uses);
        if let Some(sequence) = &sequence {
            evidence.splice(0..0, sequence.evidence.iter().cloned());
        }
        let times_out = sequence.as_ref().is_some_and(|s| s.timeouts);
        let timed = times_out || uses.silence() || uses.known;
        Some(RuleProgram {
            id: RuleId::from(&*rule.id.value),
            lane: self.lane,
            mode: rule.mode,
            fault: fault_of(rule),
            rev,
            confidence: rule.confidence,
            filter: filter.unwrap_or(Some(None))?,
            levels: levels.into_iter().map(|(l, _)| l).collect(),
            sequence,
            evidence,
            title: title?,
            chart: chart?,
            gap: self.gap(uses.silence()),
            on_backfill: rule.on_backfill,
            stale_after: rule.stale_after.as_micros(),
            still: bars.is_none() && !timed,
            bars,
            timed,
            uses,
            offset: 0,
            trees: Arc::new(self.trees),
        })
    }

    /// What may keep the rule from raising: `Some(None)` for nothing, `None` after an error.
    #[expect(clippy::option_option, reason = "absent and refused differ")]
    fn bars(&mut self, uses: &mut Uses) -> Option<Option<Bars>> {
        let raw = &self.rule.limits;
        let mut off = Vec::new();
        let expected_off = match &raw.expected_off {
            Some(source) => {
                let names = self.names();
                let typed = self.checker(&source.text, &names).condition(&source.expr)?;
                off.extend(self.tree(source));
                uses.add(&typed.uses);
                Some(typed.code)
            }
            None => None,
        };
        if raw.active.as_ref().is_some_and(Schedule::is_local) {
            // Devices of different zones are different.
            self.tables.constant(Const::Attr { name: "tz".into(), number: false });
        }
        let bars = Bars {
            active: raw.active.clone(),
            ingest_healthy: raw.ingest_healthy.as_micros(),
            expected_off,
            cooldown: raw.cooldown.as_micros(),
            flap: raw.flap,
            offset: 0,
        };
        self.trees.bars = bars.nodes(self.diags, &raw.places, &off);
        let any = bars.active.is_some() || bars.expected_off.is_some() || bars.flap.is_some();
        Some((any || bars.ingest_healthy > 0 || bars.cooldown > 0).then_some(bars))
    }

    /// What `each` names: the lane of a kind of part, or 0 for the device.
    fn watched(&mut self) -> Option<u16> {
        let Some(each) = self.rule.each.as_ref().filter(|e| &*e.value != "device") else { return Some(0) };
        let model = self.tables.program.model.clone();
        let kinds: Vec<&Arc<str>> = model.signals.iter().filter_map(|s| s.each.as_ref()).collect();
        if kinds.contains(&&each.value) {
            return Some(self.tables.lane(&each.value, false));
        }
        let codes = || (0..=u16::MAX).zip(&model.signals).filter(|(_, s)| matches!(s.ty, SignalType::Codes(_)));
        let own = codes().find(|(_, s)| s.name.as_str() == &*each.value);
        let only = codes().next().filter(|_| &*each.value == "code" && codes().count() == 1);
        if let Some((ix, _)) = own.or(only) {
            return Some(self.tables.codes(SignalIx(ix)).lane);
        }
        if &*each.value == "code" && codes().count() > 1 {
            let names: Vec<&str> = codes().map(|(_, s)| s.name.as_str()).collect();
            let finding = Diagnostic::error("R050", format!("model '{}' has codes of more than one kind", model.id));
            let finding = finding.hint(format!("name the signal: {}", names.join(" or ")));
            push_once(self.diags, finding.at(each.place.clone(), "which of them?"));
            return None;
        }
        let kinds = kinds.into_iter().map(|k| &**k).chain(codes().map(|(_, s)| s.name.as_str()));
        let hint = did_you_mean(&each.value, kinds.chain(["device"]));
        let finding = Diagnostic::error("R050", format!("model '{}' has no component '{}'", model.id, each.value));
        let finding = finding.maybe_hint(hint.map(|n| format!("did you mean `{n}`?")));
        push_once(self.diags, finding.at(each.place.clone(), "no signal has `each` of this name"));
        None
    }

    /// The tree of the expression that was just checked, if it is sound.
    pub(super) fn tree(&mut self, source: &Source) -> Option<Arc<Node>> {
        let span = &source.expr.span;
        std::mem::take(&mut self.tables.nodes).remove(&(span.start, span.end))
    }

    /// Rules are looked at when something they read arrives.
    fn warn_deaf(&mut self, uses: &Uses) {
        if uses.slots.is_empty() && !uses.silence() && !uses.age {
            let finding = Diagnostic::warning("R208", format!("rule '{}' reads no signal", self.rule.id.value));
            push_once(self.diags, finding.at(self.rule.id.place.clone(), "never looked at"));
        }
    }

    pub(super) fn checker<'b>(&'b mut self, source: &'b Text, names: &'b [Arc<str>]) -> Checker<'b> {
        Checker {
            diags: self.diags,
            tables: self.tables,
            source,
            base: 0,
            lets: &self.lets,
            let_names: names,
            rule: self.rule,
            fleet: self.fleet,
            scope: Scope::Rule(self.lane),
        }
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let samples = self.rule.samples.iter().map(|s| s.name.value.clone());
        samples.chain(self.rule.lets.iter().map(|(n, _)| n.value.clone())).collect()
    }

    fn check_lets(&mut self) {
        let names = self.names();
        for raw in &self.rule.samples {
            let typed = self.sample(raw);
            self.lets.insert(raw.name.value.clone(), typed);
        }
        for (name, source) in &self.rule.lets {
            let model = self.tables.program.model.clone();
            if let Some(signal) = model.signals.iter().find(|s| s.name.as_str() == &*name.value) {
                let finding =
                    Diagnostic::error("R020", format!("let '{}' hides a signal of '{}'", name.value, model.id));
                let finding = finding.at(name.place.clone(), "call it something else");
                push_once(self.diags, finding.related(signal.place.clone(), "the signal"));
            }
            let typed = source.as_ref().and_then(|s| self.checker(&s.text, &names).check(&s.expr));
            if let Some(tree) = source.as_ref().and_then(|s| self.tree(s)) {
                self.tables.let_nodes.insert(name.value.clone(), tree);
            }
            self.lets.insert(name.value.clone(), typed);
        }
    }

    /// Baselines that no `let` has asked for are checked all the same.
    fn check_baselines(&mut self) {
        let names = self.names();
        for raw in &self.rule.baselines {
            self.checker(&raw.name, &names).declare(raw);
        }
    }

    /// The code of `where`: `Some(Some(code))`, or `None` after an error.
    #[expect(clippy::option_option, reason = "absent and refused differ")]
    fn filter(&mut self, source: &Source) -> Option<Option<Vec<super::program::Ins>>> {
        let names = self.names();
        let mut checker = self.checker(&source.text, &names);
        let typed = checker.condition(&source.expr)?;
        if !typed.is_static() {
            let finding = Diagnostic::error("R036", "`where` reads what devices send")
                .hint("`where` is decided once a device: it reads device.x and param.x; move the rest into `when`");
            checker.report(finding, &source.expr, "changes while running");
            return None;
        }
        self.trees.filter = self.tree(source);
        Some(Some(typed.code))
    }

    fn level(&mut self, level: &RawLevel) -> Option<(LevelProgram, Uses)> {
        let names = self.names();
        let when = level.when.as_ref().and_then(|s| self.checker(&s.text, &names).condition(&s.expr));
        let when_tree = level.when.as_ref().and_then(|s| self.tree(s));
        let clear = level.clear.as_ref().map(|s| self.checker(&s.text, &names).condition(&s.expr));
        let clear_tree = level.clear.as_ref().and_then(|s| self.tree(s));
        self.trees.levels.push(LevelTrees { when: when_tree, clear: clear_tree });
        let when = when?;
        self.warn_odd(level, &when, clear.as_ref().and_then(Option::as_ref));
        let mut uses = when.uses.clone();
        let clear = match clear {
            Some(clear) => {
                let clear = clear?;
                uses.add(&clear.uses);
                Some(clear.code)
            }
            None => None,
        };
        self.warn_short_hold(level);
        let program = LevelProgram {
            name: level.name.clone(),
            severity: level.severity,
            when: when.code,
            clear,
            hold: level.hold.as_ref().map_or(0, |h| h.value.as_micros()),
            confirm: level.confirm,
            spacing: if self.tables.program.lanes[usize::from(self.lane)].codes { CODE_SPACING } else { 0 },
            clear_hold: level.clear_hold.as_micros(),
        };
        Some((program, uses))
    }

    /// Conditions that cannot do what was meant (R210..R213).
    fn warn_odd(&mut self, level: &RawLevel, when: &Typed, clear: Option<&Typed>) {
        let found = oddities(&self.tables.program, &when.code, clear.map(|c| c.code.as_slice()));
        for oddity in found {
            let (code, message, source, label) = match oddity {
                Oddity::Overlap(at) => {
                    let message =
                        format!("'clear' can be true together with 'when' ({at}): the episode would clear at once");
                    ("R210", message, &level.clear, "leave a gap between the two")
                }
                Oddity::NeverTrue(why) => {
                    ("R211", format!("'when' can never be true: {why}"), &level.when, "never true")
                }
                Oddity::AlwaysTrue => {
                    let message = "'when' is true whenever its values are known".to_owned();
                    ("R212", message, &level.when, "always true")
                }
                Oddity::NeverClears(why) => {
                    ("R213", format!("'clear' can never be true: {why}"), &level.clear, "the episode would never end")
                }
            };
            if let Some(source) = source {
                let place = source.text.inner(self.diags, source.expr.span.clone());
                push_once(self.diags, Diagnostic::warning(code, message).at(place, label));
            }
        }
    }

    fn warn_short_hold(&mut self, level: &RawLevel) {
        let model = self.tables.program.model.clone();
        if let (Some(hold), Some(every)) = (&level.hold, model.report_every)
            && hold.value > crate::domain::Span::ZERO
            && hold.value < every
        {
            let message =
                format!("hold = {} is shorter than report_every = {every} of model '{}'", hold.value, model.id);
            let finding = Diagnostic::warning("R207", message).at(hold.place.clone(), "acts like confirm = 2");
            push_once(self.diags, finding);
        }
    }

    fn gap(&self, clock: bool) -> Gap {
        // Silence is not a lack of cover, it is what the rule watches.
        if clock {
            return Gap { max: i64::MAX, policy: OnGap::Count };
        }
        let model = &self.tables.program.model;
        let max = match self.rule.max_gap {
            None => default_gap(model).max,
            Some(MaxGap::Time(span)) => span.as_micros(),
            Some(MaxGap::Reports(n)) => model
                .report_every
                .map_or(i64::MAX, |every| crate::domain::Span::from_secs_f64(every.as_secs_f64() * n).as_micros()),
        };
        Gap { max, policy: self.rule.on_gap }
    }

    /// What goes with a detection: samples and lets, then the signals that conditions and lets read.
    fn evidence(&self, uses: &Uses) -> Vec<(String, Vec<super::program::Ins>, Shown, Option<u16>)> {
        let (mut slots, mut ops) = (uses.slots.clone(), uses.ops.clone());
        let mut list = Vec::new();
        for name in self.names() {
            if let Some(Some(typed)) = self.lets.get(&name) {
                slots.extend(&typed.uses.slots);
                ops.extend(&typed.uses.ops);
                list.push((name.to_string(), typed.code.clone(), typed.shown(), typed.slot));
            }
        }
        // By name: where other rules have put a signal must not show.
        let mut slots: Vec<u16> = slots.into_iter().collect();
        slots.sort_by_key(|slot| &self.tables.program.slots[usize::from(*slot)].name);
        for slot in slots {
            let spec = &self.tables.program.slots[usize::from(slot)];
            // What only a fold reads has no single value; the fold has. A code is named in the list.
            if spec.lane != 0 && spec.lane != self.lane || spec.list.is_some() {
                continue;
            }
            let code = vec![super::program::Ins::Slot(slot)];
            list.push((spec.name.to_string(), code, spec.shown.clone(), Some(slot)));
        }
        for ix in ops.iter().filter(|_| self.rule.carry_resets) {
            let op = &self.tables.program.ops[usize::from(*ix)];
            if let (Family::Total, Some(slot)) = (op.family, op.slots.first()) {
                // A note on the data: what was carried over a reset is only as good as the reading before it.
                let name = format!("{}_resets", self.tables.program.slots[usize::from(*slot)].name);
                let code = vec![super::program::Ins::Read(Read::Resets, *ix)];
                list.push((name, code, Shown::Num(Unit::none()), None));
            }
        }
        let mut folds: Vec<u16> = uses.folds.iter().copied().collect();
        folds.sort_by_key(|ix| &self.tables.program.folds[usize::from(*ix)].text);
        for ix in folds {
            let fold = &self.tables.program.folds[usize::from(ix)];
            let code = vec![super::program::Ins::Fold(ix)];
            if list.iter().any(|(_, known, ..)| *known == code) {
                continue;
            }
            list.push((fold.text.clone(), code, fold.shown.clone(), None));
        }
        list
    }

    /// `text {expression} text`; `{{` and `}}` stand for the braces themselves.
    fn title(&mut self) -> Option<Vec<Piece>> {
        let Some(title) = &self.rule.title else {
            return Some(vec![Piece::Text(fault_of(self.rule).to_string())]);
        };
        let names = self.names();
        let text = title.value.clone();
        let (mut pieces, mut plain, mut at, mut sound) = (Vec::new(), String::new(), 0, true);
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push(c);
                at += 2;
            } else if c != '{' {
                plain.push(c);
                at += c.len_utf8();
            } else {
                let Some(len) = rest.find('}') else {
                    let place = title.inner(self.diags, at..text.len());
                    push_once(
                        self.diags,
                        Diagnostic::error("R040", "this placeholder has no end").at(place, "close it with }"),
                    );
                    return None;
                };
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                match self.placeholder(title, at + 1, &rest[1..len], &names) {
                    Some(piece) => pieces.push(piece),
                    None => sound = false,
                }
                at += len + 1;
            }
        }
        pieces.push(Piece::Text(plain));
        sound.then_some(pieces)
    }

    fn placeholder(&mut self, title: &Text, base: usize, inner: &str, names: &[Arc<str>]) -> Option<Piece> {
        let watched = &self.tables.program.lanes[usize::from(self.lane)];
        match inner.trim() {
            "component" if self.lane != 0 => return Some(Piece::Component),
            word if self.lane != 0 && *word == *watched.name => return Some(Piece::Key),
            "code" if watched.codes => return Some(Piece::Key),
            _ => {}
        }
        let of_code = watched.codes;
        match parse(inner) {
            Ok(expr) => {
                let mut checker = self.checker(title, names);
                checker.base = base;
                if of_code && matches!(&expr.kind, Kind::Field(base, _) if &*base.text == "codes") {
                    return checker.code_column(&expr).map(|(table, column)| Piece::Code(table, column));
                }
                checker.check(&expr).map(|t| Piece::Value(t.code.clone(), t.shown(), t.slot))
            }
            Err(e) => {
                let place = title.inner(self.diags, base + e.span.start..base + e.span.end);
                push_once(self.diags, Diagnostic::error("R040", e.message).at(place, "").maybe_hint(e.hint));
                None
            }
        }
    }
}
