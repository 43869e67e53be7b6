//! The desk with a hundred thousand open promises: how long a start takes until every timer is armed, how long a key
//! press takes until the ladder has stopped, durably, and how fast a contact centre is answered.
//!
//! `cargo bench --bench desk` fills a desk with the shipped playbooks, settings and texts, as a night with far too many
//! breakdowns would, starts the daemon on it, asks it over HTTP as a phone network and a contact centre do, and prints a
//! table; `-- --quick` takes a tenth (a look, not a figure). Each figure stands beside what the disk or sled alone takes
//! for the same. Nothing else may run on the machine.

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "this measures, and must set itself up")]

mod fleet;
mod live;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forewarn::desk::{Config, Desk, Input, Record};
use forewarn::domain::{At, EffectId, Order, OrderKind, Outcome, Work};
use forewarn::store::{KeyFile, Store};

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
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk of the sources");
    let goals = GOALS / part;
    // Of each case's promises the ticket is kept at once; the driver, the truck and the safe place stay open.
    let shipped = fleet::shipped();
    let mut night = Night::new(dir.path(), fleet::config(&shipped, goals.div_ceil(3)));
    night.fall(goals);
    night.restart();
    let plain = flushes(dir.path(), PRESSES / part);
    live::measure(&shipped, night, PRESSES / part);
    percentiles("  beside: 1 kB written and flushed", plain, "");
}

/// The desk, its store and the present.
struct Night {
    config: Arc<Config>,
    desk: Desk,
    store: Store,
    keys: KeyFile,
    dir: std::path::PathBuf,
    now: At,
    /// Calls that a provider has taken.
    calls: Vec<EffectId>,
}

impl Night {
    fn new(dir: &Path, mut config: Config) -> Self {
        let mut keys = KeyFile::open(&dir.join("keys"), None).expect("a file of keys");
        keys.admit(config.registry.customers.keys()).expect("keys");
        config.keys = keys.ring();
        let config = Arc::new(config);
        let (store, _) = Store::open(&dir.join("desk")).expect("a store");
        let now = "2026-11-20T02:00:00Z".parse().expect("an instant");
        Self { desk: Desk::new(config.clone()), config, store, keys, dir: dir.to_owned(), now, calls: Vec::new() }
    }

    /// Every car breaks down; tickets, trucks and calls are taken, and nobody answers yet.
    fn fall(&mut self, goals: usize) {
        let cars = goals.div_ceil(3);
        let begun = Instant::now();
        let mut records = Vec::new();
        for car in 0..cars {
            let detection = fleet::brake(car, self.now);
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
        let (store, _) = Store::open(&self.dir.join("other")).expect("a store");
        drop(std::mem::replace(&mut self.store, store));
        let begun = Instant::now();
        let (store, report) = Store::open(&self.dir.join("desk")).expect("the store");
        let opened = begun.elapsed();
        let rows = store.rows().expect("the rows");
        let read = begun.elapsed();
        let count = rows.len();
        let mut desk = Desk::new(self.config.clone());
        desk.load(rows.iter()).expect("rows of this program");
        let armed = desk.wake_at();
        let all = begun.elapsed();
        assert!(armed.is_some() && desk.same_state(&self.desk) && report.rebuilt.is_none());
        line("restart", &format!("{count} rows to armed timers"), all, "bar: 2 s");
        line("", "of it: sled opened, read through, checksums", opened, "");
        line("", "of it: rows handed over", read - opened, "");
        self.store = store;
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

fn percentiles(name: &str, mut took: Vec<Duration>, beside: &str) {
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
