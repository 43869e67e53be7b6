//! `do = "reach"`: tell somebody, over a ladder of ways.

use std::sync::Arc;

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::{CHOICE_SCRIPT, DURATION, template};
use crate::domain::{QueueName, Role, ScriptId, Span};
use crate::playbook::load::{MentionOf, Notes};
use crate::playbook::names::Audience;
use crate::playbook::{INSTRUCTIONS, Part, Template};
use crate::source::{Diagnostic, Diagnostics, Table, Text, did_you_mean};

/// What counts as having told somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    /// A provider took the message.
    Accepted,
    /// It is on the handset, or the call was answered. For mail: accepted, nothing better is known.
    Delivered,
    /// A key press or a reply.
    HumanConfirmed,
    /// An answer to the times that are offered: one of them, "call me", or "no thanks".
    AnsweredChoice,
}

/// Over what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// Phone call.
    Call,
    /// Text message.
    Sms,
    /// E-mail.
    Email,
    /// The people of a queue.
    Human(QueueName),
    /// A message in the customer's own app.
    AppPush,
}

impl Via {
    /// The ways by which a customer is told something, by name.
    pub const WAYS: &[(&str, Self)] =
        &[("call", Self::Call), ("sms", Self::Sms), ("email", Self::Email), ("app_push", Self::AppPush)];

    /// The parts of a text that it needs.
    pub(crate) fn parts(&self) -> &'static [Part] {
        match self {
            Self::Call => &[Part::Voice],
            Self::Sms => &[Part::Sms],
            Self::Email => &[Part::Subject, Part::Text, Part::Html],
            Self::AppPush => &[Part::AppTitle, Part::App],
            Self::Human(_) => &[],
        }
    }
}

/// `do = "reach"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// In this order.
    pub who: Vec<Role>,
    /// What counts.
    pub until: Until,
    /// What is said.
    pub script: ScriptId,
    /// By start.
    pub ladder: Vec<Rung>,
    /// What mails have attached: templates of the names of files in [`INSTRUCTIONS`](crate::playbook::INSTRUCTIONS).
    pub attach: Vec<Template>,
    /// How important mails are marked (`high`, `normal`, `low`), if at all.
    pub importance: Option<Arc<str>>,
}

/// One rung of a ladder.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// Over what.
    pub via: Via,
    /// After the start of the step.
    pub at: Span,
    /// Calls to each person, at most.
    pub attempts: u32,
    /// How long a phone rings.
    pub ring: Span,
    /// Between the end of a call and the next.
    pub gap: Span,
    /// Used between these hours only, where the recipient is.
    pub hours: Option<(Time, Time)>,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Reach> {
    t.need(diags, "who");
    let who = t.texts(diags, "who");
    for role in &who {
        match role.value.strip_prefix("oncall:") {
            Some(queue) => {
                let place = role.inner(diags, role.value.len() - queue.len()..role.value.len());
                notes.mention(MentionOf::Queue, &Text { value: queue.into(), place });
            }
            None => notes.mention(MentionOf::Role, role),
        }
    }
    let who = who.into_iter().map(|w| w.value).collect();
    let until = t.text(diags, "until").map_or(Some(Until::Delivered), |u| match &*u.value {
        "human_confirmed" => Some(Until::HumanConfirmed),
        "answered_choice" => Some(Until::AnsweredChoice),
        "delivered" => Some(Until::Delivered),
        "accepted" => Some(Until::Accepted),
        other => {
            let near = did_you_mean(other, ["human_confirmed", "answered_choice", "delivered", "accepted"]);
            diags.push(
                Diagnostic::error("P015", format!("`until` is '{other}'"))
                    .at(u.place, "expected human_confirmed, answered_choice, delivered or accepted")
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
        if until == Some(Until::AnsweredChoice) && ladder.iter().any(|rung| rung.via == Via::Sms) {
            let answer = Text { value: CHOICE_SCRIPT.into(), place: script.place.clone() };
            notes.mention(MentionOf::Script(vec![Part::Sms]), &answer);
        }
        let parts = ladder.iter().flat_map(|rung| rung.via.parts()).copied().collect();
        notes.mention(MentionOf::Script(parts), script);
    }
    let attach = attachments(diags, t, notes);
    let importance = t.table(diags, "headers").and_then(|h| headers(diags, h));
    let script = ScriptId::from(&*script?.value);
    Some(Reach { who, until: until?, script, ladder, attach, importance })
}

fn attachments(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Vec<Template> {
    let mut found = Vec::new();
    for text in t.texts(diags, "attach") {
        let Some(parsed) = template(diags, &text, Audience::Message) else { continue };
        if !text.value.starts_with(INSTRUCTIONS) || !text.value.ends_with(".md") || text.value.contains("..") {
            let finding = Diagnostic::error("P015", format!("'{}' cannot be attached", text.value));
            let hint =
                format!("a file of the messages: {INSTRUCTIONS}/{{{{ fault.family }}}}.{{{{ customer.locale }}}}.md");
            diags.push(finding.at(text.place.clone(), "").hint(hint));
        }
        notes.attachments.push((text, parsed.clone()));
        found.push(parsed);
    }
    found
}

/// Every mail says `Auto-Submitted: auto-generated`; a playbook may repeat that, and say how important its mails are.
fn headers(diags: &mut Diagnostics, table: Table<'_>) -> Option<Arc<str>> {
    const KNOWN: [(&str, &[&str]); 2] =
        [("Auto-Submitted", &["auto-generated"]), ("Importance", &["high", "normal", "low"])];
    let mut importance = None;
    for (name, values) in KNOWN {
        let Some(text) = table.text(diags, name) else { continue };
        if !values.contains(&&*text.value) {
            let finding = Diagnostic::error("P015", format!("the header {name} is '{}'", text.value));
            diags.push(finding.at(text.place, format!("expected {}", values.join(", "))));
        } else if name == "Importance" {
            importance = Some(text.value);
        }
    }
    table.finish(diags);
    importance
}

/// `10:00-18:00`
struct Hours(Time, Time);

impl std::str::FromStr for Hours {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let time = |t: &str| Time::strptime("%H:%M", t.trim()).map_err(|e| e.to_string());
        let (from, to) = text.split_once('-').ok_or("a beginning and an end are needed")?;
        let (from, to) = (time(from)?, time(to)?);
        if from < to { Ok(Self(from, to)) } else { Err("the end comes first".to_owned()) }
    }
}

fn rung(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Rung> {
    let via = t.need_text(diags, "via");
    let queue = t.text(diags, "queue");
    if let Some(queue) = &queue {
        notes.mention(MentionOf::Queue, queue);
    }
    let via = via.and_then(|v| match (&*v.value, &queue) {
        (way, _) if Via::WAYS.iter().any(|(w, _)| *w == way) => {
            Via::WAYS.iter().find_map(|(w, via)| (*w == way).then(|| via.clone()))
        }
        ("human", Some(queue)) => Some(Via::Human(QueueName::from(&*queue.value))),
        ("human", None) => {
            diags.push(Diagnostic::error("P015", "a human rung needs a `queue`").at(v.place, "which queue?"));
            None
        }
        (other, _) => {
            let near = did_you_mean(other, Via::WAYS.iter().map(|(w, _)| *w).chain(["human"]));
            diags.push(
                Diagnostic::error("P015", format!("unknown way '{other}'"))
                    .at(v.place, "expected call, sms, email, app_push or human")
                    .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
            );
            None
        }
    });
    let at = t.parsed::<Span>(diags, "at", DURATION);
    let attempts = t.count(diags, "attempts");
    let ring = t.parsed::<Span>(diags, "ring", DURATION);
    let gap = t.parsed::<Span>(diags, "gap", DURATION);
    let hours = t.parsed::<Hours>(diags, "hours", "hours of a day such as 10:00-18:00");
    t.finish(diags);
    Some(Rung {
        via: via?,
        at: at.map_or(Span::ZERO, |a| a.value),
        attempts: attempts.map_or(1, |a| a.value.clamp(1, 20)),
        ring: ring.map_or(Span::from_secs(25), |r| r.value.max(Span::from_secs(5))),
        gap: gap.map_or(Span::from_secs(15), |g| g.value),
        hours: hours.map(|h| (h.value.0, h.value.1)),
    })
}
