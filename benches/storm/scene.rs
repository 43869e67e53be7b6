//! Everything around the daemon, and the daemon: its shipped configuration with the rates of a large provider.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use forewarn::app;
use forewarn::demo::sandbox::{Driver, PhoneSettings, Sandbox, SandboxSettings, TowSettings};
use forewarn::demo::{Addresses, Case, Daemon, Secrets, Workspace};
use forewarn::desk::CaseSummary;
use forewarn::domain::At;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::report::Warned;
use crate::{BUDGET, PROVIDER, Result, fleet};

/// Of a hundred calls.
const UNANSWERED: u64 = 44;

#[derive(Deserialize)]
struct List {
    cases: Vec<CaseSummary>,
}

pub(crate) struct Scene {
    broker: Broker,
    sandbox: Sandbox,
    space: Workspace,
    daemon: Daemon,
    http: reqwest::Client,
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
        let to = Addresses::of(format!("mqtt://{}:{}", broker.url.host, broker.url.port), &sandbox)?;
        let space = Workspace::create(2, &to, &secrets, false)?;
        let config = space.dir().join("config");
        fleet::write(&config.join("registry"), cars)?;
        change(&space.settings(), faster)?;
        change(&config.join("playbooks/fleet-defect-storm.toml"), |text| {
            let tiers =
                text.replacen("call = \"1/s\", sms = \"1/s\"", &format!("call = \"{BUDGET}/s\", sms = \"20/s\""), 1);
            Ok(tiers.replacen("budget = { sms = \"1/s\" }", "budget = { sms = \"20/s\" }", 1))
        })?;
        let daemon = Daemon::start(Path::new(env!("CARGO_BIN_EXE_forewarn")), &space, &to, &secrets).await?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(20)).build()?;
        Ok(Self { broker, sandbox, space, daemon, http, token: secrets.api })
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.daemon.pid().ok_or("the daemon has ended")?)
    }

    pub(crate) fn broker_pid(&self) -> u32 {
        self.broker.pid()
    }

    pub(crate) fn broker_url(&self) -> String {
        format!("mqtt://{}:{}", self.broker.url.host, self.broker.url.port)
    }

    /// When each call was accepted so far, those to our own people too.
    pub(crate) fn calls(&self) -> Vec<At> {
        self.sandbox.phone.accepted().iter().map(|call| call.created_at).collect()
    }

    /// Calls and text messages accepted so far.
    pub(crate) fn accepted(&self) -> (usize, usize) {
        (self.sandbox.phone.accepted().len(), self.sandbox.phone.texts().len())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.daemon.get(&format!("/api/v1/{path}")).await?)
    }

    /// The case of the storm: the one with a stop switch of its own.
    pub(crate) async fn storm(&self) -> Result<String> {
        let switches = self.get("stop").await?;
        let storm = switches["switches"].as_array().and_then(|all| all.iter().find_map(|s| s["case"].as_str()));
        Ok(storm.ok_or_else(|| format!("there is no storm:\n{}", self.log()))?.to_owned())
    }

    async fn case(&self, id: &str) -> Result<Case> {
        Ok(self.daemon.get(&format!("/api/v1/cases/{id}")).await?)
    }

    pub(crate) async fn opened_at(&self, case: &str) -> Result<At> {
        Ok(self.case(case).await?.opened_at)
    }

    /// When a goal of the case was met, if it was.
    pub(crate) async fn met_at(&self, case: &str, goal: &str) -> Result<Option<At>> {
        let words = format!("goal {goal} is met");
        let lines = self.case(case).await?.timeline;
        Ok(lines.iter().rev().find(|line| line.text.starts_with(&words)).map(|line| line.at))
    }

    /// What became of each of the first cars.
    pub(crate) async fn warned(&self, cars: usize) -> Result<Vec<Warned>> {
        let calls = self.sandbox.phone.accepted();
        let called: BTreeMap<&str, At> = calls.iter().filter_map(|c| Some((c.key.as_deref()?, c.created_at))).collect();
        let mut all = Vec::new();
        for car in 0..cars {
            let known = self.get(&format!("lookup?device={}", fleet::id(car))).await?;
            let device = &known["devices"][0];
            let id = ["open", "earlier"].iter().find_map(|list| device[*list][0]["id"].as_str());
            let case = self.case(id.ok_or_else(|| format!("{} has no case", fleet::id(car)))?).await?;
            let attempts = case.timeline.iter().filter_map(|line| {
                let key = line.effect.filter(|_| line.text.starts_with("call to "))?.to_string();
                Some((line.at, *called.get(key.as_str())?))
            });
            let (claimed, called) = attempts.unzip();
            all.push(Warned { car, known_at: case.opened_at, claimed, called });
        }
        Ok(all)
    }

    /// Of these cars, as far as they have a case: when the sample was taken that shows its fault, and when it was opened.
    pub(crate) async fn noticed(&self, cars: Range<usize>) -> Result<Vec<(At, At)>> {
        let names: BTreeSet<String> = cars.map(fleet::id).collect();
        let list: List = self.daemon.get("/api/v1/cases?closed=true&limit=1000").await?;
        let of = |case: &CaseSummary| names.contains(&case.device);
        Ok(list.cases.into_iter().filter(of).map(|case| (case.event_at, case.opened_at)).collect())
    }

    /// The sum of a metric over all of its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.http.get(format!("{}/metrics", self.daemon.url())).bearer_auth(&self.token).send().await?;
        let text = text.error_for_status()?.text().await?;
        let value = |line: &str| line.strip_prefix(name)?.rsplit(' ').next()?.parse::<f64>().ok();
        Ok(text.lines().filter_map(value).fold(0.0, |sum, one| sum + one))
    }

    /// A person agrees to every tier.
    pub(crate) async fn approve(&self, case: &str) -> Result<()> {
        let request =
            self.http.post(format!("{}/api/v1/cases/{case}/approve", self.daemon.url())).bearer_auth(&self.token);
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
    provider("phone", i64::from(PROVIDER), 20_000);
    provider("text", 40, 50_000);
    provider("mail", 20, 50_000);
    Ok(toml::to_string(&root)?)
}

fn change(path: &std::path::Path, edit: impl Fn(&str) -> Result<String>) -> Result<()> {
    let old = std::fs::read_to_string(path)?;
    let new = edit(&old)?;
    if new == old {
        return Err(format!("{} is not what this bench changes", path.display()).into());
    }
    Ok(std::fs::write(path, new)?)
}
