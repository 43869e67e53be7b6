//! The example rules of the design, as written there, each with a story that fires and one that must not.

use super::world::{START, World, device, registry};
use crate::domain::At;

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
            let now = At::from_secs(START + w.now);
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

/// A rule of the design and what is sent under it, to be told in every way that must make no difference.
struct Story<'a> {
    model: &'a str,
    rule: &'a str,
    /// Seconds between messages, and the last of them.
    step: i64,
    to: i64,
    /// What is sent at a time.
    says: &'a dyn Fn(i64) -> String,
    /// What is sent of a time long past, late.
    late: &'a str,
}

impl Story<'_> {
    fn told(&self, model: &str, mut play: impl FnMut(&mut World, i64, &str)) -> Vec<String> {
        let mut w = World::with_registry(
            model,
            self.rule,
            registry(vec![device("d", &[("last_workshop", "2025-12-24")], &[])]),
        );
        for t in (0..=self.to).step_by(usize::try_from(self.step).unwrap()) {
            while w.now < t {
                w.now = (w.now + 5).min(t);
                w.engine.clock(At::from_secs(START + w.now), &mut w.out);
            }
            play(&mut w, t, &(self.says)(t));
        }
        w.told()
    }

    /// What the rule says, which is the same whatever happens to messages and daemon on the way.
    fn plays(&self) -> Vec<String> {
        let told = self.told(self.model, |w, _, fields| w.send(fields));
        let other = "\n[[rule]]\nid = \"other\"\nmodels = [\"*\"]\nseverity = \"minor\"\nwhen = \"silent(3d)\"\n";
        let middle = self.to / self.step / 2 * self.step;
        type Way<'a> = (&'a str, &'a dyn Fn(&mut World, i64, &str));
        let ways: [Way<'_>; 5] = [
            ("each message twice", &|w, _, fields| (0..2).for_each(|_| w.send(fields))),
            ("a restart before each fifth message", &|w, t, fields| {
                if t / self.step % 5 == 0 {
                    w.restart();
                }
                w.send(fields);
            }),
            ("another rule comes and goes", &|w, t, fields| {
                if t == middle || t == middle + 7 * self.step {
                    w.reload(&format!("{}{}", self.rule, if t == middle { other } else { "" }));
                }
                w.send(fields);
            }),
            ("late messages", &|w, t, fields| {
                w.send(fields);
                if t > 5 * self.step {
                    w.send_at(t - 5 * self.step - 1, self.late);
                }
            }),
            ("unusable messages of nothing that is asked for", &|w, _, fields| {
                w.send(fields);
                w.send_as("d", None, "\"nobody\":null", true);
            }),
        ];
        for (way, play) in ways {
            assert_eq!(self.told(self.model, play), told, "{way}");
        }
        // Two at a time in the wrong order, put right by the buffer of the model.
        let patient = self.model.replace("report_every", &format!("lateness = \"{}s\"\nreport_every", 3 * self.step));
        let mut held = None;
        let swapped = self.told(&patient, |w, t, fields| match held.take() {
            None => held = Some((t, fields.to_owned())),
            Some((before, older)) => {
                w.send(fields);
                w.send_at(before, &older);
            }
        });
        let times = |told: &[String]| told.iter().map(|line| line.replace(" historical", "")).collect::<Vec<_>>();
        let ordered = self.told(&patient, |w, _, fields| w.send(fields));
        assert_eq!(times(&swapped), times(&ordered), "out of order");
        told
    }
}

const EV: &str = r#"
[model]
id = "ev-gen2"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "ts", unit = "s" }
report_every = "10s"
[signal]
pack_temp_max = { path = "tmax", unit = "degC", valid = "-40 < _ <= 150", na = [-40, 255] }
cell_v = { path = "cells", unit = "V", each = "cell" }
cell_t = { path = "temps", unit = "degC", each = "probe" }
insulation = { path = "riso", unit = "kohm" }
charging = { path = "chg", type = "enum", values = ["no", "ac", "dc"], ttl = "1h" }
[params]
t_warn = "55[degC]"
t_crit = "60[degC]"
"#;

const THERMAL: &str = r#"
[[rule]]
id = "ev-hv-thermal-precursor"
models = ["ev-gen2"]
fault = "hv_battery.thermal"
lead = "5m..6h"
[rule.let]
heat   = "rate(pack_temp_max, 60s)"
spread = "spread(cell_t)"
sag    = "min(cell_v) < mean(cell_v) - 0.15[V]"
[[rule.level]]
name = "critical"
when = "pack_temp_max > param.t_crit && heat > 3[K/min] || sag && heat > 6[K/min]"
hold = "0s"
confirm = 2
clear = "pack_temp_max < param.t_warn && heat <= 0[K/min]"
clear_hold = "30m"
[[rule.level]]
name = "warning"
when = "spread > 8[K] && charging == 'no' || insulation < 100[kohm] && delta(insulation, 24h) < -50[kohm]"
hold = "10m"
clear = "spread < 5[K] && insulation > 150[kohm]"
clear_hold = "6h"
[rule.limits]
fleet_breaker = { max = 10, per = "30m", by = "firmware" }
[rule.case]
title = "HV battery: {pack_temp_max} rising {heat}, cell spread {spread}"
"#;

/// A pack of this temperature, with cells apart by so much.
fn pack(temp: f64, spread: f64) -> String {
    format!("\"tmax\":{temp},\"cells\":[3.7,3.7,3.69],\"temps\":[30,{}],\"riso\":500,\"chg\":\"no\"", 30.0 + spread)
}

fn thermal(says: &dyn Fn(i64) -> String, to: i64) -> Vec<String> {
    let late = "\"tmax\":20,\"temps\":[30,30]";
    Story { model: EV, rule: THERMAL, step: 10, to, says, late }.plays()
}

#[test]
fn example_1_a_battery_that_heats_up() {
    // 4 K a minute from 50 °C on: 60 °C after two and a half minutes; from 66 °C on it cools down.
    let heats = |t: i64| {
        let t = t as f64;
        if t <= 240.0 { 50.0 + t / 15.0 } else { (66.0 - (t - 240.0) / 30.0).max(20.0) }
    };
    let says = |t| pack(heats(t), 2.0);
    let told = thermal(&says, 3_600);
    // Two samples above 60 °C; half an hour after it has been below 55 °C.
    assert_eq!(told, ["Raised critical 170 from 160", "Cleared - 2380"]);

    // One spike is not two samples; what cannot be is no sample at all.
    for spike in ["80", "\"NaN\"", "255", "-300"] {
        let says = |t| if t == 200 { pack(50.0, 2.0).replace(":50,", &format!(":{spike},")) } else { pack(50.0, 2.0) };
        assert_eq!(thermal(&says, 600), [""; 0], "{spike}");
    }
    // What says nothing of use between the two samples is none; what says something else of the rule is the second.
    for (between, told) in
        [("\"tmax\":null", "Raised critical 180 from 160"), ("\"riso\":500", "Raised critical 170 from 160")]
    {
        let says = |t| if t == 170 { between.to_owned() } else { pack(heats(t), 2.0) };
        assert_eq!(thermal(&says, 600), [told], "{between}");
    }
    // A spread of 9 K for ten minutes; while nothing comes the ten minutes stand still.
    let says = |t| pack(40.0, if t >= 100 { 9.0 } else { 2.0 });
    assert_eq!(thermal(&says, 900), ["Raised warning 700 from 100"]);
}

const LIFT: &str = r#"
[model]
id = "lift-a1"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "ts", unit = "s" }
report_every = "1m"
[signal]
door_state = { path = "doors", values = ["closed", "open", "closing", "reopening"], each = "door", ttl = "never" }
"#;

#[test]
fn example_5_a_door_that_opens_again() {
    let rule = r#"
[[rule]]
id = "lift-door-reopen"
models = ["lift-a1"]
each = "door"
fault = "door.drive"
[rule.let]
closes  = "rises(door_state == 'closing', 1h)"
retries = "rises(door_state == 'reopening', 1h)"
[[rule.level]]
name = "major"
severity = "major"
when = "closes >= 20 && retries / closes > max(0.15, 3 * ewma(retries / max(closes, 1), 14d))"
hold = "30m"
clear = "retries / closes < 0.08"
clear_hold = "4h"
[rule.active]
hours = "06:00-23:00"
tz = "device"
"#;
    // One round of the doors in two minutes; door 1 opens again from `from` to `to`, door 0 never.
    let round = |bad: bool, t: i64| match (t / 30 % 4, bad) {
        (0, _) => "open",
        (1, _) | (3, true) => "closing",
        (2, true) => "reopening",
        _ => "closed",
    };
    let run = |from: i64, until: i64, to: i64| {
        let says = |t: i64| format!("\"doors\":[\"{}\",\"{}\"]", round(false, t), round((from..until).contains(&t), t));
        Story { model: LIFT, rule, step: 30, to, says: &says, late: "\"doors\":[\"reopening\",\"reopening\"]" }.plays()
    };
    let told = run(7 * HOUR, 8 * HOUR, 15 * HOUR);
    assert_eq!(told.len(), 2, "{told:?}");
    let at = |line: &str| line.split(' ').nth(2).and_then(|t| t.parse::<i64>().ok()).unwrap();
    assert!(told[0].starts_with("Raised major") && (7 * HOUR..8 * HOUR).contains(&at(&told[0])), "{told:?}");
    assert!(told[1].starts_with("Cleared") && (12 * HOUR..14 * HOUR).contains(&at(&told[1])), "{told:?}");
    // At night nobody looks, and what began at night begins anew in the morning.
    assert_eq!(run(HOUR, 4 * HOUR, 6 * HOUR), [""; 0]);
    let told = run(4 * HOUR, 8 * HOUR, 7 * HOUR);
    assert_eq!(told, [format!("Raised major {} from {}", 6 * HOUR + 30 * MINUTE, 6 * HOUR)]);
}

const TRUCK: &str = r#"
[model]
id = "ice-g1"
topics = ["f/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
timestamp = { path = "ts", unit = "s" }
report_every = "10m"
[signal]
dtc = { path = "dtc", type = "codes", send = "full" }
"#;

const DTC: &str = r#"
[[rule]]
id = "dtc-service"
models = ["ice-*"]
each = "dtc"
[[rule.level]]
name = "critical"
when = "appeared(dtc, codes.obd2.class in ['misfire','oil'])"
confirm = 2
clear = "cleared(dtc) || device.last_workshop > case.opened_at"
[[rule.level]]
name = "minor"
when = "active_for(dtc, codes.obd2.class == 'emission') > 3d"
clear = "cleared(dtc)"
clear_hold = "1d"
[rule.case]
title = "{code}: {codes.obd2.text}"
"#;

fn trouble(says: &dyn Fn(i64) -> String, to: i64) -> Vec<String> {
    Story { model: TRUCK, rule: DTC, step: 10 * MINUTE, to, says, late: "\"dtc\":[\"P0420\"]" }.plays()
}

#[test]
fn example_4_a_trouble_code_until_it_is_cleared_or_the_workshop_was_there() {
    let says = |t: i64| format!("\"dtc\":[{}]", if (HOUR..3 * HOUR).contains(&t) { "\"P0301\"" } else { "" });
    let told = trouble(&says, 4 * HOUR);
    assert_eq!(
        told,
        [format!("Raised critical {} from {HOUR}", HOUR + 10 * MINUTE), format!("Cleared - {}", 3 * HOUR)]
    );
    // Seen once only; a list that cannot be read clears nothing.
    let says = |t: i64| format!("\"dtc\":{}", if t == HOUR { "[\"P0301\"]" } else { "[]" });
    assert_eq!(trouble(&says, 4 * HOUR), [""; 0]);
    let says = |t: i64| format!("\"dtc\":{}", if t == 2 * HOUR { "null" } else { "[\"P0524\"]" });
    assert_eq!(trouble(&says, 4 * HOUR).len(), 1);
    let says = |_| "\"dtc\":[\"P0420\"]".to_owned();
    let mut w = World::with_registry(TRUCK, DTC, registry(vec![device("d", &[], &[])]));
    drive(&mut w, 10 * MINUTE, 4 * DAY, says);
    let told = w.told();
    let expected = format!("Raised minor {0} from {0}", 3 * DAY + 20 * MINUTE);
    assert_eq!(told, [expected], "an emission waits for three days from the first message on");

    let workshop = |at: &str| registry(vec![device("d", &[("last_workshop", at)], &[])]);
    let mut w = World::with_registry(TRUCK, DTC, workshop("2025-12-24"));
    drive(&mut w, 10 * MINUTE, 2 * HOUR, |_| "\"dtc\":[\"P0301\"]".to_owned());
    assert_eq!(w.told().len(), 1, "a visit before it began says nothing of it");
    w.restart();
    w.enrol(workshop("2026-01-01T01:30:00Z"));
    assert_eq!(w.told(), [""; 0], "the registry is no sample");
    drive(&mut w, 10 * MINUTE, 3 * HOUR, |_| "\"dtc\":[\"P0301\"]".to_owned());
    assert_eq!(
        w.told(),
        [format!("Cleared - {}", 2 * HOUR + 10 * MINUTE)],
        "and nothing begins anew while it is there"
    );
}
