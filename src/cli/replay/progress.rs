//! How far a replay is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::Speed;
use super::recording::Summary;
use crate::domain::At;

/// How often the display changes.
const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    last_at: At,
    speed: Speed,
    started: Instant,
    shown: Instant,
}

impl Progress {
    pub(super) fn new(summary: &Summary, speed: Speed) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
            ProgressBar::new(summary.messages).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let started = Instant::now();
        Self { bar, total: summary.messages, last_at: summary.last_at, speed, started, shown: started }
    }

    /// `done` messages are published; the recording stands at `at`.
    pub(super) fn at(&mut self, done: u64, at: At) {
        let now = Instant::now();
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if now - self.shown < every {
            return;
        }
        self.shown = now;
        let rate = rate(done, now - self.started);
        let left = self.left(done, at, rate);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{rate:.0}/s  at {at}  {left} left"));
            }
            None => eprintln!("{done} of {} messages, {rate:.0}/s, at {at}, {left} left", self.total),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
    fn left(&self, done: u64, at: At, rate: f64) -> String {
        let seconds = match self.speed {
            Speed::Times(times) => self.last_at.since(at).as_secs_f64() / times,
            Speed::Max if rate > 0.0 => self.total.saturating_sub(done) as f64 / rate,
            Speed::Max => return "?".into(),
        };
        crate::domain::Span::from_secs_f64(seconds.ceil()).to_string()
    }
}

/// Messages a second.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn rate(messages: u64, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64().max(1e-3)
}
