//! Signed callbacks to the client, repeated until somebody takes them, and as unruly as a test asks.

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use super::web::http_client;
use super::{Stage, lock};
use crate::demo::Error;
use crate::wire::webhook;

/// How often a callback that nobody took is repeated.
const TRIES: u32 = 60;
/// Between two repetitions.
const PAUSE: Duration = Duration::from_millis(500);

/// How callbacks travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Callbacks {
    /// Each once.
    #[default]
    Once,
    /// Each twice.
    Doubled,
    /// Each twice, and the one before it once more behind it.
    Disordered,
    /// None.
    Lost,
}

/// Tells the client what came of what it asked for.
#[derive(Debug)]
pub(super) struct Teller {
    /// Signs the callbacks, as it does the requests.
    pub(super) secret: webhook::Secret,
    http: reqwest::Client,
    how: Mutex<Callbacks>,
}

impl Teller {
    /// # Errors
    /// [`Error::Sandbox`] if the secret is none.
    pub(super) fn new(secret: &str) -> Result<Self, Error> {
        let secret = webhook::Secret::parse(secret).map_err(|e| Error::Sandbox(e.to_string()))?;
        Ok(Self { secret, http: http_client()?, how: Mutex::default() })
    }

    /// How callbacks travel from now on.
    pub(super) fn travel(&self, how: Callbacks) {
        *lock(&self.how) = how;
    }

    /// What is told, in this order, when `news` follow on `before`.
    pub(super) fn order<T: Clone>(&self, news: T, before: Option<T>) -> Vec<T> {
        match *lock(&self.how) {
            Callbacks::Once => vec![news],
            Callbacks::Doubled => vec![news.clone(), news],
            Callbacks::Disordered => [Some(news.clone()), Some(news), before].into_iter().flatten().collect(),
            Callbacks::Lost => Vec::new(),
        }
    }

    /// Posts `news` to `url` under this id of a callback.
    pub(super) async fn tell(&self, stage: &Stage, url: &str, id: &str, news: &impl Serialize) {
        let body = serde_json::to_vec(news).expect("news are JSON");
        for _ in 0..TRIES {
            let at = (stage.clock)();
            let sent = self
                .http
                .post(url)
                .header(webhook::ID, id)
                .header(webhook::TIMESTAMP, at.as_secs())
                .header(webhook::SIGNATURE, webhook::sign(&self.secret, id, at, &body))
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await;
            // 4xx will not get better by repeating.
            if sent.is_ok_and(|r| r.status().is_success() || r.status().is_client_error()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
