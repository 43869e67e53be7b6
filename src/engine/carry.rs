//! State that was saved, under the rules of now: what has the same name is the same.

use std::collections::BTreeMap;
use std::ops::Range;

use super::device::{Device, Life, Sample};
use super::emit::{episode, facts};
use super::look::Head;
use super::part::{Part, Parts, empty_row};
use super::past::Past;
use super::state::{DeviceState, Error, ModelState, RuleState, ShardState};
use super::warm::{Cold, ColdLane};
use super::{Engine, Shard};
use crate::domain::{At, Change, Component, Detection, DeviceId, Value};
use crate::rules::{Item, LEVEL_WORDS, ModelProgram, RULE_WORDS};

/// How the rows of one model are carried over.
struct Carry<'a> {
    from: &'a ModelState,
    /// The model now, unless it is gone.
    to: Option<(u16, &'a ModelProgram)>,
    /// By old lane; `None` for a kind of part that nobody follows any more.
    lanes: Vec<Option<LaneCarry>>,
    /// By old slot.
    slots: Vec<Option<u16>>,
    /// Old rule to new rule.
    rules: Vec<Option<usize>>,
}

struct LaneCarry {
    /// The lane now.
    to: u16,
    /// From, to, words.
    copies: Vec<(usize, usize, usize)>,
    /// What is new in it.
    fresh: Vec<Range<usize>>,
}

impl<'a> Carry<'a> {
    fn new(from: &'a ModelState, programs: &'a [ModelProgram]) -> Self {
        let found = programs.iter().position(|p| p.model.id.as_str() == from.id);
        let to = found.map(|ix| (u16::try_from(ix).unwrap_or(u16::MAX), &programs[ix]));
        let Some((_, program)) = to else {
            let gone = |n: usize| (0..n).map(|_| None).collect();
            let rules = from.rules.iter().map(|_| None).collect();
            return Self { from, to, lanes: (0..from.lanes.len()).map(|_| None).collect(), slots: gone(0), rules };
        };
        let lanes: Vec<Option<LaneCarry>> = from.lanes.iter().map(|l| LaneCarry::new(l, program)).collect();
        let slot = |(lane, key): &(u16, String)| {
            let to = lanes.get(usize::from(*lane))?.as_ref()?.to;
            let item = program.lanes[usize::from(to)].items.iter().find(|i| i.key == *key)?;
            let ix = program.slots.iter().position(|s| s.lane == to && s.offset == item.offset)?;
            u16::try_from(ix).ok()
        };
        let slots = from.slots.iter().map(slot).collect();
        // A rule that now watches something else is another rule.
        let same = |r: &RuleState| {
            let lane = lanes.get(usize::from(r.lane))?.as_ref()?.to;
            program.rules.iter().position(|n| n.id == r.id && n.lane == lane)
        };
        let rules = from.rules.iter().map(same).collect();
        Self { from, to, lanes, slots, rules }
    }

    fn slot(&self, old: u16) -> Option<u16> {
        self.slots.get(usize::from(old)).copied().flatten()
    }

    /// What is new in the rows of the model.
    fn cold(&self) -> Option<(u16, Cold)> {
        let (model, program) = self.to?;
        let carried = |lane: usize| self.lanes.iter().flatten().find(|l| usize::from(l.to) == lane);
        let lanes = program.lanes.iter().enumerate().map(|(ix, lane)| match carried(ix) {
            Some(carry) => ColdLane { is_new: false, words: carry.fresh.clone() },
            None => ColdLane { is_new: true, words: fresh(lane.items.iter()) },
        });
        let cold = Cold { lanes: lanes.collect(), skew: program.model.learn_skew && !self.from.learn_skew };
        (!cold.is_empty()).then_some((model, cold))
    }

    /// The row in the layout of now.
    fn row(&self, lane: u16, old: &[u64], program: &ModelProgram) -> Option<(u16, Box<[u64]>)> {
        let carry = self.lanes[usize::from(lane)].as_ref()?;
        let mut row = empty_row(program, carry.to);
        for (from, to, words) in &carry.copies {
            row[*to..to + words].copy_from_slice(&old[*from..from + words]);
        }
        // A level is told by its place in the rule; the place may be another now.
        for (old_rule, new_rule) in self.from.rules.iter().zip(&self.rules).filter(|(r, _)| r.lane == lane) {
            let Some(spec) = new_rule.map(|ix| &program.rules[ix]) else { continue };
            let mut head = Head::load(&row[spec.offset..]);
            let name = usize::from(head.level).checked_sub(1).and_then(|ix| old_rule.levels.get(ix));
            if let Some(name) = name {
                let place = spec.levels.iter().position(|l| l.name == *name);
                head.level = place.map_or(u8::MAX, |ix| u8::try_from(ix + 1).unwrap_or(u8::MAX));
                head.store(&mut row[spec.offset..spec.offset + RULE_WORDS]);
            }
        }
        Some((carry.to, row))
    }

    fn parts(&self, old: &Parts, program: &ModelProgram) -> Parts {
        let carried = old.0.iter().filter_map(|part| {
            let (lane, row) = self.row(part.lane, &part.row, program)?;
            let texts = part.texts.iter().filter_map(|(s, t)| Some((self.slot(*s)?, t.clone()))).collect();
            let chosen = part.key.chosen(program);
            Some(Part { lane, key: part.key.clone(), row, chosen, texts })
        });
        let mut parts = Parts(carried.collect());
        parts.0.sort_by(|a, b| (a.lane, &a.key).cmp(&(b.lane, &b.key)));
        parts
    }

    fn sample(&self, old: &Sample) -> Sample {
        let mut sample = old.clone();
        sample.values = old.values.iter().filter_map(|(s, v)| Some((self.slot(*s)?, *v))).collect();
        sample.texts = old.texts.iter().filter_map(|(s, t)| Some((self.slot(*s)?, t.clone()))).collect();
        sample.lists = old.lists.iter().filter_map(|(s, v)| Some((self.slot(*s)?, *v))).collect();
        sample.parts.retain_mut(|said| match self.slot(said.slot) {
            Some(slot) => {
                said.slot = slot;
                true
            }
            None => false,
        });
        sample
    }

    /// Whether rows have the length that the layout says.
    fn fits(&self, device: &DeviceState) -> bool {
        let words = |lane: usize| self.from.lanes.get(lane).map(super::state::LaneState::words);
        words(0) == Some(device.row.len())
            && device.parts.0.iter().all(|p| words(usize::from(p.lane)) == Some(p.row.len()))
    }

    /// Episodes that were open under rules that no longer watch the device.
    fn ended(&self, old: &DeviceState, now: Option<&Device>) -> Vec<Detection> {
        let mut ended = Vec::new();
        for (from, to) in self.from.rules.iter().zip(&self.rules) {
            if to.zip(now).is_some_and(|(ix, d)| d.profile.enabled[ix]) {
                continue;
            }
            let own = (from.lane == 0).then_some((None, &old.row[..])).into_iter();
            let lane = |p: &Part| p.key.component(&self.from.lanes[usize::from(p.lane)].name);
            let parts = old.parts.0.iter().filter(|p| p.lane == from.lane && from.lane != 0);
            for (component, row) in own.chain(parts.map(|p| (Some(lane(p)), &*p.row))) {
                let head = row.get(from.offset as usize..).filter(|w| w.len() >= RULE_WORDS).map(Head::load);
                if let Some(head) = head.filter(|h| h.level != 0) {
                    let facts = now.zip(self.to).map(|(d, (_, p))| facts(d, p));
                    ended.push(removed(from, &old.id, component, head, old.life, facts.unwrap_or_default()));
                }
            }
        }
        ended
    }
}

impl LaneCarry {
    fn new(from: &super::state::LaneState, program: &ModelProgram) -> Option<Self> {
        let to = program.lanes.iter().position(|l| *l.name == *from.name && l.codes == from.codes)?;
        let items = &program.lanes[to].items;
        let by_key: BTreeMap<&str, usize> = items.iter().enumerate().map(|(i, x)| (x.key.as_str(), i)).collect();
        let (mut copies, mut offset) = (Vec::new(), 0);
        let mut kept = vec![false; items.len()];
        for (key, words) in &from.items {
            let words = *words as usize;
            if let Some(ix) = by_key.get(key.as_str()).filter(|i| items[**i].words == words) {
                copies.push((offset, items[*ix].offset, words));
                kept[*ix] = true;
            }
            offset += words;
        }
        let fresh = fresh(items.iter().zip(kept).filter(|(_, kept)| !kept).map(|(item, _)| item));
        Some(Self { to: u16::try_from(to).ok()?, copies, fresh })
    }
}

/// The words of those of `items` that can be refilled from the past.
fn fresh<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<Range<usize>> {
    items.filter(|item| !item.is_of_rule()).map(|item| item.offset..item.offset + item.words).collect()
}

impl Engine {
    pub(super) fn load(&mut self, shard: u8, state: ShardState) -> Result<(), Error> {
        let program = self.program.clone();
        let mut fresh = Shard::new(program.models.len());
        fresh.clock = state.clock;
        fresh.nodes = state.nodes;
        fresh.nodes.retain(|(model, _), _| program.models.iter().any(|p| p.model.id == *model));
        let carries: Vec<Carry<'_>> = state.models.iter().map(|m| Carry::new(m, &program.models)).collect();
        let mut ended = Vec::new();
        for old in state.devices {
            let carry = carries.get(usize::from(old.model)).ok_or(Error::Damaged("a device has no model"))?;
            if !carry.fits(&old) {
                return Err(Error::Damaged("a device has another layout than its model"));
            }
            let device = carry.to.map(|(model, p)| (self.carry_device(carry, model, p, &old), p));
            ended.append(&mut carry.ended(&old, device.as_ref().map(|(d, _)| d)));
            if let Some((mut device, p)) = device {
                clear_disabled(&mut device, p);
                fresh.insert(device, p);
            }
        }
        self.pending.append(&mut ended);
        self.cold[usize::from(shard)] = carries.iter().filter_map(Carry::cold).collect();
        self.shards[usize::from(shard)] = fresh;
        Ok(())
    }

    fn carry_device(&mut self, carry: &Carry<'_>, model: u16, program: &ModelProgram, old: &DeviceState) -> Device {
        let profile = self.profiles[usize::from(model)].of(program, self.registry.devices.get(&old.id));
        let mut device = Device::new(old.id.clone(), model, profile, program, old.life.heard);
        if let Some((_, row)) = carry.row(0, &old.row, program) {
            device.row = row;
        }
        device.parts = carry.parts(&old.parts, program);
        device.life = old.life;
        device.recent = old.recent.iter().copied().collect();
        device.texts = old.texts.iter().filter_map(|(s, t)| Some((carry.slot(*s)?, t.clone()))).collect();
        device.waiting = old.waiting.iter().map(|sample| carry.sample(sample)).collect();
        let past = old.past.as_deref().filter(|past| carry.fits(&past.0)).map(|(state, stay)| {
            let mut device = self.carry_device(carry, model, program, state);
            clear_disabled(&mut device, program);
            device.aside = None;
            Past { device, stay: *stay }
        });
        if past.is_some() {
            device.aside.get_or_insert_default().past = past;
        }
        if old.ahead.count > 0 {
            device.aside.get_or_insert_default().ahead = old.ahead;
        }
        if let Some(aside) = &mut device.aside {
            aside.skew = aside.skew.map(|new| old.skew.unwrap_or(new));
            aside.steady = old.steady;
        }
        device.rearm(program);
        device
    }
}

/// A rule that no longer watches the device forgets it.
fn clear_disabled(device: &mut Device, program: &ModelProgram) {
    for (ix, rule) in program.rules.iter().enumerate() {
        if !device.profile.enabled[ix] {
            let words = rule.offset..rule.offset + RULE_WORDS + rule.levels.len() * LEVEL_WORDS;
            let bars = rule.bars.as_ref().map_or(0..0, |b| b.offset..b.offset + b.words());
            for part in device.seats(rule.lane) {
                device.row_mut(part)[words.clone()].fill(0);
                device.row_mut(part)[bars.clone()].fill(0);
            }
        }
    }
}

fn removed(
    rule: &RuleState,
    device: &DeviceId,
    component: Option<Component>,
    head: Head,
    life: Life,
    facts: BTreeMap<String, Value>,
) -> Detection {
    Detection {
        episode: episode(rule.id.as_str(), device.as_str(), component.as_ref(), head.started_at),
        seq: head.seq.saturating_add(1),
        rule: rule.id.clone(),
        rule_rev: rule.rev,
        mode: rule.mode,
        fault: rule.fault.clone(),
        device: device.clone(),
        component,
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
        series: None,
        latched: head.latched,
    }
}
