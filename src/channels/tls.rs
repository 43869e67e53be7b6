//! One TLS set-up for mail and HTTP: rustls on ring, TLS 1.2 or later, names verified, the system's roots or exactly
//! those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::{Error, Site};

/// Believes the certificates of `ca_file` alone, or the system's without one.
pub(super) fn verifying(site: &Site<'_>, ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| site.error("ca_file", e.to_string()))?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(roots(site, &site.read("ca_file", path)?)?),
        None => builder.with_platform_verifier().map_err(|e| {
            site.error("ca_file", format!("the system's root certificates cannot be used ({e}); name a file instead"))
        })?,
    };
    Ok(builder.with_no_client_auth())
}

/// For plain connections, where the client still wants a TLS set-up: believes nobody. (Asking for the system's roots
/// would fail on a machine that has none.)
pub(super) fn believing_nobody() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn roots(site: &Site<'_>, pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(pem) {
        let cert = cert.map_err(|e| site.error("ca_file", format!("not a PEM certificate: {e}")))?;
        store.add(cert).map_err(|e| site.error("ca_file", format!("not usable: {e}")))?;
    }
    if store.is_empty() { Err(site.error("ca_file", "holds no certificate")) } else { Ok(store) }
}
