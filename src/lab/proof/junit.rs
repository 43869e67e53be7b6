//! The outcomes of tests in the XML that CI systems read: one suite a file.

use std::fmt::Write as _;

use super::{Outcome, Tally};
use crate::source::{Diagnostics, FileId};

/// A document of `<testsuites>`.
#[must_use]
pub fn junit(diags: &Diagnostics, outcomes: &[Outcome]) -> String {
    let mut files: Vec<FileId> = outcomes.iter().map(|o| o.place.file).collect();
    files.dedup();
    let all = Tally::of(outcomes);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites name=\"forewarn\" tests=\"{}\" failures=\"{}\">", all.tests, all.failed);
    for file in files {
        let mine: Vec<Outcome> = outcomes.iter().filter(|o| o.place.file == file).cloned().collect();
        let (path, tally) = (escaped(diags.path(file)), Tally::of(&mine));
        let _ = writeln!(
            out,
            "  <testsuite name=\"{path}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">",
            tally.tests, tally.failed
        );
        for outcome in &mine {
            case(&mut out, diags, &path, outcome);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, diags: &Diagnostics, path: &str, outcome: &Outcome) {
    let line = diags.line_column(&outcome.place).0;
    let head = format!(
        "    <testcase classname=\"{path}\" name=\"{}\" file=\"{path}\" line=\"{line}\"",
        escaped(&outcome.name)
    );
    if outcome.failures.is_empty() {
        let _ = writeln!(out, "{head}/>");
        return;
    }
    let _ = writeln!(out, "{head}>");
    for failure in &outcome.failures {
        let line = diags.line_column(&failure.place).0;
        let variant = failure.variant.as_ref().map(|v| format!("in {v}\n")).unwrap_or_default();
        let text = format!("{}:{line}\n{variant}{}", diags.path(failure.place.file), failure.timeline);
        let message = escaped(&failure.message);
        let _ = writeln!(out, "      <failure type=\"expectation\" message=\"{message}\">{}</failure>", escaped(&text));
    }
    out.push_str("    </testcase>\n");
}

/// For texts and attributes. Characters that XML cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
