//! How far a value goes by chance: a threshold for the tail of its distribution, by peaks over a threshold (SPOT).
//!
//! The first 256 samples, and as many as the calibration lasts, only calibrate: the 24 largest of them are kept, the
//! smallest of these is the start `t` of the tail, the others are peaks. After that each sample above `t` is a peak
//! more, unless it lies beyond the threshold for a hundredth of `q`: what breaks down does not widen what is usual (to
//! leave out all above the threshold itself would make the tail too short). The excesses over `t` are taken for a
//! generalised Pareto distribution, fitted by its moments (mean `m`, variance `v`):
//!
//! ```text
//! gamma = (1 - m^2 / v) / 2     sigma = m (1 + m^2 / v) / 2
//! threshold = t + sigma / gamma * ((q n / peaks)^-gamma - 1)      exceeded by a share q of all samples
//! ```
//! Constant: `q`. Words: samples, time of the first, peaks, `t`, mean and summed squared deviation of the excesses, then
//! the largest of the calibration, ascending.

use super::{Op, num, time, word};
use crate::rules::PEAKS;

/// Samples that calibrate.
const CALIBRATION: u64 = 256;
const HEAD: usize = 6;

pub(super) fn update(op: Op<'_>, words: &mut [u64], value: f64, at: i64) {
    if words[0] == 0 {
        words[1] = word(at);
    }
    if words[2] > 0 {
        let limit = threshold(words, op.arg(0) / 100.0);
        if !limit.is_nan() && value > limit {
            return;
        }
        words[0] += 1;
        if value > num(words[3]) {
            peak(words, value);
        }
        return;
    }
    words[0] += 1;
    let seen = usize::try_from(words[0]).unwrap_or(usize::MAX);
    let kept = seen.min(PEAKS);
    let largest = &mut words[HEAD..HEAD + PEAKS];
    if seen <= PEAKS {
        largest[kept - 1] = value.to_bits();
    } else if value > num(largest[0]) {
        largest[0] = value.to_bits();
    }
    largest[..kept].sort_unstable_by(|a, b| num(*a).total_cmp(&num(*b)));
    if words[0] >= CALIBRATION && at - time(words[1]) >= op.window {
        words[3] = words[HEAD];
        for place in 1..PEAKS {
            peak(words, num(words[HEAD + place]));
        }
    }
}

fn peak(words: &mut [u64], value: f64) {
    words[2] += 1;
    let excess = value - num(words[3]);
    let delta = excess - num(words[4]);
    let mean = num(words[4]) + delta / count(words[2]);
    words[5] = (num(words[5]) + delta * (excess - mean)).to_bits();
    words[4] = mean.to_bits();
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(word: u64) -> f64 {
    word as f64
}

/// The threshold; unknown while calibrating, and while all peaks are the same.
pub(super) fn read(op: Op<'_>, words: &[u64]) -> f64 {
    threshold(words, op.arg(0))
}

fn threshold(words: &[u64], q: f64) -> f64 {
    let peaks = count(words[2]);
    let (mean, variance) = (num(words[4]), num(words[5]) / peaks);
    if words[2] == 0 || variance.is_nan() || variance <= 0.0 {
        return f64::NAN;
    }
    num(words[3]) + beyond(mean, variance, q * count(words[0]) / peaks)
}

/// What an excess with this mean and variance exceeds with probability `p`.
fn beyond(mean: f64, variance: f64, p: f64) -> f64 {
    let share = mean * mean / variance;
    let (gamma, sigma) = ((1.0 - share) / 2.0, mean * (1.0 + share) / 2.0);
    if p >= 1.0 {
        0.0
    } else if gamma.abs() < 1e-9 {
        -sigma * p.ln()
    } else {
        sigma / gamma * (p.powf(-gamma) - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::beyond;

    #[test]
    fn the_tail_is_that_of_the_generalised_pareto_distribution() {
        // Python: c = 0.5 * (1 - m * m / v); s = 0.5 * m * (1 + m * m / v); s / c * (p ** -c - 1), for c = 0 -s * log(p)
        for (mean, variance, p, excess) in [
            (1.0, 1.0, 0.01, 4.605_170_185_988_091),
            (1.0, 1.0 / 3.0, 0.01, 1.98),
            (2.0, 6.0, 0.05, 6.475_489_724_420_656),
        ] {
            let found = beyond(mean, variance, p);
            assert!((found - excess).abs() < 1e-6, "{mean} {variance} {p}: {found}");
        }
        assert!(beyond(1.0, 1.0, 1.5).abs() < f64::EPSILON);
    }
}
