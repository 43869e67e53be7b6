//! What is told to product engineering as it becomes known: every outcome and every correction on an MQTT topic, and the
//! figures of rules for whoever scrapes them.
//!
//! The topic is news and no ledger: what cannot be published for long is dropped and counted, because the rows are all
//! there for `forewarn outcomes export`. A consumer keys by `case` and takes the last word.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ports::Publisher;
use crate::desk::{Desk, OutcomeView};
use crate::domain::Outcome;

/// Outcomes that may wait for the broker.
const QUEUE: usize = 1_024;
/// Attempts for one of them, and the pause after the first; it doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);

/// The way to the topic; cheap when there is none.
pub(super) struct Feedback(Option<mpsc::Sender<OutcomeView>>);

impl Feedback {
    /// Must be called within a tokio runtime.
    pub(super) fn start(to: Option<(Arc<dyn Publisher>, String)>) -> Self {
        Self(to.map(|(publisher, topic)| {
            let (sender, mut queue) = mpsc::channel::<OutcomeView>(QUEUE);
            tokio::spawn(async move {
                while let Some(outcome) = queue.recv().await {
                    publish(&*publisher, &topic, &outcome).await;
                }
            });
            sender
        }))
    }

    /// Never waits.
    pub(super) fn tell(&self, outcome: OutcomeView) {
        if let Some(sender) = &self.0
            && sender.try_send(outcome).is_err()
        {
            dropped();
        }
    }
}

async fn publish(publisher: &dyn Publisher, topic: &str, outcome: &OutcomeView) {
    let Ok(payload) = serde_json::to_vec(outcome).map(Bytes::from) else { return };
    for attempt in 0..ATTEMPTS {
        // The same outcome twice is the same last word.
        if let Outcome::Accepted { .. } = publisher.publish(topic.to_owned(), payload.clone(), None, false).await {
            return;
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
    }
    dropped();
}

fn dropped() {
    metrics::counter!("forewarn_outcomes_unpublished_total").increment(1);
    tracing::warn!("an outcome could not be published; forewarn outcomes export has it");
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
