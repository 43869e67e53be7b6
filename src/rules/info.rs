//! What can be asked of compiled rules as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::baseline::Origin;
use super::program::{ModelProgram, Program};
use crate::domain::{FaultName, Guards, Mode, ModelId, RuleId, Severity};
use crate::source::Place;

/// One rule as it was loaded.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// Its name.
    pub id: RuleId,
    /// Whether it may act.
    pub mode: Mode,
    /// What it finds.
    pub fault: FaultName,
    /// The models it watches.
    pub models: Vec<ModelId>,
    /// First eight bytes of the hash over its source text.
    pub rev: u64,
    /// Promised warning time, for scoring: shortest and longest, in microseconds.
    pub lead: Option<(i64, i64)>,
    /// How bad its levels are, highest level first.
    pub severities: Vec<Severity>,
    /// How sure it is, 0..=1.
    pub confidence: f64,
    /// What the desk looks at before a case of it acts.
    pub guards: Guards,
    /// The columns of the registry that the guards name, and where.
    pub columns: Vec<(Arc<str>, Place)>,
    /// Where its chart is said, if it has one.
    pub chart: Option<Place>,
    /// Where its fault is named, or else the rule itself.
    pub place: Place,
}

impl Program {
    /// The rules, in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// How many rules there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// The fleet's baselines that rules read and that are being learned, by model and name.
    #[must_use]
    pub fn fleet_baselines(&self) -> Vec<(String, String)> {
        let of = |m: &ModelProgram| {
            let learning =
                m.ops.iter().filter_map(|op| op.baseline.as_deref()).filter(|b| b.source == Origin::Learning);
            learning.map(|b| (m.model.id.to_string(), b.name.to_string())).collect::<Vec<_>>()
        };
        let all: BTreeSet<(String, String)> = self.models.iter().flat_map(of).collect();
        all.into_iter().collect()
    }

    /// The models the rules were compiled for.
    #[must_use]
    pub fn models(&self) -> &Arc<crate::model::Models> {
        &self.loaded
    }

    /// One line for the log at start: `2 rules (1 live, 1 shadow, 0 off), 4 operators; bytes a device: car 312`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |m| self.rules.iter().filter(|r| r.mode == m).count();
        let operators: usize = self.models.iter().map(|m| m.ops.len()).sum();
        let sizes: Vec<String> = self
            .models
            .iter()
            .filter(|m| !m.rules.is_empty())
            .map(|m| {
                let parts = m.lanes[1..].iter().map(|l| format!(" + {} a {}", l.words * 8, l.name));
                format!("{} {}{}", m.model.id, m.lanes[0].words * 8, parts.collect::<String>())
            })
            .collect();
        format!(
            "{} rules ({} live, {} shadow, {} off), {operators} operators; bytes of state a device: {}",
            self.rules.len(),
            count(Mode::Live),
            count(Mode::Shadow),
            count(Mode::Off),
            if sizes.is_empty() { "none".to_owned() } else { sizes.join(", ") }
        )
    }
}
