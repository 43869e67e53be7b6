//! Outcomes: what became of each case in truth. The loop back to whoever writes rules and builds devices.
//!
//! A row is made when a case opens, with what was known then; it is filled by a workshop's callback, an agent, the
//! customer, and may be corrected. It outlives its case and, being pseudonymous, the erasure of the customer: customer and
//! device are keyed hashes, and with the key the link is gone. It must not be put into rows who somebody is, so only the
//! attributes that the settings name are taken over, and never plate or chassis number.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::facts::family;
use super::rows::{CaseRow, EffectRow, FactsRow, Target};
use super::talk::{From, MessageRow};
use super::{Desk, Reply, TimelineKind, position, quality, recurring};
use crate::domain::{
    AdapterName, At, Author, CaseId, Detection, EffectId, FaultName, FirstContact, RuleId, Severity, Span, Truth,
    Verdict,
};

/// Rows kept at most, whatever the settings say; the oldest make room.
const MOST: usize = 200_000;
/// Rows over their time that one opening removes.
const SWEEP: usize = 4;
/// The attribute that the last position stands for where the registry does not say it.
const CLIMATE: &str = "climate";
/// Attributes that say who somebody is.
pub const PERSONAL: [&str; 4] = ["plate", "vin", "serial", "name"];

/// `[outcomes]` of the settings file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Attributes of devices that stand in outcomes and are searched for common causes.
    pub attributes: Vec<String>,
    /// Facts of devices that say how much they were used.
    pub usage: Vec<String>,
    /// Outcomes are kept for this long.
    pub keep: Span,
    /// A version of a rule is judged once so many of its cases have an outcome.
    pub min_outcomes: u32,
    /// A rule that confirms fewer of its cases than this, with 95 % confidence, is put into shadow; 0: none is.
    pub min_precision: f64,
    /// MQTT topic on which every outcome and every correction is published as JSON; none unless set.
    pub topic: Option<String>,
    /// A directory, relative to the settings file, in which all outcomes are every day; none unless set.
    pub dir: Option<PathBuf>,
    /// Another floor for single rules.
    pub rule: BTreeMap<RuleId, Floor>,
}

/// What a rule must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// As `min_precision`.
    pub min_precision: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attributes: ["firmware", "lot", "year", "region", CLIMATE].map(str::to_owned).to_vec(),
            usage: ["odometer", "hours"].map(str::to_owned).to_vec(),
            keep: Span::from_hours(24 * 365 * 3),
            min_outcomes: 20,
            min_precision: 0.2,
            topic: None,
            dir: None,
            rule: BTreeMap::new(),
        }
    }
}

/// What is known of a case in truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OutcomeRow {
    /// Keyed hashes; `None` if nobody's key was there.
    subject: Option<String>,
    unit: Option<String>,
    pub(super) rule: RuleId,
    pub(super) rule_rev: u64,
    pub(super) fault: FaultName,
    part: String,
    severity: Severity,
    confidence: f64,
    pub(super) kind: String,
    model: String,
    pub(super) attributes: BTreeMap<String, String>,
    usage: BTreeMap<String, f64>,
    pub(super) event_at: At,
    pub(super) opened_at: At,
    closed_at: Option<At>,
    ended: Option<String>,
    pub(super) verdict: Verdict,
    judged_at: Option<At>,
    judged_by: Option<String>,
    /// How often it was said again, and differently.
    corrections: u32,
    /// What the fields of the ticket said last.
    in_ticket: Verdict,
}

/// An outcome for reading: pseudonymous.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeView {
    /// The case.
    pub case: CaseId,
    /// The customer's pseudonym: the same for all cases of one customer.
    pub subject: Option<String>,
    /// The device's pseudonym.
    pub unit: Option<String>,
    /// The rule that opened the case.
    pub rule: RuleId,
    /// Which version of it, in hexadecimal.
    pub rule_rev: String,
    /// The fault.
    pub fault: FaultName,
    /// Its family (`brake` of `brake.circuit_loss`).
    pub family: String,
    /// The part: the component, or what the name of the fault says.
    pub part: String,
    /// How bad it was at opening.
    pub severity: Severity,
    /// How sure the rule was at opening.
    pub confidence: f64,
    /// Kind of device.
    pub kind: String,
    /// Its model.
    pub model: String,
    /// Firmware, lot, year and whatever else the settings name.
    pub attributes: BTreeMap<String, String>,
    /// Mileage, hours and whatever else the settings name, at opening.
    pub usage: BTreeMap<String, f64>,
    /// Device time of the sample that completed the rule.
    pub event_at: At,
    /// When the case was opened.
    pub opened_at: At,
    /// When it was closed.
    pub closed_at: Option<At>,
    /// How it ended: `served`, `false_alarm`…
    pub ended: Option<String>,
    /// What was said of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Seconds from the detection to the failure; negative: we were late.
    pub time_to_failure_s: Option<f64>,
    /// When it was last said.
    pub judged_at: Option<At>,
    /// By whom: `api:<token>`, `provider:<name>`, `customer`.
    pub judged_by: Option<String>,
    /// How often it was corrected.
    pub corrections: u32,
}

impl OutcomeRow {
    /// From the detection to the failure, if a fault was confirmed and it is known when it failed.
    pub(super) fn lead(&self) -> Option<Span> {
        let confirmed = self.verdict.truth == Some(Truth::Confirmed);
        self.verdict.failed_at.filter(|_| confirmed).map(|at| at.since(self.event_at))
    }

    fn view(&self, case: CaseId) -> OutcomeView {
        OutcomeView {
            case,
            subject: self.subject.clone(),
            unit: self.unit.clone(),
            rule: self.rule.clone(),
            rule_rev: format!("{:016x}", self.rule_rev),
            fault: self.fault.clone(),
            family: family(self.fault.as_str()).to_owned(),
            part: self.part.clone(),
            severity: self.severity,
            confidence: self.confidence,
            kind: self.kind.clone(),
            model: self.model.clone(),
            attributes: self.attributes.clone(),
            usage: self.usage.clone(),
            event_at: self.event_at,
            opened_at: self.opened_at,
            closed_at: self.closed_at,
            ended: self.ended.clone(),
            verdict: self.verdict.clone(),
            time_to_failure_s: self.lead().map(Span::as_secs_f64),
            judged_at: self.judged_at,
            judged_by: self.judged_by.clone(),
            corrections: self.corrections,
        }
    }
}

/// A case was opened.
pub(super) fn opened(change: &mut Change<'_>, id: CaseId, d: &Detection) {
    if change.get::<OutcomeRow>(&id).is_some() {
        return;
    }
    let Some(device) = change.config.registry.devices.get(&d.device) else { return };
    sweep(change);
    let settings = &change.config.outcomes;
    let facts = change.get::<FactsRow>(&d.device).unwrap_or_default();
    let attribute = |name: &String| {
        let stated = device.attrs.get(name.as_str()).map(ToString::to_string).filter(|v| !v.is_empty());
        let value = stated.filter(|_| !PERSONAL.contains(&name.as_str()));
        let lat = || position::of(change, &facts).map(|(lat, _)| lat);
        let value = value.or_else(|| (name == CLIMATE).then(lat).flatten().map(|lat| climate(lat).to_owned()))?;
        Some((name.clone(), value))
    };
    let usage = |name: &String| Some((name.clone(), facts.values.get(name)?.as_num()?));
    let owner = position::owner(change, &d.device);
    let keys = &change.config.keys;
    let part = d.fault.as_str().split_once('.').map_or(d.fault.as_str(), |(_, part)| part);
    let row = OutcomeRow {
        subject: owner.and_then(|owner| keys.pseudonym(owner, owner.as_str())),
        unit: owner.and_then(|owner| keys.pseudonym(owner, d.device.as_str())),
        rule: d.rule.clone(),
        rule_rev: d.rule_rev,
        fault: d.fault.clone(),
        part: d.component.as_ref().map_or_else(|| part.to_owned(), ToString::to_string),
        severity: d.level.as_ref().map_or(Severity::Minor, |l| l.severity),
        confidence: d.confidence,
        kind: device.kind.to_string(),
        model: device.model.to_string(),
        attributes: settings.attributes.iter().filter_map(attribute).collect(),
        usage: settings.usage.iter().filter_map(usage).collect(),
        event_at: d.event_at,
        opened_at: change.now,
        closed_at: None,
        ended: None,
        verdict: Verdict::default(),
        judged_at: None,
        judged_by: None,
        corrections: 0,
        in_ticket: Verdict::default(),
    };
    quality::opened(change, &row);
    change.put(id, row);
}

/// The climate at a latitude, as coarsely as schoolbooks have it: where somebody is must not be told from it.
fn climate(lat: f64) -> &'static str {
    match lat.abs() {
        l if l < 23.5 => "tropical",
        l if l < 40.0 => "subtropical",
        l if l < 60.0 => "temperate",
        _ => "cold",
    }
}

/// What is too old, or too much, makes room.
fn sweep(change: &mut Change<'_>) {
    let oldest: Vec<(At, CaseId)> = change.base.outcomes_by_time.iter().take(SWEEP).copied().collect();
    let full = change.base.outcomes_by_time.len() >= MOST;
    for (n, (at, id)) in oldest.into_iter().enumerate() {
        if change.now.since(at) > change.config.outcomes.keep || (full && n == 0) {
            change.delete::<OutcomeRow>(id);
        }
    }
}

/// A case has ended: how, and who spoke first.
pub(super) fn closed(change: &mut Change<'_>, id: CaseId, case: &CaseRow) {
    let Some(mut row) = change.get::<OutcomeRow>(&id) else { return };
    row.closed_at = case.closed_at;
    row.ended.clone_from(&case.outcome);
    if row.verdict.first_contact_by.is_none() {
        row.verdict.first_contact_by = first_contact(change, id);
    }
    change.put(id, row);
}

fn first_contact(change: &Change<'_>, id: CaseId) -> Option<FirstContact> {
    let effects = change.effects(id);
    let ours = effects.iter().filter(|(_, e): &&(_, EffectRow)| {
        matches!(e.target, Target::Customer { .. }) && e.delivery.kind.is_contact() && e.delivery.state.is_taken()
    });
    let ours = ours.filter_map(|(_, e)| e.delivery.first_sent_at).min();
    let messages = change.of_case::<MessageRow, _>(id, 0);
    let by_them = |m: &MessageRow| matches!(m.from, From::Customer { .. } | From::Desk(Author::Customer));
    let theirs = messages.iter().filter(|(_, m)| by_them(m)).map(|(_, m)| m.at).min();
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs < ours => Some(FirstContact::Customer),
        (None, Some(_)) => Some(FirstContact::Customer),
        (Some(_), _) => Some(FirstContact::Us),
        (None, None) => None,
    }
}

/// Somebody says so who has not looked. Whoever has knows better.
pub(super) fn presumed(change: &mut Change<'_>, id: CaseId, truth: Truth, by: &str) {
    if change.get::<OutcomeRow>(&id).is_some_and(|row| row.verdict.truth.is_none()) {
        take(change, id, Verdict { truth: Some(truth), ..Verdict::default() }, by);
    }
}

/// The customer says how content they are.
pub(super) fn marked(change: &mut Change<'_>, id: CaseId, mark: u8) {
    if change.get::<OutcomeRow>(&id).is_some() {
        take(change, id, Verdict { csat: Some(mark), ..Verdict::default() }, "customer");
    }
}

/// Somebody says what became of a case; `standing`: the fields of its ticket, whatever it was that changed in it.
pub(super) fn judged(change: &mut Change<'_>, id: CaseId, verdict: Verdict, by: &str, standing: bool) -> Reply {
    if let Some(complaint) = verdict.complaint() {
        return Reply::Refused(complaint.to_owned());
    }
    let Some(row) = change.get::<OutcomeRow>(&id) else { return Reply::NotFound };
    // What an agent filled in weeks ago must not undo what the workshop has said since.
    let news = if standing { verdict.clone().since(&row.in_ticket) } else { verdict.clone() };
    if news == Verdict::default() {
        return Reply::Done;
    }
    change.because(by, format!("outcome of case {}", id.short()));
    if standing {
        change.put(id, OutcomeRow { in_ticket: verdict, ..row });
    }
    take(change, id, news, by);
    Reply::Done
}

/// A provider says what came of what it was asked for. Nobody else's work is theirs to judge.
pub(super) fn found(change: &mut Change<'_>, effect: EffectId, verdict: Verdict, by: &[AdapterName]) -> Reply {
    match change.get::<EffectRow>(&effect) {
        Some(row) if by.contains(&row.adapter) => {
            judged(change, row.case, verdict, &format!("provider:{}", row.adapter), false)
        }
        _ => Reply::NotFound,
    }
}

fn take(change: &mut Change<'_>, id: CaseId, verdict: Verdict, by: &str) {
    let Some(before) = change.get::<OutcomeRow>(&id) else { return };
    let mut row = before.clone();
    row.verdict = row.verdict.corrected(verdict);
    if row.verdict == before.verdict {
        return;
    }
    if before.judged_at.is_some() {
        row.corrections += 1;
    }
    row.judged_at = Some(change.now);
    row.judged_by = Some(by.to_owned());
    change.put(id, row.clone());
    change.say(id, TimelineKind::Answered, format!("outcome by {by}: {}", told(&row.verdict)), None);
    recurring::judged(change, id, &before, &row);
    quality::judged(change, id, &before, &row);
    change.outcomes.push(row.view(id));
}

/// What is known, in a few words.
fn told(verdict: &Verdict) -> String {
    let truth = verdict.truth.map_or_else(|| "truth not yet known".to_owned(), |t| t.to_string());
    let mark = verdict.csat.map(|mark| format!("mark {mark} of 5"));
    [Some(truth), mark].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Desk {
    /// Outcomes of cases opened or judged since `since`, oldest first, behind the case `after`, at most `limit`.
    #[must_use]
    pub fn outcomes(&self, since: At, after: Option<CaseId>, limit: usize) -> Vec<OutcomeView> {
        let rows = &self.state.rows.outcomes;
        let from = match after.map(|id| rows.get(&id).map(|row| (row.opened_at, id))) {
            None => Bound::Unbounded,
            Some(Some(last)) => Bound::Excluded(last),
            // It has made room meanwhile: beginning anew would tell everything twice.
            Some(None) => return Vec::new(),
        };
        let all = self.state.outcomes_by_time.range((from, Bound::Unbounded));
        let all = all.filter_map(|(_, id)| rows.get(id).map(|row| (*id, row)));
        let new = all.filter(|(_, row)| row.judged_at.unwrap_or(row.opened_at) >= since || row.opened_at >= since);
        new.take(limit).map(|(id, row)| row.view(id)).collect()
    }
}
