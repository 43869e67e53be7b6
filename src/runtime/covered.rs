//! Up to where each shard's checkpoint is good.
//!
//! A shard in which nothing happens is not written again and again; this small file says that its old checkpoint (or
//! having none) still stands for a later journal position. Without it the journal could never be trimmed past the last
//! word of a silent device.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::shared::SHARDS;

const FILE: &str = "covered";

/// Per shard: whether it has a checkpoint file, and the position up to which that is all there is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Covered(Vec<(bool, u64)>);

impl Covered {
    /// What the file says; nothing, if it is missing or unreadable: then the checkpoints stand for themselves.
    pub(super) fn read(dir: &Path) -> Self {
        let bytes = std::fs::read(dir.join(FILE)).unwrap_or_default();
        let good =
            bytes.split_last_chunk::<4>().filter(|(body, crc)| crc32c::crc32c(body) == u32::from_le_bytes(**crc));
        good.and_then(|(body, _)| postcard::from_bytes::<Self>(body).ok())
            .filter(|c| c.0.len() == SHARDS)
            .unwrap_or_else(|| Self(vec![(false, 0); SHARDS]))
    }

    /// The position that a shard stands at, given the position of the checkpoint that was restored, if one was.
    pub(super) fn good_up_to(&self, shard: usize, restored: Option<u64>) -> u64 {
        let (has_file, pos) = self.0[shard];
        match restored {
            Some(file) => file.max(if has_file { pos } else { 0 }),
            // A file that should be there and is not: start from what the journal has.
            None if has_file => 0,
            None => pos,
        }
    }

    /// Notes that `shard` is covered up to `pos`; `changed`: by a file just written. In memory, until [`Self::save`].
    pub(super) fn advance(&mut self, shard: u8, pos: u64, changed: bool) {
        let entry = &mut self.0[usize::from(shard)];
        *entry = (entry.0 || changed, pos);
    }

    /// Replaces the file.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let mut bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let new = dir.join("covered.new");
        std::fs::write(&new, bytes)?;
        std::fs::File::open(&new)?.sync_data()?;
        std::fs::rename(new, dir.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_checkpoint_sends_its_shard_back_to_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut covered = Covered::read(dir.path());
        covered.advance(1, 50, true);
        covered.advance(2, 90, false);
        covered.advance(1, 95, false);
        covered.save(dir.path()).unwrap();
        let covered = Covered::read(dir.path());
        assert_eq!(covered.good_up_to(1, Some(50)), 95, "unchanged since its file");
        assert_eq!(covered.good_up_to(1, None), 0, "its file is gone");
        assert_eq!(covered.good_up_to(2, None), 90, "never had a device");
        assert_eq!(covered.good_up_to(3, None), 0);
        std::fs::write(dir.path().join(FILE), b"damaged").unwrap();
        assert_eq!(Covered::read(dir.path()).good_up_to(1, Some(50)), 50);
    }
}
