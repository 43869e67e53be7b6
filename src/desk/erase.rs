//! Erasure: a customer's key is destroyed, and with it everything of theirs that is stored anywhere.
//!
//! The desk decides and records it; whoever keeps the keys destroys the key once that record is durable, and again at
//! every start, so that a crash in between leaves nothing behind. From the record on the customer does not exist for the
//! desk, whatever the registry still says: nobody is told anything, no new key is made. What stays are rows under a
//! pseudonym that nobody can trace back, and the record of the erasure itself.
//!
//! A customer is erased by the desk's own row or by the note in the key file. So an export from before the erasure does
//! not bring them back, and neither does a new key file.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::optout::OptOutRow;
use super::reached::ReachedRow;
use super::rows::{CaseRow, Table};
use super::state::State;
use super::{Config, Desk, KeyChange, Record, Reply};
use crate::domain::{At, CaseId, CustomerId, DeviceId, Purpose, Registry};

/// A customer who was erased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ErasedRow {
    pub(super) at: At,
    /// Who asked for it.
    pub(super) by: String,
}

/// Erases a customer, unless a safety case of theirs is open: then somebody may be in danger, and a truck on its way.
pub(super) fn erase(change: &mut Change<'_>, customer: &CustomerId, force: bool, actor: &str) -> Reply {
    if change.get::<ErasedRow>(customer).is_some() {
        return Reply::Refused(format!("{customer} has been erased already"));
    }
    if !change.config.registry.customers.contains_key(customer) && !change.config.keys.knows(customer) {
        return Reply::NotFound;
    }
    let danger = in_danger(change, customer).filter(|_| !force);
    if let Some(case) = danger {
        return Reply::Refused(format!(
            "the safety case {} is open; close it first, or force the erasure",
            case.short()
        ));
    }
    let forced = if force { ", by force" } else { "" };
    change.because(format!("api:{actor}"), format!("erased the customer {customer}{forced}"));
    change.put(customer.clone(), ErasedRow { at: change.now, by: actor.to_owned() });
    change.keys.push(KeyChange::Destroy(customer.clone()));
    let mine = |owner: &CustomerId| owner == customer;
    let opted = change.base.rows.optouts.iter().filter(|(_, row)| mine(&row.customer));
    for key in opted.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
        change.delete::<OptOutRow>(key);
    }
    change.delete::<ReachedRow>(customer.clone());
    for id in open_cases(change, customer) {
        change.say(id, super::TimelineKind::Decided, format!("{actor} has had the customer {customer} erased"), None);
    }
    Reply::Done
}

/// A person says that an erased customer is a customer again: a new key is made, and what was sealed before stays lost.
pub(super) fn readmit(change: &mut Change<'_>, customer: &CustomerId, actor: &str) -> Reply {
    if change.get::<ErasedRow>(customer).is_none() && !change.config.keys.erased().contains(customer) {
        return Reply::Refused(format!("{customer} is not erased"));
    }
    change.because(format!("api:{actor}"), format!("made {customer} a customer again"));
    // A row that was lost with an old state is deleted all the same, so that there is a record.
    change.delete::<ErasedRow>(customer.clone());
    change.keys.push(KeyChange::Readmit(customer.clone()));
    Reply::Done
}

/// The open case of a customer that is about danger.
pub(super) fn in_danger(change: &Change<'_>, customer: &CustomerId) -> Option<CaseId> {
    open_cases(change, customer).into_iter().find(|id| is_safety(change, *id))
}

/// Open cases of devices whose people the customer belongs to.
fn open_cases(change: &Change<'_>, customer: &CustomerId) -> Vec<CaseId> {
    let theirs = |device: &DeviceId| {
        change.config.registry.devices.get(device).is_some_and(|d| d.parties.values().any(|party| party == customer))
    };
    let open = change.base.open_by_device.iter().filter(|(device, _)| theirs(device));
    open.flat_map(|(_, cases)| cases.iter().copied()).collect()
}

fn is_safety(change: &Change<'_>, id: CaseId) -> bool {
    let plan = change.get::<CaseRow>(&id).and_then(|case| change.plan(&case));
    plan.is_none_or(|plan| plan.policy.purpose == Purpose::Safety)
}

/// What the desk works with: everything it was given, without the erased.
pub(super) fn without_erased(given: &Arc<Config>, state: &State) -> Arc<Config> {
    let erased: BTreeSet<CustomerId> = state.rows.erased.keys().chain(given.keys.erased()).cloned().collect();
    if erased.is_empty() {
        return given.clone();
    }
    let mut config = (**given).clone();
    config.registry = Arc::new(without(&given.registry, &erased));
    config.keys = config.keys.erasing(erased);
    Arc::new(config)
}

fn without(registry: &Registry, erased: &BTreeSet<CustomerId>) -> Registry {
    let mut registry = registry.clone();
    registry.customers.retain(|id, _| !erased.contains(id));
    for device in registry.devices.values_mut() {
        device.parties.retain(|_, id| !erased.contains(id));
    }
    registry
}

/// Whether a record erases somebody or makes them a customer again.
pub(super) fn concerns(record: &Record) -> bool {
    record.changes.iter().any(|(key, _)| key.first() == Some(&ErasedRow::TAG))
}

impl Desk {
    /// Everybody who was erased, and when; their keys must not exist.
    pub fn erased(&self) -> impl Iterator<Item = (&CustomerId, At)> {
        self.state.rows.erased.iter().map(|(id, row)| (id, row.at))
    }

    /// The erased whom the registry still names: somebody has to delete them there.
    #[must_use]
    pub fn erased_in_registry(&self) -> Vec<CustomerId> {
        let here = |id: &&CustomerId| !self.config.registry.customers.contains_key(*id);
        self.given.registry.customers.keys().filter(here).cloned().collect()
    }

    /// Whose keys are needed: customers of the registry, and those of whom something is stored. All others are to be
    /// dropped: retention has ended.
    #[must_use]
    pub fn keys_needed(&self) -> BTreeSet<CustomerId> {
        let owners = self.state.rows.sealed().into_iter().filter_map(|sealed| sealed.owner.clone());
        self.given.registry.customers.keys().cloned().chain(owners).collect()
    }
}
