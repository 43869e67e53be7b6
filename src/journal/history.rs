//! What of a journal can be read beside its writer, for threads that do not own it.

use std::path::PathBuf;

use super::segment::SegmentInfo;
use super::{Error, Pos, Reader};
use crate::domain::At;

/// A journal as it was committed at one moment.
#[derive(Debug, Clone)]
pub struct History {
    pub(super) dir: PathBuf,
    /// Oldest first.
    pub(super) segments: Vec<SegmentInfo>,
    pub(super) until: Pos,
}

impl History {
    /// Where to begin so as to read the records since `since`, or as many of the last `bytes` before the segment that holds
    /// `before` as there are whole segments of. As long as none of them is dropped the answer stays the same, however
    /// much has been written behind `before`.
    #[must_use]
    pub fn begin(&self, since: At, bytes: u64, before: Pos) -> Pos {
        let mut begin = self.segments.partition_point(|s| s.first <= before).saturating_sub(1);
        let mut left = bytes;
        while let Some(older) = begin.checked_sub(1).map(|ix| &self.segments[ix]) {
            // A segment is dated by the last record before it.
            if self.segments[begin].begun_at <= since || older.bytes > left {
                break;
            }
            left -= older.bytes;
            begin -= 1;
        }
        self.segments.get(begin).map_or(Pos::START, |s| s.first)
    }

    /// Reads from `from` on.
    pub fn reader(&self, from: Pos) -> Result<Reader, Error> {
        Reader::new(&self.dir, from, Some(self.until))
    }
}
