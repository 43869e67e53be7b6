//! The desk's state: the rows and the indexes over them, all derived from the records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bundle::RideRow;
use super::line::{PlaceRow, Rank};
use super::outcome::OutcomeRow;
use super::rows::{AnyRow, CaseRow, EffectRow, EpisodeRow, HoldRow, JobRow, Rows, TicketRow};
use super::storm::{ChildRow, Progress};
use super::{Error, Record};
use crate::domain::{AdapterName, At, CaseId, CustomerId, DeviceId, EffectId, EndpointId, EpisodeId, StepId};
use crate::playbook::{Playbook, SourceHash, compile_stored};

/// How urgent a child of a storm is, when it was opened, and its case.
type TierQueue = BTreeSet<(u32, At, CaseId)>;

/// What wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Effect(EffectId),
    Case(CaseId),
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct State {
    pub(super) rows: Rows,
    pub(super) timers: BTreeSet<(At, Timer)>,
    /// The cases of a key by when they were opened, so that the newest is found in whatever order rows come in.
    pub(super) by_key: BTreeMap<String, BTreeSet<(At, CaseId)>>,
    pub(super) open_by_device: BTreeMap<DeviceId, BTreeSet<CaseId>>,
    /// Closed ones among them.
    by_device: BTreeMap<DeviceId, BTreeSet<CaseId>>,
    pub(super) effects_by_case: BTreeMap<CaseId, BTreeSet<EffectId>>,
    pub(super) jobs_by_case: BTreeMap<CaseId, BTreeSet<EffectId>>,
    /// The episodes of a case that have not ended.
    pub(super) open_episodes: BTreeMap<CaseId, BTreeSet<EpisodeId>>,
    /// The cases that the case of a parent explains.
    pub(super) explained: BTreeMap<CaseId, BTreeSet<CaseId>>,
    /// The children of a storm.
    pub(super) children: BTreeMap<CaseId, BTreeSet<CaseId>>,
    /// Those that wait in a tier, the most urgent first.
    pub(super) storm_queue: BTreeMap<(CaseId, u8), TierQueue>,
    /// Those of a customer.
    pub(super) storm_customers: BTreeMap<(CaseId, CustomerId), BTreeSet<CaseId>>,
    pub(super) started_at: Option<At>,
    pub(super) in_flight: BTreeSet<EffectId>,
    /// What waits for each provider to take one more, the first first.
    pub(super) lines: BTreeMap<AdapterName, BTreeSet<(Rank, EffectId)>>,
    /// Messages to customers that wait to be sent, by address.
    pub(super) waiting: BTreeMap<EndpointId, BTreeSet<EffectId>>,
    /// The messages that another one carries.
    pub(super) carried: BTreeMap<EffectId, BTreeSet<EffectId>>,
    /// The cases of a ticket, by its desk and what the desk calls it.
    by_ticket: BTreeMap<(AdapterName, String), BTreeSet<(CaseId, StepId)>>,
    pub(super) outcomes_by_time: BTreeSet<(At, CaseId)>,
    pub(super) plans: BTreeMap<SourceHash, Arc<Playbook>>,
    /// Why nothing may be sent, see [`Desk::hold`](super::Desk::hold).
    pub(super) held: Option<Arc<str>>,
}

impl State {
    pub(super) fn apply(&mut self, record: &Record) -> Result<(), Error> {
        record.changes.iter().try_for_each(|(key, row)| self.put(key, row.as_deref()))
    }

    /// The newest case of a key.
    pub(super) fn newest(&self, key: &str) -> Option<CaseId> {
        self.by_key.get(key)?.last().map(|(_, id)| *id)
    }

    /// The cases of a device, open and closed.
    pub(super) fn cases_of(&self, device: &DeviceId) -> impl Iterator<Item = (&CaseId, &CaseRow)> {
        let ids = self.by_device.get(device).into_iter().flatten();
        ids.filter_map(|id| Some((id, self.rows.cases.get(id)?)))
    }

    /// The cases that a ticket of a desk is about, each once.
    pub(super) fn cases_of_ticket(&self, desk: &AdapterName, ticket: &str) -> Vec<CaseId> {
        let mut cases: Vec<CaseId> = self
            .by_ticket
            .get(&(desk.clone(), ticket.to_owned()))
            .into_iter()
            .flatten()
            .map(|(case, _)| *case)
            .collect();
        cases.dedup();
        cases
    }

    pub(super) fn put(&mut self, key: &[u8], row: Option<&[u8]>) -> Result<(), Error> {
        match AnyRow::decode(key, row)? {
            AnyRow::cases(id, row) => self.put_case(id, row),
            AnyRow::effects(id, row) => self.put_effect(id, row),
            AnyRow::jobs(id, row) => self.put_job(id, row),
            AnyRow::plans(hash, row) => {
                match row.as_ref().and_then(|r| compile_stored(&r.source)) {
                    Some(plan) => self.plans.insert(hash, Arc::new(plan)),
                    None => self.plans.remove(&hash),
                };
                set(&mut self.rows.plans, hash, row);
            }
            AnyRow::steps(key, row) => set(&mut self.rows.steps, key, row),
            AnyRow::contacts(key, row) => set(&mut self.rows.contacts, key, row),
            AnyRow::tickets(key, row) => self.put_ticket(key, row),
            AnyRow::pages(key, row) => set(&mut self.rows.pages, key, row),
            AnyRow::episodes(id, row) => self.put_episode(id, row),
            AnyRow::facts(key, row) => set(&mut self.rows.facts, key, row),
            AnyRow::budgets(key, row) => set(&mut self.rows.budgets, key, row),
            AnyRow::found(key, row) => set(&mut self.rows.found, key, row),
            AnyRow::latches(key, row) => set(&mut self.rows.latches, key, row),
            AnyRow::holds(id, row) => self.put_hold(id, row),
            AnyRow::rates(key, row) => set(&mut self.rows.rates, key, row),
            AnyRow::storms(key, row) => set(&mut self.rows.storms, key, row),
            AnyRow::children(id, row) => self.put_child(id, row),
            AnyRow::groups(key, row) => set(&mut self.rows.groups, key, row),
            AnyRow::paces(key, row) => set(&mut self.rows.paces, key, row),
            AnyRow::starts(key, row) => {
                self.started_at = row.as_ref().map(|row| row.at);
                set(&mut self.rows.starts, key, row);
            }
            AnyRow::outcomes(id, row) => self.put_outcome(id, row),
            AnyRow::tallies(key, row) => set(&mut self.rows.tallies, key, row),
            AnyRow::marks(key, row) => set(&mut self.rows.marks, key, row),
            AnyRow::courses(key, row) => set(&mut self.rows.courses, key, row),
            AnyRow::erased(id, row) => set(&mut self.rows.erased, id, row),
            AnyRow::messages(key, row) => set(&mut self.rows.messages, key, row),
            AnyRow::talks(key, row) => set(&mut self.rows.talks, key, row),
            AnyRow::optouts(key, row) => set(&mut self.rows.optouts, key, row),
            AnyRow::reached(key, row) => set(&mut self.rows.reached, key, row),
            AnyRow::places(id, row) => self.put_place(id, row),
            AnyRow::rides(id, row) => self.put_ride(id, row),
            AnyRow::refusals(id, row) => set(&mut self.rows.refusals, id, row),
            AnyRow::whereabouts(key, row) => set(&mut self.rows.whereabouts, key, row),
            AnyRow::wrongs(key, row) => set(&mut self.rows.wrongs, key, row),
            AnyRow::commands(key, row) => set(&mut self.rows.commands, key, row),
            AnyRow::switches(key, row) => set(&mut self.rows.switches, key, row),
            AnyRow::bookings(key, row) => set(&mut self.rows.bookings, key, row),
            AnyRow::surveys(key, row) => set(&mut self.rows.surveys, key, row),
            AnyRow::letters(key, row) => set(&mut self.rows.letters, key, row),
            AnyRow::rules(key, row) => set(&mut self.rows.rules, key, row),
            AnyRow::timeline(key, row) => set(&mut self.rows.timeline, key, row),
        }
        Ok(())
    }

    fn put_case(&mut self, id: CaseId, row: Option<CaseRow>) {
        if let Some(old) = self.rows.cases.get(&id) {
            self.timers.extend_remove(old.wake_at, Timer::Case(id));
            remove_from(&mut self.by_key, &old.key, &(old.opened_at, id));
            remove_from(&mut self.open_by_device, &old.device, &id);
            remove_from(&mut self.by_device, &old.device, &id);
        }
        if let Some(new) = &row {
            self.timers.extend(new.wake_at.map(|at| (at, Timer::Case(id))));
            self.by_key.entry(new.key.clone()).or_default().insert((new.opened_at, id));
            self.by_device.entry(new.device.clone()).or_default().insert(id);
            if new.is_open() {
                self.open_by_device.entry(new.device.clone()).or_default().insert(id);
            }
        }
        set(&mut self.rows.cases, id, row);
    }

    fn put_effect(&mut self, id: EffectId, row: Option<EffectRow>) {
        if let Some(old) = self.rows.effects.get(&id) {
            self.timers.extend_remove(old.delivery.wake_at(), Timer::Effect(id));
            remove_from(&mut self.effects_by_case, &old.case, &id);
            self.in_flight.remove(&id);
            if let Some(endpoint) = old.waits_for_person() {
                remove_from(&mut self.waiting, endpoint, &id);
            }
        }
        if let Some(new) = &row {
            self.timers.extend(new.delivery.wake_at().map(|at| (at, Timer::Effect(id))));
            self.effects_by_case.entry(new.case).or_default().insert(id);
            if new.delivery.state.is_in_flight() {
                self.in_flight.insert(id);
            }
            if let Some(endpoint) = new.waits_for_person() {
                self.waiting.entry(endpoint.clone()).or_default().insert(id);
            }
        }
        set(&mut self.rows.effects, id, row);
    }

    fn put_episode(&mut self, id: EpisodeId, row: Option<EpisodeRow>) {
        if let Some(case) = self.rows.episodes.get(&id).and_then(EpisodeRow::holds_open) {
            remove_from(&mut self.open_episodes, &case, &id);
        }
        if let Some(case) = row.as_ref().and_then(EpisodeRow::holds_open) {
            self.open_episodes.entry(case).or_default().insert(id);
        }
        set(&mut self.rows.episodes, id, row);
    }

    fn put_hold(&mut self, id: CaseId, row: Option<HoldRow>) {
        if let Some(case) = self.rows.holds.get(&id).and_then(HoldRow::explained_by) {
            remove_from(&mut self.explained, &case, &id);
        }
        if let Some(case) = row.as_ref().and_then(HoldRow::explained_by) {
            self.explained.entry(case).or_default().insert(id);
        }
        set(&mut self.rows.holds, id, row);
    }

    fn put_child(&mut self, id: CaseId, row: Option<ChildRow>) {
        let turn = |c: &ChildRow| (u32::MAX - c.risk, c.joined_at, id);
        if let Some(old) = self.rows.children.get(&id) {
            remove_from(&mut self.children, &old.storm, &id);
            remove_from(&mut self.storm_queue, &(old.storm, old.tier), &turn(old));
            if let Some(customer) = &old.customer {
                remove_from(&mut self.storm_customers, &(old.storm, customer.clone()), &id);
            }
        }
        if let Some(new) = &row {
            self.children.entry(new.storm).or_default().insert(id);
            if new.progress == Progress::Waiting {
                self.storm_queue.entry((new.storm, new.tier)).or_default().insert(turn(new));
            }
            if let Some(customer) = &new.customer {
                self.storm_customers.entry((new.storm, customer.clone())).or_default().insert(id);
            }
        }
        set(&mut self.rows.children, id, row);
    }

    fn put_place(&mut self, id: EffectId, row: Option<PlaceRow>) {
        if let Some(old) = self.rows.places.get(&id) {
            remove_from(&mut self.lines, &old.adapter, &(old.rank.clone(), id));
        }
        if let Some(new) = &row {
            self.lines.entry(new.adapter.clone()).or_default().insert((new.rank.clone(), id));
        }
        set(&mut self.rows.places, id, row);
    }

    fn put_ride(&mut self, id: EffectId, row: Option<RideRow>) {
        if let Some(old) = self.rows.rides.get(&id) {
            remove_from(&mut self.carried, &old.with, &id);
        }
        if let Some(new) = &row {
            self.carried.entry(new.with).or_default().insert(id);
        }
        set(&mut self.rows.rides, id, row);
    }

    fn put_ticket(&mut self, key: (CaseId, StepId), row: Option<TicketRow>) {
        let name = |row: &TicketRow| Some((row.desk.clone(), row.ticket.clone()?));
        if let Some(old) = self.rows.tickets.get(&key).and_then(name) {
            remove_from(&mut self.by_ticket, &old, &key);
        }
        if let Some(new) = row.as_ref().and_then(name) {
            self.by_ticket.entry(new).or_default().insert(key.clone());
        }
        set(&mut self.rows.tickets, key, row);
    }

    fn put_outcome(&mut self, id: CaseId, row: Option<OutcomeRow>) {
        if let Some(old) = self.rows.outcomes.get(&id) {
            self.outcomes_by_time.remove(&(old.opened_at, id));
        }
        self.outcomes_by_time.extend(row.as_ref().map(|new| (new.opened_at, id)));
        set(&mut self.rows.outcomes, id, row);
    }

    fn put_job(&mut self, id: EffectId, row: Option<JobRow>) {
        if let Some(old) = self.rows.jobs.get(&id) {
            remove_from(&mut self.jobs_by_case, &old.case, &id);
        }
        if let Some(new) = &row {
            self.jobs_by_case.entry(new.case).or_default().insert(id);
        }
        set(&mut self.rows.jobs, id, row);
    }
}

/// Removing what may not be there.
trait ExtendRemove {
    fn extend_remove(&mut self, at: Option<At>, timer: Timer);
}

impl ExtendRemove for BTreeSet<(At, Timer)> {
    fn extend_remove(&mut self, at: Option<At>, timer: Timer) {
        if let Some(at) = at {
            self.remove(&(at, timer));
        }
    }
}

fn set<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, row: Option<V>) {
    match row {
        Some(row) => table.insert(key, row),
        None => table.remove(&key),
    };
}

fn remove_from<K: Ord, V: Ord>(index: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = index.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Pending;
    use super::*;

    /// One ticket that two cases share, another one, and one that its desk has not named yet.
    #[test]
    fn a_ticket_finds_its_cases_whatever_became_of_its_rows() {
        let case = |n: u8| format!("{n:032x}").parse::<CaseId>().unwrap();
        let row = |ticket: Option<&str>| TicketRow {
            create: format!("{:032x}", 1).parse().unwrap(),
            desk: "helpdesk".into(),
            ticket: ticket.map(str::to_owned),
            pending: Vec::new(),
            note: None,
            notes: 0,
            close: None,
            close_effect: None,
        };
        let key = |n: u8, step: &str| (case(n), StepId::from(step));
        let put = |state: &mut State, key: (CaseId, StepId), row: Option<TicketRow>| {
            let mut pending = Pending::default();
            pending.tickets.insert(key, row);
            pending.encode().iter().for_each(|(key, row)| state.put(key, row.as_deref()).unwrap());
        };
        let find = |state: &State, ticket: &str| state.cases_of_ticket(&"helpdesk".into(), ticket);
        let mut state = State::default();
        for (n, step, ticket) in
            [(1, "a", Some("7")), (1, "b", Some("7")), (2, "a", Some("7")), (3, "a", Some("8")), (4, "a", None)]
        {
            put(&mut state, key(n, step), Some(row(ticket)));
        }
        assert_eq!(find(&state, "7"), [case(1), case(2)]);
        assert_eq!(state.cases_of_ticket(&"other".into(), "7"), []);
        put(&mut state, key(4, "a"), Some(row(Some("8"))));
        put(&mut state, key(1, "a"), Some(row(Some("9"))));
        put(&mut state, key(2, "a"), None);
        assert_eq!(
            (find(&state, "7"), find(&state, "8"), find(&state, "9")),
            (vec![case(1)], vec![case(3), case(4)], vec![case(1)])
        );
        // In whatever order a start reads them.
        let mut read = State::default();
        for (key, row) in state.rows.tickets.iter().rev() {
            put(&mut read, key.clone(), Some(row.clone()));
        }
        assert!(read == state);
        for key in state.rows.tickets.keys().cloned().collect::<Vec<_>>() {
            put(&mut state, key, None);
        }
        assert!(state == State::default());
    }
}
