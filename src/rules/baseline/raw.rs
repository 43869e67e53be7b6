//! `[rule.baseline.NAME]` as written.

use super::super::raw::{Source, duration, one_of, parsed_source};
use super::{Amount, Baseline, Own};
use crate::domain::Span;
use crate::source::{Diagnostic, Diagnostics, Item, Table, Text};

/// Most expressions of `by`.
const MAX_BY: usize = 4;
/// Most regimes kept at once.
const MAX_BINS: u32 = 64;
/// Regimes kept at once unless the rule says how many.
const BINS: u32 = 32;
/// Keys that say how a device's own baseline is learned.
const OWN_KEYS: [&str; 5] = ["tau", "min", "freeze_when_firing", "prior", "bins"];

/// A baseline as written.
#[derive(Debug)]
pub(in super::super) struct RawBaseline {
    pub(in super::super) name: Text,
    pub(super) of: Vec<Source>,
    pub(super) by: Vec<Source>,
    /// `None`: the fleet's alone.
    pub(super) own: Option<Own>,
    /// Reads the fleet's baseline, alone or as a prior.
    pub(super) fleet: bool,
    /// Microseconds; `i64::MAX` for ever.
    pub(super) learn: i64,
    pub(super) robust: bool,
    pub(super) correlated: bool,
    pub(super) floor: Option<Item<f64>>,
    /// Something is wrong with it, and has been reported.
    pub(super) broken: bool,
}

/// All baselines of a rule.
pub(in super::super) fn read(diags: &mut Diagnostics, rule: &Table<'_>) -> Vec<RawBaseline> {
    let Some(tables) = rule.table(diags, "baseline") else { return Vec::new() };
    let names: Vec<Text> = tables.keys().collect();
    let read = |name: Text| {
        let table = tables.table(diags, &name.value)?;
        Some(baseline(diags, table, name))
    };
    let list = names.into_iter().filter_map(read).collect();
    tables.finish(diags);
    list
}

fn baseline(diags: &mut Diagnostics, table: Table<'_>, name: Text) -> RawBaseline {
    let before = diags.list().len();
    table.need(diags, "of");
    let of = sources(diags, &table, "of", Baseline::MAX_OF);
    let by = sources(diags, &table, "by", MAX_BY);
    let prior = one_of(diags, &table, "prior", &[("fleet", ())]).is_some();
    let alone = one_of(diags, &table, "from", &[("fleet", ())]).is_some();
    let learn = duration(diags, &table, "learn");
    let bins = bins(diags, &table, if by.is_empty() { 1 } else { BINS });
    let own = if alone { refuse_own(diags, &table) } else { own(diags, &table, learn.as_ref(), bins, of.len()) };
    if let Some(learn) = learn.as_ref().filter(|l| l.value.as_micros() == 0) {
        diags.push(Diagnostic::error("R061", "nothing is learned in no time").at(learn.place.clone(), ""));
    }
    let robust = table.flag(diags, "robust").is_none_or(|f| f.value);
    let correlated = table.flag(diags, "correlated").is_none_or(|f| f.value);
    let floor = table.number(diags, "floor");
    if let Some(floor) = floor.as_ref().filter(|f| !(f.value > 0.0 && f.value.is_finite()) || of.len() > 1) {
        let finding = Diagnostic::error("R061", "`floor` is the smallest scale of one value, more than 0");
        diags.push(finding.at(floor.place.clone(), ""));
    }
    table.finish(diags);
    let broken = diags.list().len() != before;
    let learn = learn.map_or(i64::MAX, |l| l.value.as_micros());
    RawBaseline { name, of, by, own, fleet: prior || alone, learn, robust, correlated, floor, broken }
}

/// The expressions of a list, or of one string.
fn sources(diags: &mut Diagnostics, table: &Table<'_>, key: &str, most: usize) -> Vec<Source> {
    let texts = table.texts(diags, key);
    if let Some(first) = texts.get(most) {
        let finding = Diagnostic::error("R061", format!("`{key}` has {} expressions", texts.len()));
        diags.push(finding.at(first.place.clone(), format!("at most {most}")));
    }
    texts.into_iter().take(most).filter_map(|text| parsed_source(diags, text)).collect()
}

fn bins(diags: &mut Diagnostics, table: &Table<'_>, usual: u32) -> usize {
    let bins = table.count(diags, "bins");
    if let Some(bins) = bins.as_ref().filter(|b| !(1..=MAX_BINS).contains(&b.value)) {
        let finding = Diagnostic::error("R061", format!("`bins` is {}", bins.value));
        diags.push(finding.at(bins.place.clone(), "").hint(format!("from 1 to {MAX_BINS} regimes can be kept")));
    }
    let bins = bins.map_or(usual, |b| b.value.min(MAX_BINS));
    usize::try_from(bins).unwrap_or(1)
}

/// `min`: a duration, or a number of samples of `of` values.
fn min(diags: &mut Diagnostics, table: &Table<'_>, of: usize) -> Option<Item<Amount>> {
    if table.what("min") != Some("an integer") {
        let min = duration(diags, table, "min")?;
        return Some(Item { value: Amount::Data(min.value.as_micros()), place: min.place });
    }
    let Item { value, place } = table.count(diags, "min")?;
    let fewest = Baseline::fewest_of(of);
    if u64::from(value) < fewest {
        let finding = Diagnostic::error("R061", format!("`min` is {value} samples"));
        diags.push(finding.at(place.clone(), format!("at least {fewest} are needed to know what is usual")));
    }
    Some(Item { value: Amount::Samples(u64::from(value)), place })
}

fn own(diags: &mut Diagnostics, table: &Table<'_>, learn: Option<&Item<Span>>, bins: usize, of: usize) -> Option<Own> {
    let min = min(diags, table, of);
    let never = table.what("tau") == Some("a string") && table.text(diags, "tau").is_some_and(|t| &*t.value == "never");
    let tau = if never { None } else { duration(diags, table, "tau") };
    if !table.has("tau") && learn.is_none() {
        let finding = Diagnostic::error("R061", "the baseline has neither `tau` nor `learn`").at(table.place(), "");
        diags.push(finding.hint(
            "tau = \"14d\" forgets with that time constant, tau = \"never\" does not, learn = \"30d\" stops learning",
        ));
    }
    if !table.has("min") && learn.is_none() {
        let finding = Diagnostic::error("R061", "the baseline has no `min`").at(table.place(), "needs `min`");
        diags
            .push(finding.hint("min = \"3d\": unknown until it has seen 3 days of data; min = 200: until 200 samples"));
    }
    if let (Some(min), Some(learn)) = (&min, learn)
        && let Amount::Data(data) = min.value
        && data > learn.value.as_micros()
    {
        let finding = Diagnostic::error("R061", "`min` is longer than `learn`: the baseline would never be known");
        diags.push(finding.at(min.place.clone(), "").related(learn.place.clone(), "learns no longer than this"));
    }
    if let Some(tau) = tau.as_ref().filter(|t| t.value.as_micros() == 0) {
        diags.push(Diagnostic::error("R061", "nothing is remembered with no time constant").at(tau.place.clone(), ""));
    }
    Some(Own {
        tau: tau.map_or(i64::MAX, |t| t.value.as_micros()),
        min: min.map_or_else(|| Amount::Data(learn.map_or(0, |l| l.value.as_micros())), |min| min.value),
        freeze: table.flag(diags, "freeze_when_firing").is_none_or(|f| f.value),
        bins,
    })
}

/// Nothing is learned from the fleet's baseline alone.
fn refuse_own(diags: &mut Diagnostics, table: &Table<'_>) -> Option<Own> {
    for key in table.keys().filter(|k| OWN_KEYS.contains(&&*k.value)) {
        let finding = Diagnostic::error("R061", format!("`{}` says how to learn, `from` that nothing is", key.value));
        diags.push(finding.at(key.place, "").hint("prior = \"fleet\" starts as the fleet's and learns on"));
    }
    // Asked for, so that they are not also unknown keys.
    let _ = table.text(diags, "tau");
    let _ = min(diags, table, 1);
    let _ = table.flag(diags, "freeze_when_firing");
    None
}
