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
pub(super) struct Attached {
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
    let stripped = Some(mail.stripped_text_reply).filter(|text| !text.trim().is_empty());
    let text = own_words(&stripped.unwrap_or(mail.text_body));
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
impl Attached {
    /// What is attached, if it is of one of these types.
    pub(super) fn content(&self, types: &[&str]) -> Option<Vec<u8>> {
        let own = self.content_type.to_ascii_lowercase();
        let known = types.iter().any(|of| own.starts_with(of));
        known.then(|| STANDARD.decode(self.content.trim()).ok()).flatten()
    }
}

fn calendar(attached: &Attached) -> Option<CalendarReply> {
    let content = attached.content(&["text/calendar", "application/ics"])?;
    ical::reply(&String::from_utf8(content).ok()?)
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

/// How the line begins and ends that telephones put below a mail by themselves, in the languages that we speak.
const SIGNED: [(&str, &str); 6] = [
    ("sent from my ", ""),
    ("von meinem ", " gesendet"),
    ("gesendet von ", ""),
    ("wysłan", ""),
    ("отправлено с ", ""),
    ("надіслано з ", ""),
];
/// A line that is longer was written by a person.
const SIGNED_MAX: usize = 60;

/// What stands above the first line that quotes or signs, without the line that says whose words are quoted: in every
/// language it ends with a colon.
fn own_words(text: &str) -> String {
    let is_end = |line: &&str| line.starts_with('>') || is_signature(line) || says_who(line);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let end = lines.iter().position(is_end).unwrap_or(lines.len());
    let mut own = &lines[..end];
    let quoted = lines.get(end).is_some_and(|line| line.starts_with('>'));
    let mut who = lines.get(end).copied().filter(|line| says_who(line));
    while let Some((_, above)) = own.split_last().filter(|(last, _)| last.is_empty()) {
        own = above;
    }
    if let Some((last, above)) = own.split_last().filter(|(last, _)| quoted && last.ends_with(':')) {
        (who, own) = (Some(*last), above);
    }
    // An address may stand on a line of its own, below the day and the name.
    if let Some((_, above)) = own.split_last().filter(|_| who.is_some_and(|line| line.starts_with('<'))) {
        own = above;
    }
    own.join("\n")
}

fn says_who(line: &str) -> bool {
    line.ends_with("wrote:")
}

fn is_signature(line: &str) -> bool {
    let line = line.to_lowercase();
    let signed = |(from, to): &(&str, &str)| line.starts_with(from) && line.ends_with(to);
    let rule = line == "--" || ["-----", "_____"].iter().any(|rule| line.starts_with(rule));
    rule || (line.chars().count() <= SIGNED_MAX && SIGNED.iter().any(signed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{CalendarAnswer, CaseId};

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
    fn a_word_is_left_of_a_mail_whatever_program_wrote_the_rest() {
        for rest in [
            "",
            "\n\nOn Fri, 20 Nov 2026 at 10:00, Service <s@example.com> wrote:\n> Your battery",
            "\n\nOn Fri, 20 Nov 2026 at 10:00, Service of the north\n<s@example.com> wrote:\n\nYour battery",
            "\n\nAm Fr., 20. Nov. 2026 um 10:00 Uhr schrieb Service\n<s@example.com>:\n\n> Ihre Batterie",
            "\n\npt., 20 lis 2026 o 10:00 Service <s@example.com> napisał(a):\n> Akumulator",
            "\n\nпт, 20 нояб. 2026 г. в 10:00, Service <s@example.com>:\n> Аккумулятор",
            "\n\nSent from my iPhone",
            "\n\nVon meinem iPhone gesendet\n\n> Am 20.11.2026 um 10:00 schrieb Service:\n> Ihre Batterie",
            "\n\nGesendet von Outlook für Android\n________________________________\nVon: Service",
            "\n\n-- \nJane Doe",
            "\n\n-----Original Message-----\nFrom: Service",
        ] {
            assert_eq!(own_words(&format!("9{rest}")).trim(), "9", "{rest:?}");
        }
        for text in [
            "The light says: stop",
            "Von meinem Mechaniker weiß ich, dass es die Bremse ist",
            "Two things:\n\n1 it squeaks\n2 it smells",
        ] {
            assert_eq!(own_words(text), text);
        }
        let said = "Hello\n\nThank you!\nOn Friday you wrote:\n> The battery";
        assert_eq!(own_words(said), "Hello\n\nThank you!");
        assert_eq!(own_words("Schrieb Service:\n> Ihre Batterie"), "");
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
        assert_eq!(said.calendar, Some(CalendarReply { uid: "u-1".into(), answer: CalendarAnswer::Yes }));
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
