//! What is known beside a case: what the device and its people went through before, and how often they have called.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rows::CaseRow;
use super::{CaseSummary, Desk};
use crate::domain::{At, CaseId, Channel, CustomerId, DeviceId};

/// Most earlier cases shown.
const MOST: usize = 20;

/// The history beside a case.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Since when there has been an agreement with one of the people of the device: their first consent.
    pub customer_since: Option<At>,
    /// How often they called about this case, as far as the contact centre said so.
    pub calls: usize,
    /// Other cases of this device and of other devices of the same people, newest first; at most 20.
    pub earlier: Vec<CaseSummary>,
}

impl Desk {
    pub(super) fn history(&self, id: &CaseId, row: &CaseRow) -> History {
        let registry = &self.config.registry;
        let people: Vec<&CustomerId> =
            registry.devices.get(&row.device).into_iter().flat_map(|d| d.parties.values()).collect();
        let consents =
            people.iter().filter_map(|c| registry.customers.get(*c)).flat_map(|c| &c.consents).map(|c| c.given_at);
        let mut devices: BTreeSet<&DeviceId> =
            people.iter().flat_map(|c| self.config.directory.devices(registry, c)).collect();
        devices.insert(&row.device);
        let others = devices.into_iter().flat_map(|d| self.state.cases_of(d)).filter(|(other, _)| *other != id);
        let mut earlier: Vec<CaseSummary> = others.map(|(other, c)| self.summary(other, c)).collect();
        earlier.sort_by_key(|c| (std::cmp::Reverse(c.opened_at), c.id));
        earlier.truncate(MOST);
        let messages = self.state.rows.messages.range((*id, 0)..=(*id, u32::MAX));
        History {
            customer_since: consents.min().filter(|at| *at > At::MIN),
            calls: messages.filter(|(_, m)| m.channel == Channel::Call).count(),
            earlier,
        }
    }
}
