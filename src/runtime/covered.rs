//! Up to where each shard's checkpoint is good.
//!
//! A shard in which nothing happens is not written again and again; this small file says that its old checkpoint (or
//! having none) still stands for a later journal position, and where the clock of the shard stood there: time is all
//! that has passed. Without the one the journal could never be trimmed past the last word of a silent device, without
//! the other its silence would begin anew with every restart.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::shared::SHARDS;
use super::whole;
use crate::engine::ShardClock;

const FILE: &str = "covered";

/// By shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Covered(Vec<Cover>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cover {
    /// Whether it has a checkpoint file.
    file: bool,
    /// The position up to which that is all there is to know, …
    pos: u64,
    /// … but for the clock.
    clock: ShardClock,
}

impl Covered {
    /// What the file says; nothing, if it is missing or unreadable: then the checkpoints stand for themselves.
    pub(super) fn read(dir: &Path) -> Self {
        whole::read(dir, FILE)
            .and_then(|bytes| postcard::from_bytes::<Self>(&bytes).ok())
            .filter(|c| c.0.len() == SHARDS)
            .unwrap_or_else(|| Self(vec![Cover::default(); SHARDS]))
    }

    /// The position that a shard stands at, given the position of the checkpoint that was restored, if one was; and the
    /// clock there, unless that is the checkpoint's own.
    pub(super) fn good_up_to(&self, shard: u8, restored: Option<u64>) -> (u64, Option<ShardClock>) {
        let Cover { file, pos, clock } = self.0[usize::from(shard)];
        match restored {
            Some(own) if !file || own >= pos => (own, None),
            // A file that should be there and is not: start from what the journal has.
            None if file => (0, None),
            _ => (pos, Some(clock)),
        }
    }

    /// Notes that `shard` is covered up to `pos`, where its clock stands at `clock`; `changed`: by a file just written.
    /// In memory, until [`Self::save`].
    pub(super) fn advance(&mut self, shard: u8, pos: u64, clock: ShardClock, changed: bool) {
        let entry = &mut self.0[usize::from(shard)];
        *entry = Cover { file: entry.file || changed, pos, clock };
    }

    /// Replaces the file.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        whole::replace(dir, FILE, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_checkpoint_sends_its_shard_back_to_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut covered = Covered::read(dir.path());
        let clock = ShardClock::default();
        covered.advance(1, 50, clock, true);
        covered.advance(2, 90, clock, false);
        covered.advance(1, 95, clock, false);
        covered.save(dir.path()).unwrap();
        let covered = Covered::read(dir.path());
        assert_eq!(covered.good_up_to(1, Some(50)), (95, Some(clock)), "unchanged since its file");
        assert_eq!(covered.good_up_to(1, Some(99)), (99, None), "its file is newer");
        assert_eq!(covered.good_up_to(1, None), (0, None), "its file is gone");
        assert_eq!(covered.good_up_to(2, None), (90, Some(clock)), "never had a device");
        assert_eq!(covered.good_up_to(3, None), (0, Some(clock)));
        std::fs::write(dir.path().join(FILE), b"damaged").unwrap();
        assert_eq!(Covered::read(dir.path()).good_up_to(1, Some(50)), (50, None));
    }
}
