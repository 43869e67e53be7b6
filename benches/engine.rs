//! What a rule evaluation and a message cost on one core.
//!
//! `cargo bench --bench engine`. "rule evaluations" counts a rule as evaluated when its expression is run and its level
//! machine stepped; the figure includes the operators the rules share, device look-up and duplicate check. At the end
//! the same is said once more in CPU time, which does not depend on what else the machine is doing.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forewarn::domain::{At, Registry};
use forewarn::engine::Engine;
use forewarn::model::{self, Binding, Message, Reading, ReadingValue, SignalIx};
use forewarn::rules::{self, Program};
use forewarn::source::Diagnostics;

const DEVICES: i64 = 5_000;
const RULES: u64 = 10;

const MODEL: &str = r#"
[model]
id = "engine"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "ts", unit = "ms" }
report_every = "10s"
[signal]
coolant = { path = "coolant", unit = "degC" }
oil_temp = { path = "oil_t", unit = "degC" }
oil = { path = "oil_p", unit = "bar" }
rpm = { path = "rpm", unit = "rpm" }
speed = { path = "speed", unit = "km/h" }
volt = { path = "v12", unit = "V" }
ambient = { path = "amb", unit = "degC" }
load = { path = "load", unit = "%" }
running = { path = "run", type = "bool" }
mode = { path = "mode", type = "enum", values = ["off", "eco", "sport"] }
[params]
coolant_max = "108[degC]"
"#;

/// Ten rules of the usual kinds: thresholds, hysteresis, differences, a rate, a window, edges.
const RULE_FILE: &str = r#"
[[rule]]
id = "overheat"
models = ["engine"]
severity = "major"
when = "coolant > param.coolant_max && rpm > 0[rpm]"
hold = "60s"
clear = "coolant < param.coolant_max - 8[K]"
clear_hold = "5m"
[[rule]]
id = "oil-pressure"
models = ["engine"]
severity = "critical"
when = "running && rpm > 1000[rpm] && oil < 1.2[bar]"
confirm = 2
[[rule]]
id = "oil-hot"
models = ["engine"]
severity = "warning"
when = "oil_temp > 130[degC] || oil_temp - coolant > 35[K]"
hold = "2m"
[[rule]]
id = "undervolt"
models = ["engine"]
severity = "minor"
when = "volt < (running ? 13.2[V] : 11.9[V])"
hold = "5m"
clear = "volt > 13.5[V]"
[[rule]]
id = "overrev"
models = ["engine"]
[[rule.level]]
name = "major"
when = "rpm > 6800[rpm]"
[[rule.level]]
name = "minor"
when = "rpm > 6200[rpm]"
hold = "10s"
[[rule]]
id = "sensor-stuck"
models = ["engine"]
severity = "minor"
when = "running && speed > 30[km/h] && coolant < 40[degC]"
hold = "20m"
[[rule]]
id = "wrong-mode"
models = ["engine"]
severity = "minor"
when = "mode == 'sport' && ambient < -10[degC] && coolant < 60[degC]"
[[rule]]
id = "heat-rise"
models = ["engine"]
severity = "major"
when = "coolant > 95[degC] && rate(coolant, 60s) > 3[K/min]"
[[rule]]
id = "load-high"
models = ["engine"]
severity = "warning"
when = "load > 90[%] && avg(load, 10m) > 85[%]"
[[rule]]
id = "starts"
models = ["engine"]
severity = "minor"
when = "rises(running, 1h) > 6"
"#;

fn program() -> Arc<Program> {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("model", MODEL);
    let models = Arc::new(model::load(&mut diags, &[file]));
    let file = diags.add_file("rules", RULE_FILE);
    let program = rules::load(&mut diags, &[file], models);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Arc::new(program)
}

/// A fleet that has been running for a while, and its next messages.
struct Fleet {
    engine: Engine,
    bindings: Vec<Binding>,
    next: i64,
}

impl Fleet {
    fn new() -> Self {
        let program = program();
        let bind = |n| program.models().bind(&format!("f/dev-{n:05}/t")).expect("topic");
        let bindings = (0..DEVICES).map(bind).collect();
        let mut fleet = Self { engine: Engine::new(program.clone(), Arc::new(Registry::default())), bindings, next: 0 };
        let mut message = Message::default();
        (0..DEVICES * 20).for_each(|_| fleet.apply(&mut message));
        fleet
    }

    /// The device and the time of the next message: every device once each 10 s.
    fn turn(&mut self) -> (usize, At, f64) {
        let n = self.next;
        self.next += 1;
        let at = At::from_millis(1_767_225_600_000 + n / DEVICES * 10_000 + n % DEVICES * 2);
        let device = usize::try_from(n % DEVICES).expect("small");
        (device, at, f64::from(u8::try_from((n / DEVICES) % 7).expect("small")))
    }

    fn apply(&mut self, message: &mut Message) {
        let (device, at, wave) = self.turn();
        let number = |signal, value| Reading { signal: SignalIx(signal), component: 0, value };
        message.event_at = Some(at);
        message.readings.clear();
        for (signal, value) in
            (0..).zip([88.0 + wave, 95.0 + wave, 3.1, 2100.0 + wave * 100.0, 87.0, 14.1, 12.0, 40.0 + wave])
        {
            message.readings.push(number(signal, ReadingValue::Number(value)));
        }
        message.readings.push(number(8, ReadingValue::Bool(true)));
        message.readings.push(number(9, ReadingValue::Enum(1)));
        let mut out = Vec::new();
        let fingerprint = u64::try_from(self.next).expect("positive");
        self.engine.apply(&self.bindings[device], message, fingerprint, at, false, &mut out);
        black_box(&out);
    }

    fn payload(&mut self) -> (usize, At, String) {
        let (device, at, wave) = self.turn();
        let text = format!(
            "{{\"ts\":{},\"coolant\":{:.1},\"oil_t\":{:.1},\"oil_p\":3.1,\"rpm\":{},\"speed\":87.5,\"v12\":14.1,\
             \"amb\":12.0,\"load\":{:.1},\"run\":true,\"mode\":\"eco\",\"fw\":\"4.2.1\",\"odo\":40211.8,\"seq\":{}}}",
            at.as_millis(),
            88.0 + wave,
            95.0 + wave,
            2100.0 + wave * 100.0,
            40.0 + wave,
            self.next
        );
        (device, at, text)
    }
}

fn benches(c: &mut Criterion) {
    let mut fleet = Fleet::new();
    let mut message = Message::default();
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(RULES));
    group.bench_function("rule evaluations (10 rules a message, 5,000 devices)", |b| {
        b.iter(|| fleet.apply(&mut message));
    });
    let (_, _, text) = fleet.payload();
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("messages ({} bytes of JSON, 10 rules)", text.len()), |b| {
        let fleet = std::cell::RefCell::new(&mut fleet);
        b.iter_batched(
            || fleet.borrow_mut().payload(),
            |(device, at, text)| {
                let mut fleet = fleet.borrow_mut();
                let binding = fleet.bindings[device].clone();
                let mut out = Vec::new();
                fleet.engine.message(&binding, text.as_bytes(), at, false, &mut out).expect("payload");
                black_box(&out);
            },
            BatchSize::NumIterations(1_000),
        );
    });
    group.finish();
    by_cpu_time(&mut fleet);
}

/// One core's figure, from the scheduler's account of this process (Linux).
fn by_cpu_time(fleet: &mut Fleet) {
    const MESSAGES: u32 = 2_000_000;
    let mut message = Message::default();
    let Some(before) = cpu_seconds() else { return };
    (0..MESSAGES).for_each(|_| fleet.apply(&mut message));
    let Some(spent) = cpu_seconds().map(|after| after - before) else { return };
    let a_message = spent / f64::from(MESSAGES);
    let rules = f64::from(u32::try_from(RULES).unwrap_or(u32::MAX));
    println!(
        "rule evaluations on one core, by CPU time: {:.1} million a second ({:.0} ns a message of {RULES} rules)",
        rules / a_message / 1e6,
        a_message * 1e9
    );
}

/// CPU time of this process so far.
fn cpu_seconds() -> Option<f64> {
    let account = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    account.split_whitespace().next()?.parse::<f64>().ok().map(|ns| ns / 1e9)
}

criterion_group!(engine, benches);
criterion_main!(engine);
