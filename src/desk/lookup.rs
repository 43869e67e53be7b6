//! What a contact centre sees when somebody calls or writes: who that is, what is wrong with which of their devices, and
//! what has been arranged, so that nobody has to tell it twice.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::{CaseSummary, Desk, notes};
use crate::domain::{
    At, CaseId, Customer, CustomerId, Device, DeviceId, EffectId, EndpointKind, Evidence, JobState, StepId,
};

/// Most devices and most earlier cases in one answer.
const MOST: usize = 20;

/// What is known of whoever calls or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A phone number, however it is written.
    Phone(String),
    /// A mail address.
    Email(String),
    /// The device that it is about.
    Device(DeviceId),
}

/// The answer. Holds personal data: the name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lookup {
    /// Who it can be; several if they share a number, none if nobody has it.
    pub people: Vec<KnownPerson>,
    /// Their devices, those with an open case first; at most 20.
    pub devices: Vec<KnownDevice>,
}

/// Somebody of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownPerson {
    /// Their id.
    pub customer: CustomerId,
    /// Personal data.
    pub name: String,
    /// The language to answer in, BCP 47.
    pub locale: String,
    /// Their time zone.
    pub tz: String,
    /// What they are to the devices below (`driver`, `owner`).
    pub roles: Vec<String>,
}

/// A device and its cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Its id.
    pub device: DeviceId,
    /// What it is.
    pub kind: String,
    /// Its model.
    pub model: String,
    /// What the registry says of it besides (`plate`, `firmware`).
    pub attrs: std::collections::BTreeMap<String, String>,
    /// Open cases, the gravest first.
    pub open: Vec<KnownCase>,
    /// Closed cases of the last days, newest first; at most 20.
    pub earlier: Vec<CaseSummary>,
}

/// An open case as an agent needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownCase {
    /// The line of the list; its title is the most probable cause.
    #[serde(flatten)]
    pub summary: CaseSummary,
    /// What the cause was told from.
    pub evidence: Vec<Evidence>,
    /// What was arranged, newest first.
    pub arranged: Vec<Arranged>,
    /// The appointment that is being arranged, stands, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Appointment>,
    /// Who was told what, newest first.
    pub told: Vec<Told>,
    /// The person who has taken the case over, if one did.
    pub human_owner: Option<String>,
}

/// A truck or technician that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arranged {
    /// The provider.
    pub provider: String,
    /// `tow`, `technician`.
    pub service: String,
    /// As the provider last said (`accepted`, `en_route`); `None` until it answers.
    pub state: Option<JobState>,
    /// Why the provider has not been asked yet (`the stop switch, turned on by kim`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When it will be there, if they said.
    pub eta_at: Option<At>,
    /// Plate or name, if they said.
    pub truck: Option<String>,
}

/// An appointment at a workshop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Appointment {
    /// The provider.
    pub workshop: String,
    /// `proposed`, `confirming`, `confirmed`, `done`…
    pub state: String,
    /// When it is; not before it is confirmed.
    pub start_at: Option<At>,
}

/// A contact with the customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: At,
    /// The role of whoever was told.
    pub whom: String,
    /// Which text.
    pub script: String,
    /// What came of it: `human_confirmed(1)`, `no_answer`.
    pub result: String,
}

impl Desk {
    /// Who that is and how things stand with their devices.
    #[must_use]
    pub fn lookup(&self, caller: &Caller) -> Lookup {
        let (registry, directory) = (&self.config.registry, &self.config.directory);
        let at = |kind, address: &str| {
            let found = directory.at(registry, kind, address).into_iter();
            let mut people: Vec<&Customer> = found.map(|(c, _)| c).collect();
            people.dedup_by_key(|c| &c.id);
            people
        };
        let people: Vec<&Customer> = match caller {
            Caller::Phone(number) => at(EndpointKind::Phone, number),
            Caller::Email(mailbox) => at(EndpointKind::Email, mailbox),
            Caller::Device(id) => {
                let parties = registry.devices.get(id).into_iter().flat_map(|d| d.parties.values());
                let ids: BTreeSet<&CustomerId> = parties.collect();
                ids.into_iter().filter_map(|c| registry.customers.get(c)).collect()
            }
        };
        let ids: BTreeSet<&DeviceId> = match caller {
            Caller::Device(id) => [id].into(),
            _ => people.iter().flat_map(|c| directory.devices(registry, &c.id)).collect(),
        };
        let owned: Vec<&Device> = ids.into_iter().filter_map(|id| registry.devices.get(id)).collect();
        let mut devices: Vec<KnownDevice> = owned.iter().map(|d| self.known_device(d)).collect();
        devices.sort_by_key(|d| d.open.is_empty());
        devices.truncate(MOST);
        let people = people.into_iter().map(|c| known_person(c, &owned)).collect();
        Lookup { people, devices }
    }

    fn known_device(&self, device: &Device) -> KnownDevice {
        let open = self.state.open_by_device.get(&device.id).into_iter().flatten();
        let mut open: Vec<KnownCase> = open.filter_map(|id| self.known_case(id)).collect();
        open.sort_by(|a, b| {
            b.summary.severity.cmp(&a.summary.severity).then(b.summary.opened_at.cmp(&a.summary.opened_at))
        });
        let closed = self.state.cases_of(&device.id).filter(|(_, c)| !c.is_open());
        let mut earlier: Vec<CaseSummary> = closed.map(|(id, row)| self.summary(id, row)).collect();
        earlier.sort_by_key(|c| std::cmp::Reverse(c.opened_at));
        earlier.truncate(MOST);
        KnownDevice {
            device: device.id.clone(),
            kind: device.kind.to_string(),
            model: device.model.to_string(),
            attrs: device.attrs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            open,
            earlier,
        }
    }

    fn known_case(&self, id: &CaseId) -> Option<KnownCase> {
        let row = self.state.rows.cases.get(id)?;
        let rows = &self.state.rows;
        let jobs = self.state.jobs_by_case.get(id).into_iter().flatten();
        let jobs = jobs.filter_map(|asked| Some((rows.effects.get(asked), rows.jobs.get(asked)?)));
        let mut jobs: Vec<_> = jobs.filter(|(_, j)| !j.unwanted).collect();
        jobs.sort_by_key(|(_, j)| std::cmp::Reverse(j.asked_at));
        let known = Change::new(&self.state, &self.config, At::MIN);
        let mut told: Vec<Told> = self.effects_of(id).filter_map(|effect| self.told(&known, effect)).collect();
        told.sort_by_key(|t| std::cmp::Reverse(t.at));
        Some(KnownCase {
            summary: self.summary(id, row),
            evidence: row.evidence.clone(),
            arranged: jobs
                .into_iter()
                .map(|(asked, j)| Arranged {
                    provider: j.provider.to_string(),
                    service: j.service.clone(),
                    state: j.state,
                    waits_for: asked.filter(|e| e.delivery.state.is_waiting()).and_then(|e| e.waits_for.clone()),
                    eta_at: j.eta_at,
                    truck: j.truck.as_ref().and_then(|truck| self.config.keys.open(truck)),
                })
                .collect(),
            appointment: self
                .state
                .rows
                .bookings
                .range((*id, StepId::from(""))..)
                .next()
                .and_then(|((case, _), row)| row.appointment().filter(|_| case == id)),
            told,
            human_owner: row.human_owner.clone(),
        })
    }

    fn told(&self, known: &Change<'_>, effect: EffectId) -> Option<Told> {
        let (row, contact) = (self.state.rows.effects.get(&effect)?, self.state.rows.contacts.get(&effect)?);
        Some(Told {
            at: contact.at,
            whom: notes::role(known, row.case, Some(&row.step), &contact.customer),
            script: contact.script.to_string(),
            result: contact.result.clone(),
        })
    }
}

fn known_person(customer: &Customer, devices: &[&Device]) -> KnownPerson {
    let roles: BTreeSet<String> =
        devices.iter().flat_map(|d| d.roles_of(&customer.id)).map(|role| role.to_string()).collect();
    KnownPerson {
        customer: customer.id.clone(),
        name: customer.name.to_string(),
        locale: customer.locale.to_string(),
        tz: customer.tz.to_string(),
        roles: roles.into_iter().collect(),
    }
}

/// The digits of a number as the network shows it: `00` and `+` in front are the same.
pub(super) fn digits(number: &str) -> String {
    let all: String = number.chars().filter(char::is_ascii_digit).collect();
    all.strip_prefix("00").map_or(all.clone(), str::to_owned)
}
