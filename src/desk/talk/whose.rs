//! Who has written, and which case they mean.

use std::collections::BTreeSet;

use super::super::bundle;
use super::super::change::Change;
use super::super::reached::{self, Reached};
use super::super::rows::{CaseRow, EffectRow, StepRow};
use super::super::{book, speech, survey};
use crate::domain::{At, CaseId, Channel, CustomerId, EffectId, EndpointId, EndpointKind, Said, Sender};
use crate::outbox::{Kind, State};

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
pub(super) fn cases(change: &Change<'_>, people: &[Whom], contacts: &[Reached], named: Option<CaseId>) -> Vec<CaseId> {
    if let Some(case) = named {
        return change.get::<CaseRow>(&case).map(|_| case).into_iter().collect();
    }
    let mut newest_first: Vec<&Reached> = contacts.iter().collect();
    newest_first.sort_by_key(|r| std::cmp::Reverse((r.at, r.effect)));
    let open = |case: &CaseId| change.get::<CaseRow>(case).is_some_and(|c| c.is_open());
    let mut found: Vec<CaseId> = Vec::new();
    for case in newest_first.into_iter().map(|r| r.case).filter(open) {
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
pub(super) fn contacts(change: &Change<'_>, people: &[Whom]) -> Vec<Reached> {
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

/// A number is one line, whether it rings or gets text messages.
fn line(channel: Channel) -> Channel {
    if channel == Channel::Call { Channel::Sms } else { channel }
}

/// What they have heard of us over the line that they write on, about whatever case: nothing that was said elsewhere is
/// what they answer here. Only if nothing was said on this line, what they have heard about `cases` over any other.
pub(super) fn heard(
    change: &Change<'_>,
    people: &[Whom],
    contacts: &[Reached],
    said: &Said,
    cases: &[CaseId],
) -> Vec<(EffectId, EffectRow)> {
    let all = contacts.iter().filter(|r| said.case.is_none_or(|named| named == r.case));
    let all: Vec<(&Reached, EffectRow)> =
        all.filter_map(|r| change.get::<EffectRow>(&r.effect).filter(was_heard).map(|row| (r, row))).collect();
    let here = |r: &Reached| line(r.channel) == line(said.channel) && people.iter().any(|w| w.endpoint == r.endpoint);
    let on_this_line = all.iter().any(|(r, _)| here(r));
    let mut heard: Vec<_> =
        all.into_iter().filter(|(r, _)| if on_this_line { here(r) } else { cases.contains(&r.case) }).collect();
    heard.sort_by_key(|(r, _)| (r.at, r.effect));
    heard.into_iter().map(|(r, row)| (r.effect, row)).collect()
}

/// What has not gone out, or was not taken, was heard of by nobody; a call that rang in vain has said nothing.
pub(in super::super) fn was_heard(row: &EffectRow) -> bool {
    let state = row.delivery.state;
    let gone = !matches!(state, State::Due | State::Retry | State::Rejected | State::Cancelled);
    gone && (row.delivery.kind != Kind::Call || matches!(state, State::Delivered | State::Confirmed))
}

/// Which of the contacts (oldest first) they answer: the newest that asked for an answer, else the newest. One that this
/// `word` was said to already has its answer: said again, it is for the question before.
pub(super) fn answered<'h>(
    change: &Change<'_>,
    heard: &'h [(EffectId, EffectRow)],
    word: Option<char>,
) -> Option<&'h (EffectId, EffectRow)> {
    let waits = |row: &EffectRow| asks(change, row) && is_news(change, row, word);
    heard.iter().rev().find(|(_, row)| waits(row)).or(heard.last())
}

/// Whether a contact asks for an answer.
fn asks(change: &Change<'_>, row: &EffectRow) -> bool {
    !survey::asks(change, row) && (!speech::choices(change, row).is_empty() || book::asks(change, row))
}

fn is_news(change: &Change<'_>, row: &EffectRow, word: Option<char>) -> bool {
    let step = change.get::<StepRow>(&(row.case, row.step.clone()));
    step.is_some_and(|s| s.confirmed.is_none_or(|said| word.is_some_and(|word| word != said)))
}

/// Whether a step still waits for what they say to one of these contacts.
pub(super) fn is_awaited(change: &Change<'_>, heard: &[(EffectId, EffectRow)]) -> bool {
    let waits = |s: StepRow| s.state.is_live() && s.confirmed.is_none();
    heard.iter().any(|(_, row)| change.get::<StepRow>(&(row.case, row.step.clone())).is_some_and(waits))
}
