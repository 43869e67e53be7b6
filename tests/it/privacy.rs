//! Nothing personal is stored in the clear, and what is sealed still does its work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forewarn::desk::{Act, Caller, Config, Desk, Input, Keyring, Reply};
use forewarn::domain::{
    Author, Change, Channel, Consent, Device, DispatchWork, EpisodeId, Evidence, Job, Link, Outcome, PageKind, Purpose,
    Said, Sender, Severity, Span, Stop, Value, Work,
};
use forewarn::store::{self, Store};
use forewarn::wire::{twilio, zammad};
use serde_json::Value as Json;

use super::desk_world::{Answer, DEVICE, Odds, World as Play, brake, config, config_with, detection, link_key, start};
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
    // Not every device has a plate.
    let all: Vec<String> = all.concat().into_iter().filter(|text| !text.is_empty()).collect();
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
    world.set("[provider.mail]\n", "[provider.mail]\ninbound_password = \"an inbound password\"\n");
    world.set("[provider.helpdesk]\n", "[provider.helpdesk]\nwebhook_token = \"a hook token\"\n");
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let car = forewarn::demo::fleet::car_id(1);
    fleet.say(&car, true, 60.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(&car, true, 55.0).await;
    let cases = world.all_served(&[car], "brake.circuit_loss", Duration::from_secs(60)).await;
    write_by_every_way(&world, &cases[0].id).await;
    let shown: Json = world.get(&format!("/api/v1/cases/{}", cases[0].id)).await.unwrap();
    assert_eq!(
        shown["conversation"].as_array().unwrap().iter().filter(|m| m["direction"] != "out").count(),
        3,
        "{shown:#}"
    );
    assert_eq!(world.stop(), Some(0), "{}", world.log());

    let (home, kept) = (world.space.dir(), world.space.dir().join("store"));
    let mut needles: Vec<Vec<u8>> =
        personal(&home.join("config/registry")).into_iter().map(String::into_bytes).collect();
    needles.extend([TYPED, COMMENT, "mid-unverkennbar"].map(|text| text.as_bytes().to_vec()));
    // The keys are what they are; everything else, the journal of telemetry included, knows no people.
    let mut all = Vec::new();
    files(&kept, &["keys.json"], &mut all);
    all.push(("the log of the daemon".into(), fs::read(world.space.log()).unwrap()));
    // Exports are packed: what is in them is what is in the state.
    let desk = kept.join("desk");
    let rows = Store::open(&desk).unwrap().0.rows().unwrap();
    all.extend(rows.iter().map(|(key, row)| (format!("row {:?}", char::from(key[0])), [key, row].concat())));
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

/// By text message, by mail, and in the ticket: free words, and fields that an agent has filled in.
async fn write_by_every_way(world: &World, case: &str) {
    let client = reqwest::Client::new();
    let sent = |request: reqwest::RequestBuilder| async {
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{text}\n{}", world.log());
    };
    let (number, mailbox) = ("+12025550101", "owen.walker.2@example.com");
    let form = format!("MessageSid=SM1&From=%2B{}&To=%2B4930&Body={}", &number[1..], TYPED.replace(' ', "+"));
    let url = format!("{}/twilio/sms", world.url());
    let signature = twilio::sign(&world.secrets().phone, &url, &twilio::parse_form(form.as_bytes()));
    let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded");
    sent(request.header(twilio::HEADER, signature).body(form)).await;

    let mail = serde_json::json!({ "From": mailbox, "To": "service@example.com", "MessageID": "<mid-unverkennbar@zoe>", "TextBody": TYPED });
    let request =
        client.post(format!("{}/mail/inbound", world.url())).basic_auth("forewarn", Some("an inbound password"));
    sent(request.body(mail.to_string())).await;

    let ticket = world.desk.accepted().into_iter().find(|t| t.case_ref.as_deref() == Some(case)).unwrap();
    let trigger = serde_json::json!({
        "ticket": { "id": ticket.id, "case_ref": case, "case_truth": "confirmed", "case_part_replaced": "hose" },
        "article": { "id": 99, "body": COMMENT, "sender": "Agent", "internal": true },
    });
    let trigger = trigger.to_string();
    let signature = zammad::sign("a hook token", trigger.as_bytes());
    sent(client.post(format!("{}/zammad/helpdesk", world.url())).header(zammad::SIGNATURE, signature).body(trigger))
        .await;
    let outcomes: Json = world.get("/api/v1/outcomes").await.unwrap();
    let outcome = &outcomes["outcomes"][0];
    assert_eq!(
        (outcome["truth"].as_str(), outcome["judged_by"].as_str()),
        (Some("confirmed"), Some("ticket:helpdesk")),
        "{outcomes:#}"
    );
}

/// What a command of the program prints, and its exit code.
fn forewarn(world: &World, args: &[&str]) -> (String, i32) {
    let output = world.command().args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code().unwrap())
}

/// What is stored of the customer: whether the registry is shown, and the body of the request for a truck.
fn exported(world: &World, args: &[&str]) -> Json {
    let (text, code) = forewarn(world, &[&["customer", "export", "c-0001"][..], args].concat());
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_outlasts_restarts_and_old_exports_and_the_audit_stays_intact() {
    let mut world = World::build(1).await;
    let home = world.space.dir().to_owned();
    let (settings, token) = (world.space.settings(), world.space.token_file());
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let car = forewarn::demo::fleet::car_id(0);
    fleet.say(&car, true, 60.0).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    fleet.say(&car, true, 55.0).await;
    world.all_served(&[car], "brake.circuit_loss", Duration::from_secs(60)).await;
    let url = world.url();
    let online = ["--url", &url, "--token-file", token.to_str().unwrap()];
    let before = exported(&world, &online);
    assert_eq!(before["customer"]["name"], "Jana Brandt");
    let contact = &before["stored"]["jobs"][0]["row"]["body"]["contact"];
    assert_eq!(contact["name"], "Jana Brandt", "{before:#}");

    let data = home.join("store");
    let at = ["--data", data.to_str().unwrap()];
    assert_eq!(world.stop(), Some(0), "{}", world.log());
    let saved = home.join("before.fwx");
    assert_eq!(forewarn(&world, &[&["store", "export", saved.to_str().unwrap()][..], &at].concat()).1, 0);
    world.start("");
    world.ready().await;
    let (said, code) = forewarn(&world, &[&["customer", "erase", "c-0001"][..], &online].concat());
    assert_eq!(code, 0, "{said}");
    let erased = |dossier: &Json| dossier["stored"]["jobs"][0]["row"]["body"] == "erased";
    assert!(erased(&exported(&world, &online)));

    world.kill();
    world.start("");
    world.ready().await;
    assert!(erased(&exported(&world, &online)));
    assert!(world.log().contains("still stands in the registry"), "{}", world.log());
    assert_eq!(world.stop(), Some(0));
    let (said, code) = forewarn(&world, &["check", "--config", settings.to_str().unwrap()]);
    assert_eq!(code, 0, "a warning: {said}");
    assert!(
        said.contains("S121") && said.contains("customers.csv:2:1") && said.contains("c-0001 was erased at"),
        "{said}"
    );
    let (said, code) = forewarn(&world, &[&["audit", "verify"][..], &at].concat());
    assert!(code == 0 && said.contains("intact"), "{said}");
    assert!(forewarn(&world, &[&["audit", "log"][..], &at].concat()).0.contains("erased the customer c-0001"));

    // An export from before the erasure: held, and still nothing can be read.
    fs::remove_dir_all(data.join("desk")).unwrap();
    assert_eq!(forewarn(&world, &[&["store", "import", saved.to_str().unwrap()][..], &at].concat()).1, 0);
    let offline = ["--config", settings.to_str().unwrap()];
    assert!(erased(&exported(&world, &offline)));
    world.start("");
    world.ready().await;
    assert!(erased(&exported(&world, &online)));
    assert!(world.log().contains("effects are held"), "{}", world.log());
    // Nor does a new breakdown send anything before a person has agreed.
    let sent = (world.desk.accepted().len(), world.tow.accepted().len());
    for speed in [60.0, 55.0] {
        fleet.say(&forewarn::demo::fleet::car_id(1), true, speed).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.cases().await.iter().all(|c| c.closed_at.is_some()) {
        assert!(tokio::time::Instant::now() < until, "no case is open: {}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.desk.accepted().len(), world.tow.accepted().len()), sent, "{}", world.log());
    assert_eq!(world.stop(), Some(0));

    // Lost keys: everything that was sealed reads as erased, and nothing else is the worse for it.
    fs::remove_file(data.join("keys.json")).unwrap();
    world.start("");
    world.ready().await;
    assert!(erased(&exported(&world, &online)));
    assert_eq!(world.cases().await.len(), 2);
    assert_eq!(world.stop(), Some(0));
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

fn erase(force: bool) -> Input {
    Input::Erase { customer: "c-1".into(), force, actor: "officer".into() }
}

fn readmit() -> Input {
    Input::Readmit { customer: "c-1".into(), actor: "officer".into() }
}

/// A breakdown at its beginning.
fn broken_down() -> Play {
    let mut play = Play::new(config(|_| {}), Odds::friendly(), 1);
    play.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    play.run(start() + Span::from_secs(30));
    play
}

#[test]
fn nobody_is_erased_while_a_safety_case_is_open_unless_somebody_insists() {
    let mut play = broken_down();
    let Some(Reply::Refused(why)) = play.tell(erase(false)) else { panic!("erased") };
    assert!(why.contains("safety case"), "{why}");
    assert_eq!(play.tell(erase(true)), Some(Reply::Done));
    assert!(matches!(play.tell(erase(true)), Some(Reply::Refused(_))), "twice");
    assert!(play.timeline().contains("officer has had the customer c-1 erased"), "{}", play.timeline());
    let record = play.log.iter().find(|r| r.what.starts_with("erased")).unwrap();
    assert_eq!((record.actor.as_str(), record.what.as_str()), ("api:officer", "erased the customer c-1, by force"));
    let nobody = Input::Erase { customer: "c-9".into(), force: true, actor: "officer".into() };
    assert_eq!(play.tell(nobody), Some(Reply::NotFound));
}

#[test]
fn an_erased_customer_is_told_nothing_and_known_to_nobody_until_readmitted() {
    let mut play = broken_down();
    play.run(start() + Span::from_hours(2));
    assert!(play.desk.list(false, 9).is_empty(), "served: {}", play.timeline());
    let caller = Caller::Phone("+43111".into());
    assert_eq!(play.desk.lookup(&caller).people.len(), 1);
    assert_eq!(play.tell(erase(false)), Some(Reply::Done));
    assert_eq!(play.desk.lookup(&caller).people.len(), 0);
    assert_eq!(play.desk.erased_in_registry(), ["c-1".into()]);

    let addressed = |play: &Play| play.orders.iter().filter(|(_, o)| format!("{:?}", o.work).contains("43111")).count();
    let before = addressed(&play);
    assert!(before > 0);
    play.now = start() + Span::from_hours(100);
    play.desk = play.loaded();
    play.tell(Input::Detection(Box::new(brake(3, Change::Raised, play.now))));
    let again = |n, at| {
        super::desk_world::detection(
            "brake.circuit_loss",
            forewarn::domain::Severity::Critical,
            n,
            1,
            Change::Raised,
            at,
        )
    };
    play.tell(Input::Detection(Box::new(again(2, play.now))));
    play.run(start() + Span::from_hours(102));
    assert_eq!(addressed(&play), before, "{}", play.timeline());
    assert!(play.timeline().contains("is paged"), "somebody has to see to the car: {}", play.timeline());

    assert_eq!(play.tell(readmit()), Some(Reply::Done));
    assert!(matches!(play.tell(readmit()), Some(Reply::Refused(_))));
    assert_eq!(play.desk.lookup(&caller).people.len(), 1);
}

/// The line rings while the key is destroyed.
#[test]
fn who_is_erased_in_the_middle_hears_nothing_more_and_their_links_lead_nowhere() {
    let mut play = Play::new(config(|_| {}), Odds::friendly(), 1);
    play.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    play.run(start() + Span::from_secs(6));
    assert!(play.speeches.is_empty(), "nobody has answered yet");
    let link = link(&play, PageKind::Answer).unwrap();
    assert!(play.desk.page(play.now, &link).is_ok());
    play.tell(erase(true));
    let texts = play.orders.iter().filter(|(_, o)| matches!(o.work, Work::Sms(_))).count();

    play.run(start() + Span::from_secs(60));
    let goodbye = fs::read_to_string("config/messages/en/call-opt-out.voice.txt").unwrap();
    let heard = play.speeches.first().map(|(_, text)| text.as_str());
    assert_eq!(heard, Some(goodbye.trim()), "{}", play.timeline());
    assert!(play.desk.page(play.now, &link).is_err());
    let (records, form) = (play.log.len(), BTreeMap::from([("answer".to_owned(), "1".to_owned())]));
    assert_eq!(play.tell(Input::Link { link, form }), Some(Reply::NotFound));
    assert_eq!(play.log.len(), records);
    let after = play.orders.iter().filter(|(_, o)| matches!(o.work, Work::Sms(_))).count();
    assert_eq!(after, texts, "{}", play.timeline());
    play.run(start() + Span::from_mins(10));
    assert!(play.timeline().contains("is paged"), "somebody has to see to the car: {}", play.timeline());
}

#[test]
fn a_customer_gets_everything_that_is_stored_of_them_and_nothing_of_others() {
    let mut play = broken_down();
    let dossier = play.desk.dossier(&"c-1".into(), usize::MAX).unwrap();
    assert_eq!(dossier["customer"]["name"], "Jane <Doe>");
    assert_eq!(dossier["devices"][0]["attributes"]["plate"], "W-123 AB");
    let stored = &dossier["stored"];
    assert_eq!(stored["jobs"][0]["row"]["body"]["contact"]["phone"], "+43111");
    assert_eq!(stored["facts"][0]["row"]["position"]["lat"]["Num"], 48.2);
    for table in ["cases", "steps", "effects", "contacts", "tickets", "timeline", "episodes"] {
        assert!(stored[table].as_array().is_some_and(|rows| !rows.is_empty()), "{table}: {stored:#}");
    }
    // Joe runs the fleet that the car belongs to: the case is his business, where Jane was is not.
    let other = play.desk.dossier(&"c-2".into(), usize::MAX).unwrap();
    assert_eq!(other["stored"]["jobs"][0]["row"]["body"], "of another person");
    assert!(!other.to_string().contains("43111") && !other.to_string().contains("Jane"), "{other:#}");
    assert_eq!(play.desk.dossier(&"c-9".into(), usize::MAX), None);

    play.tell(erase(true));
    let erased = play.desk.dossier(&"c-1".into(), usize::MAX).unwrap();
    assert_eq!(erased["stored"]["jobs"][0]["row"]["body"], "erased");
    assert!(erased["erased_at"].is_string(), "{erased:#}");
}

/// Lists that other systems write number customers and devices from one on.
#[test]
fn the_dossier_of_customer_17_has_nothing_of_device_17() {
    let config = config(|c| {
        let mut registry = (*c.registry).clone();
        let joe = registry.customers["c-2"].clone();
        registry.customers.insert("17".into(), forewarn::domain::Customer { id: "17".into(), ..joe });
        let car = registry.devices[DEVICE].clone();
        registry.devices.insert("17".into(), Device { id: "17".into(), ..car });
        c.keys = Keyring::made_up(registry.customers.keys());
        c.registry = Arc::new(registry);
    });
    let mut play = Play::new(config, Odds::friendly(), 1);
    let mut of_jane = brake(1, Change::Raised, start());
    of_jane.device = "17".into();
    play.tell(Input::Detection(Box::new(of_jane)));
    play.run(start() + Span::from_secs(30));
    let theirs = play.desk.dossier(&"17".into(), usize::MAX).unwrap();
    assert_eq!(theirs["stored"], serde_json::json!({}), "{theirs:#}");
    let janes = play.desk.dossier(&"c-1".into(), usize::MAX).unwrap();
    assert!(janes["stored"]["cases"].as_array().is_some_and(|rows| rows.len() == 1), "{janes:#}");
}

#[test]
fn keys_are_needed_for_as_long_as_the_registry_or_a_row_names_their_owner() {
    let play = broken_down();
    let mut config = (*play.config).clone();
    config.registry = std::sync::Arc::default();
    let mut desk = Desk::new(config.into());
    assert!(desk.keys_needed().is_empty());
    desk.load(play.stored_rows()).unwrap();
    assert_eq!(desk.keys_needed().into_iter().collect::<Vec<_>>(), ["c-1".into()]);
    assert_eq!(play.desk.keys_needed().len(), 2);
}

#[test]
fn erasures_between_crashes_and_restarts_leave_the_same_state() {
    for seed in 0..24 {
        let mut play = Play::new(config(|_| {}), Odds { crash: 25, ..Odds::hostile() }, seed);
        play.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
        for n in 0..8 {
            let after = Span::from_secs(play.rng.between(1, 1_800));
            play.later(after, if n % 2 == 0 { erase(true) } else { readmit() });
            play.later(after, Input::Detection(Box::new(brake(2 + n, Change::Raised, start() + after))));
        }
        play.run(start() + Span::from_hours(6));
        let erased = play.desk.erased().count() == 1;
        // Rows alone, and all records from the first, with the keys and without them.
        for keys in [play.config.keys.clone(), Keyring::default()] {
            let mut config = (*play.config).clone();
            config.keys = keys;
            let mut replayed = Desk::new(config.into());
            play.log.iter().for_each(|record| replayed.apply(record).unwrap());
            assert!(replayed.same_state(&play.loaded()) && replayed.same_state(&play.desk), "seed {seed}");
            assert_eq!(replayed.erased_in_registry().len() == 1, erased, "seed {seed}");
        }
    }
}

/// Words that stand nowhere by chance.
const NAME: &str = "Zoe Unverkennbar";
const PHONE: &str = "+4915550199001";
const MAIL: &str = "zoe.unverkennbar@example.com";
const PLATE: &str = "ZU-VK 4711";
const VIN: &str = "ZZZUNVERKENNBAR01";
const TYPED: &str = "Zedernweg 77 hinter der Muehle";
const CLOSING: &str = "Frau Unverkennbar hat angerufen";
const STOPPING: &str = "Herr Zedernweg will das nicht";
const COMMENT: &str = "Die Kundin wohnt am Zedernweg";
const PLACE: (f64, f64) = (48.777_123, 9.180_456);
/// What the tow company of the world calls its truck.
const TRUCK: &str = "TOW 7";

fn needles() -> Vec<Vec<u8>> {
    let texts = [NAME, PHONE, MAIL, PLATE, VIN, TYPED, CLOSING, STOPPING, COMMENT, TRUCK, "Unverkennbar", "Zedernweg"];
    let numbers = [PLACE.0, PLACE.1].into_iter();
    let places = numbers.flat_map(|n| [n.to_le_bytes().to_vec(), format!("{n:.4}").into_bytes()]);
    texts.iter().map(|t| t.as_bytes().to_vec()).chain(places).collect()
}

/// A correction, a message in the app and a survey, which no shipped playbook has together.
const REST: &str = r#"
schema = "playbook/1"
id = "rest"
version = 1
[match]
fault = ["a.b"]
[case]
goals = ["corrected", "told"]
[policy]
purpose = "service"
[[step]]
id = "fix"
do = "command"
topic = "fleet/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"soft_reset","for":"{{ device.plate }}"}'
allow = ["soft_reset"]
reply = { topic = "fleet/{{ device.id }}/cmd/ack", match = "id", within = "30s" }
goal = "corrected"
[[step]]
id = "tell"
do = "reach"
who = ["driver"]
goal = "told"
until = "delivered"
script = "brake-stop-now"
ladder = [{ via = "app_push", at = "0s" }, { via = "human", at = "2h", queue = "service-desk" }]
[[step]]
id = "ask"
do = "survey"
after = ["tell", "fix"]
scale = "1-5"
via = ["sms"]
"#;

/// The shipped playbooks and that one; Jane is somebody whom one recognises, with a second car that says where it is.
fn unmistakable() -> Arc<Config> {
    let mut config = (*config(|_| {})).clone();
    config.playbooks.extend(config_with(REST, |_| {}).playbooks.clone());
    config.settings.storm_guard.min = 1_000;
    let mut registry = (*config.registry).clone();
    let jane = registry.customers.get_mut("c-1").unwrap();
    jane.name = NAME.into();
    jane.endpoints[0].address = PHONE.into();
    jane.endpoints[1].address = MAIL.into();
    jane.consents.push(Consent { to: forewarn::domain::Agreed::Contact(Purpose::Info), ..jane.consents[0].clone() });
    let car = registry.devices.get_mut(DEVICE).unwrap();
    car.attrs.extend([("plate".into(), PLATE.into()), ("vin".into(), VIN.into())]);
    let second = Device { id: "car-2".into(), ..car.clone() };
    registry.devices.insert(second.id.clone(), second);
    config.registry = registry.into();
    Arc::new(config)
}

/// A detection whose rule has put the plate into its title and the place into its evidence.
fn talkative(fault: &str, device: &str, severity: Severity, n: u8, at: forewarn::domain::At) -> Input {
    let mut d = detection(fault, severity, n, 1, Change::Raised, at);
    d.device = device.into();
    d.episode = EpisodeId::of(&[device.as_bytes(), fault.as_bytes(), &[n]]);
    d.title = format!("{PLATE} at {} km/h", 80);
    let said = |name: &str, value| Evidence { name: name.into(), value, unit: String::new() };
    d.evidence =
        vec![said("lat", Value::from(PLACE.0)), said("whose", Value::from(PLATE)), said("speed", Value::from(80.0))];
    d.facts.extend([("lat".to_owned(), Value::from(PLACE.0)), ("lon".to_owned(), Value::from(PLACE.1))]);
    Input::Detection(Box::new(d))
}

fn writes(channel: Channel, from: Sender, id: &str, text: &str) -> Input {
    Input::Said(Said {
        channel,
        external_id: id.into(),
        from,
        case: None,
        text: text.into(),
        calendar: None,
        answered: true,
    })
}

/// The link of a kind in the messages so far, newest last.
fn link(play: &Play, kind: PageKind) -> Option<Link> {
    let texts = play.orders.iter().filter_map(|(_, o)| match &o.work {
        Work::Sms(sms) => Some(sms.body.clone()),
        Work::Mail(mail) => Some(mail.text.clone()),
        _ => None,
    });
    let tokens = texts.flat_map(|t| t.split("https://fw.example/l/").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let mut links = tokens.filter_map(|t| link_key().verify(t.split_whitespace().next()?));
    links.rfind(|l| l.kind == kind)
}

/// Every verb, and every way in for words: all of it works, and none of it can be read in a row or a record.
fn everything_happens() -> Play {
    let mut play = Play::new(unmistakable(), Odds { slips: 0, ..Odds::friendly() }, 1);
    let post = |play: &mut Play, kind, fields: &[(&str, &str)]| {
        let Some(link) = link(play, kind) else { panic!("no {kind:?}: {}", play.timeline()) };
        let form: BTreeMap<String, String> = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        play.tell(Input::Link { link, form });
    };
    // A car that does not say where it is: the driver types words, and then a place.
    let Input::Detection(mut lost) = talkative("brake.circuit_loss", "car-2", Severity::Critical, 1, play.now) else {
        panic!()
    };
    lost.facts.clear();
    play.tell(Input::Detection(lost));
    play.run(start() + Span::from_secs(15));
    post(&mut play, PageKind::Where, &[("place", TYPED)]);
    post(&mut play, PageKind::Where, &[("lat", "48.777123"), ("lon", "9.180456"), ("accuracy", "20")]);
    play.run(start() + Span::from_mins(5));
    let phone = || Sender::Phone(PHONE.into());
    play.tell(writes(Channel::Sms, phone(), "SM1", &format!("Ich bin {NAME}, {TYPED}")));
    play.tell(writes(Channel::Email, Sender::Email(MAIL.into()), "mail/1", TYPED));
    play.tell(Input::Called { from: phone(), id: "call-1".into(), actor: "desk".into() });
    let ticket = play.desk.list(false, 1)[0].id;
    let of = play.orders.iter().find_map(|(_, o)| matches!(o.work, Work::Ticket(_)).then_some(o.effect)).unwrap();
    for author in [Author::Customer, Author::Agent, Author::Internal] {
        let from = Sender::Desk { desk: "helpdesk".into(), ticket: format!("T-{of}"), author };
        play.tell(writes(Channel::Ticket, from, &format!("helpdesk/{author:?}"), COMMENT));
    }
    let act = Act::Stop { stop: Stop::On, reason: STOPPING.into() };
    play.tell(Input::Act { case: Some(ticket), actor: "kim".into(), act });
    play.tell(Input::Act {
        case: None,
        actor: "kim".into(),
        act: Act::Stop { stop: Stop::On, reason: STOPPING.into() },
    });
    play.tell(Input::Act {
        case: None,
        actor: "kim".into(),
        act: Act::Stop { stop: Stop::Off, reason: STOPPING.into() },
    });
    play.tell(Input::Close { case: ticket, actor: "kim".into(), reason: CLOSING.into() });
    // The other verbs.
    play.tell(talkative("brake.pad_wear", DEVICE, Severity::Warning, 2, play.now));
    play.tell(talkative("a.b", DEVICE, Severity::Major, 3, play.now));
    play.tell(talkative("brake.circuit_loss", DEVICE, Severity::Critical, 4, play.now));
    play.run(start() + Span::from_hours(1));
    post(&mut play, PageKind::Choose, &[("choice", "1")]);
    play.tell(writes(Channel::Sms, phone(), "SM2", "5"));
    let values = [("lat", PLACE.0), ("lon", PLACE.1), ("speed", 0.0)].map(|(k, v)| (k.to_owned(), Value::from(v)));
    play.tell(Input::Facts { device: DEVICE.into(), event_at: play.now, values: values.into() });
    play.run(start() + Span::from_hours(30));
    play
}

#[test]
fn whatever_is_done_and_said_leaves_nothing_of_a_person_in_rows_and_records() {
    let play = everything_happens();
    let kinds: BTreeSet<String> =
        play.orders.iter().map(|(_, o)| format!("{:?}", o.work).split('(').next().unwrap().to_owned()).collect();
    let all = ["App", "Book", "Call", "Command", "Dispatch", "Mail", "Sms", "Ticket", "Webhook"].map(str::to_owned);
    assert_eq!(kinds, BTreeSet::from(all), "every way out was used: {}", play.timeline());

    let mut places = Vec::new();
    for (n, record) in play.log.iter().enumerate() {
        places.push((
            format!("record {n}: {} {}", record.actor, record.what),
            format!("{} {}", record.actor, record.what).into_bytes(),
        ));
        for (key, row) in &record.changes {
            places.push((
                format!("row {:?} of record {n}", char::from(key[0])),
                [key.clone(), row.clone().unwrap_or_default()].concat(),
            ));
        }
    }
    assert_eq!(found(&places, &needles()), [""; 0]);
    let outcomes: String =
        play.desk.outcomes(forewarn::domain::At::MIN, None, 99).iter().map(|o| o.json_line()).collect();
    assert_eq!(found(&[("the export".into(), outcomes.into_bytes())], &needles()), [""; 0]);
}

#[test]
fn whoever_may_read_a_case_reads_what_was_said_until_the_customer_is_erased() {
    let mut play = everything_happens();
    let shown = |play: &Play| -> String {
        let cases =
            play.desk.list(true, 99).into_iter().map(|c| serde_json::to_string(&play.desk.show(&c.id)).unwrap());
        cases.collect::<String>() + &play.desk.dossier(&"c-1".into(), usize::MAX).unwrap()["stored"].to_string()
    };
    let before = shown(&play);
    for text in [TYPED, CLOSING, STOPPING, COMMENT, TRUCK, "48.777123", NAME, PHONE] {
        assert!(before.contains(text), "{text}");
    }
    let articles = play.orders.iter().filter(|(_, o)| matches!(o.work, Work::Ticket(_)));
    let articles: String = articles.map(|(_, o)| format!("{:?}", o.work)).collect();
    for text in [TYPED, CLOSING] {
        assert!(articles.contains(text), "an agent reads it in the ticket: {text}");
    }
    assert_eq!(
        play.tell(Input::Erase { customer: "c-1".into(), force: true, actor: "officer".into() }),
        Some(Reply::Done)
    );
    let after = shown(&play);
    for text in [TYPED, CLOSING, STOPPING, COMMENT, "48.777123", NAME, PHONE, TRUCK] {
        assert!(!after.contains(text), "{text} can still be read");
    }
    assert!(after.contains("(erased)"), "{after}");
}

#[test]
fn the_dossier_has_appointments_surveys_and_conversations() {
    let play = everything_happens();
    let dossier = play.desk.dossier(&"c-1".into(), usize::MAX).unwrap();
    for table in [
        "cases",
        "bookings",
        "surveys",
        "messages",
        "talks",
        "contacts",
        "jobs",
        "facts",
        "whereabouts",
        "outcomes",
        "timeline",
    ] {
        let rows = dossier["stored"][table].as_array();
        assert!(
            rows.is_some_and(|rows| !rows.is_empty()),
            "{table}: {:?}",
            dossier["stored"].as_object().unwrap().keys()
        );
    }
    let words: Vec<&Json> =
        dossier["stored"]["messages"].as_array().unwrap().iter().map(|m| &m["row"]["body"]).collect();
    assert!(words.iter().any(|w| w.as_str().is_some_and(|w| w.contains(TYPED))), "{words:?}");

    assert_eq!(dossier["cut"], serde_json::json!([]));
    let short = play.desk.dossier(&"c-1".into(), 1).unwrap();
    let cut: Vec<&str> = short["cut"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    assert!(cut.contains(&"timeline") && cut.contains(&"contacts"), "it says that there is more: {cut:?}");
    for (table, all) in dossier["stored"].as_object().unwrap() {
        assert_eq!(cut.contains(&table.as_str()), all.as_array().unwrap().len() > 1, "{table}");
    }
}

#[test]
fn a_closed_case_and_everything_that_was_said_in_it_ends_with_its_retention() {
    let mut play = everything_happens();
    for case in play.desk.list(false, 99) {
        play.tell(Input::Close { case: case.id, actor: "kim".into(), reason: "retention".into() });
    }
    let kept = play.desk.outcomes(forewarn::domain::At::MIN, None, 99).len();
    play.run_long(play.now + Span::from_hours(31 * 24), 200_000);
    assert!(play.desk.list(true, 99).is_empty(), "{:?}", play.desk.list(true, 99));
    let left: BTreeSet<char> = play.stored().map(|key| char::from(key[0])).collect();
    for tag in "cseajthflMNVBPo".chars() {
        assert!(!left.contains(&tag), "rows {tag:?} of forgotten cases: {left:?}");
    }
    assert_eq!(play.desk.outcomes(forewarn::domain::At::MIN, None, 99).len(), kept, "pseudonymous, and kept for years");
}
