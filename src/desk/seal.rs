//! Personal data at rest: what a row says of a customer is sealed with a key of that customer's own. Destroying the key
//! erases every copy at once, in the state, the log, the exports and the backups, and neither replay nor the audit
//! chain can tell, because both go over the ciphertext.
//!
//! Sealing is pure, so that the desk stays deterministic: XChaCha20-Poly1305 whose nonce is a keyed BLAKE3 hash of
//! what is sealed and of the place where it will stand (a synthetic nonce, as in RFC 5297). The same nonce comes again
//! only for the same text at the same place, and all that shows is that they are the same. A sealed value opens only at the
//! place that it was made for.
//!
//! Keys are made and kept outside ([`crate::store::KeyFile`]) and handed in with the [`Config`](super::Config).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::domain::CustomerId;

/// Bytes of a nonce.
const NONCE: usize = 24;

/// A key of 256 bits. Wiped from memory with its last copy; never shown.
#[derive(Clone)]
pub struct Key(Arc<SecretBox<[u8; 32]>>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// From 256 random bits.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(bytes))))
    }

    /// From a secret of any length.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        Self::new(blake3::derive_key("forewarn 2026-11 key of a secret", secret))
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// Nonce and ciphertext. The same text at the same place always gives the same.
    #[must_use]
    pub fn seal(&self, place: &str, text: &[u8]) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_keyed(&self.derived("forewarn 2026-11 nonce of a sealed value"));
        hasher.update(&(place.len() as u64).to_le_bytes()).update(place.as_bytes()).update(text);
        let mut nonce = [0; NONCE];
        hasher.finalize_xof().fill(&mut nonce);
        let payload = Payload { msg: text, aad: place.as_bytes() };
        // Fails only for texts of more than 256 GiB.
        let cipher = self.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [&nonce, cipher.as_slice()].concat()
    }

    /// The text; `None` unless it was sealed with this key for this place and is unharmed.
    #[must_use]
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, cipher) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: cipher, aad: place.as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.derived("forewarn 2026-11 cipher of a sealed value").into())
    }

    fn derived(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, self.expose())
    }
}

/// The keys of all customers, and one of the house for personal data of people whom the registry does not know.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    customers: Arc<BTreeMap<CustomerId, Key>>,
    house: Option<Key>,
    erased: Arc<BTreeSet<CustomerId>>,
}

impl Keyring {
    /// Of these keys.
    #[must_use]
    pub fn new(customers: BTreeMap<CustomerId, Key>, house: Key) -> Self {
        Self { customers: Arc::new(customers), house: Some(house), erased: Arc::default() }
    }

    /// Keys that anybody could make: for plays in virtual time, of which nothing is kept.
    pub fn made_up<'a>(customers: impl IntoIterator<Item = &'a CustomerId>) -> Self {
        let key = |id: &CustomerId| (id.clone(), Key::from_secret(id.as_str().as_bytes()));
        Self::new(customers.into_iter().map(key).collect(), Key::from_secret(b""))
    }

    /// Customers whose keys were destroyed, too: nobody is to be told anything in their name.
    #[must_use]
    pub fn erasing(mut self, erased: BTreeSet<CustomerId>) -> Self {
        if erased.iter().any(|id| self.customers.contains_key(id)) {
            Arc::make_mut(&mut self.customers).retain(|id, _| !erased.contains(id));
        }
        Arc::make_mut(&mut self.erased).extend(erased);
        self
    }

    /// Customers whose keys were destroyed.
    #[must_use]
    pub fn erased(&self) -> &BTreeSet<CustomerId> {
        &self.erased
    }

    /// A name for something of a customer's that links rows and says nothing to whoever lacks the key: a keyed hash. Once
    /// the key is destroyed, nobody can tell any more whose it was.
    pub(super) fn pseudonym(&self, owner: &CustomerId, of: &str) -> Option<String> {
        let key = self.customers.get(owner)?.derived("forewarn 2026-11 pseudonym of a customer");
        Some(blake3::keyed_hash(&key, of.as_bytes()).to_hex().as_str()[..16].to_owned())
    }

    /// Seals a value for the place where it will stand (`job/<effect>`); nobody's, and a customer's without a key, with
    /// the key of the house.
    pub(super) fn seal<T: Serialize>(&self, owner: Option<&CustomerId>, place: String, value: &T) -> Sealed {
        let owned = owner.and_then(|id| Some((id, self.customers.get(id)?)));
        let key = owned.map(|(_, key)| key).or(self.house.as_ref());
        let text = serde_json::to_vec(value).unwrap_or_default();
        let sealed = key.map(|key| key.seal(&place, &text)).unwrap_or_default();
        Sealed { owner: owned.map(|(id, _)| id.clone()), place, sealed }
    }

    /// The value, if it is not erased.
    pub(super) fn open<T: DeserializeOwned>(&self, sealed: &Sealed) -> Option<T> {
        let key = match &sealed.owner {
            Some(owner) => self.customers.get(owner),
            None => self.house.as_ref(),
        };
        serde_json::from_slice(&key?.open(&sealed.place, &sealed.sealed)?).ok()
    }

    /// Whether there is a key of this customer, or was one.
    pub(super) fn knows(&self, customer: &CustomerId) -> bool {
        self.customers.contains_key(customer) || self.erased.contains(customer)
    }

    /// Opens every sealed value within `json`, which is made of stored rows, for `reader`: what is another's stays closed,
    /// what is erased says so.
    pub(super) fn open_all(&self, reader: &CustomerId, json: &mut Json) {
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| self.open_all(reader, item)),
            Json::Object(fields) if fields.len() == 3 && fields.contains_key("sealed") => {
                let sealed = serde_json::from_value::<Sealed>(Json::Object(fields.clone())).ok();
                let others = sealed.as_ref().and_then(|s| s.owner.as_ref()).is_some_and(|owner| owner != reader);
                let open = sealed.filter(|_| !others).and_then(|s| self.open(&s));
                *json = open.unwrap_or_else(|| Json::from(if others { "of another person" } else { "erased" }));
            }
            Json::Object(fields) => fields.iter_mut().for_each(|(_, value)| self.open_all(reader, value)),
            _ => {}
        }
    }
}

/// A value that only the key of its owner opens; as JSON inside, so that it can be shown without knowing its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// Whose key; `None`: that of the house.
    pub(super) owner: Option<CustomerId>,
    place: String,
    /// Nonce and ciphertext.
    sealed: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Keyring {
        Keyring::made_up(&["a".into(), "b".into()])
    }

    #[test]
    fn what_is_sealed_opens_with_its_own_key_at_its_own_place_and_nowhere_else() {
        let key = Key::new([7; 32]);
        let sealed = key.seal("job/1", b"Jane Doe");
        assert_eq!(key.open("job/1", &sealed).as_deref(), Some(&b"Jane Doe"[..]));
        assert_eq!(key.open("job/2", &sealed), None);
        assert_eq!(Key::new([8; 32]).open("job/1", &sealed), None);
        assert_eq!(key.open("job/1", &sealed[..10]), None);
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(key.open("job/1", &bent), None, "byte {at}");
        }
        assert!(!sealed.windows(4).any(|w| w == b"Jane"));
    }

    #[test]
    fn sealing_is_deterministic_and_every_other_text_or_place_has_another_nonce() {
        let key = Key::new([7; 32]);
        let sealed = key.seal("a", b"bc");
        assert_eq!(sealed, key.seal("a", b"bc"));
        for other in
            [key.seal("ab", b"c"), key.seal("a", b"bd"), key.seal("b", b"bc"), Key::new([8; 32]).seal("a", b"bc")]
        {
            assert_ne!(sealed[..NONCE], other[..NONCE]);
        }
    }

    #[test]
    fn a_ring_without_a_customer_reads_their_values_as_erased_and_all_others_as_before() {
        let ring = ring();
        let (a, b) = (CustomerId::from("a"), CustomerId::from("b"));
        let owners = [Some(&a), Some(&b), None, Some(&CustomerId::from("unknown"))];
        let sealed: Vec<Sealed> = owners.iter().map(|o| ring.seal(*o, "x".to_owned(), &"text")).collect();
        assert_eq!(sealed.iter().map(|s| s.owner.as_ref()).collect::<Vec<_>>(), [Some(&a), Some(&b), None, None]);
        let after = ring.clone().erasing([a.clone()].into());
        let read = |ring: &Keyring| sealed.iter().map(|s| ring.open::<String>(s).is_some()).collect::<Vec<_>>();
        assert_eq!(read(&ring), [true; 4]);
        assert_eq!(read(&after), [false, true, true, true]);
        assert_eq!(read(&Keyring::default()), [false; 4]);

        let rows =
            || serde_json::json!({ "rows": [{ "body": sealed[0] }, { "body": sealed[1] }, { "body": sealed[2] }] });
        for (ring, reader, expected) in [
            (&ring, &a, ["text", "of another person", "text"]),
            (&after, &a, ["erased", "of another person", "text"]),
            (&after, &b, ["of another person", "text", "text"]),
        ] {
            let mut json = rows();
            ring.open_all(reader, &mut json);
            let shown: Vec<&str> =
                json["rows"].as_array().unwrap().iter().map(|r| r["body"].as_str().unwrap()).collect();
            assert_eq!(shown, expected);
        }
    }
}
