//! The real daemon, as a child process: this very program with `run`. It gets settings and addresses like any other
//! and does not know where it is.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};

use super::workspace::{Addresses, Secrets, Workspace};
use super::{Error, sandbox};
use crate::desk::TimelineEntry;
use crate::domain::At;

/// How long it may take until it is ready.
const START: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(10);
/// Lines of its log that are shown when it fails.
const TAIL: usize = 30;

/// A running daemon. Killed when dropped; [`Daemon::stop`] is the polite way.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    http: reqwest::Client,
    url: String,
    token: String,
    log: std::path::PathBuf,
}

/// A case as the API tells it, as far as the demo reads it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Case {
    /// Full id.
    pub id: String,
    /// The device.
    pub device: String,
    /// The fault.
    pub fault: String,
    /// The case title.
    pub title: String,
    /// `engaging`, `arranged`, …
    pub phase: String,
    /// When the first detection was taken in.
    pub opened_at: At,
    /// How it ended, once closed.
    pub outcome: Option<String>,
    /// What was promised.
    pub goals: Vec<Goal>,
    /// What was done.
    pub effects: Vec<Effect>,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// A goal as the API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Goal {
    /// Its name.
    pub name: String,
    /// `open`, `met`, `waived`, `missed`.
    pub state: String,
}

/// An effect as the API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Effect {
    /// Its id.
    pub id: String,
    /// Why it waits, if it does.
    pub waits_for: Option<String>,
}

impl Case {
    /// All that was promised has been kept.
    #[must_use]
    pub fn served(&self) -> bool {
        let kept = |g: &Goal| matches!(g.state.as_str(), "met" | "waived");
        let met = self.goals.iter().any(|g| g.state == "met") && self.goals.iter().all(kept);
        met && self.outcome.as_deref() != Some("false_alarm")
    }
}

#[derive(Deserialize)]
struct List {
    cases: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

/// A loopback port that is free now.
///
/// # Errors
/// [`Error::Listen`].
pub fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Listen)?;
    Ok(listener.local_addr().map_err(Error::Listen)?.port())
}

impl Daemon {
    /// Starts `program run` and waits until it says that it is ready.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log if it ends or is not ready within 30 seconds.
    pub async fn start(program: &Path, space: &Workspace, to: &Addresses, secrets: &Secrets) -> Result<Self, Error> {
        let path = space.log();
        let unwritable = |source| Error::Write { path: path.clone(), source };
        let log = File::create(&path).map_err(unwritable)?;
        let errors = log.try_clone().map_err(unwritable)?;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(space.settings());
        // Settings of another daemon that happen to be in this terminal are not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|n| n.starts_with("FOREWARN__")) {
                command.env_remove(name);
            }
        }
        command
            .envs(space.environment(to, secrets))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C is for us; we then stop it in order.
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|e| Error::Daemon(format!("cannot start {}: {e}", program.display())))?;
        let url = format!("http://127.0.0.1:{}", to.http);
        let mut daemon = Self { child, http: sandbox::http_client()?, url, token: secrets.api.clone(), log: path };
        daemon.ready().await?;
        Ok(daemon)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let end = tokio::time::Instant::now() + START;
        while tokio::time::Instant::now() < end {
            self.check()?;
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|r| r.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(self.failed(&format!("is not ready after {} s", START.as_secs())))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended ({status})"))),
            Err(e) => Err(Error::Daemon(e.to_string())),
        }
    }

    fn failed(&self, how: &str) -> Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
        Error::Daemon(format!("the daemon {how}. The end of its log:\n  {tail}"))
    }

    /// All cases, closed ones too, each whole.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn cases(&self) -> Result<Vec<Case>, Error> {
        let list: List = self.get("/api/v1/cases?closed=true&limit=1000").await?;
        let mut cases = Vec::new();
        for listed in list.cases {
            cases.push(self.get(&format!("/api/v1/cases/{}", listed.id)).await?);
        }
        Ok(cases)
    }

    /// What the API says at a path.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, Error> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.map_err(|e| Error::Api(e.to_string()))?;
        answer.json().await.map_err(|e| Error::Api(format!("{path}: {e}")))
    }

    /// Asks it to stop (SIGTERM) and waits; after ten seconds it is killed.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // An error says that it has ended on its own.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn served_means_that_every_promise_was_kept() {
        let case = |goals: &[&str], outcome: Option<&str>| Case {
            id: String::new(),
            device: String::new(),
            fault: String::new(),
            title: String::new(),
            phase: String::new(),
            opened_at: At::from_secs(0),
            outcome: outcome.map(str::to_owned),
            goals: goals.iter().map(|s| Goal { name: String::new(), state: (*s).to_owned() }).collect(),
            effects: Vec::new(),
            timeline: Vec::new(),
        };
        assert!(case(&["met", "met"], None).served());
        assert!(case(&["met", "waived"], Some("served")).served());
        assert!(!case(&["met", "open"], None).served());
        assert!(!case(&["met", "missed"], Some("served")).served());
        assert!(!case(&["waived", "waived"], None).served());
        assert!(!case(&["met"], Some("false_alarm")).served());
        assert!(!case(&[], None).served());
    }
}
