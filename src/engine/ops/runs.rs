//! For how much of a window something was true, and in how many runs.
//!
//! A sample says what holds until the next one, for as long as it covers (V5). That time is laid into the buckets it
//! falls into. Head: newest bucket, time of the newest sample, what it said (0 nothing, 1 false, 2 true). A bucket: true
//! microseconds; runs that began in it, and whether one reached into it; its covered time.

use super::window::{bucket, cover, live, tally, width};
use super::{Op, seconds, time, word};
use crate::rules::Read;

/// A run of true reached into the bucket from the one before.
const CARRIED: u64 = 1 << 32;

pub(super) fn update(op: Op<'_>, words: &mut [u64], value: f64, at: i64) {
    let (before, was) = (time(words[1]), words[2]);
    if was != 0 {
        let end = before.saturating_add((at - before).clamp(0, reach(op)));
        lay(op, words, before.max(end.saturating_sub(op.window)), end, was == 2);
    }
    words[1] = word(at.max(before));
    words[2] = if value == 1.0 { 2 } else { 1 };
    if let Some(bucket) = bucket(op.spec.family, words, at, op.window)
        && was != 2
        && value == 1.0
    {
        bucket[1] += 1;
    }
}

/// How much time one sample covers.
fn reach(op: Op<'_>) -> i64 {
    op.spec.covers.max(width(op.window))
}

/// Lays the time from `from` to `to` into the buckets it falls into.
fn lay(op: Op<'_>, words: &mut [u64], mut from: i64, to: i64, on: bool) {
    let width = width(op.window);
    while from < to {
        let stop = to.min((from.div_euclid(width) + 1) * width);
        if let Some(bucket) = bucket(op.spec.family, words, from, op.window) {
            if on {
                let untouched = bucket.iter().all(|w| *w == 0);
                bucket[1] |= if untouched { CARRIED } else { 0 };
                bucket[0] += word(stop - from);
            }
            cover(bucket, stop - from);
        }
        from = stop;
    }
}

pub(super) fn read(read: Read, op: Op<'_>, words: &[u64], now: i64) -> f64 {
    let buckets = || live(op.spec.family, words, now, op.window);
    let open = (now - time(words[1])).clamp(0, reach(op).min(op.window));
    let on = buckets().map(|b| time(b[0])).sum::<i64>() + if words[2] == 2 { open } else { 0 };
    match read {
        Read::TimeTrue => seconds(on),
        Read::Duty => {
            let covered = buckets().map(|b| tally(b[2]).1 * 1_000).sum::<i64>() + open;
            if covered == 0 { f64::NAN } else { (seconds(on) / seconds(covered)).min(1.0) }
        }
        _ => {
            let began: f64 = buckets().map(|b| tally(b[1] & !CARRIED).0).sum();
            let first = buckets().find(|b| b.iter().any(|w| *w != 0));
            let carried = first.is_none_or(|b| b[1] & CARRIED != 0) && on > 0;
            let runs = began + f64::from(u8::from(carried));
            if runs == 0.0 { f64::NAN } else { seconds(on) / runs }
        }
    }
}
