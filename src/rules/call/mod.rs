//! The functions and operators that expressions can call.
//!
//! | call | value |
//! |---|---|
//! | `avg(m, w)` `min(m, w)` `max(m, w)` `sum(m, w)` `n(m, w)` `stddev(m, w)` | over the last `w` (V5) |
//! | `rate(m, w)` | (newest - oldest in `w`) / time between, per second |
//! | `slope(m, w)` `r2(m, w)` | least squares over `w`: change per second, and how well a line fits (0..1) |
//! | `time_to(m, limit, w)` | time until that line reaches `limit`; unknown with fewer than 5 samples, r2 below 0.5, or moving away |
//! | `first(m, w)` `last(m, w)` `delta(m, w)` | the oldest and the newest sample in `w`; newest - oldest |
//! | `ewma(m, tau)` | running mean with time constant `tau` |
//! | `rises(e, w)` | how often `e` went from false to true in `w` |
//! | `held(e)` | how long `e` has been true without a break; 0 while false |
//! | `since(e)` | time since `e` last went from false to true; of an event or `changed(x)`: since it was last true |
//! | `since(device.x)` | time since an instant in the registry: RFC 3339, or a date (its midnight where the device is) |
//! | `happened(e, w)` `count_of(e, w)` | whether, and in how many samples, `e` was true in the last `w`; false and 0 if never heard |
//! | `increase(m, w)` `resets(m, w)` | what a counter grew by in `w`, whatever resets and rollovers lie in it, and how many resets |
//! | `total_since(m, device.marker.x)` | a counter minus what the registry noted of it, as at the last service |
//! | `time_true(e, w)` `duty(e, w)` | how long `e` was true in `w`, and the share of the covered time (0..1) |
//! | `mean_on(e, w)` | mean length of the runs of true that reach into `w`; unknown if there are none |
//! | `prev(m)` `changed(m)` | the sample before the newest; whether the newest differs from it |
//! | `known(x)` `age(signal)` | whether `x` is known; time since the signal was last sent |
//! | `hour()` `weekday()` | the hour (0..23) and the day (`'mon'`..) where the device stands, or in a zone that is named |
//! | `usual_interval` | how far apart its messages usually are: a running mean, of device time; unknown before the second |
//! | `silent(w)` | nothing at all was heard for `w`, our own outages not counted |
//! | `only(m, e)` | `m` while `e` holds, otherwise unknown: feeds a window with the samples that mean something |
//! | `z(m, NAME)` `centre(NAME)` `scale(NAME)` | against `[rule.baseline.NAME]`; see `call::evidence` |
//! | `cusum(m, k, h, NAME)` `cusum_low(m, k, h, NAME)` | whether a small shift up (down) has lasted; without `h` its sum |
//! | `t2(NAME)` | how far several signals together are from what is usual |
//! | `max(m)` `min` `mean` `spread` `median` `argmin` `argmax` `count(e)` | over the components that `m` reads, unknown ones left out |
//! | `active(dtc, sel)` `appeared` `cleared` | whether a code that is meant is active, has just come, is gone; `sel` is `'P03*'` or `codes.obd2.class == 'oil'` |
//! | `active_for(dtc, sel)` | for how long the longest active one has been; 0 if there is none |
//! | `quantile(m, q, w)` | the value that a share `q` of the last `w` lies below; rank within 0.02 |
//! | `resid(m, w)` | how far the newest sample is from a parabola through those before it |
//! | `evt(m, q)` `evt(m, q, w)` | what `m` exceeds by chance in a share `q` of its samples (SPOT); calibrates for 256 samples and `w` |
//! | `sqrt(a)` `ln(a)` `exp(a)` | of plain numbers |
//! | `min(a, b)` `max(a, b)` `abs(a)` | of plain values |
//!
//! `min(m, 1h)` is a window unless `m` is itself a computed duration, as in `min(time_to(…), 7d)`.

mod clock;
mod codes;
mod counter;
mod edges;
mod events;
mod evidence;
mod fold;
mod instant;
mod runs;
mod shape;
mod trend;
mod window;

pub(super) use events::{is_opening, opening};

use std::ops::RangeInclusive;

use super::check::{Checker, Typed};
use super::expr::{Expr, Word};
use super::program::{Const, Ins, Read};
use super::types::{Ty, seconds};
use crate::domain::Dimension;
use crate::source::{Diagnostic, did_you_mean};

/// Longest window: what a bucket's 32 bits of covered milliseconds hold with room to spare.
const MAX_WINDOW_S: f64 = 400.0 * 86_400.0;

/// A function that expressions can call.
struct Call {
    name: &'static str,
    /// How it is called, for messages.
    usage: &'static str,
    /// How many arguments it takes.
    takes: RangeInclusive<usize>,
    /// Checks a call that has so many arguments.
    check: fn(&mut Checker<'_>, &Word, &[Expr]) -> Option<Typed>,
}

const GROUPS: &[&[Call]] = &[
    window::CALLS,
    fold::CALLS,
    codes::CALLS,
    trend::CALLS,
    edges::CALLS,
    events::CALLS,
    runs::CALLS,
    counter::CALLS,
    clock::CALLS,
    instant::CALLS,
    evidence::CALLS,
    shape::CALLS,
];

/// The names of all of them.
#[cfg(test)]
pub(crate) fn functions() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().copied().flatten().map(|call| call.name)
}

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &Word, args: &[Expr], e: &Expr) -> Option<Typed> {
        let calls = || GROUPS.iter().copied().flatten();
        let Some(call) = calls().find(|c| c.name == &*name.text) else {
            let hint = did_you_mean(&name.text, calls().map(|c| c.name)).map(|n| format!("did you mean `{n}`?"));
            let finding = Diagnostic::error("R013", format!("there is no function '{}'", name.text)).maybe_hint(hint);
            self.report_at(finding, &name.span, "unknown function");
            return None;
        };
        if !call.takes.contains(&args.len()) {
            let s = if args.len() == 1 { "" } else { "s" };
            let message = format!("'{}' does not take {} argument{s}", call.name, args.len());
            self.report(Diagnostic::error("R016", message).hint(format!("it is called as {}", call.usage)), e, "");
            return None;
        }
        (call.check)(self, name, args)
    }

    fn read(&mut self, read: Read, op: u16, ty: Ty, input: &Typed, window: Option<&Typed>) -> Typed {
        let mut uses = input.uses.clone();
        uses.ops.insert(op);
        // What an operator does with an unknown input is its own affair.
        uses.known = false;
        uses.events.clear();
        uses.changed = read == Read::Changed;
        let window = window.map(|w| format!(", {}", w.text)).unwrap_or_default();
        let text = format!("{read:?}({}{window})", input.text).to_lowercase();
        Typed { ty, text, code: vec![Ins::Read(read, op)], konst: None, literal: None, slot: None, uses }
    }

    /// Refuses inputs that change without a sample: an operator sees samples only.
    pub(in crate::rules) fn streamable(&mut self, input: Typed, at: &Expr) -> Option<Typed> {
        if !input.uses.silence() {
            return Some(input);
        }
        let finding = Diagnostic::error("R034", "silent() has no samples that could be followed over time");
        self.report(finding, at, "reads silent()");
        None
    }

    /// A window or time constant: a positive duration known when the rules are loaded.
    pub(in crate::rules) fn window(&mut self, w: &Expr) -> Option<Typed> {
        let typed = self.check(w)?;
        self.window_of(typed, w)
    }

    fn window_of(&mut self, typed: Typed, w: &Expr) -> Option<Typed> {
        let wrong = |message: &str| {
            Diagnostic::error("R034", message.to_owned()).hint("write a duration such as 10m, or a param")
        };
        match &typed.ty {
            Ty::Num(u, _) if u.dimension == Dimension::TIME => {}
            ty => {
                let found = ty.what();
                self.report(wrong("a window must be a duration"), w, found);
                return None;
            }
        }
        if typed.konst.is_none() {
            self.report(wrong("a window must be known when the rules are loaded"), w, "changes while running");
            return None;
        }
        let typed = self.convert_to(typed, &seconds());
        if let Some(Const::Num(n)) = typed.konst
            && !(n > 0.0 && n <= MAX_WINDOW_S)
        {
            self.report(wrong("a window must be longer than nothing and at most 400d"), w, "");
            return None;
        }
        Some(typed)
    }
}
