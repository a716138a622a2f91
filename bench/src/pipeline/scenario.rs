//! The scenarios: which entries a router has, and which packets it gets.
//!
//! Packets come in on port 1 and leave by port 2. Only eight bytes differ from packet to packet, the *patch*, and they are chosen so that the
//! IPv4 header's checksum is the same for all: what one address adds to the sum the other takes away.

use std::fmt;
use std::net::Ipv4Addr;

use clap::ValueEnum;
use svpn_contract::wire::{
    Class, GreKey, L4Port, Label, MacAddr, Mtu, NextHopId, OutOfRange, PortId, Protocol, SessionId, TtlMode, TunnelId, VlanId, VrfId,
};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, FlowV4Action, FlowV4Entry, FlowV4Key, GreIngressV4Action,
    GreIngressV4Entry, GreIngressV4Key, IlmAction, IlmEntry, IlmKey, MeterConfig, NexthopAction, NexthopEntry, NexthopKey, Prefix,
    RouteV4Action, RouteV4Entry, RouteV4Key, SessionAction, SessionEntry, SessionKey, StationAction, StationEntry, StationKey,
    TunnelAction, TunnelEntry, TunnelKey,
};
use svpn_forwarder::TableSizes;

use super::traffic::{FrameSizes, Payload};

/// What happens to the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// A label is replaced; keys are labels.
    Swap,
    /// The last label but one hop is removed and TTL carried over; keys are labels.
    Php,
    /// A customer's packet of a session: exact flow, meter with both buckets, two labels pushed; keys are sessions.
    Session,
    /// A customer's packet of no session: route, two labels pushed; keys are prefixes.
    Route,
    /// As session, in GRE over IPv4 with a key instead of the labels; keys are sessions.
    GreEncap,
    /// A packet at the end of its GRE tunnel: delivery header removed, routed in its VRF; keys are tunnels.
    GreDecap,
    /// A packet at the end of its tunnel: label removed, routed in its VRF to the customer; keys are prefixes.
    Egress,
    /// As session, with frames of 64, 570 and 1400 bytes.
    Imix,
}

/// Where packets come in.
const INGRESS: u16 = 1;
/// Where they leave.
const EGRESS: u16 = 2;
const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Next hops, all behind one port.
const NEXTHOPS: u32 = 16;
/// Tunnels, which sessions and routes share.
const TUNNELS: u32 = 256;
const VRF: u16 = 1;
const SOURCE_PORT: u16 = 5000;
const DESTINATION_PORT: u16 = 5004;
const UDP: u8 = 17;
/// Both ends of all GRE tunnels, the far one first where they end here.
const DELIVERY: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
/// Where all packets that come by GRE are sent to.
const INNER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// Bytes per second and bytes: what no measurement exceeds, and two buckets that differ, so that both are worked on.
const METER: MeterConfig = MeterConfig { cir: 50_000_000_000, cburst: 1_000_000_000, pir: 50_000_000_000, pburst: 2_000_000_000 };

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Swap, Self::Php, Self::Session, Self::Route, Self::GreEncap, Self::GreDecap, Self::Egress, Self::Imix];

    /// Most entries it can have.
    pub fn most_entries(self) -> u32 {
        match self {
            Self::Swap | Self::Php => Label::MAX.get() - Label::FIRST_UNRESERVED.get() + 1,
            // Distinct last three bytes of an address, or distinct /24.
            Self::Session | Self::Imix | Self::GreEncap | Self::Route | Self::Egress => 1 << 24,
            // A line each.
            Self::GreDecap => 1 << 22,
        }
    }

    /// The sizes of frames to be measured, where these were asked for.
    pub(super) fn frame_sizes(self, asked: &[u16]) -> Vec<FrameSizes> {
        match self {
            Self::Imix => vec![FrameSizes::Imix],
            _ => asked.iter().map(|bytes| FrameSizes::One(*bytes)).collect(),
        }
    }

    /// Tables that hold so many entries.
    pub(super) fn table_sizes(entries: u32) -> TableSizes {
        let sizes = TableSizes::default();
        TableSizes {
            flow_v4: sizes.flow_v4.max(entries),
            session: sizes.session.max(entries),
            route_v4: sizes.route_v4.max(entries),
            ilm: sizes.ilm.max(entries),
            gre_ingress_v4: sizes.gre_ingress_v4.max(entries),
            ..sizes
        }
    }

    /// Whether an entry is one flow, which one worker sees.
    pub(super) fn has_flows(self) -> bool {
        matches!(self, Self::Session | Self::GreEncap | Self::Imix)
    }

    /// What is in Ethernet.
    pub(super) fn payload(self) -> Payload {
        match self {
            Self::Swap | Self::Php | Self::Egress => Payload::LabelledUdp,
            Self::Session | Self::GreEncap | Self::Route | Self::Imix => Payload::Udp,
            Self::GreDecap => Payload::UdpInGre,
        }
    }

    /// Where in the frame the patch is.
    pub(super) fn patch_at(self) -> usize {
        match self {
            // The label stack entry ends it.
            Self::Swap | Self::Php => 10,
            // Both addresses.
            Self::Session | Self::GreEncap | Self::Route | Self::Imix => 26,
            // GRE with its key.
            Self::GreDecap => 34,
            Self::Egress => 30,
        }
    }

    /// The patch of a packet for this entry. `any` chooses a host where the entry is for several.
    pub(super) fn patch(self, index: u32, any: u8) -> [u8; 8] {
        match self {
            Self::Swap | Self::Php => {
                let entry = (Label::FIRST_UNRESERVED.get() + index) << 12 | 0x100 | 64;
                (0x0000_8847_0000_0000 | u64::from(entry)).to_be_bytes()
            }
            Self::Session | Self::GreEncap | Self::Imix => {
                let (source, destination) = addresses(index);
                (u64::from(source) << 32 | u64::from(destination)).to_be_bytes()
            }
            // Key present, IPv4.
            Self::GreDecap => (0x2000_0800_0000_0000 | u64::from(index + 1)).to_be_bytes(),
            Self::Route | Self::Egress => {
                let destination = prefix(index) | u32::from(any);
                (u64::from(!destination) << 32 | u64::from(destination)).to_be_bytes()
            }
        }
    }

    /// The entries that are there however many keys there are.
    ///
    /// # Errors
    /// None: the numbers fit.
    pub fn common_entries(self) -> Result<Vec<Entry>, OutOfRange> {
        let (port, untagged) = (ingress()?, VlanId::default());
        let circuit = match self {
            Self::Swap | Self::Php | Self::GreDecap | Self::Egress => AttachmentAction::ToCore,
            Self::Session | Self::GreEncap | Self::Route | Self::Imix => AttachmentAction::ToVrf { vrf: VrfId::new(VRF)? },
        };
        let mut entries: Vec<Entry> = vec![
            AttachmentEntry { key: AttachmentKey { port, vlan: untagged, inner_vlan: untagged }, action: circuit }.into(),
            StationEntry { key: StationKey { port, dst_mac: ROUTER }, action: StationAction::Accept }.into(),
        ];
        for number in 0..NEXTHOPS {
            let [.., low] = number.to_be_bytes();
            let (src_mac, dst_mac) = (ROUTER, MacAddr([2, 0, 0, 0, 1, low]));
            let action =
                NexthopAction::Rewrite { port: egress()?, src_mac, dst_mac, vlan: untagged, inner_vlan: untagged, mtu: Mtu::new(1600)? };
            entries.push(NexthopEntry { key: NexthopKey { nexthop: nexthop(number)? }, action: Choice::only(action) }.into());
        }
        for number in 0..TUNNELS {
            let action = self.tunnel_action(number)?;
            entries.push(TunnelEntry { key: TunnelKey { tunnel: tunnel(number)? }, action: Choice::only(action) }.into());
        }
        if self == Self::GreDecap {
            let action = RouteV4Action::Local { nexthop: nexthop(0)? };
            let dst = Prefix { value: INNER, length: 8 };
            entries.push(RouteV4Entry { key: RouteV4Key { vrf: VrfId::new(VRF)?, dst }, action }.into());
        }
        if self == Self::Egress {
            let action = IlmAction::PopVrf { vrf: VrfId::new(VRF)?, ttl_mode: TtlMode::UNIFORM };
            entries.push(IlmEntry { key: IlmKey { label: Label::FIRST_UNRESERVED }, action }.into());
        }
        Ok(entries)
    }

    fn tunnel_action(self, number: u32) -> Result<TunnelAction, OutOfRange> {
        let (nexthop, ttl_mode) = (nexthop(number)?, TtlMode::UNIFORM);
        Ok(if self == Self::GreEncap {
            TunnelAction::GreV4 { src: DELIVERY[0], dst: DELIVERY[1], key: GreKey::new(1 + number)?, nexthop, ttl_mode }
        } else {
            TunnelAction::Lsp1 { l1: Label::new(1000 + number)?, nexthop, ttl_mode }
        })
    }

    /// The entries of one key.
    ///
    /// # Errors
    /// [`OutOfRange`] for an index that is not below [`Self::most_entries`].
    pub fn entries(self, index: u32) -> Result<Vec<Entry>, OutOfRange> {
        let label = || Label::new(Label::FIRST_UNRESERVED.get() + index);
        let vpn_label = Label::new(16 + index % 4096)?;
        let class = Class::new((index % 8).to_be_bytes()[3])?;
        let vrf = VrfId::new(VRF)?;
        Ok(match self {
            Self::Swap => {
                let action = IlmAction::Swap { label: Label::new(label()?.get() ^ 1)?, nexthop: nexthop(index)? };
                vec![IlmEntry { key: IlmKey { label: label()? }, action }.into()]
            }
            Self::Php => {
                let action = IlmAction::Php { nexthop: nexthop(index)?, ttl_mode: TtlMode::UNIFORM };
                vec![IlmEntry { key: IlmKey { label: label()? }, action }.into()]
            }
            Self::Session | Self::GreEncap | Self::Imix => {
                let vpn_label = if self == Self::GreEncap { Label::IMPLICIT_NULL } else { vpn_label };
                let session = SessionId::new(index)?;
                let (src, dst) = addresses(index);
                let key = FlowV4Key {
                    vrf,
                    src: src.into(),
                    dst: dst.into(),
                    proto: Protocol::new(UDP)?,
                    sport: L4Port::new(SOURCE_PORT)?,
                    dport: L4Port::new(DESTINATION_PORT)?,
                };
                let carry = SessionAction::Carry { tunnel: tunnel(index)?, vpn_label, class };
                vec![
                    FlowV4Entry { key, action: FlowV4Action::Assign { session }, idle_timeout: None }.into(),
                    SessionEntry { key: SessionKey { session }, action: carry, meter: Some(METER) }.into(),
                ]
            }
            Self::GreDecap => {
                let key = GreIngressV4Key { src: DELIVERY[0], dst: DELIVERY[1], key: GreKey::new(index + 1)? };
                vec![GreIngressV4Entry { key, action: GreIngressV4Action::DecapVrf { vrf } }.into()]
            }
            Self::Route => {
                let action = RouteV4Action::ViaTunnel { tunnel: tunnel(index)?, vpn_label, class };
                vec![RouteV4Entry { key: route_key(index)?, action }.into()]
            }
            Self::Egress => {
                let action = RouteV4Action::Local { nexthop: nexthop(index)? };
                vec![RouteV4Entry { key: route_key(index)?, action }.into()]
            }
        })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Swap => "swap",
            Self::Php => "php",
            Self::Session => "session",
            Self::Route => "route",
            Self::GreEncap => "gre-encap",
            Self::GreDecap => "gre-decap",
            Self::Egress => "egress",
            Self::Imix => "imix",
        })
    }
}

/// The start of every frame: Ethernet without its type.
pub(super) fn ethernet() -> [u8; 12] {
    let mut header = [4; 12];
    header[..6].copy_from_slice(&ROUTER.0);
    // Locally administered, and of nobody.
    header[6..].copy_from_slice(&[2, 0, 0, 0, 0, 0]);
    header
}

/// Addresses of the delivery header of GRE that ends here, as on the wire.
pub(super) fn delivery_addresses() -> [u8; 8] {
    let [src, dst] = DELIVERY.map(|address| u64::from(address.to_bits()));
    (src << 32 | dst).to_be_bytes()
}

/// UDP's ports, as on the wire.
pub(super) fn udp_ports() -> [u8; 4] {
    (u32::from(SOURCE_PORT) << 16 | u32::from(DESTINATION_PORT)).to_be_bytes()
}

pub(super) fn ingress() -> Result<PortId, OutOfRange> {
    PortId::new(INGRESS)
}

pub(super) fn egress() -> Result<PortId, OutOfRange> {
    PortId::new(EGRESS)
}

fn nexthop(number: u32) -> Result<NextHopId, OutOfRange> {
    NextHopId::new(1 + number % NEXTHOPS)
}

fn tunnel(number: u32) -> Result<TunnelId, OutOfRange> {
    TunnelId::new(1 + number % TUNNELS)
}

/// Source and destination of a session: both in 10.0.0.0/8, and their sum is the same for all.
fn addresses(index: u32) -> (u32, u32) {
    let source = 0x0a00_0000 | index & 0x00ff_ffff;
    (source, source ^ 0x00ff_ffff)
}

/// The /24 of a route: neighbours in number are far from each other.
fn prefix(index: u32) -> u32 {
    // Odd, so every /24 comes once.
    const SCATTER: u32 = 0x9e37_79b1;
    index.wrapping_mul(SCATTER) << 8
}

fn route_key(index: u32) -> Result<RouteV4Key, OutOfRange> {
    Ok(RouteV4Key { vrf: VrfId::new(VRF)?, dst: Prefix { value: Ipv4Addr::from(prefix(index)), length: 24 } })
}
