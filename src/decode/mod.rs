//! Payload bytes to readings, by the model.
//!
//! What a device sends is hostile until proven otherwise: nothing here panics, recurses without a limit or allocates
//! more than the payload justifies. A payload that cannot be read as a whole is an [`Error`] and goes to quarantine; a
//! value that cannot be used is a [`BadValue`](crate::model::BadValue) beside the good ones (V4).
//!
//! All formats speak of the same things: a tree of values is walked by the [`Plan`](crate::model::Plan) of the model
//! (JSON, CBOR, MessagePack, Protobuf), or each value comes with a name (bare values, Homie, SenML, [`sparkplug`]).
//! A number as the key of a map is written as its digits in a path (`path = "1.2"`).

mod cbor;
mod error;
mod json;
mod messages;
mod msgpack;
mod pack;
mod protobuf;
mod scalar;
mod senml;
mod sink;
pub mod sparkplug;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::borrow::Cow;

pub use crate::model::MAX_PAYLOAD_BYTES;
pub use error::Error;
pub use json::json;
pub use messages::Messages;
pub use value::{field, is_number};

use crate::domain::At;
use crate::model::{Binding, Decoder, Format, Model, Subject};

/// Objects and arrays may stand so deep in each other.
pub const MAX_DEPTH: usize = 128;
/// A payload holds at most so many messages.
pub const MAX_RECORDS: usize = 4_096;

/// Decodes a payload of the topic that `binding` was made of into `out`, whose former content is dropped and whose memory
/// is used again. `received_at` is what relative times of a payload count from.
///
/// What Sparkplug says depends on what was said before: it is read by [`sparkplug::Node::take`], and nothing is read here.
///
/// # Errors
/// The payload as a whole cannot be read; `out` is then empty.
pub fn decode(
    model: &Model,
    binding: &Binding,
    payload: &[u8],
    received_at: At,
    out: &mut Messages,
) -> Result<(), Error> {
    out.clear();
    let read = read(model, binding, payload, received_at, out);
    if read.is_err() {
        out.clear();
    }
    read
}

fn read(model: &Model, binding: &Binding, payload: &[u8], received_at: At, out: &mut Messages) -> Result<(), Error> {
    match (&binding.subject, &model.presence) {
        (Subject::Nothing | Subject::Edge(_), _) => return Ok(()),
        (Subject::Presence, Some(presence)) => {
            presence.decode(payload, out.fresh()?);
            return Ok(());
        }
        _ => {}
    }
    let Some(decoder) = model.decoders.get(binding.decoder) else { return Ok(()) };
    let payload = unwrapped(decoder, payload)?;
    match &decoder.format {
        Format::Json => json::read(model, decoder.batch.as_deref(), &payload, out),
        Format::Cbor => tree::read(model, decoder.batch.as_deref(), cbor::Cbor::new(&payload), out),
        Format::MessagePack => tree::read(model, decoder.batch.as_deref(), msgpack::MessagePack::new(&payload), out),
        Format::Protobuf(message) => protobuf::read(model, message, decoder.batch.as_deref(), &payload, out),
        Format::SenmlJson => senml::json(model, &payload, received_at, out),
        Format::SenmlCbor => senml::cbor(model, &payload, received_at, out),
        Format::Scalar(_) | Format::Homie => scalar::read(model, &binding.subject, &payload, out.fresh()?),
        Format::Sparkplug => Ok(()),
    }
}

/// The payload without its wrapper.
fn unwrapped<'p>(decoder: &Decoder, payload: &'p [u8]) -> Result<Cow<'p, [u8]>, Error> {
    if payload.len() > decoder.max_bytes {
        return Err(Error::TooLarge { bytes: payload.len(), limit: decoder.max_bytes });
    }
    match decoder.compress {
        None => Ok(Cow::Borrowed(payload)),
        Some(with) => pack::unpacked(with, payload, decoder.max_bytes).map(Cow::Owned),
    }
}
