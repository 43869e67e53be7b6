//! `do = "command"`: correct the device, within what its playbook allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reaction::{Reaction, reactions};
use super::{DURATION, condition, template};
use crate::domain::{AdapterName, Span};
use crate::playbook::load::{MentionOf, Notes, ProviderKind};
use crate::playbook::names::Audience;
use crate::playbook::{Condition, Template};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// `do = "command"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which provider.
    pub provider: AdapterName,
    /// Template.
    pub topic: Template,
    /// Template.
    pub payload: Template,
    /// What it asks of the device; one of the allowed ones.
    pub op: Arc<str>,
    /// A device must refuse it after this time.
    pub expires: Span,
    /// Must be true when it is sent.
    pub guard: Vec<Condition>,
    /// Topic filter on which devices answer; `None`: they do not.
    pub reply_filter: Option<Arc<str>>,
    /// How long the device may take to answer.
    pub reply_within: Span,
    /// What proves that it helped, and until when.
    pub verify: Option<(Condition, Span)>,
    /// `ok`, `refused`, `no_reply`, `not_verified`.
    pub on: BTreeMap<Arc<str>, Reaction>,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Command> {
    let provider = match t.text(diags, "provider") {
        Some(p) => {
            notes.mention(MentionOf::Provider(ProviderKind::Command), &p);
            AdapterName::from(&*p.value)
        }
        None => AdapterName::from("device"),
    };
    let topic = t.need_text(diags, "topic").and_then(|x| template(diags, &x, Audience::Command));
    let payload_text = t.need_text(diags, "payload");
    let payload = payload_text.as_ref().and_then(|x| template(diags, x, Audience::Command));
    t.need(diags, "allow");
    let allow = t.texts(diags, "allow");
    let op = payload_text.as_ref().and_then(|p| operation(diags, p, &allow));
    let expires = t.parsed::<Span>(diags, "expires", DURATION);
    let guard = t.texts(diags, "guard").iter().filter_map(|g| condition(diags, g, notes)).collect();
    let reply = t.table(diags, "reply").map(|r| {
        let topic = r.need_text(diags, "topic").map(|topic| any_of(&topic.value));
        // An answer carries the id of its command; there is nothing else to match by.
        let _id = r.text(diags, "match");
        let within = r.parsed::<Span>(diags, "within", DURATION);
        r.finish(diags);
        (topic, within)
    });
    let (reply_filter, reply_within) = reply.unwrap_or((None, None));
    let verify = t.table(diags, "verify").and_then(|v| {
        let expect = v.need_text(diags, "expect").and_then(|e| condition(diags, &e, notes));
        v.need(diags, "within");
        let within = v.parsed::<Span>(diags, "within", DURATION);
        v.finish(diags);
        Some((expect?, within?.value))
    });
    let on = reactions(diags, t, &["ok", "refused", "no_reply", "not_verified"], notes);
    let expires = expires.map_or(Span::from_mins(2), |e| e.value);
    Some(Command {
        provider,
        topic: topic?,
        payload: payload?,
        op: op?,
        expires,
        guard,
        reply_filter,
        reply_within: reply_within.map_or(expires, |r| r.value),
        verify,
        on,
    })
}

/// The filter for the topics of all devices or cases: each level with something to fill in becomes `+`.
pub(super) fn any_of(topic: &str) -> Arc<str> {
    let levels: Vec<&str> = topic.split('/').map(|level| if level.contains("{{") { "+" } else { level }).collect();
    levels.join("/").into()
}

/// The `op` of the payload must be written out and be one of `allow`.
fn operation(diags: &mut Diagnostics, payload: &Text, allow: &[Text]) -> Option<Arc<str>> {
    let start = payload.value.find("\"op\"")?;
    let op = payload.value[start + 4..].trim_start().strip_prefix(':').map(str::trim_start);
    let op = op.and_then(|o| o.strip_prefix('"')).and_then(|o| o.split('"').next()).unwrap_or("");
    if allow.iter().any(|a| *a.value == *op) {
        return Some(op.into());
    }
    let offset = payload.value[start + 4..].find(op).map_or(start, |o| start + 4 + o);
    let place = payload.inner(diags, offset..offset + op.len().max(1));
    let allowed: Vec<&str> = allow.iter().map(|a| &*a.value).collect();
    let near = did_you_mean(op, allowed.iter().copied());
    let hint = near.map_or_else(|| format!("it allows: {}", allowed.join(", ")), |n| format!("did you mean '{n}'?"));
    diags.push(
        Diagnostic::error("P011", format!("the command '{op}' is not in the `allow` list of the step"))
            .at(place, "not allowed")
            .hint(hint),
    );
    Some(op.into())
}
