//! How much a provider takes: our own limit, kept below theirs, so that the queue stays on our side where it can
//! still be thought over.

use serde::{Deserialize, Serialize};

use crate::domain::{At, Span};

/// The most in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Attempts.
    pub max: u32,
    /// In this time.
    pub per: Span,
}

/// A fixed window that begins with its first use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it began.
    pub since_at: At,
    /// How many since.
    pub used: u32,
}

impl Window {
    /// When one more is allowed: `None` now, otherwise the end of the window.
    #[must_use]
    pub fn free_at(&self, now: At, limit: Limit) -> Option<At> {
        if limit.max == 0 {
            return Some(now + limit.per);
        }
        let end = self.since_at + limit.per;
        (self.used >= limit.max && now < end).then_some(end)
    }

    /// One more.
    #[must_use]
    pub fn take(self, now: At, per: Span) -> Self {
        if self.used == 0 || now >= self.since_at + per || now < self.since_at {
            Self { since_at: now, used: 1 }
        } else {
            Self { used: self.used.saturating_add(1), ..self }
        }
    }
}
