//! The one shape of an error.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::runtime::Busy;

/// An error as it is told: `{"error":{"code","message","hint"}}`. Says what the caller did and can do, and nothing of
/// our insides.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    hint: &'static str,
    header: Option<(HeaderName, &'static str)>,
}

/// How long a caller should wait before asking a busy desk again.
const RETRY_AFTER_S: &str = "2";

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), hint: "", header: None }
    }

    pub(super) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "a valid token is needed")
            .hint("send `Authorization: Bearer <token>`; `forewarn token new` makes one")
            .header(WWW_AUTHENTICATE, "Bearer realm=\"forewarn\"")
    }

    pub(super) fn not_found(what: &'static str, hint: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what).hint(hint)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is longer than {limit} bytes"))
            .hint("send less")
    }

    pub(super) fn timed_out() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "no answer within the time limit")
            .hint("what was asked may still take effect; asking again does no harm")
            .header(RETRY_AFTER, RETRY_AFTER_S)
    }
}

impl From<Busy> for Problem {
    fn from(Busy: Busy) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too much to do just now; nothing was taken in")
            .hint("try again after the time in Retry-After")
            .header(RETRY_AFTER, RETRY_AFTER_S)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message, "hint": self.hint } });
        let mut answer = (self.status, Json(body)).into_response();
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}
