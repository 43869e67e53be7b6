//! The state in sled: one tree, each row with a checksum, one row that says what all of it must add up to.
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

use super::{Head, Row};
use crate::desk::Record;

/// Memory for sled's pages. The desk reads its rows once, at the start.
const CACHE_BYTES: u64 = 32 << 20;
/// Longer than this, opening and reading through counts as hanging; building anew is faster.
const OPEN_LIMIT: Duration = Duration::from_secs(60);
/// How long its file lock is waited for.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

const ROW: u8 = b'r';
const META: &[u8] = b"m";
const META_VERSION: u8 = 1;
const META_BYTES: usize = 1 + 8 + 32 + 8 + 16 + 8;

/// What the rows add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    head: Head,
    rows: u64,
    /// The sum of all row checksums: a forgotten or revived row shows.
    sum: u128,
}

/// The state, checked.
#[derive(Debug)]
pub(super) struct State {
    db: sled::Db,
    dir: PathBuf,
    meta: Meta,
    /// What the check on opening has read, until somebody takes it or a row changes: a start needs all rows once.
    read: RefCell<Option<Vec<Row>>>,
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
        let changes: BTreeMap<&[u8], Option<&[u8]>> = changes.collect();
        self.read.take();
        caught(|| {
            fail::fail_point!("store::apply", |_| Err("failpoint".to_owned()));
            let mut meta = Meta { head, ..self.meta };
            let mut batch = sled::Batch::default();
            for (key, row) in changes {
                let stored_key = stored_key(key);
                if let Some(old) = self.db.get(&stored_key).map_err(|e| e.to_string())? {
                    let (sum, _) = open_row(&stored_key, &old)?;
                    meta.rows -= 1;
                    meta.sum -= u128::from(sum);
                }
                match row {
                    Some(row) => {
                        let sum = row_sum(&stored_key, row);
                        meta.rows += 1;
                        meta.sum += u128::from(sum);
                        batch.insert(stored_key, [&sum.to_le_bytes(), row].concat());
                    }
                    None => batch.remove(stored_key),
                }
            }
            batch.insert(META, meta.encode().to_vec());
            self.db.apply_batch(batch).map_err(|e| e.to_string())?;
            self.meta = meta;
            Ok(())
        })
    }

    /// All rows by key, each checked; those read on opening if nothing has changed since.
    pub(super) fn rows(&self) -> Result<Vec<Row>, String> {
        if let Some(rows) = self.read.take() {
            return Ok(rows);
        }
        caught(|| {
            let mut rows = Vec::with_capacity(usize::try_from(self.meta.rows).unwrap_or(0));
            for row in self.db.scan_prefix([ROW]) {
                let (key, stored) = row.map_err(|e| e.to_string())?;
                let (_, row) = open_row(&key, &stored)?;
                rows.push((key[1..].to_vec(), row.to_vec()));
            }
            if rows.len() as u64 != self.meta.rows {
                return Err(format!("{} rows were found, there must be {}", rows.len(), self.meta.rows));
            }
            Ok(rows)
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
fn scrub(db: &sled::Db, empty: Head) -> Result<(Meta, Vec<Row>), String> {
    let mut found = Meta { head: empty, rows: 0, sum: 0 };
    let mut rows = Vec::new();
    let mut stored_meta = None;
    for row in db.iter() {
        let (key, stored) = row.map_err(|e| e.to_string())?;
        if key == META {
            stored_meta = Some(Meta::decode(&stored)?);
        } else if key.first() == Some(&ROW) {
            let (sum, row) = open_row(&key, &stored)?;
            found.rows += 1;
            found.sum += u128::from(sum);
            rows.push((key[1..].to_vec(), row.to_vec()));
        } else {
            return Err("it holds a row that is not ours".to_owned());
        }
    }
    match stored_meta {
        None if found.rows == 0 => Ok((found, rows)),
        None => Err(format!("{} rows, but not the one that says how many there must be", found.rows)),
        Some(meta) if (meta.rows, meta.sum) == (found.rows, found.sum) => Ok((meta, rows)),
        Some(meta) => Err(format!("{} rows that do not add up to the {} there must be", found.rows, meta.rows)),
    }
}

fn stored_key(key: &[u8]) -> Vec<u8> {
    [&[ROW], key].concat()
}

fn row_sum(stored_key: &[u8], row: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&(stored_key.len() as u64).to_le_bytes());
    hasher.update(stored_key);
    hasher.update(row);
    hasher.digest()
}

/// Checks a stored row; gives its checksum and the row.
fn open_row<'a>(stored_key: &[u8], stored: &'a [u8]) -> Result<(u64, &'a [u8]), String> {
    let (sum, row) = stored.split_first_chunk::<8>().ok_or("a row is too short")?;
    let sum = u64::from_le_bytes(*sum);
    if sum == row_sum(stored_key, row) { Ok((sum, row)) } else { Err("the checksum of a row does not match".into()) }
}

impl Meta {
    fn encode(&self) -> [u8; META_BYTES] {
        let mut out = [0; META_BYTES];
        out[0] = META_VERSION;
        out[1..9].copy_from_slice(&self.head.seq.to_le_bytes());
        out[9..41].copy_from_slice(&self.head.hash);
        out[41..49].copy_from_slice(&self.rows.to_le_bytes());
        out[49..65].copy_from_slice(&self.sum.to_le_bytes());
        let sum = row_sum(META, &out[..65]);
        out[65..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(stored: &[u8]) -> Result<Self, String> {
        let bytes: &[u8; META_BYTES] = stored.try_into().map_err(|_| "its own description has another size")?;
        if bytes[0] != META_VERSION {
            return Err(format!("it is of version {}, this program reads {META_VERSION}", bytes[0]));
        }
        if row_sum(META, &bytes[..65]).to_le_bytes() != bytes[65..] {
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
        Ok(Self { head: Head { seq: number(1), hash }, rows: number(41), sum })
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
        let key = |n: u8| vec![ROW, n, n, n];
        after(|_| ()).unwrap();
        let check = |tamper: &dyn Fn(&sled::Db), says: &str| {
            let why = after(|db| tamper(db)).unwrap_err();
            assert!(why.contains(says), "{why}");
        };
        check(&|db| drop(db.remove(key(3)).unwrap()), "do not add up");
        check(&|db| drop(db.insert(key(3), vec![0; 28]).unwrap()), "checksum of a row");
        check(&|db| drop(db.insert(key(3), db.get(key(4)).unwrap().unwrap()).unwrap()), "checksum of a row");
        check(
            &|db| drop(db.insert(key(77), [&row_sum(&key(77), b"x").to_le_bytes(), &b"x"[..]].concat()).unwrap()),
            "add up",
        );
        check(&|db| drop(db.insert(b"other", b"row").unwrap()), "not ours");
        check(&|db| drop(db.remove(META).unwrap()), "not the one that says");
        check(&|db| drop(db.insert(META, vec![1; META_BYTES]).unwrap()), "own description");
    }

    #[test]
    fn a_panic_is_an_error_and_a_thread_that_dies_is_noticed() {
        let why = guarded::<()>(|| panic!("{} rows", 3)).unwrap_err();
        assert_eq!(why, "sled panicked: 3 rows");
        assert_eq!(caught::<()>(|| panic!("bad page")).unwrap_err(), "sled panicked: bad page");
        assert_eq!(guarded(|| Ok(5)), Ok(5));
    }
}
