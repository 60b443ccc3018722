//! Policy of web addresses named by users other than the operator.
//!
//! A server that fetches addresses of its users gives access to its own network (server-side request forgery, SSRF).
//! The policy is checked for the address as named, for the IP addresses that its host resolves to at the moment of
//! connecting, and for every redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use planner_storage::{WebAddress, covers};

/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// Which addresses may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPolicy {
    /// What the addresses must begin with: scheme, host and, where it is given, the beginning of the path.
    pub allowed: Vec<String>,
    /// Whether hosts may be of a private, local or link-local network.
    pub private_addresses: bool,
}

static POLICY: OnceLock<Arc<WebPolicy>> = OnceLock::new();

/// Restricts what this process fetches from the web, for as long as it runs. Gives whether no other
/// restriction was there before.
pub fn restrict_web(policy: WebPolicy) -> bool {
    POLICY.set(Arc::new(policy)).is_ok()
}

/// Returns the policy for an address and its redirects: that of the process, and the roots of its author.
fn policy_of(address: &WebAddress) -> Option<Arc<WebPolicy>> {
    let process = POLICY.get();
    match (address.within(), process) {
        (None, process) => process.cloned(),
        (Some(within), process) => Some(Arc::new(WebPolicy {
            allowed: within.iter().map(ToString::to_string).collect(),
            private_addresses: process.is_some_and(|policy| policy.private_addresses),
        })),
    }
}

/// Refuses an address that may not be asked.
pub(super) fn check(address: &WebAddress) -> Result<(), String> {
    policy_of(address).map_or(Ok(()), |policy| policy.check(address.url()))
}

/// Returns a client that only connects where the author of the address may.
pub(super) fn guarded(builder: ClientBuilder, address: &WebAddress) -> ClientBuilder {
    let Some(policy) = policy_of(address) else {
        return builder;
    };
    let resolver = Resolver {
        policy: Arc::clone(&policy),
    };
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        match policy.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
    // A proxy would do the asking, out of sight.
    builder
        .redirect(redirects)
        .dns_resolver(Arc::new(resolver))
        .no_proxy()
}

impl WebPolicy {
    /// Refuses an address that may not be asked.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let allowed = self
            .allowed
            .iter()
            .filter_map(|allowed| Url::parse(allowed).ok());
        if !allowed.into_iter().any(|allowed| covers(&allowed, url)) {
            return Err("access to this address is not allowed".to_owned());
        }
        let refused = match url.host() {
            Some(Host::Ipv4(address)) => !self.allows(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => !self.allows(IpAddr::V6(address)),
            Some(Host::Domain(_)) => false,
            None => true,
        };
        if refused {
            return Err("the address is in a private or local network".to_owned());
        }
        Ok(())
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.private_addresses || is_public(address)
    }
}

/// Whether an address is one of the public internet (the registries of RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        // Shared addresses of providers, protocol assignments, benchmarks, and what is reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let segments = address.segments();
    match segments {
        // Addresses that stand for those of IPv4: translated (RFC 6052) and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Teredo, documentation, and what is assigned to protocols.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        // What is routed on the internet.
        [first, ..] => (first & 0xe000) == 0x2000,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// Resolves host names and drops the addresses that the policy denies.
struct Resolver {
    policy: Arc<WebPolicy>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| policy.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err("the host is in a private or local network".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Addresses outside the internet are recognized, in every notation.
    #[test]
    fn public_addresses() {
        for address in ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    /// Only what an allowed address begins with is asked, and no address in disguise.
    #[test]
    fn allowed_addresses() {
        let policy = WebPolicy {
            allowed: vec![
                "https://data.example.org/open".to_owned(),
                "http://files.example.org".to_owned(),
                "http://169.254.169.254".to_owned(),
                "http://127.0.0.1:8000".to_owned(),
            ],
            private_addresses: false,
        };
        let check = |policy: &WebPolicy, text: &str| policy.check(&Url::parse(text).unwrap());
        for text in [
            "https://data.example.org/open",
            "https://data.example.org/open/a.csv?x=1",
            "https://DATA.example.org:443/open/b.csv",
            "http://files.example.org/anything",
        ] {
            assert_eq!(check(&policy, text), Ok(()), "{text}");
        }
        for text in [
            "https://data.example.org/opened/a.csv",
            "https://data.example.org/open/../secret.csv",
            "https://data.example.org/open/..%2fsecret.csv",
            "https://data.example.org/open/%2E%2e/secret.csv",
            "https://data.example.org/open/..%5Csecret.csv",
            "http://data.example.org/open/a.csv",
            "https://data.example.org:8443/open/a.csv",
            "https://data.example.org.evil.net/open/a.csv",
            "https://evil.net/https://data.example.org/open",
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/latest",
            "http://127.0.0.1:8000/x",
            "http://0x7f.1:8000/x",
        ] {
            assert!(check(&policy, text).is_err(), "{text}");
        }
        let open = WebPolicy {
            private_addresses: true,
            ..policy
        };
        assert_eq!(check(&open, "http://127.0.0.1:8000/x"), Ok(()));
    }
}
