//! Runs compiled expressions. Values are `f64` with NaN for unknown; see `rules::program`.

use jiff::Zoned;

use super::device::Life;
use super::fold::{self, Memo};
use super::ops::{self, Op};
use super::part::Part;
use super::profile::Profile;
use crate::domain::{At, Series};
use crate::rules::{Chart, Ins, MAX_STACK, ModelProgram, Read, regime};

/// The stack of the machine, kept by the caller so that no call has to make one.
pub(super) type Stack = [f64; MAX_STACK];

/// What an expression can see: one device at one instant.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) program: &'a ModelProgram,
    pub(super) profile: &'a Profile,
    /// Of the device.
    pub(super) row: &'a [u64],
    pub(super) parts: &'a [Part],
    /// Index of the part that looks; `usize::MAX` for none.
    pub(super) part: usize,
    /// Its row; that of the device if none looks.
    pub(super) own: &'a [u64],
    pub(super) memo: &'a Memo,
    /// What began up to then has had its episode; `i64::MIN` if that is not asked.
    pub(super) settled: i64,
    /// Start of the open episode; `i64::MIN` for none.
    pub(super) opened: i64,
    /// Device time.
    pub(super) now: i64,
    pub(super) life: &'a Life,
}

impl<'a> View<'a> {
    /// What the part with this index sees: itself and its device.
    pub(super) fn of(self, part: usize) -> Self {
        Self { part, own: &self.parts[part].row, ..self }
    }

    /// The row in which the words of a lane are.
    pub(super) fn words(&self, lane: u16) -> &'a [u64] {
        if lane == 0 { self.row } else { self.own }
    }

    fn konst(&self, ix: u16) -> f64 {
        self.profile.consts[usize::from(ix)]
    }
}

/// The value of `code`.
pub(super) fn run(view: &View<'_>, code: &[Ins], stack: &mut Stack) -> f64 {
    // One bare slot or comparison is the usual case and ends after a few steps.
    let mut top = 0;
    let mut at = 0;
    macro_rules! push {
        ($v:expr) => {{
            stack[top] = $v;
            top += 1;
        }};
    }
    macro_rules! binary {
        (|$a:ident, $b:ident| $v:expr) => {{
            let ($a, $b) = (stack[top - 2], stack[top - 1]);
            top -= 1;
            stack[top - 1] = $v;
        }};
    }
    while let Some(ins) = code.get(at) {
        at += 1;
        match *ins {
            Ins::Const(c) => push!(view.konst(c)),
            Ins::Slot(s) => push!(slot(view, s)),
            Ins::Affine(f, o) => {
                stack[top - 1] = stack[top - 1] * view.konst(f) + view.konst(o);
            }
            Ins::Add => binary!(|a, b| finite(a + b)),
            Ins::Sub => binary!(|a, b| finite(a - b)),
            Ins::Mul => binary!(|a, b| finite(a * b)),
            Ins::Div => binary!(|a, b| finite(a / b)),
            Ins::Neg => stack[top - 1] = -stack[top - 1],
            Ins::Abs => stack[top - 1] = stack[top - 1].abs(),
            Ins::Sqrt => stack[top - 1] = stack[top - 1].sqrt(),
            Ins::Ln => stack[top - 1] = finite(stack[top - 1].ln()),
            Ins::Exp => stack[top - 1] = finite(stack[top - 1].exp()),
            Ins::Min => binary!(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }),
            Ins::Max => binary!(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }),
            Ins::Not => stack[top - 1] = not(stack[top - 1]),
            Ins::And => binary!(|a, b| and(a, b)),
            Ins::Or => binary!(|a, b| or(a, b)),
            Ins::Eq => binary!(|a, b| truth(a, b, a == b)),
            Ins::Ne => binary!(|a, b| truth(a, b, a != b)),
            Ins::Lt => binary!(|a, b| truth(a, b, a < b)),
            Ins::Le => binary!(|a, b| truth(a, b, a <= b)),
            Ins::Gt => binary!(|a, b| truth(a, b, a > b)),
            Ins::Ge => binary!(|a, b| truth(a, b, a >= b)),
            Ins::Known => stack[top - 1] = from_bool(!stack[top - 1].is_nan()),
            Ins::OrElse => binary!(|a, b| if a.is_nan() { b } else { a }),
            Ins::Choose => {
                let (condition, yes, no) = (stack[top - 3], stack[top - 2], stack[top - 1]);
                top -= 2;
                stack[top - 1] = choose(condition, yes, no);
            }
            Ins::SkipIfFalse(n) => at += if stack[top - 1] == 0.0 { usize::from(n) } else { 0 },
            Ins::SkipIfTrue(n) => at += if stack[top - 1] == 1.0 { usize::from(n) } else { 0 },
            Ins::Age(s) => push!(age(view, s)),
            Ins::Now => push!(clock(view)),
            Ins::Opened => push!(if view.opened == i64::MIN { f64::NAN } else { ops::seconds(view.opened) }),
            Ins::Interval => push!(view.life.usual_interval()),
            Ins::Hour(zone) => push!(civil(view, zone, |t| t.hour())),
            Ins::Weekday(zone) => push!(civil(view, zone, |t| t.date().weekday().to_monday_zero_offset())),
            Ins::SilentFor => {
                let limit = stack[top - 1];
                stack[top - 1] = silent(view, limit);
            }
            Ins::Silent(c) => push!(silent(view, view.konst(c))),
            Ins::Cut(cut) => stack[top - 1] = group(&view.program.cuts[usize::from(cut)], stack[top - 1]),
            Ins::Regime(count) => {
                top -= usize::from(count);
                push!(regime(&stack[top..top + usize::from(count)]));
            }
            Ins::Fold(ix) => push!(fold::value(view, ix)),
            Ins::Chosen(sel) => push!(from_bool(view.parts[view.part].chosen[usize::from(sel)])),
            Ins::Fresh(op) => push!(fresh(view, op)),
            Ins::Read(read, op) => {
                top -= read.pops();
                push!(operator(view, read, op, &stack[top..]));
            }
        }
    }
    if top == 0 { f64::NAN } else { stack[top - 1] }
}

// What follows is kept out of the loop above, which would have to save its registers for it in every turn.

/// What an operator says, with what it takes from the stack.
#[inline(never)]
fn operator(view: &View<'_>, read: Read, op: u16, args: &[f64]) -> f64 {
    let ix = usize::from(op);
    let spec = &view.program.ops[ix];
    let op = view.profile.op(ix, spec);
    let words = &view.words(spec.lane)[spec.offset..];
    let ahead = spec.fed_by.and_then(|sample| ahead(view, op, usize::from(sample)));
    finite(ops::read(read, op, ahead.as_deref().unwrap_or(words), view.now, args))
}

/// The course of what a rule's chart shows; `None` with less than two points of it.
pub(super) fn course(view: &View<'_>, chart: &Chart, stack: &mut Stack) -> Option<Series> {
    let ix = usize::from(chart.op);
    let spec = &view.program.ops[ix];
    let op = view.profile.op(ix, spec);
    let words = &view.words(spec.lane)[spec.offset..];
    let ahead = spec.fed_by.and_then(|sample| ahead(view, op, usize::from(sample)));
    let points = ops::course(op, ahead.as_deref().unwrap_or(words), view.now);
    let limit = Some(run(view, &chart.limit, stack)).filter(|limit| limit.is_finite());
    let points: Vec<(At, f64)> = points.into_iter().map(|(at, value)| (At::from_micros(at), value)).collect();
    (points.len() > 1).then(|| Series { unit: chart.unit.to_string(), points, limit })
}

/// Whether the run that an operator follows is newer than what has had its episode.
#[inline(never)]
fn fresh(view: &View<'_>, op: u16) -> f64 {
    let spec = &view.program.ops[usize::from(op)];
    from_bool(ops::began(&view.words(spec.lane)[spec.offset..]) > view.settled)
}

/// Device time in seconds since 1970.
#[inline(never)]
fn clock(view: &View<'_>) -> f64 {
    ops::seconds(view.now)
}

/// Whether nothing was heard for so many seconds.
#[inline(never)]
fn silent(view: &View<'_>, limit: f64) -> f64 {
    if limit.is_nan() { f64::NAN } else { from_bool(view.life.silence(view.now) >= ops::micros(limit)) }
}

/// A part of the time of day or week in a zone.
#[inline(never)]
fn civil(view: &View<'_>, zone: u16, part: fn(&Zoned) -> i8) -> f64 {
    let zone = view.profile.zones.get(usize::from(zone)).cloned();
    zone.map_or(f64::NAN, |zone| f64::from(part(&At::from_micros(view.now).to_jiff().to_zoned(zone))))
}

/// The words of an operator over a derived sample, with the point of the period under way worked in.
fn ahead(view: &View<'_>, op: Op<'_>, sample: usize) -> Option<Vec<u64>> {
    let sample = &view.program.ops[sample];
    let at = ops::sample::open(&view.words(sample.lane)[sample.offset..])?;
    let start = op.spec.offset;
    let mut words = view.words(op.spec.lane)[start..start + op.spec.words()].to_vec();
    let mut stack = [0.0; MAX_STACK];
    let value = run(&View { now: at, ..*view }, &op.spec.input, &mut stack);
    if !value.is_nan() {
        ops::update(op, &mut words, &stack[..op.spec.inputs()], at);
    }
    Some(words)
}

/// A signal, unknown once it is older than its time to live (V1).
fn slot(view: &View<'_>, slot: u16) -> f64 {
    let spec = &view.program.slots[usize::from(slot)];
    let words = &view.words(spec.lane)[spec.offset..];
    let (value, time) = (words[0], words[1]);
    let fresh = view.now.saturating_sub(ops::time(time)) <= spec.ttl;
    if fresh { f64::from_bits(value) } else { spec.expired }
}

#[inline(never)]
#[expect(clippy::cast_precision_loss, reason = "microseconds of 285 years fit well enough")]
fn age(view: &View<'_>, slot: u16) -> f64 {
    let spec = &view.program.slots[usize::from(slot)];
    match view.words(spec.lane)[spec.offset + 1] {
        0 => f64::NAN,
        time => (view.now - ops::time(time)).max(0) as f64 / 1e6,
    }
}

/// How many of `edges`, which ascend, do not lie above `value`.
#[inline(never)]
#[expect(clippy::cast_precision_loss, reason = "a few edges")]
fn group(edges: &[f64], value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { edges.partition_point(|edge| *edge <= value) as f64 }
}

/// Overflow and division by zero are unknown (V4).
fn finite(v: f64) -> f64 {
    if v.is_finite() { v } else { f64::NAN }
}

fn from_bool(b: bool) -> f64 {
    f64::from(u8::from(b))
}

/// A comparison of something unknown is unknown.
fn truth(a: f64, b: f64, holds: bool) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { from_bool(holds) }
}

fn not(a: f64) -> f64 {
    1.0 - a
}

/// Kleene's and: false wins over unknown (V2).
fn and(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

/// Kleene's or: true wins over unknown (V2).
pub(super) fn or(a: f64, b: f64) -> f64 {
    if a == 1.0 || b == 1.0 { 1.0 } else { a + b }
}

/// An unknown condition leaves the choice unknown, unless both choices are the same.
fn choose(condition: f64, yes: f64, no: f64) -> f64 {
    if condition.is_nan() {
        if yes == no { yes } else { f64::NAN }
    } else if condition == 1.0 {
        yes
    } else {
        no
    }
}

/// The result of a static condition for a device without a row.
pub(super) fn run_static(program: &ModelProgram, profile: &Profile, code: &[Ins]) -> f64 {
    let (memo, life) = (Memo::default(), Life::new(0));
    let view = View {
        program,
        profile,
        row: &[],
        parts: &[],
        part: usize::MAX,
        own: &[],
        memo: &memo,
        settled: i64::MIN,
        opened: i64::MIN,
        now: 0,
        life: &life,
    };
    run(&view, code, &mut [0.0; MAX_STACK])
}
