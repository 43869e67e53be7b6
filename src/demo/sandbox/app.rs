//! The back end of the customers' own app: takes each message once by its id, checks signature and shape, and tells by
//! signed callbacks what its user does with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use super::teller::{Callbacks, Teller};
use super::web::{Refusal, Scissors, Server};
use super::{Script, Sighting, Stage, lock};
use crate::demo::Error;
use crate::wire::app::{Feedback, FeedbackState, Push};
use crate::wire::webhook;

/// What the user does with the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppUser {
    /// Has it on the phone and does not look.
    Ignores,
    /// Looks at it and taps nothing.
    Reads,
    /// Taps this choice.
    Taps(char),
    /// Has removed the app.
    Left,
    /// Is out of reach: nothing is heard.
    Offline,
}

/// What happens to the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppFault {
    /// Takes the message, then cuts the connection before one byte of the answer leaves.
    CutAfterAccept,
    /// Cuts the connection without taking the message.
    CutBefore,
    /// `503` with `Retry-After` in seconds.
    Unavailable(u32),
    /// `500` after taking the message.
    ErrorAfterAccept,
    /// Takes the message and answers only after this time.
    Slow(Duration),
    /// `404`: no such user.
    UnknownUser,
    /// `410`: wants no more.
    Gone,
}

/// A message that was taken, whether or not the client heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppMessage {
    /// The `webhook-id`.
    pub key: String,
    /// What is shown.
    pub push: Push,
}

#[derive(Debug)]
struct Office {
    teller: Teller,
    stage: Stage,
    pace: Duration,
    requests: Script<AppFault>,
    users: Script<AppUser>,
    taken: Mutex<Vec<AppMessage>>,
    /// Ends the callbacks with the office.
    tasks: Mutex<tokio::task::JoinSet<()>>,
}

/// A running back end; ends when dropped.
#[derive(Debug)]
pub struct AppBackend {
    server: Server,
    office: Arc<Office>,
}

impl AppBackend {
    /// Listens on a free loopback port; `pace` is the time between two things that a user does.
    ///
    /// # Errors
    /// [`Error::Listen`], or [`Error::Sandbox`] if the secret is none.
    pub async fn start(secret: &str, pace: Duration, stage: Stage) -> Result<Self, Error> {
        let office = Arc::new(Office {
            teller: Teller::new(secret)?,
            stage,
            pace,
            requests: Script::default(),
            users: Script::default(),
            taken: Mutex::default(),
            tasks: Mutex::default(),
        });
        let routes = Router::new()
            .route("/", post(take))
            .layer(axum::extract::DefaultBodyLimit::max(16 << 10))
            .with_state(office.clone());
        Ok(Self { server: Server::start(routes).await?, office })
    }

    /// URL for the settings.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/", self.server.url())
    }

    /// What happens to the next requests, one entry each.
    pub fn script(&self, faults: impl IntoIterator<Item = AppFault>) {
        self.office.requests.add(faults);
    }

    /// What the users of the next messages do, one entry each; then they ignore them.
    pub fn users(&self, users: impl IntoIterator<Item = AppUser>) {
        self.office.users.add(users);
    }

    /// How callbacks travel from now on.
    pub fn callbacks(&self, how: Callbacks) {
        self.office.teller.travel(how);
    }

    /// Everything taken, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<AppMessage> {
        lock(&self.office.taken).clone()
    }

    /// How many messages were taken for this id: one at most, by the protocol.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        lock(&self.office.taken).iter().filter(|m| m.key == key).count()
    }
}

impl Drop for AppBackend {
    fn drop(&mut self) {
        lock(&self.office.tasks).abort_all();
    }
}

async fn take(
    State(office): State<Arc<Office>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let refuse = |status, why: String| Refusal::new(status, json!({ "reason": why }));
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let signed = webhook::Headers {
        id: text(webhook::ID),
        timestamp: text(webhook::TIMESTAMP),
        signature: text(webhook::SIGNATURE),
    };
    webhook::verify(&office.teller.secret, signed, &body, (office.stage.clock)())
        .map_err(|e| refuse(StatusCode::UNAUTHORIZED, e.to_string()))?;
    let push = read(&body).map_err(|e| refuse(StatusCode::UNPROCESSABLE_ENTITY, e))?;
    let key = signed.id.to_owned();
    if lock(&office.taken).iter().any(|m| m.key == key) {
        return Err(refuse(StatusCode::CONFLICT, "taken already".to_owned()));
    }
    let taken = (StatusCode::ACCEPTED, Json(json!({ "state": "accepted" }))).into_response();
    match office.requests.next() {
        None => office.show(key, push),
        Some(AppFault::UnknownUser) => return Err(refuse(StatusCode::NOT_FOUND, "no such user".to_owned())),
        Some(AppFault::Gone) => return Err(refuse(StatusCode::GONE, "no more".to_owned())),
        Some(AppFault::Unavailable(seconds)) => {
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "try again later".to_owned()).after(seconds));
        }
        Some(AppFault::CutBefore) => scissors.cut(),
        Some(AppFault::CutAfterAccept) => {
            scissors.cut();
            office.show(key, push);
        }
        Some(AppFault::ErrorAfterAccept) => {
            office.show(key, push);
            return Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong".to_owned()));
        }
        Some(AppFault::Slow(pause)) => {
            office.show(key, push);
            tokio::time::sleep(pause).await;
        }
    }
    Ok(taken)
}

/// The message, refused if it is not one that could be shown.
fn read(body: &[u8]) -> Result<Push, String> {
    let push: Push = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    if push.user.is_empty() || push.title.is_empty() || push.text.is_empty() {
        return Err("user, title and text must not be empty".to_owned());
    }
    if push.title.chars().count() > 65 || push.text.chars().count() > 240 {
        return Err("longer than a phone shows".to_owned());
    }
    if push.actions.iter().any(|a| a.label.is_empty() || a.label.chars().count() > 25) {
        return Err("a label that no button holds".to_owned());
    }
    reqwest::Url::parse(&push.callback).map_err(|_| "callback is not a URL".to_owned())?;
    Ok(push)
}

impl Office {
    fn show(self: &Arc<Self>, key: String, push: Push) {
        let user = self.users.next().unwrap_or(AppUser::Ignores);
        let (to, title) = (push.user.clone(), push.title.clone());
        self.stage.sightings.saw(Sighting::Push { to, title });
        lock(&self.taken).push(AppMessage { key: key.clone(), push: push.clone() });
        let office = self.clone();
        lock(&self.tasks).spawn(async move { office.live(&key, &push, user).await });
    }

    /// What the user does, and what the client hears of it.
    async fn live(&self, key: &str, push: &Push, user: AppUser) {
        use FeedbackState::{Confirmed, Delivered, Failed, Opened};
        let steps: &[(FeedbackState, Option<char>)] = match user {
            AppUser::Ignores => &[(Delivered, None)],
            AppUser::Reads => &[(Delivered, None), (Opened, None)],
            AppUser::Taps(choice) => &[(Delivered, None), (Opened, None), (Confirmed, Some(choice))],
            AppUser::Left => &[(Failed, None)],
            AppUser::Offline => &[],
        };
        let mut before: Option<Feedback> = None;
        for (seq, (state, choice)) in (1..).zip(steps) {
            tokio::time::sleep(self.pace).await;
            if let Some(choice) = choice {
                self.stage.sightings.saw(Sighting::Tapped { to: push.user.clone(), choice: *choice });
            }
            let news = Feedback { seq, state: *state, choice: *choice, at: Some((self.stage.clock)()) };
            for told in self.teller.order(news.clone(), before) {
                self.teller.tell(&self.stage, &push.callback, &format!("{key}.{}", told.seq), &told).await;
            }
            before = Some(news);
        }
    }
}
