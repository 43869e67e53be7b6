//! Which part of the fleet a device belongs to.

use xxhash_rust::xxh3::xxh3_64;

/// The fleet is cut into so many shards, for good: threads, checkpoints and (later) machines own whole shards.
pub const SHARDS: usize = 256;

/// The shard of a device: XXH3-64 of its id, modulo [`SHARDS`]. Stored in checkpoints: must never change.
///
/// Devices behind a Sparkplug edge node (`group/edge/device`) share the shard of their node (`group/edge`): what happens
/// to the node happens to them. No other id has slashes.
#[must_use]
pub fn shard_of(device: &str) -> u8 {
    let id = device.as_bytes();
    let mut slashes = (0..id.len()).filter(|at| id[*at] == b'/');
    xxh3_64(&id[..slashes.nth(1).unwrap_or(id.len())]).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_fixed_and_even() {
        // From the reference implementation; a change would orphan every checkpoint.
        assert_eq!(xxh3_64(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(shard_of(""), 0xc2);
        assert_eq!(shard_of("plant/edge-1/press"), shard_of("plant/edge-1"));
        let mut sizes = [0_u32; SHARDS];
        for n in 0..25_600 {
            sizes[usize::from(shard_of(&format!("car-{n:05}")))] += 1;
        }
        assert!(sizes.iter().all(|s| (50..200).contains(s)), "{sizes:?}");
    }
}
