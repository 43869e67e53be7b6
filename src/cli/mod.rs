//! Commands and exit codes.

#[cfg(feature = "demo")]
pub mod demo;
