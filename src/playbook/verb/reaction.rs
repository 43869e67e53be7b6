//! What a step does when something goes another way.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{QueueName, Role, ScriptId, StepId};
use crate::playbook::Part;
use crate::playbook::load::{MentionOf, Notes};
use crate::source::{Diagnostic, Diagnostics, Table, Text};

/// What to do when something goes another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Ask the next provider.
    NextProvider,
    /// Page a queue.
    Human(QueueName),
    /// Tell a role; the script is that of the event (`eta-slipped`).
    Tell(Role),
    /// Start a step.
    Goto(StepId),
    /// Do it again, at most so many times.
    Again(u32),
    /// Begin again at a step: it and all that come after it.
    AgainStep(StepId),
    /// The case is over, with this outcome.
    Close(Arc<str>),
    /// Send the invitation anew.
    Reinvite,
    /// Say this text from now on; of the case of a storm.
    Script(ScriptId),
    /// The command is over all the same, and what comes after it starts.
    Proceed,
}

pub(super) fn reactions(
    diags: &mut Diagnostics,
    t: &Table<'_>,
    events: &[&str],
    notes: &mut Notes,
) -> BTreeMap<Arc<str>, Reaction> {
    let mut found = BTreeMap::new();
    let Some(table) = t.table(diags, "on") else { return found };
    for event in events {
        if let Some(text) = table.text(diags, event)
            && let Some(reaction) = reaction(diags, &text, notes)
        {
            found.insert((*event).into(), reaction);
        }
    }
    table.finish(diags);
    found
}

/// `next_provider`, `human:queue`, `tell:role`, `goto:step`, `again:1`, `again:step`, `close:outcome`, `reinvite`,
/// `script:name`, `proceed`, or the name of a step.
pub(in crate::playbook) fn reaction(diags: &mut Diagnostics, text: &Text, notes: &mut Notes) -> Option<Reaction> {
    let value = text.value.clone();
    let name = |diags: &Diagnostics, offset: usize| -> Text {
        Text { value: value[offset..].into(), place: text.inner(diags, offset..value.len()) }
    };
    let reaction = match value.split_once(':') {
        None if &*value == "next_provider" => Some(Reaction::NextProvider),
        None if &*value == "reinvite" => Some(Reaction::Reinvite),
        None if &*value == "proceed" => Some(Reaction::Proceed),
        None => {
            notes.mention(MentionOf::Step, text);
            Some(Reaction::Goto(StepId::from(&*value)))
        }
        Some(("human", queue)) => {
            notes.mention(MentionOf::Queue, &name(diags, 6));
            Some(Reaction::Human(QueueName::from(queue)))
        }
        Some(("goto", step)) => {
            notes.mention(MentionOf::Step, &name(diags, 5));
            Some(Reaction::Goto(StepId::from(step)))
        }
        Some(("tell", role)) => Some(Reaction::Tell(role.into())),
        Some(("script", script)) => {
            let parts = vec![Part::Voice, Part::Sms, Part::AppTitle, Part::App];
            notes.mention(MentionOf::Script(parts), &name(diags, 7));
            Some(Reaction::Script(ScriptId::from(script)))
        }
        Some(("again", n)) if n.parse::<u32>().is_ok() => n.parse().ok().map(Reaction::Again),
        Some(("again", step)) => {
            notes.mention(MentionOf::Step, &name(diags, 6));
            Some(Reaction::AgainStep(StepId::from(step)))
        }
        Some(("close", outcome)) if !outcome.is_empty() => Some(Reaction::Close(outcome.into())),
        Some(_) => None,
    };
    if reaction.is_none() {
        diags.push(
            Diagnostic::error("P015", format!("'{value}' is not a reaction"))
                .at(text.place.clone(), "expected next_provider, human:queue, tell:role, goto:step, again:1, again:step, close:outcome, reinvite, script:name, proceed or a step"),
        );
    }
    reaction
}
