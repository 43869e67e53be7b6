//! How often people are contacted over all of their cases, as data: `[[contact.cap]]`. (How often one case may contact
//! people is its playbook's to say.)

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::reached::{self, Reached};
use crate::domain::{At, Channel, Customer, Endpoint, Purpose, Span};

/// A cap: at most `max` contacts in `per`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Counted for whom.
    pub of: Whose,
    /// Over what; all together unless stated.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// About what: this and everything less urgent. Only `safety` caps warnings of danger.
    pub purpose: Purpose,
    /// Only addresses that begin so: `+1`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// At most so many…
    pub max: u32,
    /// …in this time.
    pub per: Span,
}

/// For whom a cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Each number and mailbox.
    Endpoint,
    /// Each customer, over all of their numbers and mailboxes.
    Customer,
}

/// What is shipped. Recorded calls to American landlines without a consent for them: three in thirty days.
pub(super) fn shipped() -> Vec<Cap> {
    let cap = |of, channel, prefix: Option<&str>, max, days: i64| Cap {
        of,
        channel,
        purpose: Purpose::Service,
        prefix: prefix.map(str::to_owned),
        max,
        per: Span::from_hours(24 * days),
    };
    vec![
        cap(Whose::Endpoint, Some(Channel::Call), None, 4, 1),
        cap(Whose::Endpoint, Some(Channel::Sms), None, 5, 1),
        cap(Whose::Customer, None, None, 12, 7),
        cap(Whose::Endpoint, Some(Channel::Call), Some("+1"), 3, 30),
    ]
}

/// Until when a contact has to wait, and why; `None`: it may go out.
pub(super) fn wait(
    change: &Change<'_>,
    customer: &Customer,
    endpoint: &Endpoint,
    channel: Channel,
    purpose: Purpose,
) -> Option<(At, String)> {
    let recent = reached::of(change, &customer.id).recent;
    let waits = change.config.contact.cap.iter().filter_map(|cap| {
        let mine = purpose >= cap.purpose
            && cap.channel.is_none_or(|c| c == channel)
            && cap.prefix.as_ref().is_none_or(|p| endpoint.address.starts_with(p.as_str()));
        let free_at = mine.then(|| free_at(change.now, cap, &recent, endpoint)).flatten()?;
        let what = cap.channel.map_or_else(|| "contacts".to_owned(), |c| format!("contacts by {c}"));
        let whose = match cap.of {
            Whose::Endpoint => "an address",
            Whose::Customer => "a customer",
        };
        Some((free_at, format!("the cap of {} {what} in {} of {whose}", cap.max, cap.per)))
    });
    waits.max_by_key(|(at, _)| *at)
}

fn free_at(now: At, cap: &Cap, recent: &[Reached], endpoint: &Endpoint) -> Option<At> {
    let counts = |r: &&Reached| {
        r.purpose >= cap.purpose
            && cap.channel.is_none_or(|c| c == r.channel)
            && (cap.of == Whose::Customer || r.endpoint == endpoint.id)
            && now.since(r.at) < cap.per
    };
    let times: Vec<At> = recent.iter().filter(counts).map(|r| r.at).collect();
    let max = usize::try_from(cap.max).unwrap_or(usize::MAX);
    match max {
        0 => Some(now + cap.per),
        _ if times.len() >= max => Some(times[times.len() - max] + cap.per),
        _ => None,
    }
}
