//! A fleet that does everything wrong that fleets do, from a seed: what its broker and our clock would have journalled.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::world::{CODES, HEAD, START, device, model, registry};
use crate::domain::{At, Detection, DeviceId, Registry, RuleId, shard_of};
use crate::engine::Engine;
use crate::model::{self, CodeTables};
use crate::rules::{self, Fleet, Program};
use crate::source::Diagnostics;

pub(super) const RULES: &str = include_str!("rules.toml");
pub(super) const OTHER: &str = include_str!("other.toml");
const BASELINES: &str = include_str!("baselines.toml");

/// The rules for two models: `m` takes messages as they come and learns the offset of clocks, `n` puts them in order.
pub(super) fn program(rules_text: &str) -> Arc<Program> {
    let presence = |topic: &str| format!("[model.presence]\ntopic = \"{topic}/+/status\"\n");
    let m = model(&format!("{HEAD}skew = \"auto\"\n{}", presence("f")));
    let n = model(&format!("{HEAD}lateness = \"15s\"\n{}", presence("g")));
    let n = n.replace("id = \"m\"", "id = \"n\"").replace("\"f/+/t\"", "\"g/+/t\"");
    let mut diags = Diagnostics::default();
    let files = [("models/m.toml", m), ("models/n.toml", n)].map(|(name, text)| diags.add_file(name, text));
    let codes = diags.add_file("codes/obd2.csv", CODES);
    let models = model::load(&mut diags, &files).with_codes(CodeTables::load(&mut diags, &[codes]));
    let learned = diags.add_file("baselines/b.toml", BASELINES);
    let fleet = Fleet::load(&mut diags, &[learned]);
    let file = diags.add_file("rules/r.toml", rules_text);
    let program = rules::load_with(&mut diags, &[file], Arc::new(models), &fleet);
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Arc::new(program)
}

/// Devices of both models: `f/dev-0`.. and `g/dev-5`..
const DEVICES: u64 = 7;
const OF_M: u64 = 4;

fn topic(n: u64) -> String {
    format!("{}/dev-{n}", if n < OF_M { 'f' } else { 'g' })
}

/// Some devices are enrolled, in other places and with other limits; the rest are not.
pub(super) fn enrolled() -> Arc<Registry> {
    let mut list = Vec::new();
    for (n, tz) in [(0, "UTC"), (1, "Asia/Tokyo"), (4, "America/New_York"), (5, "Asia/Kathmandu")] {
        let site = if n % 2 == 0 { "north" } else { "south" };
        let attrs = [("site", site), ("marker.oil", "110"), ("fitted", "2025-12-01")];
        let mut device = device(&format!("dev-{n}"), &attrs, &[("limit", "4"), ("wait", "20s")]);
        device.model = if n < OF_M { "m" } else { "n" }.into();
        device.tz = tz.into();
        list.push(device);
    }
    Arc::new(registry(list))
}

/// One entry of a journal; times in seconds since START.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Clock(i64),
    Message { at: i64, device: DeviceId, topic: String, payload: String, retained: bool },
    Release { at: i64, device: DeviceId, rule: RuleId },
}

impl Entry {
    pub(super) fn at(&self) -> At {
        let (Self::Clock(at) | Self::Message { at, .. } | Self::Release { at, .. }) = self;
        At::from_secs(START + at)
    }

    /// The shard that it is for; `None` for all.
    pub(super) fn shard(&self) -> Option<u8> {
        match self {
            Self::Clock(_) => None,
            Self::Message { device, .. } | Self::Release { device, .. } => Some(shard_of(device.as_str())),
        }
    }

    pub(super) fn feed(&self, engine: &mut Engine, program: &Program, out: &mut Vec<Detection>) {
        match self {
            Self::Clock(_) => engine.clock(self.at(), out),
            Self::Release { device, rule, .. } => engine.release(device, rule, self.at(), out),
            Self::Message { topic, payload, retained, .. } => {
                let binding = program.models().bind(topic).expect("topic");
                // Some payloads are no messages: they must change nothing, in every run.
                let _refused = engine.message(&binding, payload.as_bytes(), self.at(), *retained, out);
            }
        }
    }
}

/// A small generator, so that a seed says everything.
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from + 1).unsigned_abs()).cast_signed()
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn one<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.index(list.len())]
    }
}

/// A device as the generator knows it.
#[derive(Default)]
struct Source {
    next: i64,
    level: i64,
    km: i64,
    ticks: i64,
    /// By how much its clock is wrong.
    skew: i64,
    /// What it could not send yet.
    kept: Vec<String>,
}

/// The journal of about 20 minutes with `seed`.
pub(super) fn journal(seed: u64) -> Vec<Entry> {
    let mut random = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let mut sources: Vec<Source> =
        (0..DEVICES).map(|n| Source { next: n.cast_signed(), ..Source::default() }).collect();
    // A steady offset, which is learned.
    sources[1].skew = 3_600;
    let (mut entries, mut now, mut healthy_again) = (Vec::new(), 0, 0);
    let mut sent: Vec<Entry> = Vec::new();
    while now < 1_300 {
        now += random.between(1, 4);
        if random.once_in(120) {
            healthy_again = now + random.between(10, 150);
        }
        if now < healthy_again {
            // Our own outage: no marks, and the broker keeps what comes.
            continue;
        }
        for (n, source) in (0..DEVICES).zip(&mut sources) {
            if source.next > now {
                continue;
            }
            let before = entries.len();
            speak(n, source, now, &mut random, &mut entries);
            sent.extend_from_slice(&entries[before..]);
        }
        if random.once_in(12) && !sent.is_empty() {
            // The broker sends something again, now.
            let again = sent[sent.len() - 1 - random.index(sent.len().min(20))].clone();
            if let Entry::Message { device, topic, payload, retained, .. } = again {
                entries.push(Entry::Message { at: now, device, topic, payload, retained });
            }
        }
        if random.once_in(40) {
            let device = DeviceId::from(format!("dev-{}", random.below(DEVICES)));
            entries.push(Entry::Release { at: now, device, rule: random.one(&["latch", "each-dtc"]).into() });
        }
        entries.push(Entry::Clock(now));
    }
    entries
}

/// One device at one instant: mostly a message; sometimes several at once, none for a while, or its last will.
fn speak(n: u64, source: &mut Source, now: i64, random: &mut Seeded, entries: &mut Vec<Entry>) {
    let device = DeviceId::from(format!("dev-{n}"));
    let mut push = |topic: String, payload: String, retained| {
        entries.push(Entry::Message { at: now, device: device.clone(), topic, payload, retained });
    };
    let name = topic(n);
    source.next = now + random.between(3, 14);
    match random.below(60) {
        0 | 1 => return source.next = now + random.between(30, 240),
        2 => {
            push(format!("{name}/status"), random.one(&["offline", "online", "what"]).into(), random.once_in(2));
            return;
        }
        // No link: it keeps what it says, and sends it later at once.
        3 => {
            let (mut te, until) = (now, now + random.between(60, 300));
            while te < until {
                let said = payload(source, Some(te), random);
                source.kept.push(said);
                te += random.between(8, 20);
            }
            source.next = until;
            return;
        }
        4 => return push(format!("{name}/t"), "{\"ts\": not json".into(), false),
        _ => {}
    }
    let te = match random.below(24) {
        0 => None,
        1 => Some(now - random.between(1, 60)),
        2 => Some(now - random.between(600, 1_000)),
        3 => Some(now + random.between(1, 200)),
        4 => Some(-START),
        _ => Some(now - random.between(0, 3)),
    };
    let fresh = payload(source, te, random);
    let fresh_first = random.once_in(2);
    let mut kept = std::mem::take(&mut source.kept);
    if random.once_in(2) {
        kept.reverse();
    }
    if fresh_first {
        push(format!("{name}/t"), fresh.clone(), false);
    }
    for old in kept {
        push(format!("{name}/t"), old, false);
    }
    if !fresh_first {
        push(format!("{name}/t"), fresh, random.once_in(10));
    }
}

fn payload(source: &mut Source, te: Option<i64>, random: &mut Seeded) -> String {
    source.level = (source.level + random.between(-3, 3)).clamp(0, 10);
    source.km += random.between(0, 3);
    source.ticks = (source.ticks + random.between(0, 4_000)) % 65_536;
    match random.below(40) {
        0 => source.km = 0,
        1 => source.km = (source.km - 1).max(0),
        2 => source.ticks = 0,
        _ => {}
    }
    let mut text = String::from("{");
    if let Some(te) = te {
        let _ = write!(text, "\"ts\":{},", START + te + source.skew);
    }
    let tenth = |n: i64| format!("{}.{}", n / 10, n % 10);
    let mut field = |name: &str, often: u64, value: String, random: &mut Seeded| {
        if random.below(10) < often {
            let _ = write!(text, "\"{name}\":{value},");
        }
    };
    let x = match random.below(30) {
        0 => "null".into(),
        1 => "\"NaN\"".into(),
        2 => "1e400".into(),
        _ => tenth(source.level * 10 + random.between(0, 9)),
    };
    let values = |random: &mut Seeded, most: u64, of: &dyn Fn(&mut Seeded) -> String| {
        let list: Vec<String> = (0..random.below(most + 1)).map(|_| of(random)).collect();
        format!("[{}]", list.join(","))
    };
    field("x", 9, x, random);
    let y = random.between(0, 10).to_string();
    field("y", 8, y, random);
    let temp = random.one(&["20", "45", "62", "-40", "999", "null", "true", "58.5"]).to_owned();
    field("temp", 6, temp, random);
    let volt = tenth(random.between(110, 140));
    field("volt", 3, volt, random);
    let on = random.one(&["true", "false", "1", "null"]).to_owned();
    field("on", 6, on, random);
    let mode = random.one(&["\"no\"", "\"ac\"", "\"no\"", "\"ac\"", "\"what\""]).to_owned();
    field("mode", 9, mode, random);
    let word = random.one(&["\"a\"", "\"b\"", "\"abc\"", "7"]).to_owned();
    field("word", 3, word, random);
    let code = random.one(&["\"e1\"", "\"e2\"", "\"e3\""]).to_owned();
    field("code", 2, code, random);
    let litres = random.between(0, 6).to_string();
    field("litres", 2, litres, random);
    field("km", 7, (100 + source.km).to_string(), random);
    field("ticks", 5, source.ticks.to_string(), random);
    let cells = values(random, 4, &|r| if r.once_in(12) { "null".into() } else { tenth(r.between(26, 40)) });
    field("cells", 6, cells, random);
    let temps = values(random, 3, &|r| r.between(10, 40).to_string());
    field("temps", 4, temps, random);
    let dtc = values(random, 3, &|r| r.one(&["\"P0301\"", "\"P0302\"", "\"P0420\"", "\"P0524\"", "\"U1\""]).into());
    field("dtc", 4, dtc, random);
    let alarm = values(random, 2, &|r| r.one(&["\"A1\"", "\"A2\"", "\"B1\""]).into());
    field("alarm", 2, alarm, random);
    let doors = values(random, 2, &|r| r.one(&["\"open\"", "\"closing\"", "\"reopening\""]).into());
    field("doors", 6, doors, random);
    let part_no = values(random, 2, &|r| r.one(&["\"new\"", "\"spare\""]).into());
    field("part_no", 2, part_no, random);
    if text.ends_with(',') {
        text.pop();
    }
    text.push('}');
    text
}
