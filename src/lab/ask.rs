//! A rule explained from a recording: the engine plays it up to an instant and says how things stand then.

use std::sync::Arc;

use super::recording::{Entry, Error, Kind, Recording};
use crate::domain::{At, DeviceId, Registry};
use crate::engine::{Engine, Explanation, NoSuchRule};
use crate::rules::Program;

/// What to explain.
#[derive(Debug, Clone)]
pub struct Question {
    /// The rule.
    pub rule: String,
    /// The device.
    pub device: DeviceId,
    /// Which part of it, if the rule watches each of several.
    pub component: Option<String>,
    /// Arrival time up to which the recording is played; to its end unless stated.
    pub at: Option<At>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] Error),
    /// Not one of the rules.
    #[error(transparent)]
    Rule(#[from] NoSuchRule),
}

/// Plays what `recording` has of the device, and explains.
///
/// # Errors
/// There is no such rule, or the recording cannot be read.
pub fn ask(
    mut recording: Recording,
    program: &Arc<Program>,
    registry: &Arc<Registry>,
    question: &Question,
) -> Result<Explanation, AskError> {
    let mut engine = Engine::new(program.clone(), registry.clone()).with(recording.engine_settings());
    let explain = |engine: &mut Engine| engine.explain(&question.rule, &question.device, question.component.as_deref());
    // A slip in the name is told before anything is read.
    explain(&mut engine)?;
    let (mut entry, mut out) = (Entry::default(), Vec::new());
    while recording.read(&mut entry)? {
        if question.at.is_some_and(|at| entry.at > at) {
            break;
        }
        if entry.kind == Kind::Mark || entry.binding.device == question.device {
            // What cannot be decoded changes nothing, live as here.
            let _undecodable = entry.play(&mut engine, &mut out);
            out.clear();
        }
    }
    if let Some(at) = question.at {
        engine.clock(at, &mut out);
    }
    Ok(explain(&mut engine)?)
}
