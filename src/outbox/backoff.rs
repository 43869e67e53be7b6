//! How long to wait before an attempt is repeated.

use crate::domain::{EffectId, Span};

/// After the first failure, the second, …; then the last one for ever (a time limit ends it).
const STEPS: [Span; 7] = [
    Span::from_secs(1),
    Span::from_secs(5),
    Span::from_secs(30),
    Span::from_mins(2),
    Span::from_mins(10),
    Span::from_mins(30),
    Span::from_hours(1),
];

/// The wait after `failures` failures in a row (from 1), plus or minus 20 %. The jitter comes from the effect and the
/// count, so that a replay waits exactly as long, and a thousand effects do not knock at the same moment.
#[must_use]
pub fn back_off(effect: &EffectId, failures: u32) -> Span {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(STEPS.len() - 1);
    let base = STEPS[index].as_micros();
    let mut seed = effect.as_bytes().to_vec();
    seed.extend(failures.to_le_bytes());
    let hash = xxhash_rust::xxh3::xxh3_64(&seed);
    // 0..=400 thousandths, less 200.
    let thousandths = i64::try_from(hash % 401).unwrap_or(200) - 200;
    Span::from_micros(base + base / 1000 * thousandths)
}
