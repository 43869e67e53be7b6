//! `POST /dispatch/{effect}`, `POST /app/{effect}` and `POST /booking/{effect}`: what came of what a provider was asked for, signed as Standard
//! Webhooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{MethodRouter, post};
use serde_json::json;

use super::callback::{bad_signature, counted, deliver, effect, verify};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::{App, CallbackSecrets};
use crate::desk::Input;
use crate::domain::{AdapterName, EffectId, Receipt};
use crate::wire::{self, webhook};

/// One protocol of news.
pub(super) struct News {
    /// In the figures and the log.
    kind: &'static str,
    /// What those who may send it sign with.
    secrets: fn(&CallbackSecrets) -> &[(AdapterName, webhook::Secret)],
    read: fn(EffectId, &[u8]) -> Result<Receipt, wire::Error>,
    /// What a body that cannot be read is not.
    what: &'static str,
    /// What such a body has to hold.
    hint: &'static str,
}

/// From those who send trucks and technicians.
pub(super) const DISPATCH: News = News {
    kind: "dispatch",
    secrets: |callbacks| &callbacks.dispatch,
    read: wire::dispatch::callback,
    what: "the news of a job",
    hint: "job, seq and state are required; instants are RFC 3339",
};

/// From the back end of the customers' own app.
pub(super) const APP: News = News {
    kind: "app",
    secrets: |callbacks| &callbacks.app,
    read: wire::app::callback,
    what: "the news of a message",
    hint: "seq and state (delivered, opened, confirmed, failed) are required; confirmed needs the choice",
};

/// From workshops with a booking server.
pub(super) const BOOKING: News = News {
    kind: "booking",
    secrets: |callbacks| &callbacks.booking,
    read: wire::booking::callback,
    what: "the news of a booking",
    hint: "booking (booking_id, status) and seq are required",
};

/// The way in for such news. Answers 200 only after the desk has it, so that the sender repeats what we may have lost.
pub(super) fn callback(news: &'static News) -> MethodRouter<Arc<App>> {
    post(
        async |State(app): State<Arc<App>>,
               id: Result<Path<String>, PathRejection>,
               headers: HeaderMap,
               body: Result<WholeBody, Problem>| {
            counted(news.kind, take(&app, news, id.ok(), &headers, body).await)?;
            Ok::<_, Problem>(Json(json!({ "state": "accepted" })))
        },
    )
}

async fn take(
    app: &App,
    news: &News,
    id: Option<Path<String>>,
    headers: &HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<(), Problem> {
    let WholeBody(body) = body?;
    let by = verify(app, (news.secrets)(&app.callbacks), headers, &body);
    let by = by.map_err(|why| bad_signature(app, news.kind, &why))?;
    let effect = effect(id.as_ref().map(|Path(id)| id.as_str()))?;
    let receipt = (news.read)(effect, &body)
        .map_err(|e| Problem::bad_request("bad_body", format!("not {}: {e}", news.what)).hint(news.hint))?;
    deliver(app, Input::Signed { by, receipt }).await
}
