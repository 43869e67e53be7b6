use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::domain::Span;
use crate::journal::{Options, Reader};

fn record(n: u64) -> Record {
    let key = |k: u64| format!("case/{:03}", k % 50).into_bytes();
    let mut changes = vec![(key(n), Some(vec![1; usize::try_from(n % 300).unwrap()]))];
    if n.is_multiple_of(3) {
        changes.push((key(n / 2), None));
    }
    if n.is_multiple_of(7) {
        changes.push((key(n), Some(format!("\x01the last change of {n} counts").into_bytes())));
    }
    Record { at: At::from_secs(n.cast_signed()), actor: "engine".into(), what: format!("record {n}"), changes }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn apply(rows: &mut Rows, record: &Record) {
    for (key, row) in &record.changes {
        match row {
            Some(row) => drop(rows.insert(key.clone(), row.clone())),
            None => drop(rows.remove(key)),
        }
    }
}

fn reference(records: u64) -> Rows {
    let mut rows = Rows::new();
    (1..=records).for_each(|n| apply(&mut rows, &record(n)));
    rows
}

fn rows(store: &Store) -> Rows {
    store.rows().unwrap().iter().map(|(key, row)| (key.to_vec(), row.to_vec())).collect()
}

fn fill(dir: &Path, from: u64, to: u64) -> Store {
    let (mut store, _) = Store::open(dir).unwrap();
    for n in from..=to {
        assert_eq!(store.commit(&record(n)).unwrap(), n);
    }
    store
}

fn reopen(dir: &Path, records: u64) -> (Store, OpenReport) {
    let (store, report) = Store::open(dir).unwrap();
    assert_eq!(store.last_seq(), records);
    assert_eq!(rows(&store), reference(records));
    assert_eq!(verify(dir, Some(store.head())).unwrap().head, store.head());
    (store, report)
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

#[test]
fn what_is_committed_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 100);
    let batch: Vec<_> = (101..=130).map(record).collect();
    assert_eq!(store.commit_batch(&batch).unwrap(), 130);
    assert_eq!(rows(&store), reference(130));
    store.checkpoint().unwrap();
    drop(store);
    let (_store, report) = reopen(dir.path(), 130);
    assert_eq!((report.rebuilt, report.held, report.replayed), (None, None, 0));
    let read: Vec<_> = records(dir.path(), 129).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [(129, record(129)), (130, record(130))]);
}

#[test]
fn a_state_that_fell_behind_is_caught_up_from_the_log() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), 1, 60));
    let old = TempDir::new().unwrap();
    copy_dir(&dir.path().join("state"), &old.path().join("state"));
    drop(fill(dir.path(), 61, 100));
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    copy_dir(&old.path().join("state"), &dir.path().join("state"));
    let (_store, report) = reopen(dir.path(), 100);
    assert_eq!((report.rebuilt, report.replayed), (None, 40));
}

#[test]
fn a_deleted_state_is_rebuilt_from_the_log_alone_or_with_an_export() {
    for exported in [None, Some(1), Some(40), Some(80)] {
        let dir = TempDir::new().unwrap();
        let mut store = fill(dir.path(), 1, exported.unwrap_or(0));
        if exported.is_some() {
            store.export(2, Keep::ALL, At::default()).unwrap();
        }
        drop(store);
        drop(fill(dir.path(), exported.unwrap_or(0) + 1, 80));
        fs::remove_dir_all(dir.path().join("state")).unwrap();
        let (_store, report) = reopen(dir.path(), 80);
        let rebuilt = report.rebuilt.unwrap();
        assert_eq!(report.replayed, 80 - exported.unwrap_or(0));
        assert_eq!((rebuilt.set_aside, report.held), (None, None));
        assert_eq!(matches!(rebuilt.base, Base::Export { .. }), exported.is_some());
    }
}

#[test]
fn a_state_of_another_history_is_set_aside() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), 1, 30));
    let other = TempDir::new().unwrap();
    let mut store = Store::open(other.path()).unwrap().0;
    for n in 1..=30 {
        store.commit(&record(n + 1000)).unwrap();
    }
    drop(store);
    for records in [30, 31] {
        fs::remove_dir_all(dir.path().join("state")).unwrap();
        copy_dir(&other.path().join("state"), &dir.path().join("state"));
        let (mut store, report) = reopen(dir.path(), records);
        assert!(report.rebuilt.unwrap().set_aside.unwrap().exists());
        assert_eq!(report.held, None);
        store.commit(&record(records + 1)).unwrap();
    }
}

#[test]
fn a_log_that_lost_its_end_is_noticed_by_the_state_and_holds_effects() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 30);
    store.checkpoint().unwrap();
    drop(store);
    let segment = fs::read_dir(dir.path().join("log")).unwrap().map(|e| e.unwrap().path());
    let segment = segment.filter(|p| p.extension().is_some_and(|e| e == "seg")).max().unwrap();
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    let (mut store, report) = reopen(dir.path(), 29);
    assert!(report.log.torn.is_some() && report.rebuilt.is_some());
    assert!(report.held.unwrap().contains("holds record 30"));
    store.commit(&record(30)).unwrap();
    drop(store);
    // It stays until a person says otherwise.
    let (mut store, report) = reopen(dir.path(), 30);
    assert!(report.held.is_some() && report.rebuilt.is_none());
    store.release_hold().unwrap();
    drop(store);
    assert_eq!(reopen(dir.path(), 30).1.held, None);
}

#[test]
fn a_restored_backup_starts_held_and_continues_the_numbers() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 50);
    let export = store.export(1, Keep::ALL, At::default()).unwrap();
    let refused = Store::restore(dir.path(), &export).unwrap_err();
    assert!(refused.to_string().contains("holds a store already"), "{refused}");
    let new = TempDir::new().unwrap();
    assert_eq!(Store::restore(new.path(), &export).unwrap(), store.head());
    let (mut restored, report) = Store::open(new.path()).unwrap();
    assert!(report.held.is_some() && matches!(report.rebuilt.unwrap().base, Base::Export { seq: 50, .. }));
    assert_eq!((rows(&restored), restored.head()), (rows(&store), store.head()));
    restored.commit(&record(51)).unwrap();
    drop(restored);
    let (_store, report) = reopen(new.path(), 51);
    assert!(report.held.is_some() && report.rebuilt.is_none());
    assert_eq!(verify(new.path(), None).unwrap().anchor, Anchor::Export);
}

#[test]
fn exports_carry_every_row_and_any_damage_to_them_is_found() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 40);
    let path = store.export(1, Keep::ALL, At::default()).unwrap();
    let (head, read) = export::read(&path).unwrap();
    assert_eq!((head, read.into_iter().collect::<Rows>()), (store.head(), reference(40)));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(export::read(&path).is_err(), "flip at {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(export::read(&path).is_err(), "cut at {at}");
    }
    // A damaged export is passed over, not trusted and not fatal.
    drop(store);
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    let (_store, report) = Store::open(dir.path()).unwrap();
    assert_eq!((report.damaged_exports, report.replayed), (vec![path], 40));
}

#[test]
fn the_log_is_trimmed_only_behind_exports_that_are_intact() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap().0;
    let big = |n: u64| Record {
        changes: vec![(b"k".to_vec(), Some(vec![u8::try_from(n % 251).unwrap(); 1 << 10]))],
        ..record(n)
    };
    for n in 1..=40 {
        store.commit(&big(n)).unwrap();
    }
    let now = At::from_secs(1_000_000);
    assert_eq!(store.trim_behind_export(Keep::NOTHING, now).unwrap(), Trimmed::default());
    store.export(1, Keep::ALL, At::default()).unwrap();
    for n in 41..=60 {
        store.commit(&big(n)).unwrap();
    }
    assert_eq!(store.trim_behind_export(Keep::ALL, now).unwrap(), Trimmed::default());
    let keep = Keep { bytes: u64::MAX, age: Span::from_hours(1) };
    assert!(store.trim_behind_export(keep, now).unwrap().segments >= 1);
    let kept = verify(dir.path(), Some(store.head())).unwrap();
    assert!(kept.first.unwrap() > 1 && kept.first.unwrap() <= 41 && kept.exports == 1, "{kept:?}");
    let before = rows(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    let (store, report) = Store::open(dir.path()).unwrap();
    assert_eq!((rows(&store), report.replayed, report.held), (before, 20, None));
    // Without the export there is no way back, and the error says so.
    drop(store);
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    fs::remove_dir_all(dir.path().join("exports")).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::NoBase { .. }) && error.to_string().contains("Way out: "), "{error}");
}

/// Writes the log anew with other bytes: what somebody does who knows the file format but not the chain.
fn forge(dir: &Path, change: impl Fn(&mut Vec<Vec<u8>>)) -> TempDir {
    let mut records: Vec<_> = Reader::open(&dir.join("log"), Pos::START).unwrap().map(|r| r.unwrap().1).collect();
    change(&mut records);
    let forged = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(&forged.path().join("log"), Options::default()).unwrap();
    for bytes in &records {
        journal.append(At::from_secs(1), bytes).unwrap();
    }
    journal.commit().unwrap();
    forged
}

#[test]
fn an_edit_a_deletion_and_another_order_are_found() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 20);
    let head = store.head();
    assert_eq!(verify(forge(dir.path(), |_| ()).path(), Some(head)).unwrap().records, 20);
    let broken_at = |change: &dyn Fn(&mut Vec<Vec<u8>>), kept| {
        let forged = forge(dir.path(), change);
        let opened = Store::open(forged.path()).err();
        match verify(forged.path(), kept).unwrap_err() {
            Error::Chain { seq, .. } => (seq, opened.is_some()),
            other => panic!("{other}"),
        }
    };
    for at in [0, 1, 8, 18, 19_usize] {
        let seq = at as u64 + 1;
        assert_eq!(broken_at(&|r| *r[at].last_mut().unwrap() ^= 1, None), (seq, true), "edit");
        assert_eq!(broken_at(&|r| r[at][5] ^= 1, None), (seq, true), "edit of the chain");
        let removed = broken_at(&|r| drop(r.remove(at)), Some(head));
        assert_eq!(removed, (seq, at != 19), "deletion; at the end only the kept head shows it");
        if at > 0 {
            assert_eq!(broken_at(&|r| r.swap(at - 1, at), None), (seq - 1, true), "order");
            assert_eq!(broken_at(&|r| r.insert(at, r[at - 1].clone()), None), (seq, true), "repetition");
        }
    }
    // Somebody who knows the chain computes it anew: an export, or a head kept elsewhere, shows it.
    store.export(1, Keep::ALL, At::default()).unwrap();
    let rewritten = TempDir::new().unwrap();
    let mut other = Store::open(rewritten.path()).unwrap().0;
    for n in 1..=20 {
        other.commit(&Record { what: "nothing happened".into(), ..record(n) }).unwrap();
    }
    verify(rewritten.path(), None).unwrap();
    assert!(matches!(verify(rewritten.path(), Some(head)), Err(Error::Chain { seq: 20, .. })));
    copy_dir(&dir.path().join("exports"), &rewritten.path().join("exports"));
    assert!(matches!(verify(rewritten.path(), None), Err(Error::Chain { seq: 20, .. })));
}

/// What was decided in between is gone, whoever knows what it added up to.
#[test]
fn records_missing_in_the_middle_are_found_although_an_export_or_a_kept_head_ends_there() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 10);
    let kept = store.head();
    store.export(1, Keep::ALL, At::default()).unwrap();
    drop(store);
    drop(fill(dir.path(), 11, 20));
    assert_eq!(verify(dir.path(), Some(kept)).unwrap().records, 20);
    let forged = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(&forged.path().join("log"), Options::default()).unwrap();
    for (pos, bytes) in Reader::open(&dir.path().join("log"), Pos::START).unwrap().map(Result::unwrap) {
        if (6..=10).contains(&pos.0) {
            continue;
        }
        journal.skip_to(pos, At::from_secs(1)).unwrap();
        journal.append(At::from_secs(1), &bytes).unwrap();
        journal.commit().unwrap();
    }
    for exported in [false, true] {
        if exported {
            copy_dir(&dir.path().join("exports"), &forged.path().join("exports"));
        }
        let found = verify(forged.path(), (!exported).then_some(kept)).unwrap_err();
        assert!(matches!(found, Error::Chain { seq: 11, .. }), "{found}");
        assert!(found.to_string().contains("the records from 6 on are missing"), "{found}");
    }
}

#[test]
fn an_export_ends_the_time_of_what_is_too_old_in_the_log() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path()).unwrap().0;
    for n in 1..=60 {
        let changes = vec![(b"k".to_vec(), Some(vec![u8::try_from(n).unwrap(); 1 << 10]))];
        store.commit(&Record { changes, ..record(n) }).unwrap();
    }
    let first = |dir: &Path| verify(dir, None).unwrap().first.unwrap();
    let (age, now) = (Span::from_hours(1), At::from_secs(30 + 3_600));
    store.export(1, Keep { bytes: u64::MAX, age: Span::from_hours(2) }, now).unwrap();
    assert_eq!(first(dir.path()), 1, "nothing is as old as that");
    store.export(1, Keep { bytes: u64::MAX, age }, now).unwrap();
    let kept = first(dir.path());
    assert!(kept > 1 && kept <= 31, "from {kept} on");
}

#[test]
fn a_state_left_half_built_by_a_crash_is_not_believed() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), 1, 30));
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    let unfinished = Head { seq: 0, hash: [0; 32] };
    let mut state = State::open(&dir.path().join("state"), unfinished).unwrap();
    let rows = reference(30);
    let some = rows.iter().take(5).map(|(key, row)| (key.as_slice(), Some(row.as_slice())));
    state.put(some, unfinished).unwrap();
    state.flush().unwrap();
    drop(state);
    let (_store, report) = reopen(dir.path(), 30);
    assert_eq!(report.rebuilt.unwrap().why, "it was not finished");
}

#[test]
fn a_state_that_stops_working_does_not_stop_commits_and_heals() {
    let dir = TempDir::new().unwrap();
    let mut store = fill(dir.path(), 1, 20);
    // As a failed batch leaves it.
    state::drop_guarded(store.state.take());
    store.trouble = Some("for the test".into());
    assert_eq!(store.commit(&record(21)).unwrap(), 21);
    assert!(store.rows().is_err() && store.trouble().is_some());
    let healed = store.checkpoint().unwrap().unwrap();
    assert_eq!((healed.replayed, healed.rebuilt, store.trouble()), (1, None, None));
    assert_eq!(rows(&store), reference(21));
    assert_eq!(store.commit(&record(22)).unwrap(), 22);
    drop(store);
    reopen(dir.path(), 22);
}

proptest::proptest! {
    /// Bytes that are no record are refused without a panic, however close to one they are.
    #[test]
    fn mangled_records_are_refused(place in proptest::prelude::any::<proptest::sample::Index>(), byte: u8, cut: bool) {
        let (good, _) = log::encode(log::genesis(), &record(21));
        let mut bytes = good.clone();
        let at = place.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let same = bytes == good;
        proptest::prop_assert_eq!(log::decode(1, &bytes).is_ok(), same);
        proptest::prop_assert!(log::decode(2, &bytes).is_err());
    }
}
