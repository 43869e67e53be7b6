//! The example rules of the design, as written there, each with a story that fires and one that must not.

use super::world::{START, World, device, registry};

const CAR: &str = r#"
[model]
id = "ice-g1"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "ts", unit = "s" }
report_every = "10m"
[model.presence]
topic = "f/+/status"
[signal]
batt12_v = { path = "v12", unit = "V", valid = "0 < _ < 20" }
ambient_temp = { path = "tamb", unit = "degC" }
ignition = { path = "ign", type = "bool", ttl = "never" }
charging = { path = "chg", type = "enum", values = ["no", "ac", "dc"], ttl = "1h" }
odometer = { path = "odo", unit = "km", kind = "counter" }
coolant_temp = { path = "ct", unit = "degC" }
engine_rpm = { path = "rpm", unit = "rpm" }
soc = { path = "soc", unit = "%" }
nearest_charger = { path = "near", unit = "km" }
range_left = { path = "range", unit = "km" }
compressor_on = { path = "comp", type = "bool" }
inlet_pressure = { path = "p", unit = "bar" }
motor_current = { path = "i", unit = "A" }
running = { path = "run", type = "bool" }
operator_stop = { path = "stop", type = "bool" }
[params]
coolant_max = "108[degC]"
oil_interval = "15000[km]"
oil_months = "365d"
"#;

fn world(rules: &str) -> World {
    let device = device("d", &[("marker.oil_service", "80000"), ("marker.oil_service_at", "2025-12-01")], &[]);
    World::with_registry(CAR, rules, registry(vec![device]))
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Sends `fields(t)` every `step` seconds up to `to`.
fn drive(w: &mut World, step: i64, to: i64, fields: impl Fn(i64) -> String) {
    while w.now < to {
        w.now += step;
        w.send(&fields(w.now));
    }
}

const V12: &str = r#"
[[rule]]
id = "v12-decay"
models = ["ice-*"]
fault = "battery_12v.weak"
lead = "3d..30d"
[rule.sample.rest_v]
from = "batt12_v + 0.0012[V/K] * (25[degC] - ambient_temp)"
when = "!ignition && since(changed(ignition)) > 2h && charging == 'no'"
keep = "min per 1d"
[[rule.level]]
name = "major"
when = "time_to(rest_v, 11.9[V], 21d) < 7d && r2(rest_v, 21d) > 0.6 && n(rest_v, 21d) >= 7"
hold = "0s"
clear = "rest_v > 12.5[V]"
clear_hold = "2d"
[rule.case]
title = "12 V battery: resting {rest_v}, about {time_to(rest_v, 11.9[V], 21d)} left"
"#;

/// A day: driven from 8 to 9, parked for the rest; what the resting battery has is lower each day by `fall` volts.
fn battery(t: i64, fall: f64) -> String {
    let hour = t.rem_euclid(DAY) / HOUR;
    let day = (t / DAY) as f64;
    let driving = hour == 8;
    let volts = if driving { 14.2 } else { 12.6 - fall * day };
    format!("\"v12\":{volts},\"tamb\":25,\"ign\":{driving},\"chg\":\"no\"")
}

#[test]
fn example_2_a_12_v_battery_that_decays() {
    let mut w = world(V12);
    drive(&mut w, 10 * MINUTE, 30 * DAY, |t| battery(t, 0.04));
    let raised = w.out.first().expect("it decays to 11.9 V within 18 days");
    let day = (raised.event_at.as_secs() - START) / DAY;
    assert!((9..=13).contains(&day), "seven days before, and not before half of the window is covered: day {day}");
    assert!(raised.title.starts_with("12 V battery: resting 12."), "{}", raised.title);
    let mut sound = world(V12);
    drive(&mut sound, 10 * MINUTE, 30 * DAY, |t| battery(t, 0.001));
    assert!(sound.out.is_empty(), "{:?}", sound.told());
}

#[test]
fn example_3_coolant_with_hysteresis() {
    let rule = r#"
[[rule]]
id = "coolant-overheat"
models = ["ice-*"]
fault = "engine.overheat"
severity = "major"
when = "coolant_temp > param.coolant_max && engine_rpm > 0[rpm]"
hold = "60s"
clear = "coolant_temp < param.coolant_max - 8[K]"
clear_hold = "5m"
"#;
    let run = |temps: &[i64]| {
        let mut w = world(rule);
        for (ix, temp) in (0..).zip(temps) {
            w.now = ix * 30;
            w.send(&format!("\"ct\":{temp},\"rpm\":900"));
        }
        w.told().len()
    };
    assert_eq!(run(&[90, 109, 110, 110, 105, 101, 109]), 1, "105 is below the threshold and not yet cool");
    assert_eq!(run(&[90, 109, 107, 109, 107, 109, 107]), 0, "never for a minute");
}

#[test]
fn example_6_a_compressor_that_cycles_too_often() {
    let rule = r#"
[[rule]]
id = "hvac-short-cycle"
models = ["ice-g1"]
fault = "hvac.compressor"
when = "rises(compressor_on, 1h) > 6 || mean_on(compressor_on, 2h) < 3m && rises(compressor_on, 2h) >= 4"
hold = "30m"
clear = "rises(compressor_on, 2h) <= 4"
clear_hold = "2h"
severity = "minor"
"#;
    for (on, off, fires) in [(2, 4, true), (2, 18, true), (10, 20, false)] {
        let mut w = world(rule);
        drive(&mut w, MINUTE, 6 * HOUR, |t| format!("\"comp\":{}", t / MINUTE % (on + off) < on));
        assert_eq!(!w.out.is_empty(), fires, "{on} minutes on, {off} off");
    }
}

#[test]
fn example_7_a_device_that_went_silent() {
    let rule = r#"
[[rule]]
id = "gone-silent"
models = ["*"]
when = "silent(max(15m, 6 * usual_interval)) || (!online && silent(5m))"
clear = "!silent(2m)"
severity = "minor"
"#;
    for (offline, at) in [(false, 1000 + 15 * MINUTE), (true, 1000 + 5 * MINUTE)] {
        let mut w = world(rule);
        w.run_to(10);
        w.every(10, 1000, "\"rpm\":900");
        if offline {
            let binding = w.program.models().bind("f/d/status").expect("topic");
            let now = crate::domain::At::from_secs(START + w.now);
            w.engine.message(&binding, b"offline", now, false, &mut w.out).expect("payload");
        }
        w.run_to(at - 1);
        assert_eq!(w.told(), [""; 0]);
        w.run_to(at + 1);
        assert_eq!(w.told(), [format!("Raised minor {at} from {at}")]);
    }
}

#[test]
fn example_9_a_pump_that_runs_dry() {
    let rule = r#"
[[rule]]
id = "pump-dry-run"
models = ["ice-g1"]
severity = "major"
[[rule.step]]
name = "A"
when = "inlet_pressure < 0.2[bar]"
[[rule.step]]
name = "B"
when = "motor_current < 0.6 * avg(motor_current, 24h) && running"
within = "10m"
unless = "operator_stop"
[rule.sequence]
start = "rising"
overlap = 1
timeout_event = false
clear = "!running || inlet_pressure > 0.5[bar]"
"#;
    for (low_for, stop, fires) in [(5, false, true), (5, true, false), (15, false, false)] {
        let mut w = world(rule);
        drive(&mut w, MINUTE, DAY, |_| "\"p\":1.5,\"i\":10,\"run\":true,\"stop\":false".to_owned());
        drive(&mut w, MINUTE, DAY + low_for * MINUTE, |_| format!("\"p\":0.1,\"i\":10,\"run\":true,\"stop\":{stop}"));
        drive(&mut w, MINUTE, DAY + 20 * MINUTE, |_| "\"p\":0.1,\"i\":3,\"run\":true,\"stop\":false".to_owned());
        assert_eq!(!w.out.is_empty(), fires, "{low_for} {stop}");
    }
}

#[test]
fn example_10_an_oil_service_that_is_due() {
    let rule = r#"
[[rule]]
id = "oil-service"
models = ["ice-*"]
[rule.let]
used  = "total_since(odometer, device.marker.oil_service)"
left  = "param.oil_interval - used"
eta   = "time_to(odometer, device.marker.oil_service + param.oil_interval, 60d)"
[[rule.level]]
name = "due"
severity = "warning"
when = "left <= 0[km] || since(device.marker.oil_service_at) > param.oil_months"
[[rule.level]]
name = "soon"
severity = "minor"
when = "left < 1500[km] || eta < 21d"
[rule.data]
on_counter_reset = "continue"
[rule.case]
title = "Oil service in {left} (about {eta})"
"#;
    let mut w = world(rule);
    w.send("\"odo\":84000");
    w.now += DAY;
    // The cluster is swapped: 14,000 km of 15,000 have been driven in all when it shows 10,000.
    w.send("\"odo\":0");
    w.now += DAY;
    w.send("\"odo\":9000");
    assert_eq!(w.told(), [""; 0]);
    w.now += DAY;
    w.send("\"odo\":10000");
    w.now += DAY;
    w.send("\"odo\":11200");
    let told = w.told();
    assert!(told[0].starts_with("Raised soon") && told[1].starts_with("Moved due"), "{told:?}");
    // A year after the last service it is due, whatever was driven.
    let mut w = world(rule);
    w.now = 340 * DAY;
    w.send("\"odo\":80100");
    assert!(w.told()[0].starts_with("Raised due"));
}

#[test]
fn example_11_a_range_that_will_not_reach() {
    let rule = r#"
[[rule]]
id = "ev-stranded-risk"
models = ["ice-*"]
fault = "hv_battery.empty"
lead = "20m..2h"
when = "soc < 12[%] && time_to(soc, 2[%], 20m) < 45m && ignition && nearest_charger > 0.8 * range_left"
hold = "3m"
clear = "soc > 15[%] || charging != 'no'"
severity = "major"
"#;
    for (near, fires) in [(30, true), (5, false)] {
        let mut w = world(rule);
        let soc = |t: i64| 20.0 - 0.25 * (t as f64) / 60.0;
        drive(&mut w, MINUTE, HOUR, |t| {
            format!("\"soc\":{},\"ign\":true,\"near\":{near},\"range\":25,\"chg\":\"no\"", soc(t))
        });
        assert_eq!(!w.out.is_empty(), fires, "{near} km");
    }
}
