//! Everything that must survive: an append-only segment log.
