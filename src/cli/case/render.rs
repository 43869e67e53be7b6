//! Cases as text. Pure: what was answered and what the terminal can show go in, text comes out.

use std::fmt::Write as _;

use console::{Style as Paint, measure_text_width};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::desk::{
    CaseSummary, CaseView, EffectView, GoalView, History, MessageView, SwitchView, TimelineEntry, TimelineKind,
    WaitView,
};
use crate::domain::{At, Severity, Span, Stop};

/// What the daemon answers to `list`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CaseList {
    /// The daemon's time, for ages.
    pub at: At,
    /// Newest first.
    pub cases: Vec<CaseSummary>,
}

/// What the terminal can show.
#[derive(Debug, Clone)]
pub struct Style {
    /// ANSI colours.
    pub colour: bool,
    /// Columns; `None`: no end.
    pub width: Option<usize>,
    /// Whose time is shown.
    pub zone: TimeZone,
}

/// Narrower than this, wrapping the timeline helps nobody.
const WIDTH_MIN: usize = 40;
/// Columns of a title that still say something.
const TITLE_MIN: usize = 16;

impl Style {
    fn paint(&self, paint: Paint, text: &str) -> String {
        if text.is_empty() { String::new() } else { paint.force_styling(self.colour).apply_to(text).to_string() }
    }

    fn dim(&self, text: &str) -> String {
        self.paint(Paint::new().dim(), text)
    }

    pub(in crate::cli) fn bold(&self, text: &str) -> String {
        self.paint(Paint::new().bold(), text)
    }

    pub(in crate::cli) fn room(&self, taken: usize) -> usize {
        self.width.map_or(usize::MAX, |w| w.saturating_sub(taken).max(WIDTH_MIN))
    }
}

/// Text from elsewhere, without what could move the cursor, recolour the terminal or reverse the line.
pub(in crate::cli) fn clean(text: &str) -> String {
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// Cells of a table: text, and how to paint it.
pub(in crate::cli) type Row = Vec<(String, Paint)>;

/// Columns as wide as their widest cell, two blanks apart; the last one at most `last_max` wide.
pub(in crate::cli) fn table(rows: &[Row], indent: &str, last_max: impl Fn(usize) -> usize, style: &Style) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| measure_text_width(text)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        let mut used = measure_text_width(indent);
        let filled = row.iter().rposition(|(text, _)| !text.is_empty()).map_or(0, |last| last + 1);
        for (column, (text, paint)) in row.iter().take(filled).enumerate() {
            let last = column + 1 == columns;
            let text = if last { cut(text, last_max(used)) } else { text.clone() };
            line.push_str(&style.paint(paint.clone(), &text));
            if column + 1 < filled {
                line.push_str(&" ".repeat(widths[column] - measure_text_width(&text) + 2));
            }
            used += widths[column] + 2;
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The text, or its beginning and an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if measure_text_width(&out) >= width {
            out.pop();
            break;
        }
    }
    out + "…"
}

/// The text in lines of at most `width` columns, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && measure_text_width(line) + 1 + measure_text_width(word) > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The list as a table.
#[must_use]
pub fn render_list(list: &CaseList, style: &Style) -> String {
    if list.cases.is_empty() {
        return "No cases.\n".to_owned();
    }
    let head = ["CASE", "PHASE", "SEVERITY", "DEVICE", "FAULT", "GOALS", "AGE", "TITLE"];
    let mut rows: Vec<Row> = vec![head.map(|text| (text.to_owned(), Paint::new().dim())).into()];
    rows.extend(list.cases.iter().map(|case| summary_row(case, list.at)));
    let title = |used| style.width.map_or(usize::MAX, |width| width.saturating_sub(used)).max(TITLE_MIN);
    table(&rows, "", title, style)
}

/// The stop switches.
#[must_use]
pub(super) fn render_switches(switches: &[SwitchView], style: &Style) -> String {
    if switches.is_empty() {
        return "Nothing was ever stopped.\n".to_owned();
    }
    let head = ["OF", "STOP", "SINCE", "BY", "TOPIC", "REASON"];
    let mut rows: Vec<Row> = vec![head.map(|text| (text.to_owned(), Paint::new().dim())).into()];
    rows.extend(switches.iter().map(|s| {
        let on = if s.stop == Stop::Off { Paint::new() } else { Paint::new().red().bold() };
        let plain = |text: &str| (clean(text), Paint::new());
        vec![
            plain(&s.case.map_or_else(|| "everything".to_owned(), |case| case.short())),
            (s.stop.as_str().to_owned(), on),
            plain(&instant(s.at, style)),
            plain(&s.by),
            plain(s.topic.as_deref().unwrap_or("")),
            plain(&s.reason),
        ]
    }));
    table(&rows, "", |used| style.width.map_or(usize::MAX, |w| w.saturating_sub(used)).max(TITLE_MIN), style)
}

fn summary_row(case: &CaseSummary, now: At) -> Row {
    let closed = case.closed_at.is_some();
    let plain = || if closed { Paint::new().dim() } else { Paint::new() };
    let (met, total) = case.goals_met;
    vec![
        (clean(&case.short), if closed { plain() } else { Paint::new().bold() }),
        (phase(case), plain()),
        (case.severity.to_string(), if closed { plain() } else { severity(case.severity) }),
        (clean(&case.device), plain()),
        (clean(&case.fault), plain()),
        (format!("{met}/{total}"), plain()),
        (age(now.since(case.opened_at)), plain()),
        (clean(&case.title), plain()),
    ]
}

pub(in crate::cli) fn phase(case: &CaseSummary) -> String {
    match &case.outcome {
        Some(outcome) => clean(&format!("{}: {outcome}", case.phase)),
        None => clean(&case.phase),
    }
}

pub(in crate::cli) fn severity(severity: Severity) -> Paint {
    match severity {
        Severity::Critical => Paint::new().red().bold(),
        Severity::Major => Paint::new().red(),
        Severity::Warning => Paint::new().yellow(),
        Severity::Minor => Paint::new(),
    }
}

/// A span as people say it: its largest unit, and from hours on the next one.
fn age(span: Span) -> String {
    let s = span.as_millis() / 1_000;
    match s {
        ..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A case with goals, effects and timeline.
#[must_use]
pub fn render_case(view: &CaseView, style: &Style) -> String {
    let case = &view.summary;
    let mut out = format!("{}  {}\n", style.bold(&clean(&case.short)), style.bold(&clean(&case.title)));
    let paint = if case.closed_at.is_some() { Paint::new() } else { severity(case.severity) };
    let opened = instant(case.opened_at, style);
    let closed = case.closed_at.map(|at| format!("{}, after {}", instant(at, style), age(at.since(case.opened_at))));
    let facts = [
        ("id", Some(case.id.to_string()), Paint::new()),
        ("device", Some(clean(&case.device)), Paint::new()),
        ("fault", Some(format!("{} ({})", clean(&case.fault), case.severity)), paint),
        ("phase", Some(phase(case)), Paint::new()),
        ("opened", Some(opened), Paint::new()),
        ("closed", closed, Paint::new()),
        ("playbook", Some(clean(&view.playbook)), Paint::new()),
        ("taken by", view.human_owner.as_deref().map(clean), Paint::new()),
        ("waits for", view.waits_for.as_deref().map(clean), Paint::new()),
    ];
    let rows: Vec<Row> = facts
        .into_iter()
        .filter_map(|(name, value, paint)| Some(vec![(name.to_owned(), Paint::new().dim()), (value?, paint)]))
        .collect();
    out += &table(&rows, "  ", |_| usize::MAX, style);

    let (met, total) = case.goals_met;
    let _ = write!(out, "\n{} {met} of {total} met\n", style.bold("Goals"));
    out +=
        &table(&view.goals.iter().map(|goal| goal_row(goal, style)).collect::<Vec<_>>(), "  ", |_| usize::MAX, style);
    if !view.effects.is_empty() {
        let _ = write!(out, "\n{}\n", style.bold("Effects"));
        out += &table(
            &view.effects.iter().map(|effect| effect_row(effect, style)).collect::<Vec<_>>(),
            "  ",
            |_| usize::MAX,
            style,
        );
    }
    if !view.waits.is_empty() {
        let _ = write!(out, "\n{}\n", style.bold("Waits"));
        let rows: Vec<Row> = view.waits.iter().map(|w| wait_row(w, style)).collect();
        out += &table(&rows, "  ", |_| usize::MAX, style);
    }
    if !view.history.earlier.is_empty() || view.history.calls > 0 {
        let _ = write!(out, "\n{}\n", style.bold("Before"));
        out += &history(&view.history, style);
    }
    if !view.conversation.is_empty() {
        let _ = write!(out, "\n{}\n", style.bold("Conversation"));
        let rows: Vec<Row> = view.conversation.iter().map(|m| message_row(m, style)).collect();
        out += &table(&rows, "  ", |used| style.room(used), style);
    }
    let _ = write!(out, "\n{}\n", style.bold("Timeline"));
    out + &timeline(&view.timeline, style)
}

fn goal_row(goal: &GoalView, style: &Style) -> Row {
    let (mark, paint) = match goal.state.as_str() {
        "met" => ("✔", Paint::new().green()),
        "missed" => ("✘", Paint::new().red()),
        "waived" => ("–", Paint::new().dim()),
        _ => ("○", Paint::new().yellow()),
    };
    let more = match (goal.state.as_str(), &goal.met_by, goal.deadline_at) {
        ("met", Some(by), _) => format!("by {}", clean(by)),
        ("open", _, Some(at)) => format!("until {}", instant(at, style)),
        _ => String::new(),
    };
    vec![
        (mark.to_owned(), paint.clone()),
        (clean(&goal.name), Paint::new()),
        (clean(&goal.state), paint),
        (more, Paint::new().dim()),
    ]
}

fn effect_row(effect: &EffectView, style: &Style) -> Row {
    let paint = match effect.state.as_str() {
        "confirmed" | "delivered" | "accepted" => Paint::new().green(),
        "rejected" | "failed" | "failed_final" | "dead" => Paint::new().red(),
        "unknown" | "reconciling" => Paint::new().yellow(),
        _ => Paint::new(),
    };
    let attempts = match effect.attempts {
        0 => String::new(),
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    };
    let mut more = Vec::new();
    if let Some(why) = &effect.waits_for {
        more.push(format!("waits for {}", clean(why)));
        more.extend(effect.not_before_at.map(|at| format!("until {}", instant(at, style))));
    }
    more.extend(effect.provider_ref.as_deref().filter(|r| !r.is_empty()).map(|r| format!("their id {}", clean(r))));
    if effect.possible_duplicate {
        more.push("may be a duplicate".to_owned());
    }
    vec![
        (clean(&effect.step), Paint::new()),
        (clean(&effect.kind), Paint::new()),
        (clean(&effect.adapter), Paint::new()),
        (clean(&effect.state), paint),
        (attempts, Paint::new().dim()),
        (more.join(", "), Paint::new().dim()),
    ]
}

fn wait_row(wait: &WaitView, style: &Style) -> Row {
    let until = wait.until_at.map(|at| format!("until {}", instant(at, style))).unwrap_or_default();
    vec![
        (clean(&wait.what), Paint::new()),
        (format!("waits for {}", clean(&wait.why)), Paint::new()),
        (until, Paint::new().dim()),
    ]
}

fn history(history: &History, style: &Style) -> String {
    let mut out = String::new();
    if let Some(since) = history.customer_since {
        let _ = writeln!(out, "  customer since {}", instant(since, style));
    }
    if history.calls > 0 {
        let _ = writeln!(out, "  called {} times about this", history.calls);
    }
    let rows = history.earlier.iter().map(|case| {
        let opened = instant(case.opened_at, style);
        [opened, clean(&case.device), clean(&case.title), phase(case)].map(|text| (text, Paint::new().dim())).into()
    });
    out + &table(&rows.collect::<Vec<Row>>(), "  ", |_| usize::MAX, style)
}

fn message_row(m: &MessageView, style: &Style) -> Row {
    let (mark, paint) = match m.direction.as_str() {
        "in" => ("←", Paint::new().green()),
        "out" => ("→", Paint::new().cyan()),
        _ => ("·", Paint::new().dim()),
    };
    let words = m.text.as_ref().or(m.script.as_ref()).map(|t| clean(&t.replace('\n', " "))).unwrap_or_default();
    vec![
        (instant(m.at, style), Paint::new().dim()),
        (format!("{mark} {}", m.channel), paint),
        (clean(&m.who), Paint::new()),
        (m.meaning.as_deref().map(clean).unwrap_or_default(), Paint::new().dim()),
        (words, Paint::new()),
    ]
}

fn timeline(entries: &[TimelineEntry], style: &Style) -> String {
    let mut out = String::new();
    let mut day = String::new();
    for entry in entries {
        let zoned = entry.at.to_jiff().to_zoned(style.zone.clone());
        let today = zoned.strftime("%a %Y-%m-%d %Z").to_string();
        if today != day {
            let _ = writeln!(out, "  {}", style.dim(&today));
            day = today;
        }
        let (mark, word, paint) = kind(entry.kind);
        let time = zoned.strftime("%H:%M:%S").to_string();
        let prefix = format!("  {time}  {mark} {word:<8}  ");
        let indent = measure_text_width(&prefix);
        let head = format!("  {}  {}  ", style.dim(&time), style.paint(paint.clone(), &format!("{mark} {word:<8}")));
        for (n, line) in wrap(&clean(&entry.text), style.room(indent)).into_iter().enumerate() {
            let lead = if n == 0 { head.clone() } else { " ".repeat(indent) };
            let text = if entry.kind == TimelineKind::Trouble { style.paint(paint.clone(), &line) } else { line };
            let _ = writeln!(out, "{}", format!("{lead}{text}").trim_end());
        }
    }
    out
}

fn kind(kind: TimelineKind) -> (&'static str, &'static str, Paint) {
    match kind {
        TimelineKind::Measured => ("◆", "measured", Paint::new().magenta()),
        TimelineKind::Decided => ("●", "decided", Paint::new().blue()),
        TimelineKind::Sent => ("→", "sent", Paint::new().cyan()),
        TimelineKind::Said => ("»", "said", Paint::new().cyan()),
        TimelineKind::Answered => ("←", "answered", Paint::new().green()),
        TimelineKind::Trouble => ("✘", "trouble", Paint::new().red()),
    }
}

pub(in crate::cli) fn instant(at: At, style: &Style) -> String {
    at.to_jiff().to_zoned(style.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod tests;
