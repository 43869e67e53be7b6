//! Opening a store: finding a state that joins the log, or building one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::export::{self, Row};
use super::state::{self, State};
use super::{Error, Head, Store, io_error, log};
use crate::desk::Record;
use crate::domain::At;
use crate::journal::{self, Journal, Pos};

/// A segment of the desk log. The unit tests want to see several of them.
const SEGMENT_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 16 << 20 };
/// Records or rows applied to the state in one batch while it is built.
const BATCH: usize = 512;
/// Or so many bytes of them.
const BATCH_BYTES: usize = 4 << 20;
/// Damaged states kept for people; a later one replaces the last.
const KEPT_DAMAGED: u32 = 3;
/// Where a state stands that is being built: joins no log, so that a crash in between begins again.
const UNFINISHED: Head = Head { seq: 0, hash: [0; 32] };

/// What was found on opening, and what was done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// What the log holds.
    pub log: journal::OpenReport,
    /// Records of the log that the state lacked and now has.
    pub replayed: u64,
    /// Set when the state had to be built anew. Lost nothing, but somebody should know.
    pub rebuilt: Option<Rebuilt>,
    /// Exports that are damaged; they were left where they are.
    pub damaged_exports: Vec<PathBuf>,
    /// Decisions are known or feared to be missing, as after the restore of a backup: nothing may be sent until a person
    /// has looked and [`Store::release_hold`] was called. It stays over restarts.
    pub held: Option<String>,
}

/// A state built anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was wrong with the old one.
    pub why: String,
    /// Where the old one is now; `None` if there was none.
    pub set_aside: Option<PathBuf>,
    /// What the new one was built from, besides the log.
    pub base: Base,
}

/// What a state is built from, besides the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing: the log is whole.
    Genesis,
    /// An export.
    Export {
        /// The file.
        path: PathBuf,
        /// The last record it holds.
        seq: u64,
    },
}

pub(super) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

pub(super) fn exports_dir(dir: &Path) -> PathBuf {
    dir.join("exports")
}

fn state_dir(dir: &Path) -> PathBuf {
    dir.join("state")
}

impl Store {
    /// Opens the store in `dir`, creating it if need be. Damage to the state is repaired and reported; damage to the log
    /// is an error that names the way out.
    pub fn open(dir: &Path) -> Result<(Self, OpenReport), Error> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let options = journal::Options { segment_bytes: SEGMENT_BYTES, ..journal::Options::default() };
        let (log, log_report) = Journal::open(&log_dir(dir), options)?;
        let mut store = Self { dir: dir.to_owned(), log, head: log::genesis(), state: None, trouble: None };
        let report = store.attach()?;
        Ok((store, OpenReport { log: log_report, held: held(dir)?, ..report }))
    }

    /// Makes `dir`, which must hold neither log nor state, a store that continues from an export. It opens with effects
    /// held: what was decided after the export is unknown.
    pub fn restore(dir: &Path, from: &Path) -> Result<Head, Error> {
        for taken in [log_dir(dir), state_dir(dir), exports_dir(dir)] {
            if taken.exists() {
                let source = io::Error::other("it holds a store already; move that away first");
                return Err(Error::Io { doing: "restore into", path: taken, source });
            }
        }
        let (head, rows) = export::read(from)?;
        let exports = exports_dir(dir);
        fs::create_dir_all(&exports).map_err(io_error("create", &exports))?;
        hold(dir, &format!("restored from an export that ends at record {}", head.seq))?;
        let rows = rows.iter().map(|(key, row)| (key.as_slice(), row.as_slice()));
        export::write(&exports.join(format!("{:020}.fwx", head.seq)), head, rows.len(), rows)?;
        Ok(head)
    }

    /// Gets a working state if there is none.
    pub(super) fn heal(&mut self) -> Result<Option<OpenReport>, Error> {
        if self.state.is_some() {
            return Ok(None);
        }
        self.attach().map(Some)
    }

    /// Finds or builds a state that stands where the log ends.
    fn attach(&mut self) -> Result<OpenReport, Error> {
        let mut report = OpenReport::default();
        let exports = self.exports(&mut report)?;
        let last = self.log.next().0 - 1;
        let newest = exports.last().map_or(0, |(head, _)| head.seq);
        if newest > last {
            hold(&self.dir, &format!("the desk log ends at record {last}, an export holds record {newest}"))?;
        }
        let existed = state_dir(&self.dir).exists();
        let why = match State::open(&state_dir(&self.dir), log::genesis()) {
            Ok(state) if state.head() == log::genesis() && (last > 0 || newest > 0) => {
                state::drop_guarded(Some(state));
                "it was missing or empty".to_owned()
            }
            Ok(state) if newest > last => {
                state::drop_guarded(Some(state));
                "an export is newer than the desk log".to_owned()
            }
            Ok(state) => {
                let head = state.head();
                match self.follow(state)? {
                    Ok((state, replayed)) => {
                        self.adopt(state);
                        return Ok(OpenReport { replayed, ..report });
                    }
                    Err(_) if head.seq > last => {
                        let why = format!("the state holds record {}, the desk log ends at {last}", head.seq);
                        hold(&self.dir, &why)?;
                        why
                    }
                    Err(why) => why,
                }
            }
            Err(why) => why,
        };
        let set_aside = if existed { Some(set_aside(&self.dir)?) } else { None };
        tracing::error!(%why, ?set_aside, "state is not usable; building it anew from the desk log");
        let (state, base, replayed) = self.build(exports).inspect_err(|_| {
            // Half a state is of no use to anybody; the disk may be full of them otherwise.
            let _later = fs::remove_dir_all(state_dir(&self.dir));
        })?;
        self.adopt(state);
        Ok(OpenReport { replayed, rebuilt: Some(Rebuilt { why, set_aside, base }), ..report })
    }

    fn adopt(&mut self, state: State) {
        self.head = state.head();
        self.state = Some(state);
        self.trouble = None;
    }

    /// Intact exports, oldest first.
    fn exports(&self, report: &mut OpenReport) -> Result<Vec<(Head, PathBuf)>, Error> {
        let mut intact = Vec::new();
        for (_, path) in export::list(&exports_dir(&self.dir))? {
            match export::check(&path) {
                Ok(head) => intact.push((head, path)),
                Err(error) => {
                    tracing::error!(%error, "damaged export");
                    report.damaged_exports.push(path);
                }
            }
        }
        Ok(intact)
    }

    /// Builds a state from the newest export that joins the log, or from the log alone.
    fn build(&mut self, exports: Vec<(Head, PathBuf)>) -> Result<(State, Base, u64), Error> {
        let mut bases: Vec<_> =
            exports.into_iter().map(|(head, path)| (head, Base::Export { path, seq: head.seq })).collect();
        bases.insert(0, (log::genesis(), Base::Genesis));
        let mut refused = None;
        while let Some((head, base)) = bases.pop() {
            if head.seq + 1 < self.log.reaches_back_to().0 {
                continue;
            }
            let rows = match &base {
                Base::Genesis => Vec::new(),
                Base::Export { path, .. } => export::read(path)?.1,
            };
            let state = load(&state_dir(&self.dir), head, &rows)?;
            if head.seq >= self.log.next().0 {
                // The log lost its end: its numbers are not given again.
                let at = self.log.segments().last().map_or(At::default(), |segment| segment.begun_at);
                self.log.skip_to(Pos(head.seq + 1), at)?;
            }
            match self.follow(state)? {
                Ok((state, replayed)) => return Ok((state, base, replayed)),
                Err(what) => {
                    refused.get_or_insert(Error::Chain { seq: head.seq + 1, what });
                    fs::remove_dir_all(state_dir(&self.dir)).map_err(io_error("remove", &state_dir(&self.dir)))?;
                }
            }
        }
        let no_base = Error::NoBase { first: self.log.reaches_back_to().0, exports: exports_dir(&self.dir) };
        Err(refused.unwrap_or(no_base))
    }

    /// Applies to `state` the records it lacks. The inner error says why it does not join the log.
    fn follow(&self, mut state: State) -> Result<Result<(State, u64), String>, Error> {
        let refuse = |state, why: String| {
            state::drop_guarded(Some(state));
            Ok(Err(why))
        };
        let mut head = state.head();
        let last = self.log.next().0 - 1;
        if head.seq > last || head.seq + 1 < self.log.reaches_back_to().0 {
            let why =
                format!("it ends at record {}, the desk log holds {} to {last}", head.seq, self.log.reaches_back_to());
            return refuse(state, why);
        }
        if head.seq == 0 && head != log::genesis() {
            return refuse(state, "it was not finished".to_owned());
        }
        let (mut replayed, mut batch_bytes) = (0, 0);
        let mut batch: Vec<Record> = Vec::new();
        // From the record it ends with, if that is still there: its hash must be the same.
        let mut reader = self.log.reader(Pos(head.seq).max(self.log.reaches_back_to()))?;
        while let Some((pos, bytes)) = reader.next_record()? {
            let size = bytes.len();
            let entry = log::decode(pos.0, bytes)?;
            if pos.0 == head.seq {
                if entry.head != head {
                    return refuse(state, format!("it does not hold what record {pos} of the desk log says"));
                }
                continue;
            }
            if pos.0 != head.seq + 1 || entry.before != head.hash {
                return refuse(state, format!("record {pos} does not follow record {}", head.seq));
            }
            head = entry.head;
            batch.push(entry.record);
            replayed += 1;
            batch_bytes += size;
            if batch.len() >= BATCH || batch_bytes >= BATCH_BYTES {
                if let Err(why) = state.apply(&batch, head) {
                    return refuse(state, why);
                }
                batch.clear();
                batch_bytes = 0;
            }
        }
        if !batch.is_empty()
            && let Err(why) = state.apply(&batch, head)
        {
            return refuse(state, why);
        }
        Ok(Ok((state, replayed)))
    }
}

/// A new state of these rows.
fn load(dir: &Path, head: Head, rows: &[Row]) -> Result<State, Error> {
    let mut state = State::open(dir, UNFINISHED).map_err(Error::State)?;
    for rows in rows.chunks(BATCH) {
        let rows = rows.iter().map(|(key, row)| (key.as_slice(), Some(row.as_slice())));
        state.put(rows, UNFINISHED).map_err(Error::State)?;
    }
    state.put(std::iter::empty(), head).map_err(Error::State)?;
    Ok(state)
}

fn set_aside(dir: &Path) -> Result<PathBuf, Error> {
    let name = |n| dir.join(format!("state.damaged-{n}"));
    let place = (1..=KEPT_DAMAGED).map(name).find(|place| !place.exists()).unwrap_or_else(|| name(KEPT_DAMAGED));
    if place.exists() {
        fs::remove_dir_all(&place).map_err(io_error("remove", &place))?;
    }
    let state = state_dir(dir);
    fs::rename(&state, &place).map_err(io_error("set aside", &state))?;
    Ok(place)
}

/// The first reason stands until a person has looked.
fn hold(dir: &Path, why: &str) -> Result<(), Error> {
    let path = dir.join("HELD");
    if path.exists() {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        let mut file = File::create(&path)?;
        file.write_all(why.as_bytes())?;
        file.sync_all()?;
        File::open(dir)?.sync_all()
    };
    tracing::error!(%why, "effects are held until a person releases them");
    write().map_err(io_error("write", &path))
}

fn held(dir: &Path) -> Result<Option<String>, Error> {
    let path = dir.join("HELD");
    match fs::read(&path) {
        Ok(why) => Ok(Some(String::from_utf8_lossy(&why).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read", &path)(e)),
    }
}

pub(super) fn release_hold(dir: &Path) -> Result<(), Error> {
    let path = dir.join("HELD");
    match fs::remove_file(&path) {
        Ok(()) => File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("flush", dir)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io_error("remove", &path)(e)),
    }
}
