//! Why a rule fired for a device, and why it did not: every part of its conditions with its value, how far its holds
//! are, and sentences that say what decides.
//!
//! The values come from the machine that runs the rules, over the code of each part. Nothing is kept for it: a rule is
//! explained as the device is now. An engine that has played a recording up to an instant explains that instant.

mod bars;
mod learned;
mod steps;
mod tree;
mod why;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::device::{Device, Life};
use super::emit;
use super::fold::Memo;
use super::level::{Phase, Track};
use super::look::Head;
use super::vm::View;
use crate::domain::{At, Component, DeviceId, EpisodeId, Mode, ModelId, RuleId, Severity, Span, shard_of};
use crate::rules::{LEVEL_WORDS, RULE_WORDS, RuleProgram};
use crate::source::did_you_mean;
use tree::Scene;

/// Where a rule stands with a device, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The rule.
    pub rule: RuleId,
    /// Whether it may act.
    pub mode: Mode,
    /// The device.
    pub device: DeviceId,
    /// Which part of it, if the rule watches each of several.
    pub component: Option<Component>,
    /// What the device is, if that is known.
    pub model: Option<ModelId>,
    /// Device time now; `None`: nothing was heard of it.
    pub at: Option<At>,
    /// How wrong its clock is; `None`: not that anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<WrongClock>,
    /// `major`, `major, clearing`, `pending (major)`, `ok`, `not watched`, `off`, `never heard`; with `, latched` and
    /// `, stale`.
    pub state: String,
    /// First true sample of the open episode.
    pub since_at: Option<At>,
    /// The open episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<EpisodeId>,
    /// Sentences for people: what decides.
    pub why: Vec<String>,
    /// `where`, if the rule has one.
    pub filter: Option<Part>,
    /// What may keep it from raising: `[rule.active]`, `[rule.gate]`, `[rule.limits]`.
    #[serde(default)]
    pub bars: Vec<Part>,
    /// Its levels, highest first.
    pub levels: Vec<LevelNow>,
    /// The next device time at which something happens without a new message.
    pub next_at: Option<At>,
}

/// The clock of a device that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongClock {
    /// How far it is ahead of ours (less than nothing: behind), as far as that is known; it is taken off every time that the
    /// device sends.
    pub offset: Span,
    /// Messages whose time was ahead by more than the `max_future` of the model: they count as of their arrival.
    pub too_far: u64,
    /// When the newest of them was received, and by how much it was ahead.
    pub newest: Option<(At, Span)>,
}

impl WrongClock {
    fn of(device: &Device) -> Option<Self> {
        let aside = device.aside.as_deref()?;
        let (offset, ahead) = (aside.skew.map_or(0, |skew| skew.offset), aside.ahead);
        (offset != 0 || ahead.count > 0).then(|| Self {
            offset: Span::from_micros(offset),
            too_far: ahead.count,
            newest: (ahead.count > 0).then(|| (At::from_micros(ahead.newest_at), Span::from_micros(ahead.by))),
        })
    }
}

/// A level now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelNow {
    /// Its name.
    pub name: String,
    /// How bad.
    pub severity: Severity,
    /// `off`, `pending`, `on`, `clearing`.
    pub phase: String,
    /// What it waits for, while it is pending or clearing.
    pub wait: Option<Wait>,
    /// The condition that raises it.
    pub when: Option<Part>,
    /// The condition that ends it; `None`: not `when`.
    pub clear: Option<Part>,
}

/// How far a hold is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// So long the condition must be true …
    pub hold: Span,
    /// … and so long it was, as far as samples cover it.
    pub held: Span,
    /// So many samples in a row must say so …
    pub confirm: u32,
    /// … and so many did.
    pub confirmed: u32,
    /// Why it does not go on at the moment.
    pub paused: Option<String>,
    /// When it will be over if nothing else happens.
    pub over_at: Option<At>,
}

/// A part of an expression and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// As written.
    pub text: String,
    /// Where: `rules/car.toml:14`.
    pub place: String,
    /// For people: `88 °C`, `true`, `unknown`.
    pub value: String,
    /// Age, where a threshold comes from, how full a window is. Empty: nothing to add.
    pub note: String,
    /// What it is made of.
    pub parts: Vec<Self>,
}

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule '{rule}'")]
pub struct NoSuchRule {
    /// As asked for.
    pub rule: String,
    /// A rule that is called much like it.
    pub near: Option<RuleId>,
}

impl Engine {
    /// Explains a rule for a device, or for one of its parts (`cell[3]`), as it is now. Of a rule that watches each of
    /// several parts, and without the name of one, the part that is the furthest on is explained.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn explain(
        &mut self,
        rule: &str,
        device: &DeviceId,
        component: Option<&str>,
    ) -> Result<Explanation, NoSuchRule> {
        let program = self.program.clone();
        let Some(info) = program.rules().iter().find(|r| r.id.as_str() == rule) else {
            let near = did_you_mean(rule, program.rules().iter().map(|r| r.id.as_str())).map(RuleId::from);
            return Err(NoSuchRule { rule: rule.to_owned(), near });
        };
        let shard = &self.shards[usize::from(shard_of(device.as_str()))];
        let known = shard.index.iter().enumerate().find_map(|(m, devices)| Some((m, *devices.get(device)? as usize)));
        let registered = self.registry.devices.get(device);
        let model_ix = known.map(|k| k.0).or_else(|| program.models().index(&registered?.model));
        let mut told = Explanation {
            rule: info.id.clone(),
            mode: info.mode,
            device: device.clone(),
            component: None,
            model: model_ix.map(|ix| program.models[ix].model.id.clone()),
            at: None,
            clock: None,
            state: "never heard".to_owned(),
            since_at: None,
            episode: None,
            why: Vec::new(),
            filter: None,
            bars: Vec::new(),
            levels: Vec::new(),
            next_at: None,
        };
        let Some(model_ix) = model_ix else {
            told.why.push(format!("Nothing was heard of {device}, and it is not in the registry."));
            return Ok(told);
        };
        let model = &program.models[model_ix];
        let Some(rule_ix) = model.rules.iter().position(|r| r.id == info.id) else {
            (told.state, told.why) = why::never_runs(info, device, &model.model.id);
            return Ok(told);
        };
        let spec = &model.rules[rule_ix];
        let profile = self.profiles[model_ix].of(model, registered);
        let memo = Memo::default();
        let Some((_, ix)) = known else {
            // Nothing was heard, but what the registry says can be told.
            let (row, parts) = (super::part::empty_row(model, 0), Vec::new());
            let view = View {
                program: model,
                profile: &profile,
                row: &row,
                parts: &parts,
                part: usize::MAX,
                own: &row,
                memo: &memo,
                settled: i64::MIN,
                opened: i64::MIN,
                now: 0,
                life: &Life::new(0),
            };
            let scene = Scene { program: model, spec, device: None, seat: None, registered, view };
            scene.fill_static(&mut told, profile.enabled[rule_ix]);
            told.why.push(format!("Nothing was heard of {device} yet."));
            return Ok(told);
        };
        let heard = &shard.devices[ix];
        let now = heard.life.clock.saturating_add((shard.clock.healthy - heard.life.anchor).max(0));
        told.at = Some(At::from_micros(now));
        told.clock = WrongClock::of(heard);
        let seats: Vec<Option<usize>> = heard.seats(spec.lane).collect();
        let name = |seat: &Option<usize>| heard.component(model, *seat);
        let seat = match component {
            Some(wanted) => seats.iter().find(|seat| name(seat).is_some_and(|c| c.as_str() == wanted)),
            None => seats.iter().min_by_key(|seat| rank(heard, spec, **seat)),
        };
        let Some(seat) = seat.copied() else {
            let part = component.unwrap_or("a part that the rule watches");
            told.why.push(format!("Nothing was heard of {part} of {device}."));
            return Ok(told);
        };
        told.component = name(&seat);
        let head = Head::load(&heard.row(seat)[spec.offset..]);
        let scene = Scene {
            program: model,
            spec,
            device: Some(heard),
            seat,
            registered,
            view: View { opened: head.opened(), ..heard.view(model, &memo, seat, now) },
        };
        scene.fill_static(&mut told, profile.enabled[rule_ix]);
        if profile.enabled[rule_ix] {
            scene.fill(&mut told, now);
        }
        if component.is_none() && seats.len() > 1 {
            told.why.push(format!("The rule watches {} parts; this one is the furthest on.", seats.len()));
        }
        Ok(told)
    }
}

/// Lower for what people ask about first: a higher level, in force before pending.
fn rank(device: &Device, spec: &RuleProgram, seat: Option<usize>) -> (usize, usize) {
    let words = &device.row(seat)[spec.offset..];
    let in_force = usize::from(Head::load(words).level);
    let waits = |ix: &usize| Phase::load(&words[RULE_WORDS + ix * LEVEL_WORDS..]).waits();
    let waiting = (0..spec.levels.len()).find(waits).unwrap_or(usize::MAX);
    (if in_force == 0 { usize::MAX } else { in_force }, waiting)
}

impl Scene<'_> {
    /// What the registry decides.
    fn fill_static(&self, told: &mut Explanation, enabled: bool) {
        let filter = self.spec.trees.filter.as_ref();
        told.filter = filter.map(|node| self.part(node));
        if !enabled {
            told.state = "not watched".to_owned();
            let because = filter.map_or_else(String::new, |node| self.because(node));
            let value = filter.map_or("false", |node| self.truth(node));
            told.why.push(format!("The rule does not watch {}: `where` is {value} because {because}.", told.device));
        }
    }

    /// What the device says.
    fn fill(&self, told: &mut Explanation, now: i64) {
        let Some(device) = self.device else { return };
        let words = &device.row(self.seat)[self.spec.offset..];
        let head = Head::load(words);
        let clock = self.spec.uses.silence();
        let mut waits = Vec::new();
        for (ix, level) in self.spec.levels.iter().enumerate() {
            let track = Track::load(&words[RULE_WORDS + ix * LEVEL_WORDS..]);
            let trees = self.spec.trees.levels.get(ix);
            let (when, clear) = (trees.and_then(|t| t.when.as_ref()), trees.and_then(|t| t.clear.as_ref()));
            let over_at = track.deadline(level, self.spec.gap, head.last, clock).map(At::from_micros);
            let wait = track.phase.waits().then(|| self.wait(&track, ix, head.last, now, over_at));
            waits.extend(wait.as_ref().and_then(|w| w.over_at));
            told.levels.push(LevelNow {
                name: level.name.clone(),
                severity: level.severity,
                phase: phase(track.phase).to_owned(),
                wait,
                when: when.map(|n| self.part(n)),
                clear: clear.map(|n| self.part(n)),
            });
        }
        waits.extend(device.missed_at(self.program, self.spec, self.seat).map(At::from_micros));
        told.next_at = waits.into_iter().min();
        told.bars = self.bars(device, head);
        told.state = self.state(head, told);
        told.since_at = (head.level != 0).then(|| At::from_micros(head.started_at));
        let episode =
            |at: At| emit::episode(told.rule.as_str(), told.device.as_str(), told.component.as_ref(), at.as_micros());
        told.episode = told.since_at.map(episode);
        told.why = self.why(head, told);
    }

    fn wait(&self, track: &Track, level: usize, last: i64, now: i64, over_at: Option<At>) -> Wait {
        let level = &self.spec.levels[level];
        let (hold, confirm) = if track.phase.in_force() { (level.clear_hold, 1) } else { (level.hold, level.confirm) };
        let since = (now - last).max(0);
        let gap = since > self.spec.gap.max;
        let running = if track.paused { 0 } else { since.min(self.spec.gap.max) };
        let last_at = At::from_micros(last);
        let paused = if track.paused {
            Some(format!("the condition has been unknown since {last_at}"))
        } else {
            gap.then(|| format!("no message since {last_at}"))
        };
        Wait {
            hold: Span::from_micros(hold),
            held: Span::from_micros(track.acc.saturating_add(running).min(hold)),
            confirm,
            confirmed: track.count.min(confirm),
            paused,
            over_at,
        }
    }

    fn state(&self, head: Head, told: &Explanation) -> String {
        let on = usize::from(head.level).checked_sub(1).and_then(|ix| told.levels.get(ix));
        let mut state = match on {
            Some(level) if level.phase == "clearing" => format!("{}, clearing", level.name),
            Some(level) => level.name.clone(),
            None => match told.levels.iter().find(|l| l.phase == "pending") {
                Some(level) => format!("pending ({})", level.name),
                None => "ok".to_owned(),
            },
        };
        if head.latched {
            state.push_str(", latched");
        }
        if head.stale {
            state.push_str(", stale");
        }
        state
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Off => "off",
        Phase::Pending => "pending",
        Phase::On => "on",
        Phase::Clearing => "clearing",
    }
}
