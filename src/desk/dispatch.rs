//! `dispatch`: one live job at a time, the next provider only after a no, a silence or a confirmed cancel.

use std::collections::BTreeMap;

use super::TimelineKind;
use super::change::Change;
use super::facts::{eta_minutes, is_promised, job_of, job_word, minutes_up};
use super::goals::{self, Wake};
use super::plan::Effect;
use super::rows::{BudgetKey, BudgetRow, CaseRow, EffectRow, FactsRow, GoalState, JobRow, StepRow, StepState, Target};
use super::{case, notes, position, reach};
use crate::domain::{
    At, CaseId, EffectId, EndpointKind, Job, JobState, JobUpdate, Place, Role, Severity, Span, StepId, Vehicle,
};
use crate::outbox::{Kind, Window};
use crate::playbook::{Dispatch, Held, Mirror, Part, Playbook, Reaction, Step, Verb};

/// Without a usable position for so long, a person is asked.
const POSITION_PATIENCE: Span = Span::from_mins(5);
/// So long nobody asks people where a device is of which its engine has not told anything yet.
const FIRST_FACTS: Span = Span::from_secs(5);
/// A truck of which nobody says when it comes is expected this long after it was accepted.
const WITHOUT_ETA: Span = Span::from_hours(1);
/// However late it is, a truck is asked for so often.
const RAREST_POLL: Span = Span::from_hours(1);
/// The script of `eta_slips = "tell:<role>"`.
const ETA_SCRIPT: &str = "eta-slipped";

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, d: &Dispatch, row: StepRow, wake: &mut Wake) {
    let Some(effect) = row.effect else { return start(change, id, step, d, row, wake) };
    let (Some(mut job), Some(e)) = (change.get::<JobRow>(&effect), change.get::<EffectRow>(&effect)) else { return };
    if has_fallen_through(&job, &e) {
        if let Some(goal) = &step.goal {
            goals::unmeet(change, id, goal, GoalState::Open);
        }
        return next_provider(change, id, step, d, row, job.clone(), effect, notes::why_not(job.state));
    }
    if !is_promised(job.state) && job.state != Some(JobState::CancelRefused) {
        let until = e.delivery.first_sent_at.unwrap_or(job.asked_at) + d.deadline.accept;
        if change.now >= until {
            return next_provider(change, id, step, d, row, job, effect, "it has not answered in time");
        }
        return wake.at(until);
    }
    if let Some(goal) = &step.goal {
        goals::meet(change, id, goal, &format!("{} (job {})", job.provider, job.job.as_deref().unwrap_or("?")));
    }
    if has_arrived(job.state) {
        return goals::done(change, id, &step.id, row, None, "arrival");
    }
    let before = job.clone();
    late_departure(change, id, d, &mut job, wake);
    late_arrival(change, id, d, &mut job, wake);
    if job != before {
        change.put(effect, job);
    }
}

fn has_fallen_through(job: &JobRow, e: &EffectRow) -> bool {
    match job.state {
        None | Some(JobState::Offered) => e.delivery.state.is_lost(),
        Some(state) => came_to_nothing(state),
    }
}

fn late_departure(change: &mut Change<'_>, id: CaseId, d: &Dispatch, job: &mut JobRow, wake: &mut Wake) {
    let (Some(limit), Some(accepted_at)) = (d.deadline.en_route, job.accepted_at) else { return };
    if job.late_departure || job.state != Some(JobState::Accepted) {
        return;
    }
    if change.now < accepted_at + limit {
        return wake.at(accepted_at + limit);
    }
    job.late_departure = true;
    page(change, id, d, &format!("{} has accepted and has not set off within {limit}", job.provider));
}

fn late_arrival(change: &mut Change<'_>, id: CaseId, d: &Dispatch, job: &mut JobRow, wake: &mut Wake) {
    let (Some(limit), Some(due_at)) = (d.deadline.arrive_after_eta, due_at(job)) else { return };
    if job.late_arrival {
        return;
    }
    if change.now < due_at + limit {
        return wake.at(due_at + limit);
    }
    job.late_arrival = true;
    let text = match job.eta_at {
        Some(_) => format!("{} has not arrived {limit} after the time it promised", job.provider),
        None => format!("{} has accepted, named no time and has not arrived", job.provider),
    };
    page(change, id, d, &text);
}

/// When it is to be there, as far as anybody knows.
fn due_at(job: &JobRow) -> Option<At> {
    job.eta_at.or_else(|| job.accepted_at.map(|at| at + WITHOUT_ETA))
}

fn page(change: &mut Change<'_>, id: CaseId, d: &Dispatch, reason: &str) {
    // The page that follows has its own sentence in the ticket.
    change.say(id, TimelineKind::Trouble, reason, None);
    match d.on.get("no_provider") {
        Some(reaction @ Reaction::Human(_)) => goals::react(change, id, reaction, reason),
        _ => goals::page_default(change, id, reason),
    }
}

/// The truck that was asked for before the case was closed and opened again, if it is still to come: one is enough.
fn still_to_come(change: &Change<'_>, id: CaseId, step: &StepId) -> Option<(EffectId, JobRow)> {
    let lives = |j: &JobRow| j.step == *step && !j.unwanted && !is_over(change, j) && !has_arrived(j.state);
    change.jobs(id).into_iter().rev().find(|(_, j)| lives(j))
}

fn has_arrived(state: Option<JobState>) -> bool {
    matches!(state, Some(JobState::OnSite | JobState::Towing | JobState::Done))
}

fn start(change: &mut Change<'_>, id: CaseId, step: &Step, d: &Dispatch, mut row: StepRow, wake: &mut Wake) {
    if let Some((effect, job)) = still_to_come(change, id, &step.id) {
        let place = d.providers.iter().position(|p| *p == job.provider);
        row.provider = place.and_then(|n| u32::try_from(n).ok()).unwrap_or(row.provider);
        row.effect = Some(effect);
        change.say(id, TimelineKind::Decided, format!("{} was asked before and is still to come", job.provider), None);
        change.touched.insert(id);
        return change.put((id, step.id.clone()), row);
    }
    let index = usize::try_from(row.provider).unwrap_or(usize::MAX);
    let Some(provider) = d.providers.get(index).cloned() else {
        return give_up(change, id, step, d, row, "no provider can help");
    };
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let told = change.get::<FactsRow>(&case.device);
    let first_at = row.started_at + FIRST_FACTS;
    if told.is_none() && change.now < first_at {
        return wake.at(first_at);
    }
    let facts = told.unwrap_or_default();
    let needs = d.needs.iter().all(|n| goals::truth(change, id, &case, n, &mut Held::default()).0 == Some(true));
    let Some((lat, lon)) = position::of(change, &facts).filter(|_| needs) else {
        if let Some(otherwise) = d.otherwise.as_ref().filter(|_| !row.late) {
            row.late = true;
            change.put((id, step.id.clone()), row.clone());
            goals::react(change, id, otherwise, "there is no position to send a truck to");
        }
        let patience = row.started_at + POSITION_PATIENCE;
        if change.now >= patience {
            return give_up(change, id, step, d, row, "there is no position to send a truck to");
        }
        return wake.at(patience.min(change.now + Span::from_secs(30)));
    };
    if !take_budget(change, id, &case) {
        let reason = "the device has had its costly action for today; a person must decide";
        return give_up(change, id, step, d, row, reason);
    }
    let age_s = facts.position_at.map_or(0.0, |at| change.now.since(at).as_secs_f64());
    let accuracy_m = super::whereabouts::accuracy(change, &case.device, &facts);
    let place = Place { lat, lon, age_s, accuracy_m };
    let accept_by = change.now + d.deadline.accept;
    let body = job_body(change, &case, d, place, accept_by);
    let mut effect = Effect::new(change, Kind::DispatchRequest, &provider, &step.id, row.provider.to_string());
    effect.limit_at = Some(accept_by);
    let effect = effect.plan(change, id);
    let owner = position::owner(change, &case.device);
    let body = change.config.keys.seal(owner, format!("job/{effect}"), &body);
    let job = JobRow {
        case: id,
        step: step.id.clone(),
        provider: provider.clone(),
        job: None,
        state: None,
        seq: None,
        eta_at: None,
        promised: Vec::new(),
        truck: None,
        asked_at: change.now,
        accepted_at: None,
        news_at: change.now,
        late_departure: false,
        late_arrival: false,
        unwanted: false,
        cancel: None,
        poll: None,
        service: d.service.to_string(),
        body,
    };
    change.put(effect, job);
    row.effect = Some(effect);
    change.put((id, step.id.clone()), row);
    wake.at(accept_by);
    change.say(id, TimelineKind::Decided, format!("{provider} is asked for: {}", d.service), Some(effect));
    change.note(id, Mirror::Dispatch, &format!("Asked {provider} for this service: {}.", d.service));
}

/// One costly action a device and day: failing over to another provider is the same action, a case that was opened again is
/// not.
fn take_budget(change: &mut Change<'_>, id: CaseId, case: &CaseRow) -> bool {
    let day = change.now.as_secs().div_euclid(86_400);
    let key = BudgetKey::DeviceDay(case.device.clone(), day);
    let mut row = change.get::<BudgetRow>(&key).unwrap_or_default();
    if change.jobs(id).iter().any(|(_, job)| job.asked_at >= case.opened_at) {
        return true;
    }
    if row.hour.used >= change.config.settings.costly_per_device_day {
        return false;
    }
    row.hour = Window { since_at: change.now, used: row.hour.used + 1 };
    change.put(key, row);
    true
}

fn job_body(change: &Change<'_>, case: &CaseRow, d: &Dispatch, place: Place, accept_by: At) -> Job {
    let registry = &change.config.registry;
    let device = registry.devices.get(&case.device);
    let text = |s: &str| s.to_owned();
    let mut contact = BTreeMap::new();
    let roles: [Role; 2] = ["driver".into(), "owner".into()];
    if let Some(c) = registry.people(&case.device, &roles).next() {
        contact.insert(text("name"), text(&c.name));
        contact.insert(text("locale"), text(&c.locale));
        if let Some(phone) = c.endpoint(EndpointKind::Phone) {
            contact.insert(text("phone"), text(&phone.address));
        }
    }
    let safety = change.plan(case).is_some_and(|p| p.policy.purpose == crate::domain::Purpose::Safety);
    Job {
        service: text(&d.service),
        priority: text(if safety { "safety" } else { "normal" }),
        requested_at: change.now,
        place,
        vehicle: Vehicle(device.map(|x| x.attrs.iter().map(|(k, v)| (text(k), text(v))).collect()).unwrap_or_default()),
        fault: BTreeMap::from([
            (text("part"), case.title.clone()),
            (text("code"), text(case.fault.as_str())),
            (text("drivable"), text(if case.severity == Severity::Critical { "false" } else { "true" })),
        ]),
        contact,
        accept_by,
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of one machine; a struct would only rename them")]
fn next_provider(
    change: &mut Change<'_>,
    id: CaseId,
    step: &Step,
    d: &Dispatch,
    mut row: StepRow,
    mut job: JobRow,
    effect: EffectId,
    why: &str,
) {
    let text = format!("{} does not come: {why}", job.provider);
    change.say(id, TimelineKind::Trouble, text.clone(), Some(effect));
    change.note(id, Mirror::Dispatch, &format!("{text}."));
    job.unwanted = true;
    change.put(effect, job);
    change.call_off(effect);
    row.effect = None;
    row.provider += 1;
    change.put((id, step.id.clone()), row);
    change.touched.insert(id);
    match d.on.get("declined") {
        None | Some(Reaction::NextProvider) => {}
        Some(reaction) => goals::react(change, id, reaction, &text),
    }
}

fn give_up(change: &mut Change<'_>, id: CaseId, step: &Step, d: &Dispatch, mut row: StepRow, reason: &str) {
    row.state = StepState::Failed;
    change.put((id, step.id.clone()), row);
    if let Some(goal) = &step.goal {
        goals::unmeet(change, id, goal, GoalState::Missed);
    }
    page(change, id, d, reason);
}

/// News of a job, from a callback or from asking.
pub(super) fn update(change: &mut Change<'_>, request: EffectId, seq: Option<u64>, update: &JobUpdate) {
    let Some(mut job) = change.get::<JobRow>(&request) else { return };
    let late = matches!((seq, job.seq), (Some(new), Some(old)) if new <= old);
    // Who counts their news and says yes after a no has thought better of it.
    let after_all = matches!(job.state, Some(JobState::Declined | JobState::NoProvider))
        && is_promised(Some(update.state))
        && seq.is_some()
        && job.seq.is_some();
    if late || !(after_all || may_follow(job.state, update.state)) {
        return;
    }
    let id = job.case;
    job.seq = job.seq.max(seq);
    job.job.get_or_insert_with(|| update.job.clone());
    job.news_at = change.now;
    let changed = job.state != Some(update.state);
    job.state = Some(update.state);
    if let (None, Some(truck)) = (&job.truck, &update.truck) {
        let case = change.get::<CaseRow>(&id);
        let owner = case.and_then(|case| position::owner(change, &case.device));
        job.truck = Some(change.config.keys.seal(owner, format!("truck/{request}"), truck));
    }
    if is_promised(job.state) && job.accepted_at.is_none() {
        job.accepted_at = Some(change.now);
    }
    let eta = update
        .eta_at
        .filter(|eta| job.eta_at != Some(*eta) && matches!(update.state, JobState::Accepted | JobState::EnRoute));
    if let Some(eta) = eta {
        job.eta_at = Some(eta);
        job.late_arrival = false;
        if job.promised.len() < 50 {
            job.promised.push(eta);
        }
    }
    let (provider, unwanted, step) = (job.provider.clone(), job.unwanted, job.step.clone());
    change.put(request, job);
    change.touched.insert(id);
    if changed || eta.is_some() {
        let when = eta.map_or_else(String::new, |eta| format!(", there in {} min", minutes_up(eta.since(change.now))));
        let text = format!("{provider}: {}{when}", job_word(Some(update.state)).replace('_', " "));
        change.say(id, TimelineKind::Answered, text, Some(request));
        let minutes = eta.map(|eta| minutes_up(eta.since(change.now)));
        if let Some(note) = notes::job(provider.as_str(), update.state, changed, minutes) {
            change.note(id, Mirror::Dispatch, &note);
        }
    }
    if let (Some(eta), false) = (eta, unwanted) {
        slipped(change, id, &step, eta);
    }
    if changed && !unwanted && came_to_nothing(update.state) {
        take_up_again(change, id, &step, &format!("{provider} does not help: {}", notes::why_not(Some(update.state))));
    }
}

/// Nobody comes any more, or nobody could help.
fn came_to_nothing(state: JobState) -> bool {
    use JobState::{Cancelled, Declined, GoneOnArrival, NoProvider, Unsuccessful};
    matches!(state, Cancelled | Declined | GoneOnArrival | NoProvider | Unsuccessful)
}

/// The truck that had ended a step is of no help after all: the step goes on. A case that was closed because everything
/// seemed done is opened again for that; one that was closed otherwise is for a person.
fn take_up_again(change: &mut Change<'_>, id: CaseId, step: &StepId, why: &str) {
    let key = (id, step.clone());
    let Some(case) = change.get::<CaseRow>(&id).filter(|c| c.backing_out.is_none()) else { return };
    let done = change.get::<StepRow>(&key).filter(|s| s.state == StepState::Done);
    if case.outcome.as_deref() == Some(case::SERVED) && done.is_some() {
        case::open_again(change, id, why);
    } else if !case.is_open() {
        return goals::page_default(change, id, why);
    }
    if let Some(row) = done {
        change.put(key, StepRow { state: StepState::Running, ..row });
    }
}

/// Whether `new` can be true after `old`: jobs go forward and end once.
fn may_follow(old: Option<JobState>, new: JobState) -> bool {
    use JobState::{Accepted, CancelRefused, Cancelled, Done, EnRoute, Offered, OnSite, Towing};
    let rank = |s: JobState| [Offered, Accepted, EnRoute, OnSite, Towing, Done].iter().position(|x| *x == s);
    match old {
        None => true,
        Some(old) => match (rank(old), rank(new)) {
            (Some(a), Some(b)) => b >= a,
            (Some(_), None) => old != Done,
            // They refused to stop, so it goes on; everything else is an end.
            (None, _) => old == CancelRefused && new != Cancelled || old == new,
        },
    }
}

/// A customer is being told something. If it says when the truck comes, later news is measured by that.
pub(super) fn told(change: &mut Change<'_>, told: &EffectRow) {
    let (Target::Customer { .. }, Some(script)) = (&told.target, &told.script) else { return };
    let parts = [Part::Voice, Part::Sms, Part::App, Part::Text];
    let mut names = parts.iter().flat_map(|part| change.config.messages.names(script.as_str(), *part));
    let Some(case) = change.get::<CaseRow>(&told.case).filter(|_| names.any(|n| n == "dispatch.eta_minutes")) else {
        return;
    };
    let Some(job) = job_of(change, told.case, &case).filter(|job| eta_minutes(job, change.now).is_some()) else {
        return;
    };
    let key = (told.case, job.step);
    if let Some(row) = change.get::<StepRow>(&key).filter(|row| row.told_eta_at != job.eta_at) {
        change.put(key, StepRow { told_eta_at: job.eta_at, ..row });
    }
}

fn slipped(change: &mut Change<'_>, id: CaseId, step_id: &StepId, eta: At) {
    let key = (id, step_id.clone());
    let Some(mut row) = change.get::<StepRow>(&key) else { return };
    let Some(told) = row.told_eta_at else {
        row.told_eta_at = Some(eta);
        return change.put(key, row);
    };
    if eta <= told + change.config.settings.eta_tolerance {
        return;
    }
    row.told_eta_at = Some(eta);
    row.again += 1;
    let name = format!("{step_id} eta {}", row.again);
    change.put(key, row);
    let later = minutes_up(eta.since(told));
    change.say(id, TimelineKind::Trouble, format!("the truck comes {later} min later than last told"), None);
    let plan =
        change.get::<CaseRow>(&id).filter(|c| c.is_open() && c.backing_out.is_none()).and_then(|c| change.plan(&c));
    let step = plan.as_ref().and_then(|p| p.step(step_id));
    if let Some(Verb::Dispatch(d)) = step.map(|s| &s.verb) {
        match d.on.get("eta_slips") {
            Some(Reaction::Tell(role)) => reach::announce(change, id, &name, role, ETA_SCRIPT, false),
            Some(reaction) => goals::react(change, id, reaction, "the truck comes later than told"),
            None => {}
        }
    }
}

/// Takes the jobs of a step back.
pub(super) fn cancel_step(change: &mut Change<'_>, id: CaseId, step: &StepId) {
    for (effect, mut job) in change.jobs(id) {
        if job.step == *step && !job.unwanted {
            job.unwanted = true;
            change.put(effect, job);
            change.touched.insert(id);
        }
    }
}

/// Whether its provider says that nobody comes any more.
pub(super) fn has_ended(job: &JobRow) -> bool {
    job.state.is_some_and(|state| state == JobState::Done || came_to_nothing(state))
}

/// Whether a step has asked for a truck and has none yet that came.
pub(super) fn is_looking(change: &Change<'_>, id: CaseId, plan: &Playbook) -> bool {
    let asked = |row: &StepRow| row.state == StepState::Running && (row.effect.is_some() || row.provider > 0);
    let sends = |step: &StepId| matches!(plan.step(step).map(|s| &s.verb), Some(Verb::Dispatch(d)) if !d.reserve);
    change.steps(id).iter().any(|(step, row)| asked(row) && sends(step))
}

/// Nothing more will come of the job, or a person knows that it will.
pub(super) fn is_over(change: &Change<'_>, job: &JobRow) -> bool {
    match job.state {
        _ if has_ended(job) => true,
        Some(JobState::CancelRefused) => job.unwanted,
        // Never taken by the provider, as far as anybody will ever know.
        None => change
            .jobs(job.case)
            .iter()
            .filter(|(_, j)| j == job)
            .all(|(effect, _)| change.get::<EffectRow>(effect).is_none_or(|e| e.delivery.state.is_lost())),
        _ => false,
    }
}

/// Keeps jobs in order: takes back what is not wanted, asks how the wanted one stands.
pub(super) fn upkeep(change: &mut Change<'_>, id: CaseId, wake: &mut Wake) {
    let open = change.get::<CaseRow>(&id).is_some_and(|c| c.is_open() && c.backing_out.is_none());
    for (effect, job) in change.jobs(id) {
        if job.unwanted && open && adopt(change, id, effect, &job) {
            continue;
        }
        let over = is_over(change, &job);
        if job.unwanted && !over && job.cancel.is_none() {
            take_back(change, id, effect, job.clone());
        }
        poll(change, id, effect, open && !over && is_promised(job.state), wake);
    }
}

/// A truck that was given up comes after all, and no other does: then this one it is.
fn adopt(change: &mut Change<'_>, id: CaseId, effect: EffectId, job: &JobRow) -> bool {
    let coming = is_promised(job.state) || job.state == Some(JobState::CancelRefused);
    let key = (id, job.step.clone());
    let Some(mut row) = change.get::<StepRow>(&key).filter(|_| coming && job.state != Some(JobState::Done)) else {
        return false;
    };
    let current = row.effect.and_then(|e| change.get::<JobRow>(&e).map(|j| (e, j)));
    if row.state == StepState::Done || current.as_ref().is_some_and(|(_, j)| is_promised(j.state)) {
        return false;
    }
    // A cancel already sent may still succeed: only a refusal or no cancel at all leaves the truck coming.
    let refused = job.state == Some(JobState::CancelRefused);
    let asked = job.cancel.and_then(|c| change.get::<EffectRow>(&c));
    if !refused && asked.is_some_and(|c| c.delivery.sends > 0) {
        return false;
    }
    if let Some(cancel) = job.cancel {
        change.call_off(cancel);
    }
    if let Some((other, mut other_job)) = current {
        other_job.unwanted = true;
        change.put(other, other_job);
    }
    let mut job = job.clone();
    job.unwanted = false;
    let text = format!("{} comes after all", job.provider);
    change.put(effect, job);
    row.effect = Some(effect);
    row.state = StepState::Running;
    change.put(key, row);
    change.note(id, Mirror::Dispatch, &format!("{text}."));
    change.say(id, TimelineKind::Decided, text, Some(effect));
    true
}

fn take_back(change: &mut Change<'_>, id: CaseId, request: EffectId, mut job: JobRow) {
    // Without their id there is nothing to name; it comes with the next news, if it comes at all.
    let Some(name) = job.job.clone() else { return };
    let mut effect = Effect::new(change, Kind::DispatchCancel, &job.provider, &job.step, request.to_string());
    effect.about = Some(name);
    effect.parent = Some(request);
    effect.compensation = true;
    job.cancel = Some(effect.plan(change, id));
    let text = format!("{} is asked to cancel", job.provider);
    change.put(request, job);
    change.note(id, Mirror::Dispatch, &format!("{text}."));
    change.say(id, TimelineKind::Decided, text, Some(request));
}

/// The later a truck is, the less often it is asked for: a provider that never ends a job is not asked every minute for
/// ever.
fn poll_every(change: &Change<'_>, job: &JobRow) -> Span {
    let late = due_at(job).map_or(Span::ZERO, |due_at| change.now.since(due_at));
    let rare = Span::from_micros(late.as_micros() / 10).min(RAREST_POLL);
    rare.max(change.config.settings.dispatch_poll)
}

fn poll(change: &mut Change<'_>, id: CaseId, request: EffectId, wanted: bool, wake: &mut Wake) {
    let Some(mut job) = change.get::<JobRow>(&request) else { return };
    let every = poll_every(change, &job);
    let running = job.poll.and_then(|p| change.get::<EffectRow>(&p).map(|e| (p, e)));
    match (running, wanted) {
        (None, true) => {
            let Some(name) = job.job.clone() else { return };
            let mut effect =
                Effect::new(change, Kind::DispatchStatus, &job.provider, &job.step, format!("status {request}"));
            effect.about = Some(name);
            effect.parent = Some(request);
            effect.at = change.now + every;
            // The poll itself may fail for long; asking again later is all there is to do.
            effect.limit_at = Some(At::MAX);
            job.poll = Some(effect.plan(change, id));
            change.put(request, job);
            wake.at(change.now + every);
        }
        (Some((poll, mut e)), true) if !e.delivery.state.is_waiting() && !e.delivery.state.is_in_flight() => {
            e.delivery.rearm(change.now + every);
            change.put(poll, e);
        }
        (Some((poll, _)), false) => {
            change.call_off(poll);
        }
        _ => {}
    }
}
