//! The outcomes of tests, for people and for programs.

use serde_json::json;

use super::{Failure, Outcome};
use crate::source::{Diagnostic, Diagnostics};

/// How it went, over all tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All tests.
    pub tests: usize,
    /// Those that failed.
    pub failed: usize,
    /// Runs, variants included.
    pub runs: usize,
}

impl Tally {
    /// Of these outcomes.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let failed = outcomes.iter().filter(|o| !o.failures.is_empty()).count();
        Self { tests: outcomes.len(), failed, runs: outcomes.iter().map(|o| o.runs).sum() }
    }
}

/// One line a test, and each failure with its place in the file and a timeline.
#[must_use]
pub fn human(diags: &Diagnostics, outcomes: &[Outcome], styled: bool) -> String {
    let mut out = String::new();
    let mut file = None;
    for outcome in outcomes {
        if file != Some(outcome.place.file) {
            file = Some(outcome.place.file);
            out.push_str(&format!("{}\n", diags.path(outcome.place.file)));
        }
        let (mark, colour) = if outcome.failures.is_empty() { ("ok  ", 32) } else { ("FAIL", 31) };
        let mark = if styled { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() };
        let runs = if outcome.runs > 1 { format!(" ({} runs)", outcome.runs) } else { String::new() };
        out.push_str(&format!("  {mark} {}{runs}\n", outcome.name));
        // Of one test alone people want to see the case.
        if let Some(story) = outcome.story.as_ref().filter(|_| outcomes.len() == 1 && outcome.failures.is_empty()) {
            story.lines().for_each(|l| out.push_str(&format!("    {l}\n")));
        }
        for (i, failure) in outcome.failures.iter().enumerate() {
            out.push('\n');
            out.push_str(&shown(diags, outcome, failure, styled));
            // What failed at the same instant has the same story.
            if outcome.failures.get(i + 1).is_none_or(|next| next.timeline != failure.timeline) {
                failure.timeline.lines().for_each(|l| out.push_str(&format!("    {l}\n")));
            }
        }
        if !outcome.failures.is_empty() {
            out.push('\n');
        }
    }
    let Tally { tests, failed, runs } = Tally::of(outcomes);
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    out.push_str(&format!("\n{}, {} failed, {}\n", count(tests, "test"), failed, count(runs, "run")));
    out
}

fn shown(diags: &Diagnostics, outcome: &Outcome, failure: &Failure, styled: bool) -> String {
    let mut alone = diags.without_findings();
    let mut finding = Diagnostic::error("T100", format!("{}: {}", outcome.name, failure.message));
    finding = finding.at(failure.place.clone(), format!("was {}", failure.was));
    if let Some(variant) = &failure.variant {
        finding = finding.hint(format!("in {variant}; `seed` in that [[test.vary]] repeats this run alone"));
    }
    alone.push(finding);
    alone.render(styled)
}

/// Everything as one JSON object.
#[must_use]
pub fn json(diags: &Diagnostics, outcomes: &[Outcome]) -> serde_json::Value {
    let place = |place: &crate::source::Place| {
        let (line, column) = diags.line_column(place);
        json!({ "file": diags.path(place.file), "line": line, "column": column })
    };
    let failure = |f: &Failure| {
        json!({
            "place": place(&f.place),
            "message": f.message,
            "was": f.was,
            "variant": f.variant,
            "timeline": f.timeline.lines().collect::<Vec<_>>(),
        })
    };
    let test = |o: &Outcome| {
        json!({
            "name": o.name,
            "place": place(&o.place),
            "passed": o.failures.is_empty(),
            "runs": o.runs,
            "failures": o.failures.iter().map(failure).collect::<Vec<_>>(),
        })
    };
    let Tally { tests, failed, runs } = Tally::of(outcomes);
    json!({ "tests": outcomes.iter().map(test).collect::<Vec<_>>(), "count": tests, "failed": failed, "runs": runs })
}
