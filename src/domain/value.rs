//! What a signal can say.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A value of a signal or an expression. Missing, stale or bad data is `Unknown`, which is neither true nor false.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Value {
    /// Nothing is known: absent, out of range, older than its time to live.
    #[default]
    Unknown,
    /// A switch.
    Bool(bool),
    /// A number, in the unit of its signal.
    Num(f64),
    /// A text or one of an enumeration.
    Text(Arc<str>),
}

impl Value {
    /// The number, if it is one.
    #[must_use]
    pub fn as_num(&self) -> Option<f64> {
        match self {
            Self::Num(n) => Some(*n),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            _ => None,
        }
    }

    /// The switch, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }
}

impl From<f64> for Value {
    /// A number that is not finite says nothing: it is `Unknown`.
    fn from(n: f64) -> Self {
        if n.is_finite() { Self::Num(n) } else { Self::Unknown }
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<&str> for Value {
    fn from(t: &str) -> Self {
        Self::Text(t.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Bool(b) => b.fmt(f),
            Self::Num(n) => n.fmt(f),
            Self::Text(t) => t.fmt(f),
        }
    }
}
