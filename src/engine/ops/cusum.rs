//! The cumulative sum of what exceeds an allowance: small shifts that last.
//!
//! `S = max(0, S + z - k)` with each sample. With a limit `h` the sum goes no further than `2h`, so that it comes down
//! as fast as it rose once things are well again. Constants: `k`, `h` (none: no limit). Words: sum, samples (up to 1).

use super::{Op, num};

pub(super) fn update(op: Op<'_>, words: &mut [u64], z: f64) {
    let most = 2.0 * op.arg(1);
    words[0] = (num(words[0]) + z - op.arg(0)).max(0.0).min(most).to_bits();
    words[1] = 1;
}

pub(super) fn read(words: &[u64]) -> f64 {
    if words[1] == 0 { f64::NAN } else { num(words[0]) }
}
