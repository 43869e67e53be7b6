//! A tow company that speaks the dispatch protocol: takes a job once for each key, finds a truck after a moment, is a
//! little late, arrives. Its news come as signed callbacks with a count, repeated until somebody takes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;

use super::teller::{Callbacks, Teller};
use super::web::{Scissors, Server};
use super::{Script, Sighting, Stage, lock};
use crate::demo::Error;
use crate::domain::{At, JobState, Span};
use crate::wire::dispatch::{Driver, IDEMPOTENCY_KEY, JobRequest, JobStatus, Refusal, Truck};
use crate::wire::webhook;

/// How the company works.
#[derive(Debug, Clone)]
pub struct TowSettings {
    /// `whsec_…`: signs the callbacks, and the requests.
    pub secret: String,
    /// Minutes until arrival, as announced with the acceptance.
    pub eta_min: i64,
    /// Minutes that it then turns out to be later.
    pub slip_min: i64,
    /// Real time between two steps of a job (accepted, under way, later, there, towing, done). What is announced stays
    /// as above: only the waiting is short.
    pub pace: Duration,
}

/// What the company does with the next job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crew {
    /// Comes, late, and tows.
    Comes,
    /// Says no.
    Declines,
    /// Finds nobody.
    FindsNobody,
    /// Takes the job and is never heard of again.
    Silent,
    /// Comes and finds no car.
    GoneOnArrival,
    /// Comes and cannot help.
    Unsuccessful,
}

/// What happens to the next request for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TowFault {
    /// Takes the job, then cuts the connection before one byte of the answer leaves.
    CutAfterAccept,
    /// Cuts the connection without taking the job.
    CutBefore,
    /// `503` with `Retry-After` in seconds.
    Unavailable(u32),
    /// `500` after taking the job.
    ErrorAfterAccept,
    /// Takes the job and answers only after this time.
    Slow(Duration),
    /// `422` with this reason.
    Refuse(String),
}

/// A job that was taken, whether or not the client heard of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TowJob {
    /// The company's id.
    pub job: String,
    /// The idempotency key.
    pub key: String,
    /// What was asked.
    pub request: JobRequest,
    /// Every state so far, oldest first; the last one is the present.
    pub history: Vec<JobStatus>,
}

impl TowJob {
    fn status(&self) -> JobStatus {
        self.history.last().cloned().expect("a job begins with a state")
    }
}

#[derive(Debug)]
struct Company {
    settings: TowSettings,
    teller: Teller,
    stage: Stage,
    requests: Script<TowFault>,
    crews: Script<Crew>,
    refuse_cancel: Mutex<bool>,
    /// With the exact body, to tell a repetition from a reused key.
    jobs: Mutex<Vec<(TowJob, Bytes)>>,
    /// Ends the work on jobs with the company.
    tasks: Mutex<tokio::task::JoinSet<()>>,
}

/// A running tow company; ends when dropped.
#[derive(Debug)]
pub struct TowCompany {
    server: Server,
    company: Arc<Company>,
}

impl TowCompany {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// [`Error::Listen`], or [`Error::Sandbox`] if the secret is none.
    pub async fn start(settings: TowSettings, stage: Stage) -> Result<Self, Error> {
        let teller = Teller::new(&settings.secret)?;
        let company = Arc::new(Company {
            settings,
            teller,
            stage,
            requests: Script::default(),
            crews: Script::default(),
            refuse_cancel: Mutex::default(),
            jobs: Mutex::default(),
            tasks: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/jobs", post(request))
            .route("/v1/jobs/{job}", get(show))
            .route("/v1/jobs/{job}/cancel", post(cancel))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 10))
            .with_state(company.clone());
        Ok(Self { server: Server::start(routes).await?, company })
    }

    /// Base URL for the settings.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What happens to the next requests for a new job, one entry each.
    pub fn script(&self, faults: impl IntoIterator<Item = TowFault>) {
        self.company.requests.add(faults);
    }

    /// What is done with the next jobs, one entry each.
    pub fn crews(&self, crews: impl IntoIterator<Item = Crew>) {
        self.company.crews.add(crews);
    }

    /// How callbacks travel from now on.
    pub fn callbacks(&self, how: Callbacks) {
        self.company.teller.travel(how);
    }

    /// From now on a cancellation is refused: too close.
    pub fn refuse_cancel(&self, refuse: bool) {
        *lock(&self.company.refuse_cancel) = refuse;
    }

    /// Everything taken, in order, as it is now.
    #[must_use]
    pub fn accepted(&self) -> Vec<TowJob> {
        lock(&self.company.jobs).iter().map(|(j, _)| j.clone()).collect()
    }

    /// How many jobs were taken for this key. The protocol promises one at most.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        lock(&self.company.jobs).iter().filter(|(j, _)| j.key == key).count()
    }
}

impl Drop for TowCompany {
    fn drop(&mut self) {
        // The tasks hold the company; only this ends them.
        lock(&self.company.tasks).abort_all();
    }
}

type Companies = State<Arc<Company>>;

fn refusal(status: StatusCode, reason: &str) -> Response {
    (status, Json(Refusal { reason: reason.to_owned() })).into_response()
}

async fn request(
    State(company): Companies,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(key) = text(&headers, IDEMPOTENCY_KEY).filter(|k| !k.is_empty()) else {
        return refusal(StatusCode::BAD_REQUEST, "idempotency-key is missing");
    };
    if let Err(reason) = company.genuine(&headers, &body) {
        return refusal(StatusCode::UNAUTHORIZED, &reason);
    }
    let asked = match read(&body) {
        Ok(asked) if asked.reference.to_string() == key => asked,
        Ok(_) => return refusal(StatusCode::BAD_REQUEST, "ref is not the idempotency-key"),
        Err(reason) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, &reason),
    };
    if let Some((known, before)) = lock(&company.jobs).iter().find(|(j, _)| j.key == key) {
        return if *before == body {
            Json(known.status()).into_response()
        } else {
            refusal(StatusCode::CONFLICT, "key reused with another body")
        };
    }
    match company.requests.next() {
        None => company.take(key, asked, body),
        Some(TowFault::Refuse(reason)) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &reason),
        Some(TowFault::Unavailable(seconds)) => {
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "try again later");
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Some(TowFault::CutBefore) => {
            scissors.cut();
            StatusCode::OK.into_response()
        }
        Some(TowFault::CutAfterAccept) => {
            scissors.cut();
            company.take(key, asked, body)
        }
        Some(TowFault::ErrorAfterAccept) => {
            company.take(key, asked, body);
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
        }
        Some(TowFault::Slow(pause)) => {
            let answer = company.take(key, asked, body);
            tokio::time::sleep(pause).await;
            answer
        }
    }
}

async fn show(State(company): Companies, Path(job): Path<String>, headers: HeaderMap) -> Response {
    if let Err(reason) = company.genuine(&headers, b"") {
        return refusal(StatusCode::UNAUTHORIZED, &reason);
    }
    let jobs = lock(&company.jobs);
    let found = jobs.iter().find(|(j, _)| j.job == job);
    found.map_or_else(|| refusal(StatusCode::NOT_FOUND, "no such job"), |(j, _)| Json(j.status()).into_response())
}

async fn cancel(State(company): Companies, Path(job): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(reason) = company.genuine(&headers, &body) {
        return refusal(StatusCode::UNAUTHORIZED, &reason);
    }
    let Some(now) = lock(&company.jobs).iter().find(|(j, _)| j.job == job).map(|(j, _)| j.status()) else {
        return refusal(StatusCode::NOT_FOUND, "no such job");
    };
    if now.state == JobState::Cancelled {
        return Json(now).into_response();
    }
    let too_close = matches!(now.state, JobState::OnSite | JobState::Towing) || *lock(&company.refuse_cancel);
    if too_close || !open(now.state) {
        return refusal(StatusCode::CONFLICT, "too_close");
    }
    match company.advance(&job, JobState::Cancelled, None) {
        Some(status) => Json(status).into_response(),
        None => refusal(StatusCode::CONFLICT, "too_close"),
    }
}

/// Whether anything can still happen to a job.
fn open(state: JobState) -> bool {
    matches!(state, JobState::Offered | JobState::Accepted | JobState::EnRoute | JobState::OnSite | JobState::Towing)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl Company {
    /// A request that carries a signature must carry ours. (The protocol asks for one on callbacks only.)
    fn genuine(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let Some(signature) = text(headers, webhook::SIGNATURE) else { return Ok(()) };
        let id = text(headers, webhook::ID).unwrap_or_default();
        let timestamp = text(headers, webhook::TIMESTAMP).unwrap_or_default();
        let headers = webhook::Headers { id, timestamp, signature };
        webhook::verify(&self.teller.secret, headers, body, (self.stage.clock)()).map_err(|e| e.to_string())
    }

    fn take(self: &Arc<Self>, key: &str, request: JobRequest, body: Bytes) -> Response {
        let first = {
            let mut jobs = lock(&self.jobs);
            // Two requests with one key may arrive at once; the first one made the job.
            if let Some((known, _)) = jobs.iter().find(|(j, _)| j.key == key) {
                return Json(known.status()).into_response();
            }
            let job = format!("J-{}", jobs.len() + 1);
            let at = Some((self.stage.clock)());
            let first =
                JobStatus { job, seq: Some(1), state: JobState::Offered, eta: None, driver: None, truck: None, at };
            let taken = TowJob { job: first.job.clone(), key: key.to_owned(), request, history: vec![first.clone()] };
            jobs.push((taken, body));
            first
        };
        let (company, job) = (self.clone(), first.job.clone());
        let crew = self.crews.next().unwrap_or(Crew::Comes);
        lock(&self.tasks).spawn(async move { company.work(&job, crew).await });
        (StatusCode::ACCEPTED, Json(first)).into_response()
    }

    /// The life of a job.
    async fn work(self: &Arc<Self>, job: &str, crew: Crew) {
        use JobState::{Accepted, Declined, Done, EnRoute, GoneOnArrival, NoProvider, OnSite, Towing, Unsuccessful};
        let eta = (self.stage.clock)() + Span::from_mins(self.settings.eta_min);
        let late = eta + Span::from_mins(self.settings.slip_min);
        let comes = |rest: &[(JobState, Option<At>)]| {
            let mut steps = vec![(Accepted, Some(eta)), (EnRoute, Some(eta)), (EnRoute, Some(late))];
            steps.extend_from_slice(rest);
            steps
        };
        let steps = match crew {
            Crew::Comes => comes(&[(OnSite, None), (Towing, None), (Done, None)]),
            Crew::Declines => vec![(Declined, None)],
            Crew::FindsNobody => vec![(NoProvider, None)],
            Crew::Silent => Vec::new(),
            Crew::GoneOnArrival => comes(&[(GoneOnArrival, None)]),
            Crew::Unsuccessful => comes(&[(OnSite, None), (Unsuccessful, None)]),
        };
        for (state, eta) in steps {
            tokio::time::sleep(self.settings.pace).await;
            if self.advance(job, state, eta).is_none() {
                return;
            }
        }
    }

    /// Moves a job on and tells the client; `None` if nothing can happen to it any more.
    fn advance(self: &Arc<Self>, job: &str, state: JobState, eta: Option<At>) -> Option<JobStatus> {
        let now = (self.stage.clock)();
        let (before, status, callback, key) = {
            let mut jobs = lock(&self.jobs);
            let (taken, _) = jobs.iter_mut().find(|(j, _)| j.job == job)?;
            let before = taken.status();
            if !open(before.state) {
                return None;
            }
            let rolls = !matches!(state, JobState::Declined | JobState::NoProvider | JobState::Cancelled);
            let status = JobStatus {
                job: job.to_owned(),
                seq: before.seq.map(|s| s + 1),
                state,
                eta,
                driver: rolls.then(|| Driver { name: "Toni".to_owned(), phone: Some("+493023125900".to_owned()) }),
                truck: rolls.then(|| Truck { plate: "B-TW 900".to_owned(), lat: None, lon: None }),
                at: Some(now),
            };
            taken.history.push(status.clone());
            (before, status, taken.request.callback.clone(), taken.key.clone())
        };
        let word = serde_json::to_value(status.state).ok().and_then(|v| v.as_str().map(str::to_owned));
        let eta_min = eta.map(|eta| (eta - now).as_millis().div_euclid(60_000));
        self.stage.sightings.saw(Sighting::Job { job: job.to_owned(), state: word.unwrap_or_default(), eta_min });
        let news = self.teller.order(status.clone(), Some(before));
        let company = self.clone();
        lock(&self.tasks).spawn(async move {
            for status in news {
                let id = format!("{key}.{}", status.seq.unwrap_or_default());
                company.teller.tell(&company.stage, &callback, &id, &status).await;
            }
        });
        Some(status)
    }
}

/// The request, refused if it holds anything that the protocol does not know.
fn read(body: &[u8]) -> Result<JobRequest, String> {
    let raw: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    for (path, known) in KNOWN {
        let at = if path.is_empty() { Some(&raw) } else { raw.pointer(path) };
        let keys = at.and_then(Value::as_object).into_iter().flat_map(|o| o.keys());
        if let Some(key) = keys.into_iter().find(|k| !known.contains(&k.as_str())) {
            return Err(format!("unsupported: {path}/{key}"));
        }
    }
    let asked: JobRequest = serde_json::from_value(raw).map_err(|e| e.to_string())?;
    let place = &asked.place;
    if !(-90.0..=90.0).contains(&place.lat) || !(-180.0..=180.0).contains(&place.lon) || place.age_s < 0.0 {
        return Err("where is nowhere".to_owned());
    }
    if !["tow", "jump", "tire", "fuel", "lockout", "winch", "technician"].contains(&asked.service.as_str()) {
        return Err("unsupported".to_owned());
    }
    if !["safety", "normal"].contains(&asked.priority.as_str()) {
        return Err("unsupported: priority".to_owned());
    }
    for (object, key, fits) in TYPED {
        let fields: &BTreeMap<String, Value> = if object == "vehicle" { &asked.vehicle } else { &asked.fault };
        if fields.get(key).is_some_and(|v| !fits(v)) {
            return Err(format!("unsupported: {object}/{key} of that type"));
        }
    }
    if reqwest::Url::parse(&asked.callback).is_err() {
        return Err("callback is not a URL".to_owned());
    }
    Ok(asked)
}

/// Object by object, the keys of the protocol.
const KNOWN: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "ref",
            "service",
            "priority",
            "requested_at",
            "where",
            "vehicle",
            "fault",
            "people",
            "destination",
            "accept_by",
            "callback",
        ],
    ),
    ("/where", &["lat", "lon", "accuracy_m", "age_s", "heading", "trusted", "text"]),
    (
        "/vehicle",
        &["vin", "plate", "make", "model", "year", "colour", "propulsion", "drivetrain", "mass_kg", "wheels_locked"],
    ),
    ("/fault", &["part", "code", "drivable", "hazards"]),
    ("/people", &["count", "contact"]),
    ("/people/contact", &["name", "phone", "locale"]),
];

type Fits = fn(&Value) -> bool;
const TYPED: [(&str, &str, Fits); 5] = [
    ("vehicle", "year", Value::is_i64),
    ("vehicle", "mass_kg", Value::is_i64),
    ("vehicle", "wheels_locked", Value::is_boolean),
    ("fault", "drivable", Value::is_boolean),
    ("fault", "hazards", Value::is_array),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({
            "ref": "01890a5d-ac96-774b-bcce-b302099a8057", "service": "tow", "priority": "safety",
            "requested_at": "2026-11-21T22:26:40Z", "where": {"lat": 48.1, "lon": 11.5, "age_s": 4.0},
            "vehicle": {"plate": "M-FW 1", "year": 2024}, "fault": {"part": "brake", "drivable": false},
            "people": {"contact": {"name": "Jane"}}, "accept_by": "2026-11-21T22:28:10Z",
            "callback": "http://127.0.0.1:1/dispatch/x",
        })
    }

    #[test]
    fn a_request_outside_the_protocol_is_refused() {
        assert!(read(&serde_json::to_vec(&body()).unwrap()).is_ok());
        for (pointer, value, reason) in [
            ("/service", json!("helicopter"), "unsupported"),
            ("/where/lat", json!(91.0), "nowhere"),
            ("/where/planet", json!("mars"), "/where/planet"),
            ("/vehicle/year", json!("2024"), "vehicle/year"),
            ("/vehicle/firmware", json!("1"), "/vehicle/firmware"),
            ("/fault/drivable", json!("false"), "fault/drivable"),
            ("/note", json!("x"), "/note"),
            ("/callback", json!("here"), "callback"),
        ] {
            let mut raw = body();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            raw.pointer_mut(parent).unwrap()[key] = value;
            let said = read(&serde_json::to_vec(&raw).unwrap()).unwrap_err();
            assert!(said.contains(reason), "{pointer}: {said}");
        }
    }
}
