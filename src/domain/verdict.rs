//! What became of a case in truth, as whoever has seen the device says: a workshop, an agent, the customer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{At, redact};

/// Whether there was a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It was found.
    Confirmed,
    /// Somebody has looked, and there was none.
    NoFaultFound,
    /// The customer says that there is none; nobody has looked.
    CustomerDenied,
    /// Nobody will ever know.
    Unknown,
}

impl Truth {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Confirmed, Self::NoFaultFound, Self::CustomerDenied, Self::Unknown];

    /// The word used in files, on the command line and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::NoFaultFound => "no_fault_found",
            Self::CustomerDenied => "customer_denied",
            Self::Unknown => "unknown",
        }
    }
}

/// Who got in touch first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstContact {
    /// We told the customer before they noticed.
    Us,
    /// They told us.
    Customer,
}

impl FirstContact {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Us, Self::Customer];

    /// The word used in files, on the command line and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Customer => "customer",
        }
    }
}

macro_rules! words {
    ($($name:ident),*) => {$(
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let known = || Self::ALL.map(Self::as_str).join(", ");
                Self::ALL.into_iter().find(|w| w.as_str() == text).ok_or_else(|| format!("'{text}' is none of {}", known()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}
words!(Truth, FirstContact);

/// What somebody says of a case. What is absent stays as it was said before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether there was a fault.
    #[serde(default)]
    pub truth: Option<Truth>,
    /// Which part was replaced, as the workshop names it; 1 to 100 characters, and nobody's name.
    #[serde(default)]
    pub part_replaced: Option<String>,
    /// How content the customer is, 1 to 5.
    #[serde(default)]
    pub csat: Option<u8>,
    /// Who got in touch first; derived from the messages unless stated.
    #[serde(default)]
    pub first_contact_by: Option<FirstContact>,
    /// When the device failed, or would have been found failed: what lead time is measured to.
    #[serde(default)]
    pub failed_at: Option<At>,
    /// What it cost, in the unit of `[costs]`.
    #[serde(default)]
    pub cost: Option<f64>,
}

impl Verdict {
    /// What cannot be taken, for people.
    #[must_use]
    pub fn complaint(&self) -> Option<&'static str> {
        if *self == Self::default() {
            return Some(
                "it says nothing: give at least one of truth, part_replaced, csat, first_contact_by, failed_at, cost",
            );
        }
        let part = self.part_replaced.as_ref();
        if part.is_some_and(|p| p.trim().is_empty() || p.chars().count() > 100 || p.chars().any(char::is_control)) {
            return Some("part_replaced must be 1 to 100 characters on one line");
        }
        if part.is_some_and(|part| redact::names_somebody(part)) {
            return Some("part_replaced is the name of a part: no mailbox and no phone number");
        }
        if self.csat.is_some_and(|c| !(1..=5).contains(&c)) {
            return Some("csat must be 1 to 5");
        }
        self.cost.is_some_and(|c| !c.is_finite() || c < 0.0).then_some("cost must be a number from 0 on")
    }

    /// What it says that `before` did not say.
    #[must_use]
    pub fn since(self, before: &Self) -> Self {
        fn new<T: PartialEq>(now: Option<T>, before: &Option<T>) -> Option<T> {
            now.filter(|now| before.as_ref() != Some(now))
        }
        Self {
            truth: new(self.truth, &before.truth),
            part_replaced: new(self.part_replaced, &before.part_replaced),
            csat: new(self.csat, &before.csat),
            first_contact_by: new(self.first_contact_by, &before.first_contact_by),
            failed_at: new(self.failed_at, &before.failed_at),
            cost: new(self.cost, &before.cost),
        }
    }

    /// What `later` says, and for the rest what was said before.
    #[must_use]
    pub fn corrected(self, later: Self) -> Self {
        Self {
            truth: later.truth.or(self.truth),
            part_replaced: later.part_replaced.or(self.part_replaced),
            csat: later.csat.or(self.csat),
            first_contact_by: later.first_contact_by.or(self.first_contact_by),
            failed_at: later.failed_at.or(self.failed_at),
            cost: later.cost.or(self.cost),
        }
    }
}
