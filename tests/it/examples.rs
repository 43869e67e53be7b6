//! The shipped examples as a user runs them: each is checked, its rule tests pass, and over recordings of real machines
//! it says what its README promises. Two of them live, with the real binary as daemon, as replayer and to list the
//! cases, a real mosquitto between them; all with `forewarn backtest`.
//!
//! Excerpts are in `tests/data`. `FOREWARN_DATA=<directory>` adds the whole recordings.

#![expect(clippy::unwrap_used, reason = "these are tests, their helper functions too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forewarn::domain::{At, Purpose, Span};
use forewarn::playbook::{Part, Verb};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::broker::{Broker, OPEN, free_port};

/// A recording and what is known of it.
struct Recording {
    telemetry: PathBuf,
    truth: Vec<Failure>,
}

/// A row of `truth.csv`.
#[derive(Deserialize)]
struct Failure {
    device: String,
    /// Several are joined by `+`.
    kind: String,
    /// Empty if nobody knows.
    onset: String,
    failure: String,
    end: String,
}

/// The excerpt, and the whole one if there is one.
fn recordings(name: &str) -> Vec<Recording> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files = vec![(data.join(format!("{name}.csv.gz")), data.join(format!("{name}-truth.csv")))];
    match std::env::var_os("FOREWARN_DATA").map(|dir| Path::new(&dir).join(name)) {
        Some(dir) => files.push((dir.join("telemetry.csv.gz"), dir.join("truth.csv"))),
        None => println!("{name}: the excerpt alone; FOREWARN_DATA is not set"),
    }
    let read = |path: &Path| csv::Reader::from_path(path).unwrap().into_deserialize().map(Result::unwrap).collect();
    files.into_iter().map(|(telemetry, truth)| Recording { telemetry, truth: read(&truth) }).collect()
}

/// A line of `forewarn case list --json`.
#[derive(Debug, Deserialize)]
struct Case {
    device: String,
    fault: String,
    event_at: String,
    phase: String,
}

/// The daemon with the configuration of an example.
struct Plant {
    example: &'static str,
    broker: Broker,
    store: tempfile::TempDir,
    port: u16,
    daemon: Option<Child>,
}

impl Plant {
    fn new(example: &'static str) -> Self {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let store = tempfile::tempdir().unwrap();
        Self { example, broker: Broker::start(OPEN), store, port: free_port(), daemon: None }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.store.path().join("log")).unwrap()
    }

    /// Starts the daemon and waits until it is ready and has subscribed `times` times so far.
    async fn start(&mut self, times: usize) {
        let log = File::options().create(true).append(true).open(self.store.path().join("log")).unwrap();
        let settings = root().join("examples").join(self.example).join("forewarn.toml");
        let child = forewarn()
            .args(["run", "--config"])
            .arg(settings)
            .env("FOREWARN__STORE__DIR", self.store.path())
            .env("FOREWARN__BROKER__URLS", self.broker.url())
            .env("FOREWARN__HTTP__LISTEN", format!("127.0.0.1:{}", self.port))
            .env("FOREWARN__HTTP__PUBLIC_URL", self.url())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.daemon = Some(child.unwrap());
        self.until("ready and subscribed", async |plant| {
            let answer = reqwest::get(plant.url() + "/readyz").await;
            answer.is_ok_and(|a| a.status().is_success())
                && plant.broker.log().matches("Received SUBSCRIBE").count() >= times
        })
        .await;
    }

    /// SIGTERM: everything that was taken in is worked on.
    fn stop(&mut self) {
        let mut child = self.daemon.take().unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    async fn until(&mut self, what: &str, mut is: impl AsyncFnMut(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(120);
        while !is(self).await {
            let ended = self.daemon.as_mut().and_then(|d| d.try_wait().unwrap());
            assert!(ended.is_none() && Instant::now() < limit, "not {what} ({ended:?}):\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All cases that a recording leads to.
    async fn cases(mut self, recording: &Path) -> Vec<Case> {
        self.start(1).await;
        let replay = forewarn()
            .arg("replay")
            .arg(recording)
            .args(["--broker", &self.broker.url(), "--speed", "max"])
            .output()
            .unwrap();
        let said = String::from_utf8(replay.stdout).unwrap();
        assert!(replay.status.success(), "{said}{}", String::from_utf8_lossy(&replay.stderr));
        let sent = format!("forewarn_messages_total {}", said.split(' ').next().unwrap());
        self.until(&sent, async |plant| {
            let metrics = reqwest::get(plant.url() + "/metrics").await.unwrap().text().await.unwrap();
            metrics.lines().any(|line| line == sent)
        })
        .await;
        // What the engine has told and the desk has not yet written is drained; the cases outlast the daemon.
        self.stop();
        self.start(2).await;
        self.list()
    }

    fn list(&self) -> Vec<Case> {
        #[derive(Deserialize)]
        struct List {
            cases: Vec<Case>,
        }
        let token = root().join("examples/token");
        let list = forewarn()
            .args(["case", "list", "--closed", "--limit", "1000", "--json", "--url", &self.url(), "--token-file"])
            .arg(token)
            .output()
            .unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        serde_json::from_slice::<List>(&list.stdout).unwrap().cases
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn forewarn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command.stdin(Stdio::null());
    command
}

/// Precision, recall and F1.
fn f1(labelled: &BTreeSet<&str>, found: &BTreeSet<&str>) -> (f64, f64, f64) {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    let hits = count(labelled.intersection(found).count());
    let (precision, recall) = (hits / count(found.len()), hits / count(labelled.len()));
    (precision, recall, 2.0 * precision * recall / (precision + recall))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mill_gets_a_case_for_each_failed_cut_and_for_no_other() {
    for recording in recordings("ai4i") {
        let cases = Plant::new("mill").cases(&recording.telemetry).await;
        for (mode, fault) in [("PWF", "mill.power"), ("OSF", "mill.overstrain"), ("HDF", "mill.heat")] {
            let of_mode = recording.truth.iter().filter(|f| f.kind.split('+').any(|k| k == mode));
            let labelled: BTreeSet<&str> = of_mode.map(|f| f.failure.as_str()).collect();
            let of_fault: Vec<&str> =
                cases.iter().filter(|c| c.fault == fault).map(|c| c.event_at.trim_end_matches('Z')).collect();
            let found: BTreeSet<&str> = of_fault.iter().copied().collect();
            let (precision, recall, f1) = f1(&labelled, &found);
            let (n, file) = (labelled.len(), recording.telemetry.display());
            println!("{mode}: precision {precision:.3}, recall {recall:.3}, F1 {f1:.3} of {n} failures in {file}");
            assert!(n > 10, "{mode}: too few to show anything");
            assert_eq!(found, labelled, "{mode}");
            assert_eq!(of_fault.len(), found.len(), "{mode}: a cut has two cases");
        }
        let modes = ["PWF", "OSF", "HDF"];
        let expected: usize = modes.iter().map(|m| recording.truth.iter().filter(|f| f.kind.contains(m)).count()).sum();
        assert_eq!(cases.len(), expected);
        assert!(cases.iter().all(|c| c.phase == "closed"), "the next cut, a good one in the end, closes every case");
    }
}

/// What is said of an engine: [`at`](Self::at) is the device time of its case.
struct Warning {
    at: At,
    failure: At,
}

impl Warning {
    fn lead(&self) -> Span {
        self.failure.since(self.at)
    }
}

/// At least 10 and at most 60 days before the failure; the setting in which the recording is scored.
const LEAD: std::ops::RangeInclusive<Span> = Span::from_hours(10 * 24)..=Span::from_hours(60 * 24);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engines_are_warned_of_weeks_before_they_fail() {
    for recording in recordings("cmapss-fd001") {
        let cases = Plant::new("engine").cases(&recording.telemetry).await;
        let mut warnings: BTreeMap<&str, Warning> = BTreeMap::new();
        for case in &cases {
            let failure = recording.truth.iter().find(|f| f.device == case.device).unwrap();
            let warning = Warning { at: case.event_at.parse().unwrap(), failure: failure.failure.parse().unwrap() };
            assert!(warnings.insert(&case.device, warning).is_none(), "{} has two cases", case.device);
        }
        judge(&recording, warnings.values(), (recording.truth.len(), 0, 0));
    }
}

/// Compares what was said with (predicted in time, late, too early); every engine is warned of.
fn judge<'a>(
    recording: &Recording,
    warnings: impl Iterator<Item = &'a Warning> + Clone,
    expected: (usize, usize, usize),
) {
    let in_time = warnings.clone().filter(|w| LEAD.contains(&w.lead())).count();
    let late = warnings.clone().filter(|w| w.lead() < *LEAD.start()).count();
    let too_early = warnings.count() - in_time - late;
    println!("{} engines: {in_time} predicted, {late} late, {too_early} false alarms", recording.truth.len());
    assert_eq!((in_time, late, too_early), expected, "{}", recording.telemetry.display());
    assert_eq!(in_time + late, recording.truth.len());
}

#[test]
fn engines_with_two_kinds_of_wear_are_warned_of_by_the_same_rule() {
    for recording in recordings("cmapss-fd003") {
        let warnings = backtest("engine", &recording.telemetry).into_iter().map(|alert| {
            let failure = recording.truth.iter().find(|f| f.device == alert.device).unwrap();
            Warning { at: alert.ts.parse().unwrap(), failure: failure.failure.parse().unwrap() }
        });
        let warnings: Vec<Warning> = warnings.collect();
        let expected = if recording.truth.len() > 12 { (94, 6, 0) } else { (11, 1, 0) };
        judge(&recording, warnings.iter(), expected);
    }
}

/// What `forewarn backtest --alerts` writes.
#[derive(Debug, Deserialize)]
struct Alert {
    ts: String,
    device: String,
}

/// What the rules of an example would have raised over a recording.
fn backtest(example: &str, telemetry: &Path) -> Vec<Alert> {
    let dir = tempfile::tempdir().unwrap();
    let (settings, alerts) = (root().join("examples").join(example).join("forewarn.toml"), dir.path().join("alerts"));
    let ran = forewarn()
        .arg("backtest")
        .arg("--config")
        .arg(settings)
        .arg("--data")
        .arg(telemetry)
        .arg("--alerts")
        .arg(&alerts)
        .output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let lines = std::fs::read_to_string(alerts).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_example_is_free_of_findings_and_its_rule_tests_pass() {
    let mut examples: Vec<PathBuf> =
        std::fs::read_dir(root().join("examples")).unwrap().map(|e| e.unwrap().path()).collect();
    examples.retain(|path| path.is_dir());
    examples.sort();
    for example in examples {
        for command in [&["check", "--strict"][..], &["test"]] {
            let ran = forewarn().args(command).arg("--config").arg(example.join("forewarn.toml")).output().unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            assert!(ran.status.success(), "{command:?} {}:\n{said}", example.display());
        }
        for file in ["README.md", "registry/devices.csv", "tests"] {
            assert!(example.join(file).exists(), "{} has no {file}", example.display());
        }
    }
}

/// An example with texts of its own has words for each of its faults in each of its languages, and each text of an everyday
/// step can be one of several in a message.
#[test]
fn the_examples_speak_of_each_of_their_faults_in_plain_words() {
    for (example, locales) in
        [("ev-fleet", ["en", "de"]), ("hvac", ["en", "de"]), ("lift", ["en", "de"]), ("pump", ["en", "de"])]
    {
        let (loaded, _) = forewarn::app::check(&root().join("examples").join(example).join("forewarn.toml")).unwrap();
        let texts = &loaded.desk.messages;
        let customer = loaded.rules.registry.customers.values().next().unwrap();
        assert!(locales.iter().any(|locale| customer.locale.starts_with(locale)));
        for rule in loaded.rules.program.rules() {
            let device = json!({ "id": "x-1", "plate": "B-X 1", "site": "Harbour" });
            let facts = json!({ "fault": { "name": rule.fault.as_str(), "title": "TITLE" }, "device": device });
            let said = locales.map(|locale| {
                let facts = texts.with_words(&facts, locale);
                for word in ["what", "means", "advice"] {
                    let text = facts["fault"][word].as_str().unwrap();
                    assert!(!text.is_empty() && text != "TITLE", "{example}: {} has no {word} in {locale}", rule.fault);
                }
                facts["fault"]["what"].clone()
            });
            assert_ne!(said[0], said[1], "{example}: {}", rule.fault);
            for plan in loaded.desk.playbooks.iter().filter(|p| p.policy.purpose != Purpose::Safety) {
                for reach in
                    plan.steps.iter().filter_map(|s| if let Verb::Reach(reach) = &s.verb { Some(reach) } else { None })
                {
                    for locale in locales {
                        let (_, item) = texts.render(reach.script.as_str(), Part::Item, locale, &facts).unwrap();
                        assert!(
                            item.len() > 20 && texts.locale("several", Part::Html, locale) == Some(locale),
                            "{item}"
                        );
                    }
                }
            }
        }
    }
}

/// Days on which something was raised, by device, in the order of the text.
fn days(alerts: &[Alert]) -> BTreeSet<String> {
    alerts.iter().map(|a| format!("{} {}", a.device, &a.ts[..10])).collect()
}

#[test]
fn the_bearings_that_break_are_told_days_before_and_the_others_never() {
    for recording in recordings("ims-rig1") {
        let told = days(&backtest("bearing", &recording.telemetry));
        let expected = ["rig1-bearing-3 2003-11-23", "rig1-bearing-4 2003-11-22"];
        assert_eq!(told, expected.map(str::to_owned).into(), "{}", recording.telemetry.display());
    }
}

#[test]
fn an_air_handler_is_told_of_on_days_with_a_fault_and_on_no_other() {
    for (name, found) in [("lbnl-szcav", 13), ("lbnl-mzvav-2-1", 0)] {
        for recording in recordings(name) {
            let told = days(&backtest("air-handler", &recording.telemetry));
            let faulty: BTreeSet<String> =
                recording.truth.iter().map(|f| format!("{} {}", f.device, &f.onset[..10])).collect();
            assert!(told.is_subset(&faulty), "{name}: {:?} are healthy days", told.difference(&faulty));
            assert_eq!(told.len(), found, "{name}: {told:?}");
        }
    }
}

#[test]
fn in_nearly_every_window_that_people_marked_a_series_is_unusual() {
    for recording in recordings("nab-dev") {
        let alerts = backtest("series", &recording.telemetry);
        let inside = |a: &Alert, w: &Failure| {
            let at = a.ts.trim_end_matches('Z');
            a.device == w.device && *w.failure <= *at && *at <= *w.end
        };
        let found = recording.truth.iter().filter(|w| alerts.iter().any(|a| inside(a, w))).count();
        let outside = alerts.iter().filter(|a| !recording.truth.iter().any(|w| inside(a, w))).count();
        let expected = if recording.truth.len() > 11 { (55, 243) } else { (11, 21) };
        assert_eq!((found, outside), expected, "{}", recording.telemetry.display());
    }
}
