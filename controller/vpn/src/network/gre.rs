//! The addresses that routers have in the provider's own network, for GRE.
//!
//! A router between two PEs routes GRE by the outer destination address alone. So every path to a PE ends at an address of its own, and
//! takes the links that were reserved for it, whatever other paths there are to the same PE.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::build::Checker;
use super::{InvalidNetwork, Item, Network, RouterId};
use crate::encapsulation::Encapsulation;
use crate::request::TunnelType;

/// Not the first address of a prefix, which is the network's (RFC 1122 section 3.2.1.3) or any router's (RFC 4291 section 2.6.1).
const SOURCE: u32 = 1;
const FIRST_END: u32 = 2;

/// A prefix of a router: where its GRE tunnels begin, and where paths of others' end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GreAddresses {
    prefix: IpNet,
}

impl GreAddresses {
    /// Where the router's own tunnels begin: the second address of the prefix.
    pub fn source(self) -> IpAddr {
        self.address(SOURCE)
    }

    /// The places of the addresses at which paths may end: all that follow, but an IPv4 prefix's last.
    pub(crate) fn ends(self) -> RangeInclusive<u32> {
        let after_last = 1_u128.checked_shl((self.prefix.max_prefix_len() - self.prefix.prefix_len()).into()).unwrap_or(u128::MAX);
        let broadcast = u128::from(self.encapsulation() == Encapsulation::GreV4);
        FIRST_END..=u32::try_from(after_last.saturating_sub(1 + broadcast)).unwrap_or(u32::MAX)
    }

    /// The address at a place of the prefix.
    pub(crate) fn address(self, place: u32) -> IpAddr {
        match self.prefix.network() {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first).wrapping_add(place)).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).wrapping_add(place.into())).into(),
        }
    }

    /// The place of an address at which a path may end.
    pub(crate) fn place(self, address: IpAddr) -> Option<u32> {
        let distance = match (self.prefix.network(), address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => u32::from(address).checked_sub(u32::from(first)),
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                u128::from(address).checked_sub(first.into()).and_then(|distance| distance.try_into().ok())
            }
            _ => None,
        };
        distance.filter(|place| self.ends().contains(place))
    }

    /// What these addresses are for.
    pub(crate) fn encapsulation(self) -> Encapsulation {
        if self.prefix.addr().is_ipv4() { Encapsulation::GreV4 } else { Encapsulation::GreV6 }
    }
}

impl Network {
    /// How a tunnel of a type gets from one router to another, and as well back; GRE over IPv4 where both have addresses for it, else over
    /// IPv6; `None` where they have none of one kind.
    pub fn encapsulation(&self, tunnel: TunnelType, from: RouterId, to: RouterId) -> Option<Encapsulation> {
        let both = |family: &Encapsulation| [from, to].into_iter().all(|router| self.gre_addresses(router, *family).is_some());
        match tunnel {
            TunnelType::Mpls => Some(Encapsulation::Mpls),
            TunnelType::Gre => [Encapsulation::GreV4, Encapsulation::GreV6].into_iter().find(both),
        }
    }

    /// The addresses of a router for GRE of a kind.
    pub(crate) fn gre_addresses(&self, router: RouterId, encapsulation: Encapsulation) -> Option<GreAddresses> {
        self.router(router).gre.iter().copied().find(|addresses| addresses.encapsulation() == encapsulation)
    }
}

impl Checker {
    /// The prefixes of a router: one of each family at most, and nobody else's.
    pub(super) fn gre(&mut self, item: &Item, prefixes: &[IpNet]) -> Result<Vec<GreAddresses>, InvalidNetwork> {
        let mut all: Vec<GreAddresses> = Vec::new();
        for &prefix in prefixes {
            let addresses = self.gre_prefix(item, prefix)?;
            if all.iter().any(|other| other.encapsulation() == addresses.encapsulation()) {
                return Err(InvalidNetwork::GreFamily { item: item.clone(), prefix });
            }
            all.push(addresses);
        }
        Ok(all)
    }

    fn gre_prefix(&mut self, item: &Item, prefix: IpNet) -> Result<GreAddresses, InvalidNetwork> {
        if prefix != prefix.trunc() {
            return Err(InvalidNetwork::HostBits { item: item.clone(), prefix });
        }
        let addresses = GreAddresses { prefix };
        let strange = |address: IpAddr| address.is_unspecified() || address.is_loopback() || address.is_multicast();
        // IPv4 below 1.0.0.0 is no one's, and from 224.0.0.0 on everyone's.
        let unusable = matches!(prefix, IpNet::V4(prefix) if prefix.prefix_len() < 8 || matches!(prefix.network().octets()[0], 0 | 240..));
        if unusable || strange(prefix.network()) || addresses.ends().is_empty() {
            return Err(InvalidNetwork::GrePrefix { item: item.clone(), prefix });
        }
        let overlaps = |(other, _): &&(IpNet, Item)| other.contains(&prefix) || prefix.contains(other);
        if let Some((other, first)) = self.gre.iter().find(overlaps) {
            let (first, second) = (first.clone(), item.clone());
            return Err(InvalidNetwork::PrefixesOverlap { first, second, prefixes: Box::new([*other, prefix]) });
        }
        self.gre.push((prefix, item.clone()));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(prefix: &str) -> GreAddresses {
        GreAddresses { prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn a_prefix_has_one_source_and_many_ends() {
        let small = addresses("192.0.2.16/30");
        assert_eq!(small.source(), "192.0.2.17".parse::<IpAddr>().unwrap());
        assert_eq!(small.ends(), 2..=2, "the last is the broadcast address");
        assert_eq!(small.address(2), "192.0.2.18".parse::<IpAddr>().unwrap());
        assert_eq!(addresses("2001:db8::/126").ends(), 2..=3);
        assert_eq!(addresses("2001:db8::/64").ends(), 2..=u32::MAX);
        for none in ["192.0.2.1/32", "192.0.2.0/31", "2001:db8::/127"] {
            assert!(addresses(none).ends().is_empty(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn an_end_is_found_again(place in any::<u32>(), wide in any::<bool>()) {
            let addresses = addresses(if wide { "2001:db8::/64" } else { "198.51.100.0/24" });
            let found = addresses.place(addresses.address(place));
            prop_assert_eq!(found, addresses.ends().contains(&place).then_some(place));
        }
    }
}
