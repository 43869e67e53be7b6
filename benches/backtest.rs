//! How fast a recording is played: `cargo bench --bench backtest`.
//!
//! A sample is one value of one signal of one device. 2,000 devices send eight of them every ten seconds, watched by ten
//! simple rules; the recording is a plain CSV. Target: 2 million samples a second on two cores. Beside it, what the `csv`
//! crate alone needs to read the same file, and to read it and parse its numbers.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use forewarn::domain::Registry;
use forewarn::lab::play;
use forewarn::lab::recording::{Fleet, Recording};
use forewarn::model;
use forewarn::rules::{self, Program};
use forewarn::source::Diagnostics;

const DEVICES: u32 = 2_000;
const ROWS: u32 = 250;
const SIGNALS: [&str; 8] = ["coolant", "oil_t", "oil_p", "rpm", "speed", "v12", "amb", "load"];
const RUNS: u32 = 5;

const RULES: [(&str, &str); 10] = [
    ("overheat", "coolant > 108 && rpm > 0\"\nhold = \"60s\"\nclear = \"coolant < 100"),
    ("oil-pressure", "rpm > 1000 && oil_p < 1.2\"\nhold = \"20s"),
    ("oil-hot", "oil_t > 130 || oil_t - coolant > 35\"\nhold = \"2m"),
    ("undervolt", "v12 < 11.9\"\nhold = \"5m\"\nclear = \"v12 > 13.5"),
    ("overrev", "rpm > 6800"),
    ("stuck", "speed > 30 && coolant < 40\"\nhold = \"20m"),
    ("cold-sport", "rpm > 5000 && coolant < 60"),
    ("too-fast", "speed > 180\"\nhold = \"30s"),
    ("load-high", "load > 95\"\nhold = \"10m"),
    ("frost", "amb < -30 || amb > 50"),
];

fn program() -> Arc<Program> {
    let mut model =
        "[model]\nid = \"engine\"\ntopics = [\"f/+/t\"]\ntimestamp = { path = \"ts\", unit = \"rfc3339\" }\n\
                     report_every = \"10s\"\n[signal]\n"
            .to_owned();
    SIGNALS.iter().for_each(|name| writeln!(model, "{name} = {{ path = \"{name}\" }}").expect("text"));
    let mut rules = String::new();
    for (id, when) in RULES {
        let head = format!("[[rule]]\nid = \"{id}\"\nmodels = [\"engine\"]\nseverity = \"major\"");
        writeln!(rules, "{head}\nwhen = \"{when}\"").expect("text");
    }
    let mut diags = Diagnostics::default();
    let file = diags.add_file("model", model);
    let models = Arc::new(model::load(&mut diags, &[file]));
    let file = diags.add_file("rules", rules);
    let program = rules::load(&mut diags, &[file], models);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Arc::new(program)
}

fn recording(path: &Path) {
    let mut text = format!("ts,device,{}\n", SIGNALS.join(","));
    for row in 0..ROWS {
        let (hour, minute, second) = (row / 360, row / 6 % 60, row % 6 * 10);
        for device in 0..DEVICES {
            let wave = f64::from((row + device) % 70) / 10.0;
            writeln!(
                text,
                "2026-01-01T{hour:02}:{minute:02}:{second:02}Z,dev-{device:05},{:.1},{:.1},3.1,{:.0},87.5,14.12,{:.1},{:.2}",
                88.0 + wave,
                95.0 + wave,
                2100.0 + wave * 100.0,
                wave * 3.0,
                40.0 + wave
            )
            .expect("text");
        }
    }
    std::fs::write(path, text).expect("a temporary file");
}

/// The fastest of some runs, in seconds.
#[expect(clippy::disallowed_methods, reason = "this measures")]
fn best(mut run: impl FnMut()) -> f64 {
    let times = (0..RUNS).map(|_| {
        let started = Instant::now();
        run();
        started.elapsed().as_secs_f64()
    });
    times.fold(f64::MAX, f64::min)
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("telemetry.csv");
    recording(&path);
    let samples = f64::from(DEVICES) * f64::from(ROWS) * 8.0;
    let show =
        |what: &str, seconds: f64| println!("{what:<52} {:>7.2} million samples a second", samples / seconds / 1e6);
    show("csv crate, fields as text", best(|| read(&path, |field| field.len() > 100)));
    show("csv crate, fields as numbers", best(|| read(&path, |field| field.parse::<f64>().is_ok_and(f64::is_nan))));
    let (program, registry) = (program(), Arc::new(Registry::default()));
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    for threads in [1, cores] {
        let once = || {
            let fleet = Fleet { models: program.models().clone(), registry: registry.clone(), model: None };
            let recording = Recording::open(&path, fleet).expect("the recording");
            let played = play(recording, std::slice::from_ref(&program), &registry, threads, |_| {}).expect("played");
            assert_eq!(played.values, u64::from(DEVICES * ROWS) * 8);
        };
        show(&format!("backtest, 10 rules, reader and {threads} of {cores} cores"), best(once));
    }
}

fn read(path: &Path, odd: impl Fn(&str) -> bool) {
    let mut reader = csv::Reader::from_path(path).expect("the recording");
    let mut row = csv::StringRecord::new();
    let mut count = 0;
    while reader.read_record(&mut row).expect("a row") {
        count += row.iter().filter(|field| odd(field)).count();
    }
    assert_eq!(count, 0);
}
