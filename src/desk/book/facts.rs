//! What texts and conditions may say of an appointment. Only a confirmed one has a time.

use serde_json::{Value as Json, json};

use super::super::change::Change;
use super::offers::{key_of, workshop};
use super::{BookingRow, BookingState, OfferState};
use crate::domain::{At, CaseId, Slot};
use jiff::tz::TimeZone;

impl BookingState {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Held => "held",
            Self::Proposed => "proposed",
            Self::Chosen => "chosen",
            Self::Confirming => "confirming",
            Self::Confirmed => "confirmed",
            Self::Reminded => "reminded",
            Self::CheckedIn => "checked_in",
            Self::Done => "done",
            Self::NoShow => "no_show",
            Self::ChangedByProvider => "changed_by_provider",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The appointment of a case, if it has or had one.
fn booking(change: &Change<'_>, id: CaseId) -> Option<BookingRow> {
    key_of(change, id).and_then(|key| change.get::<BookingRow>(&key))
}

/// `booking.state`
pub(in super::super) fn word_of(change: &Change<'_>, id: CaseId) -> &'static str {
    booking(change, id).map_or("none", |b| b.state.word())
}

/// When it is; also once it is over.
pub(in super::super) fn start_at(change: &Change<'_>, id: CaseId) -> Option<At> {
    booking(change, id).and_then(|b| b.slot).map(|s| s.start_at)
}

/// Day and hours in `zone`, written as `clock` says.
pub(super) fn times(slot: Slot, zone: &TimeZone, clock: &str) -> Json {
    let local = |at: At, format: &str| at.to_jiff().to_zoned(zone.clone()).strftime(format).to_string();
    json!({
        "start": slot.start_at.to_string(), "date": local(slot.start_at, "%Y-%m-%d"),
        "time": local(slot.start_at, clock), "until": local(slot.end_at, clock),
    })
}

/// `booking` of a text. Times are local ones of the reader, written as `clock` says.
pub(in super::super) fn facts(change: &Change<'_>, id: CaseId, zone: &TimeZone, clock: &str) -> Json {
    let Some(row) = booking(change, id) else {
        return json!({ "state": "none", "confirmed": false, "offers": [], "again": false, "round": 0 });
    };
    let offers = row.offers.iter().enumerate().filter(|(_, o)| o.state == OfferState::Held).map(|(n, o)| {
        let mut offer = times(o.slot, zone, clock);
        offer["n"] = (n + 1).into();
        offer
    });
    use BookingState::{Chosen, Confirming, Held, Proposed};
    let open = matches!(row.state, Held | Proposed | Chosen | Confirming);
    let offers: Vec<Json> = if open { offers.collect() } else { Vec::new() };
    let at = row.adapter.as_ref().and_then(|a| workshop(change, a));
    let mut facts = json!({
        "state": row.state.word(),
        "confirmed": row.state.stands(),
        "offers": offers,
        "round": row.round,
        // Times were offered before, and the one that was chosen had gone.
        "again": !row.gone.is_empty() && !row.answered.is_empty(),
        "id": row.create.map(|e| e.to_string()).unwrap_or_default(),
        "workshop": at.map(|w| w.name.clone()).unwrap_or_default(),
        "place": at.map(|w| w.place.clone()).unwrap_or_default(),
    });
    let fixed = row.slot.filter(|_| row.state >= BookingState::Confirmed);
    if let (Some(slot), Json::Object(all)) = (fixed, &mut facts)
        && let Json::Object(times) = times(slot, zone, clock)
    {
        all.extend(times);
    }
    facts
}
