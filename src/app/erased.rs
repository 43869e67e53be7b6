//! Customers who were erased and stand in the registry again: whoever loads an old list brings them back, and the desk
//! leaves them out in silence. The key file tells who was erased; that needs no secret.

use std::io;

use super::load::Loaded;
use crate::domain::{At, CustomerId};
use crate::source::{Diagnostic, Diagnostics, Place};
use crate::store::KeyFile;

pub(super) fn check(diags: &mut Diagnostics, loaded: &Loaded) {
    let path = loaded.settings.privacy.keys_at(&loaded.settings.store.dir);
    let erased = match KeyFile::erased_in(&path) {
        Ok(erased) => erased,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            let finding =
                Diagnostic::warning("S120", format!("nobody can tell who was erased: {}: {error}", path.display()));
            return diags.push(finding.hint("run the check as the user that the daemon runs as"));
        }
    };
    for (customer, at) in erased.iter().filter(|(id, _)| loaded.rules.registry.customers.contains_key(*id)) {
        diags.push(back(diags, customer, *at));
    }
}

fn back(diags: &Diagnostics, customer: &CustomerId, at: At) -> Diagnostic {
    let message = format!("the customer {customer} was erased at {at} and stands in the registry again");
    let finding = Diagnostic::warning("S121", message);
    let finding = match place(diags, customer) {
        Some(place) => finding.at(place, "nobody is told anything in this name"),
        None => finding,
    };
    finding.hint(format!(
        "delete the lines of {customer}; if they are a customer again: forewarn customer readmit {customer}"
    ))
}

/// Their line in customers.csv.
fn place(diags: &Diagnostics, customer: &CustomerId) -> Option<Place> {
    let file = diags.file("customers.csv")?;
    let begins = |line: &str| line.strip_prefix(customer.as_str()).is_some_and(|rest| rest.starts_with(','));
    let mut start = 0;
    for line in diags.text(file).split_inclusive('\n') {
        if begins(line) {
            return Some(Place { file, span: start..start + customer.as_str().len() });
        }
        start += line.len();
    }
    None
}
