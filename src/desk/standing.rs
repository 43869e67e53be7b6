//! How what a rule has found stands on the desk, for whoever asks why nothing is done about it.

use super::hold::SETTLING;
use super::rows::{CaseRow, EpisodeRow};
use super::{Desk, SwitchView};
use crate::domain::{CaseId, DeviceId, EpisodeId, RuleId, Stop};

impl Desk {
    /// What has become of `episode`, the one that `rule` has open on `device`; without one, what would hold its case back
    /// now. Sentences for people.
    #[must_use]
    pub fn standing(&self, rule: &RuleId, device: &DeviceId, episode: Option<&EpisodeId>) -> Vec<String> {
        let Some(episode) = episode else { return self.would_wait(rule, device) };
        let Some(row) = self.state.rows.episodes.get(episode) else {
            return vec!["The desk has not heard of it yet.".to_owned()];
        };
        let case = row.case.and_then(|id| Some((id, self.state.rows.cases.get(&id)?)));
        match (row, case) {
            (EpisodeRow { ignored: Some(why), .. }, _) => vec![format!("Nothing is done about it: {why}.")],
            (_, Some((id, case))) => self.stands(id, case, episode),
            _ => vec!["Its case is closed and forgotten.".to_owned()],
        }
    }

    fn stands(&self, id: CaseId, case: &CaseRow, episode: &EpisodeId) -> Vec<String> {
        let summary = self.summary(&id, case);
        let short = &summary.short;
        let outcome = summary.outcome.map(|o| format!(" as {o}")).unwrap_or_default();
        let mut told = vec![match (summary.closed_at, self.waits_for(&id)) {
            (Some(at), _) => format!("Case {short} was closed{outcome} at {at}."),
            (None, Some(waits_for)) => format!("Case {short} is held; it waits for {waits_for}."),
            (None, None) => format!("Case {short} is {}.", summary.phase),
        }];
        let storm = self.state.rows.children.get(&id).map(|child| child.storm);
        let concerns = |s: &&SwitchView| s.case.is_none_or(|of| of == id || Some(of) == storm);
        if case.is_open() {
            told.extend(self.switches().iter().filter(concerns).filter_map(stopped));
        }
        if let Some(person) = case.human_owner.as_ref().filter(|_| case.is_open()) {
            told.push(format!("{person} has taken it over."));
        }
        if self.state.rows.latches.get(episode).is_some_and(|row| !row.released) && case.is_open() {
            let close = format!("forewarn case close {short}");
            told.push(format!("It came and went too often: it stays open until a person closes the case ({close})."));
        }
        told
    }

    /// Nothing is open: the guards that a case of the rule would meet.
    fn would_wait(&self, rule: &RuleId, device: &DeviceId) -> Vec<String> {
        let registered = self.config.registry.devices.get(device);
        let mut told: Vec<String> = self.switches().iter().filter(|s| s.case.is_none()).filter_map(stopped).collect();
        if self.rules_that_wait().contains(rule) {
            told.push(format!("Nothing would be done: {}.", super::rules::is_new(rule)));
        }
        let Some(guards) = self.config.guards.get(rule) else { return told };
        if let Some(parent) = guards.parent.as_ref().and_then(|name| registered?.attribute(name)) {
            told.push(format!("A case would wait {SETTLING} for its parent {parent}, which may be the cause."));
        }
        let group = guards.breaker.as_ref().and_then(|b| registered?.attribute(b.by.as_deref()?)).unwrap_or("");
        if let Some(why) = self.held_by_guard(rule, group) {
            let release = format!("forewarn case release-rule {rule}");
            told.push(format!("A case would be held until a person releases the rule ({release}): {why}."));
        }
        told
    }
}

/// What a switch that is on holds back.
fn stopped(switch: &SwitchView) -> Option<String> {
    let what = match switch.stop {
        Stop::Off => return None,
        Stop::On => "all but what warns people in danger waits",
        Stop::All => "everything waits",
    };
    let of = switch.case.map_or_else(|| "everything".to_owned(), |case| format!("case {}", case.short()));
    let SwitchView { by, at, reason, .. } = switch;
    let why = if reason.is_empty() { String::new() } else { format!(" (\"{reason}\")") };
    Some(format!("The stop switch of {of} is {}, turned by {by} at {at}{why}: {what}.", switch.stop.as_str()))
}
