//! Why a rule fired for a device, or why it did not.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::auth::{Caller, ToRead};
use super::problem::Problem;
use super::server::App;
use crate::domain::DeviceId;
use crate::engine::Explanation;

/// The answer: how the rule stands with the device, and what has become of it on the desk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// What the engine says.
    #[serde(flatten)]
    pub rule: Explanation,
    /// What the desk says, in sentences: its case, and why until when it is held.
    #[serde(default)]
    pub desk: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    rule: String,
    device: String,
    component: Option<String>,
}

/// `GET /api/v1/explain?rule=…&device=…[&component=…]`: the parts of the rule's conditions with their values, and
/// sentences. The thread that owns the device answers between its messages; the desk says what has become of it.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    _: Caller<ToRead>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let bad = |_| {
        Problem::bad_request("bad_query", "a rule and a device are asked for")
            .hint("for instance ?rule=coolant-overheat&device=car-0042")
    };
    let Query(Asked { rule, device, component }) = query.map_err(bad)?;
    match app.engine.explain(rule, DeviceId::from(device), component).await? {
        Ok(rule) => {
            let desk = app.desk.standing(rule.rule.clone(), rule.device.clone(), rule.episode).await?;
            Ok(Json(Explained { rule, desk }))
        }
        Err(error) => {
            let near = error.near.as_ref().map_or_else(String::new, |near| format!("; there is '{near}'"));
            let message = format!("{error}{near}");
            Err(Problem::new(StatusCode::NOT_FOUND, "no_such_rule", message).hint("the id of the rule, as in its file"))
        }
    }
}
