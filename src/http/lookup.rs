//! `GET /api/v1/lookup?phone=|email=|device=`: who calls, and how things stand with their devices. With `contact=true`
//! (and `call=<id>`) the contact centre says that it has them on the line; that counts in the history of their cases.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::auth::{Caller as Token, ToLookUp};
use super::problem::Problem;
use super::server::App;
use crate::desk::{Caller, Input};
use crate::domain::{DeviceId, Sender};

/// Longest number, address or id that is looked for, in bytes.
const LONGEST: usize = 320;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupQuery {
    phone: Option<String>,
    email: Option<String>,
    device: Option<String>,
    /// They are on the line: their call counts as a contact.
    #[serde(default)]
    contact: bool,
    /// The contact centre's id of the call, so that it counts once however often it is asked.
    call: Option<String>,
}

pub(super) async fn lookup(
    State(app): State<Arc<App>>,
    token: Token<ToLookUp>,
    query: Result<Query<LookupQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let bad = || {
        Problem::bad_request("bad_query", "exactly one of phone, email and device can be asked for")
            .hint("for instance ?phone=%2B4915112345678; a + in a query is written %2B")
    };
    let Query(query) = query.map_err(|_| bad())?;
    let caller = match (query.phone, query.email, query.device) {
        (Some(number), None, None) => Caller::Phone(number),
        (None, Some(mailbox), None) => Caller::Email(mailbox),
        (None, None, Some(id)) => Caller::Device(DeviceId::from(id.as_str())),
        _ => return Err(bad()),
    };
    let length = match &caller {
        Caller::Phone(text) | Caller::Email(text) => text.trim().len(),
        Caller::Device(id) => id.as_str().len(),
    };
    if !(1..=LONGEST).contains(&length) {
        return Err(bad());
    }
    let from = match &caller {
        Caller::Phone(number) => Some(Sender::Phone(number.clone())),
        Caller::Email(mailbox) => Some(Sender::Email(mailbox.clone())),
        Caller::Device(_) => None,
    };
    if let Some(from) = from.filter(|_| query.contact) {
        let id = query.call.unwrap_or_else(|| (app.clock)().to_string());
        app.desk.tell(Input::Called { from, id, actor: token.name.to_string() }).await?;
    }
    Ok(Json(app.desk.lookup(caller).await?))
}
