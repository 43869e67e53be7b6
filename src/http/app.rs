//! `POST /app/{effect}`: what came of a message in the app, signed as Standard Webhooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde_json::json;

use super::callback::{bad_signature, counted, deliver, effect, verify};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::wire;

const KIND: &str = "app";

/// Answers 200 only after the desk has it, so that the back end repeats what we may have lost.
pub(super) async fn callback(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<impl IntoResponse, Problem> {
    counted(KIND, take(&app, id.ok(), &headers, body).await)?;
    Ok(Json(json!({ "state": "accepted" })))
}

async fn take(
    app: &App,
    id: Option<Path<String>>,
    headers: &HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<(), Problem> {
    let WholeBody(body) = body?;
    verify(app, &app.callbacks.app, headers, &body).map_err(|why| bad_signature(app, KIND, &why))?;
    let effect = effect(id.as_ref().map(|Path(id)| id.as_str()))?;
    let receipt = wire::app::callback(effect, &body).map_err(|e| {
        Problem::bad_request("bad_body", format!("not the news of a message: {e}"))
            .hint("seq and state (delivered, opened, confirmed, failed) are required; confirmed needs the choice")
    })?;
    deliver(app, receipt).await
}
