//! Failures and alerts of each device over the whole recording.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scale::{Tick, TimeScale, instant, tenth};
use super::{Known, Report};
use crate::domain::DeviceId;
use crate::lab::report::EpisodeReport;
use crate::lab::score::{Outcome, Verdict};

/// More devices are not drawn.
const MAX_DEVICES: usize = 60;
/// More alerts of one device are not drawn.
const MAX_ALERTS: usize = 400;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 860.0;
const ROW: f64 = 20.0;

/// All rows.
#[derive(Debug, Serialize)]
pub(super) struct Timeline {
    height: f64,
    ticks: Vec<Tick>,
    rows: Vec<Row>,
    left_out: usize,
    labelled: bool,
}

#[derive(Debug, Default, Serialize)]
struct Row {
    device: String,
    y: f64,
    exposure: Vec<(f64, f64)>,
    windows: Vec<(f64, f64)>,
    /// Place, class and what to say.
    failures: Vec<(f64, &'static str, String)>,
    /// Place, class and what to say.
    alerts: Vec<(f64, &'static str, String)>,
}

/// The time line; devices with failures or alerts first, false ones before all.
pub(super) fn timeline(report: &Report, known: Option<&Known>) -> Timeline {
    let outcomes: &[Outcome] = report.total.as_ref().map_or(&[], |total| &total.outcomes);
    let exposure = known.map(|known| &known.labels.exposure);
    let ends = exposure.into_iter().flat_map(|e| e.values().flatten()).flat_map(|(a, b)| [instant(*a), instant(*b)]);
    let first = ends.clone().chain([report.recording.first_at]).min().unwrap_or_default();
    let last = ends.chain([report.recording.last_at]).max().unwrap_or_default();
    let scale = TimeScale::new(first, last, LEFT, WIDTH);
    let mut rows: BTreeMap<&DeviceId, (usize, Row)> = BTreeMap::new();
    for outcome in outcomes {
        let (rank, row) = rows.entry(&outcome.device).or_default();
        *rank += if outcome.lead.is_none() { 1_000 } else { 1 };
        let (from, failure, end) = (instant(outcome.from), instant(outcome.failure), instant(outcome.end));
        row.windows.push((scale.x(from), tenth((scale.x(end) - scale.x(from)).max(1.0))));
        let class = if outcome.lead.is_some() { "told" } else { "missed" };
        row.failures.push((
            scale.x(failure),
            class,
            format!("{class}: {} {} at {failure}", outcome.fault, outcome.kind),
        ));
    }
    for EpisodeReport { episode, verdict } in &report.episodes {
        let (rank, row) = rows.entry(&episode.device).or_default();
        *rank += if *verdict == Some(Verdict::False) { 100 } else { 1 };
        if row.alerts.len() < MAX_ALERTS {
            let text = format!("{} at {}: {}", episode.rule, episode.raised_at, episode.title);
            row.alerts.push((scale.x(episode.raised_at), class(*verdict), text));
        }
    }
    let mut chosen: Vec<(&DeviceId, (usize, Row))> = rows.into_iter().collect();
    let left_out = report.recording.devices.max(chosen.len()).saturating_sub(chosen.len().min(MAX_DEVICES));
    chosen.sort_by_key(|(_, (rank, _))| std::cmp::Reverse(*rank));
    chosen.truncate(MAX_DEVICES);
    chosen.sort_by_key(|(device, _)| *device);
    let mut y = 0.0;
    let rows: Vec<Row> = chosen
        .into_iter()
        .map(|(device, (_, mut row))| {
            y += ROW;
            row.y = y;
            row.device = device.to_string();
            let spans = exposure.and_then(|e| e.get(device)).into_iter().flatten();
            row.exposure = spans
                .map(|(a, b)| (scale.x(instant(*a)), scale.x(instant(*b))))
                .map(|(a, b)| (a, tenth((b - a).max(1.0))))
                .collect();
            row
        })
        .collect();
    Timeline { height: y + 44.0, ticks: scale.ticks(), rows, left_out, labelled: known.is_some() }
}

/// The class of an alert on the page.
pub(super) fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "plain",
        Some(Verdict::Early) => "early",
        Some(Verdict::Late) => "late",
        Some(Verdict::False) => "false",
        Some(Verdict::Repeated | Verdict::Joined) => "again",
        Some(Verdict::Ignored | Verdict::Outside) => "ignored",
    }
}
