//! What the telemetry journal holds: the messages as they came, and marks of our own clock.
//!
//! The marks are written only while ingest is healthy. Timers of the engine run on them, so a replay of the journal
//! sees time pass exactly as the live run saw it, and an outage of our own is a stretch without marks.

use crate::domain::At;

/// One entry of the telemetry journal, borrowed from its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A publish.
    Message {
        /// When it reached us.
        received_at: At,
        /// Sent because we subscribed, not because the device just spoke.
        retained: bool,
        /// Topic name.
        topic: &'a str,
        /// Payload.
        payload: &'a [u8],
    },
    /// A person has ended what a rule has latched on a device.
    Release {
        /// When.
        at: At,
        /// Which device.
        device: &'a str,
        /// Which rule.
        rule: &'a str,
    },
    /// Ingest was healthy and drained at this instant.
    Clock {
        /// The instant.
        at: At,
    },
}

/// A frame that is not an entry: written by another version or damaged in a way that the checksum cannot see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a journal entry of this version (tag {tag}, {length} bytes)")]
pub struct BadEntry {
    tag: u8,
    length: usize,
}

const MESSAGE: u8 = 1;
const RETAINED: u8 = 2;
const CLOCK: u8 = 3;
const RELEASE: u8 = 4;

impl<'a> Entry<'a> {
    /// Appends the encoded entry to `out`: tag, instant (µs, little endian), and for a message the length of the
    /// topic (two bytes), the topic and the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Message { received_at, retained, topic, payload } => {
                out.push(if retained { RETAINED } else { MESSAGE });
                out.extend_from_slice(&received_at.as_micros().to_le_bytes());
                // MQTT itself limits a topic to 65,535 bytes.
                let length = u16::try_from(topic.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&topic.as_bytes()[..usize::from(length)]);
                out.extend_from_slice(payload);
            }
            Self::Release { at, device, rule } => {
                out.push(RELEASE);
                out.extend_from_slice(&at.as_micros().to_le_bytes());
                let length = u16::try_from(device.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&device.as_bytes()[..usize::from(length)]);
                out.extend_from_slice(rule.as_bytes());
            }
            Self::Clock { at } => {
                out.push(CLOCK);
                out.extend_from_slice(&at.as_micros().to_le_bytes());
            }
        }
    }

    /// Reads an encoded entry.
    pub fn decode(frame: &'a [u8]) -> Result<Self, BadEntry> {
        let bad = BadEntry { tag: frame.first().copied().unwrap_or(0), length: frame.len() };
        let (tag, rest) = frame.split_first().ok_or(bad)?;
        let (at, rest) = rest.split_first_chunk().ok_or(bad)?;
        let at = At::from_micros(i64::from_le_bytes(*at));
        match *tag {
            MESSAGE | RETAINED => {
                let (length, rest) = rest.split_first_chunk().ok_or(bad)?;
                let (topic, payload) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or(bad)?;
                let topic = std::str::from_utf8(topic).map_err(|_| bad)?;
                Ok(Self::Message { received_at: at, retained: *tag == RETAINED, topic, payload })
            }
            RELEASE => {
                let (length, rest) = rest.split_first_chunk().ok_or(bad)?;
                let (device, rule) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or(bad)?;
                let text = |bytes| std::str::from_utf8(bytes).map_err(|_| bad);
                Ok(Self::Release { at, device: text(device)?, rule: text(rule)? })
            }
            CLOCK if rest.is_empty() => Ok(Self::Clock { at }),
            _ => Err(bad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_journal() {
        let at = At::from_micros(-5);
        for entry in [
            Entry::Message { received_at: at, retained: false, topic: "fleet/a/telemetry", payload: b"{}" },
            Entry::Message { received_at: at, retained: true, topic: "", payload: b"" },
            Entry::Release { at, device: "car-1", rule: "brake" },
            Entry::Clock { at: At::MAX },
        ] {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(Entry::decode(&bytes), Ok(entry));
            bytes.truncate(bytes.len().min(8));
            assert!(Entry::decode(&bytes).is_err());
        }
        assert!(Entry::decode(b"").is_err());
    }
}
