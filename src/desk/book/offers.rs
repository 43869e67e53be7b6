//! Which times are offered: free ones within the window, on as many different days as there are.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::TimelineKind;
use super::super::change::Change;
use super::super::facts::{Reader, context, horizon};
use super::super::goals::{self, Wake};
use super::super::plan::Effect;
use super::super::quiet::zone_of;
use super::super::rows::{CaseRow, EffectRow, StepRow, StepState};
use super::{BookingRow, BookingState, Key, MAX_ROUNDS, OfferRow, OfferState, Workshop, confirming, mail};
use crate::domain::{AdapterName, At, CaseId, Slot, Span, StepId};
use crate::outbox::{Kind, State};
use crate::playbook::{Find, Playbook, Reaction, Verb};

/// So many times a workshop is asked about at once.
const MAX_CANDIDATES: usize = 120;

/// Looks for times until some are kept.
pub(super) fn search(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    find: &Find,
    mut row: BookingRow,
    wake: &mut Wake,
) -> Option<BookingRow> {
    if !row.offers.is_empty() {
        return Some(settle(change, key, find, row));
    }
    if let Some(effect) = row.search.and_then(|e| change.get::<EffectRow>(&e)) {
        if effect.delivery.state.is_lost() {
            row.search = None;
            row.provider += 1;
        }
        wake.at(effect.delivery.limit_at);
        return Some(row);
    }
    let order = in_order(change, key.0, find);
    let asked = usize::try_from(row.provider).ok().and_then(|n| order.get(n).cloned());
    let Some(adapter) = asked.filter(|_| row.round < MAX_ROUNDS) else { return give_up(change, plan, key, row) };
    row.adapter = Some(adapter.clone());
    let free = candidates(change, key.0, find, &row);
    if free.is_empty() {
        row.provider += 1;
        return Some(row);
    }
    row.round += 1;
    if mail::office(change, &row).is_some() {
        // It is not asked before a time is chosen; until then none of our other customers is offered these.
        let until_at = Some(change.now + find.hold_for);
        let kept = |slot| OfferRow { slot, lease: None, until_at, hold: None, state: OfferState::Held };
        row.offers = picked(change, find, &adapter, &free).into_iter().map(kept).collect();
        return Some(row);
    }
    let salt = format!("{}/{}", row.provider, row.round);
    row.search = Some(Effect::new(change, Kind::BookSearch, &adapter, &key.1, salt).plan(change, key.0));
    Some(row)
}

/// Nobody has a time: a person has to find one.
fn give_up(change: &mut Change<'_>, plan: &Playbook, key: &Key, mut row: BookingRow) -> Option<BookingRow> {
    row.state = BookingState::Cancelled;
    change.put(key.clone(), row);
    let step = (key.0, key.1.clone());
    if let Some(mut s) = change.get::<StepRow>(&step).filter(|s| s.state.is_live()) {
        s.state = StepState::Failed;
        change.put(step, s);
    }
    let text = format!("no workshop has a time (step {})", key.1);
    change.say(key.0, TimelineKind::Trouble, text.clone(), None);
    let own = plan.step(&key.1).and_then(|s| match &s.verb {
        Verb::Book(b) => b.on.get("no_slots"),
        _ => None,
    });
    let on = own.or_else(|| confirming(plan, key).and_then(|(_, b)| b.on.get("no_slots")));
    match on {
        Some(reaction @ (Reaction::Human(_) | Reaction::Goto(_))) => goals::react(change, key.0, reaction, &text),
        _ => goals::page_default(change, key.0, &text),
    }
    None
}

/// The workshops, those that serve the place of the customer first.
fn in_order(change: &Change<'_>, id: CaseId, find: &Find) -> Vec<AdapterName> {
    let near: Option<String> = find.near.as_ref().and_then(|near| {
        let case = change.get::<CaseRow>(&id)?;
        let mut facts = context(change, id, &case, &Reader::Staff { zone: "UTC" }, false);
        let roles = ["owner".into()];
        let owner = change.config.registry.people(&case.device, &roles).next();
        facts["customer"] = json!({ "preferred_workshop": owner.and_then(|c| c.preferred_workshop.as_deref()) });
        near.render(&facts).ok().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty())
    });
    let mut order = find.providers.clone();
    if let Some(near) = near {
        order.sort_by_key(|name| !workshop(change, name).is_some_and(|w| w.serves(&near) || *name.as_str() == *near));
    }
    order
}

pub(super) fn workshop<'a>(change: &Change<'a>, name: &AdapterName) -> Option<&'a Workshop> {
    change.config.providers.get(name)?.workshop.as_ref()
}

/// The times of the workshop's working hours within the window that are not known to be taken: by our other customers,
/// or by what it said before.
pub(super) fn candidates(change: &Change<'_>, id: CaseId, find: &Find, row: &BookingRow) -> Vec<Slot> {
    let Some(case) = change.get::<CaseRow>(&id) else { return Vec::new() };
    let Some(adapter) = &row.adapter else { return Vec::new() };
    let Some(workshop) = workshop(change, adapter) else { return Vec::new() };
    let known = |p| horizon(&case, p);
    let (Some(from), Some(to)) = (find.window.0.span(&known), find.window.1.span(&known)) else { return Vec::new() };
    let taken = taken(change, id, adapter);
    let free = |s: &Slot| !row.gone.contains(&s.start_at) && !taken.contains(&s.start_at);
    workshop.hours.slots(change.now + from, change.now + to).filter(free).take(MAX_CANDIDATES).collect()
}

/// Starts of the times at `adapter` that other cases offer or have.
fn taken(change: &Change<'_>, id: CaseId, adapter: &AdapterName) -> Vec<At> {
    // Also what was offered in this very step.
    let keys: BTreeSet<&Key> = change.base.rows.bookings.keys().chain(change.pending.bookings.keys()).collect();
    let others = keys.into_iter().filter(|(case, _)| *case != id).filter_map(|key| change.get::<BookingRow>(key));
    let here = others.filter(|b| b.adapter.as_ref() == Some(adapter) && b.unwanted.is_none());
    here.flat_map(|b| match b.state {
        BookingState::Done | BookingState::NoShow | BookingState::Cancelled => Vec::new(),
        // The others that were offered with it are free again.
        state if state >= BookingState::Confirmed => b.slot.into_iter().map(|s| s.start_at).collect(),
        _ => b.slot.into_iter().chain(b.offers.iter().map(|o| o.slot)).map(|s| s.start_at).collect(),
    })
    .collect()
}

/// The workshop has said which times are free: the ones to offer are to be kept.
pub(super) fn found(change: &mut Change<'_>, key: &Key, mut row: BookingRow, free: &[Slot]) {
    let plan = change.get::<CaseRow>(&key.0).and_then(|c| change.plan(&c));
    let find = plan.as_ref().and_then(|p| p.step(&key.1)).and_then(|s| match &s.verb {
        Verb::Book(b) => b.find.as_ref(),
        _ => None,
    });
    let (Some(find), Some(adapter)) = (find, row.adapter.clone()) else { return };
    let offered = candidates(change, key.0, find, &row);
    let free: Vec<Slot> = offered.into_iter().filter(|s| free.contains(s)).collect();
    let spread = picked(change, find, &adapter, &free);
    if spread.is_empty() {
        row.search = None;
        row.provider += 1;
        return change.put(key.clone(), row);
    }
    for (n, slot) in spread.into_iter().enumerate() {
        let salt = format!("{}/{n}", row.round);
        let hold = Effect::new(change, Kind::BookHold, &adapter, &key.1, salt).plan(change, key.0);
        row.offers.push(OfferRow { slot, lease: None, until_at: None, hold: Some(hold), state: OfferState::Asked });
    }
    change.put(key.clone(), row);
}

/// Those of the free times that are offered.
fn picked(change: &Change<'_>, find: &Find, adapter: &AdapterName, free: &[Slot]) -> Vec<Slot> {
    let zone = workshop(change, adapter).map_or("UTC", |w| w.hours.zone());
    spread(free, usize::try_from(find.offer).unwrap_or(1), zone)
}

/// `n` of the times, in order: first one a day, then more of the same days.
fn spread(free: &[Slot], n: usize, zone: &str) -> Vec<Slot> {
    let zone = zone_of(zone);
    let day = |s: &Slot| s.start_at.to_jiff().to_zoned(zone.clone()).date();
    let mut picked: Vec<Slot> = Vec::new();
    for slot in free {
        if picked.len() < n && !picked.iter().any(|p| day(p) == day(slot)) {
            picked.push(*slot);
        }
    }
    for slot in free {
        if picked.len() < n && !picked.contains(slot) {
            picked.push(*slot);
        }
    }
    picked.sort_unstable();
    picked
}

/// What the workshop keeps is offered; what it does not is gone.
fn settle(change: &mut Change<'_>, key: &Key, find: &Find, mut row: BookingRow) -> BookingRow {
    for offer in &mut row.offers {
        let state = offer.hold.and_then(|hold| change.get::<EffectRow>(&hold)).map(|e| e.delivery.state);
        if offer.state == OfferState::Asked && state.is_none_or(State::is_lost) {
            offer.state = OfferState::Gone;
        }
    }
    if row.offers.iter().any(|o| o.state == OfferState::Asked) {
        return row;
    }
    let kept = row.offers.iter().filter(|o| o.state == OfferState::Held);
    let until = kept.map(|o| o.until_at.unwrap_or(change.now + find.hold_for)).min();
    let Some(until) = until else {
        row.offers.clear();
        row.search = None;
        return row;
    };
    let n = row.offers.iter().filter(|o| o.state == OfferState::Held).count();
    row.until_at = Some(until.max(change.now + Span::from_mins(1)));
    row.held_at = Some(change.now);
    row.state = BookingState::Held;
    let text = format!("{n} times are kept at {}", row.adapter.as_ref().map_or("", |a| a.as_str()));
    change.say(key.0, TimelineKind::Answered, text, row.search);
    row
}

/// The step whose row a message of `step` speaks of.
pub(super) fn key_of(change: &Change<'_>, id: CaseId) -> Option<Key> {
    change.of_case::<BookingRow, _>(id, StepId::from("")).into_iter().next().map(|(step, _)| (id, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_offered_on_different_days_first() {
        let slot = |h: i64| {
            let start_at = At::from_secs(h * 3_600);
            Slot { start_at, end_at: start_at + Span::from_hours(1) }
        };
        let free: Vec<Slot> = [8, 9, 10, 32, 33, 56].map(slot).to_vec();
        assert_eq!(spread(&free, 3, "UTC"), [8, 32, 56].map(slot));
        assert_eq!(spread(&free, 4, "UTC"), [8, 9, 32, 56].map(slot));
        assert_eq!(spread(&free[..2], 3, "UTC"), [8, 9].map(slot));
    }
}
