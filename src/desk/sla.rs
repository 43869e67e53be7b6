//! What a playbook promises about the pace of a case (`sla`): a person is paged when it is not kept. It is looked at like
//! everything else: idempotent, from rows.

use super::change::Change;
use super::goals::{self, Wake};
use super::rows::{CaseRow, EffectRow, Target};
use super::{book, hold};
use crate::domain::{CaseId, Span};
use crate::playbook::Playbook;

pub(super) fn watch(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) {
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let sla = plan.case.sla;
    if case.human_owner.is_some() || hold::is_held(change, id) {
        return;
    }
    let told = change.effects_since_opened(id).iter().any(|(_, e): &(_, EffectRow)| {
        e.delivery.kind.is_contact() && e.delivery.state.is_taken() && matches!(e.target, Target::Customer { .. })
    });
    let offered = book::was_offered(change, id);
    for (within, kept, reason) in [
        (sla.first_contact, told, "the customer was not told in time"),
        (sla.appointment_offered, offered, "no appointment was offered in time"),
    ] {
        let Some(at) = within.map(|w: Span| case.opened_at + w).filter(|_| !kept) else { continue };
        if change.now < at {
            wake.at(at);
        } else {
            goals::page_default(change, id, reason);
        }
    }
}
