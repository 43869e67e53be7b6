//! What people write by mail and in the ticket desk: `POST /mail/inbound` and `POST /zammad/{provider}`; and what an agent says
//! in fields of the ticket became of its case.
//!
//! Both are answered with success once they are durable, and also when nobody knows the sender: a provider who repeats
//! would learn nothing new, and nobody learns whom we know.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::callback::{bad_signature, counted};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::Input;
use crate::domain::{AdapterName, Receipt, ReceiptKind};
use crate::wire::bounce::{self, Returned};
use crate::wire::{inbound, zammad};

const MAIL: &str = "mail";
const DESK: &str = "ticket_comment";
const FIELD: &str = "ticket_outcome";

type Body = Result<WholeBody, Problem>;

/// `POST /mail/inbound`: HTTP Basic with any user and the password of a mail provider (`inbound_password_file`).
pub(super) async fn mail(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let news = read_mail(&app, &headers, body);
    tell(&app, counted(MAIL, news)?).await
}

fn read_mail(app: &App, headers: &HeaderMap, body: Body) -> Result<Option<Input>, Problem> {
    let WholeBody(body) = body?;
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Basic "));
    let given = given.and_then(|v| STANDARD.decode(v).ok()).unwrap_or_default();
    let password = given.iter().position(|b| *b == b':').map_or(&[][..], |at| &given[at + 1..]);
    let known = |secret: &secrecy::SecretString| bool::from(secret.expose_secret().as_bytes().ct_eq(password));
    if !app.callbacks.mail.iter().fold(false, |found, secret| known(secret) | found) {
        return Err(bad_signature(app, MAIL, &"the password does not match"));
    }
    let bad = |e| {
        Problem::bad_request("bad_body", format!("not an inbound mail: {e}"))
            .hint("MessageID, From and TextBody are read")
    };
    match bounce::returned(&body, &app.links).map_err(bad)? {
        Some(Returned { effect, failed: true }) => {
            let what = ReceiptKind::Returned;
            Ok(Some(Input::Receipt(Receipt { effect, provider_ref: None, seq: None, what })))
        }
        Some(_) => Ok(None),
        None => Ok(inbound::mail(&body, &app.links).map_err(bad)?.map(Input::Said)),
    }
}

/// `POST /zammad/{provider}`: a trigger of the desk, signed with `webhook_token_file` of the provider.
pub(super) async fn comment(
    State(app): State<Arc<App>>,
    provider: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let told = read_trigger(&app, provider.map(|Path(p)| p).unwrap_or_default(), &headers, body);
    let (desk, told) = counted(DESK, told)?;
    let done = tell(&app, told.said.map(Input::Said)).await?;
    // What somebody wrote is not lost because a field is wrong.
    let outcome = told.outcome.map_err(|e| {
        Problem::bad_request("bad_outcome", format!("a field of the ticket: {e}"))
            .hint("case_truth is confirmed, no_fault_found, customer_denied or unknown; case_csat is 1 to 5")
    });
    if let Some((case, verdict)) = counted(FIELD, outcome)? {
        // A case that has no outcome, or none any more, is no news for the desk.
        app.desk.tell(Input::Judge { case, verdict, by: format!("ticket:{desk}"), standing: true }).await?;
    }
    Ok(done)
}

fn read_trigger(
    app: &App,
    provider: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<(AdapterName, zammad::Told), Problem> {
    let WholeBody(body) = body?;
    let signature = headers.get(zammad::SIGNATURE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let desk =
        app.callbacks.zammad.iter().find(|(name, secret)| {
            name.as_str() == provider && zammad::verify(secret.expose_secret(), &body, signature)
        });
    let Some((desk, _)) = desk else { return Err(bad_signature(app, DESK, &"the signature does not match")) };
    let told = zammad::trigger(desk, &body).map_err(|e| {
        Problem::bad_request("bad_body", format!("not a trigger of a ticket: {e}"))
            .hint("the trigger must send the default payload: ticket and article")
    })?;
    Ok((desk.clone(), told))
}

async fn tell(app: &App, news: Option<Input>) -> Result<impl IntoResponse + use<>, Problem> {
    if let Some(news) = news {
        app.desk.tell(news).await?;
    }
    Ok(Json(json!({ "state": "accepted" })))
}
