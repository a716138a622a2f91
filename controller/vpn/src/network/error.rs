//! Why a configuration is refused: each error names the offending item.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use svpn_contract::wire::{Class, Label, MacAddr, Mtu, PortId, VlanId, VrfId};

use crate::request::{BitRate, IpVersion};

/// One thing in the configuration, by the name it has there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// A router.
    Router(String),
    /// A link.
    Link(String),
    /// A VPN.
    Vpn(String),
    /// The attachment circuit of a CE into a VPN.
    Attachment {
        /// The customer edge.
        ce: String,
        /// The VPN.
        vpn: String,
    },
    /// A contract.
    Contract(String),
    /// An application, `name@vpn`.
    Application(String),
    /// A class.
    Class(Class),
    /// A closed user group.
    Group(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(name) => write!(f, "router {name:?}"),
            Self::Link(name) => write!(f, "link {name:?}"),
            Self::Vpn(name) => write!(f, "VPN {name:?}"),
            Self::Attachment { ce, vpn } => write!(f, "attachment of CE {ce:?} to VPN {vpn:?}"),
            Self::Contract(name) => write!(f, "contract {name:?}"),
            Self::Application(name) => write!(f, "application {name:?}"),
            Self::Class(class) => write!(f, "class {class}"),
            Self::Group(name) => write!(f, "group {name:?}"),
        }
    }
}

/// A configuration that does not hang together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// Two items have one name.
    #[error("{0} is there twice")]
    Duplicate(Item),
    /// An item without a name.
    #[error("{0} has no name")]
    Unnamed(Item),
    /// An item names one that is not there.
    #[error("{item} names {missing}, which is not configured")]
    Missing {
        /// Who names it.
        item: Item,
        /// What is not there.
        missing: Item,
    },
    /// Session numbers start at 1.
    #[error("the last session number is 0: there must be at least one session")]
    NoSessions,
    /// A range of labels that is empty or holds reserved ones.
    #[error("{item} may give out labels {first} to {last}: expected a range within 16 to 1048575 (RFC 3032)")]
    Labels {
        /// The router.
        item: Item,
        /// The first label.
        first: Label,
        /// The last label.
        last: Label,
    },
    /// More links, circuits or VPNs on a router than it has numbers for.
    #[error("{item} has too few {kind} numbers for the links, attachments and VPNs it has")]
    TooFewNumbers {
        /// The router.
        item: Item,
        /// Label or next hop.
        kind: &'static str,
    },
    /// A link whose ends are on one router.
    #[error("{item} starts and ends at router {router:?}")]
    Loop {
        /// The link.
        item: Item,
        /// The router.
        router: String,
    },
    /// A quantity that must not be 0.
    #[error("{item}: {quantity} is 0")]
    Zero {
        /// The item.
        item: Item,
        /// What is 0.
        quantity: &'static str,
    },
    /// A list names one thing twice.
    #[error("{item} names {what} {name:?} twice")]
    Twice {
        /// Whose list it is.
        item: Item,
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// More than can be told apart.
    #[error("{item} has too many {what}: at most {most} are possible")]
    TooMany {
        /// The item with which they become too many.
        item: Item,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A pool of no class.
    #[error("{item} has a pool without classes")]
    NoClasses {
        /// The link.
        item: Item,
    },
    /// A pool that has more than its link.
    #[error("{item} has a pool of {share} bit/s, which is more than the link has", share = .share.0)]
    LargePool {
        /// The link.
        item: Item,
        /// The share of the pool.
        share: BitRate,
    },
    /// An MTU below what every IPv4 link must carry.
    #[error("{item} has an MTU of {mtu} bytes: IPv4 needs at least 68 (RFC 791)")]
    Mtu {
        /// The item.
        item: Item,
        /// Its MTU.
        mtu: Mtu,
    },
    /// A MAC address that no station can have.
    #[error("{item} has the MAC address {mac}: expected a unicast address")]
    Mac {
        /// The item.
        item: Item,
        /// The address.
        mac: MacAddr,
    },
    /// Below what every IPv6 link must carry.
    #[error("{item} has an MTU of {mtu} bytes and an IPv6 prefix: IPv6 needs at least 1280 (RFC 8200)")]
    MtuForIpv6 {
        /// The attachment circuit.
        item: Item,
        /// Its MTU.
        mtu: Mtu,
    },
    /// A CE with prefixes of a version of IP in which the PE has no address.
    #[error("{item} has {version} prefixes, but the PE has no {version} address there")]
    NoAddress {
        /// The attachment circuit.
        item: Item,
        /// The version.
        version: IpVersion,
    },
    /// A PE address that no interface can have.
    #[error("{item} has the address {address}: expected a unicast address")]
    Address {
        /// The item.
        item: Item,
        /// The address.
        address: IpAddr,
    },
    /// Two links, or a link and an attachment circuit, on one port.
    #[error("port {port} of router {router:?} is used by {first} and by {second}")]
    PortInUse {
        /// The router.
        router: String,
        /// Its port.
        port: PortId,
        /// Who came first.
        first: Item,
        /// Who came second.
        second: Item,
    },
    /// Two attachment circuits with one port and the same tags.
    #[error("port {port}, VLAN {vlan}, inner VLAN {inner_vlan} of router {router:?} is used by {first} and by {second}")]
    CircuitInUse {
        /// The router.
        router: String,
        /// Its port.
        port: PortId,
        /// The outer tag.
        vlan: VlanId,
        /// The inner tag.
        inner_vlan: VlanId,
        /// Who came first.
        first: Item,
        /// Who came second.
        second: Item,
    },
    /// Two circuits of one port and outer tag answer ARP for one address with different MACs, or neighbour discovery.
    #[error("{first} and {second} share port, VLAN and address {address}, but not the MAC that is its neighbours' answer")]
    ArpConflict {
        /// Who came first.
        first: Item,
        /// Who came second.
        second: Item,
        /// The address both have.
        address: IpAddr,
    },
    /// A VLAN identifier IEEE 802.1Q reserves.
    #[error("{item} uses VLAN 4095, which IEEE 802.1Q reserves")]
    ReservedVlan {
        /// The attachment circuit.
        item: Item,
    },
    /// An inner tag without an outer one.
    #[error("{item} has an inner VLAN but no outer one")]
    InnerVlanAlone {
        /// The attachment circuit.
        item: Item,
    },
    /// VRF 0 is the provider's own.
    #[error("{item} uses VRF 0, which is the provider's own")]
    ProviderVrf {
        /// The VPN.
        item: Item,
    },
    /// Two VPNs in one VRF.
    #[error("VRF {vrf} is used by {first} and by {second}")]
    VrfInUse {
        /// The VRF.
        vrf: VrfId,
        /// Who came first.
        first: Item,
        /// Who came second.
        second: Item,
    },
    /// A CE with nothing behind it.
    #[error("{item} has no prefixes: nothing behind it could be reached")]
    NoPrefixes {
        /// The attachment circuit.
        item: Item,
    },
    /// A prefix with bits set beyond its length.
    #[error("{item} has the prefix {prefix}: expected {expected}", expected = .prefix.trunc())]
    HostBits {
        /// Whose it is.
        item: Item,
        /// The prefix.
        prefix: IpNet,
    },
    /// A prefix for GRE with too few addresses, or with addresses that no router can have.
    #[error(
        "{item} has {prefix} for GRE: expected unicast addresses, three at least (an IPv4 prefix of 8 to 30 bits, or one of IPv6 up to 126)"
    )]
    GrePrefix {
        /// The router.
        item: Item,
        /// The prefix.
        prefix: IpNet,
    },
    /// Two prefixes for GRE of one family.
    #[error("{item} has {prefix} for GRE besides another of the family: expected one of IPv4, one of IPv6, or one of each")]
    GreFamily {
        /// The router.
        item: Item,
        /// The second.
        prefix: IpNet,
    },
    /// Two prefixes of one VPN share addresses, so an address has no one CE; or two that routers have for GRE.
    #[error("prefix {} of {first} and prefix {} of {second} overlap", .prefixes[0], .prefixes[1])]
    PrefixesOverlap {
        /// Who came first.
        first: Item,
        /// Who came second.
        second: Item,
        /// Their prefixes.
        prefixes: Box<[IpNet; 2]>,
    },
    /// A contract whose default priority is above its highest, or one above 7.
    #[error("{item} has priority {priority} of at most {max_priority}: expected 0 to 7, the default not above the highest")]
    Priorities {
        /// The contract.
        item: Item,
        /// The default.
        priority: u8,
        /// The highest.
        max_priority: u8,
    },
    /// A contract that names an affinity no link has.
    #[error("{item} names the affinity {name:?}, which no link has")]
    Affinity {
        /// The contract.
        item: Item,
        /// The affinity.
        name: String,
    },
    /// A contract whose default class it does not cover.
    #[error("{item} has the default class {class}, which is not among its classes")]
    DefaultClass {
        /// The contract.
        item: Item,
        /// The class.
        class: Class,
    },
}

impl InvalidNetwork {
    /// The item to look at in the configuration: of two that conflict, the second.
    pub fn item(&self) -> Option<&Item> {
        match self {
            Self::NoSessions => None,
            Self::Duplicate(item)
            | Self::Unnamed(item)
            | Self::Missing { item, .. }
            | Self::Labels { item, .. }
            | Self::TooFewNumbers { item, .. }
            | Self::Loop { item, .. }
            | Self::Zero { item, .. }
            | Self::Twice { item, .. }
            | Self::TooMany { item, .. }
            | Self::NoClasses { item }
            | Self::LargePool { item, .. }
            | Self::Mtu { item, .. }
            | Self::MtuForIpv6 { item, .. }
            | Self::NoAddress { item, .. }
            | Self::Mac { item, .. }
            | Self::Address { item, .. }
            | Self::ReservedVlan { item }
            | Self::InnerVlanAlone { item }
            | Self::ProviderVrf { item }
            | Self::NoPrefixes { item }
            | Self::HostBits { item, .. }
            | Self::GrePrefix { item, .. }
            | Self::GreFamily { item, .. }
            | Self::DefaultClass { item, .. }
            | Self::Priorities { item, .. }
            | Self::Affinity { item, .. }
            | Self::PortInUse { second: item, .. }
            | Self::CircuitInUse { second: item, .. }
            | Self::ArpConflict { second: item, .. }
            | Self::VrfInUse { second: item, .. }
            | Self::PrefixesOverlap { second: item, .. } => Some(item),
        }
    }
}
