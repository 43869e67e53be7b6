//! How fast attempts leave for one provider. It is handed the time; what it promises is true of the moments it is told.

use std::collections::BTreeMap;

use crate::domain::{At, Rate, Span};
use crate::outbox::Sliding;

/// Rates over a longer time are the desk's alone: what is between a claim and its attempt is nothing beside them, and a
/// line that was held up by one would be held up for everybody.
const LONGEST: Span = Span::from_secs(1);

/// What left lately, by the name of its rate.
#[derive(Debug, Default)]
pub(super) struct Pace(BTreeMap<String, Sliding>);

impl Pace {
    /// When an attempt under these rates may leave: so that in no stretch of time there are more than its rate allows, and
    /// not all of them at the same instant. The network may bring together what left in different stretches; the farther
    /// apart, the fewer.
    pub(super) fn free_at(&self, now: At, rates: &[(String, Rate)]) -> At {
        let free_at = |(name, rate): &(String, Rate)| {
            let sliding = self.0.get(name)?;
            let apart_at = sliding.last_at()? + Span::from_micros(rate.share(1).as_micros() / 2);
            Some(sliding.room(now, *rate).err().unwrap_or(now).max(apart_at))
        };
        kept(rates).filter_map(free_at).fold(now, At::max)
    }

    /// It leaves.
    pub(super) fn take(&mut self, now: At, rates: &[(String, Rate)]) {
        // A storm that is over has left its name behind.
        self.0.retain(|_, sliding| sliding.last_at().is_some_and(|at| now.since(at) < LONGEST));
        for (name, rate) in kept(rates) {
            self.0.entry(name.clone()).or_default().take(now, *rate);
        }
    }
}

fn kept(rates: &[(String, Rate)]) -> impl Iterator<Item = &(String, Rate)> {
    rates.iter().filter(|(_, rate)| rate.per <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a provider sees of orders that come as they like: each with the rates named, in this order.
    fn sent(orders: &[(i64, &[(String, Rate)])]) -> Vec<At> {
        let (mut pace, mut free) = (Pace::default(), At::from_micros(0));
        let one = |(ms, rates): &(i64, &[(String, Rate)])| {
            let now = free.max(At::from_millis(*ms));
            free = pace.free_at(now, rates);
            pace.take(free, rates);
            free
        };
        orders.iter().map(one).collect()
    }

    fn most(times: &[At], per: Span) -> usize {
        let within = |from: &At| times.iter().filter(|at| **at >= *from && at.since(*from) < per).count();
        times.iter().map(within).max().unwrap_or(0)
    }

    const SECOND: Span = Span::from_secs(1);

    #[test]
    fn what_is_released_in_bursts_leaves_as_its_rate_allows() {
        let rates = [("provider".to_owned(), Rate::per_second(10)), ("storm".to_owned(), Rate::per_second(8))];
        // Claimed in time, released late: sixteen within the tenth part of a second, again and again.
        let orders: Vec<_> = (0..400_i64).map(|n| (n / 16 * 2_000 + 1_900 + n % 16 * 6, &rates[..])).collect();
        let times = sent(&orders);
        assert!(times.is_sorted());
        assert_eq!(most(&times, SECOND), 8);
        // Arrivals that the network moves by up to fifty milliseconds: one more, not eight.
        assert_eq!(most(&times, Span::from_millis(1_050)), 9);
        let late = orders.iter().zip(&times).map(|((ms, _), at)| at.since(At::from_millis(*ms))).max();
        assert!(late.is_some_and(|late| late < Span::from_secs(2)), "it makes up for nothing: {late:?}");
    }

    #[test]
    fn two_rates_share_what_their_provider_takes() {
        let ours = [("provider".to_owned(), Rate::per_second(10)), ("storm".to_owned(), Rate::per_second(8))];
        let orders: Vec<_> = (0..1_000).map(|n| (n * 100, if n % 5 == 0 { &ours[..1] } else { &ours[..] })).collect();
        let times = sent(&orders);
        assert_eq!(most(&times, SECOND), 10);
        let storm: Vec<At> = times.iter().enumerate().filter(|(n, _)| n % 5 != 0).map(|(_, at)| *at).collect();
        assert_eq!(most(&storm, SECOND), 8);
        assert!(times.last().is_some_and(|at| *at < At::from_secs(101)), "nothing is lost by taking turns: {times:?}");
    }

    #[test]
    fn a_rate_of_an_hour_holds_nothing_up_and_old_names_are_forgotten() {
        let hourly = [("provider".to_owned(), Rate { max: 1, per: Span::from_hours(1) })];
        assert_eq!(sent(&[(0, &hourly), (1, &hourly)]), [At::from_millis(0), At::from_millis(1)]);
        let mut pace = Pace::default();
        for n in 0..100 {
            pace.take(At::from_secs(n), &[(format!("storm {n}"), Rate::per_second(1))]);
        }
        assert_eq!(pace.0.len(), 1);
    }
}
