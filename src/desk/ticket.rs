//! `ticket`: opened once, told of what happens, closed with the case.
//!
//! Articles go out one at a time: lines that arrive meanwhile wait in the row and become the next one, so that the
//! order is kept and a busy minute is one article.

use super::change::Change;
use super::facts::{Reader, context};
use super::plan::Effect;
use super::rows::{CaseRow, EffectRow, StepRow, StepState, TicketRow};
use super::{case, goals, notes};
use crate::domain::{CaseId, StepId};
use crate::outbox::Kind;
use crate::playbook::{Mirror, Playbook, Step, Ticket, Verb};

/// The most lines that wait for their article.
const MAX_PENDING: usize = 200;

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, t: &Ticket, mut row: StepRow) {
    let key = (id, step.id.clone());
    if let Some(link) = change.get::<TicketRow>(&key) {
        // Opening it is not the end if the fault itself is to solve it.
        if link.ticket.is_some() && t.device_back.is_some() {
            return;
        }
        if let Some(ticket) = link.ticket {
            return goals::done(
                change,
                id,
                &step.id,
                row,
                step.goal.as_ref(),
                &format!("{} ticket {ticket}", link.desk),
            );
        }
        let lost = change.get::<EffectRow>(&link.create).is_none_or(|e| e.delivery.state.is_lost());
        if !lost {
            return;
        }
        if row.effect.is_some() {
            row.state = StepState::Failed;
            change.put(key, row);
            return goals::page_default(change, id, &format!("no ticket could be opened (step {})", step.id));
        }
    }
    let run = change.get::<CaseRow>(&id).map_or(1, |c| c.run);
    let mut effect = Effect::new(change, Kind::TicketCreate, &t.desk, &step.id, run.to_string());
    effect.script.clone_from(&t.script);
    let create = effect.plan(change, id);
    let link = TicketRow {
        create,
        desk: t.desk.clone(),
        ticket: None,
        pending: Vec::new(),
        note: None,
        notes: 0,
        close: None,
        close_effect: None,
    };
    change.put(key.clone(), link);
    row.effect = Some(create);
    change.put(key, row);
}

/// The desk has the ticket.
pub(super) fn opened(change: &mut Change<'_>, id: CaseId, step: &StepId, ticket: &str) {
    let key = (id, step.clone());
    if let Some(mut link) = change.get::<TicketRow>(&key) {
        link.ticket = Some(ticket.to_owned());
        change.put(key, link);
    }
}

/// Passes a line on to the tickets that mirror such news.
pub(super) fn mirror(change: &mut Change<'_>, id: CaseId, what: Mirror, text: &str) {
    let plan = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c));
    for (step, link) in change.of_case::<TicketRow, _>(id, StepId::from("")) {
        let wanted = plan.as_ref().and_then(|p| p.step(&step)).is_some_and(|s| match &s.verb {
            Verb::Ticket(t) => t.mirror.contains(&what),
            _ => false,
        });
        if wanted {
            add(change, id, step, link, text);
        }
    }
}

/// Adds a line to every ticket of the case.
pub(super) fn note(change: &mut Change<'_>, id: CaseId, text: &str) {
    for (step, link) in change.of_case::<TicketRow, _>(id, StepId::from("")) {
        add(change, id, step, link, text);
    }
}

fn add(change: &mut Change<'_>, id: CaseId, step: StepId, mut link: TicketRow, text: &str) {
    if link.pending.len() < MAX_PENDING {
        let clock = change.now.to_jiff().strftime("%H:%M:%S");
        link.pending.push(format!("{clock} UTC  {text}"));
        change.put((id, step), link);
        change.touched.insert(id);
    }
}

/// The case is over: its tickets are closed after their last article.
pub(super) fn close_all(change: &mut Change<'_>, id: CaseId, outcome: &str) {
    for (step, mut link) in change.of_case::<TicketRow, _>(id, StepId::from("")) {
        if link.close.is_none() {
            link.close = Some(outcome.to_owned());
            change.put((id, step), link);
            change.touched.insert(id);
        }
    }
}

/// The case is open again: so are its tickets, with an article that says why.
pub(super) fn open_again(change: &mut Change<'_>, id: CaseId, text: &str) {
    for (step, mut link) in change.of_case::<TicketRow, _>(id, StepId::from("")) {
        link.close = None;
        add(change, id, step, link, text);
    }
}

/// The fault has gone by itself: a ticket that says so is solved, and the case with it.
pub(super) fn device_back(change: &mut Change<'_>, id: CaseId, plan: &Playbook) {
    let case = change.get::<CaseRow>(&id);
    let Some(case) = case.filter(|c| c.is_open() && c.cleared_at.is_some() && c.backing_out.is_none()) else { return };
    let back = plan.steps.iter().find_map(|step| match &step.verb {
        Verb::Ticket(t) => t.device_back.as_ref().map(|template| (step, template)),
        _ => None,
    });
    let Some((step, template)) = back else { return };
    let facts = context(change, id, &case, &Reader::Staff { zone: "UTC" }, true);
    if let Ok(text) = template.render(&facts) {
        note(change, id, &text);
    }
    if let Some(goal) = &step.goal {
        goals::meet(change, id, goal, "telemetry");
    }
    case::close(change, id, "device_back");
}

/// Something worth knowing has come of the child of a storm: the ticket of the storm links it.
pub(super) fn child(change: &mut Change<'_>, storm: CaseId, text: &str) {
    let plan = change.get::<CaseRow>(&storm).and_then(|c| change.plan(&c));
    for (step, link) in change.of_case::<TicketRow, _>(storm, StepId::from("")) {
        let wanted = plan.as_ref().and_then(|p| p.step(&step));
        if wanted.is_some_and(|s| matches!(&s.verb, Verb::Ticket(t) if t.link_children)) {
            add(change, storm, step, link, text);
        }
    }
}

pub(super) fn upkeep(change: &mut Change<'_>, id: CaseId) {
    for (step, mut link) in change.of_case::<TicketRow, _>(id, StepId::from("")) {
        let Some(ticket) = link.ticket.clone() else { continue };
        let before = link.clone();
        let state = link.note.and_then(|n| change.get::<EffectRow>(&n)).map(|e| e.delivery);
        // An article of unknown fate does not hold up the ones after it for ever.
        if state.is_none_or(|d| d.state.is_taken() || d.state.is_lost() || d.given_up) {
            link.note = None;
        }
        if link.note.is_none() && may_go_on(change, &mut link) {
            let (kind, text) = match (&link.close, link.pending.is_empty()) {
                (_, false) => (Kind::TicketNote, std::mem::take(&mut link.pending).join("\n")),
                (Some(outcome), true) => (Kind::TicketClose, notes::closing(outcome)),
                (None, true) => {
                    save(change, id, step, &before, link);
                    continue;
                }
            };
            link.notes += 1;
            let mut effect = Effect::new(change, kind, &link.desk, &step, link.notes.to_string());
            effect.text = Some(text);
            effect.about = Some(ticket);
            effect.compensation = true;
            // An article after the end opens the ticket again.
            effect.parent = link.close_effect.take();
            let effect = effect.plan(change, id);
            if kind == Kind::TicketClose {
                link.close_effect = Some(effect);
            } else {
                link.note = Some(effect);
            }
        }
        save(change, id, step, &before, link);
    }
}

/// Whether another article may go out: always before the ticket is closed; after that only if the case was opened again and
/// the closing is not under way.
fn may_go_on(change: &mut Change<'_>, link: &mut TicketRow) -> bool {
    let Some(closing) = link.close_effect else { return true };
    if link.close.is_some() {
        return false;
    }
    if change.call_off(closing) {
        link.close_effect = None;
    }
    let state = change.get::<EffectRow>(&closing).map(|e| e.delivery);
    state.is_none_or(|d| d.state.is_taken() || d.state.is_lost() || d.given_up)
}

fn save(change: &mut Change<'_>, id: CaseId, step: StepId, before: &TicketRow, link: TicketRow) {
    if link != *before {
        change.put((id, step), link);
    }
}
