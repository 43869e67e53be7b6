//! Bodies of the Zammad REST API, as far as they are used: tickets, articles, search.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// The subject of an article of ours: for people, and with the effect id, by which a lost answer is found again.
#[must_use]
pub fn subject(words: &str, effect: &crate::domain::EffectId) -> String {
    format!("{words} [{effect}]")
}

#[cfg(test)]
mod tests {
    use super::*;

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
