//! Every contact with a customer, over all of their cases: what the frequency caps count, and how a reply finds the case
//! that it is about.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::rows::{EffectRow, Target};
use super::survey;
use crate::domain::{At, CaseId, Channel, CustomerId, EffectId, EndpointId, Purpose, Rate, Span};
use crate::outbox::Window;

/// Contacts remembered of one customer; older ones than these are forgotten.
const MOST: usize = 200;
/// Contacts are remembered for so long, whatever the caps say.
const MEMORY: Span = Span::from_hours(90 * 24);
/// Answers to words like HELP to one customer: two machines must not talk to each other for ever.
const REPLIES: Rate = Rate { max: 5, per: Span::from_hours(24) };

/// The contacts with one customer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct ReachedRow {
    /// Oldest first.
    pub(super) recent: Vec<Reached>,
    replies: Window,
    /// When they were last asked for a mark, and by which message.
    pub(super) survey: Option<(At, EffectId)>,
}

/// A contact that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) at: At,
    pub(super) case: CaseId,
    pub(super) effect: EffectId,
    pub(super) channel: Channel,
    pub(super) endpoint: EndpointId,
    pub(super) purpose: Purpose,
}

/// A contact is being sent. One about several cases is one.
pub(super) fn note(change: &mut Change<'_>, effect: EffectId, row: &EffectRow) {
    let (Target::Customer { customer, endpoint }, Some(channel)) = (&row.target, row.delivery.kind.channel()) else {
        return;
    };
    let mut reached = of(change, customer);
    let now = change.now;
    reached.recent.retain(|r| now.since(r.at) < MEMORY);
    if reached.recent.len() >= MOST {
        reached.recent.remove(0);
    }
    let purpose = row.delivery.purpose;
    reached.recent.push(Reached { at: now, case: row.case, effect, channel, endpoint: endpoint.clone(), purpose });
    if survey::asks(change, row) {
        reached.survey = Some((now, effect));
    }
    change.put(customer.clone(), reached);
}

pub(super) fn of(change: &Change<'_>, customer: &CustomerId) -> ReachedRow {
    change.get::<ReachedRow>(customer).unwrap_or_default()
}

/// Whether one more answer may be given to the customer today; counts it.
pub(super) fn may_answer(change: &mut Change<'_>, customer: &CustomerId) -> bool {
    let mut reached = of(change, customer);
    if reached.replies.free_at(change.now, REPLIES).is_some() {
        return false;
    }
    reached.replies = reached.replies.take(change.now, REPLIES.per);
    change.put(customer.clone(), reached);
    true
}
