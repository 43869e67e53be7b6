//! What keeps a rule from raising (schedule, gate, cooldown), and what keeps an episode from ending (flap).
//!
//! While a rule is barred its `when` counts as false for every level that is not in force: nothing is raised, what was
//! pending begins anew when the bar is gone, and an open episode still clears. Bars are of event time, in the zone of
//! the device. A rule that watches silence or the unknown is looked at when the bar ends; others with their next sample.

use super::Engine;
use super::device::{Device, Work};
use super::emit::{Emit, emit};
use super::fold::Memo;
use super::look::Head;
use super::ops::{time, word};
use super::vm::run;
use crate::domain::{At, Change, Detection, DeviceId, RuleId, shard_of};
use crate::rules::{BAR_WORDS, Bars, Hindrance, LEVEL_WORDS, MAX_STACK, ModelProgram, RULE_WORDS, RuleProgram, Window};

/// An expected absence is looked at again so often.
const LOOK_AGAIN: i64 = 600_000_000;

/// Whether a rule may raise at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// It may, since then: what began to be true before does not count.
    Open { since: i64 },
    /// Not before.
    Until(i64),
}

impl Bar {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Open { since: a }, Self::Open { since: b }) => Self::Open { since: a.max(b) },
            (Self::Until(a), Self::Until(b)) => Self::Until(a.max(b)),
            (Self::Until(at), _) | (_, Self::Until(at)) => Self::Until(at),
        }
    }
}

impl Device {
    /// Whether a rule with `bars` may raise at device time `now`.
    pub(super) fn bar(&self, program: &ModelProgram, bars: &Bars, part: Option<usize>, now: i64) -> Bar {
        let all = [Hindrance::Active, Hindrance::Healthy, Hindrance::Cooldown, Hindrance::ExpectedOff];
        let each = all.into_iter().filter_map(|what| self.bar_of(what, program, bars, part, now));
        each.fold(Bar::Open { since: i64::MIN }, Bar::and)
    }

    /// What one of `bars` says; `None` if the rule does not have it, or it is no bar.
    pub(super) fn bar_of(
        &self,
        what: Hindrance,
        program: &ModelProgram,
        bars: &Bars,
        part: Option<usize>,
        now: i64,
    ) -> Option<Bar> {
        match what {
            Hindrance::Active => bars.active.as_ref().map(|s| match s.at(At::from_micros(now), &self.profile.zone) {
                Window::Open(since) => Bar::Open { since: since.as_micros() },
                Window::Closed(until) => Bar::Until(until.as_micros()),
            }),
            // The clock of the device runs on with healthy time from its last sample.
            Hindrance::Healthy => (bars.ingest_healthy > 0).then(|| {
                let steady = self.aside.as_ref().map_or(0, |a| a.steady);
                let outage = self.life.clock.saturating_add(steady - self.life.anchor);
                from(outage.saturating_add(bars.ingest_healthy), now)
            }),
            Hindrance::Cooldown => {
                let ended_at = time(self.row(part)[bars.offset]);
                (bars.cooldown > 0 && ended_at != 0).then(|| from(ended_at.saturating_add(bars.cooldown), now))
            }
            Hindrance::ExpectedOff => {
                let code = bars.expected_off.as_ref()?;
                let mut memo = Memo::default();
                memo.renew(program.folds.len());
                let off = run(&self.view(program, &memo, part, now), code, &mut [0.0; MAX_STACK]) == 1.0;
                off.then(|| Bar::Until(now.saturating_add(LOOK_AGAIN)))
            }
            Hindrance::Flap => None,
        }
    }

    /// Notes a raise; whether it is one too many.
    pub(super) fn flaps(&mut self, bars: &Bars, part: Option<usize>, now: i64) -> bool {
        let Some(flap) = bars.flap else { return false };
        let raises = &mut self.row_mut(part)[bars.offset + BAR_WORDS..bars.offset + bars.words()];
        let Some(oldest) = raises.iter_mut().min_by_key(|w| time(**w)) else { return false };
        let too_many = *oldest != 0 && now - time(*oldest) < flap.per;
        *oldest = word(now);
        too_many
    }

    /// How many raises of the last `per` are remembered.
    pub(super) fn raises(&self, bars: &Bars, part: Option<usize>, now: i64) -> usize {
        let Some(flap) = bars.flap else { return 0 };
        let raises = &self.row(part)[bars.offset + BAR_WORDS..bars.offset + bars.words()];
        raises.iter().filter(|w| **w != 0 && now - time(**w) < flap.per).count()
    }

    /// Ends a latched episode, because a person says so. Everything of the rule begins anew.
    fn unlatch(&mut self, work: &mut Work<'_>, rule: &RuleProgram, part: Option<usize>) {
        let base = rule.offset;
        let clock = self.life.clock;
        let row = self.row_mut(part);
        let head = Head::load(&row[base..]);
        if !head.latched {
            return;
        }
        row[base + RULE_WORDS..base + RULE_WORDS + rule.levels.len() * LEVEL_WORDS].fill(0);
        if let Some(bars) = &rule.bars {
            row[bars.offset..bars.offset + bars.words()].fill(0);
            row[bars.offset] = word(clock);
        }
        work.scratch.memo.renew(work.program.folds.len());
        let head = Head { seq: head.seq.saturating_add(1), level: 0, latched: false, ..head };
        head.store(&mut row[base..]);
        let (started_at, seq, now) = (head.started_at, head.seq, clock);
        let what = Emit { part, change: Change::Cleared, level: 0, started_at, seq, latched: false, now };
        let detection = emit(self, work.program, rule, what, work.scratch);
        work.out.push(detection);
    }
}

fn from(since: i64, now: i64) -> Bar {
    if now < since { Bar::Until(since) } else { Bar::Open { since } }
}

impl Engine {
    /// A person ends what a rule has latched on a device ([`Detection::latched`]). Part of the journal, so that a replay
    /// comes to the same end; without such an episode nothing happens.
    pub fn release(&mut self, device: &DeviceId, rule: &RuleId, at: At, out: &mut Vec<Detection>) {
        let program = self.program.clone();
        let shard = &mut self.shards[usize::from(shard_of(device.as_str()))];
        shard.changed = true;
        for (model, index) in program.models.iter().zip(&shard.index) {
            let Some(device) = index.get(device).map(|ix| &mut shard.devices[*ix as usize]) else { continue };
            device.life.received_at = at.as_micros();
            device.set_historical(false);
            let mut work = Work { program: model, scratch: &mut self.scratch, out };
            for rule in model.rules.iter().filter(|r| r.id == *rule) {
                device.seats(rule.lane).for_each(|part| device.unlatch(&mut work, rule, part));
            }
        }
    }
}
