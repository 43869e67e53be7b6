//! Ladders: whether they can prove what they are for, and whether each rung can be used.

use super::View;
use crate::domain::{Agreed, Purpose, Rate};
use crate::playbook::load::ProviderKind;
use crate::playbook::{Reach, Reaction, Step, Until, Verb, Via};
use crate::source::{Diagnostic, Diagnostics, did_you_mean};

fn reaches<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Step, &'a Reach)> {
    view.book.steps.iter().filter_map(|s| match &s.verb {
        Verb::Reach(reach) => Some((s, reach)),
        _ => None,
    })
}

fn has_human(reach: &Reach) -> bool {
    reach.ladder.iter().any(|r| matches!(r.via, Via::Human(_)))
}

pub(super) fn safety_ends_with_a_person(diags: &mut Diagnostics, view: &View<'_>) {
    let purpose = view.book.policy.purpose;
    // A step that is about danger in an everyday playbook is there for nothing else; in a safety playbook those that have to
    // reach somebody have a goal.
    let bound = |s: &Step| s.purpose.is_some() || s.goal.is_some();
    for (step, _) in reaches(view).filter(|(s, reach)| s.warns(purpose) && bound(s) && !has_human(reach)) {
        let finding = Diagnostic::error("P009", format!("the safety step `{}` has no human rung", step.id));
        let finding = view.at_step(finding, &step.id, "nobody is asked when nobody answers");
        diags.push(finding.hint("end the ladder with { via = \"human\", at = \"3m\", queue = \"…\" }"));
    }
    if purpose != Purpose::Safety {
        return;
    }
    let ends = |s: &Step| {
        matches!(&s.verb, Verb::Human(_))
            || matches!(&s.verb, Verb::Reach(reach) if has_human(reach))
            || s.verb.reactions().iter().any(|r| matches!(r, Reaction::Human(_)))
    };
    if !view.book.steps.iter().any(ends) {
        let finding = Diagnostic::error("P009", "a safety playbook must be able to end with a person");
        let finding = view.at_policy(finding, "purpose = \"safety\"");
        diags.push(finding.hint("add a human rung, a `human` step, or `else = \"human:<queue>\"`"));
    }
}

/// Whoever is called presses a key, and whoever gets a message answers it; a page to our own people asks no customer.
pub(super) fn ladders_can_prove(diags: &mut Diagnostics, view: &View<'_>) {
    for (step, reach) in reaches(view).filter(|(_, reach)| reach.until == Until::HumanConfirmed) {
        if reach.ladder.iter().all(|r| matches!(r.via, Via::Human(_))) {
            let message = format!("nobody can confirm the step `{}`: until = \"human_confirmed\"", step.id);
            let finding = view.at_step(Diagnostic::error("P031", message), &step.id, "no rung brings an answer");
            diags.push(finding.hint("add a call, sms, email or app_push rung, or make it a `human` step"));
        }
    }
}

fn means(via: &Via) -> Option<(&'static str, ProviderKind)> {
    match via {
        Via::Call => Some(("call", ProviderKind::Voice)),
        Via::Sms => Some(("sms", ProviderKind::Sms)),
        Via::Email => Some(("email", ProviderKind::Smtp)),
        Via::AppPush => Some(("app_push", ProviderKind::App)),
        Via::Human(_) => None,
    }
}

/// The queue of a storm is ours to keep: what goes out faster than its provider takes waits where nobody can call it back.
pub(super) fn budgets_fit_their_providers(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(around) = view.around else { return };
    for (via, rate, place) in &view.notes.budgets {
        let Some((name, kind)) = means(via) else { continue };
        // As `reach` does: the first that can.
        let provider = around.providers.iter().find(|(_, k)| **k == kind).map(|(provider, _)| provider);
        let Some((provider, limit)) = provider.and_then(|p| Some((p, *around.per_second.get(p)?))) else { continue };
        if rate.exceeds(Rate::per_second(limit)) {
            let message = format!("the budget for {name} is above the rate of its provider");
            let finding = Diagnostic::error("P052", message).at(place.clone(), "faster than it takes them");
            diags.push(
                finding.hint(format!("`provider.{provider}` takes {limit} a second: `per_second` in the settings")),
            );
        }
    }
}

/// The ways by which steps tell or ask customers something.
fn ways<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Step, &'a Via)> {
    let of = |step: &'a Step| -> Vec<&'a Via> {
        match &step.verb {
            Verb::Reach(reach) => reach.ladder.iter().map(|rung| &rung.via).collect(),
            Verb::Survey(survey) => survey.via.iter().collect(),
            _ => Vec::new(),
        }
    };
    view.book.steps.iter().flat_map(move |step| of(step).into_iter().map(move |via| (step, via)))
}

/// A way without a provider is skipped in silence when it is due.
pub(super) fn ways_exist(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(around) = view.around.filter(|a| !a.providers.is_empty()) else { return };
    for (step, via) in ways(view) {
        let Some((name, kind)) = means(via) else { continue };
        if !around.providers.values().any(|k| *k == kind) {
            let message = format!("a rung of `{}` goes over {name}, and no provider can do that", step.id);
            diags.push(view.at_step(Diagnostic::warning("P037", message), &step.id, "this rung is skipped"));
        }
    }
}

pub(super) fn rungs_can_be_used(diags: &mut Diagnostics, view: &View<'_>) {
    let max = view.book.policy.contact_max;
    for (step, reach) in reaches(view) {
        for (i, rung) in reach.ladder.iter().enumerate() {
            let (limit, what) = match rung.via {
                Via::Call => (max.calls, "calls"),
                Via::Sms => (max.sms, "sms"),
                Via::Email => (max.emails, "emails"),
                Via::AppPush => (max.app_pushes, "app_pushes"),
                Via::Human(_) => (None, ""),
            };
            let mut warn = |message: String, label: &str| {
                diags.push(view.at_step(Diagnostic::warning("P033", message), &step.id, label));
            };
            if limit == Some(0) {
                warn(format!("a rung of `{}` is never used: `contact_max` has {what} = 0", step.id), "its ladder");
            }
            if rung.attempts > 1 && rung.via != Via::Call {
                warn(format!("`attempts` of `{}` is for calls: nothing else is repeated", step.id), "its ladder");
            }
            if rung.hours.is_some() && step.warns(view.book.policy.purpose) {
                let finding = Diagnostic::error("P033", format!("a rung of `{}` waits for certain `hours`", step.id));
                let label = "danger is told of at any hour";
                diags.push(view.at_step(finding, &step.id, label));
                continue;
            }
            if reach.ladder[..i].iter().any(|before| before.via == rung.via && before.at == rung.at) {
                warn(
                    format!("two rungs of `{}` go the same way at the same time", step.id),
                    "the second reaches nobody new",
                );
            }
        }
    }
}

/// A playbook that may not contact any of the customers there are.
pub(super) fn somebody_consented(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(fleet) = view.fleet() else { return };
    let purpose = view.book.policy.purpose;
    let everyday = reaches(view).find(|(step, _)| !step.warns(purpose));
    let (Some(text), Some(_)) = (&view.notes.purpose, everyday) else { return };
    if !fleet.consents.is_empty() && !fleet.consents.contains(&Agreed::Contact(purpose)) {
        let message = format!("nobody in consents.csv has agreed to the purpose '{}'", text.value);
        let finding = Diagnostic::warning("P035", message).at(text.place.clone(), "so nobody may be told");
        diags.push(finding.hint(AGREE));
    }
}

const AGREE: &str = "customers of the registry agree to a purpose in consents.csv";

/// A survey that nobody is asked, because nobody has agreed to be.
pub(super) fn somebody_may_be_asked(diags: &mut Diagnostics, view: &View<'_>) {
    let nobody =
        view.fleet().is_some_and(|f| !f.consents.is_empty() && !f.consents.contains(&Agreed::Contact(Purpose::Info)));
    for step in view.book.steps.iter().filter(|s| nobody && matches!(s.verb, Verb::Survey(_))) {
        let finding = Diagnostic::warning("P035", "nobody in consents.csv has agreed to the purpose 'info'");
        diags.push(view.at_step(finding, &step.id, "so nobody is asked").hint(AGREE));
    }
}

/// What needs an agreement must have somewhere to go without it.
pub(super) fn agreements_can_be_missing(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(first) = view.notes.consents.first() else { return };
    if view.book.policy.purpose == Purpose::Safety {
        let finding = Diagnostic::error("P038", "a warning of danger asks nobody for a consent");
        diags.push(finding.at(first.place.clone(), "people would not be warned").hint("leave out `consent`"));
    } else if !view.book.steps.iter().any(|s| matches!(s.verb, Verb::Ticket(_)) && !s.only_called) {
        let finding =
            Diagnostic::error("P038", "without the consent the case goes to the ticket desk, and no step does");
        let finding = finding.at(first.place.clone(), "this may be missing");
        diags.push(finding.hint("add a step with `do = \"ticket\"`"));
    }
    let Some(fleet) = view.fleet().filter(|f| !f.consents.is_empty()) else { return };
    for name in view.notes.consents.iter().filter(|n| !fleet.consents.contains(&Agreed::Named(n.value.clone()))) {
        let message = format!("nobody in consents.csv has agreed to '{}'", name.value);
        let near = did_you_mean(&name.value, fleet.consents.iter().filter_map(named));
        let finding = Diagnostic::warning("P035", message).at(name.place.clone(), "so every case is a ticket only");
        diags.push(finding.maybe_hint(near.map(|n| format!("did you mean '{n}'?"))));
    }
}

fn named(agreed: &Agreed) -> Option<&str> {
    match agreed {
        Agreed::Named(name) => Some(name),
        Agreed::Contact(_) => None,
    }
}
