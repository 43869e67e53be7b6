//! What has been learned of a fleet: `config/baselines/*.toml`, written by `forewarn fit`, read and reviewed by people.
//!
//! ```toml
//! [[baseline]]
//! model = "pump-22kw"
//! name = "vib"                                # [rule.baseline.vib] of the model's rules
//! of = ["vib_rms[mm/s]"]                      # expressions as they were checked, units and `let`s filled in
//! by = ["rpm[rpm]/250", "inlet[bar]"]
//! edges = [{ by = "inlet[bar]", at = [1.2, 3.4] }]   # a bare number: the borders between its groups
//! bins = [                                    # at: nearest multiple, or group from 0; centre and scale in units of `of`
//!   { at = [4, 0], centre = [1.82], scale = [0.21], n = 5120, devices = 12 },
//!   { at = [4, 1], centre = [2.04], scale = [0.25], n = 730, devices = 9 },
//! ]
//! ```
//! Of several values, `correlation` is the lower triangle of their correlations by rows, without the ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::baseline::{Baseline, FleetBaseline, FleetBin, regime};
use super::tree::line_of;
use crate::source::{Diagnostic, Diagnostics, Doc, FileId, Place, Table};

/// All that has been learned, by model and name.
#[derive(Debug, Default)]
pub struct Fleet {
    learned: BTreeMap<(Arc<str>, Arc<str>), Arc<Learned>>,
    learning: bool,
}

/// A baseline as learned.
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) place: Place,
    pub(super) of: Vec<String>,
    pub(super) by: Vec<String>,
    /// By place in `by`.
    pub(super) edges: Vec<Option<Arc<[f64]>>>,
    pub(super) bins: Arc<FleetBaseline>,
}

/// What there is for a rule that asks for a fleet's baseline.
pub(super) enum Found {
    Baseline(Arc<Learned>),
    Nothing,
    /// All of them are being learned.
    Learning,
}

impl Fleet {
    /// Reads what has been learned. Mistakes go to `diags` as `R064`.
    #[must_use]
    pub fn load(diags: &mut Diagnostics, files: &[FileId]) -> Self {
        let mut fleet = Self::default();
        for file in files {
            let doc = Doc::parse(diags, "R064", *file);
            let root = doc.root();
            for table in root.tables(diags, "baseline") {
                fleet.read(diags, table);
            }
            root.finish(diags);
        }
        fleet
    }

    /// For learning: every baseline is taken to be there, and unknown.
    #[must_use]
    pub fn learning() -> Self {
        Self { learning: true, ..Self::default() }
    }

    pub(super) fn find(&self, model: &str, name: &str) -> Found {
        if self.learning {
            return Found::Learning;
        }
        let found = self.learned.get(&(model.into(), name.into()));
        found.map_or(Found::Nothing, |learned| Found::Baseline(learned.clone()))
    }

    fn read(&mut self, diags: &mut Diagnostics, table: Table<'_>) {
        let place = table.place();
        let (model, name) = (table.need_text(diags, "model"), table.need_text(diags, "name"));
        table.need(diags, "of");
        let texts = |diags: &mut Diagnostics, key| {
            table.texts(diags, key).into_iter().map(|t| t.value.to_string()).collect::<Vec<_>>()
        };
        let (of, by) = (texts(diags, "of"), texts(diags, "by"));
        if of.is_empty() || of.len() > Baseline::MAX_OF {
            diags.push(Diagnostic::error("R064", "`of` has no or too many expressions").at(place.clone(), ""));
        }
        let edges = edges(diags, &table, &by);
        let mut bins = FleetBaseline { place: line_of(diags, &place), ..FleetBaseline::default() };
        for bin in table.tables(diags, "bins") {
            let at = bin.place();
            if let Some((key, read)) = read_bin(diags, bin, of.len(), by.len())
                && bins.bins.insert(key, read).is_some()
            {
                diags.push(Diagnostic::error("R064", "this regime is there twice").at(at, ""));
            }
        }
        table.finish(diags);
        let (Some(model), Some(name)) = (model, name) else { return };
        let learned = Learned { place: name.place.clone(), of, by, edges, bins: Arc::new(bins) };
        if let Some(first) = self.learned.insert((model.value.clone(), name.value.clone()), Arc::new(learned)) {
            let message = format!("model '{}' has two baselines '{}'", model.value, name.value);
            let finding = Diagnostic::error("R064", message).at(name.place, "again here");
            diags.push(finding.related(first.place.clone(), "first here"));
        }
    }
}

fn edges(diags: &mut Diagnostics, table: &Table<'_>, by: &[String]) -> Vec<Option<Arc<[f64]>>> {
    let mut edges = vec![None; by.len()];
    for cut in table.tables(diags, "edges") {
        let of = cut.need_text(diags, "by");
        let at: Vec<f64> = cut.numbers(diags, "at").into_iter().map(|n| n.value).collect();
        let ascend = at.windows(2).all(|pair| pair[0] < pair[1]);
        match of.and_then(|of| by.iter().position(|b| *b == *of.value)) {
            Some(place) if ascend => edges[place] = Some(at.into()),
            _ => {
                let message = "edges are of one of the expressions of `by`, and ascend";
                diags.push(Diagnostic::error("R064", message).at(cut.place(), ""));
            }
        }
        cut.finish(diags);
    }
    edges
}

fn read_bin(diags: &mut Diagnostics, table: Table<'_>, of: usize, by: usize) -> Option<(u64, FleetBin)> {
    let place = table.place();
    let numbers =
        |diags: &mut Diagnostics, key| table.numbers(diags, key).into_iter().map(|n| n.value).collect::<Vec<f64>>();
    let at = numbers(diags, "at");
    let (centre, scale) = (numbers(diags, "centre"), numbers(diags, "scale"));
    let correlation = numbers(diags, "correlation");
    let n = table.count(diags, "n").map_or(0, |n| n.value);
    // For people.
    let _devices = table.count(diags, "devices");
    table.finish(diags);
    let sound = at.len() == by
        && centre.len() == of
        && scale.len() == of
        && correlation.len() == of * of.saturating_sub(1) / 2
        && scale.iter().all(|s| *s >= 0.0)
        && correlation.iter().all(|r| r.abs() <= 1.0);
    if !sound {
        let message = format!("a regime here has {by} numbers `at`, {of} `centre`, {of} `scale` of at least 0");
        let pairs = of * of.saturating_sub(1) / 2;
        let hint = (pairs > 0).then(|| format!("and {pairs} `correlation` from -1 to 1"));
        diags.push(Diagnostic::error("R064", message).at(place, "").maybe_hint(hint));
        return None;
    }
    let key = if by == 0 { 0.0_f64 } else { regime(&at) };
    let spread = if of == 1 { scale } else { covariance(&scale, &correlation) };
    Some((key.to_bits(), FleetBin { centre, spread, n: u64::from(n) }))
}

/// The lower triangle of a covariance, by rows.
fn covariance(scale: &[f64], correlation: &[f64]) -> Vec<f64> {
    let mut below = correlation.iter();
    let mut cells = Vec::new();
    for (i, row) in scale.iter().enumerate() {
        cells.extend(scale[..i].iter().map(|column| row * column * below.next().copied().unwrap_or(0.0)));
        cells.push(row * row);
    }
    cells
}
