//! Messages that could not be used: counted, kept (bounded) and acknowledged, so that one broken device never stops
//! the others.
//!
//! Kept as JSON lines in two files of at most 16 MiB each; when the newer is full it replaces the older. An
//! entry carries its journal position, so that a replay after a crash does not enter it a second time.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use crate::domain::At;

/// Size at which a quarantine file is replaced.
const FILE_BYTES: u64 = 16 << 20;
/// How much of a payload is kept.
const PAYLOAD_BYTES: usize = 4 << 10;

/// One message in quarantine, as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Where it is in the telemetry journal.
    pub pos: u64,
    /// When it reached us.
    pub received_at: At,
    /// Its topic.
    pub topic: String,
    /// Short label, as in the metric: `unknown_topic`, `not_json`…
    pub reason: String,
    /// What was wrong and where.
    pub detail: String,
    /// Length of the payload in bytes.
    pub bytes: usize,
    /// The first 4 KiB of the payload, base64.
    pub payload: String,
}

impl Quarantined {
    /// An entry for a message.
    #[must_use]
    pub fn new(pos: u64, received_at: At, topic: &str, payload: &[u8], reason: &str, detail: String) -> Self {
        let kept = &payload[..payload.len().min(PAYLOAD_BYTES)];
        Self {
            pos,
            received_at,
            topic: topic.to_owned(),
            reason: reason.to_owned(),
            detail,
            bytes: payload.len(),
            payload: base64::engine::general_purpose::STANDARD.encode(kept),
        }
    }
}

/// The quarantine of one directory.
#[derive(Debug)]
pub struct Quarantine {
    dir: PathBuf,
    file: File,
    bytes: u64,
    /// Positions found at opening; only a replay can meet them again.
    known: BTreeSet<u64>,
}

impl Quarantine {
    /// Opens or creates it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let known = read(dir)?.into_iter().map(|q| q.pos).collect();
        let file = OpenOptions::new().create(true).append(true).open(dir.join("new.jsonl"))?;
        let bytes = file.metadata()?.len();
        Ok(Self { dir: dir.to_owned(), file, bytes, known })
    }

    /// Enters a message, unless it is already in.
    pub fn put(&mut self, entry: &Quarantined) -> io::Result<()> {
        if self.known.contains(&entry.pos) {
            return Ok(());
        }
        metrics::counter!("forewarn_quarantined_total", "reason" => entry.reason.clone()).increment(1);
        if self.bytes > FILE_BYTES {
            std::fs::rename(self.dir.join("new.jsonl"), self.dir.join("old.jsonl"))?;
            self.file = OpenOptions::new().create(true).append(true).open(self.dir.join("new.jsonl"))?;
            self.bytes = 0;
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// Everything in the quarantine of `dir`, oldest first. A half-written last line is passed over.
pub fn read(dir: &Path) -> io::Result<Vec<Quarantined>> {
    let mut entries = Vec::new();
    for name in ["old.jsonl", "new.jsonl"] {
        match File::open(dir.join(name)) {
            Ok(file) => {
                for line in BufReader::new(file).lines() {
                    entries.extend(serde_json::from_str::<Quarantined>(&line?));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_kept_once_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |pos| Quarantined::new(pos, At::from_secs(1), "a/b", &[0xFF; 9000], "not_json", "at byte 0".into());
        let mut q = Quarantine::open(dir.path()).unwrap();
        q.put(&entry(3)).unwrap();
        q.put(&entry(7)).unwrap();
        drop(q);
        let mut q = Quarantine::open(dir.path()).unwrap();
        q.put(&entry(3)).unwrap();
        q.put(&entry(7)).unwrap();
        q.put(&entry(8)).unwrap();
        let all = read(dir.path()).unwrap();
        assert_eq!(all.iter().map(|q| q.pos).collect::<Vec<_>>(), [3, 7, 8]);
        assert_eq!(all[0].bytes, 9000);
        assert!(all[0].payload.len() < 6000);
    }
}
