//! Commands and exit codes.

pub mod case;
pub mod replay;
pub mod token;
