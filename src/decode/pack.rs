//! Wrappers: gzip, zlib, zstd. What comes out is limited while it comes out, so that a bomb costs no more than a payload.

use std::io::{self, Read};

use super::Error;
use crate::model::Compression;

/// 8 MiB, what zstd itself asks every decoder to support; a frame may ask for gigabytes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The content of `payload`: exactly one gzip member, zlib stream or zstd frame, and nothing behind it.
pub(super) fn unpacked(with: Compression, payload: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    let (name, out) = match with {
        Compression::Gzip => ("gzip", drained(flate2::bufread::GzDecoder::new(payload), limit, |d| d.into_inner())),
        Compression::Zlib => ("zlib", drained(flate2::bufread::ZlibDecoder::new(payload), limit, |d| d.into_inner())),
        Compression::Zstd => ("zstd", zstd(payload, limit)),
    };
    match out {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Error::Bomb { limit }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Error::NotPacked { with: name, problem: "it ends too early".to_owned() })
        }
        Err(error) => Err(Error::NotPacked { with: name, problem: error.to_string() }),
    }
}

fn zstd(payload: &[u8], limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(payload)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    drained(decoder, limit, |d| d.finish())
}

/// Everything that comes out, `None` if it is more than `limit` bytes.
fn drained<'p, D: Read>(mut decoder: D, limit: usize, rest: impl FnOnce(D) -> &'p [u8]) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    decoder.by_ref().take(limit as u64 + 1).read_to_end(&mut out)?;
    if out.len() > limit {
        return Ok(None);
    }
    match rest(decoder).len() {
        0 => Ok(Some(out)),
        more => Err(io::Error::other(format!("{more} bytes follow its end"))),
    }
}
