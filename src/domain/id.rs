//! Identifiers. Names that people write are interned text; identities that must be the same after a crash are hashes
//! of what they identify.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::At;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        /// As its text, in every format; whoever writes the format is told what it is an id of.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_newtype_struct(stringify!($name), &self.0)
            }
        }

        impl $name {
            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

text_id! {
    /// A device, as it is named in the topic (`car-0042`). Never taken from a payload.
    DeviceId;
    /// A device model (`ev-gen2`): what a kind of device sends.
    ModelId;
    /// A rule (`coolant-overheat`), the stable identity of state and episodes.
    RuleId;
    /// A signal of a model (`coolant_temp`).
    SignalName;
    /// A component of a device (`cell[3]`); a detection about the whole device has none.
    Component;
    /// A fault, `family.part` (`brake.circuit_loss`). Playbooks match on it, outcomes are scored by it.
    FaultName;
    /// A playbook (`car-breakdown-tow`).
    PlaybookId;
    /// A step of a playbook (`tow`).
    StepId;
    /// A promise of a case (`driver_told_to_stop`).
    GoalName;
    /// A message text in all its locales (`brake-stop-now`).
    ScriptId;
    /// A customer.
    CustomerId;
    /// A phone, mailbox or app of a customer.
    EndpointId;
    /// A configured provider (`zammad`, `regional-pool`, `twilio`).
    AdapterName;
    /// A human queue (`safety-desk`): people in the settings.
    QueueName;
}

/// What was wrong with the text of a hashed id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an id: 32 hexadecimal digits expected")]
pub struct ParseIdError(String);

macro_rules! hash_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of the thing named by `parts`, in this order. The same parts always give the same id.
            #[must_use]
            pub fn of(parts: &[&[u8]]) -> Self {
                Self(hash16(stringify!($name), parts))
            }

            /// The sixteen bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let bad = || ParseIdError(text.to_owned());
                if text.len() != 32 || !text.is_ascii() {
                    return Err(bad());
                }
                let mut id = [0; 16];
                for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
                }
                Ok(Self(id))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(d).map(Self)
                }
            }
        }
    )*};
}

hash_id! {
    /// One continuous stretch of a rule being true on a device:
    /// `of([rule, device, component, event_at of the first true sample])`, so that a replay finds the same one.
    EpisodeId;
    /// A case: `of([key, episode that opened it])`.
    CaseId;
}

impl CaseId {
    /// Eight characters that people read out on the phone; the console and tickets show this one.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

/// One effect on the world; the idempotency key at every provider. A UUID of version 7 whose random part is derived
/// from the case and step instead of drawn, so that a replay names the same effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectId(Uuid);

impl EffectId {
    /// The effect planned at `planned_at` for the thing named by `parts`.
    #[must_use]
    pub fn of(planned_at: At, parts: &[&[u8]]) -> Self {
        let mut random = [0; 10];
        random.copy_from_slice(&hash16("EffectId", parts)[..10]);
        let millis = u64::try_from(planned_at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The effect with these sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EffectId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// Sixteen bytes of BLAKE3 over a domain name and length-prefixed parts, so that ("ab","c") and ("a","bc") differ.
fn hash16(domain: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_ids_depend_on_the_boundaries_of_their_parts() {
        assert_ne!(EpisodeId::of(&[b"ab", b"c"]), EpisodeId::of(&[b"a", b"bc"]));
        let id = CaseId::of(&[b"x"]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("zz".repeat(16).parse::<CaseId>().is_err());
    }

    #[test]
    fn effect_ids_are_version_7_and_repeatable() {
        let at = At::from_millis(1_795_300_000_000);
        let id = EffectId::of(at, &[b"case", b"step"]);
        assert_eq!(id, EffectId::of(at, &[b"case", b"step"]));
        assert_eq!(id.0.get_version_num(), 7);
        assert!(EffectId::of(at + super::super::Span::from_secs(1), &[b"a"]) > id);
    }
}
