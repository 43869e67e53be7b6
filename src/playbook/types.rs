//! A checked playbook (`playbook/1`).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::storm::{Storm, Surge};
use super::verb::Step;
use super::{Condition, Template};
use crate::domain::{FaultName, GoalName, PlaybookId, Purpose, Role, ScriptId, Severity, Span, StepId};

/// Which text of a playbook: BLAKE3 over its file. A case keeps the text it was opened with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceHash(pub [u8; 16]);

impl SourceHash {
    /// Of a file's text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        Self(hash)
    }
}

impl fmt::Debug for SourceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A plan for a kind of fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    /// Its name.
    pub id: PlaybookId,
    /// Counted up by its author.
    pub version: u32,
    /// Identity of the text.
    pub hash: SourceHash,
    /// The text.
    pub source: Arc<str>,
    /// Which detections open it.
    pub matches: Match,
    /// The case it opens.
    pub case: CaseSpec,
    /// How people may be contacted.
    pub policy: Policy,
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// What undoes the plan.
    pub cancels: Vec<Cancel>,
    /// `[storm]` and `[[tier]]`, if it is about storms.
    pub storm: Option<Box<Storm>>,
}

impl Playbook {
    /// The step of this name.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|s| s.id == *id)
    }

    /// `from`, and the steps that come after it, directly or by way of others: those of them that `also` takes.
    pub(crate) fn with_those_behind(&self, from: &StepId, also: impl Fn(&Step) -> bool) -> Vec<StepId> {
        let mut found = vec![from.clone()];
        // The steps stand in any order, and a step is found once one before it is.
        for _ in 0..self.steps.len() {
            let next = |s: &&Step| !found.contains(&s.id) && s.after.iter().any(|a| found.contains(a)) && also(s);
            let next: Vec<StepId> = self.steps.iter().filter(next).map(|s| s.id.clone()).collect();
            found.extend(next);
        }
        found
    }
}

/// `[match]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Any of these faults.
    pub faults: Vec<FaultName>,
    /// Any of these severities; empty: every one.
    pub severities: Vec<Severity>,
    /// 0..=1.
    pub min_confidence: f64,
    /// Any of these kinds of device; empty: every one.
    pub device_kinds: Vec<Arc<str>>,
    /// Not one detection opens it, but many new cases at once.
    pub storm: Option<Surge>,
    /// The earliest time to a breakdown (10th percentile) that the rule promises lies within these; no end: ever so late.
    pub horizon: Option<(Span, Option<Span>)>,
}

impl Match {
    /// Whether a fault that will take so long to become a breakdown does; one of which nobody can say it does not.
    #[must_use]
    pub fn takes_horizon(&self, p10: Option<Span>) -> bool {
        let Some((from, to)) = self.horizon else { return true };
        p10.is_some_and(|h| h >= from && to.is_none_or(|to| h <= to))
    }

    /// Whether a detection of `fault` opens the playbook. `kind` is that of the device, if it is known.
    #[must_use]
    pub fn takes(&self, fault: &FaultName, severity: Severity, confidence: f64, kind: Option<&str>) -> bool {
        self.storm.is_none()
            && self.faults.contains(fault)
            && self.fits(severity, kind)
            && confidence >= self.min_confidence
    }

    /// Whether a case of `fault` counts for the storm that the playbook is about. No fault stated: every one.
    #[must_use]
    pub fn counts(&self, fault: &FaultName, severity: Severity, kind: Option<&str>) -> bool {
        self.storm.is_some() && (self.faults.is_empty() || self.faults.contains(fault)) && self.fits(severity, kind)
    }

    fn fits(&self, severity: Severity, kind: Option<&str>) -> bool {
        (self.severities.is_empty() || self.severities.contains(&severity))
            && (self.device_kinds.is_empty() || kind.is_some_and(|k| self.device_kinds.iter().any(|own| **own == *k)))
    }
}

/// `[case]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSpec {
    /// One open case per rendered key.
    pub key: Template,
    /// The same key within this time after closing opens the case again.
    pub reopen: Span,
    /// Higher wins when several playbooks match.
    pub priority: u32,
    /// What is promised.
    pub goals: Vec<GoalName>,
    /// How fast.
    pub sla: Sla,
}

/// `sla = { … }` of a case: a person is paged when it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sla {
    /// From the opening to the first message that a provider took.
    pub first_contact: Option<Span>,
    /// From the opening to the first message with times.
    pub appointment_offered: Option<Span>,
}

/// Whether the recipient's night is respected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuietHours {
    /// Wait until morning, in the recipient's time zone.
    Respect,
    /// Safety only.
    Ignore,
}

/// `[policy]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Why people are contacted.
    pub purpose: Purpose,
    /// The recipient's night.
    pub quiet_hours: QuietHours,
    /// How often one case may contact people.
    pub contact_max: ContactMax,
    /// Facts that must not be in e-mail, SMS and tickets (`device.position`).
    pub redact: Vec<Arc<str>>,
    /// What the owner of the device must have agreed to; without it, only the ticket desk works at the case.
    pub consent: Vec<Arc<str>>,
}

/// The most contacts of one case with customers within `per`; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactMax {
    /// Calls.
    pub calls: Option<u32>,
    /// Text messages.
    pub sms: Option<u32>,
    /// E-mails.
    pub emails: Option<u32>,
    /// Messages in the app.
    pub app_pushes: Option<u32>,
    /// Window.
    pub per: Span,
}

/// `[[cancel]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// When the plan is undone.
    pub when: Condition,
    /// How.
    pub actions: Vec<Compensation>,
}

/// One action that undoes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compensation {
    /// `dispatch.cancel(step)`.
    DispatchCancel(StepId),
    /// `reach(role, script='…')`.
    Reach {
        /// Whom.
        role: Role,
        /// What is said.
        script: ScriptId,
    },
    /// `book.cancel(step)`.
    BookCancel(StepId),
    /// `ticket.note('…')`.
    TicketNote(Arc<str>),
}
