//! A checked playbook (`playbook/1`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Condition, Template};
use crate::domain::{
    AdapterName, FaultName, GoalName, PlaybookId, Purpose, QueueName, Role, ScriptId, Severity, Span, StepId,
};

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
}

impl Playbook {
    /// The step of this name.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|s| s.id == *id)
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
}

impl Match {
    /// Whether a detection of `fault` opens the playbook. `kind` is that of the device, if it is known.
    #[must_use]
    pub fn takes(&self, fault: &FaultName, severity: Severity, confidence: f64, kind: Option<&str>) -> bool {
        self.faults.contains(fault)
            && (self.severities.is_empty() || self.severities.contains(&severity))
            && (self.device_kinds.is_empty() || kind.is_some_and(|k| self.device_kinds.iter().any(|own| **own == *k)))
            && confidence >= self.min_confidence
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
    /// Window.
    pub per: Span,
}

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
}

impl Verb {
    /// All verbs as written in files.
    pub const NAMES: [&str; 6] = ["reach", "dispatch", "ticket", "command", "wait_for", "human"];
}

/// What counts as having told somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    /// A provider took the message.
    Accepted,
    /// It is on the handset, or the call was answered. For mail: accepted, nothing better is known.
    Delivered,
    /// A key press or a reply.
    HumanConfirmed,
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

/// What to do when something goes another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Ask the next provider.
    NextProvider,
    /// Page a queue.
    Human(QueueName),
    /// Tell a role; the script is that of the event (`eta-slipped`).
    Tell(Role),
    /// Start a step.
    Goto(StepId),
    /// Do it again, at most so many times.
    Again(u32),
}

/// `do = "dispatch"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// `tow`, `technician`…
    pub service: Arc<str>,
    /// Must be true before a truck is asked for.
    pub needs: Vec<Condition>,
    /// What to do while they are not.
    pub otherwise: Option<Reaction>,
    /// In the order they are asked.
    pub providers: Vec<AdapterName>,
    /// How long a provider may take.
    pub deadline: Deadlines,
    /// `declined`, `no_provider`, `eta_slips`.
    pub on: BTreeMap<Arc<str>, Reaction>,
}

/// `deadline` of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From request to acceptance.
    pub accept: Span,
    /// From acceptance to departure.
    pub en_route: Option<Span>,
    /// After the promised arrival.
    pub arrive_after_eta: Option<Span>,
}

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
    /// A script for the first article; without it the case's facts are listed.
    pub script: Option<ScriptId>,
}

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
    /// `refused`, `no_reply`, `not_verified`.
    pub on: BTreeMap<Arc<str>, Reaction>,
}

/// `do = "wait_for"`.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitFor {
    /// What must become true.
    pub expect: Condition,
    /// In this time.
    pub within: Span,
    /// If not.
    pub otherwise: Reaction,
}

/// `do = "human"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Human {
    /// Whose.
    pub queue: QueueName,
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
    /// `ticket.note('…')`.
    TicketNote(Arc<str>),
}
