//! What texts may speak of: the names that the desk provides for every template, besides what a device has.

use crate::source::did_you_mean;

/// Every name that a text may use, except `device.<fact or column>`. Names of one reader only: `customer` for texts to
/// customers, `locale` (that of the text) for all messages, `link` for what customers read, `items` for messages about several
/// cases, `view` for the pages behind the links, `request` for workshops that are asked by mail, `page` for texts to the people
/// of a queue, `action` for commands; `chart`, which may be absent, for mails.
pub const TEXT_NAMES: &[&str] = &[
    "case.id",
    "case.full_id",
    "case.title",
    "case.opened",
    "case.url",
    "case.run",
    "case.silent_for",
    "device.id",
    "fault.name",
    "fault.family",
    "fault.title",
    "fault.what",
    "fault.means",
    "fault.advice",
    "fault.severity",
    "fault.level",
    "fault.confidence",
    "fault.cleared",
    "fault.event_at",
    "fault.evidence",
    "fault.part",
    "fault.part.id",
    "fault.part.name",
    "chart",
    "chart.cid",
    "chart.text",
    "chart.signal",
    "chart.first",
    "chart.first_on",
    "chart.last",
    "chart.last_on",
    "chart.limit",
    "dispatch.state",
    "dispatch.accepted",
    "dispatch.on_site",
    "dispatch.eta_minutes",
    "dispatch.eta_clock",
    "dispatch.truck",
    "storm.count",
    "storm.family",
    "storm.started",
    "storm.started_day",
    "storm.cause",
    "storm.share",
    "storm.devices",
    "storm.more",
    "ticket.open",
    "ticket.id",
    "locale",
    "customer.name",
    "customer.locale",
    "customer.preferred_workshop",
    "booking.state",
    "booking.confirmed",
    "booking.offers",
    "booking.again",
    "booking.round",
    "booking.id",
    "booking.start",
    "booking.date",
    "booking.time",
    "booking.until",
    "booking.workshop",
    "booking.place",
    "link.answer",
    "link.choose",
    "link.unsubscribe",
    "link.where",
    "link.survey",
    "link.request",
    "request.service",
    "request.customer",
    "request.phone",
    "opt_out",
    "opt_out.url",
    "opt_out.text",
    "items",
    "view.state",
    "view.answer",
    "view.open",
    "view.begun",
    "page.queue",
    "page.reason",
    "action.id",
    "action.expires",
];

/// Whom a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A message file: to a customer or, if it is a page, to one of our people.
    Message,
    /// A field of a playbook.
    Field,
    /// The topic or payload of a command.
    Command,
    /// Where somebody is looked for.
    Place,
}

impl Audience {
    fn hears(self, name: &str) -> bool {
        match name.split('.').next().unwrap_or(name) {
            "customer" if self == Self::Place => name == "customer.preferred_workshop",
            "request" | "customer" | "items" | "link" | "opt_out" | "view" | "page" | "locale" | "chart" => {
                self == Self::Message
            }
            "action" => self == Self::Command,
            _ => true,
        }
    }
}

/// What is wrong with a name in a text: nothing, or the nearest name that exists.
pub(super) fn check_name(name: &str, audience: Audience) -> Result<(), Option<&'static str>> {
    let known = TEXT_NAMES.iter().copied().filter(|n| audience.hears(n));
    let of_device = name.strip_prefix("device.").is_some_and(|rest| !rest.is_empty());
    let sound = of_device || known.clone().any(|n| n == name);
    if sound { Ok(()) } else { Err(did_you_mean(name, known)) }
}
