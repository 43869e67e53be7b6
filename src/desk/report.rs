//! What the desk finds out about the fleet or about itself: a fault that recurs, a rule that is no good. People hear of it
//! like of any fault: as a case of its own, by a playbook that matches `desk.recurring_fault`, `desk.rule_in_shadow` or
//! `desk.messages_shed`, with a ticket, a queue and whatever else that playbook says. Without such a playbook, the people of the default queue
//! are asked about the case that gave the finding away.
//!
//! The device of such a case is what the finding is about (`a.b with firmware 5.1`, `rule battery-low`); no registry knows
//! it, so nobody is written to, nothing is sent out to it, and it has no outcome.

use std::collections::BTreeMap;

use super::change::Change;
use super::rows::{CaseRow, PageRow};
use super::{Reply, case, pages};
use crate::domain::{CaseId, Change as What, Detection, EpisodeId, Evidence, Level, Mode, Severity, Value};

/// The rule that own findings are said to come from.
const RULE: &str = "desk";

/// A finding.
pub(super) struct Finding<'a> {
    pub(super) fault: &'a str,
    /// What it is about: a finding about the same joins its case.
    pub(super) about: String,
    /// One sentence.
    pub(super) title: String,
    /// What it was found from.
    pub(super) evidence: Vec<(&'a str, String)>,
}

/// Tells people; `at_hand` is the case that gave it away.
pub(super) fn tell(change: &mut Change<'_>, at_hand: CaseId, finding: Finding<'_>) {
    if !note(change, &finding) {
        ask(change, at_hand, &finding.title);
    }
}

/// Tells people, if a playbook says whom. `false`: none does.
pub(super) fn note(change: &mut Change<'_>, finding: &Finding<'_>) -> bool {
    let detection = detection(change, finding);
    case::report(change, &detection)
}

/// Messages were lost because more came than could be stored (D3).
pub(super) fn shed(change: &mut Change<'_>, models: &BTreeMap<String, u64>) -> Reply {
    let all: u64 = models.values().sum();
    change.because("ingest", format!("{all} messages were lost"));
    let each: Vec<String> = models.iter().map(|(model, n)| format!("{model} {n}")).collect();
    let finding = Finding {
        fault: "desk.messages_shed",
        about: "forewarn".to_owned(),
        title: format!("{all} messages of QoS 0 were lost because more came than could be stored"),
        evidence: vec![("models", each.join(", "))],
    };
    note(change, &finding);
    Reply::Done
}

fn detection(change: &Change<'_>, finding: &Finding<'_>) -> Detection {
    let now = change.now;
    let said = |(name, value): &(&str, String)| Evidence {
        name: (*name).to_owned(),
        value: Value::from(value.as_str()),
        unit: String::new(),
    };
    Detection {
        episode: EpisodeId::of(&[finding.fault.as_bytes(), finding.about.as_bytes(), &now.as_micros().to_le_bytes()]),
        seq: 1,
        rule: RULE.into(),
        rule_rev: 0,
        mode: Mode::Live,
        fault: finding.fault.into(),
        device: finding.about.as_str().into(),
        component: None,
        change: What::Raised,
        level: Some(Level { name: "major".to_owned(), severity: Severity::Major }),
        confidence: 1.0,
        title: finding.title.clone(),
        evidence: finding.evidence.iter().map(said).collect(),
        facts: BTreeMap::new(),
        started_at: now,
        event_at: now,
        received_at: now,
        historical: false,
        late_by: None,
        series: None,
        latched: false,
    }
}

/// Asks people about the case at hand; that they were asked about it before must not stand in the way.
fn ask(change: &mut Change<'_>, id: CaseId, why: &str) {
    let Some(queue) = change.config.default_queue().cloned() else { return };
    if change.get::<CaseRow>(&id).is_none() {
        return;
    }
    if change.get::<PageRow>(&(id, queue.clone())).is_some_and(|page| page.acked_by.is_some()) {
        change.delete::<PageRow>((id, queue.clone()));
    }
    pages::page(change, id, &queue, why);
}
