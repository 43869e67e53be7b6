//! Looking at a rule: its levels are stepped, and what changed is told.

use super::bars::Bar;
use super::device::{Device, Work};
use super::emit::{Emit, emit};
use super::level::{Phase, Step, Track};
use super::ops::{time, word};
use super::trace::Turn;
use super::vm::{View, run};
use crate::domain::{At, Change};
use crate::rules::{LEVEL_WORDS, OnBackfill, RULE_WORDS};

/// Why a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Sample,
    Timer,
}

impl Device {
    /// Looks at a rule at device time `now`: steps its levels and tells what changed.
    pub(super) fn look(&mut self, work: &mut Work<'_>, rule: usize, now: i64, why: Look) {
        for part in self.seats(work.program.rules[rule].lane) {
            self.look_at(work, rule, part, now, why);
        }
    }

    /// As [`Self::look`], for the device (`None`) or one of its parts.
    pub(super) fn look_at(&mut self, work: &mut Work<'_>, rule: usize, part: Option<usize>, now: i64, why: Look) {
        let program = work.program;
        let spec = &program.rules[rule];
        if !self.profile.enabled[rule] || self.skips(spec) {
            return;
        }
        // A rule that reads silence or what is unknown changes without samples: its timers are as good as samples.
        let clock = spec.uses.silence();
        let last = Head::load(&self.row(part)[spec.offset..]).last;
        let timed = spec.sequence.as_ref().is_some_and(|s| s.timeouts);
        let step = Step { last, now, sample: why == Look::Sample || clock || spec.uses.known || timed, clock };
        let ended = self.step_levels(work, rule, part, step, u8::MAX);
        if ended != 0 && step.sample && Head::load(&self.row(part)[spec.offset..]).level == 0 {
            // The sample that ends an episode may begin the next: `clear = "true"` gives one for each true sample.
            self.step_levels(work, rule, part, Step { last: now, ..step }, ended);
        }
        self.next = self.next.min(self.deadline(program, rule, part, true));
    }

    /// Steps those levels of a rule that are in the mask `only`, tells what changed, and returns the mask of the levels
    /// that have ended.
    fn step_levels(&mut self, work: &mut Work<'_>, rule: usize, part: Option<usize>, step: Step, only: u8) -> u8 {
        let program = work.program;
        let spec = &program.rules[rule];
        let base = spec.offset;
        let mut head = Head::load(&self.row(part)[base..]);
        let before = head;
        let bar =
            spec.bars.as_ref().map_or(Bar::Open { since: i64::MIN }, |bars| self.bar(program, bars, part, step.now));
        let (mut reached, mut from, mut unknown, mut ended, mut kept) = (0, step.now, false, 0, false);
        for (ix, level) in spec.levels.iter().enumerate().filter(|(ix, _)| only >> ix & 1 == 1) {
            let words = base + RULE_WORDS + ix * LEVEL_WORDS;
            let mut track = Track::load(&self.row(part)[words..]);
            let old = track;
            if let Bar::Open { since } = bar
                && track.phase == Phase::Pending
                && track.from < since
            {
                track = Track::load(&[0; LEVEL_WORDS]);
            }
            let settled = if head.level == 0 && head.started_at != 0 { head.started_at } else { i64::MIN };
            let view = View { settled, ..self.view(program, &work.scratch.memo, part, step.now) };
            let value = match &level.clear {
                _ if track.in_force() && head.latched => 0.0,
                Some(clear) if track.in_force() => run(&view, clear, &mut work.scratch.stack),
                None if track.in_force() => 1.0 - run(&view, &level.when, &mut work.scratch.stack),
                _ => run(&view, &level.when, &mut work.scratch.stack),
            };
            let barred = matches!(bar, Bar::Until(_)) && !track.in_force();
            kept |= barred && value == 1.0;
            let value = if barred { 0.0 } else { value };
            if reached == 0 && track.in_force() {
                unknown = value.is_nan();
            }
            track.step(level, spec.gap, step, value);
            if track != old {
                track.store(&mut self.row_mut(part)[words..]);
                if let Some(turns) = work.scratch.turns.as_mut().filter(|_| track.phase != old.phase) {
                    turns.push(Turn {
                        device: self.id.clone(),
                        component: self.component(program, part),
                        rule: spec.id.clone(),
                        level: level.name.clone(),
                        phase: track.phase,
                        at: At::from_micros(step.now),
                    });
                }
            }
            if reached == 0 && track.in_force() {
                reached = u8::try_from(ix + 1).unwrap_or(u8::MAX);
                from = self.began(program, spec, part, step.now).unwrap_or(track.from);
            }
            if old.in_force() && !track.in_force() {
                ended |= 1 << ix;
            }
        }
        if step.sample {
            head.last = step.now;
        }
        head.timer_at = if step.sample { 0 } else { step.now };
        if let Some(bars) = spec.bars.as_ref().filter(|_| step.sample) {
            self.count_kept(work, spec, bars, part, kept);
        }
        let told = head.moves(reached, from, step.now, unknown, spec.stale_after);
        let live = step.sample && !unknown && !self.life.historical;
        let change = head.in_time(told, live, self.life.historical && spec.on_backfill == OnBackfill::Record);
        let muted = head.muted;
        head.muted &= head.level != 0;
        if let Some(bars) = &spec.bars {
            match change {
                Some(Change::Raised) => head.latched = self.flaps(bars, part, step.now),
                Some(Change::Cleared) => self.row_mut(part)[bars.offset] = word(step.now),
                _ => {}
            }
        }
        if head != before {
            head.store(&mut self.row_mut(part)[base..]);
        }
        if let Some(change) = change.filter(|_| !muted) {
            let emission = Emit {
                part,
                change,
                level: head.level,
                started_at: head.started_at,
                seq: head.seq,
                latched: head.latched,
                now: step.now,
            };
            let detection = emit(self, program, spec, emission, work.scratch);
            work.out.push(detection);
        }
        ended
    }
}

/// The words of a rule before its levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Device time of its last sample.
    pub(super) last: i64,
    /// Device time at which it was last looked at without a sample, since then; 0 for never. Not kept while its inputs
    /// are unknown: nothing more can expire.
    pub(super) timer_at: i64,
    /// First true sample of the open episode.
    pub(super) started_at: i64,
    pub(super) unknown_since: i64,
    pub(super) seq: u32,
    /// 0 for none, else the index of the level plus 1, as last told.
    pub(super) level: u8,
    pub(super) stale: bool,
    /// Too many raises: it does not end by itself.
    pub(super) latched: bool,
    /// On a copy: the episode was open before and is told of elsewhere.
    pub(super) muted: bool,
    /// The episode has been told of only as history.
    pub(super) late: bool,
}

impl Head {
    pub(super) fn load(words: &[u64]) -> Self {
        let packed = words[3].to_le_bytes();
        Self {
            last: time(words[0]),
            started_at: time(words[1]),
            unknown_since: time(words[2]).max(0),
            timer_at: time(words[2]).saturating_neg().max(0),
            seq: u32::from_le_bytes([packed[0], packed[1], packed[2], packed[3]]),
            level: packed[4],
            stale: packed[5] & 1 != 0,
            latched: packed[5] & 2 != 0,
            muted: packed[5] & 4 != 0,
            late: packed[5] & 8 != 0,
        }
    }

    pub(super) fn store(self, words: &mut [u64]) {
        words[0] = word(self.last);
        words[1] = word(self.started_at);
        words[2] = word(if self.unknown_since == 0 { -self.timer_at } else { self.unknown_since });
        let [a, b, c, d] = self.seq.to_le_bytes();
        let flags = [self.stale, self.latched, self.muted, self.late];
        let flags = flags.iter().enumerate().fold(0, |all, (bit, on)| all | u8::from(*on) << bit);
        words[3] = u64::from_le_bytes([a, b, c, d, self.level, flags, 0, 0]);
    }

    /// Device time of the last look at it: what time alone has done up to then has been seen to.
    pub(super) fn seen(&self) -> i64 {
        if self.timer_at == 0 { self.last } else { self.timer_at }
    }

    /// What there is to tell besides `change`: an episode that only history has shown is told again when a `live` sample
    /// shows it too, as a move to the level that it has. `late`: what is told now is history.
    fn in_time(&mut self, change: Option<Change>, live: bool, late: bool) -> Option<Change> {
        let confirmed = change.is_none() && self.level != 0 && self.late && live;
        match change {
            Some(Change::Raised) => self.late = late,
            _ if live => self.late = false,
            _ => {}
        }
        if confirmed {
            self.seq = self.seq.saturating_add(1);
            return Some(Change::Moved);
        }
        change
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
