//! The text of a one-time link: `<base>/l/<token>`.
//!
//! A token is 30 bytes as base64url, 40 characters, so that a text message has room for other things: one byte for the
//! page, sixteen for the message, and thirteen of a keyed BLAKE3 over both. Nobody can guess 104 bits, and everything
//! else (whether the link still counts, what was chosen) is decided from the desk's rows, so nothing expires in here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Error;
use crate::domain::{EffectId, Link, PageKind};

const MAC: usize = 13;
const LEN: usize = 1 + 16 + MAC;
/// A secret shorter than this could be guessed.
const SECRET_MIN: usize = 16;

/// What links are signed with. Shows nothing of itself when printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<[u8; 32]>);

impl Key {
    /// One secret a line, each of 16 characters or more: the first signs, all are believed, so that a secret can be
    /// changed while links of the old one are still in people's mailboxes.
    ///
    /// # Errors
    /// No secret, or one that could be guessed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() || lines.iter().any(|line| line.len() < SECRET_MIN) {
            return Err(Error::Malformed(format!("a secret of links has {SECRET_MIN} characters or more, one a line")));
        }
        Ok(Self(lines.iter().map(|line| blake3::derive_key("forewarn links v1", line.as_bytes())).collect()))
    }

    /// The text that stands for `link` in an address.
    #[must_use]
    pub fn token(&self, link: &Link) -> String {
        let mut bytes = [0; LEN];
        bytes[0] = link.kind.code();
        bytes[1..17].copy_from_slice(link.effect.as_bytes());
        if let Some(key) = self.0.first() {
            let mac = blake3::keyed_hash(key, &bytes[..17]);
            bytes[17..].copy_from_slice(&mac.as_bytes()[..MAC]);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Twenty characters that only we can make of `text`.
    #[must_use]
    pub fn mac(&self, text: &str) -> String {
        self.0.first().map(|key| short_mac(key, text)).unwrap_or_default()
    }

    /// Whether `mac` is one of ours for `text`. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn is_mac(&self, text: &str, mac: &str) -> bool {
        let same = |key| bool::from(subtle::ConstantTimeEq::ct_eq(short_mac(key, text).as_bytes(), mac.as_bytes()));
        self.0.iter().any(same)
    }

    /// What `token` stands for, if we made it. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Link> {
        let bytes: [u8; LEN] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let genuine = self.0.iter().any(|key| {
            let mac = blake3::keyed_hash(key, &bytes[..17]);
            bool::from(subtle::ConstantTimeEq::ct_eq(&mac.as_bytes()[..MAC], &bytes[17..]))
        });
        let effect = EffectId::from_bytes(bytes[1..17].try_into().ok()?);
        genuine.then_some(Link { effect, kind: PageKind::of_code(bytes[0])? })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

fn short_mac(key: &[u8; 32], text: &str) -> String {
    blake3::keyed_hash(key, text.as_bytes()).to_hex()[..20].to_owned()
}

/// The address that a person opens.
#[must_use]
pub fn url(base: &str, key: &Key, link: &Link) -> String {
    format!("{}/l/{}", base.trim_end_matches('/'), key.token(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link { effect: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(), kind: PageKind::Answer }
    }

    #[test]
    fn a_token_is_forty_characters_and_opens_its_own_page_only() {
        let key = Key::parse("a secret of the test\n").unwrap();
        let token = key.token(&link());
        assert_eq!(token.len(), 40);
        assert_eq!(key.verify(&token), Some(link()));
        assert_eq!(url("https://me/", &key, &link()), format!("https://me/l/{token}"));
        for at in 0..token.len() {
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            let forged = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert_eq!(key.verify(&forged), None, "{forged}");
        }
        for bad in ["", "AAAA", &token[..39], &format!("{token}A"), &format!("{token}="), "ü"] {
            assert_eq!(key.verify(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_old_secret_is_believed_and_does_not_sign() {
        let (old, new) = ("the old secret of links", "the new secret of links");
        let before = Key::parse(old).unwrap();
        let both = Key::parse(&format!("{new}\n{old}\n")).unwrap();
        assert_eq!(both.verify(&before.token(&link())), Some(link()));
        assert_eq!(before.verify(&both.token(&link())), None);
        assert_eq!(Key::parse(new).unwrap().token(&link()), both.token(&link()));
        assert!(Key::parse("short").is_err() && Key::parse("\n \n").is_err());
        assert_eq!(format!("{both:?}"), "Key(..)");
    }
}
