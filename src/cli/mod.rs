//! Commands and exit codes.

pub mod replay;
