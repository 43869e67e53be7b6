//! A report as text for a terminal.

use std::fmt;

use super::diff::{RuleDiff, Shift, Side};
use super::{Promise, Report, RuleReport};
use crate::domain::{Mode, Span};
use crate::lab::score::{Score, Terms};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.recording;
        let of = match r.values {
            0 => String::new(),
            values => format!(" ({} values)", thousands(values)),
        };
        writeln!(
            f,
            "{} messages{of} of {}, {} to {}, {} device-days",
            thousands(r.messages),
            count(r.devices, "device"),
            day(&r.first_at.to_string()),
            day(&r.last_at.to_string()),
            number(r.device_days)
        )?;
        writeln!(f)?;
        table(f, &EPISODES, self.rules.iter().map(episodes_row))?;
        if let (Some(terms), Some(total)) = (&self.terms, &self.total) {
            writeln!(f, "\n{}", said(terms))?;
            let scored =
                self.rules.iter().filter_map(|r| Some(score_row(r.rule.as_str(), r.score.as_ref()?, r.promise)));
            let live = self.rules.iter().filter(|r| r.mode == Mode::Live).count();
            let total = (live > 1).then(|| score_row("all live", total, None));
            table(f, &SCORE, scored.chain(total))?;
            for rule in self.rules.iter().filter(|r| !r.kinds.is_empty()) {
                writeln!(f, "{}: failures of kind {} alone", rule.rule, rule.kinds.join(", "))?;
            }
        }
        if let Some(diff) = &self.against {
            writeln!(f, "\nagainst the other rules")?;
            for rule in &diff.rules {
                writeln!(f, "{}", difference(rule))?;
            }
            writeln!(f, "{} the same", count(diff.same, "rule"))?;
        }
        Ok(())
    }
}

pub(super) const EPISODES: [&str; 8] =
    ["rule", "mode", "fault", "episodes", "open", "devices", "per 1,000 device-days", "median length"];

pub(super) fn episodes_row(r: &RuleReport) -> Vec<String> {
    vec![
        r.rule.to_string(),
        if r.mode == Mode::Live { "live" } else { "shadow" }.to_owned(),
        r.fault.to_string(),
        thousands(r.episodes as u64),
        thousands(r.open as u64),
        thousands(r.devices as u64),
        r.per_1000_device_days.map_or_else(dash, number),
        r.median_length.map_or_else(dash, |span| length(span.as_secs_f64())),
    ]
}

pub(super) const SCORE: [&str; 13] = [
    "rule",
    "faults",
    "early",
    "late",
    "missed",
    "false",
    "rep.",
    "prec.",
    "recall",
    "lead 10/50/90%",
    "false/mon.",
    "savings",
    "promise",
];

pub(super) fn score_row(name: &str, s: &Score, promise: Option<Promise>) -> Vec<String> {
    let share = |x: Option<f64>| x.map_or_else(dash, |x| format!("{x:.3}"));
    let leads = [s.lead_p10_h, s.lead_median_h, s.lead_p90_h].map(|h| h.map(|h| length(h * 3600.0)));
    let leads = match leads {
        [Some(a), Some(b), Some(c)] => format!("{a}/{b}/{c}"),
        _ => dash(),
    };
    let counts = [s.faults, s.predicted, s.late, s.missed, s.fp, s.dup].map(|n| thousands(n.into()));
    let mut row = vec![name.to_owned()];
    row.extend(counts);
    row.extend([share(s.precision), share(s.recall), leads]);
    row.push(s.fa_per_device_month.map_or_else(dash, number));
    row.push(share(s.savings_ratio));
    row.push(promise.map_or_else(dash, |p| format!("{}/{}", p.kept, p.of)));
    row
}

/// What counts, in a sentence.
pub(super) fn said(terms: &Terms) -> String {
    let c = terms.costs;
    format!(
        "a prediction comes at most {} before the failure, and is early if at least {} before it\na case takes in alerts for \
         {}; those up to {} after a failure are excused\ncosts: failure {}, predicted {}, late {}, false alarm {}, repeated {}",
        terms.horizon,
        terms.min_lead,
        terms.dedup,
        terms.refractory,
        c.reactive,
        c.proactive,
        c.late,
        c.false_alarm,
        c.repeated
    )
}

pub(super) fn difference(d: &RuleDiff) -> String {
    let sum = |of: &std::collections::BTreeMap<_, usize>| of.values().sum::<usize>();
    let mut text = match d.only_in {
        Some(Side::These) => format!("{} (new): {} more", d.rule, sum(&d.more)),
        Some(Side::Others) => format!("{} (gone): {} fewer", d.rule, sum(&d.fewer)),
        None => format!("{}: {} more, {} fewer", d.rule, sum(&d.more), sum(&d.fewer)),
    };
    for (word, devices) in [("more on", &d.more), ("fewer on", &d.fewer)] {
        if !devices.is_empty() {
            let shown =
                devices.iter().map(|(device, n)| if *n > 1 { format!("{device} ({n})") } else { device.to_string() });
            text.push_str(&format!("\n    {word} {}", few(shown.collect())));
        }
    }
    for (word, shift) in [("sooner", d.earlier), ("later", d.later)] {
        if let Some(Shift { episodes, by }) = shift {
            text.push_str(&format!("\n    {episodes} of both raised {word}, in the median by {by}"));
        }
    }
    for (word, faults) in [("failures gained:", &d.gained), ("failures lost:", &d.lost)] {
        if !faults.is_empty() {
            text.push_str(&format!("\n    {word} {}", few(faults.clone())));
        }
    }
    text
}

/// The first eight, and how many more.
fn few(mut list: Vec<String>) -> String {
    let more = list.len().saturating_sub(8);
    list.truncate(8);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", list.join(", "))
}

/// Columns as wide as they must be; words to the left, figures to the right.
fn table(f: &mut fmt::Formatter<'_>, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> fmt::Result {
    let mut rows: Vec<Vec<String>> = rows.collect();
    rows.insert(0, header.iter().map(|&h| h.to_owned()).collect());
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), name) in row.iter().zip(&widths).zip(header) {
            let words = ["rule", "mode", "fault"].contains(name);
            line.push_str(&if words { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") });
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn dash() -> String {
    "-".to_owned()
}

fn day(instant: &str) -> &str {
    instant.get(..10).unwrap_or(instant)
}

fn count(n: usize, what: &str) -> String {
    format!("{} {what}{}", thousands(n as u64), if n == 1 { "" } else { "s" })
}

/// `12,345`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

/// Three digits that matter.
pub(super) fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        a if a >= 1000.0 =>
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and not below zero")]
            thousands(x.round() as u64)
        }
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 0.1 => format!("{x:.2}"),
        _ => format!("{x:.4}"),
    }
}

/// The one unit that says it: `24d`, `9.5h`, `4m`.
pub(super) fn length(seconds: f64) -> String {
    let (n, unit) = match seconds.abs() {
        s if s >= 172_800.0 => (seconds / 86_400.0, "d"),
        s if s >= 7_200.0 => (seconds / 3_600.0, "h"),
        s if s >= 120.0 => (seconds / 60.0, "m"),
        _ => return Span::from_secs_f64(seconds).to_string(),
    };
    let text = format!("{n:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}
