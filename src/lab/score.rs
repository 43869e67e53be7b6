//! How good predictions were, against what is known to have failed.
//!
//! A *case* opens for a device and a kind of fault; alerts of the same kind within [`Terms::dedup`] belong to it. Each
//! failure has a window from [`Terms::horizon`] before it (never before the end of the failure before) to its end. A
//! case in a window counts: the first one is *early* if it comes at least [`Terms::min_lead`] before the failure, else
//! *late*; further ones are *repeated*. A case within [`Terms::refractory`] after the end is ignored, any other one is a
//! *false alarm*. Only exposed time counts: alerts and failures outside of it do not.
//!
//! Savings: what the product saved, of what perfect predictions would have saved. 0 is no product, below 0 worse than
//! none.
//!
//! Times are seconds as f64, and sums go by device in the order of names, so that every figure is bit for bit that of
//! the reference scorer in Python (`tests/data/score.json` holds its answers).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{At, DeviceId, Span};

/// Mean month, in seconds.
const MONTH: f64 = 30.4375 * 86_400.0;

/// What a failure costs and what dealing with it costs; any unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Costs {
    /// A failure that nobody predicted.
    pub reactive: f64,
    /// One that was predicted in time.
    pub proactive: f64,
    /// One that was noticed late.
    pub late: f64,
    /// A visit for nothing.
    pub false_alarm: f64,
    /// Another case about the same failure.
    pub repeated: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { reactive: 100.0, proactive: 30.0, late: 80.0, false_alarm: 20.0, repeated: 2.0 }
    }
}

/// What counts as a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Terms {
    /// How long before a failure a case belongs to it.
    pub horizon: Span,
    /// How long before a failure it can still be prevented.
    pub min_lead: Span,
    /// For how long after its first alert a case takes in others.
    pub dedup: Span,
    /// How long after a failure alerts are excused.
    pub refractory: Span,
    /// What it costs.
    pub costs: Costs,
}

/// A failure that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When it failed, in seconds since 1970.
    pub failure: f64,
    /// When it was over.
    pub end: f64,
    /// Of what kind; several are joined by `+`.
    pub kind: String,
    /// Its name.
    pub id: String,
}

/// What is known of each device.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// When it was watched: begin and end, in seconds since 1970. A device that is not here does not count.
    pub exposure: BTreeMap<DeviceId, Vec<(f64, f64)>>,
    /// How it failed.
    pub faults: BTreeMap<DeviceId, Vec<Fault>>,
}

/// Something was said about a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// When, in seconds since 1970.
    pub at: f64,
    /// About what.
    pub kind: String,
    /// The number by which the caller knows it.
    pub number: usize,
}

/// What an alert was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first of a failure, in time.
    Early,
    /// The first of a failure, too late to prevent it.
    Late,
    /// One more of the same failure.
    Repeated,
    /// Of nothing.
    False,
    /// Shortly after a failure.
    Ignored,
    /// Part of the case of an earlier alert.
    Joined,
    /// Outside of the time that counts.
    Outside,
}

/// What became of a failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Where.
    pub device: DeviceId,
    /// Its name.
    pub fault: String,
    /// Its kind.
    pub kind: String,
    /// When its window began, in seconds since 1970.
    pub from: f64,
    /// When it failed.
    pub failure: f64,
    /// When it was over.
    pub end: f64,
    /// How long before the failure its first case came, in seconds; `None`: missed.
    pub lead: Option<f64>,
    /// Whether that was early enough.
    pub early: bool,
}

/// All figures. Leads are in hours, as the reference has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names of the reference scorer; the module says what they mean")]
pub struct Score {
    pub faults: u32,
    pub predicted: u32,
    pub late: u32,
    pub missed: u32,
    pub fp: u32,
    pub dup: u32,
    pub ignored: u32,
    pub raw_alerts: u32,
    pub cases: u32,
    pub recall: Option<f64>,
    pub detected: Option<f64>,
    pub precision: Option<f64>,
    pub proactive_precision: Option<f64>,
    pub kind_accuracy: Option<f64>,
    pub lead_p10_h: Option<f64>,
    pub lead_median_h: Option<f64>,
    pub lead_p90_h: Option<f64>,
    pub device_months: f64,
    pub fa_per_device_month: Option<f64>,
    pub savings_ratio: Option<f64>,
    pub saved_per_case: Option<f64>,
    pub f1: f64,
    #[serde(skip)]
    pub outcomes: Vec<Outcome>,
    /// By [`Alert::number`].
    #[serde(skip)]
    pub verdicts: BTreeMap<usize, Verdict>,
}

/// Scores alerts. Those of devices without exposure do not count.
#[must_use]
pub fn score(labels: &Labels, alerts: &BTreeMap<DeviceId, Vec<Alert>>, terms: &Terms) -> Score {
    let mut score = Score::default();
    let mut sums = Sums::default();
    for (device, exposure) in &labels.exposure {
        let none = Vec::new();
        let faults = labels.faults.get(device).unwrap_or(&none);
        let said = alerts.get(device).map_or(&[][..], |list| list);
        Device::new(exposure, faults, terms).score(device, said, terms, &mut score, &mut sums);
    }
    score.finish(&sums, &terms.costs);
    score
}

/// An instant as the scorer counts: seconds since 1970.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "as in the reference")]
pub fn seconds(at: At) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// Sums over devices that are no figures themselves.
#[derive(Default)]
struct Sums {
    right_kind: u32,
    quiet: f64,
    exposed: f64,
    leads: Vec<f64>,
}

/// The windows of one device.
struct Device<'a> {
    exposure: Vec<(f64, f64)>,
    /// Where each failure's window begins.
    windows: Vec<(f64, &'a Fault)>,
}

impl<'a> Device<'a> {
    fn new(exposure: &[(f64, f64)], faults: &'a [Fault], terms: &Terms) -> Self {
        let exposure: Vec<(f64, f64)> = exposure.iter().copied().filter(|(a, b)| b > a).collect();
        let mut faults: Vec<&Fault> = faults.iter().filter(|f| within(&exposure, f.failure)).collect();
        faults.sort_by(|a, b| {
            let times = a.failure.total_cmp(&b.failure).then(a.end.total_cmp(&b.end));
            times.then_with(|| (&a.kind, &a.id).cmp(&(&b.kind, &b.id)))
        });
        let horizon = terms.horizon.as_secs_f64();
        let mut before = -1e18;
        let windows = faults.into_iter().map(|fault| {
            let from = (fault.failure - horizon).max(before);
            before = fault.end;
            (from, fault)
        });
        Self { windows: windows.collect(), exposure }
    }

    fn score(&self, device: &DeviceId, alerts: &[Alert], terms: &Terms, score: &mut Score, sums: &mut Sums) {
        let (refractory, min_lead) = (terms.refractory.as_secs_f64(), terms.min_lead.as_secs_f64());
        let mut first: Vec<Option<f64>> = vec![None; self.windows.len()];
        let mut right_kind = vec![false; self.windows.len()];
        for alert in self.cases(alerts, terms, score) {
            let found = self.windows.iter().position(|(from, f)| *from <= alert.at && alert.at <= f.end);
            let verdict = match found {
                None if self.windows.iter().any(|(_, f)| f.end < alert.at && alert.at <= f.end + refractory) => {
                    score.ignored += 1;
                    Verdict::Ignored
                }
                None => {
                    score.fp += 1;
                    Verdict::False
                }
                Some(ix) => {
                    let fault = self.windows[ix].1;
                    right_kind[ix] |= !alert.kind.is_empty() && fault.kind.split('+').any(|kind| kind == alert.kind);
                    if first[ix].is_some() {
                        score.dup += 1;
                        Verdict::Repeated
                    } else {
                        first[ix] = Some(alert.at);
                        if fault.failure - alert.at >= min_lead { Verdict::Early } else { Verdict::Late }
                    }
                }
            };
            score.verdicts.insert(alert.number, verdict);
        }
        for (((from, fault), first), right_kind) in self.windows.iter().zip(first).zip(right_kind) {
            let lead = first.map(|at| fault.failure - at);
            let early = lead.is_some_and(|lead| lead >= min_lead);
            score.faults += 1;
            match lead {
                None => score.missed += 1,
                Some(lead) if early => {
                    score.predicted += 1;
                    sums.leads.push(lead);
                }
                Some(_) => score.late += 1,
            }
            sums.right_kind += u32::from(right_kind && lead.is_some());
            score.outcomes.push(Outcome {
                device: device.clone(),
                fault: fault.id.clone(),
                kind: fault.kind.clone(),
                from: *from,
                failure: fault.failure,
                end: fault.end,
                lead,
                early,
            });
        }
        sums.quiet += self.quiet(refractory);
        sums.exposed += self.exposure.iter().fold(0.0, |sum, (a, b)| sum + (b - a));
    }

    /// The alerts that open a case.
    fn cases<'b>(&self, alerts: &'b [Alert], terms: &Terms, score: &mut Score) -> Vec<&'b Alert> {
        let (inside, outside): (Vec<&Alert>, Vec<&Alert>) = alerts.iter().partition(|a| within(&self.exposure, a.at));
        score.verdicts.extend(outside.iter().map(|a| (a.number, Verdict::Outside)));
        let mut inside = inside;
        inside.sort_by(|a, b| a.at.total_cmp(&b.at).then_with(|| a.kind.cmp(&b.kind)));
        let dedup = terms.dedup.as_secs_f64();
        let mut opened: BTreeMap<&str, f64> = BTreeMap::new();
        let mut cases = Vec::new();
        for alert in inside {
            score.raw_alerts += 1;
            if opened.get(&*alert.kind).is_some_and(|at| alert.at - at < dedup) {
                score.verdicts.insert(alert.number, Verdict::Joined);
                continue;
            }
            opened.insert(&alert.kind, alert.at);
            cases.push(alert);
        }
        score.cases += u32::try_from(cases.len()).unwrap_or(u32::MAX);
        cases
    }

    /// Exposed time without the windows of failures and what is excused after them.
    fn quiet(&self, refractory: f64) -> f64 {
        let mut quiet = 0.0;
        for (a, b) in &self.exposure {
            let mut current = *a;
            for (from, fault) in &self.windows {
                let until = from.max(*a).min(*b);
                if until > current {
                    quiet += until - current;
                }
                current = current.max(fault.end + refractory);
            }
            if *b > current {
                quiet += b - current;
            }
        }
        quiet
    }
}

impl Score {
    fn finish(&mut self, sums: &Sums, costs: &Costs) {
        let [predicted, late, fp, dup, faults] =
            [self.predicted, self.late, self.fp, self.dup, self.faults].map(f64::from);
        let gain = predicted * (costs.reactive - costs.proactive) + late * (costs.reactive - costs.late)
            - fp * costs.false_alarm
            - dup * costs.repeated;
        let most = faults * (costs.reactive - costs.proactive);
        let counted = predicted + late + fp;
        let share = |part: f64, whole: f64| (whole != 0.0).then(|| part / whole);
        self.recall = share(predicted, faults);
        self.detected = share(predicted + late, faults);
        self.precision = share(predicted + late, counted);
        self.proactive_precision = share(predicted, counted);
        self.kind_accuracy = share(f64::from(sums.right_kind), predicted + late);
        let mut leads = sums.leads.clone();
        leads.sort_by(f64::total_cmp);
        self.lead_p10_h = quantile(&leads, 0.1).map(|s| s / 3600.0);
        self.lead_median_h = median(&leads).map(|s| s / 3600.0);
        self.lead_p90_h = quantile(&leads, 0.9).map(|s| s / 3600.0);
        self.device_months = sums.exposed / MONTH;
        self.fa_per_device_month = (sums.quiet > 0.0).then(|| fp / (sums.quiet / MONTH));
        self.savings_ratio = share(gain, most);
        self.saved_per_case = share(gain, counted);
        self.f1 = match (self.precision, self.recall) {
            (Some(p), Some(r)) if p != 0.0 && r != 0.0 => 2.0 * p * r / (p + r),
            _ => 0.0,
        };
    }
}

fn within(exposure: &[(f64, f64)], at: f64) -> bool {
    exposure.iter().any(|(a, b)| *a <= at && at <= *b)
}

/// Between the two nearest, as numpy does by default, to the last bit.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index below the length of a list"
)]
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q * last as f64;
    let (low, share) = (at.floor() as usize, at - at.floor());
    let (a, b) = (sorted[low], sorted[(low + 1).min(last)]);
    Some(if share >= 0.5 { b - (b - a) * (1.0 - share) } else { a + (b - a) * share })
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len().checked_sub(1)? / 2;
    Some(if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle], sorted[middle + 1]) })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::labels::{read_exposure, read_truth};
    use super::*;

    fn labels(set: &Value) -> Labels {
        let text = |name: &str| set[name].as_str().unwrap().as_bytes();
        let split = set["terms"]["split"].as_str();
        Labels {
            exposure: read_exposure("exposure.csv", text("exposure"), split).unwrap(),
            faults: read_truth("truth.csv", text("truth")).unwrap(),
        }
    }

    fn alerts(set: &Value) -> BTreeMap<DeviceId, Vec<Alert>> {
        let mut alerts: BTreeMap<DeviceId, Vec<Alert>> = BTreeMap::new();
        for (number, alert) in set["alerts"].as_array().unwrap().iter().enumerate() {
            let text = |name: &str| alert[name].as_str().unwrap();
            let alert = Alert { at: seconds(text("ts").parse().unwrap()), kind: text("kind").to_owned(), number };
            alerts.entry(text("device").into()).or_default().push(alert);
        }
        alerts
    }

    fn terms(set: &Value) -> Terms {
        let text = |name: &str| set["terms"][name].as_str().unwrap();
        let span = |name: &str| text(name).parse().unwrap();
        let costs: Vec<f64> = text("costs").split(',').map(|n| n.parse().unwrap()).collect();
        let [reactive, proactive, late, false_alarm, repeated] = costs.try_into().unwrap();
        Terms {
            horizon: span("horizon"),
            min_lead: span("min_lead"),
            dedup: span("dedup"),
            refractory: span("refractory"),
            costs: Costs { reactive, proactive, late, false_alarm, repeated },
        }
    }

    /// A number that is written as a text: JSON's are not read to the last bit.
    fn exactly(value: &Value) -> Option<f64> {
        value.as_str().map(|text| text.parse().unwrap())
    }

    /// The answers of the reference are of `score.py service`, written down by it.
    #[test]
    fn every_figure_is_that_of_the_reference() {
        let sets: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/score.json")).unwrap();
        assert!(sets.len() > 10);
        for set in &sets {
            let name = &set["name"];
            let score = score(&labels(set), &alerts(set), &terms(set));
            let ours = serde_json::to_value(&score).unwrap();
            let expected = set["expected"].as_object().unwrap();
            for (figure, expected) in expected.iter().filter(|(figure, _)| *figure != "leads") {
                assert_eq!(ours[figure].as_f64(), exactly(expected), "{figure} of {name}");
            }
            let leads: Vec<Option<f64>> = score.outcomes.iter().map(|o| o.lead).collect();
            let expected: Vec<Option<f64>> = expected["leads"].as_array().unwrap().iter().map(exactly).collect();
            assert_eq!(leads, expected, "leads of {name}");
        }
    }

    #[test]
    fn every_alert_has_its_verdict() {
        let sets: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/score.json")).unwrap();
        let edges = sets.iter().find(|set| set["name"] == "edges of windows").unwrap();
        let score = score(&labels(edges), &alerts(edges), &terms(edges));
        use Verdict::{Early, False, Ignored, Outside, Repeated};
        let expected = [Early, False, Repeated, Repeated, Ignored, False, False, False, Outside];
        assert_eq!(score.verdicts.values().copied().collect::<Vec<_>>(), expected);
        for set in &sets {
            let score = super::score(&labels(set), &alerts(set), &terms(set));
            let count = |v: Verdict| u32::try_from(score.verdicts.values().filter(|x| **x == v).count()).unwrap();
            assert_eq!((count(Early), count(False), count(Repeated)), (score.predicted, score.fp, score.dup));
        }
    }

    #[test]
    fn labels_that_cannot_be_read_are_named_with_their_line() {
        let error = |text: &str| read_truth("truth.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(error("device,kind,end\n").starts_with("truth.csv:1: no column 'failure'"));
        assert!(error("device,kind,failure,end\na,x,soon,\n").starts_with("truth.csv:2: failure 'soon' is not a time"));
        assert!(error("device,kind,failure,end\na,x\n").starts_with("truth.csv:2: "));
    }
}
