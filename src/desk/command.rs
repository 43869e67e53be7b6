//! `command`: correct the device from afar, once, with proof.

use super::TimelineKind;
use super::change::Change;
use super::goals::{self, Wake};
use super::plan::Effect;
use super::rows::{CaseRow, EffectRow, StepRow, StepState};
use serde::{Deserialize, Serialize};

use super::facts::CaseFacts;
use crate::domain::{At, CaseId, DeviceId, Span};
use crate::outbox::{Kind, State};
use crate::playbook::{Command, Held, Mirror, Reaction, Step, Verb};

/// The commands that were sent to a device, or (without one) to the whole fleet: when, and which. The newest only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct CommandsRow {
    sent: Vec<(At, String)>,
}

/// So many are remembered: a guard that allows more than that allows everything.
const REMEMBERED: usize = 512;

/// Writes down that a command goes out.
pub(super) fn note(change: &mut Change<'_>, row: &EffectRow) {
    let Some(case) = change.get::<CaseRow>(&row.case) else { return };
    let plan = change.plan(&case);
    let Some(Verb::Command(c)) = plan.as_ref().and_then(|p| p.step(&row.step)).map(|s| &s.verb) else { return };
    for device in [None, Some(case.device)] {
        let window = window(device.as_ref());
        let mut commands = change.get::<CommandsRow>(&device).unwrap_or_default();
        commands.sent.retain(|(at, _)| change.now.since(*at) < window);
        commands.sent.push((change.now, c.op.to_string()));
        let excess = commands.sent.len().saturating_sub(REMEMBERED);
        commands.sent.drain(..excess);
        change.put(device, commands);
    }
}

/// Commands to the fleet in the last hour, or `op` to one device in the last day.
pub(super) fn sent(change: &Change<'_>, device: Option<&DeviceId>, op: &str) -> u32 {
    let commands = change.get::<CommandsRow>(&device.cloned()).unwrap_or_default();
    let counts =
        |(at, sent): &&(At, String)| change.now.since(*at) < window(device) && (device.is_none() || sent == op);
    u32::try_from(commands.sent.iter().filter(counts).count()).unwrap_or(u32::MAX)
}

fn window(device: Option<&DeviceId>) -> Span {
    Span::from_hours(if device.is_some() { 24 } else { 1 })
}

/// Guards that are not true are looked at again; after this long it is given up.
pub(super) const GUARD_PATIENCE: Span = Span::from_mins(10);

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, c: &Command, mut row: StepRow, wake: &mut Wake) {
    let Some(effect) = row.effect else { return start(change, id, step, c, row, wake) };
    let Some(e) = change.get::<EffectRow>(&effect) else { return };
    match e.delivery.state {
        State::Confirmed => match &c.verify {
            None => {
                goals::done(change, id, &step.id, row, step.goal.as_ref(), "device");
                if let Some(reaction) = c.on.get("ok") {
                    goals::react(change, id, reaction, "the device has answered");
                }
            }
            Some((expect, within)) => {
                let Some(case) = change.get::<CaseRow>(&id) else { return };
                let since = *row.deadline_at.get_or_insert(change.now + *within);
                let (truth, at) = goals::truth(change, id, &case, expect, &mut row.held);
                if truth == Some(true) {
                    return goals::done(change, id, &step.id, row, step.goal.as_ref(), "telemetry");
                }
                if change.now >= since {
                    return failed(change, id, step, c, row, "not_verified");
                }
                wake.at(at);
                wake.at(since);
                change.put((id, step.id.clone()), row);
            }
        },
        // The text of the row is what the device said when it refused.
        State::Failed if e.text.is_some() => failed(change, id, step, c, row, "refused"),
        s if s.is_lost() => failed(change, id, step, c, row, "no_reply"),
        _ => {}
    }
}

fn start(change: &mut Change<'_>, id: CaseId, step: &Step, c: &Command, mut row: StepRow, wake: &mut Wake) {
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let facts = CaseFacts::new(change, id, &case).of_command(&c.op);
    let safe = c.guard.iter().all(|g| g.evaluate(change.now, &facts, &mut Held::default()).truth == Some(true));
    if !safe {
        let patience = row.started_at + GUARD_PATIENCE;
        if change.now >= patience {
            return failed(change, id, step, c, row, "refused");
        }
        wake.at(patience.min(change.now + Span::from_secs(30)));
        return;
    }
    let mut effect = Effect::new(change, Kind::Command, &c.provider, &step.id, row.again.to_string());
    effect.limit_at = Some(change.now + c.expires.min(c.reply_within));
    row.effect = Some(effect.plan(change, id));
    change.put((id, step.id.clone()), row);
}

fn failed(change: &mut Change<'_>, id: CaseId, step: &Step, c: &Command, mut row: StepRow, event: &str) {
    let what = match event {
        "refused" => "the device did not take the command",
        "no_reply" => "the device did not answer the command",
        _ => "the command did not help",
    };
    let text = format!("{what} (step {})", step.id);
    change.say(id, TimelineKind::Trouble, text.clone(), row.effect);
    change.note(id, Mirror::Note, &format!("The device was not corrected: {what}."));
    match c.on.get(event) {
        Some(Reaction::Again(n)) if row.again < *n => {
            row.again += 1;
            row.effect = None;
            row.deadline_at = None;
            row.started_at = change.now;
            change.put((id, step.id.clone()), row);
            change.touched.insert(id);
        }
        Some(Reaction::Proceed) => goals::done(change, id, &step.id, row, None, what),
        reaction => {
            row.state = StepState::Failed;
            change.put((id, step.id.clone()), row);
            match reaction {
                Some(r @ (Reaction::Human(_) | Reaction::Goto(_))) => goals::react(change, id, r, &text),
                _ => goals::page_default(change, id, &text),
            }
        }
    }
}
