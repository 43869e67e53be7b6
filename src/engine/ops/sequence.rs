//! Steps in order: A, then B in time, unless C.
//!
//! The input is a mask: bit `i` says that step `i` is true, bit `steps + i` that its `unless` is, bit `2 * steps` that the
//! first step is known at all. Words: what the first step last was (0 nothing, 1 false, 2 true), when a match was last
//! complete and the times of its steps, then the partial matches with the times of the steps taken, oldest first; a
//! time of 0 is a step not taken.

use super::{Op, micros, seconds, time, word};
use crate::rules::{Family, Read, Steps};

const HEAD: usize = 2;

fn steps(op: Op<'_>) -> Steps {
    match op.spec.family {
        Family::Sequence(steps) => steps,
        _ => Steps::default(),
    }
}

/// How long after the step before it step `ix` may come.
fn within(op: Op<'_>, ix: usize) -> i64 {
    micros(op.arg(ix - 1))
}

fn taken(partial: &[u64]) -> usize {
    partial.iter().take_while(|t| **t != 0).count()
}

/// When the time of the next step of a partial match runs out.
fn deadline_of(op: Op<'_>, partial: &[u64]) -> i64 {
    match taken(partial) {
        0 => i64::MAX,
        n => time(partial[n - 1]).saturating_add(within(op, n)),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of small powers of two")]
pub(super) fn update(op: Op<'_>, words: &mut [u64], mask: f64, at: i64) {
    let Steps { count, overlap, every } = steps(op);
    let (count, overlap) = (usize::from(count), usize::from(overlap));
    let mask = mask as u64;
    let is = |bit: usize| mask >> bit & 1 == 1;
    let (head, rest) = words.split_at_mut(HEAD + count);
    let partials = &mut rest[..count * overlap];
    for partial in partials.chunks_exact_mut(count) {
        let next = taken(partial);
        if next == 0 {
            continue;
        }
        if at > deadline_of(op, partial) || is(count + next) {
            partial.fill(0);
        } else if is(next) && at > time(partial[next - 1]) {
            partial[next] = word(at);
            if next + 1 == count {
                head[1] = word(at);
                head[HEAD..].copy_from_slice(partial);
                partial.fill(0);
            }
        }
    }
    if is(0) && (every || head[0] != 2) {
        begin(partials, count, at);
    }
    if is(2 * count) {
        head[0] = if is(0) { 2 } else { 1 };
    }
}

/// A new partial match takes a free place, or that of the oldest.
fn begin(partials: &mut [u64], count: usize, at: i64) {
    // Two messages of one instant begin one match.
    if partials.chunks_exact(count).any(|p| time(p[0]) == at) {
        return;
    }
    let oldest = partials.chunks_exact_mut(count).min_by_key(|p| p[0]);
    if let Some(place) = oldest {
        place.fill(0);
        place[0] = word(at);
    }
}

/// The partial matches.
fn partials<'a>(op: Op<'_>, words: &'a [u64]) -> impl Iterator<Item = &'a [u64]> + use<'a> {
    let Steps { count, overlap, .. } = steps(op);
    let (count, overlap) = (usize::from(count), usize::from(overlap));
    words[HEAD + count..HEAD + count + count * overlap].chunks_exact(count.max(1))
}

/// The partial match whose time has run out at `now`, the first of them.
fn missed<'a>(op: Op<'_>, words: &'a [u64], now: i64) -> Option<&'a [u64]> {
    partials(op, words).filter(|p| deadline_of(op, p) <= now).min_by_key(|p| deadline_of(op, p))
}

/// The times of the steps of what is complete, or has run out, at `now`.
fn found<'a>(op: Op<'_>, words: &'a [u64], now: i64) -> &'a [u64] {
    let complete = &words[HEAD..HEAD + usize::from(steps(op).count)];
    if time(words[1]) == now { complete } else { missed(op, words, now).unwrap_or(complete) }
}

pub(super) fn read(read: Read, op: Op<'_>, words: &[u64], now: i64) -> f64 {
    match read {
        Read::Complete => f64::from(u8::from(words[1] != 0 && time(words[1]) == now)),
        Read::Missed => f64::from(u8::from(missed(op, words, now).is_some())),
        Read::Step(ix) => match found(op, words, now).get(usize::from(ix)) {
            Some(t) if *t != 0 => seconds(now - time(*t)),
            _ => f64::NAN,
        },
        _ => f64::NAN,
    }
}

/// Device time at which the first of the partial matches runs out; `i64::MAX` if there is none.
pub(in crate::engine) fn deadline(op: Op<'_>, words: &[u64]) -> i64 {
    partials(op, words).map(|p| deadline_of(op, p)).min().unwrap_or(i64::MAX)
}

/// The times of the steps that have been taken, and when the next one must have come, of each partial match.
pub(in crate::engine) fn under_way<'a>(op: Op<'a>, words: &'a [u64]) -> impl Iterator<Item = (&'a [u64], i64)> {
    partials(op, words).map(move |p| (&p[..taken(p)], deadline_of(op, p))).filter(|(taken, _)| !taken.is_empty())
}

/// The times of the steps of the match that was complete last, if there was one.
pub(in crate::engine) fn last<'a>(op: Op<'_>, words: &'a [u64]) -> Option<&'a [u64]> {
    (words[1] != 0).then(|| &words[HEAD..HEAD + usize::from(steps(op).count)])
}

/// When that began which is complete, or has run out, at `now`.
pub(in crate::engine) fn began(op: Op<'_>, words: &[u64], now: i64) -> i64 {
    time(found(op, words, now)[0])
}

/// Drops the partial matches that have run out at `now`.
pub(in crate::engine) fn expire(op: Op<'_>, words: &mut [u64], now: i64) {
    let Steps { count, overlap, .. } = steps(op);
    let (count, overlap) = (usize::from(count), usize::from(overlap));
    let partials = &mut words[HEAD + count..HEAD + count + count * overlap];
    for partial in partials.chunks_exact_mut(count.max(1)).filter(|p| deadline_of(op, p) <= now) {
        partial.fill(0);
    }
}
