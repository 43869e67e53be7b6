//! Everything that must survive: an append-only segment log, used for the telemetry journal and for the desk log.
//!
//! A journal is a directory of segment files. A segment begins with a header and holds frames; a frame is
//! `crc-32c | length | sequence | payload`. Sequence numbers ([`Pos`]) start at 1 and never repeat. Records are
//! appended to a buffer and become durable together with [`Journal::commit`]: one write, one `fdatasync`. Only what a
//! commit has returned may be acknowledged to anybody.
//!
//! What is found on opening decides between two cases. Bytes at the very end that form no frame are what a crash in
//! the middle of a write leaves behind: never acknowledged, cut off, reported. Bytes that form no frame but have
//! frames behind them are damage to records that were acknowledged: the journal refuses to open or to be read past
//! them, and the error says where and what can be done. Opening reads the last segment only; the others are known by
//! their headers, which hold the length of the segment before and the last sequence number in it, so that a missing
//! or shortened file shows at once. A flipped bit in an older segment shows when it is read ([`check`] reads all).
//!
//! When a write fails (disk full), the journal cuts its file back to the last commit and keeps the uncommitted frames:
//! the same `commit` may be repeated, or the frames dropped with [`Journal::discard`]. When a flush fails, nothing is
//! known any more about what is on the disk: every later call fails, and the process must start again.
//!
//! The frame checksum begins with the checksum of the segment's header. A payload that imitates frames, to be taken
//! for one after a torn write, would have to know the microsecond at which its segment was begun.
//!
//! # Why not a crate
//! `wal-db` 1.1.0 was read first. It finds torn tails, groups commits, has a strict mode that refuses damage followed by
//! intact records, and holds no unsafe code on Linux. It does not stand these: a failed flush is not remembered, and
//! its documentation says that a later one may then return success; a failed write leaves the log unusable until
//! records are cut away by hand; the directory is never flushed, so a power cut can take a new segment with everything
//! synced into it; the mark where a trimmed log begins is overwritten in place, and without it (torn by a crash) the
//! default mode cuts the log to nothing, the strict mode refuses to open; nothing prevents two writers; opening reads
//! every kept segment, which for a recording of days is no restart in two seconds; and each record costs one system
//! call.

mod frame;
mod history;
mod reader;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use history::History;
pub use reader::Reader;
pub use segment::SegmentInfo;
pub use writer::{Journal, Trimmed};

pub use crate::domain::Pos;
use crate::domain::Span;

/// The largest payload of one record, in bytes.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// How a journal is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// A commit that leaves the segment at or above this size begins a new one. Bytes.
    pub segment_bytes: u64,
    /// Uncommitted frames take at most this much memory; [`Journal::append`] refuses more. Bytes.
    pub pending_bytes: usize,
    /// The number of the first record if the journal is empty. Not 1 when older records are known to have existed.
    pub start: Pos,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, pending_bytes: 32 << 20, start: Pos(1) }
    }
}

/// What of the records that nobody needs any more is kept as a recording. Segments beyond either limit go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// All segments together, in bytes.
    pub bytes: u64,
    /// How long after its last record a segment is kept.
    pub age: Span,
}

impl Keep {
    /// Nothing is dropped.
    pub const ALL: Self = Self { bytes: u64::MAX, age: Span::MAX };
    /// Everything that may be dropped is.
    pub const NOTHING: Self = Self { bytes: 0, age: Span::ZERO };
}

/// What was found on opening.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// The oldest record kept; `None` when there is none.
    pub first: Option<Pos>,
    /// The newest record; `None` when there is none.
    pub last: Option<Pos>,
    /// What was cut off the end: the rest of a write that a crash interrupted.
    pub torn: Option<Torn>,
}

/// A torn tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment it was cut off from.
    pub file: PathBuf,
    /// Where it began.
    pub offset: u64,
    /// How much it was.
    pub bytes: u64,
}

/// Reads a journal from end to end and says what it holds. Needs no lock; meant for `doctor` and audits.
pub fn check(dir: &Path) -> Result<OpenReport, Error> {
    let mut reader = Reader::open(dir, Pos::START)?;
    let mut report = OpenReport::default();
    while let Some((pos, _)) = reader.next_record()? {
        report.first = report.first.or(Some(pos));
        report.last = Some(pos);
    }
    report.torn = reader.torn();
    Ok(report)
}

/// Whether there are segments of a journal in `dir`.
#[must_use]
pub fn is_in(dir: &Path) -> bool {
    segment::list(dir).is_ok_and(|segments| !segments.is_empty())
}

/// Why a journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{} is in use by another process; stop it first", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A file operation failed that is neither the write nor the flush of records.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Records could not be written. None of them is durable, all of them are still pending: commit may be repeated.
    #[error("cannot write to {}: {source}; nothing of it counts as stored, and it can be repeated", path.display())]
    Write {
        /// The segment.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Records could not be flushed: what is on the disk is unknown, and must be found out by opening anew.
    #[error("cannot flush {}: {source}; what is on the disk is unknown, so the program must stop and start again", path.display())]
    Sync {
        /// The segment or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An earlier flush failed.
    #[error("the journal in {} cannot be used until it is opened anew: {why}", dir.display())]
    Failed {
        /// The directory.
        dir: PathBuf,
        /// The first failure.
        why: String,
    },
    /// Acknowledged records are damaged or missing.
    #[error(
        "{} is damaged at byte {offset}: {what}. The records before {next} are intact. Way out: stop the program, keep a \
         copy of the directory, then put the file back from a backup; or move this file and the segments after it out \
         of the directory, which gives up record {next} and all later ones",
        file.display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
        /// The first record that cannot be read.
        next: Pos,
    },
    /// The records asked for were trimmed away.
    #[error("record {wanted} is no longer kept: the journal begins at {first}")]
    Gone {
        /// What was asked for.
        wanted: Pos,
        /// The oldest one there is.
        first: Pos,
    },
    /// The payload is larger than [`MAX_RECORD_BYTES`].
    #[error("a record of {bytes} bytes is too large: the limit is {MAX_RECORD_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// [`Options::pending_bytes`] is reached: commit first.
    #[error("{bytes} bytes wait to be committed: no more is taken in")]
    Full {
        /// What waits.
        bytes: usize,
    },
}

impl Error {
    /// Whether the same call can succeed later without opening the journal anew (a full disk, a full buffer).
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Full { .. })
    }
}

/// Names the file in an I/O error.
fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.to_owned(), source }
}
