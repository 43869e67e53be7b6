//! The head of the desk log, signed, to be kept where whoever could rewrite the log cannot reach: a log that was cut off or
//! written anew from some place on does not agree with it any more.
//!
//! ```json
//! {"head": "30:9f86d08…", "at": "2026-11-22T08:00:00Z", "key": "…", "signature": "…"}
//! ```
//! Ed25519 over `forewarn head 1`, the head and the time, a line each; key and signature are base64. A reader needs the
//! public key once, and believes no head with another one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::Head;
use crate::domain::At;

/// Signs heads.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key())
    }
}

/// A head that somebody else keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// `SEQ:HASH`
    pub head: String,
    /// When it was the head.
    pub at: At,
    /// The public key of whoever signed it.
    pub key: String,
    /// Of the three lines above.
    pub signature: String,
}

impl Signer {
    /// With a key made of a secret of any length.
    ///
    /// # Errors
    /// Never for a seed of the right length, which this one has.
    pub fn from_secret(secret: &[u8]) -> Result<Self, &'static str> {
        let seed = blake3::derive_key("forewarn 2026-11 signer of heads", secret);
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| "no key can be made of the secret")
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }

    /// Signs `head` as it is at `at`.
    #[must_use]
    pub fn sign(&self, head: Head, at: At) -> SignedHead {
        let head = head.to_string();
        let signature = STANDARD.encode(self.0.sign(text(&head, at).as_bytes()));
        SignedHead { head, at, key: self.key(), signature }
    }
}

fn text(head: &str, at: At) -> String {
    format!("forewarn head 1\n{head}\n{at}\n")
}

impl SignedHead {
    /// The head, if its key has signed it.
    ///
    /// # Errors
    /// For people: what is wrong with it.
    pub fn verify(&self) -> Result<Head, &'static str> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| "key or signature is not base64");
        let (key, signature) = (decode(&self.key)?, decode(&self.signature)?);
        UnparsedPublicKey::new(&ED25519, key)
            .verify(text(&self.head, self.at).as_bytes(), &signature)
            .map_err(|_| "its signature does not fit")?;
        self.head.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_is_believed() {
        let signer = Signer::from_secret(b"a secret of the test").unwrap();
        let head = Head { seq: 30, hash: [7; 32] };
        let signed = signer.sign(head, At::from_secs(1));
        assert_eq!(signed.verify(), Ok(head));
        assert_eq!(
            signer.key(),
            Signer::from_secret(b"a secret of the test").unwrap().key(),
            "the same after a restart"
        );
        let other = Signer::from_secret(b"another").unwrap();
        for bent in [
            SignedHead { head: Head { seq: 29, hash: [7; 32] }.to_string(), ..signed.clone() },
            SignedHead { at: At::from_secs(2), ..signed.clone() },
            SignedHead { key: other.key(), ..signed.clone() },
            SignedHead { signature: other.sign(head, At::from_secs(1)).signature, ..signed.clone() },
            SignedHead { signature: "?".into(), ..signed.clone() },
        ] {
            assert!(bent.verify().is_err(), "{bent:?}");
        }
    }
}
