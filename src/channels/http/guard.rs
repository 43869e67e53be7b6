//! Name look-up that refuses to lead inside: a name in the settings whose owner points it at 169.254.169.254 or at the
//! router must not turn the daemon into a door.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up by the system and keeps the addresses that may be connected to. An address written in the settings
/// as such is not looked up: whoever writes `https://10.0.0.5` means it.
pub(super) struct Resolver {
    allow_private: bool,
    allow_loopback: bool,
}

impl Resolver {
    pub(super) fn new(allow_private: bool, allow_loopback: bool) -> Self {
        Self { allow_private, allow_loopback }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (private, loopback) = (self.allow_private, self.allow_loopback);
        Box::pin(async move {
            // The port is set by the connector.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|a| private || is_public(a.ip()) || (loopback && a.ip().to_canonical().is_loopback()))
                .collect();
            if allowed.is_empty() {
                return Err(
                    "the name leads to this machine or a private network only (allow_private = true allows it)".into(),
                );
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is out in the world: neither this machine nor its link, nor a private, shared, test or multicast
/// range.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || protocol
        || benchmark
        || a == 0
        || a >= 224)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3; inside it 2001:db8::/32 is for documentation, and 2002::/16, 64:ff9b::/96 and
    // 2001::/32 wrap IPv4 addresses that would have to be judged in turn.
    let [a, b, ..] = ip.segments();
    (a & 0xe000) == 0x2000 && a != 0x2002 && !(a == 0x2001 && (b == 0xdb8 || b == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_in_the_world() {
        for ip in ["1.1.1.1", "93.184.216.34", "100.63.0.1", "172.32.0.1", "2606:4700::1111"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn localhost_is_refused_unless_meant() {
        let ask = |private, loopback| Resolver::new(private, loopback).resolve("localhost".parse().unwrap());
        let error = ask(false, false).await.err().unwrap();
        assert!(error.to_string().contains("allow_private"));
        assert!(ask(true, false).await.is_ok());
        assert!(ask(false, true).await.is_ok());
    }
}
