//! TLS and mutual TLS, outside of the MQTT client.
//!
//! The TLS features of `rumqttc` bring a second, older TLS stack with open advisories. So it speaks plain MQTT to a
//! private Unix socket, and a task here carries the bytes over one TLS connection to the broker. The handshake is made
//! *before* the client starts, so that its error reaches the operator in full instead of as "connection closed".

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::settings::is_set;
use super::{BrokerUrl, Error, Settings};

/// For TCP and for the TLS handshake, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes under way in each direction.
const BUFFER: usize = 64 << 10;

/// A TLS connection behind a private Unix socket. Ends when dropped.
#[derive(Debug)]
pub(super) struct Bridge {
    dir: PathBuf,
    task: JoinHandle<io::Result<()>>,
}

impl Bridge {
    /// Connects, verifies the broker, shows our certificate if there is one, and opens the socket for one client: us.
    pub(super) async fn open(url: &BrokerUrl, settings: &Settings) -> Result<Self, Error> {
        let config = client_config(settings)?;
        let tls = handshake(url, config).await?;
        let local = |source| Error::Connect { broker: "our own TLS socket".into(), source };
        let dir = private_dir().map_err(local)?;
        let listener = UnixListener::bind(socket_path(&dir));
        let mut bridge = Self { dir, task: tokio::spawn(async { Ok(()) }) };
        bridge.task = tokio::spawn(carry(listener.map_err(local)?, tls));
        Ok(bridge)
    }

    /// What the MQTT client connects to.
    pub(super) fn path(&self) -> PathBuf {
        socket_path(&self.dir)
    }

    /// Why the TLS connection ended, if it ended with an error. With TLS 1.3 a broker refuses our certificate only
    /// after the handshake: this is where that shows.
    pub(super) async fn failure(&mut self) -> Option<String> {
        match timeout(Duration::from_millis(200), &mut self.task).await {
            Ok(Ok(Err(error))) => Some(error.to_string()),
            _ => None,
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn socket_path(dir: &Path) -> PathBuf {
    dir.join("broker")
}

/// A new directory that only we can enter.
fn private_dir() -> io::Result<PathBuf> {
    let name = getrandom::u64().map_err(|e| io::Error::other(e.to_string()))?;
    let dir = std::env::temp_dir().join(format!("forewarn-tls-{name:016x}"));
    DirBuilder::new().mode(0o700).create(&dir)?;
    Ok(dir)
}

async fn handshake(url: &BrokerUrl, config: ClientConfig) -> Result<TlsStream<TcpStream>, Error> {
    let broker = url.to_string();
    let late = |_| Error::Timeout { broker: broker.clone() };
    let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect((url.host.as_str(), url.port))).await.map_err(late)?;
    let tcp = tcp.map_err(|source| Error::Connect { broker: broker.clone(), source })?;
    let failed = |reason: String| Error::Tls { broker: broker.clone(), reason };
    tcp.set_nodelay(true).map_err(|e| failed(e.to_string()))?;
    let name = ServerName::try_from(url.host.clone()).map_err(|e| failed(e.to_string()))?;
    let tls = timeout(CONNECT_TIMEOUT, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await.map_err(late)?;
    tls.map_err(|e| failed(e.to_string()))
}

/// Lets one client in, and only from our own process; then carries bytes until either side closes.
async fn carry(listener: UnixListener, mut tls: TlsStream<TcpStream>) -> io::Result<()> {
    let mut client = loop {
        let (client, _) = listener.accept().await?;
        let pid = client.peer_cred()?.pid();
        if pid.and_then(|p| u32::try_from(p).ok()) == Some(std::process::id()) {
            break client;
        }
        tracing::warn!(pid, "another process tried to use our connection to the broker; refused");
    };
    drop(listener);
    copy_bidirectional_with_sizes(&mut client, &mut tls, BUFFER, BUFFER).await?;
    Ok(())
}

/// Reads the files anew, so that renewed certificates are used at the next connect. TLS 1.2 or newer.
fn client_config(settings: &Settings) -> Result<ClientConfig, Error> {
    let wrong = |e: rustls::Error| Error::Settings(format!("TLS: {e}"));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let builder = if is_set(&settings.ca_file) {
        builder.with_root_certificates(roots(&settings.ca_file)?)
    } else {
        builder.with_platform_verifier().map_err(wrong)?
    };
    if !is_set(&settings.cert_file) {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(&settings.cert_file)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&settings.key_file)?)
        .map_err(|e| pem(&settings.key_file, format!("no private key in PEM form: {e}")))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| pem(&settings.cert_file, format!("does not fit {}: {e}", settings.key_file.display())))
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| pem(path, e.to_string()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let list = list.map_err(|e| pem(path, e.to_string()))?;
    if list.is_empty() { Err(pem(path, "no certificate in PEM form".into())) } else { Ok(list) }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn pem(path: &Path, reason: String) -> Error {
    Error::Pem { path: path.to_owned(), reason }
}
