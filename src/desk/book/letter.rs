//! An appointment in a mail: to the customer for their calendar, or to a workshop that is asked by mail. What it says is
//! written down when it is planned, so that every attempt says the same and whatever becomes of the appointment
//! meanwhile, an invitation that was sent can still be withdrawn.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::change::Change;
use super::super::plan::Effect;
use super::super::quiet::zone_of;
use super::facts::times;
use super::hours::ByMail;
use super::{Key, offers};
use crate::domain::{AdapterName, EffectId, Invitation, InviteMethod, Slot, Span};

/// A mail with an appointment in it; the key is its effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct LetterRow {
    pub(super) to: To,
    /// It takes an earlier one back.
    pub(super) cancelled: bool,
    /// It tells of another time than an earlier one.
    pub(super) moved: bool,
    pub(super) uid: String,
    pub(super) sequence: u32,
    pub(super) slot: Slot,
    pub(super) workshop: AdapterName,
    /// So long before it the calendar rings.
    pub(super) alarm: Option<Span>,
}

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum To {
    Customer,
    Workshop,
}

/// Plans the mail.
pub(super) fn plan(change: &mut Change<'_>, key: &Key, effect: Effect, letter: LetterRow) -> EffectId {
    let id = effect.plan(change, key.0);
    change.put(id, letter);
    id
}

/// Whether `effect` is one: it answers what was asked for, so it counts as no contact of ours.
pub(in super::super) fn is_letter(change: &Change<'_>, effect: EffectId) -> bool {
    change.get::<LetterRow>(&effect).is_some()
}

/// Whether `effect` takes an appointment out of the calendar of a customer.
pub(in super::super) fn takes_back(change: &Change<'_>, effect: EffectId) -> bool {
    change.get::<LetterRow>(&effect).is_some_and(|l| l.to == To::Customer && l.cancelled)
}

/// The workshop that reads `effect`, if one does.
pub(in super::super) fn reader<'a>(change: &Change<'a>, effect: EffectId) -> Option<&'a ByMail> {
    let letter = change.get::<LetterRow>(&effect).filter(|l| l.to == To::Workshop)?;
    offers::workshop(change, &letter.workshop)?.by_mail.as_ref()
}

/// What goes into the mail besides its text.
pub(in super::super) fn invitation(change: &Change<'_>, effect: EffectId, summary: &str) -> Option<Invitation> {
    let letter = change.get::<LetterRow>(&effect)?;
    let at = offers::workshop(change, &letter.workshop);
    Some(Invitation {
        method: if letter.cancelled { InviteMethod::Cancel } else { InviteMethod::Request },
        uid: letter.uid,
        sequence: letter.sequence,
        start_at: letter.slot.start_at,
        end_at: letter.slot.end_at,
        summary: summary.to_owned(),
        location: at.map(|w| format!("{}, {}", w.name, w.place)).unwrap_or_default(),
        alarm: letter.alarm,
        rsvp: letter.to == To::Workshop && !letter.moved,
    })
}

/// `booking` of the text of a letter, with times of its reader: those of the customer, or of the workshop.
pub(in super::super) fn facts(change: &Change<'_>, effect: EffectId, (zone, clock): (&TimeZone, &str)) -> Option<Json> {
    let letter = change.get::<LetterRow>(&effect)?;
    let state = match (letter.cancelled, letter.moved, letter.to) {
        (true, ..) => "cancelled",
        (_, true, _) => "changed_by_provider",
        (.., To::Workshop) => "confirming",
        (.., To::Customer) => "confirmed",
    };
    Some(about(change, &letter, letter.slot, state, (zone, clock)))
}

/// An appointment at the workshop of a letter.
pub(super) fn about(
    change: &Change<'_>,
    letter: &LetterRow,
    slot: Slot,
    state: &str,
    (zone, clock): (&TimeZone, &str),
) -> Json {
    let at = offers::workshop(change, &letter.workshop);
    let of_workshop = at.filter(|_| letter.to == To::Workshop).map(|w| zone_of(w.hours.zone()));
    let mut facts = match &of_workshop {
        // As the fields of its page take them.
        Some(zone) => times(slot, zone, "%H:%M"),
        None => times(slot, zone, clock),
    };
    facts["state"] = state.into();
    facts["confirmed"] = (state != "cancelled" && state != "confirming").into();
    facts["offers"] = json!([]);
    facts["again"] = false.into();
    facts["round"] = 0.into();
    facts["id"] = letter.uid.clone().into();
    facts["workshop"] = at.map(|w| w.name.clone()).unwrap_or_default().into();
    facts["place"] = at.map(|w| w.place.clone()).unwrap_or_default().into();
    facts
}
