//! The one HTTP client of all adapters, and the one table of what a status or a failure means.
//!
//! Hosts come from the settings only. No redirects, no proxy of the environment, no cookies, no retries; https unless
//! the host is this machine; names that resolve to loopback, link-local or private addresses are refused unless
//! allowed; 3 s to connect, a limit for the whole exchange, 1 MiB of answer.

mod guard;

use std::error::Error as _;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::{Error, Site, tls};
use crate::domain::{At, Outcome, Span};
use crate::runtime::Clock;

/// To connect, name look-up and TLS handshake included.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest answer that is read.
const BODY_MAX: usize = 1024 * 1024;
/// Longest wish of a provider that is heeded: a slip of theirs must not silence a channel for a day.
const RETRY_AFTER_MAX: Span = Span::from_hours(1);
/// A kept connection that the other side closes while we write makes an unknown outcome; so it is kept only for
/// the next one of a burst, shorter than servers keep theirs.
const IDLE: Duration = Duration::from_secs(1);
/// So much of an answer is shown to people, in characters.
const EXCERPT: usize = 200;

/// What the settings say about an HTTP provider.
pub(super) struct HttpSettings<'a> {
    pub(super) url: &'a str,
    pub(super) ca_file: Option<&'a std::path::Path>,
    pub(super) allow_private: bool,
    pub(super) insecure: bool,
    pub(super) timeout: Span,
}

/// A client for one provider.
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    clock: Clock,
}

impl Http {
    pub(super) fn new(settings: &HttpSettings<'_>, site: &Site<'_>) -> Result<Self, Error> {
        let base = base(settings, site)?;
        let tls = match base.scheme() {
            "https" => tls::verifying(site, settings.ca_file)?,
            _ => tls::believing_nobody().map_err(|e| site.error("url", e.to_string()))?,
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(base.scheme() == "https")
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .dns_resolver(guard::Resolver::new(settings.allow_private, is_this_machine(&base)))
            .connect_timeout(CONNECT)
            .timeout(settings.timeout.to_std())
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .user_agent(concat!("forewarn/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| site.error("url", chain(&e)))?;
        Ok(Self { client, base, clock: site.deps.clock.clone() })
    }

    /// The configured address itself.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the configured one; each of `path` is one segment, escaped.
    pub(super) fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.client.request(Method::POST, url)
    }

    pub(super) fn put(&self, url: Url) -> RequestBuilder {
        self.client.request(Method::PUT, url)
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.request(Method::GET, url)
    }

    /// Sends once and reads the answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Reply {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(e) => return failure(&e),
        };
        let status = response.status();
        let after = retry_after(response.headers(), (self.clock)());
        let mut body = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_MAX => break Err("more than 1 MiB of answer".into()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break Ok(()),
                Err(e) => break Err(chain(&e)),
            }
        };
        Reply::new(status, after, body, whole)
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// 2xx and a whole body.
    Done { status: StatusCode, body: Vec<u8> },
    /// They will not do it.
    Refused { status: StatusCode, body: Vec<u8> },
    /// Certainly not processed.
    Retry { after: Option<Span>, reason: String },
    /// Nobody knows.
    Unknown { reason: String },
}

impl Reply {
    /// **The table**: what a status means.
    fn new(status: StatusCode, after: Option<Span>, body: Vec<u8>, whole: Result<(), String>) -> Self {
        let said = || format!("{status}{}", excerpt(&body));
        match status.as_u16() {
            200..=299 => match whole {
                Ok(()) => Self::Done { status, body },
                Err(e) => Self::Unknown { reason: format!("{status}, then the answer broke off: {e}") },
            },
            // They took nothing in and say so.
            425 | 429 => Self::Retry { after, reason: said() },
            503 if after.is_some() => Self::Retry { after, reason: said() },
            // The request may have come through whole and only been answered late by something in between.
            408 => Self::Unknown { reason: said() },
            // A redirect is a mistake in the settings: following it would send secrets to whom nobody has named.
            300..=499 => Self::Refused { status, body },
            _ => Self::Unknown { reason: said() },
        }
    }

    /// The outcome if nothing but 2xx is good; `read` takes the provider's id out of the body.
    pub(super) fn outcome(self, read: impl FnOnce(&[u8]) -> Result<String, String>) -> Outcome {
        match self {
            Self::Done { status, body } => match read(&body) {
                Ok(provider_ref) => Outcome::Accepted { provider_ref },
                Err(e) => Outcome::Unknown { reason: format!("{status}, but the answer cannot be used: {e}") },
            },
            Self::Refused { status, body } => Outcome::Rejected { reason: format!("{status}{}", excerpt(&body)) },
            Self::Retry { after, reason } => Outcome::Retry { after, reason },
            Self::Unknown { reason } => Outcome::Unknown { reason },
        }
    }

    /// For `Reconcile`: the body of an answer, or that we still don't know.
    pub(super) fn answer<T: DeserializeOwned>(self) -> Result<T, Outcome> {
        let reason = match self {
            Self::Done { status, body } => match json(&body) {
                Ok(answer) => return Ok(answer),
                Err(e) => format!("{status}, but the answer cannot be used: {e}"),
            },
            Self::Refused { status, body } => format!("{status}{}", excerpt(&body)),
            Self::Retry { reason, .. } | Self::Unknown { reason } => reason,
        };
        Err(still_unknown(&reason))
    }
}

/// Asked, and no wiser.
pub(super) fn still_unknown(reason: &str) -> Outcome {
    Outcome::Unknown { reason: format!("could not find out: {reason}") }
}

/// Turns an outcome of asking again into one that claims no more than it knows.
pub(super) fn reconciled(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Retry { reason, .. } => still_unknown(&reason),
        other => other,
    }
}

pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

/// What a failure without a status means: nothing was sent before there was a connection, and anything may have been
/// sent after.
fn failure(e: &reqwest::Error) -> Reply {
    let reason = chain(e);
    if e.is_connect() || e.is_builder() { Reply::Retry { after: None, reason } } else { Reply::Unknown { reason } }
}

/// The error with its causes and without the address, which may carry what is nobody's business.
fn chain(e: &reqwest::Error) -> String {
    let mut text = if e.is_connect() {
        "cannot connect".to_owned()
    } else if e.is_timeout() {
        "no answer in time".to_owned()
    } else {
        "the exchange failed".to_owned()
    };
    let mut cause = e.source();
    while let Some(e) = cause {
        let next = e.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = e.source();
    }
    text.chars().take(2 * EXCERPT).collect()
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: At) -> Option<Span> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let after = match text.parse::<u32>() {
        Ok(seconds) => Span::from_secs(i64::from(seconds)),
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(text).ok()?;
            At::from_micros(date.as_microsecond()).since(now)
        }
    };
    Some(after.min(RETRY_AFTER_MAX))
}

/// The beginning of an answer, on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT).collect();
    match line.trim() {
        "" => String::new(),
        line => format!(": {line}"),
    }
}

fn base(settings: &HttpSettings<'_>, site: &Site<'_>) -> Result<Url, Error> {
    let url = Url::parse(settings.url).map_err(|e| site.error("url", format!("not an address: {e}")))?;
    if url.host().is_none() || url.cannot_be_a_base() {
        return Err(site.error("url", "has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(site.error("url", "holds a user name; secrets have settings of their own"));
    }
    if url.fragment().is_some() {
        return Err(site.error("url", "has a fragment, which is never sent"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if settings.insecure || is_this_machine(&url) => Ok(url),
        "http" => Err(site.error("url", "must be https (or say `insecure = true`)")),
        other => Err(site.error("url", format!("cannot speak {other}"))),
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_means() {
        let hour = Some(Span::from_hours(1));
        for (status, after, expected) in [
            (200, None, "done"),
            (202, None, "done"),
            (204, None, "done"),
            (302, None, "refused"),
            (400, None, "refused"),
            (401, None, "refused"),
            (404, None, "refused"),
            (408, None, "unknown"),
            (409, None, "refused"),
            (410, None, "refused"),
            (422, None, "refused"),
            (425, None, "retry"),
            (429, None, "retry"),
            (429, hour, "retry"),
            (500, hour, "unknown"),
            (502, None, "unknown"),
            (503, None, "unknown"),
            (503, hour, "retry"),
            (504, hour, "unknown"),
        ] {
            let reply = Reply::new(StatusCode::from_u16(status).unwrap(), after, b"x".to_vec(), Ok(()));
            let word = match &reply {
                Reply::Done { .. } => "done",
                Reply::Refused { .. } => "refused",
                Reply::Retry { after: a, .. } => {
                    assert_eq!(*a, after);
                    "retry"
                }
                Reply::Unknown { .. } => "unknown",
            };
            assert_eq!(word, expected, "{status}");
        }
        let broken = Reply::new(StatusCode::CREATED, None, Vec::new(), Err("reset".into()));
        assert!(matches!(broken, Reply::Unknown { .. }), "a good status with half a body is not success");
        let broken = Reply::new(StatusCode::CONFLICT, None, Vec::new(), Err("reset".into()));
        assert!(matches!(broken, Reply::Refused { .. }), "a refusal is one, however little of its reason came");
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now: At = "2026-11-22T08:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(Span::from_secs(120))),
            ("0", Some(Span::ZERO)),
            ("Sun, 22 Nov 2026 08:00:30 GMT", Some(Span::from_secs(30))),
            ("Sun, 22 Nov 2026 07:00:00 GMT", Some(Span::ZERO)),
            ("99999999", Some(RETRY_AFTER_MAX)),
            ("-5", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt(b""), "");
        assert_eq!(excerpt(b" \r\n"), "");
        assert_eq!(excerpt(b"a\r\nb\x1b[1m"), ": a  b [1m");
        assert_eq!(excerpt("ä".repeat(900).as_bytes()).chars().count(), EXCERPT + 2);
    }
}
