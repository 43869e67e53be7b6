//! `do = "reach"`: tell somebody, over a ladder of ways.

use serde::{Deserialize, Serialize};

use super::DURATION;
use crate::domain::{QueueName, Role, ScriptId, Span};
use crate::playbook::Part;
use crate::playbook::load::{MentionOf, Notes};
use crate::source::{Diagnostic, Diagnostics, Table, did_you_mean};

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

/// The ways that go to a customer, as they are written.
const WAYS: [(&str, Via); 4] =
    [("call", Via::Call), ("sms", Via::Sms), ("email", Via::Email), ("app_push", Via::AppPush)];

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
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Reach> {
    t.need(diags, "who");
    let who = t.texts(diags, "who").into_iter().map(|w| w.value).collect();
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
        let mut parts: Vec<Part> = Vec::new();
        for rung in &ladder {
            match rung.via {
                Via::Call => parts.push(Part::Voice),
                Via::Sms => parts.push(Part::Sms),
                Via::Email => parts.extend([Part::Subject, Part::Text, Part::Html]),
                Via::AppPush => parts.extend([Part::AppTitle, Part::App]),
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
        (way, _) if WAYS.iter().any(|(w, _)| *w == way) => {
            WAYS.into_iter().find_map(|(w, via)| (w == way).then_some(via))
        }
        ("human", Some(queue)) => Some(Via::Human(QueueName::from(&*queue.value))),
        ("human", None) => {
            diags.push(Diagnostic::error("P015", "a human rung needs a `queue`").at(v.place, "which queue?"));
            None
        }
        (other, _) => {
            let near = did_you_mean(other, WAYS.iter().map(|(w, _)| *w).chain(["human"]));
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
    t.finish(diags);
    Some(Rung {
        via: via?,
        at: at.map_or(Span::ZERO, |a| a.value),
        attempts: attempts.map_or(1, |a| a.value.clamp(1, 20)),
        ring: ring.map_or(Span::from_secs(25), |r| r.value.max(Span::from_secs(5))),
        gap: gap.map_or(Span::from_secs(15), |g| g.value),
    })
}
