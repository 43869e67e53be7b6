//! What one input changes: a transaction over the state. Reads see what was written before; nothing touches the state
//! until the record is durable and applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rows::{CaseRow, EffectRow, EpisodeRow, JobRow, LineRow, Pending, StepRow, Table, Target};
use super::seal::Sealed;
use super::state::{State, Timer};
use super::{Config, KeyChange, OutcomeView, Record, TimelineKind, position, talk};
use crate::domain::{At, CaseId, DeviceId, EffectId, EpisodeId, Order, RuleId, StepId};
use crate::outbox::Event;
use crate::playbook::{Mirror, Playbook, compile_stored};

pub(super) struct Change<'a> {
    pub(super) base: &'a State,
    pub(super) config: &'a Config,
    pub(super) now: At,
    pub(super) pending: Pending,
    pub(super) orders: Vec<Order>,
    /// Latched episodes that may end.
    pub(super) releases: Vec<(DeviceId, RuleId)>,
    /// Outcomes that were said, to be told to others.
    pub(super) outcomes: Vec<OutcomeView>,
    /// Keys to destroy or make.
    pub(super) keys: Vec<KeyChange>,
    /// Cases to look at before the step ends.
    pub(super) touched: BTreeSet<CaseId>,
    actor: String,
    what: String,
}

impl<'a> Change<'a> {
    pub(super) fn new(base: &'a State, config: &'a Config, now: At) -> Self {
        Self {
            base,
            config,
            now,
            pending: Pending::default(),
            orders: Vec::new(),
            releases: Vec::new(),
            outcomes: Vec::new(),
            keys: Vec::new(),
            touched: BTreeSet::new(),
            actor: String::new(),
            what: String::new(),
        }
    }

    /// For the audit: who caused this, and what it was.
    pub(super) fn because(&mut self, actor: impl Into<String>, what: impl Into<String>) {
        self.actor = actor.into();
        self.what = what.into();
    }

    pub(super) fn get<T: Table>(&self, key: &T::Key) -> Option<T> {
        match T::pending(&self.pending).get(key) {
            Some(row) => row.clone(),
            None => T::of(&self.base.rows).get(key).cloned(),
        }
    }

    pub(super) fn put<T: Table>(&mut self, key: T::Key, row: T) {
        T::pending_mut(&mut self.pending).insert(key, Some(row));
    }

    pub(super) fn delete<T: Table>(&mut self, key: T::Key) {
        T::pending_mut(&mut self.pending).insert(key, None);
    }

    /// All rows of a case in a table whose key begins with it; `lowest` is the least second part.
    pub(super) fn of_case<T: Table<Key = (CaseId, K)>, K: Ord + Clone>(&self, case: CaseId, lowest: K) -> Vec<(K, T)> {
        let from = (case, lowest);
        let stored = T::of(&self.base.rows).range(from.clone()..).map(|(k, _)| k).take_while(|k| k.0 == case);
        let changed = T::pending(&self.pending).range(from.clone()..).map(|(k, _)| k).take_while(|k| k.0 == case);
        let keys: BTreeSet<&(CaseId, K)> = stored.chain(changed).collect();
        keys.into_iter().filter_map(|k| self.get::<T>(k).map(|row| (k.1.clone(), row))).collect()
    }

    pub(super) fn steps(&self, case: CaseId) -> Vec<(StepId, StepRow)> {
        self.of_case(case, StepId::from(""))
    }

    /// What still waits to be sent is not. Whether it was so.
    pub(super) fn call_off(&mut self, effect: EffectId) -> bool {
        let Some(mut row) = self.get::<EffectRow>(&effect) else { return false };
        let waited = row.delivery.on(&effect, self.now, &Event::Cancel).is_some();
        if waited {
            // It waits for nothing any more.
            self.put(effect, EffectRow { waits_for: None, ..row });
        }
        waited
    }

    pub(super) fn effects(&self, case: CaseId) -> Vec<(EffectId, EffectRow)> {
        let mut ids: BTreeSet<EffectId> = self.base.effects_by_case.get(&case).cloned().unwrap_or_default();
        ids.extend(
            self.pending
                .effects
                .iter()
                .filter_map(|(id, row)| row.as_ref().is_some_and(|r| r.case == case).then_some(*id)),
        );
        ids.into_iter().filter_map(|id| self.get::<EffectRow>(&id).map(|row| (id, row))).collect()
    }

    /// Those planned since the case was opened, or opened again: what was said and done the last time proves nothing now.
    pub(super) fn effects_since_opened(&self, case: CaseId) -> Vec<(EffectId, EffectRow)> {
        let opened_at = self.get::<CaseRow>(&case).map_or(At::MIN, |c| c.opened_at);
        self.effects(case).into_iter().filter(|(_, e)| e.planned_at >= opened_at).collect()
    }

    /// The episodes of a case that have not ended: there may be thousands, so they are looked at and not copied.
    pub(super) fn open_episodes(&self, case: CaseId) -> impl Iterator<Item = EpisodeId> {
        let stored = self.base.open_episodes.get(&case).into_iter().flatten();
        let stored = stored.filter(|id| !self.pending.episodes.contains_key(id));
        let changed = self.pending.episodes.iter();
        let changed = changed.filter(move |(_, row)| row.as_ref().and_then(EpisodeRow::holds_open) == Some(case));
        stored.chain(changed.map(|(id, _)| id)).copied()
    }

    /// Messages over any way to the address of `target` that wait to be sent.
    pub(super) fn waiting_for(&self, target: &Target) -> BTreeSet<EffectId> {
        let Target::Customer { endpoint, .. } = target else { return BTreeSet::new() };
        let mut ids = self.base.waiting.get(endpoint).cloned().unwrap_or_default();
        for (id, row) in &self.pending.effects {
            if row.as_ref().and_then(EffectRow::waits_for_person) == Some(endpoint) {
                ids.insert(*id);
            } else {
                ids.remove(id);
            }
        }
        ids
    }

    /// The messages that `carrier` carries.
    pub(super) fn carried_by(&self, carrier: EffectId) -> BTreeSet<EffectId> {
        let mut ids = self.base.carried.get(&carrier).cloned().unwrap_or_default();
        for (id, row) in &self.pending.rides {
            if row.as_ref().is_some_and(|ride| ride.with == carrier) {
                ids.insert(*id);
            } else {
                ids.remove(id);
            }
        }
        ids
    }

    pub(super) fn jobs(&self, case: CaseId) -> Vec<(EffectId, JobRow)> {
        let mut ids: BTreeSet<EffectId> = self.base.jobs_by_case.get(&case).cloned().unwrap_or_default();
        ids.extend(
            self.pending
                .jobs
                .iter()
                .filter_map(|(id, row)| row.as_ref().is_some_and(|r| r.case == case).then_some(*id)),
        );
        ids.into_iter().filter_map(|id| self.get::<JobRow>(&id).map(|row| (id, row))).collect()
    }

    /// The plan that the case runs by: the text that it was opened with.
    pub(super) fn plan(&self, case: &CaseRow) -> Option<Arc<Playbook>> {
        let current = self.config.playbooks.iter().find(|p| p.hash == case.plan);
        let known = current.or_else(|| self.base.plans.get(&case.plan)).cloned();
        // One that is opened in this very step by a plan of the program's own.
        let new = || self.pending.plans.get(&case.plan)?.as_ref().and_then(|row| compile_stored(&row.source));
        known.or_else(|| new().map(Arc::new))
    }

    /// Adds a line to the timeline.
    pub(super) fn say(&mut self, case: CaseId, kind: TimelineKind, text: impl Into<String>, effect: Option<EffectId>) {
        self.line(case, kind, text.into(), effect, None);
    }

    /// Adds a line that ends with what a person typed, sealed with the key of whoever the device belongs to: nobody
    /// can keep people from typing names. Gives what stands for these words in a ticket.
    pub(super) fn quote(&mut self, case: CaseId, kind: TimelineKind, text: impl Into<String>, words: &str) -> String {
        let Some(row) = self.get::<CaseRow>(&case).filter(|_| !words.is_empty()) else {
            self.say(case, kind, text, None);
            return String::new();
        };
        let owner = position::owner(self, &row.device);
        let sealed = self.config.keys.seal(owner, format!("line/{case}/{}", row.lines), &words);
        let number = row.lines;
        self.line(case, kind, text.into(), None, Some(sealed));
        talk::words_of_line(number)
    }

    fn line(
        &mut self,
        case: CaseId,
        kind: TimelineKind,
        text: String,
        effect: Option<EffectId>,
        words: Option<Sealed>,
    ) {
        let Some(mut row) = self.get::<CaseRow>(&case) else { return };
        if row.lines >= MAX_LINES {
            return;
        }
        let line = (case, row.lines);
        row.lines += 1;
        self.put(case, row);
        self.put(line, LineRow { at: self.now, kind, text, effect, words });
        self.touched.insert(case);
    }

    /// Adds a sentence to the tickets that mirror such news.
    pub(super) fn note(&mut self, case: CaseId, mirror: Mirror, text: &str) {
        super::ticket::mirror(self, case, mirror, text);
    }

    pub(super) fn due_timers(&self, most: usize) -> Vec<Timer> {
        self.base.timers.iter().take_while(|(at, _)| *at <= self.now).take(most).map(|(_, t)| *t).collect()
    }

    /// The record, if anything changed.
    pub(super) fn finish(self) -> (Option<Record>, Vec<Order>) {
        let changes = self.pending.encode();
        let (at, actor, what) = (self.now, self.actor, self.what);
        let record = (!changes.is_empty()).then_some(Record { at, actor, what, changes });
        (record, self.orders)
    }
}

/// The most lines of one case's timeline; more would be a loop.
const MAX_LINES: u32 = 5_000;
