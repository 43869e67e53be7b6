//! Paging people of a queue, one after the other, until somebody takes the case.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::goals::{self, Wake};
use super::plan::Effect;
use super::rows::{EffectRow, JobRow, PageRow, StepRow, StepState, Target};
use super::{PAGE_SCRIPT, Person, TimelineKind, dispatch, route, talk};
use crate::domain::{AdapterName, CaseId, EffectId, QueueName, ScriptId, Span, StepId};
use crate::outbox::Kind;
use crate::playbook::{Mirror, ProviderKind};

/// Reasons for one page, in bytes; more would not be heard out.
const MAX_REASON: usize = 400;
/// Troubles of one page that are watched; further ones are for a person to end.
const MAX_ABOUT: usize = 8;

/// A trouble that may resolve itself while people are being asked about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum About {
    /// Nobody knows what became of this, or it was refused.
    Effect(EffectId),
    /// Nobody has confirmed this step.
    Step(StepId),
    /// The customer waits for an answer.
    Answer,
    /// Nobody has heard of the case.
    Silence,
}

impl About {
    /// Whether nobody need be asked about it any more.
    fn is_resolved(&self, change: &Change<'_>, id: CaseId) -> bool {
        match self {
            Self::Effect(effect) => change.get::<EffectRow>(effect).is_none_or(|e| {
                let job = e.parent.and_then(|request| change.get::<JobRow>(&request));
                e.delivery.state.is_taken() || job.is_some_and(|job| dispatch::has_ended(&job))
            }),
            Self::Step(step) => change.get::<StepRow>(&(id, step.clone())).is_none_or(|s| s.state == StepState::Done),
            Self::Answer => !talk::waits(change, id),
            Self::Silence => goals::is_heard_of(change, id),
        }
    }
}

/// Pages `queue`, unless that is being done already or somebody has the case.
pub(super) fn page(change: &mut Change<'_>, id: CaseId, queue: &QueueName, reason: &str) {
    page_about(change, id, queue, reason, None);
}

/// Pages `queue` about something that may resolve itself.
pub(super) fn page_about(change: &mut Change<'_>, id: CaseId, queue: &QueueName, reason: &str, about: Option<About>) {
    let key = (id, queue.clone());
    if let Some(mut row) = change.get::<PageRow>(&key) {
        let before = row.clone();
        row.note(about);
        // Whoever is asked already hears of this, too.
        let new = !row.reason.contains(reason) && row.reason.len() < MAX_REASON;
        if new {
            row.reason = format!("{}; {reason}", row.reason);
        }
        if row != before {
            change.put(key, row);
        }
        if new {
            change.say(id, TimelineKind::Decided, format!("{queue} is told, too: {reason}"), None);
            change.note(id, Mirror::Note, &format!("The {queue} is told, too: {reason}."));
        }
        return;
    }
    // Numbered over all pages of the case: one that stops and one that begins may do so in the same instant.
    let calls = change.effects(id).iter().filter(|(_, e)| e.target.is_of(queue)).count();
    let mut row = PageRow {
        reason: reason.to_owned(),
        about: Vec::new(),
        firm: false,
        started_at: change.now,
        person: 0,
        round: 0,
        calls: u32::try_from(calls).unwrap_or(u32::MAX),
        effect: None,
        next_at: Some(change.now),
        acked_by: None,
    };
    row.note(about);
    change.put((id, queue.clone()), row);
    change.say(id, TimelineKind::Decided, format!("{queue} is paged: {reason}"), None);
    change.note(id, Mirror::Note, &format!("The {queue} is being asked to help: {reason}."));
}

impl PageRow {
    fn note(&mut self, about: Option<About>) {
        match about {
            None => self.firm = true,
            Some(about) if self.about.contains(&about) => {}
            Some(about) if self.about.len() < MAX_ABOUT => self.about.push(about),
            Some(_) => self.firm = true,
        }
    }

    /// Whether all that people are asked about has resolved itself.
    fn is_idle(&self, change: &Change<'_>, id: CaseId) -> bool {
        !self.firm && self.about.iter().all(|about| about.is_resolved(change, id))
    }
}

/// What people were asked about has resolved itself: nobody else is asked, and they are told so who were.
fn stop(change: &mut Change<'_>, id: CaseId, queue: &QueueName) {
    change.delete::<PageRow>((id, queue.clone()));
    for (effect, e) in change.effects(id) {
        if e.target.is_of(queue) {
            change.call_off(effect);
        }
    }
    let text = format!("{queue} is not asked any more: what it was paged for has resolved itself");
    change.say(id, TimelineKind::Decided, text, None);
    change.note(id, Mirror::Note, &format!("The {queue} need not help any more: it has resolved itself."));
}

/// Somebody has the case, or it is over: nobody else is paged.
pub(super) fn acknowledge(change: &mut Change<'_>, id: CaseId, who: &str) {
    for (queue, mut row) in change.of_case::<PageRow, _>(id, QueueName::from("")) {
        if row.acked_by.is_none() {
            row.acked_by = Some(who.to_owned());
            row.next_at = None;
            change.put((id, queue), row);
        }
    }
    for (effect, e) in change.effects(id) {
        if e.step.as_str().starts_with("page ") {
            change.call_off(effect);
        }
    }
}

/// Somebody was asked before and has not answered what is asked now: they are asked again.
pub(super) fn page_anew(change: &mut Change<'_>, id: CaseId) {
    for (queue, row) in change.of_case::<PageRow, _>(id, QueueName::from("")) {
        if row.acked_by.is_some() {
            change.delete::<PageRow>((id, queue));
        }
    }
}

/// Whether the page is still waited for.
pub(super) fn is_asked(change: &Change<'_>, row: &EffectRow) -> bool {
    let Target::Person { queue, .. } = &row.target else { return false };
    change.get::<PageRow>(&(row.case, queue.clone())).is_some_and(|p| p.acked_by.is_none())
}

/// Whether people are being asked.
pub(super) fn waits(change: &Change<'_>, id: CaseId) -> bool {
    change.of_case::<PageRow, _>(id, QueueName::from("")).iter().any(|(_, page)| page.acked_by.is_none())
}

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, wake: &mut Wake) {
    for (queue, mut row) in change.of_case::<PageRow, _>(id, QueueName::from("")) {
        if row.acked_by.is_some() {
            continue;
        }
        if row.is_idle(change, id) {
            stop(change, id, &queue);
            continue;
        }
        let before = row.clone();
        look(change, &mut row);
        if row.effect.is_none() && row.next_at.is_some_and(|at| change.now >= at) {
            next(change, id, &queue, &mut row);
        }
        wake.at(row.next_at);
        if row != before {
            change.put((id, queue), row);
        }
    }
}

/// What came of the last page.
fn look(change: &Change<'_>, row: &mut PageRow) {
    let Some(e) = row.effect.and_then(|e| change.get::<EffectRow>(&e)) else { return };
    let d = &e.delivery;
    let wait = if d.state.is_lost() || (d.kind == Kind::Call && d.ended) {
        Span::ZERO
    } else if d.state.is_taken() && d.kind != Kind::Call {
        change.config.settings.page_gap
    } else {
        return;
    };
    row.effect = None;
    row.person += 1;
    let people = change.config.queues.values().map(Vec::len).max().unwrap_or(0);
    row.next_at = Some(change.now + wait.max(Span::from_secs(if people > 1 { 5 } else { 30 })));
}

fn next(change: &mut Change<'_>, id: CaseId, queue: &QueueName, row: &mut PageRow) {
    let people = change.config.queues.get(queue).cloned().unwrap_or_default();
    let order = route::order(change, id, queue);
    let turn = usize::try_from(row.person).unwrap_or(usize::MAX);
    let Some((index, person)) = order.get(turn).and_then(|i| Some((*i, people.get(*i)?))) else {
        // Everybody was tried: another round, less and less often, but never "nobody any more".
        row.round += 1;
        row.person = 0;
        row.next_at = Some(change.now + change.config.settings.page_round.times(i64::from(row.round.min(6))));
        if row.round == 1 {
            change.say(id, TimelineKind::Trouble, format!("nobody of {queue} has answered yet"), None);
        }
        return;
    };
    let Some((kind, adapter)) = means(change, person) else {
        row.person += 1;
        row.next_at = Some(change.now);
        return;
    };
    let step = StepId::from(format!("page {queue}"));
    row.calls += 1;
    let mut effect = Effect::new(change, kind, &adapter, &step, row.calls.to_string());
    effect.target = Target::Person { queue: queue.clone(), index: u32::try_from(index).unwrap_or(u32::MAX) };
    effect.script = Some(ScriptId::from(PAGE_SCRIPT));
    // Late pages are of no use: by then the next person has been asked.
    effect.limit_at = Some(change.now + Span::from_mins(5));
    // Our own people hear of a case that backs out or has just closed, too.
    effect.compensation = true;
    row.effect = Some(effect.plan(change, id));
    row.next_at = None;
}

/// How a person is paged: by call, by webhook, by mail, in this order.
fn means(change: &Change<'_>, person: &Person) -> Option<(Kind, AdapterName)> {
    let provider = |kind| change.config.provider_of(kind).cloned();
    match person {
        Person { call: Some(_), .. } => provider(ProviderKind::Voice).map(|p| (Kind::Call, p)),
        Person { webhook: Some(name), .. } => Some((Kind::Webhook, name.clone())),
        Person { mail: Some(_), .. } => provider(ProviderKind::Smtp).map(|p| (Kind::Mail, p)),
        _ => None,
    }
}
