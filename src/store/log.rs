//! Records of the desk log as bytes, and the chain that binds them.
//!
//! A record is `version | hash of the record before | own hash | postcard`. The own hash covers the hash before, the
//! number and the postcard bytes, so that an edit, a deletion or another order breaks the chain at that place. Whoever
//! can write the file can also compute a new chain to its end: that shows against an export, or against a [`Head`] that
//! was kept elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Error, Head, export, open};
use crate::desk::Record;
use crate::journal::{Pos, Reader};

const VERSION: u8 = 1;
const HEAD: usize = 1 + 32 + 32;

/// Before the first record.
pub(super) fn genesis() -> Head {
    Head { seq: 0, hash: *blake3::hash(b"forewarn desk log 1").as_bytes() }
}

/// The bytes of the record that follows `before`, and its place.
pub(super) fn encode(before: Head, record: &Record) -> (Vec<u8>, Head) {
    let mut out = Vec::with_capacity(256);
    out.push(VERSION);
    out.extend_from_slice(&before.hash);
    out.extend_from_slice(&[0; 32]);
    #[expect(clippy::expect_used, reason = "a record is vectors, strings and numbers: postcard cannot fail on these")]
    let mut out = postcard::to_extend(record, out).expect("a record can be written");
    let seq = before.seq + 1;
    let hash = chain(&before.hash, seq, &out[HEAD..]);
    out[33..HEAD].copy_from_slice(&hash);
    (out, Head { seq, hash })
}

/// A record as it stands in the log, its own hash checked.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) before: [u8; 32],
    pub(super) head: Head,
    pub(super) record: Record,
}

/// Reads the record number `seq`.
pub(super) fn decode(seq: u64, bytes: &[u8]) -> Result<Entry, Error> {
    let broken = |what: String| Error::Chain { seq, what };
    let Some((head, body)) = bytes.split_at_checked(HEAD) else {
        return Err(broken(format!("it has {} bytes only", bytes.len())));
    };
    if head[0] != VERSION {
        return Err(broken(format!("it is of version {}, this program reads {VERSION}", head[0])));
    }
    let (mut before, mut hash) = ([0; 32], [0; 32]);
    before.copy_from_slice(&head[1..33]);
    hash.copy_from_slice(&head[33..]);
    if chain(&before, seq, body) != hash {
        return Err(broken("it is not what was written".into()));
    }
    let record = match postcard::take_from_bytes::<Record>(body) {
        Ok((record, [])) => record,
        Ok((_, rest)) => return Err(broken(format!("{} bytes follow its end", rest.len()))),
        Err(e) => return Err(broken(format!("it cannot be read: {e}"))),
    };
    Ok(Entry { before, head: Head { seq, hash }, record })
}

fn chain(before: &[u8; 32], seq: u64, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(&seq.to_le_bytes());
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

/// The records of the desk log in `dir` (a store's directory) from number `from` on (0: the oldest kept), for reading
/// beside a running program or without one. Each is checked by itself; the chain is checked by [`verify`].
pub fn records(dir: &Path, from: u64) -> Result<impl Iterator<Item = Result<(u64, Record), Error>>, Error> {
    let reader = Reader::open(&open::log_dir(dir), Pos(from))?;
    Ok(reader.map(|found| {
        let (pos, bytes) = found?;
        decode(pos.0, &bytes).map(|entry| (pos.0, entry.record))
    }))
}

/// What [`verify`] found intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records the log holds.
    pub records: u64,
    /// The oldest one, if there is any.
    pub first: Option<u64>,
    /// The end of the chain.
    pub head: Head,
    /// What vouches for the beginning.
    pub anchor: Anchor,
    /// How many exports the chain agrees with.
    pub exports: usize,
}

/// What vouches for the beginning of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It begins with record 1.
    Genesis,
    /// The export of the record before.
    Export,
    /// Nothing: older records were trimmed and no export of that place is kept. From its first record on it is intact.
    Unknown,
}

/// Reads the whole desk log in `dir` (a store's directory) and checks its chain against itself, against the exports
/// and against `kept`, heads that were kept elsewhere. Finds every edited, deleted, inserted or moved record; records cut
/// off the end, or all written anew from some record on, show only against an export or `kept`.
pub fn verify(dir: &Path, kept: impl IntoIterator<Item = Head>) -> Result<Verified, Error> {
    let mut vouched: BTreeMap<u64, Vec<(Head, String)>> = BTreeMap::new();
    let (mut exports, mut last_export, mut last_kept) = (0, 0, 0);
    for (_, path) in export::list(&open::exports_dir(dir))? {
        let head = export::check(&path)?;
        vouched.entry(head.seq).or_default().push((head, path.display().to_string()));
        (exports, last_export) = (exports + 1, last_export.max(head.seq));
    }
    for head in kept {
        last_kept = last_kept.max(head.seq);
        vouched.entry(head.seq).or_default().push((head, "a head kept elsewhere".to_owned()));
    }
    let vouches_for = |seq| vouched.get(&seq).and_then(|all| all.first());

    let mut found = Verified { records: 0, first: None, head: genesis(), anchor: Anchor::Genesis, exports };
    let mut reader = Reader::open(&open::log_dir(dir), Pos::START)?;
    while let Some((pos, bytes)) = reader.next_record()? {
        let entry = decode(pos.0, bytes)?;
        let broken = |what: String| Err(Error::Chain { seq: pos.0, what });
        if found.head.seq + 1 != pos.0 {
            // What they added up to may be known from an export: they are missing all the same.
            if found.first.is_some() {
                return broken(format!("the records from {} on are missing", found.head.seq + 1));
            }
            (found.head, found.anchor) = match vouches_for(pos.0 - 1) {
                Some((head, _)) => (*head, Anchor::Export),
                None => (Head { seq: pos.0 - 1, hash: entry.before }, Anchor::Unknown),
            };
        }
        if entry.before != found.head.hash {
            return broken("it does not follow the record before it".into());
        }
        let of_place = vouched.get(&pos.0).into_iter().flatten();
        if let Some((_, by)) = of_place.into_iter().find(|(head, _)| *head != entry.head) {
            return broken(format!("its chain hash is not the one in {by}"));
        }
        found.head = entry.head;
        found.first = found.first.or(Some(pos.0));
        found.records += 1;
    }
    let newest = vouched.range(found.head.seq + 1..).next_back().and_then(|(_, all)| all.first());
    match newest {
        // A log trimmed to nothing ends where its newest export does.
        Some((head, _)) if found.first.is_none() && exports > 0 && last_kept <= last_export => {
            Ok(Verified { head: *head, anchor: Anchor::Export, ..found })
        }
        Some((head, by)) => {
            let what = format!("the log ends before it, but {by} holds record {}", head.seq);
            Err(Error::Chain { seq: found.head.seq + 1, what })
        }
        None => Ok(found),
    }
}
