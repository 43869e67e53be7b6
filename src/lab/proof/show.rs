//! A few lines of what happened around an instant: what was sent, and what the level machines made of it.

use serde_json::Value as Json;

use super::judge::Seen;
use super::read::RuleTest;
use crate::domain::{At, Change, Detection, DeviceId};
use crate::engine::Phase;
use crate::model::Model;

/// Lines before and behind the instant.
const BEFORE: usize = 8;
const BEHIND: usize = 3;
/// Signals that find room side by side.
const COLUMNS: usize = 5;

/// `+2m50s`.
pub(super) fn after(test: &RuleTest, at: At) -> String {
    if at < test.telemetry.start {
        format!("-{}", test.telemetry.start - at)
    } else {
        format!("+{}", at - test.telemetry.start)
    }
}

/// One line for every row of values and every turn near `at`; `>` marks the state at that instant.
pub(super) fn timeline(test: &RuleTest, model: &Model, seen: &Seen<'_>, device: &DeviceId, at: At) -> String {
    let sender = test.telemetry.devices.iter().find(|s| s.device.id == *device);
    let series: Vec<_> = sender.map(|s| s.series.iter().take(COLUMNS).collect()).unwrap_or_default();
    let rows = series.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let time = |row: usize| test.telemetry.start + test.telemetry.every.times(i64::try_from(row).unwrap_or(i64::MAX));
    let mut times: Vec<At> = (0..rows).map(time).chain(seen.turns.iter().map(|t| t.0)).collect();
    times.extend(seen.detections.iter().map(|d| d.event_at));
    times.push(at);
    times.sort_unstable();
    times.dedup();
    let here = times.partition_point(|t| *t < at);
    let shown = &times[here.saturating_sub(BEFORE)..(here + BEHIND + 1).min(times.len())];

    let unit = |name: &str| model.signals.iter().find(|s| s.name.as_str() == name).map_or("", |s| &s.unit.text);
    let head = |name: &str| match unit(name) {
        "" => name.to_owned(),
        unit => format!("{name}[{unit}]"),
    };
    let mut lines = vec![vec![String::new()]];
    lines[0].extend(series.iter().map(|(name, _)| head(&name.value)));
    for t in shown {
        let row =
            usize::try_from((*t - test.telemetry.start).as_micros().div_euclid(test.telemetry.every.as_micros())).ok();
        let row = row.filter(|r| time(*r) == *t);
        let mut line = vec![format!("{} {}", if *t == at { '>' } else { ' ' }, after(test, *t))];
        line.extend(series.iter().map(|(_, cells)| match row.and_then(|r| cells.get(r)) {
            Some(Some(value)) => cell(value),
            Some(None) => "_".to_owned(),
            None => String::new(),
        }));
        let mut what: Vec<String> = seen.turns.iter().filter(|turn| turn.0 == *t).map(|t| turned(t.1, t.2)).collect();
        what.extend(seen.detections.iter().filter(|d| d.event_at == *t).map(|d| told(d)));
        if *t == at {
            what.push(format!("-> {}", seen.state(at)));
        }
        line.push(what.join(", "));
        lines.push(line);
    }
    table(&lines)
}

/// Without the dust of binary fractions.
pub(super) fn number(n: f64) -> String {
    if n.abs() >= 1e-3 { ((n * 1e6).round() / 1e6).to_string() } else { n.to_string() }
}

fn cell(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(n) => n.as_f64().map_or_else(|| n.to_string(), number),
        other => other.to_string(),
    }
}

fn turned(level: &str, phase: Phase) -> String {
    let phase = match phase {
        Phase::Off => "off",
        Phase::Pending => "pending",
        Phase::On => "on",
        Phase::Clearing => "clearing",
    };
    format!("{level} {phase}")
}

fn told(detection: &Detection) -> String {
    let late = if detection.historical { " (historical)" } else { "" };
    let what = match detection.change {
        Change::Raised => "raised",
        Change::Moved => "moved",
        Change::Stale => "stale",
        Change::Cleared => "cleared",
        Change::RuleRemoved => "rule removed",
    };
    format!("told: {what}{late}")
}

/// Columns below each other, the last one ragged.
fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (column, (value, width)) in line.iter().zip(&widths).enumerate() {
            if column > 0 {
                text.push_str("  ");
            }
            text.push_str(&format!("{value:<width$}"));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}
