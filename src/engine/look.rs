//! Looking at a rule: its levels are stepped, and what changed is told.

use super::bars::Bar;
use super::device::{Device, Work};
use super::emit::{Emit, emit};
use super::level::{Phase, Step, Track};
use super::ops::{time, word};
use super::vm::{Stack, View, run};
use crate::domain::Change;
use crate::rules::{LEVEL_WORDS, MAX_LEVELS, OnBackfill, RULE_WORDS, RuleProgram};

/// Why a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Sample,
    Timer,
}

impl Device {
    /// Looks at those rules of one word of the bit set that a sample at `now` touches.
    pub(super) fn look_at_touched(&mut self, work: &mut Work<'_>, block: usize, now: i64) {
        let touched = work.scratch.rules[block];
        // No condition reads what a look changes: all of them can be asked before the first is acted on.
        let quiet = self.quiet(work, block, now);
        for bit in bits(touched) {
            let rule = block * 64 + bit;
            if quiet >> bit & 1 == 0 {
                self.look(work, rule, now, Look::Sample);
                continue;
            }
            let spec = &work.program.rules[rule];
            for part in self.seats(spec.lane) {
                self.row_mut(part)[spec.offset] = word(now);
            }
        }
    }

    /// Those of the touched rules that a sample at `now` leaves as they are, but for its time: nothing is up and nothing
    /// comes up. So it is with nearly all rules nearly always.
    fn quiet(&self, work: &mut Work<'_>, block: usize, now: i64) -> u64 {
        let (program, scratch) = (work.program, &mut *work.scratch);
        let view = self.view(program, &scratch.memo, None, now);
        let mut quiet = 0;
        for bit in bits(scratch.rules[block]) {
            let spec = &program.rules[block * 64 + bit];
            let mut still = spec.still && self.profile.enabled[block * 64 + bit] && !self.skips(spec);
            if spec.lane == 0 {
                still = still && is_quiet(view, spec, &mut scratch.stack);
            } else {
                let mut parts = self.parts.range(spec.lane);
                still = still && parts.all(|part| is_quiet(view.of(part), spec, &mut scratch.stack));
            }
            quiet |= u64::from(still) << bit;
        }
        quiet
    }

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
        let sample = why == Look::Sample || spec.timed;
        let clock = spec.uses.silence();
        let last = Head::load(&self.row(part)[spec.offset..]).last;
        let step = Step { last, now, sample, clock };
        let (head, ended) = self.step_levels(work, spec, part, step, u8::MAX);
        if ended != 0 && sample && head.level == 0 {
            // The sample that ends an episode may begin the next: `clear = "true"` gives one for each true sample.
            self.step_levels(work, spec, part, Step { last: now, ..step }, ended);
        }
        self.next = self.next.min(self.deadline(program, rule, part, true));
    }

    /// What the conditions of a rule say, by level: `clear` of one that is in force, `when` of the others.
    fn ask(&self, work: &mut Work<'_>, spec: &RuleProgram, part: Option<usize>, now: i64) -> [f64; MAX_LEVELS] {
        let words = &self.row(part)[spec.offset..];
        let (settled, opened) = (Head::settled(words), Head::load(words).opened());
        let view = View { settled, opened, ..self.view(work.program, &work.scratch.memo, part, now) };
        let mut values = [0.0; MAX_LEVELS];
        for ((value, level), track) in values.iter_mut().zip(&spec.levels).zip(tracks(words)) {
            *value = match &level.clear {
                _ if !Phase::load(track).in_force() => run(&view, &level.when, &mut work.scratch.stack),
                _ if Head::load(words).latched => 0.0,
                Some(clear) => run(&view, clear, &mut work.scratch.stack),
                None => 1.0 - run(&view, &level.when, &mut work.scratch.stack),
            };
        }
        values
    }

    /// Steps those levels of a rule that are in the mask `only`, and tells what changed. Returns the head and the mask of
    /// the levels that have ended.
    fn step_levels(
        &mut self,
        work: &mut Work<'_>,
        spec: &RuleProgram,
        part: Option<usize>,
        step: Step,
        only: u8,
    ) -> (Head, u8) {
        let program = work.program;
        let bar = spec.bars.as_ref().map(|bars| self.bar(program, bars, part, step.now));
        let values = self.ask(work, spec, part, step.now);
        let (mut reached, mut unknown, mut kept, mut turned, mut ended) = (None, false, false, 0, 0);
        let tracks = self.row_mut(part)[spec.offset + RULE_WORDS..].chunks_exact_mut(LEVEL_WORDS);
        let levels = spec.levels.iter().zip(values).zip(tracks).enumerate();
        for (ix, ((level, value), words)) in levels.filter(|(ix, _)| only >> ix & 1 == 1) {
            let old = Track::load(words);
            let mut track = old;
            if let Some(Bar::Open { since }) = bar
                && track.phase == Phase::Pending
                && track.from < since
            {
                track = Track::load(&[0; LEVEL_WORDS]);
            }
            let barred = matches!(bar, Some(Bar::Until(_))) && !track.phase.in_force();
            kept |= barred && value == 1.0;
            if reached.is_none() && track.phase.in_force() {
                unknown = value.is_nan();
            }
            track.step(level, spec.gap, step, if barred { 0.0 } else { value });
            if track != old {
                track.store(words);
                turned |= u8::from(track.phase != old.phase) << ix;
            }
            if track.phase.in_force() {
                reached = reached.or(Some((ix, track.from)));
            } else if old.phase.in_force() {
                ended |= 1 << ix;
            }
        }
        if turned != 0 {
            self.note_turns(work, spec, part, turned, step.now);
        }
        if let Some(bars) = spec.bars.as_ref().filter(|_| step.sample) {
            self.count_kept(work, spec, bars, part, kept);
        }
        let seen = Seen {
            level: reached.map_or(0, |(ix, _)| u8::try_from(ix + 1).unwrap_or(u8::MAX)),
            from: reached.map_or(step.now, |(_, from)| self.began(program, spec, part, step.now).unwrap_or(from)),
            unknown,
        };
        (self.tell(work, spec, part, step, seen), ended)
    }

    /// Moves the head of a rule on and tells what changed.
    fn tell(&mut self, work: &mut Work<'_>, spec: &RuleProgram, part: Option<usize>, step: Step, seen: Seen) -> Head {
        let mut head = Head::load(&self.row(part)[spec.offset..]);
        if step.sample {
            head.last = step.now;
        }
        head.timer_at = if step.sample { 0 } else { step.now };
        let told = head.moves(seen, step.now, spec.stale_after);
        let live = step.sample && !seen.unknown && !self.life.historical;
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
        head.store(&mut self.row_mut(part)[spec.offset..]);
        if let Some(change) = change.filter(|_| !muted) {
            let Head { level, started_at, seq, latched, .. } = head;
            let emission = Emit { part, change, level, started_at, seq, latched, now: step.now };
            let detection = emit(self, work.program, spec, emission, work.scratch);
            work.out.push(detection);
        }
        head
    }
}

/// Whether a sample leaves a rule that is still as it is, for who looks by `view`.
fn is_quiet(mut view: View<'_>, spec: &RuleProgram, stack: &mut Stack) -> bool {
    let words = &view.words(spec.lane)[spec.offset..];
    view.settled = Head::settled(words);
    Head::is_idle(words)
        && spec.levels.iter().zip(tracks(words)).all(|(level, track)| {
            // What was true may be so again, which is for the level machine to say.
            Track::is_idle(track) && run(&view, &level.when, stack) != 1.0
        })
}

/// The words of each level; `words` begin with those of their rule.
fn tracks(words: &[u64]) -> impl Iterator<Item = &[u64]> {
    words[RULE_WORDS..].chunks_exact(LEVEL_WORDS)
}

/// The bits that are set, lowest first.
pub(super) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| word &= word - 1).map(|()| bit)
    })
}

/// What the levels of a rule come to.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Index of the highest level in force plus 1; 0 for none.
    level: u8,
    /// Its first true sample.
    from: i64,
    /// Whether what would end it is unknown.
    unknown: bool,
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
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the word")]
    pub(super) fn load(words: &[u64]) -> Self {
        let (seq, level, flags) = (words[3] as u32, (words[3] >> 32) as u8, words[3] >> 40);
        Self {
            last: time(words[0]),
            started_at: time(words[1]),
            unknown_since: time(words[2]).max(0),
            timer_at: time(words[2]).saturating_neg().max(0),
            seq,
            level,
            stale: flags & 1 != 0,
            latched: flags & 2 != 0,
            muted: flags & 4 != 0,
            late: flags & 8 != 0,
        }
    }

    pub(super) fn store(self, words: &mut [u64]) {
        words[0] = word(self.last);
        words[1] = word(self.started_at);
        words[2] = word(if self.unknown_since == 0 { -self.timer_at } else { self.unknown_since });
        let flags = [self.stale, self.latched, self.muted, self.late].map(u64::from);
        let flags = flags[0] | flags[1] << 1 | flags[2] << 2 | flags[3] << 3;
        words[3] = u64::from(self.seq) | u64::from(self.level) << 32 | flags << 40;
    }

    /// Whether no episode is open, and a sample that changes nothing else moves `last` alone.
    fn is_idle(words: &[u64]) -> bool {
        words[2] == 0 && words[3] >> 32 == 0
    }

    /// What began up to then has had its episode; `i64::MIN` while one is open, or before the first.
    fn settled(words: &[u64]) -> i64 {
        let Self { started_at, level, .. } = Self::load(words);
        if level == 0 && started_at != 0 { started_at } else { i64::MIN }
    }

    /// When the open episode began; `i64::MIN` for none.
    pub(super) fn opened(&self) -> i64 {
        if self.level == 0 { i64::MIN } else { self.started_at }
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

    /// What there is to tell, now that this has been `seen`.
    fn moves(&mut self, seen: Seen, now: i64, stale_after: i64) -> Option<Change> {
        let Seen { level: reached, from, unknown } = seen;
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
