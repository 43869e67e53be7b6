//! Bodies of the Zammad REST API, as far as they are used: tickets, articles, search; and its trigger.
//!
//! An agent says what became of a case in fields of the ticket, which an admin makes once as attributes of the ticket
//! object: `case_truth` (a select with the keys `confirmed`, `no_fault_found`, `customer_denied`, `unknown`),
//! `case_part_replaced` (text), `case_csat` (1 to 5), `case_failed_at` (date and time), `case_cost`, `case_first_contact`
//! (`us`, `customer`). Those that an admin leaves out are not asked for. A trigger "ticket is updated" with a webhook to
//! `/zammad/{provider}` sends them along; what an agent changes later is a correction.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::Error;
use crate::domain::{AdapterName, Author, CaseId, Channel, Said, Sender, Verdict};

/// `POST /api/v1/tickets`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTicket {
    /// One line.
    pub title: String,
    /// An address, or `guess:<address>`, which makes the user if nobody has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The case id: a custom attribute of the ticket object that an admin makes once, so that a ticket can be found
    /// when the answer to its creation was lost.
    pub case_ref: String,
    /// The first article.
    pub article: Article,
    /// `group`, `priority` and whatever else the playbook names.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// An article of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// One line.
    pub subject: String,
    /// Text.
    pub body: String,
    /// `text/plain` or `text/html`.
    pub content_type: String,
    /// `note`, `phone`, `email`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Hidden from the customer.
    pub internal: bool,
}

impl Article {
    /// An internal note in plain text.
    #[must_use]
    pub fn note(subject: String, body: String) -> Self {
        Self { subject, body, content_type: "text/plain".into(), kind: "note".into(), internal: true }
    }
}

/// `POST /api/v1/ticket_articles`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewArticle {
    /// Of which ticket.
    pub ticket_id: u64,
    /// What.
    #[serde(flatten)]
    pub article: Article,
}

/// `PUT /api/v1/tickets/{id}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateTicket {
    /// `closed`, `open`.
    pub state: String,
    /// Said with it.
    pub article: Article,
}

/// What creating answers, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketAnswer {
    /// For the API.
    pub id: u64,
    /// For people.
    #[serde(default)]
    pub number: String,
}

/// What `GET /api/v1/tickets/search` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchAnswer {
    /// Ids of the tickets of this page.
    pub tickets: Vec<u64>,
}

/// A line of what `GET /api/v1/ticket_articles/by_ticket/{id}` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArticleAnswer {
    /// For the API.
    pub id: u64,
    /// Carries the effect id of ours, see [`subject`].
    #[serde(default)]
    pub subject: Option<String>,
}

/// The header with the signature of a trigger: `sha1=<hex>` of the body, with the token of the webhook. Absent while the
/// desk has no token for it, which we do not accept.
pub const SIGNATURE: &str = "x-hub-signature";

/// Whether the desk signed `body` with `token`.
#[must_use]
pub fn verify(token: &str, body: &[u8], signature: &str) -> bool {
    let given = signature.strip_prefix("sha1=").unwrap_or_default().to_ascii_lowercase();
    sign(token, body).strip_prefix("sha1=").is_some_and(|own| bool::from(own.as_bytes().ct_eq(given.as_bytes())))
}

/// The signature of a trigger.
#[must_use]
pub fn sign(token: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.finalize().into_bytes().iter().fold("sha1=".to_owned(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[derive(Deserialize)]
struct Trigger {
    ticket: TriggerTicket,
    /// Empty if the ticket was changed without one.
    #[serde(default)]
    article: serde_json::Value,
}

#[derive(Deserialize)]
struct TriggerTicket {
    id: u64,
    /// `case_ref` and whatever else there is, an admin's attributes among it.
    #[serde(flatten)]
    fields: BTreeMap<String, serde_json::Value>,
}

/// What a trigger says.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What somebody wrote into the ticket; `None` for what we or the desk itself wrote.
    pub said: Option<Said>,
    /// What the ticket says of its case, if it says anything; an error if a field holds what an outcome cannot be.
    pub outcome: Result<Option<(CaseId, Verdict)>, Error>,
}

/// Reads the desk's trigger.
///
/// # Errors
/// It is not a trigger with a ticket.
pub fn trigger(desk: &AdapterName, body: &[u8]) -> Result<Told, Error> {
    let Trigger { ticket, article } = serde_json::from_slice(body)?;
    let none = article.is_null() || article.as_object().is_some_and(serde_json::Map::is_empty);
    let said = if none { None } else { comment(desk, ticket.id, serde_json::from_value(article)?) };
    Ok(Told { said, outcome: outcome(&ticket.fields) })
}

fn outcome(fields: &BTreeMap<String, serde_json::Value>) -> Result<Option<(CaseId, Verdict)>, Error> {
    let case = fields.get("case_ref").and_then(|v| v.as_str()).and_then(|text| text.parse().ok());
    let verdict = Verdict {
        truth: field(fields, "case_truth")?,
        part_replaced: field(fields, "case_part_replaced")?,
        csat: field(fields, "case_csat")?,
        first_contact_by: field(fields, "case_first_contact")?,
        failed_at: field(fields, "case_failed_at")?,
        cost: field(fields, "case_cost")?,
    };
    let Some(case) = case.filter(|_| verdict != Verdict::default()) else { return Ok(None) };
    match verdict.complaint() {
        Some(complaint) => Err(Error::Malformed(complaint.to_owned())),
        None => Ok(Some((case, verdict))),
    }
}

/// A field that was filled in.
fn field<T: FromStr>(fields: &BTreeMap<String, serde_json::Value>, name: &'static str) -> Result<Option<T>, Error> {
    let text = match fields.get(name) {
        None | Some(serde_json::Value::Null) => return Ok(None),
        Some(serde_json::Value::String(text)) => text.trim().to_owned(),
        Some(other) => other.to_string(),
    };
    // A select that was not touched is empty.
    if text.is_empty() || text == "-" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Error::unexpected(name, &text))
}

#[derive(Deserialize)]
struct TriggerArticle {
    id: u64,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    sender: String,
}

fn comment(desk: &AdapterName, ticket: u64, article: TriggerArticle) -> Option<Said> {
    let author = match (article.sender.as_str(), article.internal) {
        ("Customer", _) => Author::Customer,
        ("Agent", false) => Author::Agent,
        ("Agent", true) => Author::Internal,
        _ => return None,
    };
    if article.subject.as_deref().is_some_and(is_ours) {
        return None;
    }
    let text = if article.content_type.contains("html") { without_tags(&article.body) } else { article.body };
    Some(Said {
        channel: Channel::Ticket,
        external_id: format!("{desk}/{}", article.id),
        from: Sender::Desk { desk: desk.clone(), ticket: ticket.to_string(), author },
        case: None,
        calendar: None,
        text: text.trim().to_owned(),
        answered: true,
    })
}

/// Articles of ours carry their effect id at the end of the subject, see [`subject`].
fn is_ours(subject: &str) -> bool {
    let id = subject.strip_suffix(']').and_then(|s| s.rsplit_once('['));
    id.is_some_and(|(_, id)| id.parse::<crate::domain::EffectId>().is_ok())
}

/// The words of an article for reading: tags out, the few entities that matter back.
fn without_tags(html: &str) -> String {
    let mut out = String::new();
    for part in html.replace("<br", "\n<br").replace("</p>", "\n</p>").split('<') {
        out.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (entity, plain)| text.replace(entity, plain))
}

/// The subject of an article of ours: for people, and with the effect id, by which a lost answer is found again.
#[must_use]
pub fn subject(words: &str, effect: &crate::domain::EffectId) -> String {
    format!("{words} [{effect}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FirstContact, Truth};

    #[test]
    fn triggers_are_read_and_our_own_articles_are_not() {
        let effect = "01890a5d-ac96-774b-bcce-b302099a8057";
        let said = |sender: &str, internal: bool, subject: &str| {
            let body = serde_json::json!({
                "ticket": { "id": 19, "number": "22019", "title": "x" },
                "article": { "id": 7, "subject": subject, "body": "<p>Sorry &amp; thanks</p><br>Kim", "sender": sender,
                    "internal": internal, "content_type": "text/html" },
            });
            trigger(&"helpdesk".into(), body.to_string().as_bytes()).unwrap().said
        };
        let first = said("Agent", false, "Re: battery").unwrap();
        let from = |author| Sender::Desk { desk: "helpdesk".into(), ticket: "19".into(), author };
        assert_eq!((first.text.as_str(), first.external_id.as_str()), ("Sorry & thanks\n\nKim", "helpdesk/7"));
        assert_eq!(first.from, from(Author::Agent));
        assert_eq!(said("Agent", true, "").unwrap().from, from(Author::Internal));
        assert_eq!(said("Customer", false, "").unwrap().from, from(Author::Customer));
        assert_eq!(said("System", false, ""), None);
        assert_eq!(said("Agent", true, &format!("News [{effect}]")), None);
        assert!(trigger(&"helpdesk".into(), b"{}").is_err());
    }

    #[test]
    fn the_fields_of_a_ticket_say_what_became_of_its_case() {
        let case = CaseId::of(&[b"x"]);
        let told = |fields: serde_json::Value| {
            let mut ticket = serde_json::json!({ "id": 19, "case_ref": case.to_string(), "state": "closed" });
            ticket.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let body = serde_json::json!({ "ticket": ticket, "article": {} });
            let told = trigger(&"helpdesk".into(), body.to_string().as_bytes()).unwrap();
            assert_eq!(told.said, None);
            told.outcome
        };
        let all = serde_json::json!({ "case_truth": "confirmed", "case_part_replaced": "pump", "case_csat": 4,
            "case_failed_at": "2026-11-22T08:00:00.000Z", "case_cost": "120.5", "case_first_contact": "us" });
        let expected = Verdict {
            truth: Some(Truth::Confirmed),
            part_replaced: Some("pump".into()),
            csat: Some(4),
            failed_at: Some("2026-11-22T08:00:00Z".parse().unwrap()),
            cost: Some(120.5),
            first_contact_by: Some(FirstContact::Us),
        };
        assert_eq!(told(all), Ok(Some((case, expected))));
        for empty in
            [serde_json::json!({}), serde_json::json!({ "case_truth": "", "case_csat": null, "case_cost": "-" })]
        {
            assert_eq!(told(empty), Ok(None), "an agent has filled in nothing");
        }
        let foreign = serde_json::json!({ "case_ref": "", "case_truth": "confirmed" });
        assert_eq!(told(foreign), Ok(None), "a ticket of nobody's case");
        for (name, value) in [
            ("case_truth", "maybe"),
            ("case_csat", "6"),
            ("case_csat", "-1"),
            ("case_failed_at", "soon"),
            ("case_cost", "-5"),
        ] {
            assert!(told(serde_json::json!({ name: value })).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn only_the_desk_is_believed() {
        // `printf '{}' | openssl dgst -sha1 -hmac token`
        let good = sign("token", b"{}");
        assert!(verify("token", b"{}", &good) && verify("token", b"{}", &good.to_uppercase().replace("SHA1", "sha1")));
        for bad in ["", "sha1=", &good[5..], &sign("other", b"{}"), &good[..good.len() - 1]] {
            assert!(!verify("token", b"{}", bad), "{bad}");
        }
        assert!(!verify("token", b"{ }", &good));
    }

    #[test]
    fn shapes() {
        let ticket = NewTicket {
            title: "[01j] Front left brake circuit failed".into(),
            customer_id: Some("guess:jane@example.com".into()),
            case_ref: "01j".into(),
            article: Article::note("Opened".into(), "..".into()),
            fields: BTreeMap::from([("group".into(), "Roadside".into())]),
        };
        let json = serde_json::to_value(&ticket).unwrap();
        assert_eq!(json["group"], "Roadside");
        assert_eq!(json["article"]["type"], "note");
        assert_eq!(serde_json::from_value::<NewTicket>(json).unwrap(), ticket);
        let article = NewArticle { ticket_id: 19, article: ticket.article };
        assert_eq!(serde_json::to_value(&article).unwrap()["internal"], true);
        let found: SearchAnswer =
            serde_json::from_str(r#"{"tickets":[19,20],"tickets_count":2,"assets":{"Ticket":{}}}"#).unwrap();
        assert_eq!(found.tickets, [19, 20]);
        assert!(serde_json::from_str::<TicketAnswer>(r#"{"number":"1"}"#).is_err());
    }
}
