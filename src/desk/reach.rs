//! `reach`: tell somebody, by the rungs of a ladder, until it is proven that they were told.
//!
//! Rungs start at their offsets. When nobody is being tried any more because a rung is used up or its outcome is
//! unknown, the next one starts at once: a ladder never waits on a dead end.

use super::change::Change;
use super::goals::{self, Wake};
use super::pages::About;
use super::plan::Effect;
use super::quiet::QuietWindow;
use super::rows::{AdhocReach, EffectRow, GoalState, RungRow, RungState, StepRow, StepState, Target};
use super::storm::{self, Ways};
use super::{Person, TimelineKind, book, pages, talk, wrong};
use crate::domain::{
    At, CaseId, Customer, EffectId, Endpoint, EndpointKind, GoalName, Purpose, QueueName, Role, ScriptId, Span, StepId,
};
use crate::outbox::{Kind, State};
use crate::playbook::{ProviderKind, Reach, Rung, Until, Verb, Via};

/// After the last rung, a person is asked about whoever could not be shown to have been told.
const PATIENCE: Span = Span::from_hours(24);

/// The ladder of an announcement: each way five minutes after the other, or at once when one fails.
pub(super) fn adhoc(row: &AdhocReach) -> Reach {
    let at = |i: usize| Span::from_mins(5).times(i64::try_from(i).unwrap_or(0));
    let rung = |(i, via): (usize, &Via)| Rung {
        via: via.clone(),
        at: at(i),
        attempts: 1,
        ring: Span::from_secs(25),
        gap: Span::from_secs(15),
        hours: None,
    };
    Reach {
        who: row.who.clone(),
        until: row.until,
        script: row.script.clone(),
        ladder: row.vias.iter().enumerate().map(rung).collect(),
        attach: Vec::new(),
        importance: None,
    }
}

/// What a step tells whom, if it tells anybody.
pub(super) fn of(change: &Change<'_>, id: CaseId, step: &StepId) -> Option<Reach> {
    if let Some(made_up) = change.get::<StepRow>(&(id, step.clone())).and_then(|s| s.adhoc) {
        return Some(adhoc(&made_up));
    }
    let plan = change.get::<super::rows::CaseRow>(&id).and_then(|c| change.plan(&c))?;
    match &plan.step(step)?.verb {
        Verb::Reach(reach) => Some(reach.clone()),
        _ => None,
    }
}

/// The roles that a step speaks to, the first first.
pub(super) fn who(change: &Change<'_>, id: CaseId, step: &StepId) -> Vec<Role> {
    let plan = change.get::<super::rows::CaseRow>(&id).and_then(|c| change.plan(&c));
    match plan.as_ref().and_then(|p| p.step(step)).map(|s| &s.verb) {
        Some(Verb::Survey(survey)) => survey.who.clone(),
        _ => of(change, id, step).map(|reach| reach.who).unwrap_or_default(),
    }
}

/// When the way of `effect` must not be used, if its rung is used at some hours only.
pub(super) fn hours_of(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> Option<QuietWindow> {
    let step = change.get::<StepRow>(&(row.case, row.step.clone()))?;
    let plan = change.get::<super::rows::CaseRow>(&row.case).and_then(|c| change.plan(&c))?;
    let Verb::Reach(reach) = &plan.step(&row.step)?.verb else { return None };
    let rung = step.rungs.iter().position(|r| r.effect == Some(effect))?;
    reach.ladder.get(rung)?.hours.map(|(from, to)| QuietWindow::outside(from, to))
}

/// Whether a customer may have been told anything since the case was opened.
pub(super) fn has_begun(change: &Change<'_>, id: CaseId) -> bool {
    let told = |e: &EffectRow| e.delivery.kind.is_contact() && matches!(e.target, Target::Customer { .. });
    change.effects_since_opened(id).iter().any(|(_, e)| told(e) && talk::was_heard(e))
}

/// Starts an announcement to somebody.
pub(super) fn announce(change: &mut Change<'_>, id: CaseId, name: &str, role: &Role, script: &str, compensation: bool) {
    let step = StepId::from(name);
    if change.get::<StepRow>(&(id, step.clone())).is_some() {
        return;
    }
    // By every way that there are words for.
    let spoken = |via: &Via| via.parts().iter().all(|part| change.config.messages.has(script, *part));
    let vias = [Via::Sms, Via::Call, Via::Email].into_iter().filter(spoken).collect();
    let (who, script_id) = (vec![role.clone()], ScriptId::from(script));
    let mut row = StepRow::new(change.now);
    row.adhoc = Some(AdhocReach { who, script: script_id, until: Until::Accepted, vias, compensation });
    change.put((id, step), row);
    change.say(id, TimelineKind::Decided, format!("the {role} is to be told: {script}"), None);
}

/// Starts a message that no playbook has as a step of its own.
pub(super) fn tell(change: &mut Change<'_>, id: CaseId, name: &str, who: Vec<Role>, script: ScriptId, vias: Vec<Via>) {
    let key = (id, StepId::from(name));
    if change.get::<StepRow>(&key).is_none() {
        let adhoc = AdhocReach { who, script, until: Until::Accepted, vias, compensation: false };
        change.put(key, StepRow { adhoc: Some(adhoc), ..StepRow::new(change.now) });
        change.touched.insert(id);
    }
}

pub(super) fn drive(
    change: &mut Change<'_>,
    id: CaseId,
    step: &StepId,
    goal: Option<&GoalName>,
    reach: &Reach,
    mut row: StepRow,
    wake: &mut Wake,
) {
    if row.rungs.is_empty() {
        row.rungs = reach.ladder.iter().map(|r| waiting(row.started_at + r.at)).collect();
        let last = reach.ladder.iter().map(|r| r.at).max().unwrap_or(Span::ZERO);
        row.deadline_at = Some(row.started_at + last + PATIENCE);
    }
    if let Some(by) = proof(change, id, step, reach, &row) {
        take_back(change, id, step);
        return goals::done(change, id, step, row, goal, &by);
    }
    if let Some(text) = is_not_worth_it(change, id, step) {
        take_back(change, id, step);
        row.state = StepState::Failed;
        change.put((id, step.clone()), row);
        change.say(id, TimelineKind::Trouble, text, None);
        return goal.into_iter().for_each(|goal| goals::unmeet(change, id, goal, GoalState::Waived));
    }
    let undoing = row.adhoc.as_ref().is_some_and(|a| a.compensation);
    let ways = storm::ways(change, id).filter(|_| row.adhoc.is_none());
    let run = Run { id, step, reach, undoing, ways };
    // Each round starts or ends at least one rung; more rounds than rungs cannot be needed.
    for _ in 0..=row.rungs.len() {
        let mut changed = false;
        for (index, rung) in reach.ladder.iter().enumerate() {
            changed |= run.rung(change, index, rung, &mut row.rungs[index]);
        }
        changed |= run.pull_forward(change, &mut row.rungs);
        if !changed {
            break;
        }
    }
    if !row.rungs.is_empty() && row.rungs.iter().all(|r| r.state == RungState::Exhausted) {
        return give_up(change, id, step, goal, row);
    }
    late(change, id, step, &mut row, wake);
    for (row, rung) in row.rungs.iter().zip(&reach.ladder) {
        match row.state {
            RungState::Waiting if run.may(rung) => wake.at(row.due_at),
            RungState::Working if row.effect.is_none() => wake.at(row.next_at),
            _ => {}
        }
    }
    change.put((id, step.clone()), row);
}

fn waiting(due_at: At) -> RungRow {
    RungRow { due_at, state: RungState::Waiting, person: 0, tries: 0, next_at: due_at, effect: None, doubt: false }
}

/// What shows that they were told, if anything does.
pub(super) fn proof(change: &Change<'_>, id: CaseId, step: &StepId, reach: &Reach, row: &StepRow) -> Option<String> {
    if reach.until == Until::AnsweredChoice {
        return book::said(change, id).map(|said| format!("answer {said}"));
    }
    if let Some(key) = row.confirmed {
        return Some(format!("key {key}"));
    }
    // Who is to be reached is one of ours, and one of ours has taken the case.
    if reach.who.iter().any(|role| role.starts_with("oncall:"))
        && let Some(owner) = change.get::<super::rows::CaseRow>(&id).and_then(|c| c.human_owner)
    {
        return Some(format!("person: {owner}"));
    }
    let shows = |e: &EffectRow| match (reach.until, e.delivery.kind) {
        (Until::HumanConfirmed | Until::AnsweredChoice, _) => e.delivery.state == State::Confirmed,
        // Nothing better than "taken" is known of a mail.
        (Until::Accepted, _) | (Until::Delivered, Kind::Mail) => e.delivery.state.is_taken(),
        (Until::Delivered, _) => matches!(e.delivery.state, State::Delivered | State::Confirmed),
    };
    change
        .effects_since_opened(id)
        .into_iter()
        .find(|(_, e)| !wrong::went_astray(change, e) && e.step == *step && e.delivery.kind.is_contact() && shows(e))
        .map(|(_, e)| format!("{} ({})", e.delivery.kind.as_str(), e.delivery.state.as_str()))
}

/// What is not sent yet need not be sent.
fn take_back(change: &mut Change<'_>, id: CaseId, step: &StepId) {
    for (effect, e) in change.effects(id) {
        if e.step == *step {
            change.call_off(effect);
        }
    }
}

/// Why what is only good to know is not said again, by whatever way.
fn is_not_worth_it(change: &Change<'_>, id: CaseId, step: &StepId) -> Option<String> {
    let unsure = |e: &EffectRow| {
        e.step == *step
            && e.delivery.purpose == Purpose::Info
            && e.delivery.kind.is_contact()
            && e.delivery.may_have_arrived()
    };
    let unsure = change.effects_since_opened(id).iter().any(|(_, e)| unsure(e));
    unsure.then(|| format!("nobody knows whether it arrived, and it is not said twice (step {step})"))
}

/// Nobody knows whether it arrived, and it matters too much to wait: only safety ladders do not.
fn in_doubt(change: &Change<'_>, effect: Option<EffectId>) -> bool {
    effect.and_then(|e| change.get::<EffectRow>(&e)).is_some_and(|e| {
        matches!(e.delivery.state, State::Unknown | State::Reconciling) && e.delivery.purpose == Purpose::Safety
    })
}

fn late(change: &mut Change<'_>, id: CaseId, step: &StepId, row: &mut StepRow, wake: &mut Wake) {
    let Some(at) = row.deadline_at.filter(|_| !row.late) else { return };
    if change.now < at {
        return wake.at(at);
    }
    row.late = true;
    let reason = format!("nobody has confirmed (step {step})");
    goals::page_default_about(change, id, &reason, Some(About::Step(step.clone())));
}

fn give_up(change: &mut Change<'_>, id: CaseId, step: &StepId, goal: Option<&GoalName>, mut row: StepRow) {
    row.state = StepState::Failed;
    let announcement = row.adhoc.is_some();
    change.put((id, step.clone()), row);
    let text = format!("nobody could be reached (step {step})");
    change.say(id, TimelineKind::Trouble, text.clone(), None);
    // A storm counts whom it has not reached: nobody is asked about each of them.
    let alone = storm::ways(change, id).is_none();
    if alone && (goal.is_some() || announcement) {
        goals::page_default(change, id, &text);
    }
}

struct Run<'a> {
    id: CaseId,
    step: &'a StepId,
    reach: &'a Reach,
    undoing: bool,
    /// What the storm that the case is part of allows.
    ways: Option<Ways>,
}

impl Run<'_> {
    fn may(&self, rung: &Rung) -> bool {
        self.ways.as_ref().is_none_or(|ways| ways.via.contains(&rung.via))
    }

    /// Starts the next rung when nobody is being tried.
    fn pull_forward(&self, change: &Change<'_>, rungs: &mut [RungRow]) -> bool {
        let trying = rungs.iter().any(|r| r.state == RungState::Working && !in_doubt(change, r.effect));
        // A way that nobody of them has is no dead end while something else has been sent.
        let sent = rungs.iter().any(|r| r.state == RungState::Holding);
        let failed = |r: &RungRow| match r.state {
            RungState::Exhausted => r.person > 0 || !sent,
            RungState::Working => in_doubt(change, r.effect),
            _ => false,
        };
        // What was sent last gets the time that the ladder gives it, unless somebody may be in danger.
        let effects = rungs.iter().filter_map(|r| change.get::<EffectRow>(&r.effect?));
        let urgent = { effects }.any(|e| e.delivery.purpose == Purpose::Safety);
        let last = rungs.iter().rposition(|r| r.state != RungState::Waiting).unwrap_or(0);
        let failed = rungs.iter().skip(if urgent { 0 } else { last }).any(failed);
        if trying || !failed {
            return false;
        }
        let waiting = rungs
            .iter_mut()
            .zip(&self.reach.ladder)
            .filter(|(r, rung)| r.state == RungState::Waiting && self.may(rung));
        let next = waiting.map(|(row, _)| row).min_by_key(|r| r.due_at);
        match next {
            Some(rung) if rung.due_at > change.now => {
                rung.due_at = change.now;
                true
            }
            _ => false,
        }
    }

    /// One look at a rung; whether it moved.
    fn rung(&self, change: &mut Change<'_>, index: usize, rung: &Rung, row: &mut RungRow) -> bool {
        match row.state {
            RungState::Waiting if change.now >= row.due_at && self.may(rung) => {
                row.state = RungState::Working;
                row.next_at = change.now;
                true
            }
            RungState::Working => match &rung.via {
                Via::Human(queue) => {
                    let reason = format!("nobody has confirmed yet (step {})", self.step);
                    pages::page_about(change, self.id, queue, &reason, Some(About::Step(self.step.clone())));
                    row.state = RungState::Holding;
                    true
                }
                _ => match row.effect {
                    Some(effect) => self.look(change, rung, row, effect),
                    None if change.now >= row.next_at => self.attempt(change, index, rung, row),
                    None => false,
                },
            },
            // A text message that did not arrive after all, a mail that bounced.
            RungState::Holding => match row.effect.and_then(|e| change.get::<EffectRow>(&e)) {
                Some(e) if e.delivery.state.is_lost() || wrong::went_astray(change, &e) => {
                    next_person(row, change.now);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn look(&self, change: &Change<'_>, rung: &Rung, row: &mut RungRow, effect: EffectId) -> bool {
        let Some(e) = change.get::<EffectRow>(&effect) else { return false };
        if wrong::went_astray(change, &e) && !e.delivery.state.is_in_flight() {
            next_person(row, change.now);
            return true;
        }
        let call = e.delivery.kind == Kind::Call;
        let d = &e.delivery;
        match d.state {
            State::Rejected | State::Dead | State::Cancelled => next_person(row, change.now),
            State::Failed if !call => next_person(row, change.now),
            // Busy, unanswered, or answered by somebody (or something) who pressed nothing.
            State::Failed => again(row, rung, change.now, d.sends > 0 && d.reason.is_some() && d.unknown_at.is_some()),
            State::Delivered if call && d.ended => again(row, rung, change.now, false),
            State::Accepted | State::Delivered if !call => row.state = RungState::Holding,
            _ => return false,
        }
        true
    }

    fn attempt(&self, change: &mut Change<'_>, index: usize, rung: &Rung, row: &mut RungRow) -> bool {
        let Some((kind, provider_kind, endpoint_kind)) = means(&rung.via) else { return false };
        let provider = change.config.provider_of(provider_kind).cloned();
        let person = self.person(change, endpoint_kind, row.person);
        let (Some(provider), Some(target)) = (provider, person) else {
            row.state = RungState::Exhausted;
            return true;
        };
        let salt = format!("{index}/{}/{}", row.person, row.tries);
        let mut effect = Effect::new(change, kind, &provider, self.step, salt);
        effect.target = target;
        let stormy = self.ways.as_ref().and_then(|ways| ways.script.clone());
        effect.script = Some(stormy.unwrap_or_else(|| self.reach.script.clone()));
        effect.ring = Some(rung.ring);
        effect.doubt = row.doubt;
        effect.compensation = self.undoing;
        row.effect = Some(effect.plan(change, self.id));
        true
    }

    /// The `n`th person of the step that has such an endpoint.
    fn person(&self, change: &Change<'_>, kind: EndpointKind, n: u32) -> Option<Target> {
        let case = change.get::<super::rows::CaseRow>(&self.id)?;
        let people = change.config.registry.people(&case.device, &self.reach.who);
        // Another number of theirs rather than one that turned out to be somebody else's.
        let known = |e: &&Endpoint| e.kind == kind && !e.opted_out && !wrong::is_marked(change, &case.device, &e.id);
        let best = |c: &Customer| c.endpoints.iter().find(known).or_else(|| c.endpoint(kind)).map(|e| e.id.clone());
        let customers = people.filter_map(|c| Some(Target::Customer { customer: c.id.clone(), endpoint: best(c)? }));
        customers.chain(self.on_call(change, kind)).nth(usize::try_from(n).ok()?)
    }

    /// People of ours: the role `oncall:<queue>`.
    fn on_call(&self, change: &Change<'_>, kind: EndpointKind) -> Vec<Target> {
        let queues = self.reach.who.iter().filter_map(|role| role.strip_prefix("oncall:")).map(QueueName::from);
        let able = |p: &Person| match kind {
            EndpointKind::Phone => p.call.is_some(),
            EndpointKind::Email => p.mail.is_some(),
            EndpointKind::App => false,
        };
        let of = |queue: QueueName| {
            let people = change.config.queues.get(&queue).map(Vec::as_slice).unwrap_or_default();
            let able = (0_u32..).zip(people).filter(|(_, p)| able(p)).map(|(index, _)| index);
            able.map(|index| Target::Person { queue: queue.clone(), index }).collect::<Vec<_>>()
        };
        queues.flat_map(of).collect()
    }
}

pub(super) fn means(via: &Via) -> Option<(Kind, ProviderKind, EndpointKind)> {
    match via {
        Via::Call => Some((Kind::Call, ProviderKind::Voice, EndpointKind::Phone)),
        Via::Sms => Some((Kind::Sms, ProviderKind::Sms, EndpointKind::Phone)),
        Via::Email => Some((Kind::Mail, ProviderKind::Smtp, EndpointKind::Email)),
        Via::AppPush => Some((Kind::AppPush, ProviderKind::App, EndpointKind::App)),
        Via::Human(_) => None,
    }
}

fn next_person(row: &mut RungRow, now: At) {
    row.state = RungState::Working;
    row.effect = None;
    row.person += 1;
    row.tries = 0;
    row.doubt = false;
    row.next_at = now;
}

fn again(row: &mut RungRow, rung: &Rung, now: At, doubt: bool) {
    row.tries += 1;
    if row.tries >= rung.attempts {
        return next_person(row, now);
    }
    row.effect = None;
    row.doubt = doubt;
    row.next_at = now + rung.gap;
}
