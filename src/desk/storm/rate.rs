//! How many cases are about to act now, and how many usually do.

use serde::{Deserialize, Serialize};

use crate::domain::{At, CaseId, Span};

/// A window is counted to a twentieth of its length.
const SLOTS: i64 = 20;
/// What is usual is a mean whose past fades with this time constant.
pub(super) const MEMORY: Span = Span::from_hours(7 * 24);

/// Counts of one kind of case; the key says which.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::desk) struct RateRow {
    /// Counts of the last twentieths, the present one last.
    slots: Vec<u32>,
    /// The number of the present one.
    slot: i64,
    /// How many there ever were, those of the past faded.
    faded: f64,
    faded_at: At,
    /// The open storm that was found by it.
    pub(super) storm: Option<CaseId>,
}

impl RateRow {
    /// How many within the last `window`.
    pub(super) fn recent(&mut self, now: At, window: Span) -> u32 {
        self.roll(now, window);
        self.slots.iter().sum()
    }

    /// One more.
    pub(super) fn add(&mut self, now: At, window: Span) {
        self.roll(now, window);
        if let Some(last) = self.slots.last_mut() {
            *last += 1;
        }
        self.faded = self.fade(now) + 1.0;
        self.faded_at = now;
    }

    /// How many there usually are within `window`. Fresh counts fade in, so that a young desk takes nothing for usual.
    pub(super) fn usual(&self, now: At, window: Span) -> f64 {
        self.fade(now) * (window.as_secs_f64() / MEMORY.as_secs_f64())
    }

    /// Counts anew; what is usual stays.
    pub(super) fn restart(&mut self) {
        self.slots.clear();
        self.storm = None;
    }

    fn fade(&self, now: At) -> f64 {
        self.faded * (-(now.since(self.faded_at).as_secs_f64() / MEMORY.as_secs_f64()).max(0.0)).exp()
    }

    fn roll(&mut self, now: At, window: Span) {
        let slot = now.as_micros().div_euclid((window.as_micros() / SLOTS).max(1));
        let moved = usize::try_from((slot - self.slot).clamp(0, SLOTS)).unwrap_or(0);
        let length = usize::try_from(SLOTS).unwrap_or(0);
        self.slots.resize(length, 0);
        self.slots.rotate_left(moved);
        self.slots[length - moved..].fill(0);
        self.slot = self.slot.max(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Span = Span::from_mins(10);

    fn at(seconds: i64) -> At {
        At::from_micros(1_800_000_000_000_000) + Span::from_secs(seconds)
    }

    #[test]
    fn recent_counts_one_window() {
        let mut rate = RateRow::default();
        for (seconds, expected) in [(0, 1), (0, 2), (299, 3), (595, 4), (600, 3), (900, 3), (1_000, 4), (90_000, 1)] {
            rate.add(at(seconds), WINDOW);
            assert_eq!(rate.recent(at(seconds), WINDOW), expected, "after {seconds} s");
        }
    }

    #[test]
    fn usual_is_a_slow_mean() {
        let mut rate = RateRow::default();
        assert!(rate.usual(at(0), WINDOW).abs() < f64::EPSILON);
        // One a minute for ten weeks: ten in ten minutes.
        for minute in 0..100_800 {
            rate.add(at(60 * minute), WINDOW);
        }
        let now = at(60 * 100_800);
        assert!((rate.usual(now, WINDOW) - 10.0).abs() < 0.01, "{}", rate.usual(now, WINDOW));
        for _ in 0..1_000 {
            rate.add(now, WINDOW);
        }
        assert!(rate.usual(now, WINDOW) < 12.0, "a storm is not usual");
        assert!(rate.usual(now + Span::from_hours(7 * 24), WINDOW) < 5.0, "and what ends is forgotten");
    }
}
