//! One device: its row of state, its clock, and what a sample or a timer does to it.

use std::collections::VecDeque;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::emit::{Emit, emit};
use super::level::{Step, Track};
use super::ops::{self, time, word};
use super::profile::Profile;
use super::trace::Turn;
use super::vm::{Stack, View, run};
use crate::domain::{At, Change, Detection, DeviceId};
use crate::rules::{LEVEL_WORDS, MAX_STACK, ModelProgram, OnBackfill, RULE_WORDS};

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
    pub(super) life: Life,
    /// No timer of a rule is due before this device time.
    pub(super) next: i64,
    /// Healthy time of its entry in the shard's queue.
    pub(super) queued: i64,
    /// (arrival, hash) of recent messages, oldest first.
    pub(super) recent: VecDeque<(i64, u64)>,
    pub(super) texts: Vec<(u16, Arc<str>)>,
    /// By device time.
    pub(super) waiting: Vec<Sample>,
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
    /// Healthy time of the newest message that was not retained.
    pub(super) heard: i64,
    pub(super) received_at: i64,
    /// Values that expired up to this device time have been seen to.
    done: i64,
    /// Thresholds of silence up to this healthy time are done.
    silent_done: i64,
    pub(super) historical: bool,
    /// How often its clock ran ahead (T1).
    pub(super) skewed: u32,
    /// Late samples (T3).
    pub(super) late: u32,
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
    stack: Stack,
    ops: Vec<u64>,
    rules: Vec<u64>,
    /// See [`super::Engine::trace`].
    pub(super) turns: Option<Vec<Turn>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { stack: [0.0; MAX_STACK], ops: Vec::new(), rules: Vec::new(), turns: None }
    }
}

/// Why a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Sample,
    Timer,
}

impl Life {
    pub(super) fn new(healthy: i64) -> Self {
        Self {
            clock: i64::MIN,
            anchor: healthy,
            newest: i64::MIN,
            heard: healthy,
            received_at: 0,
            done: i64::MIN,
            silent_done: i64::MIN,
            historical: false,
            skewed: 0,
            late: 0,
        }
    }
}

impl Device {
    pub(super) fn new(id: DeviceId, model: u16, profile: Arc<Profile>, program: &ModelProgram, healthy: i64) -> Self {
        Self {
            id,
            model,
            profile,
            row: empty_row(program),
            life: Life::new(healthy),
            next: i64::MAX,
            queued: i64::MAX,
            recent: VecDeque::new(),
            texts: Vec::new(),
            waiting: Vec::new(),
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
    }

    fn release(&mut self, work: &mut Work<'_>, count: usize) {
        let ready: Vec<Sample> = self.waiting.drain(..count).collect();
        for sample in &ready {
            self.take(work, sample);
        }
    }

    fn take(&mut self, work: &mut Work<'_>, sample: &Sample) {
        if sample.at < self.life.clock {
            self.take_late(work, sample);
        } else {
            self.take_in_order(work, sample);
        }
    }

    fn take_in_order(&mut self, work: &mut Work<'_>, sample: &Sample) {
        if self.next < sample.at {
            self.run_timers(work, sample.at - 1, sample.received_at, false);
        }
        self.life.clock = sample.at;
        self.life.anchor = sample.healthy;
        self.life.received_at = sample.received_at;
        self.life.historical = sample.historical;
        self.work_in(work, sample);
    }

    /// Keeps the values of a sample, and steps the operators and rules that read them.
    fn work_in(&mut self, work: &mut Work<'_>, sample: &Sample) {
        let scratch = &mut *work.scratch;
        scratch.ops.clear();
        scratch.ops.resize(work.program.ops.len().div_ceil(64), 0);
        scratch.rules.clear();
        scratch.rules.resize(work.program.rules.len().div_ceil(64), 0);
        for (slot, value) in &sample.values {
            let at = usize::from(*slot);
            self.row[2 * at] = value.to_bits();
            self.row[2 * at + 1] = word(sample.at);
            work.program.ops_by_slot[at].iter().for_each(|op| set(&mut scratch.ops, *op));
            work.program.rules_by_slot[at].iter().for_each(|rule| set(&mut scratch.rules, *rule));
        }
        work.program.rules_always.iter().for_each(|rule| set(&mut scratch.rules, *rule));
        for (slot, text) in &sample.texts {
            self.keep_text(*slot, text.clone());
        }
        self.update_operators(work, sample.at);
        for block in 0..work.scratch.rules.len() {
            let mut bits = work.scratch.rules[block];
            while bits != 0 {
                self.look(work, block * 64 + bits.trailing_zeros() as usize, sample.at, Look::Sample);
                bits &= bits - 1;
            }
        }
    }

    fn update_operators(&mut self, work: &mut Work<'_>, at: i64) {
        for block in 0..work.scratch.ops.len() {
            let mut bits = work.scratch.ops[block];
            while bits != 0 {
                let ix = block * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let op = &work.program.ops[ix];
                let value = run(&self.view(work.program, at), &op.input, &mut work.scratch.stack);
                if !value.is_nan() {
                    let op = self.profile.op(ix, op);
                    ops::update(op, &mut self.row[op.spec.offset..], value, at);
                }
            }
        }
    }

    /// A late sample reaches the windows that are still open and nothing else (T3).
    fn take_late(&mut self, work: &mut Work<'_>, sample: &Sample) {
        self.life.late = self.life.late.saturating_add(1);
        let mut row = vec![f64::NAN.to_bits(); 2 * work.program.slots.len()];
        for (slot, value) in &sample.values {
            row[2 * usize::from(*slot)] = value.to_bits();
            row[2 * usize::from(*slot) + 1] = word(sample.at);
        }
        for (ix, op) in work.program.ops.iter().enumerate().filter(|(_, op)| op.plain) {
            if !op.slots.iter().all(|s| sample.values.iter().any(|(slot, _)| slot == s)) {
                continue;
            }
            let view = View {
                program: work.program,
                consts: &self.profile.consts,
                windows: &self.profile.windows,
                row: &row,
                now: sample.at,
                silence: 0,
            };
            let value = run(&view, &op.input, &mut work.scratch.stack);
            if !value.is_nan() {
                let op = self.profile.op(ix, op);
                ops::update_late(op, &mut self.row[op.spec.offset..], value, sample.at);
            }
        }
    }

    /// A retained message without a time of its own: fills what is not known yet, and moves nothing.
    pub(super) fn fill(&mut self, sample: &Sample) {
        for (slot, value) in &sample.values {
            let at = usize::from(*slot);
            if self.row[2 * at + 1] == 0 {
                self.row[2 * at] = value.to_bits();
                self.row[2 * at + 1] = word(sample.at);
            }
        }
        for (slot, text) in &sample.texts {
            if !self.texts.iter().any(|(s, _)| s == slot) {
                self.keep_text(*slot, text.clone());
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
                self.set(*slot, *value, sample.at);
            }
            return;
        }
        sample.at = self.life.clock.saturating_add((sample.healthy - self.life.anchor).max(0));
        self.life.received_at = sample.received_at;
        self.life.historical = false;
        self.work_in(work, sample);
    }

    fn set(&mut self, slot: u16, value: f64, at: i64) {
        let words = 2 * usize::from(slot);
        self.row[words] = value.to_bits();
        self.row[words + 1] = word(at);
    }

    fn keep_text(&mut self, slot: u16, text: Arc<str>) {
        match self.texts.iter_mut().find(|(s, _)| *s == slot) {
            Some(kept) => kept.1 = text,
            None => self.texts.push((slot, text)),
        }
    }

    pub(super) fn view<'a>(&'a self, program: &'a ModelProgram, now: i64) -> View<'a> {
        let silence = if self.life.clock == i64::MIN {
            0
        } else {
            (now.saturating_sub(self.life.clock)).saturating_add(self.life.anchor) - self.life.heard
        };
        View { program, consts: &self.profile.consts, windows: &self.profile.windows, row: &self.row, now, silence }
    }

    /// What the shard's clock has reached: samples that have waited long enough, timers, silence (T5).
    pub(super) fn advance(&mut self, work: &mut Work<'_>, healthy: i64, received_at: i64) {
        let lateness = work.program.model.lateness.as_micros();
        if let Some(last) = self.waiting.iter().rposition(|s| s.healthy.saturating_add(lateness) <= healthy) {
            self.release(work, last + 1);
        }
        if self.life.clock != i64::MIN {
            let now = self.life.clock.saturating_add((healthy - self.life.anchor).max(0));
            self.run_timers(work, now, received_at, true);
        }
    }

    /// Runs all timers up to device time `until`, earliest first.
    ///
    /// A sample shows that device time has passed, and so ends waits that earlier samples cover. That values expired or
    /// nothing was heard is told by the shard's clock alone: between two samples may lie an outage of ours.
    fn run_timers(&mut self, work: &mut Work<'_>, until: i64, received_at: i64, by_clock: bool) {
        self.life.received_at = received_at;
        loop {
            let rules = 0..work.program.rules.len();
            let first = rules.map(|r| (self.deadline(work.program, r, by_clock), r)).min().unwrap_or((i64::MAX, 0));
            let silent = if by_clock { self.next_silence() } else { i64::MAX };
            if silent <= until && silent <= first.0 {
                self.life.silent_done = self.life.anchor + (silent - self.life.clock);
                for ix in 0..work.program.rules_silent.len() {
                    let rule = usize::from(work.program.rules_silent[ix]);
                    self.look(work, rule, silent, Look::Timer);
                }
            } else if first.0 <= until {
                if by_clock {
                    self.life.done = self.life.done.max(first.0);
                }
                self.look(work, first.1, first.0.max(self.life.clock), Look::Timer);
            } else {
                self.next = if by_clock { first.0 } else { self.next_timer(work.program) };
                return;
            }
        }
    }

    /// Device time of the next threshold of silence.
    fn next_silence(&self) -> i64 {
        let life = &self.life;
        let next = self.profile.silents.iter().map(|w| life.heard.saturating_add(*w)).find(|h| *h > life.silent_done);
        next.map_or(i64::MAX, |h| life.clock.saturating_add(h - life.anchor))
    }

    /// Healthy time at which the shard's clock must look at this device again.
    pub(super) fn due(&self, program: &ModelProgram) -> i64 {
        let life = &self.life;
        let lateness = program.model.lateness.as_micros();
        let waiting = self.waiting.iter().map(|s| s.healthy.saturating_add(lateness)).min().unwrap_or(i64::MAX);
        if life.clock == i64::MIN {
            return waiting;
        }
        let first = self.next.min(self.next_silence());
        let timer =
            if first == i64::MAX { i64::MAX } else { life.anchor.saturating_add(first.saturating_sub(life.clock)) };
        waiting.min(timer)
    }

    fn next_timer(&self, program: &ModelProgram) -> i64 {
        (0..program.rules.len()).map(|r| self.deadline(program, r, true)).min().unwrap_or(i64::MAX)
    }

    /// The next device time at which the rule may change without a sample of its own, as far as the shard's clock
    /// (`by_clock`) or a sample of the device can tell; `i64::MAX` for none.
    fn deadline(&self, program: &ModelProgram, rule: usize, by_clock: bool) -> i64 {
        let spec = &program.rules[rule];
        let clock = !spec.uses.silents.is_empty();
        if !self.profile.enabled[rule] || clock && !by_clock {
            return i64::MAX;
        }
        let head = Head::load(&self.row[spec.offset..]);
        let mut first = i64::MAX;
        for (ix, level) in spec.levels.iter().enumerate() {
            let track = Track::load(&self.row[spec.offset + RULE_WORDS + ix * LEVEL_WORDS..]);
            if let Some(at) = track.deadline(level, spec.gap, head.last, clock) {
                first = first.min(at);
            }
        }
        if !by_clock {
            return first;
        }
        let firing = head.level != 0;
        if firing && head.unknown_since != 0 && !head.stale {
            first = first.min(head.unknown_since.saturating_add(spec.stale_after));
        }
        if spec.uses.known || firing && head.unknown_since == 0 {
            for slot in &spec.uses.slots {
                let at = usize::from(*slot);
                let (set_at, ttl) = (time(self.row[2 * at + 1]), program.slots[at].ttl);
                let ends = set_at.saturating_add(ttl).saturating_add(1);
                if set_at != 0 && ttl != i64::MAX && ends > self.life.done {
                    first = first.min(ends);
                }
            }
        }
        first
    }

    /// Looks at a rule at device time `now`: steps its levels and tells what changed.
    fn look(&mut self, work: &mut Work<'_>, rule: usize, now: i64, why: Look) {
        let program = work.program;
        let spec = &program.rules[rule];
        let skipped = self.life.historical && spec.on_backfill == OnBackfill::Ignore;
        if !self.profile.enabled[rule] || skipped {
            return;
        }
        // A rule that reads silence or what is unknown changes without samples: its timers are as good as samples.
        let clock = !spec.uses.silents.is_empty();
        let last = Head::load(&self.row[spec.offset..]).last;
        let step = Step { last, now, sample: why == Look::Sample || clock || spec.uses.known, clock };
        let ended = self.step_levels(work, rule, step, u8::MAX);
        if ended != 0 && step.sample && Head::load(&self.row[spec.offset..]).level == 0 {
            // The sample that ends an episode may begin the next: `clear = "true"` gives one for each true sample.
            self.step_levels(work, rule, Step { last: now, ..step }, ended);
        }
        self.next = self.next.min(self.deadline(program, rule, true));
    }

    /// Steps those levels of a rule that are in the mask `only`, tells what changed, and returns the mask of the levels
    /// that have ended.
    fn step_levels(&mut self, work: &mut Work<'_>, rule: usize, step: Step, only: u8) -> u8 {
        let program = work.program;
        let spec = &program.rules[rule];
        let base = spec.offset;
        let mut head = Head::load(&self.row[base..]);
        let before = head;
        let (mut reached, mut from, mut unknown, mut ended) = (0, step.now, false, 0);
        for (ix, level) in spec.levels.iter().enumerate().filter(|(ix, _)| only >> ix & 1 == 1) {
            let words = base + RULE_WORDS + ix * LEVEL_WORDS;
            let mut track = Track::load(&self.row[words..]);
            let old = track;
            let view = self.view(program, step.now);
            let value = match &level.clear {
                Some(clear) if track.in_force() => run(&view, clear, &mut work.scratch.stack),
                None if track.in_force() => 1.0 - run(&view, &level.when, &mut work.scratch.stack),
                _ => run(&view, &level.when, &mut work.scratch.stack),
            };
            if reached == 0 && track.in_force() {
                unknown = value.is_nan();
            }
            track.step(level, spec.gap, step, value);
            if track != old {
                track.store(&mut self.row[words..]);
                if let Some(turns) = work.scratch.turns.as_mut().filter(|_| track.phase != old.phase) {
                    turns.push(Turn {
                        device: self.id.clone(),
                        component: None,
                        rule: spec.id.clone(),
                        level: level.name.clone(),
                        phase: track.phase,
                        at: At::from_micros(step.now),
                    });
                }
            }
            if reached == 0 && track.in_force() {
                reached = u8::try_from(ix + 1).unwrap_or(u8::MAX);
                from = track.from;
            }
            if old.in_force() && !track.in_force() {
                ended |= 1 << ix;
            }
        }
        if step.sample {
            head.last = step.now;
        }
        let change = head.moves(reached, from, step.now, unknown, spec.stale_after);
        if head != before {
            head.store(&mut self.row[base..]);
        }
        if let Some(change) = change {
            let emission =
                Emit { change, level: head.level, started_at: head.started_at, seq: head.seq, now: step.now };
            let detection = emit(self, program, spec, emission, &mut work.scratch.stack);
            work.out.push(detection);
        }
        ended
    }

    /// Works out anew when the next timer is due, after the state was loaded.
    pub(super) fn rearm(&mut self, program: &ModelProgram) {
        self.next = self.next_timer(program);
        self.queued = i64::MAX;
    }
}

/// A row that has seen nothing.
pub(super) fn empty_row(program: &ModelProgram) -> Box<[u64]> {
    let mut row = vec![0; program.words].into_boxed_slice();
    for slot in 0..program.slots.len() {
        row[2 * slot] = f64::NAN.to_bits();
    }
    row
}

/// The words of a rule before its levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Device time of its last sample.
    last: i64,
    /// First true sample of the open episode.
    pub(super) started_at: i64,
    unknown_since: i64,
    pub(super) seq: u32,
    /// 0 for none, else the index of the level plus 1, as last told.
    pub(super) level: u8,
    stale: bool,
}

impl Head {
    pub(super) fn load(words: &[u64]) -> Self {
        let packed = words[3].to_le_bytes();
        Self {
            last: time(words[0]),
            started_at: time(words[1]),
            unknown_since: time(words[2]),
            seq: u32::from_le_bytes([packed[0], packed[1], packed[2], packed[3]]),
            level: packed[4],
            stale: packed[5] != 0,
        }
    }

    pub(super) fn store(self, words: &mut [u64]) {
        words[0] = word(self.last);
        words[1] = word(self.started_at);
        words[2] = word(self.unknown_since);
        let [a, b, c, d] = self.seq.to_le_bytes();
        words[3] = u64::from_le_bytes([a, b, c, d, self.level, u8::from(self.stale), 0, 0]);
    }

    /// What there is to tell, now that `reached` is the highest level in force.
    fn moves(&mut self, reached: u8, from: i64, now: i64, unknown: bool, stale_after: i64) -> Option<Change> {
        let before = std::mem::replace(&mut self.level, reached);
        if before != reached {
            self.unknown_since = 0;
            self.stale = false;
            if before == 0 {
                self.started_at = from;
                self.seq = 0;
            }
            self.seq = self.seq.saturating_add(1);
            return Some(match (before, reached) {
                (0, _) => Change::Raised,
                (_, 0) => Change::Cleared,
                _ => Change::Moved,
            });
        }
        if reached == 0 || !unknown {
            self.unknown_since = 0;
            self.stale = false;
            return None;
        }
        if self.unknown_since == 0 {
            self.unknown_since = now;
        }
        if self.stale || now - self.unknown_since < stale_after {
            return None;
        }
        self.stale = true;
        self.seq = self.seq.saturating_add(1);
        Some(Change::Stale)
    }
}

fn set(bits: &mut [u64], ix: u16) {
    bits[usize::from(ix) / 64] |= 1 << (ix % 64);
}
