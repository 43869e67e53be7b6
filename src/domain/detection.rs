//! What the engine tells the desk.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{At, Component, DeviceId, EpisodeId, FaultName, RuleId, Series, Span, Value};

/// How bad a level is. Ordered: `Minor < Warning < Major < Critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a note.
    Minor,
    /// Will become a breakdown if nothing is done.
    Warning,
    /// A breakdown, or one within days.
    Major,
    /// A breakdown now, or danger.
    Critical,
}

impl Severity {
    /// All of them, mildest first.
    pub const ALL: [Self; 4] = [Self::Minor, Self::Warning, Self::Major, Self::Critical];

    /// The word used in files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Warning => "warning",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// Whether a rule may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Detections open cases.
    Live,
    /// Detections are recorded and scored, and nobody is contacted.
    Shadow,
    /// Not evaluated.
    Off,
}

/// A level of a rule that an episode has reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Its name in the rule (`critical`, `due`).
    pub name: String,
    /// How bad that is.
    pub severity: Severity,
}

/// What happened to the episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It started, at `level`.
    Raised,
    /// It went up or down to `level`.
    Moved,
    /// Its inputs have been unknown for so long that nobody can say; it stays open.
    Stale,
    /// It ended: the fault is gone.
    Cleared,
    /// It ended because its rule was removed or switched off.
    RuleRemoved,
}

/// One named value that made the rule fire, as it was then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The name in the rule: a signal or a `let`.
    pub name: String,
    /// Its value then.
    pub value: Value,
    /// Its unit as written in the model (`degC`), empty if it has none.
    pub unit: String,
}

/// A transition of an episode. Deterministic: the same journal gives the same detections, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Which episode.
    pub episode: EpisodeId,
    /// Counts the transitions of this episode from 1. The desk ignores a number that it has seen.
    pub seq: u32,
    /// The rule that fired.
    pub rule: RuleId,
    /// First eight bytes of the hash over the rule's source text: which version of it fired.
    pub rule_rev: u64,
    /// Whether the desk may act on it.
    pub mode: Mode,
    /// What is broken or about to be.
    pub fault: FaultName,
    /// Where.
    pub device: DeviceId,
    /// Which part of the device, if the rule watches each of several.
    pub component: Option<Component>,
    /// What happened.
    pub change: Change,
    /// The level after the change; `None` once the episode has ended.
    pub level: Option<Level>,
    /// How sure the rule is, 0..=1 (`confidence` in the rule, 1 unless stated).
    pub confidence: f64,
    /// The case title of the rule with its values filled in.
    pub title: String,
    /// The values that the title, the `let`s and the condition used.
    pub evidence: Vec<Evidence>,
    /// What the rule's chart shows, if it has one and there is enough to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Box<Series>>,
    /// What the device last said of the signals that its model lists as `facts` (position, speed), in model units.
    pub facts: BTreeMap<String, Value>,
    /// Device time of the first true sample: when the episode began.
    pub started_at: At,
    /// Device time of the sample or deadline that made this transition.
    pub event_at: At,
    /// When the message that made it reached us.
    pub received_at: At,
    /// Made of backfilled data: recorded, but never a reason for urgent action.
    pub historical: bool,
    /// Made in the historical lane: so much later than it happened did we hear of it.
    pub late_by: Option<Span>,
    /// The fault came and went too often: the episode stays open until a person ends it.
    pub latched: bool,
}
