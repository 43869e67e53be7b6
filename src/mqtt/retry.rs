//! When to try which broker again. Pure: randomness comes in as a number.

use std::time::Duration;

use super::BrokerUrl;

/// First and longest pause between two rounds through the list of brokers.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);
/// First and longest wait after another client took our session.
const TAKEN_OVER_BASE: Duration = Duration::from_secs(30);
const TAKEN_OVER_CAP: Duration = Duration::from_secs(900);

/// The list of brokers and what happened with them lately.
#[derive(Debug)]
pub(super) struct Retry {
    brokers: Vec<BrokerUrl>,
    current: usize,
    failures: u32,
    taken_over: u32,
}

impl Retry {
    /// `brokers` must not be empty.
    pub(super) fn new(brokers: Vec<BrokerUrl>) -> Self {
        Self { brokers, current: 0, failures: 0, taken_over: 0 }
    }

    pub(super) fn broker(&self) -> &BrokerUrl {
        &self.brokers[self.current]
    }

    /// A connection that had held was lost. The same broker is tried first: the session is there.
    pub(super) fn lost_after_holding(&mut self, random: u64) -> Duration {
        self.failures = 0;
        self.taken_over = 0;
        jitter(BASE, random)
    }

    /// No connection came about, or it broke at once: the next broker, without a pause until all have been tried, then
    /// with a random one of up to 0.5, 1, 2 … 30 s (full jitter, so that a thousand clients do not return as one).
    pub(super) fn failed(&mut self, random: u64) -> Duration {
        self.current = (self.current + 1) % self.brokers.len();
        self.failures = self.failures.saturating_add(1);
        let all = u32::try_from(self.brokers.len()).unwrap_or(u32::MAX);
        if !self.failures.is_multiple_of(all) {
            return Duration::ZERO;
        }
        let round = self.failures / all - 1;
        jitter(doubled(BASE, round).min(CAP), random)
    }

    /// Another client with our id took the session. Coming back at once would throw it out again and so on for ever:
    /// wait 30 s, then 1, 2 … 15 minutes, half of it at random. The same broker: it works.
    pub(super) fn taken_over(&mut self, random: u64) -> Duration {
        let wait = doubled(TAKEN_OVER_BASE, self.taken_over).min(TAKEN_OVER_CAP);
        self.taken_over = self.taken_over.saturating_add(1);
        wait / 2 + jitter(wait / 2, random)
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times.min(20)).unwrap_or(u32::MAX))
}

/// A duration below `limit`, evenly spread.
fn jitter(limit: Duration, random: u64) -> Duration {
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(random % micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(n: usize) -> Vec<BrokerUrl> {
        (0..n).map(|i| format!("mqtt://b{i}").parse().unwrap()).collect()
    }

    /// The largest number gives the longest pause that can come.
    const LONGEST: u64 = u64::MAX;

    #[test]
    fn pauses_grow_to_thirty_seconds_and_start_again_after_a_good_connection() {
        let mut retry = Retry::new(brokers(1));
        let mut limit = Duration::from_millis(500);
        for _ in 0..12 {
            for random in [0, LONGEST, 123_456_789] {
                let mut probe = Retry { brokers: brokers(1), ..retry };
                assert!(probe.failed(random) < limit);
            }
            retry.failed(0);
            limit = (limit * 2).min(CAP);
        }
        assert_eq!(limit, CAP);
        assert!(retry.lost_after_holding(LONGEST) < BASE);
        assert!(retry.failed(LONGEST) < BASE);
    }

    #[test]
    fn every_broker_is_tried_before_the_first_pause() {
        let mut retry = Retry::new(brokers(3));
        let mut seen = vec![retry.broker().host.clone()];
        assert_eq!(retry.failed(LONGEST), Duration::ZERO);
        seen.push(retry.broker().host.clone());
        assert_eq!(retry.failed(LONGEST), Duration::ZERO);
        seen.push(retry.broker().host.clone());
        assert!(retry.failed(LONGEST) > Duration::ZERO);
        assert_eq!(seen, ["b0", "b1", "b2"]);
        assert_eq!(retry.broker().host, "b0");
        retry.lost_after_holding(0);
        assert_eq!(retry.broker().host, "b0", "a lost connection is first made again where the session is");
    }

    #[test]
    fn a_taken_session_is_not_fought_over() {
        let mut retry = Retry::new(brokers(2));
        assert!(retry.taken_over(0) >= Duration::from_secs(15));
        assert!(retry.taken_over(0) >= Duration::from_secs(30));
        for _ in 0..40 {
            assert!(retry.taken_over(LONGEST) <= TAKEN_OVER_CAP);
        }
    }
}
