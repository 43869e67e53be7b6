//! A picture for a mail, ready to be drawn.

/// A line over time with the level that matters. Texts are in the language of its reader; places are shares of the width
/// and the height, from the lower left corner, 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What the mail calls it: `cid:<id>`.
    pub id: String,
    /// What it shows, with the unit.
    pub title: String,
    /// The line, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The newest value, written at the end of the line.
    pub newest: String,
    /// How high the level is, and what it means.
    pub limit: Option<(f64, String)>,
    /// What stands below the picture, and where.
    pub across: Vec<(f64, String)>,
    /// What stands beside it, and how high.
    pub up: Vec<(f64, String)>,
}
