//! The state machine of one effect.

use serde::{Deserialize, Serialize};

use super::{Kind, Plan, back_off, plan_for};
use crate::domain::{
    AppProgress, At, BookingNews, CallProgress, EffectId, JobState, Outcome, Purpose, Receipt, ReceiptKind,
    SmsProgress, Span,
};

/// Where an effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// To be sent at `not_before_at`.
    Due,
    /// Failed without a doubt that it was not processed; to be sent again at `not_before_at`.
    Retry,
    /// The attempt is committed and is being made.
    Sending,
    /// Nobody knows whether it happened.
    Unknown,
    /// The provider is being asked whether it happened.
    Reconciling,
    /// The provider has it.
    Accepted,
    /// It reached its goal: the handset, the ear (or the voicemail), the desk.
    Delivered,
    /// A person or a device answered.
    Confirmed,
    /// The provider will never take it.
    Rejected,
    /// It was taken and did not reach its goal (busy, undelivered, refused by the device).
    Failed,
    /// Not sent within its time limit, or unknown for ever: a person has to look.
    Dead,
    /// Taken back before it was sent.
    Cancelled,
}

impl State {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Retry => "retry",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Reconciling => "reconciling",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// How much is proven. Never goes down: 0 nothing yet, 1 the provider has it or it ended, 2 delivered, 3 confirmed.
    #[must_use]
    pub fn proof(self) -> u8 {
        match self {
            Self::Due | Self::Retry | Self::Sending | Self::Unknown | Self::Reconciling => 0,
            Self::Accepted => 1,
            Self::Rejected | Self::Failed | Self::Dead | Self::Cancelled => 2,
            Self::Delivered => 3,
            Self::Confirmed => 4,
        }
    }

    /// Would still be sent.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Due | Self::Retry)
    }

    /// An attempt is under way.
    #[must_use]
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::Sending | Self::Reconciling)
    }

    /// The provider took it.
    #[must_use]
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Accepted | Self::Delivered | Self::Confirmed)
    }

    /// It did not work and will not.
    #[must_use]
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Rejected | Self::Failed | Self::Dead | Self::Cancelled)
    }
}

/// The state of one effect, stored in its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What it does.
    pub kind: Kind,
    /// Why.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: State,
    /// Counts orders, sendings and questions alike.
    pub attempt: u32,
    /// Counts sendings.
    pub sends: u32,
    /// Failures in a row, for the back-off.
    pub failures: u32,
    /// Questions asked since the outcome became unknown.
    pub asked: u32,
    /// Sendings after an unknown outcome that was found not to have happened.
    pub resends: u32,
    /// Not sent before.
    pub not_before_at: At,
    /// Not sent after: then it is dead.
    pub limit_at: At,
    /// When the first attempt was sent.
    pub first_sent_at: Option<At>,
    /// When the present attempt was sent.
    pub sent_at: Option<At>,
    /// Since when nobody knows.
    pub unknown_at: Option<At>,
    /// A policy has been applied to the unknown outcome.
    pub given_up: bool,
    /// The provider's id.
    pub provider_ref: Option<String>,
    /// The provider's count of its news.
    pub seq: Option<u64>,
    /// The call has ended.
    pub ended: bool,
    /// Sent although an earlier one may have arrived.
    pub possible_duplicate: bool,
    /// The last bad news, for people.
    pub reason: Option<String>,
    /// Ringing time of a call.
    pub ring: Span,
}

/// What happened to an effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Its attempt is being committed in this step.
    Claim,
    /// A channel finished attempt `.0`.
    Outcome(u32, &'a Outcome),
    /// A provider or a person reports.
    Receipt(&'a Receipt),
    /// The daemon has restarted.
    Restart,
    /// It is not wanted any more.
    Cancel,
    /// Time has passed.
    Tick,
}

/// What the desk has to know of a change. `None` of it: old news, or nothing that concerns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Something to store, nothing to do.
    Noted,
    /// An attempt is now to be made: this order.
    Go(Ask),
    /// The provider has it.
    Taken,
    /// It reached its goal.
    Delivered,
    /// A person or a device answered.
    Confirmed,
    /// A call ended without an answer of its person.
    Ended,
    /// It will not happen: the ladder advances.
    Lost,
    /// Nobody knows: a safety ladder advances, the provider will be asked.
    InDoubt,
    /// Nobody will know: policy decides, for orders a person.
    StillInDoubt,
}

/// What a claimed attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The work.
    Send,
    /// Ask whether it was done.
    Reconcile,
}

impl Delivery {
    /// A new effect.
    #[must_use]
    pub fn new(kind: Kind, purpose: Purpose, not_before_at: At, limit_at: At) -> Self {
        Self {
            kind,
            purpose,
            state: State::Due,
            attempt: 0,
            sends: 0,
            failures: 0,
            asked: 0,
            resends: 0,
            not_before_at,
            limit_at,
            first_sent_at: None,
            sent_at: None,
            unknown_at: None,
            given_up: false,
            provider_ref: None,
            seq: None,
            ended: false,
            possible_duplicate: false,
            reason: None,
            ring: Span::from_secs(25),
        }
    }

    /// It counts as lost because nobody will ever know: it may have arrived.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.state.is_lost() && self.unknown_at.is_some()
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self) -> Option<At> {
        match self.state {
            State::Due | State::Retry => Some(self.not_before_at.min(self.limit_at)),
            State::Unknown => Some(self.next_look_at()),
            State::Sending | State::Reconciling => self.sent_at.map(|s| s + LEASE),
            // A command that nobody answered, a call that nobody reports on: see `tick`.
            State::Accepted if self.kind == Kind::Call => self.silent_call_at(),
            State::Delivered if self.kind == Kind::Call && !self.ended => self.sent_at.map(|s| s + TALK_LIMIT),
            State::Accepted if self.kind == Kind::Command => Some(self.limit_at),
            _ => None,
        }
    }

    fn plan(&self) -> Plan {
        let expires = self.limit_at - self.unknown_at.unwrap_or(self.limit_at);
        plan_for(self.kind, self.purpose, self.ring, expires)
    }

    fn next_look_at(&self) -> At {
        let since = self.unknown_at.unwrap_or(At::MIN);
        let plan = self.plan();
        if self.given_up {
            // Orders that a person was told about are still asked for now and then: the answer may come back.
            return since + plan.t_max + Span::from_mins(10).times(i64::from(self.asked.max(1)));
        }
        let index = usize::try_from(self.asked).unwrap_or(usize::MAX);
        let ask = plan.ask_after.get(index).copied().flatten().map(|s| since + s);
        ask.unwrap_or(since + plan.t_max + if self.asked_all() { plan.hold } else { Span::ZERO })
    }

    fn asked_all(&self) -> bool {
        usize::try_from(self.asked).unwrap_or(usize::MAX) >= self.plan().ask_after.iter().flatten().count()
    }

    /// A call that was taken but of which nothing was heard: callbacks can be lost.
    fn silent_call_at(&self) -> Option<At> {
        self.sent_at.map(|s| s + self.ring + Span::from_secs(35))
    }

    /// To be sent again at `at`: for polling, where every answer is followed by the next question.
    pub fn rearm(&mut self, at: At) {
        self.state = State::Due;
        self.not_before_at = at;
        self.failures = 0;
    }

    /// Brings the effect up to date with `event`.
    pub fn on(&mut self, id: &EffectId, now: At, event: &Event<'_>) -> Option<News> {
        match event {
            Event::Claim => self.claim(now),
            Event::Outcome(attempt, outcome) => self.outcome(id, now, *attempt, outcome),
            Event::Receipt(receipt) => self.receipt(receipt),
            Event::Restart => self.restart(now),
            Event::Cancel => self.state.is_waiting().then(|| {
                self.state = State::Cancelled;
                News::Noted
            }),
            Event::Tick => self.tick(id, now),
        }
    }

    fn claim(&mut self, now: At) -> Option<News> {
        let ask = match self.state {
            State::Due | State::Retry => {
                self.state = State::Sending;
                self.sends += 1;
                self.first_sent_at.get_or_insert(now);
                Ask::Send
            }
            State::Unknown => {
                self.state = State::Reconciling;
                self.asked += 1;
                Ask::Reconcile
            }
            _ => return None,
        };
        self.attempt += 1;
        self.sent_at = Some(now);
        Some(News::Go(ask))
    }

    fn outcome(&mut self, id: &EffectId, now: At, attempt: u32, outcome: &Outcome) -> Option<News> {
        if attempt != self.attempt {
            return None;
        }
        if let Outcome::Accepted { provider_ref } = outcome
            && !provider_ref.is_empty()
        {
            // The id is welcome however late it comes.
            self.provider_ref.get_or_insert_with(|| provider_ref.clone());
        }
        if !self.state.is_in_flight() {
            // Too late to say anything but yes: a channel that answers after its lease, or after a callback.
            let taken = matches!(outcome, Outcome::Accepted { .. });
            return match self.state {
                State::Unknown if taken => {
                    self.state = State::Accepted;
                    self.unknown_at = None;
                    Some(News::Taken)
                }
                _ => taken.then_some(News::Noted),
            };
        }
        let asking = self.state == State::Reconciling;
        match outcome {
            Outcome::Accepted { .. } => {
                self.failures = 0;
                self.unknown_at = None;
                self.state = State::Accepted;
                Some(News::Taken)
            }
            Outcome::Rejected { reason } if !asking => Some(self.lose(State::Rejected, reason)),
            Outcome::Retry { after, reason } if !asking => {
                self.failures += 1;
                self.reason = Some(reason.clone());
                let wait = after.unwrap_or(Span::ZERO).max(back_off(id, self.failures));
                self.try_again(now + wait)
            }
            Outcome::NotFound if asking => self.not_found(now),
            // A question that could not be asked or answered leaves it as it was.
            Outcome::Unknown { reason } | Outcome::Retry { reason, .. } | Outcome::Rejected { reason } => {
                self.reason = Some(reason.clone());
                self.doubt(id, now, asking)
            }
            Outcome::NotFound => {
                self.reason = Some("the provider answered a question that was not asked".to_owned());
                self.doubt(id, now, asking)
            }
        }
    }

    fn doubt(&mut self, id: &EffectId, now: At, asking: bool) -> Option<News> {
        if self.kind.is_harmless() {
            self.failures += 1;
            self.possible_duplicate = true;
            return self.try_again(now + back_off(id, self.failures));
        }
        self.state = State::Unknown;
        if asking {
            return Some(News::Noted);
        }
        self.unknown_at = Some(now);
        self.asked = 0;
        Some(News::InDoubt)
    }

    fn not_found(&mut self, now: At) -> Option<News> {
        self.state = State::Unknown;
        if !self.asked_all() {
            // Too early to believe: an index may lag, a call may not be listed yet.
            return Some(News::Noted);
        }
        if self.resends > 0 {
            return Some(self.lose(State::Failed, "sent twice, and the provider has neither"));
        }
        self.resends += 1;
        self.unknown_at = None;
        self.given_up = false;
        self.try_again(now)
    }

    fn try_again(&mut self, at: At) -> Option<News> {
        if at >= self.limit_at {
            return Some(self.lose(State::Dead, "not possible within its time limit"));
        }
        self.state = State::Retry;
        self.not_before_at = at;
        Some(News::Noted)
    }

    fn lose(&mut self, state: State, reason: &str) -> News {
        self.state = state;
        if state != State::Dead || self.reason.is_none() {
            self.reason = Some(reason.to_owned());
        }
        News::Lost
    }

    fn restart(&mut self, now: At) -> Option<News> {
        match self.state {
            State::Sending if self.kind.is_harmless() => {
                self.possible_duplicate = true;
                self.state = State::Retry;
                self.not_before_at = now;
                Some(News::Noted)
            }
            State::Sending => {
                self.reason = Some("the daemon stopped during the attempt".to_owned());
                self.state = State::Unknown;
                self.unknown_at = Some(now);
                self.asked = 0;
                Some(News::InDoubt)
            }
            State::Reconciling => {
                self.state = State::Unknown;
                self.asked = self.asked.saturating_sub(1);
                Some(News::Noted)
            }
            _ => None,
        }
    }

    fn tick(&mut self, id: &EffectId, now: At) -> Option<News> {
        if self.wake_at().is_none_or(|at| now < at) {
            return None;
        }
        match self.state {
            State::Due | State::Retry if now >= self.limit_at => {
                Some(self.lose(State::Dead, "not possible within its time limit"))
            }
            State::Sending | State::Reconciling => {
                let asking = self.state == State::Reconciling;
                self.reason = Some("the channel did not answer".to_owned());
                self.doubt(id, now, asking)
            }
            State::Unknown if self.kind == Kind::Command => Some(self.lose(State::Failed, "the device did not answer")),
            State::Unknown if self.given_up => {
                if now >= self.limit_at {
                    return Some(self.lose(State::Dead, "nobody can tell whether it happened"));
                }
                self.claim(now)
            }
            State::Unknown if !self.asked_all() => self.claim(now),
            State::Unknown if self.kind.is_let_go() => {
                // Whoever was to be told is told another way, another time is kept; late news is still welcome.
                Some(match self.lose(State::Failed, "nobody can tell whether it arrived") {
                    News::Lost => News::StillInDoubt,
                    other => other,
                })
            }
            State::Unknown => {
                self.given_up = true;
                Some(News::StillInDoubt)
            }
            State::Accepted if self.kind == Kind::Call => {
                Some(self.lose(State::Failed, "nothing was heard of the call"))
            }
            State::Accepted if self.kind == Kind::Command => {
                Some(self.lose(State::Failed, "the device did not answer"))
            }
            State::Delivered => {
                self.ended = true;
                Some(News::Ended)
            }
            _ => None,
        }
    }

    fn receipt(&mut self, receipt: &Receipt) -> Option<News> {
        let new_ref = receipt.provider_ref.as_ref().filter(|_| self.provider_ref.is_none());
        if let Some(reference) = new_ref {
            self.provider_ref = Some(reference.clone());
        }
        let late = matches!((receipt.seq, self.seq), (Some(new), Some(stored)) if new <= stored);
        // A key is news of a person, not of the line: it counts whatever its number.
        if late && !matches!(receipt.what, ReceiptKind::Key { .. }) {
            return new_ref.map(|_| News::Noted);
        }
        self.seq = self.seq.max(receipt.seq);
        let (state, ended, news) = reported(&receipt.what);
        self.ended |= ended;
        if state.proof() > self.state.proof() {
            self.state = state;
            self.unknown_at = None;
            return Some(news);
        }
        if ended && self.state == State::Delivered {
            return Some(News::Ended);
        }
        (new_ref.is_some() || receipt.seq.is_some()).then_some(News::Noted)
    }
}

/// A channel that has not answered by then never will; longer than any adapter's own time limit and its queue.
const LEASE: Span = Span::from_mins(2);

/// A call that was answered and of which nothing more is heard has ended by then.
const TALK_LIMIT: Span = Span::from_mins(5);

/// What a receipt proves: state, whether a call has ended, news.
fn reported(what: &ReceiptKind) -> (State, bool, News) {
    const TAKEN: (State, bool, News) = (State::Accepted, false, News::Taken);
    const LOST: (State, bool, News) = (State::Failed, true, News::Lost);
    match what {
        ReceiptKind::Key { .. } => (State::Confirmed, false, News::Confirmed),
        ReceiptKind::Call { progress } => match progress {
            CallProgress::Queued | CallProgress::Initiated | CallProgress::Ringing => TAKEN,
            CallProgress::InProgress => (State::Delivered, false, News::Delivered),
            // Answered by somebody or by a voicemail: not a proof that anybody listened.
            CallProgress::Completed => (State::Delivered, true, News::Ended),
            CallProgress::Busy | CallProgress::NoAnswer | CallProgress::Failed | CallProgress::Canceled => LOST,
        },
        ReceiptKind::Sms { progress } => match progress {
            SmsProgress::Sent => TAKEN,
            SmsProgress::Delivered => (State::Delivered, false, News::Delivered),
            SmsProgress::Undelivered | SmsProgress::Failed => LOST,
        },
        ReceiptKind::App { progress } => match progress {
            AppProgress::Delivered | AppProgress::Opened => (State::Delivered, false, News::Delivered),
            AppProgress::Failed => LOST,
        },
        ReceiptKind::Dispatch { update } => match update.state {
            JobState::Offered => TAKEN,
            JobState::Declined | JobState::NoProvider => LOST,
            _ => (State::Delivered, false, News::Delivered),
        },
        ReceiptKind::Booking { news: BookingNews::Gone } => LOST,
        ReceiptKind::Booking { .. } => (State::Delivered, false, News::Delivered),
        ReceiptKind::Command { ok: true, .. } => (State::Confirmed, false, News::Confirmed),
        ReceiptKind::Command { ok: false, .. } | ReceiptKind::Returned => LOST,
    }
}
