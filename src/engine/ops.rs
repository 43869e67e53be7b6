//! Streaming operators: bounded state in the words of a device's row, updated by one sample at a time.
//!
//! A window of `w` is cut into 20 buckets aligned to multiples of `w/20`; the bucket that holds *now* is partial, so a
//! window reaches back between 95 % and 100 % of `w`, and never further. What a bucket keeps is exact for all its
//! samples; `rate` takes the first sample of the oldest bucket as its far point. A late sample (T3) is added to its
//! bucket if that is still open. Windows are unknown with fewer than 2 samples or less than half of `w` covered (V5):
//! a sample covers the time since the one before, but no more than `max_gap` or one bucket, whichever is longer.
//!
//! Zero words are an operator that has seen nothing; a time of 0 means none.

use crate::rules::{BUCKETS, Family, OpSpec, Read};

/// `time_to` needs so many samples …
const TIME_TO_SAMPLES: f64 = 5.0;
/// … and a line that fits so well.
const TIME_TO_R2: f64 = 0.5;

#[expect(clippy::cast_possible_wrap, reason = "a time stored as its bits")]
pub(super) fn time(word: u64) -> i64 {
    word as i64
}

#[expect(clippy::cast_sign_loss, reason = "a time stored as its bits")]
pub(super) fn word(time: i64) -> u64 {
    time as u64
}

/// Seconds as microseconds; saturates.
#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate")]
pub(super) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^53 microseconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn num(word: u64) -> f64 {
    f64::from_bits(word)
}

fn width(window: i64) -> i64 {
    (window / BUCKETS_I).max(1)
}

#[expect(clippy::cast_possible_wrap, reason = "20")]
const BUCKETS_I: i64 = BUCKETS as i64;

/// Works in a sample of an operator's input. `words` starts at the operator's own; unknown samples are not given.
pub(super) fn update(op: &OpSpec, words: &mut [u64], value: f64, at: i64, window: i64) {
    match op.family {
        Family::Held => held(words, value, at),
        Family::Last => last(words, value, at),
        Family::Ewma => ewma(words, value, at, window),
        _ if window <= 0 => {}
        family => {
            let before = time(words[1]);
            let gap = if before == 0 { 0 } else { (at - before).clamp(0, op.covers.max(width(window))) };
            let rose = family == Family::Rises && words[2] == 1 && value == 1.0;
            if family == Family::Rises {
                words[2] = if value == 1.0 { 2 } else { 1 };
            }
            if family == Family::Rate {
                words[2] = value.to_bits();
            }
            words[1] = word(at.max(before));
            if let Some(bucket) = bucket(family, words, at, window) {
                add(family, bucket, value, at, window, rose);
                cover(family, bucket, gap);
            }
        }
    }
}

/// Works a late sample into its bucket, if that is still open and the order of samples does not matter to it (T3). It
/// covers its bucket: what lay between it and its neighbours can no longer be told.
pub(super) fn update_late(op: &OpSpec, words: &mut [u64], value: f64, at: i64, window: i64) {
    let any_order = matches!(op.family, Family::Sum | Family::Min | Family::Max | Family::Moments | Family::Trend);
    if any_order
        && window > 0
        && let Some(bucket) = bucket(op.family, words, at, window)
    {
        add(op.family, bucket, value, at, window, false);
        let already = bucket.last().map_or(0, |w| tally(*w).1) * 1_000;
        cover(op.family, bucket, (width(window) - already).max(0));
    }
}

/// The bucket of `at`, opened if it is newer than all others, `None` if it is closed.
fn bucket(family: Family, words: &mut [u64], at: i64, window: i64) -> Option<&mut [u64]> {
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
fn tally(word: u64) -> (f64, i64) {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    let (n, ms) = (word as u32, (word >> 32) as u32);
    (f64::from(n), i64::from(ms))
}

fn count_one(word: &mut u64) {
    if *word & 0xffff_ffff != 0xffff_ffff {
        *word += 1;
    }
}

fn cover(family: Family, bucket: &mut [u64], gap: i64) {
    if family == Family::Rate {
        return;
    }
    if let Some(last) = bucket.last_mut() {
        let (_, ms) = tally(*last);
        let ms = u32::try_from(ms + gap / 1_000).unwrap_or(u32::MAX);
        *last = (*last & 0xffff_ffff) | (u64::from(ms) << 32);
    }
}

fn add(family: Family, bucket: &mut [u64], value: f64, at: i64, window: i64, rose: bool) {
    let n = bucket.last().map_or(0.0, |w| tally(*w).0);
    match family {
        Family::Sum => bucket[0] = (num(bucket[0]) + value).to_bits(),
        Family::Min => bucket[0] = if n == 0.0 { value } else { num(bucket[0]).min(value) }.to_bits(),
        Family::Max => bucket[0] = if n == 0.0 { value } else { num(bucket[0]).max(value) }.to_bits(),
        Family::Moments => {
            let delta = value - num(bucket[0]);
            let mean = num(bucket[0]) + delta / (n + 1.0);
            bucket[1] = (num(bucket[1]) + delta * (value - mean)).to_bits();
            bucket[0] = mean.to_bits();
        }
        Family::Trend => {
            let t = seconds(at.rem_euclid(width(window)));
            let (dt, dm) = (t - num(bucket[0]), value - num(bucket[1]));
            let (mt, mm) = (num(bucket[0]) + dt / (n + 1.0), num(bucket[1]) + dm / (n + 1.0));
            bucket[2] = (num(bucket[2]) + dt * (t - mt)).to_bits();
            bucket[3] = (num(bucket[3]) + dt * (value - mm)).to_bits();
            bucket[4] = (num(bucket[4]) + dm * (value - mm)).to_bits();
            bucket[0] = mt.to_bits();
            bucket[1] = mm.to_bits();
        }
        Family::Rate => {
            if bucket[0] == 0 {
                bucket[0] = word(at);
                bucket[1] = value.to_bits();
            }
            return;
        }
        Family::Rises => {
            if rose {
                count_one(&mut bucket[0]);
            }
            return;
        }
        Family::Held | Family::Last | Family::Ewma => return,
    }
    if let Some(last) = bucket.last_mut() {
        count_one(last);
    }
}

fn held(words: &mut [u64], value: f64, at: i64) {
    if value != 1.0 {
        words[0] = 0;
        words[1] = 1;
    } else if words[1] != 2 {
        words[0] = word(at);
        words[1] = 2;
    }
}

/// Value, time, value before, and how many were seen (up to 2).
fn last(words: &mut [u64], value: f64, at: i64) {
    words[2] = words[0];
    words[0] = value.to_bits();
    words[1] = word(at);
    words[3] = (words[3] + 1).min(2);
}

/// Mean, time, samples (up to 2).
fn ewma(words: &mut [u64], value: f64, at: i64, tau: i64) {
    let before = time(words[1]);
    let mean = if words[2] == 0 || tau <= 0 {
        value
    } else {
        let weight = -(-seconds((at - before).max(0)) / seconds(tau)).exp_m1();
        num(words[0]) + weight * (value - num(words[0]))
    };
    words[0] = mean.to_bits();
    words[1] = word(at.max(before));
    words[2] = (words[2] + 1).min(2);
}

/// What the operator says at `now`; NaN for unknown. `limit` is for `time_to` only.
pub(super) fn read(read: Read, op: &OpSpec, words: &[u64], now: i64, window: i64, limit: f64) -> f64 {
    match read {
        Read::Held => match words[1] {
            0 => f64::NAN,
            2 => seconds((now - time(words[0])).max(0)),
            _ => 0.0,
        },
        Read::Prev if words[3] == 2 => num(words[2]),
        Read::Changed if words[3] == 2 => f64::from(u8::from(time(words[1]) == now && num(words[0]) != num(words[2]))),
        Read::Prev | Read::Changed => f64::NAN,
        Read::Ewma => {
            if words[2] == 2 {
                num(words[0])
            } else {
                f64::NAN
            }
        }
        _ if window <= 0 => f64::NAN,
        Read::Rate => rate(words, now, window),
        Read::Count => live(op.family, words, now, window).map(|b| tally(b[1]).0).sum(),
        _ if !covered(op, words, now, window) => f64::NAN,
        Read::Rises => live(op.family, words, now, window).map(|b| tally(b[0]).0).sum(),
        Read::Sum | Read::Avg => {
            let (sum, n) = live(op.family, words, now, window)
                .fold((0.0, 0.0), |(sum, n), b| (sum + num(b[0]), n + tally(b[1]).0));
            if n < 2.0 {
                f64::NAN
            } else if read == Read::Avg {
                sum / n
            } else {
                sum
            }
        }
        Read::Min | Read::Max => extreme(read == Read::Min, op.family, words, now, window),
        Read::Stddev => {
            let (n, _, m2) = live(op.family, words, now, window)
                .map(|b| (tally(b[2]).0, num(b[0]), num(b[1])))
                .fold((0.0, 0.0, 0.0), merge_moments);
            if n < 2.0 { f64::NAN } else { (m2 / (n - 1.0)).max(0.0).sqrt() }
        }
        Read::Slope | Read::R2 | Read::TimeTo => trend(read, words, now, window, limit),
    }
}

/// The buckets that are in the window at `now`, oldest first.
fn live(family: Family, words: &[u64], now: i64, window: i64) -> impl Iterator<Item = &[u64]> {
    numbers(words, now, window).map(move |n| bucket_of(family, words, n))
}

fn numbers(words: &[u64], now: i64, window: i64) -> std::ops::RangeInclusive<i64> {
    let newest = time(words[0]);
    // An operator that has seen nothing has its newest bucket decades ago: the range is empty.
    let current = now.div_euclid(width(window)).max(newest);
    current - BUCKETS_I + 1..=newest
}

fn bucket_of(family: Family, words: &[u64], number: i64) -> &[u64] {
    let start = family.head() + slot_of(number) * family.bucket();
    &words[start..start + family.bucket()]
}

/// Whether samples cover at least half of the window (V5).
fn covered(op: &OpSpec, words: &[u64], now: i64, window: i64) -> bool {
    let newest = time(words[1]);
    if newest == 0 {
        return false;
    }
    let since = (now - newest).clamp(0, op.covers.max(width(window))) / 1_000;
    let sum: i64 = live(op.family, words, now, window).filter_map(|b| b.last().map(|w| tally(*w).1)).sum();
    (since + sum) * 2 >= window / 1_000
}

fn extreme(lowest: bool, family: Family, words: &[u64], now: i64, window: i64) -> f64 {
    let (mut n, mut best) = (0.0, f64::NAN);
    for bucket in live(family, words, now, window) {
        let (count, value) = (tally(bucket[1]).0, num(bucket[0]));
        if count > 0.0 {
            n += count;
            // `f64::min` and `max` prefer a number to NaN.
            best = if lowest { best.min(value) } else { best.max(value) };
        }
    }
    if n < 2.0 { f64::NAN } else { best }
}

fn merge_moments(a: (f64, f64, f64), b: (f64, f64, f64)) -> (f64, f64, f64) {
    let n = a.0 + b.0;
    if b.0 == 0.0 {
        return a;
    }
    let delta = b.1 - a.1;
    (n, a.1 + delta * b.0 / n, a.2 + b.2 + delta * delta * a.0 * b.0 / n)
}

/// Newest minus oldest in the window, per second. Needs half of the window between them.
fn rate(words: &[u64], now: i64, window: i64) -> f64 {
    let (newest, value) = (time(words[1]), num(words[2]));
    let oldest = live(Family::Rate, words, now, window).find(|b| b[0] != 0);
    match oldest {
        Some(b) if (newest - time(b[0])) * 2 >= window && now - newest <= window => {
            (value - num(b[1])) / seconds(newest - time(b[0]))
        }
        _ => f64::NAN,
    }
}

/// A line by least squares; times in seconds from the start of the newest bucket.
fn trend(read: Read, words: &[u64], now: i64, window: i64, limit: f64) -> f64 {
    let (mut n, mut mt, mut mm, mut stt, mut stm, mut smm) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let newest = time(words[0]);
    let mut first = 0.0;
    for number in numbers(words, now, window) {
        let b = bucket_of(Family::Trend, words, number);
        let (count, _) = tally(b[5]);
        if count == 0.0 {
            continue;
        }
        let (t, m) = (num(b[0]) + seconds((number - newest) * width(window)), num(b[1]));
        if n == 0.0 {
            first = t;
        }
        let total = n + count;
        let (dt, dm, weight) = (t - mt, m - mm, n * count / total);
        stt += num(b[2]) + dt * dt * weight;
        stm += num(b[3]) + dt * dm * weight;
        smm += num(b[4]) + dm * dm * weight;
        mt += dt * count / total;
        mm += dm * count / total;
        n = total;
    }
    if n < 2.0 || stt <= 0.0 {
        return f64::NAN;
    }
    let slope = stm / stt;
    let fit = if smm > 0.0 { (stm * stm) / (stt * smm) } else { 1.0 };
    match read {
        Read::Slope => slope,
        Read::R2 => fit,
        _ if n < TIME_TO_SAMPLES || fit < TIME_TO_R2 || slope == 0.0 => f64::NAN,
        _ => {
            let here = mm + slope * (seconds(now - newest * width(window)) - mt);
            let start = mm + slope * (first - mt);
            let left = (limit - here) / slope;
            // Passed within the window: there is no time left. Otherwise behind us means moving away.
            let passed = (limit - start) / slope >= 0.0;
            if left >= 0.0 {
                left
            } else if passed {
                0.0
            } else {
                f64::NAN
            }
        }
    }
}
