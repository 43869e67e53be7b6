//! From instants and values to places on a page, and the ticks beside them.

use serde::Serialize;

use crate::domain::{At, Span};

/// A mark on an axis.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Time from left to right.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeScale {
    from: At,
    to: At,
    left: f64,
    width: f64,
}

impl TimeScale {
    pub(super) fn new(from: At, to: At, left: f64, width: f64) -> Self {
        Self { from, to: to.max(from + Span::from_micros(1)), left, width }
    }

    /// The place of an instant; what is outside stands at the edge.
    pub(super) fn x(&self, at: At) -> f64 {
        let share = (at.clamp(self.from, self.to) - self.from).as_secs_f64() / (self.to - self.from).as_secs_f64();
        tenth(self.left + share * self.width)
    }

    pub(super) fn holds(&self, at: At) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Round instants, at most seven or so.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        const STEPS: [i64; 22] = [
            1,
            5,
            15,
            30,
            60,
            300,
            900,
            1_800,
            3_600,
            10_800,
            21_600,
            43_200,
            86_400,
            172_800,
            432_000,
            864_000,
            1_728_000,
            2_592_000,
            5_184_000,
            15_552_000,
            31_536_000,
            157_680_000,
        ];
        let seconds = (self.to - self.from).as_millis() / 1_000;
        let step = STEPS.into_iter().find(|step| seconds / step <= 7).unwrap_or(STEPS[21]);
        let mut at = self.from.as_secs().div_euclid(step) * step;
        let mut ticks = Vec::new();
        while At::from_secs(at) <= self.to {
            if At::from_secs(at) >= self.from {
                ticks.push(Tick { at: self.x(At::from_secs(at)), label: label(At::from_secs(at), step) });
            }
            at += step;
        }
        ticks
    }
}

fn label(at: At, step: i64) -> String {
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().replace('T', " ");
    match step {
        s if s < 60 => part(11..19),
        s if s < 86_400 => part(5..16),
        _ => part(0..10),
    }
}

pub(super) fn day(at: At) -> String {
    label(at, i64::MAX)
}

/// An instant from the scorer's seconds.
pub(super) fn instant(seconds: f64) -> At {
    At::default() + Span::from_secs_f64(seconds)
}

/// Values from bottom to top.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueScale {
    low: f64,
    high: f64,
    top: f64,
    height: f64,
}

impl ValueScale {
    /// For all of these, with some room.
    pub(super) fn new(values: impl Iterator<Item = f64>, top: f64, height: f64) -> Self {
        let (low, high) = values.filter(|v| v.is_finite()).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.1 };
        Self { low: low - room, high: high + room, top, height }
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        tenth(self.top + (self.high - value) / (self.high - self.low) * self.height)
    }

    /// Three or four round values.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let raw = (self.high - self.low) / 4.0;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
        let mut value = (self.low / step).ceil() * step;
        let mut ticks = Vec::new();
        while value <= self.high && ticks.len() < 6 {
            // As short as it can be without saying something else.
            let places = (-power.log10().floor() + 1.0).clamp(0.0, 6.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 6")]
            let text = format!("{:.*}", places as usize, value + 0.0);
            let text =
                if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
            ticks.push(Tick { at: self.y(value), label: text });
            value += step;
        }
        ticks
    }
}

/// A tenth of a pixel is enough, and keeps the page small.
pub(super) fn tenth(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}
