//! What is done to the world: the order that a channel carries out once, and what came of it.
//!
//! An [`Order`] exists only after its attempt is committed to the desk log. It is built in memory at that moment, with
//! the present truth, from ids: addresses and names are in the order, never in the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AdapterName, At, BookWork, BookingNews, CaseId, Chart, EffectId, Invitation, Rate, Span};

/// Why a person is contacted: picks the consent, quiet-hour and unknown-outcome rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Immediate hazard to life or health.
    Safety,
    /// About the customer's own device, with consent.
    Service,
    /// Anything else, with consent and an opt-out in every message.
    Info,
}

/// One attempt for a channel to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The idempotency key.
    pub effect: EffectId,
    /// Counts the attempts of this effect from 1.
    pub attempt: u32,
    /// The case it serves.
    pub case: CaseId,
    /// Which configured provider.
    pub adapter: AdapterName,
    /// Do it, or only find out whether it was done.
    pub kind: OrderKind,
    /// When attempt 1 was sent: where a search at the provider begins.
    pub first_sent_at: At,
    /// The rates that it falls under, by name: attempts of one name are this fast at most, together.
    pub rates: Vec<(String, Rate)>,
    /// What.
    pub work: Work,
}

/// Whether to act or to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    /// Do the work once.
    Send,
    /// The outcome of an earlier attempt is unknown: ask the provider by our id. Must not do the work.
    Reconcile,
}

/// The work of one effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// An e-mail.
    Mail(MailWork),
    /// A text message.
    Sms(SmsWork),
    /// A phone call; what is said is asked of the desk when it is answered.
    Call(CallWork),
    /// A ticket in a desk.
    Ticket(TicketWork),
    /// A tow truck or technician.
    Dispatch(DispatchWork),
    /// A command to the device.
    Command(CommandWork),
    /// A signed JSON POST.
    Webhook(WebhookWork),
    /// An appointment.
    Book(BookWork),
    /// A message in the customer's own app.
    App(AppWork),
}

/// An e-mail, rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct MailWork {
    /// Display name of the recipient.
    pub to_name: String,
    /// Mailbox of the recipient.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// A picture that the HTML part shows.
    pub chart: Option<Box<Chart>>,
    /// BCP 47, for `Content-Language`.
    pub locale: String,
    /// `Auto-Submitted: auto-generated`, and no unsubscribe header on safety mail.
    pub purpose: Purpose,
    /// `Importance`: `high`, `normal` or `low`; `None`: not stated.
    pub importance: Option<String>,
    /// Plain texts beside the mail: file name and text.
    pub attachments: Vec<(String, String)>,
    /// An appointment for the calendar.
    pub invitation: Option<Box<Invitation>>,
    /// Where one POST ends mails like this (RFC 8058); never on safety mail.
    pub unsubscribe: Option<String>,
    /// Where answers go: an address of the case.
    pub reply_to: Option<String>,
    /// Where it comes back to if it cannot be delivered: an address of its own. `None`: to the sender, whom nobody asks.
    pub comes_back_to: Option<String>,
}

/// A text message, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsWork {
    /// E.164.
    pub to: String,
    /// Plain text.
    pub body: String,
    /// The provider must drop it when it could not deliver it within this time.
    pub validity: Span,
}

/// A phone call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallWork {
    /// E.164.
    pub to: String,
    /// How long to let it ring.
    pub ring: Span,
}

/// What to do in the ticket desk. `Send` of a `Create` whose outcome was unknown happens only after `Reconcile` said
/// `NotFound`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketWork {
    /// Open a ticket that carries the case id as its external reference.
    Create {
        /// One line.
        title: String,
        /// First article, plain text.
        body: String,
        /// Fields of the desk as written in the playbook (`group`, `priority`), rendered.
        fields: BTreeMap<String, String>,
        /// The customer, if the case may tell the desk: mailbox and name.
        customer: Option<(String, String)>,
    },
    /// Add an article.
    Note {
        /// The ticket as the desk named it on creation.
        ticket: String,
        /// Plain text.
        body: String,
        /// The ticket was closed and is open again with it.
        reopens: bool,
    },
    /// Close with a last article.
    Close {
        /// The ticket as the desk named it on creation.
        ticket: String,
        /// Plain text.
        body: String,
    },
}

/// What to ask of a dispatch provider.
#[derive(Debug, Clone, PartialEq)]
pub enum DispatchWork {
    /// A new job. The body for one effect is always the same, byte for byte: its facts are frozen when it is planned.
    Request(Box<Job>),
    /// Take a job back.
    Cancel {
        /// The provider's id of the job.
        job: String,
    },
    /// How does the job stand? (Polling; callbacks can be lost.)
    Status {
        /// The provider's id of the job.
        job: String,
    },
}

/// A request for a truck or a technician (the body of `POST /v1/jobs`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// `tow`, `jump`, `tire`, `technician`…
    pub service: String,
    /// `safety` or `normal`.
    pub priority: String,
    /// When it was planned.
    pub requested_at: At,
    /// Where to.
    #[serde(rename = "where")]
    pub place: Place,
    /// What to pick up.
    pub vehicle: Vehicle,
    /// What is broken: the part and whether it can be driven.
    pub fault: BTreeMap<String, String>,
    /// Who is there: name, phone, locale.
    pub contact: BTreeMap<String, String>,
    /// An offer not accepted by then is void.
    pub accept_by: At,
}

/// A position with how far to trust it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// WGS 84 degrees.
    pub lat: f64,
    /// WGS 84 degrees.
    pub lon: f64,
    /// Age of the fix in seconds when the job was planned.
    pub age_s: f64,
    /// Radius in metres, if a person's browser gave the position and said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
}

/// What the driver of the truck has to look for. Keys as in the registry (`plate`, `vin`, `make`, `colour`…).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vehicle(pub BTreeMap<String, String>);

/// A command to a device over MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandWork {
    /// Topic name, rendered.
    pub topic: String,
    /// Payload, rendered; carries the effect id so that the answer can be matched.
    pub payload: String,
    /// The broker drops it after this instant (message expiry interval), and the device must refuse it.
    pub expires_at: At,
}

/// A message for the customer's own app, rendered; their back end shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppWork {
    /// Whom their back end knows by this name.
    pub user: String,
    /// BCP 47, of the texts.
    pub locale: String,
    /// Safety may break through the phone's "do not disturb".
    pub purpose: Purpose,
    /// One line.
    pub title: String,
    /// Plain text.
    pub text: String,
    /// The short id of the case, and where it is read.
    pub case: (String, String),
    /// What may be answered: key and label. The keys are those of a call. None: nothing is asked.
    pub choices: Vec<(char, String)>,
    /// Not to be shown after that: a stale text misleads.
    pub valid_until: At,
}

/// A JSON body for a signed webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookWork {
    /// The body.
    pub body: serde_json::Value,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The provider took it.
    Accepted {
        /// Their id for it, empty if they have none.
        provider_ref: String,
    },
    /// The provider will never take it (4xx, bad address, business refusal).
    Rejected {
        /// For people.
        reason: String,
    },
    /// Provably not processed: connection refused, DNS, TLS, 429, 503 with Retry-After, SMTP error before the dot.
    Retry {
        /// The provider's own wish, if it stated one.
        after: Option<Span>,
        /// For people.
        reason: String,
    },
    /// Nobody knows: bytes were sent and no clear answer came.
    Unknown {
        /// For people.
        reason: String,
    },
    /// Answer to `Reconcile`: the provider certainly does not have it.
    NotFound,
}

/// News about an effect that came on its own: a callback, a key press, a device's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which effect; every callback URL, tag and payload carries it.
    pub effect: EffectId,
    /// The provider's id for it, if the news names one: closes an unknown outcome.
    pub provider_ref: Option<String>,
    /// The provider's own count, if it has one: news with a number not above the stored one is old.
    pub seq: Option<u64>,
    /// The news.
    pub what: ReceiptKind,
}

/// The news of a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// The state of a phone call.
    Call {
        /// The state.
        progress: CallProgress,
    },
    /// The called person pressed a key, or tapped the choice of that key in the app.
    Key {
        /// `0`-`9`, `*`, `#`.
        digit: char,
    },
    /// The state of a text message.
    Sms {
        /// The state.
        progress: SmsProgress,
    },
    /// The state of a dispatch job.
    Dispatch {
        /// The state, with what came along.
        update: JobUpdate,
    },
    /// What a workshop says of an appointment.
    Booking {
        /// What it says.
        news: BookingNews,
    },
    /// The device answered a command.
    Command {
        /// Whether it did it.
        ok: bool,
        /// What it said.
        detail: String,
    },
    /// The state of a message in the app.
    App {
        /// The state.
        progress: AppProgress,
    },
    /// A mail came back: a server on its way could not deliver it.
    Returned,
}

/// States of a message in the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppProgress {
    /// On the phone. Not a proof that anybody read it.
    Delivered,
    /// Somebody looked at it. Not a proof that it was understood.
    Opened,
    /// Will not arrive: no phone has the app any more.
    Failed,
}

/// States of a call, in the words of the Twilio shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallProgress {
    /// Waiting at the provider.
    Queued,
    /// Being dialled.
    Initiated,
    /// Ringing.
    Ringing,
    /// Somebody or something answered.
    InProgress,
    /// Ended after an answer. Not a proof that anybody listened.
    Completed,
    /// Busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Could not be placed.
    Failed,
    /// Taken back by us.
    Canceled,
}

/// States of a text message, in the words of the Twilio shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmsProgress {
    /// On its way.
    Sent,
    /// On the handset. Not a proof that anybody read it.
    Delivered,
    /// Will not arrive.
    Undelivered,
    /// Could not be sent.
    Failed,
}

/// States of a dispatch job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Asked of the provider's drivers.
    Offered,
    /// A driver took it.
    Accepted,
    /// Under way.
    EnRoute,
    /// There.
    OnSite,
    /// Towing.
    Towing,
    /// Finished.
    Done,
    /// Nobody took it.
    Declined,
    /// Nobody could.
    NoProvider,
    /// Arrived and found nobody.
    GoneOnArrival,
    /// Arrived and could not help.
    Unsuccessful,
    /// Taken back.
    Cancelled,
    /// We asked to take it back and they refused: it comes.
    CancelRefused,
}

/// News of a dispatch job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobUpdate {
    /// The provider's id of the job.
    pub job: String,
    /// How it stands.
    pub state: JobState,
    /// When it will be there, if they say.
    pub eta_at: Option<At>,
    /// Plate or name of the truck, if they say.
    pub truck: Option<String>,
}
