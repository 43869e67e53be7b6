//! `forewarn audit` and `forewarn store`, typed as an administrator would.

use std::fs;
use std::path::Path;
use std::process::Command;

use forewarn::desk::Record;
use forewarn::domain::At;
use forewarn::store::Store;

/// Standard output and error, and the exit code.
fn run(dir: &Path, args: &[&str]) -> (String, i32) {
    let run = Command::new(env!("CARGO_BIN_EXE_forewarn")).current_dir(dir).args(args).output().unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    (shown, run.status.code().unwrap())
}

/// A desk that has decided `records` times.
fn desk(dir: &Path, records: i64) {
    let (mut store, _) = Store::open(&dir.join("desk")).unwrap();
    for n in 1..=records {
        let changes = vec![(format!("case/{n}").into_bytes(), Some(b"\x01row".to_vec()))];
        let record = Record { at: At::from_secs(n), actor: "engine".into(), what: format!("case {n} opened"), changes };
        store.commit(&record).unwrap();
    }
}

#[test]
fn an_edited_or_shortened_log_is_found() {
    let dir = tempfile::tempdir().unwrap();
    desk(&dir.path().join("data"), 30);
    let (shown, code) = run(dir.path(), &["audit", "verify", "--data", "data"]);
    assert!(shown.starts_with("30 records, 1 to 30: intact\nthe chain begins with record 1;") && code == 0, "{shown}");
    let head = shown.lines().find_map(|l| l.strip_prefix("head ")).unwrap().to_owned();

    let (shown, _) = run(dir.path(), &["audit", "log", "--data", "data", "--from", "29"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() == 2 && lines[1].contains("1970-01-01T00:00:30Z") && lines[1].ends_with("case 30 opened"));

    let segments = fs::read_dir(dir.path().join("data/desk/log")).unwrap().map(|e| e.unwrap().path());
    let (log, bytes) = segments.map(|p| (p.clone(), fs::read(p).unwrap())).max_by_key(|(_, b)| b.len()).unwrap();
    let at = bytes.windows(14).position(|w| w == b"case 12 opened").unwrap();
    let mut edited = bytes.clone();
    edited[at + 5] = b'9';
    fs::write(&log, edited).unwrap();
    let (shown, code) = run(dir.path(), &["audit", "verify", "--data", "data"]);
    assert!(shown.starts_with("forewarn: ") && code == 74, "{shown}");

    let last = bytes.windows(14).position(|w| w == b"case 30 opened").unwrap();
    let cut = bytes[..last].windows(14).rposition(|w| w == b"case 29 opened").unwrap();
    fs::write(&log, &bytes[..cut]).unwrap();
    let (shown, code) = run(dir.path(), &["audit", "verify", "--data", "data", "--head", &head]);
    assert!(shown.contains("holds record 30") && code == 74, "{shown}");
    let (shown, code) = run(dir.path(), &["audit", "verify", "--data", "data", "--head", "30:abc"]);
    assert!(shown.contains("no hash") && code == 64, "{shown}");
}

#[test]
fn an_imported_state_is_held_until_a_person_releases_it() {
    let dir = tempfile::tempdir().unwrap();
    desk(&dir.path().join("data"), 30);
    for (args, said, expected) in [
        (vec!["store", "release", "--data", "data"], "nothing is held", 0),
        (vec!["store", "export", "state.fwx", "--data", "data"], "state.fwx holds the state up to record 30:", 0),
        (vec!["store", "import", "state.fwx", "--data", "data"], "holds a store already", 74),
        (vec!["store", "import", "state.fwx", "--data", "new"], "effects are held", 0),
        (vec!["store", "release", "--data", "new"], "restored from an export that ends at record 30", 0),
        (vec!["store", "release", "--data", "new"], "nothing is held", 0),
        (vec!["audit", "verify", "--data", "new"], "head 30:", 0),
    ] {
        let (shown, code) = run(dir.path(), &args);
        assert!(shown.contains(said) && code == expected, "{args:?}: {code}\n{shown}");
    }
}

/// The head goes out when the daemon starts and every hour; a log that is put back to an older state does not fit it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signed_head_that_others_keep_shows_a_log_that_was_put_back() {
    let mut world = super::world::World::build(1).await;
    let mut ears = super::world::Ears::open(&world, "keeper", "forewarn/+/audit");
    let data = world.space.dir().join("store");
    let mut kept = Vec::new();
    for round in 0..2_u8 {
        world.start("");
        world.ready().await;
        let heard = ears.hear(std::time::Duration::from_secs(2));
        assert!(!heard.is_empty(), "{}", world.log());
        kept.extend(heard.into_iter().map(|(_, payload)| String::from_utf8(payload).unwrap()));
        assert_eq!(world.stop(), Some(0), "{}", world.log());
        if round == 0 {
            copy(&data.join("desk"), &data.join("put-back"));
        }
    }
    let heads = world.space.dir().join("heads.jsonl");
    fs::write(&heads, kept.join("\n")).unwrap();
    let verify = |more: &[&str]| {
        let args = ["audit", "verify", "--data", data.to_str().unwrap(), "--heads", heads.to_str().unwrap()];
        run(world.space.dir(), &[&args[..], more].concat())
    };
    let (shown, code) = verify(&[]);
    assert!(code == 0 && shown.contains("the chain agrees with them"), "{shown}");
    let key = shown.split(" signed heads of ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    assert_eq!(verify(&["--key", &key]).1, 0);
    let (shown, code) = verify(&["--key", "AAAA"]);
    assert!(code == 74 && shown.contains("signed with another key"), "{shown}");

    fs::remove_dir_all(data.join("desk")).unwrap();
    fs::rename(data.join("put-back"), data.join("desk")).unwrap();
    let (shown, code) = verify(&[]);
    assert!(code == 74 && shown.contains("a head kept elsewhere"), "{shown}");

    fs::write(&heads, kept.join("\n").replacen("\"head\":\"", "\"head\":\"1", 1)).unwrap();
    let (shown, code) = verify(&[]);
    assert!(code == 74 && shown.contains("its signature does not fit"), "{shown}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
