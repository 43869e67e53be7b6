//! Routes, and what is the same around all of them: time limit, headers, figures, the shape of errors.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::{Instant, timeout};

use super::metrics::{REQUEST_SECONDS, REQUESTS};
use super::problem::Problem;
use super::server::App;
use super::{act, api, customer, explain, inbound, link, lookup, news, opt_outs, outcome, probes, reload, twilio};

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .route("/twilio/voice", post(twilio::voice))
        .route("/twilio/status", post(twilio::call_status))
        .route("/twilio/sms-status", post(twilio::sms_status))
        .route("/twilio/sms", post(twilio::sms))
        .route("/mail/inbound", post(inbound::mail))
        .route("/zammad/{provider}", post(inbound::comment))
        .route("/dispatch/{effect}", news::callback(&news::DISPATCH))
        .route("/app/{effect}", news::callback(&news::APP))
        .route("/booking/{effect}", news::callback(&news::BOOKING))
        .route("/l/page.css", get(link::style))
        .route("/l/where.js", get(link::script))
        .route("/l/{token}", get(link::show).post(link::act))
        .route("/api/v1/lookup", get(lookup::lookup))
        .route("/api/v1/opt-outs", get(opt_outs::list).post(opt_outs::change))
        .route("/api/v1/cases", get(api::list))
        .route("/api/v1/cases/{id}", get(api::show))
        .route("/api/v1/cases/{id}/ack", post(api::ack))
        .route("/api/v1/cases/{id}/close", post(api::close))
        .route("/api/v1/cases/{id}/stop", post(act::stop_case))
        .route("/api/v1/cases/{id}/merge", post(act::merge))
        .route("/api/v1/cases/{id}/split", post(act::split))
        .route("/api/v1/cases/{id}/release", post(act::release))
        .route("/api/v1/cases/{id}/approve", post(act::approve))
        .route("/api/v1/stop", get(act::switches).post(act::stop))
        .route("/api/v1/rules/{rule}/release", post(api::release))
        .route("/outcome/{id}", post(outcome::callback))
        .route("/api/v1/cases/{id}/outcome", post(outcome::judge))
        .route("/api/v1/outcomes", get(outcome::list))
        .route("/api/v1/rules", get(outcome::rules))
        .route("/api/v1/customers/{id}", get(customer::dossier))
        .route("/api/v1/customers/{id}/erase", post(customer::erase))
        .route("/api/v1/customers/{id}/readmit", post(customer::readmit))
        .route("/api/v1/explain", get(explain::explain))
        .route("/api/v1/reload", get(reload::last).post(reload::reload))
        .fallback(async || Problem::not_found("there is nothing here", "the API begins at /api/v1/cases"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not with this method")
                .hint("the Allow header names the methods")
        })
        .layer(DefaultBodyLimit::max(app.limits.body_bytes))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Around every request. A route may say otherwise in its own headers.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let mut answer = match timeout(app.limits.request_time, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Problem::timed_out().into_response(),
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    metrics::histogram!(REQUEST_SECONDS, "route" => route.clone()).record(began.elapsed());
    metrics::counter!(REQUESTS, "route" => route, "status" => answer.status().as_str().to_owned()).increment(1);
    answer
}

/// Who connected: the proxy, if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Unknown counts as far away.
        let unknown = Self(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(parts.extensions.get().copied().unwrap_or(unknown))
    }
}

/// A whole body within the limit.
pub(super) struct WholeBody(pub(super) Bytes);

impl FromRequest<Arc<App>> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        match Bytes::from_request(request, app).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(BytesRejection::FailedToBufferBody(e)) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::too_large(app.limits.body_bytes))
            }
            Err(_) => Err(Problem::bad_request("bad_body", "the body cannot be read").hint("send it whole")),
        }
    }
}
