//! The rights of customers: `GET /api/v1/customers/{id}`, `POST …/erase`, `POST …/readmit`. A scope of their own: whoever has it
//! sees everything that is stored of a person and can destroy it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::auth::{Caller, ToPrivacy};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Input, Reply};
use crate::domain::CustomerId;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EraseBody {
    #[serde(default)]
    force: bool,
}

/// Everything that is stored of a customer.
pub(super) async fn dossier(
    State(app): State<Arc<App>>,
    _: Caller<ToPrivacy>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let dossier = app.desk.dossier(customer(id)?).await?;
    dossier.map(Json).ok_or_else(nobody)
}

/// `{"force": true}` erases even while a safety case is open; an empty body does not.
pub(super) async fn erase(
    State(app): State<Arc<App>>,
    caller: Caller<ToPrivacy>,
    id: Result<Path<String>, PathRejection>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let customer = customer(id)?;
    let body: EraseBody = if body.is_empty() { Ok(EraseBody::default()) } else { serde_json::from_slice(&body) }
        .map_err(|_| Problem::bad_request("bad_body", "a JSON object is expected").hint("{\"force\": false}"))?;
    let input = Input::Erase { customer: customer.clone(), force: body.force, actor: caller.name.to_string() };
    done(app.desk.tell(input).await?, &customer, "erase")
}

/// An erased customer is one again.
pub(super) async fn readmit(
    State(app): State<Arc<App>>,
    caller: Caller<ToPrivacy>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let customer = customer(id)?;
    let input = Input::Readmit { customer: customer.clone(), actor: caller.name.to_string() };
    done(app.desk.tell(input).await?, &customer, "readmit")
}

fn customer(id: Result<Path<String>, PathRejection>) -> Result<CustomerId, Problem> {
    let bad = |_| Problem::bad_request("bad_customer", "the id of a customer is expected").hint("as in customers.csv");
    Ok(CustomerId::from(id.map_err(bad)?.0))
}

fn nobody() -> Problem {
    Problem::not_found("nothing is stored of such a customer", "ids stand in customers.csv")
}

fn done(reply: Reply, customer: &CustomerId, what: &str) -> Result<impl IntoResponse + use<>, Problem> {
    match reply {
        Reply::NotFound => Err(nobody()),
        Reply::Refused(reason) => Err(Problem::new(StatusCode::CONFLICT, "refused", reason)),
        _ => Ok(Json(json!({ "customer": customer, "done": what }))),
    }
}
