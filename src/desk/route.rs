//! Which human queue, and who of it first: by skill and by language. Whom a playbook names it names; otherwise the queue
//! that knows this kind of fault or device, in the language of the people concerned, is asked before the default one.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::facts::family;
use super::position::owner;
use super::rows::CaseRow;
use crate::domain::{CaseId, QueueName};

/// `[queue.<name>]`: what its people know.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Skills {
    /// Kinds of devices (`car`), families of faults (`brake`) or faults (`brake.circuit_loss`).
    pub skills: Vec<String>,
    /// Languages that it answers in (`de`).
    pub languages: Vec<String>,
}

/// Whether `locale` and `other` are the same language: `de-AT` and `de`.
fn same_language(locale: &str, other: &str) -> bool {
    let language = |text: &str| text.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    language(locale) == language(other)
}

/// The language of the people of a case: that of its driver, else of its owner.
fn language<'a>(change: &Change<'a>, case: &CaseRow) -> Option<&'a str> {
    let person = owner(change, &case.device)?;
    change.config.registry.customers.get(person).map(|c| &*c.locale)
}

/// The queue for a case whose playbook names none.
pub(super) fn queue(change: &Change<'_>, id: CaseId) -> Option<QueueName> {
    let case = change.get::<CaseRow>(&id)?;
    let kind = change.config.registry.devices.get(&case.device).map(|d| &*d.kind);
    let fault = case.fault.as_str();
    let wanted = language(change, &case);
    let knows = |s: &Skills| s.skills.iter().any(|k| k == fault || k == family(fault) || Some(k.as_str()) == kind);
    let speaks = |s: &Skills| wanted.is_some_and(|w| s.languages.iter().any(|l| same_language(l, w)));
    let able = change.config.skills.iter().filter(|(name, s)| change.config.queues.contains_key(*name) && knows(s));
    // The first by name of the best.
    able.min_by_key(|(_, s)| Reverse(speaks(s))).map(|(name, _)| name.clone())
}

/// The people of a queue in the order in which they are asked: who is known not to speak the language of the case last.
pub(super) fn order(change: &Change<'_>, id: CaseId, queue: &QueueName) -> Vec<usize> {
    let people = change.config.queues.get(queue).map_or(&[][..], Vec::as_slice);
    let case = change.get::<CaseRow>(&id);
    let wanted = case.as_ref().and_then(|c| language(change, c));
    let mut order: Vec<usize> = (0..people.len()).collect();
    let stranger = |i: &usize| {
        let own = people[*i].languages.iter().map(String::as_str);
        let mut spoken = own.chain(people[*i].locale.as_deref().filter(|_| people[*i].languages.is_empty()));
        // Whoever says nothing about it may well speak it, and a case without people has no language.
        spoken.clone().next().is_some() && wanted.is_some_and(|w| !spoken.any(|l| same_language(l, w)))
    };
    order.sort_by_key(stranger);
    order
}
