//! How much a provider takes: our own limit, kept below theirs, so that the queue stays on our side where it can
//! still be thought over.

use serde::{Deserialize, Serialize};

use crate::domain::{At, Rate, Span};

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
    pub fn free_at(&self, now: At, rate: Rate) -> Option<At> {
        if rate.max == 0 {
            return Some(now + rate.per);
        }
        let end = self.since_at + rate.per;
        (self.used >= rate.max && now < end).then_some(end)
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

/// What was done lately. Holds for every stretch of time, wherever it begins, and remembers at most as much as the rate
/// allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sliding {
    /// So many at once, oldest first.
    done: Vec<(At, u32)>,
}

impl Sliding {
    /// How many more are allowed now.
    ///
    /// # Errors
    /// When one is, if none is now.
    pub fn room(&self, now: At, rate: Rate) -> Result<u32, At> {
        let recent = self.done.iter().filter(|(at, _)| now.since(*at) < rate.per);
        let used: u32 = recent.clone().map(|(_, n)| n).sum();
        match rate.max.checked_sub(used).filter(|room| *room > 0) {
            Some(room) => Ok(room),
            None => Err(recent.map(|(at, _)| *at + rate.per).min().unwrap_or(now + rate.per)),
        }
    }

    /// One more.
    pub fn take(&mut self, now: At, rate: Rate) {
        self.done.retain(|(at, _)| now.since(*at) < rate.per);
        match self.done.last_mut().filter(|(at, _)| *at == now) {
            Some((_, n)) => *n += 1,
            None => self.done.push((now, 1)),
        }
    }

    /// When the last one was.
    #[must_use]
    pub fn last_at(&self) -> Option<At> {
        self.done.last().map(|(at, _)| *at)
    }
}
