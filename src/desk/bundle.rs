//! Several cases of one person, one contact. A message of everyday purpose that is about to go takes along what else waits
//! for the same person over the same way: one text with a part for each trouble, one answer that counts for all of them,
//! one contact for the caps.
//!
//! The message that goes is the carrier. What it carries keeps its own row, in its own case, and stands where its carrier
//! stands: whatever comes of the carrier comes of it, so each case reads on as if it had been told alone. Attempts, questions
//! and answers are the carrier's alone. Everything else here follows from that:
//! - A text can be part of another one if its author wrote it as a part (`<script>.item.txt`); warnings of danger, choices
//!   of a time, and whatever the desk says about one case only go alone.
//! - Who joins is decided in the step that commits the attempt, from the rows, and stands in the same record. A trouble that
//!   is over by then has nothing that waits. Of a call, which is rendered when it is answered, those that are over by then
//!   are left out.
//! - An attempt that has to be repeated sets free what it carried: it is put together again when the time has come.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::change::Change;
use super::claim::{self, Gate};
use super::line::PlaceRow;
use super::rows::{CaseRow, EffectRow, StepRow, Target};
use super::storm::ChildRow;
use super::{TimelineKind, order};
use crate::domain::{At, EffectId, Purpose};
use crate::outbox::Kind;
use crate::playbook::{Part, Until, Verb};

/// The frame around the parts.
pub(super) const SCRIPT: &str = "several";

/// A message that another one carries; the key is its effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RideRow {
    pub(super) with: EffectId,
}

/// The text of the frame, and how many troubles one message of this kind tells: more of them nobody reads to the end.
fn frame(kind: Kind) -> Option<(Part, usize)> {
    match kind {
        Kind::Mail => Some((Part::Text, 10)),
        Kind::Sms => Some((Part::Sms, 3)),
        Kind::Call => Some((Part::Voice, 3)),
        Kind::AppPush => Some((Part::App, 3)),
        _ => None,
    }
}

/// What its step waits for, if it may be told together with others.
fn together(change: &Change<'_>, row: &EffectRow) -> Option<Until> {
    let everyday = row.delivery.purpose != Purpose::Safety && !row.compensation;
    let (part, _) = frame(row.delivery.kind).filter(|_| everyday)?;
    let (Target::Customer { .. }, Some(script)) = (&row.target, &row.script) else { return None };
    let texts = &change.config.messages;
    let sayable = texts.has(script.as_str(), Part::Item) && texts.has(SCRIPT, part) && change.config.links.is_some();
    if !sayable {
        return None;
    }
    let case = change.get::<CaseRow>(&row.case)?;
    let step = change.get::<StepRow>(&(row.case, row.step.clone()))?;
    // A storm tells its people in its own order.
    if step.adhoc.is_some() || change.get::<ChildRow>(&row.case).is_some() {
        return None;
    }
    match &change.plan(&case)?.step(&row.step)?.verb {
        Verb::Reach(reach) if reach.until != Until::AnsweredChoice => Some(reach.until),
        _ => None,
    }
}

/// Until when a message waits for others to the same person (`[contact] bundle`). The first of its step does: a ladder that
/// has begun goes on at its own pace.
pub(super) fn wait(change: &Change<'_>, row: &EffectRow) -> Option<(At, String)> {
    let until = row.planned_at + change.config.contact.bundle;
    if change.now >= until || together(change, row).is_none() {
        return None;
    }
    let begun = |e: &EffectRow| e.step == row.step && e.delivery.first_sent_at.is_some();
    let waits = !change.effects(row.case).iter().any(|(_, e)| begun(e));
    waits.then(|| (until, "what else there may be for the same person, to go in one message".to_owned()))
}

/// Has `row`, which is about to be sent, take along what waits for the same person.
pub(super) fn gather(change: &mut Change<'_>, id: EffectId, row: &EffectRow) {
    let Some(until) = together(change, row).filter(|_| item(change, row).is_some()) else { return };
    let most = frame(row.delivery.kind).map_or(1, |(_, most)| most);
    let joins = |other: &EffectId| {
        let e = change.get::<EffectRow>(other)?;
        let same = e.target == row.target
            && e.adapter == row.adapter
            && e.delivery.kind == row.delivery.kind
            && e.delivery.purpose == row.delivery.purpose;
        let now = || matches!(claim::gate(change, *other, &e), Gate::Open);
        (same && together(change, &e) == Some(until) && now() && item(change, &e).is_some()).then_some(e)
    };
    let waiting = change.waiting_for(&row.target).into_iter().filter(|other| *other != id);
    let joined: Vec<(EffectId, EffectRow)> =
        waiting.filter_map(|other| joins(&other).map(|e| (other, e))).take(most - 1).collect();
    for (other, e) in joined {
        change.put(other, RideRow { with: id });
        change.put(other, EffectRow { waits_for: None, ..e });
        change.delete::<PlaceRow>(other);
    }
}

/// The messages that `id` carries.
pub(super) fn carried(change: &Change<'_>, id: EffectId) -> Vec<(EffectId, EffectRow)> {
    let rows = change.carried_by(id).into_iter();
    rows.filter_map(|other| change.get::<EffectRow>(&other).map(|row| (other, row))).collect()
}

/// The message and all that it carries.
pub(super) fn all(change: &Change<'_>, id: EffectId, row: &EffectRow) -> Vec<(EffectId, EffectRow)> {
    std::iter::once((id, row.clone())).chain(carried(change, id)).collect()
}

/// What went out: the message itself, or the one that carried it.
pub(super) fn carrier(change: &Change<'_>, id: EffectId, row: &EffectRow) -> (EffectId, EffectRow) {
    let with = change.get::<RideRow>(&id).map(|ride| ride.with);
    with.and_then(|with| Some((with, change.get::<EffectRow>(&with)?))).unwrap_or_else(|| (id, row.clone()))
}

/// Whether another message speaks for it.
pub(super) fn is_carried(change: &Change<'_>, id: EffectId) -> bool {
    change.get::<RideRow>(&id).is_some()
}

/// Whatever has come of `id` has come of all that it carries. If it is not under way any more, they go their own ways.
pub(super) fn follow(change: &mut Change<'_>, id: EffectId, row: &EffectRow) -> Vec<(EffectId, EffectRow)> {
    let mut rows = carried(change, id);
    for (other, e) in &mut rows {
        e.delivery = row.delivery.clone();
        change.put(*other, e.clone());
        if row.delivery.state.is_waiting() {
            change.delete::<RideRow>(*other);
        }
    }
    rows
}

/// Nothing can be told with `id`: what was to go with it waits again.
pub(super) fn let_go(change: &mut Change<'_>, id: EffectId) {
    for other in change.carried_by(id) {
        change.delete::<RideRow>(other);
    }
}

/// Says in each case that the message is about several.
pub(super) fn say_sent(change: &mut Change<'_>, id: EffectId, row: &EffectRow, line: &str) {
    let carried = carried(change, id);
    let shorts: Vec<String> = carried.iter().map(|(_, e)| e.case.short()).collect();
    let more = if shorts.is_empty() { String::new() } else { format!(", with the news of case {}", shorts.join(", ")) };
    change.say(row.case, TimelineKind::Sent, format!("{line}{more}"), Some(id));
    for (other, e) in carried {
        let text = format!("{line}, in one message with case {}", row.case.short());
        change.say(e.case, TimelineKind::Sent, text, Some(other));
    }
}

/// What a message tells of its trouble when it is part of another one; `None`: it cannot be said.
fn item(change: &Change<'_>, row: &EffectRow) -> Option<String> {
    let case = change.get::<CaseRow>(&row.case)?;
    let facts = order::facts_for(change, row, &case, row.delivery.kind != Kind::Call);
    let script = row.script.as_ref()?.as_str();
    Some(change.config.messages.render(script, Part::Item, &order::locale(change, row), &facts).ok()?.1)
}

/// `items` of the frame: one text for each trouble.
pub(super) fn items<'r>(change: &Change<'_>, rows: impl IntoIterator<Item = &'r EffectRow>) -> Json {
    rows.into_iter().filter_map(|row| item(change, row)).collect()
}

/// Nothing is left of a message that is forgotten.
pub(super) fn forget(change: &mut Change<'_>, id: EffectId) {
    change.delete::<RideRow>(id);
    for other in change.carried_by(id) {
        change.delete::<RideRow>(other);
    }
}
