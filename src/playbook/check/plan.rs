//! The order of the steps: goals that somebody must be able to meet, steps that must be able to start.

use super::View;
use crate::domain::StepId;
use crate::playbook::{Playbook, Reaction};
use crate::source::{Diagnostic, Diagnostics};

pub(super) fn goals_can_be_met(diags: &mut Diagnostics, View { book, notes, .. }: &View<'_>) {
    for goal in &notes.goals {
        let of_storm = book.storm.as_ref().is_some_and(|s| s.meets(&goal.value));
        if !of_storm && !book.steps.iter().any(|s| s.goal.as_ref().is_some_and(|g| g.as_str() == &*goal.value)) {
            diags.push(
                Diagnostic::error("P005", format!("nobody can meet the goal `{}`", goal.value))
                    .at(goal.place.clone(), "no step has it")
                    .hint(format!("write `goal = \"{}\"` in the step that proves it", goal.value)),
            );
        }
    }
}

pub(super) fn no_circles(diags: &mut Diagnostics, View { book, notes, .. }: &View<'_>) {
    for step in &book.steps {
        let mut seen: Vec<&StepId> = Vec::new();
        let mut open: Vec<&StepId> = step.after.iter().collect();
        while let Some(id) = open.pop() {
            if *id == step.id {
                let place = notes.step_ids.iter().find(|s| *s.value == *id.as_str()).map(|s| s.place.clone());
                let finding = Diagnostic::error("P016", format!("the step `{id}` waits for itself and never starts"));
                diags.push(match place {
                    Some(place) => finding.at(place, "in a circle of `after`"),
                    None => finding,
                });
                break;
            }
            if !seen.contains(&id) {
                seen.push(id);
                open.extend(book.step(id).map(|s| s.after.iter()).into_iter().flatten());
            }
        }
    }
}

/// A step that starts only when another one asks for it, and nobody does; and what waits for such a step.
pub(super) fn steps_are_reached(diags: &mut Diagnostics, view: &View<'_>) {
    let book = view.book;
    let mut dead: Vec<&StepId> = Vec::new();
    for step in book.steps.iter().filter(|s| s.only_called && !is_called(book, &s.id)) {
        dead.push(&step.id);
        let finding = Diagnostic::error("P030", format!("nobody starts the step `{}`", step.id));
        let hint =
            format!("write `goto:{}` as a reaction (`on`, `else`) of another step, or leave out its `when`", step.id);
        diags.push(view.at_step(finding, &step.id, "it waits to be called").hint(hint));
    }
    while let Some(next) = dead.pop() {
        for step in book.steps.iter().filter(|s| s.after.contains(next)) {
            let finding = Diagnostic::error("P030", format!("the step `{}` never starts", step.id));
            let label = format!("it waits for `{next}`, which never starts");
            diags.push(view.at_step(finding, &step.id, &label));
            dead.push(&step.id);
        }
    }
}

fn is_called(book: &Playbook, id: &StepId) -> bool {
    let calls = |r: &&Reaction| matches!(r, Reaction::Goto(step) if step == id);
    book.steps.iter().any(|s| s.id != *id && s.verb.reactions().iter().any(calls))
}
