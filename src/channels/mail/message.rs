//! An e-mail as it goes over the wire: the same effect at the same instant gives the same bytes.

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};

use crate::domain::{At, CaseId, EffectId, MailWork};
use crate::wire::ical;

/// Longest text or HTML of a mail, in bytes. Many servers take 10 MiB; a message to a customer is a few kilobytes.
const PART_MAX: usize = 1024 * 1024;
/// Most attachments of a mail.
const ATTACHMENTS_MAX: usize = 8;

/// What the headers say besides what is in the work itself.
pub(super) struct Head<'a> {
    pub(super) effect: EffectId,
    pub(super) case: CaseId,
    pub(super) from: &'a Mailbox,
    pub(super) reply_to: Option<&'a Mailbox>,
    pub(super) at: At,
}

/// `<effect@domain>`: the same on every attempt.
pub(super) fn id(effect: &EffectId, from: &Mailbox) -> String {
    format!("<{effect}@{}>", from.email.domain())
}

/// The mail, or why it can never be one. All mails of a case hang below `<case@domain>`, so that they are one thread.
pub(super) fn compose(head: &Head<'_>, work: &MailWork) -> Result<Message, String> {
    for (name, text) in
        [("name", &work.to_name), ("address", &work.to), ("subject", &work.subject), ("locale", &work.locale)]
    {
        // A line break in a header would be the beginning of another header.
        if text.chars().any(char::is_control) {
            return Err(format!("the {name} holds a control character"));
        }
    }
    let attached = work.attachments.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
    if work.text.len().max(work.html.len()).max(attached) > PART_MAX || work.attachments.len() > ATTACHMENTS_MAX {
        return Err("the text is longer than 1 MiB, or there are more than 8 attachments".into());
    }
    // The error would show the address, and the reason is kept for long.
    let to: Address = work.to.parse().map_err(|_| "the recipient's address is not a mail address".to_owned())?;
    let name = Some(work.to_name.trim().to_owned()).filter(|name| !name.is_empty());
    let comes_back_to = work.comes_back_to.as_ref().and_then(|address| address.parse::<Address>().ok());
    let sender = comes_back_to.unwrap_or_else(|| head.from.email.clone());
    let envelope = Envelope::new(Some(sender), vec![to.clone()]).map_err(|e| format!("its envelope: {e}"))?;
    let thread = format!("<{}@{}>", head.case, head.from.email.domain());
    let since_1970 = Duration::from_secs(u64::try_from(head.at.as_secs()).unwrap_or(0));
    let mut builder = Message::builder()
        .envelope(envelope)
        .from(head.from.clone())
        .to(Mailbox::new(name, to))
        .subject(&work.subject)
        .date(SystemTime::UNIX_EPOCH + since_1970)
        .message_id(Some(id(&head.effect, head.from)))
        .in_reply_to(thread.clone())
        .references(thread)
        // No vacation replies and no loops.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("Content-Language", &work.locale));
    if let Some(url) = &work.unsubscribe {
        // One click, no page in between: mail programs show a button.
        builder = builder
            .raw_header(raw("List-Unsubscribe", &format!("<{url}>")))
            .raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
    }
    let of_case = work.reply_to.as_ref().and_then(|to| to.parse().ok()).map(|to| Mailbox::new(None, to));
    if let Some(reply_to) = of_case.as_ref().or(head.reply_to) {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(importance) = &work.importance {
        builder = builder.raw_header(raw("Importance", importance));
    }
    let part = |kind: &str| ContentType::parse(kind).map_err(|e| format!("the type of a part: {e}"));
    // The last part is the one that is shown where HTML can be.
    let html = SinglePart::html(crlf(&work.html));
    let shown = MultiPart::alternative()
        .boundary(format!("fw-{}", head.effect))
        .singlepart(SinglePart::plain(crlf(&work.text)));
    let mut shown = match &work.chart {
        None => shown.singlepart(html),
        Some(chart) => {
            let picture = super::chart::png(chart).ok_or("its picture cannot be drawn")?;
            let picture = Attachment::new_inline_with_name(chart.id.clone(), "chart.png".to_owned())
                .body(picture, part("image/png")?);
            let both = MultiPart::related().boundary(format!("fwr-{}", head.effect));
            shown.multipart(both.singlepart(html).singlepart(picture))
        }
    };
    let mut beside: Vec<SinglePart> = Vec::new();
    if let Some(invitation) = &work.invitation {
        // Calendars answer to the organizer: to the address of the case, if there is one, so that it is known which.
        let organizer = work.reply_to.as_deref().unwrap_or(head.from.email.as_ref());
        let text = ical::calendar(invitation, organizer, &work.to, head.at);
        // Named in the type as well as in the object: calendars look at either.
        let kind = format!("text/calendar; charset=utf-8; method={}", ical::method(invitation.method));
        shown = shown.singlepart(SinglePart::builder().header(part(&kind)?).body(text.clone()));
        beside.push(Attachment::new("appointment.ics".to_owned()).body(text, part("application/ics")?));
    }
    for (name, text) in &work.attachments {
        beside.push(Attachment::new(name.clone()).body(crlf(text), ContentType::TEXT_PLAIN));
    }
    let message = if work.html.is_empty() && beside.is_empty() {
        builder.singlepart(SinglePart::plain(crlf(&work.text)))
    } else if beside.is_empty() {
        builder.multipart(shown)
    } else {
        let all = MultiPart::mixed().boundary(format!("fwm-{}", head.effect)).multipart(shown);
        builder.multipart(beside.into_iter().fold(all, MultiPart::singlepart))
    };
    message.map_err(|e| format!("the mail cannot be composed: {e}"))
}

/// Line ends as mail has them. The mail library would do it, but by inserting one byte at a time: 15 MB took minutes.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Purpose;

    fn work() -> MailWork {
        MailWork {
            to_name: "Jürgen Groß".into(),
            to: "j@example.com".into(),
            subject: "Ihre Batterie hält nicht mehr lange".into(),
            text: "Grüße\n.\nEnde".into(),
            html: "<p>Grüße</p>".into(),
            chart: None,
            locale: "de-DE".into(),
            purpose: Purpose::Service,
            importance: None,
            attachments: Vec::new(),
            invitation: None,
            unsubscribe: None,
            reply_to: None,
            comes_back_to: None,
        }
    }

    fn text(work: &MailWork) -> Result<String, String> {
        let head = Head {
            effect: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            case: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
            from: &"Example Roadside <service@example.com>".parse().unwrap(),
            reply_to: None,
            at: At::from_secs(1_795_300_000),
        };
        compose(&head, work).map(|m| String::from_utf8(m.formatted()).unwrap())
    }

    #[test]
    fn headers() {
        let mail = text(&work()).unwrap();
        for line in [
            "Message-ID: <01890a5d-ac96-774b-bcce-b302099a8057@example.com>\r\n",
            "In-Reply-To: <000102030405060708090a0b0c0d0e0f@example.com>\r\n",
            "References: <000102030405060708090a0b0c0d0e0f@example.com>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Language: de-DE\r\n",
            "Date: Sat, 21 Nov 2026 22:26:40 +0000\r\n",
            "multipart/alternative;",
        ] {
            assert!(mail.contains(line), "{line} in {mail}");
        }
        assert!(mail.is_ascii(), "no server has to support 8BITMIME");
        assert!(mail.find("text/plain").unwrap() < mail.find("text/html").unwrap());
        assert_eq!(mail, text(&work()).unwrap(), "the same bytes on every attempt");
        let plain = text(&MailWork { html: String::new(), ..work() }).unwrap();
        assert!(!plain.contains("multipart"));
    }

    #[test]
    fn a_picture_goes_with_the_html_that_shows_it() {
        let chart = crate::domain::Chart {
            id: "chart@01890a5d".into(),
            title: "V".into(),
            points: vec![(0.0, 1.0), (1.0, 0.0)],
            newest: "11".into(),
            limit: None,
            across: Vec::new(),
            up: Vec::new(),
        };
        let html = "<img src=\"cid:chart@01890a5d\" alt=\"12 V, then 11 V\">".to_owned();
        let mail = text(&MailWork { chart: Some(Box::new(chart)), html, ..work() }).unwrap();
        let place = |part: &str| mail.find(part).unwrap_or_else(|| panic!("no {part} in {mail}"));
        assert!(
            place("multipart/alternative;") < place("text/plain") && place("text/plain") < place("multipart/related;")
        );
        assert!(place("text/html") < place("image/png") && place("text/plain") < place("text/html"));
        place("Content-ID: <chart@01890a5d>\r\n");
        place("Content-Disposition: inline; filename=\"chart.png\"");
        let picture = mail[place("image/png")..].split("\r\n\r\n").nth(1).unwrap();
        assert!(picture.starts_with("iVBORw0KGgo"), "PNG in Base64: {}", &picture[..20]);
        assert!(mail.len() < 45_000);
    }

    #[test]
    fn attachments_stand_beside_the_text() {
        let extras = MailWork {
            importance: Some("high".into()),
            attachments: vec![("hvac.de.txt".into(), "Schalten Sie die Anlage nicht aus.".into())],
            ..work()
        };
        let mail = text(&extras).unwrap();
        let place = |part: &str| mail.find(part).unwrap_or_else(|| panic!("no {part} in {mail}"));
        assert!(place("multipart/mixed;") < place("multipart/alternative;"));
        assert!(place("text/html") < place("attachment; filename=\"hvac.de.txt\""));
        place("Importance: high\r\n");
        assert_eq!(mail, text(&extras).unwrap(), "the same bytes on every attempt");
        assert!(text(&MailWork { attachments: vec![Default::default(); 9], ..work() }).is_err());
    }

    #[test]
    fn long_texts_are_quick_or_refused() {
        let lines = |n: usize| MailWork { text: "a\n".repeat(n), html: "b\r\n".repeat(n / 2), ..work() };
        let mail = text(&lines(PART_MAX / 2)).unwrap();
        assert_eq!(mail.matches("\r\na\r\na").count(), PART_MAX / 4);
        assert!(text(&lines(PART_MAX / 2 + 1)).unwrap_err().contains("1 MiB"));
    }

    #[test]
    fn headers_cannot_be_injected() {
        let evil = |change: fn(&mut MailWork)| {
            let mut work = work();
            change(&mut work);
            text(&work).unwrap_err()
        };
        assert!(evil(|w| w.subject = "x\r\nBcc: all@example.com".into()).contains("subject"));
        assert!(evil(|w| w.to_name = "x\nBcc: all@example.com".into()).contains("name"));
        assert!(evil(|w| w.to = "a@b.c>\r\nRCPT TO:<d@e.f".into()).contains("address"));
        assert!(evil(|w| w.to = "a@b.c, d@e.f".into()).contains("address"));
        assert!(evil(|w| w.locale = "de\u{0}".into()).contains("locale"));
        assert!(!evil(|w| w.to = "secret-person".into()).contains("secret-person"), "addresses stay out of reasons");
    }
}
