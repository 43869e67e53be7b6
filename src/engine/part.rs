//! The parts of a device: the elements of its lists, each with a row of state of its own.
//!
//! A list in a message replaces the list before: what it does not name has no value from then on. A part comes to be
//! with its first value, and stays.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::look::Head;
use super::ops::word;
use crate::domain::Component;
use crate::model::MAX_ELEMENTS;
use crate::rules::ModelProgram;

/// Most codes of one signal that are followed on a device.
const MAX_CODES: usize = 256;

/// What tells the parts of one kind apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Key {
    /// Its place in the list.
    Index(u16),
    /// A code.
    Code(Arc<str>),
}

impl Key {
    /// What people call it: `cell[3]`.
    pub(super) fn component(&self, lane: &str) -> Component {
        match self {
            Self::Index(ix) => Component::from(format!("{lane}[{ix}]")),
            Self::Code(code) => Component::from(&**code),
        }
    }

    /// By choice of codes: whether it is one of them.
    pub(super) fn chosen(&self, program: &ModelProgram) -> Box<[bool]> {
        match self {
            Self::Index(_) => Box::default(),
            Self::Code(code) => program.sels.iter().map(|sel| sel.takes(code, &program.codes)).collect(),
        }
    }

    /// Its place among others, where that is asked for.
    pub(super) fn index(&self) -> u16 {
        match self {
            Self::Index(ix) => *ix,
            Self::Code(_) => 0,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(ix) => write!(f, "{ix}"),
            Self::Code(code) => f.write_str(code),
        }
    }
}

/// What a message says of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PartValue {
    pub(super) slot: u16,
    pub(super) key: Key,
    pub(super) value: f64,
    pub(super) text: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) lane: u16,
    pub(super) key: Key,
    pub(super) row: Box<[u64]>,
    /// See [`Key::chosen`]; worked out anew when it is loaded.
    #[serde(skip)]
    pub(super) chosen: Box<[bool]>,
    /// Slot and text of slots that keep theirs.
    pub(super) texts: Vec<(u16, Arc<str>)>,
}

/// The parts of one device, by lane and key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Parts(pub(super) Vec<Part>);

impl Parts {
    /// Where the parts of `lane` are.
    pub(super) fn range(&self, lane: u16) -> Range<usize> {
        if self.0.is_empty() {
            return 0..0;
        }
        self.0.partition_point(|p| p.lane < lane)..self.0.partition_point(|p| p.lane <= lane)
    }

    pub(super) fn find(&self, lane: u16, key: &Key) -> Result<usize, usize> {
        self.0.binary_search_by(|p| (p.lane, &p.key).cmp(&(lane, key)))
    }

    /// Works in the lists of a sample: slots whose list it has, and what it says of their parts. Returns how many parts
    /// found no room.
    pub(super) fn keep(&mut self, program: &ModelProgram, lists: &[(u16, f64)], values: &[PartValue], at: i64) -> u32 {
        for (slot, absent) in lists {
            let spec = &program.slots[usize::from(*slot)];
            let range = self.range(spec.lane);
            for part in &mut self.0[range] {
                part.row[spec.offset] = absent.to_bits();
                // Of what is missing nothing was said; what is gone was said to be.
                if !absent.is_nan() {
                    part.row[spec.offset + 1] = word(at);
                }
            }
        }
        let mut refused = 0;
        for said in values {
            let lane = program.slots[usize::from(said.slot)].lane;
            match self.find_or_add(program, lane, said) {
                Some(part) => part.set(program, said, at),
                None => refused += u32::from(!said.value.is_nan()),
            }
        }
        refused
    }

    /// As [`Self::keep`], but only what has never been said.
    pub(super) fn fill(&mut self, program: &ModelProgram, values: &[PartValue], at: i64) {
        for said in values {
            let spec = &program.slots[usize::from(said.slot)];
            let part = self.find_or_add(program, spec.lane, said);
            if let Some(part) = part.filter(|p| p.row[spec.offset + 1] == 0) {
                part.set(program, said, at);
            }
        }
    }

    /// Makes room for one more part. The code that has been cleared for longest gives way, unless a rule still has an
    /// episode of it.
    fn has_room(&mut self, program: &ModelProgram, lane: u16) -> bool {
        let range = self.range(lane);
        let codes = program.slots.iter().find(|s| s.lane == lane && s.list.is_some());
        let most = if codes.is_some() { MAX_CODES } else { MAX_ELEMENTS };
        if range.len() < most {
            return true;
        }
        let Some(spec) = codes else { return false };
        let rules = || program.rules.iter().filter(|r| r.lane == lane);
        let idle = |p: &Part| p.row[spec.offset] == 0 && rules().all(|r| Head::load(&p.row[r.offset..]).level == 0);
        let oldest = range.filter(|ix| idle(&self.0[*ix])).min_by_key(|ix| self.0[*ix].row[spec.offset + 1]);
        oldest.map(|ix| self.0.remove(ix)).is_some()
    }

    /// A part that nothing is known of is not begun.
    fn find_or_add(&mut self, program: &ModelProgram, lane: u16, said: &PartValue) -> Option<&mut Part> {
        let ix = match self.find(lane, &said.key) {
            Ok(ix) => ix,
            Err(_) if said.value.is_nan() || !self.has_room(program, lane) => return None,
            Err(_) => {
                let ix = self.find(lane, &said.key).unwrap_or_else(|ix| ix);
                let (row, chosen) = (empty_row(program, lane), said.key.chosen(program));
                self.0.insert(ix, Part { lane, key: said.key.clone(), row, chosen, texts: Vec::new() });
                ix
            }
        };
        Some(&mut self.0[ix])
    }
}

impl Part {
    fn set(&mut self, program: &ModelProgram, said: &PartValue, at: i64) {
        let offset = program.slots[usize::from(said.slot)].offset;
        self.row[offset] = said.value.to_bits();
        self.row[offset + 1] = word(at);
        if let Some(text) = &said.text {
            keep_text(&mut self.texts, said.slot, text);
        }
    }
}

/// Keeps the newest text of a slot.
pub(super) fn keep_text(texts: &mut Vec<(u16, Arc<str>)>, slot: u16, text: &Arc<str>) {
    match texts.iter_mut().find(|(s, _)| *s == slot) {
        Some(kept) => kept.1 = text.clone(),
        None => texts.push((slot, text.clone())),
    }
}

/// A row that has seen nothing.
pub(super) fn empty_row(program: &ModelProgram, lane: u16) -> Box<[u64]> {
    let mut row = vec![0; program.lanes[usize::from(lane)].words].into_boxed_slice();
    for slot in program.slots.iter().filter(|s| s.lane == lane) {
        row[slot.offset] = f64::NAN.to_bits();
    }
    row
}
