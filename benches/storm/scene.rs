//! Everything around the daemon, and the daemon: its shipped configuration with the rates of a large provider.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Duration;

use forewarn::app;
use forewarn::demo::sandbox::{Call, Driver, PhoneSettings, Sandbox, SandboxSettings, TowSettings};
use forewarn::demo::{Addresses, Secrets, Workspace, free_port};
use forewarn::domain::At;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::{BUDGET, Result, fleet};

/// Of a hundred calls.
const UNANSWERED: u64 = 44;

pub(crate) struct Scene {
    broker: Broker,
    sandbox: Sandbox,
    space: Workspace,
    daemon: Child,
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Scene {
    /// Sets everything up and waits until the daemon is ready.
    pub(crate) async fn set(cars: usize) -> Result<Self> {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let secrets = Secrets::new()?;
        let sandbox = Sandbox::start(settings(&secrets), app::clock()).await?;
        sandbox.phone.drivers(drivers(8 * cars));
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let broker = Broker::start(dir.path())?;
        let to = Addresses {
            broker: format!("mqtt://{}:{}", broker.url.host, broker.url.port),
            http: free_port()?,
            mail: sandbox.mail.addr().port(),
            desk: sandbox.desk.url(),
            tow: sandbox.tow.url(),
            phone: sandbox.phone.url(),
            app: sandbox.app.url(),
            workshop: sandbox.workshop.url(),
        };
        let space = Workspace::create(2, &to, &secrets, false)?;
        let config = space.dir().join("config");
        fleet::write(&config.join("registry"), cars)?;
        change(&space.settings(), faster)?;
        change(&config.join("playbooks/fleet-defect-storm.toml"), |text| {
            let tiers =
                text.replacen("call = \"1/s\", sms = \"1/s\"", &format!("call = \"{BUDGET}/s\", sms = \"20/s\""), 1);
            Ok(tiers.replacen("budget = { sms = \"1/s\" }", "budget = { sms = \"20/s\" }", 1))
        })?;
        let daemon = Command::new(env!("CARGO_BIN_EXE_forewarn"))
            .args(["run", "--config"])
            .arg(space.settings())
            .envs(space.environment(&to, &secrets))
            .env("RUST_LOG", "warn")
            .stderr(File::create(space.log())?)
            .spawn()?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(20)).build()?;
        let url = format!("http://127.0.0.1:{}", to.http);
        let mut scene = Self { broker, sandbox, space, daemon, http, url, token: secrets.api.clone() };
        scene.ready().await?;
        Ok(scene)
    }

    async fn ready(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return Ok(());
            }
            if self.daemon.try_wait()?.is_some() || since.elapsed() > Duration::from_secs(120) {
                return Err(format!("the daemon is not ready:\n{}", self.log()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    pub(crate) fn broker_pid(&self) -> u32 {
        self.broker.pid()
    }

    pub(crate) fn broker_url(&self) -> String {
        format!("mqtt://{}:{}", self.broker.url.host, self.broker.url.port)
    }

    /// Calls to customers that were accepted so far; those to our own people are not counted.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = self.sandbox.phone.accepted();
        calls.retain(|call| fleet::of_phone(&call.to).is_some());
        calls
    }

    /// Calls and text messages accepted so far.
    pub(crate) fn accepted(&self) -> (usize, usize) {
        (self.sandbox.phone.accepted().len(), self.sandbox.phone.texts().len())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.http.get(format!("{}/api/v1/{path}", self.url)).bearer_auth(&self.token);
        Ok(serde_json::from_str(&request.send().await?.error_for_status()?.text().await?)?)
    }

    /// The case of the storm: the one with a stop switch of its own.
    pub(crate) async fn storm(&self) -> Result<String> {
        let switches = self.get("stop").await?;
        let storm = switches["switches"].as_array().and_then(|all| all.iter().find_map(|s| s["case"].as_str()));
        Ok(storm.ok_or_else(|| format!("there is no storm:\n{}", self.log()))?.to_owned())
    }

    pub(crate) async fn opened_at(&self, case: &str) -> Result<At> {
        instant(&self.get(&format!("cases/{case}")).await?["opened_at"])
    }

    /// When a goal of the case was met, if it was.
    pub(crate) async fn met_at(&self, case: &str, goal: &str) -> Result<Option<At>> {
        let view = self.get(&format!("cases/{case}")).await?;
        let words = format!("goal {goal} is met");
        let lines = view["timeline"].as_array().into_iter().flatten();
        let line = lines.rev().find(|line| line["text"].as_str().is_some_and(|t| t.starts_with(&words)));
        line.map(|line| instant(&line["at"])).transpose()
    }

    /// A person agrees to every tier.
    pub(crate) async fn approve(&self, case: &str) -> Result<()> {
        let request = self.http.post(format!("{}/api/v1/cases/{case}/approve", self.url)).bearer_auth(&self.token);
        request.body(json!({}).to_string()).send().await?.error_for_status()?;
        Ok(())
    }

    /// The end of the daemon's log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.space.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.daemon.kill();
        let _reaped = self.daemon.wait();
    }
}

fn settings(secrets: &Secrets) -> SandboxSettings {
    SandboxSettings {
        desk_token: secrets.desk.clone(),
        tow: TowSettings { secret: secrets.tow.clone(), eta_min: 24, slip_min: 0, pace: Duration::from_secs(60) },
        phone: PhoneSettings {
            account_sid: secrets.account.clone(),
            token: secrets.phone.clone(),
            ring: Duration::from_secs(4),
            rings: 2,
            per_char: Duration::from_millis(15),
            hurry: 0.1,
        },
        app: (secrets.app.clone(), Duration::from_secs(1)),
        workshop: secrets.workshop.clone(),
    }
}

/// What the called people do, the same in every run.
fn drivers(count: usize) -> Vec<Driver> {
    let mut state = 0x9E37_79B9_u64;
    let mut dice = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 100
    };
    (0..count).map(|_| if dice() < UNANSWERED { Driver::Absent } else { Driver::default() }).collect()
}

/// The shipped settings with a token that may act, and with providers who take more than the shipped rates.
fn faster(text: &str) -> Result<String> {
    let mut root: toml::Table = text.parse()?;
    let mut provider = |name: &str, per_second: i64, per_hour: i64| {
        let table = root.get_mut("provider").and_then(|p| p.get_mut(name)).and_then(toml::Value::as_table_mut);
        if let Some(table) = table {
            table.insert("per_second".to_owned(), per_second.into());
            table.insert("per_hour".to_owned(), per_hour.into());
        }
    };
    provider("phone", 10, 20_000);
    provider("text", 40, 50_000);
    provider("mail", 20, 50_000);
    let text = toml::to_string(&root)?;
    Ok(text.replace("scopes = [\"read\"]", "scopes = [\"read\", \"act\"]"))
}

fn change(path: &std::path::Path, edit: impl Fn(&str) -> Result<String>) -> Result<()> {
    let old = std::fs::read_to_string(path)?;
    let new = edit(&old)?;
    if new == old {
        return Err(format!("{} is not what this bench changes", path.display()).into());
    }
    Ok(std::fs::write(path, new)?)
}

fn instant(value: &Value) -> Result<At> {
    Ok(value.as_str().ok_or("no instant")?.parse().map_err(|_| "no instant")?)
}
