//! A workshop without an API (`kind = "ical-workshop"`): it is asked by a mail with the appointment for its calendar and a
//! link, and answers by the link, by the buttons of its calendar, or with a mail.
//!
//! Nobody can be asked there which times are free, so those of its hours that none of our customers has are offered, and
//! kept on our side alone. Its yes is what books. A no, or silence until its time to answer is over, goes to the next
//! workshop; a request that may have arrived is taken back first, so that no two workshops wait for one customer.
//!
//! The appointment in its calendar came from us: by RFC 5546 we are its organizer, and nobody else can change it. A workshop
//! that moves it on its page or in its calendar asks us to (in the words there, a COUNTER that we accept), and its calendar
//! shows the old time until our REQUEST with a higher SEQUENCE comes. So it gets that update although the change is its own;
//! it is not asked again whether it agrees. As long as it has not said yes, another time is one that the customer has not
//! chosen, and a person decides.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::change::Change;
use super::super::goals::Wake;
use super::super::plan::Effect;
use super::super::quiet::zone_of;
use super::super::rows::{CaseRow, EffectRow};
use super::super::{Reply, news, talk};
use super::letter::{self, LetterRow, To};
use super::react::slot_gone;
use super::{BookingRow, BookingState, ByMail, Key, offers, order, page};
use crate::domain::{
    AdapterName, At, BookingNews, BookingProgress, CalendarAnswer, CaseId, EffectId, Receipt, ReceiptKind, Said,
    ScriptId, Sender, Slot, StepId,
};
use crate::outbox::Kind;
use crate::playbook::{Playbook, ProviderKind, REQUEST_SCRIPT};

/// How the workshop of an appointment is reached, if by mail.
pub(super) fn office<'a>(change: &Change<'a>, row: &BookingRow) -> Option<&'a ByMail> {
    offers::workshop(change, row.adapter.as_ref()?)?.by_mail.as_ref()
}

/// Asks the workshop for the time that was chosen. `false`: there is no way to.
pub(super) fn ask(change: &mut Change<'_>, key: &Key, row: &mut BookingRow) -> bool {
    let (Some(office), Some(slot)) = (office(change, row), row.chosen_slot()) else { return false };
    let answer_by = (change.now + office.answer_within).min(slot.start_at);
    let salt = format!("{}/{}", row.round, row.chosen.unwrap_or(0));
    let Some((mut effect, mut letter)) = request(change, key, row, Kind::BookCreate, slot, salt) else { return false };
    effect.limit_at = Some(answer_by);
    letter.uid = String::new();
    let id = letter::plan(change, key, effect, letter.clone());
    // Its calendar knows the appointment by the effect that made it.
    change.put(id, LetterRow { uid: id.to_string(), ..letter });
    row.create = Some(id);
    row.booking = Some(id.to_string());
    row.answer_by = Some(answer_by);
    true
}

/// Takes the request back, or the appointment that came of it.
pub(super) fn cancel(change: &mut Change<'_>, key: &Key, row: &BookingRow) -> Option<EffectId> {
    let create = row.create?;
    let slot = row.slot.or_else(|| row.chosen_slot())?;
    let salt = format!("cancel {create}");
    let (mut effect, letter) = request(change, key, row, Kind::BookCancel, slot, salt)?;
    effect.about = Some(create.to_string());
    effect.parent = Some(create);
    effect.compensation = true;
    let letter = LetterRow { cancelled: true, uid: create.to_string(), sequence: row.sequence + 1, ..letter };
    Some(letter::plan(change, key, effect, letter))
}

/// Brings the workshop's calendar up to date.
pub(super) fn update(change: &mut Change<'_>, key: &Key, row: &mut BookingRow) {
    let (Some(create), Some(slot)) = (row.create, row.slot) else { return };
    if row.updated == row.sequence || office(change, row).is_none() {
        return;
    }
    row.updated = row.sequence;
    let salt = format!("update {create}/{}", row.sequence);
    let Some((mut effect, letter)) = request(change, key, row, Kind::Mail, slot, salt) else { return };
    effect.parent = Some(create);
    effect.compensation = true;
    let letter = LetterRow { moved: true, uid: create.to_string(), sequence: row.sequence, ..letter };
    letter::plan(change, key, effect, letter);
}

fn request(
    change: &Change<'_>,
    key: &Key,
    row: &BookingRow,
    kind: Kind,
    slot: Slot,
    salt: String,
) -> Option<(Effect, LetterRow)> {
    let provider = change.config.provider_of(ProviderKind::Smtp)?;
    let mut effect = Effect::new(change, kind, provider, &key.1, salt);
    effect.script = Some(ScriptId::from(REQUEST_SCRIPT));
    let letter = LetterRow {
        to: To::Workshop,
        cancelled: false,
        moved: false,
        uid: String::new(),
        sequence: 0,
        slot,
        workshop: row.adapter.clone()?,
        alarm: None,
    };
    Some((effect, letter))
}

/// The workshop was asked and has not answered yet. `None`: it will not.
pub(super) fn waits(
    change: &mut Change<'_>,
    plan: &Playbook,
    key: &Key,
    mut row: BookingRow,
    lost: bool,
    wake: &mut Wake,
) -> Option<BookingRow> {
    let silent = row.answer_by.is_none_or(|at| change.now >= at);
    if !lost && !silent {
        wake.at(row.answer_by);
        return Some(row);
    }
    let sent = row.create.and_then(|e| change.get::<EffectRow>(&e)).is_some_and(|e| e.delivery.first_sent_at.is_some());
    if sent {
        cancel(change, key, &row);
    }
    let adapter = row.adapter.as_ref().map_or_else(String::new, ToString::to_string);
    row.provider += 1;
    let how = if silent { "does not answer" } else { "cannot be reached" };
    slot_gone(change, plan, key, row, &format!("{adapter} {how}"));
    None
}

/// What the workshop's page and mail say besides the appointment: what is to be done, for whom. `person`: also who that is.
pub(in super::super) fn facts(change: &Change<'_>, effect: EffectId, person: bool) -> Json {
    let asked = change.get::<EffectRow>(&effect).and_then(|r| change.get::<EffectRow>(&r.parent.unwrap_or(effect)));
    let case = asked.as_ref().and_then(|r| change.get::<CaseRow>(&r.case));
    let (Some(asked), Some(case)) = (asked, case) else { return json!({}) };
    let booking = change.get::<BookingRow>(&(asked.case, asked.step.clone()));
    let who = booking.filter(|_| person).map_or_else(BTreeMap::new, |b| order::who(change, &case, &b));
    json!({
        "service": order::service(change, asked.case, &case, &asked).unwrap_or_default(),
        "customer": who.get("name").cloned().unwrap_or_default(),
        "phone": who.get("phone").cloned().unwrap_or_default(),
    })
}

/// Whether somebody who writes to the address of a case is the workshop that it asked.
fn asked_by(change: &Change<'_>, said: &Said) -> Option<(CaseId, StepId, BookingRow, AdapterName)> {
    let (Sender::Email(from), Some(case)) = (&said.from, said.case) else { return None };
    let rows = change.of_case::<BookingRow, _>(case, StepId::from(""));
    rows.into_iter().find_map(|(step, row)| {
        let mine = office(change, &row).is_some_and(|o| o.mailbox.eq_ignore_ascii_case(from.trim()));
        let adapter = row.adapter.clone().filter(|_| mine)?;
        Some((case, step, row, adapter))
    })
}

/// A workshop answers with a mail, or its calendar does: `yes` is what the words say, if they say one of the two.
/// `None`: it is not a workshop that writes.
pub(in super::super) fn said(change: &mut Change<'_>, said: &Said, yes: Option<bool>) -> Option<Reply> {
    let (case, _, row, adapter) = asked_by(change, said)?;
    let calendar = said.calendar.as_ref().filter(|c| row.create.is_some_and(|e| c.uid == e.to_string()));
    let answer = match &said.calendar {
        Some(_) => calendar.map(|c| c.answer),
        // Words can mean anything once it is booked; a calendar means the appointment.
        None if row.state == BookingState::Confirming => {
            yes.map(|yes| if yes { CalendarAnswer::Yes } else { CalendarAnswer::No })
        }
        None => None,
    };
    let understood = answer.and_then(|answer| understood(change, &row, answer));
    let meaning = understood.map(|(progress, slot)| match (progress, slot) {
        (BookingProgress::Cancelled, _) => "declined",
        (_, Some(_)) => "moved it",
        _ => "accepted",
    });
    if !talk::by_workshop(change, case, &adapter, said, meaning) {
        return Some(Reply::Done);
    }
    match (understood, row.create, answer) {
        (Some((progress, slot)), Some(effect), _) => tell(change, effect, progress, slot),
        (.., Some(CalendarAnswer::Counter { start_at, .. })) => {
            let zone = offers::workshop(change, &adapter).map_or("UTC", |w| w.hours.zone());
            talk::workshop_waits(
                change,
                case,
                &adapter,
                said,
                &format!("asks for another time{}", wished(start_at, zone)),
            );
        }
        // A calendar that says "perhaps", or twice the same, tells nobody anything new.
        _ if said.calendar.is_some() && said.text.is_empty() => {}
        _ => talk::workshop_waits(change, case, &adapter, said, "has written"),
    }
    Some(Reply::Done)
}

/// What an answer does to the appointment, if that is certain. Another time for what is booked is the workshop's to say;
/// for what it is only asked for, the customer has chosen one.
fn understood(
    change: &Change<'_>,
    row: &BookingRow,
    answer: CalendarAnswer,
) -> Option<(BookingProgress, Option<Slot>)> {
    let asked = row.state == BookingState::Confirming;
    match answer {
        CalendarAnswer::Yes if asked => Some((BookingProgress::Confirmed, None)),
        CalendarAnswer::No if asked || row.state.stands() => Some((BookingProgress::Cancelled, None)),
        // One that was sent before it moved was about the time before.
        CalendarAnswer::Counter { start_at, sequence } if row.state.stands() && sequence >= row.sequence => {
            let slot = page::at_another_time(change, row.slot?, start_at?)?;
            Some((BookingProgress::Confirmed, Some(slot)))
        }
        _ => None,
    }
}

/// The time that a calendar asks for, for people to read: ` (2026-11-25 14:30 CET)`.
pub(in super::super) fn wished(start_at: Option<At>, zone: &str) -> String {
    let local = start_at.map(|at| at.to_jiff().to_zoned(zone_of(zone)).strftime(" (%Y-%m-%d %H:%M %Z)").to_string());
    local.unwrap_or_default()
}

/// The workshop says so.
pub(super) fn tell(change: &mut Change<'_>, effect: EffectId, progress: BookingProgress, slot: Option<Slot>) {
    let news = BookingNews::Stands { booking: effect.to_string(), progress, slot };
    let what = ReceiptKind::Booking { news };
    news::receipt(change, &Receipt { effect, provider_ref: None, seq: None, what });
}
