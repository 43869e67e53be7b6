//! Who and what is out there: devices, the people behind them, how to reach them and what they allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{At, CustomerId, DeviceId, EndpointId, ModelId, Purpose};

/// A role a person has towards a device: `driver`, `owner`, `facility_manager`, `security`.
pub type Role = Arc<str>;

/// All devices and customers known, loaded from `config/registry/*.csv` and replaced whole on reload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    /// By id. A device that is not here is recorded and never acted for.
    pub devices: BTreeMap<DeviceId, Device>,
    /// By id.
    pub customers: BTreeMap<CustomerId, Customer>,
}

impl Registry {
    /// The people who have one of `roles` for `device`, in the order of the roles, each once.
    pub fn people<'a>(&'a self, device: &DeviceId, roles: &'a [Role]) -> impl Iterator<Item = &'a Customer> {
        let parties = self.devices.get(device).map(|d| &d.parties);
        let mut seen = Vec::new();
        roles.iter().filter_map(move |role| parties?.get(role)).filter_map(|id| self.customers.get(id)).filter(
            move |c| {
                let new = !seen.contains(&&c.id);
                seen.push(&c.id);
                new
            },
        )
    }
}

/// A device of the fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// As in the topic.
    pub id: DeviceId,
    /// What it sends.
    pub model: ModelId,
    /// `car`, `charger`, `lift`, `hvac`, `pump`: playbooks match on it.
    pub kind: Arc<str>,
    /// IANA time zone of the place where it stands; UTC if not stated.
    pub tz: Arc<str>,
    /// Who is who for this device.
    pub parties: BTreeMap<Role, CustomerId>,
    /// Every other column of the registry file (`plate`, `vin`, `firmware`, `region`…), read in rules as `device.x`.
    pub attrs: BTreeMap<Arc<str>, Arc<str>>,
    /// Columns named `param.x`: this device's own value of a parameter of its model, as text in the rule language.
    pub params: BTreeMap<Arc<str>, Arc<str>>,
}

impl Device {
    /// What a customer is for it, by name.
    pub fn roles_of<'a>(&'a self, customer: &'a CustomerId) -> impl Iterator<Item = &'a Role> {
        self.parties.iter().filter(move |(_, c)| *c == customer).map(|(role, _)| role)
    }

    /// What rules read as `device.x`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "id" => Some(self.id.as_str()),
            "model" => Some(self.model.as_str()),
            "kind" => Some(&self.kind),
            "tz" => Some(&self.tz),
            _ => self.attrs.get(name).map(|v| &**v),
        }
    }
}

/// A person or a company we may contact.
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    /// Stable and without meaning: logs may show it.
    pub id: CustomerId,
    /// Personal data.
    pub name: Arc<str>,
    /// BCP 47: `de-DE`.
    pub locale: Arc<str>,
    /// IANA time zone: quiet hours are theirs, not ours.
    pub tz: Arc<str>,
    /// The provider of the workshop that they would rather go to, or a place near it.
    pub preferred_workshop: Option<Arc<str>>,
    /// In the order of preference.
    pub endpoints: Vec<Endpoint>,
    /// What they agreed to.
    pub consents: Vec<Consent>,
}

impl Customer {
    /// The first endpoint of `kind` that has not opted out.
    #[must_use]
    pub fn endpoint(&self, kind: EndpointKind) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.kind == kind && !e.opted_out)
    }

    /// Whether `purpose` over `kind` is allowed at `now`. Safety needs no consent (but respects an opt-out, which is
    /// the endpoint's business).
    #[must_use]
    pub fn consents_to(&self, purpose: Purpose, kind: EndpointKind, now: At) -> bool {
        purpose == Purpose::Safety
            || self
                .consents
                .iter()
                .any(|c| c.to == Agreed::Contact(purpose) && c.channel.is_none_or(|k| k == kind) && c.holds(now))
    }

    /// The consent to `name` (`predictive_maintenance`) that holds at `now`.
    #[must_use]
    pub fn agreement(&self, name: &str, now: At) -> Option<&Consent> {
        let named = |c: &&Consent| matches!(&c.to, Agreed::Named(own) if **own == *name);
        self.consents.iter().filter(named).find(|c| c.holds(now))
    }
}

/// What an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// A phone number in E.164; calls and SMS.
    Phone,
    /// A mailbox.
    Email,
    /// The customer's own app, behind the provider's back end.
    App,
}

/// One way to reach a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Stable and without meaning: the desk log names this, never the address.
    pub id: EndpointId,
    /// Phone, mailbox or app.
    pub kind: EndpointKind,
    /// Personal data: the number, the mail address, or the name by which the back end of the app knows them.
    pub address: Arc<str>,
    /// They asked not to be contacted here.
    pub opted_out: bool,
}

/// What somebody has agreed to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreed {
    /// To be contacted for a purpose.
    Contact(Purpose),
    /// To something that a playbook asks for by name: `predictive_maintenance`.
    Named(Arc<str>),
}

/// A permission.
#[derive(Debug, Clone, PartialEq)]
pub struct Consent {
    /// To what.
    pub to: Agreed,
    /// Over what; `None` means every channel.
    pub channel: Option<EndpointKind>,
    /// Where it was given (`contract 2024-03`, `app`).
    pub source: Arc<str>,
    /// From when.
    pub given_at: At,
    /// Until when, if it was taken back.
    pub withdrawn_at: Option<At>,
}

impl Consent {
    fn holds(&self, now: At) -> bool {
        self.given_at <= now && self.withdrawn_at.is_none_or(|w| now < w)
    }
}
