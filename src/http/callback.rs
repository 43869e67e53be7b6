//! What all callbacks share.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::{HeaderMap, StatusCode};
use tracing::warn;

use super::metrics::CALLBACKS;
use super::problem::Problem;
use super::server::App;
use crate::desk::{Input, Reply};
use crate::domain::{AdapterName, At, EffectId, Span};
use crate::wire::{self, webhook};

/// The effect that a callback URL carries.
pub(super) fn effect(text: Option<&str>) -> Result<EffectId, Problem> {
    text.and_then(|t| t.parse().ok()).ok_or_else(unknown_effect)
}

fn unknown_effect() -> Problem {
    Problem::not_found("nothing was asked of you under this id", "call back the URL that came with the request")
}

/// Counts what became of a callback (the code of its problem, or `taken`), and hands the result on.
pub(super) fn counted<T>(kind: &'static str, result: Result<T, Problem>) -> Result<T, Problem> {
    count(kind, result.as_ref().map_or_else(Problem::code, |_| "taken"));
    result
}

/// Counts what became of a callback.
pub(super) fn count(kind: &'static str, result: &'static str) {
    metrics::counter!(CALLBACKS, "kind" => kind, "result" => result).increment(1);
}

/// A callback whose signature does not fit. Usually not an attack but our own `public_url` or secret, so it is logged,
/// once a minute.
pub(super) fn bad_signature(app: &App, kind: &'static str, why: &dyn std::fmt::Display) -> Problem {
    if app.signature_warning.due((app.clock)()) {
        warn!(kind, %why, public_url = %app.public_url, "callback refused; check http.public_url and the provider's secret");
    }
    Problem::new(StatusCode::FORBIDDEN, "bad_signature", "the signature does not fit this request")
        .hint("sign the URL as it was given to you, with the shared secret")
}

/// Which of these providers have signed this (Standard Webhooks) within the replay window; several if they share a secret.
pub(super) fn verify<'a>(
    app: &App,
    secrets: impl IntoIterator<Item = &'a (AdapterName, webhook::Secret)>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<AdapterName>, wire::Error> {
    let get = |name: &'static str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(wire::Error::Missing(name));
    let signed = webhook::Headers {
        id: get(webhook::ID)?,
        timestamp: get(webhook::TIMESTAMP)?,
        signature: get(webhook::SIGNATURE)?,
    };
    let now = (app.clock)();
    let mut why_not = wire::Error::Signature;
    let mut by = Vec::new();
    for (name, secret) in secrets {
        match webhook::verify(secret, signed, body, now) {
            Ok(()) => by.push(name.clone()),
            Err(error) => why_not = error,
        }
    }
    if by.is_empty() { Err(why_not) } else { Ok(by) }
}

/// Hands news to the desk; returns once it is durable. News that the desk knows already is taken again, without effect.
pub(super) async fn deliver(app: &App, news: Input) -> Result<(), Problem> {
    match app.desk.tell(news).await? {
        Reply::Done | Reply::Speech(_) | Reply::Text(_) => Ok(()),
        Reply::NotFound => Err(unknown_effect()),
        Reply::Refused(reason) => Err(Problem::new(StatusCode::CONFLICT, "refused", reason)
            .hint("the request that this belongs to does not expect it")),
    }
}

/// Says yes at most once a minute.
#[derive(Default)]
pub(super) struct Seldom(AtomicI64);

impl Seldom {
    pub(super) fn due(&self, now: At) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let due = last == 0 || now - At::from_micros(last) >= Span::from_mins(1);
        due && self.0.compare_exchange(last, now.as_micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seldom_is_once_a_minute() {
        let seldom = Seldom::default();
        let at = |s: i64| At::from_secs(1_795_300_000 + s);
        let due: Vec<bool> = [0, 1, 59, 60, 61].into_iter().map(|s| seldom.due(at(s))).collect();
        assert_eq!(due, [true, false, false, true, false]);
    }
}
