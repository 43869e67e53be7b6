//! What each operator costs: nanoseconds to work a sample in, nanoseconds to ask it, and bytes of state a device.
//!
//! `cargo bench --bench operators`; `cargo bench --bench operators -- quantile` for those with that in their text. A rule
//! with the operator is compared with the same rule without it; a rule that never asks (`off && …`) tells the two parts
//! apart. One device, its state in the cache; the least of many rounds. `rules::cost` has its figures from here.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use forewarn::decode;
use forewarn::domain::{At, Registry};
use forewarn::engine::Engine;
use forewarn::model::{self, CodeTables, Message};
use forewarn::rules::{self, Program};
use forewarn::source::Diagnostics;

const MODEL: &str = r#"
[model]
id = "m"
topics = ["f/+"]
decoder = { format = "json" }
timestamp = { path = "ts", unit = "s" }
report_every = "10s"
[signal]
x = { path = "x" }
y = { path = "y" }
on = { path = "on", type = "bool" }
off = { path = "off", type = "bool", ttl = "never" }
code = { path = "code", type = "text", kind = "event" }
km = { path = "km", unit = "km", kind = "counter" }
cell = { path = "cells", each = "cell" }
dtc = { path = "dtc", type = "codes" }
"#;

const STEPS: &str = "[[rule.step]]\nname = \"a\"\nwhen = \"x > 8\"\n[[rule.step]]\nname = \"b\"\nwhen = \"y > 99\"\n\
                     within = \"60s\"\n[rule.sequence]\nclear = \"off\"\n";

/// What is asked, what the same rule asks without it, and what else the rule needs. Nothing of it is ever true.
const ROWS: &[(&str, &str, &str)] = &[
    ("avg(x, 10m) > 99", "x > 99", ""),
    ("sum(x, 10m) > 9999", "x > 99", ""),
    ("n(x, 10m) > 999", "x > 99", ""),
    ("min(x, 10m) > 99", "x > 99", ""),
    ("max(x, 10m) > 99", "x > 99", ""),
    ("stddev(x, 10m) > 99", "x > 99", ""),
    ("quantile(x, 0.9, 10m) > 99", "x > 99", ""),
    ("ewma(x, 10m) > 99", "x > 99", ""),
    ("slope(x, 10m) > 99[Hz]", "x > 99", ""),
    ("r2(x, 10m) > 99", "x > 99", ""),
    ("time_to(x, 1000000, 10m) < 1ms", "x > 99", ""),
    ("rate(x, 10m) > 99[Hz]", "x > 99", ""),
    ("first(x, 10m) > 99", "x > 99", ""),
    ("last(x, 10m) > 99", "x > 99", ""),
    ("delta(x, 10m) > 99", "x > 99", ""),
    ("resid(x, 10m) > 99", "x > 99", ""),
    ("x > evt(x, 0.001) + 99", "x > 99", ""),
    ("prev(x) > 99", "x > 99", ""),
    ("changed(x) && off", "x > 99", ""),
    ("rises(on, 10m) > 99", "on && off", ""),
    ("held(on) > 99d", "on && off", ""),
    ("since(on) > 99d", "on && off", ""),
    ("time_true(on, 10m) > 99d", "on && off", ""),
    ("duty(on, 10m) > 99", "on && off", ""),
    ("mean_on(on, 10m) > 99d", "on && off", ""),
    ("happened(code == 'no', 10m)", "code == 'no'", ""),
    ("count_of(code == 'yes', 10m) > 999", "code == 'no'", ""),
    ("increase(km, 10m) > 99999[km]", "km < 0[km]", ""),
    ("resets(km, 10m) > 99", "km < 0[km]", ""),
    ("total_since(km, device.marker.oil) > 99999[km]", "km < 0[km]", ""),
    ("avg(only(x, on), 10m) > 99", "x > 99", ""),
    ("z(x, b) > 99", "x > 99", "[rule.baseline.b]\nof = \"x\"\nby = [\"y/4\"]\ntau = \"10m\"\nmin = \"1m\"\n"),
    ("centre(b) > 99", "x > 99", "[rule.baseline.b]\nof = \"x\"\ntau = \"10m\"\nmin = \"1m\"\n"),
    ("scale(b) > 99", "x > 99", "[rule.baseline.b]\nof = \"x\"\ntau = \"10m\"\nmin = \"1m\"\n"),
    ("cusum(x, 0.5, 9999, b)", "x > 99", "[rule.baseline.b]\nof = \"x\"\ntau = \"10m\"\nmin = \"1m\"\n"),
    ("cusum_low(x, 0.5, 9999, b)", "x > 99", "[rule.baseline.b]\nof = \"x\"\ntau = \"10m\"\nmin = \"1m\"\n"),
    ("t2(b) > 9999", "x > 99", "[rule.baseline.b]\nof = [\"x\", \"y\"]\ntau = \"never\"\nmin = \"1m\"\n"),
    ("point > 99", "x > 99", "[rule.sample.point]\nfrom = \"x\"\nkeep = \"mean per 60s\"\n"),
    ("slope(point, 1h) > 99[Hz]", "x > 99", "[rule.sample.point]\nfrom = \"x\"\nkeep = \"mean per 60s\"\n"),
    ("max(cell) > 99", "count(cell > 99) > 99", ""),
    ("min(cell) > 99", "count(cell > 99) > 99", ""),
    ("mean(cell) > 99", "count(cell > 99) > 99", ""),
    ("spread(cell) > 99", "count(cell > 99) > 99", ""),
    ("median(cell) > 99", "count(cell > 99) > 99", ""),
    ("argmin(cell) > 99", "count(cell > 99) > 99", ""),
    ("argmax(cell) > 99", "count(cell > 99) > 99", ""),
    ("count(cell > 99) > 99", "x > 99", ""),
    ("active(dtc, 'P99*')", "x > 99", ""),
    ("appeared(dtc, 'P99*')", "x > 99", ""),
    ("cleared(dtc, 'P99*')", "x > 99", ""),
    ("active_for(dtc, 'P99*') > 99d", "x > 99", ""),
    // A rule of steps asks nothing else: it is told as a whole.
    ("", "x > 99", STEPS),
    ("known(x) && off", "x > 99", ""),
    ("age(x) > 99d", "x > 99", ""),
    ("silent(99d)", "x > 99", ""),
    ("hour() > 99", "x > 99", ""),
    ("weekday() == 'mon' && off", "x > 99", ""),
    ("abs(x) > 99", "x > 99", ""),
    ("sqrt(x) > 99", "x > 99", ""),
    ("ln(x + 1) > 99", "x > 99", ""),
    ("exp(x / 100) > 9999", "x > 99", ""),
];

fn program(when: &str, rest: &str) -> Program {
    let when = if when.is_empty() { String::new() } else { format!("when = \"{when}\"\n") };
    let rule = format!("[[rule]]\nid = \"r\"\nmodels = [\"m\"]\nseverity = \"minor\"\n{when}{rest}");
    let mut diags = Diagnostics::default();
    let file = diags.add_file("model", MODEL);
    let models = model::load(&mut diags, &[file]).with_codes(CodeTables::default());
    let file = diags.add_file("rules", rule);
    let program = rules::load(&mut diags, &[file], Arc::new(models));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    program
}

/// Messages, one each 10 s, that say everything.
fn messages(program: &Program) -> Vec<Message> {
    let list = (0..1_024).map(|n| {
        let x = f64::from(n % 17) + f64::from(n % 3) / 4.0;
        let cells: Vec<String> = (0..8).map(|cell| format!("{}", f64::from(n % 5 + cell) / 8.0)).collect();
        let text = format!(
            "{{\"x\":{x},\"y\":{},\"on\":{},\"off\":false,\"code\":\"yes\",\"km\":{n},\"cells\":[{}],\"dtc\":[\"P0301\",\"P0420\",\"U1\"]}}",
            n % 11,
            n % 4 < 2,
            cells.join(",")
        );
        let mut message = Message::default();
        decode::json(&program.models().list[0], text.as_bytes(), &mut message).expect("JSON");
        message
    });
    list.collect()
}

/// Nanoseconds a message: the least of many rounds.
#[expect(clippy::disallowed_methods, reason = "this measures")]
fn cost(when: &str, rest: &str) -> f64 {
    let program = Arc::new(program(when, rest));
    let binding = program.models().bind("f/a").expect("topic");
    let mut messages = messages(&program);
    let mut engine = Engine::new(program, Arc::new(Registry::default()));
    let (mut now, mut out, mut best) = (At::from_secs(1_767_225_600), Vec::new(), f64::MAX);
    for _ in 0..60 {
        let before = Instant::now();
        for (n, message) in (0_u64..).zip(&mut messages) {
            now = now + forewarn::domain::Span::from_secs(10);
            message.event_at = Some(now);
            engine.apply(&binding, message, n, now, false, &mut out);
        }
        best = best.min(before.elapsed().as_secs_f64() * 1e9 / 1_024.0);
        assert!(black_box(&out).is_empty(), "{when} is true");
    }
    best
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!("{:>9} {:>9} {:>9}   in", "sample ns", "asking ns", "bytes");
    for (when, plain, rest) in ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|word| when.contains(&**word) || rest.contains(&**word)) {
            continue;
        }
        let bytes = |when: &str, rest: &str| {
            let costs = program(when, rest).model_costs();
            costs[0].device_bytes + costs[0].part_bytes.iter().map(|(_, bytes)| 8 * bytes).sum::<usize>()
        };
        // `off &&` in front, so that both are looked at for the same messages.
        let without = format!("off && {plain}");
        let idle = if when.is_empty() { String::new() } else { format!("off && ({when})") };
        let state = bytes(&idle, rest).saturating_sub(bytes(&without, ""));
        let (without, idle, asked) = (cost(&without, ""), cost(&idle, rest), cost(when, rest));
        let shown = if when.is_empty() { "two steps" } else { when };
        println!("{:9.1} {:9.1} {state:9}   {shown}", idle - without, asked - idle);
    }
}
