//! Recordings, for everything that looks back: a CSV file, JSON lines, a folder of them, or the daemon's own journal.
//!
//! # Formats
//! * **CSV**, plain, gzip or zstd: one row a message, with the columns `ts` (ISO 8601, UTC unless it names an offset),
//!   `device`, and one for each signal. An empty field is not in the message. How columns and signals find each other:
//!   `columns`.
//! * **JSON lines**: `{"at", "topic", "payload"}`, as published.
//! * **A folder** of such files. They are merged by time; CSV files without `ts` and `device` (labels lie beside
//!   recordings) are left out and named.
//! * **The journal** of a daemon: its data folder. It may be running; what it writes meanwhile is not read.
//!
//! # Time
//! Entries come in the order of time. A recording does not say when its messages arrived, so each is taken to have
//! arrived at its own time; a file that is not in the order of time is sorted first, in memory. The clock runs on with the
//! messages of all devices ([`Kind::Mark`]), so that timers, values that expire and silence act as they do live: a gap
//! in what one device sent is silence of that device, never an outage of ours. A journal has its own marks, and its own
//! outages.
//!
//! # Values
//! A row of a CSV goes straight to readings, with the checks of the decoder: the result is that of publishing the row
//! with `forewarn replay`.

mod columns;
mod file;
mod findings;
mod journal;
mod merge;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use file::{Columns, Line, Lines, Publish, Row};
pub use findings::{Finding, Findings};

use crate::decode;
use crate::domain::{At, Detection, DeviceId, Registry, Span};
use crate::engine::{self, Engine};
use crate::model::{Binding, Message, Models};
use journal::Journal;
use merge::Merge;

/// How often the clock is marked.
const MARK_EVERY: Span = Span::from_secs(1);

/// What is wrong with a recording, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// Its name.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// The first line of a CSV file does not name the columns of a recording.
    #[error("{file}:1: {reason}")]
    Columns {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// One line cannot be used; the others can.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing in it.
    #[error("{file} holds no message")]
    Empty {
        /// The file or folder.
        file: String,
    },
    /// Too much to be sorted in memory.
    #[error("{file} is not in the order of time and too large to be sorted here (more than {} MiB): sort it by ts", merge::MAX_SORTED >> 20)]
    TooLarge {
        /// The file.
        file: String,
    },
    /// A folder of too many files.
    #[error("{file} holds {count} files; at most {} are read at once: join them", merge::MAX_FILES)]
    TooMany {
        /// The folder.
        file: String,
        /// How many.
        count: usize,
    },
    /// The journal cannot be read (any further).
    #[error("journal: {0}")]
    Journal(#[from] crate::journal::Error),
}

/// Who may speak in a recording.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// All models.
    pub models: Arc<Models>,
    /// Says which model a device is of.
    pub registry: Arc<Registry>,
    /// The model of devices that the registry does not know, as an index into `models`; with a single model, that one.
    pub model: Option<usize>,
}

impl Fleet {
    /// The model of a device: what the registry says, else what [`Self::model`] says, else the only one.
    #[must_use]
    pub fn model_of(&self, device: &str) -> Option<usize> {
        let known = self.registry.devices.get(device).and_then(|d| self.models.index(&d.model));
        known.or(self.model).or((self.models.list.len() == 1).then_some(0))
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Time has passed, and nothing was missed (T5).
    #[default]
    Mark,
    /// A message, decoded.
    Row,
    /// A message as it was published.
    Publish,
}

/// One thing of a recording: a message or a mark of the clock. A buffer to be used again and again.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// When it was received; of a mark, the mark.
    pub at: At,
    /// Of a message: from whom.
    pub binding: Arc<Binding>,
    /// Of a message: the broker had kept it.
    pub retained: bool,
    /// Of a row.
    pub message: Message,
    /// Of a row: tells it from others of the same time.
    pub fingerprint: u64,
    /// Of a publish.
    pub payload: Vec<u8>,
    /// Where it stands: the line of its file, or the position in the journal.
    pub place: u64,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            kind: Kind::Mark,
            at: At::default(),
            binding: Arc::new(Binding::plain(0, DeviceId::from(""))),
            retained: false,
            message: Message::default(),
            fingerprint: 0,
            payload: Vec::new(),
            place: 0,
        }
    }
}

impl Entry {
    /// Has the engine take it in.
    ///
    /// # Errors
    /// The payload cannot be decoded; nothing has changed.
    pub fn play(&self, engine: &mut Engine, out: &mut Vec<Detection>) -> Result<(), decode::Error> {
        match self.kind {
            Kind::Mark => engine.clock(self.at, out),
            Kind::Row => {
                engine.apply(&self.binding, &self.message, self.fingerprint, self.at, self.retained, out);
            }
            Kind::Publish => return engine.message(&self.binding, &self.payload, self.at, self.retained, out),
        }
        Ok(())
    }
}

/// An open recording.
#[derive(Debug)]
pub struct Recording {
    source: Source,
    fleet: Fleet,
    findings: Findings,
}

#[derive(Debug)]
enum Source {
    Files(Box<Merge>),
    Journal(Box<Journal>),
}

impl Recording {
    /// Opens a file, a folder of files, or the data folder of a daemon.
    ///
    /// # Errors
    /// It cannot be read, or is no recording.
    pub fn open(path: &Path, fleet: Fleet) -> Result<Self, Error> {
        let mut findings = Findings::default();
        let source = match journal_of(path) {
            Some(dir) => Source::Journal(Box::new(Journal::open(&dir)?)),
            None => Source::Files(Box::new(Merge::open(path, &mut findings)?)),
        };
        Ok(Self { source, fleet, findings })
    }

    /// Reads the next entry into `entry`, whose memory is used again; `false` at the end.
    ///
    /// # Errors
    /// It cannot be read any further. Lines that cannot be used are passed over and counted in [`Self::findings`].
    pub fn read(&mut self, entry: &mut Entry) -> Result<bool, Error> {
        match &mut self.source {
            Source::Files(files) => files.read(&self.fleet, &mut self.findings, entry),
            Source::Journal(journal) => journal.read(&self.fleet, &mut self.findings, entry),
        }
    }

    /// How many lines there are, if that is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        match &self.source {
            Source::Files(files) => Some(files.total()),
            Source::Journal(_) => None,
        }
    }

    /// How an engine must be set to play it: in files nothing is an outage of ours.
    #[must_use]
    pub fn engine_settings(&self) -> engine::Settings {
        match self.source {
            Source::Files(_) => engine::Settings { mark_gap: Span::MAX, grace: Span::ZERO },
            Source::Journal(_) => engine::Settings::default(),
        }
    }

    /// What was noticed so far: nothing is passed over without being counted here.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}

/// The directory of the journal, if `path` is one or a daemon's data folder.
fn journal_of(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), path.join("journal")].into_iter().find(|dir| dir.is_dir() && crate::journal::is_in(dir))
}
