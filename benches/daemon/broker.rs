//! A mosquitto of our own on a free port: no persistence, no TLS, nothing logged but errors.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forewarn::mqtt::BrokerUrl;

/// What differs from mosquitto's defaults: a backlog may be large, and a subscriber may have 1,000 messages under way.
const SETTINGS: &str = "allow_anonymous true\npersistence false\nlog_type error\n\
    max_queued_messages 2000000\nmax_inflight_messages 1000\nset_tcp_nodelay true\n";

/// A running broker; ends with its value.
pub(crate) struct Broker {
    process: Child,
    /// Where it listens.
    pub(crate) url: BrokerUrl,
}

impl Broker {
    pub(crate) fn start(dir: &Path) -> io::Result<Self> {
        let port = free_port()?;
        let file = dir.join("mosquitto.conf");
        std::fs::write(&file, format!("listener {port} 127.0.0.1\n{SETTINGS}"))?;
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let process = Command::new("mosquitto").env("PATH", path).arg("-c").arg(file).stderr(Stdio::null()).spawn();
        let process = process.map_err(|e| io::Error::other(format!("mosquitto: {e} (apt-get install mosquitto)")))?;
        let url = format!("mqtt://127.0.0.1:{port}").parse().map_err(io::Error::other)?;
        let broker = Self { process, url };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(broker);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("mosquitto does not listen"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
