//! What was detected against what was expected.

use std::fmt::Write as _;

use super::read::{Check, Expect, RuleTest, Wanted};
use super::{Failure, Told, show};
use crate::domain::{At, Change, Component, Detection, DeviceId, Span, Unit, Value};
use crate::engine::Phase;
use crate::model::Model;

/// Everything that does not hold.
pub(super) fn judge(test: &RuleTest, model: &Model, told: &Told, variant: Option<&str>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for expect in &test.expects {
        let seen = Seen::new(told, &expect.device, expect.component.as_ref());
        for check in &expect.checks {
            if let Some((at, message, was)) = unmet(test, expect, &check.value, &seen) {
                failures.push(Failure {
                    place: check.place.clone(),
                    message,
                    was,
                    variant: variant.map(str::to_owned),
                    timeline: show::timeline(test, model, &seen, &expect.device, at),
                });
            }
        }
    }
    failures
}

/// What was told of one device and component.
pub(super) struct Seen<'a> {
    pub(super) detections: Vec<&'a Detection>,
    pub(super) turns: Vec<(At, &'a str, Phase)>,
}

impl<'a> Seen<'a> {
    fn new(told: &'a Told, device: &DeviceId, component: Option<&Component>) -> Self {
        // Without a component an expectation is about the device, or about any part of it that says something.
        let mine =
            |d: &DeviceId, c: &Option<Component>| d == device && (component.is_none() || component == c.as_ref());
        let detections = told.detections.iter().filter(|d| mine(&d.device, &d.component)).collect();
        let turns = told.turns.iter().filter(|t| mine(&t.device, &t.component));
        Self { detections, turns: turns.map(|t| (t.at, t.level.as_str(), t.phase)).collect() }
    }

    /// The newest detection at `at`.
    fn newest(&self, at: At) -> Option<&'a Detection> {
        self.detections.iter().rfind(|d| d.event_at <= at).copied()
    }

    /// The state at the end of instant `at`.
    pub(super) fn state(&self, at: At) -> State<'a> {
        let phase = |level: &str| self.turns.iter().rfind(|(t, l, _)| *t <= at && *l == level).map(|(.., p)| *p);
        let newest = self.newest(at);
        match newest.and_then(|d| d.level.as_ref()) {
            Some(level) => State {
                level: Some(&level.name),
                stale: newest.is_some_and(|d| d.change == Change::Stale),
                waiting: (phase(&level.name) == Some(Phase::Clearing)).then_some(level.name.as_str()),
            },
            None => {
                let mut begun = self.turns.iter().filter(|(t, ..)| *t <= at).map(|(_, level, _)| *level);
                let pending = begun.find(|level| phase(level) == Some(Phase::Pending));
                State { level: None, stale: false, waiting: pending }
            }
        }
    }

    /// All instants after `from` up to `to` at which a state may change.
    fn changes(&self, from: At, to: At) -> Vec<At> {
        let all = self.turns.iter().map(|t| t.0).chain(self.detections.iter().map(|d| d.event_at));
        let mut list: Vec<At> = all.filter(|at| *at > from && *at <= to).collect();
        list.sort_unstable();
        list.dedup();
        list
    }
}

/// Where a rule stands with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State<'a> {
    level: Option<&'a str>,
    stale: bool,
    /// The level that waits to begin or to end.
    waiting: Option<&'a str>,
}

impl State<'_> {
    fn is(&self, word: &str) -> bool {
        match word {
            "ok" => self.level.is_none() && self.waiting.is_none(),
            "pending" => self.level.is_none() && self.waiting.is_some(),
            "clearing" => self.level.is_some() && self.waiting.is_some(),
            "stale" => self.stale,
            level => self.level == Some(level),
        }
    }
}

impl std::fmt::Display for State<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.level, self.waiting) {
            (None, None) => f.write_str("ok"),
            (None, Some(level)) => write!(f, "pending ({level})"),
            (Some(level), None) => f.write_str(level),
            (Some(level), Some(_)) => write!(f, "{level}, clearing"),
        }?;
        if self.stale { f.write_str(", stale") } else { Ok(()) }
    }
}

/// When it was not so, what was expected, and what was there.
fn unmet(test: &RuleTest, expect: &Expect, check: &Check, seen: &Seen<'_>) -> Option<(At, String, String)> {
    let instants = || std::iter::once(expect.from).chain(seen.changes(expect.from, expect.to));
    let after = |at: At| show::after(test, at);
    match check {
        Check::Level(words) => {
            let at = instants().find(|at| !words.iter().any(|w| seen.state(*at).is(w)))?;
            let was = seen.state(at).to_string();
            let list = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" or ");
            Some((at, format!("at {} the level was to be {list}, and was '{was}'", after(at)), was))
        }
        Check::Title(part) => {
            let at = instants().find(|at| !seen.newest(*at).is_some_and(|d| d.title.contains(&**part)))?;
            let was = seen.newest(at).map_or_else(|| NOTHING.to_owned(), |d| format!("'{}'", d.title));
            Some((at, format!("at {} the title was to say '{part}', and was {was}", after(at)), was))
        }
        Check::Evidence(name, wanted) => {
            let value = |at| seen.newest(at).and_then(|d| d.evidence.iter().find(|e| *e.name == **name));
            let at = instants().find(|at| !value(*at).is_some_and(|e| wanted.fits(&e.value, &e.unit)))?;
            let was = value(at).map_or_else(|| NOTHING.to_owned(), |e| with_unit(&e.value, &e.unit));
            let told = seen.newest(at).map_or_else(String::new, |d| format!(", as told at {}", after(d.event_at)));
            Some((at, format!("at {} {name} was to be {wanted}, and was {was}{told}", after(at)), was))
        }
        Check::Episodes(count) => {
            let begun = raised(seen, expect.to).count();
            let times: Vec<String> = raised(seen, expect.to).map(|d| after(d.event_at)).collect();
            let list = if times.is_empty() { String::new() } else { format!(" (at {})", times.join(", ")) };
            let message = format!("by {} there were to be {count} episodes, and were {begun}{list}", after(expect.to));
            (begun != *count).then(|| (expect.to, message, begun.to_string()))
        }
        Check::Edge(begin, at, within) => {
            let edge = |d: &&&Detection| if *begin { d.change == Change::Raised } else { d.change == Change::Cleared };
            let found = seen.detections.iter().filter(|d| d.event_at <= expect.to).rfind(edge).map(|d| d.event_at);
            let fits = found.is_some_and(|f| f.since(*at).max(at.since(f)) <= *within);
            let was = found.map_or_else(|| "never".to_owned(), after);
            let word = if *begin { "raised" } else { "cleared" };
            let slack = if *within == Span::ZERO { String::new() } else { format!(" ± {within}") };
            let message = format!("the newest episode was to be {word} at {}{slack}, and was {word} {was}", after(*at));
            (!fits).then(|| (found.unwrap_or(*at), message, was))
        }
    }
}

const NOTHING: &str = "nothing yet";

fn raised<'a>(seen: &'a Seen<'_>, by: At) -> impl Iterator<Item = &'a Detection> {
    seen.detections.iter().filter(move |d| d.change == Change::Raised && d.event_at <= by).copied()
}

impl Wanted {
    /// Whether a value in `unit` is it, give or take. Without a tolerance six digits must agree.
    fn fits(&self, value: &Value, unit: &str) -> bool {
        let (Value::Num(wanted), Value::Num(value)) = (&self.value, value) else { return self.value == *value };
        let unit = Unit::parse(unit).unwrap_or_else(Unit::none);
        let same = self.unit == Unit::none() || self.unit.text == unit.text;
        let Some((factor, offset)) = (if same { Some((1.0, 0.0)) } else { unit.to(&self.unit) }) else { return false };
        let value = value * factor + offset;
        (value - wanted).abs() <= self.within.max(wanted.abs() * 1e-6).max(1e-12)
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&with_unit(&self.value, &self.unit.text))?;
        if self.within > 0.0 { write!(f, " ± {}", show::number(self.within)) } else { Ok(()) }
    }
}

fn with_unit(value: &Value, unit: &str) -> String {
    let mut text = value.as_num().map_or_else(|| value.to_string(), show::number);
    if !unit.is_empty() && value.is_known() {
        let _ = write!(text, "[{unit}]");
    }
    text
}
