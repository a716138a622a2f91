//! Neighbour discovery (RFC 4861) on attachment circuits: CEs that ask for the MAC of a PE's IPv6 address are answered.
//!
//! Routers hand it to the gateway, as they have no table for it. What is no solicitation as section 7.1.1 wants it, or asks for an address
//! that the PE has not on that circuit, gets no answer.
//!
//! ```text
//! solicitation    135   0   checksum   reserved        target   options
//! advertisement   136   0   checksum   R S O, 29 × 0   target   2   1   MAC
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::{MacAddr, PortId, VlanId};
use svpn_vpn::{Network, RouterId};

const ETHERTYPE_IPV6: u16 = 0x86dd;
const CUSTOMER_TAG: u16 = 0x8100;
const SERVICE_TAG: u16 = 0x88a8;
const VLAN_IDENTIFIER: u16 = 0xfff;
const IPV6_HEADER: usize = 40;
const ICMP: u8 = 58;
/// What no router has forwarded.
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Bytes of a solicitation and of an advertisement before their options.
const HEAD: usize = 24;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const FROM_A_ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Where an address is: router, port, tags.
type Place = (RouterId, PortId, VlanId, VlanId);

/// The IPv6 addresses of all PEs towards CEs.
#[derive(Debug)]
pub(crate) struct Neighbours(HashMap<(Place, Ipv6Addr), MacAddr>);

/// A solicitation that may be answered.
struct Solicitation {
    asker: MacAddr,
    /// The outer tag, then the inner; 0 for none.
    tags: [VlanId; 2],
    source: Ipv6Addr,
    target: Ipv6Addr,
}

impl Neighbours {
    /// The addresses of a network.
    pub(crate) fn new(network: &Network) -> Self {
        let mut all = HashMap::new();
        for circuit in network.circuits() {
            let place = (circuit.router, circuit.port, circuit.vlan, circuit.inner_vlan);
            for address in &circuit.addresses {
                if let IpAddr::V6(address) = *address {
                    all.insert((place, address), circuit.mac);
                }
            }
        }
        Self(all)
    }

    /// What a router has to send for a packet that it handed over.
    pub(crate) fn answer(&self, router: RouterId, packet: &PacketIn) -> Option<PacketOut> {
        let asked = read(&packet.frame)?;
        let place = (router, packet.ingress_port, asked.tags[0], asked.tags[1]);
        let mac = *self.0.get(&(place, asked.target))?;
        Some(PacketOut { egress_port: packet.ingress_port, frame: advertisement(&asked, mac) })
    }
}

/// Reads a solicitation; `None` for whatever else there is.
fn read(frame: &[u8]) -> Option<Solicitation> {
    let (macs, mut rest) = frame.split_first_chunk::<12>()?;
    let mut tags = Vec::new();
    let packet = loop {
        let (ethertype, after) = take16(rest)?;
        match ethertype {
            ETHERTYPE_IPV6 => break after,
            CUSTOMER_TAG | SERVICE_TAG if tags.len() < 2 => {
                let (tag, after) = take16(after)?;
                tags.push(VlanId::new(tag & VLAN_IDENTIFIER).ok()?);
                rest = after;
            }
            _ => return None,
        }
    };
    // A tag of VLAN 0 is as none.
    tags.retain(|tag| tag.get() != 0);
    let (header, after) = packet.split_first_chunk::<IPV6_HEADER>()?;
    let message = after.get(..u16::from_be_bytes([header[4], header[5]]).into())?;
    let [source, destination] = [8, 24].map(|at| address(header, at));
    let [source, destination] = [source?, destination?];
    let icmp = header[0] >> 4 == 6 && header[6] == ICMP && header[7] == HOP_LIMIT;
    let whole = message.len() >= HEAD && message[..2] == [SOLICITATION, 0] && checksum(source, destination, message) == 0;
    if !icmp || !whole {
        return None;
    }
    let target = address(message, 8)?;
    let named = options(&message[HEAD..])?;
    // Who has no address yet asks all that might have it, and has nothing to be remembered by (section 7.1.1).
    let careful = !source.is_unspecified() || (destination == solicited_node(target) && !named);
    let asker = MacAddr(macs[6..].try_into().ok()?);
    let tags = [tags.first(), tags.get(1)].map(|tag| tag.copied().unwrap_or_default());
    (careful && !target.is_multicast() && asker.0[0] & 1 == 0).then_some(Solicitation { asker, tags, source, target })
}

fn take16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk::<2>().map(|(number, rest)| (u16::from_be_bytes(*number), rest))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

/// Whether the asker's link-layer address is among options; `None` where one of them is cut short or has no length.
fn options(mut rest: &[u8]) -> Option<bool> {
    let mut named = false;
    while let [kind, length, ..] = *rest {
        rest = rest.get(8 * usize::from(length)..).filter(|_| length != 0)?;
        named |= kind == SOURCE_LINK_LAYER;
    }
    rest.is_empty().then_some(named)
}

/// The group that an address listens to (RFC 4291 section 2.7.1).
fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., one, two, three] = target.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(one), u16::from_be_bytes([two, three]))
}

fn advertisement(asked: &Solicitation, mac: MacAddr) -> Vec<u8> {
    let (to, to_mac, solicited) = if asked.source.is_unspecified() {
        (ALL_NODES, MacAddr([0x33, 0x33, 0, 0, 0, 1]), 0)
    } else {
        (asked.source, asked.asker, SOLICITED)
    };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, FROM_A_ROUTER | solicited | OVERRIDE, 0, 0, 0];
    message.extend(asked.target.octets());
    message.extend([TARGET_LINK_LAYER, 1]);
    message.extend(mac.0);
    let sum = checksum(asked.target, to, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut frame = [to_mac.0, mac.0].concat();
    // As routers send tags: one is a customer's, of two the outer is a service's.
    let kinds = if asked.tags[1].get() == 0 { [CUSTOMER_TAG; 2] } else { [SERVICE_TAG, CUSTOMER_TAG] };
    for (tag, kind) in asked.tags.iter().zip(kinds).filter(|(tag, _)| tag.get() != 0) {
        frame.extend([kind, tag.get()].map(u16::to_be_bytes).concat());
    }
    frame.extend(ETHERTYPE_IPV6.to_be_bytes());
    let [_, _, high, low] = length(&message).to_be_bytes();
    frame.extend([0x60, 0, 0, 0, high, low, ICMP, HOP_LIMIT]);
    frame.extend(asked.target.octets());
    frame.extend(to.octets());
    frame.extend(message);
    frame
}

fn length(message: &[u8]) -> u32 {
    // Messages are read from 16-bit lengths, or are short.
    u32::try_from(message.len()).unwrap_or(u32::MAX)
}

/// The checksum of `ICMPv6` with its pseudo-header (RFC 8200 section 8.1); 0 over a message that has the right one.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let pseudo = [&source.octets()[..], &destination.octets(), &length(message).to_be_bytes(), &[0, 0, 0, ICMP]].concat();
    let words = pseudo.chunks(2).chain(message.chunks(2));
    let sum: u64 = words.map(|word| u64::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]))).sum();
    let folded = |sum: u64| (sum & 0xffff) + (sum >> 16);
    !u16::try_from(folded(folded(folded(sum)))).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
