//! What is stored of a storm.

use serde::{Deserialize, Serialize};

use super::super::change::Change;
use crate::domain::{At, CaseId, CustomerId, RuleId, ScriptId, Span};
use crate::playbook::Rate;

/// New children may still come so long after the last one: before, nothing counts as complete.
const SETTLING: Span = Span::from_secs(30);

/// A storm; the key is its case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::desk) struct StormRow {
    /// What is counted, and what the counted cases have in common: the key of its rate.
    pub(super) rate: (String, String),
    /// The rule whose guard found it.
    pub(in crate::desk) rule: Option<RuleId>,
    /// What was too much, for people.
    pub(in crate::desk) why: String,
    pub(super) started_at: At,
    /// Cases that ever were its children.
    pub(super) count: u32,
    /// Those that are now.
    pub(super) children: u32,
    /// Whose news were old when they came.
    pub(super) late: u32,
    pub(super) joined_at: At,
    /// `count` when the cause was looked for last.
    pub(super) judged: u32,
    pub(super) cause: Option<Cause>,
    /// Why it may be our own doing.
    pub(super) our_fault: Option<String>,
    pub(super) released_by: Option<String>,
    /// What is said instead of each child's own text.
    pub(super) script: Option<ScriptId>,
    /// Trucks that providers can send for it; the next children of the first tier get one each.
    pub(super) trucks: u32,
    pub(super) tiers: Vec<TierRow>,
}

impl StormRow {
    /// The storm of a guard: it has no tiers, a person decides.
    pub(super) fn is_guard(&self) -> bool {
        self.rule.is_some()
    }
}

/// What the affected have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cause {
    /// `firmware = 4.2.1`.
    pub(super) text: String,
    /// `480 of 500 affected, 812 of 10000 in the fleet`.
    pub(super) share: String,
}

/// How far a tier has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct TierRow {
    /// Children whose turn has not come.
    pub(super) waiting: u32,
    /// Being told now.
    pub(super) telling: u32,
    /// What came of those that were told.
    pub(super) told: u32,
    pub(super) all_well: u32,
    pub(super) unreached: u32,
    /// Of how many nobody knew for a time whether a message arrived.
    pub(super) in_doubt: u32,
    /// Let through so far.
    pub(super) admitted: u32,
    /// When the first child came.
    pub(super) opened_at: Option<At>,
    pub(super) joined_at: At,
    /// When a person was asked to approve it.
    pub(super) asked_at: Option<At>,
    pub(super) approved_by: Option<String>,
    pub(super) stopped: Option<String>,
}

impl TierRow {
    /// Everybody in it has been told or could not be reached.
    pub(super) fn is_done(&self, now: At) -> bool {
        self.waiting == 0 && self.telling == 0 && now >= self.quiet_at()
    }

    /// When the last child came so long ago that no other is expected.
    pub(super) fn quiet_at(&self) -> At {
        self.joined_at + SETTLING
    }
}

/// A child of a storm; the key is its case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::desk) struct ChildRow {
    pub(in crate::desk) storm: CaseId,
    pub(in crate::desk) tier: u8,
    /// Higher comes first.
    pub(in crate::desk) risk: u32,
    pub(in crate::desk) joined_at: At,
    /// Whom a digest goes to.
    pub(in crate::desk) customer: Option<CustomerId>,
    pub(in crate::desk) progress: Progress,
    pub(super) in_doubt: bool,
    /// It may have a truck.
    pub(super) truck: bool,
    /// The child whose message is about this one, too.
    pub(super) digest: Option<CaseId>,
}

/// How far a child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::desk) enum Progress {
    Waiting,
    Telling,
    Told,
    AllWell,
    Unreached,
    /// The storm is over for it.
    Released,
}

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

/// Edits the row of a storm.
pub(super) fn edit(change: &mut Change<'_>, storm: CaseId, edit: impl FnOnce(&mut StormRow)) {
    if let Some(mut row) = change.get::<StormRow>(&storm) {
        edit(&mut row);
        change.put(storm, row);
    }
}

/// Edits the row of one of its tiers.
pub(super) fn edit_tier(change: &mut Change<'_>, storm: CaseId, tier: u8, then: impl FnOnce(&mut TierRow)) {
    edit(change, storm, |row| {
        if let Some(tier) = row.tiers.get_mut(usize::from(tier)) {
            then(tier);
        }
    });
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
