//! What time alone does to a device: samples that have waited long enough, ends of waits, silence, values that expire.

use super::bars::Bar;
use super::device::{Device, Work};
use super::fold::Memo;
use super::level::Track;
use super::look::{Head, Look};
use super::ops::{micros, time};
use super::vm::run;
use crate::rules::{LEVEL_WORDS, MAX_STACK, ModelProgram, OnGap, RULE_WORDS, Uses};

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
    ///
    /// When a rule is looked at depends on nothing but its own state: other rules come and go with a reload.
    pub(super) fn run_timers(&mut self, work: &mut Work<'_>, until: i64, received_at: i64, by_clock: bool) {
        loop {
            let first = self.first_deadline(work.program, by_clock);
            if first > until {
                self.next = if by_clock { first } else { self.first_deadline(work.program, true) };
                return;
            }
            // Only what is due leaves a trace: a look in vain must not, or it would show when the queue was built anew.
            self.life.received_at = received_at;
            work.scratch.memo.renew(work.program.folds.len());
            let due: Vec<(usize, Option<usize>)> = self
                .seats_of_rules(work.program)
                .filter(|(rule, part)| self.deadline(work.program, *rule, *part, by_clock) == first)
                .collect();
            let now = first.max(self.life.clock);
            for (rule, part) in due {
                self.look_at(work, rule, part, now, Look::Timer);
                self.forget_missed(work.program, rule, part, now);
            }
        }
    }

    /// The first device time after `seen` at which nothing was heard for as long as a rule asks about.
    fn next_silence(&self, program: &ModelProgram, uses: &Uses, seen: i64) -> i64 {
        let fixed = uses.silents.iter().map(|ix| self.profile.consts[usize::from(*ix)]);
        let computed = uses.lengths.iter().map(|ix| {
            let memo = Memo::default();
            let view = self.view(program, &memo, None, self.life.clock);
            run(&view, &program.silences[usize::from(*ix)], &mut [0.0; MAX_STACK])
        });
        let heard = self.life.clock.saturating_add(self.life.heard - self.life.anchor);
        let lengths = fixed.chain(computed).filter(|length| *length > 0.0);
        lengths.map(|length| heard.saturating_add(micros(length))).filter(|at| *at > seen).min().unwrap_or(i64::MAX)
    }

    /// Healthy time at which the shard's clock must look at this device again.
    pub(super) fn due(&self, program: &ModelProgram) -> i64 {
        let life = &self.life;
        let lateness = program.model.lateness.as_micros();
        let waiting = self.waiting.iter().map(|s| s.healthy.saturating_add(lateness)).min().unwrap_or(i64::MAX);
        if life.clock == i64::MIN {
            return waiting;
        }
        let since = self.next.saturating_sub(life.clock);
        waiting.min(if self.next == i64::MAX { i64::MAX } else { life.anchor.saturating_add(since) })
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

    /// A message that no rule was looked at for: silence begins anew all the same.
    pub(super) fn heard_anew(&mut self, program: &ModelProgram) {
        let silences = self.seats_of_rules(program).filter(|(rule, _)| program.rules[*rule].uses.silence());
        let first = silences.map(|(rule, part)| self.deadline(program, rule, part, true)).min();
        self.next = self.next.min(first.unwrap_or(i64::MAX));
    }

    /// No timer is due before [`Device::next`].
    #[cfg(test)]
    pub(super) fn check_next(&self, program: &ModelProgram) {
        let first = if self.life.clock == i64::MIN { i64::MAX } else { self.first_deadline(program, true) };
        assert!(
            self.next <= first,
            "{}: a timer at {first} is missed, the next is thought to be at {}",
            self.id,
            self.next
        );
    }

    /// The next device time at which the rule may change without a sample of its own, as far as the shard's clock
    /// (`by_clock`) or a sample of the device can tell; `i64::MAX` for none.
    pub(super) fn deadline(&self, program: &ModelProgram, rule: usize, part: Option<usize>, by_clock: bool) -> i64 {
        let spec = &program.rules[rule];
        let clock = spec.uses.silence();
        if !self.profile.enabled[rule] || self.skips(spec) || clock && !by_clock {
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
            && let Bar::Until(at) = self.bar(program, bars, part, self.life.clock.max(head.seen()))
        {
            first = first.min(at);
        }
        first = first.min(self.next_silence(program, &spec.uses, head.seen()));
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
                    if set_at != 0 && ends > head.seen() {
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
