//! What keeps the desk from acting: what a rule asks for before one of its cases does, and the stop switch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Span;

/// How far a stop switch is on. Attempts under way are never cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Nothing waits for it.
    #[default]
    Off,
    /// Everything waits but what tells people that they are in danger, what pages our own people, and what undoes or
    /// documents.
    On,
    /// Everything waits.
    All,
}

impl Stop {
    /// The word used in files, messages and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::All => "all",
        }
    }
}

impl std::str::FromStr for Stop {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Off, Self::On, Self::All].into_iter().find(|stop| stop.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is not on, all or off"))
    }
}

/// What the desk looks at before the case of a rule may do anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guards {
    /// `[rule.limits] fleet_breaker`.
    pub breaker: Option<Breaker>,
    /// `[rule.gate] parent = "device.x"`: the registry attribute that names the device which may be the cause.
    pub parent: Option<Arc<str>>,
}

/// `fleet_breaker = { max = 25, per = "10m", by = "model" }`: further cases wait for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// So many cases may act.
    pub max: u32,
    /// Within so long, in our time: what is guarded is what we do, also about news that come late and all at once.
    pub per: Span,
    /// The registry attribute whose values are counted apart; `None`: all devices together.
    pub by: Option<Arc<str>>,
}
