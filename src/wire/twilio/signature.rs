//! `X-Twilio-Signature`: HMAC-SHA1 with the account's token over the public address and the sorted form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::Form;

/// The header that carries the signature.
pub const HEADER: &str = "x-twilio-signature";

/// The signature of a request to `url` with `form`. `url` is the address as configured, with query and without
/// fragment; an empty form is a GET or a JSON request.
#[must_use]
pub fn sign(token: &str, url: &str, form: &Form) -> String {
    BASE64.encode(mac(token, url, form).finalize().into_bytes())
}

/// Whether `signature` is theirs. `url` is the address as *we* are known outside (`public_url` and the path and query
/// of the request): behind a proxy it differs from what the socket sees. A default port may be written or left out.
#[must_use]
pub fn verify(token: &str, url: &str, form: &Form, signature: &str) -> bool {
    let Ok(signature) = BASE64.decode(signature) else { return false };
    // Every spelling is tried, so that the time taken does not tell which one matched.
    spellings(url).iter().fold(false, |ok, url| mac(token, url, form).verify_slice(&signature).is_ok() | ok)
}

/// For a JSON body the form is empty and the address carries `bodySHA256`, the hash of the body in hexadecimal digits.
#[must_use]
pub fn verify_json(token: &str, url: &str, body: &[u8], signature: &str) -> bool {
    let hash = query_value(url, "bodySHA256").unwrap_or_default();
    let same: bool = hash.to_ascii_lowercase().as_bytes().ct_eq(hex(&Sha256::digest(body)).as_bytes()).into();
    verify(token, url, &Vec::new(), signature) & same
}

/// The address to which a JSON body is sent: `url` with `bodySHA256`.
#[must_use]
pub fn sign_json_url(url: &str, body: &[u8]) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}bodySHA256={}", hex(&Sha256::digest(body)))
}

fn mac(token: &str, url: &str, form: &Form) -> Hmac<Sha1> {
    let mut pairs: Vec<&(String, String)> = form.iter().collect();
    pairs.sort();
    pairs.dedup();
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    for (name, value) in pairs {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac
}

/// `url` as given, with its default port written, and without any port. Only the port is touched: everything else
/// must stay as it was signed, byte for byte.
fn spellings(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    let Ok(parsed) = Url::parse(url) else { return all };
    let Some((scheme, rest)) = url.split_once("://") else { return all };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // The port is behind the last colon, unless that one belongs to an IPv6 address.
    match authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())) {
        Some((host, _)) => all.push(format!("{scheme}://{host}{tail}")),
        None => {
            let port = parsed.port_or_known_default().unwrap_or(443);
            all.push(format!("{scheme}://{authority}:{port}{tail}"));
        }
    }
    all
}

fn query_value(url: &str, name: &str) -> Option<String> {
    Url::parse(url).ok()?.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Form {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    /// Computed with Twilio's own Python library, 9.13.0.
    #[test]
    fn signs_as_twilio_does() {
        let status = "https://me.example/twilio/status?e=01890a5d-ac96-774b-bcce-b302099a8057";
        let documented = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("From", "+14158675309"),
            ("Digits", "1234"),
            ("To", "+18005551212"),
        ];
        let umlauts = [
            ("CallSid", "CA1"),
            ("CallStatus", "completed"),
            ("SequenceNumber", "3"),
            ("From", "+4989"),
            ("To", "+491700000001"),
            ("Caller", "Jürgen Groß"),
            ("Empty", ""),
        ];
        for (url, pairs, expected) in [
            ("https://mycompany.com/myapp.php?foo=1&bar=2", &documented[..], "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (status, &umlauts[..], "HL3Ksl0JuDeu+0U9SMbr6zhIAyE="),
            (status, &[("To", "b"), ("To", "a"), ("To", "b")], "udK6XYgLGFwN5JQ/ZGAoPmsHmM4="),
            ("http://127.0.0.1:8474/twilio/voice?e=x&n=1", &[("Digits", "1")], "9gF91x/GvY7wNGgR6JQ78iICJ+c="),
        ] {
            assert_eq!(sign("12345", url, &form(pairs)), expected, "{url}");
            assert!(verify("12345", url, &form(pairs), expected), "{url}");
            assert!(!verify("12346", url, &form(pairs), expected), "{url}");
            assert!(!verify("12345", &format!("{url}x"), &form(pairs), expected), "{url}");
        }
    }

    #[test]
    fn a_default_port_may_be_written_or_not() {
        let params = form(&[("Digits", "1")]);
        for (signed, seen, ok) in [
            ("https://me/a?b=%20c", "https://me:443/a?b=%20c", true),
            ("https://me:443/a", "https://me/a", true),
            ("http://me:80/a", "http://me/a", true),
            ("https://me/a", "https://me:8443/a", true),
            ("https://[::1]/a", "https://[::1]:443/a", true),
            ("https://[::1]:443/a", "https://[::1]/a", true),
            ("http://me/a", "https://me/a", false),
            ("https://me/a", "https://you/a", false),
            ("https://me/a", "https://me/a#x", false),
        ] {
            let signature = sign("t", signed, &params);
            assert_eq!(verify("t", seen, &params, &signature), ok, "{signed} {seen}");
        }
        assert!(!verify("t", "https://me/a", &params, "%%%"));
        assert!(!verify("t", "https://me/a", &params, ""));
    }

    #[test]
    fn json_bodies_are_bound_by_their_hash() {
        let base = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let url = sign_json_url(base, br#"{"a":1}"#);
        assert_eq!(sign("12345", &url, &Vec::new()), "4GRKZCSU22d9rOjm+ecma7jyO8o=");
        assert!(verify_json("12345", &url, br#"{"a":1}"#, "4GRKZCSU22d9rOjm+ecma7jyO8o="));
        assert!(!verify_json("12345", &url, br#"{"a":2}"#, "4GRKZCSU22d9rOjm+ecma7jyO8o="));
        assert!(!verify_json("12345", base, br#"{"a":1}"#, &sign("12345", base, &Vec::new())));
    }
}
