//! Commands to devices, published over the broker.
//!
//! Accepted means that the broker took it. Whether the device did it comes later, as its answer on its own topic or as
//! telemetry; a command that nobody answers stays what it is until it expires.

use std::sync::Arc;

use super::settings::CommandSettings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::domain::{CommandWork, Order, OrderKind, Outcome, Span, Work};
use crate::runtime::{Channel, Clock, Publisher};
use crate::wire::topic::matches;

/// Publishes to the topics that the settings allow.
pub(super) struct Commands {
    publisher: Arc<dyn Publisher>,
    clock: Clock,
    allow: Vec<String>,
}

impl Commands {
    pub(super) fn new(settings: &CommandSettings, site: &Site<'_>) -> Result<Self, Error> {
        for filter in &settings.allow {
            check_filter(filter).map_err(|what| site.error("allow", format!("'{filter}': {what}")))?;
        }
        if settings.allow.is_empty() {
            return Err(site.error("allow", "is empty, so no command could ever be sent"));
        }
        let (publisher, clock) = (site.deps.publisher.clone(), site.deps.clock.clone());
        Ok(Self { publisher, clock, allow: settings.allow.clone() })
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Command(CommandWork { topic, payload, expires_at }) = order.work else {
            return wrong_kind("commands");
        };
        if order.kind == OrderKind::Reconcile {
            return Outcome::Unknown { reason: "the broker cannot be asked; the device's own answer will tell".into() };
        }
        if !is_topic(&topic) || !self.allow.iter().any(|filter| matches(filter, &topic)) {
            return Outcome::Rejected { reason: format!("the settings allow no commands to '{topic}'") };
        }
        let left = expires_at.since((self.clock)());
        // The broker counts in seconds: less than one is nothing.
        if left < Span::from_secs(1) {
            return Outcome::Rejected { reason: "the command has expired".into() };
        }
        self.publisher.publish(topic, payload.into(), Some(left), false).await
    }
}

impl Channel for Commands {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

/// A topic name that a device may be reached by: no wildcards, nothing of the broker's own.
fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= 65_535 && !topic.starts_with('$') && !topic.contains(['+', '#', '\0'])
}

fn check_filter(filter: &str) -> Result<(), &'static str> {
    let levels: Vec<&str> = filter.split('/').collect();
    if filter.is_empty() || filter.starts_with('$') {
        return Err("is not a filter for devices' topics");
    }
    if levels.first() == Some(&"#") {
        return Err("would allow everything; name at least the first level");
    }
    let wrong = |(i, level): (usize, &&str)| match *level {
        "+" => false,
        "#" => i + 1 != levels.len(),
        other => other.contains(['+', '#']),
    };
    if levels.iter().enumerate().any(wrong) { Err("'+' and '#' must be whole levels, '#' the last") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (filter, topic, expected) in [
            ("fleet/+/cmd", "fleet/car-1/cmd", true),
            ("fleet/+/cmd", "fleet/car-1/cmd/ack", false),
            ("fleet/+/cmd", "fleet/car-1", false),
            ("fleet/+/cmd", "fleet/a/b/cmd", false),
            ("fleet/#", "fleet/a/b/cmd", true),
            ("fleet/#", "fleet", true),
            ("fleet/a/cmd", "fleet/b/cmd", false),
            ("+/a", "/a", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
        for bad in ["", "#", "$SYS/x", "a/#/b", "a/b+", "a#"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
        for bad in ["", "a/+/b", "a/#", "$SYS/x", "a\0"] {
            assert!(!is_topic(bad), "{bad}");
        }
    }
}
