//! The forms of calls and text messages: what is asked, what is called back, and the lists by which a lost answer is
//! found again.

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::domain::{CallProgress, CallWork, Channel, EffectId, Said, Sender, SmsProgress, SmsWork};
use crate::wire::{Error, callback};

/// Names and values, in the order of the request; a name may occur more than once.
pub type Form = Vec<(String, String)>;

/// At most so many fields of a form are read.
const FIELDS_MAX: usize = 200;

/// States of a call that are called back.
pub const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];

/// Asks the provider to repeat a failed callback five times and for every kind of failure; by default it repeats
/// once, and only when it could not connect. A fragment, so it is neither sent nor signed.
const RETRY_CALLBACKS: &str = "#rc=5&rp=all";

/// Reads a form body or a query.
#[must_use]
pub fn parse_form(body: &[u8]) -> Form {
    form_urlencoded::parse(body).take(FIELDS_MAX).map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
}

/// Writes a form body.
#[must_use]
pub fn form_body(form: &Form) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

/// The form of `POST …/Calls.json`.
#[must_use]
pub fn call_form(work: &CallWork, from: &str, public_url: &str, effect: &EffectId) -> Form {
    let voice = callback::voice(public_url, effect, 1);
    let status = callback::voice_status(public_url, effect) + RETRY_CALLBACKS;
    let ring = (work.ring.as_millis().max(0) / 1_000).clamp(5, 600);
    let mut form = pairs([
        ("To", work.to.clone()),
        ("From", from.to_owned()),
        ("Url", voice.clone()),
        ("Method", "POST".to_owned()),
        ("FallbackUrl", voice),
        ("FallbackMethod", "POST".to_owned()),
        ("Timeout", ring.to_string()),
        ("StatusCallback", status),
        ("StatusCallbackMethod", "POST".to_owned()),
    ]);
    form.extend(CALL_EVENTS.map(|event| ("StatusCallbackEvent".to_owned(), event.to_owned())));
    form
}

/// The form of `POST …/Messages.json`. `from` is a number, or a messaging service (`MG…`).
#[must_use]
pub fn sms_form(work: &SmsWork, from: &str, public_url: &str, effect: &EffectId) -> Form {
    let sender = if from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
    // The provider's own default is ten hours: a text about a truck must not arrive after the truck.
    let validity = (work.validity.as_millis().max(0) / 1_000).clamp(1, 36_000);
    pairs([
        ("To", work.to.clone()),
        (sender, from.to_owned()),
        ("Body", work.body.clone()),
        ("StatusCallback", callback::sms_status(public_url, effect) + RETRY_CALLBACKS),
        ("ValidityPeriod", validity.to_string()),
    ])
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Form {
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// What is called back about a call: on a change of its state, when it asks what to say, and when a key was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCallback {
    /// Their id of the call.
    pub sid: String,
    /// Its state.
    pub progress: CallProgress,
    /// Their count of the callbacks of this call: they overtake each other.
    pub seq: Option<u64>,
    /// The first key pressed, if one was.
    pub digit: Option<char>,
}

/// Reads a callback about a call.
pub fn call_callback(form: &Form) -> Result<CallCallback, Error> {
    let status = value(form, "CallStatus")?;
    let mut progress = call_progress(status)?;
    // The carrier's "temporarily unavailable" is a phone that nobody picked up, not a wrong number.
    if progress == CallProgress::Failed && value(form, "SipResponseCode") == Ok("480") {
        progress = CallProgress::NoAnswer;
    }
    let digit = value(form, "Digits").ok().and_then(|d| d.chars().next());
    if let Some(d) = digit.filter(|d| !matches!(d, '0'..='9' | '*' | '#')) {
        return Err(Error::unexpected("Digits", &d.to_string()));
    }
    let seq = match value(form, "SequenceNumber") {
        Ok(text) => Some(text.parse().map_err(|_| Error::unexpected("SequenceNumber", text))?),
        Err(_) => None,
    };
    Ok(CallCallback { sid: value(form, "CallSid")?.to_owned(), progress, seq, digit })
}

/// What is called back about a text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsCallback {
    /// Their id of the message.
    pub sid: String,
    /// Its state; `None` while it still waits at the provider, which is no news.
    pub progress: Option<SmsProgress>,
}

/// Reads a callback about a text message.
pub fn sms_callback(form: &Form) -> Result<SmsCallback, Error> {
    let sid = value(form, "MessageSid").or_else(|_| value(form, "SmsSid"))?.to_owned();
    let status = value(form, "MessageStatus").or_else(|_| value(form, "SmsStatus"))?;
    Ok(SmsCallback { sid, progress: sms_progress(status)? })
}

/// Longest message of a person that is read, in characters; the network splits at 1,600.
const WORDS_MAX: usize = 4_000;

/// Reads a text message that somebody has sent to one of our numbers.
pub fn inbound_sms(form: &Form) -> Result<Said, Error> {
    let sid = value(form, "MessageSid").or_else(|_| value(form, "SmsSid"))?;
    Ok(Said {
        channel: Channel::Sms,
        external_id: sid.to_owned(),
        from: Sender::Phone(value(form, "From")?.to_owned()),
        case: None,
        calendar: None,
        text: value(form, "Body").unwrap_or_default().chars().take(WORDS_MAX).collect(),
        // With the provider's own handling of STOP, START and HELP, the person has had an answer already.
        answered: value(form, "OptOutType").is_ok(),
    })
}

/// The state of a call by its word.
pub fn call_progress(status: &str) -> Result<CallProgress, Error> {
    Ok(match status {
        "queued" => CallProgress::Queued,
        "initiated" => CallProgress::Initiated,
        "ringing" => CallProgress::Ringing,
        "in-progress" | "answered" => CallProgress::InProgress,
        "completed" => CallProgress::Completed,
        "busy" => CallProgress::Busy,
        "no-answer" => CallProgress::NoAnswer,
        "failed" => CallProgress::Failed,
        "canceled" => CallProgress::Canceled,
        other => return Err(Error::unexpected("CallStatus", other)),
    })
}

/// The state of a text message by its word; `None` while it waits at the provider.
pub fn sms_progress(status: &str) -> Result<Option<SmsProgress>, Error> {
    Ok(match status {
        "accepted" | "scheduled" | "queued" | "sending" => None,
        "sent" => Some(SmsProgress::Sent),
        "delivered" | "read" => Some(SmsProgress::Delivered),
        "undelivered" => Some(SmsProgress::Undelivered),
        "failed" | "canceled" => Some(SmsProgress::Failed),
        other => return Err(Error::unexpected("MessageStatus", other)),
    })
}

fn value<'a>(form: &'a Form, name: &'static str) -> Result<&'a str, Error> {
    form.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str()).ok_or(Error::Missing(name))
}

/// A call as `POST …/Calls.json` answers and `GET …/Calls.json` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Their id.
    pub sid: String,
    /// Its state, see [`call_progress`].
    #[serde(default)]
    pub status: String,
    /// E.164.
    #[serde(default)]
    pub to: String,
    /// E.164.
    #[serde(default)]
    pub from: String,
    /// RFC 2822; when the request was taken in.
    #[serde(default)]
    pub date_created: Option<String>,
    /// RFC 2822; when it was dialled. Absent while it waits.
    #[serde(default)]
    pub start_time: Option<String>,
}

/// A page of `GET …/Calls.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallList {
    /// Newest first.
    pub calls: Vec<CallRecord>,
    /// Where the list goes on, if it does.
    #[serde(default)]
    pub next_page_uri: Option<String>,
}

/// A text message as `POST …/Messages.json` answers and `GET …/Messages.json` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Their id.
    pub sid: String,
    /// Its state, see [`sms_progress`].
    #[serde(default)]
    pub status: String,
    /// E.164.
    #[serde(default)]
    pub to: String,
    /// E.164; absent while a messaging service has not yet chosen one.
    #[serde(default)]
    pub from: Option<String>,
    /// The text.
    #[serde(default)]
    pub body: String,
    /// RFC 2822; when the request was taken in.
    #[serde(default)]
    pub date_created: Option<String>,
}

/// A page of `GET …/Messages.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageList {
    /// Newest first.
    pub messages: Vec<MessageRecord>,
    /// Where the list goes on, if it does.
    #[serde(default)]
    pub next_page_uri: Option<String>,
}

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Their number of it (21211: not a phone number).
    #[serde(default)]
    pub code: i64,
    /// For people.
    #[serde(default)]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    fn effect() -> EffectId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    #[test]
    fn call_form_asks_for_everything() {
        let work = CallWork { to: "+491700000001".into(), ring: Span::from_secs(25) };
        let form = call_form(&work, "+4989", "https://me", &effect());
        let body = form_body(&form);
        assert!(body.starts_with("To=%2B491700000001&From=%2B4989&Url=https%3A%2F%2Fme%2Ftwilio%2Fvoice%3Fe%3D0189"));
        assert!(body.contains("StatusCallback=https%3A%2F%2Fme%2Ftwilio%2Fstatus%3Fe%3D01890a5d-ac96-774b-bcce-b302099a8057%23rc%3D5%26rp%3Dall"));
        assert!(body.contains("&Timeout=25&"));
        assert!(body.ends_with("StatusCallbackEvent=initiated&StatusCallbackEvent=ringing&StatusCallbackEvent=answered&StatusCallbackEvent=completed"));
        assert_eq!(parse_form(body.as_bytes()), form);
    }

    #[test]
    fn sms_form_always_limits_validity() {
        for (validity, expected) in [(Span::from_secs(90), "90"), (Span::ZERO, "1"), (Span::from_hours(48), "36000")] {
            let work = SmsWork { to: "+49170".into(), body: "Grüße & mehr".into(), validity };
            let form = sms_form(&work, "MG123", "https://me", &effect());
            assert!(form.contains(&("ValidityPeriod".into(), expected.into())), "{form:?}");
            assert!(form.contains(&("MessagingServiceSid".into(), "MG123".into())));
            assert!(form_body(&form).contains("Body=Gr%C3%BC%C3%9Fe+%26+mehr"));
        }
    }

    #[test]
    fn call_callbacks() {
        let read = |text: &str| call_callback(&parse_form(text.as_bytes()));
        let ok = |text: &str| read(text).unwrap();
        let call = ok("CallSid=CA1&CallStatus=in-progress&SequenceNumber=2&Digits=1");
        let expected =
            CallCallback { sid: "CA1".into(), progress: CallProgress::InProgress, seq: Some(2), digit: Some('1') };
        assert_eq!(call, expected);
        assert_eq!(ok("CallSid=CA1&CallStatus=failed&SipResponseCode=480").progress, CallProgress::NoAnswer);
        assert_eq!(ok("CallSid=CA1&CallStatus=failed&SipResponseCode=404").progress, CallProgress::Failed);
        assert_eq!(ok("CallSid=CA1&CallStatus=no-answer&Digits=").digit, None);
        assert_eq!(ok("CallSid=CA1&CallStatus=completed&Digits=%23").digit, Some('#'));
        for (bad, error) in [
            ("CallStatus=completed", Error::Missing("CallSid")),
            ("CallSid=CA1", Error::Missing("CallStatus")),
            ("CallSid=CA1&CallStatus=gone", Error::unexpected("CallStatus", "gone")),
            ("CallSid=CA1&CallStatus=completed&Digits=hangup", Error::unexpected("Digits", "h")),
            ("CallSid=CA1&CallStatus=completed&SequenceNumber=x", Error::unexpected("SequenceNumber", "x")),
            ("\0\u{1}%ZZ", Error::Missing("CallStatus")),
        ] {
            assert_eq!(read(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn sms_callbacks() {
        let read = |text: &str| sms_callback(&parse_form(text.as_bytes()));
        assert_eq!(read("MessageSid=SM1&MessageStatus=sending").unwrap().progress, None);
        assert_eq!(read("MessageSid=SM1&MessageStatus=delivered").unwrap().progress, Some(SmsProgress::Delivered));
        assert_eq!(read("SmsSid=SM1&SmsStatus=undelivered").unwrap().progress, Some(SmsProgress::Undelivered));
        assert!(read("MessageSid=SM1&MessageStatus=received").is_err());
        assert!(read("MessageStatus=sent").is_err());
    }

    #[test]
    fn records_tolerate_what_is_added() {
        let call: CallRecord =
            serde_json::from_str(r#"{"sid":"CA1","status":"queued","queue_time":"0","start_time":null}"#).unwrap();
        assert_eq!((call.sid.as_str(), call.start_time), ("CA1", None));
        assert!(serde_json::from_str::<CallRecord>(r#"{"status":"queued"}"#).is_err());
        assert!(serde_json::from_str::<CallList>(r#"{"calls":[{"sid":"CA1"}],"page":0}"#).is_ok());
    }
}
