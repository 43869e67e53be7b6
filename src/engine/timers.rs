//! What time alone does to a device: samples that have waited long enough, ends of waits, silence, values that expire.

use super::bars::Bar;
use super::device::{Device, Work};
use super::level::Track;
use super::look::{Head, Look};
use super::ops::time;
use crate::rules::{LEVEL_WORDS, ModelProgram, RULE_WORDS};

impl Device {
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
    pub(super) fn run_timers(&mut self, work: &mut Work<'_>, until: i64, received_at: i64, by_clock: bool) {
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
    pub(super) fn deadline(&self, program: &ModelProgram, rule: usize, by_clock: bool) -> i64 {
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
        if let Some(bars) = spec.bars.as_ref().filter(|_| clock || spec.uses.known)
            && let Bar::Until(at) = self.bar(program, bars, self.life.clock.max(self.life.done))
        {
            first = first.min(at);
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

    /// Works out anew when the next timer is due, after the state was loaded.
    pub(super) fn rearm(&mut self, program: &ModelProgram) {
        self.next = self.next_timer(program);
        self.queued = i64::MAX;
    }
}
