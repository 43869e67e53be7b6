//! What is stored of a storm.

use serde::{Deserialize, Serialize};

use super::super::change::Change;
use crate::domain::{At, CaseId, CustomerId, RuleId, ScriptId, Span};

/// New children may still come so long after the last one: before, nothing counts as complete.
pub(super) const SETTLING: Span = Span::from_secs(30);
/// A child that no tier takes waits for a person.
pub(super) const NO_TIER: u8 = u8::MAX;

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
    /// How many children were looked at when the cause was looked for last.
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
    /// Of a tier that is spread, once it may be told.
    pub(super) spread: Option<SpreadRow>,
    pub(super) joined_at: At,
    /// When a person was asked to approve it.
    pub(super) asked_at: Option<At>,
    pub(super) approved_by: Option<String>,
    pub(super) stopped: Option<String>,
    /// A person has agreed to it although it was stopped: its figures do not stop it again.
    pub(super) overruled: bool,
}

/// How far a tier that is told evenly has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct SpreadRow {
    /// When all are to have been told.
    pub(super) until_at: At,
    /// The last message …
    pub(super) last_at: At,
    /// … and how many children it was about.
    pub(super) about: u32,
}

impl SpreadRow {
    /// When the next message is due: each has its share of the time that was left when it went out, so that they are even
    /// whoever joins or leaves, and a halt makes up for nothing in a burst.
    pub(super) fn next_at(&self, waiting: u32) -> At {
        let left = self.until_at.since(self.last_at).max(Span::ZERO).as_micros();
        let all = i64::from(self.about) + i64::from(waiting);
        self.last_at + Span::from_micros(left / all.max(1) * i64::from(self.about))
    }
}

impl TierRow {
    /// How many children are that far.
    fn at(&mut self, progress: Progress) -> Option<&mut u32> {
        match progress {
            Progress::Waiting => Some(&mut self.waiting),
            Progress::Telling => Some(&mut self.telling),
            Progress::Told => Some(&mut self.told),
            Progress::AllWell => Some(&mut self.all_well),
            Progress::Unreached => Some(&mut self.unreached),
            Progress::Released => None,
        }
    }

    /// A child comes from one to the other. What came of it stays counted when it is released.
    fn count(&mut self, from: Progress, to: Progress) {
        let result = !matches!(from, Progress::Waiting | Progress::Telling);
        if let Some(n) = self.at(from).filter(|_| !(result && to == Progress::Released)) {
            *n = n.saturating_sub(1);
        }
        self.admitted += u32::from((from, to) == (Progress::Waiting, Progress::Telling));
        if let Some(n) = self.at(to) {
            *n += 1;
        }
    }

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
    /// The ticket of the storm says that somebody has answered.
    pub(super) linked: bool,
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

/// Brings a child on, and the counts of its tier with it.
pub(super) fn brings(change: &mut Change<'_>, id: CaseId, child: ChildRow, to: Progress) -> ChildRow {
    edit_tier(change, child.storm, child.tier, |t| t.count(child.progress, to));
    let child = ChildRow { progress: to, ..child };
    change.put(id, child.clone());
    child
}
