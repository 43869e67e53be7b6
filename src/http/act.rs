//! What people decide about cases, besides taking notice and closing: stop switches.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::api::{REASON_MAX, resolve, tell};
use super::auth::{Caller, ToAct, ToRead};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Act, Input, Reply};
use crate::domain::Stop;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StopBody {
    stop: Stop,
    #[serde(default)]
    reason: String,
}

/// `GET /api/v1/stop`: `{"switches": [{"case", "topic", "stop", "by", "reason", "at"}]}`.
pub(super) async fn switches(State(app): State<Arc<App>>, _: Caller<ToRead>) -> Result<impl IntoResponse, Problem> {
    Ok(Json(json!({ "switches": app.desk.switches().await? })))
}

/// `POST /api/v1/stop` `{"stop": "on"|"all"|"off", "reason": "…"}`: the switch of everything.
pub(super) async fn stop(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let act = read_stop(&body)?;
    match app.desk.tell(Input::Act { case: None, actor: caller.name.to_string(), act }).await? {
        Reply::Refused(reason) => Err(Problem::new(StatusCode::CONFLICT, "refused", reason).hint("look first")),
        _ => Ok(Json(json!({ "done": "stop" }))),
    }
}

/// `POST /api/v1/cases/{id}/stop`: the switch of a case.
pub(super) async fn stop_case(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let act = read_stop(&body)?;
    let case = resolve(&app, id).await?;
    tell(&app, case, "stop", Input::Act { case: Some(case), actor: caller.name.to_string(), act }).await
}

fn read_stop(body: &[u8]) -> Result<Act, Problem> {
    let StopBody { stop, reason } = read(body, "{\"stop\": \"on\", \"reason\": \"false alarms of a new firmware\"}")?;
    let reason = reason.trim().to_owned();
    if reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        return Err(Problem::bad_request("bad_reason", "the reason must be at most 500 characters on one line")
            .hint("say why, for whoever wonders"));
    }
    Ok(Act::Stop { stop, reason })
}

fn read<T: DeserializeOwned>(body: &[u8], example: &'static str) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|_| Problem::bad_request("bad_body", "the body is not what is expected here").hint(example))
}
