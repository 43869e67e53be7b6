//! A world around the desk, in virtual time, from a seed: providers that are slow, silent, wrong and repetitive,
//! people who do or do not answer, and a process that may die at every commit.

#![expect(clippy::unwrap_used, reason = "a helper of tests: an unexpected error is a failed test")]
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{
    ByMail, Config, Contact, Desk, Hours, Input, Keyring, Links, Person, Provider, ProviderKind, Record, Reply,
    Settings, SpeechThen, Watch, Workshop,
};
use forewarn::domain::{
    AdapterName, Agreed, AppProgress, At, BookWork, BookingNews, BookingProgress, CallProgress, Change, Consent,
    Customer, Detection, Device, DispatchWork, EffectId, Endpoint, EndpointKind, EpisodeId, FaultName, InviteMethod,
    JobState, JobUpdate, Level, Mode, Order, OrderKind, Outcome, Purpose, Receipt, ReceiptKind, Registry, Severity,
    Slot, SmsProgress, Span, TicketWork, Value, Work,
};
use forewarn::playbook::{Messages, Surroundings, load};
use forewarn::source::{Diagnostics, FileId};
use forewarn::wire::link::Key;

use super::fleet_world::{Cars, Entry, Fate, telemetry};
use super::reference::{Reference, is_customer};

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
            crash: 6,
        }
    }
}

#[derive(Debug, Clone)]
enum Next {
    Tell(Input),
    /// A person in a call does something: turn of the speech.
    Turn(EffectId, u32),
    /// Something for the journal: a message of a car, a mark of the clock.
    Entry(Entry),
}

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
    taken: BTreeMap<EffectId, Taken>,
    /// What the workshop has.
    booked: BTreeMap<EffectId, Slot>,
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
        settings: Settings::default(),
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
    change(&mut config);
    config.check(&mut diags);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    Arc::new(config)
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

fn surroundings(config: &Config) -> Surroundings {
    Surroundings {
        queues: config.queues.keys().cloned().collect(),
        providers: config.providers.iter().map(|(n, p)| (n.clone(), p.kind)).collect(),
        messages: config.messages.clone(),
        fleet: None,
    }
}

/// The same with this playbook alone.
pub(crate) fn config_with(playbook: &str, change: impl FnOnce(&mut Config)) -> Arc<Config> {
    config(|c| {
        change(c);
        let mut diags = Diagnostics::default();
        let file = diags.add_file("test.toml", playbook);
        c.playbooks = load(&mut diags, &[file], &surroundings(c));
        assert!(diags.list().is_empty(), "{}", diags.render(false));
    })
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
            check_every: 20,
            taken: BTreeMap::new(),
            booked: BTreeMap::new(),
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

    fn push(&mut self, after: Span, next: Next) {
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
            Some(Next::Tell(input)) => {
                self.tell(input);
            }
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
        let step = self.desk.handle(self.now, input.clone());
        let planned = self.crash_at.filter(|(at, _)| *at == self.steps).map(|(_, durable)| durable);
        if let Some(durable) = planned.or_else(|| self.rng.percent(self.odds.crash).then(|| self.rng.percent(50))) {
            self.crash_at = None;
            self.crash(&input, step.record, durable);
            return None;
        }
        let changed = step.record.is_some();
        if let Some(record) = step.record {
            self.desk.apply(&record).unwrap();
            self.store(record);
        }
        for (device, watch) in &step.watch {
            if let Some(cars) = &mut self.cars {
                cars.watch(device, *watch == Watch::Start);
            }
        }
        self.steps += 1;
        // Every case after every step is too slow for hundreds of worlds; debug builds look at the changed ones.
        if self.steps.is_multiple_of(self.check_every) {
            self.desk.check_invariants().unwrap();
        }
        self.refer(&input, &step.orders, changed);
        for order in step.orders {
            self.carry_out(order);
        }
        Some(step.reply)
    }

    /// Has the reference look at what was committed and released.
    fn refer(&mut self, input: &Input, orders: &[Order], changed: bool) {
        let Some(reference) = &mut self.reference else { return };
        reference.told(self.now, input);
        let agreed = if changed { reference.look(&self.desk) } else { Ok(()) };
        let agreed = agreed.and_then(|()| orders.iter().try_for_each(|order| reference.ordered(&self.desk, order)));
        if let Err(why) = agreed {
            panic!("seed {}: {why}\nafter {input:?}\n{}", self.seed, self.timeline());
        }
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
            // The journal is replayed.
            Input::Detection(_) if self.cars.is_none() && !committed => self.later(Span::from_secs(2), input.clone()),
            _ => {}
        }
        // Attempts under way die with the process.
        self.queue.retain(|_, next| !matches!(next, Next::Tell(Input::Outcome { .. })));
        let rebuilt = self.rebuilt();
        // What the dead one knew is the older state that the next rebuild starts from.
        self.snapshot = (std::mem::replace(&mut self.desk, rebuilt), applied);
        if committed {
            self.refer(input, &[], true);
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
        for (key, row) in &record.changes {
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

    fn carry_out(&mut self, order: Order) {
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
            return Some(Outcome::Retry { after: None, reason: "connection refused".into() });
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

    /// A workshop with all times free, which says yes to everything.
    fn workshop(&mut self, effect: EffectId, work: &BookWork) {
        let news = match work {
            BookWork::Search { slots, .. } => BookingNews::Free { slots: slots.clone() },
            BookWork::Hold { until_at, .. } => {
                BookingNews::Held { lease: Some(format!("L-{effect}")), until_at: Some(*until_at) }
            }
            BookWork::Create { slot, .. } => {
                let booking = format!("B-{effect}");
                self.booked.insert(effect, *slot);
                BookingNews::Stands { booking, progress: BookingProgress::Confirmed, slot: Some(*slot) }
            }
            BookWork::Cancel { booking } => {
                let (booking, progress) = (booking.clone(), BookingProgress::Cancelled);
                BookingNews::Stands { booking, progress, slot: None }
            }
            BookWork::Status { created_by, booking } => {
                let (booking, slot) = (booking.clone(), self.booked.get(created_by).copied());
                BookingNews::Stands { booking, progress: BookingProgress::Confirmed, slot }
            }
        };
        self.report(effect, 1, ReceiptKind::Booking { news }, None);
    }

    /// The provider does it. Twice only for what may be repeated.
    fn take(&mut self, order: &Order) -> Option<Outcome> {
        let page = matches!(order.work, Work::Call(_) | Work::Sms(_) | Work::Mail(_))
            && !is_customer(&self.config, &order.work);
        let entry = self.taken.entry(order.effect).or_insert(Taken {
            kind: if page { "page" } else { kind(&order.work) },
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
        let withdraws = matches!(&order.work, Work::Mail(m)
            if m.invitation.as_ref().is_some_and(|i| i.method == InviteMethod::Cancel));
        assert!(!once || withdraws || entry.times == 1 || entry.denied, "taken twice: {order:?}");
        match &order.work {
            Work::Call(_) => self.call(order.effect),
            Work::Sms(_) => {
                let progress = if self.rng.percent(10) { SmsProgress::Undelivered } else { SmsProgress::Delivered };
                self.report(order.effect, 2, ReceiptKind::Sms { progress }, None);
            }
            Work::Book(work) => self.workshop(order.effect, work),
            Work::App(_) => {
                let progress = AppProgress::Delivered;
                self.report(order.effect, 2, ReceiptKind::App { progress }, Some(1));
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
                self.report(order.effect, 1, ReceiptKind::Command { ok: true, detail: String::new() }, None);
            }
            Work::Ticket(TicketWork::Note { .. } | TicketWork::Close { .. } | TicketWork::Create { .. })
            | Work::Mail(_)
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
        self.speeches.push((self.now, speech.text));
        let listens = speech.then == SpeechThen::Listen;
        let voicemail = self.rng.percent(self.odds.voicemail);
        if listens && !voicemail {
            let key = self.rng.below(u64::try_from(self.odds.keys.len()).unwrap());
            let digit = self.odds.keys[usize::try_from(key).unwrap()];
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
        }
        for (i, (after, what)) in plan.into_iter().enumerate() {
            self.report(effect, after, what, Some(u64::try_from(i).unwrap() + 1));
        }
    }

    /// Human-readable history of the newest case.
    pub(crate) fn timeline(&self) -> String {
        let Some(case) = self.desk.list(true, 1).pop() else { return "no case".into() };
        let view = self.desk.show(&case.id).unwrap();
        let mut out = format!("case {} {} {:?}\n", view.summary.title, view.summary.phase, view.summary.outcome);
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
        Work::Book(_) => "booking",
    }
}
