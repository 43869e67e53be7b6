//! What every test of an adapter needs: a clock that stands still, a desk that listens, a broker that notes.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use forewarn::channels::{CallbackKey, Deps, Error, ProviderSettings, build, callback_key};
use forewarn::desk::{Input, Reply};
use forewarn::domain::{
    At, CaseId, EffectId, Job, MailWork, Order, OrderKind, Outcome, Place, Purpose, Span, Vehicle, Work,
};
use forewarn::runtime::{Channel, DeskHandle, DeskQuestion, Publisher};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(super) const EFFECT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const PUBLIC_URL: &str = "https://me.example";

pub(super) fn now() -> At {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

pub(super) type Published = Arc<Mutex<Vec<(String, Bytes, Option<Span>, bool)>>>;

/// Notes what is published and takes everything.
struct Broker(Published);

impl Publisher for Broker {
    fn publish(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Span>,
        retain: bool,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        self.0.lock().unwrap().push((topic, payload, expiry, retain));
        Box::pin(std::future::ready(Outcome::Accepted { provider_ref: String::new() }))
    }
}

/// The world around an adapter. Files named in the settings are found in `files`.
pub(super) struct World {
    pub(super) files: BTreeMap<&'static str, Vec<u8>>,
    pub(super) published: Published,
    pub(super) told: Arc<Mutex<Vec<Input>>>,
    desk: DeskHandle,
}

impl World {
    /// Needs a runtime: the desk is a task.
    pub(super) fn new() -> Self {
        let (desk, mut questions) = DeskHandle::new(8);
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        tokio::spawn(async move {
            while let Some(question) = questions.recv().await {
                if let DeskQuestion::Input(input, answer) = question {
                    log.lock().unwrap().push(input);
                    let _ = answer.send(Reply::Done);
                }
            }
        });
        Self { files: BTreeMap::new(), published: Published::default(), told, desk }
    }

    pub(super) fn try_build(&self, settings: &str) -> Result<Arc<dyn Channel>, Error> {
        self.with(settings, |settings, deps| Ok(build("x", settings, deps)?.expect("an adapter of its own")))
    }

    pub(super) fn callback_key(&self, settings: &str) -> Result<Option<CallbackKey>, Error> {
        self.with(settings, |settings, deps| callback_key("x", settings, deps))
    }

    fn with<T>(&self, settings: &str, use_: impl FnOnce(&ProviderSettings, &Deps<'_>) -> T) -> T {
        let settings: ProviderSettings = toml::from_str(settings).unwrap();
        let read = |path: &Path| {
            let file = path.to_str().and_then(|p| self.files.get(p)).cloned();
            file.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
        };
        let deps = Deps {
            publisher: Arc::new(Broker(self.published.clone())),
            desk: self.desk.clone(),
            public_url: PUBLIC_URL,
            clock: Arc::new(now),
            read: &read,
        };
        use_(&settings, &deps)
    }

    pub(super) fn build(&self, settings: &str) -> Arc<dyn Channel> {
        self.try_build(settings).unwrap_or_else(|e| panic!("{e}"))
    }
}

pub(super) fn effect() -> EffectId {
    EFFECT.parse().unwrap()
}

pub(super) fn case() -> CaseId {
    "000102030405060708090a0b0c0d0e0f".parse().unwrap()
}

pub(super) fn order(kind: OrderKind, work: Work) -> Order {
    Order {
        effect: effect(),
        attempt: 1,
        case: case(),
        adapter: "x".into(),
        kind,
        first_sent_at: now(),
        rates: Vec::new(),
        work,
    }
}

pub(super) fn send(work: Work) -> Order {
    order(OrderKind::Send, work)
}

pub(super) fn reconcile(work: Work) -> Order {
    order(OrderKind::Reconcile, work)
}

pub(super) fn mail(text: &str) -> Work {
    Work::Mail(MailWork {
        invitation: None,
        to_name: "Jane".into(),
        to: "jane@example.com".into(),
        subject: "Your battery".into(),
        text: text.into(),
        chart: None,
        html: format!("<p>{text}</p>"),
        locale: "en".into(),
        purpose: Purpose::Service,
        importance: None,
        attachments: Vec::new(),
        unsubscribe: None,
        reply_to: None,
        comes_back_to: None,
    })
}

pub(super) fn job() -> Job {
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Job {
        service: "tow".into(),
        priority: "safety".into(),
        requested_at: now(),
        place: Place { lat: 48.137, lon: 11.575, age_s: 4.0, accuracy_m: None },
        vehicle: Vehicle(text(&[("plate", "M-AB 123")])),
        fault: text(&[("part", "brake"), ("drivable", "false")]),
        contact: text(&[("name", "Jane"), ("phone", "+491700000001")]),
        accept_by: now() + Span::from_secs(90),
    }
}

/// The shape of an outcome, for tables.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Retry { .. } => "retry",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotFound => "not found",
    }
}

pub(super) fn accepted(provider_ref: &str) -> Outcome {
    Outcome::Accepted { provider_ref: provider_ref.into() }
}

/// A peer that reads a whole request and then misbehaves as told; returns its address.
pub(super) async fn peer<F, Fut>(misbehave: F) -> String
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let _ = stream.read(&mut request).await;
            tokio::spawn(misbehave(stream));
        }
    });
    address
}

/// Writes `text`, ends the connection.
pub(super) async fn say(mut stream: TcpStream, text: impl AsRef<[u8]>) {
    let _ = stream.write_all(text.as_ref()).await;
    let _ = stream.shutdown().await;
}
