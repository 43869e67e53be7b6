//! What a client asks of the phone network: create, look up, list, take back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::lock;
use super::super::web::{Refusal, Scissors};
use super::{Call, Callback, Network, PhoneFault, Text, call, e164, text};
use crate::domain::At;
use crate::wire::twilio::{Form, parse_form};

/// Calls or messages on one page of a list, unless asked otherwise.
const PAGE: usize = 50;

pub(super) fn routes(network: Arc<Network>) -> Router {
    Router::new()
        .route("/2010-04-01/Accounts/{account}/Calls.json", post(create_call).get(list_calls))
        .route("/2010-04-01/Accounts/{account}/Calls/{sid}", post(change_call).get(show_call))
        .route("/2010-04-01/Accounts/{account}/Messages.json", post(create_text).get(list_texts))
        .route("/2010-04-01/Accounts/{account}/Messages/{sid}", axum::routing::get(show_text))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 10))
        .with_state(network)
}

type Networks = State<Arc<Network>>;

fn refuse(status: StatusCode, code: u32, message: &str) -> Refusal {
    let body = json!({"code": code, "message": message, "status": status.as_u16(),
        "more_info": format!("https://www.twilio.com/docs/errors/{code}")});
    Refusal::new(status, body)
}

fn not_found() -> Refusal {
    refuse(StatusCode::NOT_FOUND, 20404, "The requested resource was not found")
}

impl Network {
    fn admit(&self, account: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let login = format!("{}:{}", self.settings.account_sid, self.settings.token);
        let basic = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Basic "));
        if basic.and_then(|b| STANDARD.decode(b).ok()).as_deref() != Some(login.as_bytes()) {
            return Err(refuse(StatusCode::UNAUTHORIZED, 20003, "Authenticate"));
        }
        if account == self.settings.account_sid { Ok(()) } else { Err(not_found()) }
    }

    /// Plays the scripted fault around `work`, which accepts.
    async fn play(&self, scissors: &Scissors, work: impl FnOnce() -> Response) -> Result<Response, Refusal> {
        let later = |status, seconds: u32| Err(refuse(status, 20429, "Too Many Requests").after(seconds));
        match self.faults.next() {
            None => Ok(work()),
            Some(PhoneFault::Refuse) => Err(refuse(StatusCode::BAD_REQUEST, 21211, "Invalid 'To' Phone Number")),
            Some(PhoneFault::Unavailable(seconds)) => later(StatusCode::SERVICE_UNAVAILABLE, seconds),
            Some(PhoneFault::TooMany(seconds)) => later(StatusCode::TOO_MANY_REQUESTS, seconds),
            Some(PhoneFault::CutBefore) => {
                scissors.cut();
                Ok(StatusCode::OK.into_response())
            }
            Some(PhoneFault::CutAfterAccept) => {
                scissors.cut();
                Ok(work())
            }
            Some(PhoneFault::ErrorAfterAccept) => {
                work();
                Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, 20500, "Internal Server Error"))
            }
            Some(PhoneFault::Slow(pause)) => {
                let done = work();
                tokio::time::sleep(pause).await;
                Ok(done)
            }
        }
    }
}

/// A form of which only `known` names are allowed.
fn form(headers: &HeaderMap, body: &[u8], known: &[&str]) -> Result<Form, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, 20415, "send application/x-www-form-urlencoded"));
    }
    let form = parse_form(body);
    match form.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        // The real network ignores what it does not know; here a misspelt parameter must not pass in silence.
        Some((name, _)) => Err(refuse(StatusCode::BAD_REQUEST, 20001, &format!("Unknown parameter {name}"))),
        None => Ok(form),
    }
}

fn value<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
}

fn number(form: &Form, name: &str, code: u32) -> Result<String, Refusal> {
    let given = value(form, name).unwrap_or_default();
    if e164(given) {
        return Ok(given.to_owned());
    }
    Err(refuse(StatusCode::BAD_REQUEST, code, &format!("Invalid '{name}' Phone Number: {given}")))
}

fn address<'a>(form: &'a Form, name: &str, code: u32) -> Result<Option<&'a str>, Refusal> {
    match value(form, name) {
        Some(url) if reqwest::Url::parse(url).is_ok_and(|u| u.scheme().starts_with("http")) => Ok(Some(url)),
        Some(url) => Err(refuse(StatusCode::BAD_REQUEST, code, &format!("{name} is not a valid URL: {url}"))),
        None => Ok(None),
    }
}

fn rfc2822(at: At) -> String {
    jiff::fmt::rfc2822::to_string(&at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}

fn call_shape(account: &str, call: &Call) -> Value {
    json!({
        "sid": call.sid, "account_sid": account, "to": call.to, "from": call.from, "status": call.status,
        "date_created": rfc2822(call.created_at), "start_time": call.started_at.map(rfc2822),
        "direction": "outbound-api", "queue_time": "0", "api_version": "2010-04-01",
        "uri": format!("/2010-04-01/Accounts/{account}/Calls/{}.json", call.sid),
    })
}

fn text_shape(account: &str, text: &Text) -> Value {
    json!({
        "sid": text.sid, "account_sid": account, "to": text.to, "from": text.from, "body": text.body,
        "status": text.status, "date_created": rfc2822(text.created_at), "date_sent": rfc2822(text.created_at),
        "direction": "outbound-api", "num_segments": "1", "error_code": Value::Null,
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{}.json", text.sid),
    })
}

const CALL_FORM: [&str; 11] = [
    "To",
    "From",
    "Url",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "Timeout",
    "StatusCallback",
    "StatusCallbackMethod",
    "StatusCallbackEvent",
    "MachineDetection",
];
const TEXT_FORM: [&str; 6] = ["To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"];

async fn create_call(
    State(network): Networks,
    Path(account): Path<String>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let form = form(&headers, &body, &CALL_FORM)?;
    let to = number(&form, "To", 21211)?;
    let from = number(&form, "From", 21212)?;
    let Some(voice) = address(&form, "Url", 21205)? else {
        return Err(refuse(StatusCode::BAD_REQUEST, 21205, "Url parameter is required."));
    };
    let fallback = address(&form, "FallbackUrl", 21218)?;
    let status = address(&form, "StatusCallback", 21609)?.map(Callback::parse);
    let timeout_s = match value(&form, "Timeout").map(str::parse::<u32>) {
        None => 60,
        Some(Ok(s)) if (5..=600).contains(&s) => s,
        Some(_) => return Err(refuse(StatusCode::BAD_REQUEST, 21216, "Timeout is from 5 to 600 seconds")),
    };
    let events = form.iter().filter(|(n, _)| n == "StatusCallbackEvent").map(|(_, v)| v.clone()).collect();
    let plan = call::Plan {
        voice: Callback::parse(voice).url,
        fallback: fallback.map(str::to_owned),
        status,
        events,
        timeout_s,
    };
    network
        .play(&scissors, || {
            let mut calls = lock(&network.calls);
            let call = Call {
                sid: format!("CA{:032x}", calls.len() + 1),
                key: plan.status.as_ref().and_then(Callback::key).or_else(|| Callback::parse(voice).key()),
                to,
                from,
                status: "queued".to_owned(),
                created_at: (network.stage.clock)(),
                started_at: None,
                heard: Vec::new(),
                pressed: Vec::new(),
                connected_to: None,
                error: None,
            };
            let answer = (StatusCode::CREATED, Json(call_shape(&account, &call))).into_response();
            calls.push(call.clone());
            call::place(&network, call, plan);
            answer
        })
        .await
}

async fn create_text(
    State(network): Networks,
    Path(account): Path<String>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let form = form(&headers, &body, &TEXT_FORM)?;
    let to = number(&form, "To", 21211)?;
    let from = match value(&form, "MessagingServiceSid") {
        Some(service) if service.starts_with("MG") => service.to_owned(),
        Some(_) => return Err(refuse(StatusCode::BAD_REQUEST, 21701, "no such Messaging Service")),
        None => number(&form, "From", 21212)?,
    };
    let Some(words) = value(&form, "Body") else {
        return Err(refuse(StatusCode::BAD_REQUEST, 21602, "Message body is required."));
    };
    if words.chars().count() > 1600 {
        return Err(refuse(StatusCode::BAD_REQUEST, 21617, "The concatenated message body exceeds 1600 characters"));
    }
    if value(&form, "ValidityPeriod").is_some_and(|v| !v.parse::<u32>().is_ok_and(|s| (1..=36_000).contains(&s))) {
        return Err(refuse(StatusCode::BAD_REQUEST, 21621, "ValidityPeriod is from 1 to 36000 seconds"));
    }
    let status = address(&form, "StatusCallback", 21609)?.map(Callback::parse);
    network
        .play(&scissors, || {
            let mut texts = lock(&network.texts);
            let text = Text {
                sid: format!("SM{:032x}", texts.len() + 1),
                key: status.as_ref().and_then(Callback::key),
                to,
                from,
                body: words.to_owned(),
                status: "queued".to_owned(),
                created_at: (network.stage.clock)(),
            };
            let answer = (StatusCode::CREATED, Json(text_shape(&account, &text))).into_response();
            texts.push(text.clone());
            text::deliver(&network, text, status);
            answer
        })
        .await
}

/// `To`, `From`, `Status`, `StartTime>`, `StartTime<`, `PageSize`, for messages `DateSent>`: what lists are filtered by.
struct Filter(Form);

impl Filter {
    fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let form = parse_form(query.unwrap_or_default().as_bytes());
        match form.iter().find(|(n, _)| !known.contains(&n.as_str())) {
            Some((name, _)) => Err(refuse(StatusCode::BAD_REQUEST, 20001, &format!("Unknown filter {name}"))),
            None => Ok(Self(form)),
        }
    }

    fn is(&self, name: &str, given: &str) -> bool {
        value(&self.0, name).is_none_or(|wanted| wanted == given)
    }

    /// Dates, or instants, which the network cuts to their day.
    fn day(&self, name: &str, at: At, inside: impl Fn(&str, &str) -> bool) -> bool {
        let day = at.to_string();
        let Some(wanted) = value(&self.0, name).and_then(|w| w.get(..10)) else { return true };
        inside(day.get(..10).unwrap_or_default(), wanted)
    }

    fn page(&self) -> usize {
        value(&self.0, "PageSize").and_then(|n| n.parse().ok()).unwrap_or(PAGE).clamp(1, 1000)
    }
}

async fn list_calls(
    State(network): Networks,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let known = ["To", "From", "Status", "StartTime", "StartTime>", "StartTime<", "PageSize", "Page"];
    let filter = Filter::parse(query.as_deref(), &known)?;
    let calls: Vec<Value> = lock(&network.calls)
        .iter()
        .rev()
        .filter(|c| filter.is("To", &c.to) && filter.is("From", &c.from) && filter.is("Status", &c.status))
        // A call that waits has no start time yet; the network counts it from when it took it in.
        .map(|c| (c, c.started_at.unwrap_or(c.created_at)))
        .filter(|(_, at)| filter.day("StartTime", *at, |a, b| a == b))
        .filter(|(_, at)| filter.day("StartTime>", *at, |a, b| a >= b))
        .filter(|(_, at)| filter.day("StartTime<", *at, |a, b| a <= b))
        .take(filter.page())
        .map(|(c, _)| call_shape(&account, c))
        .collect();
    Ok(Json(json!({"calls": calls, "page": 0, "page_size": filter.page(), "next_page_uri": Value::Null}))
        .into_response())
}

async fn list_texts(
    State(network): Networks,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let known = ["To", "From", "DateSent", "DateSent>", "DateSent<", "PageSize", "Page"];
    let filter = Filter::parse(query.as_deref(), &known)?;
    let messages: Vec<Value> = lock(&network.texts)
        .iter()
        .rev()
        .filter(|t| filter.is("To", &t.to) && filter.is("From", &t.from))
        .filter(|t| filter.day("DateSent", t.created_at, |a, b| a == b))
        .filter(|t| filter.day("DateSent>", t.created_at, |a, b| a >= b))
        .filter(|t| filter.day("DateSent<", t.created_at, |a, b| a <= b))
        .take(filter.page())
        .map(|t| text_shape(&account, t))
        .collect();
    Ok(Json(json!({"messages": messages, "page": 0, "page_size": filter.page(), "next_page_uri": Value::Null}))
        .into_response())
}

async fn show_call(
    State(network): Networks,
    Path((account, sid)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let sid = sid.strip_suffix(".json").unwrap_or(&sid);
    let calls = lock(&network.calls);
    let call = calls.iter().find(|c| c.sid == sid).ok_or_else(not_found)?;
    Ok(Json(call_shape(&account, call)).into_response())
}

async fn show_text(
    State(network): Networks,
    Path((account, sid)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let sid = sid.strip_suffix(".json").unwrap_or(&sid);
    let texts = lock(&network.texts);
    let text = texts.iter().find(|t| t.sid == sid).ok_or_else(not_found)?;
    Ok(Json(text_shape(&account, text)).into_response())
}

/// `Status=canceled` before it is answered, `Status=completed` at any time.
async fn change_call(
    State(network): Networks,
    Path((account, sid)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    network.admit(&account, &headers)?;
    let form = form(&headers, &body, &["Status"])?;
    let sid = sid.strip_suffix(".json").unwrap_or(&sid);
    let mut calls = lock(&network.calls);
    let call = calls.iter_mut().find(|c| c.sid == sid).ok_or_else(not_found)?;
    let waiting = matches!(call.status.as_str(), "queued" | "initiated" | "ringing");
    match value(&form, "Status") {
        Some("canceled") if waiting => "canceled".clone_into(&mut call.status),
        Some("completed") if waiting => "canceled".clone_into(&mut call.status),
        Some("completed") => "completed".clone_into(&mut call.status),
        _ => return Err(refuse(StatusCode::BAD_REQUEST, 21220, "Call is not in-progress. Cannot redirect.")),
    }
    Ok(Json(call_shape(&account, call)).into_response())
}
