//! The budgets of tiers: how often each may use a way, attempts of all its children together. The limits of the providers
//! hold besides.

use serde::{Deserialize, Serialize};

use super::super::change::Change;
use super::super::rows::{CaseRow, EffectRow};
use super::family::plan_of;
use super::rows::{ChildRow, Progress, StormRow};
use super::told::is_contact;
use crate::domain::{At, CaseId, EffectId, Rate, Span};
use crate::outbox::{Kind, Sliding};
use crate::playbook::{Verb, Via};

/// When a tier last did something of one kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::desk) struct PaceRow {
    pub(super) done: Sliding,
    /// The next turn that nobody has.
    next_at: At,
}

impl PaceRow {
    /// A turn of one's own, not before `from`: whoever waits for it looks once, not all of them every time.
    pub(super) fn turn(&mut self, from: At, rate: Rate) -> At {
        let at = self.next_at.max(from);
        self.next_at = at + rate.share(1);
        at
    }
}

/// What a pace is kept of: children let through (0), and each way.
pub(super) const ADMISSION: u8 = 0;

pub(super) fn code(via: &Via) -> u8 {
    match via {
        Via::Call => 1,
        Via::Sms => 2,
        Via::Email => 3,
        Via::AppPush | Via::Human(_) => 4,
    }
}

fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::Call => 1,
        Kind::Sms => 2,
        Kind::Mail => 3,
        _ => 4,
    }
}

/// The tier and the rate that an attempt falls under.
fn limited(change: &Change<'_>, row: &EffectRow) -> Option<((CaseId, u8, u8), Rate)> {
    let child = change.get::<ChildRow>(&row.case).filter(|_| is_contact(row))?;
    let plan = plan_of(change, child.storm)?;
    let tier = plan.storm.as_ref()?.tiers.get(usize::from(child.tier))?;
    let code = code_of(row.delivery.kind);
    let rate = tier.budget.iter().find(|(via, _)| self::code(via) == code)?.1;
    Some(((child.storm, child.tier, code), rate))
}

const RATE: &str = "rate of the storm";
const BEHIND: &str = "those of the storm who were not told yet";
/// When those will have been told is a guess; it is made anew so often.
const PATIENCE: Span = Span::from_secs(10);

const TURN: &str = "the turn of its case in the storm";
/// Nothing but a turn ends that wait, and that says so itself.
const LOOK_AGAIN: Span = Span::from_mins(1);

/// What the plan of a child had in hand when the storm was noticed waits for the child's turn, and for a way of its tier.
fn too_early(change: &Change<'_>, row: &EffectRow) -> Option<(At, String)> {
    let child = change.get::<ChildRow>(&row.case).filter(|_| is_contact(row) && !row.compensation)?;
    let storm = plan_of(change, child.storm)?;
    let tier = storm.storm.as_ref()?.tiers.get(usize::from(child.tier))?;
    let uses = tier.via.iter().any(|via| code(via) == code_of(row.delivery.kind));
    let plan = change.plan(&change.get::<CaseRow>(&row.case)?)?;
    // What is no step of the plan is an answer, or was decided since.
    let planned = matches!(plan.step(&row.step)?.verb, Verb::Reach(_));
    let waits = planned && (child.progress == Progress::Waiting || !uses);
    waits.then(|| (change.now + LOOK_AGAIN, TURN.to_owned()))
}

/// A child is let through, and with it what waited for that.
pub(super) fn let_go(change: &mut Change<'_>, id: CaseId) {
    for (effect, mut row) in change.effects(id) {
        if row.waits_for.as_deref() == Some(TURN) {
            row.delivery.not_before_at = change.now;
            change.put(effect, row);
        }
    }
}

/// When the budget of its tier has room for an attempt; `None`: now. Whoever was tried before gets a turn behind those who
/// were not.
pub(in crate::desk) fn gate(change: &mut Change<'_>, id: EffectId, row: &EffectRow) -> Option<(At, String)> {
    if let Some(wait) = too_early(change, row) {
        return Some(wait);
    }
    let (key, rate) = limited(change, row)?;
    let before = |(other, e): &(EffectId, EffectRow)| {
        *other != id && e.delivery.kind == row.delivery.kind && e.delivery.first_sent_at.is_some()
    };
    let again = change.effects(row.case).iter().any(before);
    let first = if again { first(change, key) } else { 0 };
    if first > 0 {
        return Some((change.now + rate.share(first).min(PATIENCE), BEHIND.to_owned()));
    }
    let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
    let has_turn = !again || row.waits_for.as_deref() == Some(RATE) && row.delivery.not_before_at <= change.now;
    let at = match pace.done.room(change.now, rate) {
        Ok(_) if has_turn => return None,
        Err(at) if has_turn => at,
        room => {
            let at = pace.turn(change.now, rate);
            change.put(key, pace);
            if at <= change.now && room.is_ok() {
                return None;
            }
            at
        }
    };
    Some((at, RATE.to_owned()))
}

/// How many children are let through before those who were tried once. None, if the tier waits for something else.
fn first(change: &Change<'_>, (storm, tier, _): (CaseId, u8, u8)) -> u32 {
    let admitted_at = change.get::<PaceRow>(&(storm, tier, ADMISSION)).and_then(|pace| pace.done.last_at());
    let flows = admitted_at.is_some_and(|at| change.now.since(at) < PATIENCE);
    let row = change.get::<StormRow>(&storm).filter(|_| flows);
    row.and_then(|row| row.tiers.get(usize::from(tier)).map(|t| t.waiting)).unwrap_or(0)
}

/// Until when the budget of its tier is used up, if it is; or the storm was noticed since it got in line.
pub(in crate::desk) fn full_until(change: &Change<'_>, row: &EffectRow) -> Option<(At, String)> {
    if let Some(wait) = too_early(change, row) {
        return Some(wait);
    }
    let (key, rate) = limited(change, row)?;
    let pace = change.get::<PaceRow>(&key).unwrap_or_default();
    pace.done.room(change.now, rate).err().map(|at| (at, RATE.to_owned()))
}

/// The rate of its tier that an attempt falls under, by name.
pub(in crate::desk) fn rate(change: &Change<'_>, row: &EffectRow) -> Option<(String, Rate)> {
    let ((storm, tier, _), rate) = limited(change, row)?;
    Some((format!("storm {} tier {tier}", storm.short()), rate))
}

/// An attempt is made.
pub(in crate::desk) fn spend(change: &mut Change<'_>, row: &EffectRow) {
    if let Some((key, rate)) = limited(change, row) {
        let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
        pace.done.take(change.now, rate);
        change.put(key, pace);
    }
}
