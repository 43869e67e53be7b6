//! A server on a free port, a desk thread that does what the test says, and a client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use forewarn::desk::{
    Caller, CaseSummary, CaseView, EffectView, GoalView, History, Input, Lookup, OptOutView, Reply, Speech, SpeechThen,
    TimelineEntry, TimelineKind, WaitView,
};
use forewarn::domain::{At, CaseId, Channel, EffectId, Purpose, Severity};
use forewarn::engine::Engine;
use forewarn::http::{
    self, CallbackSecrets, Deps, Health, Limits, MetricsAccess, PleaseWait, Scope, Settings, TokenSettings,
};
use forewarn::runtime::{DeskHandle, DeskQuestion, EngineHandle, EngineQuestion, ReloadHandle};
use forewarn::source::Diagnostics;
use forewarn::wire::link::Key;
use forewarn::wire::webhook::Secret;
use forewarn::{model, rules};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

/// The time of every test, until it says otherwise.
pub(super) const NOW_S: i64 = 1_795_300_000;
pub(super) const TWILIO_TOKENS: [&str; 2] = ["12345", "other-account"];
pub(super) const APP_SECRET: &str = "whsec_YXBwYXBwYXBwYXBwYXBwYXBwYXBwYXBw";
pub(super) const BOOKING_SECRET: &str = "whsec_d29ya3Nob3B3b3Jrc2hvcHdvcmtzaG9w";
pub(super) const DISPATCH_SECRETS: [&str; 2] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2Vjb25kLXNlY3JldA=="];
pub(super) const LINK_SECRET: &str = "what the links are signed with";
pub(super) const EFFECT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// Two of them begin alike.
pub(super) const CASES: [&str; 3] =
    ["aaaa1111000000000000000000000001", "aaaa2222000000000000000000000002", "bbbb1111000000000000000000000003"];

/// How the desk behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Answers,
    /// Takes questions and never answers.
    Silent,
    /// Takes one question and answers it when the mood changes.
    Hesitates,
    /// Answers one question, then hesitates.
    AnswersOnce,
}

#[derive(Default)]
pub(super) struct Script {
    /// What the desk was told, oldest first.
    pub(super) inputs: Vec<Input>,
    /// What it replies next; then `Done`, or the standard speech.
    pub(super) replies: VecDeque<Reply>,
    /// Whom it was asked for.
    pub(super) callers: Vec<Caller>,
}

pub(super) struct Desk {
    pub(super) script: Mutex<Script>,
    mood: Mutex<Mood>,
    changed: Condvar,
    taken: AtomicUsize,
}

impl Desk {
    pub(super) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    /// Waits until the desk has taken its `n`th question, answered or not.
    pub(super) async fn taken(&self, n: usize) {
        let taken = async {
            while self.taken.load(Ordering::Relaxed) < n {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), taken).await.expect("the desk was not asked");
    }

    fn mood(&self) -> Mood {
        let mood = self.mood.lock().unwrap();
        let mut mood = self.changed.wait_while(mood, |mood| *mood == Mood::Hesitates).unwrap();
        let now = *mood;
        if now == Mood::AnswersOnce {
            *mood = Mood::Hesitates;
        }
        now
    }

    pub(super) fn reply_with(&self, reply: Reply) {
        self.script.lock().unwrap().replies.push_back(reply);
    }

    /// What it was told since the last time.
    pub(super) fn told(&self) -> Vec<Input> {
        std::mem::take(&mut self.script.lock().unwrap().inputs)
    }

    fn reply(&self, input: Input) -> Reply {
        let mut script = self.script.lock().unwrap();
        let standard = match &input {
            Input::Answered { turn, .. } => Reply::Speech(Speech {
                locale: "de-DE".to_owned(),
                text: format!("Bitte halten Sie an, Runde {turn}."),
                then: SpeechThen::Listen,
            }),
            _ => Reply::Done,
        };
        script.inputs.push(input);
        script.replies.pop_front().unwrap_or(standard)
    }
}

/// The desk thread: ends when all handles are gone.
fn run_desk(desk: &Desk, mut questions: tokio::sync::mpsc::Receiver<DeskQuestion>) {
    let cases: Vec<CaseView> = CASES.iter().map(|id| case(id)).collect();
    let mut never = Vec::new();
    while let Some(question) = questions.blocking_recv() {
        desk.taken.fetch_add(1, Ordering::Relaxed);
        if desk.mood() == Mood::Silent {
            if let DeskQuestion::Input(input, _) = &question {
                desk.script.lock().unwrap().inputs.push(input.clone());
            }
            never.push(question);
            continue;
        }
        // Whoever asked may have given up.
        match question {
            DeskQuestion::Input(input, answer) => drop(answer.send(desk.reply(input))),
            DeskQuestion::List { closed, limit, answer } => {
                let shown = cases.iter().map(|c| c.summary.clone()).filter(|c| closed || c.closed_at.is_none());
                drop(answer.send(shown.take(limit).collect()));
            }
            DeskQuestion::Show(id, answer) => {
                drop(answer.send(cases.iter().find(|c| c.summary.id == id).cloned().map(Box::new)));
            }
            DeskQuestion::OptOuts(answer) => drop(answer.send(vec![opt_out()])),
            DeskQuestion::Page(link, answer) => drop(answer.send(Ok(super::links::shown(link)))),
            DeskQuestion::Switches(answer) => drop(answer.send(Vec::new())),
            DeskQuestion::Lookup(caller, answer) => {
                desk.script.lock().unwrap().callers.push(caller);
                drop(answer.send(Lookup::default()));
            }
            DeskQuestion::Rules(answer) => drop(answer.send(Vec::new())),
            DeskQuestion::Outcomes { answer, .. } => drop(answer.send(Vec::new())),
            DeskQuestion::Dossier(customer, answer) => {
                drop(answer.send((customer.as_str() == "c-1").then(|| serde_json::json!({ "customer": customer }))));
            }
            DeskQuestion::Standing { rule, device, episode, answer } => {
                drop(answer.send(vec![format!("{rule} on {device}: {episode:?}")]));
            }
            DeskQuestion::Find(prefix, answer) => {
                let mut like = cases.iter().map(|c| c.summary.id).filter(|id| id.to_string().starts_with(&prefix));
                let found = like.next().filter(|_| like.next().is_none());
                let _ = answer.send(found);
            }
        }
    }
}

fn waits() -> Vec<WaitView> {
    let why = "the cap of 12 contacts in 7d of a customer".to_owned();
    let until_at = Some(At::from_secs(NOW_S + 3_600));
    let person = "somebody who takes the case".to_owned();
    vec![
        WaitView { what: "sms (step tell)".to_owned(), why, until_at },
        WaitView { what: "the service-desk".to_owned(), why: person, until_at: None },
    ]
}

fn opt_out() -> OptOutView {
    OptOutView {
        customer: "c-1".into(),
        endpoint: "e-1".into(),
        channel: Channel::Sms,
        purpose: Purpose::Service,
        at: At::from_secs(NOW_S - 60),
        by: "word".to_owned(),
        lifted_at: None,
    }
}

/// A case as the desk shows it. The last of [`CASES`] is closed.
fn case(id: &str) -> CaseView {
    let id: CaseId = id.parse().unwrap();
    let at = At::from_secs(NOW_S - 120);
    let closed = id.to_string() == CASES[2];
    CaseView {
        summary: CaseSummary {
            id,
            short: id.short(),
            device: "car-0042".to_owned(),
            fault: "brake.circuit_loss".to_owned(),
            severity: Severity::Critical,
            phase: if closed { "closed" } else { "engaging" }.to_owned(),
            title: "Front left brake circuit failed".to_owned(),
            event_at: at,
            opened_at: at,
            closed_at: closed.then(|| At::from_secs(NOW_S)),
            outcome: closed.then(|| "served".to_owned()),
            goals_met: (1, 2),
        },
        key: "car-0042/brake".to_owned(),
        playbook: "car-breakdown-tow version 7".to_owned(),
        human_owner: None,
        waits_for: None,
        goals: vec![GoalView {
            name: "driver_told_to_stop".to_owned(),
            state: "open".to_owned(),
            met_by: None,
            deadline_at: Some(At::from_secs(NOW_S)),
        }],
        effects: vec![EffectView {
            id: EFFECT.parse().unwrap(),
            step: "warn".to_owned(),
            kind: "call".to_owned(),
            adapter: "phone".to_owned(),
            state: "due".to_owned(),
            attempts: 0,
            provider_ref: None,
            waits_for: Some("quiet hours".to_owned()),
            not_before_at: Some(At::from_secs(NOW_S + 60)),
            possible_duplicate: false,
        }],
        waits: if id.to_string() == CASES[0] { waits() } else { Vec::new() },
        history: History::default(),
        conversation: Vec::new(),
        timeline: vec![TimelineEntry {
            at,
            kind: TimelineKind::Measured,
            text: "brake_fl 0 bar while brake_pedal 80 %".to_owned(),
            effect: None,
        }],
    }
}

/// What a test may choose.
pub(super) struct Options {
    pub(super) limits: Limits,
    pub(super) public_url: Option<&'static str>,
    pub(super) metrics_access: MetricsAccess,
    pub(super) health: Health,
    /// Whether there is a desk at all; without one it is busy.
    pub(super) desk: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            public_url: None,
            metrics_access: MetricsAccess::default(),
            health: Health::default(),
            desk: true,
        }
    }
}

pub(super) struct World {
    /// `http://127.0.0.1:<port>`
    pub(super) url: String,
    pub(super) desk: Arc<Desk>,
    pub(super) clock_s: Arc<AtomicI64>,
    pub(super) public_url: String,
    pub(super) client: reqwest::Client,
    tokens: Vec<(String, String)>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<Result<(), http::Error>>>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let public_url = options.public_url.map_or_else(|| url.clone(), str::to_owned);
        let (settings, tokens) = settings(&public_url);
        let (parsed, known) = settings.resolve().unwrap();
        let (handle, questions) = DeskHandle::new(8);
        let desk = Arc::new(Desk {
            script: Mutex::default(),
            mood: Mutex::new(Mood::Answers),
            changed: Condvar::new(),
            taken: AtomicUsize::new(0),
        });
        if options.desk {
            let desk = desk.clone();
            std::thread::spawn(move || run_desk(&desk, questions));
        }
        let clock_s = Arc::new(AtomicI64::new(NOW_S));
        let clock = clock_s.clone();
        let health = options.health;
        let (engine, asked) = EngineHandle::new(1, 4);
        std::thread::spawn(move || answer(&asked[0]));
        let deps = Deps {
            desk: handle,
            engine,
            reload: ReloadHandle::new().0,
            health: Arc::new(move || health.clone()),
            metrics: http::install_metrics().unwrap(),
            metrics_access: options.metrics_access,
            tokens: known,
            callbacks: CallbackSecrets {
                twilio: TWILIO_TOKENS.map(Into::into).into(),
                mail: vec!["inbound-secret".into()],
                zammad: vec![("helpdesk".into(), "hook-token".into())],
                dispatch: DISPATCH_SECRETS.map(|s| ("tow".into(), Secret::parse(s).unwrap())).into(),
                app: vec![("app".into(), Secret::parse(APP_SECRET).unwrap())],
                booking: vec![("workshop".into(), Secret::parse(BOOKING_SECRET).unwrap())],
            },
            links: Key::parse(LINK_SECRET).unwrap(),
            public_url: parsed,
            please_wait: PleaseWait { locale: "de-DE".to_owned(), text: "Einen Moment bitte.".to_owned() },
            clock: Arc::new(move || At::from_secs(clock.load(Ordering::Relaxed))),
            limits: options.limits,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(http::serve(listener, deps, async {
            let _ = stopped.await;
        }));
        Self { url, desk, clock_s, public_url, client: client(), tokens, stop: Some(stop), server: Some(server) }
    }

    /// The text of the token with this name: one for each scope.
    pub(super) fn token(&self, name: &str) -> &str {
        &self.tokens.iter().find(|(n, _)| n == name).unwrap().1
    }

    pub(super) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(super) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// `GET` with the all-powerful token: status and JSON.
    pub(super) async fn admin(&self, path: &str) -> (u16, Value) {
        read(self.get(path).bearer_auth(self.token("admin")).send().await.unwrap()).await
    }

    /// Asks the server to stop and waits until it has.
    pub(super) async fn stop(&mut self) {
        drop(self.stop.take());
        tokio::time::timeout(Duration::from_secs(10), self.server.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    pub(super) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }
}

/// Status and JSON of an answer.
pub(super) async fn read(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The code of an error, whose shape is checked.
pub(super) fn code(body: &Value) -> &str {
    let error = &body["error"];
    assert!(error["message"].is_string() && error["hint"].is_string(), "{body}");
    assert_eq!(error.as_object().unwrap().len(), 3, "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    error["code"].as_str().unwrap()
}

pub(super) fn effect() -> EffectId {
    EFFECT.parse().unwrap()
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(std::iter::empty())
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// Settings with one token for each scope, and their texts.
fn settings(public_url: &str) -> (Settings, Vec<(String, String)>) {
    assert!(Url::parse(public_url).is_ok());
    let mut settings = Settings { public_url: public_url.to_owned(), ..Settings::default() };
    let mut texts = Vec::new();
    for (n, scope) in (1..).zip([Scope::Read, Scope::Ack, Scope::Act, Scope::Admin]) {
        let (text, sha256) = http::new_token([n; 32]);
        settings.token.push(TokenSettings { name: scope.to_string(), sha256, scopes: vec![scope] });
        texts.push((scope.to_string(), text.expose_secret().to_owned()));
    }
    (settings, texts)
}

/// An engine with one rule, which has heard nothing.
fn answer(questions: &std::sync::mpsc::Receiver<EngineQuestion>) {
    let mut diags = Diagnostics::default();
    let model = diags.add_file("m.toml", "[model]\nid = \"m\"\ntopics = [\"f/+/t\"]\n[signal]\nx = { path = \"x\" }\n");
    let models = Arc::new(model::load(&mut diags, &[model]));
    let rule = "[[rule]]\nid = \"hot\"\nmodels = [\"m\"]\nseverity = \"minor\"\nwhen = \"x > 1\"\n";
    let rule = diags.add_file("r.toml", rule);
    let program = rules::load(&mut diags, &[rule], models);
    let mut engine = Engine::new(Arc::new(program), Arc::default());
    for q in questions {
        let _gone = q.answer.send(engine.explain(&q.rule, &q.device, q.component.as_deref()));
    }
}
