//! `[[step]]`: what every step has, and a file for each verb with its keys.

mod book;
mod command;
mod correlate;
mod dispatch;
mod hold;
mod human;
mod reach;
mod reaction;
mod survey;
mod ticket;
mod wait;
mod webhook;

pub use book::{
    BOOK_ROUNDS, Book, CHOICE_SCRIPT, Find, INVITE_SCRIPT, Invite, REMINDER_SCRIPT, REQUEST_SCRIPT, Term, Within,
};
pub use command::Command;
pub use correlate::Correlate;
pub use dispatch::{Deadlines, Dispatch};
pub use hold::Hold;
pub use human::Human;
pub use reach::{Reach, Rung, Until, Via};
pub use reaction::Reaction;
pub(super) use reaction::reaction;
pub use survey::Survey;
pub use ticket::{Mirror, Ticket};
pub use wait::WaitFor;
pub use webhook::Webhook;

use super::load::{MentionOf, Notes, ProviderKind};
use super::names::{Audience, check_name};
use super::{Condition, Template};
use crate::domain::{AdapterName, GoalName, Purpose, StepId};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

pub(super) const DURATION: &str = "a duration such as 90s";

/// `[[step]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique in the playbook.
    pub id: StepId,
    /// Starts when all of these have ended well.
    pub after: Vec<StepId>,
    /// What its success proves.
    pub goal: Option<GoalName>,
    /// Must be true to start; the step waits for it.
    pub when: Option<Condition>,
    /// Why people are contacted by it, if that is not the purpose of the playbook.
    pub purpose: Option<Purpose>,
    /// Starts only when another step names it (`when = "only_from('tow')"` or `"goto"`).
    pub only_called: bool,
    /// What to do.
    pub verb: Verb,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Tell somebody.
    Reach(Reach),
    /// Send a truck or a technician.
    Dispatch(Box<Dispatch>),
    /// Open and keep a ticket.
    Ticket(Ticket),
    /// Correct the device.
    Command(Box<Command>),
    /// Wait until the facts say so.
    WaitFor(WaitFor),
    /// Hand over to a person.
    Human(Human),
    /// Make an appointment.
    Book(Box<Book>),
    /// Tell a system of ours.
    Webhook(Webhook),
    /// Be stopped from outside.
    Hold(Hold),
    /// Look whether others have the same cause.
    Correlate(Correlate),
    /// Ask for a mark.
    Survey(Survey),
}

impl Step {
    /// Whether it tells people that they are in danger.
    #[must_use]
    pub fn warns(&self, of: Purpose) -> bool {
        matches!(self.verb, Verb::Reach(_)) && self.purpose.unwrap_or(of) == Purpose::Safety
    }
}

impl Verb {
    /// All verbs as written in files.
    pub const NAMES: &[&str] = &[
        "reach",
        "dispatch",
        "ticket",
        "command",
        "wait_for",
        "human",
        "hold",
        "correlate",
        "book",
        "webhook",
        "survey",
    ];

    /// As written in files.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reach(_) => "reach",
            Self::Dispatch(_) => "dispatch",
            Self::Ticket(_) => "ticket",
            Self::Command(_) => "command",
            Self::WaitFor(_) => "wait_for",
            Self::Human(_) => "human",
            Self::Hold(_) => "hold",
            Self::Correlate(_) => "correlate",
            Self::Survey(_) => "survey",
            Self::Book(_) => "book",
            Self::Webhook(_) => "webhook",
        }
    }
}

impl Verb {
    /// What it does when something goes another way.
    pub(super) fn reactions(&self) -> Vec<&Reaction> {
        match self {
            Self::Dispatch(d) => d.on.values().chain(&d.otherwise).collect(),
            Self::Command(c) => c.on.values().collect(),
            Self::Book(b) => b.on.values().collect(),
            Self::WaitFor(w) => vec![&w.otherwise],
            Self::Reach(_)
            | Self::Ticket(_)
            | Self::Human(_)
            | Self::Webhook(_)
            | Self::Hold(_)
            | Self::Correlate(_)
            | Self::Survey(_) => Vec::new(),
        }
    }
}

pub(super) fn read(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Step> {
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
    let purpose = purpose(diags, &t);
    let when_text = t.text(diags, "when");
    let only_called = when_text.as_ref().is_some_and(|w| &*w.value == "goto" || w.value.starts_with("only_from("));
    let when = when_text.filter(|_| !only_called).and_then(|w| condition(diags, &w, notes));
    let verb = match verb_name.as_ref().map(|v| &*v.value) {
        Some("reach") => reach::read(diags, &t, notes).map(Verb::Reach),
        Some("dispatch") => dispatch::read(diags, &t, notes).map(|d| Verb::Dispatch(Box::new(d))),
        Some("ticket") => ticket::read(diags, &t, notes).map(Verb::Ticket),
        Some("command") => command::read(diags, &t, notes).map(|c| Verb::Command(Box::new(c))),
        Some("wait_for") => wait::read(diags, &t, notes).map(Verb::WaitFor),
        Some("human") => human::read(diags, &t, notes).map(Verb::Human),
        Some("hold") => hold::read(diags, &t).map(Verb::Hold),
        Some("correlate") => correlate::read(diags, &t).map(Verb::Correlate),
        Some("book") => book::read(diags, &t, notes).map(|b| Verb::Book(Box::new(b))),
        Some("webhook") => webhook::read(diags, &t, notes).map(Verb::Webhook),
        Some("survey") => survey::read(diags, &t, notes).map(Verb::Survey),
        Some(other) => {
            let place = verb_name.as_ref().map(|v| v.place.clone())?;
            let near = did_you_mean(other, Verb::NAMES.iter().copied());
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
    let purpose = if matches!(verb, Some(Verb::Survey(_))) { Some(Purpose::Info) } else { purpose };
    Some(Step {
        id: StepId::from(&*id?.value),
        after: after.iter().map(|s| StepId::from(&*s.value)).collect(),
        goal: goal.map(|g| GoalName::from(&*g.value)),
        when,
        purpose,
        only_called,
        verb: verb?,
    })
}

/// `policy = { purpose = "safety", quiet_hours = "ignore" }` of a step in an everyday playbook.
fn purpose(diags: &mut Diagnostics, t: &Table<'_>) -> Option<Purpose> {
    let policy = t.table(diags, "policy")?;
    let safety = policy.need_text(diags, "purpose");
    let quiet = policy.text(diags, "quiet_hours");
    for (text, only) in [(&safety, "safety"), (&quiet, "ignore")] {
        if let Some(text) = text.as_ref().filter(|text| &*text.value != only) {
            let finding = Diagnostic::error("P051", format!("the policy of a step cannot be '{}'", text.value));
            diags.push(finding.at(text.place.clone(), format!("expected {only}; everything else is the playbook's")));
        }
    }
    policy.finish(diags);
    safety.map(|_| Purpose::Safety)
}

/// Parses a condition, pointing at what is wrong inside of it; another one stands in for one that cannot be read.
pub(super) fn condition(diags: &mut Diagnostics, text: &Text, notes: &mut Notes) -> Option<Condition> {
    let parsed = match Condition::parse(&text.value) {
        Ok(c) => c,
        Err(e) => {
            let place = text.inner(diags, e.span.clone());
            diags.push(Diagnostic::error("P013", e.message).at(place, "in this condition"));
            return Condition::parse("true").ok();
        }
    };
    for (name, span) in parsed.names() {
        notes.conditions.push((name.clone(), text.inner(diags, span.clone())));
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
            ("confirmed" | "done" | "failed" | "accepted", [step]) => {
                notes.mention(MentionOf::Step, &Text { value: step.clone(), place });
            }
            ("count", [tier]) => notes.mention(MentionOf::Tier, &Text { value: tier.clone(), place }),
            ("met", [goal]) => notes.mention(MentionOf::Goal, &Text { value: goal.clone(), place }),
            _ => {
                let near = did_you_mean(&name, ["confirmed", "done", "failed", "accepted", "met", "count"]);
                diags.push(
                    Diagnostic::error("P014", format!("`{name}` cannot be called like this"))
                        .at(
                            place,
                            "expected confirmed('step'), done('step'), failed('step'), accepted('step'), met('goal') or count('tier')",
                        )
                        .maybe_hint(near.filter(|n| **n != *name).map(|n| format!("did you mean `{n}`?"))),
                );
            }
        }
    }
    Some(parsed)
}

/// Names of conditions besides `device.<fact or column>`.
pub(super) const NAMES: &[&str] = &[
    "fault.cleared",
    "fault.stale",
    "fault.name",
    "fault.family",
    "fault.level",
    "fault.severity",
    "fault.confidence",
    "fault.safety",
    "storm.count",
    "storm.cause",
    "fault.score",
    "fleet_commands_last_hour",
    "same_command_on_device_last_24h",
    "fault.horizon.p10",
    "fault.horizon.p50",
    "fault.horizon.p90",
    "booking.state",
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

/// Parses a template, pointing at what is wrong inside of it; an empty one stands in for one that cannot be read.
pub(super) fn template(diags: &mut Diagnostics, text: &Text, audience: Audience) -> Option<Template> {
    let parsed = match Template::parse(&text.value) {
        Ok(t) => t,
        Err(e) => {
            let place = e.span.map_or_else(|| text.place.clone(), |s| text.inner(diags, s));
            diags.push(Diagnostic::error("P012", e.message).at(place, "in this template"));
            return Template::parse("").ok();
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

fn providers(diags: &mut Diagnostics, t: &Table<'_>, kind: ProviderKind, notes: &mut Notes) -> Vec<AdapterName> {
    let names = t.texts(diags, "provider");
    for name in &names {
        notes.mention(MentionOf::Provider(kind), name);
    }
    names.iter().map(|n| AdapterName::from(&*n.value)).collect()
}
