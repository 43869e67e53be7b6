//! `config/registry/*.csv`: devices, customers, how to reach them and what they allowed.
//!
//! 100,000 devices are read in well under a second. Places are not kept while reading: a finding looks its field up in
//! the text again, which only files with mistakes pay for. No finding quotes a name, number or address outside of its
//! own line.

mod check;
mod customers;
mod devices;
mod shared;
mod sheet;

pub(super) use sheet::{Row, Sheet, Wrong};

use crate::domain::Registry;
use crate::model::Models;
use crate::source::{Diagnostics, FileId};

/// The files of the registry; any of them may be absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct RegistryFiles {
    /// `devices.csv`: `id`, `model`, `kind`, `tz`, one column for each party, `param.x`, and attributes.
    pub devices: Option<FileId>,
    /// `customers.csv`: `id,name,locale,tz,preferred_workshop`; the last two may be missing.
    pub customers: Option<FileId>,
    /// `endpoints.csv`: `id,customer,kind,address,opted_out`.
    pub endpoints: Option<FileId>,
    /// `consents.csv`: `customer,purpose,channel,source,given_at,withdrawn_at`.
    pub consents: Option<FileId>,
}

/// Reads the registry. Every mistake is reported (of each file at most the first 50); lines with mistakes are left out.
/// Use it only if there are no errors.
#[must_use]
pub fn load_registry(diags: &mut Diagnostics, files: &RegistryFiles, models: &Models) -> Registry {
    let mut customers = files.customers.map(|file| customers::customers(diags, file)).unwrap_or_default();
    if let Some(file) = files.endpoints {
        customers::endpoints(diags, file, &mut customers);
    }
    if let Some(file) = files.consents {
        customers::consents(diags, file, &mut customers);
    }
    let devices = files.devices.map(|file| devices::devices(diags, file, models, &customers)).unwrap_or_default();
    Registry { devices, customers }
}
