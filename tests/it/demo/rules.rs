//! The shipped rules on the simulated fleet, without a broker and in virtual time.

use std::sync::Arc;

use forewarn::demo::fleet::{Car, Trouble, car_id};
use forewarn::domain::{At, Change, Detection, Registry, Span};
use forewarn::engine::Engine;
use forewarn::source::Diagnostics;
use forewarn::{model, rules};

const MODEL: &str = include_str!("../../../config/models/car.toml");
const RULES: &str = include_str!("../../../config/rules/car.toml");
const CARS: usize = 60;

struct World {
    engine: Engine,
    models: Arc<model::Models>,
    found: Vec<Detection>,
    now: At,
}

impl World {
    fn new() -> Self {
        let mut diags = Diagnostics::default();
        let file = diags.add_file("car.toml", MODEL);
        let models = Arc::new(model::load(&mut diags, &[file]));
        let file = diags.add_file("rules/car.toml", RULES);
        let program = rules::load(&mut diags, &[file], models.clone());
        assert!(!diags.has_errors(), "{}", diags.render(false));
        let engine = Engine::new(Arc::new(program), Arc::new(Registry::default()));
        Self { engine, models, found: Vec::new(), now: At::from_secs(1_795_300_000) }
    }

    fn send(&mut self, car: &str, payload: &str) {
        let binding = self.models.bind(&format!("fleet/{car}/telemetry")).unwrap();
        self.engine.message(&binding, payload.as_bytes(), self.now, false, &mut self.found).unwrap();
    }

    fn drive(&mut self, cars: &mut [Car], seconds: u32) {
        for _ in 0..seconds {
            self.now = self.now + Span::from_secs(1);
            for car in &mut *cars {
                car.step(1.0);
                let payload = car.telemetry(self.now);
                self.send(&car.id, &payload);
            }
            self.engine.clock(self.now, &mut self.found);
        }
    }
}

/// The same cars as on the broker, with the shipped model and rules, in virtual time.
#[test]
fn rules_of_the_shop_see_the_two_breakdowns_and_nothing_else() {
    let mut world = World::new();
    let mut cars: Vec<Car> = (0..CARS).map(|n| Car::new(car_id(n), n, 1)).collect();
    world.drive(&mut cars, 120);
    assert_eq!(world.found, [], "sound cars");

    cars[22].trouble(Trouble::WeakBattery);
    for payload in cars[22].battery_log(world.now) {
        world.send("car-0023", &payload);
    }
    cars[6].trouble(Trouble::Brakes);
    world.drive(&mut cars, 20);
    let raised = |world: &World| -> Vec<(String, String)> {
        let raised = world.found.iter().filter(|d| d.change == Change::Raised);
        let mut list: Vec<_> = raised.map(|d| (d.device.to_string(), d.fault.to_string())).collect();
        list.sort();
        list
    };
    let expected = [("car-0007", "brake.circuit_loss"), ("car-0023", "battery_12v.weak")];
    assert_eq!(raised(&world), expected.map(|(car, fault)| (car.to_owned(), fault.to_owned())));
    assert!(world.found.iter().all(|d| d.change == Change::Raised), "neither clears by itself");

    cars[6].trouble(Trouble::Stopping);
    cars[22].new_battery();
    world.drive(&mut cars, 60);
    let cleared: Vec<_> = world.found.iter().filter(|d| d.change == Change::Cleared).collect();
    assert_eq!(cleared.len(), 1, "{cleared:?}");
    assert_eq!((cleared[0].device.as_str(), raised(&world).len()), ("car-0023", 2));
}
