//! Streaming operators: bounded state in the words of a row, updated by one sample at a time.
//!
//! ```text
//! window   buckets; sums, extremes and moments over them
//! trend    lines and rates
//! sequence steps in order
//! counter  resets and rollovers
//! sample   one point a period
//! runs     for how much of the time something was true
//! edges    what became true, for how long, and what came before
//! resid    off a short trend; sketch: quantiles of a window; tail: how far values go by chance
//! ewma     the running mean
//! baseline what is usual, by regime; distance: the same of several signals; cusum: what adds up against it
//! ```
//! Zero words are an operator that has seen nothing; a time of 0 means none.

pub(super) mod baseline;
pub(super) mod counter;
mod cusum;
mod distance;
mod edges;
mod ewma;
mod resid;
mod runs;
pub(super) mod sample;
pub(super) mod sequence;
mod sketch;
mod tail;
mod trend;
mod window;

use crate::rules::{Family, OpSpec, Read};

#[expect(clippy::cast_possible_wrap, reason = "a time stored as its bits")]
pub(super) fn time(word: u64) -> i64 {
    word as i64
}

#[expect(clippy::cast_sign_loss, reason = "a time stored as its bits")]
pub(super) fn word(time: i64) -> u64 {
    time as u64
}

/// Seconds as microseconds; saturates.
#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate")]
pub(super) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "times of this age are below 2^53 microseconds")]
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn num(word: u64) -> f64 {
    f64::from_bits(word)
}

/// An operator with what the registry makes of its constants for one device.
#[derive(Clone, Copy)]
pub(super) struct Op<'a> {
    pub(super) spec: &'a OpSpec,
    /// Microseconds; 0 if it has none, or an impossible one.
    pub(super) window: i64,
    pub(super) consts: &'a [f64],
    /// It must not learn now.
    pub(super) frozen: bool,
}

impl Op<'_> {
    /// The value of its `n`th further constant.
    pub(super) fn arg(&self, n: usize) -> f64 {
        self.spec.args.get(n).map_or(f64::NAN, |c| self.consts[usize::from(*c)])
    }
}

pub(super) use edges::began;

/// Works in a sample of an operator's input. `words` starts at the operator's own; `inputs` is what its code
/// leaves on the stack, the last of them known.
pub(super) fn update(op: Op<'_>, words: &mut [u64], inputs: &[f64], at: i64) {
    let value = inputs.last().copied().unwrap_or(f64::NAN);
    match op.spec.family {
        Family::Baseline => baseline::update(op, words, inputs, at),
        Family::Cusum => cusum::update(op, words, value),
        Family::Tail => tail::update(op, words, value, at),
        Family::Held => edges::held(words, value, at),
        Family::Counter | Family::Total => counter::update(op, words, inputs, at),
        Family::Sample(_) => sample::update(op, words, value, at),
        Family::Sequence(_) => sequence::update(op, words, value, at),
        Family::Seen => edges::seen(words, value, at),
        Family::Rose => edges::rose(words, value, at),
        Family::Last => edges::last(words, value, at),
        Family::Ewma => ewma::update(words, value, at, op.window),
        _ if op.window <= 0 => {}
        Family::Rises => edges::rises(op, words, value, at),
        Family::Runs => runs::update(op, words, value, at),
        Family::Rate => trend::rate(op, words, value, at),
        Family::Resid => resid::update(op, words, value, at),
        family => window::update(op, words, at, |bucket| add(family, bucket, value, at, op.window)),
    }
}

/// Works a late sample into its bucket, if that is still open and the order of samples does not matter to it (T3). It
/// covers its bucket: what lay between it and its neighbours can no longer be told.
pub(super) fn update_late(op: Op<'_>, words: &mut [u64], inputs: &[f64], at: i64) {
    let family = op.spec.family;
    let value = inputs.last().copied().unwrap_or(f64::NAN);
    match family {
        Family::Baseline => return baseline::update_late(op, words, inputs),
        Family::Seen => return edges::seen(words, value, at),
        _ => {}
    }
    let any_order =
        matches!(family, Family::Sum | Family::Min | Family::Max | Family::Moments | Family::Trend | Family::Sketch);
    if any_order && op.window > 0 {
        window::update_late(op, words, at, |bucket| add(family, bucket, value, at, op.window));
    }
}

/// Adds a sample to a bucket of a family that does not ask for the order.
fn add(family: Family, bucket: &mut [u64], value: f64, at: i64, window: i64) {
    match family {
        Family::Sum => window::sum(bucket, value),
        Family::Min => window::extreme(bucket, value, f64::min),
        Family::Max => window::extreme(bucket, value, f64::max),
        Family::Moments => window::moments(bucket, value),
        Family::Trend => trend::line(bucket, value, at, window),
        Family::Sketch => sketch::add(bucket, value),
        // The others are updated by functions of their own.
        _ => {}
    }
}

/// What the operator says at `now`; NaN for unknown. `args` starts with what it takes from the stack.
pub(super) fn read(read: Read, op: Op<'_>, words: &[u64], now: i64, args: &[f64]) -> f64 {
    let covered = || window::covered(op, words, now);
    match read {
        Read::Held => edges::read_held(words, now),
        Read::Began => edges::read_began(words, now),
        Read::Grown | Read::Resets | Read::Total | Read::TotalCarried => counter::read(read, op, words),
        Read::Point => sample::read(op, words, now),
        Read::Complete | Read::Missed | Read::Step(_) => sequence::read(read, op, words, now),
        Read::Since => edges::read_since(words, now),
        Read::Prev => edges::read_prev(words),
        Read::Changed => edges::read_changed(words, now),
        Read::Ewma => ewma::read(words),
        Read::Z => baseline::z(op, words, args[0], args[1]),
        Read::Centre => baseline::centre(op, words, args[0]),
        Read::Scale => baseline::scale(op, words, args[0]),
        Read::T2(count) => baseline::t2(op, words, &args[..usize::from(count)], args[usize::from(count)]),
        Read::Cusum => cusum::read(words),
        Read::Tail => tail::read(op, words),
        _ if op.window <= 0 => f64::NAN,
        Read::Rate | Read::Delta | Read::First | Read::Newest => trend::read_ends(read, words, now, op.window),
        Read::Count => window::count(op, words, now),
        _ if !covered() => f64::NAN,
        Read::TimeTrue | Read::Duty | Read::MeanOn => runs::read(read, op, words, now),
        Read::Rises => edges::read_rises(op, words, now),
        Read::Sum => window::total(op, words, now).0,
        Read::Avg => {
            let (sum, n) = window::total(op, words, now);
            sum / n
        }
        Read::Min => window::read_extreme(op, words, now, f64::min),
        Read::Max => window::read_extreme(op, words, now, f64::max),
        Read::Stddev => window::stddev(op, words, now),
        Read::Quantile => sketch::read(op, words, now, args[0]),
        Read::Resid => resid::read(op, words, now),
        Read::Slope | Read::R2 | Read::TimeTo => trend::read_line(read, words, now, op.window, args[0]),
    }
}

/// The course of what a trend follows: time and value, oldest first.
pub(super) fn course(op: Op<'_>, words: &[u64], now: i64) -> Vec<(i64, f64)> {
    if op.window > 0 { trend::course(words, now, op.window) } else { Vec::new() }
}

/// How many samples the window of an operator holds and which share of it they cover; `None` for what is no such window.
pub(super) fn fill(op: Op<'_>, words: &[u64], now: i64) -> Option<(u64, f64)> {
    let kept = matches!(op.spec.family, Family::Sum | Family::Min | Family::Max | Family::Moments | Family::Trend);
    (kept && op.window > 0).then(|| window::fill(op, words, now))
}
