//! Texts that many rows have, kept once.

use std::collections::BTreeSet;
use std::sync::Arc;

/// A column with more different texts than this (plates, serial numbers) is not worth sharing them.
const MAX_SHARED: usize = 256;

/// The different texts of one column, up to a limit.
#[derive(Default)]
pub(super) struct Shared(BTreeSet<Arc<str>>);

impl Shared {
    /// `text`, shared with the rows before it if they have few different ones.
    pub(super) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        if self.0.len() < MAX_SHARED {
            self.0.insert(text.clone());
        }
        text
    }
}
