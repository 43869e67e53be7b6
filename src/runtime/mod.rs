//! Threads and queues: ingest, shards, desk, dispatcher; recovery.

mod at_rest;
mod births;
mod covered;
mod daemon;
mod desk_thread;
mod dispatcher;
mod entry;
mod feedback;
mod in_force;
mod ingest;
mod nightly;
mod pace;
mod ports;
pub mod quarantine;
mod reload;
mod shard;
mod shared;
mod whole;

pub use at_rest::AtRest;
pub use daemon::{Daemon, Error, Parts, Probe, Recovered};
pub use dispatcher::{Channels, Line};
pub use entry::{BadEntry, Entry};
pub use feedback::Topic;
pub use in_force::in_force;
pub use ports::{
    Busy, Channel, Clock, DeskHandle, DeskQuestion, EngineHandle, EngineQuestion, Incoming, Publisher, ReloadHandle,
    ReloadState, Source,
};
pub use reload::{Reloaded, Warm};
pub use shared::Rules;
