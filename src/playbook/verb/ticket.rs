//! `do = "ticket"`: open and keep a ticket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::template;
use crate::domain::{AdapterName, ScriptId};
use crate::playbook::load::{MentionOf, Notes, ProviderKind};
use crate::playbook::names::Audience;
use crate::playbook::{Part, Template};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// What a ticket mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mirror {
    /// Who was told what.
    Contact,
    /// How the truck stands.
    Dispatch,
    /// Everything else worth a line.
    Note,
}

/// `do = "ticket"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Which provider.
    pub desk: AdapterName,
    /// Templates.
    pub title: Template,
    /// Templates, by field of the desk.
    pub fields: BTreeMap<String, Template>,
    /// Which later events become articles.
    pub mirror: Vec<Mirror>,
    /// Of the case of a storm: what becomes of its children is linked here, as they have no tickets of their own.
    pub link_children: bool,
    /// When the fault has gone by itself, the ticket is solved with this text.
    pub device_back: Option<Template>,
    /// A script for the first article; without it the case's facts are listed.
    pub script: Option<ScriptId>,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Ticket> {
    let desk = t.need_text(diags, "desk");
    if let Some(desk) = &desk {
        notes.mention(MentionOf::Provider(ProviderKind::Ticket), desk);
    }
    let mut fields = BTreeMap::new();
    let mut title = None;
    if let Some(table) = t.table(diags, "fields") {
        let keys: Vec<Text> = table.keys().collect();
        for key in keys {
            let Some(text) = table.text(diags, &key.value) else { continue };
            let Some(parsed) = template(diags, &text, Audience::Field) else { continue };
            match &*key.value {
                "title" => title = Some(parsed),
                other => {
                    fields.insert(other.to_owned(), parsed);
                }
            }
        }
        table.finish(diags);
    }
    let mut mirror = Vec::new();
    for word in t.texts(diags, "mirror") {
        match &*word.value {
            "contact" => mirror.push(Mirror::Contact),
            "dispatch" => mirror.push(Mirror::Dispatch),
            "note" => mirror.push(Mirror::Note),
            other => {
                let near = did_you_mean(other, ["contact", "dispatch", "note"]);
                diags.push(
                    Diagnostic::error("P015", format!("a ticket mirrors no '{other}'"))
                        .at(word.place, "expected contact, dispatch or note")
                        .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
                );
            }
        }
    }
    let children = t.text(diags, "children");
    if let Some(text) = children.as_ref().filter(|text| &*text.value != "link") {
        let finding = Diagnostic::error("P051", format!("`children` is '{}'", text.value));
        diags.push(finding.at(text.place.clone(), "expected link"));
    }
    let device_back = device_back(diags, t);
    let script = t.text(diags, "script");
    if let Some(script) = &script {
        notes.mention(MentionOf::Script(vec![Part::Text]), script);
    }
    Some(Ticket {
        desk: AdapterName::from(&*desk?.value),
        title: title.or_else(|| Template::parse("[{{ case.id }}] {{ case.title }}").ok())?,
        fields,
        mirror,
        link_children: children.is_some(),
        device_back,
        script: script.map(|s| ScriptId::from(&*s.value)),
    })
}

/// `on = { device_back = "ticket.resolve('…')" }`.
fn device_back(diags: &mut Diagnostics, t: &Table<'_>) -> Option<Template> {
    let on = t.table(diags, "on")?;
    let text = on.text(diags, "device_back");
    on.finish(diags);
    let text = text?;
    let quoted = text.value.trim().strip_prefix("ticket.resolve('").and_then(|rest| rest.strip_suffix("')"));
    let Some(quoted) = quoted else {
        let finding = Diagnostic::error("P015", format!("'{}' is nothing that a ticket can do", text.value));
        diags.push(finding.at(text.place, "expected ticket.resolve('text')"));
        return None;
    };
    let start = text.value.find(quoted).unwrap_or(0);
    let place = text.inner(diags, start..start + quoted.len());
    template(diags, &Text { value: quoted.into(), place }, Audience::Field)
}
