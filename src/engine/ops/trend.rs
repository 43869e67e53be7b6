//! Lines by least squares, and rates between two points.

use super::window::{bucket, count_one, live, numbers, tally, width};
use super::{Op, micros, num, seconds, time, word};
use crate::rules::{Family, Read};

/// `time_to` needs so many samples …
const TIME_TO_SAMPLES: f64 = 5.0;
/// … and a line that fits so well.
const TIME_TO_R2: f64 = 0.5;

/// Adds to the means, deviations and co-deviation of time (from the start of the bucket) and value.
pub(super) fn line(bucket: &mut [u64], value: f64, at: i64, window: i64) {
    let n = tally(bucket[5]).0;
    let t = seconds(at.rem_euclid(width(window)));
    let (dt, dm) = (t - num(bucket[0]), value - num(bucket[1]));
    let (mt, mm) = (num(bucket[0]) + dt / (n + 1.0), num(bucket[1]) + dm / (n + 1.0));
    bucket[2] = (num(bucket[2]) + dt * (t - mt)).to_bits();
    bucket[3] = (num(bucket[3]) + dt * (value - mm)).to_bits();
    bucket[4] = (num(bucket[4]) + dm * (value - mm)).to_bits();
    bucket[0] = mt.to_bits();
    bucket[1] = mm.to_bits();
    count_one(&mut bucket[5]);
}

/// Keeps the first sample of each bucket, and the newest of all in the head.
pub(super) fn rate(op: Op<'_>, words: &mut [u64], value: f64, at: i64) {
    words[1] = word(at.max(time(words[1])));
    words[2] = value.to_bits();
    if let Some(bucket) = bucket(Family::Rate, words, at, op.window)
        && bucket[0] == 0
    {
        bucket[0] = word(at);
        bucket[1] = value.to_bits();
    }
}

/// The two ends of the window and what lies between them. All but the newest need half of the window between the two.
pub(super) fn read_ends(read: Read, words: &[u64], now: i64, window: i64) -> f64 {
    let (newest, value) = (time(words[1]), num(words[2]));
    if newest == 0 || now - newest > window {
        return f64::NAN;
    }
    let oldest = live(Family::Rate, words, now, window).find(|b| b[0] != 0);
    match oldest {
        _ if read == Read::Newest => value,
        Some(b) if (newest - time(b[0])) * 2 >= window => match read {
            Read::First => num(b[1]),
            Read::Delta => value - num(b[1]),
            _ => (value - num(b[1])) / seconds(newest - time(b[0])),
        },
        _ => f64::NAN,
    }
}

/// Mean time and value of each bucket that holds samples, oldest first.
pub(super) fn course(words: &[u64], now: i64, window: i64) -> Vec<(i64, f64)> {
    let buckets = numbers(words, now, window).zip(live(Family::Trend, words, now, window));
    let held = buckets.filter(|(_, b)| tally(b[5]).0 > 0.0);
    held.map(|(number, b)| (number * width(window) + micros(num(b[0])), num(b[1]))).collect()
}

/// What a line through the window says; times in seconds from the start of the newest bucket.
pub(super) fn read_line(read: Read, words: &[u64], now: i64, window: i64, limit: f64) -> f64 {
    let (mut n, mut mt, mut mm, mut stt, mut stm, mut smm) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let newest = time(words[0]);
    let mut first = 0.0;
    for (number, b) in numbers(words, now, window).zip(live(Family::Trend, words, now, window)) {
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
