//! What the level machines did, for tests of rules and for people who ask. Off unless asked for.

use super::device::{Device, Work};
use super::level::Phase;
use crate::domain::{At, Component, DeviceId, RuleId};
use crate::rules::{LEVEL_WORDS, RULE_WORDS, RuleProgram};

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

impl Device {
    /// Notes that the levels in the mask `turned` have gone over to other phases, if anybody asks.
    pub(super) fn note_turns(
        &self,
        work: &mut Work<'_>,
        rule: &RuleProgram,
        part: Option<usize>,
        turned: u8,
        now: i64,
    ) {
        let Some(turns) = &mut work.scratch.turns else { return };
        let tracks = self.row(part)[rule.offset + RULE_WORDS..].chunks_exact(LEVEL_WORDS);
        let levels = rule.levels.iter().zip(tracks).enumerate().filter(|(ix, _)| turned >> ix & 1 == 1);
        turns.extend(levels.map(|(_, (level, words))| Turn {
            device: self.id.clone(),
            component: self.component(work.program, part),
            rule: rule.id.clone(),
            level: level.name.clone(),
            phase: Phase::load(words),
            at: At::from_micros(now),
        }));
    }
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
