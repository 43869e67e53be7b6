//! The rows of the desk's state, as they are stored: a byte with the version, then postcard.
//!
//! Rows name roles, customers and endpoints by id, never people and addresses. What has to be kept of a person all the
//! same is [`Sealed`] with that person's key: where they are, the request for a truck and which one comes, what they write
//! and what our people type. In the clear stand ids, words of ours, times, marks, what was measured (without plates and
//! places, see [`super::nameless`]), what providers answer (without names and addresses, which the dispatcher takes out),
//! and who of our own people did what: that is what an audit is for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::TimelineKind;
use super::book::{BookingRow, LetterRow};
use super::bundle::RideRow;
use super::command::CommandsRow;
use super::consent::RefusedRow;
use super::course::CourseRow;
use super::erase::ErasedRow;
use super::line::PlaceRow;
use super::merge::GroupRow;
use super::named::Named;
use super::optout::OptOutRow;
use super::outcome::OutcomeRow;
use super::pages::About;
use super::quality::TallyRow;
use super::reached::ReachedRow;
use super::recurring::{MarkRow, Signature};
use super::rules::{FoundRow, RuleRow};
use super::seal::Sealed;
use super::stop::SwitchRow;
use super::storm::{ChildRow, PaceRow, RateRow, StormRow};
use super::survey::SurveyRow;
use super::talk::{MessageRow, TalkRow};
use super::whereabouts::WhereRow;
use super::wrong::WrongRow;
use crate::domain::{
    AdapterName, At, CaseId, Channel, Component, CustomerId, DeviceId, EffectId, EndpointId, EpisodeId, Evidence,
    FaultName, GoalName, JobState, PlaybookId, QueueName, Role, RuleId, ScriptId, Severity, Span, StepId, Value,
};
use crate::outbox::{Delivery, Window};
use crate::playbook::{Held, SourceHash, Until, Via};

/// A case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CaseRow {
    pub(super) key: String,
    pub(super) playbook: PlaybookId,
    pub(super) version: u32,
    pub(super) plan: SourceHash,
    pub(super) device: DeviceId,
    /// Counts openings from 1: a reopened case runs its plan again.
    pub(super) run: u32,
    pub(super) fault: FaultName,
    pub(super) component: Option<Component>,
    pub(super) severity: Severity,
    pub(super) level: String,
    pub(super) confidence: f64,
    pub(super) title: String,
    pub(super) evidence: Vec<Evidence>,
    /// All its episodes have ended by themselves.
    pub(super) cleared_at: Option<At>,
    /// A rule was removed in the middle of an episode of it: nobody knows how that goes on.
    pub(super) unwatched: bool,
    pub(super) stale: bool,
    /// How long it will take to become a breakdown, at the earliest and at the latest, as its rule promises.
    pub(super) lead: Option<(Span, Span)>,
    /// Device time of the sample that completed the rule.
    pub(super) event_at: At,
    pub(super) opened_at: At,
    pub(super) closed_at: Option<At>,
    pub(super) outcome: Option<String>,
    pub(super) goals: Vec<GoalRow>,
    pub(super) backing_out: Option<String>,
    pub(super) human_owner: Option<String>,
    pub(super) owned_at: Option<At>,
    /// A person must have been told, or is paged, by then.
    pub(super) react_by_at: Option<At>,
    pub(super) cancel_held: Vec<Held>,
    pub(super) lines: u32,
    pub(super) wake_at: Option<At>,
}

impl CaseRow {
    pub(super) fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }
}

/// A promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct GoalRow {
    pub(super) name: GoalName,
    pub(super) state: GoalState,
    pub(super) met_by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum GoalState {
    Open,
    Met,
    Waived,
    /// Its time is over and a person was told; it can still be met.
    Missed,
}

impl GoalState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Met => "met",
            Self::Waived => "waived",
            Self::Missed => "missed",
        }
    }

    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Met | Self::Waived)
    }
}

/// A running step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StepRow {
    pub(super) state: StepState,
    pub(super) started_at: At,
    pub(super) deadline_at: Option<At>,
    /// The reaction to the deadline has been made.
    pub(super) late: bool,
    /// For `when`, `expect`, `verify`.
    pub(super) held: Held,
    pub(super) rungs: Vec<RungRow>,
    /// Reach: the key that confirmed it.
    pub(super) confirmed: Option<char>,
    /// Dispatch: which provider is asked now, counted from 0.
    pub(super) provider: u32,
    /// Dispatch: the live job. Command, ticket: the effect.
    pub(super) effect: Option<EffectId>,
    /// How often it was done again.
    pub(super) again: u32,
    /// Dispatch: what the driver was last told.
    pub(super) told_eta_at: Option<At>,
    /// A step that no playbook has: an announcement, an apology.
    pub(super) adhoc: Option<AdhocReach>,
}

impl StepRow {
    pub(super) fn new(now: At) -> Self {
        Self {
            state: StepState::Running,
            started_at: now,
            deadline_at: None,
            late: false,
            held: Held::default(),
            rungs: Vec::new(),
            confirmed: None,
            provider: 0,
            effect: None,
            again: 0,
            told_eta_at: None,
            adhoc: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StepState {
    /// Its `when` is not true yet.
    Waiting,
    Running,
    Done,
    /// It cannot succeed; a person knows.
    Failed,
    Cancelled,
}

impl StepState {
    pub(super) fn is_live(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}

/// A reach made up by the desk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AdhocReach {
    pub(super) who: Vec<Role>,
    pub(super) script: ScriptId,
    pub(super) until: Until,
    pub(super) vias: Vec<Via>,
    /// Belongs to backing out.
    pub(super) compensation: bool,
}

/// A rung of a running ladder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RungRow {
    pub(super) due_at: At,
    pub(super) state: RungState,
    pub(super) person: u32,
    pub(super) tries: u32,
    pub(super) next_at: At,
    pub(super) effect: Option<EffectId>,
    /// The try before may have reached its person.
    pub(super) doubt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RungState {
    Waiting,
    Working,
    /// Taken by the provider; an answer may come.
    Holding,
    Exhausted,
}

/// An effect: the machine and what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EffectRow {
    pub(super) case: CaseId,
    pub(super) step: StepId,
    pub(super) adapter: AdapterName,
    pub(super) delivery: Delivery,
    pub(super) target: Target,
    pub(super) script: Option<ScriptId>,
    /// Allowed although the case is closed or backing out.
    pub(super) compensation: bool,
    pub(super) planned_at: At,
    pub(super) waits_for: Option<String>,
    /// Text of a ticket article.
    pub(super) text: Option<String>,
    /// Ticket or job that it is about, as its provider names it.
    pub(super) about: Option<String>,
    /// The request of the job that it is about.
    pub(super) parent: Option<EffectId>,
}

impl EffectRow {
    /// The address that it waits to be sent to, if it is a message to a customer.
    pub(super) fn waits_for_person(&self) -> Option<&EndpointId> {
        match &self.target {
            Target::Customer { endpoint, .. } => Some(endpoint).filter(|_| self.delivery.state.is_waiting()),
            _ => None,
        }
    }
}

/// Whom a message goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Target {
    Nobody,
    Customer { customer: CustomerId, endpoint: EndpointId },
    Person { queue: QueueName, index: u32 },
}

impl Target {
    /// Whether it is one of the people of `queue`.
    pub(super) fn is_of(&self, queue: &QueueName) -> bool {
        matches!(self, Self::Person { queue: own, .. } if own == queue)
    }
}

/// What was said to whom, with what proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ContactRow {
    pub(super) customer: CustomerId,
    pub(super) endpoint: EndpointId,
    pub(super) script: ScriptId,
    /// The facts spoken, not the text.
    pub(super) spoken: BTreeMap<String, String>,
    pub(super) turns: u32,
    pub(super) result: String,
    pub(super) confirmed_by: Option<String>,
    pub(super) at: At,
}

/// A job at a dispatch provider; the key is the effect that asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct JobRow {
    pub(super) case: CaseId,
    pub(super) step: StepId,
    pub(super) provider: AdapterName,
    pub(super) job: Option<String>,
    pub(super) state: Option<JobState>,
    pub(super) seq: Option<u64>,
    pub(super) eta_at: Option<At>,
    /// Every time it was promised, first to last.
    pub(super) promised: Vec<At>,
    /// Plate of the truck or name of its driver, as the provider says.
    pub(super) truck: Option<Sealed>,
    pub(super) asked_at: At,
    pub(super) accepted_at: Option<At>,
    pub(super) news_at: At,
    pub(super) late_departure: bool,
    pub(super) late_arrival: bool,
    /// It was replaced or is not wanted any more.
    pub(super) unwanted: bool,
    pub(super) cancel: Option<EffectId>,
    pub(super) poll: Option<EffectId>,
    /// What was asked for: `tow`.
    pub(super) service: String,
    /// The [`Job`](crate::domain::Job) with name and number of the driver, frozen: the same byte for byte on every attempt.
    pub(super) body: Sealed,
}

/// A ticket of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TicketRow {
    pub(super) create: EffectId,
    pub(super) desk: AdapterName,
    pub(super) ticket: Option<String>,
    /// Lines that are not yet in the ticket.
    pub(super) pending: Vec<String>,
    /// The article under way.
    pub(super) note: Option<EffectId>,
    pub(super) notes: u32,
    /// Why it is to be closed.
    pub(super) close: Option<String>,
    pub(super) close_effect: Option<EffectId>,
}

/// The paging of a queue for a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PageRow {
    pub(super) reason: String,
    /// The troubles among its reasons that may resolve themselves.
    pub(super) about: Vec<About>,
    /// Another reason is among them: only a person ends the page.
    pub(super) firm: bool,
    pub(super) started_at: At,
    pub(super) person: u32,
    pub(super) round: u32,
    pub(super) calls: u32,
    pub(super) effect: Option<EffectId>,
    pub(super) next_at: Option<At>,
    pub(super) acked_by: Option<String>,
}

/// An episode that the desk has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EpisodeRow {
    pub(super) seq: u32,
    pub(super) device: DeviceId,
    pub(super) fault: FaultName,
    pub(super) case: Option<CaseId>,
    /// Why nothing was done, if nothing was.
    pub(super) ignored: Option<String>,
    pub(super) ended: bool,
    pub(super) seen_at: At,
}

impl EpisodeRow {
    /// The case that is not cleared before it has ended.
    pub(super) fn holds_open(&self) -> Option<CaseId> {
        self.case.filter(|_| !self.ended)
    }
}

/// What a device last said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct FactsRow {
    pub(super) event_at: At,
    pub(super) stored_at: At,
    /// Device time of the last position.
    pub(super) position_at: Option<At>,
    /// Latitude and longitude; read and written by [`super::position`].
    pub(super) position: Option<Sealed>,
    /// All others by name.
    pub(super) values: BTreeMap<String, Value>,
}

/// Whose budget.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum BudgetKey {
    Provider(AdapterName),
    /// Costly actions of a device; the number is the day since 1970, UTC.
    DeviceDay(DeviceId, i64),
}

/// How much of it is used.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct BudgetRow {
    pub(super) second: Window,
    pub(super) hour: Window,
    /// As many as the money of a day pays for.
    pub(super) day: Window,
}

/// The text of a playbook that a case was opened with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PlanRow {
    pub(super) source: String,
}

/// An episode that only a person ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LatchRow {
    pub(super) device: DeviceId,
    pub(super) rule: RuleId,
    /// A person has ended it; the engine has not said so yet.
    pub(super) released: bool,
}

/// A case whose steps are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct HoldRow {
    /// The rule that opened the case.
    pub(super) rule: RuleId,
    pub(super) why: Why,
}

impl HoldRow {
    /// The case of a parent that is the reason.
    pub(super) fn explained_by(&self) -> Option<CaseId> {
        match &self.why {
            Why::Parent(settling) => settling.case,
            Why::Storm(_) => None,
        }
    }
}

/// Why the steps of a case are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Why {
    Parent(Settling),
    /// One of too many: the case of the storm.
    Storm(CaseId),
}

/// A case whose parent device may be the cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settling {
    pub(super) parent: DeviceId,
    /// Goes on then, if there is no case of the parent.
    pub(super) until_at: At,
    /// The open case of the parent.
    pub(super) case: Option<CaseId>,
    /// There is or was one.
    pub(super) explained: bool,
    /// It was made part of that case, whatever the faults of both.
    pub(super) merged: bool,
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LineRow {
    pub(super) at: At,
    pub(super) kind: TimelineKind,
    /// Names roles and ids, not people and numbers.
    pub(super) text: String,
    pub(super) effect: Option<EffectId>,
    /// What somebody typed, behind the text.
    pub(super) words: Option<Sealed>,
}

/// When the daemon was started last; there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StartRow {
    pub(super) at: At,
}

/// Declares the tables: name, key, row, tag byte of the stored key.
macro_rules! tables {
    ($($name:ident: $key:ty => $row:ty, $tag:literal;)*) => {
        /// All rows, in memory.
        #[derive(Debug, Default, Clone, PartialEq)]
        pub(super) struct Rows { $(pub(super) $name: BTreeMap<$key, $row>,)* }
        /// Rows changed and not yet applied; `None` is deleted.
        #[derive(Debug, Default)]
        pub(super) struct Pending { $(pub(super) $name: BTreeMap<$key, Option<$row>>,)* }

        $(impl Table for $row {
            type Key = $key;
            const TAG: u8 = $tag;
            fn of(rows: &Rows) -> &BTreeMap<$key, Self> { &rows.$name }
            fn pending(pending: &Pending) -> &BTreeMap<$key, Option<Self>> { &pending.$name }
            fn pending_mut(pending: &mut Pending) -> &mut BTreeMap<$key, Option<Self>> { &mut pending.$name }
        })*

        impl Rows {
            /// Those rows whose key or content is about one of `names`, table by table, at most `most` of each; and the
            /// tables that have more.
            pub(super) fn json(&self, names: &Named, most: usize) -> (Json, Vec<&'static str>) {
                let (mut tables, mut cut) = (serde_json::Map::new(), Vec::new());
                $({
                    let mut picked = self.$name.iter().filter(|(key, row)| names.are_in(key) || names.are_in(row));
                    let rows: Vec<Json> = picked.by_ref().take(most).map(|(key, row)| as_json(key, row)).collect();
                    if !rows.is_empty() {
                        tables.insert(stringify!($name).to_owned(), rows.into());
                    }
                    if picked.next().is_some() {
                        cut.push(stringify!($name));
                    }
                })*
                (tables.into(), cut)
            }
        }

        impl Pending {
            /// As changes of a record, table by table in key order.
            pub(super) fn encode(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
                let mut changes = Vec::new();
                $(for (key, row) in &self.$name {
                    changes.push((encode_key::<$row>(key), row.as_ref().map(encode_row)));
                })*
                changes
            }
        }

        /// A stored row, decoded.
        #[derive(Debug)]
        #[expect(non_camel_case_types, reason = "named as their tables")]
        pub(super) enum AnyRow { $($name($key, Option<$row>),)* }

        impl AnyRow {
            /// Decodes one change of a record.
            pub(super) fn decode(key: &[u8], row: Option<&[u8]>) -> Result<Self, super::Error> {
                let Some((tag, rest)) = key.split_first() else { return Err(super::Error::Key) };
                match *tag {
                    $($tag => Ok(Self::$name(
                        postcard::from_bytes(rest).map_err(|_| super::Error::Key)?,
                        row.map(decode_row).transpose()?,
                    )),)*
                    _ => Err(super::Error::Key),
                }
            }
        }
    };
}

/// A table of the state.
pub(super) trait Table: Clone + Serialize {
    type Key: Ord + Clone + Serialize;
    const TAG: u8;
    fn of(rows: &Rows) -> &BTreeMap<Self::Key, Self>;
    fn pending(pending: &Pending) -> &BTreeMap<Self::Key, Option<Self>>;
    fn pending_mut(pending: &mut Pending) -> &mut BTreeMap<Self::Key, Option<Self>>;
}

tables! {
    cases: CaseId => CaseRow, b'c';
    steps: (CaseId, StepId) => StepRow, b's';
    effects: EffectId => EffectRow, b'e';
    contacts: EffectId => ContactRow, b'a';
    jobs: EffectId => JobRow, b'j';
    tickets: (CaseId, StepId) => TicketRow, b't';
    pages: (CaseId, QueueName) => PageRow, b'h';
    episodes: EpisodeId => EpisodeRow, b'd';
    facts: DeviceId => FactsRow, b'f';
    budgets: BudgetKey => BudgetRow, b'b';
    timeline: (CaseId, u32) => LineRow, b'l';
    plans: SourceHash => PlanRow, b'p';
    latches: EpisodeId => LatchRow, b'x';
    holds: CaseId => HoldRow, b'o';
    rates: (String, String) => RateRow, b'k';
    storms: CaseId => StormRow, b'z';
    children: CaseId => ChildRow, b'n';
    paces: (CaseId, u8, u8) => PaceRow, b'm';
    starts: u8 => StartRow, b'u';
    groups: (String, String) => GroupRow, b'g';
    messages: (CaseId, u32) => MessageRow, b'M';
    talks: CaseId => TalkRow, b'N';
    optouts: (EndpointId, Channel) => OptOutRow, b'Q';
    reached: CustomerId => ReachedRow, b'R';
    wrongs: (DeviceId, EndpointId) => WrongRow, b'W';
    commands: Option<DeviceId> => CommandsRow, b'y';
    whereabouts: DeviceId => WhereRow, b'P';
    places: EffectId => PlaceRow, b'L';
    rides: EffectId => RideRow, b'G';
    refusals: CaseId => RefusedRow, b'A';
    switches: Option<CaseId> => SwitchRow, b'w';
    rules: RuleId => RuleRow, b'r';
    found: EpisodeId => FoundRow, b'D';
    bookings: (CaseId, StepId) => BookingRow, b'B';
    surveys: (CaseId, StepId) => SurveyRow, b'V';
    letters: EffectId => LetterRow, b'I';
    erased: CustomerId => ErasedRow, b'X';
    outcomes: CaseId => OutcomeRow, b'U';
    tallies: (RuleId, u64) => TallyRow, b'Y';
    marks: Signature => MarkRow, b'Z';
    courses: CaseId => CourseRow, b'C';
}

impl Rows {
    /// Everything that is sealed.
    pub(super) fn sealed(&self) -> Vec<&Sealed> {
        let positions = self.facts.values().filter_map(|f| f.position.as_ref());
        let messages = self.messages.values().map(|m| &m.body);
        let typed = self.timeline.values().filter_map(|line| line.words.as_ref());
        let reasons = self.switches.values().filter_map(|switch| switch.reason.as_ref());
        let jobs = self.jobs.values().flat_map(|j| std::iter::once(&j.body).chain(&j.truck));
        jobs.chain(messages).chain(typed).chain(reasons).chain(positions).collect()
    }
}

fn as_json(key: &impl Serialize, row: &impl Serialize) -> Json {
    json!({ "key": serde_json::to_value(key).unwrap_or(Json::Null), "row": serde_json::to_value(row).unwrap_or(Json::Null) })
}

/// Tables whose keys begin with the id of a case or an effect.
const OF_CASES_AND_EFFECTS: &[u8] = b"cseajthlUMNonVBACzmILG";
/// Bytes of such an id in a key.
const ID: usize = 16;

/// The case or effect that a row is about, if its key names one, and what else is in the key: such rows change together
/// and are read together.
#[must_use]
pub fn subject_of(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = key.split_first()?;
    rest.split_at_checked(ID).filter(|_| OF_CASES_AND_EFFECTS.contains(tag))
}

/// The first byte of the keys of cases.
#[cfg(debug_assertions)]
pub(super) const CASE_TAG: u8 = <CaseRow as Table>::TAG;

/// The layout of rows; the first byte of each.
const VERSION: u8 = 6;

fn encode_key<T: Table>(key: &T::Key) -> Vec<u8> {
    encode(T::TAG, key)
}

fn encode_row<T: Table>(row: &T) -> Vec<u8> {
    encode(VERSION, row)
}

#[expect(
    clippy::expect_used,
    reason = "rows hold plain data; postcard fails only on unsized sequences and full buffers"
)]
fn encode(first: u8, value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![first]).expect("plain data is always encoded")
}

fn decode_row<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, super::Error> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| super::Error::Row),
        Some((version, _)) => Err(super::Error::Version(*version)),
        None => Err(super::Error::Row),
    }
}
