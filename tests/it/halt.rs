//! Stop switches for real: by command, over the API, and by retained messages through a real broker, which hands them out
//! again whenever it likes.

use std::process::Output;
use std::time::Duration;

use forewarn::demo::fleet::car_id;
use serde_json::Value;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::world::{Fleet, World};

const TOPIC: &str = "forewarn/forewarn/halt";

/// `forewarn case …`
fn case(world: &World, args: &[&str]) -> Output {
    let mut command = world.command();
    command.arg("case").args(args).args(["--url", &world.url(), "--token-file"]).arg(world.space.token_file());
    command.output().unwrap()
}

fn by_command(world: &World, args: &[&str]) {
    let output = case(world, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `POST /api/v1/…`
async fn by_api(world: &World, path: &str, body: Value) -> u16 {
    let token = std::fs::read_to_string(world.space.token_file()).unwrap();
    let request = reqwest::Client::new().post(format!("{}/api/v1/{path}", world.url())).bearer_auth(token);
    request.body(body.to_string()).send().await.unwrap().status().as_u16()
}

/// Waits until the switch of everything, or of a case, is so, and says by whom.
async fn switch(world: &World, of: Option<&str>, stop: &str) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer: Option<Value> = world.get("/api/v1/stop").await;
        let switches = answer.and_then(|a| a["switches"].as_array().cloned()).unwrap_or_default();
        let found = switches.into_iter().find(|s| s["case"].as_str() == of && s["stop"] == stop);
        if let Some(found) = found {
            return found["by"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "the switch never was {stop}:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// In good order: a broker that is killed forgets what it has not saved yet, us among it, and what is said before we
/// subscribe again reaches nobody.
fn restart(broker: &mut Broker) {
    broker.stop();
    broker.restart();
}

async fn break_down(fleet: &Fleet, device: &str) {
    for speed in [60.0, 55.0] {
        fleet.say(device, true, speed).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !check() {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halt_of_everything_by_message_by_command_and_by_api() {
    let mut world = World::build(3).await;
    let fleet = Fleet::connect(&world);
    // Said before the daemon was there.
    fleet.retain(TOPIC, b"on".to_vec()).await;
    world.start("");
    world.ready().await;
    assert_eq!(switch(&world, None, "on").await, format!("a message on {TOPIC}"));

    // Who is in danger is told; everything else waits.
    break_down(&fleet, &car_id(1)).await;
    eventually("a call", || !world.phone.accepted().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.desk.accepted().len(), world.tow.accepted().len()), (0, 0));

    // A person takes it back, and the same message does not come to life again: not when the daemon dies, not when the
    // broker does.
    by_command(&world, &["resume", "--reason", "a drill"]);
    switch(&world, None, "off").await;
    eventually("a ticket and a truck", || world.desk.accepted().len() == 1 && world.tow.accepted().len() == 1).await;
    world.kill();
    world.start("");
    world.ready().await;
    restart(&mut world.broker);
    fleet.publish_bytes(TOPIC, b"perhaps".to_vec()).await;
    break_down(&fleet, &car_id(2)).await;
    eventually("the second ticket", || world.desk.accepted().len() == 2).await;
    switch(&world, None, "off").await;

    // By API, and a cleared message is a word, too.
    assert_eq!(by_api(&world, "stop", serde_json::json!({ "stop": "all", "reason": "r" })).await, 200);
    assert_eq!(switch(&world, None, "all").await, "demo");
    fleet.retain(TOPIC, Vec::new()).await;
    assert_eq!(switch(&world, None, "off").await, format!("a message on {TOPIC}"));
    by_command(&world, &["stop", "--all", "--reason", "a drill"]);
    switch(&world, None, "all").await;
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halt_of_a_storm_by_message_by_command_and_by_api() {
    let mut world = World::build(60).await;
    world.start("");
    world.ready().await;
    let fleet = Fleet::connect(&world);
    for n in 1..=40 {
        break_down(&fleet, &car_id(n)).await;
    }
    let until = Instant::now() + Duration::from_secs(30);
    let storm = loop {
        match world.cases().await.into_iter().find(|c| c.device == "fleet") {
            Some(storm) => break storm.id,
            None => assert!(Instant::now() < until, "no storm:\n{}", world.log()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let short = &storm[..8];
    let topic = format!("storm/{short}/halt");
    fleet.retain(&topic, b"halt".to_vec()).await;
    assert_eq!(switch(&world, Some(&storm), "on").await, format!("a message on {topic}"));
    by_command(&world, &["resume", "--case", short]);
    switch(&world, Some(&storm), "off").await;
    restart(&mut world.broker);
    assert_eq!(by_api(&world, &format!("cases/{short}/stop"), serde_json::json!({ "stop": "on" })).await, 200);
    assert_eq!(switch(&world, Some(&storm), "on").await, "demo");
    fleet.retain(&topic, Vec::new()).await;
    assert_eq!(switch(&world, Some(&storm), "off").await, format!("a message on {topic}"));
    by_command(&world, &["stop", "--case", short, "--reason", "false alarms"]);
    switch(&world, Some(&storm), "on").await;

    // Who decides what about it: a tier, and the end.
    by_command(&world, &["approve", short, "3-the-rest"]);
    assert!(!case(&world, &["approve", short, "4"]).status.success());
    assert_eq!(by_api(&world, &format!("cases/{short}/approve"), serde_json::json!({})).await, 200);
    by_command(&world, &["release", short]);
    assert_eq!(by_api(&world, &format!("cases/{short}/release"), Value::Null).await, 409, "it is released already");
    world.kill();
}
