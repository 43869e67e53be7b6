//! Names that must exist: steps, goals, queues, providers, scripts, roles.

use super::View;
use crate::playbook::load::{Mention, MentionOf};
use crate::source::{Diagnostic, Diagnostics, Text, did_you_mean};

pub(super) fn exist(diags: &mut Diagnostics, view: &View<'_>) {
    let mut mentions: Vec<&Mention> = view.notes.mentions.iter().collect();
    mentions.sort_by_key(|m| m.name.place.span.start);
    for mention in mentions {
        look_up(diags, view, mention);
    }
}

fn look_up(diags: &mut Diagnostics, view: &View<'_>, mention: &Mention) {
    let (name, notes) = (&mention.name, view.notes);
    let (code, what, known): (_, _, Vec<&str>) = match (&mention.what, view.around) {
        (MentionOf::Step, _) => ("P004", "step", notes.step_ids.iter().map(|s| &*s.value).collect()),
        (MentionOf::Goal, _) => ("P005", "goal", notes.goals.iter().map(|g| &*g.value).collect()),
        (MentionOf::Tier, _) => ("P050", "tier", notes.tiers.iter().map(|t| &*t.value).collect()),
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
        (MentionOf::Role, _) => return role(diags, name, view),
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

/// A role that nobody has reaches nobody. A warning: the registry may be filled later.
fn role(diags: &mut Diagnostics, name: &Text, view: &View<'_>) {
    let Some(known) = view.fleet().map(|fleet| &fleet.roles) else { return };
    if !known.is_empty() && !known.contains(&name.value) {
        let near = did_you_mean(&name.value, known.iter().map(|r| &**r)).map(|n| format!("did you mean `{n}`?"));
        let finding = Diagnostic::warning("P036", format!("no device of the registry has a `{}`", name.value));
        diags.push(finding.at(name.place.clone(), "reaches nobody").maybe_hint(near));
    }
}

pub(super) fn duplicates(diags: &mut Diagnostics, view: &View<'_>) {
    let notes = view.notes;
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
