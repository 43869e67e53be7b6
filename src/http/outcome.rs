//! What became of cases: `POST /api/v1/cases/{id}/outcome`, `POST /outcome/{id}` for providers, `GET /api/v1/outcomes`,
//! `GET /api/v1/rules`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::api::{no_such_case, resolve};
use super::auth::{Caller, ToAct, ToRead};
use super::callback::{bad_signature, counted, effect, verify};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Input, Reply};
use crate::domain::{At, CaseId, Verdict};

const KIND: &str = "outcome";
/// Outcomes of one answer at most.
const MOST: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    since: Option<At>,
    after: Option<CaseId>,
    limit: Option<usize>,
}

/// A person says what became of a case.
pub(super) async fn judge(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let verdict = verdict(&body)?;
    let case = match id.as_ref().ok().and_then(|Path(id)| id.parse().ok()) {
        // It may have been forgotten: its outcome is kept for longer.
        Some(case) => case,
        None => resolve(&app, id).await?,
    };
    tell(&app, judged(case, verdict, format!("api:{}", caller.name))).await?;
    Ok(Json(json!({ "id": case, "short": case.short(), "done": "outcome" })))
}

/// A provider says it: signed like the news of its jobs and bookings (Standard Webhooks), with the id under which it was
/// asked (`ref` of a job, idempotency token of a booking), or the full id of the case.
pub(super) async fn callback(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<impl IntoResponse, Problem> {
    let take = async {
        let WholeBody(body) = body?;
        let secrets = app.callbacks.dispatch.iter().chain(&app.callbacks.booking);
        let by = verify(&app, secrets, &headers, &body).map_err(|why| bad_signature(&app, KIND, &why))?;
        let Path(id) = id.map_err(|_| no_such_case())?;
        let input = match id.parse() {
            Ok(case) => judged(case, verdict(&body)?, format!("provider:{}", by[0])),
            Err(_) => Input::Found { effect: effect(Some(&id))?, verdict: verdict(&body)?, by },
        };
        tell(&app, input).await
    };
    counted(KIND, take.await)?;
    Ok(Json(json!({ "done": "outcome" })))
}

fn verdict(body: &[u8]) -> Result<Verdict, Problem> {
    let verdict: Verdict = serde_json::from_slice(body).map_err(|e| {
        Problem::bad_request("bad_body", format!("not an outcome: {e}")).hint(
            "{\"truth\": \"confirmed|no_fault_found|customer_denied|unknown\", \"part_replaced\": \"…\", \"csat\": 5, \
             \"first_contact_by\": \"us|customer\", \"failed_at\": \"2026-11-22T08:00:00Z\", \"cost\": 120}; all optional",
        )
    })?;
    match verdict.complaint() {
        Some(complaint) => Err(Problem::bad_request("bad_outcome", complaint)),
        None => Ok(verdict),
    }
}

fn judged(case: CaseId, verdict: Verdict, by: String) -> Input {
    Input::Judge { case, verdict, by, standing: false }
}

async fn tell(app: &App, input: Input) -> Result<(), Problem> {
    match app.desk.tell(input).await? {
        Reply::NotFound => Err(no_such_case()),
        Reply::Refused(reason) => Err(Problem::new(StatusCode::CONFLICT, "refused", reason)),
        _ => Ok(()),
    }
}

/// Outcomes opened or judged since `since`, oldest first, behind the case `after`; fewer than `limit`: there are no more.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller<ToRead>,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let bad = |_| {
        Problem::bad_request("bad_query", "only since, after and limit can be asked for")
            .hint("for instance ?since=2026-11-01T00:00:00Z&limit=1000")
    };
    let Query(page) = query.map_err(bad)?;
    let limit = page.limit.unwrap_or(MOST).clamp(1, MOST);
    let outcomes = app.desk.outcomes(page.since.unwrap_or(At::MIN), page.after, limit).await?;
    Ok(Json(json!({ "outcomes": outcomes })))
}

/// How good each version of each rule is.
pub(super) async fn rules(State(app): State<Arc<App>>, _: Caller<ToRead>) -> Result<impl IntoResponse, Problem> {
    Ok(Json(json!({ "rules": app.desk.rules().await? })))
}
