//! Threads and queues: ingest, shards, desk, dispatcher; recovery.

mod entry;
mod ports;
pub mod quarantine;

pub use entry::{BadEntry, Entry};
pub use ports::{Busy, Channel, Clock, DeskHandle, DeskQuestion, Incoming, Publisher, Source};
