//! The shipped playbooks for real: broker, daemon, providers of the sandbox, driven over MQTT and HTTP alone. What the
//! providers accepted is what counts. The breakdown with a tow (6.1) is played by `demo_whole` and `crash`, the remote
//! correction (6.3) by `hvac`.
//!
//! Times of proof that are too long for a test are cut; everything else is as shipped.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use forewarn::app;
use forewarn::demo::Case;
use forewarn::demo::fleet::car_id;
use forewarn::demo::sandbox::{AppUser, Driver, Ticket};
use forewarn::domain::{Truth, Verdict};
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::mime;
use crate::world::{Ears, Fleet, World};

/// Changes a file of the world's configuration.
fn edit(world: &World, file: &str, changes: &[(&str, &str)]) {
    let path = world.space.dir().join("config").join(file);
    let mut text = fs::read_to_string(&path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

/// Adds lines to a file, and to each line of it what new columns need.
fn append(world: &World, file: &str, columns: Option<(&str, &str)>, lines: &str) {
    let path = world.space.dir().join("config").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let mut out = String::new();
    for (ix, line) in text.lines().enumerate() {
        let end = columns.map_or("", |(head, empty)| if ix == 0 { head } else { empty });
        out.push_str(&format!("{line}{end}\n"));
    }
    fs::write(path, out + lines).unwrap();
}

/// The page behind a link, and what a browser would load with it.
async fn page(http: &reqwest::Client, url: &str) -> String {
    let answer = http.get(url).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{url}");
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worn_pads_end_in_the_appointment_that_their_owner_chose_and_in_new_ones() {
    let mut world = World::build(60).await;
    edit(
        &world,
        "playbooks/predicted-fault-appointment.toml",
        &[("fault.score < 0.2 for 48h", "fault.score < 0.2 for 2s")],
    );
    world.with_variable("FOREWARN__PROVIDER__WORKSHOP__SECRET", world.secrets().app.clone());
    world.workshop.tells(&world.url(), &world.secrets().app).unwrap();
    // In their app they look at the times, and later say how it was.
    world.app.users([AppUser::Reads, AppUser::Taps('5')]);
    let parts = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(202)).mount(&parts).await;
    world.with_variable("FOREWARN__PROVIDER__PARTS__URL", format!("{}/hooks/parts", parts.uri()));
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);

    // Two months of readings, uploaded at once by a car that was parked: a tenth of a millimetre a day. As it is
    // played, the owner is told when the line through it says that six weeks are left.
    let now = app::clock()().as_millis();
    for day in (0..60).rev() {
        let said = json!({ "ts": now - day * 86_400_000, "pad": { "front": 6.0 + 0.1 * day as f64 } });
        fleet.publish("fleet/car-0003/telemetry", &said).await;
    }
    world.sees("the offer", |w| w.mail.accepted().len() == 1).await;
    let offer = world.mail.accepted().remove(0);
    mime::look("offer.eml", offer.data.as_bytes());
    assert_eq!(offer.subject(), "Termine für HH-FW 1002: bitte wählen Sie einen aus");
    let text = mime::leaf(&offer, "text/plain").text();
    assert!(text.contains("Die vorderen Bremsbeläge sind fast abgenutzt"), "{text}");

    // The picture of it, and the same in words.
    let picture = mime::leaf(&offer, "image/png");
    assert_eq!(picture.within.last().map(String::as_str), Some("multipart/related"));
    assert!(picture.body.starts_with(b"\x89PNG\r\n") && picture.body.len() < 30_000, "{} bytes", picture.body.len());
    let html = mime::leaf(&offer, "text/html").text();
    let id = html.split("src=\"cid:").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    mime::look("chart.png", &picture.body);
    assert!(picture.head.contains(&format!("<{id}>")), "{} {id}", picture.head);
    let said = text.lines().find(|l| l.starts_with("Dicke der vorderen Bremsbeläge: von ")).unwrap();
    assert!(said.contains(" auf 7,") && said.ends_with("Wechseln bei 3\u{a0}mm."), "{said}");
    assert!(html.contains(&format!("alt=\"{said}\"")), "{said}\n{html}");

    // The owner opens the link (so does every mail filter on the way) and chooses the second time.
    assert_eq!(world.workshop.kept(), 3);
    let link = text.split_whitespace().find(|w| w.contains("/l/")).unwrap();
    let http = reqwest::Client::new();
    let shown = page(&http, link).await;
    assert_eq!(shown.matches("name=\"choice\" value=\"").count(), 5, "three times, a call, none: {shown}");
    assert_eq!(world.workshop.booked(), [], "looking chooses nothing");
    let thanks = http.post(link).form(&[("choice", "2")]).send().await.unwrap();
    assert!(thanks.text().await.unwrap().contains("Vielen Dank"));
    world.sees("the confirmation", |w| w.mail.accepted().len() == 2).await;
    let booked = world.workshop.booked();
    assert_eq!(booked.len(), 1);
    let start = booked[0].booking.slot.as_ref().unwrap().start_sec;

    let confirmed = world.mail.accepted().remove(1);
    assert_eq!(confirmed.subject(), "Ihr Termin ist bestätigt: HH-FW 1002");
    assert_eq!(confirmed.to, offer.to);
    let invitation = mime::leaf(&confirmed, "text/calendar").text();
    let at = jiff::Timestamp::from_second(start).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string();
    for line in ["METHOD:REQUEST", "STATUS:CONFIRMED", "SEQUENCE:0", &format!("DTSTART:{at}")] {
        assert!(invitation.contains(line), "{line} in {invitation}");
    }
    assert!(page(&http, link).await.contains("Ihr Termin ist bestätigt"));

    // The parts system is told once, signed, of what is to be there by then; perhaps a moment after the owner.
    let cases = world.cases().await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    let ordered = |case: &Case| case.goals.iter().any(|g| g.name == "part_ordered" && g.state == "met");
    let until = Instant::now() + Duration::from_secs(30);
    let case = world.case_once(&cases[0].id, "the order of parts", until, ordered).await;
    let met: Vec<&str> = case.goals.iter().filter(|g| g.state == "met").map(|g| g.name.as_str()).collect();
    assert_eq!(met, ["owner_knows", "appointment_confirmed", "part_ordered"], "{case:#?}");
    let orders = parts.received_requests().await.unwrap();
    assert_eq!(orders.len(), 1);
    let order: Value = orders[0].body_json().unwrap();
    assert_eq!(order["part"], "pad_wear");
    assert!(orders[0].headers.contains_key("webhook-signature"));

    // The day has come: the workshop has the car, and says what it found. Told of the work is not yet a proof of it.
    let name = booked[0].booking.booking_id.clone();
    world.workshop.report(&name, "CHECKED_IN", None).await;
    let found = Verdict {
        truth: Some(Truth::Confirmed),
        part_replaced: Some("front brake pads".to_owned()),
        cost: Some(210.0),
        ..Verdict::default()
    };
    world.workshop.report(&name, "COMPLETED", Some(&found)).await;
    let case = world.case(&cases[0].id).await.unwrap();
    assert!(case.goals.iter().any(|g| g.name == "fault_gone" && g.state == "open"), "{case:#?}");

    // The car says that its pads are new. Its owner is asked how it was, and the case is closed with a fix that was seen.
    let closed = Instant::now() + Duration::from_secs(60);
    let outcome = loop {
        let said = json!({ "ts": app::clock()().as_millis(), "pad": { "front": 12.0 } });
        fleet.publish("fleet/car-0003/telemetry", &said).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let outcomes: Value = world.get("/api/v1/outcomes").await.unwrap();
        if outcomes["outcomes"][0]["csat"] == 5 && outcomes["outcomes"][0]["ended"].is_string() {
            break outcomes["outcomes"][0].clone();
        }
        assert!(Instant::now() < closed, "{outcomes:#}\n{:#?}\n{}", world.cases().await, world.log());
    };
    for (key, value) in [
        ("ended", json!("served")),
        ("truth", json!("confirmed")),
        ("part_replaced", json!("front brake pads")),
        ("cost", json!(210.0)),
        ("first_contact_by", json!("us")),
    ] {
        assert_eq!(outcome[key], value, "{key} of {outcome:#}");
    }
    let case = world.case(&cases[0].id).await.unwrap();
    assert!(case.goals.iter().all(|g| g.state == "met"), "{case:#?}");
    world.sees("the ticket is closed", |w| w.desk.accepted().iter().all(|t| t.state == "closed")).await;
    assert_eq!((world.desk.accepted().len(), world.workshop.booked().len()), (1, 1));
    assert_eq!(
        (world.phone.accepted().len(), world.tow.accepted().len()),
        (0, 0),
        "{:#?} {case:#?}",
        world.phone.accepted()
    );
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

const LIFT: &str = r#"
[model]
id = "lift"
topics = ["site/+/lift"]
device_id = "topic[1]"
report_every = "1s"
[signal]
load           = { path = "load", unit = "kg", ttl = "never" }
between_floors = { path = "between", type = "bool", ttl = "never" }
[facts]
load           = "load"
between_floors = "between_floors"
"#;

const SILENT: &str = r#"
[[rule]]
id = "lift-silent"
models = ["lift"]
fault = "device.silent"
severity = "major"
when = "silent(2s)"
[rule.case]
title = "Says nothing"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lift_that_falls_silent_with_people_in_it_has_its_building_called() {
    let mut world = World::build(60).await;
    fs::write(world.space.dir().join("config/models/lift.toml"), LIFT).unwrap();
    fs::write(world.space.dir().join("config/rules/lift.toml"), SILENT).unwrap();
    let lifts = "lift-1,lift,elevator,,,,,,,c-0001,,,c-0002,c-0003,,Europe/Berlin\n\
                 lift-2,lift,elevator,,,,,,,c-0001,,,c-0002,c-0003,,Europe/Berlin\n";
    append(&world, "registry/devices.csv", None, lifts);
    edit(&world, "playbooks/silent-elevator.toml", &[("within = \"60s\"", "within = \"3s\"")]);
    // The first number is not answered; the second person is there.
    world.phone.drivers([Driver::Absent]);
    world.start("");
    world.ready().await;
    let mut ears = Ears::open(&world, "lift-1", "site/+/cmd");
    let fleet = Fleet::connect(&world);
    // One stops between floors with people in it; the other stands empty.
    fleet.publish("site/lift-1/lift", &json!({ "load": 240, "between": true })).await;
    fleet.publish("site/lift-2/lift", &json!({ "load": 0, "between": false })).await;

    world.sees("tickets for both", |w| w.desk.accepted().len() == 2).await;
    world.sees("the building has confirmed", |w| w.phone.accepted().iter().any(|c| c.pressed == ['1'])).await;
    let pings = ears.hear(Duration::from_secs(2));
    let mut pinged: Vec<&str> = pings.iter().map(|(topic, _)| topic.as_str()).collect();
    pinged.sort_unstable();
    assert_eq!(pinged, ["site/lift-1/cmd", "site/lift-2/cmd"], "each was asked once before anybody was disturbed");
    let calls = world.phone.accepted();
    let heard: Vec<&String> = calls.iter().flat_map(|c| &c.heard).collect();
    assert!(heard.iter().any(|text| text.contains("lift") || text.contains("elevator")), "{heard:?}");
    let tickets = world.desk.accepted();
    assert!(tickets.iter().all(|t| t.title.ends_with(" is silent") && t.state != "closed"), "{tickets:?}");

    // Both are back: the tickets are closed and say for how long they were away.
    for lift in ["lift-1", "lift-2"] {
        fleet.publish(&format!("site/{lift}/lift"), &json!({ "load": 0, "between": false })).await;
    }
    world.sees("both tickets closed", |w| w.desk.accepted().iter().all(|t| t.state == "closed")).await;
    for ticket in world.desk.accepted() {
        assert!(ticket.articles.iter().any(|a| a.body.contains("reported again after")), "{ticket:#?}");
    }
    let called = world.phone.accepted();
    assert!(called.iter().all(|c| calls.contains(c) || c.to == calls[0].to), "nobody was called about the empty one");
    assert_eq!((world.tow.accepted().len(), world.mail.accepted().len()), (0, 0));
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

/// The numbers of the drivers of all cars, without those who must not be called.
fn drivers(world: &World) -> BTreeSet<String> {
    let read = |name: &str| fs::read_to_string(world.space.dir().join("config/registry").join(name)).unwrap();
    let (devices, endpoints) = (read("devices.csv"), read("endpoints.csv"));
    let phone = |customer: &str| {
        let own = |l: &&str| l.starts_with(&format!("{customer}-p,")) && l.ends_with(",false");
        endpoints.lines().find(own).map(|l| l.split(',').nth(3).unwrap().to_owned())
    };
    devices.lines().filter(|l| l.starts_with("car-")).filter_map(|l| phone(l.split(',').nth(10).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_cars_at_once_are_one_storm_and_its_drivers_are_told() {
    let mut world = World::build(60).await;
    edit(
        &world,
        "playbooks/fleet-defect-storm.toml",
        &[("call = \"1/s\"", "call = \"50/s\""), ("at = \"5m\"", "at = \"1s\"")],
    );
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    let cars: Vec<String> = (0..60).map(car_id).collect();
    for _ in 0..2 {
        for car in &cars {
            fleet.say(car, true, 80.0).await;
        }
    }
    let numbers = drivers(&world);
    assert!(numbers.len() > 40);
    let told = |w: &World| -> BTreeSet<String> {
        w.phone.accepted().into_iter().filter(|c| c.pressed == ['1']).map(|c| c.to).collect()
    };
    world.sees("every driver has confirmed", |w| numbers.is_subset(&told(w))).await;

    // One case for all of them, one problem for the desk; who is stopped by it gets neither truck nor ticket of their own.
    let cases = world.cases().await;
    assert_eq!(cases.iter().filter(|c| c.device.starts_with("car-")).count(), 60);
    let storm: Vec<_> = cases.iter().filter(|c| c.device == "fleet").collect();
    assert_eq!(storm.len(), 1, "{cases:#?}");
    let problem = |t: &Ticket| t.title.contains(" x brake since ");
    world.sees("the problem", |w| w.desk.accepted().iter().any(problem)).await;
    assert_eq!(world.desk.accepted().iter().filter(|t| problem(t)).count(), 1);
    let (tickets, trucks) = (world.desk.accepted().len(), world.tow.accepted().len());
    // The problem among the tickets.
    assert!(tickets <= 25 && trucks <= 24, "those before the storm was noticed: {tickets} tickets, {trucks} trucks");
    let heard: Vec<String> = world.phone.accepted().into_iter().flat_map(|c| c.heard).collect();
    assert!(
        heard.iter().any(|t| t.contains("Viele Fahrzeuge sind betroffen") && !t.contains("unterwegs")),
        "{heard:?}"
    );

    // Engineering is asked, and somebody takes it.
    world.sees("the page", |w| w.mail.accepted().iter().any(|m| m.to == ["service-desk@example.com"])).await;
    let id = &storm[0].id;
    assert_eq!(world.post(&format!("/api/v1/cases/{id}/ack"), json!({ "actor": "kim" })).await, 200);
    let whole = world.case(id).await.unwrap();
    let state = |name: &str| whole.goals.iter().find(|g| g.name == name).unwrap().state.clone();
    assert_eq!(state("engineering_acknowledged"), "met", "{whole:#?}");

    // A person lets them go: every car goes on with its own plan, and each gets its one truck.
    assert_eq!(world.post(&format!("/api/v1/cases/{id}/release"), json!({ "actor": "kim" })).await, 200);
    world.sees("a truck for each", |w| w.tow.accepted().len() == 60).await;
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
