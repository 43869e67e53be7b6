//! How a value came to where it is: what a chart shows.

use serde::{Deserialize, Serialize};

use super::At;

/// The course of what a rule follows, up to the detection that it goes with. Deterministic, like the detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its unit as written in the model (`degC`), empty if it has none.
    pub unit: String,
    /// Device time and value, oldest first; means of equal stretches of time, at most 20. Stretches without a sample are
    /// left out.
    pub points: Vec<(At, f64)>,
    /// The level that matters, in the same unit.
    pub limit: Option<f64>,
}
