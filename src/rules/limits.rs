//! `[rule.active]`, `[rule.gate]` and `[rule.limits]`: what keeps a rule from raising, and what is done when it raises
//! too often.

use std::sync::Arc;

use super::raw::{Source, duration, source};
use super::schedule::{self, Schedule};
use crate::domain::Span;
use crate::source::{Diagnostic, Diagnostics, Table, Text};

/// Most raises that are remembered of one device, and most that a breaker counts.
const MAX_FLAPS: u32 = 20;
const MAX_BREAKER: u32 = 1_000;

/// As written.
#[derive(Debug, Default)]
pub(super) struct RawLimits {
    pub(super) active: Option<Schedule>,
    pub(super) ingest_healthy: Span,
    pub(super) expected_off: Option<Source>,
    pub(super) parent: Option<Arc<str>>,
    pub(super) flap: Option<Flap>,
    pub(super) cooldown: Span,
    pub(super) breaker: Option<Breaker>,
}

/// `flap = { max = 4, per = "1h", then = "latch" }`: an episode that is one too many stays open until a person ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flap {
    pub(crate) max: u32,
    /// Microseconds.
    pub(crate) per: i64,
}

/// `fleet_breaker = { max = 25, per = "10m", by = "model" }`: what the desk does when a rule raises on many devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// More than so many episodes …
    pub max: u32,
    /// … within so long …
    pub per: Span,
    /// … among devices with the same value of this attribute (or `model`); `None`: among all.
    pub by: Option<Arc<str>>,
}

/// Reads the three tables.
pub(super) fn read(diags: &mut Diagnostics, rule: &Table<'_>) -> RawLimits {
    let mut raw = RawLimits::default();
    if let Some(table) = rule.table(diags, "active") {
        raw.active = Some(schedule::read(diags, &table));
        table.finish(diags);
    }
    if let Some(table) = rule.table(diags, "gate") {
        raw.ingest_healthy = duration(diags, &table, "ingest_healthy").map_or(Span::ZERO, |s| s.value);
        raw.expected_off = source(diags, &table, "expected_off");
        raw.parent = table.text(diags, "parent").and_then(|text| attribute(diags, &text));
        table.finish(diags);
    }
    if let Some(table) = rule.table(diags, "limits") {
        raw.cooldown = duration(diags, &table, "cooldown").map_or(Span::ZERO, |s| s.value);
        raw.flap = table.table(diags, "flap").and_then(|t| flap(diags, t));
        raw.breaker = table.table(diags, "fleet_breaker").and_then(|t| breaker(diags, t));
        table.finish(diags);
    }
    raw
}

fn flap(diags: &mut Diagnostics, table: Table<'_>) -> Option<Flap> {
    let (max, per) = often(diags, &table, MAX_FLAPS)?;
    if let Some(then) = table.need_text(diags, "then").filter(|t| &*t.value != "latch") {
        let finding = Diagnostic::error("R081", format!("`then` is '{}'", then.value));
        diags.push(finding.at(then.place, "").hint("write then = \"latch\""));
    }
    table.finish(diags);
    Some(Flap { max, per: per.as_micros() })
}

fn breaker(diags: &mut Diagnostics, table: Table<'_>) -> Option<Breaker> {
    let (max, per) = often(diags, &table, MAX_BREAKER)?;
    let by = table.text(diags, "by").map(|t| t.value);
    table.finish(diags);
    Some(Breaker { max, per, by })
}

/// `max` and `per`.
fn often(diags: &mut Diagnostics, table: &Table<'_>, most: u32) -> Option<(u32, Span)> {
    table.need(diags, "max");
    table.need(diags, "per");
    let (max, per) = (table.count(diags, "max"), duration(diags, table, "per"));
    let max = max.filter(|max| {
        let fits = (1..=most).contains(&max.value);
        if !fits {
            let finding = Diagnostic::error("R081", format!("`max` is {}", max.value));
            diags.push(finding.at(max.place.clone(), format!("must be 1 to {most}")));
        }
        fits
    })?;
    let per = per.filter(|per| {
        if per.value == Span::ZERO {
            diags.push(Diagnostic::error("R081", "`per` is 0s").at(per.place.clone(), "must be longer"));
        }
        per.value > Span::ZERO
    })?;
    Some((max.value, per.value))
}

/// `device.gateway` names the attribute `gateway`.
fn attribute(diags: &mut Diagnostics, text: &Text) -> Option<Arc<str>> {
    let name = text.value.strip_prefix("device.").filter(|n| !n.is_empty());
    if name.is_none() {
        let finding = Diagnostic::error("R082", format!("`parent` is '{}'", text.value));
        let hint = "write the column of the registry that holds the id of the parent: device.gateway";
        diags.push(finding.at(text.place.clone(), "not an attribute").hint(hint));
    }
    name.map(Into::into)
}
