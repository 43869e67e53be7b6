//! `forewarn fit`: what is usual in a fleet, learned from a recording.
//!
//! The rules are loaded as if every baseline of the fleet were there and unknown, the recording is played through the
//! engine, and what the expressions of those baselines come to is gathered: the same code evaluates them as live.
//! Left out are samples in and before known failures, outside of the exposure, and of a device that has taught as much
//! as the baseline's `learn` says. In each regime the centre is the median and the scale 1.4826 times the median
//! absolute deviation (the standard deviation if more than half of the values are the same), so what failures are in it
//! unknown to us count for little. Several values besides have the correlations of their distances, held within 3 scales.

mod cut;
mod estimate;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::play::PlayError;
use super::recording::{Entry, Kind, Recording};
use super::score::{Labels, seconds};
use crate::domain::{At, DeviceId, ModelId, Registry};
use crate::engine::Engine;
use crate::rules::{Baseline, Program};

pub use estimate::Regime;

/// More samples of one baseline than this are thinned out evenly.
const MOST: usize = 1 << 20;

/// What is not learned from.
#[derive(Debug, Default)]
pub struct Omit {
    /// Failures, and when devices were watched (all the time if empty).
    pub labels: Labels,
    /// How long before a failure it may show, in seconds.
    pub before: f64,
}

/// A baseline as it was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The model.
    pub model: ModelId,
    /// What the rule calls it.
    pub name: Arc<str>,
    /// What it is of.
    pub of: Vec<String>,
    /// What makes its regimes.
    pub by: Vec<String>,
    /// By place in `by`: where a bare number falls apart.
    pub edges: Vec<Option<Vec<f64>>>,
    /// In the order of what makes them.
    pub regimes: Vec<Regime>,
}

/// All that was learned.
#[derive(Debug, Default)]
pub struct Fit {
    /// By model and name.
    pub baselines: Vec<Fitted>,
    /// First and last sample.
    pub from_to: Option<(At, At)>,
    /// Devices that taught something.
    pub devices: usize,
}

/// Plays `recording` and learns the fleet's baselines that the rules of `program` declare. `program` was loaded with
/// [`crate::rules::Fleet::learning`]. `progress` is told how many messages were played.
///
/// # Errors
/// The recording cannot be read.
pub fn fit(
    mut recording: Recording,
    program: &Arc<Program>,
    registry: &Arc<Registry>,
    omit: &Omit,
    mut progress: impl FnMut(u64),
) -> Result<Fit, PlayError> {
    let mut engine = Engine::new(program.clone(), registry.clone()).with(recording.engine_settings());
    let (mut entry, mut detections) = (Entry::default(), Vec::new());
    let mut gathered = Gathered::default();
    let mut played = 0;
    while recording.read(&mut entry)? {
        // A payload that cannot be decoded teaches nothing.
        let _undecoded = entry.play(&mut engine, &mut detections);
        detections.clear();
        if entry.kind == Kind::Mark {
            continue;
        }
        played += 1;
        if u64::is_multiple_of(played, 1_000) {
            progress(played);
        }
        let binding = &entry.binding;
        engine.newest(binding.model, &binding.device, |newest| {
            gathered.take(binding.model, &binding.device, &newest, omit)
        });
    }
    Ok(gathered.finish(program))
}

/// Samples of one baseline.
#[derive(Debug)]
struct Samples {
    baseline: Baseline,
    op: usize,
    /// Values of `of` and `by`, row by row.
    values: Vec<f64>,
    /// By row.
    devices: Vec<u32>,
    /// Only each so many-th sample is kept.
    stride: u64,
    seen: u64,
}

/// Samples of one regime.
#[derive(Debug, Default)]
struct Group<'a> {
    rows: Vec<&'a [f64]>,
    devices: BTreeSet<u32>,
}

/// How far one baseline of one device (or part) has come.
#[derive(Debug, Default)]
struct Pupil {
    at: i64,
    /// Data so far, in microseconds.
    clock: i64,
}

#[derive(Debug, Default)]
struct Gathered {
    names: BTreeMap<DeviceId, u32>,
    pupils: BTreeMap<(u32, usize, usize, Option<usize>), Pupil>,
    /// By model and name.
    samples: BTreeMap<(usize, Arc<str>), Samples>,
    from_to: Option<(i64, i64)>,
}

impl Gathered {
    fn take(&mut self, model: usize, device: &DeviceId, newest: &crate::engine::Newest<'_>, omit: &Omit) {
        let count = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name = match self.names.get(device) {
            Some(name) => *name,
            None => *self.names.entry(device.clone()).or_insert(count),
        };
        let pupil = self.pupils.entry((name, model, newest.op, newest.part)).or_default();
        if newest.at == pupil.at {
            return;
        }
        let gap = if pupil.at == 0 { 0 } else { (newest.at - pupil.at).clamp(0, newest.covers) };
        pupil.at = newest.at;
        pupil.clock = pupil.clock.saturating_add(gap);
        let baseline = newest.baseline;
        if pupil.clock >= baseline.learn || omit.leaves_out(device, newest.at) {
            return;
        }
        let key = (model, baseline.name.clone());
        let samples = self.samples.entry(key).or_insert_with(|| Samples::new(baseline.clone(), newest.op));
        if samples.op != newest.op {
            // Another rule asks for the same.
            return;
        }
        samples.add(name, newest.values);
        let (from, to) = self.from_to.unwrap_or((newest.at, newest.at));
        self.from_to = Some((from.min(newest.at), to.max(newest.at)));
    }

    fn finish(self, program: &Program) -> Fit {
        let teachers: BTreeSet<u32> = self.samples.values().flat_map(|s| s.devices.iter().copied()).collect();
        let baselines = self.samples.into_iter().map(|((model, name), samples)| {
            let edges = samples.edges();
            let regimes = samples.regimes(&edges);
            Fitted {
                model: program.models().list[model].id.clone(),
                name,
                of: samples.baseline.of.clone(),
                by: samples.baseline.by.iter().map(|b| b.text.clone()).collect(),
                edges,
                regimes,
            }
        });
        let mut baselines: Vec<Fitted> = baselines.collect();
        baselines.sort_by(|a, b| (&a.model, &a.name).cmp(&(&b.model, &b.name)));
        let from_to = self.from_to.map(|(from, to)| (At::from_micros(from), At::from_micros(to)));
        Fit { baselines, from_to, devices: teachers.len() }
    }
}

impl Omit {
    fn leaves_out(&self, device: &DeviceId, at: i64) -> bool {
        let at = seconds(At::from_micros(at));
        let faults = self.labels.faults.get(device).into_iter().flatten();
        let watched = || self.labels.exposure.get(device).into_iter().flatten().any(|(a, b)| (*a..=*b).contains(&at));
        faults.into_iter().any(|f| (f.failure - self.before..=f.end).contains(&at))
            || !self.labels.exposure.is_empty() && !watched()
    }
}

impl Samples {
    fn new(baseline: Baseline, op: usize) -> Self {
        Self { baseline, op, values: Vec::new(), devices: Vec::new(), stride: 1, seen: 0 }
    }

    /// Values of one row.
    fn width(&self) -> usize {
        self.baseline.values()
    }

    fn add(&mut self, device: u32, values: &[u64]) {
        self.seen += 1;
        if !self.seen.is_multiple_of(self.stride) {
            return;
        }
        self.values.extend(values.iter().map(|w| f64::from_bits(*w)));
        self.devices.push(device);
        if self.devices.len() >= MOST {
            self.thin_out();
        }
    }

    /// Keeps every second row.
    fn thin_out(&mut self) {
        let width = self.width();
        let rows = self.values.chunks_exact(width).skip(1).step_by(2);
        self.values = rows.flatten().copied().collect();
        self.devices = self.devices.iter().skip(1).step_by(2).copied().collect();
        self.stride *= 2;
    }

    /// Where the bare numbers of `by` fall apart into groups.
    fn edges(&self) -> Vec<Option<Vec<f64>>> {
        let column = |place: usize| {
            let from = self.baseline.of.len() + place;
            self.values.iter().skip(from).step_by(self.width()).copied().collect::<Vec<f64>>()
        };
        let by = self.baseline.by.iter().enumerate();
        by.map(|(place, by)| by.bare.then(|| cut::edges(column(place)))).collect()
    }

    fn regimes(&self, edges: &[Option<Vec<f64>>]) -> Vec<Regime> {
        let of = self.baseline.of.len();
        let mut rows: BTreeMap<Vec<i64>, Group<'_>> = BTreeMap::new();
        for (row, device) in self.values.chunks_exact(self.width()).zip(&self.devices) {
            let at = row[of..].iter().zip(edges).map(|(value, edges)| cut::place(*value, edges.as_deref())).collect();
            let regime = rows.entry(at).or_default();
            regime.rows.push(&row[..of]);
            regime.devices.insert(*device);
        }
        let stride = self.stride;
        rows.into_iter().filter_map(|(at, group)| Regime::of(at, &group.rows, stride, group.devices.len())).collect()
    }
}
