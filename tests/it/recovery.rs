//! What a daemon knows again after a crash, byte for byte what it would have known without one: the time in which nothing
//! happened, whom it has asked for a birth, what a reload has refilled, which rules were in force. Real journal, real checkpoints, our
//! own clock.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use forewarn::checkpoint;
use forewarn::desk;
use forewarn::domain::{At, Outcome, Span};
use forewarn::engine::{Engine, ShardClock};
use forewarn::journal::Keep;
use forewarn::runtime::{
    Channels, Clock, Daemon, DeskHandle, Incoming, Parts, Publisher, Recovered, Rules, Source, Topic, Warm, in_force,
};
use forewarn::source::Diagnostics;
use forewarn::store::{self, KeyFile, SignedHead, Signer};
use forewarn::{model, rules};
use prost::Message as _;

const MODEL: &str = r#"
[model]
id = "m"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
lateness = "3s"
[signal]
x = { path = "x" }
word = { path = "word", type = "text", ttl = "never" }
cell = { path = "cells", each = "cell" }
"#;

const PLANT: &str = r#"
[model]
id = "p"
topics = ["spBv1.0/plant/#"]
decoder = { format = "sparkplug" }
[signal]
x = { path = "x" }
"#;

const GONE: &str = r#"
[[rule]]
id = "gone"
models = ["m"]
severity = "minor"
when = "silent(20m)"
"#;

/// With a window of a day, parts, texts, a baseline that stops learning, and a hold.
const ADDED: &str = r#"
[[rule]]
id = "added"
models = ["m"]
severity = "minor"
when = "avg(x, 10m) > 3 && word == 'a' && z(x, usual) < 9"
hold = "30s"
clear = "avg(x, 10m) < 1"
[rule.baseline.usual]
of = "x"
tau = "1h"
min = "5m"
freeze_when_firing = true
[[rule]]
id = "added-each"
models = ["m"]
each = "cell"
severity = "minor"
when = "cell < avg(cell, 5m) - 2"
"#;

/// 2026-01-01T00:00:00Z.
fn start() -> At {
    At::from_secs(1_767_225_600)
}

/// Seconds since the start, and where they stand still.
#[derive(Clone, Default)]
struct Time {
    now: Arc<AtomicI64>,
    until: Arc<AtomicI64>,
}

impl Time {
    fn at(now: i64) -> Self {
        let time = Self::default();
        time.now.store(now, Ordering::Release);
        time
    }

    fn clock(&self) -> Clock {
        let now = self.now.clone();
        Arc::new(move || start() + Span::from_secs(now.load(Ordering::Acquire)))
    }

    /// Lets it run to `until`, and waits for that.
    async fn run_to(&self, until: i64) {
        self.until.store(until, Ordering::Release);
        let there = async || (self.now.load(Ordering::Acquire) >= until).then_some(());
        until_some("time passes", there).await;
    }
}

/// What comes at a second: topic and payload.
type Story = fn(i64) -> Vec<(String, Vec<u8>)>;

/// A broker that is there: time passes a second at a time, with each look at it.
struct Broker {
    time: Time,
    story: Story,
}

impl Source for Broker {
    type Ack = ();

    fn recv(&mut self, _: usize, _: Duration, out: &mut Vec<Incoming<()>>) -> bool {
        if self.time.now.load(Ordering::Acquire) >= self.time.until.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
            return true;
        }
        let now = self.time.now.fetch_add(1, Ordering::AcqRel) + 1;
        let received_at = self.time.clock()();
        out.extend((self.story)(now).into_iter().map(|(topic, payload)| Incoming {
            topic: topic.into(),
            payload: payload.into(),
            received_at,
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

fn rules_of(text: &str, warm: Option<Warm>) -> Arc<Rules> {
    let mut diags = Diagnostics::default();
    let models = [("models/m.toml", MODEL), ("models/p.toml", PLANT)].map(|(name, text)| diags.add_file(name, text));
    let models = Arc::new(model::load(&mut diags, &models));
    let file = diags.add_file("rules/r.toml", text);
    let program = Arc::new(rules::load(&mut diags, &[file], models));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    let sources = text.as_bytes().into();
    Arc::new(Rules { program, sources, registry: Arc::default(), replies: Vec::new(), switches: Vec::new(), warm })
}

/// A daemon on `dir` that hears `story` from now on.
fn daemon(
    dir: &Path,
    time: &Time,
    rules: &Arc<Rules>,
    story: Story,
    births: Option<Arc<Published>>,
) -> (Daemon, Recovered) {
    let births = births.map(|births| births as Arc<dyn Publisher>);
    begin(Parts { births, ..parts(dir, time, rules) }, time, story)
}

fn begin(parts: Parts, time: &Time, story: Story) -> (Daemon, Recovered) {
    let (mut daemon, recovered) = Daemon::recover(parts).unwrap();
    daemon.ingest(Broker { time: time.clone(), story }).unwrap();
    (daemon, recovered)
}

fn parts(dir: &Path, time: &Time, rules: &Arc<Rules>) -> Parts {
    let (handle, questions) = DeskHandle::new(16);
    let kept = in_force(dir).filter(|kept| **kept != *rules.sources);
    let before = kept.map(|text| rules_of(std::str::from_utf8(&text).unwrap(), None).program.clone());
    Parts {
        dir: dir.to_owned(),
        rules: rules.clone(),
        before,
        desk: Arc::new(desk::Config::default()),
        keys: KeyFile::open(&dir.join("keys"), None).unwrap(),
        channels: Channels::default(),
        questions,
        handle,
        threads: 2,
        keep: Keep::ALL,
        keep_log: Keep::ALL,
        births: None,
        outcomes: None,
        nightly: None,
        heads: None,
        clock: time.clock(),
    }
}

fn copy(from: &Path, to: &Path) {
    copy_without(from, to, "");
}

/// What is called `name` is left out.
fn copy_without(from: &Path, to: &Path, name: &str) {
    fs::create_dir_all(to).unwrap();
    for path in
        fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.file_name().unwrap() != name)
    {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_without(&path, &target, name);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Looks again and again, for at most a minute.
async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

fn one_word(now: i64) -> Vec<(String, Vec<u8>)> {
    if now == 1 { vec![("f/d/t".into(), b"{\"x\":1}".to_vec())] } else { Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_silence_goes_on_over_a_restart_although_nothing_else_has_happened() {
    let dir = tempfile::tempdir().unwrap();
    let time = Time::default();
    let rules = rules_of(GONE, None);
    let (first, _) = daemon(dir.path(), &time, &rules, one_word, None);
    // By now the device's shard has been saved after its word, and all of them are covered at the stop.
    time.run_to(900).await;
    first.stop().await;

    let (second, recovered) = daemon(dir.path(), &time, &rules, one_word, None);
    assert_eq!(recovered.replayed, 0, "what has passed is known from the checkpoints alone");
    time.run_to(1_500).await;
    let engine = second.engine();
    let told = until_some("silence", async || {
        let told = engine.explain("gone".into(), "d".into(), None).await.ok()?.unwrap();
        told.since_at.map(|at| at.since(start()))
    })
    .await;
    assert_eq!(told, Span::from_secs(1 + 20 * 60), "heard at one second, and twenty minutes later it is silent");
    second.stop().await;
}

/// Three devices; one of them rarely, one late, one with values that rise.
fn telemetry(now: i64) -> Vec<(String, Vec<u8>)> {
    let mut said = Vec::new();
    if now % 5 == 0 {
        said.push(("f/a/t".into(), format!("{{\"x\":{},\"word\":\"a\",\"cells\":[4,{}]}}", 2 + now / 200, now % 7)));
    }
    if now % 7 == 0 {
        said.push(("f/b/t".into(), format!("{{\"x\":{}}}", now % 11)));
    }
    if now % 61 == 0 {
        said.push(("f/c/t".into(), "{\"x\":9,\"word\":\"b\"}".to_owned()));
    }
    said.into_iter().map(|(topic, text): (String, String)| (topic, text.into_bytes())).collect()
}

/// The states of all shards, as they are on the disk. Their clocks stand apart from them when nothing else happens.
fn states(dir: &Path, rules: &Rules) -> Vec<(u8, Vec<u8>)> {
    let loaded = checkpoint::load_all(&dir.join("checkpoints")).unwrap();
    assert_eq!((loaded.checkpoints.len(), loaded.damaged.len()), (256, 0));
    let mut engine = Engine::new(rules.program.clone(), rules.registry.clone());
    let mut state = |shard, bytes: &[u8]| {
        engine.restore(shard, bytes).unwrap();
        engine.set_shard_clock(shard, ShardClock::default());
        engine.snapshot(shard)
    };
    loaded.checkpoints.into_iter().map(|c| (c.shard, state(c.shard, &c.bytes))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_that_a_crash_follows_leaves_the_same_state_warm_or_cold() {
    let mut ends = Vec::new();
    for warm in [Some(Warm { back: Span::from_hours(1), bytes: 1 << 30 }), None] {
        let dir = tempfile::tempdir().unwrap();
        let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
        fs::create_dir(&live).unwrap();
        let time = Time::default();
        let edited = rules_of(&format!("{GONE}{ADDED}"), warm);
        let (first, _) = daemon(&live, &time, &rules_of(GONE, warm), telemetry, None);
        time.run_to(700).await;
        let reloaded = first.reload(edited.clone(), Arc::default(), Channels::default()).await.unwrap();
        assert_eq!(reloaded.changes.rules.len(), 2, "{reloaded:?}");
        assert_eq!(reloaded.warm_from, warm.map(|_| start() + Span::from_secs(5)));
        // Time stands still, so nothing has been saved since.
        copy(&live, &crashed);
        time.run_to(1_000).await;
        first.stop().await;

        let time = Time::at(700);
        let (second, recovered) = daemon(&crashed, &time, &edited, telemetry, None);
        assert_eq!(recovered.warm_from, reloaded.warm_from);
        assert_eq!(recovered.replayed, 0, "every shard was saved right before the reload");
        time.run_to(1_000).await;
        second.stop().await;
        let end = states(&live, &edited);
        assert!(end == states(&crashed, &edited), "{warm:?}: the crash has left its mark");
        ends.push(end);
    }
    assert!(ends[0] != ends[1], "the past makes a difference");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_ends_the_episodes_of_removed_rules_also_if_they_began_a_moment_ago() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    fs::create_dir(&live).unwrap();
    let time = Time::default();
    let (first, _) = daemon(&live, &time, &rules_of(&format!("{GONE}{ADDED}"), None), telemetry, None);
    time.run_to(640).await;
    let open = first.engine().explain("added".into(), "a".into(), None).await.unwrap().unwrap();
    assert_eq!(open.state, "minor");
    let fewer = rules_of(GONE, None);
    let reloaded = first.reload(fewer.clone(), Arc::default(), Channels::default()).await.unwrap();
    assert_eq!(reloaded.changes.removed, ["added".into(), "added-each".into()]);
    copy(&live, &crashed);
    first.stop().await;
    let time = Time::at(640);
    let (second, _) = daemon(&crashed, &time, &fewer, telemetry, None);
    time.run_to(645).await;
    second.stop().await;
    for dir in [&live, &crashed] {
        assert!(!ends(dir).is_empty(), "{}: its end was not told", dir.display());
    }
}

/// What the desk was told of removed rules.
fn ends(dir: &Path) -> Vec<String> {
    let desk = dir.join("desk");
    let records = store::records(&desk, 0).unwrap().map(|record| record.unwrap().1.what);
    records.filter(|what| what.contains("RuleRemoved")).collect()
}

/// Nobody has reloaded: the daemon dies first, with the beginning of an episode behind its checkpoints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_of_rules_that_were_edited_before_a_crash_is_the_first_thing_after_it() {
    const NEW: &str =
        "[[rule]]\nid = \"new\"\nmodels = [\"m\"]\nseverity = \"minor\"\nwhen = \"max(x, 10m) > 4 && word == 'a'\"\n";
    let dir = tempfile::tempdir().unwrap();
    let [live, saved, crashed] = ["live", "saved", "crashed"].map(|name| dir.path().join(name));
    fs::create_dir(&live).unwrap();
    let warm = Some(Warm { back: Span::from_hours(1), bytes: 1 << 30 });
    let (old, edited) = (rules_of(&format!("{GONE}{ADDED}"), warm), rules_of(&format!("{GONE}{NEW}"), warm));

    let time = Time::default();
    let (first, _) = daemon(&live, &time, &old, telemetry, None);
    time.run_to(560).await;
    let early = first.engine().explain("added".into(), "a".into(), None).await.unwrap().unwrap();
    first.stop().await;
    copy(&live.join("checkpoints"), &saved);
    let (second, _) = daemon(&live, &time, &old, telemetry, None);
    time.run_to(640).await;
    let open = second.engine().explain("added".into(), "a".into(), None).await.unwrap().unwrap();
    assert_eq!((early.state.as_str(), open.state.as_str()), ("ok", "minor"));
    copy_without(&live, &crashed, "checkpoints");
    copy(&saved, &crashed.join("checkpoints"));
    second.reload(edited.clone(), Arc::default(), Channels::default()).await.unwrap();
    time.run_to(700).await;
    second.stop().await;

    let time = Time::at(640);
    let (third, recovered) = daemon(&crashed, &time, &edited, telemetry, None);
    assert!(recovered.replayed > 0, "what the checkpoints have not is replayed");
    time.run_to(700).await;
    let new = third.engine().explain("new".into(), "a".into(), None).await.unwrap().unwrap();
    assert_eq!(new.state, "minor");
    third.stop().await;
    assert_eq!(ends(&crashed), ends(&live));
    assert!(!ends(&live).is_empty(), "the episode of the removed rule has ended");
    assert!(states(&live, &edited) == states(&crashed, &edited), "the crash has left its mark");
    assert_eq!(in_force(&crashed).as_deref(), Some(&*edited.sources));
}

/// What was published: topics and payloads.
#[derive(Default)]
struct Published(Mutex<Vec<(String, Bytes)>>);

impl Publisher for Published {
    fn publish(
        &self,
        topic: String,
        payload: Bytes,
        _: Option<Span>,
        _: bool,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        self.0.lock().unwrap().push((topic, payload));
        Box::pin(async { Outcome::Accepted { provider_ref: String::new() } })
    }
}

/// A payload of Sparkplug with nothing but its number.
#[derive(Clone, PartialEq, prost::Message)]
struct Numbered {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

/// Data of a node that has never told what it means, every second.
fn unborn(now: i64) -> Vec<(String, Vec<u8>)> {
    let (millis, seq) = (u64::try_from(now).unwrap() * 1_000, u64::try_from(now % 256).unwrap());
    let payload = Numbered { timestamp: Some(millis), seq: Some(seq) };
    vec![("spBv1.0/plant/NDATA/edge".into(), payload.encode_to_vec())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn births_are_asked_for_once_a_minute_over_crashes_too() {
    let dir = tempfile::tempdir().unwrap();
    let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
    fs::create_dir(&live).unwrap();
    let (time, asked) = (Time::default(), Arc::new(Published::default()));
    let rules = rules_of("[[rule]]\nid = \"r\"\nmodels = [\"p\"]\nseverity = \"minor\"\nwhen = \"x > 1\"\n", None);
    let (first, _) = daemon(&live, &time, &rules, unborn, Some(asked.clone()));
    time.run_to(10).await;
    until_some("the first request", async || (asked.0.lock().unwrap().len() == 1).then_some(())).await;
    copy(&live, &crashed);
    first.stop().await;

    let time = Time::at(10);
    let (second, recovered) = daemon(&crashed, &time, &rules, unborn, Some(asked.clone()));
    assert!(recovered.replayed > 10, "the message that it was asked for is worked on again");
    time.run_to(60).await;
    assert_eq!(asked.0.lock().unwrap().len(), 1, "a minute has not passed");
    time.run_to(63).await;
    until_some("the second request", async || (asked.0.lock().unwrap().len() == 2).then_some(())).await;
    second.stop().await;
    let asked = asked.0.lock().unwrap();
    assert_eq!(asked.iter().map(|(topic, _)| topic).collect::<Vec<_>>(), ["spBv1.0/plant/NCMD/edge"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_the_audit_go_out_at_the_start_and_every_hour() {
    let dir = tempfile::tempdir().unwrap();
    let (time, published) = (Time::default(), Arc::new(Published::default()));
    let topic = Topic { publisher: published.clone(), name: "forewarn/audit".to_owned(), retain: true };
    let heads = Some((topic, Signer::from_secret(b"of this test").unwrap()));
    let (daemon, _) = begin(Parts { heads, ..parts(dir.path(), &time, &rules_of(GONE, None)) }, &time, one_word);
    for half_hours in 0..=6 {
        time.run_to(half_hours * 1_800).await;
        until_some("all loops have gone round", async || daemon.probe().stuck().is_empty().then_some(())).await;
        let due = usize::try_from(half_hours / 2 + 1).unwrap();
        until_some("the head", async || (published.0.lock().unwrap().len() >= due).then_some(())).await;
    }
    daemon.stop().await;
    let told: Vec<SignedHead> =
        published.0.lock().unwrap().iter().map(|(_, payload)| serde_json::from_slice(payload).unwrap()).collect();
    let at: Vec<Span> = told.iter().map(|head| head.at.since(start())).collect();
    assert_eq!(at, [0, 1, 2, 3].map(Span::from_hours));
    let kept = told.iter().map(|head| head.verify().unwrap());
    store::verify(&dir.path().join("desk"), kept).unwrap();
}
