//! Bearer tokens: who may do what.
//!
//! A token is 256 random bits, so a plain SHA-256 of it is as good as a slow hash and the settings hold nothing that
//! opens a door. Whatever is wrong with a token, the answer is the same.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use super::server::App;

/// What a token may do. `Admin` may do everything; the others do not include each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read cases and metrics.
    Read,
    /// Take notice of a case.
    Ack,
    /// Close a case.
    Act,
    /// Look people up by phone number, mail address or device: shows names.
    Lookup,
    /// See everything that is stored of a customer, and erase it.
    Privacy,
    /// Everything.
    Admin,
}

impl Scope {
    /// The word used in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ack => "ack",
            Self::Act => "act",
            Self::Lookup => "lookup",
            Self::Privacy => "privacy",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Read, Self::Ack, Self::Act, Self::Lookup, Self::Privacy, Self::Admin]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a scope: read, ack, act, lookup, privacy or admin"))
    }
}

/// A token as the settings know it.
#[derive(Debug, Clone)]
pub struct Token {
    /// Who holds it.
    pub name: Arc<str>,
    /// SHA-256 of its text.
    pub sha256: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// All tokens.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// From checked settings.
    #[must_use]
    pub fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// The holder of the token with this text. Takes the same time for every text of the same length: all hashes are
    /// compared, and none of them byte by byte.
    fn find(&self, text: &str) -> Option<&Token> {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut found = u64::MAX;
        for (index, token) in (0_u64..).zip(&self.0) {
            let same: Choice = token.sha256.ct_eq(&hash);
            found.conditional_assign(&index, same);
        }
        self.0.get(usize::try_from(found).ok()?)
    }

    /// Who speaks, if the token is known and may do `scope`.
    pub(super) fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<&Token, Problem> {
        let token = bearer(headers).and_then(|text| self.find(text)).ok_or_else(Problem::unauthorized)?;
        if token.scopes.contains(&scope) || token.scopes.contains(&Scope::Admin) {
            return Ok(token);
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("this token lacks the scope '{scope}'"))
            .hint("use a token with that scope; scopes stand in the settings under [[http.token]]"))
    }
}

/// The text of the one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, text) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !text.is_empty() && text.len() <= 512).then_some(text)
}

/// A fresh token from 32 random bytes, and the SHA-256 of its text in hexadecimal digits for the settings. The prefix
/// lets scanners for leaked secrets know it.
#[must_use]
pub fn new_token(random: [u8; 32]) -> (SecretString, String) {
    let text = format!("fwt_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = Sha256::digest(text.as_bytes());
    let hex = hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
        hex.push_str(&format!("{byte:02x}"));
        hex
    });
    (text.into(), hex)
}

/// A handler's demand for a scope, as an extractor: it stands in the handler's signature and is met before the body is
/// read.
pub(super) trait Demand: Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! demands {
    ($($name:ident => $scope:ident),*) => {$(
        pub(super) enum $name {}
        impl Demand for $name {
            const SCOPE: Scope = Scope::$scope;
        }
    )*};
}
demands!(ToRead => Read, ToAck => Ack, ToAct => Act, ToLookUp => Lookup, ToPrivacy => Privacy);

/// The name of the token that speaks, which has the demanded scope.
pub(super) struct Caller<D: Demand> {
    pub(super) name: Arc<str>,
    scopes: Vec<Scope>,
    demand: PhantomData<D>,
}

impl<D: Demand> Caller<D> {
    /// Whether it may do this, too.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

impl<D: Demand> FromRequestParts<Arc<App>> for Caller<D> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = app.tokens.check(&parts.headers, D::SCOPE)?;
        Ok(Self { name: token.name.clone(), scopes: token.scopes.clone(), demand: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (AUTHORIZATION, HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn only_a_known_token_in_the_right_place_opens() {
        let (text, hex) = new_token([7; 32]);
        assert_eq!(hex.len(), 64);
        let token = |name: &str, sha256| Token { name: name.into(), sha256, scopes: vec![Scope::Read] };
        let hash: [u8; 32] = Sha256::digest(text.expose_secret().as_bytes()).into();
        let tokens = Tokens::new(vec![token("other", [0; 32]), token("me", hash), token("last", [9; 32])]);
        let text = text.expose_secret();
        let good = format!("Bearer {text}");
        assert_eq!(&*tokens.check(&headers(&[&good]), Scope::Read).unwrap().name, "me");
        assert_eq!(&*tokens.check(&headers(&[&format!("bearer {text}")]), Scope::Read).unwrap().name, "me");
        for bad in [
            vec![],
            vec![""],
            vec!["Bearer "],
            vec![text],
            vec!["Basic dTpw"],
            vec![&*format!("{good}x")],
            vec![&good[..good.len() - 1]],
            vec![&*good, &*good],
            vec![&*format!("Bearer {hex}")],
        ] {
            let problem = tokens.check(&headers(&bad), Scope::Read).unwrap_err();
            assert_eq!(problem.status, StatusCode::UNAUTHORIZED, "{bad:?}");
        }
        assert_eq!(tokens.check(&headers(&[&good]), Scope::Ack).unwrap_err().status, StatusCode::FORBIDDEN);
        assert!(Tokens::default().check(&headers(&[&good]), Scope::Read).is_err());
    }
}
