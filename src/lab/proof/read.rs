//! Test files to checked tests. Names are resolved against models, rules and registry, so that a slip is found here
//! and not as a test that passes for the wrong reason.

use std::sync::Arc;

use super::telemetry::{Sender, Telemetry};
use super::{Subject, Test, playbook};
use crate::domain::{At, Component, DeviceId, RuleId, Span, Unit, Value};
use crate::model::{Literal, Model, literal};
use crate::rules::RuleProgram;
use crate::source::{Diagnostic, Diagnostics, Doc, FileId, Item, Place, Table, Text, did_you_mean};

pub(super) const CODE: &str = "T001";
/// Where virtual time starts, unless the test says so.
const START: &str = "2026-01-01T00:00:00Z";
/// So many seeds, unless the test says so; and at most.
const RUNS: u32 = 5;
const MAX_RUNS: u32 = 1_000;

/// A checked test of a rule.
#[derive(Debug)]
pub(super) struct RuleTest {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) rule: RuleId,
    pub(super) telemetry: Telemetry,
    pub(super) expects: Vec<Expect>,
    pub(super) varies: Vec<Vary>,
}

/// One `[[test.expect]]`.
#[derive(Debug)]
pub(super) struct Expect {
    pub(super) from: At,
    pub(super) to: At,
    pub(super) device: DeviceId,
    pub(super) component: Option<Component>,
    pub(super) checks: Vec<Item<Check>>,
}

/// What must be so.
#[derive(Debug)]
pub(super) enum Check {
    /// One of these states.
    Level(Vec<Arc<str>>),
    /// A part of the title.
    Title(Arc<str>),
    /// A value of the evidence.
    Evidence(Arc<str>, Wanted),
    /// Episodes begun.
    Episodes(usize),
    /// The newest episode was raised (`true`) or cleared at this time, give or take.
    Edge(bool, At, Span),
}

/// A value, give or take. Numbers are in `unit`; an empty one is that of the evidence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) value: Value,
    pub(super) unit: Unit,
    pub(super) within: f64,
}

/// One `[[test.vary]]`.
#[derive(Debug)]
pub(super) struct Vary {
    pub(super) kill: Option<Kill>,
    pub(super) redeliver: f64,
    pub(super) shuffle: Span,
    pub(super) split: f64,
    pub(super) batch: Span,
    pub(super) seeds: Vec<u64>,
}

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kill {
    Random,
    At(At),
}

/// Reads the tests of a file; those with a mistake are reported and left out.
pub(super) fn read(diags: &mut Diagnostics, file: FileId, subject: &Subject) -> Vec<Test> {
    let doc = Doc::parse(diags, CODE, file);
    let root = doc.root();
    let tables = root.tables(diags, "test");
    let mut reader = Reader { diags, subject };
    let rules = tables.into_iter().enumerate().filter_map(|(i, table)| reader.test(table, i + 1)).map(Test::Rule);
    let mut tests: Vec<Test> = rules.collect();
    tests.extend(playbook::read(diags, &root, subject).into_iter().map(Test::Playbook));
    root.finish(diags);
    tests
}

/// A duration longer than nothing.
pub(super) fn span_of(diags: &mut Diagnostics, table: &Table<'_>, key: &str) -> Option<Span> {
    let span = table.parsed::<Span>(diags, key, "a duration such as 10s")?;
    if span.value <= Span::ZERO {
        diags.push(Diagnostic::error(CODE, format!("`{key}` must be longer than nothing")).at(span.place, ""));
        return None;
    }
    Some(span.value)
}

/// Reads tests against models, rules and registry.
pub(super) struct Reader<'a> {
    pub(super) diags: &'a mut Diagnostics,
    pub(super) subject: &'a Subject,
}

/// The rule and model that a test is about.
pub(super) struct About<'a> {
    pub(super) rule: &'a RuleProgram,
    pub(super) model_ix: usize,
    pub(super) model: Arc<Model>,
}

/// The virtual time of a test.
#[derive(Clone, Copy)]
struct Clock {
    start: At,
    end: At,
}

impl<'a> Reader<'a> {
    fn test(&mut self, table: Table<'_>, number: usize) -> Option<RuleTest> {
        let name = table.text(self.diags, "name").map(|t| t.value.to_string());
        let about = self.about(&table);
        let start = self.start(&table);
        let telemetry = self.telemetry(&table, about.as_ref(), start);
        let clock = self.clock(&table, start, telemetry.end());
        let devices = &telemetry.devices;
        let expects = table.tables(self.diags, "expect");
        if expects.is_empty() {
            let finding = Diagnostic::error(CODE, "the test expects nothing");
            self.diags.push(finding.at(table.place(), "").hint("add [[test.expect]] with `at` and `level`"));
        }
        let expects: Vec<Expect> =
            expects.into_iter().filter_map(|t| self.expect(t, about.as_ref(), clock, devices)).collect();
        let varies = table.tables(self.diags, "vary");
        let varies = varies.into_iter().filter_map(|t| self.vary(t, about.as_ref(), clock)).collect();
        let place = table.place();
        table.finish(self.diags);
        let about = about?;
        let rule = about.rule.id.clone();
        let name = name.unwrap_or_else(|| format!("{rule} {number}"));
        Some(RuleTest { name, place, rule, telemetry, expects, varies })
    }

    pub(super) fn about(&mut self, table: &Table<'_>) -> Option<About<'a>> {
        let rule = table.need_text(self.diags, "rule");
        let model = table.text(self.diags, "model");
        let rule = rule?;
        let program = &self.subject.program;
        let Some(info) = program.rules().iter().find(|r| r.id.as_str() == &*rule.value) else {
            let near = did_you_mean(&rule.value, program.rules().iter().map(|r| r.id.as_str()));
            let finding = Diagnostic::error("T002", format!("there is no rule '{}'", rule.value));
            self.diags.push(finding.at(rule.place, "").maybe_hint(near.map(|n| format!("did you mean `{n}`?"))));
            return None;
        };
        let watched = info.models.iter().map(|m| m.as_str());
        let model = match (model, info.models.as_slice()) {
            (Some(model), _) => model,
            (None, [only]) => Item { value: only.as_str().into(), place: rule.place.clone() },
            (None, _) => {
                let finding = Diagnostic::error("T003", format!("rule '{}' watches several models", rule.value));
                let hint = format!("say which: model = \"…\", one of {}", watched.collect::<Vec<_>>().join(", "));
                self.diags.push(finding.at(rule.place, "").hint(hint));
                return None;
            }
        };
        if !info.models.iter().any(|m| m.as_str() == &*model.value) {
            let message = format!("rule '{}' does not watch a model '{}'", rule.value, model.value);
            let near = did_you_mean(&model.value, watched.clone()).map(|n| format!("did you mean `{n}`?"));
            let hint = near.unwrap_or_else(|| format!("it watches {}", watched.collect::<Vec<_>>().join(", ")));
            self.diags.push(Diagnostic::error("T003", message).at(model.place, "").hint(hint));
            return None;
        }
        let model_ix = program.models().index(&(&*model.value).into())?;
        let compiled = &program.models[model_ix];
        let Some(rule) = compiled.rules.iter().find(|r| r.id == info.id) else {
            let finding = Diagnostic::error("T002", format!("rule '{}' is off: it finds nothing", info.id));
            self.diags.push(finding.at(rule.place, "").hint("set its `mode` to shadow or live"));
            return None;
        };
        Some(About { rule, model_ix, model: compiled.model.clone() })
    }

    fn start(&mut self, table: &Table<'_>) -> At {
        let given = table.parsed::<At>(self.diags, "start", "an instant such as 2026-01-10T08:00:00Z");
        given.map_or_else(|| START.parse().unwrap_or_default(), |at| at.value)
    }

    /// The end of a test is its last value or its last expectation, whichever is later.
    fn clock(&self, table: &Table<'_>, start: At, end: At) -> Clock {
        // Read without complaints: those come when the expectations are read.
        let mut quiet = self.diags.clone();
        let expects = table.tables(&mut quiet, "expect");
        let times = expects.iter().flat_map(|t| ["at", "to"].map(|key| t.text(&mut quiet, key))).flatten();
        let end = times.filter_map(|t| instant(&t.value, start)).fold(end, At::max);
        Clock { start, end }
    }

    pub(super) fn at(&mut self, table: &Table<'_>, key: &str, start: At) -> Option<Item<At>> {
        let text = table.text(self.diags, key)?;
        let at = instant(&text.value, start);
        if at.is_none() {
            let finding = Diagnostic::error(CODE, format!("`{key}` is '{}', which is not a time", text.value));
            self.diags.push(finding.at(text.place.clone(), "").hint("+170s after the start, or 2026-01-10T08:00:00Z"));
        }
        Some(Item { value: at?, place: text.place })
    }

    fn vary(&mut self, table: Table<'_>, about: Option<&About<'_>>, clock: Clock) -> Option<Vary> {
        let kill = match table.text(self.diags, "kill_at") {
            Some(text) if &*text.value == "random" => Some(Kill::Random),
            Some(_) => self.at(&table, "kill_at", clock.start).map(|at| Kill::At(at.value)),
            None => None,
        };
        let mut share = |key: &str| {
            let share = table.number(self.diags, key);
            let fits = share.as_ref().is_none_or(|s| (0.0..=1.0).contains(&s.value));
            if let Some(share) = share.as_ref().filter(|_| !fits) {
                let finding = Diagnostic::error(CODE, format!("`{key}` is a share from 0 to 1"));
                self.diags.push(finding.at(share.place.clone(), ""));
            }
            share.map_or(0.0, |s| s.value)
        };
        let (redeliver, split) = (share("redeliver"), share("split"));
        let shuffle = table.parsed::<Span>(self.diags, "shuffle", "a duration such as 30s");
        if let (Some(shuffle), Some(about)) = (&shuffle, about)
            && shuffle.value > about.model.lateness
        {
            let lateness = about.model.lateness;
            let finding = Diagnostic::error("T007", format!("messages would come {} late", shuffle.value));
            let label = format!("model '{}' waits {lateness} for what is late", about.model.id);
            let hint = "at most the `lateness` of the model; [[test.late]] shows what a rule makes of late data";
            self.diags.push(finding.at(shuffle.place.clone(), label).hint(hint));
        }
        let batch = table.parsed::<Span>(self.diags, "batch", "a duration such as 1m");
        let runs = table.count(self.diags, "runs").map_or(RUNS, |n| n.value.clamp(1, MAX_RUNS));
        let seed = table.count(self.diags, "seed").map(|n| u64::from(n.value));
        table.finish(self.diags);
        Some(Vary {
            kill,
            redeliver,
            shuffle: shuffle.map_or(Span::ZERO, |s| s.value),
            split,
            batch: batch.map_or(Span::ZERO, |s| s.value),
            seeds: seed.map_or_else(|| (1..=u64::from(runs)).collect(), |seed| vec![seed]),
        })
    }

    fn expect(
        &mut self,
        table: Table<'_>,
        about: Option<&About<'_>>,
        clock: Clock,
        senders: &[Sender],
    ) -> Option<Expect> {
        let at = self.at(&table, "at", clock.start);
        let (from, to) = (self.at(&table, "from", clock.start), self.at(&table, "to", clock.start));
        let (from, to) = match at {
            Some(at) => (at.value, at.value),
            None if from.is_none() && to.is_none() => (clock.end, clock.end),
            None => (from.map_or(clock.start, |f| f.value), to.map_or(clock.end, |t| t.value)),
        };
        let device = self.expected_device(&table, senders);
        let component = table.text(self.diags, "component").map(|c| Component::from(&*c.value));
        let mut checks = Vec::new();
        checks.extend(self.level(&table, about));
        if let Some(title) = table.text(self.diags, "title") {
            checks.push(Item { value: Check::Title(title.value), place: title.place });
        }
        if let Some(n) = table.count(self.diags, "episodes") {
            checks.push(Item { value: Check::Episodes(n.value as usize), place: n.place });
        }
        for (key, raised) in [("raised_at", true), ("cleared_at", false)] {
            checks.extend(self.edge(&table, key, raised, clock.start));
        }
        if let Some(evidence) = table.table(self.diags, "evidence") {
            checks.extend(self.evidence(&evidence, about));
            evidence.finish(self.diags);
        }
        if checks.is_empty() && !self.diags.has_errors() {
            let finding = Diagnostic::error(CODE, "this expects nothing").hint("say `level`, `evidence` or `episodes`");
            self.diags.push(finding.at(table.place(), ""));
        }
        table.finish(self.diags);
        Some(Expect { from, to, device: device?, component, checks })
    }

    fn expected_device(&mut self, table: &Table<'_>, senders: &[Sender]) -> Option<DeviceId> {
        let Some(id) = table.text(self.diags, "device") else { return Some(senders.first()?.device.id.clone()) };
        let ids = senders.iter().map(|s| s.device.id.as_str());
        if ids.clone().any(|known| known == &*id.value) {
            return Some(DeviceId::from(&*id.value));
        }
        let near = did_you_mean(&id.value, ids).map(|n| format!("did you mean `{n}`?"));
        let finding = Diagnostic::error("T004", format!("the test has no device '{}'", id.value));
        self.diags.push(finding.at(id.place, "").maybe_hint(near));
        None
    }

    fn level(&mut self, table: &Table<'_>, about: Option<&About<'_>>) -> Option<Item<Check>> {
        let texts = table.texts(self.diags, "level");
        let place = texts.first()?.place.clone();
        if let Some(about) = about {
            let known = || about.rule.levels.iter().map(|l| l.name.as_str()).chain(STATES);
            for text in &texts {
                if !known().any(|k| k == &*text.value) {
                    let near = did_you_mean(&text.value, known()).map(|n| format!("did you mean `{n}`?"));
                    let hint = near.unwrap_or_else(|| format!("one of {}", known().collect::<Vec<_>>().join(", ")));
                    let message = format!("rule '{}' has no level '{}'", about.rule.id, text.value);
                    self.diags.push(Diagnostic::error("T008", message).at(text.place.clone(), "").hint(hint));
                }
            }
        }
        Some(Item { value: Check::Level(texts.into_iter().map(|t| t.value).collect()), place })
    }

    /// `+160s`, or `+160s ± 10s`.
    fn edge(&mut self, table: &Table<'_>, key: &str, raised: bool, start: At) -> Option<Item<Check>> {
        let text = table.text(self.diags, key)?;
        let (at, within) = tolerance(&text.value);
        let parsed = instant(at, start).zip(within.map_or(Some(Span::ZERO), |w| w.parse().ok()));
        let Some((at, within)) = parsed else {
            let finding = Diagnostic::error(CODE, format!("`{key}` is '{}', which is not a time", text.value));
            self.diags.push(finding.at(text.place, "").hint("+160s after the start, or +160s ± 10s"));
            return None;
        };
        Some(Item { value: Check::Edge(raised, at, within), place: text.place })
    }

    fn evidence(&mut self, table: &Table<'_>, about: Option<&About<'_>>) -> Vec<Item<Check>> {
        let mut checks = Vec::new();
        for key in table.keys().collect::<Vec<_>>() {
            let known = || about.into_iter().flat_map(|a| a.rule.evidence.iter().map(|(name, ..)| name.as_str()));
            if about.is_some() && !known().any(|k| k == &*key.value) {
                let near = did_you_mean(&key.value, known()).map(|n| format!("did you mean `{n}`?"));
                let hint = near.unwrap_or_else(|| format!("there is {}", known().collect::<Vec<_>>().join(", ")));
                let finding = Diagnostic::error("T009", format!("the rule has no evidence '{}'", key.value));
                self.diags.push(finding.at(key.place.clone(), "neither a let nor a signal of it").hint(hint));
            }
            if let Some(wanted) = self.wanted(table, &key) {
                checks.push(Item { value: Check::Evidence(key.value.clone(), wanted), place: key.place });
            }
        }
        checks
    }

    /// A number, a switch, or a text with an optional unit and tolerance.
    fn wanted(&mut self, table: &Table<'_>, key: &Text) -> Option<Wanted> {
        let plain = |value| Some(Wanted { value, unit: Unit::none(), within: 0.0 });
        match table.what(&key.value) {
            Some("an integer" | "a number") => plain(Value::from(table.number(self.diags, &key.value)?.value)),
            Some("true or false") => plain(Value::Bool(table.flag(self.diags, &key.value)?.value)),
            _ => {
                let text = table.text(self.diags, &key.value)?;
                match wanted(&text.value) {
                    Ok(wanted) => Some(wanted),
                    Err(message) => {
                        let hint = "113, \"3[K/min] ± 0.1\", \"2h ± 5m\", true, \"unknown\" or a text";
                        self.diags.push(Diagnostic::error("T009", message).at(text.place, "").hint(hint));
                        None
                    }
                }
            }
        }
    }
}

/// Words for states that are no level of the rule.
pub(super) const STATES: [&str; 4] = ["ok", "pending", "clearing", "stale"];

/// `+170s`, or an instant.
pub(super) fn instant(text: &str, start: At) -> Option<At> {
    match text.strip_prefix('+') {
        Some(after) => after.parse::<Span>().ok().map(|span| start + span),
        None => text.parse().ok(),
    }
}

/// `a ± b` (or `a +- b`) in two.
fn tolerance(text: &str) -> (&str, Option<&str>) {
    let parted = text.split_once('±').or_else(|| text.split_once("+-"));
    parted.map_or((text.trim(), None), |(a, b)| (a.trim(), Some(b.trim())))
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let (value, within) = tolerance(text);
    if value == "unknown" {
        return Ok(Wanted { value: Value::Unknown, unit: Unit::none(), within: 0.0 });
    }
    let Ok(Literal { value, unit }) = literal(value) else {
        return match within {
            None => Ok(Wanted { value: Value::from(value), unit: Unit::none(), within: 0.0 }),
            Some(_) => Err(format!("'{value}' is not a number that could be so or so")),
        };
    };
    let within = match within.map(literal) {
        None => 0.0,
        // Without a unit of its own it is in that of the value, which is a step of it and not a point.
        Some(Ok(Literal { value: Value::Num(n), unit: own })) if own == Unit::none() || own == unit => n,
        Some(Ok(Literal { value: Value::Num(n), unit: own })) if own.dimension == unit.dimension => {
            n * own.factor / unit.factor
        }
        Some(_) => return Err(format!("'{text}' has a tolerance of another kind")),
    };
    Ok(Wanted { value, unit, within })
}
