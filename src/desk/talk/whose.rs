//! Who has written, and which case they mean.

use std::collections::BTreeSet;

use super::super::bundle;
use super::super::change::Change;
use super::super::reached::{self, Reached};
use super::super::rows::{CaseRow, EffectRow, StepRow, TicketRow};
use super::{wants_an_answer, was_heard};
use crate::domain::{AdapterName, At, CaseId, Channel, CustomerId, EffectId, EndpointId, EndpointKind, Sender};
use crate::outbox::State;

/// Somebody of the registry, by the address that they wrote from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Whom {
    pub(super) customer: CustomerId,
    pub(super) endpoint: EndpointId,
}

/// Everybody who has this address.
pub(super) fn senders(change: &Change<'_>, from: &Sender) -> Vec<Whom> {
    let (kind, address) = match from {
        Sender::Phone(number) => (EndpointKind::Phone, number),
        Sender::Email(mailbox) => (EndpointKind::Email, mailbox),
        Sender::Desk { .. } => return Vec::new(),
    };
    let found = change.config.directory.at(&change.config.registry, kind, address).into_iter();
    found.map(|(c, e)| Whom { customer: c.id.clone(), endpoint: e.id.clone() }).collect()
}

/// What they can mean: the case that the address stands for; the open cases that they were contacted about, the newest
/// contact first; the open cases of their devices; the case that was closed last.
pub(super) fn cases(change: &Change<'_>, people: &[Whom], named: Option<CaseId>) -> Vec<CaseId> {
    if let Some(case) = named {
        return change.get::<CaseRow>(&case).map(|_| case).into_iter().collect();
    }
    let mut contacts = contacts(change, people);
    contacts.sort_by_key(|r| std::cmp::Reverse((r.at, r.effect)));
    let open = |case: &CaseId| change.get::<CaseRow>(case).is_some_and(|c| c.is_open());
    let mut found: Vec<CaseId> = Vec::new();
    for case in contacts.iter().map(|r| r.case).filter(open) {
        if !found.contains(&case) {
            found.push(case);
        }
    }
    if found.is_empty() {
        found = of_their_devices(change, people);
    }
    if found.is_empty() {
        let closed = |r: &Reached| Some((change.get::<CaseRow>(&r.case)?.closed_at?, r.case));
        let newest: Option<(At, CaseId)> = contacts.iter().filter_map(closed).max();
        found.extend(newest.map(|(_, case)| case));
    }
    found
}

/// Their contacts; one about several cases once for each of them.
fn contacts(change: &Change<'_>, people: &[Whom]) -> Vec<Reached> {
    let recent = people.iter().flat_map(|w| reached::of(change, &w.customer).recent);
    let all = recent.flat_map(|r| {
        let also = bundle::carried(change, r.effect).into_iter();
        let also: Vec<Reached> = also.map(|(effect, row)| Reached { case: row.case, effect, ..r.clone() }).collect();
        std::iter::once(r).chain(also)
    });
    all.collect()
}

/// They were not contacted yet: they write first.
fn of_their_devices(change: &Change<'_>, people: &[Whom]) -> Vec<CaseId> {
    let directory = &change.config.directory;
    let devices = people.iter().flat_map(|w| directory.devices(&change.config.registry, &w.customer));
    let cases: BTreeSet<CaseId> =
        devices.filter_map(|d| change.base.open_by_device.get(d)).flatten().copied().collect();
    cases.into_iter().collect()
}

/// The contact that they answer: of these cases the newest that asked for an answer, else the newest; over the channel
/// that they write on, else over any other.
pub(super) fn last_contact(
    change: &Change<'_>,
    people: &[Whom],
    channel: Channel,
    cases: &[CaseId],
) -> Option<(EffectId, EffectRow)> {
    let all = contacts(change, people);
    let of_cases = all.iter().filter(|r| cases.contains(&r.case));
    // What has not gone out, or was not taken, was heard of by nobody.
    let rows = of_cases.filter_map(|r| change.get::<EffectRow>(&r.effect).map(|row| (r, row))).filter(|(_, row)| {
        !matches!(row.delivery.state, State::Due | State::Retry | State::Rejected | State::Cancelled)
    });
    let rows = rows.filter(|(_, row)| was_heard(row));
    let best = rows.max_by_key(|(r, row)| {
        let here = people.iter().any(|w| w.endpoint == r.endpoint) && r.channel == channel;
        (wants_an_answer(change, row), here, r.at, r.effect)
    });
    best.map(|(r, row)| (r.effect, row))
}

/// The newest contact of these cases, over the channel that they write on if there is one.
pub(super) fn newest(
    change: &Change<'_>,
    people: &[Whom],
    channel: Channel,
    cases: &[CaseId],
) -> Option<(EffectId, EffectRow)> {
    let of_cases = contacts(change, people).into_iter().filter(|r| cases.contains(&r.case));
    let newest = of_cases.max_by_key(|r| (r.channel == channel, r.at, r.effect))?;
    change.get::<EffectRow>(&newest.effect).map(|row| (newest.effect, row))
}

/// Whether a step of these cases still waits for what they say to a contact.
pub(super) fn is_awaited(change: &Change<'_>, people: &[Whom], cases: &[CaseId]) -> bool {
    let of_cases = contacts(change, people).into_iter().filter(|r| cases.contains(&r.case));
    let steps = of_cases.filter_map(|r| change.get::<EffectRow>(&r.effect)).map(|row| (row.case, row.step));
    steps
        .into_iter()
        .any(|step| change.get::<StepRow>(&step).is_some_and(|s| s.state.is_live() && s.confirmed.is_none()))
}

/// The cases of a ticket.
pub(super) fn of_ticket(change: &Change<'_>, desk: &AdapterName, ticket: &str) -> Vec<CaseId> {
    let tickets = change.base.rows.tickets.iter();
    let same = |t: &TicketRow| t.desk == *desk && t.ticket.as_deref() == Some(ticket);
    tickets.filter(|(_, t)| same(t)).map(|((case, _), _)| *case).collect()
}
