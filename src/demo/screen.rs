//! The terminal: one line an event, a line at the bottom that says what goes on. Or JSON lines.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::timeline::{Event, Look};

/// Where to write, and how.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    json: bool,
    bar: ProgressBar,
}

impl Screen {
    /// `progress`: whether somebody watches, so that the line at the bottom may move.
    #[must_use]
    pub fn new(look: Look, json: bool, progress: bool) -> Self {
        let target = if progress && !json { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { look, json, bar }
    }

    /// Words that are not an event; machines don't get them.
    pub fn say(&self, text: &str) {
        if !self.json {
            self.write(text);
        }
    }

    /// One JSON object for machines; people don't get it.
    pub fn object(&self, text: &str) {
        if self.json {
            self.write(text);
        }
    }

    /// An event.
    pub fn event(&self, event: &Event) {
        let line = if self.json { self.look.json(event) } else { self.look.line(event) };
        self.write(&line);
    }

    /// The line at the bottom.
    pub fn progress(&self, text: String) {
        self.bar.set_message(text);
    }

    /// Takes the line at the bottom away.
    pub fn close(&self) {
        self.bar.finish_and_clear();
    }

    fn write(&self, text: &str) {
        // Who pipes us into `head` has read enough; the demo goes on to its orderly end.
        self.bar.suspend(|| writeln!(io::stdout().lock(), "{text}").ok());
    }
}
