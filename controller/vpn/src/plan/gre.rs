//! What carries a path of GRE: the head at its ingress, routes to its end, and the end.
//!
//! Routers between look at the outer destination alone. It is an address that no other path has, so each of them has a route to it that
//! leads over the links that were reserved, and goes with the path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use svpn_contract::wire::{GreKey, NextHopId, TtlMode, VrfId};
use svpn_contract::{
    Entry, GreIngressV4Action, GreIngressV4Entry, GreIngressV4Key, GreIngressV6Action, GreIngressV6Entry, GreIngressV6Key, Prefix,
    RouteV4Action, RouteV4Entry, RouteV4Key, RouteV6Action, RouteV6Entry, RouteV6Key, TunnelAction,
};

use super::numbers::NoNumber;
use super::{Ground, Planned};
use crate::encapsulation::Encapsulation;
use crate::network::{Network, RouterId};
use crate::topology::Path;

/// The VPN label tells VPNs apart, and the addresses paths: a key has nothing to say.
const NO_KEY: GreKey = match GreKey::new(0) {
    Ok(key) => key,
    Err(_) => unreachable!(),
};
/// The provider's own routes.
const PROVIDER: VrfId = match VrfId::new(0) {
    Ok(vrf) => vrf,
    Err(_) => unreachable!(),
};

/// The addresses of one path: its ingress's, and the one at its egress that it has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    V4 { source: Ipv4Addr, end: Ipv4Addr },
    V6 { source: Ipv6Addr, end: Ipv6Addr },
}

impl Ends {
    /// Where a path ends that begins at a router; `None` where that has no address of the family.
    pub(crate) fn of(network: &Network, ingress: RouterId, end: IpAddr) -> Option<Self> {
        let encapsulation = if end.is_ipv4() { Encapsulation::GreV4 } else { Encapsulation::GreV6 };
        match (network.gre_addresses(ingress, encapsulation)?.source(), end) {
            (IpAddr::V4(source), IpAddr::V4(end)) => Some(Self::V4 { source, end }),
            (IpAddr::V6(source), IpAddr::V6(end)) => Some(Self::V6 { source, end }),
            _ => None,
        }
    }

    /// Takes an end for a path.
    pub(super) fn take(path: &Path, encapsulation: Encapsulation, ground: &mut Ground<'_>) -> Result<Self, NoNumber> {
        let topology = ground.network.topology();
        let (ingress, egress) = (topology.link(path.links()[0]).from, path.egress(topology));
        let end = ground.numbers.take_end(egress, encapsulation)?;
        Self::of(ground.network, ingress, end).ok_or_else(|| {
            ground.numbers.give_back_end(egress, end);
            NoNumber { router: ingress, kind: "GRE address" }
        })
    }

    /// Where the path ends.
    pub(crate) fn end(self) -> IpAddr {
        match self {
            Self::V4 { end, .. } => end.into(),
            Self::V6 { end, .. } => end.into(),
        }
    }

    /// What takes what comes at the end out of GRE, and goes on by the VPN label.
    fn ingress(self) -> Entry {
        match self {
            Self::V4 { source: src, end: dst } => {
                let key = GreIngressV4Key { src, dst, key: NO_KEY };
                GreIngressV4Entry { key, action: GreIngressV4Action::DecapMpls }.into()
            }
            Self::V6 { source: src, end: dst } => {
                let key = GreIngressV6Key { src, dst, key: NO_KEY };
                GreIngressV6Entry { key, action: GreIngressV6Action::DecapMpls }.into()
            }
        }
    }

    /// The route to the end, of a router between.
    fn route(self, nexthop: NextHopId) -> Entry {
        match self {
            Self::V4 { end: value, .. } => {
                let key = RouteV4Key { vrf: PROVIDER, dst: Prefix { value, length: 32 } };
                RouteV4Entry { key, action: RouteV4Action::Local { nexthop } }.into()
            }
            Self::V6 { end: value, .. } => {
                let key = RouteV6Key { vrf: PROVIDER, dst: Prefix { value, length: 128 } };
                RouteV6Entry { key, action: RouteV6Action::Local { nexthop } }.into()
            }
        }
    }

    fn head(self, nexthop: NextHopId, ttl_mode: TtlMode) -> TunnelAction {
        match self {
            Self::V4 { source: src, end: dst } => TunnelAction::GreV4 { src, dst, key: NO_KEY, nexthop, ttl_mode },
            Self::V6 { source: src, end: dst } => TunnelAction::GreV6 { src, dst, key: NO_KEY, nexthop, ttl_mode },
        }
    }
}

/// From the egress back to the router after the ingress; and what the ingress does.
pub(super) fn tunnel(path: &Path, ends: Ends, ground: &Ground<'_>, entries: &mut Planned) -> TunnelAction {
    let topology = ground.network.topology();
    let links = path.links();
    entries.push((path.egress(topology), ends.ingress()));
    for &link in links[1..].iter().rev() {
        entries.push((topology.link(link).from, ends.route(ground.base.next_hop(link))));
    }
    ends.head(ground.base.next_hop(links[0]), pipe(ground.network.ttl()))
}

/// Nothing is told from the outer TTL at the end of GRE, so the delivery header has one of its own, as in a pipe; it lasts to the end.
fn pipe(ttl: TtlMode) -> TtlMode {
    if ttl == TtlMode::UNIFORM { TtlMode::MAX } else { ttl }
}
