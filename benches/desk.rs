//! The desk with a hundred thousand open promises: how long a start takes until every timer is armed, how long a key
//! press takes until the ladder has stopped, durably, and how fast a contact centre is answered.
//!
//! `cargo bench --bench desk` fills a desk with the shipped playbooks, settings and texts, as a night with far too many
//! breakdowns would, and prints a table; `-- --quick` takes a tenth (a look, not a figure). Each figure stands beside what
//! the disk or sled alone takes for the same. Nothing else may run on the machine.

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "this measures, and must set itself up")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forewarn::app;
use forewarn::desk::{Caller, Config, Desk, Input, Record};
use forewarn::domain::{
    At, CallProgress, Change, Customer, Detection, Device, EffectId, Endpoint, EndpointKind, EpisodeId, Level, Mode,
    Order, OrderKind, Outcome, Receipt, ReceiptKind, Registry, Severity, Span, Value, Work,
};
use forewarn::source::Diagnostics;
use forewarn::store::Store;

/// Open promises that a restart finds.
const GOALS: usize = 100_000;
/// Key presses, look-ups.
const PRESSES: usize = 2_000;
/// Inputs in one round of the desk thread, at most.
const ROUND: usize = 128;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` starts it too, and without this.
    if !args.iter().any(|a| a == "--bench") {
        return;
    }
    let part = if args.iter().any(|a| a == "--quick") { 10 } else { 1 };
    let dir = tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).expect("a directory on the disk of the sources");
    let goals = GOALS / part;
    // Of each case's promises the ticket is kept at once; the driver, the truck and the safe place stay open.
    let mut night = Night::new(dir.path(), goals.div_ceil(3));
    night.fall(goals);
    night.restart();
    night.presses(PRESSES / part);
    night.lookups(PRESSES / part);
}

/// The desk, its store and the present.
struct Night {
    config: Arc<Config>,
    desk: Desk,
    store: Store,
    dir: std::path::PathBuf,
    now: At,
    /// Calls that a provider has taken.
    calls: Vec<EffectId>,
}

impl Night {
    fn new(dir: &Path, cars: usize) -> Self {
        let config = config(cars);
        let dir = dir.join("desk");
        let (store, _) = Store::open(&dir).expect("a store");
        let now = "2026-11-20T02:00:00Z".parse().expect("an instant");
        Self { desk: Desk::new(config.clone()), config, store, dir, now, calls: Vec::new() }
    }

    /// Every car breaks down; tickets, trucks and calls are taken, and nobody answers yet.
    fn fall(&mut self, goals: usize) {
        let cars = goals.div_ceil(3);
        let begun = Instant::now();
        let mut records = Vec::new();
        for car in 0..cars {
            let detection = brake(car, self.now);
            let orders = self.decide(Input::Detection(Box::new(detection)), &mut records);
            self.take(orders, &mut records);
            if records.len() >= ROUND {
                self.store.commit_batch(&std::mem::take(&mut records)).expect("a commit");
            }
        }
        self.store.commit_batch(&records).expect("a commit");
        self.store.checkpoint().expect("a checkpoint");
        let open = self.open_goals();
        assert!(open >= goals, "only {open} goals are open");
        let each = begun.elapsed() / u32::try_from(cars).unwrap_or(u32::MAX);
        line(
            "filling",
            &format!("{cars} breakdowns, {open} goals open"),
            each,
            "a breakdown, all its effects taken, committed",
        );
    }

    fn open_goals(&self) -> usize {
        self.desk.list(false, usize::MAX).iter().map(|c| c.goals_met.1 - c.goals_met.0).sum()
    }

    fn decide(&mut self, input: Input, records: &mut Vec<Record>) -> Vec<Order> {
        let step = self.desk.handle(self.now, input);
        if let Some(record) = step.record {
            self.desk.apply(&record).expect("what the desk has just written");
            records.push(record);
        }
        step.orders
    }

    fn take(&mut self, orders: Vec<Order>, records: &mut Vec<Record>) {
        let mut open = orders;
        while let Some(order) = open.pop() {
            if order.kind == OrderKind::Send && matches!(order.work, Work::Call(_)) {
                self.calls.push(order.effect);
            }
            let outcome = Outcome::Accepted { provider_ref: format!("R-{}", order.effect) };
            let input = Input::Outcome { effect: order.effect, attempt: order.attempt, outcome };
            open.extend(self.decide(input, records));
        }
    }

    /// What a start does until every timer is armed, beside reading the same rows and doing nothing with them.
    fn restart(&mut self) {
        let (store, _) = Store::open(&self.dir.with_extension("other")).expect("a store");
        drop(std::mem::replace(&mut self.store, store));
        let begun = Instant::now();
        let (store, report) = Store::open(&self.dir).expect("the store");
        let opened = begun.elapsed();
        let rows = store.rows().expect("the rows");
        let read = begun.elapsed();
        let count = rows.len();
        let mut desk = Desk::new(self.config.clone());
        desk.load(rows).expect("rows of this program");
        let armed = desk.wake_at();
        let all = begun.elapsed();
        assert!(armed.is_some() && desk.same_state(&self.desk) && report.rebuilt.is_none());
        line("restart", &format!("{count} rows to armed timers"), all, "bar: 2 s");
        line("", "of it: sled opened, read through, checksums", opened, "");
        line("", "of it: rows handed over", read - opened, "");
        self.store = store;
    }

    /// From the callback's arrival at the desk to the durable record that ends the ladder.
    fn presses(&mut self, most: usize) {
        let step = (self.calls.len() / most).max(1);
        let calls: Vec<EffectId> = self.calls.iter().step_by(step).copied().take(most).collect();
        let mut took = Vec::new();
        for effect in calls {
            let about = |what| Input::Receipt(Receipt { effect, provider_ref: None, seq: None, what });
            let mut records = Vec::new();
            self.decide(about(ReceiptKind::Call { progress: CallProgress::InProgress }), &mut records);
            self.decide(Input::Answered { effect, turn: 1, provider_ref: format!("R-{effect}") }, &mut records);
            self.store.commit_batch(&records).expect("a commit");
            let begun = Instant::now();
            let mut records = Vec::new();
            self.decide(about(ReceiptKind::Key { digit: '1' }), &mut records);
            assert!(!records.is_empty(), "a key press is written down");
            self.store.commit_batch(&records).expect("a commit");
            took.push(begun.elapsed());
        }
        let plain = flushes(&self.dir, took.len());
        percentiles("key press to ladder stopped", &mut took, "in the desk; bar: p99 200 ms with HTTP");
        percentiles("  beside: 1 kB written and flushed", &mut plain.clone(), "");
    }

    fn lookups(&self, most: usize) {
        let mut took = Vec::new();
        for n in 0..most {
            let begun = Instant::now();
            let found = self.desk.lookup(&Caller::Phone(phone(n)));
            took.push(begun.elapsed());
            assert_eq!(found.people.len(), 1);
        }
        percentiles("look-up by phone number", &mut took, "in the desk; bar: 50 ms with HTTP");
    }
}

fn flushes(dir: &Path, count: usize) -> Vec<Duration> {
    let mut file = File::create(dir.join("plain")).expect("a file");
    let bytes = [7; 1024];
    let mut flush = || {
        let begun = Instant::now();
        file.write_all(&bytes).expect("a write");
        file.sync_data().expect("a flush");
        begun.elapsed()
    };
    (0..count).map(|_| flush()).collect()
}

fn percentiles(name: &str, took: &mut [Duration], beside: &str) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    line("", &format!("{name}, p50 of {}", took.len()), at(50), "");
    line("", &format!("{name}, p99"), at(99), beside);
}

fn line(section: &str, name: &str, took: Duration, beside: &str) {
    if !section.is_empty() {
        println!("{section}");
    }
    println!("  {name:60} {:>10.3} ms  {beside}", took.as_secs_f64() * 1e3);
}

/// The shipped configuration, without limits of providers, for a fleet of its own.
fn config(cars: usize) -> Arc<Config> {
    let mut diags = Diagnostics::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/forewarn.toml");
    let loaded = app::load(&mut diags, &path, &[]);
    let loaded = loaded.unwrap_or_else(|| panic!("{}", diags.render(false)));
    let mut config = Config::clone(&loaded.desk);
    for provider in config.providers.values_mut() {
        (provider.per_second, provider.per_hour) = (None, None);
    }
    config.registry = Arc::new(registry(cars));
    Arc::new(config)
}

fn phone(n: usize) -> String {
    format!("+49301{n:07}")
}

fn registry(cars: usize) -> Registry {
    let customer = |n: usize| Customer {
        id: format!("c-{n}").into(),
        name: "A driver".into(),
        locale: "de-DE".into(),
        tz: "Europe/Berlin".into(),
        endpoints: vec![Endpoint {
            id: format!("e-{n}").into(),
            kind: EndpointKind::Phone,
            address: phone(n).into(),
            opted_out: false,
        }],
        consents: Vec::new(),
    };
    let device = |n: usize| Device {
        id: format!("car-{n}").into(),
        model: "car".into(),
        kind: "car".into(),
        tz: "Europe/Berlin".into(),
        parties: [("driver".into(), format!("c-{n}").into())].into(),
        attrs: [("plate".into(), format!("B-FW {n}").into())].into(),
        params: BTreeMap::new(),
    };
    Registry {
        devices: (0..cars).map(device).map(|d| (d.id.clone(), d)).collect(),
        customers: (0..cars).map(customer).map(|c| (c.id.clone(), c)).collect(),
    }
}

fn brake(car: usize, at: At) -> Detection {
    let facts = [("speed", 80.0), ("lat", 48.2), ("lon", 16.37)];
    Detection {
        episode: EpisodeId::of(&[b"brake", &car.to_le_bytes()]),
        seq: 1,
        rule: "brake".into(),
        rule_rev: 1,
        mode: Mode::Live,
        fault: "brake.circuit_loss".into(),
        device: format!("car-{car}").into(),
        component: None,
        change: Change::Raised,
        level: Some(Level { name: "critical".into(), severity: Severity::Critical }),
        confidence: 1.0,
        title: "Front left brake circuit has failed".into(),
        evidence: Vec::new(),
        facts: facts.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
        started_at: at,
        event_at: at,
        received_at: at + Span::from_millis(20),
        historical: false,
        late_by: None,
        series: None,
        latched: false,
    }
}
