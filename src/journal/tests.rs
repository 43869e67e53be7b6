use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::At;

fn at(s: i64) -> At {
    At::from_secs(s)
}

fn small() -> Options {
    Options { segment_bytes: 400, ..Options::default() }
}

fn payload(n: u64) -> Vec<u8> {
    // Lengths differ, one is empty, contents differ.
    let len = usize::try_from(n % 7 * 13).unwrap();
    n.to_le_bytes().repeat(12).into_iter().cycle().take(len).collect()
}

fn fill(dir: &Path, options: Options, records: u64) -> Journal {
    let mut journal = Journal::open(dir, options).unwrap().0;
    for n in 1..=records {
        journal.append(at(i64::try_from(n).unwrap()), &payload(n)).unwrap();
        journal.commit().unwrap();
    }
    journal
}

fn read(dir: &Path, from: Pos) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    Reader::open(dir, from)?.map(|r| r.map(|(pos, bytes)| (pos.0, bytes))).collect()
}

fn expected(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    range.map(|n| (n, payload(n))).collect()
}

fn last_segment(dir: &Path) -> PathBuf {
    segment::path_of(dir, *segment::list(dir).unwrap().last().unwrap())
}

#[test]
fn records_come_back_from_any_position_and_over_restarts() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), small(), 40));
    let (mut journal, report) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!(report, OpenReport { first: Some(Pos(1)), last: Some(Pos(40)), torn: None });
    assert!(journal.segments().len() > 3);
    assert_eq!(journal.append(at(41), &payload(41)).unwrap(), Pos(41));
    journal.commit().unwrap();
    for from in 1..=42 {
        assert_eq!(read(dir.path(), Pos(from)).unwrap(), expected(from..=41), "from {from}");
    }
    assert_eq!(read(dir.path(), Pos::START).unwrap(), expected(1..=41));
    assert_eq!(journal.bytes(), journal.segments().iter().map(|s| s.path.metadata().unwrap().len()).sum::<u64>());
    assert_eq!(check(dir.path()).unwrap(), OpenReport { first: Some(Pos(1)), last: Some(Pos(41)), torn: None });
}

#[test]
fn what_is_not_committed_is_neither_read_nor_kept() {
    let dir = TempDir::new().unwrap();
    let mut journal = fill(dir.path(), small(), 3);
    journal.append(at(4), b"lost").unwrap();
    assert_eq!(journal.reader(Pos::START).unwrap().count(), 3);
    assert_eq!(journal.reader(Pos(4)).unwrap().count(), 0);
    journal.discard();
    assert_eq!(journal.append(at(4), &payload(4)).unwrap(), Pos(4));
    assert_eq!(journal.commit().unwrap(), Pos(4));
    assert_eq!(read(dir.path(), Pos::START).unwrap(), expected(1..=4));
}

#[test]
fn limits_hold() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), Options { pending_bytes: 1000, ..small() }).unwrap();
    assert!(matches!(journal.append(at(1), &vec![0; MAX_RECORD_BYTES + 1]), Err(Error::TooLarge { .. })));
    journal.append(at(1), &vec![7; MAX_RECORD_BYTES]).unwrap();
    let full = journal.append(at(1), b"x").unwrap_err();
    assert!(matches!(full, Error::Full { .. }) && full.retryable());
    journal.commit().unwrap();
    journal.append(at(1), b"x").unwrap();
    journal.commit().unwrap();
    assert_eq!(read(dir.path(), Pos::START).unwrap()[0].1.len(), MAX_RECORD_BYTES);
    assert!(matches!(Journal::open(dir.path(), small()), Err(Error::Locked { .. })));
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_the_rest_kept() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), Options::default(), 12));
    let file = last_segment(dir.path());
    let whole = fs::read(&file).unwrap();
    let ends: Vec<usize> = (0..=12)
        .map(|n| segment::HEADER + (1..=n).map(|n| frame::FRAME_HEAD + payload(n).len()).sum::<usize>())
        .collect();
    for cut in segment::HEADER..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        let kept = ends.iter().rposition(|end| *end <= cut).unwrap() as u64;
        let (mut journal, report) = Journal::open(dir.path(), Options::default()).unwrap();
        assert_eq!(report.last.unwrap_or_default().0, kept, "cut at {cut}");
        let torn = report.torn.map_or(0, |torn| torn.bytes);
        assert_eq!(torn, (cut - ends[usize::try_from(kept).unwrap()]) as u64, "cut at {cut}");
        // It goes on from there.
        assert_eq!(journal.append(at(1), &payload(kept + 1)).unwrap().0, kept + 1);
        journal.commit().unwrap();
        drop(journal);
        assert_eq!(read(dir.path(), Pos::START).unwrap(), expected(1..=kept + 1));
    }
}

#[test]
fn garbage_or_zeros_behind_the_last_record_are_a_torn_tail() {
    for junk in [vec![0; 5000], vec![0xff; 5000], (0..5000_u32).flat_map(u32::to_le_bytes).collect()] {
        let dir = TempDir::new().unwrap();
        drop(fill(dir.path(), Options::default(), 5));
        let file = last_segment(dir.path());
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend_from_slice(&junk);
        fs::write(&file, bytes).unwrap();
        assert_eq!(check(dir.path()).unwrap().torn.unwrap().bytes, junk.len() as u64);
        let (_journal, report) = Journal::open(dir.path(), Options::default()).unwrap();
        assert_eq!((report.last, report.torn.unwrap().bytes), (Some(Pos(5)), junk.len() as u64));
    }
}

#[test]
fn a_segment_begun_but_never_used_is_removed_when_torn() {
    for len in 0..=segment::HEADER {
        let dir = TempDir::new().unwrap();
        drop(fill(dir.path(), Options::default(), 5));
        fs::write(segment::path_of(dir.path(), 6), vec![0; len]).unwrap();
        assert_eq!(read(dir.path(), Pos::START).unwrap(), expected(1..=5));
        let (mut journal, report) = Journal::open(dir.path(), Options::default()).unwrap();
        assert_eq!((report.last, report.torn.unwrap().bytes), (Some(Pos(5)), len as u64));
        assert_eq!(journal.append(at(6), &payload(6)).unwrap(), Pos(6));
        journal.commit().unwrap();
        assert_eq!(read(dir.path(), Pos::START).unwrap(), expected(1..=6));
    }
}

#[test]
fn a_flipped_bit_never_gives_a_wrong_record() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), small(), 30));
    let files = segment::list(dir.path()).unwrap();
    let all = expected(1..=30);
    let (mut refused, mut torn) = (0, 0);
    for first in &files {
        let file = segment::path_of(dir.path(), *first);
        let whole = fs::read(&file).unwrap();
        for byte in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << (byte % 8);
            fs::write(&file, &bytes).unwrap();
            match read(dir.path(), Pos::START) {
                Ok(records) => {
                    // Only the very last frame cannot be told from an interrupted write.
                    assert_eq!(records, all[..29], "{} byte {byte}", file.display());
                    torn += 1;
                }
                Err(Error::Damaged { file: named, next, .. }) => {
                    assert_eq!(named, file);
                    let before: Result<Vec<_>, Error> =
                        Reader::open(dir.path(), Pos::START).unwrap().take_while(Result::is_ok).collect();
                    let before: Vec<_> = before.unwrap().into_iter().map(|(pos, b)| (pos.0, b)).collect();
                    assert_eq!(before, all[..usize::try_from(next.0).unwrap() - 1]);
                    refused += 1;
                }
                Err(other) => panic!("byte {byte}: {other}"),
            }
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(refused > 1500 && torn > 10, "{refused} refused, {torn} torn");
}

#[test]
fn opening_for_writing_refuses_damage_before_intact_records_and_leaves_the_file_alone() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), Options::default(), 12));
    let file = last_segment(dir.path());
    let whole = fs::read(&file).unwrap();
    let last_frame = whole.len() - frame::FRAME_HEAD - payload(12).len();
    for byte in 0..last_frame {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let error = Journal::open(dir.path(), Options::default()).unwrap_err();
        assert!(matches!(&error, Error::Damaged { file: named, .. } if *named == file), "byte {byte}: {error}");
        assert!(error.to_string().contains("Way out: "), "{error}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "byte {byte}: touched");
    }
}

#[test]
fn a_missing_or_shortened_segment_is_noticed_on_opening() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), small(), 40));
    let files = segment::list(dir.path()).unwrap();
    for first in &files[1..files.len() - 1] {
        let file = segment::path_of(dir.path(), *first);
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let gone = Journal::open(dir.path(), small()).unwrap_err();
        assert!(gone.to_string().contains("is missing"), "{gone}");
        assert!(matches!(read(dir.path(), Pos::START), Err(Error::Damaged { .. })));
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let short = Journal::open(dir.path(), small()).unwrap_err();
        assert!(matches!(&short, Error::Damaged { file: named, .. } if *named == file), "{short}");
        fs::write(&file, &whole).unwrap();
    }
    Journal::open(dir.path(), small()).unwrap();
}

#[test]
fn the_way_out_works() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path(), small(), 40));
    let files = segment::list(dir.path()).unwrap();
    let keep = files.len() - 2;
    for first in &files[keep..] {
        fs::remove_file(segment::path_of(dir.path(), *first)).unwrap();
    }
    let (mut journal, report) = Journal::open(dir.path(), small()).unwrap();
    let kept = files[keep] - 1;
    assert_eq!(report.last, Some(Pos(kept)));
    // Somebody remembers position 40: its number is not given again.
    journal.skip_to(Pos(41), at(50)).unwrap();
    assert_eq!(journal.append(at(51), &payload(41)).unwrap(), Pos(41));
    journal.commit().unwrap();
    let all: Vec<_> = expected(1..=kept).into_iter().chain(expected(41..=41)).collect();
    assert_eq!(read(dir.path(), Pos::START).unwrap(), all);
    assert_eq!(read(dir.path(), Pos(kept + 2)).unwrap(), expected(41..=41));
    drop(journal);
    assert_eq!(Journal::open(dir.path(), small()).unwrap().1.last, Some(Pos(41)));
}

#[test]
fn skipping_survives_a_restart_before_the_first_record() {
    let dir = TempDir::new().unwrap();
    let mut journal = fill(dir.path(), small(), 2);
    journal.skip_to(Pos(10), at(1)).unwrap();
    drop(journal);
    let (mut journal, report) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!(report.first, Some(Pos(1)));
    assert_eq!(journal.append(at(1), &payload(10)).unwrap(), Pos(10));
    journal.commit().unwrap();
    assert_eq!(read(dir.path(), Pos::START).unwrap().iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2, 10]);
}

#[test]
fn trimming_keeps_what_is_needed_and_what_is_wanted() {
    let dir = TempDir::new().unwrap();
    let mut journal = fill(dir.path(), small(), 60);
    let total = journal.bytes();
    assert_eq!(journal.trim(Pos(61), Keep::ALL, at(1_000)).unwrap(), Trimmed::default());
    assert_eq!(journal.trim(Pos(1), Keep::NOTHING, at(1_000)).unwrap(), Trimmed::default());
    // By size.
    let trimmed = journal.trim(Pos(61), Keep { bytes: total - 500, age: Span::MAX }, at(60)).unwrap();
    assert!(trimmed.segments >= 1 && journal.bytes() <= total - 500 && journal.bytes() > total - 1_000);
    // By age: record n is of second n, so everything before second 30 may go, and a segment goes as a whole.
    journal.trim(Pos(61), Keep { bytes: u64::MAX, age: Span::from_secs(30) }, at(60)).unwrap();
    let first = journal.first().unwrap();
    assert!(first.0 > 20 && first.0 <= 30, "{first}");
    // By need: nothing at or behind the position goes.
    journal.trim(Pos(40), Keep::NOTHING, at(1_000)).unwrap();
    let first = journal.first().unwrap();
    assert!(first.0 > 30 && first.0 <= 40, "{first}");
    assert_eq!(read(dir.path(), Pos::START).unwrap(), expected(first.0..=60));
    assert!(matches!(read(dir.path(), Pos(1)), Err(Error::Gone { wanted: Pos(1), first: f }) if f == first));
    // All of it, and the numbers go on after a restart.
    journal.trim(Pos(61), Keep::NOTHING, at(1_000)).unwrap();
    assert_eq!(journal.segments().len(), 1);
    drop(journal);
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!(journal.append(at(61), b"").unwrap(), Pos(61));
}

#[test]
fn reading_beside_a_writer_ends_or_says_that_the_records_are_gone() {
    let dir = TempDir::new().unwrap();
    let mut journal = fill(dir.path(), small(), 60);
    let mut reader = journal.reader(Pos::START).unwrap();
    assert_eq!(reader.next_record().unwrap().unwrap().0, Pos(1));
    journal.append(at(61), &payload(61)).unwrap();
    journal.commit().unwrap();
    journal.trim(Pos(61), Keep::NOTHING, at(1_000)).unwrap();
    let rest: Vec<_> = reader.collect();
    let (last, before) = rest.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok));
    let first = journal.reaches_back_to();
    assert!(matches!(last, Err(Error::Gone { first: f, .. }) if *f == first), "{last:?}");
    assert_eq!(journal.reader(first).unwrap().last().unwrap().unwrap().0, Pos(61));
}

#[test]
fn an_empty_journal_can_begin_anywhere() {
    let dir = TempDir::new().unwrap();
    let options = Options { start: Pos(1000), ..small() };
    let (mut journal, report) = Journal::open(dir.path(), options.clone()).unwrap();
    assert_eq!(report, OpenReport::default());
    assert_eq!(journal.append(at(1), b"x").unwrap(), Pos(1000));
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(Journal::open(dir.path(), small()).unwrap().1.first, Some(Pos(1000)));
}

/// What a model-checked run does.
#[derive(Debug, Clone)]
enum Step {
    Append(u8, u16),
    Commit,
    Discard,
    Restart,
    TornRestart(u16),
    Trim(u8),
    Read(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), 0..400_u16).prop_map(|(b, n)| Step::Append(b, n)),
        4 => Just(Step::Commit),
        1 => Just(Step::Discard),
        1 => Just(Step::Restart),
        1 => (1..300_u16).prop_map(Step::TornRestart),
        1 => any::<u8>().prop_map(Step::Trim),
        2 => any::<u8>().prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is done, the journal holds what a vector of the committed records holds.
    #[test]
    fn behaves_like_a_vector(steps in prop::collection::vec(step(), 1..80)) {
        let dir = TempDir::new().unwrap();
        let mut journal = Journal::open(dir.path(), small()).unwrap().0;
        let (mut model, mut pending): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
        for step in steps {
            match step {
                Step::Append(byte, len) => {
                    let bytes = vec![byte; usize::from(len)];
                    let pos = journal.append(at(1), &bytes).unwrap();
                    pending.push(bytes);
                    prop_assert_eq!(pos.0, (model.len() + pending.len()) as u64);
                }
                Step::Commit => {
                    model.append(&mut pending);
                    prop_assert_eq!(journal.commit().unwrap().0, model.len() as u64);
                }
                Step::Discard => {
                    pending.clear();
                    journal.discard();
                }
                Step::Restart => {
                    pending.clear();
                    drop(journal);
                    journal = Journal::open(dir.path(), small()).unwrap().0;
                }
                Step::TornRestart(len) => {
                    pending.clear();
                    drop(journal);
                    if let Some(last) = segment::list(dir.path()).unwrap().last() {
                        let file = segment::path_of(dir.path(), *last);
                        let mut bytes = fs::read(&file).unwrap();
                        bytes.extend(std::iter::repeat_n(0xa5, usize::from(len)));
                        fs::write(&file, bytes).unwrap();
                    }
                    journal = Journal::open(dir.path(), small()).unwrap().0;
                }
                Step::Trim(part) => {
                    let before = model.len() as u64 * u64::from(part) / 255 + 1;
                    let was = journal.reaches_back_to().0;
                    journal.trim(Pos(before), Keep::NOTHING, at(2)).unwrap();
                    prop_assert!(journal.reaches_back_to().0 <= before.max(was));
                }
                Step::Read(part) => {
                    let first = journal.reaches_back_to().0;
                    let from = first + (model.len() as u64 + 1 - first) * u64::from(part) / 255;
                    let found: Vec<Vec<u8>> =
                        journal.reader(Pos(from)).unwrap().map(|record| record.unwrap().1).collect();
                    prop_assert_eq!(&found, &model[usize::try_from(from).unwrap() - 1..]);
                }
            }
            prop_assert_eq!(journal.last().map_or(0, |last| last.0), if journal.first().is_some() { model.len() as u64 } else { 0 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is done to the bytes of a segment, what is read is what was written, up to some record.
    #[test]
    fn mangled_files_give_a_prefix_or_a_refusal(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40), 0..60_usize), 1..4),
    ) {
        let dir = TempDir::new().unwrap();
        drop(fill(dir.path(), small(), 20));
        let file = segment::path_of(dir.path(), *which.get(&segment::list(dir.path()).unwrap()));
        let mut bytes = fs::read(&file).unwrap();
        for (place, put, remove) in edits {
            let from = place.index(bytes.len() + 1);
            let to = (from + remove).min(bytes.len());
            bytes.splice(from..to, put);
        }
        fs::write(&file, bytes).unwrap();
        let mut found = Vec::new();
        let mut reader = Reader::open(dir.path(), Pos::START).unwrap();
        let read = loop {
            match reader.next_record() {
                Ok(Some((pos, bytes))) => found.push((pos.0, bytes.to_vec())),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        prop_assert_eq!(&found, &expected(1..=20)[..found.len()]);
        match (Journal::open(dir.path(), small()), read) {
            (Ok((_, report)), Ok(())) => prop_assert_eq!(report.last.unwrap_or_default().0, found.len() as u64),
            (Ok(_), Err(error)) | (Err(error), _) => {
                prop_assert!(matches!(error, Error::Damaged { .. }), "{}", error);
            }
        }
    }
}
