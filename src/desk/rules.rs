//! What the desk knows of rules: which version of each it has seen, since when, and whether it may act. A version that is
//! new and a flood of cases together point at us, not at the fleet.
//!
//! A rule that nobody has let act (a new one, or one that was too often wrong) stands in the shadow: what it finds is
//! recorded, and has its case as soon as a person releases the rule, if it is still there.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::report::{self, Finding};
use super::{Desk, NewRules, Reply, case, quality};
use crate::domain::{At, Detection, DeviceId, EpisodeId, RuleId};

/// Faults found by rules in the shadow that are remembered; further ones have their case when they change or come back.
const MAX_FOUND: usize = 2_000;

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleRow {
    /// Its version.
    pub(super) rev: u64,
    /// When another version was replaced by it.
    pub(super) changed_at: Option<At>,
    /// It may act.
    pub(super) live: bool,
}

/// What a rule in the shadow has found and has not seen the end of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FoundRow {
    device: DeviceId,
    rule: RuleId,
    /// The newest detection, in JSON; without facts, which are other people's business until there is a case.
    said: String,
}

/// Takes note of the rule of a detection.
pub(super) fn seen(change: &mut Change<'_>, d: &Detection) {
    note(change, &d.rule, d.rule_rev, change.config.settings.new_rules == NewRules::Live);
}

/// The daemon has started: takes note of the rules in force. Those of the very first start are what it was installed for,
/// and act.
pub(super) fn started(change: &mut Change<'_>) {
    let live = change.config.settings.new_rules == NewRules::Live || change.base.rows.rules.is_empty();
    for (rule, rev) in change.config.revs.clone() {
        note(change, &rule, rev, live);
    }
    // Other settings may let them act.
    take_up(change);
}

fn note(change: &mut Change<'_>, rule: &RuleId, rev: u64, live: bool) {
    let new = match change.get::<RuleRow>(rule) {
        Some(row) if row.rev == rev => return,
        Some(row) => RuleRow { rev, changed_at: Some(change.now), ..row },
        None => RuleRow { rev, changed_at: None, live },
    };
    change.put(rule.clone(), new);
}

/// Why a rule may not act yet, if a person has to release it first.
pub(super) fn why_not(change: &Change<'_>, d: &Detection) -> Option<String> {
    quality::why_not(change, &d.rule, d.rule_rev).or_else(|| waits(change, &d.rule).then(|| is_new(&d.rule)))
}

pub(super) fn is_new(rule: &RuleId) -> String {
    format!("rule {rule} is new and waits for a person: forewarn case release-rule {rule}")
}

/// Whether a person has yet to allow it to act.
fn waits(change: &Change<'_>, rule: &RuleId) -> bool {
    change.config.settings.new_rules == NewRules::Shadow && change.get::<RuleRow>(rule).is_some_and(|row| !row.live)
}

/// A rule in the shadow has found something: it is remembered, and of a new rule people hear with its first finding.
pub(super) fn found(change: &mut Change<'_>, d: &Detection) {
    let known = change.get::<FoundRow>(&d.episode).is_some();
    let bare = Detection { facts: Default::default(), ..d.clone() };
    let Ok(said) = serde_json::to_string(&bare) else { return };
    if known || change.base.rows.found.len() < MAX_FOUND {
        change.put(d.episode, FoundRow { device: d.device.clone(), rule: d.rule.clone(), said });
    }
    if waits(change, &d.rule) && change.base.cases_of(&about(&d.rule)).next().is_none() {
        let finding = Finding {
            fault: "desk.rule_in_shadow",
            about: about(&d.rule).to_string(),
            title: format!("{}; it has found: {}", is_new(&d.rule), d.title),
            evidence: vec![("device", d.device.to_string()), ("version", format!("{:016x}", d.rule_rev))],
        };
        report::note(change, &finding);
    }
}

/// What was found has ended, or has its case.
pub(super) fn forget(change: &mut Change<'_>, episode: &EpisodeId) {
    if change.get::<FoundRow>(episode).is_some() {
        change.delete::<FoundRow>(*episode);
    }
}

/// A person lets a rule act, for the first time or again: whoever was asked about it need not answer any more, and what it
/// has found and is still there has its case now.
pub(super) fn release(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> Reply {
    let was_new = allow(change, rule, actor);
    let was_wrong = quality::release(change, rule, actor);
    if !was_new && !was_wrong {
        return Reply::Refused(format!("nothing waits for the release of rule {rule}"));
    }
    let about = about(rule);
    let asked = change.base.cases_of(&about).filter(|(_, case)| case.is_open());
    for question in asked.map(|(id, _)| *id).collect::<Vec<_>>() {
        case::take_over(change, question, actor);
    }
    take_up(change);
    Reply::Done
}

/// The device of a case that is about a rule.
fn about(rule: &RuleId) -> DeviceId {
    format!("rule {rule}").as_str().into()
}

/// What was found by rules that may act now, and is still there, has its case.
fn take_up(change: &mut Change<'_>) {
    let found = change.base.rows.found.values().filter(|row| !waits(change, &row.rule));
    let found: Vec<String> = found.map(|row| row.said.clone()).collect();
    for d in found.iter().filter_map(|said| serde_json::from_str::<Detection>(said).ok()) {
        if why_not(change, &d).is_none() {
            forget(change, &d.episode);
            case::take_up(change, &d);
        }
    }
}

/// `false`: it is not new, or not known.
fn allow(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> bool {
    if change.config.settings.new_rules == NewRules::Live {
        return false;
    }
    // One that has not found anything yet is known by its file only.
    let by_file = || Some(RuleRow { rev: *change.config.revs.get(rule)?, changed_at: None, live: false });
    let Some(row) = change.get::<RuleRow>(rule).or_else(by_file).filter(|row| !row.live) else { return false };
    change.because(format!("api:{actor}"), format!("rule {rule} may act"));
    change.put(rule.clone(), RuleRow { live: true, ..row });
    true
}

impl Desk {
    /// Rules that are new: what they find is recorded, and nothing is done before a person releases them.
    #[must_use]
    pub fn rules_that_wait(&self) -> Vec<RuleId> {
        if self.config.settings.new_rules == NewRules::Live {
            return Vec::new();
        }
        let known = &self.state.rows.rules;
        let waits = |rule: &&RuleId| known.get(*rule).map_or(!known.is_empty(), |row| !row.live);
        self.config.revs.keys().filter(waits).cloned().collect()
    }
}
