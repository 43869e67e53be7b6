//! Liveness, readiness, metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::auth::Scope;
use super::problem::Problem;
use super::router::Peer;
use super::server::App;
use super::settings::{MetricsAccess, is_loopback};

/// How the daemon is, as `app` sees it. The reasons are read by whoever can connect: short words such as
/// `broker_disconnected` or `journal_failed`, no addresses, names or paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Why a restart would help. Empty: it lives.
    pub not_live: Vec<&'static str>,
    /// Why it cannot serve now although a restart would not help (broker away, still recovering). Empty: it serves.
    pub not_ready: Vec<&'static str>,
    /// What whoever asks should know although nothing is wrong.
    pub notes: Vec<&'static str>,
}

/// `GET /healthz`: 200 while a restart would not help.
pub(super) async fn live(State(app): State<Arc<App>>) -> Response {
    let health = (app.health)();
    answer(health.not_live, &health.notes)
}

/// `GET /readyz`: 200 while it lives and serves.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut health = (app.health)();
    health.not_live.append(&mut health.not_ready);
    answer(health.not_live, &health.notes)
}

fn answer(reasons: Vec<&'static str>, notes: &[&'static str]) -> Response {
    let (status, word) =
        if reasons.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    let mut body = json!({ "status": word, "reasons": reasons });
    if !notes.is_empty() {
        body["notes"] = json!(notes);
    }
    (status, Json(body)).into_response()
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let free = match app.metrics_access {
        MetricsAccess::Open => true,
        MetricsAccess::Loopback => peer.0.ip().to_canonical().is_loopback() && is_loopback(&app.public_url),
        MetricsAccess::Token => false,
    };
    if !free {
        app.tokens.check(&headers, Scope::Read)?;
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()))
}
