//! Counters: what they have grown by, whatever resets and rollovers lie in between (V6).
//!
//! A decrease that a declared rollover explains is one; to less than half is a reset, after which the counter began at
//! zero; any other decrease is a glitch, which is ignored and counted. Words: value and what of it an `f64` has no room
//! for, time of the newest sample, growth since the first, what to add to the value to make it go on where it was, and
//! the numbers of resets and glitches; of a total also the marker since which these count.

use super::{Op, num, time, word};
use crate::rules::{Family, Read};

const GLITCH: u64 = 1 << 32;

/// `inputs`: the value, and what of it an `f64` has no room for.
pub(super) fn update(op: Op<'_>, words: &mut [u64], inputs: &[f64], at: i64) {
    let &[value, low] = inputs else { return };
    if op.spec.family == Family::Total {
        let marker = op.arg(1).to_bits();
        // A new marker is of the counter as it is now: what was carried over belongs to the old one.
        if words[6] != marker {
            // Its own words: behind them are other operators, and rules.
            words[..Family::Total.head()].fill(0);
            words[6] = marker;
        }
    }
    if words[2] != 0 {
        let (old, grown) = (num(words[0]), (value - num(words[0])) + (low - num(words[1])));
        // In this order nothing is lost: shortly before it rolls over a counter is near to its modulus.
        let around = (op.arg(0) - old) + value + (low - num(words[1]));
        if grown >= 0.0 {
            add(words, grown, 0.0);
        } else if around >= 0.0 && around * 2.0 < op.arg(0) {
            add(words, around, op.arg(0));
        } else if value < 0.5 * old {
            add(words, value.max(0.0), old);
            words[5] += 1;
        } else {
            words[5] += GLITCH;
            return;
        }
    }
    words[0] = value.to_bits();
    words[1] = low.to_bits();
    words[2] = word(at);
}

fn add(words: &mut [u64], grown: f64, carried: f64) {
    words[3] = (num(words[3]) + grown).to_bits();
    words[4] = (num(words[4]) + carried).to_bits();
}

/// Resets and glitches so far.
pub(in crate::engine) fn faults(words: &[u64]) -> (u64, u64) {
    (words[5] & (GLITCH - 1), words[5] >> 32)
}

pub(super) fn read(read: Read, op: Op<'_>, words: &[u64]) -> f64 {
    let seen = time(words[2]) != 0;
    #[expect(clippy::cast_precision_loss, reason = "at most 2^32")]
    let resets = faults(words).0 as f64;
    let marker = op.arg(1);
    let total = |carried: f64| (num(words[0]) - marker) + num(words[1]) + carried;
    match read {
        _ if !seen => f64::NAN,
        Read::Grown => num(words[3]),
        Read::Resets => resets,
        _ if words[6] != marker.to_bits() => total(0.0),
        Read::Total if resets > 0.0 => f64::NAN,
        _ => total(num(words[4])),
    }
}
