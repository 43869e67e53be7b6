//! `[rule.active]`, `[rule.gate]` and `[rule.limits]`: what keeps a rule from raising, and what is done when it raises
//! too often. The breaker and the parent are guards of the desk: here they are only read.

use std::sync::Arc;

use super::program::{Ins, Shown};
use super::raw::{Source, duration, source};
use super::schedule::{self, Schedule};
use super::tree::{Node, Part, line_of};
use crate::domain::{Breaker, Guards, Span};
use crate::source::{Diagnostic, Diagnostics, Place, Table, Text};

/// Most raises that are remembered of one device.
const MAX_FLAPS: u32 = 20;
/// Most cases that a breaker lets act.
const MAX_BREAKER: u32 = 500;

/// As written.
#[derive(Debug, Default)]
pub(super) struct RawLimits {
    pub(super) active: Option<Schedule>,
    pub(super) ingest_healthy: Span,
    pub(super) expected_off: Option<Source>,
    pub(super) flap: Option<Flap>,
    pub(super) cooldown: Span,
    pub(super) guards: Guards,
    /// The columns of the registry that the guards name.
    pub(super) columns: Vec<(Arc<str>, Place)>,
    /// Where each of them is said.
    pub(super) places: Vec<(Hindrance, Place)>,
}

/// What may keep a rule from raising, or an episode from ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// `[rule.active]`.
    Active,
    /// `ingest_healthy` of `[rule.gate]`.
    Healthy,
    /// `expected_off` of `[rule.gate]`.
    ExpectedOff,
    /// `cooldown` of `[rule.limits]`.
    Cooldown,
    /// `flap` of `[rule.limits]`.
    Flap,
}

impl Hindrance {
    /// The table that says it, and its key there.
    const KEYS: [(Self, &'static str, &'static str); 5] = [
        (Self::Active, "active", ""),
        (Self::Healthy, "gate", "ingest_healthy"),
        (Self::ExpectedOff, "gate", "expected_off"),
        (Self::Cooldown, "limits", "cooldown"),
        (Self::Flap, "limits", "flap"),
    ];
}

/// `flap = { max = 4, per = "1h", then = "latch" }`: an episode that is one too many stays open until a person ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flap {
    pub(crate) max: u32,
    /// Microseconds.
    pub(crate) per: i64,
}

/// What keeps a rule from raising: while one of these bars it, `when` counts as false for levels that are not in force.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    /// Outside of it.
    pub(crate) active: Option<Schedule>,
    /// Our own link has been up and drained for less than so many microseconds.
    pub(crate) ingest_healthy: i64,
    /// While this is true.
    pub(crate) expected_off: Option<Vec<Ins>>,
    /// So many microseconds after an episode has ended.
    pub(crate) cooldown: i64,
    /// No bar: raises that are too many stay.
    pub(crate) flap: Option<Flap>,
    /// Where its words start.
    pub(crate) offset: usize,
}

impl Bars {
    /// When the last episode ended, whether the bar was told, and when the last raises were.
    pub(crate) fn words(&self) -> usize {
        BAR_WORDS + self.flap.map_or(0, |flap| usize::try_from(flap.max).unwrap_or(0))
    }

    /// For people who ask why.
    pub(super) fn nodes(&self, diags: &Diagnostics, places: &[(Hindrance, Place)], off: &[Arc<Node>]) -> Vec<Node> {
        let text = |what: Hindrance| match what {
            Hindrance::Active => self.active.as_ref().map_or_else(String::new, |s| format!("active {s}")),
            Hindrance::Healthy => format!("ingest_healthy {}", Span::from_micros(self.ingest_healthy)),
            Hindrance::ExpectedOff => "expected_off".to_owned(),
            Hindrance::Cooldown => format!("cooldown {}", Span::from_micros(self.cooldown)),
            Hindrance::Flap => {
                self.flap.map_or_else(String::new, |f| format!("flap {} in {}", f.max, Span::from_micros(f.per)))
            }
        };
        let node = |(what, place): &(Hindrance, Place)| Node {
            text: text(*what).into(),
            place: line_of(diags, place),
            part: Part::Bar(*what),
            code: Vec::new(),
            shown: Shown::Bool,
            slot: None,
            children: if *what == Hindrance::ExpectedOff { off.to_vec() } else { Vec::new() },
        };
        places.iter().map(node).collect()
    }
}

/// Words of a rule's bars before its last raises: the end of its last episode, and whether a bar has kept it from raising.
pub(crate) const BAR_WORDS: usize = 2;

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
        let named = table.text(diags, "parent").and_then(|text| Some((parent(diags, &text)?, text.place)));
        raw.guards.parent = named.as_ref().map(|(column, _)| column.clone());
        raw.columns.extend(named);
        table.finish(diags);
    }
    if let Some(table) = rule.table(diags, "limits") {
        raw.cooldown = duration(diags, &table, "cooldown").map_or(Span::ZERO, |s| s.value);
        raw.flap = table.table(diags, "flap").and_then(|t| flap(diags, t));
        raw.guards.breaker = table.table(diags, "fleet_breaker").and_then(|t| breaker(diags, t, &mut raw.columns));
        table.finish(diags);
    }
    raw.places = places(diags, rule);
    raw
}

/// Where each of them is said.
fn places(diags: &mut Diagnostics, rule: &Table<'_>) -> Vec<(Hindrance, Place)> {
    let mut places = Vec::new();
    for (what, name, key) in Hindrance::KEYS {
        let Some(table) = rule.table(diags, name) else { continue };
        let key = table.keys().find(|k| &*k.value == key).map(|k| k.place);
        let place = if what == Hindrance::Active { Some(table.place()) } else { key };
        places.extend(place.map(|place| (what, place)));
    }
    places
}

fn flap(diags: &mut Diagnostics, table: Table<'_>) -> Option<Flap> {
    let often = often(diags, &table, MAX_FLAPS);
    if let Some(then) = table.need_text(diags, "then").filter(|t| &*t.value != "latch") {
        let finding = Diagnostic::error("R081", format!("`then` is '{}'", then.value));
        diags.push(finding.at(then.place, "").hint("write then = \"latch\""));
    }
    table.finish(diags);
    let (max, per) = often?;
    Some(Flap { max, per: per.as_micros() })
}

fn breaker(diags: &mut Diagnostics, table: Table<'_>, columns: &mut Vec<(Arc<str>, Place)>) -> Option<Breaker> {
    let often = often(diags, &table, MAX_BREAKER);
    let by = table.text(diags, "by").and_then(|text| by(diags, text));
    columns.extend(by.clone());
    let by = by.map(|(column, _)| column);
    table.finish(diags);
    let (max, per) = often?;
    Some(Breaker { max, per, by })
}

/// What cases are counted by. A group of one device would never have too many.
fn by(diags: &mut Diagnostics, text: Text) -> Option<(Arc<str>, Place)> {
    if !is_attribute(&text.value) || &*text.value == "id" {
        let finding = Diagnostic::error("R083", format!("`by` is '{}'", text.value));
        let hint = "name an attribute of the registry that many devices share: model, firmware, site";
        diags.push(finding.at(text.place, "").hint(hint));
        return None;
    }
    Some((text.value, text.place))
}

/// The attribute of `device.gateway`.
fn parent(diags: &mut Diagnostics, text: &Text) -> Option<Arc<str>> {
    let attribute = text.value.strip_prefix("device.").filter(|name| is_attribute(name) && *name != "id");
    if attribute.is_none() {
        let finding = Diagnostic::error("R082", format!("`parent` is '{}'", text.value));
        let hint = "name the attribute of the registry that holds the id of the parent: device.gateway";
        diags.push(finding.at(text.place.clone(), "").hint(hint));
    }
    attribute.map(Arc::from)
}

/// The name of a column of the registry.
fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
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
    });
    let per = per.filter(|per| {
        if per.value == Span::ZERO {
            diags.push(Diagnostic::error("R081", "`per` is 0s").at(per.place.clone(), "must be longer"));
        }
        per.value > Span::ZERO
    })?;
    Some((max?.value, per.value))
}
