//! What the desk knows of rules: which version of each it has seen, since when, and whether it may act. A version that is
//! new and a flood of cases together point at us, not at the fleet.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::{NewRules, Reply};
use crate::domain::{At, Detection, RuleId};

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

/// Takes note of the rule of a detection.
pub(super) fn seen(change: &mut Change<'_>, d: &Detection) {
    note(change, &d.rule, d.rule_rev);
}

/// The daemon has started: takes note of the rules in force.
pub(super) fn started(change: &mut Change<'_>) {
    for (rule, rev) in change.config.revs.clone() {
        note(change, &rule, rev);
    }
}

fn note(change: &mut Change<'_>, rule: &RuleId, rev: u64) {
    let live = change.config.settings.new_rules == NewRules::Live;
    let new = match change.get::<RuleRow>(rule) {
        Some(row) if row.rev == rev => return,
        Some(row) => RuleRow { rev, changed_at: Some(change.now), ..row },
        None => RuleRow { rev, changed_at: None, live },
    };
    change.put(rule.clone(), new);
}

/// Whether a person has yet to allow it to act.
pub(super) fn waits(change: &Change<'_>, rule: &RuleId) -> bool {
    change.config.settings.new_rules == NewRules::Shadow && change.get::<RuleRow>(rule).is_some_and(|row| !row.live)
}

/// A person lets the rule act.
pub(super) fn allow(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> Reply {
    match change.get::<RuleRow>(rule) {
        Some(row) if !row.live => {
            change.because(format!("api:{actor}"), format!("rule {rule} may act"));
            change.put(rule.clone(), RuleRow { live: true, ..row });
            Reply::Done
        }
        _ => Reply::Refused(format!("nothing waits for the release of rule {rule}")),
    }
}
