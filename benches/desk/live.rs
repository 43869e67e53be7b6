//! The daemon on the desk of the night: everything but the broker, asked over HTTP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forewarn::app::Loaded;
use forewarn::domain::{AdapterName, EffectId, Order, Outcome};
use forewarn::http::{self, CallbackSecrets, Health, Limits, MetricsAccess, Scope, Token, Tokens};
use forewarn::journal::Keep;
use forewarn::runtime::{Channel, Channels, Clock, Daemon, DeskHandle, Line, Parts, ReloadHandle, Rules};
use forewarn::wire::callback::voice;
use forewarn::wire::link::Key;
use forewarn::wire::twilio::{Form, form_body, sign};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Night, fleet, line, percentiles};

const AUTH_TOKEN: &str = "what the phone network signs with";
const API_TOKEN: &str = "fwt_of_the_contact_centre";
/// Questions that may wait for the desk, as in the daemon.
const QUESTIONS: usize = 1_024;

/// A provider that takes everything and says no more.
struct Takes;

impl Channel for Takes {
    fn attempt(&self, order: Order) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move { Outcome::Accepted { provider_ref: format!("R-{}", order.effect) } })
    }
}

/// Restart of the daemon, key presses, look-ups.
pub(crate) fn measure(shipped: &Loaded, night: Night, most: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let calls = night.calls.clone();
        let (desk, questions) = DeskHandle::new(QUESTIONS);
        // The night stands still while it is looked at: all of its timers would be due in the same minute.
        let now = night.now;
        let clock: Clock = Arc::new(move || now);
        let parts = parts(shipped, night, questions, desk.clone(), clock.clone());
        let begun = Instant::now();
        let (daemon, _) = tokio::task::block_in_place(|| Daemon::recover(parts)).expect("the daemon");
        desk.list(false, 1).await.expect("a desk that answers");
        line("", "of the whole daemon, to its first answer", begun.elapsed(), "bar: 2 s");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let token =
            Token { name: "bench".into(), sha256: Sha256::digest(API_TOKEN).into(), scopes: vec![Scope::Admin] };
        let deps = http::Deps {
            desk,
            engine: daemon.engine(),
            reload: ReloadHandle::new().0,
            health: Arc::new(Health::default),
            metrics: http::install_metrics().expect("metrics"),
            metrics_access: MetricsAccess::default(),
            tokens: Tokens::new(vec![token]),
            callbacks: CallbackSecrets { twilio: vec![AUTH_TOKEN.into()], ..CallbackSecrets::default() },
            links: Key::parse("what the links of a bench are signed with").expect("a key"),
            public_url: base.parse().expect("an address"),
            please_wait: shipped.settings.http.please_wait.clone(),
            clock,
            limits: Limits::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(http::serve(listener, deps, async {
            let _asked = stopped.await;
        }));
        let _already = rustls::crypto::ring::default_provider().install_default();
        let phone = Phone { base: base.clone(), client: reqwest::Client::new() };
        phone.presses(&calls, most).await;
        phone.lookups(most).await;
        drop(stop);
        server.await.expect("the server").expect("the server");
        daemon.stop().await;
    });
}

fn parts(
    shipped: &Loaded,
    night: Night,
    questions: tokio::sync::mpsc::Receiver<forewarn::runtime::DeskQuestion>,
    handle: DeskHandle,
    clock: Clock,
) -> Parts {
    let Night { config, desk, store, keys, dir, .. } = night;
    drop((desk, store));
    let rules = Rules {
        program: shipped.rules.program.clone(),
        sources: shipped.rules.sources.clone(),
        registry: config.registry.clone(),
        replies: Vec::new(),
        switches: Vec::new(),
        warm: None,
    };
    let mut channels = Channels::new();
    let line = |name: &AdapterName| (name.clone(), Line::new(Arc::new(Takes), 16));
    channels.extend(config.providers.keys().map(line));
    Parts {
        dir,
        rules: Arc::new(rules),
        before: None,
        desk: config,
        keys,
        channels,
        questions,
        handle,
        threads: 2,
        keep: Keep { bytes: 1 << 20, age: forewarn::domain::Span::from_hours(1) },
        keep_log: Keep::ALL,
        births: None,
        outcomes: None,
        nightly: None,
        heads: None,
        clock,
    }
}

/// The phone network and the contact centre.
struct Phone {
    base: String,
    client: reqwest::Client,
}

impl Phone {
    /// From the callback with a key to its answer, which comes once the record that ends the ladder is on the disk.
    async fn presses(&self, calls: &[EffectId], most: usize) {
        let step = (calls.len() / most).max(1);
        let mut took = Vec::new();
        for effect in calls.iter().step_by(step).take(most) {
            let call = |digits: Option<&str>| {
                let fields = [("CallSid", "CA0123456789"), ("CallStatus", "in-progress")];
                let fields = fields.into_iter().chain(digits.map(|d| ("Digits", d)));
                fields.map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Form>()
            };
            let heard = self.post(effect, &call(None)).await.0;
            assert!(heard.contains("<Gather"), "{heard}");
            let (heard, time) = self.post(effect, &call(Some("1"))).await;
            assert!(heard.contains("<Hangup") || !heard.contains("<Gather"), "{heard}");
            took.push(time);
        }
        assert!(!took.is_empty(), "nobody was called");
        percentiles("key press to ladder stopped", took, "HTTP to durable record; bar: p99 200 ms");
    }

    async fn post(&self, effect: &EffectId, form: &Form) -> (String, Duration) {
        let url = voice(&self.base, effect, 1);
        let signature = sign(AUTH_TOKEN, &url, form);
        let request = self.client.post(url).header("X-Twilio-Signature", signature);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form_body(form));
        let begun = Instant::now();
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        let text = answer.text().await.expect("words");
        (text, begun.elapsed())
    }

    async fn lookups(&self, most: usize) {
        let mut took = Vec::new();
        for n in 0..most {
            let url = format!("{}/api/v1/lookup", self.base);
            let request = self.client.get(url).query(&[("phone", fleet::phone(n))]).bearer_auth(API_TOKEN);
            let begun = Instant::now();
            let answer = request.send().await.expect("an answer");
            let found: serde_json::Value = answer.json().await.expect("JSON");
            took.push(begun.elapsed());
            assert_eq!(found["people"].as_array().map(Vec::len), Some(1), "{found}");
        }
        percentiles("look-up by phone number", took, "HTTP; bar: 50 ms");
    }
}
