//! `do = "human"`: hand over to a person.

use crate::domain::QueueName;
use crate::playbook::load::{MentionOf, Notes};
use crate::source::{Diagnostics, Table};

/// `do = "human"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Human {
    /// Whose.
    pub queue: QueueName,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Human> {
    let queue = t.need_text(diags, "queue")?;
    notes.mention(MentionOf::Queue, &queue);
    Some(Human { queue: QueueName::from(&*queue.value) })
}
