//! Where the head of the desk log goes, and what it is signed with.

use super::links;
use super::run::Error;
use super::secrets::Secrets;
use super::settings::Settings;
use crate::runtime;
use crate::store::Signer;

/// The name of its secret in the store's directory.
const KEPT: &str = "audit.key";

/// The topic and who signs; `None`: it is not sent out.
pub(super) fn of(settings: &Settings, secrets: &Secrets) -> Result<Option<(String, Signer)>, Error> {
    let audit = &settings.audit;
    let topic = audit.topic.clone().unwrap_or_else(|| format!("forewarn/{}/audit", settings.broker.client_id));
    if topic.is_empty() {
        return Ok(None);
    }
    let secret = if audit.secret_file.as_os_str().is_empty() {
        let path = settings.store.dir.join(KEPT);
        links::kept(&settings.store.dir, KEPT).map_err(|error| runtime::Error::File { path, error })?
    } else {
        let what = || format!("audit.secret_file {}", audit.secret_file.display());
        secrets.read(&audit.secret_file).map_err(|error| Error::Io { what: what(), error })?
    };
    let refused = |why| Error::Io { what: "audit".to_owned(), error: std::io::Error::other(why) };
    Ok(Some((topic, Signer::from_secret(secret.trim_ascii()).map_err(refused)?)))
}
