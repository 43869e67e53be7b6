//! A shard's state as data: for checkpoints, and for carrying it over to other rules.
//!
//! The row of a device is kept item by item under names that mean the same in every version of the rules (`signal
//! coolant_temp[degC]`, `op avg(...)`, `rule coolant-overheat level major`). Loading copies what it finds by name and
//! length; what is new starts empty, what is gone is dropped, and the open episodes of rules that are gone are ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::device::{Device, Life, Sample, empty_row};
use super::emit::{episode, facts};
use super::look::Head;
use super::past::{Past, Stay};
use super::skew::Skew;
use super::{Engine, Shard, ShardClock};
use crate::domain::{At, Change, Detection, DeviceId, FaultName, Mode, RuleId};
use crate::rules::{ModelProgram, RULE_WORDS};

/// First byte of a snapshot.
const VERSION: u8 = 2;

/// Why a snapshot cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Written by another version of the program.
    #[error("the snapshot has version {found}, this program reads version {VERSION}")]
    Version {
        /// The version it has.
        found: u8,
    },
    /// Cut off, or not a snapshot.
    #[error("the snapshot cannot be read: {0}")]
    Damaged(&'static str),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ShardState {
    clock: ShardClock,
    models: Vec<ModelState>,
    devices: Vec<DeviceState>,
}

/// The layout that the rows of a model's devices have.
#[derive(Debug, Serialize, Deserialize)]
struct ModelState {
    id: String,
    /// Name and words, in order; the first are the slots.
    items: Vec<(String, u32)>,
    rules: Vec<RuleState>,
}

/// What is needed to end an episode when its rule is gone.
#[derive(Debug, Serialize, Deserialize)]
struct RuleState {
    id: RuleId,
    offset: u32,
    rev: u64,
    mode: Mode,
    fault: FaultName,
    confidence: f64,
    levels: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeviceState {
    id: DeviceId,
    model: u16,
    life: Life,
    row: Vec<u64>,
    recent: Vec<(i64, u64)>,
    texts: Vec<(u16, std::sync::Arc<str>)>,
    waiting: Vec<Sample>,
    skew: Option<Skew>,
    past: Option<Box<(DeviceState, Stay)>>,
}

impl Shard {
    /// Everything, as data. Devices in the order of their ids, so that equal states give equal bytes.
    fn save(&self, programs: &[ModelProgram]) -> ShardState {
        let mut used: Vec<u16> = self.devices.iter().map(|d| d.model).collect();
        used.sort_unstable();
        used.dedup();
        let models = used.iter().map(|m| ModelState::of(&programs[usize::from(*m)])).collect();
        let mut devices: Vec<&Device> = self.devices.iter().collect();
        devices.sort_by(|a, b| (a.model, &a.id).cmp(&(b.model, &b.id)));
        let place = |model| u16::try_from(used.iter().position(|m| *m == model).unwrap_or(0)).unwrap_or(0);
        let devices = devices.into_iter().map(|d| DeviceState::of(d, place(d.model))).collect();
        ShardState { clock: self.clock, models, devices }
    }
}

impl DeviceState {
    fn of(device: &Device, model: u16) -> Self {
        Self {
            id: device.id.clone(),
            model,
            life: device.life,
            row: device.row.to_vec(),
            recent: device.recent.iter().copied().collect(),
            texts: device.texts.clone(),
            waiting: device.waiting.clone(),
            skew: device.skew.as_deref().copied(),
            past: device.past.as_ref().map(|past| Box::new((Self::of(&past.device, model), past.stay))),
        }
    }
}

impl ModelState {
    fn of(program: &ModelProgram) -> Self {
        let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            id: program.model.id.to_string(),
            items: program.items.iter().map(|i| (i.key.clone(), word(i.words))).collect(),
            rules: program
                .rules
                .iter()
                .map(|r| RuleState {
                    id: r.id.clone(),
                    offset: word(r.offset),
                    rev: r.rev,
                    mode: r.mode,
                    fault: r.fault.clone(),
                    confidence: r.confidence,
                    levels: r.levels.iter().map(|l| l.name.clone()).collect(),
                })
                .collect(),
        }
    }

    fn words(&self) -> usize {
        self.items.iter().map(|(_, words)| *words as usize).sum()
    }
}

/// How the rows of one model are carried over.
struct Carry<'a> {
    from: &'a ModelState,
    /// The model now, unless it is gone.
    to: Option<(u16, &'a ModelProgram)>,
    /// From, to, words.
    copies: Vec<(usize, usize, usize)>,
    slots: Vec<Option<u16>>,
    /// Old rule to new rule.
    rules: Vec<Option<usize>>,
}

impl<'a> Carry<'a> {
    fn new(from: &'a ModelState, programs: &'a [ModelProgram]) -> Self {
        let found = programs.iter().position(|p| p.model.id.as_str() == from.id);
        let to = found.map(|ix| (u16::try_from(ix).unwrap_or(u16::MAX), &programs[ix]));
        let mut carry = Self { from, to, copies: Vec::new(), slots: Vec::new(), rules: Vec::new() };
        let Some((_, program)) = to else {
            carry.rules = from.rules.iter().map(|_| None).collect();
            return carry;
        };
        let by_key: BTreeMap<&str, usize> =
            program.items.iter().enumerate().map(|(i, x)| (x.key.as_str(), i)).collect();
        let mut offset = 0;
        for (key, words) in &from.items {
            let words = *words as usize;
            let target = by_key.get(key.as_str()).copied().filter(|i| program.items[*i].words == words);
            if let Some(ix) = target {
                carry.copies.push((offset, program.items[ix].offset, words));
            }
            if key.starts_with("signal ") {
                carry.slots.push(target.and_then(|ix| u16::try_from(ix).ok()));
            }
            offset += words;
        }
        carry.rules = from.rules.iter().map(|r| program.rules.iter().position(|n| n.id == r.id)).collect();
        carry
    }

    fn slot(&self, old: u16) -> Option<u16> {
        self.slots.get(usize::from(old)).copied().flatten()
    }

    fn row(&self, old: &[u64], program: &ModelProgram) -> Box<[u64]> {
        let mut row = empty_row(program);
        for (from, to, words) in &self.copies {
            row[*to..to + words].copy_from_slice(&old[*from..from + words]);
        }
        // A level is told by its place in the rule; the place may be another now.
        for (old_rule, new_rule) in self.from.rules.iter().zip(&self.rules) {
            let Some(spec) = new_rule.map(|ix| &program.rules[ix]) else { continue };
            let mut head = Head::load(&row[spec.offset..]);
            let name = usize::from(head.level).checked_sub(1).and_then(|ix| old_rule.levels.get(ix));
            if let Some(name) = name {
                let place = spec.levels.iter().position(|l| l.name == *name);
                head.level = place.map_or(u8::MAX, |ix| u8::try_from(ix + 1).unwrap_or(u8::MAX));
                head.store(&mut row[spec.offset..spec.offset + RULE_WORDS]);
            }
        }
        row
    }
}

impl Engine {
    /// The state of a shard: version byte and postcard. Equal states give equal bytes.
    #[must_use]
    pub fn snapshot(&self, shard: u8) -> Vec<u8> {
        let state = self.shards[usize::from(shard)].save(&self.program.models);
        // Serialising plain data into memory has nothing to fail on.
        postcard::to_extend(&state, vec![VERSION]).unwrap_or_default()
    }

    /// Loads what [`Self::snapshot`] gave, also if it was given under other rules: what is the same in both is found
    /// again by name. Open episodes of rules that are gone are ended with the next message or clock mark.
    pub fn restore(&mut self, shard: u8, bytes: &[u8]) -> Result<(), Error> {
        let Some((version, body)) = bytes.split_first() else { return Err(Error::Damaged("it is empty")) };
        if *version != VERSION {
            return Err(Error::Version { found: *version });
        }
        let state: ShardState = postcard::from_bytes(body).map_err(|_| Error::Damaged("it is cut off or damaged"))?;
        self.load(shard, state)
    }

    pub(super) fn save(&self, shard: u8) -> ShardState {
        self.shards[usize::from(shard)].save(&self.program.models)
    }

    pub(super) fn load(&mut self, shard: u8, state: ShardState) -> Result<(), Error> {
        let program = self.program.clone();
        let mut fresh = Shard::new(program.models.len());
        fresh.clock = state.clock;
        let carries: Vec<Carry<'_>> = state.models.iter().map(|m| Carry::new(m, &program.models)).collect();
        let mut ended = Vec::new();
        for old in state.devices {
            let carry = carries.get(usize::from(old.model)).ok_or(Error::Damaged("a device has no model"))?;
            if old.row.len() != carry.from.words() {
                return Err(Error::Damaged("a device has another layout than its model"));
            }
            let (row, id, life) = (old.row.clone(), old.id.clone(), old.life);
            let device = carry.to.map(|(model, p)| self.carry_device(carry, model, p, old));
            for (from, to) in carry.from.rules.iter().zip(&carry.rules) {
                let kept = to.zip(device.as_ref()).is_some_and(|(ix, d)| d.profile.enabled[ix]);
                let head = row.get(from.offset as usize..).filter(|w| w.len() >= RULE_WORDS).map(Head::load);
                if let Some(head) = head.filter(|h| h.level != 0 && !kept) {
                    let facts = device.as_ref().zip(carry.to).map(|(d, (_, p))| facts(d, p));
                    ended.push(removed(from, &id, head, life, facts.unwrap_or_default()));
                }
            }
            if let Some(mut device) = device {
                let (_, p) = carry.to.ok_or(Error::Damaged("a device has no model"))?;
                clear_disabled(&mut device, p);
                fresh.insert(device, p);
            }
        }
        self.pending.append(&mut ended);
        self.shards[usize::from(shard)] = fresh;
        Ok(())
    }

    fn carry_device(&mut self, carry: &Carry<'_>, model: u16, program: &ModelProgram, old: DeviceState) -> Device {
        let profile = self.profiles[usize::from(model)].of(program, self.registry.devices.get(&old.id));
        let mut device = Device::new(old.id, model, profile, program, old.life.heard);
        device.row = carry.row(&old.row, program);
        device.life = old.life;
        device.recent = old.recent.into();
        device.texts = old.texts.into_iter().filter_map(|(s, t)| Some((carry.slot(s)?, t))).collect();
        device.waiting = old.waiting;
        for sample in &mut device.waiting {
            sample.values = sample.values.iter().filter_map(|(s, v)| Some((carry.slot(*s)?, *v))).collect();
            sample.texts = sample.texts.iter().filter_map(|(s, t)| Some((carry.slot(*s)?, t.clone()))).collect();
        }
        if program.model.learn_skew {
            device.skew = old.skew.map(Box::new).or(device.skew);
        }
        device.past = old.past.filter(|past| past.0.row.len() == carry.from.words()).map(|past| {
            let (state, stay) = *past;
            let mut device = self.carry_device(carry, model, program, state);
            clear_disabled(&mut device, program);
            Box::new(Past { device, stay })
        });
        device.rearm(program);
        device
    }
}

/// A rule that no longer watches the device forgets it.
fn clear_disabled(device: &mut Device, program: &ModelProgram) {
    for (ix, rule) in program.rules.iter().enumerate() {
        if !device.profile.enabled[ix] {
            let words = RULE_WORDS + rule.levels.len() * crate::rules::LEVEL_WORDS;
            device.row[rule.offset..rule.offset + words].fill(0);
            if let Some(bars) = &rule.bars {
                device.row[bars.offset..bars.offset + bars.words()].fill(0);
            }
        }
    }
}

fn removed(
    rule: &RuleState,
    device: &DeviceId,
    head: Head,
    life: Life,
    facts: BTreeMap<String, crate::domain::Value>,
) -> Detection {
    Detection {
        episode: episode(rule.id.as_str(), device.as_str(), head.started_at),
        seq: head.seq.saturating_add(1),
        rule: rule.id.clone(),
        rule_rev: rule.rev,
        mode: rule.mode,
        fault: rule.fault.clone(),
        device: device.clone(),
        component: None,
        change: Change::RuleRemoved,
        level: None,
        confidence: rule.confidence,
        title: format!("rule '{}' no longer watches this device", rule.id),
        evidence: Vec::new(),
        facts,
        started_at: At::from_micros(head.started_at),
        event_at: At::from_micros(life.clock),
        received_at: At::from_micros(life.received_at),
        historical: false,
        late_by: None,
        latched: head.latched,
    }
}
