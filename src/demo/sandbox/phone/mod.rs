//! A phone network in the Twilio shape: places calls, asks by signed requests what to say, lets a scripted person
//! listen and press keys, and reports the progress. Text messages too, both ways.

mod api;
mod call;
mod text;
mod twiml;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::web::{Server, http_client};
use super::{Script, Stage, lock};
use crate::demo::Error;
use crate::domain::At;
use crate::wire::twilio::{self, Form};

/// How the network is set up.
#[derive(Debug, Clone)]
pub struct PhoneSettings {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// The account's secret: password of requests, key of signatures.
    pub token: String,
    /// Real time of one ring, and of the steps before it.
    pub ring: Duration,
    /// How often it rings before the person answers.
    pub rings: u32,
    /// Real time that a character of speech takes.
    pub per_char: Duration,
    /// How much shorter than asked waiting for a key and pauses are: 0.1 makes 8 s out of 80 s.
    pub hurry: f64,
}

/// What the person at the called number does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Answers and, once the speech is over, presses these keys, one for each time that is asked; then none.
    Presses(Vec<Option<char>>),
    /// Is on the phone already.
    Busy,
    /// Lets it ring.
    Absent,
    /// Has a machine that answers: completed, and nobody heard it.
    Voicemail,
    /// Answers and hangs up at once.
    HangsUp,
    /// Cannot be reached: `failed`.
    Unreachable,
}

impl Default for Driver {
    fn default() -> Self {
        Self::Presses(vec![Some('1')])
    }
}

/// What happens to the next request that creates a call or a text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhoneFault {
    /// Accepts, then cuts the connection before one byte of the 201 leaves.
    CutAfterAccept,
    /// Cuts the connection without accepting.
    CutBefore,
    /// `503` with `Retry-After` in seconds.
    Unavailable(u32),
    /// `429` with `Retry-After` in seconds.
    TooMany(u32),
    /// `500` after accepting.
    ErrorAfterAccept,
    /// Accepts and answers only after this time.
    Slow(Duration),
    /// `400` with code 21211: not a phone number.
    Refuse,
}

/// How status callbacks travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Each once.
    #[default]
    Once,
    /// Each twice.
    Doubled,
    /// Each twice, and the one before it once more behind it.
    Disordered,
    /// None. What to say is still asked.
    Lost,
}

/// A call that was accepted, whether or not the client heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `CA…`.
    pub sid: String,
    /// The effect id out of the callback address, if it has one.
    pub key: Option<String>,
    /// The number called.
    pub to: String,
    /// The caller's number.
    pub from: String,
    /// `queued`, `initiated`, `ringing`, `in-progress`, `completed`, `busy`, `no-answer`, `failed`, `canceled`.
    pub status: String,
    /// When it was accepted.
    pub created_at: At,
    /// When it was dialled.
    pub started_at: Option<At>,
    /// What the person heard (an answering machine hears, too).
    pub heard: Vec<String>,
    /// The keys they pressed.
    pub pressed: Vec<char>,
    /// To whom the call was connected.
    pub connected_to: Option<String>,
    /// Why the network gave up on the instructions, if it did.
    pub error: Option<String>,
}

/// A text message that was accepted, whether or not the client heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// `SM…`.
    pub sid: String,
    /// The effect id out of the callback address, if it has one.
    pub key: Option<String>,
    /// The number.
    pub to: String,
    /// The sender: a number or a messaging service.
    pub from: String,
    /// The words.
    pub body: String,
    /// `queued`, `sent`, `delivered`, `undelivered`.
    pub status: String,
    /// When it was accepted.
    pub created_at: At,
}

/// A text message that a person wrote to one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `SM…`.
    pub sid: String,
    /// The person's number.
    pub from: String,
    /// The words.
    pub body: String,
    /// What the address of our number said to it; `None` until it did.
    pub status: Option<u16>,
    /// What the person got back in the same breath.
    pub answer: Option<String>,
}

#[derive(Debug)]
struct Network {
    settings: PhoneSettings,
    stage: Stage,
    http: reqwest::Client,
    faults: Script<PhoneFault>,
    drivers: Script<Driver>,
    undelivered: Script<()>,
    /// What people write back to the next text messages.
    replies: Script<Option<String>>,
    /// Where what people write to our numbers goes.
    inbound: Mutex<Option<String>>,
    written: Mutex<Vec<Written>>,
    delivery: Mutex<Delivery>,
    calls: Mutex<Vec<Call>>,
    texts: Mutex<Vec<Text>>,
    /// Ends the calls with the network.
    tasks: Mutex<tokio::task::JoinSet<()>>,
}

/// A running phone network; ends when dropped.
#[derive(Debug)]
pub struct PhoneNetwork {
    server: Server,
    network: Arc<Network>,
}

impl PhoneNetwork {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn start(settings: PhoneSettings, stage: Stage) -> Result<Self, Error> {
        let network = Arc::new(Network {
            settings,
            stage,
            http: http_client()?,
            faults: Script::default(),
            drivers: Script::default(),
            undelivered: Script::default(),
            replies: Script::default(),
            inbound: Mutex::default(),
            written: Mutex::default(),
            delivery: Mutex::default(),
            calls: Mutex::default(),
            texts: Mutex::default(),
            tasks: Mutex::default(),
        });
        Ok(Self { server: Server::start(api::routes(network.clone())).await?, network })
    }

    /// Base URL for the settings.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What happens to the next requests that create, one entry each.
    pub fn script(&self, faults: impl IntoIterator<Item = PhoneFault>) {
        self.network.faults.add(faults);
    }

    /// Who is called next, one entry for each call; then people who answer and press 1.
    pub fn drivers(&self, drivers: impl IntoIterator<Item = Driver>) {
        self.network.drivers.add(drivers);
    }

    /// The next so many text messages are not delivered.
    pub fn lose_texts(&self, count: usize) {
        self.network.undelivered.add(std::iter::repeat_n((), count));
    }

    /// Where what people write to our numbers is posted from now on, as it is set up for each number at the provider.
    pub fn inbound(&self, url: &str) {
        *lock(&self.network.inbound) = Some(url.to_owned());
    }

    /// What people write back to the next text messages, one entry for each; then nothing. Needs
    /// [`Self::inbound`].
    pub fn replies(&self, replies: impl IntoIterator<Item = Option<String>>) {
        self.network.replies.add(replies);
    }

    /// A person writes on their own, to the number `to`.
    pub async fn write(&self, from: &str, to: &str, body: &str) {
        text::write(&self.network, from, to, body).await;
    }

    /// Everything that people have written, in order, with what they got back.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        lock(&self.network.written).clone()
    }

    /// How status callbacks travel from now on.
    pub fn delivery(&self, how: Delivery) {
        *lock(&self.network.delivery) = how;
    }

    /// Every call accepted, in order, as it is now.
    #[must_use]
    pub fn accepted(&self) -> Vec<Call> {
        lock(&self.network.calls).clone()
    }

    /// Every text message accepted, in order, as it is now.
    #[must_use]
    pub fn texts(&self) -> Vec<Text> {
        lock(&self.network.texts).clone()
    }

    /// How many calls were accepted for this effect.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        lock(&self.network.calls).iter().filter(|c| c.key.as_deref() == Some(key)).count()
    }

    /// How many text messages were accepted for this effect.
    #[must_use]
    pub fn count_texts(&self, key: &str) -> usize {
        lock(&self.network.texts).iter().filter(|t| t.key.as_deref() == Some(key)).count()
    }
}

impl Drop for PhoneNetwork {
    fn drop(&mut self) {
        // The calls hold the network; only this ends them.
        lock(&self.network.tasks).abort_all();
    }
}

/// `+` and 4 to 15 digits, the first one not 0.
fn e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    (4..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

/// A callback address with its `#rc=5&rp=all` taken off: how often to repeat, and whether after every kind of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Callback {
    url: String,
    repeats: u32,
    after_all: bool,
}

impl Callback {
    fn parse(url: &str) -> Self {
        let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
        let value = |name: &str| {
            let pairs = fragment.split('&').filter_map(|p| p.split_once('='));
            pairs.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
        };
        Self {
            url: url.to_owned(),
            // By default once, and only when no connection could be made.
            repeats: value("rc").and_then(|n| n.parse().ok()).unwrap_or(1).min(5),
            after_all: value("rp").is_some_and(|p| p == "all"),
        }
    }

    /// The effect id, by which a test finds out how often something was accepted.
    fn key(&self) -> Option<String> {
        let url = reqwest::Url::parse(&self.url).ok()?;
        url.query_pairs().find(|(name, _)| name == "e").map(|(_, value)| value.into_owned())
    }
}

impl Network {
    /// A signed POST or GET.
    async fn send(&self, url: &str, post: bool, form: &Form) -> Result<reqwest::Response, reqwest::Error> {
        let request = if post {
            self.http
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .header(twilio::HEADER, twilio::sign(&self.settings.token, url, form))
                .body(twilio::form_body(form))
        } else {
            // A GET carries the form in its address, and that is what is signed.
            let mark = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{mark}{}", twilio::form_body(form));
            let signature = twilio::sign(&self.settings.token, &url, &Form::new());
            self.http.get(url).header(twilio::HEADER, signature)
        };
        request.send().await
    }

    /// A status callback with its repetitions.
    async fn report(&self, to: &Callback, form: &Form) {
        for n in 0..=to.repeats {
            tokio::time::sleep(Duration::from_millis(200) * n).await;
            match self.send(&to.url, true, form).await {
                Ok(response) if response.status().is_success() => return,
                Ok(_) if !to.after_all => return,
                Err(e) if !to.after_all && !e.is_connect() => return,
                _ => {}
            }
        }
    }

    /// What is sent for one piece of news, duplicates and latecomers included.
    fn copies(&self, news: &Form, before: Option<&Form>) -> Vec<Form> {
        match *lock(&self.delivery) {
            Delivery::Once => vec![news.clone()],
            Delivery::Doubled => vec![news.clone(), news.clone()],
            Delivery::Disordered => [news, news].into_iter().chain(before).cloned().collect(),
            Delivery::Lost => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callback_addresses() {
        let read = Callback::parse("http://me/twilio/status?e=01890a5d#rc=5&rp=all");
        assert_eq!((read.url.as_str(), read.repeats, read.after_all), ("http://me/twilio/status?e=01890a5d", 5, true));
        assert_eq!(read.key().as_deref(), Some("01890a5d"));
        assert_eq!(Callback::parse("http://me/"), Callback { url: "http://me/".into(), repeats: 1, after_all: false });
    }

    #[test]
    fn numbers() {
        assert!(e164("+493023125001") && !e164("+0301234567") && !e164("4930") && !e164("+49 30") && !e164(""));
    }
}
