//! Small files that are there whole or not at all: replaced by renaming, with a check sum at the end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// What [`replace`] wrote to `dir/name`; `None`: nothing, or it is not whole.
pub(super) fn read(dir: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = fs::read(dir.join(name)).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let (len, good) = (body.len(), crc32c::crc32c(body) == u32::from_le_bytes(*crc));
    bytes.truncate(len);
    good.then_some(bytes)
}

/// Replaces it, by way of `dir/name.new`. What was there may come back after a power failure, until `dir` is synced.
pub(super) fn replace(dir: &Path, name: &str, body: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(body)?;
    file.write_all(&crc32c::crc32c(body).to_le_bytes())?;
    file.sync_data()?;
    fs::rename(new, dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), "file"), None);
        for body in [&b"something"[..], b"", b"other"] {
            replace(dir.path(), "file", body).unwrap();
            assert_eq!(read(dir.path(), "file").as_deref(), Some(body));
        }
        let whole = fs::read(dir.path().join("file")).unwrap();
        for bytes in [&whole[1..], &whole[..whole.len() - 1], b""] {
            fs::write(dir.path().join("file"), bytes).unwrap();
            assert_eq!(read(dir.path(), "file"), None);
        }
    }
}
