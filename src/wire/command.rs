//! A device's answer to a command: `{"id":"<effect>","ok":true,"detail":".."}` on its acknowledgement topic.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{EffectId, Receipt, ReceiptKind};

/// Longest `detail` that is kept, in characters: devices are not trusted with our store.
const DETAIL_MAX: usize = 500;

/// The payload on the acknowledgement topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The id that came with the command.
    pub id: EffectId,
    /// Whether it was done.
    pub ok: bool,
    /// What the device has to say about it.
    #[serde(default)]
    pub detail: String,
}

/// Reads an answer. Whether the device that sent it is the one that was commanded is for the caller to check: the
/// device id is in the topic.
pub fn receipt(payload: &[u8]) -> Result<Receipt, Error> {
    let ack: Ack = serde_json::from_slice(payload)?;
    let detail = ack.detail.chars().take(DETAIL_MAX).collect();
    Ok(Receipt { effect: ack.id, provider_ref: None, seq: None, what: ReceiptKind::Command { ok: ack.ok, detail } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let news =
            receipt(format!(r#"{{"id":"{id}","ok":false,"detail":"valve stuck","fw":"1.2"}}"#).as_bytes()).unwrap();
        assert_eq!(news.effect.to_string(), id);
        assert_eq!(news.what, ReceiptKind::Command { ok: false, detail: "valve stuck".into() });
        let long = format!(r#"{{"id":"{id}","ok":true,"detail":"{}"}}"#, "ä".repeat(2_000));
        let ReceiptKind::Command { detail, .. } = receipt(long.as_bytes()).unwrap().what else { panic!() };
        assert_eq!(detail.chars().count(), DETAIL_MAX);
        for bad in ["", "{}", r#"{"id":"x","ok":true}"#, r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#, "[1]"] {
            assert!(receipt(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
