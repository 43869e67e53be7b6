//! What one-time links are signed with: the secret of the settings, or one that is made at the first start and kept in
//! the store's directory, where it is as safe as the cases that the links belong to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::run::Error;
use super::secrets::Secrets;
use super::settings::Settings;
use crate::desk::Links;
use crate::runtime;
use crate::wire::link::Key;

/// Its name in the store's directory.
const KEPT: &str = "links.key";

/// What the texts of the desk make links of.
pub(super) fn of(settings: &Settings, secrets: &Secrets) -> Result<Links, Error> {
    let file = &settings.links.secret_file;
    let parse = |text: Vec<u8>| Key::parse(&String::from_utf8_lossy(&text)).map_err(io::Error::other);
    let key = if file.as_os_str().is_empty() {
        let path = settings.store.dir.join(KEPT);
        kept(&settings.store.dir, KEPT).and_then(parse).map_err(|error| runtime::Error::File { path, error })?
    } else {
        let what = || format!("links.secret_file {}", file.display());
        secrets.read(file).and_then(parse).map_err(|error| Error::Io { what: what(), error })?
    };
    let base = &settings.links.base_url;
    let base = if base.is_empty() { &settings.http.public_url } else { base };
    Ok(Links { base_url: base.trim_end_matches('/').to_owned(), key })
}

/// The secret of this name that was made at the first start.
pub(super) fn kept(store: &Path, name: &str) -> io::Result<Vec<u8>> {
    let path = store.join(name);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    fs::create_dir_all(store)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Whole or not at all: half a secret would sign what the next start does not believe.
    let fresh = store.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    fs::File::open(store)?.sync_all()?;
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let key = || Key::parse(&String::from_utf8(kept(&store, KEPT).unwrap()).unwrap()).unwrap();
        let (first, again) = (key(), key());
        assert_eq!(first, again);
        assert_eq!(fs::metadata(store.join(KEPT)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
