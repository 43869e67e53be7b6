//! What is usual for a device, learned by operating regime.
//!
//! A sample is learned when the next one comes. So the newest is judged by what was before it, and the one that makes
//! a rule fire is not learned: by then the rule fires. Each sample covers the time to the next, for at most three
//! report intervals; the sum of that is the clock of the baseline. In a regime:
//!
//! ```text
//! the first 8   centre = median, scale = 1.4826 * median of |x - centre|
//! then          w = max(8, w * exp(-time since the regime's sample before / tau)) + 1
//!               d = x - centre, held within 1.5 scales (all of it while the scale is 0)
//!               centre += d / w          scale^2 += (d^2 / 0.7785 - scale^2) / w
//! ```
//! That is Huber's estimate of both (0.7785 is what a normal distribution so held keeps of its variance): one sample
//! moves the centre by at most 1.5 scales / w, and a tenth of wild samples the scale by a fifth. With `robust = false`
//! nothing is held back and mean and standard deviation take the place of the medians. However old, what is known of a
//! regime counts as 8 samples. Several signals together ([`super::distance`]) are kept as means and covariances.
//!
//! With a prior, own centre and variance count for `a = data / (data + min)` and the fleet's for `1 - a`, `data` being
//! the time from the first to the newest sample of the regime.
//!
//! Words: time and regime of the newest sample, clock, the sample; then the regimes: clock at the first and the newest
//! sample learned, regime, samples, estimate. When all are taken, the one unused for longest is forgotten.

use super::{Op, distance, num, seconds, time, word};
use crate::rules::{Amount, Baseline, FleetBin};

/// So many first samples are kept as they are.
const FIRST: usize = Baseline::FIRST_SAMPLES;
/// The same as a weight.
const WEIGHT: f64 = 8.0;
/// Influence ends so many scales from the centre.
const REACH: f64 = 1.5;
/// Mean square of a standard normal variable held within [`REACH`].
const KEPT: f64 = 0.778_465_2;
/// The median absolute deviation of a normal distribution times this is its standard deviation.
const MAD: f64 = 1.482_602_218_505_602;

/// Takes in the newest sample (its values and its regime) and learns the one before, unless `frozen`.
pub(super) fn update(op: Op<'_>, words: &mut [u64], inputs: &[f64], at: i64) {
    let Some(b) = op.spec.baseline.as_deref() else { return };
    let Some((regime, values)) = inputs.split_last() else { return };
    if values.iter().any(|v| v.is_nan()) {
        return;
    }
    let (head, bins) = words[..b.words()].split_at_mut(b.head());
    let before = time(head[0]);
    if before != 0 && !op.frozen {
        let mut held = [0.0; Baseline::MAX_OF];
        let held = &mut held[..b.of.len()];
        held.iter_mut().zip(&head[3..]).for_each(|(v, w)| *v = num(*w));
        let covered = (at - before).clamp(0, op.spec.covers);
        let regime = head[1];
        learn(b, &mut head[2], bins, regime, held, covered);
    }
    head[0] = word(at.max(before));
    head[1] = regime.to_bits();
    head[3..].iter_mut().zip(values).for_each(|(w, v)| *w = v.to_bits());
}

/// Learns a sample that came too late to be judged (T3) or from the past (T4); it covers one report.
pub(super) fn update_late(op: Op<'_>, words: &mut [u64], inputs: &[f64]) {
    let (Some(b), Some((regime, values))) = (op.spec.baseline.as_deref(), inputs.split_last()) else { return };
    if !op.frozen && values.iter().all(|v| !v.is_nan()) {
        let covered = if op.spec.covers == i64::MAX { 0 } else { op.spec.covers / 3 };
        let (head, bins) = words[..b.words()].split_at_mut(b.head());
        learn(b, &mut head[2], bins, regime.to_bits(), values, covered);
    }
}

fn learn(b: &Baseline, clock: &mut u64, bins: &mut [u64], regime: u64, values: &[f64], covered: i64) {
    let Some(own) = b.own().filter(|_| time(*clock) < b.learn) else { return };
    let bin = bin_for(b, bins, regime);
    if bin[3] == 0 {
        bin[0] = *clock;
        bin[1] = *clock;
    }
    *clock = word(time(*clock).saturating_add(covered));
    let age = time(*clock) - time(bin[1]);
    let decay = if own.tau == i64::MAX { 1.0 } else { (-seconds(age) / seconds(own.tau)).exp() };
    bin[1] = *clock;
    bin[3] += 1;
    let (n, estimate) = (bin[3], &mut bin[Baseline::BIN_HEAD..]);
    match values {
        [value] => learn_one(estimate, n, *value, decay, b.robust),
        _ => distance::learn(estimate, n, values, decay, b.robust),
    }
}

/// The words of a regime; a new one takes a free place or that of the one unused for longest.
fn bin_for<'a>(b: &Baseline, bins: &'a mut [u64], regime: u64) -> &'a mut [u64] {
    let found = bins.chunks_exact(b.bin()).position(|bin| bin[3] != 0 && bin[2] == regime);
    let place = found.unwrap_or_else(|| {
        let age = |bin: &[u64]| if bin[3] == 0 { i64::MIN } else { time(bin[1]) };
        let oldest = bins.chunks_exact(b.bin()).enumerate().min_by_key(|(ix, bin)| (age(bin), *ix));
        oldest.map_or(0, |(ix, _)| ix)
    });
    let bin = &mut bins[place * b.bin()..][..b.bin()];
    if found.is_none() {
        bin.fill(0);
        bin[2] = regime;
    }
    bin
}

/// Estimate: the first samples as they are, then centre, scale squared, weight.
fn learn_one(estimate: &mut [u64], n: u64, value: f64, decay: f64, robust: bool) {
    let first = usize::try_from(n).unwrap_or(usize::MAX);
    if first <= FIRST {
        estimate[first - 1] = value.to_bits();
        if first == FIRST {
            let mut values = [0.0; FIRST];
            values.iter_mut().zip(estimate.iter()).for_each(|(v, w)| *v = num(*w));
            let (centre, square) = if robust { medians(&mut values) } else { moments(&values) };
            estimate[0] = centre.to_bits();
            estimate[1] = square.to_bits();
            estimate[2] = WEIGHT.to_bits();
        }
        return;
    }
    let (centre, square) = (num(estimate[0]), num(estimate[1]));
    let weight = (num(estimate[2]) * decay).max(WEIGHT) + 1.0;
    let (reach, kept) = if robust && square > 0.0 { (REACH * square.sqrt(), KEPT) } else { (f64::INFINITY, 1.0) };
    let d = (value - centre).clamp(-reach, reach);
    estimate[0] = (centre + d / weight).to_bits();
    // Without a limit that is the variance of all samples: d is from the centre before, so it counts a little less.
    let own = if robust { 1.0 } else { 1.0 - 1.0 / weight };
    estimate[1] = (square + (own * d * d / kept - square) / weight).to_bits();
    estimate[2] = weight.to_bits();
}

/// Median, and scaled median absolute deviation squared.
fn medians(values: &mut [f64; FIRST]) -> (f64, f64) {
    let middle = |v: &mut [f64; FIRST]| {
        v.sort_unstable_by(f64::total_cmp);
        f64::midpoint(v[FIRST / 2 - 1], v[FIRST / 2])
    };
    let centre = middle(values);
    values.iter_mut().for_each(|v| *v = (*v - centre).abs());
    let scale = MAD * middle(values);
    (centre, scale * scale)
}

/// Mean and variance.
fn moments(values: &[f64; FIRST]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / WEIGHT;
    (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / WEIGHT)
}

/// What is known of a regime: the device's own words if it has enough data, how much they count, and the fleet's.
struct Known<'a> {
    own: Option<&'a [u64]>,
    /// From 0, the fleet alone, to 1, the device alone.
    share: f64,
    fleet: Option<&'a FleetBin>,
}

fn known<'a>(b: &'a Baseline, words: &'a [u64], regime: f64) -> Known<'a> {
    let key = regime.to_bits();
    let fleet = b.fleet().and_then(|f| f.bins.get(&key));
    let mut bins = words[b.head()..b.words()].chunks_exact(b.bin());
    let enough = |bin: &&[u64]| bin[2] == key && bin[3] >= Baseline::fewest_of(b.of.len());
    let (Some(bin), Some(own)) = (bins.find(enough), b.own()) else { return Known { own: None, share: 0.0, fleet } };
    let (data, estimate) = (time(bin[1]) - time(bin[0]), &bin[Baseline::BIN_HEAD..]);
    if fleet.is_none() {
        let enough = match own.min {
            Amount::Data(min) => data >= min,
            Amount::Samples(min) => bin[3] >= min,
        };
        return Known { own: enough.then_some(estimate), share: 1.0, fleet };
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of samples")]
    let share = match own.min {
        Amount::Data(min) => seconds(data) / seconds(data.saturating_add(min)).max(f64::MIN_POSITIVE),
        Amount::Samples(min) => bin[3] as f64 / bin[3].saturating_add(min) as f64,
    };
    Known { own: Some(estimate), share, fleet }
}

/// Centre and scale of the regime; `None` while they are not known.
fn usual(op: Op<'_>, words: &[u64], regime: f64) -> Option<(f64, f64)> {
    let known = known(op.spec.baseline.as_deref()?, words, regime);
    let own = known.own.map(|w| (num(w[0]), num(w[1])));
    let fleet = known.fleet.map(|f| (f.centre[0], f.spread[0] * f.spread[0]));
    let (centre, square) = match (own, fleet) {
        (Some(own), Some(fleet)) => {
            (fleet.0 + known.share * (own.0 - fleet.0), fleet.1 + known.share * (own.1 - fleet.1))
        }
        (one, other) => one.or(other)?,
    };
    Some((centre, square.max(0.0).sqrt().max(op.arg(0))))
}

/// How far a baseline is, for people.
pub(in crate::engine) struct Learned {
    /// Regimes that the device has samples in.
    pub(in crate::engine) regimes: usize,
    /// From the first to the newest of its samples in the regime at hand, in microseconds.
    pub(in crate::engine) data: i64,
    pub(in crate::engine) samples: u64,
    /// Of data in all regimes, in microseconds.
    pub(in crate::engine) clock: i64,
    /// How much the device's own data counts, from 0 to 1.
    pub(in crate::engine) share: f64,
    /// Samples of the fleet in the regime, if it has been seen there.
    pub(in crate::engine) fleet: Option<u64>,
    /// Centre and scale of the one value that the baseline is of.
    pub(in crate::engine) usual: Option<(f64, f64)>,
}

/// How far a baseline is in a regime.
pub(in crate::engine) fn learned(op: Op<'_>, b: &Baseline, words: &[u64], regime: f64) -> Learned {
    let known = known(b, words, regime);
    let bins = || words[b.head()..b.words()].chunks_exact(b.bin()).filter(|bin| bin[3] != 0);
    let here = bins().find(|bin| bin[2] == regime.to_bits());
    Learned {
        regimes: bins().count(),
        data: here.map_or(0, |bin| time(bin[1]) - time(bin[0])),
        samples: here.map_or(0, |bin| bin[3]),
        clock: time(words[2]),
        share: known.share,
        fleet: known.fleet.map(|f| f.n),
        usual: (b.of.len() == 1).then(|| usual(op, words, regime)).flatten(),
    }
}

/// How many scales `value` lies above the centre.
pub(super) fn z(op: Op<'_>, words: &[u64], value: f64, regime: f64) -> f64 {
    usual(op, words, regime).map_or(f64::NAN, |(centre, scale)| (value - centre) / scale)
}

pub(super) fn centre(op: Op<'_>, words: &[u64], regime: f64) -> f64 {
    usual(op, words, regime).map_or(f64::NAN, |u| u.0)
}

pub(super) fn scale(op: Op<'_>, words: &[u64], regime: f64) -> f64 {
    usual(op, words, regime).map_or(f64::NAN, |u| u.1)
}

/// Hotelling's T² of `values` in the regime.
pub(super) fn t2(op: Op<'_>, words: &[u64], values: &[f64], regime: f64) -> f64 {
    let Some(b) = op.spec.baseline.as_deref() else { return f64::NAN };
    if regime.is_nan() || values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let known = known(b, words, regime);
    distance::squared(values, known.own, known.share, known.fleet, b.correlated)
}
