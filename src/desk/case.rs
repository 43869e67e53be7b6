//! The life of a case: opened by a detection, fed with facts, taken over by a person, closed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::{BookingRow, LetterRow};
use super::change::Change;
use super::facts::{Reader, context};
use super::nameless::nameless;
use super::rows::{
    BudgetKey, BudgetRow, CaseRow, EffectRow, EpisodeRow, FactsRow, GoalRow, GoalState, PageRow, PlanRow, StepRow,
    StepState, TicketRow,
};
use super::whereabouts::WhereRow;
use super::{
    Reply, TimelineKind, book, bundle, course, goals, hold, latch, outcome, pages, position, rules, stop, storm,
    survey, talk, ticket,
};
use crate::domain::{
    At, CaseId, Change as What, Detection, DeviceId, EffectId, FaultName, Mode, QueueName, StepId, Value,
};
use crate::playbook::{Mirror, Playbook};

/// What stands for the device in a case that is not about one.
pub const FLEET: &str = "fleet";
/// The outcome of a case whose plan everybody was told and helped by.
pub(super) const SERVED: &str = "served";
/// The outcome of a case whose fault has become one for a more urgent plan.
const WORSE: &str = "worse";
/// The most episodes remembered.
const MAX_KNOWN_EPISODES: usize = 200_000;

pub(super) fn detected(change: &mut Change<'_>, d: &Detection) -> Reply {
    let d = &nameless(change, d);
    let seen = change.get::<EpisodeRow>(&d.episode);
    if seen.as_ref().is_some_and(|e| e.seq >= d.seq) {
        return Reply::Done;
    }
    change.because("engine", format!("{} on {}: {:?}", d.fault, d.device, d.change));
    rules::seen(change, d);
    let ended = matches!(d.change, What::Cleared | What::RuleRemoved);
    let mut episode = EpisodeRow { ended, case: seen.and_then(|e| e.case), ..first_seen(change, d) };
    let known = episode.case.and_then(|id| change.get::<CaseRow>(&id).map(|row| (id, row)));
    let open = known.as_ref().filter(|(_, row)| row.is_open());
    if let Some((id, _)) = open.filter(|(_, row)| !is_outranked(change, row, d)) {
        attach(change, *id, d, false);
        store_facts(change, &d.device, d.event_at, &d.facts);
    } else if known.as_ref().is_some_and(|(id, row)| !row.is_open() && is_better(change, *id, row, d)) {
        // What was served, or was none, is not taken up again because it gets better.
    } else if !ended && d.change != What::Stale {
        consider(change, d, &mut episode);
    }
    if ended {
        rules::forget(change, &d.episode);
    }
    if let Some(id) = episode.case {
        course::keep(change, id, d);
    }
    latch::detected(change, d, episode.case);
    // Shadow rules may speak for years: what opened no case makes room for what is new.
    if change.base.rows.episodes.len() >= MAX_KNOWN_EPISODES
        && let Some((other, _)) = change.base.rows.episodes.iter().find(|(_, e)| e.case.is_none())
    {
        change.delete::<EpisodeRow>(*other);
    }
    change.put(d.episode, episode);
    Reply::Done
}

fn first_seen(change: &Change<'_>, d: &Detection) -> EpisodeRow {
    EpisodeRow {
        seq: d.seq,
        device: d.device.clone(),
        fault: d.fault.clone(),
        case: None,
        ignored: None,
        ended: false,
        seen_at: change.now,
    }
}

/// What a rule had found that may act from now on is still there.
pub(super) fn take_up(change: &mut Change<'_>, d: &Detection) {
    let mut episode = change.get::<EpisodeRow>(&d.episode).unwrap_or_else(|| first_seen(change, d));
    let is_watched = change.base.open_by_device.contains_key(&d.device);
    consider(change, d, &mut episode);
    if !is_watched {
        // Where it was once is not where it is: its engine tells that as soon as there is a case.
        change.delete::<FactsRow>(d.device.clone());
    }
    if let Some(id) = episode.case {
        course::keep(change, id, d);
    }
    change.put(d.episode, episode);
}

/// Opens a case, or joins one, if anything is to be done about a detection.
fn consider(change: &mut Change<'_>, d: &Detection, episode: &mut EpisodeRow) {
    episode.ignored = never(change, d);
    if episode.ignored.is_some() {
        return;
    }
    let Some(plan) = matching(change, d) else {
        episode.ignored = Some("no playbook matches".to_owned());
        return;
    };
    episode.ignored = rules::why_not(change, d);
    if episode.ignored.is_some() {
        return rules::found(change, d);
    }
    rules::forget(change, &d.episode);
    store_facts(change, &d.device, d.event_at, &d.facts);
    let before = episode.case;
    episode.case = open_or_join(change, d, &plan).or(before);
    match (before, episode.case) {
        (Some(old), Some(new)) if old != new => go_on_as(change, old, new, d),
        (_, None) => episode.ignored = Some("its case key cannot be rendered".to_owned()),
        _ => {}
    }
}

/// Opens a case, or joins one, for a finding of the desk's own. `false`: no playbook takes it.
pub(super) fn report(change: &mut Change<'_>, d: &Detection) -> bool {
    let plan = matching(change, d);
    plan.is_some_and(|plan| open_or_join(change, d, &plan).is_some())
}

/// Why a detection is recorded and nothing will ever be done about it.
fn never(change: &Change<'_>, d: &Detection) -> Option<String> {
    if d.mode != Mode::Live {
        return Some("the rule is in shadow mode".to_owned());
    }
    if d.historical {
        return Some("made of backfilled data".to_owned());
    }
    (!change.config.registry.devices.contains_key(&d.device)).then(|| "the device is not in the registry".to_owned())
}

fn matching(change: &Change<'_>, d: &Detection) -> Option<Arc<Playbook>> {
    let severity = d.level.as_ref()?.severity;
    let kind = change.config.registry.devices.get(&d.device).map(|x| x.kind.clone());
    let p10 = change.config.leads.get(&d.fault).map(|(from, _)| *from);
    let fits = |p: &&Arc<Playbook>| {
        p.matches.takes(&d.fault, severity, d.confidence, kind.as_deref()) && p.matches.takes_horizon(p10)
    };
    let books = change.config.playbooks.iter().filter(fits);
    books.max_by(|a, b| a.case.priority.cmp(&b.case.priority).then(b.id.cmp(&a.id))).cloned()
}

/// Whether all that is left of a fault is less bad than its case knew.
fn is_better(change: &Change<'_>, id: CaseId, case: &CaseRow, d: &Detection) -> bool {
    d.change == What::Moved
        && d.level.as_ref().is_some_and(|level| level.severity < case.severity)
        && change.open_episodes(id).all(|e| e == d.episode)
}

fn may_act(change: &Change<'_>, d: &Detection) -> bool {
    never(change, d).or_else(|| rules::why_not(change, d)).is_none()
}

/// Whether what a detection says now has a plan that is more urgent than the one that its case runs by: what was wearing
/// out has broken.
fn is_outranked(change: &Change<'_>, case: &CaseRow, d: &Detection) -> bool {
    let new = matching(change, d).filter(|p| p.id != case.playbook && may_act(change, d));
    let urgency = |p: &Playbook| (Reverse(p.policy.purpose), p.case.priority);
    let more_urgent = |old: Arc<Playbook>| new.is_some_and(|new| urgency(&new) > urgency(&old));
    matches!(d.change, What::Raised | What::Moved) && change.plan(case).is_some_and(more_urgent)
}

fn open_or_join(change: &mut Change<'_>, d: &Detection, plan: &Arc<Playbook>) -> Option<CaseId> {
    let mut fresh = new_row(change, d, plan);
    // The key is rendered from the very row it is for; its id is not known yet and not part of it.
    let provisional = CaseId::of(&[b"key"]);
    let facts = context(change, provisional, &fresh, &Reader::Staff { zone: "UTC" }, false);
    let key = plan.case.key.render(&facts).ok().filter(|k| k.len() <= 256)?;
    let known = change.base.newest(&key).and_then(|id| change.get::<CaseRow>(&id).map(|row| (id, row)));
    match known {
        Some((id, row)) if row.is_open() && !is_outranked(change, &row, d) => {
            attach(change, id, d, true);
            hold::joined(change, id, d);
            Some(id)
        }
        Some((id, row)) if !row.is_open() && is_reopened(change, id, &row, plan) => {
            reopen(change, id, row, key, plan, d);
            outcome::opened(change, id, d);
            hold::begin(change, id, d);
            Some(id)
        }
        known => {
            let id = CaseId::of(&[key.as_bytes(), d.episode.as_bytes()]);
            let taken = change.get::<CaseRow>(&id).is_some();
            let id = if taken { CaseId::of(&[id.as_bytes(), plan.id.as_str().as_bytes()]) } else { id };
            fresh.key = key;
            keep_plan(change, plan);
            change.put(id, fresh);
            outcome::opened(change, id, d);
            let text = format!("{}: {} ({})", d.device, d.title, severity_of(d));
            change.say(id, TimelineKind::Measured, text, None);
            let text = format!("case opened, playbook {} version {}", plan.id, plan.version);
            change.say(id, TimelineKind::Decided, text, None);
            hold::begin(change, id, d);
            if let Some((old, _)) = known {
                go_on_as(change, old, id, d);
            }
            Some(id)
        }
    }
}

/// The fault of `old` has become worse and has a case of its own now: that one goes on with it.
fn go_on_as(change: &mut Change<'_>, old: CaseId, new: CaseId, d: &Detection) {
    if let Some(row) = change.get::<EpisodeRow>(&d.episode) {
        change.put(d.episode, EpisodeRow { case: Some(new), ..row });
    }
    if change.get::<CaseRow>(&old).is_none_or(|c| !c.is_open()) || change.open_episodes(old).next().is_some() {
        return;
    }
    let text = format!("it has become worse ({}): case {} goes on with it", severity_of(d), new.short());
    change.say(old, TimelineKind::Decided, text.clone(), None);
    change.note(old, Mirror::Note, &format!("{text}."));
    close(change, old, WORSE);
}

/// Within its time; and for as long as it has an appointment, because another case would make another one.
fn is_reopened(change: &Change<'_>, id: CaseId, row: &CaseRow, plan: &Playbook) -> bool {
    row.closed_at.is_some_and(|at| change.now.since(at) < plan.case.reopen) || book::is_live(change, id)
}

fn severity_of(d: &Detection) -> &'static str {
    d.level.as_ref().map_or("ended", |l| l.severity.as_str())
}

fn new_row(change: &Change<'_>, d: &Detection, plan: &Playbook) -> CaseRow {
    CaseRow {
        device: d.device.clone(),
        fault: d.fault.clone(),
        component: d.component.clone(),
        severity: d.level.as_ref().map_or(crate::domain::Severity::Minor, |l| l.severity),
        level: d.level.as_ref().map_or_else(String::new, |l| l.name.clone()),
        confidence: d.confidence,
        title: d.title.clone(),
        evidence: d.evidence.clone(),
        lead: change.config.leads.get(&d.fault).copied(),
        event_at: d.event_at,
        ..bare(change, plan)
    }
}

/// A new case that is not about one device.
pub(super) fn bare(change: &Change<'_>, plan: &Playbook) -> CaseRow {
    let now = change.now;
    let goals = plan.case.goals.iter();
    CaseRow {
        key: String::new(),
        playbook: plan.id.clone(),
        version: plan.version,
        plan: plan.hash,
        device: FLEET.into(),
        run: 1,
        fault: FaultName::from(""),
        component: None,
        severity: crate::domain::Severity::Minor,
        level: String::new(),
        confidence: 1.0,
        title: String::new(),
        evidence: Vec::new(),
        cleared_at: None,
        unwatched: false,
        stale: false,
        lead: None,
        event_at: now,
        opened_at: now,
        closed_at: None,
        outcome: None,
        goals: goals.map(|name| GoalRow { name: name.clone(), state: GoalState::Open, met_by: None }).collect(),
        backing_out: None,
        human_owner: None,
        owned_at: None,
        react_by_at: Some(now + change.config.settings.reaction),
        cancel_held: Vec::new(),
        lines: 0,
        wake_at: Some(now),
    }
}

/// Opens a case that no detection of its own has opened.
pub(super) fn open_parent(change: &mut Change<'_>, id: CaseId, row: CaseRow, plan: &Playbook) {
    keep_plan(change, plan);
    let facts = context(change, id, &row, &Reader::Staff { zone: "UTC" }, false);
    let key = plan.case.key.render(&facts).ok().filter(|k| k.len() <= 256);
    change.put(id, CaseRow { key: key.unwrap_or_else(|| id.to_string()), ..row });
    let text = format!("case opened, playbook {} version {}", plan.id, plan.version);
    change.say(id, TimelineKind::Decided, text, None);
}

/// The text of the playbook stays for as long as a case may need it.
fn keep_plan(change: &mut Change<'_>, plan: &Playbook) {
    if change.get::<PlanRow>(&plan.hash).is_none() {
        change.put(plan.hash, PlanRow { source: plan.source.to_string() });
    }
}

fn reopen(change: &mut Change<'_>, id: CaseId, old: CaseRow, key: String, plan: &Arc<Playbook>, d: &Detection) {
    // What was arranged is looked after by the plan that has arranged it.
    let arranged_by = change.plan(&old).filter(|_| book::is_live(change, id));
    let plan = arranged_by.as_ref().unwrap_or(plan);
    change.put(id, CaseRow { key, run: old.run + 1, lines: old.lines, ..new_row(change, d, plan) });
    keep_plan(change, plan);
    for (queue, _) in change.of_case::<PageRow, _>(id, QueueName::from("")) {
        change.delete::<PageRow>((id, queue));
    }
    let kept = book::reopened(change, id, plan);
    for (step, _) in change.steps(id).into_iter().filter(|(step, _)| !kept.contains(step)) {
        change.delete::<StepRow>((id, step));
    }
    survey::forget(change, id);
    course::forget(change, id);
    change.delete::<super::consent::RefusedRow>(id);
    talk::plan_runs_again(change, id);
    let text = format!("{}: {} again ({}); case reopened", d.device, d.title, severity_of(d));
    change.say(id, TimelineKind::Measured, text, None);
    let text = format!("Measured again: {} ({}). The case is open again.", d.title, severity_of(d));
    ticket::open_again(change, id, &text);
    for (step, _) in change.steps(id).into_iter().filter(|(_, row)| row.state == StepState::Done) {
        if let Some(goal) = plan.step(&step).and_then(|s| s.goal.as_ref()) {
            goals::meet(change, id, goal, "what was arranged before");
        }
    }
}

/// Opens a closed case again for a person, who has to close it: its plan is not run a second time.
pub(super) fn open_again(change: &mut Change<'_>, id: CaseId, why: &str) {
    let Some(mut row) = change.get::<CaseRow>(&id).filter(|c| !c.is_open()) else { return };
    row.closed_at = None;
    row.outcome = None;
    row.backing_out = None;
    row.wake_at = Some(change.now);
    change.put(id, row);
    ticket::open_again(change, id, &format!("The case is open again: {why}."));
    change.say(id, TimelineKind::Decided, format!("the case is open again: {why}"), None);
}

/// A detection for a case that is open; `new`: of an episode that is not yet part of it.
fn attach(change: &mut Change<'_>, id: CaseId, d: &Detection, new: bool) {
    let Some(mut row) = change.get::<CaseRow>(&id) else { return };
    let was_gone = row.cleared_at.is_some();
    let alone = change.open_episodes(id).all(|e| e == d.episode);
    let (text, note) = match d.change {
        What::Raised | What::Moved => {
            row.cleared_at = None;
            row.stale = false;
            if let Some(level) = &d.level {
                // What others have found is not less bad because this one is.
                let least = if alone && !new { level.severity } else { row.severity };
                row.severity = least.max(level.severity);
                row.level.clone_from(&level.name);
            }
            let severity = severity_of(d);
            let note = format!("Measured: {} ({severity}).", d.title);
            (format!("{}: {} ({severity})", d.device, d.title), note)
        }
        What::Stale => {
            row.stale = true;
            let text = "the device says nothing any more that would tell whether the fault persists".to_owned();
            (text, "The device is silent: whether the fault persists is not known.".to_owned())
        }
        What::Cleared => {
            row.cleared_at = Some(change.now).filter(|_| alone && !row.unwatched);
            let note = format!("Measured: the fault has cleared ({}).", d.fault);
            (format!("{}: {} has cleared", d.device, d.fault), note)
        }
        // Not the device's doing: the fault may well persist.
        What::RuleRemoved => {
            row.unwatched = true;
            let text = format!("the rule {} was removed; nobody watches this fault any more", d.rule);
            (text, "This fault is not watched any more.".to_owned())
        }
    };
    if row.component.is_none() {
        row.component.clone_from(&d.component);
    }
    let is_back = was_gone && row.cleared_at.is_none() && row.backing_out.is_none();
    change.put(id, row);
    change.say(id, TimelineKind::Measured, text, None);
    change.note(id, Mirror::Note, &note);
    if is_back {
        goals::disproved(change, id);
    }
}

fn store_facts(change: &mut Change<'_>, device: &DeviceId, event_at: At, values: &BTreeMap<String, Value>) -> bool {
    let mut row = change.get::<FactsRow>(device).unwrap_or_default();
    if event_at < row.event_at {
        return false;
    }
    // Only what has changed is told: a car that drives due north says no new longitude.
    if values.contains_key("lat") || values.contains_key("lon") {
        row.position_at = Some(event_at);
    }
    row.event_at = event_at;
    row.stored_at = change.now;
    position::absorb(change, device, &mut row, values);
    change.put(device.clone(), row);
    true
}

/// Facts of a watched device. Stored at most every few seconds, unless a condition of an open case may depend on them:
/// a number that starts or stops to be zero, a switch, a word, or a first position.
pub(super) fn facts(
    change: &mut Change<'_>,
    device: &DeviceId,
    event_at: At,
    values: BTreeMap<String, Value>,
) -> Reply {
    let Some(cases) = change.base.open_by_device.get(device).cloned() else { return Reply::Done };
    change.because("engine", format!("facts of {device}"));
    let old = change.get::<FactsRow>(device).unwrap_or_default();
    let recent = change.now.since(old.stored_at) < change.config.settings.facts_every;
    let mut trial = old.clone();
    position::absorb(change, device, &mut trial, &values);
    if recent && old.position_at.is_some() && !goals::would_flip(change, &cases, device, &trial) {
        return Reply::Done;
    }
    if store_facts(change, device, event_at, &values) {
        change.touched.extend(cases);
    }
    Reply::Done
}

pub(super) fn acknowledged(change: &mut Change<'_>, id: CaseId, actor: &str) -> Reply {
    match change.get::<CaseRow>(&id) {
        None => Reply::NotFound,
        // People may have been asked about it all the same.
        Some(row) if !row.is_open() && !pages::waits(change, id) => Reply::Refused("the case is closed".to_owned()),
        Some(row) if !row.is_open() => {
            change.because(format!("api:{actor}"), "acknowledged");
            pages::acknowledge(change, id, actor);
            talk::answered(change, id);
            change.touched.insert(id);
            Reply::Done
        }
        Some(_) => {
            change.because(format!("api:{actor}"), "acknowledged");
            take_over(change, id, actor);
            Reply::Done
        }
    }
}

/// A person takes the case: nobody else is paged for it.
pub(super) fn take_over(change: &mut Change<'_>, id: CaseId, who: &str) {
    let Some(mut row) = change.get::<CaseRow>(&id) else { return };
    row.human_owner = Some(who.to_owned());
    row.owned_at = Some(change.now);
    row.react_by_at = None;
    change.put(id, row);
    pages::acknowledge(change, id, who);
    change.say(id, TimelineKind::Answered, format!("{who} has taken the case"), None);
    change.note(id, Mirror::Note, &format!("{who} has taken the case."));
}

pub(super) fn closed_by_person(change: &mut Change<'_>, id: CaseId, actor: &str, reason: &str) -> Reply {
    match change.get::<CaseRow>(&id) {
        None => Reply::NotFound,
        Some(row) if !row.is_open() => Reply::Refused("the case is closed already".to_owned()),
        // It ends when its children have gone.
        Some(_) if storm::keeps_open(change, id) => storm::release(change, id, actor),
        Some(_) => {
            change.because(format!("api:{actor}"), "closed by a person");
            pages::acknowledge(change, id, actor);
            let reason: String = reason.chars().take(500).collect();
            let words = change.quote(id, TimelineKind::Decided, format!("{actor} closes the case"), &reason);
            change.note(id, Mirror::Note, &format!("{actor} closes the case: {words}"));
            close(change, id, "closed_by_person");
            Reply::Done
        }
    }
}

/// Ends a case: nothing that is not sent yet will be sent, the tickets are closed.
pub(super) fn close(change: &mut Change<'_>, id: CaseId, how: &str) {
    let Some(mut row) = change.get::<CaseRow>(&id).filter(CaseRow::is_open) else { return };
    row.closed_at = Some(change.now);
    row.outcome = Some(how.to_owned());
    row.react_by_at = None;
    for goal in row.goals.iter_mut().filter(|g| !g.state.is_settled()) {
        goal.state = GoalState::Waived;
    }
    change.put(id, row.clone());
    for (step, mut row) in change.steps(id) {
        if row.state.is_live() && row.adhoc.as_ref().is_none_or(|a| !a.compensation) {
            row.state = StepState::Cancelled;
            change.put((id, step), row);
        }
    }
    latch::release(change, id);
    outcome::closed(change, id, &row);
    hold::closed(change, id);
    talk::answered(change, id);
    stop::closed(change, id);
    storm::closed(change, id);
    book::drop_offers(change, id, "the case is closed");
    pages::acknowledge(change, id, how);
    drop_waiting(change, id);
    change.say(id, TimelineKind::Decided, format!("case closed: {how}"), None);
    ticket::close_all(change, id, how);
}

/// Takes back everything of a case that waits to be sent and does not undo or document.
pub(super) fn drop_waiting(change: &mut Change<'_>, id: CaseId) {
    for (effect, _) in change.effects(id) {
        drop_one(change, effect);
    }
}

/// The same of one effect.
pub(super) fn drop_one(change: &mut Change<'_>, effect: EffectId) {
    if change.get::<EffectRow>(&effect).is_some_and(|row| !row.compensation) {
        change.call_off(effect);
    }
}

/// Removes a case that was closed long ago, with everything that belongs to it.
pub(super) fn forget(change: &mut Change<'_>, id: CaseId) {
    change.because("timer", "a closed case is over its retention");
    let Some(row) = change.get::<CaseRow>(&id) else { return };
    for (step, _) in change.of_case::<BookingRow, _>(id, StepId::from("")) {
        change.delete::<BookingRow>((id, step));
    }
    for (step, _) in change.steps(id) {
        change.delete::<StepRow>((id, step));
    }
    for (step, _) in change.of_case::<TicketRow, _>(id, StepId::from("")) {
        change.delete::<TicketRow>((id, step));
    }
    for (queue, _) in change.of_case::<PageRow, _>(id, QueueName::from("")) {
        change.delete::<PageRow>((id, queue));
    }
    for (effect, _) in change.jobs(id) {
        change.delete::<super::rows::JobRow>(effect);
    }
    for (effect, _) in change.effects(id) {
        bundle::forget(change, effect);
        change.delete::<super::rows::ContactRow>(effect);
        change.delete::<LetterRow>(effect);
        change.delete::<EffectRow>(effect);
    }
    for line in 0..row.lines {
        change.delete::<super::rows::LineRow>((id, line));
    }
    let episodes: Vec<_> =
        change.base.rows.episodes.iter().filter(|(_, e)| e.case == Some(id) && e.ended).map(|(k, _)| *k).collect();
    for episode in episodes {
        change.delete::<EpisodeRow>(episode);
    }
    talk::forget(change, id);
    change.delete::<super::consent::RefusedRow>(id);
    survey::forget(change, id);
    course::forget(change, id);
    change.delete::<CaseRow>(id);
    change.touched.remove(&id);
    forget_around(change, id, &row);
}

/// What only a case was kept for: facts of its device, its budgets of past days, the text of an old plan.
fn forget_around(change: &mut Change<'_>, id: CaseId, row: &CaseRow) {
    if !change.base.open_by_device.contains_key(&row.device) {
        change.delete::<FactsRow>(row.device.clone());
        change.delete::<WhereRow>(row.device.clone());
    }
    let today = change.now.as_secs().div_euclid(86_400);
    let day = |day| BudgetKey::DeviceDay(row.device.clone(), day);
    let past: Vec<BudgetKey> = change.base.rows.budgets.range(day(0)..day(today)).map(|(key, _)| key.clone()).collect();
    for key in past {
        change.delete::<BudgetRow>(key);
    }
    let current = change.config.playbooks.iter().any(|p| p.hash == row.plan);
    let needed = |other: &CaseRow| other.plan == row.plan;
    if !current && !change.base.rows.cases.iter().any(|(other, row)| *other != id && needed(row)) {
        change.delete::<PlanRow>(row.plan);
    }
}
