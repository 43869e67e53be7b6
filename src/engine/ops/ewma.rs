//! The running mean with a time constant.

use super::{num, seconds, time, word};

/// Words: mean, time, samples (up to 2).
pub(super) fn update(words: &mut [u64], value: f64, at: i64, tau: i64) {
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

pub(super) fn read(words: &[u64]) -> f64 {
    if words[2] == 2 { num(words[0]) } else { f64::NAN }
}
