//! The API, as the command line asks it.

use std::time::Duration;

use reqwest::{Method, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Error;
use crate::http::is_loopback;

/// Bytes of an answer; a list of a thousand cases has less than one megabyte, everything about one customer may have more.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// One daemon and our token for it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
}

#[derive(Deserialize)]
struct Problem {
    error: ProblemBody,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    message: String,
    #[serde(default)]
    hint: String,
}

impl Client {
    /// For the daemon at `url`. The token travels over https, or in the clear to this machine only.
    pub(crate) fn new(url: &str, token: SecretString) -> Result<Self, Error> {
        let bad = || Error::BadUrl(url.to_owned());
        let base = Url::parse(url).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad());
        }
        let plain = base.scheme() == "http";
        if plain && !is_loopback(&base) {
            return Err(Error::PlainHttp(url.to_owned()));
        }
        // Fails only when a provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(15));
        if plain {
            // No proxy to reach this machine, and no certificates: a bare machine has none, which is no error here.
            builder = builder.no_proxy().tls_certs_only(std::iter::empty());
        }
        let http = builder.build().map_err(|e| Error::NotRunning { url: url.to_owned(), why: causes(&e) })?;
        Ok(Self { http, base, token })
    }

    /// `GET /api/v1/<path…>?<query>`.
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<String, Error> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.call(Method::GET, url, None).await
    }

    /// `POST /api/v1/<path…>`.
    pub(crate) async fn post(&self, path: &[&str], body: Option<serde_json::Value>) -> Result<String, Error> {
        self.call(Method::POST, self.url(path)?, body).await
    }

    /// What the daemon answered.
    pub(crate) fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|e| self.not_ours(e))
    }

    fn url(&self, path: &[&str]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::BadUrl(self.base.to_string()))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        Ok(url)
    }

    async fn call(&self, method: Method, url: Url, body: Option<serde_json::Value>) -> Result<String, Error> {
        let mut request = self.http.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let failed = |e: reqwest::Error| Error::NotRunning { url: self.base.to_string(), why: causes(&e) };
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX {
                return Err(self.not_ours("it is too long"));
            }
        }
        let text = String::from_utf8(bytes).map_err(|e| self.not_ours(e))?;
        if status.is_success() {
            return Ok(text);
        }
        match serde_json::from_str(&text) {
            Ok(Problem { error }) => Err(Error::Api {
                code: error.code,
                message: super::render::clean(&error.message),
                hint: super::render::clean(&error.hint),
            }),
            Err(_) => Err(self.not_ours(format!("HTTP {status}"))),
        }
    }

    fn not_ours(&self, why: impl ToString) -> Error {
        Error::NotOurs { url: self.base.to_string(), why: why.to_string() }
    }
}

/// The innermost cause: the outer ones only repeat the address.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
