//! What rule files become: per model a table of slots, constants, operators and rules, all addressed by index, so that
//! the engine evaluates them without looking anything up and without allocation.
//!
//! A value at run time is one `f64`. NaN is *unknown* (no known value is ever NaN: V4), true is 1, false is 0, an
//! enumeration is its index and a text is a 52-bit hash of itself; two different texts are taken for the same once in
//! 4 million billion comparisons.
//!
//! A device's state is a row of 64-bit words for itself and one for each of its parts: the cells, doors or trouble codes
//! that its rules follow. Which row something stands in is its *lane*: 0 is the device, each kind of part has one more.
//! The words of a signal, an operator and a rule stand at offsets fixed here, each [`Item`] under a name that does not
//! depend on the others, so that a reload or a restart with other rules finds again what is the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::baseline::Baseline;
pub(crate) use super::family::{Family, Keep, Read, Steps};
use super::info::RuleInfo;
use super::limits::Bars;
use super::select::Sel;
use crate::domain::{FaultName, Mode, RuleId, Severity, SignalName, Unit};
use crate::model::{CodeColumn, CodeTables, Model, SignalIx};

/// Buckets of a window. A window of `w` reaches back between `w` and `w - w/BUCKETS`, never further than `w`.
pub const BUCKETS: usize = 20;
/// Points that stand for the samples of a bucket where quantiles are asked for.
pub(crate) const POINTS: usize = 16;
/// Largest samples of a calibration that are kept for the tail.
pub(crate) const PEAKS: usize = 24;

/// Compiled rules for all models. Immutable, shared by [`Arc`].
#[derive(Debug, Clone)]
pub struct Program {
    pub(crate) models: Vec<ModelProgram>,
    pub(super) rules: Vec<RuleInfo>,
    pub(super) loaded: Arc<crate::model::Models>,
}

/// The rules of one model.
#[derive(Debug, Clone)]
pub(crate) struct ModelProgram {
    pub(crate) model: Arc<Model>,
    /// Signals that rules or facts need.
    pub(crate) slots: Vec<Slot>,
    /// The device itself, then each kind of part.
    pub(crate) lanes: Vec<Lane>,
    /// By [`SignalIx`].
    pub(crate) slot_of: Vec<Option<u16>>,
    pub(crate) consts: Vec<Const>,
    /// Edges, ascending, between the groups that the values of a baseline's regime fall into.
    pub(crate) cuts: Vec<Arc<[f64]>>,
    /// Inner operators before those that use them.
    pub(crate) ops: Vec<OpSpec>,
    pub(crate) folds: Vec<FoldSpec>,
    /// Choices of codes.
    pub(crate) sels: Vec<Sel>,
    /// What trouble codes mean.
    pub(crate) codes: Arc<CodeTables>,
    pub(crate) rules: Vec<RuleProgram>,
    /// Time zones that rules read; `None` is that of the device.
    pub(crate) zones: Vec<Option<Arc<str>>>,
    /// The durations of `silent` that are computed.
    pub(crate) silences: Vec<Vec<Ins>>,
    /// What else is asked of a signal than its value: the signal, the slot of the answer, the question.
    pub(crate) answers: Vec<(SignalIx, u16, Answer)>,
    /// The slot of `online`, if a rule reads it.
    pub(crate) online: Option<u16>,
    /// Operators to update, in order, when a slot gets a sample.
    pub(crate) ops_by_slot: Vec<Marks>,
    /// Rules to evaluate when a slot gets a sample.
    pub(crate) rules_by_slot: Vec<Marks>,
    /// Rules to evaluate on every sample, because they read time itself.
    pub(crate) rules_always: Marks,
    /// Facts: name and slot, by name.
    pub(crate) facts: Vec<(Arc<str>, u16)>,
    /// Whether any slot keeps its text.
    pub(crate) texts: bool,
}

impl ModelProgram {
    /// Whether a slot is known only at the instants of its messages.
    pub(crate) fn is_event(&self, slot: u16) -> bool {
        self.slots[usize::from(slot)].ttl == 0
    }
}

/// Some of the operators or rules, as words of a bit set that are not zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(Vec<(u16, u64)>);

impl Marks {
    /// Adds one. They are added in order.
    pub(super) fn push(&mut self, ix: u16) {
        let (word, bit) = (ix / 64, 1 << (ix % 64));
        match self.0.last_mut() {
            Some((last, bits)) if *last == word => *bits |= bit,
            _ => self.0.push((word, bit)),
        }
    }

    /// Sets their bits.
    pub(crate) fn set_in(&self, bits: &mut [u64]) {
        self.0.iter().for_each(|(word, marks)| bits[usize::from(*word)] |= marks);
    }
}

/// A value that is kept: two words, value and time.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// `None`: whether the device is there.
    pub(crate) signal: Option<SignalIx>,
    pub(crate) lane: u16,
    /// Where its words start.
    pub(crate) offset: usize,
    /// Its value once its time to live is over: unknown, or cleared.
    pub(crate) expired: f64,
    /// Of a code: the slot that says whether the list is known.
    pub(crate) list: Option<u16>,
    pub(crate) name: SignalName,
    /// Microseconds; `i64::MAX` for never.
    pub(crate) ttl: i64,
    pub(crate) shown: Shown,
    /// The texts of it are kept beside the row, for people.
    pub(crate) keeps_text: bool,
}

/// The device itself, or one kind of part of it.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// What a part is called (`cell`); empty for the device.
    pub(crate) name: Arc<str>,
    /// Its parts are codes, not elements of lists.
    pub(crate) codes: bool,
    /// What the words of a row hold.
    pub(crate) items: Vec<Item>,
    /// Length of a row.
    pub(crate) words: usize,
}

impl Lane {
    pub(crate) fn new(name: Arc<str>, codes: bool) -> Self {
        Self { name, codes, items: Vec::new(), words: 0 }
    }
}

/// One value out of those of all parts of a lane: `max(cell_v)`.
#[derive(Debug, Clone)]
pub(crate) struct FoldSpec {
    pub(crate) kind: Fold,
    pub(crate) lane: u16,
    /// Only the codes of this choice.
    pub(crate) sel: Option<u16>,
    /// What is folded, as seen by one part.
    pub(crate) code: Vec<Ins>,
    /// Canonical text.
    pub(crate) text: String,
    pub(crate) shown: Shown,
}

/// How values of parts become one. Parts whose value is unknown are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Max,
    Min,
    Mean,
    /// Highest minus lowest.
    Spread,
    Median,
    /// How many are true.
    Count,
    /// Index of the part with the lowest value; the first of several.
    Argmin,
    Argmax,
    /// Whether it is true of any; unknown counts.
    Any,
}

/// How a number is shown to people.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    /// A switch.
    Bool,
    /// A number in a unit.
    Num(Unit),
    /// An index into texts.
    Enum(Arc<[Arc<str>]>),
    /// A hash of a text; shown through the slot it came from.
    Text,
    /// The codes of this lane that are active.
    Codes(u16),
}

/// A constant of the rules. Those that a device can override or that come from the registry are worked out once a device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Const {
    Num(f64),
    /// `param.x`, converted by `value * factor + offset`.
    Param {
        name: Arc<str>,
        factor: f64,
        offset: f64,
    },
    /// `device.x` as a text (hashed) or as a number.
    Attr {
        name: Arc<str>,
        number: bool,
    },
    /// `device.x` as an instant, in seconds since 1970.
    Instant {
        name: Arc<str>,
    },
    /// Whether `device.x` matches a pattern.
    Matches {
        name: Arc<str>,
        pattern: Arc<str>,
    },
}

/// One instruction of a stack machine over `f64`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ins {
    Const(u16),
    Slot(u16),
    /// `value * consts[.0] + consts[.1]`.
    Affine(u16, u16),
    Add,
    Sub,
    Mul,
    Div,
    Neg,
    Abs,
    /// Square root, natural logarithm, exponential.
    Sqrt,
    Ln,
    Exp,
    Min,
    Max,
    Not,
    And,
    Or,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Start of the open episode in seconds; unknown without one.
    Opened,
    /// `known`: pops any, pushes a bool.
    Known,
    OrElse,
    /// Pops no, yes, condition.
    Choose,
    /// Skips so many instructions if the top is false (its value stays): the right side of `&&`.
    SkipIfFalse(u16),
    /// The same for `||` and true.
    SkipIfTrue(u16),
    Age(u16),
    /// Device time in seconds since 1970.
    Now,
    /// Whether nothing was heard for `consts[.0]` seconds.
    Silent(u16),
    /// The same for a duration that it pops.
    SilentFor,
    /// How far apart messages usually are, in seconds.
    Interval,
    /// Hour of the day in `zones[.0]`.
    Hour(u16),
    /// Day of the week in `zones[.0]`, Monday 0.
    Weekday(u16),
    Read(Read, u16),
    /// How many of the edges of that cut do not lie above the value.
    Cut(u16),
    /// Makes one number of the top so many.
    Regime(u8),
    Fold(u16),
    /// Whether the code that looks is one of a choice.
    Chosen(u16),
    /// Whether the run that an operator has followed has had no episode of the rule yet, or is in it.
    Fresh(u16),
}

impl Ins {
    /// How many values it takes from the stack before it pushes one; `None` for those that leave the stack alone.
    pub(crate) fn pops(self) -> Option<usize> {
        Some(match self {
            Self::SkipIfFalse(_) | Self::SkipIfTrue(_) => return None,
            Self::Const(_) | Self::Slot(_) | Self::Age(_) | Self::Now | Self::Silent(_) | Self::Fold(_) => 0,
            Self::Interval | Self::Hour(_) | Self::Weekday(_) | Self::Opened => 0,
            Self::SilentFor => 1,
            Self::Chosen(_) | Self::Fresh(_) => 0,
            Self::Read(read, _) => read.pops(),
            Self::Regime(count) => usize::from(count),
            Self::Affine(..)
            | Self::Neg
            | Self::Abs
            | Self::Sqrt
            | Self::Ln
            | Self::Exp
            | Self::Not
            | Self::Known
            | Self::Cut(_) => 1,
            Self::Choose => 3,
            Self::Add
            | Self::Sub
            | Self::Mul
            | Self::Div
            | Self::Min
            | Self::Max
            | Self::And
            | Self::Or
            | Self::Eq
            | Self::Ne
            | Self::Lt
            | Self::Le
            | Self::Gt
            | Self::Ge
            | Self::OrElse => 2,
        })
    }
}

/// The steps of a rule that has them.
#[derive(Debug, Clone)]
pub(crate) struct SequenceProgram {
    pub(crate) op: u16,
    /// A step that does not come in time raises the rule.
    pub(crate) timeouts: bool,
    /// How long ago each step was taken.
    pub(crate) evidence: Vec<(String, Vec<Ins>, Shown, Option<u16>)>,
}

/// A streaming operator.
#[derive(Debug, Clone)]
pub(crate) struct OpSpec {
    pub(crate) family: Family,
    /// Where its words are: with the device or with each part.
    pub(crate) lane: u16,
    /// Canonical text: what makes two operators the same.
    pub(crate) key: String,
    pub(crate) input: Vec<Ins>,
    /// The slots that bring it a sample: those of `input`, directly and through inner operators; of an `input` that reads
    /// events these alone.
    pub(crate) slots: BTreeSet<u16>,
    /// Whether `input` reads slots and constants only, so that a late sample can be worked in (T3).
    pub(crate) plain: bool,
    /// The derived sample that `input` reads: its points, and they alone, are the samples of this operator.
    pub(crate) fed_by: Option<u16>,
    /// Of a derived sample: the operators that it feeds, inner ones first.
    pub(crate) feeds: Vec<u16>,
    /// `input` reads events: nothing is missing between two of them, and one is enough (V5).
    pub(crate) events: bool,
    /// The window or time constant, in seconds.
    pub(crate) window: Option<u16>,
    /// Further constants that the family asks for.
    pub(crate) args: Vec<u16>,
    pub(crate) baseline: Option<Arc<Baseline>>,
    /// The rule that must be quiet for it to learn.
    pub(crate) frozen_by: Option<u16>,
    /// How much time one sample covers at most, in microseconds (V5); `i64::MAX` if the model does not say.
    pub(crate) covers: i64,
    /// Where its words start.
    pub(crate) offset: usize,
}

impl OpSpec {
    /// How many values its code leaves on the stack.
    pub(crate) fn inputs(&self) -> usize {
        let counts = matches!(self.family, Family::Counter | Family::Total);
        self.baseline.as_ref().map_or(if counts { 2 } else { 1 }, |b| b.values() + 1)
    }

    /// Length of its state.
    pub(crate) fn words(&self) -> usize {
        let plain = || self.family.head() + self.family.bucket() * BUCKETS;
        self.baseline.as_ref().map_or_else(plain, |b| b.words())
    }
}

/// A question about a value, answered by a slot of its own.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Whether the text matches.
    Matches(regex::Regex),
    /// What of a counter an `f64` has no room for.
    Rest,
}

/// What an expression reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uses {
    pub(crate) slots: BTreeSet<u16>,
    pub(crate) ops: BTreeSet<u16>,
    /// Those of `slots` that are events, unless an operator made a level of them.
    pub(crate) events: BTreeSet<u16>,
    /// Reads `changed`, which like an event is true at an instant.
    pub(crate) changed: bool,
    pub(crate) folds: BTreeSet<u16>,
    /// The lane of the part whose values it reads; 0 if it reads none outside of a fold.
    pub(crate) lane: u16,
    /// Constants that are the windows of `silent`, …
    pub(crate) silents: BTreeSet<u16>,
    /// … and those of the program's silences that are.
    pub(crate) lengths: BTreeSet<u16>,
    /// Reads `age`, so time alone changes it.
    pub(crate) age: bool,
    /// Reads `known` or `??`: a value that expires can make it true.
    pub(crate) known: bool,
}

impl Uses {
    /// Whether it changes because nothing is heard.
    pub(crate) fn silence(&self) -> bool {
        !self.silents.is_empty() || !self.lengths.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.slots.extend(&other.slots);
        self.ops.extend(&other.ops);
        self.events.extend(&other.events);
        self.changed |= other.changed;
        self.folds.extend(&other.folds);
        self.lane = self.lane.max(other.lane);
        self.silents.extend(&other.silents);
        self.lengths.extend(&other.lengths);
        self.age |= other.age;
        self.known |= other.known;
    }
}

/// A rule compiled for one model.
#[derive(Debug, Clone)]
pub(crate) struct RuleProgram {
    pub(crate) id: RuleId,
    /// Whose levels these are: the device's, or those of each part of a lane.
    pub(crate) lane: u16,
    pub(crate) mode: Mode,
    pub(crate) fault: FaultName,
    pub(crate) rev: u64,
    pub(crate) confidence: f64,
    /// Static condition over the device.
    pub(crate) filter: Option<Vec<Ins>>,
    /// Highest first.
    pub(crate) levels: Vec<LevelProgram>,
    /// A rule with steps has one level, which they raise.
    pub(crate) sequence: Option<SequenceProgram>,
    pub(crate) evidence: Vec<(String, Vec<Ins>, Shown, Option<u16>)>,
    pub(crate) title: Vec<Piece>,
    pub(crate) chart: Option<super::chart::Chart>,
    pub(crate) gap: Gap,
    pub(crate) on_backfill: OnBackfill,
    /// Microseconds.
    pub(crate) stale_after: i64,
    /// What may keep it from raising; `None` for most rules.
    pub(crate) bars: Option<Bars>,
    pub(crate) uses: Uses,
    /// Time alone may change it, while no level waits or is in force: it reads silence or what is unknown, or its steps
    /// have a time.
    pub(crate) timed: bool,
    /// A sample that finds nothing true leaves nothing behind: it is not timed and nothing may bar it.
    pub(crate) still: bool,
    /// Header at this offset, levels behind it.
    pub(crate) offset: usize,
    /// What its expressions were made of; for people only.
    pub(crate) trees: Arc<super::tree::Trees>,
}

/// A level compiled for one model.
#[derive(Debug, Clone)]
pub(crate) struct LevelProgram {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    pub(crate) when: Vec<Ins>,
    /// `None`: not `when`.
    pub(crate) clear: Option<Vec<Ins>>,
    /// Microseconds.
    pub(crate) hold: i64,
    pub(crate) confirm: u32,
    /// Samples that confirm are at least so far apart, in microseconds.
    pub(crate) spacing: i64,
    /// Microseconds.
    pub(crate) clear_hold: i64,
}

/// What to do with time that no sample covers (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// One sample covers so much time after it, in microseconds; `i64::MAX` for no limit.
    pub(crate) max: i64,
    pub(crate) policy: OnGap,
}

/// The policies for longer gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnGap {
    Pause,
    Reset,
    Count,
}

/// What a rule makes of backfilled data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnBackfill {
    Record,
    Act,
    Ignore,
}

/// A piece of a case title.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    /// Code, how to show it, and the slot if it is a bare signal.
    Value(Vec<Ins>, Shown, Option<u16>),
    /// The part that the rule watches: `cell[3]`.
    Component,
    /// What tells it apart from the others of its kind: `3`.
    Key,
    /// What a table says of the code that the rule watches.
    Code(Arc<str>, CodeColumn),
}

/// A stretch of the row with a name of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) offset: usize,
    pub(crate) words: usize,
}

impl Item {
    /// Whether it holds how far a rule is, and nothing of what devices have said.
    pub(crate) fn is_of_rule(&self) -> bool {
        self.key.starts_with("rule ")
    }
}

/// Words of a rule before its levels: time of its last sample, start of the episode, since when its inputs are unknown
/// (or, negative, when time alone last had it looked at), and sequence number, level and flags.
pub(crate) const RULE_WORDS: usize = 4;
/// Most levels of a rule.
pub(crate) const MAX_LEVELS: usize = 8;
/// Words of a level: first true sample, covered time, and count and phase.
pub(crate) const LEVEL_WORDS: usize = 3;

/// A text as a number.
#[expect(clippy::cast_precision_loss, reason = "52 bits fit")]
pub(crate) fn text_value(text: &str) -> f64 {
    (xxh3_64(text.as_bytes()) >> 12) as f64
}
