//! What was noticed while reading: counted, and named with its place, so that nothing is passed over in silence.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::source::Weight;

/// Of each kind of finding so many are told with their place.
const EXAMPLES: usize = 3;

/// Everything that was noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

/// One kind of finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    #[serde(serialize_with = "word")]
    pub weight: Weight,
    /// What, in the plural: `lines cannot be used`.
    pub what: &'static str,
    /// How often.
    pub count: u64,
    /// The first few: where it stands in its file, and the sentence.
    #[serde(serialize_with = "texts")]
    pub examples: Vec<(u64, String)>,
}

fn weight_word(weight: Weight) -> &'static str {
    match weight {
        Weight::Note => "note",
        Weight::Warning => "warning",
        Weight::Error => "error",
    }
}

fn word<S: Serializer>(weight: &Weight, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(weight_word(*weight))
}

fn texts<S: Serializer>(examples: &[(u64, String)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(examples.iter().map(|(_, text)| text))
}

impl Findings {
    /// Counts one. `place` orders the examples.
    pub fn add(&mut self, weight: Weight, what: &'static str, place: u64, example: impl FnOnce() -> String) {
        let at = self.0.iter().position(|f| f.what == what).unwrap_or_else(|| {
            self.0.push(Finding { weight, what, count: 0, examples: Vec::new() });
            self.0.len() - 1
        });
        let finding = &mut self.0[at];
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push((place, example()));
        }
    }

    /// Adds what another reader of the same recording has noticed. The result does not depend on who comes first.
    pub fn merge(&mut self, other: &Self) {
        for theirs in &other.0 {
            match self.0.iter_mut().find(|f| f.what == theirs.what) {
                None => self.0.push(theirs.clone()),
                Some(ours) => {
                    ours.count += theirs.count;
                    ours.examples.extend(theirs.examples.iter().cloned());
                    ours.examples.sort();
                    ours.examples.truncate(EXAMPLES);
                }
            }
        }
        self.0.sort_by_key(|f| (std::cmp::Reverse(f.weight), f.what));
    }

    /// All kinds, worst first once merged.
    #[must_use]
    pub fn list(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for Finding {
    /// `warning: 5 lines cannot be used: a.csv:7: …; a.csv:9: …; and 3 more`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = weight_word(self.weight);
        let examples: Vec<&str> = self.examples.iter().map(|(_, text)| &**text).collect();
        write!(f, "{weight}: {} {}: {}", self.count, self.what, examples.join("; "))?;
        match self.count.saturating_sub(examples.len() as u64) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
