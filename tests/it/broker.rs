//! A real mosquitto for tests: own port, own directory, gone when dropped.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// A running (or stopped) mosquitto on a loopback port.
pub(crate) struct Broker {
    child: Option<Child>,
    dir: TempDir,
    port: u16,
}

/// What most tests want: everybody may do everything, everything is kept.
pub(crate) const OPEN: &str = "allow_anonymous true\nmax_queued_messages 1000000\nmax_inflight_messages 1000\n";

impl Broker {
    /// Starts mosquitto with one listener on a free port of 127.0.0.1 and `conf` after it (options of that listener,
    /// general ones). `{dir}` in `conf` is the broker's own directory, see [`dir`](Self::dir).
    pub(crate) fn start(conf: &str) -> Self {
        Self::start_with(conf, |_| {})
    }

    /// As [`start`](Self::start); `prepare` puts files into the broker's directory first.
    pub(crate) fn start_with(conf: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::Builder::new().prefix("forewarn-broker-").tempdir().unwrap();
        prepare(dir.path());
        let port = free_port();
        let place = dir.path().display().to_string();
        let conf = conf.replace("{dir}", &place);
        // As root, mosquitto would become the user `mosquitto`, who may not write here.
        let head = format!(
            "user root\npersistence true\npersistence_location {place}/\nautosave_interval 1\nlog_type all\n\
             listener {port} 127.0.0.1\n"
        );
        std::fs::write(dir.path().join("mosquitto.conf"), head + &conf).unwrap();
        let mut broker = Self { child: None, dir, port };
        broker.restart();
        broker
    }

    /// Address for clients without TLS.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Ends it in good order (SIGTERM): it saves its state.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let ended = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(ended.success());
        child.wait().unwrap();
    }

    /// Ends it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again on the same port with the same state, and waits until it listens.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let child = Command::new(mosquitto())
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("mosquitto must be installed: apt-get install mosquitto");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "mosquitto does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        let mut text = Vec::new();
        let _ = std::fs::File::open(self.dir.path().join("log")).and_then(|mut f| f.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Debian puts it where users do not look.
fn mosquitto() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    places.map(|d| d.join("mosquitto")).find(|p| p.is_file()).unwrap_or_else(|| "mosquitto".into())
}
