//! What only the whole playbook can tell, and the playbook with what surrounds it. Each check is a small function in a
//! table; all of them run, so that everything that is wrong is told at once.
//!
//! | file | what it looks at |
//! |---|---|
//! | `names` | names that must exist |
//! | `plan` | goals, and steps that must be able to start |
//! | `bookings` | appointments: found before they are booked, kept for as long as somebody is asked |
//! | `people` | ladders: who is told, by which way, how fast, with which proof, and that safety ends with a person |
//! | `time` | waits that can come true |
//! | `facts` | what texts and conditions speak of, and who provides it |

mod bookings;
mod facts;
mod names;
mod people;
mod plan;
#[cfg(test)]
mod tests;
mod time;

use super::load::{FleetFacts, Notes, Surroundings};
use super::types::Playbook;
use crate::domain::StepId;
use crate::source::{Diagnostic, Diagnostics};

/// What a check sees.
struct View<'a> {
    book: &'a Playbook,
    notes: &'a Notes,
    /// `None` for a stored playbook: providers and queues may have gone since.
    around: Option<&'a Surroundings>,
}

impl View<'_> {
    /// The finding with the place of a step's name.
    fn at_step(&self, finding: Diagnostic, id: &StepId, label: &str) -> Diagnostic {
        match self.notes.step_ids.iter().find(|s| *s.value == *id.as_str()) {
            Some(name) => finding.at(name.place.clone(), label),
            None => finding,
        }
    }

    /// What is known of the fleet, unless it has no device of this playbook's kinds: then nothing of it is proof.
    fn fleet(&self) -> Option<&FleetFacts> {
        let own = &self.book.matches.device_kinds;
        let fleet = self.around?.fleet.as_ref()?;
        let some = fleet.kinds.is_empty() || own.is_empty() || own.iter().any(|kind| fleet.kinds.contains_key(kind));
        some.then_some(fleet)
    }

    /// The finding with the place of the policy.
    fn at_policy(&self, finding: Diagnostic, label: &str) -> Diagnostic {
        match &self.notes.policy {
            Some(place) => finding.at(place.clone(), label),
            None => finding,
        }
    }
}

type Check = fn(&mut Diagnostics, &View<'_>);

const ALWAYS: &[Check] = &[names::exist, names::duplicates];

/// Only if every step could be read, so that what is missing is really missing.
const WHOLE: &[Check] = &[
    plan::goals_can_be_met,
    people::safety_ends_with_a_person,
    plan::no_circles,
    plan::steps_are_reached,
    bookings::hold_comes_first,
    bookings::times_last_as_long_as_the_ladder,
    people::ladders_can_prove,
    people::ways_exist,
    people::budgets_fit_their_providers,
    people::rungs_can_be_used,
    people::somebody_consented,
    people::agreements_can_be_missing,
    people::somebody_may_be_asked,
    time::waits_can_come_true,
    time::answers_come_in_time,
    facts::texts_have_readers,
    facts::texts_ask_before_they_promise,
    facts::devices_have_what_is_spoken_of,
    facts::attachments_exist,
];

pub(super) fn check(
    diags: &mut Diagnostics,
    book: &Playbook,
    notes: &Notes,
    surroundings: Option<&Surroundings>,
    complete: bool,
) {
    let view = View { book, notes, around: surroundings };
    let whole = if complete { WHOLE } else { &[] };
    ALWAYS.iter().chain(whole).for_each(|check| check(diags, &view));
}
