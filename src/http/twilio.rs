//! Callbacks in the Twilio shape: what to say in a call, how a call stands, how a text message stands.
//!
//! A called person must never hear the provider's "application error": once the signature is verified, `/twilio/voice`
//! always answers TwiML, and within [`Limits::speech_time`](super::Limits::speech_time). If the desk is slower, the
//! person hears "one moment please" and the provider asks again. A key that the desk may not have taken rides along in
//! the address (`d`), because a redirect does not repeat the form; hearing of the same key twice does no harm.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::callback::{bad_signature, count, counted, deliver, effect};
use super::problem::Problem;
use super::router::WholeBody;
use super::server::App;
use crate::desk::{Input, Reply, Speech, SpeechThen};
use crate::domain::{EffectId, Receipt, ReceiptKind};
use crate::runtime::Busy;
use crate::wire::callback::voice as voice_url;
use crate::wire::twilio::{self, Form, Say, Then, twiml};

const VOICE: &str = "voice";
const CALL_STATUS: &str = "call_status";
const SMS_STATUS: &str = "sms_status";
const SMS: &str = "sms";

/// Turns of one call; a person who has listened so often will not press a key.
const TURNS_MAX: u32 = 20;
/// How often in a row a person is asked to wait, before we hang up and leave it to the next rung of the ladder.
const WAITS_MAX: u32 = 8;
/// Seconds of silence between two of them.
const WAIT_S: u32 = 2;

/// `POST /twilio/status?e=`: how a call stands.
pub(super) async fn call_status(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<StatusCode, Problem> {
    counted(CALL_STATUS, take_call_status(&app, &uri, &headers, body).await)
}

async fn take_call_status(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<StatusCode, Problem> {
    let form = signed_form(app, CALL_STATUS, uri, headers, &body?.0)?;
    let effect = effect(Query::of(uri).effect.as_deref())?;
    let call = twilio::call_callback(&form).map_err(not_understood)?;
    let what = ReceiptKind::Call { progress: call.progress };
    let receipt = Receipt { effect, provider_ref: Some(call.sid), seq: call.seq, what };
    deliver(app, Input::Receipt(receipt)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /twilio/sms-status?e=`: how a text message stands.
pub(super) async fn sms_status(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<StatusCode, Problem> {
    counted(SMS_STATUS, take_sms_status(&app, &uri, &headers, body).await)
}

async fn take_sms_status(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<StatusCode, Problem> {
    let form = signed_form(app, SMS_STATUS, uri, headers, &body?.0)?;
    let effect = effect(Query::of(uri).effect.as_deref())?;
    let sms = twilio::sms_callback(&form).map_err(not_understood)?;
    // Still waiting at the provider: no news.
    if let Some(progress) = sms.progress {
        let what = ReceiptKind::Sms { progress };
        let receipt = Receipt { effect, provider_ref: Some(sms.sid), seq: None, what };
        deliver(app, Input::Receipt(receipt)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /twilio/sms`: somebody has written to one of our numbers. What is to be answered goes back in the same breath.
pub(super) async fn sms(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    let said = body.and_then(|WholeBody(body)| {
        let form = signed_form(&app, SMS, &uri, &headers, &body)?;
        twilio::inbound_sms(&form).map_err(not_understood)
    });
    let reply = app.desk.tell(Input::Said(counted(SMS, said)?)).await?;
    let xml = match reply {
        Reply::Text(text) => twilio::message(&text),
        // Whoever writes to us learns nothing about whom we know.
        _ => twilio::nothing(),
    };
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], xml).into_response())
}

fn not_understood(error: crate::wire::Error) -> Problem {
    warn!(%error, "callback of the phone provider not understood");
    Problem::bad_request("bad_body", format!("not a callback that is known here: {error}"))
}

/// `POST /twilio/voice?e=&n=`: the call was answered, a key was pressed, or the time for a key has passed. What now?
pub(super) async fn voice(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    let form = counted(VOICE, body.and_then(|WholeBody(body)| signed_form(&app, VOICE, &uri, &headers, &body)))?;
    let query = Query::of(&uri);
    let effect = counted(VOICE, effect(query.effect.as_deref()))?;
    let mut turn = Turn::new(effect, &query, &form);
    let deadline = Instant::now() + app.limits.speech_time;
    let answer = match timeout_at(deadline, turn.ask(&app)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(Busy)) => Answer::Later("busy"),
        Err(_) => Answer::Later("slow"),
    };
    let xml = turn.say(&app, answer);
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], xml).into_response())
}

/// Where a call stands.
struct Turn {
    effect: EffectId,
    sid: String,
    /// Counts from 1.
    number: u32,
    /// A key that the desk has not confirmed to have taken.
    key: Option<char>,
    /// How often in a row the person was asked to wait.
    waits: u32,
}

/// What came of asking the desk.
enum Answer {
    Say(Speech),
    /// It does not know the call, or has nothing to say in it.
    Nothing,
    /// It is slow or busy.
    Later(&'static str),
}

impl Turn {
    fn new(effect: EffectId, query: &Query, form: &Form) -> Self {
        // Tolerant where the status callback is strict: a person is listening.
        let (sid, digit) = match twilio::call_callback(form) {
            Ok(call) => (call.sid, call.digit),
            Err(error) => {
                warn!(%error, "call not understood in full");
                let sid = form.iter().find(|(name, _)| name == "CallSid").map(|(_, sid)| sid.clone());
                (sid.unwrap_or_default(), None)
            }
        };
        Self { effect, sid, number: query.turn, key: digit.or(query.key), waits: query.waits }
    }

    /// Tells the desk of the key, if there is one, and asks it what to say. Stands where it got to when it is dropped.
    async fn ask(&mut self, app: &App) -> Result<Answer, Busy> {
        if let Some(digit) = self.key {
            let what = ReceiptKind::Key { digit };
            let receipt = Receipt { effect: self.effect, provider_ref: Some(self.sid.clone()), seq: None, what };
            let reply = app.desk.tell(Input::Receipt(receipt)).await?;
            self.key = None;
            self.number += 1;
            self.waits = 0;
            match reply {
                Reply::Speech(speech) => return Ok(Answer::Say(speech)),
                Reply::NotFound => return Ok(Answer::Nothing),
                // A key that means nothing: the next turn says what can be pressed.
                Reply::Done | Reply::Refused(_) | Reply::Text(_) => {}
            }
        }
        if self.number > TURNS_MAX {
            return Ok(Answer::Nothing);
        }
        let input = Input::Answered { effect: self.effect, turn: self.number, provider_ref: self.sid.clone() };
        Ok(match app.desk.tell(input).await? {
            Reply::Speech(speech) => Answer::Say(speech),
            Reply::Done | Reply::NotFound | Reply::Refused(_) | Reply::Text(_) => Answer::Nothing,
        })
    }

    fn say(&self, app: &App, answer: Answer) -> String {
        let url = |turn| voice_url(app.public_url.as_str(), &self.effect, turn);
        match answer {
            Answer::Say(speech) => {
                count(VOICE, "taken");
                let (action, next) = (url(self.number), url(self.number + 1));
                let then = match &speech.then {
                    SpeechThen::Listen => Then::Listen { action: &action, next: &next },
                    SpeechThen::HangUp => Then::HangUp,
                    SpeechThen::Connect(number) => Then::Connect(number),
                };
                twiml(&Say { locale: &speech.locale, text: &speech.text, then })
            }
            Answer::Later(why) if self.waits < WAITS_MAX => {
                count(VOICE, why);
                let key = self.key.map(|key| format!("&d={}", percent(key))).unwrap_or_default();
                let again = format!("{}{key}&w={}", url(self.number), self.waits + 1);
                let wait = &app.please_wait;
                let then = Then::Pause { seconds: WAIT_S, next: &again };
                twiml(&Say { locale: &wait.locale, text: &wait.text, then })
            }
            Answer::Later(_) => {
                count(VOICE, "gave_up");
                warn!(effect = %self.effect, "hung up on a person: the desk had no words in time");
                hang_up()
            }
            Answer::Nothing => {
                count(VOICE, "nothing_to_say");
                warn!(effect = %self.effect, turn = self.number, "hung up on a person: nothing to say");
                hang_up()
            }
        }
    }
}

/// `#` would begin a fragment.
fn percent(key: char) -> String {
    if key == '#' { "%23".to_owned() } else { key.to_string() }
}

fn hang_up() -> String {
    r#"<?xml version="1.0" encoding="UTF-8"?><Response><Hangup/></Response>"#.to_owned()
}

/// What our own callback addresses carry.
struct Query {
    effect: Option<String>,
    turn: u32,
    key: Option<char>,
    waits: u32,
}

impl Query {
    fn of(uri: &Uri) -> Self {
        let pairs = twilio::parse_form(uri.query().unwrap_or_default().as_bytes());
        let get = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        Self {
            effect: get("e").map(str::to_owned),
            turn: get("n").and_then(|n| n.parse().ok()).map_or(1, |n: u32| n.clamp(1, TURNS_MAX + 1)),
            key: get("d").and_then(|d| d.chars().next()),
            waits: get("w").and_then(|w| w.parse().ok()).unwrap_or(0),
        }
    }
}

/// The form, if one of our phone providers signed it for this address.
///
/// The address is built from `public_url`, as we gave it to the provider: behind a proxy the socket sees another one,
/// and the Host header is whatever the sender writes.
fn signed_form(app: &App, kind: &'static str, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Result<Form, Problem> {
    let refuse = |why: &'static str| bad_signature(app, kind, &why);
    let signature =
        headers.get(twilio::HEADER).and_then(|v| v.to_str().ok()).ok_or_else(|| refuse("there is no signature"))?;
    let form = twilio::parse_form(body);
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let url = format!("{}{path}", app.public_url.as_str().trim_end_matches('/'));
    let genuine =
        app.callbacks.twilio.iter().any(|token| twilio::verify(token.expose_secret(), &url, &form, signature));
    if genuine { Ok(form) } else { Err(refuse("the signature does not match")) }
}
