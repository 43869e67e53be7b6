//! One step of the desk: take the input in, look at every touched case until nothing moves, claim what is due.

use std::collections::BTreeSet;

use super::change::Change;
use super::rows::{CaseRow, EffectRow};
use super::state::Timer;
use super::{
    Act, Input, Reply, Watch, cancel, case, claim, erase, goals, link, merge, news, optout, outcome, report, speech,
    stop, storm, talk,
};
use crate::domain::DeviceId;

/// Timers handled in one step; the rest is due at once in the next.
const MOST_TIMERS: usize = 64;
/// A case that still moves after so many looks goes on in the next step.
const MOST_ROUNDS: usize = 16;

pub(super) fn take_in(change: &mut Change<'_>, input: Input) -> Reply {
    match input {
        Input::Detection(detection) => case::detected(change, &detection),
        Input::Facts { device, event_at, values } => case::facts(change, &device, event_at, values),
        Input::Shed { models } => report::shed(change, &models),
        Input::Outcome { effect, attempt, outcome } => news::outcome(change, effect, attempt, &outcome),
        Input::Receipt(receipt) => news::receipt(change, &receipt),
        Input::Signed { by, receipt } => news::signed(change, &by, &receipt),
        Input::Answered { effect, turn, provider_ref } => speech::answered(change, effect, turn, &provider_ref),
        Input::Link { link, form } => link::posted(change, &link, &form),
        Input::Ack { case, actor } => case::acknowledged(change, case, &actor),
        Input::Close { case, actor, reason } => case::closed_by_person(change, case, &actor, &reason),
        Input::Release { rule, actor } => storm::release_rule(change, &rule, &actor),
        Input::Judge { case, verdict, by, standing } => outcome::judged(change, case, verdict, &by, standing),
        Input::Found { effect, verdict, by } => outcome::found(change, effect, verdict, &by),
        Input::Erase { customer, force, actor } => erase::erase(change, &customer, force, &actor),
        Input::Readmit { customer, actor } => erase::readmit(change, &customer, &actor),
        Input::Said(said) => talk::heard(change, &said),
        Input::Called { from, id, actor } => talk::called(change, &from, &id, &actor),
        Input::OptOut { endpoint, channel, purpose, actor } => {
            optout::by_person(change, &endpoint, channel, purpose, &actor)
        }
        Input::Act { case, actor, act } => match act {
            Act::Stop { stop, reason } => stop::turned(change, case, stop, &actor, &reason),
            Act::Merge { into } => case.map_or(Reply::NotFound, |id| merge::by_person(change, id, into, &actor)),
            Act::Split => case.map_or(Reply::NotFound, |id| merge::split(change, id, &actor)),
            Act::FalseAlarm { reason } => {
                case.map_or(Reply::NotFound, |id| cancel::false_alarm(change, id, &actor, &reason))
            }
            Act::Release => case.map_or(Reply::NotFound, |id| storm::release(change, id, &actor)),
            Act::Approve { tier } => {
                case.map_or(Reply::NotFound, |id| storm::approve(change, id, tier.as_deref(), &actor))
            }
        },
        Input::Switch { topic, stop, received_at, retained } => {
            stop::message(change, &topic, stop, received_at, retained)
        }
        Input::Started => news::restarted(change),
        Input::Wake => wake(change),
    }
}

fn wake(change: &mut Change<'_>) -> Reply {
    change.because("timer", "time has passed");
    let mut ready = Vec::new();
    for timer in change.due_timers(MOST_TIMERS) {
        match timer {
            Timer::Case(id) => {
                change.touched.insert(id);
            }
            Timer::Effect(id) => {
                let Some(row) = change.get::<EffectRow>(&id) else { continue };
                if row.delivery.state.is_waiting() && change.now < row.delivery.limit_at {
                    ready.push(id);
                } else {
                    news::tick(change, id);
                }
            }
        }
    }
    claim::claim(change, ready);
    Reply::Done
}

pub(super) fn settle(change: &mut Change<'_>) {
    for _ in 0..MOST_ROUNDS {
        let touched = std::mem::take(&mut change.touched);
        if touched.is_empty() {
            return;
        }
        for id in touched {
            goals::advance(change, id);
        }
        claim::due(change);
    }
    for id in std::mem::take(&mut change.touched) {
        if let Some(mut row) = change.get::<CaseRow>(&id) {
            row.wake_at = Some(change.now);
            change.put(id, row);
        }
    }
}

/// Devices whose first case was opened or last case was closed.
pub(super) fn watches(change: &Change<'_>) -> Vec<(DeviceId, Watch)> {
    let devices: BTreeSet<&DeviceId> = change
        .pending
        .cases
        .iter()
        .filter_map(|(id, row)| match row {
            Some(row) => Some(&row.device),
            None => change.base.rows.cases.get(id).map(|r| &r.device),
        })
        .collect();
    let mut watches = Vec::new();
    for device in devices {
        let before = change.base.open_by_device.get(device).cloned().unwrap_or_default();
        let mut after = before.clone();
        for (id, row) in &change.pending.cases {
            match row {
                Some(row) if row.device == *device && row.is_open() => after.insert(*id),
                _ => after.remove(id),
            };
        }
        match (before.is_empty(), after.is_empty()) {
            (true, false) => watches.push((device.clone(), Watch::Start)),
            (false, true) => watches.push((device.clone(), Watch::Stop)),
            _ => {}
        }
    }
    watches
}
