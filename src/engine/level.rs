//! The level machine: OK -> pending -> on -> clearing -> OK, one for each level of a rule on a device.
//!
//! Samples move it; timers only finish what samples have begun (T5). Time counts as far as samples cover it (T6): a
//! sample covers what follows it up to `max_gap`. What lies beyond does not count (`pause`), starts the wait anew
//! (`reset`) or counts all the same (`count`). A wait longer than nothing takes at least two samples. While the
//! condition is unknown the machine keeps its state and time stands still (V3).

use super::ops::{time, word};
use crate::rules::{Gap, LEVEL_WORDS, LevelProgram, OnGap};

/// Where the machine of a level stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The condition is not true.
    Off,
    /// It is true, and its hold is not over.
    Pending,
    /// The level is in force.
    On,
    /// It is in force; its end is near, and the hold of that is not over.
    Clearing,
}

impl Phase {
    /// The phase of a level, without the rest of its state.
    pub(super) fn load(words: &[u64]) -> Self {
        match (words[2] >> 32) & 0xff {
            0 => Self::Off,
            1 => Self::Pending,
            2 => Self::On,
            _ => Self::Clearing,
        }
    }

    /// Whether the level has been reached and not left.
    pub(super) fn in_force(self) -> bool {
        matches!(self, Self::On | Self::Clearing)
    }

    /// Whether a hold is running.
    pub(super) fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Clearing)
    }
}

/// The state of one level, unpacked from its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    /// First true sample of `when`.
    pub(super) from: i64,
    /// Covered time of the wait so far.
    pub(super) acc: i64,
    /// True samples of the wait so far.
    pub(super) count: u32,
    pub(super) phase: Phase,
    /// The condition was unknown at the last sample.
    pub(super) paused: bool,
    /// The timer of this wait came and the condition did not hold; the next sample decides.
    tried: bool,
}

/// An instant at which a machine is stepped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Device time of the rule's last sample.
    pub(super) last: i64,
    pub(super) now: i64,
    /// Whether this is a sample (or counts as one), not only a timer.
    pub(super) sample: bool,
    /// The rule watches silence: one look is enough for a hold.
    pub(super) clock: bool,
}

impl Track {
    pub(super) fn load(words: &[u64]) -> Self {
        let packed = words[2];
        Self {
            from: time(words[0]),
            acc: time(words[1]),
            count: u32::try_from(packed & 0xffff_ffff).unwrap_or(u32::MAX),
            phase: Phase::load(words),
            paused: packed & 1 << 40 != 0,
            tried: packed & 1 << 41 != 0,
        }
    }

    pub(super) fn store(self, words: &mut [u64]) {
        words[0] = word(self.from);
        words[1] = word(self.acc);
        let phase = match self.phase {
            Phase::Off => 0,
            Phase::Pending => 1,
            Phase::On => 2,
            Phase::Clearing => 3_u64,
        };
        words[2] = u64::from(self.count) | phase << 32 | u64::from(self.paused) << 40 | u64::from(self.tried) << 41;
        debug_assert!(words.len() >= LEVEL_WORDS);
    }

    /// Whether a sample that does not say true leaves these words as they are: nothing is in force, waits or was tried.
    pub(super) fn is_idle(words: &[u64]) -> bool {
        words[1] == 0 && words[2] == 0
    }

    /// One step; `value` is `clear` if the level is in force and `when` if it is not.
    pub(super) fn step(&mut self, level: &LevelProgram, gap: Gap, at: Step, value: f64) {
        let (hold, confirm) = if self.phase.in_force() { (level.clear_hold, 1) } else { (level.hold, level.confirm) };
        if at.sample {
            self.count_sample(level, gap, at, value);
        }
        if !self.phase.waits() || value != 1.0 {
            self.tried |= !at.sample;
            return;
        }
        let acc = if at.sample { self.acc } else { self.acc.saturating_add(self.unaccounted(at)) };
        if acc >= hold && self.count >= needed(hold, confirm, at.clock) {
            self.phase = if self.phase.in_force() { Phase::Off } else { Phase::On };
            self.rest();
        } else {
            self.tried |= !at.sample;
        }
    }

    fn unaccounted(&self, at: Step) -> i64 {
        if self.paused { 0 } else { (at.now - at.last).max(0) }
    }

    fn count_sample(&mut self, level: &LevelProgram, gap: Gap, at: Step, value: f64) {
        self.tried = false;
        let elapsed = (at.now - at.last).max(0);
        if value == 0.0 {
            self.phase = if self.phase.in_force() { Phase::On } else { Phase::Off };
            self.rest();
        } else if value.is_nan() {
            if self.phase.waits() && !self.paused {
                self.acc += covered(gap, elapsed);
                self.paused = true;
            }
        } else if !self.phase.waits() || (elapsed > gap.max && gap.policy == OnGap::Reset) {
            if !self.phase.in_force() {
                self.from = at.now;
            }
            self.phase = if self.phase.in_force() { Phase::Clearing } else { Phase::Pending };
            self.rest();
            self.count = 1;
        } else {
            if !self.paused {
                self.acc = self.acc.saturating_add(covered(gap, elapsed));
            }
            self.paused = false;
            if self.phase.in_force() || at.now - self.from >= level.spacing.saturating_mul(i64::from(self.count)) {
                self.count = self.count.saturating_add(1);
            }
        }
    }

    fn rest(&mut self) {
        self.acc = 0;
        self.count = 0;
        self.paused = false;
        self.tried = false;
    }

    /// When the wait will be over if nothing else happens, as far as the last sample covers it.
    pub(super) fn deadline(&self, level: &LevelProgram, gap: Gap, last: i64, clock: bool) -> Option<i64> {
        let (hold, confirm) = if self.phase.in_force() { (level.clear_hold, 1) } else { (level.hold, level.confirm) };
        let ready = self.phase.waits() && !self.paused && !self.tried && self.count >= needed(hold, confirm, clock);
        let left = hold.saturating_sub(self.acc);
        (ready && (left <= gap.max || gap.policy == OnGap::Count)).then(|| last.saturating_add(left))
    }
}

fn covered(gap: Gap, elapsed: i64) -> i64 {
    if gap.policy == OnGap::Count { elapsed } else { elapsed.min(gap.max) }
}

/// One sample never satisfies a hold (T6).
fn needed(hold: i64, confirm: u32, clock: bool) -> u32 {
    if hold > 0 && !clock { confirm.max(2) } else { confirm }
}
