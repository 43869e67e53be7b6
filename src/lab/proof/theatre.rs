//! The desk on a stage: its orders are carried out by a world that answers as the test says, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Subject;
use super::fleet::Fleet;
use super::playbook::{Deed, Given, Origin, PlaybookTest, Struck};
use crate::desk::{Act, Config, Desk, FLEET, Input, Keyring, Links, NewRules, Record, Reply, Settings, SpeechThen};
use crate::domain::{
    AppProgress, At, BookWork, BookingNews, BookingProgress, CallProgress, CaseId, Change, Detection, DeviceId,
    DispatchWork, EffectId, EpisodeId, InviteMethod, JobState, JobUpdate, Level, Link, Mode, Order, OrderKind, Outcome,
    PageKind, Receipt, ReceiptKind, Registry, Slot, SmsProgress, Span, Value, Work,
};
use crate::wire::link::Key;

/// Steps of one test at most: a desk that does not come to rest is a finding of its own.
const MAX_STEPS: usize = 1_000_000;

/// What comes of an effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Accepted,
    Refused,
    Unknown,
    Unreachable,
    Missed(CallProgress),
    Voicemail,
    Key(char),
    Sms(SmsProgress),
    App(AppProgress),
    Tap(char),
    Eta(Span),
    Silent,
    Device(bool),
    /// The person opens the link of the message and sends its form.
    Link(&'static str),
    Booked(Workshop),
}

/// How a workshop behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Workshop {
    Confirms,
    NoSlots,
    SlotGone,
    /// Confirms, and an hour later it is so much later.
    Moves(Span),
    NoShow,
    Cancels,
}

/// What a person may tap on the page of a message.
const TAPS: [&str; 8] = ["1", "2", "3", "4", "5", "9", "call", "none"];

/// What `text` means for a channel; `None`: nothing.
pub(super) fn answer(channel: &str, text: &str) -> Option<Answer> {
    Some(match (channel, text) {
        (_, "accepted") => Answer::Accepted,
        (_, "refused") | ("dispatch", "declined") => Answer::Refused,
        (_, "unknown") => Answer::Unknown,
        (_, "unreachable") => Answer::Unreachable,
        ("call", "no answer") => Answer::Missed(CallProgress::NoAnswer),
        ("call", "busy") => Answer::Missed(CallProgress::Busy),
        ("call", "voicemail") => Answer::Voicemail,
        ("call", key) => Answer::Key(key.strip_prefix("key ").and_then(|k| k.parse().ok())?),
        ("sms", "delivered") => Answer::Sms(SmsProgress::Delivered),
        ("sms", "undelivered") => Answer::Sms(SmsProgress::Undelivered),
        ("app_push", "delivered") => Answer::App(AppProgress::Delivered),
        ("app_push", "opened") => Answer::App(AppProgress::Opened),
        ("app_push", "undelivered") => Answer::App(AppProgress::Failed),
        ("app_push", tap) => Answer::Tap(tap.strip_prefix("tap ").and_then(|k| k.parse().ok())?),
        ("dispatch", "silent") => Answer::Silent,
        ("dispatch", eta) => Answer::Eta(eta.strip_prefix("eta ").and_then(|e| e.parse().ok())?),
        ("booking", "confirmed") => Answer::Booked(Workshop::Confirms),
        ("booking", "no slots") => Answer::Booked(Workshop::NoSlots),
        ("booking", "slot gone") => Answer::Booked(Workshop::SlotGone),
        ("booking", "no show") => Answer::Booked(Workshop::NoShow),
        ("booking", "silent") => Answer::Silent,
        ("booking", "cancelled") => Answer::Booked(Workshop::Cancels),
        ("booking", later) => {
            Answer::Booked(Workshop::Moves(later.strip_prefix("moved ").and_then(|l| l.parse().ok())?))
        }
        ("sms" | "email", tap) if tap.starts_with("tap ") => {
            Answer::Link(TAPS.into_iter().find(|t| *t == &tap["tap ".len()..])?)
        }
        ("command", "ok") => Answer::Device(true),
        ("command", "failed") => Answer::Device(false),
        _ => return None,
    })
}

/// What may come of a channel, for people.
pub(super) fn answers(channel: &str) -> String {
    let own = match channel {
        "call" => "key 1, no answer, busy, voicemail, ",
        "sms" => "delivered, undelivered, tap 1, ",
        "email" => "tap 1, tap call, tap none, ",
        "booking" => "confirmed, no slots, slot gone, moved 26h, no show, cancelled, silent (one that reads mails), ",
        "app_push" => "tap 1, opened, delivered, undelivered, ",
        "dispatch" => "eta 24m, declined, silent, ",
        "command" => "ok, failed, ",
        _ => "",
    };
    format!("{own}accepted, refused, unknown or unreachable")
}

/// What happens unless the test says otherwise: all is well.
fn usual(channel: &str) -> Answer {
    match channel {
        "call" => Answer::Key('1'),
        "sms" => Answer::Sms(SmsProgress::Delivered),
        "app_push" => Answer::App(AppProgress::Delivered),
        "dispatch" => Answer::Eta(Span::from_mins(24)),
        "command" => Answer::Device(true),
        "booking" => Answer::Booked(Workshop::Confirms),
        _ => Answer::Accepted,
    }
}

/// What came of a test.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The case of each device; of several, that of the fault which the test is about.
    pub(super) cases: BTreeMap<DeviceId, Seen>,
    /// Cases that were opened.
    pub(super) opened: BTreeSet<CaseId>,
    /// Speeches and texts.
    pub(super) said: Vec<String>,
}

/// What has become of a case.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) case: Option<CaseId>,
    pub(super) opened_at: At,
    /// When what went out.
    pub(super) sent: Vec<(At, Arc<str>)>,
    /// State of each goal, and since when.
    pub(super) goals: BTreeMap<String, (String, At)>,
    pub(super) phases: Vec<(At, String)>,
    /// Since when it was held, for what; empty: it was not.
    pub(super) holds: Vec<(At, String)>,
    pub(super) outcome: Option<String>,
    /// The mark that the customer has given.
    pub(super) csat: Option<u8>,
    /// Its timeline.
    pub(super) story: String,
}

enum Next {
    Tell(Input),
    Deed(Deed),
    Answered(EffectId, u32, char),
}

struct Stage<'a> {
    test: &'a PlaybookTest,
    desk: Desk,
    /// What the devices send, unless the fault is given.
    fleet: Option<Fleet>,
    now: At,
    queue: BTreeMap<(At, u64), Next>,
    count: u64,
    turns: BTreeMap<&'static str, usize>,
    /// What a workshop has, by the effect that booked it.
    booked: BTreeMap<EffectId, Booked>,
    played: Played,
}

/// An appointment in the book of a workshop.
#[derive(Debug, Clone, Copy)]
struct Booked {
    slot: Slot,
    how: Workshop,
}

/// Plays a test from its fault, or from the first message, to its end.
pub(super) fn play(test: &PlaybookTest, subject: &Subject) -> Played {
    let config = Arc::new(with_devices(&subject.desk, test));
    let fleet = match &test.origin {
        Origin::Given(_) => None,
        Origin::Sent(sent) => Some(Fleet::new(sent, test.until, subject, config.registry.clone())),
    };
    let mut stage = Stage {
        test,
        desk: Desk::new(config),
        fleet,
        now: test.start,
        queue: BTreeMap::new(),
        count: 0,
        turns: BTreeMap::new(),
        booked: BTreeMap::new(),
        played: Played::default(),
    };
    if let Origin::Given(given) = &test.origin {
        given.devices.iter().for_each(|struck| stage.fill(given, struck));
    }
    for (at, deed) in &test.deeds {
        stage.push(*at, Next::Deed(deed.clone()));
    }
    for _ in 0..MAX_STEPS {
        if !stage.step() {
            break;
        }
    }
    stage.tell_stories();
    stage.played
}

fn with_devices(config: &Config, test: &PlaybookTest) -> Config {
    let mut registry: Registry = (*config.registry).clone();
    registry.devices.extend(test.devices().map(|device| (device.id.clone(), device.clone())));
    let key = Key::parse("the links of a test open nothing").ok();
    let links = key.map(|key| Links { base_url: config.public_url.clone(), key });
    let mut leads = config.leads.clone();
    if let Origin::Given(given) = &test.origin {
        leads.extend(given.lead.map(|lead| (test.fault.clone(), lead)));
    }
    let keys = Keyring::made_up(registry.customers.keys());
    // Whoever tests a playbook does not wait for the release of its rules.
    let settings = Settings { new_rules: NewRules::Live, ..config.settings.clone() };
    Config { registry: Arc::new(registry), leads, links, keys, settings, ..config.clone() }
}

impl Stage<'_> {
    /// The fault, its end, and the facts in between.
    fn fill(&mut self, given: &Given, struck: &Struck) {
        let rows = struck.facts.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        let values = |row: usize| -> BTreeMap<String, Value> {
            let cells = struck.facts.iter().filter_map(|(name, cells)| Some((name, cells.get(row)?.as_ref()?)));
            cells.map(|(name, json)| (name.to_string(), value(json))).collect()
        };
        let first = values(0);
        let start = self.test.start;
        let device = &struck.device.id;
        let mut inputs = vec![(start, self.detection(given, device, Change::Raised, start, first))];
        if let Some(at) = struck.cleared_at {
            inputs.push((at, self.detection(given, device, Change::Cleared, at, BTreeMap::new())));
        }
        for row in 1..rows {
            let at = start + given.every.times(i64::try_from(row).unwrap_or(i64::MAX));
            inputs.push((at, Input::Facts { device: device.clone(), event_at: at, values: values(row) }));
        }
        for (at, input) in inputs {
            self.push(at, Next::Tell(input));
        }
    }

    fn detection(
        &self,
        given: &Given,
        device: &DeviceId,
        change: Change,
        at: At,
        facts: BTreeMap<String, Value>,
    ) -> Input {
        let level = Level { name: given.severity.to_string(), severity: given.severity };
        Input::Detection(Box::new(Detection {
            episode: EpisodeId::of(&[self.test.fault.as_str().as_bytes(), device.as_str().as_bytes()]),
            seq: if change == Change::Raised { 1 } else { 2 },
            rule: "test".into(),
            rule_rev: 0,
            mode: Mode::Live,
            fault: self.test.fault.clone(),
            device: device.clone(),
            component: None,
            change,
            level: (change == Change::Raised).then_some(level),
            confidence: 1.0,
            title: self.test.fault.to_string(),
            evidence: Vec::new(),
            facts,
            started_at: self.test.start,
            event_at: at,
            received_at: at,
            historical: false,
            latched: false,
            late_by: None,
            series: None,
        }))
    }

    fn push(&mut self, at: At, next: Next) {
        self.count += 1;
        self.queue.insert((at, self.count), next);
    }

    fn later(&mut self, seconds: i64, input: Input) {
        self.push(self.now + Span::from_secs(seconds), Next::Tell(input));
    }

    fn step(&mut self) -> bool {
        let event = self.queue.keys().next().copied();
        let heard = self.fleet.as_mut().map(Fleet::next_at);
        let at = [event.map(|e| e.0), self.desk.wake_at(), heard].into_iter().flatten().min();
        let Some(at) = at.filter(|at| *at <= self.test.until) else { return false };
        self.now = self.now.max(at);
        if let Some(fleet) = self.fleet.as_mut().filter(|_| heard == Some(at)) {
            let news = fleet.step();
            news.into_iter().for_each(|input| drop(self.tell(input)));
            return true;
        }
        match event.filter(|e| e.0 <= at).and_then(|e| self.queue.remove(&e)) {
            Some(Next::Tell(input)) => drop(self.tell(input)),
            Some(Next::Deed(deed)) => self.act(&deed),
            Some(Next::Answered(effect, turn, key)) => self.speak(effect, turn, key),
            None => drop(self.tell(Input::Wake)),
        }
        true
    }

    /// As the runtime does: decide, take over, release.
    fn tell(&mut self, input: Input) -> Reply {
        let step = self.desk.handle(self.now, input);
        if let Some(record) = step.record {
            let applied = self.desk.apply(&record);
            debug_assert!(applied.is_ok(), "{applied:?}");
            self.look(&record);
        }
        for order in step.orders {
            self.carry_out(&order);
        }
        if let Some(fleet) = &mut self.fleet {
            let news = fleet.heed(self.now, &step.watch, &step.releases);
            news.into_iter().for_each(|input| drop(self.tell(input)));
        }
        step.reply
    }

    /// A person does something.
    fn act(&mut self, deed: &Deed) {
        let (actor, reason) = ("a person of the test".to_owned(), "the test says so".to_owned());
        let case_of = |device: &str| self.played.cases.get(device).and_then(|seen| seen.case);
        let input = match deed {
            Deed::Release(rule) => Some(Input::Release { rule: rule.clone(), actor }),
            Deed::End => case_of(FLEET).map(|case| Input::Act { case: Some(case), actor, act: Act::Release }),
            Deed::Approve(tier) => case_of(FLEET).map(|case| {
                let act = Act::Approve { tier: Some(tier.to_string()) };
                Input::Act { case: Some(case), actor, act }
            }),
            Deed::Stop(None, stop) => Some(Input::Act { case: None, actor, act: Act::Stop { stop: *stop, reason } }),
            Deed::Stop(Some(device), stop) => case_of(device.as_str()).map(|case| Input::Act {
                case: Some(case),
                actor,
                act: Act::Stop { stop: *stop, reason },
            }),
            Deed::Close(device) => case_of(device.as_str()).map(|case| Input::Close { case, actor, reason }),
        };
        input.map(|input| self.tell(input));
    }

    /// Notes what has become of the cases that a record is about.
    fn look(&mut self, record: &Record) {
        for id in self.desk.changed(record) {
            let Some(view) = self.desk.show(&id) else { continue };
            let case = view.summary;
            self.played.opened.insert(id);
            let device = DeviceId::from(&*case.device);
            let seen = self.played.cases.entry(device).or_default();
            let other = seen.case.is_some_and(|known| known != id);
            if other && (case.fault != self.test.fault.as_str() || case.opened_at < seen.opened_at) {
                continue;
            }
            if seen.case != Some(id) {
                *seen = Seen { case: Some(id), opened_at: case.opened_at, ..Seen::default() };
            }
            note(&mut seen.phases, self.now, case.phase);
            note(&mut seen.holds, self.now, view.waits_for.unwrap_or_default());
            seen.outcome = case.outcome;
            for goal in view.goals {
                let known = seen.goals.get(&goal.name).is_some_and(|(state, _)| *state == goal.state);
                if !known {
                    seen.goals.insert(goal.name, (goal.state, self.now));
                }
            }
        }
    }

    fn carry_out(&mut self, order: &Order) {
        let (effect, attempt) = (order.effect, order.attempt);
        let outcome = |outcome| Input::Outcome { effect, attempt, outcome };
        let accepted = || Outcome::Accepted { provider_ref: format!("ref-{effect}") };
        if order.kind == OrderKind::Reconcile {
            return self.later(1, outcome(Outcome::NotFound));
        }
        let channel = channel(&order.work);
        self.said(&order.work);
        if let Work::Dispatch(DispatchWork::Cancel { job }) = &order.work {
            let update = JobUpdate { job: job.clone(), state: JobState::Cancelled, eta_at: None, truck: None };
            self.later(1, outcome(accepted()));
            return self.later(2, receipt(effect, ReceiptKind::Dispatch { update }));
        }
        if matches!(order.work, Work::Dispatch(DispatchWork::Status { .. })) {
            return self.later(1, outcome(accepted()));
        }
        if let Work::Book(work) = &order.work
            && !matches!(work, BookWork::Create { .. })
        {
            return self.workshop(effect, attempt, work);
        }
        let request = match &order.work {
            Work::Mail(mail) => mail.invitation.as_ref().filter(|i| i.rsvp),
            _ => None,
        };
        if request.is_some_and(|i| i.method == InviteMethod::Cancel) {
            return self.later(1, outcome(accepted()));
        }
        let channel = if request.is_some() { "booking" } else { channel };
        let case = self.desk.case_of(&effect);
        if let Some(seen) = self.played.cases.values_mut().find(|seen| seen.case == case) {
            seen.sent.push((self.now, channel.into()));
        }
        let mut answer = self.next_answer(channel);
        if request.is_some() && answer == Answer::Booked(Workshop::NoSlots) {
            // That was about the one that was asked before.
            answer = self.next_answer(channel);
        }
        if let (Work::Book(BookWork::Create { slot, .. }), Answer::Booked(how)) = (&order.work, answer) {
            return self.books(effect, attempt, *slot, how);
        }
        if let (Some(_), Answer::Booked(how)) = (request, answer) {
            let word = if how == Workshop::SlotGone { "no" } else { "yes" };
            self.form(effect, PageKind::Request, "answer", word);
        }
        self.later(
            1,
            outcome(match answer {
                Answer::Refused => Outcome::Rejected { reason: "the test says so".to_owned() },
                Answer::Unknown => Outcome::Unknown { reason: "the test says so".to_owned() },
                Answer::Unreachable => Outcome::Retry { after: None, reason: "the test says so".to_owned() },
                _ => accepted(),
            }),
        );
        match answer {
            Answer::Missed(progress) => self.later(25, receipt(effect, ReceiptKind::Call { progress })),
            Answer::Key(key) => self.push(self.now + Span::from_secs(8), Next::Answered(effect, 1, key)),
            Answer::Voicemail => self.push(self.now + Span::from_secs(8), Next::Answered(effect, 1, ' ')),
            Answer::Sms(progress) => self.later(2, receipt(effect, ReceiptKind::Sms { progress })),
            Answer::App(progress) => self.later(2, receipt(effect, ReceiptKind::App { progress })),
            Answer::Tap(digit) => self.later(8, receipt(effect, ReceiptKind::Key { digit })),
            Answer::Device(ok) => {
                self.later(2, receipt(effect, ReceiptKind::Command { ok, detail: String::new() }));
            }
            Answer::Eta(eta) => self.truck(effect, eta),
            Answer::Link(what) => self.link(effect, what),
            _ => {}
        }
    }

    /// What a workshop says when it is asked and nothing is booked.
    fn workshop(&mut self, effect: EffectId, attempt: u32, work: &BookWork) {
        let full = self.test.world.get("booking").is_some_and(|w| w.iter().any(|t| &**t == "no slots"));
        let news = match work {
            BookWork::Search { slots, .. } => {
                BookingNews::Free { slots: if full { Vec::new() } else { slots.clone() } }
            }
            BookWork::Hold { until_at, .. } => {
                BookingNews::Held { lease: Some(format!("lease-{effect}")), until_at: Some(*until_at) }
            }
            BookWork::Cancel { booking } => {
                BookingNews::Stands { booking: booking.clone(), progress: BookingProgress::Cancelled, slot: None }
            }
            BookWork::Status { created_by, booking } => self.stands(*created_by, booking.clone()),
            BookWork::Create { .. } => return,
        };
        self.later(1, receipt(effect, ReceiptKind::Booking { news }));
        let outcome = Outcome::Accepted { provider_ref: String::new() };
        self.later(1, Input::Outcome { effect, attempt, outcome });
    }

    fn books(&mut self, effect: EffectId, attempt: u32, slot: Slot, how: Workshop) {
        let outcome = if how == Workshop::SlotGone {
            self.later(1, receipt(effect, ReceiptKind::Booking { news: BookingNews::Gone }));
            Outcome::Rejected { reason: "the test says so".to_owned() }
        } else {
            self.booked.insert(effect, Booked { slot, how });
            let booking = format!("ref-{effect}");
            let news = BookingNews::Stands {
                booking: booking.clone(),
                progress: BookingProgress::Confirmed,
                slot: Some(slot),
            };
            self.later(1, receipt(effect, ReceiptKind::Booking { news }));
            Outcome::Accepted { provider_ref: booking }
        };
        self.later(1, Input::Outcome { effect, attempt, outcome });
    }

    /// How an appointment stands when the workshop is asked.
    fn stands(&self, created_by: EffectId, booking: String) -> BookingNews {
        let Some(Booked { mut slot, how }) = self.booked.get(&created_by).copied() else { return BookingNews::Gone };
        if let Workshop::Moves(later) = how {
            slot = Slot { start_at: slot.start_at + later, end_at: slot.end_at + later };
        }
        let progress = match how {
            Workshop::NoShow if self.now >= slot.end_at => BookingProgress::NoShow,
            Workshop::Cancels => BookingProgress::Cancelled,
            _ => BookingProgress::Confirmed,
        };
        BookingNews::Stands { booking, progress, slot: Some(slot) }
    }

    /// The person opens the link ten minutes later and answers.
    fn link(&mut self, effect: EffectId, what: &str) {
        self.form(effect, PageKind::Choose, "choice", what);
        self.form(effect, PageKind::Answer, "answer", what);
        self.form(effect, PageKind::Survey, "mark", what);
    }

    fn form(&mut self, effect: EffectId, kind: PageKind, field: &str, what: &str) {
        let form = BTreeMap::from([(field.to_owned(), what.to_owned())]);
        self.later(600, Input::Link { link: Link { effect, kind }, form });
    }

    /// The next answer of the world; the last one is given again and again.
    fn next_answer(&mut self, channel: &'static str) -> Answer {
        let turn = self.turns.entry(channel).or_default();
        let texts = self.test.world.get(channel);
        let text = texts.and_then(|texts| texts.get(*turn).or_else(|| texts.last()));
        *turn += 1;
        text.and_then(|text| answer(channel, text)).unwrap_or_else(|| usual(channel))
    }

    fn truck(&mut self, effect: EffectId, eta: Span) {
        let there = self.now + eta;
        let minutes = eta.as_micros() / 1_000_000;
        for (after, state) in [
            (4, JobState::Accepted),
            (60, JobState::EnRoute),
            (minutes, JobState::OnSite),
            (minutes + 1_200, JobState::Done),
        ] {
            let update =
                JobUpdate { job: format!("ref-{effect}"), state, eta_at: Some(there), truck: Some("TOW 7".to_owned()) };
            self.later(after, receipt(effect, ReceiptKind::Dispatch { update }));
        }
    }

    /// A call is answered: what is said is asked of the desk now.
    fn speak(&mut self, effect: EffectId, turn: u32, key: char) {
        let reply = self.tell(Input::Answered { effect, turn, provider_ref: format!("ref-{effect}") });
        let Reply::Speech(speech) = reply else { return };
        self.played.said.push(speech.text);
        match (speech.then, key) {
            (SpeechThen::Listen, ' ') => {
                self.push(self.now + Span::from_secs(20), Next::Answered(effect, turn + 1, key))
            }
            (SpeechThen::Listen, digit) => {
                self.later(6, receipt(effect, ReceiptKind::Key { digit }));
                self.later(12, receipt(effect, ReceiptKind::Call { progress: CallProgress::Completed }));
            }
            _ => self.later(12, receipt(effect, ReceiptKind::Call { progress: CallProgress::Completed })),
        }
    }

    fn said(&mut self, work: &Work) {
        match work {
            Work::Sms(sms) => self.played.said.push(sms.body.clone()),
            Work::App(push) => self.played.said.push(format!("{}\n{}", push.title, push.text)),
            Work::Mail(mail) => self.played.said.push(format!("{}\n{}", mail.subject, mail.text)),
            _ => {}
        }
    }

    fn tell_stories(&mut self) {
        let outcomes = self.desk.outcomes(At::MIN, None, usize::MAX);
        for seen in self.played.cases.values_mut() {
            seen.csat = outcomes.iter().find(|o| Some(o.case) == seen.case).and_then(|o| o.verdict.csat);
            let Some(view) = seen.case.and_then(|case| self.desk.show(&case)) else { continue };
            let out = &mut seen.story;
            for line in &view.timeline {
                let after = format!("+{}", line.at.since(self.test.start));
                let kind = format!("{:?}", line.kind).to_lowercase();
                let _ = writeln!(out, "{after:>10}  {kind:<9} {}", line.text);
            }
            let outcome = view.summary.outcome.map(|o| format!(", {o}")).unwrap_or_default();
            let end = format!("+{}", self.test.until - self.test.start);
            let _ = writeln!(out, "{end:>10}  {}{outcome}", view.summary.phase);
        }
    }
}

/// Notes a state, if it is another one than before.
fn note(states: &mut Vec<(At, String)>, now: At, state: String) {
    if states.last().map_or("", |(_, last)| last) != state {
        states.push((now, state));
    }
}

fn receipt(effect: EffectId, what: ReceiptKind) -> Input {
    Input::Receipt(Receipt { effect, provider_ref: None, seq: None, what })
}

fn channel(work: &Work) -> &'static str {
    match work {
        Work::Mail(_) => "email",
        Work::Sms(_) => "sms",
        Work::App(_) => "app_push",
        Work::Call(_) => "call",
        Work::Ticket(_) => "ticket",
        Work::Dispatch(_) => "dispatch",
        Work::Command(_) => "command",
        Work::Webhook(_) => "webhook",
        Work::Book(_) => "booking",
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Number(n) => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        Json::Bool(b) => Value::Bool(*b),
        Json::String(text) => Value::from(text.as_str()),
        _ => Value::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_they_say() {
        for (channel, text, meaning) in [
            ("call", "key 2", Some(Answer::Key('2'))),
            ("call", "busy", Some(Answer::Missed(CallProgress::Busy))),
            ("call", "key", None),
            ("call", "eta 24m", None),
            ("dispatch", "eta 24m", Some(Answer::Eta(Span::from_mins(24)))),
            ("dispatch", "declined", Some(Answer::Refused)),
            ("dispatch", "eta soon", None),
            ("email", "accepted", Some(Answer::Accepted)),
            ("app_push", "tap 9", Some(Answer::Tap('9'))),
            ("app_push", "key 1", None),
            ("email", "delivered", None),
            ("ticket", "unknown", Some(Answer::Unknown)),
            ("command", "failed", Some(Answer::Device(false))),
        ] {
            assert_eq!(answer(channel, text), meaning, "{channel}: {text}");
        }
    }
}
