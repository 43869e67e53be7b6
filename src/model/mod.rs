//! Device models and the registry: what a kind of device sends, and who and what is out there. From TOML and CSV to
//! checked, compiled values.
//!
//! Everything that can be decided once is decided here, at load: topics become a tree that names the device of a topic
//! without searching, paths become a [`Plan`] that the decoder walks along a payload, and every mistake in every file is
//! reported with its place. What is loaded is immutable and shared.

mod codes;
mod decoder;
mod descriptor;
mod known;
mod limits;
mod literal;
mod load;
mod models;
mod path;
mod plan;
mod presence;
mod range;
mod registry;
mod signal;
mod subject;
#[cfg(test)]
mod tests;
mod topic;
mod words;

pub use codes::{CodeColumn, CodeTable, CodeTables, matches_glob};
pub use decoder::{Compression, Decoder, Format, Levels, MAX_PAYLOAD_BYTES};
pub use known::Topics;
pub use limits::{MAX_DEVICE_ID_BYTES, MAX_ELEMENTS, MAX_TEXT_BYTES};
pub use literal::{Literal, LiteralError, literal};
pub use load::load;
pub use models::Models;
pub use path::path_steps;
pub use plan::{Plan, PlanNode};
pub use presence::Presence;
pub use registry::{RegistryFiles, load_registry};
pub use subject::{Binding, Edge, Subject};

pub use crate::domain::shard_of;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{At, ModelId, SignalName, Span, Unit, Value};
use crate::source::Place;

/// What one kind of device sends (`config/models/*.toml`), compiled.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub id: ModelId,
    /// Where it publishes.
    pub topics: Vec<TopicPattern>,
    /// How its payloads are read: [`TopicPattern::decoder`] is an index into this.
    pub decoders: Vec<Decoder>,
    /// In the order of the file; a [`SignalIx`] is an index into this.
    pub signals: Vec<Signal>,
    /// Where the device time is in the payload; without it the arrival time is used.
    pub timestamp: Option<TimestampField>,
    /// How often a device reports when all is well: gives the default time to live of signals and the default
    /// `max_gap`. `None`: no default, values stay known until replaced.
    pub report_every: Option<Span>,
    /// Reorder bound per device (T2); zero: no buffer.
    pub lateness: Span,
    /// Older than this on arrival: historical lane (T4). `None`: never.
    pub backfill_after: Option<Span>,
    /// Further ahead than this: arrival time is used instead (T1).
    pub max_future: Span,
    /// A steady offset of a device's clock is learned and taken off its times (T1).
    pub learn_skew: bool,
    /// Where it is told who is there; rules read it as `online`.
    pub presence: Option<Presence>,
    /// Values that rules read as `param.x`; the registry may override them per device.
    pub params: BTreeMap<Arc<str>, Param>,
    /// Signals that the desk may use and speak of, by the name it knows them (`speed`, `lat`, `lon`).
    pub facts: BTreeMap<Arc<str>, SignalIx>,
    /// Signals by their [`Signal::field`].
    pub named: BTreeMap<Arc<str>, Vec<SignalIx>>,
    /// The paths of `signals` and `timestamp`, as the decoder walks them: [`Plan::new`] of the two.
    pub plan: Plan,
    /// Where the model is defined, for findings that point at it.
    pub place: Place,
}

/// Index of a signal in its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalIx(pub u16);

/// One signal of a model.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Its name in rules.
    pub name: SignalName,
    /// Where it is in the payload: keys and indices, outermost first.
    pub path: Vec<PathStep>,
    /// The same as it is written: formats without structure (bare values, SenML, Sparkplug) name a value by it.
    pub field: Arc<str>,
    /// What it holds.
    pub ty: SignalType,
    /// Whether it has a value between messages.
    pub kind: SignalKind,
    /// In which unit it is sent and kept.
    pub unit: Unit,
    /// An array of components of this name (`cell`): the signal has one slot for each element. A message replaces the
    /// list as a whole: a component that the message does not name is unknown afterwards. A list that is unusable as a
    /// whole (`null`, not a list, too long) is one bad reading at component 0.
    pub each: Option<Arc<str>>,
    /// Outside of it a value is unknown.
    pub valid: Option<Range>,
    /// Numbers that mean "not available".
    pub na: Vec<f64>,
    /// For how long a value is known (V1). `None`: until replaced. Zero for an event: only at its instant.
    pub ttl: Option<Span>,
    /// A string holding a number is read as that number.
    pub number_as_text: bool,
    /// Texts that a switch is sent as: those that are off, those that are on.
    pub switch: [Vec<Arc<str>>; 2],
    /// Where it is defined.
    pub place: Place,
}

impl Signal {
    /// Whether its value is a list: of components, or of codes.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.each.is_some() || matches!(self.ty, SignalType::Codes(_))
    }
}

/// One step into a payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A member of an object.
    Key(Arc<str>),
    /// An element of an array.
    Index(usize),
}

/// What a signal says about the time between its messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SignalKind {
    /// It was measured, and stays so until its time to live is over.
    Level,
    /// Something happened at this instant: an error code, a maintenance record. There is no value in between.
    Event,
    /// It only grows, but for resets and rollovers (V6).
    Counter {
        /// After so many it starts again from zero.
        rollover: Option<f64>,
    },
}

/// What a signal holds.
#[derive(Debug, Clone, PartialEq)]
pub enum SignalType {
    /// A number; JSON `true`/`false` is a wrong type.
    Number,
    /// A switch; `true`/`false`, and `0`/`1`.
    Bool,
    /// One of these texts; the compiled value is the index.
    Enum(Vec<Arc<str>>),
    /// Any text of at most 256 bytes.
    Text,
    /// A list of trouble codes: texts, or numbers that are taken as texts.
    Codes(Send),
}

/// What the list of codes in a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// All codes that are active: one that is missing has been cleared.
    Full,
    /// Those that have come up: a code is active until it has not been sent for the signal's time to live.
    New,
}

impl SignalType {
    /// The word for it in model files.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Enum(_) => "enum",
            Self::Text => "text",
            Self::Codes(_) => "codes",
        }
    }
}

/// A range of valid numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lowest, `-inf` if open.
    pub low: f64,
    /// Whether `low` itself is valid.
    pub low_inclusive: bool,
    /// Highest, `inf` if open.
    pub high: f64,
    /// Whether `high` itself is valid.
    pub high_inclusive: bool,
}

impl Range {
    /// Whether `x` is in it.
    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        (if self.low_inclusive { x >= self.low } else { x > self.low })
            && (if self.high_inclusive { x <= self.high } else { x < self.high })
    }
}

/// Where the device time is.
#[derive(Debug, Clone)]
pub struct TimestampField {
    /// Like a signal's.
    pub path: Vec<PathStep>,
    /// In what form.
    pub unit: TimestampUnit,
}

/// Forms of a device time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds since the Unix epoch, with an optional fraction.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Millis,
    /// Microseconds since the Unix epoch.
    Micros,
    /// RFC 3339 text; without an offset it is UTC.
    Rfc3339,
}

/// A parameter of a model.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its default.
    pub value: Value,
    /// The unit of `value`; durations are numbers in `s`.
    pub unit: Unit,
    /// Where it is defined.
    pub place: Place,
}

/// A topic filter that binds topic names to a model, and the level that names the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern {
    /// MQTT topic filter, as subscribed to (`fleet/+/telemetry`).
    pub filter: Arc<str>,
    /// Which level of the topic name is the device id, from 0.
    pub device_level: usize,
    /// How its payloads are read, unless they are those of [`Presence`].
    pub decoder: Option<usize>,
}

/// A value as decoded, before it becomes part of a device's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which signal.
    pub signal: SignalIx,
    /// Which element, 0 for a signal without components.
    pub component: u16,
    /// What it says.
    pub value: ReadingValue,
}

/// What a reading says.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadingValue {
    /// A finite number within the valid range, in the unit of the signal.
    Number(f64),
    /// A whole number of a counter that no `f64` is: the nearest one, and what is left.
    Whole {
        /// Beyond 2^53.
        nearest: f64,
        /// Not 0.
        rest: f64,
    },
    /// A switch.
    Bool(bool),
    /// Index into the values of the enumeration.
    Enum(u16),
    /// A text.
    Text(Arc<str>),
    /// A list without elements, at component 0.
    Empty,
    /// Present but unusable (V4): the slot becomes unknown and the reason is counted.
    Bad(BadValue),
}

/// Why a value is unusable (V4). The rest of the message is still used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadValue {
    /// `null`.
    Null,
    /// Another JSON type than the signal's.
    WrongType,
    /// NaN or infinite.
    NotFinite,
    /// Outside `valid`.
    OutOfRange,
    /// One of `na`.
    NotAvailable,
    /// A text that is not one of the enumeration.
    NotInEnum,
    /// In a unit that measures something else than the signal's.
    WrongUnit,
    /// Not said anew: its sender is gone, or nobody knows any more what it said last (Sparkplug).
    Stale,
    /// A text longer than 256 bytes or an array with more than 1,024 elements.
    TooLong,
}

impl BadValue {
    /// Short label for counters: `out_of_range`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::OutOfRange => "out_of_range",
            Self::NotAvailable => "not_available",
            Self::NotInEnum => "not_in_enum",
            Self::WrongUnit => "wrong_unit",
            Self::Stale => "stale",
            Self::TooLong => "too_long",
        }
    }
}

/// A decoded message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// Device time as sent; `None` when absent or unreadable (T1 then uses the arrival time).
    pub event_at: Option<At>,
    /// The field of the device time is there and cannot be read as an instant (`null`, wrong type, beyond the calendar).
    pub bad_timestamp: bool,
    /// Sent late on purpose, and the sender says so (Sparkplug's `is_historical`): historical lane, whatever its age (T4).
    pub historical: bool,
    /// The device came (`true`) or went (`false`): a birth, a death, a last will. `None`: says nothing of it.
    pub presence: Option<bool>,
    /// What the message says, in the order of the model's signals and their components, each at most once.
    pub readings: Vec<Reading>,
}

impl Message {
    /// Nothing in it has a device time: it is told of the device that it came or went, or that nobody knows its values.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        let stale = |reading: &Reading| reading.value == ReadingValue::Bad(BadValue::Stale);
        self.event_at.is_none()
            && self.readings.iter().all(stale)
            && (self.presence.is_some() || !self.readings.is_empty())
    }

    /// Drops the content and keeps the memory.
    pub fn clear(&mut self) {
        let mut readings = std::mem::take(&mut self.readings);
        readings.clear();
        *self = Self { readings, ..Self::default() };
    }
}
