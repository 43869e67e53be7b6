//! `customers.csv`, `endpoints.csv`, `consents.csv`.

use std::collections::BTreeMap;

use super::check::{self, Refusal, Zones};
use super::shared::Shared;
use super::sheet::{Row, Sheet, Wrong};
use crate::domain::{At, Consent, Customer, CustomerId, Endpoint, EndpointId, EndpointKind};
use crate::source::{Diagnostics, FileId, did_you_mean};

/// By id, as in the registry.
pub(super) type Customers = BTreeMap<CustomerId, Customer>;

/// Beyond that, no nearest name is looked for: it would take longer than reading the file.
const MAX_CANDIDATES: usize = 2_000;

pub(super) fn customers(diags: &mut Diagnostics, file: FileId) -> Customers {
    let mut customers = Customers::new();
    let (mut zones, mut locales) = (Zones::default(), Shared::default());
    // Where each row began, to show the first of two.
    let mut rows: BTreeMap<CustomerId, usize> = BTreeMap::new();
    let known = ["id", "name", "locale", "tz", "preferred_workshop"];
    let mut numbers = None;
    Sheet::read(
        diags,
        file,
        |sheet, diags| sheet.only(diags, &known, &["tz", "preferred_workshop"]),
        |sheet, diags, row| {
            let columns = *numbers.get_or_insert_with(|| known.map(|name| sheet.column(name)));
            let [id, name, locale, tz, workshop] = columns.map(|column| row.get(column));
            let mut field = Field { sheet, diags, row, good: true };
            field.check(columns[0], "G003", not_empty(id, "id"));
            field.check(columns[1], "G003", not_empty(name, "name"));
            let locale = field.check(columns[2], "G006", check::locale(locale));
            let tz = field.check(columns[3], "G007", zones.get(tz));
            if let Some(&first) = rows.get(id) {
                field.duplicate(columns[0], "customer", id, first);
            }
            let good = field.good;
            let id = CustomerId::from(id);
            rows.entry(id.clone()).or_insert(row.at);
            if let (true, Some(locale), Some(tz)) = (good, locale, tz) {
                let customer = Customer {
                    id: id.clone(),
                    name: name.into(),
                    locale: locales.get(&locale),
                    tz,
                    preferred_workshop: Some(workshop).filter(|w| !w.is_empty()).map(Into::into),
                    endpoints: Vec::new(),
                    consents: Vec::new(),
                };
                customers.insert(id, customer);
            }
        },
    );
    customers
}

pub(super) fn endpoints(diags: &mut Diagnostics, file: FileId, customers: &mut Customers) {
    let mut rows: BTreeMap<EndpointId, usize> = BTreeMap::new();
    let known = ["id", "customer", "kind", "address", "opted_out"];
    let mut numbers = None;
    Sheet::read(
        diags,
        file,
        |sheet, diags| sheet.only(diags, &known, &["opted_out"]),
        |sheet, diags, row| {
            let columns = *numbers.get_or_insert_with(|| known.map(|name| sheet.column(name)));
            let [id, customer, kind, address, opted_out] = columns.map(|column| row.get(column));
            let mut field = Field { sheet, diags, row, good: true };
            field.check(columns[0], "G003", not_empty(id, "id"));
            field.check(columns[1], "G004", known_customer(customer, customers));
            let kind = field.check(columns[2], "G008", check::endpoint_kind(kind));
            let (code, sound) = match kind {
                Some(EndpointKind::Phone) => ("G009", check::phone(address)),
                Some(EndpointKind::Email) => ("G010", check::mail(address)),
                Some(EndpointKind::App) => ("G010", check::app_user(address)),
                None => ("G010", Ok(())),
            };
            field.check(columns[3], code, sound);
            let opted_out = field.check(columns[4], "G008", check::flag(opted_out));
            if let Some(&first) = rows.get(id) {
                field.duplicate(columns[0], "endpoint", id, first);
            }
            let good = field.good;
            rows.entry(EndpointId::from(id)).or_insert(row.at);
            if let (true, Some(kind), Some(opted_out)) = (good, kind, opted_out)
                && let Some(customer) = customers.get_mut(customer)
            {
                push(
                    &mut customer.endpoints,
                    Endpoint { id: EndpointId::from(id), kind, address: address.into(), opted_out },
                );
            }
        },
    );
}

pub(super) fn consents(diags: &mut Diagnostics, file: FileId, customers: &mut Customers) {
    let known = ["customer", "purpose", "channel", "source", "given_at", "withdrawn_at"];
    let mut numbers = None;
    let optional = ["channel", "withdrawn_at"];
    let mut sources = Shared::default();
    Sheet::read(
        diags,
        file,
        |sheet, diags| sheet.only(diags, &known, &optional),
        |sheet, diags, row| {
            let columns = *numbers.get_or_insert_with(|| known.map(|name| sheet.column(name)));
            let [customer, purpose, channel, source, given_at, withdrawn_at] = columns.map(|column| row.get(column));
            let mut field = Field { sheet, diags, row, good: true };
            field.check(columns[0], "G004", known_customer(customer, customers));
            let to = field.check(columns[1], "G008", check::agreed(purpose));
            let channel = Some(channel).filter(|word| !word.is_empty()).map(check::endpoint_kind).transpose();
            let channel = field.check(columns[2], "G008", channel);
            field.check(columns[3], "G003", not_empty(source, "source (where it was given)"));
            let given_at = field.check(columns[4], "G011", instant(given_at));
            let withdrawn = Some(withdrawn_at).filter(|text| !text.is_empty()).map(instant).transpose();
            let withdrawn_at = field.check(columns[5], "G011", withdrawn);
            if let (Some(given), Some(Some(withdrawn))) = (given_at, withdrawn_at)
                && withdrawn < given
            {
                let problem = ("withdrawn before it was given".to_owned(), None);
                field.check::<()>(columns[5], "G011", Err(problem));
            }
            let good = field.good;
            if let (true, Some(to), Some(channel), Some(given_at), Some(withdrawn_at)) =
                (good, to, channel, given_at, withdrawn_at)
                && let Some(customer) = customers.get_mut(customer)
            {
                push(
                    &mut customer.consents,
                    Consent { to, channel, source: sources.get(source), given_at, withdrawn_at },
                );
            }
        },
    );
}

/// Appends without room to spare as long as there are few: nearly all customers have two endpoints and one consent, and
/// the room that a `Vec` keeps for more would be a third of a large registry.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < 4 {
        list.reserve_exact(1);
    }
    list.push(item);
}

/// One row being checked, field by field.
pub(super) struct Field<'s, 'd, 'r> {
    pub(super) sheet: &'s mut Sheet,
    pub(super) diags: &'d mut Diagnostics,
    pub(super) row: &'r Row<'r>,
    pub(super) good: bool,
}

impl Field<'_, '_, '_> {
    /// The value, or a finding at the field.
    pub(super) fn check<T>(
        &mut self,
        column: Option<usize>,
        code: &'static str,
        read: Result<T, Refusal>,
    ) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err((message, hint)) => {
                self.good = false;
                self.sheet.wrong(self.diags, self.row, column, Wrong { code, message, hint, ..Wrong::default() });
                None
            }
        }
    }

    /// A finding: `id` was there before, in the row that begins at `first`.
    pub(super) fn duplicate(&mut self, column: Option<usize>, what: &str, id: &str, first: usize) {
        self.good = false;
        let wrong = Wrong {
            code: "G005",
            message: format!("there are two {what}s '{id}'"),
            label: "the second",
            hint: None,
            related: Some((first, column.unwrap_or(0), "the first")),
        };
        self.sheet.wrong(self.diags, self.row, column, wrong);
    }
}

pub(super) fn not_empty(text: &str, what: &str) -> Result<(), Refusal> {
    if text.is_empty() { Err((format!("the {what} is empty"), None)) } else { Ok(()) }
}

pub(super) fn known_customer<'c>(id: &str, customers: &'c Customers) -> Result<&'c Customer, Refusal> {
    if let Some(customer) = customers.get(id) {
        return Ok(customer);
    }
    let near = if customers.len() <= MAX_CANDIDATES {
        did_you_mean(id, customers.keys().map(CustomerId::as_str)).map(|near| format!("did you mean `{near}`?"))
    } else {
        None
    };
    Err((format!("there is no customer '{id}'"), near))
}

fn instant(text: &str) -> Result<At, Refusal> {
    text.parse().map_err(|_| (format!("'{text}' is not an instant"), Some("write 2026-03-01T09:30:00Z".to_owned())))
}
