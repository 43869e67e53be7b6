//! What topic names stand for, remembered: names are few and messages many.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

use super::{Binding, Models};

/// Topics whose binding is remembered; the cache is emptied when it is full.
const KNOWN_TOPICS: usize = 1 << 20;

/// The bindings of the topics of one set of models.
#[derive(Debug, Default)]
pub struct Topics(HashMap<Box<str>, Option<Arc<Binding>>, BuildHasherDefault<Xxh3Default>>);

impl Topics {
    /// As [`Models::bind`].
    pub fn bind(&mut self, models: &Models, topic: &str) -> Option<Arc<Binding>> {
        if let Some(known) = self.0.get(topic) {
            return known.clone();
        }
        if self.0.len() >= KNOWN_TOPICS {
            self.0.clear();
        }
        let binding = models.bind(topic).map(Arc::new);
        self.0.insert(topic.into(), binding.clone());
        binding
    }
}
