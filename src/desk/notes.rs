//! What a service agent reads in the ticket: one sentence for each thing that was measured, arranged, said or answered.
//! The timeline of the case says the rest, with ids and attempts.

use super::change::Change;
use super::reach;
use super::rows::{CaseRow, EffectRow, Target};
use crate::domain::{CallProgress, CaseId, CustomerId, JobState, Role, StepId};
use crate::outbox::Kind;

/// Whom a message goes to, as people say it: `the driver`. Names stay out of tickets.
pub(super) fn whom(change: &Change<'_>, row: &EffectRow) -> String {
    match &row.target {
        Target::Customer { customer, .. } => format!("the {}", role(change, row.case, Some(&row.step), customer)),
        Target::Person { queue, .. } => format!("the {queue}"),
        Target::Nobody => "nobody".to_owned(),
    }
}

/// Who a customer is for a case: `driver`. Whoever is several things is the one that the step speaks to, or all of them
/// if no step does.
pub(super) fn role(change: &Change<'_>, case: CaseId, step: Option<&StepId>, customer: &CustomerId) -> String {
    let device = change.get::<CaseRow>(&case).and_then(|c| change.config.registry.devices.get(&c.device));
    let roles: Vec<&Role> = device.into_iter().flat_map(|d| d.roles_of(customer)).collect();
    let spoken_to = step.map_or_else(Vec::new, |step| reach::who(change, case, step));
    match spoken_to.iter().find(|role| roles.contains(role)) {
        Some(role) => role.to_string(),
        None if roles.is_empty() => "customer".to_owned(),
        None => roles.iter().map(|role| &***role).collect::<Vec<_>>().join(" and "),
    }
}

/// A contact by its way: `a call`.
pub(super) fn way(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "a call",
        Kind::Sms => "a text message",
        Kind::AppPush => "a message in the app",
        _ => "an e-mail",
    }
}

/// How a call to the person ended without having reached anybody.
pub(super) fn not_reached(whom: &str, kind: Kind, progress: Option<CallProgress>, reason: Option<&str>) -> String {
    let way = way(kind);
    match (progress, reason) {
        (Some(CallProgress::Busy), _) => format!("Could not reach {whom} by {way}: the line was busy."),
        (Some(CallProgress::NoAnswer), _) => format!("Could not reach {whom} by {way}: nobody answered."),
        (_, Some(reason)) => format!("Could not reach {whom} by {way}: {reason}."),
        (_, None) => format!("Could not reach {whom} by {way}."),
    }
}

/// News of a job; `None` for what is told in another way or is no news for people.
pub(super) fn job(provider: &str, state: JobState, changed: bool, minutes: Option<i64>) -> Option<String> {
    let there = minutes.map(|m| format!(" It will be there in {m} min.")).unwrap_or_default();
    Some(match state {
        JobState::Accepted if changed => format!("{provider} has accepted the job.{there}"),
        JobState::EnRoute if changed => format!("{provider} is on its way.{there}"),
        JobState::Accepted | JobState::EnRoute => format!("{provider} now expects to arrive in {} min.", minutes?),
        _ if !changed => return None,
        JobState::OnSite => format!("{provider} has arrived."),
        JobState::Towing => format!("{provider} is towing the vehicle."),
        JobState::Done => format!("{provider} has finished the job."),
        JobState::Cancelled => format!("{provider} has cancelled the job."),
        // The next provider is asked, or a person is: that says why.
        JobState::Offered
        | JobState::Declined
        | JobState::NoProvider
        | JobState::GoneOnArrival
        | JobState::Unsuccessful
        | JobState::CancelRefused => return None,
    })
}

/// Why a provider is not the one that comes.
pub(super) fn why_not(state: Option<JobState>) -> &'static str {
    match state {
        Some(JobState::Declined) => "it declined",
        Some(JobState::NoProvider) => "it has nobody to send",
        Some(JobState::GoneOnArrival) => "the vehicle was gone when it arrived",
        Some(JobState::Unsuccessful) => "it could not help",
        Some(JobState::Cancelled) => "it cancelled",
        _ => "it did not take the job",
    }
}

/// The last article of a ticket.
pub(super) fn closing(outcome: &str) -> String {
    match outcome {
        "served" => "Everything that was promised has been done. The case is closed.".to_owned(),
        "false_alarm" => {
            "The warning is over, and what was arranged has been taken back. The case is closed.".to_owned()
        }
        "worse" => "The fault has become worse. Another case goes on with it; this one is closed.".to_owned(),
        "closed_by_person" => "A person has closed the case.".to_owned(),
        other => format!("The case is closed: {}.", other.replace('_', " ")),
    }
}
