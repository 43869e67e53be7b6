//! The keys that personal data is sealed with: one small file beside the store, in no log, no export and no backup of the
//! store. It is rewritten whole for every change; without it, whatever it sealed reads as erased.
//!
//! ```json
//! {"version": 1, "wrapped": true, "house": "…", "customers": {"c-1": "…"}, "erased": {"c-9": "2026-11-22T08:00:00Z"}}
//! ```
//! Keys are 32 random bytes in base64, as they are or wrapped: sealed with a key made of a secret that the settings
//! name (`[privacy] wrap_file`), so that the file alone opens nothing. A destroyed key leaves the id of its customer and
//! the time, so that nobody makes a new one by loading an old registry or restoring an old export.
//!
//! The bytes of the replaced file are overwritten once the new one is in its place. A file system that copies on write,
//! or a disk that moves blocks about, may still hold them for a while: there, wrap the keys and let the secret live
//! elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Error, io_error};
use crate::desk::{Key, Keyring};
use crate::domain::{At, CustomerId};

const VERSION: u8 = 1;
/// What the key of the house is called where keys are wrapped.
const HOUSE: &str = "house";

/// The key file, open. One per store, owned by one thread.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    wrap: Option<Key>,
    house: Key,
    customers: BTreeMap<CustomerId, Key>,
    erased: BTreeMap<CustomerId, At>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u8,
    wrapped: bool,
    house: String,
    customers: BTreeMap<CustomerId, String>,
    erased: BTreeMap<CustomerId, At>,
}

impl KeyFile {
    /// Opens the file at `path`; makes it if there is none. `wrap` is the secret that its keys are wrapped with; a file
    /// of bare keys is wrapped at once.
    ///
    /// # Errors
    /// The file is damaged, open to others, or wrapped with another secret. It is never replaced by a new one then.
    pub fn open(path: &Path, wrap: Option<&[u8]>) -> Result<Self, Error> {
        let wrap = wrap.map(Key::from_secret);
        let unusable = |why: &str| Error::Keys { path: path.to_owned(), why: why.to_owned() };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (customers, erased) = (BTreeMap::new(), BTreeMap::new());
                let made = Self { path: path.to_owned(), wrap, house: random()?, customers, erased };
                made.save()?;
                return Ok(made);
            }
            Err(e) => return Err(io_error("read", path)(e)),
        };
        let mode = fs::metadata(path).map_err(io_error("read", path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(unusable(&format!("others may read it (mode {mode:03o}); it needs 0600")));
        }
        // The complaint of the parser would show what it stumbled over.
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| unusable("it is damaged"))?;
        if stored.version != VERSION {
            return Err(unusable(&format!("it is of version {}, this program reads {VERSION}", stored.version)));
        }
        let key = match (stored.wrapped, &wrap) {
            (true, None) => return Err(unusable("its keys are wrapped and `privacy.wrap_file` names no secret")),
            (true, wrap) => wrap.clone(),
            (false, _) => None,
        };
        let read = |name: &str, text: &str| {
            let unwrapped = STANDARD.decode(text).ok().and_then(|bytes| match &key {
                Some(key) => key.open(name, &bytes),
                None => Some(bytes),
            });
            let bytes = unwrapped.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            bytes.map(Key::new).ok_or_else(|| unusable("its keys were wrapped with another secret, or it is damaged"))
        };
        let customer = |(id, text): (CustomerId, String)| Ok((id.clone(), read(&place(&id), &text)?));
        let file = Self {
            path: path.to_owned(),
            house: read(HOUSE, &stored.house)?,
            customers: stored.customers.into_iter().map(customer).collect::<Result<_, Error>>()?,
            erased: stored.erased,
            wrap,
        };
        if file.wrap.is_some() && !stored.wrapped {
            file.save()?;
        }
        Ok(file)
    }

    /// Who was erased, and when, as the file at `path` says: for that it need not be opened.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn erased_in(path: &Path) -> io::Result<BTreeMap<CustomerId, At>> {
        let stored: Result<Stored, _> = serde_json::from_slice(&fs::read(path)?);
        stored.map(|stored| stored.erased).map_err(|_| io::Error::other("it is damaged"))
    }

    /// Makes keys for the customers that have none and were not erased.
    ///
    /// # Errors
    /// The file cannot be written; then there are no new keys.
    pub fn admit<'a>(&mut self, customers: impl IntoIterator<Item = &'a CustomerId>) -> Result<(), Error> {
        let known = |id: &CustomerId| self.customers.contains_key(id) || self.erased.contains_key(id);
        let new: Vec<CustomerId> = customers.into_iter().filter(|id| !known(id)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        for id in &new {
            self.customers.insert(id.clone(), random()?);
        }
        self.save().inspect_err(|_| new.iter().for_each(|id| drop(self.customers.remove(id))))
    }

    /// Destroys the key of a customer for good. To be repeated until it succeeds.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn destroy(&mut self, customer: &CustomerId, now: At) -> Result<(), Error> {
        let had = self.customers.remove(customer).is_some();
        if self.erased.insert(customer.clone(), now).is_some() && !had {
            return Ok(());
        }
        self.save()
    }

    /// Somebody has said that an erased customer is a customer again: [`Self::admit`] makes a new key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn readmit(&mut self, customer: &CustomerId) -> Result<(), Error> {
        if self.erased.remove(customer).is_some() { self.save() } else { Ok(()) }
    }

    /// Drops the keys of customers that are not in `needed`: nobody knows them any more, and nothing of theirs is stored.
    /// Gives how many.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn retain(&mut self, needed: &BTreeSet<CustomerId>) -> Result<usize, Error> {
        let before = self.customers.len();
        self.customers.retain(|id, _| needed.contains(id));
        let dropped = before - self.customers.len();
        if dropped > 0 {
            self.save()?;
        }
        Ok(dropped)
    }

    /// The keys, for the desk.
    #[must_use]
    pub fn ring(&self) -> Keyring {
        Keyring::new(self.customers.clone(), self.house.clone()).erasing(self.erased.keys().cloned().collect())
    }

    fn save(&self) -> Result<(), Error> {
        let text = |name: &str, key: &Key| match &self.wrap {
            Some(wrap) => STANDARD.encode(wrap.seal(name, key.expose())),
            None => STANDARD.encode(key.expose()),
        };
        let stored = Stored {
            version: VERSION,
            wrapped: self.wrap.is_some(),
            house: text(HOUSE, &self.house),
            customers: self.customers.iter().map(|(id, key)| (id.clone(), text(&place(id), key))).collect(),
            erased: self.erased.clone(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(io::Error::other);
        let written = bytes.and_then(|bytes| replace(&self.path, &bytes));
        written.map_err(io_error("write the keys", &self.path))
    }
}

fn place(id: &CustomerId) -> String {
    format!("customer/{id}")
}

fn random() -> Result<Key, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Keys { path: "the random numbers of the system".into(), why: e.to_string() })?;
    Ok(Key::new(bytes))
}

/// Puts a new file in the place of the old one, then overwrites what the old one held.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let old = match OpenOptions::new().write(true).open(path) {
        Ok(file) => Some(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    // A leftover of a crash may have another mode.
    let _none = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fail::fail_point!("keys-before-rename", |_| std::process::abort());
    fs::rename(&beside, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()?;
    if let Some(mut old) = old {
        let length = usize::try_from(old.metadata()?.len()).unwrap_or(0);
        old.write_all(&vec![0; length])?;
        old.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> At {
        "2026-11-22T08:00:00Z".parse().unwrap()
    }

    fn shown(file: &KeyFile) -> BTreeMap<String, [u8; 32]> {
        file.customers.iter().map(|(id, key)| (id.to_string(), *key.expose())).collect()
    }

    #[test]
    fn keys_stay_until_they_are_destroyed_and_come_back_only_when_somebody_says_so() {
        for wrap in [None, Some(&b"a secret"[..])] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("keys.json");
            let open = || KeyFile::open(&path, wrap).unwrap();
            let (a, b) = (CustomerId::from("a"), CustomerId::from("b"));
            let mut file = open();
            file.admit([&a, &b]).unwrap();
            let made = shown(&file);
            assert_eq!(made.len(), 2);
            assert_ne!(made["a"], made["b"]);
            assert_eq!(shown(&open()), made);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

            file.destroy(&a, now()).unwrap();
            let mut file = open();
            file.admit([&a, &b]).unwrap();
            assert_eq!(shown(&file).into_keys().collect::<Vec<_>>(), ["b"]);
            file.destroy(&a, now()).unwrap();
            file.readmit(&a).unwrap();
            let mut file = open();
            file.admit([&a]).unwrap();
            assert_ne!(shown(&file)["a"], made["a"]);
            assert_eq!(file.retain(&[a.clone()].into()).unwrap(), 1);
            assert_eq!(shown(&open()).into_keys().collect::<Vec<_>>(), ["a"]);
        }
    }

    #[test]
    fn wrapped_keys_are_not_in_the_file_and_need_their_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let mut bare = KeyFile::open(&path, None).unwrap();
        bare.admit([&"a".into()]).unwrap();
        let text = STANDARD.encode(shown(&bare)["a"]);
        assert!(fs::read_to_string(&path).unwrap().contains(&text));
        let wrapped = KeyFile::open(&path, Some(b"s")).unwrap();
        assert_eq!(shown(&wrapped), shown(&bare));
        assert!(!fs::read_to_string(&path).unwrap().contains(&text));
        for (secret, complaint) in [(None, "names no secret"), (Some(&b"t"[..]), "another secret")] {
            let error = KeyFile::open(&path, secret).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_damaged_or_open_to_others_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        drop(KeyFile::open(&path, None).unwrap());
        let good = fs::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(KeyFile::open(&path, None).unwrap_err().to_string().contains("mode 640"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in [&good[..good.len() / 2], b"", b"{}"] {
            fs::write(&path, bad).unwrap();
            assert!(KeyFile::open(&path, None).unwrap_err().to_string().contains("damaged"));
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
    }
}
