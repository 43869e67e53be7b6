//! A transition as the desk is told of it: evidence, facts and a title that people can read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::device::{Device, Scratch};
use super::part::Part;
use super::vm::{course, run};
use crate::domain::{At, Change, Component, Detection, EpisodeId, Evidence, Level, Span, Unit, Value};
use crate::rules::{ModelProgram, OnBackfill, Piece, RuleProgram, Shown};

/// What happened, in the words of the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emit {
    /// Of which part; `None` for the device.
    pub(super) part: Option<usize>,
    pub(super) change: Change,
    /// 0 for none, else the index of the level plus 1.
    pub(super) level: u8,
    pub(super) started_at: i64,
    pub(super) seq: u32,
    pub(super) latched: bool,
    /// Device time of the sample or timer.
    pub(super) now: i64,
}

pub(super) fn emit(
    device: &Device,
    program: &ModelProgram,
    rule: &RuleProgram,
    what: Emit,
    scratch: &mut Scratch,
) -> Detection {
    let component = device.component(program, what.part);
    let view = device.view(program, &scratch.memo, what.part, what.now);
    let stack = &mut scratch.stack;
    let mut value = |code: &[_], shown: &Shown, slot: Option<u16>| {
        let raw = run(&view, code, stack);
        value_of(Some(device), what.part, raw, shown, slot)
    };
    let evidence = rule
        .evidence
        .iter()
        .map(|(name, code, shown, slot)| Evidence {
            name: name.clone(),
            value: value(code, shown, *slot),
            unit: if let Shown::Num(unit) = shown { unit.to_string() } else { String::new() },
        })
        .collect();
    let mut title = String::new();
    for piece in &rule.title {
        match piece {
            Piece::Text(text) => title.push_str(text),
            Piece::Component => title.extend(component.as_ref().map(Component::as_str)),
            Piece::Key => title.extend(what.part.map(|ix| device.parts.0[ix].key.to_string())),
            Piece::Code(table, column) => {
                let key = what.part.map_or(String::new(), |ix| device.parts.0[ix].key.to_string());
                let said = program.codes.get(table).and_then(|t| t.get(&key, *column));
                title.push_str(said.map_or("unknown", |text| text));
            }
            Piece::Value(code, shown, slot) => title.push_str(&for_people(&value(code, shown, *slot), shown)),
        }
    }
    let series = rule.chart.as_ref().and_then(|chart| course(&view, chart, &mut scratch.stack)).map(Box::new);
    let level = usize::from(what.level).checked_sub(1).and_then(|ix| rule.levels.get(ix));
    Detection {
        episode: episode(rule.id.as_str(), device.id.as_str(), component.as_ref(), what.started_at),
        seq: what.seq,
        rule: rule.id.clone(),
        rule_rev: rule.rev,
        mode: rule.mode,
        fault: rule.fault.clone(),
        device: device.id.clone(),
        component,
        change: what.change,
        level: level.map(|l| Level { name: l.name.clone(), severity: l.severity }),
        confidence: rule.confidence,
        title,
        evidence,
        series,
        facts: facts(device, program),
        started_at: At::from_micros(what.started_at),
        event_at: At::from_micros(what.now),
        received_at: At::from_micros(device.life.received_at),
        historical: device.life.historical && rule.on_backfill != OnBackfill::Act,
        late_by: device.life.historical.then(|| Span::from_micros((device.life.received_at - what.now).max(0))),
        latched: what.latched,
    }
}

/// The identity of an episode: the same after every replay.
pub(super) fn episode(rule: &str, device: &str, component: Option<&Component>, started_at: i64) -> EpisodeId {
    let component = component.map_or("", Component::as_str);
    EpisodeId::of(&[rule.as_bytes(), device.as_bytes(), component.as_bytes(), &started_at.to_le_bytes()])
}

/// What the device last said of the facts of its model, however old.
pub(super) fn facts(device: &Device, program: &ModelProgram) -> BTreeMap<String, Value> {
    let fact = |slot: u16| {
        let spec = &program.slots[usize::from(slot)];
        value_of(Some(device), None, f64::from_bits(device.row[spec.offset]), &spec.shown, Some(slot))
    };
    program
        .facts
        .iter()
        .map(|(name, slot)| (name.to_string(), fact(*slot)))
        .filter(|(_, value)| value.is_known())
        .collect()
}

/// What a number of the machine stands for. The text of a signal is kept with the device.
pub(super) fn value_of(
    device: Option<&Device>,
    part: Option<usize>,
    raw: f64,
    shown: &Shown,
    slot: Option<u16>,
) -> Value {
    if raw.is_nan() {
        return Value::Unknown;
    }
    match shown {
        Shown::Bool => Value::Bool(raw == 1.0),
        Shown::Num(_) => Value::from(raw),
        Shown::Enum(texts) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index that was stored")]
            let ix = raw as usize;
            texts.get(ix).map_or(Value::Unknown, |t| Value::Text(t.clone()))
        }
        Shown::Codes(lane) => {
            let active = |p: &&Part| p.lane == *lane && p.row[0] == 1.0_f64.to_bits();
            let parts = device.map_or(&[][..], |device| &device.parts.0);
            let names: Vec<String> = parts.iter().filter(active).map(|p| p.key.to_string()).collect();
            Value::Text(names.join(", ").into())
        }
        Shown::Text => {
            let own = part.zip(device).map_or(&[][..], |(ix, device)| &device.parts.0[ix].texts);
            let kept = device.map_or(&[][..], |device| &device.texts);
            let text = slot.and_then(|slot| own.iter().chain(kept).find(|(s, _)| *s == slot));
            text.map_or(Value::Unknown, |(_, t)| Value::Text(t.clone()))
        }
    }
}

/// `62.4 °C`, `3d 4h`, `unknown`.
pub(super) fn for_people(value: &Value, shown: &Shown) -> String {
    match (value, shown) {
        (Value::Num(n), Shown::Num(unit)) if &*unit.text == "s" => span_for_people(*n),
        (Value::Num(n), Shown::Num(unit)) => number_for_people(*n, unit),
        (Value::Bool(b), _) => if *b { "yes" } else { "no" }.to_owned(),
        (value, _) => value.to_string(),
    }
}

/// The two largest units.
fn span_for_people(seconds: f64) -> String {
    if seconds.abs() < 1.0 {
        return format!("{} s", digits(seconds));
    }
    let round = match seconds.abs() {
        s if s >= 86_400.0 => 3_600.0,
        s if s >= 3_600.0 => 60.0,
        _ => 1.0,
    };
    Span::from_secs_f64((seconds / round).round() * round).to_string()
}

fn number_for_people(n: f64, unit: &Unit) -> String {
    // Slow changes read better by the hour or the day than by the second.
    let (mut n, mut text) = (n, unit.text.to_string());
    if let Some(stem) = unit.text.strip_suffix("/s") {
        for (per, factor) in [("min", 60.0), ("h", 60.0), ("d", 24.0)] {
            if n == 0.0 || n.abs() >= 0.5 {
                break;
            }
            n *= factor;
            text = format!("{stem}/{per}");
        }
    }
    let mut shown = digits(n);
    if !text.is_empty() {
        let _ = write!(shown, " {}", unit_for_people(&text));
    }
    shown
}

pub(super) fn unit_for_people(text: &str) -> String {
    text.replace("degC", "°C").replace("degF", "°F")
}

/// Three or four significant digits, without trailing zeros.
pub(super) fn digits(n: f64) -> String {
    let places = match n.abs() {
        a if a >= 100.0 => 0,
        a if a >= 10.0 => 1,
        a if a >= 1.0 => 2,
        a if a >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{n:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (n, unit, text) in [
            (62.44, "degC", "62.4 °C"),
            (0.05, "K/s", "3 K/min"),
            (-0.000_000_33, "V/s", "-0.0285 V/d"),
            (12.0, "V", "12 V"),
            (1538.6, "rpm", "1539 rpm"),
            (-0.00001, "", "0"),
        ] {
            assert_eq!(number_for_people(n, &Unit::parse(unit).unwrap()), text);
        }
        for (seconds, text) in
            [(302_400.0, "3d12h"), (5_430.0, "1h31m"), (75.4, "1m15s"), (0.25, "0.25 s"), (0.0, "0 s")]
        {
            assert_eq!(span_for_people(seconds), text);
        }
    }
}
