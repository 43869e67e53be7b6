//! Reading records in order, from any position, across segments.

use std::io;
use std::path::{Path, PathBuf};

use super::segment::{self, Next, SegmentReader};
use super::{Error, Pos, Torn};

/// Reads the records of a journal in order. Needs no lock: it may run beside the writer ([`super::Journal::reader`]
/// then ends at the last commit) or on the directory of a stopped program.
///
/// As an iterator it gives each payload as a vector of its own; [`Reader::next_record`] lends it without a copy.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    /// Segments not yet opened, the next one last.
    ahead: Vec<u64>,
    current: Option<SegmentReader>,
    from: Pos,
    /// The last record to give; `None`: to the end.
    until: Option<Pos>,
    /// The number of the last record seen, given or skipped; `None` before the first segment.
    last: Option<u64>,
    torn: Option<Torn>,
    done: bool,
}

impl Reader {
    /// From `from` on, or from the oldest record kept with [`Pos::START`]. An error if `from` is older than that.
    pub fn open(dir: &Path, from: Pos) -> Result<Self, Error> {
        Self::new(dir, from, None)
    }

    pub(super) fn new(dir: &Path, from: Pos, until: Option<Pos>) -> Result<Self, Error> {
        let mut ahead = segment::list(dir)?;
        if from != Pos::START {
            let begin = ahead.partition_point(|first| *first <= from.0);
            match (begin, ahead.first()) {
                (0, Some(first)) => return Err(Error::Gone { wanted: from, first: Pos(*first) }),
                (0, None) => {}
                _ => drop(ahead.drain(..begin - 1)),
            }
        }
        ahead.reverse();
        // Beyond the last commit there may be frames of a write that has just failed.
        let done = until.is_some_and(|until| until < from.max(Pos(1)));
        Ok(Self { dir: dir.to_owned(), ahead, current: None, from, until, last: None, torn: None, done })
    }

    /// The next record: its number and its payload, which is valid until the next call. `None` at the end. After an
    /// error the reader is at its end.
    pub fn next_record(&mut self) -> Result<Option<(Pos, &[u8])>, Error> {
        match self.advance() {
            Ok(Some(pos)) => Ok(self.current.as_ref().map(|segment| (pos, segment.payload()))),
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(e) => {
                self.done = true;
                Err(e)
            }
        }
    }

    /// What was found behind the last record once the end is reached: the rest of an interrupted write.
    #[must_use]
    pub fn torn(&self) -> Option<Torn> {
        self.torn.clone()
    }

    fn advance(&mut self) -> Result<Option<Pos>, Error> {
        loop {
            if self.done || self.until.is_some_and(|until| self.last.is_some_and(|last| last >= until.0)) {
                return Ok(None);
            }
            let Some(segment) = &mut self.current else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            match segment.next()? {
                Next::Record(seq) => {
                    self.last = Some(seq);
                    if seq >= self.from.0 {
                        return Ok(Some(Pos(seq)));
                    }
                }
                Next::End => self.current = None,
                Next::Broken if self.ahead.is_empty() => {
                    let bytes = segment.judge_tail()??;
                    if let Some(until) = self.until {
                        return Err(segment.damaged(format!("no intact record, but {until} was committed")));
                    }
                    let file = segment::path_of(&self.dir, segment.header().first);
                    self.torn = (bytes > 0).then_some(Torn { file, offset: segment.offset(), bytes });
                    return Ok(None);
                }
                Next::Broken => return Err(segment.damaged("no intact record, but later segments exist".into())),
            }
        }
    }

    /// Opens the next segment and checks that it follows the one before. False when there is none.
    fn open_next(&mut self) -> Result<bool, Error> {
        let Some(first) = self.ahead.pop() else { return Ok(false) };
        let next = Pos(self.last.map_or(first, |last| last + 1));
        let damaged = |what: String| Error::Damaged { file: segment::path_of(&self.dir, first), offset: 0, what, next };
        let opened = match SegmentReader::open(&self.dir, first) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                // Trimmed since the list was made.
                let first = segment::list(&self.dir)?.first().map_or(next, |first| Pos(*first));
                return Err(Error::Gone { wanted: next, first });
            }
            opened => opened?,
        };
        let Some(segment) = opened else {
            let path = segment::path_of(&self.dir, first);
            let bytes = path.metadata().map_or(0, |m| m.len());
            if self.ahead.is_empty() && bytes <= segment::HEADER as u64 {
                // Begun, and no record was ever committed to it.
                self.torn = Some(Torn { file: path, offset: 0, bytes });
                return Ok(false);
            }
            return Err(damaged("its header is not intact".into()));
        };
        let follows = segment.header().follows;
        if self.last.is_some_and(|last| last != follows) {
            return Err(damaged(format!("it continues record {follows}, which is not the last one before it")));
        }
        self.last = Some(follows);
        self.current = Some(segment);
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = Result<(Pos, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().map(|found| found.map(|(pos, payload)| (pos, payload.to_vec()))).transpose()
    }
}
