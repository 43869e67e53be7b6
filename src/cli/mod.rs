//! Commands and exit codes.

pub mod case;
pub mod token;
