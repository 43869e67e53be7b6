//! Tests of rules as people write them: series of values in, and what must have been detected when. Tests of playbooks
//! (`playbook`) stand in the same files.
//!
//! ```toml
//! [[test]]
//! name  = "…"                       # optional
//! rule  = "coolant-overheat"
//! model = "ice-g1"                  # may be left out if the rule watches one model only
//! start = "2026-01-10T08:00:00Z"    # 2026-01-01T00:00:00Z unless stated
//! every = "10s"                     # one value of each series; `report_every` of the model unless stated
//! device = "car-0042"               # of the registry; or a table:
//! [test.device]                     # as a line of the registry would say it
//! id = "d1"
//! like = "car-0042"                 # what it is otherwise, and its people
//! region = "EU"
//! params = { coolant_max = "110[degC]" }
//! [test.series]                     # see `series`
//! engine_rpm   = "900x60"
//! coolant_temp = "90+2x11, 113x8, _x4, nan, 112x2, 100x40"
//! [[test.also]]                     # further devices: keys as in [test.device], and their series
//! id = "d2"
//! model = "gateway"                 # if it is another one
//! copies = 20                       # so many of them: d2-1, d2-2, …
//! series = { engine_rpm = "0x60" }
//! [[test.late]]                     # what was measured in this time arrives later
//! from = "+2m"
//! to = "+3m"
//! by = "5m"
//! [[test.expect]]
//! at = "+170s"                      # device time; the end of the test unless stated. Or `from` and `to`: all the time
//! level = "major"                   # a level, "ok", "pending", "clearing" or "stale"; a list: one of them
//! title = "…"                       # of the last detection by then: a part of it
//! evidence = { coolant_temp = 113, heat = "3[K/min] ± 0.1" }
//! component = "cell[3]"             # whose level; and device = "d2"
//! episodes = 1                      # begun so far
//! raised_at = "+160s"               # of the newest episode so far; also cleared_at
//! [[test.vary]]                     # each expectation must hold for every variant, too
//! kill_at = "random"                # or "+2m": the process dies there and starts again from an older checkpoint
//! redeliver = 0.1                   # so many of the messages come twice
//! shuffle = "30s"                   # messages arrive up to so much later, in any order; needs `lateness` in the model
//! split = 0.5                       # so many of the messages come in two parts
//! batch = "1m"                      # messages arrive together, at the end of each such interval
//! runs = 5                          # with so many seeds
//! seed = 3                          # with this one alone
//! ```
//!
//! Times are device times and every state is the one at the end of its instant, so an expectation means the same
//! whenever messages arrive. Levels and evidence are what the desk is told: they are read from the detections, and the
//! phases between from the turns of the level machines. The clock of the engine is marked a moment before each message.

mod drive;
mod fleet;
mod judge;
mod junit;
mod playbook;
mod read;
mod report;
mod series;
mod show;
mod telemetry;
mod theatre;

use std::sync::Arc;

use crate::desk;
use crate::domain::Registry;
use crate::engine::Turn;
use crate::rules::Program;
use crate::source::{Diagnostics, FileId, Place};

pub use junit::junit;
pub use report::{Tally, human, json};
pub use series::{Cell, MAX_VALUES, series};

use crate::domain::Detection;

/// What tests are run against.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Models and rules, compiled.
    pub program: Arc<Program>,
    /// Devices and people.
    pub registry: Arc<Registry>,
    /// Playbooks, texts and policies.
    pub desk: Arc<desk::Config>,
}

/// All tests of all files, checked.
#[derive(Debug)]
pub struct Tests {
    list: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    Rule(read::RuleTest),
    Playbook(playbook::PlaybookTest),
}

/// What came of one test.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// How often it was run: once as written, and the variants.
    pub runs: usize,
    /// What did not hold. Empty: passed.
    pub failures: Vec<Failure>,
    /// Of a playbook: the timeline of the case.
    pub story: Option<String>,
}

/// An expectation that did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Where it stands.
    pub place: Place,
    /// What was expected and what was there, one sentence.
    pub message: String,
    /// What was there, in a few words.
    pub was: String,
    /// In which variant; `None`: as written.
    pub variant: Option<String>,
    /// What happened around that time, line by line.
    pub timeline: String,
}

/// What a run of a test gave.
#[derive(Debug, Default)]
struct Told {
    detections: Vec<Detection>,
    turns: Vec<Turn>,
}

impl Tests {
    /// Reads the test files. Every mistake is in `diags` (codes `T0xx`); with errors the tests must not be run.
    #[must_use]
    pub fn load(diags: &mut Diagnostics, files: &[FileId], subject: &Subject) -> Self {
        Self { list: files.iter().flat_map(|file| read::read(diags, *file, subject)).collect() }
    }

    /// Keeps the tests whose name, rule or fault, or file contains `filter`.
    pub fn retain(&mut self, diags: &Diagnostics, filter: &str) {
        self.list.retain(|test| {
            let (name, about, place) = match test {
                Test::Rule(t) => (&t.name, t.rule.as_str(), &t.place),
                Test::Playbook(t) => (&t.name, t.fault.as_str(), &t.place),
            };
            name.contains(filter) || about.contains(filter) || diags.path(place.file).contains(filter)
        });
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Runs them, in the order of the files.
    pub fn run<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = Outcome> + 'a {
        self.list.iter().map(|test| match test {
            Test::Rule(test) => drive::run(test, subject),
            Test::Playbook(test) => playbook::run(test, subject),
        })
    }
}
