//! Derived samples: of all values in one period a single point, the lowest, highest, mean or last.
//!
//! The point of the period that is under way counts from its first value on and changes with the next ones; the first
//! value of a later period closes it. Words: number of the period, value (the sum for a mean), how many, time of the
//! newest, and 1 while the point has not been worked into the operators over it.

use super::{Op, num, time, word};
use crate::rules::{Family, Keep};

/// A point is known for so many periods.
pub(in crate::engine) const KNOWN: i64 = 3;

fn period(op: Op<'_>, at: i64) -> i64 {
    at.div_euclid(op.window.max(1))
}

pub(super) fn update(op: Op<'_>, words: &mut [u64], value: f64, at: i64) {
    let Family::Sample(keep) = op.spec.family else { return };
    let fresh = words[2] == 0 || time(words[0]) != period(op, at);
    let old = num(words[1]);
    let kept = match keep {
        _ if fresh => value,
        Keep::Min => old.min(value),
        Keep::Max => old.max(value),
        Keep::Mean => old + value,
        Keep::Last => value,
    };
    words[0] = word(period(op, at));
    words[1] = kept.to_bits();
    words[2] = if fresh { 1 } else { words[2] + 1 };
    words[3] = word(at);
    words[4] = 1;
}

/// The time of the point that a value at `at` closes.
pub(in crate::engine) fn closes(op: Op<'_>, words: &[u64], at: i64) -> Option<i64> {
    (words[4] == 1 && time(words[0]) != period(op, at)).then(|| time(words[3]))
}

/// Of the newest point: when its period ends, how many values made it, and when the newest of them was.
pub(in crate::engine) fn newest(op: Op<'_>, words: &[u64]) -> Option<(i64, u64, i64)> {
    let ends = time(words[0]).saturating_add(1).saturating_mul(op.window);
    (words[2] != 0).then(|| (ends, words[2], time(words[3])))
}

/// The time of the point that has not been worked into the operators over it.
pub(in crate::engine) fn open(words: &[u64]) -> Option<i64> {
    (words[4] == 1).then(|| time(words[3]))
}

/// From now on the point is worked in.
pub(in crate::engine) fn close(words: &mut [u64]) {
    words[4] = 0;
}

#[expect(clippy::cast_precision_loss, reason = "a count of samples")]
pub(super) fn read(op: Op<'_>, words: &[u64], now: i64) -> f64 {
    let fresh = now.saturating_sub(time(words[3])) <= op.window.saturating_mul(KNOWN);
    match op.spec.family {
        _ if words[2] == 0 || !fresh => f64::NAN,
        Family::Sample(Keep::Mean) => num(words[1]) / words[2] as f64,
        _ => num(words[1]),
    }
}
