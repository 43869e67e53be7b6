//! What is told to others as it becomes known: every outcome and every correction to product engineering, and the signed
//! head of the desk log to whoever keeps it, on MQTT topics; and the figures of rules for whoever scrapes them.
//!
//! A topic is news and no ledger: what cannot be published for long is dropped and counted, because the rows are all
//! there for `forewarn outcomes export`, and the next head vouches for everything before it. A consumer of outcomes keys
//! by `case` and takes the last word.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::ports::Publisher;
use crate::desk::Desk;
use crate::domain::{At, Outcome};
use crate::store::{Head, Signer};

/// Messages that may wait for the broker.
const QUEUE: usize = 1_024;
/// Attempts for one of them, and the pause after the first; it doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);

/// A topic of ours, and over what to get there.
pub struct Topic {
    /// The broker.
    pub publisher: Arc<dyn Publisher>,
    /// Its name.
    pub name: String,
    /// Whether the broker hands the last message to whoever subscribes later.
    pub retain: bool,
}

/// The way to a topic; cheap when there is none.
pub(super) struct Feedback(Option<mpsc::Sender<Bytes>>);

impl Feedback {
    /// Must be called within a tokio runtime.
    pub(super) fn start(to: Option<Topic>) -> Self {
        Self(to.map(|topic| {
            let (sender, mut queue) = mpsc::channel::<Bytes>(QUEUE);
            tokio::spawn(async move {
                while let Some(payload) = queue.recv().await {
                    publish(&topic, payload).await;
                }
            });
            sender
        }))
    }

    /// Never waits.
    pub(super) fn tell(&self, news: &impl Serialize) {
        if let Some(sender) = &self.0
            && serde_json::to_vec(news).ok().and_then(|payload| sender.try_send(payload.into()).ok()).is_none()
        {
            dropped();
        }
    }
}

async fn publish(topic: &Topic, payload: Bytes) {
    for attempt in 0..ATTEMPTS {
        // The same twice is the same last word.
        let done = topic.publisher.publish(topic.name.clone(), payload.clone(), None, topic.retain).await;
        if let Outcome::Accepted { .. } = done {
            return;
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
    }
    dropped();
}

fn dropped() {
    metrics::counter!("forewarn_outcomes_unpublished_total").increment(1);
    tracing::warn!("an outcome or a head of the audit could not be published; both are there to be asked for");
}

/// The head of the desk log, signed, for whoever keeps it.
pub(super) struct Heads(Option<(Feedback, Signer)>);

impl Heads {
    /// Must be called within a tokio runtime.
    pub(super) fn start(to: Option<(Topic, Signer)>) -> Self {
        Self(to.map(|(topic, signer)| (Feedback::start(Some(topic)), signer)))
    }

    pub(super) fn tell(&self, head: Head, now: At) {
        if let Some((feedback, signer)) = &self.0 {
            feedback.tell(&signer.sign(head, now));
        }
    }
}

/// Figures of the newest version of each rule.
pub(super) fn tell_quality(desk: &Desk) {
    let mut last = None;
    for quality in desk.rules() {
        if last.replace(quality.rule.clone()).as_ref() == Some(&quality.rule) {
            continue;
        }
        let rule = quality.rule.to_string();
        let gauge = |name: &'static str, value: f64| metrics::gauge!(name, "rule" => rule.clone()).set(value);
        gauge("forewarn_rule_cases", f64::from(quality.opened));
        gauge("forewarn_rule_shadowed", f64::from(u8::from(quality.shadow.is_some())));
        if let Some(precision) = quality.precision {
            gauge("forewarn_rule_precision", precision);
        }
        if let Some([_, median, _]) = quality.lead_s {
            gauge("forewarn_rule_lead_median_seconds", median);
        }
        for (truth, n) in &quality.outcomes {
            metrics::gauge!("forewarn_rule_outcomes", "rule" => rule.clone(), "truth" => truth.clone())
                .set(f64::from(*n));
        }
    }
}
