//! Threads and queues: ingest, shards, desk, dispatcher; recovery.

mod ports;

pub use ports::{Busy, Channel, DeskHandle, DeskQuestion, Incoming, Publisher};
