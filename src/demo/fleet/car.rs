//! A car as far as its telemetry goes. Pure: it is stepped with a span and drives the same way for the same seed.

use fastrand::Rng;
use serde_json::json;

use crate::domain::At;

/// What is the matter with a car.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The front left brake circuit has lost its pressure; the driver notices that the car brakes badly and drives on.
    Brakes,
    /// The same, and the driver has been told to stop.
    Stopping,
    /// Parked on a 12 V battery that is nearly gone.
    WeakBattery,
}

/// A simulated car.
#[derive(Debug, Clone)]
pub struct Car {
    /// Its id in topics.
    pub id: String,
    rng: Rng,
    trouble: Trouble,
    parked: bool,
    /// km/h
    speed: f64,
    /// km/h
    cruise: f64,
    /// % and how many seconds it stays so; 0 % is a released pedal.
    pedal: f64,
    pedal_s: f64,
    /// bar
    front_left: f64,
    front_right: f64,
    /// V
    battery: f64,
    lat: f64,
    lon: f64,
    /// rad
    heading: f64,
    /// km
    odometer: f64,
    /// degC
    ambient: f64,
}

/// Where cars start: cities with motorways around them.
const PLACES: [(f64, f64); 6] =
    [(48.30, 11.58), (52.52, 13.40), (50.11, 8.68), (53.55, 9.99), (50.94, 6.96), (51.34, 12.37)];

impl Car {
    /// Car number `index` of the fleet with this `seed`. One in ten stands parked.
    #[must_use]
    pub fn new(id: String, index: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (lat, lon) = PLACES[index % PLACES.len()];
        let parked = rng.u8(0..10) == 0;
        let cruise = 50.0 + rng.f64() * 80.0;
        Self {
            id,
            trouble: Trouble::None,
            parked,
            speed: if parked { 0.0 } else { cruise },
            cruise,
            pedal: 0.0,
            pedal_s: 5.0 + rng.f64() * 20.0,
            front_left: 0.0,
            front_right: 0.0,
            battery: if parked { 12.65 } else { 14.1 },
            lat: lat + rng.f64() * 0.2,
            lon: lon + rng.f64() * 0.2,
            heading: rng.f64() * std::f64::consts::TAU,
            odometer: 5_000.0 + (rng.f64() * 120_000.0).round(),
            ambient: (60.0 + rng.f64() * 100.0).round() / 10.0,
            rng,
        }
    }

    /// Parks it for good or sets it going.
    pub fn park(&mut self, parked: bool) {
        self.parked = parked;
        self.speed = if parked { 0.0 } else { self.cruise };
        self.battery = if parked { 12.65 } else { 14.1 };
    }

    /// From now on it has this trouble.
    pub fn trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
        match trouble {
            // The fault shows while the pedal is down and the car is fast.
            Trouble::Brakes => {
                self.park(false);
                self.speed = 96.0;
                self.pedal = 45.0;
            }
            Trouble::WeakBattery => {
                self.park(true);
                self.battery = 12.0;
            }
            Trouble::None | Trouble::Stopping => {}
        }
    }

    /// A new 12 V battery was fitted.
    pub fn new_battery(&mut self) {
        self.trouble = Trouble::None;
        self.battery = 12.72;
    }

    /// km/h
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Lets `dt` seconds pass.
    pub fn step(&mut self, dt: f64) {
        match self.trouble {
            Trouble::Brakes => {
                // Half of the braking force is gone: it slows down, but slowly.
                self.pedal = 40.0 + self.rng.f64() * 10.0;
                self.speed = (self.speed - 1.2 * dt).max(60.0);
            }
            Trouble::Stopping => {
                self.pedal = if self.speed > 0.0 { 55.0 } else { 20.0 };
                self.speed = (self.speed - 14.0 * dt).max(0.0);
            }
            Trouble::None | Trouble::WeakBattery if self.parked => {}
            Trouble::None | Trouble::WeakBattery => self.drive(dt),
        }
        let pressure = self.pedal * 1.1;
        let grip = if matches!(self.trouble, Trouble::Brakes | Trouble::Stopping) { 0.06 } else { 1.0 };
        self.front_left = pressure * grip + self.noise(0.4);
        self.front_right = pressure + self.noise(0.4);
        let way = self.speed / 3600.0 * dt;
        self.odometer += way;
        self.lat += way / 111.2 * self.heading.cos();
        self.lon += way / (111.2 * self.lat.to_radians().cos()) * self.heading.sin();
    }

    /// Cruises, and brakes for a few seconds every now and then.
    fn drive(&mut self, dt: f64) {
        self.pedal_s -= dt;
        if self.pedal_s <= 0.0 {
            let braking = self.pedal == 0.0;
            self.pedal = if braking { 15.0 + self.rng.f64() * 40.0 } else { 0.0 };
            self.pedal_s = if braking { 2.0 + self.rng.f64() * 3.0 } else { 6.0 + self.rng.f64() * 25.0 };
        }
        if self.pedal > 0.0 {
            self.speed = (self.speed - self.pedal * 0.25 * dt).max(20.0);
        } else {
            self.speed += (self.cruise - self.speed) * (0.15 * dt).min(1.0) + self.noise(0.5);
        }
        self.heading += self.noise(0.05);
    }

    fn noise(&mut self, width: f64) -> f64 {
        (self.rng.f64() - 0.5) * width
    }

    /// What it sends at `at`: the payload of `fleet/<id>/telemetry`.
    #[must_use]
    pub fn telemetry(&self, at: At) -> String {
        json!({
            "ts": at.as_millis(),
            "speed": tenths(self.speed),
            "pedal": tenths(self.pedal),
            "brake": {"fl": tenths(self.front_left.max(0.0)), "fr": tenths(self.front_right.max(0.0))},
            "v12": self.battery,
            "ign": !self.parked,
            "tamb": self.ambient,
            "pos": {"lat": (self.lat * 1e5).round() / 1e5, "lon": (self.lon * 1e5).round() / 1e5},
            "odo": tenths(self.odometer),
        })
        .to_string()
    }

    /// What its logger kept while it was parked for three weeks without a connection: a reading about every two
    /// hours, the battery falling from 12.6 V to 12.0 V, oldest first, the newest one an hour before `now`.
    #[must_use]
    pub fn battery_log(&self, now: At) -> Vec<String> {
        const READINGS: i64 = 252;
        let mut rng = Rng::with_seed(self.rng.get_seed());
        let mut past = self.clone();
        past.park(true);
        (0..READINGS)
            .map(|n| {
                let age_s = 3_600 + (READINGS - 1 - n) * 7_200;
                let jitter_s = rng.i64(-300..300);
                let at = At::from_secs(now.as_secs() - age_s + jitter_s);
                #[expect(clippy::cast_precision_loss, reason = "a count below 300")]
                let share = n as f64 / (READINGS - 1) as f64;
                past.battery = ((12.6 - 0.6 * share + (rng.f64() - 0.5) * 0.02) * 100.0).round() / 100.0;
                past.ambient = ((8.0 + 5.0 * (share * 21.0 * std::f64::consts::TAU).sin()) * 10.0).round() / 10.0;
                past.front_left = 0.0;
                past.front_right = 0.0;
                past.telemetry(at)
            })
            .collect()
    }
}

fn tenths(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    fn ride(seed: u64, seconds: usize) -> Vec<String> {
        let mut car = Car::new("car-0001".into(), 0, seed);
        (0..seconds)
            .map(|s| {
                car.step(1.0);
                car.telemetry(At::from_secs(i64::try_from(s).unwrap()))
            })
            .collect()
    }

    #[test]
    fn the_same_seed_is_the_same_ride() {
        assert_eq!(ride(7, 300), ride(7, 300));
        assert_ne!(ride(7, 300), ride(8, 300));
    }

    #[test]
    fn a_sound_car_brakes_evenly() {
        let mut braked = 0;
        for index in 0..20 {
            let mut car = Car::new(String::new(), index, 1);
            for _ in 0..600 {
                car.step(1.0);
                let v = read(&car.telemetry(At::from_secs(1)));
                let [fl, fr] = ["fl", "fr"].map(|side| v["brake"][side].as_f64().unwrap());
                assert!((fl - fr).abs() < 1.0, "{v}");
                assert!((0.0..=160.0).contains(&v["speed"].as_f64().unwrap()), "{v}");
                braked += usize::from(fr > 15.0);
            }
        }
        assert!(braked > 500, "they do brake: {braked}");
    }

    #[test]
    fn failed_brakes_show_while_it_drives_and_it_stops_when_told() {
        let mut car = Car::new(String::new(), 3, 1);
        car.trouble(Trouble::Brakes);
        for _ in 0..30 {
            car.step(1.0);
            let v = read(&car.telemetry(At::from_secs(1)));
            assert!(v["pedal"].as_f64().unwrap() >= 40.0 && v["speed"].as_f64().unwrap() >= 60.0, "{v}");
            assert!(v["brake"]["fl"].as_f64().unwrap() < 5.0 && v["brake"]["fr"].as_f64().unwrap() > 40.0, "{v}");
        }
        car.trouble(Trouble::Stopping);
        (0..10).for_each(|_| car.step(1.0));
        assert_eq!(car.speed().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn the_battery_log_is_three_weeks_long_and_in_order() {
        let now = At::from_secs(1_795_300_000);
        let log: Vec<_> = Car::new(String::new(), 3, 1).battery_log(now).iter().map(|t| read(t)).collect();
        let at = |v: &serde_json::Value| v["ts"].as_i64().unwrap();
        assert!(log.windows(2).all(|w| at(&w[0]) < at(&w[1])));
        let days = (at(&log[251]) - at(&log[0])) as f64 / 86_400_000.0;
        assert!((20.8..21.0).contains(&days), "{days}");
        assert!(at(&log[251]) < now.as_millis());
        let volts = |v: &serde_json::Value| v["v12"].as_f64().unwrap();
        assert!((volts(&log[0]) - 12.6).abs() < 0.02 && (volts(&log[251]) - 12.0).abs() < 0.02);
        assert!(log.iter().all(|v| v["ign"] == false && v["speed"] == 0.0));
    }
}
