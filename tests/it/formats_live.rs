//! Every format through a real broker and the real daemon, which is killed in the middle: the cases that must come of it,
//! and none twice. The payloads are those of other people's encoders (`tests/oracles/make.py` tells the story).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use forewarn::decode::sparkplug::rebirth;
use forewarn::runtime::quarantine;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::world::{Ears, Fleet, World};

const FAST: &str = "formats.fast";
const GONE: &str = "formats.gone";

/// Model, what its topics and decoder are, and its devices.
const MODELS: [(&str, &str); 13] = [
    ("json", "decoder = { format = \"json\" }"),
    ("batch", "decoder = { format = \"json\", batch = \".\" }"),
    ("gzip", "decoder = { format = \"json\", compress = \"gzip\" }"),
    ("zlib", "decoder = { format = \"json\", compress = \"zlib\" }"),
    ("zstd", "decoder = { format = \"json\", compress = \"zstd\" }"),
    ("cbor", "decoder = { format = \"cbor\" }"),
    ("msgpack", "decoder = { format = \"msgpack\" }"),
    ("protobuf", "decoder = { format = \"protobuf\", descriptor = \"plant.pb\", message = \"plant.Press\" }"),
    ("senml-json", "decoder = { format = \"senml-json\" }"),
    ("senml-cbor", "decoder = { format = \"senml-cbor\" }"),
    ("scalar", "topics = [\"esp/+/sensor/+/state\"]\ndecoder = { format = \"scalar\", signal = \"topic[3]\" }"),
    ("homie", "topics = [\"homie/+/#\"]\ndecoder = { format = \"homie\" }"),
    ("sparkplug", "topics = [\"spBv1.0/plant/#\"]\ndecoder = { format = \"sparkplug\" }"),
];

fn model(name: &str, head: &str) -> String {
    let mut text = format!("[model]\nid = \"f-{name}\"\n");
    if !head.contains("topics") {
        let _ = writeln!(text, "topics = [\"plant/{name}/+\"]");
    }
    let path = match name {
        "batch" => "values.speed",
        "homie" => "motor/speed",
        "sparkplug" => "Speed",
        _ => "speed",
    };
    let _ = writeln!(text, "{head}");
    if !["senml-json", "senml-cbor", "scalar", "homie", "sparkplug"].contains(&name) {
        text += "timestamp = { path = \"ts\", unit = \"ms\" }\n";
    }
    // Device times are of another year: nothing of them is old enough to be unknown.
    let _ = writeln!(text, "[signal]\nspeed = {{ path = \"{path}\", unit = \"km/h\", ttl = \"never\" }}");
    if name == "json" {
        text += "kept = { path = \"kept\", ttl = \"never\" }\n";
    }
    text
}

const RULES: &str = r#"
[[rule]]
id = "fast"
models = ["f-*"]
fault = "formats.fast"
severity = "major"
when = "speed > 80[km/h]"
confirm = 2
[[rule]]
id = "gone"
models = ["f-sparkplug"]
fault = "formats.gone"
severity = "major"
when = "!online"
[[rule]]
id = "quiet"
models = ["f-json"]
fault = "formats.quiet"
severity = "major"
mode = "shadow"
when = "silent(3s)"
clear = "!silent(3s)"
[[rule]]
id = "kept"
models = ["f-json"]
fault = "formats.kept"
severity = "major"
mode = "shadow"
when = "kept > 1000"
"#;

const PLAYBOOK: &str = r#"
schema = "playbook/1"
id = "formats"
version = 1
owner = "test@example.com"
[match]
fault = ["formats.fast", "formats.gone"]
severity = ["major"]
[case]
key = "{{ device.id }}/{{ fault.name }}"
goals = ["ticket_open"]
[policy]
purpose = "service"
[[step]]
id = "ticket"
do = "ticket"
goal = "ticket_open"
desk = "helpdesk"
fields = { title = "{{ device.id }}: {{ fault.title }}" }
"#;

/// The devices of the story, and whose times are too old to be told apart from those of others.
fn devices() -> Vec<String> {
    let plain = MODELS.iter().map(|m| m.0).filter(|name| *name != "sparkplug");
    let mut all: Vec<String> = plain.flat_map(|name| ["fast", "calm"].map(|end| format!("{name}-{end}"))).collect();
    all.extend(["n", "n/fast", "n/calm", "mute", "late"].map(|id| format!("plant/{id}")));
    all.push("quiet".to_owned());
    all
}

/// The daemon's configuration with the models, rules and devices of the story.
fn furnish(world: &World) {
    let config = world.space.dir().join("config");
    for (name, head) in MODELS {
        fs::write(config.join(format!("models/f-{name}.toml")), model(name, head)).unwrap();
    }
    let oracles = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    fs::copy(oracles.join("plant.pb"), config.join("models/plant.pb")).unwrap();
    fs::write(config.join("rules/formats.toml"), RULES).unwrap();
    fs::write(config.join("playbooks/formats.toml"), PLAYBOOK).unwrap();
    let registry = config.join("registry/devices.csv");
    let mut lines = fs::read_to_string(&registry).unwrap();
    let columns = lines.lines().next().unwrap().matches(',').count();
    for device in devices() {
        let kind = device.split(['-', '/']).next().unwrap();
        let kind = if kind == "plant" {
            "sparkplug"
        } else if kind == "quiet" {
            "json"
        } else {
            kind
        };
        let model = MODELS.iter().map(|m| m.0).find(|m| device.starts_with(*m)).unwrap_or(kind);
        let _ = writeln!(lines, "{device},f-{model},press{}", ",".repeat(columns - 2));
    }
    fs::write(registry, lines).unwrap();
}

#[derive(Deserialize)]
struct Line {
    act: String,
    topic: String,
    payload: String,
}

/// The messages of one act, in order.
fn act(name: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/story.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    let byte = |payload: &str, at| u8::from_str_radix(&payload[at..at + 2], 16).unwrap();
    let bytes = |payload: &str| (0..payload.len()).step_by(2).map(|at| byte(payload, at)).collect();
    let found: Vec<_> = lines.filter(|l| l.act == name).map(|l| (l.topic, bytes(&l.payload))).collect();
    assert!(!found.is_empty(), "there is no act '{name}'");
    found
}

async fn play(fleet: &Fleet, name: &str) {
    for (topic, payload) in act(name) {
        fleet.publish_bytes(&topic, payload).await;
    }
}

/// Asks again until it is so.
async fn until<T>(world: &World, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn explained(world: &World, rule: &str, device: &str) -> Json {
    world.get(&format!("/api/v1/explain?rule={rule}&device={device}")).await.unwrap_or_default()
}

/// Where the rule stands with a device of the first, as soon as it does.
async fn state_is(world: &World, rule: &str, device: &str, state: &str) {
    let told = async || explained(world, rule, device).await["state"].as_str().filter(|s| *s == state).map(drop);
    until(world, &format!("{rule} on {device} does not get {state}"), told).await;
}

/// Everybody whose births nobody knows is asked for them, once a minute, if the settings say so; and what they say then
/// is understood.
async fn births_are_asked_for(world: &mut World, fleet: &Fleet, ears: &mut Ears) {
    play(fleet, "mute").await;
    // Behind all of it in the same shard thread or not: its case says that the daemon has come so far.
    fleet.publish_bytes("plant/json/quiet", b"{\"speed\":1}".to_vec()).await;
    state_is(world, "quiet", "quiet", "major").await;
    assert_eq!(ears.hear(Duration::from_millis(500)), [], "the settings do not allow it");
    assert_eq!(world.stop(), Some(0), "{}", world.log());

    let settings = fs::read_to_string(world.space.settings()).unwrap();
    assert!(settings.contains("request_births = false"));
    fs::write(world.space.settings(), settings.replace("request_births = false", "request_births = true")).unwrap();
    world.start("");
    world.ready().await;
    play(fleet, "late").await;
    let asked = ears.hear(Duration::from_secs(3));
    let topics: Vec<&str> = asked.iter().map(|(topic, _)| &**topic).collect();
    assert_eq!(topics, ["spBv1.0/plant/NCMD/late"], "three messages, one request");
    // What a node knows as a request, but for the time of day.
    let (topic, wanted) = rebirth("plant/late", forewarn::app::clock()());
    assert_eq!((&*topic, asked[0].1.len()), (topics[0], wanted.len()));
    let name = b"Node Control/Rebirth";
    assert!(asked[0].1.windows(name.len()).any(|window| window == name));
    play(fleet, "born").await;
    world.all_served(&["plant/late".to_owned()], FAST, Duration::from_secs(60)).await;
}

/// A message that the broker kept is what was last known: it tells its values and does not end the silence.
async fn what_is_retained_ends_no_silence(world: &World, fleet: &Fleet) {
    state_is(world, "quiet", "quiet", "major").await;
    fleet.retain("kept/quiet", b"{\"kept\":17}".to_vec()).await;
    let path = world.space.dir().join("config/models/f-json.toml");
    let model = fs::read_to_string(&path).unwrap();
    fs::write(path, model.replacen("\n[signal]", "\n[[model.topic]]\nfilter = \"kept/+\"\n[signal]", 1)).unwrap();
    world.hang_up();
    let kept = async || explained(world, "kept", "quiet").await.to_string().contains("\"17\"").then_some(());
    until(world, "the kept value does not come", kept).await;
    assert_eq!(explained(world, "quiet", "quiet").await["state"], "major");
    fleet.publish_bytes("plant/json/quiet", b"{\"speed\":1}".to_vec()).await;
    state_is(world, "quiet", "quiet", "ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_formats_over_a_crash_find_each_fault_once() {
    let mut world = World::build(2).await;
    furnish(&world);
    let fleet = Fleet::connect(&world);
    world.start("");
    world.ready().await;
    let mut ears = Ears::open(&world, "ears", "spBv1.0/+/NCMD/#");
    births_are_asked_for(&mut world, &fleet, &mut ears).await;
    what_is_retained_ends_no_silence(&world, &fleet).await;

    play(&fleet, "first").await;
    world.kill();
    play(&fleet, "second").await;
    world.start("");
    world.ready().await;
    let fast: Vec<String> = devices().into_iter().filter(|id| id.ends_with("fast")).collect();
    assert_eq!(fast.len(), 13);
    world.all_served(&fast, FAST, Duration::from_secs(90)).await;

    play(&fleet, "old will").await;
    play(&fleet, "first").await;
    play(&fleet, "will").await;
    let node = ["plant/n", "plant/n/calm", "plant/n/fast"].map(str::to_owned);
    let cases = world.all_served(&node, GONE, Duration::from_secs(60)).await;

    let mut found: Vec<(String, String)> = cases.iter().map(|c| (c.fault.clone(), c.device.clone())).collect();
    found.sort();
    let mut expected: Vec<(String, String)> = fast.iter().map(|id| (FAST.to_owned(), id.clone())).collect();
    expected.push((FAST.to_owned(), "plant/late".to_owned()));
    expected.extend(node.iter().map(|id| (GONE.to_owned(), id.clone())));
    expected.sort();
    assert_eq!(found, expected);
    let mut tickets = BTreeMap::new();
    for ticket in world.desk.accepted() {
        *tickets.entry(ticket.case_ref.unwrap()).or_insert(0) += 1;
    }
    assert!(tickets.len() == expected.len() && tickets.values().all(|n| *n == 1), "{tickets:?}");
    for case in &cases {
        let whole = world.case(&case.id).await.unwrap();
        let again = whole.timeline.iter().find(|e| e.text.contains("again"));
        assert!(again.is_none(), "{} was found twice: {again:?}", case.device);
    }
    let quarantine = quarantine::read(&world.space.dir().join("store/quarantine")).unwrap_or_default();
    assert!(quarantine.is_empty(), "{quarantine:?}");
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
