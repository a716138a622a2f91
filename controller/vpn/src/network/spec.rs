//! What a configuration says, before anyone has checked that it hangs together.
//!
//! A loader fills these in, one for one with its file, and calls [`super::Network::build`]. Absent values stay `None`: the defaults are
//! the domain's, named here.

use std::net::IpAddr;

use ipnet::IpNet;
use svpn_contract::wire::{Class, Label, MacAddr, Mtu, PortId, TtlMode, VlanId, VrfId};

use crate::admission::Share;
use crate::agreement::{Options, VpnPolicy};
use crate::durable::TunnelOrigin;
use crate::request::{ApplicationId, BitRate, CeName, VpnName};

/// Everything the domain knows of the provider's network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSpec {
    /// How TTL crosses the tunnels (RFC 3443).
    pub ttl: TtlMode,
    /// Session numbers run from 1 to this: one less than the size of the routers' `session` tables, whose index they are.
    /// `None` = [`NetworkSpec::DEFAULT_LAST_SESSION`].
    pub last_session: Option<u32>,
    /// Classes that differ from the default.
    pub classes: Vec<ClassSpec>,
    /// The routers: [`super::RouterId`]s count them in this order.
    pub routers: Vec<RouterSpec>,
    /// The links between them.
    pub links: Vec<LinkSpec>,
    /// The customers' VPNs.
    pub vpns: Vec<VpnSpec>,
    /// Where the customers' edges connect.
    pub attachments: Vec<AttachmentSpec>,
    /// What the customers bought.
    pub contracts: Vec<ContractSpec>,
    /// Who may ask.
    pub applications: Vec<ApplicationSpec>,
    /// Closed user groups: who is in any reaches only those that are in one of the same.
    pub groups: Vec<GroupSpec>,
    /// Links to other providers.
    pub nnis: Vec<NniSpec>,
}

/// A link to another provider (a network-to-network interface), full duplex. Both providers reserve on it, each in its own calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NniSpec {
    /// Its name: no router, link or CE has it.
    pub name: String,
    /// Our router at it.
    pub router: String,
    /// Its port.
    pub port: PortId,
    /// The address of that port.
    pub mac: MacAddr,
    /// The address of the peer's port.
    pub peer_mac: MacAddr,
    /// Of each direction; counted in bytes of the frame, destination MAC to end of payload, no FCS.
    pub capacity: BitRate,
    /// What a path over it costs; `None` = 1.
    pub metric: Option<u32>,
    /// Bytes after Ethernet and tags; `None` = [`LinkSpec::DEFAULT_MTU`].
    pub mtu: Option<Mtu>,
    /// The name of the contract that says what the peer's applications may ask of this network.
    pub contract: String,
    /// The VPNs that cross it.
    pub vpns: Vec<CrossingSpec>,
}

/// A VPN that has sites beyond a link to another provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossingSpec {
    /// The VPN, by its name here.
    pub vpn: VpnName,
    /// What lies there.
    pub prefixes: Vec<IpNet>,
}

/// A closed user group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its name.
    pub name: String,
    /// The applications in it.
    pub members: Vec<ApplicationId>,
}

/// What is known of a service class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassSpec {
    /// The class.
    pub class: Class,
    /// Bytes of payload above the transport header in the mean packet: turns a bandwidth without `a=maxprate` into packets.
    pub mean_packet: u16,
}

/// A provider edge or core router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSpec {
    /// Its name.
    pub name: String,
    /// The labels it may give out, both included; `None` = all that are not reserved, 16 to 1048575 (RFC 3032 section 2.1).
    pub labels: Option<(Label, Label)>,
    /// Its addresses in the provider's own network, for GRE: one prefix of IPv4 or of IPv6, or one of each. Its own tunnels begin at the
    /// second address, and every path to it ends at another of those that follow.
    pub gre: Vec<IpNet>,
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEndSpec {
    /// The router's name.
    pub router: String,
    /// Its port.
    pub port: PortId,
    /// The address of that port.
    pub mac: MacAddr,
}

/// A link between two routers, full duplex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// Its name; `None` = the names of its routers with a hyphen between them.
    pub name: Option<String>,
    /// Of each direction; counted in bytes of the frame, destination MAC to end of payload, no FCS.
    pub capacity: BitRate,
    /// What a path over it costs; `None` = 1.
    pub metric: Option<u32>,
    /// Bytes after Ethernet and tags; `None` = [`LinkSpec::DEFAULT_MTU`].
    pub mtu: Option<Mtu>,
    /// What kinds of link it is: names of the provider's choice, which contracts include or exclude.
    pub affinity: Vec<String>,
    /// The shared-risk groups it is in: names of what it fails together with, a duct or a line card.
    pub risk: Vec<String>,
    /// How classes share each direction, besides that all of them share the whole.
    pub pools: Vec<PoolSpec>,
    /// One end.
    pub a: LinkEndSpec,
    /// The other.
    pub b: LinkEndSpec,
}

/// Some classes, and what they may have of a link together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// The classes.
    pub classes: Vec<Class>,
    /// What the sum of them may be, at most.
    pub share: Share,
}

/// A customer's VPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpnSpec {
    /// Its name.
    pub name: VpnName,
    /// Its routing table on every PE; not 0, which is the provider's own.
    pub vrf: VrfId,
    /// What its sessions may be.
    pub policy: VpnPolicy,
    /// When its tunnels are made.
    pub tunnels: TunnelOrigin,
}

/// An attachment circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentSpec {
    /// The customer edge.
    pub ce: CeName,
    /// The VPN it is in.
    pub vpn: VpnName,
    /// The PE's name.
    pub router: String,
    /// The PE's port.
    pub port: PortId,
    /// The (outer) tag; 0 = none.
    pub vlan: VlanId,
    /// The inner tag; 0 = none.
    pub inner_vlan: VlanId,
    /// The PE's MAC on the circuit.
    pub mac: MacAddr,
    /// The PE's addresses there, one at least of each version of IP that the prefixes have: ARP and neighbour discovery for them are
    /// answered.
    pub addresses: Vec<IpAddr>,
    /// The MAC of the customer edge.
    pub ce_mac: MacAddr,
    /// What lies behind the customer edge.
    pub prefixes: Vec<IpNet>,
    /// Bytes after Ethernet and tags; `None` = [`AttachmentSpec::DEFAULT_MTU`].
    pub mtu: Option<Mtu>,
}

/// What a customer bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractSpec {
    /// Its name.
    pub name: String,
    /// The VPNs it covers.
    pub vpns: Vec<VpnName>,
    /// The classes it covers.
    pub classes: Vec<Class>,
    /// The class of a request that names none.
    pub default_class: Class,
    /// The most that all its sessions may have together, each direction; counted as the policers count, in frames.
    pub max_rate: BitRate,
    /// The most sessions at one time.
    pub max_sessions: u32,
    /// What it says besides.
    pub options: Options,
}

/// An application that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationSpec {
    /// Its name and VPN.
    pub id: ApplicationId,
    /// The name of the contract that pays.
    pub contract: String,
    /// Whose sessions it agrees to, where its VPN's policy asks for callers that are named ([`crate::agreement::Consent::Named`]).
    pub accepts: Vec<ApplicationId>,
}

impl NetworkSpec {
    /// The last session number where nothing is said: that of a `session` table of 1 Mi entries.
    pub const DEFAULT_LAST_SESSION: u32 = (1 << 20) - 1;
}

impl ClassSpec {
    /// The mean packet of a class nothing is said about, bytes above the transport header.
    pub const DEFAULT_MEAN_PACKET: u16 = 512;
}

impl LinkSpec {
    /// Room for 1500 bytes of IP, four labels and then some.
    pub const DEFAULT_MTU: Mtu = match Mtu::new(1600) {
        Ok(mtu) => mtu,
        Err(_) => unreachable!(),
    };
    /// The metric of a link nothing is said about.
    pub const DEFAULT_METRIC: u32 = 1;
}

impl AttachmentSpec {
    /// What Ethernet carries.
    pub const DEFAULT_MTU: Mtu = match Mtu::new(1500) {
        Ok(mtu) => mtu,
        Err(_) => unreachable!(),
    };
}
