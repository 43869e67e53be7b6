//! What has given way in a full queue, by topic, until somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Topics told apart; the rest is told under the empty one.
const TOPICS: usize = 10_000;

/// Shared by the connection, which counts, and the thread that asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Shed(Arc<Mutex<BTreeMap<Bytes, u64>>>);

impl Shed {
    pub(super) fn count(&self, topic: &Bytes) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.len() < TOPICS || counts.contains_key(topic);
        *counts.entry(if known { topic.clone() } else { Bytes::new() }).or_insert(0) += 1;
    }

    /// What came since the last call.
    pub(super) fn take(&self) -> BTreeMap<Bytes, u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
