//! The provider's network as configured: routers and links, VPNs and circuits, contracts and applications, all checked against each
//! other once, so that nothing later needs to ask whether a name exists.

mod build;
mod contracts;
mod error;
mod gre;
mod links;
mod peers;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use svpn_contract::wire::{Class, Label, MacAddr, Mtu, PortId, TtlMode, VlanId, VrfId};

use crate::agreement::{Options, VpnPolicy};
use crate::request::{ApplicationId, BitRate, CeName, IpVersion, VpnName};
use crate::topology::{Constraint, Topology};

pub use error::{InvalidNetwork, Item};
pub use gre::GreAddresses;
pub use peers::Nni;
pub use spec::{
    ApplicationSpec, AttachmentSpec, ClassSpec, ContractSpec, CrossingSpec, GroupSpec, LinkEndSpec, LinkSpec, NetworkSpec, NniSpec,
    PoolSpec, RouterSpec, VpnSpec,
};

/// A router of the network: its place in [`NetworkSpec::routers`], and after those the border router of each peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub(crate) u32);

impl RouterId {
    /// The place in [`NetworkSpec::routers`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A contract of the network: its place in [`NetworkSpec::contracts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractId(pub(crate) u32);

impl ContractId {
    /// The place in [`NetworkSpec::contracts`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// Its name.
    pub name: String,
    /// The first label it gives out.
    pub first_label: Label,
    /// The last label it gives out.
    pub last_label: Label,
    /// Its addresses for GRE: of each family one prefix at most.
    pub gre: Vec<GreAddresses>,
}

/// An attachment circuit: where a CE connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    /// The customer edge.
    pub ce: CeName,
    /// The VPN it is in.
    pub vpn: VpnName,
    /// The VPN's routing table.
    pub vrf: VrfId,
    /// The PE.
    pub router: RouterId,
    /// The PE's port.
    pub port: PortId,
    /// The (outer) tag; 0 = none.
    pub vlan: VlanId,
    /// The inner tag; 0 = none.
    pub inner_vlan: VlanId,
    /// The PE's MAC on the circuit.
    pub mac: MacAddr,
    /// The PE's addresses there: ARP and neighbour discovery for them are answered.
    pub addresses: Vec<IpAddr>,
    /// The MAC of the customer edge.
    pub ce_mac: MacAddr,
    /// What lies behind the customer edge, sorted; no two overlap in one VPN.
    pub prefixes: Vec<IpNet>,
    /// Bytes after Ethernet and tags.
    pub mtu: Mtu,
}

impl Circuit {
    /// How many VLAN tags a frame on the circuit has.
    pub fn tags(&self) -> u8 {
        [self.vlan, self.inner_vlan].iter().map(|vlan| u8::from(vlan.get() != 0)).sum()
    }

    /// Whether an address lies behind the customer edge.
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(&address))
    }

    /// Whether anything behind the customer edge has a version of IP.
    pub fn speaks(&self, version: IpVersion) -> bool {
        self.prefixes.iter().any(|prefix| IpVersion::of(prefix.addr()) == version)
    }
}

/// What a customer bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Its name.
    pub name: String,
    /// The VPNs it covers.
    pub vpns: Vec<VpnName>,
    /// The classes it covers.
    pub classes: Vec<Class>,
    /// The class of a request that names none.
    pub default_class: Class,
    /// The most that all its sessions may have together, each direction.
    pub max_rate: BitRate,
    /// The most sessions at one time.
    pub max_sessions: u32,
    /// Which links its sessions may use.
    pub constraint: Constraint,
    /// What it says besides.
    pub options: Options,
}

/// A network that hangs together. Made by [`Network::build`] only.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) ttl: TtlMode,
    pub(crate) last_session: u32,
    pub(crate) mean_packets: [u16; 8],
    /// Ours, then the peers' border routers.
    pub(crate) routers: Vec<Router>,
    pub(crate) own_routers: usize,
    pub(crate) nnis: Vec<Nni>,
    pub(crate) topology: Topology,
    pub(crate) vpns: Vec<(VpnName, VrfId)>,
    pub(crate) circuits: Vec<Circuit>,
    pub(crate) contracts: Vec<Contract>,
    pub(crate) applications: HashMap<ApplicationId, ContractId>,
    pub(crate) policies: HashMap<VpnName, VpnPolicy>,
    pub(crate) premade: HashSet<VpnName>,
    pub(crate) groups: HashMap<ApplicationId, Vec<String>>,
    pub(crate) accepts: HashMap<ApplicationId, Vec<ApplicationId>>,
    pub(crate) circuit_of: HashMap<(CeName, VpnName), usize>,
}

impl Network {
    /// Checks a configuration and makes a network of it.
    ///
    /// # Errors
    /// [`InvalidNetwork`] names the first item that is wrong, and what about it.
    pub fn build(spec: NetworkSpec) -> Result<Self, InvalidNetwork> {
        build::build(spec)
    }

    /// Every router of this network, in the order of the configuration.
    pub fn routers(&self) -> impl Iterator<Item = (RouterId, &Router)> {
        (0..).map(RouterId).zip(&self.routers).take(self.own_routers)
    }

    /// The same, and the border router of every peer.
    pub(crate) fn all_routers(&self) -> &[Router] {
        &self.routers
    }

    /// A router.
    ///
    /// # Panics
    /// If the identifier belongs to another network.
    pub fn router(&self, id: RouterId) -> &Router {
        &self.routers[id.index()]
    }

    /// Routers and links, for path computation.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Routers and links, to say what became of them.
    pub fn topology_mut(&mut self) -> &mut Topology {
        &mut self.topology
    }

    /// How TTL crosses the tunnels.
    pub fn ttl(&self) -> TtlMode {
        self.ttl
    }

    /// Every attachment circuit, in the order of the configuration, and then what stands for those beyond links to other providers.
    pub fn circuits(&self) -> &[Circuit] {
        &self.circuits
    }

    /// The circuit by which a CE is attached to a VPN: its place in [`Network::circuits`].
    pub fn circuit(&self, ce: &CeName, vpn: &VpnName) -> Option<usize> {
        self.circuit_of.get(&(ce.clone(), vpn.clone())).copied()
    }

    /// Every VPN with its routing table, in the order of the configuration.
    pub fn vpns(&self) -> impl Iterator<Item = (&VpnName, VrfId)> {
        self.vpns.iter().map(|(name, vrf)| (name, *vrf))
    }

    /// Whether a VPN of that name is configured.
    pub fn has_vpn(&self, name: &VpnName) -> bool {
        self.vpns.iter().any(|(vpn, _)| vpn == name)
    }

    /// Whether a CE of that name is attached anywhere in this network.
    pub fn has_ce(&self, name: &CeName) -> bool {
        self.circuits.iter().any(|circuit| &circuit.ce == name && self.is_own(circuit.router))
    }

    /// The last session number.
    pub fn last_session(&self) -> u32 {
        self.last_session
    }

    /// Every contract, in the order of the configuration.
    pub fn contracts(&self) -> &[Contract] {
        &self.contracts
    }

    /// The contract that pays for an application.
    pub fn contract_of(&self, application: &ApplicationId) -> Option<ContractId> {
        self.applications.get(application).copied()
    }

    /// What the sessions of a VPN may be.
    pub fn policy(&self, vpn: &VpnName) -> Option<&VpnPolicy> {
        self.policies.get(vpn)
    }

    /// Whether the tunnels of a VPN are made in advance.
    pub fn has_premade_tunnels(&self, vpn: &VpnName) -> bool {
        self.premade.contains(vpn)
    }

    /// The closed user groups an application is in; those that are in none reach each other.
    pub fn groups_of(&self, application: &ApplicationId) -> &[String] {
        self.groups.get(application).map_or(&[], Vec::as_slice)
    }

    /// The callers an application has named, whose sessions it agrees to.
    pub fn accepted_by(&self, application: &ApplicationId) -> &[ApplicationId] {
        self.accepts.get(application).map_or(&[], Vec::as_slice)
    }

    /// A contract.
    ///
    /// # Panics
    /// If the identifier belongs to another network.
    pub fn contract(&self, id: ContractId) -> &Contract {
        &self.contracts[id.index()]
    }

    /// Bytes of payload above the transport header in a class's mean packet; never 0.
    pub fn mean_packet(&self, class: Class) -> u16 {
        self.mean_packets[usize::from(class.get())]
    }
}
