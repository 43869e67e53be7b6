//! The daemon: its configuration in a directory of its own, its process, and what it says over HTTP.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use forewarn::mqtt::BrokerUrl;
use tokio::time::Instant;

use crate::broker::free_port;
use crate::fleet;

/// No step of the bench takes longer; what does is a failure, not a figure.
const LIMIT: Duration = Duration::from_secs(180);

/// Where a daemon's files are, and where it listens.
pub(crate) struct Home {
    dir: PathBuf,
    port: u16,
}

/// A running daemon; killed with its value.
pub(crate) struct Daemon<'a> {
    home: &'a Home,
    process: Child,
}

impl Home {
    /// Ten rules, a registry with `devices` devices, one playbook that opens a ticket at `ticket_port`.
    pub(crate) fn new(dir: &Path, broker: &BrokerUrl, devices: u64, ticket_port: u16) -> io::Result<Self> {
        let port = free_port()?;
        for (name, text) in [
            ("models/machine.toml", include_str!("config/models/machine.toml")),
            ("rules/ten.toml", include_str!("config/rules/ten.toml")),
            ("playbooks/ticket.toml", include_str!("config/playbooks/ticket.toml")),
            ("registry/devices.csv", &registry(devices)),
            ("registry/customers.csv", "id,name,locale,tz\nc-1,Fleet,en,UTC\n"),
            ("forewarn.toml", &settings(&dir.join("store"), broker, port, ticket_port)),
        ] {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(path, text)?;
        }
        // Nobody is paged here, but the daemon does not start without the words for it.
        std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/config/messages"), dir.join("messages"))?;
        Ok(Self { dir: dir.to_owned(), port })
    }

    /// Starts the daemon and waits until it says that it is ready. Returns the seconds that took.
    pub(crate) fn start(&self) -> io::Result<(Daemon<'_>, f64)> {
        let started = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
        command.args(["run", "--log-format", "json", "--config"]).arg(self.dir.join("forewarn.toml"));
        let log = File::create(self.log())?;
        let mut daemon = Daemon { home: self, process: command.env("RUST_LOG", "info").stderr(log).spawn()? };
        while !matches!(self.get("/readyz"), Ok((200, _))) {
            daemon.check(started)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok((daemon, started.elapsed().as_secs_f64()))
    }

    /// Journal entries that the last start had to replay.
    pub(crate) fn replayed(&self) -> Option<u64> {
        let log = fs::read_to_string(self.log()).ok()?;
        let mut lines = log.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
        lines.find_map(|line| line["fields"]["replayed"].as_u64())
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log.json")
    }

    fn get(&self, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", self.port)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Ok((status, answer))
    }
}

impl Daemon<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The sum of a figure of `/metrics` over its labels; `metric` may end in labels (`name{le="0.005"}`).
    pub(crate) fn metric(&self, metric: &str) -> io::Result<f64> {
        let (_, text) = self.home.get("/metrics")?;
        let lines = text.lines().filter_map(|l| l.rsplit_once(' '));
        let ours = lines.filter(|(name, _)| *name == metric || name.split('{').next() == Some(metric));
        Ok(ours.filter_map(|(_, value)| value.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value))
    }

    /// Messages that the rules have seen since the start.
    pub(crate) fn messages(&self) -> io::Result<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        self.metric("forewarn_messages_total").map(|n| n as u64)
    }

    /// Waits until the rules have seen `count` messages, looking every 50 ms. Returns, from the first look that saw any
    /// to the last: messages, seconds, and what `cpu` used by then.
    pub(crate) fn drain(&mut self, count: u64, cpu: impl Fn() -> io::Result<Vec<u64>>) -> io::Result<Drained> {
        let waiting = Instant::now();
        let mut first = None;
        loop {
            let (seen, now) = (self.messages()?, Instant::now());
            if seen > 0 && first.is_none() {
                first = Some((seen, now, cpu()?));
            }
            if let (Some((seen_first, since, before)), true) = (&first, seen >= count) {
                let cpu_us = cpu()?.iter().zip(before).map(|(now, before)| now - before).collect();
                return Ok(Drained { messages: seen - seen_first, seconds: (now - *since).as_secs_f64(), cpu_us });
            }
            self.check(waiting)?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGTERM, and waits for the end. Returns the seconds that took.
    pub(crate) fn stop(mut self) -> io::Result<f64> {
        let started = Instant::now();
        Command::new("kill").arg(self.pid().to_string()).status()?;
        let status = self.process.wait()?;
        if status.success() { Ok(started.elapsed().as_secs_f64()) } else { Err(self.failed("ended badly")) }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    fn check(&mut self, since: Instant) -> io::Result<()> {
        if self.process.try_wait()?.is_some() {
            return Err(self.failed("ended"));
        }
        if since.elapsed() > LIMIT {
            return Err(self.failed("does not get on"));
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(self.home.log()).unwrap_or_default();
        let tail = log.lines().rev().take(40).collect::<Vec<_>>();
        io::Error::other(format!("the daemon {what}:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// What [`Daemon::drain`] saw.
pub(crate) struct Drained {
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_us: Vec<u64>,
}

fn registry(devices: u64) -> String {
    let mut text = "id,model,kind,plate,owner,tz\n".to_owned();
    for device in 0..devices {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{},machine,machine,B-XY {device},c-1,UTC", fleet::name(device));
    }
    text
}

fn settings(store: &Path, broker: &BrokerUrl, port: u16, ticket_port: u16) -> String {
    format!(
        r#"[store]
dir = "{}"
[broker]
urls = ["mqtt://{}:{}"]
client_id = "bench"
[http]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[desk]
default_queue = "people"
storm_guard = {{ min = 1000000, share = 1.0, window = "10m" }}
[queue.people]
people = [{{ name = "Pager", webhook = "pager" }}]
[provider.helpdesk]
kind = "ticket-webhook"
url = "http://127.0.0.1:{ticket_port}/tickets"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
concurrency = 16
[provider.pager]
kind = "webhook"
url = "http://127.0.0.1:{ticket_port}/pages"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#,
        store.display(),
        broker.host,
        broker.port
    )
}
