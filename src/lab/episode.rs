//! Detections put together to what people count: episodes.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use serde::Serialize;
use xxhash_rust::xxh3::Xxh3Default;

use crate::domain::{At, Change, Component, Detection, DeviceId, EpisodeId, FaultName, Level, Mode, RuleId};

/// From raised to cleared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Episode {
    /// Its id, the same in every run.
    pub id: EpisodeId,
    /// The rule that was true.
    pub rule: RuleId,
    /// Whether the rule may act.
    pub mode: Mode,
    /// What it says is broken.
    pub fault: FaultName,
    /// Where.
    pub device: DeviceId,
    /// In which part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// The highest level it reached.
    pub level: Option<Level>,
    /// The title when it was raised.
    pub title: String,
    /// Device time of the first true sample.
    pub started_at: At,
    /// Device time of the sample or timer that completed the rule.
    pub raised_at: At,
    /// When it ended; `None`: it was open at the end.
    pub ended_at: Option<At>,
    /// Made of backfilled data.
    pub historical: bool,
}

/// The episodes of some detections, in the order in which they were raised.
#[must_use]
pub fn episodes(detections: &[Detection]) -> Vec<Episode> {
    let mut list: Vec<Episode> = Vec::new();
    let mut open: HashMap<EpisodeId, usize, BuildHasherDefault<Xxh3Default>> = HashMap::default();
    for d in detections {
        match d.change {
            Change::Raised => {
                open.insert(d.episode, list.len());
                list.push(Episode {
                    id: d.episode,
                    rule: d.rule.clone(),
                    mode: d.mode,
                    fault: d.fault.clone(),
                    device: d.device.clone(),
                    component: d.component.clone(),
                    level: d.level.clone(),
                    title: d.title.clone(),
                    started_at: d.started_at,
                    raised_at: d.event_at,
                    ended_at: None,
                    historical: d.historical,
                });
            }
            Change::Moved => {
                if let Some(episode) = open.get(&d.episode).map(|ix| &mut list[*ix])
                    && d.level.as_ref().map(|l| l.severity) > episode.level.as_ref().map(|l| l.severity)
                {
                    episode.level.clone_from(&d.level);
                }
            }
            Change::Stale => {}
            Change::Cleared | Change::RuleRemoved => {
                if let Some(ix) = open.remove(&d.episode) {
                    list[ix].ended_at = Some(d.event_at);
                }
            }
        }
    }
    list
}
