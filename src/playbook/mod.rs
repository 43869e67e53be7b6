//! Playbook files to checked plans, and the texts that plans speak with.
//!
//! A file is read completely: every mistake is a finding with a caret (codes `P001`…), and a playbook with mistakes is
//! not loaded. What is loaded cannot fail later for a reason that was visible in the file.

mod calendar;
mod chart;
mod check;
mod condition;
mod load;
mod messages;
mod names;
mod speak;
mod storm;
mod template;
mod types;
mod verb;
mod words;

pub use chart::Viewer;
pub use condition::{Call, Condition, ConditionError, Facts, Held, Verdict};
pub use load::{FleetFacts, ProviderKind, Surroundings, compile_stored, load};
pub use messages::{INSTRUCTIONS, Messages, Part};
pub use names::TEXT_NAMES;
pub use speak::clock;
pub use storm::{Gate, Order, OurFault, RATES, Storm, Surge, Tier};
pub use template::{Template, TemplateError};
pub use types::{Cancel, CaseSpec, Compensation, ContactMax, Match, Playbook, Policy, QuietHours, Sla, SourceHash};
pub use verb::{
    BOOK_ROUNDS, Book, CHOICE_SCRIPT, Command, Correlate, Deadlines, Dispatch, Find, Hold, Human, INVITE_SCRIPT,
    Invite, Mirror, REMINDER_SCRIPT, REQUEST_SCRIPT, Reach, Reaction, Rung, Step, Survey, Term, Ticket, Until, Verb,
    Via, WaitFor, Webhook, Within,
};

#[cfg(test)]
mod tests;
