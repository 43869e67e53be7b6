//! What came of a backtest, for people and programs: per rule its episodes and how good they were, the total, and what
//! another set of rules would have said instead.

mod diff;
pub mod html;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use diff::{Diff, RuleDiff, Shift};

use super::play::{Played, Seen};
use super::recording::Findings;
use super::score::{Alert, Labels, Score, Terms, Verdict, score, seconds};
use super::{Episode, episodes};
use crate::domain::{At, DeviceId, FaultName, Mode, RuleId, Span};
use crate::rules::{Program, RuleInfo};

/// Everything that is said about a backtest.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was played.
    pub recording: Figures,
    /// What counts as a prediction; `None`: nothing is known of what failed.
    pub terms: Option<Terms>,
    /// Each rule that is not off, in the order of the files.
    pub rules: Vec<RuleReport>,
    /// All live rules together.
    pub total: Option<Score>,
    /// Compared with other rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Diff>,
    /// What was passed over, or is odd.
    pub findings: Findings,
    /// Every episode.
    pub episodes: Vec<EpisodeReport>,
}

/// A recording in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Messages of devices.
    pub messages: u64,
    /// Values of signals in them; 0 if they were played as they were published.
    pub values: u64,
    /// Devices that sent one.
    pub devices: usize,
    /// The first message.
    pub first_at: At,
    /// The last message.
    pub last_at: At,
    /// From the first to the last message of each device.
    pub device_days: f64,
}

/// A rule in figures.
#[derive(Debug, Serialize)]
pub struct RuleReport {
    /// Which.
    pub rule: RuleId,
    /// Whether it may act.
    pub mode: Mode,
    /// What it says is broken.
    pub fault: FaultName,
    /// How often.
    pub episodes: usize,
    /// Of them, open at the end.
    pub open: usize,
    /// On how many devices.
    pub devices: usize,
    /// Episodes in 1,000 days of a device.
    pub per_1000_device_days: Option<f64>,
    /// Half of the closed ones were shorter.
    pub median_length: Option<Span>,
    /// The kinds of failures that count for it; empty: all.
    pub kinds: Vec<String>,
    /// How good it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// How often it kept its `lead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
}

/// The warning time that a rule promises, and whether it kept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// At least.
    pub from: Span,
    /// At most.
    pub to: Span,
    /// Failures that were told of with this lead.
    pub kept: usize,
    /// Failures that were told of.
    pub of: usize,
}

/// An episode and what it was worth.
#[derive(Debug, Serialize)]
pub struct EpisodeReport {
    /// It.
    #[serde(flatten)]
    pub episode: Episode,
    /// Of its rule alone; `None`: nothing is known of what failed, or it is made of backfilled data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// What is known and how it counts.
#[derive(Debug)]
pub struct Known {
    /// Failures and exposure.
    pub labels: Labels,
    /// What counts.
    pub terms: Terms,
    /// Kind of failure and name of the fault by which rules call it.
    pub kinds: Vec<(String, String)>,
}

impl Report {
    /// Puts together what was played to `program`, the first of the sets of rules; with a second one, what differs.
    #[must_use]
    pub fn new(program: &Program, played: &Played, known: Option<&Known>, other: Option<&Program>) -> Self {
        let list = episodes(&played.detections[0]);
        let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
        let rules = program.rules().iter().filter(|rule| rule.mode != Mode::Off);
        let rules: Vec<RuleReport> = rules.map(|rule| rule_report(rule, &list, played, known, &mut verdicts)).collect();
        let live: BTreeSet<&RuleId> = rules.iter().filter(|r| r.mode == Mode::Live).map(|r| &r.rule).collect();
        let total = known.map(|known| score(&known.labels, &alerts(&list, |e| live.contains(&e.rule)), &known.terms));
        let against = other.map(|other| Diff::new(&list, &episodes(&played.detections[1]), (program, other), known));
        let judged = list.into_iter().enumerate();
        Self {
            recording: Figures::of(played),
            terms: known.map(|known| known.terms),
            rules,
            total,
            against,
            findings: played.findings.clone(),
            episodes: judged
                .map(|(n, episode)| EpisodeReport { verdict: verdicts.get(&n).copied(), episode })
                .collect(),
        }
    }
}

impl Figures {
    fn of(played: &Played) -> Self {
        let spans = || played.devices.values();
        let days = |seen: &Seen| (seen.last_at - seen.first_at).as_secs_f64() / 86_400.0;
        Self {
            messages: played.messages,
            values: played.values,
            devices: played.devices.len(),
            first_at: spans().map(|s| s.first_at).min().unwrap_or_default(),
            last_at: spans().map(|s| s.last_at).max().unwrap_or_default(),
            device_days: spans().map(days).sum(),
        }
    }
}

impl Known {
    /// The kinds of failures that count for a rule: those that were named for its fault, else those called like it, else
    /// all (none are named).
    fn kinds_of(&self, fault: &FaultName) -> Vec<String> {
        let named = self.kinds.iter().filter(|(_, f)| f == fault.as_str()).map(|(kind, _)| kind.clone());
        let named: Vec<String> = named.collect();
        let mut known = self.labels.faults.values().flatten().flat_map(|f| f.kind.split('+'));
        if named.is_empty() && known.any(|kind| kind == fault.as_str()) {
            return vec![fault.to_string()];
        }
        named
    }

    /// What counts for a rule.
    fn labels_of(&self, kinds: &[String]) -> Labels {
        let mut labels = self.labels.clone();
        if !kinds.is_empty() {
            for faults in labels.faults.values_mut() {
                faults.retain(|fault| fault.kind.split('+').any(|kind| kinds.iter().any(|k| k == kind)));
            }
        }
        labels
    }
}

fn rule_report(
    rule: &RuleInfo,
    list: &[Episode],
    played: &Played,
    known: Option<&Known>,
    verdicts: &mut BTreeMap<usize, Verdict>,
) -> RuleReport {
    let mine = || list.iter().filter(|e| e.rule == rule.id);
    let kinds = known.map(|known| known.kinds_of(&rule.fault)).unwrap_or_default();
    let scored = known.map(|known| score(&known.labels_of(&kinds), &alerts(list, |e| e.rule == rule.id), &known.terms));
    verdicts.extend(scored.iter().flat_map(|score| &score.verdicts));
    let mut lengths: Vec<Span> = mine().filter_map(|e| Some(e.ended_at?.since(e.raised_at))).collect();
    lengths.sort_unstable();
    let days = Figures::of(played).device_days;
    let count = mine().count();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = (days > 0.0).then(|| count as f64 / days * 1_000.0);
    RuleReport {
        rule: rule.id.clone(),
        mode: rule.mode,
        fault: rule.fault.clone(),
        episodes: count,
        open: mine().filter(|e| e.ended_at.is_none()).count(),
        devices: mine().map(|e| &e.device).collect::<BTreeSet<_>>().len(),
        per_1000_device_days: rate,
        median_length: lengths.get(lengths.len() / 2).copied(),
        promise: rule.lead.zip(scored.as_ref()).map(|(lead, score)| promise(lead, score)),
        score: scored,
        kinds,
    }
}

fn promise((from, to): (i64, i64), score: &Score) -> Promise {
    let (from, to) = (Span::from_micros(from), Span::from_micros(to));
    let leads: Vec<Span> = score.outcomes.iter().filter_map(|o| o.lead).map(Span::from_secs_f64).collect();
    Promise { from, to, kept: leads.iter().filter(|lead| (from..=to).contains(*lead)).count(), of: leads.len() }
}

/// What episodes say, as the scorer wants it. Backfilled data came too late to act on.
fn alerts(list: &[Episode], wanted: impl Fn(&Episode) -> bool) -> BTreeMap<DeviceId, Vec<Alert>> {
    let mut alerts: BTreeMap<DeviceId, Vec<Alert>> = BTreeMap::new();
    for (number, e) in list.iter().enumerate().filter(|(_, e)| !e.historical && wanted(e)) {
        let alert = Alert { at: seconds(e.raised_at), kind: e.fault.to_string(), number };
        alerts.entry(e.device.clone()).or_default().push(alert);
    }
    alerts
}
