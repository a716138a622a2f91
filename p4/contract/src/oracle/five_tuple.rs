//! The 5-tuple: what tells one flow from another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::be16;
use super::ip::{FRAGMENT, IPV6_HEADER};
use crate::wire::{L4Port, Protocol};

/// The protocols whose first four bytes are two ports: TCP, UDP, SCTP.
const WITH_PORTS: [u8; 3] = [6, 17, 132];

/// What tells one flow from another. Packets of protocols without ports, and every fragment, have ports 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol; in IPv6 the first next header, or the one behind a fragment header that is first.
    pub proto: Protocol,
    /// Source port.
    pub sport: L4Port,
    /// Destination port.
    pub dport: L4Port,
}

impl FiveTuple {
    /// Of a packet that nobody has checked, by its first nibble; `None` where there is none to be seen.
    pub(super) fn of_packet(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::of_ipv4(packet),
            6 => Self::of_ipv6(packet),
            _ => None,
        }
    }

    pub(super) fn of_ipv4(packet: &[u8]) -> Option<Self> {
        let header_length = usize::from(packet.first()? & 0x0f) * 4;
        let total_length = usize::from(be16(packet, 2));
        if header_length < 20 || packet.len() < header_length || total_length < header_length {
            return None;
        }
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap_or_default());
        let fragment = be16(packet, 6) & 0x3fff != 0;
        let l4 = &packet[header_length..total_length.min(packet.len())];
        Some(Self::new(address(12).into(), address(16).into(), packet[9], if fragment { &[] } else { l4 }))
    }

    pub(super) fn of_ipv6(packet: &[u8]) -> Option<Self> {
        if packet.len() < IPV6_HEADER {
            return None;
        }
        let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap_or_default());
        let l4 = &packet[IPV6_HEADER..packet.len().min(IPV6_HEADER + usize::from(be16(packet, 4)))];
        let (src, dst) = (address(8).into(), address(24).into());
        match packet[6] {
            FRAGMENT if l4.len() >= 8 => Some(Self::new(src, dst, l4[0], &[])),
            proto => Some(Self::new(src, dst, proto, l4)),
        }
    }

    fn new(src: IpAddr, dst: IpAddr, proto: u8, l4: &[u8]) -> Self {
        let ports = WITH_PORTS.contains(&proto) && l4.len() >= 4;
        let port = |at: usize| L4Port::new(if ports { be16(l4, at) } else { 0 }).unwrap_or_default();
        Self { src, dst, proto: Protocol::new(proto).unwrap_or_default(), sport: port(0), dport: port(2) }
    }
}
