//! Reading one `[[step]]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::{MentionOf, Notes, ProviderKind};
use super::names::{Audience, check_name};
use super::types::{
    Command, Deadlines, Dispatch, Human, Mirror, Reach, Reaction, Rung, Step, Ticket, Until, Verb, Via, WaitFor,
};
use super::{Condition, Part, Template};
use crate::domain::{AdapterName, GoalName, QueueName, ScriptId, Span, StepId};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

const DURATION: &str = "a duration such as 90s";

pub(super) fn read_step(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Step> {
    let id = t.need_text(diags, "id");
    notes.step_ids.extend(id.clone());
    let verb_name = t.need_text(diags, "do");
    let after: Vec<Text> = t.texts(diags, "after");
    for step in &after {
        notes.mention(MentionOf::Step, step);
    }
    let goal = t.text(diags, "goal");
    if let Some(goal) = &goal {
        notes.mention(MentionOf::Goal, goal);
    }
    let when_text = t.text(diags, "when");
    let only_called = when_text.as_ref().is_some_and(|w| &*w.value == "goto" || w.value.starts_with("only_from("));
    let when = when_text.filter(|_| !only_called).and_then(|w| condition(diags, &w, notes));
    let verb = match verb_name.as_ref().map(|v| &*v.value) {
        Some("reach") => reach(diags, &t, notes).map(Verb::Reach),
        Some("dispatch") => dispatch(diags, &t, notes).map(|d| Verb::Dispatch(Box::new(d))),
        Some("ticket") => ticket(diags, &t, notes).map(Verb::Ticket),
        Some("command") => command(diags, &t, notes).map(|c| Verb::Command(Box::new(c))),
        Some("wait_for") => wait_for(diags, &t, notes).map(Verb::WaitFor),
        Some("human") => t.need_text(diags, "queue").map(|queue| {
            notes.mention(MentionOf::Queue, &queue);
            Verb::Human(Human { queue: QueueName::from(&*queue.value) })
        }),
        Some(other) => {
            let place = verb_name.as_ref().map(|v| v.place.clone())?;
            let near = did_you_mean(other, Verb::NAMES);
            diags.push(
                Diagnostic::error("P003", format!("unknown verb '{other}'"))
                    .at(place, format!("expected one of {}", Verb::NAMES.join(", ")))
                    .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
            );
            // Its keys are not judged: with another verb they may all be right.
            return None;
        }
        None => return None,
    };
    t.finish(diags);
    Some(Step {
        id: StepId::from(&*id?.value),
        after: after.iter().map(|s| StepId::from(&*s.value)).collect(),
        goal: goal.map(|g| GoalName::from(&*g.value)),
        when,
        only_called,
        verb: verb?,
    })
}

/// Parses a condition, pointing at what is wrong inside of it.
pub(super) fn condition(diags: &mut Diagnostics, text: &Text, notes: &mut Notes) -> Option<Condition> {
    let parsed = match Condition::parse(&text.value) {
        Ok(c) => c,
        Err(e) => {
            let place = text.inner(diags, e.span.clone());
            diags.push(Diagnostic::error("P013", e.message).at(place, "in this condition"));
            return None;
        }
    };
    for (name, span) in parsed.names() {
        if !known_name(&name) {
            let near = did_you_mean(&name, NAMES.iter().copied());
            let place = text.inner(diags, span);
            diags.push(
                Diagnostic::error("P014", format!("a case knows no `{name}`"))
                    .at(place, "not a stored fact")
                    .maybe_hint(near.map(|n| format!("did you mean `{n}`?"))),
            );
        }
    }
    for (name, arguments, span) in parsed.calls() {
        let place = text.inner(diags, span);
        match (&*name, arguments.as_slice()) {
            ("confirmed" | "done" | "accepted", [step]) => {
                notes.mention(MentionOf::Step, &Text { value: step.clone(), place });
            }
            ("met", [goal]) => notes.mention(MentionOf::Goal, &Text { value: goal.clone(), place }),
            _ => {
                let near = did_you_mean(&name, ["confirmed", "done", "accepted", "met"]);
                diags.push(
                    Diagnostic::error("P014", format!("`{name}` cannot be called like this"))
                        .at(place, "expected confirmed('step'), done('step'), accepted('step') or met('goal')")
                        .maybe_hint(near.filter(|n| **n != *name).map(|n| format!("did you mean `{n}`?"))),
                );
            }
        }
    }
    Some(parsed)
}

/// Names of conditions besides `device.<fact or column>`.
pub(super) const NAMES: [&str; 16] = [
    "fault.cleared",
    "fault.stale",
    "fault.name",
    "fault.family",
    "fault.level",
    "fault.severity",
    "fault.confidence",
    "dispatch.state",
    "dispatch.accepted",
    "dispatch.eta_minutes",
    "ticket.open",
    "position_age",
    "position_trusted",
    "case.age",
    "case.human",
    "device.id",
];

fn known_name(name: &str) -> bool {
    NAMES.contains(&name) || name.strip_prefix("device.").is_some_and(|rest| !rest.is_empty())
}

/// Parses a template, pointing at what is wrong inside of it.
pub(super) fn template(diags: &mut Diagnostics, text: &Text, audience: Audience) -> Option<Template> {
    let parsed = match Template::parse(&text.value) {
        Ok(t) => t,
        Err(e) => {
            let place = e.span.map_or_else(|| text.place.clone(), |s| text.inner(diags, s));
            diags.push(Diagnostic::error("P012", e.message).at(place, "in this template"));
            return None;
        }
    };
    for name in parsed.names() {
        if let Err(near) = check_name(name, audience) {
            let start = text.value.find(name.as_str()).unwrap_or(0);
            let place = text.inner(diags, start..(start + name.len()).min(text.value.len()));
            diags.push(
                Diagnostic::error("P014", format!("a case knows no `{name}`"))
                    .at(place, "nobody provides this")
                    .maybe_hint(near.map(|n| format!("did you mean `{n}`?"))),
            );
        }
    }
    Some(parsed)
}

fn reach(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Reach> {
    t.need(diags, "who");
    let who = t.texts(diags, "who").into_iter().map(|w| w.value).collect();
    let until = t.text(diags, "until").map_or(Some(Until::Delivered), |u| match &*u.value {
        "human_confirmed" => Some(Until::HumanConfirmed),
        "delivered" => Some(Until::Delivered),
        "accepted" => Some(Until::Accepted),
        other => {
            let near = did_you_mean(other, ["human_confirmed", "delivered", "accepted"]);
            diags.push(
                Diagnostic::error("P015", format!("`until` is '{other}'"))
                    .at(u.place, "expected human_confirmed, delivered or accepted")
                    .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
            );
            None
        }
    });
    let script = t.need_text(diags, "script");
    t.need(diags, "ladder");
    let rungs = t.tables(diags, "ladder");
    let mut ladder: Vec<Rung> = rungs.into_iter().filter_map(|r| rung(diags, r, notes)).collect();
    ladder.sort_by_key(|r| r.at);
    if let Some(script) = &script {
        let mut parts: Vec<Part> = Vec::new();
        for rung in &ladder {
            match rung.via {
                Via::Call => parts.push(Part::Voice),
                Via::Sms => parts.push(Part::Sms),
                Via::Email => parts.extend([Part::Subject, Part::Text, Part::Html]),
                Via::Human(_) => {}
            }
        }
        notes.mention(MentionOf::Script(parts), script);
    }
    Some(Reach { who, until: until?, script: ScriptId::from(&*script?.value), ladder })
}

fn rung(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Rung> {
    let via = t.need_text(diags, "via");
    let queue = t.text(diags, "queue");
    if let Some(queue) = &queue {
        notes.mention(MentionOf::Queue, queue);
    }
    let via = via.and_then(|v| match (&*v.value, &queue) {
        ("call", _) => Some(Via::Call),
        ("sms", _) => Some(Via::Sms),
        ("email", _) => Some(Via::Email),
        ("human", Some(queue)) => Some(Via::Human(QueueName::from(&*queue.value))),
        ("human", None) => {
            diags.push(Diagnostic::error("P015", "a human rung needs a `queue`").at(v.place, "which queue?"));
            None
        }
        (other, _) => {
            let near = did_you_mean(other, ["call", "sms", "email", "human"]);
            diags.push(
                Diagnostic::error("P015", format!("unknown way '{other}'"))
                    .at(v.place, "expected call, sms, email or human")
                    .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
            );
            None
        }
    });
    let at = t.parsed::<Span>(diags, "at", DURATION);
    let attempts = t.count(diags, "attempts");
    let ring = t.parsed::<Span>(diags, "ring", DURATION);
    let gap = t.parsed::<Span>(diags, "gap", DURATION);
    t.finish(diags);
    Some(Rung {
        via: via?,
        at: at.map_or(Span::ZERO, |a| a.value),
        attempts: attempts.map_or(1, |a| a.value.clamp(1, 20)),
        ring: ring.map_or(Span::from_secs(25), |r| r.value.max(Span::from_secs(5))),
        gap: gap.map_or(Span::from_secs(15), |g| g.value),
    })
}

fn dispatch(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Dispatch> {
    let service = t.need_text(diags, "service");
    // The only place a job can be sent to is where the device is; the key is accepted for the reader.
    if let Some(pickup) = t.text(diags, "pickup") {
        let _ = template(diags, &pickup, Audience::Field);
    }
    let needs = t.texts(diags, "needs").iter().filter_map(|n| condition(diags, n, notes)).collect();
    let otherwise = t.text(diags, "else").and_then(|e| reaction(diags, &e, notes));
    t.need(diags, "provider");
    let providers = providers(diags, t, ProviderKind::Dispatch, notes);
    t.need(diags, "deadline");
    let deadline = t.table(diags, "deadline").and_then(|d| {
        d.need(diags, "accept");
        let accept = d.parsed::<Span>(diags, "accept", DURATION);
        let en_route = d.parsed::<Span>(diags, "en_route", DURATION);
        let arrive = d.text(diags, "arrive").and_then(|a| {
            let span = a.value.trim().strip_prefix("eta").and_then(|s| s.trim_start().strip_prefix('+'));
            let span = span.and_then(|s| s.trim().parse::<Span>().ok());
            if span.is_none() {
                diags.push(
                    Diagnostic::error("P015", format!("`arrive` is '{}'", a.value)).at(a.place, "expected `eta + 15m`"),
                );
            }
            span
        });
        d.finish(diags);
        Some(Deadlines { accept: accept?.value, en_route: en_route.map(|e| e.value), arrive_after_eta: arrive })
    });
    let on = reactions(diags, t, &["declined", "no_provider", "eta_slips"], notes);
    if on.get("eta_slips").is_some_and(|r| matches!(r, Reaction::Tell(_))) {
        let place = t.place();
        let script = Text { value: "eta-slipped".into(), place };
        notes.mention(MentionOf::Script(vec![Part::Sms, Part::Voice]), &script);
    }
    Some(Dispatch { service: service?.value, needs, otherwise, providers, deadline: deadline?, on })
}

fn providers(diags: &mut Diagnostics, t: &Table<'_>, kind: ProviderKind, notes: &mut Notes) -> Vec<AdapterName> {
    let names = t.texts(diags, "provider");
    for name in &names {
        notes.mention(MentionOf::Provider(kind), name);
    }
    names.iter().map(|n| AdapterName::from(&*n.value)).collect()
}

fn ticket(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Ticket> {
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
    let script = t.text(diags, "script");
    if let Some(script) = &script {
        notes.mention(MentionOf::Script(vec![Part::Text]), script);
    }
    Some(Ticket {
        desk: AdapterName::from(&*desk?.value),
        title: title.or_else(|| Template::parse("[{{ case.id }}] {{ case.title }}").ok())?,
        fields,
        mirror,
        script: script.map(|s| ScriptId::from(&*s.value)),
    })
}

fn command(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Command> {
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
        let topic = r.need_text(diags, "topic").map(|topic| reply_filter(&topic.value));
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
    let on = reactions(diags, t, &["refused", "no_reply", "not_verified"], notes);
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

/// The topic filter for the answers of all devices: each level with something to fill in becomes `+`.
fn reply_filter(topic: &str) -> Arc<str> {
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
    let near = did_you_mean(op, allow.iter().map(|a| &*a.value));
    diags.push(
        Diagnostic::error("P011", format!("the command '{op}' is not in the `allow` list of the step"))
            .at(place, "not allowed")
            .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
    );
    None
}

fn wait_for(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<WaitFor> {
    let expect = t.need_text(diags, "expect").and_then(|e| condition(diags, &e, notes));
    t.need(diags, "within");
    let within = t.parsed::<Span>(diags, "within", DURATION);
    let otherwise = t.need_text(diags, "else").and_then(|e| reaction(diags, &e, notes));
    Some(WaitFor { expect: expect?, within: within?.value, otherwise: otherwise? })
}

fn reactions(
    diags: &mut Diagnostics,
    t: &Table<'_>,
    events: &[&str],
    notes: &mut Notes,
) -> BTreeMap<Arc<str>, Reaction> {
    let mut found = BTreeMap::new();
    let Some(table) = t.table(diags, "on") else { return found };
    for event in events {
        if let Some(text) = table.text(diags, event)
            && let Some(reaction) = reaction(diags, &text, notes)
        {
            found.insert((*event).into(), reaction);
        }
    }
    table.finish(diags);
    found
}

/// `next_provider`, `human:queue`, `tell:role`, `goto:step`, `again:1`, or the name of a step.
fn reaction(diags: &mut Diagnostics, text: &Text, notes: &mut Notes) -> Option<Reaction> {
    let value = text.value.clone();
    let name = |diags: &Diagnostics, offset: usize| -> Text {
        Text { value: value[offset..].into(), place: text.inner(diags, offset..value.len()) }
    };
    let reaction = match value.split_once(':') {
        None if &*value == "next_provider" => Some(Reaction::NextProvider),
        None => {
            notes.mention(MentionOf::Step, text);
            Some(Reaction::Goto(StepId::from(&*value)))
        }
        Some(("human", queue)) => {
            notes.mention(MentionOf::Queue, &name(diags, 6));
            Some(Reaction::Human(QueueName::from(queue)))
        }
        Some(("goto", step)) => {
            notes.mention(MentionOf::Step, &name(diags, 5));
            Some(Reaction::Goto(StepId::from(step)))
        }
        Some(("tell", role)) => Some(Reaction::Tell(role.into())),
        Some(("again", n)) => n.parse().ok().map(Reaction::Again),
        Some(_) => None,
    };
    if reaction.is_none() {
        diags.push(
            Diagnostic::error("P015", format!("'{value}' is not a reaction"))
                .at(text.place.clone(), "expected next_provider, human:queue, tell:role, goto:step, again:1 or a step"),
        );
    }
    reaction
}
