//! `book`: an appointment at a workshop, from free times to "it was done".
//!
//! `slots → held → proposed → chosen → confirming → confirmed → reminded → checked_in → done | no_show |
//! changed_by_provider | cancelled`. A row a step that looks for times; whoever confirms works on the row of the step that
//! holds. Decisions are made from that row, whatever made it so: a callback, a poll, a tap, time.
//!
//! - A time is promised only in `confirmed`: until then texts say "you have chosen".
//! - What expires is replaced: while nobody has chosen, new times are kept in place of those whose hold has run out, and
//!   every message and page shows the present ones.
//! - A booking of unknown outcome is never made again unless the workshop says that it has none; a hold of unknown outcome
//!   is let go of, because it ends by itself.

mod choice;
mod facts;
mod hours;
mod invite;
mod offers;
mod order;

use serde::{Deserialize, Serialize};

pub(super) use choice::{Choice, asks, choose, said};
pub(super) use facts::{facts, start_at, word_of};
pub use hours::{Hours, Workshop};
pub(super) use invite::{invitation, is_invitation};
pub(super) use order::work;

use super::TimelineKind;
use super::change::Change;
use super::goals::{self, Wake};
use super::plan::Effect;
use super::rows::{CaseRow, EffectRow, GoalState, StepRow, StepState};
use crate::domain::{AdapterName, At, BookingNews, BookingProgress, CaseId, EffectId, ScriptId, Slot, Span, StepId};
use crate::outbox::{Event, Kind};
use crate::playbook::{Book, Find, Mirror, Playbook, REMINDER_SCRIPT, Reaction, Step, Until, Verb, Via};

/// So often times are looked for in one case; a customer who has not answered by then gets no more of them kept.
const MAX_ROUNDS: u32 = 8;
/// A workshop is asked how a booking stands so often, because its news can be lost.
const POLL_EVERY: Span = Span::from_hours(1);

/// How an appointment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum BookingState {
    /// Free times are looked for.
    Slots,
    /// Times are kept.
    Held,
    /// The customer was told of them.
    Proposed,
    /// The customer has chosen one.
    Chosen,
    /// The workshop was asked to book it.
    Confirming,
    /// It is booked: from here on the time may be promised.
    Confirmed,
    /// The customer was reminded.
    Reminded,
    /// The customer is there.
    CheckedIn,
    /// The work is done.
    Done,
    /// The customer did not come.
    NoShow,
    /// The workshop has moved it, and the customer is being told.
    ChangedByProvider,
    /// Taken back, or not wanted.
    Cancelled,
}

impl BookingState {
    fn stands(self) -> bool {
        matches!(self, Self::Confirmed | Self::Reminded | Self::CheckedIn | Self::ChangedByProvider)
    }
}

/// An appointment; its key is the step that looks for times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct BookingRow {
    pub(super) state: BookingState,
    /// Counts the searches.
    round: u32,
    /// Which workshop, counted from 0 in the order in which they are asked.
    provider: u32,
    pub(super) adapter: Option<AdapterName>,
    search: Option<EffectId>,
    pub(super) offers: Vec<OfferRow>,
    /// Times that turned out to be taken.
    gone: Vec<At>,
    /// Until when all of the offers are kept.
    until_at: Option<At>,
    chosen: Option<u32>,
    /// The message that was answered: the invitation goes to the same person.
    answered: Option<EffectId>,
    /// The customer wants to be called instead.
    wants_call: bool,
    /// The customer wants none of it.
    declined: bool,
    create: Option<EffectId>,
    /// As the workshop names it.
    booking: Option<String>,
    /// What is booked.
    pub(super) slot: Option<Slot>,
    /// Counts the changes of the invitation.
    sequence: u32,
    invite: Option<EffectId>,
    /// The sequence that was last sent.
    invited: Option<u32>,
    poll: Option<EffectId>,
    cancel: Option<EffectId>,
    /// Why it is taken back.
    unwanted: Option<String>,
}

/// A time that is or was offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OfferRow {
    pub(super) slot: Slot,
    lease: Option<String>,
    until_at: Option<At>,
    hold: EffectId,
    pub(super) state: OfferState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OfferState {
    /// The workshop is asked to keep it.
    Asked,
    Held,
    Gone,
}

impl BookingRow {
    fn new() -> Self {
        Self {
            state: BookingState::Slots,
            round: 0,
            provider: 0,
            adapter: None,
            search: None,
            offers: Vec::new(),
            gone: Vec::new(),
            until_at: None,
            chosen: None,
            answered: None,
            wants_call: false,
            declined: false,
            create: None,
            booking: None,
            slot: None,
            sequence: 0,
            invite: None,
            invited: None,
            poll: None,
            cancel: None,
            unwanted: None,
        }
    }

    /// Nothing more will come of it, or a person knows that something may.
    fn is_over(&self) -> bool {
        !self.state.stands() && !matches!(self.state, BookingState::Chosen | BookingState::Confirming)
    }
}

type Key = (CaseId, StepId);

/// The step that looks for the times that `step` books.
fn source<'a>(plan: &'a Playbook, step: &'a Step) -> Option<(&'a Step, &'a Find)> {
    let find = |s: &'a Step| match &s.verb {
        Verb::Book(b) => b.find.as_ref().map(|f| (s, f)),
        _ => None,
    };
    find(step).or_else(|| plan.steps.iter().find_map(find))
}

/// The step that books what the row at `key` has found, and how it reacts.
fn confirming<'a>(plan: &'a Playbook, key: &Key) -> Option<(&'a Step, &'a Book)> {
    plan.steps.iter().find_map(|s| match &s.verb {
        Verb::Book(b) if b.confirm && source(plan, s).is_some_and(|(of, _)| of.id == key.1) => Some((s, &**b)),
        _ => None,
    })
}

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, book: &Book, row: StepRow) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)) else { return };
    let Some((of, _)) = source(&plan, step) else { return };
    let key = (id, of.id.clone());
    let Some(booking) = change.get::<BookingRow>(&key) else {
        change.put(key, BookingRow::new());
        change.touched.insert(id);
        return;
    };
    let ready = if book.confirm { booking.state.stands() } else { booking.state >= BookingState::Held };
    if ready && booking.unwanted.is_none() {
        let by = booking.adapter.as_ref().map_or_else(|| "a workshop".to_owned(), ToString::to_string);
        goals::done(change, id, &step.id, row, step.goal.as_ref(), &by);
    }
}

/// Keeps the appointments of a case in order, whatever step is running.
pub(super) fn upkeep(change: &mut Change<'_>, id: CaseId, wake: &mut Wake) {
    let rows = change.of_case::<BookingRow, _>(id, StepId::from(""));
    let plan = change.get::<CaseRow>(&id).filter(|_| !rows.is_empty()).and_then(|c| change.plan(&c));
    let Some(plan) = plan else { return };
    for (step, _) in rows {
        let key = (id, step);
        // Each round moves it by a state or rests; there are fewer states than this.
        for _ in 0..16 {
            let Some(row) = change.get::<BookingRow>(&key) else { break };
            let next = look(change, &plan, &key, row.clone(), wake);
            // A reaction may have written the row, or closed the case.
            let written = change.get::<BookingRow>(&key);
            if written.as_ref() != Some(&row) {
                continue;
            }
            match next {
                Some(next) if next != row => change.put(key.clone(), next),
                _ => break,
            }
        }
    }
}

/// One look at an appointment: what becomes of its row. `None`: a reaction has taken over.
fn look(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    mut row: BookingRow,
    wake: &mut Wake,
) -> Option<BookingRow> {
    let open = change.get::<CaseRow>(&key.0).is_some_and(|c| c.is_open() && c.backing_out.is_none());
    if row.unwanted.is_some() {
        return Some(take_back(change, plan, key, row));
    }
    if !open {
        return Some(row);
    }
    let of = plan.step(&key.1)?;
    let (_, find) = source(plan, of)?;
    match row.state {
        BookingState::Slots => offers::search(change, plan, key, find, row, wake),
        BookingState::Held | BookingState::Proposed => waits(change, plan, key, row, wake),
        BookingState::Chosen => {
            let (step, _) = confirming(plan, key)?;
            let running =
                change.get::<StepRow>(&(key.0, step.id.clone())).is_some_and(|s| s.state == StepState::Running);
            if running {
                let adapter = row.adapter.clone()?;
                let salt = format!("{}/{}", row.round, row.chosen.unwrap_or(0));
                let effect = Effect::new(change, Kind::BookCreate, &adapter, &key.1, salt).plan(change, key.0);
                row.create = Some(effect);
                row.state = BookingState::Confirming;
            }
            Some(row)
        }
        BookingState::Confirming => {
            let lost = row.create.and_then(|e| change.get::<EffectRow>(&e)).is_none_or(|e| e.delivery.state.is_lost());
            if lost { slot_gone(change, plan, key, row) } else { Some(row) }
        }
        BookingState::Confirmed
        | BookingState::Reminded
        | BookingState::CheckedIn
        | BookingState::ChangedByProvider => {
            row = invite::send(change, plan, key, row);
            remind(change, plan, key, &mut row, wake);
            poll(change, key, &mut row, wake);
            Some(row)
        }
        BookingState::Done | BookingState::NoShow | BookingState::Cancelled => {
            stop_polling(change, &mut row);
            Some(row)
        }
    }
}

/// Times are kept and nobody has chosen yet.
fn waits(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    mut row: BookingRow,
    wake: &mut Wake,
) -> Option<BookingRow> {
    if row.declined {
        let (step, book) = confirming(plan, key)?;
        row.state = BookingState::Cancelled;
        change.put(key.clone(), row);
        react(change, plan, key, book.on.get("customer_declined"), step, "the customer wants no appointment");
        return None;
    }
    if row.state == BookingState::Held && proposed(change, plan, key.0) {
        row.state = BookingState::Proposed;
    }
    // A plan that asks nobody takes the first time that is free.
    let asks = plan.steps.iter().any(|s| matches!(&s.verb, Verb::Reach(r) if r.until == Until::AnsweredChoice));
    if !asks && confirming(plan, key).is_some() {
        row.chosen = row.offers.iter().position(|o| o.state == OfferState::Held).and_then(|n| u32::try_from(n).ok());
        row.state = BookingState::Chosen;
        return Some(row);
    }
    let until = row.until_at?;
    if change.now < until {
        wake.at(until);
        return Some(row);
    }
    change.say(key.0, TimelineKind::Decided, "the times that were kept have run out; new ones are looked for", None);
    row.offers.clear();
    row.search = None;
    row.state = BookingState::Slots;
    Some(row)
}

/// Somebody was told of the times.
fn proposed(change: &Change<'_>, plan: &Playbook, id: CaseId) -> bool {
    let asks = |step: &StepId| {
        plan.step(step).is_some_and(|s| matches!(&s.verb, Verb::Reach(r) if r.until == Until::AnsweredChoice))
    };
    change.effects(id).iter().any(|(_, e)| e.delivery.kind.is_contact() && e.delivery.state.is_taken() && asks(&e.step))
}

/// The time that was chosen is not to be had.
fn slot_gone(change: &mut Change<'_>, plan: &Playbook, key: &Key, mut row: BookingRow) -> Option<BookingRow> {
    let (step, book) = confirming(plan, key)?;
    row.gone.extend(row.slot.take().or_else(|| row.chosen_slot()).map(|s| s.start_at));
    row.state = BookingState::Cancelled;
    change.put(key.clone(), row);
    change.note(key.0, Mirror::Note, "The time that the customer chose is not free any more.");
    react(change, plan, key, book.on.get("slot_gone"), step, "the time that was chosen is not free any more");
    None
}

impl BookingRow {
    fn chosen_slot(&self) -> Option<Slot> {
        self.offers.get(usize::try_from(self.chosen?).ok()?).map(|o| o.slot)
    }
}

/// Carries out a reaction of a step that books; without one a person is asked.
fn react(change: &mut Change<'_>, plan: &Playbook, key: &Key, reaction: Option<&Reaction>, step: &Step, reason: &str) {
    let text = format!("{reason} (step {})", step.id);
    change.say(key.0, TimelineKind::Decided, text.clone(), None);
    match reaction {
        Some(Reaction::AgainStep(from)) => again(change, plan, key, from, &text),
        Some(Reaction::Close(outcome)) => super::case::close(change, key.0, outcome),
        Some(Reaction::Goto(_) | Reaction::Human(_)) => {
            if let Some(r) = reaction {
                goals::react(change, key.0, r, &text);
            }
        }
        _ => goals::page_default(change, key.0, &text),
    }
    change.touched.insert(key.0);
}

/// Looks for other times: the step that does, and all that build on it, begin anew.
fn again(change: &mut Change<'_>, plan: &Playbook, key: &Key, from: &StepId, reason: &str) {
    let Some(old) = change.get::<BookingRow>(key) else { return };
    if old.round >= MAX_ROUNDS {
        return goals::page_default(change, key.0, &format!("{reason}, again and again"));
    }
    let fresh = BookingRow {
        round: old.round,
        provider: old.provider,
        gone: old.gone,
        answered: old.answered,
        ..BookingRow::new()
    };
    change.put(key.clone(), fresh);
    let mut begun: Vec<StepId> = vec![from.clone()];
    // The steps stand in any order, and a step is found once all before it are.
    for _ in 0..plan.steps.len() {
        let more = plan.steps.iter().filter(|s| s.after.iter().any(|a| begun.contains(a)) && !begun.contains(&s.id));
        let more: Vec<StepId> = more.map(|s| s.id.clone()).collect();
        begun.extend(more);
    }
    for step in begun {
        if let Some(goal) = plan.step(&step).and_then(|s| s.goal.as_ref()).filter(|_| step == confirm_id(plan, key)) {
            goals::unmeet(change, key.0, goal, GoalState::Open);
        }
        change.delete::<StepRow>((key.0, step));
    }
}

fn confirm_id(plan: &Playbook, key: &Key) -> StepId {
    confirming(plan, key).map_or_else(|| StepId::from(""), |(s, _)| s.id.clone())
}

/// What a workshop says of `effect`.
pub(super) fn news(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, news: &BookingNews) {
    let key = (row.case, row.step.clone());
    let Some(mut booking) = change.get::<BookingRow>(&key) else { return };
    change.touched.insert(row.case);
    match news {
        BookingNews::Free { slots } if booking.search == Some(effect) => {
            offers::found(change, &key, booking, slots);
        }
        BookingNews::Held { .. } | BookingNews::Gone if row.delivery.kind == Kind::BookHold => {
            let Some(offer) = booking.offers.iter_mut().find(|o| o.hold == effect) else { return };
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
            if of_this {
                stands(change, &key, booking, name, *progress, *slot);
            }
        }
        _ => {}
    }
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
    let adapter = row.adapter.clone().map_or_else(String::new, |a| a.to_string());
    let over = matches!(row.state, Done | NoShow | Cancelled) && row.unwanted.is_none();
    if over || row.unwanted.is_some() {
        if progress == BookingProgress::Cancelled {
            row.state = Cancelled;
        }
        return change.put(key.clone(), row);
    }
    let fresh = row.state == Confirming;
    let wanted = row.slot.or_else(|| row.chosen_slot());
    let at = slot.or(wanted);
    match progress {
        BookingProgress::Pending => {}
        BookingProgress::Confirmed if fresh => {
            // Of several times the one that the workshop has is the true one.
            row.state = Confirmed;
            row.slot = at;
            change.say(key.0, TimelineKind::Answered, format!("{adapter}: the appointment is confirmed"), row.create);
            change.note(key.0, Mirror::Note, &format!("{adapter} has confirmed the appointment."));
        }
        BookingProgress::Confirmed if at != row.slot => {
            row.slot = at;
            row.sequence += 1;
            row.state = ChangedByProvider;
            let text = format!("{adapter} has moved the appointment");
            change.say(key.0, TimelineKind::Trouble, text.clone(), row.create);
            change.note(key.0, Mirror::Note, &format!("{text}."));
            let reaction = confirming(&plan, key).and_then(|(s, b)| Some((s, b.on.get("provider_changed")?)));
            change.put(key.clone(), row);
            match reaction {
                Some((_, Reaction::Reinvite)) => {}
                Some((step, other)) => react(change, &plan, key, Some(other), step, &text),
                None => goals::page_default(change, key.0, &text),
            }
            return;
        }
        // The workshop's own calendar has it, it was neither cancelled nor missed, and it is over.
        BookingProgress::Confirmed if at.is_some_and(|s| change.now >= s.end_at) => ended(change, key, &mut row, Done),
        BookingProgress::Confirmed => {}
        BookingProgress::CheckedIn if row.state != CheckedIn => {
            row.state = CheckedIn;
            change.say(key.0, TimelineKind::Answered, format!("{adapter}: the customer is there"), row.create);
        }
        BookingProgress::CheckedIn => {}
        BookingProgress::Done => ended(change, key, &mut row, Done),
        BookingProgress::NoShow => {
            ended(change, key, &mut row, NoShow);
            change.put(key.clone(), row);
            let confirm = confirming(&plan, key);
            if let Some((step, book)) = confirm {
                react(change, &plan, key, book.on.get("no_show"), step, "the customer did not come");
            }
            return;
        }
        BookingProgress::Cancelled => {
            change.say(key.0, TimelineKind::Trouble, format!("{adapter} has cancelled the appointment"), row.create);
            if row.invited.is_some() {
                row.sequence += 1;
            }
            change.put(key.clone(), row.clone());
            slot_gone(change, &plan, key, row);
            return;
        }
    }
    change.put(key.clone(), row);
}

fn ended(change: &mut Change<'_>, key: &Key, row: &mut BookingRow, state: BookingState) {
    row.state = state;
    let what =
        if state == BookingState::Done { "the appointment has taken place" } else { "the customer did not come" };
    change.say(key.0, TimelineKind::Answered, what, row.create);
    change.note(key.0, Mirror::Note, &format!("{}.", what.replacen('t', "T", 1)));
}

/// The day before.
fn remind(change: &mut Change<'_>, plan: &Playbook, key: &Key, row: &mut BookingRow, wake: &mut Wake) {
    let Some((before, slot)) = confirming(plan, key).and_then(|(_, b)| b.remind).zip(row.slot) else { return };
    let at = slot.start_at - before;
    if row.state != BookingState::Confirmed || change.now >= slot.start_at {
        return;
    }
    if change.now < at {
        return wake.at(at);
    }
    row.state = BookingState::Reminded;
    let who = plan.steps.iter().find_map(|s| match &s.verb {
        Verb::Reach(r) if r.until == Until::AnsweredChoice => Some(r.who.clone()),
        _ => None,
    });
    let mut step = StepRow::new(change.now);
    step.adhoc = Some(super::rows::AdhocReach {
        who: who.unwrap_or_else(|| vec!["owner".into()]),
        script: ScriptId::from(REMINDER_SCRIPT),
        until: Until::Accepted,
        vias: vec![Via::Sms],
        compensation: false,
    });
    let name = format!("{} reminder {}", key.1, row.sequence);
    change.put((key.0, StepId::from(name)), step);
    change.say(key.0, TimelineKind::Decided, "the customer is reminded of the appointment", None);
    change.touched.insert(key.0);
}

/// Asks how the booking stands: every hour, and once it should be over.
fn poll(change: &mut Change<'_>, key: &Key, row: &mut BookingRow, wake: &mut Wake) {
    let (Some(name), Some(create), Some(adapter)) = (row.booking.clone(), row.create, row.adapter.clone()) else {
        return;
    };
    let at = change.now + POLL_EVERY;
    match row.poll.and_then(|p| change.get::<EffectRow>(&p).map(|e| (p, e))) {
        None => {
            let mut effect = Effect::new(change, Kind::BookStatus, &adapter, &key.1, create.to_string());
            effect.about = Some(name);
            effect.parent = Some(create);
            effect.at = at;
            effect.limit_at = Some(At::MAX);
            row.poll = Some(effect.plan(change, key.0));
            wake.at(at);
        }
        Some((poll, mut e)) if !e.delivery.state.is_waiting() && !e.delivery.state.is_in_flight() => {
            e.delivery.rearm(at);
            change.put(poll, e);
            wake.at(at);
        }
        Some(_) => {}
    }
}

fn stop_polling(change: &mut Change<'_>, row: &mut BookingRow) {
    if let Some((poll, mut e)) = row.poll.and_then(|p| change.get::<EffectRow>(&p).map(|e| (p, e)))
        && e.delivery.on(&poll, change.now, &Event::Cancel).is_some()
    {
        change.put(poll, e);
    }
}

/// Takes the appointments of a step back: `book.cancel(step)`.
pub(super) fn cancel_step(change: &mut Change<'_>, id: CaseId, step: &StepId, reason: &str) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)) else { return };
    let Some((of, _)) = plan.step(step).and_then(|s| source(&plan, s)) else { return };
    let key = (id, of.id.clone());
    let Some(mut row) = change.get::<BookingRow>(&key).filter(|r| r.unwanted.is_none()) else { return };
    if matches!(row.state, BookingState::Done | BookingState::NoShow | BookingState::Cancelled) {
        return;
    }
    row.unwanted = Some(reason.to_owned());
    change.put(key, row);
    change.touched.insert(id);
}

/// All of them.
pub(super) fn cancel_all(change: &mut Change<'_>, id: CaseId, reason: &str) {
    for (step, _) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        cancel_step(change, id, &step, reason);
    }
}

/// Lets go of times that are kept or asked for; what is booked stays booked.
pub(super) fn drop_offers(change: &mut Change<'_>, id: CaseId, reason: &str) {
    for (step, row) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        if !row.state.stands() {
            cancel_step(change, id, &step, reason);
        }
    }
}

fn take_back(change: &mut Change<'_>, plan: &Playbook, key: &Key, mut row: BookingRow) -> BookingRow {
    stop_polling(change, &mut row);
    if row.state == BookingState::Cancelled {
        return invite::send(change, plan, key, row);
    }
    let create = row.create.and_then(|e| change.get::<EffectRow>(&e).map(|r| (e, r)));
    if let Some((effect, mut e)) = create.clone()
        && e.delivery.on(&effect, change.now, &Event::Cancel).is_some()
    {
        change.put(effect, e);
    }
    match (&row.booking, row.cancel) {
        (Some(name), None) => {
            let Some(adapter) = row.adapter.clone() else { return row };
            let mut effect = Effect::new(change, Kind::BookCancel, &adapter, &key.1, name.clone());
            effect.about = Some(name.clone());
            effect.parent = row.create;
            effect.compensation = true;
            row.cancel = Some(effect.plan(change, key.0));
            change.say(
                key.0,
                TimelineKind::Decided,
                format!("{adapter} is asked to cancel the appointment"),
                row.cancel,
            );
            change.note(key.0, Mirror::Note, "The appointment is being cancelled.");
        }
        (Some(_), Some(cancel)) => {
            let state = change.get::<EffectRow>(&cancel).map(|e| e.delivery.state);
            if state.is_none_or(|s| s.is_taken() || s.is_lost()) {
                row.state = BookingState::Cancelled;
                row.sequence += 1;
            }
        }
        // Nothing was booked, as far as anybody knows; a booking of unknown outcome is cancelled when it turns up.
        (None, _) => {
            let gone = create.is_none_or(|(_, e)| e.delivery.state.is_lost() || e.delivery.state.is_waiting());
            if gone {
                row.state = BookingState::Cancelled;
            }
        }
    }
    row
}

/// Whether everything that was to be taken back is.
pub(super) fn is_settled(change: &Change<'_>, id: CaseId) -> bool {
    change.of_case::<BookingRow, _>(id, StepId::from("")).iter().all(|(_, b)| b.unwanted.is_none() || b.is_over())
}

/// Whether the customer was told of times.
pub(super) fn was_offered(change: &Change<'_>, id: CaseId) -> bool {
    let plan = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c));
    plan.is_some_and(|plan| proposed(change, &plan, id))
}

/// The times that a message would offer are just being looked for: it waits for them.
pub(super) fn is_looking(change: &Change<'_>, row: &EffectRow) -> bool {
    asks(change, row) && word_of(change, row.case) == "slots"
}

/// The workshop is being asked right now, or a customer is coming: the case is not over.
pub(super) fn under_way(change: &Change<'_>, id: CaseId) -> bool {
    change.of_case::<BookingRow, _>(id, StepId::from("")).iter().any(|(_, b)| b.state == BookingState::Confirming)
}
