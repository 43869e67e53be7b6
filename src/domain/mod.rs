//! The nouns everything else speaks in: ids, time, values, detections, effects, the registry.
//!
//! Nothing here does I/O or reads a clock. A type that two layers exchange is defined here, so that neither layer has
//! to know the other.

mod booking;
mod chart;
mod detection;
mod effect;
mod guard;
mod id;
mod link;
mod message;
mod pos;
mod rate;
mod redact;
mod registry;
mod series;
mod shard;
mod time;
mod unit;
mod value;
mod verdict;

pub use booking::{BookWork, BookingNews, BookingProgress, Invitation, InviteMethod, Slot};
pub use chart::Chart;
pub use detection::{Change, Detection, Evidence, Level, Mode, Severity};
pub use effect::{
    AppProgress, AppWork, CallProgress, CallWork, CommandWork, DispatchWork, Job, JobState, JobUpdate, MailWork, Order,
    OrderKind, Outcome, Place, Purpose, Receipt, ReceiptKind, SmsProgress, SmsWork, TicketWork, Vehicle, WebhookWork,
    Work,
};
pub use guard::{Breaker, Guards, Stop};
pub use id::{
    AdapterName, CaseId, Component, CustomerId, DeviceId, EffectId, EndpointId, EpisodeId, FaultName, GoalName,
    ModelId, ParseIdError, PlaybookId, QueueName, RuleId, ScriptId, SignalName, StepId,
};
pub use link::{Link, PageKind};
pub use message::{Author, CalendarAnswer, CalendarReply, Channel, Said, Sender};
pub use pos::Pos;
pub use rate::Rate;
pub use registry::{Agreed, Consent, Customer, Device, Endpoint, EndpointKind, Registry, Role};
pub use series::Series;
pub use shard::{SHARDS, shard_of};
pub use time::{At, ParseSpanError, Span};
pub use unit::{Dimension, Unit};
pub use value::Value;
pub use verdict::{FirstContact, Truth, Verdict};
