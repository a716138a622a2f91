//! The hash that chooses among a tunnel's or next hop's members: of the inner 5-tuple, so one flow keeps one path and order.

use super::ilm::{BOTTOM, LABEL};
use super::ip;
use super::parse::{ETHERTYPE_MPLS, be16, be32};
use crate::tables::flow::FlowKey;
use crate::tables::hash::Seed;

/// Labels that are looked through.
const DEPTH: usize = 4;
/// The next header of an IPv6 fragment header (RFC 8200 section 4.5).
const FRAGMENT: u8 = 44;

/// Of an IPv4 packet whose header was read.
#[inline]
pub(super) fn of_key(key: FlowKey, seed: Seed) -> u32 {
    half(seed.hash([key.addresses, key.protocol_and_ports()]))
}

/// Of the packet in a frame behind `network` bytes of Ethernet and tags, through at most four labels; the same for all where there is none to be seen.
#[inline(never)]
pub(super) fn of_frame(frame: &[u8], network: u16, seed: Seed) -> u32 {
    let hash = inner(frame, network).and_then(|start| match frame.get(start)? >> 4 {
        4 => of_ipv4(frame, start, seed),
        6 => of_ipv6(frame, start, seed),
        _ => None,
    });
    hash.map_or(0, half)
}

/// Where the packet within labels begins; for a frame without, right behind Ethernet and tags.
pub(super) fn inner(frame: &[u8], network: u16) -> Option<usize> {
    let mut start = usize::from(network);
    if be16(frame, start.checked_sub(2)?)? != ETHERTYPE_MPLS {
        return Some(start);
    }
    for _ in 0..DEPTH {
        let entry = be32(frame, start)?;
        start += LABEL;
        if entry & BOTTOM != 0 {
            return Some(start);
        }
    }
    None
}

fn of_ipv4(frame: &[u8], start: usize, seed: Seed) -> Option<u64> {
    let rest = frame.get(start..)?;
    let header: &[u8; ip::HEADER] = rest.first_chunk()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_length < ip::HEADER || rest.len() < header_length || total_length < header_length {
        return None;
    }
    let l4 = rest.get(header_length..total_length.min(rest.len()))?;
    let ports = if ip::has_ports(header) { be32(l4, 0).unwrap_or(0) } else { 0 };
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let key = FlowKey::new(0, u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]), header[9], ports);
    Some(seed.hash([key.addresses, key.protocol_and_ports()]))
}

fn of_ipv6(frame: &[u8], start: usize, seed: Seed) -> Option<u64> {
    let [source, source_end, destination, destination_end] = ip::addresses_v6(frame, start)?;
    let addresses = seed.hash([seed.hash([source, source_end]) ^ destination, destination_end]);
    let rest = frame.get(start + ip::HEADER_V6..)?;
    let payload = usize::from(be16(frame, start + 4)?);
    let l4 = rest.get(..payload.min(rest.len()))?;
    let protocol = *frame.get(start + 6)?;
    let (protocol, ports) = match (protocol, l4.first()) {
        (FRAGMENT, Some(next)) if l4.len() >= 8 => (*next, 0),
        (6 | 17 | 132, _) => (protocol, be32(l4, 0).unwrap_or(0)),
        _ => (protocol, 0),
    };
    Some(seed.hash([addresses, u64::from(protocol) << 32 | u64::from(ports)]))
}

/// The better half of a hash.
#[inline]
fn half(hash: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is left")]
    let half = (hash >> 32) as u32;
    half
}
