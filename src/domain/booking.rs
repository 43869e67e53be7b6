//! Appointments: what is asked of a workshop, and what it says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{At, EffectId, Span};

/// A time that can be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// When it begins.
    pub start_at: At,
    /// When it ends.
    pub end_at: At,
}

/// What to do at a workshop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookWork {
    /// Which of these times are free? Changes nothing.
    Search {
        /// What is to be done there.
        service: String,
        /// The times in question.
        slots: Vec<Slot>,
    },
    /// Keep a time for a while; it is given back by itself.
    Hold {
        /// What is to be done there.
        service: String,
        /// Which time.
        slot: Slot,
        /// Until when we would like to have it.
        until_at: At,
    },
    /// Book it.
    Create {
        /// What is to be done there.
        service: String,
        /// Which time.
        slot: Slot,
        /// The hold that this uses up, if the workshop gives any.
        lease: Option<String>,
        /// Who comes: `name`, `phone`, `email`, `locale`, as far as they are known.
        who: BTreeMap<String, String>,
        /// With what, and what is wrong with it.
        note: String,
    },
    /// Take a booking back. Doing it twice changes nothing.
    Cancel {
        /// As the workshop names it.
        booking: String,
    },
    /// How does a booking stand? Changes nothing.
    Status {
        /// The effect that made it.
        created_by: EffectId,
        /// As the workshop names it.
        booking: String,
    },
}

/// What a workshop says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookingNews {
    /// These times are free.
    Free {
        /// In the order in which they were asked for.
        slots: Vec<Slot>,
    },
    /// The time is kept.
    Held {
        /// The workshop's name of the hold; `None`: it keeps none, and the first to book has the time.
        lease: Option<String>,
        /// Until when, if it says.
        until_at: Option<At>,
    },
    /// The time is not to be had any more.
    Gone,
    /// A booking and how it stands.
    Stands {
        /// As the workshop names it.
        booking: String,
        /// How it stands.
        progress: BookingProgress,
        /// When it is, if the workshop says.
        slot: Option<Slot>,
    },
}

/// How a booking stands at the workshop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookingProgress {
    /// The workshop has it and has not agreed yet.
    Pending,
    /// Agreed.
    Confirmed,
    /// The customer is there.
    CheckedIn,
    /// The work is done.
    Done,
    /// The customer did not come.
    NoShow,
    /// Taken back, by the workshop or by us.
    Cancelled,
}

/// An appointment as it goes into a calendar, with the mail that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Invites, or takes the invitation back.
    pub method: InviteMethod,
    /// The same for all changes of one appointment.
    pub uid: String,
    /// Counts the changes from 0.
    pub sequence: u32,
    /// When it begins.
    pub start_at: At,
    /// When it ends.
    pub end_at: At,
    /// One line.
    pub summary: String,
    /// Where.
    pub location: String,
    /// So long before it the calendar rings.
    pub alarm: Option<Span>,
    /// Whoever gets it is asked whether it suits them; otherwise they have said so.
    pub rsvp: bool,
}

/// What an invitation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteMethod {
    /// A new appointment, or a change of one.
    Request,
    /// It will not take place.
    Cancel,
}
