//! The listener: accepts within limits, serves, drains.
//!
//! `axum::serve` would do, but it sets no time limit for request heads and no bound on connections, so anybody who can
//! connect could hold all of them open for ever.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};
use url::Url;

use super::auth::Tokens;
use super::callback::Seldom;
use super::metrics::CONNECTIONS;
use super::probes::Health;
use super::router::{Peer, router};
use super::settings::{MetricsAccess, PleaseWait};
use crate::domain::AdapterName;
use crate::runtime::{Clock, DeskHandle, EngineHandle, ReloadHandle};
use crate::wire::{link, webhook};

/// What the server needs from the rest.
pub struct Deps {
    /// Where callbacks and people's requests go.
    pub desk: DeskHandle,
    /// Where questions about rules go.
    pub engine: EngineHandle,
    /// Whoever reads the files again.
    pub reload: ReloadHandle,
    /// How the daemon is; called on every probe, so it must be cheap.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// From [`install_metrics`](super::install_metrics); its upkeep is done here.
    pub metrics: PrometheusHandle,
    /// Who may read them: [`Settings::metrics`](super::Settings::metrics).
    pub metrics_access: MetricsAccess,
    /// Who may use the API: from [`Settings::resolve`](super::Settings::resolve).
    pub tokens: Tokens,
    /// What providers sign with.
    pub callbacks: CallbackSecrets,
    /// What one-time links are signed with.
    pub links: link::Key,
    /// How providers reach us: from [`Settings::resolve`](super::Settings::resolve).
    pub public_url: Url,
    /// What a called person hears while the desk is slow: [`Settings::please_wait`](super::Settings::please_wait).
    pub please_wait: PleaseWait,
    /// Our clock, for the replay window and the age of cases.
    pub clock: Clock,
    /// Usually the default.
    pub limits: Limits,
}

/// What providers sign their callbacks with. A callback is genuine if one secret of its kind fits.
#[derive(Default)]
pub struct CallbackSecrets {
    /// Auth tokens of the phone providers (Twilio shape).
    pub twilio: Vec<SecretString>,
    /// Passwords with which mail that comes in is posted to us.
    pub mail: Vec<SecretString>,
    /// Tokens of the webhooks of ticket desks.
    pub zammad: Vec<(AdapterName, SecretString)>,
    /// Webhook secrets of the dispatch providers.
    pub dispatch: Vec<(AdapterName, webhook::Secret)>,
    /// Webhook secrets of the back ends of apps.
    pub app: Vec<(AdapterName, webhook::Secret)>,
    /// Webhook secrets of workshops with a booking server.
    pub booking: Vec<(AdapterName, webhook::Secret)>,
}

/// Bounds of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the listener's backlog.
    pub connections: usize,
    /// For a request head, and for the wait between two requests of one connection.
    pub head_time: Duration,
    /// From the head of a request to the head of its answer.
    pub request_time: Duration,
    /// For the desk to find the words of a call. Phone providers hang up on their own after some seconds; 5 s in all.
    pub speech_time: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// A connection is closed after this time, at the end of the request it then serves.
    pub connection_time: Duration,
    /// For open requests when shutting down.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head_time: Duration::from_secs(15),
            request_time: Duration::from_secs(10),
            speech_time: Duration::from_secs(4),
            body_bytes: 64 * 1024,
            connection_time: Duration::from_secs(300),
            drain_time: Duration::from_secs(5),
        }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener is unusable.
    #[error("the HTTP listener cannot be used: {0}")]
    Listener(#[from] std::io::Error),
}

/// What handlers see: the dependencies, and what is kept between requests.
pub(super) struct App {
    pub(super) deps: Deps,
    pub(super) signature_warning: Seldom,
}

impl std::ops::Deref for App {
    type Target = Deps;
    fn deref(&self) -> &Deps {
        &self.deps
    }
}

/// Serves until `shutdown` is ready, then closes idle connections and gives open requests [`Limits::drain_time`].
pub async fn serve(listener: TcpListener, deps: Deps, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let address = listener.local_addr()?;
    info!(%address, public_url = %deps.public_url, "http listening");
    if !address.ip().to_canonical().is_loopback() {
        warn!(%address, "http listens beyond loopback without TLS; tokens and callbacks can be read on that network");
    }
    let limits = deps.limits;
    let metrics = deps.metrics.clone();
    let service = TowerToHyperService::new(router(Arc::new(App { deps, signature_warning: Seldom::default() })));
    let room = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut upkeep = interval(Duration::from_secs(5));
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);

    loop {
        tokio::select! {
            accepted = accept(&listener, &room) => {
                let (stream, peer, permit) = accepted;
                connections.spawn(connection(stream, peer, permit, service.clone(), limits, stopped.clone()));
            }
            Some(_) = connections.join_next() => {}
            _ = upkeep.tick() => metrics.run_upkeep(),
            () = &mut shutdown => break,
        }
    }

    drop(listener);
    drop(stop);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain_time, drained).await.is_err() {
        warn!(open = connections.len(), "http requests cut off at shutdown");
    }
    connections.shutdown().await;
    Ok(())
}

/// The next connection, once there is room for it. Cancel-safe: a permit taken and not used is given back.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a permit.
    let permit = room.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                // Usually no file descriptors, or a peer that has gone already: neither is helped by stopping.
                warn!(%error, "http accept failed");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    permit: Option<OwnedSemaphorePermit>,
    service: TowerToHyperService<Router>,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) {
    let _open = Open::new(permit);
    // Answers are one small write each; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = service.call(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never: Infallible| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                debug!(%error, "http connection ended");
            }
            return;
        }
        // Ready when the sender is dropped, which is what shutdown does.
        _ = stopped.changed() => {}
        () = sleep(limits.connection_time) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.request_time + limits.head_time, connection).await;
}

/// Counts a connection while it is open and gives its room back.
struct Open(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Open {
    fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Self(permit)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}
