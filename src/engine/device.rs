//! One device: its row of state, its clock, and what a sample or a timer does to it.

use std::collections::VecDeque;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::fold::Memo;
use super::level::Phase;
use super::look::bits;
use super::ops::{self, Op, word};
use super::part::{PartValue, Parts, empty_row, keep_text};
use super::past::Past;
use super::profile::Profile;
use super::skew::{Ahead, Skew};
use super::trace::Turn;
use super::vm::{Stack, View, run};
use crate::domain::{Component, Detection, DeviceId};
use crate::rules::{Family, LEVEL_WORDS, MAX_STACK, ModelProgram, OpSpec, RULE_WORDS, RuleProgram};

/// Most samples that wait to be put in order (T2).
const MAX_WAITING: usize = 64;
/// So many hashes of recent messages are kept at least …
const MIN_RECENT: usize = 4;
/// … and at most, …
const MAX_RECENT: usize = 1_024;
/// … those of the last seconds in between: what a broker has in flight when a connection breaks.
const RECENT_US: i64 = 5_000_000;

/// A message reduced to what the rules of its model read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Device time.
    pub(super) at: i64,
    pub(super) received_at: i64,
    /// Healthy time of the shard on arrival.
    pub(super) healthy: i64,
    pub(super) historical: bool,
    /// Slot and value.
    pub(super) values: Vec<(u16, f64)>,
    /// Slots of which there is a whole list, with the value of what is not in it.
    pub(super) lists: Vec<(u16, f64)>,
    pub(super) parts: Vec<PartValue>,
    /// Slot and text of slots that keep theirs.
    pub(super) texts: Vec<(u16, Arc<str>)>,
}

/// The state of a device. Times are microseconds; `i64::MIN` is never, `i64::MAX` is none to come.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) model: u16,
    pub(super) profile: Arc<Profile>,
    pub(super) row: Box<[u64]>,
    pub(super) parts: Parts,
    pub(super) life: Life,
    /// No timer of a rule is due before this device time; `i64::MIN` while that has to be worked out.
    pub(super) next: i64,
    /// Healthy time of its entry in the shard's queue.
    pub(super) queued: i64,
    /// (arrival, hash) of recent messages, oldest first.
    pub(super) recent: VecDeque<(i64, u64)>,
    pub(super) texts: Vec<(u16, Arc<str>)>,
    /// By device time.
    pub(super) waiting: Vec<Sample>,
    /// What few devices need.
    pub(super) aside: Option<Box<Aside>>,
}

/// What only devices of some models need, and some only for a while.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// If the model wants it learned.
    pub(super) skew: Option<Skew>,
    /// How often its clock was too wrong.
    pub(super) ahead: Ahead,
    /// The device as it was before its last gap, while history may come.
    pub(super) past: Option<Past>,
    /// Healthy time of the shard when our last outage ended.
    pub(super) steady: i64,
}

/// The clocks of a device.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Life {
    /// Device time of the newest sample worked in: what is older is late (T3).
    pub(super) clock: i64,
    /// Healthy time of the shard when that was.
    pub(super) anchor: i64,
    /// Newest device time seen, worked in or waiting.
    pub(super) newest: i64,
    /// How far apart its messages usually are, in milliseconds; 0 before the second.
    pub(super) usual: u32,
    /// Healthy time of the newest message that was not retained.
    pub(super) heard: i64,
    pub(super) received_at: i64,
    pub(super) historical: bool,
    /// This is the copy on which history runs, not the device as it is now.
    pub(super) is_past: bool,
}

/// What is lent to a device while it works: tables, buffers and the way out.
pub(super) struct Work<'a> {
    pub(super) program: &'a ModelProgram,
    pub(super) scratch: &'a mut Scratch,
    pub(super) out: &'a mut Vec<Detection>,
}

/// Buffers that no message has to allocate.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) stack: Stack,
    pub(super) memo: Memo,
    ops: Vec<u64>,
    /// Those that a sample touches, as a bit set.
    pub(super) rules: Vec<u64>,
    pub(super) counts: Counts,
    /// See [`super::Engine::trace`].
    pub(super) turns: Option<Vec<Turn>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            stack: [0.0; MAX_STACK],
            memo: Memo::default(),
            ops: Vec::new(),
            rules: Vec::new(),
            counts: Counts::default(),
            turns: None,
        }
    }
}

impl Scratch {
    /// Marks the operators and rules that read a slot.
    fn touch(&mut self, program: &ModelProgram, slot: u16) {
        let at = usize::from(slot);
        program.ops_by_slot[at].set_in(&mut self.ops);
        program.rules_by_slot[at].set_in(&mut self.rules);
    }
}

impl Sample {
    /// Whether it says anything of a slot.
    fn has(&self, slot: u16) -> bool {
        let listed = self.lists.iter().map(|list| list.0).chain(self.parts.iter().map(|said| said.slot));
        listed.into_iter().any(|s| s == slot) || self.values.iter().any(|(s, _)| *s == slot)
    }
}

impl Aside {
    fn of(program: &ModelProgram) -> Option<Box<Self>> {
        let gated = program.rules.iter().filter_map(|r| r.bars.as_ref()).any(|b| b.ingest_healthy > 0);
        let skew = program.model.learn_skew.then(Skew::default);
        (gated || skew.is_some()).then(|| Box::new(Self { skew, ..Self::default() }))
    }
}

impl Life {
    pub(super) fn new(healthy: i64) -> Self {
        Self {
            clock: i64::MIN,
            anchor: healthy,
            usual: 0,
            newest: i64::MIN,
            heard: healthy,
            received_at: 0,
            historical: false,
            is_past: false,
        }
    }

    /// For how long nothing was heard at device time `now`, outages of our own left out; 0 before the first sample.
    pub(super) fn silence(&self, now: i64) -> i64 {
        if self.clock == i64::MIN {
            return 0;
        }
        now.saturating_sub(self.clock).saturating_add(self.anchor) - self.heard
    }

    /// How far apart its messages usually are, in seconds.
    pub(super) fn usual_interval(&self) -> f64 {
        if self.usual == 0 { f64::NAN } else { f64::from(self.usual) / 1_000.0 }
    }

    /// A running mean over sixteen messages, in device time: neither our outages nor a backlog distort it. A single
    /// pause counts at most tenfold.
    fn learn_interval(&mut self, at: i64) {
        let gap = at.saturating_sub(self.clock);
        if self.clock == i64::MIN || gap <= 0 {
            return;
        }
        let (gap, usual) = ((gap / 1_000).max(1), i64::from(self.usual));
        let mean = if usual == 0 { gap } else { usual + (gap.min(usual * 10) - usual) / 16 };
        self.usual = u32::try_from(mean).unwrap_or(u32::MAX);
    }
}

impl Device {
    pub(super) fn new(id: DeviceId, model: u16, profile: Arc<Profile>, program: &ModelProgram, healthy: i64) -> Self {
        Self {
            id,
            model,
            profile,
            row: empty_row(program, 0),
            parts: Parts::default(),
            life: Life::new(healthy),
            next: i64::MAX,
            queued: i64::MAX,
            recent: VecDeque::new(),
            texts: Vec::new(),
            waiting: Vec::new(),
            aside: Aside::of(program),
        }
    }

    /// Whether this message has been seen before (D1). The hashes of the last seconds are remembered.
    pub(super) fn is_repeated(&mut self, received_at: i64, hash: u64) -> bool {
        if self.recent.iter().any(|(_, h)| *h == hash) {
            return true;
        }
        let old = |r: &VecDeque<(i64, u64)>| {
            let stale = r.front().is_some_and(|oldest| oldest.0 < received_at - RECENT_US);
            r.len() >= MIN_RECENT && stale || r.len() >= MAX_RECENT
        };
        while old(&self.recent) {
            self.recent.pop_front();
        }
        if self.recent.capacity() == 0 {
            self.recent.reserve_exact(MIN_RECENT);
        }
        self.recent.push_back((received_at, hash));
        false
    }

    /// Takes a sample in: at once, or when its turn comes (T2).
    pub(super) fn accept(&mut self, work: &mut Work<'_>, sample: &Sample) {
        let lateness = work.program.model.lateness.as_micros();
        if lateness == 0 || sample.at < self.life.clock {
            self.life.newest = self.life.newest.max(sample.at);
            self.take(work, sample);
            return;
        }
        self.life.newest = self.life.newest.max(sample.at);
        let place = self.waiting.partition_point(|s| s.at <= sample.at);
        self.waiting.insert(place, sample.clone());
        let passed = self.life.newest.saturating_sub(lateness);
        let ready = self.waiting.partition_point(|s| s.at <= passed);
        self.release(work, ready.max(self.waiting.len().saturating_sub(MAX_WAITING)));
        self.heard_anew(work.program);
    }

    pub(super) fn release(&mut self, work: &mut Work<'_>, count: usize) {
        let ready: Vec<Sample> = self.waiting.drain(..count).collect();
        for sample in &ready {
            self.take(work, sample);
        }
    }

    fn take(&mut self, work: &mut Work<'_>, sample: &Sample) {
        if sample.at < self.life.clock {
            if !self.take_past(work, sample) {
                work.scratch.counts.one("forewarn_late_total", [("model", work.program.model.id.as_str())]);
            }
            self.take_late(work, sample);
            self.heard_anew(work.program);
        } else {
            self.take_in_order(work, sample);
        }
    }

    pub(super) fn take_in_order(&mut self, work: &mut Work<'_>, sample: &Sample) {
        self.mind_the_gap(work, sample);
        if self.next < sample.at {
            self.run_timers(work, sample.at - 1, sample.received_at, false);
        }
        self.life.learn_interval(sample.at);
        self.life.clock = sample.at;
        self.life.anchor = sample.healthy;
        self.life.received_at = sample.received_at;
        self.set_historical(sample.historical);
        self.work_in(work, sample);
    }

    /// Whether what is worked in now is history. Rules that ignore history have no timers in it.
    pub(super) fn set_historical(&mut self, historical: bool) {
        if std::mem::replace(&mut self.life.historical, historical) && !historical {
            self.next = i64::MIN;
        }
    }

    /// Keeps the values of a sample, and steps the operators and rules that read them.
    fn work_in(&mut self, work: &mut Work<'_>, sample: &Sample) {
        let scratch = &mut *work.scratch;
        scratch.ops.clear();
        scratch.ops.resize(work.program.ops.len().div_ceil(64), 0);
        scratch.rules.clear();
        scratch.rules.resize(work.program.rules.len().div_ceil(64), 0);
        for (slot, value) in &sample.values {
            self.set(work.program, *slot, *value, sample.at);
            scratch.touch(work.program, *slot);
        }
        if !sample.lists.is_empty() || !sample.parts.is_empty() {
            let refused = self.parts.keep(work.program, &sample.lists, &sample.parts, sample.at);
            for _ in 0..refused {
                scratch.counts.one("forewarn_codes_refused_total", [("model", work.program.model.id.as_str())]);
            }
            let said = sample.parts.iter().map(|said| said.slot);
            sample.lists.iter().map(|list| list.0).chain(said).for_each(|slot| scratch.touch(work.program, slot));
        }
        work.program.rules_always.set_in(&mut scratch.rules);
        for (slot, text) in &sample.texts {
            keep_text(&mut self.texts, *slot, text);
        }
        scratch.memo.renew(work.program.folds.len());
        self.update_operators(work, sample.at);
        for block in 0..work.scratch.rules.len() {
            self.look_at_touched(work, block, sample.at);
        }
    }

    fn update_operators(&mut self, work: &mut Work<'_>, at: i64) {
        for block in 0..work.scratch.ops.len() {
            for ix in bits(work.scratch.ops[block]).map(|bit| block * 64 + bit) {
                let lane = work.program.ops[ix].lane;
                self.seats(lane).for_each(|part| self.update_operator(work, ix, part, at));
            }
        }
    }

    fn update_operator(&mut self, work: &mut Work<'_>, ix: usize, part: Option<usize>, at: i64) {
        let spec = &work.program.ops[ix];
        let view = self.view(work.program, &work.scratch.memo, part, at);
        let value = run(&view, &spec.input, &mut work.scratch.stack);
        if value.is_nan() {
            return;
        }
        if !spec.feeds.is_empty() {
            self.close_sample(work, ix, part, at);
            // Closing it took the stack; its one input is this value.
            work.scratch.stack[0] = value;
        }
        let frozen = self.is_frozen(work.program, spec, part);
        let op = Op { frozen, ..self.profile.op(ix, spec) };
        let words = row_of(&mut self.row, &mut self.parts, part);
        ops::update(op, &mut words[spec.offset..], &work.scratch.stack[..spec.inputs()], at);
    }

    /// Whether an operator must not learn now: a level of its rule is pending or in force, for the device or for the
    /// part at hand; for any part if it is the device's and the rule is for each part.
    pub(super) fn is_frozen(&self, program: &ModelProgram, op: &OpSpec, part: Option<usize>) -> bool {
        let Some(rule) = op.frozen_by.map(|ix| &program.rules[usize::from(ix)]) else { return false };
        match part {
            _ if rule.lane == 0 => is_up(rule, &self.row),
            Some(part) => is_up(rule, &self.parts.0[part].row),
            None => self.parts.range(rule.lane).any(|part| is_up(rule, &self.parts.0[part].row)),
        }
    }

    /// Works the point of a period that is over into the operators over it, when a value of a later one has come.
    fn close_sample(&mut self, work: &mut Work<'_>, ix: usize, part: Option<usize>, at: i64) {
        let spec = &work.program.ops[ix];
        let words = row_of(&mut self.row, &mut self.parts, part);
        let Some(point) = ops::sample::closes(self.profile.op(ix, spec), &words[spec.offset..], at) else { return };
        ops::sample::close(&mut words[spec.offset..]);
        for fed in spec.feeds.iter().map(|ix| usize::from(*ix)) {
            let lane = work.program.ops[fed].lane;
            if lane == spec.lane {
                self.update_operator(work, fed, part, point);
            } else {
                self.parts.range(lane).for_each(|part| self.update_operator(work, fed, Some(part), point));
            }
        }
    }

    /// Resets and glitches of each counter that a rule reads, counted once however many rules do.
    pub(super) fn counter_faults(&self, program: &ModelProgram) -> Vec<(u64, u64)> {
        let mut seen = Vec::new();
        let mut faults = Vec::new();
        for op in program.ops.iter().filter(|op| matches!(op.family, Family::Counter | Family::Total)) {
            if !seen.contains(&&op.slots) {
                seen.push(&op.slots);
                let rows = self.seats(op.lane).map(|part| &self.row(part)[op.offset..]);
                faults.extend(rows.map(ops::counter::faults));
            }
        }
        faults
    }

    /// A late sample reaches the windows that are still open and nothing else (T3).
    fn take_late(&mut self, work: &mut Work<'_>, sample: &Sample) {
        let program = work.program;
        // What the device would be if this were all that it ever said.
        let mut row = empty_row(program, 0);
        for (slot, value) in &sample.values {
            let offset = program.slots[usize::from(*slot)].offset;
            row[offset] = value.to_bits();
            row[offset + 1] = word(sample.at);
        }
        let mut parts = Parts::default();
        parts.keep(program, &sample.lists, &sample.parts, sample.at);
        work.scratch.memo.renew(program.folds.len());
        for (ix, op) in program.ops.iter().enumerate().filter(|(_, op)| op.plain) {
            if !op.slots.iter().all(|slot| sample.has(*slot)) {
                continue;
            }
            let seats = if op.lane == 0 { vec![None] } else { parts.range(op.lane).map(Some).collect() };
            for seat in seats {
                let memo = &work.scratch.memo;
                let view = View { row: &row, own: &row, parts: &parts.0, ..self.view(program, memo, None, sample.at) };
                let view = seat.map_or(view, |part| view.of(part));
                let value = run(&view, &op.input, &mut work.scratch.stack);
                let own = seat.map(|ix| self.parts.find(op.lane, &parts.0[ix].key).ok());
                if !value.is_nan() && own != Some(None) {
                    let inputs = &work.scratch.stack[..op.inputs()];
                    let frozen = self.is_frozen(program, op, own.flatten());
                    let words = row_of(&mut self.row, &mut self.parts, own.flatten());
                    let late = Op { frozen, ..self.profile.op(ix, op) };
                    ops::update_late(late, &mut words[op.offset..], inputs, sample.at);
                }
            }
        }
    }

    /// A retained message without a time of its own: fills what is not known yet, and moves nothing.
    pub(super) fn fill(&mut self, program: &ModelProgram, sample: &Sample) {
        for (slot, value) in &sample.values {
            if self.row[program.slots[usize::from(*slot)].offset + 1] == 0 {
                self.set(program, *slot, *value, sample.at);
            }
        }
        self.parts.fill(program, &sample.parts, sample.at);
        self.next = i64::MIN;
        for (slot, text) in &sample.texts {
            if !self.texts.iter().any(|(s, _)| s == slot) {
                keep_text(&mut self.texts, *slot, text);
            }
        }
    }

    /// That the device came or went, told without a device time: it is so at the time that its clock has run on to.
    /// The clock itself stays, or a sample that is on its way would be late.
    pub(super) fn presence(&mut self, work: &mut Work<'_>, sample: &mut Sample) {
        if self.life.clock == i64::MIN {
            // Nobody knows yet what time the device has. There is nothing to look at either.
            sample.at = sample.received_at;
            for (slot, value) in &sample.values {
                self.set(work.program, *slot, *value, sample.at);
            }
            self.next = i64::MIN;
            return;
        }
        sample.at = self.life.clock.saturating_add((sample.healthy - self.life.anchor).max(0));
        self.life.received_at = sample.received_at;
        self.set_historical(false);
        self.work_in(work, sample);
    }

    fn set(&mut self, program: &ModelProgram, slot: u16, value: f64, at: i64) {
        let offset = program.slots[usize::from(slot)].offset;
        self.row[offset] = value.to_bits();
        self.row[offset + 1] = word(at);
    }

    /// Where what belongs to `lane` has its words: with the device (`None`) or with each part.
    pub(super) fn seats(&self, lane: u16) -> impl Iterator<Item = Option<usize>> + use<> {
        let parts = if lane == 0 { 0..0 } else { self.parts.range(lane) };
        (lane == 0).then_some(None).into_iter().chain(parts.map(Some))
    }

    /// The name of a part.
    pub(super) fn component(&self, program: &ModelProgram, part: Option<usize>) -> Option<Component> {
        let part = &self.parts.0[part?];
        Some(part.key.component(&program.lanes[usize::from(part.lane)].name))
    }

    pub(super) fn row(&self, part: Option<usize>) -> &[u64] {
        part.map_or(&self.row, |ix| &self.parts.0[ix].row)
    }

    pub(super) fn row_mut(&mut self, part: Option<usize>) -> &mut [u64] {
        row_of(&mut self.row, &mut self.parts, part)
    }

    pub(super) fn view<'a>(
        &'a self,
        program: &'a ModelProgram,
        memo: &'a Memo,
        part: Option<usize>,
        now: i64,
    ) -> View<'a> {
        View {
            program,
            profile: &self.profile,
            row: &self.row,
            parts: &self.parts.0,
            part: part.unwrap_or(usize::MAX),
            own: self.row(part),
            memo,
            settled: i64::MIN,
            opened: i64::MIN,
            now,
            life: &self.life,
        }
    }
}

/// Whether any level of the rule is pending or in force in this row.
fn is_up(rule: &RuleProgram, row: &[u64]) -> bool {
    let tracks = row[rule.offset + RULE_WORDS..].chunks_exact(LEVEL_WORDS).take(rule.levels.len());
    tracks.map(Phase::load).any(|phase| phase != Phase::Off)
}

/// The row of the device or of one of its parts, while other fields are in use.
fn row_of<'a>(row: &'a mut [u64], parts: &'a mut Parts, part: Option<usize>) -> &'a mut [u64] {
    match part {
        None => row,
        Some(ix) => &mut parts.0[ix].row,
    }
}
