//! Engine state at a journal position, per shard.
