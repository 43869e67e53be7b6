//! The rules that are shipped, against the model that is shipped.

use std::sync::Arc;

use super::world::START;
use crate::domain::{At, Detection, Registry};
use crate::engine::Engine;
use crate::rules::Program;
use crate::{model, rules, source::Diagnostics};

fn shipped() -> (Engine, Arc<Program>) {
    let mut diags = Diagnostics::default();
    let models = diags.add_file("config/models/car.toml", include_str!("../../../config/models/car.toml"));
    let models = Arc::new(model::load(&mut diags, &[models]));
    let file = diags.add_file("config/rules/car.toml", include_str!("../../../config/rules/car.toml"));
    let program = Arc::new(rules::load(&mut diags, &[file], models));
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    (Engine::new(program.clone(), Arc::new(Registry::default())), program)
}

struct Car {
    engine: Engine,
    program: Arc<Program>,
    out: Vec<Detection>,
}

impl Car {
    fn new() -> Self {
        let (engine, program) = shipped();
        Self { engine, program, out: Vec::new() }
    }

    /// Times in seconds since START.
    fn send(&mut self, te: i64, at: i64, fields: &str) {
        let binding = self.program.models().bind("fleet/car-7/telemetry").unwrap();
        let payload = format!("{{\"ts\":{},{fields}}}", (START + te) * 1000);
        self.engine.message(&binding, payload.as_bytes(), At::from_secs(START + at), false, &mut self.out).unwrap();
    }

    /// Three weeks of readings at rest, one every two hours, 12.6 V falling to 12.0 V, uploaded at 0.
    fn upload(&mut self) {
        for n in 0..252_i32 {
            let noise = f64::from(n * 7919 % 21 - 10) * 0.001;
            let volts = ((12.6 - 0.6 * f64::from(n) / 251.0 + noise) * 100.0).round() / 100.0;
            let te = i64::from(n - 251) * 7_200 - 3_600;
            self.send(te, 0, &format!("\"v12\":{volts},\"ign\":false,\"speed\":0"));
        }
    }
}

#[test]
fn a_decaying_battery_is_found_in_the_upload() {
    let mut car = Car::new();
    car.upload();
    let told: Vec<_> = car.out.iter().map(|d| (d.rule.as_str(), d.change, d.historical)).collect();
    assert_eq!(told, [("v12-decay", crate::domain::Change::Raised, false)]);
    assert!(car.out[0].title.starts_with("12 V battery: 12.1"), "{}", car.out[0].title);
    car.send(10, 10, "\"v12\":12.0,\"ign\":false");
    assert_eq!(car.out.len(), 1);
    car.send(20, 20, "\"v12\":12.72,\"ign\":false");
    car.send(30, 30, "\"v12\":12.72,\"ign\":false");
    assert_eq!(car.out.len(), 2);
    assert_eq!(car.out[1].change, crate::domain::Change::Cleared);
}

#[test]
fn a_decaying_battery_is_found_when_the_car_spoke_before_it_uploaded() {
    let mut car = Car::new();
    car.send(-2, -2, "\"v12\":14.1,\"ign\":true");
    car.upload();
    assert_eq!(car.out.len(), 0, "late samples move no level");
    car.send(1, 1, "\"v12\":12.0,\"ign\":false");
    assert_eq!(car.out.len(), 1);
    let d = &car.out[0];
    assert_eq!((d.rule.as_str(), d.title.as_str()), ("v12-decay", "12 V battery: 12 V at rest, about 3d11h left"));
}

#[test]
fn a_sound_battery_is_left_alone() {
    let mut car = Car::new();
    for n in 0..252_i64 {
        let volts = [12.62, 12.6, 12.61, 12.59][usize::try_from(n % 4).unwrap()];
        car.send((n - 252) * 7_200, 0, &format!("\"v12\":{volts},\"ign\":false"));
    }
    for n in 0..100 {
        car.send(n * 10, n * 10, "\"v12\":14.2,\"ign\":true");
    }
    assert_eq!(car.out.len(), 0);
}

#[test]
fn a_lost_brake_circuit_is_confirmed_by_the_second_message() {
    let mut car = Car::new();
    let sound = "\"speed\":96,\"pedal\":44,\"brake\":{\"fl\":48,\"fr\":48.4}";
    let lost = "\"speed\":96,\"pedal\":44,\"brake\":{\"fl\":2.9,\"fr\":48.4}";
    let coasting = "\"speed\":96,\"pedal\":0,\"brake\":{\"fl\":0,\"fr\":0.2}";
    for (at, fields) in [(0, sound), (1, coasting), (2, lost), (3, sound), (4, lost), (5, lost), (6, coasting)] {
        car.send(at, at, fields);
    }
    let told: Vec<_> = car.out.iter().map(|d| (d.event_at.as_secs() - START, d.started_at.as_secs() - START)).collect();
    assert_eq!(told, [(5, 4)]);
    assert_eq!(car.out[0].title, "Front brake circuit lost: 2.9 bar left, 48.4 bar right, pedal at 44 %, 96 km/h");
    assert_eq!(car.out[0].level.as_ref().unwrap().name, "critical");
}
