//! What only the whole playbook can tell: names that must exist, goals that somebody must be able to meet, a safety
//! plan that must end with a person.

use super::load::{Mention, MentionOf, Notes, Surroundings};
use super::types::{Playbook, QuietHours};
use super::verb::{Reaction, Verb, Via};
use crate::domain::{Purpose, StepId};
use crate::source::{Diagnostic, Diagnostics, did_you_mean};

/// `complete`: every step could be read, so that what is missing is really missing.
pub(super) fn check(
    diags: &mut Diagnostics,
    book: &Playbook,
    notes: &Notes,
    surroundings: Option<&Surroundings>,
    complete: bool,
) {
    let mut mentions: Vec<&Mention> = notes.mentions.iter().collect();
    mentions.sort_by_key(|m| m.name.place.span.start);
    for mention in mentions {
        look_up(diags, notes, mention, surroundings);
    }
    duplicates(diags, notes);
    debug_assert!(book.policy.quiet_hours == QuietHours::Respect || book.policy.purpose == Purpose::Safety);
    if !complete {
        return;
    }
    goals_can_be_met(diags, book, notes);
    safety_ends_with_a_person(diags, book, notes);
    no_circles(diags, book, notes);
}

fn look_up(diags: &mut Diagnostics, notes: &Notes, mention: &Mention, surroundings: Option<&Surroundings>) {
    let name = &mention.name;
    let (code, what, known): (_, _, Vec<&str>) = match (&mention.what, surroundings) {
        (MentionOf::Step, _) => ("P004", "step", notes.step_ids.iter().map(|s| &*s.value).collect()),
        (MentionOf::Goal, _) => ("P005", "goal", notes.goals.iter().map(|g| &*g.value).collect()),
        (MentionOf::Queue, Some(s)) => ("P006", "queue", s.queues.iter().map(|q| q.as_str()).collect()),
        (MentionOf::Provider(kind), Some(s)) => {
            if let Some(actual) = s.providers.get(&*name.value).filter(|k| *k != kind) {
                let message = format!("provider `{}` is of kind {actual:?}, {kind:?} is needed here", name.value);
                diags.push(Diagnostic::error("P007", message).at(name.place.clone(), "cannot do this"));
                return;
            }
            let able = s.providers.iter().filter(|(_, k)| *k == kind);
            ("P007", "provider", able.map(|(n, _)| n.as_str()).collect())
        }
        (MentionOf::Script(parts), Some(s)) => {
            let known: Vec<&str> = s.messages.scripts().collect();
            if known.contains(&&*name.value) {
                for part in parts.iter().filter(|p| !s.messages.has(&name.value, **p)) {
                    let file = format!("en/{}.{}", name.value, part.suffix());
                    diags.push(
                        Diagnostic::error("P008", format!("script `{}` lacks `{file}`", name.value))
                            .at(name.place.clone(), "used here for this channel")
                            .hint("the language `en` is the last resort for everybody and must be complete"),
                    );
                }
                return;
            }
            ("P008", "script", known)
        }
        (_, None) => return,
    };
    if !known.contains(&&*name.value) {
        let near = did_you_mean(&name.value, known.iter().copied());
        diags.push(
            Diagnostic::error(code, format!("there is no {what} `{}`", name.value))
                .at(name.place.clone(), format!("unknown {what}"))
                .maybe_hint(near.map(|n| format!("did you mean `{n}`?"))),
        );
    }
}

fn duplicates(diags: &mut Diagnostics, notes: &Notes) {
    for (i, id) in notes.step_ids.iter().enumerate() {
        if let Some(first) = notes.step_ids[..i].iter().find(|s| s.value == id.value) {
            diags.push(
                Diagnostic::error("P017", format!("there are two steps `{}`", id.value))
                    .at(id.place.clone(), "the second one")
                    .related(first.place.clone(), "the first one"),
            );
        }
    }
}

fn goals_can_be_met(diags: &mut Diagnostics, book: &Playbook, notes: &Notes) {
    for goal in &notes.goals {
        if !book.steps.iter().any(|s| s.goal.as_ref().is_some_and(|g| g.as_str() == &*goal.value)) {
            diags.push(
                Diagnostic::error("P005", format!("nobody can meet the goal `{}`", goal.value))
                    .at(goal.place.clone(), "no step has it")
                    .hint(format!("write `goal = \"{}\"` in the step that proves it", goal.value)),
            );
        }
    }
}

fn safety_ends_with_a_person(diags: &mut Diagnostics, book: &Playbook, notes: &Notes) {
    if book.policy.purpose != Purpose::Safety {
        return;
    }
    for step in &book.steps {
        let (Verb::Reach(reach), Some(_)) = (&step.verb, &step.goal) else { continue };
        if reach.ladder.iter().any(|r| matches!(r.via, Via::Human(_))) {
            continue;
        }
        let id = notes.step_ids.iter().find(|s| *s.value == *step.id.as_str());
        let finding = Diagnostic::error("P009", format!("the safety step `{}` has no human rung", step.id));
        let finding = match id {
            Some(id) => finding.at(id.place.clone(), "nobody is asked when nobody answers"),
            None => finding,
        };
        diags.push(finding.hint("end the ladder with { via = \"human\", at = \"3m\", queue = \"…\" }"));
    }
    let human = |r: &Reaction| matches!(r, Reaction::Human(_));
    let any = book.steps.iter().any(|s| match &s.verb {
        Verb::Human(_) => true,
        Verb::Reach(r) => r.ladder.iter().any(|r| matches!(r.via, Via::Human(_))),
        Verb::Dispatch(d) => d.on.values().any(human) || d.otherwise.as_ref().is_some_and(human),
        Verb::WaitFor(w) => human(&w.otherwise),
        Verb::Command(c) => c.on.values().any(human),
        Verb::Book(b) => b.on.values().any(human),
        Verb::Ticket(_) | Verb::Webhook(_) => false,
    });
    if let (false, Some(policy)) = (any, &notes.policy) {
        diags.push(
            Diagnostic::error("P009", "a safety playbook must be able to end with a person")
                .at(policy.clone(), "purpose = \"safety\"")
                .hint("add a human rung, a `human` step, or `else = \"human:<queue>\"`"),
        );
    }
}

fn no_circles(diags: &mut Diagnostics, book: &Playbook, notes: &Notes) {
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
