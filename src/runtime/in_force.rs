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
use std::io;
use std::path::Path;

use super::whole;

const FILE: &str = "rules-in-force";

/// What the last daemon on `dir` was given as [`super::Rules::sources`]; `None`: nothing, or it cannot be read whole.
#[must_use]
pub fn in_force(dir: &Path) -> Option<Vec<u8>> {
    whole::read(dir, FILE)
}

/// Replaces it. When this returns, what was there before is gone for good, whatever happens.
pub(super) fn keep(dir: &Path, sources: &[u8]) {
    let synced = whole::replace(dir, FILE, sources).and_then(|()| File::open(dir)?.sync_all());
    if let Err(error) = synced {
        let place = dir.join(FILE);
        tracing::warn!(%error, "the rules in force could not be kept: after a crash the journal is replayed under the rules of then");
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, file = %place.display(), "delete this file: it is of rules that are no longer in force");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_nothing_old_stays() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), b"some rules");
        assert_eq!(in_force(dir.path()).as_deref(), Some(&b"some rules"[..]));
        // They cannot be written: then those of before may not stay either.
        fs::create_dir(dir.path().join("rules-in-force.new")).unwrap();
        keep(dir.path(), b"new");
        assert_eq!(in_force(dir.path()), None);
    }
}
