//! Who fails: cars of the shipped model, each with a number of its own, all within some seconds.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forewarn::domain::Outcome;
use forewarn::mqtt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;

/// So many send at once.
const SENDERS: usize = 16;

pub(crate) fn id(n: usize) -> String {
    format!("car-{n:05}")
}

/// Of the range that the regulator keeps for films, and longer than any number that is in use.
pub(crate) fn phone(n: usize) -> String {
    format!("+493023125{n:05}")
}

/// km/h at which a car that goes on moves: by it the storm ranks them.
pub(crate) fn speed(n: usize) -> u32 {
    60 + u32::try_from(n * 37 % 120).unwrap_or(0)
}

/// The registry: cars with one owner each.
pub(crate) fn registry(cars: usize) -> [(&'static str, String); 4] {
    let mut devices = "id,model,kind,plate,firmware,region,owner,driver,tz\n".to_owned();
    let mut customers = "id,name,locale,tz\n".to_owned();
    let mut endpoints = "id,customer,kind,address,opted_out\n".to_owned();
    // The fleet is twice what fails, and one firmware is what they have in common.
    for n in 0..2 * cars {
        let firmware = if n < cars || n % 8 == 0 { "4.2.1" } else { "4.1.0" };
        let (id, locale) = (id(n), ["de-DE", "en-US", "pl-PL", "ru-RU", "uk-UA"][n % 5]);
        // Writing to a String cannot fail.
        let _ = writeln!(devices, "{id},car,car,FW {n},{firmware},r-{},c-{n},c-{n},Europe/Berlin", n % 7);
        let _ = writeln!(customers, "c-{n},Owner {n},{locale},Europe/Berlin");
        let _ = writeln!(endpoints, "p-{n},c-{n},phone,{},false", phone(n));
        let _ = writeln!(endpoints, "m-{n},c-{n},email,owner{n}@example.com,false");
    }
    let consents = "customer,purpose,channel,source,given_at,withdrawn_at\n".to_owned();
    [("devices.csv", devices), ("customers.csv", customers), ("endpoints.csv", endpoints), ("consents.csv", consents)]
}

fn publisher(broker: &str, client_id: String) -> std::result::Result<mqtt::Publisher, String> {
    let settings = mqtt::Settings { urls: vec![broker.to_owned()], ..Default::default() };
    let role = mqtt::Role { client_id, status_topic: None, in_flight: 100 };
    mqtt::Publisher::connect(&settings, role, forewarn::app::clock()).map_err(|e| e.to_string())
}

/// Has `cars` fail within `within`; the first `moving` of all go on, the others stop. Those who go on are anywhere among
/// the others.
pub(crate) async fn fail(
    broker: String,
    cars: Range<usize>,
    moving: usize,
    within: Duration,
) -> std::result::Result<(), String> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for sender in 0..SENDERS {
        let publisher = publisher(&broker, format!("fleet-{}-{sender}", cars.start))?;
        let mut plan: Vec<(Duration, usize, u32)> = Vec::new();
        for n in cars.clone().filter(|n| n % SENDERS == sender) {
            let place = (n - cars.start) * 2_897 % cars.len();
            let at = within.mul_f64(place as f64 / cars.len() as f64);
            let speeds = if n < moving { [speed(n); 3] } else { [10, 10, 0] };
            plan.extend((0..).zip(speeds).map(|(i, speed)| (at + Duration::from_millis(200) * i, n, speed)));
        }
        plan.sort_unstable();
        tasks.spawn(async move {
            for (at, n, speed) in plan {
                tokio::time::sleep_until(begun + at).await;
                say(&publisher, n, speed).await?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// A car sends so many messages each 10 ms, its brake now whole, now broken, until it is told to stop. How many went out.
pub(crate) async fn flood(
    broker: String,
    n: usize,
    each: u64,
    stop: Arc<AtomicBool>,
) -> std::result::Result<u64, String> {
    let publisher = publisher(&broker, "flood".to_owned())?;
    let mut sent = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while !stop.load(Ordering::Acquire) {
        ticks.tick().await;
        for _ in 0..each {
            let pressure = if sent / 1_000 % 2 == 0 { 40.0 } else { 1.2 };
            let message = mqtt::Message { at_least_once: false, ..telemetry(n, 60, pressure) };
            sent += u64::from(matches!(publisher.send(message).await, Outcome::Accepted { .. }));
        }
    }
    Ok(sent)
}

fn telemetry(n: usize, speed: u32, pressure: f64) -> mqtt::Message {
    let ts = forewarn::app::clock()().as_millis();
    let pedal = if speed > 0 { 60 } else { 0 };
    let payload = format!(
        "{{\"ts\":{ts},\"speed\":{speed},\"pedal\":{pedal},\"brake\":{{\"fl\":{pressure},\"fr\":41}},\"v12\":12.6,\"ign\":true,\
         \"tamb\":12,\"pos\":{{\"lat\":48.137,\"lon\":11.575}},\"odo\":41200}}"
    );
    let topic = format!("fleet/{}/telemetry", id(n));
    mqtt::Message { topic, payload: payload.into(), expiry: None, retain: false, at_least_once: true }
}

async fn say(publisher: &mqtt::Publisher, n: usize, speed: u32) -> std::result::Result<(), String> {
    for _ in 0..500 {
        if let Outcome::Accepted { .. } = publisher.send(telemetry(n, speed, 1.2)).await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the broker does not take messages".to_owned())
}

/// Writes the registry.
pub(crate) fn write(dir: &std::path::Path, cars: usize) -> Result<()> {
    for (name, text) in registry(cars) {
        std::fs::write(dir.join(name), text)?;
    }
    Ok(())
}
