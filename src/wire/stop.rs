//! What a message on the topic of a stop switch says. People publish these by hand, retained, in a hurry: the words that
//! come to mind all work, and whatever else stands there is refused rather than guessed.

use super::Error;
use crate::domain::Stop;

/// Reads a payload: `on`, `1`, `true`, `halt`; `all`; `off`, `0`, `false`, `resume`, or nothing (a retained message was
/// cleared).
pub fn setting(payload: &[u8]) -> Result<Stop, Error> {
    let text = std::str::from_utf8(payload).map_err(|_| Error::Malformed("not text".to_owned()))?;
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "1" | "true" | "halt" => Ok(Stop::On),
        "all" => Ok(Stop::All),
        "" | "off" | "0" | "false" | "resume" => Ok(Stop::Off),
        other => Err(Error::unexpected("switch", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (payload, expected) in [
            ("on", Some(Stop::On)),
            (" HALT\n", Some(Stop::On)),
            ("1", Some(Stop::On)),
            ("all", Some(Stop::All)),
            ("off", Some(Stop::Off)),
            ("", Some(Stop::Off)),
            ("offf", None),
            ("{\"on\":true}", None),
        ] {
            assert_eq!(setting(payload.as_bytes()).ok(), expected, "{payload}");
        }
        assert!(setting(&[0xff]).is_err());
    }
}
