//! What people decide about cases, besides taking notice and closing: stop switches, and how a storm goes on.

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeBody {
    into: String,
}

/// `POST /api/v1/cases/{id}/merge` `{"into": "<case>"}`: the case is part of another one.
pub(super) async fn merge(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let MergeBody { into } = read(&body, "{\"into\": \"1f2e3d4c\"}, the case that it becomes part of")?;
    let (case, into) = (resolve(&app, id).await?, resolve(&app, Ok(Path(into))).await?);
    let act = Act::Merge { into };
    tell(&app, case, "merge", Input::Act { case: Some(case), actor: caller.name.to_string(), act }).await
}

/// `POST /api/v1/cases/{id}/split`: the case is one of its own again.
pub(super) async fn split(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let case = resolve(&app, id).await?;
    tell(&app, case, "split", Input::Act { case: Some(case), actor: caller.name.to_string(), act: Act::Split }).await
}

/// `POST /api/v1/cases/{id}/release`: the children of a storm go on.
pub(super) async fn release(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let case = resolve(&app, id).await?;
    tell(&app, case, "release", Input::Act { case: Some(case), actor: caller.name.to_string(), act: Act::Release })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveBody {
    #[serde(default)]
    tier: Option<String>,
}

/// `POST /api/v1/cases/{id}/approve` `{"tier": "…"}`: the tier of a storm is told; without a tier, all that wait.
pub(super) async fn approve(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let ApproveBody { tier } = read(&body, "{\"tier\": \"2-standing-and-dangerous\"}, or {} for all")?;
    let case = resolve(&app, id).await?;
    let act = Act::Approve { tier };
    tell(&app, case, "approve", Input::Act { case: Some(case), actor: caller.name.to_string(), act }).await
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
