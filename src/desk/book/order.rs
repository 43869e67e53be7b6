//! What a workshop is asked, built from the row at the moment of asking.

use std::collections::BTreeMap;

use super::super::change::Change;
use super::super::facts::{Reader, context};
use super::super::rows::{CaseRow, EffectRow};
use super::{BookingRow, offers, source};
use crate::domain::{BookWork, CaseId, EffectId, EndpointKind, Role};
use crate::outbox::Kind;

/// The work of a booking effect.
///
/// # Errors
/// For people: why it cannot be asked any more.
pub(in super::super) fn work(change: &Change<'_>, id: EffectId, row: &EffectRow) -> Result<BookWork, String> {
    let about = || row.about.clone().ok_or("it is about nothing");
    match row.delivery.kind {
        Kind::BookCancel => return Ok(BookWork::Cancel { booking: about()? }),
        Kind::BookStatus => {
            let created_by = row.parent.ok_or("it is about nothing")?;
            return Ok(BookWork::Status { created_by, booking: about()? });
        }
        _ => {}
    }
    let case = change.get::<CaseRow>(&row.case).ok_or("its case is gone")?;
    let plan = change.plan(&case).ok_or("its playbook cannot be read")?;
    let (_, find) = plan.step(&row.step).and_then(|s| source(&plan, s)).ok_or("its step is gone")?;
    let booking = change.get::<BookingRow>(&(row.case, row.step.clone())).ok_or("its appointment is gone")?;
    let service = service(change, row.case, &case, row)?;
    match row.delivery.kind {
        Kind::BookSearch => {
            Ok(BookWork::Search { service, slots: offers::candidates(change, row.case, find, &booking) })
        }
        Kind::BookHold => {
            let offer = booking.offers.iter().find(|o| o.hold == Some(id)).ok_or("it is offered no more")?;
            Ok(BookWork::Hold { service, slot: offer.slot, until_at: row.planned_at + find.hold_for })
        }
        _ => {
            let index = booking.chosen.and_then(|n| usize::try_from(n).ok()).ok_or("nothing was chosen")?;
            let offer = booking.offers.get(index).ok_or("the chosen time is offered no more")?;
            Ok(BookWork::Create {
                service,
                slot: offer.slot,
                lease: offer.lease.clone(),
                who: who(change, &case, &booking),
                note: format!("{}: {}", case.device, case.title),
            })
        }
    }
}

/// What is to be done there.
///
/// # Errors
/// For people: what its text lacks.
pub(super) fn service(change: &Change<'_>, id: CaseId, case: &CaseRow, row: &EffectRow) -> Result<String, String> {
    let plan = change.plan(case).ok_or("its playbook cannot be read")?;
    let (_, find) = plan.step(&row.step).and_then(|s| source(&plan, s)).ok_or("its step is gone")?;
    let facts = context(change, id, case, &Reader::Staff { zone: "UTC" }, true);
    find.service.render(&facts).map_err(|e| format!("service: {e}"))
}

/// Who comes: whoever has chosen, else the owner.
pub(super) fn who(change: &Change<'_>, case: &CaseRow, booking: &BookingRow) -> BTreeMap<String, String> {
    let registry = &change.config.registry;
    let chooser = booking.answered.first().and_then(|e| change.get::<EffectRow>(e));
    let chooser = chooser.as_ref().and_then(|e| super::super::order::customer(change, e));
    let roles: [Role; 2] = ["owner".into(), "driver".into()];
    let mut who = BTreeMap::new();
    if let Some(c) = chooser.or_else(|| registry.people(&case.device, &roles).next()) {
        who.insert("name".to_owned(), c.name.to_string());
        who.insert("locale".to_owned(), c.locale.to_string());
        for (field, kind) in [("phone", EndpointKind::Phone), ("email", EndpointKind::Email)] {
            who.extend(c.endpoint(kind).map(|e| (field.to_owned(), e.address.to_string())));
        }
    }
    who
}
