//! The rule files that the daemon runs by, kept beside its journal: the files that people edit say what will be, and
//! `forewarn reload --dry-run` compares the two.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::Diagnostics;

/// Where the rules are that a daemon with this directory runs by.
#[must_use]
pub fn kept_rules(store: &Path) -> PathBuf {
    store.join("rules")
}

/// Keeps what was loaded from the folder `rules`, as a whole: either all of the new files are there or all of the old.
pub(super) fn keep_rules(store: &Path, rules: &Path, loaded: &Diagnostics) -> io::Result<()> {
    let (kept, fresh, old) = (kept_rules(store), store.join("rules.new"), store.join("rules.old"));
    for leftover in [&fresh, &old] {
        if leftover.exists() {
            fs::remove_dir_all(leftover)?;
        }
    }
    fs::create_dir_all(&fresh)?;
    for (path, text) in loaded.files() {
        let path = Path::new(path);
        if let (Some(name), true) = (path.file_name(), path.parent() == Some(rules)) {
            fs::write(fresh.join(name), &**text)?;
        }
    }
    if kept.exists() {
        fs::rename(&kept, &old)?;
    }
    fs::rename(&fresh, &kept)?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}
