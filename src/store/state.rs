//! The state in sled: one tree of bundles, each with a checksum, and one row that says what all of it must add up to.
//!
//! A bundle holds the rows of one case or effect, whatever their tables: sled puts sixteen things on a page, however small
//! they are, and pages are what a start waits for.
//!
//! sled 0.34.7 panics on some damage, and its own recovery loses rows without a word on other. So it is opened and read
//! through in a thread that may panic or hang, and every later call is caught.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::Head;
use crate::desk::{self, Record};

/// Memory for sled's pages. The desk reads its rows once, at the start.
const CACHE_BYTES: u64 = 32 << 20;
/// Longer than this, opening and reading through counts as hanging; building anew is faster.
const OPEN_LIMIT: Duration = Duration::from_secs(60);
/// How long its file lock is waited for.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// First byte of the key of a bundle.
const BUNDLE: u8 = b'b';
/// Its second byte where rows are together; no key of a row begins with it.
const TOGETHER: u8 = 0;
const META: &[u8] = b"m";
const META_VERSION: u8 = 2;
/// A checksum, in bytes.
const SUM: usize = 8;
const META_BYTES: usize = 1 + 8 + 32 + 8 + 16 + 8;

/// What the bundles add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    head: Head,
    bundles: u64,
    /// The sum of all their checksums: a forgotten or revived one shows.
    sum: u128,
}

/// The state, checked.
#[derive(Debug)]
pub(super) struct State {
    db: sled::Db,
    dir: PathBuf,
    meta: Meta,
    /// What the check on opening has read, until somebody takes it or a row changes: a start needs all rows once.
    read: RefCell<Option<Rows>>,
}

/// All rows of a state.
#[derive(Debug, Default)]
pub struct Rows {
    /// As they are stored, and checked.
    bundles: Vec<sled::IVec>,
    count: usize,
}

impl Rows {
    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and row of each.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // That they can be read was seen when they were checked.
        self.bundles.iter().flat_map(|bundle| pairs(&bundle[SUM..]).unwrap_or_default())
    }
}

impl State {
    /// Opens the state in `dir` and reads all of it. An empty or missing one stands at `empty`. The error says why it
    /// must not be used.
    pub(super) fn open(dir: &Path, empty: Head) -> Result<Self, String> {
        let owned = dir.to_owned();
        guarded(move || {
            let config = sled::Config::new().path(&owned).cache_capacity(CACHE_BYTES).flush_every_ms(None);
            let db = open_db(&config)?;
            let (meta, rows) = scrub(&db, empty)?;
            Ok(Self { db, dir: owned, meta, read: RefCell::new(Some(rows)) })
        })
    }

    /// The place in the log that it stands at.
    pub(super) const fn head(&self) -> Head {
        self.meta.head
    }

    /// Applies records in one batch; it then stands at `head`.
    pub(super) fn apply(&mut self, records: &[Record], head: Head) -> Result<(), String> {
        let changes = records.iter().flat_map(|record| &record.changes);
        self.put(changes.map(|(key, row)| (key.as_slice(), row.as_deref())), head)
    }

    /// Sets and deletes rows in one batch; the last change of a key counts.
    pub(super) fn put<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        head: Head,
    ) -> Result<(), String> {
        let mut bundles: BTreeMap<Vec<u8>, Changes<'_>> = BTreeMap::new();
        for (key, row) in changes {
            bundles.entry(place_of(key)).or_default().insert(key, row);
        }
        self.read.take();
        caught(|| {
            fail::fail_point!("store::apply", |_| Err("failpoint".to_owned()));
            let mut meta = Meta { head, ..self.meta };
            let mut batch = sled::Batch::default();
            for (place, changes) in bundles {
                let old = self.db.get(&place).map_err(|e| e.to_string())?;
                let mut rows = BTreeMap::new();
                if let Some(old) = &old {
                    let (sum, old) = open(&place, old)?;
                    meta.bundles -= 1;
                    meta.sum -= u128::from(sum);
                    rows.extend(old);
                }
                for (key, row) in changes {
                    match row {
                        Some(row) => rows.insert(key, row),
                        None => rows.remove(key),
                    };
                }
                if rows.is_empty() {
                    batch.remove(place);
                    continue;
                }
                let (sum, bundle) = seal(&place, &rows)?;
                meta.bundles += 1;
                meta.sum += u128::from(sum);
                batch.insert(place, bundle);
            }
            batch.insert(META, meta.encode().to_vec());
            self.db.apply_batch(batch).map_err(|e| e.to_string())?;
            self.meta = meta;
            Ok(())
        })
    }

    /// All rows, each checked; those read on opening if nothing has changed since.
    pub(super) fn rows(&self) -> Result<Rows, String> {
        if let Some(rows) = self.read.take() {
            return Ok(rows);
        }
        caught(|| match scrub(&self.db, self.meta.head)? {
            (meta, rows) if meta == self.meta => Ok(rows),
            _ => Err("it does not hold what was written".to_owned()),
        })
    }

    /// Writes everything to the disk. sled's own flush stops at `sync_file_range`, which a power cut can undo.
    pub(super) fn flush(&self) -> Result<(), String> {
        caught(|| {
            self.db.flush().map_err(|e| e.to_string())?;
            let sync = || -> std::io::Result<()> {
                for entry in fs::read_dir(&self.dir)? {
                    let path = entry?.path();
                    if path.is_file() {
                        File::open(path)?.sync_data()?;
                    }
                }
                File::open(&self.dir)?.sync_all()
            };
            sync().map_err(|e| e.to_string())
        })
    }
}

/// Waits a little for sled's file lock: threads of a database that was just closed may still hold it.
fn open_db(config: &sled::Config) -> Result<sled::Db, String> {
    for _ in 0..LOCK_TRIES {
        match config.open() {
            Err(sled::Error::Io(e)) if e.to_string().contains("could not acquire lock") => thread::sleep(LOCK_PAUSE),
            opened => return opened.map_err(|e| e.to_string()),
        }
    }
    Err("another process has it open".to_owned())
}

/// Closes a state that is in trouble; closing may panic or hang too.
pub(super) fn drop_guarded(state: Option<State>) {
    if let Err(why) = guarded(move || {
        drop(state);
        Ok(())
    }) {
        tracing::warn!(%why, "closing the damaged state");
    }
}

/// Reads every row and checks that they are what the meta row says.
fn scrub(db: &sled::Db, empty: Head) -> Result<(Meta, Rows), String> {
    let mut found = Meta { head: empty, bundles: 0, sum: 0 };
    let mut rows = Rows::default();
    let mut stored_meta = None;
    for stored in db.iter() {
        let (place, stored) = stored.map_err(|e| e.to_string())?;
        if place == META {
            stored_meta = Some(Meta::decode(&stored)?);
        } else if place.first() == Some(&BUNDLE) {
            let (sum, bundle) = open(&place, &stored)?;
            found.bundles += 1;
            found.sum += u128::from(sum);
            rows.count += bundle.len();
            rows.bundles.push(stored);
        } else {
            return Err("it holds a row that is not ours".to_owned());
        }
    }
    match stored_meta {
        None if found.bundles == 0 => Ok((found, rows)),
        None => Err(format!("{} rows, but not the one that says how many there must be", found.bundles)),
        Some(meta) if (meta.bundles, meta.sum) == (found.bundles, found.sum) => Ok((meta, rows)),
        Some(meta) => Err(format!("{} rows that do not add up to the {} there must be", found.bundles, meta.bundles)),
    }
}

/// The bundle that a row lies in. Of a table of which a case has many rows, sixteen lie together.
fn place_of(key: &[u8]) -> Vec<u8> {
    match desk::subject_of(key) {
        Some((id, rest)) => [&[BUNDLE, TOGETHER], id, &[rest.first().map_or(0, |byte| byte >> 4)]].concat(),
        None => [&[BUNDLE], key].concat(),
    }
}

fn checksum(place: &[u8], body: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&(place.len() as u64).to_le_bytes());
    hasher.update(place);
    hasher.update(body);
    hasher.digest()
}

/// Checksum and rows, as they are stored.
fn seal(place: &[u8], rows: &BTreeMap<&[u8], &[u8]>) -> Result<(u64, Vec<u8>), String> {
    let mut bundle = postcard::to_extend(rows, vec![0; SUM]).map_err(|e| e.to_string())?;
    let sum = checksum(place, &bundle[SUM..]);
    bundle[..SUM].copy_from_slice(&sum.to_le_bytes());
    Ok((sum, bundle))
}

/// Checks a bundle; gives its checksum and its rows.
fn open<'a>(place: &[u8], stored: &'a [u8]) -> Result<(u64, Pairs<'a>), String> {
    let (sum, body) = stored.split_first_chunk::<SUM>().ok_or("a row is too short")?;
    let sum = u64::from_le_bytes(*sum);
    if sum != checksum(place, body) {
        return Err("the checksum of a row does not match".to_owned());
    }
    Ok((sum, pairs(body)?))
}

/// What is set or deleted in a bundle.
type Changes<'a> = BTreeMap<&'a [u8], Option<&'a [u8]>>;

/// Keys and rows.
type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

fn pairs(body: &[u8]) -> Result<Pairs<'_>, String> {
    // A map is stored as its pairs.
    postcard::from_bytes(body).map_err(|e| format!("a row cannot be read: {e}"))
}

impl Meta {
    fn encode(&self) -> [u8; META_BYTES] {
        let mut out = [0; META_BYTES];
        out[0] = META_VERSION;
        out[1..9].copy_from_slice(&self.head.seq.to_le_bytes());
        out[9..41].copy_from_slice(&self.head.hash);
        out[41..49].copy_from_slice(&self.bundles.to_le_bytes());
        out[49..65].copy_from_slice(&self.sum.to_le_bytes());
        let sum = checksum(META, &out[..65]);
        out[65..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(stored: &[u8]) -> Result<Self, String> {
        let bytes: &[u8; META_BYTES] = stored.try_into().map_err(|_| "its own description has another size")?;
        if bytes[0] != META_VERSION {
            return Err(format!("it is of version {}, this program reads {META_VERSION}", bytes[0]));
        }
        if checksum(META, &bytes[..65]).to_le_bytes() != bytes[65..] {
            return Err("the checksum of its own description does not match".to_owned());
        }
        let number = |at: usize| {
            let mut b = [0; 8];
            b.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(b)
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[9..41]);
        let sum = u128::from(number(57)) << 64 | u128::from(number(49));
        Ok(Self { head: Head { seq: number(1), hash }, bundles: number(41), sum })
    }
}

/// Runs what may panic; a panic is an error like any other.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_text(panic.as_ref())))
}

/// Runs what may panic or hang in a thread of its own. A thread that hangs is left behind.
fn guarded<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (done, wait) = mpsc::sync_channel(1);
    let run = move || {
        // The receiver is gone only after the time limit.
        let _late = done.send(caught(work));
    };
    thread::Builder::new().name("store-state".into()).spawn(run).map_err(|e| format!("no thread for it: {e}"))?;
    wait.recv_timeout(OPEN_LIMIT).unwrap_or_else(|_| Err(format!("it did not answer within {OPEN_LIMIT:?}")))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("sled panicked: {}", text.unwrap_or("without a word"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const EMPTY: Head = Head { seq: 0, hash: [7; 32] };

    /// What is wrong with a state of nine rows after `tamper`.
    fn after(tamper: impl FnOnce(&sled::Db)) -> Result<(), String> {
        let dir = TempDir::new().unwrap();
        let mut state = State::open(dir.path(), EMPTY).unwrap();
        let rows: Vec<_> = (1..10_u8).map(|n| vec![n; 20]).collect();
        for (seq, row) in rows.iter().enumerate() {
            let change = std::iter::once((&row[..3], Some(row.as_slice())));
            state.put(change, Head { seq: seq as u64 + 1, hash: [1; 32] }).unwrap();
        }
        tamper(&state.db);
        drop(state);
        let state = State::open(dir.path(), EMPTY)?;
        assert_eq!((state.head().seq, state.rows().unwrap().len()), (9, 9));
        Ok(())
    }

    #[test]
    fn a_row_that_is_lost_changed_moved_or_added_is_found() {
        let place = |n: u8| place_of(&[n, n, n]);
        let bundle = |n: u8| seal(&place(n), &[(&[n, n, n][..], &b"x"[..])].into()).unwrap().1;
        after(|_| ()).unwrap();
        let check = |tamper: &dyn Fn(&sled::Db), says: &str| {
            let why = after(|db| tamper(db)).unwrap_err();
            assert!(why.contains(says), "{why}");
        };
        check(&|db| drop(db.remove(place(3)).unwrap()), "do not add up");
        check(&|db| drop(db.insert(place(3), vec![0; 28]).unwrap()), "checksum of a row");
        check(&|db| drop(db.insert(place(3), db.get(place(4)).unwrap().unwrap()).unwrap()), "checksum of a row");
        check(&|db| drop(db.insert(place(3), bundle(3)).unwrap()), "do not add up");
        check(&|db| drop(db.insert(place(77), bundle(77)).unwrap()), "do not add up");
        check(&|db| drop(db.insert(b"other", b"row").unwrap()), "not ours");
        check(&|db| drop(db.remove(META).unwrap()), "not the one that says");
        check(&|db| drop(db.insert(META, vec![META_VERSION; META_BYTES]).unwrap()), "own description");
    }

    #[test]
    fn rows_of_one_case_lie_together_and_each_can_change_alone() {
        let dir = TempDir::new().unwrap();
        let head = |seq| Head { seq, hash: [1; 32] };
        let key = |tag: u8, case: u8, rest: &[u8]| [&[tag], &[case; 16][..], rest].concat();
        // The case, its lines, a step; another case; a device.
        let mut keys = vec![key(b'c', 1, &[]), key(b's', 1, b"\x04tell"), key(b'c', 2, &[]), b"f\x03car".to_vec()];
        keys.extend((0..40).map(|line| key(b'l', 1, &[line])));
        let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = keys.iter().map(|k| (k.clone(), b"new".to_vec())).collect();
        let mut state = State::open(dir.path(), EMPTY).unwrap();
        state.put(expected.iter().map(|(k, row)| (k.as_slice(), Some(row.as_slice()))), head(1)).unwrap();
        assert_eq!(state.db.len(), 1 + 3 + 1 + 1, "of lines, sixteen lie together");
        for (n, key) in (2..).zip(&keys) {
            let row = (n % 3 != 0).then(|| vec![n; 5]);
            state.put(std::iter::once((key.as_slice(), row.as_deref())), head(n.into())).unwrap();
            match row {
                Some(row) => drop(expected.insert(key.clone(), row)),
                None => drop(expected.remove(key)),
            }
        }
        let sorted = |state: &State| {
            let rows = state.rows().unwrap();
            rows.iter().map(|(key, row)| (key.to_vec(), row.to_vec())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(sorted(&state), expected);
        drop(state);
        let mut state = State::open(dir.path(), EMPTY).unwrap();
        assert_eq!(sorted(&state), expected);
        state.put(keys.iter().map(|k| (k.as_slice(), None)), head(99)).unwrap();
        assert_eq!((state.db.len(), state.rows().unwrap().len()), (1, 0), "nothing is left of what is empty");
    }

    #[test]
    fn a_panic_is_an_error_and_a_thread_that_dies_is_noticed() {
        let why = guarded::<()>(|| panic!("{} rows", 3)).unwrap_err();
        assert_eq!(why, "sled panicked: 3 rows");
        assert_eq!(caught::<()>(|| panic!("bad page")).unwrap_err(), "sled panicked: bad page");
        assert_eq!(guarded(|| Ok(5)), Ok(5));
    }
}
