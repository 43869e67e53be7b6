//! How a storm is found: whatever is about to act is counted, for the playbooks that are about storms and for the guard of
//! its rule. One case too many opens the case of the storm.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::change::Change;
use super::super::rows::CaseRow;
use super::super::{TimelineKind, case, facts};
use super::family::{adopt, join};
use super::rate::RateRow;
use super::rows::{StormRow, TierRow};
use crate::domain::{Breaker, CaseId, FaultName, RuleId};
use crate::playbook::{Playbook, compile_stored};

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

/// Counts anew for the next storm.
pub(super) fn forget_rate(change: &mut Change<'_>, row: &StormRow) {
    if let Some(mut rate) = change.get::<RateRow>(&row.rate) {
        rate.restart();
        change.put(row.rate.clone(), rate);
    }
}
