//! Everything around the daemon on one machine: broker, providers, fleet.

mod broker;
mod error;
pub mod fleet;
pub mod sandbox;

pub use broker::Broker;
pub use error::Error;
