//! Clocks of devices that are wrong (T1): how often, and with `skew = "auto"` by how much, learned from their messages.
//!
//! A message says at its arrival how far the clock of its device is ahead; what it needed on the way, or how long it
//! was kept back, only makes that less. So the most that a block of messages says is near the truth if one of them came
//! at once. When four blocks in a row agree, the offset is believed, and taken off every device time from then on; while
//! they do not, the last one that was believed stays. An offset below what networks take is none.

use serde::{Deserialize, Serialize};

/// Messages of a block.
const BLOCK: u8 = 8;
/// Blocks that must agree, to within so many microseconds, which is also the least offset.
const BLOCKS: usize = 4;
const STEADY: i64 = 5_000_000;

/// The messages of a device whose time ran ahead of ours by too much to be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ahead {
    pub(super) count: u64,
    /// When the newest of them was received …
    pub(super) newest_at: i64,
    /// … and by how much it was ahead, in microseconds.
    pub(super) by: i64,
}

impl Ahead {
    /// A message sent at `sent` by the device's clock, received at `received_at` by ours.
    pub(super) fn note(&mut self, sent: i64, received_at: i64) {
        let by = sent.saturating_sub(received_at);
        *self = Self { count: self.count.saturating_add(1), newest_at: received_at, by };
    }
}

/// What is known of a device's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Skew {
    /// How far it is ahead, in microseconds; 0 while that is not known.
    pub(super) offset: i64,
    most: i64,
    count: u8,
    /// The newest last; `full` of them are filled.
    blocks: [i64; BLOCKS],
    full: usize,
}

impl Skew {
    /// A message sent at `sent` by the device's clock, received at `received_at` by ours.
    pub(super) fn learn(&mut self, sent: i64, received_at: i64) {
        let ahead = sent.saturating_sub(received_at);
        self.most = if self.count == 0 { ahead } else { self.most.max(ahead) };
        self.count += 1;
        if self.count < BLOCK {
            return;
        }
        self.count = 0;
        self.blocks.rotate_left(1);
        self.blocks[BLOCKS - 1] = self.most;
        self.full = (self.full + 1).min(BLOCKS);
        let (least, most) = self.blocks.iter().fold((i64::MAX, i64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        if self.full == BLOCKS && most.saturating_sub(least) <= STEADY {
            let found = if most.saturating_abs() > STEADY { most } else { 0 };
            // Time that jumps with every message would be worse than time that is a little wrong.
            if found.saturating_sub(self.offset).saturating_abs() > STEADY {
                self.offset = found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_steady_offset_is_believed() {
        let s = 1_000_000;
        let after = |ahead: &dyn Fn(i64) -> i64, n: i64| {
            let mut skew = Skew::default();
            (0..n).for_each(|i| skew.learn(i * 10 * s + ahead(i), i * 10 * s));
            skew.offset / s
        };
        let hour = 3_600 * s;
        for (name, ahead, n, expected) in [
            ("one hour ahead", &(|_| hour) as &dyn Fn(i64) -> i64, 32, 3_600),
            ("not known yet", &|_| hour, 31, 0),
            ("behind, and the way takes up to 30 s", &|i| -hour - i % 7 * 5 * s, 64, -3_600),
            ("networks are slow", &|i| -(i % 5) * s, 64, 0),
            ("no steady clock", &|i| i / 8 % 2 * hour, 64, 0),
            ("a backlog: each older by its place", &|i| -i * 10 * s, 64, 0),
            (
                "a backlog does not unsettle what is known",
                &|i| if i < 40 { hour } else { (40 - i) * 10 * s },
                100,
                3_600,
            ),
            ("the clock is set right", &|i| if i < 40 { hour } else { 0 }, 80, 0),
        ] {
            assert_eq!(after(ahead, n), expected, "{name}");
        }
    }
}
