//! One connection to one broker: from the address to the CONNACK.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{ConnAck, LastWill, Packet};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Transport};
use secrecy::ExposeSecret;

use super::tls::Bridge;
use super::{BrokerUrl, Error, Settings};
use crate::domain::At;

/// How a connection stands; watched by whoever judges whether a silent fleet is silent or we are deaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Connected, and the broker has answered our subscription or kept it in our session.
    Connected {
        /// Counts the connections of this process from 1.
        generation: u64,
        /// Whether the broker still had our session; if not, what arrived while we were away is lost.
        session_present: bool,
        /// Filters that the broker refused to subscribe us to.
        refused: Vec<std::sync::Arc<str>>,
    },
    /// Not connected.
    Disconnected {
        /// Since when.
        since: At,
        /// For people.
        reason: String,
    },
}

impl Link {
    /// Whether messages can come and go.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// What kind of connection to make.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) client_id: String,
    /// Persistent session with manual acks, or a fresh one every time.
    pub(super) persistent: bool,
    pub(super) will: Option<LastWill>,
    /// Own publishes that may wait for their PUBACK.
    pub(super) in_flight: u16,
    /// Requests (acks, publishes, subscriptions) that may wait for the socket.
    pub(super) requests: usize,
    pub(super) keep_alive: Duration,
}

/// A connection that the broker has accepted.
pub(super) struct Opened {
    pub(super) client: AsyncClient,
    pub(super) events: EventLoop,
    pub(super) connack: ConnAck,
    pub(super) broker: String,
    /// Carries the bytes when the connection is encrypted; ends with the connection.
    bridge: Option<Bridge>,
}

impl Opened {
    /// Says why the connection broke, asking the TLS side too.
    pub(super) async fn reason(&mut self, error: rumqttc::v5::ConnectionError) -> Error {
        explain(&self.broker, self.bridge.as_mut(), error).await
    }

    /// The largest packet that the broker takes.
    pub(super) fn max_packet(&self) -> Option<u32> {
        self.connack.properties.as_ref().and_then(|p| p.max_packet_size)
    }
}

/// Connects to `url` and waits for the CONNACK; 5 s for each stage.
pub(super) async fn open(url: &BrokerUrl, settings: &Settings, profile: &Profile) -> Result<Opened, Error> {
    let broker = url.to_string();
    let mut bridge = if url.tls { Some(Bridge::open(url, settings).await?) } else { None };
    let options = options(url, settings, profile, bridge.as_ref())?;
    let (client, mut events) = AsyncClient::new(options, profile.requests);
    match events.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(connack))) => Ok(Opened { client, events, connack, broker, bridge }),
        Ok(other) => Err(Error::Lost { broker, reason: format!("expected a CONNACK, got {other:?}") }),
        Err(error) => Err(explain(&broker, bridge.as_mut(), error).await),
    }
}

async fn explain(broker: &str, bridge: Option<&mut Bridge>, error: rumqttc::v5::ConnectionError) -> Error {
    let failure = match bridge {
        Some(bridge) => bridge.failure().await,
        None => None,
    };
    match failure {
        Some(reason) => Error::Tls { broker: broker.to_owned(), reason },
        None => Error::from_client(broker, error),
    }
}

fn options(
    url: &BrokerUrl,
    settings: &Settings,
    profile: &Profile,
    bridge: Option<&Bridge>,
) -> Result<MqttOptions, Error> {
    let mut options = match bridge {
        Some(bridge) => {
            let mut options = MqttOptions::new(&profile.client_id, bridge.path().to_string_lossy(), 0);
            options.set_transport(Transport::unix());
            options
        }
        None => MqttOptions::new(&profile.client_id, url.host_for_socket(), url.port),
    };
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let expiry = u32::try_from(settings.session_expiry.as_millis() / 1000).unwrap_or(u32::MAX);
    options
        .set_network_options(network)
        .set_keep_alive(profile.keep_alive)
        .set_connection_timeout(5)
        .set_clean_start(!profile.persistent)
        .set_manual_acks(profile.persistent)
        .set_session_expiry_interval(Some(if profile.persistent { expiry } else { 0 }))
        .set_receive_maximum(Some(settings.receive_maximum))
        .set_max_packet_size(Some(settings.max_packet_bytes))
        .set_outgoing_inflight_upper_limit(profile.in_flight);
    if let Some(will) = &profile.will {
        options.set_last_will(will.clone());
    }
    if !settings.username.is_empty() {
        let password = settings.read_password()?;
        options.set_credentials(&settings.username, password.as_ref().map_or("", |p| p.expose_secret()));
    }
    Ok(options)
}
