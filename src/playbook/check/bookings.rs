//! Appointments: what is booked must have been found, and kept for as long as the customer is asked.

use super::View;
use crate::domain::StepId;
use crate::playbook::{BOOK_ROUNDS, Playbook, Until, Verb};
use crate::source::{Diagnostic, Diagnostics};

/// The steps that `id` waits for, directly or not.
fn before<'a>(book: &'a Playbook, id: &'a StepId) -> Vec<&'a StepId> {
    let mut found: Vec<&StepId> = Vec::new();
    let mut open = vec![id];
    while let Some(next) = open.pop() {
        for id in book.step(next).iter().flat_map(|s| &s.after) {
            if !found.contains(&id) {
                found.push(id);
                open.push(id);
            }
        }
    }
    found
}

pub(super) fn hold_comes_first(diags: &mut Diagnostics, view: &View<'_>) {
    let book = view.book;
    let finds = |id: &StepId| book.step(id).is_some_and(|s| matches!(&s.verb, Verb::Book(b) if b.find.is_some()));
    for step in &book.steps {
        let Verb::Book(b) = &step.verb else { continue };
        if !b.confirm || b.find.is_some() || before(book, &step.id).into_iter().any(finds) {
            continue;
        }
        let finding = Diagnostic::error("P040", format!("the step `{}` books a time that nobody has found", step.id));
        let hint = "let it wait (`after`) for a step with mode = \"hold\", or give it a `window` of its own";
        diags.push(view.at_step(finding, &step.id, "no `hold` comes before it").hint(hint));
    }
}

/// Times that have run out are replaced by others, but not for ever.
pub(super) fn times_last_as_long_as_the_ladder(diags: &mut Diagnostics, view: &View<'_>) {
    let book = view.book;
    for step in &book.steps {
        let Verb::Reach(reach) = &step.verb else { continue };
        if reach.until != Until::AnsweredChoice {
            continue;
        }
        let last = reach.ladder.iter().map(|rung| rung.at).max().unwrap_or_default();
        for id in before(book, &step.id) {
            let Some(Verb::Book(b)) = book.step(id).map(|s| &s.verb) else { continue };
            let Some(find) = b.find.as_ref().filter(|f| f.hold_for.times(i64::from(BOOK_ROUNDS)) < last) else {
                continue;
            };
            let message = format!(
                "the times of `{id}` run out before the ladder of `{}` ends: {BOOK_ROUNDS} x {} is less than {last}",
                step.id, find.hold_for
            );
            let finding = Diagnostic::error("P040", message);
            diags
                .push(view.at_step(finding, id, "nothing to choose from by then").hint("keep them longer: `hold_for`"));
        }
    }
}
