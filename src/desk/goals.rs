//! Looking at a case: start what may start, drive what runs, react to what is late, close what is done. Idempotent.

use std::collections::BTreeSet;

use super::change::Change;
use super::facts::{CaseFacts, is_coming};
use super::hold::Leave;
use super::pages::About;
use super::rows::{CaseRow, EffectRow, FactsRow, GoalState, JobRow, PageRow, StepRow, StepState, Target};
use super::{
    TimelineKind, book, cancel, case, command, consent, dispatch, hold, latch, merge, pages, reach, route, sla, stop,
    storm, survey, talk, ticket, wait, webhook,
};
use crate::domain::{At, CaseId, DeviceId, GoalName, JobState, QueueName, Span, StepId};
use crate::playbook::{Condition, Held, Mirror, Playbook, Reaction, Step, Verb};

/// The earliest of several wake-ups.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wake(pub(super) Option<At>);

impl Wake {
    pub(super) fn at(&mut self, at: impl Into<Option<At>>) {
        self.0 = [self.0, at.into()].into_iter().flatten().min();
    }
}

pub(super) fn advance(change: &mut Change<'_>, id: CaseId) {
    let Some(row) = change.get::<CaseRow>(&id) else { return };
    let Some(plan) = change.plan(&row) else {
        // Only if its stored text does not compile any more: a program that reads another language.
        if row.is_open() {
            page_default(change, id, "the playbook of this case cannot be read");
        }
        return;
    };
    let mut wake = Wake::default();
    let leave = if row.is_open() { hold::leave(change, id, &plan, &mut wake) } else { Leave::NOTHING };
    let refused = row.is_open() && consent::watch(change, id, &plan, &mut wake);
    let tickets = leave.only(Leave::of(["ticket"]));
    if refused && tickets != Leave::NOTHING {
        start_tickets(change, id, &plan);
        drive_steps(change, id, &plan, tickets, &mut wake);
        ticket::device_back(change, id, &plan);
    } else if !refused && leave != Leave::NOTHING {
        cancel::watch(change, id, &plan, &mut wake);
        start_steps(change, id, &plan, leave);
        drive_steps(change, id, &plan, leave, &mut wake);
        storm::look(change, id);
        ticket::device_back(change, id, &plan);
    }
    storm::drive(change, id, &plan, &mut wake);
    book::upkeep(change, id, &mut wake);
    survey::upkeep(change, id);
    if row.is_open() && row.backing_out.is_none() && !refused {
        sla::watch(change, id, &plan, &mut wake);
    }
    dispatch::upkeep(change, id, &mut wake);
    ticket::upkeep(change, id);
    pages::drive(change, id, &mut wake);
    let asks = !refused && plan.steps.iter().any(|s| leave.allows(&plan, s) && survey::is_next(change, id, s));
    finish(change, id, asks, &mut wake);
}

/// Without the consent of the owner, tickets wait for nothing.
fn start_tickets(change: &mut Change<'_>, id: CaseId, plan: &Playbook) {
    for step in plan.steps.iter().filter(|step| consent::allows(step)) {
        let key = (id, step.id.clone());
        if change.get::<StepRow>(&key).is_none_or(|s| s.state == StepState::Waiting) {
            change.put(key, StepRow::new(change.now));
        }
    }
}

fn start_steps(change: &mut Change<'_>, id: CaseId, plan: &Playbook, leave: Leave) {
    for step in plan.steps.iter().filter(|step| leave.allows(plan, step)) {
        let Some(case) = change.get::<CaseRow>(&id) else { return };
        let key = (id, step.id.clone());
        let known = change.get::<StepRow>(&key);
        let waiting = known.as_ref().is_none_or(|s| s.state == StepState::Waiting);
        if case.backing_out.is_some() || !waiting || (step.only_called && known.is_none()) {
            continue;
        }
        let over = |s: &StepId| {
            let ended_well = change.get::<StepRow>(&(id, s.clone())).is_some_and(|r| r.state == StepState::Done);
            // Who may be in danger does not wait for a device that nobody asks while its case is held.
            let command = plan.step(s).filter(|s| matches!(s.verb, Verb::Command(_)));
            ended_well || command.is_some_and(|s| !leave.allows(plan, s))
        };
        if known.is_none() && !step.after.iter().all(over) {
            continue;
        }
        let mut row = known.unwrap_or_else(|| StepRow { state: StepState::Waiting, ..StepRow::new(change.now) });
        let ready = step.when.as_ref().is_none_or(|when| truth(change, id, &case, when, &mut row.held).0 == Some(true));
        if ready {
            row = StepRow { state: StepState::Running, started_at: change.now, held: Held::default(), ..row };
        }
        change.put(key, row);
    }
}

/// Starts a step because another one says so.
pub(super) fn call_step(change: &mut Change<'_>, id: CaseId, step: &StepId) {
    let key = (id, step.clone());
    let running = change.get::<StepRow>(&key).is_some_and(|s| s.state == StepState::Running);
    if !running {
        change.put(key, StepRow::new(change.now));
        change.say(id, TimelineKind::Decided, format!("step {step} is started"), None);
    }
}

fn drive_steps(change: &mut Change<'_>, id: CaseId, plan: &Playbook, leave: Leave, wake: &mut Wake) {
    for (step_id, row) in change.steps(id) {
        let Some(case) = change.get::<CaseRow>(&id).filter(CaseRow::is_open) else { return };
        let undoing = row.adhoc.as_ref().is_some_and(|a| a.compensation);
        if case.backing_out.is_some() && !undoing {
            continue;
        }
        match (plan.step(&step_id).filter(|step| leave.allows(plan, step)), &row.adhoc, row.state) {
            (Some(step), _, StepState::Waiting) => {
                let mut held = row.held.clone();
                if let Some(when) = &step.when {
                    wake.at(truth(change, id, &case, when, &mut held).1);
                }
            }
            (_, Some(adhoc), StepState::Running) => {
                let reach = reach::adhoc(adhoc);
                reach::drive(change, id, &step_id, None, &reach, row, wake);
            }
            (Some(step), None, StepState::Running) => drive(change, id, step, row, wake),
            _ => {}
        }
    }
}

fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, row: StepRow, wake: &mut Wake) {
    match &step.verb {
        Verb::Reach(reach) => reach::drive(change, id, &step.id, step.goal.as_ref(), reach, row, wake),
        Verb::Dispatch(d) if d.reserve => storm::reserve(change, id, step, d, row),
        Verb::Dispatch(d) => dispatch::drive(change, id, step, d, row, wake),
        Verb::Ticket(t) => ticket::drive(change, id, step, t, row),
        Verb::Command(c) => command::drive(change, id, step, c, row, wake),
        Verb::WaitFor(w) => wait::drive(change, id, step, w, row, wake),
        Verb::Hold(h) => stop::drive(change, id, h),
        Verb::Correlate(c) => merge::drive(change, id, step, c, row, wake),
        Verb::Book(b) => book::drive(change, id, step, b, row),
        Verb::Webhook(w) => webhook::drive(change, id, step, w, row),
        Verb::Survey(s) => survey::drive(change, id, step, s, row),
        Verb::Human(h) => {
            pages::page(change, id, &h.queue, &format!("its plan asks for a person (step {})", step.id));
            let page = change.get::<PageRow>(&(id, h.queue.clone()));
            if let Some(by) = page.and_then(|p| p.acked_by) {
                done(change, id, &step.id, row, step.goal.as_ref(), &format!("person: {by}"));
            }
        }
    }
}

/// What a condition says of a case now, and when time alone may change that.
pub(super) fn truth(
    change: &Change<'_>,
    id: CaseId,
    case: &CaseRow,
    condition: &Condition,
    held: &mut Held,
) -> (Option<bool>, Option<At>) {
    let verdict = condition.evaluate(change.now, &CaseFacts::new(change, id, case), held);
    (verdict.truth, verdict.wake_at)
}

/// Whether facts would change what any condition of the cases says.
pub(super) fn would_flip(change: &Change<'_>, cases: &BTreeSet<CaseId>, device: &DeviceId, facts: &FactsRow) -> bool {
    let mut trial = Change::new(change.base, change.config, change.now);
    trial.put(device.clone(), facts.clone());
    let moves = hold::stands(change, device) != hold::stands(&trial, device);
    cases.iter().any(|id| {
        if moves && hold::is_held(change, *id) {
            return true;
        }
        let Some(case) = change.get::<CaseRow>(id) else { return false };
        let Some(plan) = change.plan(&case) else { return false };
        let expected = plan.steps.iter().flat_map(|s| {
            let (one, all): (_, &[Condition]) = match &s.verb {
                Verb::WaitFor(w) => (Some(&w.expect), &[]),
                Verb::Command(c) => (c.verify.as_ref().map(|v| &v.0), &c.guard),
                Verb::Dispatch(d) => (None, &d.needs),
                _ => (None, &[]),
            };
            s.when.iter().chain(one).chain(all)
        });
        let flips = |condition: &Condition| {
            // Without their `for`, conditions show a flip at once: a held time starts or ends with it.
            let says = |c: &Change<'_>| {
                let mut held = Held::default();
                let (now, wake) = truth(c, *id, &case, condition, &mut held);
                (now, wake.is_some())
            };
            says(change) != says(&trial)
        };
        let storm = change.get::<storm::ChildRow>(id).and_then(|c| change.get::<CaseRow>(&c.storm));
        let storm = storm.and_then(|case| change.plan(&case)?.storm.clone());
        let tiers = storm.iter().flat_map(|s| &s.tiers).map(|t| &t.when);
        expected.chain(plan.cancels.iter().map(|c| &c.when)).chain(tiers).any(flips)
    })
}

/// A step has ended well; its goal is met.
pub(super) fn done(
    change: &mut Change<'_>,
    id: CaseId,
    step: &StepId,
    mut row: StepRow,
    goal: Option<&GoalName>,
    by: &str,
) {
    row.state = StepState::Done;
    change.put((id, step.clone()), row);
    change.touched.insert(id);
    if let Some(goal) = goal {
        meet(change, id, goal, by);
    }
}

pub(super) fn meet(change: &mut Change<'_>, id: CaseId, goal: &GoalName, by: &str) {
    if set_goal(change, id, goal, GoalState::Met, Some(by)) {
        change.say(id, TimelineKind::Decided, format!("goal {goal} is met by {by}"), None);
        // What an effect has met has its own sentence.
        if by == "telemetry" {
            let note = format!("Measured: {}, as promised.", goal.as_str().replace('_', " "));
            change.note(id, Mirror::Note, &note);
        }
    }
}

/// The fault is there again: what only its absence had proven is not so. Those steps begin anew, with all that build on them.
pub(super) fn disproved(change: &mut Change<'_>, id: CaseId) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|case| change.plan(&case)) else { return };
    let proof = |step: &Step| match &step.verb {
        Verb::WaitFor(w) => Some(w.expect.clone()),
        Verb::Command(c) => c.verify.as_ref().map(|(expect, _)| expect.clone()),
        _ => None,
    };
    let speaks = |c: &Condition| c.names().iter().any(|(name, _)| name.starts_with("fault."));
    for step in plan.steps.iter().filter(|step| proof(step).is_some_and(|c| speaks(&c))) {
        if change.get::<StepRow>(&(id, step.id.clone())).is_none_or(|row| row.state != StepState::Done) {
            continue;
        }
        change.say(id, TimelineKind::Trouble, format!("step {} has not helped after all", step.id), None);
        for begun in begin_anew(change, id, &plan, &step.id) {
            if let Some(goal) = plan.step(&begun).and_then(|s| s.goal.as_ref()) {
                unmeet(change, id, goal, GoalState::Open);
            }
        }
    }
}

/// A step and all that build on it begin anew; what of theirs waits to be sent is not, unless it undoes something. A system
/// of ours that was told something is not told twice. Gives the steps.
pub(super) fn begin_anew(change: &mut Change<'_>, id: CaseId, plan: &Playbook, from: &StepId) -> Vec<StepId> {
    let begun = plan.with_those_behind(from, |step| !webhook::may_be_told(change, id, step));
    for (effect, _) in change.effects(id).iter().filter(|(_, e)| begun.contains(&e.step)) {
        case::drop_one(change, *effect);
    }
    for step in &begun {
        change.delete::<StepRow>((id, step.clone()));
    }
    begun
}

/// A promise that was kept is broken again, or its time is over.
pub(super) fn unmeet(change: &mut Change<'_>, id: CaseId, goal: &GoalName, state: GoalState) {
    if set_goal(change, id, goal, state, None) {
        let text = format!("goal {goal} is {}", state.as_str());
        change.say(id, TimelineKind::Trouble, text, None);
    }
}

fn set_goal(change: &mut Change<'_>, id: CaseId, goal: &GoalName, state: GoalState, by: Option<&str>) -> bool {
    let Some(mut case) = change.get::<CaseRow>(&id) else { return false };
    let Some(row) = case.goals.iter_mut().find(|g| g.name == *goal && g.state != state) else { return false };
    row.state = state;
    row.met_by = by.map(str::to_owned);
    change.put(id, case);
    true
}

/// Carries out a reaction of a playbook. What is not carried out here is the steps' own business.
pub(super) fn react(change: &mut Change<'_>, id: CaseId, reaction: &Reaction, reason: &str) {
    match reaction {
        Reaction::Human(queue) => pages::page(change, id, queue, reason),
        Reaction::Goto(step) => call_step(change, id, step),
        Reaction::Close(outcome) => case::close(change, id, outcome),
        Reaction::Script(script) => storm::say(change, id, script),
        Reaction::NextProvider
        | Reaction::Tell(_)
        | Reaction::Again(_)
        | Reaction::AgainStep(_)
        | Reaction::Reinvite
        | Reaction::Proceed => {}
    }
}

/// Pages whoever the playbook or the settings name first.
pub(super) fn page_default(change: &mut Change<'_>, id: CaseId, reason: &str) {
    page_default_about(change, id, reason, None);
}

/// The same about something that may resolve itself.
pub(super) fn page_default_about(change: &mut Change<'_>, id: CaseId, reason: &str, about: Option<About>) {
    let named = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)).and_then(|p| named_queue(&p));
    let queue = named.or_else(|| route::queue(change, id)).or_else(|| change.config.default_queue().cloned());
    if let Some(queue) = queue {
        pages::page_about(change, id, &queue, reason, about);
    } else {
        change.say(id, TimelineKind::Trouble, format!("nobody can be paged: {reason}"), None);
    }
}

/// The first queue that a playbook names.
pub(super) fn named_queue(plan: &Playbook) -> Option<QueueName> {
    let of = |r: &Reaction| match r {
        Reaction::Human(q) => Some(q.clone()),
        _ => None,
    };
    plan.steps.iter().find_map(|s| match &s.verb {
        Verb::Human(h) => Some(h.queue.clone()),
        Verb::Reach(r) => r.ladder.iter().find_map(|r| match &r.via {
            crate::playbook::Via::Human(q) => Some(q.clone()),
            _ => None,
        }),
        Verb::Dispatch(d) => d.otherwise.as_ref().and_then(of).or_else(|| d.on.values().find_map(of)),
        Verb::Command(c) => c.on.values().find_map(of),
        Verb::WaitFor(w) => of(&w.otherwise),
        Verb::Book(b) => b.on.values().find_map(of),
        Verb::Ticket(_) | Verb::Webhook(_) | Verb::Hold(_) | Verb::Correlate(_) | Verb::Survey(_) => None,
    })
}

/// A truck is on its way: the case is not over, whatever its goals say.
fn under_way(jobs: &[(crate::domain::EffectId, JobRow)]) -> bool {
    jobs.iter().any(|(_, j)| !j.unwanted && is_coming(j.state))
}

/// `asks`: the customer is yet to be asked for a mark.
fn finish(change: &mut Change<'_>, id: CaseId, asks: bool, wake: &mut Wake) {
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let settings = &change.config.settings;
    if let Some(closed_at) = case.closed_at {
        let end = closed_at + settings.retention;
        if change.now >= end {
            let waits = change.effects(id).iter().any(|(_, e)| e.delivery.wake_at().is_some());
            let busy = waits || book::is_live(change, id);
            if !busy {
                return case::forget(change, id);
            }
            wake.at(change.now + Span::from_hours(1));
        }
        wake.at(Some(end).filter(|e| *e > change.now));
        return set_wake(change, id, *wake);
    }
    if case.backing_out.is_some() {
        if cancel::is_finished(change, id) && !talk::waits(change, id) {
            case::close(change, id, "false_alarm");
        } else {
            wake.at(change.now + Span::from_mins(1));
        }
        return set_wake(change, id, *wake);
    }
    let held = hold::is_held(change, id);
    if let Some(at) = case.react_by_at {
        // Of a case that is part of another one, people hear by that one.
        let heard_of = hold::part_of(change, id).unwrap_or(id);
        if reacted(change, id) || reacted(change, heard_of) {
            clear_reaction(change, id);
        } else if change.now >= at {
            clear_reaction(change, id);
            page_default_about(change, heard_of, "nobody has been told anything yet", Some(About::Silence));
        } else {
            wake.at(at);
        }
    }
    if let Some(owned_at) = case.owned_at {
        let remind_at = owned_at + settings.owner_reminder;
        if change.now >= remind_at {
            remind(change, id);
        } else {
            wake.at(remind_at);
        }
    }
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let settled = case.goals.iter().all(|g| g.state.is_settled()) && !latch::holds(change, id);
    let busy = under_way(&change.jobs(id)) || book::under_way(change, id) || telling(change, id);
    let kept = asks || talk::waits(change, id) || storm::keeps_open(change, id);
    if consent::is_refused(change, id) {
        if consent::is_over(change, id, &case) && !kept && !busy {
            case::close(change, id, consent::OUTCOME);
        }
    } else if settled && !held && !kept && !busy {
        case::close(change, id, case::SERVED);
    }
    // Nothing waits for ever: an open case without any other wake-up is looked at again.
    if wake.0.is_none() {
        wake.at(change.now + Span::from_hours(1));
    }
    set_wake(change, id, *wake);
}

/// Somebody is being told something right now; let them hear it out.
fn telling(change: &Change<'_>, id: CaseId) -> bool {
    change.effects(id).iter().any(|(_, e)| {
        e.delivery.kind.is_contact()
            && (e.delivery.state.is_in_flight() || (e.delivery.state.is_taken() && e.delivery.wake_at().is_some()))
    })
}

/// Whether there is a reaction that a human can read, or a person is being asked.
fn reacted(change: &Change<'_>, id: CaseId) -> bool {
    !change.of_case::<PageRow, _>(id, QueueName::from("")).is_empty() || is_heard_of(change, id)
}

/// Whether somebody outside has heard of it: a message to a customer, a ticket or an article of one was taken.
pub(super) fn is_heard_of(change: &Change<'_>, id: CaseId) -> bool {
    use crate::outbox::Kind;
    let told = |e: &EffectRow| e.delivery.kind.is_contact() && matches!(e.target, Target::Customer { .. });
    let heard = |e: &EffectRow| told(e) || matches!(e.delivery.kind, Kind::TicketCreate | Kind::TicketNote);
    change.effects_since_opened(id).iter().any(|(_, e)| e.delivery.state.is_taken() && heard(e))
}

fn clear_reaction(change: &mut Change<'_>, id: CaseId) {
    if let Some(mut case) = change.get::<CaseRow>(&id) {
        case.react_by_at = None;
        change.put(id, case);
    }
}

fn remind(change: &mut Change<'_>, id: CaseId) {
    let Some(mut case) = change.get::<CaseRow>(&id) else { return };
    case.owned_at = None;
    case.human_owner = None;
    change.put(id, case);
    for (queue, _) in change.of_case::<PageRow, _>(id, QueueName::from("")) {
        change.delete::<PageRow>((id, queue));
    }
    page_default(change, id, "the case was taken over and is still open");
}

fn set_wake(change: &mut Change<'_>, id: CaseId, wake: Wake) {
    let Some(mut case) = change.get::<CaseRow>(&id) else { return };
    // A look that asks to be repeated at once would never end.
    let at = wake.0.map(|at| at.max(change.now + Span::from_millis(100)));
    if case.wake_at != at {
        case.wake_at = at;
        change.put(id, case);
    }
}

/// For reading: how far a case has come. Derived, never set.
pub(super) fn phase(case: &CaseRow, plan: Option<&Playbook>, jobs: &[&JobRow], started: bool) -> &'static str {
    if !case.is_open() {
        return "closed";
    }
    if case.backing_out.is_some() {
        return "backing_out";
    }
    if !started {
        return "detected";
    }
    let open = |verb: fn(&Verb) -> bool| {
        plan.is_some_and(|p| {
            p.steps
                .iter()
                .filter(|s| verb(&s.verb))
                .filter_map(|s| s.goal.as_ref())
                .any(|goal| case.goals.iter().any(|g| g.name == *goal && !g.state.is_settled()))
        })
    };
    if jobs
        .iter()
        .any(|j| !j.unwanted && matches!(j.state, Some(JobState::EnRoute | JobState::OnSite | JobState::Towing)))
    {
        "in_service"
    } else if open(|v| matches!(v, Verb::Reach(_))) {
        "engaging"
    } else if open(|v| !matches!(v, Verb::Reach(_) | Verb::WaitFor(_))) {
        "arranged"
    } else {
        "verifying"
    }
}
