//! What the level machines did, for tests of rules and for people who ask. Off unless asked for.

use super::level::Phase;
use crate::domain::{At, Component, DeviceId, RuleId};

/// A level machine went over to another phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Of which device.
    pub device: DeviceId,
    /// And which part of it.
    pub component: Option<Component>,
    /// Of which rule.
    pub rule: RuleId,
    /// And which of its levels.
    pub level: String,
    /// Where it stands now.
    pub phase: Phase,
    /// Device time of the sample or timer.
    pub at: At,
}

impl super::Engine {
    /// Whether to keep the turns of all level machines from now on. Whoever asks for it takes them away.
    pub fn trace(&mut self, on: bool) {
        self.scratch.turns = on.then(Vec::new);
    }

    /// The turns since the last call, in the order in which they came about.
    pub fn take_turns(&mut self) -> Vec<Turn> {
        self.scratch.turns.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
