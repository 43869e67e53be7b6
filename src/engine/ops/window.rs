//! Sliding windows.
//!
//! A window of `w` is cut into 20 buckets aligned to multiples of `w/20`; the bucket that holds *now* is partial, so a
//! window reaches back between 95 % and 100 % of `w`, and never further. What a bucket keeps is exact for all its
//! samples. A late sample (T3) is added to its bucket if that is still open. Windows are unknown with fewer than 2
//! samples or less than half of `w` covered (V5): a sample covers the time since the one before, but no more than
//! `max_gap` or one bucket, whichever is longer.
//!
//! Words: number of the newest bucket, time of the newest sample, what else the family keeps, then the buckets. The
//! last word of a bucket is its tally: how many samples, and how much time they cover.

use std::ops::RangeInclusive;

use super::{Op, num, time, word};
use crate::rules::{BUCKETS, Family};

#[expect(clippy::cast_possible_wrap, reason = "20")]
const BUCKETS_I: i64 = BUCKETS as i64;

pub(super) fn width(window: i64) -> i64 {
    (window / BUCKETS_I).max(1)
}

/// Works a sample into the bucket of its time; `add` says how.
pub(super) fn update(op: Op<'_>, words: &mut [u64], at: i64, add: impl FnOnce(&mut [u64])) {
    let before = time(words[1]);
    let gap = if before == 0 { 0 } else { (at - before).clamp(0, op.spec.covers.max(width(op.window))) };
    words[1] = word(at.max(before));
    if let Some(bucket) = bucket(op.spec.family, words, at, op.window) {
        add(bucket);
        cover(bucket, gap);
    }
}

/// Works a late sample in; it covers all of its bucket.
pub(super) fn update_late(op: Op<'_>, words: &mut [u64], at: i64, add: impl FnOnce(&mut [u64])) {
    if let Some(bucket) = bucket(op.spec.family, words, at, op.window) {
        add(bucket);
        let already = bucket.last().map_or(0, |w| tally(*w).1) * 1_000;
        cover(bucket, (width(op.window) - already).max(0));
    }
}

/// The bucket of `at`, opened if it is newer than all others, `None` if it is closed.
pub(super) fn bucket(family: Family, words: &mut [u64], at: i64, window: i64) -> Option<&mut [u64]> {
    let (head, size) = (family.head(), family.bucket());
    let number = at.div_euclid(width(window));
    let newest = time(words[0]);
    if number > newest {
        let first = newest.max(number - BUCKETS_I) + 1;
        for n in first..=number {
            let start = head + slot_of(n) * size;
            words[start..start + size].fill(0);
        }
        words[0] = word(number);
    } else if number <= newest - BUCKETS_I {
        return None;
    }
    let start = head + slot_of(number) * size;
    Some(&mut words[start..start + size])
}

fn slot_of(number: i64) -> usize {
    usize::try_from(number.rem_euclid(BUCKETS_I)).unwrap_or(0)
}

/// Count in the low half, covered milliseconds in the high half of a bucket's last word.
pub(super) fn tally(word: u64) -> (f64, i64) {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    let (n, ms) = (word as u32, (word >> 32) as u32);
    (f64::from(n), i64::from(ms))
}

pub(super) fn count_one(word: &mut u64) {
    if *word & 0xffff_ffff != 0xffff_ffff {
        *word += 1;
    }
}

pub(super) fn cover(bucket: &mut [u64], gap: i64) {
    if let Some(last) = bucket.last_mut() {
        let (_, ms) = tally(*last);
        let ms = u32::try_from(ms + gap / 1_000).unwrap_or(u32::MAX);
        *last = (*last & 0xffff_ffff) | (u64::from(ms) << 32);
    }
}

pub(super) fn sum(bucket: &mut [u64], value: f64) {
    bucket[0] = (num(bucket[0]) + value).to_bits();
    count_one(&mut bucket[1]);
}

pub(super) fn extreme(bucket: &mut [u64], value: f64, best: fn(f64, f64) -> f64) {
    let first = tally(bucket[1]).0 == 0.0;
    bucket[0] = if first { value } else { best(num(bucket[0]), value) }.to_bits();
    count_one(&mut bucket[1]);
}

/// Mean and squared deviation, by Welford.
pub(super) fn moments(bucket: &mut [u64], value: f64) {
    let n = tally(bucket[2]).0;
    let delta = value - num(bucket[0]);
    let mean = num(bucket[0]) + delta / (n + 1.0);
    bucket[1] = (num(bucket[1]) + delta * (value - mean)).to_bits();
    bucket[0] = mean.to_bits();
    count_one(&mut bucket[2]);
}

/// The buckets that are in the window at `now`, oldest first.
pub(super) fn live(family: Family, words: &[u64], now: i64, window: i64) -> impl Iterator<Item = &[u64]> {
    let (head, size) = (family.head(), family.bucket());
    let numbers = numbers(words, now, window);
    let buckets = &words[head..head + BUCKETS * size];
    // The bucket behind the newest is the oldest that there can be.
    let (new, old) = buckets.split_at((slot_of(*numbers.end()) + 1) * size);
    let gone = BUCKETS.saturating_sub(numbers.count());
    old.chunks_exact(size).chain(new.chunks_exact(size)).skip(gone)
}

/// The numbers of these buckets.
pub(super) fn numbers(words: &[u64], now: i64, window: i64) -> RangeInclusive<i64> {
    let newest = time(words[0]);
    // An operator that has seen nothing has its newest bucket decades ago: the range is empty.
    let current = now.div_euclid(width(window)).max(newest);
    current - BUCKETS_I + 1..=newest
}

/// Whether samples cover at least half of the window (V5).
pub(super) fn covered(op: Op<'_>, words: &[u64], now: i64) -> bool {
    if op.spec.events || time(words[1]) == 0 {
        return op.spec.events;
    }
    covered_ms(op, words, now) * 2 >= op.window / 1_000
}

/// So many milliseconds of the window are covered by samples.
fn covered_ms(op: Op<'_>, words: &[u64], now: i64) -> i64 {
    let newest = time(words[1]);
    if newest == 0 {
        return 0;
    }
    let since = (now - newest).clamp(0, op.spec.covers.max(width(op.window))) / 1_000;
    let buckets = live(op.spec.family, words, now, op.window);
    let sum: i64 = buckets.filter_map(|b| b.last().map(|w| tally(*w).1)).sum();
    since + sum
}

/// Samples in the window, and the share of it that they cover.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
pub(super) fn fill(op: Op<'_>, words: &[u64], now: i64) -> (u64, f64) {
    let samples: f64 = live(op.spec.family, words, now, op.window).filter_map(|b| b.last()).map(|w| tally(*w).0).sum();
    (samples as u64, covered_ms(op, words, now) as f64 / (op.window / 1_000).max(1) as f64)
}

pub(super) fn count(op: Op<'_>, words: &[u64], now: i64) -> f64 {
    live(op.spec.family, words, now, op.window).map(|b| tally(b[1]).0).sum()
}

/// Sum and count; both unknown with fewer than two samples. Of events none is enough: they add up to nothing.
pub(super) fn total(op: Op<'_>, words: &[u64], now: i64) -> (f64, f64) {
    let (sum, n) = live(op.spec.family, words, now, op.window)
        .fold((0.0, 0.0), |(sum, n), b| (sum + num(b[0]), n + tally(b[1]).0));
    if n < 2.0 && !op.spec.events { (f64::NAN, f64::NAN) } else { (sum, n) }
}

pub(super) fn read_extreme(op: Op<'_>, words: &[u64], now: i64, better: fn(f64, f64) -> f64) -> f64 {
    let (mut n, mut best) = (0.0, f64::NAN);
    for bucket in live(op.spec.family, words, now, op.window) {
        let (count, value) = (tally(bucket[1]).0, num(bucket[0]));
        if count > 0.0 {
            n += count;
            // `f64::min` and `max` prefer a number to NaN.
            best = better(best, value);
        }
    }
    if n < 2.0 && !op.spec.events { f64::NAN } else { best }
}

pub(super) fn stddev(op: Op<'_>, words: &[u64], now: i64) -> f64 {
    let (n, _, m2) = live(op.spec.family, words, now, op.window)
        .map(|b| (tally(b[2]).0, num(b[0]), num(b[1])))
        .fold((0.0, 0.0, 0.0), merge_moments);
    if n < 2.0 { f64::NAN } else { (m2 / (n - 1.0)).max(0.0).sqrt() }
}

fn merge_moments(a: (f64, f64, f64), b: (f64, f64, f64)) -> (f64, f64, f64) {
    let n = a.0 + b.0;
    if b.0 == 0.0 {
        return a;
    }
    let delta = b.1 - a.1;
    (n, a.1 + delta * b.0 / n, a.2 + b.2 + delta * delta * a.0 * b.0 / n)
}
