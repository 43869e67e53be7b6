//! What goes into the desk and what comes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Form;
use super::history::History;
use super::talk::MessageView;
use super::waits::WaitView;
use crate::domain::{
    AdapterName, At, CaseId, Channel, CustomerId, Detection, DeviceId, EffectId, EndpointId, Link, Order, Outcome,
    Purpose, Receipt, RuleId, Said, Sender, Severity, Stop, Value, Verdict,
};

/// Everything that can happen to the desk. Each input gives at most one record of the desk log.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The engine says so. Idempotent by episode and sequence number.
    Detection(Box<Detection>),
    /// What a watched device says now of the signals its model lists as facts.
    Facts {
        /// The device.
        device: DeviceId,
        /// Device time.
        event_at: At,
        /// By fact name.
        values: BTreeMap<String, Value>,
    },
    /// Messages of QoS 0 were lost because more came than could be stored.
    Shed {
        /// How many, by model.
        models: BTreeMap<String, u64>,
    },
    /// A channel finished an attempt.
    Outcome {
        /// Which effect.
        effect: EffectId,
        /// Which attempt of it; an outcome of an older attempt is old news.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// A provider or a device reports on its own.
    Receipt(Receipt),
    /// The same, signed: nobody else's work is theirs to report on.
    Signed {
        /// Whose secret it was signed with.
        by: Vec<AdapterName>,
        /// What they say.
        receipt: Receipt,
    },
    /// A call was answered, or its speech ended without a key: what to say now? Answered with [`Reply::Speech`].
    Answered {
        /// Which call.
        effect: EffectId,
        /// 1 for the first speech of the call.
        turn: u32,
        /// The provider's id of the call.
        provider_ref: String,
    },
    /// A person sent the form of a page: `POST /l/{token}`. What the page then shows is asked with
    /// [`Desk::page`](super::Desk::page).
    Link {
        /// The page.
        link: Link,
        /// What was filled in or tapped.
        form: Form,
    },
    /// A person takes notice of a case: `POST /api/v1/cases/{id}/ack`.
    Ack {
        /// Which case.
        case: CaseId,
        /// Who: the name of the API token.
        actor: String,
    },
    /// A person closes a case: `POST /api/v1/cases/{id}/close`.
    Close {
        /// Which case.
        case: CaseId,
        /// Who.
        actor: String,
        /// Why, for the timeline.
        reason: String,
    },
    /// A person lets the held cases of a rule go on: `POST /api/v1/rules/{rule}/release`.
    Release {
        /// Which rule.
        rule: RuleId,
        /// Who.
        actor: String,
    },
    /// Somebody says what became of a case in truth, or corrects it: `POST /api/v1/cases/{id}/outcome` and callbacks.
    Judge {
        /// Which case; it may have been closed and forgotten long ago.
        case: CaseId,
        /// What they say.
        verdict: Verdict,
        /// Who: `api:<token>`, `provider:<name>`, `ticket:<desk>`.
        by: String,
        /// The fields of a ticket, which come along whenever anything in it changes: only what is new in them is said.
        standing: bool,
    },
    /// A provider says what it found, of what it was asked for: `POST /outcome/{effect}`.
    Found {
        /// What it was asked for.
        effect: EffectId,
        /// What it says.
        verdict: Verdict,
        /// Whose secret it was signed with.
        by: Vec<AdapterName>,
    },
    /// A customer is to be erased: `POST /api/v1/customers/{id}/erase`.
    Erase {
        /// Whom.
        customer: CustomerId,
        /// Even while a safety case of theirs is open.
        force: bool,
        /// Who asks for it.
        actor: String,
    },
    /// An erased customer is one again: `POST /api/v1/customers/{id}/readmit`.
    Readmit {
        /// Whom.
        customer: CustomerId,
        /// Who says so.
        actor: String,
    },
    /// Somebody has written to us or into a ticket. [`Reply::Text`] is to be said to them at once, over the same line;
    /// [`Reply::NotFound`]: nobody knows them, and nothing was done.
    Said(Said),
    /// The contact centre has somebody on the line: `GET /api/v1/lookup?…&contact=true`.
    Called {
        /// By number or mailbox.
        from: Sender,
        /// The contact centre's id of the call: the same one counts once.
        id: String,
        /// Who.
        actor: String,
    },
    /// A person enters (`Some`) or lifts (`None`) an opt-out: `POST /api/v1/opt-outs`.
    OptOut {
        /// Which address.
        endpoint: EndpointId,
        /// Over what.
        channel: Channel,
        /// About what: this and everything less urgent.
        purpose: Option<Purpose>,
        /// Who.
        actor: String,
    },
    /// A person decides something about a case, or (without one) about everything.
    Act {
        /// Which case.
        case: Option<CaseId>,
        /// Who: the name of the API token.
        actor: String,
        /// What.
        act: Act,
    },
    /// A message on the topic of a stop switch.
    Switch {
        /// The topic.
        topic: String,
        /// What it says.
        stop: Stop,
        /// When it reached us.
        received_at: At,
        /// Handed out by the broker because we subscribed: it may be old.
        retained: bool,
    },
    /// The daemon has started: attempts that were started and not finished are now of unknown outcome.
    Started,
    /// The instant named by the last `Step::wake_at` has come: claim what is due, escalate what is late.
    Wake,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Turns the stop switch: of the case, or that of everything.
    Stop {
        /// How far.
        stop: Stop,
        /// Why, for whoever wonders.
        reason: String,
    },
    /// Makes the case part of another one.
    Merge {
        /// Which.
        into: CaseId,
    },
    /// Takes the case out of the one that it is part of.
    Split,
    /// Lets the children of a storm go.
    Release,
    /// Lets a tier of a storm be told.
    Approve {
        /// Its name; `None`: every one that waits.
        tier: Option<String>,
    },
    /// Says that there was nothing: what is arranged is taken back, also an appointment of a case that is closed.
    FalseAlarm {
        /// Why, for the timeline.
        reason: String,
    },
}

/// A stop switch that is or was on, for reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchView {
    /// Of which case; `None`: of everything.
    pub case: Option<CaseId>,
    /// The topic whose messages turn it, if there is one.
    pub topic: Option<String>,
    /// How far it is on.
    pub stop: Stop,
    /// Who turned it last.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: At,
}

/// What one input led to.
#[derive(Debug, Default)]
pub struct Step {
    /// To append to the desk log (durable) and then to apply, before anything below is released. `None`: nothing
    /// changed.
    pub record: Option<super::Record>,
    /// Attempts that are now committed and must be made.
    pub orders: Vec<Order>,
    /// Devices whose facts the desk wants, or no longer wants, to be told.
    pub watch: Vec<(DeviceId, Watch)>,
    /// Latched episodes that a person has ended: for the journal of the engine, which ends them.
    pub releases: Vec<(DeviceId, RuleId)>,
    /// Outcomes as they now are, for whoever wants to hear of them.
    pub outcomes: Vec<super::OutcomeView>,
    /// Keys of customers to be destroyed or made once the record is durable, before the reply.
    pub keys: Vec<KeyChange>,
    /// The answer to whoever asked.
    pub reply: Reply,
}

/// What is to be done to the key of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// To destroy: the customer is erased.
    Destroy(CustomerId),
    /// To make a new one, although there was one that was destroyed.
    Readmit(CustomerId),
}

/// Whether to forward a device's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Forward them now and when they change.
    Start,
    /// No more.
    Stop,
}

/// The answer to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reply {
    /// Nothing to say.
    #[default]
    Done,
    /// What to say in a call.
    Speech(Speech),
    /// What to answer a message with, over the line that it came by.
    Text(String),
    /// There is no such case or effect.
    NotFound,
    /// Not possible now, for people.
    Refused(String),
}

/// What to say in a call, rendered with the present truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech {
    /// BCP 47.
    pub locale: String,
    /// Plain text.
    pub text: String,
    /// What follows.
    pub then: SpeechThen,
}

/// What follows a speech.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeechThen {
    /// Wait for one key; without one the text is asked for again as the next turn.
    Listen,
    /// Hang up.
    HangUp,
    /// Connect to a person at this number (E.164).
    Connect(String),
}

/// A line of the case list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseSummary {
    /// Full id.
    pub id: CaseId,
    /// The eight characters people use.
    pub short: String,
    /// The device.
    pub device: String,
    /// The fault.
    pub fault: String,
    /// How bad.
    pub severity: Severity,
    /// Derived from goals and jobs: `detected`, `engaging`, `arranged`, `in_service`, `verifying`, `backing_out`, `closed`.
    pub phase: String,
    /// The case title.
    pub title: String,
    /// Device time of the sample that completed the rule. `opened_at` is our time: later by the way to us, and by years
    /// when a recording is replayed.
    pub event_at: At,
    /// When the first detection was taken in.
    pub opened_at: At,
    /// When it was closed.
    pub closed_at: Option<At>,
    /// How it ended, once closed (`served`, `false_alarm`, `closed_by_person`…).
    pub outcome: Option<String>,
    /// Met and total goals.
    pub goals_met: (usize, usize),
}

/// A whole case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseView {
    /// The line of the list.
    #[serde(flatten)]
    pub summary: CaseSummary,
    /// `device/fault family`.
    pub key: String,
    /// Which playbook, which version.
    pub playbook: String,
    /// The person who took it over, if one did.
    pub human_owner: Option<String>,
    /// Why its steps are held, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What was promised.
    pub goals: Vec<GoalView>,
    /// What was and will be done.
    pub effects: Vec<EffectView>,
    /// Why nothing happens just now, and until when; the soonest first.
    #[serde(default)]
    pub waits: Vec<WaitView>,
    /// What the device and its people went through before.
    #[serde(default)]
    pub history: History,
    /// What was said by us and to us, over all channels; oldest first.
    #[serde(default)]
    pub conversation: Vec<MessageView>,
    /// What was measured, decided, said, to whom, when; oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// A goal for reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalView {
    /// Its name.
    pub name: String,
    /// `open`, `met`, `waived`, `missed`.
    pub state: String,
    /// What met it.
    pub met_by: Option<String>,
    /// Until when: the deadline of the step that proves it, once that has started.
    pub deadline_at: Option<At>,
}

/// An effect for reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectView {
    /// Its id.
    pub id: EffectId,
    /// The step it serves.
    pub step: String,
    /// `mail`, `sms`, `call`, `ticket`, `dispatch`, `command`, `webhook`.
    pub kind: String,
    /// The provider.
    pub adapter: String,
    /// As in the effect's life (`due`, `sending`, `accepted`, `unknown`, `confirmed`, …).
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// Their id.
    pub provider_ref: Option<String>,
    /// Why it waits, if it does.
    pub waits_for: Option<String>,
    /// Until when.
    pub not_before_at: Option<At>,
    /// A repetition after an unknown outcome.
    pub possible_duplicate: bool,
}

/// What a line of the timeline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimelineKind {
    /// A detection or a fact.
    Measured,
    /// The desk decided something.
    Decided,
    /// An attempt was started.
    Sent,
    /// Somebody was told something.
    Said,
    /// A provider, device or person answered.
    Answered,
    /// Something went wrong or is unclear.
    Trouble,
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub at: At,
    /// About what.
    pub kind: TimelineKind,
    /// One sentence without personal data: names roles and endpoint ids, not people and numbers.
    pub text: String,
    /// The effect it is about.
    pub effect: Option<EffectId>,
}
