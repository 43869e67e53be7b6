//! `forewarn replay`: publishes a recording to a broker, at its own pace, faster, or as fast as the broker acknowledges.

mod progress;
mod recording;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{Instant, sleep_until, timeout};

use self::progress::Progress;
use self::recording::{Record, Recording, Summary, Template};
use crate::domain::{At, Outcome};
use crate::mqtt::{Link, Message, Publisher, Role, Settings};
use crate::runtime::Clock;
use crate::source::Weight;

/// Messages that may wait for their PUBACK.
const WINDOW: u16 = 1000;
/// How long to wait for the first connection, and for a new one after the connection was lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// A broker that answers pings but acknowledges nothing for so long is given up.
const PUBACK_TIMEOUT: Duration = Duration::from_secs(60);
/// Command line that cannot work.
const EX_USAGE: u8 = 64;

/// Publish a recording to a broker
///
/// CSV (`ts,device,` and one column for each signal; an empty field is not sent) becomes one JSON object a row, with
/// numbers exactly as written. JSON lines with the members at, topic and payload are published as they are. Plain,
/// gzip or zstd. The whole file is checked before the first message is sent.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recording
    pub file: PathBuf,
    /// Broker, mqtt://host:1883 or mqtts://host:8883; several are tried in turn
    #[arg(long, required = true, value_name = "URL")]
    pub broker: Vec<String>,
    /// How fast: 1 is real time by the times of the recording, 60 a minute in a second, max as fast as the broker acknowledges
    #[arg(long, default_value = "1", value_name = "N|max")]
    pub speed: Speed,
    /// 1: every message is acknowledged by the broker; 0: fire and forget
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub qos: u8,
    /// Topic of CSV rows
    #[arg(long, default_value = "fleet/{device}/telemetry", value_name = "TEMPLATE")]
    pub topic: Template,
    /// Stop after so many messages
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// User name at the broker
    #[arg(long)]
    pub user: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// PEM file with the CA that signed the broker's certificate; otherwise those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with our own certificate, for mutual TLS
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of our own certificate
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// How fast to replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded; above 0.
    Times(f64),
    /// As fast as the broker acknowledges.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().ok().filter(|t: &f64| t.is_finite() && *t > 0.0);
        times.map(Self::Times).ok_or_else(|| "a number above 0, or max".into())
    }
}

/// Replays, reports on stderr while doing so and on stdout at the end. Exit codes: 0 all was published, 64 the
/// command line cannot work, 1 the recording or the broker did not play along.
pub async fn run(args: Args, clock: Clock) -> ExitCode {
    let settings = settings(&args);
    let findings = settings.check();
    for (key, finding) in &findings {
        let hint = finding.hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default();
        let weight = if finding.weight == Weight::Error { "error" } else { "warning" };
        eprintln!("{weight}: {}: {}{hint}", option(key), finding.message);
    }
    if findings.iter().any(|(_, f)| f.weight == Weight::Error) {
        return ExitCode::from(EX_USAGE);
    }
    match replay(&args, &settings, clock).await {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, for people.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Recording(#[from] recording::Error),
    #[error("{0}")]
    Settings(#[from] crate::mqtt::Error),
    #[error("no connection to the broker within {} s: {reason}", .within.as_secs())]
    Unreachable { reason: String, within: Duration },
    #[error("{file}:{line}: the broker does not take the message to {topic}: {reason}")]
    Refused { file: String, line: u64, topic: String, reason: String },
    #[error("the broker has acknowledged nothing for {} s", PUBACK_TIMEOUT.as_secs())]
    Stuck,
}

/// What was done.
#[derive(Debug)]
struct Done {
    messages: u64,
    again: u64,
    took: Duration,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f64();
        let rate = progress::rate(self.messages, self.took);
        write!(f, "{} messages in {seconds:.3} s, {rate:.0}/s", self.messages)?;
        if self.again > 0 {
            write!(f, "; {} of them sent again after the connection was lost", self.again)?;
        }
        Ok(())
    }
}

fn settings(args: &Args) -> Settings {
    Settings {
        urls: args.broker.clone(),
        client_id: format!("forewarn-replay-{:08x}", getrandom::u32().unwrap_or_default()),
        username: args.user.clone().unwrap_or_default(),
        password_file: args.password_file.clone().unwrap_or_default(),
        ca_file: args.ca_file.clone().unwrap_or_default(),
        cert_file: args.cert_file.clone().unwrap_or_default(),
        key_file: args.key_file.clone().unwrap_or_default(),
        // Said once as a warning; it is a tool that a person runs.
        insecure: true,
        ..Settings::default()
    }
}

/// The option that a setting came from.
fn option(key: &str) -> String {
    match key {
        "urls" => "--broker".into(),
        "username" => "--user".into(),
        other => format!("--{}", other.replace('_', "-")),
    }
}

async fn replay(args: &Args, settings: &Settings, clock: Clock) -> Result<Done, Error> {
    let summary = recording::check(&args.file, &args.topic, args.limit)?;
    let role = Role { client_id: settings.client_id.clone(), status_topic: None, in_flight: WINDOW };
    let publisher = Publisher::connect(settings, role, clock)?;
    wait_for_connection(&publisher, CONNECT_TIMEOUT).await?;
    let progress = Progress::new(&summary, args.speed);
    let mut run =
        Run { args, publisher, window: VecDeque::new(), accepted: 0, again: 0, last_at: At::default(), progress };
    let started = Instant::now();
    let outcome = run.all(&summary, started).await;
    run.progress.finish();
    outcome?;
    let took = started.elapsed();
    run.publisher.stop().await;
    Ok(Done { messages: run.accepted, again: run.again, took })
}

async fn wait_for_connection(publisher: &Publisher, within: Duration) -> Result<(), Error> {
    let mut link = publisher.link();
    if timeout(within, link.wait_for(Link::is_connected)).await.is_ok_and(|l| l.is_ok()) {
        return Ok(());
    }
    let reason = match &*link.borrow() {
        Link::Disconnected { reason, .. } => reason.clone(),
        Link::Connected { .. } => "the connection came too late".into(),
    };
    Err(Error::Unreachable { reason, within })
}

/// A replay under way.
struct Run<'a> {
    args: &'a Args,
    publisher: Publisher,
    /// Handed to the connection and not yet acknowledged, in order.
    window: VecDeque<(Record, oneshot::Receiver<Outcome>)>,
    accepted: u64,
    again: u64,
    last_at: At,
    progress: Progress,
}

impl Run<'_> {
    async fn all(&mut self, summary: &Summary, started: Instant) -> Result<(), Error> {
        let recording = Recording::open(&self.args.file, &self.args.topic)?;
        let limit = usize::try_from(summary.messages).unwrap_or(usize::MAX);
        for record in recording.take(limit) {
            let record = record?;
            if let Speed::Times(times) = self.args.speed {
                let due = started + record.at.since(summary.first_at).to_std().div_f64(times);
                self.wait_until(due).await?;
            }
            self.last_at = record.at;
            if self.window.len() >= usize::from(WINDOW) {
                self.settle_oldest().await?;
            }
            self.put(record).await?;
            self.settle_ready().await?;
            self.progress.at(self.accepted, self.last_at);
        }
        while !self.window.is_empty() {
            self.settle_oldest().await?;
            self.progress.at(self.accepted, self.last_at);
        }
        Ok(())
    }

    /// Waits, and keeps the display and the window alive meanwhile.
    async fn wait_until(&mut self, due: Instant) -> Result<(), Error> {
        while Instant::now() < due {
            sleep_until(due.min(Instant::now() + Duration::from_millis(500))).await;
            self.settle_ready().await?;
            self.progress.at(self.accepted, self.last_at);
        }
        Ok(())
    }

    /// Hands a message to the connection; makes a new connection first if it must.
    async fn put(&mut self, record: Record) -> Result<(), Error> {
        match self.begin(&record).await? {
            Some(answer) => self.window.push_back((record, answer)),
            None => self.recover(Some(record)).await?,
        }
        Ok(())
    }

    /// `None`: the connection is gone.
    async fn begin(&self, record: &Record) -> Result<Option<oneshot::Receiver<Outcome>>, Error> {
        let message = Message {
            topic: record.topic.clone(),
            payload: record.payload.clone(),
            expiry: None,
            retain: false,
            at_least_once: self.args.qos > 0,
        };
        match self.publisher.begin(message).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Outcome::Rejected { reason }) => Err(self.refused(record, reason)),
            Err(_) => Ok(None),
        }
    }

    /// Takes what is acknowledged out of the window, without waiting.
    async fn settle_ready(&mut self) -> Result<(), Error> {
        while let Some((_, answer)) = self.window.front_mut() {
            let outcome = match answer.try_recv() {
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Closed) => None,
                Ok(outcome) => Some(outcome),
            };
            self.settled(outcome).await?;
        }
        Ok(())
    }

    async fn settle_oldest(&mut self) -> Result<(), Error> {
        let Some((_, answer)) = self.window.front_mut() else { return Ok(()) };
        let outcome = timeout(PUBACK_TIMEOUT, answer).await.map_err(|_| Error::Stuck)?;
        self.settled(outcome.ok()).await
    }

    /// The oldest message of the window has its outcome.
    async fn settled(&mut self, outcome: Option<Outcome>) -> Result<(), Error> {
        let Some((record, _)) = self.window.pop_front() else { return Ok(()) };
        match outcome {
            Some(Outcome::Accepted { .. }) => self.accepted += 1,
            Some(Outcome::Rejected { reason }) => return Err(self.refused(&record, reason)),
            _ => {
                self.again += 1;
                let rest = std::mem::take(&mut self.window);
                let mut lost = vec![record];
                for (record, answer) in rest {
                    match timeout(PUBACK_TIMEOUT, answer).await {
                        Ok(Ok(Outcome::Accepted { .. })) => self.accepted += 1,
                        _ => {
                            self.again += 1;
                            lost.push(record);
                        }
                    }
                }
                Box::pin(self.recover(lost)).await?;
            }
        }
        Ok(())
    }

    /// Waits for a new connection and sends `records` (again), in order.
    async fn recover(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), Error> {
        for record in records {
            loop {
                if let Some(answer) = self.begin(&record).await? {
                    self.window.push_back((record, answer));
                    break;
                }
                wait_for_connection(&self.publisher, RECONNECT_TIMEOUT).await?;
            }
        }
        Ok(())
    }

    fn refused(&self, record: &Record, reason: String) -> Error {
        let file = self.args.file.display().to_string();
        Error::Refused { file, line: record.line, topic: record.topic.clone(), reason }
    }
}
