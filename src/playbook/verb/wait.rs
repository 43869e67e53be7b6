//! `do = "wait_for"`: wait until the facts say so.

use super::reaction::{Reaction, reaction};
use super::{Within, condition};
use crate::playbook::Condition;
use crate::playbook::load::Notes;
use crate::source::{Diagnostics, Table};

/// `do = "wait_for"`.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitFor {
    /// What must become true.
    pub expect: Condition,
    /// In this time.
    pub within: Within,
    /// If not.
    pub otherwise: Reaction,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<WaitFor> {
    let expect = t.need_text(diags, "expect").and_then(|e| condition(diags, &e, notes));
    t.need(diags, "within");
    let within = t.parsed::<Within>(diags, "within", "a duration such as 20m, or booking.start + 10d");
    let otherwise = t.need_text(diags, "else").and_then(|e| reaction(diags, &e, notes));
    Some(WaitFor { expect: expect?, within: within?.value, otherwise: otherwise? })
}
