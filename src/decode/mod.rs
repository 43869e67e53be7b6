//! Payload bytes to readings, by the model.
//!
//! What a device sends is hostile until proven otherwise: nothing here panics, recurses without a limit or allocates
//! more than the payload justifies. A payload that cannot be read as a whole is an [`Error`] and goes to quarantine; a
//! value that cannot be used is a [`BadValue`](crate::model::BadValue) beside the good ones (V4).

mod error;
mod json;
#[cfg(test)]
mod tests;
mod value;

pub use error::Error;
pub use json::json;
pub use value::{field, is_number};

/// A longer payload is not looked at.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// Objects and arrays may stand so deep in each other.
pub const MAX_DEPTH: usize = 128;
