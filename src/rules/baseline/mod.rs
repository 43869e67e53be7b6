//! `[rule.baseline.NAME]`: what is usual for a device, by operating regime.
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `of` | what is learned: an expression, or a list of up to 12 for `t2` | must be given |
//! | `by` | what makes a regime, up to 4 expressions; see below | one regime |
//! | `tau` | time constant of forgetting, or `"never"` | must be given unless `learn` is |
//! | `learn` | learns from the first so much data of each device, then never again | learns on |
//! | `min` | a regime is unknown until it has samples over so much data (`"3d"`), and 8 of them, or so many samples (`200`) | `learn`; otherwise must be given |
//! | `freeze_when_firing` | learns nothing while a level of the rule is pending or in force | `true` |
//! | `prior` | `"fleet"`: starts as the fleet's baseline of that name and moves to the device's own; `min` of own data count as much as the fleet | none |
//! | `from` | `"fleet"`: the fleet's baseline alone; a device learns nothing of its own | the device's own |
//! | `robust` | one sample has bounded influence; `false`: plain mean and standard deviation | `true` |
//! | `correlated` | `t2` knows how the values go together; `false`: the sum of their squared `z` | `true` |
//! | `bins` | regimes kept at once, at most 64; beyond, the one unused for longest is forgotten | 1, with `by` 32 |
//! | `floor` | smallest scale, as a number in the unit of `of` | 0 |
//!
//! **Times** (`tau`, `learn`, `min`) are of data: they run while samples come, in whatever regime, each for at most
//! three report intervals, and stand still while nothing comes or the baseline is frozen.
//!
//! **Regimes.** A bool or an enum is a regime as it is. Of a number the nearest multiple counts: `rpm/250` makes bins
//! around 0, 250, 500 in the unit of `rpm`; `rpm/250[rpm]` and `temp/5[K]` say the unit. A bare number is rounded to a
//! whole one, unless the baseline reads the fleet's: then `forewarn fit` has found where it falls apart into groups.
//! An unknown regime has no baseline and teaches none.
//!
//! **Fleet.** A fleet's baseline is found by model and name in `config/baselines` ([`super::fleet`]). A rule cannot be
//! loaded when it is missing or was learned for other expressions; a regime that the fleet has not seen is unknown.

mod declare;
mod raw;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use declare::Declared;
pub(super) use raw::{RawBaseline, read};

/// A baseline compiled for one model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    /// The rule that owns it.
    pub(crate) rule: Arc<str>,
    /// What it is called in that rule.
    pub(crate) name: Arc<str>,
    /// Canonical texts of what it is of.
    pub(crate) of: Vec<String>,
    pub(crate) by: Vec<By>,
    /// How much of a device's data teaches it, in microseconds; `i64::MAX` for all.
    pub(crate) learn: i64,
    pub(crate) robust: bool,
    pub(crate) correlated: bool,
    pub(crate) source: Origin,
}

/// One of the values that make a regime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct By {
    /// Canonical text.
    pub(crate) text: String,
    /// A number without a width: the fleet's baseline says where to cut it.
    pub(crate) bare: bool,
}

/// Whose data a baseline is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// The device's own; the fleet's is its prior.
    Own(Own, Option<Arc<FleetBaseline>>),
    /// The fleet's alone.
    Fleet(Arc<FleetBaseline>),
    /// The fleet's, which is being learned: its operator only holds the newest values, those of `by` after those of
    /// `of`.
    Learning,
}

/// How a device's own baseline is learned. Microseconds; `i64::MAX` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) tau: i64,
    pub(crate) min: Amount,
    pub(crate) freeze: bool,
    /// Regimes kept at once.
    pub(crate) bins: usize,
}

/// How much of a regime must have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Samples over so much data, in microseconds.
    Data(i64),
    Samples(u64),
}

/// What is usual in a fleet.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct FleetBaseline {
    /// Where it stands: `config/baselines/car.toml:2`.
    pub(crate) place: Arc<str>,
    /// By the bits of the regime.
    pub(crate) bins: BTreeMap<u64, FleetBin>,
}

/// What is usual in a fleet in one regime.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FleetBin {
    pub(crate) centre: Vec<f64>,
    /// The scale of one value; of several, the lower triangle of their covariance by rows.
    pub(crate) spread: Vec<f64>,
    /// Samples it was learned from.
    pub(crate) n: u64,
}

impl Baseline {
    /// Most values.
    pub(crate) const MAX_OF: usize = 12;
    /// Of one value, the first samples are kept as they are until there are so many.
    pub(crate) const FIRST_SAMPLES: usize = 8;
    /// Words of a regime before its estimate.
    pub(crate) const BIN_HEAD: usize = 4;

    pub(crate) fn own(&self) -> Option<&Own> {
        if let Origin::Own(own, _) = &self.source { Some(own) } else { None }
    }

    pub(crate) fn fleet(&self) -> Option<&FleetBaseline> {
        match &self.source {
            Origin::Own(_, fleet) => fleet.as_deref(),
            Origin::Fleet(fleet) => Some(fleet),
            Origin::Learning => None,
        }
    }

    /// Samples before a baseline of `of` values is known.
    pub(crate) fn fewest_of(of: usize) -> u64 {
        let samples = if of == 1 { Self::FIRST_SAMPLES } else { 2 * of + 4 };
        u64::try_from(samples).unwrap_or(u64::MAX)
    }

    /// How many values a sample of it has, the regime left out.
    pub(crate) fn values(&self) -> usize {
        self.of.len() + if self.source == Origin::Learning { self.by.len() } else { 0 }
    }

    /// Words before the regimes: time and regime of the newest sample, data learned so far, the sample.
    pub(crate) fn head(&self) -> usize {
        3 + self.values()
    }

    /// Words of a regime: where in the data it was first and last learned, regime, samples, estimate.
    pub(crate) fn bin(&self) -> usize {
        let of = self.of.len();
        Self::BIN_HEAD + if of == 1 { Self::FIRST_SAMPLES } else { 1 + of + of * (of + 1) / 2 }
    }

    pub(crate) fn words(&self) -> usize {
        self.head() + self.own().map_or(0, |own| own.bins * self.bin())
    }
}

/// One number for the regime that `values` make: each rounded, of several each in its share of 52 bits.
#[inline(never)] // It would take registers of the loop that runs expressions.
pub(crate) fn regime(values: &[f64]) -> f64 {
    let [value] = values else {
        let (half, size) = share(values.len());
        return values.iter().fold(0.0, |all, v| all * size + nearest(*v).clamp(-half, half - 1.0) + half);
    };
    nearest(*value)
}

/// The nearest whole number, of two the upper; a zero has one sign only.
pub(crate) fn nearest(value: f64) -> f64 {
    (value + 0.5).floor() + 0.0
}

/// Half and all of the numbers that one of `n` values may take.
fn share(n: usize) -> (f64, f64) {
    let bits = 52 / n.max(1);
    let size = (0..bits).fold(1.0, |size, _| size * 2.0);
    (size / 2.0, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regime_is_one_number_for_all_values_that_are_nearest_to_the_same() {
        let same = [
            (vec![3.7], vec![4.2]),
            (vec![-0.003], vec![0.003]),
            (vec![4.5, -3.1], vec![5.0, -3.0]),
            (vec![1e12, 2.0], vec![1e10, 2.0]),
            (vec![0.0, -4096.0, 4095.4, 7.0], vec![0.4, -4096.0, 4095.0, 7.0]),
        ];
        for (a, b) in same {
            assert_eq!(regime(&a).to_bits(), regime(&b).to_bits(), "{a:?} {b:?}");
        }
        let other =
            [(vec![1.0], vec![-1.0]), (vec![1.0, 2.0], vec![2.0, 1.0]), (vec![0.0, 0.0, 1.0], vec![0.0, 1.0, 0.0])];
        for (a, b) in other {
            assert_ne!(regime(&a).to_bits(), regime(&b).to_bits(), "{a:?} {b:?}");
        }
        assert!(regime(&[1.0, f64::NAN]).is_nan());
    }
}
