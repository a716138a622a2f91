//! IPv6 (RFC 8200): the checks of a header, and its 5-tuple.
//!
//! ```text
//! 0 version 4, traffic class 8, flow label 20   4 payload length   6 next header   7 hop limit   8 source   24 destination   40
//! ```

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::ip::{SCTP, TCP, UDP};
use super::packet::Packet;
use super::parse::{ETHERTYPE_IPV6, Ethernet, HEAD};
use crate::tables::flow_v6::FlowKeyV6;

/// Bytes of a header.
pub(super) const HEADER: usize = 40;
/// Bytes of a fragment header (RFC 8200 section 4.5).
pub(super) const FRAGMENT_HEADER: usize = 8;
/// Bytes of a header and of a fragment header, or ports, behind it.
const WINDOW: usize = HEADER + FRAGMENT_HEADER;
/// Where the four bytes begin that end with the hop limit.
pub(super) const WORD: u8 = 4;
/// The next header value of a fragment header.
pub(super) const FRAGMENT: u8 = 44;
const ICMP_V6: u8 = 58;
/// Router and neighbour solicitation and advertisement, redirect (RFC 4861).
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

/// Judges the header at `packet.start` and reads it. `ceiling` is the most its hop limit can be (RFC 3443, uniform model).
#[inline]
pub(super) fn check(mbuf: &Mbuf, packet: &mut Packet, ceiling: u8) -> Result<FlowKeyV6, Reason> {
    let start = usize::from(packet.start);
    let available = (packet.length as usize).saturating_sub(start);
    // Headers are in the first segment.
    let there = mbuf.len().saturating_sub(start);
    let window: &[u8; WINDOW] = mbuf.window(start).filter(|_| there >= HEADER).ok_or(Reason::IpTruncated)?;
    if window[0] >> 4 != 6 {
        return Err(Reason::IpBadVersion);
    }
    let [_, _, _, _, l0, l1, next_header, hop_limit, ..] = *window;
    let payload = usize::from(u16::from_be_bytes([l0, l1]));
    if HEADER + payload > available {
        return Err(Reason::IpBadLength);
    }
    if hop_limit == 0 {
        return Err(Reason::IpTtlZero);
    }
    packet.ttl = hop_limit.min(ceiling);
    packet.word = [l0, l1, next_header, packet.ttl.wrapping_sub(1)];
    packet.place = WORD;
    packet.ethertype = ETHERTYPE_IPV6;
    packet.bytes = u16::try_from(HEADER + payload).unwrap_or(u16::MAX);
    let behind = window.get(HEADER..).unwrap_or_default();
    let behind = behind.get(..payload.min(there - HEADER)).unwrap_or(behind);
    let (protocol, ports) = protocol_and_ports(next_header, behind);
    let [_, _, _, _, _, _, _, _, addresses @ ..] = window;
    let address = |at: usize| addresses.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u128::from_be_bytes(*bytes));
    Ok(FlowKeyV6::new(packet.vrf, address(0), address(16), protocol, ports))
}

/// The protocol and both ports, of a header with this next header value and the start of what is behind it.
#[inline]
pub(super) fn protocol_and_ports(next_header: u8, behind: &[u8]) -> (u8, u32) {
    match (next_header, behind) {
        (TCP | UDP | SCTP, [p0, p1, p2, p3, ..]) => (next_header, u32::from_be_bytes([*p0, *p1, *p2, *p3])),
        (FRAGMENT, [next, rest @ ..]) if rest.len() >= FRAGMENT_HEADER - 1 => (*next, 0),
        _ => (next_header, 0),
    }
}

/// Whether a frame is of neighbour discovery: `ICMPv6` 133 to 137 right behind the IPv6 header, with a hop limit of 255.
#[inline]
pub(super) fn is_neighbour_discovery(head: &[u8; HEAD], ethernet: Ethernet, bytes: usize) -> bool {
    let start = usize::from(ethernet.network);
    let byte = |at: usize| head.get(start + at).copied().unwrap_or(0);
    bytes > start + HEADER && byte(7) == u8::MAX && byte(6) == ICMP_V6 && byte(0) >> 4 == 6 && NEIGHBOUR_DISCOVERY.contains(&byte(HEADER))
}
