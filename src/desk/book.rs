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
//! - What is booked, or was just asked for, outlives its case when a person closes it: what changes it is still told to both
//!   sides. Reminders and other times are part of a plan that is over; a person is asked instead. The same fault opens that
//!   case again however long ago it was closed, by the plan that has booked, and finds its appointment: there is never a
//!   second one beside it. A false alarm takes it back.

mod astray;
mod choice;
mod facts;
mod hours;
mod invite;
mod letter;
mod mail;
mod news;
mod offers;
mod order;
mod outlive;
mod page;
mod react;
mod undo;
mod upkeep;

use serde::{Deserialize, Serialize};

pub(super) use astray::not_meant;
pub(super) use choice::{By, Choice, asks, choices, choose, not_taken, said, what_is_so};
pub(super) use facts::{facts, start_at, word_of};
pub use hours::{ByMail, Hours, Workshop};
pub(super) use letter::{LetterRow, facts as letter_facts, invitation, is_letter, reader, takes_back};
pub(super) use mail::{facts as request_facts, said as said_by_workshop, wished};
pub(super) use news::news;
pub(super) use order::work;
pub(super) use outlive::{is_live, reopened};
pub(super) use page::{facts as page_facts, is_request, posted, view as page_view};
pub(super) use undo::{cancel_all, cancel_step, drop_offers};

use super::TimelineKind;
use super::change::Change;
use super::goals::{self, Wake};
use super::lookup::Appointment;
use super::plan::Effect;
use super::rows::{CaseRow, EffectRow, StepRow, StepState};
use crate::domain::{AdapterName, At, CaseId, EffectId, Slot, StepId};
use crate::outbox::Kind;
use crate::playbook::{BOOK_ROUNDS, Book, Find, Playbook, Reach, Step, Until, Verb};

/// So often times are looked for in one case; a customer who has not answered by then gets no more of them kept.
const MAX_ROUNDS: u32 = BOOK_ROUNDS;

/// How an appointment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(super) enum BookingState {
    /// Free times are looked for.
    #[default]
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// Since when the offers are kept: a message that is older speaks of others.
    held_at: Option<At>,
    /// Until when all of them are.
    until_at: Option<At>,
    chosen: Option<u32>,
    /// The messages that were answered with what is so: the invitation goes to whom the first of them did.
    answered: Vec<EffectId>,
    /// The customer wants to be called instead.
    wants_call: bool,
    /// The customer wants none of it.
    declined: bool,
    create: Option<EffectId>,
    /// A workshop that is asked by mail has answered by then.
    answer_by: Option<At>,
    /// As the workshop names it.
    booking: Option<String>,
    /// What is booked.
    pub(super) slot: Option<Slot>,
    /// Since when that is so.
    told_at: Option<At>,
    /// The workshop's count of its news that was heard last, if it counts them.
    seq: Option<u64>,
    /// When it last spoke up without being asked.
    heard_at: Option<At>,
    /// Counts the changes of the invitation.
    sequence: u32,
    invite: Option<EffectId>,
    /// The sequence that was last sent.
    invited: Option<u32>,
    /// The same of a workshop that is asked by mail; its request is 0.
    updated: u32,
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
    /// Asks the workshop to keep it; `None`: it is kept on our side alone.
    hold: Option<EffectId>,
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
    /// Nothing more will come of it, or a person knows that something may.
    fn is_over(&self) -> bool {
        !self.state.stands() && !matches!(self.state, BookingState::Chosen | BookingState::Confirming)
    }

    /// For whoever has the customer on the line.
    pub(super) fn appointment(&self) -> Option<Appointment> {
        let workshop = self.adapter.as_ref()?.to_string();
        Some(Appointment { workshop, state: self.state.word().to_owned(), start_at: self.slot.map(|s| s.start_at) })
    }

    fn chosen_slot(&self) -> Option<Slot> {
        self.offers.get(usize::try_from(self.chosen?).ok()?).map(|o| o.slot)
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

/// The step that asks the customer which time it is to be, if the plan asks.
fn proposing(plan: &Playbook) -> Option<(&Step, &Reach)> {
    plan.steps.iter().find_map(|s| match &s.verb {
        Verb::Reach(r) if r.until == Until::AnsweredChoice => Some((s, r)),
        _ => None,
    })
}

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, book: &Book, row: StepRow) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)) else { return };
    let Some((of, _)) = source(&plan, step) else { return };
    let key = (id, of.id.clone());
    let Some(booking) = change.get::<BookingRow>(&key) else {
        change.put(key, BookingRow::default());
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
    if row.unwanted.is_some() {
        let row = undo::take_back(change, plan, key, row, wake);
        return outlive::look_anew(change, key, &row).then_some(row);
    }
    let open = change.get::<CaseRow>(&key.0).is_some_and(|c| c.is_open() && c.backing_out.is_none());
    if !open && row.state < BookingState::Confirming {
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
                row.state = BookingState::Confirming;
                if mail::office(change, &row).is_none() {
                    let adapter = row.adapter.clone()?;
                    let salt = format!("{}/{}", row.round, row.chosen.unwrap_or(0));
                    row.create =
                        Some(Effect::new(change, Kind::BookCreate, &adapter, &key.1, salt).plan(change, key.0));
                } else {
                    // Without a mail server it is at once as if nobody had answered.
                    mail::ask(change, key, &mut row);
                }
            }
            Some(row)
        }
        BookingState::Confirming => {
            let never = undo::has_come_to_nothing(change, row.create);
            if mail::office(change, &row).is_some() {
                return mail::waits(change, plan, key, row, never, wake);
            }
            // A person knows of what nobody can tell; once its time is over, no second one can stand beside it.
            let over_at = row.chosen_slot().map(|slot| slot.end_at + upkeep::NO_NEWS);
            if !never && over_at.is_none_or(|at| change.now < at) {
                wake.at(over_at);
                return Some(upkeep::pends(change, key, row, wake));
            }
            react::slot_gone(change, plan, key, row, "the time that was chosen is not free any more");
            None
        }
        BookingState::Confirmed
        | BookingState::Reminded
        | BookingState::CheckedIn
        | BookingState::ChangedByProvider => Some(upkeep::stands(change, plan, key, row, wake)),
        BookingState::Done | BookingState::NoShow | BookingState::Cancelled => {
            upkeep::stop_polling(change, &row);
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
        react::react(change, plan, key, book.on.get("customer_declined"), step, "the customer wants no appointment");
        return None;
    }
    if row.state == BookingState::Held && proposed(change, plan, key.0) {
        row.state = BookingState::Proposed;
    }
    // A plan that asks nobody takes the first time that is free.
    if proposing(plan).is_none() && confirming(plan, key).is_some() {
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
    let Some((step, _)) = proposing(plan) else { return false };
    let told = |e: &EffectRow| e.step == step.id && e.delivery.kind.is_contact() && e.delivery.state.is_taken();
    change.effects_since_opened(id).iter().any(|(_, e)| told(e))
}

/// Whether everything that was to be taken back is.
pub(super) fn is_settled(change: &Change<'_>, id: CaseId) -> bool {
    change
        .of_case::<BookingRow, _>(id, StepId::from(""))
        .iter()
        .all(|(_, row)| row.unwanted.is_none() || row.is_over() || undo::is_refused(change, row))
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
