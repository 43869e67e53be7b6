//! Standard Webhooks: a signed POST. `webhook-id`, `webhook-timestamp` and
//! `webhook-signature: v1,<base64(HMAC-SHA256(secret, id.timestamp.body))>`, several signatures apart by blanks.
//!
//! Written here in a few lines on `hmac` and `sha2` and not with the `standardwebhooks` crate, because that one reads
//! the system's clock inside `verify` (this module is given `now`, so that tests and simulations own the time) and
//! brings a second generation of the hash crates. Its published vectors are tested below.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Error;
use crate::domain::{At, Span};

/// Header: the sender's id of the message, the same on every retry.
pub const ID: &str = "webhook-id";
/// Header: when this attempt was signed, Unix seconds.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header: the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// How far the sender's clock may be from ours, either way.
pub const TOLERANCE: Span = Span::from_mins(5);

/// At most so many signatures of one header are tried; a sender who changes keys needs two.
const SIGNATURES_MAX: usize = 8;

/// A signing key. Shows nothing of itself when printed.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// `whsec_<base64>`, or the base64 alone, as the reference libraries read it. Blanks around it are ignored, for
    /// files that end in a newline.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let key = BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| Error::Secret)?;
        if key.is_empty() { Err(Error::Secret) } else { Ok(Self(key)) }
    }

    /// The key itself.
    #[must_use]
    pub fn from_bytes(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        mac
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The three headers of a signed request, as received.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signature: &'a str,
}

/// The value of `webhook-signature` for `body`; `webhook-timestamp` must then be `at.as_secs()`.
#[must_use]
pub fn sign(secret: &Secret, id: &str, at: At, body: &[u8]) -> String {
    format!("v1,{}", BASE64.encode(secret.mac(id, at.as_secs(), body).finalize().into_bytes()))
}

/// Whether `body` was signed with `secret` within [`TOLERANCE`] of `now`. The comparison takes the same time wherever
/// the first difference is.
pub fn verify(secret: &Secret, headers: Headers<'_>, body: &[u8], now: At) -> Result<(), Error> {
    let signed_at: i64 = headers.timestamp.parse().map_err(|_| Error::unexpected(TIMESTAMP, headers.timestamp))?;
    let away = now - At::from_secs(signed_at);
    if away > TOLERANCE || Span::ZERO - away > TOLERANCE {
        return Err(Error::Stale { signed_at });
    }
    let genuine = headers
        .signature
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|s| BASE64.decode(s.strip_prefix("v1,")?).ok())
        .any(|s| secret.mac(headers.id, signed_at, body).verify_slice(&s).is_ok());
    if genuine { Ok(()) } else { Err(Error::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that all reference libraries of Standard Webhooks carry in their tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID_TEXT: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const EXPECTED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn check(timestamp: &str, signature: &str, body: &[u8], now: i64) -> Result<(), Error> {
        let headers = Headers { id: ID_TEXT, timestamp, signature };
        verify(&Secret::parse(SECRET).unwrap(), headers, body, At::from_secs(now))
    }

    #[test]
    fn signs_as_the_reference_libraries_do() {
        let secret = Secret::parse(SECRET).unwrap();
        assert_eq!(sign(&secret, ID_TEXT, At::from_secs(AT), BODY), EXPECTED);
        // Computed with the Python reference library, 1.1.0.
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let body = r#"{"job":"J-9","text":"Müller"}"#.as_bytes();
        let signature = sign(&secret, "01890a5d-ac96-774b-bcce-b302099a8057", At::from_secs(1_795_300_000), body);
        assert_eq!(signature, "v1,z6wLhMgooXUb8IWd13bEu3P+Q8MNwUKNrrnv4lcfPVY=");
    }

    #[test]
    fn verifies_what_is_genuine_and_fresh() {
        let at = AT.to_string();
        let second = format!("v1,AAAA v2,xyz {EXPECTED}");
        assert_eq!(check(&at, EXPECTED, BODY, AT + 299), Ok(()));
        assert_eq!(check(&at, &second, BODY, AT - 299), Ok(()));
        assert_eq!(check(&at, EXPECTED, BODY, AT + 301), Err(Error::Stale { signed_at: AT }));
        assert_eq!(check(&at, EXPECTED, BODY, AT - 301), Err(Error::Stale { signed_at: AT }));
        assert_eq!(check(&at, EXPECTED, b"{}", AT), Err(Error::Signature));
        assert_eq!(check(&(AT + 1).to_string(), EXPECTED, BODY, AT), Err(Error::Signature));
        assert_eq!(check(&at, &EXPECTED[3..], BODY, AT), Err(Error::Signature));
        assert_eq!(check(&at, "", BODY, AT), Err(Error::Signature));
        assert_eq!(check(&i64::MIN.to_string(), EXPECTED, BODY, AT), Err(Error::Stale { signed_at: i64::MIN }));
        assert!(matches!(check("now", EXPECTED, BODY, AT), Err(Error::Unexpected { .. })));
        let many = format!("{}{EXPECTED}", "v1,AAAA ".repeat(SIGNATURES_MAX));
        assert_eq!(check(&at, &many, BODY, AT), Err(Error::Signature), "a flood of signatures is not all tried");
    }

    #[test]
    fn secrets_are_base64_and_hide() {
        assert!(Secret::parse("not base64!").is_err());
        assert!(Secret::parse("whsec_").is_err());
        assert!(Secret::parse(&format!("{SECRET}\n")).is_ok());
        assert_eq!(format!("{:?}", Secret::parse(SECRET).unwrap()), "Secret(..)");
    }
}
