//! The historical lane: what a device sends later of a time that has passed (T4).
//!
//! History that comes before anything newer is worked in as it comes; its detections carry how late they are. When a
//! device speaks live again after a silence, a copy of its state is kept as it was before. What then comes of the gap
//! runs on this copy, in order and without clock: it may begin and end episodes of its own, all of them late, and never
//! touches the live state, except that windows take in what is not too old for them (T3). The copy goes when history has
//! caught up, when no more of it has come for a while, or with the next gap.
//!
//! Rules that watch silence are not looked at: that nothing was heard is true all the same. Episodes that were open
//! before the gap are the live state's business and not told of twice.

use serde::{Deserialize, Serialize};

use super::device::{Device, Sample, Work};
use super::emit::{Emit, emit};
use super::look::Head;
use crate::domain::{Change, Span};
use crate::rules::{ModelProgram, OnBackfill};

/// For so long after it was last used a copy is kept, in microseconds of arrival.
const PATIENCE: i64 = 3_600_000_000;

/// A device as it was before a gap.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) device: Device,
    pub(super) stay: Stay,
}

/// How long the copy is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Stay {
    /// Device time at which the gap ends.
    until: i64,
    /// Arrival of the last sample that it took in.
    used_at: i64,
}

impl Device {
    /// Before a sample is worked in: whether it shows that a gap has opened, or that nothing more comes of the last one.
    pub(super) fn mind_the_gap(&mut self, work: &mut Work<'_>, sample: &Sample) {
        let clock = self.life.clock;
        let limit = work.program.model.backfill_after.map_or(i64::MAX, Span::as_micros);
        let gap = clock != i64::MIN && !sample.historical && sample.at.saturating_sub(clock) > limit;
        let over = |past: &Past| sample.received_at.saturating_sub(past.stay.used_at) > PATIENCE;
        if gap || self.aside.as_ref().and_then(|a| a.past.as_ref()).is_some_and(over) {
            self.leave_past(work);
        }
        if gap && !work.program.rules.is_empty() {
            let mut device = Self {
                id: self.id.clone(),
                model: self.model,
                profile: self.profile.clone(),
                row: self.row.clone(),
                parts: self.parts.clone(),
                life: self.life,
                next: self.next,
                queued: i64::MAX,
                recent: std::collections::VecDeque::new(),
                texts: self.texts.clone(),
                waiting: Vec::new(),
                aside: None,
            };
            device.life.is_past = true;
            device.life.historical = true;
            device.mute(work.program);
            let stay = Stay { until: sample.at, used_at: sample.received_at };
            self.aside.get_or_insert_default().past = Some(Past { device, stay });
        }
    }

    fn mute(&mut self, program: &ModelProgram) {
        for rule in &program.rules {
            for part in self.seats(rule.lane) {
                let words = &mut self.row_mut(part)[rule.offset..];
                let head = Head::load(words);
                Head { muted: head.level != 0, ..head }.store(words);
            }
        }
    }

    /// Works a sample that is older than the device's clock into the copy; whether it belongs there.
    pub(super) fn take_past(&mut self, work: &mut Work<'_>, sample: &Sample) -> bool {
        let Some(past) = self.aside.as_mut().and_then(|a| a.past.as_mut()) else { return false };
        if sample.at < past.device.life.clock || sample.at >= past.stay.until {
            return false;
        }
        past.stay.used_at = sample.received_at;
        past.device.take_in_order(work, &Sample { historical: true, ..sample.clone() });
        let one_more = work.program.model.report_every.map_or(0, Span::as_micros);
        if sample.at.saturating_add(one_more) >= past.stay.until {
            self.leave_past(work);
        }
        true
    }

    /// Drops the copy; what is open on it ends, because from here on the live state says how things are.
    fn leave_past(&mut self, work: &mut Work<'_>) {
        let Some(past) = self.aside.as_mut().and_then(|a| a.past.take()) else { return };
        let device = past.device;
        work.scratch.memo.renew(work.program.folds.len());
        for (rule, part) in device.seats_of_rules(work.program) {
            let rule = &work.program.rules[rule];
            let head = Head::load(&device.row(part)[rule.offset..]);
            if head.level == 0 || head.muted {
                continue;
            }
            let what = Emit {
                part,
                change: Change::Cleared,
                level: 0,
                started_at: head.started_at,
                seq: head.seq.saturating_add(1),
                latched: false,
                now: device.life.clock,
            };
            let detection = emit(&device, work.program, rule, what, work.scratch);
            work.out.push(detection);
        }
    }

    /// Whether a rule is not for the samples that are worked in now.
    pub(super) fn skips(&self, rule: &crate::rules::RuleProgram) -> bool {
        let ignored = self.life.historical && rule.on_backfill == OnBackfill::Ignore;
        ignored || self.life.is_past && rule.uses.silence()
    }
}
