//! Why the demo could not run.

use std::path::PathBuf;

/// Why the demo could not run, for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The embedded broker did not come up.
    #[error("the embedded broker did not start: {0}")]
    Broker(String),
    /// A part of the sandbox could not listen.
    #[error("the sandbox cannot listen on loopback: {0}")]
    Listen(#[source] std::io::Error),
    /// A part of the sandbox was given settings that it cannot work with.
    #[error("the sandbox: {0}")]
    Sandbox(String),
    /// The simulated fleet lost its broker.
    #[error("the simulated fleet cannot publish: {0}")]
    Fleet(String),
    /// A file of the demo's own directory could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The daemon could not be started, or ended on its own.
    #[error("{0}")]
    Daemon(String),
    /// A request to the daemon's own API failed.
    #[error("the daemon's API: {0}")]
    Api(String),
}
