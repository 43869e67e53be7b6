//! The life of an effect: due, claimed, sent, known or unknown. Pure: the desk hands in what happened and stores what
//! comes back.
//!
//! Two rules decide everything here. *A state never goes backwards*: what a provider's callback proved cannot be
//! undone by a late answer to the request. *An unknown outcome is asked about before anything is repeated*, and what
//! is done when nobody can tell depends on what it was and why.

mod backoff;
mod budget;
mod delivery;
mod policy;

pub use backoff::back_off;
pub use budget::{Sliding, Window};
pub use delivery::{Ask, Delivery, Event, News, State};
pub use policy::{Kind, Plan, plan_for};

#[cfg(test)]
mod tests;
