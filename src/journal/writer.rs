//! The writing side: append, commit, trim.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::segment::{self, HEADER, Header, Next, SegmentInfo, SegmentReader};
use super::{Error, History, Keep, MAX_RECORD_BYTES, OpenReport, Options, Pos, Reader, Torn, frame, io_error};
use crate::domain::At;

/// How long a lock is waited for: a predecessor may be on its last breath.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The buffer of pending frames gives memory back above this. Bytes.
const KEPT_CAPACITY: usize = 1 << 20;

/// A journal open for writing. One at a time per directory.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    /// Open for as long as the lock must hold.
    _lock: File,
    options: Options,
    /// Oldest first; the last one is written to.
    segments: Vec<SegmentInfo>,
    active: Option<Active>,
    /// The number of the last committed record; `start - 1` in an empty journal.
    committed: u64,
    /// The number of the last appended record.
    appended: u64,
    /// The instant of the last appended record.
    appended_at: At,
    /// Frames not yet committed.
    pending: Vec<u8>,
    /// Bytes of a failed write may lie behind the last commit and could not be cut off yet.
    untidy: bool,
    /// Why nothing works any more.
    failed: Option<String>,
}

#[derive(Debug)]
struct Active {
    file: File,
    path: PathBuf,
    salt: u32,
    /// The end of the last committed frame.
    end: u64,
}

/// What [`Journal::trim`] dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trimmed {
    /// Files.
    pub segments: usize,
    /// Their size.
    pub bytes: u64,
}

impl Journal {
    /// Opens the journal in `dir`, creating it if need be. Cuts a torn tail off; refuses damage before intact records.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, OpenReport), Error> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let lock = lock(dir)?;
        let mut torn = None;
        let mut firsts = segment::list(dir)?;
        if let Some(bytes) = unborn(dir, firsts.last().copied())? {
            let file = segment::path_of(dir, firsts.pop().unwrap_or(0));
            fs::remove_file(&file).map_err(io_error("remove", &file))?;
            sync_dir(dir)?;
            torn = Some(Torn { file, offset: 0, bytes });
        }
        let start = options.start.0.max(1);
        let mut journal = Self {
            dir: dir.to_owned(),
            _lock: lock,
            segments: Vec::with_capacity(firsts.len()),
            active: None,
            committed: start - 1,
            appended: start - 1,
            appended_at: At::MIN,
            pending: Vec::new(),
            untidy: false,
            failed: None,
            options,
        };
        journal.take_stock(&firsts)?;
        if let Some(first) = firsts.last() {
            torn = torn.or(journal.scan_last(*first)?);
        }
        let report = OpenReport { first: journal.first(), last: journal.last(), torn };
        Ok((journal, report))
    }

    /// Reads the headers of all segments and checks that they follow one another.
    fn take_stock(&mut self, firsts: &[u64]) -> Result<(), Error> {
        for first in firsts {
            let path = segment::path_of(&self.dir, *first);
            let Some(reader) = SegmentReader::open(&self.dir, *first)? else {
                return Err(header_damaged(path, *first));
            };
            let header = *reader.header();
            if let Some(before) = self.segments.last() {
                if header.previous_first != before.first.0 {
                    let next = Pos(header.previous_first);
                    let what = format!("the segment before it, {next:0>20}.seg, is missing");
                    return Err(Error::Damaged { file: path, offset: 0, what, next });
                }
                if header.previous_bytes != before.bytes {
                    let what =
                        format!("{} bytes were written to it, {} are there", header.previous_bytes, before.bytes);
                    let offset = before.bytes.min(header.previous_bytes);
                    return Err(Error::Damaged { file: before.path.clone(), offset, what, next: before.first });
                }
            }
            let bytes = path.metadata().map_err(io_error("read", &path))?.len();
            self.segments.push(SegmentInfo { path, first: Pos(*first), bytes, begun_at: header.begun_at });
        }
        Ok(())
    }

    /// Finds the end of the last segment, cuts a torn tail off and opens it for writing.
    fn scan_last(&mut self, first: u64) -> Result<Option<Torn>, Error> {
        let path = segment::path_of(&self.dir, first);
        let Some(mut reader) = SegmentReader::open(&self.dir, first)? else {
            return Err(header_damaged(path, first));
        };
        let tail = loop {
            match reader.next()? {
                Next::Record(_) => {}
                Next::End => break 0,
                Next::Broken => break reader.judge_tail()??,
            }
        };
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
        let end = reader.offset();
        if tail > 0 {
            file.set_len(end).map_err(io_error("shorten", &path))?;
            file.sync_data().map_err(|source| Error::Sync { path: path.clone(), source })?;
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes = end;
        }
        // The header counts for the numbers even when no record follows it.
        self.committed = reader.last().max(first - 1);
        self.appended = self.committed;
        self.appended_at = reader.header().begun_at;
        self.active = Some(Active { file, path: path.clone(), salt: reader.salt(), end });
        Ok((tail > 0).then_some(Torn { file: path, offset: end, bytes: tail }))
    }

    /// Takes a record in and gives its number. It is durable only after [`Journal::commit`]. `at` is its instant by the
    /// caller's clock; it dates segments for trimming and is not stored per record.
    pub fn append(&mut self, at: At, payload: &[u8]) -> Result<Pos, Error> {
        self.check()?;
        if payload.len() > MAX_RECORD_BYTES {
            return Err(Error::TooLarge { bytes: payload.len() });
        }
        if !self.pending.is_empty() && self.pending.len() + payload.len() > self.options.pending_bytes {
            return Err(Error::Full { bytes: self.pending.len() });
        }
        let salt = match &self.active {
            Some(active) => active.salt,
            None => self.begin_segment(self.committed + 1, at)?,
        };
        frame::encode(salt, self.appended + 1, payload, &mut self.pending);
        self.appended += 1;
        self.appended_at = at;
        Ok(Pos(self.appended))
    }

    /// Makes everything appended so far durable and gives the number of the last record. On [`Error::Write`] nothing
    /// new is durable and the same call may be repeated. On [`Error::Sync`] the journal is finished.
    pub fn commit(&mut self) -> Result<Pos, Error> {
        self.check()?;
        if self.pending.is_empty() {
            return Ok(Pos(self.committed));
        }
        self.tidy()?;
        let Some(active) = &mut self.active else { return Ok(Pos(self.committed)) };
        let write_failed = |source| Error::Write { path: active.path.clone(), source };
        if let Err(source) = write_frames(&active.file, &self.pending, active.end) {
            let error = write_failed(source);
            self.untidy = true;
            // If even this fails now, it is tried again before the next write.
            let _later = self.tidy();
            return Err(error);
        }
        if let Err(source) = sync_file(&active.file) {
            let error = Error::Sync { path: active.path.clone(), source };
            self.failed = Some(error.to_string());
            return Err(error);
        }
        active.end += self.pending.len() as u64;
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes = active.end;
        }
        self.committed = self.appended;
        self.pending.clear();
        self.pending.shrink_to(KEPT_CAPACITY);
        let full = self.segments.last().is_some_and(|segment| segment.bytes >= self.options.segment_bytes);
        if full {
            // What was committed stays committed. A segment that cannot be begun now (full disk) is begun after a
            // later commit; a failed flush is remembered and stops the next call.
            let _later = self.begin_segment(self.committed + 1, self.appended_at);
        }
        Ok(Pos(self.committed))
    }

    /// Drops everything appended since the last commit; its numbers are given anew.
    pub fn discard(&mut self) {
        self.pending.clear();
        self.appended = self.committed;
    }

    /// Numbers below `next` will not be used: the next record gets `next`. For a journal that lost its end while
    /// positions in it are remembered elsewhere. Does nothing if the numbers are already past it.
    pub fn skip_to(&mut self, next: Pos, at: At) -> Result<(), Error> {
        self.check()?;
        self.discard();
        if next.0 > self.committed + 1 {
            self.begin_segment(next.0, at)?;
        }
        Ok(())
    }

    /// Drops the oldest segments as long as all their records are before `before` and they are beyond one of the limits
    /// of `keep`. The segment being written to always stays.
    pub fn trim(&mut self, before: Pos, keep: Keep, now: At) -> Result<Trimmed, Error> {
        self.check()?;
        let mut trimmed = Trimmed::default();
        while let [oldest, second, ..] = self.segments.as_slice() {
            let too_old = now.since(second.begun_at) > keep.age;
            if second.first > before || !(too_old || self.bytes() > keep.bytes) {
                break;
            }
            fs::remove_file(&oldest.path).map_err(io_error("remove", &oldest.path))?;
            trimmed.segments += 1;
            trimmed.bytes += oldest.bytes;
            self.segments.remove(0);
        }
        if trimmed.segments > 0 {
            sync_dir(&self.dir)?;
        }
        Ok(trimmed)
    }

    /// Reads committed records, from `from` on.
    pub fn reader(&self, from: Pos) -> Result<Reader, Error> {
        Reader::new(&self.dir, from, Some(Pos(self.committed)))
    }

    /// What is committed now, for threads that read beside this one.
    #[must_use]
    pub fn history(&self) -> History {
        History { dir: self.dir.clone(), segments: self.segments.clone(), until: Pos(self.committed) }
    }

    /// The oldest record kept; `None` if there is none.
    #[must_use]
    pub fn first(&self) -> Option<Pos> {
        self.segments.first().map(|segment| segment.first).filter(|first| first.0 <= self.committed)
    }

    /// The position it reaches back to: everything that was committed from here on can be read. The number of the next
    /// record if none is kept.
    #[must_use]
    pub fn reaches_back_to(&self) -> Pos {
        self.segments.first().map_or(Pos(self.committed + 1), |segment| segment.first)
    }

    /// The newest committed record; `None` if none is kept.
    #[must_use]
    pub fn last(&self) -> Option<Pos> {
        self.first().map(|_| Pos(self.committed))
    }

    /// The number of the next record if everything appended so far is committed.
    #[must_use]
    pub const fn next(&self) -> Pos {
        Pos(self.appended + 1)
    }

    /// Size of all segments: what is committed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Size of what waits for [`Journal::commit`].
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }

    fn check(&self) -> Result<(), Error> {
        match &self.failed {
            Some(why) => Err(Error::Failed { dir: self.dir.clone(), why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Cuts off what a failed write left behind.
    fn tidy(&mut self) -> Result<(), Error> {
        if let Some(active) = self.active.as_ref().filter(|_| self.untidy) {
            active.file.set_len(active.end).map_err(|source| Error::Write { path: active.path.clone(), source })?;
        }
        self.untidy = false;
        Ok(())
    }

    /// Begins a segment whose first record will be `first`; gives its salt. On failure the present one stays in use.
    fn begin_segment(&mut self, first: u64, at: At) -> Result<u32, Error> {
        let (previous_first, previous_bytes) = self.segments.last().map_or((0, 0), |last| (last.first.0, last.bytes));
        debug_assert!(previous_first < first, "a segment must never be begun over another one");
        let header = Header { first, follows: self.committed, previous_first, previous_bytes, begun_at: at };
        let (bytes, salt) = header.encode();
        let path = segment::path_of(&self.dir, first);
        self.tidy()?;
        let created = create(&path, &bytes).and_then(|file| sync_dir(&self.dir).map(|()| file));
        let file = match created {
            Ok(file) => file,
            Err(error) => {
                if matches!(error, Error::Sync { .. }) {
                    self.failed = Some(error.to_string());
                }
                // If it stays: a segment of at most a header, which the next opening removes.
                let _later = fs::remove_file(&path);
                return Err(error);
            }
        };
        self.active = Some(Active { file, path: path.clone(), salt, end: HEADER as u64 });
        self.segments.push(SegmentInfo { path, first: Pos(first), bytes: HEADER as u64, begun_at: at });
        self.committed = first - 1;
        self.appended = first - 1;
        Ok(salt)
    }
}

fn header_damaged(file: PathBuf, first: u64) -> Error {
    Error::Damaged { file, offset: 0, what: "its header is not intact".into(), next: Pos(first) }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(io_error("open", &path))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
        }
    }
    Err(Error::Locked { dir: dir.to_owned() })
}

/// The size of the last segment if it was begun but never had a record: a header is durable before the first frame, so
/// a segment that is not longer than a header and has none holds nothing.
fn unborn(dir: &Path, last: Option<u64>) -> Result<Option<u64>, Error> {
    let Some(first) = last else { return Ok(None) };
    let path = segment::path_of(dir, first);
    let bytes = path.metadata().map_err(io_error("read", &path))?.len();
    Ok((bytes <= HEADER as u64 && SegmentReader::open(dir, first)?.is_none()).then_some(bytes))
}

fn create(path: &Path, header: &[u8]) -> Result<File, Error> {
    let write_failed = |source| Error::Write { path: path.to_owned(), source };
    // What a failed attempt may have left is no obstacle: it holds no record.
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).map_err(write_failed)?;
    write_frames(&file, header, 0).map_err(write_failed)?;
    sync_file(&file).map_err(|source| Error::Sync { path: path.to_owned(), source })?;
    Ok(file)
}

fn write_frames(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    fail::fail_point!("journal::write", |_| Err(io::ErrorKind::StorageFull.into()));
    file.write_all_at(bytes, at)
}

fn sync_file(file: &File) -> io::Result<()> {
    fail::fail_point!("journal::sync", |_| Err(io::Error::other("failpoint")));
    file.sync_data()
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| Error::Sync { path: dir.to_owned(), source })
}
