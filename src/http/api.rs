//! Cases, for people and their programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auth::{Caller, Scope, ToAck, ToAct, ToRead};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Act, CaseSummary, Input, Reply};
use crate::domain::{At, CaseId};

/// Cases of one answer, unless asked otherwise; and at most.
const LIST_DEFAULT: usize = 100;
const LIST_MAX: usize = 1000;
/// Characters of an id that are enough to look for it.
const PREFIX_MIN: usize = 4;
/// Characters of a reason.
pub(super) const REASON_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ListAnswer {
    at: At,
    cases: Vec<CaseSummary>,
}

/// `GET /api/v1/cases`: `{"at": <our time>, "cases": [<summary>…]}`, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller<ToRead>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let bad = || {
        Problem::bad_request("bad_query", "only closed=true|false and limit=1..1000 can be asked for")
            .hint("for instance ?closed=true&limit=50")
    };
    let Query(query) = query.map_err(|_| bad())?;
    let limit = query.limit.unwrap_or(LIST_DEFAULT);
    if !(1..=LIST_MAX).contains(&limit) {
        return Err(bad());
    }
    let cases = app.desk.list(query.closed, limit).await?;
    Ok(Json(ListAnswer { at: (app.clock)(), cases }))
}

/// `GET /api/v1/cases/{id}`: one case. What people wrote is in it for tokens that may look people up, too.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<ToRead>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let case = resolve(&app, id).await?;
    let mut view = app.desk.show(case).await?.ok_or_else(no_such_case)?;
    if !caller.may(Scope::Lookup) {
        view.conversation.iter_mut().for_each(|m| m.text = None);
    }
    Ok(Json(view))
}

/// `POST /api/v1/cases/{id}/ack`: the holder of the token takes notice.
pub(super) async fn ack(
    State(app): State<Arc<App>>,
    caller: Caller<ToAck>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let case = resolve(&app, id).await?;
    tell(&app, case, "ack", Input::Ack { case, actor: caller.name.to_string() }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseBody {
    reason: String,
    #[serde(default)]
    false_alarm: bool,
}

/// `POST /api/v1/cases/{id}/close` `{"reason": "…"}`: ends the case, and an appointment stands; with `"false_alarm": true`
/// everything that is arranged is taken back first.
pub(super) async fn close(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    id: Result<Path<String>, PathRejection>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let body: CloseBody = serde_json::from_slice(&body).map_err(|_| {
        Problem::bad_request("bad_body", "a JSON object with 'reason' is expected")
            .hint("{\"reason\": \"driver called, tow not needed\"}")
    })?;
    let reason = body.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        return Err(Problem::bad_request("bad_reason", "the reason must be 1 to 500 characters on one line")
            .hint("say why, for whoever reads the timeline"));
    }
    let case = resolve(&app, id).await?;
    let actor = caller.name.to_string();
    let input = match body.false_alarm {
        true => Input::Act { case: Some(case), actor, act: Act::FalseAlarm { reason } },
        false => Input::Close { case, actor, reason },
    };
    tell(&app, case, "close", input).await
}

/// `POST /api/v1/rules/{rule}/release`: the cases that the breaker of a rule holds go on.
pub(super) async fn release(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    rule: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let bad = |_| Problem::bad_request("bad_rule", "the name of a rule is expected").hint("as in the rule file");
    let Path(rule) = rule.map_err(bad)?;
    let input = Input::Release { rule: rule.as_str().into(), actor: caller.name.to_string() };
    match app.desk.tell(input).await? {
        Reply::Refused(reason) => Err(Problem::new(StatusCode::CONFLICT, "refused", reason)
            .hint("a held case says under waits_for which rule holds it")),
        _ => Ok(Json(json!({ "rule": rule, "done": "release" }))),
    }
}

/// Tells the desk and answers once it is durable.
pub(super) async fn tell(
    app: &App,
    case: CaseId,
    done: &str,
    input: Input,
) -> Result<impl IntoResponse + use<>, Problem> {
    match app.desk.tell(input).await? {
        Reply::Done | Reply::Speech(_) | Reply::Text(_) => {
            Ok(Json(json!({ "id": case, "short": case.short(), "done": done })))
        }
        Reply::NotFound => Err(no_such_case()),
        Reply::Refused(reason) => {
            Err(Problem::new(StatusCode::CONFLICT, "refused", reason).hint("look at the case first"))
        }
    }
}

/// The case that is meant by a full id or by its beginning.
pub(super) async fn resolve(app: &App, id: Result<Path<String>, PathRejection>) -> Result<CaseId, Problem> {
    let bad = || {
        Problem::bad_request("bad_case_id", "a case id is 32 hexadecimal digits, or at least the first 4 of them")
            .hint("GET /api/v1/cases lists them")
    };
    let Path(id) = id.map_err(|_| bad())?;
    let id = id.to_ascii_lowercase();
    if !(PREFIX_MIN..=32).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad());
    }
    if let Ok(case) = id.parse() {
        return Ok(case);
    }
    if let Some(case) = app.desk.find(id.clone()).await? {
        return Ok(case);
    }
    // The desk says only that it is not exactly one. None, or several?
    let like = app.desk.list(true, LIST_MAX).await?.iter().filter(|c| c.id.to_string().starts_with(&id)).count();
    if like < 2 {
        return Err(no_such_case());
    }
    Err(Problem::new(StatusCode::CONFLICT, "ambiguous_case_id", format!("{like} cases begin with '{id}'"))
        .hint("give more characters of the id"))
}

pub(super) fn no_such_case() -> Problem {
    Problem::not_found("there is no such case", "GET /api/v1/cases?closed=true lists them")
}
