//! The service desk core: detections, answers and time in; one record of changes and the orders it releases out.
//! No clock, no I/O, no randomness.

mod api;
mod record;

pub use api::{
    CaseSummary, CaseView, EffectView, GoalView, Input, Reply, Speech, SpeechThen, Step, TimelineEntry, TimelineKind,
    Watch,
};
pub use record::Record;
