//! Where a broker is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A broker address: `mqtt://host[:1883]` or `mqtts://host[:8883]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is not a broker address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a broker address: {reason}")]
pub struct ParseUrlError {
    text: String,
    reason: String,
}

impl BrokerUrl {
    /// Whether the connection cannot leave this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The host as it stands before `:port`: an IPv6 address in brackets.
    pub(super) fn host_for_socket(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl FromStr for BrokerUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseUrlError> {
        let bad = |reason: String| ParseUrlError { text: text.to_owned(), reason };
        let url =
            url::Url::parse(text).map_err(|e| bad(format!("{e}; write mqtt://host:1883 or mqtts://host:8883")))?;
        let (tls, port) = match url.scheme() {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            other => return Err(bad(format!("'{other}' is not spoken here, only mqtt and mqtts"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            // Not echoed: the text may hold the password.
            return Err(ParseUrlError {
                text: format!("{}://…@{}", url.scheme(), url.host_str().unwrap_or_default()),
                reason: "user and password do not belong in the address; use username and password_file".into(),
            });
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("only host and port may follow the scheme".into()));
        }
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| bad("the host is missing".into()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { tls, host, port: url.port().unwrap_or(port) })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt{}://{}:{}", if self.tls { "s" } else { "" }, self.host_for_socket(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, shown, loopback) in [
            ("mqtt://127.0.0.1", "mqtt://127.0.0.1:1883", true),
            ("mqtt://localhost:1884/", "mqtt://localhost:1884", true),
            ("mqtts://broker.example", "mqtts://broker.example:8883", false),
            ("mqtt://[::1]:1883", "mqtt://[::1]:1883", true),
            ("ssl://10.0.0.1:99", "mqtts://10.0.0.1:99", false),
        ] {
            let url: BrokerUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused_and_never_show_a_password() {
        for text in ["", "localhost:1883", "http://x", "mqtt://", "mqtt://x/topic", "mqtt://x?a=b", "mqtt://x:99999"] {
            assert!(text.parse::<BrokerUrl>().is_err(), "{text:?} must be refused");
        }
        let error = "mqtt://me:hunter2@x".parse::<BrokerUrl>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
