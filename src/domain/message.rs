//! What people say to us, whichever way it comes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AdapterName, At, CaseId, EndpointKind};

/// A way by which people and we talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Phone calls and their keys.
    Call,
    /// Text messages.
    Sms,
    /// E-mail.
    Email,
    /// Articles of a ticket.
    Ticket,
    /// The page behind a link that we sent.
    Web,
    /// The customer's own app.
    App,
}

impl Channel {
    /// All of them, as written in settings.
    pub const ALL: [Self; 6] = [Self::Call, Self::Sms, Self::Email, Self::Ticket, Self::Web, Self::App];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Ticket => "ticket",
            Self::Web => "web",
            Self::App => "app",
        }
    }

    /// What kind of address it goes to, if it goes to one.
    #[must_use]
    pub fn endpoint(self) -> Option<EndpointKind> {
        match self {
            Self::Call | Self::Sms => Some(EndpointKind::Phone),
            Self::Email => Some(EndpointKind::Email),
            Self::App => Some(EndpointKind::App),
            Self::Ticket | Self::Web => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that somebody wrote to us. PERSONAL DATA: sender and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// How it came.
    pub channel: Channel,
    /// Their id of it: the same message may be told twice and counts once.
    pub external_id: String,
    /// Who.
    pub from: Sender,
    /// The case that the address it came to stands for, if that is proven.
    pub case: Option<CaseId>,
    /// The words, without what is quoted of ours.
    pub text: String,
    /// What their calendar answers to an invitation of ours, if it does.
    pub calendar: Option<CalendarReply>,
    /// The provider has itself answered a word like STOP or HELP: nothing is said twice.
    pub answered: bool,
}

/// The answer of a calendar to an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarReply {
    /// Which.
    pub uid: String,
    /// What it says to it.
    pub answer: CalendarAnswer,
}

/// What a calendar says to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarAnswer {
    /// It suits.
    Yes,
    /// It does not.
    No,
    /// Neither yet.
    Perhaps,
    /// Another time is asked for (`METHOD:COUNTER`).
    Counter {
        /// When it is to begin; `None`: nobody can tell, because it names no zone or one that is not known here.
        start_at: Option<At>,
        /// The change of the invitation that it answers, counted from 0.
        sequence: u32,
    },
}

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// Whoever has this number, as the network shows it.
    Phone(String),
    /// Whoever has this mailbox.
    Email(String),
    /// Somebody in the ticket desk.
    Desk {
        /// Which desk.
        desk: AdapterName,
        /// The ticket, as the desk names it.
        ticket: String,
        /// In which part.
        author: Author,
    },
}

/// In which part somebody writes into a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The customer.
    Customer,
    /// One of our people, to the customer.
    Agent,
    /// One of our people, for our people.
    Internal,
}
