//! A fleet that says nothing, over a crash: what the daemon knew of the time that had passed is not lost, although
//! nothing happened that a checkpoint would be written for. Real journal, real checkpoints, our own clock.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use forewarn::desk;
use forewarn::domain::{At, Registry, Span};
use forewarn::journal::Keep;
use forewarn::runtime::{Channels, Clock, Daemon, DeskHandle, Incoming, Parts, Rules, Source};
use forewarn::source::Diagnostics;
use forewarn::store::KeyFile;
use forewarn::{model, rules};

const MODEL: &str = r#"
[model]
id = "m"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
[signal]
x = { path = "x" }
"#;

const RULE: &str = r#"
[[rule]]
id = "gone"
models = ["m"]
severity = "minor"
when = "silent(20m)"
"#;

/// 2026-01-01T00:00:00Z.
fn start() -> At {
    At::from_secs(1_767_225_600)
}

/// Seconds since the start, and the clock that tells them.
#[derive(Clone)]
struct Time(Arc<AtomicI64>);

impl Time {
    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Arc::new(move || start() + Span::from_secs(now.load(Ordering::Acquire)))
    }
}

/// A broker that is there and has little to say: time passes a second at a time, with each look at it.
struct Quiet {
    time: Time,
    until: i64,
    /// What device `d` says first.
    word: Option<&'static str>,
}

impl Source for Quiet {
    type Ack = ();

    fn recv(&mut self, _: usize, _: Duration, out: &mut Vec<Incoming<()>>) -> bool {
        if self.time.0.load(Ordering::Acquire) >= self.until {
            std::thread::sleep(Duration::from_millis(5));
            return true;
        }
        self.time.0.fetch_add(1, Ordering::AcqRel);
        let payload = self.word.take();
        out.extend(payload.map(|payload| Incoming {
            topic: "f/d/t".into(),
            payload: payload.into(),
            received_at: self.time.clock()(),
            retained: false,
            ack: None,
        }));
        true
    }

    fn drained(&self) -> bool {
        true
    }

    fn ack(&mut self, _: Vec<()>) {}
}

fn rules() -> Arc<Rules> {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("models/m.toml", MODEL);
    let models = Arc::new(model::load(&mut diags, &[file]));
    let file = diags.add_file("rules/r.toml", RULE);
    let program = Arc::new(rules::load(&mut diags, &[file], models));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Arc::new(Rules { program, registry: Arc::new(Registry::default()), replies: Vec::new(), switches: Vec::new() })
}

fn daemon(dir: &Path, time: &Time) -> Daemon {
    let (handle, questions) = DeskHandle::new(16);
    let parts = Parts {
        dir: dir.to_owned(),
        rules: rules(),
        desk: Arc::new(desk::Config::default()),
        keys: KeyFile::open(&dir.join("keys"), None).unwrap(),
        channels: Channels::default(),
        questions,
        handle,
        threads: 2,
        keep: Keep::ALL,
        births: None,
        outcomes: None,
        nightly: None,
        heads: None,
        clock: time.clock(),
    };
    Daemon::recover(parts).unwrap().0
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Looks again and again, for at most a minute.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_silence_goes_on_over_a_crash_although_nothing_else_has_happened() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    fs::create_dir(&live).unwrap();
    let time = Time(Arc::default());
    let mut first = daemon(&live, &time);
    first.ingest(Quiet { time: time.clone(), until: 900, word: Some("{\"x\":1}") }).unwrap();
    // By now every shard has been covered several times, the device's with the same file all along.
    let covered = live.join("checkpoints/covered");
    until("15 minutes", async || (time.0.load(Ordering::Acquire) >= 900 && covered.exists()).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    copy(&live, &crashed);
    first.stop().await;

    let mut second = daemon(&crashed, &time);
    second.ingest(Quiet { time: time.clone(), until: 1_500, word: None }).unwrap();
    let engine = second.engine();
    let told = until("silence", async || {
        let told = engine.explain("gone".into(), "d".into(), None).await.ok()?.unwrap();
        told.since_at.map(|at| at.since(start()))
    })
    .await;
    assert_eq!(told, Span::from_secs(1 + 20 * 60), "heard at one second, and twenty minutes later it is silent");
    second.stop().await;
}
