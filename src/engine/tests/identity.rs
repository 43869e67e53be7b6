//! The same journal gives the same detections, byte for byte: with any number of threads, over every restart, crash and
//! reload. The fleet is generated, the rules use everything that there is.

mod fleet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet::{Entry, OTHER, RULES, Seeded, enrolled, journal, program};

use crate::domain::{Change, Detection, DeviceId, Registry, shard_of};
use crate::engine::Engine;
use crate::rules::Program;

/// `FOREWARN_SEEDS` asks for more than the usual number.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("FOREWARN_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// The engines of the daemon's threads: each owns the shards that give its number as the rest.
struct Daemon {
    engines: Vec<Engine>,
    program: Arc<Program>,
    registry: Arc<Registry>,
}

/// What each entry gave, by device: the order between devices within one mark is not promised.
type Told = Vec<Vec<Detection>>;

impl Daemon {
    fn new(program: &Arc<Program>, threads: usize) -> Self {
        let registry = enrolled();
        let engine = || Engine::new(program.clone(), registry.clone());
        Self { engines: (0..threads).map(|_| engine()).collect(), program: program.clone(), registry }
    }

    fn feed(&mut self, entry: &Entry) -> Vec<Detection> {
        let mut out = Vec::new();
        let program = self.program.clone();
        match entry.shard() {
            None => self.engines.iter_mut().for_each(|e| entry.feed(e, &program, &mut out)),
            Some(shard) => entry.feed(self.owner(shard), &program, &mut out),
        }
        out.sort_by(|a, b| a.device.cmp(&b.device));
        out
    }

    fn owner(&mut self, shard: u8) -> &mut Engine {
        let threads = self.engines.len();
        &mut self.engines[usize::from(shard) % threads]
    }

    fn snapshots(&mut self) -> Vec<Vec<u8>> {
        (0..=u8::MAX).map(|shard| self.owner(shard).snapshot(shard)).collect()
    }

    fn reload(&mut self, program: &Arc<Program>, entry: &Entry) -> Vec<Detection> {
        let mut out = Vec::new();
        self.program = program.clone();
        for engine in &mut self.engines {
            engine.reload(program.clone(), self.registry.clone(), entry.at(), &mut out);
        }
        out
    }

    /// Other engines, with what the snapshots say.
    fn restarted(&self, threads: usize, snapshots: &[Vec<u8>]) -> Self {
        let mut next = Self::new(&self.program, threads);
        for (shard, bytes) in (0..=u8::MAX).zip(snapshots) {
            next.owner(shard).restore(shard, bytes).expect("snapshot");
        }
        next
    }
}

fn whole(program: &Arc<Program>, entries: &[Entry]) -> (Told, Vec<Vec<u8>>) {
    let mut daemon = Daemon::new(program, 1);
    let told = entries.iter().map(|entry| daemon.feed(entry)).collect();
    (told, daemon.snapshots())
}

/// Stops at the first entry that gave something else.
fn same(what: &str, seed: u64, ix: usize, entry: &Entry, expected: &[Detection], found: &[Detection]) {
    if bytes(expected) == bytes(found) {
        return;
    }
    let lines = |list: &[Detection]| list.iter().map(|d| serde_json::to_string(d).unwrap()).collect::<Vec<_>>();
    let (expected, found) = (lines(expected), lines(found));
    let only =
        |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>().join("\n");
    panic!(
        "seed {seed}, {what}: entry {ix} gives something else\n{entry:?}\nexpected:\n{}\nfound:\n{}",
        only(&expected, &found),
        only(&found, &expected)
    );
}

fn bytes(list: &[Detection]) -> Vec<u8> {
    postcard::to_stdvec(list).unwrap()
}

/// All of them, in the order in which they are put together.
fn merged(told: &Told) -> Vec<Detection> {
    let mut all: Vec<Detection> = told.iter().flatten().cloned().collect();
    all.sort_by(|a, b| (a.event_at, &a.device).cmp(&(b.event_at, &b.device)));
    all
}

#[test]
fn threads_change_nothing() {
    let program = program(RULES);
    for seed in seeds() {
        let entries = journal(seed);
        let (expected, states) = whole(&program, &entries);
        for threads in [2, 4] {
            let mut many = Daemon::new(&program, threads);
            let told: Told = entries.iter().map(|entry| many.feed(entry)).collect();
            for (ix, entry) in entries.iter().enumerate() {
                same(&format!("{threads} threads"), seed, ix, entry, &expected[ix], &told[ix]);
            }
            assert_eq!(bytes(&merged(&expected)), bytes(&merged(&told)), "seed {seed}, {threads} threads");
            assert!(many.snapshots() == states, "seed {seed}, {threads} threads: the states differ");
        }
    }
}

#[test]
fn d4_restarts_change_nothing() {
    let program = program(RULES);
    for seed in seeds() {
        let entries = journal(seed);
        let (expected, states) = whole(&program, &entries);
        let mut random = Seeded(seed);
        let mut daemon = Daemon::new(&program, 1);
        for (ix, entry) in entries.iter().enumerate() {
            same("restarts", seed, ix, entry, &expected[ix], &daemon.feed(entry));
            if random.below(40) == 0 {
                let saved = daemon.snapshots();
                daemon = daemon.restarted([1, 2, 4][random.index(3)], &saved);
                assert!(daemon.snapshots() == saved, "seed {seed}, entry {ix}: a state is not what was saved");
            }
        }
        assert!(daemon.snapshots() == states, "seed {seed}: the states differ");
    }
}

#[test]
fn d4_crashes_repeat_what_was_told_and_change_nothing() {
    let program = program(RULES);
    for seed in seeds() {
        let entries = journal(seed);
        let (expected, states) = whole(&program, &entries);
        let mut random = Seeded(seed);
        let mut daemon = Daemon::new(&program, 2);
        // By shard: how many entries its checkpoint has seen, and the checkpoint.
        let mut kept: Vec<(usize, Vec<u8>)> = daemon.snapshots().into_iter().map(|bytes| (0, bytes)).collect();
        let mut ix = 0;
        while ix < entries.len() {
            same("crashes", seed, ix, &entries[ix], &expected[ix], &daemon.feed(&entries[ix]));
            ix += 1;
            // Shards are written one after the other, each as it is at its time.
            for shard in (0..=u8::MAX).filter(|_| random.below(40) == 0) {
                kept[usize::from(shard)] = (ix, daemon.owner(shard).snapshot(shard));
            }
            if random.below(60) > 0 {
                continue;
            }
            let states: Vec<Vec<u8>> = kept.iter().map(|(_, bytes)| bytes.clone()).collect();
            daemon = daemon.restarted(2, &states);
            let oldest = kept.iter().map(|(seen, _)| *seen).min().unwrap_or(0);
            for (again, entry) in entries[..ix].iter().enumerate().skip(oldest) {
                let known = |shard: u8| again < kept[usize::from(shard)].0;
                if entry.shard().is_some_and(known) {
                    continue;
                }
                let found = daemon.feed(entry);
                let expected: Vec<Detection> =
                    expected[again].iter().filter(|d| !known(shard_of(d.device.as_str()))).cloned().collect();
                same("replay after a crash", seed, again, entry, &expected, &found);
            }
        }
        assert!(daemon.snapshots() == states, "seed {seed}: the states differ");
    }
}

#[test]
fn reload_of_the_same_rules_changes_nothing() {
    let rules = program(RULES);
    let again = program(RULES);
    for seed in seeds() {
        let entries = journal(seed);
        let (expected, states) = whole(&rules, &entries);
        let mut random = Seeded(seed);
        let mut daemon = Daemon::new(&rules, 2);
        for (ix, entry) in entries.iter().enumerate() {
            same("reloads", seed, ix, entry, &expected[ix], &daemon.feed(entry));
            if random.below(40) == 0 {
                let ended = daemon.reload(if random.below(2) == 0 { &rules } else { &again }, entry);
                assert!(ended.is_empty(), "seed {seed}, entry {ix}: {ended:?}");
            }
        }
        assert!(daemon.snapshots() == states, "seed {seed}: the states differ");
    }
}

#[test]
fn reload_that_adds_or_removes_a_rule_leaves_the_others_alone() {
    let few = program(RULES);
    let more = program(&format!("{OTHER}{RULES}"));
    let other = |d: &Detection| d.rule.as_str() == "aaa-other";
    let mut came = 0;
    for seed in seeds() {
        let entries = journal(seed);
        let (expected, _) = whole(&few, &entries);
        let mut random = Seeded(seed);
        let mut daemon = Daemon::new(if seed % 2 == 0 { &few } else { &more }, 2);
        for (ix, entry) in entries.iter().enumerate() {
            let found = daemon.feed(entry);
            came += found.iter().filter(|d| other(d)).count();
            let found: Vec<Detection> = found.into_iter().filter(|d| !other(d)).collect();
            same("another rule", seed, ix, entry, &expected[ix], &found);
            if random.below(40) == 0 {
                let next = if random.below(2) == 0 { &few } else { &more };
                let ended = daemon.reload(next, entry);
                assert!(ended.iter().all(|d| other(d) && d.change == Change::RuleRemoved), "seed {seed}: {ended:?}");
            }
        }
    }
    assert!(came > 0, "the other rule never said anything");
}

/// What is new after a reload, refilled from the journal, is what it would be if it had always been followed; a crash right
/// after comes back to the same.
#[test]
fn reload_refills_what_is_new_as_if_it_had_always_been_followed() {
    let few = program(OTHER);
    let all = program(&format!("{RULES}{OTHER}"));
    for seed in seeds() {
        let entries = journal(seed);
        let cut = Seeded(seed).index(entries.len() / 2) + entries.len() / 2;
        let (mut always, mut edited) = (Daemon::new(&all, 1), Daemon::new(&few, 2));
        for entry in &entries[..cut] {
            always.feed(entry);
            edited.feed(entry);
        }
        let before = edited.snapshots();
        let ended = edited.reload(&all, &entries[cut - 1]);
        assert!(ended.is_empty(), "seed {seed}: {ended:?}");
        let mut crashed = edited.restarted(3, &before);
        for daemon in [&mut edited, &mut crashed] {
            let cold: usize = daemon.engines.iter().map(|e| e.cold().len()).sum();
            assert!(cold > 0, "seed {seed}: nothing is new");
            for engine in &mut daemon.engines {
                for shard in engine.cold() {
                    engine.refill(shard, &always.engines[0]);
                }
                assert!(engine.cold().is_empty());
            }
            same_learned(&always, daemon, seed);
        }
        assert!(edited.snapshots() == crashed.snapshots(), "seed {seed}: a crash leaves another state");
    }
}

/// The same signals, operators and clocks of the same devices and parts; how far rules are may differ.
fn same_learned(expected: &Daemon, found: &Daemon, seed: u64) {
    let (expected, found) = (learned(expected), learned(found));
    let names = |all: &BTreeMap<String, Vec<u64>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&expected), names(&found), "seed {seed}");
    for (what, words) in &expected {
        assert_eq!(*words, found[what], "seed {seed}: {what}");
    }
}

/// What is known of devices and their parts, by device, part and item. Texts, clocks and what waits stand in the names.
fn learned(daemon: &Daemon) -> BTreeMap<String, Vec<u64>> {
    let mut all = BTreeMap::new();
    for device in daemon.engines.iter().flat_map(|e| &e.shards).flat_map(|s| &s.devices) {
        let model = &daemon.program.models[usize::from(device.model)];
        let mut add = |who: &str, lane: u16, row: &[u64]| {
            for item in model.lanes[usize::from(lane)].items.iter().filter(|item| !item.is_of_rule()) {
                let words = row[item.offset..item.offset + item.words].to_vec();
                all.insert(format!("{} {who}: {}", device.id, item.key), words);
            }
        };
        let mut texts = device.texts.clone();
        texts.sort();
        let waiting: Vec<_> = device.waiting.iter().map(|s| (s.at, &s.values, &s.parts, &s.texts)).collect();
        let clock = device.aside.as_ref().map(|aside| (aside.skew, aside.ahead));
        add(&format!("{texts:?} {waiting:?} {clock:?}"), 0, &device.row);
        for part in &device.parts.0 {
            add(&format!("{} {} {:?}", part.lane, part.key, part.texts), part.lane, &part.row);
        }
    }
    all
}

/// Otherwise the tests above would prove nothing.
#[test]
fn every_rule_speaks_and_every_function_is_used() {
    let program = program(RULES);
    let (mut spoke, mut changes, mut devices) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::<DeviceId>::new());
    for seed in seeds() {
        for d in whole(&program, &journal(seed)).0.into_iter().flatten() {
            changes.insert(format!("{:?}", d.change));
            *spoke.entry(d.rule.to_string()).or_insert(0) += 1;
            if d.historical {
                changes.insert("historical".into());
            }
            if d.latched {
                changes.insert("latched".into());
            }
            devices.insert(d.device);
        }
    }
    let silent: Vec<_> = program.rules().iter().filter(|r| !spoke.contains_key(r.id.as_str())).map(|r| &r.id).collect();
    assert!(silent.is_empty(), "{silent:?} never said anything: {spoke:?}");
    for change in ["Raised", "Cleared", "historical", "latched"] {
        assert!(changes.contains(change), "nothing {change}: {changes:?}");
    }
    assert!(devices.len() > 5, "{devices:?}");
    let unused: Vec<_> = crate::rules::functions().filter(|name| !RULES.contains(&format!("{name}("))).collect();
    assert!(unused.is_empty(), "no rule uses {unused:?}");
}
