//! Reading models, rules, playbooks, messages and registry again, as SIGHUP does, with an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::time::timeout;

use super::auth::{Caller, ToAct};
use super::problem::Problem;
use super::server::App;
use crate::runtime::ReloadState;

/// So long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// `POST /api/v1/reload`: all files or none. 200 with `{"state": "done", …}` or `{"state": "refused", "findings"}`; 202
/// with `{"state": "under_way"}` if it takes longer, because much is refilled from the journal.
pub(super) async fn reload(State(app): State<Arc<App>>, _: Caller<ToAct>) -> Result<impl IntoResponse, Problem> {
    match timeout(PATIENCE, app.reload.reload()).await {
        Ok(state) => Ok((StatusCode::OK, Json(state?))),
        Err(_) => Ok((StatusCode::ACCEPTED, Json(ReloadState::UnderWay))),
    }
}

/// `GET /api/v1/reload`: how the last one stands.
pub(super) async fn last(State(app): State<Arc<App>>, _: Caller<ToAct>) -> impl IntoResponse {
    Json(app.reload.last())
}
