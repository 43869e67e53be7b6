//! One record as bytes: `crc-32c | length | sequence | payload`, integers little-endian.

use super::MAX_RECORD_BYTES;

/// Bytes before the payload.
pub(super) const FRAME_HEAD: usize = 16;

/// A frame found at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// An intact frame of this number with a payload of this many bytes.
    Frame { seq: u64, payload: usize },
    /// It may be a frame, but this many bytes are needed to tell.
    Needs(usize),
    /// Certainly no frame.
    Bad,
}

/// Appends the frame of a payload that is not above [`MAX_RECORD_BYTES`].
pub(super) fn encode(salt: u32, seq: u64, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.reserve(FRAME_HEAD + payload.len());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c_append(salt, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Looks at the frame that begins at `bytes[0]`.
pub(super) fn parse(salt: u32, bytes: &[u8]) -> Parsed {
    let Some((seq, payload)) = claims(bytes) else { return Parsed::Needs(FRAME_HEAD) };
    if payload > MAX_RECORD_BYTES {
        return Parsed::Bad;
    }
    let Some(covered) = bytes.get(4..FRAME_HEAD + payload) else { return Parsed::Needs(FRAME_HEAD + payload) };
    if crc32c::crc32c_append(salt, covered) == u32_at(bytes, 0) { Parsed::Frame { seq, payload } } else { Parsed::Bad }
}

/// Sequence number and payload length that a frame head claims, unchecked; `None` when there are too few bytes.
pub(super) fn claims(bytes: &[u8]) -> Option<(u64, usize)> {
    let head = bytes.get(..FRAME_HEAD)?;
    Some((u64_at(head, 8), usize::try_from(u32_at(head, 4)).unwrap_or(usize::MAX)))
}

/// The little-endian number at `at`; the caller has checked that it is there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut b = [0; 4];
    b.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(b)
}

/// The little-endian number at `at`; the caller has checked that it is there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(b)
}
