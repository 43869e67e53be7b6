//! Asks Sparkplug edge nodes for a birth, if the settings allow it.
//!
//! The engine says which node must be asked, and at most once a minute for each, which its state outlasts a crash with.
//! Asking is not recorded: a recovery asks nobody, because it cannot know who has been asked. A request that is lost is
//! made again with the first message that cannot be understood a minute later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ports::{Clock, Publisher};
use crate::decode::sparkplug;
use crate::domain::{At, Outcome, Span};

/// Requests that may wait.
const WAITING: usize = 64;
/// A request is worth nothing after so long, and what asked for it is history if it came so long ago.
const FRESH: Span = Span::from_secs(30);

/// Where a shard thread leaves its requests; nowhere, if nobody may be asked.
#[derive(Clone)]
pub(super) struct Births {
    queue: Option<mpsc::Sender<Arc<str>>>,
    clock: Clock,
    /// What is worked on is not the present.
    hold: Arc<AtomicBool>,
}

impl Births {
    /// Starts the task that asks over `publisher`. Must be called within a tokio runtime.
    pub(super) fn start(publisher: Option<Arc<dyn Publisher>>, clock: Clock, hold: Arc<AtomicBool>) -> Self {
        let queue = publisher.map(|publisher| {
            let (queue, requests) = mpsc::channel(WAITING);
            tokio::spawn(ask(requests, publisher, clock.clone()));
            queue
        });
        Self { queue, clock, hold }
    }

    /// Leaves a request that a message of `received_at` gave rise to.
    pub(super) fn want(&self, node: Arc<str>, received_at: At) {
        let Some(queue) = self.queue.as_ref().filter(|_| !self.hold.load(Ordering::Acquire)) else { return };
        if (self.clock)() - received_at <= FRESH && queue.try_send(node).is_err() {
            metrics::counter!("forewarn_births_not_asked_total").increment(1);
        }
    }
}

/// Runs until the shard threads have gone.
async fn ask(mut requests: mpsc::Receiver<Arc<str>>, publisher: Arc<dyn Publisher>, clock: Clock) {
    while let Some(node) = requests.recv().await {
        let (topic, payload) = sparkplug::rebirth(&node, clock());
        match publisher.publish(topic, Bytes::from(payload), Some(FRESH), false).await {
            Outcome::Accepted { .. } => tracing::info!(%node, "asked for a birth"),
            other => tracing::warn!(%node, outcome = ?other, "cannot be asked for a birth"),
        }
    }
}
