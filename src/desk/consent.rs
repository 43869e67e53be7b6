//! `consent` of a playbook: what the owner of the device must have agreed to before anybody but the ticket desk hears of the
//! case. Looked for when the case is opened and at every later look, so that who takes it back in the middle is left in peace
//! from then on; what was arranged with them by then stands.
//!
//! Once it was missing it is for the case: nobody is contacted, the device is told nothing, no appointment is offered. The
//! ticket steps run at once, whatever they would otherwise wait for. The case ends when the fault has gone or a person says
//! so.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::goals::Wake;
use super::rows::{CaseRow, EffectRow, GoalState, StepState, Target, TicketRow};
use super::{TimelineKind, book, case};
use crate::domain::{CaseId, Customer, DeviceId, StepId};
use crate::outbox::Kind;
use crate::playbook::{Mirror, Playbook, Step, Verb};

/// How such a case ends.
pub(super) const OUTCOME: &str = "no_consent";

/// A case that the owner has not agreed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RefusedRow {
    /// Why only the ticket desk works at it, for people.
    pub(super) why: String,
}

/// Whose consent it takes: that of the owner, else of the driver, else of the first party by name of role.
fn owner<'a>(change: &Change<'a>, device: &DeviceId) -> Option<&'a Customer> {
    let parties = &change.config.registry.devices.get(device)?.parties;
    let id = ["owner", "driver"].iter().find_map(|role| parties.get(*role)).or_else(|| parties.values().next())?;
    change.config.registry.customers.get(id)
}

/// What is missing, for people.
fn missing(change: &Change<'_>, case: &CaseRow, plan: &Playbook) -> Option<String> {
    let owner = owner(change, &case.device);
    let agreed = |name: &Arc<str>| owner.is_some_and(|c| c.agreement(name, change.now).is_some());
    let name = plan.policy.consent.iter().find(|name| !agreed(name))?;
    Some(match owner {
        Some(_) => format!("the owner has not agreed to {name}"),
        None => format!("nobody is known who could have agreed to {name}"),
    })
}

/// Whether only the ticket desk works at the case.
pub(super) fn is_refused(change: &Change<'_>, id: CaseId) -> bool {
    change.get::<RefusedRow>(&id).is_some()
}

/// Whether a step may run without the consent.
pub(super) fn allows(step: &Step) -> bool {
    matches!(step.verb, Verb::Ticket(_))
}

/// Looks whether the consents are there. `true`: only the ticket desk works at the case.
pub(super) fn watch(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) -> bool {
    if is_refused(change, id) {
        return true;
    }
    let Some(case) = change.get::<CaseRow>(&id).filter(|_| !plan.policy.consent.is_empty()) else { return false };
    let Some(why) = missing(change, &case, plan) else {
        let held = owner(change, &case.device).into_iter();
        let held = held.flat_map(|c| plan.policy.consent.iter().filter_map(|name| c.agreement(name, change.now)));
        held.for_each(|consent| wake.at(consent.withdrawn_at));
        return false;
    };
    refuse(change, id, case, plan, why);
    true
}

fn refuse(change: &mut Change<'_>, id: CaseId, mut row: CaseRow, plan: &Playbook, why: String) {
    for goal in row.goals.iter_mut().filter(|g| !g.state.is_settled()) {
        let mut proofs = plan.steps.iter().filter(|s| s.goal.as_ref() == Some(&goal.name));
        if !proofs.any(allows) {
            goal.state = GoalState::Waived;
        }
    }
    change.put(id, row);
    let stops = |step: &StepId| plan.step(step).is_none_or(|s| !allows(s));
    for (step, mut row) in change.steps(id) {
        if row.state.is_live() && stops(&step) {
            row.state = StepState::Cancelled;
            change.put((id, step), row);
        }
    }
    for (effect, row) in change.effects(id) {
        if concerns(&row) {
            case::drop_one(change, effect);
        }
    }
    book::drop_offers(change, id, &why);
    change.say(id, TimelineKind::Decided, format!("{why}: the case goes to the ticket desk only"), None);
    change.note(id, Mirror::Note, &format!("Nobody is contacted: {why}."));
    change.put(id, RefusedRow { why });
}

/// Whether an effect is none without the consent: everything but tickets, what is said to our own people, and what looks
/// after or takes back what is arranged already.
fn concerns(row: &EffectRow) -> bool {
    use Kind::{BookCancel, BookStatus, DispatchCancel, DispatchStatus, TicketClose, TicketCreate, TicketNote};
    let upkeep = matches!(row.delivery.kind, BookCancel | BookStatus | DispatchCancel | DispatchStatus);
    let ticket = matches!(row.delivery.kind, TicketClose | TicketCreate | TicketNote);
    !ticket && !upkeep && !row.compensation && !matches!(row.target, Target::Person { .. })
}

/// Why an effect may not be sent: the consent was withdrawn since it was planned.
pub(super) fn why_not(change: &Change<'_>, case: &CaseRow, row: &EffectRow) -> Option<String> {
    let plan = change.plan(case).filter(|p| !p.policy.consent.is_empty() && concerns(row))?;
    missing(change, case, &plan)
}

/// Whether the case has nothing more to wait for: its ticket is there, and the fault has gone.
pub(super) fn is_over(change: &Change<'_>, id: CaseId, case: &CaseRow) -> bool {
    let tickets = change.of_case::<TicketRow, _>(id, StepId::from(""));
    case.cleared_at.is_some() && !tickets.is_empty() && tickets.iter().all(|(_, t)| t.ticket.is_some())
}
