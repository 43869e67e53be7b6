//! An MQTT v5 broker inside this process, on loopback: what a bare machine lacks.
//!
//! It is `rumqttd`, run as its users run it. For the demo and for tests only: its sessions live in memory, so they
//! survive the daemon's death but not this process's. A fleet that matters needs a broker of its own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use rumqttd::{ConnectionSettings, RouterConfig, ServerSettings};
use tokio::net::TcpStream;

use super::Error;

/// How long the broker may take until it accepts connections.
const START: Duration = Duration::from_secs(5);

/// A running broker. Its threads end with the process: rumqttd cannot be stopped.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
}

impl Broker {
    /// Starts a broker on a free loopback port and waits until it accepts connections.
    ///
    /// # Errors
    /// [`Error::Broker`] if no port is free or it does not come up within five seconds.
    pub async fn start() -> Result<Self, Error> {
        // rumqttd does not say which port it got, so a free one is picked for it. Another process can take that port
        // in between; then the probe below finds nobody, or the wrong one, and a next port is tried.
        let mut last = String::new();
        for _ in 0..3 {
            let addr = free_port()?;
            match Self::start_at(addr).await {
                Ok(broker) => return Ok(broker),
                Err(e) => last = e,
            }
        }
        Err(Error::Broker(last))
    }

    async fn start_at(addr: SocketAddr) -> Result<Self, String> {
        let mut broker = rumqttd::Broker::new(config(addr));
        let (failed, mut failure) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("demo-broker".to_owned())
            .spawn(move || {
                // Returns only when every listener has failed.
                let reason = broker.start().err().map_or_else(|| "it stopped".to_owned(), |e| e.to_string());
                failed.send(reason).ok();
            })
            .map_err(|e| e.to_string())?;
        let probe = async {
            while TcpStream::connect(addr).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            reason = &mut failure => Err(reason.unwrap_or_else(|_| "its thread died".to_owned())),
            up = tokio::time::timeout(START, probe) => match up {
                Ok(()) => Ok(Self { addr }),
                Err(_) => Err(format!("it did not accept connections at {addr} within {START:?}")),
            },
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// For `broker.urls` of the settings.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }
}

fn free_port() -> Result<SocketAddr, Error> {
    let probe = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| Error::Broker(e.to_string()))?;
    probe.local_addr().map_err(|e| Error::Broker(e.to_string()))
}

fn config(addr: SocketAddr) -> rumqttd::Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 1 << 20,
        // In flight to one subscriber: the daemon announces a receive maximum of 1000.
        max_inflight_count: 1000,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server =
        ServerSettings { name: "demo".to_owned(), listen: addr, tls: None, next_connection_delay_ms: 0, connections };
    rumqttd::Config {
        id: 0,
        router: RouterConfig {
            max_connections: 20_000,
            max_outgoing_packet_count: 1000,
            // What one filter keeps for a subscriber that is away or slow: 10 segments of 8 MiB.
            max_segment_size: 8 << 20,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("demo".to_owned(), server)])),
        ..rumqttd::Config::default()
    }
}
