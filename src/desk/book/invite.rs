//! The invitation in the customer's calendar: sent when the appointment is confirmed, sent again when it moves, taken
//! back when it is cancelled.

use super::super::change::Change;
use super::super::facts::{Reader, context};
use super::super::plan::Effect;
use super::super::rows::{CaseRow, EffectRow, Target};
use super::offers::workshop;
use super::{BookingRow, BookingState, Key, confirming};
use crate::domain::{CaseId, EffectId, EndpointKind, Invitation, InviteMethod, Role, ScriptId};
use crate::outbox::Kind;
use crate::playbook::{INVITE_SCRIPT, Playbook, ProviderKind, Until, Verb};

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
    let cancelled = row.state == BookingState::Cancelled;
    if cancelled && row.invited.is_none() {
        return row;
    }
    let (Some(provider), Some(target)) =
        (change.config.provider_of(ProviderKind::Smtp).cloned(), target(change, plan, key.0, &row))
    else {
        row.invited = Some(row.sequence);
        return moved(row);
    };
    let salt = format!("invite {}", row.sequence);
    let mut effect = Effect::new(change, Kind::Mail, &provider, &key.1, salt);
    effect.script = Some(ScriptId::from(INVITE_SCRIPT));
    effect.target = target;
    effect.compensation = cancelled;
    row.invite = Some(effect.plan(change, key.0));
    row.invited = Some(row.sequence);
    row
}

fn moved(mut row: BookingRow) -> BookingRow {
    if row.state == BookingState::ChangedByProvider {
        row.state = BookingState::Confirmed;
    }
    row
}

/// Whoever has chosen, else the first who would have been asked; by mail.
fn target(change: &Change<'_>, plan: &Playbook, id: CaseId, row: &BookingRow) -> Option<Target> {
    let registry = &change.config.registry;
    let chooser = row.answered.and_then(|e| change.get::<EffectRow>(&e)).and_then(|e| match e.target {
        Target::Customer { customer, .. } => registry.customers.get(&customer),
        _ => None,
    });
    let case = change.get::<CaseRow>(&id)?;
    let who: Vec<Role> = plan
        .steps
        .iter()
        .find_map(|s| match &s.verb {
            Verb::Reach(r) if r.until == Until::AnsweredChoice => Some(r.who.clone()),
            _ => None,
        })
        .unwrap_or_else(|| vec!["owner".into()]);
    let mut people = chooser.into_iter().chain(registry.people(&case.device, &who));
    people.find_map(|c| {
        let endpoint = c.endpoint(EndpointKind::Email)?;
        Some(Target::Customer { customer: c.id.clone(), endpoint: endpoint.id.clone() })
    })
}

/// Whether `effect` is one: it answers what the customer asked for, so it counts as no contact of ours.
pub(in super::super) fn is_invitation(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> bool {
    change.get::<BookingRow>(&(row.case, row.step.clone())).is_some_and(|b| b.invite == Some(effect))
}

/// What goes into the mail besides its text.
///
/// # Errors
/// For people: a fact that the template of the identity needs is not there.
pub(in super::super) fn invitation(
    change: &Change<'_>,
    effect: EffectId,
    row: &EffectRow,
    summary: &str,
) -> Result<Option<Invitation>, String> {
    if !is_invitation(change, effect, row) {
        return Ok(None);
    }
    let key = (row.case, row.step.clone());
    let booking = change.get::<BookingRow>(&key).ok_or("its appointment is gone")?;
    let case = change.get::<CaseRow>(&row.case).ok_or("its case is gone")?;
    let plan = change.plan(&case).ok_or("its playbook cannot be read")?;
    let spec = confirming(&plan, &key).and_then(|(_, b)| b.invite.as_ref()).ok_or("its step is gone")?;
    let slot = booking.slot.ok_or("it has no time")?;
    let facts = context(change, row.case, &case, &Reader::Staff { zone: "UTC" }, false);
    let uid = spec.uid.render(&facts).map_err(|e| e.to_string())?;
    let at = booking.adapter.as_ref().and_then(|a| workshop(change, a));
    let cancelled = booking.state == BookingState::Cancelled;
    Ok(Some(Invitation {
        method: if cancelled { InviteMethod::Cancel } else { InviteMethod::Request },
        uid,
        sequence: booking.sequence,
        start_at: slot.start_at,
        end_at: slot.end_at,
        summary: summary.to_owned(),
        location: at.map(|w| format!("{}, {}", w.name, w.place)).unwrap_or_default(),
        alarm: spec.alarm,
    }))
}
