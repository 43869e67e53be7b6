//! What is done about an unknown outcome, by what it was.

use serde::{Deserialize, Serialize};

use crate::domain::{Channel, Purpose, Span};

/// What an effect does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A phone call.
    Call,
    /// A text message.
    Sms,
    /// An e-mail.
    Mail,
    /// Opens a ticket.
    TicketCreate,
    /// Adds an article.
    TicketNote,
    /// Closes a ticket.
    TicketClose,
    /// Asks for a truck.
    DispatchRequest,
    /// Takes a job back.
    DispatchCancel,
    /// Asks how a job stands; changes nothing, so it may be repeated at will.
    DispatchStatus,
    /// A command to a device.
    Command,
    /// A signed POST; the receiver knows repetitions by its id.
    Webhook,
    /// Asks a workshop for free times; changes nothing.
    BookSearch,
    /// Has a time kept for a while. Ends by itself, and is never asked for twice.
    BookHold,
    /// Books.
    BookCreate,
    /// Takes a booking back; the workshop knows repetitions by its name.
    BookCancel,
    /// Asks how a booking stands; changes nothing.
    BookStatus,
    /// A message in the customer's app.
    AppPush,
}

impl Kind {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Sms => "sms",
            Self::Mail => "mail",
            Self::TicketCreate | Self::TicketNote | Self::TicketClose => "ticket",
            Self::DispatchRequest | Self::DispatchCancel | Self::DispatchStatus => "dispatch",
            Self::Command => "command",
            Self::Webhook => "webhook",
            Self::BookSearch | Self::BookHold | Self::BookCreate | Self::BookCancel | Self::BookStatus => "booking",
            Self::AppPush => "app_push",
        }
    }

    /// A message to a person, as opposed to an order to a machine or a company.
    #[must_use]
    pub fn is_contact(self) -> bool {
        matches!(self, Self::Call | Self::Sms | Self::Mail | Self::AppPush)
    }

    /// Of unknown outcome it is let go of: a contact goes on by its ladder, a hold ends by itself. Of anything else a person
    /// is told.
    #[must_use]
    pub fn is_let_go(self) -> bool {
        self.is_contact() || self == Self::BookHold
    }

    /// The way to a person that it is, if it is one.
    #[must_use]
    pub fn channel(self) -> Option<Channel> {
        Some(match self {
            Self::Call => Channel::Call,
            Self::Sms => Channel::Sms,
            Self::Mail => Channel::Email,
            Self::AppPush => Channel::App,
            _ => return None,
        })
    }

    /// May be sent again although the first may have arrived.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(
            self,
            Self::DispatchStatus
                | Self::DispatchCancel
                | Self::Webhook
                | Self::BookSearch
                | Self::BookCancel
                | Self::BookStatus
        )
    }
}

/// How an unknown outcome is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// When to ask the provider, counted from when the outcome became unknown. "No such thing" counts only at the last
    /// of them: indexes of providers lag.
    pub ask_after: [Option<Span>; 2],
    /// After this it is decided by policy.
    pub t_max: Span,
    /// How long after `t_max` a last look is taken before giving up (service: hold, look again).
    pub hold: Span,
}

/// The plan for an effect. `ring` is the ringing time of a call, `expires` the remaining life of a command.
#[must_use]
pub fn plan_for(kind: Kind, purpose: Purpose, ring: Span, expires: Span) -> Plan {
    let hold = if purpose == Purpose::Service && kind.is_contact() { Span::from_mins(15) } else { Span::ZERO };
    let twice = |second: i64| [Some(Span::ZERO), Some(Span::from_secs(second))];
    let (ask_after, t_max) = match kind {
        // A call shows itself by its callbacks; the list of calls is asked when it must have ended.
        Kind::Call => ([Some(ring + Span::from_secs(10)), None], ring + Span::from_secs(10)),
        Kind::Sms => ([Some(Span::from_secs(20)), None], Span::from_secs(60)),
        // Asking is posting again with the same id, which their back end takes in once.
        Kind::AppPush => (twice(20), Span::from_secs(60)),
        // Nobody can be asked whether a mail arrived.
        Kind::Mail => ([None, None], Span::from_mins(5)),
        Kind::TicketCreate | Kind::TicketNote | Kind::TicketClose => (twice(12), Span::from_secs(60)),
        Kind::DispatchRequest | Kind::BookCreate => (twice(10), Span::from_secs(30)),
        Kind::Command => ([None, None], expires),
        Kind::DispatchCancel
        | Kind::DispatchStatus
        | Kind::Webhook
        | Kind::BookSearch
        | Kind::BookHold
        | Kind::BookCancel
        | Kind::BookStatus => ([None, None], Span::ZERO),
    };
    Plan { ask_after, t_max, hold }
}
