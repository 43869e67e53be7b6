//! Rule files as written: TOML to a mirror of it, every value with its place.

use crate::domain::{Mode, Severity, Span};
use crate::source::{Diagnostic, Diagnostics, Doc, FileId, Item, Place, Table, Text};

use super::baseline::{self, RawBaseline};
use super::chart::{self, RawChart};
use super::expr::{Expr, parse};
use super::limits::{self, RawLimits};
use super::program::MAX_LEVELS;
use super::program::{OnBackfill, OnGap};
use super::sample::{self, RawSample};
use super::sequence::{self, RawSequence};

/// An expression and the string it stands in.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) text: Text,
    pub(super) expr: Expr,
}

/// A rule as written.
#[derive(Debug)]
pub(super) struct RawRule {
    pub(super) place: Place,
    pub(super) id: Text,
    pub(super) models: Vec<Text>,
    /// Watched one by one: a component, or `device`.
    pub(super) each: Option<Text>,
    pub(super) filter: Option<Source>,
    pub(super) mode: Mode,
    pub(super) fault: Option<Text>,
    pub(super) lead: Option<(i64, i64)>,
    pub(super) confidence: f64,
    pub(super) samples: Vec<RawSample>,
    pub(super) lets: Vec<(Text, Option<Source>)>,
    pub(super) baselines: Vec<RawBaseline>,
    pub(super) levels: Vec<RawLevel>,
    pub(super) sequence: Option<RawSequence>,
    pub(super) max_gap: Option<MaxGap>,
    pub(super) on_gap: OnGap,
    pub(super) on_backfill: OnBackfill,
    /// A counter goes on after a reset; else what is counted since a marker is unknown until there is a new one.
    pub(super) carry_resets: bool,
    pub(super) stale_after: Span,
    pub(super) title: Option<Text>,
    pub(super) chart: Option<RawChart>,
    pub(super) limits: RawLimits,
}

/// `max_gap` as written.
#[derive(Debug, Clone, Copy)]
pub(super) enum MaxGap {
    /// So many report intervals.
    Reports(f64),
    Time(Span),
}

/// A level as written.
#[derive(Debug)]
pub(super) struct RawLevel {
    pub(super) name: String,
    pub(super) severity: Severity,
    pub(super) when: Option<Source>,
    pub(super) clear: Option<Source>,
    pub(super) hold: Option<Item<Span>>,
    pub(super) confirm: u32,
    pub(super) clear_hold: Span,
}

/// Reads all rules of a file; those without an id are reported and left out.
pub(super) fn read(diags: &mut Diagnostics, file: FileId) -> Vec<RawRule> {
    let doc = Doc::parse(diags, "R001", file);
    let root = doc.root();
    let rules = root.tables(diags, "rule").into_iter().filter_map(|t| rule(diags, t)).collect();
    root.finish(diags);
    rules
}

fn rule(diags: &mut Diagnostics, table: Table<'_>) -> Option<RawRule> {
    let place = table.place();
    let id = table.need_text(diags, "id").filter(|id| is_name(diags, id));
    table.need(diags, "models");
    let models = table.texts(diags, "models");
    let filter = source(diags, &table, "where");
    let each = table.text(diags, "each");
    let mode = one_of(diags, &table, "mode", &[("live", Mode::Live), ("shadow", Mode::Shadow), ("off", Mode::Off)]);
    let fault = table.text(diags, "fault").filter(|f| is_name(diags, f));
    let lead = lead(diags, &table);
    let severity = severity(diags, &table);
    let confidence = confidence(diags, &table);
    let samples = sample::read(diags, &table);
    let lets = lets(diags, &table);
    let baselines = baseline::read(diags, &table);
    let steps = sequence::read(diags, &table);
    let (sequence, levels) = match steps {
        Some((sequence, clear)) => (Some(sequence), vec![last_step(diags, &table, severity, clear)]),
        None => (None, levels(diags, &table, severity)),
    };
    let title = table.table(diags, "case").and_then(|case| {
        let title = case.need_text(diags, "title");
        case.finish(diags);
        title
    });
    let mut raw = RawRule {
        place,
        id: id.clone().unwrap_or_else(|| Item { value: "".into(), place: table.place() }),
        models,
        each,
        filter,
        mode: mode.unwrap_or(Mode::Live),
        fault,
        lead,
        confidence,
        samples,
        lets,
        baselines,
        levels,
        sequence,
        max_gap: None,
        on_gap: OnGap::Pause,
        on_backfill: OnBackfill::Record,
        carry_resets: false,
        stale_after: Span::from_hours(1),
        title,
        chart: chart::read(diags, &table),
        limits: limits::read(diags, &table),
    };
    if let Some(data) = table.table(diags, "data") {
        read_data(diags, data, &mut raw);
    }
    table.finish(diags);
    id.map(|_| raw)
}

fn read_data(diags: &mut Diagnostics, data: Table<'_>, raw: &mut RawRule) {
    raw.max_gap = data.text(diags, "max_gap").and_then(|text| {
        let reports = text.value.strip_suffix('x').and_then(|n| n.parse::<f64>().ok()).filter(|n| *n > 0.0);
        let gap = reports.map(MaxGap::Reports).or_else(|| text.value.parse().ok().map(MaxGap::Time));
        if gap.is_none() {
            let finding = Diagnostic::error("R004", format!("`max_gap` is '{}'", text.value));
            diags.push(finding.at(text.place, "").hint("write 3x (of report_every) or a duration such as 30s"));
        }
        gap
    });
    let policies = [("pause", OnGap::Pause), ("reset", OnGap::Reset), ("count", OnGap::Count)];
    raw.on_gap = one_of(diags, &data, "on_gap", &policies).unwrap_or(OnGap::Pause);
    let policies = [("record", OnBackfill::Record), ("act", OnBackfill::Act), ("ignore", OnBackfill::Ignore)];
    raw.on_backfill = one_of(diags, &data, "on_backfill", &policies).unwrap_or(OnBackfill::Record);
    let policies = [("unknown", false), ("continue", true)];
    raw.carry_resets = one_of(diags, &data, "on_counter_reset", &policies).unwrap_or(false);
    if let Some(span) = duration(diags, &data, "stale_after") {
        raw.stale_after = span.value;
    }
    data.finish(diags);
}

fn lets(diags: &mut Diagnostics, table: &Table<'_>) -> Vec<(Text, Option<Source>)> {
    let Some(lets) = table.table(diags, "let") else { return Vec::new() };
    let names: Vec<Text> = lets.keys().collect();
    let list = names
        .into_iter()
        .map(|name| {
            let value = source(diags, &lets, &name.value);
            let plain = name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.value.starts_with(|c: char| c.is_ascii_digit());
            if !plain {
                let finding = Diagnostic::error("R020", format!("a let cannot be called '{}'", name.value));
                diags.push(finding.at(name.place.clone(), "").hint("letters, digits and _, not starting with a digit"));
            }
            (name, value)
        })
        .collect();
    lets.finish(diags);
    list
}

fn need_severity(diags: &mut Diagnostics, table: &Table<'_>, severity: Option<Severity>) -> Severity {
    if severity.is_none() && !table.has("severity") {
        let finding = Diagnostic::error("R004", "the rule has no severity");
        diags.push(finding.at(table.place(), "needs `severity`").hint("one of minor, warning, major, critical"));
    }
    severity.unwrap_or(Severity::Minor)
}

/// The level that the last step of a sequence raises; its `clear` may stand on the rule as well.
fn last_step(
    diags: &mut Diagnostics,
    table: &Table<'_>,
    severity: Option<Severity>,
    clear: Option<Source>,
) -> RawLevel {
    let severity = need_severity(diags, table, severity);
    let level = level(diags, table, severity.to_string(), severity);
    RawLevel { when: None, clear: clear.or(level.clear), ..level }
}

/// `[[rule.level]]`, or one level directly on the rule.
fn levels(diags: &mut Diagnostics, table: &Table<'_>, severity: Option<Severity>) -> Vec<RawLevel> {
    let tables = table.tables(diags, "level");
    if !table.has("level") {
        table.need(diags, "when");
        let severity = need_severity(diags, table, severity);
        return vec![level(diags, table, severity.to_string(), severity)];
    }
    let of_levels = ["when", "hold", "confirm", "clear", "clear_hold"];
    for key in table.keys().filter(|k| of_levels.contains(&&*k.value)).collect::<Vec<_>>() {
        let finding = Diagnostic::error("R004", format!("`{}` stands on a rule that has levels", key.value));
        diags.push(finding.at(key.place, "").hint("move it into one of the [[rule.level]]"));
        // Asked for, so that it is not also an unknown key.
        let _ = level(diags, table, String::new(), Severity::Minor);
    }
    if tables.len() > MAX_LEVELS {
        diags.push(Diagnostic::error("R004", format!("more than {MAX_LEVELS} levels")).at(table.place(), ""));
    }
    let mut list: Vec<RawLevel> = Vec::new();
    for table in tables {
        let name = table.need_text(diags, "name");
        let own = self::severity(diags, &table);
        table.need(diags, "when");
        let name_text = name.as_ref().map_or_else(String::new, |n| n.value.to_string());
        let severity = own.or_else(|| name_text.parse().ok()).or(severity).unwrap_or_else(|| {
            if let Some(name) = &name
                && !table.has("severity")
            {
                let finding = Diagnostic::error("R004", format!("level '{}' has no severity", name.value));
                let hint = "give it `severity`, or name it minor, warning, major or critical";
                diags.push(finding.at(name.place.clone(), "").hint(hint));
            }
            Severity::Minor
        });
        if let Some(name) = &name
            && list.iter().any(|l| *l.name == *name.value)
        {
            diags.push(
                Diagnostic::error("R004", format!("two levels named '{}'", name.value)).at(name.place.clone(), ""),
            );
        }
        list.push(level(diags, &table, name_text, severity));
        table.finish(diags);
    }
    list.truncate(MAX_LEVELS);
    list
}

fn level(diags: &mut Diagnostics, table: &Table<'_>, name: String, severity: Severity) -> RawLevel {
    RawLevel {
        name,
        severity,
        when: source(diags, table, "when"),
        clear: source(diags, table, "clear"),
        hold: duration(diags, table, "hold"),
        confirm: table.count(diags, "confirm").map_or(1, |c| c.value).max(1),
        clear_hold: duration(diags, table, "clear_hold").map_or(Span::ZERO, |s| s.value),
    }
}

/// An expression; a mistake in its shape is reported here.
pub(super) fn source(diags: &mut Diagnostics, table: &Table<'_>, key: &str) -> Option<Source> {
    let text = table.text(diags, key)?;
    parsed_source(diags, text)
}

pub(super) fn parsed_source(diags: &mut Diagnostics, text: Text) -> Option<Source> {
    match parse(&text.value) {
        Ok(expr) => Some(Source { text, expr }),
        Err(e) => {
            let place = text.inner(diags, e.span);
            diags.push(Diagnostic::error("R010", e.message).at(place, "").maybe_hint(e.hint));
            None
        }
    }
}

pub(super) fn duration(diags: &mut Diagnostics, table: &Table<'_>, key: &str) -> Option<Item<Span>> {
    let span = table.parsed::<Span>(diags, key, "a duration such as 30s, 10m or 7d")?;
    if span.value < Span::ZERO {
        diags.push(Diagnostic::error("R004", format!("`{key}` is negative")).at(span.place, ""));
        return None;
    }
    Some(span)
}

fn severity(diags: &mut Diagnostics, table: &Table<'_>) -> Option<Severity> {
    let words: Vec<(&str, Severity)> = Severity::ALL.iter().map(|s| (s.as_str(), *s)).collect();
    one_of(diags, table, "severity", &words)
}

fn confidence(diags: &mut Diagnostics, table: &Table<'_>) -> f64 {
    let Some(number) = table.number(diags, "confidence") else { return 1.0 };
    if !(0.0..=1.0).contains(&number.value) {
        diags.push(Diagnostic::error("R004", "`confidence` is a number from 0 to 1").at(number.place, ""));
        return 1.0;
    }
    number.value
}

fn lead(diags: &mut Diagnostics, table: &Table<'_>) -> Option<(i64, i64)> {
    let text = table.text(diags, "lead")?;
    let both = text.value.split_once("..").and_then(|(a, b)| Some((a.parse::<Span>().ok()?, b.parse::<Span>().ok()?)));
    match both {
        Some((a, b)) if a <= b => Some((a.as_micros(), b.as_micros())),
        _ => {
            let finding = Diagnostic::error("R004", format!("`lead` is '{}'", text.value));
            diags.push(finding.at(text.place, "").hint("write the shortest and longest warning time: 10m..2h"));
            None
        }
    }
}

pub(super) fn one_of<T: Copy>(diags: &mut Diagnostics, table: &Table<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    let text = table.text(diags, key)?;
    let found = words.iter().find(|(word, _)| *word == &*text.value);
    if found.is_none() {
        let list: Vec<&str> = words.iter().map(|w| w.0).collect();
        let hint = crate::source::did_you_mean(&text.value, list.iter().copied());
        let hint = hint.map_or_else(|| format!("one of {}", list.join(", ")), |w| format!("did you mean `{w}`?"));
        let finding = Diagnostic::error("R004", format!("`{key}` is '{}'", text.value));
        diags.push(finding.at(text.place, "").hint(hint));
    }
    found.map(|f| f.1)
}

pub(super) fn is_name(diags: &mut Diagnostics, text: &Text) -> bool {
    let good = !text.value.is_empty()
        && text.value.len() <= 100
        && text.value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !good {
        let finding = Diagnostic::error("R004", format!("'{}' is not a name", text.value));
        diags.push(finding.at(text.place.clone(), "").hint("at most 100 letters, digits, '-', '_' and '.'"));
    }
    good
}
