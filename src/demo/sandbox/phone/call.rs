//! The life of a call: dialled, ringing, answered, spoken to, ended.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Sighting, lock};
use super::twiml::{self, Verb};
use super::{Call, Callback, Driver, Network};
use crate::wire::twilio::Form;

/// Documents fetched in one call; the real network stops somewhere, too.
const TURNS: usize = 20;
/// Largest document, in bytes.
const DOCUMENT: usize = 64 << 10;
/// Longest real time that one pause, speech or wait for a key takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came with the request.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) voice: String,
    pub(super) fallback: Option<String>,
    pub(super) status: Option<Callback>,
    pub(super) events: Vec<String>,
    pub(super) timeout_s: u32,
}

/// Places the call.
pub(super) fn place(network: &Arc<Network>, call: Call, plan: Plan) {
    let driver = network.drivers.next().unwrap_or_default();
    let running =
        Running { network: network.clone(), sid: call.sid, to: call.to, from: call.from, plan, seq: 0, before: None };
    lock(&network.tasks).spawn(running.live(driver));
}

struct Running {
    network: Arc<Network>,
    sid: String,
    to: String,
    from: String,
    plan: Plan,
    seq: u64,
    before: Option<Form>,
}

/// What the instructions led to.
enum Next {
    Fetch { url: String, post: bool, digit: Option<char> },
    End,
}

impl Running {
    async fn live(mut self, driver: Driver) {
        let ring = self.network.settings.ring;
        tokio::time::sleep(ring / 4).await;
        self.set("initiated").await;
        tokio::time::sleep(ring / 4).await;
        let (answers, ended) = match driver {
            Driver::Unreachable => (None, "failed"),
            Driver::Busy => (None, "busy"),
            Driver::Absent => {
                self.ring(self.rings_until_timeout()).await;
                (None, "no-answer")
            }
            Driver::Voicemail => {
                self.ring(self.network.settings.rings + 2).await;
                (Some(Vec::new()), "completed")
            }
            Driver::HangsUp => {
                self.ring(self.network.settings.rings).await;
                self.set("in-progress").await;
                (None, "completed")
            }
            Driver::Presses(keys) => {
                self.ring(self.network.settings.rings).await;
                (Some(keys), "completed")
            }
        };
        if self.taken_back() {
            self.set("canceled").await;
            return;
        }
        if let Some(keys) = answers {
            self.set("in-progress").await;
            if let Err(error) = self.talk(keys).await {
                self.edit(|call| call.error = Some(error));
            }
        }
        self.network.stage.sightings.saw(Sighting::CallEnded { to: self.to.clone(), status: ended.to_owned() });
        self.set(ended).await;
    }

    /// A ring takes 5 s in the world outside; here it is as short as the settings say.
    fn rings_until_timeout(&self) -> u32 {
        (self.plan.timeout_s / 5).max(1)
    }

    async fn ring(&mut self, times: u32) {
        self.set("ringing").await;
        self.network.stage.sightings.saw(Sighting::Ringing { to: self.to.clone() });
        for _ in 0..times {
            tokio::time::sleep(self.network.settings.ring).await;
            if self.taken_back() {
                return;
            }
        }
    }

    fn taken_back(&self) -> bool {
        lock(&self.network.calls).iter().any(|c| c.sid == self.sid && c.status == "canceled")
    }

    fn edit(&self, change: impl FnOnce(&mut Call)) {
        if let Some(call) = lock(&self.network.calls).iter_mut().find(|c| c.sid == self.sid) {
            change(call);
        }
    }

    /// Changes the state and reports it, if that was asked for. Reports go out beside the call, as on the real
    /// network: they may overtake each other, which is what the sequence number is for.
    async fn set(&mut self, status: &str) {
        if status != "canceled" && self.taken_back() {
            return;
        }
        let now = (self.network.stage.clock)();
        self.edit(|call| {
            status.clone_into(&mut call.status);
            if status == "initiated" {
                call.started_at = Some(now);
            }
        });
        let event = match status {
            "in-progress" => "answered",
            "initiated" | "ringing" => status,
            _ => "completed",
        };
        let Some(to) = self.plan.status.clone() else { return };
        if !(self.plan.events.iter().any(|e| e == event) || (self.plan.events.is_empty() && event == "completed")) {
            return;
        }
        let mut news = self.form(status);
        news.push(("SequenceNumber".to_owned(), self.seq.to_string()));
        news.push(("CallbackSource".to_owned(), "call-progress-events".to_owned()));
        self.seq += 1;
        let copies = self.network.copies(&news, self.before.as_ref());
        self.before = Some(news);
        let network = self.network.clone();
        lock(&self.network.tasks).spawn(async move {
            for form in copies {
                network.report(&to, &form).await;
            }
        });
    }

    fn form(&self, status: &str) -> Form {
        [
            ("CallSid", self.sid.as_str()),
            ("AccountSid", &self.network.settings.account_sid),
            ("From", &self.from),
            ("To", &self.to),
            ("CallStatus", status),
            ("Direction", "outbound-api"),
            ("ApiVersion", "2010-04-01"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
    }

    /// Fetches instructions and follows them until the call ends.
    async fn talk(&self, keys: Vec<Option<char>>) -> Result<(), String> {
        let mut keys = keys.into_iter();
        let mut next = Next::Fetch { url: self.plan.voice.clone(), post: true, digit: None };
        for _ in 0..TURNS {
            let Next::Fetch { url, post, digit } = next else { return Ok(()) };
            let document = match (self.fetch(&url, post, digit).await, &self.plan.fallback) {
                (Ok(document), _) => document,
                (Err(_), Some(fallback)) => self.fetch(fallback, true, digit).await?,
                (Err(error), None) => return Err(error),
            };
            next = self.follow(twiml::parse(&document)?, &url, &mut keys).await?;
        }
        Err("too many turns".to_owned())
    }

    async fn fetch(&self, url: &str, post: bool, digit: Option<char>) -> Result<String, String> {
        let mut form = self.form("in-progress");
        form.extend(digit.map(|d| ("Digits".to_owned(), d.to_string())));
        let response = self.network.send(url, post, &form).await.map_err(|e| format!("11200 {e}"))?;
        if !response.status().is_success() {
            return Err(format!("11200 HTTP {}", response.status()));
        }
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.contains("xml") {
            return Err(format!("12300 content type {kind:?}"));
        }
        let text = response.text().await.map_err(|e| format!("11200 {e}"))?;
        if text.len() > DOCUMENT { Err("11750 too large".to_owned()) } else { Ok(text) }
    }

    async fn follow(
        &self,
        verbs: Vec<Verb>,
        base: &str,
        keys: &mut impl Iterator<Item = Option<char>>,
    ) -> Result<Next, String> {
        for verb in verbs {
            match verb {
                Verb::Say { language, text } => self.hear(&language, &text).await,
                Verb::Pause { seconds } => self.wait(seconds).await,
                Verb::Gather { action, post, timeout_s, inner } => {
                    for verb in inner {
                        match verb {
                            Verb::Say { language, text } => self.hear(&language, &text).await,
                            Verb::Pause { seconds } => self.wait(seconds).await,
                            _ => {}
                        }
                    }
                    match keys.next().flatten() {
                        Some(digit) => {
                            self.edit(|call| call.pressed.push(digit));
                            self.network.stage.sightings.saw(Sighting::Pressed { to: self.to.clone(), digit });
                            let url = join(base, action.as_deref().unwrap_or(base))?;
                            return Ok(Next::Fetch { url, post, digit: Some(digit) });
                        }
                        None => self.wait(timeout_s).await,
                    }
                }
                Verb::Redirect { url, post } => {
                    return Ok(Next::Fetch { url: join(base, &url)?, post, digit: None });
                }
                Verb::Dial { number } => {
                    self.edit(|call| call.connected_to = Some(number));
                    return Ok(Next::End);
                }
                Verb::Hangup | Verb::Reject => return Ok(Next::End),
            }
        }
        Ok(Next::End)
    }

    async fn hear(&self, language: &str, text: &str) {
        self.edit(|call| call.heard.push(text.to_owned()));
        self.network.stage.sightings.saw(Sighting::Heard {
            to: self.to.clone(),
            language: language.to_owned(),
            text: text.to_owned(),
        });
        let chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        tokio::time::sleep(self.network.settings.per_char.saturating_mul(chars).min(PATIENCE)).await;
    }

    async fn wait(&self, seconds: u64) {
        let short = Duration::from_secs(seconds.min(600)).mul_f64(self.network.settings.hurry.clamp(0.0, 1.0));
        tokio::time::sleep(short.min(PATIENCE)).await;
    }
}

/// `url` seen from `base`, which may be relative.
fn join(base: &str, url: &str) -> Result<String, String> {
    let base = reqwest::Url::parse(base).map_err(|e| e.to_string())?;
    base.join(url).map(String::from).map_err(|e| e.to_string())
}
