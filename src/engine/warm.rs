//! State refilled from the past.
//!
//! After a reload, what is new in the rows of devices knows nothing: a window of a day would be unknown for a day. An
//! engine that has run the new rules over the messages that were kept knows better, and what is new takes over what it
//! has. What was kept over the reload stays as it is. Levels begin with the present: nothing is raised, held or
//! confirmed by the past.
//!
//! The past is read by the clocks that the devices are known to have: it would be out of step with what was kept if their
//! offsets had to be learned once more.

use std::ops::Range;
use std::sync::Arc;

use super::Engine;
use super::device::{Device, Sample};
use super::part::{Part, empty_row, keep_text};
use crate::rules::ModelProgram;

/// What is new of a model's devices.
#[derive(Debug, Clone)]
pub(super) struct Cold {
    /// In their rows, by lane.
    pub(super) lanes: Vec<ColdLane>,
    /// The offsets of their clocks, which nobody asked for before.
    pub(super) skew: bool,
}

/// What is new in the rows of a lane.
#[derive(Debug, Clone)]
pub(super) struct ColdLane {
    /// Its parts were not followed before.
    pub(super) is_new: bool,
    /// Words of signals and operators.
    pub(super) words: Vec<Range<usize>>,
}

impl Cold {
    pub(super) fn is_empty(&self) -> bool {
        !self.skew && self.lanes.iter().all(|lane| lane.words.is_empty())
    }

    fn is_cold(&self, program: &ModelProgram, slot: u16) -> bool {
        let slot = &program.slots[usize::from(slot)];
        self.lanes[usize::from(slot.lane)].words.iter().any(|words| words.contains(&slot.offset))
    }
}

impl Engine {
    /// An engine with the same rules, for the same devices, that has seen nothing of them, and knows how wrong their clocks
    /// are.
    #[must_use]
    pub fn anew(&self) -> Self {
        let mut anew = Self::new(self.program.clone(), self.registry.clone()).with(self.settings);
        for (shard, known) in anew.shards.iter_mut().zip(&self.shards) {
            for device in &known.devices {
                let skew = device.aside.as_ref().and_then(|a| a.skew).filter(|skew| skew.offset != 0);
                let spec = &self.program.models[usize::from(device.model)];
                if let Some(skew) = skew {
                    let mut blank = Device::new(device.id.clone(), device.model, device.profile.clone(), spec, 0);
                    blank.aside.get_or_insert_default().skew = Some(skew);
                    shard.insert(blank, spec);
                }
            }
        }
        anew
    }

    /// The shards of which something is followed that was not when their state was kept: it begins empty, unless
    /// [`Self::refill`] fills it.
    #[must_use]
    pub fn cold(&self) -> Vec<u8> {
        (0..=u8::MAX).zip(&self.cold).filter(|(_, models)| !models.is_empty()).map(|(shard, _)| shard).collect()
    }

    /// Refills what is new in a shard from `past`: an engine with the same rules, which has seen the messages up to where
    /// the shard stands. Devices that are not known here are left out. Detects nothing.
    pub fn refill(&mut self, shard: u8, past: &Self) {
        debug_assert!(Arc::ptr_eq(&self.program, &past.program), "other rules have other rows");
        let program = self.program.clone();
        let models = std::mem::take(&mut self.cold[usize::from(shard)]);
        let (shard, before) = (&mut self.shards[usize::from(shard)], &past.shards[usize::from(shard)]);
        for ix in 0..shard.devices.len() {
            let device = &mut shard.devices[ix];
            let spec = &program.models[usize::from(device.model)];
            let known = before.index[usize::from(device.model)].get(&device.id);
            if let Some((cold, from)) = models.get(&device.model).zip(known) {
                device.refill(&before.devices[*from as usize], cold, spec);
                device.rearm(spec);
                shard.schedule(ix, spec);
            }
        }
        shard.changed = true;
    }
}

impl Device {
    fn refill(&mut self, from: &Self, cold: &Cold, program: &ModelProgram) {
        copy(&mut self.row, &from.row, &cold.lanes[0].words);
        take_texts(&mut self.texts, &from.texts, cold, program);
        for part in &from.parts.0 {
            let lane = &cold.lanes[usize::from(part.lane)];
            let ix = match self.parts.find(part.lane, &part.key) {
                Ok(ix) => ix,
                Err(ix) if lane.is_new => {
                    let row = empty_row(program, part.lane);
                    self.parts.0.insert(ix, Part { row, texts: Vec::new(), ..part.clone() });
                    ix
                }
                Err(_) => continue,
            };
            let own = &mut self.parts.0[ix];
            copy(&mut own.row, &part.row, &lane.words);
            take_texts(&mut own.texts, &part.texts, cold, program);
        }
        for sample in &mut self.waiting {
            let same = |s: &&Sample| (s.at, s.received_at) == (sample.at, sample.received_at);
            if let Some(same) = from.waiting.iter().find(same) {
                // The same message, with the signals that nobody read then.
                *sample = Sample { healthy: sample.healthy, ..same.clone() };
            }
        }
        let Some((own, from)) = self.aside.as_mut().zip(from.aside.as_ref()) else { return };
        if cold.skew {
            own.skew = from.skew;
        }
        if let Some((own, past)) = own.past.as_mut().zip(from.past.as_ref()) {
            own.device.refill(&past.device, cold, program);
        }
    }
}

fn copy(to: &mut [u64], from: &[u64], words: &[Range<usize>]) {
    words.iter().for_each(|words| to[words.clone()].copy_from_slice(&from[words.clone()]));
}

fn take_texts(to: &mut Vec<(u16, Arc<str>)>, from: &[(u16, Arc<str>)], cold: &Cold, program: &ModelProgram) {
    let fresh = from.iter().filter(|(slot, _)| cold.is_cold(program, *slot));
    fresh.for_each(|(slot, text)| keep_text(to, *slot, text));
}
