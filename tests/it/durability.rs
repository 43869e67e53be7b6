//! What must survive: kills, full disks, damaged files.
//!
//! Some tests need a process that can be killed or limited: they start this test binary again, with the name of one of
//! the `child_…` tests and their order in the environment. Without that order such a test is told to do nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops at the place")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forewarn::desk::Record;
use forewarn::domain::At;
use forewarn::journal::{self, Journal, Keep, Options, Pos, Reader};
use forewarn::store::{self, Store};
use tempfile::TempDir;

const ORDER: &str = "FOREWARN_TEST_DIR";

/// A small generator with a seed, so that a failing round can be repeated.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn at(n: u64) -> At {
    At::from_secs(n.cast_signed())
}

fn payload(n: u64) -> Vec<u8> {
    n.to_le_bytes().into_iter().cycle().take(usize::try_from(n * 37 % 600).unwrap()).collect()
}

fn record(n: u64) -> Record {
    let changes = vec![
        (format!("case/{}", n % 40).into_bytes(), Some(vec![1; usize::try_from(n * 31 % 500).unwrap()])),
        (format!("effect/{n}").into_bytes(), Some(n.to_le_bytes().repeat(20))),
        (format!("effect/{}", n.saturating_sub(600)).into_bytes(), None),
    ];
    Record { at: at(n), actor: "engine".into(), what: format!("record {n}"), changes }
}

/// The rows after so many records.
fn reference(records: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for n in 1..=records {
        for (key, row) in record(n).changes {
            match row {
                Some(row) => drop(rows.insert(key, row)),
                None => drop(rows.remove(&key)),
            }
        }
    }
    rows
}

fn rows(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.rows().unwrap().iter().map(|(key, row)| (key.to_vec(), row.to_vec())).collect()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// This binary again, running only `test` as a child with `dir` as its order.
fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("durability::{test}"), "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ORDER, dir).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn order() -> Option<PathBuf> {
    std::env::var_os(ORDER).map(PathBuf::from)
}

/// Says to the parent what is durable: past the test harness, which would hold it back.
fn acknowledge(n: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {n}").unwrap();
    out.flush().unwrap();
}

/// Lets the child run for so long after its first acknowledgement, kills it, and gives the last number it acknowledged.
fn kill_after(mut child: Child, run: Duration) -> u64 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acked = |line: &str| line.strip_prefix("ack ").and_then(|n| n.parse::<u64>().ok());
    let mut last = 0;
    for line in lines.by_ref() {
        if let Some(n) = acked(&line.unwrap()) {
            last = n;
            break;
        }
    }
    std::thread::sleep(run);
    child.kill().unwrap();
    child.wait().unwrap();
    // What the pipe still holds was said before the kill.
    lines.map_while(Result::ok).filter_map(|line| acked(&line)).fold(last, u64::max)
}

#[test]
fn child_appends_until_killed() {
    let Some(dir) = order() else { return };
    let options = Options { segment_bytes: 100_000, ..Options::default() };
    let (mut journal, _) = Journal::open(&dir, options).unwrap();
    loop {
        for _ in 0..17 {
            let n = journal.next().0;
            journal.append(at(n), &payload(n)).unwrap();
        }
        acknowledge(journal.commit().unwrap().0);
    }
}

#[test]
fn d1_a_killed_process_loses_no_acknowledged_record_of_the_journal() {
    let dir = TempDir::new().unwrap();
    let mut random = Seeded(1);
    let mut before = 0;
    for round in 0..12 {
        let running = child("child_appends_until_killed", dir.path()).spawn().unwrap();
        let acked = kill_after(running, Duration::from_micros(random.below(120_000)));
        assert!(acked > before, "round {round}: nothing was done");
        let mut last = 0;
        let mut reader = Reader::open(dir.path(), Pos::START).unwrap();
        while let Some((pos, bytes)) = reader.next_record().unwrap() {
            assert_eq!((pos.0, bytes), (last + 1, payload(last + 1).as_slice()));
            last = pos.0;
        }
        assert!(last >= acked, "round {round}: {acked} acknowledged, {last} there");
        before = last;
    }
}

#[test]
fn child_commits_until_killed() {
    let Some(dir) = order() else { return };
    let (mut store, _) = Store::open(&dir).unwrap();
    loop {
        let n = store.commit(&record(store.last_seq() + 1)).unwrap();
        acknowledge(n);
        if n % 40 == 0 {
            store.checkpoint().unwrap();
        }
        if n % 100 == 0 {
            store.export(2, Keep::ALL, At::default()).unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_no_committed_record_of_the_store() {
    let dir = TempDir::new().unwrap();
    let mut random = Seeded(2);
    let mut before = 0;
    for round in 0..12 {
        let running = child("child_commits_until_killed", dir.path()).spawn().unwrap();
        let acked = kill_after(running, Duration::from_micros(random.below(200_000)));
        assert!(acked > before, "round {round}: nothing was done");
        let (store, report) = Store::open(dir.path()).unwrap();
        assert!(store.last_seq() >= acked, "round {round}: {acked} acknowledged, {} there", store.last_seq());
        assert!(rows(&store) == reference(store.last_seq()), "round {round}");
        assert_eq!((report.held, store.trouble()), (None, None), "round {round}");
        store::verify(dir.path(), Some(store.head())).unwrap();
        before = store.last_seq();
    }
}

#[test]
fn d4_a_damaged_or_deleted_state_is_rebuilt_without_loss() {
    const RECORDS: u64 = 800;
    let whole = TempDir::new().unwrap();
    let mut store = Store::open(whole.path()).unwrap().0;
    for n in 1..=RECORDS {
        store.commit(&record(n)).unwrap();
        if n == 120 {
            store.export(1, Keep::ALL, At::default()).unwrap();
        }
    }
    store.checkpoint().unwrap();
    drop(store);
    // Two histories of the file: many small batches, and (built anew) a few large ones.
    damage_and_compare(whole.path(), RECORDS, &mut Seeded(3));
    fs::remove_dir_all(whole.path().join("state")).unwrap();
    let (mut store, report) = Store::open(whole.path()).unwrap();
    assert!(rows(&store) == reference(RECORDS) && report.replayed == RECORDS - 120);
    store.checkpoint().unwrap();
    drop(store);
    damage_and_compare(whole.path(), RECORDS, &mut Seeded(4));
}

/// Damages a copy of the state in 25 ways; whatever happens, the rows must be right.
fn damage_and_compare(whole: &Path, records: u64, random: &mut Seeded) {
    let expected = reference(records);
    let files: Vec<_> = fs::read_dir(whole.join("state")).unwrap().map(|e| e.unwrap().path()).collect();
    let files: Vec<_> = files.into_iter().filter(|f| f.metadata().is_ok_and(|m| m.is_file() && m.len() > 0)).collect();
    assert!(files.len() >= 2, "sled's database and its settings at least");
    let (mut rebuilt, mut caught_up) = (0, 0);
    for trial in 0..25 {
        let dir = TempDir::new().unwrap();
        copy_dir(whole, dir.path());
        let state = dir.path().join("state");
        // The database file more often than the others.
        let file = if trial % 4 == 3 {
            &files[usize::try_from(random.below(files.len() as u64)).unwrap()]
        } else {
            files.iter().find(|f| f.ends_with("db")).unwrap()
        };
        let file = state.join(file.file_name().unwrap());
        let mut bytes = fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
        let place = usize::try_from(random.below(used as u64)).unwrap();
        let what = match trial % 5 {
            0 => {
                bytes.truncate(place);
                format!("cut at {place}")
            }
            1 => {
                let to = (place + 4096).min(bytes.len());
                bytes[place..to].fill(0);
                format!("zeros from {place}")
            }
            _ => {
                bytes[place] ^= 1 << random.below(8);
                format!("flip at {place}")
            }
        };
        fs::write(&file, bytes).unwrap();
        let (mut store, report) = Store::open(dir.path()).unwrap();
        assert!(rows(&store) == expected, "trial {trial}: {} {what}", file.display());
        assert_eq!((store.last_seq(), report.held.as_deref()), (records, None), "trial {trial}: {what}");
        // sled went back to an older state, and the log caught it up: a repair too.
        caught_up += usize::from(report.rebuilt.is_none() && report.replayed > 0);
        rebuilt += usize::from(report.rebuilt.is_some());
        eprintln!("trial {trial}: {what}: {} {:?}", report.replayed, report.rebuilt.map(|r| r.why));
        // And it works: another commit, another restart. Damage in a place that was not read before may show only now.
        store.commit(&record(records + 1)).unwrap();
        drop(store);
        let (store, report) = Store::open(dir.path()).unwrap();
        assert!(rows(&store) == reference(records + 1), "trial {trial}: {what}, second opening");
        assert_eq!(report.held, None, "trial {trial}: {what}");
    }
    assert!(rebuilt >= 2 && caught_up + rebuilt >= 12, "of 25: {rebuilt} rebuilt, {caught_up} caught up");
}

#[test]
fn child_fills_what_it_may() {
    let Some(dir) = order() else { return };
    let (mut journal, _) = Journal::open(&dir, Options::default()).unwrap();
    let error = loop {
        let n = journal.next().0;
        journal.append(at(n), &payload(n)).unwrap();
        match journal.commit() {
            Ok(pos) => acknowledge(pos.0),
            Err(error) => break error,
        }
    };
    assert!(error.retryable(), "{error}");
    let committed = journal.last().unwrap();
    assert!(journal.commit().unwrap_err().retryable(), "nothing has changed, so it fails again");
    // Something smaller still fits, and takes the number of what did not.
    journal.discard();
    assert_eq!(journal.append(at(1), b"").unwrap(), committed.next());
    acknowledge(journal.commit().unwrap().0);
}

/// A file size limit gives the error of a full disk to whoever has no right to mount one.
#[test]
fn a_write_that_does_not_fit_leaves_the_journal_whole() {
    let dir = TempDir::new().unwrap();
    let child = child("child_fills_what_it_may", dir.path());
    for kib in [40, 41, 47, 64] {
        let fresh = dir.path().join(kib.to_string());
        let mut limited = Command::new("bash");
        // A signal that is ignored stays ignored in the program that takes the shell's place.
        limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""), "-"]);
        limited.arg(child.get_program()).args(child.get_args()).env(ORDER, &fresh);
        let output = limited.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{kib} KiB: {said}{}", String::from_utf8_lossy(&output.stderr));
        let acked = said.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).max().unwrap();
        let report = journal::check(&fresh).unwrap();
        assert_eq!((report.last, report.torn), (Some(Pos(acked)), None), "{kib} KiB");
        let (mut journal, _) = Journal::open(&fresh, Options::default()).unwrap();
        journal.append(at(1), &payload(16)).unwrap();
        assert_eq!(journal.commit().unwrap(), Pos(acked + 1));
    }
}

/// A small file system of its own; `None` without the right to mount.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(kib: u32) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(dir.path())
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }

    /// Takes all space but so many bytes; removing the file gives it back.
    fn fill_up(&self, free: usize) -> PathBuf {
        let path = self.0.path().join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        let mut written = 0_usize;
        while file.write_all(&[1; 4096]).is_ok() {
            written += 4096;
        }
        file.set_len((written.saturating_sub(free)) as u64).unwrap();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_survived_without_a_restart_once_there_is_space() {
    for free in [0, 4096, 8192, 20_480, 65_536] {
        let Some(disk) = SmallDisk::new(4096) else {
            eprintln!("not run: no right to mount a small file system");
            return;
        };
        let dir = disk.0.path().join("journal");
        let options = Options { segment_bytes: 16_384, ..Options::default() };
        let (mut journal, _) = Journal::open(&dir, options.clone()).unwrap();
        let ballast = disk.fill_up(free);
        let (mut acked, mut refused) = (0, 0);
        while refused < 3 {
            // A refused record is still pending: only commit again.
            if journal.pending_bytes() == 0 {
                let n = journal.next().0;
                if let Err(error) = journal.append(at(n), &payload(n)) {
                    assert!(error.retryable(), "{free} free: {error}");
                    refused += 1;
                    continue;
                }
            }
            match journal.commit() {
                Ok(pos) => acked = pos.0,
                Err(error) => {
                    assert!(error.retryable(), "{free} free: {error}");
                    refused += 1;
                }
            }
        }
        assert_eq!(journal::check(&dir).unwrap().last.unwrap_or_default().0, acked, "{free} free");
        fs::remove_file(ballast).unwrap();
        for _ in 0..200 {
            let n = journal.next().0;
            journal.append(at(n), &payload(n)).unwrap();
        }
        let last = journal.commit().unwrap().0;
        assert!(last >= acked + 200);
        drop(journal);
        let found: Vec<_> = Reader::open(&dir, Pos::START).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len() as u64, last);
        assert!(found.iter().all(|(pos, bytes)| *bytes == payload(pos.0)), "{free} free");
    }
}

#[test]
fn a_full_disk_does_not_break_the_store() {
    for free in [0, 16_384, 100_000, 300_000] {
        let Some(disk) = SmallDisk::new(24 << 10) else {
            eprintln!("not run: no right to mount a small file system");
            return;
        };
        let dir = disk.0.path().join("store");
        let (mut store, _) = Store::open(&dir).unwrap();
        for n in 1..=20 {
            store.commit(&record(n)).unwrap();
        }
        let ballast = disk.fill_up(free);
        let mut refused = 0;
        for _ in 0..4000 {
            match store.commit(&record(store.last_seq() + 1)) {
                Ok(_) => {}
                Err(error) => {
                    assert!(error.retryable(), "{free} free: {error}");
                    refused += 1;
                    if refused == 3 {
                        break;
                    }
                }
            }
            // The state may fail to follow; that is reported, not fatal.
            let _reported = store.checkpoint();
        }
        assert_eq!(refused, 3, "{free} free: the disk did not fill up");
        fs::remove_file(ballast).unwrap();
        for _ in 0..50 {
            store.commit(&record(store.last_seq() + 1)).unwrap();
        }
        store.checkpoint().unwrap();
        assert_eq!(store.trouble(), None);
        let last = store.last_seq();
        assert!(rows(&store) == reference(last), "{free} free");
        drop(store);
        let (store, report) = Store::open(&dir).unwrap();
        assert!(rows(&store) == reference(last) && store.last_seq() == last, "{free} free");
        assert_eq!(report.held, None);
        store::verify(&dir, None).unwrap();
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn child_meets_a_failing_flush() {
    let Some(dir) = order() else { return };
    let (mut journal, _) = Journal::open(&dir, Options::default()).unwrap();
    journal.append(at(1), b"one").unwrap();
    journal.commit().unwrap();
    let scenario = fail::FailScenario::setup();
    fail::cfg("journal::sync", "return").unwrap();
    journal.append(at(2), b"two").unwrap();
    let error = journal.commit().unwrap_err();
    assert!(matches!(error, journal::Error::Sync { .. }) && !error.retryable());
    // The flush would succeed now, and that would mean nothing.
    scenario.teardown();
    assert!(matches!(journal.commit(), Err(journal::Error::Failed { .. })));
    assert!(matches!(journal.append(at(3), b"three"), Err(journal::Error::Failed { .. })));
    acknowledge(1);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_failed_flush_is_never_repeated() {
    let dir = TempDir::new().unwrap();
    let output = child("child_meets_a_failing_flush", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("ack 1"), "{said}");
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    assert!(journal.last() >= Some(Pos(1)));
}

#[cfg(feature = "failpoints")]
#[test]
fn child_whose_state_fails() {
    let Some(dir) = order() else { return };
    let (mut store, _) = Store::open(&dir).unwrap();
    store.commit(&record(1)).unwrap();
    let scenario = fail::FailScenario::setup();
    for how in ["return", "panic"] {
        fail::cfg("store::apply", how).unwrap();
        let next = store.last_seq() + 1;
        assert_eq!(store.commit(&record(next)).unwrap(), next, "it is in the log, so it is committed");
        assert!(store.trouble().is_some() && store.rows().is_err());
        assert!(store.checkpoint().is_err(), "it still fails");
        fail::remove("store::apply");
        let healed = store.checkpoint().unwrap().unwrap();
        assert!(healed.rebuilt.is_some() || healed.replayed > 0);
        assert!(rows(&store) == reference(next) && store.trouble().is_none());
    }
    scenario.teardown();
    acknowledge(store.last_seq());
}

#[cfg(feature = "failpoints")]
#[test]
fn a_state_that_fails_or_panics_costs_nothing() {
    let dir = TempDir::new().unwrap();
    let output = child("child_whose_state_fails", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("ack 3"), "{said}");
    let (store, report) = Store::open(dir.path()).unwrap();
    assert!(rows(&store) == reference(3) && report.held.is_none());
}
