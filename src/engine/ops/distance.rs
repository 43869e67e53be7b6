//! Mean and covariance of several signals, and how far a point lies from them.
//!
//! Estimate: weight, means, and the lower triangle of the covariance by rows. The first `2p + 4` samples of `p` signals
//! count in full; after them a sample at a distance beyond what is usual (`T² > p + 3 sqrt(2p)`) counts as if it stood
//! at that border. Correlations are shrunk by `p / (p + weight)`, at least by a thousandth, so that the distance is
//! defined for few samples and for signals that say the same.

use super::num;
use crate::rules::{Baseline, FleetBin};

const MAX: usize = Baseline::MAX_OF;
const TRIANGLE: usize = MAX * (MAX + 1) / 2;
/// Correlations are shrunk by at least so much.
const SHRINK: f64 = 1e-3;

/// Place of row `i`, column `j <= i` in a lower triangle.
const fn at(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

#[expect(clippy::cast_precision_loss, reason = "at most 12")]
fn border(p: usize) -> f64 {
    let p = p as f64;
    p + 3.0 * (2.0 * p).sqrt()
}

/// Learns one more sample, the `n`th.
pub(super) fn learn(estimate: &mut [u64], n: u64, values: &[f64], decay: f64, robust: bool) {
    let p = values.len();
    #[expect(clippy::cast_precision_loss, reason = "at most 28")]
    let least = Baseline::fewest_of(p).min(n - 1) as f64;
    let weight = (num(estimate[0]) * decay).max(least) + 1.0;
    let mut d = [0.0; MAX];
    (0..p).for_each(|i| d[i] = values[i] - num(estimate[1 + i]));
    if robust && n > Baseline::fewest_of(p) {
        let far = squared(values, Some(&*estimate), 1.0, None, true);
        if far > border(p) {
            d.iter_mut().for_each(|v| *v *= (border(p) / far).sqrt());
        }
    }
    estimate[0] = weight.to_bits();
    for i in 0..p {
        estimate[1 + i] = (num(estimate[1 + i]) + d[i] / weight).to_bits();
        for j in 0..=i {
            let cell = &mut estimate[1 + p + at(i, j)];
            *cell = ((1.0 - 1.0 / weight) * (num(*cell) + d[i] * d[j] / weight)).to_bits();
        }
    }
}

/// Hotelling's T²: the squared distance in units of the covariance. `share` is how much the own estimate counts beside
/// the fleet's. A signal that has never changed says nothing while it stays, and leaves the distance unknown when it
/// does not.
pub(super) fn squared(
    values: &[f64],
    own: Option<&[u64]>,
    share: f64,
    fleet: Option<&FleetBin>,
    correlated: bool,
) -> f64 {
    let p = values.len();
    let Some((mean, cov, weight)) = blend(p, own, share, fleet) else { return f64::NAN };
    let Some(d) = standard(values, &mean, &cov) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "at most 12")]
    let keep = if correlated { 1.0 - (p as f64 / (p as f64 + weight)).max(SHRINK) } else { 0.0 };
    // Cholesky of the shrunk correlations, and the forward substitution of d along with it.
    let mut l = [0.0; TRIANGLE];
    let mut y = [0.0; MAX];
    let mut sum = 0.0;
    for i in 0..p {
        let mut rest = d[i];
        let mut pivot = 1.0;
        for j in 0..i {
            let sds = (cov[at(i, i)] * cov[at(j, j)]).sqrt();
            let mut r = if sds > 0.0 { keep * cov[at(i, j)] / sds } else { 0.0 };
            (0..j).for_each(|k| r -= l[at(i, k)] * l[at(j, k)]);
            l[at(i, j)] = r / l[at(j, j)];
            pivot -= l[at(i, j)] * l[at(i, j)];
            rest -= l[at(i, j)] * y[j];
        }
        l[at(i, i)] = pivot.max(SHRINK * SHRINK).sqrt();
        y[i] = rest / l[at(i, i)];
        sum += y[i] * y[i];
    }
    sum
}

type Estimate = ([f64; MAX], [f64; TRIANGLE], f64);

/// The estimate to use: own, fleet's, or both by their share.
fn blend(p: usize, own: Option<&[u64]>, share: f64, fleet: Option<&FleetBin>) -> Option<Estimate> {
    let (mut mean, mut cov) = ([0.0; MAX], [0.0; TRIANGLE]);
    let cells = p * (p + 1) / 2;
    let share = match (own, fleet) {
        (None, None) => return None,
        (Some(_), None) => 1.0,
        (None, Some(_)) => 0.0,
        (Some(_), Some(_)) => share,
    };
    let mut weight = 0.0;
    if let Some(words) = own {
        weight += share * num(words[0]);
        (0..p).for_each(|i| mean[i] += share * num(words[1 + i]));
        (0..cells).for_each(|c| cov[c] += share * num(words[1 + p + c]));
    }
    if let Some(fleet) = fleet {
        #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
        let n = fleet.n as f64;
        weight += (1.0 - share) * n;
        (0..p).for_each(|i| mean[i] += (1.0 - share) * fleet.centre[i]);
        (0..cells).for_each(|c| cov[c] += (1.0 - share) * fleet.spread[c]);
    }
    Some((mean, cov, weight))
}

/// Distances in standard deviations, signal by signal.
fn standard(values: &[f64], mean: &[f64; MAX], cov: &[f64; TRIANGLE]) -> Option<[f64; MAX]> {
    let mut d = [0.0; MAX];
    for (i, value) in values.iter().enumerate() {
        let (off, sd) = (value - mean[i], cov[at(i, i)].max(0.0).sqrt());
        d[i] = match (off == 0.0, sd > 0.0) {
            (true, _) => 0.0,
            (false, true) => off / sd,
            (false, false) => return None,
        };
    }
    Some(d)
}
