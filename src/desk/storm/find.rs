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
    counted(change, id, &By { rule, new: true })
}

/// The same for a case that was about to act before, and is no new one: it may be one of many, and makes no storm.
pub(in crate::desk) fn admit_again(change: &mut Change<'_>, id: CaseId, rule: &RuleId) -> bool {
    counted(change, id, &By { rule, new: false })
}

/// What has found a case, and whether it counts as a new one.
struct By<'a> {
    rule: &'a RuleId,
    new: bool,
}

fn counted(change: &mut Change<'_>, id: CaseId, by: &By<'_>) -> bool {
    let Some(row) = change.get::<CaseRow>(&id) else { return false };
    let config = change.config;
    let device = config.registry.devices.get(&row.device);
    let kind = device.map(|d| &*d.kind);
    let watching = config.playbooks.iter().filter(|p| p.matches.counts(&row.fault, row.severity, kind));
    let mut watched = false;
    for plan in watching {
        watched = true;
        if by_playbook(change, id, by, &row, plan) {
            return true;
        }
    }
    match config.guards.get(by.rule).and_then(|g| g.breaker.as_ref()) {
        Some(breaker) => {
            let group = device.and_then(|d| d.attribute(breaker.by.as_deref()?));
            by_guard(change, id, by, &row, breaker, group)
        }
        // Who watches a fault for storms needs no second guard.
        None if watched => false,
        None => {
            let guard = config.settings.storm_guard.breaker(config.registry.devices.len());
            by_guard(change, id, by, &row, &guard, None)
        }
    }
}

/// Counts a case under a key. Whether it has joined the storm of that key: the one that there is, or the one that `found`
/// opens because this is one too many.
fn joins(
    change: &mut Change<'_>,
    id: CaseId,
    by: &By<'_>,
    key: (String, String),
    found: impl FnOnce(&mut Change<'_>, &mut RateRow) -> Option<CaseId>,
) -> bool {
    let mut rate = change.get::<RateRow>(&key).unwrap_or_default();
    if rate.storm.is_none() && by.new {
        rate.storm = found(change, &mut rate);
        change.put(key, rate.clone());
    }
    let Some(storm) = rate.storm else { return false };
    join(change, storm, id, by.rule);
    true
}

fn by_playbook(change: &mut Change<'_>, id: CaseId, by: &By<'_>, row: &CaseRow, plan: &Arc<Playbook>) -> bool {
    let Some(surge) = &plan.matches.storm else { return false };
    let key = (format!("playbook {}", plan.id), signature(change, row, &surge.same));
    joins(change, id, by, key.clone(), |change, rate| {
        rate.add(change.now, surge.window);
        let (recent, usual) = (rate.recent(change.now, surge.window), rate.usual(change.now, surge.window));
        if f64::from(recent) < f64::from(surge.min).max(surge.baseline_factor * usual) {
            return None;
        }
        let why = format!("{recent} new cases of {} within {}, usual are {usual:.1}", key.1, surge.window);
        let storm = open(change, plan, key.clone(), None, why, row);
        for other in earlier(change, storm, &key.1, plan) {
            adopt(change, storm, other);
        }
        Some(storm)
    })
}

fn by_guard(
    change: &mut Change<'_>,
    id: CaseId,
    by: &By<'_>,
    row: &CaseRow,
    guard: &Breaker,
    group: Option<&str>,
) -> bool {
    let key = (rate_of(by.rule), group.unwrap_or("").to_owned());
    joins(change, id, by, key.clone(), |change, rate| {
        if rate.recent(change.now, guard.per) < guard.max {
            rate.add(change.now, guard.per);
            return None;
        }
        let of = guard.by.as_ref().map_or_else(String::new, |by| format!(" ({by} = {})", key.1));
        let why = format!("more than {} cases of rule {} within {}{of}", guard.max, by.rule, guard.per);
        let plan = guard_plan(change)?;
        Some(open(change, &plan, key.clone(), Some(by.rule.clone()), why, row))
    })
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
