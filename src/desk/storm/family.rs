//! The cases of a storm: how one is found, who becomes its child, what a child may do, and how it leaves.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::change::Change;
use super::super::facts::{self, CaseFacts};
use super::super::hold::{self, Leave};
use super::super::rows::{CaseRow, FactsRow, HoldRow, Why};
use super::super::{Reply, TimelineKind, case, pages, quality, rules};
use super::rate::RateRow;
use super::rows::{ChildRow, Progress, StormRow, TierRow, edit, edit_tier};
use super::{cause, tiers};
use crate::domain::{Breaker, CaseId, FaultName, RuleId, ScriptId, Value};
use crate::playbook::{Held, Order, Playbook, Storm, Verb, Via, compile_stored};

/// A child that no tier takes waits for a person.
const NO_TIER: u8 = u8::MAX;

/// A case is about to act. Whether it has to wait instead, as the child of a storm.
pub(in crate::desk) fn admit(change: &mut Change<'_>, id: CaseId, rule: &RuleId) -> bool {
    counted(change, id, rule, true)
}

/// The same for a case that was about to act before, and is no new one: it may be one of many, and makes no storm.
pub(in crate::desk) fn admit_again(change: &mut Change<'_>, id: CaseId, rule: &RuleId) -> bool {
    counted(change, id, rule, false)
}

fn counted(change: &mut Change<'_>, id: CaseId, rule: &RuleId, new: bool) -> bool {
    let Some(row) = change.get::<CaseRow>(&id) else { return false };
    let config = change.config;
    let device = config.registry.devices.get(&row.device);
    let kind = device.map(|d| &*d.kind);
    let watching = config.playbooks.iter().filter(|p| p.matches.counts(&row.fault, row.severity, kind));
    let mut watched = false;
    for plan in watching {
        watched = true;
        if by_playbook(change, id, rule, &row, plan, new) {
            return true;
        }
    }
    match config.guards.get(rule).and_then(|g| g.breaker.as_ref()) {
        Some(breaker) => {
            let group = device.and_then(|d| d.attribute(breaker.by.as_deref()?));
            by_guard(change, id, rule, breaker, group, new)
        }
        // Who watches a fault for storms needs no second guard.
        None if watched => false,
        None => {
            by_guard(change, id, rule, &config.settings.storm_guard.breaker(config.registry.devices.len()), None, new)
        }
    }
}

fn by_playbook(
    change: &mut Change<'_>,
    id: CaseId,
    rule: &RuleId,
    row: &CaseRow,
    plan: &Arc<Playbook>,
    new: bool,
) -> bool {
    let Some(surge) = &plan.matches.storm else { return false };
    let key = (format!("playbook {}", plan.id), signature(change, row, &surge.same));
    let mut rate = change.get::<RateRow>(&key).unwrap_or_default();
    if let Some(storm) = rate.storm {
        join(change, storm, id, rule);
        return true;
    }
    if !new {
        return false;
    }
    rate.add(change.now, surge.window);
    let usual = rate.usual(change.now, surge.window);
    let enough = f64::from(surge.min).max(surge.baseline_factor * usual);
    let found = f64::from(rate.recent(change.now, surge.window)) >= enough;
    if !found {
        change.put(key, rate);
        return false;
    }
    let why = format!(
        "{} new cases of {} within {}, usual are {usual:.1}",
        rate.recent(change.now, surge.window),
        key.1,
        surge.window
    );
    let storm = open(change, plan, key.clone(), None, why, row);
    rate.storm = Some(storm);
    change.put(key.clone(), rate);
    for other in earlier(change, storm, &key.1, plan) {
        adopt(change, storm, other);
    }
    join(change, storm, id, rule);
    true
}

/// What the cases of a storm have in common.
fn signature(change: &Change<'_>, row: &CaseRow, same: &[Arc<str>]) -> String {
    let mut text = String::new();
    for name in same {
        let device = change.config.registry.devices.get(&row.device);
        let value = match &**name {
            "fault.name" => row.fault.as_str(),
            "fault.family" => facts::family(row.fault.as_str()),
            name => device.and_then(|d| d.attribute(name.strip_prefix("device.")?)).unwrap_or(""),
        };
        let _ = write!(text, "{}{value}", if text.is_empty() { "" } else { "/" });
    }
    text
}

/// Open cases that came before the storm was noticed. Looked for once, when it is.
fn earlier(change: &Change<'_>, storm: CaseId, signature: &str, plan: &Playbook) -> Vec<CaseId> {
    let Some(surge) = &plan.matches.storm else { return Vec::new() };
    let kind = |row: &CaseRow| change.config.registry.devices.get(&row.device).map(|d| d.kind.clone());
    let fits = |row: &CaseRow| {
        row.is_open()
            && change.now.since(row.opened_at) < surge.window
            && plan.matches.counts(&row.fault, row.severity, kind(row).as_deref())
            && self::signature(change, row, &surge.same) == signature
    };
    let open = change.base.open_by_device.values().flatten().copied();
    open.filter(|id| *id != storm && change.get::<CaseRow>(id).is_some_and(|row| fits(&row))).collect()
}

/// A case that was open before: taken over from a guard, left with the parent device that explains it.
fn adopt(change: &mut Change<'_>, storm: CaseId, id: CaseId) {
    if change.get::<StormRow>(&id).is_some() {
        return;
    }
    match change.get::<HoldRow>(&id) {
        Some(HoldRow { why: Why::Parent(_), .. }) => {}
        Some(HoldRow { rule, why: Why::Storm(old) }) => {
            leave_storm(change, old, id);
            join(change, storm, id, &rule);
        }
        None => {
            // The rule that opened it is not kept with a case; what other rules find is held back with it.
            join(change, storm, id, &RuleId::from(""));
        }
    }
}

fn by_guard(
    change: &mut Change<'_>,
    id: CaseId,
    rule: &RuleId,
    guard: &Breaker,
    group: Option<&str>,
    new: bool,
) -> bool {
    let key = (rate_of(rule), group.unwrap_or("").to_owned());
    let mut rate = change.get::<RateRow>(&key).unwrap_or_default();
    if let Some(storm) = rate.storm {
        join(change, storm, id, rule);
        return true;
    }
    if !new {
        return false;
    }
    if rate.recent(change.now, guard.per) < guard.max {
        rate.add(change.now, guard.per);
        change.put(key, rate);
        return false;
    }
    let of = guard.by.as_ref().map_or_else(String::new, |by| format!(" ({by} = {})", key.1));
    let why = format!("more than {} cases of rule {rule} within {}{of}", guard.max, guard.per);
    let (Some(plan), Some(row)) = (guard_plan(change), change.get::<CaseRow>(&id)) else { return false };
    let storm = open(change, &plan, key.clone(), Some(rule.clone()), why, &row);
    rate.storm = Some(storm);
    change.put(key, rate);
    join(change, storm, id, rule);
    true
}

/// What is counted for the guard of a rule.
pub(super) fn rate_of(rule: &RuleId) -> String {
    format!("rule {rule}")
}

/// The plan of a storm that no playbook is about: ask a person.
fn guard_plan(change: &Change<'_>) -> Option<Arc<Playbook>> {
    let queue = change.config.default_queue().map_or("service-desk", |q| q.as_str());
    compile_stored(&include_str!("guard.toml").replace("QUEUE", queue)).map(Arc::new)
}

/// Opens the case of a storm; `of` is the case that made it one too many.
fn open(
    change: &mut Change<'_>,
    plan: &Arc<Playbook>,
    rate: (String, String),
    rule: Option<RuleId>,
    why: String,
    of: &CaseRow,
) -> CaseId {
    let id = CaseId::of(&[rate.0.as_bytes(), rate.1.as_bytes(), &change.now.as_micros().to_le_bytes()]);
    let tiers = plan.storm.as_ref().map_or(0, |s| s.tiers.len());
    let fault = if rule.is_some() || rate.1.is_empty() { of.fault.clone() } else { FaultName::from(rate.1.as_str()) };
    let storm = StormRow {
        rate,
        rule,
        why: why.clone(),
        started_at: change.now,
        count: 0,
        children: 0,
        late: 0,
        joined_at: change.now,
        judged: 0,
        cause: None,
        our_fault: None,
        released_by: None,
        script: None,
        trucks: 0,
        tiers: vec![TierRow::default(); tiers],
    };
    change.put(id, storm);
    let row =
        CaseRow { severity: of.severity, title: why.clone(), fault, event_at: of.event_at, ..case::bare(change, plan) };
    case::open_parent(change, id, row, plan);
    change.say(id, TimelineKind::Measured, why, None);
    id
}

/// The case becomes a child of the storm.
fn join(change: &mut Change<'_>, storm: CaseId, id: CaseId, rule: &RuleId) {
    let (Some(case), Some(row)) = (change.get::<CaseRow>(&id), change.get::<StormRow>(&storm)) else { return };
    let late = u32::from(cause::is_late(change, &case));
    let spec = plan_of(change, storm);
    let spec = spec.as_ref().and_then(|p| p.storm.as_deref());
    let (tier, risk) = place(change, id, &case, spec);
    let child = ChildRow {
        storm,
        tier,
        risk,
        joined_at: change.now,
        customer: change.config.registry.people(&case.device, &tiers::readers()).next().map(|c| c.id.clone()),
        progress: Progress::Waiting,
        in_doubt: false,
        truck: false,
        digest: None,
    };
    change.put(id, child);
    change.put(id, HoldRow { rule: rule.clone(), why: Why::Storm(storm) });
    let now = change.now;
    edit(change, storm, |row| {
        row.count += 1;
        row.children += 1;
        row.late += late;
        row.joined_at = now;
    });
    enter(change, storm, tier);
    let text = match row.rule {
        Some(_) => format!("held until a person releases it: {}", row.why),
        None => format!("one of many, held by the storm of case {}", storm.short()),
    };
    change.say(id, TimelineKind::Decided, text, None);
    change.touched.insert(storm);
}

fn enter(change: &mut Change<'_>, storm: CaseId, tier: u8) {
    let now = change.now;
    edit_tier(change, storm, tier, |t| {
        t.waiting += 1;
        t.joined_at = now;
        t.opened_at.get_or_insert(now);
    });
}

/// Whether a guard of a rule has found it.
pub(in crate::desk) fn is_of_rule(change: &Change<'_>, storm: CaseId) -> bool {
    change.get::<StormRow>(&storm).is_some_and(|row| row.is_guard())
}

pub(super) fn plan_of(change: &Change<'_>, storm: CaseId) -> Option<Arc<Playbook>> {
    change.get::<CaseRow>(&storm).and_then(|case| change.plan(&case))
}

/// The tier that takes a child now, and how urgent it is there.
fn place(change: &Change<'_>, id: CaseId, case: &CaseRow, spec: Option<&Storm>) -> (u8, u32) {
    let facts = CaseFacts::new(change, id, case);
    let takes =
        |t: &crate::playbook::Tier| t.when.evaluate(change.now, &facts, &mut Held::default()).truth == Some(true);
    let found = spec.and_then(|s| s.tiers.iter().enumerate().find(|(_, t)| takes(t)));
    match found {
        Some((ix, tier)) => {
            let risk = if tier.order == Order::Risk { risk(change, case) } else { 0 };
            (u8::try_from(ix).unwrap_or(NO_TIER), risk)
        }
        None => (NO_TIER, 0),
    }
}

/// Severity first, then speed, then confidence.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept in range first")]
fn risk(change: &Change<'_>, case: &CaseRow) -> u32 {
    let speed = change.get::<FactsRow>(&case.device).and_then(|f| f.values.get("speed").and_then(Value::as_num));
    let part = |value: f64| value.clamp(0.0, 999.0) as u32;
    case.severity as u32 * 1_000_000 + part(speed.unwrap_or(0.0)) * 1_000 + part(case.confidence * 999.0)
}

/// Whether a held child still is one. Brings it to the tier where it belongs by now.
pub(in crate::desk) fn holds(change: &mut Change<'_>, id: CaseId, storm: CaseId) -> bool {
    let (Some(row), Some(child)) = (change.get::<StormRow>(&storm), change.get::<ChildRow>(&id)) else {
        hold::go_on(change, id, "the storm is over: the case goes on");
        return false;
    };
    if hold::close_if_cleared(change, id, hold::CLEARED) {
        return true;
    }
    if child.progress == Progress::Released {
        let who = row.released_by.unwrap_or_else(|| "somebody".to_owned());
        let what =
            row.rule.map_or_else(|| format!("the storm of case {}", storm.short()), |rule| format!("rule {rule}"));
        hold::go_on(change, id, &format!("{who} has released {what}: the case goes on"));
        return false;
    }
    if let (Progress::Waiting, Some(case)) = (child.progress, change.get::<CaseRow>(&id)) {
        let plan = plan_of(change, storm);
        let (tier, risk) = place(change, id, &case, plan.as_ref().and_then(|p| p.storm.as_deref()));
        if tier != child.tier {
            edit_tier(change, storm, child.tier, |t| t.waiting -= 1);
            enter(change, storm, tier);
            change.touched.insert(storm);
        }
        if (tier, risk) != (child.tier, child.risk) {
            change.put(id, ChildRow { tier, risk, ..child });
        }
    }
    true
}

/// How much of its plan a child may carry out, besides the `least`.
pub(in crate::desk) fn leave(change: &Change<'_>, id: CaseId, storm: CaseId, warns: bool, least: Leave) -> Leave {
    let plan = plan_of(change, storm);
    let spec = plan.as_ref().and_then(|p| p.storm.as_deref());
    let Some(spec) = spec.filter(|s| !s.tiers.is_empty()) else {
        let warns = warns && (is_of_rule(change, storm) || spec.is_some_and(|s| s.keep_safety));
        return if warns { least.and_warn() } else { least };
    };
    let Some(child) = change.get::<ChildRow>(&id).filter(|c| c.progress != Progress::Waiting) else { return least };
    // What would page our own people for each child waits, named or not.
    let quiet = ["human", "wait_for", "hold", "correlate", "dispatch"];
    let paused = |verb: &str| spec.pause.is_empty() || spec.pause.iter().any(|p| **p == *verb);
    let others = Verb::NAMES.iter().copied().filter(|verb| !quiet.contains(verb) && !paused(verb));
    let dispatch = Some("dispatch").filter(|_| child.truck);
    least.and(Leave::of(others.chain(["reach"]).chain(dispatch)))
}

/// How the messages of a child are restricted.
pub(in crate::desk) struct Ways {
    pub(in crate::desk) via: Vec<Via>,
    pub(in crate::desk) script: Option<ScriptId>,
}

/// By which ways, and with which text, the plan of a case may tell people; `None`: as it says.
pub(in crate::desk) fn ways(change: &Change<'_>, id: CaseId) -> Option<Ways> {
    let child = change.get::<ChildRow>(&id)?;
    let plan = plan_of(change, child.storm)?;
    let tier = plan.storm.as_ref()?.tiers.get(usize::from(child.tier))?;
    let stormy = change.get::<StormRow>(&child.storm)?.script.filter(|_| !child.truck);
    Some(Ways { via: tier.via.clone(), script: stormy.or_else(|| tier.script.clone()) })
}

/// A child is held no longer.
pub(in crate::desk) fn left(change: &mut Change<'_>, id: CaseId, storm: CaseId) {
    leave_storm(change, storm, id);
    change.touched.insert(storm);
}

fn leave_storm(change: &mut Change<'_>, storm: CaseId, id: CaseId) {
    let Some(child) = change.get::<ChildRow>(&id) else { return };
    tiers::settle(change, &child, id);
    change.delete::<ChildRow>(id);
    edit(change, storm, |row| row.children = row.children.saturating_sub(1));
    edit_tier(change, storm, child.tier, |t| {
        if child.progress == Progress::Waiting {
            t.waiting = t.waiting.saturating_sub(1);
        }
    });
}

/// Lets some of the children go, those in most danger first.
pub(super) fn let_go(change: &mut Change<'_>, storm: CaseId, most: usize) {
    let of_storm = (storm, 0)..=(storm, NO_TIER);
    let waiting = change.base.storm_queue.range(of_storm).flat_map(|(_, queue)| queue.iter().map(|(_, _, id)| *id));
    let told = change.base.children.get(&storm).into_iter().flatten().copied();
    let held =
        |id: &CaseId| change.get::<ChildRow>(id).filter(|c| c.storm == storm && c.progress != Progress::Released);
    let mut next: Vec<CaseId> = waiting.chain(told).filter(|id| held(id).is_some()).take(2 * most).collect();
    next.dedup();
    for id in next.into_iter().take(most) {
        let Some(child) = held_child(change, id, storm) else { continue };
        tiers::settle(change, &child, id);
        edit_tier(change, storm, child.tier, |t| {
            if child.progress == Progress::Waiting {
                t.waiting = t.waiting.saturating_sub(1);
            }
        });
        change.put(id, ChildRow { progress: Progress::Released, ..child });
        change.touched.insert(id);
    }
}

fn held_child(change: &Change<'_>, id: CaseId, storm: CaseId) -> Option<ChildRow> {
    change.get::<ChildRow>(&id).filter(|c| c.storm == storm && c.progress != Progress::Released)
}

/// A person ends a storm: its children go on, some at a time.
pub(in crate::desk) fn release(change: &mut Change<'_>, storm: CaseId, actor: &str) -> Reply {
    let Some(row) = change.get::<StormRow>(&storm) else {
        return match change.get::<CaseRow>(&storm) {
            None => Reply::NotFound,
            Some(_) => Reply::Refused("it is not the case of a storm".to_owned()),
        };
    };
    if row.released_by.is_some() {
        return Reply::Refused("it is released already".to_owned());
    }
    change.because(format!("api:{actor}"), format!("released the storm of case {}", storm.short()));
    forget_rate(change, &row);
    let children = row.children;
    change.put(storm, StormRow { released_by: Some(actor.to_owned()), ..row });
    pages::acknowledge(change, storm, actor);
    change.say(storm, TimelineKind::Decided, format!("{actor} releases {children} cases"), None);
    Reply::Done
}

/// A person releases what the guards of a rule hold, or a new rule.
pub(in crate::desk) fn release_rule(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> Reply {
    let of = rate_of(rule);
    let from = (of.clone(), String::new());
    let rates = change.base.rows.rates.range(from..).take_while(|(key, _)| key.0 == of);
    let storms: Vec<CaseId> = rates.filter_map(|(_, rate)| rate.storm).collect();
    if storms.is_empty() {
        return quality::release(change, rule, actor).unwrap_or_else(|| rules::allow(change, rule, actor));
    }
    for storm in storms {
        release(change, storm, actor);
    }
    change.because(format!("api:{actor}"), format!("released the held cases of rule {rule}"));
    Reply::Done
}

/// Counts anew for the next storm.
pub(super) fn forget_rate(change: &mut Change<'_>, row: &StormRow) {
    if let Some(mut rate) = change.get::<RateRow>(&row.rate) {
        rate.restart();
        change.put(row.rate.clone(), rate);
    }
}
