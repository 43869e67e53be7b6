//! Who has an address, and whose a device is: an index over the registry, so that whoever calls or writes is found among
//! hundreds of thousands without looking at each. Made once for each registry, when it is first asked.

use std::sync::OnceLock;

use super::lookup::digits;
use crate::domain::{Customer, CustomerId, DeviceId, Endpoint, EndpointKind, Registry};

/// The index; made from the registry beside it.
#[derive(Debug, Default)]
pub struct Directory(OnceLock<Index>);

/// Both sorted. An address is a hash of how it is compared: what is found is compared once more.
#[derive(Debug)]
struct Index {
    addresses: Vec<(u64, CustomerId)>,
    devices: Vec<(CustomerId, DeviceId)>,
}

/// A copy may get another registry beside it: it makes its own.
impl Clone for Directory {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Directory {
    /// Makes the index now, so that nobody waits for it later.
    pub(super) fn warm(&self, registry: &Registry) {
        self.index(registry);
    }

    fn index(&self, registry: &Registry) -> &Index {
        self.0.get_or_init(|| Index::of(registry))
    }

    /// Whoever has this number or mailbox, with that endpoint, in the order of their ids.
    pub(super) fn at<'r>(
        &self,
        registry: &'r Registry,
        kind: EndpointKind,
        address: &str,
    ) -> Vec<(&'r Customer, &'r Endpoint)> {
        let wanted = compared(kind, address);
        if wanted.is_empty() {
            return Vec::new();
        }
        let found = range(&self.index(registry).addresses, &hash(kind, &wanted));
        let customers = found.iter().filter_map(|(_, id)| registry.customers.get(id));
        let endpoints = customers.flat_map(|c| c.endpoints.iter().map(move |e| (c, e)));
        endpoints.filter(|(_, e)| e.kind == kind && compared(kind, &e.address) == wanted).collect()
    }

    /// The devices that a customer has to do with.
    pub(super) fn devices(&self, registry: &Registry, customer: &CustomerId) -> impl Iterator<Item = &DeviceId> {
        range(&self.index(registry).devices, customer).iter().map(|(_, device)| device)
    }
}

impl Index {
    fn of(registry: &Registry) -> Self {
        let addresses = registry.customers.values().flat_map(|c| {
            let hashes = c.endpoints.iter().map(|e| hash(e.kind, &compared(e.kind, &e.address)));
            hashes.map(|hash| (hash, c.id.clone()))
        });
        let parties = registry.devices.values().flat_map(|d| d.parties.values().map(|c| (c.clone(), d.id.clone())));
        Self { addresses: sorted(addresses), devices: sorted(parties) }
    }
}

fn sorted<K: Ord, V: Ord>(pairs: impl Iterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut all: Vec<(K, V)> = pairs.collect();
    all.sort_unstable();
    all.dedup();
    all.shrink_to_fit();
    all
}

fn range<'i, K: Ord, V>(sorted: &'i [(K, V)], key: &K) -> &'i [(K, V)] {
    let from = sorted.partition_point(|(k, _)| k < key);
    let len = sorted[from..].partition_point(|(k, _)| k == key);
    &sorted[from..from + len]
}

/// An address as it is compared: a number by its digits, a mailbox whatever its letters.
fn compared(kind: EndpointKind, address: &str) -> String {
    match kind {
        EndpointKind::Phone => digits(address),
        EndpointKind::Email => address.trim().to_ascii_lowercase(),
        EndpointKind::App => address.to_owned(),
    }
}

fn hash(kind: EndpointKind, compared: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(compared.as_bytes(), kind as u64)
}
