//! Opt-outs: who does not want to be contacted any more, over what and about what. They come by a word in a reply, key 7,
//! the link in a mail, or a person; they live in the desk's log, because the registry is a file that others write.
//!
//! An opt-out of `service` covers `info`, too: who does not want to hear of their own car does not want offers either.
//! It does not cover `safety`: where life or health is in danger, the person is still called and written to. Whoever
//! wants none of that either has `opted_out` set at the endpoint in the registry, which silences everything. (A carrier
//! that has seen STOP refuses all text messages to the number, ours about danger among them. The ladder then goes on with
//! its next rung.)
//!
//! It holds for what is planned already: every contact is looked at again when it is claimed.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::change::Change;
use super::link::Form;
use super::rows::{EffectRow, Target};
use super::{Desk, Reply, TimelineKind, news, notes};
use crate::domain::{At, Channel, CustomerId, EffectId, EndpointId, Link, Purpose};
use crate::playbook::Mirror;

/// The opt-out of an endpoint from a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OptOutRow {
    pub(super) customer: CustomerId,
    /// This and everything less urgent.
    pub(super) purpose: Purpose,
    pub(super) at: At,
    /// How it came: `word`, `key 7`, `link`, `api:<who>`.
    pub(super) by: String,
    /// Taken back.
    pub(super) lifted_at: Option<At>,
}

impl OptOutRow {
    fn covers(&self, purpose: Purpose) -> bool {
        self.lifted_at.is_none() && purpose >= self.purpose
    }
}

/// An opt-out for reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptOutView {
    /// Whose.
    pub customer: CustomerId,
    /// Which address; the address itself is in the registry.
    pub endpoint: EndpointId,
    /// Over what.
    pub channel: Channel,
    /// About what: this and everything less urgent.
    pub purpose: Purpose,
    /// Since when.
    pub at: At,
    /// How it came: `word`, `key 7`, `link`, `api:<who>`.
    pub by: String,
    /// Taken back then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<At>,
}

/// Why a contact over `channel` is not wanted, if it is not.
pub(super) fn why_not(
    change: &Change<'_>,
    endpoint: &EndpointId,
    channel: Channel,
    purpose: Purpose,
) -> Option<String> {
    let row = change.get::<OptOutRow>(&(endpoint.clone(), channel)).filter(|row| row.covers(purpose))?;
    Some(format!("opted out of {channel} ({}, {})", row.by, row.at))
}

/// Takes an opt-out. `false`: it was known.
pub(super) fn stop(
    change: &mut Change<'_>,
    customer: &CustomerId,
    endpoint: &EndpointId,
    channel: Channel,
    purpose: Purpose,
    by: &str,
) -> bool {
    // Nobody opts out of being warned of danger.
    let purpose = purpose.max(Purpose::Service);
    let key = (endpoint.clone(), channel);
    if change.get::<OptOutRow>(&key).is_some_and(|row| row.covers(purpose)) {
        return false;
    }
    let row = OptOutRow { customer: customer.clone(), purpose, at: change.now, by: by.to_owned(), lifted_at: None };
    change.put(key, row);
    true
}

/// Takes an opt-out back. `false`: there was none.
pub(super) fn start(change: &mut Change<'_>, endpoint: &EndpointId, channel: Channel) -> bool {
    let key = (endpoint.clone(), channel);
    let Some(mut row) = change.get::<OptOutRow>(&key).filter(|row| row.lifted_at.is_none()) else { return false };
    row.lifted_at = Some(change.now);
    change.put(key, row);
    true
}

/// The recipient of `effect` wants no more like it over this channel.
pub(super) fn from_effect(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, by: &str) -> bool {
    let (Target::Customer { customer, endpoint }, Some(channel)) = (&row.target, row.delivery.kind.channel()) else {
        return false;
    };
    let new = stop(change, customer, endpoint, channel, row.delivery.purpose, by);
    if new {
        news::contact(change, effect, row, |c| "opted_out".clone_into(&mut c.result));
    }
    new
}

/// `view` of the page behind the link in a mail: `state` is `open`, or `done` once nothing more is sent.
pub(super) fn view(change: &Change<'_>, row: &EffectRow) -> Json {
    let out = match (&row.target, row.delivery.kind.channel()) {
        (Target::Customer { endpoint, .. }, Some(channel)) => {
            why_not(change, endpoint, channel, row.delivery.purpose.max(Purpose::Service)).is_some()
        }
        _ => false,
    };
    json!({ "state": if out { "done" } else { "open" } })
}

/// The form of that page, or the one click of the mail program (RFC 8058).
pub(super) fn posted(change: &mut Change<'_>, link: &Link, row: &EffectRow, form: &Form) -> Reply {
    let one_click = form.get("List-Unsubscribe").is_some_and(|v| v == "One-Click");
    let (said, word) = match form.get("answer").map(String::as_str) {
        Some("stop") => (from_effect(change, link.effect, row, "link"), "wants no more messages of this kind"),
        _ if one_click => (from_effect(change, link.effect, row, "one click"), "wants no more messages of this kind"),
        Some("start") => {
            let (Target::Customer { endpoint, .. }, Some(channel)) = (&row.target, row.delivery.kind.channel()) else {
                return Reply::NotFound;
            };
            (start(change, endpoint, channel), "wants messages of this kind again")
        }
        _ => return Reply::Refused("the form says nothing that is known".to_owned()),
    };
    if said {
        let text = format!("{} {word} (link)", notes::whom(change, row));
        change.say(row.case, TimelineKind::Answered, text.clone(), Some(link.effect));
        change.note(row.case, Mirror::Contact, &format!("Answered: {text}."));
    }
    Reply::Done
}

/// A person enters or lifts an opt-out for somebody who said so in another way.
pub(super) fn by_person(
    change: &mut Change<'_>,
    endpoint: &EndpointId,
    channel: Channel,
    purpose: Option<Purpose>,
    actor: &str,
) -> Reply {
    let registry = &change.config.registry;
    let owner = registry.customers.values().find(|c| c.endpoints.iter().any(|e| e.id == *endpoint));
    let Some(customer) = owner.map(|c| c.id.clone()) else { return Reply::NotFound };
    let by = format!("api:{actor}");
    change.because(by.clone(), format!("opt-out of {endpoint} from {channel}"));
    match purpose {
        Some(purpose) => stop(change, &customer, endpoint, channel, purpose, &by),
        None => start(change, endpoint, channel),
    };
    Reply::Done
}

impl Desk {
    /// Every opt-out there is or was.
    #[must_use]
    pub fn opt_outs(&self) -> Vec<OptOutView> {
        let view = |((endpoint, channel), row): (&(EndpointId, Channel), &OptOutRow)| OptOutView {
            customer: row.customer.clone(),
            endpoint: endpoint.clone(),
            channel: *channel,
            purpose: row.purpose,
            at: row.at,
            by: row.by.clone(),
            lifted_at: row.lifted_at,
        };
        self.state.rows.optouts.iter().map(view).collect()
    }
}
