//! What a rule asks of the desk before one of its cases acts.

use std::sync::Arc;

use super::Span;

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
