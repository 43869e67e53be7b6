//! The daemon is killed, at random and at every named point around claim, send and record. Nothing may be lost,
//! nothing doubled.
//!
//! `FOREWARN_ROUNDS` sets the number of random kills (30 unless set).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::world::{Fleet, Listed, World};

const FAULT: &str = "brake.circuit_loss";

/// The first cars of the shipped registry whose driver has a phone; for the others a person takes over.
fn cars(count: usize) -> Vec<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |name: &str| csv::Reader::from_path(format!("{root}/config/registry/{name}.csv")).unwrap();
    let row = |r: csv::Result<BTreeMap<String, String>>| r.unwrap();
    let phones: Vec<_> = read("endpoints")
        .deserialize()
        .map(row)
        .filter(|e| e["kind"] == "phone")
        .map(|e| e["customer"].clone())
        .collect();
    let devices = read("devices").deserialize().map(row).filter(|d| phones.contains(&d["driver"])).collect::<Vec<_>>();
    assert!(devices.len() >= count, "only {} cars have a driver with a phone", devices.len());
    devices.iter().take(count).map(|d| d["id"].clone()).collect()
}

/// No provider accepted anything twice, and every case has its ticket and its truck. A case that a person has taken over
/// may still be asking a provider what became of an attempt: that is waited for.
async fn nothing_lost_or_doubled(world: &World, cases: &[Listed], devices: &[String]) {
    let until = Instant::now() + Duration::from_secs(180);
    while world.desk.accepted().len() < devices.len() || world.tow.accepted().len() < devices.len() {
        assert!(Instant::now() < until, "tickets or trucks are missing:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for device in devices {
        let of_device = cases.iter().filter(|c| c.device == *device && c.fault == FAULT).count();
        assert_eq!(of_device, 1, "cases of {device}");
    }
    let mut tickets = BTreeMap::new();
    for ticket in world.desk.accepted() {
        *tickets.entry(ticket.case_ref).or_insert(0) += 1;
    }
    assert!(tickets.values().all(|n| *n == 1), "tickets per case: {tickets:?}");
    assert_eq!(tickets.len(), devices.len(), "tickets for {} cases", devices.len());
    let mut jobs = BTreeMap::new();
    for job in world.tow.accepted() {
        *jobs.entry(job.request.vehicle.get("plate").map(ToString::to_string)).or_insert(0) += 1;
    }
    assert!(jobs.values().all(|n| *n == 1), "jobs per car: {jobs:?}");
    assert_eq!(jobs.len(), devices.len(), "jobs for {} cases", devices.len());
    let mut calls = BTreeMap::new();
    for call in world.phone.accepted() {
        *calls.entry(call.key).or_insert(0) += 1;
    }
    assert!(calls.values().all(|n| *n == 1), "calls per effect: {calls:?}");
    let mut mails = BTreeMap::new();
    for mail in world.mail.accepted() {
        *mails.entry(mail.message_id()).or_insert(0) += 1;
    }
    assert!(mails.values().all(|n| *n == 1), "mails per message id: {mails:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_under_load_nothing_is_lost_or_doubled() {
    let rounds: usize = std::env::var("FOREWARN_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let devices = cars(rounds.min(50));
    let mut world = World::build(60).await;
    // Thirty brakes in ten minutes are a storm to the shipped playbook; here each has to act alone.
    std::fs::remove_file(world.space.dir().join("config/playbooks/fleet-defect-storm.toml")).unwrap();
    world.start("");
    world.ready().await;
    let fleet = Arc::new(Fleet::connect(&world));

    // A load of healthy messages all along.
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|lane| {
            let (fleet, stop, devices) = (fleet.clone(), stop.clone(), devices.clone());
            tokio::spawn(async move {
                let mut sent = 0_usize;
                while !stop.load(Ordering::Acquire) {
                    let healthy = format!("loaded-{lane}-{}", sent % devices.len());
                    fleet.say(&healthy, false, 80.0).await;
                    sent += 1;
                    // As fast as it can, the broker's queue overflows while the daemon is dead: that loss is the broker's.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                sent
            })
        })
        .collect();

    let mut random = Random(7);
    for device in &devices {
        // Two messages make the fault; the death comes between 0.3 and 2 s later, wherever the daemon then is.
        fleet.say(device, true, 60.0).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        fleet.say(device, true, 55.0).await;
        tokio::time::sleep(Duration::from_millis(300 + random.below(1_700))).await;
        world.kill();
        world.start("");
    }
    stop.store(true, Ordering::Release);
    let mut sent = 0;
    for lane in load {
        sent += lane.await.unwrap();
    }
    println!("{} kills, {sent} messages of load", devices.len());
    world.ready().await;
    for device in &devices {
        fleet.say(device, true, 0.0).await;
    }
    let cases = world.all_served(&devices, FAULT, Duration::from_secs(240)).await;
    println!("{} cases", cases.len());
    nothing_lost_or_doubled(&world, &cases, &devices).await;
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}

/// Every place around claim, send and record, for every channel of the breakdown playbook.
const POINTS: [&str; 16] = [
    "journal-before-sync",
    "journal-after-sync",
    "desk-before-commit",
    "desk-after-commit",
    "ticket-before-send",
    "ticket-after-send",
    "ticket-after-record",
    "dispatch-before-send",
    "dispatch-after-send",
    "dispatch-after-record",
    "call-before-send",
    "call-after-send",
    "call-after-record",
    "sms-before-send",
    "sms-after-send",
    "sms-after-record",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_point_around_claim_send_and_record() {
    let devices = cars(POINTS.len());
    let mut world = World::build(60).await;
    let fleet = Fleet::connect(&world);
    // Once in good order: from now on the broker keeps what is published while the daemon is dead.
    world.start("");
    world.ready().await;
    assert_eq!(world.stop(), Some(0));
    for (point, device) in POINTS.iter().zip(&devices) {
        world.start(&format!("{point}=return"));
        fleet.say(device, true, 60.0).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        fleet.say(device, true, 55.0).await;
        world.died().await;
        world.start("");
        world.ready().await;
        fleet.say(device, true, 0.0).await;
        world.all_served(std::slice::from_ref(device), FAULT, Duration::from_secs(120)).await;
        assert_eq!(world.stop(), Some(0), "{point}: {}", world.log());
    }
    world.start("");
    world.ready().await;
    let cases = world.cases().await;
    nothing_lost_or_doubled(&world, &cases, &devices).await;
}

/// A small generator, so that a failing run can be repeated (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}
