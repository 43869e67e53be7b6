//! What durability costs: journal appends beside a plain write and flush of the same bytes, desk commits with and
//! without the state in sled, rebuilding the state, checkpoints.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forewarn::checkpoint::{self, Checkpoint};
use forewarn::desk::Record;
use forewarn::domain::At;
use forewarn::journal::{Journal, Keep, Options, Pos, Reader};
use forewarn::store::Store;

const BATCH: u64 = 256;
const PAYLOAD: usize = 200;

/// On the disk that the build is on, not on a `/tmp` that may be memory.
fn directory() -> tempfile::TempDir {
    tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory beside the sources")
}

fn message() -> [u8; PAYLOAD] {
    std::array::from_fn(|n| u8::try_from(n * 7 % 251).unwrap_or(0))
}

fn journal(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal");
    group.throughput(Throughput::Elements(BATCH)).sample_size(30);
    let dir = directory();
    let payload = message();

    let mut file = File::create(dir.path().join("plain")).expect("a file");
    let bytes = payload.repeat(usize::try_from(BATCH).unwrap_or(0));
    let mut written = 0;
    group.bench_function("plain write + fdatasync, 256 x 200 bytes", |b| {
        b.iter(|| {
            file.write_all(&bytes).expect("a write");
            file.sync_data().expect("a flush");
            written += bytes.len();
            if written > 64 << 20 {
                file = File::create(dir.path().join("plain")).expect("a file");
                written = 0;
            }
        });
    });

    let (mut journal, _) = Journal::open(&dir.path().join("journal"), Options::default()).expect("a journal");
    group.bench_function("append + commit, 256 x 200 bytes", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                journal.append(At::from_secs(1), &payload).expect("an append");
            }
            let pos = journal.commit().expect("a commit");
            journal.trim(pos, Keep { bytes: 256 << 20, ..Keep::NOTHING }, At::from_secs(1)).expect("a trim");
        });
    });
    group.bench_function("append without commit, 256 x 200 bytes", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                journal.append(At::from_secs(1), &payload).expect("an append");
            }
            journal.discard();
        });
    });

    let (mut long, _) = Journal::open(&dir.path().join("long"), Options::default()).expect("a journal");
    for _ in 0..1000 {
        for _ in 0..BATCH {
            long.append(At::from_secs(1), &payload).expect("an append");
        }
        long.commit().expect("a commit");
    }
    group.throughput(Throughput::Elements(1000 * BATCH)).sample_size(10);
    group.bench_function("read 256,000 records", |b| {
        b.iter(|| {
            let mut reader = Reader::open(&dir.path().join("long"), Pos::START).expect("a reader");
            while let Some((_, payload)) = reader.next_record().expect("a record") {
                black_box(payload);
            }
        });
    });
    group.finish();
}

/// A desk step as it usually is: the case, an effect, a budget.
fn record(n: u64) -> Record {
    let row =
        |len: usize| Some(std::iter::once(1).chain((1..len).map(|i| u8::try_from(i % 251).unwrap_or(0))).collect());
    let changes = vec![
        (format!("case/{:05}", n % 20_000).into_bytes(), row(900)),
        (format!("effect/{:05}", n % 50_000).into_bytes(), row(300)),
        (b"budget/tow".to_vec(), row(60)),
    ];
    Record { at: At::from_secs(n.cast_signed()), actor: "engine".into(), what: "a step".into(), changes }
}

fn filled(dir: &Path, records: u64) -> Store {
    let (mut store, _) = Store::open(dir).expect("a store");
    let all: Vec<_> = (1..=records).map(record).collect();
    for batch in all.chunks(500) {
        store.commit_batch(batch).expect("a commit");
    }
    store
}

fn store(c: &mut Criterion) {
    let mut group = c.benchmark_group("store");
    group.sample_size(20);
    let dir = directory();

    let mut log = Journal::open(&dir.path().join("log-only"), Options::default()).expect("a journal").0;
    let bytes = vec![7; 1400];
    group.throughput(Throughput::Elements(1));
    group.bench_function("one record of 1,400 bytes into the log alone", |b| {
        b.iter(|| {
            log.append(At::from_secs(1), &bytes).expect("an append");
            log.commit().expect("a commit");
        });
    });
    let mut store = filled(&dir.path().join("store"), 20_000);
    let mut n = store.last_seq();
    group.bench_function("one commit, log and state", |b| {
        b.iter(|| {
            n += 1;
            store.commit(&record(n)).expect("a commit");
        });
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 records in one commit, log and state", |b| {
        b.iter(|| {
            let batch: Vec<_> = (1..=64).map(|i| record(n + i)).collect();
            n += 64;
            store.commit_batch(&batch).expect("a commit");
        });
    });
    drop(store);

    let rebuilt = dir.path().join("rebuilt");
    drop(filled(&rebuilt, 50_000));
    group.throughput(Throughput::Elements(50_000)).sample_size(10);
    group.bench_function("rebuild from a log of 50,000 records", |b| {
        b.iter_batched(
            || std::fs::remove_dir_all(rebuilt.join("state")).expect("no state"),
            |()| drop(black_box(Store::open(&rebuilt).expect("a store"))),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("open and check a state of 70,000 rows", |b| {
        b.iter(|| drop(black_box(Store::open(&rebuilt).expect("a store"))));
    });
    group.finish();
}

fn checkpoints(c: &mut Criterion) {
    let mut group = c.benchmark_group("checkpoint");
    group.sample_size(10);
    let dir = directory();
    // 400 devices of 1 kB, as half-random as operator state is.
    let bytes: Vec<u8> =
        (0..50_000_u64).flat_map(|n| (n.wrapping_mul(0x9e37_79b9) % 100_000 + n / 128).to_le_bytes()).collect();
    let checkpoint = Checkpoint { shard: 1, pos: Pos(1), tag: 1, bytes };
    group.throughput(Throughput::Bytes(checkpoint.bytes.len() as u64));
    group.bench_function("write one shard of 400 kB", |b| {
        b.iter(|| checkpoint::write(dir.path(), &checkpoint).expect("a checkpoint"));
    });
    group.bench_function("pack 400 kB with zstd 1", |b| {
        b.iter(|| zstd::bulk::compress(&checkpoint.bytes, 1).expect("packed"));
    });
    for shard in 0..=255 {
        let bytes = checkpoint.bytes.clone();
        checkpoint::write(dir.path(), &Checkpoint { shard, bytes, ..checkpoint }).expect("a checkpoint");
    }
    let packed = std::fs::metadata(dir.path().join("001.ckpt")).expect("a file").len();
    println!("checkpoint: {} bytes become {packed}", checkpoint.bytes.len());
    group.throughput(Throughput::Bytes(256 * checkpoint.bytes.len() as u64));
    group.bench_function("load all 256 shards, 100 MB", |b| {
        b.iter(|| black_box(checkpoint::load_all(dir.path()).expect("checkpoints")));
    });
    group.finish();
}

criterion_group!(benches, journal, store, checkpoints);
criterion_main!(benches);
