//! What can go wrong with a broker connection.

use std::io;
use std::path::PathBuf;

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};

/// Why there is no connection to the broker, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot work; see [`Settings::check`](super::Settings::check).
    #[error("{0}")]
    Settings(String),
    /// A file of the settings could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the settings does not hold what it should.
    #[error("{path}: {reason}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TCP or name resolution.
    #[error("cannot reach {broker}: {source}")]
    Connect {
        /// Which broker.
        broker: String,
        /// Why.
        source: io::Error,
    },
    /// The TLS handshake failed: wrong CA, wrong name, no client certificate.
    #[error("TLS with {broker} failed: {reason}")]
    Tls {
        /// Which broker.
        broker: String,
        /// Why.
        reason: String,
    },
    /// Nothing came back in time.
    #[error("{broker} did not answer in time")]
    Timeout {
        /// Which broker.
        broker: String,
    },
    /// The broker said no in its CONNACK.
    #[error("{broker} refused the connection: {reason}")]
    Refused {
        /// Which broker.
        broker: String,
        /// In words.
        reason: String,
    },
    /// Another client has connected with the same client id (DISCONNECT 0x8E).
    #[error(
        "another client has connected to {broker} with our client id; waiting instead of fighting over the session"
    )]
    TakenOver {
        /// Which broker.
        broker: String,
    },
    /// The connection broke.
    #[error("connection to {broker} lost: {reason}")]
    Lost {
        /// Which broker.
        broker: String,
        /// In words.
        reason: String,
    },
    /// We let the connection go because nobody took messages out of the queue.
    #[error("the receive queue stayed full; reconnecting when half of it is free")]
    Stalled,
}

impl Error {
    pub(super) fn from_client(broker: &str, error: ConnectionError) -> Self {
        let broker = broker.to_owned();
        match error {
            ConnectionError::Io(source) => Self::Connect { broker, source },
            ConnectionError::Timeout(_) => Self::Timeout { broker },
            ConnectionError::ConnectionRefused(code) => Self::Refused { broker, reason: refusal(code) },
            ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: DisconnectReasonCode::SessionTakenOver,
                ..
            }) => Self::TakenOver { broker },
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
                let text = reason_string.map(|t| format!(" ({t})")).unwrap_or_default();
                Self::Lost { broker, reason: format!("the broker disconnected us: {reason_code:?}{text}") }
            }
            ConnectionError::MqttState(StateError::AwaitPingResp) => {
                Self::Lost { broker, reason: "no answer to a ping".into() }
            }
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::Lost { broker, reason: CLOSED.into() },
            other => Self::Lost { broker, reason: other.to_string() },
        }
    }
}

/// mosquitto 2.0 closes the connection of a client whose id another client uses without the DISCONNECT 0x8E that MQTT 5
/// asks for, so the usual reason for repetitions is named here.
const CLOSED: &str = "closed by the broker; if this repeats, another client may be using the same client_id";

fn refusal(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => "wrong user name or password".into(),
        ConnectReturnCode::NotAuthorized => "not authorised; check username, password_file and the broker's ACL".into(),
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => {
            "it does not accept this client_id".into()
        }
        ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
            "it does not speak MQTT 5".into()
        }
        other => format!("{other:?}"),
    }
}
