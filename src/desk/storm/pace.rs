//! The budgets of tiers: how often each may use a way, attempts of all its children together. The limits of the providers
//! hold besides.

use serde::{Deserialize, Serialize};

use super::super::change::Change;
use super::super::rows::EffectRow;
use super::family::plan_of;
use super::rows::{ChildRow, StormRow};
use super::told::is_contact;
use crate::domain::{At, CaseId, EffectId, Span};
use crate::outbox::Kind;
use crate::playbook::{Rate, Via};

/// When a tier last did something of one kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::desk) struct PaceRow {
    /// So many at once, oldest first.
    done: Vec<(At, u32)>,
    /// The next turn that nobody has.
    next_at: At,
}

impl PaceRow {
    /// How many more are allowed now; and if none, when one is.
    pub(super) fn room(&self, now: At, rate: Rate) -> Result<u32, At> {
        let recent = self.done.iter().filter(|(at, _)| now.since(*at) < rate.per);
        let used: u32 = recent.clone().map(|(_, n)| n).sum();
        match rate.max.checked_sub(used).filter(|room| *room > 0) {
            Some(room) => Ok(room),
            None => Err(recent.map(|(at, _)| *at + rate.per).min().unwrap_or(now + rate.per)),
        }
    }

    pub(super) fn take(&mut self, now: At, rate: Rate) {
        self.done.retain(|(at, _)| now.since(*at) < rate.per);
        match self.done.last_mut().filter(|(at, _)| *at == now) {
            Some((_, n)) => *n += 1,
            None => self.done.push((now, 1)),
        }
    }

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

/// When the budget of its tier has room for an attempt; `None`: now. Whoever was tried before gets a turn behind those who
/// were not.
pub(in crate::desk) fn gate(change: &mut Change<'_>, id: EffectId, row: &EffectRow) -> Option<(At, String)> {
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
    let at = match pace.room(change.now, rate) {
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
    let admitted = change.get::<PaceRow>(&(storm, tier, ADMISSION)).and_then(|pace| pace.done.last().copied());
    let flows = admitted.is_some_and(|(at, _)| change.now.since(at) < PATIENCE);
    let row = change.get::<StormRow>(&storm).filter(|_| flows);
    row.and_then(|row| row.tiers.get(usize::from(tier)).map(|t| t.waiting)).unwrap_or(0)
}

/// Until when the budget of its tier is used up, if it is.
pub(in crate::desk) fn full_until(change: &Change<'_>, row: &EffectRow) -> Option<(At, String)> {
    let (key, rate) = limited(change, row)?;
    let pace = change.get::<PaceRow>(&key).unwrap_or_default();
    pace.room(change.now, rate).err().map(|at| (at, RATE.to_owned()))
}

/// An attempt is made.
pub(in crate::desk) fn spend(change: &mut Change<'_>, row: &EffectRow) {
    if let Some((key, rate)) = limited(change, row) {
        let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
        pace.take(change.now, rate);
        change.put(key, pace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_never_lets_more_through_in_any_stretch() {
        let rate = Rate { max: 3, per: Span::from_secs(1) };
        let mut pace = PaceRow::default();
        let mut sent: Vec<At> = Vec::new();
        let mut now = At::from_micros(0);
        for step in 0..400 {
            now = now + Span::from_millis(i64::from(step % 7) * 37);
            match pace.room(now, rate) {
                Ok(_) => {
                    pace.take(now, rate);
                    sent.push(now);
                }
                Err(at) => {
                    assert!(at > now && at <= now + rate.per);
                    assert!(pace.room(at, rate).is_ok(), "the time that is named is true");
                }
            }
        }
        assert!(sent.len() > 60);
        for window in sent.windows(4) {
            assert!(window[3].since(window[0]) >= rate.per, "{window:?}");
        }
    }
}
