//! The exact shapes of other people's protocols: signatures, TwiML, job and ticket bodies.
//!
//! Pure: bytes and a given `now` in, values out. Both ends use it, the adapters that send and the callbacks that
//! receive, so a shape is written down once. Reading is strict about what we rely on (required fields, known states) and
//! tolerant about what we don't (a provider may add fields any day).

pub mod app;
pub mod booking;
pub mod bounce;
pub mod callback;
pub mod command;
pub mod dispatch;
pub mod ical;
pub mod inbound;
pub mod link;
pub mod reply;
pub mod stop;
pub mod ticket;
pub mod topic;
pub mod twilio;
pub mod webhook;
pub mod zammad;

/// Why something that came over the wire was not understood or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field that the protocol requires is absent.
    #[error("'{0}' is missing")]
    Missing(&'static str),
    /// A field holds what the protocol does not know.
    #[error("'{field}' is {value:?}, which the protocol does not know")]
    Unexpected {
        /// Its name.
        field: &'static str,
        /// What it held, cut to 64 characters.
        value: String,
    },
    /// Not the shape of the protocol at all.
    #[error("cannot be read: {0}")]
    Malformed(String),
    /// The signature does not match: wrong secret, changed body, or not from them.
    #[error("the signature does not match")]
    Signature,
    /// Signed, but more than five minutes from our clock: a replay, or one of the clocks is wrong.
    #[error("signed at {signed_at}, more than five minutes from our clock")]
    Stale {
        /// When they say they signed it, Unix seconds.
        signed_at: i64,
    },
    /// A webhook secret that is not base64.
    #[error("a webhook secret is 'whsec_' and base64, as `openssl rand -base64 32` gives it")]
    Secret,
}

impl Error {
    fn unexpected(field: &'static str, value: &str) -> Self {
        Self::Unexpected { field, value: value.chars().take(64).collect() }
    }
}

impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Self {
        Self::Malformed(e.to_string())
    }
}
