//! Engine state at a journal position, one file per shard: what a restart begins from, so that only the end of the
//! journal has to be replayed.
//!
//! A file is written beside its place, flushed, then renamed, so that the place always holds a whole checkpoint: the
//! old one or the new one. Its content is checked with BLAKE3 on loading; a damaged file is set aside and reported, and
//! the journal makes up for it as far as it reaches back ([`Loaded::plan`] says where it does not).
//!
//! Trim the journal only behind positions that [`flush`] has returned for: before that a power cut may still bring an
//! older file back.
//!
//! The state is packed with zstd at level 1: `cargo bench --bench journal` shows what that costs and saves.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::domain::Pos;

/// How many shards there are: shard numbers are `u8`.
pub const SHARDS: usize = 256;
/// The largest state of one shard, in bytes before packing.
pub const MAX_STATE_BYTES: usize = 1 << 30;

const MAGIC: [u8; 7] = *b"fwckpt\x00";
const VERSION: u8 = 1;
/// Magic, version, shard, then position, tag, unpacked length, then the hash.
const HEAD: usize = 7 + 1 + 1 + 8 + 8 + 8;
const HASH: usize = 32;
/// Damaged files kept for people, per shard; later ones overwrite the last.
const KEPT_DAMAGED: u32 = 5;

/// The state of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which shard.
    pub shard: u8,
    /// It includes every record of the journal up to and with this one.
    pub pos: Pos,
    /// What the bytes depend on besides the record (a hash of rules or schema); opaque here.
    pub tag: u64,
    /// The state, opaque here.
    pub bytes: Vec<u8>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The intact ones, ascending by shard.
    pub checkpoints: Vec<Checkpoint>,
    /// The others. Each costs a longer replay, or state if the journal is too short for that: say it loudly.
    pub damaged: Vec<Damaged>,
}

/// A file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Which shard.
    pub shard: u8,
    /// Where the file is now.
    pub set_aside: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

/// What to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The first record to read. Records at or before a shard's own checkpoint are to be left out for that shard.
    pub from: Pos,
    /// For each shard the position up to which its state is known.
    pub known_to: Vec<Pos>,
    /// Shards whose state misses records because the journal no longer reaches back to them: they begin cold.
    pub cold: Vec<ColdShard>,
    /// The newest position that a checkpoint holds, if the journal ends before it: the journal lost its end, and must
    /// not give those numbers again.
    pub journal_lost_up_to: Option<Pos>,
}

/// A shard that misses records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdShard {
    /// Which.
    pub shard: u8,
    /// The first record it misses.
    pub misses_from: Pos,
    /// The first record that can be replayed.
    pub replayed_from: Pos,
}

impl Loaded {
    /// What has to be replayed, given the position that the journal reaches back to and its last record. Every shard is
    /// expected to have been written at least once before the journal is trimmed, an empty one too.
    #[must_use]
    pub fn plan(&self, reaches_back_to: Pos, last: Option<Pos>) -> Plan {
        let mut known_to = vec![Pos::START; SHARDS];
        for checkpoint in &self.checkpoints {
            known_to[usize::from(checkpoint.shard)] = checkpoint.pos;
        }
        let cold = (0..=u8::MAX)
            .zip(&known_to)
            .filter(|(_, known)| known.next() < reaches_back_to)
            .map(|(shard, known)| ColdShard { shard, misses_from: known.next(), replayed_from: reaches_back_to })
            .collect();
        let oldest = known_to.iter().min().copied().unwrap_or_default();
        let newest = known_to.iter().max().copied().unwrap_or_default();
        let end = last.unwrap_or(Pos(reaches_back_to.0.saturating_sub(1)));
        Plan {
            from: oldest.next().max(reaches_back_to),
            known_to,
            cold,
            journal_lost_up_to: (newest > end).then_some(newest),
        }
    }
}

/// Why a checkpoint could not be written or the directory not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed. What was there before is untouched.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Above [`MAX_STATE_BYTES`].
    #[error("the state of shard {shard} is {bytes} bytes; the limit is {MAX_STATE_BYTES}")]
    TooLarge {
        /// Which shard.
        shard: u8,
        /// Its size.
        bytes: usize,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.to_owned(), source }
}

/// Puts the checkpoint of a shard in the place of the one before. It counts only after [`flush`].
pub fn write(dir: &Path, checkpoint: &Checkpoint) -> Result<(), Error> {
    let Checkpoint { shard, bytes, .. } = checkpoint;
    if bytes.len() > MAX_STATE_BYTES {
        return Err(Error::TooLarge { shard: *shard, bytes: bytes.len() });
    }
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    let place = path_of(dir, *shard);
    let beside = place.with_extension("ckpt.new");
    let file = encode(checkpoint).map_err(io_error("pack the state for", &place))?;
    let written = File::create(&beside).and_then(|mut out| {
        fail::fail_point!("checkpoint::write", |_| Err(io::ErrorKind::StorageFull.into()));
        out.write_all(&file)?;
        out.sync_data()
    });
    if let Err(source) = written {
        // The next attempt overwrites it, the next start removes it.
        let _later = fs::remove_file(&beside);
        return Err(Error::Io { doing: "write", path: beside, source });
    }
    fs::rename(&beside, &place).map_err(io_error("put in place", &place))
}

/// Makes all renames so far durable: one directory flush for a round of [`write()`]s.
pub fn flush(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("flush", dir))
}

/// Loads every checkpoint in `dir`; none if the directory does not exist. Damaged ones are renamed and reported.
pub fn load_all(dir: &Path) -> Result<Loaded, Error> {
    load(dir, |_| true)
}

/// The same for the shards that are wanted; of the others nothing is touched.
pub fn load(dir: &Path, wanted: impl Fn(u8) -> bool) -> Result<Loaded, Error> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(e) => return Err(io_error("read the directory", dir)(e)),
    };
    for entry in entries {
        let path = entry.map_err(io_error("read the directory", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((number, kind)) = name.split_once('.') else { continue };
        let Some(shard) = number.parse().ok().filter(|shard| wanted(*shard)) else { continue };
        match kind {
            "ckpt.new" => fs::remove_file(&path).map_err(io_error("remove", &path))?,
            "ckpt" => drop(files.insert(shard, path)),
            _ => {}
        }
    }
    let mut loaded = Loaded::default();
    for (shard, path) in files {
        // An unreadable sector is damage like any other: it must not keep the program from starting.
        match fs::read(&path).map_err(|e| e.to_string()).and_then(|file| decode(shard, &file)) {
            Ok(checkpoint) => loaded.checkpoints.push(checkpoint),
            Err(why) => {
                let set_aside = free_name(&path);
                fs::rename(&path, &set_aside).map_err(io_error("set aside", &path))?;
                loaded.damaged.push(Damaged { shard, set_aside, why });
            }
        }
    }
    Ok(loaded)
}

fn path_of(dir: &Path, shard: u8) -> PathBuf {
    dir.join(format!("{shard:03}.ckpt"))
}

fn free_name(path: &Path) -> PathBuf {
    let name = |n| path.with_extension(format!("damaged-{n}"));
    (1..KEPT_DAMAGED).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(KEPT_DAMAGED))
}

fn encode(checkpoint: &Checkpoint) -> io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(&checkpoint.bytes, 1)?;
    let mut out = Vec::with_capacity(HEAD + HASH + packed.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, checkpoint.shard]);
    out.extend_from_slice(&checkpoint.pos.0.to_le_bytes());
    out.extend_from_slice(&checkpoint.tag.to_le_bytes());
    out.extend_from_slice(&(checkpoint.bytes.len() as u64).to_le_bytes());
    let hash = hash(&out, &packed);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(&packed);
    Ok(out)
}

fn decode(shard: u8, file: &[u8]) -> Result<Checkpoint, String> {
    let Some((head, rest)) = file.split_at_checked(HEAD).filter(|(_, rest)| rest.len() >= HASH) else {
        return Err(format!("it has {} bytes only", file.len()));
    };
    let (stored, packed) = rest.split_at(HASH);
    if head[..7] != MAGIC {
        return Err("it is no checkpoint".into());
    }
    if hash(head, packed).as_bytes() != stored {
        return Err("its checksum does not match".into());
    }
    if head[7] != VERSION {
        return Err(format!("it is of version {}, this program reads {VERSION}", head[7]));
    }
    if head[8] != shard {
        return Err(format!("it is the checkpoint of shard {}", head[8]));
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let len = usize::try_from(number(25)).ok().filter(|len| *len <= MAX_STATE_BYTES);
    let len = len.ok_or("it claims an impossible size")?;
    let bytes = zstd::bulk::decompress(packed, len).map_err(|e| format!("it cannot be unpacked: {e}"))?;
    if bytes.len() != len {
        return Err("it unpacks to another size than it says".into());
    }
    Ok(Checkpoint { shard, pos: Pos(number(9)), tag: number(17), bytes })
}

fn hash(head: &[u8], packed: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    hasher.update(packed);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn sample(shard: u8, pos: u64) -> Checkpoint {
        let bytes = (0..3000_u32).flat_map(|n| (n % 97 + u32::from(shard)).to_le_bytes()).collect();
        Checkpoint { shard, pos: Pos(pos), tag: 0xfeed, bytes }
    }

    #[test]
    fn the_newest_of_each_shard_comes_back() {
        let dir = TempDir::new().unwrap();
        let dir = dir.path().join("checkpoints");
        assert!(load_all(&dir).unwrap().checkpoints.is_empty());
        for (shard, pos) in [(0, 5), (255, 6), (7, 7), (7, 9)] {
            write(&dir, &sample(shard, pos)).unwrap();
        }
        write(&dir, &Checkpoint { shard: 8, pos: Pos(1), tag: 0, bytes: Vec::new() }).unwrap();
        flush(&dir).unwrap();
        // Left behind by a crash between writing and renaming.
        fs::write(dir.join("009.ckpt.new"), b"half").unwrap();
        let loaded = load_all(&dir).unwrap();
        assert_eq!(loaded.damaged, []);
        let empty = Checkpoint { shard: 8, pos: Pos(1), tag: 0, bytes: Vec::new() };
        assert_eq!(loaded.checkpoints, [sample(0, 5), sample(7, 9), empty, sample(255, 6)]);
        assert!(!dir.join("009.ckpt.new").exists());
    }

    #[test]
    fn damage_anywhere_is_found_set_aside_and_costs_that_shard_only() {
        let dir = TempDir::new().unwrap();
        write(dir.path(), &sample(1, 10)).unwrap();
        write(dir.path(), &sample(2, 20)).unwrap();
        let file = dir.path().join("002.ckpt");
        let whole = fs::read(&file).unwrap();
        let flips = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        let cuts = (0..whole.len()).map(|at| whole[..at].to_vec());
        for bad in flips.chain(cuts) {
            fs::write(&file, &bad).unwrap();
            let loaded = load_all(dir.path()).unwrap();
            assert_eq!(loaded.checkpoints, [sample(1, 10)]);
            assert_eq!(loaded.damaged.len(), 1);
            assert_eq!(loaded.damaged[0].shard, 2);
            assert_eq!(fs::read(&loaded.damaged[0].set_aside).unwrap(), bad);
            assert!(!file.exists());
        }
        // A checkpoint of one shard in the place of another is damage too.
        fs::write(&file, fs::read(dir.path().join("001.ckpt")).unwrap()).unwrap();
        assert_eq!(load_all(dir.path()).unwrap().damaged[0].why, "it is the checkpoint of shard 1");
    }

    #[test]
    fn the_plan_says_what_is_missing() {
        let every = |pos| Loaded {
            checkpoints: (0..=255)
                .map(|shard| Checkpoint { shard, pos: Pos(pos), tag: 0, bytes: Vec::new() })
                .collect(),
            damaged: Vec::new(),
        };
        // Nothing anywhere.
        let plan = Loaded::default().plan(Pos(1), None);
        assert_eq!((plan.from, plan.cold.len(), plan.journal_lost_up_to), (Pos(1), 0, None));
        // A journal that still has everything makes up for missing files.
        let plan = Loaded::default().plan(Pos(1), Some(Pos(100)));
        assert_eq!((plan.from, plan.cold.len()), (Pos(1), 0));
        // The usual case.
        let mut loaded = every(100);
        loaded.checkpoints[3].pos = Pos(90);
        let plan = loaded.plan(Pos(50), Some(Pos(120)));
        assert_eq!((plan.from, plan.cold.len(), plan.known_to[3], plan.known_to[4]), (Pos(91), 0, Pos(90), Pos(100)));
        // One shard's file is lost and the journal begins too late.
        loaded.checkpoints.remove(3);
        let plan = loaded.plan(Pos(50), Some(Pos(120)));
        assert_eq!(plan.from, Pos(50));
        assert_eq!(plan.cold, [ColdShard { shard: 3, misses_from: Pos(1), replayed_from: Pos(50) }]);
        // The journal lost its end.
        assert_eq!(every(100).plan(Pos(50), Some(Pos(99))).journal_lost_up_to, Some(Pos(100)));
        assert_eq!(every(100).plan(Pos(1), None).journal_lost_up_to, Some(Pos(100)));
        // Trimmed right up to the checkpoints.
        let plan = every(100).plan(Pos(101), None);
        assert_eq!((plan.from, plan.cold.len(), plan.journal_lost_up_to), (Pos(101), 0, None));
    }
}
