//! The life of the daemon: load, recover, connect, serve, reload on SIGHUP, drain on SIGTERM.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::audit;
use super::erased;
use super::kept::in_force_before;
use super::links;
use super::load::{Loaded, load, load_to_run};
use super::secrets::Secrets;
use crate::channels::{self, CallbackKey};
use crate::desk::{self, Links};
use crate::domain::At;
use crate::http::{self, CallbackSecrets, Health};
use crate::journal::Keep;
use crate::mqtt::{self, Link};
use crate::runtime::{
    AtRest, Channels, Clock, Daemon, DeskHandle, Line, Parts, Probe, Publisher, ReloadHandle, ReloadState, Topic,
};
use crate::source::Diagnostics;
use crate::store::KeyFile;

/// Questions that may wait for the desk.
const QUESTIONS: usize = 1_024;

/// Why the daemon ended, for the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings, models, rules, playbooks, messages or registry are wrong; all findings are inside. Exit code 78.
    #[error("{}", findings(.0))]
    Config(Box<Diagnostics>),
    /// Providers' settings that cannot be used, all of them. Exit code 78.
    #[error("{}", all(.0))]
    Channels(Vec<channels::Error>),
    /// The broker's settings cannot be used. Exit code 78.
    #[error("broker: {0}")]
    Broker(#[from] mqtt::Error),
    /// Store or journal cannot be used. Exit code 74.
    #[error(transparent)]
    Recover(#[from] crate::runtime::Error),
    /// Store or journal failed while running. Exit code 74.
    #[error("storage failed: {0}")]
    Storage(String),
    /// Anything else. Exit code 1.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What happened.
        error: std::io::Error,
    },
}

/// Each with its causes, on a line of its own.
fn all(errors: &[channels::Error]) -> String {
    let line = |error: &channels::Error| match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn findings(diags: &Diagnostics) -> String {
    let (errors, warnings) = diags.counts();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let warned = if warnings == 0 { String::new() } else { format!(" and {}", count(warnings, "warning")) };
    format!("{}{warned} in the settings and the files they name", count(errors, "error"))
}

/// The clock of the machine, in UTC. The one place that reads it.
#[must_use]
pub fn clock() -> Clock {
    Arc::new(|| {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        At::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// The environment, as far as it is text.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// Loads everything named by the settings file, or gives all findings.
pub fn check(path: &Path) -> Result<(Loaded, Diagnostics), Error> {
    let mut diags = Diagnostics::default();
    let loaded = load(&mut diags, path, &environment());
    or_findings(loaded, diags)
}

/// The same, and the secrets that a daemon needs.
fn check_to_run(path: &Path) -> Result<(Loaded, Diagnostics), Error> {
    let mut diags = Diagnostics::default();
    let loaded = load_to_run(&mut diags, path, &environment());
    or_findings(loaded, diags)
}

fn or_findings(loaded: Option<Loaded>, mut diags: Diagnostics) -> Result<(Loaded, Diagnostics), Error> {
    match loaded {
        Some(loaded) => {
            erased::check(&mut diags, &loaded);
            Ok((loaded, diags))
        }
        None => Err(Error::Config(Box::new(diags))),
    }
}

/// Runs the daemon until SIGTERM or SIGINT, or until storage fails for good.
pub async fn run(path: PathBuf) -> Result<(), Error> {
    let clock = clock();
    // Before anybody can see that it runs: a signal that nobody listens for ends the process without a word.
    let mut signals = Signals::listen()?;
    let (loaded, warnings) = check_to_run(&path)?;
    for finding in warnings.list() {
        tracing::warn!(code = finding.code, "{}", finding.message);
    }
    let metrics =
        http::install_metrics().map_err(|e| Error::Io { what: "metrics".into(), error: std::io::Error::other(e) })?;
    let (desk, questions) = DeskHandle::new(QUESTIONS);
    let publisher = mqtt::Publisher::connect(
        &loaded.settings.broker,
        mqtt::Role::of_daemon(&loaded.settings.broker),
        clock.clone(),
    )?;
    let outside = Outside {
        secrets: Secrets::new(&path),
        publisher: publisher.clone(),
        desk: desk.clone(),
        clock: clock.clone(),
    };
    let (channels, callbacks) = outside.build(&loaded)?;

    let listen = loaded.settings.http.listen;
    let listener =
        TcpListener::bind(listen).await.map_err(|error| Error::Io { what: format!("http.listen {listen}"), error })?;
    let links = links::of(&loaded.settings, &outside.secrets)?;
    let (mut daemon, recovered) = recover(&loaded, &links, channels, questions, &outside)?;
    for note in &recovered.notes {
        tracing::warn!(note, "recovery");
    }
    tracing::info!(
        devices = recovered.devices,
        replayed = recovered.replayed,
        rules = loaded.rules.program.count(),
        registry = loaded.rules.registry.devices.len(),
        warm_from = recovered.warm_from.map(tracing::field::display),
        "recovered"
    );

    let connection =
        mqtt::connect(&loaded.settings.broker, loaded.filters(), clock.clone(), loaded.settings.broker.queue_limits())?;
    let (intake, control, link) = connection.into_intake();
    daemon.ingest(intake)?;

    let probe = daemon.probe();
    let (reload, asked, told) = ReloadHandle::new();
    let deps = http::Deps {
        desk,
        engine: daemon.engine(),
        reload,
        health: health(probe.clone(), link.clone()),
        metrics,
        metrics_access: loaded.settings.http.metrics,
        tokens: loaded.tokens.clone(),
        callbacks,
        links: links.key.clone(),
        public_url: loaded.public_url.clone(),
        please_wait: loaded.settings.http.please_wait.clone(),
        clock: clock.clone(),
        limits: http::Limits::default(),
    };
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(http::serve(listener, deps, async {
        let _asked = http_stopped.await;
    }));
    let watchdog = tokio::spawn(watchdog(probe.clone()));
    tracing::info!(%listen, broker = ?loaded.settings.broker.urls, "ready");
    notify(&[sd_notify::NotifyState::Ready]);

    let reloader = Reloader { path: &path, daemon: &daemon, outside: &outside, links: &links, control: &control, told };
    let ended = serve(&reloader, asked, &probe, &mut signals).await;
    drop(reloader);

    notify(&[sd_notify::NotifyState::Stopping]);
    watchdog.abort();
    // First no more messages, then the work in flight, and the callbacks for it until its end.
    control.stop().await;
    daemon.stop().await;
    let _server_gone = stop_http.send(());
    if tokio::time::timeout(Duration::from_secs(5), server).await.is_err() {
        tracing::warn!("http requests were cut off");
    }
    publisher.stop().await;
    ended
}

/// What is outside of the daemon and is built anew on reload.
struct Outside {
    secrets: Secrets,
    publisher: mqtt::Publisher,
    desk: DeskHandle,
    clock: Clock,
}

impl Outside {
    fn build(&self, loaded: &Loaded) -> Result<(Channels, CallbackSecrets), Error> {
        let read = |path: &Path| self.secrets.read(path);
        let deps = channels::Deps {
            publisher: Arc::new(self.publisher.clone()),
            desk: self.desk.clone(),
            public_url: &loaded.desk.public_url,
            clock: self.clock.clone(),
            read: &read,
        };
        let mut lines = Channels::new();
        let mut callbacks = CallbackSecrets::default();
        let mut errors = Vec::new();
        for (name, settings) in &loaded.settings.provider {
            let channel = channels::build(name.as_str(), settings, &deps);
            match channel.and_then(|c| Ok((c, channels::callback_key(name.as_str(), settings, &deps)?))) {
                Ok((channel, key)) => {
                    let line = channel.map(|channel| Line::new(channel, settings.limits().concurrency));
                    lines.extend(line.map(|line| (name.clone(), line)));
                    match key {
                        Some(CallbackKey::Twilio(token)) => callbacks.twilio.push(token),
                        Some(CallbackKey::Mail(password)) => callbacks.mail.push(password),
                        Some(CallbackKey::Zammad(token)) => callbacks.zammad.push((name.clone(), token)),
                        Some(CallbackKey::Dispatch(secret)) => callbacks.dispatch.push((name.clone(), secret)),
                        Some(CallbackKey::App(secret)) => callbacks.app.push((name.clone(), secret)),
                        Some(CallbackKey::Booking(secret)) => callbacks.booking.push((name.clone(), secret)),
                        None => {}
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok((lines, callbacks)) } else { Err(Error::Channels(errors)) }
    }
}

fn recover(
    loaded: &Loaded,
    links: &Links,
    channels: Channels,
    questions: tokio::sync::mpsc::Receiver<crate::runtime::DeskQuestion>,
    outside: &Outside,
) -> Result<(Daemon, crate::runtime::Recovered), Error> {
    let store = &loaded.settings.store;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match loaded.settings.engine.threads {
        0 => cores,
        n => n,
    };
    let parts = Parts {
        dir: store.dir.clone(),
        rules: loaded.rules.clone(),
        before: in_force_before(&store.dir, &loaded.rules),
        desk: with_links(loaded, links),
        keys: keys(loaded, &outside.secrets)?,
        channels,
        questions,
        handle: outside.desk.clone(),
        threads,
        keep: Keep { bytes: store.journal_bytes, age: store.journal_age },
        keep_log: Keep { bytes: u64::MAX, age: store.log_age },
        births: loaded
            .settings
            .engine
            .request_births
            .then(|| Arc::new(outside.publisher.clone()) as Arc<dyn Publisher>),
        outcomes: loaded.settings.outcomes.topic.clone().map(|name| topic(outside, name, false)),
        nightly: loaded.settings.outcomes.dir.clone(),
        heads: audit::of(&loaded.settings, &outside.secrets)?
            .map(|(name, signer)| (topic(outside, name, true), signer)),
        clock: outside.clock.clone(),
    };
    Ok(tokio::task::block_in_place(|| Daemon::recover(parts))?)
}

fn topic(outside: &Outside, name: String, retain: bool) -> Topic {
    Topic { publisher: Arc::new(outside.publisher.clone()), name, retain }
}

/// The desk of the settings file at `path`, while no daemon runs on it.
pub fn at_rest(path: &Path) -> Result<AtRest, Error> {
    let (loaded, _) = check(path)?;
    let keys = keys(&loaded, &Secrets::new(path))?;
    Ok(AtRest::open(&loaded.settings.store.dir, loaded.desk, keys)?)
}

/// The desk's settings with what its texts make links of. The same until the daemon ends: the listener believes no other.
fn with_links(loaded: &Loaded, links: &Links) -> Arc<desk::Config> {
    Arc::new(desk::Config { links: Some(links.clone()), ..(*loaded.desk).clone() })
}

/// The file of the keys, beside the store unless the settings name another place.
fn keys(loaded: &Loaded, secrets: &Secrets) -> Result<KeyFile, Error> {
    let dir = &loaded.settings.store.dir;
    let privacy = &loaded.settings.privacy;
    let refused = |path: &Path, error| Error::Io { what: path.display().to_string(), error };
    std::fs::create_dir_all(dir).map_err(|error| refused(dir, error))?;
    let wrap = privacy.wrap_file.as_deref().map(|path| secrets.read(path).map_err(|error| refused(path, error)));
    let opened = KeyFile::open(&privacy.keys_at(dir), wrap.transpose()?.as_deref());
    Ok(opened.map_err(crate::runtime::Error::from)?)
}

/// What a supervisor says.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::Io { what: "signals".into(), error });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// Until a signal ends it or storage has failed.
async fn serve(
    reloader: &Reloader<'_>,
    mut asked: mpsc::Receiver<oneshot::Sender<ReloadState>>,
    probe: &Probe,
    Signals { terminate, interrupt, hangup }: &mut Signals,
) -> Result<(), Error> {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => drop(reloader.reload().await),
            Some(answer) = asked.recv() => {
                let state = reloader.reload().await;
                // Whoever asked may have gone.
                let _gone = answer.send(state);
            }
            _ = look.tick() => if probe.failed() {
                return Err(Error::Storage(probe.troubles().join("; ")));
            },
        }
    }
    tracing::info!("stopping: nothing new is taken in, attempts in flight get their outcome");
    Ok(())
}

/// What a reload needs.
struct Reloader<'a> {
    path: &'a Path,
    daemon: &'a Daemon,
    outside: &'a Outside,
    links: &'a Links,
    control: &'a mqtt::Control,
    /// Where it says how it stands.
    told: watch::Sender<ReloadState>,
}

impl Reloader<'_> {
    /// Reads everything again; all or nothing. What cannot change while running (store, broker, listener) stays.
    async fn reload(&self) -> ReloadState {
        notify(&[sd_notify::NotifyState::Reloading]);
        self.told.send_replace(ReloadState::UnderWay);
        let state = self.attempt().await.unwrap_or_else(|error| {
            let findings = match &error {
                Error::Config(diags) => diags.render(false),
                other => other.to_string(),
            };
            tracing::error!("not reloaded, everything stays as it was:\n{findings}");
            ReloadState::Refused { findings }
        });
        self.told.send_replace(state.clone());
        notify(&[sd_notify::NotifyState::Ready]);
        state
    }

    async fn attempt(&self) -> Result<ReloadState, Error> {
        let (loaded, _) = check_to_run(self.path)?;
        let channels = self.outside.build(&loaded)?.0;
        let reloaded = self.daemon.reload(loaded.rules.clone(), with_links(&loaded, self.links), channels).await;
        let reloaded = reloaded.ok_or_else(|| Error::Storage("nothing is taken in any more".to_owned()))?;
        // After the rules: what the broker has kept for a new topic comes at once.
        self.control.set_filters(loaded.filters());
        Ok(ReloadState::Done(reloaded))
    }
}

fn health(probe: Probe, link: watch::Receiver<Link>) -> Arc<dyn Fn() -> Health + Send + Sync> {
    Arc::new(move || {
        let mut health = Health::default();
        if probe.failed() {
            health.not_live.push("storage_failed");
        } else if !probe.troubles().is_empty() {
            health.not_ready.push("storage_or_loop_in_trouble");
        }
        if probe.stopped() {
            health.notes.push("effects_stopped_by_a_person");
        }
        if probe.may_lose() {
            health.notes.push("devices_speak_at_qos_0");
        }
        if !link.borrow().is_connected() {
            health.not_ready.push("broker_disconnected");
        }
        health
    })
}

/// Tells systemd that the loops go round, as long as they do.
async fn watchdog(probe: Probe) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval((every / 3).max(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        if probe.stuck().is_empty() && !probe.failed() {
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _unheard = sd_notify::notify(states);
}
