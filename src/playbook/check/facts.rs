//! What the texts and conditions of a playbook speak of, and whether anybody provides it. A name that is missing when a
//! message is due is a message that is never sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::View;
use crate::playbook::load::MentionOf;
use crate::playbook::{Part, Template, Verb};
use crate::source::{Diagnostic, Diagnostics, Text, did_you_mean};

/// The names of the scripts that the playbook uses, with the part and the place of the script's name.
fn spoken<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Text, Part, &'a str)> {
    let around = view.around;
    view.notes.mentions.iter().flat_map(move |mention| {
        let parts: &[Part] = match &mention.what {
            MentionOf::Script(parts) => parts,
            _ => &[],
        };
        let names = move |part: &Part| {
            let part = *part;
            let names = around.map(|a| a.messages.names(&mention.name.value, part));
            names.into_iter().flatten().map(move |name| (&mention.name, part, name))
        };
        parts.iter().flat_map(names)
    })
}

/// The templates in the fields of the playbook.
fn fields<'a>(view: &View<'a>) -> Vec<(&'a crate::domain::StepId, &'a Template)> {
    let of = |verb: &'a Verb| -> Vec<&'a Template> {
        match verb {
            Verb::Ticket(t) => std::iter::once(&t.title).chain(t.fields.values()).chain(&t.device_back).collect(),
            Verb::Command(c) => vec![&c.topic, &c.payload],
            Verb::Hold(h) => vec![&h.switch],
            _ => Vec::new(),
        }
    };
    view.book.steps.iter().flat_map(|s| of(&s.verb).into_iter().map(|t| (&s.id, t))).collect()
}

/// Customers have no queue that pages them, and a ticket has no reader with a name and a link.
pub(super) fn texts_have_readers(diags: &mut Diagnostics, view: &View<'_>) {
    let tickets: BTreeSet<&str> = view
        .book
        .steps
        .iter()
        .filter_map(|s| match &s.verb {
            Verb::Ticket(t) => t.script.as_ref().map(|s| s.as_str()),
            _ => None,
        })
        .collect();
    for (script, part, name) in spoken(view) {
        let family = name.split('.').next().unwrap_or(name);
        let ticket = part == Part::Text && tickets.contains(&*script.value);
        let wrong = match family {
            "page" => "only people of a queue are paged",
            "items" => "only the frame `several` speaks of more than one case",
            "customer" | "link" if ticket => "a ticket is read by nobody in particular",
            _ => continue,
        };
        let message =
            format!("`{}.{}` speaks of `{name}`, which its reader does not have", script.value, part.suffix());
        diags.push(Diagnostic::error("P032", message).at(script.place.clone(), wrong));
    }
}

/// What may be absent although its step exists: whoever says it must have asked first.
const MAY_BE_ABSENT: [(&str, &[&str]); 4] = [
    ("dispatch.eta_minutes", &["dispatch.accepted", "dispatch.on_site", "dispatch.state"]),
    ("dispatch.eta_clock", &["dispatch.accepted", "dispatch.eta_minutes"]),
    ("dispatch.truck", &["dispatch.accepted", "dispatch.on_site", "dispatch.state"]),
    ("ticket.id", &["ticket.open"]),
];

pub(super) fn texts_ask_before_they_promise(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(around) = view.around else { return };
    let dispatches = view.book.steps.iter().any(|s| matches!(&s.verb, Verb::Dispatch(d) if !d.reserve));
    for (script, part, name) in spoken(view) {
        let Some((_, asks)) = MAY_BE_ABSENT.iter().find(|(absent, _)| *absent == name) else { continue };
        let asked = around.messages.names(&script.value, part).any(|other| asks.contains(&other));
        if asked {
            continue;
        }
        let message = format!("`{}.{}` speaks of `{name}`, which may not be known", script.value, part.suffix());
        let label = match name.starts_with("dispatch.") && !dispatches {
            true => "no step of this playbook dispatches anybody",
            false => "it would be said before it is so",
        };
        let finding = Diagnostic::error("P032", message).at(script.place.clone(), label);
        diags.push(finding.hint(format!("ask first: {{% if {} %}}…{{% endif %}}", asks[0])));
    }
}

/// `device.plate` of a device without a plate: warnings, for the registry may be filled later.
pub(super) fn devices_have_what_is_spoken_of(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(fleet) = view.fleet() else { return };
    let own = &view.book.matches.device_kinds;
    let kinds = fleet.kinds.iter().filter(|(kind, _)| own.is_empty() || own.contains(kind));
    let known: BTreeSet<&str> = kinds.flat_map(|(_, names)| names).map(|n| &**n).collect();
    if known.is_empty() {
        return;
    }
    let lacks = |name: &str| {
        let own = name.strip_prefix("device.")?;
        // `device.last.load` is `device.load`, of which somebody says that it may be old.
        let own = own.strip_prefix("last.").unwrap_or(own);
        let always = matches!(own, "id" | "kind");
        (!always && !known.contains(own)).then(|| did_you_mean(own, known.iter().copied()))
    };
    let message = |name: &str, by: String| {
        Diagnostic::warning("P032", format!("{by} speaks of `{name}`, and no device of this playbook has that"))
    };
    let hint = |near: Option<&str>| match near {
        Some(near) => format!("did you mean `device.{near}`?"),
        None => "a column of devices.csv, or a signal in `facts` of the model".to_owned(),
    };
    let mut told: BTreeSet<(Arc<str>, &str)> = BTreeSet::new();
    for (script, part, name) in spoken(view) {
        let Some(near) = lacks(name) else { continue };
        if told.insert((script.value.clone(), name)) {
            let by = format!("`{}.{}`", script.value, part.suffix());
            diags.push(message(name, by).at(script.place.clone(), "not sent without it").hint(hint(near)));
        }
    }
    for (step, template) in fields(view) {
        for name in template.names() {
            let Some(near) = lacks(name) else { continue };
            let finding = message(name, format!("the step `{step}`"));
            diags.push(view.at_step(finding, step, "not made without it").hint(hint(near)));
        }
    }
    for (name, place) in &view.notes.conditions {
        let Some(near) = lacks(name) else { continue };
        diags.push(message(name, "a condition".to_owned()).at(place.clone(), "never known").hint(hint(near)));
    }
}

/// Whatever fault opens the case, what its mails have attached must be there in the last-resort language.
pub(super) fn attachments_exist(diags: &mut Diagnostics, view: &View<'_>) {
    let Some(around) = view.around else { return };
    let families = view.book.matches.faults.iter().map(|f| f.as_str()).map(|f| (f.split('.').next().unwrap_or(f), f));
    let families: std::collections::BTreeMap<&str, &str> = families.collect();
    for (text, template) in &view.notes.attachments {
        for (family, fault) in &families {
            let name = |locale: &str| {
                let facts = serde_json::json!({ "fault": { "family": family, "name": fault }, "customer": { "locale": locale } });
                template.render(&facts)
            };
            let file = name("en");
            if file.as_ref().is_ok_and(|file| !around.messages.has_instruction(file)) {
                let file = file.unwrap_or_default();
                let finding = Diagnostic::error("P008", format!("there is no `{file}` among the messages"));
                diags.push(finding.at(text.place.clone(), "attached here"));
            }
        }
    }
}
