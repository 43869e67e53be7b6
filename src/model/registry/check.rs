//! What a field of the registry may hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{Agreed, EndpointKind, Purpose};
use crate::source::did_you_mean;

/// Why a field is refused: a sentence and what to do.
pub(super) type Refusal = (String, Option<String>);

/// IANA time zones, looked up once for each name.
#[derive(Default)]
pub(super) struct Zones {
    known: BTreeSet<Arc<str>>,
}

impl Zones {
    /// The zone as text, shared; empty means UTC.
    pub(super) fn get(&mut self, name: &str) -> Result<Arc<str>, Refusal> {
        let name = if name.is_empty() { "UTC" } else { name };
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        if jiff::tz::TimeZone::get(name).is_err() {
            let zones: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
            let last = |zone: &str| zone.rsplit('/').next().unwrap_or("").to_owned();
            let same_city = zones.iter().find(|zone| last(zone).eq_ignore_ascii_case(&last(name)));
            let near = same_city.map(String::as_str).or_else(|| did_you_mean(name, zones.iter().map(String::as_str)));
            let hint = near.map_or_else(|| "write Europe/Berlin".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err((format!("there is no time zone '{name}'"), Some(hint)));
        }
        let name: Arc<str> = name.into();
        self.known.insert(name.clone());
        Ok(name)
    }
}

/// A BCP 47 tag in its usual spelling: `de`, `de-DE`, `zh-Hant-TW`.
pub(super) fn locale(tag: &str) -> Result<String, Refusal> {
    let mut out = String::with_capacity(tag.len());
    for (i, part) in tag.split('-').enumerate() {
        let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        let part = match (i, part.len()) {
            (0, 2 | 3) if letters => part.to_ascii_lowercase(),
            (1.., 4) if letters => part[..1].to_ascii_uppercase() + &part[1..].to_ascii_lowercase(),
            (1.., 2) if letters => part.to_ascii_uppercase(),
            (1.., 3) if digits => part.to_owned(),
            (1.., 5..=8) if part.bytes().all(|b| b.is_ascii_alphanumeric()) => part.to_ascii_lowercase(),
            _ => {
                let hint = if tag.contains('_') { tag.replace('_', "-") } else { "de-DE or en".to_owned() };
                return Err((format!("'{tag}' is not a language tag"), Some(format!("write {hint}"))));
            }
        };
        if i > 0 {
            out.push('-');
        }
        out.push_str(&part);
    }
    Ok(out)
}

/// A phone number in E.164: `+` and 7 to 15 digits, the first not 0.
pub(super) fn phone(number: &str) -> Result<(), Refusal> {
    let is_e164 = |text: &str| {
        let digits = text.strip_prefix('+').unwrap_or("");
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
    };
    if is_e164(number) {
        return Ok(());
    }
    let bare: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '/' | '.' | '(' | ')')).collect();
    let bare = bare.strip_prefix("00").map_or(bare.clone(), |rest| format!("+{rest}"));
    let hint =
        if is_e164(&bare) { format!("write {bare}") } else { "write + and the country code: +4930123456".to_owned() };
    Err(("not a phone number in E.164".to_owned(), Some(hint)))
}

/// A mail address that the mail channel will take.
pub(super) fn mail(address: &str) -> Result<(), Refusal> {
    match address.parse::<lettre::Address>() {
        Ok(_) if address.len() <= 254 => Ok(()),
        _ => Err(("not a mail address".to_owned(), Some("write jane@example.com".to_owned()))),
    }
}

/// A name that the back end of an app gave its user: up to 200 visible ASCII characters.
pub(super) fn app_user(name: &str) -> Result<(), Refusal> {
    if (1..=200).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let hint = "write what the back end of the app calls this user: letters, digits and signs, no blanks".to_owned();
    Err(("not the name of an app's user".to_owned(), Some(hint)))
}

/// `phone`, `email` or `app`.
pub(super) fn endpoint_kind(word: &str) -> Result<EndpointKind, Refusal> {
    let known = [("phone", EndpointKind::Phone), ("email", EndpointKind::Email), ("app", EndpointKind::App)];
    one_of(word, "kind of endpoint", &known)
}

/// `safety`, `service` or `info`, or a name that playbooks ask for: `predictive_maintenance`.
pub(super) fn agreed(word: &str) -> Result<Agreed, Refusal> {
    let known = [("safety", Purpose::Safety), ("service", Purpose::Service), ("info", Purpose::Info)];
    let named = word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if named { Ok(Agreed::Named(word.into())) } else { one_of(word, "purpose", &known).map(Agreed::Contact) }
}

/// `true` or `false`; empty is `false`.
pub(super) fn flag(word: &str) -> Result<bool, Refusal> {
    one_of(word, "answer", &[("true", true), ("false", false), ("", false)])
}

fn one_of<T: Copy>(word: &str, what: &str, known: &[(&str, T)]) -> Result<T, Refusal> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let words: Vec<&str> = known.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
    let hint = match did_you_mean(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write {}", words.join(" or ")),
    };
    Err((format!("unknown {what} '{word}'"), Some(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for good in ["+4930123456", "+15550100"] {
            assert_eq!(phone(good), Ok(()), "{good}");
        }
        for (bad, hint) in [
            ("0049 30 123456", "write +4930123456"),
            ("+49 (30) 123-456", "write +4930123456"),
            ("030123456", "country code"),
            ("+0123456789", "country code"),
            ("+1234567890123456", "country code"),
            ("", "country code"),
        ] {
            assert!(phone(bad).unwrap_err().1.unwrap().contains(hint), "{bad}");
        }
        for good in ["jane@example.com", "j.d+x@a-b.example"] {
            assert_eq!(mail(good), Ok(()), "{good}");
        }
        for bad in ["", "jane", "jane@", "@example.com", "a b@example.com", "a@b.example\r\nBcc: x@y.example"] {
            assert!(mail(bad).is_err(), "{bad:?}");
        }
        for (name, good) in [("u-81f2", true), ("", false), ("a b", false), ("\u{e4}", false)] {
            assert_eq!(app_user(name).is_ok(), good, "{name:?}");
        }
        for (tag, canonical) in [("de", "de"), ("DE-de", "de-DE"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")] {
            assert_eq!(locale(tag).as_deref(), Ok(canonical));
        }
        assert_eq!(locale("de_DE").unwrap_err().1.as_deref(), Some("write de-DE"));
        for bad in ["", "german", "d", "de-", "de--DE", "de-ß"] {
            assert!(locale(bad).is_err(), "{bad}");
        }
        let mut zones = Zones::default();
        assert_eq!(zones.get("").as_deref(), Ok("UTC"));
        assert_eq!(zones.get("Europe/Berlin").as_deref(), Ok("Europe/Berlin"));
        let hint = |zones: &mut Zones, name: &str| zones.get(name).unwrap_err().1.unwrap();
        assert_eq!(hint(&mut zones, "Berlin"), "did you mean `Europe/Berlin`?");
        assert_eq!(hint(&mut zones, "Europe/Berln"), "did you mean `Europe/Berlin`?");
    }
}
