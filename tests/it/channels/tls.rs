//! TLS of mail and HTTP: a private authority is believed if and only if the settings name it.

use std::sync::Arc;

use forewarn::domain::{WebhookWork, Work};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::smtpd::{Fault, Protection, Smtpd};
use super::support::*;

/// An authority of our own: its certificate (PEM), and a server for `name` that it vouches for.
fn authority(name: &str) -> (Vec<u8>, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (ca_cert.pem().into_bytes(), TlsAcceptor::from(Arc::new(config)))
}

fn mail_settings(server: &Smtpd, tls: &str) -> String {
    format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"{tls}\"\nca_file = \"ca.pem\"\n\
         from = \"service@example.com\"\nusername = \"u\"\npassword_file = \"pw\"\n",
        server.address.port()
    )
}

#[tokio::test]
async fn mail_is_encrypted_before_anything_is_said() {
    let (ca, acceptor) = authority("127.0.0.1");
    let (wrong_name_ca, wrong_name) = authority("mx.example.com");
    let (other_ca, _) = authority("127.0.0.1");
    let mut world = World::new();
    world.files.insert("pw", b"p\n".to_vec());
    for (tls, protection, believed, expected) in [
        ("starttls", Protection::Starttls(acceptor.clone()), &ca, "accepted"),
        ("tls", Protection::Tls(acceptor.clone()), &ca, "accepted"),
        ("starttls", Protection::Starttls(acceptor.clone()), &other_ca, "retry"),
        ("tls", Protection::Tls(acceptor.clone()), &other_ca, "retry"),
        ("starttls", Protection::Starttls(wrong_name.clone()), &wrong_name_ca, "retry"),
        ("tls", Protection::Tls(wrong_name.clone()), &wrong_name_ca, "retry"),
        // No TLS on offer, or plain text where TLS should begin: nothing is sent.
        ("starttls", Protection::None, &ca, "retry"),
        ("tls", Protection::None, &ca, "retry"),
    ] {
        let fault = if matches!(protection, Protection::None) { Fault::NoStarttls } else { Fault::None };
        let server = Smtpd::start(fault, protection).await;
        world.files.insert("ca.pem", believed.clone());
        let outcome = world.build(&mail_settings(&server, tls)).attempt(send(mail("x"))).await;
        assert_eq!(word(&outcome), expected, "{tls} {outcome:?}");
        let got = server.got();
        assert_eq!(got.len(), usize::from(expected == "accepted"));
        assert!(got.iter().all(|g| g.encrypted && g.login == "AUTH PLAIN AHUAcA=="), "{got:?}");
    }
}

#[tokio::test]
async fn http_believes_only_the_authority_of_the_settings() {
    let (ca, acceptor) = authority("127.0.0.1");
    let (other_ca, _) = authority("127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = vec![0; 16 * 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    let mut world = World::new();
    let page = || send(Work::Webhook(WebhookWork { body: serde_json::json!({}) }));
    let settings =
        format!("kind = \"webhook\"\nurl = \"https://127.0.0.1:{port}\"\nsecret = \"{SECRET}\"\nca_file = \"ca.pem\"");
    for (pem, expected) in [(ca, "accepted"), (other_ca, "retry")] {
        world.files.insert("ca.pem", pem);
        let outcome = world.build(&settings).attempt(page()).await;
        assert_eq!(word(&outcome), expected, "{outcome:?}");
    }
    world.files.insert("ca.pem", b"not a certificate".to_vec());
    assert!(world.try_build(&settings).err().unwrap().to_string().contains("holds no certificate"));
}

/// A peer that takes the connection and never finishes the handshake has been told nothing.
#[tokio::test]
async fn a_handshake_that_hangs_is_a_retry() {
    let (ca, _) = authority("127.0.0.1");
    let address = peer(|_s| tokio::time::sleep(std::time::Duration::from_secs(60))).await;
    let mut world = World::new();
    world.files.insert("ca.pem", ca);
    let settings =
        format!("kind = \"webhook\"\nurl = \"https://{address}\"\nsecret = \"{SECRET}\"\nca_file = \"ca.pem\"");
    let outcome =
        world.build(&settings).attempt(send(Work::Webhook(WebhookWork { body: serde_json::json!({}) }))).await;
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
}
