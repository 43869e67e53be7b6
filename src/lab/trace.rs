//! The course of what a rule compares, for a few stretches of a recording: a second look, for people who want to see.

use std::sync::Arc;

use super::play::PlayError;
use super::recording::{Entry, Kind, Recording};
use crate::domain::{At, DeviceId, Registry, RuleId};
use crate::engine::{Engine, Gauge};
use crate::rules::Program;

/// More points of a stretch are not kept: every second one is dropped, and from then on every second one is taken.
const MAX_POINTS: usize = 4_096;

/// A stretch of a recording to be looked at.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// The rule.
    pub rule: RuleId,
    /// The device.
    pub device: DeviceId,
    /// The part of the device, if the rule watches each of several.
    pub component: Option<String>,
    /// From here …
    pub from: At,
    /// … to here, both included.
    pub to: At,
}

/// A comparison of a rule over a stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct Strand {
    /// As it is written: `avg(days, 8d) < 46`.
    pub text: String,
    /// Its left side as it is written.
    pub left: String,
    /// The unit of both sides.
    pub unit: String,
    /// Time, left side and right side; NaN is unknown.
    pub points: Vec<(At, f64, f64)>,
}

/// What is collected of a stretch.
struct Collected {
    stretch: Stretch,
    strands: Vec<Strand>,
    /// Every so many messages one is taken.
    every: u64,
    seen: u64,
}

/// Plays the devices of the stretches once more and takes down what their rules compare. `recording` is the one that
/// the stretches are of, opened anew.
///
/// # Errors
/// It cannot be read any more.
pub fn trace(
    mut recording: Recording,
    program: &Arc<Program>,
    registry: &Arc<Registry>,
    stretches: Vec<Stretch>,
) -> Result<Vec<Vec<Strand>>, PlayError> {
    let mut engine = Engine::new(program.clone(), registry.clone()).with(recording.engine_settings());
    let mut all: Vec<Collected> =
        stretches.into_iter().map(|stretch| Collected { stretch, strands: Vec::new(), every: 1, seen: 0 }).collect();
    let (mut entry, mut out) = (Entry::default(), Vec::new());
    while recording.read(&mut entry)? {
        let of_device = |c: &Collected| c.stretch.device == entry.binding.device;
        if entry.kind != Kind::Mark && !all.iter().any(of_device) {
            continue;
        }
        // What cannot be decoded was counted the first time.
        let _undecodable = entry.play(&mut engine, &mut out);
        out.clear();
        if entry.kind != Kind::Mark {
            for collected in all.iter_mut().filter(|c| of_device(c)) {
                collected.take(&engine, entry.at);
            }
        }
    }
    Ok(all.into_iter().map(|c| c.strands).collect())
}

impl Collected {
    fn take(&mut self, engine: &Engine, at: At) {
        let Stretch { rule, device, component, from, to } = &self.stretch;
        if at < *from || at > *to {
            return;
        }
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        for (ix, gauge) in engine.gauges(rule, device, component.as_deref()).into_iter().enumerate() {
            let Gauge { text, left_text, unit, left, right } = gauge;
            if self.strands.len() == ix {
                self.strands.push(Strand { text, left: left_text, unit, points: Vec::new() });
            }
            self.strands[ix].points.push((at, left, right));
        }
        if self.strands.first().is_some_and(|s| s.points.len() >= MAX_POINTS) {
            self.every *= 2;
            for strand in &mut self.strands {
                let mut keep = false;
                strand.points.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
        }
    }
}
