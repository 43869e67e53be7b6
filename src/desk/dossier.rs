//! Everything that is stored of one customer, for whoever has the right to know it: the customer.
//!
//! ```json
//! {"customer": {"id", "name", "locale", "tz", "endpoints": [], "consents": []}, "erased_at": null,
//!  "devices": [{"id", "model", "kind", "tz", "roles": [], "attributes": {}}],
//!  "stored": {"cases": [{"key", "row"}], "contacts": [], "jobs": [], "facts": [], "timeline": []}, "cut": []}
//! ```
//! `stored` has the rows of the desk as they are, table by table: those that name the customer, an endpoint or a device of
//! theirs, or a case of such a device. What was sealed with their key is open in it; what was sealed with another
//! person's key says `"of another person"`, and what cannot be opened any more says `"erased"`.
//!
//! It is found by what stands in the rows and not by a list of tables, so that a new table is in it as soon as it exists.
//! `cut` names the tables that have more rows than the answer may hold. Not in it: the telemetry journal, which knows
//! devices and no people, and is kept for `store.journal_age`.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::Desk;
use super::named::Named;
use crate::domain::{Agreed, Consent, Customer, CustomerId, Device, DeviceId};

impl Desk {
    /// Everything that is stored of a customer, at most `most` rows of a table; `None` if nothing is.
    #[must_use]
    pub fn dossier(&self, id: &CustomerId, most: usize) -> Option<Json> {
        let customer = self.given.registry.customers.get(id);
        let mine = |d: &&Device| d.parties.values().any(|party| party == id);
        let devices: Vec<&Device> = self.given.registry.devices.values().filter(mine).collect();
        let ids: BTreeSet<&DeviceId> = devices.iter().map(|d| &d.id).collect();
        let cases = self.state.rows.cases.iter().filter(|(_, c)| ids.contains(&c.device)).map(|(id, _)| *id);
        let endpoints = customer.into_iter().flat_map(|c| &c.endpoints);

        let mut names = Named::default();
        names.customer(id);
        ids.iter().for_each(|device| names.device(device));
        endpoints.for_each(|endpoint| names.endpoint(&endpoint.id));
        cases.for_each(|case| names.case(case));
        let (mut rows, cut) = self.state.rows.json(&names, most);
        if customer.is_none() && rows.as_object().is_none_or(serde_json::Map::is_empty) {
            return None;
        }
        self.config.keys.open_all(id, &mut rows);
        Some(json!({
            "customer": customer.map(person),
            "erased_at": self.state.rows.erased.get(id).map(|row| row.at),
            "devices": devices.iter().map(|d| device(d, id)).collect::<Vec<_>>(),
            "stored": rows,
            "cut": cut,
        }))
    }
}

fn person(customer: &Customer) -> Json {
    let consent = |c: &Consent| {
        let to = match &c.to {
            Agreed::Contact(purpose) => json!(purpose),
            Agreed::Named(name) => json!(&**name),
        };
        json!({ "purpose": to, "channel": c.channel, "source": &*c.source, "given_at": c.given_at,
            "withdrawn_at": c.withdrawn_at })
    };
    json!({
        "id": customer.id, "name": &*customer.name, "locale": &*customer.locale, "tz": &*customer.tz,
        "endpoints": customer.endpoints.iter().map(|e| {
            json!({ "id": e.id, "kind": e.kind, "address": &*e.address, "opted_out": e.opted_out })
        }).collect::<Vec<_>>(),
        "consents": customer.consents.iter().map(consent).collect::<Vec<_>>(),
    })
}

fn device(device: &Device, customer: &CustomerId) -> Json {
    let attributes = device.attrs.iter().map(|(name, value)| (name.to_string(), Json::from(&**value)));
    json!({
        "id": device.id, "model": device.model.as_str(), "kind": &*device.kind, "tz": &*device.tz,
        "roles": device.roles_of(customer).map(|role| &**role).collect::<Vec<_>>(),
        "attributes": attributes.collect::<serde_json::Map<_, _>>(),
    })
}
