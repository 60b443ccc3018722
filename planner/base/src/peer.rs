//! Identity of a peer for limits by address.

use std::net::IpAddr;

/// Bytes of an IPv6 address that identify a customer of a provider (RFC 6177).
const NETWORK: usize = 8;

/// Returns the address by which limits count a peer: an IPv4 address itself, or the 64-bit network of an IPv6 address,
/// because one sender may use all addresses of its network.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[NETWORK..].fill(0);
            IpAddr::from(octets)
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Addresses of one network count as one, also where IPv4 is written as IPv6.
    #[test]
    fn networks() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9", "2001:db8:1:2::"),
            ("2001:db8:1:3::9", "2001:db8:1:3::"),
        ] {
            let network: IpAddr = network.parse().unwrap();
            assert_eq!(network_of(address.parse().unwrap()), network, "{address}");
        }
    }
}
