//! `do = "survey"`: ask the customer for a mark when the work is done. It says nothing of its own and warns nobody: its
//! purpose is `info`, whatever the purpose of the playbook.

use super::{DURATION, Via};
use crate::domain::{Role, ScriptId, Span};
use crate::playbook::load::{MentionOf, Notes};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// The marks that can be given, as written in files and as outcomes take them.
const SCALE: &str = "1-5";
/// The question, unless the step names another text.
const SCRIPT: &str = "survey";
/// Who is asked, unless the step says so: the first of them whom we may ask.
const WHO: [&str; 2] = ["owner", "driver"];
/// An answer counts for this long, unless the step says so.
const EXPIRES: Span = Span::from_hours(14 * 24);

/// `do = "survey"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// In this order.
    pub who: Vec<Role>,
    /// In this order: one message is enough.
    pub via: Vec<Via>,
    /// The question.
    pub script: ScriptId,
    /// After the question; later answers do not count.
    pub expires: Span,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Survey> {
    misplaced(diags, t);
    let scale = t.need_text(diags, "scale");
    if let Some(scale) = scale.as_ref().filter(|s| &*s.value != SCALE) {
        let finding = Diagnostic::error("P038", format!("`scale` is '{}'", scale.value));
        diags.push(finding.at(scale.place.clone(), format!("expected {SCALE}: outcomes have no other marks")));
    }
    t.need(diags, "via");
    let via: Vec<Via> = t.texts(diags, "via").iter().filter_map(|text| way(diags, text)).collect();
    let script = t.text(diags, "script").unwrap_or_else(|| Text { value: SCRIPT.into(), place: t.place() });
    notes.mention(MentionOf::Script(via.iter().flat_map(Via::parts).copied().collect()), &script);
    let expires = t.parsed::<Span>(diags, "expires", DURATION);
    let named = t.texts(diags, "who");
    named.iter().for_each(|role| notes.mention(MentionOf::Role, role));
    let who = named.into_iter().map(|role| role.value).collect::<Vec<_>>();
    Some(Survey {
        who: if who.is_empty() { WHO.map(Role::from).to_vec() } else { who },
        via,
        script: ScriptId::from(&*script.value),
        expires: expires.map_or(EXPIRES, |e| e.value),
    })
}

/// Keys that every step may have and that make no sense here.
fn misplaced(diags: &mut Diagnostics, t: &Table<'_>) {
    let mut refuse = |what: &str, label: &str| {
        let finding = Diagnostic::error("P038", what.to_owned());
        diags.push(finding.at(t.place(), label));
    };
    if !t.has("after") {
        refuse("a survey asks how it went, and comes after nothing", "name the step that ends the work in `after`");
    }
    if t.has("goal") {
        refuse("a survey proves nothing: whether it is answered is up to the customer", "leave out `goal`");
    }
    if t.has("policy") {
        refuse("a survey warns nobody: its purpose is always `info`", "leave out `policy`");
    }
}

fn way(diags: &mut Diagnostics, text: &Text) -> Option<Via> {
    // A machine that calls to be praised is nobody's idea of service.
    let known = Via::WAYS.iter().filter(|(_, via)| *via != Via::Call);
    let found = known.clone().find(|(name, _)| **name == *text.value).map(|(_, via)| via.clone());
    if found.is_none() {
        let names: Vec<&str> = known.map(|(name, _)| *name).collect();
        let near = did_you_mean(&text.value, names.iter().copied()).map(|n| format!("did you mean '{n}'?"));
        let finding = Diagnostic::error("P038", format!("nobody is asked for a mark by '{}'", text.value));
        diags.push(finding.at(text.place.clone(), format!("expected {}", names.join(", "))).maybe_hint(near));
    }
    found
}
