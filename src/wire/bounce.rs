//! Mails that come back: the report of a mail server that could not deliver one of ours (RFC 3464), to the address that the
//! mail was sent from, which says which one it was ([`reply::bounce`]). In the shape of an inbound mail ([`super::inbound`]).
//!
//! Only a report that says `Action: failed` is believed: what is merely delayed may still arrive, and whoever is on
//! vacation has got it. Nothing that comes to such an address is ever read as the words of a person.

use serde::Deserialize;

use super::inbound::Attached;
use super::link::Key;
use super::{Error, reply};
use crate::domain::EffectId;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mail {
    #[serde(default)]
    to: String,
    #[serde(default)]
    original_recipient: String,
    #[serde(default)]
    text_body: String,
    #[serde(default)]
    attachments: Vec<Attached>,
}

/// What has come to the address of a mail of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// The mail.
    pub effect: EffectId,
    /// It was not delivered and will not be.
    pub failed: bool,
}

/// Reads an inbound mail; `None`: it did not come to such an address.
///
/// # Errors
/// It is not an inbound mail.
pub fn returned(body: &[u8], key: &Key) -> Result<Option<Returned>, Error> {
    let mail: Mail = serde_json::from_slice(body).map_err(|e| Error::Malformed(e.to_string()))?;
    let effect = [&mail.original_recipient, &mail.to].into_iter().find_map(|to| reply::effect_of(key, to));
    Ok(effect.map(|effect| Returned { effect, failed: mail.reports().any(|report| says_failed(&report)) }))
}

impl Mail {
    /// The parts that can be a report: attached as one, or in the text by servers that do not know how.
    fn reports(&self) -> impl Iterator<Item = String> {
        let attached = self.attachments.iter().filter_map(|a| a.content(&["message/delivery-status"]));
        attached.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).chain([self.text_body.clone()])
    }
}

fn says_failed(report: &str) -> bool {
    report.lines().any(|line| {
        let field = line.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case("action"));
        field.is_some_and(|(_, value)| value.trim().eq_ignore_ascii_case("failed"))
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_report_of_failure_to_our_own_address_is_one() {
        let key = Key::parse("a secret of the test\n").unwrap();
        let effect: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let ours = reply::bounce(&key, &effect, "mail.example.com");
        let status = |action: &str| format!("Reporting-MTA: dns; mx\r\n\r\nAction: {action}\r\nStatus: 5.1.1\r\n");
        let read = |to: &str, text: &str, kind: &str, attached: &str| {
            let body = json!({ "From": "MAILER-DAEMON@mx", "OriginalRecipient": to, "MessageID": "m", "TextBody": text,
                "Attachments": [{ "ContentType": kind, "Content": STANDARD.encode(attached) }] });
            returned(body.to_string().as_bytes(), &key).unwrap()
        };
        let report = "message/delivery-status; name=x";
        let is = |failed| Some(Returned { effect, failed });
        assert_eq!(read(&ours, "Sorry", report, &status("failed")), is(true));
        assert_eq!(read(&ours, &status("Failed"), "text/plain", ""), is(true), "without a part of its own");
        assert_eq!(read(&ours, "Sorry", report, &status("delayed")), is(false));
        assert_eq!(read(&ours, "I am on vacation; action: none failed", report, ""), is(false));
        assert_eq!(read(&ours, "", "text/plain", &status("failed")), is(false), "something else that is attached");
        assert_eq!(read("service@example.com", "", report, &status("failed")), None);
        assert!(returned(b"{", &key).is_err());
    }
}
