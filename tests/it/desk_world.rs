//! A world around the desk, in virtual time, from a seed: providers that are slow, silent, wrong and repetitive,
//! people who do or do not answer, and a process that may die at every commit.

#![expect(clippy::unwrap_used, reason = "a helper of tests: an unexpected error is a failed test")]
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use forewarn::desk::{
    Act, ByMail, CaseSummary, Config, Contact, Desk, Hours, Input, Keyring, Links, NewRules, Person, Provider,
    ProviderKind, Record, Reply, Settings, SpeechThen, Step, Watch, Workshop,
};
use forewarn::domain::{
    AdapterName, Agreed, AppProgress, At, BookWork, BookingNews, BookingProgress, CallProgress, CaseId, Change,
    Consent, Customer, Detection, Device, DispatchWork, EffectId, Endpoint, EndpointKind, EpisodeId, FaultName,
    JobState, JobUpdate, Level, Link, Mode, Order, OrderKind, Outcome, Purpose, Receipt, ReceiptKind, Registry,
    Severity, Slot, SmsProgress, Span, TicketWork, Value, Work,
};
use forewarn::playbook::{Messages, Playbook, Surroundings, load};
use forewarn::source::{Diagnostics, FileId};
use forewarn::wire::link::Key;

use super::fleet_world::{Cars, Entry, Fate, telemetry};
use super::reference::{Reference, is_customer, withdraws};

/// A small generator, so that a seed says everything.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n.max(1)
    }

    pub(crate) fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    /// A number between `-size` and `size`.
    pub(crate) fn noise(&mut self, size: f64) -> f64 {
        size * f64::from(i32::try_from(self.between(-1_000, 1_000)).unwrap()) / 1_000.0
    }

    /// A place in a list of so many.
    pub(crate) fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.below(u64::try_from(of).unwrap())).unwrap()
    }

    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(u64::try_from(high - low + 1).unwrap())).unwrap()
    }
}

/// How the world behaves, in percent.
#[derive(Debug, Clone)]
pub(crate) struct Odds {
    pub(crate) rejected: u64,
    pub(crate) retry: u64,
    /// Unknown outcome; half of them were processed.
    pub(crate) unknown: u64,
    pub(crate) never_answers: u64,
    /// A question what became of an attempt gets no answer.
    pub(crate) search_fails: u64,
    pub(crate) duplicate: u64,
    pub(crate) lost_callback: u64,
    pub(crate) call_unanswered: u64,
    pub(crate) voicemail: u64,
    pub(crate) keys: Vec<char>,
    pub(crate) declined: u64,
    pub(crate) silent: u64,
    pub(crate) slips: u64,
    pub(crate) gone: u64,
    pub(crate) cancel_refused: u64,
    /// A workshop has given a time away, moves what it has booked, cancels it, or waits for somebody who does not come.
    pub(crate) slot_gone: u64,
    pub(crate) moved: u64,
    /// A device refuses a command, does not answer it, or is put right by it.
    pub(crate) refused: u64,
    pub(crate) mute: u64,
    pub(crate) cured: u64,
    /// A customer taps in the app, opens the page of a message and sends its form, or writes back.
    pub(crate) replies: u64,
    pub(crate) crash: u64,
}

impl Odds {
    pub(crate) fn friendly() -> Self {
        Self {
            rejected: 0,
            retry: 0,
            unknown: 0,
            never_answers: 0,
            search_fails: 0,
            duplicate: 0,
            lost_callback: 0,
            call_unanswered: 0,
            voicemail: 0,
            keys: vec!['1'],
            declined: 0,
            silent: 0,
            slips: 100,
            gone: 0,
            cancel_refused: 0,
            slot_gone: 0,
            moved: 0,
            refused: 0,
            mute: 0,
            cured: 0,
            replies: 0,
            crash: 0,
        }
    }

    pub(crate) fn hostile() -> Self {
        Self {
            rejected: 4,
            retry: 15,
            unknown: 15,
            never_answers: 3,
            search_fails: 20,
            duplicate: 20,
            lost_callback: 8,
            call_unanswered: 40,
            voicemail: 20,
            keys: vec!['1', '1', '1', '2', '9', '5'],
            declined: 20,
            silent: 15,
            slips: 50,
            gone: 8,
            cancel_refused: 20,
            slot_gone: 15,
            moved: 15,
            refused: 15,
            mute: 15,
            cured: 60,
            replies: 15,
            crash: 6,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Next {
    Tell(Input),
    /// What an answer to us says: dies with the process that waits for it.
    Heard(Input),
    /// A person in a call does something: turn of the speech.
    Turn(EffectId, u32),
    /// Something for the journal: a message of a car, a mark of the clock.
    Entry(Entry),
    /// What becomes of an appointment.
    Appointment(EffectId, BookingProgress, Option<Slot>),
    /// Somebody does what nobody has asked for.
    People,
    /// A person decides something about the newest case of a device.
    Decides(String, Act),
    /// A person finds that the newest case of a device was right.
    Confirms(String),
}

/// What a test puts between the desk and the world, to see whether anybody notices. The world and the reference go by
/// what is true; only the desk hears, writes, keeps or releases something else.
#[derive(Clone, Copy)]
pub(crate) enum Spoil {
    /// What the desk hears instead of an input.
    Hears(fn(&World, Input) -> Input),
    /// Whether a record keeps the row of this key.
    Writes(fn(&[u8]) -> bool),
    /// Whether the store keeps the row of this key.
    Keeps(fn(&[u8]) -> bool),
    /// What it releases.
    Releases(fn(&World, &mut Vec<Order>)),
    /// What it takes the settings to be.
    Knows(fn(&mut Config)),
}

/// An input that was taken in, and what it led to.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) at: At,
    /// The kind of effect that it is about, and whether it is the outcome of an attempt.
    pub(crate) about: Option<(&'static str, bool)>,
    /// The kinds of the attempts that it released.
    pub(crate) sends: Vec<&'static str>,
    /// Where its record stands in the log.
    pub(crate) record: Option<usize>,
}

impl Told {
    /// Something was claimed, came of what was sent, or was heard of; asking how a thing stands is none.
    pub(crate) fn is_a_point(&self) -> bool {
        let kinds = self.sends.iter().copied().chain(self.about.map(|(kind, _)| kind));
        kinds.into_iter().any(|kind| !kind.ends_with("status"))
    }
}

/// An appointment as the workshop has it.
#[derive(Debug, Clone, Copy)]
struct Booked {
    slot: Slot,
    progress: BookingProgress,
}

/// A channel that has not answered by then never will: the desk may try again.
const LEASE: Span = Span::from_mins(2);

/// What a provider has, by our effect.
#[derive(Debug, Clone)]
struct Taken {
    kind: &'static str,
    at: At,
    times: u32,
    denied: bool,
}

/// See [`World::script`].
pub(crate) type Script = Box<dyn FnMut(&Order) -> Option<Vec<(i64, Answer)>>>;

/// What comes of an order.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Outcome(Outcome),
    Report(ReceiptKind),
}

impl Answer {
    pub(crate) fn accepted(reference: &str) -> Self {
        Self::Outcome(Outcome::Accepted { provider_ref: reference.into() })
    }

    pub(crate) fn unknown() -> Self {
        Self::Outcome(Outcome::Unknown { reason: "timeout".into() })
    }
}

pub(crate) struct World {
    pub(crate) desk: Desk,
    pub(crate) config: Arc<Config>,
    pub(crate) now: At,
    pub(crate) log: Vec<Record>,
    /// The stored state: the last row of each key.
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A desk of an earlier time and how many records it knows; what a rebuild starts from.
    snapshot: (Desk, usize),
    /// A second, plain desk that has to agree; for playbooks that it knows.
    pub(crate) reference: Option<Reference>,
    /// With the real engine: its cars.
    pub(crate) cars: Option<Cars>,
    /// A test that knows better what comes of an order, and when (seconds); `None`: as always.
    pub(crate) script: Option<Script>,
    pub(crate) spoil: Option<Spoil>,
    pub(crate) odds: Odds,
    seed: u64,
    pub(crate) rng: Rng,
    pub(crate) crashes: u32,
    /// Dies while it takes in this input (counted from 0): before its record is durable, or after that and before
    /// anything is released.
    pub(crate) crash_at: Option<(u64, bool)>,
    pub(crate) orders: Vec<(At, Order)>,
    pub(crate) speeches: Vec<(At, String)>,
    queue: BTreeMap<(At, u64), Next>,
    count: u64,
    /// Every case is held against the invariants after so many steps.
    pub(crate) check_every: u64,
    /// Inputs taken in.
    pub(crate) steps: u64,
    pub(crate) told: Vec<Told>,
    /// What a customer does with a message, if that is not left to chance.
    pub(crate) answers: Option<fn(&Order) -> Vec<Input>>,
    taken: BTreeMap<EffectId, Taken>,
    /// What the workshop has.
    booked: BTreeMap<EffectId, Booked>,
    /// Attempts that no channel has answered yet, and until when they count.
    under_way: BTreeMap<EffectId, At>,
    /// Faults that have begun and not ended, as they were last told.
    pub(crate) faults: BTreeMap<EpisodeId, Detection>,
    cancelled: BTreeSet<String>,
    /// What the tow company has promised last, by job.
    jobs: BTreeMap<String, EffectId>,
}

pub(crate) fn link_key() -> Key {
    Key::parse("the links of a test open nothing").unwrap()
}

fn workshop() -> Workshop {
    let days = ["mon", "tue", "wed", "thu", "fri"].map(str::to_owned);
    let hours = Hours::parse("08:00-17:00", &days, Span::from_hours(1), "Europe/Vienna").unwrap();
    Workshop { name: "Werkstatt".into(), place: "Ring 1, Wien".into(), near: vec!["wien".into()], hours, by_mail: None }
}

/// One that is asked by mail.
fn garage() -> Workshop {
    let mailbox = "garage@example.com".to_owned();
    let by_mail = ByMail { mailbox, locale: "de".into(), answer_within: Span::from_hours(8) };
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(str::to_owned);
    let hours = Hours::parse("09:00-16:00", &days, Span::from_hours(1), "Europe/Vienna").unwrap();
    Workshop {
        name: "Dorfgarage".into(),
        place: "Hauptstr. 2".into(),
        near: vec!["land".into()],
        hours,
        by_mail: Some(by_mail),
    }
}

pub(crate) const DEVICE: &str = "car-1";

pub(crate) fn start() -> At {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// The shipped playbooks and texts, with providers and people of a test.
pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Arc<Config> {
    // Hundreds of tests begin with it.
    static SHIPPED: LazyLock<Config> = LazyLock::new(shipped);
    let mut config = SHIPPED.clone();
    change(&mut config);
    let mut diags = Diagnostics::default();
    config.check(&mut diags);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    Arc::new(config)
}

fn shipped() -> Config {
    let mut diags = Diagnostics::default();
    let messages = messages(&mut diags, &[]);
    let provider = |kind| Provider {
        kind,
        per_second: None,
        per_hour: None,
        per_day: None,
        capacity: None,
        concurrency: None,
        workshop: (kind == ProviderKind::Booking).then(workshop),
    };
    let mut config = Config {
        messages,
        registry: Arc::new(registry()),
        directory: Default::default(),
        providers: [
            ("mail", ProviderKind::Smtp),
            ("helpdesk", ProviderKind::Ticket),
            ("tow", ProviderKind::Dispatch),
            ("phone", ProviderKind::Voice),
            ("text", ProviderKind::Sms),
            ("app", ProviderKind::App),
            ("device", ProviderKind::Command),
            ("pager", ProviderKind::Webhook),
            ("parts", ProviderKind::Webhook),
            ("workshop", ProviderKind::Booking),
            ("garage", ProviderKind::Booking),
        ]
        .into_iter()
        .map(|(n, k)| (n.into(), provider(k)))
        .map(|(n, p): (AdapterName, Provider)| match n.as_str() {
            "garage" => (n, Provider { workshop: Some(garage()), ..p }),
            _ => (n, p),
        })
        .collect(),
        skills: BTreeMap::new(),
        queues: [
            (
                "safety-desk".into(),
                vec![
                    Person { name: Some("Kim".into()), call: Some("+4930111".into()), ..Person::default() },
                    Person { webhook: Some("pager".into()), ..Person::default() },
                    Person { mail: Some("desk@example.com".into()), locale: Some("de".into()), ..Person::default() },
                ],
            ),
            ("service-desk".into(), vec![Person { mail: Some("service@example.com".into()), ..Person::default() }]),
        ]
        .into(),
        settings: Settings { new_rules: NewRules::Live, ..Settings::default() },
        contact: Contact::default(),
        guards: BTreeMap::new(),
        revs: BTreeMap::new(),
        stop_topic: "forewarn/test/halt".into(),
        public_url: "http://127.0.0.1:8474".into(),
        leads: [(FaultName::from("brake.pad_wear"), (Span::from_hours(24 * 10), Span::from_hours(24 * 60)))].into(),
        links: Some(Links { base_url: "https://fw.example".into(), key: link_key() }),
        keys: Keyring::made_up(registry().customers.keys()),
        outcomes: Default::default(),
        playbooks: Vec::new(),
    };
    let files = add_files(&mut diags, "config/playbooks");
    config.playbooks = load(&mut diags, &files, &surroundings(&config));
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    config
}

/// The shipped texts and these, by path.
pub(crate) fn messages(diags: &mut Diagnostics, more: &[(&str, &str)]) -> Messages {
    let mut files: Vec<FileId> = ["layout", "instructions", "en", "de", "pl", "ru", "uk"]
        .iter()
        .flat_map(|l| add_files(diags, &format!("config/messages/{l}")))
        .collect();
    files.extend(more.iter().map(|(path, text)| diags.add_file(*path, *text)));
    Messages::load(diags, &files)
}

pub(crate) fn surroundings(config: &Config) -> Surroundings {
    Surroundings {
        queues: config.queues.keys().cloned().collect(),
        providers: config.providers.iter().map(|(n, p)| (n.clone(), p.kind)).collect(),
        messages: config.messages.clone(),
        ..Surroundings::default()
    }
}

/// The same with this playbook alone.
pub(crate) fn config_with(playbook: &str, change: impl FnOnce(&mut Config)) -> Arc<Config> {
    config(|c| {
        change(c);
        c.playbooks = playbooks(c, playbook);
    })
}

/// A playbook of a test.
pub(crate) fn playbooks(c: &Config, text: &str) -> Vec<Arc<Playbook>> {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("test.toml", text);
    let playbooks = load(&mut diags, &[file], &surroundings(c));
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    playbooks
}

pub(crate) fn add_files(diags: &mut Diagnostics, dir: &str) -> Vec<FileId> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|p| diags.add_file(p.display().to_string(), std::fs::read_to_string(p).unwrap())).collect()
}

fn registry() -> Registry {
    let consent = |purpose| Consent {
        to: Agreed::Contact(purpose),
        channel: None,
        source: "contract".into(),
        given_at: At::MIN,
        withdrawn_at: None,
    };
    let endpoint =
        |id: &str, kind, address: &str| Endpoint { id: id.into(), kind, address: address.into(), opted_out: false };
    let jane = Customer {
        id: "c-1".into(),
        name: "Jane <Doe>".into(),
        locale: "de-AT".into(),
        tz: "Europe/Vienna".into(),
        preferred_workshop: None,
        endpoints: vec![
            endpoint("e-1", EndpointKind::Phone, "+43111"),
            endpoint("e-2", EndpointKind::Email, "jane@example.com"),
            endpoint("e-4", EndpointKind::App, "u-1"),
        ],
        consents: vec![
            consent(Purpose::Service),
            Consent { to: Agreed::Named("predictive_maintenance".into()), ..consent(Purpose::Service) },
        ],
    };
    let joe = Customer {
        id: "c-2".into(),
        name: "Joe".into(),
        locale: "en".into(),
        endpoints: vec![endpoint("e-3", EndpointKind::Phone, "+44222")],
        ..jane.clone()
    };
    let device = Device {
        id: DEVICE.into(),
        model: "car".into(),
        kind: "car".into(),
        tz: "Europe/Vienna".into(),
        parties: [("driver".into(), "c-1".into()), ("owner".into(), "c-1".into()), ("fleet".into(), "c-2".into())]
            .into(),
        attrs: [("plate".into(), "W-123 AB".into()), ("vin".into(), "WVW123".into())].into(),
        params: BTreeMap::new(),
    };
    Registry {
        devices: [(device.id.clone(), device)].into(),
        customers: [(jane.id.clone(), jane), (joe.id.clone(), joe)].into(),
    }
}

/// A detection as the engine makes them; `n` tells episodes apart.
pub(crate) fn detection(fault: &str, severity: Severity, n: u8, seq: u32, change: Change, at: At) -> Detection {
    let facts = [("speed", 80.0), ("lat", 48.2), ("lon", 16.37), ("batt12_v", 12.1)];
    Detection {
        episode: EpisodeId::of(&[fault.as_bytes(), &[n]]),
        seq,
        rule: "rule".into(),
        rule_rev: 1,
        mode: Mode::Live,
        fault: fault.into(),
        device: DEVICE.into(),
        component: None,
        change,
        level: (!matches!(change, Change::Cleared)).then(|| Level { name: "level".into(), severity }),
        confidence: 1.0,
        title: "Front left brake circuit has failed".into(),
        evidence: Vec::new(),
        facts: facts.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
        started_at: at,
        event_at: at,
        received_at: at,
        historical: false,
        late_by: None,
        series: None,
        latched: false,
    }
}

pub(crate) fn brake(seq: u32, change: Change, at: At) -> Detection {
    detection("brake.circuit_loss", Severity::Critical, 1, seq, change, at)
}

pub(crate) fn facts(speed: f64, at: At) -> Input {
    let values = [("speed", speed), ("lat", 48.2), ("lon", 16.37)];
    Input::Facts {
        device: DEVICE.into(),
        event_at: at,
        values: values.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
    }
}

impl World {
    pub(crate) fn new(config: Arc<Config>, odds: Odds, seed: u64) -> Self {
        Self {
            desk: Desk::new(config.clone()),
            config: config.clone(),
            now: start(),
            log: Vec::new(),
            rows: BTreeMap::new(),
            snapshot: (Desk::new(config.clone()), 0),
            reference: None,
            cars: None,
            script: None,
            spoil: None,
            odds,
            seed,
            rng: Rng::new(seed),
            crashes: 0,
            crash_at: None,
            orders: Vec::new(),
            speeches: Vec::new(),
            queue: BTreeMap::new(),
            count: 0,
            steps: 0,
            told: Vec::new(),
            answers: None,
            check_every: 60,
            taken: BTreeMap::new(),
            booked: BTreeMap::new(),
            under_way: BTreeMap::new(),
            faults: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// Has `input` happen `after` now.
    pub(crate) fn later(&mut self, after: Span, input: Input) {
        self.push(after, Next::Tell(input));
    }

    /// Sets the real engine going with cars of the registry, and the clock marks of the next `span`.
    pub(crate) fn drive(&mut self, cars: &[(&str, Fate)], span: Span) {
        self.cars = Some(Cars::new(self.config.registry.clone()));
        for (device, fate) in cars {
            for (after, entry) in telemetry(&mut self.rng, device, *fate) {
                self.push(after, Next::Entry(entry));
            }
        }
        let marks = span.as_micros() / 4_000_000;
        for i in 0..marks {
            self.push(Span::from_secs(4).times(i), Next::Entry(Entry::Clock));
        }
    }

    /// One entry of the journal: what the engine makes of it goes to the desk, unless the process dies on the way.
    fn entry(&mut self, entry: Entry) {
        let Some(cars) = &mut self.cars else { return };
        for detection in cars.take_in(self.now, entry) {
            if self.tell(Input::Detection(Box::new(detection))).is_none() {
                return;
            }
        }
        let facts = self.cars.as_mut().map(Cars::facts).unwrap_or_default();
        for (device, event_at, values) in facts {
            if self.tell(Input::Facts { device, event_at, values }).is_none() {
                return;
            }
        }
        if let Some(cars) = self.cars.as_mut().filter(|_| self.rng.percent(10)) {
            cars.save(&mut self.rng);
        }
    }

    pub(crate) fn push(&mut self, after: Span, next: Next) {
        self.count += 1;
        self.queue.insert((self.now + after, self.count), next);
    }

    /// Runs until nothing is to come before `until`; fails when that takes too many steps.
    pub(crate) fn run(&mut self, until: At) {
        self.run_long(until, 20_000);
    }

    /// The same with a limit of one's own.
    pub(crate) fn run_long(&mut self, until: At, most_steps: u32) {
        for _ in 0..most_steps {
            if !self.step(until) {
                self.now = until;
                return;
            }
        }
        panic!("the desk does not come to rest: {:?}", self.desk.list(true, 5));
    }

    fn step(&mut self, until: At) -> bool {
        let event = self.queue.keys().next().copied();
        let wake = self.desk.wake_at();
        let at = [event.map(|e| e.0), wake].into_iter().flatten().min();
        let Some(at) = at.filter(|at| *at <= until) else { return false };
        self.now = self.now.max(at);
        match event.filter(|e| e.0 <= at).and_then(|e| self.queue.remove(&e)) {
            Some(Next::Tell(input) | Next::Heard(input)) => {
                if let Input::Outcome { effect, .. } = &input {
                    self.under_way.remove(effect);
                }
                self.tell(input);
            }
            Some(Next::Appointment(effect, progress, slot)) => self.appointment(effect, progress, slot),
            Some(Next::People) => self.people_act(),
            Some(Next::Decides(device, act)) => self.decides(&device, act),
            Some(Next::Confirms(device)) => self.confirms(&device),
            Some(Next::Turn(effect, turn)) => self.turn(effect, turn),
            Some(Next::Entry(entry)) => self.entry(entry),
            None => {
                self.tell(Input::Wake);
            }
        }
        true
    }

    /// Hands an input to the desk the way the runtime does: handle, make durable, apply, release. Dies somewhere in
    /// between now and then. `None`: died.
    pub(crate) fn tell(&mut self, input: Input) -> Option<Reply> {
        self.keep_fault(&input);
        if matches!(input, Input::Started) {
            // Attempts under way have died with the process.
            self.under_way.clear();
        }
        let step = self.handled(input.clone());
        let planned = self.crash_at.filter(|(at, _)| *at == self.steps).map(|(_, durable)| durable);
        if let Some(durable) = planned.or_else(|| self.rng.percent(self.odds.crash).then(|| self.rng.percent(50))) {
            self.crash_at = None;
            self.crash(&input, step.record, durable);
            return None;
        }
        let moved = step.record.as_ref().map(|record| {
            self.desk.apply(record).unwrap();
            self.moved(record)
        });
        let place = step.record.as_ref().map(|_| self.log.len());
        step.record.into_iter().for_each(|record| self.store(record));
        for (device, watch) in &step.watch {
            if let Some(cars) = &mut self.cars {
                cars.watch(device, *watch == Watch::Start);
            }
        }
        self.steps += 1;
        let about = match &input {
            Input::Outcome { effect, .. } => self.kind_of(effect).map(|kind| (kind, true)),
            Input::Receipt(receipt) => self.kind_of(&receipt.effect).map(|kind| (kind, false)),
            Input::Answered { effect, .. } | Input::Link { link: Link { effect, .. }, .. } => {
                self.kind_of(effect).map(|kind| (kind, false))
            }
            _ => None,
        };
        let sent = step.orders.iter().filter(|o| o.kind == OrderKind::Send);
        self.told.push(Told { at: self.now, about, sends: sent.map(|o| self.kind(o)).collect(), record: place });
        // Every case after every step is too slow for hundreds of worlds; debug builds look at the changed ones.
        if self.steps.is_multiple_of(self.check_every) {
            self.desk.check_invariants().unwrap();
        }
        // Invariant 5, as seen from outside.
        let waits_for_nothing = self.desk.wake_at().is_none() && !self.desk.watched().is_empty();
        assert!(!waits_for_nothing, "seed {}: cases are open and nothing will ever wake the desk", self.seed);
        self.refer(&input, &step.orders, moved.as_ref());
        for order in step.orders {
            self.carry_out(order);
        }
        Some(step.reply)
    }

    /// What the desk makes of an input, unless a test has put something in between.
    fn handled(&self, input: Input) -> Step {
        let heard = match self.spoil {
            Some(Spoil::Hears(other)) => other(self, input),
            _ => input,
        };
        let mut step = self.desk.handle(self.now, heard);
        match (self.spoil, &mut step.record) {
            (Some(Spoil::Writes(keeps)), Some(record)) => record.changes.retain(|(key, _)| keeps(key)),
            (Some(Spoil::Releases(other)), _) => other(self, &mut step.orders),
            _ => {}
        }
        step
    }

    /// Has the reference look at what was committed and released.
    fn refer(&mut self, input: &Input, orders: &[Order], moved: Option<&BTreeSet<CaseId>>) {
        let Some(reference) = &mut self.reference else { return };
        reference.told(self.now, input);
        // All of them now and then: what has not moved is as it was.
        let moved = moved.map(|m| Some(m).filter(|_| !self.steps.is_multiple_of(self.check_every)));
        let agreed = moved.map_or(Ok(()), |moved| reference.look(&self.desk, moved));
        let agreed = agreed.and_then(|()| orders.iter().try_for_each(|order| reference.ordered(&self.desk, order)));
        if let Err(why) = agreed {
            let all = self.desk.list(true, 100).into_iter().filter(|c| why.contains(&c.short)).map(|c| c.id);
            let told: Vec<String> = all.chain(orders.iter().map(|o| o.case)).map(|c| self.timeline_of(&c)).collect();
            panic!("seed {}: {why}\nafter {input:?}\n{}", self.seed, told.join("\n"));
        }
    }

    /// The cases that a record is about, by the keys of its rows.
    fn moved(&self, record: &Record) -> BTreeSet<CaseId> {
        let sixteen = |key: &[u8], from: usize| key.get(from..from + 16).map(<[u8; 16]>::try_from);
        let case = |key: &Vec<u8>| {
            let hex: String = sixteen(key, 1)?.ok()?.iter().map(|b| format!("{b:02x}")).collect();
            hex.parse().ok()
        };
        // The length of an effect's id stands before it.
        let of_effect = |key: &Vec<u8>| self.desk.case_of(&EffectId::from_bytes(sixteen(key, 2)?.ok()?));
        let keys = || record.changes.iter().map(|(key, _)| key);
        keys().filter_map(case).chain(keys().filter_map(of_effect)).collect()
    }

    fn crash(&mut self, input: &Input, record: Option<Record>, durable: bool) {
        self.crashes += 1;
        let applied = self.log.len();
        let committed = durable && record.is_some();
        if let (true, Some(record)) = (durable, record) {
            // Durable, and its orders were never released.
            self.store(record);
        }
        match input {
            // Nobody has answered the phone network: it asks once more what to say.
            Input::Answered { effect, turn, .. } => self.push(Span::from_secs(2), Next::Turn(*effect, *turn)),
            // Providers repeat callbacks that were not answered with 200.
            Input::Receipt(_) => self.later(Span::from_secs(2), input.clone()),
            // People try again.
            Input::Said(_)
            | Input::Link { .. }
            | Input::Ack { .. }
            | Input::Close { .. }
            | Input::Act { .. }
            | Input::Switch { .. }
            | Input::Judge { .. }
            | Input::OptOut { .. } => self.later(Span::from_secs(2), input.clone()),
            // The journal is replayed.
            Input::Detection(_) if self.cars.is_none() && !committed => self.later(Span::from_secs(2), input.clone()),
            _ => {}
        }
        // Attempts under way die with the process.
        self.queue.retain(|_, next| !matches!(next, Next::Tell(Input::Outcome { .. }) | Next::Heard(_)));
        let rebuilt = self.rebuilt();
        // What the dead one knew is the older state that the next rebuild starts from.
        self.snapshot = (std::mem::replace(&mut self.desk, rebuilt), applied);
        if committed {
            let moved = self.log.last().map(|record| self.moved(record));
            self.refer(input, &[], moved.as_ref());
        }
        self.now = self.now + Span::from_secs(1);
        let saved = std::mem::replace(&mut self.odds.crash, 0);
        self.tell(Input::Started);
        let watched = self.desk.watched();
        for detection in self.cars.as_mut().map(|c| c.restart(&watched)).unwrap_or_default() {
            self.tell(Input::Detection(Box::new(detection)));
        }
        self.odds.crash = saved;
    }

    fn store(&mut self, record: Record) {
        let lost = |key: &[u8]| matches!(self.spoil, Some(Spoil::Keeps(keeps)) if !keeps(key));
        for (key, row) in record.changes.iter().filter(|(key, _)| !lost(key)) {
            match row {
                Some(row) => self.rows.insert(key.clone(), row.clone()),
                None => self.rows.remove(key),
            };
        }
        self.log.push(record);
    }

    /// The desk as a start finds it: of the stored rows, or of an older state and the records since.
    fn rebuilt(&mut self) -> Desk {
        let (mut applied, known) = std::mem::replace(&mut self.snapshot, (Desk::new(self.config.clone()), 0));
        self.log[known..].iter().for_each(|r| applied.apply(r).unwrap());
        if self.rng.percent(50) {
            return applied;
        }
        let loaded = self.loaded();
        assert!(loaded.same_state(&applied), "rows and records tell different stories");
        loaded
    }

    /// What is stored.
    pub(crate) fn stored_rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.rows.clone()
    }

    /// Whether it asks one of our own people.
    pub(crate) fn is_page(&self, order: &Order) -> bool {
        is_page(&self.config, order)
    }

    fn kind(&self, order: &Order) -> &'static str {
        if self.is_page(order) { "page" } else { kind(&order.work) }
    }

    /// What an effect that was ordered does.
    pub(crate) fn kind_of(&self, effect: &EffectId) -> Option<&'static str> {
        self.orders.iter().rev().find(|(_, o)| o.effect == *effect).map(|(_, o)| self.kind(o))
    }

    /// How often providers have done what kind of thing.
    pub(crate) fn done(&self) -> BTreeMap<&'static str, u32> {
        let mut done = BTreeMap::new();
        for taken in self.taken.values() {
            *done.entry(taken.kind).or_default() += taken.times;
        }
        done
    }

    /// What all stored rows take.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.rows.iter().map(|(key, row)| key.len() + row.len()).sum()
    }

    /// The keys of the stored rows.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.rows.keys()
    }

    /// The desk of the stored rows.
    pub(crate) fn loaded(&self) -> Desk {
        let mut desk = Desk::new(self.config.clone());
        desk.load(self.rows.clone()).unwrap();
        desk
    }

    /// Invariant 3: what is sent is committed, and no other attempt of it is under way.
    fn is_committed(&mut self, order: &Order) {
        assert_eq!(self.desk.case_of(&order.effect), Some(order.case), "not committed: {order:?}");
        let other = self.under_way.insert(order.effect, self.now + LEASE);
        let alone = other.is_none_or(|until| until <= self.now);
        assert!(alone, "seed {}: two attempts at once: {order:?}\n{}", self.seed, self.timeline());
    }

    fn carry_out(&mut self, order: Order) {
        self.is_committed(&order);
        self.orders.push((self.now, order.clone()));
        if let Some(answers) = self.script.as_mut().and_then(|script| script(&order)) {
            for (after, answer) in answers {
                let effect = order.effect;
                let input = match answer {
                    Answer::Outcome(outcome) => Input::Outcome { effect, attempt: order.attempt, outcome },
                    Answer::Report(what) => Input::Receipt(Receipt { effect, provider_ref: None, seq: None, what }),
                };
                self.later(Span::from_secs(after), input);
            }
            return;
        }
        let delay = Span::from_millis(self.rng.between(20, 3_000));
        let outcome = if order.kind == OrderKind::Reconcile { self.search(&order) } else { self.attempt(&order) };
        if let Some(outcome) = outcome {
            // News comes with an answer and is told first; without an answer there is none.
            let answered = matches!(outcome, Outcome::Accepted { .. } | Outcome::Rejected { .. });
            if let (true, Work::Book(work)) = (answered, &order.work)
                && let Some(news) = self.workshop_says(&order, work, &outcome)
            {
                let what = ReceiptKind::Booking { news };
                let receipt = Receipt { effect: order.effect, provider_ref: None, seq: None, what };
                self.push(delay, Next::Heard(Input::Receipt(receipt)));
            }
            self.later(delay, Input::Outcome { effect: order.effect, attempt: order.attempt, outcome });
        }
    }

    fn search(&mut self, order: &Order) -> Option<Outcome> {
        if self.rng.percent(self.odds.search_fails) {
            return Some(Outcome::Unknown { reason: "the search timed out".into() });
        }
        let now = self.now;
        Some(match self.taken.get_mut(&order.effect) {
            // The index of a ticket desk lags behind.
            Some(t) if now.since(t.at) < Span::from_secs(10) && matches!(order.work, Work::Ticket(_)) => {
                Outcome::NotFound
            }
            Some(_) => Outcome::Accepted { provider_ref: reference(order) },
            None => Outcome::NotFound,
        })
    }

    fn attempt(&mut self, order: &Order) -> Option<Outcome> {
        let odds = self.odds.clone();
        let dice = self.rng.below(100);
        if dice < odds.rejected {
            return Some(Outcome::Rejected { reason: "no".into() });
        }
        if dice < odds.rejected + odds.retry {
            return Some(if self.rng.percent(30) {
                let after = Some(Span::from_secs(self.rng.between(1, 600)));
                Outcome::Retry { after, reason: "503, Retry-After".into() }
            } else {
                Outcome::Retry { after: None, reason: "connection refused".into() }
            });
        }
        let unknown = dice < odds.rejected + odds.retry + odds.unknown;
        if unknown && self.rng.percent(50) {
            return Some(Outcome::Unknown { reason: "timeout, not processed".into() });
        }
        if let Some(refusal) = self.take(order) {
            return Some(refusal);
        }
        if unknown {
            return Some(Outcome::Unknown { reason: "timeout, processed".into() });
        }
        if self.rng.percent(odds.never_answers) {
            return None;
        }
        Some(Outcome::Accepted { provider_ref: reference(order) })
    }

    /// A workshop. `Some`: it says no.
    fn workshop(&mut self, effect: EffectId, work: &BookWork) -> Option<Outcome> {
        let no = |reason: &str| Some(Outcome::Rejected { reason: reason.into() });
        match work {
            BookWork::Hold { .. } if self.rng.percent(self.odds.slot_gone) => return no("SLOT_UNAVAILABLE"),
            BookWork::Create { .. } if self.rng.percent(self.odds.slot_gone) => return no("SLOT_UNAVAILABLE"),
            BookWork::Create { slot, .. } => {
                let pending = self.odds.slot_gone > 0 && self.rng.percent(30);
                let progress = if pending { BookingProgress::Pending } else { BookingProgress::Confirmed };
                self.booked.insert(effect, Booked { slot: *slot, progress });
                self.appointments(effect, *slot, pending);
            }
            BookWork::Cancel { booking } => {
                if self.rng.percent(self.odds.cancel_refused) {
                    return no("too late to cancel");
                }
                let made_by = |e: &EffectId| booking.ends_with(&e.to_string());
                if let Some((_, b)) = self.booked.iter_mut().find(|(e, _)| made_by(e)) {
                    b.progress = BookingProgress::Cancelled;
                }
            }
            BookWork::Search { .. } | BookWork::Hold { .. } | BookWork::Status { .. } => {}
        }
        None
    }

    /// What an answer of the workshop says, besides that there is one.
    fn workshop_says(&mut self, order: &Order, work: &BookWork, outcome: &Outcome) -> Option<BookingNews> {
        if let Outcome::Rejected { reason } = outcome {
            return (reason == "SLOT_UNAVAILABLE").then_some(BookingNews::Gone);
        }
        let stands = |effect: EffectId, b: Option<&Booked>| {
            let b = b?;
            let booking = format!("B-{effect}");
            Some(BookingNews::Stands { booking, progress: b.progress, slot: Some(b.slot) })
        };
        match work {
            BookWork::Search { slots, .. } => {
                let slots = slots.iter().copied().filter(|_| !self.rng.percent(self.odds.slot_gone * 2)).collect();
                Some(BookingNews::Free { slots })
            }
            BookWork::Hold { until_at, .. } => {
                Some(BookingNews::Held { lease: Some(format!("L-{}", order.effect)), until_at: Some(*until_at) })
            }
            BookWork::Create { .. } => stands(order.effect, self.booked.get(&order.effect)),
            BookWork::Cancel { booking } => {
                let found = self.booked.iter().find(|(e, _)| booking.ends_with(&e.to_string()));
                found.and_then(|(e, b)| stands(*e, Some(b)))
            }
            BookWork::Status { created_by, .. } => stands(*created_by, self.booked.get(created_by)),
        }
    }

    /// How an appointment goes on from here.
    fn appointments(&mut self, effect: EffectId, slot: Slot, pending: bool) {
        use BookingProgress::{Cancelled, CheckedIn, Confirmed, Done, NoShow};
        let until = |at: At, now: At| at.since(now);
        let mut slot = slot;
        if pending {
            self.push(Span::from_mins(20), Next::Appointment(effect, Confirmed, Some(slot)));
        }
        if self.rng.percent(self.odds.moved) {
            let day = Span::from_hours(24);
            slot = Slot { start_at: slot.start_at + day, end_at: slot.end_at + day };
            self.push(Span::from_hours(3), Next::Appointment(effect, Confirmed, Some(slot)));
        }
        if self.rng.percent(self.odds.moved / 2) {
            return self.push(Span::from_hours(5), Next::Appointment(effect, Cancelled, None));
        }
        let now = self.now;
        let there = self.odds.moved == 0 || !self.rng.percent(10);
        if there {
            self.push(until(slot.start_at, now), Next::Appointment(effect, CheckedIn, None));
        }
        let end = if there { Done } else { NoShow };
        self.push(until(slot.end_at, now), Next::Appointment(effect, end, None));
    }

    fn appointment(&mut self, effect: EffectId, progress: BookingProgress, slot: Option<Slot>) {
        use BookingProgress::{Cancelled, Done, NoShow};
        let Some(booked) = self.booked.get_mut(&effect) else { return };
        if matches!(booked.progress, Cancelled | Done | NoShow) {
            return;
        }
        booked.progress = progress;
        booked.slot = slot.unwrap_or(booked.slot);
        let news = BookingNews::Stands { booking: format!("B-{effect}"), progress, slot: Some(booked.slot) };
        self.report(effect, 1, ReceiptKind::Booking { news }, None);
        if progress == Done {
            self.cure(effect);
        }
    }

    /// The device of the case may be in order from now on.
    fn cure(&mut self, effect: EffectId) {
        // An engine says for itself what has ended.
        if self.cars.is_some() {
            return;
        }
        let device = self.desk.case_of(&effect).and_then(|case| self.desk.show(&case)).map(|c| c.summary.device);
        if !self.rng.percent(self.odds.cured) {
            return;
        }
        let of_device = self.faults.values().filter(|d| Some(d.device.as_str()) == device.as_deref());
        for fault in of_device.cloned().collect::<Vec<_>>() {
            let after = Span::from_secs(self.rng.between(20, 200));
            let at = self.now + after;
            let (seq, change) = (fault.seq + 1, Change::Cleared);
            let cleared = Detection { seq, change, level: None, event_at: at, received_at: at, ..fault };
            self.later(after, Input::Detection(Box::new(cleared)));
        }
    }

    fn keep_fault(&mut self, input: &Input) {
        let Input::Detection(d) = input else { return };
        if self.faults.get(&d.episode).is_some_and(|known| known.seq > d.seq) {
            return;
        }
        match d.change {
            Change::Raised | Change::Moved | Change::Stale => self.faults.insert(d.episode, (**d).clone()),
            Change::Cleared | Change::RuleRemoved => self.faults.remove(&d.episode),
        };
    }

    /// The provider does it. Twice only for what may be repeated.
    fn take(&mut self, order: &Order) -> Option<Outcome> {
        let entry = self.taken.entry(order.effect).or_insert(Taken {
            kind: if is_page(&self.config, order) { "page" } else { kind(&order.work) },
            at: self.now,
            times: 0,
            denied: false,
        });
        entry.times += 1;
        let once = matches!(
            order.work,
            Work::Ticket(_)
                | Work::Command(_)
                | Work::Dispatch(DispatchWork::Request(_))
                | Work::Book(BookWork::Create { .. })
                | Work::Call(_)
                | Work::Sms(_)
                | Work::Mail(_)
        );
        assert!(!once || withdraws(&order.work) || entry.times == 1 || entry.denied, "taken twice: {order:?}");
        match &order.work {
            Work::Call(_) => self.call(order.effect),
            Work::Sms(_) => {
                let progress = if self.rng.percent(10) { SmsProgress::Undelivered } else { SmsProgress::Delivered };
                self.report(order.effect, 2, ReceiptKind::Sms { progress }, None);
                self.written_to(order);
            }
            Work::Mail(_) => self.written_to(order),
            Work::Book(work) => {
                let refusal = self.workshop(order.effect, work);
                self.taken.get_mut(&order.effect).unwrap().denied = refusal.is_some();
                return refusal;
            }
            Work::App(push) => {
                let (progress, choices) = (AppProgress::Delivered, push.choices.clone());
                self.report(order.effect, 2, ReceiptKind::App { progress }, Some(1));
                let wanted: Vec<char> =
                    choices.iter().map(|c| c.0).filter(|digit| self.odds.keys.contains(digit)).collect();
                if !wanted.is_empty() && self.rng.percent(self.odds.replies) {
                    let digit = wanted[self.rng.pick(wanted.len())];
                    self.report(order.effect, 9, ReceiptKind::Key { digit }, None);
                }
            }
            Work::Dispatch(DispatchWork::Request(job)) => {
                if self.rng.percent(self.odds.declined) {
                    return Some(Outcome::Rejected { reason: "422 no_provider".into() });
                }
                let promised = job.requested_at;
                self.tow(order.effect, promised);
            }
            Work::Dispatch(DispatchWork::Cancel { job }) => {
                if self.rng.percent(self.odds.cancel_refused) {
                    return Some(Outcome::Rejected { reason: "409 too_close".into() });
                }
                self.cancelled.insert(job.clone());
            }
            Work::Command(_) => {
                let ok = !self.rng.percent(self.odds.refused);
                if !self.rng.percent(self.odds.mute) {
                    self.report(order.effect, 1, ReceiptKind::Command { ok, detail: "E7".into() }, None);
                }
                if ok {
                    self.cure(order.effect);
                }
            }
            Work::Ticket(TicketWork::Note { .. } | TicketWork::Close { .. } | TicketWork::Create { .. })
            | Work::Webhook(_)
            | Work::Dispatch(DispatchWork::Status { .. }) => {}
        }
        None
    }

    fn report(&mut self, effect: EffectId, after_secs: i64, what: ReceiptKind, seq: Option<u64>) {
        if self.rng.percent(self.odds.lost_callback) {
            return;
        }
        let receipt = Receipt { effect, provider_ref: None, seq, what };
        let copies = if self.rng.percent(self.odds.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = Span::from_millis(self.rng.between(0, if self.odds.duplicate > 0 { 4_000 } else { 0 }));
            self.later(Span::from_secs(after_secs) + jitter, Input::Receipt(receipt.clone()));
        }
    }

    fn call(&mut self, effect: EffectId) {
        let progress = |progress| ReceiptKind::Call { progress };
        self.report(effect, 1, progress(CallProgress::Ringing), None);
        if self.rng.percent(self.odds.call_unanswered) {
            let end = if self.rng.percent(30) { CallProgress::Busy } else { CallProgress::NoAnswer };
            return self.report(effect, 24, progress(end), None);
        }
        self.push(Span::from_secs(8), Next::Turn(effect, 1));
    }

    fn turn(&mut self, effect: EffectId, turn: u32) {
        let input = Input::Answered { effect, turn, provider_ref: format!("CA-{effect}") };
        let Some(reply) = self.tell(input) else { return };
        let Reply::Speech(speech) = reply else { panic!("a call is always answered with speech, not {reply:?}") };
        assert!(!speech.text.is_empty());
        if let Some(reference) = &self.reference
            && let Err(why) = reference.spoke(&effect, &speech.text)
        {
            panic!("seed {}: {why}\n{}", self.seed, self.timeline());
        }
        self.speeches.push((self.now, speech.text));
        let listens = speech.then == SpeechThen::Listen;
        let voicemail = self.rng.percent(self.odds.voicemail);
        if listens && !voicemail {
            let digit = self.odds.keys[self.rng.pick(self.odds.keys.len())];
            self.report(effect, 6, ReceiptKind::Key { digit }, None);
        } else if listens {
            self.push(Span::from_secs(20), Next::Turn(effect, turn + 1));
            return;
        }
        self.report(effect, 12, ReceiptKind::Call { progress: CallProgress::Completed }, None);
    }

    fn tow(&mut self, effect: EffectId, requested_at: At) {
        if self.rng.percent(self.odds.silent) {
            return;
        }
        let job = format!("J-{effect}");
        self.jobs.insert(job.clone(), effect);
        let promised = requested_at + Span::from_mins(24);
        let slips = self.rng.percent(self.odds.slips);
        let arrives = if slips { promised + Span::from_mins(9) } else { promised };
        let news = |state, eta_at| ReceiptKind::Dispatch {
            update: JobUpdate { job: job.clone(), state, eta_at, truck: Some("TOW 7".into()) },
        };
        let gone = self.rng.percent(self.odds.gone);
        let mut plan = vec![
            (4, news(JobState::Accepted, Some(promised))),
            (240, news(JobState::EnRoute, Some(promised))),
            (600, news(JobState::EnRoute, Some(arrives))),
        ];
        let arrival = arrives.since(requested_at).as_micros() / 1_000_000;
        if gone {
            plan.push((arrival, news(JobState::GoneOnArrival, None)));
        } else {
            plan.push((arrival, news(JobState::OnSite, None)));
            plan.push((arrival + 1_200, news(JobState::Done, None)));
            self.cure(effect);
        }
        for (i, (after, what)) in plan.into_iter().enumerate() {
            self.report(effect, after, what, Some(u64::try_from(i).unwrap() + 1));
        }
    }

    /// Human-readable history of the newest case.
    pub(crate) fn timeline(&self) -> String {
        let newest = self.desk.list(true, 1).pop();
        newest.map_or_else(|| "no case".into(), |case| self.timeline_of(&case.id))
    }

    fn timeline_of(&self, case: &CaseId) -> String {
        let view = self.desk.show(case).unwrap();
        let CaseSummary { short, device, phase, outcome, .. } = &view.summary;
        let mut out = format!("case {short} of {device}: {} {phase} {outcome:?}\n", view.summary.title);
        for line in view.timeline {
            let since = line.at.since(view.summary.opened_at);
            out.push_str(&format!("{:>9}  {:<9} {}\n", since.to_string(), format!("{:?}", line.kind), line.text));
        }
        out
    }
}

fn reference(order: &Order) -> String {
    match &order.work {
        Work::Ticket(_) => format!("T-{}", order.effect),
        Work::Dispatch(_) => format!("J-{}", order.effect),
        Work::Call(_) => format!("CA-{}", order.effect),
        _ => String::new(),
    }
}

fn is_page(config: &Config, order: &Order) -> bool {
    match &order.work {
        Work::Call(_) | Work::Sms(_) | Work::Mail(_) => !is_customer(config, &order.work),
        Work::Webhook(_) => order.adapter.as_str() == "pager",
        _ => false,
    }
}

fn kind(work: &Work) -> &'static str {
    match work {
        Work::Mail(_) => "mail",
        Work::Sms(_) => "sms",
        Work::Call(_) => "call",
        Work::Ticket(TicketWork::Create { .. }) => "ticket",
        Work::Ticket(TicketWork::Note { .. }) => "ticket note",
        Work::Ticket(TicketWork::Close { .. }) => "ticket close",
        Work::Dispatch(DispatchWork::Request(_)) => "dispatch",
        Work::Dispatch(DispatchWork::Cancel { .. }) => "dispatch cancel",
        Work::Dispatch(DispatchWork::Status { .. }) => "dispatch status",
        Work::Command(_) => "command",
        Work::Webhook(_) => "webhook",
        Work::App(_) => "app_push",
        Work::Book(BookWork::Create { .. }) => "booking",
        Work::Book(BookWork::Hold { .. }) => "booking hold",
        Work::Book(BookWork::Search { .. }) => "booking search",
        Work::Book(BookWork::Cancel { .. }) => "booking cancel",
        Work::Book(BookWork::Status { .. }) => "booking status",
    }
}
