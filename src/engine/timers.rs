//! What time alone does to a device: samples that have waited long enough, ends of waits, silence, values that expire.

use super::bars::Bar;
use super::device::{Device, Work};
use super::fold::Memo;
use super::level::Track;
use super::look::{Head, Look};
use super::ops::{micros, time};
use super::vm::run;
use crate::rules::{LEVEL_WORDS, MAX_STACK, ModelProgram, OnGap, RULE_WORDS};

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
        loop {
            let first = self.first_deadline(work.program, by_clock);
            let silent = if by_clock { self.next_silence(work.program) } else { i64::MAX };
            work.scratch.memo.renew(work.program.folds.len());
            // Only what is due leaves a trace: a look in vain must not, or it would show when the queue was built anew.
            if silent.min(first) <= until {
                self.life.received_at = received_at;
            }
            if silent <= until && silent <= first {
                self.life.silent_done = self.life.anchor + (silent - self.life.clock);
                for ix in 0..work.program.rules_silent.len() {
                    let rule = usize::from(work.program.rules_silent[ix]);
                    self.look(work, rule, silent, Look::Timer);
                }
            } else if first <= until {
                // All at once, or what the first has seen to would not be there for the others.
                let due: Vec<(usize, Option<usize>)> = self
                    .seats_of_rules(work.program)
                    .filter(|(rule, part)| self.deadline(work.program, *rule, *part, by_clock) == first)
                    .collect();
                if by_clock {
                    self.life.done = self.life.done.max(first);
                }
                let now = first.max(self.life.clock);
                for (rule, part) in due {
                    self.look_at(work, rule, part, now, Look::Timer);
                    self.forget_missed(work.program, rule, part, now);
                }
            } else {
                self.next = if by_clock { first } else { self.first_deadline(work.program, true) };
                return;
            }
        }
    }

    /// Device time of the next threshold of silence.
    fn next_silence(&self, program: &ModelProgram) -> i64 {
        let life = &self.life;
        let computed = program.silences.iter().filter_map(|code| {
            let memo = Memo::default();
            let view = self.view(program, &memo, None, life.clock);
            let length = run(&view, code, &mut [0.0; MAX_STACK]);
            let at = life.heard.saturating_add(micros(length));
            (length > 0.0 && at > life.silent_done).then_some(at)
        });
        let computed = computed.min();
        let next = self.profile.silents.iter().map(|w| life.heard.saturating_add(*w)).find(|h| *h > life.silent_done);
        let next = next.into_iter().chain(computed).min();
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
        let first = self.next.min(self.next_silence(program));
        let timer =
            if first == i64::MAX { i64::MAX } else { life.anchor.saturating_add(first.saturating_sub(life.clock)) };
        waiting.min(timer)
    }

    /// Every rule with the device or each of the parts that it watches.
    pub(super) fn seats_of_rules<'a>(
        &'a self,
        program: &'a ModelProgram,
    ) -> impl Iterator<Item = (usize, Option<usize>)> + 'a {
        let rules = program.rules.iter().enumerate();
        rules.flat_map(|(ix, rule)| self.seats(rule.lane).map(move |part| (ix, part)))
    }

    fn first_deadline(&self, program: &ModelProgram, by_clock: bool) -> i64 {
        let seats = self.seats_of_rules(program);
        seats.map(|(rule, part)| self.deadline(program, rule, part, by_clock)).min().unwrap_or(i64::MAX)
    }

    /// The next device time at which the rule may change without a sample of its own, as far as the shard's clock
    /// (`by_clock`) or a sample of the device can tell; `i64::MAX` for none.
    pub(super) fn deadline(&self, program: &ModelProgram, rule: usize, part: Option<usize>, by_clock: bool) -> i64 {
        let spec = &program.rules[rule];
        let clock = !spec.uses.silents.is_empty();
        if !self.profile.enabled[rule] || clock && !by_clock {
            return i64::MAX;
        }
        let row = self.row(part);
        let head = Head::load(&row[spec.offset..]);
        let mut first = i64::MAX;
        for (ix, level) in spec.levels.iter().enumerate() {
            let track = Track::load(&row[spec.offset + RULE_WORDS + ix * LEVEL_WORDS..]);
            if let Some(at) = track.deadline(level, spec.gap, head.last, clock) {
                first = first.min(at);
            }
        }
        if let Some(at) = self.missed_at(program, spec, part).filter(|_| head.level == 0) {
            // Between two samples that are too far apart the step may have come and been lost.
            let covered = at.saturating_sub(head.last) <= spec.gap.max || spec.gap.policy == OnGap::Count;
            first = if by_clock || covered { first.min(at) } else { first };
        }
        if !by_clock {
            return first;
        }
        if let Some(bars) = spec.bars.as_ref().filter(|_| clock || spec.uses.known)
            && let Bar::Until(at) = self.bar(program, bars, part, self.life.clock.max(self.life.done))
        {
            first = first.min(at);
        }
        let firing = head.level != 0;
        if firing && head.unknown_since != 0 && !head.stale {
            first = first.min(head.unknown_since.saturating_add(spec.stale_after));
        }
        if spec.uses.known || firing && head.unknown_since == 0 {
            for slot in spec.uses.slots.iter().map(|s| &program.slots[usize::from(*s)]).filter(|s| s.ttl != i64::MAX) {
                // A part looks at itself and the device; a fold at all parts.
                let own = part.filter(|_| slot.lane == spec.lane);
                let seats = own.map(|ix| ix..ix + 1).unwrap_or_else(|| self.parts.range(slot.lane));
                let rows = seats.map(|ix| self.row(Some(ix))).chain((slot.lane == 0).then_some(&*self.row));
                for set_at in rows.map(|row| time(row[slot.offset + 1])) {
                    let ends = set_at.saturating_add(slot.ttl).saturating_add(1);
                    if set_at != 0 && ends > self.life.done {
                        first = first.min(ends);
                    }
                }
            }
        }
        first
    }

    /// Works out anew when the next timer is due, after the state was loaded.
    pub(super) fn rearm(&mut self, program: &ModelProgram) {
        self.next = self.first_deadline(program, true);
        self.queued = i64::MAX;
    }
}
