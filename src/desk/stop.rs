//! The stop switches: one for everything, one for a case. What a switch holds waits and is not lost; what is under way goes
//! on. A switch is turned by a person over the API, or by a message on its topic.
//!
//! Messages on a topic come again: the journal is replayed, and the broker hands out a retained one at every
//! subscription. So a message counts only if it reached us after the switch was last turned, and a retained one only if
//! it does not say again what the topic said last: whoever has turned the switch back in the meantime had a reason.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::rows::{CaseRow, EffectRow};
use super::{Desk, Reply, SwitchView, TimelineKind};
use crate::domain::{At, CaseId, Purpose, Span, Stop};

/// How often what waits for a switch looks at it again.
pub(super) const LOOK_AGAIN: Span = Span::from_secs(15);
const MAX_REASON: usize = 500;

/// A stop switch; the key is its case, `None` for that of everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct SwitchRow {
    pub(super) topic: Option<String>,
    pub(super) stop: Stop,
    pub(super) by: String,
    pub(super) reason: String,
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
    let reason = reason.chars().take(MAX_REASON).collect();
    turn(change, case, stop, actor.to_owned(), reason, change.now);
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
    turn(change, case, stop, format!("a message on {topic}"), String::new(), at);
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

fn turn(change: &mut Change<'_>, case: Option<CaseId>, stop: Stop, by: String, reason: String, at: At) {
    let row = change.get::<SwitchRow>(&case).unwrap_or_default();
    if let Some(id) = case {
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        change.say(id, TimelineKind::Decided, format!("{by} turns the stop switch {}{why}", stop.as_str()), None);
    }
    change.put(case, SwitchRow { stop, by, reason, at, ..row });
}

/// Which switch holds an effect, for people.
pub(super) fn holds(change: &Change<'_>, row: &EffectRow) -> Option<String> {
    [None, Some(row.case)].into_iter().find_map(|case| {
        let switch = change.get::<SwitchRow>(&case)?;
        let held = match switch.stop {
            Stop::Off => false,
            Stop::On => {
                !(row.compensation || row.delivery.purpose == Purpose::Safety && row.delivery.kind.is_contact())
            }
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
            reason: row.reason.clone(),
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
