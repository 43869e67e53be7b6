//! Mail that comes in, in the shape of Postmark's inbound webhook, which other services and a ten-line script behind any
//! mail server can post, too: JSON with sender, recipient and the text, the quoted part taken off if they can.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::link::Key;
use super::{Error, ical, reply};
use crate::domain::{CalendarReply, Channel, Said, Sender};

/// Longest message of a person that is read, in characters.
const WORDS_MAX: usize = 4_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mail {
    #[serde(default)]
    from: String,
    #[serde(default)]
    from_full: Option<Address>,
    #[serde(default)]
    to: String,
    #[serde(default)]
    original_recipient: String,
    #[serde(rename = "MessageID")]
    message_id: String,
    #[serde(default)]
    text_body: String,
    #[serde(default)]
    stripped_text_reply: String,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    attachments: Vec<Attached>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    #[serde(default)]
    content_type: String,
    /// Base64.
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Address {
    email: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

/// What was written, if a person wrote it; `None` for what a machine answers on its own (vacation, bounces, lists).
pub fn mail(body: &[u8], key: &Key) -> Result<Option<Said>, Error> {
    let mail: Mail = serde_json::from_slice(body).map_err(|e| Error::Malformed(e.to_string()))?;
    let from = mail.from_full.map_or(mail.from, |a| a.email);
    // A calendar answers because its person has pressed a button.
    let calendar = mail.attachments.iter().find_map(calendar);
    if from.is_empty() || (calendar.is_none() && mail.headers.iter().any(by_a_machine)) {
        return Ok(None);
    }
    let text =
        if mail.stripped_text_reply.trim().is_empty() { own_words(&mail.text_body) } else { mail.stripped_text_reply };
    Ok(Some(Said {
        channel: Channel::Email,
        // Message ids can hold a name; all that matters is whether it is the same one.
        external_id: format!("mail/{}", &blake3::hash(mail.message_id.as_bytes()).to_hex()[..32]),
        from: Sender::Email(from),
        case: [&mail.original_recipient, &mail.to].into_iter().find_map(|to| reply::case_of(key, to)),
        text: text.trim().chars().take(WORDS_MAX).collect(),
        calendar,
        answered: true,
    }))
}

/// What the attached answer of a calendar says.
fn calendar(attached: &Attached) -> Option<CalendarReply> {
    let kind = attached.content_type.to_ascii_lowercase();
    if !kind.starts_with("text/calendar") && !kind.starts_with("application/ics") {
        return None;
    }
    ical::reply(&String::from_utf8(STANDARD.decode(attached.content.trim()).ok()?).ok()?)
}

/// RFC 3834, and what was usual before it.
fn by_a_machine(header: &Header) -> bool {
    let value = header.value.trim().to_ascii_lowercase();
    match header.name.to_ascii_lowercase().as_str() {
        "auto-submitted" => value != "no",
        "precedence" => matches!(value.as_str(), "bulk" | "junk" | "list" | "auto_reply"),
        "x-auto-response-suppress" | "x-autoreply" | "x-autorespond" => true,
        _ => false,
    }
}

/// The lines before the first that quotes.
fn own_words(text: &str) -> String {
    let quotes =
        |line: &&str| line.starts_with('>') || line.starts_with("-----") || line.trim_end().ends_with("wrote:");
    let own: Vec<&str> = text.lines().take_while(|line| !quotes(line)).collect();
    own.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::CaseId;

    fn key() -> Key {
        Key::parse("a secret of the test\n").unwrap()
    }

    #[test]
    fn a_reply_names_its_case_and_loses_what_it_quotes() {
        let case = CaseId::of(&[b"x"]);
        let body = json!({
            "From": "jane@example.com", "FromFull": { "Email": "jane@example.com", "Name": "Jane" },
            "To": "Service", "OriginalRecipient": reply::address(&key(), &case, "reply.example.com"),
            "MessageID": "m-1", "TextBody": "Thank you!\nOn Friday you wrote:\n> The battery", "Subject": "Re: battery",
            "Headers": [{ "Name": "Auto-Submitted", "Value": "no" }],
        });
        let said = mail(body.to_string().as_bytes(), &key()).unwrap().unwrap();
        assert_eq!((said.case, said.text.as_str()), (Some(case), "Thank you!"));
        assert_eq!(said.from, Sender::Email("jane@example.com".into()));
        assert!(said.external_id.starts_with("mail/") && said.external_id.len() == 37, "{}", said.external_id);
    }

    #[test]
    fn the_answer_of_a_calendar_is_heard_although_a_machine_wrote_it() {
        let ics =
            "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:u-1\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.c\r\n";
        let body = |kind: &str| {
            json!({ "From": "a@b.c", "MessageID": "m", "Headers": [{ "Name": "Auto-Submitted", "Value": "auto-replied" }],
                "Attachments": [{ "Name": "x", "ContentType": kind, "Content": STANDARD.encode(ics) }] })
        };
        let said = mail(body("text/calendar; method=REPLY").to_string().as_bytes(), &key()).unwrap().unwrap();
        assert_eq!(said.calendar, Some(CalendarReply { uid: "u-1".into(), accepted: Some(true) }));
        assert_eq!(mail(body("image/png").to_string().as_bytes(), &key()).unwrap(), None);
    }

    #[test]
    fn machines_are_not_listened_to() {
        for (name, value) in [("Auto-Submitted", "auto-replied"), ("precedence", "bulk"), ("X-Autoreply", "yes")] {
            let body = json!({ "From": "a@b.c", "MessageID": "m", "Headers": [{ "Name": name, "Value": value }] });
            assert_eq!(mail(body.to_string().as_bytes(), &key()).unwrap(), None, "{name}");
        }
        assert_eq!(mail(br#"{"From":"","MessageID":"bounce"}"#, &key()).unwrap(), None, "a bounce has no sender");
        assert!(mail(b"{}", &key()).is_err());
    }
}
