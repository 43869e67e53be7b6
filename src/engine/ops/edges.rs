//! What became true, for how long it has been, and what came before.

use super::window::{self, count_one, live, tally};
use super::{Op, num, seconds, time, word};

/// Words: start of the current run of true; 0 for nothing seen, 1 for false, 2 for true.
pub(super) fn held(words: &mut [u64], value: f64, at: i64) {
    if value != 1.0 {
        words[0] = 0;
        words[1] = 1;
    } else if words[1] != 2 {
        words[0] = word(at);
        words[1] = 2;
    }
}

pub(super) fn read_held(words: &[u64], now: i64) -> f64 {
    match words[1] {
        0 => f64::NAN,
        2 => seconds((now - time(words[0])).max(0)),
        _ => 0.0,
    }
}

/// When the run of true began that is going on; 0 for none, or not seen to begin.
pub(in crate::engine) fn began(words: &[u64]) -> i64 {
    time(words[0])
}

pub(super) fn read_began(words: &[u64], now: i64) -> f64 {
    f64::from(u8::from(words[1] == 2 && began(words) == now))
}

/// Word: the time of the newest true sample. The order of samples does not matter to it.
pub(super) fn seen(words: &mut [u64], value: f64, at: i64) {
    if value == 1.0 {
        words[0] = word(at.max(time(words[0])));
    }
}

/// Words: when it last became true; 0 for nothing seen, 1 for false, 2 for true. What was true from the first sample on
/// has not been seen to become so.
pub(super) fn rose(words: &mut [u64], value: f64, at: i64) {
    if words[1] == 1 && value == 1.0 {
        words[0] = word(at);
    }
    words[1] = if value == 1.0 { 2 } else { 1 };
}

pub(super) fn read_since(words: &[u64], now: i64) -> f64 {
    match time(words[0]) {
        0 => f64::NAN,
        at => seconds((now - at).max(0)),
    }
}

/// Words: value, time, value before, and how many were seen (up to 2).
pub(super) fn last(words: &mut [u64], value: f64, at: i64) {
    words[2] = words[0];
    words[0] = value.to_bits();
    words[1] = word(at);
    words[3] = (words[3] + 1).min(2);
}

pub(super) fn read_prev(words: &[u64]) -> f64 {
    if words[3] == 2 { num(words[2]) } else { f64::NAN }
}

pub(super) fn read_changed(words: &[u64], now: i64) -> f64 {
    if words[3] == 2 { f64::from(u8::from(time(words[1]) == now && num(words[0]) != num(words[2]))) } else { f64::NAN }
}

/// The head keeps whether the newest sample was true: 0 for nothing seen, 1 for false, 2 for true.
pub(super) fn rises(op: Op<'_>, words: &mut [u64], value: f64, at: i64) {
    let rose = words[2] == 1 && value == 1.0;
    words[2] = if value == 1.0 { 2 } else { 1 };
    window::update(op, words, at, |bucket| {
        if rose {
            count_one(&mut bucket[0]);
        }
    });
}

pub(super) fn read_rises(op: Op<'_>, words: &[u64], now: i64) -> f64 {
    live(op.spec.family, words, now, op.window).map(|b| tally(b[0]).0).sum()
}
