//! Device models and the registry: what a kind of device sends, and who and what is out there. From TOML and CSV to
//! checked, compiled values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{At, DeviceId, ModelId, SignalName, Span, Unit, Value};
use crate::source::Place;

/// What one kind of device sends (`config/models/*.toml`), compiled.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub id: ModelId,
    /// Where it publishes.
    pub topics: Vec<TopicPattern>,
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
    /// Values that rules read as `param.x`; the registry may override them per device.
    pub params: BTreeMap<Arc<str>, Param>,
    /// Signals that the desk may use and speak of, by the name it knows them (`speed`, `lat`, `lon`).
    pub facts: BTreeMap<Arc<str>, SignalIx>,
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
    /// What it holds.
    pub ty: SignalType,
    /// In which unit it is sent and kept.
    pub unit: Unit,
    /// An array of components of this name (`cell`): the signal has one slot for each element.
    pub each: Option<Arc<str>>,
    /// Outside of it a value is unknown: `(lowest, inclusive, highest, inclusive)`.
    pub valid: Option<Range>,
    /// Numbers that mean "not available".
    pub na: Vec<f64>,
    /// For how long a value is known (V1). `None`: until replaced.
    pub ttl: Option<Span>,
    /// A string holding a number is read as that number.
    pub number_as_text: bool,
    /// Where it is defined.
    pub place: Place,
}

/// One step into a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// A member of an object.
    Key(Arc<str>),
    /// An element of an array.
    Index(usize),
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
    /// A switch.
    Bool(bool),
    /// Index into the values of the enumeration.
    Enum(u16),
    /// A text.
    Text(Arc<str>),
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
    /// A text longer than 256 bytes or an array with more than 1,024 elements.
    TooLong,
}

/// A decoded message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// Device time as sent; `None` when absent or unreadable (T1 then uses the arrival time).
    pub event_at: Option<At>,
    /// What the message says, in the order of the model's signals.
    pub readings: Vec<Reading>,
}

/// Which model and device a topic name belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Index of the model in the loaded list.
    pub model: usize,
    /// The device, from the topic name.
    pub device: DeviceId,
}
