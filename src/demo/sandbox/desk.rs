//! A ticket desk in the Zammad shape: create, articles, close, search; token authentication; refuses what it does not
//! know. Like the real one it has no idempotency key, and its search index lags behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::web::{Refusal, Scissors, Server};
use super::{Script, Sighting, Stage, lock};
use crate::demo::Error;
use crate::domain::At;

/// Groups that an administrator has set up.
const GROUPS: [&str; 4] = ["Users", "Roadside", "Service", "Workshop"];
const PRIORITIES: [&str; 3] = ["1 low", "2 normal", "3 high"];
const STATES: [&str; 5] = ["new", "open", "pending reminder", "closed", "merged"];
const ARTICLE_TYPES: [&str; 5] = ["note", "phone", "email", "sms", "web"];
/// Largest request body, in bytes.
const BODY: usize = 1 << 20;

/// A ticket that was created, whether or not the client heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The id in the API.
    pub id: u64,
    /// The number people use.
    pub number: String,
    /// The custom attribute that holds the case id; the idempotency key of our making.
    pub case_ref: Option<String>,
    /// One line.
    pub title: String,
    /// Which group works on it.
    pub group: String,
    /// `1 low`, `2 normal`, `3 high`.
    pub priority: String,
    /// `new`, `open`, `closed`…
    pub state: String,
    /// As sent: an id, a mailbox or `guess:mailbox`.
    pub customer: Option<String>,
    /// The first one came with the ticket.
    pub articles: Vec<Article>,
    /// When it was created.
    pub created_at: At,
}

/// An entry of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Hidden from the customer.
    pub internal: bool,
}

/// What the desk does to the next request that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeskFault {
    /// Carries it out, then cuts the connection before one byte of the 201 leaves.
    CutAfterAccept,
    /// Cuts the connection without doing anything.
    CutBefore,
    /// `503` with `Retry-After` in seconds.
    Unavailable(u32),
    /// `429` with `Retry-After` in seconds.
    TooMany(u32),
    /// `500` after carrying it out: the client cannot know.
    ErrorAfterAccept,
    /// Carries it out and answers only after this time.
    Slow(Duration),
    /// `201` with a body that is not JSON.
    Garbled,
}

#[derive(Debug)]
struct Desk {
    token: String,
    stage: Stage,
    creates: Script<DeskFault>,
    updates: Script<DeskFault>,
    /// How long a new ticket stays invisible to the search.
    lag: Mutex<Duration>,
    tickets: Mutex<Vec<(Ticket, Instant)>>,
}

/// A running ticket desk; ends when dropped.
#[derive(Debug)]
pub struct TicketDesk {
    server: Server,
    desk: Arc<Desk>,
}

impl TicketDesk {
    /// Listens on a free loopback port and lets in who knows `token`.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn start(token: &str, stage: Stage) -> Result<Self, Error> {
        let desk = Arc::new(Desk {
            token: token.to_owned(),
            stage,
            creates: Script::default(),
            updates: Script::default(),
            lag: Mutex::default(),
            tickets: Mutex::default(),
        });
        let routes = Router::new()
            .route("/api/v1/tickets", post(create))
            .route("/api/v1/tickets/search", get(search))
            .route("/api/v1/tickets/{id}", get(show).put(update))
            .route("/api/v1/ticket_articles", post(add_article))
            .route("/api/v1/ticket_articles/by_ticket/{id}", get(articles))
            .layer(axum::extract::DefaultBodyLimit::max(BODY))
            .with_state(desk.clone());
        Ok(Self { server: Server::start(routes).await?, desk })
    }

    /// Base URL for the settings.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What happens to the next creations, one entry each.
    pub fn script(&self, faults: impl IntoIterator<Item = DeskFault>) {
        self.desk.creates.add(faults);
    }

    /// What happens to the next articles and closings, one entry each.
    pub fn script_updates(&self, faults: impl IntoIterator<Item = DeskFault>) {
        self.desk.updates.add(faults);
    }

    /// From now on a new ticket is found by the search only after this time.
    pub fn index_lag(&self, lag: Duration) {
        *lock(&self.desk.lag) = lag;
    }

    /// Everything created, in order, as it is now.
    #[must_use]
    pub fn accepted(&self) -> Vec<Ticket> {
        lock(&self.desk.tickets).iter().map(|(t, _)| t.clone()).collect()
    }

    /// How many tickets were created for this case.
    #[must_use]
    pub fn count(&self, case_ref: &str) -> usize {
        lock(&self.desk.tickets).iter().filter(|(t, _)| t.case_ref.as_deref() == Some(case_ref)).count()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTicket {
    title: String,
    group: String,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    customer_id: Option<Value>,
    #[serde(default)]
    customer: Option<String>,
    #[serde(default)]
    case_ref: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "known to the desk, so it must not be refused; nothing here reads it")]
    tags: Option<Value>,
    article: NewArticle,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketChange {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    article: Option<NewArticle>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewArticle {
    #[serde(default)]
    ticket_id: Option<u64>,
    #[serde(default)]
    subject: Option<String>,
    body: String,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "known to the desk, so it must not be refused; nothing here reads it")]
    sender: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "known to the desk, so it must not be refused; nothing here reads it")]
    origin_by_id: Option<u64>,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment {
    filename: String,
    data: String,
    #[serde(rename = "mime-type")]
    mime_type: String,
}

/// `422` or the like, in the desk's own words.
fn refuse(status: StatusCode, text: &str) -> Refusal {
    Refusal::new(status, json!({"error": text, "error_human": text}))
}

impl Desk {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        if given == Some(format!("Token token={}", self.token).as_str()) {
            return Ok(());
        }
        Err(refuse(StatusCode::UNAUTHORIZED, "authentication failed"))
    }

    fn article(new: NewArticle) -> Result<Article, Refusal> {
        one_of("type", new.kind.as_deref(), &ARTICLE_TYPES)?;
        one_of("content_type", new.content_type.as_deref(), &["text/plain", "text/html"])?;
        if new.body.trim().is_empty() {
            return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Need at least an 'article body' field."));
        }
        for a in &new.attachments {
            use base64::Engine;
            let known = base64::engine::general_purpose::STANDARD.decode(&a.data).is_ok();
            if a.filename.is_empty() || a.mime_type.is_empty() || !known {
                return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid attachment"));
            }
        }
        Ok(Article { subject: new.subject.unwrap_or_default(), body: new.body, internal: new.internal })
    }

    /// Changes the ticket `id`, if there is one and `change` likes it.
    fn edit(&self, id: u64, change: impl FnOnce(&mut Ticket) -> Result<Sighting, Refusal>) -> Result<Value, Refusal> {
        let mut tickets = lock(&self.tickets);
        let Some((ticket, _)) = tickets.iter_mut().find(|(t, _)| t.id == id) else {
            return Err(refuse(StatusCode::NOT_FOUND, "No such object"));
        };
        let seen = change(ticket)?;
        self.stage.sightings.saw(seen);
        Ok(shape(ticket))
    }
}

fn one_of(what: &str, given: Option<&str>, known: &[&str]) -> Result<(), Refusal> {
    match given {
        Some(value) if !known.contains(&value) => {
            let text = format!("No lookup value found for '{what}': \"{value}\"");
            Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, &text))
        }
        _ => Ok(()),
    }
}

fn shape(ticket: &Ticket) -> Value {
    let state_id = STATES.iter().position(|s| *s == ticket.state).map_or(0, |i| i + 1);
    json!({
        "id": ticket.id, "number": ticket.number, "title": ticket.title, "group": ticket.group,
        "priority": ticket.priority, "state": ticket.state, "state_id": state_id,
        "case_ref": ticket.case_ref, "article_count": ticket.articles.len(),
    })
}

fn parse<T: for<'de> Deserialize<'de>>(headers: &HeaderMap, body: &Bytes) -> Result<T, Refusal> {
    let json = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    if !json.is_some_and(|t| t.starts_with("application/json")) {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    serde_json::from_slice(body).map_err(|e| refuse(StatusCode::UNPROCESSABLE_ENTITY, &e.to_string()))
}

/// Plays the scripted fault around `work`, which carries the request out.
async fn play(
    fault: Option<DeskFault>,
    scissors: &Scissors,
    work: impl FnOnce() -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    let later = |status, seconds: u32| Err(refuse(status, "try again later").after(seconds));
    match fault {
        None => work(),
        Some(DeskFault::Unavailable(seconds)) => later(StatusCode::SERVICE_UNAVAILABLE, seconds),
        Some(DeskFault::TooMany(seconds)) => later(StatusCode::TOO_MANY_REQUESTS, seconds),
        Some(DeskFault::CutBefore) => {
            scissors.cut();
            Ok(StatusCode::OK.into_response())
        }
        Some(DeskFault::CutAfterAccept) => {
            let done = work();
            scissors.cut();
            done
        }
        Some(DeskFault::ErrorAfterAccept) => {
            work()?;
            Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong"))
        }
        Some(DeskFault::Garbled) => {
            work()?;
            Ok((StatusCode::CREATED, "<html>created</html>").into_response())
        }
        Some(DeskFault::Slow(pause)) => {
            let done = work();
            tokio::time::sleep(pause).await;
            done
        }
    }
}

type Desks = State<Arc<Desk>>;

async fn create(
    State(desk): Desks,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    desk.admit(&headers)?;
    let new: NewTicket = parse(&headers, &body)?;
    one_of("group", Some(&new.group), &GROUPS)?;
    one_of("priority", new.priority.as_deref(), &PRIORITIES)?;
    one_of("state", new.state.as_deref(), &STATES)?;
    if new.title.trim().is_empty() || new.title.contains('\n') {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Missing required value for field 'title'!"));
    }
    let customer = match (new.customer_id, new.customer) {
        (Some(Value::String(text)), _) | (None, Some(text)) => Some(text),
        (Some(Value::Number(id)), _) => Some(id.to_string()),
        (Some(_), _) => return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid value for 'customer_id'")),
        (None, None) => None,
    };
    let first = Desk::article(new.article)?;
    let fault = desk.creates.next();
    play(fault, &scissors, || {
        let mut tickets = lock(&desk.tickets);
        let id = tickets.len() as u64 + 1;
        let ticket = Ticket {
            id,
            number: format!("{}", 22_000 + id),
            case_ref: new.case_ref,
            title: new.title,
            group: new.group,
            priority: new.priority.unwrap_or_else(|| PRIORITIES[1].to_owned()),
            state: new.state.unwrap_or_else(|| STATES[0].to_owned()),
            customer,
            articles: vec![first],
            created_at: (desk.stage.clock)(),
        };
        let answer = (StatusCode::CREATED, Json(shape(&ticket))).into_response();
        desk.stage.sightings.saw(Sighting::Ticket { number: ticket.number.clone(), title: ticket.title.clone() });
        tickets.push((ticket, Instant::now() + *lock(&desk.lag)));
        Ok(answer)
    })
    .await
}

async fn update(
    State(desk): Desks,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    desk.admit(&headers)?;
    let change: TicketChange = parse(&headers, &body)?;
    one_of("group", change.group.as_deref(), &GROUPS)?;
    one_of("priority", change.priority.as_deref(), &PRIORITIES)?;
    one_of("state", change.state.as_deref(), &STATES)?;
    let article = change.article.map(Desk::article).transpose()?;
    play(desk.updates.next(), &scissors, || {
        let now = desk.edit(id, |ticket| {
            if let Some(title) = change.title {
                ticket.title = title;
            }
            if let Some(group) = change.group {
                ticket.group = group;
            }
            if let Some(priority) = change.priority {
                ticket.priority = priority;
            }
            let number = ticket.number.clone();
            let body = article.as_ref().map(first_line).unwrap_or_default();
            ticket.articles.extend(article);
            match change.state {
                Some(state) => {
                    let closed = state == "closed";
                    ticket.state = state;
                    Ok(if closed { Sighting::TicketClosed { number } } else { Sighting::Article { number, body } })
                }
                None => Ok(Sighting::Article { number, body }),
            }
        })?;
        Ok(Json(now).into_response())
    })
    .await
}

fn first_line(article: &Article) -> String {
    article.body.lines().next().unwrap_or_default().to_owned()
}

async fn add_article(
    State(desk): Desks,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    desk.admit(&headers)?;
    let new: NewArticle = parse(&headers, &body)?;
    let Some(id) = new.ticket_id else {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Missing required value for field 'ticket_id'!"));
    };
    let article = Desk::article(new)?;
    play(desk.updates.next(), &scissors, || {
        let mut index = 0;
        desk.edit(id, |ticket| {
            let seen = Sighting::Article { number: ticket.number.clone(), body: first_line(&article) };
            ticket.articles.push(article);
            index = ticket.articles.len();
            Ok(seen)
        })?;
        Ok((StatusCode::CREATED, Json(json!({"id": id * 1000 + index as u64, "ticket_id": id}))).into_response())
    })
    .await
}

async fn show(State(desk): Desks, Path(id): Path<u64>, headers: HeaderMap) -> Result<Response, Refusal> {
    desk.admit(&headers)?;
    let tickets = lock(&desk.tickets);
    let found = tickets.iter().find(|(t, _)| t.id == id);
    found.map(|(t, _)| Json(shape(t)).into_response()).ok_or_else(|| refuse(StatusCode::NOT_FOUND, "No such object"))
}

async fn articles(State(desk): Desks, Path(id): Path<u64>, headers: HeaderMap) -> Result<Response, Refusal> {
    desk.admit(&headers)?;
    let tickets = lock(&desk.tickets);
    let Some((ticket, _)) = tickets.iter().find(|(t, _)| t.id == id) else {
        return Err(refuse(StatusCode::NOT_FOUND, "No such object"));
    };
    let list: Vec<Value> = (1..)
        .zip(&ticket.articles)
        .map(|(n, a)| json!({"id": id * 1000 + n, "ticket_id": id, "subject": a.subject, "body": a.body, "internal": a.internal}))
        .collect();
    Ok(Json(list).into_response())
}

#[derive(Debug, Deserialize)]
struct Search {
    query: String,
    limit: Option<usize>,
}

/// `case_ref:"…"` only: what the index was set up for.
async fn search(State(desk): Desks, Query(search): Query<Search>, headers: HeaderMap) -> Result<Response, Refusal> {
    desk.admit(&headers)?;
    let value = search.query.trim().strip_prefix("case_ref:").map(|v| v.trim_matches('"'));
    let Some(value) = value.filter(|v| !v.is_empty()) else {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "this desk searches by case_ref only"));
    };
    let now = Instant::now();
    let tickets = lock(&desk.tickets);
    let hits: BTreeMap<u64, Value> = tickets
        .iter()
        .filter(|(t, visible_at)| *visible_at <= now && t.case_ref.as_deref() == Some(value))
        .take(search.limit.unwrap_or(50).min(50))
        .map(|(t, _)| (t.id, shape(t)))
        .collect();
    let ids: Vec<u64> = hits.keys().copied().collect();
    let assets: BTreeMap<String, Value> = hits.into_iter().map(|(id, t)| (id.to_string(), t)).collect();
    let count = ids.len();
    Ok(Json(json!({"tickets": ids, "tickets_count": count, "assets": {"Ticket": assets}})).into_response())
}
