//! Where providers call us back. Every address carries the effect id, so an answer finds its effect even when the
//! answer to our request was lost.

use crate::domain::EffectId;

/// What to say in a call: fetched by the phone provider when the call is answered (`turn` 1) and after each turn.
#[must_use]
pub fn voice(public_url: &str, effect: &EffectId, turn: u32) -> String {
    format!("{}/twilio/voice?e={effect}&n={turn}", base(public_url))
}

/// How a call stands.
#[must_use]
pub fn voice_status(public_url: &str, effect: &EffectId) -> String {
    format!("{}/twilio/status?e={effect}", base(public_url))
}

/// How a text message stands.
#[must_use]
pub fn sms_status(public_url: &str, effect: &EffectId) -> String {
    format!("{}/twilio/sms-status?e={effect}", base(public_url))
}

/// How a dispatch job stands.
#[must_use]
pub fn dispatch(public_url: &str, effect: &EffectId) -> String {
    format!("{}/dispatch/{effect}", base(public_url))
}

/// What came of a message in the app.
#[must_use]
pub fn app(public_url: &str, effect: &EffectId) -> String {
    format!("{}/app/{effect}", base(public_url))
}

fn base(public_url: &str) -> &str {
    public_url.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_the_effect() {
        let effect: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let id = effect.to_string();
        assert_eq!(voice("https://me/", &effect, 2), format!("https://me/twilio/voice?e={id}&n=2"));
        assert_eq!(voice_status("https://me", &effect), format!("https://me/twilio/status?e={id}"));
        assert_eq!(sms_status("https://me", &effect), format!("https://me/twilio/sms-status?e={id}"));
        assert_eq!(dispatch("https://me", &effect), format!("https://me/dispatch/{id}"));
        assert_eq!(app("https://me", &effect), format!("https://me/app/{id}"));
    }
}
