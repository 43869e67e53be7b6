//! One segment file: its name, its header, and reading its frames in order.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{self, FRAME_HEAD, Parsed};
use super::{Error, MAX_RECORD_BYTES, Pos, io_error};
use crate::domain::At;

const MAGIC: [u8; 8] = *b"fwjrnl\x00\x01";
/// Bytes of a segment header.
pub(super) const HEADER: usize = 56;
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// Checksumming done while searching for frames behind a bad one, before giving up and calling it damage. Real torn
/// tails need less than their own size; the limit is for bytes that were made to look like frame heads.
const SEARCH_BYTES: usize = 1 << 30;

/// What the head of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of its first record.
    pub(super) first: u64,
    /// The number of the last record before it: `first - 1` unless numbers were skipped on purpose.
    pub(super) follows: u64,
    /// The first record of the segment before it, 0 if there was none.
    pub(super) previous_first: u64,
    /// The size of the segment before it, 0 if there was none.
    pub(super) previous_bytes: u64,
    /// The instant of the last record before it, or of its first record if there was none.
    pub(super) begun_at: At,
}

impl Header {
    /// The bytes, and the salt of the frames below them.
    pub(super) fn encode(&self) -> ([u8; HEADER], u32) {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..16].copy_from_slice(&self.first.to_le_bytes());
        out[16..24].copy_from_slice(&self.follows.to_le_bytes());
        out[24..32].copy_from_slice(&self.previous_first.to_le_bytes());
        out[32..40].copy_from_slice(&self.previous_bytes.to_le_bytes());
        out[40..48].copy_from_slice(&self.begun_at.as_micros().to_le_bytes());
        let crc = crc32c::crc32c(&out[..48]);
        out[48..52].copy_from_slice(&crc.to_le_bytes());
        (out, crc)
    }

    fn decode(bytes: &[u8; HEADER]) -> Option<(Self, u32)> {
        let crc = crc32c::crc32c(&bytes[..48]);
        if bytes[..8] != MAGIC || frame::u32_at(bytes, 48) != crc || bytes[52..] != [0; 4] {
            return None;
        }
        let header = Self {
            first: frame::u64_at(bytes, 8),
            follows: frame::u64_at(bytes, 16),
            previous_first: frame::u64_at(bytes, 24),
            previous_bytes: frame::u64_at(bytes, 32),
            begun_at: At::from_micros(frame::u64_at(bytes, 40).cast_signed()),
        };
        Some((header, crc))
    }
}

/// A segment as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The file.
    pub path: PathBuf,
    /// Its first record.
    pub first: Pos,
    /// Its size in bytes.
    pub bytes: u64,
    /// The instant of the last record before it (of its own first record in the first segment ever).
    pub begun_at: At,
}

/// The file of the segment that begins with `first`.
pub(super) fn path_of(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg"))
}

/// First record numbers of all segments, ascending, by name alone.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    let failed = || io_error("read the directory", dir);
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        if let Some(first) = stem.filter(|stem| stem.len() == 20).and_then(|stem| stem.parse().ok()) {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record; its payload is in [`SegmentReader::payload`].
    Record(u64),
    /// The end of the file, at the end of a frame.
    End,
    /// Something that is no frame.
    Broken,
}

/// Reads the frames of one segment in order, in one buffer.
#[derive(Debug)]
pub(super) struct SegmentReader {
    path: PathBuf,
    file: File,
    header: Header,
    salt: u32,
    /// The number that the next frame must have.
    expected: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that holds bytes not yet consumed.
    unread: std::ops::Range<usize>,
    /// The payload of the last record.
    payload: std::ops::Range<usize>,
    /// Where in the file the next frame begins.
    offset: u64,
}

impl SegmentReader {
    /// Opens the segment; `None` if its header is not what [`Header::encode`] writes for this name.
    pub(super) fn open(dir: &Path, first: u64) -> Result<Option<Self>, Error> {
        let path = path_of(dir, first);
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let mut bytes = [0; HEADER];
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(io_error("read", &path)(e)),
        }
        let Some((header, salt)) = Header::decode(&bytes).filter(|(header, _)| header.first == first) else {
            return Ok(None);
        };
        Ok(Some(Self {
            path,
            file,
            header,
            salt,
            expected: first,
            buffer: Vec::new(),
            unread: 0..0,
            payload: 0..0,
            offset: HEADER as u64,
        }))
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) const fn salt(&self) -> u32 {
        self.salt
    }

    /// Where the next frame begins: behind the last intact one.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the last record read here or before this segment.
    pub(super) const fn last(&self) -> u64 {
        if self.expected == self.header.first { self.header.follows } else { self.expected - 1 }
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.buffer[self.payload.clone()]
    }

    /// The next frame. After `End` or `Broken` it stays there.
    pub(super) fn next(&mut self) -> Result<Next, Error> {
        loop {
            match frame::parse(self.salt, &self.buffer[self.unread.clone()]) {
                Parsed::Frame { seq, payload } if seq == self.expected => {
                    let start = self.unread.start + FRAME_HEAD;
                    self.payload = start..start + payload;
                    self.unread.start = self.payload.end;
                    self.offset += (FRAME_HEAD + payload) as u64;
                    self.expected += 1;
                    return Ok(Next::Record(seq));
                }
                Parsed::Needs(bytes) => {
                    if !self.fill(bytes)? {
                        return Ok(if self.unread.is_empty() { Next::End } else { Next::Broken });
                    }
                }
                Parsed::Frame { .. } | Parsed::Bad => return Ok(Next::Broken),
            }
        }
    }

    /// Reads until `want` bytes are unread; false at the end of the file.
    fn fill(&mut self, want: usize) -> Result<bool, Error> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        self.payload = 0..0;
        if self.buffer.len() < want.max(READ_BYTES) {
            self.buffer.resize(want.max(READ_BYTES), 0);
        }
        while self.unread.len() < want {
            match self.file.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => return Ok(false),
                Ok(n) => self.unread.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error("read", &self.path)(e)),
            }
        }
        Ok(true)
    }

    /// After `Broken`: whether anything behind the bad place is a frame that belongs here, that is, whether this is
    /// damage and no torn tail. Gives the error to report, or the size of the tail (0: no longer torn).
    pub(super) fn judge_tail(&self) -> Result<Result<u64, Error>, Error> {
        let size = self.file.metadata().map_err(io_error("read", &self.path))?.len();
        let mut rest = vec![0; usize::try_from(size.saturating_sub(self.offset)).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut rest, self.offset).map_err(io_error("read", &self.path))?;
        if matches!(frame::parse(self.salt, &rest), Parsed::Frame { seq, .. } if seq == self.expected) {
            // Written since it was looked at: a reader beside a running writer came too early.
            return Ok(Ok(0));
        }
        Ok(match find_frame(self.salt, self.expected, &rest) {
            Search::Nothing => Ok(rest.len() as u64),
            Search::Found(seq) => Err(self.damaged(format!("no intact record, but record {seq} follows intact"))),
            Search::GaveUp => {
                Err(self.damaged("no intact record, and what follows cannot be told from records".into()))
            }
        })
    }

    /// The error for damage at the present place.
    pub(super) fn damaged(&self, what: String) -> Error {
        Error::Damaged { file: self.path.clone(), offset: self.offset, what, next: Pos(self.expected) }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Search {
    Nothing,
    Found(u64),
    GaveUp,
}

/// Looks for a frame at every byte behind the first: its length cannot be trusted, so where the next one would begin
/// is unknown. The number must be one that can stand there, which rules out nearly everything before any checksum.
fn find_frame(salt: u32, expected: u64, bytes: &[u8]) -> Search {
    let most = expected.saturating_add((bytes.len() / FRAME_HEAD) as u64);
    let mut searched = 0_usize;
    for at in 1..bytes.len() {
        let here = &bytes[at..];
        let Some((seq, payload)) = frame::claims(here) else { break };
        if seq < expected || seq > most || payload > MAX_RECORD_BYTES || payload > here.len() - FRAME_HEAD {
            continue;
        }
        searched = searched.saturating_add(payload);
        if searched > SEARCH_BYTES {
            return Search::GaveUp;
        }
        if matches!(frame::parse(salt, here), Parsed::Frame { .. }) {
            return Search::Found(seq);
        }
    }
    Search::Nothing
}
