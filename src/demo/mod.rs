//! Everything around the daemon on one machine: broker, providers, fleet; and the play in which two cars break down.
//!
//! [`sandbox`] is of use by itself: the crash tests let the daemon talk to it, kill the daemon, and count here what
//! was accepted.

mod broker;
mod daemon;
mod director;
mod error;
pub mod fleet;
pub mod registry;
pub mod sandbox;
mod screen;
mod summary;
mod timeline;
mod workspace;

pub use broker::Broker;
pub use daemon::{Case, Daemon, Effect, Goal, free_port};
pub use director::{Options, play};
pub use error::Error;
pub use screen::Screen;
pub use summary::{Accepted, Served, Summary};
pub use timeline::{Event, Look, Mark, Merge, sentence};
pub use workspace::{Addresses, Secrets, Workspace};
