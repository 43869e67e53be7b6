//! The page behind the link in a request to a workshop: yes or no; later that it moves, that the customer is there, has
//! been there, has not come, and what was found. It shows nobody's name: whoever finds the link learns of a car and a time.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::super::change::Change;
use super::super::link::Form;
use super::super::quiet::zone_of;
use super::super::rows::EffectRow;
use super::super::{Reply, outcome};
use super::letter::{LetterRow, To};
use super::{BookingRow, BookingState, letter, mail, offers};
use crate::domain::{At, BookingProgress, EffectId, Slot, Span, Truth, Verdict};

/// Nobody moves an appointment further than this.
const FURTHEST: Span = Span::from_hours(24 * 366);

/// Whether `effect` has such a page.
pub(in super::super) fn is_request(change: &Change<'_>, effect: EffectId) -> bool {
    change.get::<LetterRow>(&effect).is_some_and(|l| l.to == To::Workshop && !l.cancelled)
}

/// The appointment that was asked for, if that is still what it is about. A change of it has a page, too.
fn booking(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> Option<BookingRow> {
    let booking = change.get::<BookingRow>(&(row.case, row.step.clone()))?;
    (booking.create == Some(row.parent.unwrap_or(effect)) && booking.unwanted.is_none()).then_some(booking)
}

fn state(booking: Option<&BookingRow>) -> &'static str {
    use BookingState::{ChangedByProvider, CheckedIn, Confirmed, Confirming, Done, NoShow, Reminded};
    match booking.map(|b| b.state) {
        Some(Confirming) => "open",
        Some(Confirmed | Reminded | ChangedByProvider) => "confirmed",
        Some(CheckedIn) => "checked_in",
        Some(Done) => "done",
        Some(NoShow) => "no_show",
        _ => "over",
    }
}

/// `view.state`; `view.begun`: it is time to say whether the customer is there.
pub(in super::super) fn view(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> Json {
    let booking = booking(change, effect, row);
    let begun = booking.as_ref().and_then(|b| b.slot).is_some_and(|s| change.now >= s.start_at);
    json!({ "state": state(booking.as_ref()), "begun": begun })
}

/// `booking` and `request` of the page.
pub(in super::super) fn facts(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> Option<(Json, Json)> {
    let letter = change.get::<LetterRow>(&effect)?;
    let slot = booking(change, effect, row).and_then(|b| b.slot).unwrap_or(letter.slot);
    let booking = letter::about(change, &letter, slot, "confirming", (&TimeZone::UTC, "%H:%M"));
    Some((booking, mail::facts(change, effect, false)))
}

/// The form of the page was sent. What the page no longer offers does nothing.
pub(in super::super) fn posted(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, form: &Form) -> Reply {
    let word = form.get("answer").map_or("", String::as_str);
    let booking = booking(change, effect, row);
    let begun = booking.as_ref().and_then(|b| b.slot).is_some_and(|s| change.now >= s.start_at);
    let found = match found(word, form) {
        Ok(found) => found,
        Err(complaint) => return Reply::Refused(complaint.to_owned()),
    };
    let effect = row.parent.unwrap_or(effect);
    let progress = match (word, state(booking.as_ref())) {
        ("yes", "open") => BookingProgress::Confirmed,
        ("no", "open" | "confirmed") => BookingProgress::Cancelled,
        ("there", "confirmed") if begun => BookingProgress::CheckedIn,
        ("done" | "mended" | "nothing", "confirmed" | "checked_in") if begun => BookingProgress::Done,
        ("absent", "confirmed") if begun => BookingProgress::NoShow,
        ("move", "confirmed") => return moved(change, effect, booking, form),
        ("yes" | "no" | "there" | "done" | "mended" | "nothing" | "absent" | "move", _) => return Reply::Done,
        _ => return Reply::Refused("the form says nothing that is known".to_owned()),
    };
    if let Some((verdict, workshop)) = found.zip(booking.and_then(|b| b.adapter)) {
        outcome::judged(change, row.case, verdict, &format!("provider:{workshop}"), false);
    }
    mail::tell(change, effect, progress, None);
    Reply::Done
}

/// What the workshop found, if it says so with the end of the work.
fn found(word: &str, form: &Form) -> Result<Option<Verdict>, &'static str> {
    let truth = match word {
        "mended" => Truth::Confirmed,
        "nothing" => Truth::NoFaultFound,
        _ => return Ok(None),
    };
    let part = form.get("part").map(|part| part.trim()).filter(|part| !part.is_empty() && word == "mended");
    let verdict = Verdict { truth: Some(truth), part_replaced: part.map(str::to_owned), ..Verdict::default() };
    verdict.complaint().map_or(Ok(Some(verdict)), Err)
}

/// The appointment at `old`, if it can begin at `start_at` as well.
pub(super) fn at_another_time(change: &Change<'_>, old: Slot, start_at: At) -> Option<Slot> {
    let sound = start_at > change.now && start_at < change.now + FURTHEST;
    sound.then(|| Slot { start_at, end_at: start_at + (old.end_at - old.start_at) })
}

fn moved(change: &mut Change<'_>, effect: EffectId, booking: Option<BookingRow>, form: &Form) -> Reply {
    let old = booking.as_ref().and_then(|b| b.slot);
    let zone =
        booking.as_ref().and_then(|b| offers::workshop(change, b.adapter.as_ref()?)).map(|w| zone_of(w.hours.zone()));
    let field = |name: &str| form.get(name).map_or("", |text| text.trim());
    let day = Date::strptime("%Y-%m-%d", field("day")).ok();
    let time = Time::strptime("%H:%M", field("time")).ok();
    let start = day.zip(time).zip(zone).and_then(|((day, time), zone)| day.to_datetime(time).to_zoned(zone).ok());
    let start_at = start.map(|z| At::from_micros(z.timestamp().as_microsecond()));
    let Some(slot) = start_at.zip(old).and_then(|(at, old)| at_another_time(change, old, at)) else {
        return Reply::Refused("a day and a time to come are needed".to_owned());
    };
    mail::tell(change, effect, BookingProgress::Confirmed, Some(slot));
    Reply::Done
}
