//! `GET` and `POST /api/v1/opt-outs`: who does not want to be contacted, over what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::auth::{Caller, ToAct, ToRead};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Input, Reply};
use crate::domain::{Channel, EndpointId, Purpose};

/// All there are or were, without addresses: `{"at": <our time>, "opt_outs": [<opt-out>…]}`.
pub(super) async fn list(State(app): State<Arc<App>>, _: Caller<ToRead>) -> Result<impl IntoResponse, Problem> {
    let all = app.desk.opt_outs().await?;
    Ok(Json(json!({ "at": (app.clock)(), "opt_outs": all })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    endpoint: EndpointId,
    channel: Channel,
    #[serde(default)]
    purpose: Option<Purpose>,
    #[serde(default)]
    lift: bool,
}

/// Enters or lifts one for somebody who said so to a person:
/// `{"endpoint": "e-1", "channel": "sms", "purpose": "service"}` or `{"endpoint", "channel", "lift": true}`.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller<ToAct>,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    let body: Body = serde_json::from_slice(&body).map_err(|_| {
        Problem::bad_request("bad_body", "a JSON object with 'endpoint' and 'channel' is expected").hint(
            r#"{"endpoint": "c-0001-p", "channel": "sms", "purpose": "service"}, or "lift": true instead of the purpose"#,
        )
    })?;
    let purpose = if body.lift { None } else { Some(body.purpose.unwrap_or(Purpose::Service)) };
    let actor = caller.name.to_string();
    let input = Input::OptOut { endpoint: body.endpoint.clone(), channel: body.channel, purpose, actor };
    match app.desk.tell(input).await? {
        Reply::NotFound => {
            Err(Problem::not_found("there is no such endpoint", "ids of endpoints stand in the registry"))
        }
        _ => Ok(Json(json!({ "endpoint": body.endpoint, "done": if body.lift { "lifted" } else { "opted_out" } }))),
    }
}
