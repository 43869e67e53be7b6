//! The line in front of a provider with a limit. Their own queues are blind; ours is thought over each time one more may
//! go: danger first, then the case of the higher priority, then whoever has heard least in the last hour, then who waits
//! longest. So one customer with five hundred cars does not keep the others waiting.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::claim::{self, Gate};
use super::reached;
use super::rows::{CaseRow, EffectRow, Target};
use crate::domain::{AdapterName, At, EffectId, Purpose, Span};

/// Most looks at the head of a line in one step; the rest is looked at in the next.
const MOST_LOOKS: usize = 2_000;
/// So far back it counts what a customer has heard.
const LATELY: Span = Span::from_hours(1);

/// A place in a line. The least goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Rank {
    purpose: Purpose,
    /// The priority of the playbook, from the other end.
    behind: u32,
    /// What the customer has heard lately.
    turn: u32,
    since: At,
}

/// An effect that may go as soon as its provider takes one more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PlaceRow {
    pub(super) adapter: AdapterName,
    pub(super) rank: Rank,
}

/// Gets in line, or stays where it is.
pub(super) fn join(change: &mut Change<'_>, id: EffectId, row: &EffectRow) {
    if change.get::<PlaceRow>(&id).is_some() {
        return;
    }
    let plan = change.get::<CaseRow>(&row.case).and_then(|c| change.plan(&c));
    let rank = Rank {
        purpose: row.delivery.purpose,
        behind: u32::MAX - plan.map_or(0, |p| p.case.priority),
        turn: heard_lately(change, row),
        since: row.planned_at,
    };
    change.put(id, PlaceRow { adapter: row.adapter.clone(), rank });
}

fn heard_lately(change: &Change<'_>, row: &EffectRow) -> u32 {
    let Target::Customer { customer, .. } = &row.target else { return 0 };
    let recent = reached::of(change, customer).recent;
    let count = recent.iter().filter(|r| change.now.since(r.at) < LATELY).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Sends what may go, from the head of the line.
pub(super) fn serve(change: &mut Change<'_>, adapter: &AdapterName) {
    for _ in 0..MOST_LOOKS {
        let Some((rank, id)) = head(change, adapter) else { return };
        let Some(row) = change.get::<EffectRow>(&id).filter(|r| r.delivery.state.is_waiting()) else {
            change.delete::<PlaceRow>(id);
            continue;
        };
        if let Gate::Wait(at, why) = claim::provider_gate(change, adapter) {
            // Whoever is next wakes up when one more may go.
            return claim::hold(change, id, row, at, why);
        }
        let turn = heard_lately(change, &row);
        if turn > rank.turn {
            change.put(id, PlaceRow { adapter: adapter.clone(), rank: Rank { turn, ..rank } });
            continue;
        }
        change.delete::<PlaceRow>(id);
        claim::decide(change, id, row);
    }
}

/// Those of `ids` who stay in line: until about when. The line is walked along once for all of them.
pub(super) fn stay(change: &mut Change<'_>, adapter: &AdapterName, ids: &[EffectId]) {
    let Gate::Wait(at, why) = claim::provider_gate(change, adapter) else { return };
    let rate = change.config.providers.get(adapter).and_then(|p| p.per_second).unwrap_or(0);
    for (id, ahead) in ahead(change, adapter, ids) {
        let Some(row) = change.get::<EffectRow>(&id) else { continue };
        let seconds = ahead.checked_div(i64::from(rate)).unwrap_or(0);
        claim::hold(change, id, row, at + Span::from_secs(seconds), why.clone());
    }
}

/// How many stand in front of each of `ids`.
fn ahead(change: &Change<'_>, adapter: &AdapterName, ids: &[EffectId]) -> Vec<(EffectId, i64)> {
    let own: BTreeSet<(Rank, EffectId)> =
        ids.iter().filter_map(|id| Some((change.get::<PlaceRow>(id)?.rank, *id))).collect();
    let moved: BTreeSet<(Rank, EffectId)> = changed(change, adapter).collect();
    let (mut stored, mut moved) = (stored(change, adapter).peekable(), moved.iter().peekable());
    let mut count = 0;
    let one = |place: (Rank, EffectId)| {
        let before = |at: &&(Rank, EffectId)| **at < place;
        while stored.next_if(before).is_some() || moved.next_if(before).is_some() {
            count += 1;
        }
        (place.1, count)
    };
    own.into_iter().map(one).collect()
}

fn head(change: &Change<'_>, adapter: &AdapterName) -> Option<(Rank, EffectId)> {
    let stored = stored(change, adapter).next().cloned();
    [stored, changed(change, adapter).min()].into_iter().flatten().min()
}

/// The line as it was before this step, without those who have moved since.
fn stored<'a>(change: &'a Change<'_>, adapter: &AdapterName) -> impl Iterator<Item = &'a (Rank, EffectId)> {
    let line = change.base.lines.get(adapter).into_iter().flatten();
    line.filter(|(_, id)| !change.pending.places.contains_key(id))
}

/// Those who have moved in this step, in no order.
fn changed<'a>(change: &'a Change<'_>, adapter: &'a AdapterName) -> impl Iterator<Item = (Rank, EffectId)> + 'a {
    let places = change.pending.places.iter().filter_map(|(id, row)| Some((row.as_ref()?, id)));
    places.filter(move |(place, _)| place.adapter == *adapter).map(|(place, id)| (place.rank.clone(), *id))
}
