//! What a workshop says: which times are free, which are kept, and how a booking stands. It may come late, twice, or in
//! another order than it happened; what is over stays over, and what was heard later counts.

use super::super::TimelineKind;
use super::super::change::Change;
use super::super::goals;
use super::super::rows::{CaseRow, EffectRow};
use super::react::{react, slot_gone};
use super::{BookingRow, BookingState, Key, OfferState, confirming, mail, offers};
use crate::domain::{BookingNews, BookingProgress, EffectId, Slot};
use crate::outbox::Kind;
use crate::playbook::{Mirror, Playbook, Reaction};

/// What a workshop says of `effect`. `seq`: its own count of its news, if it has one.
pub(in super::super) fn news(
    change: &mut Change<'_>,
    effect: EffectId,
    row: &EffectRow,
    seq: Option<u64>,
    news: &BookingNews,
) {
    let key = (row.case, row.step.clone());
    let Some(mut booking) = change.get::<BookingRow>(&key) else { return };
    change.touched.insert(row.case);
    match news {
        // Told twice, it is still one search.
        BookingNews::Free { slots } if booking.search == Some(effect) && booking.offers.is_empty() => {
            offers::found(change, &key, booking, slots);
        }
        BookingNews::Held { .. } | BookingNews::Gone if row.delivery.kind == Kind::BookHold => {
            let Some(offer) = booking.offers.iter_mut().find(|o| o.hold == Some(effect)) else { return };
            match news {
                BookingNews::Held { lease, until_at } => {
                    offer.lease.clone_from(lease);
                    offer.until_at = *until_at;
                    offer.state = OfferState::Held;
                }
                _ => {
                    offer.state = OfferState::Gone;
                    booking.gone.push(offer.slot.start_at);
                }
            }
            change.put(key, booking);
        }
        BookingNews::Stands { booking: name, progress, slot } => {
            let of_this = booking.create == Some(row.parent.unwrap_or(effect));
            if of_this && is_newer(&mut booking, row, seq, change) {
                stands(change, &key, booking, name, *progress, *slot);
            }
        }
        _ => {}
    }
}

/// Whether the workshop says it after what it said before.
fn is_newer(booking: &mut BookingRow, row: &EffectRow, seq: Option<u64>, change: &Change<'_>) -> bool {
    if row.delivery.kind == Kind::BookStatus {
        // An answer to a question that was on its way while the workshop spoke up may be older than what it said.
        return booking.heard_at.is_none_or(|heard| row.delivery.sent_at.is_none_or(|asked| asked > heard));
    }
    if matches!((seq, booking.seq), (Some(new), Some(known)) if new <= known) {
        return false;
    }
    booking.seq = booking.seq.max(seq);
    booking.heard_at = Some(change.now);
    true
}

/// The booking is known to the workshop, and stands like this.
fn stands(
    change: &mut Change<'_>,
    key: &Key,
    mut row: BookingRow,
    name: &str,
    progress: BookingProgress,
    slot: Option<Slot>,
) {
    use BookingState::{Cancelled, ChangedByProvider, CheckedIn, Confirmed, Confirming, Done, NoShow};
    let Some(plan) = change.get::<CaseRow>(&key.0).and_then(|c| change.plan(&c)) else { return };
    row.booking = Some(name.to_owned());
    if row.unwanted.is_some() {
        match progress {
            BookingProgress::Cancelled => row.state = Cancelled,
            BookingProgress::Done => row.state = Done,
            BookingProgress::NoShow => row.state = NoShow,
            _ => {}
        }
        return change.put(key.clone(), row);
    }
    if matches!(row.state, Done | NoShow | Cancelled) {
        return;
    }
    let adapter = row.adapter.clone().map_or_else(String::new, |a| a.to_string());
    let fresh = row.state == Confirming;
    let wanted = row.slot.or_else(|| row.chosen_slot());
    let at = slot.or(wanted);
    match progress {
        BookingProgress::Pending => {}
        BookingProgress::Confirmed if fresh => {
            // Of several times the one that the workshop has is the true one.
            row.state = Confirmed;
            row.slot = at;
            row.told_at = Some(change.now);
            change.say(key.0, TimelineKind::Answered, format!("{adapter}: the appointment is confirmed"), row.create);
            change.note(key.0, Mirror::Note, &format!("{adapter} has confirmed the appointment."));
        }
        // Who is there already needs no other time.
        BookingProgress::Confirmed if row.state == CheckedIn || at == row.slot => {}
        BookingProgress::Confirmed => {
            row.slot = at;
            row.told_at = Some(change.now);
            row.sequence += 1;
            row.state = ChangedByProvider;
            return moved(change, &plan, key, row, &format!("{adapter} has moved the appointment"));
        }
        BookingProgress::CheckedIn => {
            row.slot = wanted;
            if row.state != CheckedIn {
                row.state = CheckedIn;
                change.say(key.0, TimelineKind::Answered, format!("{adapter}: the customer is there"), row.create);
            }
        }
        BookingProgress::Done => ended(change, key, &mut row, Done),
        BookingProgress::NoShow => {
            ended(change, key, &mut row, NoShow);
            change.put(key.clone(), row);
            if let Some((step, book)) = confirming(&plan, key) {
                react(change, &plan, key, book.on.get("no_show"), step, "the customer did not come");
            }
            return;
        }
        BookingProgress::Cancelled => {
            let text = format!("{adapter} {} the appointment", if fresh { "declines" } else { "has cancelled" });
            change.say(key.0, TimelineKind::Trouble, text.clone(), row.create);
            // Somebody who reads mails has said that it does not suit them: the next one is asked.
            if fresh && mail::office(change, &row).is_some() {
                row.provider += 1;
            }
            change.put(key.clone(), row.clone());
            return slot_gone(change, &plan, key, row, &text);
        }
    }
    change.put(key.clone(), row);
}

/// The customer is told by a change of the invitation; what else is done, the plan says.
fn moved(change: &mut Change<'_>, plan: &Playbook, key: &Key, row: BookingRow, text: &str) {
    change.say(key.0, TimelineKind::Trouble, text, row.create);
    change.note(key.0, Mirror::Note, &format!("{text}."));
    change.put(key.clone(), row);
    let reaction = confirming(plan, key).and_then(|(s, b)| Some((s, b.on.get("provider_changed")?)));
    match reaction {
        Some((_, Reaction::Reinvite)) => {}
        Some((step, other)) => react(change, plan, key, Some(other), step, text),
        None => goals::page_default(change, key.0, text),
    }
}

pub(super) fn ended(change: &mut Change<'_>, key: &Key, row: &mut BookingRow, state: BookingState) {
    row.slot = row.slot.or_else(|| row.chosen_slot());
    row.state = state;
    let what =
        if state == BookingState::Done { "the appointment has taken place" } else { "the customer did not come" };
    change.say(key.0, TimelineKind::Answered, what, row.create);
    change.note(key.0, Mirror::Note, &format!("{}.", super::react::sentence(what)));
}
