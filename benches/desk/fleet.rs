//! A fleet of cars whose brakes all fail in one night, each with a driver of its own.

use std::collections::BTreeMap;
use std::path::Path;

use forewarn::app;
use forewarn::desk::{Config, Links, NewRules};
use forewarn::domain::{
    At, Change, Customer, Detection, Device, Endpoint, EndpointKind, EpisodeId, Level, Mode, Registry, Severity, Span,
    Value,
};
use forewarn::source::Diagnostics;
use forewarn::wire::link::Key;

/// The shipped configuration.
pub(crate) fn shipped() -> app::Loaded {
    let mut diags = Diagnostics::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/forewarn.toml");
    app::load(&mut diags, &path, &[]).unwrap_or_else(|| panic!("{}", diags.render(false)))
}

/// Its desk, for a fleet of its own: without limits of providers, and so many breakdowns are no storm.
pub(crate) fn config(shipped: &app::Loaded, cars: usize) -> Config {
    let mut config = Config::clone(&shipped.desk);
    for provider in config.providers.values_mut() {
        (provider.per_second, provider.per_hour) = (None, None);
    }
    config.playbooks.retain(|playbook| playbook.matches.storm.is_none());
    config.settings.storm_guard.min = u32::MAX;
    config.settings.new_rules = NewRules::Live;
    config.registry = registry(cars).into();
    let key = Key::parse("what the links of a bench are signed with").expect("a key");
    config.links = Some(Links { base_url: "https://forewarn.example".into(), key });
    config
}

pub(crate) fn phone(n: usize) -> String {
    format!("+49301{n:07}")
}

fn registry(cars: usize) -> Registry {
    let customer = |n: usize| Customer {
        id: format!("c-{n}").into(),
        name: "A driver".into(),
        locale: "de-DE".into(),
        tz: "Europe/Berlin".into(),
        endpoints: vec![Endpoint {
            id: format!("e-{n}").into(),
            kind: EndpointKind::Phone,
            address: phone(n).into(),
            opted_out: false,
        }],
        consents: Vec::new(),
        preferred_workshop: None,
    };
    let device = |n: usize| Device {
        id: format!("car-{n}").into(),
        model: "car".into(),
        kind: "car".into(),
        tz: "Europe/Berlin".into(),
        parties: [("driver".into(), format!("c-{n}").into())].into(),
        attrs: [("plate".into(), format!("B-FW {n}").into())].into(),
        params: BTreeMap::new(),
    };
    Registry {
        devices: (0..cars).map(device).map(|d| (d.id.clone(), d)).collect(),
        customers: (0..cars).map(customer).map(|c| (c.id.clone(), c)).collect(),
    }
}

pub(crate) fn brake(car: usize, at: At) -> Detection {
    let facts = [("speed", 80.0), ("lat", 48.2), ("lon", 16.37)];
    Detection {
        episode: EpisodeId::of(&[b"brake", &car.to_le_bytes()]),
        seq: 1,
        rule: "brake".into(),
        rule_rev: 1,
        mode: Mode::Live,
        fault: "brake.circuit_loss".into(),
        device: format!("car-{car}").into(),
        component: None,
        change: Change::Raised,
        level: Some(Level { name: "critical".into(), severity: Severity::Critical }),
        confidence: 1.0,
        title: "Front left brake circuit has failed".into(),
        evidence: Vec::new(),
        facts: facts.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
        started_at: at,
        event_at: at,
        received_at: at + Span::from_millis(20),
        historical: false,
        late_by: None,
        series: None,
        latched: false,
    }
}
