//! Tickets for a desk that we have no adapter for: one signed webhook (see [`super::webhook`]) for each thing to do.
//!
//! The receiver answers 2xx with `{"ref":"<its id>"}` and must give the same answer for the same `webhook-id`, which
//! is the effect id on every retry. 409 means "I have it already".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What to do in the ticket desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Request {
    /// Open one.
    #[serde(rename = "ticket.create")]
    Create {
        /// Effect id.
        #[serde(rename = "ref")]
        effect: String,
        /// Case id, the desk's external reference.
        case: String,
        /// One line.
        title: String,
        /// Plain text.
        body: String,
        /// As in the playbook: `group`, `priority`…
        fields: BTreeMap<String, String>,
        /// Who it is for, if the desk may know.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer: Option<Customer>,
    },
    /// Add an internal note.
    #[serde(rename = "ticket.note")]
    Note {
        /// Effect id.
        #[serde(rename = "ref")]
        effect: String,
        /// Case id.
        case: String,
        /// As the desk named it on creation.
        ticket: String,
        /// Plain text.
        body: String,
        /// The ticket was closed: it is to be open again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reopens: bool,
    },
    /// Close it with a last note.
    #[serde(rename = "ticket.close")]
    Close {
        /// Effect id.
        #[serde(rename = "ref")]
        effect: String,
        /// Case id.
        case: String,
        /// As the desk named it on creation.
        ticket: String,
        /// Plain text.
        body: String,
    },
}

/// Who a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Mailbox.
    pub mail: String,
    /// Name.
    pub name: String,
}

/// What a receiver of a signed webhook may answer with 2xx; an empty body is as good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its own id for what it took in.
    #[serde(rename = "ref", default)]
    pub reference: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let note = Request::Note {
            effect: "e".into(),
            case: "c".into(),
            ticket: "T-1".into(),
            body: "towed".into(),
            reopens: false,
        };
        let json = serde_json::to_value(&note).unwrap();
        assert_eq!(json["type"], "ticket.note");
        assert_eq!(json["ref"], "e");
        assert_eq!(serde_json::from_value::<Request>(json).unwrap(), note);
        let answer: Answer = serde_json::from_str(r#"{"ref":"T-1","state":"accepted"}"#).unwrap();
        assert_eq!(answer.reference, "T-1");
    }
}
