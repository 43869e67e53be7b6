//! The desk log and the state built from it; the only place that names sled.
//!
//! ```text
//! <dir>/log/                 the desk log: every record the desk decided, hash-chained. The truth.
//! <dir>/state/               sled: what the records add up to, for a fast start. Can be deleted at any time.
//! <dir>/state.damaged-<n>/   a state that was not to be trusted, kept for people (at most 3)
//! <dir>/exports/<seq>.fwx    checksummed copies of the state; the log may be trimmed only behind them
//! <dir>/HELD                 why effects must not be sent until a person has agreed
//! ```
//! The keys of what is sealed in all of these are in a file of their own, elsewhere: [`KeyFile`].
//!
//! [`Store::commit`] appends to the log and flushes it, then applies the record to the state in one batch. A record
//! counts as soon as it is in the log: if the state cannot follow (disk full, sled in trouble), the commit has
//! succeeded all the same, [`Store::trouble`] says why, and [`Store::checkpoint`] builds the state anew without a
//! restart.
//!
//! Nothing depends on sled's own recovery. What it stores carries checksums, and one row holds the log's number and hash,
//! and what all others must add up to. On opening, all of that is checked in a thread of its own, because
//! sled 0.34 panics on some damage and silently forgets rows on other. A state that panics, hangs, does not add up, or
//! does not join the log is set aside and built anew from the newest usable export and the log.

mod export;
mod heads;
mod keys;
mod log;
mod open;
mod state;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use heads::{SignedHead, Signer};
pub use keys::KeyFile;
pub use log::{Anchor, Verified, records, verify};
pub use open::{Base, OpenReport, Rebuilt};
pub use state::Rows;

use self::state::State;
use crate::desk::Record;
use crate::domain::At;
use crate::journal::{self, Journal, Keep, Pos, Trimmed};

/// A place in the desk log: the number of a record and the hash of everything up to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the record, 0 before the first.
    pub seq: u64,
    /// The chain hash.
    pub hash: [u8; 32],
}

impl std::fmt::Display for Head {
    /// `seq:hash` in decimal and hexadecimal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, blake3::Hash::from(self.hash).to_hex())
    }
}

impl std::str::FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, hash) = text.split_once(':').ok_or("a head is written SEQ:HASH")?;
        let seq = seq.parse().map_err(|_| "the part before the colon is no number")?;
        let hash = blake3::Hash::from_hex(hash).map_err(|_| "the part behind the colon is no hash of 64 digits")?;
        Ok(Self { seq, hash: hash.into() })
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Why the store cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The desk log.
    #[error("desk log: {0}")]
    Log(#[from] journal::Error),
    /// A record of the log is not what was written, or not where it was written.
    #[error(
        "the desk log does not hold together at record {seq}: {what}. Nothing was changed. Way out: put the log \
         directory back from a backup; or keep a copy of it, move it away and start from the last export, which starts \
         with effects held"
    )]
    Chain {
        /// The first record that does not fit.
        seq: u64,
        /// In what way.
        what: String,
    },
    /// Heads that were kept elsewhere cannot be believed.
    #[error("{path}: {why}")]
    Heads {
        /// Their file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The log begins too late, and no export reaches up to it.
    #[error(
        "the state cannot be rebuilt: the desk log begins at record {first} and no intact export joins it. Way out: put \
         an export that ends at record {} or later into {}", first.saturating_sub(1), exports.display()
    )]
    NoBase {
        /// The first record of the log.
        first: u64,
        /// Where exports are looked for.
        exports: PathBuf,
    },
    /// The state database does not work, even built anew.
    #[error("the state database does not work: {0}")]
    State(String),
    /// An export is not usable.
    #[error("{} is not a usable export: {why}", path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The file of the keys is not usable.
    #[error(
        "the keys of personal data in {} cannot be used: {why}. Nothing was changed. Way out: put the file back from its \
         own backup; or move it away, and all personal data stored so far is erased", path.display()
    )]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file operation failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether nothing happened and the same call can succeed later (a full disk).
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Log(e) if e.retryable())
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.to_owned(), source }
}

/// The desk's memory. One per directory, owned by one thread.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    log: Journal,
    head: Head,
    /// `None` while it is in trouble.
    state: Option<State>,
    trouble: Option<String>,
}

impl Store {
    /// Commits one record: durable in the log when this returns `Ok`, and its effects may be released. Gives its number.
    /// On an error nothing of it is kept: a retryable one ([`Error::retryable`]) may be tried again, with this record or
    /// another; after any other the program must stop and start again.
    pub fn commit(&mut self, record: &Record) -> Result<u64, Error> {
        self.commit_batch(std::slice::from_ref(record))
    }

    /// Commits several records with one flush, all or none of them acknowledged. Gives the number of the last one.
    pub fn commit_batch(&mut self, records: &[Record]) -> Result<u64, Error> {
        let mut head = self.head;
        let written = records
            .iter()
            .try_for_each(|record| {
                let (bytes, next) = log::encode(head, record);
                head = next;
                self.log.append(record.at, &bytes).map(drop)
            })
            .and_then(|()| self.log.commit());
        if let Err(error) = written {
            self.log.discard();
            return Err(error.into());
        }
        self.head = head;
        if let Some(state) = &mut self.state
            && let Err(why) = state.apply(records, head)
        {
            tracing::error!(%why, seq = head.seq, "state cannot follow the desk log; nothing is lost");
            self.trouble = Some(why);
            state::drop_guarded(self.state.take());
        }
        Ok(head.seq)
    }

    /// All rows of the state. Right after opening they are in memory already.
    pub fn rows(&self) -> Result<Rows, Error> {
        self.state()?.rows().map_err(Error::State)
    }

    /// Flushes the state to the disk, so that a restart replays less. Builds it anew first if it is in trouble, and then
    /// reports what was done. Nothing is lost if this is never called.
    pub fn checkpoint(&mut self) -> Result<Option<OpenReport>, Error> {
        let healed = self.heal()?;
        self.state()?.flush().map_err(Error::State)?;
        Ok(healed)
    }

    /// Writes an export of the state into the store's own directory, keeps the newest `keep` of them (at least one), and
    /// gives its path. Drops log segments that are older than the oldest export kept and beyond the limits of `log`.
    pub fn export(&mut self, keep: usize, log: Keep, now: At) -> Result<PathBuf, Error> {
        self.heal()?;
        let exports = open::exports_dir(&self.dir);
        fs::create_dir_all(&exports).map_err(io_error("create", &exports))?;
        let path = exports.join(format!("{:020}.fwx", self.head.seq));
        self.export_to(&path)?;
        let mut all = export::list(&exports)?;
        all.truncate(all.len().saturating_sub(keep.max(1)));
        for (_, old) in all {
            fs::remove_file(&old).map_err(io_error("remove", &old))?;
        }
        self.trim_behind_export(log, now)?;
        Ok(path)
    }

    /// Writes an export of the state to `path`, replacing it whole.
    pub fn export_to(&self, path: &Path) -> Result<(), Error> {
        let rows = self.rows()?;
        export::write(path, self.head, rows.len(), rows.iter())
    }

    /// Without an intact export nothing is dropped.
    fn trim_behind_export(&mut self, keep: Keep, now: At) -> Result<Trimmed, Error> {
        let exports = export::list(&open::exports_dir(&self.dir))?;
        for (_, path) in exports {
            match export::check(&path) {
                Ok(head) => return Ok(self.log.trim(Pos(head.seq + 1), keep, now)?),
                Err(error) => tracing::error!(%error, "damaged export; it protects nothing"),
            }
        }
        Ok(Trimmed::default())
    }

    /// The number of the last committed record; 0 before the first.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.head.seq
    }

    /// The number and chain hash of the last committed record: to be kept elsewhere, so that a shortened log shows.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The chain hash of the last committed record.
    #[must_use]
    pub const fn head_hash(&self) -> [u8; 32] {
        self.head.hash
    }

    /// Size of the log in bytes.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Why the state does not follow the log at present, for health.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A person has agreed that effects may be sent again: see [`OpenReport::held`].
    pub fn release_hold(&mut self) -> Result<(), Error> {
        open::release_hold(&self.dir)
    }

    fn state(&self) -> Result<&State, Error> {
        let why = || Error::State(self.trouble.clone().unwrap_or_default());
        self.state.as_ref().ok_or_else(why)
    }
}
