//! A shard's state as data: for checkpoints, and for carrying it over to other rules.
//!
//! The rows of a device and its parts are kept item by item under names that mean the same in every version of the
//! rules (`signal coolant_temp[degC]`, `op avg(...)`, `rule coolant-overheat level major`). Loading copies what it
//! finds by name and length; what is new starts empty, what is gone is dropped, and the open episodes of rules that are gone are ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::device::{Device, Life, Sample};
use super::part::Parts;
use super::past::Stay;
use super::skew::{Ahead, Skew};
use super::{Engine, Shard, ShardClock};
use crate::decode::sparkplug::Node;
use crate::domain::{DeviceId, FaultName, Mode, ModelId, RuleId};
use crate::rules::{ModelProgram, Slot};

/// First byte of a snapshot.
const VERSION: u8 = 7;

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
    pub(super) clock: ShardClock,
    pub(super) models: Vec<ModelState>,
    pub(super) devices: Vec<DeviceState>,
    /// Sparkplug edge nodes, by model and `group/edge`.
    pub(super) nodes: BTreeMap<(ModelId, String), Node>,
}

/// The layout that the rows of a model's devices have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ModelState {
    pub(super) id: String,
    /// The clocks of its devices are learned.
    pub(super) learn_skew: bool,
    pub(super) lanes: Vec<LaneState>,
    /// Lane and item of each slot, in order.
    pub(super) slots: Vec<(u16, String)>,
    pub(super) rules: Vec<RuleState>,
}

/// The layout of the rows of one lane.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LaneState {
    pub(super) name: String,
    pub(super) codes: bool,
    /// Name and words, in order.
    pub(super) items: Vec<(String, u32)>,
}

impl LaneState {
    pub(super) fn words(&self) -> usize {
        self.items.iter().map(|(_, words)| *words as usize).sum()
    }
}

/// What is needed to end an episode when its rule is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RuleState {
    pub(super) id: RuleId,
    pub(super) lane: u16,
    pub(super) offset: u32,
    pub(super) rev: u64,
    pub(super) mode: Mode,
    pub(super) fault: FaultName,
    pub(super) confidence: f64,
    pub(super) levels: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DeviceState {
    pub(super) id: DeviceId,
    pub(super) model: u16,
    pub(super) life: Life,
    pub(super) row: Vec<u64>,
    pub(super) parts: Parts,
    pub(super) recent: Vec<(i64, u64)>,
    pub(super) texts: Vec<(u16, std::sync::Arc<str>)>,
    pub(super) waiting: Vec<Sample>,
    pub(super) skew: Option<Skew>,
    pub(super) ahead: Ahead,
    pub(super) past: Option<Box<(Self, Stay)>>,
    pub(super) steady: i64,
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
        ShardState { clock: self.clock, models, devices, nodes: self.nodes.clone() }
    }
}

impl DeviceState {
    fn of(device: &Device, model: u16) -> Self {
        let aside = device.aside.as_deref();
        Self {
            id: device.id.clone(),
            model,
            life: device.life,
            row: device.row.to_vec(),
            parts: device.parts.clone(),
            recent: device.recent.iter().copied().collect(),
            texts: device.texts.clone(),
            waiting: device.waiting.clone(),
            skew: aside.and_then(|a| a.skew),
            ahead: aside.map_or_else(Ahead::default, |a| a.ahead),
            past: aside.and_then(|a| a.past.as_ref()).map(|past| Box::new((Self::of(&past.device, model), past.stay))),
            steady: aside.map_or(0, |a| a.steady),
        }
    }
}

impl ModelState {
    fn of(program: &ModelProgram) -> Self {
        let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            id: program.model.id.to_string(),
            learn_skew: program.model.learn_skew,
            lanes: program
                .lanes
                .iter()
                .map(|lane| LaneState {
                    name: lane.name.to_string(),
                    codes: lane.codes,
                    items: lane.items.iter().map(|i| (i.key.clone(), word(i.words))).collect(),
                })
                .collect(),
            slots: program.slots.iter().map(|slot| (slot.lane, key_of(program, slot))).collect(),
            rules: program
                .rules
                .iter()
                .map(|r| RuleState {
                    id: r.id.clone(),
                    lane: r.lane,
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
}

/// The name of the item of a slot.
fn key_of(program: &ModelProgram, slot: &Slot) -> String {
    let items = &program.lanes[usize::from(slot.lane)].items;
    items.iter().find(|i| i.offset == slot.offset).map_or_else(String::new, |i| i.key.clone())
}

impl Engine {
    /// The state of a shard: version byte and postcard. Equal states give equal bytes.
    #[must_use]
    pub fn snapshot(&self, shard: u8) -> Vec<u8> {
        let state = self.shards[usize::from(shard)].save(&self.program.models);
        // Serialising plain data into memory has nothing to fail on.
        postcard::to_extend(&state, vec![VERSION]).unwrap_or_default()
    }

    /// Whether more of the shard has changed since [`Self::saved`] than its clock.
    #[must_use]
    pub fn changed(&self, shard: u8) -> bool {
        self.shards[usize::from(shard)].changed
    }

    /// The last [`Self::snapshot`] of the shard is kept: until it changes, that and the clock are all there is to know.
    pub fn saved(&mut self, shard: u8) {
        self.shards[usize::from(shard)].changed = false;
    }

    /// The clock of a shard: the part of its state that moves on when nothing happens.
    #[must_use]
    pub fn shard_clock(&self, shard: u8) -> ShardClock {
        self.shards[usize::from(shard)].clock
    }

    /// Sets the clock of a shard to where it stood when nothing else had changed.
    pub fn set_shard_clock(&mut self, shard: u8, clock: ShardClock) {
        self.shards[usize::from(shard)].clock = clock;
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
}
