//! Nothing personal is stored in the clear, and what is sealed still does its work.

use std::fs;
use std::path::Path;
use std::time::Duration;

use forewarn::desk::{Desk, Input, Keyring};
use forewarn::domain::{Change, DispatchWork, Job, Outcome, Span, Work};
use forewarn::store::{self, Store};

use super::desk_world::{Answer, Odds, World as Play, brake, config, start};
use super::world::{Fleet, World};

/// Every file below `dir` whose path contains none of `except`.
fn files(dir: &Path, except: &[&str], found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if except.iter().any(|e| name.contains(e)) {
            continue;
        }
        if path.is_dir() {
            files(&path, except, found);
        } else {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
}

/// What the registry says of people: names, numbers, mailboxes, plates, chassis numbers.
fn personal(registry: &Path) -> Vec<String> {
    let column = |file: &str, names: &[&str]| -> Vec<String> {
        let mut reader = csv::Reader::from_path(registry.join(file)).unwrap();
        let head = reader.headers().unwrap().clone();
        let wanted: Vec<usize> = names.iter().map(|n| head.iter().position(|h| h == *n).unwrap()).collect();
        let rows = reader.records().map(Result::unwrap);
        rows.flat_map(|row| wanted.iter().map(|i| row[*i].to_owned()).collect::<Vec<_>>()).collect()
    };
    let all = [
        column("customers.csv", &["name"]),
        column("endpoints.csv", &["address"]),
        column("devices.csv", &["plate", "vin"]),
    ];
    let all = all.concat();
    assert!(all.len() >= 5 && all.iter().all(|text| text.len() > 5), "{all:?}");
    all
}

/// Where one of `needles` stands in one of `files`.
fn found(files: &[(String, Vec<u8>)], needles: &[Vec<u8>]) -> Vec<String> {
    let mut places = Vec::new();
    for (name, bytes) in files {
        for needle in needles {
            if memchr::memmem::find(bytes, needle).is_some() {
                places.push(format!("{:?} in {name}", String::from_utf8_lossy(needle)));
            }
        }
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_case_leaves_no_name_number_address_or_position_in_store_export_or_log() {
    let mut world = World::build(1).await;
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let car = forewarn::demo::fleet::car_id(1);
    fleet.say(&car, true, 60.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(&car, true, 55.0).await;
    world.all_served(&[car], "brake.circuit_loss", Duration::from_secs(60)).await;
    assert_eq!(world.stop(), Some(0), "{}", world.log());

    let (home, kept) = (world.space.dir(), world.space.dir().join("store"));
    let needles: Vec<Vec<u8>> = personal(&home.join("config/registry")).into_iter().map(String::into_bytes).collect();
    // The keys are what they are; everything else, the journal of telemetry included, knows no people.
    let mut all = Vec::new();
    files(&kept, &["keys.json"], &mut all);
    all.push(("the log of the daemon".into(), fs::read(world.space.log()).unwrap()));
    // Exports are packed: what is in them is what is in the state.
    let desk = kept.join("desk");
    let rows = Store::open(&desk).unwrap().0.rows().unwrap();
    all.extend(rows.into_iter().map(|(key, row)| (format!("row {:?}", char::from(key[0])), [key, row].concat())));
    for record in store::records(&desk, 0).unwrap() {
        let (seq, record) = record.unwrap();
        all.push((format!("record {seq}: {}", record.what), format!("{record:?}").into_bytes()));
        all.extend(
            record
                .changes
                .into_iter()
                .map(|(key, row)| (format!("change in {seq}"), [key, row.unwrap_or_default()].concat())),
        );
    }
    assert_eq!(found(&all, &needles), [""; 0]);

    // The journal and the checkpoints of the engine hold positions under the ids of devices; the desk holds none.
    let positions = [48.137_f64, 11.575].iter().flat_map(|n| [n.to_le_bytes().to_vec(), n.to_string().into_bytes()]);
    let positions: Vec<Vec<u8>> = positions.collect();
    all.retain(|(name, _)| !name.contains("/journal/") && !name.contains("/checkpoints/"));
    assert_eq!(found(&all, &positions), [""; 0]);
    let keys = fs::read(kept.join("keys.json")).unwrap();
    assert!(memchr::memmem::find(&keys, b"customers").is_some());
}

/// A breakdown whose request for a truck cannot be sent at first, and how to see the requests made.
fn refused_at_first() -> (Play, fn(&Play) -> Vec<Job>) {
    let mut play = Play::new(config(|_| {}), Odds::friendly(), 1);
    let mut asked = 0;
    play.script = Some(Box::new(move |order| {
        let Work::Dispatch(DispatchWork::Request(_)) = order.work else { return None };
        asked += 1;
        let after = Some(Span::from_secs(20));
        let refused = Outcome::Retry { after, reason: "connection refused".into() };
        (asked == 1).then(|| vec![(1, Answer::Outcome(refused))])
    }));
    play.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    play.run(start() + Span::from_secs(5));
    let requests = |play: &Play| -> Vec<Job> {
        let jobs = play.orders.iter().filter_map(|(_, order)| match &order.work {
            Work::Dispatch(DispatchWork::Request(job)) => Some((**job).clone()),
            _ => None,
        });
        jobs.collect()
    };
    assert_eq!(requests(&play).len(), 1);
    (play, requests)
}

#[test]
fn a_frozen_request_is_sent_again_after_a_restart_as_it_was() {
    let (mut play, requests) = refused_at_first();
    play.desk = play.loaded();
    play.run(start() + Span::from_secs(60));
    let made = requests(&play);
    assert_eq!(made.len(), 2, "{}", play.timeline());
    assert_eq!(made[0], made[1]);
    assert_eq!((made[0].contact["name"].as_str(), made[0].contact["phone"].as_str()), ("Jane <Doe>", "+43111"));
    assert_eq!((made[0].place.lat, made[0].place.lon), (48.2, 16.37));
}

#[test]
fn without_its_key_a_request_is_not_sent_and_a_person_is_asked() {
    let (mut play, requests) = refused_at_first();
    let mut without = (*play.config).clone();
    without.keys = Keyring::made_up(&["c-2".into()]);
    let mut desk = Desk::new(without.into());
    desk.load(play.stored_rows()).unwrap();
    assert!(desk.same_state(&play.desk), "what is stored is the same with and without keys");
    play.desk = desk;
    play.run(start() + Span::from_secs(60));
    assert_eq!(requests(&play).len(), 1, "{}", play.timeline());
    assert!(play.timeline().contains("what it said of the customer has been erased"), "{}", play.timeline());
    assert!(play.timeline().contains("is paged"), "{}", play.timeline());
}
