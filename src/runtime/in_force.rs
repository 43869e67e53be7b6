//! What the rules in force are made of, kept beside the journal.
//!
//! People edit their files before they reload, and a daemon may die in between. What came before the edit belongs to the rules
//! of then: a start replays it under those that are kept here, and only then goes over to the edited ones, as every reload
//! does. So nothing that was detected is lost or left open because somebody was writing when the power failed.
//!
//! The registry is not in it: it is of people, and that of now counts.
//!
//! The file is replaced when every shard is saved under the old rules, and before any runs under the new ones. It is never
//! older than a checkpoint: where it cannot be written there is none, and the start takes the files as they are.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn place(dir: &Path) -> PathBuf {
    dir.join("rules-in-force")
}

/// What the last daemon on `dir` was given as [`super::Rules::sources`]; `None`: nothing, or it cannot be read whole.
#[must_use]
pub fn in_force(dir: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(place(dir)).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let (len, good) = (body.len(), crc32c::crc32c(body) == u32::from_le_bytes(*crc));
    bytes.truncate(len);
    good.then_some(bytes)
}

/// Replaces it. When this returns, what was there before is gone for good, whatever happens.
pub(super) fn keep(dir: &Path, sources: &[u8]) {
    if let Err(error) = replace(dir, sources) {
        let place = place(dir);
        tracing::warn!(%error, "the rules in force could not be kept: after a crash the journal is replayed under the rules of then");
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, file = %place.display(), "delete this file: it is of rules that are no longer in force");
            }
            _ => {}
        }
    }
}

fn replace(dir: &Path, sources: &[u8]) -> io::Result<()> {
    let (place, new) = (place(dir), dir.join("rules-in-force.new"));
    let mut file = File::create(&new)?;
    file.write_all(sources)?;
    file.write_all(&crc32c::crc32c(sources).to_le_bytes())?;
    file.sync_data()?;
    fs::rename(new, place)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(in_force(dir.path()), None);
        for sources in [&b"some rules"[..], b"", b"others"] {
            keep(dir.path(), sources);
            assert_eq!(in_force(dir.path()).as_deref(), Some(sources));
        }
        let whole = fs::read(place(dir.path())).unwrap();
        for bytes in [&whole[1..], &whole[..whole.len() - 1], b""] {
            fs::write(place(dir.path()), bytes).unwrap();
            assert_eq!(in_force(dir.path()), None);
        }
        // It cannot be written: then nothing old may stay.
        fs::write(place(dir.path()), &whole).unwrap();
        fs::create_dir(dir.path().join("rules-in-force.new")).unwrap();
        keep(dir.path(), b"new");
        assert_eq!(in_force(dir.path()), None);
    }
}
