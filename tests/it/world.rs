//! The daemon between a real mosquitto and the sandbox providers, to be killed and started again at will.
//!
//! What the providers accepted is counted in this process, so it outlasts every death of the daemon.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forewarn::app;
use forewarn::demo::sandbox::{
    AppBackend, MailServer, PhoneNetwork, PhoneSettings, Sightings, Stage, TicketDesk, TowCompany, TowSettings,
    WorkshopServer,
};
use forewarn::demo::{Addresses, Case, Secrets, Workspace, free_port};
use forewarn::mqtt;
use forewarn::runtime::Incoming;
use serde::Deserialize;
use tokio::time::Instant;

use crate::broker::{Broker, OPEN};

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) mail: MailServer,
    pub(crate) desk: TicketDesk,
    pub(crate) tow: TowCompany,
    pub(crate) phone: PhoneNetwork,
    pub(crate) app: AppBackend,
    pub(crate) workshop: WorkshopServer,
    sightings: Sightings,
    /// More of the environment.
    more: Vec<(&'static str, String)>,
    pub(crate) space: Workspace,
    to: Addresses,
    secrets: Secrets,
    http: reqwest::Client,
    daemon: Option<Child>,
}

/// A line of the case list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) device: String,
    pub(crate) fault: String,
    pub(crate) closed_at: Option<String>,
}

impl World {
    /// Everything but the daemon. The registry has `cars` cars.
    pub(crate) async fn build(cars: usize) -> Self {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let broker = Broker::start(OPEN);
        let secrets = Secrets::new().unwrap();
        let sightings = Sightings::default();
        let stage = Stage { clock: app::clock(), sightings: sightings.clone() };
        let mail = MailServer::start(None, stage.clone()).await.unwrap();
        let desk = TicketDesk::start(&secrets.desk, stage.clone()).await.unwrap();
        let tow =
            TowSettings { secret: secrets.tow.clone(), eta_min: 24, slip_min: 5, pace: Duration::from_millis(100) };
        let tow = TowCompany::start(tow, stage.clone()).await.unwrap();
        let phone = PhoneSettings {
            account_sid: secrets.account.clone(),
            token: secrets.phone.clone(),
            ring: Duration::from_millis(30),
            rings: 2,
            per_char: Duration::from_micros(100),
            hurry: 0.01,
        };
        let phone = PhoneNetwork::start(phone, stage.clone()).await.unwrap();
        let app = AppBackend::start(&secrets.app, Duration::from_millis(50), stage.clone()).await.unwrap();
        let workshop = WorkshopServer::start(&secrets.workshop, stage).await.unwrap();
        let to = Addresses {
            broker: broker.url(),
            http: free_port().unwrap(),
            mail: mail.addr().port(),
            desk: desk.url(),
            tow: tow.url(),
            phone: phone.url(),
            app: app.url(),
            workshop: workshop.url(),
        };
        let space = Workspace::create(cars, &to, &secrets, std::env::var_os("FOREWARN_KEEP").is_some()).unwrap();
        Self {
            broker,
            mail,
            desk,
            tow,
            phone,
            app,
            workshop,
            sightings,
            more: Vec::new(),
            space,
            to,
            secrets,
            http: reqwest::Client::new(),
            daemon: None,
        }
    }

    /// Starts the daemon; `failpoints` as in the `FAILPOINTS` variable of the `fail` crate.
    pub(crate) fn start(&mut self, failpoints: &str) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        let log = OpenOptions::new().create(true).append(true).open(self.space.log()).unwrap();
        let child = self
            .command()
            .args(["run", "--config"])
            .arg(self.space.settings())
            .env("FAILPOINTS", failpoints)
            // Rates of a real provider would only make the test slow.
            // So many breakdowns at once are what these worlds are for, and no storm.
            .env("FOREWARN__DESK__STORM_GUARD__MIN", "100000")
            .env("FOREWARN__PROVIDER__PHONE__PER_SECOND", "1000")
            .env("FOREWARN__PROVIDER__PHONE__PER_HOUR", "100000")
            .env("FOREWARN__PROVIDER__TOW__PER_SECOND", "1000")
            .env("FOREWARN__PROVIDER__TOW__PER_HOUR", "100000")
            .env("FOREWARN__PROVIDER__HELPDESK__PER_SECOND", "1000")
            .env("FOREWARN__PROVIDER__TEXT__PER_SECOND", "1000")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    /// The program with the environment of the daemon.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
        command.envs(self.space.environment(&self.to, &self.secrets)).envs(self.more.iter().cloned());
        command
    }

    /// Sets a variable of the environment of the daemons that are started from now on.
    pub(crate) fn with_variable(&mut self, name: &'static str, value: String) {
        self.more.push((name, value));
    }

    /// Waits until the providers have seen to it that `ready`: looks again whenever one of them has seen something, and a
    /// moment later, because what was seen may be noted down only then.
    pub(crate) async fn sees(&self, what: &str, ready: impl Fn(&Self) -> bool) {
        let mut sightings = self.sightings.watch();
        let until = Instant::now() + Duration::from_secs(60);
        while !ready(self) {
            if Instant::now() > until {
                panic!("not within a minute: {what}\n{:#?}\n{}", self.cases().await, self.log());
            }
            let _seen_or_not = tokio::time::timeout(Duration::from_millis(50), sightings.recv()).await;
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.daemon.take()?;
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        child.wait().unwrap().code()
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        let id = self.daemon.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// Waits until a failpoint has ended the daemon.
    pub(crate) async fn died(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.daemon.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the daemon came past its failpoint:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.daemon = None;
    }

    /// Waits until the daemon says that it is ready.
    pub(crate) async fn ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.to.http);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return;
            }
            let ended = self.daemon.as_mut().and_then(|d| d.try_wait().unwrap());
            assert!(ended.is_none() && Instant::now() < until, "not ready ({ended:?}):\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All cases, closed ones too.
    pub(crate) async fn cases(&self) -> Vec<Listed> {
        #[derive(Deserialize)]
        struct List {
            cases: Vec<Listed>,
        }
        let list: Option<List> = self.get("/api/v1/cases?closed=true&limit=1000").await;
        list.map(|l| l.cases).unwrap_or_default()
    }

    /// What the providers sign with, and the token of the API.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Replaces a part of the settings file, which must be there.
    pub(crate) fn set(&self, from: &str, to: &str) {
        let path = self.space.settings();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Where the daemon listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.to.http)
    }

    /// One case, whole.
    pub(crate) async fn case(&self, id: &str) -> Option<Case> {
        self.get(&format!("/api/v1/cases/{id}")).await
    }

    /// Waits until one case is `ready`, whole.
    pub(crate) async fn case_once(&self, id: &str, what: &str, until: Instant, ready: impl Fn(&Case) -> bool) -> Case {
        loop {
            let case = self.case(id).await.unwrap();
            if ready(&case) {
                return case;
            }
            assert!(Instant::now() < until, "not in time: {what}\n{case:#?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the API answers to a question.
    pub(crate) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Option<T> {
        let url = format!("http://127.0.0.1:{}{path}", self.to.http);
        let answer = self.http.get(url).bearer_auth(&self.secrets.api).send().await.ok()?;
        answer.json().await.ok()
    }

    /// What the API answers to an act of a person: the status.
    pub(crate) async fn post(&self, path: &str, body: serde_json::Value) -> u16 {
        let request = self.http.post(format!("{}{path}", self.url())).bearer_auth(&self.secrets.api).json(&body);
        request.send().await.unwrap().status().as_u16()
    }

    /// Waits until every one of `devices` has a case with `fault` that is closed or that a person has taken over. The
    /// latter happens when the daemon dies at the very moment at which the driver presses the key: nobody can know that
    /// it was pressed, and after three minutes the ladder ends at a person.
    pub(crate) async fn all_served(&self, devices: &[String], fault: &str, within: Duration) -> Vec<Listed> {
        let until = Instant::now() + within;
        let mut taken_over = BTreeSet::new();
        loop {
            let cases = self.cases().await;
            let closed = |d: &String| cases.iter().any(|c| c.device == *d && c.fault == fault && c.closed_at.is_some());
            let open: Vec<&String> = devices.iter().filter(|d| !closed(d) && !taken_over.contains(*d)).collect();
            if open.is_empty() {
                return cases;
            }
            let mut stuck = Vec::new();
            for case in cases.iter().filter(|c| open.contains(&&c.device) && c.fault == fault) {
                let whole: Option<serde_json::Value> = self.get(&format!("/api/v1/cases/{}", case.id)).await;
                match whole {
                    Some(whole) if whole["human_owner"].is_string() => drop(taken_over.insert(case.device.clone())),
                    whole => stuck.push(whole),
                }
            }
            if Instant::now() > until {
                panic!("not served: {open:?}\n{stuck:#?}\n{}\n{}", self.metrics().await, self.log());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What the daemon counts of messages, and the end of what the broker says.
    async fn metrics(&self) -> String {
        let answer = self.http.get(format!("{}/metrics", self.url())).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let counts = text.lines().filter(|l| {
            ["forewarn_mqtt", "forewarn_messages", "forewarn_detections", "forewarn_quarantined"]
                .iter()
                .any(|p| l.starts_with(p))
        });
        let broker = self.broker.log();
        let last = broker.lines().rev().take(20).collect::<Vec<_>>();
        format!("{}\n{}", counts.collect::<Vec<_>>().join("\n"), last.join("\n"))
    }

    /// The end of the daemon's log.
    pub(crate) fn log(&self) -> String {
        let text = std::io::read_to_string(File::open(self.space.log()).unwrap()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A subscriber of its own.
pub(crate) struct Ears {
    queue: mqtt::Queue<Incoming<mqtt::Ack>>,
    acks: mqtt::AckSender,
    _open: mqtt::Control,
}

impl Ears {
    /// Hears `filter` from now on, and in later sessions what came in between.
    pub(crate) fn open(world: &World, name: &str, filter: &str) -> Self {
        let settings = mqtt::Settings { urls: vec![world.broker.url()], client_id: name.into(), ..Default::default() };
        let limits = mqtt::QueueLimits { messages: 100, bytes: 1 << 20 };
        let connection = mqtt::connect(&settings, vec![filter.into()], app::clock(), limits).unwrap();
        Self { queue: connection.incoming, acks: connection.acks, _open: connection.control }
    }

    /// All messages, topic and payload, that come within `wait` of the last one.
    pub(crate) fn hear(&mut self, wait: Duration) -> Vec<(String, Vec<u8>)> {
        let (mut heard, mut batch) = (Vec::new(), Vec::new());
        while tokio::task::block_in_place(|| self.queue.recv_batch(10, wait, &mut batch)).unwrap() > 0 {
            for message in batch.drain(..) {
                heard.push((String::from_utf8(message.topic.to_vec()).unwrap(), message.payload.to_vec()));
                self.acks.release(message.ack.into_iter().collect());
            }
        }
        heard
    }
}

/// Publishes cars' telemetry to the world's broker.
pub(crate) struct Fleet {
    publisher: mqtt::Publisher,
}

impl Fleet {
    pub(crate) fn connect(world: &World) -> Self {
        let settings = mqtt::Settings { urls: vec![world.broker.url()], ..Default::default() };
        let role = mqtt::Role { client_id: "test-fleet".into(), status_topic: None, in_flight: 500 };
        Self { publisher: mqtt::Publisher::connect(&settings, role, app::clock()).unwrap() }
    }

    /// One message of a car; returns after the broker has it.
    pub(crate) async fn say(&self, device: &str, broken: bool, speed: f64) {
        let now = app::clock()();
        let front_left = if broken { 1.2 } else { 40.0 };
        let payload = serde_json::json!({
            "ts": now.as_millis(), "speed": speed, "pedal": 60, "brake": { "fl": front_left, "fr": 41.0 },
            "v12": 12.6, "ign": true, "tamb": 12.0, "pos": { "lat": 48.137, "lon": 11.575 }, "odo": 41200
        });
        self.publish(&format!("fleet/{device}/telemetry"), &payload).await;
    }

    /// A message to any topic; returns after the broker has it.
    pub(crate) async fn publish(&self, topic: &str, payload: &serde_json::Value) {
        self.publish_bytes(topic, payload.to_string().into()).await;
    }

    /// Any bytes to any topic; returns after the broker has them.
    pub(crate) async fn publish_bytes(&self, topic: &str, payload: Vec<u8>) {
        self.send(topic, payload, false).await;
    }

    /// What the broker tells everybody who subscribes from now on; returns after it has it.
    pub(crate) async fn retain(&self, topic: &str, payload: Vec<u8>) {
        self.send(topic, payload, true).await;
    }

    async fn send(&self, topic: &str, payload: Vec<u8>, retain: bool) {
        let message = mqtt::Message {
            topic: topic.to_owned(),
            payload: payload.into(),
            expiry: None,
            retain,
            at_least_once: true,
        };
        for _ in 0..100 {
            match self.publisher.send(message.clone()).await {
                forewarn::domain::Outcome::Accepted { .. } => return,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("the broker does not take messages");
    }
}
