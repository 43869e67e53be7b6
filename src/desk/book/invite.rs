//! The invitation in the customer's calendar: sent when the appointment is confirmed, sent again when it moves, withdrawn
//! when it is cancelled.

use super::super::change::Change;
use super::super::facts::{Reader, context};
use super::super::plan::Effect;
use super::super::rows::{CaseRow, EffectRow, Target};
use super::super::{goals, wrong};
use super::letter::{self, LetterRow, To};
use super::{BookingRow, BookingState, Key, confirming, proposing};
use crate::domain::{CaseId, Endpoint, EndpointKind, Role, ScriptId};
use crate::outbox::Kind;
use crate::playbook::{INVITE_SCRIPT, Playbook, ProviderKind};

/// Sends what the customer's calendar does not have yet.
pub(super) fn send(change: &mut Change<'_>, plan: &Playbook, key: &Key, mut row: BookingRow) -> BookingRow {
    let wanted = confirming(plan, key).is_some_and(|(_, b)| b.invite.is_some());
    if !wanted {
        return moved(row);
    }
    let sent = row.invite.and_then(|e| change.get::<EffectRow>(&e)).map(|e| e.delivery.state);
    if row.invited == Some(row.sequence) {
        // The customer knows of the change once the mail has left.
        return if sent.is_none_or(|s| s.is_taken() || s.is_lost()) { moved(row) } else { row };
    }
    // What has not gone out yet would tell of a time that is over.
    row.invite.map(|old| change.call_off(old));
    row.invited = Some(row.sequence);
    post(change, plan, key, &mut row, false);
    if row.invite.is_none() { moved(row) } else { row }
}

fn moved(mut row: BookingRow) -> BookingRow {
    if row.state == BookingState::ChangedByProvider {
        row.state = BookingState::Confirmed;
    }
    row
}

/// Takes the appointment out of the customer's calendar, if it is there.
pub(super) fn withdraw(change: &mut Change<'_>, plan: &Playbook, key: &Key, row: &mut BookingRow) {
    call_off(change, row);
    if row.invited.take().is_some() {
        row.sequence += 1;
        post(change, plan, key, row, true);
    }
}

/// An invitation that has not gone out yet does not. What takes one back is none.
pub(super) fn call_off(change: &mut Change<'_>, row: &mut BookingRow) {
    let invite = row.invite.filter(|_| row.invited.is_some());
    if invite.is_some_and(|invite| change.call_off(invite)) && row.invited == Some(0) {
        row.invited = None;
    }
}

fn post(change: &mut Change<'_>, plan: &Playbook, key: &Key, row: &mut BookingRow, cancelled: bool) {
    let before = row.invite.take().filter(|_| cancelled).and_then(|invite| change.get::<EffectRow>(&invite));
    let spec = confirming(plan, key).and_then(|(_, b)| b.invite.as_ref());
    let provider = change.config.provider_of(ProviderKind::Smtp).cloned();
    // What takes an invitation back goes to whoever got it.
    let target = before.map(|e| e.target).or_else(|| target(change, plan, key.0, row));
    let (Some(spec), Some(provider), Some(target), Some(slot)) = (spec, provider, target, row.slot) else { return };
    let (Some(workshop), Some(case)) = (row.adapter.clone(), change.get::<CaseRow>(&key.0)) else { return };
    let facts = context(change, key.0, &case, &Reader::Staff { zone: "UTC" }, false);
    let uid = match spec.uid.render(&facts) {
        Ok(uid) => uid,
        Err(e) => return goals::page_default(change, key.0, &format!("no invitation can be made: {e}")),
    };
    let moved = row.state == BookingState::ChangedByProvider;
    let letter = LetterRow {
        to: To::Customer,
        cancelled,
        moved,
        uid,
        sequence: row.sequence,
        slot,
        workshop,
        alarm: spec.alarm,
    };
    let salt = format!("invite {}/{}", row.round, row.sequence);
    let mut effect = Effect::new(change, Kind::Mail, &provider, &key.1, salt);
    effect.script = Some(ScriptId::from(INVITE_SCRIPT));
    effect.target = target;
    // What was agreed on is told, and taken back, whether or not the case is still open.
    effect.compensation = true;
    row.invite = Some(letter::plan(change, key, effect, letter));
}

/// Whoever has chosen, else the first who would have been asked; by mail.
fn target(change: &Change<'_>, plan: &Playbook, id: CaseId, row: &BookingRow) -> Option<Target> {
    let registry = &change.config.registry;
    let chooser = row.answered.first().and_then(|e| change.get::<EffectRow>(e)).and_then(|e| match e.target {
        Target::Customer { customer, .. } => registry.customers.get(&customer),
        _ => None,
    });
    let case = change.get::<CaseRow>(&id)?;
    let who: Vec<Role> = proposing(plan).map_or_else(|| vec!["owner".into()], |(_, reach)| reach.who.clone());
    let mut people = chooser.into_iter().chain(registry.people(&case.device, &who));
    people.find_map(|c| {
        let usable = |e: &&Endpoint| e.kind == EndpointKind::Email && !e.opted_out;
        let theirs = |e: &&Endpoint| !wrong::is_marked(change, &case.device, &e.id);
        let endpoint = c.endpoints.iter().filter(usable).find(theirs)?;
        Some(Target::Customer { customer: c.id.clone(), endpoint: endpoint.id.clone() })
    })
}
