//! Links to other providers (network-to-network interfaces).
//!
//! What is beyond such a link is another provider's business. Here it is one router that nobody programs, the peer's border router, at
//! which every VPN that crosses has one circuit: so paths, bandwidth and tunnels are found, reserved and made to it as to any other. It
//! has that one link only, so no path leads through it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use svpn_contract::wire::{Mtu, PortId, VlanId};

use super::build::Checker;
use super::spec::{AttachmentSpec, LinkEndSpec, LinkSpec, NetworkSpec, NniSpec, RouterSpec};
use super::{ContractId, InvalidNetwork, Item, Network, RouterId};
use crate::request::{CeName, VpnName};

/// Nobody is asked for them: the IPv4 dummy address (RFC 7600 section 4.8), and one of the discard-only block (RFC 6666).
const NOBODY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)), IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1))];

/// A link to another provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nni {
    /// Its name, which both ends of a session beyond it have as their CE.
    pub name: CeName,
    /// Our router at the link: it knows what arrives by labels of its own.
    pub border: RouterId,
    /// What the peer's applications may ask of this network.
    pub contract: ContractId,
}

impl Network {
    /// Whether a router is of this network, and not the border router of a peer.
    pub fn is_own(&self, router: RouterId) -> bool {
        router.index() < self.own_routers
    }

    /// The link to another provider that a router is beyond of; `None` for a router of this network.
    pub fn nni(&self, router: RouterId) -> Option<&Nni> {
        self.nnis.get(router.index().checked_sub(self.own_routers)?)
    }

    /// Every link to another provider, in the order of the configuration.
    pub fn nnis(&self) -> &[Nni] {
        &self.nnis
    }

    /// The link to another provider of this name, if the VPN may cross it.
    pub fn crossing(&self, name: &CeName, vpn: &VpnName) -> Option<&Nni> {
        self.circuit(name, vpn).and_then(|circuit| self.nni(self.circuits[circuit].router))
    }
}

/// Has every peer be a router with a link and with attachments, after all others.
pub(super) fn expand(spec: &mut NetworkSpec) -> Result<(), InvalidNetwork> {
    for nni in spec.nnis.clone() {
        spec.routers.push(RouterSpec { name: nni.name.clone(), labels: None, gre: Vec::new() });
        for (place, crossing) in (1..).zip(&nni.vpns) {
            let too_many = || InvalidNetwork::TooMany { item: Item::Link(nni.name.clone()), what: "VPNs", most: PortId::MAX.get().into() };
            spec.attachments.push(AttachmentSpec {
                ce: CeName(nni.name.clone()),
                vpn: crossing.vpn.clone(),
                router: nni.name.clone(),
                // Ports of a router that nobody has: they only have to differ.
                port: PortId::new(place).map_err(|_| too_many())?,
                vlan: VlanId::default(),
                inner_vlan: VlanId::default(),
                mac: nni.peer_mac,
                addresses: NOBODY.into(),
                ce_mac: nni.peer_mac,
                prefixes: crossing.prefixes.clone(),
                // The other end of a session says how large its packets are.
                mtu: Some(Mtu::MAX),
            });
        }
        spec.links.push(link(nni));
    }
    Ok(())
}

fn link(nni: NniSpec) -> LinkSpec {
    LinkSpec {
        name: Some(nni.name.clone()),
        capacity: nni.capacity,
        metric: nni.metric,
        mtu: nni.mtu,
        affinity: Vec::new(),
        risk: Vec::new(),
        pools: Vec::new(),
        a: LinkEndSpec { router: nni.router, port: nni.port, mac: nni.mac },
        b: LinkEndSpec { router: nni.name, port: PortId::default(), mac: nni.peer_mac },
    }
}

impl Checker {
    /// The links to other providers, in the order of the routers that [`expand`] made.
    pub(super) fn nnis(&self, specs: &[NniSpec]) -> Result<Vec<Nni>, InvalidNetwork> {
        let nni = |nni: &NniSpec| {
            let item = Item::Link(nni.name.clone());
            let contract = self
                .contracts
                .get(&nni.contract)
                .copied()
                .ok_or_else(|| InvalidNetwork::Missing { item: item.clone(), missing: Item::Contract(nni.contract.clone()) })?;
            Ok(Nni { name: CeName(nni.name.clone()), border: self.router(&item, &nni.router)?, contract })
        };
        specs.iter().map(nni).collect()
    }
}
