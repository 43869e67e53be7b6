//! `/l/{token}`: the pages behind the one-time links of messages, for a phone.
//!
//! `GET` only looks: messengers, mail filters and browsers fetch links on their own to show a preview, so nothing may
//! follow from it. `POST` (the form of the page) acts. The signature is verified here, so a guessed link never reaches the
//! desk; whether a genuine one still counts is the desk's to say. Pages work without JavaScript (that of `where.js` only saves typing); styles come from a
//! file of ours, so that the policy can forbid everything else.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::warn;

use super::callback::count;
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Form, Input, Reply};
use crate::domain::{Link, PageKind};
use crate::runtime::Busy;
use crate::wire::twilio::parse_form;

const KIND: &str = "link";
/// Fields of a form, and bytes of each, that are read; our own pages have fewer.
const FIELDS_MAX: usize = 16;
const FIELD_BYTES_MAX: usize = 4_096;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The one page that asks the browser for something has a script of ours.
const POLICY_WHERE: &str = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("page/page.css");
const WHERE: &str = include_str!("page/where.js");

/// What a person reads who opens a link that leads nowhere: we do not know their language.
const NOWHERE: &str = include_str!("page/nowhere.html");
/// The same while the desk is too busy to say.
const LATER: &str = include_str!("page/later.html");

type Token = Result<Path<String>, PathRejection>;

/// `GET /l/page.css`
pub(super) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, STYLE).into_response()
}

/// `GET /l/where.js`
pub(super) async fn script() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, WHERE).into_response()
}

/// `GET /l/{token}`
pub(super) async fn show(State(app): State<Arc<App>>, token: Token) -> Response {
    match verify(&app, token) {
        Some(link) => page(&app, link).await,
        None => nowhere(),
    }
}

/// `POST /l/{token}`: answered with the page as it then is, so that sending it again shows the same.
pub(super) async fn act(State(app): State<Arc<App>>, token: Token, body: Result<WholeBody, Problem>) -> Response {
    let Some(link) = verify(&app, token) else { return nowhere() };
    let form = match body {
        Ok(WholeBody(body)) => form(&body),
        Err(problem) => return problem.into_response(),
    };
    match app.desk.tell(Input::Link { link, form }).await {
        Ok(Reply::NotFound) => {
            count(KIND, "not_found");
            nowhere()
        }
        Ok(reply) => {
            count(KIND, if matches!(reply, Reply::Refused(_)) { "refused" } else { "taken" });
            page(&app, link).await
        }
        Err(Busy) => later(),
    }
}

fn verify(app: &App, token: Token) -> Option<Link> {
    let link = app.links.verify(&token.ok()?.0);
    if link.is_none() {
        count(KIND, "bad_signature");
    }
    link
}

fn form(body: &[u8]) -> Form {
    let fields = parse_form(body).into_iter().take(FIELDS_MAX);
    fields.filter(|(_, value)| value.len() <= FIELD_BYTES_MAX).collect()
}

async fn page(app: &App, link: Link) -> Response {
    match app.desk.page(link).await {
        Ok(Ok(page)) => {
            let mut answer = html(StatusCode::OK, page.html);
            if link.kind == PageKind::Where {
                answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_WHERE));
            }
            if let Ok(locale) = HeaderValue::from_str(&page.locale) {
                answer.headers_mut().insert(header::CONTENT_LANGUAGE, locale);
            }
            answer
        }
        Ok(Err(why)) => {
            warn!(page = link.kind.name(), effect = %link.effect, why, "a page cannot be shown");
            nowhere()
        }
        Err(Busy) => later(),
    }
}

fn nowhere() -> Response {
    html(StatusCode::NOT_FOUND, NOWHERE.to_owned())
}

fn later() -> Response {
    let mut answer = html(StatusCode::SERVICE_UNAVAILABLE, LATER.to_owned());
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

fn html(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::HeaderName::from_static("x-robots-tag"), "noindex, nofollow, noarchive"),
    ];
    (status, headers, text).into_response()
}
