//! A simulated fleet on a real broker: cars that report about once a second each, and the two that break down.

mod car;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use car::{Car, Trouble};

use super::Error;
use crate::runtime::Clock;

/// Cars behind one connection, as behind one telematics gateway.
const CARS_PER_LINK: usize = 250;
/// Steps of the simulation in a second; the cars report spread over them.
const STEPS: usize = 20;

/// What fleet to run.
#[derive(Clone)]
pub struct FleetSettings {
    /// Host and port of the broker.
    pub broker: std::net::SocketAddr,
    /// How many cars, at least 2: `car-0001`…
    pub cars: usize,
    /// The same seed, the same rides.
    pub seed: u64,
    /// Tells the time.
    pub clock: Clock,
}

/// Something that happens to a car.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Its front left brake circuit fails while it drives.
    BrakesFail(String),
    /// Its driver was told to stop, and does.
    DriverStops(String),
    /// Its logger finds a connection and sends three weeks of a dying battery; then it goes on live.
    BatteryLog(String),
    /// It gets a new battery.
    NewBattery(String),
}

/// A running fleet; ends when dropped.
#[derive(Debug)]
pub struct Fleet {
    orders: mpsc::Sender<Happening>,
    acknowledged: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// The id of car `n`, counted from 0.
#[must_use]
pub fn car_id(n: usize) -> String {
    format!("car-{:04}", n + 1)
}

impl Fleet {
    /// Connects to the broker and drives off.
    ///
    /// # Errors
    /// [`Error::Fleet`] if the broker does not take the connections.
    pub async fn start(settings: FleetSettings) -> Result<Self, Error> {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let mut links = Vec::new();
        for n in 0..settings.cars.div_ceil(CARS_PER_LINK) {
            let (client, mut events) = client(&settings, &format!("demo-fleet-{n}"));
            connected(&mut events).await?;
            let counter = acknowledged.clone();
            let answers = client.clone();
            // Only the first one takes commands, for all cars: a gateway of its own in a real fleet.
            if n == 0 {
                client.subscribe("fleet/+/cmd", QoS::AtLeastOnce).await.map_err(|e| Error::Fleet(e.to_string()))?;
            }
            tasks.spawn(async move { serve(events, answers, counter).await });
            links.push(client);
        }
        let (orders, inbox) = mpsc::channel(16);
        let cars = (0..settings.cars).map(|n| Car::new(car_id(n), n, settings.seed)).collect();
        let world = World { cars, links, clock: settings.clock, step: 0 };
        tasks.spawn(world.run(inbox));
        Ok(Self { orders, acknowledged, _tasks: tasks })
    }

    /// Makes something happen to a car.
    pub async fn happen(&self, what: Happening) {
        // The world ends only with the fleet.
        self.orders.send(what).await.ok();
    }

    /// Messages that the broker has acknowledged so far.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

fn client(settings: &FleetSettings, id: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, settings.broker.ip().to_string(), settings.broker.port());
    options.set_keep_alive(Duration::from_secs(30)).set_clean_start(true);
    AsyncClient::new(options, 1000)
}

async fn connected(events: &mut EventLoop) -> Result<(), Error> {
    let wait = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                Ok(_) => {}
                Err(e) => return Err(Error::Fleet(e.to_string())),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait)
        .await
        .unwrap_or_else(|_| Err(Error::Fleet("the broker does not answer".to_owned())))
}

/// Keeps a connection going, counts what arrived, answers commands.
async fn serve(mut events: EventLoop, client: AsyncClient, acknowledged: Arc<AtomicU64>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Event::Incoming(Packet::ConnAck(ack))) if !ack.session_present => {
                // The subscription is gone with the session. An error says that the client is gone too.
                let filter = Filter::new("fleet/+/cmd", QoS::AtLeastOnce);
                client.try_subscribe(filter.path, filter.qos).ok();
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                if let Some(answer) = answer(&publish.payload) {
                    client.try_publish(format!("{topic}/ack"), QoS::AtLeastOnce, false, answer).ok();
                }
            }
            Ok(_) => {}
            // The broker is gone; rumqttc connects again with the next poll.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// A car does what it is told, if it is told with an id.
fn answer(command: &[u8]) -> Option<String> {
    let command: Value = serde_json::from_slice(command).ok()?;
    let id = command.get("id")?.as_str()?;
    Some(json!({"id": id, "ok": true, "detail": "done"}).to_string())
}

struct World {
    cars: Vec<Car>,
    links: Vec<AsyncClient>,
    clock: Clock,
    step: usize,
}

impl World {
    async fn run(mut self, mut orders: mpsc::Receiver<Happening>) {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(STEPS).unwrap_or(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => self.tick().await,
                Some(order) = orders.recv() => self.obey(order).await,
            }
        }
    }

    /// Every car moves once a second, each at its own step of it.
    async fn tick(&mut self) {
        let now = (self.clock)();
        for n in (self.step..self.cars.len()).step_by(STEPS) {
            self.cars[n].step(1.0);
            let text = self.cars[n].telemetry(now);
            self.publish(n, text).await;
        }
        self.step = (self.step + 1) % STEPS;
    }

    async fn obey(&mut self, order: Happening) {
        let (Happening::BrakesFail(id)
        | Happening::DriverStops(id)
        | Happening::BatteryLog(id)
        | Happening::NewBattery(id)) = &order;
        let Some(n) = self.cars.iter().position(|c| c.id == *id) else { return };
        match order {
            Happening::BrakesFail(_) => self.cars[n].trouble(Trouble::Brakes),
            Happening::DriverStops(_) => self.cars[n].trouble(Trouble::Stopping),
            Happening::NewBattery(_) => self.cars[n].new_battery(),
            Happening::BatteryLog(_) => {
                self.cars[n].trouble(Trouble::WeakBattery);
                for text in self.cars[n].battery_log((self.clock)()) {
                    self.publish(n, text).await;
                }
            }
        }
    }

    async fn publish(&self, n: usize, text: String) {
        let topic = format!("fleet/{}/telemetry", self.cars[n].id);
        // Waits when the broker is slow: the fleet then reports less often. An error only comes at the end.
        self.links[n / CARS_PER_LINK].publish(topic, QoS::AtLeastOnce, false, text).await.ok();
    }
}
