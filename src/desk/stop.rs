//! The stop switches: one for everything, one for a case. What a switch holds waits and is not lost; what is under way goes
//! on. A switch is turned by a person over the API, or by a message on its topic.
//!
//! Messages on a topic come again: the journal is replayed, and the broker hands out a retained one at every
//! subscription. So a message counts only if it reached us after the switch was last turned, and a retained one only if
//! it does not say again what the topic said last: whoever has turned the switch back in the meantime had a reason.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::facts::{Reader, context};
use super::rows::{CaseRow, EffectRow};
use super::seal::Sealed;
use super::state::Timer;
use super::storm::{self, ChildRow};
use super::{Desk, Reply, SwitchView, TimelineKind, position};
use crate::domain::{At, CaseId, EffectId, Purpose, Span, Stop};
use crate::playbook::Hold;

/// How often what waits for a switch looks at it again.
pub(super) const LOOK_AGAIN: Span = Span::from_secs(15);
/// So much of it looks as soon as the switch is turned; that is one record.
const MOST_AT_ONCE: usize = 1_000;
const MAX_REASON: usize = 500;

/// A stop switch; the key is its case, `None` for that of everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct SwitchRow {
    pub(super) topic: Option<String>,
    pub(super) stop: Stop,
    pub(super) by: String,
    /// What whoever turned it typed.
    pub(super) reason: Option<Sealed>,
    pub(super) at: At,
    /// What the topic said last.
    pub(super) told: Option<Stop>,
}

/// A person turns a switch.
pub(super) fn turned(change: &mut Change<'_>, case: Option<CaseId>, stop: Stop, actor: &str, reason: &str) -> Reply {
    if let Some(id) = case {
        match change.get::<CaseRow>(&id) {
            None => return Reply::NotFound,
            Some(row) if !row.is_open() => return Reply::Refused("the case is closed".to_owned()),
            Some(_) => {}
        }
    }
    change.because(format!("api:{actor}"), format!("the stop switch is {}", stop.as_str()));
    let reason: String = reason.chars().take(MAX_REASON).collect();
    turn(change, case, stop, actor.to_owned(), &reason, change.now);
    Reply::Done
}

/// A message on the topic of a switch.
pub(super) fn message(change: &mut Change<'_>, topic: &str, stop: Stop, at: At, retained: bool) -> Reply {
    let Some(case) = named(change, topic) else { return Reply::NotFound };
    let row = change.get::<SwitchRow>(&case).unwrap_or_default();
    if at <= row.at || (retained && row.told == Some(stop)) {
        return Reply::Done;
    }
    change.because(format!("topic:{topic}"), format!("the stop switch is {}", stop.as_str()));
    change.put(case, SwitchRow { told: Some(stop), ..row });
    turn(change, case, stop, format!("a message on {topic}"), "", at);
    Reply::Done
}

/// The switch that a topic turns.
fn named(change: &Change<'_>, topic: &str) -> Option<Option<CaseId>> {
    if *topic == *change.config.stop_topic {
        return Some(None);
    }
    let of = |row: &SwitchRow| row.topic.as_deref() == Some(topic);
    change.base.rows.switches.iter().find(|(_, row)| of(row)).map(|(case, _)| *case)
}

fn turn(change: &mut Change<'_>, case: Option<CaseId>, stop: Stop, by: String, reason: &str, at: At) {
    let row = change.get::<SwitchRow>(&case).unwrap_or_default();
    if row.stop == stop && reason.is_empty() {
        // Said again: it stays with whoever turned it and why. What came before this moment counts no more.
        change.put(case, SwitchRow { at, ..row });
        return;
    }
    let of = case.and_then(|id| change.get::<CaseRow>(&id));
    let owner = of.and_then(|row| position::owner(change, &row.device));
    let place = case.map_or_else(|| "switch".to_owned(), |id| format!("switch/{id}"));
    let sealed = (!reason.is_empty()).then(|| change.config.keys.seal(owner, format!("{place}/{at}"), &reason));
    if let Some(id) = case {
        change.touched.insert(id);
        change.quote(id, TimelineKind::Decided, format!("{by} turns the stop switch {}", stop.as_str()), reason);
    }
    let reason = sealed;
    let held = held(change);
    change.put(case, SwitchRow { stop, by, reason, at, ..row });
    for (id, mut row) in held {
        if holds(change, &row).is_none() {
            row.delivery.not_before_at = change.now;
            change.put(id, row);
        }
    }
}

/// What a switch holds: all of it looks again soon.
fn held(change: &Change<'_>) -> Vec<(EffectId, EffectRow)> {
    let soon = change.now + LOOK_AGAIN;
    let due = change.base.timers.iter().take_while(|(at, _)| *at <= soon);
    let effects = due.filter_map(|(_, timer)| match timer {
        Timer::Effect(id) => Some((*id, change.get::<EffectRow>(id)?)),
        Timer::Case(_) => None,
    });
    effects
        .filter(|(_, row)| row.delivery.state.is_waiting() && holds(change, row).is_some())
        .take(MOST_AT_ONCE)
        .collect()
}

/// `hold`: the case has a topic on which it is stopped, and with it its children.
pub(super) fn drive(change: &mut Change<'_>, id: CaseId, hold: &Hold) {
    if change.get::<SwitchRow>(&Some(id)).is_some_and(|row| row.topic.is_some()) {
        return;
    }
    let Some(case) = change.get::<CaseRow>(&id) else { return };
    let facts = context(change, id, &case, &Reader::Staff { zone: "UTC" }, false);
    match hold.switch.render(&facts) {
        Ok(topic) => {
            let row = change.get::<SwitchRow>(&Some(id)).unwrap_or_default();
            change.say(id, TimelineKind::Decided, format!("a message on {topic} stops it"), None);
            change.put(Some(id), SwitchRow { topic: Some(topic), ..row });
        }
        Err(e) => change.say(id, TimelineKind::Trouble, format!("its stop switch has no name: {e}"), None),
    }
}

/// How far a case is stopped, by its own switch or that of everything.
pub(super) fn level(change: &Change<'_>, case: CaseId) -> Stop {
    let of = |case: Option<CaseId>| change.get::<SwitchRow>(&case).map_or(Stop::Off, |row| row.stop);
    of(None).max(of(Some(case)))
}

/// Which switch holds an effect, for people; or why all of them are held.
pub(super) fn holds(change: &Change<'_>, row: &EffectRow) -> Option<String> {
    if let Some(why) = &change.base.held {
        return Some(format!("a person: effects are held ({why})"));
    }
    let storm = change.get::<ChildRow>(&row.case).map(|child| child.storm);
    let switches = [Some(None), Some(Some(row.case)), storm.map(Some)];
    switches.into_iter().flatten().find_map(|case| {
        let switch = change.get::<SwitchRow>(&case)?;
        let warns = row.delivery.purpose == Purpose::Safety && row.delivery.kind.is_contact();
        let held = match switch.stop {
            Stop::Off => false,
            Stop::On => !(row.compensation || warns && (case.is_none() || !storm::gated(change, row))),
            Stop::All => true,
        };
        held.then(|| format!("the stop switch, turned {} by {}", switch.stop.as_str(), switch.by))
    })
}

/// A case is closed: there is nothing to stop any more.
pub(super) fn closed(change: &mut Change<'_>, id: CaseId) {
    if change.get::<SwitchRow>(&Some(id)).is_some() {
        change.delete::<SwitchRow>(Some(id));
    }
}

impl Desk {
    /// The stop switches that have ever been turned; that of everything first.
    #[must_use]
    pub fn switches(&self) -> Vec<SwitchView> {
        let view = |(case, row): (&Option<CaseId>, &SwitchRow)| SwitchView {
            case: *case,
            topic: row.topic.clone().or_else(|| case.is_none().then(|| self.config.stop_topic.to_string())),
            stop: row.stop,
            by: row.by.clone(),
            reason: row.reason.as_ref().and_then(|sealed| self.config.keys.open(sealed)).unwrap_or_default(),
            at: row.at,
        };
        self.state.rows.switches.iter().map(view).collect()
    }

    /// How far the switch of everything is on.
    #[must_use]
    pub fn stopped(&self) -> Stop {
        self.state.rows.switches.get(&None).map_or(Stop::Off, |row| row.stop)
    }
}
