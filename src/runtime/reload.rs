//! Reload: other rules in the middle of the stream.
//!
//! The thread of ingest stops taking messages in, has every shard saved under the old rules, and gives the new rules to the
//! shard threads, behind everything that was bound by the old models. What the rules did not follow before begins cold, or
//! is refilled: the thread runs the new rules over the part of the journal before this place, and only what is new takes
//! over what they have learned. Nothing is detected of the past, and levels begin with the present.
//!
//! A crash on the way comes back to this place: until a shard is saved under the new rules, its checkpoint is the one made
//! here. Recovery finds in it what the rules of now name and the checkpoint does not, and refills it from the same records
//! of the journal, which is not trimmed until then.
//!
//! A start with edited rules is a recovery under those that were in force, and then a reload ([`super::in_force`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::entry::Entry;
use super::shared::Rules;
use crate::domain::{At, Span, shard_of};
use crate::engine::Engine;
use crate::journal::{self, History, Pos};
use crate::model::Topics;
use crate::rules::Changes;

/// How far back what is new is refilled from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warm {
    /// So long …
    pub back: Span,
    /// … and at most about so many bytes of the journal.
    pub bytes: u64,
}

/// What a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// When.
    pub at: At,
    /// From the first of which messages on new state was refilled; `None`: it began cold, or there is none.
    pub warm_from: Option<At>,
    /// Rules, and the state behind them.
    #[serde(flatten)]
    pub changes: Changes,
}

/// For the thread of ingest.
pub(super) struct Reload {
    pub(super) rules: Arc<Rules>,
    pub(super) done: oneshot::Sender<Reloaded>,
}

/// For the shard threads.
#[derive(Debug, Clone)]
pub(super) struct NewRules {
    pub(super) rules: Arc<Rules>,
    /// What new state is refilled from.
    pub(super) history: History,
    /// Told the instant of the first message that was used.
    pub(super) done: Sender<Option<At>>,
}

/// Records between two signs of life.
const BEAT: u64 = 1_024;

/// Refills what is new in the shards of `engine`, each from the records up to the one at which it stands. Returns the instant of
/// the first message that was used. What cannot be read stays cold.
pub(super) fn refill(
    engine: &mut Engine,
    rules: &Rules,
    history: &History,
    stands: impl Fn(u8) -> u64,
    mut beat: impl FnMut(),
) -> Result<Option<At>, journal::Error> {
    let Some(warm) = rules.warm else { return Ok(None) };
    // The one that stands first is the last.
    let mut waiting: Vec<(u64, u8)> = engine.cold().into_iter().map(|shard| (stands(shard), shard)).collect();
    waiting.sort_unstable_by(|a, b| b.cmp(a));
    // In the time of the shard's own clock, which a recovery finds where it was.
    let since = |shard: u8| engine.shard_clock(shard).newest() - warm.back;
    let since: BTreeMap<u8, At> = waiting.iter().map(|(_, shard)| (*shard, since(*shard))).collect();
    let (Some((last, _)), Some(oldest)) = (waiting.first().copied(), since.values().min()) else { return Ok(None) };
    let mut past = engine.anew();
    let (mut topics, mut first, mut unsaid) = (Topics::default(), None, Vec::new());
    let mut reader = history.reader(history.begin(*oldest, warm.bytes, Pos(last)))?;
    while let Some((pos, frame)) = reader.next_record()?.filter(|(pos, _)| pos.0 <= last) {
        while let Some((_, shard)) = waiting.pop_if(|(stands, _)| *stands < pos.0) {
            engine.refill(shard, &past);
        }
        if pos.0.is_multiple_of(BEAT) {
            beat();
        }
        match Entry::decode(frame) {
            Ok(Entry::Clock { at }) => past.clock(at, &mut unsaid),
            Ok(Entry::Release { at, device, rule }) => past.release(&device.into(), &rule.into(), at, &mut unsaid),
            Ok(Entry::Message { received_at, retained, topic, payload }) => {
                let Some(binding) = topics.bind(rules.program.models(), topic) else { continue };
                let since = since.get(&shard_of(binding.device.as_str()));
                if since.is_some_and(|since| received_at >= *since) {
                    first = first.or(Some(received_at));
                    // What cannot be decoded changes nothing, now as then.
                    let _undecodable = past.message(&binding, payload, received_at, retained, &mut unsaid);
                }
            }
            // Told when it was replayed or will be.
            Err(_) => {}
        }
        unsaid.clear();
        past.births_wanted();
    }
    waiting.into_iter().rev().for_each(|(_, shard)| engine.refill(shard, &past));
    Ok(first)
}
