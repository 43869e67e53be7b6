//! Waits that can come true, and answers that are waited for long enough.

use super::View;
use crate::domain::{Purpose, Span};
use crate::playbook::{Condition, Verb};
use crate::source::{Diagnostic, Diagnostics};

/// Longer than this, a promise is forgotten by whoever was given it.
const LONGEST_WAIT: Span = Span::from_hours(24 * 90);
/// Who waits for a truck in danger is not to wait longer for its provider's answer.
const LONGEST_ACCEPT: Span = Span::from_mins(30);

pub(super) fn waits_can_come_true(diags: &mut Diagnostics, view: &View<'_>) {
    for step in &view.book.steps {
        let (expect, within): (&Condition, Span) = match &step.verb {
            // How long it is until an appointment, nobody knows here.
            Verb::WaitFor(w) if w.within.after_booking => continue,
            Verb::WaitFor(w) => (&w.expect, w.within.span),
            Verb::Command(c) => match &c.verify {
                Some((expect, within)) => (expect, *within),
                None => continue,
            },
            _ => continue,
        };
        let needs = expect.shortest();
        if needs >= within {
            let message = format!("the step `{}` can never see `{}` within {within}", step.id, expect.text);
            let finding = Diagnostic::error("P034", message);
            let label = format!("it has to hold for {needs} first");
            diags.push(view.at_step(finding, &step.id, &label).hint("give `within` more time than the `for` takes"));
        } else if within > LONGEST_WAIT {
            let finding = Diagnostic::warning("P034", format!("the step `{}` waits for {within}", step.id));
            diags.push(view.at_step(finding, &step.id, "who was promised something has forgotten it by then"));
        }
    }
}

pub(super) fn answers_come_in_time(diags: &mut Diagnostics, view: &View<'_>) {
    for step in &view.book.steps {
        match &step.verb {
            Verb::Command(c) if c.reply_within > c.expires => {
                let message = format!("the step `{}` waits {} for an answer", step.id, c.reply_within);
                let label = format!("the command is void after {}", c.expires);
                diags.push(view.at_step(Diagnostic::warning("P034", message), &step.id, &label));
            }
            Verb::Dispatch(d) if view.book.policy.purpose == Purpose::Safety && d.deadline.accept > LONGEST_ACCEPT => {
                let message = format!("the safety step `{}` gives a provider {} to answer", step.id, d.deadline.accept);
                let finding = Diagnostic::warning("P034", message);
                diags.push(
                    view.at_step(finding, &step.id, "nobody else is asked meanwhile").hint("write accept = \"90s\""),
                );
            }
            _ => {}
        }
    }
}
