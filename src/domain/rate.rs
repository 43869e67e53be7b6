//! How fast something may be done.

use super::Span;

/// So many in this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At most.
    pub max: u32,
    /// In this time.
    pub per: Span,
}

impl Rate {
    /// `max` a second.
    #[must_use]
    pub const fn per_second(max: u32) -> Self {
        Self { max, per: Span::from_secs(1) }
    }

    /// Whether it is more than the other.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        let of = |rate: Self, per: Span| i64::from(rate.max).saturating_mul(per.as_micros());
        of(self, other.per) > of(other, self.per)
    }

    /// How long so many take.
    #[must_use]
    pub fn share(self, n: u32) -> Span {
        Span::from_micros(self.per.as_micros().saturating_mul(i64::from(n)) / i64::from(self.max.max(1)))
    }
}
