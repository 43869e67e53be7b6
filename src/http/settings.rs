//! The `[http]` section of the settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;
use url::{Host, Url};

use super::auth::{Scope, Token, Tokens};

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen, without TLS. Anything but a loopback address needs a network that nobody else can read.
    pub listen: SocketAddr,
    /// How providers reach us, without the trailing slash: `https://…` (plain `http` only on loopback). Callback
    /// signatures are computed over this, never over the Host header.
    pub public_url: String,
    /// Who may read `/metrics`.
    pub metrics: MetricsAccess,
    /// What a called person hears while the desk is slower than the phone provider's patience.
    pub please_wait: PleaseWait,
    /// `[[http.token]]`: who may use the API. None: nobody.
    pub token: Vec<TokenSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8474),
            public_url: "http://127.0.0.1:8474".to_owned(),
            metrics: MetricsAccess::default(),
            please_wait: PleaseWait::default(),
            token: Vec::new(),
        }
    }
}

/// Who may read `/metrics`. They hold counts and no personal data, but they tell how busy and how healthy we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricsAccess {
    /// Whoever connects from this machine, while `public_url` is loopback too; otherwise a token with scope `read`.
    /// With a public front a proxy on this machine forwards the whole world to us from a loopback address.
    #[default]
    Loopback,
    /// A token with scope `read`.
    Token,
    /// Everybody who can connect.
    Open,
}

/// What a called person hears while we look for the words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PleaseWait {
    /// BCP 47.
    pub locale: String,
    /// Plain text.
    pub text: String,
}

impl Default for PleaseWait {
    fn default() -> Self {
        Self { locale: "en".to_owned(), text: "One moment please.".to_owned() }
    }
}

/// `[[http.token]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Who holds it; stands in the audit as `api:<name>`.
    pub name: String,
    /// SHA-256 of the token's text, 64 hexadecimal digits (`forewarn token new` prints it).
    pub sha256: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What is wrong with one setting of `[http]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingsError {
    /// Path of the key (`http.token[1].sha256`).
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl SettingsError {
    fn new(key: impl Into<String>, message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.to_string(), hint: hint.into() }
    }
}

impl Settings {
    /// The public URL and the tokens, or everything that is wrong with them.
    pub fn resolve(&self) -> Result<(Url, Tokens), Vec<SettingsError>> {
        let mut errors = Vec::new();
        let url = check_public_url(&self.public_url).map_err(|e| errors.push(e)).ok();
        let mut tokens: Vec<Token> = Vec::new();
        for (index, raw) in self.token.iter().enumerate() {
            let key = |field: &str| format!("http.token[{index}].{field}");
            match raw.resolve(key, &tokens) {
                Ok(token) => tokens.push(token),
                Err(mut found) => errors.append(&mut found),
            }
        }
        match url {
            Some(url) if errors.is_empty() => Ok((url, Tokens::new(tokens))),
            _ => Err(errors),
        }
    }
}

impl TokenSettings {
    fn resolve(&self, key: impl Fn(&str) -> String, before: &[Token]) -> Result<Token, Vec<SettingsError>> {
        let mut errors = Vec::new();
        if !is_token_name(&self.name) {
            errors.push(SettingsError::new(
                key("name"),
                format!("'{}' cannot stand in the audit", self.name.escape_debug()),
                "1 to 64 letters, digits and - _ . @",
            ));
        }
        if before.iter().any(|t| *t.name == *self.name) {
            let message = format!("a second token is named '{}'", self.name);
            errors.push(SettingsError::new(key("name"), message, "one name each, so that the audit tells them apart"));
        }
        if self.scopes.is_empty() {
            errors.push(SettingsError::new(key("scopes"), "may do nothing", "read, ack, act or admin"));
        }
        let sha256 = unhex(&self.sha256);
        match sha256 {
            None => errors.push(SettingsError::new(
                key("sha256"),
                "not a SHA-256: 64 hexadecimal digits expected",
                "run `forewarn token new` and copy the lines it prints; the token itself does not belong here",
            )),
            Some(hash) if before.iter().any(|t| t.sha256 == hash) => errors.push(SettingsError::new(
                key("sha256"),
                "the same token stands here twice",
                "give everybody an own token: `forewarn token new`",
            )),
            Some(_) => {}
        }
        match sha256 {
            Some(sha256) if errors.is_empty() => {
                Ok(Token { name: self.name.as_str().into(), sha256, scopes: self.scopes.clone() })
            }
            _ => Err(errors),
        }
    }
}

/// Whether a token may be named so: 1 to 64 letters, digits and `- _ . @`, for it stands in the audit.
#[must_use]
pub fn is_token_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

/// The public URL as a base for callback URLs: `https`, or `http` on loopback; no user, query or fragment.
pub fn check_public_url(text: &str) -> Result<Url, SettingsError> {
    let bad = |message: String, hint: &str| SettingsError::new("http.public_url", message, hint);
    let example = "how providers reach this daemon, such as https://forewarn.example.com";
    let url = Url::parse(text).map_err(|e| bad(format!("'{text}' is not a URL: {e}"), example))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(bad(format!("'{text}' is not an http or https URL"), example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("a user or password in it would be shown to every provider".to_owned(), example));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad(
            format!("'{text}' has a query or a fragment"),
            "callback paths are appended to it; end it there",
        ));
    }
    // Providers sign the text they were given, so it has to be the text that we compute with.
    if url.as_str().trim_end_matches('/') != text.trim_end_matches('/') {
        let message = format!("'{text}' is not written in its plain form");
        return Err(SettingsError::new(
            "http.public_url",
            message,
            format!("write {}", url.as_str().trim_end_matches('/')),
        ));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(bad(
            format!("'{text}' is not https"),
            "plain http is for loopback only: callbacks carry phone numbers and can be forged on the way",
        ));
    }
    Ok(url)
}

/// Whether a URL names this machine: `localhost`, 127.0.0.0/8 or ::1.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Sixty-four hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_https_or_loopback() {
        for good in
            ["https://me.example", "http://127.0.0.1:8474", "http://localhost", "http://[::1]:1/x", "https://h/p"]
        {
            assert!(check_public_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://me.example",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "ftp://127.0.0.1",
            "https://u:p@me.example",
            "https://me.example?x=1",
            "https://me.example#x",
            "https://Me.example",
            "https://me.example:443",
            "https://m\u{fc}ller.example",
            "me.example",
            "",
        ] {
            assert!(check_public_url(bad).is_err(), "{bad} must be refused");
        }
    }

    #[test]
    fn every_error_of_the_section_is_found_at_once() {
        let settings: Settings = toml::from_str(
            r#"
            public_url = "http://me.example"
            [[token]]
            name = "ops"
            sha256 = "aa"
            scopes = []
            [[token]]
            name = "bad name"
            sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
            scopes = ["read"]
            "#,
        )
        .unwrap();
        let keys: Vec<String> = settings.resolve().unwrap_err().into_iter().map(|e| e.key).collect();
        assert_eq!(keys, ["http.public_url", "http.token[0].scopes", "http.token[0].sha256", "http.token[1].name"]);
    }

    #[test]
    fn names_and_tokens_are_unique() {
        let token = |name: &str, digit: &str| TokenSettings {
            name: name.to_owned(),
            sha256: digit.repeat(64),
            scopes: vec![Scope::Read],
        };
        let settings = |token| Settings { token, ..Settings::default() };
        assert!(settings(vec![token("a", "1"), token("b", "2")]).resolve().is_ok());
        assert_eq!(
            settings(vec![token("a", "1"), token("a", "2")]).resolve().unwrap_err()[0].key,
            "http.token[1].name"
        );
        assert_eq!(
            settings(vec![token("a", "1"), token("b", "1")]).resolve().unwrap_err()[0].key,
            "http.token[1].sha256"
        );
    }

    #[test]
    fn unknown_keys_and_scopes_are_refused() {
        assert!(toml::from_str::<Settings>("lissten = 1").is_err());
        assert!(toml::from_str::<Settings>("[[token]]\nname='a'\nsha256='b'\nscopes=['root']").is_err());
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }
}
