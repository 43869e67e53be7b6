//! The fleet breaker: when more cases of a rule are about to act than can all be true, a person looks first.
//!
//! Counted are openings of cases, in our time, when they are about to act: what its parent explains does not count, and
//! neither do further episodes of a case that is open. One person is asked, for the first held case (the lead); all go on
//! when a person releases the rule, never by themselves.

use super::change::Change;
use super::rows::{BreakerRow, CaseRow, HoldRow, PageRow, Why};
use super::{Reply, TimelineKind, hold, pages, quality, rules};
use crate::domain::{Breaker, CaseId, Device, QueueName, RuleId};

type Key = (RuleId, String);

/// A case of the rule is about to act. Whether it must wait instead.
pub(super) fn admit(change: &mut Change<'_>, id: CaseId, rule: &RuleId) -> bool {
    let guards = change.config.guards.get(rule);
    let Some(breaker) = guards.and_then(|g| g.breaker.as_ref()) else { return false };
    let device = change.get::<CaseRow>(&id).and_then(|c| change.config.registry.devices.get(&c.device));
    let key = (rule.clone(), group_of(breaker, device));
    let mut row = change.get::<BreakerRow>(&key).unwrap_or_default();
    if !row.tripped {
        row.acted.retain(|at| change.now.since(*at) < breaker.per);
        if row.acted.len() < usize::try_from(breaker.max).unwrap_or(usize::MAX) {
            row.acted.push(change.now);
            change.put(key, row);
            return false;
        }
        let of = breaker.by.as_ref().map_or_else(String::new, |by| format!(" ({by} = {})", key.1));
        let why = format!("more than {} cases of rule {rule} within {}{of}", breaker.max, breaker.per);
        row = BreakerRow { tripped: true, trip: row.trip + 1, why, ..BreakerRow::default() };
    }
    row.held += 1;
    change.put(id, HoldRow { rule: rule.clone(), why: Why::Breaker { group: key.1.clone(), trip: row.trip } });
    change.say(id, TimelineKind::Decided, format!("held until a person releases it: {}", row.why), None);
    ask(change, &key, row, id);
    true
}

/// The devices that are counted together with this one.
pub(super) fn group_of(breaker: &Breaker, device: Option<&Device>) -> String {
    breaker.by.as_ref().and_then(|by| device?.attribute(by)).unwrap_or("").to_owned()
}

/// Asks a person, once for the trip; the reason is kept true for whoever is asked later.
fn ask(change: &mut Change<'_>, key: &Key, mut row: BreakerRow, case: CaseId) {
    let lead = *row.lead.get_or_insert(case);
    let reason = format!("{}; {} held until somebody releases the rule", row.why, row.held);
    change.put(key.clone(), row);
    let Some(queue) = change.config.default_queue().cloned() else {
        return change.say(lead, TimelineKind::Trouble, format!("nobody can be paged: {reason}"), None);
    };
    match change.get::<PageRow>(&(lead, queue.clone())) {
        Some(page) => change.put((lead, queue), PageRow { reason, ..page }),
        None => pages::page(change, lead, &queue, &reason),
    }
}

/// Whether the case still waits. Closes it if its fault has gone; the lead stays for as long as others may follow.
pub(super) fn holds(change: &mut Change<'_>, id: CaseId, rule: &RuleId, group: &str, trip: u32) -> bool {
    let row = change.get::<BreakerRow>(&(rule.clone(), group.to_owned())).unwrap_or_default();
    let in_force = row.tripped && row.trip == trip;
    if !(in_force && row.lead == Some(id)) && hold::close_if_cleared(change, id, hold::CLEARED) {
        return true;
    }
    if !in_force {
        let who = row.released_by.as_deref().unwrap_or("somebody");
        hold::go_on(change, id, &format!("{who} has released rule {rule}: the case goes on"));
    }
    in_force
}

/// A person lets the held cases of a rule go on. They do so one by one at their next look.
pub(super) fn release(change: &mut Change<'_>, rule: &RuleId, actor: &str) -> Reply {
    let from = (rule.clone(), String::new());
    let of_rule = change.base.rows.breakers.range(from..).take_while(|(key, _)| key.0 == *rule);
    let tripped: Vec<(Key, BreakerRow)> =
        of_rule.filter(|(_, row)| row.tripped).map(|(key, row)| (key.clone(), row.clone())).collect();
    if tripped.is_empty() {
        return quality::release(change, rule, actor).unwrap_or_else(|| rules::allow(change, rule, actor));
    }
    change.because(format!("api:{actor}"), format!("released the held cases of rule {rule}"));
    for (key, row) in tripped {
        for id in held(change, &key, row.trip) {
            hold::look_again(change, id);
        }
        if let Some(lead) = row.lead {
            // What the plan of the case may have to ask the same people is another question.
            pages::acknowledge(change, lead, actor);
            for (queue, _) in change.of_case::<PageRow, _>(lead, QueueName::from("")) {
                change.delete::<PageRow>((lead, queue));
            }
        }
        change.put(key, BreakerRow { tripped: false, lead: None, released_by: Some(actor.to_owned()), ..row });
    }
    Reply::Done
}

/// A case is held no longer. If people were asked for it, they are asked for another one; a trip that holds nothing is
/// over.
pub(super) fn left(change: &mut Change<'_>, id: CaseId, rule: RuleId, group: String, trip: u32) {
    let key = (rule, group);
    let row = change.get::<BreakerRow>(&key).filter(|r| r.tripped && r.trip == trip && r.lead == Some(id));
    let Some(row) = row.map(|row| BreakerRow { lead: None, ..row }) else { return };
    match held(change, &key, trip).first() {
        Some(next) => ask(change, &key, row, *next),
        None => change.put(key, BreakerRow { tripped: false, ..row }),
    }
}

fn held(change: &Change<'_>, key: &Key, trip: u32) -> Vec<CaseId> {
    let why = Why::Breaker { group: key.1.clone(), trip };
    hold::all(change, |row| row.rule == key.0 && row.why == why)
}
