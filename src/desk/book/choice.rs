//! What the customer says to the times that are offered, by whatever way: a tap, a key, a reply.

use serde_json::{Value as Json, json};

use super::super::change::Change;
use super::super::rows::{CaseRow, EffectRow};
use super::super::{TimelineKind, goals, news, notes, order, pages, speech, wrong};
use super::{BookingRow, BookingState, Key, OfferState, offers, word_of};
use crate::domain::{CaseId, EffectId};
use crate::playbook::{CHOICE_SCRIPT, Mirror, Part, Until, Verb};

/// What the customer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Choice {
    /// The time with this number, counted from 1.
    Slot(u32),
    /// Call me.
    Call,
    /// No thanks.
    None,
}

impl Choice {
    /// As it is written down.
    pub(in super::super) fn word(self) -> String {
        match self {
            Self::Slot(n) => format!("time {n}"),
            Self::Call => "call".to_owned(),
            Self::None => "none".to_owned(),
        }
    }

    /// From a key, the word of a form, or a reply: `1` to `6`, `0` or `call`, `none` (a key `*`).
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "0" | "call" => Some(Self::Call),
            "*" | "none" => Some(Self::None),
            n => n.parse().ok().filter(|n| (1..=6).contains(n)).map(Self::Slot),
        }
    }
}

/// Whether `row` is a message that offers times.
pub(in super::super) fn asks(change: &Change<'_>, row: &EffectRow) -> bool {
    let plan = change.get::<CaseRow>(&row.case).and_then(|c| change.plan(&c));
    plan.as_ref().and_then(|p| p.step(&row.step)).is_some_and(|s| match &s.verb {
        Verb::Reach(r) => r.until == Until::AnsweredChoice,
        _ => false,
    })
}

/// What the customer has said so far, as `view.answer` and the proof of a step have it: the number of a time, `call` or
/// `none`.
pub(in super::super) fn said(change: &Change<'_>, id: CaseId) -> Option<String> {
    let key = offers::key_of(change, id)?;
    let row = change.get::<BookingRow>(&key).filter(|row| row.unwanted.is_none())?;
    match (row.chosen, row.declined, row.wants_call) {
        (Some(n), ..) if row.state != BookingState::Cancelled => Some((n + 1).to_string()),
        (_, true, _) => Some("none".to_owned()),
        (_, _, true) => Some("call".to_owned()),
        _ => None,
    }
}

/// By which way an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum By {
    /// A key in a call, in which the present times are read out.
    Key,
    /// A button in the app.
    App,
    /// The page, with the times of this search on it.
    Page(Option<u32>),
    /// Words in answer to a message.
    Reply,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::App | Self::Page(_) => "tap",
            Self::Reply => "reply",
        }
    }
}

/// Whether the number of a time means another one than those that are kept now.
fn is_stale(row: &EffectRow, booking: &BookingRow, by: By) -> bool {
    match by {
        By::Key => false,
        By::Page(round) => round.is_some_and(|round| round != booking.round),
        By::App | By::Reply => row.delivery.sent_at < booking.held_at,
    }
}

/// Takes an answer to the message `effect`. Another one may follow until the workshop is asked; `false`: it comes too
/// late, there is no such time (any more), or whoever answers has said that they are not meant.
pub(in super::super) fn choose(
    change: &mut Change<'_>,
    effect: EffectId,
    row: &EffectRow,
    choice: Choice,
    by: By,
) -> bool {
    let open = change.get::<CaseRow>(&row.case).is_some_and(|c| c.is_open() && c.backing_out.is_none());
    let Some(key) = offers::key_of(change, row.case).filter(|_| open && asks(change, row)) else { return false };
    let Some(booking) = change.get::<BookingRow>(&key) else { return false };
    if wrong::went_astray(change, row) || (matches!(choice, Choice::Slot(_)) && is_stale(row, &booking, by)) {
        return false;
    }
    take(change, effect, row, &key, booking, choice, by.as_str())
}

fn take(
    change: &mut Change<'_>,
    effect: EffectId,
    row: &EffectRow,
    key: &Key,
    mut booking: BookingRow,
    choice: Choice,
    by: &str,
) -> bool {
    if is_so(&booking, choice) {
        // It stands as long as one of them does.
        if !is_beside(&booking, choice) && !booking.answered.contains(&effect) {
            booking.answered.push(effect);
            change.put(key.clone(), booking);
            confirmed(change, effect, row, by);
        }
        return true;
    }
    let free = matches!(booking.state, BookingState::Held | BookingState::Proposed | BookingState::Chosen);
    let text = match choice {
        Choice::Slot(n) => {
            let index = n - 1;
            let kept = usize::try_from(index).ok().and_then(|i| booking.offers.get(i));
            if !free || kept.is_none_or(|o| o.state != OfferState::Held) {
                return false;
            }
            booking.chosen = Some(index);
            booking.declined = false;
            booking.state = BookingState::Chosen;
            format!("chose time {n} ({by})")
        }
        Choice::Call => {
            booking.wants_call = true;
            format!("asked to be called ({by})")
        }
        Choice::None if !free => return false,
        Choice::None => {
            booking.declined = true;
            booking.chosen = None;
            booking.state = BookingState::Proposed;
            format!("wants no appointment ({by})")
        }
    };
    if !is_beside(&booking, choice) {
        booking.answered = vec![effect];
    }
    change.put(key.clone(), booking);
    change.touched.insert(row.case);
    let whom = notes::whom(change, row);
    change.say(row.case, TimelineKind::Answered, format!("{whom} {text}"), Some(effect));
    change.note(row.case, Mirror::Contact, &format!("Answered: {whom} {text}."));
    confirmed(change, effect, row, by);
    if choice == Choice::Call {
        match speech::queue_of(change, row) {
            Some(queue) => pages::page(change, row.case, &queue, "the customer asks to be called"),
            None => goals::page_default(change, row.case, "the customer asks to be called"),
        }
    }
    true
}

/// Said again, while the workshop is asked or afterwards, it is what was chosen.
fn is_so(booking: &BookingRow, choice: Choice) -> bool {
    match choice {
        Choice::Slot(n) => booking.chosen == Some(n - 1) && booking.state != BookingState::Cancelled,
        Choice::Call => booking.wants_call,
        Choice::None => booking.declined,
    }
}

/// Whoever is to be called has not chosen what somebody else has.
fn is_beside(booking: &BookingRow, choice: Choice) -> bool {
    choice == Choice::Call && booking.chosen.is_some()
}

fn confirmed(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, by: &str) {
    news::contact(change, effect, row, |c| {
        c.result = format!("human_confirmed({by})");
        c.confirmed_by = Some(by.to_owned());
    });
}

/// An answer that `choose` did not take. Whoever wants another time than the one that is booked or just asked for, or none, is
/// heard by a person.
pub(in super::super) fn not_taken(change: &mut Change<'_>, row: &EffectRow, choice: Choice) {
    let booked = ["chosen", "confirming", "confirmed", "reminded", "changed_by_provider"];
    if asks(change, row) && !wrong::went_astray(change, row) && booked.contains(&word_of(change, row.case)) {
        let text = format!("{} has answered: {}", notes::whom(change, row), choice.word());
        goals::page_default(change, row.case, &text);
    }
}

/// The buttons of a message in the app that offers times: key, script of its label, facts of the label.
pub(in super::super) fn choices(facts: &Json) -> Vec<(char, &'static str, Json)> {
    let offers = facts["booking"]["offers"].as_array().cloned().unwrap_or_default();
    let slots = offers.into_iter().filter_map(|offer| {
        let n = u32::try_from(offer["n"].as_u64()?).ok()?;
        Some((char::from_digit(n, 10)?, "choice-time", json!({ "booking": offer })))
    });
    slots.chain([('0', "choice-2", json!({})), ('*', "choice-none", json!({}))]).collect()
}

/// What is so after an answer that came as words, in the language of whoever gave it: which time, none, a call, or that the
/// answer meant nothing that can be had.
pub(in super::super) fn what_is_so(change: &Change<'_>, row: &EffectRow, taken: bool) -> Option<String> {
    let case = change.get::<CaseRow>(&row.case)?;
    let mut facts = order::facts_for(change, row, &case, true);
    // Whoever is not meant is told nothing of what the others have arranged.
    let open = case.is_open() && case.backing_out.is_none() && !wrong::went_astray(change, row);
    let state = if !open {
        "over"
    } else if taken {
        "done"
    } else {
        "open"
    };
    facts["view"] = json!({ "state": state, "answer": said(change, row.case), "open": open });
    let locale = order::locale(change, row);
    change.config.messages.render(CHOICE_SCRIPT, Part::Sms, &locale, &facts).ok().map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_the_same_by_every_way() {
        for (text, meaning) in [
            ("1", Some(Choice::Slot(1))),
            (" 3 ", Some(Choice::Slot(3))),
            ("0", Some(Choice::Call)),
            ("call", Some(Choice::Call)),
            ("*", Some(Choice::None)),
            ("none", Some(Choice::None)),
            ("7", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(Choice::parse(text), meaning, "{text:?}");
        }
    }
}
